"""SciPy's local methods on the derivatives CasADi generates: SLSQP and trust-constr."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, final

import numpy as np

from lexmargin.backends.base import Backend, Compiled, Found, Request, required
from lexmargin.backends.capture import captured
from lexmargin.backends.models.casadi import CasadiProgram
from lexmargin.backends.models.ipopt import Run
from lexmargin.backends.models.nlp import Evaluator, Nlp
from lexmargin.errors import ParameterError
from lexmargin.inputs.alone import quiet
from lexmargin.linalg.guarded import minimised
from lexmargin.ops.base import FloatArray
from lexmargin.program import Program
from lexmargin.solution import Claim, Ran

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

    imports = ("casadi", "scipy.optimize")

    def available(self, solver: str) -> str:
        if solver not in (_SLSQP, _TRUST):
            return f"SciPy has no constrained method {solver!r} here; use {_SLSQP} or {_TRUST}."
        return super().available(solver)

    def compile(self, program: Program) -> _ScipyProgram:
        required(["casadi"])
        return _ScipyProgram(program)


@final
class _ScipyProgram(Compiled):
    def _build(self) -> None:
        self._model = CasadiProgram(self.program)

    def _run(self, request: Request) -> Found:
        settings, nlp = request.settings, self._model.nlp
        x, p = self._model.point(request)
        self._model.prepare(request, second_order=settings.solver == _TRUST)
        method = _slsqp if settings.solver == _SLSQP else _trust_constr
        with captured(settings.verbose), np.errstate(all="ignore"):
            run = method(nlp, x, p, dict(settings.options))
        return run.found(nlp, request.values)


def _dense(evaluator: Evaluator, count: int, size: int, *arguments: Any) -> FloatArray:
    rows, columns = evaluator.structure
    matrix = np.zeros((count, size))
    matrix[rows, columns] = evaluator(*arguments)
    return matrix


def _bounds(nlp: Nlp) -> Any:
    from scipy.optimize import Bounds

    return Bounds(nlp.x_lower, np.full(nlp.x_lower.size, np.inf))


def _minimize(options: Mapping[str, Any], **arguments: Any) -> Any:
    import warnings

    from scipy.optimize import OptimizeWarning

    with quiet():
        # The one warning that matters: it would drop the option in silence.
        warnings.filterwarnings("error", message="Unknown solver options", category=OptimizeWarning)
        try:
            return minimised(options=dict(options), **arguments)
        except OptimizeWarning as error:
            raise ParameterError(f"SciPy: {error}", "Look it up in SciPy's manual.") from None


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
    found = _minimize(
        options,
        value=lambda z: float(nlp.objective(z, p)[0]),
        jac=lambda z: np.array(nlp.gradient(z, p)),
        start=x,
        method=_SLSQP,
        bounds=_bounds(nlp),
        constraints=constraints,
    )
    ran, claim = _SLSQP_CODES.get(int(found.status), (Ran.NUMERICAL, Claim.NOTHING))
    return _run(found, np.full(count, np.nan), ran, claim)


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
    found = _minimize(
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
    return _run(found, weights, ran, claim)


def _run(found: Any, weights: FloatArray, ran: Ran, claim: Claim) -> Run:
    return Run(
        x=np.asarray(found.x, dtype=float),
        multipliers=weights,
        ran=ran,
        claim=claim,
        raw_status=f"{found.status}: {found.message}",
        iterations=int(found.nit),
        log="",
    )
