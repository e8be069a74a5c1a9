"""Kinked networks of any depth as a backend: fixed patterns, re-solved, crossed or held at kinks.

Its treatment of kinks is exact, so that its answers are Clarke-KKT points up to rounding. Two-layer
networks of one output have a better route, which changes signs and neurons too:
:mod:`lexmargin.backends.kinked.convex_concave`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from lexmargin.backends.base import Backend, Compiled, Found, Request
from lexmargin.backends.kinked.gated import GatedNetwork, gated_network
from lexmargin.backends.kinked.pattern_search import pattern_search
from lexmargin.backends.options import Options, whole_number
from lexmargin.backends.smooth.homogeneous import STATIONARY, Ended, homogeneous_program
from lexmargin.errors import UnsupportedError
from lexmargin.formulations.base import Formulation
from lexmargin.formulations.start import loss_descent, random_theta
from lexmargin.inputs.limits import PATTERN_PARAMETERS
from lexmargin.ops.base import FloatArray
from lexmargin.program import Program

__all__ = ["FixedPatternBackend", "FixedPatternProgram"]

_SHAKE: Final = 0.03
"""Length of that move by ‖θ‖: smaller falls back to the same kinks, larger loses the basin."""
_GAIN: Final = 1.0 - 1e-9
"""A norm that is smaller by less than this is the same answer up to the accuracy of the steps."""


@final
class FixedPatternBackend(Backend):
    """Sequential quadratic programs with the patterns of all units held, kinks as constraints."""

    def suits(self, problem: Formulation) -> bool:
        """Networks of power-1 units whose dense second derivatives are affordable."""
        euclidean = problem.norm_p == 2.0 and problem.asks_direction
        functions = problem.functions
        return (
            euclidean
            and functions.size <= PATTERN_PARAMETERS
            and functions.predictor.kink_slope is not None
        )

    def compile(self, program: Program) -> FixedPatternProgram:
        return FixedPatternProgram(program)


@final
@dataclass(frozen=True, kw_only=True)
class _Options(Options):
    method = "The search over fixed patterns"

    rounds: int = whole_number(1500)
    attempts: int = whole_number(8)
    shakes: int = whole_number(2)


@final
class FixedPatternProgram(Compiled):
    """The gated network of a program."""

    def _build(self) -> None:
        self._parts = homogeneous_program(self.program)
        slope = self._parts.functions.predictor.kink_slope
        if slope is None:
            raise UnsupportedError(
                "Fixed patterns need a network with hidden layers of (leaky) ReLU units of power "
                f"1, not {self._parts.functions.predictor!r}.",
                "Use ipopt or augmented-lagrangian.",
            )
        self._net, self._scale = gated_network(self._parts.functions, slope)

    def _run(self, request: Request) -> Found:
        options = _Options.read(request.settings)
        parts, net = self._parts, self._net
        given = parts.flat(request.values)
        begin = self._separating(given, options.attempts, request)
        if begin is None:
            late = request.late
            status = "out of time" if late else "no start led to a separating network"
            nobody = np.zeros(parts.functions.count)
            return parts.found(Ended(given, nobody, np.inf, False, 0, late), request, status)
        found = pattern_search(net, begin, rounds=options.rounds, deadline=request.deadline)
        found = _shaken(net, found, options.shakes, options.rounds, request.deadline)
        status = f"Clarke residual {found.residual:.1e} after {found.rounds} quadratic programs"
        status = f"out of time, {status}" if found.out_of_time else status
        # f/unit >= 1 at the scale of X: θ carries c = (unit/scale)^{1/L}, λ the square of it.
        c = (parts.functions.unit / self._scale) ** (1.0 / net.degree)
        found = replace(found, theta=c * found.theta, multipliers=c * c * found.multipliers)
        return parts.found(found, request, status)

    def _separating(self, theta: FloatArray, attempts: int, request: Request) -> FloatArray | None:
        """Return θ if it separates, else where the log-loss leads from it or from another start."""
        functions, net = self._parts.functions, self._net
        if net.evaluated(theta)[0].min() > 0.0:
            return theta
        rng = np.random.default_rng(0)
        for attempt in range(attempts + 1):
            if request.late:
                return None
            begin = random_theta(functions, rng) if attempt or not np.any(theta) else theta
            largest = float(np.abs(functions.values(begin)).max())
            if not largest > 0.0:
                continue
            w, _ = loss_descent(functions, begin * largest ** (-1.0 / net.degree))
            if net.evaluated(w)[0].min() > 0.0:
                return w
        return None


def _shaken(net: GatedNetwork, found: Ended, shakes: int, rounds: int, deadline: float) -> Ended:
    """Search again from beside the answer, and keep what is better.

    Where many kinks meet, a stationary point need not be a local minimum, and crossing the kinks
    one by one need not show it; units at 0 come to life only by chance.
    """
    rng = np.random.default_rng(0)
    spent, late = found.rounds, found.out_of_time
    for _ in range(shakes):
        if late or spent >= rounds:
            break
        size = _SHAKE * float(np.linalg.norm(found.theta)) * found.theta.size**-0.5
        beside = found.theta + size * rng.standard_normal(found.theta.size)
        other = pattern_search(net, beside, rounds=rounds - spent, deadline=deadline)
        spent, late = spent + other.rounds, other.out_of_time
        if not other.separates:
            continue
        sound = other.residual <= max(STATIONARY, found.residual)
        shorter = float(np.linalg.norm(other.theta)) < float(np.linalg.norm(found.theta)) * _GAIN
        if sound and (shorter or found.residual > STATIONARY):
            found = other
    # A search cut short beside a finished answer leaves that answer finished.
    unfinished = late and found.residual > STATIONARY
    return replace(found, rounds=spent, out_of_time=unfinished)
