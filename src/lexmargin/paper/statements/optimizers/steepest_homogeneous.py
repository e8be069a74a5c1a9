"""Steepest descent in any norm, on homogeneous networks: stationary points of that norm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

from lexmargin.optimizers import PolyakStep, SteepestDescent
from lexmargin.paper.statement import Plant
from lexmargin.paper.statements.optimizers.course import Course, LimitStatement, diagonal

__all__ = ["STATEMENT", "SteepestHomogeneous"]

_SHORT, _SHORTER = PolyakStep(0.1), PolyakStep(0.02)
"""Nats of a step; signs zigzag sooner."""


@final
@dataclass(frozen=True)
class SteepestHomogeneous(LimitStatement):
    """Limits of steepest descent on homogeneous scores are stationary in its norm."""

    id: ClassVar[str] = "steepest-homogeneous"
    title: ClassVar[str] = "On homogeneous networks its limits are stationary in its norm"
    beyond: ClassVar[str] = "Tsilivis, Gronich, Vardi, Kempe (ICLR 2025, arXiv 2410.22069)"
    equation: ClassVar[str] = (
        r"\bar\theta\in\partial\tfrac12\|\cdot\|_*^2\Bigl(\sum_n\lambda_n\nabla f_n"
        r"(\bar\theta)\Bigr),\quad\lambda\ge 0"
    )
    says: ClassVar[str] = (
        "Limit directions of steepest flow in a norm, on homogeneous scores, are stationary points "
        "of the max-margin problem of that norm. Flow is stood for by steps that take a small "
        "share of log L off."
    )

    def courses(self) -> tuple[Course, ...]:
        """Three norms on a diagonal network."""
        return (
            Course("coordinate descent", diagonal(1.0), SteepestDescent(1.0, _SHORT), 10_000),
            Course("gradient descent", diagonal(2.0), SteepestDescent(2.0, _SHORT), 10_000),
            Course(
                "sign descent",
                diagonal(math.inf),
                SteepestDescent(math.inf, _SHORTER),
                20_000,
            ),
        )

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant("ℓ4 in the place of the optimizer's norm", SteepestHomogeneous(4.0, (1,), True)),
        )


STATEMENT = SteepestHomogeneous()
