"""LICQ (Assumption 5) fails at a limit of gradient descent that is stationary all the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.formulations import HardMargin
from lexmargin.judge import Verdict, certify
from lexmargin.paper.evidence import Backing, residual
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Effort, Measurement, Plant, Reading, Relation, Statement
from lexmargin.paths import descend
from lexmargin.plots import BLUE, ORANGE, panel
from lexmargin.predictors import Linear

__all__ = ["STATEMENT", "LicqNotNeeded"]

_EPSILON: Final = 1e-6
"""Of the polished limit of gradient descent; the certificate's 1e-8 is for exact answers."""


@final
@dataclass(frozen=True)
class LicqNotNeeded(Statement):
    """`rank{∇f_n : n ∈ S} = |S|` (Assumption 5) at the limit of gradient descent.

    Attributes:
        Z: rows z_n = y_n x_n of a linear predictor.
        polish: end with Newton steps on the KKT system; without them the last iterate is judged.
    """

    id: ClassVar[str] = "licq-not-needed"
    title: ClassVar[str] = "Stationary where the constraint qualification fails"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.ASSUMPTION_5, Passage.THEOREM_2)
    equation: ClassVar[str] = (
        r"\{\nabla f_n(\bar\theta):f_n(\bar\theta)=\gamma^*(1)\}\ "
        r"\text{linearly independent}"
    )
    says: ClassVar[str] = (
        "The limit of gradient descent is stationary if, among others, LICQ holds there: the "
        "gradients of the support are linearly independent."
    )
    corrected: ClassVar[str] = (
        "LICQ is needed for unique multipliers only. With γ > 0 the Mangasarian-Fromovitz "
        "condition holds by itself, ∇f_n(θ̂)·θ̂ = α f_n(θ̂) > 0, so that KKT is necessary."
    )
    problems: ClassVar[tuple[str, ...]] = ("linear/licq-fails-l2",)
    caption: ClassVar[str] = (
        "The range of each multiplier at the limit: a segment where LICQ fails, so that no single "
        "λ is the multiplier; stationarity is untouched by it."
    )

    Z: tuple[tuple[float, float], ...] = ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5))
    polish: bool = True

    def measure(self, effort: Effort) -> Measurement:
        """Descend, polish, certify, and count rank and support."""
        data = Dataset(self.Z, [1] * len(self.Z), one_class=True)
        steps = 1000 if effort is Effort.QUICK else 20_000
        start = np.array([2.0, 0.5])
        path = descend(Linear(), data, start=start, steps=steps, polish=self.polish)
        end = path.polished.theta if path.polished is not None else path.direction
        found = certify(HardMargin(Linear(), data), end)
        word = f"linear predictor, Z = {self.Z}"
        count = 0 if found.licq is None else found.licq.count
        rank = 0 if found.licq is None or found.licq.rank is None else found.licq.rank
        slack = 0.0 if found.mfcq is None else found.mfcq.slack
        decided = found.verdict.stationary or found.verdict is Verdict.NOT_STATIONARY
        shown = Backing(residual((found,)), decided)
        checks = (
            shown.check(
                word,
                "rank of the support gradients, against |S|",
                float(rank),
                Relation.EQUAL,
                float(count),
                0.0,
            ),
            shown.small(
                word,
                "ε at the limit of gradient descent",
                found.stationarity,
                _EPSILON,
                Reading.CORRECTED,
            ),
            shown.check(
                word,
                "min over the support of ∇f_n·v/‖∇f_n‖ for the best unit v (MFCQ if positive)",
                slack,
                Relation.AT_LEAST,
                found.margin,
                1e-9,
                Reading.CORRECTED,
            ),
        )
        ranges = found.multiplier_range or ()
        curves = {
            "sample": tuple(float(n) for n in found.support),
            "low": tuple(low for low, _ in ranges),
            "high": tuple(high for _, high in ranges),
        }
        dimension = found.multiplier_dimension
        return Measurement(checks, curves, (f"The multiplier set has dimension {dimension}.",))

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant(
                "the third sample left out: two independent gradients",
                LicqNotNeeded(Z=((1.0, 0.0), (0.0, 1.0))),
            ),
            Plant(
                "the last iterate in the place of the limit",
                LicqNotNeeded(polish=False),
                Reading.CORRECTED,
            ),
        )

    def draw(self, measurement: Measurement) -> Any:
        """The interval of every multiplier."""
        sample, low, high = (np.array(measurement.curves[k]) for k in ("sample", "low", "high"))
        with panel(3.0) as (figure, axes):
            place = np.arange(sample.size)
            axes.vlines(place, low, high, color=BLUE, lw=6.0, alpha=0.35)
            axes.plot(place, low, "_", color=BLUE, ms=16, mew=2, label="smallest")
            axes.plot(place, high, "_", color=ORANGE, ms=16, mew=2, label="largest")
            names = [f"n = {n:g}\nz = {self.Z[int(n)]}" for n in sample]
            axes.set_xticks(place, names)
            axes.set_xlim(-0.6, max(sample.size, 1) - 0.4)
            axes.set_ylabel("multiplier $\\lambda_n$ of the direction $\\hat\\theta$")
            axes.legend(frameon=False, loc="upper left")
            return figure


STATEMENT = LicqNotNeeded()
