"""Theorem 2: the limit direction of gradient descent is stationary (Definition 3, rescaled)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.formulations import HardMargin
from lexmargin.paper.descents import CHOSEN, SEEDS, Optimizer, Run, deep_wine, followed, toys
from lexmargin.paper.evidence import Backing, residual
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Statement
from lexmargin.plots import BLUE, GREY, ORANGE, VERMILION, panel
from lexmargin.solve import solve

__all__ = ["STATEMENT", "TheoremTwo"]

_EPSILON: Final = 1e-8
"""ε that the certificate calls stationary."""


@final
@dataclass(frozen=True)
class TheoremTwo(Statement):
    """`θ̂ = Σ λ_n ∇f_n(θ̂)`, λ ≥ 0 on the support of θ̂, at the limit of gradient descent.

    Attributes:
        optimizer: that makes the path.
        seeds: of the starts; quick measures the first and the last.
        nats: that descent on the toys is first asked for.
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
    problems: ClassVar[tuple[str, ...]] = ("networks/diagonal-2", "real/wine-0")
    caption: ClassVar[str] = (
        "Distance of gradient descent's direction to the stationary point that Newton steps reach "
        "from its end, over -log L, which is log t up to a smaller term; every start that was "
        "tried. On the pairs it falls like 1/log t (dashed), with two layers like 1/√log t."
    )

    optimizer: Optimizer = Optimizer.DESCENT
    seeds: tuple[int, ...] = SEEDS
    nats: float = 2e3
    polish: bool = True
    toy_only: bool = False

    def measure(self, effort: Effort) -> Measurement:
        """Descend from every seed until the limit is near, certify it, take the distance."""
        quick = effort is Effort.QUICK
        seeds = tuple(dict.fromkeys((self.seeds[0], self.seeds[-1]))) if quick else self.seeds
        runs = [(toy, self.nats) for toy in toys()]
        if not self.toy_only:
            runs.append((deep_wine(), 600.0))
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {}
        remarks: list[str] = [CHOSEN]
        for number, (instance, nats) in enumerate(runs):
            problem = HardMargin(instance.predictor, instance.data)
            best = solve(problem, starts=4 if quick else 24)
            found = followed(instance, self.optimizer, seeds, nats, _ended, self.polish)
            for index, run in enumerate(found):
                checks.append(
                    Backing(run.limit.stationarity, run.decided).small(
                        run.word, "ε at the limit", run.limit.stationarity, _EPSILON
                    )
                )
                if self.polish:
                    checks.append(run.closes())
                remarks.append(
                    f"{run.word}: {run.limit.verdict.value}, margin {run.limit.margin:.6g}, "
                    f"{run.limit.margin / best.margin:.6f} of the best of multi-start "
                    f"(ε {residual((best.certificate,)):.1e})."
                )
                curves |= {
                    f"nats {number} {index}": tuple(run.nats),
                    f"apart {number} {index}": tuple(run.apart),
                }
        return Measurement(tuple(checks), curves, tuple(remarks))

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant(
                "sign descent in the place of gradient descent",
                TheoremTwo(Optimizer.SIGN, (1,), 50.0, toy_only=True),
            ),
            Plant(
                "the last iterate in the place of the limit",
                TheoremTwo(polish=False, seeds=(1,), toy_only=True),
            ),
        )

    def draw(self, measurement: Measurement) -> Any:
        """Distances over -log L."""
        names = list(dict.fromkeys(c.instance.split(";")[0] for c in measurement.checks))
        with panel(3.8) as (figure, axes):
            guide = np.array([10.0, 1e4])
            axes.loglog(guide, 1.0 / guide, color=GREY, ls="--", lw=0.8, label="1/log t")
            for key, values in measurement.curves.items():
                kind, number, index = key.split()
                if kind != "apart":
                    continue
                color = (BLUE, ORANGE, VERMILION)[int(number)]
                label = names[int(number)] if index == "0" else None
                nats = measurement.curves[f"nats {number} {index}"]
                axes.loglog(nats, values, color=color, lw=1.0, label=label)
            axes.set_ylim(bottom=1e-6)
            axes.set_xlabel("-log L, nats")
            axes.set_ylabel("distance to the limit")
            figure.legend(frameon=False, loc="outside upper left", fontsize=8)
            return figure


def _ended(run: Run) -> bool:
    return run.near or run.path.polished is None


STATEMENT = TheoremTwo()
