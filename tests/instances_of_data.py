"""Fresh instances of every kind of data, problem and norm, with references of their own.

A reference never trusts the toolkit: linear margins and convex losses are checked by weak duality
with 60 digits, refusals by the Gordan vector they carry, in rationals. Other answers have a weaker
one: SciPy looks for a better point than what is called global. Each instance has a process
of its own, which ends with its time. Run as a script it prints one row per family, and goes on
where a file of records ends: ``python tests/instances_of_data.py --instances 3000 --out FILE``.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, final

import numpy as np

import lexmargin as lm
from instances_problems import LINEAR, Instance, drawn, instance
from instances_references import rightly_refused, wrong
from instances_rivals import beaten
from lexmargin.errors import DegreeError, LexmarginError, NotSeparableError, UnsupportedError
from lexmargin.processes.crew import crew
from lexmargin.processes.nursery import End
from lexmargin.processes.owner import Nursery

SLOW: Final = 30.0
"""Seconds of processor time after which an instance is ended."""
_WAITING: Final = 10.0
"""Wall time over processor time: so much the machine may do besides."""
_PRELOADED: Final = (
    "lexmargin",
    "cvxpy",
    "pyomo.environ",
    "casadi",
    "mpmath",
    "sklearn.datasets",
    "instances_of_data",
)


@final
class Outcome(StrEnum):
    """What came of an instance."""

    CERTIFIED = "certified"
    UNCERTIFIED = "uncertified"
    WRONG = "wrong"
    REFUSED = "refused rightly"
    EXCEPTION = "exception"


@final
@dataclass(frozen=True)
class Record:
    """One instance: where it lies, what came of it, and how long that took."""

    seed: int
    index: int
    formulation: str
    predictor: str
    norm: float
    data: str
    outcome: Outcome
    seconds: float
    said: str = ""

    @property
    def convex(self) -> bool:
        """Whether the scores are linear in the parameters."""
        return self.predictor in LINEAR

    @property
    def family(self) -> str:
        """The row of the table."""
        return f"{self.formulation}, {'convex' if self.convex else 'nonconvex'}"

    @property
    def slow(self) -> bool:
        """Whether it took longer than it may."""
        return self.seconds >= SLOW

    def line(self) -> str:
        """Return the record as one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)


def read(line: str) -> Record:
    """Return the record of one line."""
    found = json.loads(line)
    return Record(**{**found, "outcome": Outcome(found["outcome"])})


# -- one instance ----------------------------------------------------------------------------------


