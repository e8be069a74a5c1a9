"""Any solver that Pyomo knows: the model goes to Pyomo's own interface of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from typing import Any, Final, final

import numpy as np

from lexmargin.backends.base import Backend, Compiled, Found, Request, required
from lexmargin.backends.capture import captured
from lexmargin.ops.base import FloatArray, Sense
from lexmargin.program import Program
from lexmargin.solution import Claim, Ran

__all__ = ["PYOMO_CONDITIONS", "PyomoSolverBackend"]

PYOMO_CONDITIONS: Final[Mapping[str, tuple[Ran, Claim]]] = {
    "optimal": (Ran.FINISHED, Claim.OPTIMAL),
    "globallyOptimal": (Ran.FINISHED, Claim.OPTIMAL),
    "locallyOptimal": (Ran.FINISHED, Claim.LOCALLY_OPTIMAL),
    "infeasible": (Ran.FINISHED, Claim.INFEASIBLE),
    "unbounded": (Ran.FINISHED, Claim.UNBOUNDED),
    "maxIterations": (Ran.ITERATION_LIMIT, Claim.NOTHING),
    "maxTimeLimit": (Ran.TIME_LIMIT, Claim.NOTHING),
}


@final
class PyomoSolverBackend(Backend):
    """Programs for a solver of Pyomo's ``SolverFactory``, by its name there."""

    imports = ("pyomo.environ",)

    def available(self, solver: str) -> str:
        problem = super().available(solver)
        if problem:
            return problem
        from pyomo.opt import SolverFactory

        with captured():
            if solver not in SolverFactory:
                return f"Pyomo knows no solver {solver!r}."
            try:
                known = _solver(solver)
                found = known is not None and bool(known.available(exception_flag=False))
            except Exception as error:
                return f"Pyomo cannot use {solver}: {error}"
        return "" if found else f"Pyomo finds no {solver} here; install it."

    def compile(self, program: Program) -> _PyomoModel:
        required(["pyomo.environ"])
        return _PyomoModel(program)


def _solver(name: str) -> Any:
    """Return Pyomo's solver; its executable, if it has one, is from PATH; None if it is not there.

    Pyomo itself looks into the current folder first: what lies there would run.
    """
    from pyomo.opt import SolverFactory
    from pyomo.opt.solver import SystemCallSolver

    solver = SolverFactory(name)
    if isinstance(solver, SystemCallSolver):
        found = solver.executable()
        if found and os.path.dirname(os.path.abspath(found)) == os.getcwd():
            elsewhere = shutil.which(os.path.basename(found))
            if elsewhere is None:
                return None
            solver.set_executable(elsewhere)
    return solver


@final
class _PyomoModel(Compiled):
    def _build(self) -> None:
        from lexmargin.ops.pyomo import PyomoOps

        self._ops = PyomoOps()
        self.model = self.program.build(self._ops)

    def _run(self, request: Request) -> Found:
        settings = request.settings
        for name, number in request.parameters.items():
            self._ops.parameters[name].fix(number)
        for name, value in request.values.items():
            component = self._ops.variables[name]
            for entry, number in zip(component.values(), np.reshape(value, -1), strict=True):
                entry.set_value(float(number), skip_validation=True)
        with captured(settings.verbose) as output:
            try:
                solver = _solver(settings.solver)
                if solver is None:
                    return Found(Ran.CRASHED, f"There is no {settings.solver} on PATH.")
                for name, option in settings.options.items():
                    solver.options[name] = option
                found = solver.solve(self.model, load_solutions=False)
                condition = str(found.solver.termination_condition)
                ran, claim = PYOMO_CONDITIONS.get(condition, (Ran.NUMERICAL, Claim.NOTHING))
                values = self._values(found) if ran is Ran.FINISHED else {}
                objective, bound = self._bound(found)
            except Exception as error:
                return Found(Ran.CRASHED, f"{type(error).__name__}: {error}")
        return Found(
            ran,
            condition,
            claim,
            values=values,
            log=output.text,
            objective=objective,
            bound=bound,
        )

    def _bound(self, found: Any) -> tuple[float | None, float | None]:
        """Return the solver's objective and its bound over all points; None where it has none."""
        ends = [found.problem.lower_bound, found.problem.upper_bound]
        if not all(isinstance(end, (int, float)) and np.isfinite(end) for end in ends):
            return None, None
        low, high = (float(end) for end in ends)
        return (low, high) if self.program.sense is Sense.MAXIMIZE else (high, low)

    def _values(self, found: Any) -> dict[str, FloatArray]:
        if not len(found.solution):
            return {}
        self.model.solutions.load_from(found)
        values: dict[str, FloatArray] = {}
        for variable in self.program.variables:
            entries = [entry.value for entry in self._ops.variables[variable.name].values()]
            if any(entry is None for entry in entries):
                return {}
            values[variable.name] = np.array(entries, dtype=float).reshape(variable.shape)
        return values
