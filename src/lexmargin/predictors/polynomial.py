"""Polynomials in θ whose coefficients are the features."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar, final

from lexmargin.errors import ParameterError, ShapeError
from lexmargin.inputs.checks import WholeNumber
from lexmargin.inputs.kinds import Listed, checked_class
from lexmargin.ops.base import FloatArray, Ops
from lexmargin.predictors.base import LinearScores, Predictor, Shape

__all__ = ["Polynomial"]

T = TypeVar("T")


@final
@checked_class
@dataclass(frozen=True)
class Polynomial(Predictor):
    """``F(x; θ) = Σ_j x_j Π_i θ_i^{e_ji}``: row j of ``exponents`` belongs to feature j.

    Blocks: ``θ`` of shape ``(d,)``, d the number of columns of ``exponents``.
    """

    exponents: Listed[Listed[WholeNumber]]
    outputs: ClassVar[int] = 1  # type: ignore[misc]

    vanishes_at_zero: ClassVar[bool] = True
    kind: ClassVar[str] = "polynomial"

    def __post_init__(self) -> None:
        rows = self.exponents
        if not rows or not rows[0] or any(len(row) != len(rows[0]) for row in rows):
            raise ParameterError("exponents must be rows of equal, positive length.")
        for row in rows:
            if sum(row) == 0:
                raise ParameterError("A monomial without any θ is a constant; use a Bias member.")

    @property
    def block_count(self) -> int:
        return 1

    def shapes(self, n_features: int) -> tuple[Shape, ...]:
        if n_features != len(self.exponents):
            raise ShapeError(
                f"This polynomial has {len(self.exponents)} monomials and the data "
                f"{n_features} features.",
                "Give one feature (coefficient) per row of exponents.",
            )
        return ((len(self.exponents[0]),),)

    def linear_scores(self, X: FloatArray) -> LinearScores | None:
        return LinearScores(X, every=False)

    def __call__(self, ops: Ops[T], theta: Sequence[T], X: T) -> T:
        (block,) = theta
        monomials = []
        for row in self.exponents:
            factors = []
            for i, exponent in enumerate(row):
                if exponent:
                    entry = ops.entry(block, i)
                    factors.append(entry if exponent == 1 else ops.power(entry, exponent))
            monomials.append(functools.reduce(ops.multiply, factors))
        return ops.linear(X, ops.stack(monomials))
