"""Appendix F, degree 2: the constrained and the regularization path are still one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

from lexmargin.paper.instances import Instance, rows
from lexmargin.paper.passages import Passage
from lexmargin.paper.penalties import compared
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Effort, Measurement, Plant
from lexmargin.predictors import DiagonalNetwork

__all__ = ["STATEMENT", "AppendixFTwo"]

_RADII: Final = (0.6, 0.9, 1.2, 2.0, 3.0, 4.0, 6.0)
"""At degree 3 the norms below 1.58 are those that the regularization path never visits."""


@final
@dataclass(frozen=True)
class AppendixFTwo(PlainStatement):
    """`{ρ θ_c(ρ)} = {argmin L + μ‖θ‖²}` for diagonal networks of depth 2.

    Attributes:
        depth: α, the degree of the networks; from 3 on the regularization path jumps.
    """

    id: ClassVar[str] = "appendix-f-2"
    title: ClassVar[str] = "Two paths of a network of depth 2 are one set"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.APPENDIX_F,)
    equation: ClassVar[str] = (
        r"\bigcup_\rho\ \rho\,\Theta_c(\rho)=\bigcup_\mu\ \arg\min_\theta L(\theta)+\mu\|\theta\|^2"
    )
    says: ClassVar[str] = (
        "For diagonal networks of depth 2, where f is linear in the products u_i v_i and the norm "
        "is their ℓ1 norm, both paths are again one set, from the smallest norms on. From degree "
        "3 on they are two (row regularization-jump)."
    )

    depth: int = 2

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("depth 3", AppendixFTwo(depth=3)),)

    def measure(self, effort: Effort) -> Measurement:
        """Solve both at every ρ."""
        grid = _RADII[2::3] if effort is Effort.QUICK else _RADII
        kind = f"diagonal network of depth {self.depth}"
        network = DiagonalNetwork(self.depth)
        one = Instance(f"one sample x = 1, {kind}", network, rows(((1.0,),)))
        two = Instance(f"Z = (1,0), (0,2), {kind}", network, rows(((1.0, 0.0), (0.0, 2.0))))
        found = [compared(one, grid), compared(two, tuple(2.0 * r for r in grid))]
        return Measurement(tuple(found))


STATEMENT = AppendixFTwo()
