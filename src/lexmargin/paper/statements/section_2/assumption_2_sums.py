"""After Assumption 2: sums of homogeneous functions satisfy it, if they separate anything."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.formulations import ConstrainedPath
from lexmargin.judge import certify
from lexmargin.paper.evidence import Backing
from lexmargin.paper.instances import Instance, rows
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Reading, Relation
from lexmargin.predictors import Polynomial
from lexmargin.solve import solve

__all__ = ["STATEMENT", "AssumptionTwoSums"]

_ROUNDING: Final = 1e-8
"""Relative, of a margin solved for."""


@final
@dataclass(frozen=True)
class AssumptionTwoSums(PlainStatement):
    """`γ*(ρ)` rises strictly to infinity for a sum of homogeneous functions.

    Proof where some w has all f_n(w) > 0: `w_k → c^{1/α_k} w_k` with c > 1 multiplies every f_n by
    c and the norm by at most `c^{1/α_1}`, so that `γ*(c^{1/α_1} ρ) ≥ c γ*(ρ)`.

    Attributes:
        sign: of the first instance f = ± θ².
        degree: of the growth that is claimed, in units of α_1; 1 is the corrected reading.
    """

    id: ClassVar[str] = "assumption-2-sums"
    title: ClassVar[str] = "Sums of homogeneous functions and Assumption 2"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.SUMS_SATISFY,)
    equation: ClassVar[str] = (
        r"\gamma^*(\rho)=\max_{\|\theta\|\le 1}\min_n f_n(\rho\theta)\ "
        r"\text{rises strictly to }\infty"
    )
    says: ClassVar[str] = (
        "Many common predictors satisfy Assumption 2, sums of positive-homogeneous functions "
        "among them."
    )
    corrected: ClassVar[str] = (
        "those that separate the data at some scale: f = -θ² has γ*(ρ) = 0 at every ρ. With a "
        "separator at ρ_0, γ*(ρ) ≥ (ρ/ρ_0)^{α_1} γ*(ρ_0): it rises strictly, to infinity."
    )
    caption: ClassVar[str] = (
        "γ*(ρ) of three sums, one sample each: θ_1 + θ_2 θ_3 and θ_1² + θ_2⁴ rise, and "
        "-θ² stays at 0, off the axis."
    )
    axes: ClassVar[tuple[str, str]] = ("scale ρ", "largest margin $\\gamma^*(\\rho)$")

    sign: float = -1.0
    degree: float = 1.0

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant("f = θ² for f = -θ²", AssumptionTwoSums(sign=1.0)),
            Plant(
                "growth of degree 2 α_1 for α_1", AssumptionTwoSums(degree=2.0), Reading.CORRECTED
            ),
        )

    def measure(self, effort: Effort) -> Measurement:
        """Solve eq. 5, which asks for no separator: with one sample its loss is e^{-γ*(ρ)}."""
        grid = (1.0, 2.0, 10) if effort is Effort.QUICK else (1.0, 2.0, 3.0, 5, 10, 20)
        word = "-" if self.sign < 0 else ""
        none = Instance(f"f = {word}θ², one sample", Polynomial(((2,),)), rows(((self.sign,),)))
        mixed = Instance("f = θ_1 + θ_2 θ_3, one sample", Polynomial(((1, 0, 0), (0, 1, 1))),
                         rows(((1.0, 1.0),)))  # fmt: skip
        powers = Instance("f = θ_1² + θ_2⁴, one sample", Polynomial(((2, 0), (0, 4))),
                          rows(((1.0, 1.0),)))  # fmt: skip
        separable = (
            (mixed, 1.0, tuple((r * r + 1.0) / 2.0 for r in grid)),
            (powers, 2.0, tuple(r**4 for r in grid)),
        )
        # f = -θ² is at most 0, and 0 at the origin; f = θ² is at most ρ², and that at 1.
        best = np.array([0.0 if self.sign < 0 else 1.0])
        answers = [certify(ConstrainedPath(none.predictor, none.data, rho=r), best) for r in grid]
        values = tuple(self.sign * float(r * best[0]) ** 2 for r in grid)
        checks: list[Check] = [
            Backing.of(answers).check(none.name, f"γ*({grid[-1]:g}) - γ*({grid[0]:g})",
                                      values[-1] - values[0], Relation.AT_LEAST, 1.0, 0.0)
        ]  # fmt: skip
        curves = {"rho": grid, none.name: values}
        for instance, least, closed in separable:
            degree = self.degree * least
            shown, values = self._margins(instance, grid)
            ratio = (
                [v / values[0] / (r / grid[0]) ** degree for r, v in zip(grid, values, strict=True)]
                if values[0] > 0
                else [-math.inf]
            )
            worst = max(abs(v / c - 1.0) for v, c in zip(values, closed, strict=True))
            checks += [
                shown.check(instance.name, "least rise of γ* between neighbours",
                            float(np.diff(values).min()), Relation.AT_LEAST, 1.0, 0.0,
                            Reading.CORRECTED),
                shown.check(instance.name, f"least γ*(ρ)/(ρ^{degree:g} γ*(1))",
                            min(ratio), Relation.AT_LEAST, 1.0, _ROUNDING, Reading.CORRECTED),
                shown.check(instance.name, "relative error of γ*(ρ) against its closed form",
                            worst, Relation.AT_MOST, 0.0, _ROUNDING, Reading.CORRECTED),
            ]  # fmt: skip
            curves[instance.name] = values
        return Measurement(tuple(checks), curves)

    @staticmethod
    def _margins(instance: Instance, grid: tuple[float, ...]) -> tuple[Backing, tuple[float, ...]]:
        answers = [solve(ConstrainedPath(instance.predictor, instance.data, rho=r), starts=6)
                   for r in grid]  # fmt: skip
        return Backing.of(a.certificate for a in answers), tuple(-a.objective for a in answers)


STATEMENT = AssumptionTwoSums()
