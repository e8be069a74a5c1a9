"""Definition 6: as printed, every θ is in the limit set; with θ = lim θ_ρ, Theorem 4 can hold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.formulations import ConstrainedPath
from lexmargin.paper.evidence import EXACT, Backing
from lexmargin.paper.instances import two_axes
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Effort, Measurement, Plant, Reading, Relation
from lexmargin.paths import trace

__all__ = ["STATEMENT", "DefinitionSix"]

_GOAL: Final = np.array([1.0, 2.0]) / 3.0
"""Θ_m* of (1,0), (0,½) in the ℓ1 ball, a single point: θ_1 = θ_2/2."""
_SLOPE: Final = math.sqrt(8.0) * math.log(2.0) / 3.0
"""ρ times the distance: each coordinate is off by 2 ln 2/(3ρ)."""
_NEAR: Final = 1e-6
"""Of ρ times a distance, at ρ up to 1e3."""


@final
@dataclass(frozen=True)
class DefinitionSix(PlainStatement):
    """`Θ_c^∞` as the printed condition defines it, and as limits of θ_{ρ_i}.

    Attributes:
        member: a θ whose membership is asked; the printed condition does not mention it.
        a: the second sample's entry in the instance of the path.
    """

    id: ClassVar[str] = "definition-6"
    title: ClassVar[str] = "The limit set needs its limit"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.DEFINITION_6,)
    equation: ClassVar[str] = (
        r"\Theta_c^\infty=\{\theta:\exists\{\rho_i,\theta_{\rho_i}\}_{i=1}^\infty,\ "
        r"\rho_i\to\infty,\ \theta_{\rho_i}\in\Theta_c(\rho_i)\}"
    )
    says: ClassVar[str] = (
        "The limit set of the constrained path, whose members Theorem 4 finds in the "
        "lexicographic set. The condition printed holds for every θ, since Θ_c(ρ) is never empty."
    )
    corrected: ClassVar[str] = (
        "θ = lim θ_{ρ_i} belongs to the condition. On (1,0), (0,½) in the ℓ1 ball the limit is "
        "(1,2)/3, the only max-margin point, approached at √2 ln 2/(1.5 ρ)."
    )
    caption: ClassVar[str] = (
        "Distance of θ_c(ρ) to the max-margin set over ρ, and of (1,0), a member as printed."
    )
    axes: ClassVar[tuple[str, str]] = ("scale ρ", "distance to $\\Theta_{m,N}^*$")

    member: tuple[float, float] = (1.0, 0.0)
    a: float = 0.5

    def measure(self, effort: Effort) -> Measurement:
        """Take the distances to Θ_m* of a member as printed, and of the path."""
        grid = [10, 1000] if effort is Effort.QUICK else [10, 30, 100, 300, 1000]
        instance = two_axes(self.a)
        path = trace(ConstrainedPath(instance.predictor, instance.data, norm=1.0), grid)
        apart = tuple(float(np.linalg.norm(p.theta - _GOAL)) for p in path.points)
        alone = float(np.linalg.norm(np.array(self.member) - _GOAL))
        checks = (
            EXACT.small(instance.name, f"distance of the member {self.member} to Θ_m*", alone,
                        _NEAR),
            Backing.along(path).check(
                instance.name, f"ρ times the distance of θ_c(ρ) to Θ_m* at ρ = {grid[-1]:g}",
                grid[-1] * apart[-1], Relation.EQUAL, _SLOPE, _NEAR,
                Reading.CORRECTED,
            ),
        )  # fmt: skip
        curves = {"rho": tuple(grid), "θ_c(ρ)": apart, "(1, 0)": (alone,) * len(grid)}
        return Measurement(checks, curves)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding of each reading."""
        return (
            Plant("the limit itself as the member", DefinitionSix(member=(1.0 / 3.0, 2.0 / 3.0))),
            Plant("the path of other samples", DefinitionSix(a=1 / 3), Reading.CORRECTED),
        )


STATEMENT = DefinitionSix()
