"""CVXPY's own nonlinear route: its expressions, its derivatives, a nonlinear solver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

import numpy as np

from lexmargin.backends.base import Backend, Compiled, Found, Request, required
from lexmargin.backends.capture import captured
from lexmargin.errors import UnsupportedError
from lexmargin.inputs.alone import quiet
from lexmargin.ops.base import FloatArray
from lexmargin.program import Program
from lexmargin.solution import Claim, Ran

__all__ = ["CvxpyNlpBackend"]

_STATUSES: Final[Mapping[str, tuple[Ran, Claim]]] = {
    "optimal": (Ran.FINISHED, Claim.LOCALLY_OPTIMAL),
    "infeasible": (Ran.FINISHED, Claim.LOCALLY_INFEASIBLE),
    "unbounded": (Ran.FINISHED, Claim.UNBOUNDED),
    "user_limit": (Ran.ITERATION_LIMIT, Claim.NOTHING),
}


@final
class CvxpyNlpBackend(Backend):
    """Smooth programs, through ``solve(nlp=True)``; it returns no multipliers."""

    imports = (
        "cvxpy",
        "sparsediffpy",
    )

    def available(self, solver: str) -> str:
        problem = super().available(solver)
        if problem:
            return problem
        import cvxpy as cp

        with captured(), quiet():
            found = solver in cp.installed_solvers()
        return "" if found else f"{solver} is not installed for CVXPY."

    def compile(self, program: Program) -> _CvxpyNlpProgram:
        required(["cvxpy"])
        return _CvxpyNlpProgram(program)


@final
class _CvxpyNlpProgram(Compiled):
    def _build(self) -> None:
        from lexmargin.ops.cvxpy import CvxpyOps

        program = self.program
        self._ops = CvxpyOps()
        with quiet():
            self.problem = program.build(self._ops)
            accepted = self.problem.is_dnlp()
        if not accepted:
            raise UnsupportedError(
                f"CVXPY's nonlinear rules do not accept this {program.name} program.",
                "Use pyomo or casadi.",
            )

    def _run(self, request: Request) -> Found:
        settings, failure = request.settings, ""
        for name, value in request.parameters.items():
            self._ops.parameters[name].value = value
        for name, entries in request.values.items():
            self._ops.variables[name].value = entries
        with captured(settings.verbose) as output, quiet():
            try:
                self.problem.solve(
                    nlp=True, solver=settings.solver, verbose=False, **dict(settings.options)
                )
            except Exception as error:
                failure = f"{type(error).__name__}: {error}"
        if failure:
            return Found(Ran.CRASHED, failure, log=output.text)
        status = str(self.problem.status)
        ran, claim = _STATUSES.get(status, (Ran.NUMERICAL, Claim.NOTHING))
        stats = self.problem.solver_stats
        count = None if stats is None else stats.num_iters
        # Where a solver counts none, CVXPY says so in words.
        iterations = count if isinstance(count, int) else None
        values, log = self._values(), output.text
        return Found(ran, status, claim, values=values, iterations=iterations, log=log)

    def _values(self) -> dict[str, FloatArray]:
        values: dict[str, FloatArray] = {}
        for variable in self.program.variables:
            found = self._ops.variables[variable.name].value
            if found is None:
                return {}
            values[variable.name] = np.asarray(found, dtype=float).reshape(variable.shape)
        return values
