"""The declarative nonlinear route: Pyomo model -> ``.nl`` file -> CasADi derivatives -> Ipopt."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np

from lexmargin.backends.base import Backend, Compiled, import_problem
from lexmargin.backends.casadi import CompiledNlp, nlp_solver_problem
from lexmargin.backends.nlp import Nlp, Rows, Slot, row_sign
from lexmargin.backends.selected_samples import on_selected_samples
from lexmargin.errors import MissingBackendError
from lexmargin.ops.base import FloatArray
from lexmargin.program import Program
from lexmargin.solution import Claim, Ran, RawAnswer, SolverSettings

__all__ = ["PyomoBackend", "PyomoProgram"]


@final
class PyomoBackend(Backend):
    """Nonconvex programs, declared in Pyomo and handed over as an AMPL file."""

    def available(self, solver: str) -> str:
        return import_problem(["pyomo.environ"]) or nlp_solver_problem(solver)

    def compile(self, program: Program) -> Compiled:
        problem = import_problem(["pyomo.environ", "casadi"])
        if problem:
            raise MissingBackendError(problem)
        return on_selected_samples(program, PyomoProgram)


@final
class PyomoProgram(CompiledNlp):
    """A Pyomo model and the nonlinear program read back from its ``.nl`` file, by names."""

    def __init__(self, program: Program) -> None:
        import casadi as ca
        from pyomo.common.errors import InfeasibleConstraintException

        from lexmargin.ops.pyomo import PyomoOps, write_nl

        self.program = program
        self._plugins = {}
        began = time.perf_counter()
        self._ops = PyomoOps()
        self.model = program.build(self._ops)
        built = time.perf_counter()
        self._contradiction = ""
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = write_nl(self.model, Path(folder) / "program.nl")
            except InfeasibleConstraintException as error:
                # A margin that no parameter moves, such as that of a sample at the origin.
                self._contradiction = str(error)
                self.phases = {"build": built - began, "write": time.perf_counter() - built}
                return
            columns = path.with_suffix(".col").read_text(encoding="utf-8").splitlines()
            rows = path.with_suffix(".row").read_text(encoding="utf-8").splitlines()
            written = time.perf_counter()
            imported = ca.NlpBuilder()
            imported.import_nl(str(path), {})
        read = time.perf_counter()
        self.nlp = self._nlp(imported, columns, rows)
        done = time.perf_counter()
        self.phases = {
            "build": built - began,
            "write": written - built,
            "import": read - written,
            "expand": done - read,
        }

    def solve(
        self,
        settings: SolverSettings,
        start: Mapping[str, FloatArray] | None = None,
        parameters: Mapping[str, float] | None = None,
        multipliers: Mapping[str, FloatArray] | None = None,
    ) -> RawAnswer:
        if not self._contradiction:
            return super().solve(settings, start, parameters, multipliers)
        return RawAnswer(
            values={},
            multipliers={},
            ran=Ran.FINISHED,
            claim=Claim.INFEASIBLE,
            raw_status=self._contradiction,
            build_seconds=sum(self.phases.values()),
            phases=self.phases,
        )

    def _nlp(self, imported: Any, columns: list[str], rows: list[str]) -> Nlp:
        import casadi as ca

        # The writer orders variables and constraints as it likes: names are the only link.
        column_of = {name: i for i, name in enumerate(columns)}
        row_of = {name: i for i, name in enumerate(rows)}
        parameters = tuple(self._ops.parameters)
        fixed = {name: column_of.get(c.name) for name, c in self._ops.parameters.items()}
        free = [i for i in range(len(columns)) if i not in set(fixed.values())]
        place = {column: i for i, column in enumerate(free)}
        symbols = [
            imported.x[column] if column is not None else ca.MX.sym(f"unused_{i}")
            for i, column in enumerate(fixed.values())
        ]
        x = ca.vertcat(*[imported.x[i] for i in free])
        p = ca.vertcat(*symbols) if symbols else ca.MX(0, 1)
        g = ca.vertcat(*imported.g) if len(imported.g) else ca.MX(0, 1)
        model = ca.Function("model", [x, p], [imported.f, g]).expand()
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
        relations = self._ops.relations
        return Nlp(
            model=model,
            x_lower=np.array([imported.x_lb[i] for i in free], dtype=float),
            lower=np.array(imported.g_lb, dtype=float),
            upper=np.array(imported.g_ub, dtype=float),
            variables=variables,
            rows={
                name: Rows(
                    np.array([row_of[entry.name] for entry in c.values()], dtype=np.int64),
                    row_sign(relations[name]),
                )
                for name, c in self._ops.constraints.items()
            },
            parameters=parameters,
            scalar=True,
        )

    def _auxiliaries(self, values: Mapping[str, FloatArray]) -> Mapping[str, FloatArray]:
        if not self._ops.auxiliaries:
            return {}
        for name, value in values.items():
            component = self._ops.variables[name]
            for i, number in enumerate(np.reshape(value, -1)):
                component[i].set_value(float(number), skip_validation=True)
        return {name: start() for name, start in self._ops.auxiliaries.items()}
