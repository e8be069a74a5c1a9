"""A declarative optimization model: variables, an objective, constraints named after equations.

A program knows no solver. It is built in a modelling system by evaluating its expressions with
that system's operations, and it prints as mathematics.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, final

import numpy as np

from lexmargin.errors import UnsupportedError
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import ModelOps, Relation, Sense
from lexmargin.ops.curvature import Curvature

__all__ = [
    "Combination",
    "Constant",
    "Constraint",
    "ExponentialLoss",
    "Expression",
    "LogLoss",
    "LogisticLoss",
    "Margins",
    "Norm",
    "Parameter",
    "Power",
    "Program",
    "SquaredDistance",
    "SquaredNorm",
    "Total",
    "Variable",
]

T = TypeVar("T")
Values = Mapping[str, T]


class Expression(ABC):
    """A term of a program: evaluates with any modelling target, prints as mathematics."""

    @abstractmethod
    def evaluate(self, ops: ModelOps[T], values: Values[T]) -> T:
        """Return the term in the target's arrays; ``values`` maps names to arrays."""

    @abstractmethod
    def __str__(self) -> str:
        """Return the term as mathematics."""


@final
@dataclass(frozen=True)
class Variable(Expression):
    """A block of unknowns; as an expression, its value."""

    name: str
    shape: tuple[int, ...] = ()
    lower: float | None = None

    def evaluate(self, ops: ModelOps[T], values: Values[T]) -> T:
        return values[self.name]

    def __str__(self) -> str:
        return self.name


@final
@dataclass(frozen=True)
class Parameter(Expression):
    """A positive number that may change between solves without compiling again."""

    name: str
    value: float

    def evaluate(self, ops: ModelOps[T], values: Values[T]) -> T:
        return values[self.name]

    def __str__(self) -> str:
        return self.name


@final
@dataclass(frozen=True)
class Constant(Expression):
    """A fixed number."""

    value: float

    def evaluate(self, ops: ModelOps[T], values: Values[T]) -> T:
        return ops.constant(np.array(self.value))

    def __str__(self) -> str:
        return f"{self.value:g}"


@final
@dataclass(frozen=True)
class Margins(Expression):
    """The margin functions ``f_n`` at the given blocks, each times its factor if there are any."""

    functions: MarginFunctions
    blocks: tuple[str, ...]
    symbol: str = "w"
    factors: tuple[float, ...] = ()

    def evaluate(self, ops: ModelOps[T], values: Values[T]) -> T:
        arrays = [values[name] for name in self.blocks]
        if self.factors:
            pairs = zip(arrays, self.factors, strict=True)
            arrays = [array if c == 1.0 else ops.scale(array, c) for array, c in pairs]
        return self.functions.evaluate(ops, arrays)

    def __str__(self) -> str:
        return f"f_n({self.symbol})"


@final
@dataclass(frozen=True)
class Norm(Expression):
    """``‖w‖_p`` of the blocks together, in epigraph position."""

    blocks: tuple[str, ...]
    p: float = 2.0
    symbol: str = "w"

    def evaluate(self, ops: ModelOps[T], values: Values[T]) -> T:
        return ops.norm([values[name] for name in self.blocks], self.p)

    def __str__(self) -> str:
        return f"‖{self.symbol}‖_{norm_name(self.p)}"


@final
@dataclass(frozen=True)
class SquaredNorm(Expression):
    """``‖w‖²`` (Euclidean) of the blocks together."""

    blocks: tuple[str, ...]
    symbol: str = "w"

    def evaluate(self, ops: ModelOps[T], values: Values[T]) -> T:
        return ops.squared_norm([values[name] for name in self.blocks])

    def __str__(self) -> str:
        return f"‖{self.symbol}‖²"


@final
@dataclass(frozen=True)
class Power(Expression):
    """``base^exponent`` of a non-negative scalar."""

    base: Expression
    exponent: float

    def evaluate(self, ops: ModelOps[T], values: Values[T]) -> T:
        return ops.scalar_power(self.base.evaluate(ops, values), self.exponent)

    def __str__(self) -> str:
        return f"{self.base}^{self.exponent:g}"


