"""What weight on margins above the smallest can change ε by, as far as δ lets it lie there."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lexmargin.linalg.norms import Array, norm_gradient, vector_norm

__all__ = ["Moves", "weight_reach"]

Moves = Callable[[NDArray[np.intp]], Array | None]
"""Bounds (S,) on the lengths of what weight on some margins brings; None where too many at once."""

_CHUNK: Final = 256
"""Samples whose gradient sets are in memory at once; larger is no faster."""
_ROUNDING: Final = 1.0 + 1e-6
"""An excess of 1e-7 of the margin or more is known to 1e-8 of itself."""


def weight_reach(
    above: NDArray[np.intp],
    moves: Moves,
    excess: Array,
    theta: Array,
    norm: float,
    *,
    target: bool = False,
) -> float:
    """Return by how much such weight may lower ε, at most, for every unit of δ; ∞ if unknown.

    `α λ_n (f_n - γ) ≤ δ` leaves `‖Σ λ_n v_n‖ ≤ δ max ‖v_n‖/(α (f_n - γ))`. The v_n are gradients
    that a bound left out, or differences between other elements at kinks and those it counted.

    Parameters
    ----------
    above : the margins.
    moves : bounds on ‖v_n‖, in ℓ2; for directions of the ℓ1 and ℓ∞ ball in the dual norm.
    excess : (N,) α (f_n - γ).
    theta : (d,) where f_n and the gradients are taken: the direction, at any length.
    norm : exponent of the ball.
    target : the cone must hold a given vector of length 1, and no norm gradient.
    """
    if np.any(excess[above] <= 0.0):
        return math.inf
    reach = 0.0
    chunks = [above[first : first + _CHUNK] for first in range(0, above.size, _CHUNK)]
    while chunks:
        some = chunks.pop()
        sizes = moves(some)
        if sizes is None and some.size > 1:
            # Together they may be too large to list.
            chunks += [some[: some.size // 2], some[some.size // 2 :]]
            continue
        if sizes is None:
            return math.inf
        reach = max(reach, float(np.max(sizes / excess[some])))
    return _ROUNDING * reach * (1.0 if target else _factor(norm, theta))


def _factor(norm: float, theta: Array) -> float:
    """Return what a change of `Σ λ_n ∇f_n` of length 1 may change ε by."""
    # λ belongs to θ/‖θ‖, where the gradients have other lengths.
    size = vector_norm(theta, norm)
    if norm == 1.0 or math.isinf(norm):
        # The Hölder gap changes by twice the change in the dual norm.
        return 2.0 * size
    return size / vector_norm(norm_gradient(theta, norm), 2.0)
