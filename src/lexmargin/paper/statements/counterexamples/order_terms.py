"""The o(1) of eq. 12 hides terms that do not vanish: w_1* = 0 does not mean ρθ_1 → 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.formulations import MarginPath
from lexmargin.paper.evidence import Backing
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Effort, Measurement, Plant, Reading, Relation, Statement
from lexmargin.plots import BLUE, GREY, VERMILION, panel
from lexmargin.predictors import DiagonalNetwork, Linear, Sum
from lexmargin.predictors.base import Predictor
from lexmargin.solve import solve

__all__ = ["STATEMENT", "OrderTerms"]

_ZERO: Final = 1e-3
"""What counts as vanished at the largest ρ; the literal figure stays at 1."""


@final
@dataclass(frozen=True)
class OrderTerms(Statement):
    """`ρ θ_1(ρ) = γ*(ρ)^{1/α_1} (w_1* + o(1))` (eq. 12) with `w_1* = 0`.

    Attributes:
        shallow: the member of degree α_1; the other is a depth 2 (or ``deep``) diagonal network.
        deep: depth of the other member.
    """

    id: ClassVar[str] = "order-terms"
    title: ClassVar[str] = "A discarded part need not vanish"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.THEOREM_1, Passage.LEMMA_4)
    equation: ClassVar[str] = (
        r"\theta_k^*=\frac{1}{\rho}\,(w_k^*+o(1))\,\gamma^*(\rho)^{1/"
        r"\alpha_k}"
    )
    says: ClassVar[str] = "Read as 'the discarded part, w_1* = 0, goes to 0'."
    corrected: ClassVar[str] = (
        "only ρ θ_1/γ*^{1/α_1} → 0. The remainder γ*^{1/α_1}·o(1) may stay or grow: here "
        "ρ θ_1 = 1 at every ρ ≥ 1."
    )
    problems: ClassVar[tuple[str, ...]] = (
        "sums/depth-1-plus-2-path-10",
        "sums/depth-1-plus-2-w-set",
    )
    caption: ClassVar[str] = (
        "One sample, f = θ₁ + θ₂θ₃. The shallow part keeps its size ρθ₁ = 1 for ever (points: "
        "solved; line: closed form); divided by γ* it vanishes like 2/(ρ² + 1)."
    )

    shallow: int = 1
    deep: int = 2

    def measure(self, effort: Effort) -> Measurement:
        """Solve the margin path at growing ρ and read off the shallow part."""
        first: Predictor = Linear() if self.shallow == 1 else DiagonalNetwork(self.shallow)
        predictor = Sum((first, DiagonalNetwork(self.deep)))
        data = Dataset([[1.0]], [1], one_class=True)
        rhos = (2.0, 10.0, 100.0) if effort is Effort.QUICK else tuple(np.logspace(0.1, 3, 12))
        answers = [solve(MarginPath(predictor, data, rho=rho)) for rho in rhos]
        size = [
            rho * float(np.linalg.norm(a.theta[0])) for rho, a in zip(rhos, answers, strict=True)
        ]
        gamma = [a.objective for a in answers]
        scaled = [s / g ** (1.0 / self.shallow) for s, g in zip(size, gamma, strict=True)]
        certificates = [a.certificate for a in answers]
        word = f"one sample, degrees {self.shallow} and {self.deep}"
        at = f"at ρ = {rhos[-1]:g}"
        shown = Backing.of(certificates)
        checks = (
            shown.check(word, f"‖ρθ_1‖ {at}", size[-1], Relation.EQUAL, 0.0, _ZERO),
            shown.small(word, f"‖ρθ_1‖/γ*^(1/α_1) {at}", scaled[-1], _ZERO, Reading.CORRECTED),
        )
        curves = {"rho": tuple(rhos), "size": tuple(size), "scaled": tuple(scaled)}
        return Measurement(checks, curves)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant(
                "a shallow part of degree 2 beside degree 3, which is dropped altogether",
                OrderTerms(shallow=2, deep=3),
            ),
            Plant("a second part of the same degree", OrderTerms(deep=1), Reading.CORRECTED),
        )

    def draw(self, measurement: Measurement) -> Any:
        """ρθ_1 and ρθ_1/γ* over ρ."""
        rho, size, scaled = (np.array(measurement.curves[k]) for k in ("rho", "size", "scaled"))
        fine = np.logspace(np.log10(rho[0]), np.log10(rho[-1]), 100)
        with panel(3.6) as (figure, axes):
            axes.loglog(fine, np.ones_like(fine), color=GREY, lw=0.8)
            axes.loglog(fine, 2.0 / (fine**2 + 1.0), color=GREY, lw=0.8, label="closed forms")
            axes.loglog(rho, size, "o", color=VERMILION, label="$\\rho\\theta_1$")
            axes.loglog(rho, scaled, "s", color=BLUE, label="$\\rho\\theta_1/\\gamma^*$")
            axes.set_xlabel("scale ρ")
            axes.set_ylabel("size of the shallow part")
            axes.legend(frameon=False, loc="lower left")
            return figure


STATEMENT = OrderTerms()
