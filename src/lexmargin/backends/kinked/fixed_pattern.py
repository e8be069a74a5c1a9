"""Kinked networks of any depth as a backend: fixed patterns, re-solved, crossed or held at kinks.

Its treatment of kinks is exact, so that its answers are Clarke-KKT points up to rounding. Two-layer
networks of one output have a better route, which changes signs and neurons too:
:mod:`lexmargin.backends.kinked.convex_concave`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, final

import numpy as np

from lexmargin.backends.base import Backend, Compiled, checked_parameters, starting_values
from lexmargin.backends.kinked.gated import GatedNetwork, gated_network, kinked_slope
from lexmargin.backends.kinked.pattern_search import PatternAnswer, pattern_search
from lexmargin.backends.smooth.homogeneous import homogeneous_program
from lexmargin.errors import ParameterError, UnsupportedError, nearest
from lexmargin.formulations.base import Formulation
from lexmargin.formulations.start import loss_descent, random_theta
from lexmargin.ops.base import FloatArray
from lexmargin.program import Program
from lexmargin.solution import Claim, Ran, RawAnswer, SolverSettings

__all__ = ["FixedPatternBackend", "FixedPatternProgram"]

_ROUNDS: Final = 1500
_ATTEMPTS: Final = 8
_SHAKES: Final = 2
_SHAKE: Final = 0.03
_GAIN: Final = 1.0 - 1e-9
_STATIONARY: Final = 1e-9
_LARGEST: Final = 2000


@final
class FixedPatternBackend(Backend):
    """Sequential quadratic programs with the patterns of all units held, kinks as constraints."""

    def available(self, solver: str) -> str:
        return ""

    def suits(self, problem: Formulation) -> bool:
        """Networks of power-1 units whose dense second derivatives are affordable."""
        euclidean = problem.norm_p == 2.0 and problem.asks_direction
        functions = problem.functions
        return euclidean and functions.size <= _LARGEST and kinked_slope(functions) is not None

    def compile(self, program: Program) -> FixedPatternProgram:
        return FixedPatternProgram(program)


@final
class FixedPatternProgram(Compiled):
    """The gated network of a program."""

    def __init__(self, program: Program) -> None:
        began = time.perf_counter()
        self.program = program
        self._parts = homogeneous_program(program)
        slope = kinked_slope(self._parts.functions)
        if slope is None:
            raise UnsupportedError(
                "Fixed patterns need a network with hidden layers of (leaky) ReLU units of power "
                f"1, not {self._parts.functions.predictor!r}.",
                "Use ipopt or augmented-lagrangian.",
            )
        self._net, self._scale = gated_network(self._parts.functions, slope)
        self._build_seconds = time.perf_counter() - began

    def solve(
        self,
        settings: SolverSettings,
        start: Mapping[str, FloatArray] | None = None,
        parameters: Mapping[str, float] | None = None,
        multipliers: Mapping[str, FloatArray] | None = None,
    ) -> RawAnswer:
        values = starting_values(self.program, start)
        numbers = checked_parameters(self.program, parameters)
        rounds, attempts, shakes = _options(settings)
        parts, net = self._parts, self._net
        began = time.perf_counter()
        limit = settings.time_limit
        deadline = np.inf if limit is None else began + limit
        given = parts.flat(values)
        begin = self._separating(given, attempts, deadline)
        if begin is None:
            late = time.perf_counter() > deadline
            answer, _ = parts.answer(given, np.zeros(parts.functions.count), numbers)
            return RawAnswer(
                values=answer,
                multipliers={},
                ran=Ran.TIME_LIMIT if late else Ran.FINISHED,
                claim=Claim.NOTHING if late else Claim.LOCALLY_INFEASIBLE,
                raw_status="out of time" if late else "no start led to a separating network",
                build_seconds=self._build_seconds,
                solve_seconds=time.perf_counter() - began,
            )
        found = pattern_search(net, begin, rounds=rounds, deadline=deadline)
        found = _shaken(net, found, shakes, rounds, deadline)
        ran, claim, status = _status(found)
        # f/unit >= 1 at the scale of X: θ carries c = (unit/scale)^{1/L}, λ the square of it.
        c = (parts.functions.unit / self._scale) ** (1.0 / net.degree)
        answer, duals = parts.answer(c * found.theta, c * c * found.multipliers, numbers)
        return RawAnswer(
            values=answer,
            multipliers=duals,
            ran=ran,
            claim=claim,
            raw_status=status,
            iterations=found.rounds,
            build_seconds=self._build_seconds,
            solve_seconds=time.perf_counter() - began,
        )

    def _separating(self, theta: FloatArray, attempts: int, deadline: float) -> FloatArray | None:
        """Return θ if it separates, else where the log-loss leads from it or from another start."""
        functions, net = self._parts.functions, self._net
        if net.evaluated(theta)[0].min() > 0.0:
            return theta
        rng = np.random.default_rng(0)
        for attempt in range(attempts + 1):
            if time.perf_counter() > deadline:
                return None
            begin = random_theta(functions, rng) if attempt or not np.any(theta) else theta
            largest = float(np.abs(functions.values(begin)).max())
            if not largest > 0.0:
                continue
            w, _ = loss_descent(functions, begin * largest ** (-1.0 / net.degree))
            if net.evaluated(w)[0].min() > 0.0:
                return w
        return None


def _shaken(
    net: GatedNetwork, found: PatternAnswer, shakes: int, rounds: int, deadline: float
) -> PatternAnswer:
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
        sound = other.residual <= max(_STATIONARY, found.residual)
        shorter = float(np.linalg.norm(other.theta)) < float(np.linalg.norm(found.theta)) * _GAIN
        if sound and (shorter or found.residual > _STATIONARY):
            found = other
    # A search cut short beside a finished answer leaves that answer finished.
    unfinished = late and found.residual > _STATIONARY
    return replace(found, rounds=spent, out_of_time=unfinished)


def _options(settings: SolverSettings) -> tuple[int, int, int]:
    known = {"rounds": _ROUNDS, "attempts": _ATTEMPTS, "shakes": _SHAKES}
    for name, value in settings.options.items():
        if name == "time_limit":
            continue
        if name not in known:
            raise ParameterError(
                f"The search over fixed patterns has no option {name!r}.",
                nearest(name, (*known, "time_limit")),
            )
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ParameterError(f"{name} is {value!r}.", "Give a whole number >= 0.")
        known[name] = value
    return known["rounds"], known["attempts"], known["shakes"]


def _status(found: PatternAnswer) -> tuple[Ran, Claim, str]:
    status = f"Clarke residual {found.residual:.1e} after {found.rounds} quadratic programs"
    if found.out_of_time:
        return Ran.TIME_LIMIT, Claim.NOTHING, f"out of time, {status}"
    if found.residual <= _STATIONARY:
        return Ran.FINISHED, Claim.LOCALLY_OPTIMAL, status
    return Ran.NUMERICAL, Claim.NOTHING, status
