"""The toolkit's own augmented Lagrangian as a backend: margins of smooth homogeneous predictors.

Margins are evaluated as arrays, Newton steps see only the samples that fall short, and the last
steps solve the KKT system itself; see :mod:`~lexmargin.polish.augmented` and
:mod:`~lexmargin.polish.direction`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, final

import numpy as np

from lexmargin.backends.base import Backend, Compiled, checked_parameters, starting_values
from lexmargin.backends.smooth.homogeneous import (
    HomogeneousProgram,
    homogeneous_program,
)
from lexmargin.errors import ParameterError, nearest
from lexmargin.formulations.base import Formulation
from lexmargin.formulations.start import loss_descent
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature
from lexmargin.polish.augmented import Inner, augmented_lagrangian, in_order
from lexmargin.polish.direction import Polished, settled
from lexmargin.program import Program
from lexmargin.solution import Claim, Ran, RawAnswer, SolverSettings

__all__ = ["AugmentedLagrangianBackend", "AugmentedLagrangianProgram"]

_ROUNDS: Final = 60
_STATIONARY: Final = 1e-9
_LARGE: Final = 20_000

_Begin = Callable[[HomogeneousProgram, FloatArray], FloatArray]


@final
class AugmentedLagrangianBackend(Backend):
    """``min ½‖w‖² s.t. f_n(w) >= 1`` and the margin path, f_n smooth and homogeneous."""

    def available(self, solver: str) -> str:
        return ""

    def suits(self, problem: Formulation) -> bool:
        """Nonconvex problems whose declarative model would be slow to build and to solve."""
        functions = problem.functions
        return (
            problem.asks_direction
            and problem.norm_p == 2.0
            and functions.homogeneity.degree is not None
            and functions.curvature > Curvature.CONCAVE
            and functions.count * functions.size >= _LARGE
            and not functions.pre_activations(np.zeros(functions.size))
        )

    def compile(self, program: Program) -> AugmentedLagrangianProgram:
        return AugmentedLagrangianProgram(program)


@final
class AugmentedLagrangianProgram(Compiled):
    """The margin functions of a program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._parts = homogeneous_program(program)

    def solve(
        self,
        settings: SolverSettings,
        start: Mapping[str, FloatArray] | None = None,
        parameters: Mapping[str, float] | None = None,
        multipliers: Mapping[str, FloatArray] | None = None,
    ) -> RawAnswer:
        values = starting_values(self.program, start)
        numbers = checked_parameters(self.program, parameters)
        rounds = _rounds(settings)
        parts, functions = self._parts, self._parts.functions
        began = time.perf_counter()
        limit = settings.time_limit
        deadline = np.inf if limit is None else began + limit
        start_w = parts.flat(values)
        count = 0
        found: Polished | None = None
        for begin, inner in _attempts(functions):
            w = begin(parts, start_w)
            penalty, lam = parts.first_penalty(w), np.zeros(functions.count)
            steps = augmented_lagrangian(functions, w, lam, rounds, penalty, deadline, inner)
            again = settled(functions, steps, deadline)
            count += again.rounds
            if found is None or again.residual < found.residual:
                found = again
            late = time.perf_counter() > deadline
            if late or found.residual <= _STATIONARY:
                break
        assert found is not None
        margin = float(functions.values(found.theta).min())
        if not margin > 0.0:
            point = found.theta if np.any(found.theta) else start_w
            answer, _ = parts.answer(point, found.multipliers, numbers)
            return RawAnswer(
                answer,
                {},
                Ran.TIME_LIMIT if late else Ran.FINISHED,
                Claim.NOTHING if late else Claim.LOCALLY_INFEASIBLE,
                f"the smallest margin stayed at {margin:.3g}",
                iterations=count,
                solve_seconds=time.perf_counter() - began,
            )
        answer, duals = parts.answer(found.theta, found.multipliers, numbers)
        good = found.residual <= _STATIONARY
        if late:
            ran, claim = Ran.TIME_LIMIT, Claim.NOTHING
        elif good:
            ran, claim = Ran.FINISHED, Claim.LOCALLY_OPTIMAL
        else:
            ran, claim = Ran.ITERATION_LIMIT, Claim.NOTHING
        return RawAnswer(
            values=answer,
            multipliers=duals,
            ran=ran,
            claim=claim,
            raw_status=f"residual {found.residual:.1e} after {count} rounds",
            iterations=count,
            solve_seconds=time.perf_counter() - began,
        )


def _attempts(functions: MarginFunctions) -> tuple[tuple[_Begin, Inner], ...]:
    """Return beginnings and steps in the order of what they promise."""
    wide = HomogeneousProgram.wide
    first, other = in_order(functions)
    return (wide, first), (wide, other), (_descended, first)


def _descended(parts: HomogeneousProgram, w: FloatArray) -> FloatArray:
    """Return a point of the descent of the loss, at margin 1 where it separates."""
    functions = parts.functions
    w = parts.scaled(w, float(np.abs(functions.values(w)).max()))
    w, _ = loss_descent(functions, w)
    margin = float(functions.values(w).min())
    return parts.scaled(w, margin if margin > 0.0 else float(np.abs(functions.values(w)).max()))


def _rounds(settings: SolverSettings) -> int:
    rounds = _ROUNDS
    for name, value in settings.options.items():
        if (
            name == "rounds"
            and isinstance(value, int)
            and not isinstance(value, bool)
            and value > 0
        ):
            rounds = value
        elif name == "rounds":
            raise ParameterError(f"rounds is {value!r}.", "Give a whole number >= 1.")
        elif name != "time_limit":
            raise ParameterError(
                f"The augmented Lagrangian has no option {name!r}.",
                nearest(name, ("rounds", "time_limit")),
            )
    return rounds
