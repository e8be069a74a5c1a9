"""One instance and all who answer it: timed in processes of their own, judged by one function."""

from __future__ import annotations

import importlib
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar, final

import numpy as np
from common import Bench, Options, Role, Row
from measure import Timing, Unanswered, measured, timed, within

import lexmargin as lm
from lexmargin.backends import backend
from lexmargin.backends.capture import captured
from lexmargin.formulations.base import Formulation
from lexmargin.ops.base import FloatArray
from lexmargin.run.profile_choice import choose_profile
from lexmargin.run.stages import run
from lexmargin.shelf.library import Library, grade

__all__ = [
    "ENGINE",
    "SOLVE",
    "Answer",
    "Case",
    "Judgement",
    "accurate",
    "engine",
    "fastest",
    "grow",
    "measure",
    "memory",
    "slower",
    "solve",
    "warm_up",
]

A = TypeVar("A")

SOLVE: Final = "solve, certificate included"
ENGINE: Final = "engine alone"
OWN_LIMIT: Final = 60.0
"""Wall seconds of ours: a case that takes longer stands there without an answer."""


@final
@dataclass(frozen=True, eq=False)
class Answer:
    """What :func:`solve` and :func:`engine` return: plain arrays, so that a process can send them.

    Attributes:
        theta: θ, flat.
        multipliers: λ (N,), empty where none are known.
        certificate: ε, δ and the word of the certificate, where there is one.
        figures: how often the engine read all rows; how the seconds of ours are shared out.
    """

    theta: FloatArray
    multipliers: FloatArray
    certificate: tuple[float, float, str] = (math.nan, math.nan, "")
    figures: Mapping[str, float] = field(default_factory=dict)


@final
@dataclass(frozen=True)
class Judgement:
    """What is measured of an answer, whoever gave it; see :class:`common.Row`."""

    stationarity: float = math.nan
    complementarity: float = math.nan
    gap: float = math.nan
    verdict: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)


@final
@dataclass(frozen=True, eq=False)
class Case(Generic[A]):
    """One instance.

    Attributes:
        name: of the instance.
        ways: who answers it, by name; SOLVE and ENGINE are ours, all others are peers.
        judged: measures an answer from the data alone.
        bytes: of the data.
        solves: how many solves one call of a way makes; seconds are told for one.
        runs, budget: of each way, see :func:`measure.timed`.
        patience: limits of single ways that differ from the one for all, wall seconds.
        clock: of the timing, CPU seconds or wall seconds.
        ours: the way of a user of this package; SOLVE unless something else is called.
        engines: further ways of ours, which are no peers.
    """

    name: str
    ways: Mapping[str, Callable[[], A]]
    judged: Callable[[A], Judgement]
    bytes: float = math.nan
    solves: int = 1
    runs: int = 5
    budget: float = 2.0
    patience: Mapping[str, float] = field(default_factory=dict)
    clock: Callable[[], float] = time.process_time
    ours: str = SOLVE
    engines: tuple[str, ...] = (ENGINE,)

    def role(self, way: str) -> Role:
        """Return who answers by this way."""
        if way == self.ours:
            return Role.OURS
        return Role.ENGINE if way in self.engines else Role.PEER


def measure(bench: Bench, case: Case[A], asked: Options) -> dict[str, Row]:
    """Measure every way in a process of its own, judge its answer, and print the rows."""
    found: dict[str, Row] = {}
    for name, way in case.ways.items():
        role = case.role(name)
        limit = case.patience.get(name, asked.limit if role is Role.PEER else OWN_LIMIT)
        answer = within(_work(case, way), limit)
        if isinstance(answer, Unanswered):
            row = Row(
                case.name, name, note=answer.why, spent=answer.spent / case.solves, role=role,
                data=case.bytes,
            )  # fmt: skip
        else:
            timing, memory = answer
            judged = case.judged(timing.result)
            seconds = tuple(s / case.solves for s in timing.seconds)
            row = Row(
                case.name, name, seconds, judged.stationarity, judged.complementarity,
                judged.verdict, memory, figures=judged.figures, role=role, gap=judged.gap,
                data=case.bytes,
            )  # fmt: skip
        found[name] = bench.add(row)
    bench.ratios(case.name, case.ours)
    return found


