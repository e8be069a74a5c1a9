"""Mirror descent with the potential ‖·‖_p^p/p, on linear scores: ℓp."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

from lexmargin.optimizers import LossNormalizedStep, MirrorDescent
from lexmargin.paper.statement import Plant
from lexmargin.paper.statements.optimizers.course import Course, LimitStatement, cloud

__all__ = ["STATEMENT", "MirrorLinear"]

_SHORT: Final = LossNormalizedStep(0.1)
"""In units of 1/L, of the image under the mirror map."""


@final
@dataclass(frozen=True)
class MirrorLinear(LimitStatement):
    """The limit of mirror descent is the max margin of its potential's norm."""

    id: ClassVar[str] = "mirror-linear"
    title: ClassVar[str] = "Mirror descent goes to the max margin of its potential's norm"
    beyond: ClassVar[str] = (
        "Sun, Ahn, Thrampoulidis, Azizan (NeurIPS 2022); "
        "Pesme, Dragomir, Flammarion (arXiv 2406.12763)"
    )
    equation: ClassVar[str] = (
        r"\nabla\psi(\theta_{t+1})=\nabla\psi(\theta_t)-\eta_t\nabla L(\theta_t),\quad\psi="
        r"\tfrac1p\|\cdot\|_p^p"
    )
    says: ClassVar[str] = (
        "Mirror descent on the exponential loss of linear scores goes to the max margin of the "
        "norm whose power is its potential; for general potentials that norm is their horizon "
        "function, which is not measured here."
    )

    def courses(self) -> tuple[Course, ...]:
        """Three potentials."""
        return (
            Course("mirror descent", cloud(1.5), MirrorDescent(1.5, _SHORT), 10_000),
            Course("mirror descent", cloud(2.0), MirrorDescent(2.0, _SHORT), 40_000),
            Course(
                "mirror descent", cloud(3.0), MirrorDescent(3.0, LossNormalizedStep(2.0)), 80_000
            ),
        )

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant("ℓ∞ in the place of the potential's norm", MirrorLinear(math.inf, (1,), True)),
        )


STATEMENT = MirrorLinear()
