"""The logistic loss against the exponential one: same limit, exponentially close."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.formulations import ConstrainedPath
from lexmargin.linalg.norms import vector_norm
from lexmargin.losses import Loss
from lexmargin.paper.evidence import Backing
from lexmargin.paper.instances import Instance, rows, two_axes
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation
from lexmargin.predictors import DiagonalNetwork, Linear
from lexmargin.solve import solve

__all__ = ["STATEMENT", "LogisticLoss"]

_TIMES: Final = 2.0
"""Of e^{-γ}: a weight of the logistic loss is e^{-f}/(1 + e^{-f}), within e^{-γ} of the other's."""

_SOLVED: Final = 1e-9
"""Of two directions solved for, where e^{-γ} is below rounding."""
_OTHER: Final = (1.0, 1.1)
"""Factors that make other samples: planted."""


@final
@dataclass(frozen=True)
class LogisticLoss(PlainStatement):
    """`‖θ_c^{log}(ρ) - θ_c^{exp}(ρ)‖ ≤ C e^{-γ}`, γ the margin there.

    Attributes:
        stretch: factor on the samples under the logistic loss alone; 1 compares the same data.
    """

    id: ClassVar[str] = "logistic-loss"
    title: ClassVar[str] = "The logistic loss has the exponential loss's limit"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.OTHER_LOSSES,)
    equation: ClassVar[str] = (
        r"\|\arg\min_\theta\sum_n\log(1+e^{-f_n(\rho\theta)})-"
        r"\arg\min_\theta\sum_n e^{-f_n(\rho\theta)}\|\to 0"
    )
    says: ClassVar[str] = (
        "Results for the exponential loss should extend to other losses with an exponential tail: "
        "the paths of the two losses approach each other, here like e^{-γ}."
    )
    caption: ClassVar[str] = (
        "Distance of the constrained paths of the two losses over the scale: it falls like "
        "e^{-γ}, far faster than either nears its limit (1/ρ)."
    )
    axes: ClassVar[tuple[str, str]] = ("scale ρ", "distance of the two paths")

    stretch: tuple[float, float] = (1.0, 1.0)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("other data under the logistic loss", LogisticLoss(stretch=_OTHER)),)

    def measure(self, effort: Effort) -> Measurement:
        """Solve eq. 5 with both losses."""
        grid = (4.0, 12) if effort is Effort.QUICK else (2.0, 4.0, 6, 8, 10, 12)
        two = rows(((1.0, 0.0), (0.0, 2.0)))
        runs = [
            two_axes(),
            Instance("Z = (1,0), (0,2), linear, ℓ2", Linear(), two),
            Instance("Z = (1,0), (0,2), diagonal network of depth 2", DiagonalNetwork(2), two),
        ]
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {"rho": grid}
        for instance in runs[:2] if effort is Effort.QUICK else runs:
            given = np.asarray(instance.data.X) * np.array(self.stretch)
            other = rows(tuple(map(tuple, given.tolist())))
            certificates, apart, margins = [], [], []
            for rho in grid:
                first = solve(ConstrainedPath(instance.predictor, instance.data, rho=rho,
                                              norm=instance.norm))  # fmt: skip
                second = solve(ConstrainedPath(instance.predictor, other, rho=rho,
                                               norm=instance.norm, loss=Loss.LOGISTIC))  # fmt: skip
                certificates += [first.certificate, second.certificate]
                gap = np.abs(first.direction) - np.abs(second.direction)
                apart.append(float(vector_norm(gap, 2.0)))
                margins.append(first.margin * rho ** _degree(instance))
            checks.append(
                Backing.of(certificates).check(
                    instance.name, "largest distance of the two paths less 2 e^{-γ}",
                    max(a - _TIMES * math.exp(-m) for a, m in zip(apart, margins, strict=True)),
                    Relation.AT_MOST, 0.0, _SOLVED,
                )
            )  # fmt: skip
            curves[instance.name] = tuple(apart)
        return Measurement(tuple(checks), curves)


def _degree(instance: Instance) -> float:
    return 2.0 if isinstance(instance.predictor, DiagonalNetwork) else 1.0


STATEMENT = LogisticLoss()
