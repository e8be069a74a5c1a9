"""Polish in any norm: Newton steps on the KKT system, in θ or in its dual vector.

With ``h = ½‖·‖_p²`` and its conjugate ``h* = ½‖·‖_q²``, 1/p + 1/q = 1, a point w and its dual
``z = ∇h(w)`` determine each other. For p > 2 the Hessian of h is finite everywhere, for p < 2 that
of h*: the steps are made in w or in z. The ℓ1 and ℓ∞ norms are linear on the face of the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.formulations.constrained_path import softmax
from lexmargin.formulations.kkt import Kkt, LossTerm
from lexmargin.linalg.guarded import least_norm, nonnegative_least_squares
from lexmargin.linalg.norms import vector_norm
from lexmargin.losses import Loss, log_weights
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, IntArray
from lexmargin.ops.curvature import Curvature
from lexmargin.polish.hessian import weighted_hessian

__all__ = ["Polished", "polish_in_norm"]

_STEPS = 40
"""Newton steps at most: damped ones need some tens, quadratic ones few."""
_ACTIVE = 1e-4
"""Relative excess of margins that are held: answers to polish are good to about four digits."""
_LONGEST = 0.3
"""Longest step by the length of s: longer ones leave the region where signs stay."""
_DONE = 1e-14
"""Residual that rounding allows; below it steps only move the last bits."""
_FACES = (1e-3, 1e-5, 1e-7)
"""Sizes, in units of ‖θ‖, below which an entry counts as 0 (ℓ1), or as largest (ℓ∞)."""

Polished = tuple[FloatArray, FloatArray, float]
"""A point, the multipliers of its program, and the relative residual of its KKT system."""

System = tuple[float, FloatArray, FloatArray]
"""Relative residual, right-hand side and matrix of a Newton step."""

BoolArray = NDArray[np.bool_]


def polish_in_norm(kkt: Kkt) -> Polished | None:
    """Return a point that solves the KKT system better, None where there is none near.

    Directions of largest margin for 1 < p < ∞, at margin 1, and the minima of losses for any p;
    f_n smooth at the point.
    """
    finite = 1.0 < kkt.norm < math.inf
    if kkt.loss is not None:
        return _minimum(kkt, kkt.loss, finite=finite)
    return _margin(kkt) if finite and kkt.is_direction and kkt.level is None else None


def _minimum(kkt: Kkt, term: LossTerm, *, finite: bool) -> Polished | None:
    """Polish θ = w/ρ in the ball of radius 1, or w itself with a penalty."""
    rho = 1.0 if kkt.radius is None else kkt.radius
    loss = _Loss(kkt.functions, term, kkt.norm, rho, kkt.radius is not None)
    theta = kkt.point / rho
    if not finite:
        found = _on_a_face(loss, theta)
    else:
        found = _constrained(loss, theta) if loss.ball else _penalised(loss, theta)
    return None if found is None else (rho * found[0], found[1], found[2])


@final
@dataclass(frozen=True)
class _Loss:
    """A loss of ``f_n(scale θ)`` in the unit ball, or with its penalty."""

    functions: MarginFunctions
    term: LossTerm
    norm: float
    scale: float
    ball: bool

    def logs(self, w: FloatArray) -> FloatArray:
        """Return ``log -∂L/∂f_n`` at w (N,)."""
        return log_weights(self.term.loss, self.functions.values(w), self.term.classes)


@final
@dataclass(frozen=True)
class _Dual:
    """The variable s of the Newton steps: w itself for p > 2, ``z = ∇½‖w‖_p²`` for p <= 2."""

    p: float

    def variable(self, w: FloatArray) -> FloatArray:
        return w.copy() if self.p > 2.0 else _gradient(w, self.p)

    def both(self, s: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return w, z, dw/ds and dz/ds."""
        identity = np.eye(s.size)
        if self.p > 2.0:
            return s, _gradient(s, self.p), identity, _hessian(s, self.p)
        q = self.p / (self.p - 1.0)
        return _gradient(s, q), s, _hessian(s, q), identity


