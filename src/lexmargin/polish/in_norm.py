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

from lexmargin.formulations.base import Formulation, vector_norm
from lexmargin.formulations.constrained_path import ConstrainedPath
from lexmargin.formulations.hard_margin import HardMargin
from lexmargin.formulations.lexicographic import Lexicographic
from lexmargin.formulations.margin_path import MarginPath
from lexmargin.formulations.regularization_path import RegularizationPath
from lexmargin.linalg.guarded import nonnegative_least_squares
from lexmargin.losses import Loss, log_weights
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, IntArray
from lexmargin.ops.curvature import Curvature
from lexmargin.polish.hessian import weighted_hessian

__all__ = ["polish_in_norm"]

_STEPS = 40
_ACTIVE = 1e-4
_LONGEST = 0.3
_DONE = 1e-14
_FACES = (1e-3, 1e-5, 1e-7)
"""Sizes, in units of ‖θ‖, below which an entry counts as 0 (ℓ1), or as largest (ℓ∞)."""

Polished = tuple[FloatArray, FloatArray, float]
"""A point, the multipliers of its program, and the relative residual of its KKT system."""

System = tuple[float, FloatArray, FloatArray]
"""Relative residual, right-hand side and matrix of a Newton step."""

Losses = ConstrainedPath | RegularizationPath
BoolArray = NDArray[np.bool_]


def polish_in_norm(problem: Formulation, theta: FloatArray) -> Polished | None:
    """Return a point near θ that solves the KKT system better, None where there is none.

    Margin problems and their paths for homogeneous f_n and 1 < p < ∞, the constrained and the
    regularization path for any p; f_n smooth at θ.
    """
    finite = 1.0 < problem.norm_p < math.inf
    if isinstance(problem, ConstrainedPath):
        return _constrained(problem, theta) if finite else _on_a_face(problem, theta)
    if isinstance(problem, RegularizationPath):
        return _penalised(problem, theta) if finite else _on_a_face(problem, theta)
    if finite and isinstance(problem, (HardMargin, MarginPath, Lexicographic)):
        return _margin(problem, theta)
    return None


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
    from scipy.linalg import lstsq

    best, least = s, math.inf
    for _ in range(_STEPS):
        residual, right, matrix = system(s)
        if not (math.isfinite(residual) and np.all(np.isfinite(matrix))):
            break
        if residual < least:
            best, least = s, residual
        if residual <= _DONE:
            break
        move = lstsq(matrix, right, cond=1e-14, lapack_driver="gelsy")[0]
        length = float(np.linalg.norm(move[:size]))
        allowed = _LONGEST * float(np.linalg.norm(s[:size]))
        s = s + move * min(1.0, allowed / max(length, 1e-300))
    return best, least


def _curved(functions: MarginFunctions) -> bool:
    return functions.curvature > Curvature.AFFINE


# -- margin problems -------------------------------------------------------------------------------


