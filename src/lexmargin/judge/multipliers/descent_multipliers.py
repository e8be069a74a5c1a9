"""The multipliers that gradient descent carries along: λ_n ∝ e^{-f_n} (math §3, §7.10)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.errors import DataError
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.margins import Margins

__all__ = ["CarriedMultipliers", "carried_multipliers"]


@final
@dataclass(frozen=True, eq=False)
class CarriedMultipliers:
    """`λ_n ∝ w_n e^{-f_n(θ)}`, scaled so that `‖Σ λ_n ∇f_n(θ)‖ = ‖θ‖`, and how well they serve.

    multipliers
        λ (N,), in the units of θ as given.
    residual
        `‖θ - Σ λ_n ∇f_n(θ)‖/‖θ‖`, at least the best one over all λ ≥ 0.
    angle
        radians between θ and -∇L(θ); the residual is `sqrt(2 (1 - cos angle)) = 2 sin(angle/2)`.
    complementarity
        `Σ λ_n (f_n(θ) - min f) / Σ λ_n f_n(θ)`, in [0, 1) where every margin is positive.
    """

    multipliers: Array
    residual: float
    angle: float
    complementarity: float


def carried_multipliers(functions: Margins, theta: Array) -> CarriedMultipliers:
    """Return the multipliers of the exponential loss, weights included, at θ (math §7.10).

    Parameters
    ----------
    functions : the margin functions f_n.
    theta : (d,) the iterate at its own scale, which sets how fast e^{-f_n} falls.

    Raises
    ------
    DataError
        where θ or the combined gradient is zero or not finite.
    """
    values, pull = functions.value_and_vjp(theta)
    logs = -values if functions.weights is None else np.log(functions.weights) - values
    with np.errstate(under="ignore"):
        weights = np.exp(logs - np.max(logs))
    weights = weights / np.sum(weights)
    gradient = pull(weights)
    length, size = vector_norm(gradient, 2.0), vector_norm(theta, 2.0)
    if not (0.0 < length < math.inf and 0.0 < size < math.inf):
        raise DataError(
            "θ or the gradient of the loss is zero or not finite.",
            "Carried multipliers need a point where the loss still has a direction.",
        )
    ahead, along = gradient / length, theta / size
    apart, together = vector_norm(ahead - along, 2.0), vector_norm(ahead + along, 2.0)
    excess, smallest = values - float(np.min(values)), float(np.min(values))
    mean = smallest + float(weights @ excess)
    return CarriedMultipliers(
        multipliers=weights * (size / length),
        residual=apart,
        angle=2.0 * math.atan2(apart, together),
        complementarity=float(weights @ excess) / mean if smallest > 0.0 else math.nan,
    )
