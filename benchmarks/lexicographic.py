"""Lexicographic max margin (Definition 5) in the ℓ1 and ℓ∞ balls: the face method beside others.

Nested data: every level settles a few samples and leaves a smaller face to the next one. For ℓ1 a
binary tree over the coordinates, whose 63 inner nodes are settled one after the other; for ℓ∞
independent blocks of 4 columns with rising margins. Tied data: the same with levels that coincide,
every row four times (twice in the smallest). Peers: one linear program (the first level alone, all
rows), N linear programs one by one (at each level, every sample at the minimum is tried for whether
it can be raised), and cvxpy_leximin (12 samples). One by one stops after 101 times our CPU seconds,
and its ratio is then a lower bound.

"apart" is the largest difference of the sorted margins to ours; ε, δ and the verdict are those of
our certificate of the first level, "proof" the CPU seconds that proving all levels takes.
Usage: python benchmarks/lexicographic.py [--seed S] [--seeds K] [--limit SECONDS] [--only WORD]
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np
from common import OUT, Bench, Options, Role, Row, options
from instances import blocks, tree
from measure import Unanswered, measured, timed, within

import lexmargin as lm
from lexmargin.backends.levels.face import face_levels
from lexmargin.ops.base import FloatArray, IntArray

LIMIT: Final = 10.0
SMALL: Final = 12
OURS: Final = "lexmargin, all levels"
ONE: Final = "one LP, HiGHS"
NAIVE: Final = "one by one, HiGHS"
SLACK: Final = 1e-7
"""What one by one gives away at earlier levels: the feasibility tolerance of HiGHS."""
LEXIMIN: Final = "cvxpy_leximin"
SIZES: Final = (500, 1000, 2000, 4000)
PEERS: Final = (SMALL, 500, 2000)
"""Sizes with peers and proofs; the others show how the cost grows."""


@final
@dataclass(frozen=True, eq=False)
class Polytope:
    """The ball as rows and bounds for scipy's linprog, scores ``scores @ x`` (N,)."""

    scores: FloatArray
    equal: FloatArray | None
    bounds: tuple[float, float | None]

    @classmethod
    def of(cls, Z: FloatArray, norm: float) -> Polytope:
        """Return the ℓ∞ ball as a box, the ℓ1 ball as the simplex of (p, q), θ = p - q."""
        if norm == np.inf:
            return cls(Z, None, (-1.0, 1.0))
        scores = np.hstack([Z, -Z])
        return cls(scores, np.ones((1, scores.shape[1])), (0.0, None))

    def raised(
        self, goal: FloatArray, level: float, rows: IntArray, above: FloatArray
    ) -> tuple[FloatArray, float]:
        """Return (x, t) of ``max goal·x + level t  s.t.  scores[rows] x >= above``.

        Where ``level`` is 1 the rows with ``above = -inf`` must be at least t.
        """
        from scipy.optimize import linprog

        free = np.isneginf(above)
        A = np.hstack([-self.scores[rows], free[:, None] * 1.0])
        equal = None if self.equal is None else np.append(self.equal, [[0.0]], axis=1)
        found = linprog(
            -np.append(goal, level), A_ub=A, b_ub=np.where(free, 0.0, -above), A_eq=equal,
            b_eq=None if equal is None else [1.0],
            bounds=[self.bounds] * goal.size + [(None, None)], method="highs",
        )  # fmt: skip
        if found.status != 0:
            raise RuntimeError(found.message)
        return np.asarray(found.x[:-1]), float(found.x[-1])


def first_level(Z: FloatArray, norm: float) -> float:
    """Return the max margin by one linear program with all rows."""
    ball = Polytope.of(Z, norm)
    nothing = np.zeros(ball.scores.shape[1])
    count = len(Z)
    return ball.raised(nothing, 1.0, np.arange(count), np.full(count, -np.inf))[1]


def one_by_one(Z: FloatArray, norm: float, limit: float) -> tuple[FloatArray, int]:
    """Return the margins (NaN where not settled in ``limit`` CPU s) and the number of programs."""
    ball = Polytope.of(Z, norm)
    count, began, solves = len(Z), time.process_time(), 0
    values = np.full(count, np.nan)
    everyone = np.arange(count)
    while np.any(np.isnan(values)):
        above = np.where(np.isnan(values), -np.inf, values * (1.0 - SLACK))
        nothing = np.zeros(ball.scores.shape[1])
        x, level = ball.raised(nothing, 1.0, everyone, above)
        solves += 1
        now = ball.scores @ x
        floor = np.where(np.isnan(values), level * (1.0 - SLACK), above)
        for n in np.flatnonzero(np.isnan(values) & (now <= level * (1.0 + SLACK))):
            others = np.delete(everyone, n)
            best, _ = ball.raised(ball.scores[n], 0.0, others, floor[others])
            solves += 1
            if ball.scores[n] @ best <= level * (1.0 + 10.0 * SLACK):
                values[n] = level
            if time.process_time() - began > limit:
                return values, solves
    return values, solves


