"""Any norm: the two paths of a network meet in the ℓ∞ ball."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

from lexmargin.paper.balls import BallStatement
from lexmargin.paper.statement import Plant

__all__ = ["STATEMENT", "NetworkLInf"]


@final
@dataclass(frozen=True)
class NetworkLInf(BallStatement):
    """`Θ_c(ρ) → Θ_m*` in the ℓ∞ ball, on a diagonal network of depth 2."""

    id: ClassVar[str] = "network-linf"
    title: ClassVar[str] = "Any norm: a network in the ℓ∞ ball"
    norm: ClassVar[float] = math.inf
    says: ClassVar[str] = (
        "For homogeneous models and any norm the constrained path nears the margin path. "
        "In ℓ∞ all weights are equal: β = (1, 1)/3, and its margin is 3."
    )

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("the max margin of the ℓ3 ball", NetworkLInf(compared=3.0)),)


STATEMENT = NetworkLInf()
