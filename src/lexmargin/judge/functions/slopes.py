"""Gradients with a chosen slope at every kink of a ReLU: elements of the generalised gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, IntArray
from lexmargin.ops.jacobian import JacobianOps, Node, Recording

__all__ = ["rows", "sensitivities"]


def rows(
    functions: MarginFunctions,
    recording: Recording,
    support: Sequence[int],
    slopes: Mapping[tuple[int, int, int], float],
) -> FloatArray:
    """Return the elements ∇f_n for the margin functions of ``support`` (S, d).

    ``slopes`` of power-1 rectifiers by (layer, sample, unit); the others have that of their side.
    """
    samples, weights = _seeds(functions, support)
    chosen = _derivatives(recording, slopes, functions.data.n_samples)
    count = functions.data.n_samples
    result = np.zeros((len(support), functions.size))
    for c in range(weights.shape[1]):
        seed = np.ones(recording.scores.value.shape)
        if seed.ndim == 2:
            seed = np.zeros_like(seed)
            seed[:, c] = 1.0
        parts = JacobianOps.pull_back(
            recording.scores, seed, recording.parameters, reduce=False, slopes=chosen
        )
        flat = np.concatenate([part.reshape(count, -1) for part in parts], axis=1)
        result += weights[:, c, None] * flat[samples]
    return result


def _derivatives(
    recording: Recording, slopes: Mapping[tuple[int, int, int], float], samples: int
) -> dict[Node, FloatArray]:
    kinked = recording.kinked
    found = [np.asarray(one.argument.value > 0.0, dtype=np.float64) for one in kinked]
    for (layer, sample, unit), slope in slopes.items():
        found[layer].reshape(samples, -1)[sample, unit] = slope
    return {one.output: part for one, part in zip(kinked, found, strict=True)}


def sensitivities(
    functions: MarginFunctions, recording: Recording, weights: FloatArray
) -> list[FloatArray]:
    """Return the derivative of `Σ_n weights_n f_n` by the output of every rectifier (N, …)."""
    outputs = [one.output for one in recording.rectified]
    seed = functions.score_weights(weights).reshape(recording.scores.value.shape)
    return JacobianOps.pull_back(recording.scores, seed, outputs, reduce=False)


def _seeds(functions: MarginFunctions, support: Sequence[int]) -> tuple[IntArray, FloatArray]:
    """Return the sample of each margin function, and its weights of the scores (S, C)."""
    per_sample = functions.count // functions.data.n_samples
    samples = np.asarray([int(n) // per_sample for n in support], dtype=np.int64)
    weights = []
    for n, sample in zip(support, samples, strict=True):
        unit = np.zeros(functions.count)
        unit[n] = 1.0
        weights.append(np.atleast_1d(functions.score_weights(unit)[sample]))
    return samples, np.asarray(weights)
