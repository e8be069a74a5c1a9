"""The constrained path of linear margin functions (eq. 5), by Newton steps in the log domain.

``min log L(w)  s.t.  ‖w‖_p <= ρ`` with ``f_n = z_n·w`` and p = 1, 2 or ∞, for ρ growing by powers
of two from a value where every sample weighs about the same. On the polyhedral balls an active-set
method walks over faces, and on a face the levels of the loss are told apart
(:mod:`lexmargin.backends.graded`), so that directions decided by samples of weight e^{-1000} are
found like any other: the levels are peeled, none is lost to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.backends.graded import graded_basis, graded_step, leading_slopes
from lexmargin.errors import ParameterError, UnsupportedError
from lexmargin.losses import Loss, log_loss, log_weights
from lexmargin.ops.base import FloatArray

__all__ = ["LinearPathPoint", "constrained_linear", "supports"]

BoolArray = NDArray[np.bool_]
_GRADIENT = 1e-13
_SLOPE = 1e-9
_STEPS_PER_FACE = 300
_SHORT = 0.1
"""Nats: a share of a shorter Newton step would only delay its quadratic convergence."""

_ASIDE = 10.0
"""Longest tangent that is followed, in units of the change of ρ."""


@final
@dataclass(frozen=True, eq=False)
class LinearPathPoint:
    """The constrained path at one ρ.

    Attributes:
        w: ρθ (d,).
        log_loss: log L(w).
        log_weights: ``log(-∂L/∂f_n)`` (N,).
        residual: the largest gradient along the face, each direction relative to its own level;
            for p = 2 the sine of the angle between ``Σ p_n z_n`` and w.
        nats: how far below the heaviest sample the decision about the last direction was taken;
            beyond 36 a method without levels returns an arbitrary point of a face.
        free: dimension of the face in which no sample decides (the minimiser is not unique if > 0).
        iterations: Newton steps, all ρ together.
        converged: residual at rounding level and every multiplier of the right sign.
    """

    w: FloatArray
    log_loss: float
    log_weights: FloatArray
    residual: float
    nats: float
    free: int
    iterations: int
    converged: bool


def supports(norm: float, loss: Loss) -> bool:
    """Return whether this method solves that norm and loss."""
    return norm in (1.0, 2.0, np.inf) and loss in (Loss.EXPONENTIAL, Loss.LOGISTIC)


def constrained_linear(
    rows: FloatArray,
    rho: float,
    norm: float = 2.0,
    loss: Loss = Loss.EXPONENTIAL,
    offsets: FloatArray | None = None,
    begin: FloatArray | None = None,
) -> LinearPathPoint:
    """Return the minimiser of ``log L`` over the ball of radius ρ (eq. 5, w = ρθ).

    Args:
        rows: z_n (N, d): ``f_n = z_n·w``.
        rho: ρ > 0.
        norm: 1, 2 or inf.
        loss: exponential or logistic.
        offsets: ``b_n`` (N,) for ``f_n = z_n·w - b_n``; 0 if None.
        begin: (d,) the path's point at a smaller ρ, at its own scale: ρ grows from there.

    Raises:
        UnsupportedError: another norm or loss.
        ParameterError: ρ is not a finite positive number.
    """
    if not supports(norm, loss):
        raise UnsupportedError(
            f"No Newton method for the norm {norm:g} and the {loss.value} loss.",
            "Use norm 1, 2 or inf with the exponential or logistic loss, or the convex route.",
        )
    if not (np.isfinite(rho) and rho > 0):
        raise ParameterError(f"rho must be a finite number > 0, not {rho!r}.")
    largest = float(np.max(np.abs(rows).sum(axis=1), initial=0.0))
    if not (np.isfinite(largest) and largest > 0.0):
        raise ParameterError("The rows must be finite and not all zero.")
    shift = np.zeros(len(rows)) if offsets is None else offsets
    solver: Callable[[_Problem, float, FloatArray | None], _State] = {
        1.0: _simplex,
        2.0: _euclidean,
        np.inf: _box,
    }[norm]
    at = None if begin is None else float(np.linalg.norm(begin, norm))
    inner = None if begin is None or not at else _masses(begin) if norm == 1.0 else begin
    radii = [rho]
    while radii[-1] * largest > 2.0 and (not at or radii[-1] > 2.0 * at):
        radii.append(radii[-1] / 2.0)
    state: _State | None = None
    iterations = 0
    for radius in reversed(radii):
        problem = _Problem(rows, shift, loss)
        grown = None
        if inner is not None and at:
            grown = inner * (radius / at) if norm != 2.0 else _predicted(problem, inner, radius)
        state = solver(problem, radius, grown)
        inner, at = state.point, radius
        iterations += state.iterations
    assert state is not None
    values = rows @ state.w - shift
    return LinearPathPoint(
        w=state.w,
        log_loss=log_loss(loss, values),
        log_weights=log_weights(loss, values),
        residual=state.residual,
        nats=state.nats,
        free=state.free,
        iterations=iterations,
        converged=state.converged,
    )


def _masses(w: FloatArray) -> FloatArray:
    """Return w of the ℓ1 sphere as masses of the vertices ±ρe_i and of the origin."""
    return np.concatenate([np.maximum(w, 0.0), np.maximum(-w, 0.0), [0.0]])


@final
@dataclass(frozen=True, eq=False)
class _Problem:
    """``f_n = z_n·w - b_n`` and the loss."""

    rows: FloatArray
    offsets: FloatArray
    loss: Loss

    def curvatures(self, values: FloatArray, weights: FloatArray) -> FloatArray:
        """Return the log of ``∂²L/∂f_n²``: that of the weights for the exponential loss."""
        if self.loss is Loss.EXPONENTIAL:
            return weights
        return weights + log_weights(self.loss, -values)


@final
@dataclass(frozen=True, eq=False)
class _State:
    """Where one ρ ended: the method's own coordinates, and w."""

    point: FloatArray
    w: FloatArray
    residual: float
    nats: float
    free: int
    iterations: int
    converged: bool


