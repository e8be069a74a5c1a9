"""Paths of smooth margin functions in the Euclidean norm, by Newton steps on their KKT system.

``min ε log Σ_n exp(-g_n(θ)/ε)  s.t.  ‖θ‖ = 1`` with ``g_n(θ) = f_n(ρθ)``: ε = 1 is the constrained
path (eq. 5), and ε → 0 the margin path (eq. 6). Far from the answer a saddle-free Newton method
descends on the sphere while ε falls; near it, a primal-dual Newton method solves

    Σ p_n ∇g_n = μθ,   g_n + ε log p_n = t,   Σ p_n = 1,   ‖θ‖ = 1,

where the weights p are unknowns of their own: they stay accurate where ``exp(-g/ε)`` does not, and
they hardly change from one ρ to the next.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.linalg.guarded import least_norm
from lexmargin.linalg.rounding import ROUNDED, TINY
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray

__all__ = ["EntropicPoint", "correct", "escape", "follow"]

_SHRINK = 4.0
"""Factor of ε between descents: smaller wastes descents, larger lets units die (judgement)."""
_FAST = 30.0
"""Largest factor of ε between two Newton solves; failures shorten it by themselves."""
_SLOW = 1.3
"""Factor of ε below which Newton's method is given up for a descent at that ε."""
_FOLLOWED = 1e-6
"""Residual at which a point counts as still on its path: Newton's method then converges."""
_VANISHING = -46.0
"""log of the weights that are left out: e^-46 = 1e-20."""


@final
@dataclass(frozen=True, eq=False)
class EntropicPoint:
    """A point of the path at one ρ and ε.

    Attributes:
        theta: on the unit sphere (d,).
        log_weights: log p_n (N,).
        push: μ, negative where the ball would rather be left inwards.
        residual: ``‖Σ p_n∇g_n - μθ‖/‖Σ p_n∇g_n‖``, and the misfit of ``g_n + ε log p_n = t``
            relative to the size of g.
        noise: the part of the residual that rounding of θ explains.
        iterations: Newton steps.
    """

    theta: FloatArray
    log_weights: FloatArray
    push: float
    residual: float
    noise: float
    iterations: int

    @property
    def converged(self) -> bool:
        """Whether the residual is at rounding level and the ball is active."""
        return self.push > 0 and self.residual <= max(1e-11, 4.0 * self.noise)


@final
class _Scaled:
    """``g_n(θ) = f_n(ρθ) - b_n`` and its derivatives."""

    def __init__(
        self, functions: MarginFunctions, rho: float, offsets: FloatArray | None = None
    ) -> None:
        self.functions, self.rho = functions, rho
        self.offsets = np.zeros(functions.count) if offsets is None else offsets

    def values(self, theta: FloatArray) -> FloatArray:
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            return np.asarray(self.functions.values(self.rho * theta) - self.offsets)

    def jacobian(self, theta: FloatArray) -> FloatArray:
        return self.rho * self.functions.jacobian(self.rho * theta)

    def hessian(self, theta: FloatArray, weights: FloatArray) -> FloatArray:
        # No weight is 0: what is compiled for the same samples serves every step.
        some = np.maximum(weights, TINY)
        found = self.functions.hessian_matrix(self.rho * theta, some)
        return self.rho * (self.rho * found)


def follow(
    functions: MarginFunctions,
    rho: float,
    temperature: float,
    theta: FloatArray,
    *,
    first: float | None = None,
    offsets: FloatArray | None = None,
) -> EntropicPoint:
    """Return the point that a descent from θ reaches at ε = ``temperature``.

    Args:
        functions: smooth margin functions, N·d small enough for dense linear algebra.
        rho: ρ > 0.
        temperature: ε; 1 for eq. 5, 0 for eq. 6.
        theta: (d,) where to start, where every f_n(ρθ) is defined.
        first: ε to begin at; if None a tenth of the margin of a start that separates, which keeps
            its units alive, and the size of the margins of one that does not.
        offsets: b_n (N,) of ``g_n = f_n(ρθ) - b_n``; 0 if None.
    """
    scaled = _Scaled(functions, rho, offsets)
    theta = theta / np.linalg.norm(theta)
    values = scaled.values(theta)
    size = max(float(np.abs(values).max()), 1e-300)
    margin = float(values.min())
    last = max(temperature, 1e-2 * margin if margin > 0 else 1e-3 * size)
    epsilon = max(last, _first(values, size) if first is None else first)
    steps = 0
    while True:
        theta, taken = _descend(scaled, theta, epsilon, 1e-6 if epsilon == last else 1e-2)
        steps += taken
        if epsilon == last:
            break
        epsilon = max(last, epsilon / _SHRINK)
    point = correct(
        functions, rho, epsilon, _primal(scaled, theta, epsilon, steps), offsets=offsets
    )
    shrink = _FAST
    while epsilon > temperature:
        size = max(float(np.abs(scaled.values(point.theta)).max()), 1e-300)
        floor = 1e-14 * size
        if epsilon <= floor:
            break
        following = max(temperature, epsilon / shrink, floor)
        found = correct(functions, rho, following, point, offsets=offsets)
        if found.residual < _FOLLOWED:
            point, epsilon, shrink = found, following, min(_FAST, shrink * shrink)
            continue
        # A sample joins or leaves: shorter steps, and a descent where they do not help.
        shrink = math.sqrt(shrink)
        if shrink < _SLOW:
            theta, taken = _descend(scaled, point.theta, following, 1e-8)
            start = _primal(scaled, theta, following, point.iterations + taken)
            found = correct(functions, rho, following, start, offsets=offsets)
            if not found.residual < _FOLLOWED:
                break
            point, epsilon, shrink = found, following, 2.0
    return correct(functions, rho, max(epsilon, temperature), point, offsets=offsets)


