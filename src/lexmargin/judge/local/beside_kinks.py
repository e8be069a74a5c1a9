"""A refutation by one gradient per sample, where samples above the support stand on kinks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from lexmargin.judge.local.clarke import GradientSets, gradient_sets
from lexmargin.judge.local.kinked import SetsOf
from lexmargin.judge.local.kinks import Kinks, measure_kinks, samples_of
from lexmargin.judge.trained.scores import Indices
from lexmargin.linalg.norms import norm_gradient, vector_norm
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray

__all__ = ["RowsOf", "kink_reach", "kinked_sets", "margins_on_kinks"]

RowsOf = Callable[[Indices], FloatArray]
"""The gradients (S, d) of some margins that a bound was proved with."""

_CHUNK: Final = 256
_ROUNDING: Final = 1.0 + 1e-6
"""An excess of 1e-7 of the margin or more is known to 1e-8 of itself."""


def kink_reach(
    kinked: Indices,
    sets_of: SetsOf,
    rows_of: RowsOf,
    values: FloatArray,
    theta: FloatArray,
    degree: float,
    norm: float,
) -> float:
    """Return by how much other elements may lower ε, at most, for every unit of δ; ∞ if unknown.

    With other elements h_n in place of the gradients g_n the sum moves by `‖Σ λ_n (h_n - g_n)‖ ≤
    δ max ‖h_n - g_n‖/(α (f_n - γ))`: a margin above the support hardly carries weight.

    Parameters
    ----------
    kinked : the margins on kinks, none of them in the support.
    sets_of, rows_of : the gradient sets, and the gradients that ε was bounded with, at θ̂.
    values : (N,) f_n(θ̂).
    theta : (d,) θ̂, of ℓ2 norm 1 whatever the ball.
    degree, norm : α and the exponent of the ball.
    """
    excess = degree * (values - float(np.min(values)))
    if np.any(excess[kinked] <= 0.0):
        return math.inf
    reach = 0.0
    chunks = [kinked[first : first + _CHUNK] for first in range(0, kinked.size, _CHUNK)]
    while chunks:
        some = chunks.pop()
        sets = sets_of(some)
        if sets is None and some.size > 1:
            # Together they may be too large to list.
            chunks += [some[: some.size // 2], some[some.size // 2 :]]
            continue
        if sets is None:
            return math.inf
        reach = max(reach, float(np.max(sets.away(rows_of(some)) / excess[some])))
    return _ROUNDING * _factor(norm, theta) * reach


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


def _factor(norm: float, theta: FloatArray) -> float:
    """Return what a change of `Σ λ_n ∇f_n` of length 1 may change ε by, at ‖θ‖₂ = 1."""
    # λ belongs to θ/‖θ‖, where the gradients have other lengths.
    size = vector_norm(theta, norm)
    if norm == 2.0:
        return size
    if norm == 1.0 or math.isinf(norm):
        # The Hölder gap changes by twice the change in the dual norm, for ℓ∞ at most √d lengths.
        return 2.0 * size * (1.0 if norm == 1.0 else math.sqrt(theta.size))
    return size / vector_norm(norm_gradient(theta, norm), 2.0)
