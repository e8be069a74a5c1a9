"""The cross-entropy of three classes: its path goes to the multi-class max margin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.formulations import ConstrainedPath, HardMargin
from lexmargin.linalg.norms import vector_norm
from lexmargin.losses import Loss
from lexmargin.paper.evidence import Backing
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation
from lexmargin.predictors import Linear
from lexmargin.solve import solve

__all__ = ["STATEMENT", "CrossEntropyLoss"]

_EXACT: Final = 1e-7
"""Relative, of a certified margin."""
_NEAR: Final = 0.02
"""Distance of unit vectors at ρ = 1000; the margin is within log(N(C-1))/ρ = 0.0018 there."""
_X: Final = ((1.0, 0.2), (0.1, 1.0), (-1.0, -0.7))
"""One sample of each class."""
_MARGIN: Final = 0.69929796
"""Its largest margin for the Frobenius norm, solved for once to eight digits."""


@final
@dataclass(frozen=True)
class CrossEntropyLoss(PlainStatement):
    """`γ* - γ(θ_c(ρ)) ≤ log(N(C-1))/ρ` for the cross-entropy, and θ_c tends to the max margin.

    Attributes:
        norm: of the max margin that the limit is compared with; the path's is the Euclidean.
    """

    id: ClassVar[str] = "cross-entropy-loss"
    title: ClassVar[str] = "Cross-entropy of three classes: the multi-class max margin"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.OTHER_LOSSES,)
    equation: ClassVar[str] = (
        r"\arg\min_{\|\theta\|\le 1}\sum_n\log\Big(1+\sum_{c\ne y_n}e^{-\rho(F_{y_n}-F_c)}\Big)"
        r"\to\arg\max_{\|\theta\|\le 1}\min_{n,\,c\ne y_n}F_{y_n}(x_n)-F_c(x_n)"
    )
    says: ClassVar[str] = (
        "Results for the exponential loss should extend to the logistic loss's multi-class "
        "generalization: the cross-entropy's path goes to the max of the smallest difference of "
        "scores, its margin within log(N(C-1))/ρ."
    )
    caption: ClassVar[str] = (
        "Distance of the cross-entropy's path to the multi-class max margin (falling like 1/ρ), "
        "and to the exponential loss's path (falling like e^{-ργ}, then rounding)."
    )
    axes: ClassVar[tuple[str, str]] = ("scale ρ", "distance of unit vectors")

    norm: float = 2.0

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("the max margin of the largest entry", CrossEntropyLoss(norm=math.inf)),)

    def measure(self, effort: Effort) -> Measurement:
        """Solve the hard margin and eq. 5 with both losses."""
        grid = (10, 1000) if effort is Effort.QUICK else (5, 10, 30, 100, 300, 1000)
        instances = (
            ("X = I_3, classes 0, 1, 2", Dataset(np.eye(3), [0, 1, 2]), 1.0 / math.sqrt(2.0)),
            ("X = (1,.2), (.1,1), (-1,-.7), classes 0, 1, 2",
             Dataset(_X, [0, 1, 2]), _MARGIN),
        )  # fmt: skip
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {"rho": grid}
        for name, data, margin in instances:
            predictor = Linear(outputs=3)
            best = solve(HardMargin(predictor, data, norm=self.norm))
            limit = best.direction / vector_norm(best.direction, 2.0)
            answers = [solve(ConstrainedPath(predictor, data, rho=rho, loss=Loss.CROSS_ENTROPY))
                       for rho in grid]  # fmt: skip
            others = [solve(ConstrainedPath(predictor, data, rho=rho)) for rho in grid]
            apart = tuple(float(vector_norm(a.direction - limit, 2.0)) for a in answers)
            between = tuple(float(vector_norm(a.direction - o.direction, 2.0))
                            for a, o in zip(answers, others, strict=True))  # fmt: skip
            count = 2 * data.n_samples
            scores = ConstrainedPath(predictor, data).functions
            short = max(
                margin - float(scores.values(a.direction).min()) - math.log(count) / rho
                for a, rho in zip(answers, grid, strict=True)
            )
            shown = Backing.of(s.certificate for s in (best, *answers, *others))
            checks += [
                shown.check(name, f"largest γ* - γ(θ_c) - log {count}/ρ, γ* = {margin:.8g}", short,
                            Relation.AT_MOST, 0.0, _EXACT),
                shown.small(name, f"distance of θ_c to the max margin at ρ = {grid[-1]:g}",
                            apart[-1], _NEAR),
                shown.small(name, f"distance to the exponential path at ρ = {grid[-1]:g}",
                            between[-1], _EXACT),
            ]  # fmt: skip
            curves |= {f"{name}: limit": apart, f"{name}: exponential": between}
        return Measurement(tuple(checks), curves)


STATEMENT = CrossEntropyLoss()
