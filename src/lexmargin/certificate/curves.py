"""What the support tolerance decides: ε against τ, and ε against δ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lexmargin.certificate.certificate import Certificate
from lexmargin.certificate.certify import certify, flattened
from lexmargin.certificate.ladder import rungs
from lexmargin.certificate.point import unit_point
from lexmargin.certificate.stationarity import curve, trade_off
from lexmargin.certificate.tolerances import DEFAULT, Tolerances
from lexmargin.certificate.trained import is_module, trained_margins
from lexmargin.errors import ParameterError, UnsupportedError
from lexmargin.formulations.base import Formulation

__all__ = ["curves"]


def curves(
    problem: Formulation | Any,
    theta: ArrayLike | Any,
    taus: tuple[float, ...] | None = None,
    tolerances: Tolerances = DEFAULT,
    *,
    y: ArrayLike | None = None,
) -> Certificate:
    """Return the certificate of θ with ``tau_curve`` and, for ℓ2, ``trade_off`` filled in.

    Args:
        problem: a formulation of a homogeneous predictor. Or a torch module; then ``theta`` are the
            samples X and ``y`` the labels, and all gradients are formed.
        theta: the point ``(d,)``, at any scale.
        taus: support tolerances; powers of ten from 1e-12 to 1e-2 where left out.
        tolerances: what counts as equal.
        y: labels, for a torch module only.

    Raises:
        DegreeError: the predictor is not homogeneous.
        UnsupportedError: the direction does not separate, so that it has no support.
    """
    if is_module(problem):
        if y is None:
            raise ParameterError(
                "A module needs samples and labels.", "Call curves(module, X, y=y)."
            )
        found = certify(problem, theta, y, tolerances=tolerances)
        margins, norm = trained_margins(problem, theta, y), 2.0
        values, flat, degree = margins.values, margins.theta, found.degree
        jacobian = margins.rows(np.arange(margins.count))
    else:
        degree, norm = problem.require_homogeneous(), problem.norm_p
        flat = flattened(problem, theta)
        values, jacobian = problem.functions.values(flat), problem.functions.jacobian(flat)
        found = certify(problem, flat, tolerances=tolerances)
    point = unit_point(values, jacobian, flat, degree, norm)
    if point.margin <= 0.0:
        raise UnsupportedError(
            "A direction that does not separate has no curves.", "Certify it to see which fail."
        )
    grid = rungs(1e-12) if taus is None else taus
    return replace(
        found,
        tau_curve=curve(point, grid),
        trade_off=trade_off(point) if norm == 2.0 else None,
    )
