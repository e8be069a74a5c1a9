"""Optimization paths that are followed until they settle, whatever the seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self, final

import numpy as np

from lexmargin.data.dataset import load_dataset
from lexmargin.formulations import HardMargin
from lexmargin.judge import Certificate, Verdict, certify
from lexmargin.ops.base import FloatArray
from lexmargin.optimizers import PolyakStep, SteepestDescent
from lexmargin.paper.evidence import Backing
from lexmargin.paper.instances import Instance, diagonal_pair, rows
from lexmargin.paper.statement import Check, Relation
from lexmargin.paths import Clock, Descent, FlowMethod, GradientFlow, descend
from lexmargin.predictors import Identity, Linear, Network

__all__ = ["CHOSEN", "SEEDS", "Optimizer", "Run", "Tail", "deep_wine", "followed", "toys"]

SEEDS: Final = (1, 2, 3, 4, 5, 6)
"""The starts; no other was tried and left out."""
CHOSEN: Final = (
    "The seeds are all that were tried; the instances were chosen among several, and networks of "
    "relu² units, which are not twice differentiable and do not settle, were left out."
)
"""What a reader of a finding on named instances has to know of their choice."""

_SHARE: Final = 0.5
"""Nats per step: below the 1 at which a step may overshoot on the instances here."""
_WEIGHTS: Final = 1e-4
"""Relative error of the losses' weights: an integrator's, times the margins, which are the nats."""
_RECORDS: Final = 8
"""Per decade: the fit of half a decade has four."""
_SETTLED: Final = 0.1
"""Difference of the exponents of two half decades: one that is still on its way changes more."""
_POWER: Final = 0.05
"""Of a fitted power that has settled: half of what two half decades may differ by."""
_MOVED: Final = 0.02
"""How far Newton steps may move the last direction to its limit; a unit vector's largest is 2."""
_LONGER: Final = (1, 8, 128)
"""How many times the nats are followed, one after the other, where the path is not there yet."""


class Optimizer(StrEnum):
    """Who moves θ."""

    FLOW = "gradient flow"
    DESCENT = "gradient descent"
    SIGN = "sign descent"
    """Steepest descent in ℓ∞, whose limit is the ℓ∞ max margin: a falsehood."""


@final
@dataclass(frozen=True)
class Tail:
    """The exponent s of a figure that falls like ``nats^s``, over the last decade.

    Attributes:
        exponent: of the whole decade.
        settled: both halves of the decade have it.
    """

    exponent: float
    settled: bool

    @classmethod
    def of(cls, nats: FloatArray, values: FloatArray) -> Self:
        """Fit straight lines to the logarithms."""
        seen = (nats > 1.0) & (values > 0.0)
        x, y = np.log(nats[seen]), np.log(values[seen])
        half = 0.5 * math.log(10.0)

        def fitted(first: float, last: float) -> float:
            part = (x >= x[-1] - first - 1e-9) & (x <= x[-1] - last + 1e-9)
            if np.count_nonzero(part) < 3:
                return math.nan
            return float(np.polyfit(x[part], y[part], 1)[0])

        if x.size < 3:
            return cls(math.nan, False)
        halves = fitted(2.0 * half, half), fitted(half, 0.0)
        return cls(fitted(2.0 * half, 0.0), bool(abs(halves[0] - halves[1]) <= _SETTLED))


