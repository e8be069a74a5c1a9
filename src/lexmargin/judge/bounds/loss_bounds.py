"""How far a loss is from its least value, by weights: convex duals of eq. 5 and of the penalty.

For every s in the simplex, concave f_n and `‖u‖ ≤ ρ`, with `g = Σ s_n ∇f_n(w)` and p the weights
that the loss itself has at w (math §8),

    log L(w) - log L(u) ≤ KL(s‖p) + ρ‖g‖_* - g·w,

and in the same way, in units of L(w), for the logistic loss and the cross-entropy, whose s_n are
probabilities. Nothing asks for a separator. The weights of the loss make the divergence 0; others
are better where the gradient nearly vanishes and ρ is large, and where f_n is so large that its
rounding moves p.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.formulations.kkt import Kkt
from lexmargin.inputs.limits import LIFTED_ENTRIES
from lexmargin.judge.bounds.loss_point import LossPoint, combined, loss_point_of, own_errors
from lexmargin.judge.proved import BoundMethod, Proved
from lexmargin.linalg.norms import Array, dual_exponent, norm_gradient, vector_norm
from lexmargin.linalg.rounding import EPS, ROUNDED
from lexmargin.losses import Loss, SampleLoss
from lexmargin.ops.curvature import Curvature
from lexmargin.separation.long_losses import least_loss_gap
from lexmargin.separation.long_measures import affordable

__all__ = ["BallLoss", "LongLoss", "PenalisedLoss", "ball_gap", "penalty_gap"]

_SERIES: Final = 1e-4
"""|x| up to which φ(1+x) is bounded by its series: beyond, its two terms cancel less."""
_SECONDS: Final = 10.0
"""For weights in long numbers, which take .05 to 1 s; with less time the weaker word stays."""
_ROUNDS: Final = 5
"""Newton steps towards weights with `Σ s_n ∇f_n = 0`: each doubles the digits."""
_ON_FACE: Final = 1e-9
"""Part of ρ within which a coordinate counts as at 0 or at the end when a face is chosen."""
_FLAT: Final = 1e-11
"""Singular values below this part of the largest count as 0 in such a step."""


@final
@dataclass(frozen=True)
class BallLoss:
    """The least log L of a ball, for concave f_n; the gap in nats, relative to max(1, |log L|)."""

    method = BoundMethod.BALL_LOSS

    def applies(self, kkt: Kkt) -> bool:
        return _concave(kkt) and kkt.radius is not None

    def prove(self, kkt: Kkt, weights: Array, wanted: float = 0.0) -> Proved | None:
        point = loss_point_of(kkt)
        if point is None or kkt.radius is None:
            return None
        enough = wanted * max(1.0, abs(point.level))
        return _of_ball(self.method, point, ball_gap(point, kkt.radius, kkt.norm, enough))


@final
@dataclass(frozen=True)
class PenalisedLoss:
    """The least `L + R`, for concave f_n; value and gap are parts of that of the point."""

    method = BoundMethod.PENALTY

    def applies(self, kkt: Kkt) -> bool:
        return _concave(kkt) and kkt.radius is None

    def prove(self, kkt: Kkt, weights: Array, wanted: float = 0.0) -> Proved | None:
        point = loss_point_of(kkt)
        if point is None or kkt.loss is None:
            return None
        return _of_penalty(self.method, penalty_gap(point, *kkt.loss.penalty, kkt.norm, wanted))


@final
@dataclass(frozen=True)
class LongLoss:
    """The same by weights in long numbers, of linear scores and few samples.

    Beside samples of 1e12, or far from the origin, no weights in doubles have a gradient as small
    as that of the least loss.
    """

    method = BoundMethod.LONG_LOSS

    def applies(self, kkt: Kkt) -> bool:
        return kkt.asked_loss is not None and affordable(kkt.functions.count, kkt.functions.size)

    def prove(self, kkt: Kkt, weights: Array, wanted: float = 0.0) -> Proved | None:
        asked, point = kkt.asked_loss, loss_point_of(kkt)
        if asked is None or point is None:
            return None
        rows = kkt.functions.jacobian(np.zeros(kkt.functions.size))
        gap = least_loss_gap(rows, kkt.point, asked, time.monotonic() + _SECONDS)
        if gap is None:
            return None
        if kkt.radius is None:
            return _of_penalty(self.method, gap)
        return _of_ball(self.method, point, gap)


def _of_ball(method: BoundMethod, point: LossPoint, nats: float) -> Proved:
    return Proved(
        method=method,
        value=point.level - nats,
        sentence="convex: no point of the ball has a smaller loss",
        reached=point.level,
        excess=nats / max(1.0, abs(point.level)),
    )


def _of_penalty(method: BoundMethod, gap: float) -> Proved:
    why = "convex: no point has a smaller objective"
    return Proved(method=method, value=1.0 - gap, sentence=why, reached=1.0, excess=gap)


def _concave(kkt: Kkt) -> bool:
    return kkt.loss is not None and kkt.functions.curvature <= Curvature.CONCAVE


def ball_gap(point: LossPoint, rho: float, norm: float, wanted: float) -> float:
    """Return a bound in nats on log L(w) minus the least log L of `‖u‖ ≤ ρ`, for concave f_n.

    Better weights than those of the loss are sought where these give more than ``wanted``. Other
    losses than the exponential one, E, are also bounded by it: `L(u) ≥ m log(1 + E(u)/m)`, m the
    least weight, since `Π (1 + e^{-f_n})^{w_n/m} ≥ 1 + Σ w_n e^{-f_n}/m` where no w_n/m is below 1.
    """
    best = _best(point, rho, norm, wanted)
    if best <= wanted or point.loss.kind is Loss.EXPONENTIAL:
        return best
    other = point.exponential()
    below = other.level - _best(other, rho, norm, wanted)
    # log log(1 + e^x), the logistic loss of one sample.
    lightest, least = float(np.min(point.loss.per_term)), -math.inf
    if math.isfinite(below):
        least = lightest + SampleLoss(Loss.LOGISTIC).value(np.array([lightest - below]))
    rounding = ROUNDED * (2.0 + abs(point.level) + abs(other.level) + 2.0 * abs(lightest))
    for one in (point, other):
        rounding += 2.0 * float(np.sum(own_errors(one.errors, one.weights)))
    return min(best, max(0.0, point.level - least) + rounding)


def _best(point: LossPoint, rho: float, norm: float, wanted: float) -> float:
    """Return the least of the bounds that weights of one loss give, up to ``wanted``."""
    best = first = _ball(point, np.zeros(point.values.size), rho, norm)
    if best <= wanted or point.jacobian.size > LIFTED_ENTRIES:
        return best
    for face in _faces(point.w, rho, norm):
        change = np.zeros(point.values.size)
        lift, least = change, first
        for _ in range(_ROUNDS):
            moved = _towards_least(point, lift, face)
            if moved is None:
                break
            change = change + moved
            lift = _lifted(point, change)
            if not np.all(np.isfinite(lift)):
                break
            found = _ball(point, lift, rho, norm)
            if not found < least:
                break
            best, least = min(best, found), found
            if best <= wanted:
                return best
    return best


def _ball(point: LossPoint, lift: Array, rho: float, norm: float) -> float:
    """Return the bound of the weights `p_n e^{lift_n}`."""
    exponential = point.loss.kind is Loss.EXPONENTIAL
    with np.errstate(all="ignore"):
        if exponential:
            total = float(point.weights @ np.exp(lift))
            if not 0.0 < total < math.inf:
                return math.inf
            lift = lift - math.log(total)
        gradient, slack = _combined(point, lift)
        dual = dual_exponent(norm)
        # Entry by entry: what rounding makes of a large one is nothing to the others.
        size = vector_norm(np.abs(gradient) + slack, dual)
        up = math.frexp(rho)[1]
        unit, length = np.ldexp(point.w, -up), math.ldexp(rho, -up)
        excess: float = max(0.0, length * size - float(gradient @ unit))
        excess += float(slack @ np.abs(unit))
        products = length * size + float(np.abs(gradient) @ np.abs(unit))
        excess += 2.5 * (point.w.size + 8) * EPS * products
        nats = _divergence(point, lift) + float(np.ldexp(excess, up + point.exponent))
    if not math.isfinite(nats):
        return math.inf
    if exponential:
        return nats
    # Beyond half of L what is left of 1 may be rounding.
    return -math.log1p(-nats) if nats < 0.5 else math.inf


def penalty_gap(
    point: LossPoint, coefficient: float, power: float, norm: float, wanted: float
) -> float:
    """Return a bound on `1 - min (L + R)/(L(w) + R(w))`, R = c‖·‖^q, for concave f_n.

    The conjugate of R takes the place of ρ‖·‖_*. For q = 1 it is finite for `‖Σ s_n ∇f_n‖_* ≤ c`
    only, and the weights of the loss are shrunk to that. Where w has too few digits for a gradient
    as small as the penalty's, weights that balance it, or whose gradients cancel, are sought for
    less than ``wanted``.
    """
    first = best = _penalised(point, np.zeros(point.values.size), coefficient, power, norm)
    if point.jacobian.size > LIFTED_ENTRIES:
        return best
    everywhere = np.eye(point.w.size)
    for balanced in (True, False):
        lift = change = np.zeros(point.values.size)
        least = first
        for _ in range(_ROUNDS):
            if best <= wanted:
                return best
            slope = _penalty_slope(point, lift, coefficient, power, norm) if balanced else None
            moved = _towards_least(point, lift, everywhere, slope)
            if moved is None:
                break
            change = change + moved
            lift = _lifted(point, change)
            if not np.all(np.isfinite(lift)):
                break
            found = _penalised(point, lift, coefficient, power, norm)
            if not found < least:
                break
            best, least = min(best, found), found
    return best


def _penalty_slope(
    point: LossPoint, lift: Array, coefficient: float, power: float, norm: float
) -> Array:
    """Return ∇R(w) in the units of the point's gradient, where R has a kink the nearest to it."""
    gradient, _ = _combined(point, lift)
    size = vector_norm(point.w, norm)
    if not size > 0.0:
        return np.zeros_like(gradient)
    logs = math.log(coefficient * power) + (power - 1.0) * math.log(size) - point.level
    with np.errstate(all="ignore"):
        slope = float(np.ldexp(np.exp(logs), -point.exponent))
    if norm == 1.0:
        return np.where(point.w, np.sign(point.w) * slope, np.clip(gradient, -slope, slope))
    if math.isinf(norm):
        return np.where(np.abs(point.w) < (1.0 - _ON_FACE) * size, 0.0, gradient)
    return slope * norm_gradient(point.w, norm)


