"""Where a new neuron lowers the norm: ``max_{‖u‖=1} |Σ_n λ_n y_n σ(u·x_n)|`` by local ascent.

Above 1 the network is not the best of its signs and widths (Pilanci & Ergen 2020); the maximiser
and its sign say what to add. Maximisers stand on concave kinks, where gradient steps zigzag: with
the slopes of the convex terms held, the maximum over the ball is a distance from a box of
multipliers, ``min_{0<=ν<=k} ‖g - Σ_n ν_n x_n‖``, and a few of those end at a local maximiser.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.backends.kinked.relu_subproblem import TwoLayer
from lexmargin.linalg.guarded import quadratic_program
from lexmargin.ops.base import FloatArray

__all__ = ["Newborn", "newborns"]

_ASCENT = 14
"""Steps from every start: enough to reach the right cell, whose maximum is then found exactly."""
_RANDOM = 64
"""Random starts besides the samples: fewer miss newborns, which costs norm, never a word."""
_REFINED = 3
"""Least-distance solves of one newborn; they end earlier where the value does not rise."""
_APART = 0.99
"""Cosine above which two maximisers are one neuron: a double one costs a descent."""
_ROUGHLY_APART = 0.95
"""The same before they are refined: looser, as rough ends of one peak lie apart."""
_HOPELESS = 0.9
"""Share of the best value from which a start is refined: climbs gain a few parts in a hundred."""
_RIDGE = 1e-9
"""Keeps the Gram matrix of repeated samples regular; steps that gain less are rounding."""


@final
@dataclass(frozen=True, eq=False)
class Newborn:
    """A unit vector, the sign of its outer weight, and ``|Σ λ_n y_n σ(u·x_n)|`` there."""

    u: FloatArray
    sign: float
    value: float


def newborns(data: TwoLayer, multipliers: FloatArray, count: int, seed: int = 0) -> list[Newborn]:
    """Return distinct local maximisers, best first; a lower bound of the maximum, not a proof."""
    c = multipliers * data.y
    used = np.flatnonzero(c)
    if not used.size:
        return []
    rows, c = data.X[used], c[used]
    rng = np.random.default_rng(seed)
    begin = np.vstack([rows, -rows, rng.standard_normal((_RANDOM, rows.shape[1])), c @ rows])
    size = np.linalg.norm(begin, axis=1)
    begin = (begin[size > 0] / size[size > 0, None]).T
    u = np.hstack([begin, begin])
    sign = np.repeat([1.0, -1.0], begin.shape[1])
    seen, where = np.full(u.shape[1], -np.inf), u.copy()
    for step in range(_ASCENT):
        # The function is linear where no sample changes sides: its value is u times its gradient.
        gradient = rows.T @ (c[:, None] * np.where(rows @ u > 0.0, 1.0, data.slope))
        gradient *= sign
        values = np.einsum("pk,pk->k", u, gradient)
        better = values > seen
        np.copyto(seen, values, where=better)
        np.copyto(where, u, where=better)
        # Long steps cross cells of the pattern, short ones settle on their walls.
        u = u + gradient * (1.0 / ((1.0 + (8.0 / _ASCENT) * step) * _lengths(gradient)))
        u /= _lengths(u)
    distinct: list[Newborn] = []
    sides = {one: _Side.of(rows, one * c, data.slope) for one in (1.0, -1.0)}
    # The network's own units are at 1, and a climb gains a few parts in a hundred.
    best = np.where(sign > 0.0, seen[sign > 0.0].max(), seen[sign < 0.0].max())
    left = seen > _HOPELESS * np.minimum(best, 1.0)
    for k in np.argsort(-seen, kind="stable"):
        if len(distinct) == count:
            break
        if not left[k]:
            continue
        own = float(sign[k])
        ended = sides[own].refined(Newborn(where[:, k].copy(), own, float(seen[k])))
        left[k] = False
        if all(one.sign != own or one.u @ ended.u <= _APART for one in distinct):
            distinct.append(ended)
            left &= (sign != own) | (ended.u @ where <= _ROUGHLY_APART)
    return sorted(distinct, key=lambda one: -one.value)


def _lengths(columns: FloatArray) -> FloatArray:
    lengths: FloatArray = np.sqrt(np.einsum("pk,pk->k", columns, columns))
    return np.maximum(lengths, 1e-300)


@final
@dataclass(frozen=True, eq=False)
class _Side:
    """The function ``Σ c_n σ(u·x_n)`` of one outer sign, with what its box programs share.

    Attributes:
        rows, c, slope: x_n (n, p), c_n (n,), the slope below 0.
        convex: where c_n > 0, (n,).
        kinks, most: the other rows, and ``(1 - slope) |c_n|`` there.
        gram: of the kinks.
    """

    rows: FloatArray
    c: FloatArray
    slope: float
    convex: NDArray[np.bool_]
    kinks: FloatArray
    most: FloatArray
    gram: FloatArray

    @classmethod
    def of(cls, rows: FloatArray, c: FloatArray, slope: float) -> Self:
        convex = c > 0.0
        kinks = rows[~convex]
        gram = kinks @ kinks.T
        gram[np.diag_indices(len(kinks))] += _RIDGE
        return cls(rows, c, slope, convex, kinks, -(1.0 - slope) * c[~convex], gram)

    def refined(self, begun: Newborn) -> Newborn:
        """Climb from a rough maximiser; no step lowers the value."""
        best, z = begun, self.rows @ begun.u
        for _ in range(_REFINED):
            held = np.where(self.convex & (z > 0.0), 1.0, self.slope)
            pull = self._nearest((self.c * held) @ self.rows, z[~self.convex])
            length = math.sqrt(pull @ pull)
            # The length bounds the value over all u with these slopes.
            if not length > max(best.value, 0.0) * (1.0 + _RIDGE):
                break
            u = pull / length
            z = self.rows @ u
            value = float(self.c @ np.where(z > 0.0, z, self.slope * z))
            if not value > best.value * (1.0 + _RIDGE):
                break
            best = Newborn(u, begun.sign, value)
        return best

    def _nearest(self, g: FloatArray, z: FloatArray) -> FloatArray:
        """Return ``g - Σ ν_n x_n`` of least norm over ``0 <= ν <= most``; g without a solver.

        ``z`` are the kinks' pre-activations at a guess: its signs say which bounds hold.
        """
        count = self.most.size
        if not count:
            return g
        found = quadratic_program(
            self.gram, -(self.kinks @ g), np.zeros((0, count)), self.most, np.zeros(count),
            primal_tol=1e-11, dual_start=z,
        )  # fmt: skip
        # A nearly singular program can end anywhere; any ν of the box is a direction to look at.
        if found is None or found[1] < 1 or not np.all(np.isfinite(found[0])):
            return g
        return np.asarray(g - np.clip(found[0], 0.0, self.most) @ self.kinks)
