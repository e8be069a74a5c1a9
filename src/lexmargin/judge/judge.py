"""From margins and gradients at a direction to a certificate."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lexmargin.errors import DegreeError, ParameterError
from lexmargin.inputs.kinds import Exponent, checked
from lexmargin.inputs.limits import IMPROVED_ENTRIES
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.first_order import Measured, certificate_of, first_order
from lexmargin.judge.multipliers.polyhedral_set import multipliers_of
from lexmargin.judge.multipliers.qualification import compact, licq, mfcq
from lexmargin.judge.multipliers.stationarity import Stationarity, lyu_li
from lexmargin.judge.multipliers.supports import Rows, Rung, climb
from lexmargin.judge.multipliers.vertex_bounds import (
    DualBound,
    best_weights,
    linear_dual_bound,
    relative_gap,
)
from lexmargin.judge.point import UnitPoint, check_euler, row_sums, unit_point
from lexmargin.judge.tolerances import DEFAULT, Tolerances
from lexmargin.judge.unmeasured import negative
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import vector_norm
from lexmargin.linalg.rounding import EPS
from lexmargin.linalg.rows import densified

__all__ = [
    "certify_arrays",
    "dual_bound",
    "judged",
    "not_separating",
    "with_multiplier_set",
]

_Scalar = TypeVar("_Scalar", bound=np.generic)


@checked
def certify_arrays(
    f: ArrayLike,
    jacobian: ArrayLike,
    theta: ArrayLike,
    degree: float,
    norm: Exponent = 2.0,
    tolerances: Tolerances = DEFAULT,
    *,
    linear: bool = False,
    best_margin: float | None = None,
    target: float | None = None,
) -> Certificate:
    """Judge the direction θ/‖θ‖ from margins and gradients alone (Definition 3, rescaled).

    Parameters
    ----------
    f : (N,) margins f_n(θ) = y_n F(x_n; θ).
    jacobian : (N, d) gradients ∇f_n(θ); for linear predictors the rows z_n.
    theta : (d,) the point, at any scale: homogeneity brings it to the unit sphere.
    degree : α of Definition 1, checked by Euler's identity.
    norm : exponent p ≥ 1 of the ball, `math.inf` allowed.
    tolerances : what counts as equal.
    linear : the f_n are linear, so that multipliers bound every margin and GLOBAL can be proven.
    best_margin : γ*(1) if known: adds γ/γ* and the literal Definition 3.
    target : margin that θ was meant to reach at its own scale; adds ``feasibility``.

    Returns
    -------
    Certificate
        KKT or better only where ε and δ are measured within tolerance; NOT_STATIONARY only where
        a lower bound on ε is proven; UNDECIDED between.

    Raises
    ------
    ShapeError, DataError, DegreeError, ParameterError
        for arrays that do not fit, NaN or empty input, θ = 0, a degree that contradicts Euler's
        identity, and a norm exponent below 1.
    """
    point = unit_point(f, jacobian, theta, degree, norm)
    if linear and point.degree != 1.0:
        raise DegreeError(
            f"Linear margins have degree 1, not {point.degree:g}.", "Pass degree=1 or linear=False."
        )
    for name, value in (("best_margin", best_margin), ("target", target)):
        if value is not None and not (math.isfinite(value) and value > 0.0):
            raise ParameterError(f"{name} is {value!r}.", "Give a positive number, or leave it.")
    mismatch = check_euler(point, tolerances.euler)
    shortfall = 0.0
    if target is not None:
        shortfall = max(0.0, (target - float(np.min(np.asarray(f, dtype=np.float64)))) / target)
    notes: tuple[str, ...] = ()
    if shortfall > tolerances.feasibility:
        notes = (f"the stated margin misses its target by {shortfall:.3g} of it",)
    if point.margin <= 0.0:
        return not_separating(point, tolerances, shortfall, notes)

    rung = climb(Rows(point), tolerances)
    bound = dual_bound(point, rung.measured, tolerances) if linear else None
    reach = None if bound is None else (bound.upper, _margin_from_below(point))
    return judged(point, rung, mismatch, tolerances, shortfall, notes, reach, best_margin)


def judged(
    point: UnitPoint,
    rung: Rung,
    mismatch: float,
    tolerances: Tolerances,
    shortfall: float = 0.0,
    notes: tuple[str, ...] = (),
    reach: tuple[float, float] | None = None,
    best_margin: float | None = None,
) -> Certificate:
    """Return the certificate of what was measured at a point with a positive margin.

    Parameters
    ----------
    point : the unit direction, its gradients dense or CSR.
    rung : ε and δ with their multipliers.
    mismatch : the largest error of Euler's identity.
    shortfall, notes, best_margin : as in :func:`certify_arrays`.
    reach : for linear margins an upper bound on all of them, and a margin that the direction
        surely has, both in the units of the point.
    """
    measured = rung.measured
    rows = point.jacobian[measured.support]
    word = first_order(Measured.of(measured, point.is_noise, mismatch), tolerances)
    margin = point.unscaled(point.margin)
    found = certificate_of(rung, word, margin, point.norm, tolerances)
    verdict, reasons = found.verdict, found.reasons
    gap = bound = None
    if reach is not None:
        bound = point.unscaled(reach[0])
        gap = relative_gap(*reach)
        if gap > tolerances.gap:
            reasons += (f"the margin is {gap:.3g} below the best bound found",)
        elif verdict is Verdict.KKT:
            verdict = Verdict.GLOBAL
            reasons += ("weak duality: no direction has a margin above the bound",)
    best = bound if best_margin is None and verdict is Verdict.GLOBAL else best_margin
    ratio = None if best is None else margin / best
    pair: tuple[float | None, float | None] = (None, None)
    if point.norm == 2.0:
        slacks = measured.multipliers * (point.margins - point.margin)
        pair = lyu_li(measured.residual, slacks, margin, point.degree)
    literal = None
    if ratio is not None:
        literal = verdict.stationary and ratio >= 1.0 - tolerances.gap
    return replace(
        with_multiplier_set(found, point, rows),
        verdict=verdict,
        feasibility=shortfall,
        support=_frozen(measured.support),
        multipliers=_frozen(point.unscaled_multipliers(measured.multipliers)),
        mfcq=mfcq(rows, 0.0, point.theta),
        gap=gap,
        bound=bound,
        margin_ratio=ratio,
        definition_3=literal,
        degree=point.degree,
        reasons=reasons + notes,
        kkt_epsilon=pair[0],
        kkt_delta=pair[1],
    )


def with_multiplier_set(found: Certificate, point: UnitPoint, rows: Any) -> Certificate:
    """Add the polytope of multipliers (S,) of the support's gradients, and LICQ where dense."""
    dense = densified(rows)
    if dense is None:
        return found
    limits = found.tolerances
    polytope = multipliers_of(point, dense, found.multipliers[found.support], limits.rank)
    ranges = None
    if polytope.low is not None and polytope.high is not None:
        low, high = (point.unscaled_multipliers(x) for x in (polytope.low, polytope.high))
        ranges = tuple((float(a), float(b)) for a, b in zip(low, high, strict=True))
    return replace(
        found,
        multiplier_dimension=polytope.dimension,
        multiplier_range=ranges,
        licq=licq(compact(dense), limits.rank),
    )


