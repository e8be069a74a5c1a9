"""A refutation by one gradient per sample, where samples above the support stand on kinks."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.functions.kinks import Kinks, measure_kinks, samples_of
from lexmargin.judge.local.clarke import GradientSets, gradient_sets
from lexmargin.judge.local.kinked import SetsOf
from lexmargin.judge.multipliers.weight_reach import Moves
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray

__all__ = ["RowsOf", "element_moves", "kinked_sets", "margins_on_kinks"]

RowsOf = Callable[[Indices], FloatArray]
"""The gradients (S, d) of some margins that a bound was proved with."""


def element_moves(sets_of: SetsOf, rows_of: RowsOf, norm: float) -> Moves:
    """Return how far other elements may lie from the gradients that a bound was proved with.

    Parameters
    ----------
    sets_of, rows_of : the gradient sets of some margins, and those gradients.
    norm : exponent of the ball; for ℓ∞ the lengths are in the dual norm.
    """

    def moves(indices: Indices) -> FloatArray | None:
        sets = sets_of(indices)
        if sets is None:
            return None
        rows = rows_of(indices)
        return sets.away(rows) * (math.sqrt(rows.shape[1]) if math.isinf(norm) else 1.0)

    return moves


def kinked_sets(
    functions: MarginFunctions, theta: FloatArray, limit: float, indices: Indices
) -> GradientSets | None:
    """Return the gradient sets of some margins, every kink within ``limit`` free."""
    kinks = measure_kinks(functions, theta, indices)
    on = [] if kinks is None else kinks.within(limit, samples_of(functions, indices))
    return gradient_sets(functions, theta, indices, on)


def margins_on_kinks(functions: MarginFunctions, kinks: Kinks, limit: float) -> Indices:
    """Return the margins of all samples that are on a kink."""
    on = kinks.within(limit, range(functions.data.n_samples))
    samples = np.unique(np.array([kink.sample for kink in on], dtype=np.intp))
    each = functions.count // functions.data.n_samples
    return np.asarray((samples[:, None] * each + np.arange(each)).ravel(), dtype=np.intp)
