"""Pyomo expressions: the declarative target of nonconvex programs.

Arrays are NumPy object arrays of Pyomo expressions. ``relu(z)`` is written ``(z + |z|) / 2``,
which is exact in floating point and which the ``.nl`` format knows; intermediate values become
named expressions, so that a deep network is written once per unit and not once per path.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import pyomo.environ as pyo
from pyomo.core.expr.numeric_expr import LinearExpression

from lexmargin.inputs.files import write_file
from lexmargin.ops.base import (
    FloatArray,
    IntArray,
    ModelOps,
    Relation,
    Sense,
    circulant_indices,
)

__all__ = ["PyomoOps", "write_nl"]

_ROOT_FLOOR = 1e-20
"""Keeps the root differentiable at 0; moves a norm of 1 by 5e-21, which no double holds."""
_NODES = tuple(
    ((1.0 + float(t)) / 2.0, float(weight) / 2.0)
    for t, weight in zip(*np.polynomial.legendre.leggauss(10), strict=True)
)
"""Nodes and weights of Gauss and Legendre on [0, 1]."""


@final
class PyomoOps(ModelOps[Any]):
    """The Pyomo target; ``model()`` returns a ``pyomo.environ.ConcreteModel``.

    Args:
        data: constants that become variables of the model, so that derivatives generated once serve
            other data of the same shape.
    """

    def __init__(self, data: Sequence[FloatArray] = ()) -> None:
        self._model = pyo.ConcreteModel()
        self._data = tuple(data)
        self.data: list[Any] = []
        """The variables that stand for ``data``, in this order."""
        for i, values in enumerate(self._data):
            component = pyo.Var(range(values.size))
            self._model.add_component(f"data_{i}", component)
            self.data.append(component)
        self.variables: dict[str, Any] = {}
        self.parameters: dict[str, Any] = {}
        self.constraints: dict[str, Any] = {}
        self.relations: dict[str, Relation] = {}
        self.auxiliaries: dict[str, Callable[[], FloatArray]] = {}
        """Added variables and the value each takes at the current values of the others."""
        self._fresh = 0

    def _named(self, values: Any) -> Any:
        """Return the entries as named expressions of the model."""
        values = np.asarray(values, dtype=object)
        self._fresh += 1
        component = pyo.Expression(range(values.size))
        self._model.add_component(f"unit_{self._fresh}", component)
        out = np.empty(values.size, dtype=object)
        for i, value in enumerate(values.reshape(-1)):
            component[i] = value
            out[i] = component[i]
        return out.reshape(values.shape)

    def constant(self, values: FloatArray) -> Any:
        for known, component in zip(self._data, self.data, strict=True):
            if values is known:
                out = np.empty(values.size, dtype=object)
                out[:] = [component[i] for i in range(values.size)]
                return out.reshape(values.shape)
        return values

    def linear(self, inputs: Any, weights: Any) -> Any:
        rows = weights.reshape(-1, weights.shape[-1])
        out = np.empty((inputs.shape[0], rows.shape[0]), dtype=object)
        numeric = inputs.dtype != object and all(
            getattr(v, "is_variable_type", lambda: False)() for v in rows.reshape(-1)
        )
        for n, sample in enumerate(inputs):
            for j, row in enumerate(rows):
                if numeric:
                    out[n, j] = LinearExpression(
                        constant=0.0, linear_coefs=sample.tolist(), linear_vars=list(row)
                    )
                else:
                    out[n, j] = pyo.quicksum((x * w for x, w in zip(sample, row, strict=True)))
        return out if weights.ndim == 2 else out[:, 0]

    def add(self, a: Any, b: Any) -> Any:
        return np.asarray(np.asarray(a, dtype=object) + b, dtype=object)

    def multiply(self, a: Any, b: Any) -> Any:
        return np.asarray(np.asarray(a, dtype=object) * b, dtype=object)

    def scale(self, a: Any, factor: float) -> Any:
        return np.asarray(factor * np.asarray(a, dtype=object), dtype=object)

    def total(self, a: Any) -> Any:
        a = np.asarray(a, dtype=object)
        flat = a.reshape(-1, a.shape[-1])
        out = np.empty(flat.shape[0], dtype=object)
        for i, row in enumerate(flat):
            out[i] = pyo.quicksum(row)
        return out.reshape(a.shape[:-1])

    def _each(self, function: Callable[[Any], Any], a: Any) -> Any:
        a = np.asarray(a, dtype=object)
        out = np.empty(a.size, dtype=object)
        for i, value in enumerate(a.reshape(-1)):
            out[i] = function(value)
        return out.reshape(a.shape)

    def relu(self, a: Any, power: float = 1.0) -> Any:
        z = self._named(a)
        positive = self._each(lambda v: 0.5 * (v + abs(v)), z)
        if power == 1.0:
            return positive
        exponent = int(power) if power == int(power) else power
        return self._each(lambda v: v**exponent, positive)

    def power(self, a: Any, exponent: int) -> Any:
        return self._each(lambda v: v**exponent, self._named(a) if exponent > 1 else a)

    def log(self, a: Any) -> Any:
        return self._each(pyo.log, a)

    def entry(self, a: Any, index: int) -> Any:
        return np.asarray(a[index], dtype=object)

    def circulant(self, a: Any) -> Any:
        return self.scale(a[circulant_indices(len(a))], 1.0 / math.sqrt(len(a)))

    def columns(self, a: Any, indices: tuple[int, ...]) -> Any:
        return a[:, list(indices)]

    def repeat_row(self, a: Any, row: FloatArray) -> Any:
        return np.tile(row, (len(a), 1))

    def stack(self, scalars: Sequence[Any]) -> Any:
        out = np.empty(len(scalars), dtype=object)
        for i, scalar in enumerate(scalars):
            out[i] = scalar.item() if isinstance(scalar, np.ndarray) else scalar
        return out

    def gather(self, a: Any, rows: IntArray, columns: IntArray) -> Any:
        return self._named(a)[rows, columns]

    def variable(self, name: str, shape: tuple[int, ...], lower: float | None) -> Any:
        size = math.prod(shape)
        component = pyo.Var(range(size), bounds=(lower, None), initialize=0.0)
        self._model.add_component(name, component)
        self.variables[name] = component
        out = np.empty(size, dtype=object)
        for i in range(size):
            out[i] = component[i]
        return out.reshape(shape)

    def parameter(self, name: str, value: float) -> Any:
        # A variable fixed by its bounds, not a Param: it survives into the .nl file, so that the
        # derivatives compiled once serve every value.
        component = pyo.Var(bounds=(value, value), initialize=value)
        self._model.add_component(name, component)
        self.parameters[name] = component
        return np.array(component, dtype=object)

    def _auxiliary(self, size: int, value: Callable[[], FloatArray]) -> Any:
        self._fresh += 1
        name = f"auxiliary_{self._fresh}"
        self.auxiliaries[name] = value
        return self.variable(name, (size,), None)

    def norm(self, parts: Sequence[Any], p: float) -> Any:
        entries = np.concatenate([np.asarray(part, dtype=object).reshape(-1) for part in parts])
        if p == 2:
            inside = pyo.quicksum(v**2 for v in entries)
            return pyo.sqrt(inside + _ROOT_FLOOR)
        if p not in (1, np.inf):
            inside = pyo.quicksum((v**2 + _ROOT_FLOOR) ** (p / 2) for v in entries)
            return inside ** (1 / p)
        bound = self._auxiliary(
            entries.size if p == 1 else 1,
            lambda: (
                np.abs(_numbers(entries))
                if p == 1
                else np.abs(_numbers(entries)).max(keepdims=True)
            ),
        )
        tops = bound if p == 1 else np.repeat(bound, entries.size)
        self.constrain(f"absolute_{self._fresh}_above", tops - entries, Relation.AT_LEAST, 0.0)
        self.constrain(f"absolute_{self._fresh}_below", tops + entries, Relation.AT_LEAST, 0.0)
        return pyo.quicksum(bound)

    def squared_norm(self, parts: Sequence[Any]) -> Any:
        entries = (v for part in parts for v in np.asarray(part, dtype=object).reshape(-1))
        return pyo.quicksum(v**2 for v in entries)

    def log_sum_exp(self, a: Any) -> Any:
        # Level form: s bounds log Σ exp(a) from above; no exponential of a large number occurs
        # near the solution, whatever the size of a.
        level = self._auxiliary(1, lambda: np.logaddexp.reduce(_numbers(a), keepdims=True))
        total = pyo.quicksum(pyo.exp(v - level[0]) for v in a)
        self.constrain(f"level_{self._fresh}", total, Relation.AT_MOST, 1.0)
        return level[0]

    def log_one_plus_exp(self, a: Any) -> Any:
        return self._each(_softplus, self._named(a))

    def log_one_plus_sum_exp(self, a: Any, group: int) -> Any:
        if group == 1:
            return self.log_one_plus_exp(a)
        rows = self._named(a).reshape(-1, group)
        out = np.empty(len(rows), dtype=object)
        for i, row in enumerate(rows):
            total = pyo.quicksum(pyo.exp(v) for v in row)
            out[i] = pyo.log(1 + total)
        return out

    def sum_exp(self, a: Any) -> Any:
        return pyo.quicksum(pyo.exp(v) for v in a)

    def scalar_power(self, a: Any, exponent: float) -> Any:
        return a**exponent

    def objective(self, sense: Sense, expression: Any) -> None:
        kind = pyo.minimize if sense is Sense.MINIMIZE else pyo.maximize
        if isinstance(expression, np.ndarray):
            expression = expression.item()
        self._model.objective = pyo.Objective(expr=expression, sense=kind)

    def constrain(self, name: str, left: Any, relation: Relation, right: Any) -> None:
        lefts, rights = np.broadcast_arrays(
            np.asarray(left, dtype=object), np.asarray(right, dtype=object)
        )
        component = pyo.Constraint(range(lefts.size))
        self._model.add_component(name, component)
        lower = None if relation is Relation.AT_MOST else 0.0
        upper = None if relation is Relation.AT_LEAST else 0.0
        for i, (one, other) in enumerate(zip(lefts.reshape(-1), rights.reshape(-1), strict=True)):
            # Always left - right, so that the sign of a multiplier never depends on the writer.
            component[i] = (lower, one - other, upper)
        self.constraints[name] = component
        self.relations[name] = relation

    def model(self) -> Any:
        return self._model


def _softplus(v: Any) -> Any:
    """Return ``log(1 + e^v) = max(v, 0) + x ∫ dt / (1 + x t)`` over [0, 1], ``x = e^{-|v|}``.

    .nl files have no log1p, CasADi reads none with atanh, and log(1 + x) loses a small x. Ten nodes
    of Gauss and Legendre leave 6^{-20} of the integral, whose pole is at t = -1/x <= -1.
    """
    x = pyo.exp(-abs(v))
    parts = pyo.quicksum(weight * x / (1 + t * x) for t, weight in _NODES)
    return 0.5 * (v + abs(v)) + parts


def _numbers(values: Any) -> FloatArray:
    """Return the current values of expressions; 0 where they have none."""
    found = [pyo.value(value, exception=False) for value in np.reshape(values, -1)]
    numbers: FloatArray = np.array([0.0 if v is None else v for v in found], dtype=np.float64)
    return np.asarray(np.nan_to_num(numbers))


def write_nl(model: Any, path: Path, *, durable: bool = True) -> Path:
    """Write a model as an AMPL ``.nl`` file with names beside it (``.row``, ``.col``).

    Nothing is presolved away: parameters stay variables fixed by their bounds. ``durable`` is as
    for :func:`~lexmargin.inputs.files.write_file`.
    """
    from pyomo.repn.plugins.nl_writer import NLWriter

    out = io.StringIO()
    # Labels inside the file would be comments, which not every reader skips.
    info = NLWriter().write(
        model, out, symbolic_solver_labels=False, scale_model=False, linear_presolve=False
    )
    write_file(path, out.getvalue(), durable=durable)
    names = {".col": info.variables, ".row": [*info.constraints, *info.objectives]}
    for suffix, components in names.items():
        text = "".join(f"{component.name}\n" for component in components)
        write_file(path.with_suffix(suffix), text, durable=durable)
    return path
