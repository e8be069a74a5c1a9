"""Constraint generation as a backend: affine margin functions, hard margins and margin paths."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, final

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
from lexmargin.backends.linear.constraint_generation import hard_margin_linear
from lexmargin.backends.linear.free_bias import bias_samples, has_bias, never_negative, w_set_point
from lexmargin.backends.linear.linear_answer import LinearAnswer, LinearStatus
from lexmargin.errors import DataError, ParameterError, UnknownNameError, UnsupportedError, nearest
from lexmargin.formulations.base import MARGIN, Formulation
from lexmargin.formulations.parts import Parts
from lexmargin.formulations.w_set import WSet
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, Sense
from lexmargin.ops.curvature import Curvature
from lexmargin.program import (
    Combination,
    Constraint,
    Expression,
    Margins,
    Norm,
    Parameter,
    Power,
    Program,
    SquaredNorm,
    Variable,
)
from lexmargin.solution import Claim, Ran, RawAnswer, SolverSettings

__all__ = ["SOLVER", "ActiveSetBackend"]

SOLVER: Final = "daqp"
_BALL: Final = "ball"
_MOST_ENTRIES: Final = 200_000
"""N·d up to which norms other than 1, 2 and inf, whose steps read all rows, are the default's."""
_OPTIONS: Final = ("max_passes", "time_limit", "tolerance")
_ENDS: Final[Mapping[LinearStatus, tuple[Ran, Claim]]] = {
    LinearStatus.OPTIMAL: (Ran.FINISHED, Claim.OPTIMAL),
    LinearStatus.INACCURATE: (Ran.NUMERICAL, Claim.NOTHING),
    LinearStatus.NOT_SEPARABLE: (Ran.FINISHED, Claim.INFEASIBLE),
    LinearStatus.PASS_LIMIT: (Ran.ITERATION_LIMIT, Claim.NOTHING),
    LinearStatus.TIME_LIMIT: (Ran.TIME_LIMIT, Claim.NOTHING),
}


@final
class ActiveSetBackend(Backend):
    """The hard margin and margin path of margin functions ``f_n = θ·z_n`` in any norm.

    Also the W-set of a linear part and a bias, which is a hard margin with b unregularised, and
    eq. 13 and 14 of one linear part, which are hard margins themselves.
    """

    def available(self, solver: str) -> str:
        if solver != SOLVER:
            return f"There is no active-set method {solver!r}; use {SOLVER!r}."
        return import_problem(["daqp", "highspy"])

    def suits(self, problem: Formulation) -> bool:
        if has_bias(problem) or _one_linear_part(problem):
            return True
        if not problem.asks_direction:
            return False
        try:
            _, norm = _recognised(problem.program())
        except UnsupportedError:
            return False
        entries = problem.functions.count * problem.functions.size
        dense = not problem.data.is_sparse and entries <= _MOST_ENTRIES
        return norm in (1.0, 2.0, np.inf) or dense

    def compile(self, program: Program) -> Compiled:
        return _ActiveSet(program)

    def whole(self, problem: Formulation, settings: SolverSettings) -> RawAnswer | None:
        """Answer all levels of a W-set with a free bias: w and the score β are unique."""
        if settings.solver == SOLVER and _one_linear_part(problem):
            return _hard_margin(problem, settings)
        if settings.solver != SOLVER or not (isinstance(problem, WSet) and has_bias(problem)):
            return None
        X, y = bias_samples(problem)
        answer, seconds = _solved(X, y, 2.0, settings, bias=True)
        if answer.bias < 0.0 and never_negative(problem):
            # Convex in (w, β): with β >= 0 the optimum is at β = 0.
            answer, more = _solved(X, y, 2.0, settings)
            seconds += more
        if not answer.margin > 0.0:
            empty = no_answer(_ENDS[answer.status][0], answer.status.value, solve_seconds=seconds)
            return replace(empty, claim=_ENDS[answer.status][1])
        w = w_set_point(problem, answer)
        scales = problem.parts.natural_scales
        # The unknowns of the first stage are w_k/s_k, and its objective has a weight and a divisor.
        factor = problem.stage_factor((), 1.0)
        return _finished(
            answer,
            problem.parts.write(w, scales),
            {MARGIN: answer.multipliers / factor},
            (0.0, seconds),
        )


def _one_linear_part(problem: Formulation) -> bool:
    """Say whether eq. 13 or 14 is ``min ‖w‖²  s.t.  z_n·w >= 1``."""
    functions = problem.functions
    linear = functions.curvature is Curvature.AFFINE and functions.homogeneity.degree == 1.0
    if not (linear and problem.is_judged) or problem.data.is_sparse:
        return False
    kkt = problem.kkt(np.ones(functions.size))[0]
    return kkt.is_direction and kkt.level == 1.0 and kkt.costs is not None


