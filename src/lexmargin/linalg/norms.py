"""ℓp norms with their duals and gradients, safe from overflow and underflow."""

from __future__ import annotations

import math
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from lexmargin.errors import DataError, ParameterError

__all__ = [
    "Array",
    "angle",
    "check_norm",
    "dual_exponent",
    "dual_norm",
    "norm_gradient",
    "power_of_two",
    "scaled_norm",
    "shifted",
    "square_gradient",
    "square_hessian",
    "steepest",
    "unit_scale",
    "vector_norm",
]

Array = NDArray[np.float64]

_NEAR: Final = 1e240
"""A sum of squares below it, and above its inverse, loses none of its terms to their range."""


def check_norm(p: float) -> float:
    """Return ``p`` as a float, or raise `ParameterError` unless 1 ≤ p ≤ ∞."""
    value = float(p)
    if not value >= 1.0:
        raise ParameterError(
            f"The norm exponent is {p!r}.", "Give 1, 2, math.inf or any p >= 1 (a norm)."
        )
    return value


def dual_exponent(p: float) -> float:
    """Return q with 1/p + 1/q = 1."""
    if p == 1.0:
        return math.inf
    if math.isinf(p):
        return 1.0
    return p / (p - 1.0)


def scaled_norm(x: Array, p: float) -> tuple[float, int]:
    """Return (m, e) with ‖x‖_p = m · 2^e; m depends on no power of two in ``x``."""
    if p == 2.0:
        squares = float(np.vdot(x, x))
        if 1.0 / _NEAR < squares < _NEAR:
            return math.frexp(math.sqrt(squares))
    largest = max(float(np.max(x, initial=0.0)), -float(np.min(x, initial=0.0)))
    if largest == 0.0:
        return 0.0, 0
    exponent = math.frexp(largest)[1]
    # Two halves, because 2^-e itself may leave the range of doubles.
    scaled = np.abs(np.ldexp(np.ldexp(x, -(exponent // 2)), -(exponent - exponent // 2)))
    if math.isinf(p):
        return float(np.max(scaled)), exponent
    if p == 1.0:
        return float(np.sum(scaled)), exponent
    if p == 2.0:
        return math.sqrt(float(scaled @ scaled)), exponent
    top = float(np.max(scaled))
    with np.errstate(under="ignore"):
        return top * float(np.sum((scaled / top) ** p)) ** (1.0 / p), exponent


def vector_norm(x: Array, p: float) -> float:
    """Return ‖x‖_p."""
    mantissa, exponent = scaled_norm(x, p)
    try:
        return math.ldexp(mantissa, exponent)
    except OverflowError:
        return math.inf


def dual_norm(g: Array, p: float) -> float:
    """Return ``‖g‖_*`` of the ℓ_p norm: the ℓ_q norm with ``1/p + 1/q = 1``."""
    return vector_norm(g, dual_exponent(p))


def power_of_two(size: float) -> float:
    """Return the power of two below a size, 1 for 0; dividing by it changes no digit."""
    if not (np.isfinite(size) and size > 0.0):
        if size == 0.0:
            return 1.0
        raise DataError("The rows hold NaN or infinities.", "Drop or fill such entries.")
    return float(2.0 ** np.floor(np.log2(size)))


def shifted(x: Array, exponent: int) -> Array:
    """Return x · 2^exponent without an intermediate that leaves the range of doubles."""
    half = exponent // 2
    with np.errstate(over="ignore", under="ignore"):
        return cast(Array, np.ldexp(np.ldexp(x, half), exponent - half))


def unit_scale(x: Array) -> Array:
    """Return x times the power of two that brings its largest entry into [1/2, 1).

    What is homogeneous is then evaluated where no power of ‖x‖ leaves the range of doubles.
    """
    return shifted(x, -math.frexp(float(np.max(np.abs(x), initial=0.0)))[1])


def angle(a: Array, b: Array) -> float:
    """Return the angle between two vectors in radians, accurate also near 0 and π.

    ``2 atan2(‖â - b̂‖, ‖â + b̂‖)`` (Kahan 2006); NaN where a vector is zero or not finite.
    """
    lengths = vector_norm(a, 2.0), vector_norm(b, 2.0)
    if not all(0.0 < length < math.inf for length in lengths):
        return math.nan
    u, v = a / lengths[0], b / lengths[1]
    return 2.0 * math.atan2(vector_norm(u - v, 2.0), vector_norm(u + v, 2.0))


def norm_gradient(x: Array, p: float) -> Array:
    """Return ∇‖x‖_p = sign(x_i) |x_i|^{p-1} / ‖x‖^{p-1} for 1 < p < ∞ and x ≠ 0.

    Its dual norm is 1, and its product with x is ‖x‖_p.
    """
    unit = x / vector_norm(x, p)
    if p == 2.0:
        return unit
    with np.errstate(under="ignore"):
        return cast(Array, np.sign(unit) * np.abs(unit) ** (p - 1.0))


def square_gradient(x: Array, p: float) -> Array:
    """Return ``∇½‖x‖_p²``, 1 < p < ∞; 0 at 0."""
    size = vector_norm(x, p)
    if not size > 0.0:
        return np.zeros_like(x)
    return np.asarray(size * np.sign(x) * np.abs(x / size) ** (p - 1.0))


def steepest(g: Array, p: float) -> Array:
    """Return ``‖g‖_* argmax_{‖u‖_p <= 1} u·g``, a subgradient of ``½‖·‖_*²`` at g.

    For ℓ2 g itself. Where the maximiser is not unique: of ℓ1 the first largest coordinate, of ℓ∞ 0
    where g is 0.
    """
    if p == 2.0:
        return g
    if p == 1.0:
        along = np.zeros_like(g)
        j = int(np.argmax(np.abs(g)))
        along[j] = g[j]
        return along
    if math.isinf(p):
        return np.asarray(vector_norm(g, 1.0) * np.sign(g))
    return square_gradient(g, dual_exponent(p))


def square_hessian(x: Array, p: float, least: float = 0.0) -> Array:
    """Return ``∇²½‖x‖_p²`` (d, d), x not 0; for p < 2 entries count as at least ``least ‖x‖``."""
    unit = np.abs(x) / vector_norm(x, p)
    slope = np.sign(x) * unit ** (p - 1.0)
    bent = (p - 1.0) * np.maximum(unit, least) ** (p - 2.0)
    return np.asarray(np.diag(bent) + (2.0 - p) * np.outer(slope, slope))
