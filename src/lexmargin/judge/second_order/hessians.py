"""What a second-order test asks of margin functions, whoever evaluates them."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from typing import Any, Final, final

import numpy as np

from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.functions.kinks import curvature_jumps
from lexmargin.judge.functions.symmetry import symmetry_tangents
from lexmargin.judge.second_order.curved_balls import CurvedBalls
from lexmargin.linalg.norms import Array
from lexmargin.margins import MarginFunctions

__all__ = ["Curved", "DifferencedCurved", "PredictorCurved", "RescaledCurved"]

_STEP: Final = 1e-5
"""Central differences err by about h² and eps/h: 1e-10 and 2e-11 here, relative to the gradient."""


class Curved(ABC):
    """Margin functions with second derivatives: a predictor of the toolkit, or a trained network.

    All of θ is flat (d,); weights are one number per margin function.
    """

    size: int
    """d."""
    count: int
    """Number of margin functions."""
    exact: bool = True
    """Whether products are second derivatives, and no differences of gradients."""

    @property
    def fixed(self) -> Array:
        """Unit vectors (k, d) of the coordinates that no f_n depends on, as they are held."""
        return np.zeros((0, self.size))

    @abstractmethod
    def values(self, theta: Array) -> Array:
        """Return f(θ) (N,)."""

    @abstractmethod
    def rows(self, theta: Array, indices: Indices) -> Array:
        """Return ∇f_n(θ) (S, d)."""

    @abstractmethod
    def combined_gradient(self, theta: Array, weights: Array) -> Array:
        """Return `Σ_n weights_n ∇f_n(θ)` (d,)."""

    @abstractmethod
    def products(self, theta: Array, weights: Array, directions: Array) -> Array:
        """Return `v·Σ_n weights_n ∇²f_n(θ)` for every row v of ``directions`` (m, d)."""

    @abstractmethod
    def jumps(self, theta: Array, weights: Array, tolerance: float) -> bool:
        """Tell whether the second derivative of `Σ_n weights_n f_n` may jump at θ."""

    @abstractmethod
    def tangents(self, theta: Array, support: Indices) -> Array:
        """Return an orthonormal basis (k, d) of the orbit of symmetries of margins and ℓ2 norm."""

    def distinct(self, indices: Indices) -> Indices:
        """Return the indices (S,) without functions that are known to be others over again."""
        return indices

    @property
    def balls(self) -> CurvedBalls | None:
        """The same functions in ball arithmetic, None where these are known as floats only."""
        return None


@final
class PredictorCurved(Curved):
    """A predictor of the toolkit: exact second derivatives by CasADi, symmetries by structure."""

    def __init__(self, functions: MarginFunctions) -> None:
        self.functions = functions
        self.size, self.count = functions.size, functions.count

    def values(self, theta: Array) -> Array:
        return self.functions.values(theta)

    def rows(self, theta: Array, indices: Indices) -> Array:
        return self.functions.rows(theta, indices)

    def combined_gradient(self, theta: Array, weights: Array) -> Array:
        return self.functions.combined_gradient(theta, weights)

    def products(self, theta: Array, weights: Array, directions: Array) -> Array:
        functions = self.functions
        per_sample = functions.count // functions.data.n_samples
        samples = tuple(np.unique(np.flatnonzero(weights) // per_sample).tolist())
        if not samples:
            return np.zeros(directions.shape)
        scores = functions.score_weights(weights)[list(samples)]
        compiled = _compiled(functions, samples).map(
            "hessian", "serial", len(directions), [0, 1], []
        )
        found = compiled(theta, scores.reshape(len(samples), -1), directions.T)
        return np.asarray(found.full().T)

    def jumps(self, theta: Array, weights: Array, tolerance: float) -> bool:
        return curvature_jumps(self.functions, theta, weights, tolerance)

    def tangents(self, theta: Array, support: Indices) -> Array:
        return symmetry_tangents(self.functions, theta, self.functions.jacobian(theta))

    def distinct(self, indices: Indices) -> Indices:
        per_sample = self.functions.count // self.functions.data.n_samples
        features, labels = self.functions.features, self.functions.data.y
        first: dict[tuple[int, bytes, bytes], int] = {}
        for n in indices.tolist():
            sample = n // per_sample
            key = (n % per_sample, features[sample].tobytes(), labels[sample].tobytes())
            first.setdefault(key, n)
        return np.array(list(first.values()), dtype=np.intp)

    @property
    def balls(self) -> CurvedBalls:
        return CurvedBalls(self.functions, np.ones(self.size), np.zeros(self.size))


@final
class DifferencedCurved(Curved):
    """A predictor of the toolkit by NumPy alone: products are central differences of gradients.

    Differences stay on this side of the nearest kink, which is a part of ‖θ‖.
    """

    exact = False

    def __init__(self, functions: MarginFunctions, nearest_kink: float | None) -> None:
        self._inner = PredictorCurved(functions)
        self.size, self.count = functions.size, functions.count
        self._step = _STEP if nearest_kink is None else min(_STEP, 0.1 * nearest_kink)

    def values(self, theta: Array) -> Array:
        return self._inner.values(theta)

    def rows(self, theta: Array, indices: Indices) -> Array:
        return self._inner.rows(theta, indices)

    def combined_gradient(self, theta: Array, weights: Array) -> Array:
        return self._inner.combined_gradient(theta, weights)

    def products(self, theta: Array, weights: Array, directions: Array) -> Array:
        step = self._step * float(np.linalg.norm(theta))
        found = np.zeros(directions.shape)
        for row, direction in enumerate(directions):
            size = float(np.linalg.norm(direction))
            if size == 0.0:
                continue
            shift = direction * (step / size)
            ahead = self.combined_gradient(theta + shift, weights)
            behind = self.combined_gradient(theta - shift, weights)
            found[row] = (ahead - behind) * (size / (2.0 * step))
        return found

    def jumps(self, theta: Array, weights: Array, tolerance: float) -> bool:
        return self._inner.jumps(theta, weights, tolerance)

    def tangents(self, theta: Array, support: Indices) -> Array:
        return self._inner.tangents(theta, support)

    def distinct(self, indices: Indices) -> Indices:
        return self._inner.distinct(indices)

    @property
    def balls(self) -> CurvedBalls:
        return self._inner.balls


@final
class RescaledCurved(Curved):
    """`u -> f_n(b + s u)/r_n` for sizes s (d,) of the coordinates; those of size 0 are held at b.

    ``orbits``: whether the orbits of symmetries keep the length of u, as they keep that of s u.
    """

    def __init__(
        self,
        inner: Curved,
        sizes: Array,
        required: Array | None = None,
        *,
        orbits: bool = True,
        base: Array | None = None,
    ) -> None:
        self._inner, self._sizes, self._orbits = inner, sizes, orbits
        self._required, self._base = required, np.zeros(inner.size) if base is None else base
        self._shares = np.ones(inner.count) if required is None else 1.0 / required
        self.size, self.count, self.exact = inner.size, inner.count, inner.exact

    @property
    def fixed(self) -> Array:
        held: Array = np.eye(self.size)[self._sizes == 0.0]
        return held

    def _place(self, theta: Array) -> Array:
        return self._base + self._sizes * theta

    def values(self, theta: Array) -> Array:
        return self._inner.values(self._place(theta)) * self._shares

    def rows(self, theta: Array, indices: Indices) -> Array:
        found = self._inner.rows(self._place(theta), indices) * self._sizes
        return found * self._shares[indices, None]

    def combined_gradient(self, theta: Array, weights: Array) -> Array:
        weights = weights * self._shares
        return self._inner.combined_gradient(self._place(theta), weights) * self._sizes

    def products(self, theta: Array, weights: Array, directions: Array) -> Array:
        weights = weights * self._shares
        found = self._inner.products(self._place(theta), weights, directions * self._sizes)
        return found * self._sizes

    def jumps(self, theta: Array, weights: Array, tolerance: float) -> bool:
        return self._inner.jumps(self._place(theta), weights, tolerance)

    def tangents(self, theta: Array, support: Indices) -> Array:
        found = self._inner.tangents(self._place(theta), support)
        free = self._sizes != 0.0
        if not self._orbits or np.any(found[:, ~free]):
            return np.zeros((0, self.size))
        found[:, free] /= self._sizes[free]
        result: Array = np.linalg.qr(found.T)[0].T
        return result

    def distinct(self, indices: Indices) -> Indices:
        # Equal f_n of which more is required are other functions.
        shares = self._shares[indices]
        groups = [self._inner.distinct(indices[shares == share]) for share in np.unique(shares)]
        return np.concatenate(groups) if groups else indices

    @property
    def balls(self) -> CurvedBalls | None:
        inner = self._inner.balls
        if inner is None:
            return None
        return CurvedBalls(inner.functions, self._sizes, self._base, self._required)


@functools.lru_cache(maxsize=16)
def _compiled(functions: MarginFunctions, samples: tuple[int, ...]) -> Any:
    import casadi as ca

    from lexmargin.ops.casadi import CasadiArray, CasadiOps

    ops = CasadiOps()
    flat = ca.MX.sym("theta", functions.size)
    blocks, first = [], 0
    for shape in functions.shapes:
        last = first + math.prod(shape)
        part = flat[first:last]
        matrix = ca.reshape(part, shape[1], shape[0]).T if len(shape) == 2 else part
        blocks.append(CasadiArray(matrix, shape))
        first = last
    scores = functions.predictor(ops, blocks, ops.constant(functions.features[list(samples)]))
    columns = functions.predictor.outputs if functions.multi_class else 1
    weights = ca.MX.sym("weights", len(samples), columns)
    combined = ca.dot(weights, scores.matrix)
    # Direction by direction: one symbolic Hessian of a deep network takes minutes to build.
    v = ca.MX.sym("v", functions.size)
    applied = ca.jtimes(ca.gradient(combined, flat), flat, v)
    return ca.Function("product", [flat, weights, v], [applied])
