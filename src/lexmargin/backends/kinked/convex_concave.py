"""The convex-concave procedure as a backend: hard margins of two-layer ReLU networks.

Its treatment of kinks is exact (epigraphs and multipliers, no smoothing), so that its answers are
Clarke-KKT points up to rounding; naming another solver chooses another treatment.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, final

import numpy as np

from lexmargin.backends.base import (
    Backend,
    Compiled,
    checked_parameters,
    import_problem,
    starting_values,
)
from lexmargin.backends.kinked.relu_search import ReluAnswer, search
from lexmargin.backends.kinked.relu_subproblem import TwoLayer
from lexmargin.backends.smooth.homogeneous import homogeneous_program
from lexmargin.errors import ParameterError, UnsupportedError, nearest
from lexmargin.formulations.base import Formulation
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.predictors.activations import LeakyReLU, ReLU
from lexmargin.predictors.networks import Network
from lexmargin.program import Program
from lexmargin.solution import Claim, Ran, RawAnswer, SolverSettings

__all__ = ["ConvexConcaveBackend", "ConvexConcaveProgram", "left_slope"]

_OPTIONS: Final = ("exchanges", "attempts", "rounds", "time_limit")
_STATIONARY: Final = 1e-9


def left_slope(functions: MarginFunctions) -> float | None:
    """Return the slope of σ left of 0 for a kinked one-output two-layer network, else None."""
    predictor = functions.predictor
    if not isinstance(predictor, Network) or len(predictor.widths) != 1 or predictor.outputs != 1:
        return None
    activation = predictor.activation
    if isinstance(activation, LeakyReLU):
        return activation.slope
    return 0.0 if isinstance(activation, ReLU) and activation.power == 1.0 else None


@final
class ConvexConcaveBackend(Backend):
    """Cone programs by Clarabel, births of neurons, and Clarke-Newton steps."""

    def available(self, solver: str) -> str:
        return import_problem(["clarabel"])

    def suits(self, problem: Formulation) -> bool:
        euclidean = problem.norm_p == 2.0 and problem.asks_direction
        return euclidean and left_slope(problem.functions) is not None

    def compile(self, program: Program) -> ConvexConcaveProgram:
        return ConvexConcaveProgram(program)


@final
class ConvexConcaveProgram(Compiled):
    """The samples, the labels and the width of a program."""

    def __init__(self, program: Program) -> None:
        began = time.perf_counter()
        self.program = program
        self._parts = homogeneous_program(program)
        functions = self._parts.functions
        slope = left_slope(functions)
        if slope is None or functions.multi_class:
            raise UnsupportedError(
                "The convex-concave procedure needs a network of one hidden layer with (leaky) "
                f"ReLU units of power 1 and one output, not {functions.predictor!r}.",
                "Use ipopt or augmented-lagrangian.",
            )
        X, signs = functions.features, functions.data.signed
        largest = float(np.linalg.norm(X, axis=1).max(initial=0.0))
        self._scale = largest if largest > 0 else 1.0
        self._samples = TwoLayer(X / self._scale, np.asarray(signs, dtype=float), slope)
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
        exchanges, attempts, rounds = _options(settings)
        blocks = [values[name] for name in self._parts.blocks]
        incoming, outgoing = blocks[0], blocks[1]
        began = time.perf_counter()
        limit = settings.time_limit
        found = search(
            self._samples,
            incoming * np.abs(outgoing)[:, None],
            np.where(outgoing >= 0.0, 1.0, -1.0),
            exchanges=exchanges,
            attempts=attempts,
            rounds=rounds,
            deadline=np.inf if limit is None else began + limit,
        )
        seconds = time.perf_counter() - began
        ran, claim, status = _status(found)
        lam = np.zeros(found.multipliers.size)
        if found.separates:
            # f/unit >= 1 at the scale of X: v carries unit/scale, λ the square root of Σ‖v‖².
            stretch = self._parts.functions.unit / self._scale
            w = self._weights(found.v * stretch, found.signs)
            lam = found.multipliers * stretch
        elif np.any(found.v):
            w = self._weights(found.v, found.signs)
        else:
            w = self._parts.flat(values)
        answer, duals = self._parts.answer(w, lam, numbers)
        return RawAnswer(
            values=answer,
            multipliers=duals if found.separates else {},
            ran=ran,
            claim=claim,
            raw_status=status,
            iterations=found.rounds,
            build_seconds=self._build_seconds,
            solve_seconds=seconds,
        )

    def _weights(self, v: FloatArray, signs: FloatArray) -> FloatArray:
        """Return the balanced weights, ``|a_j| = ‖w_j‖ = √‖v_j‖``, flat."""
        sizes = np.linalg.norm(v, axis=1)
        root = np.sqrt(sizes)
        units = np.divide(v, root[:, None], out=np.zeros_like(v), where=root[:, None] > 0)
        return self._parts.functions.flatten([units, signs * root])


def _options(settings: SolverSettings) -> tuple[int, int, int]:
    known = {"exchanges": 20, "attempts": 4, "rounds": 450}
    for name, value in settings.options.items():
        if name not in _OPTIONS:
            raise ParameterError(
                f"The convex-concave procedure has no option {name!r}.", nearest(name, _OPTIONS)
            )
        if name == "time_limit":
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ParameterError(f"{name} is {value!r}.", "Give a whole number >= 0.")
        known[name] = value
    return known["exchanges"], known["attempts"], known["rounds"]


def _status(found: ReluAnswer) -> tuple[Ran, Claim, str]:
    if found.out_of_time:
        return Ran.TIME_LIMIT, Claim.NOTHING, "out of time"
    if not found.separates:
        status = "no start led to a separating network"
        return Ran.FINISHED, Claim.LOCALLY_INFEASIBLE, status
    status = f"Clarke residual {found.residual:.1e}, birth test at least {found.birth:.6g}"
    if found.residual <= _STATIONARY:
        return Ran.FINISHED, Claim.LOCALLY_OPTIMAL, status
    return Ran.NUMERICAL, Claim.NOTHING, status
