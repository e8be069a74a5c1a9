"""Curvature by abstract interpretation: constant, affine, concave, or not known to be either.

This decides the route: concave margin functions make every program of the paper convex.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import final

from lexmargin.ops.base import FloatArray, IntArray, Ops

__all__ = ["Curvature", "CurvatureOps"]


class Curvature(IntEnum):
    """Ordered so that a sum has the larger of its members' curvatures."""

    CONSTANT = 0
    AFFINE = 1
    CONCAVE = 2
    UNKNOWN = 3


@final
class CurvatureOps(Ops[Curvature]):
    """The curvature target; parameters are ``Curvature.AFFINE``."""

    def constant(self, values: FloatArray) -> Curvature:
        return Curvature.CONSTANT

    def linear(self, inputs: Curvature, weights: Curvature) -> Curvature:
        return self.multiply(inputs, weights)

    def add(self, a: Curvature, b: Curvature) -> Curvature:
        return max(a, b)

    def multiply(self, a: Curvature, b: Curvature) -> Curvature:
        low, high = sorted((a, b))
        if high <= Curvature.AFFINE and low is Curvature.CONSTANT:
            return high
        return Curvature.UNKNOWN

    def scale(self, a: Curvature, factor: float) -> Curvature:
        if a is Curvature.CONCAVE and factor < 0:
            return Curvature.UNKNOWN
        return a if factor else Curvature.CONSTANT

    def total(self, a: Curvature) -> Curvature:
        return a

    def relu(self, a: Curvature, power: float = 1.0) -> Curvature:
        return Curvature.CONSTANT if a is Curvature.CONSTANT else Curvature.UNKNOWN

    def power(self, a: Curvature, exponent: int) -> Curvature:
        return a if exponent == 1 or a is Curvature.CONSTANT else Curvature.UNKNOWN

    def log(self, a: Curvature) -> Curvature:
        if a is Curvature.CONSTANT or a is Curvature.UNKNOWN:
            return a
        return Curvature.CONCAVE

    def entry(self, a: Curvature, index: int) -> Curvature:
        return a

    def circulant(self, a: Curvature) -> Curvature:
        return a

    def columns(self, a: Curvature, indices: tuple[int, ...]) -> Curvature:
        return a

    def repeat_row(self, a: Curvature, row: FloatArray) -> Curvature:
        return Curvature.CONSTANT

    def stack(self, scalars: Sequence[Curvature]) -> Curvature:
        return max(scalars)

    def gather(self, a: Curvature, rows: IntArray, columns: IntArray) -> Curvature:
        return a
