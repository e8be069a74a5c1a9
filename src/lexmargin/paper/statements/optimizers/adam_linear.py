"""Adam on linear scores: ℓ∞ while ε is small beside the gradient, ℓ2 after."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

from lexmargin.optimizers import Adam, LossNormalizedStep, NormalizedStep, RMSProp
from lexmargin.paper.statement import Plant
from lexmargin.paper.statements.optimizers.course import Course, LimitStatement, cloud

__all__ = ["STATEMENT", "AdamLinear"]

_STEP: Final = NormalizedStep(0.5, 0.3)
"""Falling, and its sum does not end."""
_RELATIVE: Final = LossNormalizedStep(0.1)
"""In units of 1/L: with ε = 1 steps of .1 ∇log L in the end."""
_FIRST, _SECOND = 0.9, 0.95
"""Decay of the means of gradients, and of their squares: over fewer steps than the loss takes."""


@final
@dataclass(frozen=True)
class AdamLinear(LimitStatement):
    """Adam without ε goes to ℓ∞, with ε > 0 to ℓ2."""

    id: ClassVar[str] = "adam-linear"
    title: ClassVar[str] = "Adam goes to ℓ∞ without its ε, and to ℓ2 with it"
    beyond: ClassVar[str] = "Zhang, Zou, Cao (arXiv 2406.10650); Wang, Meng, Chen, Liu (ICML 2021)"
    equation: ClassVar[str] = (
        r"\theta\leftarrow\theta-\eta_t\frac{\hat m_t}{\sqrt{\hat v_t}+\varepsilon}:\qquad"
        r"\varepsilon=0\Rightarrow\ell_\infty,\quad\varepsilon>0\Rightarrow\ell_2"
    )
    says: ClassVar[str] = (
        "Full-batch Adam and RMSProp without the constant in the denominator go to the max margin "
        "of the largest entry on separable data; with it they are gradient descent in the end, and "
        "go to the Euclidean one. The rates with a constant grow like 1/L, or nothing would move."
    )

    def courses(self) -> tuple[Course, ...]:
        """With and without ε."""
        return (
            Course("Adam", cloud(math.inf), Adam(_STEP, _FIRST, _SECOND), 20_000),
            Course("RMSProp", cloud(math.inf), RMSProp(_STEP, _SECOND), 20_000),
            Course("Adam, ε = 1", cloud(2.0), Adam(_RELATIVE, epsilon=1.0), 20_000),
            Course("RMSProp, ε = 1", cloud(2.0), RMSProp(_RELATIVE, epsilon=1.0), 40_000),
        )

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("ℓ3 in the place of both norms", AdamLinear(3.0, (1,), True)),)


STATEMENT = AdamLinear()
