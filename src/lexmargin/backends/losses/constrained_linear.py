"""The constrained path of linear margin functions (eq. 5), by Newton steps in the log domain.

``min log L(w)  s.t.  ‖w‖_p <= ρ`` with ``f_n = z_n·w``, for ρ growing by powers of two from a
value where every sample weighs about the same. On the polyhedral balls an active-set method walks
over faces, and on a face the levels of the loss are told apart
(:mod:`~lexmargin.backends.losses.multiscale_newton`), so that directions decided by samples of
weight e^{-1000} are found like any other: the levels are peeled, none is lost to rounding. The
round balls have :mod:`~lexmargin.backends.losses.smooth_ball`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.backends.losses.linear_loss import LinearLoss, LossPoint
from lexmargin.backends.losses.multiscale_newton import (
    GradedBasis,
    graded_basis,
    graded_step,
    leading_slopes,
)
from lexmargin.backends.losses.smooth_ball import smooth_ball
from lexmargin.errors import ParameterError
from lexmargin.linalg.rounding import EPS
from lexmargin.losses import Loss, SampleLoss
from lexmargin.ops.base import FloatArray
from lexmargin.separation.long_measures import affordable

__all__ = ["LinearPathPoint", "constrained_linear"]

BoolArray = NDArray[np.bool_]
_GRADIENT = 1e-13
"""Relative residual that ends a face: a few hundred roundings, so a tighter one never comes."""
_SLOPE = 1e-9
"""Slope of log L by which a part moves inwards again: below it is the noise of the solved face."""
_STILL = 1e-13
"""Change of the margins, relative to the largest, below which steps that no longer shrink end."""
_STEPS_PER_FACE = 300
"""Newton steps of one face at most; slow ones end earlier, by how quiet they are."""
_QUIET = 100
"""Steps that no double sees in log L before an answer with a certified gap is taken."""
_SOLVED = 1e-9
"""Largest certified gap of such an answer, relative to max(1, |log L|)."""
_INSIDE = 1e-6
"""How far, in units of ρ, a minimiser must lie inside the ball to be that of all larger balls."""

_ON_SPHERE = 1e-14
"""Mass at the origin that is rounding, in units of ρ."""
_SEEN = 1e-10
"""Smallest predicted decrease of log L, relative to it, that is worth a comparison in doubles."""
_LOST = 3
"""Balls in a row that doubles do not solve: the last is then tried, and left to long numbers."""
_ARMIJO = 1e-4
"""Least share of the promised decrease (Nocedal and Wright 2006, ch. 3): any small one does."""
_UNWEIGHTED = SampleLoss(Loss.EXPONENTIAL)
"""Eq. 1 without weights."""
_WIDE = 8
"""Columns per row from which ℓ2 is solved in the span of the rows: Newton's steps cost d³."""
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
            for 1 < p < ∞ the part of ``Σ p_n z_n`` that does not support the ball at w.
        nats: how far below the heaviest sample the decision about the last direction was taken;
            beyond 36 a method without levels returns an arbitrary point of a face.
        free: dimension of the face in which no sample decides (the minimiser is not unique if > 0).
        iterations: Newton steps, all ρ together.
        converged: residual at rounding level and every multiplier of the right sign, or for
            1 < p < ∞ a certified gap.
    """

    w: FloatArray
    log_loss: float
    log_weights: FloatArray
    residual: float
    nats: float
    free: int
    iterations: int
    converged: bool


def constrained_linear(
    rows: FloatArray,
    rho: float,
    norm: float = 2.0,
    loss: SampleLoss = _UNWEIGHTED,
    begin: FloatArray | None = None,
) -> LinearPathPoint:
    """Return the minimiser of ``log L`` over the ball of radius ρ (eq. 5, w = ρθ).

    Args:
        rows: z_n (N, d): ``f_n = z_n·w``; of C classes sample by sample.
        rho: ρ > 0.
        norm: p >= 1, or inf.
        loss: L.
        begin: (d,) the path's point at another ρ, at its own scale: from there ρ moves.

    Raises:
        ParameterError: ρ is not a finite positive number, or the rows are not finite.
    """
    if not (np.isfinite(rho) and rho > 0):
        raise ParameterError(f"rho must be a finite number > 0, not {rho!r}.")
    largest = float(np.max(np.abs(rows).sum(axis=1), initial=0.0))
    if not np.isfinite(largest):
        raise ParameterError("The rows must be finite.")
    if norm == 2.0 and rows.shape[1] > _WIDE * max(1, len(rows)):
        return _in_span(rows, rho, loss, begin)
    # A power of two: the answer at ρ on rows × s is the answer at ρ s.
    unit = float(2.0 ** np.round(np.log2(largest))) if largest > 0.0 else 1.0
    if not np.isfinite(rho * unit):
        raise ParameterError(f"rho = {rho:g} times the rows exceeds all doubles.", "Scale X down.")
    problem = LinearLoss(rows / unit, loss)
    state, iterations = _grown(problem, rho * unit, norm, None if begin is None else begin * unit)
    w = state.w / unit
    values = problem.values(state.w)
    return LinearPathPoint(
        w=w,
        log_loss=problem.total(values),
        log_weights=problem.weights(values),
        residual=state.residual,
        # Levels are weights times rows: in the rows' own units.
        nats=max(0.0, state.nats - float(np.log(unit))),
        free=state.free,
        iterations=iterations,
        converged=state.converged,
    )


def _in_span(
    rows: FloatArray, rho: float, loss: SampleLoss, begin: FloatArray | None
) -> LinearPathPoint:
    """Return the minimiser in ℓ2 from the coordinates of the rows' span, which contains it."""
    basis, coordinates = np.linalg.qr(rows.T)
    start = None if begin is None else basis.T @ begin
    found = constrained_linear(coordinates.T, rho, 2.0, loss, start)
    # Inside of the ball nothing decides what is orthogonal to the rows.
    inside = float(np.linalg.norm(found.w)) < rho * (1.0 - EPS * rows.shape[1])
    more = rows.shape[1] - basis.shape[1] if inside else 0
    return replace(found, w=basis @ found.w, free=found.free + more)


