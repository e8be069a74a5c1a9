"""Theorem 3: along gradient descent the angle of Remark 2 tends to 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.paper.descents import CHOSEN, SEEDS, Optimizer, Run, Tail, deep_wine, followed, toys
from lexmargin.paper.instances import wine_network
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Statement
from lexmargin.plots import BLUE, GREY, ORANGE, VERMILION, panel

__all__ = ["STATEMENT", "TheoremThree"]

_FAR: Final = 1e5
"""Nats of the flow on the toys: beyond the saddle that one start of six passes until 1e4."""
_DEEP: Final = 1e4
"""Nats of the flow on the deep network, seconds each: the power is within 0.005 of its limit."""
_UNSETTLED: Final = 1e3
"""Nats of the network outside Assumption 3: seconds, and not yet near a limit; 1e4 take minutes."""


@final
@dataclass(frozen=True)
class TheoremThree(Statement):
    """`∠(θ(t), -∇L(θ(t))) → 0`: like `1/log t`, or `(log t)^{-1/α}` beside units that stay small.

    Attributes:
        optimizers: that make the paths.
        seeds: of the starts; quick measures the first and the last.
        nats: that descent on the toys is first asked for.
        toy_only: leave the real data out.
    """

    id: ClassVar[str] = "theorem-3"
    title: ClassVar[str] = "The gradient turns into the parameters' own direction"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.THEOREM_3, Passage.DEFINITION_4)
    equation: ClassVar[str] = (
        r"\lim_{t\to\infty}\,-\frac{\nabla L(\theta(t))}{\|\nabla L(\theta(t))\|}="
        r"\lim_{t\to\infty}\frac{\theta(t)}{\|\theta(t)\|}"
    )
    says: ClassVar[str] = (
        "Limits of the optimization path are stationary points of the constrained path as well: "
        "the angle between θ and -∇L(θ) tends to 0. A limit is not decided at one time: measured "
        "is the power of log t that the angle falls with, over the last decade of -log L, which "
        "is log t up to a smaller term. Parameters whose size stays bounded beside "
        "‖θ‖ ~ (log t)^{1/α} leave the angle the power -1/α; without any it is -1."
    )
    problems: ClassVar[tuple[str, ...]] = ("networks/diagonal-2", "real/wine-0", "real/wine-relu2")
    caption: ClassVar[str] = (
        "Angle of Remark 2 over -log L: gradient flow (lines) and gradient descent (dots), every "
        "start that was tried. One start of the diagonal network passes a saddle first. Grey: "
        "1/log t."
    )

    optimizers: tuple[Optimizer, ...] = (Optimizer.FLOW, Optimizer.DESCENT)
    seeds: tuple[int, ...] = SEEDS
    nats: float = 2e3
    toy_only: bool = False

    def measure(self, effort: Effort) -> Measurement:
        """Follow flow and descent from every seed and fit the power of the angle."""
        quick = effort is Effort.QUICK
        seeds = tuple(dict.fromkeys((self.seeds[0], self.seeds[-1]))) if quick else self.seeds
        runs = [
            (toy, optimizer, _FAR if optimizer is Optimizer.FLOW else self.nats)
            for optimizer in self.optimizers
            for toy in toys()
        ]
        if not self.toy_only:
            # Stable steps are 1/100 as long on its 178 samples: descent would take hours.
            runs.append((deep_wine(), Optimizer.FLOW, _DEEP))
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {}
        for number, (instance, optimizer, nats) in enumerate(runs):
            for run in followed(instance, optimizer, seeds, nats, _settled):
                checks.append(run.falls(run.angle, "the angle in radians"))
                key = f"{number} {run.seed}"
                curves |= {f"nats {key}": tuple(run.nats), f"angle {key}": tuple(run.angle)}
        remarks: tuple[str, ...] = (CHOSEN,)
        if not self.toy_only and not quick:
            remarks += self._outside(seeds)
        return Measurement(tuple(checks), curves, remarks)

    @staticmethod
    def _outside(seeds: tuple[int, ...]) -> tuple[str, ...]:
        """Return what is seen where Assumption 3 fails: units relu², once differentiable."""
        instance = wine_network()
        words = []
        for run in followed(instance, Optimizer.FLOW, seeds, _UNSETTLED, lambda run: True):
            if not len(run.angle):
                # The integrator may end before the margin is positive.
                words.append(f"seed {run.seed} without a record, undecided")
                continue
            word = "settled" if _settled(run) else "undecided"
            words.append(f"seed {run.seed} {run.angle[-1]:.2g} rad, {word}")
        return (
            f"{instance.name}, gradient flow to {_UNSETTLED:g} nats, without Assumption 3 "
            f"(relu² is not C²): {'; '.join(words)}.",
        )

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant(
                "sign descent in the place of gradient descent",
                TheoremThree((Optimizer.SIGN,), (1,), 50.0, True),
            ),
        )

    def draw(self, measurement: Measurement) -> Any:
        """Angles over -log L."""
        names = list(dict.fromkeys(c.instance.split("; ")[0] for c in measurement.checks))
        groups = list(dict.fromkeys(c.instance.split(" from seed")[0] for c in measurement.checks))
        with panel(3.8) as (figure, axes):
            guide = np.array([10.0, 1e6])
            axes.loglog(guide, 1.0 / guide, color=GREY, ls="--", lw=0.8, label="1/log t")
            named: set[str] = set()
            for key, values in measurement.curves.items():
                kind, number, seed = key.split()
                if kind != "angle":
                    continue
                name, optimizer = groups[int(number)].split("; ")
                mark = "-" if optimizer == Optimizer.FLOW else "."
                nats = measurement.curves[f"nats {number} {seed}"]
                label = None if name in named else name
                named.add(name)
                color = (BLUE, ORANGE, VERMILION)[names.index(name)]
                axes.loglog(nats, values, mark, color=color, lw=1.0, ms=3, label=label)
            axes.set_xlabel("-log L, nats")
            axes.set_ylabel("angle of Remark 2 (rad)")
            figure.legend(frameon=False, loc="outside upper left", fontsize=8)
            return figure


def _settled(run: Run) -> bool:
    """Tell whether the power is known, and not that of a saddle that the path is passing."""
    return run.near and run.decided and Tail.of(run.nats, run.angle).settled


STATEMENT = TheoremThree()
