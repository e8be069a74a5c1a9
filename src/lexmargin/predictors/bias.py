"""Biases: the four ways to write a constant score (paper, end of §3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias, TypeVar, final

import numpy as np

from lexmargin.inputs.checks import Count
from lexmargin.inputs.family import LATER
from lexmargin.inputs.kinds import checked_class
from lexmargin.ops.base import FloatArray, Ops
from lexmargin.predictors.base import LinearScores, Predictor, Shape

__all__ = ["Bias", "BiasForm"]

T = TypeVar("T")


class BiasForm(StrEnum):
    """How the bias enters the score."""

    SIGNED_SQUARE = "signed-square"
    """``b|b|``: either sign, degree 2."""
    TWO_SQUARES = "two-squares"
    """``b_+² - b_-²``: either sign, degree 2, smooth."""
    SQUARE = "square"
    """``b²``: the paper's literal form; never negative."""
    PLAIN = "plain"
    """``b``: degree 1, the augmented-feature bias."""


if TYPE_CHECKING:
    # Words become members where they are given; checkers are told that they are accepted.
    BiasWord: TypeAlias = BiasForm | Literal["signed-square", "two-squares", "square", "plain"]
else:
    BiasWord = BiasForm


@final
@checked_class
@dataclass(frozen=True)
class Bias(Predictor):
    """A score that does not depend on x; ``outputs`` > 1 gives one bias per class.

    Blocks: ``b`` of shape ``(1,)``, or ``(outputs, 1)`` as the weights of a feature that is 1; with
    two squares ``(b_+, b_-)`` of shape ``(2,)`` or ``(outputs, 2)``.
    """

    form: BiasWord = BiasForm.SIGNED_SQUARE
    outputs: Count = field(default=1, metadata=LATER)

    kind: ClassVar[str] = "bias"

    @property
    def reads_sparse(self) -> bool:
        return self.outputs == 1

    @property
    def block_count(self) -> int:
        return 1

    def shapes(self, n_features: int) -> tuple[Shape, ...]:
        size = 2 if self.form is BiasForm.TWO_SQUARES else 1
        return ((size,) if self.outputs == 1 else (self.outputs, size),)

    def linear_scores(self, X: FloatArray) -> LinearScores | None:
        return LinearScores(np.ones((len(X), 1)), every=self.form is not BiasForm.SQUARE)

    def __call__(self, ops: Ops[T], theta: Sequence[T], X: T) -> T:
        (b,) = theta
        row = np.ones(1)
        value = b
        if self.form is BiasForm.SQUARE:
            value = ops.power(b, 2)
        elif self.form is BiasForm.TWO_SQUARES:
            value, row = ops.power(b, 2), np.array([1.0, -1.0])
        elif self.form is BiasForm.SIGNED_SQUARE:
            negative = ops.relu(ops.scale(b, -1.0), 2.0)
            value = ops.add(ops.relu(b, 2.0), ops.scale(negative, -1.0))
        return ops.linear(ops.repeat_row(X, row), value)
