"""Appendix F, degree 1: the constrained and the regularization path are one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from lexmargin.paper.instances import Instance, rows
from lexmargin.paper.passages import Passage
from lexmargin.paper.penalties import compared
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Effort, Measurement, Plant
from lexmargin.predictors import Linear

__all__ = ["STATEMENT", "AppendixFOne"]


@final
@dataclass(frozen=True)
class AppendixFOne(PlainStatement):
    """`{ρ θ_c(ρ)} = {argmin L + μ‖θ‖²}` for linear predictors.

    Attributes:
        penalty_norm: of the penalty, beside the Euclidean ball.
    """

    id: ClassVar[str] = "appendix-f-1"
    title: ClassVar[str] = "Two paths of a linear predictor are one set"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.APPENDIX_F,)
    equation: ClassVar[str] = (
        r"\bigcup_\rho\ \rho\,\Theta_c(\rho)=\bigcup_\mu\ \arg\min_\theta L(\theta)+\mu\|\theta\|^2"
    )
    says: ClassVar[str] = (
        "The constrained path and the regularization path are closely linked. For convex losses, "
        "as of linear predictors, they are the same set: every ρ has its μ."
    )

    penalty_norm: float = 2.0

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("the ℓ1 norm in the penalty", AppendixFOne(penalty_norm=1.0)),)

    def measure(self, effort: Effort) -> Measurement:
        """Solve both at every ρ."""
        grid = (0.5, 8) if effort is Effort.QUICK else (0.5, 1.0, 2.0, 4.0, 8, 16, 32)
        two = Instance("Z = (1,0), (0,2), linear", Linear(), rows(((1.0, 0.0), (0.0, 2.0))))
        three = Instance("Z = (1,1), (3,1), (1,2), linear", Linear(),
                         rows(((1.0, 1.0), (3.0, 1.0), (1.0, 2.0))))  # fmt: skip
        found = [compared(instance, grid, self.penalty_norm) for instance in (two, three)]
        return Measurement(tuple(found))


STATEMENT = AppendixFOne()
