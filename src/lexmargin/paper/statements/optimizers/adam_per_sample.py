"""Adam with one sample a step: its limit depends on the data, Signum's does not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

from lexmargin.optimizers import Adam, NormalizedStep, SteepestDescent
from lexmargin.paper.statement import Plant
from lexmargin.paper.statements.optimizers.course import Course, LimitStatement, cloud

__all__ = ["STATEMENT", "AdamPerSample"]

_STEPS: Final = 60_000
"""Of one sample each: 5000 epochs."""
_STEP: Final = NormalizedStep(0.5, 0.3)
"""Falling, and its sum does not end."""
_FIRST, _SECOND = 0.9, 0.95
"""Decay of the means of gradients, and of their squares."""
_MOMENTUM: Final = 0.99
"""Over a hundred samples, so that each of the twelve is in the mean."""


@final
@dataclass(frozen=True)
class AdamPerSample(LimitStatement):
    """With one sample a step Adam leaves ℓ∞; Signum with much momentum stays."""

    id: ClassVar[str] = "adam-per-sample"
    title: ClassVar[str] = "Adam with one sample a step need not go to ℓ∞; Signum does"
    beyond: ClassVar[str] = "Baek, Song, Yun (ICLR 2026, arXiv 2510.26303)"
    equation: ClassVar[str] = (
        r"|B_t|=1:\qquad\lim\frac{\theta(t)}{\|\theta(t)\|}\text{ of Adam depends on the data}"
    )
    says: ClassVar[str] = (
        "Adam that reads one sample a step maximises a margin that the data choose, while Signum "
        "with momentum near 1 goes to the max margin of the largest entry for any batch. On these "
        "rows what the data choose for Adam is the ℓ1 margin."
    )

    def courses(self) -> tuple[Course, ...]:
        """Both, one sample a step."""
        return (
            Course("Adam, batch 1", cloud(1.0), Adam(_STEP, _FIRST, _SECOND, batch=1), _STEPS),
            Course(
                "Signum, batch 1",
                cloud(math.inf),
                SteepestDescent(math.inf, _STEP, _MOMENTUM, batch=1),
                _STEPS,
            ),
        )

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant("ℓ∞ in the place of what the data choose", AdamPerSample(math.inf, (1,), True)),
        )


STATEMENT = AdamPerSample()
