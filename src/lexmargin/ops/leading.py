"""The leading part of a predictor, on any target: of terms of different degrees the highest stays.

``f(rθ) = r^M f^H(θ) + lower order``: an array means its degree in θ and, over the target below, its
part of that degree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar, final

import numpy as np

from lexmargin.errors import DegreeError
from lexmargin.ops.base import FloatArray, IntArray, Ops

__all__ = ["LeadingOps", "Ranked"]

T = TypeVar("T")


@final
@dataclass(frozen=True)
class Ranked(Generic[T]):
    """An array and its degree in θ; None for one that is 0 at every θ, below every degree."""

    degree: Fraction | None
    array: T


@final
class LeadingOps(Ops[Ranked[T]]):
    """The operations of another target, on leading parts.

    Two leading parts of one degree that cancel each other leave a part that is 0: the degree is
    that of the terms as they are written, never a smaller one. A term that is dropped has the shape
    of what stays, as in every predictor here: broadcasting over samples is :meth:`repeat_row`'s.
    """

    def __init__(self, ops: Ops[T]) -> None:
        self._ops = ops

    def block(self, block: T) -> Ranked[T]:
        """Return a parameter block: of degree 1."""
        return Ranked(Fraction(1), block)

    def sample(self, values: T) -> Ranked[T]:
        """Return what does not depend on θ: of degree 0."""
        return Ranked(Fraction(0), values)

    def constant(self, values: FloatArray) -> Ranked[T]:
        degree = Fraction(0) if np.any(values) else None
        return Ranked(degree, self._ops.constant(values))

    def linear(self, inputs: Ranked[T], weights: Ranked[T]) -> Ranked[T]:
        return Ranked(_sum(inputs, weights), self._ops.linear(inputs.array, weights.array))

    def add(self, a: Ranked[T], b: Ranked[T]) -> Ranked[T]:
        if a.degree == b.degree:
            return Ranked(a.degree, self._ops.add(a.array, b.array))
        return b if a.degree is None or (b.degree is not None and b.degree > a.degree) else a

    def multiply(self, a: Ranked[T], b: Ranked[T]) -> Ranked[T]:
        return Ranked(_sum(a, b), self._ops.multiply(a.array, b.array))

    def scale(self, a: Ranked[T], factor: float) -> Ranked[T]:
        return Ranked(a.degree if factor else None, self._ops.scale(a.array, factor))

    def total(self, a: Ranked[T]) -> Ranked[T]:
        return Ranked(a.degree, self._ops.total(a.array))

    def relu(self, a: Ranked[T], power: float = 1.0) -> Ranked[T]:
        # Positively homogeneous and Lipschitz: what is below the highest degree moves
        # max(a, 0)^power / r^(power M) by as little as it moves a / r^M.
        degree = None if a.degree is None else a.degree * Fraction(power).limit_denominator(10**6)
        return Ranked(degree, self._ops.relu(a.array, power))

    def power(self, a: Ranked[T], exponent: int) -> Ranked[T]:
        degree = None if a.degree is None else a.degree * exponent
        return Ranked(degree, self._ops.power(a.array, exponent))

    def log(self, a: Ranked[T]) -> Ranked[T]:
        raise DegreeError(
            "A logarithm has no leading part: it grows slower than every power of ‖θ‖.",
            "State the problem of the predictor itself, without Leading.",
        )

    def entry(self, a: Ranked[T], index: int) -> Ranked[T]:
        return Ranked(a.degree, self._ops.entry(a.array, index))

    def circulant(self, a: Ranked[T]) -> Ranked[T]:
        return Ranked(a.degree, self._ops.circulant(a.array))

    def columns(self, a: Ranked[T], indices: tuple[int, ...]) -> Ranked[T]:
        return Ranked(a.degree, self._ops.columns(a.array, indices))

    def repeat_row(self, a: Ranked[T], row: FloatArray) -> Ranked[T]:
        degree = Fraction(0) if np.any(row) else None
        return Ranked(degree, self._ops.repeat_row(a.array, row))

    def stack(self, scalars: Sequence[Ranked[T]]) -> Ranked[T]:
        highest = max((s.degree for s in scalars if s.degree is not None), default=None)
        kept = [s if s.degree == highest else self.scale(s, 0.0) for s in scalars]
        return Ranked(highest, self._ops.stack([s.array for s in kept]))

    def gather(self, a: Ranked[T], rows: IntArray, columns: IntArray) -> Ranked[T]:
        return Ranked(a.degree, self._ops.gather(a.array, rows, columns))


def _sum(a: Ranked[T], b: Ranked[T]) -> Fraction | None:
    return None if a.degree is None or b.degree is None else a.degree + b.degree
