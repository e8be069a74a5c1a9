"""Bounds and second order of given multipliers, with NumPy alone: for receipts."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lexmargin.certificate.birth import birth_value, leak
from lexmargin.certificate.bounds import linear_dual_bound
from lexmargin.certificate.global_bounds import enumerated_bound
from lexmargin.certificate.kinks import curvature_jumps
from lexmargin.certificate.linear_networks import linear_network_bound
from lexmargin.certificate.nonnegative import nonnegative
from lexmargin.certificate.norms import Array, unit_scale, vector_norm
from lexmargin.certificate.point import UnitPoint, row_sums
from lexmargin.certificate.symmetry import symmetry_tangents
from lexmargin.certificate.tolerances import Tolerances
from lexmargin.margins import MarginFunctions

__all__ = ["linear_margin", "proved_bound", "smallest_curvature"]

_EPS = float(np.finfo(np.float64).eps)
_STRONG = 1e-6
_HESSIAN_LIMIT = 300


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


def linear_margin(point: UnitPoint) -> float:
    """Return a margin that the direction surely has, for linear f_n = z_n·θ̂."""
    rounding = _EPS * (point.theta.size + 4) * row_sums(point.jacobian, point.theta)
    size = vector_norm(point.theta, point.norm) * (1.0 + 4.0 * _EPS)
    return float(np.min(point.jacobian @ point.theta - rounding)) / size


def smallest_curvature(
    functions: MarginFunctions,
    unit: Array,
    support: NDArray[np.intp],
    multipliers: Array,
    residual: float,
    limits: Tolerances,
    nearest_kink: float | None = None,
) -> float | None:
    """Return the smallest eigenvalue of `I - Σ λ_n ∇²f_n` on the tangents of active f_n.

    Symmetries are projected out; by central differences of the gradients, on this side of the
    nearest kink. None where it is too large, or where a second derivative jumps; 1 where there is
    no tangent.
    """
    if functions.size > _HESSIAN_LIMIT:
        return None
    # Stationarity is measured on the support alone: nothing else may bend the Lagrangian.
    used = np.zeros(multipliers.size)
    used[support] = np.maximum(multipliers[support], 0.0)
    if curvature_jumps(functions, unit, used, limits.kink):
        return None
    jacobian = functions.jacobian(unit)[support]
    weights = used[support] * np.linalg.norm(jacobian, axis=1)
    held_strongly = weights > max(_STRONG, 100.0 * residual) * float(np.max(weights))
    strong = jacobian[held_strongly & limits.tight(functions.values(unit))[support]]
    sizes = np.linalg.norm(strong, axis=1, keepdims=True)
    orbit = symmetry_tangents(functions, unit, functions.jacobian(unit))
    held = np.vstack([strong / np.where(sizes > 0.0, sizes, 1.0), orbit])
    _, sigma, basis = np.linalg.svd(held, full_matrices=True)
    tangents = basis[int(np.count_nonzero(sigma > 1e-8 * sigma[0])) :]
    if not tangents.shape[0]:
        return 1.0
    step = 1e-5 if nearest_kink is None else min(1e-5, 0.1 * nearest_kink)
    curved = np.array(
        [
            (
                functions.combined_gradient(unit + step * t, used)
                - functions.combined_gradient(unit - step * t, used)
            )
            / (2.0 * step)
            for t in tangents
        ]
    )
    reduced = np.eye(tangents.shape[0]) - curved @ tangents.T
    return float(np.linalg.eigvalsh(0.5 * (reduced + reduced.T))[0])