def _hard_margin(problem: Formulation, settings: SolverSettings) -> RawAnswer:
    """Answer eq. 13 or 14 of one linear part in the unknowns of its first stage."""
    X, y = _rows(problem.functions)
    answer, seconds = _solved(X, y, 2.0, settings)
    if not answer.margin > 0.0:
        empty = no_answer(_ENDS[answer.status][0], answer.status.value, solve_seconds=seconds)
        return replace(empty, claim=_ENDS[answer.status][1])
    # w = s v, and f_n(w) = 1 is what the unknowns are scaled to.
    parts = Parts(problem.functions)
    values = parts.write(answer.w, parts.natural_scales)
    return _finished(answer, values, {MARGIN: answer.multipliers}, (0.0, seconds))


@final
class _ActiveSet(Compiled):
    """The rows of a program, and how its unknowns follow from the direction of largest margin."""

    def __init__(self, program: Program) -> None:
        began = time.perf_counter()
        self.program = program
        self.margins, self.norm = _recognised(program)
        self.X, self.y = _rows(self.margins.functions)
        self.build_seconds = time.perf_counter() - began

    def solve(
        self,
        settings: SolverSettings,
        start: Mapping[str, FloatArray] | None = None,
        parameters: Mapping[str, float] | None = None,
        multipliers: Mapping[str, FloatArray] | None = None,
    ) -> RawAnswer:
        if settings.solver != SOLVER:
            return no_answer(Ran.MISSING, f"{settings.solver} is no active-set method.")
        known = checked_parameters(self.program, parameters)
        # A start is checked and not used: the method begins with rows, not with a point.
        starting_values(self.program, start)
        answer, seconds = _solved(self.X, self.y, self.norm, settings)
        if not answer.margin > 0.0:
            if answer.status is LinearStatus.NOT_SEPARABLE:
                return self._not_separable(answer, known, seconds)
            return no_answer(_ENDS[answer.status][0], answer.status.value, solve_seconds=seconds)
        values, duals = self._scaled(answer, known)
        return _finished(answer, values, duals, (self.build_seconds, seconds))

    def _scaled(
        self, answer: LinearAnswer, known: Mapping[str, float]
    ) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
        """Return values and multipliers at the program's own scale."""
        share = answer.multipliers / answer.multipliers.sum()
        values: dict[str, FloatArray] = {}
        if self.program.sense is Sense.MAXIMIZE:
            # max t: the multipliers of the rows sum to 1, the ball's is the slope of the optimum.
            euclidean = self.norm == 2.0
            rho = np.sqrt(known["ρ²"]) if euclidean else known["ρ"]
            w = rho * answer.theta
            values["t"] = np.array(rho * answer.margin)
            ball = answer.margin / (2.0 * rho) if euclidean else answer.margin
            duals = {MARGIN: share, _BALL: np.array([ball])}
        else:
            # min c ‖w‖² with margin m: w = m θ/γ, and by Euler Σ λ m = 2 c ‖w‖².
            hard = self.program.hard_margin is not None
            level, factor = (1.0, 0.5) if hard else (known["γ"], 1.0)
            w = answer.theta * (level / answer.margin)
            duals = {MARGIN: share * (2.0 * factor * level / answer.margin**2)}
        blocks = self.margins.functions.blocks(w)
        values |= dict(zip(self.margins.blocks, blocks, strict=True))
        return values, duals

    def _not_separable(
        self, answer: LinearAnswer, known: Mapping[str, float], seconds: float
    ) -> RawAnswer:
        """Return infeasibility, or θ = 0 where the program is feasible there."""
        status = f"{answer.status.value}, {answer.passes} passes"
        if self.program.sense is Sense.MINIMIZE:
            empty = no_answer(Ran.FINISHED, status, solve_seconds=seconds)
            return RawAnswer(
                values={},
                multipliers={},
                ran=empty.ran,
                claim=Claim.INFEASIBLE,
                raw_status=status,
                iterations=answer.passes,
                solve_seconds=seconds,
            )
        zeros = self.margins.functions.blocks(np.zeros(self.margins.functions.size))
        values: dict[str, FloatArray] = dict(zip(self.margins.blocks, zeros, strict=True))
        return RawAnswer(
            values={**values, "t": np.array(0.0)},
            multipliers={MARGIN: answer.multipliers, _BALL: np.array([0.0])},
            ran=Ran.FINISHED,
            claim=Claim.OPTIMAL,
            raw_status=status,
            iterations=answer.passes,
            build_seconds=self.build_seconds,
            solve_seconds=seconds,
        )


