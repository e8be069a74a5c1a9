"""Linear scores, and the log predictors of Examples 2 and 3."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar, final

import numpy as np

from lexmargin.errors import ParameterError
from lexmargin.inputs.checks import AtLeastOne, Count
from lexmargin.inputs.kinds import checked_class
from lexmargin.ops.base import FloatArray, Ops
from lexmargin.predictors.base import LinearScores, Predictor, Shape

__all__ = ["Linear", "Log"]

T = TypeVar("T")


@final
@checked_class
@dataclass(frozen=True)
class Linear(Predictor):
    """``F(x; θ) = θ·x``, degree 1; ``outputs`` > 1 gives one weight vector per class.

    Blocks: ``θ`` of shape ``(p,)``, or ``(outputs, p)``.
    """

    outputs: Count = 1

    vanishes_at_zero: ClassVar[bool] = True
    kind: ClassVar[str] = "linear"

    @property
    def reads_sparse(self) -> bool:
        return self.outputs == 1

    @property
    def block_count(self) -> int:
        return 1

    def shapes(self, n_features: int) -> tuple[Shape, ...]:
        return ((n_features,) if self.outputs == 1 else (self.outputs, n_features),)

    def linear_scores(self, X: FloatArray) -> LinearScores | None:
        return LinearScores(X)

    def __call__(self, ops: Ops[T], theta: Sequence[T], X: T) -> T:
        return ops.linear(X, theta[0])


@final
@checked_class
@dataclass(frozen=True)
class Log(Predictor):
    """``f_n(θ) = log^q(θ·z_n)``, ``z_n = y_n x_n`` (Example 2 with q = 1, Example 3 with q = 1+ε).

    Neither homogeneous nor a sum of homogeneous parts. Concave for q = 1. For q > 1 the power of a
    negative logarithm is taken as 0: the paper looks at ``θ·z_n > 1`` only.
    With a ``shift`` s it is ``log^q(e^s θ·z_n)``: the predictor at scale ρ = e^s, also where e^s is
    no double (``(s + log θ·z_n)^q``).
    Blocks: ``θ`` of shape ``(p,)``.
    """

    power: AtLeastOne = 1.0
    shift: float = 0.0

    kind: ClassVar[str] = "log"
    signed_inputs: ClassVar[bool] = True
    outputs: ClassVar[int] = 1  # type: ignore[misc]

    def __post_init__(self) -> None:
        if not math.isfinite(self.shift):
            raise ParameterError(f"The shift of a log predictor is {self.shift!r}; make it finite.")

    @property
    def block_count(self) -> int:
        return 1

    def shapes(self, n_features: int) -> tuple[Shape, ...]:
        return ((n_features,),)

    def __call__(self, ops: Ops[T], theta: Sequence[T], X: T) -> T:
        logarithm = ops.log(ops.linear(X, theta[0]))
        if self.shift:
            logarithm = ops.add(logarithm, ops.constant(np.array(self.shift)))
        return logarithm if self.power == 1.0 else ops.relu(logarithm, self.power)
