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
from lexmargin.judge.trained.trained_degree import Degrees, around, layer_of
from lexmargin.judge.trained.trained_margins import TrainedMargins
from lexmargin.judge.trained.trained_point import unknown_kinks
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array

__all__ = ["certify_normalised", "free_blocks"]

_ZERO: Final = 1e-6
"""A measured degree that is 0: rounding leaves less, and the next degrees are far."""
_FELT: Final = 1e-9
"""Least change of the scores with a block, by their size, that is one: a block without any has left
the network, and has to vanish; those of one that is normalised are of the size of the scores."""
_SAMPLES: Final = 64
"""Samples that are asked, spread over all: one that feels the block is enough."""


def free_blocks(margins: TrainedMargins, degrees: Degrees) -> list[tuple[str, list[slice]]]:
    """Return the layers of degree 0 that the scores depend on, with the places of their blocks.

    At a stationary point every sample may be without gradient by a normalised layer, so the scores
    are asked around it too.
    """
    scores, found = margins.scores, []
    still = {name for name, degree in degrees.layers if degree is not None and abs(degree) <= _ZERO}
    few = np.unique(np.linspace(0, scores.count - 1, _SAMPLES).astype(np.intp))
    for layer in sorted(still):
        pairs = zip(scores.names, scores.slices, strict=True)
        places = [place for name, place in pairs if layer_of(name) == layer]
        if any(_felt(scores, point, places, few) for point in around(scores)):
            found.append((layer, places))
    return found


def _felt(scores: Scores, point: Array, places: list[slice], few: Indices) -> bool:
    way, draw = np.zeros_like(point), np.random.default_rng(0)
    for place in places:
        way[place] = draw.standard_normal(place.stop - place.start) * np.linalg.norm(point[place])
    change = np.max(np.abs(scores.jvp(way, few, point)), initial=0.0)
    return bool(change > _FELT * np.max(np.abs(scores.values(point, few)), initial=0.0))


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
    report = margins.kinks(found.support)
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
