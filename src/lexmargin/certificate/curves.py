"""What the support tolerance decides: ε against τ, and ε against δ."""

from __future__ import annotations

from dataclasses import replace

from lexmargin.certificate.certificate import Certificate
from lexmargin.certificate.certify import certify, flattened
from lexmargin.certificate.ladder import rungs
from lexmargin.certificate.point import unit_point
from lexmargin.certificate.stationarity import curve, trade_off
from lexmargin.certificate.tolerances import DEFAULT, Tolerances
from lexmargin.errors import UnsupportedError
from lexmargin.formulations.base import Formulation
from lexmargin.ops.base import FloatArray

__all__ = ["curves"]


def curves(
    problem: Formulation,
    theta: FloatArray,
    taus: tuple[float, ...] | None = None,
    tolerances: Tolerances = DEFAULT,
) -> Certificate:
    """Return the certificate of θ with ``tau_curve`` and, for ℓ2, ``trade_off`` filled in.

    Args:
        problem: a formulation of a homogeneous predictor.
        theta: the point ``(d,)``, at any scale.
        taus: support tolerances; powers of ten from 1e-12 to 1e-2 where left out.
        tolerances: what counts as equal.

    Raises:
        DegreeError: the predictor is not homogeneous.
        UnsupportedError: the direction does not separate, so that it has no support.
    """
    degree = problem.require_homogeneous()
    flat = flattened(problem, theta)
    functions = problem.functions
    point = unit_point(
        functions.values(flat), functions.jacobian(flat), flat, degree, problem.norm_p
    )
    if point.margin <= 0.0:
        raise UnsupportedError(
            "A direction that does not separate has no curves.", "Certify it to see which fail."
        )
    grid = rungs(1e-12) if taus is None else taus
    return replace(
        certify(problem, flat, tolerances=tolerances),
        tau_curve=curve(point, grid),
        trade_off=trade_off(point) if problem.norm_p == 2.0 else None,
    )
