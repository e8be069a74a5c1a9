"""Exponents of a trained network's blocks, by least squares: `Σ_B λ_B θ_B·∇_B f_n = f_n`."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.reasons import NO_EXPONENTS, filled
from lexmargin.judge.trained.normalised import free_blocks
from lexmargin.judge.trained.trained_degree import around
from lexmargin.judge.trained.trained_margins import TrainedMargins
from lexmargin.linalg.nonnegative import nonnegative
from lexmargin.linalg.norms import Array
from lexmargin.ops.exponents import Exponents

__all__ = ["measure_exponents", "spread"]

_MARGINS: Final = 128
"""Margins of which the identity is asked at each point, spread over all."""
_DRAWS: Final = 4
"""Points drawn anew: a rectified branch is off for all samples at one of them with even chances."""
_FAINT: Final = 1e-3
"""Part of the largest terms of a point from which a margin's own are its scale: the sum of smaller
ones is mostly rounding of what cancelled on the way."""
_RANK: Final = 1e-9
"""Singular value, relative to the largest, that is rounding of derivatives: 1e-13 or so."""
_FARTHEST: Final = 30.0
"""Power of two by which the margins are stretched and shrunk: a cap that is not reached yet, a
bias that is still 0 or a smooth unit shows there."""


def measure_exponents(
    margins: TrainedMargins, without: NDArray[np.bool_], tolerance: float
) -> tuple[Exponents | None, str]:
    """Return the polytope of exponents of the blocks, or why there is none.

    Asked are many margins at θ, around it and far from it; then `f(e^{aΛ}θ) = e^a f(θ)` of the
    least exponents, far away on both sides.

    Args:
        margins: of the network.
        without: mask (d,) of entries that are 0 and stay so.
        tolerance: largest relative error of the identity.
    """
    scores = margins.scores
    normalised = [layer for layer, _ in free_blocks(margins)]
    if normalised:
        return None, filled(NO_EXPONENTS[2], ", ".join(map(repr, normalised)))
    few = np.unique(np.linspace(0, margins.count - 1, _MARGINS).astype(np.intp))
    tried = (scores.theta, *around(scores), *_redrawn(margins))
    points = [np.where(without, 0.0, point) for point in tried]
    equations = [_equations(margins, point, few) for point in points]
    matrix = np.vstack([rows for rows, _ in equations])
    wanted = np.concatenate([ends for _, ends in equations])
    if not (np.all(np.isfinite(matrix)) and np.all(np.isfinite(wanted))):
        return None, filled(NO_EXPONENTS[0], 1.0)
    # The one λ of the margins is asked for first, whatever else fits.
    left = float(np.max(np.abs(matrix @ nonnegative(matrix, wanted) - wanted), initial=0.0))
    if left > tolerance:
        return None, filled(NO_EXPONENTS[0], left)
    found = _reduced(matrix, wanted, tolerance)
    least = found.least
    if least is None:
        return None, filled(NO_EXPONENTS[0], left)
    if found.still:
        listed = ", ".join(repr(scores.names[block]) for block in found.still)
        return None, filled(NO_EXPONENTS[1], listed)
    entries = spread(margins, [float(one) for one in least])
    off = max(_drift(margins, point, few, entries) for point in points)
    return (found, "") if off <= tolerance else (None, filled(NO_EXPONENTS[0], off))


def _redrawn(margins: TrainedMargins) -> list[Array]:
    """Return points with every block drawn anew: a branch that is off around θ may be on there."""
    theta, found = margins.theta, []
    whole = float(np.linalg.norm(theta)) / np.sqrt(theta.size)
    for seed in range(_DRAWS):
        point = np.random.default_rng(100 + seed).standard_normal(theta.size)
        for place in margins.scores.slices:
            size = float(np.linalg.norm(theta[place])) / np.sqrt(max(1, place.stop - place.start))
            point[place] *= size or whole
        found.append(point)
    return found


def spread(margins: TrainedMargins, per_block: list[float]) -> Array:
    """Return one number per block as one per entry of θ (d,)."""
    found = np.empty(margins.theta.size)
    for place, value in zip(margins.scores.slices, per_block, strict=True):
        found[place] = value
    return found


def _equations(margins: TrainedMargins, point: Array, few: Indices) -> tuple[Array, Array]:
    """Return `θ_B·∇_B f_n` and f_n of some margins at a point, each on the scale of its terms."""
    columns = []
    for place in margins.scores.slices:
        way = np.zeros_like(point)
        way[place] = point[place]
        columns.append(margins.jvp(point, way, few))
    rows, ends = np.stack(columns, axis=1), margins.values(point)[few]
    own = np.maximum(np.sum(np.abs(rows), axis=1), np.abs(ends))
    scale = np.maximum(own, _FAINT * float(np.max(own, initial=0.0)))
    scale = np.where(scale > 0.0, scale, 1.0)
    return rows / scale[:, None], ends / scale


def _reduced(matrix: Array, wanted: Array, tolerance: float) -> Exponents:
    """Return the equations that are left when those that follow from others are dropped."""
    largest = np.max(np.abs(matrix), axis=0)
    used = largest > _RANK
    scale = np.where(used, largest, 1.0)
    left, sizes, rows = np.linalg.svd(np.where(used, matrix, 0.0) / scale, full_matrices=False)
    kept = sizes > _RANK * float(np.max(sizes, initial=0.0))
    ends = (left[:, kept].T @ wanted) / sizes[kept]
    rows = np.where(used, rows[kept], 0.0) * scale
    return Exponents(rows, ends, tolerance)


def _drift(margins: TrainedMargins, point: Array, few: Indices, entries: Array) -> float:
    """Return the largest error of `f(e^{aΛ}θ) = e^a f(θ)` at both far scales."""
    here, found = margins.values(point)[few], 0.0
    size = float(np.max(np.abs(here), initial=0.0)) or 1.0
    for power in (-_FARTHEST, _FARTHEST):
        with np.errstate(all="ignore"):
            there = margins.values(point * 2.0 ** (power * entries))[few] * 2.0**-power
            error = float(np.max(np.abs(there - here), initial=0.0)) / size
        found = max(found, error if np.isfinite(error) else np.inf)
    return found
