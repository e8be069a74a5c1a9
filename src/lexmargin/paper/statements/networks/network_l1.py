"""Any norm: the two paths of a network meet in the ℓ1 ball."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

from lexmargin.paper.balls import BallStatement
from lexmargin.paper.statement import Plant

__all__ = ["STATEMENT", "NetworkL1"]


@final
@dataclass(frozen=True)
class NetworkL1(BallStatement):
    """`Θ_c(ρ) → Θ_m*` in the ℓ1 ball, on a diagonal network of depth 2."""

    id: ClassVar[str] = "network-l1"
    title: ClassVar[str] = "Any norm: a network in the ℓ1 ball"
    norm: ClassVar[float] = 1.0
    says: ClassVar[str] = (
        "For homogeneous models and any norm the constrained path nears the margin path. "
        "In ℓ1 the network keeps one feature: β = (0.8, 0), and its margin is 5/16."
    )

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("the max margin of the ℓ∞ ball", NetworkL1(compared=math.inf)),)


STATEMENT = NetworkL1()
