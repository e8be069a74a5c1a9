"""Mirror descent with the potentials ``ψ = ‖θ‖_p^p/p``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import final

import numpy as np

from lexmargin.errors import ParameterError
from lexmargin.inputs.checks import Count
from lexmargin.inputs.kinds import checked_class
from lexmargin.linalg.norms import vector_norm
from lexmargin.optimizers.base import Advance, LossOracle, Optimizer, Point, Sampler
from lexmargin.optimizers.steps import FixedStep, LossNormalizedStep, Move

__all__ = ["MirrorDescent"]


@final
@checked_class
@dataclass(frozen=True)
class MirrorDescent(Optimizer):
    """``∇ψ(θ_{t+1}) = ∇ψ(θ_t) - η_t ∇L(θ_t)``, ``ψ(θ) = ‖θ‖_p^p/p``.

    Its limit on linear scores is the ℓp max margin (Sun et al. 2022).

    Attributes:
        power: p, above 1 and finite.
        step: η_t, of the image ∇ψ(θ).
        batch: samples per gradient, drawn without replacement; None for all.
    """

    power: float
    step: FixedStep = field(default_factory=lambda: LossNormalizedStep(0.1))
    batch: Count | None = None

    def __post_init__(self) -> None:
        if not 1.0 < self.power < math.inf:
            raise ParameterError(
                f"The potential of power {self.power!r} has no mirror map.",
                "Choose 1 < power < inf; 1.1 is near ℓ1, 20 near ℓ∞.",
            )

    def begin(self, oracle: LossOracle, seed: int) -> Advance:
        sampler = Sampler(oracle.functions, self.batch, seed)
        count = 0
        image: np.ndarray | None = None

        def advance(point: Point) -> Point | None:
            nonlocal count, image
            if image is None:
                image = np.sign(point.theta) * np.abs(point.theta) ** (self.power - 1.0)
            pull = point.pull(sampler.next())
            size = vector_norm(pull.vector, 2.0)
            if not size > 0.0:
                return point
            move = Move(pull.vector, size, pull.log_size)
            image = image + self.step.factor(count, point.log_loss, move) * pull.vector
            count += 1
            return oracle.at(np.sign(image) * np.abs(image) ** (1.0 / (self.power - 1.0)))

        return advance
