"""The Krawczyk test for losses: eq. 5 and the regularization path of §2.2.

A loss carries its own multipliers, `λ_n = e^s w_n p(f_n)` with the weights w_n of the samples and
p = e^{-f} (exponential) or 1/(1 + e^f) (logistic), so that the unknowns are w and the one number s:
`w = Σ λ_n ∇f_n(w)` with ‖w‖ = ρ (eq. 5), or with `s = -log(μ q ‖w‖^{q-2})` (regularization path).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, final

import numpy as np

from lexmargin.formulations.kkt import Kkt, LossTerm
from lexmargin.inputs.limits import KRAWCZYK_ENTRIES, KRAWCZYK_PARAMETERS
from lexmargin.judge.functions.enclosure import BallMargins, Equations, off_sphere, slopes_of
from lexmargin.judge.proofs.face_system import FaceSystem, exact_weights, loss_weights
from lexmargin.judge.proofs.krawczyk import on_ball, prove_solution
from lexmargin.judge.proofs.proof import Proof, in_balls
from lexmargin.judge.tolerances import MISFIT
from lexmargin.linalg.long_numbers import precision
from lexmargin.linalg.norms import vector_norm
from lexmargin.losses import Loss
from lexmargin.ops.arb import Ball

__all__ = ["prove_loss"]


@precision()
def prove_loss(kkt: Kkt, term: LossTerm) -> Proof:
    """Prove that a KKT point of eq. 5, or of the regularization path, lies near the point.

    The norm 2; with linear f_n eq. 5 in the norms 1 and inf too.
    """
    functions, size, norm = kkt.functions, kkt.functions.size, kkt.norm
    entries = functions.count * size
    on_faces = functions.linear and kkt.radius is not None and norm in (1.0, math.inf)
    if norm != 2.0 and not on_faces:
        why = f"the answer is transcendental and the norm {norm:g} is not the Euclidean one"
        return in_balls(False, f"{why}, the only one tried", size)
    if term.loss.kind is Loss.CROSS_ENTROPY and term.loss.classes > 2:
        return in_balls(False, "the cross-entropy of more than two classes is not tried", size)
    if entries > KRAWCZYK_ENTRIES or (size > KRAWCZYK_PARAMETERS and not on_faces):
        return in_balls(False, f"{functions.count} × {size} gradients are too many", size)
    placed = on_ball(kkt)
    if isinstance(placed, str):
        return in_balls(False, placed, size)
    system = FaceSystem(placed, term) if on_faces else _system(placed, term)
    return (
        in_balls(False, system, size)
        if isinstance(system, str)
        else prove_solution(system, functions)
    )


def _system(kkt: Kkt, term: LossTerm) -> _LossSystem | str:
    """Return the equations at the point, or why they cannot hold near it."""
    functions, w = kkt.functions, kkt.point
    if not np.any(w):
        return "θ is zero"
    values = functions.values(w)
    if not np.all(np.isfinite(values)):
        return "some margin is not defined"
    logs = term.loss.log_slopes(values)
    lowest = -float(np.max(logs))
    with np.errstate(under="ignore"):
        pull = np.exp(lowest + logs) @ functions.jacobian(w)
    slope = vector_norm(pull, 2.0)
    along = float(pull @ w) / (slope * vector_norm(w, 2.0)) if slope > 0.0 else -1.0
    if not along >= 1.0 - MISFIT:
        return "-∇L and θ are far from parallel"
    # The quotient of the two may leave the range of doubles where both are in it.
    return _LossSystem(kkt, term, lowest + math.log(vector_norm(w, 2.0)) - math.log(slope))


@final
class _LossSystem(Equations):
    """`w - Σ λ_n ∇f_n(w) = 0` and the equation of s."""

    def __init__(self, kkt: Kkt, term: LossTerm, scale: float) -> None:
        self.radius, self.term = kkt.radius, term
        self.factors = exact_weights(kkt.functions)
        self.w = w = kkt.point
        self.logistic = term.loss.kind is not Loss.EXPONENTIAL
        self.balls = BallMargins(kkt.functions, np.arange(kkt.functions.count))
        self.start = np.append(w, scale)
        size = 2.0 ** round(math.log2(vector_norm(w, 2.0)))
        self.units = np.append(np.full(w.size, size), 1.0)
        self.lead = int(w.size)

    def _weights(self, s: Any, margins: list[Ball]) -> tuple[list[Any], list[Any]]:
        """Return λ_n of every sample, and its derivative by f_n."""
        return loss_weights(s, [margin.value for margin in margins], self.factors, self.logistic)

    def residual(self, x: Sequence[Any]) -> list[Any]:
        d = self.w.size
        gradient = self.balls.pulled(x[:d], lambda f: self._weights(x[d], f)[0], tangents=False)[1]
        return [*(x[i] - gradient[i][0] for i in range(d)), self._last(x)]

    def _last(self, x: Sequence[Any]) -> Any:
        from flint import arb

        d = self.w.size
        if self.radius is not None:
            return off_sphere(x[:d], self.radius)
        squares = sum((a * a for a in x[:d]), arb(0))
        power, coefficient = arb(self.term.power), arb(self.term.coefficient)
        return x[d] + (power * coefficient).log() + (power - 2) / 2 * squares.log()

    def derivative(self, x: Sequence[Any]) -> Any:
        from flint import arb, arb_mat

        d = self.w.size
        margins, hessian = self.balls.pulled(
            x[:d], lambda f: self._weights(x[d], f)[0], tangents=True
        )
        turns = self._weights(x[d], margins)[1]
        rows = [slopes_of(margin.tangent, d) for margin in margins]
        J = arb_mat(rows)
        bent = arb_mat([[a * turn for a in row] for row, turn in zip(rows, turns, strict=True)])
        outer = J.transpose() * bent
        matrix = arb_mat(d + 1, d + 1)
        for i in range(d):
            for j, bend in enumerate(slopes_of(hessian[i][1], d)):
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