@final
@dataclass(frozen=True)
class LogLoss(Expression):
    """``log Σ_n exp(-f_n)``, the logarithm of eq. 1; with ``offsets``, ``log Σ_n c_n exp(-f_n)``.

    ``offsets`` holds ``log c_n``.
    """

    margins: Margins
    offsets: tuple[float, ...] = ()

    def evaluate(self, ops: ModelOps[T], values: Values[T]) -> T:
        exponents = ops.scale(self.margins.evaluate(ops, values), -1.0)
        if self.offsets:
            exponents = ops.add(exponents, ops.constant(np.array(self.offsets)))
        return ops.log_sum_exp(exponents)

    def __str__(self) -> str:
        return f"log Σ_n {'c_n ' if self.offsets else ''}exp(-{self.margins})"


@final
@dataclass(frozen=True)
class ExponentialLoss(Expression):
    """``Σ_n exp(shift - f_n)``: eq. 1 times ``e^shift``, so that it is O(1) at the solution.

    ``offsets`` holds ``log c_n`` of factors c_n, one per margin function.
    """

    margins: Margins
    shift: float = 0.0
    offsets: tuple[float, ...] = ()

    def evaluate(self, ops: ModelOps[T], values: Values[T]) -> T:
        exponents = ops.scale(self.margins.evaluate(ops, values), -1.0)
        if self.offsets:
            exponents = ops.add(exponents, ops.constant(np.array(self.offsets) + self.shift))
        elif self.shift:
            exponents = ops.add(exponents, ops.constant(np.array(self.shift)))
        return ops.sum_exp(exponents)

    def __str__(self) -> str:
        inside = f"{self.shift:g} - {self.margins}" if self.shift else f"-{self.margins}"
        return f"Σ_n {'c_n ' if self.offsets else ''}exp({inside})"


@final
@dataclass(frozen=True)
class LogisticLoss(Expression):
    """``Σ_n log(1 + Σ_c exp(-f_{n,c}))``, margins in groups of ``group``: one per wrong class.

    ``group = 1`` is the logistic loss ``Σ_n log(1 + exp(-f_n))``. ``offsets`` holds ``log c_n`` of
    factors of the terms, one per margin function.
    """

    margins: Margins
    group: int = 1
    offsets: tuple[float, ...] = ()

    def evaluate(self, ops: ModelOps[T], values: Values[T]) -> T:
        negative = ops.scale(self.margins.evaluate(ops, values), -1.0)
        terms = ops.log_one_plus_sum_exp(negative, self.group)
        if self.offsets:
            terms = ops.multiply(terms, ops.constant(np.exp(self.offsets[:: self.group])))
        return ops.total(terms)

    def __str__(self) -> str:
        inside = "exp" if self.group == 1 else "Σ_c exp"
        return f"Σ_n {'c_n ' if self.offsets else ''}log(1 + {inside}(-{self.margins}))"


@final
@dataclass(frozen=True)
class SquaredDistance(Expression):
    """``Σ_i (v_i - c_i)²`` of one block from fixed numbers, row by row."""

    block: str
    center: tuple[float, ...]
    shape: tuple[int, ...]
    symbol: str = "c"

    def evaluate(self, ops: ModelOps[T], values: Values[T]) -> T:
        center = ops.constant(-np.array(self.center).reshape(self.shape))
        return ops.squared_norm([ops.add(values[self.block], center)])

    def __str__(self) -> str:
        return f"‖{self.block} - {self.symbol}‖²"


@final
@dataclass(frozen=True)
class Total(Expression):
    """The sum of all entries of a vector."""

    vector: Expression

    def evaluate(self, ops: ModelOps[T], values: Values[T]) -> T:
        return ops.total(self.vector.evaluate(ops, values))

    def __str__(self) -> str:
        return f"Σ {self.vector}"


Factor = float | Parameter


@final
@dataclass(frozen=True)
class Combination(Expression):
    """``Σ_i c_i e_i``: a linear combination; a coefficient is a number or a parameter."""

    terms: tuple[tuple[Factor, Expression], ...]

    def evaluate(self, ops: ModelOps[T], values: Values[T]) -> T:
        parts = []
        for factor, term in self.terms:
            part = term.evaluate(ops, values)
            if isinstance(factor, Parameter):
                part = ops.multiply(factor.evaluate(ops, values), part)
            elif factor != 1.0:
                part = ops.scale(part, factor)
            parts.append(part)
        if not parts:
            raise UnsupportedError("A combination has no term.", "Give one at least.")
        return functools.reduce(ops.add, parts)

    def __str__(self) -> str:
        text = ""
        for factor, term in self.terms:
            if isinstance(factor, Parameter):
                piece = f"{factor} {term}"
            else:
                size = abs(factor)
                piece = f"{term}" if size == 1.0 else f"{size:g} {term}"
                text += (" - " if text else "-") if factor < 0 else (" + " if text else "")
                text += piece
                continue
            text += (" + " if text else "") + piece
        return text


