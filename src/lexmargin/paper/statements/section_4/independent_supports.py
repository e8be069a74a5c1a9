"""After Remark 1: generic data have linearly independent support vectors, integers need not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.formulations import HardMargin
from lexmargin.linalg.exact import rank
from lexmargin.ops.base import FloatArray
from lexmargin.paper.evidence import Backing
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation
from lexmargin.predictors import Linear
from lexmargin.solve import solve

__all__ = ["STATEMENT", "IndependentSupports"]

_SHAPE: Final = (12, 4)
"""Samples and features: more samples than features, so that dependent supports are possible."""
_TIGHT: Final = 1e-7
"""Relative distance to the margin of a support vector; the next margin is farther on every seed."""


@final
@dataclass(frozen=True)
class IndependentSupports(PlainStatement):
    """The rank of the support vectors is their number, for data with a density.

    Attributes:
        integers: draw the entries of the first data from -1, 0, 1 too.
    """

    id: ClassVar[str] = "independent-supports"
    title: ClassVar[str] = "Support vectors of generic data are independent"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.INDEPENDENT,)
    equation: ClassVar[str] = (
        r"\mathrm{rank}\{x_n:n\in S_m(\theta)\}=|S_m(\theta)|\quad\text{almost surely}"
    )
    says: ClassVar[str] = (
        "For data from an absolutely continuous distribution the support vectors of the SVM are "
        "linearly independent; where data are degenerate LICQ may fail. Ranks are those of the "
        "samples as exact rationals."
    )

    integers: bool = False

    def measure(self, effort: Effort) -> Measurement:
        """Solve the hard margin on data of every seed and take exact ranks of the supports."""
        seeds = range(8 if effort is Effort.QUICK else 40)
        checks: list[Check] = []
        remarks: list[str] = []
        for integers in (self.integers, True):
            dependent, certificates = [], []
            for seed in seeds:
                data = _data(seed, integers)
                answer = solve(HardMargin(Linear(), data))
                certificates.append(answer.certificate)
                scores = np.asarray(data.y) * (np.asarray(data.X) @ answer.direction)
                support = np.asarray(data.X)[scores <= (1.0 + _TIGHT) * scores.min()]
                if rank(support) < len(support):
                    dependent.append(seed)
            entries = "entries -1, 0, 1" if integers else "Gaussian entries"
            word = f"{_SHAPE[0]} samples of {_SHAPE[1]} {entries}, seeds 0-{len(seeds) - 1}"
            quantity = "seeds with linearly dependent support vectors"
            shown = Backing.of(certificates)
            first = len(checks) == 0
            checks.append(
                shown.check(word, quantity, float(len(dependent)),
                            Relation.EQUAL if first else Relation.AT_LEAST,
                            0.0 if first else 1.0, 0.0)
            )  # fmt: skip
            remarks.append(f"{word}: dependent at seeds {dependent}.")
        return Measurement(tuple(checks), remarks=tuple(remarks))

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("integer entries in the place of Gaussian", IndependentSupports(True)),)


def _data(seed: int, integers: bool) -> Dataset:
    """Return samples labelled by a teacher that no sample of small integers is orthogonal to."""
    rng = np.random.default_rng(seed)
    X: FloatArray = rng.normal(size=_SHAPE)
    if integers:
        X = np.rint(rng.integers(-1, 2, size=_SHAPE)).astype(float)
        X = X[np.any(X != 0.0, axis=1)]
    teacher = np.sqrt(np.array([2.0, 3.0, 5, 7]))
    y = np.sign(X @ teacher)
    # Rows z = y x of one class: the margin of a score without a bias knows no more.
    return Dataset(X * y[:, None], np.ones(len(X), dtype=int), one_class=True)


STATEMENT = IndependentSupports()
