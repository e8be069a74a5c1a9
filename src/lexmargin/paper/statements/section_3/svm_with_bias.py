"""§3.2: with a bias of degree 2 the limit is the SVM with a free bias, not the augmented one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset, load_dataset
from lexmargin.formulations import HardMargin, MarginPath, WSet
from lexmargin.ops.base import FloatArray
from lexmargin.paper.evidence import Backing
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation, Statement
from lexmargin.plots import BLUE, GREEN, GREY, ORANGE, VERMILION, panel
from lexmargin.predictors import Bias, Linear, Sum
from lexmargin.predictors.bias import BiasForm
from lexmargin.solve import solve

__all__ = ["STATEMENT", "SvmWithBias"]

_DISTANCE: Final = 1e-2
"""Relative distance to the limit at ρ = 1e3, where it is of the order 1/γ*."""
_PEER: Final = 1e-4
"""Relative accuracy of scikit-learn's SVC at C = 1e8 and tol = 1e-10."""
_APART: Final = 0.05
"""A relative distance of two separators that nobody calls equal."""


@final
@dataclass(frozen=True)
class SvmWithBias(Statement):
    """`f_n = y_n(θ_1·x_n + b|b|)` on the margin path, against two hard-margin SVMs.

    Attributes:
        X, y: the samples in the plane that are drawn.
        toy_only: leave the real data out.
    """

    id: ClassVar[str] = "svm-with-bias"
    title: ClassVar[str] = "A bias of higher degree is not regularised"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.FREE_BIAS,)
    equation: ClassVar[str] = (
        r"\min_{\theta_1,b}\ \|\theta_1\|^2\ "
        r"\text{s.t.}\ y_n(\theta_1\cdot x_n+b|b|)\ge 1\ \forall n"
    )
    says: ClassVar[str] = (
        "With a bias of degree 2 both paths tend to the hard-margin SVM with an unregularised "
        "bias, and not to the SVM with a constant feature whose bias is regularised."
    )
    problems: ClassVar[tuple[str, ...]] = (
        "sums/bias-free-signed-square",
        "sums/bias-regularised",
        "sums/bias-literal-square",
        "real/wine-0",
    )
    caption: ClassVar[str] = (
        "One data set, three separators: the free-bias SVM (blue, solid) with the margin path at "
        "ρ = 1e3 on top of it (black, dotted), the SVM with a regularised bias (orange), and the "
        "literal b² of the paper, which admits b ≥ 0 only (green)."
    )

    X: tuple[tuple[float, float], ...] = ((3.0, 0.0), (1.0, 1.0))
    y: tuple[int, ...] = (1, -1)
    toy_only: bool = False

    def measure(self, effort: Effort) -> Measurement:
        """Solve the margin path, both SVMs, and scikit-learn's SVC as the outside reference."""
        from sklearn.svm import SVC

        runs = [(f"X = {self.X}, y = {self.y}", Dataset(self.X, self.y))]
        if not self.toy_only:
            runs.append(("wine, standardised", load_dataset("wine", [0], standardize=True)))
        signed = Sum((Linear(), Bias()))
        rho = 1e3
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {}
        for name, data in runs:
            free = solve(WSet(signed, data))
            augmented = solve(HardMargin(Sum((Linear(), Bias(BiasForm.PLAIN))), data))
            path = solve(MarginPath(signed, data, rho=rho), start=self._start(free.theta, rho))
            peer = SVC(kernel="linear", C=1e8, tol=1e-10).fit(data.X, data.y).coef_[0]
            w = rho * path.theta[0] / path.objective
            answers = (free, augmented, path)
            shown = Backing.of(a.certificate for a in answers)
            for quantity, a, b, relation, predicted, tolerance in (
                (
                    f"ρθ_1/γ* at ρ = {rho:g} to the free-bias SVM",
                    w,
                    free.theta[0],
                    Relation.AT_MOST,
                    0.0,
                    _DISTANCE,
                ),
                (
                    "free-bias SVM to scikit-learn's SVC",
                    free.theta[0],
                    peer,
                    Relation.AT_MOST,
                    0.0,
                    _PEER,
                ),
                (
                    f"ρθ_1/γ* at ρ = {rho:g} to the SVM with a regularised bias",
                    w,
                    augmented.theta[0],
                    Relation.AT_LEAST,
                    _APART,
                    0.0,
                ),
            ):
                distance = float(np.linalg.norm(a - b) / np.linalg.norm(b))
                checks.append(
                    shown.check(
                        name,
                        f"relative distance of {quantity}",
                        distance,
                        relation,
                        predicted,
                        tolerance,
                    )
                )
            if not curves:
                literal = solve(WSet(Sum((Linear(), Bias(BiasForm.SQUARE))), data))
                b = float(path.theta[1][0])
                curves = {
                    "x": tuple(float(v) for v in data.X[:, 0]),
                    "y": tuple(float(v) for v in data.X[:, 1]),
                    "label": tuple(float(v) for v in data.y),
                    "free": _line(free.theta[0], float(free.theta[1][0]) * abs(free.theta[1][0])),
                    "augmented": _line(augmented.theta[0], float(augmented.theta[1][0])),
                    "literal": _line(literal.theta[0], float(literal.theta[1][0]) ** 2),
                    "path": _line(w, rho**2 * b * abs(b) / path.objective),
                }
        return Measurement(tuple(checks), curves)

    @staticmethod
    def _start(limit: tuple[FloatArray, ...], rho: float) -> FloatArray:
        """Return the unit vector whose parts have the sizes of eq. 12 at the limit."""
        w, b = limit
        # ρθ_1 = γ w and ρθ_2 = γ^{1/2} b with ‖θ‖ = 1: γ²‖w‖² + γ b² = ρ².
        size, square = float(w @ w), float(b @ b)
        gamma = (-square + np.sqrt(square**2 + 4.0 * size * rho**2)) / (2.0 * size)
        return np.concatenate([gamma * w, np.sqrt(gamma) * b]) / rho

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant(
                "symmetric samples, where both SVMs have the bias 0",
                SvmWithBias(X=((2.0, 1.0), (-2.0, -1.0)), toy_only=True),
            ),
        )

    def draw(self, measurement: Measurement) -> Any:
        """Samples and separators in the plane."""
        curves = measurement.curves
        x, y, label = (np.array(curves[k]) for k in ("x", "y", "label"))
        looks = (
            ("free", BLUE, "-", 2.2, "free bias"),
            ("augmented", ORANGE, "-", 1.5, "regularised bias"),
            ("literal", GREEN, "-", 1.5, "literal $b^2$"),
            ("path", "black", ":", 2.2, "margin path, ρ = 1e3"),
        )
        with panel(3.2, "compressed") as (figure, axes):
            left, right = min(x.min(), 0.0) - 1.0, max(x.max(), 0.0) + 1.0
            at = np.array([left, right])
            for name, color, dash, width, text in looks:
                a, c, b = curves[name]
                axes.plot(at, (-b - a * at) / c, color=color, ls=dash, lw=width, label=text)
            axes.plot(x[label > 0], y[label > 0], "o", color=VERMILION, ms=8, label="$y = +1$")
            axes.plot(x[label < 0], y[label < 0], "s", color=GREY, ms=8, label="$y = -1$")
            axes.set(xlim=(left, right), ylim=(y.min() - 1.0, y.max() + 1.0), aspect="equal")
            axes.set_xlabel("feature 1")
            axes.set_ylabel("feature 2")
            figure.legend(frameon=False, loc="outside right center")
            return figure


def _line(w: FloatArray, b: float) -> tuple[float, float, float]:
    return float(w[0]), float(w[1]) if w.size > 1 else 0.0, b


STATEMENT = SvmWithBias()
