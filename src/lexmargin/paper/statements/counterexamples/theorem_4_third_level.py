"""Theorem 4 beyond level 2: an instance where the constrained path misses the third level."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.formulations import ConstrainedPath, Lexicographic
from lexmargin.ops.base import FloatArray
from lexmargin.paper.evidence import Backing
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Effort, Measurement, Plant, Reading, Relation, Statement
from lexmargin.plots import BLUE, GREEN, GREY, VERMILION, panel
from lexmargin.predictors import Polynomial
from lexmargin.solve import solve

__all__ = ["STATEMENT", "TheoremFourThirdLevel"]

_LEVEL: Final = 1e-6
"""Accuracy of certified levels, in units of the first."""
_REACH: Final = 0.1
"""How near the third level is called reached at the largest ρ^α = 11, where the rate of level 1
allows ln 3/11 = 0.0999; the instance misses it by 1."""


@final
@dataclass(frozen=True)
class TheoremFourThirdLevel(Statement):
    """`lim θ_c(ρ)` lies in the lexicographic max-margin set (Theorem 4).

    Attributes:
        coefficients: of θ₁⁴, θ₁³θ₂, θ₂⁴ in f_1, f_2, f_3.
        rate: factor on the rates of levels 1 and 2; the corrected reading has 1.
    """

    id: ClassVar[str] = "theorem-4-third-level"
    title: ClassVar[str] = "The third level, where the constrained path goes elsewhere"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.THEOREM_4,)
    equation: ClassVar[str] = r"\Theta_c^{\infty}\subseteq\Theta_{m,N}^*"
    says: ClassVar[str] = (
        "Limits of the constrained path θ_c(ρ) are lexicographic max-margin directions: the "
        "second, the third, … smallest margins are the largest possible, one after another."
    )
    corrected: ClassVar[str] = (
        "levels 1 and 2 always agree, with rates m_1(θ_c) ≥ m_1* - ln N/ρ^α and "
        "m_2(θ_c) ≥ m_2* - ln(N-1)/ρ^α; from level 3 on a step η may cost η² at level 1 and gain "
        "η at level 2, worth more than the whole third level when m_3 > 2m_2 - m_1."
    )
    problems: ClassVar[tuple[str, ...]] = ("lexicographic/theorem-4-third-level",)
    caption: ClassVar[str] = (
        "Sorted margins of the constrained path (points) and the lexicographic levels (dashed). "
        "Levels 1 and 2 are approached, level 3 is not: the path ends at 9, the set has 10."
    )

    coefficients: tuple[tuple[float, float, float], ...] = (
        (1.0, 0.0, 1.0),
        (2.0, 1.0, 2.0),
        (9.0, 0.0, 10.0),
    )
    rate: float = 1.0

    def measure(self, effort: Effort) -> Measurement:
        """Solve the lexicographic problem and the constrained path, and compare level by level."""
        predictor = Polynomial(((4, 0), (3, 1), (0, 4)))
        data = Dataset(self.coefficients, [1] * len(self.coefficients), one_class=True)
        lexicographic = solve(Lexicographic(predictor, data, levels=3))
        levels = [level.value for level in lexicographic.levels]
        # Beyond ρ⁴ = 15 the losses of the two candidates are equal in double precision.
        powers = (2.0, 11.0) if effort is Effort.QUICK else (1.0, 2.0, 4.0, 6.0, 8.0, 11.0)
        answers = [solve(ConstrainedPath(predictor, data, rho=r**0.25)) for r in powers]
        margins = [np.sort(data.X @ self._monomials(answer.direction)) for answer in answers]
        certificates = [lexicographic.certificate, *(a.certificate for a in answers)]
        shown = Backing.of(certificates)
        word = "three quartics in two parameters"
        checks = [
            shown.check(
                word,
                f"third smallest margin of θ_c at ρ⁴ = {powers[-1]:g}",
                float(margins[-1][2]),
                Relation.AT_LEAST,
                levels[2],
                _REACH,
            )
        ]
        for r, sorted_margins in zip(powers, margins, strict=True):
            for k, loss in ((0, math.log(3.0)), (1, math.log(2.0))):
                checks.append(
                    shown.check(
                        word,
                        f"m_{k + 1}(θ_c) at ρ⁴ = {r:g}, against m_{k + 1}* - ln {3 - k}/ρ⁴",
                        float(sorted_margins[k]),
                        Relation.AT_LEAST,
                        levels[k] - self.rate * loss / r,
                        _LEVEL,
                        Reading.CORRECTED,
                    )
                )
        for r, answer in zip(powers, answers, strict=True):
            checks.append(
                shown.check(
                    word,
                    f"log L(ρθ) at ρ⁴ = {r:g}, lexicographic θ less θ_c",
                    self._log_loss(data, lexicographic.direction, r)
                    - self._log_loss(data, answer.direction, r),
                    Relation.AT_LEAST,
                    0.0,
                    0.0,
                    Reading.CORRECTED,
                )
            )
        curves = {
            "power": powers,
            **{f"m{k + 1}": tuple(float(m[k]) for m in margins) for k in range(3)},
            "levels": tuple(levels),
        }
        end = answers[-1].direction
        return Measurement(
            tuple(checks),
            curves,
            (
                f"Constrained path at ρ⁴ = {powers[-1]:g}: θ = ({end[0]:.6f}, {end[1]:.6f}); "
                f"lexicographic: ({lexicographic.direction[0]:.6f}, "
                f"{lexicographic.direction[1]:.6f}).",
            ),
        )

    @staticmethod
    def _monomials(theta: FloatArray) -> FloatArray:
        a, b = theta
        return np.array([a**4, a**3 * b, b**4])

    def _log_loss(self, data: Dataset, theta: FloatArray, r: float) -> float:
        return float(np.logaddexp.reduce(-r * (data.X @ self._monomials(theta))))

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant(
                "the third levels exchanged, so that the path's limit is lexicographic",
                TheoremFourThirdLevel(
                    coefficients=((1.0, 0.0, 1.0), (2.0, 1.0, 2.0), (10.0, 0.0, 9.0))
                ),
            ),
            Plant(
                "the levels themselves in the place of their rates",
                TheoremFourThirdLevel(rate=0.0),
                Reading.CORRECTED,
            ),
        )

    def draw(self, measurement: Measurement) -> Any:
        """Sorted margins over ρ⁴ beside the levels."""
        curves = measurement.curves
        with panel(3.8) as (figure, axes):
            for k, color in enumerate((BLUE, GREEN, VERMILION)):
                axes.axhline(curves["levels"][k], color=color, lw=1.0, ls="--")
                axes.plot(
                    curves["power"], curves[f"m{k + 1}"], "o-", color=color, label=f"$m_{k + 1}$"
                )
            axes.plot([], [], color=GREY, ls="--", label="lexicographic level")
            axes.set_yscale("log")
            ticks = (1, 2, 3, 5, 9, 10)
            axes.set_yticks(ticks, [str(t) for t in ticks])
            axes.minorticks_off()
            axes.set_xlabel("$\\rho^4$")
            axes.set_ylabel("sorted margins of $\\theta_c(\\rho)$")
            axes.legend(frameon=False, loc="center right")
            return figure


STATEMENT = TheoremFourThirdLevel()
