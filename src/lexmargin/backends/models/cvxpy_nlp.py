"""CVXPY's own nonlinear route: its expressions, its derivatives, a nonlinear solver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

from lexmargin.backends.base import Backend, Found, Request, required
from lexmargin.backends.capture import captured
from lexmargin.backends.models.cvxpy import CvxpyModel
from lexmargin.errors import UnsupportedError
from lexmargin.inputs.alone import quiet
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
class _CvxpyNlpProgram(CvxpyModel):
    def _accept(self) -> None:
        if not self.problem.is_dnlp():
            raise UnsupportedError(
                f"CVXPY's nonlinear rules do not accept this {self.program.name} program.",
                "Use pyomo or casadi.",
            )

    def _run(self, request: Request) -> Found:
        settings, failure = request.settings, ""
        self._enter(request, started=True)
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
