"""Newton's steps on the KKT system of a loss: in the unit ball (eq. 5), or with a penalty (§2.2).

The multipliers are the loss's own, ``a_n = -∂L/∂f_n``. The ℓ1 and ℓ∞ norms are linear on the face
of the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.formulations.kkt import Kkt, LossTerm
from lexmargin.formulations.loss_path import softmax
from lexmargin.linalg.guarded import least_norm
from lexmargin.linalg.norms import dual_norm, vector_norm
from lexmargin.linalg.rounding import TINY
from lexmargin.losses import Loss
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature
from lexmargin.polish.charts import Chart
from lexmargin.polish.newton import EXACT, damping, newton

__all__ = ["LossAnswer", "least_loss"]

_STEPS = 40
"""Newton steps at most: damped ones need some tens, quadratic ones few."""
_LONGEST = 0.3
"""Longest step by the length of the variable: the length of a minimum may be far from its start."""
_FACES = (1e-3, 1e-5, 1e-7)
"""Sizes, in units of ‖θ‖, below which an entry counts as 0 (ℓ1), or as largest (ℓ∞)."""

LossAnswer = tuple[FloatArray, FloatArray, float, int]
"""w, the multipliers of the loss, the relative residual of the KKT system, and Newton's steps."""

System = Callable[[FloatArray], tuple[float, FloatArray, FloatArray]]
"""Relative residual, right-hand side and matrix of a Newton step at x."""

BoolArray = NDArray[np.bool_]


def least_loss(kkt: Kkt, term: LossTerm) -> LossAnswer:
    """Return the best point of Newton's steps on the KKT system of a loss, from a point not 0."""
    rho = 1.0 if kkt.radius is None else kkt.radius
    loss = _Loss(kkt.functions, term, kkt.norm, rho, kkt.radius is not None)
    theta = kkt.point / rho
    size = vector_norm(theta, kkt.norm)
    if not 1.0 < kkt.norm < math.inf:
        faces = (_on_a_face(loss, theta, size, width) for width in _FACES)
        found = min(faces, key=lambda one: one[2])
    else:
        found = _constrained(loss, theta / size) if loss.ball else _penalised(loss, theta, size)
    return rho * found[0], *found[1:]


