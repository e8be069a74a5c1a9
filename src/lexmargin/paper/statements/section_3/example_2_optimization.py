"""Example 2 on the optimization path: gradient flow on the log predictor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.paper.evidence import EXACT
from lexmargin.paper.log_paths import STARTS, TOY
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation
from lexmargin.paths import EndReason, GradientFlow, descend
from lexmargin.predictors import Log

__all__ = ["STATEMENT", "ExampleTwoOptimization"]

_NEAR: Final = 1e-3
"""Of θ_2/θ_1 at t = 1e9, where the starts still count 1e-8, and the integrator less."""


@final
@dataclass(frozen=True)
class ExampleTwoOptimization(PlainStatement):
    """`dθ_1/dt = 1/θ_1²`, `dθ_2/dt = 8/θ_2²`: θ_2/θ_1 → 2, and 8 at the max margin.

    Attributes:
        power: of the log; above 1 it is Example 3.
    """

    id: ClassVar[str] = "example-2-optimization"
    title: ClassVar[str] = "The log predictor on the optimization path"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.EXAMPLE_2_PATHS,)
    equation: ClassVar[str] = (
        r"\dot\theta=-\nabla\sum_n e^{-\log(\theta^\top z_n)},\quad "
        r"\theta(t)/\|\theta(t)\|\ \not\to\ \Theta_m^*"
    )
    says: ClassVar[str] = (
        "In setup A the optimization path does not necessarily converge to the margin path."
    )
    caption: ClassVar[str] = (
        "θ_2/θ_1 along gradient flow from several starts, two samples (1,0), (0,1/8): it goes to "
        "2 from every start; the max margin has 8."
    )
    axes: ClassVar[tuple[str, str]] = ("time t", "$\\theta_2/\\theta_1$")

    power: float = 1.0

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("the square of the log", ExampleTwoOptimization(power=2.0)),)

    def measure(self, effort: Effort) -> Measurement:
        """Integrate the flow from six random starts with ρ θ·z > 1, all of them reported."""
        seeds = range(2 if effort is Effort.QUICK else 6)
        times = tuple(float(t) for t in np.logspace(0.0, 9, 10))
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {"t": times}
        for seed in seeds:
            start = np.random.default_rng(seed).uniform(*STARTS)
            path = descend(Log(self.power), TOY, start=start, flow=GradientFlow(times[-1]),
                           record=times, polish=False)  # fmt: skip
            seen = path.records.direction[:, 1] / path.records.direction[:, 0]
            word = f"Z = (1,0), (0,1/8), f = log^{self.power:g}(θ·z), start of seed {seed}"
            ended = float(seen[-1]) if path.reason is EndReason.TIME else np.nan
            checks.append(
                EXACT.check(word, f"θ_2/θ_1 at t = {times[-1]:g}, 8 at the max margin",
                            ended, Relation.EQUAL, 2.0, _NEAR)
            )  # fmt: skip
            curves[f"seed {seed}"] = tuple(float(s) for s in seen)
        return Measurement(tuple(checks), curves)


STATEMENT = ExampleTwoOptimization()
