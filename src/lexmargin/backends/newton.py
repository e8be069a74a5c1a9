"""The toolkit's own Newton method as a backend, for the one program that needs it.

It answers the constrained path (eq. 5) of linear margin functions in the norms 1, 2 and inf, where
convex solvers stop at 1e-5 and cannot see below 36 nats at all.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, final

import numpy as np

from lexmargin.backends.base import Backend, Compiled, checked_parameters, starting_values
from lexmargin.backends.constrained_linear import constrained_linear
from lexmargin.errors import UnsupportedError
from lexmargin.losses import Loss
from lexmargin.ops.base import FloatArray, Relation
from lexmargin.ops.curvature import Curvature
from lexmargin.program import LogLoss, Norm, Program
from lexmargin.solution import Claim, Ran, RawAnswer, SolverSettings

__all__ = ["NewtonBackend", "NewtonProgram"]

_NORMS: Final = (1.0, 2.0, np.inf)


@final
class NewtonBackend(Backend):
    """``min log Σ c_n exp(-z_n·w)  s.t.  ‖w‖_p <= ρ``, p in {1, 2, ∞}, levels peeled."""

    def available(self, solver: str) -> str:
        return ""

    def compile(self, program: Program) -> NewtonProgram:
        return NewtonProgram(program)


@final
class NewtonProgram(Compiled):
    """The rows z_n and the ball of a program."""

    def __init__(self, program: Program) -> None:
        began = time.perf_counter()
        self.program = program
        loss, balls = program.objective, program.constraints
        ball = balls[0] if len(balls) == 1 else None
        norm = None if ball is None else ball.left
        if (
            not isinstance(loss, LogLoss)
            or loss.margins.factors
            or program.curvature > Curvature.AFFINE
            or ball is None
            or ball.relation is not Relation.AT_MOST
            or not isinstance(norm, Norm)
            or norm.p not in _NORMS
            or len(program.parameters) != 1
        ):
            raise UnsupportedError(
                f"This {program.name} program is not a log-loss of linear margin functions over "
                "a ball of norm 1, 2 or inf.",
                "Use cvxpy if the program is convex, else pyomo or casadi.",
            )
        functions = loss.margins.functions
        self._functions = functions
        self._rows = functions.jacobian(np.zeros(functions.size))
        self._offsets = np.array(loss.offsets) if loss.offsets else np.zeros(len(self._rows))
        self._norm, self._radius, self._ball = norm, program.parameters[0].name, ball.name
        self._blocks = loss.margins.blocks
        self._build_seconds = time.perf_counter() - began

    def solve(
        self,
        settings: SolverSettings,
        start: Mapping[str, FloatArray] | None = None,
        parameters: Mapping[str, float] | None = None,
        multipliers: Mapping[str, FloatArray] | None = None,
    ) -> RawAnswer:
        starting_values(self.program, start)
        radius = checked_parameters(self.program, parameters)[self._radius]
        began = time.perf_counter()
        point = constrained_linear(
            self._rows, radius, self._norm.p, Loss.EXPONENTIAL, self._offsets
        )
        seconds = time.perf_counter() - began
        blocks = self._functions.blocks(point.w)
        # ∂ log L*/∂ρ: the dual norm of the gradient of log L.
        weights = np.exp(point.log_weights - point.log_loss)
        dual = {1.0: np.inf, 2.0: 2.0, np.inf: 1.0}[self._norm.p]
        ball = np.array(np.linalg.norm(weights @ self._rows, dual))
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
