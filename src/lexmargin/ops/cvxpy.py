"""CVXPY expressions: the target of convex programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, final

import cvxpy as cp
import numpy as np

from lexmargin.ops.base import (
    FloatArray,
    IntArray,
    ModelOps,
    Relation,
    Sense,
    circulant_indices,
)

__all__ = ["CvxpyOps"]


@final
class CvxpyOps(ModelOps[Any]):
    """The CVXPY target; ``model()`` returns a ``cvxpy.Problem``.

    Nonconvex predictors can be built and evaluated too; CVXPY then refuses to solve them.
    """

    reads_sparse: ClassVar[bool] = True

    def __init__(self) -> None:
        self.variables: dict[str, Any] = {}
        self.parameters: dict[str, Any] = {}
        self.constraints: dict[str, Any] = {}
        self._objective: Any = None

    def constant(self, values: FloatArray) -> Any:
        return values

    def linear(self, inputs: Any, weights: Any) -> Any:
        return inputs @ (weights.T if weights.ndim == 2 else weights)

    def add(self, a: Any, b: Any) -> Any:
        return a + b

    def multiply(self, a: Any, b: Any) -> Any:
        if np.ndim(a) != np.ndim(b) and 0 not in (np.ndim(a), np.ndim(b)):
            shape = np.broadcast_shapes(a.shape, b.shape)
            a, b = cp.broadcast_to(a, shape), cp.broadcast_to(b, shape)
        return cp.multiply(a, b)

    def scale(self, a: Any, factor: float) -> Any:
        return factor * a

    def total(self, a: Any) -> Any:
        return cp.sum(a, axis=-1) if a.ndim > 1 else cp.sum(a)

    def relu(self, a: Any, power: float = 1.0) -> Any:
        positive = cp.pos(a)
        return positive if power == 1.0 else cp.power(positive, power)

    def power(self, a: Any, exponent: int) -> Any:
        if exponent == 2:
            return cp.square(a)
        result = a
        for _ in range(exponent - 1):
            result = cp.multiply(result, a)
        return result

    def log(self, a: Any) -> Any:
        return cp.log(a)

    def entry(self, a: Any, index: int) -> Any:
        return a[index]

    def circulant(self, a: Any) -> Any:
        size = a.shape[0]
        flat = a[circulant_indices(size).reshape(-1)]
        return cp.reshape(flat, (size, size), order="C") / math.sqrt(size)

    def columns(self, a: Any, indices: tuple[int, ...]) -> Any:
        return a[:, list(indices)]

    def repeat_row(self, a: Any, row: FloatArray) -> Any:
        return np.tile(row, (a.shape[0], 1))

    def stack(self, scalars: Sequence[Any]) -> Any:
        return cp.hstack(list(scalars))

    def gather(self, a: Any, rows: IntArray, columns: IntArray) -> Any:
        flat = cp.reshape(a, (a.shape[0] * a.shape[1],), order="C")
        return flat[rows * a.shape[1] + columns]

    def variable(self, name: str, shape: tuple[int, ...], lower: float | None) -> Any:
        bounds = None if lower is None else [lower, None]
        self.variables[name] = cp.Variable(shape, name=name, bounds=bounds)
        return self.variables[name]

    def parameter(self, name: str, value: float) -> Any:
        self.parameters[name] = cp.Parameter(name=name, nonneg=True, value=value)
        return self.parameters[name]

    def norm(self, parts: Sequence[Any], p: float) -> Any:
        return cp.norm(_joined(parts), "inf" if p == np.inf else p)

    def squared_norm(self, parts: Sequence[Any]) -> Any:
        return cp.sum_squares(_joined(parts))

    def log_sum_exp(self, a: Any) -> Any:
        return cp.log_sum_exp(a)

    def log_one_plus_exp(self, a: Any) -> Any:
        return cp.logistic(a)

    def log_one_plus_sum_exp(self, a: Any, group: int) -> Any:
        if group == 1:
            return cp.logistic(a)
        rows = cp.reshape(a, (a.shape[0] // group, group), order="C")
        return cp.log_sum_exp(cp.hstack([rows, np.zeros((rows.shape[0], 1))]), axis=1)

    def sum_exp(self, a: Any) -> Any:
        return cp.sum(cp.exp(a))

    def scalar_power(self, a: Any, exponent: float) -> Any:
        return cp.power(a, exponent)

    def objective(self, sense: Sense, expression: Any) -> None:
        kind = cp.Minimize if sense is Sense.MINIMIZE else cp.Maximize
        self._objective = kind(expression)

    def constrain(self, name: str, left: Any, relation: Relation, right: Any) -> None:
        if relation is Relation.AT_LEAST:
            constraint = left >= right
        elif relation is Relation.AT_MOST:
            constraint = left <= right
        else:
            constraint = left == right
        self.constraints[name] = constraint

    def model(self) -> Any:
        return cp.Problem(self._objective, list(self.constraints.values()))


def _joined(parts: Sequence[Any]) -> Any:
    """Return all entries as one vector, the order in which θ is flattened."""
    flat = [cp.reshape(part, (part.size,), order="C") for part in parts]
    return flat[0] if len(flat) == 1 else cp.hstack(flat)
