"""Normalised steepest descent with momentum, on linear scores of several classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

from lexmargin.losses import Loss
from lexmargin.optimizers import NormalizedStep, SteepestDescent
from lexmargin.paper.statement import Plant
from lexmargin.paper.statements.optimizers.course import Course, LimitStatement, three_classes

__all__ = ["STATEMENT", "MomentumClasses"]

_STEP: Final = NormalizedStep(0.5, 0.25)
"""Lengths that decay slowly: the limit is near within thousands of steps."""
_MOMENTUM: Final = 0.9
"""The usual one."""


@final
@dataclass(frozen=True)
class MomentumClasses(LimitStatement):
    """With momentum and decaying steps the limit is the max margin of the norm."""

    id: ClassVar[str] = "momentum-classes"
    title: ClassVar[str] = "With momentum, and for several classes, it stays the norm's margin"
    beyond: ClassVar[str] = "Fan, Schmidt, Thrampoulidis (NeurIPS 2025, arXiv 2502.04664)"
    equation: ClassVar[str] = (
        r"\frac{W(t)}{\|W(t)\|}\to\arg\max_{\|U\|\le 1}\min_{n,c\ne y_n}(U_{y_n}-U_c)\cdot x_n"
    )
    says: ClassVar[str] = (
        "Steepest descent of fixed lengths that decay, with momentum, on the cross-entropy of "
        "linear scores of several classes goes to the max margin of its norm, for norms of the "
        "entries."
    )

    def courses(self) -> tuple[Course, ...]:
        """Two norms of the entries."""
        return (
            Course(
                "momentum",
                three_classes(1.0),
                SteepestDescent(1.0, _STEP, _MOMENTUM),
                15_000,
                Loss.CROSS_ENTROPY,
            ),
            Course(
                "momentum",
                three_classes(2.0),
                SteepestDescent(2.0, _STEP, _MOMENTUM),
                15_000,
                Loss.CROSS_ENTROPY,
            ),
        )

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("ℓ3 in the place of the optimizer's norm", MomentumClasses(3.0, (1,), True)),)


STATEMENT = MomentumClasses()
