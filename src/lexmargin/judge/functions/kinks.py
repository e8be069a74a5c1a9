"""How near a direction is to a kink of a ReLU (math §3, Kinks)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.judge.functions.slopes import sensitivities
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature
from lexmargin.ops.jacobian import Rectified

__all__ = [
    "Kink",
    "Kinks",
    "curvature_jumps",
    "measure_kinks",
    "samples_of",
    "where_of",
]


@final
@dataclass(frozen=True, order=True)
class Kink:
    """Pre-activation `z = w_j·h_n` of (layer, sample, unit), and its distance from 0."""

    distance: float
    layer: int
    sample: int
    unit: int

    @property
    def place(self) -> tuple[int, int, int]:
        """Layer, sample and unit."""
        return self.layer, self.sample, self.unit

    def __str__(self) -> str:
        return f"layer {self.layer + 1}, unit {self.unit}, sample {self.sample}"


@final
@dataclass(frozen=True, eq=False)
class Kinks:
    """Distances `|z_nj| / (‖h_n‖ ‖θ‖)` of every power-1 ReLU, one array (N, width) per layer.

    Moving the unit's weights by that part of ‖θ‖ reaches the kink. It is never larger than
    `|z_nj| / (‖w_j‖ ‖h_n‖)`: a unit whose weights are (nearly) zero is at a kink for every sample,
    although its angles may be wide.

    nearest, nearest_on_support
        over all samples, and over those whose margins decide.
    """

    distances: tuple[FloatArray, ...]
    nearest: Kink
    nearest_on_support: Kink

    def within(self, tolerance: float, samples: Sequence[int]) -> list[Kink]:
        """Return the kinks of these samples at most ``tolerance`` away."""
        found = []
        for layer, distances in enumerate(self.distances):
            for row, sample in enumerate(distances[list(samples)] <= tolerance):
                n = samples[row]
                found += [
                    Kink(float(distances[n, j]), layer, int(n), int(j))
                    for j in np.flatnonzero(sample)
                ]
        return found

    def nearest_of(self, samples: list[int]) -> Kink:
        """Return the nearest kink of some samples."""
        return _nearest(self.distances, samples)

    def to_json(self) -> dict[str, Any]:
        """Return the nearest kink of the support."""
        kink = self.nearest_on_support
        return {
            "distance": kink.distance,
            "layer": kink.layer,
            "sample": kink.sample,
            "unit": kink.unit,
        }


def where_of(kinks: Sequence[Kink]) -> str:
    """Say in words which kinks these are."""
    units = len({(kink.layer, kink.unit) for kink in kinks})
    return f"on a kink ({units} unit{'s' if units > 1 else ''}, nearest at {min(kinks)})"


def samples_of(functions: MarginFunctions, support: NDArray[np.intp]) -> list[int]:
    """Return the samples whose margin functions are in the support, in increasing order."""
    per_sample = functions.count // functions.data.n_samples
    return sorted({int(n) // per_sample for n in support})


def measure_kinks(
    functions: MarginFunctions, theta: FloatArray, support: NDArray[np.intp]
) -> Kinks | None:
    """Measure the distance of θ from every kink; None for predictors without a power-1 ReLU.

    Parameters
    ----------
    functions : the margin functions.
    theta : (d,) the point, at any scale.
    support : indices of the margin functions that decide.
    """
    if functions.curvature <= Curvature.AFFINE:
        return None
    recording = functions.record(theta)
    size = float(np.linalg.norm(theta))
    distances = tuple(_distances(one, size) for one in recording.kinked)
    if not distances or not support.size:
        return None
    everyone = list(range(functions.data.n_samples))
    decisive = samples_of(functions, support)
    return Kinks(distances, _nearest(distances, everyone), _nearest(distances, decisive))


def _distances(one: Rectified, size: float) -> FloatArray:
    """Return |z|/(‖h‖‖θ‖) as (N, width); 0/0 counts as a kink."""
    z = np.abs(one.argument.value)
    reach = z.max(initial=0.0) if one.reach is None else one.reach * size
    scale = np.broadcast_to(reach, z.shape)
    found = np.divide(z, scale, out=np.zeros_like(z), where=scale > 0.0)
    result: FloatArray = found.reshape(found.shape[0], -1)
    return result


def _nearest(distances: tuple[FloatArray, ...], samples: list[int]) -> Kink:
    best = Kink(math.inf, 0, samples[0], 0)
    for layer, array in enumerate(distances):
        part = array[samples]
        row, unit = np.unravel_index(int(np.argmin(part)), part.shape)
        found = Kink(float(part[row, unit]), layer, samples[int(row)], int(unit))
        best = min(best, found)
    return best


def curvature_jumps(
    functions: MarginFunctions, theta: FloatArray, weights: FloatArray, tolerance: float
) -> bool:
    """Tell whether the Hessian of `Σ λ_n f_n` may jump at θ: `relu^p`, 1 < p ≤ 2, with z near 0.

    A unit whose output the score ignores (a dead unit of degree above 2) makes no jump.
    """
    recording = functions.record(theta)
    size = float(np.linalg.norm(theta))
    total = sum(float(np.abs(part).max(initial=0.0)) for part in [functions.score_weights(weights)])
    jumps = False
    for one, slope in zip(
        recording.rectified, sensitivities(functions, recording, weights), strict=True
    ):
        if 1.0 < one.power <= 2.0:
            shape = one.argument.value.shape
            near = _distances(one, size).reshape(shape) <= tolerance
            felt = np.abs(slope) > tolerance * total
            # A parameter that all samples share, such as b of b|b|, is felt by each of them.
            shared = felt.shape[1:] == shape
            jumps = jumps or bool(np.any(near & (np.any(felt, axis=0) if shared else felt)))
    return jumps