def _margin_from_below(point: UnitPoint) -> float:
    """Return a margin that the unit direction surely has, for linear f_n = z_n·θ̂."""
    products = point.jacobian @ point.theta
    rounding = EPS * (point.theta.size + 4) * row_sums(point.jacobian, point.theta)
    size = vector_norm(point.theta, point.norm)
    return float(np.min(products - rounding)) / (size * (1.0 + 4.0 * EPS))


def dual_bound(point: UnitPoint, measured: Stationarity, limits: Tolerances) -> DualBound | None:
    """Bound all margins by the multipliers in hand, or by better ones where that is cheap."""
    found = None
    if np.any(measured.multipliers > 0.0) and np.all(np.isfinite(measured.multipliers)):
        found = linear_dual_bound(point.jacobian, measured.multipliers, point.norm)
        if relative_gap(found.upper, point.margin) <= limits.gap:
            return found
    count, dimension = point.jacobian.shape
    smooth = 1.0 < point.norm < math.inf and point.norm != 2.0
    if count * dimension > IMPROVED_ENTRIES or (smooth and count > 200):
        return found
    start = None if found is None else found.weights
    rows = densified(point.jacobian)
    if rows is None:
        return found
    better = linear_dual_bound(rows, best_weights(rows, point.norm, start=start), point.norm)
    return better if found is None or better.upper < found.upper else found


def not_separating(
    point: UnitPoint, limits: Tolerances, shortfall: float = 0.0, notes: tuple[str, ...] = ()
) -> Certificate:
    """Return the certificate of a direction with a margin that is not positive."""
    found = negative(point.margins, point.norm, limits, notes)
    return replace(
        found,
        margin=point.unscaled(point.margin),
        feasibility=shortfall,
        degree=point.degree,
        support=_frozen(found.support),
        multipliers=_frozen(found.multipliers),
    )


def _frozen(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    array.setflags(write=False)
    return array
