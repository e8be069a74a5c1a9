"""Example 3: with log^{1+ε} the constrained path does near the margin path, at every ε > 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.paper.evidence import certified, residual
from lexmargin.paper.log_paths import SAMPLES, constrained, max_margin, ratio
from lexmargin.paper.statement import Check, Effort, Measurement, Relation, Statement
from lexmargin.plots import BLUE, GREEN, GREY, ORANGE, VERMILION, style

__all__ = ["STATEMENT", "ExampleThree"]

_ROUNDING: Final = 1e-9
_NEAR: Final = 0.25
"""Of θ_2/θ_1 = 8 at the largest ρ; at ε = ½ the rate itself still allows 0.22 there."""
_LARGEST: Final = 1e8
"""Margin f up to which double precision sees differences of f to the certificate's 1e-8."""


@final
@dataclass(frozen=True)
class ExampleThree(Statement):
    """`f_n = log^{1+ε}(ρ θ·z_n)`: θ_c tends to the max-margin direction.

    Attributes:
        epsilons: the ε that are tried; 0 is Example 2.
    """

    id: ClassVar[str] = "example-3"
    title: ClassVar[str] = "A power of the log: the two paths meet"
    reference: ClassVar[str] = "Example 3"
    says: ClassVar[str] = (
        "f_n = log^{1+ε}(ρ θ·z_n) with ε > 0: by Lemma 3 log(γ_m/γ_c) ≤ "
        "log N/((1+ε) log^ε(ρ γ_c)) for the margins γ of θ·z, which tends to 0."
    )
    problems: ClassVar[tuple[str, ...]] = (
        "paths/log-power-constrained-10",
        "paths/log-power-constrained-100",
        "paths/log-power-constrained-1000",
        "paths/log-power-constrained-10000",
    )
    caption: ClassVar[str] = (
        "Direction θ₂/θ₁ of the constrained path: with f = log (ε = 0) it stays at 2, with "
        "log^{1+ε} it goes to 8, the max-margin direction, the faster the larger ε."
    )

    epsilons: tuple[float, ...] = (0.5, 1.0, 2.0)

    def measure(self, effort: Effort) -> Measurement:
        """Solve the constrained path up to ρ = e^10000 and compare margins."""
        grid = (
            (10.0, 400.0, 1e4)
            if effort is Effort.QUICK
            else (3.0, 10.0, 30.0, 100.0, 400.0, 1e3, 1e4)
        )
        best = max_margin()
        Z = np.array(SAMPLES)
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {}
        for epsilon in (0.0, *self.epsilons):
            seen = [s for s in grid if s ** (1.0 + epsilon) <= _LARGEST]
            answers = [constrained(1.0 + epsilon, s) for s in seen]
            curves[f"ln ρ, ε = {epsilon:g}"] = tuple(seen)
            curves[f"ε = {epsilon:g}"] = tuple(ratio(a.direction) for a in answers)
            if epsilon not in self.epsilons:
                continue
            certificates = [best.certificate, *(a.certificate for a in answers)]
            well, error = certified(certificates), residual(certificates)
            word = f"Z = (1,0), (0,1/8), f = log^{1 + epsilon:g}(ρ θ·z)"
            margins = [float((Z @ a.direction).min()) for a in answers]
            excess = [
                math.log(best.margin / m)
                - math.log(2.0) / ((1.0 + epsilon) * (s + math.log(m)) ** epsilon)
                for s, m in zip(seen, margins, strict=True)
                if s + math.log(m) > 0.0
            ]
            checks += [
                Check(
                    word,
                    "largest log(γ_m/γ_c) less its bound log 2/((1+ε) log^ε(ρ γ_c))",
                    max(excess),
                    Relation.AT_MOST,
                    0.0,
                    _ROUNDING,
                    error,
                    well,
                ),
                Check(
                    word,
                    f"θ_2/θ_1 at ln ρ = {seen[-1]:g}, 8 at the max-margin direction",
                    ratio(answers[-1].direction),
                    Relation.EQUAL,
                    8.0,
                    _NEAR,
                    error,
                    well,
                ),
            ]
        return Measurement(tuple(checks), curves)

    def draw(self, measurement: Measurement) -> Any:
        """θ₂/θ₁ over ln ρ for every ε."""
        curves = measurement.curves
        with style() as plt:
            figure, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
            axes.axhline(8.0, color=GREY, ls="--", lw=0.8)
            names = [name for name in curves if name.startswith("ε")]
            looks = ((VERMILION, "o-"), (ORANGE, "s-"), (GREEN, "^-"), (BLUE, "v-"))
            for name, (color, mark) in zip(names, looks, strict=False):
                axes.plot(
                    curves[f"ln ρ, {name}"], curves[name], mark, ms=4, color=color, label=name
                )
            axes.set_xscale("log")
            axes.set_ylim(0.0, 8.8)
            axes.set_xlabel("ln ρ")
            axes.set_ylabel("direction $\\theta_2/\\theta_1$ of $\\theta_c$")
            axes.legend(frameon=False, loc="center right", bbox_to_anchor=(1.0, 0.42))
            return figure


STATEMENT = ExampleThree()
