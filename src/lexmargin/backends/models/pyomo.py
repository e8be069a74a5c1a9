"""The declarative nonlinear route: Pyomo model -> ``.nl`` file -> CasADi derivatives -> Ipopt.

Where a program has one constraint per sample, the model is that of one sample with the sample's
data as variables; see :mod:`lexmargin.backends.models.sampled_nlp`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np

from lexmargin.backends.base import Backend, Compiled, Found, Request, required
from lexmargin.backends.models.casadi import CompiledNlp, nlp_imports, nlp_solver_problem
from lexmargin.backends.models.nlp import ModelNlp, Nlp, Rows, Slot, row_sign
from lexmargin.backends.models.sampled_nlp import SampledNlp
from lexmargin.backends.smooth.sample_generation import (
    margin_constraint,
    on_selected_samples,
    restricted,
)
from lexmargin.inputs.interrupts import interrupts_kept
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, IntArray
from lexmargin.program import Constraint, Program
from lexmargin.solution import Claim, Ran

__all__ = ["PyomoBackend", "PyomoProgram"]


@final
class PyomoBackend(Backend):
    """Nonconvex programs, declared in Pyomo and handed over as an AMPL file."""

    imports = ("pyomo.environ", "casadi")

    def available(self, solver: str) -> str:
        return super().available(solver) or nlp_solver_problem(solver)

    def preloads(self, solver: str) -> tuple[str, ...]:
        return (*super().preloads(solver), *nlp_imports(solver))

    def compile(self, program: Program) -> Compiled:
        required(["pyomo.environ", "casadi"])
        return on_selected_samples(program, PyomoProgram)


@final
class PyomoProgram(CompiledNlp):
    """A Pyomo model and the nonlinear program read back from its ``.nl`` file, by names.

    Attributes:
        model: the ``ConcreteModel``; that of one sample where derivatives of one serve all.
    """

    def _build(self) -> None:
        import casadi as ca
        from pyomo.common.errors import InfeasibleConstraintException

        from lexmargin.ops.pyomo import PyomoOps, write_nl

        program = stated = self.program
        self._plugins = {}
        self._constraint = _of_every_sample(program)
        data = []
        if self._constraint is not None:
            stated = restricted(program, self._constraint, np.zeros(1, dtype=np.int64))
            one = _functions(next(c for c in stated.constraints if c.name == self._constraint.name))
            data = [one.features, one.signs]
        self._ops = PyomoOps(data)
        self.model = stated.build(self._ops)
        self._built.lap("build")
        self._contradiction = ""
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = write_nl(self.model, Path(folder) / "program.nl", durable=False)
            except InfeasibleConstraintException as error:
                # A margin that no parameter moves, such as that of a sample at the origin.
                self._contradiction = str(error)
                self._built.lap("write")
                return
            columns = path.with_suffix(".col").read_text(encoding="utf-8").splitlines()
            rows = path.with_suffix(".row").read_text(encoding="utf-8").splitlines()
            self._built.lap("write")
            imported = ca.NlpBuilder()
            imported.import_nl(str(path), {})
        self._built.lap("import")
        self.nlp = self._nlp(imported, columns, rows)
        self._built.lap("expand")

    def _run(self, request: Request) -> Found:
        if not self._contradiction:
            return super()._run(request)
        return Found(Ran.FINISHED, self._contradiction, Claim.INFEASIBLE)

    @interrupts_kept()
    def _nlp(self, imported: Any, columns: list[str], rows: list[str]) -> Nlp:
        import casadi as ca

        # The writer orders variables and constraints as it likes: names are the only link.
        column_of = {name: i for i, name in enumerate(columns)}
        row_of = {name: i for i, name in enumerate(rows)}
        parameters = tuple(self._ops.parameters)
        fixed = {name: column_of.get(c.name) for name, c in self._ops.parameters.items()}
        data = [column_of.get(entry.name) for part in self._ops.data for entry in part.values()]
        others = {*fixed.values(), *data}
        free = [i for i in range(len(columns)) if i not in others]
        place = {column: i for i, column in enumerate(free)}
        x = ca.vertcat(*[imported.x[i] for i in free])
        p = _stacked([imported.x[c] if c is not None else None for c in fixed.values()])
        g = ca.vertcat(*imported.g) if len(imported.g) else ca.MX(0, 1)
        shapes = {variable.name: variable.shape for variable in self.program.variables}
        variables = {
            name: Slot(
                np.array(
                    [place.get(column_of.get(entry.name, -1), -1) for entry in c.values()],
                    dtype=np.int64,
                ),
                shapes.get(name, (len(c),)),
            )
            for name, c in self._ops.variables.items()
        }
        x_lower = np.array([imported.x_lb[i] for i in free], dtype=float)
        lower, upper = (np.array(b, dtype=float) for b in (imported.g_lb, imported.g_ub))
        places = {
            name: np.array([row_of[entry.name] for entry in c.values()], dtype=np.int64)
            for name, c in self._ops.constraints.items()
        }
        if self._constraint is None:
            held = self._rows(places)
            model = ca.Function("model", [x, p], [imported.f, g]).expand()
            return ModelNlp(x_lower, lower, upper, variables, held, parameters, model, True)
        functions = _functions(self._constraint)
        one = int(places.pop(self._constraint.name)[0])
        further = np.delete(np.arange(lower.size), one)
        count = functions.count
        where = {int(row): count + i for i, row in enumerate(further)}
        places = {
            name: np.array([where[int(row)] for row in found], dtype=np.int64)
            for name, found in places.items()
        }
        places[self._constraint.name] = np.arange(count)
        s = _stacked([imported.x[c] if c is not None else None for c in data])
        parts = [imported.f, g[one], g[further.tolist()] if further.size else ca.MX(0, 1)]
        return SampledNlp(
            x_lower,
            np.concatenate([np.full(count, lower[one]), lower[further]]),
            np.concatenate([np.full(count, upper[one]), upper[further]]),
            variables,
            self._rows(places),
            parameters,
            ca.Function("model", [x, p, s], parts).expand(),
            np.column_stack([functions.features, functions.signs]),
        )

    def _rows(self, places: Mapping[str, IntArray]) -> dict[str, Rows]:
        relations = self._ops.relations
        return {name: Rows(found, row_sign(relations[name])) for name, found in places.items()}

    def _auxiliaries(self, values: Mapping[str, FloatArray]) -> Mapping[str, FloatArray]:
        if not self._ops.auxiliaries:
            return {}
        for name, value in values.items():
            component = self._ops.variables[name]
            for i, number in enumerate(np.reshape(value, -1)):
                component[i].set_value(float(number), skip_validation=True)
        return {name: start() for name, start in self._ops.auxiliaries.items()}


def _functions(constraint: Constraint) -> MarginFunctions:
    return constraint.margins.functions


def _of_every_sample(program: Program) -> Constraint | None:
    """Return the constraint that is one expression of every sample, None where there is none.

    The margin of a sample at the origin may be a constant, which a writer must see.
    """
    constraint = margin_constraint(program)
    if constraint is None or not np.all(np.any(_functions(constraint).features, axis=1)):
        return None
    return constraint


def _stacked(symbols: list[Any]) -> Any:
    """Return a column of symbols, fresh ones where the file knows none."""
    import casadi as ca

    filled = [ca.MX.sym(f"unused_{i}") if s is None else s for i, s in enumerate(symbols)]
    return ca.vertcat(*filled) if filled else ca.MX(0, 1)
