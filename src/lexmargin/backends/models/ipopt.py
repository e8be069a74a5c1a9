"""Ipopt through cyipopt: statuses, options, callbacks, and answers by name."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from lexmargin.backends.base import Found, Request
from lexmargin.backends.capture import captured
from lexmargin.backends.models.nlp import Nlp
from lexmargin.errors import ParameterError
from lexmargin.inputs.interrupts import Kept, interrupts_kept
from lexmargin.linalg.guarded import entering
from lexmargin.ops.base import FloatArray, IntArray
from lexmargin.solution import Claim, Ran, SolverSettings

__all__ = [
    "IPOPT_STATUSES",
    "Run",
    "ipopt_options",
    "run_cyipopt",
]

IPOPT_STATUSES: Final[Mapping[str, tuple[int, Ran, Claim]]] = {
    "Solve_Succeeded": (0, Ran.FINISHED, Claim.LOCALLY_OPTIMAL),
    "Solved_To_Acceptable_Level": (1, Ran.NUMERICAL, Claim.NOTHING),
    "Infeasible_Problem_Detected": (2, Ran.FINISHED, Claim.LOCALLY_INFEASIBLE),
    "Search_Direction_Becomes_Too_Small": (3, Ran.NUMERICAL, Claim.NOTHING),
    "Diverging_Iterates": (4, Ran.FINISHED, Claim.UNBOUNDED),
    "User_Requested_Stop": (5, Ran.NUMERICAL, Claim.NOTHING),
    "Feasible_Point_Found": (6, Ran.FINISHED, Claim.NOTHING),
    "Maximum_Iterations_Exceeded": (-1, Ran.ITERATION_LIMIT, Claim.NOTHING),
    "Restoration_Failed": (-2, Ran.NUMERICAL, Claim.NOTHING),
    "Error_In_Step_Computation": (-3, Ran.NUMERICAL, Claim.NOTHING),
    "Maximum_CpuTime_Exceeded": (-4, Ran.TIME_LIMIT, Claim.NOTHING),
    "Maximum_WallTime_Exceeded": (-5, Ran.TIME_LIMIT, Claim.NOTHING),
    "Not_Enough_Degrees_Of_Freedom": (-10, Ran.NUMERICAL, Claim.NOTHING),
    "Invalid_Problem_Definition": (-11, Ran.NUMERICAL, Claim.NOTHING),
    "Invalid_Option": (-12, Ran.CRASHED, Claim.NOTHING),
    "Invalid_Number_Detected": (-13, Ran.NUMERICAL, Claim.NOTHING),
    "Unrecoverable_Exception": (-100, Ran.CRASHED, Claim.NOTHING),
    "NonIpopt_Exception_Thrown": (-101, Ran.CRASHED, Claim.NOTHING),
    "Insufficient_Memory": (-102, Ran.CRASHED, Claim.NOTHING),
    "Internal_Error": (-199, Ran.CRASHED, Claim.NOTHING),
}
"""Ipopt's return codes by name; "acceptable" means that its tolerances were not met."""

_NAMES: Final = {code: name for name, (code, _, _) in IPOPT_STATUSES.items()}

_WARM_START: Final[Mapping[str, float | str]] = {
    "warm_start_init_point": "yes",
    "warm_start_bound_push": 1e-9,
    "warm_start_bound_frac": 1e-9,
    "warm_start_slack_bound_push": 1e-9,
    "warm_start_slack_bound_frac": 1e-9,
    "warm_start_mult_bound_push": 1e-9,
    "mu_init": 1e-6,
}
"""A warm start that stays where it is put; Ipopt's own defaults push it away by 1e-3."""


@final
@dataclass(frozen=True)
class Run:
    """What a nonlinear solver returned, in its own vectors."""

    x: FloatArray
    multipliers: FloatArray
    ran: Ran
    claim: Claim
    raw_status: str
    iterations: int | None
    log: str

    def found(self, nlp: Nlp, start: Mapping[str, FloatArray]) -> Found:
        """Return the same by names; variables that the solver does not see stay at the start."""
        rows = {} if self.ran is Ran.CRASHED else nlp.rows
        return Found(
            self.ran,
            self.raw_status,
            self.claim,
            values={} if self.ran is Ran.CRASHED else nlp.values(self.x, start),
            multipliers={name: r.sign * self.multipliers[r.indices] for name, r in rows.items()},
            iterations=self.iterations,
            log=self.log,
        )


def ipopt_options(settings: SolverSettings, warm: bool) -> dict[str, float | int | str]:
    """Return Ipopt's options: silent unless verbose, warm-started if multipliers are given.

    By itself Ipopt also takes options from a file ``ipopt.opt`` in the current folder.
    """
    options: dict[str, float | int | str] = {"print_level": 0, "sb": "yes", "option_file_name": ""}
    if warm:
        options |= _WARM_START
    if settings.time_limit is not None:
        options["max_wall_time"] = float(settings.time_limit)
    for name, value in settings.options.items():
        options[name] = ("yes" if value else "no") if isinstance(value, bool) else value
    limit = settings.time_limit
    if limit is not None:
        # A profile writes the limit of the whole run; a later round has less.
        options["max_wall_time"] = min(float(options["max_wall_time"]), float(limit))
    if settings.verbose:
        options["print_level"] = 5
    return options


