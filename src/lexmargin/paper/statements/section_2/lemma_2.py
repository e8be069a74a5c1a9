"""Lemma 2: minimisers of the loss over the ball lie on its sphere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.formulations import ConstrainedPath
from lexmargin.judge import certify
from lexmargin.linalg.norms import vector_norm
from lexmargin.paper.evidence import Backing
from lexmargin.paper.instances import Instance, diagonal_pair, rows, two_axes
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation
from lexmargin.paths import trace
from lexmargin.predictors import Polynomial

__all__ = ["STATEMENT", "LemmaTwo"]

_SPHERE: Final = 1e-8
"""Of a norm solved for: what the feasibility of the certificate allows."""


@final
@dataclass(frozen=True)
class LemmaTwo(PlainStatement):
    """`‖θ_c(ρ)‖ = 1` where `L*(ρ)` falls strictly to zero (Assumption 1).

    Attributes:
        bounded: put a bounded f, which violates Assumption 1, among the instances of the lemma.
    """

    id: ClassVar[str] = "lemma-2"
    title: ClassVar[str] = "The constrained path lies on the sphere"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.LEMMA_2,)
    equation: ClassVar[str] = r"\|\theta_c\|=1\quad\forall\,\theta_c\in\Theta_c(\rho)"
    says: ClassVar[str] = (
        "Under Assumption 1 every minimiser of L(ρθ) over the unit ball has norm 1. The "
        "assumption is needed: f = 2θ² - θ⁴ is at most 1, and its minimiser has norm 1/ρ."
    )
    caption: ClassVar[str] = (
        "1 - ‖θ_c‖ over ρ. Where the loss falls to zero it is rounding, and off the axis; for the "
        "bounded f = 2θ² - θ⁴ it tends to 1."
    )
    axes: ClassVar[tuple[str, str]] = ("scale ρ", "$1-\\|\\theta_c(\\rho)\\|$")

    bounded: bool = False

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("a bounded f, which violates Assumption 1", LemmaTwo(bounded=True)),)

    def measure(self, effort: Effort) -> Measurement:
        """Trace the constrained path and take the norm farthest from 1."""
        powers = range(0, 8, 3) if effort is Effort.QUICK else range(8)
        grid = [2.0**k for k in powers]
        hill = Instance("f = 2θ² - θ⁴, one sample", Polynomial(((2,), (4,))), rows(((2.0, -1.0),)))
        sum_of_parts = Instance(
            "f = θ_1 + θ_2 θ_3, one sample",
            Polynomial(((1, 0, 0), (0, 1, 1))),
            rows(((1.0, 1.0),)),
        )
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {"rho": tuple(grid)}
        lemma = [two_axes(), diagonal_pair(), sum_of_parts]
        for instance in [*lemma, hill] if self.bounded else lemma:
            found, inside = (
                self._inside(instance, grid) if instance is not hill else _flat(hill, grid)
            )
            checks.append(
                found.small(
                    instance.name,
                    f"largest |1 - ‖θ_c‖| at {len(grid)} values of ρ",
                    max(abs(v) for v in inside),
                    _SPHERE,
                )
            )
            curves[instance.name] = inside
        found, inside = _flat(hill, grid)
        checks.append(
            found.check(
                hill.name, f"1 - ‖θ_c‖ at ρ = {grid[-1]:g}, where L* no longer falls",
                inside[-1], Relation.EQUAL, 1.0 - 1.0 / grid[-1], _SPHERE,
            )
        )  # fmt: skip
        return Measurement(tuple(checks), {**curves, hill.name: inside})

    @staticmethod
    def _inside(instance: Instance, grid: list[float]) -> tuple[Backing, tuple[float, ...]]:
        problem = ConstrainedPath(instance.predictor, instance.data, norm=instance.norm)
        path = trace(problem, grid, margins=False)
        sizes = tuple(1.0 - float(vector_norm(p.theta, instance.norm)) for p in path.points)
        return Backing.of(p.certificate for p in path.points), sizes


def _flat(hill: Instance, grid: list[float]) -> tuple[Backing, tuple[float, ...]]:
    """Certify `θ = 1/ρ`, where `f = 1 - (1 - (ρθ)²)²` is 1, the most it can be; ρ a power of 2."""
    points = [1.0 / rho for rho in grid]
    certificates = [
        certify(ConstrainedPath(hill.predictor, hill.data, rho=rho), np.array([theta]))
        for rho, theta in zip(grid, points, strict=True)
    ]
    return Backing.of(certificates), tuple(1.0 - theta for theta in points)


STATEMENT = LemmaTwo()
