"""Theorem 2: the limit direction of gradient descent is stationary (Definition 3, rescaled)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.formulations import HardMargin
from lexmargin.judge import Verdict, certify
from lexmargin.paper.evidence import Backing, residual
from lexmargin.paper.instances import Instance, diagonal_pair, rows, wine_network
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Statement
from lexmargin.paths import LineSearch, descend
from lexmargin.plots import BLUE, GREY, ORANGE, VERMILION, panel
from lexmargin.predictors import Linear
from lexmargin.solve import solve

__all__ = ["STATEMENT", "TheoremTwo"]

_EPSILON: Final = 1e-8
"""ε that the certificate calls stationary."""
_MOVED: Final = 0.5
"""How far Newton steps may move the last direction to its limit; a unit vector's largest is 2."""


@final
@dataclass(frozen=True)
class TheoremTwo(Statement):
    """`θ̂ = Σ λ_n ∇f_n(θ̂)`, λ ≥ 0 on the support of θ̂, at the limit of gradient descent.

    Attributes:
        polish: end with Newton steps on the KKT system; without them the last iterate is judged.
        toy_only: leave the real data out.
    """

    id: ClassVar[str] = "theorem-2"
    title: ClassVar[str] = "Gradient descent ends at a stationary point of the max margin"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.THEOREM_2,)
    equation: ClassVar[str] = (
        r"\bar\theta=\lim_{t\to\infty}\frac{\theta(t)}{\|\theta(t)\|}="
        r"\sum_n\lambda_n\nabla f_n(\bar\theta),\quad\lambda\ge 0"
    )
    says: ClassVar[str] = (
        "Where gradient descent on an α-homogeneous predictor converges in direction, the limit "
        "is a first-order stationary point of the max-margin problem (rescaled to its own margin)."
    )
    problems: ClassVar[tuple[str, ...]] = (
        "linear/norms-two-points-l2",
        "networks/diagonal-2",
        "real/wine-relu2",
    )
    caption: ClassVar[str] = (
        "Normalised margin along gradient descent, in units of the best margin known for the "
        "instance (multi-start). The end marks are the limits after Newton steps: stationary "
        "each, and not always the best."
    )

    polish: bool = True
    toy_only: bool = False

    def measure(self, effort: Effort) -> Measurement:
        """Descend, polish, certify the limit, and compare its margin with the best known."""
        two = Instance("Z = (1,0), (0,2), linear", Linear(), rows(((1.0, 0.0), (0.0, 2.0))))
        runs = [(two, 3000), (diagonal_pair(), 3000)]
        if not self.toy_only:
            runs.append((wine_network(), 3000 if effort is Effort.QUICK else 100_000))
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {}
        remarks: list[str] = []
        for number, (instance, steps) in enumerate(runs):
            predictor, data = instance.predictor, instance.data
            problem = HardMargin(predictor, data)
            path = descend(
                predictor,
                data,
                steps=steps,
                seed=1,
                record=6,
                step_rule=LineSearch(growth=1.02),
                polish=self.polish,
            )
            ended = path.polished is not None and path.polished.converged
            end = path.polished.theta if ended and path.polished is not None else path.direction
            limit = certify(problem, end)
            best = solve(problem, starts=4 if effort is Effort.QUICK else 24)
            decided = limit.verdict.stationary or limit.verdict is Verdict.NOT_STATIONARY
            moved = path.polished.moved if path.polished is not None else 0.0
            checks += [
                Backing(limit.stationarity, decided).small(
                    instance.name,
                    "ε at the limit of gradient descent",
                    limit.stationarity,
                    _EPSILON,
                ),
                Backing(limit.stationarity, decided).small(
                    instance.name, "distance from the last direction to that limit", moved, _MOVED
                ),
            ]
            remarks.append(
                f"{instance.name}: limit {limit.verdict.value}, margin {limit.margin:.6g}; best of "
                f"multi-start {best.margin:.6g} "
                f"(ε {residual((best.certificate,)):.1e}); ratio {limit.margin / best.margin:.6f}."
            )
            kept = path.records.normalized_margin > 0
            curves |= {
                f"at {number}": tuple(path.records.at[kept] + 1.0),
                f"share {number}": tuple(path.records.normalized_margin[kept] / best.margin),
                f"limit {number}": (limit.margin / best.margin,),
            }
        return Measurement(tuple(checks), curves, tuple(remarks))

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant(
                "the last iterate in the place of the limit",
                TheoremTwo(polish=False, toy_only=True),
            ),
        )

    def draw(self, measurement: Measurement) -> Any:
        """Normalised margins over steps."""
        curves = {name: np.array(values) for name, values in measurement.curves.items()}
        names = [check.instance for check in measurement.checks[::2]]
        with panel(3.8) as (figure, axes):
            axes.axhline(1.0, color=GREY, ls="--", lw=0.8)
            for number, (name, color) in enumerate(
                zip(names, (BLUE, ORANGE, VERMILION), strict=False)
            ):
                at, share = curves[f"at {number}"], curves[f"share {number}"]
                axes.plot(at, share, "o-", ms=3, color=color, label=name)
                axes.plot([at[-1] * 2.0], curves[f"limit {number}"], "D", ms=6, color=color)
            axes.set_xscale("log")
            axes.set_ylim(0.0, 1.05)
            axes.set_xlabel("step of gradient descent, plus 1; diamonds: the limit")
            axes.set_ylabel("margin / best known")
            figure.legend(frameon=False, loc="outside upper left", fontsize=8)
            return figure


STATEMENT = TheoremTwo()
