"""The literal bias b² of §3.2 represents b ≥ 0 only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.formulations import WSet
from lexmargin.paper.evidence import Backing
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Effort, Measurement, Plant, Reading, Relation, Statement
from lexmargin.plots import BLUE, GREY, ORANGE, VERMILION, panel
from lexmargin.predictors import Bias, Linear, Sum
from lexmargin.predictors.bias import BiasForm
from lexmargin.solution import Solution
from lexmargin.solve import solve

__all__ = ["STATEMENT", "BiasLiteralSquare"]

_SAME: Final = 1e-6
"""Of two squared norms near 1, certified to 1e-8."""


@final
@dataclass(frozen=True)
class BiasLiteralSquare(Statement):
    """`f_n = y_n(θ_1·x_n + b²)`: the W-set (eq. 13) against the SVM with a free bias.

    Attributes:
        X, y: samples in the plane.
        cost: C of the reference; the margin is hard where it is large.
    """

    id: ClassVar[str] = "bias-literal-square"
    title: ClassVar[str] = "A bias that is a square has one sign"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.FREE_BIAS,)
    equation: ClassVar[str] = (
        r"\min_{\theta_1,b}\ \|\theta_1\|^2\ "
        r"\text{s.t.}\ y_n(\theta_1\cdot x_n+b^2)\ge 1\ \forall n"
    )
    says: ClassVar[str] = (
        "With a bias b² both paths approach the hard-margin SVM with an unregularised bias: "
        "‖w_1‖² of eq. 13 is the SVM's."
    )
    corrected: ClassVar[str] = (
        "b² is a bias of either sign only as a difference b_+² - b_-² (or b|b|)."
    )
    problems: ClassVar[tuple[str, ...]] = ("sums/bias-literal-square", "sums/bias-free-two-squares")
    caption: ClassVar[str] = (
        "The two separators with their margins: with b² (orange) the best b is 0 and the "
        "separator runs through the origin; with b₊² - b₋² (blue) it is the SVM's."
    )

    X: tuple[tuple[float, float], ...] = ((3.0, 0.0), (1.0, 1.0))
    y: tuple[int, ...] = (1, -1)
    cost: float = 1e8

    def measure(self, effort: Effort) -> Measurement:
        """Solve eq. 13 with both biases, and the SVM by scikit-learn as the outside reference."""
        from sklearn.svm import SVC

        data = Dataset(self.X, self.y)
        literal = solve(WSet(Sum((Linear(), Bias(BiasForm.SQUARE))), data))
        free = solve(WSet(Sum((Linear(), Bias(BiasForm.TWO_SQUARES))), data))
        peer = SVC(kernel="linear", C=self.cost, tol=1e-12).fit(data.X, data.y)
        norm = float(np.sum(peer.coef_**2))
        word = f"X = {self.X}, y = {self.y}"
        quantity = f"‖w_1‖² with {{}}, against scikit-learn's SVC at C = {self.cost:g}"
        checks = tuple(
            Backing.of((answer.certificate,)).check(
                word, quantity.format(name), answer.objective, Relation.EQUAL, norm, _SAME, reading
            )
            for name, answer, reading in (
                ("b²", literal, Reading.PAPER),
                ("b₊² - b₋²", free, Reading.CORRECTED),
            )
        )
        curves = {
            "x": tuple(float(v) for v in data.X[:, 0]),
            "y": tuple(float(v) for v in data.X[:, 1]),
            "label": tuple(float(v) for v in data.y),
            "literal": (*_line(literal), float(np.sum(literal.theta[1] ** 2))),
            "free": (*_line(free), float(free.theta[1][0] ** 2 - free.theta[1][1] ** 2)),
        }
        return Measurement(checks, curves)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant(
                "labels turned, so that the SVM's bias is positive", BiasLiteralSquare(y=(-1, 1))
            ),
            Plant(
                "a soft margin in the place of the hard one: SVC at C = 0.1",
                BiasLiteralSquare(cost=0.1),
                Reading.CORRECTED,
            ),
        )

    def draw(self, measurement: Measurement) -> Any:
        """Samples and both separators."""
        curves = measurement.curves
        x, y, label = (np.array(curves[k]) for k in ("x", "y", "label"))
        with panel(3.2, "compressed") as (figure, axes):
            left, right = min(x.min(), 0.0) - 1.0, max(x.max(), 0.0) + 1.0
            low, high = min(y.min(), 0.0) - 1.0, max(y.max(), 0.0) + 1.0
            at = np.array([left, right])
            for name, color, text in (
                ("free", BLUE, "$b_+^2-b_-^2$"),
                ("literal", ORANGE, "$b^2$"),
            ):
                a, c, b = curves[name]
                for level in (-1.0, 0.0, 1.0):
                    axes.plot(
                        at,
                        (level - b - a * at) / c,
                        color=color,
                        lw=1.6 if level == 0 else 0.8,
                        ls="-" if level == 0 else ":",
                        label=text if level == 0 else None,
                    )
            axes.plot(x[label > 0], y[label > 0], "o", color=VERMILION, ms=8, label="$y = +1$")
            axes.plot(x[label < 0], y[label < 0], "s", color=GREY, ms=8, label="$y = -1$")
            axes.set(xlim=(left, right), ylim=(low, high), aspect="equal")
            axes.set_xlabel("feature 1")
            axes.set_ylabel("feature 2")
            figure.legend(frameon=False, loc="outside right center")
            return figure


def _line(answer: Solution) -> tuple[float, float]:
    return float(answer.theta[0][0]), float(answer.theta[0][1])


STATEMENT = BiasLiteralSquare()
