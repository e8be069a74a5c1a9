"""What the support tolerance decides: ε against τ, and ε against δ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lexmargin.errors import ParameterError, UnsupportedError
from lexmargin.formulations.base import Formulation
from lexmargin.inputs.kinds import checked
from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.certify import certify, flattened
from lexmargin.judge.local.clarke import (
    balanced_stationarity,
    clarke_stationarity,
)
from lexmargin.judge.local.kinked_point import KinkedPoint, PredictorPoint, Standing
from lexmargin.judge.multipliers.stationarity import (
    WEIGHTS,
    CurvePoint,
    TradeOffPoint,
    curve,
    trade_off,
)
from lexmargin.judge.multipliers.supports import rungs
from lexmargin.judge.point import UnitPoint, unit_point
from lexmargin.judge.tolerances import DEFAULT, Tolerances
from lexmargin.judge.trained.modules import is_module
from lexmargin.judge.trained.trained import trained_margins
from lexmargin.judge.trained.trained_point import TrainedPoint

__all__ = ["curves"]


@checked
def curves(
    problem: Formulation | Any,
    theta: ArrayLike | Any,
    taus: tuple[float, ...] | None = None,
    tolerances: Tolerances = DEFAULT,
    *,
    y: ArrayLike | None = None,
) -> Certificate:
    """Return the certificate of θ with ``tau_curve`` and, for ℓ2, ``trade_off`` filled in.

    At a kink of the ℓ2 ball each ε is the smallest over the generalised gradients, as in the
    verdict; a curve stays None where their slopes cannot be chosen, or are too many.

    Args:
        problem: a formulation of a homogeneous predictor. Or a torch module; then ``theta`` are the
            samples X and ``y`` the labels, and all gradients are formed.
        theta: the point ``(d,)``, at any scale.
        taus: support tolerances; powers of ten from 1e-12 to 1e-2 where left out.
        tolerances: what counts as equal.
        y: labels, for a torch module only.

    Raises:
        DegreeError: the predictor is not homogeneous.
        ParameterError: no tolerance, or one that is not a positive number.
        UnsupportedError: the direction does not separate, so that it has no support.
    """
    grid = rungs(1e-12) if taus is None else taus
    if not grid or not all(0.0 < tau < np.inf for tau in grid):
        raise ParameterError(f"taus are {taus!r}.", "Give positive numbers, or leave them out.")
    if is_module(problem):
        if y is None:
            raise ParameterError(
                "A module needs samples and labels.", "Call curves(module, X, y=y)."
            )
        found = certify(problem, theta, y, tolerances=tolerances)
        margins, norm = trained_margins(problem, theta, y), 2.0
        flat, degree = margins.theta, found.degree
        point = unit_point(margins.values(flat), margins.jacobian(flat), flat, degree, norm)
        place: KinkedPoint = TrainedPoint(margins, degree, tolerances.kink)
    else:
        if not isinstance(problem, Formulation):
            raise ParameterError(
                f"A {type(problem).__name__} has no curves.",
                "Give a formulation or a torch module.",
            )
        flat = flattened(problem, theta)
        if not problem.kkt(flat)[0].is_direction:
            problem.require_homogeneous()
            raise UnsupportedError(
                f"{problem.name} asks for more than a direction.",
                "Curves are those of a direction: of a hard margin, say.",
            )
        degree, norm = problem.require_homogeneous(), problem.norm_p
        found = certify(problem, flat, tolerances=tolerances)
        place = PredictorPoint(problem.functions, flat, degree, tolerances.kink, norm)
        point = place.unit
    if point.margin <= 0.0:
        raise UnsupportedError(
            "A direction that does not separate has no curves.", "Certify it to see which fail."
        )
    widest = point.support(max(grid))
    standing = place.standing(widest) if norm == 2.0 else Standing()
    if standing.where or standing.doubt:
        return replace(
            found,
            tau_curve=_kinked_curve(place, point, widest, grid),
            trade_off=_kinked_trade_off(place),
        )
    return replace(
        found,
        tau_curve=curve(point, grid),
        trade_off=trade_off(point) if norm == 2.0 else None,
    )


def _kinked_curve(
    place: KinkedPoint, point: UnitPoint, widest: Indices, taus: tuple[float, ...]
) -> tuple[CurvePoint, ...] | None:
    sets = place.sets(widest)
    if sets is None:
        return None
    found: list[CurvePoint] = []
    known: dict[int, float] = {}
    for tau in taus:
        support = point.support(tau)
        if support.size not in known:
            chosen = sets.of(np.searchsorted(widest, support))
            known[support.size] = clarke_stationarity(chosen, place.theta).residual
        found.append(CurvePoint(float(tau), known[support.size], int(support.size)))
    return tuple(found)


def _kinked_trade_off(place: KinkedPoint) -> tuple[TradeOffPoint, ...] | None:
    """Minimise `ε² + weight² δ²` over λ and the generalised gradients of all samples."""
    sets = place.sets(np.arange(place.values.size))
    if sets is None:
        return None
    excess, found = place.excess, []
    for weight in WEIGHTS:
        clarke = balanced_stationarity(sets, place.theta, weight * excess)
        found.append(TradeOffPoint(weight, clarke.residual, float(clarke.multipliers @ excess)))
    return tuple(found)
