"""The convex route: CVXPY compiles the program, any solver it knows answers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, final

import numpy as np

from lexmargin.backends.base import (
    Backend,
    Compiled,
    checked_parameters,
    import_problem,
    no_answer,
    starting_values,
)
from lexmargin.backends.capture import captured
from lexmargin.errors import MissingBackendError, UnsupportedError
from lexmargin.inputs.alone import quiet
from lexmargin.ops.base import FloatArray, Relation
from lexmargin.program import Program
from lexmargin.solution import Claim, Ran, RawAnswer, SolverSettings

__all__ = ["CvxpyBackend", "CvxpyProgram"]

_STATUSES: Final[Mapping[str, tuple[Ran, Claim]]] = {
    "optimal": (Ran.FINISHED, Claim.OPTIMAL),
    "infeasible": (Ran.FINISHED, Claim.INFEASIBLE),
    "unbounded": (Ran.FINISHED, Claim.UNBOUNDED),
    "infeasible_or_unbounded": (Ran.FINISHED, Claim.NOTHING),
    # "inaccurate" says that the solver's own tolerances were not met: it claims nothing.
    "optimal_inaccurate": (Ran.NUMERICAL, Claim.NOTHING),
    "infeasible_inaccurate": (Ran.NUMERICAL, Claim.NOTHING),
    "unbounded_inaccurate": (Ran.NUMERICAL, Claim.NOTHING),
    "user_limit": (Ran.ITERATION_LIMIT, Claim.NOTHING),
    "solver_error": (Ran.NUMERICAL, Claim.NOTHING),
}

_UNSUITABLE: Final = (
    "do not support",
    "does not support",
    "cannot be used",
    "cannot solve",
    "cannot handle",
    "not able to solve",
    "could not be reduced",
    "incompatible",
    "no solvers",
)
"""Fragments of CVXPY's errors for a solver outside its class of programs."""


@final
class CvxpyBackend(Backend):
    """Disciplined convex programs, through CVXPY."""

    def available(self, solver: str) -> str:
        problem = import_problem(["cvxpy"])
        if problem:
            return problem
        return "" if solver in _installed() else _not_installed(solver)

    def compile(self, program: Program) -> CvxpyProgram:
        problem = import_problem(["cvxpy"])
        if problem:
            raise MissingBackendError(problem)
        return CvxpyProgram(program)


@final
class CvxpyProgram(Compiled):
    """A CVXPY problem; it is canonicalised at its first solve and keeps that for the others."""

    def __init__(self, program: Program) -> None:
        from lexmargin.ops.cvxpy import CvxpyOps

        began = time.perf_counter()
        self.program = program
        self._ops = CvxpyOps()
        with quiet():
            self.problem = program.build(self._ops)
            convex = self.problem.is_dcp()
        if not convex:
            raise UnsupportedError(
                f"CVXPY does not accept this {program.name} program: {self._reason()}.",
                "Use a nonconvex backend (pyomo or casadi).",
            )
        self._build_seconds = time.perf_counter() - began

    def _reason(self) -> str:
        wrong = [name for name, c in self._ops.constraints.items() if not c.is_dcp()]
        if not self.problem.objective.is_dcp():
            wrong.append("objective")
        return f"not disciplined convex: {', '.join(wrong)}"

    def solve(
        self,
        settings: SolverSettings,
        start: Mapping[str, FloatArray] | None = None,
        parameters: Mapping[str, float] | None = None,
        multipliers: Mapping[str, FloatArray] | None = None,
    ) -> RawAnswer:
        import cvxpy as cp

        for name, value in checked_parameters(self.program, parameters).items():
            self._ops.parameters[name].value = value
        values = starting_values(self.program, start)
        for name, variable in self._ops.variables.items():
            variable.value = values[name] if start is not None else None
        for constraint in self.problem.constraints:
            for dual in constraint.dual_variables:
                dual.save_value(None)
        failure = ""
        crashed = False
        known = self.problem.compilation_time
        began = time.perf_counter()
        with captured(settings.verbose) as output, quiet():
            try:
                # Without a start the solve is independent of earlier ones.
                self.problem.solve(
                    solver=settings.solver,
                    verbose=settings.verbose,
                    warm_start=start is not None,
                    **dict(settings.options),
                )
            except cp.error.SolverError as error:
                failure = str(error)
            except Exception as error:
                failure, crashed = f"{type(error).__name__}: {error}", True
        seconds = time.perf_counter() - began
        if failure:
            return self._failed(settings, failure, crashed, output.text, seconds)
        compiled = self.problem.compilation_time or 0.0
        if known == compiled:
            compiled = 0.0
        return self._answer(settings, output.text, seconds - compiled, compiled)

    def _failed(
        self, settings: SolverSettings, failure: str, crashed: bool, log: str, seconds: float
    ) -> RawAnswer:
        if settings.solver not in _installed():
            return no_answer(Ran.MISSING, _not_installed(settings.solver), log=log)
        if not crashed and any(part in failure.lower() for part in _UNSUITABLE):
            raise UnsupportedError(
                f"{settings.solver} cannot solve this {self.program.name} program: {failure}",
                "Choose a solver for such programs, for example CLARABEL.",
            )
        if not crashed and "not installed" in failure:
            return no_answer(Ran.MISSING, failure, log=log)
        ran = Ran.CRASHED if crashed else Ran.NUMERICAL
        if settings.time_limit is not None and not crashed and seconds >= settings.time_limit:
            ran = Ran.TIME_LIMIT
        return no_answer(ran, failure, log=log, solve_seconds=seconds)

    def _answer(
        self, settings: SolverSettings, log: str, seconds: float, compiled: float
    ) -> RawAnswer:
        status = str(self.problem.status)
        ran, claim = _STATUSES.get(status, (Ran.NUMERICAL, Claim.NOTHING))
        limit = settings.time_limit
        # CVXPY has one word for both limits; only the clock tells them apart.
        if status == "user_limit" and limit is not None and seconds >= 0.9 * limit:
            ran = Ran.TIME_LIMIT
        stats = self.problem.solver_stats
        iterations = None if stats is None or stats.num_iters is None else int(stats.num_iters)
        phases = {"build": self._build_seconds, "compile": compiled}
        if stats is not None and stats.solve_time is not None:
            phases["solver"] = float(stats.solve_time)
        return RawAnswer(
            values=self._values(),
            multipliers=self._multipliers(),
            ran=ran,
            claim=claim,
            raw_status=status,
            iterations=iterations,
            build_seconds=self._build_seconds + compiled,
            solve_seconds=seconds,
            phases=phases,
            log=log,
        )

    def _values(self) -> dict[str, FloatArray]:
        values: dict[str, FloatArray] = {}
        for variable in self.program.variables:
            found = self._ops.variables[variable.name].value
            if found is None:
                return {}
            values[variable.name] = np.asarray(found, dtype=float).reshape(variable.shape)
        return values

    def _multipliers(self) -> dict[str, FloatArray]:
        multipliers: dict[str, FloatArray] = {}
        for constraint in self.program.constraints:
            found = self._ops.constraints[constraint.name].dual_value
            if found is None or np.size(found) == 0:
                continue
            # CVXPY adds y (left - right) for an equality.
            sign = -1.0 if constraint.relation is Relation.EQUAL else 1.0
            multipliers[constraint.name] = sign * np.atleast_1d(np.asarray(found, dtype=float))
        return multipliers


def _installed() -> list[str]:
    import cvxpy as cp

    with captured(), quiet():
        return list(cp.installed_solvers())


def _not_installed(solver: str) -> str:
    return f"{solver} is not installed; install it, or choose one of: {', '.join(_installed())}."
