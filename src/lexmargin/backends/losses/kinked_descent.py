"""Eq. 5 of networks with kinks (ReLU and leaky ReLU of power 1), Euclidean norm.

A quasi-Newton descent of ``log L(ρ θ/‖θ‖)`` ends at a kink or where the gradient supports the
ball; there Newton steps in the pattern of active units end it at rounding level. Where the best
point lies on a kink nothing more is claimed.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from lexmargin.backends.losses.smoothed_max import EntropicPoint, correct
from lexmargin.linalg.guarded import minimised
from lexmargin.losses import Loss, SampleLoss
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray

__all__ = ["kinked_descent"]

_STEPS: Final = 2000
"""Steps of L-BFGS at most: on kinks it ends earlier by itself; more would only cost time."""
_MEMORY: Final = 30
"""Pairs it keeps: 10 to 50 do alike, and each costs two vectors."""
_NO_WORSE: Final = 1e-9
"""Part of log L that the last Newton steps may lose: they end on the same branch."""


def kinked_descent(
    functions: MarginFunctions, rho: float, theta: FloatArray, offsets: FloatArray | None = None
) -> EntropicPoint:
    """Return the point of the sphere ``‖θ‖₂ = 1`` that a descent of log L from θ reaches.

    Args:
        functions: margin functions f_n with a gradient almost everywhere.
        rho: ρ > 0.
        theta: (d,) where to start, not 0.
        offsets: log c_n (N,) of factors of the terms of L; 0 if None.

    Returns:
        Converged where no kink is in the way and the ball is active. A network of several layers
        takes any value on the sphere that it takes inside: its layers need not be balanced.
    """
    weighted = SampleLoss(Loss.EXPONENTIAL, 2, offsets)

    def loss(w: FloatArray) -> tuple[float, FloatArray]:
        values, pull = functions.value_and_vjp(w)
        if not np.all(np.isfinite(values)):
            return math.inf, np.zeros_like(w)
        total = weighted.value(values)
        with np.errstate(under="ignore"):
            weights = np.exp(weighted.log_slopes(values) - total)
        return total, -pull(weights)

    def on_sphere(v: FloatArray) -> tuple[float, FloatArray]:
        size = float(np.linalg.norm(v))
        unit = v / size
        total, slope = loss(rho * unit)
        return total, (slope - (slope @ unit) * unit) * (rho / size)

    options = {"maxiter": _STEPS, "maxcor": _MEMORY, "ftol": 1e-15, "gtol": 1e-10}
    found = minimised(
        on_sphere, theta / np.linalg.norm(theta), jac=True, method="L-BFGS-B", options=options
    )
    unit = np.asarray(found.x / np.linalg.norm(found.x))
    total, slope = loss(rho * unit)
    push = -rho * float(slope @ unit)
    steps = int(found.nit)
    shares = weighted.log_slopes(functions.values(rho * unit)) - total
    point = EntropicPoint(unit, shares, push, math.inf, 0.0, steps)
    ended = correct(functions, rho, 1.0, point, offsets=offsets)
    after = loss(rho * ended.theta)[0]
    if ended.converged and after <= total + _NO_WORSE * max(1.0, abs(total)):
        return ended
    return point
