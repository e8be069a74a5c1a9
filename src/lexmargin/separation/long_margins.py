"""Linear hard margins in any norm in long numbers, for small samples of any scale.

Rows and columns whose sizes differ by ten powers of ten, or samples far from the origin beside a
bias that counts, have margins below the rounding of doubles; here no scale is large.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from lexmargin.linalg.long_barriers import dual_path, primal_path
from lexmargin.linalg.long_numbers import (
    Big,
    big,
    dual_exponent,
    long_numbers,
    mid,
    norm,
    power_gradient,
    ratio,
    rounded,
)
from lexmargin.ops.base import FloatArray
from lexmargin.separation.gordan import separability_of_rows
from lexmargin.separation.long_measures import measured, terms_of

__all__ = ["LongMargin", "LongMultipliers", "long_margin", "long_multipliers"]

_WEIGHTY: Final = 1e-12
"""Shares of rows that are held where θ is rounded: less weight, and the row is no support."""


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
    Z: FloatArray, p: float, deadline: float, length: Callable[[LongMargin], float] | None = None
) -> LongMargin | None:
    """Return the answer of ``max t  s.t.  z_n·w >= t, ‖w‖_p <= 1`` (eq. 6).

    Args:
        Z: (N, d) rows z_n, finite.
        p: of the norm, >= 1.
        deadline: ``time.monotonic()`` at which to give up.
        length: the norm that θ is to have, from the answer of norm 1; 1 if None.

    Returns:
        None where nothing separates the rows, or the steps do not end.
    """
    with long_numbers():
        pair = _pair(Z, p, deadline)
        if pair is None:
            return None
        found = _in_doubles(Z, pair, p, 1.0)
        size = 1.0 if length is None else length(found)
        if size == 1.0 or not 0.0 < size < math.inf:
            return found
        return _in_doubles(Z, pair, p, size)


def _in_doubles(Z: FloatArray, pair: tuple[Big, Big, Big], p: float, size: float) -> LongMargin:
    rows, theta, share = pair
    weighty = np.array([float(x) > _WEIGHTY for x in share])
    in_doubles = rounded(rows[weighty], mid(theta * size))
    multipliers = _shown(rows, share, p)
    found = measured(Z, in_doubles, (multipliers,), p)
    margin, bound = (-math.inf, math.inf) if found is None else (found.margin, found.bound)
    return LongMargin(in_doubles, multipliers, margin, bound)


def _pair(Z: FloatArray, p: float, deadline: float) -> tuple[Big, Big, Big] | None:
    """Return the rows, θ of norm 1 and λ with Σλ = 1, in long numbers."""
    rows, found = big(Z), separability_of_rows(Z)
    if found.weights is None:
        return None
    if 1.0 < p < 2.0:
        lam = dual_path(rows, p, deadline)
        if lam is None:
            return None
        w = power_gradient(rows.T @ lam, dual_exponent(p))
    else:
        begin = np.array([ratio(x.numerator, x.denominator) for x in found.weights], dtype=object)
        pair = primal_path(rows, begin, p, deadline)
        if pair is None:
            return None
        w, lam = pair
    if not min(rows @ w, key=float) > 0:
        return None
    return rows, mid(w / norm(w, p)), mid(lam / sum(lam))


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
