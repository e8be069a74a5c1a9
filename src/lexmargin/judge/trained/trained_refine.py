"""Second order and kinks of trained networks, by passes through the network itself (math §3)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final, Protocol, final

import numpy as np

from lexmargin.inputs.limits import TRAINED_CLARKE_ROWS
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.local.beside_kinks import element_moves
from lexmargin.judge.local.clarke import GradientSets, assembled_sets
from lexmargin.judge.local.kinked import judged_at_kink
from lexmargin.judge.point import euler_error, is_noise
from lexmargin.judge.second_order.curvature import second_order
from lexmargin.judge.second_order.curved_balls import CurvedBalls
from lexmargin.judge.second_order.hessians import Curved, PredictorCurved
from lexmargin.judge.second_order.vicinity import around_direction
from lexmargin.judge.trained.scores import Indices, KinkReport, Scores
from lexmargin.judge.trained.trained_symmetries import rotation_tangents
from lexmargin.judge.verdict import Verdict
from lexmargin.judge.weight_reach import weight_reach
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.margins import MarginFunctions

__all__ = ["Trained", "TrainedCurved", "refine_trained", "trained_sets"]

_CHUNK: Final = 256
"""Samples whose kinks are looked at in one pass; larger only takes more memory."""
_NO_SLOPES: Final = "the slopes there cannot be chosen, or are too many to list"
# The way to a kink is known to an order of magnitude.
_NEARER: Final = 0.1


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


def refine_trained(
    margins: Trained, degree: float, found: Certificate, plain: MarginFunctions | None = None
) -> Certificate:
    """Carry a first-order certificate of a trained network on to kinks and second order.

    As :func:`~lexmargin.judge.local.refine.refine` does for predictors, by the same machinery.
    Where a support sample is on a kink that its margin feels, no smooth verdict stands:
    CLARKE_KKT or NOT_STATIONARY by the convex program over the slopes there, or UNDECIDED where
    the slopes cannot be chosen. A refutation counts the kinks of other samples too, as far as δ
    lets these carry weight. Elsewhere the reduced Hessian decides between STRICT_LOCAL,
    SADDLE and KKT. A ``plain`` network that is too large to be judged as a predictor is still
    evaluated exactly where a saddle asks for it.
    """
    # Where the margin is not positive, or its sign not known, nothing else was measured.
    if not found.margin > 0.0 or not found.support.size:
        return found
    report = margins.kinks(found.support)
    found = replace(found, nearest_kink=report.nearest)
    if report.unknown:
        return _unknown(found, report)
    theta = margins.scores.theta / vector_norm(margins.scores.theta, 2.0)
    if report.felt is not None and report.felt <= found.tolerances.kink:
        where = f"on a kink of {report.where} ({report.felt:.1e})"
        return _at_kink(margins, theta, degree, found, where)
    if found.verdict is Verdict.NOT_STATIONARY:
        return _beside_kinks(margins, theta, degree, found)
    if found.norm != 2.0:
        return found
    nearest = found.nearest_kink
    around = around_direction(
        TrainedCurved(margins, plain),
        theta,
        degree,
        found.multipliers,
        found.support,
        found.tolerances,
        None if nearest is None else _NEARER * nearest,
    )
    return second_order(around, found)


def _beside_kinks(margins: Trained, theta: Array, degree: float, found: Certificate) -> Certificate:
    """Withdraw a refutation that elements of other samples on kinks may escape, within δ."""
    limits, size = found.tolerances, vector_norm(margins.scores.theta, 2.0)
    # Where its margin is on no kink that it feels, a sample of the support is done with.
    others = np.setdiff1d(np.arange(margins.samples.size), found.support)
    kinked, where, nearest = [], "", math.inf
    for first in range(0, others.size, _CHUNK):
        some = others[first : first + _CHUNK]
        report = margins.kinks(some)
        if report.unknown:
            return _unknown(found, report)
        if report.felt is None or report.felt > limits.kink:
            continue
        if report.felt < nearest:
            where, nearest = f"on a kink of {report.where} ({report.felt:.1e})", report.felt
        rows = margins.scores.kinked_rows(margins.samples[some], margins.seeds[some], limits.kink)
        if rows is None:
            return _open(found, f"{where}: {_NO_SLOPES}")
        kinked.append(some[[bool(own) for own in rows.kinks]])
    if not kinked:
        return found
    curved = TrainedCurved(margins)
    values = curved.values(theta)
    moves = element_moves(
        lambda indices: trained_sets(margins, indices, degree, limits.kink),
        lambda indices: curved.rows(margins.scores.theta, indices) * size ** (1.0 - degree),
        found.norm,
    )
    excess = degree * (values - float(np.min(values)))
    reach = weight_reach(np.concatenate(kinked), moves, excess, theta, found.norm)
    lower = found.stationarity_bound - limits.complementarity * reach
    if lower > limits.stationarity:
        return replace(found, stationarity_bound=lower)
    return _at_kink(margins, theta, degree, found, where)


def _unknown(found: Certificate, report: KinkReport) -> Certificate:
    return _open(
        found,
        f"the distance from kinks is unknown, because of {', '.join(report.unknown)}: "
        "one gradient for each sample may decide nothing",
    )


def _at_kink(
    margins: Trained, theta: Array, degree: float, found: Certificate, where: str
) -> Certificate:
    support, limit = found.support, found.tolerances.kink
    if found.norm != 2.0:
        return _open(found, f"{where}: the generalised gradient is tried for the ℓ2 ball only")
    if support.size > TRAINED_CLARKE_ROWS:
        return _open(
            found, f"{where}: {support.size} support margins are too many to choose slopes"
        )
    curved = TrainedCurved(margins)
    values = curved.values(theta)
    rows, expected = curved.rows(theta, support), degree * values[support]
    noisy = is_noise(rows, theta, float(np.min(expected)))
    sets = trained_sets(margins, support, degree, limit)
    if sets is None:
        return _open(found, f"{where}: {_NO_SLOPES}")
    return judged_at_kink(
        found,
        sets,
        theta,
        degree,
        values,
        where,
        lambda indices: trained_sets(margins, indices, degree, limit),
        (noisy, euler_error(rows @ theta, expected)),
    )[0]


def trained_sets(
    margins: Trained, indices: Indices, degree: float, tolerance: float
) -> GradientSets | None:
    """Return the gradient sets of some margins at θ̂, every kink within ``tolerance`` free.

    None where the slopes at kinks cannot be chosen one by one, or have too many combinations.
    """
    samples, seeds = margins.samples[indices], margins.seeds[indices]
    kinked = margins.scores.kinked_rows(samples, seeds, tolerance)
    if kinked is None:
        return None
    # Gradients were taken at θ; at θ̂ they are smaller by ‖θ‖^{α-1}.
    shrunk = vector_norm(margins.scores.theta, 2.0) ** (1.0 - degree)
    return assembled_sets(
        [[operation for operation, _ in own] for own in kinked.kinks],
        lambda on: kinked.at(on) * shrunk,
        [[0.0] * len(own) for own in kinked.kinks],
        margins.scores.theta.size,
        False,
    )


def _open(found: Certificate, why: str) -> Certificate:
    return replace(found, verdict=Verdict.UNDECIDED, reasons=(why, *found.reasons))
