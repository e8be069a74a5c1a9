"""Example 3 on the optimization path: gradient flow with a power of the log above 1."""

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

__all__ = ["STATEMENT", "ExampleThreeOptimization"]

_NEAR: Final = 1.0
"""Of θ_2/θ_1 = 8 at t = 1e250: there log u is 24 for ε = 1 and 8.3 for ε = 2, and the ratio 8 less
a share ln 64/((1+ε) log^ε u), at most 0.09."""


@final
@dataclass(frozen=True)
class ExampleThreeOptimization(PlainStatement):
    """Gradient flow of `Σ exp(-log^{1+ε}(θ·z_n))` tends to the max-margin direction.

    By coordinates `u = θ·z_n` follows `u e^{log^q u}/(q log^{q-1} u) du = ‖z_n‖² dt`, q = 1+ε, so
    that `log^q u_1 - log^q u_2 → ln 64` and `u_1/u_2 → 1`.

    Attributes:
        epsilons: the ε that are tried; 0 is Example 2.
    """

    id: ClassVar[str] = "example-3-optimization"
    title: ClassVar[str] = "A power of the log on the optimization path"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.EXAMPLE_3_PATHS,)
    equation: ClassVar[str] = (
        r"\dot\theta=-\nabla\sum_n e^{-\log^{1+\epsilon}(\theta^\top z_n)},\quad "
        r"\theta(t)/\|\theta(t)\|\ \to\ \Theta_m^*,\quad\epsilon>0"
    )
    says: ClassVar[str] = (
        "With log^{1+ε}, ε > 0, the optimization path does converge to the margin path."
    )
    caption: ClassVar[str] = (
        "8 - θ_2/θ_1 along gradient flow over the time, two samples (1,0), (0,1/8), one start "
        "per ε drawn: it falls like a power of 1/log t."
    )
    axes: ClassVar[tuple[str, str]] = ("time t", "$8-\\theta_2/\\theta_1$")

    epsilons: tuple[float, ...] = (1.0, 2.0)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("the log itself, ε = 0", ExampleThreeOptimization(epsilons=(0.0,))),)

    def measure(self, effort: Effort) -> Measurement:
        """Integrate the flow from random starts with ρ θ·z > 1, all of them reported."""
        seeds = range(2 if effort is Effort.QUICK else 6)
        times = tuple(float(t) for t in np.logspace(50, 250, 5))
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {"t": times}
        for epsilon in self.epsilons:
            ends = []
            name = f"Z = (1,0), (0,1/8), f = log^{1.0 + epsilon:g}(θ·z)"
            for seed in seeds:
                start = np.random.default_rng(seed).uniform(*STARTS)
                path = descend(Log(1.0 + epsilon), TOY, start=start, record=times, polish=False,
                               flow=GradientFlow(times[-1]))  # fmt: skip
                seen = path.records.direction[:, 1] / path.records.direction[:, 0]
                ends.append(float(seen[-1]) if path.reason is EndReason.TIME else np.nan)
                if seed == seeds[0]:
                    curves[f"ε = {epsilon:g}"] = tuple(float(8 - s) for s in seen)
            # np.max and np.min keep a NaN, which leaves the check undecided.
            where = f"θ_2/θ_1 at t = {times[-1]:g} over seeds 0-{len(seeds) - 1}"
            checks += [
                EXACT.check(name, f"smallest {where}", float(np.min(ends)), Relation.EQUAL, 8,
                            _NEAR),
                EXACT.check(name, f"largest {where}", float(np.max(ends)), Relation.EQUAL, 8,
                            _NEAR),
            ]  # fmt: skip
        return Measurement(tuple(checks), curves)


STATEMENT = ExampleThreeOptimization()