def judged(case: Instance) -> tuple[Outcome, str]:
    """Solve one instance; return what came of it, and what was said."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            solution = lm.solve(case.problem)
    except NotSeparableError as error:
        if rightly_refused(case, error):
            return Outcome.REFUSED, "not separable"
        return Outcome.WRONG, f"a refusal without a proof that holds: {error}"
    except UnsupportedError as error:
        return Outcome.REFUSED, str(error)
    except LexmarginError as error:
        return Outcome.EXCEPTION, f"{type(error).__name__}: {error}"
    except Exception as error:
        return Outcome.EXCEPTION, f"raw {type(error).__name__}: {error}"
    certificate = solution.judgement
    if certificate is None or not certificate.certified:
        word = "no certificate" if certificate is None else str(certificate.verdict)
        return Outcome.UNCERTIFIED, f"{word}, {solution.solver}, {solution.ran}, {solution.claim}"
    why = wrong(case, solution) if case.predictor in LINEAR else beaten(case, solution)
    return (Outcome.WRONG, why) if why else (Outcome.CERTIFIED, str(certificate.verdict))


def tried(index: int, seed: int) -> tuple[Outcome, str]:
    """Judge the instance of an index and a seed: the same of both, the same instance."""
    rng = np.random.default_rng([seed, index])
    try:
        case = instance(rng, *drawn(index, seed))
    except DegreeError as error:
        # The formulation is for homogeneous predictors, and says so.
        return Outcome.REFUSED, str(error)
    except LexmarginError as error:
        return Outcome.EXCEPTION, f"{type(error).__name__}: {error}"
    return judged(case)


def work(payload: tuple[int, int], mark: Callable[[], None]) -> tuple[str, str, float]:
    """Judge one instance in a process of its own, which the kernel ends with its time."""
    limit = math.ceil(SLOW)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 2))
    index, seed = payload
    outcome, said = tried(index, seed)
    return outcome.value, said, time.process_time()


def record(index: int, seed: int, nursery: Nursery) -> Record:
    """Return the record of an instance, however its process ended."""
    reply = nursery.run("instances_of_data:work", (index, seed), (_WAITING * SLOW,))
    outcome, said, seconds = Outcome.EXCEPTION, f"its process: {reply.end.value}", reply.seconds
    match reply.end:
        case End.ANSWERED:
            # A script's classes are not those that its children import.
            word, said, seconds = reply.answer
            outcome = Outcome(word)
        case End.TIME:
            outcome, said, seconds = Outcome.UNCERTIFIED, "ended", SLOW
        case End.SIGNAL if reply.signal == signal.SIGXCPU:
            outcome, said, seconds = Outcome.UNCERTIFIED, "ended", SLOW
        case End.RAISED:
            said = f"raw {reply.answer}"
        case _:
            pass
    formulation, predictor, norm, data = drawn(index, seed)
    return Record(
        seed, index, formulation, predictor, norm, data, outcome, round(seconds, 3), said[:300]
    )


def records(indices: list[int], seed: int, workers: int) -> Iterator[Record]:
    """Yield the record of every index, in the order in which they come."""
    here = str(Path(__file__).resolve().parent)
    if here not in sys.path:
        sys.path.insert(0, here)
    yield from crew(indices, lambda i, nursery: record(i, seed, nursery), workers, _PRELOADED)


# -- the table -------------------------------------------------------------------------------------


@final
@dataclass
class Row:
    """What happened to one family."""

    family: str
    counts: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    slow: int = 0
    seconds: float = 0.0

    @property
    def tried(self) -> int:
        """How many instances there were."""
        return sum(self.counts.values())

    def add(self, one: Record) -> None:
        """Count one instance."""
        self.counts[one.outcome] += 1
        self.slow += one.slow
        self.seconds += one.seconds


def rows(found: list[Record], key: Callable[[Record], str]) -> list[Row]:
    """Return one row per value of a key, then the row of all."""
    made: dict[str, Row] = {}
    for one in found:
        made.setdefault(key(one), Row(key(one))).add(one)
    total = Row("all")
    for one in found:
        total.add(one)
    return [*sorted(made.values(), key=lambda row: row.family), total]


def table(found: list[Record]) -> str:
    """Return the tables in Markdown: by family, then convex and nonconvex by kind of data."""
    parts = [
        _markdown("family", rows(found, lambda r: r.family)),
        _markdown("convex", rows([r for r in found if r.convex], lambda r: r.data)),
        _markdown("nonconvex", rows([r for r in found if not r.convex], lambda r: r.data)),
    ]
    return "\n".join(parts)


def _markdown(title: str, found: list[Row]) -> str:
    heads = [title, "tried", *Outcome, f"> {SLOW:g} s", "seconds"]
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    for row in found:
        counts = [row.tried, *(row.counts[o] for o in Outcome), row.slow, round(row.seconds)]
        lines.append("| " + " | ".join([row.family, *map(str, counts)]) + " |")
    return "\n".join(lines) + "\n"


def complaint(one: Record) -> str:
    """Return one line on an instance, with what makes it again."""
    where = f"{one.formulation}, {one.predictor}, norm {one.norm:g}, {one.data}"
    again = f"--seed {one.seed} --start {one.index} --instances 1"
    return f"{one.outcome.value}: {where} ({again}, {one.seconds:.1f} s): {one.said}"


def failed(found: list[Record]) -> list[Record]:
    """Return the answers that are wrong and the exceptions."""
    return [r for r in found if r.outcome in (Outcome.WRONG, Outcome.EXCEPTION)]


def share(found: list[Record]) -> float:
    """Return the part of the convex instances with an answer that is certified, of 1."""
    convex = [r for r in found if r.convex and r.outcome is not Outcome.REFUSED]
    certified = sum(r.outcome is Outcome.CERTIFIED for r in convex)
    return certified / len(convex) if convex else 1.0


def main() -> int:
    """Print the table; the exit code is 1 if an answer was wrong or an exception was raised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--start", type=int, default=0, help="first index")
    parser.add_argument("--instances", type=int, default=3000)
    parser.add_argument("--only", choices=["convex", "nonconvex"], help="even or odd indices")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, help="records, one per line; those there are kept")
    options = parser.parse_args()
    found: list[Record] = []
    if options.out is not None and options.out.exists():
        found = [read(line) for line in options.out.read_text().splitlines()]
    done = {one.index for one in found if one.seed == options.seed}
    step = 1 if options.only is None else 2
    first = options.start + (options.start % 2 != (options.only == "nonconvex") and step == 2)
    wanted = range(first, options.start + options.instances, step)
    left = [index for index in wanted if index not in done]
    try:
        with closing(records(left, options.seed, options.workers)) as fresh:
            for count, one in enumerate(fresh, 1):
                found.append(one)
                if options.out is not None:
                    with options.out.open("a") as file:
                        file.write(one.line() + "\n")
                if one.outcome not in (Outcome.CERTIFIED, Outcome.REFUSED) or one.slow:
                    print(complaint(one), file=sys.stderr, flush=True)
                if not count % 100:
                    print(f"{count} of {len(left)}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
    print(table(found), flush=True)
    print(f"{share(found):.2%} of the convex instances that have an answer are certified.")
    return int(bool(failed(found)))


if __name__ == "__main__":
    raise SystemExit(main())
