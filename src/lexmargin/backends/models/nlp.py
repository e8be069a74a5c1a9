"""Nonlinear programs in CasADi form: by-name bookkeeping and exact derivatives on demand."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from lexmargin.errors import ShapeError, UnknownNameError, nearest
from lexmargin.inputs.interrupts import interrupts_kept
from lexmargin.ops.base import FloatArray, IntArray, Relation

__all__ = [
    "Evaluator",
    "FunctionEvaluator",
    "ModelNlp",
    "Nlp",
    "Rows",
    "Slot",
    "multiplier_vector",
    "row_sign",
]


@final
@dataclass(frozen=True)
class Slot:
    """Where the entries of a variable stand in x, in the order of its flattened array."""

    indices: IntArray
    shape: tuple[int, ...]


@final
@dataclass(frozen=True)
class Rows:
    """Where the entries of a constraint stand in g; ``sign`` turns Ipopt's multiplier into λ."""

    indices: IntArray
    sign: float


class Evaluator(ABC):
    """A matrix of numbers as a function of arrays: its nonzeros, and where they stand."""

    @abstractmethod
    def __call__(self, *arguments: Any) -> FloatArray:
        """Return the nonzeros of the output; the array is reused."""

    @property
    @abstractmethod
    def structure(self) -> tuple[IntArray, IntArray]:
        """Rows and columns of the nonzeros, in the order of the values."""


@final
@dataclass(frozen=True)
class FunctionEvaluator(Evaluator):
    """A CasADi function called on NumPy buffers, without conversions."""

    function: Any

    @functools.cached_property
    def _buffers(self) -> tuple[Any, Any, list[FloatArray], FloatArray]:
        buffer, trigger = self.function.buffer()
        inputs = [np.zeros(max(1, self.function.nnz_in(i))) for i in range(self.function.n_in())]
        output = np.zeros(max(1, self.function.nnz_out(0)))
        for i, array in enumerate(inputs):
            buffer.set_arg(i, _view(array))
        buffer.set_res(0, _view(output))
        return buffer, trigger, inputs, output

    def __call__(self, *arguments: Any) -> FloatArray:
        _, trigger, inputs, output = self._buffers
        for array, argument in zip(inputs, arguments, strict=True):
            array[: np.size(argument)] = argument
        trigger()
        return output[: self.function.nnz_out(0)]

    @functools.cached_property
    def structure(self) -> tuple[IntArray, IntArray]:
        rows, columns = self.function.sparsity_out(0).get_triplet()
        return np.asarray(rows, dtype=np.int64), np.asarray(columns, dtype=np.int64)