@final
@dataclass(frozen=True)
class Run:
    """One path with its limit.

    Attributes:
        instance, optimizer, seed: what was followed.
        path: its records, and the KKT point that the polish reached from its end.
        limit: the certificate there, or at the last direction where there is no such point.
    """

    instance: Instance
    optimizer: Optimizer
    seed: int
    path: Descent
    limit: Certificate

    @property
    def word(self) -> str:
        """The run in a few words."""
        return f"{self.instance.name}; {self.optimizer.value} from seed {self.seed}"

    @property
    def degree(self) -> float:
        """α of the predictor."""
        return self.limit.degree or math.nan

    @property
    def seen(self) -> FloatArray:
        """Which records separate: there the loss has fallen by more than rounding."""
        records = self.path.records
        return np.asarray((records.margin > 0.0) & (records.log_loss < -1.0))

    @property
    def nats(self) -> FloatArray:
        """-log L at the records that separate; log t up to a smaller term."""
        return np.asarray(-self.path.records.log_loss[self.seen])

    @property
    def angle(self) -> FloatArray:
        """The angle of Remark 2 there."""
        return np.asarray(self.path.records.angle[self.seen])

    @property
    def apart(self) -> FloatArray:
        """Distance of the directions there to the limit; NaN without one."""
        directions = self.path.records.direction[self.seen]
        polished = self.path.polished
        if polished is None or not polished.converged:
            return np.full(len(directions), math.nan)
        unit = polished.theta / np.linalg.norm(polished.theta)
        return np.asarray(np.linalg.norm(directions - unit, axis=1))

    @property
    def moved(self) -> float:
        """How far the polish moved the last direction; NaN where there was none."""
        polished = self.path.polished
        return math.nan if polished is None else polished.moved

    @property
    def near(self) -> bool:
        """Whether the path is long enough to be at its limit."""
        return self.moved <= _MOVED

    def falls(self, values: FloatArray, quantity: str) -> Check:
        """Return the check that values along the run fall like ``nats^{-1/α}`` or faster.

        Undecided where the power has not settled. A unit whose size stays bounded beside
        ``‖θ‖ ~ nats^{1/α}`` leaves the power -1/α; without any it is -1.
        """
        tail = Tail.of(self.nats, values)
        return Backing(self.limit.stationarity, tail.settled and self.decided).check(
            self.word,
            f"power of log t in {quantity}, {values[-1]:.2g} at {self.nats[-1]:.3g} nats",
            tail.exponent,
            Relation.AT_MOST,
            -1.0 / self.degree,
            _POWER,
        )

    def closes(self) -> Check:
        """Return the check that the end is near the limit, or else that it :meth:`falls` there."""
        if not self.near and self.path.polished is not None:
            return self.falls(self.apart, "the distance to the limit")
        return Backing(self.limit.stationarity, self.decided).small(
            self.word,
            f"distance of the direction at {self.nats[-1]:.3g} nats to that limit",
            self.moved,
            _MOVED,
        )

    @property
    def decided(self) -> bool:
        """Whether the limit is called stationary, or not, and is no saddle that is passed by."""
        verdict = self.limit.verdict
        return self.limit.certified or verdict is Verdict.NOT_STATIONARY


def toys() -> tuple[Instance, ...]:
    """A linear pair whose ℓ2 and ℓ∞ max margins differ, and a pair with a saddle."""
    data = rows(((1.0, 0.0, 0.3), (0.0, 1.0, 0.3)))
    return Instance("Z = (1,0,0.3), (0,1,0.3), linear", Linear(), data), diagonal_pair()


def deep_wine() -> Instance:
    """Wine, class 0 against the rest, standardised, two linear layers: C², as Assumption 3 asks."""
    data = load_dataset("wine", positive=[0], standardize=True)
    return Instance("wine, two linear layers of 2 units, ℓ2", Network((2,), Identity()), data)


def followed(
    instance: Instance,
    optimizer: Optimizer,
    seeds: tuple[int, ...],
    nats: float,
    there: Callable[[Run], bool],
    polish: bool = True,
) -> Iterator[Run]:
    """Yield the path from every seed, followed further until it is there, or 128 times as far.

    Args:
        instance, optimizer, seeds: what is followed.
        nats: how far, in -log L.
        there: tells of a run that it is long enough.
        polish: end with Newton steps on the KKT system.
    """
    for seed in seeds:
        for times in _LONGER:
            run = _run(instance, optimizer, seed, nats * times, polish)
            if there(run):
                break
        yield run


def _run(instance: Instance, optimizer: Optimizer, seed: int, nats: float, polish: bool) -> Run:
    flow: GradientFlow | None = None
    steps: SteepestDescent | None = None
    match optimizer:
        case Optimizer.FLOW:
            error = _WEIGHTS / nats
            flow = GradientFlow(nats, FlowMethod.RADAU, error, 1e-2 * error, clock=Clock.NATS)
        case Optimizer.DESCENT:
            steps = SteepestDescent(2.0, PolyakStep(_SHARE))
        case Optimizer.SIGN:
            steps = SteepestDescent(math.inf, PolyakStep(_SHARE))
    path = descend(
        instance.predictor,
        instance.data,
        seed=seed,
        steps=round(nats / _SHARE),
        optimizer=steps,
        flow=flow,
        record=_RECORDS,
        polish=polish,
    )
    polished = path.polished
    end = path.direction if polished is None or not polished.converged else polished.theta
    limit = certify(HardMargin(instance.predictor, instance.data), end)
    return Run(instance, optimizer, seed, path, limit)