def _simplex(problem: _Problem, rho: float, begin: FloatArray | None) -> _State:
    """ℓ1: the ball is the convex hull of ±ρe_i; unknowns are 2d+1 masses v >= 0 of total ρ.

    The last vertex is the origin, so that data without a separator may stay inside the ball.
    """
    rows = problem.rows
    size = rows.shape[1]
    vertices = np.concatenate([rows, -rows, np.zeros((len(rows), 1))], axis=1)
    mass = np.zeros(2 * size + 1) if begin is None else begin
    if begin is None:
        mass[-1] = rho

    def read(v: FloatArray) -> FloatArray:
        return np.asarray(v[:size] - v[size:-1])

    def directions(held: BoolArray, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        # Every free mass against the largest one: an exact basis of the face, no rounding.
        free = np.flatnonzero(~held)
        pivot = free[np.argmax(v[free])]
        others = free[free != pivot]
        basis = np.zeros((v.size, others.size))
        basis[others, np.arange(others.size)] = 1.0
        basis[pivot] = -1.0
        candidates = np.flatnonzero(held)
        inward = np.zeros((v.size, candidates.size))
        inward[candidates, np.arange(candidates.size)] = 1.0
        inward[pivot] = -1.0
        return basis, inward

    lower, upper = np.zeros(mass.size), np.full(mass.size, np.inf)
    return _active_set(
        _Problem(vertices, problem.offsets, problem.loss), mass, lower, upper, directions, read
    )


def _box(problem: _Problem, rho: float, begin: FloatArray | None) -> _State:
    """ℓ∞: coordinates between -ρ and ρ."""
    size = problem.rows.shape[1]
    point = np.zeros(size) if begin is None else np.clip(begin, -rho, rho)
    point = np.where(np.abs(point) >= rho * (1.0 - 1e-14), np.sign(point) * rho, point)

    def directions(held: BoolArray, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        identity = np.eye(size)
        return identity[:, ~held], identity[:, held] * -np.sign(v[held])

    lower, upper = np.full(size, -rho), np.full(size, rho)
    return _active_set(problem, point, lower, upper, directions, lambda v: v)


def _active_set(
    problem: _Problem,
    start: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    directions: Callable[[BoolArray, FloatArray], tuple[FloatArray, FloatArray]],
    read: Callable[[FloatArray], FloatArray],
) -> _State:
    """Newton steps on faces of ``lower <= v <= upper``: bounds join when hit, leave by sign."""
    rows, v = problem.rows, start.copy()
    held = (v <= lower) | (v >= upper)
    residual, nats, free, converged, steps = np.inf, 0.0, 0, False, 0
    for _ in range(_STEPS_PER_FACE + 20 * v.size):
        steps += 1
        values = rows @ v - problem.offsets
        weights = log_weights(problem.loss, values)
        face, inward = directions(held, v)
        reduced = rows @ face
        basis = graded_basis(reduced, weights)
        step, residual = graded_step(basis, weights, problem.curvatures(values, weights))
        heaviest = float(weights.max())
        nats = float(heaviest - basis.levels.min()) if basis.pivots else 0.0
        free = face.shape[1] - len(basis.pivots)
        move = face @ step
        small = np.max(np.abs(rows @ move), initial=0.0) <= 1e-13 * max(1.0, np.abs(values).max())
        if residual <= _GRADIENT or small:
            converged = True
            candidates = np.flatnonzero(held)
            if not candidates.size:
                break
            levels, slopes = leading_slopes(basis, weights, rows @ inward, reduced)
            rising = slopes > _SLOPE
            if not rising.any():
                break
            converged = False
            worth = np.where(rising, levels + np.log(np.maximum(slopes, 1e-300)), -np.inf)
            held[candidates[int(np.argmax(worth))]] = False
            continue
        length = _trusted(rows @ move, basis.rows, basis.levels, weights)
        room = np.where(move > 0, upper - v, np.where(move < 0, lower - v, np.inf))
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(move != 0, room / move, np.inf)
        blocking = int(np.argmin(ratios))
        if ratios[blocking] <= length:
            v = v + ratios[blocking] * move
            v[blocking] = upper[blocking] if move[blocking] > 0 else lower[blocking]
            held[blocking] = True
        else:
            v = v + length * move
        v = np.where(held, np.where(v - lower <= upper - v, lower, upper), v)
    return _State(v, read(v), residual, nats, free, steps, converged)


def _trusted(
    change: FloatArray, rows: FloatArray, levels: FloatArray, weights: FloatArray
) -> float:
    """Return the share of a Newton step in which no weight changes by more than a nat.

    A sample may gain as many nats more as it is below everything it could decide. The share
    ``log(1+δ)/δ`` guarantees descent for sums of exponentials and tends to 1.
    """
    with np.errstate(divide="ignore"):
        visible = weights[:, None] + np.log(np.abs(rows)) - levels[None, :]
    below = np.maximum(0.0, -np.max(visible, axis=1, initial=-np.inf))
    delta = np.where(below > 0, np.maximum(-change, 0.0), np.abs(change))
    largest = float(np.max(delta / (1.0 + np.minimum(below, 1e300)), initial=0.0))
    return float(np.log1p(largest) / largest) if largest > 1e-8 else 1.0


def _predicted(problem: _Problem, w: FloatArray, rho: float) -> FloatArray:
    """Return the tangent of the path at its point w, followed to the sphere of radius ρ.

    Where the tangent leads far aside, the ray through w.
    """
    at = float(np.linalg.norm(w))
    ray = w * (rho / at)
    local = _Local.at(problem, w)
    if not local.mu > 0.0:
        return ray
    forward = local.bordered(w / at, np.zeros(w.size), rho - at)
    if not float(np.linalg.norm(forward)) <= _ASIDE * abs(rho - at):
        return ray
    moved = w + forward
    return moved * (rho / float(np.linalg.norm(moved)))


@final
@dataclass(frozen=True, eq=False)
class _Local:
    """``g = Σ p_n z_n``, the Hessian of ``-log L`` with its sign turned, and μ at a point."""

    gradient: FloatArray
    hessian: FloatArray
    mu: float
    heaviest: float

    @classmethod
    def at(cls, problem: _Problem, w: FloatArray) -> _Local:
        """Evaluate at w."""
        rows = problem.rows
        values = rows @ w - problem.offsets
        log_p = log_weights(problem.loss, values)
        total = log_loss(problem.loss, values)
        p = np.exp(log_p - total)
        h = p
        if problem.loss is not Loss.EXPONENTIAL:
            h = np.exp(problem.curvatures(values, log_p) - total)
        gradient = p @ rows
        hessian = (rows * h[:, None]).T @ rows - gradient[:, None] * gradient
        square = float(w @ w)
        mu = float(gradient @ w) / square if square > 0.0 else 0.0
        return cls(gradient, hessian, mu, float(p.max()))

    def bordered(self, unit: FloatArray, right: FloatArray, along: float) -> FloatArray:
        """Return the step with ``(H/μ + I) step + ν unit = right`` and ``unit·step = along``."""
        size = unit.size
        system = np.empty((size + 1, size + 1))
        system[:size, :size] = self.hessian / self.mu
        system.flat[: size * (size + 1) : size + 2] += 1.0
        system[:size, size] = system[size, :size] = unit
        system[size, size] = 0.0
        target = np.append(right, along)
        try:
            step: FloatArray = np.linalg.solve(system, target)[:size]
        except np.linalg.LinAlgError:
            # μ below the rounding of H: the identity is lost, and H alone may be singular.
            step = np.linalg.lstsq(system, target, rcond=None)[0][:size]
        return step


def _euclidean(problem: _Problem, rho: float, begin: FloatArray | None) -> _State:
    """ℓ2: bordered Newton on ``Σ p_n z_n = μ w``, ``‖w‖ = ρ``, p the softmax weights.

    The ball is round, so every direction is decided by the visible samples: ``w = Σ p_n z_n/μ``.
    Inside the ball (data without a separator) μ = 0.
    """
    rows, size = problem.rows, problem.rows.shape[1]
    w = np.zeros(size) if begin is None else begin.copy()
    if begin is None:
        gradient = rows.mean(axis=0)
        length = float(np.linalg.norm(gradient))
        w = rho * gradient / length if length > 0 else w
    residual, converged, steps = np.inf, False, 0
    for _ in range(_STEPS_PER_FACE):
        steps += 1
        local = _Local.at(problem, w)
        gradient, mu = local.gradient, local.mu
        inside = mu <= 0 or float(np.linalg.norm(w)) < rho * (1 - 1e-12)
        norm = float(np.linalg.norm(gradient))
        residual = float(np.linalg.norm(gradient - max(mu, 0.0) * w)) / max(norm, 1e-300)
        if inside:
            residual = norm / float(np.abs(rows).max())
        if residual <= 1e-13:
            converged = local.heaviest > 0.0
            break
        if inside:
            step = np.linalg.lstsq(local.hessian, gradient, rcond=None)[0]
        else:
            # Tangential Newton step of the Lagrangian, then back to the sphere.
            unit = w / np.linalg.norm(w)
            step = local.bordered(unit, gradient / mu - w, 0.0)
            step = step - unit * (unit @ step)
        if np.linalg.norm(step) <= 4e-16 * rho:
            converged = residual <= 1e-9 and local.heaviest > 0.0
            break
        change = rows @ step
        delta = float(np.max(np.abs(change)))
        if problem.loss is Loss.EXPONENTIAL:
            # What raises all margins alike leaves the weights as they are.
            delta = 0.5 * float(np.ptp(change))
        w = w + step * (np.log1p(delta) / delta if delta > _SHORT else 1.0)
        length = float(np.linalg.norm(w))
        if not inside or length > rho:
            w = w * (rho / length)
    free = size - int(np.linalg.matrix_rank(rows)) if mu <= 0 else 0
    return _State(w, w, residual, 0.0, free, steps, converged)
