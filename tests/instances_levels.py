"""References of lexicographic levels (Definition 5): exact ones, and rivals of larger samples.

In the ℓ1 and ℓ∞ balls Bland's simplex method in fractions fills level by level. For 1 < p < ∞ one
direction is the answer: an active set and Newton's method with 120 digits find it, and its KKT
conditions prove it. Of more samples than fractions can take HiGHS looks for a better point.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Final

import mpmath as mp
import numpy as np
from scipy.optimize import linprog

from exact_leximin import maximise
from instances_samples import Array

__all__ = ["levels_apart"]

DIGITS: Final = 120
_SMALL: Final = 1e-40
"""Part of a margin that counts as nothing among 120 digits."""
_ENTRIES: Final = 130
"""Entries of Z up to which fractions take seconds."""
_CHANGES: Final = 60
_NEWTON: Final = 40
_TIGHT: Final = 1e-9


def levels_apart(Z: Array, theta: Array, norm: float, count: int) -> float:
    """Return the largest distance of the smallest margins of θ from the best, over the first.

    NaN where the reference finds nothing better, and cannot tell.
    """
    if 1.0 < norm < math.inf:
        with mp.workdps(DIGITS):
            best = _round_levels(Z, theta, norm)
            if best is None:
                return math.nan
            given = _given(Z, theta, norm)
            pairs = zip(given[:count], best[:count], strict=True)
            return float(max(abs(a - b) for a, b in pairs) / best[0])
    point = [Fraction(float(x)) for x in theta]
    rows = [[Fraction(float(x)) for x in row] for row in Z]
    length = sum(map(abs, point)) if norm == 1.0 else max(map(abs, point))
    given = sorted(sum(a * b for a, b in zip(row, point, strict=True)) / length for row in rows)
    if Z.size <= _ENTRIES:
        best = _filled(rows, norm, count)
        return float(max(abs(a - b) for a, b in zip(given[:count], best, strict=True)) / best[0])
    other = _rival(Z, norm, count)
    if other is None:
        return math.nan
    for a, b in zip(given[:count], other, strict=True):
        if b > a + Fraction(1, 10**6) * given[0]:
            return float((b - a) / given[0])
        if b < a - Fraction(1, 10**9) * given[0]:
            break
    return math.nan


def _given(Z: Array, theta: Array, norm: float) -> list[Any]:
    x = [mp.mpf(float(v)) for v in theta]
    size = mp.fsum(abs(v) ** mp.mpf(norm) for v in x) ** (1 / mp.mpf(norm))
    return sorted(mp.fdot([mp.mpf(float(a)) for a in row], x) / size for row in Z)


# -- balls without flat faces ----------------------------------------------------------------------


def _round_levels(Z: Array, theta: Array, norm: float) -> list[Any] | None:
    """Return the sorted margins of the one best direction; None where it is not found."""
    rows = [[mp.mpf(float(a)) for a in row] for row in Z]
    start = [mp.mpf(float(v)) for v in theta]
    margins = [mp.fdot(row, start) for row in rows]
    least = min(margins)
    for share in (1e-12, 1e-9, 1e-6, 1e-3):
        active = [n for n, m in enumerate(margins) if m <= least * (1 + share)]
        w = _settled(rows, [v / least for v in start], mp.mpf(norm), active)
        if w is not None:
            size = mp.fsum(abs(v) ** mp.mpf(norm) for v in w) ** (1 / mp.mpf(norm))
            return sorted(mp.fdot(row, w) / size for row in rows)
    return None


def _settled(rows: list[Any], begin: list[Any], p: Any, active: list[int]) -> list[Any] | None:
    """Return w with ``z_n·w ≥ 1`` and ``J(w) = Σ λ_n z_n``, λ ≥ 0 where it is 1."""
    w = begin
    for _ in range(_CHANGES):
        active = _independent(rows, active)
        found = _newton([rows[n] for n in active], w, p)
        if found is None:
            return None
        point, weights = found
        falling = [n for n, x in zip(active, weights, strict=True) if x < 0]
        if falling:
            lowest = min(zip(weights, active, strict=True))[1]
            active = [n for n in active if n != lowest]
            continue
        margins = [mp.fdot(row, point) for row in rows]
        worst = min(range(len(rows)), key=margins.__getitem__)
        if margins[worst] > 1 - mp.mpf(_SMALL):
            return point
        if worst in active:
            return None
        active, w = [*active, worst], point
    return None


def _independent(rows: list[Any], active: list[int]) -> list[int]:
    """Return some of the rows that are independent, the last ones first: those that entered."""
    basis: list[list[Any]] = []
    kept = []
    for n in reversed(active):
        rest = list(rows[n])
        for b in basis:
            along = mp.fdot(rest, b)
            rest = [x - along * y for x, y in zip(rest, b, strict=True)]
        size = mp.sqrt(mp.fdot(rest, rest))
        if size > mp.mpf(_SMALL) * mp.sqrt(mp.fdot(rows[n], rows[n])):
            basis.append([x / size for x in rest])
            kept.append(n)
    return kept[::-1]


def _newton(rows: list[Any], w: list[Any], p: Any) -> tuple[list[Any], list[Any]] | None:
    """Return w and λ with ``z_n·w = 1`` and ``sign(w)|w|^{p-1} = Σ λ_n z_n``."""
    count, size = len(rows), len(w)
    for _ in range(_NEWTON):
        inverse = [abs(v) ** (2 - p) / (p - 1) if v else mp.mpf(0) for v in w]
        matrix = mp.matrix(count, count)
        for a in range(count):
            for b in range(count):
                matrix[a, b] = mp.fsum(
                    x * y * s for x, y, s in zip(rows[a], rows[b], inverse, strict=True)
                )
        keep = 1 - 1 / (p - 1)
        right = mp.matrix([1 - keep * mp.fdot(row, w) for row in rows])
        try:
            weights = list(mp.lu_solve(matrix, right))
        except ZeroDivisionError:
            return None
        moved = [
            keep * w[j]
            + inverse[j] * mp.fsum(x * row[j] for x, row in zip(weights, rows, strict=True))
            for j in range(size)
        ]
        change = max(abs(a - b) / (abs(a) + mp.mpf(_SMALL)) for a, b in zip(moved, w, strict=True))
        w = moved
        if change < mp.mpf(_SMALL):
            return w, weights
    return None


# -- balls with flat faces -------------------------------------------------------------------------


def _filled(rows: list[list[Fraction]], norm: float, count: int) -> list[Fraction]:
    """Return the ``count`` smallest margins at the lexicographic optimum, in fractions."""
    size = len(rows[0])
    zero, one = Fraction(0), Fraction(1)
    if norm == 1.0:
        ball = [[one] * (2 * size) + [zero]]
    else:
        ball = [
            [one if k % size == j else zero for k in range(2 * size)] + [zero] for j in range(size)
        ]
    known: dict[int, Fraction] = {}
    while len(known) < count:
        free = [n for n in range(len(rows)) if n not in known]

        def bounds(level: Fraction | None) -> tuple[list[list[Fraction]], list[Fraction]]:
            A, b = list(ball), [one] * len(ball)
            for n, z in enumerate(rows):
                signed = [-x for x in z] + list(z)
                held = known.get(n, level)
                A.append([*signed, zero if held is not None else one])
                b.append(-held if held is not None else zero)
            return A, b

        level, x = maximise([zero] * (2 * size) + [one], *bounds(None))
        assert known or level > 0
        loose: set[int] = set()

        def seen(x: list[Fraction], level: Fraction = level, free: list[int] = free) -> set[int]:
            theta = [a - b for a, b in zip(x[:size], x[size : 2 * size], strict=True)]
            scores = {n: sum(a * b for a, b in zip(rows[n], theta, strict=True)) for n in free}
            return {n for n, s in scores.items() if s > level}

        loose |= seen(x)
        for n in free:
            if n in loose:
                continue
            best, x = maximise([*rows[n], *(-a for a in rows[n]), zero], *bounds(level))
            loose |= seen(x)
            if best == level:
                known[n] = level
    return sorted(known.values())[:count]


def _rival(Z: Array, norm: float, count: int) -> list[Fraction] | None:
    """Return the exact sorted margins of a point that HiGHS fills level by level, or None."""
    lengths = np.linalg.norm(Z, axis=1)
    N, size = Z.shape
    known: dict[int, float] = {}
    theta = None
    scale = float(np.max(np.abs(Z)))
    unit = 1.0
    for _ in range(count):
        table = [[*(-Z[n] / lengths[n]), *(Z[n] / lengths[n])] for n in range(N)]
        t = [0.0 if n in known else unit / lengths[n] for n in range(N)]
        right = [-known[n] / lengths[n] if n in known else 0.0 for n in range(N)]
        A, b = np.column_stack([table, t]), np.array(right)
        if norm == 1.0:
            A = np.vstack([A, np.append(np.ones(2 * size), 0.0)])
            b = np.append(b, 1.0)
        box = [(0.0, 1.0)] * (2 * size) + [(0.0, None)]
        cost = np.append(np.zeros(2 * size), -1.0)
        found = linprog(cost, A_ub=A, b_ub=b, bounds=box, method="highs")
        if found.x is None or not found.x[-1] > 0.0:
            break
        theta = found.x[:size] - found.x[size : 2 * size]
        level = float(found.x[-1]) * unit
        if not known:
            unit = level if level > 0.0 else scale
        weights = -np.asarray(found.ineqlin.marginals)[:N] * np.array(t)
        fresh = [n for n in range(N) if n not in known and weights[n] > _TIGHT * np.sum(weights)]
        if not fresh:
            break
        known |= {n: level * (1.0 - _TIGHT) for n in fresh}
    if theta is None or not np.any(theta):
        return None
    point = [Fraction(float(x)) for x in theta]
    length = sum(map(abs, point)) if norm == 1.0 else max(map(abs, point))
    exact = (
        sum(Fraction(float(a)) * b for a, b in zip(row, point, strict=True)) / length for row in Z
    )
    return sorted(exact)[:count]