def _gradient(x: FloatArray, p: float) -> FloatArray:
    size = vector_norm(x, p)
    if not size > 0.0:
        return np.zeros_like(x)
    return np.asarray(size * np.sign(x) * np.abs(x / size) ** (p - 1.0))


def _hessian(x: FloatArray, p: float) -> FloatArray:
    """Return ``∇²½‖x‖_p²``, p >= 2."""
    size = vector_norm(x, p)
    unit = np.abs(x) / size
    slope = np.sign(x) * unit ** (p - 1.0)
    return np.asarray((p - 1.0) * np.diag(unit ** (p - 2.0)) + (2.0 - p) * np.outer(slope, slope))


def _newton(
    s: FloatArray, size: int, system: Callable[[FloatArray], System]
) -> tuple[FloatArray, float]:
    """Return the best of the points of damped Newton steps; the first ``size`` entries are s."""
    best, least = s, math.inf
    for _ in range(_STEPS):
        residual, right, matrix = system(s)
        if not (math.isfinite(residual) and np.all(np.isfinite(matrix))):
            break
        if residual < least:
            best, least = s, residual
        if residual <= _DONE:
            break
        move = least_norm(matrix, right, 1e-14)
        length = float(np.linalg.norm(move[:size]))
        allowed = _LONGEST * float(np.linalg.norm(s[:size]))
        s = s + move * min(1.0, allowed / max(length, 1e-300))
    return best, least


def _curved(functions: MarginFunctions) -> bool:
    return functions.curvature > Curvature.AFFINE


# -- margin problems -------------------------------------------------------------------------------


def _margin(kkt: Kkt) -> Polished | None:
    functions, p, degree, theta = kkt.functions, kkt.norm, kkt.degree, kkt.point
    size = vector_norm(theta, p)
    if degree is None or not size > 0.0:
        return None
    margin = float(functions.values(theta / size).min())
    if not margin > 0.0:
        return None
    # Everything at a unit scale: f_n(length u) = 1 for u about a unit vector.
    length = margin ** (-1.0 / degree)
    found = _active(functions, p, theta / size, length)
    if found is None:
        return None
    u, multipliers, residual = found
    return length * u, length**2 * multipliers, residual


def _active(functions: MarginFunctions, p: float, u: FloatArray, length: float) -> Polished | None:
    """Solve ``∇½‖u‖² = Σ λ_n ∇f_n``, ``f_S = 1`` in u, where f_n stands for ``f_n(length u)``."""
    dual, d = _Dual(p), u.size
    near = np.flatnonzero(functions.values(length * u) <= 1.0 + _ACTIVE)
    rows = length * functions.jacobian(length * u)[near]
    lengths = np.maximum(np.linalg.norm(rows, axis=1), 1e-300)
    try:
        raw = nonnegative_least_squares((rows / lengths[:, None]).T, _gradient(u, p)) / lengths
    except RuntimeError:
        return None
    active: IntArray = near[raw > 1e-9 * float(raw.max(initial=0.0))]
    start = raw[raw > 1e-9 * float(raw.max(initial=0.0))]
    best: Polished | None = None
    for _ in range(functions.count + 1):
        if active.size == 0:
            break

        def system(x: FloatArray, active: IntArray = active) -> System:
            w, z, dw, dz = dual.both(x[:d])
            values = functions.values(length * w)[active]
            jacobian = length * functions.jacobian(length * w)[active]
            matrix = np.zeros((d + active.size, d + active.size))
            matrix[:d, :d], matrix[:d, d:], matrix[d:, :d] = dz, -jacobian.T, jacobian @ dw
            if _curved(functions):
                weights = np.zeros(functions.count)
                weights[active] = x[d:]
                bent = length**2 * weighted_hessian(functions, length * w, weights)
                matrix[:d, :d] -= bent @ dw
            right = np.concatenate([jacobian.T @ x[d:] - z, 1.0 - values])
            apart = float(np.linalg.norm(right[:d])) / max(float(np.linalg.norm(z)), 1e-300)
            return max(apart, float(np.abs(right[d:]).max())), right, matrix

        solved, residual = _newton(np.concatenate([dual.variable(u), start]), d, system)
        point, found = dual.both(solved[:d])[0], solved[d:]
        values = functions.values(length * point)
        short = float(1.0 - values.min())
        multipliers = np.zeros(functions.count)
        multipliers[active] = np.maximum(found, 0.0)
        residual = max(residual, short, float(-found.min() / np.abs(found).max()))
        if best is None or residual < best[2]:
            best = point, multipliers, residual
        violated = np.setdiff1d(np.flatnonzero(values < 1.0 - 1e-11), active)
        negative = found < -1e-12 * np.abs(found).max()
        if not (np.any(negative) or violated.size) or not math.isfinite(residual):
            break
        kept = ~negative | (found > found.min()) if np.any(negative) else ~negative
        start = np.concatenate([np.maximum(found[kept], 0.0), np.zeros(violated.size)])
        active = np.concatenate([active[kept], violated])
    return best


