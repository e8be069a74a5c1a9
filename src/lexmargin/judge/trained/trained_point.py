"""A direction of a trained network: second derivatives and kinks by passes through it (math §3)."""

from __future__ import annotations

import math
from typing import Final, Protocol, final

import numpy as np

from lexmargin.inputs.limits import TRAINED_CLARKE_ROWS
from lexmargin.judge.autodiff.scores import Indices, KinkReport, Scores
from lexmargin.judge.local.clarke import GradientSets, assembled_sets
from lexmargin.judge.local.kinked_point import KinkedDirection, Standing
from lexmargin.judge.point import UnitPoint, unit_point
from lexmargin.judge.second_order.curved_balls import CurvedBalls
from lexmargin.judge.second_order.hessians import Curved, PredictorCurved
from lexmargin.judge.trained.trained_symmetries import rotation_tangents
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.margins import MarginFunctions

__all__ = ["Trained", "TrainedCurved", "TrainedPoint"]

_CHUNK: Final = 256
"""Samples whose kinks are looked at in one pass; larger only takes more memory."""


class Trained(Protocol):
    """The margins of a trained network, `f_n = Σ_c seeds_nc F_c(x_{samples_n})`."""

    @property
    def scores(self) -> Scores: ...

    @property
    def samples(self) -> Indices: ...

    @property
    def seeds(self) -> Array: ...

    def kinks(self, indices: Indices) -> KinkReport: ...


@final
class TrainedCurved(Curved):
    """A trained network: Hessian-vector products by forward over reverse mode.

    ``plain``: the predictor of the toolkit that it is, where it is one.
    """

    def __init__(self, margins: Trained, plain: MarginFunctions | None = None) -> None:
        self._margins, self._scores = margins, margins.scores
        self._plain = None if plain is None else PredictorCurved(plain)
        self.size, self.count = margins.scores.theta.size, margins.samples.size

    def values(self, theta: Array) -> Array:
        return self._some(theta, np.arange(self.count))

    def rows(self, theta: Array, indices: Indices) -> Array:
        m = self._margins
        return self._scores.rows(m.samples[indices], m.seeds[indices], theta)

    def combined_gradient(self, theta: Array, weights: Array) -> Array:
        samples, seeds = self._weighted(weights)
        return self._scores.pull(samples, seeds, theta)

    def products(self, theta: Array, weights: Array, directions: Array) -> Array:
        samples, seeds = self._weighted(weights)
        if not samples.size:
            return np.zeros(directions.shape)
        return self._scores.curved(directions, samples, seeds, theta)

    def jumps(self, theta: Array, weights: Array, tolerance: float) -> bool:
        report = self._margins.kinks(np.flatnonzero(weights))
        return report.nearest is not None and report.nearest <= tolerance

    def tangents(self, theta: Array, support: Indices) -> Array:
        return rotation_tangents(
            theta,
            self._scores.shapes,
            self.rows(theta, support),
            lambda moved: self._some(moved, support),
        )

    def distinct(self, indices: Indices) -> Indices:
        return indices if self._plain is None else self._plain.distinct(indices)

    @property
    def balls(self) -> CurvedBalls | None:
        return None if self._plain is None else self._plain.balls

    def _some(self, theta: Array, indices: Indices) -> Array:
        m = self._margins
        samples, place = np.unique(m.samples[indices], return_inverse=True)
        found = self._scores.values(theta, samples)[place]
        return np.asarray(np.sum(found * m.seeds[indices], axis=1))

    def _weighted(self, weights: Array) -> tuple[Indices, Array]:
        used = np.flatnonzero(weights)
        m = self._margins
        return m.samples[used], weights[used, None] * m.seeds[used]


@final
class TrainedPoint(KinkedDirection):
    """The direction of a trained network's own weights.

    A kink counts where the margin feels it: a unit whose output the score ignores has none. What
    the framework gives at a kink is one number, which need be no element of the generalised
    gradient. A ``plain`` network that is too large to be judged as a predictor is still evaluated
    exactly where a saddle asks for it.
    """

    slope_zero = False
    most_rows = TRAINED_CLARKE_ROWS
    # The way to a kink is known to an order of magnitude.
    sure = 0.1

    def __init__(
        self, margins: Trained, degree: float, limit: float, plain: MarginFunctions | None = None
    ) -> None:
        size = vector_norm(margins.scores.theta, 2.0)
        self._margins, self.degree, self.limit = margins, degree, limit
        self.theta = margins.scores.theta / size
        # Gradients are taken at θ; at θ̂ they are smaller by ‖θ‖^{α-1}.
        self._shrunk = size ** (1.0 - degree)
        self.curved = TrainedCurved(margins, plain)

    def rows(self, indices: Indices) -> Array:
        return np.asarray(self.curved.rows(self._margins.scores.theta, indices) * self._shrunk)

    def known(self, support: Indices) -> UnitPoint:
        rows = self.curved.rows(self.theta, support)
        return unit_point(self.values[support], rows, self.theta, self.degree)

    def standing(self, support: Indices) -> Standing:
        report = self._margins.kinks(support)
        if report.unknown:
            return Standing(report.nearest, "", _unknown(report))
        if report.felt is None or report.felt > self.limit:
            return Standing(report.nearest)
        return Standing(report.nearest, f"on a kink of {report.where} ({report.felt:.1e})")

    def beside(self, support: Indices) -> tuple[Indices, Standing]:
        # Where its margin is on no kink that it feels, a sample of the support is done with.
        others = np.setdiff1d(np.arange(self.curved.count), support)
        found, nearest, where = [others[:0]], math.inf, ""
        for first in range(0, others.size, _CHUNK):
            some = others[first : first + _CHUNK]
            report = self._margins.kinks(some)
            if report.unknown:
                return others, Standing(doubt=_unknown(report))
            if report.felt is None or report.felt > self.limit:
                continue
            if report.felt < nearest:
                nearest, where = report.felt, f"on a kink of {report.where} ({report.felt:.1e})"
            found.append(self._kinked(some))
        return np.concatenate(found), Standing(nearest, where)

    def _kinked(self, indices: Indices) -> Indices:
        """Return those on a kink; all where that is not known one by one."""
        m = self._margins
        rows = m.scores.kinked_rows(m.samples[indices], m.seeds[indices], self.limit)
        return indices if rows is None else indices[[bool(own) for own in rows.kinks]]

    def sets(self, indices: Indices) -> GradientSets | None:
        m = self._margins
        kinked = m.scores.kinked_rows(m.samples[indices], m.seeds[indices], self.limit)
        if kinked is None:
            return None
        return assembled_sets(
            [[operation for operation, _ in own] for own in kinked.kinks],
            lambda on: kinked.at(on) * self._shrunk,
            [[0.0] * len(own) for own in kinked.kinks],
            self.theta.size,
            False,
        )


def _unknown(report: KinkReport) -> str:
    return (
        f"the distance from kinks is unknown, because of {', '.join(report.unknown)}: "
        "one gradient for each sample may decide nothing"
    )
