"""§1: stochastic gradient descent on a linear predictor finds the max margin too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.formulations import HardMargin
from lexmargin.ops.base import FloatArray
from lexmargin.paper.evidence import Backing
from lexmargin.paper.instances import rows
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation
from lexmargin.predictors import Linear
from lexmargin.solve import solve

__all__ = ["STATEMENT", "Sgd"]

_Z: Final = np.array([[1.0, 0.0], [0.0, 2.0]])
"""z_n, one entry each, so that the two coordinates move alone."""
_RATE: Final = 0.5
"""The fixed step η: below 2 over the largest ‖z‖² = 4, so that the first steps do not overshoot."""
_NOISE: Final = 0.05
"""Of log t times a distance: the draws decide of each coordinate's logarithm to ±0.01 at t = 3e4,
and the first steps count 0.5 more over log t."""


@final
@dataclass(frozen=True)
class Sgd(PlainStatement):
    """`θ ← θ + η ℓ_n z_n`, one sample drawn at a time, tends to the ℓ2 max-margin direction.

    Attributes:
        signs: step along the signs of the gradient, whose limit is the ℓ∞ max margin.
    """

    id: ClassVar[str] = "sgd"
    title: ClassVar[str] = "Stochastic gradient descent finds the max margin"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.SGD,)
    beyond: ClassVar[str] = "Nacson, Srebro and Soudry (2019b)"
    equation: ClassVar[str] = (
        r"\theta(t)=\theta(t-1)-\eta\,\nabla\ell_{n(t)}(\theta(t-1)),\quad "
        r"\theta(t)/\|\theta(t)\|\to\arg\max_{\|\theta\|\le 1}\min_n\theta^\top z_n"
    )
    says: ClassVar[str] = (
        "SGD with a fixed step, one sample at a time, converges in direction to the max margin, "
        "as gradient descent does. On (1,0), (0,2) the two coordinates go like log(ηt/2) and "
        "log(2ηt)/2: each sample is drawn half of the time."
    )
    caption: ClassVar[str] = (
        "Distance of SGD's direction to the max margin over log t, three seeds: slope -1."
    )
    axes: ClassVar[tuple[str, str]] = ("log t", "distance to the max margin")

    signs: bool = False

    def measure(self, effort: Effort) -> Measurement:
        """Run every seed, and compare with the certified hard margin."""
        seeds = 6
        steps = 30_000 if effort is Effort.QUICK else 300_000
        best = solve(HardMargin(Linear(), rows(tuple(map(tuple, _Z.tolist())))))
        limit = best.direction
        at = np.unique(np.rint(np.logspace(2.0, math.log10(steps), 8)).astype(int))
        seen = np.array([self._run(seed, steps, at) for seed in range(seeds)])
        apart = np.linalg.norm(seen / np.linalg.norm(seen, axis=2, keepdims=True) - limit, axis=2)
        shown = Backing.of((best.certificate,))
        last = math.log(steps)
        ahead = np.array([math.log(_RATE * steps / 2.0), math.log(2.0 * _RATE * steps) / 2.0])
        predicted = last * float(np.linalg.norm(ahead / np.linalg.norm(ahead) - limit))
        checks: list[Check] = [
            shown.check(f"Z = (1,0), (0,2), linear, seed {seed}",
                        f"log t times the distance at t = {steps}", last * float(apart[seed, -1]),
                        Relation.EQUAL, predicted, _NOISE)
            for seed in range(seeds)
        ]  # fmt: skip
        curves = {"log t": tuple(float(math.log(t)) for t in at)}
        curves |= {f"seed {seed}": tuple(float(a) for a in apart[seed]) for seed in range(3)}
        return Measurement(tuple(checks), curves)

    def _run(self, seed: int, steps: int, at: FloatArray) -> list[tuple[float, float]]:
        """Return θ at the steps asked for."""
        drawn = np.random.default_rng(seed).integers(0, 2, size=steps).tolist()
        theta, kept, wanted = [0.0, 0.0], [], set(at.tolist())
        for step, n in enumerate(drawn, start=1):
            z = float(_Z[n, n])
            # Each sample has one entry: the sign of the other one is 0.
            theta[n] += _RATE * (1.0 if self.signs else z * math.exp(-z * theta[n]))
            if step in wanted:
                kept.append((theta[0], theta[1]))
        return kept

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("steps along the sign of the gradient", Sgd(signs=True)),)


STATEMENT = Sgd()