# -- losses ----------------------------------------------------------------------------------------


def _push(
    loss: _Loss, w: FloatArray, shift: float, scale: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return ``a_n = -e^{-shift} ∂L/∂f_n``, ``G = Σ a_n ∇f_n``, ``-dG/du`` at ``w = scale u``."""
    functions, term = loss.functions, loss.term
    values, jacobian = functions.values(w), scale * functions.jacobian(w)
    logs = log_weights(term.loss, values, term.classes)
    with np.errstate(under="ignore", over="ignore"):
        weights = np.exp(np.minimum(logs - shift, 600.0))
        slope = (jacobian * weights[:, None]).T @ jacobian
        if term.loss is not Loss.EXPONENTIAL:
            # The weights π of a sample are probabilities: dπ/df = -diag(π) + ππᵀ.
            group = term.classes - 1 if term.loss is Loss.CROSS_ENTROPY else 1
            shape = (values.size // group, group, w.size)
            pulled = (weights[:, None] * jacobian).reshape(shape).sum(axis=1)
            spread = (np.exp(logs)[:, None] * jacobian).reshape(shape).sum(axis=1)
            slope = slope - spread.T @ pulled
        if _curved(functions):
            slope = slope - scale**2 * weighted_hessian(functions, w, weights)
        return weights, weights @ jacobian, slope


def _constrained(loss: _Loss, theta: FloatArray) -> Polished | None:
    """Solve ``μ ∇½‖θ‖² = -∇L(ρθ)/g``, ``‖θ‖ = 1`` for (θ, μ), g making μ about 1."""
    dual, d, p = _Dual(loss.norm), theta.size, loss.norm
    size = vector_norm(theta, p)
    if not size > 0.5:
        return None
    start = theta / size
    scale = loss.scale
    shift = float(loss.logs(scale * start).max())
    pull = _push(loss, scale * start, shift, scale)[1]
    shift += math.log(max(vector_norm(pull, p / (p - 1.0)), 1e-300))

    def system(x: FloatArray) -> System:
        w, z, dw, dz = dual.both(x[:d])
        _, pull, slope = _push(loss, scale * w, shift, scale)
        matrix = np.zeros((d + 1, d + 1))
        length = vector_norm(w, p)
        matrix[:d, :d], matrix[:d, d], matrix[d, :d] = x[d] * dz + slope @ dw, z, z @ dw / length
        right = np.append(pull - x[d] * z, 1.0 - length)
        apart = float(np.linalg.norm(right[:d])) / max(float(np.linalg.norm(pull)), 1e-300)
        return max(apart, abs(1.0 - length)), right, matrix

    solved, residual = _newton(np.append(dual.variable(start), 1.0), d, system)
    if not solved[d] > 0.0:
        return None
    point = dual.both(solved[:d])[0]
    return point, softmax(loss.logs(scale * point)), residual


def _penalised(loss: _Loss, theta: FloatArray) -> Polished | None:
    """Solve ``μ q ‖θ‖^{q-2} ∇½‖θ‖² = -∇L(θ)``, both sides divided by ``μ q ‖start‖^{q-2}``."""
    dual, p, (coefficient, q) = _Dual(loss.norm), loss.norm, loss.term.penalty
    size = vector_norm(theta, p)
    if not size > 0.0:
        return None
    shift = math.log(coefficient * q) + (q - 2.0) * math.log(size)

    def system(s: FloatArray) -> System:
        w, z, dw, dz = dual.both(s)
        _, pull, slope = _push(loss, w, shift, 1.0)
        length = vector_norm(w, p)
        grown = (length / size) ** (q - 2.0)
        matrix = grown * (dz + (q - 2.0) * np.outer(z, z @ dw) / length**2) + slope @ dw
        right = pull - grown * z
        return float(np.linalg.norm(right)) / (grown * float(np.linalg.norm(z))), right, matrix

    solved, residual = _newton(dual.variable(theta), theta.size, system)
    point = dual.both(solved)[0]
    return point, _push(loss, point, shift, 1.0)[0], residual


def _on_a_face(loss: _Loss, theta: FloatArray) -> Polished | None:
    """Return the best answer with ``‖θ‖ = c·u`` on a face ``θ = B u`` of the ℓ1 or ℓ∞ ball."""
    best: Polished | None = None
    size = vector_norm(theta, loss.norm)
    if not size > 0.0:
        return None
    for width in _FACES:
        large = np.abs(theta) > width * size
        held = large if loss.norm == 1.0 else np.abs(theta) >= (1.0 - width) * size
        found = _with_face(loss, theta, size, held)
        if best is None or found[2] < best[2]:
            best = found
    return best


def _with_face(loss: _Loss, theta: FloatArray, size: float, held: BoolArray) -> Polished:
    """Solve ``Bᵀ(-∇L(B u)) = μ c`` for u and μ, where ``c·u`` is held, or for ``μ = (c·u)^{q-1}``.

    ``held``: the entries that are not 0 (ℓ1), or as large as any (ℓ∞).
    """
    identity, signs, p = np.eye(theta.size), np.sign(theta), loss.norm
    if p == 1.0:
        basis, slopes, u = identity[:, held], signs[held], theta[held]
    else:
        basis = np.column_stack([np.where(held, signs, 0.0), identity[:, ~held]])
        slopes, u = np.append(1.0, np.zeros(basis.shape[1] - 1)), np.append(size, theta[~held])
    d = u.size
    path, scale = loss.ball, loss.scale
    if not path:
        coefficient, power = loss.term.penalty
        shift = math.log(coefficient * power) + (power - 1.0) * math.log(size)
    else:
        power = 1.0
        shift = float(loss.logs(scale * theta).max())
        pull = _push(loss, scale * theta, shift, scale)[1]
        shift += math.log(max(vector_norm(pull, math.inf if p == 1.0 else 1.0), 1e-300))
        u = np.append(u / size, 1.0)

    def system(x: FloatArray) -> System:
        _, pull, slope = _push(loss, scale * (basis @ x[:d]), shift, scale)
        length, inner = float(slopes @ x[:d]), basis.T @ slope @ basis
        level = float(x[d]) if path else (max(length, 1e-300) / size) ** (power - 1.0)
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

    solved, residual = _newton(u, d, system)
    point = basis @ solved[:d]
    weights, pull, _ = _push(loss, scale * point, shift, scale)
    length = vector_norm(point, p)
    level = float(solved[d]) if path else (length / size) ** (power - 1.0)
    if p == 1.0:
        wrong = np.where(held, -signs * point / length, np.abs(pull) / level - 1.0)
    else:
        wrong = np.where(held, -signs * pull / level, np.abs(point) / length - 1.0)
    if path:
        weights = softmax(loss.logs(scale * point))
    return point, weights, max(residual, float(wrong.max())) if level > 0.0 else math.inf
