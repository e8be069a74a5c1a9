"""Second order for problems with a scale: eq. 6 and 7 at finite ρ, and eq. 14 (math §3).

At a KKT point of `min ½ Σ_i c_i w_i² s.t. f_n(w) ≥ 1` the Hessian of the Lagrangian,
`diag(c) - Σ λ_n ∇²f_n(w)`, is judged on the tangents of the active f_n, in `v = √c w` where the
cost is ½‖v‖². The max form at a radius has the same tangents and, up to a positive factor, the same
matrix: `Σ λ_n ∇f_n = w` keeps a tangent on the sphere.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.certificate.certificate import Certificate
from lexmargin.certificate.curvature import Curvature, CurvatureKind
from lexmargin.certificate.given import Evidence
from lexmargin.certificate.kinks import curvature_jumps
from lexmargin.certificate.norms import Array, vector_norm
from lexmargin.certificate.raising import significant_gain
from lexmargin.certificate.symmetry import symmetry_tangents
from lexmargin.certificate.verdict import Verdict
from lexmargin.errors import UnsupportedError
from lexmargin.formulations.parts import Parts
from lexmargin.margins import MarginFunctions

__all__ = ["Setting", "cheapest", "improved", "second_order", "widest_margin"]

_LIMIT = 300
_FLAT = 1e-6
_STRONG = 1e-6
_RANGE = 1e-280
_CORRECTIONS = 6
_BISECTIONS = 60
_STEPS = np.array([sign * 10.0**e for e in np.arange(-4.0, 0.25, 0.5) for sign in (1.0, -1.0)])


@final
@dataclass(frozen=True, eq=False)
class Setting:
    """A point, what its coordinates cost, and how good another point is.

    w, costs
        the point (d,) and c (d,): the target is `c w`.
    value
        logarithm of the margin at the same radius, or of 1/cost once feasible; larger is better.
    goal
        what ``value`` is, in words.
    """

    functions: MarginFunctions
    w: Array
    costs: Array
    value: Callable[[Array], float]
    goal: str


def widest_margin(functions: MarginFunctions, w: Array) -> Setting:
    """Return the setting of eq. 6: the margin on the sphere through w."""
    radius = vector_norm(w, 2.0)

    def value(moved: Array) -> float:
        size = vector_norm(moved, 2.0)
        if not 0.0 < size < math.inf:
            return -math.inf
        margin = float(np.min(functions.values(moved * (radius / size))))
        return math.log(margin) if margin > 0.0 else -math.inf

    return Setting(functions, w, np.ones(w.size), value, "margin")


def cheapest(
    functions: MarginFunctions, w: Array, costs: Array, level: float, parts: Parts | None
) -> Setting:
    """Return the setting of eq. 7 and 14: the cost, after a stretch to the margin ``level``."""

    def value(moved: Array) -> float:
        point = _feasible(functions, moved, level, parts)
        cost = -1.0 if point is None else float(np.sum(costs * point * point))
        return -math.log(cost) if cost > 0.0 and math.isfinite(cost) else -math.inf

    return Setting(functions, w, costs, value, "cost")


def _feasible(
    functions: MarginFunctions, w: Array, level: float, parts: Parts | None
) -> Array | None:
    """Return w stretched until `min_n f_n = level`; by a bisection where there are no degrees."""
    if not np.all(np.isfinite(w)):
        return None
    if parts is not None:
        margin = float(np.min(functions.values(w)))
        if not (margin > 0.0 and math.isfinite(margin)):
            return None
        return w * parts.spread((level / margin) ** (1.0 / parts.degrees))

    def reaches(factor: float) -> bool:
        with np.errstate(invalid="ignore"):
            return bool(np.min(functions.values(factor * w)) >= level)

    low, high = 0.5, 2.0
    if reaches(low) or not reaches(high):
        return None
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high * w


def second_order(
    setting: Setting, multipliers: Array, found: Certificate, given: Evidence | None = None
) -> Certificate:
    """Carry a first-order certificate on to STRICT_LOCAL or SADDLE; say why not otherwise.

    Parameters
    ----------
    setting : the point.
    multipliers : λ (N,) with `c w = Σ λ_n ∇f_n(w)`.
    found : KKT at first order; any other certificate is returned as it is.
    given : what a receipt carries; second derivatives are then differences of gradients, and a
        better point is compared instead of searched for.

    Returns
    -------
    Certificate
        SADDLE only where a better feasible point was evaluated.
    """
    limits = found.tolerances
    if found.verdict is not Verdict.KKT or found.stationarity > limits.stationarity:
        return found
    if given is not None and given.better is not None:
        before, after = setting.value(setting.w), setting.value(given.better)
        if after > before + _needed(setting, multipliers, found):
            return replace(
                found,
                verdict=Verdict.SADDLE,
                reasons=(*found.reasons, f"no local optimum: the point given has a better "
                f"{setting.goal}"),
            )  # fmt: skip
    reduced = _reduce(setting, multipliers, found, exact=given is None)
    if isinstance(reduced, str):
        curvature = Curvature(kind=CurvatureKind.UNDECIDED, reason=reduced)
        return _noted(found, curvature)
    measured = reduced.measured
    if measured.kind is CurvatureKind.POSITIVE:
        modulo = ""
        if measured.symmetries:
            modulo = f", modulo an orbit of symmetries of dimension {measured.symmetries}"
        return replace(
            found,
            verdict=Verdict.STRICT_LOCAL,
            curvature=measured,
            reasons=(*found.reasons, f"second order: {measured.reason}{modulo}"),
        )
    if measured.kind is not CurvatureKind.INDEFINITE or given is not None:
        return _noted(found, measured)
    better = _search(setting, reduced)
    before, after = setting.value(setting.w), setting.value(better[0])
    if after <= before + _needed(setting, multipliers, found):
        measured = replace(measured, kind=CurvatureKind.UNDECIDED, witness=better[1])
        return _noted(found, measured)
    sign = 1.0 if setting.goal == "margin" else -1.0
    word = "rises" if sign > 0.0 else "falls"
    reason = (
        f"along a direction of negative curvature the {setting.goal} {word} from "
        f"{math.exp(sign * before):.10g} to {math.exp(sign * after):.10g}"
    )
    curvature = replace(
        measured, witness=better[1], step=better[2], shown=True, reason=reason,
        margin_before=math.exp(before) if sign > 0.0 else None,
        margin_after=math.exp(after) if sign > 0.0 else None,
    )  # fmt: skip
    return replace(
        found,
        verdict=Verdict.SADDLE,
        curvature=curvature,
        reasons=(*found.reasons, f"no local optimum: {reason}"),
    )


def improved(setting: Setting, multipliers: Array, found: Certificate) -> Array | None:
    """Return the better point that made a verdict SADDLE, found once more; None without one."""
    reduced = _reduce(setting, multipliers, found, exact=True)
    if isinstance(reduced, str) or not reduced.negative.size:
        return None
    return _search(setting, reduced)[0]


def _noted(found: Certificate, curvature: Curvature) -> Certificate:
    reason = f"second order undecided: {curvature.reason}"
    return replace(found, curvature=curvature, reasons=(*found.reasons, reason))


def _needed(setting: Setting, multipliers: Array, found: Certificate) -> float:
    """Return the gain of ``value`` that an inexact point cannot explain."""
    held = setting.functions.values(setting.w)[multipliers > 0.0]
    uneven = float(np.max(held)) / float(np.min(held)) - 1.0 if held.size else 0.0
    return significant_gain(1.0, found.stationarity, uneven)


# -- the reduced Hessian ---------------------------------------------------------------------------


@final
@dataclass(frozen=True, eq=False)
class _Reduced:
    """What was measured, directions (d, k) of negative curvature in v, and the f_n to hold."""

    measured: Curvature
    negative: Array
    held: NDArray[np.intp]


def _reduce(
    setting: Setting, multipliers: Array, found: Certificate, *, exact: bool
) -> _Reduced | str:
    """Judge the reduced Hessian, or say why it cannot be judged."""
    functions, w, costs = setting.functions, setting.w, setting.costs
    if functions.size > _LIMIT:
        return f"{functions.size} parameters are more than {_LIMIT}"
    if not float(np.min(costs)) > _RANGE:
        return "some parameters cost too little to be compared with the others"
    used = np.maximum(multipliers, 0.0)
    if curvature_jumps(functions, w, used, found.tolerances.kink):
        return "the second derivative of relu^p jumps at this point"
    root = np.sqrt(costs)
    # A part of little cost may be far from its place, seen from the whole; curvature is not.
    v = root * w
    misfit = vector_norm(v - used @ functions.jacobian(w) / root, 2.0) / vector_norm(v, 2.0)
    if misfit > found.tolerances.stationarity:
        return f"in the metric of the cost ε is {misfit:.3g}"
    bend = _differences(functions, w, used, found.nearest_kink)
    if exact:
        checked = _exact(functions, w, used)
        if isinstance(checked, str):
            return checked
        scale = max(1.0, float(np.max(np.abs(checked / np.outer(root, root)))))
        apart = float(np.max(np.abs((checked - bend) / np.outer(root, root))))
        if not apart <= 1e-4 * scale:
            return f"two routes to the second derivative differ by {apart:.3g}"
        bend = checked
    jacobian = functions.jacobian(w) / root
    support = found.support
    weights = used[support] * np.linalg.norm(jacobian[support], axis=1)
    error = found.stationarity
    strong = weights > max(_STRONG, 100.0 * error) * float(np.max(weights))
    held = support[strong & found.tolerances.tight(functions.values(w))[support]]
    orbit = symmetry_tangents(functions, w, functions.jacobian(w)) * root
    tangents = _null_space(jacobian[held], orbit)
    sizes = {"dimension": tangents.shape[1], "symmetries": orbit.shape[0]}
    nothing = np.zeros((w.size, 0))
    if not tangents.shape[1]:
        why = "the critical cone holds no direction"
        positive = Curvature(kind=CurvatureKind.POSITIVE, reason=why, **sizes)
        return _Reduced(positive, nothing, held)
    lagrangian = np.eye(w.size) - bend / np.outer(root, root)
    small = tangents.T @ lagrangian @ tangents
    if not np.all(np.isfinite(small)):
        return "the Hessian is not finite"
    eigenvalues, vectors = np.linalg.eigh(0.5 * (small + small.T))
    low, high = float(eigenvalues[0]), float(eigenvalues[-1])
    zero = max(_FLAT * max(1.0, high, -low), math.sqrt(10.0 * error))
    near = found.nearest_kink
    kind, why = CurvatureKind.UNDECIDED, ""
    if low > zero:
        kind, why = CurvatureKind.POSITIVE, "positive on the critical cone"
        if near is not None and near * low <= 10.0 * error:
            kind, why = CurvatureKind.UNDECIDED, "a kink is as near as the error of the point"
    elif low >= -zero:
        flat = int(np.count_nonzero(eigenvalues <= zero))
        why = f"{flat} flat direction{'s' if flat > 1 else ''}, no known symmetry of the problem"
    else:
        kind, why = (
            CurvatureKind.INDEFINITE,
            "negative curvature on the tangents of the strongly active margins, and no better "
            "point was shown along it",
        )
        nothing = tangents @ vectors[:, eigenvalues < -zero][:, :3]
    measured = Curvature(kind=kind, smallest=low, largest=high, reason=why, **sizes)
    return _Reduced(measured, nothing, held)


def _null_space(rows: Array, orbit: Array) -> Array:
    """Return an orthonormal basis (d, m) of what is orthogonal to the rows and to the orbit."""
    stacked = np.vstack([rows, orbit])
    sizes = np.linalg.norm(stacked, axis=1, keepdims=True)
    _, sigma, basis = np.linalg.svd(stacked / np.where(sizes > 0.0, sizes, 1.0), full_matrices=True)
    rank = int(np.count_nonzero(sigma > 1e-8 * sigma[0])) if sigma.size else 0
    result: Array = basis[rank:].T
    return result


def _differences(
    functions: MarginFunctions, w: Array, weights: Array, nearest_kink: float | None
) -> Array:
    """Return `Σ weights_n ∇²f_n(w)` by central differences of the judge's own gradients.

    Each stays on this side of the nearest kink, which is measured as a part of ‖w‖.
    """
    step = 1e-5 * vector_norm(w, 2.0) / math.sqrt(w.size)
    if nearest_kink is not None:
        step = min(step, 0.1 * nearest_kink * vector_norm(w, 2.0))
    columns = []
    for i in range(w.size):
        shift = np.zeros(w.size)
        shift[i] = step
        ahead = functions.combined_gradient(w + shift, weights)
        behind = functions.combined_gradient(w - shift, weights)
        columns.append((ahead - behind) / (2.0 * step))
    found = np.array(columns)
    return np.asarray(0.5 * (found + found.T))


def _exact(functions: MarginFunctions, w: Array, weights: Array) -> Array | str:
    from lexmargin.hessian import weighted_hessian

    try:
        found = weighted_hessian(functions, w, weights)
    except UnsupportedError as error:
        return f"no exact second derivatives: {error}"
    return found if np.all(np.isfinite(found)) else "the Hessian is not finite"


# -- a better point --------------------------------------------------------------------------------


def _search(setting: Setting, reduced: _Reduced) -> tuple[Array, Array, float]:
    """Return the best point along directions of negative curvature, its direction and step.

    Each step is corrected, shortest first in the metric of the cost, back to the values of the
    active f_n: along a tangent that correction is of second order.
    """
    functions, w, root = setting.functions, setting.w, np.sqrt(setting.costs)
    active = reduced.held
    jacobian, level = functions.jacobian(w)[active] / root, functions.values(w)[active]
    scale = float(np.max(np.abs(jacobian), initial=0.0)) or 1.0
    inverse = np.linalg.pinv(jacobian / scale, rcond=1e-10) / scale
    size = vector_norm(root * w, 2.0)
    best, top = (w, w, 0.0), setting.value(w)
    for vector in reduced.negative.T:
        for step in _STEPS:
            moved = w + step * size * vector / root
            for _ in range(_CORRECTIONS):
                with np.errstate(all="ignore"):
                    moved = moved + inverse @ (level - functions.values(moved)[active]) / root
                if not np.all(np.isfinite(moved)):
                    break
                value = setting.value(moved)
                if value > top:
                    best, top = (moved, vector / root, float(step * size)), value
    return best
