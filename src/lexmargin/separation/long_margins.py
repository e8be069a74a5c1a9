"""Linear hard margins in any norm in long numbers, for small samples of any scale.

Rows and columns whose sizes differ by ten powers of ten, or samples far from the origin beside a
bias that counts, have margins below the rounding of doubles; here no scale is large.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, final

import numpy as np

from lexmargin.linalg.long_barriers import dual_path, primal_path
from lexmargin.linalg.long_numbers import (
    Big,
    big,
    dual_exponent,
    linear_solve,
    long_numbers,
    mid,
    norm,
    power_gradient,
    ratio,
    rounded,
)
from lexmargin.ops.base import FloatArray
from lexmargin.separation.exact_vertices import exact_vertex
from lexmargin.separation.gordan import separability_of_rows
from lexmargin.separation.long_measures import measured, terms_of

__all__ = ["LongMargin", "LongMultipliers", "long_margin", "long_multipliers"]

_SHARPER: Final = 8
"""Newton steps from 60 digits: each doubles them, up to those of the numbers."""
_RIDGE_BITS: Final = 300
"""Of a matrix that dependent rows make singular: a third of the digits, and steps stay fast."""
_SCALES: Final = 200
"""Lengths of θ that are tried for one whose rounding is small: each costs a millisecond."""
_STEP_OF_SCALES: Final = 2.0**-33
"""Between lengths: 200 of them stay within 2.4e-8, what may be missing of a unit norm."""
_FINE: Final = 1e-8
"""Part of the margin that rounding may cost: a tenth of the certificate's tolerance."""


@final
@dataclass(frozen=True, eq=False)
class LongMargin:
    """θ (d,) and λ (N,) >= 0 with ‖Zᵀλ‖_* = 1, rounded so that errors cancel in Zθ and Zᵀλ.

    ``margin`` of θ/‖θ‖ and ``bound = ‖Zᵀλ‖_*/Σλ`` are those of the rounded numbers, measured in
    long ones.
    """

    theta: FloatArray
    multipliers: FloatArray
    margin: float
    bound: float


def long_margin(
    Z: FloatArray,
    p: float,
    deadline: float,
    length: Callable[[LongMargin], float] | None = None,
    levels: int = 1,
) -> LongMargin | None:
    """Return the answer of ``max t  s.t.  z_n·w >= t, ‖w‖_p <= 1`` (eq. 6).

    Args:
        Z: (N, d) rows z_n, finite.
        p: of the norm, >= 1.
        deadline: ``time.monotonic()`` at which to give up.
        length: the norm that θ is to have, from the answer of norm 1; 1 if None.
        levels: how many of the smallest margins are to be best in order (Definition 5).

    Returns:
        None where nothing separates the rows, or the steps do not end.
    """
    with long_numbers():
        pair = _pair(Z, p, deadline, levels)
        if pair is None:
            return None
        found = _in_doubles(Z, pair, p, 1.0)
        size = 1.0 if length is None else length(found)
        if size == 1.0 or not 0.0 < size < math.inf:
            return found
        return _in_doubles(Z, pair, p, size)


def _in_doubles(Z: FloatArray, pair: tuple[Big, Big, Big], p: float, size: float) -> LongMargin:
    rows, theta, share = pair
    in_doubles = _least_rounded(rows[_support(rows @ theta, share)], theta, size)
    multipliers = _shown(rows, share, p)
    found = measured(Z, in_doubles, (multipliers,), p)
    margin, bound = (-math.inf, math.inf) if found is None else (found.margin, found.bound)
    return LongMargin(in_doubles, multipliers, margin, bound)


def _least_rounded(rows: Big, theta: Big, size: float) -> FloatArray:
    """Return θ of about that size in doubles, the rows' margins as little changed as is found."""
    margins = rows @ theta
    best, least = np.zeros(len(theta)), math.inf
    for k in range(_SCALES):
        scale = size * (1.0 - k * _STEP_OF_SCALES)
        found = rounded(rows, mid(theta * scale))
        change = max(float(abs(x)) for x in (rows @ big(found)) / scale / margins - 1)
        if change < least:
            best, least = found, change
        if least <= _FINE:
            break
    return best


