"""Eq. 9: the loss lies between e^{-γ} and N e^{-γ}, and reaches both ends."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.losses import log_sum_exp
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.paper.evidence import EXACT
from lexmargin.paper.instances import breast_cancer_linear, rows, two_axes, wine_network
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation
from lexmargin.predictors import Linear

__all__ = ["STATEMENT", "EquationNine"]

_ROUNDING: Final = 1e-12
"""Of a log-sum-exp of margins below 1e3."""


@final
@dataclass(frozen=True)
class EquationNine(PlainStatement):
    """`0 ≤ log L(ρθ) + γ(ρ, θ) ≤ log N` at every θ.

    Attributes:
        mean: take the mean of exp(-f_n) for their sum, which is another loss.
    """

    id: ClassVar[str] = "equation-9"
    title: ClassVar[str] = "The loss is the margin's, up to a factor N"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.SANDWICH,)
    equation: ClassVar[str] = (
        r"e^{-\gamma(\rho,\theta)}\le\sum_n\exp(-f_n(\rho\theta))\le N e^{-\gamma(\rho,\theta)}"
    )
    says: ClassVar[str] = (
        "log L + γ lies between 0 and log N at every θ; it is log N where all margins are equal, "
        "and nears 0 where one is far below the others."
    )
    caption: ClassVar[str] = (
        "log L + γ in units of log N at random directions, over the scale: from 1 at small ρ, "
        "where margins are equal, towards 0, where one sample has the whole loss."
    )
    axes: ClassVar[tuple[str, str]] = ("scale ρ", "largest $(\\log L+\\gamma)/\\log N$")

    mean: bool = False

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("the mean of exp(-f_n) for their sum", EquationNine(mean=True)),)

    def measure(self, effort: Effort) -> Measurement:
        """Take both slacks at random directions and scales, and at points that reach the ends."""
        seeds = range(4 if effort is Effort.QUICK else 16)
        scales = tuple(float(r) for r in np.logspace(-3.0, 1.0, 9))
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {"rho": scales}
        for instance in (two_axes(), breast_cancer_linear(), wine_network()):
            functions = MarginFunctions(instance.predictor, instance.data)
            count = instance.data.n_samples
            seen = np.empty((len(scales), len(seeds)))
            for seed in seeds:
                theta = np.random.default_rng(seed).normal(size=functions.size)
                theta /= float(np.linalg.norm(theta))
                for at, rho in enumerate(scales):
                    seen[at, seed] = self._excess(functions.values(rho * theta))
            where = f"{len(scales)} scales of {len(seeds)} directions (seeds 0-{len(seeds) - 1})"
            checks += [
                EXACT.check(instance.name, f"smallest log L + γ at {where}", float(seen.min()),
                            Relation.AT_LEAST, 0.0, _ROUNDING),
                EXACT.check(instance.name, f"largest log L + γ - log {count} at {where}",
                            float(seen.max()) - math.log(count), Relation.AT_MOST, 0.0, _ROUNDING),
            ]  # fmt: skip
            curves[instance.name] = tuple(seen.max(axis=1) / math.log(count))
        ends = MarginFunctions(Linear(), rows(((1.0, 0.0), (0.0, 1.0), (1.0, 1.0))))
        for theta, name, predicted in (
            (np.zeros(2), "all margins equal: log L + γ", math.log(3.0)),
            (np.array([50, 0.0]), "one margin 50 below: log L + γ", 0.0),
        ):
            value = self._excess(ends.values(theta))
            checks.append(
                EXACT.check("Z = (1,0), (0,1), (1,1)", name, value, Relation.EQUAL, predicted,
                            _ROUNDING)
            )  # fmt: skip
        return Measurement(tuple(checks), curves)

    def _excess(self, margins: FloatArray) -> float:
        value = log_sum_exp(-margins) + float(margins.min())
        return value - math.log(margins.size) if self.mean else value


STATEMENT = EquationNine()
