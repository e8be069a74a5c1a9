"""Optimizers followed to the max margin of the norm that a theorem names, and of no other."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset, load_dataset
from lexmargin.formulations import HardMargin
from lexmargin.judge import Verdict, certify
from lexmargin.losses import Loss
from lexmargin.optimizers import Optimizer
from lexmargin.paper.evidence import Backing
from lexmargin.paper.instances import Instance
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Check, Effort, Measurement, Relation, Statement
from lexmargin.paths import descend, identify
from lexmargin.plots import COLOURS, panel
from lexmargin.predictors import DiagonalNetwork, Linear

__all__ = ["Course", "LimitStatement", "cloud", "diagonal", "iris", "three_classes"]

_TRIED: Final = (1.0, 1.5, 2.0, 3.0, math.inf)
"""Every limit is judged in all of them."""
_SEEDS: Final = (1, 2, 3)
"""The starts, and the order of batches; no other was tried and left out."""
_MOVED: Final = 0.02
"""How far the last direction may lie from the limit; a unit vector's largest distance is 2."""
_EPSILON: Final = 1e-6
"""ε of a limit in the norm it belongs to."""
_LEAST: Final = 1e-9
"""Distance below which a figure shows no further fall."""
_OTHER: Final = 1e-4
"""ε of the same point in a norm that it does not belong to is at least that."""


@final
@dataclass(frozen=True)
class Course:
    """An optimizer on an instance, whose norm is the one that a theorem names.

    Attributes:
        word: the optimizer, as the page names it.
        instance: predictor, data and the norm.
        optimizer: with its steps.
        steps: how many.
        loss: L.
        share: of the steps that quick makes.
    """

    word: str
    instance: Instance
    optimizer: Optimizer
    steps: int
    loss: Loss = Loss.EXPONENTIAL
    share: float = 0.5