@final
@dataclass(frozen=True)
class Constraint:
    """``left relation right`` for every entry, named; ``index`` says what it ranges over."""

    name: str
    left: Expression
    relation: Relation
    right: Expression
    index: str = ""

    @property
    def margins(self) -> Margins:
        """The margins on its left; UnsupportedError where something else stands there."""
        if not isinstance(self.left, Margins):
            raise UnsupportedError(
                f"The constraint {self.name} holds no margins.", "Give a program with f_n >= r."
            )
        return self.left

    def __str__(self) -> str:
        sign = {">=": "≥", "<=": "≤", "==": "="}[self.relation.value]
        suffix = f"   for all {self.index}" if self.index else ""
        return f"{self.left} {sign} {self.right}{suffix}"


@final
@dataclass(frozen=True)
class Program:
    """One optimization problem, ready for any modelling system.

    Attributes:
        name: the formulation's name.
        equation: where it stands in the paper.
        sense, objective: what is optimized.
        variables: every unknown, blocks of θ first.
        constraints: each with its name.
        parameters: numbers that may change without compiling again.
        curvature: of the margin functions; decides the route.
        convex: whether every other term is convex too, in the sense of optimization.
    """

    name: str
    equation: str
    sense: Sense
    objective: Expression
    variables: tuple[Variable, ...]
    constraints: tuple[Constraint, ...]
    parameters: tuple[Parameter, ...] = ()
    curvature: Curvature = Curvature.UNKNOWN
    convex: bool = True
    start: tuple[tuple[str, float], ...] = ()

    @property
    def is_convex(self) -> bool:
        """True when disciplined convex programming accepts it: f_n affine or concave."""
        return self.convex and self.curvature <= Curvature.CONCAVE

    def build(self, ops: ModelOps[T]) -> Any:
        """Return the native model of a modelling target."""
        values: dict[str, T] = {
            v.name: ops.variable(v.name, v.shape, v.lower) for v in self.variables
        }
        values |= {p.name: ops.parameter(p.name, p.value) for p in self.parameters}
        for constraint in self.constraints:
            ops.constrain(
                constraint.name,
                constraint.left.evaluate(ops, values),
                constraint.relation,
                constraint.right.evaluate(ops, values),
            )
        ops.objective(self.sense, self.objective.evaluate(ops, values))
        return ops.model()

    def to_cvxpy(self) -> Any:
        """Return the ``cvxpy.Problem``."""
        from lexmargin.ops.cvxpy import CvxpyOps

        return self.build(CvxpyOps())

    def to_pyomo(self) -> Any:
        """Return the ``pyomo.environ.ConcreteModel``."""
        from lexmargin.ops.pyomo import PyomoOps

        return self.build(PyomoOps())

    def to_casadi(self) -> Any:
        """Return the model in CasADi matrices (:class:`lexmargin.ops.casadi.CasadiModel`)."""
        from lexmargin.ops.casadi import CasadiOps

        return self.build(CasadiOps())

    def to_nl(self, path: str | Path) -> Path:
        """Write the model as an AMPL ``.nl`` file (17 digits) and return its path."""
        from lexmargin.ops.pyomo import PyomoOps, write_nl

        return write_nl(self.build(PyomoOps()), Path(path))

    @property
    def statement(self) -> list[tuple[str, str]]:
        """The program as mathematics, line by line, each with the word before it."""
        unknowns = ", ".join(
            f"{v.name} ∈ R^{'x'.join(map(str, v.shape))}" if v.shape else f"{v.name} ∈ R"
            for v in self.variables
        )
        return [
            (self.sense.value, str(self.objective)),
            *(("" if k else "s.t.", str(one)) for k, one in enumerate(self.constraints)),
            ("over", unknowns),
            *(("with", f"{one.name} = {one.value:g}") for one in self.parameters),
        ]

    def __str__(self) -> str:
        lines = (f"  {word:<10}{text}" for word, text in self.statement)
        return "\n".join([f"{self.name}   [{self.equation}]", *lines])


def norm_name(p: float) -> str:
    """Return the norm's index as printed: 1, 2, inf, or the number."""
    return "∞" if p == np.inf else f"{p:g}"