def _pair(Z: FloatArray, p: float, deadline: float, levels: int = 1) -> tuple[Big, Big, Big] | None:
    """Return the rows, θ of norm 1 and λ with Σλ = 1, in long numbers."""
    rows = big(Z)
    if p in (1.0, math.inf):
        vertex = exact_vertex(Z, p, levels, deadline)
        if vertex is None:
            return None
        return rows, _long(vertex.theta), _long(vertex.chain[0])
    found = separability_of_rows(Z)
    if found.weights is None:
        return None
    if 1.0 < p < 2.0:
        lam = dual_path(rows, p, deadline)
        if lam is None:
            return None
        w = power_gradient(rows.T @ lam, dual_exponent(p))
    else:
        pair = primal_path(rows, _long(found.weights), p, deadline)
        if pair is None:
            return None
        w, lam = pair
    if not min(rows @ w, key=float) > 0:
        return None
    w, lam = _sharpened(rows, w, lam, p)
    return rows, mid(w / norm(w, p)), mid(lam / sum(lam))


def _long(values: Sequence[Fraction]) -> Big:
    return np.array([ratio(x.numerator, x.denominator) for x in values], dtype=object)


def _sharpened(rows: Big, w: Big, lam: Big, p: float) -> tuple[Big, Big]:
    """Return w and λ with `z_n·w = 1` on the support and `J(w) = Zᵀλ`, by Newton's method.

    A gap g leaves an error of order g in λ, and for p > 2 one of g^{1/p} in the direction that λ
    supports: beside samples far from the origin that is more than the margin.
    """
    from flint import arb

    support = _support(rows @ w, lam)
    chosen, bend = rows[support], 1 / (arb(p) - 1)
    mu, best = lam[support], (w, lam, arb(1))
    for _ in range(_SHARPER):
        pull = mid(chosen.T @ mu)
        point = mid(np.array([_bent(u, bend) for u in pull], dtype=object))
        reached = mid(chosen @ point)
        if not min(reached) > 0:
            break
        level = (sum(reached) / len(support)).mid()
        mu, point = mid(mu / level ** (1 / bend)), mid(point / level)
        missing = mid(1 - chosen @ point)
        error = max(abs(x) for x in missing)
        inside = min(mu) >= 0 and min(rows @ point) > 1 - 2 * error
        if inside and error < best[2]:
            sharper = np.array([arb(0)] * len(lam), dtype=object)
            sharper[support] = mu
            best = (point, sharper, error)
        slopes = np.array([arb(0) if v == 0 else bend * abs(v) ** (2 - arb(p)) for v in point])
        matrix = mid((chosen * slopes) @ chosen.T)
        for i in range(len(support)):
            # Equal rows share their weight as they did.
            matrix[i, i] = (matrix[i, i] * (1 + arb(2) ** -_RIDGE_BITS)).mid()
        step = linear_solve(matrix, missing)
        if step is None:
            break
        mu = mid(mu + step)
    return best[0], best[1]


def _support(margins: Big, lam: Big) -> list[int]:
    """Return the samples that carry weight: of `λ_n (f_n - γ) ≤ g` the larger factor says which."""
    lowest, total = min(margins), sum(lam)
    return [n for n in range(len(lam)) if lam[n] / total > margins[n] / lowest - 1]


def _bent(u: Any, bend: Any) -> Any:
    if u == 0:
        return u
    size = (abs(u) ** bend).mid()
    return size if u > 0 else -size


@final
@dataclass(frozen=True, eq=False)
class LongMultipliers:
    """λ (N,) >= 0 of the best direction: ``terms`` whose sum it is, and the doubles nearest to it.

    ``rounded`` has ‖Zᵀλ‖_* = 1.
    """

    terms: tuple[FloatArray, ...]
    rounded: FloatArray


def long_multipliers(Z: FloatArray, p: float, deadline: float) -> LongMultipliers | None:
    """Return λ of the best direction; None where there is none, or the steps do not end.

    Args are those of :func:`long_margin`.
    """
    with long_numbers():
        pair = _pair(Z, p, deadline)
        if pair is None:
            return None
        rows, _, share = pair
        return LongMultipliers(terms_of(share), _shown(rows, share, p))


def _shown(rows: Big, share: Big, p: float) -> FloatArray:
    """Return λ in doubles with ‖Zᵀλ‖_* = 1."""
    scale = 1 / norm(mid(rows.T @ share), dual_exponent(p))
    return np.maximum(rounded(rows.T, mid(share * scale)), 0.0)