@final
class _OutOfTime(Exception):
    """The deadline passed inside a callback."""


@final
class _Callbacks:
    """cyipopt's view of a program; the first exception ends the solve and is kept.

    cyipopt itself drops exceptions raised by the Hessian and goes on with garbage.
    """

    def __init__(self, nlp: Nlp, p: FloatArray, deadline: float) -> None:
        self._nlp = nlp
        self._p = p
        self._deadline = deadline
        self.error: BaseException | None = None
        self.kept = Kept()
        self.iterations = 0

    @property
    def _runs(self) -> bool:
        return self.error is None and self.kept.error is None

    def _guarded(self, compute: Callable[[], FloatArray], size: int) -> FloatArray:
        if self._runs:
            try:
                if time.perf_counter() > self._deadline:
                    raise _OutOfTime
                return compute()
            except BaseException as error:
                self.error = error
        return np.full(size, np.nan)

    def objective(self, x: FloatArray) -> float:
        return float(self._guarded(lambda: self._nlp.objective(x, self._p), 1)[0])

    def gradient(self, x: FloatArray) -> FloatArray:
        return self._guarded(lambda: self._nlp.gradient(x, self._p), x.size)

    def constraints(self, x: FloatArray) -> FloatArray:
        return self._guarded(lambda: self._nlp.constraints(x, self._p), self._nlp.lower.size)

    def jacobianstructure(self) -> tuple[IntArray, IntArray]:
        return self._nlp.jacobian.structure

    def jacobian(self, x: FloatArray) -> FloatArray:
        size = self._nlp.jacobian.structure[0].size
        return self._guarded(lambda: self._nlp.jacobian(x, self._p), size)

    def hessianstructure(self) -> tuple[IntArray, IntArray]:
        return self._nlp.hessian.structure

    def hessian(self, x: FloatArray, multipliers: FloatArray, factor: float) -> FloatArray:
        size = self._nlp.hessian.structure[0].size
        return self._guarded(lambda: self._nlp.hessian(x, self._p, factor, multipliers), size)

    def intermediate(self, *state: float) -> bool:
        self.iterations = int(state[1])
        return self._runs


@final
class _FirstOrderCallbacks:
    """The same without a Hessian, so that none is compiled for L-BFGS."""

    def __init__(self, callbacks: _Callbacks) -> None:
        self.objective = callbacks.objective
        self.gradient = callbacks.gradient
        self.constraints = callbacks.constraints
        self.jacobianstructure = callbacks.jacobianstructure
        self.jacobian = callbacks.jacobian
        self.intermediate = callbacks.intermediate


def run_cyipopt(
    nlp: Nlp, request: Request, x: FloatArray, p: FloatArray, multipliers: FloatArray | None
) -> Run:
    """Solve from x with Ipopt through cyipopt.

    Raises:
        ParameterError: an option that Ipopt does not know.
        KeyboardInterrupt: raised during the solve, after Ipopt has stopped.
    """
    import cyipopt

    entering(x, p)
    settings = request.settings
    options = ipopt_options(settings, multipliers is not None)
    callbacks = _Callbacks(nlp, p, request.deadline)
    first_order = options.get("hessian_approximation") == "limited-memory"
    with captured(settings.verbose) as output:
        problem = cyipopt.Problem(
            n=x.size,
            m=nlp.lower.size,
            problem_obj=_FirstOrderCallbacks(callbacks) if first_order else callbacks,
            lb=nlp.x_lower,
            ub=np.full(x.size, np.inf),
            cl=nlp.lower,
            cu=nlp.upper,
        )
        try:
            for name, value in options.items():
                _add_option(problem, name, value)
            lagrange: Any = [] if multipliers is None else multipliers
            with interrupts_kept() as callbacks.kept:
                found, info = problem.solve(x, lagrange=lagrange)
        finally:
            problem.close()
    raw = _NAMES.get(int(info["status"]), f"Ipopt status {info['status']}")
    _, ran, claim = IPOPT_STATUSES.get(raw, (0, Ran.CRASHED, Claim.NOTHING))
    error = callbacks.error
    if isinstance(error, _OutOfTime):
        ran, claim, raw = Ran.TIME_LIMIT, Claim.NOTHING, "Maximum_WallTime_Exceeded"
    elif isinstance(error, Exception):
        ran, claim, raw = Ran.CRASHED, Claim.NOTHING, f"{type(error).__name__}: {error}"
    elif error is not None:
        raise error
    return Run(
        x=np.asarray(found, dtype=float),
        multipliers=np.asarray(info["mult_g"], dtype=float),
        ran=ran,
        claim=claim,
        raw_status=raw,
        iterations=callbacks.iterations,
        log=output.text,
    )


def _add_option(problem: Any, name: str, value: float | int | str) -> None:
    # Ipopt tells integer options from real ones; a profile may write 1 for 1.0.
    candidates = [value, float(value)] if isinstance(value, int) else [value]
    for candidate in candidates:
        try:
            problem.add_option(name, candidate)
        except TypeError:
            continue
        return
    raise ParameterError(
        f"Ipopt refuses the option {name} = {value!r}.", "Look it up in Ipopt's list of options."
    )
