"""What the support tolerance decides: ε against τ, and ε against δ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike

from lexmargin.errors import ParameterError, UnsupportedError
from lexmargin.formulations.base import Formulation
from lexmargin.inputs.kinds import checked
from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.certify import certify, flattened
from lexmargin.judge.functions.kinks import measure_kinks, samples_of
from lexmargin.judge.local.clarke import (
    GradientSets,
    balanced_stationarity,
    clarke_stationarity,
    gradient_sets,
)
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
from lexmargin.judge.trained.trained import TrainedMargins, trained_margins
from lexmargin.judge.trained.trained_refine import trained_sets
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.margins import MarginFunctions

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
        values, flat, degree = margins.values, margins.theta, found.degree
        jacobian = margins.rows(np.arange(margins.count))
        kinked = _module_kinks(margins, degree, tolerances.kink)
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
        values, jacobian = problem.functions.values(flat), problem.functions.jacobian(flat)
        found = certify(problem, flat, tolerances=tolerances)
        kinked = _predictor_kinks(problem.functions, flat, tolerances.kink)
    point = unit_point(values, jacobian, flat, degree, norm)
    if point.margin <= 0.0:
        raise UnsupportedError(
            "A direction that does not separate has no curves.", "Certify it to see which fail."
        )
    widest = point.support(max(grid))
    if norm == 2.0 and kinked.on(widest):
        return replace(
            found,
            tau_curve=_kinked_curve(kinked, point, widest, grid),
            trade_off=_kinked_trade_off(kinked),
        )
    return replace(
        found,
        tau_curve=curve(point, grid),
        trade_off=trade_off(point) if norm == 2.0 else None,
    )


@final
@dataclass(frozen=True, eq=False)
class _Kinked:
    """A direction with kinks.

    on
        whether any of these margins is on a kink.
    sets
        the gradient sets of these margins at θ̂; None where the slopes cannot be chosen.
    values, degree, theta
        f_n(θ̂) (N,), α, and θ̂ (d,).
    """

    on: Callable[[Indices], bool]
    sets: Callable[[Indices], GradientSets | None]
    values: Array
    degree: float
    theta: Array


def _predictor_kinks(functions: MarginFunctions, theta: Array, limit: float) -> _Kinked:
    scaled = theta / float(np.max(np.abs(theta)))
    unit = scaled / float(np.linalg.norm(scaled))
    everyone = np.arange(functions.count)
    measured = measure_kinks(functions, unit, everyone)

    def on(indices: Indices) -> bool:
        return measured is not None and bool(measured.within(limit, samples_of(functions, indices)))

    def sets(indices: Indices) -> GradientSets | None:
        if measured is None:
            return None
        near = measured.within(limit, samples_of(functions, indices))
        return gradient_sets(functions, unit, indices, near)

    degree = functions.homogeneity.degree or 1.0
    return _Kinked(on, sets, functions.values(unit), degree, unit)


def _module_kinks(margins: TrainedMargins, degree: float, limit: float) -> _Kinked:
    size = vector_norm(margins.theta, 2.0)
    theta = margins.theta / size

    def on(indices: Indices) -> bool:
        report = margins.kinks(indices)
        return bool(report.unknown) or (report.felt is not None and report.felt <= limit)

    def sets(indices: Indices) -> GradientSets | None:
        return trained_sets(margins, indices, degree, limit)

    return _Kinked(on, sets, margins.values / size**degree, degree, theta)


def _kinked_curve(
    kinked: _Kinked, point: UnitPoint, widest: Indices, taus: tuple[float, ...]
) -> tuple[CurvePoint, ...] | None:
    sets = kinked.sets(widest)
    if sets is None:
        return None
    found: list[CurvePoint] = []
    known: dict[int, float] = {}
    for tau in taus:
        support = point.support(tau)
        if support.size not in known:
            chosen = sets.of(np.searchsorted(widest, support))
            known[support.size] = clarke_stationarity(chosen, kinked.theta).residual
        found.append(CurvePoint(float(tau), known[support.size], int(support.size)))
    return tuple(found)


def _kinked_trade_off(kinked: _Kinked) -> tuple[TradeOffPoint, ...] | None:
    """Minimise `ε² + weight² δ²` over λ and the generalised gradients of all samples."""
    sets = kinked.sets(np.arange(kinked.values.size))
    if sets is None:
        return None
    excess = kinked.degree * (kinked.values - float(np.min(kinked.values)))
    found = []
    for weight in WEIGHTS:
        clarke = balanced_stationarity(sets, kinked.theta, weight * excess)
        found.append(TradeOffPoint(weight, clarke.residual, float(clarke.multipliers @ excess)))
    return tuple(found)