def _grown(
    problem: LinearLoss, rho: float, norm: float, begin: FloatArray | None
) -> tuple[_State, int]:
    """Return the state at ρ, reached through balls of radii that double, and all Newton steps."""
    at = 0.0 if begin is None else float(np.linalg.norm(begin, norm))
    inner = begin if at > 0.0 else None
    radii = [rho]
    # The largest row sum is about 1.
    while radii[-1] > 2.0 and (not at or radii[-1] > 2.0 * at):
        radii.append(radii[-1] / 2.0)
    state: _State | None = None
    iterations = lost = 0
    for radius in reversed(radii):
        if lost >= _LOST and radius < rho and affordable(*problem.rows.shape):
            continue
        start = np.zeros(problem.rows.shape[1])
        if inner is not None:
            start = _start(problem, inner, radius, norm)
        if norm == 1.0:
            state = _simplex(problem, radius, start)
        elif norm == np.inf:
            state = _box(problem, radius, start)
        else:
            state = _round(problem, radius, norm, start)
        iterations += state.iterations
        inner = state.w
        lost = 0 if state.converged else lost + 1
        if state.converged and float(np.linalg.norm(inner, norm)) < radius * (1.0 - _INSIDE):
            break
    assert state is not None
    return state, iterations


def _start(problem: LinearLoss, w: FloatArray, rho: float, norm: float) -> FloatArray:
    """Return the best of w, the ray and the tangent of the path at w, followed to the radius ρ."""
    size = float(np.linalg.norm(w, norm))
    if not size > 0.0:
        return w
    found = [w * (rho / size)]
    if size <= rho:
        found.append(w)
    if norm == 2.0:
        found.append(_predicted(problem, w, rho))
    return min(found, key=lambda v: problem.total(problem.values(v)))


@final
@dataclass(frozen=True, eq=False)
class _State:
    """Where one ρ ended."""

    w: FloatArray
    residual: float
    nats: float
    free: int
    iterations: int
    converged: bool


