"""What lies around a direction, and around a point of a program whose length counts (math §3).

At a KKT point of `min ½ Σ_i c_i w_i² s.t. f_n(w) ≥ 1` (eq. 7, 14) the Hessian of the Lagrangian,
`diag(c) - Σ λ_n ∇²f_n(w)`, is judged on the tangents of the active f_n, in `u = √c w` over its
length. The max form at a radius (eq. 6) has the same tangents and, up to a positive factor, the
same matrix: `Σ λ_n ∇f_n = w` keeps a tangent on the sphere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from lexmargin.formulations.kkt import Kkt
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.second_order.hessians import (
    Curved,
    PredictorCurved,
    RescaledCurved,
)
from lexmargin.judge.second_order.vicinity import Vicinity
from lexmargin.linalg.norms import Array, vector_norm

__all__ = ["around_direction", "around_program"]

_LEAST_COST: Final = 1e-280
"""Cost from which √c and its products with θ keep clear of underflow; below, nothing is said."""
_BISECTIONS: Final = 60
"""Halvings of [½, 2]: more than the 53 bits of a double change nothing."""


def around_direction(
    functions: Curved, theta: Array, degree: float, found: Certificate
) -> Vicinity:
    """Return the surroundings of a unit direction (d,) of homogeneous margin functions.

    ``found``: the certificate of that direction, whose λ belong to it.
    """
    return Vicinity(
        functions=functions,
        theta=theta,
        multipliers=_used(found, found.multipliers),
        support=np.unique(found.support),
        level=None,
        degree=degree,
        worth=_largest_margin(functions),
        limits=found.tolerances,
        nearest_kink=found.nearest_kink,
    )


def around_program(kkt: Kkt, exact: bool, found: Certificate) -> Vicinity | str:
    """Return the surroundings of a point whose length counts, or why nothing is said of them.

    Entries that are held stay where they are, and have no cost.

    Parameters
    ----------
    kkt : the point w.
    exact : whether second derivatives are exact, or differences by NumPy alone.
    found : the certificate of that point, whose λ are those of `c w`, or of `w/‖w‖`.
    """
    functions, w, held = kkt.functions, kkt.point, kkt.held
    multipliers = found.multipliers * (vector_norm(w, 2.0) if kkt.costs is None else 1.0)
    costs = np.where(held, 1.0, kkt.entry_costs)
    if not float(np.min(costs)) > _LEAST_COST:
        return "some parameters cost too little to be compared with the others"
    base, moving = np.where(held, w, 0.0), np.where(held, 0.0, w)
    size = vector_norm(np.sqrt(costs) * moving, 2.0)
    stretch = np.where(held, 0.0, size / np.sqrt(costs))
    inner = PredictorCurved(functions, exact=exact, nearest_kink=found.nearest_kink)
    unit = moving * np.sqrt(costs) / size
    curved = RescaledCurved(
        inner, stretch, kkt.required, orbits=kkt.even, base=base, known=(unit, w)
    )
    worth = _largest_margin(curved)
    if kkt.level is not None:
        # Beside entries that are held the others are no homogeneous functions.
        exponents = None
        if kkt.parts is not None and not np.any(base):
            exponents = kkt.parts.spread(1.0 / kkt.parts.degrees)
        worth = _least_cost(curved, kkt.level, exponents, size**2)
    vicinity = Vicinity(
        functions=curved,
        theta=unit,
        multipliers=_used(found, multipliers) / size**2,
        support=np.unique(found.support),
        level=kkt.level,
        degree=None,
        worth=worth,
        limits=found.tolerances,
        nearest_kink=found.nearest_kink,
        reach=float(np.max(stretch)) / vector_norm(w, 2.0),
    )
    # A part of little cost may be far from its place, seen from the whole; curvature is not.
    if not vicinity.error <= found.tolerances.stationarity:
        return f"in the metric of the cost ε is {vicinity.error:.3g}"
    return vicinity


def _used(found: Certificate, multipliers: Array) -> Array:
    """Return λ ≥ 0 of the support, and 0 elsewhere (N,)."""
    used = np.zeros(multipliers.size)
    used[found.support] = np.maximum(multipliers[found.support], 0.0)
    return used


def _largest_margin(functions: Curved) -> Callable[[Array], float]:
    """Compare points by their margin on the unit sphere (eq. 6, 18)."""

    def worth(moved: Array) -> float:
        size = float(np.linalg.norm(moved))
        if not (math.isfinite(size) and size > 0.0):
            return -math.inf
        margin = float(np.min(functions.values(moved / size)))
        return math.log(margin) if margin > 0.0 else -math.inf

    return worth


def _least_cost(
    functions: Curved, level: float, exponents: Array | None, unit: float
) -> Callable[[Array], float]:
    """Compare points by their cost, ``unit`` at length 1, after a stretch to the level (eq. 7, 14).

    By ``exponents`` (d,), 1/α of the part of each entry, or by a bisection where there are none.
    """

    def stretched(moved: Array) -> Array | None:
        if not np.all(np.isfinite(moved)):
            return None
        if exponents is not None:
            margin = float(np.min(functions.values(moved)))
            if not (margin > 0.0 and math.isfinite(margin)):
                return None
            return np.asarray(moved * (level / margin) ** exponents)

        def reaches(factor: float) -> bool:
            with np.errstate(invalid="ignore"):
                return float(np.min(functions.values(factor * moved))) >= level

        low, high = 0.5, 2.0
        if reaches(low) or not reaches(high):
            return None
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            low, high = (low, middle) if reaches(middle) else (middle, high)
        return high * moved

    def worth(moved: Array) -> float:
        point = stretched(moved)
        if point is None:
            return -math.inf
        cost = unit * float(point @ point)
        return -math.log(cost) if cost > 0.0 and math.isfinite(cost) else -math.inf

    return worth
