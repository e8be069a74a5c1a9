"""Many small problems, 10 samples and 3 features each: what one ``solve`` costs.

A row tells the CPU seconds of one solve; every call of a way solves all instances of a batch, each
with data of its own. "parametrised CVXPY" compiles once and gets the data as a Parameter; SLSQP and
highspy are called as anybody would. "gap" is the worst of the batch, its bounds proven by the
multipliers of ours.
Usage: python benchmarks/small_problems.py [--seed S] [--seeds K] [--limit SECONDS] [--only WORD]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from cases import ENGINE, SOLVE, Answer, Case, Judgement, engine, grow, measure, solve, warm_up
from common import Bench, Options, options
from instances import clouds
from linear import margin_gap, stated
from peers import highspy_margin, through_cvxpy

import lexmargin as lm
from lexmargin.formulations.base import Formulation
from lexmargin.ops.base import FloatArray

LIMIT: Final = 10.0
BATCH: Final = 50
LONG_BATCH: Final = 1000
ROWS: Final = 10
COLUMNS: Final = 3
Samples = tuple[FloatArray, FloatArray]


@final
@dataclass(frozen=True)
class Kind:
    """One kind of small problem: its name, the milliseconds wanted, what is asked."""

    name: str
    wanted: float
    bias: bool = False
    norm: float = 2.0
    levels: bool = False

    def stated(self, X: FloatArray, y: FloatArray) -> Formulation:
        data = lm.Dataset(X, y)
        if self.levels:
            return lm.Lexicographic(lm.Linear(), data, norm="inf")
        return stated(data, self.bias, self.norm)


KINDS: Final = (
    Kind("ℓ2", 2.0),
    Kind("ℓ2, bias", 4.0, bias=True),
    Kind("ℓ1", 4.0, norm=1.0),
    Kind("lexicographic, ℓ∞", 4.0, norm=math.inf, levels=True),
)


def by_slsqp(kind: Kind, X: FloatArray, y: FloatArray) -> FloatArray:
    """Return θ of scipy's SLSQP with exact derivatives."""
    from scipy.optimize import minimize

    Z = y[:, None] * X
    A = np.column_stack([Z, y]) if kind.bias else Z
    d = X.shape[1]

    def cost(v: FloatArray) -> tuple[float, FloatArray]:
        gradient = np.append(v[:d], np.zeros(len(v) - d))
        return 0.5 * float(v[:d] @ v[:d]), gradient

    above = {"type": "ineq", "fun": lambda v: A @ v - 1.0, "jac": lambda v: A}
    options = {"ftol": 1e-12, "maxiter": 300}
    begin = np.append(Z.mean(axis=0), np.zeros(A.shape[1] - d))
    found = minimize(cost, begin, jac=True, constraints=[above], method="SLSQP", options=options)
    return np.asarray(found.x)


def parametrised(kind: Kind) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """Return a solver from one CVXPY problem with the signed rows as Parameters."""
    import cvxpy as cp

    w, b = cp.Variable(COLUMNS), cp.Variable()
    Z, labels = cp.Parameter((ROWS, COLUMNS)), cp.Parameter(ROWS)
    scores = Z @ w + labels * b if kind.bias else Z @ w
    cost = 0.5 * cp.sum_squares(w) if kind.norm == 2.0 else cp.norm(w, kind.norm)
    problem = cp.Problem(cp.Minimize(cost), [scores >= 1])

    def answer(X: FloatArray, y: FloatArray) -> FloatArray:
        Z.value, labels.value = y[:, None] * X, y
        problem.solve(solver="CLARABEL", ignore_dpp=False)
        return np.append(w.value, b.value) if kind.bias else np.asarray(w.value)

    return answer


def case(kind: Kind, batch: Sequence[Samples], with_peers: bool) -> Case[list[Answer]]:
    """Return the batch as one case."""
    known: list[list[Answer]] = []

    def judged(answers: list[Answer]) -> Judgement:
        known.extend([] if known else [answers])
        gaps = [
            margin_gap(y[:, None] * X, y, kind.bias, kind.norm, one.theta, mine.multipliers)
            for (X, y), one, mine in zip(batch, answers, known[0], strict=True)
        ]
        words = [one.certificate for one in answers]
        certified = {word for _, _, word in words if word}
        return Judgement(
            max(epsilon for epsilon, _, _ in words), max(delta for _, delta, _ in words), max(gaps),
            "/".join(sorted(certified)),
        )  # fmt: skip

    def each(one: Callable[[FloatArray, FloatArray], FloatArray]) -> Callable[[], list[Answer]]:
        return lambda: [Answer(one(X, y), np.empty(0)) for X, y in batch]

    def through(solver: Any) -> Callable[[FloatArray, FloatArray], FloatArray]:
        return lambda X, y: np.asarray(solver(y[:, None] * X, y if kind.bias else None))

    ways: dict[str, Callable[[], list[Answer]]] = {
        SOLVE: lambda: [solve(kind.stated(X, y)) for X, y in batch],
        ENGINE: lambda: [engine(kind.stated(X, y)) for X, y in batch],
    }
    if with_peers and kind.norm == 2.0:
        ways["SLSQP"] = each(lambda X, y: by_slsqp(kind, X, y))
    elif with_peers:
        ways["highspy, first level" if kind.levels else "highspy"] = each(
            through(highspy_margin(kind.norm))
        )
    if with_peers and not kind.levels:
        ways["CVXPY"] = each(through(through_cvxpy("CLARABEL", kind.norm)))
        ways["parametrised CVXPY"] = lambda: each(parametrised(kind))()
    name = f"{ROWS} x {COLUMNS}, {kind.name}"
    return Case(name, ways, judged, solves=len(batch), runs=3, budget=4.0)


def drawn(rng: np.random.Generator, count: int, rows: int = ROWS) -> list[Samples]:
    """Return a batch of instances."""
    return [clouds(rng, rows, COLUMNS, 0.3) for _ in range(count)]


def family(bench: Bench, asked: Options, index: int, kind: Kind) -> None:
    """Measure one kind."""
    if not asked.wants(kind.name):
        return
    batch = drawn(bench.generator(31, index), LONG_BATCH if asked.long else BATCH)
    made = case(kind, batch, True)
    measure(bench, made, asked)
    own = bench.own(made.name)
    if own is not None:
        bench.target(f"{made.name}: ms a solve", 1e3 * own.median, kind.wanted, at_least=False)
        bench.target(f"{made.name}: worst gap", own.gap, 1e-10, at_least=False)

    def sized(rows: int) -> Case[list[Answer]]:
        return case(kind, drawn(bench.generator(32, index, rows), 10, rows), False)

    grow(bench, f"{COLUMNS} features, {kind.name}", "N", (10, 20, 40, 80), sized)


def main() -> None:
    """Print the tables."""
    asked = options(__doc__, LIMIT)
    warm_up()
    title = "Small problems, CPU seconds of one solve"
    with Bench("small_problems", title, SOLVE, asked.seeds) as bench:
        for _ in bench.each_seed():
            for index, kind in enumerate(KINDS):
                family(bench, asked, index, kind)


if __name__ == "__main__":
    main()
