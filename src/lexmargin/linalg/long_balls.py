"""Norms of long numbers in balls: sums, powers and roots hold the true value (``flint.arb``)."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from lexmargin.linalg.long_numbers import Big

__all__ = ["ball_gradient", "ball_norm", "dual_ball", "largest", "smallest", "upper"]


def largest(values: Big) -> Any:
    return functools.reduce(lambda a, b: a.max(b), values)


def smallest(values: Big) -> Any:
    return functools.reduce(lambda a, b: a.min(b), values)


def upper(value: Any) -> float:
    """Return a double that no number in the ball exceeds; ∞ where nothing is known."""
    found = float(value.upper())
    return math.inf if math.isnan(found) else float(np.nextafter(found, math.inf))


def dual_ball(p: float) -> Any:
    """Return the conjugate exponent."""
    from flint import arb

    if p in (1.0, 2.0, math.inf):
        return {1.0: math.inf, 2.0: 2.0, math.inf: 1.0}[p]
    return arb(p) / (arb(p) - 1)


def ball_norm(v: Big, p: Any) -> Any:
    """Return ``‖v‖_p``, p >= 1."""
    from flint import arb

    sizes = [abs(x) for x in v]
    if p == math.inf:
        return largest(sizes)
    if p == 1.0:
        return sum(sizes, arb(0))
    if p == 2.0:
        return sum((x * x for x in sizes), arb(0)).sqrt()
    return _power(sum((_power(x, arb(p)) for x in sizes), arb(0)), 1 / arb(p))


def ball_gradient(x: Big, p: Any) -> Big:
    """Return ``∇½‖x‖_p²``, 1 < p < ∞, x ≠ 0."""
    from flint import arb

    if p == 2.0:
        return x
    size, exponent = ball_norm(x, p), arb(p) - 1
    return np.array([size * _signed(v / size, exponent) for v in x], dtype=object)


def _signed(x: Any, exponent: Any) -> Any:
    size = _power(abs(x), exponent)
    if x > 0:
        return size
    return -size if x < 0 else size.union(-size)


def _power(x: Any, exponent: Any) -> Any:
    """Return x^exponent of a number x >= 0, which its ball may not show."""
    from flint import arb

    if x > 0:
        return x**exponent
    most = x.upper()
    return arb(0).union(most**exponent) if most > 0 else arb(0)