def _first(values: FloatArray, size: float) -> float:
    margin = float(values.min())
    return 0.1 * margin if margin > 0 else size


def _softmax(values: FloatArray, epsilon: float) -> FloatArray:
    with np.errstate(under="ignore", over="ignore"):
        logits = -(values - values.min()) / epsilon
        return np.asarray(logits - math.log(float(np.exp(logits).sum())))


def _smoothed(values: FloatArray, epsilon: float) -> float:
    if not np.all(np.isfinite(values)):
        return math.inf
    low = float(values.min())
    with np.errstate(under="ignore", over="ignore"):
        return epsilon * math.log(float(np.exp(-(values - low) / epsilon).sum())) - low


def _descend(
    scaled: _Scaled, theta: FloatArray, epsilon: float, tolerance: float, most: int = 60
) -> tuple[FloatArray, int]:
    """Saddle-free Newton steps on the sphere for ``F = ε log Σ exp(-g/ε)``, with backtracking."""
    value = _smoothed(scaled.values(theta), epsilon)
    for step in range(most):
        values = scaled.values(theta)
        with np.errstate(under="ignore"):
            weights = np.exp(_softmax(values, epsilon))
        jacobian = scaled.jacobian(theta)
        gradient = -(weights @ jacobian)
        tangent = gradient - (gradient @ theta) * theta
        size = float(np.linalg.norm(gradient))
        if not size > 0 or float(np.linalg.norm(tangent)) <= tolerance * size:
            return theta, step
        centred = np.sqrt(weights)[:, None] * (jacobian + gradient)
        hessian = centred.T @ centred / epsilon - scaled.hessian(theta, weights)
        if not np.all(np.isfinite(hessian)):
            # A start outside the domain of a log, from which no step leads in.
            return theta, step
        moved = _newton_direction(hessian, gradient, tangent, theta)
        slope, length = float(moved @ tangent), 1.0
        while length > 1e-10:
            candidate = theta + length * moved
            candidate = candidate / np.linalg.norm(candidate)
            trial = _smoothed(scaled.values(candidate), epsilon)
            if trial <= value + 1e-4 * length * slope:
                break
            length *= 0.5
        else:
            return theta, step
        theta, value = candidate, trial
    return theta, most


def _newton_direction(
    hessian: FloatArray, gradient: FloatArray, tangent: FloatArray, theta: FloatArray
) -> FloatArray:
    """Return -|H|⁻¹ grad on the tangent space, at most half a radian long."""
    projector = np.eye(theta.size) - np.outer(theta, theta)
    riemannian = projector @ hessian @ projector - float(gradient @ theta) * projector
    levels, vectors = np.linalg.eigh(0.5 * (riemannian + riemannian.T))
    sizes = np.maximum(np.abs(levels), 1e-10 * float(np.abs(levels).max()))
    along = vectors.T @ tangent
    # The direction of θ itself has level 0 and no gradient.
    moved = -projector @ (vectors @ (along / sizes))
    length = float(np.linalg.norm(moved))
    return np.asarray(moved * min(1.0, 0.5 / length)) if length > 0 else moved


def _primal(scaled: _Scaled, theta: FloatArray, epsilon: float, steps: int) -> EntropicPoint:
    weights = _softmax(scaled.values(theta), epsilon)
    return EntropicPoint(theta, weights, math.nan, math.inf, 0.0, steps)


def correct(
    functions: MarginFunctions,
    rho: float,
    epsilon: float,
    start: EntropicPoint,
    *,
    offsets: FloatArray | None = None,
    most: int = 40,
) -> EntropicPoint:
    """Return the solution of the primal-dual system near ``start``, the best point seen."""
    scaled = _Scaled(functions, rho, offsets)
    state = _State(scaled, epsilon, start.theta, start.log_weights)
    best, quiet, taken = state, 0, 0
    while taken < most and quiet < 6 and best.residual > 0.5 * best.noise:
        following = state.step()
        taken += 1
        if following is None or not np.isfinite(following.residual):
            break
        state = following
        quiet = 0 if state.residual < 0.5 * best.residual else quiet + 1
        best = min(best, state, key=lambda s: s.residual)
    return EntropicPoint(
        best.theta, best.logs, best.push, best.residual, best.noise, start.iterations + taken
    )


