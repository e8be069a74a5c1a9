"""The margin functions of a trained network, by passes through it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.judge.autodiff.scores import Indices, KinkReport, Scores
from lexmargin.judge.multipliers.descent_multipliers import CarriedMultipliers, carried_multipliers
from lexmargin.judge.second_order.curved_balls import CurvedBalls
from lexmargin.judge.second_order.hessians import Curved, PredictorCurved
from lexmargin.judge.trained.trained_symmetries import rotation_tangents
from lexmargin.linalg.norms import Array
from lexmargin.margins import MarginFunctions

__all__ = ["TrainedMargins"]


@final
@dataclass(frozen=True, eq=False)
class TrainedMargins(Curved):
    """The margin functions of a trained network, `f_n = Σ_c seeds_nc F_c(x_{samples_n})`.

    Two classes and one output: `f_n = y_n F(x_n)`. C outputs: the differences
    `f_{n,c} = F_{y_n}(x_n) - F_c(x_n)`, sample by sample, wrong classes in ascending order.

    ``plain``: the predictor of the toolkit that it is, where it is one.
    """

    scores: Scores
    samples: Indices
    seeds: Array
    plain: MarginFunctions | None = None

    @property
    def theta(self) -> Array:
        """The network's own θ (d,), flat in the order of its parameters."""
        return self.scores.theta

    @functools.cached_property
    def size(self) -> int:  # type: ignore[override]  # frozen
        return int(self.theta.size)

    @functools.cached_property
    def count(self) -> int:  # type: ignore[override]  # frozen
        return int(self.samples.size)

    @functools.cached_property
    def _own(self) -> Array:
        return self._some(self.theta, np.arange(self.count))

    def values(self, theta: Array) -> Array:
        own = theta is self.theta or np.array_equal(theta, self.theta)
        return self._own if own else self._some(theta, np.arange(self.count))

    def rows(self, theta: Array, indices: Indices) -> Array:
        return self.scores.rows(self.samples[indices], self.seeds[indices], theta)

    def jvp(self, theta: Array, direction: Array, indices: Indices) -> Array:
        found = self.scores.jvp(direction, self.samples[indices], theta)
        return np.asarray(np.sum(found * self.seeds[indices], axis=1))

    def vjp(self, theta: Array, weights: Array) -> Array:
        return self.scores.vjp(*self._weighted(weights), theta)

    def hessian_products(self, theta: Array, weights: Array, directions: Array) -> Array:
        samples, seeds = self._weighted(weights)
        if not samples.size:
            return np.zeros(directions.shape)
        return self.scores.hessian_products(directions, samples, seeds, theta)

    def kinks(self, indices: Indices) -> KinkReport:
        """Return how near these margins are to a kink, at the network's own θ."""
        return self.scores.kinks(self.samples[indices], self.seeds[indices])

    def jumps(self, theta: Array, weights: Array, tolerance: float) -> bool:
        report = self.kinks(np.flatnonzero(weights))
        return report.nearest is not None and report.nearest <= tolerance

    def tangents(self, theta: Array, support: Indices) -> Array:
        return rotation_tangents(
            theta,
            self.scores.shapes,
            self.rows(theta, support),
            lambda moved: self._some(moved, support),
        )

    def distinct(self, indices: Indices) -> Indices:
        return indices if self.plain is None else PredictorCurved(self.plain).distinct(indices)

    @property
    def balls(self) -> CurvedBalls | None:
        return None if self.plain is None else PredictorCurved(self.plain).balls

    def carried(self) -> CarriedMultipliers:
        """Return gradient descent's own multipliers, `λ_n ∝ e^{-f_n}` (math §7.10)."""
        return carried_multipliers(self, self.theta)

    def _some(self, theta: Array, indices: Indices) -> Array:
        samples, place = np.unique(self.samples[indices], return_inverse=True)
        found = self.scores.values(theta, samples)[place]
        return np.asarray(np.sum(found * self.seeds[indices], axis=1))

    def _weighted(self, weights: Array) -> tuple[Indices, Array]:
        used = np.flatnonzero(weights)
        return self.samples[used], weights[used, None] * self.seeds[used]
