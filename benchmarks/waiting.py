"""What a user waits for beside the solving: a time limit, a command's start, a unit of `compare`.

"with a limit" and "without" are the same call in one process, wall seconds, in turn; the limit of
40 seconds is never reached. A command is timed in a fresh process, CPU seconds, after one that
fills the caches of the disk. A unit's row is the wall seconds that `compare` spends on one more,
without what the unit itself reports for building, solving and certifying.
Usage: python benchmarks/waiting.py [--seed S] [--seeds K] [--limit SECONDS] [--only WORD]
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from cases import warm_up
from common import Bench, Options, Role, Row, options
from instances import one_hot
from measure import timed

import lexmargin as lm
from lexmargin.compare.executors import Processes

LIMIT: Final = 40.0
WITH, WITHOUT = "with a limit", "without"
RUNS: Final = 5
SHORT: Final = 0.5
"""Seconds of a limit that is too short for what is asked."""
MORE: Final = 0.3
"""Wall seconds that a limit may cost, once per call."""
TINY: Final = """
title       = "Two points"
source      = "benchmark"
formulation = "hard-margin"

[predictor]
kind = "linear"

[data]
X = {X}
y = [1, -1, 1]
"""
Call = Callable[[float | None], object]


def calls(rng: np.random.Generator) -> dict[str, Call]:
    """Return what is called with a limit and without."""
    two = lm.Dataset(rng.standard_normal((2, 2)), [1, -1])
    few = lm.Dataset(rng.standard_normal((2, 4)), [1, -1])
    diagonal = lm.DiagonalNetwork(depth=3)
    rhos = [1.0, 10.0, 100.0]

    def solve(predictor: lm.Linear | lm.DiagonalNetwork, data: lm.Dataset) -> Call:
        starts = 1 if isinstance(predictor, lm.Linear) else 12
        return lambda limit: lm.solve(
            lm.HardMargin(predictor, data), starts=starts, time_limit=limit
        )

    return {
        "solve, linear 2 x 2": solve(lm.Linear(), two),
        "solve, diagonal of depth 3, 12 starts": solve(diagonal, few),
        "trace, linear 2 x 2, 3 values": lambda limit: lm.trace(
            lm.ConstrainedPath(lm.Linear(), two), rhos, time_limit=limit
        ),
        "descend, linear 2 x 2, 100 steps": lambda limit: lm.descend(
            lm.Linear(), two, steps=100, time_limit=limit
        ),
    }


def wall(call: Call, limit: float | None) -> float:
    """Return the wall seconds of one call."""
    began = time.perf_counter()
    call(limit)
    return time.perf_counter() - began


def limits(bench: Bench, asked: Options) -> None:
    """Time every call with a limit and without, in turn."""
    for name, call in calls(bench.generator(41)).items():
        what = f"{name} (wall)"
        if not asked.wants(what):
            continue
        pairs = [(wall(call, LIMIT), wall(call, None)) for _ in range(RUNS)]
        limited, free = zip(*pairs, strict=True)
        bench.add(Row(what, WITH, limited, role=Role.OURS))
        bench.add(Row(what, WITHOUT, free, role=Role.ENGINE))
        bench.ratios(what, WITH)
        more = statistics.median(limited) - statistics.median(free)
        bench.target(f"{what}: seconds more than without", more, MORE, at_least=False)
    if asked.wants("starts"):
        few = lm.Dataset(bench.generator(42).standard_normal((2, 4)), [1, -1])
        sizes, seconds = (3, 6, 12, 24), []
        problem = lm.HardMargin(lm.DiagonalNetwork(depth=3), few)
        for starts in sizes:

            def limited(limit: float | None, starts: int = starts) -> object:
                return lm.solve(problem, starts=starts, time_limit=limit)

            seconds.append(min(wall(limited, LIMIT) for _ in range(2)))
        bench.growth("a limited solve (wall)", "starts", sizes, seconds)


def beyond(bench: Bench, asked: Options) -> None:
    """Time a limit that is far too short for the problem."""
    name = f"one-hot 20000 x 1000, limit {SHORT:g} s (wall)"
    if not asked.wants(name):
        return
    X, y = one_hot(bench.generator(44), 20_000, 20, 50)
    problem = lm.WSet(lm.Sum([lm.Linear(), lm.Bias()]), lm.Dataset(X, y))
    seconds = timed(
        lambda: lm.solve(problem, time_limit=SHORT), runs=3, budget=4.0, clock=time.perf_counter
    ).seconds
    bench.add(Row(name, WITH, seconds, role=Role.OURS))
    bench.target(f"{name}: seconds beyond it", max(seconds) - SHORT, 1.0, at_least=False)


def command(words: list[str]) -> float:
    """Return the CPU seconds of a fresh process."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, capture_output=True, check=True, env=kept)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def commands(bench: Bench, asked: Options) -> None:
    """Time the commands that people type first."""
    lexmargin = [sys.executable, "-c", "from lexmargin.cli.main import main; main()"]
    rows = bench.generator(43).integers(1, 9, (3, 2)) * np.array([[1], [-1], [1]])
    with tempfile.TemporaryDirectory() as folder:
        tiny = Path(folder) / "tiny.toml"
        tiny.write_text(TINY.format(X=rows.tolist()))
        tried = {
            "lexmargin solve tiny.toml": ([*lexmargin, "solve", str(tiny)], 0.8),
            "lexmargin list": ([*lexmargin, "list"], 0.5),
        }
        for name, (words, wanted) in tried.items():
            if not asked.wants(name):
                continue
            command(words)
            row = Row(name, name, tuple(command(words) for _ in range(RUNS)), role=Role.OURS)
            bench.add(row)
            plain = [sys.executable, "-c", "import numpy, scipy.optimize"]
            seconds = tuple(command(plain) for _ in range(RUNS))
            bench.add(Row(name, "import numpy, scipy.optimize", seconds, role=Role.ENGINE))
            bench.ratios(name, name)
            bench.target(f"{name}: CPU s", row.median, wanted, at_least=False)


