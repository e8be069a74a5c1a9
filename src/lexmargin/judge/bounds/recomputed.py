"""Bounds of given multipliers, with NumPy alone: for receipts."""

from __future__ import annotations

import math

import numpy as np

from lexmargin.judge.bounds.global_bounds import enumerated_bound
from lexmargin.judge.functions.linear_networks import linear_network_bound
from lexmargin.judge.local.birth import birth_value, leak
from lexmargin.judge.multipliers.products import near_products
from lexmargin.judge.multipliers.vertex_bounds import linear_dual_bound
from lexmargin.judge.point import UnitPoint
from lexmargin.linalg.nonnegative import nonnegative
from lexmargin.linalg.norms import Array, unit_scale, vector_norm
from lexmargin.linalg.rounding import EPS
from lexmargin.margins import MarginFunctions

__all__ = ["linear_margin", "proved_bound"]


def proved_bound(
    functions: MarginFunctions, point: UnitPoint, weights: Array, linear: bool
) -> float | None:
    """Return the best upper bound on all margins that the weights, or enumeration, prove."""
    # At any scale; the sums of subnormal weights would be rounded by parts of themselves.
    weights = unit_scale(weights)
    total = float(np.sum(weights))
    if np.any(weights < 0.0) or not (math.isfinite(total) and total > 0.0):
        return None
    if linear:
        return point.unscaled(linear_dual_bound(point.jacobian, weights, point.norm).upper)
    if point.norm != 2.0:
        return None
    found = linear_network_bound(functions, weights)
    vertices = enumerated_bound(functions)
    if vertices is not None:
        found = vertices.upper if found is None else min(found, vertices.upper)
    slope = leak(functions)
    if slope is None:
        return found
    birth = birth_value(functions.data.X, functions.score_weights(weights), slope, nonnegative)
    bound = 0.5 * birth.upper / total
    return bound if found is None else min(bound, found)


def linear_margin(point: UnitPoint, theta: Array) -> float:
    """Return a margin that θ/‖θ‖ surely has, for linear f_n = z_n·θ (d,), in the units of point."""
    scaled = unit_scale(theta)
    products, errors = near_products(point.jacobian, scaled)
    size = vector_norm(scaled, point.norm) * (1.0 + 8.0 * EPS)
    return float(np.min(products - errors)) / size