@dataclass(frozen=True)
class Nlp(ABC):
    """``min f(x, p)  s.t.  lower <= g(x, p) <= upper, x_lower <= x``, derivatives on demand.

    f is minimised; g is ``left - right`` up to constants that went into the bounds.
    """

    x_lower: FloatArray
    lower: FloatArray
    upper: FloatArray
    variables: Mapping[str, Slot]
    rows: Mapping[str, Rows]
    parameters: tuple[str, ...]

    @property
    @abstractmethod
    def expressions(self) -> tuple[Any, Any, Any, Any]:
        """Symbols x and p, and the expressions f and g of them."""

    @property
    @abstractmethod
    def objective(self) -> Evaluator:
        """``f``; arguments x, p, as of the next three."""

    @property
    @abstractmethod
    def gradient(self) -> Evaluator:
        """``∇f``, dense."""

    @property
    @abstractmethod
    def constraints(self) -> Evaluator:
        """``g``."""

    @property
    @abstractmethod
    def jacobian(self) -> Evaluator:
        """``∂g/∂x``, sparse."""

    @property
    @abstractmethod
    def hessian(self) -> Evaluator:
        """Lower triangle of ``σ ∇²f + Σ μ_i ∇²g_i``, sparse; arguments x, p, σ, μ."""

    @interrupts_kept()
    def prepare(self, *, second_order: bool) -> None:
        """Generate the derivatives a solver will ask for; once done they are kept."""
        first_order = (self.objective, self.gradient, self.constraints, self.jacobian)
        for evaluator in (*first_order, self.hessian) if second_order else first_order:
            evaluator.structure  # noqa: B018

    def vector(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """Return x from values by name; entries that are not named are 0."""
        x = np.zeros(self.x_lower.size)
        for name, value in values.items():
            slot = self.variables[name]
            present = slot.indices >= 0
            x[slot.indices[present]] = np.reshape(value, -1)[present]
        return x

    def values(self, x: FloatArray, absent: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Return values by name from x; entries that x does not hold come from ``absent``."""
        found: dict[str, FloatArray] = {}
        for name, fallback in absent.items():
            slot = self.variables[name]
            flat = np.where(
                slot.indices >= 0, np.append(x, 0.0)[slot.indices], np.reshape(fallback, -1)
            )
            found[name] = flat.reshape(slot.shape)
        return found


@final
@dataclass(frozen=True)
class ModelNlp(Nlp):
    """A program whose f and g are one CasADi function.

    Attributes:
        model: CasADi function ``(x, p) -> (f, g)``.
        scalar: the function is made of scalar operations (SX), not of matrices (MX).
    """

    model: Any
    scalar: bool

    @functools.cached_property
    def expressions(self) -> tuple[Any, Any, Any, Any]:
        import casadi as ca

        kind: Any = ca.SX if self.scalar else ca.MX
        x = kind.sym("x", self.x_lower.size)
        p = kind.sym("p", len(self.parameters))
        f, g = self.model(x, p)
        return x, p, f, g

    @functools.cached_property
    def objective(self) -> Evaluator:
        import casadi as ca

        x, p, f, _ = self.expressions
        return FunctionEvaluator(ca.Function("objective", [x, p], [ca.densify(f)]))

    @functools.cached_property
    def gradient(self) -> Evaluator:
        import casadi as ca

        x, p, f, _ = self.expressions
        return FunctionEvaluator(ca.Function("gradient", [x, p], [ca.densify(ca.gradient(f, x))]))

    @functools.cached_property
    def constraints(self) -> Evaluator:
        import casadi as ca

        x, p, _, g = self.expressions
        return FunctionEvaluator(ca.Function("constraints", [x, p], [ca.densify(g)]))

    @functools.cached_property
    def jacobian(self) -> Evaluator:
        import casadi as ca

        x, p, _, g = self.expressions
        if self.scalar and g.shape[0] > 1:
            # Row by row, each derivative walks over one constraint and not over all of them.
            matrix = ca.vertcat(*[ca.jacobian(row, x) for row in ca.vertsplit(g)])
        else:
            matrix = ca.jacobian(g, x)
        return FunctionEvaluator(ca.Function("jacobian", [x, p], [matrix]))

    @functools.cached_property
    def hessian(self) -> Evaluator:
        import casadi as ca

        x, p, f, g = self.expressions
        kind: Any = ca.SX if self.scalar else ca.MX
        sigma, mu = kind.sym("sigma"), kind.sym("mu", g.shape[0])
        matrix = ca.tril(ca.hessian(sigma * f + ca.dot(mu, g), x)[0])
        return FunctionEvaluator(ca.Function("hessian", [x, p, sigma, mu], [matrix]))


def multiplier_vector(nlp: Nlp, multipliers: Mapping[str, FloatArray] | None) -> FloatArray | None:
    """Return the solver's multipliers of g from λ by constraint name, or None."""
    if multipliers is None:
        return None
    vector = np.zeros(nlp.lower.size)
    for name, value in multipliers.items():
        if name not in nlp.rows:
            raise UnknownNameError(
                f"The program has no constraint {name!r}.", nearest(name, nlp.rows)
            )
        rows = nlp.rows[name]
        if np.size(value) != rows.indices.size:
            raise ShapeError(
                f"There are {np.size(value)} multipliers of {name}, it must be {rows.indices.size}."
            )
        vector[rows.indices] = rows.sign * np.reshape(value, -1)
    return vector


def row_sign(relation: Relation) -> float:
    """Return the factor between Ipopt's multiplier (``f + μ g``) and λ."""
    return 1.0 if relation is Relation.AT_MOST else -1.0


def _view(array: Any) -> memoryview:
    return memoryview(array)
