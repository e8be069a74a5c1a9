"""Whether a point is critical: exactly, θ and gradients as fractions; or as floats compute it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from lexmargin.inputs.limits import FRACTION_ENTRIES
from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.second_order.vicinity import Vicinity
from lexmargin.judge.tolerances import STEEP
from lexmargin.linalg.long_numbers import precision
from lexmargin.linalg.norms import Array
from lexmargin.linalg.rounding import EPS
from lexmargin.ops.arb import KinkInBox

__all__ = ["critical_along", "critical_as_computed"]

# Polynomials of degree 30 of doubles of one size are exact with this many bits.
_BITS: Final = 4096
# Sums of products in another order differ by a few units of the last place of their largest parts.
_ROUNDED: Final = 16.0


def critical_along(vicinity: Vicinity, direction: Array, held: Indices, free: Indices) -> bool:
    """Tell whether first order at θ itself leaves a direction open, without any rounding.

    That is: all these f_n are equal at θ; θ is a combination of the ∇f_n that are held;
    `θ·d = 0` and `∇f_n·d = 0` for these; `∇f_n·d ≥ 0` for the free ones. Numbers that ball
    arithmetic does not give exactly count as unknown.

    Parameters
    ----------
    vicinity : the point θ.
    direction : d (d,).
    held, free : margins that the curve along d holds, and the other active ones.
    """
    balls, theta = vicinity.functions.balls, vicinity.theta
    everyone = np.concatenate([held, free])
    if balls is None or everyone.size * theta.size > FRACTION_ENTRIES:
        return False
    from flint import arb, fmpq_mat

    with precision(_BITS):
        try:
            values, rows = balls.slopes([arb(float(x)) for x in theta], everyone)
        except (KinkInBox, ZeroDivisionError):
            return False
        numbers = [*values, *(entry for row in rows for entry in row)]
        if not all(number.is_exact() for number in numbers):
            return False
        if any(value != values[0] for value in values[1:]):
            return False
        d, point = ([arb(float(x)) for x in vector] for vector in (direction, theta))
        slopes = [_dot(row, d) for row in rows]
        if not all(slope.is_zero() for slope in (_dot(point, d), *slopes[: held.size])):
            return False
        if not all(slope >= 0 for slope in slopes[held.size :]):
            return False
        kept = [[_fraction(entry) for entry in row] for row in rows[: held.size]]
        target = [_fraction(entry) for entry in point]
        alone = fmpq_mat(len(kept), theta.size, [entry for row in kept for entry in row])
        both = [entry for row in (*kept, target) for entry in row]
        return bool(fmpq_mat(len(kept) + 1, theta.size, both).rank() == alone.rank())


def critical_as_computed(
    vicinity: Vicinity, direction: Array, held: Indices, free: Indices, error: float
) -> bool:
    """Tell the same within rounding, of functions that are known as floats only.

    A margin that falls by less than rounding bars the way at lengths of the order of the rounding
    of θ. That is below what floats can say of such a function.

    Parameters
    ----------
    vicinity, direction, held, free : as in :func:`critical_along`.
    error : ε of the point.
    """
    theta, everyone = vicinity.theta, np.concatenate([held, free])
    rows, values = vicinity.rows(everyone), vicinity.values[everyone]
    weights = vicinity.multipliers[everyone]
    carried = float(weights @ np.linalg.norm(rows, axis=1))
    tiny = _ROUNDED * EPS
    if max(error, abs(float(theta @ direction))) > tiny * (1.0 + carried):
        return False
    rounding = tiny * (np.abs(rows) @ np.abs(theta))
    if np.any(values - np.min(vicinity.values) > rounding):
        return False
    lengths, slopes = np.linalg.norm(rows, axis=1), rows @ direction
    level = np.abs(slopes) <= tiny * lengths
    # Where a margin rises it crosses the others behind θ: as near as rounding, where it is steep.
    return bool(np.all(level[: held.size]) and np.all(level | (slopes >= STEEP * lengths)))


def _dot(a: list[Any], b: list[Any]) -> Any:
    from flint import arb

    return sum((x * y for x, y in zip(a, b, strict=True)), arb(0))


def _fraction(number: Any) -> Any:
    """Return an exact ball as a fraction."""
    from flint import fmpq

    mantissa, exponent = number.man_exp()
    power = int(exponent)
    return fmpq(mantissa * 2**power) if power >= 0 else fmpq(mantissa, 2**-power)