def _solved(
    X: Any, y: FloatArray, norm: float, settings: SolverSettings, *, bias: bool = False
) -> tuple[LinearAnswer, float]:
    """Return the answer and the seconds it took."""
    tolerance, limit, passes = _options(settings)
    began = time.perf_counter()
    with captured(settings.verbose):
        answer = hard_margin_linear(
            X, y, bias=bias, norm=norm, tolerance=tolerance, time_limit=limit, max_passes=passes
        )
    return answer, time.perf_counter() - began


def _finished(
    answer: LinearAnswer,
    values: dict[str, FloatArray],
    duals: dict[str, FloatArray],
    seconds: tuple[float, float],
) -> RawAnswer:
    ran, claim = _ENDS[answer.status]
    return RawAnswer(
        values=values,
        multipliers=duals,
        ran=ran,
        claim=claim,
        raw_status=(
            f"{answer.status.value}, {answer.passes} passes, "
            f"{answer.working_set} working rows, relative gap {answer.relative_gap:.1e}"
        ),
        iterations=answer.passes,
        build_seconds=seconds[0],
        solve_seconds=seconds[1],
    )


def _options(settings: SolverSettings) -> tuple[float, float | None, int]:
    options = dict(settings.options)
    for name in options:
        if name not in _OPTIONS:
            raise UnknownNameError(f"{SOLVER} has no option {name!r}.", nearest(name, _OPTIONS))
    # A grade asks for at most so much; nothing is gained by stopping earlier than at rounding.
    try:
        tolerance = min(float(options.get("tolerance", 1e-12)), 1e-9)
        passes = int(options.get("max_passes", 100))
        given = options.get("time_limit", settings.time_limit)
        limit = None if given is None else float(given)
    except ValueError as error:
        raise ParameterError(f"An option of {SOLVER} is no number: {error}.") from error
    return tolerance, limit, passes


def _recognised(program: Program) -> tuple[Margins, float]:
    """Return the margin functions and p of a program that is a linear hard margin or margin path.

    Raises :class:`UnsupportedError` for any other.
    """
    rows = [c for c in program.constraints if c.name == MARGIN]
    others = [c for c in program.constraints if c.name != MARGIN]
    left = rows[0].left if len(rows) == 1 else None
    # The numbers that the f_n must reach: 1, γ or t.
    level = None if left is None else rows[0].right
    stated = isinstance(level, (Parameter, Variable)) or program.hard_margin is not None
    if (
        not stated
        or program.curvature > Curvature.AFFINE
        or not isinstance(left, Margins)
        or left.factors
    ):
        raise UnsupportedError(
            f"The active-set method does not answer this {program.name} program: it needs a hard "
            "margin or a margin path whose margin functions are affine.",
            "Choose another solver, or 'auto'.",
        )
    norm = _norm(program, others)
    if not norm >= 1.0:
        raise UnsupportedError(
            "The active-set method needs a norm of all parameters together.",
            "Choose another solver, or 'auto'.",
        )
    return left, norm


def _norm(program: Program, others: list[Constraint]) -> float:
    term: Expression | None = None
    if program.sense is Sense.MAXIMIZE:
        if len(others) == 1 and others[0].name == _BALL and isinstance(others[0].right, Parameter):
            term = others[0].left
    elif not others:
        term = program.objective
        if isinstance(term, Combination) and len(term.terms) == 1:
            term = term.terms[0][1]
    if isinstance(term, Power) and term.exponent == 2.0:
        term = term.base
    if isinstance(term, SquaredNorm):
        return 2.0
    return term.p if isinstance(term, Norm) else float("nan")


def _rows(functions: MarginFunctions) -> tuple[Any, FloatArray]:
    """Return X and y with ``f_n(w) = y_n x_n·w``; X is the data themselves for a linear score.

    Raises :class:`UnsupportedError` where f_n(0) is not 0.
    """
    inputs = functions.linear_inputs
    if inputs is not None:
        signs = np.asarray(functions.data.signed, dtype=np.float64)
        # A power of two: exact.
        return inputs if functions.unit == 1.0 else inputs / functions.unit, signs
    origin = np.zeros(functions.size)
    if np.any(functions.values(origin)):
        raise UnsupportedError(
            "The margin functions have constant terms.", "Choose another solver, or 'auto'."
        )
    try:
        return functions.jacobian(origin), np.ones(functions.count)
    except MemoryError as error:
        raise DataError("The gradients do not fit in memory.", "Use fewer samples.") from error
