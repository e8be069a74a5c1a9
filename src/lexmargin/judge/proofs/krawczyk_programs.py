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

from lexmargin.formulations.kkt import Kkt, LossTerm
from lexmargin.inputs.limits import KRAWCZYK_ENTRIES, KRAWCZYK_PARAMETERS
from lexmargin.judge.functions.enclosure import BallMargins, Equations, enclosed, precision
from lexmargin.judge.multipliers.multiplier_set import nonnegative_multipliers
from lexmargin.judge.multipliers.qualification import licq
from lexmargin.judge.proofs.kkt_system import KktSystem
from lexmargin.judge.proofs.krawczyk import (
    KktProof,
    not_proved,
    only_near,
    proved_near,
)
from lexmargin.judge.proofs.krawczyk_polyhedral import prove_polyhedral_path
from lexmargin.judge.tolerances import MISFIT, PROVED_NEAR
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.linalg.rounding import EPS
from lexmargin.losses import Loss
from lexmargin.margins import MarginFunctions
from lexmargin.ops.arb import KinkInBox, combined_gradient
from lexmargin.ops.curvature import Curvature

__all__ = ["prove_loss_path", "prove_margin_program", "prove_zero_part"]

_CARRIES: Final = 1e-9
"""Share of the largest multiplier that belongs to the support: wrong, the test fails, no more."""


def prove_margin_program(kkt: Kkt) -> KktProof:
    """Prove that a KKT point of a program at its own scale lies near the point, Euclidean norm.

    Eq. 6, 7 (at finite ρ), 14, and other costs and levels. Where the f_n are concave that point is
    the global optimum.
    """
    functions, size = kkt.functions, kkt.functions.size
    if kkt.norm != 2.0:
        return not_proved(f"the norm {kkt.norm:g} is not the Euclidean one", size)
    if size > KRAWCZYK_PARAMETERS:
        return not_proved(f"{size} parameters are more than {KRAWCZYK_PARAMETERS}", size)
    if kkt.radius is not None:
        length = vector_norm(kkt.point, 2.0)
        if not abs(length / kkt.radius - 1.0) <= PROVED_NEAR:
            return not_proved(f"‖θ‖ = {length / kkt.radius:.9g} is not 1", size)
        kkt = replace(kkt, point=kkt.point * (kkt.radius / length))
    w, margin = kkt.point, kkt.margin
    if margin <= 0.0:
        return not_proved("a margin is not positive", size)
    reach = margin if kkt.level is None else kkt.level
    if abs(margin / reach - 1.0) > MISFIT:
        return not_proved(f"the smallest margin {margin:.9g} is not {reach:g}", size)
    with precision():
        costs = _costs(kkt)
        root = np.ones(size)
        if costs is not None:
            root = np.sqrt(np.array([float(c.mid()) for c in costs]))
            if not float(np.min(root)) > 1e-140:
                return not_proved("some parameters cost too little for doubles", size)
        jacobian = functions.jacobian(w)
        near = np.flatnonzero(kkt.values <= (1.0 + PROVED_NEAR) * max(margin, reach))
        target = root * w
        length = vector_norm(target, 2.0)
        found = nonnegative_multipliers(jacobian[near] / root, target / length)
        multipliers = found.multipliers * length
        carries = multipliers > _CARRIES * float(np.max(multipliers, initial=0.0))
        support = near[carries]
        if not support.size or found.residual > MISFIT:
            return not_proved(f"ε = {found.residual:.3g} is far from stationary", size)
        if not licq(jacobian[support] / root, 1e-12).holds:
            return not_proved("the gradients of the samples that carry weight are dependent", size)
        system = KktSystem(
            functions, w, support, multipliers[carries], costs, kkt.level, kkt.radius,
            kkt.required, orbits=kkt.even,
        )  # fmt: skip
        proof = proved_near(system)
    return _global(proof, functions)


def _costs(kkt: Kkt) -> list[Any] | None:
    """Return enclosures of the costs, one per parameter, `γ^{2/α_k}` over the largest of them."""
    from flint import arb

    if kkt.costs is None:
        return None
    if kkt.powers is None or kkt.parts is None:
        return [arb(float(cost)) for cost in kkt.costs]
    base, degrees = kkt.powers.base, kkt.powers.degrees
    gamma = arb(base)
    top = max(degrees, key=lambda a: 2.0 / a * math.log(base))
    powers = [gamma ** (2 / arb(a) - 2 / arb(top)) for a in degrees]
    owner = kkt.parts.spread(np.arange(len(degrees), dtype=np.float64)).astype(int)
    return [powers[k] for k in owner]


