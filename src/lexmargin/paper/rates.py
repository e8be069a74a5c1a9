"""Rates at which a network's constrained path reaches a level: what two rows share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from lexmargin.formulations import ConstrainedPath, Lexicographic
from lexmargin.ops.base import FloatArray
from lexmargin.paper.evidence import Backing
from lexmargin.paper.instances import rows
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Effort, Measurement, Relation
from lexmargin.predictors import DiagonalNetwork
from lexmargin.solve import solve

__all__ = ["LevelStatement"]

_LEVEL: Final = 1e-5
"""Of a level solved for, times ρ^α = 25."""


@dataclass(frozen=True)
class LevelStatement(PlainStatement):
    """`m_k(θ_c(ρ)) ≥ m_k* - log(N - k + 1)/ρ^α` on a diagonal network of depth 2, k = 1 or 2.

    With `u_i = v_i` the network is linear in β = u², and the Euclidean ball of radius ρ is the ℓ1
    ball of radius ρ²/2: the shortfall in closed form is that of the linear predictor there.

    Attributes:
        power: of ρ^α in the rate; 1 is the statement.
    """

    passages: ClassVar[tuple[Passage, ...]] = (Passage.THEOREM_4,)
    level: ClassVar[int]
    """k."""
    Z: ClassVar[tuple[tuple[float, ...], ...]]
    """Rows of the instance."""
    short: ClassVar[float]
    """ρ^α (m_k* - m_k(θ_c)) in closed form."""
    best: ClassVar[float]
    """m_k* in closed form."""
    equation: ClassVar[str] = (
        r"m_k(\theta_c(\rho))\ge m_k^*-\frac{\log(N-k+1)}{\rho^\alpha},\quad k=1,2"
    )
    caption: ClassVar[str] = (
        "Shortfall of the level along the constrained path over ρ, and its bound; both fall like "
        "1/ρ²."
    )
    axes: ClassVar[tuple[str, str]] = ("scale ρ", "$m_k^*-m_k(\\theta_c(\\rho))$")

    power: float = 1.0

    def measure(self, effort: Effort) -> Measurement:
        """Solve the lexicographic problem and eq. 5, and compare the level."""
        # Beyond, the second level is a share e^{-ρ²/3} of the loss that no solver sees.
        grid = (2.0, 5) if effort is Effort.QUICK else (2.0, 3.0, 4.0, 5)
        network, data = DiagonalNetwork(2), rows(self.Z)
        target = solve(Lexicographic(network, data, levels=self.level), starts=4)
        reached = float(np.sort(self._margins(target.direction))[self.level - 1])
        answers = [solve(ConstrainedPath(network, data, rho=rho), starts=4) for rho in grid]
        seen = [float(np.sort(self._margins(a.direction))[self.level - 1]) for a in answers]
        bound = math.log(len(self.Z) - self.level + 1)
        shown = Backing.of([target.certificate, *(a.certificate for a in answers)])
        word = f"Z = {', '.join(str(z) for z in self.Z)}, diagonal network of depth 2"
        word = word.replace(".0", "")
        scaled = [(r ** (2.0 * self.power)) * (self.best - m)
                  for r, m in zip(grid, seen, strict=True)]  # fmt: skip
        power = f"ρ^{2.0 * self.power:g}"
        checks = (
            shown.check(word, f"m_{self.level} at the lexicographic set", reached, Relation.EQUAL,
                        self.best, _LEVEL),
            shown.check(word, f"largest {power} (m_{self.level}* - m_{self.level}(θ_c)), against "
                        f"log {round(math.exp(bound))}", max(scaled), Relation.AT_MOST, bound,
                        _LEVEL),
            shown.check(word, f"{power} (m_{self.level}* - m_{self.level}(θ_c)) at ρ = "
                        f"{grid[-1]:g}", scaled[-1], Relation.EQUAL, self.short, _LEVEL),
        )  # fmt: skip
        curves = {
            "rho": grid,
            "shortfall": tuple(self.best - m for m in seen),
            "bound": tuple(bound / r**2 for r in grid),
        }
        return Measurement(checks, curves)

    def _margins(self, theta: FloatArray) -> FloatArray:
        u, v = np.split(theta, 2)
        return np.asarray(np.array(self.Z) @ (u * v))
