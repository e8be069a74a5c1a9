"""Certificates of eq. 5 and of the regularization path: the loss carries its own multipliers."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from lexmargin.certificate.blanks import blank, negative
from lexmargin.certificate.certificate import Certificate, Check
from lexmargin.certificate.margin_programs import evaluated
from lexmargin.certificate.norms import Array, dual_exponent, norm_gradient, vector_norm
from lexmargin.certificate.origin import origin_is_least
from lexmargin.certificate.plain import smooth_only
from lexmargin.certificate.stationarity import hoelder_gap
from lexmargin.certificate.tolerances import Tolerances
from lexmargin.certificate.verdict import Verdict
from lexmargin.formulations.constrained_path import VISIBLE_NATS, ConstrainedPath
from lexmargin.formulations.regularization_path import RegularizationPath
from lexmargin.losses import Loss, log_loss, log_weights
from lexmargin.ops.curvature import Curvature

__all__ = ["certify_constrained_path", "certify_regularization_path"]

_EPS = float(np.finfo(np.float64).eps)


def _angle(a: Array, b: Array) -> float:
    """Return the angle in radians, exact to rounding at both ends."""
    x, y = a / vector_norm(a, 2.0), b / vector_norm(b, 2.0)
    return 2.0 * math.atan2(vector_norm(x - y, 2.0), vector_norm(x + y, 2.0))


def _mismatch(direction: Array, gradient: Array, norm: float) -> float:
    """Return ε in [0, 1] of a unit direction and a gradient that should support the ball there.

    ℓ2: the sine of the angle; 1 < p < ∞: as in :class:`Stationarity`; ℓ1, ℓ∞: the Hölder gap.
    """
    if norm == 1.0 or math.isinf(norm):
        return hoelder_gap(direction, gradient, norm)
    if norm == 2.0:
        return _sine(_angle(gradient, direction))
    sine = _sine(_angle(gradient, norm_gradient(direction, norm)))
    supported = norm_gradient(gradient, dual_exponent(norm))
    return min(sine, vector_norm(direction - supported, norm))


def _sine(angle: float) -> float:
    return math.sin(min(angle, 0.5 * math.pi))


def _measured(
    loss: Loss, classes: int, values: Array, jacobian: Array
) -> tuple[Array, Array, float]:
    """Return (p_n = -∂ log L/∂f_n, g = Σ p_n ∇f_n, rounding error of g over Σ p_n ‖∇f_n‖)."""
    with np.errstate(under="ignore"):
        weights = np.exp(log_weights(loss, values, classes) - log_loss(loss, values, classes))
    gradient = weights @ jacobian
    # A weight e^{-f} inherits the absolute error of f.
    seen = weights > np.max(weights) * math.exp(-VISIBLE_NATS)
    return weights, gradient, _EPS * (4.0 + 2.0 * float(np.max(np.abs(values[seen]))))


def _spent(weights: Array, jacobian: Array) -> float:
    """Return Σ p_n ‖∇f_n‖, what cancels in g."""
    return float(weights @ np.sqrt(np.einsum("ij,ij->i", jacobian, jacobian)))


def certify_constrained_path(
    problem: ConstrainedPath, theta: Array, limits: Tolerances
) -> Certificate:
    """Judge Remark 2 at ρ: ‖θ‖ = 1 and the angle between `-∇L(ρθ)` and θ is 0.

    For the exponential loss and concave f_n, `log L` is convex, so that for every u in the ball
    `log L(ρθ) - log L(ρu) ≤ ρ (‖g‖_* - g·θ)` with `g = Σ p_n ∇f_n(ρθ)`, p = softmax(-f(ρθ)): a
    bound in nats. The other losses are convex themselves; for them the bound G holds for
    `1 - L(ρu)/L(ρθ)`, which is `-log(1 - G)` nats.

    The certificate's ``gap`` is in nats, relative to max(1, |log L|).
    """
    functions, rho, norm = problem.functions, problem.rho, problem.norm_p
    w = rho * theta
    values = evaluated(functions, w)
    if not np.any(w) or np.min(values) <= 0.0:
        return negative(values, norm, limits)
    jacobian = functions.jacobian(w)
    weights, gradient, error = _measured(problem.loss, problem.classes, values, jacobian)
    size = vector_norm(theta, norm)
    direction = theta / size
    dual = dual_exponent(norm)
    slope = vector_norm(gradient, dual)
    outside, inside = size > 1.0 + limits.feasibility, size < 1.0 - limits.feasibility
    spent = _spent(weights, jacobian)
    length = slope if dual == 2.0 else vector_norm(gradient, 2.0)
    angle = math.nan
    if inside or slope == 0.0:
        residual, floor = length / spent if spent > 0.0 else 0.0, error
    else:
        floor = error * spent / length
        if norm == 2.0:
            angle = _angle(gradient, theta)
        residual = _mismatch(direction, gradient, norm) if math.isnan(angle) else _sine(angle)
    lower = max(0.0, residual - floor)
    reasons: tuple[str, ...]
    if outside:
        verdict, reasons = (
            Verdict.NOT_STATIONARY,
            (f"infeasible: ‖θ‖ = {size:.9g} leaves the ball",),
        )
    elif lower > limits.stationarity:
        why = "-∇L does not support the ball at θ"
        if inside:
            why = "the gradient of the loss does not vanish inside the ball"
        verdict, reasons = Verdict.NOT_STATIONARY, (f"{why}: ε is at least {lower:.3g}",)
    elif floor > limits.stationarity or residual > limits.stationarity:
        verdict = Verdict.UNDECIDED
        reasons = (f"ε = {residual:.3g}, of which rounding may make {floor:.3g}",)
    else:
        verdict, reasons = Verdict.KKT, ("-∇L and θ agree within tolerance",)
    gap = None
    if functions.curvature <= Curvature.CONCAVE and not outside:
        gap = _gap(problem, slope, float(gradient @ theta), theta.size, values, error * spent)
        if verdict is Verdict.KKT and gap <= limits.gap:
            verdict = Verdict.GLOBAL
            reasons += ("convex: no point of the ball has a smaller loss",)
    hidden = problem.undetermined(theta)
    if hidden:
        reasons += (
            f"{hidden} dimension(s) of θ are decided by weights below e^-{VISIBLE_NATS:g}, unseen",
        )
    carried = weights / slope if slope > 0.0 else weights
    found = replace(
        blank(verdict, values, norm, limits, reasons),
        stationarity=residual,
        stationarity_bound=lower,
        complementarity=0.0,
        feasibility=max(0.0, size - 1.0),
        support=np.flatnonzero(weights > np.max(weights) * math.exp(-VISIBLE_NATS)),
        multipliers=carried,
        gap=gap,
        angle=None if math.isnan(angle) else angle,
        checks=(Check("‖θ‖ = 1", abs(size - 1.0), limits.feasibility),),
    )
    return smooth_only(found, functions, w)


def _gap(
    problem: ConstrainedPath, slope: float, pull: float, size: int, values: Array, rounding: float
) -> float:
    """Return the proven distance to the least log L of the ball, relative to max(1, |log L|).

    ``slope`` is ‖g‖_*, ``pull`` g·θ; ``rounding`` bounds the length of g's error, which both may
    carry.
    """
    nats = problem.rho * max(0.0, slope - pull)
    nats += problem.rho * (2.0 * math.sqrt(size) * rounding + 8.0 * _EPS * slope)
    if problem.loss is not Loss.EXPONENTIAL:
        nats = -math.log1p(-nats) if nats < 1.0 else math.inf
    return nats / max(1.0, abs(log_loss(problem.loss, values, problem.classes)))


def certify_regularization_path(
    problem: RegularizationPath, theta: Array, limits: Tolerances
) -> Certificate:
    """Judge `-∇L(θ) = c q ‖θ‖^{q-1} ∇‖θ‖`, in direction and in length, both without a scale.

    With R = c‖·‖^q and convex L, Fenchel's inequality bounds the objective's distance from its
    minimum by `R(θ) + R*(g) - g·θ`, g = -∇L(θ); the certificate's ``gap`` is that, relative to
    `L + R`.
    """
    functions, norm, power = problem.functions, problem.norm_p, problem.power
    values = evaluated(functions, theta)
    if np.min(values) <= 0.0:
        if np.any(theta):
            return negative(values, norm, limits)
        if not origin_is_least(problem):
            return negative(values, norm, limits, ("θ = 0: no direction to judge",))
        note = ("θ = 0 is the global minimum: the penalty outgrows all that the loss can gain",)
        return replace(negative(values, norm, limits, note), gap=0.0)
    jacobian = functions.jacobian(theta)
    weights, shape, error = _measured(problem.loss, problem.classes, values, jacobian)
    level = log_loss(problem.loss, values, problem.classes)
    size, slope = vector_norm(theta, norm), vector_norm(shape, dual_exponent(norm))
    log_pull = math.log(slope) + level if slope > 0.0 else -math.inf
    log_push = math.log(problem.coefficient * power) + (power - 1.0) * math.log(size)
    length = abs(math.expm1(min(50.0, log_pull - log_push)))
    turn = _mismatch(theta / size, shape, norm) if slope > 0.0 else 1.0
    residual = math.hypot(turn, length)
    cancelled = _spent(weights, jacobian) / vector_norm(shape, 2.0) if slope > 0.0 else 1.0
    rounding = error * cancelled + 4.0 * _EPS * (abs(level) + abs(log_push))
    lower = max(0.0, residual - rounding)
    if lower > limits.stationarity:
        verdict, reason = Verdict.NOT_STATIONARY, f"the gradients differ by {lower:.3g} at least"
    elif max(residual, rounding) > limits.stationarity:
        verdict = Verdict.UNDECIDED
        reason = f"ε = {residual:.3g}, of which rounding may make {rounding:.3g}"
    else:
        verdict, reason = Verdict.KKT, "loss and penalty balance within tolerance"
    reasons: tuple[str, ...] = (reason,)
    gap = None
    if functions.curvature <= Curvature.CONCAVE:
        gap = _fenchel_gap(problem, theta, shape, level, size, log_pull, log_push)
        if verdict is Verdict.KKT and gap <= limits.gap:
            verdict = Verdict.GLOBAL
            reasons += ("convex: no point has a smaller objective",)
    found = replace(
        blank(verdict, values, norm, limits, reasons),
        stationarity=residual,
        stationarity_bound=lower,
        complementarity=0.0,
        support=np.flatnonzero(weights > np.max(weights) * math.exp(-VISIBLE_NATS)),
        multipliers=weights / slope if slope > 0.0 else weights,
        gap=gap,
        angle=_angle(shape, theta) if norm == 2.0 and slope > 0.0 else None,
        checks=(Check("‖∇L‖ = c q ‖θ‖^(q-1)", length, limits.stationarity),),
    )
    return smooth_only(found, functions, theta)


def _fenchel_gap(
    problem: RegularizationPath, theta: Array, shape: Array, level: float, size: float,
    log_pull: float, log_push: float,
) -> float:  # fmt: skip
    """Return `(R(θ) + R*(g) - g·θ)/(L + R)`; every term in units of R's slope times ‖θ‖."""
    power = problem.power
    ratio = math.exp(min(50.0, log_pull - log_push))
    slope = vector_norm(shape, dual_exponent(problem.norm_p))
    cosine = float(shape @ theta) / (slope * size) if slope > 0.0 else 0.0
    if power == 1.0:
        conjugate = 0.0 if ratio <= 1.0 + problem.functions.count * _EPS else math.inf
    else:
        other = power / (power - 1.0)
        conjugate = ratio**other / other
    excess = max(0.0, 1.0 / power + conjugate - ratio * cosine) + 8.0 * _EPS
    total = float(np.logaddexp(level, log_push + math.log(size / power)))
    return excess * math.exp(min(50.0, log_push + math.log(size) - total))
