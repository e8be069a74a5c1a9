"""Signum and Adam without ε, on a smooth homogeneous network: ℓ∞."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

from lexmargin.optimizers import Adam, NormalizedStep, SteepestDescent
from lexmargin.paper.statement import Plant
from lexmargin.paper.statements.optimizers.course import Course, LimitStatement, diagonal

__all__ = ["STATEMENT", "SignumHomogeneous"]

_STEP: Final = NormalizedStep(0.05, 0.5)
"""Short beside θ(0), and falling like 1/√t."""
_FIRST, _SECOND = 0.9, 0.95
"""Decay of the means of gradients, and of their squares: over fewer steps than the loss takes."""


@final
@dataclass(frozen=True)
class SignumHomogeneous(LimitStatement):
    """Limits of Signum and of Adam without ε are stationary in ℓ∞."""

    id: ClassVar[str] = "signum-homogeneous"
    title: ClassVar[str] = "Signum and Adam without ε go to ℓ∞ on homogeneous networks"
    beyond: ClassVar[str] = "Gronich, Vardi (arXiv 2602.16340)"
    equation: ClassVar[str] = (
        r"\frac{\theta(t)}{\|\theta(t)\|_\infty}\to\bar\theta,\quad\bar\theta\text{ stationary in }"
        r"\max_{\|u\|_\infty\le 1}\min_n f_n(u)"
    )
    says: ClassVar[str] = (
        "With step sizes that decay and whose sum does not end, the limits of sign descent with "
        "momentum, and of Adam without its ε, on smooth homogeneous scores are stationary points "
        "of the max-margin problem of the largest entry."
    )

    def courses(self) -> tuple[Course, ...]:
        """Both on a diagonal network."""
        return (
            Course(
                "Signum",
                diagonal(math.inf),
                SteepestDescent(math.inf, _STEP, _FIRST),
                60_000,
            ),
            Course("Adam", diagonal(math.inf), Adam(_STEP, _FIRST, _SECOND), 60_000),
        )

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("ℓ2 in the place of ℓ∞", SignumHomogeneous(2.0, (1,), True)),)


STATEMENT = SignumHomogeneous()
