"""The multipliers that gradient descent carries, and an identity for their residual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset, load_dataset
from lexmargin.judge.multipliers.multiplier_set import nonnegative_multipliers
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.optimizers import GradientDescent, LineSearch
from lexmargin.paper.evidence import EXACT
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Statement
from lexmargin.paths import descend
from lexmargin.plots import BLUE, GREY, ORANGE, panel
from lexmargin.predictors import DiagonalNetwork, Network, ReLU
from lexmargin.predictors.base import Predictor

__all__ = ["STATEMENT", "CarriedMultipliersIdentity"]

_IDENTITY: Final = 1e-12
"""Of two numbers at most 4 that are equal in exact arithmetic; squares, because the root of a
rounded 1 - cos keeps half the digits only."""

_LARGE: Final = 1e6
"""Margin up to which e^{-f} is compared: beyond it rounding of f alone moves the weights."""
_GROWTH: Final = 1.01
"""Of the steps; faster growth overshoots now and then and the residual zigzags."""


@final
@dataclass(frozen=True)
class CarriedMultipliersIdentity(Statement):
    """`‖w - Σ λ_n ∇f_n(w)‖/‖w‖ = sqrt(2(1 - cos∠(θ, -∇L)))` for `λ_n ∝ e^{-f_n(θ)}`.

    Attributes:
        rescale: factor on the multipliers; the identity asks for 1.
    """

    id: ClassVar[str] = "carried-multipliers"
    title: ClassVar[str] = "Gradient descent carries its own multipliers"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.REMARK_2, Passage.THEOREM_2)
    equation: ClassVar[str] = (
        r"-\frac{\nabla L(\theta)}{\|\nabla L(\theta)\|}=\frac{\theta}{\|\theta\|},\quad "
        r"-\nabla L(\theta)=\sum_n e^{-f_n(\theta)}\nabla f_n(\theta)"
    )
    says: ClassVar[str] = (
        "Along gradient descent λ_n ∝ e^{-f_n(θ)}, scaled so that ‖Σ λ_n ∇f_n(w)‖ = ‖w‖ at "
        "w = θ/γ^{1/α}, has the relative residual sqrt(2(1 - cos∠(θ, -∇L))), and the best "
        "non-negative multipliers have no larger one."
    )
    problems: ClassVar[tuple[str, ...]] = ("networks/diagonal-2", "real/wine-relu2")
    caption: ClassVar[str] = (
        "Residual along gradient descent on wine, two-layer relu² network: with the carried "
        "multipliers (orange), which is the angle of Remark 2 in disguise, and with the best "
        "non-negative ones (blue)."
    )

    rescale: float = 1.0

    def measure(self, effort: Effort) -> Measurement:
        """Descend, recompute both residuals at every record from f and its gradients."""
        quick = effort is Effort.QUICK
        small = Dataset([[1.0, 0.6], [0.6, 1.0]], [1, 1], one_class=True)
        wine = load_dataset("wine", positive=[0], standardize=True)
        runs: tuple[tuple[str, Predictor, Dataset, int], ...] = (
            ("diagonal network of depth 2, networks/diagonal-2", DiagonalNetwork(2), small, 1000),
            ("wine, 5 relu² units", Network((5,), ReLU(2)), wine, 2000 if quick else 50_000),
        )
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {}
        for word, predictor, data, steps in runs:
            rule = GradientDescent(LineSearch(growth=_GROWTH))
            path = descend(
                predictor, data, steps=steps, seed=1, record=8, optimizer=rule, polish=False
            )
            functions = MarginFunctions(predictor, data)
            rows = [
                self._residuals(functions, d * n)
                for d, n, gamma in zip(
                    path.records.direction, path.records.norm, path.records.margin, strict=True
                )
                if 0.0 < gamma < _LARGE
            ]
            table = np.array(rows)
            checks += [
                EXACT.small(
                    word,
                    f"largest |residual² - 2(1 - cos∠(θ, -∇L))| at {len(rows)} records",
                    float(np.max(np.abs(table[:, 0] ** 2 - table[:, 1]))),
                    _IDENTITY,
                ),
                EXACT.small(
                    word,
                    "largest excess of the best residual over the carried one",
                    float(np.max(table[:, 2] - table[:, 0])),
                    _IDENTITY,
                ),
            ]
            kept = (path.records.margin > 0) & (path.records.margin < _LARGE)
            curves = {
                "at": tuple(path.records.at[kept] + 1.0),
                "carried": tuple(table[:, 0]),
                "best": tuple(table[:, 2]),
            }
        return Measurement(tuple(checks), curves)

    def _residuals(
        self, functions: MarginFunctions, theta: FloatArray
    ) -> tuple[float, float, float]:
        """Return the carried residual, 2(1 - cos angle), and the best residual."""
        f, gradients = functions.values(theta), functions.jacobian(theta)
        weights = np.exp(f.min() - f)
        pull = weights @ gradients
        size, reach = float(np.linalg.norm(theta)), float(np.linalg.norm(pull))
        carried = self.rescale * weights * size / reach
        first = float(np.linalg.norm(theta - carried @ gradients)) / size
        second = 2.0 * (1.0 - float(theta @ pull) / (size * reach))
        best = nonnegative_multipliers(gradients, theta).multipliers
        third = float(np.linalg.norm(theta - best @ gradients)) / size
        return first, second, third

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("multipliers of another scale", CarriedMultipliersIdentity(rescale=1.001)),)

    def draw(self, measurement: Measurement) -> Any:
        """Both residuals over the steps."""
        at, carried, best = (np.array(measurement.curves[k]) for k in ("at", "carried", "best"))
        with panel(3.6) as (figure, axes):
            axes.loglog(
                at, carried, "o-", ms=3, color=ORANGE, label="carried, $\\lambda\\propto e^{-f}$"
            )
            axes.loglog(
                at, np.maximum(best, 1e-17), "s-", ms=3, color=BLUE, label="best, $\\lambda\\geq 0$"
            )
            axes.grid(color=GREY, alpha=0.2)
            axes.set_xlabel("step of gradient descent, plus 1")
            axes.set_ylabel("relative residual")
            axes.legend(frameon=False)
            return figure


STATEMENT = CarriedMultipliersIdentity()
