"""Linear hard margins in any norm in long numbers, for small samples of any scale.

Rows and columns whose sizes differ by ten powers of ten, or samples far from the origin beside a
bias that counts, have margins below the rounding of doubles; here no scale is large.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

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
    product,
    ratio,
    rounded,
)
from lexmargin.ops.base import FloatArray
from lexmargin.separation.exact_vertices import exact_vertex
from lexmargin.separation.gordan import separability_of_rows
from lexmargin.separation.long_measures import measured, terms_of

__all__ = ["LongMargin", "LongMultipliers", "long_margin", "long_multipliers"]

_MORE_ROWS: Final = 2
"""Rows per parameter to begin with: half of them are active in the end, and steps stay cheap."""
_NOT_MISSED: Final = 2.0**-100
"""Part of the margin by which a row may be missed: far below doubles, far above the paths' ends."""
_GAPS: Final = (1e-10, 1e-60)
"""Relative gaps of the paths' ends. Newton's method on the support mostly goes on from the first;
of the second the cube root, which bounds directions for p = 3, is below doubles."""
_SHARP: Final = 1e-60
"""Part of every number that the last step of Newton's method may change."""
_SHARPER: Final = 12
"""Newton steps from a few digits: each doubles them, up to those of the numbers."""
_CHANGES: Final = 20
"""Of the support: each a few milliseconds, and a path twice as long is the other way."""
_RIDGE_BITS: Final = 500
"""Of a matrix that dependent rows make singular: a third of the digits, and steps stay fast."""
_SCALES: Final = 5000
"""Over d², lengths of θ that are tried for one whose rounding is small: .5 s at most."""
_STEP_OF_SCALES: Final = 2.0**-33
"""Between lengths: 200 of them stay within 2.4e-8, a part of the tolerance of a unit norm."""
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
    for k in range(1 + min(_SCALES // len(theta) ** 2, 200)):
        scale = size * (1.0 - k * _STEP_OF_SCALES)
        found = rounded(rows, mid(theta * scale))
        change = max(float(abs(x)) for x in (rows @ big(found)) / scale / margins - 1)
        if change < least:
            best, least = found, change
        if least <= _FINE:
            break
    return best


def _pair(Z: FloatArray, p: float, deadline: float, levels: int = 1) -> tuple[Big, Big, Big] | None:
    """Return the rows, θ of norm 1 and λ with Σλ = 1, in long numbers.

    Of more rows than a few per parameter those are solved that some answer has violated.
    """
    found = separability_of_rows(Z)
    if found.weights is None:
        return None
    rows, (count, size) = big(Z), Z.shape
    begin = _long(found.weights)
    few = _MORE_ROWS * (size + 1)
    chosen = np.arange(count)
    if levels == 1 and count > 2 * few:
        chosen = np.sort(_lowest(rows @ begin, few))
    while True:
        pair = _solved(Z[chosen], rows[chosen], begin, p, deadline, levels)
        if pair is None:
            return None
        theta, share = pair
        margins = rows @ theta
        lowest = min(margins[chosen], key=float)
        missed = np.flatnonzero([x < lowest - lowest * _NOT_MISSED for x in margins])
        if not missed.size:
            lam = np.array([lowest * 0] * count, dtype=object)
            lam[chosen] = share
            return rows, theta, lam
        chosen = np.union1d(chosen, missed[_lowest(margins[missed], few)])


def _lowest(values: Big, count: int) -> NDArray[np.intp]:
    return np.array(sorted(range(len(values)), key=lambda n: values[n])[:count], dtype=np.intp)


def _solved(
    Z: FloatArray, rows: Big, begin: Big, p: float, deadline: float, levels: int
) -> tuple[Big, Big] | None:
    if p in (1.0, math.inf):
        vertex = exact_vertex(Z, p, levels, deadline)
        return None if vertex is None else (_long(vertex.theta), _long(vertex.chain[0]))
    w, lam = begin, begin
    for gap in _GAPS:
        pair: tuple[Big, Big] | None
        if p < 2.0:
            lam = dual_path(rows, p, gap, deadline)
            pair = None if lam is None else (power_gradient(rows.T @ lam, dual_exponent(p)), lam)
        else:
            pair = primal_path(rows, begin, p, gap, deadline)
        if pair is None or not min(rows @ pair[0], key=float) > 0:
            return None
        w, lam, sharp = _sharpened(rows, *pair, p)
        if sharp:
            break
    return mid(w / norm(w, p)), mid(lam / sum(lam))


def _long(values: Sequence[Fraction]) -> Big:
    return np.array([ratio(x.numerator, x.denominator) for x in values], dtype=object)


def _sharpened(rows: Big, w: Big, lam: Big, p: float) -> tuple[Big, Big, bool]:
    """Return w and λ with `z_n·w = 1` on the support and `J(w) = Zᵀλ`, by Newton's method.

    A gap g leaves an error of order g in λ, and for p > 2 one of g^{1/p} in the direction that λ
    supports: beside samples far from the origin that is more than the margin. Where the support
    seen at the gap is not that of the optimum, samples leave and enter. The last says whether it
    ended there; else both are as they were.
    """
    point, zero = mid(w / min(rows @ w)), lam[0] * 0
    support = _support(rows @ w, lam)
    for _ in range(_CHANGES):
        found = _newton(rows[support], point, p)
        if found is None:
            break
        sharper, shares = found
        kept = [n for n, x in zip(support, shares, strict=True) if x > 0]
        if len(kept) < len(support):
            support = kept
            continue
        margins = rows @ sharper
        worst = min(range(len(lam)), key=margins.__getitem__)
        if 1 - margins[worst] < _SHARP:
            mu = np.array([zero] * len(lam), dtype=object)
            mu[support] = shares
            return sharper, mu, True
        if worst in support:
            break
        support = sorted([*support, worst])
    return w, lam, False


def _newton(rows: Big, w: Big, p: float) -> tuple[Big, Big] | None:
    """Return w with `z_n·w = 1` and μ of either sign with `J(w) = Zᵀμ`; None where steps fail.

    Linearised at w, where J is of degree p-1: `w⁺ = (1 - s) w + H⁻¹ Zᵀμ`, s = 1/(p-1).
    """
    from flint import arb

    bend, mu = 1 / (arb(p) - 1), None
    for _ in range(_SHARPER):
        reached = mid(rows @ w)
        inverse = np.array([arb(0) if v == 0 else bend * abs(v) ** (2 - arb(p)) for v in w])
        matrix = product(rows * inverse, rows.T)
        for i in range(len(rows)):
            # Equal rows share their weight.
            matrix[i, i] = (matrix[i, i] * (1 + arb(2) ** -_RIDGE_BITS)).mid()
        mu = linear_solve(matrix, mid(1 - reached * (1 - bend)))
        if mu is None:
            return None
        moved = mid(w * (1 - bend) + inverse * (rows.T @ mu))
        ended = all(abs(a - b) <= abs(a) * _SHARP for a, b in zip(moved, w, strict=True))
        w = moved
        if ended:
            return w, mu
    return None


def _support(margins: Big, lam: Big) -> list[int]:
    """Return the samples that carry weight: of `λ_n (f_n - γ) ≤ g` the larger factor says which."""
    lowest, total = min(margins), sum(lam)
    return [n for n in range(len(lam)) if lam[n] / total > margins[n] / lowest - 1]


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
    scale, used = 1 / norm(mid(rows.T @ share), dual_exponent(p)), np.flatnonzero(share > 0)
    found = np.zeros(len(share))
    found[used] = np.maximum(rounded(rows[used].T, mid(share[used] * scale)), 0.0)
    return found
