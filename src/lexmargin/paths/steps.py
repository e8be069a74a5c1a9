"""Step rules of eq. 4: how far to go along ``-∇ log L``, everything in the log domain."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.errors import ParameterError
from lexmargin.inputs.checks import AtLeastOne, Positive
from lexmargin.inputs.kinds import checked_class
from lexmargin.losses import Loss, SampleLoss
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray

__all__ = [
    "ConstantStep",
    "LineSearch",
    "LossNormalizedStep",
    "LossOracle",
    "Point",
    "PolyakStep",
    "StepRule",
]


@final
class Point:
    """θ with its margins and ``log L``; the gradient is computed when it is asked for."""

    __slots__ = ("_descent", "_pull", "f", "log_loss", "loss", "theta")

    def __init__(
        self,
        theta: FloatArray,
        f: FloatArray,
        pull: Callable[[FloatArray], FloatArray],
        loss: SampleLoss,
    ) -> None:
        self.theta = theta
        self.f = f
        self.loss = loss
        self.log_loss = loss.value(f)
        self._pull = pull
        self._descent: FloatArray | None = None

    @property
    def weights(self) -> FloatArray:
        """``-∂ log L/∂f_n``, (N,)."""
        return np.asarray(np.exp(self.loss.log_slopes(self.f) - self.log_loss))

    @property
    def descent(self) -> FloatArray:
        """``-∇ log L(θ) = -∇L/L``, (d,)."""
        if self._descent is None:
            self._descent = self._pull(self.weights)
        return self._descent


@final
@dataclass(frozen=True)
class LossOracle:
    """The loss of one predictor on one data set, with the weights of its samples."""

    functions: MarginFunctions
    loss: Loss

    @functools.cached_property
    def weighted(self) -> SampleLoss:
        """L."""
        return self.functions.loss(self.loss)

    def at(self, theta: FloatArray) -> Point:
        """Return the point θ."""
        f, pull = self.functions.value_and_vjp(theta)
        return Point(theta, f, pull, self.weighted)


class StepRule(ABC):
    """How a step is made; the number that travels from step to step is the rule's own."""

    @abstractmethod
    def first(self) -> float:
        """Return the number the first step is given."""

    @abstractmethod
    def advance(
        self, oracle: LossOracle, point: Point, memory: float
    ) -> tuple[Point | None, float]:
        """Return the next point and number; None where no step lowers the loss."""


@final
@checked_class
@dataclass(frozen=True)
class ConstantStep(StepRule):
    """``θ ← θ - η ∇L(θ)`` (eq. 4, η_t = η).

    Its movement is proportional to L: once η L is below the rounding of θ nothing moves any more,
    and the run ends with ``EndReason.UNDERFLOW``.
    """

    eta: Positive

    def first(self) -> float:
        return math.log(self.eta)

    def advance(
        self, oracle: LossOracle, point: Point, memory: float
    ) -> tuple[Point | None, float]:
        with np.errstate(over="ignore"):
            length = np.exp(memory + point.log_loss)
        return oracle.at(point.theta + length * point.descent), memory


@final
@checked_class
@dataclass(frozen=True)
class LossNormalizedStep(StepRule):
    """``θ ← θ - η ∇L(θ)/L(θ)`` (eq. 4, η_t = η/L): it never stops moving.

    For a predictor of degree above 1 the gradient of log L grows with θ, so that any fixed η ends
    by overshooting; :class:`LineSearch` does not.
    """

    eta: Positive

    def first(self) -> float:
        return self.eta

    def advance(
        self, oracle: LossOracle, point: Point, memory: float
    ) -> tuple[Point | None, float]:
        return oracle.at(point.theta + memory * point.descent), memory


@final
@checked_class
@dataclass(frozen=True)
class PolyakStep(StepRule):
    """``θ ← θ - c L(θ)/‖∇L(θ)‖² ∇L(θ)`` (eq. 4; Polyak 1987, least loss 0).

    To first order every step takes ``c`` nats off log L, at any scale and degree: short steps stay
    short beside the curvature, which grows like ``‖∇log L‖²``.

    Attributes:
        share: c; 1 is Polyak's own.
    """

    share: Positive

    def first(self) -> float:
        return self.share

    def advance(
        self, oracle: LossOracle, point: Point, memory: float
    ) -> tuple[Point | None, float]:
        pull = point.descent
        slope = float(pull @ pull)
        return (oracle.at(point.theta + memory / slope * pull) if slope > 0.0 else None), memory


@final
@checked_class
@dataclass(frozen=True)
class LineSearch(StepRule):
    """``θ ← θ - η_t ∇ log L(θ)``, η_t by Armijo's rule on log L.

    ``log L(θ_{t+1}) <= log L(θ_t) - sufficient * η_t ‖∇ log L‖²``; η_t is the last one times
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

    def first(self) -> float:
        return self.initial / self.growth

    def advance(
        self, oracle: LossOracle, point: Point, memory: float
    ) -> tuple[Point | None, float]:
        direction = point.descent
        slope = float(direction @ direction)
        eta = memory * self.growth
        while True:
            theta = point.theta + eta * direction
            if not eta > 0 or np.array_equal(theta, point.theta):
                return None, memory
            trial = oracle.at(theta)
            # A comparison with NaN is false, so a trial beyond the domain counts as too far.
            if -math.inf < trial.log_loss <= point.log_loss - self.sufficient * eta * slope:
                return trial, eta
            eta *= self.shrink
