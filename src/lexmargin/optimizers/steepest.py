"""Steepest descent in a norm: gradient, sign and coordinate descent, and boosting."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from lexmargin.errors import ParameterError
from lexmargin.inputs.checks import Count
from lexmargin.inputs.kinds import Exponent, checked_class
from lexmargin.linalg.norms import dual_norm, steepest
from lexmargin.losses import Loss
from lexmargin.optimizers.base import Advance, Average, LossOracle, Optimizer, Point, Pull, Sampler
from lexmargin.optimizers.steps import BoostingStep, FixedStep, LineSearch, Move, Step

__all__ = ["AdaBoost", "GradientDescent", "SteepestDescent"]


@final
@checked_class
@dataclass(frozen=True)
class SteepestDescent(Optimizer):
    """``θ ← θ + η_t argmax_{‖u‖ <= 1} u·m_t``, ``m_t = β m_{t-1} - (1-β) ∇L(θ_t)``.

    ℓ2 is gradient descent, ℓ∞ sign descent (with momentum Signum), ℓ1 coordinate descent. Its
    limit on linear scores is the max margin of the norm (Gunasekar et al. 2018).

    Attributes:
        norm: p of ‖·‖_p.
        step: η_t.
        momentum: β in [0, 1).
        batch: samples per gradient, drawn without replacement; None for all.
    """

    norm: Exponent = 2.0
    step: Step = field(default_factory=LineSearch)
    momentum: float = 0.0
    batch: Count | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.momentum < 1.0:
            raise ParameterError(f"momentum is {self.momentum!r}.", "Choose it in [0, 1).")
        if not isinstance(self.step, FixedStep) and (self.momentum or self.batch is not None):
            raise ParameterError(
                "A line search needs the gradient of the whole loss.",
                "Choose a fixed step, as NormalizedStep, with momentum or batches.",
            )

    def begin(self, oracle: LossOracle, seed: int) -> Advance:
        stride = self.step.begin(oracle)
        sampler = Sampler(oracle.functions, self.batch, seed)
        average = Average(self.momentum)

        def advance(point: Point) -> Point | None:
            pull = point.pull(sampler.next())
            if self.momentum:
                pull = average.add(pull.vector, pull.log_size)
            return stride(point, self._move(pull))

        return advance

    def _move(self, pull: Pull) -> Move:
        m, p = pull.vector, float(self.norm)
        return Move(steepest(m, p), dual_norm(m, p), pull.log_size)


@final
@checked_class
@dataclass(frozen=True)
class GradientDescent(Optimizer):
    """``θ ← θ - η_t ∇L(θ)`` (eq. 4): steepest descent in ℓ2.

    Attributes:
        step, momentum, batch: those of :class:`SteepestDescent`.
    """

    step: Step = field(default_factory=LineSearch)
    momentum: float = 0.0
    batch: Count | None = None

    def __post_init__(self) -> None:
        self._steepest  # noqa: B018  raises what it refuses

    @property
    def _steepest(self) -> SteepestDescent:
        return SteepestDescent(2.0, self.step, self.momentum, self.batch)

    def begin(self, oracle: LossOracle, seed: int) -> Advance:
        return self._steepest.begin(oracle, seed)


@final
@checked_class
@dataclass(frozen=True)
class AdaBoost(Optimizer):
    """Coordinate descent on the exponential loss, the columns as weak learners: ``|x_nj| <= 1``.

    With shrinkage its limit is near the ℓ1 max margin (Telgarsky 2013); without it need not be
    (Rudin et al. 2004).

    Attributes:
        shrinkage: ν in (0, 1].
    """

    shrinkage: float = 1.0

    def __post_init__(self) -> None:
        BoostingStep(self.shrinkage)

    def begin(self, oracle: LossOracle, seed: int) -> Advance:
        functions = oracle.functions
        if oracle.loss is not Loss.EXPONENTIAL or not functions.linear or functions.multi_class:
            raise ParameterError(
                "AdaBoost minimises the exponential loss of linear scores of two classes.",
                "Choose Linear() and Loss.EXPONENTIAL.",
            )
        if abs(functions.data.X).max() > 1.0:
            raise ParameterError(
                "AdaBoost reads columns as weak learners, whose answers lie in [-1, 1].",
                "Divide every column by its largest absolute entry.",
            )
        return SteepestDescent(1.0, BoostingStep(self.shrinkage)).begin(oracle, seed)
