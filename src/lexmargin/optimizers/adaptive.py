"""Adam and RMSProp: steps by coordinate, from means of gradients and of their squares."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import final

import numpy as np

from lexmargin.errors import ParameterError
from lexmargin.inputs.checks import Count
from lexmargin.inputs.kinds import checked_class
from lexmargin.ops.base import FloatArray
from lexmargin.optimizers.base import Advance, Average, LossOracle, Optimizer, Point, Pull, Sampler
from lexmargin.optimizers.steps import LossNormalizedStep, NormalizedStep

__all__ = ["Adam", "RMSProp"]


@final
@checked_class
@dataclass(frozen=True)
class Adam(Optimizer):
    """``θ ← θ - η_t m̂_t/(√v̂_t + ε)`` (Kingma & Ba 2015), means m of ∇L and v of its squares.

    Without ε, or before L falls below it, the limit on linear scores is the ℓ∞ max margin (Zhang,
    Zou & Cao 2024); with ε > 0 it is the ℓ2 one (Wang et al. 2021).

    Attributes:
        step: η_t: :class:`NormalizedStep`, or :class:`LossNormalizedStep` for ``η/L``, which goes
            on moving where ``L < ε``.
        beta1, beta2: decay of the means, in [0, 1).
        epsilon: ε, 0 to leave it out; coordinates whose gradient was always 0 then stay.
        batch: samples per gradient, drawn without replacement; None for all.
    """

    step: NormalizedStep | LossNormalizedStep = field(
        default_factory=lambda: NormalizedStep(1e-2, 0.5)
    )
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 0.0
    batch: Count | None = None

    def __post_init__(self) -> None:
        for name in ("beta1", "beta2"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ParameterError(f"{name} is {getattr(self, name)!r}.", "Choose it in [0, 1).")
        if not 0.0 <= self.epsilon < math.inf:
            raise ParameterError(f"epsilon is {self.epsilon!r}.", "Choose a number >= 0.")

    def begin(self, oracle: LossOracle, seed: int) -> Advance:
        sampler = Sampler(oracle.functions, self.batch, seed)
        first, second = Average(self.beta1), Average(self.beta2)
        count = 0

        def advance(point: Point) -> Point | None:
            nonlocal count
            pull = point.pull(sampler.next())
            mean = first.add(pull.vector, pull.log_size)
            square = second.add(pull.vector**2, 2.0 * pull.log_size)
            count += 1
            log_mean = mean.log_size - math.log1p(-(self.beta1**count))
            log_root = 0.5 * (square.log_size - math.log1p(-(self.beta2**count)))
            if isinstance(self.step, NormalizedStep):
                log_step = math.log(self.step.length(count - 1))
            else:
                log_step = math.log(self.step.eta) - point.log_loss
            along = _scaled(
                Pull(mean.vector, log_mean + log_step), square.vector, log_root, self.epsilon
            )
            return oracle.at(point.theta + along)

        return advance


@final
@checked_class
@dataclass(frozen=True)
class RMSProp(Optimizer):
    """``θ ← θ - η_t ∇L/(√v_t + ε)`` (Tieleman & Hinton 2012): Adam with ``beta1 = 0``.

    Attributes:
        step, epsilon, batch: those of :class:`Adam`.
        beta: decay of the mean of squares, in [0, 1).
    """

    step: NormalizedStep | LossNormalizedStep = field(
        default_factory=lambda: NormalizedStep(1e-2, 0.5)
    )
    beta: float = 0.99
    epsilon: float = 0.0
    batch: Count | None = None

    def __post_init__(self) -> None:
        self._adam  # noqa: B018  raises what it refuses

    @property
    def _adam(self) -> Adam:
        return Adam(self.step, 0.0, self.beta, self.epsilon, self.batch)

    def begin(self, oracle: LossOracle, seed: int) -> Advance:
        return self._adam.begin(oracle, seed)


def _scaled(mean: Pull, square: FloatArray, log_root: float, epsilon: float) -> FloatArray:
    """Return ``e^{s} m/(e^{r} √v + ε)`` entry by entry, 0 where m is 0."""
    along = np.zeros_like(mean.vector)
    moved = np.flatnonzero(mean.vector)
    with np.errstate(divide="ignore", over="ignore"):
        roots = 0.5 * np.log(square[moved]) + log_root
        if epsilon > 0.0:
            roots = np.logaddexp(roots, math.log(epsilon))
        logs = np.log(np.abs(mean.vector[moved])) + mean.log_size - roots
        along[moved] = np.sign(mean.vector[moved]) * np.exp(logs)
    return along
