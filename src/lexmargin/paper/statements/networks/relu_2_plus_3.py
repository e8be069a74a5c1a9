"""After Theorem 1, on the constrained path itself: ReLU networks of depths 2 and 3."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.formulations import ConstrainedPath
from lexmargin.paper.evidence import Backing
from lexmargin.paper.instances import rows
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation
from lexmargin.predictors import Network, ReLU, Sum
from lexmargin.solve import solve

__all__ = ["STATEMENT", "ReluTwoPlusThree"]

_SWITCH: Final = 27 / 4.0
"""ρ² at which `ρ²/2 = (ρ²/3)^{3/2}`: below it the shallow network alone is best."""
_PROVED: Final = 1e-8
"""Nats between the loss found and its bound."""
_BOTH_SIDES: Final = (4.0, 6.0, 6.7, 6.8, 8.0)
"""ρ² on both sides of the switch."""
_BELOW: Final = 6.5
"""ρ² below the switch, planted for a large one."""


@final
@dataclass(frozen=True)
class ReluTwoPlusThree(PlainStatement):
    """Minimisers of `L(ρθ)` for the sum of two ReLU networks on x = (1,0), (0,1).

    Bound: `F(e_1) + F(e_2) ≤ √2 |a|‖w‖ ≤ √2 s/2` for depth 2 and norm² s, `√2 (s/3)^{3/2}` for
    depth 3, by Cauchy and Schwarz layer by layer. Their sum is convex in how ρ² is divided, so that
    one network has all: the mean margin is at most `γ* = max(ρ²/2, (ρ²/3)^{3/2})/√2`, and by Jensen
    `log L ≥ log 2 - γ*`. A point that reaches it is a minimiser.

    Attributes:
        last: ρ² at which the shallow network has to be gone.
    """

    id: ClassVar[str] = "relu-2-plus-3"
    title: ClassVar[str] = "The constrained path drops the shallow ReLU network"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.DISCARD,)
    equation: ClassVar[str] = (
        r"f_n(\theta)=F^{(2)}(x_n;\theta_1)+F^{(3)}(x_n;\theta_2),\quad"
        r"\|\theta_1\|\to 0\ \text{on}\ \Theta_c(\rho)"
    )
    says: ClassVar[str] = (
        "An ensemble of networks of different depths drops the shallowest one if it is not "
        "needed. On the constrained path of ReLU networks of depths 2 and 3 its share of ‖θ‖² is "
        "1 up to ρ² = 27/4 and 0 beyond."
    )
    caption: ClassVar[str] = (
        "Share of ‖θ_c‖² in the network of depth 2 over ρ², one and two units per layer: the "
        "shallow network leaves at ρ² = 27/4, at once."
    )
    axes: ClassVar[tuple[str, str]] = ("squared scale ρ²", "share of the shallow network")
    logarithmic: ClassVar[bool] = False

    last: float = 20

    def measure(self, effort: Effort) -> Measurement:
        """Solve eq. 5 from several starts; the bound proves each answer or leaves it undecided."""
        quick = effort is Effort.QUICK
        grid = (6, self.last) if quick else (*_BOTH_SIDES, self.last)
        data = rows(((1.0, 0.0), (0.0, 1.0)))
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {"ρ²": grid}
        for width in (1,) if quick else (1, 2):
            ensemble = Sum((Network((width,), ReLU()), Network((width, width), ReLU())))
            shares, gaps = [], []
            for square in grid:
                answer = solve(ConstrainedPath(ensemble, data, rho=math.sqrt(square)), starts=4)
                sizes = [float(np.sum(block**2)) for block in answer.theta]
                shares.append(sum(sizes[:2]) / sum(sizes))
                best = max(square / 2.0, (square / 3.0) ** (3 / 2)) / math.sqrt(2.0)
                gaps.append(answer.objective - (math.log(2.0) - best))
            shown = Backing(max(gaps), max(gaps) <= _PROVED)
            word = f"x = (1,0), (0,1), ReLU networks of depths 2 and 3, {width} units a layer"
            checks += [
                shown.check(word, f"share of the shallow network in ‖θ_c‖² at ρ² = {square:g}",
                            share, Relation.EQUAL, 1.0 if square < _SWITCH else 0.0, _PROVED)
                for square, share in zip(grid[:-1], shares[:-1], strict=True)
            ]  # fmt: skip
            checks.append(
                shown.small(word, f"share of the shallow network in ‖θ_c‖² at ρ² = {grid[-1]:g}",
                            shares[-1], _PROVED)
            )  # fmt: skip
            curves[f"{width} units a layer"] = tuple(shares)
        return Measurement(tuple(checks), curves)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("ρ² = 6.5 for a large ρ²", ReluTwoPlusThree(last=_BELOW)),)


STATEMENT = ReluTwoPlusThree()
