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
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.judge import certify_arrays
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.trained.trained_degree import Degrees, layer_of
from lexmargin.judge.trained.trained_margins import TrainedMargins
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array

__all__ = ["certify_normalised", "free_blocks"]

_FELT: Final = 1e-9
"""Least gradient of a block by that of all of θ: a block without any has left the network, and has
to vanish; the gradients of one that is normalised are of the size of the others."""


def free_blocks(
    margins: TrainedMargins, degrees: Degrees, rows: Array | None
) -> list[tuple[str, list[slice]]]:
    """Return the layers of degree 0 that the margins depend on, with the places of their blocks.

    Args:
        margins: of the network, at its own θ.
        degrees: as measured.
        rows: (N, d) all gradients; None where they are too many.

    Raises:
        UnsupportedError: there is one, and no room for all gradients.
    """
    scores, found = margins.scores, []
    still = {name for name, degree in degrees.layers if degree is not None and abs(degree) <= 0.0}
    for layer in sorted(still):
        pairs = zip(scores.names, scores.slices, strict=True)
        places = [place for name, place in pairs if layer_of(name) == layer]
        few = (
            margins.rows(margins.theta, np.arange(min(margins.count, 8))) if rows is None else rows
        )
        largest = max(float(np.max(np.abs(few[:, place]), initial=0.0)) for place in places)
        if largest > _FELT * float(np.max(np.abs(few), initial=0.0)):
            found.append((layer, places))
    if found and rows is None:
        raise UnsupportedError(
            f"{found[0][0]!r} is normalised, and its network too large to keep all gradients.",
            "Certify fewer samples.",
        )
    return found


def certify_normalised(
    margins: TrainedMargins,
    rows: Array,
    free: list[tuple[str, list[slice]]],
    degree: float,
    norm: float,
    limits: Tolerances,
) -> Certificate:
    """Judge θ where some layers are normalised: to first order, away from kinks.

    Args:
        margins: of the network.
        rows: (N, d) their gradients.
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
    theta, rows = margins.theta.copy(), rows.copy()
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
    listed = ", ".join(repr(layer) for layer, _ in free)
    note = f"{listed}: normalised, judged by Σ λ ∇f = 0 instead of Definition 3"
    found = replace(found, reasons=(*found.reasons, note))
    if found.verdict is Verdict.NOT_SEPARATING or not found.support.size:
        return found
    report = margins.kinks(found.support)
    found = replace(found, nearest_kink=report.nearest)
    doubt = ""
    if report.unknown:
        doubt = f"the distance from kinks is unknown, because of {', '.join(report.unknown)}"
    elif report.felt is not None and report.felt <= limits.kink:
        doubt = f"on a kink of {report.where} ({report.felt:.1e})"
    if not doubt:
        return found
    return replace(found, verdict=Verdict.UNDECIDED, reasons=(doubt, *found.reasons))
