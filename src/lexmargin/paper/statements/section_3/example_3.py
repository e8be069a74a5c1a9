"""Example 3: with log^{1+ε} the constrained path does near the margin path, at every ε > 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset, load_dataset
from lexmargin.paper.evidence import Backing
from lexmargin.paper.log_paths import TOY, constrained, max_margin, ratio, smallest
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation, Statement
from lexmargin.plots import BLUE, GREEN, GREY, ORANGE, VERMILION, panels

__all__ = ["STATEMENT", "ExampleThree"]

_ROUNDING: Final = 1e-9
"""Error granted to logarithms of margins: that of the solves, which the check knows besides."""
_NEAR: Final = 0.25
"""Of θ_2/θ_1 = 8 at the largest ρ; at ε = ½ the rate itself still allows 0.22 there."""
_CLOSE: Final = 0.02
"""Distance of unit vectors on wine; at ε = ½ it is 0.005 at the largest ρ."""
_REACH: Final = ((3.0, 1e8), (10.0, 1e6))
"""Smallest ln ρ and largest margin f, on two samples and on 178: below, hardly any θ has
ρ θ·z_n > 1 for all n, where the powers are defined; above, double precision does not see
differences of f to the certificate's tolerance."""


@final
@dataclass(frozen=True)
class ExampleThree(Statement):
    """`f_n = log^{1+ε}(ρ θ·z_n)`: θ_c tends to the max-margin direction.

    Attributes:
        epsilons: the ε that are tried; 0 is Example 2.
        toy_only: leave the real data out.
    """

    id: ClassVar[str] = "example-3"
    title: ClassVar[str] = "A power of the log: the two paths meet"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.EXAMPLE_3,)
    equation: ClassVar[str] = (
        r"(1+\epsilon)\log^\epsilon(\rho)\,"
        r"\log\frac{\tilde\gamma^*}{\tilde\gamma(\theta_c(\rho))}\le\log N+o(\log^\epsilon"
        r"\rho)"
    )
    says: ClassVar[str] = (
        "With f_n = log^{1+ε}(ρ θ·z_n), ε > 0, the margins of θ·z on the two paths have a "
        "ratio that tends to 1, by Lemma 3."
    )
    problems: ClassVar[tuple[str, ...]] = (
        "paths/log-power-constrained-10",
        "paths/log-power-constrained-100",
        "paths/log-power-constrained-1000",
        "paths/log-power-constrained-10000",
    )
    caption: ClassVar[str] = (
        "The log predictor (ε = 0) beside log^{1+ε}. Above: direction θ₂/θ₁ of the constrained "
        "path on the toy; it stays at 2 or goes to 8, the max-margin direction, the faster the "
        "larger ε. Below: distance to the max-margin direction on wine."
    )

    epsilons: tuple[float, ...] = (0.5, 1.0, 2.0)
    toy_only: bool = False

    def measure(self, effort: Effort) -> Measurement:
        """Solve the constrained path up to ρ = e^10000 and compare margins."""
        grid = (
            (10.0, 400.0, 1e4)
            if effort is Effort.QUICK
            else (3.0, 10.0, 30.0, 100.0, 400.0, 1e3, 1e4)
        )
        runs = [("Z = (1,0), (0,1/8)", TOY)]
        if not self.toy_only:
            runs.append(("wine", load_dataset("wine", positive=[0], standardize=True)))
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {}
        for number, (name, data) in enumerate(runs):
            for epsilon in (0.0, *self.epsilons):
                first, last = _REACH[number]
                seen = [s for s in grid if s >= first and s ** (1.0 + epsilon) <= last]
                found, curve = self._follow(name, data, epsilon, seen)
                curves[f"ln ρ {number}, ε = {epsilon:g}"] = tuple(seen)
                curves[f"{number}, ε = {epsilon:g}"] = curve
                if epsilon in self.epsilons:
                    checks += found
        return Measurement(tuple(checks), curves)

    @staticmethod
    def _follow(
        name: str, data: Dataset, epsilon: float, grid: list[float]
    ) -> tuple[list[Check], tuple[float, ...]]:
        """Return the checks at one ε, and what is drawn: θ_2/θ_1 on the toy, else the distance."""
        best = max_margin(data)
        answers = [constrained(data, 1.0 + epsilon, s) for s in grid]
        apart = [float(np.linalg.norm(a.direction - best.direction)) for a in answers]
        certificates = [best.certificate, *(a.certificate for a in answers)]
        shown = Backing.of(certificates)
        count = len(data.X)
        word = f"{name}, f = log^{1 + epsilon:g}(ρ θ·z)"
        margins = [smallest(data, a.direction) for a in answers]
        excess = [
            math.log(best.margin / m)
            - math.log(count) / ((1.0 + epsilon) * (s + math.log(m)) ** epsilon)
            for s, m in zip(grid, margins, strict=True)
            if s + math.log(m) > 0.0
        ]
        toy = data is TOY
        checks = [
            shown.small(
                word,
                f"largest log(γ_m/γ_c) less its bound log {count}/((1+ε) log^ε(ρ γ_c))",
                max(excess),
                _ROUNDING,
            ),
            shown.check(
                word,
                f"θ_2/θ_1 at ln ρ = {grid[-1]:g}, 8 at the max-margin direction"
                if toy
                else f"distance of θ_c to the max-margin direction at ln ρ = {grid[-1]:g}",
                ratio(answers[-1].direction) if toy else apart[-1],
                Relation.EQUAL,
                8.0 if toy else 0.0,
                _NEAR if toy else _CLOSE,
            ),
        ]
        return checks, tuple(ratio(a.direction) for a in answers) if toy else tuple(apart)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("ε = 0, which is Example 2", ExampleThree(epsilons=(0.0,), toy_only=True)),)

    def draw(self, measurement: Measurement) -> Any:
        """θ₂/θ₁ over ln ρ for every ε, and the distance to the max-margin direction on wine."""
        curves = measurement.curves
        looks = ((VERMILION, "o-"), (ORANGE, "s-"), (GREEN, "^-"), (BLUE, "v-"))
        count = 1 + any(name.startswith("1") for name in curves)
        with panels(count, 2.8) as (figure, column):
            for number, axes in enumerate(column):
                names = [name for name in curves if name.startswith(f"{number}, ")]
                for name, (color, mark) in zip(names, looks, strict=False):
                    at, seen = curves[f"ln ρ {name}"], curves[name]
                    label = name.split(", ")[1] if number == 0 else None
                    axes.plot(at, seen, mark, ms=4, color=color, label=label)
                axes.set_xscale("log")
                axes.set_xlabel("ln ρ")
            left = column[0]
            left.axhline(8.0, color=GREY, ls="--", lw=0.8)
            left.set_ylim(0.0, 8.8)
            left.set_ylabel("toy: direction $\\theta_2/\\theta_1$ of $\\theta_c$")
            if count == 2:
                column[1].set_yscale("log")
                column[1].set_ylabel("wine: distance of $\\theta_c$ to the\nmax-margin direction")
            figure.legend(frameon=False, loc="outside upper center", ncols=len(looks))
            return figure


STATEMENT = ExampleThree()