def units(bench: Bench, asked: Options) -> None:
    """Time what one more unit of a comparison costs beyond its own work."""
    name = "compare, one more unit (wall)"
    if not asked.wants(name):
        return
    sizes = (1, 4, 8, 12)
    rounds, own = [], []
    for _ in range(2):
        seconds = []
        for count in sizes:
            seeds = [bench.seed + index for index in range(count)]
            began = time.perf_counter()
            table = lm.compare(
                "linear/norms-two-points-l2", ["clarabel"], seeds=seeds, executor=Processes(1)
            )
            seconds.append(time.perf_counter() - began)
            own += [sum(s or 0.0 for s in (r.build, r.solve, r.certify)) for r in table.rows]
        rounds.append(seconds)
    slopes = tuple(float(np.polyfit(sizes, seconds, 1)[0]) for seconds in rounds)
    mine = statistics.median(own)
    bench.add(Row(name, "lexmargin compare", slopes, role=Role.OURS))
    bench.add(Row(name, "the unit's own work", tuple(own), role=Role.ENGINE))
    beyond = statistics.median(slopes) - mine
    bench.target(f"{name}: seconds beyond its own work", beyond, 0.1, at_least=False)
    bench.growth("compare (wall)", "units", sizes, np.min(rounds, axis=0).tolist())


def main() -> None:
    """Print the tables."""
    asked = options(__doc__, LIMIT)
    warnings.simplefilter("ignore")
    warm_up()
    with Bench("waiting", "Limits, commands and comparisons", WITH, asked.seeds) as bench:
        for _ in bench.each_seed():
            for family in (limits, beyond, commands, units):
                family(bench, asked)


if __name__ == "__main__":
    main()
