"""Where a new neuron lowers the norm: ``max_{‖u‖=1} |Σ_n λ_n y_n σ(u·x_n)|`` by local ascent.

Above 1 the network is not the best of its signs and widths (Pilanci & Ergen 2020); the maximiser
and its sign say what to add.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.backends.relu_subproblem import TwoLayer
from lexmargin.ops.base import FloatArray

__all__ = ["Newborn", "newborns"]

_ASCENT = 40
_RANDOM = 16


@final
@dataclass(frozen=True, eq=False)
class Newborn:
    """A unit vector, the sign of its outer weight, and ``|Σ λ_n y_n σ(u·x_n)|`` there."""

    u: FloatArray
    sign: float
    value: float


def newborns(
    data: TwoLayer, multipliers: FloatArray, count: int, steps: int = _ASCENT
) -> list[Newborn]:
    """Return distinct local maximisers, best first; a lower bound of the maximum, not a proof."""
    c = multipliers * data.y
    used = np.flatnonzero(c)
    if not used.size:
        return []
    rows, c = data.X[used], c[used]
    rng = np.random.default_rng(0)
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
    for k in np.argsort(-seen, kind="stable"):
        if len(distinct) == count:
            break
        if all(sign[k] != o.sign or where[:, k] @ o.u < 0.99 for o in distinct):
            distinct.append(Newborn(where[:, k].copy(), float(sign[k]), float(seen[k])))
    return distinct