def _global(proof: KktProof, functions: MarginFunctions) -> KktProof:
    proof = only_near(proof)
    if not proof.proved or functions.curvature > Curvature.CONCAVE:
        return proof
    return replace(proof, reason=f"{proof.reason}; the problem is convex: it is the global optimum")


def prove_zero_part(kkts: tuple[Kkt, ...]) -> KktProof:
    """Prove that eq. 13 reaches the value 0 near the point: w_1 = 0 and every f_n is positive.

    The other parts are then stretched to `f_n ≥ 1` by `w_k t^{1/α_k}`, which leaves w_1 = 0.
    """
    functions, theta, parts = kkts[0].functions, kkts[0].point, kkts[0].parts
    size = functions.size
    if parts is None or not kkts[0].at_one or any(np.any(kkt.target) for kkt in kkts):
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
        radius += 8.0 * EPS
    if radius > PROVED_NEAR:
        return not_proved(f"the smallest margin {least:.9g} is far below 1", size)
    zero = "w_1 = 0" if len(kkts) == 1 else f"the first {len(kkts)} parts are 0"
    reason = f"{zero} and feasible within {radius:.3g} of this point: the value 0 is reached"
    return KktProof(True, radius, reason, size)


# -- losses ----------------------------------------------------------------------------------------


def prove_loss_path(kkt: Kkt) -> KktProof:
    """Prove that a KKT point of eq. 5, or of the regularization path, lies near the point, ℓ2.

    Where the f_n are concave that point is the global minimum.
    """
    functions, size, term = kkt.functions, kkt.functions.size, kkt.loss
    if term is None:
        return not_proved("the problem has no loss", size)
    if functions.linear and kkt.radius is not None and kkt.norm in (1.0, math.inf):
        return prove_polyhedral_path(kkt, term, kkt.radius)
    if kkt.norm != 2.0:
        return not_proved(
            f"the answer is transcendental and the norm {kkt.norm:g} is not the Euclidean "
            "one, the only one tried",
            size,
        )
    if term.loss is Loss.CROSS_ENTROPY and term.classes > 2:
        return not_proved("the cross-entropy of more than two classes is not tried", size)
    if size > KRAWCZYK_PARAMETERS or functions.count * size > KRAWCZYK_ENTRIES:
        return not_proved(f"{functions.count} × {size} gradients are too many", size)
    w = kkt.point
    if kkt.radius is not None:
        length = vector_norm(w, 2.0) / kkt.radius
        if not abs(length - 1.0) <= PROVED_NEAR:
            return not_proved(f"‖θ‖ = {length:.9g} is not 1", size)
        w = w / length
    if not np.any(w):
        return not_proved("θ is zero", size)
    values = functions.values(w)
    if not np.all(np.isfinite(values)):
        return not_proved("some margin is not defined", size)
    lowest = float(np.min(values))
    with np.errstate(under="ignore"):
        pull = np.exp(lowest - values) @ functions.jacobian(w)
    slope = vector_norm(pull, 2.0)
    along = float(pull @ w) / (slope * vector_norm(w, 2.0)) if slope > 0.0 else -1.0
    if not along >= 1.0 - MISFIT:
        return not_proved("-∇L and θ are far from parallel", size)
    with precision():
        try:
            # The quotient of the two may leave the range of doubles where both are in it.
            scale = lowest + math.log(vector_norm(w, 2.0)) - math.log(slope)
            system = _LossSystem(kkt, term, w, scale)
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

    def __init__(self, kkt: Kkt, term: LossTerm, w: Array, scale: float) -> None:
        self.radius, self.term = kkt.radius, term
        self.w = w
        self.logistic = term.loss is not Loss.EXPONENTIAL
        self.balls = BallMargins(kkt.functions, np.arange(kkt.functions.count))
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

        d = self.w.size
        squares = sum((x[j] * x[j] for j in range(d)), arb(0))
        if self.radius is not None:
            return (squares - arb(self.radius) * arb(self.radius)) / 2
        power, coefficient = arb(self.term.power), arb(self.term.coefficient)
        return x[d] + (power * coefficient).log() + (power - 2) / 2 * squares.log()

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
        if self.radius is not None:
            for j in range(d):
                matrix[d, j] = x[j]
            return matrix
        squares = sum((x[j] * x[j] for j in range(d)), arb(0))
        for j in range(d):
            matrix[d, j] = (arb(self.term.power) - 2) * x[j] / squares
        matrix[d, d] = arb(1)
        return matrix

    def distance(self, box: Sequence[Any]) -> float:
        """Return an upper bound on `‖w* - w_0‖/‖w_0‖`."""
        furthest = [float(abs(box[j] - float(self.w[j])).upper()) for j in range(self.w.size)]
        ratio = math.hypot(*furthest) / math.hypot(*self.w.tolist())
        return ratio * (1.0 + 1e-12) + 8.0 * EPS
