"""Gradient flow ``dθ/dt = -∇L(θ)`` in logarithmic time, where it can reach t = 1e8 and beyond."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, final

import numpy as np

from lexmargin.inputs.alone import quiet
from lexmargin.inputs.checks import Positive
from lexmargin.inputs.kinds import checked_class
from lexmargin.linalg.guarded import stepper
from lexmargin.ops.base import FloatArray
from lexmargin.optimizers.base import LossOracle

__all__ = ["Clock", "FlowMethod", "FlowState", "GradientFlow"]


class Clock(StrEnum):
    """What the flow's time is; the curve that θ runs along is the same."""

    TIME = "time"
    """t of ``dθ/dt = -∇L(θ)``: doubles end it at 1e308, which is 709 nats of the loss."""
    NATS = "nats"
    """``log L(θ(0)) - log L(θ)``, for large t about log t: ``dθ/du = -∇log L/‖∇log L‖²``."""


class FlowMethod(StrEnum):
    """Integrators of scipy: the stiff ones, and an explicit one of order 8."""

    LSODA = "LSODA"
    RADAU = "Radau"
    BDF = "BDF"
    DOP853 = "DOP853"


@final
@checked_class
@dataclass(frozen=True)
class GradientFlow:
    """Follow ``dθ/dt = -∇L(θ)`` from t = 0 to ``time``.

    The independent variable is ``s = log(1 + t)``: ``dθ/ds = -e^{s + log L} ∇ log L``, whose right
    side stays moderate, because L decays like 1/t up to powers of log t; by the other clock it is
    ``s = log(1 + u)`` and ``dθ/ds = -e^s ∇log L/‖∇log L‖²``.

    Attributes:
        time: the last t, or u.
        method: the integrator.
        rtol, atol: its tolerances per step.
        clock: what time is.
    """

    time: Positive
    method: FlowMethod = FlowMethod.LSODA
    rtol: Positive = 1e-11
    atol: Positive = 1e-12
    clock: Clock = Clock.TIME


@final
@dataclass(frozen=True, eq=False)
class FlowState:
    """One step of the integrator: the path is known up to ``time``, ``theta`` at its end."""

    time: float
    theta: FloatArray
    dense: Any
    failed: bool = False

    def at(self, time: float) -> FloatArray:
        """Return θ at a time within the step."""
        return np.asarray(self.dense(math.log1p(time)), dtype=np.float64)


def integrate(flow: GradientFlow, oracle: LossOracle, theta: FloatArray) -> Iterator[FlowState]:
    """Yield the integrator's steps until ``flow.time``, or until one has failed."""
    finite = True

    def slope(s: float, x: FloatArray) -> FloatArray:
        nonlocal finite
        point = oracle.at(x)
        with np.errstate(over="ignore", invalid="ignore"):
            pull = point.descent
            if flow.clock is Clock.TIME:
                result = np.exp(s + point.log_loss) * pull
            else:
                result = np.exp(s) * pull / (pull @ pull)
        if flow.method is not FlowMethod.DOP853 and not np.all(np.isfinite(result)):
            # An explicit method rejects such a trial by itself; the others must see numbers, and
            # the step is discarded below.
            finite = False
            return np.zeros_like(x)
        return np.asarray(result)

    end = math.log1p(flow.time)
    solver = stepper(flow.method.value, slope, theta, end, rtol=flow.rtol, atol=flow.atol)
    while solver.status == "running":
        with quiet():
            solver.step()
        if solver.status == "failed" or not finite:
            yield FlowState(math.expm1(solver.t), theta, None, True)
            return
        theta = np.array(solver.y, dtype=np.float64)
        time = flow.time if solver.status == "finished" else math.expm1(solver.t)
        yield FlowState(time, theta, solver.dense_output())
