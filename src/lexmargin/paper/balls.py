"""The two paths of a network in a ball of any norm: what the rows of several norms share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from lexmargin.formulations import ConstrainedPath
from lexmargin.ops.base import FloatArray
from lexmargin.paper.evidence import Backing
from lexmargin.paper.instances import rows
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Effort, Measurement, Relation
from lexmargin.predictors import DiagonalNetwork
from lexmargin.solve import solve

__all__ = ["BEST", "SAMPLES", "BallStatement"]

SAMPLES: Final = ((2.0, 1.0), (1.25, 3.0))
"""Two samples whose ℓ1, ℓ3 and ℓ∞ networks are three different ones."""
BEST: Final = {1.0: (0.8, 0.0), 3.0: (8 / 19, 3.0 / 19), math.inf: (1.0 / 3.0, 1.0 / 3.0)}
"""β_i = u_i v_i of the least ‖θ‖_p with Zβ ≥ 1. At a given β it has |u_i| = |v_i| = √β_i, so that
the cost is Σ √β_i for p = 1 (a vertex), Σ β_i^{3/2} for p = 3 (both samples tight), and the
largest β_i for p = ∞ (the first sample tight)."""
_ROUNDING: Final = 1e-7
"""Of margins solved for, in nats."""
_NEAR: Final = 0.02
"""Distance of unit vectors at the largest ρ: it is 0.012 in ℓ3, log 2/ρ² being 0.007."""


@dataclass(frozen=True)
class BallStatement(PlainStatement):
    """`Θ_c(ρ)` nears Θ_m* of a diagonal network of depth 2 in the ball of an ℓp norm.

    Attributes:
        compared: p of the max margin that the limit is compared with; None for the ball's own.
    """

    passages: ClassVar[tuple[Passage, ...]] = (Passage.ANY_NORM,)
    norm: ClassVar[float]
    """p of the ball."""
    equation: ClassVar[str] = (
        r"\arg\min_{\|\theta\|_p\le 1}L(\rho\theta)\to"
        r"\arg\max_{\|\theta\|_p\le 1}\min_n f_n(\theta)"
    )

    compared: float | None = None

    def measure(self, effort: Effort) -> Measurement:
        """Solve eq. 5 in the ball and compare with the closed form."""
        grid = (2.0, 10) if effort is Effort.QUICK else (2.0, 3.0, 5, 7, 10)
        best = _direction(self.norm if self.compared is None else self.compared)
        own = _direction(self.norm)
        network, data = DiagonalNetwork(2), rows(SAMPLES)
        margin = float(np.min(np.array(SAMPLES) @ (own[:2] * own[2:]))) / _size(own, self.norm) ** 2
        answers = [
            solve(ConstrainedPath(network, data, rho=rho, norm=self.norm), starts=4) for rho in grid
        ]
        # Signs of hidden units make further maximisers of the same network.
        apart = [
            float(np.linalg.norm(np.abs(a.direction) / np.linalg.norm(a.direction) - best))
            for a in answers
        ]
        margins = [ConstrainedPath(network, data).functions.values(np.concatenate(a.theta)).min()
                   for a in answers]  # fmt: skip
        gaps = [float(rho**2 * (margin - m)) for rho, m in zip(grid, margins, strict=True)]
        shown = Backing.of(a.certificate for a in answers)
        word = f"Z = (2,1), (1.25,3), diagonal network of depth 2, ℓ{self.norm:g}".replace(
            "inf", "∞"
        )
        checks = (
            shown.check(word, "largest γ*(ρ) - γ(ρ, θ_c), against log 2", max(gaps),
                        Relation.AT_MOST, math.log(2.0), _ROUNDING),
            shown.check(word, "smallest γ*(ρ) - γ(ρ, θ_c)", min(gaps), Relation.AT_LEAST, 0.0,
                        _ROUNDING),
            shown.small(word, f"distance of θ_c to the max margin at ρ = {grid[-1]:g}", apart[-1],
                        _NEAR),
        )  # fmt: skip
        return Measurement(checks)


def _direction(norm: float) -> FloatArray:
    """Return (u, v) of the closed form, of Euclidean length 1."""
    root = np.sqrt(np.array(BEST[norm] * 2))
    return np.asarray(root / float(np.linalg.norm(root)))


def _size(theta: FloatArray, norm: float) -> float:
    return float(np.linalg.norm(theta, norm))