def escape(
    functions: MarginFunctions, rho: float, epsilon: float, point: EntropicPoint
) -> FloatArray | None:
    """Return a unit θ beside a saddle, along its direction of descent; None at a local minimum.

    The Hessian is that of the Lagrangian on the sphere with the weights p, which the differences of
    active margins, held by 1/ε, cannot leave: what is left is the curvature of the critical cone.
    """
    scaled = _Scaled(functions, rho)
    theta, jacobian = point.theta, scaled.jacobian(point.theta)
    with np.errstate(under="ignore"):
        weights = np.exp(point.log_weights)
    pull = weights @ jacobian
    size = max(float(np.abs(scaled.values(theta)).max()), 1e-300)
    centred = np.sqrt(weights)[:, None] * (jacobian - pull)
    hessian = centred.T @ centred / max(epsilon, 1e-5 * size) - scaled.hessian(theta, weights)
    projector = np.eye(theta.size) - np.outer(theta, theta)
    reduced = projector @ (hessian + point.push * np.eye(theta.size)) @ projector
    if not np.all(np.isfinite(reduced)):
        return None
    levels, vectors = np.linalg.eigh(0.5 * (reduced + reduced.T))
    if levels[0] > -1e-6 * abs(point.push):
        return None
    beside = theta + 0.1 * vectors[:, 0]
    return np.asarray(beside / np.linalg.norm(beside))


@final
class _State:
    """θ and log p, with the residuals of the primal-dual system, margins in units of their size."""

    def __init__(
        self, scaled: _Scaled, epsilon: float, theta: FloatArray, logs: FloatArray
    ) -> None:
        self.scaled, self.epsilon, self.theta = scaled, epsilon, theta
        values = scaled.values(theta)
        self.size = max(float(np.abs(values).max()), 1e-300) if values.size else 1.0
        heaviest = float(logs.max())
        seen = logs > heaviest + _VANISHING
        # Those left out follow the others: log p_n = (t - g_n)/ε.
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            share = np.exp(logs[seen] - heaviest)
            level = float(share @ (values[seen] + epsilon * logs[seen]) / share.sum())
            implied = (level - values) / epsilon
            self.logs = np.where(seen, logs, implied)
            self.logs = np.where(
                ~seen & (self.logs > _VANISHING), np.minimum(self.logs, 0.0), self.logs
            )
            self.active = np.flatnonzero(self.logs > self.logs.max() + _VANISHING)
            self.weights = np.exp(np.minimum(self.logs, 1.0))
        self.values, self.level = values, level
        self.jacobian = scaled.jacobian(theta)
        pull = self.weights @ self.jacobian
        self.push = float(pull @ theta)
        length = float(np.linalg.norm(pull))
        self.misfit = pull - self.push * theta
        self.gaps = values[self.active] - level + epsilon * self.logs[self.active]
        turn = float(np.linalg.norm(self.misfit)) / length if length > 0 else math.inf
        off = float(np.abs(self.gaps).max(initial=0.0)) / self.size
        total = abs(float(self.weights.sum()) - 1.0)
        self.residual = max(turn, off, total) if np.all(np.isfinite(values)) else math.inf
        self.noise = ROUNDED

    def step(self) -> _State | None:
        """Return the state after one Newton step; None where the system cannot be solved."""
        active, theta, d = self.active, self.theta, self.theta.size
        rows, weights = self.jacobian[active] / self.size, self.weights[active]
        count = active.size
        hessian = self.scaled.hessian(theta, self.weights) / self.size
        push = self.push / self.size
        matrix = np.zeros((d + count + 2, d + count + 2))
        matrix[:d, :d] = hessian - push * np.eye(d)
        matrix[:d, d : d + count] = rows.T * weights
        matrix[:d, d + count] = -theta
        matrix[d : d + count, :d] = rows
        matrix[d : d + count, d : d + count] = np.eye(count) * (self.epsilon / self.size)
        matrix[d : d + count, d + count + 1] = -1.0
        matrix[d + count, d : d + count] = weights
        matrix[d + count + 1, :d] = theta
        right = np.concatenate(
            [
                -self.misfit / self.size,
                -self.gaps / self.size,
                [1.0 - float(self.weights.sum()), 0.5 * (1.0 - float(theta @ theta))],
            ]
        )
        found = least_norm(matrix, right, 1e-15)
        if not np.all(np.isfinite(found)):
            return None
        move, change = found[:d], found[d : d + count]
        length = float(np.linalg.norm(move))
        largest = float(np.abs(change).max(initial=0.0))
        damping = min(1.0, 0.3 / max(length, 1e-300), 3.0 / max(largest, 1e-300))
        theta = theta + damping * move
        logs = self.logs.copy()
        logs[active] += damping * change
        hidden = np.ones(logs.size, dtype=bool)
        hidden[active] = False
        logs[hidden] = -np.inf
        return _State(self.scaled, self.epsilon, theta / np.linalg.norm(theta), logs)
