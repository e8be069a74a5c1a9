"""The convex-concave procedure as a backend: hard margins of two-layer ReLU networks.

Its treatment of kinks is exact (epigraphs and multipliers, no smoothing), so that its answers are
Clarke-KKT points up to rounding; naming another solver chooses another treatment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.backends.base import Backend, Compiled, Found, Request
from lexmargin.backends.kinked.relu_search import ReluAnswer, search
from lexmargin.backends.kinked.relu_subproblem import TwoLayer
from lexmargin.backends.options import Options, whole_number
from lexmargin.backends.smooth.homogeneous import Ended, homogeneous_program
from lexmargin.errors import UnsupportedError
from lexmargin.formulations.base import Formulation
from lexmargin.ops.base import FloatArray
from lexmargin.predictors.base import Predictor
from lexmargin.predictors.networks import fully_connected
from lexmargin.program import Program

__all__ = ["ConvexConcaveBackend", "ConvexConcaveProgram"]


def _slope(predictor: Predictor) -> float | None:
    """Return the slope of σ left of 0 for a kinked one-output two-layer network, else None."""
    network = fully_connected(predictor)
    return network.kink_slope if network is not None and network.two_layer else None


@final
class ConvexConcaveBackend(Backend):
    """Cone programs by Clarabel, births of neurons, and Clarke-Newton steps."""

    imports = ("clarabel",)

    def suits(self, problem: Formulation) -> bool:
        euclidean = problem.norm_p == 2.0 and problem.asks_direction
        return euclidean and _slope(problem.functions.predictor) is not None

    def compile(self, program: Program) -> ConvexConcaveProgram:
        return ConvexConcaveProgram(program)


@final
@dataclass(frozen=True, kw_only=True)
class _Options(Options):
    method = "The convex-concave procedure"

    exchanges: int = whole_number(20)
    attempts: int = whole_number(4)
    rounds: int = whole_number(450)


@final
class ConvexConcaveProgram(Compiled):
    """The samples, the labels and the width of a program."""

    def _build(self) -> None:
        self._parts = homogeneous_program(self.program)
        functions = self._parts.functions
        slope = _slope(functions.predictor)
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

    def _run(self, request: Request) -> Found:
        options = _Options.read(request.settings)
        blocks = [request.values[name] for name in self._parts.blocks]
        incoming, outgoing = blocks[0], blocks[1]
        found = search(
            self._samples,
            incoming * np.abs(outgoing)[:, None],
            np.where(outgoing >= 0.0, 1.0, -1.0),
            exchanges=options.exchanges,
            attempts=options.attempts,
            rounds=options.rounds,
            deadline=request.deadline,
        )
        lam = np.zeros(found.multipliers.size)
        if found.separates:
            # f/unit >= 1 at the scale of X: v carries unit/scale, λ the square root of Σ‖v‖².
            stretch = self._parts.functions.unit / self._scale
            w = self._weights(found.v * stretch, found.signs)
            lam = found.multipliers * stretch
        elif np.any(found.v):
            w = self._weights(found.v, found.signs)
        else:
            w = self._parts.flat(request.values)
        ended = Ended(w, lam, found.residual, found.separates, found.rounds, found.out_of_time)
        return self._parts.found(ended, request, _status(found))

    def _weights(self, v: FloatArray, signs: FloatArray) -> FloatArray:
        """Return the balanced weights, ``|a_j| = ‖w_j‖ = √‖v_j‖``, flat."""
        sizes = np.linalg.norm(v, axis=1)
        root = np.sqrt(sizes)
        units = np.divide(v, root[:, None], out=np.zeros_like(v), where=root[:, None] > 0)
        return self._parts.functions.flatten([units, signs * root])


def _status(found: ReluAnswer) -> str:
    if found.out_of_time:
        return "out of time"
    if not found.separates:
        return "no start led to a separating network"
    return f"Clarke residual {found.residual:.1e}, birth test at least {found.birth:.6g}"
