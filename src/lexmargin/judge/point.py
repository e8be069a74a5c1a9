"""A direction with its margins and gradients, brought to one scale.

Margins scale by `c^α` and gradients by `c^{α-1}` under `θ → cθ`, and both by c when the data do.
All decisions are taken on numbers from which these scales are removed, the powers of two exactly:
the same problem in other units gives the same verdict to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lexmargin.errors import DataError, DegreeError, ShapeError
from lexmargin.inputs.arrays import real_array
from lexmargin.linalg.norms import (
    Array,
    check_norm,
    norm_gradient,
    scaled_norm,
    shifted,
    vector_norm,
)
from lexmargin.linalg.rounding import EPS
from lexmargin.linalg.rows import chosen_rows, largest_entry, row_lengths, row_sums

__all__ = [
    "UnitPoint",
    "check_euler",
    "euler_error",
    "is_noise",
    "scaled_to_unit",
    "unit_point",
]


_NEAR: Final = 64
"""Power of two of the largest gradient from which its squares and sums may leave the doubles."""


@final
@dataclass(frozen=True, eq=False)
class UnitPoint:
    """The unit direction θ̂ with `f_n(θ̂)/s` and `∇f_n(θ̂)/s`, s a common positive factor.

    theta
        θ̂, of norm 1 (d,).
    margins
        f_n(θ̂)/s (N,).
    jacobian
        ∇f_n(θ̂)/s (N, d), dense or CSR.
    factor, exponent
        s = factor · 2^exponent, kept apart because s may leave the range of doubles.
    target, interior
        for points that are not directions: the vector of ℓ2 length 1 that the cone must hold (None:
        a norm gradient at θ̂), and v with `J v > 0` (None: θ̂ itself). ``degree`` is then
        `1/(target·v)`, so that α γ Σ λ_n is 1 at a stationary point where `J v = f`.
    metric, size
        what the entries of target and gradients stand divided by (d,), None for 1; and the length
        that the target then had: λ is that of the target itself divided by it.
    """

    theta: Array
    margins: Array
    jacobian: Any
    degree: float
    norm: float
    factor: float
    exponent: int
    target: Array | None = None
    interior: Array | None = None
    metric: Array | None = None
    size: float = 1.0

    @property
    def ascent(self) -> Array:
        """A direction in which every support margin grows, where one is known."""
        return self.theta if self.interior is None else self.interior

    @property
    def is_polyhedral(self) -> bool:
        """Whether many vectors support the ball at θ̂, so that ε is the Hölder gap."""
        return self.target is None and (self.norm == 1.0 or math.isinf(self.norm))

    @property
    def wanted(self) -> Array:
        """What the cone of gradients must hold (d,): the target, or the norm gradient at θ̂."""
        return norm_gradient(self.theta, self.norm) if self.target is None else self.target

    @property
    def is_finite(self) -> bool:
        """Whether every number of the point is."""
        parts = [self.theta, self.margins, self.jacobian, self.degree, self.ascent]
        if self.target is not None:
            parts.append(self.target)
        return all(
            bool(np.all(np.isfinite(getattr(x, "data", x) if hasattr(x, "tocsr") else x)))
            for x in parts
        )

    @property
    def margin(self) -> float:
        """γ/s, the smallest margin."""
        return float(np.min(self.margins))

    @property
    def is_noise(self) -> bool:
        """Whether γ is no larger than the rounding of `θ̂·∇f_n = α γ`."""
        smallest = np.flatnonzero(self.margins <= self.margin)
        rows = chosen_rows(self.jacobian, smallest)
        return is_noise(rows, self.theta, self.degree * self.margin)

    def support(self, tau: float) -> NDArray[np.intp]:
        """Return `S_τ = {n : f_n(θ̂) ≤ (1+τ) γ}` as indices in increasing order."""
        return np.flatnonzero(self.margins <= (1.0 + tau) * self.margin)

    def unscaled(self, value: float) -> float:
        """Return value · s: a margin in the units of the problem."""
        with np.errstate(over="ignore", under="ignore"):
            return float(np.ldexp(np.float64(value * self.factor), self.exponent))

    def unscaled_multipliers(self, values: Array) -> Array:
        """Return λ/s: multipliers in the units of the problem."""
        with np.errstate(over="ignore", under="ignore"):
            result: Array = np.ldexp(values / self.factor, -self.exponent)
        return result


def _matrix(name: str, value: ArrayLike, dimensions: int) -> Array:
    array = real_array(value, f"The {name}", own=False)
    if array.ndim != dimensions:
        raise ShapeError(
            f"The {name} has {array.ndim} dimensions and needs {dimensions}.",
            "Pass f (N,), jacobian (N, d) and theta (d,), flattened.",
        )
    if not math.isfinite(largest_entry(array)):
        raise DataError(
            f"The {name} contains NaN or infinite entries.",
            "Evaluate it at a finite direction where every margin is differentiable.",
        )
    return array


def unit_point(
    f: ArrayLike, jacobian: ArrayLike, theta: ArrayLike, degree: float, norm: float = 2.0
) -> UnitPoint:
    """Bring margins and gradients at θ to the unit direction: `f/‖θ‖^α`, `∇f/‖θ‖^{α-1}`.

    Parameters
    ----------
    f : (N,) margins f_n(θ).
    jacobian : (N, d) gradients ∇f_n(θ), labels included.
    theta : (d,) the point, at any scale.
    degree : α > 0 of Definition 1.
    norm : exponent p ≥ 1 of the ball, `math.inf` allowed.

    Raises
    ------
    ShapeError, DataError, DegreeError, ParameterError
        for arrays that do not fit, non-finite or empty arrays, θ = 0, a degree that is not a
        positive number, and a norm exponent below 1.
    """
    values, gradients = _matrix("margins f", f, 1), _matrix("jacobian", jacobian, 2)
    point = _matrix("direction theta", theta, 1)
    alpha = float(degree) if isinstance(degree, (int, float, np.number)) else math.nan
    if not (math.isfinite(alpha) and alpha > 0.0):
        raise DegreeError(
            f"The degree is {degree!r}.", "Homogeneity (Definition 1) needs a degree above 0."
        )
    if gradients.shape != (values.size, point.size):
        raise ShapeError(
            f"f has {values.size} entries, theta {point.size}, and the jacobian has shape "
            f"{gradients.shape}.",
            "The jacobian needs one row per margin and one column per parameter.",
        )
    if values.size == 0:
        raise DataError("There are no margins.", "Pass at least one sample.")
    return scaled_to_unit(values, gradients, point, alpha, check_norm(norm))


def scaled_to_unit(
    values: Array, gradients: Array, theta: Array, degree: float, p: float
) -> UnitPoint:
    """Return the same of arrays that fit and are finite.

    Raises :class:`~lexmargin.errors.DataError` for θ = 0.
    """
    if not np.any(theta):
        raise DataError("The direction is zero.", "A direction needs a non-zero theta.")
    length, shift = scaled_norm(theta, p)
    unit = shifted(theta, -shift) / length
    unit = unit / vector_norm(unit, p)
    common = math.frexp(largest_entry(gradients))[1]
    if abs(common) <= _NEAR:
        # No copy: what follows is as exact at this scale.
        common = 0
    # f/‖θ‖ and ∇f then differ from f(θ̂) and ∇f(θ̂) by the same factor ‖θ‖^{α-1}.
    margins = shifted(values, -shift - common) / length
    power = common - shift * (degree - 1.0)
    whole = math.floor(power)
    with np.errstate(over="ignore", under="ignore"):
        factor = float(np.float64(length) ** (1.0 - degree) * 2.0 ** (power - whole))
    if common:
        gradients = shifted(gradients, -common)
    return UnitPoint(unit, margins, gradients, degree, p, factor, whole)


def check_euler(point: UnitPoint, tolerance: float) -> float:
    """Check Euler's identity `θ·∇f_n = α f_n` and return its largest error on the margin's scale.

    Returns
    -------
    float
        `max |θ̂·∇f_n - α f_n| / (α γ)` over the samples that either side puts below 2γ: only these
        can enter or leave the support.

    Raises
    ------
    DegreeError
        where an error exceeds ``tolerance`` times the terms of the identity; the message names
        the degree that would fit, if one does.
    """
    product = point.jacobian @ point.theta
    expected = point.degree * point.margins
    error, scale = np.abs(product - expected), np.abs(expected)
    if np.any(error > tolerance * scale):
        scale = np.maximum(row_sums(point.jacobian, point.theta), scale)
    if np.any(error > tolerance * scale):
        worst = int(np.argmax(error - tolerance * scale))
        raise DegreeError(
            f"Euler's identity θ·∇f = α f fails at sample {worst} for α = {point.degree:g}: "
            f"{_fitting_degree(point.margins, product)}",
            "Check the degree, the signs of the labels, and that f and the jacobian belong to "
            "the same theta.",
        )
    return euler_error(product, expected)


def euler_error(product: Array, expected: Array) -> float:
    """Return `max |J v - e|/min e` over the entries that either side puts below twice the smallest.

    Only these can enter or leave the support. Entries `α f_n` or f_n are expected of v = θ̂, or of v
    with `J v = f`; 0 where the smallest is 0.
    """
    size = abs(float(np.min(expected)))
    near = np.minimum(expected, product) <= 2.0 * size
    return float(np.max(np.abs(product - expected)[near])) / size if size > 0.0 else 0.0


def is_noise(rows: Any, direction: Array, smallest: float) -> bool:
    """Tell whether the smallest of `J v` is no larger than the rounding of its terms.

    Args:
        rows: (S, d) the gradients of the smallest margins.
        direction: v (d,).
        smallest: what the rows times v are, as :func:`euler_error` expects them.
    """
    # The sum of its terms is at most the product of the lengths.
    most = float(np.max(row_lengths(rows))) * vector_norm(direction, 2.0)
    if smallest > 4.0 * EPS * most:
        return False
    return smallest <= 2.0 * EPS * float(np.max(row_sums(rows, direction)))


def _fitting_degree(margins: Array, product: Array) -> str:
    used = margins != 0.0
    if not np.any(used):
        return "every margin is zero while the gradients are not."
    ratios = product[used] / margins[used]
    low, high = float(np.min(ratios)), float(np.max(ratios))
    if low > 0.0 and high - low <= 1e-6 * high:
        return f"degree {0.5 * (low + high):.6g} would fit."
    return f"no single degree fits (θ·∇f / f runs from {low:.6g} to {high:.6g})."
