"""Steepest descent in any norm, on linear scores: the max margin of that norm."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

from lexmargin.optimizers import PolyakStep, SteepestDescent
from lexmargin.paper.statement import Plant
from lexmargin.paper.statements.optimizers.course import Course, LimitStatement, cloud, iris

__all__ = ["STATEMENT", "SteepestLinear"]

_STEPS: Final = {1.0: (0.1, 20_000), 1.5: (0.1, 20_000), 2.0: (0.1, 10_000), 3.0: (0.05, 30_000),
                 math.inf: (0.05, 10_000)}  # fmt: skip
"""Nats of a step, short enough not to zigzag, and how many lead near the limit."""
_QUICK: Final = 0.2
"""Of the steps: enough on these data."""


@final
@dataclass(frozen=True)
class SteepestLinear(LimitStatement):
    """The limit of steepest descent on linear scores is the max margin of its norm."""

    id: ClassVar[str] = "steepest-linear"
    title: ClassVar[str] = "Steepest descent goes to the max margin of its norm"
    beyond: ClassVar[str] = "Gunasekar, Lee, Soudry, Srebro (ICML 2018)"
    equation: ClassVar[str] = (
        r"\frac{\theta(t)}{\|\theta(t)\|}\to\arg\max_{\|u\|\le 1}\min_n u\cdot z_n"
    )
    says: ClassVar[str] = (
        "On separable data the direction of steepest descent in a norm, on the exponential loss "
        "of linear scores, goes to the max margin of that norm: gradient descent has ℓ2, sign "
        "descent ℓ∞, coordinate descent ℓ1. Steps take a fixed share of log L off."
    )

    def courses(self) -> tuple[Course, ...]:
        """Five norms on two data sets."""
        return tuple(
            Course(
                "steepest descent",
                at(p),
                SteepestDescent(p, PolyakStep(share)),
                steps,
                share=_QUICK,
            )
            for p, (share, steps) in _STEPS.items()
            for at in (cloud, iris)
        )

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("ℓ3 in the place of the optimizer's norm", SteepestLinear(3.0, (1,), True)),)


STATEMENT = SteepestLinear()
