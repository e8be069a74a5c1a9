"""Stationarity from inner products of gradients, where the gradients are too many to keep.

`K = J Jᵀ` has |S|² numbers whatever d is. It squares the condition number, so λ is refined and the
residual measured with passes through the network itself: `Jᵀλ` by one reverse pass, `J r` by one
forward pass (math §3, Accuracy).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from lexmargin.judge.autodiff.scores import Indices
from lexmargin.linalg.guarded import nonnegative_or_bounded
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.linalg.pivoting import pivoted
from lexmargin.linalg.rounding import EPS

__all__ = ["GramMeasure", "GramProblem", "gram_matrix", "row_norms"]

_REFINEMENTS: Final = 4
"""Corrections with residuals of the gradients; each gains digits, and the best is kept."""

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
@dataclass(frozen=True, eq=False)
class GramMeasure:
    """λ ≥ 0 with ε and δ measured through the network, a proven lower bound, and two floors.

    lower
        bounds ε over all λ ≥ 0 on the support; where penalised, `sqrt(ε² + δ²)`.
    floor
        rounding error that ε may carry.
    resolution
        size of ε below which K alone cannot tell; λ is refined beyond it where that succeeds.
    """

    support: Indices
    multipliers: Array
    residual: float
    complementarity: float
    lower: float
    floor: float
    resolution: float


@final
@dataclass(frozen=True, eq=False)
class GramProblem:
    """Non-negative least squares `min ‖θ̂ - Jᵀλ‖` on samples whose gradients are not kept.

    indices, gram, products
        S, `J Jᵀ` (S, S) and `J θ̂` (S,).
    excess
        `α (f_n - γ)` (S,), the share of each sample in δ.
    pull, push
        `(indices, λ) -> Jᵀλ` and `(indices, v) -> J v`.
    theta
        θ̂ (d,), of length 1.
    """

    indices: Indices
    gram: Array
    products: Array
    excess: Array
    pull: Callable[[Indices, Array], Array]
    push: Callable[[Indices, Array], Array]
    theta: Array

    def measure(self, chosen: Indices, *, penalised: bool = False) -> GramMeasure:
        """Solve on the samples ``chosen`` (positions in S); penalised minimises `ε² + δ²`."""
        square = self.gram[np.ix_(chosen, chosen)]
        excess, products = self.excess[chosen], self.products[chosen]
        share = excess if penalised else np.zeros_like(excess)
        square = square + np.outer(share, share)
        norms = np.sqrt(np.diag(square))
        divisors = np.where(norms > 0.0, norms, 1.0)
        square = square / np.outer(divisors, divisors)
        values = _solve(square, products / divisors) / divisors
        samples = self.indices[chosen]
        best = self._residual(samples, values, share)
        for _ in range(_REFINEMENTS):
            gains = self.push(samples, best[1]) - share * float(share @ values)
            passive = np.flatnonzero(values > 0.0)
            if not passive.size:
                break
            right = (gains / divisors)[passive]
            step = np.linalg.lstsq(square[np.ix_(passive, passive)], right, rcond=1e-14)[0]
            moved = values.copy()
            moved[passive] += step / divisors[passive]
            if np.any(moved < 0.0):
                break
            trial = self._residual(samples, moved, share)
            if not trial[0] < best[0]:
                break
            values, best = moved, trial
        objective, remaining = best
        gains = self.push(samples, remaining) - share * float(share @ values)
        mass = float(values @ norms) + 1.0
        return GramMeasure(
            support=samples,
            multipliers=values,
            residual=vector_norm(remaining, 2.0),
            complementarity=max(0.0, float(excess @ values)),
            lower=self._lower(objective, remaining, gains, products, norms, mass),
            floor=EPS * (samples.size + 16.0 * math.sqrt(self.theta.size)) * mass,
            resolution=math.sqrt(EPS * samples.size) * mass,
        )

    def _residual(self, samples: Indices, values: Array, share: Array) -> tuple[float, Array]:
        remaining = self.theta - self.pull(samples, values)
        return math.hypot(vector_norm(remaining, 2.0), float(share @ values)), remaining

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
        noise = 16.0 * EPS * math.sqrt(self.theta.size) * norms
        slopes = slopes - noise
        if objective == 0.0 or np.any(slopes <= 0.0):
            return 0.0
        step = max(0.0, float(np.max((gains + noise * (objective + mass * EPS)) / slopes)))
        along = float(self.theta @ remaining)
        other = max(0.0, objective**2 - along**2)
        length = math.hypot(along - step, math.sqrt(other))
        lower = (along - step) / length if length > 0.0 else 0.0
        return max(0.0, lower - EPS * (slopes.size + math.sqrt(self.theta.size)) * mass)


def _solve(square: Array, products: Array) -> Array:
    """Solve `min ½λᵀKλ - bᵀλ`, λ ≥ 0, through a square root of K where K is singular."""
    count = products.size
    if not np.any(square):
        return np.zeros(count)
    found = pivoted(square, products, np.zeros(count), products > 0.0)
    if found is not None:
        return found.values
    weights, vectors = np.linalg.eigh(square)
    kept = weights > count * EPS * weights[-1]
    roots = np.sqrt(weights[kept])
    matrix = roots[:, None] * vectors[:, kept].T
    target = (vectors[:, kept].T @ products) / roots
    return nonnegative_or_bounded(matrix, target, 30 * count + 100)[0]
