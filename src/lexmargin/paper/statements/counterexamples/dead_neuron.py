"""Automatic differentiation is blind at a dead ReLU unit: a smooth test calls it a minimum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.formulations import HardMargin
from lexmargin.judge import certify
from lexmargin.judge.local.birth import birth_value
from lexmargin.ops.base import FloatArray
from lexmargin.paper.evidence import Backing, residual
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Effort, Measurement, Plant, Reading, Relation, Statement
from lexmargin.plots import BLUE, GREY, VERMILION, panel
from lexmargin.predictors import Network, ReLU

__all__ = ["STATEMENT", "DeadNeuron"]

_ROUNDING: Final = 1e-9
"""Of values near 4 that are computed in closed form."""


@final
@dataclass(frozen=True)
class DeadNeuron(Statement):
    """A stationary point of `min ½‖θ‖² s.t. f_n(θ) ≥ 1` whose second neuron is 0.

    Attributes:
        angle: between the two samples of unit length, in degrees.
        share: of the angle in the closed form of the birth test; right is ½.
    """

    id: ClassVar[str] = "dead-neuron"
    title: ClassVar[str] = "A stationary point that a new neuron improves"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.ASSUMPTION_3, Passage.DEFINITION_3)
    equation: ClassVar[str] = (
        r"f_n\in C^2,\quad\theta=\sum_n\lambda_n\nabla f_n(\theta),"
        r"\quad\lambda\ge 0"
    )
    says: ClassVar[str] = (
        "The limit is stationary in the sense of Definition 3, with gradients as automatic "
        "differentiation gives them; residual 0 and a positive reduced Hessian then say 'strict "
        "local minimum'."
    )
    corrected: ClassVar[str] = (
        "at a dead ReLU unit the derivative 0 is a convention. Ask for the birth of a neuron: "
        "max over unit u of |Σ λ_n y_n relu(u·x_n)| ≤ 1 proves that no neuron improves the net; "
        "above 1 its maximiser is the neuron that does."
    )
    problems: ClassVar[tuple[str, ...]] = ("relu/dead-neuron", "relu/two-samples-angle-119")
    caption: ClassVar[str] = (
        "Least cost ½‖θ‖² when the dead neuron is given the size ε and the first one is rescaled "
        "to keep both margins at 1. The slope at 0 is what automatic differentiation cannot see."
    )

    angle: float = 150.0
    share: float = 0.5

    def measure(self, effort: Effort) -> Measurement:
        """Certify the point, apply the birth test, and walk along the newborn neuron."""
        half = math.radians(0.5 * self.angle)
        X = np.array([[1.0, 0.0], [math.cos(2 * half), math.sin(2 * half)]])
        data = Dataset(X, [1, 1], one_class=True)
        problem = HardMargin(Network((2,), ReLU()), data)
        size = math.sqrt(1.0 / math.cos(half))
        bisector = np.array([math.cos(half), math.sin(half)])
        dead = self._theta(size * bisector, size, np.zeros(2), 0.0)
        found = certify(problem, dead)
        cost = 0.5 * float(dead @ dead)
        multipliers = np.full(2, 0.5 * cost)
        left = np.sum(multipliers * (X @ bisector) * size)
        error = abs(left - size) / size
        birth = birth_value(X, multipliers * data.y)
        count = 7 if effort is Effort.QUICK else 31
        sizes = np.linspace(0.0, 0.3, count)
        costs = np.array([self._cost(X, problem, bisector, e) for e in sizes])
        word = f"two samples {self.angle:g}° apart, two ReLU units, one dead"
        well = error < _ROUNDING and birth.exact
        checks = (
            Backing(error, well).check(
                word,
                "least ½‖θ‖² with a neuron of size up to 0.3 born, all margins 1",
                float(costs.min()),
                Relation.AT_LEAST,
                cost,
                _ROUNDING,
            ),
            Backing(error, well).check(
                word,
                "birth test max_u |Σ λ_n y_n relu(u·x_n)|, against λ = 1/(2 cos(φ/2)) at a sample",
                birth.upper,
                Relation.EQUAL,
                max(1.0 / (2.0 * math.cos(self.share * 2.0 * half)), 1.0),
                _ROUNDING,
                Reading.CORRECTED,
            ),
        )
        curves = {"size": tuple(sizes), "cost": tuple(costs)}
        verdict = f"Certificate at the point: {found.verdict.value}, ε {residual((found,)):.1e}."
        return Measurement(checks, curves, (verdict,))

    @staticmethod
    def _theta(w: FloatArray, a: float, v: FloatArray, b: float) -> FloatArray:
        return np.array([*w, *v, a, b])

    def _cost(self, X: FloatArray, problem: HardMargin, bisector: FloatArray, e: float) -> float:
        """Return ½‖θ‖² with the second neuron e(x_1; 1), the first bent to serve sample 2.

        Sample 1 gains e² from the newborn neuron; the first neuron is the cheapest one that gives
        both samples what is left, `a w·x_1 = 1 - e²` and `a w·x_2 = 1 - e² relu(x_1·x_2)`.
        """
        newborn = e * X[0]
        gained = e * np.maximum(X @ newborn, 0.0)
        product = np.linalg.solve(X, 1.0 - gained)
        length = math.sqrt(float(np.linalg.norm(product)))
        theta = self._theta(product / length, length, newborn, e)
        if np.min(problem.functions.values(theta)) < 1.0 - _ROUNDING:
            return math.inf
        return 0.5 * float(theta @ theta)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant(
                "100° between the samples, where no second neuron helps", DeadNeuron(angle=100.0)
            ),
            Plant(
                "0.45 φ in the place of the half angle", DeadNeuron(share=0.45), Reading.CORRECTED
            ),
        )

    def draw(self, measurement: Measurement) -> Any:
        """Cost over the size of the newborn neuron."""
        size, cost = (np.array(measurement.curves[k]) for k in ("size", "cost"))
        with panel(3.4) as (figure, axes):
            axes.axhline(cost[0], color=GREY, lw=0.8, ls="--", label="neuron dead")
            axes.plot(size, cost, "o-", ms=3, color=VERMILION, label="neuron born at $x_1$")
            axes.plot([0.0], [cost[0]], "o", color=BLUE, ms=7)
            axes.set_xlabel("size ε of the newborn neuron")
            axes.set_ylabel("cost $\\frac{1}{2}\\|\\theta\\|^2$ at margin 1")
            axes.legend(frameon=False)
            return figure


STATEMENT = DeadNeuron()
