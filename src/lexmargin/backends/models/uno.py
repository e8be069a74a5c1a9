"""Uno through its own Python interface, on the derivatives CasADi generates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

import numpy as np

from lexmargin.backends.base import Backend, Compiled, Found, Request, required
from lexmargin.backends.capture import captured
from lexmargin.backends.models.casadi import CasadiProgram
from lexmargin.backends.models.ipopt import Run
from lexmargin.backends.models.nlp import Nlp
from lexmargin.errors import ParameterError
from lexmargin.ops.base import FloatArray
from lexmargin.program import Program
from lexmargin.solution import Claim, Ran, SolverSettings

__all__ = ["UnoBackend"]

_ENDS: Final[Mapping[str, Ran]] = {
    "SUCCESS": Ran.FINISHED,
    "ITERATION_LIMIT": Ran.ITERATION_LIMIT,
    "TIME_LIMIT": Ran.TIME_LIMIT,
}
_CLAIMS: Final[Mapping[str, Claim]] = {
    "FEASIBLE_KKT_POINT": Claim.LOCALLY_OPTIMAL,
    "INFEASIBLE_STATIONARY_POINT": Claim.LOCALLY_INFEASIBLE,
    "UNBOUNDED": Claim.UNBOUNDED,
    "UNBOUNDED_OBJECTIVE": Claim.UNBOUNDED,
}
"""Fritz John points and small steps claim no optimum; Uno tells them apart, so do we."""


@final
class UnoBackend(Backend):
    """Smooth programs for Uno; the solver's name is the preset."""

    imports = ("casadi", "unopy")

    def compile(self, program: Program) -> _UnoProgram:
        required(["casadi"])
        return _UnoProgram(program)


@final
class _UnoProgram(Compiled):
    def _build(self) -> None:
        self._model = CasadiProgram(self.program)

    def _run(self, request: Request) -> Found:
        settings, nlp = request.settings, self._model.nlp
        x, p = self._model.point(request)
        self._model.prepare(request, second_order=True)
        with captured(settings.verbose):
            run = _optimized(nlp, settings, x, p)
        return run.found(nlp, request.values)


def _optimized(nlp: Nlp, settings: SolverSettings, x: FloatArray, p: FloatArray) -> Run:
    import unopy

    count = nlp.lower.size
    model = unopy.Model(
        unopy.PROBLEM_NONLINEAR,
        x.size,
        nlp.x_lower,
        np.full(x.size, np.inf),
        unopy.ZERO_BASED_INDEXING,
    )

    def copied(evaluate: Any) -> Any:
        def callback(z: FloatArray, out: FloatArray) -> None:
            out[:] = evaluate(np.asarray(z), p)

        return callback

    def hessian(z: FloatArray, factor: float, weights: FloatArray, out: FloatArray) -> None:
        out[:] = nlp.hessian(np.asarray(z), p, factor, np.asarray(weights))

    model.set_objective(
        unopy.MINIMIZE, lambda z: float(nlp.objective(np.asarray(z), p)[0]), copied(nlp.gradient)
    )
    if count:
        rows, columns = nlp.jacobian.structure
        model.set_constraints(
            count,
            copied(nlp.constraints),
            nlp.lower,
            nlp.upper,
            rows.size,
            rows.astype(np.int32),
            columns.astype(np.int32),
            copied(nlp.jacobian),
        )
    rows, columns = nlp.hessian.structure
    model.set_lagrangian_hessian(
        rows.size,
        unopy.LOWER_TRIANGLE,
        rows.astype(np.int32),
        columns.astype(np.int32),
        hessian,
    )
    model.set_lagrangian_sign_convention(unopy.MULTIPLIER_POSITIVE)
    model.set_initial_primal_iterate(x)
    solver = unopy.UnoSolver()
    solver.set_preset(settings.solver)
    for name, value in settings.options.items():
        _set(solver, name, value)
    found = solver.optimize(model)
    end = str(found.optimization_status).rpartition(".")[2]
    point = str(found.solution_status).rpartition(".")[2]
    ran = _ENDS.get(end, Ran.NUMERICAL)
    claim = _CLAIMS.get(point, Claim.NOTHING) if ran is Ran.FINISHED else Claim.NOTHING
    duals = np.asarray(list(found.constraint_dual_solution), dtype=float)
    return Run(
        x=np.asarray(list(found.primal_solution), dtype=float),
        multipliers=duals if duals.size == count else np.full(count, np.nan),
        ran=ran,
        claim=claim,
        raw_status=f"{end}, {point}",
        iterations=int(found.number_iterations),
        log="",
    )


def _set(solver: Any, name: str, value: float | int | str | bool) -> None:
    # Uno tells integers from reals; a profile may write 1 for 1.0.
    candidates = [value, float(value)] if isinstance(value, int) else [value]
    for candidate in candidates:
        try:
            solver.set_option(name, candidate)
        except (TypeError, ValueError, RuntimeError):
            continue
        return
    raise ParameterError(f"Uno refuses the option {name} = {value!r}.", "See Uno's options.")
