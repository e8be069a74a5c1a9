"""Non-negative least squares from inner products: block principal pivoting, warm-startable.

Whole blocks of rows change sides at once (Júdice and Pires 1994; Kim and Park 2011), so that a
problem of 1000 rows takes some ten Cholesky factorisations instead of hundreds of single steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.linalg.guarded import packed_cholesky, packed_solved, reciprocal_condition
from lexmargin.linalg.norms import Array
from lexmargin.linalg.rounding import EPS

__all__ = ["Pivoted", "pivoted"]

_PATIENCE: Final = 5
"""Changes without fewer wrong entries before one at a time, the rule that must end."""
_PIVOTS: Final = 60
"""Changes at most: well-conditioned problems take some ten, and others are better solved by
orthogonal factorisations."""
_SMALL: Final = 1e-6
"""Relative size of negative entries below which they may be rounding alone: the condition of K,
which says so, costs as much as a change."""


@final
@dataclass(frozen=True, eq=False)
class Pivoted:
    """The solution of :func:`pivoted`.

    values
        `μ ≥ 0` (S,).
    passive
        (S,) the rows that may carry weight.
    condition
        reciprocal condition number of K on the rows that were solved for, in the 1-norm.
    rows, factor
        those rows (k,), and the Cholesky factor of K there; None without any.
    """

    values: Array
    passive: NDArray[np.bool_]
    condition: float
    rows: NDArray[np.intp]
    factor: Array | None

    def stepped(self, values: Array, gains: Array) -> Array:
        """Return values corrected on the same rows for ``gains = J (t - Jᵀ values)``."""
        moved = values.copy()
        if self.factor is not None:
            moved[self.rows] += packed_solved(self.factor, gains[self.rows])
        return moved


def pivoted(
    square: Array, gains: Array, start: Array, passive: NDArray[np.bool_]
) -> Pivoted | None:
    """Return `argmin_{μ ≥ 0} ½ (μ - s)ᵀ K (μ - s) - gᵀ (μ - s)`, or None where it does not settle.

    With s = 0 and g = J t these are the multipliers of the target t; with g = J (t - Jᵀs) the ones
    that correct s, whose accuracy is then relative to g.

    Parameters
    ----------
    square : (S, S) K = J Jᵀ of rows of length 1.
    gains : (S,) g.
    start : (S,) s.
    passive : (S,) the rows to begin with.
    """
    count = gains.size
    inside = passive.copy()
    fewest, patience, started = count + 1, _PATIENCE, bool(np.any(start))
    noise = 4.0 * EPS * float(np.max(np.abs(gains), initial=0.0))
    for _ in range(_PIVOTS):
        rows = np.flatnonzero(inside)
        factor: Array | None = None
        step = -start
        if rows.size:
            right = gains[rows]
            if started:
                right = right + square[rows] @ np.where(inside, 0.0, start)
            factor = packed_cholesky(square[np.ix_(rows, rows)])
            if factor is None or not np.all(np.isfinite(right)):
                return None
            step[rows] = packed_solved(factor, right)
        values = np.where(inside, start + step, 0.0)
        limit = noise + 4.0 * EPS * float(np.sum(np.abs(step)))
        slopes = gains - square @ step
        wrong = np.where(inside, values < 0.0, slopes > limit)
        many = int(np.count_nonzero(wrong))
        size, low = float(np.max(values, initial=0.0)), float(np.min(values, initial=0.0))
        small = many and -low <= _SMALL * size
        if not many or small:
            condition = 1.0
            if factor is not None:
                norm = float(np.max(np.sum(np.abs(square[np.ix_(rows, rows)]), axis=0)))
                condition = reciprocal_condition(factor, norm)
            # What the solution of the equations is not known to: such rows would come and go.
            blur = 4.0 * EPS / condition if condition > 0.0 else math.inf
            high = float(np.max(slopes[~inside], initial=0.0))
            if not many or (-low <= blur * size and high <= limit * math.sqrt(blur / EPS)):
                passive = inside & (values >= 0.0)
                return Pivoted(np.maximum(values, 0.0), passive, condition, rows, factor)
        if many < fewest:
            fewest, patience = many, _PATIENCE
        elif patience:
            patience -= 1
        else:
            # Murty's rule, one row at a time, ends the rare cycles.
            last = int(np.flatnonzero(wrong)[-1])
            wrong[:] = False
            wrong[last] = True
        inside ^= wrong
    return None
