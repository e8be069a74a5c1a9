"""Numbers: NumPy arrays, and JAX or torch arrays by passing their module."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np

from lexmargin.ops.base import FloatArray, IntArray, Ops, circulant_indices

__all__ = ["NumpyOps"]


class _ArrayOps(Ops[Any]):
    """The operations on any array module with NumPy's names (``numpy``, ``jax.numpy``, torch)."""

    def __init__(self, module: Any = np) -> None:
        self._xp = module

    def constant(self, values: FloatArray) -> Any:
        if self._xp is np:
            return values
        # A copy: torch warns about arrays it may not write to.
        return self._xp.asarray(np.array(values))

    def linear(self, inputs: Any, weights: Any) -> Any:
        return inputs @ (weights.T if weights.ndim == 2 else weights)

    def add(self, a: Any, b: Any) -> Any:
        return a + b

    def multiply(self, a: Any, b: Any) -> Any:
        return a * b

    def scale(self, a: Any, factor: float) -> Any:
        return factor * a

    def total(self, a: Any) -> Any:
        return a.sum(-1)

    def relu(self, a: Any, power: float = 1.0) -> Any:
        positive = self._xp.where(a > 0, a, 0.0 * a)
        return positive if power == 1.0 else positive**power

    def power(self, a: Any, exponent: int) -> Any:
        return a**exponent

    def log(self, a: Any) -> Any:
        return self._xp.log(a)

    def entry(self, a: Any, index: int) -> Any:
        return a[index]

    def circulant(self, a: Any) -> Any:
        return a[circulant_indices(len(a))] / math.sqrt(len(a))

    def columns(self, a: Any, indices: tuple[int, ...]) -> Any:
        return a[:, list(indices)]

    def repeat_row(self, a: Any, row: FloatArray) -> Any:
        return self.constant(np.tile(row, (a.shape[0], 1)))

    def stack(self, scalars: Sequence[Any]) -> Any:
        return self._xp.stack(list(scalars))

    def gather(self, a: Any, rows: IntArray, columns: IntArray) -> Any:
        return a[rows, columns]


@final
class NumpyOps(_ArrayOps):
    """Plain values."""

    reads_sparse: ClassVar[bool] = True
