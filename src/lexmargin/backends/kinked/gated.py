"""Networks of (leaky) ReLU units with their gates held: the polynomials such a net is made of.

With the slope of every unit at every sample held, ``f(θ) = e·W_L D_{L-1} W_{L-1} … D_1 W_1 x`` is
linear in every block: values, gradients and second derivatives are products of matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.errors import UnsupportedError
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, IntArray
from lexmargin.predictors.networks import fully_connected

__all__ = ["GatedNetwork", "Pieces", "gated_network"]


@final
@dataclass(frozen=True, eq=False)
class Pieces:
    """Some margin functions with gates held, evaluated at one θ.

    Attributes:
        values: ``f^p(θ)``, (P,).
        rows: ``∇f^p(θ)``, (P, d).
        felt: ``∂f^p/∂(output of every unit)``, one (P, width) per hidden layer.
    """

    values: FloatArray
    rows: FloatArray
    felt: tuple[FloatArray, ...]
    _inputs: tuple[FloatArray, ...]
    _pulled: tuple[FloatArray, ...]
    _gates: tuple[FloatArray, ...]
    _weights: tuple[FloatArray, ...]

    def hessian(self, multipliers: FloatArray) -> FloatArray:
        """Return ``Σ_p multipliers_p ∇²f^p(θ)``, (d, d)."""
        used = np.flatnonzero(multipliers)
        inputs = [h[used] for h in self._inputs]
        pulled = [s[used] * multipliers[used, None] for s in self._pulled]
        gates = [g[used] for g in self._gates]
        sizes = [w.size for w in self._weights]
        ends = np.cumsum([0, *sizes])
        result = np.zeros((int(ends[-1]), int(ends[-1])))
        depth = len(self._weights)
        for k in range(depth - 1):
            # path[p] = ∂(input of block m)/∂(pre-activation of block k), grown layer by layer.
            width = self._weights[k].shape[0]
            path = gates[k][:, :, None] * np.eye(width)
            for m in range(k + 1, depth):
                # ∂²/∂W_k[i,j] ∂W_m[a,b] = Σ_p pulled_m[a] path[b,i] input_k[j]
                outer = pulled[m][:, :, None] * inputs[k][:, None, :]
                count, b, i = path.shape
                block = path.reshape(count, b * i).T @ outer.reshape(count, -1)
                a, j = outer.shape[1:]
                block = block.reshape(b, i, a, j).transpose(1, 3, 2, 0)
                block = block.reshape(i * j, a * b)
                result[ends[k] : ends[k + 1], ends[m] : ends[m + 1]] = block
                result[ends[m] : ends[m + 1], ends[k] : ends[k + 1]] = block.T
                if m < depth - 1:
                    path = gates[m][:, :, None] * (self._weights[m] @ path)
        return result


@final
@dataclass(frozen=True, eq=False)
class GatedNetwork:
    """The margin functions ``f_r(θ) = e_r·F(x_{n(r)}; θ)`` of a network of power-1 units.

    Attributes:
        X: samples (N, p), at a scale where the largest has length 1.
        widths: of the hidden layers.
        slope: of σ left of 0.
        samples: n(r), (R,).
        seeds: e_r, (R, C): ±1, or +1 for the own class and -1 for another.
    """

    X: FloatArray
    widths: tuple[int, ...]
    slope: float
    samples: IntArray
    seeds: FloatArray

    @property
    def degree(self) -> float:
        """L, one for every block."""
        return float(len(self.widths) + 1)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Shapes of the blocks, the last as a matrix."""
        sizes = (self.X.shape[1], *self.widths, self.seeds.shape[1])
        return [(sizes[k + 1], sizes[k]) for k in range(len(sizes) - 1)]

    def blocks(self, theta: FloatArray) -> list[FloatArray]:
        """Return W_1, …, W_L as matrices."""
        shapes = self.shapes
        ends = np.cumsum([0, *(a * b for a, b in shapes)])
        return [theta[ends[k] : ends[k + 1]].reshape(shape) for k, shape in enumerate(shapes)]

    def evaluated(self, theta: FloatArray) -> tuple[FloatArray, list[FloatArray]]:
        """Return all f_r(θ), and the pre-activations, one (N, width) per hidden layer."""
        *hidden, last = self.blocks(theta)
        h, found = self.X, []
        for weights in hidden:
            z = h @ weights.T
            found.append(z)
            h = np.where(z > 0.0, z, self.slope * z)
        scores = h @ last.T
        return np.einsum("rc,rc->r", self.seeds, scores[self.samples]), found

    def gates(self, pre_activations: Sequence[FloatArray], rows: IntArray) -> list[FloatArray]:
        """Return the slopes of all units at the samples of some margin functions."""
        own = self.samples[rows]
        return [np.where(z[own] > 0.0, 1.0, self.slope) for z in pre_activations]

    def pieces(self, theta: FloatArray, rows: IntArray, gates: Sequence[FloatArray]) -> Pieces:
        """Return the margin functions ``rows`` with gates held, at θ."""
        weights = self.blocks(theta)
        depth = len(weights)
        inputs = [self.X[self.samples[rows]]]
        for k in range(depth - 1):
            inputs.append(gates[k] * (inputs[k] @ weights[k].T))
        pulled: list[FloatArray] = [self.seeds[rows]]
        felt: list[FloatArray] = []
        for k in range(depth - 1, 0, -1):
            felt.insert(0, pulled[0] @ weights[k])
            pulled.insert(0, gates[k - 1] * felt[0])
        values = np.einsum("pc,pc->p", self.seeds[rows], inputs[-1] @ weights[-1].T)
        parts = [
            (s[:, :, None] * h[:, None, :]).reshape(rows.size, -1)
            for s, h in zip(pulled, inputs, strict=True)
        ]
        return Pieces(
            values,
            np.concatenate(parts, axis=1),
            tuple(felt),
            tuple(inputs),
            tuple(pulled),
            tuple(gates),
            tuple(weights),
        )


def gated_network(functions: MarginFunctions, slope: float) -> tuple[GatedNetwork, float]:
    """Return the margin functions of a kinked network, at unit 1, and the scale of X taken out."""
    network = fully_connected(functions.predictor)
    if network is None:
        raise UnsupportedError(
            f"{type(functions.predictor).__name__} is no network without biases.",
            "Give such a Network.",
        )
    X, data = functions.features, functions.data
    largest = float(np.linalg.norm(X, axis=1).max(initial=0.0))
    scale = largest if largest > 0 else 1.0
    if not functions.multi_class:
        samples = np.arange(data.n_samples)
        seeds = np.asarray(data.signed, dtype=float)[:, None]
    else:
        classes = network.outputs
        labels = data.y if data.y.min() >= 0 else (data.y + 1) // 2
        samples, other = np.nonzero(np.arange(classes)[None, :] != labels[:, None])
        seeds = np.zeros((samples.size, classes))
        seeds[np.arange(samples.size), labels[samples]] = 1.0
        seeds[np.arange(samples.size), other] = -1.0
    return GatedNetwork(X / scale, tuple(network.widths), slope, samples, seeds), scale
