"""The lexicographic max margin of linear margins in rational arithmetic (Definition 5).

The ties seen in floats are solved exactly for θ; then every level has a rational λ ≥ 0 whose bound,
`min_U f_n(θ') ≤ ‖Zᵀλ‖_* - Σ_F λ_n v_n` with `Σ_U λ_n = 1`, is exactly the level. A free sample with
λ_n > 0 is then tight in every optimum, so that the chain proves the sorted margins of θ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.inputs.limits import EXACT_LEVEL_ENTRIES
from lexmargin.judge.levels.level_duals import level_dual
from lexmargin.judge.levels.level_face import LevelDual, LevelFace
from lexmargin.judge.multipliers.polyhedral import smallest_dual_norm
from lexmargin.judge.proofs.polyhedral import (
    exact_length,
    found_vertex,
    level_fails,
    lowest_free,
    supporting_weights,
    tied_point,
)
from lexmargin.judge.proofs.proof import Arithmetic, Proof, Witness
from lexmargin.judge.proofs.rational import (
    Vector,
    as_floats,
    first_exact,
    positive_entries,
    to_text,
)
from lexmargin.judge.tolerances import PROVED_NEAR
from lexmargin.linalg.exact import matvec, to_fractions
from lexmargin.linalg.norms import Array, vector_norm

__all__ = ["check_exact_levels", "exact_levels"]


def exact_levels(Z: Array, norm: float, theta: Array, count: int) -> Proof | str:
    """Compare the ``count`` smallest margins of θ with the exact levels near it (Definition 5).

    Args:
        Z: (N, d) rows z_n, each double at its exact value.
        norm: 1 or inf.
        theta: (d,) a direction with the right ties.
        count: how many levels.

    Returns:
        The proof, whose gap is the largest difference of a level in units of the first; or why
        there is none.
    """
    if Z.size * count > EXACT_LEVEL_ENTRIES:
        return f"{Z.shape[0]} × {Z.shape[1]} margins at {count} levels are too many"
    unit = theta / vector_norm(theta, norm)
    if not float(np.min(Z @ unit)) > 0.0:
        return "a margin is not positive"
    why = "the ties of this direction have no exact solution"

    def attempt(tolerance: float) -> Witness | None:
        nonlocal why
        point = tied_point(Z, norm, unit, count, tolerance)
        if point is None:
            return None
        chain = _chain(matvec(Z, point), count, _Search(Z, norm, point))
        if isinstance(chain, str):
            why = chain
            return None
        return Witness(point, chain)

    witness = first_exact(attempt) or found_vertex(Z, norm, count)
    if witness is None:
        return why
    levels = tuple(sorted(matvec(Z, witness.point)))[:count]
    given = to_fractions(theta.tolist())
    length = exact_length(given, norm)
    reached = sorted(value / length for value in matvec(Z, given))[:count]
    gap = float(max(abs(a - b) for a, b in zip(levels, reached, strict=True)) / levels[0])
    shown = ", ".join(f"{float(value):.12g}" for value in levels[:8])
    more = f", … ({count} in all)" if count > 8 else ""
    return Proof(
        kind=Arithmetic.RATIONAL,
        proved=gap <= PROVED_NEAR,
        statement=f"the levels are {shown}{more}, in rational arithmetic, by a chain of "
        f"{len(witness.multipliers)} dual vectors; those of the direction given are {gap:.3e} of "
        "the first away",
        facts={
            "norm": "inf" if math.isinf(norm) else norm,
            "levels": [to_text(value) for value in levels],
            "direction": as_floats(witness.point),
            "weights": [
                {str(n): x for n, x in positive_entries(weights).items()}
                for weights in witness.multipliers
            ],
        },
        gap=gap,
        value=levels,
        witness=witness,
    )


def check_exact_levels(
    Z: Array, norm: float, theta: Vector, chain: Sequence[Vector], count: int
) -> str:
    """Return "" if the chain proves the ``count`` smallest margins of θ, else why not; exact."""
    if exact_length(theta, norm) != 1:
        return "θ is not of norm 1"
    margins, rest = matvec(Z, theta), iter(chain)

    def given(fixed: Sequence[bool]) -> Vector | str:
        weights = next(rest, None)
        if weights is None:
            return "the chain is too short"
        return level_fails(Z, norm, margins, fixed, weights) or weights

    found = _chain(margins, count, given)
    return found if isinstance(found, str) else ""


def _chain(
    margins: Vector, count: int, next_level: Callable[[Sequence[bool]], Vector | str]
) -> tuple[Vector, ...] | str:
    """Return the weights level by level until ``count`` samples are held, or why they end before.

    ``next_level``: weights that prove the level of the samples that are not yet held, or why there
    are none.
    """
    fixed, chain = [False] * len(margins), list[Vector]()
    while sum(fixed) < count:
        weights = next_level(tuple(fixed))
        if isinstance(weights, str):
            return f"level {len(chain) + 1}: {weights}"
        chain.append(weights)
        lowest = lowest_free(margins, fixed)
        for n, (m, x) in enumerate(zip(margins, weights, strict=True)):
            fixed[n] = fixed[n] or (x > 0 and m == lowest)
    return tuple(chain)


@final
class _Search:
    """Exact weights of one level after another, from guesses in floats."""

    def __init__(self, Z: Array, norm: float, point: Vector) -> None:
        self.Z, self.norm, self.point = Z, norm, point
        self.margins = matvec(Z, point)
        self.face = LevelFace(Z, np.array(as_floats(point)), norm)
        self.free = np.ones(Z.shape[0], dtype=bool)
        self.guess: LevelDual | None = None

    def __call__(self, fixed: Sequence[bool]) -> Vector | str:
        free = ~np.array(fixed)
        if self.guess is not None:
            self.face.extend(self.guess, self.free, np.flatnonzero(self.free & ~free))
        self.guess, self.free = level_dual(self.face, free), free
        return (
            self._exact(fixed, self.guess.weights)
            or self._exact(fixed, self._vertex(free))
            or "no exact proof by the weights that were found"
        )

    def _exact(self, fixed: Sequence[bool], guess: Array) -> Vector | None:
        return supporting_weights(self.Z, self.norm, self.point, self.margins, fixed, guess)

    def _vertex(self, free: NDArray[np.bool_]) -> Array:
        held = np.where(free, 0.0, np.array(as_floats(self.margins)))
        return smallest_dual_norm(self.Z, held, self.norm, free)
