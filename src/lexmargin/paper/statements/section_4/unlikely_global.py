"""Before Definition 3: gradient descent is unlikely to end at the global optimum of eq. 18."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.formulations import HardMargin
from lexmargin.judge import certify
from lexmargin.ops.base import FloatArray
from lexmargin.optimizers import GradientDescent, LineSearch
from lexmargin.paper.evidence import Backing
from lexmargin.paper.instances import rows
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import (
    Check,
    Effort,
    Measurement,
    Plant,
    Reading,
    Relation,
)
from lexmargin.paths import descend
from lexmargin.predictors import DiagonalNetwork

__all__ = ["STATEMENT", "UnlikelyGlobal", "largest_margin"]

_SAME: Final = 1e-6
"""Relative, of a margin and the best one."""
_HALF: Final = 0.5
"""More seeds than that would make the global optimum likely."""
_STEPS: Final = 3000
"""Of a line search whose steps grow: it ends where margins of 1e12 are not told apart any more."""
_GROWTH: Final = 1.02
"""Of the step, at most, from one to the next: steps that double leave the path of the flow."""
_PAIR: Final = ((1.0, 0.6), (0.6, 1.0))
"""Two samples of two features: their ℓ_{2/3} has few vertices."""


@final
@dataclass(frozen=True)
class UnlikelyGlobal(PlainStatement):
    """Share of random starts whose limit has the largest margin, diagonal networks of depth 3.

    Their least norm at a given β is `3 Σ |β_i|^{2/3}`, concave in every orthant, so that the
    largest margin is at a vertex of {Zβ ≥ 1} there: all square systems of rows and columns are
    solved (closed form).

    Attributes:
        small: the data seed of the first instance; None for Z = (1,0.6), (0.6,1).
        large: data seeds of sets of three samples of six integers; none for that pair again.
    """

    id: ClassVar[str] = "unlikely-global"
    title: ClassVar[str] = "The global optimum is unlikely to be found"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.UNLIKELY,)
    equation: ClassVar[str] = (
        r"\Theta_m^*=\arg\min_\theta\|\theta\|^2\ \text{s.t.}\ \min_n f_n(\theta)\ge\gamma^*(1)"
    )
    says: ClassVar[str] = (
        "Eq. 18 is not convex for general homogeneous predictors, so that gradient descent is "
        "unlikely to find its global optimum."
    )
    corrected: ClassVar[str] = (
        "it depends on the data. Of 12 seeds of a diagonal network of depth 3, 11 end at the "
        "global optimum for the first pair of samples that was tried, a third or fewer for three "
        "sets of three samples of six integers, which were tried after it."
    )

    small: int | None = None
    large: tuple[int, ...] = (100, 101, 102)

    def measure(self, effort: Effort) -> Measurement:
        """Descend from every seed, polish, certify, and count."""
        instances, seeds = (1, 8) if effort is Effort.QUICK else (3, 12)
        runs = [(*_data(self.small), Reading.PAPER)]
        runs += [(*_data(seed), Reading.CORRECTED) for seed in (self.large or (None,))[:instances]]
        checks: list[Check] = []
        remarks: list[str] = []
        for name, Z, reading in runs:
            best = largest_margin(Z)
            data = rows(tuple(map(tuple, Z.tolist())))
            ends = [_end(data, seed) for seed in range(seeds)]
            found = [seed for seed, (margin, _) in enumerate(ends) if margin >= (1 - _SAME) * best]
            shown = Backing(0.0, all(known for _, known in ends))
            checks.append(
                shown.check(name, f"share of {seeds} seeds whose limit has the largest margin",
                            len(found) / seeds, Relation.AT_MOST, _HALF, 0.0, reading)
            )  # fmt: skip
            shares = ", ".join(f"{margin / best:.4f}" for margin, _ in ends)
            remarks.append(f"{name}: margin over the largest, seeds 0-{seeds - 1}: {shares}.")
        return Measurement(tuple(checks), remarks=tuple(remarks))

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the findings."""
        return (
            Plant("three samples of six integers for the pair", UnlikelyGlobal(small=100)),
            Plant("the pair for all sets of integers", UnlikelyGlobal(large=()), Reading.CORRECTED),
        )


def _data(seed: int | None) -> tuple[str, FloatArray]:
    """Return three samples of six integers in words and numbers, or the pair."""
    if seed is None:
        return "Z = (1,0.6), (0.6,1), diagonal network of depth 3", np.array(_PAIR)
    Z = np.random.default_rng(seed).integers(-3, 4, size=(3, 6)).astype(np.float64)
    return f"3 samples of 6 integers (data seed {seed}), diagonal network of depth 3", Z


def _end(data: Dataset, seed: int) -> tuple[float, bool]:
    """Return the margin at the limit of descent, and whether that is a stationary point."""
    network = DiagonalNetwork(3)
    path = descend(
        network,
        data,
        seed=seed,
        steps=_STEPS,
        optimizer=GradientDescent(LineSearch(growth=_GROWTH)),
    )
    end = path.direction if path.polished is None else path.polished.theta
    limit = certify(HardMargin(network, data), end)
    return limit.margin, limit.verdict.stationary


def largest_margin(Z: FloatArray) -> float:
    """Return `min (3 Σ|β_i|^{2/3})^{-3/2}` over the vertices β of {Zβ ≥ 1}, orthant by orthant."""
    count, features = Z.shape
    least = np.inf
    for size in range(1, min(count, features) + 1):
        for tight in combinations(range(count), size):
            for kept in combinations(range(features), size):
                square = Z[np.ix_(tight, kept)]
                if abs(np.linalg.det(square)) < 0.5:  # integers and tenths: 0 exactly
                    continue
                beta = np.zeros(features)
                beta[list(kept)] = np.linalg.solve(square, np.ones(size))
                if (Z @ beta).min() > 1.0 - _SAME:
                    least = min(least, 3.0 * float(np.sum(np.abs(beta) ** (2.0 / 3.0))))
    return float(least ** (-3 / 2))


STATEMENT = UnlikelyGlobal()
