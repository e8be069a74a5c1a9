"""Section 5: weights of the samples cannot matter in the limit where scores are linear."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.formulations import ConstrainedPath, HardMargin, Lexicographic
from lexmargin.paper.evidence import Backing
from lexmargin.paper.figures import plot_seen
from lexmargin.paper.instances import Instance, breast_cancer_linear, rows, two_axes
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation, Statement
from lexmargin.plots import BLUE, GREEN, VERMILION, panel
from lexmargin.predictors import Linear
from lexmargin.solve import solve

__all__ = ["STATEMENT", "WeightsLinear"]

_NATS: Final = 1e-6
"""Of ρ times a margin: its rounding at ρ = 1e4 is 1e-12, a certified direction is 1e-10 off."""
_ROUNDING: Final = 1e-9
"""Of a distance of unit vectors whose certificates are of 1e-7."""
_PROOF: Final = (
    "Proof. For linear f_n the margin vectors of the unit ball of any norm are a convex set M. If "
    "two u ≠ v in M had the same sorted margins, the largest in order, the sorted entries of "
    "(u + v)/2 would be larger in that order: at the smallest level where the samples of u and v "
    "differ the mean has fewer entries there. So the lexicographic margin vector is one, and "
    "nothing is left to choose. Weights shift f_n by log w_n, by log w_n/ρ in units of the "
    "margin: in the polyhedral balls every level keeps its limit. In the ball of 1 < p < ∞ the "
    "max-margin direction is unique, and for p = 2 min f_n(θ_c) ≥ γ* - Λ/ρ with "
    "Λ = log(Σw/min w) (Lemma 3 with weights) leaves ‖θ_c - θ*‖² ≤ 2Λ/(ργ*), since "
    "θ* = Σ λ_n z_n/γ* with Σλ = 1, λ ≥ 0."
)


@final
@dataclass(frozen=True)
class WeightsLinear(Statement):
    """Limits of `min Σ w_n e^{-ρ z_n·θ}` in three balls, for several w (section 5).

    Attributes:
        weights: choices of w in the polyhedral balls; two samples take the last two of them.
        norms: of the first two balls; others break the closed forms.
        triple: samples z_n in the Euclidean ball.
        spread: σ of log w for the real data.
        toy_only: leave the real data out.
    """

    id: ClassVar[str] = "weights-linear"
    title: ClassVar[str] = "Linear scores: weights of the samples do not matter in the limit"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.WEIGHTS,)
    equation: ClassVar[str] = r"\lim_{\rho\to\infty}\arg\min_{\|\theta\|\le 1}\sum_n w_n e^{-f_n}"
    says: ClassVar[str] = (
        "The paper asks in closing whether weights w_n of the samples in the loss can have any "
        "effect on the asymptotic solution, and cites experiments in which they had none. Where "
        "the set of margin vectors is convex they have none: margins at the lexicographic set are "
        "unique, and the path with weights w nears them like (log w)/ρ."
    )
    caption: ClassVar[str] = (
        "Largest distance of a margin on the weighted path from the lexicographic one (ℓ1, ℓ∞), "
        "and of the direction from the max margin (ℓ2), for the heaviest weighting: all fall."
    )

    weights: tuple[tuple[float, float, float], ...] = ((1, 1, 1), (3, 2, 1), (1, 1, 50))
    norms: tuple[float, float] = (1.0, math.inf)
    triple: tuple[tuple[float, float], ...] = ((1.0, 0.2), (0.3, 1.0), (2.0, -0.4))
    spread: float = 2.0
    toy_only: bool = False

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant("the Euclidean ball for the octahedron", WeightsLinear(
                norms=(2.0, math.inf), toy_only=True)),
            Plant("the octahedron for the cube", WeightsLinear(norms=(1.0, 1.0), toy_only=True)),
        )  # fmt: skip

    def measure(self, effort: Effort) -> Measurement:
        """Solve the weighted paths, and compare with closed forms and the lexicographic margins."""
        count = 2 if effort is Effort.QUICK else 7
        grid = tuple(float(r) for r in np.logspace(1.0, 4.0, count))
        axes = two_axes()
        first = Instance(axes.name, axes.predictor, axes.data, self.norms[0])
        Z = ((1.0, 0.0), (2.0, 1.0), (2.0, -0.5))
        name = "Z = (1,0), (2,1), (2,-0.5), linear, ℓ∞"
        second = Instance(name, Linear(), rows(Z), self.norms[1])
        checks, curves = [], {"rho": grid}
        # Where f_1 of slope 1 and f_2 of slope a meet: w_1 e^{-ρ f_1} = a w_2 e^{-ρ f_2}.
        for word, instance, pair, a in (("ℓ1", first, (0, 1), 0.5), ("ℓ∞", second, (1, 2), 0.5)):
            found, apart = self._polyhedral(instance, pair, a, grid)
            checks += found
            curves[word] = apart
        three = Instance("three samples, linear, ℓ2", Linear(), rows(self.triple))
        round_balls = [three] if self.toy_only else [three, breast_cancer_linear()]
        for instance in round_balls:
            found, apart = self._euclidean(instance, grid)
            checks += found
            curves["ℓ2"] = apart
        return Measurement(tuple(checks), curves, (_PROOF,))

    def _polyhedral(
        self, instance: Instance, pair: tuple[int, int], a: float, grid: tuple[float, ...]
    ) -> tuple[list[Check], tuple[float, ...]]:
        """Return the checks of a ball with faces, and how far the last weighting's margins are."""
        predictor, data = instance.predictor, instance.data
        best = solve(Lexicographic(predictor, data, norm=instance.norm))
        checks: list[Check] = []
        apart: list[float] = []
        for weights in self.weights:
            w = weights[-data.n_samples :]
            balance = math.log(w[pair[0]] / (a * w[pair[1]]))
            apart = []
            for rho in grid:
                problem = ConstrainedPath(predictor, data.weighted(w), rho, instance.norm)
                answer = solve(problem)
                shown = Backing.of((best.certificate, answer.certificate))
                f = problem.functions.values(answer.theta[0])
                named = f"weights {w}, ρ = {rho:g}"
                i, j = pair
                checks.append(
                    shown.check(
                        instance.name, f"{named}: ρ (f_{i + 1} - f_{j + 1}) at θ_c",
                        rho * float(f[i] - f[j]), Relation.EQUAL, balance, _NATS,
                    )
                )  # fmt: skip
                apart.append(float(np.max(np.abs(f - best.margins))))
                checks.append(
                    shown.check(
                        instance.name, f"{named}: largest |f_n(θ_c) - f_n*|, f* lexicographic",
                        apart[-1], Relation.AT_MOST, abs(balance) / rho, _ROUNDING,
                    )
                )  # fmt: skip
        return checks, tuple(apart)

    def _euclidean(
        self, instance: Instance, grid: tuple[float, ...]
    ) -> tuple[list[Check], tuple[float, ...]]:
        """Return the checks of `‖θ_c - θ*‖² ≤ 2Λ/(ργ*)`, and the distances."""
        data = instance.data
        best = solve(HardMargin(instance.predictor, data))
        logs = self.spread * np.random.default_rng(0).standard_normal(data.n_samples)
        checks, apart = [], []
        for rho in grid:
            problem = ConstrainedPath(instance.predictor, data.weighted(np.exp(logs)), rho)
            answer = solve(problem)
            shown = Backing.of((best.certificate, answer.certificate))
            apart.append(float(np.linalg.norm(answer.direction - best.direction)))
            allowed = math.sqrt(2.0 * problem.margin_slack / (rho * best.margin))
            checks.append(
                shown.check(
                    instance.name,
                    f"log w normal, σ = {self.spread:g}, ρ = {rho:g}: ‖θ_c - θ*‖ against "
                    "√(2Λ/(ργ*))",
                    apart[-1], Relation.AT_MOST, allowed, _ROUNDING,
                )
            )  # fmt: skip
        return checks, tuple(apart)

    def draw(self, measurement: Measurement) -> Any:
        """Distances over ρ."""
        curves = measurement.curves
        with panel(4.0) as (figure, axes):
            for name, color in zip(("ℓ1", "ℓ∞", "ℓ2"), (BLUE, GREEN, VERMILION), strict=True):
                plot_seen(axes, curves["rho"], np.array(curves[name]), "o-", color, name)
            axes.set_xlabel("$\\rho$")
            axes.set_ylabel("distance from the limit")
            axes.legend(frameon=False)
            return figure


STATEMENT = WeightsLinear()