def _simplex(problem: LinearLoss, rho: float, begin: FloatArray) -> _State:
    """ℓ1: the ball is the convex hull of ±ρe_i; unknowns are 2d+1 masses v >= 0 of total ρ.

    The last vertex is the origin, so that data without a separator may stay inside the ball.
    """
    rows = problem.rows
    size = rows.shape[1]
    vertices = np.concatenate([rows, -rows, np.zeros((len(rows), 1))], axis=1)
    mass = np.concatenate([np.maximum(begin, 0.0), np.maximum(-begin, 0.0), [0.0]])
    mass[-1] = rho - float(mass.sum())
    if mass[-1] < _ON_SPHERE * rho:
        mass[-1] = 0.0

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
    hull = replace(problem, rows=vertices)
    return _active_set(
        hull, mass, lower, upper, directions, read, lambda v: _gap(problem, read(v), rho, np.inf)
    )


def _box(problem: LinearLoss, rho: float, begin: FloatArray) -> _State:
    """ℓ∞: coordinates between -ρ and ρ."""
    size = problem.rows.shape[1]
    point = np.clip(begin, -rho, rho)
    point = np.where(np.abs(point) >= rho * (1.0 - 1e-14), np.sign(point) * rho, point)

    def directions(held: BoolArray, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        identity = np.eye(size)
        return identity[:, ~held], identity[:, held] * -np.sign(v[held])

    lower, upper = np.full(size, -rho), np.full(size, rho)
    return _active_set(
        problem, point, lower, upper, directions, lambda v: v, lambda v: _gap(problem, v, rho, 1.0)
    )


def _gap(problem: LinearLoss, w: FloatArray, rho: float, dual: float) -> float:
    point = LossPoint.at(problem, w)
    return point.bound(rho, dual) / max(1.0, abs(point.total))


def _active_set(
    problem: LinearLoss,
    start: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    directions: Callable[[BoolArray, FloatArray], tuple[FloatArray, FloatArray]],
    read: Callable[[FloatArray], FloatArray],
    bound: Callable[[FloatArray], float],
) -> _State:
    """Newton steps on faces of ``lower <= v <= upper``: bounds join when hit, leave by sign."""
    rows, v = problem.rows, start.copy()
    with np.errstate(divide="ignore"):
        sizes = np.log(np.linalg.norm(rows, axis=1))
    held = (v <= lower) | (v >= upper)
    residual, nats, free, converged, steps = np.inf, 0.0, 0, False, 0
    before = np.inf
    lowest, quiet, patience = np.inf, 0, _QUIET + 4 * v.size
    for _ in range(_STEPS_PER_FACE + 20 * v.size):
        steps += 1
        values = problem.values(v)
        weights = problem.weights(values)
        total = problem.total(values)
        quiet = quiet + 1 if total >= lowest - 1e-14 * max(1.0, abs(total)) else 0
        lowest = min(lowest, total)
        if quiet > patience and bound(v) <= _SOLVED:
            # Levels beyond doubles change places: log L is least all the same.
            converged = True
            break
        face, inward = directions(held, v)
        basis = graded_basis(rows, face, weights, sizes, problem.loss.group)
        some, decided = weights[basis.kept], basis.pivots.size
        logs, terms = problem.curvature_rows(basis.rows, values[basis.kept])
        if problem.loss.kind is Loss.EXPONENTIAL:
            logs = some
        step, residual = graded_step(basis, some, logs, terms)
        nats = float(weights.max() - basis.levels.min()) if decided else 0.0
        free = face.shape[1] - decided
        move = face @ step
        change = rows @ move
        shift = float(np.max(np.abs(change), initial=0.0))
        # Beside margins of 1e12 a still smaller step is a tenth of a nat: only rounding ends it.
        small = shift <= _STILL * max(1.0, np.abs(values).max()) and shift >= 0.5 * before
        before = shift
        if residual <= _GRADIENT or small:
            converged = True
            candidates = np.flatnonzero(held)
            if not candidates.size:
                break
            inside = rows @ (face @ basis.directions)
            levels, slopes = leading_slopes(basis, weights, rows @ inward, inside)
            rising = slopes > _SLOPE
            if not rising.any():
                break
            converged = False
            worth = np.where(rising, levels + np.log(np.maximum(slopes, 1e-300)), -np.inf)
            held[candidates[int(np.argmax(worth))]] = False
            before = np.inf
            continue
        length = _trusted(change, basis, weights)
        if length < 1.0 and _downhill(problem, v, values, move):
            length = 1.0
        room = np.where(move > 0, upper - v, np.where(move < 0, lower - v, np.inf))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratios = np.where(move != 0, room / move, np.inf)
        blocking = int(np.argmin(ratios))
        if ratios[blocking] <= length:
            v = v + ratios[blocking] * move
            v[blocking] = upper[blocking] if move[blocking] > 0 else lower[blocking]
            held[blocking] = True
            before = np.inf
        else:
            v = v + length * move
        v = np.where(held, np.where(v - lower <= upper - v, lower, upper), v)
    converged = converged or bound(v) <= _SOLVED
    return _State(read(v), residual, nats, free, steps, converged)


def _trusted(change: FloatArray, basis: GradedBasis, weights: FloatArray) -> float:
    """Return the share of a Newton step in which no weight changes by more than a nat or so.

    A sample may gain as many nats more as it is below everything it could decide. The share
    ``log(1+δ)/δ`` guarantees descent for sums of exponentials and tends to 1.
    """
    # Of the rows that weigh nothing, at least.
    below = np.maximum(0.0, basis.floor - weights)
    visible = np.max(np.abs(basis.pulls), axis=1, initial=0.0)
    with np.errstate(divide="ignore"):
        below[basis.kept] = -np.log(visible)
    delta = np.where(below > 0, np.maximum(-change, 0.0), np.abs(change))
    room = np.minimum(below, 1e300)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        own = np.where(delta > 1e-8, (np.minimum(room, delta) + np.log1p(delta)) / delta, 1.0)
    return float(np.min(np.minimum(own, 1.0), initial=1.0))


def _downhill(problem: LinearLoss, v: FloatArray, values: FloatArray, move: FloatArray) -> bool:
    """Say whether a whole Newton step lowers log L as much as doubles can see it should."""
    before, after = problem.total(values), problem.total(problem.values(v + move))
    with np.errstate(under="ignore"):
        weights = np.exp(problem.weights(values) - before)
    slope = float(weights @ (problem.rows @ move))
    return slope > _SEEN * max(1.0, abs(before)) and after <= before - _ARMIJO * slope


def _round(problem: LinearLoss, rho: float, norm: float, begin: FloatArray) -> _State:
    """1 < p < ∞: the ball is round, so that the visible samples decide every direction."""
    found = smooth_ball(problem, rho, norm, begin)
    free = 0
    if found.push <= 0.0:
        free = problem.rows.shape[1] - int(np.linalg.matrix_rank(problem.rows))
    return _State(found.w, found.residual, 0.0, free, found.steps, found.converged)


def _predicted(problem: LinearLoss, w: FloatArray, rho: float) -> FloatArray:
    """Return the tangent of the ℓ2 path at its point w, followed to the sphere of radius ρ.

    Where the tangent leads far aside, the ray through w.
    """
    at = float(np.linalg.norm(w))
    unit, ray = w / at, w * (rho / at)
    point = LossPoint.at(problem, w)
    mu = float(point.gradient @ w) / at**2
    if not mu > 0.0:
        return ray
    # (H + μ I) step + ν unit = 0 with unit·step = ρ - ‖w‖, in units of μ.
    size = w.size
    system = np.empty((size + 1, size + 1))
    with np.errstate(over="ignore"):
        system[:size, :size] = point.hessian() / mu
    system.flat[: size * (size + 1) : size + 2] += 1.0
    system[:size, size] = system[size, :size] = unit
    system[size, size] = 0.0
    target = np.append(np.zeros(size), rho - at)
    try:
        forward = np.linalg.solve(system, target)[:size]
    except np.linalg.LinAlgError:
        return ray
    if not float(np.linalg.norm(forward)) <= _ASIDE * abs(rho - at):
        return ray
    moved = w + forward
    return np.asarray(moved * (rho / float(np.linalg.norm(moved))))
