"""Minimisers, roots, and integrators of functions given as code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray

from lexmargin.linalg.guarded.entries import entering

__all__ = ["least_between", "minimised", "root_between", "stepper"]

Array = NDArray[np.float64]


def minimised(value: Callable[..., Any], start: Array, **options: Any) -> Any:
    """Return SciPy's answer to ``min f(x)`` from x (n,), with its other arguments.

    Where the start is empty or not finite, the start itself with status -1.
    """
    from scipy.optimize import OptimizeResult, minimize

    if not start.size or not np.all(np.isfinite(start)):
        nowhere = {"x": start, "fun": np.nan, "success": False, "status": -1, "nit": 0, "nfev": 0}
        return OptimizeResult(**nowhere, v=[], message="not finite")
    return minimize(value, start, **options)


def least_between(value: Callable[[float], float], low: float, high: float, width: float) -> float:
    """Return where a function of one variable is least between two ends."""
    from scipy.optimize import minimize_scalar

    entering(low, high)
    found = minimize_scalar(value, bounds=(low, high), method="bounded", options={"xatol": width})
    return float(found.x)


def root_between(value: Callable[[float], float], low: float, high: float, width: float) -> float:
    """Return a zero of a function with opposite signs at two ends, by Brent's method.

    Raises:
        LinAlgError: the ends, or the values there, are not finite or of one sign.
    """
    from scipy.optimize import brentq

    ends = np.array([low, high, value(low), value(high)])
    entering(ends)
    if ends[2] * ends[3] > 0.0:
        raise LinAlgError("A root is not between the two ends.")
    return float(brentq(value, low, high, xtol=width, rtol=width, maxiter=200))


def stepper(
    method: str, slope: Callable[[float, Array], Array], start: Array, end: float, **options: float
) -> Any:
    """Return SciPy's integrator of ``x' = g(t, x)`` from x (n,) at t = 0, ready to step.

    Raises:
        LinAlgError: the start is not finite.
    """
    from scipy import integrate

    entering(start, end)
    return getattr(integrate, method)(slope, 0.0, start, end, **options)