def leximin(Z: FloatArray, norm: float) -> FloatArray:
    """Return the margins by cvxpy_leximin with HiGHS."""
    import cvxpy as cp
    from cvxpy_leximin import Leximin, Problem

    logging.disable(logging.CRITICAL)
    theta = cp.Variable(Z.shape[1])
    scores = Z @ theta
    stated = Problem(Leximin([scores[n] for n in range(len(Z))]), [cp.norm(theta, norm) <= 1])
    stated.solve(solver="HIGHS")
    return np.asarray(Z @ theta.value)


def judged(Z: FloatArray, norm: float, theta: FloatArray) -> tuple[Any, float]:
    """Return our certificate of the chain of levels, and the CPU seconds of ``lexmargin.solve``."""
    labels = np.where(np.arange(len(Z)) % 2, 1, -1)
    problem = lm.Lexicographic(lm.Linear(), lm.Dataset(Z * labels[:, None], labels), norm=norm)
    began = time.process_time()
    found = lm.solve(problem)
    spent = time.process_time() - began
    # Where another route answers, levels are certified within this of the optimum's.
    assert np.allclose(np.sort(Z @ found.direction), np.sort(Z @ theta), rtol=0.0, atol=1e-7)
    return found.certificate, spent


def apart(one: FloatArray, other: FloatArray) -> float:
    """Return the largest difference of two sorted vectors."""
    return float(np.max(np.abs(np.sort(one) - np.sort(other))))


def run(bench: Bench, name: str, Z: FloatArray, norm: float, asked: Options) -> float:
    """Print the rows of one instance; return our median seconds."""
    timing, memory = measured(lambda: face_levels(Z, norm), runs=5, budget=3.0)
    answer = timing.result
    certificate, whole = judged(Z, norm, answer.theta)
    bench.add(
        Row(
            name, OURS, timing.seconds, certificate.stationarity, certificate.complementarity,
            certificate.verdict.value, memory,
            figures={
                "levels": len(answer.levels), "LPs": answer.solves,
                "proof": max(0.0, whole - timing.median),
            },
            role=Role.OURS,
        )
    )  # fmt: skip
    one, memory = measured(lambda: first_level(Z, norm), runs=5, budget=2.0)
    gap = abs(one.result - answer.levels[0].value)
    bench.add(Row(name, ONE, one.seconds, memory=memory, figures={"apart": gap}))
    budget = max(2.0, 101.0 * timing.median)
    naive = within(lambda: timed(lambda: one_by_one(Z, norm, budget), 1), 2.0 * budget)
    if isinstance(naive, Unanswered):
        bench.add(Row(name, NAIVE, note=naive.why, spent=naive.spent))
    else:
        values, solves = naive.result
        settled = int(np.count_nonzero(~np.isnan(values)))
        done = settled == len(Z)
        figures = {"LPs": float(solves), "settled": float(settled)}
        if done:
            figures["apart"] = apart(values, answer.margins)
        spent = naive.median
        row = Row(name, NAIVE, naive.seconds, figures=figures)
        bench.add(row if done else replace(row, seconds=(), note="stopped", spent=spent))
    if len(Z) == SMALL:
        found = within(lambda: timed(lambda: leximin(Z, norm), 1), asked.limit)
        if isinstance(found, Unanswered):
            bench.add(Row(name, LEXIMIN, note=found.why, spent=found.spent))
        else:
            figures = {"apart": apart(found.result, answer.margins)}
            bench.add(Row(name, LEXIMIN, found.seconds, figures=figures))
    ratios = bench.ratios(name)
    if len(Z) == 2000:
        bench.target(f"{name}: all levels / one LP", 1.0 / ratios[ONE].value, 10.0, at_least=False)
    if len(Z) >= 500 and NAIVE in ratios:
        naively = ratios[NAIVE]
        what = f"{name}: one by one / all levels{naively.words}"
        bench.target(what, naively.value, 100.0)
    return timing.median


def family(bench: Bench, asked: Options, norm: float, tied: bool) -> None:
    """Measure one kind of data at all sizes."""
    data: Callable[[int, np.random.Generator, bool], FloatArray]
    data = tree if norm == 1.0 else blocks
    words = f"{'tied' if tied else 'nested'}, norm {norm:g}"
    if not asked.wants(words):
        return
    seconds = []
    for count in (SMALL, *SIZES):
        Z = data(count, bench.generator(91, int(tied), count), tied)
        if count in PEERS:
            seconds.append(run(bench, f"{words}, N = {count}, d = {Z.shape[1]}", Z, norm, asked))
        else:
            timing = timed(lambda Z=Z: face_levels(Z, norm), runs=3, budget=2.0)
            seconds.append(timing.median)
    bench.growth(f"{OURS}, {words}", "N", SIZES, seconds[1:])


def main() -> None:
    """Print the table."""
    asked = options(__doc__, LIMIT)
    warnings.simplefilter("ignore")
    sys.path.append(str(OUT / "peers"))
    import cvxpy  # noqa: F401  so that no child pays for it
    from scipy.optimize import linprog  # noqa: F401

    face_levels(tree(SMALL, np.random.default_rng(0), False), 1.0)
    title = "Lexicographic max margin, the engine beside others, CPU seconds"
    with Bench("lexicographic", title, OURS, asked.seeds, only=asked.only) as bench:
        for _ in bench.each_seed():
            for norm in (1.0, np.inf):
                for tied in (False, True):
                    family(bench, asked, norm, tied)


if __name__ == "__main__":
    main()
