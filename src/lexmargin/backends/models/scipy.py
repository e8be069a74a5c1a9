"""SciPy's local methods on the derivatives CasADi generates: SLSQP and trust-constr."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, final

import numpy as np

from lexmargin.backends.base import (
    Backend,
    Compiled,
    checked_parameters,
    import_problem,
    starting_values,
)
from lexmargin.backends.capture import captured
from lexmargin.backends.models.casadi import CasadiProgram
from lexmargin.backends.models.ipopt import Run, answer
from lexmargin.backends.models.nlp import Evaluator, Nlp
from lexmargin.errors import MissingBackendError, ParameterError
from lexmargin.inputs.alone import quiet
from lexmargin.linalg.guarded import minimised
from lexmargin.ops.base import FloatArray
from lexmargin.program import Program
from lexmargin.solution import Claim, Ran, RawAnswer, SolverSettings

__all__ = ["ScipyBackend"]

_SLSQP: Final = "SLSQP"
_TRUST: Final = "trust-constr"

_SLSQP_CODES: Final[Mapping[int, tuple[Ran, Claim]]] = {
    0: (Ran.FINISHED, Claim.LOCALLY_OPTIMAL),
    4: (Ran.FINISHED, Claim.LOCALLY_INFEASIBLE),
    9: (Ran.ITERATION_LIMIT, Claim.NOTHING),
}
_TRUST_CODES: Final[Mapping[int, tuple[Ran, Claim]]] = {
    0: (Ran.ITERATION_LIMIT, Claim.NOTHING),
    1: (Ran.FINISHED, Claim.LOCALLY_OPTIMAL),
    # The trust radius fell below xtol: the solver counts it as success, and claims no optimum.
    2: (Ran.FINISHED, Claim.NOTHING),
}


@final
class ScipyBackend(Backend):
    """Smooth programs for ``scipy.optimize.minimize``."""

    def available(self, solver: str) -> str:
        if solver not in (_SLSQP, _TRUST):
            return f"SciPy has no constrained method {solver!r} here; use {_SLSQP} or {_TRUST}."
        return import_problem(["casadi", "scipy.optimize"])

    def compile(self, program: Program) -> _ScipyProgram:
        problem = import_problem(["casadi"])
        if problem:
            raise MissingBackendError(problem)
        return _ScipyProgram(program)


@final
class _ScipyProgram(Compiled):
    def __init__(self, program: Program) -> None:
        self.program = program
        self._model = CasadiProgram(program)

    def solve(
        self,
        settings: SolverSettings,
        start: Mapping[str, FloatArray] | None = None,
        parameters: Mapping[str, float] | None = None,
        multipliers: Mapping[str, FloatArray] | None = None,
    ) -> RawAnswer:
        nlp = self._model.nlp
        values = starting_values(self.program, start)
        numbers = checked_parameters(self.program, parameters)
        p = np.array([numbers[name] for name in nlp.parameters])
        x = nlp.vector({**values, **self._model._auxiliaries(values)})
        phases = dict(self._model.phases)
        began = time.perf_counter()
        nlp.prepare(second_order=settings.solver == _TRUST)
        phases["derivatives"] = time.perf_counter() - began
        method = _slsqp if settings.solver == _SLSQP else _trust_constr
        with captured(settings.verbose), np.errstate(all="ignore"):
            run = method(nlp, x, p, dict(settings.options))
        return answer(nlp, run, values, phases)


def _dense(evaluator: Evaluator, count: int, size: int, *arguments: Any) -> FloatArray:
    rows, columns = evaluator.structure
    matrix = np.zeros((count, size))
    matrix[rows, columns] = evaluator(*arguments)
    return matrix


def _bounds(nlp: Nlp) -> Any:
    from scipy.optimize import Bounds

    return Bounds(nlp.x_lower, np.full(nlp.x_lower.size, np.inf))


def _minimize(options: Mapping[str, Any], **arguments: Any) -> tuple[Any, float]:
    import warnings

    from scipy.optimize import OptimizeWarning

    began = time.perf_counter()
    with quiet():
        # The one warning that matters: it would drop the option in silence.
        warnings.filterwarnings("error", message="Unknown solver options", category=OptimizeWarning)
        try:
            found = minimised(options=dict(options), **arguments)
        except OptimizeWarning as error:
            raise ParameterError(f"SciPy: {error}", "Look it up in SciPy's manual.") from None
    return found, time.perf_counter() - began


def _slsqp(nlp: Nlp, x: FloatArray, p: FloatArray, options: dict[str, Any]) -> Run:
    size, count = x.size, nlp.lower.size
    equal = nlp.lower == nlp.upper
    low = ~equal & np.isfinite(nlp.lower)
    high = ~equal & np.isfinite(nlp.upper)

    def values(z: FloatArray) -> FloatArray:
        return np.array(nlp.constraints(z, p))

    def jacobian(z: FloatArray) -> FloatArray:
        return _dense(nlp.jacobian, count, size, z, p)

    constraints = []
    if equal.any():
        constraints.append(
            {
                "type": "eq",
                "fun": lambda z: (values(z) - nlp.lower)[equal],
                "jac": lambda z: jacobian(z)[equal],
            }
        )
    if low.any() or high.any():
        constraints.append(
            {
                "type": "ineq",
                "fun": lambda z: np.concatenate(
                    [(values(z) - nlp.lower)[low], (nlp.upper - values(z))[high]]
                ),
                "jac": lambda z: np.concatenate([jacobian(z)[low], -jacobian(z)[high]]),
            }
        )
    found, seconds = _minimize(
        options,
        value=lambda z: float(nlp.objective(z, p)[0]),
        jac=lambda z: np.array(nlp.gradient(z, p)),
        start=x,
        method=_SLSQP,
        bounds=_bounds(nlp),
        constraints=constraints,
    )
    ran, claim = _SLSQP_CODES.get(int(found.status), (Ran.NUMERICAL, Claim.NOTHING))
    return _run(found, np.full(count, np.nan), ran, claim, seconds)


def _trust_constr(nlp: Nlp, x: FloatArray, p: FloatArray, options: dict[str, Any]) -> Run:
    from scipy.optimize import NonlinearConstraint

    size, count = x.size, nlp.lower.size
    nothing = np.zeros(count)

    def curvature(z: FloatArray, factor: float, weights: FloatArray) -> FloatArray:
        lower = _dense(nlp.hessian, size, size, z, p, factor, weights)
        return np.asarray(lower + lower.T - np.diag(np.diag(lower)))

    constraint = NonlinearConstraint(
        lambda z: np.array(nlp.constraints(z, p)),
        nlp.lower,
        nlp.upper,
        jac=lambda z: _dense(nlp.jacobian, count, size, z, p),
        hess=lambda z, v: curvature(z, 0.0, v),
    )
    bounded = bool(np.isfinite(nlp.x_lower).any())
    found, seconds = _minimize(
        options,
        value=lambda z: float(nlp.objective(z, p)[0]),
        jac=lambda z: np.array(nlp.gradient(z, p)),
        hess=lambda z: curvature(z, 1.0, nothing),
        start=x,
        method=_TRUST,
        bounds=_bounds(nlp) if bounded else None,
        constraints=[constraint] if count else [],
    )
    ran, claim = _TRUST_CODES.get(int(found.status), (Ran.NUMERICAL, Claim.NOTHING))
    weights = np.asarray(found.v[0], dtype=float) if count and found.v else nothing
    return _run(found, weights, ran, claim, seconds)


def _run(found: Any, weights: FloatArray, ran: Ran, claim: Claim, seconds: float) -> Run:
    return Run(
        x=np.asarray(found.x, dtype=float),
        multipliers=weights,
        ran=ran,
        claim=claim,
        raw_status=f"{found.status}: {found.message}",
        iterations=int(found.nit),
        seconds=seconds,
        log="",
    )
