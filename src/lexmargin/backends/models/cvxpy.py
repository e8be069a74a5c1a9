"""The convex route: CVXPY compiles the program, any solver it knows answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Final, final

import numpy as np

from lexmargin.backends.base import Backend, Compiled, Found, Request, required
from lexmargin.backends.capture import captured
from lexmargin.errors import UnsupportedError
from lexmargin.inputs.alone import quiet
from lexmargin.ops.base import FloatArray, Relation
from lexmargin.program import Program
from lexmargin.solution import Claim, Ran

__all__ = ["CVXPY_STATUSES", "CvxpyBackend", "CvxpyModel", "CvxpyProgram"]

CVXPY_STATUSES: Final[Mapping[str, tuple[Ran, Claim]]] = {
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

    imports = ("cvxpy",)

    def available(self, solver: str) -> str:
        problem = super().available(solver)
        if problem:
            return problem
        return "" if solver in _installed() else _not_installed(solver)

    def compile(self, program: Program) -> CvxpyProgram:
        required(["cvxpy"])
        return CvxpyProgram(program)


class CvxpyModel(Compiled):
    """A CVXPY problem, whatever solves it."""

    def _build(self) -> None:
        from lexmargin.ops.cvxpy import CvxpyOps

        self._ops = CvxpyOps()
        with quiet():
            self.problem = self.program.build(self._ops)
            self._accept()

    @abstractmethod
    def _accept(self) -> None:
        """Raise :class:`UnsupportedError` where CVXPY's rules do not accept the problem."""

    def _enter(self, request: Request, started: bool) -> None:
        """Give parameters their values, and variables theirs where the solver is to start there."""
        for name, value in request.parameters.items():
            self._ops.parameters[name].value = value
        for name, variable in self._ops.variables.items():
            variable.value = request.values[name] if started else None

    def _values(self) -> dict[str, FloatArray]:
        values: dict[str, FloatArray] = {}
        for variable in self.program.variables:
            found = self._ops.variables[variable.name].value
            if found is None:
                return {}
            values[variable.name] = np.asarray(found, dtype=float).reshape(variable.shape)
        return values


@final
class CvxpyProgram(CvxpyModel):
    """A convex problem; it is canonicalised at its first solve and keeps that for the others."""

    def _accept(self) -> None:
        if not self.problem.is_dcp():
            raise UnsupportedError(
                f"CVXPY does not accept this {self.program.name} program: {self._reason()}.",
                "Use a nonconvex backend (pyomo or casadi).",
            )

    def _reason(self) -> str:
        wrong = [name for name, c in self._ops.constraints.items() if not c.is_dcp()]
        if not self.problem.objective.is_dcp():
            wrong.append("objective")
        return f"not disciplined convex: {', '.join(wrong)}"

    def _run(self, request: Request) -> Found:
        import cvxpy as cp

        settings = request.settings
        self._enter(request, request.started)
        for constraint in self.problem.constraints:
            for dual in constraint.dual_variables:
                dual.save_value(None)
        failure = ""
        crashed = False
        known = self.problem.compilation_time
        with captured(settings.verbose) as output, quiet():
            try:
                # Without a start the solve is independent of earlier ones.
                self.problem.solve(
                    solver=settings.solver,
                    verbose=settings.verbose,
                    warm_start=request.started,
                    **dict(settings.options),
                )
            except cp.error.SolverError as error:
                failure = str(error)
            except Exception as error:
                failure, crashed = f"{type(error).__name__}: {error}", True
        if failure:
            return self._failed(request, failure, crashed, output.text)
        compiled = self.problem.compilation_time or 0.0
        request.watch.share("compile", 0.0 if known == compiled else compiled)
        return self._found(request, output.text)

    def _failed(self, request: Request, failure: str, crashed: bool, log: str) -> Found:
        settings = request.settings
        if settings.solver not in _installed():
            return Found(Ran.MISSING, _not_installed(settings.solver), log=log)
        if not crashed and any(part in failure.lower() for part in _UNSUITABLE):
            raise UnsupportedError(
                f"{settings.solver} cannot solve this {self.program.name} program: {failure}",
                "Choose a solver for such programs, for example CLARABEL.",
            )
        if not crashed and "not installed" in failure:
            return Found(Ran.MISSING, failure, log=log)
        ran = Ran.CRASHED if crashed else Ran.NUMERICAL
        if request.late and not crashed:
            ran = Ran.TIME_LIMIT
        return Found(ran, failure, log=log)

    def _found(self, request: Request, log: str) -> Found:
        status = str(self.problem.status)
        ran, claim = CVXPY_STATUSES.get(status, (Ran.NUMERICAL, Claim.NOTHING))
        limit, seconds = request.settings.time_limit, request.seconds
        seconds -= request.watch.phases["compile"]
        # CVXPY has one word for both limits; only the clock tells them apart.
        if status == "user_limit" and limit is not None and seconds >= 0.9 * limit:
            ran = Ran.TIME_LIMIT
        stats = self.problem.solver_stats
        iterations = None if stats is None or stats.num_iters is None else int(stats.num_iters)
        own = None if stats is None or stats.solve_time is None else float(stats.solve_time)
        return Found(
            ran,
            status,
            claim,
            values=self._values(),
            multipliers=self._multipliers(),
            iterations=iterations,
            log=log,
            solver_seconds=own,
        )

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
