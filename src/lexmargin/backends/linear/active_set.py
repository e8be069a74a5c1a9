"""Constraint generation as a backend: affine margin functions, hard margins and margin paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from lexmargin.backends.base import Backend, Compiled, Found, Request
from lexmargin.backends.linear.constraint_generation import hard_margin_linear
from lexmargin.backends.linear.free_bias import (
    bias_samples,
    first_stage,
    has_bias,
    never_negative,
    w_set_of_a_bias,
)
from lexmargin.backends.linear.linear_answer import LinearAnswer, LinearStatus
from lexmargin.backends.options import Options, number, whole_number
from lexmargin.backends.shape import Form, Shape, shape_of
from lexmargin.errors import DataError, UnsupportedError
from lexmargin.formulations.base import MARGIN, Formulation
from lexmargin.formulations.parts import Parts
from lexmargin.inputs.limits import NORM_ENTRIES
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.program import Program
from lexmargin.solution import Claim, Ran, SolverSettings

__all__ = ["SOLVER", "ActiveSetBackend"]

SOLVER: Final = "daqp"
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

    imports = ("daqp", "highspy")

    def available(self, solver: str) -> str:
        if solver != SOLVER:
            return f"There is no active-set method {solver!r}; use {SOLVER!r}."
        return super().available(solver)

    def suits(self, problem: Formulation) -> bool:
        if has_bias(problem) or _one_linear_part(problem):
            return True
        if not problem.asks_direction:
            return False
        try:
            norm = _recognised(problem.program()).norm
        except UnsupportedError:
            return False
        entries = problem.functions.count * problem.functions.size
        dense = not problem.data.is_sparse and entries <= NORM_ENTRIES
        return norm in (1.0, 2.0, np.inf) or dense

    def compile(self, program: Program) -> Compiled:
        return _ActiveSet(program)

    def _whole(self, problem: Formulation, settings: SolverSettings) -> Found | None:
        """Answer all levels of a W-set with a free bias: w and the score β are unique."""
        if settings.solver == SOLVER and _one_linear_part(problem):
            return _hard_margin(problem, settings)
        whole = w_set_of_a_bias(problem) if settings.solver == SOLVER else None
        if whole is None:
            return None
        X, y = bias_samples(problem)
        answer = _solved(X, y, 2.0, settings, bias=True)
        if answer.bias < 0.0 and never_negative(problem):
            # Convex in (w, β): with β >= 0 the optimum is at β = 0.
            answer = _solved(X, y, 2.0, settings)
        if not answer.margin > 0.0:
            ran, claim = _ENDS[answer.status]
            return Found(ran, answer.status.value, claim)
        score = answer.bias / answer.margin
        return _finished(answer, *first_stage(whole, answer.w, score, answer.multipliers))


@final
@dataclass(frozen=True, kw_only=True)
class _Options(Options):
    method = SOLVER

    max_passes: int = whole_number(100, least=1)
    tolerance: float = number(1e-12)


def _one_linear_part(problem: Formulation) -> bool:
    """Say whether eq. 13 or 14 is ``min ‖w‖²  s.t.  z_n·w >= 1``."""
    functions = problem.functions
    linear = functions.linear and functions.homogeneity.degree == 1.0
    if not (linear and problem.is_judged) or problem.data.is_sparse:
        return False
    kkt = problem.kkt(np.ones(functions.size))[0]
    return kkt.is_direction and kkt.level == 1.0 and kkt.costs is not None


def _hard_margin(problem: Formulation, settings: SolverSettings) -> Found:
    """Answer eq. 13 or 14 of one linear part in the unknowns of its first stage."""
    X, y = _rows(problem.functions)
    answer = _solved(X, y, 2.0, settings)
    if not answer.margin > 0.0:
        ran, claim = _ENDS[answer.status]
        return Found(ran, answer.status.value, claim)
    # w = s v, and f_n(w) = 1 is what the unknowns are scaled to.
    parts = Parts(problem.functions)
    values = parts.write(answer.w, parts.natural_scales)
    return _finished(answer, values, {MARGIN: answer.multipliers})


@final
class _ActiveSet(Compiled):
    """The rows of a program, and how its unknowns follow from the direction of largest margin."""

    def _build(self) -> None:
        self.shape = _recognised(self.program)
        self.X, self.y = _rows(self.shape.margins.functions)

    def _run(self, request: Request) -> Found:
        settings = request.settings
        if settings.solver != SOLVER:
            return Found(Ran.MISSING, f"{settings.solver} is no active-set method.")
        # A start is not used: the method begins with rows, not with a point.
        answer = _solved(self.X, self.y, self.shape.norm, settings)
        if not answer.margin > 0.0:
            if answer.status is LinearStatus.NOT_SEPARABLE:
                return self._not_separable(answer)
            return Found(_ENDS[answer.status][0], answer.status.value)
        return _finished(answer, *self._scaled(answer, request.parameters))

    def _scaled(
        self, answer: LinearAnswer, known: Mapping[str, float]
    ) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
        """Return values and multipliers at the program's own scale."""
        share = answer.multipliers / answer.multipliers.sum()
        values: dict[str, FloatArray] = {}
        shape = self.shape
        if shape.form is Form.MAX:
            # max t: the multipliers of the rows sum to 1, the ball's is the slope of the optimum.
            squared = shape.power == 2.0
            rho = np.sqrt(known[shape.radius]) if squared else known[shape.radius]
            w = rho * answer.theta
            values[shape.level] = np.array(rho * answer.margin)
            ball = answer.margin / (2.0 * rho) if squared else answer.margin
            duals = {shape.margin: share, shape.ball: np.array([ball])}
        else:
            # min c ‖w‖² with margin m: w = m θ/γ, and by Euler Σ λ m = 2 c ‖w‖².
            hard = shape.form is Form.HARD
            level, factor = (1.0, 0.5) if hard else (known[shape.level], 1.0)
            w = answer.theta * (level / answer.margin)
            duals = {shape.margin: share * (2.0 * factor * level / answer.margin**2)}
        blocks = shape.margins.functions.blocks(w)
        values |= dict(zip(shape.margins.blocks, blocks, strict=True))
        return values, duals

    def _not_separable(self, answer: LinearAnswer) -> Found:
        """Return infeasibility, or θ = 0 where the program is feasible there."""
        status = f"{answer.status.value}, {answer.passes} passes"
        shape, functions = self.shape, self.shape.margins.functions
        if shape.form is not Form.MAX:
            return Found(Ran.FINISHED, status, Claim.INFEASIBLE, iterations=answer.passes)
        zeros = functions.blocks(np.zeros(functions.size))
        values: dict[str, FloatArray] = dict(zip(shape.margins.blocks, zeros, strict=True))
        return Found(
            Ran.FINISHED,
            status,
            Claim.OPTIMAL,
            values={**values, shape.level: np.array(0.0)},
            multipliers={shape.margin: answer.multipliers, shape.ball: np.array([0.0])},
            iterations=answer.passes,
        )


