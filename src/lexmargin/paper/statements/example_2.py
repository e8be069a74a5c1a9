"""Example 2: with the log predictor the constrained path stays away from the margin path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.paper.evidence import certified, residual
from lexmargin.paper.log_paths import SAMPLES, constrained, max_margin, ratio
from lexmargin.paper.statement import Check, Effort, Measurement, Relation, Statement
from lexmargin.plots import BLUE, GREY, VERMILION, style

__all__ = ["STATEMENT", "ExampleTwo"]

_AWAY: Final = 0.1
"""A distance of unit vectors that is not small; the instance keeps 0.34."""


@final
@dataclass(frozen=True)
class ExampleTwo(Statement):
    """`f_n = log(ρ θ·z_n)`: θ_c does not near the max-margin direction.

    Attributes:
        power: of the logarithm; Example 2 has 1.
    """

    id: ClassVar[str] = "example-2"
    title: ClassVar[str] = "A log predictor: the two paths do not meet"
    reference: ClassVar[str] = "Example 2"
    says: ClassVar[str] = (
        "f_n = log(ρ θ·z_n): e^{-f_n} = 1/(ρ θ·z_n), so that θ_c minimises Σ 1/(θ·z_n), the same "
        "direction at every ρ, and not the max-margin one."
    )
    problems: ClassVar[tuple[str, ...]] = (
        "paths/log-predictor-constrained-1000",
        "paths/log-predictor-margin",
    )
    caption: ClassVar[str] = (
        "Direction θ₂/θ₁ of the constrained path with f = log(ρθ·z) (red), 2 at every ρ; the "
        "max-margin direction has 8. The margins themselves stay within the factor N = 2."
    )

    power: float = 1.0

    def measure(self, effort: Effort) -> Measurement:
        """Solve both paths at growing ρ."""
        grid = (
            (3.0, 10.0, 100.0) if effort is Effort.QUICK else (3.0, 5.0, 10.0, 30.0, 100.0, 500.0)
        )
        best = max_margin()
        answers = [constrained(self.power, s) for s in grid]
        certificates = [best.certificate, *(a.certificate for a in answers)]
        apart = [float(np.linalg.norm(a.direction - best.direction)) for a in answers]
        Z = np.array(SAMPLES)
        lost = [best.margin / float((Z @ a.direction).min()) for a in answers]
        word = f"Z = (1,0), (0,1/8), f = log^{self.power:g}(ρ θ·z)"
        well, error = certified(certificates), residual(certificates)
        checks = (
            Check(
                word,
                f"smallest distance of θ_c to the max-margin direction, ln ρ = 3 to {grid[-1]:g}",
                min(apart),
                Relation.AT_LEAST,
                _AWAY,
                0.0,
                error,
                well,
            ),
            Check(
                word,
                "ratio of the largest margin of θ·z to that of θ_c, against N",
                max(lost),
                Relation.AT_MOST,
                2.0,
                0.0,
                error,
                well,
            ),
        )
        curves = {"log rho": grid, "ratio": tuple(ratio(a.direction) for a in answers)}
        return Measurement(checks, curves)

    def draw(self, measurement: Measurement) -> Any:
        """θ₂/θ₁ over ln ρ."""
        curves = measurement.curves
        with style() as plt:
            figure, axes = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
            axes.axhline(8.0, color=BLUE, ls="--", lw=1.0, label="max-margin direction, 8")
            axes.axhline(2.0, color=GREY, lw=0.8, label="minimiser of Σ 1/(θ·z), 2")
            axes.plot(curves["log rho"], curves["ratio"], "o", color=VERMILION, label="$\\theta_c$")
            axes.set_xscale("log")
            axes.set_ylim(0.0, 8.8)
            axes.set_xlabel("ln ρ")
            axes.set_ylabel("direction $\\theta_2/\\theta_1$")
            axes.legend(frameon=False, loc="center right")
            return figure


STATEMENT = ExampleTwo()
