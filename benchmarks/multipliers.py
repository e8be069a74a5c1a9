"""Multipliers of a given direction: ours beside scipy's nnls, QR + nnls, Gram + nnls and Clarabel.

The problem is `min_{λ ≥ 0} ‖θ̂ - Jᵀλ‖₂`, J of |S| rows and d columns. Half of the rows carry weight
and θ̂ is 1e-3 away from their cone; further kinds of rows are correlated, duplicated, of rank 100,
or have θ̂ far outside. ε is recomputed here from the λ each returned, by one function; "gap" is how
much larger it is than ours.
A method that gave no answer for some d is not tried for a larger one.
Usage: python benchmarks/multipliers.py [--seed S] [--seeds K] [--limit SECONDS] [--only WORD]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from cases import Case, Judgement, grow, measure, slower, warm_up
from common import Bench, Options, Role, options
from instances import disturbed, multiplier_rows
from measure import available_memory

from lexmargin.judge.multipliers.multiplier_set import nonnegative_multipliers
from lexmargin.ops.base import FloatArray

LIMIT: Final = 6.0
OURS: Final = "lexmargin"
KINDS: Final = ("correlated", "duplicated", "outside", "rank 100")
SIZES: Final = ((100, (1_000, 10_000, 50_000, 200_000)), (1000, (1_000, 10_000, 50_000, 200_000)))
WORSE: Final = 1e-14
"""A residual that is larger than the best by so much is worse."""
Method = Callable[[FloatArray, FloatArray], FloatArray]


def by_ours(J: FloatArray, theta: FloatArray) -> FloatArray:
    """Return λ as the certificate seeks them."""
    return nonnegative_multipliers(J, theta).multipliers


def by_scipy(J: FloatArray, theta: FloatArray) -> FloatArray:
    """Return λ of scipy's nnls."""
    from scipy.optimize import nnls

    return np.asarray(nnls(J.T, theta)[0])


def by_qr(J: FloatArray, theta: FloatArray) -> FloatArray:
    """Return λ of nnls in the coordinates of a thin QR of Jᵀ."""
    Q, R = np.linalg.qr(J.T)
    return by_scipy(R.T, Q.T @ theta)


def by_gram(J: FloatArray, theta: FloatArray) -> FloatArray:
    """Return λ of nnls on the Cholesky factor of J Jᵀ."""
    K = J @ J.T
    K[np.diag_indices(len(K))] *= 1.0 + 1e-13
    L = np.linalg.cholesky(K)
    return by_scipy(L, np.linalg.solve(L, J @ theta))


def by_clarabel(J: FloatArray, theta: FloatArray) -> FloatArray:
    """Return λ of CVXPY and Clarabel."""
    import cvxpy as cp

    x = cp.Variable(J.shape[0], nonneg=True)
    cp.Problem(cp.Minimize(cp.norm(theta - J.T @ x))).solve(solver="CLARABEL")
    return np.maximum(np.asarray(x.value), 0.0)


METHODS: Final[dict[str, tuple[Method, float]]] = {
    # Copies of J that each needs beside it, as measured on the sizes that fit.
    OURS: (by_ours, 0.1),
    "Gram + nnls": (by_gram, 0.1),
    "QR + nnls": (by_qr, 2.1),
    "scipy nnls": (by_scipy, 1.1),
    "CVXPY + Clarabel": (by_clarabel, 4.0),
}


def epsilon(J: FloatArray, theta: FloatArray, values: FloatArray) -> float:
    """Return ε = ‖θ̂ - Jᵀλ‖."""
    return float(np.linalg.norm(theta - np.maximum(values, 0.0) @ J))


def case(name: str, J: FloatArray, theta: FloatArray, methods: tuple[str, ...]) -> Case[FloatArray]:
    """Return the case of one pair J, θ̂ for the methods that fit into memory."""
    mine: list[float] = []

    def judged(values: FloatArray) -> Judgement:
        found = epsilon(J, theta, values)
        mine.append(found)
        return Judgement(found, gap=max(0.0, found - mine[0]))

    def way(method: Method) -> Callable[[], FloatArray]:
        return lambda: method(J, theta)

    fitting = [m for m in methods if METHODS[m][1] * J.nbytes < available_memory()]
    return Case(name, {m: way(METHODS[m][0]) for m in fitting}, judged, float(J.nbytes), ours=OURS)


def goals(bench: Bench, name: str) -> None:
    """State the goals: never slower than 1.1 times the best, and no worse residual."""
    fastest = bench.fastest(name)
    slower(bench, name, fastest, 1.1, against=f"fastest peer ({fastest.method})" if fastest else "")
    own = bench.own(name)
    best = [row.stationarity for row in bench.rows(name) if row.role is Role.PEER and row.seconds]
    if own is not None and best:
        above = own.stationarity - min(best)
        bench.target(f"{name}: ε above the best", above, WORSE, at_least=False)


def many_columns(bench: Bench, asked: Options) -> None:
    """Independent rows, up to many columns."""
    for count, sizes in SIZES:
        given_up: set[str] = set()
        for size in sizes:
            name = f"|S| = {count}, d = {size}"
            if not asked.wants(name) or 1.2 * 8.0 * count * size > available_memory():
                continue
            J, theta = multiplier_rows(bench.generator(21, count, size), "", count, size)
            methods = tuple(m for m in METHODS if m not in given_up)
            found = measure(bench, case(name, J, theta, methods), asked)
            given_up |= {method for method, row in found.items() if not row.seconds}
            goals(bench, name)
            exact = disturbed(bench.generator(22, count, size), J, 0.0)
            reached = epsilon(J, exact, by_ours(J, exact))
            bench.target(f"{name}: ε inside the cone", reached, 1e-14, at_least=False)
            del J


def kinds(bench: Bench, asked: Options) -> None:
    """Square J of every kind, and few rows of a million columns."""
    for index, (kind, count, size) in enumerate(
        [*((kind, 1000, 1000) for kind in KINDS), ("independent", 10, 1_000_000)]
    ):
        name = f"{kind}, |S| = {count}, d = {size}"
        if not asked.wants(name):
            continue
        J, theta = multiplier_rows(bench.generator(23, index), kind, count, size)
        methods = tuple(METHODS)[: -1 if count == 10 else None]
        measure(bench, case(name, J, theta, methods), asked)
        goals(bench, name)
        if count == 1000:

            def sized(n: int, index: int = index, kind: str = kind) -> Case[FloatArray]:
                rows = multiplier_rows(bench.generator(23, index, n), kind, n, 1000)
                return case("", *rows, (OURS,))

            grow(bench, f"{OURS}, {kind}, d = 1000", "|S|", (125, 250, 500, 1000), sized)
        else:

            def longer(d: int) -> Case[FloatArray]:
                rows = multiplier_rows(bench.generator(24, d), "", 10, d)
                return case("", *rows, (OURS,))

            sizes = (125_000, 250_000, 500_000, 1_000_000)
            grow(bench, f"{OURS}, |S| = 10", "d", sizes, longer)


def main() -> None:
    """Print the tables."""
    asked = options(__doc__, LIMIT)
    warm_up()
    title = "Multipliers of a given direction, CPU seconds"
    with Bench("multipliers", title, OURS, asked.seeds) as bench:
        for _ in bench.each_seed():
            kinds(bench, asked)
            many_columns(bench, asked)


if __name__ == "__main__":
    main()
