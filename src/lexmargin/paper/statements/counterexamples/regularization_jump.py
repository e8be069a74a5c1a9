"""The constrained and the regularization path differ from degree 3 on: the second jumps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.formulations import RegularizationPath
from lexmargin.paper.evidence import Backing
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Effort, Measurement, Plant, Reading, Relation, Statement
from lexmargin.paths import trace
from lexmargin.plots import BLUE, GREY, VERMILION, panel
from lexmargin.predictors import DiagonalNetwork

__all__ = ["STATEMENT", "RegularizationJump"]

_ACCURACY: Final = 1e-5
"""Of a norm solved for near the bifurcation at μ = 1, where the Hessian is singular."""


@final
@dataclass(frozen=True)
class RegularizationJump(Statement):
    """Norms visited by `min L(θ) + (μ/2)‖θ‖²` for falling μ; the constrained path visits all.

    Attributes:
        depth: α, the degree of the diagonal network of one sample, f = Π θ_i.
        continuous: the degree whose path is called continuous.
    """

    id: ClassVar[str] = "regularization-jump"
    title: ClassVar[str] = "The regularization path jumps over norms"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.APPENDIX_F,)
    equation: ClassVar[str] = (
        r"\Theta_c(\rho)=\mathrm{argmin}_{\|\theta\|\le 1}\,L(\rho\theta),\quad "
        r"\Theta_r(\mu)=\mathrm{argmin}_\theta\,L(\theta)+\frac{\mu}{2}\|\theta\|^2"
    )
    says: ClassVar[str] = (
        "The constrained and the regularization path are two parametrisations of one path: "
        "the penalised minimiser visits every norm as μ falls."
    )
    corrected: ClassVar[str] = (
        "for α ≤ 2. From α = 3 on θ = 0 is a local minimum for every μ > 0 and the global one "
        "jumps: for f = uvw from 0 to ‖θ‖ = 1.58249752 at μ = 0.42613870."
    )
    problems: ClassVar[tuple[str, ...]] = (
        "paths/regularization-jump-before",
        "paths/regularization-jump-after",
        "paths/regularization-continuous",
    )
    caption: ClassVar[str] = (
        "Norm of the regularised minimiser as μ falls, one sample. For f = uv (blue) it grows "
        "from 0 continuously; for f = uvw (red) it jumps, and no μ visits the norms between."
    )

    depth: int = 3
    continuous: int = 2

    def measure(self, effort: Effort) -> Measurement:
        """Trace both networks over one grid of μ and take the largest step of the norm."""
        count = 21 if effort is Effort.QUICK else 61
        strengths = np.exp(np.linspace(math.log(1.2), math.log(0.2), count))
        checks = []
        remarks: tuple[str, ...] = ()
        curves: dict[str, tuple[float, ...]] = {"mu": tuple(float(m) for m in strengths)}
        for depth, reading in ((self.depth, Reading.PAPER), (self.continuous, Reading.CORRECTED)):
            data = Dataset([[1.0]], [1], one_class=True)
            problem = RegularizationPath(DiagonalNetwork(depth), data, strength=1.0, power=2.0)
            path = trace(problem, [0.5 * float(m) for m in strengths])
            norms = [float(np.linalg.norm(point.theta)) for point in path.points]
            solved = path.certified or all(p.mismatch < 1e-6 or p.certified for p in path.points)
            errors = [e for p in path.points if math.isfinite(e := p.mismatch)]
            checks.append(
                Backing(max(errors, default=math.nan), solved and len(norms) == count).check(
                    f"one sample, f of degree {depth}, {count} values of μ from 1.2 to 0.2",
                    "largest step of ‖θ‖ between neighbours on the grid",
                    float(np.max(np.diff([0.0, *norms]), initial=0.0)),
                    Relation.AT_MOST,
                    _step(count),
                    0.0,
                    reading,
                )
            )
            remarks += tuple(
                f"Degree {depth}: a jump between μ = {2 * jump.above:.6g} and {2 * jump.below:.6g}."
                for jump in path.jumps()
            )
            curves["norm" if reading is Reading.PAPER else "continuous"] = tuple(norms)
        return Measurement(tuple(checks), curves, remarks)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant("degree 2, where the path is continuous", RegularizationJump(depth=2)),
            Plant(
                "degree 3 in the place of degree 2",
                RegularizationJump(continuous=3),
                Reading.CORRECTED,
            ),
        )

    def draw(self, measurement: Measurement) -> Any:
        """Norms over μ."""
        curves = measurement.curves
        with panel(3.6) as (figure, axes):
            axes.axhspan(
                0.0, 1.58249752, color=GREY, alpha=0.12, lw=0, label="never visited by $f = uvw$"
            )
            axes.plot(curves["mu"], curves["continuous"], "o-", ms=3, color=BLUE, label="$f = uv$")
            axes.plot(curves["mu"], curves["norm"], "s", ms=4, color=VERMILION, label="$f = uvw$")
            axes.invert_xaxis()
            axes.set_xlabel("strength μ, falling")
            axes.set_ylabel("norm $\\|\\theta\\|$ of the minimiser")
            axes.legend(frameon=False, loc="upper left")
            return figure


def _step(count: int) -> float:
    """Return the largest step that `‖θ‖ = sqrt(2 ln(1/μ))` of f = uv makes on such a grid.

    The root is steepest at its start: a step of ln μ of the grid's width w raises it by sqrt(2w).
    """
    return math.sqrt(2.0 * math.log(6.0) / (count - 1)) + _ACCURACY


STATEMENT = RegularizationJump()
