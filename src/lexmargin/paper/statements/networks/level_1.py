"""Theorem 4, level 1 on a network: reached, and at its rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

from lexmargin.paper.rates import LevelStatement
from lexmargin.paper.statement import Plant

__all__ = ["STATEMENT", "LevelOne"]


@final
@dataclass(frozen=True)
class LevelOne(LevelStatement):
    """`m_1(θ_c(ρ)) ≥ m_1* - log(N)/ρ^α` on a diagonal network of depth 2."""

    id: ClassVar[str] = "level-1"
    title: ClassVar[str] = "The first level on a network, with its rate"
    says: ClassVar[str] = (
        "The smallest margin of the constrained path reaches the largest one at the rate "
        "log N/ρ^α: L(ρθ_c) ≤ L(ρθ*) ≤ N e^{-ρ^α m_1*}. Here ρ²(m_1* - m_1) = ln 2/3 at every ρ."
    )
    level: ClassVar[int] = 1
    Z: ClassVar[tuple[tuple[float, ...], ...]] = ((1.0, 0.0), (0.0, 0.5))
    short: ClassVar[float] = math.log(2.0) / 3.0
    best: ClassVar[float] = 1.0 / 6

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("the square of ρ^α in the rate", LevelOne(power=2.0)),)


STATEMENT = LevelOne()
