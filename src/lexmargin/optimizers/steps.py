"""How long steps are: lengths along a direction of steepest descent, in the log domain."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np

from lexmargin.errors import ParameterError
from lexmargin.inputs.checks import AtLeastOne, Positive
from lexmargin.inputs.kinds import checked_class
from lexmargin.ops.base import FloatArray
from lexmargin.optimizers.base import LossOracle, Point

__all__ = [
    "BoostingStep",
    "ConstantStep",
    "FixedStep",
    "LineSearch",
    "LossNormalizedStep",
    "Move",
    "NormalizedStep",
    "PolyakStep",
    "Step",
    "Stride",
]


@final
@dataclass(frozen=True)
class Move:
    """A direction v of steepest descent for a pull ``e^{s} m``, m the mean of gradients.

    ``v = ‖m‖_* argmax_{‖u‖ <= 1} u·m``: ``v·m = ‖m‖_*²`` and ``‖v‖ = ‖m‖_*``.

    Attributes:
        along: v (d,); m itself for ℓ2.
        dual: ``‖m‖_*``.
        log_size: s.
    """

    along: FloatArray
    dual: float
    log_size: float


Stride: TypeAlias = Callable[[Point, Move], Point | None]
"""One step of a run: from a point along a move."""


class Step(ABC):
    """How long the steps of a run are."""

    @abstractmethod
    def begin(self, oracle: LossOracle) -> Stride:
        """Return the steps of a new run."""


class FixedStep(Step):
    """A length that is known before the step is tried."""

    @abstractmethod
    def factor(self, k: int, log_loss: float, move: Move) -> float:
        """Return c of ``θ ← θ + c v`` in step k = 0, 1, …"""

    @final
    def begin(self, oracle: LossOracle) -> Stride:
        count = 0

        def stride(point: Point, move: Move) -> Point | None:
            nonlocal count
            if not move.dual > 0.0:
                return point
            length = self.factor(count, point.log_loss, move)
            count += 1
            return oracle.at(point.theta + length * move.along)

        return stride


@final
@checked_class
@dataclass(frozen=True)
class ConstantStep(FixedStep):
    """``θ ← θ - η ∇L(θ)`` (eq. 4, η_t = η); in another norm ``η ‖∇L‖_*`` along its unit vector.

    Its movement is proportional to L: once η L is below the rounding of θ nothing moves any more,
    and the run ends with ``EndReason.UNDERFLOW``.
    """

    eta: Positive

    def factor(self, k: int, log_loss: float, move: Move) -> float:
        with np.errstate(over="ignore"):
            return float(np.exp(math.log(self.eta) + move.log_size))


@final
@checked_class
@dataclass(frozen=True)
class LossNormalizedStep(FixedStep):
    """``θ ← θ - η ∇L(θ)/L(θ)`` (eq. 4, η_t = η/L): it never stops moving.

    For a predictor of degree above 1 the gradient of log L grows with θ, so that any fixed η ends
    by overshooting; :class:`LineSearch` does not.
    """

    eta: Positive

    def factor(self, k: int, log_loss: float, move: Move) -> float:
        with np.errstate(over="ignore"):
            return float(self.eta * np.exp(move.log_size - log_loss))


@final
@checked_class
@dataclass(frozen=True)
class NormalizedStep(FixedStep):
    """Steps of length ``η (t+1)^{-decay}`` in the norm, whatever the size of the gradient.

    Attributes:
        eta: η.
        decay: from 0 to 1, so that the lengths sum to infinity.
    """

    eta: Positive
    decay: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.decay <= 1.0:
            raise ParameterError(
                f"decay is {self.decay!r}.",
                "Choose it from 0 to 1: the lengths of all steps together must be infinite.",
            )

    def length(self, k: int) -> float:
        """Return the length of step k."""
        return self.eta * math.pow(k + 1.0, -self.decay)

    def factor(self, k: int, log_loss: float, move: Move) -> float:
        return self.length(k) / move.dual


@final
@checked_class
@dataclass(frozen=True)
class PolyakStep(FixedStep):
    """``θ ← θ - c L(θ)/‖∇L(θ)‖² ∇L(θ)`` (eq. 4; Polyak 1987, least loss 0).

    To first order every step takes ``c`` nats off log L, at any scale and degree: short steps stay
    short beside the curvature, which grows like ``‖∇log L‖²``.

    Attributes:
        share: c; 1 is Polyak's own.
    """

    share: Positive

    def factor(self, k: int, log_loss: float, move: Move) -> float:
        with np.errstate(over="ignore"):
            nats = self.share * float(np.exp(log_loss - move.log_size))
        return nats / (move.dual * move.dual)


@final
@checked_class
@dataclass(frozen=True)
class BoostingStep(FixedStep):
    """``ν artanh(r)``, the step of AdaBoost along a coordinate of edge ``r = ‖∇log L‖_∞``.

    For the exponential loss and weak learners that answer ±1 and ν = 1 it minimises L along the
    coordinate (Freund & Schapire 1997); ``ν < 1`` is shrinkage (Telgarsky 2013).

    Attributes:
        shrinkage: ν, at most 1.
    """

    shrinkage: Positive = 1.0

    def __post_init__(self) -> None:
        if self.shrinkage > 1.0:
            raise ParameterError(f"shrinkage is {self.shrinkage!r}.", "Choose it in (0, 1].")

    def factor(self, k: int, log_loss: float, move: Move) -> float:
        if not move.dual < 1.0:
            raise ParameterError(
                f"A weak learner has the edge {move.dual:.6g}: a step of infinite length.",
                "AdaBoost reads |y_n x_nj| <= 1, and no column that separates alone.",
            )
        return self.shrinkage * math.atanh(move.dual) / move.dual


@final
@checked_class
@dataclass(frozen=True)
class LineSearch(Step):
    """``θ ← θ - η_t ∇ log L(θ)``, η_t by Armijo's rule on log L.

    ``log L(θ_{t+1}) <= log L(θ_t) - sufficient * η_t ‖∇ log L‖_*²``; η_t is the last one times
    ``growth``, then times ``shrink`` until it fits (Armijo 1966). A ``sufficient`` above ½ keeps
    the steps below the length at which they start to zigzag, and the angle of Remark 2 small.
    """

    initial: Positive = 1.0
    growth: AtLeastOne = 1.25
    shrink: float = 0.5
    sufficient: float = 0.7

    def __post_init__(self) -> None:
        for name in ("shrink", "sufficient"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ParameterError(
                    f"{name} must lie between 0 and 1, not {getattr(self, name)!r}."
                )

    def begin(self, oracle: LossOracle) -> Stride:
        last = self.initial / self.growth

        def stride(point: Point, move: Move) -> Point | None:
            nonlocal last
            slope = move.dual**2
            eta = last * self.growth
            while True:
                theta = point.theta + eta * move.along
                if not eta > 0 or np.array_equal(theta, point.theta):
                    return None
                trial = oracle.at(theta)
                # A comparison with NaN is false: a trial beyond the domain counts as too far.
                if -math.inf < trial.log_loss <= point.log_loss - self.sufficient * eta * slope:
                    last = eta
                    return trial
                eta *= self.shrink

        return stride
