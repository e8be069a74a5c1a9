"""Stationarity from inner products of gradients, where the gradients are too many to keep."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.multipliers.by_products import Products, by_products
from lexmargin.judge.multipliers.stationarity import Stationarity, measured
from lexmargin.judge.multipliers.supports import Ladder
from lexmargin.judge.multipliers.weight_reach import weight_reach
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.linalg.rounding import EPS, ROUNDED
from lexmargin.margins import Margins

__all__ = ["Gram", "gram_matrix", "row_norms"]

RowsOf = Callable[[Indices], Array]


def gram_matrix(rows: RowsOf, indices: Indices, dimension: int, memory: float) -> Array:
    """Return `K = J Jᵀ` (S, S) in tiles, two of which fit ``memory`` bytes; rows are discarded.

    The order of the tiles and of the sums within is fixed, so that K is the same every time.
    """
    count = indices.size
    tile = max(1, min(count, int(memory / (2.0 * 8.0 * dimension))))
    starts = list(range(0, count, tile))
    found = np.empty((count, count))
    for a in starts:
        left = rows(indices[a : a + tile])
        found[a : a + tile, a : a + tile] = left @ left.T
        for b in starts[starts.index(a) + 1 :]:
            product = left @ rows(indices[b : b + tile]).T
            found[a : a + tile, b : b + tile] = product
            found[b : b + tile, a : a + tile] = product.T
    return found


def row_norms(rows: RowsOf, indices: Indices, dimension: int, memory: float) -> Array:
    """Return ‖∇f_n‖ (S,), the rows formed in chunks and discarded."""
    chunk = max(1, int(memory / (2.0 * 8.0 * dimension)))
    parts = [
        np.linalg.norm(rows(indices[a : a + chunk]), axis=1) for a in range(0, indices.size, chunk)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


@final
class Gram(Ladder):
    """Non-negative least squares `min ‖θ̂ - Jᵀλ‖` on margins whose gradients are not kept.

    Args:
        margins: gradients a few at a time.
        theta: θ (d,) of any length.
        degree: α.
        widest: the largest τ of a support.
        memory: bytes that gradients may take at a time.
    """

    whole = False

    def __init__(
        self, margins: Margins, theta: Array, degree: float, widest: float, memory: float
    ) -> None:
        size = vector_norm(theta, 2.0)
        self._source, self._at, self._memory, self._degree = margins, theta, memory, degree
        self.theta = theta / size
        # f/‖θ‖ and ∇f differ from f(θ̂) and ∇f(θ̂) by one factor ‖θ‖^{α-1}.
        self.margins: Array = margins.values(theta) / size
        self.indices = self.support(widest)
        self.gram = gram_matrix(self._rows, self.indices, self.theta.size, memory)
        self.products = margins.jvp(theta, self.theta, self.indices)

    def _rows(self, indices: Indices) -> Array:
        return self._source.rows(self._at, indices)

    @property
    def excess(self) -> Array:
        """`α (f_n - γ)` (N,), the share of each margin in δ."""
        return self._degree * (self.margins - float(np.min(self.margins)))

    def reach(self, far: Indices) -> float:
        def lengths(some: Indices) -> Array:
            return row_norms(self._rows, some, self.theta.size, self._memory)

        return weight_reach(far, lengths, self.excess, self.theta, 2.0)

    def square(self, support: Indices) -> Array:
        """Return `J Jᵀ` of a support within the widest (S, S)."""
        chosen = np.searchsorted(self.indices, support)
        return self.gram[np.ix_(chosen, chosen)]

    def on(self, support: Indices, *, penalised: bool = False) -> Stationarity:
        square, excess = self.square(support), self.excess[support]
        products = self.products[np.searchsorted(self.indices, support)]
        share = excess if penalised else np.zeros_like(excess)
        square = square + np.outer(share, share)
        norms = np.sqrt(np.diag(square))
        divisors = np.where(norms > 0.0, norms, 1.0)
        square = square / np.outer(divisors, divisors)
        scaled_products = products / divisors
        found = by_products(_Passes(divisors, square, scaled_products, self, support, share))
        values, gains = found.scaled / divisors, found.slopes * divisors
        mass = float(values @ norms) + 1.0
        remaining = found.residual[:-1]
        length = vector_norm(remaining, 2.0)
        lower = self._lower(found.length, remaining, gains, products, norms, mass)
        floor = EPS * (support.size + 16.0 * math.sqrt(self.theta.size)) * mass
        return measured(
            self.margins,
            self._degree,
            support,
            values,
            (length, lower, floor),
            math.sqrt(EPS * support.size) * mass,
        )

    def remainder(self, passes: _Passes, values: Array) -> tuple[Array, Array]:
        """Return t - Jᵀλ and J r for λ (S,); the rows of J r divided by their lengths."""
        weights, missed = np.zeros(self.margins.size), -float(passes.share @ values)
        weights[passes.support] = values
        remaining = self.theta - self._source.vjp(self._at, weights)
        gains = self._source.jvp(self._at, remaining, passes.support) + passes.share * missed
        return np.append(remaining, missed), gains / passes.norms

    def _lower(
        self,
        objective: float,
        remaining: Array,
        gains: Array,
        slopes: Array,
        norms: Array,
        mass: float,
    ) -> float:
        """Return `θ̂·r/‖r‖` for a residual r repaired along θ̂ until `J r ≤ 0`: a bound by duality.

        The second entry of r in the penalised problem belongs to a target of 0.
        """
        noise = 2.0 * ROUNDED * math.sqrt(self.theta.size) * norms
        slopes = slopes - noise
        if objective == 0.0 or np.any(slopes <= 0.0):
            return 0.0
        step = max(0.0, float(np.max((gains + noise * (objective + mass * EPS)) / slopes)))
        along = float(self.theta @ remaining)
        other = max(0.0, objective**2 - along**2)
        length = math.hypot(along - step, math.sqrt(other))
        lower = (along - step) / length if length > 0.0 else 0.0
        return max(0.0, lower - EPS * (slopes.size + math.sqrt(self.theta.size)) * mass)


@final
@dataclass(frozen=True, eq=False)
class _Passes(Products):
    """Gradients of a support by passes through the network: `Jᵀλ` reverse, `J r` forward.

    One more entry of the target, 0, has the shares of δ as its column; the residual ends with it.
    """

    ladder: Gram
    support: Indices
    share: Array

    def remainder(self, scaled: Array) -> tuple[Array, Array]:
        return self.ladder.remainder(self, scaled / self.norms)
