"""Nonlinear programs in CasADi form with exact derivatives, and the cyipopt runner."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from lexmargin.backends.capture import captured
from lexmargin.errors import ParameterError, ShapeError, UnknownNameError, nearest
from lexmargin.ops.base import FloatArray, IntArray, Relation
from lexmargin.solution import Claim, Ran, RawAnswer, SolverSettings

__all__ = [
    "IPOPT_STATUSES",
    "Evaluator",
    "Nlp",
    "Rows",
    "Run",
    "Slot",
    "answer",
    "ipopt_options",
    "multiplier_vector",
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
class Slot:
    """Where the entries of a variable stand in x, in the order of its flattened array."""

    indices: IntArray
    shape: tuple[int, ...]


@final
@dataclass(frozen=True)
class Rows:
    """Where the entries of a constraint stand in g; ``sign`` turns Ipopt's multiplier into λ."""

    indices: IntArray
    sign: float


@final
@dataclass(frozen=True)
class Evaluator:
    """A CasADi function called on NumPy buffers, without conversions."""

    function: Any

    @functools.cached_property
    def _buffers(self) -> tuple[Any, Any, list[FloatArray], FloatArray]:
        buffer, trigger = self.function.buffer()
        inputs = [
            np.zeros(max(1, self.function.nnz_in(i))) for i in range(self.function.n_in())
        ]
        output = np.zeros(max(1, self.function.nnz_out(0)))
        for i, array in enumerate(inputs):
            buffer.set_arg(i, memoryview(array))
        buffer.set_res(0, memoryview(output))
        return buffer, trigger, inputs, output

    def __call__(self, *arguments: Any) -> FloatArray:
        """Return the nonzeros of the output, column by column; the array is reused."""
        _, trigger, inputs, output = self._buffers
        for array, argument in zip(inputs, arguments, strict=True):
            array[: np.size(argument)] = argument
        trigger()
        return output[: self.function.nnz_out(0)]

    @functools.cached_property
    def structure(self) -> tuple[IntArray, IntArray]:
        """Rows and columns of the nonzeros, in the order of the values."""
        rows, columns = self.function.sparsity_out(0).get_triplet()
        return np.asarray(rows, dtype=np.int64), np.asarray(columns, dtype=np.int64)


