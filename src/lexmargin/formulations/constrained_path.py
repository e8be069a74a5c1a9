"""The constrained path: eq. 5, in the log domain."""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.errors import InvisibleLevelWarning
from lexmargin.formulations.base import StageAnswer, Traits
from lexmargin.formulations.kkt import Kkt, LossTerm
from lexmargin.formulations.loss_path import VISIBLE_NATS, LossPath
from lexmargin.inputs.checks import Moderate
from lexmargin.inputs.kinds import Exponent, checked_class
from lexmargin.linalg.norms import angle, vector_norm
from lexmargin.losses import Loss, LossWord, SampleLoss
from lexmargin.ops.base import FloatArray, IntArray, Relation, Sense
from lexmargin.ops.curvature import Curvature
from lexmargin.predictors.base import Predictor
from lexmargin.program import (
    Combination,
    Constraint,
    Expression,
    LogisticLoss,
    LogLoss,
    Norm,
    Parameter,
    Program,
    SquaredNorm,
)

__all__ = ["ConstrainedPath"]

BALL = "ball"


@final
@checked_class
@dataclass(frozen=True, repr=False)
class ConstrainedPath(LossPath):
    """``min log L(ρθ)  s.t.  ‖θ‖ <= 1`` (eq. 5), L of eq. 1 or another loss with its tail.

    Solved in ``w = ρθ``, ``‖w‖ <= ρ``, always as ``log L``: ρ stands on the right-hand side alone.
    Samples have the weights of their :class:`~lexmargin.data.dataset.Dataset` in L. The logistic
    and cross-entropy losses are solved after the exponential one
    (:func:`~lexmargin.formulations.loss_path.next_loss`); when every margin exceeds 36 nats they
    differ from it by less than float64 resolves, and the exponential answer is theirs.

    Args:
        predictor, data: the margin functions, of any kind.
        rho: ρ > 0.
        norm: p of the norm, >= 1, or "inf".
        loss: "exponential" (eq. 1), "logistic" or "cross-entropy".

    Raises:
        ParameterError: ρ <= 0, a norm below 1 or an unknown loss.
    """

    predictor: Predictor
    data: Dataset
    rho: Moderate = 1.0
    norm: Exponent = 2.0
    loss: LossWord = Loss.EXPONENTIAL

    name: ClassVar[str] = "constrained-path"
    equation: ClassVar[str] = "eq. 5, w = ρθ"
    traits: ClassVar[Traits] = Traits(
        needs_separator=False, is_loss=True, path="rho", defaults=(("rho", 100.0),)
    )

    @property
    def norm_p(self) -> float:
        return float(self.norm)

    @property
    def rho_value(self) -> float:
        return self.rho

    def _program(self, loss: SampleLoss) -> Program:
        variables = self.block_variables()
        blocks = tuple(v.name for v in variables)
        size: Expression = Norm(blocks, self.norm_p)
        radius = Parameter("ρ", self.rho)
        if self.norm_p == 2.0 and self.functions.curvature > Curvature.CONCAVE:
            # Smooth everywhere, which the nonconvex route needs.
            size, radius = SquaredNorm(blocks), Parameter("ρ²", self.rho**2)
        margins = self._margins("w")
        objective: Expression = LogLoss(margins, loss.stated)
        if loss.kind is not Loss.EXPONENTIAL:
            objective = Combination(((1.0, LogisticLoss(margins, loss.group, loss.stated)),))
        return Program(
            name=self.name,
            equation=self.equation,
            sense=Sense.MINIMIZE,
            objective=objective,
            variables=variables,
            constraints=(Constraint(BALL, size, Relation.AT_MOST, radius),),
            parameters=(radius,),
            curvature=self.functions.curvature,
        )

    def theta(self, answers: tuple[StageAnswer, ...], unit: float) -> FloatArray:
        return self.blocks_of(answers[-1]) / self.rho

    def initial_values(self, theta: FloatArray, unit: float) -> dict[str, FloatArray]:
        size = vector_norm(theta, self.norm_p)
        w = theta * (self.rho / size) if size > 0 else theta
        blocks = self.functions.blocks(w)
        return {v.name: b for v, b in zip(self.block_variables(), blocks, strict=True)}

    def objective(self, theta: FloatArray) -> float:
        """Return ``log L(ρθ)``."""
        return self.weighted.value(self.functions.values(self.rho * theta))

    def invisible(self, theta: FloatArray) -> IntArray:
        """Return the samples whose weight at ρθ is below ``e^-36`` of the heaviest one's."""
        values = self.functions.values(self.rho * theta)
        weights = self.weighted.log_slopes(values)
        return np.flatnonzero(weights < weights.max() - VISIBLE_NATS)

    def undetermined(self, theta: FloatArray) -> int:
        """Return how many dimensions of θ only invisible samples decide, for linear f_n.

        On the ℓ1 and ℓ∞ balls: the dimension of the face of θ in which no visible sample changes
        while an invisible one does. 0 for other norms, whose curvature decides every direction,
        and for f_n that are not affine, where the question has no such answer.
        """
        if self.norm_p not in (1.0, np.inf) or self.functions.curvature > Curvature.AFFINE:
            return 0
        rows = self.functions.jacobian(self.rho * theta)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / np.where(lengths > 0, lengths, 1.0)
        hidden = self.invisible(theta)
        visible = np.delete(rows, hidden, axis=0)
        face = _face(theta, self.norm_p)
        seen = np.linalg.matrix_rank(visible @ face, tol=1e-9) if face.size else 0
        decided = np.linalg.matrix_rank(rows @ face, tol=1e-9) if face.size else 0
        return int(decided - seen)

    def warn_invisible(self, theta: FloatArray) -> None:
        """Warn when a method that does not peel levels cannot have decided all of θ.

        Warns:
            InvisibleLevelWarning: some directions are decided by weights below ``e^-36``.
        """
        count = self.undetermined(theta)
        if count:
            warnings.warn(
                f"At rho={self.rho:g} {count} dimension(s) of θ are decided by samples more than "
                f"{VISIBLE_NATS:g} nats below the heaviest: float64 cannot see them. "
                "Use a smaller rho, or the method that peels levels (linear f_n, norm 1 or inf).",
                InvisibleLevelWarning,
                stacklevel=2,
            )

    def bound_of(self, theta: FloatArray, objective: float, bound: float) -> float | None:
        return bound if self.loss is Loss.EXPONENTIAL else None

    def kkt(self, theta: FloatArray) -> tuple[Kkt, ...]:
        """Return Remark 2's data: the weights of the loss at w = ρθ, in the ball of radius ρ."""
        hidden = functools.partial(self.undetermined, theta)
        term = LossTerm(loss=self.weighted, hidden=hidden)
        w = self.scaled(theta)
        return (
            Kkt(
                functions=self.functions,
                point=w,
                norm=self.norm_p,
                unrounded=(theta, self.rho),
                radius=self.rho,
                loss=term,
            ),
        )

    def angle(self, theta: FloatArray) -> float:
        """Return the angle in radians of ``-∇L(ρθ)`` and θ (Remark 2, ℓ2); NaN if one is 0."""
        gradient = self.functions.vjp(self.rho * theta, self.loss_weights(theta))
        return angle(gradient, theta)


def _face(theta: FloatArray, p: float) -> FloatArray:
    """Return a basis (d, k) of the directions along the smallest face of the ball around θ."""
    size = vector_norm(theta, p)
    identity = np.eye(theta.size)
    if p == np.inf:
        return identity[:, np.abs(theta) < size * (1 - 1e-9)]
    support = np.flatnonzero(np.abs(theta) > 1e-9 * size)
    if not support.size:
        return identity
    signed = identity[:, support] * np.sign(theta[support])
    return np.asarray(signed[:, 1:] - signed[:, :1])
