"""Gradients with a chosen slope at every kink of a ReLU: elements of the generalised gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, IntArray, Ops
from lexmargin.ops.jacobian import JacobianOps, Node

__all__ = ["Recording", "Rectified", "record", "rows", "sensitivities"]


@final
@dataclass(frozen=True, eq=False)
class Rectified:
    """One application of `max(z, 0)^power`: z and the result (N, …), and the size of its inputs.

    ``reach`` (N, 1) or (N,) is ‖h_n‖ where `z_nj = w_j·h_n`: moving w_j by |z_nj|/‖h_n‖ reaches
    the kink. None where z is no product with parameters. ``deep``: h_n depends on parameters.
    """

    argument: Node
    output: Node
    power: float
    reach: FloatArray | None
    deep: bool = False


@final
class _SlopeOps(Ops[Node]):
    """The gradient target that remembers its rectifiers and takes their slopes from outside."""

    def __init__(self, slopes: Sequence[FloatArray] | None) -> None:
        self._inner = JacobianOps()
        self._slopes = slopes
        self._reach: dict[Node, FloatArray] = {}
        self._deep: set[Node] = set()
        self.rectified: list[Rectified] = []
        self.kinked = 0

    def relu(self, a: Node, power: float = 1.0) -> Node:
        if power == 1.0 and self._slopes is not None:
            slope = self._slopes[self.kinked]
            node = Node(np.maximum(a.value, 0.0), a.sampled, ((a, lambda c, _: c * slope),))
        else:
            node = self._inner.relu(a, power)
        self.kinked += power == 1.0
        self.rectified.append(Rectified(a, node, power, self._reach.get(a), a in self._deep))
        return node

    def linear(self, inputs: Node, weights: Node) -> Node:
        node = self._inner.linear(inputs, weights)
        if inputs.live:
            self._deep.add(node)
        # Squares of very large or very small inputs leave the doubles.
        largest = np.abs(inputs.value).max(axis=1, initial=0.0)
        scale = np.where(largest > 0.0, largest, 1.0)
        sizes = scale * np.linalg.norm(inputs.value / scale[:, None], axis=1)
        self._reach[node] = sizes[:, None] if node.value.ndim == 2 else sizes
        return node

    def constant(self, values: FloatArray) -> Node:
        return self._inner.constant(values)

    def add(self, a: Node, b: Node) -> Node:
        return self._inner.add(a, b)

    def multiply(self, a: Node, b: Node) -> Node:
        return self._inner.multiply(a, b)

    def scale(self, a: Node, factor: float) -> Node:
        return self._inner.scale(a, factor)

    def total(self, a: Node) -> Node:
        return self._inner.total(a)

    def power(self, a: Node, exponent: int) -> Node:
        return self._inner.power(a, exponent)

    def log(self, a: Node) -> Node:
        return self._inner.log(a)

    def entry(self, a: Node, index: int) -> Node:
        return self._inner.entry(a, index)

    def circulant(self, a: Node) -> Node:
        return self._inner.circulant(a)

    def columns(self, a: Node, indices: tuple[int, ...]) -> Node:
        return self._inner.columns(a, indices)

    def repeat_row(self, a: Node, row: FloatArray) -> Node:
        return self._inner.repeat_row(a, row)

    def stack(self, scalars: Sequence[Node]) -> Node:
        return self._inner.stack(scalars)

    def gather(self, a: Node, rows: IntArray, columns: IntArray) -> Node:
        return self._inner.gather(a, rows, columns)


@final
@dataclass(frozen=True, eq=False)
class Recording:
    """The parameters, the scores and every rectifier of one evaluation."""

    parameters: tuple[Node, ...]
    scores: Node
    rectified: tuple[Rectified, ...]

    @property
    def kinked(self) -> tuple[Rectified, ...]:
        """The rectifiers of power 1, in order of evaluation: the layers of math §3, Kinks."""
        return tuple(one for one in self.rectified if one.power == 1.0)


def record(
    functions: MarginFunctions, theta: FloatArray, slopes: Sequence[FloatArray] | None = None
) -> Recording:
    """Evaluate the scores at θ; ``slopes`` replaces the derivative of every power-1 rectifier.

    One array of the shape of z per rectifier, in order of evaluation.
    """
    ops = _SlopeOps(slopes)
    parameters = tuple(JacobianOps.parameter(block) for block in functions.blocks(theta))
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = functions.predictor(ops, parameters, ops.constant(functions.features))
    return Recording(parameters, scores, tuple(ops.rectified))


def rows(functions: MarginFunctions, recording: Recording, support: Sequence[int]) -> FloatArray:
    """Return the elements ∇f_n for the margin functions of ``support`` (S, d)."""
    samples, weights = _seeds(functions, support)
    count = functions.data.n_samples
    result = np.zeros((len(support), functions.size))
    for c in range(weights.shape[1]):
        seed = np.ones(recording.scores.value.shape)
        if seed.ndim == 2:
            seed = np.zeros_like(seed)
            seed[:, c] = 1.0
        parts = JacobianOps.pull_back(recording.scores, seed, recording.parameters, reduce=False)
        flat = np.concatenate([part.reshape(count, -1) for part in parts], axis=1)
        result += weights[:, c, None] * flat[samples]
    return result


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
