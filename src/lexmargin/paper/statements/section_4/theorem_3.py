"""Theorem 3: along gradient descent the angle of Remark 2 tends to 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.judge.multipliers.multiplier_set import nonnegative_multipliers
from lexmargin.margins import MarginFunctions
from lexmargin.paper.evidence import Backing
from lexmargin.paper.instances import Instance, diagonal_pair, rows, wine_network
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation, Statement
from lexmargin.paths import GradientFlow, Records, descend
from lexmargin.plots import BLUE, GREY, ORANGE, VERMILION, panel
from lexmargin.predictors import Linear

__all__ = ["STATEMENT", "TheoremThree"]

_SLOW: Final = 2
"""A start of the diagonal network that passes near a saddle."""
_SMALL: Final = 0.1
"""Radians at t = 1e300: the angle falls like 1/log t and slower."""
_FALL: Final = 0.5
"""The angle at the end, in units of that at the first separating record."""


@final
@dataclass(frozen=True)
class TheoremThree(Statement):
    """`∠(θ(t), -∇L(θ(t))) → 0`.

    Attributes:
        time: of gradient flow at the end.
        toy_only: leave the real data out.
    """

    id: ClassVar[str] = "theorem-3"
    title: ClassVar[str] = "The gradient turns into the parameters' own direction"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.THEOREM_3,)
    equation: ClassVar[str] = (
        r"\lim_{t\to\infty}\,-\frac{\nabla L(\theta(t))}{\|\nabla L(\theta(t))\|}="
        r"\lim_{t\to\infty}\frac{\theta(t)}{\|\theta(t)\|}"
    )
    says: ClassVar[str] = (
        "Limits of the optimization path are stationary points of the constrained path as well: "
        "the angle between θ and -∇L(θ) tends to 0."
    )
    problems: ClassVar[tuple[str, ...]] = (
        "linear/norms-two-points-l2",
        "networks/diagonal-2",
        "real/wine-relu2",
    )
    caption: ClassVar[str] = (
        "Along gradient flow: the angle of Remark 2 (lines) and the residual ε with the best "
        "non-negative multipliers over all samples (dashed; 0 to rounding on the linear pair). "
        "Both fall only like 1/log t, hence the range of t; the loss is handled by its logarithm "
        "throughout."
    )

    time: float = 1e300
    toy_only: bool = False

    def measure(self, effort: Effort) -> Measurement:
        """Follow gradient flow and recompute the angle and the residual at every record."""
        skew = Instance("Z = (1,0), (0.2,1), linear", Linear(), rows(((1.0, 0.0), (0.2, 1.0))))
        runs = [(skew, 1), (diagonal_pair(), 1)]
        if not self.toy_only:
            runs.append((wine_network(), 2))
        stride = 1 if effort is Effort.FULL else 4
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {}
        for number, (instance, seed) in enumerate(runs):
            functions = MarginFunctions(instance.predictor, instance.data)
            records = self._flow(instance, seed)
            good = np.flatnonzero((records.margin > 0) & (records.at > 0))[::stride]
            best = [
                nonnegative_multipliers(functions.jacobian(theta), theta).residual
                for theta in records.direction[good]
            ]
            separates = bool(records.margin[-1] > 0)
            word = f"{instance.name}, start of seed {seed}"
            for quantity, value, predicted, tolerance in (
                ("∠(θ, -∇L) in radians", float(records.angle[-1]), 0.0, _SMALL),
                (
                    "∠(θ, -∇L), in units of the first one with all margins positive,",
                    float(records.angle[-1] / records.angle[good[0]]),
                    _FALL,
                    0.0,
                ),
            ):
                checks.append(
                    Backing(0.0, separates).check(
                        word,
                        f"{quantity} at t = {float(records.at[-1]):.3g}",
                        value,
                        Relation.AT_MOST,
                        predicted,
                        tolerance,
                    )
                )
            curves |= {
                f"at {number}": tuple(records.at[good]),
                f"angle {number}": tuple(records.angle[good]),
                f"best {number}": tuple(best),
            }
        slow = self._flow(diagonal_pair(), _SLOW)
        kept = (slow.margin > 0) & (slow.at > 0)
        curves |= {"slow at": tuple(slow.at[kept]), "slow": tuple(slow.angle[kept])}
        remark = (
            f"How large t must be is not said: from the start of seed {_SLOW} the diagonal network "
            f"passes a saddle (its smallest angle before t = 1e10 is "
            f"{slow.angle[kept & (slow.at < 1e10)].min():.3g} rad), and at t = "
            f"{slow.at[-1]:.3g} the angle is {slow.angle[-1]:.3g} rad again."
        )
        return Measurement(tuple(checks), curves, (remark,))

    def _flow(self, instance: Instance, seed: int) -> Records:
        flow = GradientFlow(self.time, rtol=1e-8, atol=1e-10)
        path = descend(
            instance.predictor, instance.data, seed=seed, flow=flow, record=1, polish=False
        )
        return path.records

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("t = 1 in the place of the limit", TheoremThree(time=1.0, toy_only=True)),)

    def draw(self, measurement: Measurement) -> Any:
        """Angle and residual over time."""
        curves = {name: np.array(values) for name, values in measurement.curves.items()}
        names = [check.instance.split(", start")[0] for check in measurement.checks[::2]]
        with panel(3.8) as (figure, axes):
            # Before anything is drawn: the default margin beyond 1e300 leaves the doubles.
            axes.margins(x=0.0)
            for number, (name, color) in enumerate(
                zip(names, (BLUE, ORANGE, VERMILION), strict=False)
            ):
                at = curves[f"at {number}"]
                axes.loglog(at, curves[f"angle {number}"], color=color, label=name)
                best = np.maximum(curves[f"best {number}"], 1e-17)
                axes.loglog(at, best, color=color, ls="--", lw=1.0)
            axes.loglog(
                curves["slow at"],
                curves["slow"],
                color=GREY,
                ls=":",
                label="past a saddle (seed 2)",
            )
            axes.set_ylim(bottom=1e-5)
            axes.set_xticks([1.0, 1e100, 1e200, 1e300])
            axes.minorticks_off()
            axes.set_xlabel("time t of gradient flow")
            axes.set_ylabel("angle (rad), solid; best ε, dashed")
            figure.legend(frameon=False, loc="outside upper left", ncols=2, fontsize=8)
            return figure


STATEMENT = TheoremThree()
