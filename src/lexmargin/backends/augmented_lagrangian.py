"""The toolkit's own augmented Lagrangian as a backend: margins of smooth homogeneous predictors.

Margins are evaluated as arrays, Newton steps see only the samples that fall short, and the last
steps solve the KKT system itself; see :mod:`lexmargin.augmented` and :mod:`lexmargin.polish`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, final

import numpy as np

from lexmargin.augmented import augmented_lagrangian, loss_descent
from lexmargin.backends.base import Backend, Compiled, checked_parameters, starting_values
from lexmargin.backends.homogeneous import MAX_MARGIN, HomogeneousProgram, homogeneous_program
from lexmargin.errors import ParameterError, nearest
from lexmargin.formulations.base import Formulation
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature
from lexmargin.polish import finished
from lexmargin.program import Program
from lexmargin.solution import Claim, Ran, RawAnswer, SolverSettings

__all__ = ["AugmentedLagrangianBackend", "AugmentedLagrangianProgram"]

_ROUNDS: Final = 60
_FIRST_PENALTY: Final = 100.0
_SEPARATED: Final = 0.1
_STATIONARY: Final = 1e-9
_LARGE: Final = 20_000


@final
class AugmentedLagrangianBackend(Backend):
    """``min ½‖w‖² s.t. f_n(w) >= 1`` and the margin path, f_n smooth and homogeneous."""

    def available(self, solver: str) -> str:
        return ""

    def suits(self, problem: Formulation) -> bool:
        """Nonconvex problems whose declarative model would be slow to build and to solve."""
        functions = problem.functions
        return (
            problem.name in MAX_MARGIN
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
        # From well above margin 1 no unit dies on the way down; quadratic and relu² units that
        # are dead stay so, being of degree 3. The descent of the loss is the second choice.
        for attempt in (_wide, _descended):
            w, lam = attempt(parts, start_w), np.zeros(functions.count)
            penalty = float(w @ w) * min(1.0, _FIRST_PENALTY / functions.count)
            begin = w
            for point in augmented_lagrangian(functions, begin, lam, rounds, penalty, deadline):
                (w, lam), count = point, count + 1
            margin = float(functions.values(w).min())
            late = time.perf_counter() > deadline
            if margin > _SEPARATED or late:
                break
        if not margin > 0.0:
            answer, _ = parts.answer(w if np.any(w) else start_w, lam, numbers)
            return RawAnswer(
                answer,
                {},
                Ran.TIME_LIMIT if late else Ran.FINISHED,
                Claim.NOTHING if late else Claim.LOCALLY_INFEASIBLE,
                f"the smallest margin stayed at {margin:.3g}",
                iterations=count,
                solve_seconds=time.perf_counter() - began,
            )
        found = finished(functions, w, lam)
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


def _wide(parts: HomogeneousProgram, w: FloatArray) -> FloatArray:
    """Return w at the scale where the median of |f_n| is 3."""
    return _scaled(parts, w, float(np.median(np.abs(parts.functions.values(w)))) / 3.0)


def _descended(parts: HomogeneousProgram, w: FloatArray) -> FloatArray:
    """Return a point of the descent of the loss, at margin 1 where it separates."""
    functions = parts.functions
    w = _scaled(parts, w, float(np.abs(functions.values(w)).max()))
    w, _ = loss_descent(functions, w)
    margin = float(functions.values(w).min())
    return _scaled(parts, w, margin if margin > 0.0 else float(np.abs(functions.values(w)).max()))


def _scaled(parts: HomogeneousProgram, w: FloatArray, level: float) -> FloatArray:
    """Return w where scores of size ``level`` become 1."""
    return w * level ** (-1.0 / parts.degree) if np.isfinite(level) and level > 0.0 else w


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
