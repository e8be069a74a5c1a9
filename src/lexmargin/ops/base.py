"""The operations protocol: what a predictor may do with arrays, whatever the arrays are.

A predictor is written once against :class:`Ops` and then means numbers (``numpy``), per-sample
gradients (``jacobian``), degrees (``degree``), curvature (``curvature``), or expressions of a
modelling system (``cvxpy``, ``pyomo``, ``casadi``), depending on the target it is given.

Shapes follow NumPy. *Sample* arrays carry the sample axis first, ``(N, …)``; *parameter* arrays
do not have it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["FloatArray", "IntArray", "ModelOps", "Ops", "Relation", "Sense", "circulant_indices"]

T = TypeVar("T")
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Relation(StrEnum):
    """The relation of a constraint."""

    AT_LEAST = ">="
    AT_MOST = "<="
    EQUAL = "=="


class Sense(StrEnum):
    """The direction of optimization."""

    MINIMIZE = "minimize"
    MAXIMIZE = "maximize"


class Ops(ABC, Generic[T]):
    """The operations predictors are made of; ``T`` is the target's array type."""

    reads_sparse: ClassVar[bool] = False
    """Whether constants may be scipy sparse arrays, for :meth:`linear` alone."""

    @abstractmethod
    def constant(self, values: FloatArray) -> T:
        """Return numbers as an array of the target."""

    @abstractmethod
    def linear(self, inputs: T, weights: T) -> T:
        """Return ``Z[n, j] = Σ_i inputs[n, i] weights[j, i]``; ``(N,)`` for 1-d weights."""

    @abstractmethod
    def add(self, a: T, b: T) -> T:
        """Return ``a + b`` with NumPy broadcasting."""

    @abstractmethod
    def multiply(self, a: T, b: T) -> T:
        """Return ``a * b`` elementwise with NumPy broadcasting."""

    @abstractmethod
    def scale(self, a: T, factor: float) -> T:
        """Return ``factor * a`` for a number."""

    @abstractmethod
    def total(self, a: T) -> T:
        """Return the sum over the last axis."""

    @abstractmethod
    def relu(self, a: T, power: float = 1.0) -> T:
        """Return ``max(a, 0)^power`` elementwise."""

    @abstractmethod
    def power(self, a: T, exponent: int) -> T:
        """Return ``a^exponent`` for an integer exponent >= 1."""

    @abstractmethod
    def log(self, a: T) -> T:
        """Return the natural logarithm elementwise."""

    @abstractmethod
    def entry(self, a: T, index: int) -> T:
        """Return ``a[index]`` of a 1-d parameter array, a 0-d array."""

    @abstractmethod
    def circulant(self, a: T) -> T:
        """Return ``C[i, k] = p^{-1/2} a[(i-k) mod p]`` of a 1-d parameter array of length p."""

    @abstractmethod
    def columns(self, a: T, indices: tuple[int, ...]) -> T:
        """Return the columns ``a[:, indices]`` of a sample array ``(N, p)``."""

    @abstractmethod
    def repeat_row(self, a: T, row: FloatArray) -> T:
        """Return the constant sample array whose every row is ``row``, as many rows as ``a``."""

    @abstractmethod
    def stack(self, scalars: Sequence[T]) -> T:
        """Return the 1-d parameter array of 0-d parameter arrays."""

    @abstractmethod
    def gather(self, a: T, rows: IntArray, columns: IntArray) -> T:
        """Return the 1-d array ``a[rows, columns]`` of a sample array ``(N, C)``."""


class ModelOps(Ops[T]):
    """A target that can hold an optimization model: variables, an objective, constraints.

    Norms, log-sum-exp and log-losses are only ever asked for in *epigraph position* (minimised,
    or bounded from above), so a target may introduce auxiliary variables for them.
    """

    @abstractmethod
    def variable(self, name: str, shape: tuple[int, ...], lower: float | None) -> T:
        """Add a variable of that shape, optionally bounded from below."""

    @abstractmethod
    def parameter(self, name: str, value: float) -> T:
        """Add a number that can change without compiling again."""

    @abstractmethod
    def norm(self, parts: Sequence[T], p: float) -> T:
        """Return ``‖(parts)‖_p`` of all entries together, in epigraph position."""

    @abstractmethod
    def squared_norm(self, parts: Sequence[T]) -> T:
        """Return ``Σ ‖part‖²_2``."""

    @abstractmethod
    def log_sum_exp(self, a: T) -> T:
        """Return ``log Σ_i exp(a_i)`` of a 1-d array, in epigraph position."""

    @abstractmethod
    def log_one_plus_exp(self, a: T) -> T:
        """Return ``log(1 + exp(a))`` elementwise, in epigraph position."""

    @abstractmethod
    def log_one_plus_sum_exp(self, a: T, group: int) -> T:
        """Return ``log(1 + Σ_c exp(a_{n,c}))`` of a 1-d array in groups of ``group`` entries.

        One entry per group, in epigraph position.
        """

    @abstractmethod
    def sum_exp(self, a: T) -> T:
        """Return ``Σ_i exp(a_i)`` of a 1-d array, in epigraph position."""

    @abstractmethod
    def scalar_power(self, a: T, exponent: float) -> T:
        """Return ``a^exponent`` of a 0-d array that is >= 0, exponent >= 1."""

    @abstractmethod
    def objective(self, sense: Sense, expression: T) -> None:
        """Set the objective, a 0-d array."""

    @abstractmethod
    def constrain(self, name: str, left: T, relation: Relation, right: T) -> None:
        """Add one constraint per entry of ``left - right``."""

    @abstractmethod
    def model(self) -> Any:
        """Return the native model (CVXPY problem, Pyomo model, CasADi dictionary)."""


def circulant_indices(size: int) -> IntArray:
    """Return the index matrix ``(i - k) mod size``."""
    return np.asarray((np.arange(size)[:, None] - np.arange(size)[None, :]) % size, np.int64)
