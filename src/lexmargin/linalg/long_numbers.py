"""Arrays of long numbers (``flint.arb``), their norms, and doubles near them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

import numpy as np

from lexmargin.linalg.norms import Array

__all__ = [
    "Big",
    "big",
    "dual_exponent",
    "eye",
    "linear_solve",
    "linear_solve_many",
    "long_numbers",
    "mid",
    "norm",
    "power_gradient",
    "power_hessian",
    "precision",
    "product",
    "ratio",
    "rounded",
]

_BITS: Final = 1000
"""A barrier's Hessian holds squares of slacks: 400 bits for their gap, and room for all scales."""
_BALLS: Final = 160
"""Bits of the balls: radii of 2⁻⁷⁰ beside a condition of 1e13 take 114, the rest is room."""

Big = Any
"""An array of ``flint.arb`` (dtype object), or one of them."""


@contextmanager
def precision(bits: int = _BALLS) -> Iterator[None]:
    """Compute in balls of so many bits, and leave FLINT's precision as it was."""
    from flint import ctx

    before = ctx.prec
    ctx.prec = bits
    try:
        yield
    finally:
        ctx.prec = before


def long_numbers() -> AbstractContextManager[None]:
    """Compute in long numbers, and leave FLINT's precision as it was."""
    return precision(_BITS)


def big(values: Array) -> Big:
    from flint import arb

    return np.frompyfunc(lambda x: arb(float(x)), 1, 1)(np.asarray(values, dtype=np.float64))


def ratio(numerator: int, denominator: int) -> Any:
    from flint import arb, fmpz

    return (arb(fmpz(numerator)) / arb(fmpz(denominator))).mid()


mid = np.frompyfunc(lambda x: x.mid(), 1, 1)


def norm(v: Big, p: Any) -> Any:
    from flint import arb

    sizes = [abs(x) for x in v]
    if p == np.inf:
        return max(sizes)
    if p == 1.0:
        return sum(sizes, arb(0)).mid()
    if p == 2.0:
        return sum((x * x for x in sizes), arb(0)).mid().sqrt().mid()
    powers = (x ** arb(p) for x in sizes if x > 0)
    return (sum(powers, arb(0)).mid() ** (1 / arb(p))).mid()


def power_gradient(x: Big, p: Any) -> Big:
    """Return ``∇½‖x‖_p²``, 1 < p < ∞."""
    from flint import arb

    if p == 2.0:
        return x
    size = norm(x, p)
    if not size > 0:
        return x
    bent = [((abs(v) / size) ** (arb(p) - 1)).mid() if v != 0 else arb(0) for v in x]
    return mid(np.array([size * (b if v > 0 else -b) for v, b in zip(x, bent, strict=True)]))


def power_hessian(x: Big, p: Any) -> Big:
    """Return ``∇²½‖x‖_p²``, p >= 2."""
    from flint import arb

    if p == 2.0:
        return eye(len(x))
    size = norm(x, p)
    unit = [abs(v) / size for v in x]
    slope = [
        (u ** (arb(p) - 1)).mid() * (1 if v > 0 else -1) if v != 0 else arb(0)
        for u, v in zip(unit, x, strict=True)
    ]
    found = np.array([[(2 - arb(p)) * a * b for b in slope] for a in slope], dtype=object)
    for i, u in enumerate(unit):
        found[i, i] += (arb(p) - 1) * ((u ** (arb(p) - 2)).mid() if u > 0 else 0)
    return mid(found)


def eye(size: int) -> Big:
    from flint import arb

    return np.array([[arb(int(i == j)) for j in range(size)] for i in range(size)], dtype=object)


def product(left: Big, right: Big) -> Big:
    """Return the product of two matrices, its entries rounded."""
    from flint import arb_mat

    found = arb_mat(left.tolist()) * arb_mat(right.tolist())
    return mid(np.array(found.tolist(), dtype=object))


def linear_solve(matrix: Big, right: Big) -> Big | None:
    from flint import arb_mat

    size = len(right)
    try:
        found = arb_mat(matrix.tolist()).solve(arb_mat(size, 1, right.tolist()))
    except ZeroDivisionError:
        return None
    return np.array([found[i, 0].mid() for i in range(size)], dtype=object)


def rounded(rows: Big, x: Big) -> Array:
    """Return x in doubles, the error of each entry made good by those that are not rounded yet.

    The entry whose rounding moves ``rows @ x`` furthest is rounded first, and the rest moves so
    that the products stay what they were, as far as it can.
    """
    from flint import arb

    left = list(range(len(x)))
    now = x.copy()
    reach = {j: float(max(abs(v) for v in rows[:, j]) * abs(x[j])) for j in left}
    result = np.zeros(len(x))
    while left:
        j = max(left, key=reach.__getitem__)
        left.remove(j)
        result[j] = float(now[j])
        error = now[j] - arb(result[j])
        if not left or error == 0:
            continue
        # Column j times the error, spread over the others by weighted least squares: no entry
        # moves by more than its own rounding is worth.
        scale = np.array([abs(x[k]) if x[k] != 0 else arb(0) for k in left], dtype=object)
        columns = rows[:, left] * scale
        gram = mid(columns.T @ columns)
        trace = sum(gram[i, i] for i in range(len(left)))
        if not trace > 0:
            continue
        for i in range(len(left)):
            gram[i, i] += trace * arb(2) ** -150
        move = linear_solve(gram, mid(columns.T @ (rows[:, j] * error)))
        if move is not None:
            for k, m, s in zip(left, move, scale, strict=True):
                now[k] = (now[k] + m * s).mid()
    return result


def dual_exponent(p: float) -> Any:
    """Return the conjugate exponent, a long number where it is none of 1, 2 and ∞."""
    from flint import arb

    if p in (1.0, 2.0, math.inf):
        return {1.0: math.inf, 2.0: 2.0, math.inf: 1.0}[p]
    return (arb(p) / (arb(p) - 1)).mid()


def linear_solve_many(matrix: Big, right: Big) -> Big | None:
    from flint import arb_mat

    try:
        found = arb_mat(matrix.tolist()).solve(arb_mat(right.tolist()))
    except ZeroDivisionError:
        return None
    return np.array([[x.mid() for x in row] for row in found.tolist()], dtype=object)
