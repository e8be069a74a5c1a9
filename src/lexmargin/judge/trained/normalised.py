"""Normalised networks: blocks of degree 0, whose size means nothing (`networks.md` §3).

``f(cW_0, ·) = f(W_0, ·)``, so that Definition 3 as it stands would ask for W_0 = 0 whatever the
training did. Stationary is θ_B = Σ λ_n ∇_B f_n on the blocks of positive degree and
**0 = Σ λ_n ∇_0 f_n** on those of degree 0, measured as ‖W_0‖ ‖Σ λ_n ∇_0 f_n‖ by Σ λ_n f_n.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from lexmargin.errors import UnsupportedError
from lexmargin.judge.autodiff.scores import Indices, Scores
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.judge import certify_arrays
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.trained.trained_degree import around, layer_of
from lexmargin.judge.trained.trained_margins import TrainedMargins
from lexmargin.judge.trained.trained_point import unknown_kinks
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array

__all__ = ["certify_normalised", "free_blocks"]

_STILL: Final = 1e-9
"""Largest change of the scores with the size of a block, by theirs, that is rounding; and the least
change with the block that is one: a block without any has left the network, and has to vanish."""
_SAMPLES: Final = 64
"""Samples that are asked, spread over all: one that feels the block is enough."""


def free_blocks(margins: TrainedMargins) -> list[tuple[str, list[slice]]]:
    """Return the layers and blocks whose size the scores do not feel, with their places in θ.

    Weights and bias before a normalisation are free together, the direction of a weight norm is by
    itself. At a stationary point every sample may be without gradient by a normalised layer, so
    the scores are asked around it too.
    """
    scores, found = margins.scores, []
    few = np.unique(np.linspace(0, scores.count - 1, _SAMPLES).astype(np.intp))
    points = [(point, scores.differences(point, few)) for point in (scores.theta, *around(scores))]
    layers: dict[str, list[tuple[str, slice]]] = {}
    for name, place in zip(scores.names, scores.slices, strict=True):
        layers.setdefault(layer_of(name), []).append((name, place))

    def free(places: list[slice]) -> bool:
        return all(
            _change(scores, point, _own(point, places), few) <= _STILL * np.max(np.abs(values))
            for point, values in points
        ) and any(
            _change(scores, point, _across(point, places), few) > _STILL * np.max(np.abs(values))
            for point, values in points
        )

    for layer, blocks in layers.items():
        if free([place for _, place in blocks]):
            found.append((layer, [place for _, place in blocks]))
        elif len(blocks) > 1:
            found += [(name, [place]) for name, place in blocks if free([place])]
    return found


def _own(point: Array, places: list[slice]) -> Array:
    """Return the way along which the blocks grow."""
    way = np.zeros_like(point)
    for place in places:
        way[place] = point[place]
    return way


def _across(point: Array, places: list[slice]) -> Array:
    """Return a way of the same length in any direction of the blocks, seeded."""
    way, draw = np.zeros_like(point), np.random.default_rng(0)
    for place in places:
        drawn = draw.standard_normal(place.stop - place.start)
        way[place] = drawn * np.linalg.norm(point[place]) / np.linalg.norm(drawn)
    return way


def _change(scores: Scores, point: Array, way: Array, few: Indices) -> float:
    return float(np.max(np.abs(scores.slopes(way, few, point)), initial=0.0))


def certify_normalised(
    margins: TrainedMargins,
    free: list[tuple[str, list[slice]]],
    degree: float,
    norm: float,
    limits: Tolerances,
) -> Certificate:
    """Judge θ where some layers are normalised: to first order, away from kinks.

    Args:
        margins: of the network.
        free: the layers of degree 0.
        degree: of the others together.
        norm: of the ball of the others: 2.
        limits: what counts as equal.

    Raises:
        UnsupportedError: another norm, whose ball would let what is 0 be anything.
    """
    if norm != 2.0:
        raise UnsupportedError(
            f"{free[0][0]!r} is normalised, and the norm is {norm!r}.", "Use norm=2."
        )
    theta, rows = margins.theta.copy(), margins.jacobian(margins.theta)
    for _, places in free:
        size = float(np.sqrt(sum(float(theta[place] @ theta[place]) for place in places)))
        for place in places:
            theta[place] = 0.0
            rows[:, place] *= size
    rest = float(np.linalg.norm(theta))
    for _, places in free:
        for place in places:
            # Gradients by the others shrink by one power of ‖θ‖ less than margins do.
            rows[:, place] /= rest
    found = certify_arrays(margins.values(margins.theta), rows, theta, degree, norm, limits)
    listed = ", ".join(layer for layer, _ in free)
    note = f"normalised, judged by Σ λ ∇f = 0 instead of Definition 3: {listed}"
    found = replace(found, reasons=(*found.reasons, note))
    if found.verdict is Verdict.NOT_SEPARATING or not found.support.size:
        return found
    # What refutes has weights of other samples in view, as far as δ lets them carry any.
    refuted = found.verdict is Verdict.NOT_STATIONARY
    report = margins.kinks(np.arange(margins.count) if refuted else found.support)
    found = replace(found, nearest_kink=report.nearest)
    doubt = ""
    if report.unknown:
        doubt = unknown_kinks(report)
    elif report.felt is not None and report.felt <= limits.kink:
        where = f"on a kink of {report.where} ({report.felt:.1e})"
        doubt = f"{where}: with normalised layers slopes are not chosen"
    if not doubt:
        return found
    return replace(found, verdict=Verdict.UNDECIDED, reasons=(doubt, *found.reasons))
