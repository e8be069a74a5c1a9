"""Definition 3 to the letter: on the unit sphere with γ*(1) it admits global maximisers only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.formulations import HardMargin
from lexmargin.judge import Verdict, certify
from lexmargin.optimizers import GradientDescent, LineSearch
from lexmargin.paper.evidence import Backing, certified, residual
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Effort, Measurement, Plant, Reading, Relation, Statement
from lexmargin.paths import descend
from lexmargin.plots import BLUE, GREY, VERMILION, panel
from lexmargin.predictors import DiagonalNetwork
from lexmargin.solve import solve

__all__ = ["STATEMENT", "DefinitionThreeScale"]

_RATIO: Final = 1e-6
"""Of the two margins: both are certified to 1e-8."""
_EPSILON: Final = 1e-8
"""Stationarity residual that counts as zero, the certificate's own."""

_STEPS: Final = GradientDescent(LineSearch(initial=0.02, growth=1.02))
"""Short steps: a long one leaves the saddle for good before it has been seen."""


@final
@dataclass(frozen=True)
class DefinitionThreeScale(Statement):
    """Gradient descent's limit has the margin `γ*(1)` that Definition 3 asks for to the letter.

    Attributes:
        X, y: data of a depth 2 diagonal network.
        start: θ(0) of gradient descent; on the stable manifold of a saddle by default.
        polish: end with Newton steps on the KKT system; without them the last iterate is judged.
    """

    id: ClassVar[str] = "definition-3-scale"
    title: ClassVar[str] = "A limit of gradient descent below the largest margin"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.DEFINITION_3, Passage.THEOREM_2)
    equation: ClassVar[str] = (
        r"f_n(\theta)\ge\gamma^*(1)\ \forall n,\quad "
        r"\theta=\sum_{n:\,f_n(\theta)=\gamma^*(1)}\lambda_n\nabla f_n(\theta),\quad\lambda"
        r"\ge 0"
    )
    says: ClassVar[str] = (
        "A first-order stationary point of the max-margin problem is a unit vector that gives "
        "every sample at least the largest margin γ*(1), with multipliers on those samples "
        "alone whose margin is exactly that."
    )
    corrected: ClassVar[str] = (
        "with the direction's own margin γ(1, θ) in place of γ*(1): any stationary point of "
        "min ‖w‖² s.t. f_n(w) ≥ 1, divided by its norm."
    )
    problems: ClassVar[tuple[str, ...]] = ("networks/saddle-is-kkt",)
    caption: ClassVar[str] = (
        "Normalised margin along gradient descent from two starts. From the saddle's own "
        "direction it stays at half of γ*(1), and is stationary there; a start beside it rises."
    )

    X: tuple[tuple[float, ...], ...] = ((1.0, 2.0),)
    y: tuple[int, ...] = (1,)
    start: tuple[float, ...] = (1.0, 0.0, 1.0, 0.0)
    polish: bool = True

    def measure(self, effort: Effort) -> Measurement:
        """Descend, polish, certify the direction reached, and divide its margin by γ*(1)."""
        data = Dataset(self.X, self.y, one_class=True)
        predictor = DiagonalNetwork(2)
        problem = HardMargin(predictor, data)
        best = solve(problem)
        steps = 2000 if effort is Effort.QUICK else 100_000
        path = descend(
            predictor,
            data,
            start=np.array(self.start),
            steps=steps,
            optimizer=_STEPS,
            record=40,
            polish=self.polish,
        )
        ended = path.polished is not None and path.polished.converged
        end = path.polished.theta if ended and path.polished is not None else path.direction
        moved = path.polished.moved if ended and path.polished is not None else 0.0
        limit = certify(problem, end)
        beside = np.array(self.start) + 1e-2
        other = descend(
            predictor, data, start=beside, steps=steps, optimizer=_STEPS, record=40, polish=False
        )
        word = f"diagonal network of depth 2, gradient descent from θ(0) = {self.start}"
        known = limit.verdict.stationary or limit.verdict is Verdict.NOT_STATIONARY
        checks = (
            Backing(
                residual((limit, best.certificate)), known and certified((best.certificate,))
            ).check(
                word,
                "min_n f_n(θ̂) / γ*(1) at the limit direction",
                limit.margin / best.margin,
                Relation.EQUAL,
                1.0,
                _RATIO,
            ),
            Backing(residual((limit,)), known).small(
                word,
                "ε = ‖θ̂ - Σ λ_n ∇f_n(θ̂)‖ at the limit direction",
                limit.stationarity,
                _EPSILON,
                Reading.CORRECTED,
            ),
        )
        curves = {
            "steps": tuple(path.records.at),
            "margin": tuple(path.records.normalized_margin),
            "other steps": tuple(other.records.at),
            "other margin": tuple(other.records.normalized_margin),
            "best": (best.margin,),
        }
        remarks = (
            f"The limit's verdict: {limit.verdict.value}.",
            f"The polish moved the last direction by {moved:.2g}.",
        )
        return Measurement(checks, curves, remarks)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant(
                "a start beside the saddle's direction",
                DefinitionThreeScale(start=(1.0, 0.1, 1.0, 0.1)),
            ),
            Plant(
                "the last iterate of such a start in the place of the limit",
                DefinitionThreeScale(start=(1.0, 0.1, 1.0, 0.1), polish=False),
                Reading.CORRECTED,
            ),
        )

    def draw(self, measurement: Measurement) -> Any:
        """Normalised margin over steps, with γ*(1)."""
        curves = measurement.curves
        with panel(3.6) as (figure, axes):
            axes.axhline(curves["best"][0], color=GREY, lw=1.0, ls="--", label="γ*(1)")
            axes.plot(
                np.add(curves["other steps"], 1),
                curves["other margin"],
                color=BLUE,
                label="start beside it",
            )
            axes.plot(
                np.add(curves["steps"], 1),
                curves["margin"],
                color=VERMILION,
                label="start in the saddle's direction",
            )
            axes.set_xscale("log")
            axes.set_ylim(0.0, 1.1)
            axes.set_xlabel("step of gradient descent, plus 1")
            axes.set_ylabel("margin $\\min_n f_n(\\theta)/\\|\\theta\\|^2$")
            axes.legend(frameon=False, loc="lower right")
            return figure


STATEMENT = DefinitionThreeScale()
