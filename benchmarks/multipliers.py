"""Multipliers of a given direction: ours beside scipy's nnls and CVXPY with Clarabel.

The problem is `min_{λ ≥ 0} ‖θ̂ - Jᵀλ‖₂`, J of |S| rows and d columns. Half of the rows carry weight
and θ̂ is 1e-3 away from their cone; "exact" is the residual of ours where θ̂ lies in the cone.
Every method gets the same arrays in a process of its own, under the same limit of wall time; ε is
recomputed here from the λ it returned, by one function. A method that gave no answer for some d is
not tried for a larger one.
Usage: python benchmarks/multipliers.py [seconds per peer] [largest d]
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from common import Bench, Row, Timing, Unanswered, available_memory, measured, within

from lexmargin.judge.multipliers.multiplier_set import nonnegative_multipliers
from lexmargin.ops.base import FloatArray

COUNTS: Final = (100, 1000)
SIZES: Final = (1_000, 10_000, 50_000, 200_000)
OURS: Final = "lexmargin"
LIMIT: Final = 6.0
OWN_LIMIT: Final = 120.0
Method = Callable[[FloatArray, FloatArray], FloatArray]


def instance(count: int, size: int, noise: float = 1e-3) -> tuple[FloatArray, FloatArray]:
    """Return J (|S|, d) and θ̂ (d,): a conic combination of half of the rows, plus noise."""
    rng = np.random.default_rng(0)
    J = rng.standard_normal((count, size))
    return J, direction(J, noise)


def direction(J: FloatArray, noise: float) -> FloatArray:
    """Return θ̂ at the distance ``noise`` of a combination of the rows of J."""
    rng = np.random.default_rng(1)
    count, size = J.shape
    theta = np.maximum(rng.standard_normal(count), 0.0) @ J
    theta /= np.linalg.norm(theta)
    disturbance = rng.standard_normal(size)
    theta += noise * disturbance / np.linalg.norm(disturbance)
    return np.asarray(theta / np.linalg.norm(theta))


def by_scipy(J: FloatArray, theta: FloatArray) -> FloatArray:
    """Return λ of scipy's nnls."""
    from scipy.optimize import nnls

    return np.asarray(nnls(J.T, theta)[0])


def by_clarabel(J: FloatArray, theta: FloatArray) -> FloatArray:
    """Return λ of CVXPY and Clarabel."""
    import cvxpy as cp

    x = cp.Variable(J.shape[0], nonneg=True)
    cp.Problem(cp.Minimize(cp.norm(theta - J.T @ x))).solve(solver="CLARABEL")
    return np.maximum(np.asarray(x.value), 0.0)


def by_ours(J: FloatArray, theta: FloatArray) -> FloatArray:
    """Return λ of the certificate."""
    return nonnegative_multipliers(J, theta).multipliers


METHODS: Final[dict[str, tuple[Method, float]]] = {
    # Copies of J that each needs beside it, as measured on the sizes that fit.
    OURS: (by_ours, 0.1),
    "scipy nnls": (by_scipy, 1.1),
    "CVXPY + Clarabel": (by_clarabel, 4.0),
}


def run(
    method: str, J: FloatArray, theta: FloatArray, limit: float
) -> tuple[Timing[FloatArray], float] | Unanswered:
    """Return the timing and the memory of one method, or why there are none."""
    solve, copies = METHODS[method]
    needed = copies * J.nbytes
    if needed > available_memory():
        return Unanswered(f"not run: needs {needed / 1e9:.0f} GB beside J")

    def work() -> tuple[Timing[FloatArray], float]:
        warnings.simplefilter("ignore")
        solve(np.eye(3, 5), np.ones(5))  # imports are not the method's
        return measured(lambda: solve(J, theta), runs=5, budget=3.0)

    return within(work, limit)


def epsilon(J: FloatArray, theta: FloatArray, values: FloatArray) -> float:
    """Return ε = ‖θ̂ - Jᵀλ‖."""
    return float(np.linalg.norm(theta - np.maximum(values, 0.0) @ J))


def main(limit: float, largest: int) -> None:
    """Print the table."""
    import cvxpy  # noqa: F401  so that no child pays for it

    sizes = [size for size in SIZES if size <= largest]
    with Bench("multipliers", "Multipliers of a given direction, CPU seconds", OURS) as bench:
        for count in COUNTS:
            given_up: dict[str, int] = {}
            seconds: list[float] = []
            for size in sizes:
                name = f"|S| = {count}, d = {size}"
                if 1.2 * 8.0 * count * size > available_memory():
                    bench.add(Row(name, OURS, note="not run: J does not fit in memory"))
                    continue
                J, theta = instance(count, size)
                answers: dict[str, Any] = {}
                for method in METHODS:
                    if method in given_up:
                        text = f"not run: no answer in {limit:g} s for d = {given_up[method]}"
                        bench.add(Row(name, method, note=text))
                        continue
                    found = run(method, J, theta, OWN_LIMIT if method == OURS else limit)
                    if isinstance(found, Unanswered):
                        given_up[method] = size
                        bench.add(Row(name, method, note=found.why, spent=found.spent))
                        continue
                    timing, memory = found
                    answers[method] = epsilon(J, theta, timing.result)
                    figures = {"excess": answers[method] - min(answers.values())}
                    if method == OURS:
                        exact = direction(J, 0.0)
                        figures = {"exact": epsilon(J, exact, by_ours(J, exact))}
                        seconds.append(timing.median)
                    bench.add(
                        Row(
                            name, method, timing.seconds, answers[method], memory=memory,
                            figures=figures,
                        )
                    )  # fmt: skip
                ratios = bench.ratios(name)
                if ratios:
                    fastest = min(ratios.values(), key=lambda one: one.value)
                    what = f"{name}: fastest peer / ours{fastest.words}"
                    bench.target(what, fastest.value, 1.0)
                del J
            if len(seconds) == len(sizes) > 1:
                bench.growth(f"{OURS}, |S| = {count}", "d", sizes, seconds)


if __name__ == "__main__":
    words = sys.argv[1:]
    main(float(words[0]) if words else LIMIT, int(float(words[1])) if words[1:] else SIZES[-1])