@final
@dataclass(frozen=True)
class _Loss:
    """A loss of ``f_n(scale θ)`` in the unit ball, or with its penalty."""

    functions: MarginFunctions
    term: LossTerm
    norm: float
    scale: float
    ball: bool

    def logs(self, theta: FloatArray) -> FloatArray:
        """Return ``log -∂L/∂f_n`` (N,)."""
        values = self.functions.values(self.scale * theta)
        return self.term.loss.log_slopes(values)

    def size_of_push(self, theta: FloatArray) -> float:
        """Return the logarithm of ``‖∇L‖_*``, which makes the ball's own multiplier about 1."""
        shift = float(self.logs(theta).max())
        pull = self.push(theta, shift)[1]
        return shift + math.log(max(dual_norm(pull, self.norm), TINY))

    def push(self, theta: FloatArray, shift: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return ``a_n = -e^{-shift} ∂L/∂f_n``, ``G = Σ a_n ∇f_n``, ``-dG/dθ``."""
        functions, loss = self.functions, self.term.loss
        w = self.scale * theta
        values, jacobian = functions.values(w), self.scale * functions.jacobian(w)
        logs = loss.log_slopes(values)
        with np.errstate(under="ignore", over="ignore"):
            weights = np.exp(np.minimum(logs - shift, 600.0))
            slope = (jacobian * weights[:, None]).T @ jacobian
            if loss.kind is not Loss.EXPONENTIAL:
                # Those of a sample are w π of probabilities π: dπ/df = -diag(π) + ππᵀ.
                shape = (values.size // loss.group, loss.group, w.size)
                pulled = (weights[:, None] * jacobian).reshape(shape).sum(axis=1)
                chances = np.exp(logs.reshape(shape[:2]) - loss.per_term[:, None]).reshape(-1)
                spread = (chances[:, None] * jacobian).reshape(shape).sum(axis=1)
                slope = slope - spread.T @ pulled
            if self.curved:
                # No weight is 0: what is compiled for the same samples serves every step.
                some = np.maximum(weights, TINY)
                bent = functions.hessian_matrix(w, some)
                slope = slope - self.scale * (self.scale * bent)
            return weights, weights @ jacobian, slope

    @property
    def curved(self) -> bool:
        """Whether some f_n has a second derivative."""
        return self.functions.curvature > Curvature.AFFINE


@final
@dataclass(frozen=True, eq=False)
class _At:
    """A point of the steps, and the system of the next one."""

    x: FloatArray
    residual: float
    right: FloatArray
    matrix: FloatArray


def _solved(x: FloatArray, size: int, system: System) -> tuple[FloatArray, float, int]:
    """Return the best x of Newton's steps, its residual, and their number.

    Steps are damped by the first ``size`` entries.
    """

    def step(at: _At) -> _At:
        move = least_norm(at.matrix, at.right, EXACT)
        x = at.x + move * damping(move[:size], at.x[:size], _LONGEST)
        return _At(x, *system(x))

    best, taken = newton(_At(x, *system(x)), step, _STEPS, patience=_STEPS)
    return best.x, best.residual, taken


def _constrained(loss: _Loss, start: FloatArray) -> LossAnswer:
    """Solve ``μ ∇½‖θ‖² = -∇L(ρθ)/g``, ``‖θ‖ = 1`` for (θ, μ), g making μ about 1."""
    d, p = start.size, loss.norm
    chart, shift = Chart(p, np.ones(d)), loss.size_of_push(start)

    def system(x: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        theta, z = chart.both(x[:d])
        _, pull, slope = loss.push(theta, shift)
        matrix, length = np.zeros((d + 1, d + 1)), vector_norm(theta, p)
        matrix[:d, :d] = x[d] * chart.bent(x[:d]) + chart.through(slope, x[:d])
        matrix[:d, d], matrix[d, :d] = z, chart.through(z, x[:d]) / length
        right = np.append(pull - x[d] * z, 1.0 - length)
        apart = float(np.linalg.norm(right[:d])) / max(float(np.linalg.norm(pull)), TINY)
        return max(apart, abs(1.0 - length)), right, matrix

    x, residual, taken = _solved(np.append(chart.variable(start), 1.0), d, system)
    theta = chart.both(x[:d])[0]
    return theta, softmax(loss.logs(theta)), residual if x[d] > 0.0 else math.inf, taken


def _penalised(loss: _Loss, theta: FloatArray, size: float) -> LossAnswer:
    """Solve ``μ q ‖θ‖^{q-2} ∇½‖θ‖² = -∇L(θ)``, both sides divided by ``μ q ‖start‖^{q-2}``."""
    p, (coefficient, q) = loss.norm, loss.term.penalty
    chart = Chart(p, np.ones(theta.size))
    shift = math.log(coefficient * q) + (q - 2.0) * math.log(size)

    def system(s: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        w, z = chart.both(s)
        _, pull, slope = loss.push(w, shift)
        length = vector_norm(w, p)
        grown = (length / size) ** (q - 2.0)
        steep = (q - 2.0) * np.outer(z, chart.through(z, s)) / length**2
        matrix = grown * (chart.bent(s) + steep) + chart.through(slope, s)
        right = pull - grown * z
        return float(np.linalg.norm(right)) / (grown * float(np.linalg.norm(z))), right, matrix

    s, residual, taken = _solved(chart.variable(theta), theta.size, system)
    point = chart.both(s)[0]
    return point, loss.push(point, shift)[0], residual, taken


def _on_a_face(loss: _Loss, theta: FloatArray, size: float, width: float) -> LossAnswer:
    """Solve on a face ``θ = B u``, ``‖θ‖ = c·u`` of the ℓ1 or ℓ∞ ball.

    ``Bᵀ(-∇L(B u)) = μ c`` for u and μ, where ``c·u`` is held, or for ``μ = (c·u)^{q-1}``.
    """
    identity, signs, p = np.eye(theta.size), np.sign(theta), loss.norm
    if p == 1.0:
        held = np.abs(theta) > width * size
        basis, slopes, u = identity[:, held], signs[held], theta[held]
    else:
        held = np.abs(theta) >= (1.0 - width) * size
        basis = np.column_stack([np.where(held, signs, 0.0), identity[:, ~held]])
        slopes, u = np.append(1.0, np.zeros(basis.shape[1] - 1)), np.append(size, theta[~held])
    d, path = u.size, loss.ball
    if not path:
        coefficient, power = loss.term.penalty
        shift = math.log(coefficient * power) + (power - 1.0) * math.log(size)
    else:
        power, shift = 1.0, loss.size_of_push(theta)
        u = np.append(u / size, 1.0)

    def system(x: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        _, pull, slope = loss.push(basis @ x[:d], shift)
        length, inner = float(slopes @ x[:d]), basis.T @ slope @ basis
        level = float(x[d]) if path else (max(length, TINY) / size) ** (power - 1.0)
        right = basis.T @ pull - level * slopes
        if not (level > 0.0 and length > 0.0):
            # Beyond the face: the steps end at the last point of it.
            return math.inf, right, np.full((x.size, x.size), math.nan)
        apart = float(np.linalg.norm(right)) / (level * float(np.linalg.norm(slopes)))
        if not path:
            steep = (power - 1.0) * level / length
            return apart, right, steep * np.outer(slopes, slopes) + inner
        matrix = np.zeros((d + 1, d + 1))
        matrix[:d, :d], matrix[:d, d], matrix[d, :d] = inner, slopes, slopes
        return max(apart, abs(1.0 - length)), np.append(right, 1.0 - length), matrix

    solved, residual, taken = _solved(u, d, system)
    point = basis @ solved[:d]
    weights, pull, _ = loss.push(point, shift)
    length = vector_norm(point, p)
    level = float(solved[d]) if path else (length / size) ** (power - 1.0)
    if p == 1.0:
        wrong = np.where(held, -signs * point / length, np.abs(pull) / level - 1.0)
    else:
        wrong = np.where(held, -signs * pull / level, np.abs(point) / length - 1.0)
    if path:
        weights = softmax(loss.logs(point))
    residual = max(residual, float(wrong.max())) if level > 0.0 else math.inf
    return point, weights, residual, taken
