"""Corollary 1: the ratio of the largest margin and the constrained path's tends to 1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.formulations import ConstrainedPath
from lexmargin.paper.evidence import Backing
from lexmargin.paper.figures import plot_seen
from lexmargin.paper.instances import breast_cancer_linear, diagonal_pair, two_axes, wine_network
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Statement
from lexmargin.paths import trace
from lexmargin.plots import BLUE, GREEN, ORANGE, VERMILION, panel

__all__ = ["STATEMENT", "CorollaryOne"]

_NEAR: Final = 0.01
"""How near to 1 the ratio is at the last ρ: log N/γ*(ρ) is below it there on every instance."""


@final
@dataclass(frozen=True)
class CorollaryOne(Statement):
    """`lim γ*(ρ)/γ(ρ, θ_c(ρ)) = 1` for ρ → ∞ where γ*(ρ) → ∞.

    Attributes:
        reach: factor on the last ρ of every instance; 1 lets log N/γ* fall below 1 %.
        toy_only: leave the real data out.
    """

    id: ClassVar[str] = "corollary-1"
    title: ClassVar[str] = "The ratio of the two margins tends to 1"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.COROLLARY_1,)
    equation: ClassVar[str] = (
        r"\lim_{\rho\to\infty}\frac{\gamma^*(\rho)}{\gamma(\rho,"
        r"\theta_c(\rho))}=1"
    )
    says: ClassVar[str] = (
        "In the limit the constrained path has the largest margin; by Lemma 3 the ratio nears "
        "1 like log N/γ*(ρ)."
    )
    problems: ClassVar[tuple[str, ...]] = (
        "paths/l1-constrained-1000",
        "networks/diagonal-2",
        "real/breast_cancer",
        "real/wine-relu2",
    )
    caption: ClassVar[str] = (
        "γ*/γ - 1 along the constrained path, on two toy and two real instances: it falls like "
        "1/γ*(ρ), at slope -α on these axes. On the symmetric pair it is 0 to rounding, and not "
        "on the axis."
    )

    reach: float = 1.0
    toy_only: bool = False

    def measure(self, effort: Effort) -> Measurement:
        """Trace the constrained path and compare the ratio at its end."""
        runs = [(two_axes(), 3.0), (diagonal_pair(), 2.0)]
        if not self.toy_only:
            runs += [(breast_cancer_linear(), 5), (wine_network(), 2.0)]
        count = 5 if effort is Effort.QUICK else 16
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {}
        for number, (instance, last) in enumerate(runs):
            top = last + math.log10(self.reach)
            grid = [float(r) for r in np.logspace(min(0.5, top - 0.5), top, count)]
            problem = ConstrainedPath(instance.predictor, instance.data, norm=instance.norm)
            path = trace(problem, grid)
            ratio = [point.best_margin / point.margin - 1.0 for point in path.points]
            checks.append(
                Backing.along(path).small(
                    instance.name, f"γ*/γ - 1 at ρ = {grid[-1]:g}", ratio[-1], _NEAR
                )
            )
            curves |= {f"rho {number}": tuple(grid), f"ratio {number}": tuple(ratio)}
        return Measurement(tuple(checks), curves)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant(
                "a hundredth of the scale ρ, where log N is not small beside γ*",
                CorollaryOne(reach=1e-2, toy_only=True),
            ),
        )

    def draw(self, measurement: Measurement) -> Any:
        """γ*/γ - 1 over ρ, where the path separates."""
        curves = {name: np.array(values) for name, values in measurement.curves.items()}
        with panel(3.6) as (figure, axes):
            marks = ((BLUE, "o-"), (GREEN, "s-"), (ORANGE, "^-"), (VERMILION, "v-"))
            for number, (check, (color, mark)) in enumerate(
                zip(measurement.checks, marks, strict=False)
            ):
                at, ratio = curves[f"rho {number}"], curves[f"ratio {number}"]
                plot_seen(axes, at, ratio, mark, color, check.instance)
            axes.set_xlabel("scale ρ")
            axes.set_ylabel("$\\gamma^*(\\rho)/\\gamma(\\rho,\\theta_c(\\rho))-1$")
            figure.legend(frameon=False, loc="outside upper left", fontsize=8)
            return figure


STATEMENT = CorollaryOne()
