"""Section 5: weights of the samples choose among lexicographic directions of two quartics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.formulations import ConstrainedPath, Lexicographic
from lexmargin.ops.base import FloatArray
from lexmargin.paper.evidence import Backing
from lexmargin.paper.instances import rows
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import (
    Check,
    Effort,
    Measurement,
    Plant,
    Reading,
    Relation,
    Statement,
)
from lexmargin.plots import BLUE, VERMILION, panel
from lexmargin.predictors import Polynomial
from lexmargin.solve import solve

__all__ = ["STATEMENT", "WeightsSelect"]

_STARTS: Final = 4
"""Two valleys in a circle: four starts reach both, and a scan of the circle says so."""
_SCAN: Final = 20_001
"""Directions of the scan: steps of 3e-4, far below the distance of its valleys."""
_NEAR: Final = 1e-9
"""Of margins, which certificates of 1e-7 leave within 1e-13 at a direction that is even in θ."""
_LOSS: Final = 1e-12
"""Nats by which two evaluations of log L may differ."""
_PROOF: Final = (
    "Proof. With s = θ_1² on the circle f_1 = 3s² - 4s + 2 and f_2 = 3s² - 2s + 1 are convex, so "
    "that their chords give f_1 ≤ 1 for s ≥ 1/2, and f_1 ≤ 2 - 5s/2, f_2 ≤ 1 - s/2 for s ≤ 1/2. "
    "Let w_1 > w_2 and r = ρ⁴. For s ≤ 1/2 both terms of L are at least those of s = 0, with "
    "equality there alone; for s ≥ 1/2 L ≥ w_1 e^{-r}, more than L(0) = w_2 e^{-r} + w_1 e^{-2r} "
    "as soon as r > ln(w_1/(w_1 - w_2)). Both f_n are positive, so that no point inside the ball "
    "is better. So θ_c(ρ) = (0, ±1) at every such ρ, and (±1, 0) where w_2 > w_1."
)


@final
@dataclass(frozen=True)
class WeightsSelect(Statement):
    """Limits of `min Σ w_n e^{-f_n(ρθ)}` for two choices of w (the question of section 5).

    Attributes:
        coefficients: of θ_1⁴ and θ_2⁴ in f_1 and f_2.
        weights: two choices of w.
        powers: ρ⁴, the first two for a quick look.
    """

    id: ClassVar[str] = "weights-select"
    title: ClassVar[str] = "Weights of the samples choose among lexicographic directions"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.WEIGHTS,)
    equation: ClassVar[str] = r"\lim_{\rho\to\infty}\arg\min_{\|\theta\|\le 1}\sum_n w_n e^{-f_n}"
    says: ClassVar[str] = (
        "The paper asks in closing whether weights w_n of the samples in the loss can have any "
        "effect on the asymptotic solution, and cites experiments in which they had none."
    )
    corrected: ClassVar[str] = (
        "they can where several lexicographic directions have different margin vectors. For "
        "f_1 = θ_1⁴ + 2θ_2⁴ and f_2 = 2θ_1⁴ + θ_2⁴ the four points (±1, 0), (0, ±1) have the "
        "sorted margins (1, 2); weights (2, 1) choose (0, ±1) and weights (1, 2) choose (±1, 0), "
        "at every ρ⁴ > ln 2: the lighter sample becomes the support vector."
    )
    caption: ClassVar[str] = (
        "log L on the quarter circle, less its least value, at ρ⁴ = 4: the two weightings have "
        "their least loss at opposite ends, both of which are lexicographic."
    )

    coefficients: tuple[tuple[float, float], tuple[float, float]] = ((1.0, 2.0), (2.0, 1.0))
    weights: tuple[tuple[float, float], tuple[float, float]] = ((2.0, 1.0), (1.0, 2.0))
    powers: tuple[float, ...] = (2.0, 40.0, 0.7, 11.0, 1e3, 1e6)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the findings."""
        same = ((1.0, 2.0), (1.0, 2.0))
        return (
            Plant(
                "weights that agree in the lighter sample",
                WeightsSelect(weights=((2.0, 1.0), (4.0, 1.0))),
            ),
            Plant("two copies of one quartic", WeightsSelect(coefficients=same), Reading.CORRECTED),
        )

    def measure(self, effort: Effort) -> Measurement:
        """Solve the path for both weightings, and scan the circle for a smaller loss."""
        predictor, data = Polynomial(((4, 0), (0, 4))), rows(self.coefficients)
        powers = self.powers[:2] if effort is Effort.QUICK else self.powers
        word = "two quartics in two parameters"
        levels = solve(Lexicographic(predictor, data, levels=2))
        shown = Backing.of((levels.certificate,))
        checks = [
            shown.check(
                word, f"level {k} of the lexicographic problem", level.value, Relation.EQUAL,
                float(k), _NEAR, Reading.CORRECTED,
            )
            for k, level in enumerate(levels.levels, start=1)
        ]  # fmt: skip
        ends = []
        for weights in self.weights:
            found, end = self._path(word, powers, weights)
            checks += found
            ends.append(end)
        apart = float(np.linalg.norm(np.abs(ends[0]) - np.abs(ends[1])))
        shown = Backing(max(c.residual for c in checks), all(c.certified for c in checks))
        named = " and ".join(f"({w[0]:g}, {w[1]:g})" for w in self.weights)
        quantity = f"distance of θ_c for the weights {named} at ρ⁴ = {powers[-1]:g}, up to signs"
        checks.append(shown.small(word, quantity, apart, _NEAR))
        return Measurement(tuple(checks), self._curves(), (_PROOF,))

    def _path(
        self, word: str, powers: tuple[float, ...], weights: tuple[float, float]
    ) -> tuple[list[Check], FloatArray]:
        """Return what is seen of the path for one weighting, and its last direction."""
        predictor = Polynomial(((4, 0), (0, 4)))
        data = rows(self.coefficients).weighted(weights)
        light, checks, theta = int(np.argmin(weights)), [], np.zeros(2)
        named = f"weights ({weights[0]:g}, {weights[1]:g}), ρ⁴ = "
        for r in powers:
            answer = solve(ConstrainedPath(predictor, data, rho=r ** (1 / 4)), starts=_STARTS)
            shown, theta = Backing.of((answer.certificate,)), answer.direction
            checks.append(
                shown.check(
                    word, f"{named}{r:g}: margin of the lighter sample at θ_c",
                    float(self._margins(theta)[light]), Relation.EQUAL, 1.0, _NEAR,
                    Reading.CORRECTED,
                )
            )  # fmt: skip
            angles = np.linspace(0.0, 0.5 * math.pi, _SCAN)
            scanned = self._log_loss(np.array([np.cos(angles), np.sin(angles)]), weights, r)
            more = float(self._log_loss(theta, weights, r) - scanned.min())
            quantity = f"{named}{r:g}: log L at θ_c less the least on {_SCAN} directions"
            checks.append(shown.small(word, quantity, more, _LOSS * (1.0 + r), Reading.CORRECTED))
        return checks, theta

    def _margins(self, theta: FloatArray) -> FloatArray:
        return np.asarray(np.array(self.coefficients) @ theta**4)

    def _log_loss(self, theta: FloatArray, weights: tuple[float, float], r: float) -> FloatArray:
        logs = np.log(weights).reshape(2, *(1,) * (theta.ndim - 1))
        return np.asarray(np.logaddexp.reduce(logs - r * self._margins(theta), axis=0))

    def _curves(self) -> dict[str, tuple[float, ...]]:
        angles = np.linspace(0.0, 0.5 * math.pi, 91)
        curves = {"degrees": tuple(np.degrees(angles))}
        circle = np.array([np.cos(angles), np.sin(angles)])
        for k, weights in enumerate(self.weights):
            values = self._log_loss(circle, weights, 4.0)
            curves[f"loss {k}"] = tuple(values - values.min())
            curves[f"weights {k}"] = weights
        return curves

    def draw(self, measurement: Measurement) -> Any:
        """log L over the angle, for both weightings."""
        curves = measurement.curves
        with panel(4.0) as (figure, axes):
            for k, color in enumerate((BLUE, VERMILION)):
                first, second = curves[f"weights {k}"]
                label = f"$w$ = ({first:g}, {second:g})"
                axes.plot(curves["degrees"], curves[f"loss {k}"], color=color, label=label)
            axes.set_xticks((0, 45, 90), ("(1, 0)", "45°", "(0, 1)"))
            axes.set_xlabel("θ on the quarter circle")
            axes.set_ylabel("log L less its least value (nats)")
            axes.legend(frameon=False)
            return figure


STATEMENT = WeightsSelect()
