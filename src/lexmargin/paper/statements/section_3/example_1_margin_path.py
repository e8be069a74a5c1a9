"""Example 1: the margin path of a homogeneous predictor is one set at every ρ."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.formulations import MarginPath
from lexmargin.linalg.norms import vector_norm
from lexmargin.paper.evidence import Backing
from lexmargin.paper.instances import Instance, diagonal_pair, rows
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation
from lexmargin.predictors import Linear, Polynomial
from lexmargin.solve import solve

__all__ = ["STATEMENT", "ExampleOneMarginPath"]

_SAME: Final = 1e-6
"""Of directions solved for: the square root of the accuracy of their margins."""
_EXACT: Final = 1e-8
"""Relative, of a margin solved for."""
_SCALES: Final = (1e-2, 0.1, 1.0, 10.0, 100.0, 1000.0)
"""ρ, 1 among them, which the others are compared with."""


@final
@dataclass(frozen=True)
class ExampleOneMarginPath(PlainStatement):
    """`Θ_m(ρ) = Θ_m*` and `γ*(ρ) = ρ^α γ*(1)` for α-homogeneous f_n.

    Attributes:
        mixed: add an instance that is a sum of degrees 1 and 2, whose margin path turns with ρ.
    """

    id: ClassVar[str] = "example-1-margin-path"
    title: ClassVar[str] = "Homogeneous predictors: one margin path for all ρ"
    passages: ClassVar[tuple[Passage, ...]] = (
        Passage.SAME_SET,
        Passage.MARGIN_SET,
    )
    equation: ClassVar[str] = (
        r"\Theta_m(\rho)=\Theta_m^*=\arg\max_{\theta\in S^{d-1}}\min_n f_n(\theta)\quad"
        r"\forall\rho"
    )
    says: ClassVar[str] = (
        "For α-homogeneous predictors the margin path Θ_m(ρ) is the same set at every ρ."
    )

    mixed: bool = False

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant(
                "a sum of degrees 1 and 2 among the homogeneous", ExampleOneMarginPath(mixed=True)
            ),
        )

    def measure(self, effort: Effort) -> Measurement:
        """Solve eq. 6 at every ρ and compare with ρ = 1."""
        grid = _SCALES[1:4] if effort is Effort.QUICK else _SCALES
        two = rows(((1.0, 0.0), (0.0, 2.0)))
        runs = [
            (Instance("Z = (1,0), (0,2), linear, ℓ2", Linear(), two), 1.0),
            (Instance("Z = (1,0), (0,2), linear, ℓ1", Linear(), two, 1.0), 1.0),
            (diagonal_pair(), 2.0),
            (Instance("f = θ_1³ + 2 θ_2³, 2 θ_1³ + θ_2³, ℓ3", Polynomial(((3, 0), (0, 3))),
                      rows(((1.0, 2.0), (2.0, 1.0))), 3.0), 3.0),
        ]  # fmt: skip
        if self.mixed:
            runs.append((Instance("f = θ_1 + θ_2 θ_3", Polynomial(((1, 0, 0), (0, 1, 1))),
                                  rows(((1.0, 1.0),))), 2.0))  # fmt: skip
        checks: list[Check] = []
        for instance, degree in runs:
            answers = [
                solve(MarginPath(instance.predictor, instance.data, rho=r, norm=instance.norm))
                for r in grid
            ]
            first = answers[grid.index(1.0)]
            # Signs of hidden units make further maximisers of the same network.
            apart = tuple(
                float(vector_norm(np.abs(a.direction) - np.abs(first.direction), 2.0))
                for a in answers
            )
            growth = max(
                abs(math.log(a.objective / first.objective) - degree * math.log(r))
                for a, r in zip(answers, grid, strict=True)
            )
            shown = Backing.of(a.certificate for a in answers)
            checks += [
                shown.small(instance.name, "largest ‖θ_m(ρ) - θ_m(1)‖", max(apart), _SAME),
                shown.check(instance.name, f"largest |log(γ*(ρ)/(ρ^{degree:g} γ*(1)))|", growth,
                            Relation.AT_MOST, 0.0, _EXACT),
            ]  # fmt: skip
        return Measurement(tuple(checks))


STATEMENT = ExampleOneMarginPath()
