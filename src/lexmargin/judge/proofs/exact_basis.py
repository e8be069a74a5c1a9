"""Exact solutions of the ℓ1 and ℓ∞ max-margin programs from a basis found in floats."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from lexmargin.errors import SolverFailedError
from lexmargin.linalg.exact import combination, matvec, to_fractions
from lexmargin.linalg.guarded import linear_program
from lexmargin.linalg.norms import Array

__all__ = ["polyhedral_pair", "solve_near"]

_ZERO, _ONE = Fraction(0), Fraction(1)
_TOLERANCES = (1e-9, 1e-7, 1e-11, 1e-5)
"""Where to cut a float answer's basis, likeliest first; a wrong cut fails exactly, it proves
nothing."""


def polyhedral_pair(
    Z: Array, norm: float
) -> tuple[tuple[Fraction, ...], dict[int, Fraction], Fraction]:
    """Return θ of norm 1, weights p and γ* with `min z_n·θ = γ* = ‖Zᵀp‖_*`, all exact.

    Args:
        Z: (N, d) rows z_n.
        norm: 1 or inf.

    Raises:
        SolverFailedError: no basis seen in the float solution solves the program exactly.
    """
    theta, share = _floats(Z, norm)
    for tolerance in _TOLERANCES:
        found = _one(Z, norm, theta, share, tolerance)
        if found is not None:
            return found
    raise SolverFailedError(
        "The basis of the linear program is not that of an exact solution.",
        "The data have a tie finer than the linear program's tolerances.",
    )


def _floats(Z: Array, norm: float) -> tuple[Array, Array]:
    """Solve `max t s.t. z_n·θ ≥ t, ‖θ‖ ≤ 1` in floats; return θ and p."""
    count, size = Z.shape
    scale = 2.0 ** math.frexp(float(np.max(np.abs(Z))) or 1.0)[1]
    rows = Z / scale
    if norm == 1.0:
        matrix = np.hstack([-rows, rows, np.ones((count, 1))])
        ball = np.append(np.ones(2 * size), 0.0)[None, :]
        bounds: list[Any] = [(0.0, None)] * (2 * size) + [(None, None)]
    else:
        matrix = np.hstack([-rows, np.ones((count, 1))])
        ball = np.zeros((0, size + 1))
        bounds = [(-1.0, 1.0)] * size + [(None, None)]
    cost = np.zeros(matrix.shape[1])
    cost[-1] = -1.0
    answer = linear_program(
        cost,
        A_ub=np.vstack([matrix, ball]),
        b_ub=np.append(np.zeros(count), np.ones(ball.shape[0])),
        bounds=bounds,
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if answer.x is None:
        raise SolverFailedError(
            "The linear program of the max margin was not solved.", "Rescale the data."
        )
    x = np.asarray(answer.x)
    theta = x[:size] - x[size : 2 * size] if norm == 1.0 else x[:size]
    return theta, np.maximum(-np.asarray(answer.ineqlin.marginals)[:count], 0.0)


def _one(
    Z: Array, norm: float, theta: Array, share: Array, tolerance: float
) -> tuple[tuple[Fraction, ...], dict[int, Fraction], Fraction] | None:
    support = [int(n) for n in np.flatnonzero(share > tolerance)]
    g = share @ Z
    size = float(np.max(np.abs(g), initial=0.0))
    margins = Z @ theta
    level = float(np.min(margins))
    if not support or size == 0.0 or not level > 0.0:
        return None
    # All tight constraints, not just those of the basis: a vertex is the only point they allow.
    tight = np.flatnonzero(margins <= level * (1.0 + tolerance)).tolist()
    if norm == 1.0:
        moving = np.flatnonzero(np.abs(theta) > tolerance).tolist()
        signs = {j: 1 if theta[j] > 0.0 else -1 for j in moving}
        fixed: dict[int, Fraction] = {}
        level_columns = np.flatnonzero(np.abs(g) >= size * (1.0 - tolerance)).tolist()
        flat = {j: 1 if g[j] > 0.0 else -1 for j in level_columns}
    else:
        moving = np.flatnonzero(np.abs(theta) < 1.0 - tolerance).tolist()
        signs = dict.fromkeys(moving, 1)
        fixed = {
            j: Fraction(1 if theta[j] > 0.0 else -1) for j in range(theta.size) if j not in signs
        }
        flat = dict.fromkeys(np.flatnonzero(np.abs(g) <= tolerance * size).tolist(), 1)
    exact = {n: to_fractions(Z[n].tolist()) for n in {*support, *tight}}
    weights = _weights({n: exact[n] for n in support}, flat, share, norm)
    point = _point([exact[n] for n in tight], moving, signs, fixed, theta, norm)
    if weights is None or point is None or any(p < 0 for p in weights.values()):
        return None
    theta_exact = tuple(point.get(j, _ZERO) for j in range(theta.size))
    total = [weights.get(n, _ZERO) for n in range(Z.shape[0])]
    dual = combination(total, Z)
    if norm == 1.0:
        length = sum((abs(x) for x in theta_exact), _ZERO)
        bound = max(abs(x) for x in dual)
    else:
        length = max(abs(x) for x in theta_exact)
        bound = sum((abs(x) for x in dual), _ZERO)
    margin = min(matvec(Z, theta_exact))
    return (theta_exact, weights, margin) if length == 1 and margin == bound else None


def _weights(
    exact: dict[int, tuple[Fraction, ...]],
    flat: dict[int, int],
    share: Array,
    norm: float,
) -> dict[int, Fraction] | None:
    """Solve `Σp = 1` with `s_j (Zᵀp)_j = γ` (ℓ1) or `(Zᵀp)_j = 0` (ℓ∞) where these are tight."""
    support = list(exact)
    level = [-_ONE] if norm == 1.0 else []
    table = [[*(s * exact[n][j] for n in support), *level, _ZERO] for j, s in flat.items()]
    table.append([*([_ONE] * len(support)), *([_ZERO] * len(level)), _ONE])
    near = [Fraction(float(share[n])) for n in support] + [_ZERO] * len(level)
    solved = solve_near(table, near)
    return None if solved is None else dict(zip(support, solved, strict=False))


def _point(
    rows: list[tuple[Fraction, ...]],
    moving: list[int],
    signs: dict[int, int],
    fixed: dict[int, Fraction],
    theta: Array,
    norm: float,
) -> dict[int, Fraction] | None:
    """Solve `z_n·θ = γ` on the tight rows for the free coordinates of θ, and γ."""
    table = []
    for row in rows:
        known = sum((row[j] * x for j, x in fixed.items()), _ZERO)
        table.append([*(row[j] for j in moving), -_ONE, -known])
    if norm == 1.0:
        table.append([*(Fraction(signs[j]) for j in moving), _ZERO, _ONE])
    near = [Fraction(float(theta[j])).limit_denominator(10**6) for j in moving] + [_ZERO]
    solved = solve_near(table, near)
    if solved is None:
        return None
    return fixed | dict(zip(moving, solved, strict=False))


def solve_near(table: list[list[Fraction]], near: list[Fraction]) -> list[Fraction] | None:
    """Solve the augmented system `[A | b]`; variables that are not determined take ``near``."""
    from flint import fmpq, fmpq_mat

    size = len(near)
    entries = [fmpq(x.numerator, x.denominator) for row in table for x in row]
    matrix, rank = fmpq_mat(len(table), size + 1, entries).rref()
    solution = list(near)
    for i in range(int(rank)):
        row = [Fraction(int(matrix[i, j].p), int(matrix[i, j].q)) for j in range(size + 1)]
        pivot = next(j for j, x in enumerate(row) if x != 0)
        if pivot == size:
            return None
        rest = sum((row[j] * solution[j] for j in range(pivot + 1, size) if row[j] != 0), _ZERO)
        solution[pivot] = row[size] - rest
    return solution
