"""From margins and gradients at a direction to a certificate."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lexmargin.errors import DegreeError, ParameterError
from lexmargin.inputs.kinds import Exponent, checked
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.first_order import Measured, certificate_of
from lexmargin.judge.multipliers.later import Later
from lexmargin.judge.multipliers.polyhedral_set import multipliers_of
from lexmargin.judge.multipliers.qualification import compact, licq, mfcq
from lexmargin.judge.multipliers.stationarity import Stationarity, lyu_li
from lexmargin.judge.multipliers.supports import Rows, Rung, climb
from lexmargin.judge.multipliers.vertex_bounds import improved_bound, relative_gap
from lexmargin.judge.point import UnitPoint, check_euler, unit_point
from lexmargin.judge.proved import linear_proof, with_proved
from lexmargin.judge.tolerances import DEFAULT, Tolerances
from lexmargin.judge.unmeasured import negative
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import vector_norm
from lexmargin.linalg.rounding import EPS
from lexmargin.linalg.rows import chosen_rows, densified, row_sums

__all__ = [
    "certify_arrays",
    "judged",
    "judged_direction",
    "linear_upper",
    "not_separating",
    "with_linear_bound",
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
    point = unit_point(f, jacobian, theta, degree, float(norm))
    if linear and point.degree != 1.0:
        raise DegreeError(
            f"Linear margins have degree 1, not {point.degree:g}.", "Pass degree=1 or linear=False."
        )
    for name, value in (("best_margin", best_margin), ("target", target)):
        if value is not None and not (math.isfinite(value) and value > 0.0):
            raise ParameterError(f"{name} is {value!r}.", "Give a positive number, or leave it.")
    found = judged_direction(point, tolerances, linear=linear)
    if target is not None:
        shortfall = max(0.0, (target - float(np.min(np.asarray(f, dtype=np.float64)))) / target)
        found = replace(found, feasibility=shortfall)
        if shortfall > tolerances.feasibility:
            note = f"the stated margin misses its target by {shortfall:.3g} of it"
            found = replace(found, reasons=(*found.reasons, note))
    if best_margin is None or found.verdict is Verdict.NOT_SEPARATING:
        return found
    ratio = found.margin / best_margin
    literal = found.verdict.stationary and ratio >= 1.0 - tolerances.gap
    return replace(found, margin_ratio=ratio, definition_3=literal)


def judged_direction(point: UnitPoint, limits: Tolerances, *, linear: bool = False) -> Certificate:
    """Judge a unit direction from its margins and gradients: Euler's identity, ε and δ, the word.

    Raises :class:`~lexmargin.errors.DegreeError` where Euler's identity fails.
    """
    mismatch = check_euler(point, limits.euler)
    if point.margin <= 0.0:
        return not_separating(point, limits)
    rung = climb(Rows(point), limits)
    found = judged(point, rung, (point.is_noise, mismatch), limits)
    if linear:
        upper = linear_upper(point, rung.measured, limits)
        found = with_linear_bound(found, point, upper, _margin_from_below(point))
    return found


def judged(
    point: UnitPoint, rung: Rung, doubts: tuple[bool, float], limits: Tolerances
) -> Certificate:
    """Return the certificate of what was measured at a direction with a positive margin.

    Parameters
    ----------
    point : the unit direction, its gradients dense or CSR.
    rung : ε and δ with their multipliers.
    doubts : whether the margin is noise, and the largest error of Euler's identity.
    """
    measured = rung.measured
    rows, theta = chosen_rows(point.jacobian, measured.support), point.theta
    known, margin = Measured.of(measured, *doubts), point.unscaled(point.margin)
    found = certificate_of(rung, known, margin, point.norm, limits)
    pair: tuple[float | None, float | None] = (None, None)
    if point.norm == 2.0:
        slacks = measured.multipliers * (point.margins - point.margin)
        pair = lyu_li(measured.residual, slacks, margin, point.degree)
    return replace(
        with_multiplier_set(found, point, rows),
        support=_frozen(measured.support),
        multipliers=_frozen(point.unscaled_multipliers(measured.multipliers)),
        interior=Later(lambda: mfcq(rows, 0.0, theta)),
        degree=point.degree,
        kkt_epsilon=pair[0],
        kkt_delta=pair[1],
    )


def with_multiplier_set(found: Certificate, point: UnitPoint, rows: Any) -> Certificate:
    """Add the polytope of multipliers (S,) of the support's gradients, and LICQ where dense."""
    dense = densified(rows)
    if dense is None:
        return found
    values, rank = found.multipliers[found.support], found.tolerances.rank
    # Of the support alone: these rows are kept for as long as nobody asks.
    point = replace(point, margins=point.margins[found.support], jacobian=dense)
    turned = Later(lambda: compact(dense))
    described = Later(lambda: multipliers_of(point, turned, values, rank))
    return replace(
        found,
        multiplier_set=described.then(lambda found: found.scaled(point.unscaled_multipliers)),
        independence=turned.then(lambda rows: licq(rows, rank)),
    )


def _margin_from_below(point: UnitPoint) -> float:
    """Return a margin that the unit direction surely has, for linear f_n = z_n·θ̂."""
    products = point.jacobian @ point.theta
    rounding = EPS * (point.theta.size + 4) * row_sums(point.jacobian, point.theta)
    size = vector_norm(point.theta, point.norm)
    return float(np.min(products - rounding)) / (size * (1.0 + 4.0 * EPS))


def linear_upper(point: UnitPoint, measured: Stationarity, limits: Tolerances) -> float | None:
    """Bound all linear margins by the multipliers in hand, or by better ones where it is cheap."""
    enough = point.margin / (1.0 - limits.gap) if limits.gap < 1.0 else math.inf
    found = improved_bound(point.jacobian, measured.multipliers, point.norm, enough)
    return None if found is None else found.upper


def with_linear_bound(
    found: Certificate, point: UnitPoint, upper: float | None, sure: float
) -> Certificate:
    """Add a bound on all linear margins, and a margin that the direction surely has."""
    if upper is None:
        return found
    proof = linear_proof(point.unscaled(upper), None)
    found = with_proved(found, replace(proof, excess=relative_gap(upper, sure)))
    if found.gap is None or found.gap <= found.tolerances.gap:
        return found
    why = f"the margin is {found.gap:.3g} below the best bound found"
    return replace(found, reasons=(*found.reasons, why))


def not_separating(point: UnitPoint, limits: Tolerances) -> Certificate:
    """Return the certificate of a direction with a margin that is not positive."""
    found = negative(point.margins, point.norm, limits)
    return replace(
        found,
        margin=point.unscaled(point.margin),
        degree=point.degree,
        support=_frozen(found.support),
        multipliers=_frozen(found.multipliers),
    )


def _frozen(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    array.setflags(write=False)
    return array
