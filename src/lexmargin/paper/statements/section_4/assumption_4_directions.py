"""Assumption 4, eq. 21: the parameters settle in direction, like 1/log t."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.optimizers import GradientDescent, LossNormalizedStep
from lexmargin.paper.evidence import EXACT
from lexmargin.paper.instances import rows
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation
from lexmargin.paths import EndReason, GradientFlow, descend
from lexmargin.predictors import Linear

__all__ = ["STATEMENT", "AssumptionFourDirections"]

_GOAL: Final = np.array([2.0, 1.0]) / math.sqrt(5)
"""The max-margin direction of (1,0), (0,2)."""
_SLOPE: Final = 0.8 * math.log(2.0)
"""log t ‖δ(t)‖ for t → ∞ from 0: w = (log t, log t/2 + log 2), whose distance across the limit is
ln 4/√5, and whose length is (√5/2) log t."""
_NEXT: Final = 1.0
"""Of that product, times log t: the size of the next term."""
_STARTS: Final = 0.02
"""Of ‖δ(t)‖ from random starts at log t = 230."""


@final
@dataclass(frozen=True)
class AssumptionFourDirections(PlainStatement):
    """`θ(t) = g(t) θ̄ + g(t) δ(t)` with δ → 0 (eq. 21).

    Attributes:
        second: second entry of the second sample; the limit is that of 2.
    """

    id: ClassVar[str] = "assumption-4-directions"
    title: ClassVar[str] = "The parameters settle in direction"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.ASSUMPTION_4,)
    equation: ClassVar[str] = (
        r"\theta(t)=g(t)\bar\theta+g(t)\delta(t),\quad \|\bar\theta\|_2=1,\ \delta(t)\to 0"
    )
    says: ClassVar[str] = (
        "Along gradient descent θ(t)/‖θ(t)‖ converges. On (1,0), (0,2) to (2, 1)/√5, with "
        "log t ‖δ(t)‖ → 0.8 ln 2 from 0, and from every start."
    )
    caption: ClassVar[str] = (
        "‖δ(t)‖ along gradient flow from 0 and from a random start, over log t: slope -1."
    )
    axes: ClassVar[tuple[str, str]] = ("log t", "‖δ(t)‖")

    second: float = 2.0

    def measure(self, effort: Effort) -> Measurement:
        """Follow the flow from 0 and from random starts, and loss-normalised descent."""
        seeds = range(2 if effort is Effort.QUICK else 6)
        times = tuple(float(t) for t in np.logspace(2.0, 100, 8))
        data = rows(((1.0, 0.0), (0.0, self.second)))
        word = f"Z = (1,0), (0,{self.second:g}), linear"
        last = math.log(times[-1])
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {"log t": tuple(math.log(t) for t in times)}
        for seed in (None, *seeds):
            start = np.zeros(2) if seed is None else np.random.default_rng(seed).normal(size=2)
            path = descend(Linear(), data, start=start, flow=GradientFlow(times[-1]),
                           record=times, polish=False)  # fmt: skip
            left = np.linalg.norm(path.records.direction - _GOAL, axis=1)
            end = float(left[-1]) if path.reason is EndReason.TIME else math.nan
            if seed is None:
                checks.append(
                    EXACT.check(f"{word}, flow from 0", f"log t ‖δ(t)‖ at t = {times[-1]:g}",
                                last * end, Relation.EQUAL, _SLOPE, _NEXT / last)
                )  # fmt: skip
            else:
                checks.append(
                    EXACT.small(f"{word}, flow from the start of seed {seed}",
                                f"‖δ(t)‖ at t = {times[-1]:g}", end, _STARTS)
                )  # fmt: skip
            if seed in (None, 0):
                name = "flow from 0" if seed is None else "flow, seed 0"
                curves[name] = tuple(float(v) for v in left)
        halves = GradientDescent(LossNormalizedStep(0.5))
        path = descend(
            Linear(), data, start=np.zeros(2), optimizer=halves, steps=1000, polish=False
        )
        checks.append(
            EXACT.small(f"{word}, descent with η = 0.5/L from 0", "‖δ‖ after 1000 steps",
                        float(np.linalg.norm(path.direction - _GOAL)), _STARTS)
        )  # fmt: skip
        return Measurement(tuple(checks), curves)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("the samples (1,0), (0,3)", AssumptionFourDirections(second=3.0)),)


STATEMENT = AssumptionFourDirections()
