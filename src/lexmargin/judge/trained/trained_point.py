"""A direction of a trained network: second derivatives and kinks by passes through it (math §3)."""

from __future__ import annotations

import math
from typing import Final, final

import numpy as np

from lexmargin.inputs.limits import TRAINED_CLARKE_ROWS
from lexmargin.judge.autodiff.scores import Indices, KinkReport
from lexmargin.judge.local.clarke import GradientSets, assembled_sets
from lexmargin.judge.local.kinked_point import KinkedDirection, KinkedPoint, Standing
from lexmargin.judge.point import UnitPoint, unit_point
from lexmargin.judge.trained.trained_margins import TrainedMargins
from lexmargin.linalg.norms import Array, vector_norm

__all__ = ["TrainedKinks", "TrainedPoint", "unknown_kinks"]

_CHUNK: Final = 256
"""Samples whose kinks are looked at in one pass; larger only takes more memory."""


class TrainedKinks(KinkedPoint):
    """A point of a trained network's own weights, whose kinks are found by passes through it.

    A kink counts where the margin feels it: a unit whose output the score ignores has none. What
    the framework gives at a kink is one number, which need be no element of the generalised
    gradient. A ``plain`` network that is too large to be judged as a predictor is still evaluated
    exactly where a saddle asks for it.
    """

    slope_zero = False
    most_rows = TRAINED_CLARKE_ROWS
    # The way to a kink is known to an order of magnitude.
    sure = 0.1

    margins: TrainedMargins
    """At the network's own θ."""
    shrunk: float | Array
    """What gradients at θ are multiplied by in the units of the point: a number, or (d,)."""

    def standing(self, support: Indices) -> Standing:
        report = self.margins.kinks(support)
        if report.unknown:
            return Standing(report.nearest, "", unknown_kinks(report))
        if report.felt is None or report.felt > self.limit:
            return Standing(report.nearest)
        return Standing(report.nearest, f"on a kink of {report.where} ({report.felt:.1e})")

    def beside(self, support: Indices) -> tuple[Indices, Standing]:
        # Where its margin is on no kink that it feels, a sample of the support is done with.
        others = np.setdiff1d(np.arange(self.margins.count), support)
        found, nearest, where = [others[:0]], math.inf, ""
        for first in range(0, others.size, _CHUNK):
            some = others[first : first + _CHUNK]
            report = self.margins.kinks(some)
            if report.unknown:
                return others, Standing(doubt=unknown_kinks(report))
            if report.felt is None or report.felt > self.limit:
                continue
            if report.felt < nearest:
                nearest, where = report.felt, f"on a kink of {report.where} ({report.felt:.1e})"
            found.append(self._kinked(some))
        return np.concatenate(found), Standing(nearest, where)

    def _kinked(self, indices: Indices) -> Indices:
        """Return those on a kink; all where that is not known one by one."""
        m = self.margins
        rows = m.scores.kinked_rows(m.samples[indices], m.seeds[indices], self.limit)
        return indices if rows is None else indices[[bool(own) for own in rows.kinks]]

    def sets(self, indices: Indices) -> GradientSets | None:
        m = self.margins
        kinked = m.scores.kinked_rows(m.samples[indices], m.seeds[indices], self.limit)
        if kinked is None:
            return None
        return assembled_sets(
            [[operation for operation, _ in own] for own in kinked.kinks],
            lambda on: kinked.at(on) * self.shrunk,
            [[0.0] * len(own) for own in kinked.kinks],
            self.theta.size,
            False,
        )


@final
class TrainedPoint(TrainedKinks, KinkedDirection):
    """The direction of a trained network's own weights."""

    def __init__(self, margins: TrainedMargins, degree: float, limit: float) -> None:
        size = vector_norm(margins.theta, 2.0)
        self.margins, self.degree, self.limit = margins, degree, limit
        self.theta = margins.theta / size
        # Gradients are taken at θ; at θ̂ they are smaller by ‖θ‖^{α-1}.
        self.shrunk = size ** (1.0 - degree)

    @property
    def curved(self) -> TrainedMargins:
        return self.margins

    def rows(self, indices: Indices) -> Array:
        return np.asarray(self.curved.rows(self.margins.theta, indices) * self.shrunk)

    def known(self, support: Indices) -> UnitPoint:
        rows = self.curved.rows(self.theta, support)
        return unit_point(self.values[support], rows, self.theta, self.degree)


def unknown_kinks(report: KinkReport) -> str:
    """Return why one gradient for each sample may decide nothing: what has kinks unmeasured."""
    return (
        f"the distance from kinks is unknown, because of {', '.join(report.unknown)}: "
        "one gradient for each sample may decide nothing"
    )
