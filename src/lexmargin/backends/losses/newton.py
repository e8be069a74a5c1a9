"""The toolkit's own Newton methods as a backend, for the paths that solvers do not reach.

The constrained and the regularization path of linear margin functions in any norm, where convex
solvers stop at 1e-5 and cannot see below 36 nats at all; and the Euclidean paths (eq. 5, eq. 6) of
smooth margin functions, whose margins may be 1e12; eq. 5 also of networks with kinks.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from lexmargin.backends.base import (
    Backend,
    Compiled,
    checked_parameters,
    no_answer,
    starting_values,
)
from lexmargin.backends.losses.constrained_linear import LinearPathPoint, constrained_linear
from lexmargin.backends.losses.kinked_descent import kinked_descent
from lexmargin.backends.losses.penalised import PenalisedProgram, stated_penalty
from lexmargin.backends.losses.smoothed_max import EntropicPoint, correct, escape, follow
from lexmargin.errors import UnsupportedError
from lexmargin.formulations.base import MARGIN, Formulation
from lexmargin.linalg.norms import dual_norm
from lexmargin.losses import Loss
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, Relation, Sense
from lexmargin.ops.curvature import Curvature
from lexmargin.program import (
    Combination,
    Expression,
    LogisticLoss,
    LogLoss,
    Margins,
    Norm,
    Program,
    SquaredNorm,
    Variable,
)
from lexmargin.solution import Claim, Ran, RawAnswer, SolverSettings

__all__ = ["NewtonBackend", "NewtonProgram", "SmoothProgram"]

_MOST_PARAMETERS: Final = 300
_MOST_ENTRIES: Final = 300_000
_BALL: Final = "ball"


@final
class NewtonBackend(Backend):
    """Eq. 5 and eq. 6 by Newton steps: linear f_n in any norm, smooth f_n in the Euclidean."""

    def available(self, solver: str) -> str:
        return ""

    def suits(self, problem: Formulation) -> bool:
        functions = problem.functions
        if not problem.is_judged:
            return False
        kkt = problem.kkt(np.ones(functions.size))[0]
        if kkt.loss is not None and functions.linear:
            return True
        if kkt.radius is None or kkt.ordered is not None:
            return False
        if kkt.loss is not None:
            return kkt.loss.loss is Loss.EXPONENTIAL and _fits(functions, kkt.norm)
        return kkt.level is None and _smooth(functions, kkt.norm)

    def compile(self, program: Program) -> Compiled:
        objective = program.objective
        if isinstance(objective, (LogLoss, Combination)) and program.sense is Sense.MINIMIZE:
            found = _stated_loss(objective)
            if found is not None and program.curvature <= Curvature.AFFINE:
                return NewtonProgram(program)
        if stated_penalty(program) is not None:
            return PenalisedProgram(program)
        return SmoothProgram(program)


def _fits(functions: MarginFunctions, norm: float) -> bool:
    small = functions.size <= _MOST_PARAMETERS and functions.size * functions.count <= _MOST_ENTRIES
    return norm == 2.0 and small


def _kinked(functions: MarginFunctions) -> bool:
    return bool(functions.pre_activations(np.ones(functions.size)))


def _smooth(functions: MarginFunctions, norm: float) -> bool:
    return _fits(functions, norm) and not _kinked(functions)


@final
@dataclass(frozen=True, eq=False)
class _Stated:
    """A loss, its margins, how many belong to a sample, and ``log c_n`` where they are given."""

    loss: Loss
    margins: Margins
    group: int = 1
    offsets: tuple[float, ...] = ()


def _stated_loss(objective: Expression) -> _Stated | None:
    """Return what an objective that is a loss alone consists of."""
    if isinstance(objective, LogLoss):
        return _Stated(Loss.EXPONENTIAL, objective.margins, offsets=objective.offsets)
    if isinstance(objective, Combination) and len(objective.terms) == 1:
        factor, term = objective.terms[0]
        if factor == 1.0 and isinstance(term, LogisticLoss):
            loss = Loss.LOGISTIC if term.group == 1 else Loss.CROSS_ENTROPY
            return _Stated(loss, term.margins, term.group)
    return None


@final
class NewtonProgram(Compiled):
    """``min log L(w)  s.t.  ‖w‖_p <= ρ``, ``f_n = z_n·w - log c_n``, levels peeled for p = 1, ∞."""

    def __init__(self, program: Program) -> None:
        began = time.perf_counter()
        self.program = program
        balls = program.constraints
        found = _stated_loss(program.objective)
        ball = balls[0] if len(balls) == 1 else None
        norm = None if ball is None else ball.left
        if (
            found is None
            or found.margins.factors
            or program.curvature > Curvature.AFFINE
            or ball is None
            or ball.relation is not Relation.AT_MOST
            or not isinstance(norm, Norm)
            or len(program.parameters) != 1
        ):
            raise UnsupportedError(
                f"This {program.name} program is not a log-loss of linear margin functions over "
                "a ball.",
                "Use cvxpy if the program is convex, else pyomo or casadi.",
            )
        self._stated, margins, offsets = found, found.margins, found.offsets
        self._functions = margins.functions
        self._rows = self._functions.jacobian(np.zeros(self._functions.size))
        self._offsets = np.array(offsets) if offsets else np.zeros(len(self._rows))
        self._norm, self._radius, self._ball = norm, program.parameters[0].name, ball.name
        self._blocks = margins.blocks
        self._build_seconds = time.perf_counter() - began

    def solve(
        self,
        settings: SolverSettings,
        start: Mapping[str, FloatArray] | None = None,
        parameters: Mapping[str, float] | None = None,
        multipliers: Mapping[str, FloatArray] | None = None,
    ) -> RawAnswer:
        known = starting_values(self.program, start)
        radius = checked_parameters(self.program, parameters)[self._radius]
        began = time.perf_counter()
        # A point alone may lie on a wrong face; with its multiplier it is the path's own.
        warm = self._functions.flatten([known[name] for name in self._blocks])
        begin = warm if multipliers and np.any(warm) else None
        point = self._point(radius, begin)
        if begin is not None and not point.converged:
            point = self._point(radius, None)
        seconds = time.perf_counter() - began
        blocks = self._functions.blocks(point.w)
        # ∂ log L*/∂ρ: the dual norm of the gradient of log L.
        with np.errstate(under="ignore"):
            weights = np.exp(point.log_weights - point.log_loss)
        ball = np.array(dual_norm(weights @ self._rows, self._norm.p))
        status = f"residual {point.residual:.1e}, levels {point.nats:.1f} nats below the heaviest"
        return RawAnswer(
            values=dict(zip(self._blocks, blocks, strict=True)),
            multipliers={self._ball: ball},
            ran=Ran.FINISHED if point.converged else Ran.ITERATION_LIMIT,
            claim=Claim.OPTIMAL if point.converged else Claim.NOTHING,
            raw_status=status,
            iterations=point.iterations,
            build_seconds=self._build_seconds,
            solve_seconds=seconds,
        )

    def _point(self, radius: float, begin: FloatArray | None) -> LinearPathPoint:
        stated, p = self._stated, self._norm.p
        return constrained_linear(
            self._rows, radius, p, stated.loss, self._offsets, begin, group=stated.group
        )


@final
class SmoothProgram(Compiled):
    """Eq. 5 or eq. 6 of smooth margin functions in ``w = ρθ``, ``‖w‖₂ <= ρ``; eq. 5 of kinked."""

    def __init__(self, program: Program) -> None:
        began = time.perf_counter()
        self.program = program
        constraints = {constraint.name: constraint for constraint in program.constraints}
        ball = constraints.pop(_BALL, None)
        size = None if ball is None else ball.left
        euclidean = isinstance(size, SquaredNorm) or (isinstance(size, Norm) and size.p == 2.0)
        objective, margins = program.objective, None
        self._offsets: FloatArray | None = None
        self._level: str | None = None
        if isinstance(objective, LogLoss) and not constraints:
            margins = objective.margins
            self._offsets = np.array(objective.offsets) if objective.offsets else None
        elif program.sense is Sense.MAXIMIZE and list(constraints) == [MARGIN]:
            stated = constraints[MARGIN]
            if isinstance(stated.left, Margins) and isinstance(stated.right, Variable):
                margins, self._level = stated.left, stated.right.name
        if (
            margins is None
            or margins.factors
            or not euclidean
            or len(program.parameters) != 1
            or margins.functions.size > _MOST_PARAMETERS
            or not _fits(margins.functions, 2.0)
            or (self._level is not None and _kinked(margins.functions))
        ):
            raise UnsupportedError(
                f"This {program.name} program is no path (eq. 5, eq. 6) of smooth margin functions "
                f"in the Euclidean norm with at most {_MOST_PARAMETERS} parameters.",
                "Use cvxpy if the program is convex, else pyomo or casadi.",
            )
        self.functions, self._blocks = margins.functions, margins.blocks
        self._kinked = _kinked(self.functions)
        self._squared = isinstance(size, SquaredNorm)
        self._radius = program.parameters[0].name
        self._build_seconds = time.perf_counter() - began

    def solve(
        self,
        settings: SolverSettings,
        start: Mapping[str, FloatArray] | None = None,
        parameters: Mapping[str, float] | None = None,
        multipliers: Mapping[str, FloatArray] | None = None,
    ) -> RawAnswer:
        known = starting_values(self.program, start)
        given = checked_parameters(self.program, parameters)[self._radius]
        rho = float(np.sqrt(given)) if self._squared else given
        theta = self.functions.flatten([known[name] for name in self._blocks])
        began = time.perf_counter()
        if not np.any(theta) or not np.all(np.isfinite(self.functions.values(theta))):
            return no_answer(Ran.NUMERICAL, "the margins are not defined at the start")
        weights = None if multipliers is None else multipliers.get(MARGIN)
        point = self._point(rho, theta, weights)
        seconds = time.perf_counter() - began
        names = self._blocks
        values: dict[str, FloatArray] = dict(
            zip(names, self.functions.blocks(rho * point.theta), strict=True)
        )
        if self._level is not None:
            values[self._level] = np.array(float(self.functions.values(rho * point.theta).min()))
        with np.errstate(under="ignore"):
            share = np.exp(point.log_weights)
        scale = 2.0 * rho * rho if self._squared else rho
        return RawAnswer(
            values=values,
            multipliers={MARGIN: share, _BALL: np.array(max(point.push, 0.0) / scale)},
            ran=Ran.FINISHED if point.converged else Ran.NUMERICAL,
            claim=Claim.LOCALLY_OPTIMAL if point.converged else Claim.NOTHING,
            raw_status=f"residual {point.residual:.1e}, push of the ball {point.push:.3g}",
            iterations=point.iterations,
            build_seconds=self._build_seconds,
            solve_seconds=seconds,
        )

    def _point(self, rho: float, theta: FloatArray, weights: FloatArray | None) -> EntropicPoint:
        if self._kinked:
            return kinked_descent(self.functions, rho, theta, self._offsets)
        temperature = 1.0 if self._level is None else 0.0
        point = None
        if weights is not None and np.any(weights > 0):
            point = self._warm(rho, theta, weights, temperature)
        if point is None:
            point = follow(self.functions, rho, temperature, theta, offsets=self._offsets)
        if not point.converged:
            return point
        beside = escape(self.functions, rho, temperature, point)
        if beside is None:
            return point
        size = float(np.abs(self.functions.values(rho * beside)).max())
        lower = follow(
            self.functions,
            rho,
            temperature,
            beside,
            first=max(temperature, 1e-2 * size),
            offsets=self._offsets,
        )
        return lower if lower.converged else point

    def _warm(
        self, rho: float, theta: FloatArray, weights: FloatArray, temperature: float
    ) -> EntropicPoint | None:
        """Return the point near the last one and its weights, None where the path ends or turns."""
        functions, offsets = self.functions, self._offsets
        theta = theta / np.linalg.norm(theta)
        with np.errstate(divide="ignore"):
            start = EntropicPoint(theta, np.log(weights), np.nan, np.inf, 0.0, 0)
        size = float(np.abs(functions.values(rho * theta)).max())
        epsilon = max(temperature, 1e-14 * size)
        found = correct(functions, rho, epsilon, start, offsets=offsets, most=15)
        if not found.converged:
            found = follow(functions, rho, temperature, theta, first=temperature, offsets=offsets)
        return found if found.converged else None
