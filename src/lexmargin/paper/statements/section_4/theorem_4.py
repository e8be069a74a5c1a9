"""Theorem 4: the constrained path against the lexicographic max-margin set, level by level."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset, load_dataset
from lexmargin.formulations import ConstrainedPath, Lexicographic
from lexmargin.judge import certify
from lexmargin.paper.evidence import Backing, residual
from lexmargin.paper.figures import plot_seen
from lexmargin.paper.instances import digits_pair, rows
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Statement
from lexmargin.paths import trace
from lexmargin.plots import BLUE, GREEN, GREY, ORANGE, VERMILION, panels
from lexmargin.predictors import Linear
from lexmargin.solve import solve

__all__ = ["STATEMENT", "TheoremFour"]

_ROUNDING: Final = 1e-7
"""Of sorted margins, in units of the first."""
_NEAR: Final = 0.05
"""Distance of the sorted margins to their levels, in units of the first, where ρ m_1 = 1e3."""


@final
@dataclass(frozen=True)
class TheoremFour(Statement):
    """`m_k(θ_c(ρ)) → m_k*`, the k-th smallest margin at the lexicographic set (Definition 5).

    Attributes:
        last: the largest ρ.
        against: margins of another direction are compared where it is given.
        toy_only: leave the real data out.
    """

    id: ClassVar[str] = "theorem-4"
    title: ClassVar[str] = "The constrained path finds the lexicographic max margin"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.THEOREM_4,)
    equation: ClassVar[str] = r"\Theta_c^{\infty}\subseteq\Theta_{m,N}^*"
    says: ClassVar[str] = (
        "Limits of the constrained path are lexicographic max-margin directions. Tested where "
        "that is so: levels 1 and 2 with the rates log N/ρ and log(N-1)/ρ, polyhedral problems "
        "(linear predictors, ℓ1 and ℓ∞ balls) at every level."
    )
    problems: ClassVar[tuple[str, ...]] = (
        "lexicographic/precision-trap",
        "lexicographic/three-levels-l1",
        "lexicographic/two-levels-linf",
        "real/wine-0",
    )
    caption: ClassVar[str] = (
        "Sorted margins of the constrained path (points) and the lexicographic levels (dashed), "
        "ℓ1 ball: all three levels are reached. Below: largest distance of any level, every "
        "instance; it falls like 1/ρ, or is 0 to rounding and off the axis."
    )

    last: float = 1e3
    against: tuple[float, ...] = ()
    toy_only: bool = False

    def measure(self, effort: Effort) -> Measurement:
        """Solve the lexicographic problems, trace the paths, and compare the sorted margins."""
        three = ((1.0, 1.0, 1.0), (2.0, 3.0, 3.0), (4.0, 5.0, 6.0))
        runs: list[tuple[str, Dataset, float]] = [
            ("precision-trap, ℓ1", rows(((1.0, 1.0), (3.0, 1.0), (1.0, 2.0))), 1.0),
            ("three-levels, ℓ1", rows(three), 1.0),
            ("two-levels, ℓ∞", rows(((1.0, 0.0), (3.0, 1.0))), math.inf),
        ]
        if not self.toy_only:
            wine = load_dataset("wine", positive=[0], standardize=True)
            runs += [("wine, ℓ1", wine, 1.0), ("digits 3 against 8, ℓ1", digits_pair().data, 1.0)]
        count = 3 if effort is Effort.QUICK else 13
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {}
        for number, (name, data, norm) in enumerate(runs):
            problem = Lexicographic(Linear(), data, norm=norm)
            answer = solve(problem)
            direction = answer.direction
            verdict = answer.certificate
            if self.against and len(self.against) == data.n_features:
                direction = np.array(self.against)
                verdict = certify(problem, direction)
            Z = data.X * data.y[:, None]
            levels = np.sort(Z @ direction)
            unit = float(np.min(Z @ answer.direction))
            grid = [float(r) for r in np.logspace(0.5, math.log10(self.last), count)]
            path = trace(ConstrainedPath(Linear(), data, norm=norm), [r / unit for r in grid])
            margins = np.array([np.sort(Z @ p.theta) for p in path.points])
            known = answer.certificate.certified
            well = path.certified and known
            error = max(residual((verdict,)), *(p.mismatch for p in path.points))
            samples = data.n_samples
            rates = np.log(np.maximum(samples - np.arange(2), 1))
            short = [
                float(levels[k] - m[k] - rates[k] / p.rho) / unit
                for m, p in zip(margins, path.points, strict=True)
                for k in range(min(2, samples))
            ]
            apart = np.abs(margins - levels).max(axis=1) / unit
            checks += [
                Backing(error, well).small(
                    name,
                    "largest shortfall of levels 1, 2 below m_k* - log(N-k+1)/ρ, in units of m_1",
                    max(short),
                    _ROUNDING,
                ),
                Backing(error, well).small(
                    name,
                    f"largest distance of any sorted margin to its level at ρ m_1 = {grid[-1]:g}",
                    float(apart[-1]),
                    _NEAR,
                ),
            ]
            curves |= {f"rho {number}": tuple(grid), f"apart {number}": tuple(apart)}
            if not number:
                curves |= {"levels": tuple(levels)}
                curves |= {f"m{k + 1}": tuple(margins[:, k]) for k in range(samples)}
        return Measurement(tuple(checks), curves)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant(
                "the margins of another direction of the optimal face",
                TheoremFour(against=(0.5, 0.5), toy_only=True),
            ),
        )

    def draw(self, measurement: Measurement) -> Any:
        """Levels of the first instance, and distances of all."""
        curves = {name: np.array(values) for name, values in measurement.curves.items()}
        with panels(2, 3.2) as (figure, (left, right)):
            for k, (color, mark) in enumerate(((BLUE, "o"), (GREEN, "s"), (VERMILION, "^"))):
                left.axhline(curves["levels"][k], color=color, ls="--", lw=0.8)
                left.plot(
                    curves["rho 0"],
                    curves[f"m{k + 1}"],
                    mark,
                    color=color,
                    ms=4,
                    label=f"$m_{k + 1}$",
                )
            left.set_xscale("log")
            left.set_xlabel("scale $\\rho\\,m_1$")
            left.set_ylabel("sorted margins of $\\theta_c(\\rho)$")
            left.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3)
            names = [check.instance for check in measurement.checks[::2]]
            for number, (name, color) in enumerate(
                zip(names, (BLUE, ORANGE, GREEN, VERMILION, GREY), strict=False)
            ):
                at, apart = curves[f"rho {number}"], curves[f"apart {number}"]
                plot_seen(right, at, apart, "o-", color, name)
            right.grid(color=GREY, alpha=0.2)
            right.set_xlabel("scale $\\rho\\,m_1$")
            right.set_ylabel("largest distance to a level, in $m_1$")
            right.legend(frameon=False, loc="lower left", bbox_to_anchor=(-0.1, 1.0), fontsize=8)
            return figure


STATEMENT = TheoremFour()
