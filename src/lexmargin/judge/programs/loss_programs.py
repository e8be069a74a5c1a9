"""Certificates of eq. 5 and of the regularization path: the loss carries its own multipliers.

Neither asks for a separator (math §8): the margin stands beside the verdict and decides nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from lexmargin.errors import UnsupportedError
from lexmargin.formulations.kkt import Kkt, LossTerm
from lexmargin.formulations.loss_path import VISIBLE_NATS
from lexmargin.judge.bounds.loss_point import LossPoint, loss_point_of, vanishes_at_zero
from lexmargin.judge.bounds.table import with_bounds
from lexmargin.judge.certificate import Certificate, Check
from lexmargin.judge.first_order import Measured, first_order
from lexmargin.judge.functions.kinks import measure_kinks
from lexmargin.judge.multipliers.stationarity import misfit, sine
from lexmargin.judge.reasons import Condition
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.unmeasured import blank, negative
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array, angle, dual_exponent, vector_norm
from lexmargin.linalg.rounding import EPS, TINY
from lexmargin.margins import MarginFunctions
from lexmargin.predictors.linear import Log

__all__ = ["certify_loss", "rounding_of_stationarity"]

_DWARFED: Final = 1e-9
"""Share of the largest margin below which rounding may have made the sign of another."""
_NATS: Final = 50.0
"""Of a ratio: beyond them it is out of proportion, and its exponential need not be formed."""
_ROOM: Final = 10.0
"""Gaps in units of their tolerance that rounding may make of a minimum."""


@final
@dataclass(frozen=True)
class _Misfit:
    """How far the point is from stationary.

    residual, floor
        ε, and the rounding error that it may carry.
    flat, flat_floor
        the same as a part of what cancels in the gradient, where ε is a part of what is left.
    """

    residual: float
    floor: float
    flat: float
    flat_floor: float

    def measured(self, condition: Condition) -> Measured:
        """Return what the word of first order hangs on: the loss carries its own multipliers.

        Where rounding leaves no direction in the gradient, a gradient that is 0 within tolerance is
        what a minimiser inside has, wherever it lies.
        """
        return Measured(
            residual=self.residual,
            lower=self.residual - self.floor,
            floor=self.floor,
            condition=condition,
            flat=self.flat + self.flat_floor,
        )

    def used(self, verdict: Verdict, limits: Tolerances) -> float:
        """Return the ε that the word rests on."""
        hidden = verdict is Verdict.KKT and self.floor > limits.stationarity
        return self.flat if hidden else self.residual

    def possible(self, verdict: Verdict, limits: Tolerances) -> bool:
        """Say whether ε may be within tolerance; a bound then settles what rounding hides.

        The bound counts its own rounding. Where f_n is 1e12, no θ in doubles has weights `e^{-f_n}`
        that are right to more than 1e-4, and no ε can be better.
        """
        hidden = self.floor > limits.stationarity or self.residual <= limits.stationarity
        return verdict is Verdict.KKT or (verdict is Verdict.UNDECIDED and hidden)


def certify_loss(kkt: Kkt, limits: Tolerances) -> Certificate:
    """Judge the minimum of a loss: with a penalty, or in a ball."""
    if kkt.radius is None:
        return _certify_penalty(kkt, limits)
    return _certify_ball(kkt, kkt.radius, limits)


def _certify_ball(kkt: Kkt, rho: float, limits: Tolerances) -> Certificate:
    """Judge Remark 2 at ρ: ‖θ‖ = 1 and the angle between `-∇L(ρθ)` and θ is 0, or ∇L(ρθ) = 0.

    For concave f_n weights of the samples bound the least log L of the ball, whatever the margins
    are: :class:`~lexmargin.judge.bounds.loss_bounds.BallLoss`. The ``gap`` is in nats, relative to
    max(1, |log L|).
    """
    functions, norm, term = kkt.functions, kkt.norm, _term(kkt)
    with np.errstate(all="ignore"):
        theta, values = kkt.point / rho, kkt.values
        size = vector_norm(theta, norm)
    if _undefined(functions, values):
        return negative(values, norm, limits)
    if size > 1.0 + limits.feasibility:
        why = f"infeasible: ‖θ‖ = {size:.9g} leaves the ball"
        found = blank(Verdict.NOT_STATIONARY, values, norm, limits, (why,))
        return _separating(replace(found, feasibility=size - 1.0), values, None)
    point = loss_point_of(kkt)
    if point is None:
        return _out_of_range(values, norm, limits)
    inside = size < 1.0 - limits.feasibility
    apart, turned = _at_ball(point, theta, size, norm, inside)
    condition = Condition.INSIDE if inside else Condition.BALL
    verdict, reasons = first_order(apart.measured(condition), limits)
    residual = apart.used(verdict, limits)
    found = replace(
        blank(verdict, values, norm, limits, reasons),
        stationarity=residual,
        stationarity_bound=max(0.0, apart.residual - apart.floor),
        complementarity=0.0,
        feasibility=max(0.0, size - 1.0),
        support=point.seen,
        multipliers=_carried(point, norm),
        angle=turned,
        checks=() if inside else (Check("‖θ‖ = 1", abs(size - 1.0), limits.feasibility),),
    )
    found = _doubted(with_bounds(kkt, found, rises=apart.possible(verdict, limits)))
    hidden = term.hidden()
    if hidden:
        why = f"{hidden} dimension(s) of θ are decided by weights below e^-{VISIBLE_NATS:g}, unseen"
        found = replace(found, reasons=(*found.reasons, why))
    return _separating(_with_unfelt(_smooth(found, kkt), point), values, point.errors)


def _with_unfelt(found: Certificate, point: LossPoint) -> Certificate:
    """Say of a stationary point which samples ε does not feel; a proof of more needs no such word.

    With weights `e^{-f_n}` a second level lies below the tolerance where its margins are 16 nats
    above the first, for ε = 1e-7: what decides it moves the gradient by less than ε.
    """
    if found.verdict not in (Verdict.KKT, Verdict.CLARKE_KKT):
        return found
    least = found.tolerances.stationarity
    unfelt = int(np.count_nonzero(point.weights < least * np.max(point.weights)))
    if not unfelt:
        return found
    why = (
        f"{unfelt} sample(s) weigh less than {least:g} of the heaviest: ε feels no level of theirs"
    )
    return replace(found, reasons=(*found.reasons, why))


def rounding_of_stationarity(kkt: Kkt, limits: Tolerances) -> float:
    """Return the rounding error that the certificate's ε may carry in a ball; 0 where it has none.

    The error of f_n in units of the last place of the margins moves the weights `e^{-f_n}` as much.
    """
    if kkt.radius is None or kkt.loss is None:
        return 0.0
    with np.errstate(all="ignore"):
        theta, values = kkt.point / kkt.radius, kkt.values
        size = vector_norm(theta, kkt.norm)
        if _undefined(kkt.functions, values):
            return 0.0
        point = loss_point_of(kkt)
        if point is None:
            return 0.0
        inside = size < 1.0 - limits.feasibility
        return _at_ball(point, theta, size, kkt.norm, inside)[0].floor


def _at_ball(
    point: LossPoint, theta: Array, size: float, norm: float, inside: bool
) -> tuple[_Misfit, float | None]:
    """Return the misfit of g to the normal cone of the ball, and the angle of g and θ (ℓ2)."""
    flat, flat_floor = point.vanishing
    length = vector_norm(point.gradient, 2.0)
    if inside or length == 0.0:
        return _Misfit(flat, flat_floor, flat, flat_floor), None
    floor = vector_norm(point.slack, 2.0) / length
    if norm == 2.0:
        turned = angle(point.gradient, theta)
        return _Misfit(sine(turned), floor, flat, flat_floor), turned
    residual = misfit(theta / size, point.gradient, norm)
    return _Misfit(residual, floor, flat, flat_floor), None


def _certify_penalty(kkt: Kkt, limits: Tolerances) -> Certificate:
    """Judge `-∇L(θ) = c q ‖θ‖^{q-1} ∇‖θ‖`, in direction and in length, both without a scale.

    At θ = 0 that is ∇L = 0, or for q = 1 `‖∇L‖_* ≤ c`. For convex L Fenchel's inequality bounds the
    distance from the minimum: :class:`~lexmargin.judge.bounds.loss_bounds.PenalisedLoss`; the
    certificate's ``gap`` is relative to `L + R`.
    """
    functions, norm, theta = kkt.functions, kkt.norm, kkt.point
    with np.errstate(all="ignore"):
        values = kkt.values
    if _undefined(functions, values):
        return negative(values, norm, limits)
    point = loss_point_of(kkt)
    if point is None:
        return _out_of_range(values, norm, limits)
    size = vector_norm(theta, norm)
    with np.errstate(all="ignore"):
        apart, length = _balanced(kkt, point, size) if size > 0.0 else _at_zero(kkt, point)
    condition = Condition.BALANCE if size > 0.0 else Condition.ORIGIN
    verdict, reasons = first_order(apart.measured(condition), limits)
    residual = apart.used(verdict, limits)
    turned = norm == 2.0 and size > 0.0 and np.any(point.gradient)
    name = "‖∇L‖ = c q ‖θ‖^(q-1)" if size > 0.0 else "‖∇L‖ at θ = 0"
    found = replace(
        blank(verdict, values, norm, limits, reasons),
        stationarity=residual,
        stationarity_bound=max(0.0, apart.residual - apart.floor),
        complementarity=0.0,
        support=point.seen,
        multipliers=_carried(point, norm),
        angle=angle(point.gradient, theta) if turned else None,
        checks=(Check(name, length, limits.stationarity),),
    )
    found = _doubted(with_bounds(kkt, found, rises=apart.possible(verdict, limits)))
    return _separating(_with_unfelt(_smooth(found, kkt), point), values, point.errors)


def _doubted(found: Certificate) -> Certificate:
    """Withdraw KKT of a convex problem where duality leaves room for a better point.

    Gradients are measured in one length. Where columns differ by 1e12, or all samples lie far from
    0, what is left in the others is nothing to the longest, and may be all that counts.
    """
    gap = found.gap
    if found.verdict is not Verdict.KKT or gap is None or gap <= _ROOM * found.tolerances.gap:
        return found
    reasons = (f"duality leaves a gap of {gap:.3g}", *found.reasons)
    return replace(found, verdict=Verdict.UNDECIDED, reasons=reasons)


def _term(kkt: Kkt) -> LossTerm:
    if kkt.loss is None:
        raise UnsupportedError("The problem has no loss.", "Judge it by its KKT conditions.")
    return kkt.loss


def _penalty(kkt: Kkt) -> tuple[float, float]:
    """Return c and q of `c ‖θ‖^q`."""
    return _term(kkt).penalty


def _balanced(kkt: Kkt, point: LossPoint, size: float) -> tuple[_Misfit, float]:
    """Return the misfit of loss and penalty at θ ≠ 0, and that of their lengths alone."""
    norm, theta, (coefficient, power) = kkt.norm, point.w, _penalty(kkt)
    log_push = math.log(coefficient * power) + (power - 1.0) * math.log(size)
    slope = vector_norm(point.gradient, dual_exponent(norm))
    rounding = 4.0 * EPS * (abs(point.level) + abs(log_push))
    if slope == 0.0:
        apart, length, floor, part = 1.0, 1.0, rounding, 1.0
    else:
        log_pull = math.log(slope) + point.exponent * math.log(2.0) + point.level
        ratio = math.exp(min(_NATS, max(-_NATS, log_pull - log_push)))
        length = abs(math.expm1(min(_NATS, log_pull - log_push)))
        turned = misfit(theta / size, point.gradient, norm)
        apart, part = math.hypot(turned, length), turned + length / ratio
        lost = vector_norm(point.slack, 2.0) / vector_norm(point.gradient, 2.0)
        # ε is measured in the slope of the penalty, which the gradient may be far longer than.
        floor = lost * max(1.0, ratio) + rounding
    flat, flat_floor = point.vanishing
    beside = flat * part if slope > 0.0 else math.inf
    return _Misfit(apart, floor, beside, flat_floor), length


def _at_zero(kkt: Kkt, point: LossPoint) -> tuple[_Misfit, float]:
    """Return the misfit at θ = 0, where the penalty has a slope for q = 1 alone."""
    flat, flat_floor = point.vanishing
    coefficient, power = _penalty(kkt)
    if power > 1.0 or flat == 0.0:
        return _Misfit(flat, flat_floor, flat, flat_floor), flat
    dual = dual_exponent(kkt.norm)
    slope, slack = vector_norm(point.gradient, dual), vector_norm(point.slack, dual)
    logs = point.exponent * math.log(2.0) + point.level - math.log(coefficient)
    over = math.exp(min(_NATS, math.log(slope) + logs)) if slope > 0.0 else 0.0
    error = over * (slack / slope if slope > 0.0 else 0.0) + 4.0 * EPS * (1.0 + abs(logs)) * over
    excess = max(0.0, over - 1.0)
    return _Misfit(min(1.0, excess), error, flat, flat_floor), excess


# -- what both share -------------------------------------------------------------------------------


def _undefined(functions: MarginFunctions, values: Array) -> bool:
    """Say whether θ is outside the domain: a logarithm of what is not positive."""
    return isinstance(functions.predictor, Log) and bool(np.any(np.isneginf(values)))


def _out_of_range(values: Array, norm: float, limits: Tolerances) -> Certificate:
    why = "f_n, its gradient or the loss leaves the range of doubles"
    return blank(Verdict.UNDECIDED, values, norm, limits, (why,))


def _carried(point: LossPoint, norm: float) -> Array:
    """Return λ_n ∝ p_n: those whose `Σ λ_n ∇f_n` has dual norm 1, or p where there is none."""
    slope = vector_norm(point.gradient, dual_exponent(norm))
    with np.errstate(all="ignore"):
        carried = np.asarray(np.ldexp(point.weights / slope, -point.exponent))
    return carried if slope > 0.0 and np.all(np.isfinite(carried)) else point.weights


def _smooth(found: Certificate, kkt: Kkt) -> Certificate:
    """Withdraw a verdict at a kink; at 0 there is none where every degree is above 1."""
    if not np.any(kkt.point) and vanishes_at_zero(kkt.functions):
        return found
    kinks = measure_kinks(kkt.functions, kkt.point, found.support)
    if kinks is None:
        return found
    # A refutation counts what every sample may carry.
    refuted = found.verdict is Verdict.NOT_STATIONARY
    inside = found.feasibility <= found.tolerances.feasibility
    nearest = kinks.nearest if refuted and inside else kinks.nearest_on_support
    found = replace(found, nearest_kink=nearest.distance)
    if nearest.distance > found.tolerances.kink or found.verdict is Verdict.NOT_SEPARATING:
        return found
    why = f"on a kink of relu ({nearest}): one gradient decides nothing"
    return replace(
        found,
        verdict=Verdict.UNDECIDED,
        gap=None,
        bound=None,
        reasons=(why, *found.reasons),
    )


def _separating(found: Certificate, values: Array, errors: Array | None) -> Certificate:
    """Say beside the verdict whether θ separates the samples; None where rounding decides that."""
    if not np.all(np.isfinite(values)):
        return found
    # Without gradients at hand, a margin that the others dwarf is left open.
    least = _DWARFED * np.abs(values).max() if errors is None else errors + TINY
    if found.margin <= 0.0:
        return replace(found, separates=False)
    return replace(found, separates=True if np.all(values > least) else None)