def _work(case: Case[A], way: Callable[[], A]) -> Callable[[], tuple[Timing[A], float]]:
    def work() -> tuple[Timing[A], float]:
        warnings.simplefilter("ignore")
        with captured():
            return measured(way, case.runs, case.budget, case.clock)

    return work


def slower(bench: Bench, name: str, row: Row | None, wanted: float, *, against: str) -> None:
    """State the goal ``ours / another <= wanted``; where the other was stopped, at most so much."""
    own = bench.own(name)
    if own is None or row is None:
        return
    at_most = "" if row.seconds else ", at most"
    bench.target(
        f"{name}: ours / {against}{at_most}", own.median / row.least, wanted, at_least=False
    )


def accurate(bench: Bench, name: str, wanted: float = 1e-10) -> None:
    """State the goal for the gap of ours."""
    own = bench.own(name)
    if own is not None:
        bench.target(f"{name}: gap", own.gap, wanted, at_least=False)


def memory(bench: Bench, name: str, wanted: float, *, way: str = SOLVE) -> None:
    """State the goal for the memory of ours, or of another way, at its peak."""
    row = bench.find(name, way)
    if row is not None:
        what = f"{name}: memory / data" + (f", {way}" if way != SOLVE else "")
        bench.target(what, row.memory / row.data, wanted, at_least=False)


def fastest(bench: Bench, name: str, wanted: float) -> None:
    """State the goal ``ours / fastest peer <= wanted``."""
    row = bench.fastest(name)
    slower(bench, name, row, wanted, against=f"fastest peer ({row.method})" if row else "peer")


def grow(
    bench: Bench,
    what: str,
    variable: str,
    sizes: Sequence[float],
    make: Callable[[int], Case[A]],
) -> float:
    """Fit how the seconds of ours grow over the sizes; NaN where fewer than two were answered."""
    seconds: list[float] = []
    for size in sizes:
        case = make(int(size))
        found = within(
            lambda c=case: timed(c.ways[c.ours], 3, 1.0, c.clock).median / c.solves, OWN_LIMIT
        )
        if isinstance(found, Unanswered):
            print(f"  {what}: {found.why} at {variable} = {size:g}", flush=True)
            break
        seconds.append(found)
    if len(seconds) < 2:
        return math.nan
    return bench.growth(what, variable, sizes[: len(seconds)], seconds)


def solve(problem: Formulation, **words: object) -> Answer:
    """Return the answer of ``lexmargin.solve`` with its certificate: what a user calls."""
    found = lm.solve(problem, **words)  # type: ignore[arg-type]
    word = found.judgement
    theta = np.concatenate([block.reshape(-1) for block in found.theta])
    if word is None:
        return Answer(theta, found.multipliers)
    told = (word.stationarity, word.complementarity, word.verdict.value)
    times = {name: getattr(found.times, name) for name in ("build", "solve", "certify")}
    whole = max(sum(times.values()), np.finfo(float).tiny)
    shares = {f"{name} %": 100.0 * seconds / whole for name, seconds in times.items()}
    return Answer(theta, word.multipliers, told, shares)


def engine(problem: Formulation, start: FloatArray | None = None) -> Answer:
    """Return the answer of the profile that ``solve`` chooses, unjudged and not polished."""
    profile = choose_profile(problem, Library())
    done = run(
        problem, profile, grade("default"), backend(profile.backend), start,
        np.random.default_rng(0), None,
    )  # fmt: skip
    theta = problem.theta(done.answers, done.unit)
    passes = done.raw.iterations
    return Answer(theta, np.empty(0), figures={} if passes is None else {"passes": float(passes)})


def warm_up() -> None:
    """Import what the ways import, so that none pays for it, and solve one small problem."""
    for name in ("clarabel", "cvxpy", "daqp", "highspy", "scipy.optimize", "sklearn.svm"):
        importlib.import_module(name)
    X = np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, -3.0]])
    data = lm.Dataset(X, [1, 1, -1])
    lm.solve(lm.HardMargin(lm.Linear(), data))
    lm.solve(lm.WSet(lm.Sum([lm.Linear(), lm.Bias()]), data))