def _penalised(
    point: LossPoint, lift: Array, coefficient: float, power: float, norm: float
) -> float:
    """Return the bound of the weights `p_n e^{lift_n}`."""
    size = vector_norm(point.w, norm)
    log_c = math.log(coefficient)
    with np.errstate(all="ignore"):
        pull, log_slope, turned = _slope(point, lift, norm)
        conjugate = 0.0
        if power > 1.0:
            other = power / (power - 1.0)
            log_conjugate = other * (log_slope + point.level) + (1.0 - other) * (
                log_c + math.log(power)
            )
            conjugate = float(np.exp(log_conjugate - point.level)) / other
        else:
            room = log_c - point.level
            excess = log_slope - room + 4.0 * EPS * (1.0 + abs(room) + abs(log_slope))
            if excess > 0.0:
                lift = lift - excess
                pull, _, turned = _slope(point, lift, norm)
        penalty, log_penalty = 0.0, 0.0
        if size > 0.0:
            log_penalty = log_c + power * math.log(size)
            penalty = float(np.exp(log_penalty - point.level))
        logs = abs(point.level) + abs(log_penalty) + abs(log_c)
        rounding = EPS * (point.w.size + 8.0 + 4.0 * logs) * (penalty + conjugate + abs(pull))
        gap = _divergence(point, lift) + max(0.0, penalty + conjugate - pull) + rounding + turned
        gap = gap / (1.0 + penalty)
    return gap if math.isfinite(gap) else math.inf


