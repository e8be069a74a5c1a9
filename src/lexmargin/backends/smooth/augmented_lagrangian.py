"""The toolkit's own augmented Lagrangian as a backend: margins of smooth homogeneous predictors.

Margins are evaluated as arrays, Newton steps see only the samples that fall short, and the last
steps solve the KKT system itself; see :mod:`~lexmargin.polish.augmented` and
:mod:`~lexmargin.polish.polish`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.backends.base import Backend, Compiled, Found, Request
from lexmargin.backends.options import Options, whole_number
from lexmargin.backends.smooth.homogeneous import (
    STATIONARY,
    Ended,
    HomogeneousProgram,
    homogeneous_program,
)
from lexmargin.formulations.base import Formulation
from lexmargin.formulations.start import loss_descent
from lexmargin.inputs.limits import MODELLED_ENTRIES
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature
from lexmargin.polish.augmented import Inner, augmented_lagrangian, in_order
from lexmargin.polish.polish import Polished, settled
from lexmargin.polish.sequential import small_hessian
from lexmargin.program import Program
from lexmargin.solution import Ran

__all__ = ["AugmentedLagrangianBackend", "AugmentedLagrangianProgram"]


_Begin = Callable[[HomogeneousProgram, FloatArray], FloatArray]


@final
class AugmentedLagrangianBackend(Backend):
    """``min ½‖w‖² s.t. f_n(w) >= 1`` and the margin path, f_n smooth and homogeneous."""

    def suits(self, problem: Formulation) -> bool:
        """Nonconvex problems whose declarative model would be slow to build and to solve."""
        functions = problem.functions
        return (
            problem.asks_direction
            and problem.norm_p == 2.0
            and functions.homogeneity.degree is not None
            and functions.curvature > Curvature.CONCAVE
            and functions.count * functions.size >= MODELLED_ENTRIES
            and not functions.pre_activations(np.zeros(functions.size))
        )

    def starts_anywhere(self, problem: Formulation) -> bool:
        """Where quadratic programs follow: a descent of the loss would choose the valley.

        Of 24 teachers' data the points found without it were lower for 18.
        """
        return small_hessian(problem.functions)

    def compile(self, program: Program) -> AugmentedLagrangianProgram:
        return AugmentedLagrangianProgram(program)


@final
@dataclass(frozen=True, kw_only=True)
class _AugmentedOptions(Options):
    method = "The augmented Lagrangian"

    rounds: int = whole_number(60, least=1)


@final
class AugmentedLagrangianProgram(Compiled):
    """The margin functions of a program."""

    def _build(self) -> None:
        self._parts = homogeneous_program(self.program)

    def _run(self, request: Request) -> Found:
        rounds = _AugmentedOptions.read(request.settings).rounds
        parts, functions = self._parts, self._parts.functions
        deadline = request.deadline
        start_w = parts.flat(request.values)
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
            late = request.late
            if late or found.residual <= STATIONARY:
                break
        assert found is not None
        margin = float(functions.values(found.theta).min())
        separates = margin > 0.0
        point = found.theta if separates or np.any(found.theta) else start_w
        ended = Ended(point, found.multipliers, found.residual, separates, count, late)
        status = f"residual {found.residual:.1e} after {count} rounds"
        if not separates:
            status = f"the smallest margin stayed at {margin:.3g}"
        return parts.found(ended, request, status, Ran.ITERATION_LIMIT)


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
