"""Eq. 5 of linear margin functions on the balls of norm 1 < p < ∞, from any start.

A Newton method on the sphere and inside it: with ``φ = ½‖·‖_p²`` a point of the sphere is the
answer where ``g = -∇ log L = μ ∇φ(w)``, μ >= 0, and a point inside where g = 0. Along the sphere
the steps solve ``(H + μ∇²φ) s + ν∇φ = g - μ∇φ``, ``∇φ·s = 0``; a matrix that is positive on the
tangent space gives a descent direction, so that backtracking converges from anywhere. For p < 2,
where ∇²φ is infinite at zeros of w, they are made in the dual vector ``∇φ(w)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.backends.losses.linear_loss import LinearLoss, LossPoint
from lexmargin.linalg.rounding import EPS
from lexmargin.ops.base import FloatArray

__all__ = ["BallPoint", "smooth_ball"]

_MOST_STEPS = 400
"""Newton steps at most: convergence is quadratic, and quiet steps end it earlier (judgement)."""
_ARMIJO = 1e-4
"""Least share of the promised decrease (Nocedal and Wright 2006, ch. 3): any small one does."""
_SHORTEST = 2.0**-60
"""Shortest step tried: below 2⁻⁵² of a move nothing changes, with some way to spare."""
_ON_SPHERE = 1e-12
"""Relative distance from the sphere that counts as on it: a few thousand roundings."""
_RIDGES = (0.0, 1e-14, 1e-11, 1e-8, 1e-5, 1e-2)
"""Shares of the diagonal that are added until a step leads downhill."""
_SOLVED = 1e-9
"""Largest certified gap of an answer that counts as converged, relative to max(1, |log L|)."""
_PATIENCE = 4
"""Steps without a better residual before it is taken as rounding."""
_DONE = 1e-13
"""Residual at the rounding of its sums."""
_FLAT = 1e-6
"""Where ``dw/ds`` is smaller, the dual step is read off its own equation."""
_TINY = 1e-30
"""Share of the largest diagonal entry below which a feature is not seen at all."""

_Curve = Callable[[float], tuple[FloatArray, FloatArray | None]]


@final
@dataclass(frozen=True, eq=False)
class BallPoint:
    """Where the method ended.

    Attributes:
        w: (d,) with ``‖w‖_p <= ρ``.
        residual: ``‖g - μ∇φ‖/‖g‖`` on the sphere, ``‖g‖/Σ p_n‖z_n‖`` inside.
        push: μ; 0 inside.
        gap: the certified distance to the least log L, relative to max(1, |log L|).
        steps: Newton steps.
    """

    w: FloatArray
    residual: float
    push: float
    gap: float
    steps: int

    @property
    def converged(self) -> bool:
        """Whether the gap is that of an answer."""
        return self.gap <= _SOLVED


def smooth_ball(problem: LinearLoss, rho: float, p: float, start: FloatArray) -> BallPoint:
    """Return ``argmin log L(w)  s.t.  ‖w‖_p <= ρ``.

    Args:
        problem: the loss.
        rho: ρ > 0.
        p: 1 < p < ∞.
        start: (d,) a point of the ball.
    """
    walk = _Walk(problem, rho, p)
    state = walk.at(start)
    best, quiet, steps = state, 0, 0
    while steps < _MOST_STEPS and best.residual > _DONE and quiet < _PATIENCE:
        steps += 1
        following = walk.step(state)
        if following is None:
            break
        state = following
        # Far from the answer log L decides, near it only the residual tells points apart.
        lower = state.point.total < best.point.total - walk.noise(state.point)
        better = lower or state.residual < 0.5 * best.residual
        quiet = 0 if better else quiet + 1
        if lower or state.residual < best.residual:
            best = state
    scale = max(1.0, abs(best.point.total))
    gap = best.point.bound(rho, walk.dual) / scale
    return BallPoint(best.point.w, best.residual, max(best.push, 0.0), gap, steps)


@final
@dataclass(frozen=True, eq=False)
class _At:
    """A point, its dual vector ``s = ∇φ(w)``, μ, and how far it is from stationary."""

    point: LossPoint
    normal: FloatArray
    push: float
    sphere: bool
    residual: float


@final
class _Walk:
    """The steps on one ball."""

    def __init__(self, problem: LinearLoss, rho: float, p: float) -> None:
        self.problem, self.rho, self.p = problem, rho, p
        self.dual = p / (p - 1.0)
        self.lengths = np.sqrt(np.einsum("ij,ij->i", problem.rows, problem.rows))

    def at(self, w: FloatArray, normal: FloatArray | None = None) -> _At:
        """Return the state at w, with its dual vector where that is known better than w."""
        point = LossPoint.at(self.problem, w)
        size = float(np.linalg.norm(w, self.p))
        sphere = size >= self.rho * (1.0 - _ON_SPHERE)
        if normal is None:
            normal = _gradient(w, size, self.p)
        g = point.gradient
        push = float(g @ w) / size**2 if size > 0.0 else 0.0
        spent = float(point.weights @ self.lengths)
        if sphere and push > 0.0:
            # Its squares may be below the smallest double where g is not.
            large = float(np.abs(g).max())
            misfit = float(np.linalg.norm((g - push * normal) / large))
            residual = misfit / float(np.linalg.norm(g / large))
        else:
            residual = float(np.linalg.norm(g)) / spent if spent > 0.0 else 0.0
        return _At(point, normal, push, sphere, residual)

    def noise(self, point: LossPoint) -> float:
        """Return what rounding makes of log L."""
        seen = point.weights > EPS * float(point.weights.max(initial=0.0))
        size = float(np.abs(point.values[seen]).max(initial=0.0))
        return 4.0 * EPS * max(1.0, abs(point.total), size)

    def step(self, state: _At) -> _At | None:
        """Return the next point, None where no step leads lower."""
        hessian = state.point.hessian()
        if state.sphere and state.push > 0.0:
            return self._along(state, hessian, state.push)
        move = _descent(hessian, state.point.gradient, None)
        if move is None:
            return None
        if state.sphere and float(state.normal @ move[0]) > 0.0:
            # The ball is pressed after all: along it, as if without curvature of its own.
            return self._along(state, hessian, 0.0)
        return self._inside(state, move[0])

    def _inside(self, state: _At, move: FloatArray) -> _At | None:
        w, longest = state.point.w, 1.0
        size = float(np.linalg.norm(move, self.p))
        if size > 4.0 * self.rho:
            # Out of the ball from everywhere inside it, however flat the loss is.
            move = move * (4.0 * self.rho / size)
        if float(np.linalg.norm(w + move, self.p)) > self.rho:
            longest = self._reach(w, move)

        def moved(t: float) -> tuple[FloatArray, FloatArray | None]:
            there = w + t * longest * move
            size = float(np.linalg.norm(there, self.p))
            if (longest < 1.0 and t == 1.0) or size > self.rho:
                there = there * (self.rho / size)
            return there, None

        return self._search(state, longest * move, moved)

    def _reach(self, w: FloatArray, move: FloatArray) -> float:
        """Return the t in [0, 1] where ``w + t move`` leaves the ball, from outside."""
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = 0.5 * (low + high)
            if float(np.linalg.norm(w + middle * move, self.p)) > self.rho:
                high = middle
            else:
                low = middle
        return high

    def _along(self, state: _At, hessian: FloatArray, mu: float) -> _At | None:
        normal, w = state.normal, state.point.w
        r = state.point.gradient - mu * normal
        if self.p >= 2.0 or mu == 0.0:
            curved = mu * (self.p - 1.0) * np.abs(w / self.rho) ** (self.p - 2.0) if mu else 0.0
            found = _descent(hessian + np.diag(np.broadcast_to(curved, w.shape)), r, normal)
            if found is None:
                return None
            move = found[0]

            def onto(t: float) -> tuple[FloatArray, FloatArray | None]:
                there = w + t * move
                return there * (self.rho / float(np.linalg.norm(there, self.p))), None

            return self._search(state, move, onto)
        root = np.sqrt((self.dual - 1.0) * np.abs(normal / self.rho) ** (self.dual - 2.0))
        matrix = root[:, None] * hessian * root
        matrix.flat[:: matrix.shape[0] + 1] += mu
        found = _descent(matrix, root * r, root * normal)
        if found is None:
            return None
        inner, nu = found
        move = root * inner
        # Where w hardly moves its dual entry does: μ turn = r - ν∇φ - H move.
        flat = root < _FLAT
        turn = np.where(
            flat, (r - nu * normal - hessian @ move) / mu, inner / np.maximum(root, _FLAT)
        )

        def bent(t: float) -> tuple[FloatArray, FloatArray | None]:
            s = normal + t * turn
            s = s * (self.rho / float(np.linalg.norm(s, self.dual)))
            return _gradient(s, self.rho, self.dual), s

        return self._search(state, move, bent)

    def _search(self, state: _At, move: FloatArray, moved: _Curve) -> _At | None:
        """Backtrack along a curve whose first derivative is ``move``."""
        slope = float(state.point.gradient @ move)
        noise, t = self.noise(state.point), 1.0
        while t >= _SHORTEST:
            w, normal = moved(t)
            if np.all(np.isfinite(w)):
                total = self.problem.total(self.problem.values(w))
                if total <= state.point.total - _ARMIJO * t * slope + noise:
                    return self.at(w, normal)
            t *= 0.5
        return None


def _gradient(x: FloatArray, size: float, p: float) -> FloatArray:
    """Return ``∇½‖x‖_p²``; ``size`` is ‖x‖_p."""
    if not size > 0.0:
        return np.zeros_like(x)
    if p == 2.0:
        return x
    return np.asarray(size * np.sign(x) * np.abs(x / size) ** (p - 1.0))


def _descent(
    matrix: FloatArray, right: FloatArray, border: FloatArray | None
) -> tuple[FloatArray, float] | None:
    """Return s and ν of ``M s + ν b = right``, ``b·s = 0``, with ``right·s > 0``; None without.

    The rows and columns of M are scaled to a diagonal of 1, which makes the scale of the features
    harmless, and more is added to it where rounding leaves M indefinite.
    """
    diagonal = np.diagonal(matrix)
    largest = float(diagonal.max(initial=0.0))
    if not (np.isfinite(largest) and np.all(np.isfinite(right))):
        return None
    scale = np.ones_like(right)
    if largest > 0.0:
        scale = 1.0 / np.sqrt(np.maximum(diagonal, largest * _TINY))
    n = right.size
    size = n if border is None else n + 1
    system = np.zeros((size, size))
    system[:n, :n] = matrix * scale * scale[:, None]
    target = np.zeros(size)
    target[:n] = scale * right
    unit = 1.0
    if border is not None:
        scaled = scale * border
        unit = float(np.linalg.norm(scaled))
        if not unit > 0.0:
            return None
        system[:n, n] = system[n, :n] = scaled / unit
        along = scaled / unit
        tangent = target[:n] - along * float(along @ target[:n])
    else:
        tangent = target[:n]
    goal = float(np.linalg.norm(tangent))
    if not goal > 0.0:
        return None
    diagonal_at = np.arange(n)
    kept = system[diagonal_at, diagonal_at].copy()
    for ridge in _RIDGES:
        system[diagonal_at, diagonal_at] = kept + ridge
        try:
            found = np.linalg.solve(system, target)
        except np.linalg.LinAlgError:
            continue
        move = found[:n]
        downhill = float(tangent @ move)
        if np.all(np.isfinite(move)) and downhill > 0.0:
            # A singular system may be solved by anything: its residual tells.
            misfit = float(np.linalg.norm(system @ found - target))
            if misfit <= 1e-6 * goal:
                nu = 0.0 if border is None else float(found[n]) / unit
                return scale * move, nu
    return None
