"""Example 2: with the log predictor the constrained path stays away from the margin path."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import load_dataset
from lexmargin.paper.evidence import Backing
from lexmargin.paper.log_paths import TOY, constrained, max_margin, smallest
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation, Statement
from lexmargin.plots import BLUE, GREY, VERMILION, panel

__all__ = ["STATEMENT", "ExampleTwo"]

_AWAY: Final = 0.1
"""A distance of unit vectors that is not small; the two instances keep 0.34 and 0.19."""


@final
@dataclass(frozen=True)
class ExampleTwo(Statement):
    """`f_n = log(ρ θ·z_n)`: θ_c does not near the max-margin direction.

    Attributes:
        power: of the logarithm; Example 2 has 1.
        toy_only: leave the real data out.
    """

    id: ClassVar[str] = "example-2"
    title: ClassVar[str] = "A log predictor: the two paths do not meet"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.EXAMPLE_2,)
    equation: ClassVar[str] = (
        r"\gamma^*(\rho)-\gamma(\rho,\theta_c(\rho))="
        r"\log\frac{\tilde\gamma^*}{\tilde\gamma(\theta_c(\rho))}\nrightarrow 0"
    )
    says: ClassVar[str] = (
        "With f_n = log(ρ θ·z_n) the constrained path minimises Σ 1/(θ·z_n): the same "
        "direction at every ρ, and not the max-margin one."
    )
    problems: ClassVar[tuple[str, ...]] = (
        "paths/log-predictor-constrained-1000",
        "paths/log-predictor-margin",
    )
    caption: ClassVar[str] = (
        "With f = log(ρθ·z) the constrained path has one direction at every ρ, away from the "
        "max-margin one: on the toy θ₂/θ₁ = 2 where the max margin has 8."
    )

    power: float = 1.0
    toy_only: bool = False

    def measure(self, effort: Effort) -> Measurement:
        """Solve both paths at growing ρ."""
        grid = (
            (3.0, 10.0, 100.0) if effort is Effort.QUICK else (3.0, 5.0, 10.0, 30.0, 100.0, 500.0)
        )
        formula = f"f = log^{self.power:g}(ρ θ·z)"
        runs = [("Z = (1,0), (0,1/8)", TOY)]
        if not self.toy_only:
            runs.append(("wine", load_dataset("wine", positive=[0], standardize=True)))
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {"log rho": grid}
        for number, (name, data) in enumerate(runs):
            best = max_margin(data)
            answers = [constrained(data, self.power, s) for s in grid]
            certificates = [best.certificate, *(a.certificate for a in answers)]
            apart = [float(np.linalg.norm(a.direction - best.direction)) for a in answers]
            lost = [best.margin / smallest(data, a.direction) for a in answers]
            shown = Backing.of(certificates)
            checks += [
                shown.check(
                    f"{name}, {formula}",
                    "smallest distance of θ_c to the max-margin direction, "
                    f"ln ρ = 3 to {grid[-1]:g}",
                    min(apart),
                    Relation.AT_LEAST,
                    _AWAY,
                    0.0,
                ),
                shown.check(
                    f"{name}, {formula}",
                    f"ratio of the largest margin of θ·z to that of θ_c, against N = {len(data.X)}",
                    max(lost),
                    Relation.AT_MOST,
                    float(len(data.X)),
                    0.0,
                ),
            ]
            curves[f"distance {number}"] = tuple(apart)
        return Measurement(tuple(checks), curves)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant(
                "the square of the log, which does near the max-margin direction",
                ExampleTwo(power=2.0, toy_only=True),
            ),
        )

    def draw(self, measurement: Measurement) -> Any:
        """Distances to the max-margin direction over ln ρ."""
        curves = measurement.curves
        names = [check.instance.split(", f")[0] for check in measurement.checks[::2]]
        with panel(3.2) as (figure, axes):
            for number, (name, (color, mark)) in enumerate(
                zip(names, ((BLUE, "o-"), (VERMILION, "s-")), strict=False)
            ):
                apart = curves[f"distance {number}"]
                axes.plot(curves["log rho"], apart, mark, color=color, ms=5, label=name)
            axes.axhline(0.0, color=GREY, ls="--", lw=0.8, label="the max-margin direction")
            axes.set_xscale("log")
            axes.set_ylim(-0.02, 0.5)
            axes.set_xlabel("ln ρ")
            axes.set_ylabel("distance of $\\theta_c$ to the\nmax-margin direction")
            axes.legend(frameon=False, loc="upper right", ncols=3)
            return figure


STATEMENT = ExampleTwo()