def _slope(point: LossPoint, lift: Array, norm: float) -> tuple[float, float, float]:
    """Return g·w, a bound from above on log ‖g‖_*, and the rounding of g·w, g of `p_n e^lift`."""
    gradient, slack = _combined(point, lift)
    dual = dual_exponent(norm)
    # Entry by entry: what rounding makes of a large one is nothing to the others.
    size = vector_norm(np.abs(gradient) + slack, dual)
    unit = math.log(2.0) * point.exponent
    log_size = math.log(size) + unit if size > 0.0 else -math.inf
    up = math.frexp(float(np.max(np.abs(point.w), initial=0.0)))[1]
    w = np.ldexp(point.w, -up)
    pull = float(np.ldexp(gradient @ w, up + point.exponent))
    turned = float(np.ldexp(slack @ np.abs(w), up + point.exponent))
    return pull, log_size, turned


def _combined(point: LossPoint, lift: Array) -> tuple[Array, Array]:
    """Return `Σ s_n ∇f_n` of `s_n = p_n e^{lift_n}`, and bounds on its errors.

    In long floats: what cancels in the sum is rounded in s too.
    """
    weights = point.weights.astype(np.longdouble) * np.exp(lift.astype(np.longdouble))
    gradient, slack = combined(point.jacobian, weights)
    return gradient, slack + own_errors(point.own, np.asarray(weights, dtype=float)) @ np.abs(
        point.jacobian
    )


