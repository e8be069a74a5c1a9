"""Where a new neuron lowers the norm: ``max_{‖u‖=1} |Σ_n λ_n y_n σ(u·x_n)|`` by local ascent.

Above 1 the network is not the best of its signs and widths (Pilanci & Ergen 2020); the maximiser
and its sign say what to add. Maximisers stand on concave kinks, where gradient steps zigzag: with
the slopes of the convex terms held, the maximum over the ball is a distance from a box of
multipliers, ``min_{0<=ν<=k} ‖g - Σ_n ν_n x_n‖``, and a few of those end at a local maximiser.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.backends.relu_subproblem import TwoLayer
from lexmargin.ops.base import FloatArray

__all__ = ["Newborn", "newborns"]

_ASCENT = 40
_RANDOM = 64
_REFINED = 3
_APART = 0.99
_ROUGHLY_APART = 0.95
_RIDGE = 1e-9


@final
@dataclass(frozen=True, eq=False)
class Newborn:
    """A unit vector, the sign of its outer weight, and ``|Σ λ_n y_n σ(u·x_n)|`` there."""

    u: FloatArray
    sign: float
    value: float


def newborns(
    data: TwoLayer, multipliers: FloatArray, count: int, steps: int = _ASCENT, seed: int = 0
) -> list[Newborn]:
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
    for step in range(steps):
        z = rows @ u
        weights = c[:, None] * np.where(z > 0.0, 1.0, data.slope)
        values = sign * np.einsum("nk,nk->k", weights, z)
        better = values > seen
        seen[better], where[:, better] = values[better], u[:, better]
        gradient = sign * (rows.T @ weights)
        length = np.maximum(np.linalg.norm(gradient, axis=0), 1e-300)
        # Long steps cross cells of the pattern, short ones settle on their walls.
        u = u + (1.0 / (1.0 + (8.0 / steps) * step)) * gradient / length
        u = u / np.maximum(np.linalg.norm(u, axis=0), 1e-300)
    distinct: list[Newborn] = []
    known = {1.0: np.zeros((0, rows.shape[1])), -1.0: np.zeros((0, rows.shape[1]))}

    def apart(u: FloatArray, sign: float, nearest: float) -> bool:
        return not (known[sign] @ u > nearest).any()

    for k in np.argsort(-seen, kind="stable"):
        if len(distinct) == count:
            break
        own = float(sign[k])
        if not apart(where[:, k], own, _ROUGHLY_APART):
            continue
        begun = Newborn(where[:, k].copy(), own, float(seen[k]))
        ended = _refined(rows, sign[k] * c, data.slope, begun)
        if apart(ended.u, own, _APART):
            distinct.append(ended)
            known[own] = np.vstack([known[own], ended.u])
    return sorted(distinct, key=lambda one: -one.value)


def _refined(rows: FloatArray, c: FloatArray, slope: float, begun: Newborn) -> Newborn:
    """Climb from a rough maximiser of ``Σ c_n σ(u·x_n)``; no step lowers the value."""
    convex = c > 0.0
    best = begun
    for _ in range(_REFINED):
        held = np.where(convex & (rows @ best.u > 0.0), 1.0, slope)
        pull = _nearest(rows[~convex], -(1.0 - slope) * c[~convex], (c * held) @ rows)
        length = float(np.linalg.norm(pull))
        if not length > max(best.value, 0.0) * (1.0 + _RIDGE):
            break
        u = pull / length
        z = rows @ u
        value = float(c @ np.where(z > 0.0, z, slope * z))
        if not value > best.value * (1.0 + _RIDGE):
            break
        best = Newborn(u, begun.sign, value)
    return best


def _nearest(kinks: FloatArray, most: FloatArray, g: FloatArray) -> FloatArray:
    """Return ``g - Σ ν_n x_n`` of least norm over ``0 <= ν <= most``; g where no solver helps."""
    import daqp

    count = most.size
    if not count:
        return g
    gram = kinks @ kinks.T
    gram[np.diag_indices(count)] += _RIDGE
    nothing = np.zeros((0, count))
    nu, _, flag, _ = daqp.solve(
        gram, -(kinks @ g), nothing, most, np.zeros(count), primal_tol=1e-11
    )
    # A nearly singular program can end anywhere; any ν of the box is a direction to look at.
    return g - np.clip(nu, 0.0, most) @ kinks if flag >= 1 and np.all(np.isfinite(nu)) else g
