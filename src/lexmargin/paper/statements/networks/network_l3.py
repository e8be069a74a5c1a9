"""Any norm: the two paths of a network meet in the ℓ3 ball."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from lexmargin.paper.balls import BallStatement
from lexmargin.paper.statement import Plant

__all__ = ["STATEMENT", "NetworkL3"]


@final
@dataclass(frozen=True)
class NetworkL3(BallStatement):
    """`Θ_c(ρ) → Θ_m*` in the ℓ3 ball, on a diagonal network of depth 2."""

    id: ClassVar[str] = "network-l3"
    title: ClassVar[str] = "Any norm: a network in the ℓ3 ball"
    norm: ClassVar[float] = 3.0
    says: ClassVar[str] = (
        "For homogeneous models and any norm the constrained path nears the margin path. "
        "In ℓ3 both samples are tight: β = (8, 3)/19."
    )

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("the max margin of the ℓ1 ball", NetworkL3(compared=1.0)),)


STATEMENT = NetworkL3()