def _divergence(point: LossPoint, lift: Array) -> float:
    """Return the divergence of `s_n = p_n e^{lift_n}` from p, in units of L, rounding included.

    `Σ s log(s/p) - s + p`, and for probabilities the same of what is left to 1 in each sample:
    L minus its dual at s.
    """
    logs, nats = point.log_weights, point.nats
    lifted = np.exp(logs + lift + nats)
    rounding = lifted * (np.abs(lift) + nats) * (nats + 4.0 * EPS)
    change = np.expm1(lift)
    terms = point.weights * np.maximum(0.0, lift * (1.0 + change) - change)
    total = float(np.sum(terms) + np.sum(np.where(lifted > 0.0, rounding, 0.0)))
    if point.loss.kind is Loss.EXPONENTIAL or not np.any(lift):
        return total
    scale, left = point.scale, _left(point)
    moved = -np.sum((point.weights * change).reshape(-1, point.loss.group), axis=1)
    # w r φ(1 + x)/L, x = L·moved/(w r), where r is left of 1.
    x = scale * moved / left
    if not np.all(x >= -1.0):
        return math.inf
    small = np.abs(x) < _SERIES
    near = 0.5 * moved * x * (1.0 + np.abs(x))
    safe = np.where(small | (x <= -1.0), 0.0, x)
    far = (1.0 + safe) * np.log1p(safe) - safe
    far = np.where(x <= -1.0, 1.0, far) * left / np.where(scale > 0.0, scale, 1.0)
    return total + float(np.sum(np.where(small, near, far)))


def _left(point: LossPoint) -> Array:
    """Return `1 - Σ_c q_{n,c}` for every sample: the probability of its own class."""
    against = -point.values.reshape(-1, point.loss.group)
    top = np.maximum(0.0, np.max(against, axis=1))
    odds = np.sum(np.exp(against - top[:, None]), axis=1) + np.exp(-top)
    return np.asarray(np.exp(-top) / odds)


