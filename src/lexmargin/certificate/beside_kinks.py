"""A refutation by one gradient per sample, where samples above the support stand on kinks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from lexmargin.certificate.certificate import Certificate
from lexmargin.certificate.kinked import SetsOf
from lexmargin.certificate.norms import norm_gradient, vector_norm
from lexmargin.certificate.scores import Indices
from lexmargin.ops.base import FloatArray

__all__ = ["RowsOf", "bound_beside_kinks"]

RowsOf = Callable[[Indices], FloatArray]
"""The gradients (S, d) of some margins that a bound was proved with."""

_CHUNK: Final = 256
_ROUNDING: Final = 1.0 + 1e-6
"""An excess of 1e-7 of the margin or more is known to 1e-8 of itself."""


def bound_beside_kinks(
    certificate: Certificate,
    kinked: Indices,
    sets_of: SetsOf,
    rows_of: RowsOf,
    values: FloatArray,
    theta: FloatArray,
    degree: float,
) -> float:
    """Return a lower bound on ε for all λ ≥ 0 with δ within tolerance, whatever the elements.

    With other elements h_n in place of the gradients g_n the sum moves by `‖Σ λ_n (h_n - g_n)‖ ≤
    δ max ‖h_n - g_n‖/(α (f_n - γ))`: a margin above the support hardly carries weight.

    Parameters
    ----------
    certificate : NOT_STATIONARY, its bound proved with one gradient per margin.
    kinked : the margins on kinks, none of them in the support.
    sets_of, rows_of : the gradient sets, and the gradients of the bound, at θ̂.
    values : (N,) f_n(θ̂).
    theta : (d,) θ̂, of ℓ2 norm 1 whatever the ball.
    degree : α.
    """
    limits, lower = certificate.tolerances, certificate.stationarity_bound
    excess = degree * (values - float(np.min(values)))
    share = limits.complementarity * _ROUNDING * _factor(certificate.norm, theta)
    if np.any(excess[kinked] <= 0.0):
        return 0.0
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
            return 0.0
        reach = max(reach, share * float(np.max(sets.away(rows_of(some)) / excess[some])))
        if lower - reach <= limits.stationarity:
            return 0.0
    return lower - reach


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