@final
@dataclass(frozen=True)
class Nlp:
    """``min f(x, p)  s.t.  lower <= g(x, p) <= upper, x_lower <= x``, derivatives on demand.

    Attributes:
        model: CasADi function ``(x, p) -> (f, g)``; f is minimised, g is ``left - right`` up to
            constants that went into the bounds.
        scalar: the function is made of scalar operations (SX), not of matrices (MX).
    """

    model: Any
    x_lower: FloatArray
    lower: FloatArray
    upper: FloatArray
    variables: Mapping[str, Slot]
    rows: Mapping[str, Rows]
    parameters: tuple[str, ...]
    scalar: bool

    @functools.cached_property
    def expressions(self) -> tuple[Any, Any, Any, Any]:
        """Symbols x and p, and the expressions f and g of them."""
        import casadi as ca

        kind = ca.SX if self.scalar else ca.MX
        x = kind.sym("x", self.x_lower.size)
        p = kind.sym("p", len(self.parameters))
        f, g = self.model(x, p)
        return x, p, f, g

    @functools.cached_property
    def objective(self) -> Evaluator:
        """``f``."""
        import casadi as ca

        x, p, f, _ = self.expressions
        return Evaluator(ca.Function("objective", [x, p], [ca.densify(f)]))

    @functools.cached_property
    def gradient(self) -> Evaluator:
        """``∇f``, dense."""
        import casadi as ca

        x, p, f, _ = self.expressions
        return Evaluator(ca.Function("gradient", [x, p], [ca.densify(ca.gradient(f, x))]))

    @functools.cached_property
    def constraints(self) -> Evaluator:
        """``g``."""
        import casadi as ca

        x, p, _, g = self.expressions
        return Evaluator(ca.Function("constraints", [x, p], [ca.densify(g)]))

    @functools.cached_property
    def jacobian(self) -> Evaluator:
        """``∂g/∂x``, sparse."""
        import casadi as ca

        x, p, _, g = self.expressions
        if self.scalar and g.shape[0] > 1:
            # Row by row, each derivative walks over one constraint and not over all of them.
            matrix = ca.vertcat(*[ca.jacobian(row, x) for row in ca.vertsplit(g)])
        else:
            matrix = ca.jacobian(g, x)
        return Evaluator(ca.Function("jacobian", [x, p], [matrix]))

    @functools.cached_property
    def hessian(self) -> Evaluator:
        """Lower triangle of ``σ ∇²f + Σ μ_i ∇²g_i``, sparse; arguments x, p, σ, μ."""
        import casadi as ca

        x, p, f, g = self.expressions
        kind = ca.SX if self.scalar else ca.MX
        sigma, mu = kind.sym("sigma"), kind.sym("mu", g.shape[0])
        matrix = ca.tril(ca.hessian(sigma * f + ca.dot(mu, g), x)[0])
        return Evaluator(ca.Function("hessian", [x, p, sigma, mu], [matrix]))

    def prepare(self, *, second_order: bool) -> None:
        """Generate the derivatives a solver will ask for; once done they are kept."""
        first_order = (self.objective, self.gradient, self.constraints, self.jacobian)
        for evaluator in (*first_order, self.hessian) if second_order else first_order:
            evaluator.structure  # noqa: B018

    def vector(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """Return x from values by name; entries that are not named are 0."""
        x = np.zeros(self.x_lower.size)
        for name, value in values.items():
            slot = self.variables[name]
            present = slot.indices >= 0
            x[slot.indices[present]] = np.reshape(value, -1)[present]
        return x

    def values(self, x: FloatArray, absent: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Return values by name from x; entries that x does not hold come from ``absent``."""
        found: dict[str, FloatArray] = {}
        for name, fallback in absent.items():
            slot = self.variables[name]
            flat = np.where(
                slot.indices >= 0, np.append(x, 0.0)[slot.indices], np.reshape(fallback, -1)
            )
            found[name] = flat.reshape(slot.shape)
        return found


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
    seconds: float
    log: str


def multiplier_vector(
    nlp: Nlp, multipliers: Mapping[str, FloatArray] | None
) -> FloatArray | None:
    """Return the solver's multipliers of g from λ by constraint name, or None."""
    if multipliers is None:
        return None
    vector = np.zeros(nlp.lower.size)
    for name, value in multipliers.items():
        if name not in nlp.rows:
            raise UnknownNameError(
                f"The program has no constraint {name!r}.", nearest(name, nlp.rows)
            )
        rows = nlp.rows[name]
        if np.size(value) != rows.indices.size:
            raise ShapeError(
                f"There are {np.size(value)} multipliers of {name}, it must be {rows.indices.size}."
            )
        vector[rows.indices] = rows.sign * np.reshape(value, -1)
    return vector


def answer(
    nlp: Nlp, run: Run, start: Mapping[str, FloatArray], phases: Mapping[str, float]
) -> RawAnswer:
    """Return the answer by names; ``phases`` are the seconds spent before the solver ran."""
    crashed = run.ran is Ran.CRASHED
    return RawAnswer(
        values={} if crashed else nlp.values(run.x, start),
        multipliers={}
        if crashed
        else {name: r.sign * run.multipliers[r.indices] for name, r in nlp.rows.items()},
        ran=run.ran,
        claim=run.claim,
        raw_status=run.raw_status,
        iterations=run.iterations,
        build_seconds=sum(phases.values()),
        solve_seconds=run.seconds,
        phases={**phases, "solver": run.seconds},
        log=run.log,
    )


def row_sign(relation: Relation) -> float:
    """Return the factor between Ipopt's multiplier (``f + μ g``) and λ."""
    return 1.0 if relation is Relation.AT_MOST else -1.0


def ipopt_options(settings: SolverSettings, warm: bool) -> dict[str, float | int | str]:
    """Return Ipopt's options: silent unless verbose, warm-started if multipliers are given."""
    options: dict[str, float | int | str] = {"print_level": 0, "sb": "yes"}
    if warm:
        options |= _WARM_START
    if settings.time_limit is not None:
        options["max_wall_time"] = float(settings.time_limit)
    for name, value in settings.options.items():
        options[name] = ("yes" if value else "no") if isinstance(value, bool) else value
    if settings.verbose:
        options["print_level"] = 5
    return options


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
        self.iterations = 0

    def _guarded(self, compute: Callable[[], FloatArray], size: int) -> FloatArray:
        if self.error is None:
            try:
                if time.perf_counter() > self._deadline:
                    raise _OutOfTime
                return compute()
            except BaseException as error:
                # Also KeyboardInterrupt: it is raised again once Ipopt has returned.
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
        return self.error is None


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
    nlp: Nlp,
    settings: SolverSettings,
    x: FloatArray,
    p: FloatArray,
    multipliers: FloatArray | None,
) -> Run:
    """Solve from x with Ipopt through cyipopt.

    Raises:
        ParameterError: an option that Ipopt does not know.
        KeyboardInterrupt: raised during the solve, after Ipopt has stopped.
    """
    import cyipopt

    options = ipopt_options(settings, multipliers is not None)
    began = time.perf_counter()
    limit = settings.time_limit
    callbacks = _Callbacks(nlp, p, np.inf if limit is None else began + limit)
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
            lagrange = [] if multipliers is None else multipliers
            found, info = problem.solve(x, lagrange=lagrange)
        finally:
            problem.close()
    seconds = time.perf_counter() - began
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
        seconds=seconds,
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