def _solved(
    X: Any, y: FloatArray, norm: float, settings: SolverSettings, *, bias: bool = False
) -> LinearAnswer:
    options = _Options.read(settings)
    # A grade asks for at most so much; nothing is gained by stopping earlier than at rounding.
    tolerance, passes = min(options.tolerance, 1e-9), options.max_passes
    limit = settings.time_limit if options.time_limit is None else options.time_limit
    return hard_margin_linear(
        X, y, bias=bias, norm=norm, tolerance=tolerance, time_limit=limit, max_passes=passes
    )


def _finished(
    answer: LinearAnswer, values: dict[str, FloatArray], duals: dict[str, FloatArray]
) -> Found:
    ran, claim = _ENDS[answer.status]
    status = (
        f"{answer.status.value}, {answer.passes} passes, "
        f"{answer.working_set} working rows, relative gap {answer.relative_gap:.1e}"
    )
    return Found(ran, status, claim, values=values, multipliers=duals, iterations=answer.passes)


def _recognised(program: Program) -> Shape:
    """Return the shape of a linear hard margin or margin path.

    Raises :class:`UnsupportedError` for any other program.
    """
    found = shape_of(program)
    if found is None or found.loss is not None or not found.affine:
        raise UnsupportedError(
            f"The active-set method does not answer this {program.name} program: it needs a hard "
            "margin or a margin path whose margin functions are affine, in a norm of all "
            "parameters together.",
            "Choose another solver, or 'auto'.",
        )
    return found


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
