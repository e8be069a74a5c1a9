"""Assumption 4, eq. 20: the losses settle in direction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.optimizers import ConstantStep, GradientDescent
from lexmargin.paper.evidence import EXACT
from lexmargin.paper.instances import rows
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation
from lexmargin.paths import EndReason, GradientFlow, descend
from lexmargin.predictors import Linear

__all__ = ["STATEMENT", "AssumptionFourLosses"]

_SHARES: Final = np.array([0.8, 0.2])
"""a of eq. 20 on Z = (1,0), (0,2): ℓ_1 ~ 1/t and ℓ_2 ~ 1/(4t)."""
_FLOW: Final = 3.0 * math.sqrt(2.0) / 25
"""t‖ε(t)‖ from 0: ℓ = (1/(1+t), 1/(1+4t)), so that ε_1 = -ε_2 = -3/(5(2+5t))."""
_EXACT: Final = 1e-3
"""Of t‖ε(t)‖ at t = 1e4: the next term of 1/t, and the integrator's 1e-11 times t."""
_STEPS: Final = 1e-3
"""Of ‖ε‖ after 5e4 steps of length 0.1, where log t/t is 2e-3."""
_RATE: Final = 0.1
"""The fixed step η of descent."""


@final
@dataclass(frozen=True)
class AssumptionFourLosses(PlainStatement):
    """`ℓ_n(t) = h(t) a_n + h(t) ε_n(t)` with h → 0 and ε → 0 (eq. 20).

    Attributes:
        second: second entry of the second sample; the shares a are those of 2.
    """

    id: ClassVar[str] = "assumption-4-losses"
    title: ClassVar[str] = "The losses settle in direction"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.ASSUMPTION_4,)
    equation: ClassVar[str] = (
        r"\ell_n(t)=h(t)a_n+h(t)\epsilon_n(t),\quad h(t)\to 0,\ \epsilon_n(t)\to 0"
    )
    says: ClassVar[str] = (
        "Along gradient descent the losses, divided by their sum h(t), converge. On (1,0), (0,2) "
        "to a = (4, 1)/5, with ‖ε(t)‖ ~ 3√2/(25 t) from 0 and like 1/t from every start."
    )
    caption: ClassVar[str] = (
        "‖ε(t)‖, distance of the shares of the losses from (4, 1)/5: gradient flow from 0 and "
        "from a random start, and gradient descent with steps of 0.1, over the time."
    )
    axes: ClassVar[tuple[str, str]] = ("time t", "‖ε(t)‖")

    second: float = 2.0

    def measure(self, effort: Effort) -> Measurement:
        """Follow the flow from 0 and from random starts, and descent, and take the shares."""
        seeds = range(2 if effort is Effort.QUICK else 6)
        steps = 10_000 if effort is Effort.QUICK else 50_000
        times = tuple(float(t) for t in np.logspace(0.0, 4.0, 9))
        data = rows(((1.0, 0.0), (0.0, self.second)))
        word = f"Z = (1,0), (0,{self.second:g}), linear"
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {"t": times}
        for seed in (None, *seeds):
            start = np.zeros(2) if seed is None else np.random.default_rng(seed).normal(size=2)
            path = descend(Linear(), data, start=start, flow=GradientFlow(times[-1]),
                           record=times, polish=False)  # fmt: skip
            left = np.linalg.norm(path.records.weights - _SHARES, axis=1)
            end = float(left[-1]) if path.reason is EndReason.TIME else math.nan
            if seed is None:
                checks += [
                    EXACT.check(f"{word}, flow from 0", f"t‖ε(t)‖ at t = {times[-1]:g}",
                                times[-1] * end, Relation.EQUAL, _FLOW, _EXACT),
                    EXACT.check(f"{word}, flow from 0", f"t h(t) at t = {times[-1]:g}",
                                times[-1] * math.exp(path.records.log_loss[-1]), Relation.EQUAL,
                                5 / 4, _EXACT),
                ]  # fmt: skip
            else:
                checks.append(
                    EXACT.small(f"{word}, flow from the start of seed {seed}",
                                f"‖ε(t)‖ at t = {times[-1]:g}", end, _EXACT)
                )  # fmt: skip
            if seed in (None, 0):
                curves["flow from 0" if seed is None else "flow, seed 0"] = tuple(
                    float(v) for v in left
                )
        at = [round(10 * t) for t in times if 10 * t <= steps]
        path = descend(Linear(), data, start=np.zeros(2), steps=steps, record=at,
                       optimizer=GradientDescent(ConstantStep(_RATE)), polish=False)  # fmt: skip
        left = np.linalg.norm(path.records.weights - _SHARES, axis=1)
        tolerance = _STEPS * (50_000 / steps)
        checks.append(
            EXACT.small(f"{word}, descent with η = 0.1 from 0", f"‖ε‖ after {steps} steps",
                        float(left[-1]), tolerance)
        )  # fmt: skip
        return Measurement(tuple(checks), curves)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("the samples (1,0), (0,3)", AssumptionFourLosses(second=3.0)),)


STATEMENT = AssumptionFourLosses()
