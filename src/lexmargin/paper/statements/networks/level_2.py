"""Theorem 4, level 2 on a network: reached, and at its rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

from lexmargin.paper.rates import LevelStatement
from lexmargin.paper.statement import Plant

__all__ = ["STATEMENT", "LevelTwo"]


@final
@dataclass(frozen=True)
class LevelTwo(LevelStatement):
    """`m_2(θ_c(ρ)) ≥ m_2* - log(N - 1)/ρ^α` on a diagonal network of depth 2."""

    id: ClassVar[str] = "level-2"
    title: ClassVar[str] = "The second level on a network, with its rate"
    says: ClassVar[str] = (
        "The second smallest margin reaches its level at the rate log(N-1)/ρ^α, since the first "
        "cannot exceed m_1* and its loss can be taken off both sides. On three samples with levels "
        "(1, 5/3, 5/3)/2, ρ²(m_2* - m_2) = ln 2/3 at every ρ."
    )
    level: ClassVar[int] = 2
    Z: ClassVar[tuple[tuple[float, ...], ...]] = ((1.0, 1.0), (3.0, 1.0), (1.0, 2.0))
    short: ClassVar[float] = math.log(2.0) / 3.0
    best: ClassVar[float] = 5 / 6

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("the square of ρ^α in the rate", LevelTwo(power=2.0)),)


STATEMENT = LevelTwo()