@dataclass(frozen=True)
class LimitStatement(Statement):
    """`θ(t)/‖θ(t)‖` goes to the max margin of one norm, and to that of no other.

    Attributes:
        other: p of the norm that stands in the place of the one a theorem names; 0 for that one.
        seeds: of starts and batches; quick measures the first.
        first_alone: leave the other courses out.
    """

    passages: ClassVar[tuple[Passage, ...]] = ()
    caption: ClassVar[str] = (
        "Distance of the direction to the certified max margin of the norm that is named, over "
        "the step, for every seed that was tried; a limit is taken for reached below the dashes."
    )

    other: float = 0.0
    seeds: tuple[int, ...] = _SEEDS
    first_alone: bool = False

    @abstractmethod
    def courses(self) -> tuple[Course, ...]:
        """Return what is followed."""

    def measure(self, effort: Effort) -> Measurement:
        """Follow every course from every seed; judge its limit in every norm."""
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {}
        remarks: dict[str, None] = {}
        quick = effort is Effort.QUICK
        seeds = self.seeds[:1] if quick else self.seeds
        for number, course in enumerate(self.courses()[: 1 if self.first_alone else None]):
            for seed in seeds:
                steps = round(course.steps * (course.share if quick else 1.0))
                self._follow(number, replace(course, steps=steps), seed, checks, curves, remarks)
        return Measurement(tuple(checks), curves, tuple(remarks))

    def _follow(
        self,
        number: int,
        course: Course,
        seed: int,
        checks: list[Check],
        curves: dict[str, tuple[float, ...]],
        remarks: dict[str, None],
    ) -> None:
        at, p = course.instance, self.other or course.instance.norm
        run = descend(
            at.predictor, at.data, loss=course.loss, optimizer=course.optimizer,
            steps=course.steps, seed=seed, record=4, polish=False,
        )  # fmt: skip
        fit = identify(run, at.predictor, at.data, norms=(p,)).fits[0]
        name = f"{course.word} on {at.name}; seed {seed}"
        judged = {
            q: certify(HardMargin(at.predictor, at.data, q), fit.limit)
            for q in dict.fromkeys((p, *_TRIED))
        }
        own = judged[p]
        here = Backing(own.stationarity, own.certified)
        checks.append(here.small(name, f"ε of the limit in {_word(p)}", own.stationarity, _EPSILON))
        checks.append(here.small(name, f"distance of the direction to it, {run.steps} steps",
                                 fit.moved, _MOVED))  # fmt: skip
        refused = Verdict.NOT_STATIONARY
        same = [q for q in _TRIED if q != p and judged[q].verdict is not refused]
        if same:
            words = ", ".join(_word(q) for q in same)
            remarks[f"{at.name}: the max margin of {_word(p)} is not refused in {words}."] = None
        for q in _TRIED:
            if q == p or q in same:
                continue
            found = judged[q]
            checks.append(
                Backing(found.stationarity, True).check(
                    name,
                    f"ε of it in {_word(q)}",
                    found.stationarity,
                    Relation.AT_LEAST,
                    _OTHER,
                    0.0,
                )
            )
        curves |= {
            f"at {number} {seed}": tuple(run.records.at[run.records.margin > 0.0]),
            f"apart {number} {seed}": tuple(fit.trend),
        }

    def draw(self, measurement: Measurement) -> Any:
        """Distances over steps."""
        courses = self.courses()
        norms = list(dict.fromkeys((c.word, c.instance.norm) for c in courses))
        places = list(dict.fromkeys(c.instance.name for c in courses))
        with panel(3.8) as (figure, axes):
            seen: set[str] = set()
            for key, values in measurement.curves.items():
                kind, number, seed = key.split()
                if kind != "apart":
                    continue
                course = courses[int(number)]
                word = f"{course.word}, {_word(course.instance.norm)}, {course.instance.name}"
                steps = np.maximum(measurement.curves[f"at {number} {seed}"], 1.0)
                color = COLOURS[norms.index((course.word, course.instance.norm)) % len(COLOURS)]
                dashes = ("-", ":", "-.")[places.index(course.instance.name)]
                label = None if word in seen else word
                axes.loglog(steps, np.maximum(values, _LEAST), dashes, color=color, lw=1.0,
                            label=label)  # fmt: skip
                seen.add(word)
            axes.axhline(_MOVED, color="0.6", ls="--", lw=0.8)
            axes.set_xlabel("steps")
            axes.set_ylabel("distance to the limit")
            figure.legend(frameon=False, loc="outside upper left", fontsize=7)
            return figure


def _word(p: float) -> str:
    return "ℓ∞" if math.isinf(p) else f"ℓ{p:g}"


def cloud(norm: float) -> Instance:
    """Twelve rows in R⁴ whose max margins differ."""
    drawn = np.random.default_rng(1).normal(size=(12, 4))
    rows = np.round(drawn * np.sign(drawn @ [1.0, 2.0, -1.0, 0.5])[:, None], 2)
    data = Dataset(rows, np.ones(12), one_class=True)
    return Instance("12 rows in R⁴, linear", Linear(), data, norm)


def diagonal(norm: float) -> Instance:
    """The same rows, a diagonal network of depth 2."""
    return Instance("12 rows in R⁴, diagonal network", DiagonalNetwork(2), cloud(2.0).data, norm)


def iris(norm: float) -> Instance:
    """Iris, class 0 against the rest, standardised, linear."""
    data = load_dataset("iris", positive=[0], standardize=True)
    return Instance("iris, linear", Linear(), data, norm)


def three_classes(norm: float) -> Instance:
    """Fifteen samples of three classes in R³, linear."""
    labels = np.arange(15) % 3
    drawn = np.random.default_rng(2).normal(size=(15, 3)) + 2.0 * np.eye(3)[labels]
    data = Dataset(np.round(drawn, 2), labels)
    return Instance("15 samples of 3 classes, linear", Linear(3), data, norm)
