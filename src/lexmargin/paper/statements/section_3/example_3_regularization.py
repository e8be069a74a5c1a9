"""Example 3 on the regularization path: a power of the log above 1 finds the max margin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.formulations import RegularizationPath
from lexmargin.paper.evidence import Backing
from lexmargin.paper.log_paths import TOY, max_margin, ratio, smallest
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation
from lexmargin.predictors import Log
from lexmargin.solution import Solution
from lexmargin.solve import solve

__all__ = ["STATEMENT", "ExampleThreeRegularization", "minimiser"]

_ROUNDING: Final = 1e-6
"""Of logarithms of margins that were solved for."""
_NEAR: Final = 1.0
"""Of θ_2/θ_1 = 8 at μ = 1e-300, near the least double; at ε = 1 the bound still allows 0.4."""

_EPSILONS: Final = (1.0, 2.0)
"""The ε that are tried: the rate is log^ε(1/μ) to the power 1/(1+ε), too slow at smaller ones."""
_FIRST: Final = 1e-10
"""The largest strength: at larger ones the minimiser has θ·z < 1, where the predictor is flat."""
_BETWEEN: Final = (1e-30, 1e-100, 1e-200)
"""Strengths of a full run."""
_MODERATE: Final = 1e-11
"""A strength that is not small, planted for the limit."""


@final
@dataclass(frozen=True)
class ExampleThreeRegularization(PlainStatement):
    """`min Σ exp(-log^{1+ε}(θ·z_n)) + μ‖θ‖²` tends to the max-margin direction.

    The minimiser of norm ρ also minimises L over the ball of that radius, so that Lemma 3 bounds
    it: `log(γ_m/γ_c) ≤ log N/((1+ε) log^ε(ρ γ_c))`.

    Attributes:
        least: the smallest strength μ; a moderate one is far from the limit.
    """

    id: ClassVar[str] = "example-3-regularization"
    title: ClassVar[str] = "A power of the log on the regularization path"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.EXAMPLE_3_PATHS,)
    equation: ClassVar[str] = (
        r"\arg\min_\theta\sum_n e^{-\log^{1+\epsilon}(\theta^\top z_n)}+\mu\|\theta\|^2\ "
        r"\to\ \Theta_m^*,\quad\epsilon>0"
    )
    says: ClassVar[str] = (
        "With log^{1+ε}, ε > 0, the regularization path does converge to the margin path."
    )
    caption: ClassVar[str] = (
        "8 - θ_2/θ_1 of the regularised minimiser over the strength μ, two samples (1,0), "
        "(0,1/8): it falls with μ, the faster the larger ε."
    )
    axes: ClassVar[tuple[str, str]] = ("strength μ", "$8-\\theta_2/\\theta_1$")

    least: float = 1e-300

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("μ = 1e-11 for the limit", ExampleThreeRegularization(least=_MODERATE)),)

    def measure(self, effort: Effort) -> Measurement:
        """Solve §2.2 at falling strengths and compare margins."""
        between = () if effort is Effort.QUICK else _BETWEEN
        strengths = (_FIRST, *(mu for mu in between if mu > self.least), self.least)
        best = max_margin(TOY)
        most = smallest(TOY, best.direction)
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {"mu": strengths}
        for epsilon in _EPSILONS:
            power = 1.0 + epsilon
            answers = [minimiser(power, mu) for mu in strengths]
            excess = []
            for answer in answers:
                own = smallest(TOY, answer.direction)
                reach = smallest(TOY, answer.theta[0])
                excess.append(math.log(most / own) - math.log(2.0) / (power * math.log(reach)
                                                                      ** epsilon))  # fmt: skip
            seen = tuple(ratio(answer.direction) for answer in answers)
            shown = Backing.of(a.certificate for a in (best, *answers))
            name = f"Z = (1,0), (0,1/8), f = log^{power:g}(θ·z)"
            checks += [
                shown.small(name, "largest log(γ_m/γ_c) less its bound log 2/((1+ε) log^ε(ργ_c))",
                            max(excess), _ROUNDING),
                shown.check(name, f"θ_2/θ_1 at μ = {strengths[-1]:g}, 8 at the max margin",
                            seen[-1], Relation.EQUAL, 8, _NEAR),
            ]  # fmt: skip
            curves[f"ε = {epsilon:g}"] = tuple(8 - s for s in seen)
        return Measurement(tuple(checks), curves)


def minimiser(power: float, strength: float) -> Solution:
    """Start where both margins are log(1/μ): at small θ·z the predictor is flat."""
    first = math.exp((-math.log(strength)) ** (1.0 / power))
    problem = RegularizationPath(Log(power), TOY, strength=strength)
    # A search may try points outside the domain; their log is NaN and they are refused.
    with np.errstate(invalid="ignore", divide="ignore"):
        return solve(problem, start=np.array([first, 8 * first]))


STATEMENT = ExampleThreeRegularization()
