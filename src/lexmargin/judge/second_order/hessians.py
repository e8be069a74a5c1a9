"""What a second-order test asks of margin functions, whoever evaluates them."""

from __future__ import annotations

from abc import abstractmethod
from typing import final

import numpy as np

from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.functions.kinks import curvature_jumps
from lexmargin.judge.functions.symmetry import symmetry_tangents
from lexmargin.judge.second_order.curved_balls import CurvedBalls
from lexmargin.judge.tolerances import ASIDE
from lexmargin.linalg.differences import DIFFERENCE, hessian_product
from lexmargin.linalg.norms import Array
from lexmargin.margins import MarginFunctions, Margins

__all__ = ["Curved", "PredictorCurved", "RescaledCurved"]


class Curved(Margins):
    """Margin functions whose kinks and symmetries are known: a predictor's, or a network's."""

    exact: bool = True
    """Whether products are second derivatives, and no differences of gradients."""

    @property
    def fixed(self) -> Array:
        """Unit vectors (k, d) of the coordinates that no f_n depends on, as they are held."""
        return np.zeros((0, self.size))

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
    """A predictor of the toolkit, with symmetries by structure.

    Second derivatives are exact, by CasADi; or central differences of gradients by NumPy alone,
    which stay on this side of ``nearest_kink``, a part of ‖θ‖.
    """

    def __init__(
        self, functions: MarginFunctions, *, exact: bool = True, nearest_kink: float | None = None
    ) -> None:
        self.functions, self.exact = functions, exact
        self.size, self.count = functions.size, functions.count
        self._step = DIFFERENCE if nearest_kink is None else min(DIFFERENCE, ASIDE * nearest_kink)

    def values(self, theta: Array) -> Array:
        return self.functions.values(theta)

    def rows(self, theta: Array, indices: Indices) -> Array:
        return self.functions.rows(theta, indices)

    def vjp(self, theta: Array, weights: Array) -> Array:
        return self.functions.vjp(theta, weights)

    def hessian_products(self, theta: Array, weights: Array, directions: Array) -> Array:
        if self.exact:
            return self.functions.hessian_products(theta, weights, directions)

        def gradient(x: Array) -> Array:
            return self.vjp(x, weights)

        found = [hessian_product(gradient, theta, v, self._step) for v in directions]
        return np.array(found).reshape(directions.shape)

    def hessian_matrix(self, theta: Array, weights: Array) -> Array:
        if self.exact:
            return self.functions.hessian_matrix(theta, weights)
        return super().hessian_matrix(theta, weights)

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
class RescaledCurved(Curved):
    """`u -> f_n(b + s u)/r_n` for sizes s (d,) of the coordinates; those of size 0 are held at b.

    ``orbits``: whether the orbits of symmetries keep the length of u, as they keep that of s u.
    ``known``: a u and its b + s u, where that was given and evaluated: rounding would move it.
    """

    def __init__(
        self,
        inner: Curved,
        sizes: Array,
        required: Array | None = None,
        *,
        orbits: bool = True,
        base: Array | None = None,
        known: tuple[Array, Array] | None = None,
    ) -> None:
        self._inner, self._sizes, self._orbits = inner, sizes, orbits
        self._known = known
        self._required, self._base = required, np.zeros(inner.size) if base is None else base
        self._shares = np.ones(inner.count) if required is None else 1.0 / required
        self.size, self.count, self.exact = inner.size, inner.count, inner.exact

    @property
    def fixed(self) -> Array:
        held: Array = np.eye(self.size)[self._sizes == 0.0]
        return held

    def _place(self, theta: Array) -> Array:
        if self._known is not None and np.array_equal(theta, self._known[0]):
            return self._known[1]
        return np.asarray(self._base + self._sizes * theta)

    def values(self, theta: Array) -> Array:
        return self._inner.values(self._place(theta)) * self._shares

    def rows(self, theta: Array, indices: Indices) -> Array:
        found = self._inner.rows(self._place(theta), indices) * self._sizes
        return found * self._shares[indices, None]

    def vjp(self, theta: Array, weights: Array) -> Array:
        weights = weights * self._shares
        return self._inner.vjp(self._place(theta), weights) * self._sizes

    def hessian_products(self, theta: Array, weights: Array, directions: Array) -> Array:
        weights = weights * self._shares
        found = self._inner.hessian_products(self._place(theta), weights, directions * self._sizes)
        return found * self._sizes

    def hessian_matrix(self, theta: Array, weights: Array) -> Array:
        found = self._inner.hessian_matrix(self._place(theta), weights * self._shares)
        return self._sizes[:, None] * found * self._sizes

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
