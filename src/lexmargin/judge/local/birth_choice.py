"""The multipliers of a KKT point whose birth test is smallest, where they are not unique.

The birth test of one λ speaks of that λ: where the gradients are dependent, another member of the
polytope `{λ ≥ 0 : Σ λ_n ∇f_n = θ̂}` may pass it, and one that passes proves global optimality.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.inputs.limits import BIRTH_SUPPORT
from lexmargin.judge.local.birth import Birth, birth_value
from lexmargin.judge.multipliers.multiplier_set import normalised_rows
from lexmargin.linalg.guarded import TIGHT, linear_program
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray

__all__ = ["BirthChoice", "best_birth"]

_CUTTING_ROUNDS: Final = 60
"""Cutting planes at most; fewer leave a larger birth value, which only decides less."""
_RANK: Final = 1e-10
"""Relative singular value of dependent gradients, as `Tolerances.rank`: it opens the search
alone."""
_SETTLED: Final = 1e-10
"""Relative distance to the lower bound at which no other λ can do better."""


@final
@dataclass(frozen=True, eq=False)
class BirthChoice:
    """λ (N,) of smallest birth test b(λ), and ``floor``: b of every member is at least this.

    ``floor`` is a value of linear programs over finitely many directions, up to their tolerance.
    """

    multipliers: FloatArray
    birth: Birth
    floor: float


def best_birth(
    functions: MarginFunctions,
    jacobian: FloatArray,
    support: NDArray[np.intp],
    multipliers: FloatArray,
    slope: float,
    enough: float,
) -> BirthChoice:
    """Minimise `b(λ) = max_{‖u‖=1} |Σ λ_n y_n σ(u·x_n)|` over the polytope of multipliers.

    Cutting planes: a linear program over the directions u found so far, then the maximiser of the
    test at its λ. Σ λ_n is the same all over the polytope (Euler).

    Parameters
    ----------
    functions : a two-layer network of one output with `σ(z) = max(z, 0) + s min(z, 0)`.
    jacobian : (S, d) gradients of the support at θ̂.
    support : (S,) indices of the margin functions.
    multipliers : (N,) one member of the polytope.
    slope : s.
    enough : stop once b(λ) is proven to be at most this.

    Returns
    -------
    BirthChoice
        λ is the given one where the polytope is a point, or too large to search.
    """
    X = functions.data.X
    signs = functions.score_weights(np.ones(functions.count))

    def tested(weights: FloatArray) -> Birth:
        return birth_value(X, signs * weights, slope)

    best = BirthChoice(multipliers, tested(multipliers), 0.0)
    rows, norms = normalised_rows(jacobian)
    if support.size > BIRTH_SUPPORT or not np.all(norms > 0.0):
        return best
    _, sigma, basis = np.linalg.svd(rows.T, full_matrices=True)
    rank = int(np.count_nonzero(sigma > _RANK * sigma[0]))
    null = basis[rank:].T / norms[:, None]
    if not null.shape[1]:
        return BirthChoice(multipliers, best.birth, best.birth.lower)
    start = multipliers[support]
    chosen, c = X[support], signs[support]
    cuts = np.zeros((0, support.size))
    birth, floor = best.birth, 0.0
    for _ in range(_CUTTING_ROUNDS):
        if best.birth.upper <= enough or birth.lower <= floor * (1.0 + _SETTLED):
            break
        z = chosen @ birth.direction
        cuts = np.vstack([cuts, birth.sign * c * np.where(z > 0.0, z, slope * z)])
        step = _smallest(cuts, start, null)
        if step is None:
            break
        weights = np.zeros_like(multipliers)
        weights[support] = np.maximum(start + null @ step[:-1], 0.0)
        floor = max(floor, float(step[-1]))
        birth = tested(weights)
        if birth.upper < best.birth.upper:
            best = BirthChoice(weights, birth, floor)
    return BirthChoice(best.multipliers, best.birth, floor)


def _smallest(cuts: FloatArray, start: FloatArray, null: FloatArray) -> FloatArray | None:
    """Return (z, t) of least t with `λ = start + null z ≥ 0` and `cuts λ ≤ t`; None if unsolved."""
    size = float(np.max(start)) or 1.0
    scale = float(np.max(np.abs(cuts), initial=0.0)) or 1.0
    count = null.shape[1]
    answer = linear_program(
        np.append(np.zeros(count), 1.0),
        A_ub=np.vstack(
            [
                np.hstack([cuts @ null / scale, -np.ones((cuts.shape[0], 1))]),
                np.hstack([-null, np.zeros((null.shape[0], 1))]),
            ]
        ),
        b_ub=np.concatenate([-(cuts @ start) / (scale * size), start / size]),
        bounds=(None, None),
        method="highs-ds",
        options=TIGHT,
    )
    if answer.x is None or not math.isfinite(float(np.sum(answer.x))):
        return None
    found = np.asarray(answer.x) * size
    found[-1] *= scale
    return found
