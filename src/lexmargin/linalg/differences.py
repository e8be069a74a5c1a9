"""Products with a Hessian that is known by gradients alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["DIFFERENCE", "hessian_product"]

Array = NDArray[np.float64]

DIFFERENCE = 1e-5
"""Length of central differences by ‖x‖: they err by h² and eps/h, 1e-10 and 2e-11 of ‖∇f‖ here."""


def hessian_product(
    gradient: Callable[[Array], Array], x: Array, v: Array, step: float = DIFFERENCE
) -> Array:
    """Return ``∇²f(x) v`` (d,): a central difference of ``∇f``, ``step ‖x‖`` to both sides."""
    length = float(np.linalg.norm(v))
    if length == 0.0:
        return np.zeros_like(v)
    t = step * (float(np.linalg.norm(x)) or 1.0) / length
    return np.asarray((gradient(x + t * v) - gradient(x - t * v)) / (2.0 * t))