def _lifted(point: LossPoint, change: Array) -> Array:
    """Return by how much log s_n changes where the margins change by as much as given (N,).

    The sum of both is never formed: beside margins of 1e12 a change of 1e-4 is lost.
    """
    if point.loss.kind is Loss.EXPONENTIAL:
        return -change
    group = point.loss.group
    with np.errstate(all="ignore"):
        share = np.exp(point.log_weights + point.level).reshape(-1, group)
        odds = np.sum(share * np.expm1(-change).reshape(-1, group), axis=1)
        odds = odds * np.exp(-point.loss.per_term)
        return np.asarray(-change - np.repeat(np.log1p(odds), group))


def _faces(w: Array, rho: float, norm: float) -> list[Array]:
    """Return bases (d, k) of directions in which the weights of a smaller loss are sought.

    Those within the face of the ball where w lies, or tangent to a round one: the weights then
    support the ball at w. All directions: they then have `Σ s_n ∇f_n = 0`. Any choice bounds.
    """
    size, active = w.size, np.abs(w) > _ON_FACE * rho
    everywhere = np.eye(size)
    if vector_norm(w, norm) < (1.0 - _ON_FACE) * rho or not np.any(active):
        return [everywhere]
    if norm == math.inf:
        return [everywhere[:, np.abs(w) < (1.0 - _ON_FACE) * rho], everywhere]
    # Below 2 the ball is sharp across a coordinate that is 0; a small one may be none.
    choices = [active, w != 0.0] if norm < 2.0 else [np.ones(size, dtype=bool)]
    return [*(_tangents(w, norm, chosen) for chosen in choices), everywhere]


def _tangents(w: Array, norm: float, active: NDArray[np.bool_]) -> Array:
    """Return a basis (d, k) of the directions of some coordinates that are tangent at w."""
    normal = np.where(active, np.sign(w), 0.0) if norm == 1.0 else norm_gradient(w, norm)
    pivot = int(np.argmax(np.abs(normal) * np.abs(w)))
    basis = np.eye(w.size)
    basis[pivot] = -normal / normal[pivot]
    return basis[:, active & (np.arange(w.size) != pivot)]


def _towards_least(
    point: LossPoint, lift: Array, face: Array, balance: Array | None = None
) -> Array | None:
    """Return the change of the linear margins by a Newton step of log L along a face (d, k).

    The step leads to where the gradient is that of something it balances, or 0.
    The step is taken in the margins, where it is not rounded to the doubles that w has.
    """
    if not face.size:
        return None
    with np.errstate(all="ignore"):
        weights = point.weights * np.exp(lift)
        rows = point.jacobian @ face
        gradient = (_combined(point, lift)[0] - (0.0 if balance is None else balance)) @ face
        if point.loss.kind is Loss.EXPONENTIAL:
            weights = weights / np.sum(weights)
            centred = np.sqrt(weights)[:, None] * (rows - weights @ rows)
        else:
            group, scale = point.loss.group, point.scale
            share = (weights[:, None] * rows).reshape(-1, group, rows.shape[1]).sum(axis=1)
            middle = np.repeat(scale[:, None] * share, group, axis=0)
            own = np.sqrt(_left(point) * scale)[:, None] * share
            centred = np.vstack([np.sqrt(weights)[:, None] * (rows - middle), own])
    if not (np.all(np.isfinite(centred)) and np.all(np.isfinite(gradient))):
        return None
    # Columns of any size: one of 1 beside others of 1e12 is none that the loss is flat along.
    sizes = np.linalg.norm(centred, axis=0)
    scale = np.divide(1.0, sizes, out=np.zeros_like(sizes), where=sizes > 0.0)
    try:
        _, values, turned = np.linalg.svd(centred * scale, full_matrices=False)
    except np.linalg.LinAlgError:
        return None
    kept = values > _FLAT * values[0] if values.size else np.zeros(0, dtype=bool)
    if not np.any(kept):
        return None
    step = turned[kept].T @ ((turned[kept] @ (gradient * scale)) / values[kept] ** 2)
    found = rows @ (step * scale)
    return np.asarray(found) if np.all(np.isfinite(found)) else None
