"""Non-negative least squares from inner products of rows, corrected with the rows themselves.

`K = J Jᵀ` has |S|² numbers whatever d is. It squares the condition number, so λ is refined and the
residual measured with J (math §3, Accuracy).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.linalg.guarded import nonnegative_or_bounded
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.linalg.pivoting import Pivoted, pivoted
from lexmargin.linalg.rounding import EPS, ROUNDED

__all__ = ["Answer", "Products", "by_products", "by_regular_products"]

_DEPENDENT: Final = 1e-14
"""Relative singular value of inner products that is rounding: a step along it would be noise."""
_CONDITION: Final = 1e-10
"""Reciprocal condition number of K below which the orthogonal method is worth its price."""
_REFINEMENTS: Final = 6
"""Corrections with residuals of the gradients; each gains digits, and the best is kept."""


@dataclass(frozen=True, eq=False)
class Products(ABC):
    """Rows J by what a solution needs of them: their lengths, and K and `J t` of unit rows."""

    norms: Array
    square: Array
    gains: Array

    @abstractmethod
    def remainder(self, scaled: Array) -> tuple[Array, Array]:
        """Return r = t - Jᵀλ and J r, for λ and J in the units of unit rows."""


@final
@dataclass(frozen=True, eq=False)
class Answer:
    """λ for unit rows, its residual r, ‖r‖, J r, and whether the corrections came to rest."""

    scaled: Array
    residual: Array
    length: float
    slopes: Array
    converged: bool
    settled: bool


def by_products(products: Products) -> Answer:
    """Solve with K, then correct λ with residuals formed from J until they no longer improve."""
    found = _pivoted(products)
    if found is not None:
        return _refined(products, found.values, found.passive, found, True)
    scaled, converged = _singular(products.square, products.gains)
    return _refined(products, scaled, scaled > 0.0, None, converged)


def by_regular_products(products: Products) -> Answer | None:
    """Return :func:`by_products`; None where an orthogonal method should answer.

    K is badly conditioned there, or the corrections did not come to rest.
    """
    found = _pivoted(products)
    if found is None or found.condition <= _CONDITION:
        return None
    answer = _refined(products, found.values, found.passive, found, True)
    return answer if answer.settled else None


def _pivoted(products: Products) -> Pivoted | None:
    start = np.zeros(products.gains.size)
    return pivoted(products.square, products.gains, start, products.gains > 0.0)


def _refined(
    products: Products,
    scaled: Array,
    passive: NDArray[np.bool_],
    found: Pivoted | None,
    converged: bool,
) -> Answer:
    residual, slopes = products.remainder(scaled)
    length, settled = vector_norm(residual, 2.0), False
    # By the rows in hand for as long as that helps: only then may rows change sides again.
    held = found
    for _ in range(_REFINEMENTS):
        if length <= 4.0 * EPS:
            settled = True
            break
        feasible = True
        if held is not None:
            step = held.stepped(scaled, slopes)
            moved, feasible = (np.maximum(step, 0.0), passive), bool(np.min(step) >= 0.0)
            most = ROUNDED * (1.0 + float(np.sum(scaled)))
            little = float(np.sum(np.abs(step - scaled))) <= most
            settled = bool(feasible and little and np.max(slopes[~passive], initial=0.0) <= most)
            if settled:
                break
        else:
            answer = _corrected(products.square, slopes, scaled, passive, found)
            if answer is None:
                break
            moved = answer
        trial = products.remainder(moved[0])
        size = vector_norm(trial[0], 2.0)
        better, halved = size <= length, size <= 0.5 * length
        settled = abs(size - length) <= ROUNDED
        if better:
            (scaled, passive), (residual, slopes), length = moved, trial, size
        most = ROUNDED * (1.0 + float(np.sum(scaled)))
        at_rest = feasible and np.max(slopes[~passive], initial=0.0) <= most
        if held is not None and not (halved or at_rest):
            held, settled = None, False
        elif settled or not better:
            break
    return Answer(scaled, residual, length, slopes, converged, settled)


def _corrected(
    square: Array,
    slopes: Array,
    scaled: Array,
    passive: NDArray[np.bool_],
    regular: Pivoted | None,
) -> tuple[Array, NDArray[np.bool_]] | None:
    if regular is not None:
        found = pivoted(square, slopes, scaled, passive)
        return None if found is None else (found.values, found.passive)
    rows = np.flatnonzero(passive)
    if not rows.size:
        return None
    step = np.linalg.lstsq(square[np.ix_(rows, rows)], slopes[rows], rcond=_DEPENDENT)[0]
    moved = scaled.copy()
    moved[rows] += step
    return None if np.any(moved < 0.0) else (moved, passive)


def _singular(square: Array, gains: Array) -> tuple[Array, bool]:
    """Solve `min ½λᵀKλ - gᵀλ`, λ ≥ 0, through a square root of a singular K."""
    weights, vectors = np.linalg.eigh(square)
    kept = weights > gains.size * EPS * weights[-1]
    roots = np.sqrt(weights[kept])
    return nonnegative_or_bounded(
        roots[:, None] * vectors[:, kept].T,
        (vectors[:, kept].T @ gains) / roots,
        30 * gains.size + 100,
    )
