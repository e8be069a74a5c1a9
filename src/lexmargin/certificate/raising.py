"""Showing that a displacement raises the normalised margin: numbers, not promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.ops.base import FloatArray

__all__ = ["Evaluated", "Raised", "normalised_margin", "raise_margin", "significant_gain"]

_CORRECTIONS = 6


class Evaluated(Protocol):
    """Margin functions at any θ, such as `MarginFunctions`."""

    def values(self, theta: FloatArray) -> FloatArray:
        """Return f(θ) (N,)."""

    def rows(self, theta: FloatArray, indices: NDArray[np.intp]) -> FloatArray:
        """Return ∇f_n(θ) (S, d)."""


@final
@dataclass(frozen=True, eq=False)
class Raised:
    """The best margin met along a curve, and where: ``step`` as a part of ‖θ‖."""

    before: float
    after: float
    step: float
    theta: FloatArray


def normalised_margin(functions: Evaluated, theta: FloatArray, degree: float) -> float:
    """Return `min_n f_n(θ/‖θ‖₂)`."""
    size = float(np.linalg.norm(theta))
    if not (np.isfinite(size) and size > 0.0):
        return -np.inf
    return float(np.min(functions.values(theta / size)))


def significant_gain(margin: float, stationarity: float, spread: float) -> float:
    """Return the gain that inexact stationarity or uneven support margins cannot explain.

    Near a strict local maximum an inexact direction can be improved too, by about ε and by the
    spread of the margins of its support.
    """
    return margin * (1e-11 + 10.0 * (stationarity + spread))


def raise_margin(
    functions: Evaluated,
    theta: FloatArray,
    degree: float,
    direction: FloatArray,
    active: NDArray[np.intp],
    steps: FloatArray,
) -> Raised:
    """Search `w + s d + c(s)`, c the shortest correction that brings f_S back to its value.

    Along a tangent d of the active set c is of second order, `f_S(w + s d + c) = f_S(w)`.

    Parameters
    ----------
    functions : the margin functions.
    theta : (d,) the unit direction; ``degree`` α.
    direction : (d,) of length 1.
    active : the margin functions to hold.
    steps : the s to try, signs included, in units of ‖θ‖.
    """
    before = normalised_margin(functions, theta, degree)
    jacobian = functions.rows(theta, active)
    level = functions.values(theta)[active]
    scale = float(np.max(np.abs(jacobian), initial=0.0)) or 1.0
    inverse = np.linalg.pinv(jacobian / scale, rcond=1e-10) / scale
    best = Raised(before, before, 0.0, theta)
    for step in steps:
        moved = theta + step * direction
        for _ in range(_CORRECTIONS):
            moved = moved + inverse @ (level - functions.values(moved)[active])
            if not np.all(np.isfinite(moved)):
                break
            margin = normalised_margin(functions, moved, degree)
            if margin > best.after:
                best = Raised(before, margin, float(step), moved / np.linalg.norm(moved))
    return best