def _margin(problem: HardMargin | MarginPath | Lexicographic, theta: FloatArray) -> Polished | None:
    functions, p, degree = problem.functions, problem.norm_p, problem.functions.homogeneity.degree
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
    if isinstance(problem, HardMargin):
        return length * u, length**2 * multipliers, residual
    # The paths stay on the sphere where the solver's answer was; their multipliers sum to 1.
    point = u * (size / vector_norm(u, p))
    if isinstance(problem, MarginPath) and problem.gamma is not None:
        reached = float(functions.values(problem.rho * point).min())
        point = point * (problem.gamma / reached) ** (1.0 / degree)
    return point, multipliers / float(multipliers.sum()), residual


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
    problem: Losses, w: FloatArray, shift: float, scale: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return ``a_n = -e^{-shift} ∂L/∂f_n``, ``G = Σ a_n ∇f_n``, ``-dG/du`` at ``w = scale u``."""
    functions = problem.functions
    values, jacobian = functions.values(w), scale * functions.jacobian(w)
    logs = log_weights(problem.loss, values, problem.classes)
    with np.errstate(under="ignore", over="ignore"):
        weights = np.exp(np.minimum(logs - shift, 600.0))
        slope = (jacobian * weights[:, None]).T @ jacobian
        if problem.loss is not Loss.EXPONENTIAL:
            # The weights π of a sample are probabilities: dπ/df = -diag(π) + ππᵀ.
            group = problem.classes - 1 if problem.loss is Loss.CROSS_ENTROPY else 1
            shape = (values.size // group, group, w.size)
            pulled = (weights[:, None] * jacobian).reshape(shape).sum(axis=1)
            spread = (np.exp(logs)[:, None] * jacobian).reshape(shape).sum(axis=1)
            slope = slope - spread.T @ pulled
        if _curved(functions):
            slope = slope - scale**2 * weighted_hessian(functions, w, weights)
        return weights, weights @ jacobian, slope


def _constrained(problem: ConstrainedPath, theta: FloatArray) -> Polished | None:
    """Solve ``μ ∇½‖θ‖² = -∇L(ρθ)/g``, ``‖θ‖ = 1`` for (θ, μ), g making μ about 1."""
    dual, d, p = _Dual(problem.norm_p), theta.size, problem.norm_p
    size = vector_norm(theta, p)
    if not size > 0.5:
        return None
    start = theta / size
    logs = log_weights(problem.loss, problem.functions.values(problem.rho * start), problem.classes)
    shift = float(logs.max())
    pull = _push(problem, problem.rho * start, shift, problem.rho)[1]
    shift += math.log(max(vector_norm(pull, p / (p - 1.0)), 1e-300))

    def system(x: FloatArray) -> System:
        w, z, dw, dz = dual.both(x[:d])
        _, pull, slope = _push(problem, problem.rho * w, shift, problem.rho)
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
    return point, problem.loss_weights(point), residual


def _penalised(problem: RegularizationPath, theta: FloatArray) -> Polished | None:
    """Solve ``μ q ‖θ‖^{q-2} ∇½‖θ‖² = -∇L(θ)``, both sides divided by ``μ q ‖start‖^{q-2}``."""
    dual, q, p = _Dual(problem.norm_p), problem.power, problem.norm_p
    size = vector_norm(theta, p)
    if not size > 0.0:
        return None
    shift = math.log(problem.coefficient * q) + (q - 2.0) * math.log(size)

    def system(s: FloatArray) -> System:
        w, z, dw, dz = dual.both(s)
        _, pull, slope = _push(problem, w, shift, 1.0)
        length = vector_norm(w, p)
        grown = (length / size) ** (q - 2.0)
        matrix = grown * (dz + (q - 2.0) * np.outer(z, z @ dw) / length**2) + slope @ dw
        right = pull - grown * z
        return float(np.linalg.norm(right)) / (grown * float(np.linalg.norm(z))), right, matrix

    solved, residual = _newton(dual.variable(theta), theta.size, system)
    point = dual.both(solved)[0]
    return point, _push(problem, point, shift, 1.0)[0], residual


def _on_a_face(problem: Losses, theta: FloatArray) -> Polished | None:
    """Return the best answer with ``‖θ‖ = c·u`` on a face ``θ = B u`` of the ℓ1 or ℓ∞ ball."""
    best: Polished | None = None
    size = vector_norm(theta, problem.norm_p)
    if not size > 0.0:
        return None
    for width in _FACES:
        large = np.abs(theta) > width * size
        held = large if problem.norm_p == 1.0 else np.abs(theta) >= (1.0 - width) * size
        found = _with_face(problem, theta, size, held)
        if best is None or found[2] < best[2]:
            best = found
    return best


def _with_face(problem: Losses, theta: FloatArray, size: float, held: BoolArray) -> Polished:
    """Solve ``Bᵀ(-∇L(B u)) = μ c`` for u and μ, where ``c·u`` is held, or for ``μ = (c·u)^{q-1}``.

    ``held``: the entries that are not 0 (ℓ1), or as large as any (ℓ∞).
    """
    identity, signs, p = np.eye(theta.size), np.sign(theta), problem.norm_p
    if p == 1.0:
        basis, slopes, u = identity[:, held], signs[held], theta[held]
    else:
        basis = np.column_stack([np.where(held, signs, 0.0), identity[:, ~held]])
        slopes, u = np.append(1.0, np.zeros(basis.shape[1] - 1)), np.append(size, theta[~held])
    d = u.size
    path = isinstance(problem, ConstrainedPath)
    scale = problem.rho_value
    if isinstance(problem, RegularizationPath):
        power = problem.power
        shift = math.log(problem.coefficient * power) + (power - 1.0) * math.log(size)
    else:
        power = 1.0
        values = problem.functions.values(scale * theta)
        shift = float(log_weights(problem.loss, values, problem.classes).max())
        pull = _push(problem, scale * theta, shift, scale)[1]
        shift += math.log(max(vector_norm(pull, math.inf if p == 1.0 else 1.0), 1e-300))
        u = np.append(u / size, 1.0)

    def system(x: FloatArray) -> System:
        _, pull, slope = _push(problem, scale * (basis @ x[:d]), shift, scale)
        length, inner = float(slopes @ x[:d]), basis.T @ slope @ basis
        level = float(x[d]) if path else (max(length, 1e-300) / size) ** (power - 1.0)
        right = basis.T @ pull - level * slopes
        apart = float(np.linalg.norm(right)) / (abs(level) * float(np.linalg.norm(slopes)))
        if not path:
            steep = (power - 1.0) * level / length
            return apart, right, steep * np.outer(slopes, slopes) + inner
        matrix = np.zeros((d + 1, d + 1))
        matrix[:d, :d], matrix[:d, d], matrix[d, :d] = inner, slopes, slopes
        return max(apart, abs(1.0 - length)), np.append(right, 1.0 - length), matrix

    solved, residual = _newton(u, d, system)
    point = basis @ solved[:d]
    weights, pull, _ = _push(problem, scale * point, shift, scale)
    length = vector_norm(point, p)
    level = float(solved[d]) if path else (length / size) ** (power - 1.0)
    if p == 1.0:
        wrong = np.where(held, -signs * point / length, np.abs(pull) / level - 1.0)
    else:
        wrong = np.where(held, -signs * pull / level, np.abs(point) / length - 1.0)
    if isinstance(problem, ConstrainedPath):
        weights = problem.loss_weights(point)
    return point, weights, max(residual, float(wrong.max())) if level > 0.0 else math.inf
