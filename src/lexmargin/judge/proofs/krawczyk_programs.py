"""The Krawczyk test for problems at a scale of their own: eq. 5, 6, 7, 13 and 14, and §2.2.

The margin programs have the KKT equations of
:class:`~lexmargin.judge.proofs.kkt_system.KktSystem`. The losses carry their own multipliers,
`λ_n = e^s p(f_n)` with p = e^{-f} (exponential) or 1/(1 + e^f) (logistic), so that the unknowns are
w and the one number s: `w = Σ λ_n ∇f_n(w)` with ‖w‖ = ρ (eq. 5), or with
`s = -log(μ q ‖w‖^{q-2})` (regularization path).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, final

import numpy as np

from lexmargin.formulations.constrained_path import ConstrainedPath
from lexmargin.formulations.margin_path import MarginPath
from lexmargin.formulations.regularization_path import RegularizationPath
from lexmargin.formulations.scaled_margin import ScaledMargin
from lexmargin.formulations.w_set import WSet
from lexmargin.judge.margin_programs import evaluated
from lexmargin.judge.multipliers.multiplier_set import nonnegative_multipliers
from lexmargin.judge.multipliers.qualification import licq
from lexmargin.judge.proofs.enclosure import BallMargins, Equations, enclosed, precision
from lexmargin.judge.proofs.kkt_system import KktSystem
from lexmargin.judge.proofs.krawczyk import (
    LIMIT,
    KktProof,
    not_proved,
    only_near,
    proved_near,
)
from lexmargin.judge.proofs.krawczyk_polyhedral import prove_polyhedral_path
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.losses import Loss
from lexmargin.margins import MarginFunctions
from lexmargin.ops.arb import KinkInBox, combined_gradient
from lexmargin.ops.curvature import Curvature

__all__ = ["prove_loss_path", "prove_margin_program", "prove_zero_part"]

_NEAR: Final = 1e-6
_CARRIES: Final = 1e-9
_STATIONARY: Final = 1e-3
_ENTRIES: Final = 20_000


def prove_margin_program(problem: MarginPath | ScaledMargin, theta: Array) -> KktProof:
    """Prove that a KKT point of eq. 6, 7 (at finite ρ) or 14 lies near θ (d,), Euclidean norm.

    Where the f_n are concave that point is the global optimum.
    """
    functions, size = problem.functions, problem.functions.size
    if problem.norm_p != 2.0:
        return not_proved(f"the norm {problem.norm_p:g} is not the Euclidean one", size)
    if size > LIMIT:
        return not_proved(f"{size} parameters are more than {LIMIT}", size)
    w = problem.rho_value * theta
    level: float | None = 1.0
    radius: float | None = None
    if isinstance(problem, MarginPath):
        level = problem.gamma
        if level is None:
            radius = problem.rho
            length = vector_norm(w, 2.0)
            if not abs(length / radius - 1.0) <= _NEAR:
                return not_proved(f"‖θ‖ = {length / radius:.9g} is not 1", size)
            w = w * (radius / length)
    values = evaluated(functions, w)
    margin = float(np.min(values))
    if margin <= 0.0:
        return not_proved("a margin is not positive", size)
    reach = margin if level is None else level
    if abs(margin / reach - 1.0) > _STATIONARY:
        return not_proved(f"the smallest margin {margin:.9g} is not {reach:g}", size)
    with precision():
        costs = _costs(problem)
        root = np.ones(size)
        if costs is not None:
            root = np.sqrt(np.array([float(c.mid()) for c in costs]))
            if not float(np.min(root)) > 1e-140:
                return not_proved("some parameters cost too little for doubles", size)
        jacobian = functions.jacobian(w)
        near = np.flatnonzero(values <= (1.0 + _NEAR) * max(margin, reach))
        target = root * w
        length = vector_norm(target, 2.0)
        found = nonnegative_multipliers(jacobian[near] / root, target / length)
        multipliers = found.multipliers * length
        carries = multipliers > _CARRIES * float(np.max(multipliers, initial=0.0))
        support = near[carries]
        if not support.size or found.residual > _STATIONARY:
            return not_proved(f"ε = {found.residual:.3g} is far from stationary", size)
        if not licq(jacobian[support] / root, 1e-12).holds:
            return not_proved("the gradients of the samples that carry weight are dependent", size)
        system = KktSystem(functions, w, support, multipliers[carries], costs, level, radius)
        proof = proved_near(system)
    return _global(proof, functions)


def _costs(problem: MarginPath | ScaledMargin) -> list[Any] | None:
    """Return enclosures of `γ^{2/α_k}`, one per parameter, over the largest of them."""
    if isinstance(problem, MarginPath):
        return None
    from flint import arb

    parts = problem.parts
    gamma = arb(float(problem.gamma))
    degrees = [float(a) for a in parts.degrees]
    largest = max(2.0 / a * math.log(problem.gamma) for a in degrees)
    top = max(degrees, key=lambda a: 2.0 / a * math.log(problem.gamma) == largest)
    powers = [gamma ** (2 / arb(a) - 2 / arb(top)) for a in degrees]
    owner = parts.spread(np.arange(len(degrees), dtype=np.float64)).astype(int)
    return [powers[k] for k in owner]


def _global(proof: KktProof, functions: MarginFunctions) -> KktProof:
    proof = only_near(proof)
    if not proof.proved or functions.curvature > Curvature.CONCAVE:
        return proof
    return replace(proof, reason=f"{proof.reason}; the problem is convex: it is the global optimum")


def prove_zero_part(problem: WSet, theta: Array) -> KktProof:
    """Prove that eq. 13 reaches the value 0 near θ: w_1 = 0 and every f_n is positive there.

    The other parts are then stretched to `f_n ≥ 1` by `w_k t^{1/α_k}`, which leaves w_1 = 0.
    """
    functions, parts = problem.functions, problem.parts
    size = functions.size
    if np.any(parts.sizes(theta)[: problem.levels]):
        why = "the answers of eq. 13 are no isolated point"
        return not_proved(f"{why}; only w_1 = 0, and linear scores with a bias, are proved", size)
    from flint import arb

    with precision():
        everyone = np.arange(functions.count)
        values = BallMargins(functions, everyone).all_values([arb(float(x)) for x in theta])
        if not all(value > 0 for value in values):
            return not_proved("some margin is not clearly positive", size)
        least = min(float(value.lower()) for value in values)
    radius = 0.0
    if least < 1.0:
        radius = max(least ** (-1.0 / a) - 1.0 for a in parts.degrees) * (1.0 + 1e-9)
        radius += 8.0 * float(np.finfo(np.float64).eps)
    if radius > _NEAR:
        return not_proved(f"the smallest margin {least:.9g} is far below 1", size)
    zero = "w_1 = 0" if problem.levels == 1 else f"the first {problem.levels} parts are 0"
    reason = f"{zero} and feasible within {radius:.3g} of this point: the value 0 is reached"
    return KktProof(True, radius, reason, size)


# -- losses ----------------------------------------------------------------------------------------


def prove_loss_path(problem: ConstrainedPath | RegularizationPath, theta: Array) -> KktProof:
    """Prove that a KKT point of eq. 5, or of the regularization path, lies near θ (d,), ℓ2.

    Where the f_n are concave that point is the global minimum.
    """
    functions, size = problem.functions, problem.functions.size
    linear = functions.curvature is Curvature.AFFINE and functions.homogeneity.degree == 1.0
    if linear and isinstance(problem, ConstrainedPath) and problem.norm_p in (1.0, math.inf):
        return prove_polyhedral_path(problem, theta)
    if problem.norm_p != 2.0:
        return not_proved(
            f"the answer is transcendental and the norm {problem.norm_p:g} is not the Euclidean "
            "one, the only one tried",
            size,
        )
    if problem.loss is Loss.CROSS_ENTROPY and problem.classes > 2:
        return not_proved("the cross-entropy of more than two classes is not tried", size)
    if size > LIMIT or functions.count * size > _ENTRIES:
        return not_proved(f"{functions.count} × {size} gradients are too many", size)
    w = problem.rho_value * theta
    if isinstance(problem, ConstrainedPath):
        length = vector_norm(theta, 2.0)
        if not abs(length - 1.0) <= _NEAR:
            return not_proved(f"‖θ‖ = {length:.9g} is not 1", size)
        w = w / length
    if not np.any(w):
        return not_proved("θ is zero", size)
    values = evaluated(functions, w)
    if not np.all(np.isfinite(values)):
        return not_proved("some margin is not defined", size)
    lowest = float(np.min(values))
    with np.errstate(under="ignore"):
        pull = np.exp(lowest - values) @ functions.jacobian(w)
    slope = vector_norm(pull, 2.0)
    along = float(pull @ w) / (slope * vector_norm(w, 2.0)) if slope > 0.0 else -1.0
    if not along >= 1.0 - _STATIONARY:
        return not_proved("-∇L and θ are far from parallel", size)
    with precision():
        try:
            system = _LossSystem(problem, w, lowest + math.log(vector_norm(w, 2.0) / slope))
            box = enclosed(system)
            if isinstance(box, str):
                return not_proved(box, size + 1)
            radius = system.distance(box)
        except KinkInBox as kink:
            return not_proved(f"{kink}", size + 1)
        except (ZeroDivisionError, np.linalg.LinAlgError):
            return not_proved("the system is singular", size + 1)
    reason = f"a true KKT point lies within {radius:.3g} of this one (relative)"
    return _global(KktProof(True, radius, reason, size + 1), functions)


@final
class _LossSystem(Equations):
    """`w - Σ λ_n ∇f_n(w) = 0` and the equation of s."""

    def __init__(
        self, problem: ConstrainedPath | RegularizationPath, w: Array, scale: float
    ) -> None:
        self.problem = problem
        self.w = w
        self.logistic = problem.loss is not Loss.EXPONENTIAL
        self.balls = BallMargins(problem.functions, np.arange(problem.functions.count))
        self.start = np.append(w, scale)
        size = 2.0 ** round(math.log2(vector_norm(w, 2.0)))
        self.units = np.append(np.full(w.size, size), 1.0)
        self.lead = int(w.size)

    def _weight(self, s: Any, f: Any) -> tuple[Any, Any]:
        """Return λ_n and its derivative by f_n."""
        if not self.logistic:
            value = (s - f).exp()
            return value, -value
        value = s.exp() / (1 + f.exp())
        return value, -value / (1 + (-f).exp())

    def residual(self, x: Sequence[Any]) -> list[Any]:
        d = self.w.size
        blocks, leaves = self.balls.blocks(x[:d], tangents=False)
        margins = self.balls.margins(blocks)
        weighted = [(margin, self._weight(x[d], margin.value)[0]) for margin in margins]
        gradient = combined_gradient(weighted, leaves)
        return [*(x[i] - gradient[i][0] for i in range(d)), self._last(x)]

    def _last(self, x: Sequence[Any]) -> Any:
        from flint import arb

        d, problem = self.w.size, self.problem
        squares = sum((x[j] * x[j] for j in range(d)), arb(0))
        if isinstance(problem, ConstrainedPath):
            return (squares - arb(problem.rho) * arb(problem.rho)) / 2
        power = arb(problem.power)
        return x[d] + (power * arb(problem.strength)).log() + (power - 2) / 2 * squares.log()

    def derivative(self, x: Sequence[Any]) -> Any:
        from flint import arb, arb_mat

        d = self.w.size
        blocks, leaves = self.balls.blocks(x[:d], tangents=True)
        margins = self.balls.margins(blocks)
        weights = [self._weight(x[d], margin.value) for margin in margins]
        hessian = combined_gradient(
            [(margin, weight) for margin, (weight, _) in zip(margins, weights, strict=True)], leaves
        )
        rows = [
            [arb(0) if m.tangent is None else m.tangent[0, j] for j in range(d)] for m in margins
        ]
        J = arb_mat(rows)
        bent = arb_mat(
            [[entry * turn for entry in row] for row, (_, turn) in zip(rows, weights, strict=True)]
        )
        outer = J.transpose() * bent
        matrix = arb_mat(d + 1, d + 1)
        for i in range(d):
            turn = hessian[i][1]
            for j in range(d):
                bend = arb(0) if turn is None else turn[0, j]
                matrix[i, j] = (1 if i == j else 0) - bend - outer[i, j]
            matrix[i, d] = -hessian[i][0]
        if isinstance(self.problem, ConstrainedPath):
            for j in range(d):
                matrix[d, j] = x[j]
            return matrix
        squares = sum((x[j] * x[j] for j in range(d)), arb(0))
        for j in range(d):
            matrix[d, j] = (arb(self.problem.power) - 2) * x[j] / squares
        matrix[d, d] = arb(1)
        return matrix

    def distance(self, box: Sequence[Any]) -> float:
        """Return an upper bound on `‖w* - w_0‖/‖w_0‖`."""
        furthest = [float(abs(box[j] - float(self.w[j])).upper()) for j in range(self.w.size)]
        ratio = math.hypot(*furthest) / math.hypot(*self.w.tolist())
        return ratio * (1.0 + 1e-12) + 8.0 * float(np.finfo(np.float64).eps)
