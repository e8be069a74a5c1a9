"""Constraint qualifications of the original constraints `f_n ≥ γ`, and the set of multipliers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.inputs.limits import NULL_SPACE_ENTRIES, RANGED_MULTIPLIERS, SVD_WORK
from lexmargin.judge.multipliers.multiplier_set import (
    nonnegative_multipliers,
    normalised_rows,
    smallest_hull_point,
)
from lexmargin.linalg.guarded import TIGHT, linear_program
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.linalg.rows import is_dense, row_lengths

__all__ = [
    "GradientChoice",
    "LicqReport",
    "MfcqReport",
    "MultiplierSet",
    "compact",
    "licq",
    "mfcq",
    "multiplier_set",
    "proved_independent",
]


_MOVES: Final = 1e-9
"""Entry of a null space in which a weight does not move; a false one costs two programs."""
_MET: Final = 1e-6
"""Of a share: a residual as small is rounding, and every gradient can carry weight."""
_CARRIED: Final = 1e-7
"""Largest share of a weight that is 0 throughout: more than the programs are off by."""
_SHARE: Final = 1e-3
"""Part of an equal share that shows a weight can be positive: programs resolve 1e-10 of it."""
_SHORTEST, _LONGEST = 1e-140, 1e140
"""Lengths of rows whose squares are normal doubles, rounding included."""


@final
class GradientChoice(StrEnum):
    """Whose independence a report speaks of, where a power-1 ReLU has no gradient."""

    GRADIENTS = "gradients"
    """The gradients themselves: no kink is near."""
    SLOPE_ZERO = "slope-0"
    """At a kink, the elements with slope 0 there, one arbitrary choice."""
    CHOSEN = "chosen-elements"
    """At a kink, the elements of the generalised gradients that the multipliers combine."""


@final
@dataclass(frozen=True)
class LicqReport:
    """Linear independence of the support gradients (Assumption 5), each divided by its norm.

    ``rank`` counts singular values above the tolerance times the largest; it is None where the
    matrix is too large to factorise and the count alone decides. ``sigma_min`` is the count-th
    singular value, 0 when there are more gradients than parameters.
    """

    holds: bool
    rank: int | None
    count: int
    sigma_min: float
    sigma_max: float
    of: GradientChoice = GradientChoice.GRADIENTS

    def __bool__(self) -> bool:
        return self.holds


@final
@dataclass(frozen=True, eq=False)
class MfcqReport:
    """Mangasarian-Fromovitz: a direction v, ‖v‖₂ = 1, with slack = min ∇f_n·v/‖∇f_n‖ > 0."""

    holds: bool
    slack: float
    direction: Array

    def __bool__(self) -> bool:
        return self.holds


@final
@dataclass(frozen=True, eq=False)
class MultiplierSet:
    """The polytope `{λ ≥ 0 : Jᵀλ = g}`: its dimension and each multiplier's range (S,).

    ``low`` and ``high`` are None where the support is too large to ask for every range, the
    dimension where it is too large to factorise.
    """

    dimension: int | None
    low: Array | None = None
    high: Array | None = None

    @property
    def ranges(self) -> tuple[tuple[float, float], ...] | None:
        """(low, high) of every multiplier."""
        if self.low is None or self.high is None:
            return None
        return tuple(zip(self.low.tolist(), self.high.tolist(), strict=True))

    def scaled(self, change: Callable[[Array], Array]) -> MultiplierSet:
        """Return the set with ranges in other units."""
        low, high = (None if x is None else change(x) for x in (self.low, self.high))
        return MultiplierSet(self.dimension, low, high)


def compact(jacobian: Array) -> Array:
    """Return rows with the same inner products in at most S columns, by one rotation.

    Independence and the multipliers' polytope depend on the inner products alone.
    """
    count, dimension = jacobian.shape
    if dimension <= count:
        return jacobian
    return np.transpose(np.asarray(np.linalg.qr(jacobian.T, mode="r")))


def licq(jacobian: Array, tolerance: float) -> LicqReport:
    """Judge whether the gradients (S, d) are linearly independent; more than d of them never are.

    Parameters
    ----------
    jacobian : (S, d) gradients of the support.
    tolerance : relative singular value below which directions count as dependent.
    """
    count, dimension = jacobian.shape
    if count == 0 or dimension == 0:
        return LicqReport(count == 0, 0, count, 0.0, 0.0)
    if _too_large(count, dimension) and count > dimension:
        return LicqReport(False, None, count, 0.0, float("nan"))
    rows, _ = normalised_rows(jacobian)
    # More columns than rows only rotate: the triangular factor has the same singular values.
    matrix = rows if dimension <= count else np.linalg.qr(rows.T, mode="r")
    sigma = np.linalg.svd(matrix, compute_uv=False)
    largest = float(sigma[0])
    rank = int(np.count_nonzero(sigma > tolerance * largest))
    smallest = float(sigma[count - 1]) if count <= dimension else 0.0
    return LicqReport(rank == count, rank, count, smallest, largest)


def _too_large(count: int, dimension: int) -> bool:
    return float(count) * dimension * min(count, dimension) > SVD_WORK


def proved_independent(jacobian: Array) -> bool:
    """Prove in exact arithmetic, modulo the prime 2⁶¹-1, that the rows as given are independent.

    False proves nothing. A numerical rank deficiency and a proof of independence can both be true:
    the one speaks of the gradients up to rounding, the other of the very numbers.
    """
    if jacobian.shape[0] > jacobian.shape[1]:
        return False
    from lexmargin.linalg.exact import rank_mod_prime

    return int(rank_mod_prime(jacobian)) == int(jacobian.shape[0])


def mfcq(jacobian: Any, tolerance: float, direction: Array | None = None) -> MfcqReport:
    """Judge the Mangasarian-Fromovitz condition on gradients (S, d); CSR needs a direction.

    For α-homogeneous f_n with γ > 0 the direction θ̂ proves it, as `∇f_n·θ̂ = α f_n > 0`. Without
    a direction the shortest vector of the normalised gradients' convex hull is tried; it proves
    the condition whenever it holds (Gordan).
    """
    rows, lengths = jacobian, row_lengths(jacobian)
    if direction is None or (is_dense(rows) and not _in_range(lengths)):
        rows, lengths = normalised_rows(jacobian)[0], np.ones(jacobian.shape[0])
    if direction is None:
        weights, _ = smallest_hull_point(rows)
        direction = weights @ rows
    size = vector_norm(direction, 2.0)
    unit = direction / size if size > 0.0 else direction
    divisors = np.where(lengths > 0.0, lengths, 1.0)
    slack = float(np.min((rows @ unit) / divisors, initial=np.inf)) if rows.shape[0] else 1.0
    return MfcqReport(slack > tolerance, slack, unit)


def _in_range(lengths: Array) -> bool:
    """Say whether no square of an entry that matters has left the range of doubles."""
    return bool(np.all((lengths > _SHORTEST) & (lengths < _LONGEST)))


def multiplier_set(
    jacobian: Array, multipliers: Array, tolerance: float, range_limit: int = RANGED_MULTIPLIERS
) -> MultiplierSet:
    """Describe `{λ' ≥ 0 : Jᵀλ' = Jᵀλ}`, the multipliers that serve as well as λ.

    The dimension of this polytope is the nullity of the gradients that can carry weight in it, not
    of all: a dependent gradient whose multiplier is 0 throughout does not count.

    Parameters
    ----------
    jacobian : (S, d) gradients of the support.
    multipliers : λ (S,), one member of the set.
    tolerance : relative singular value of dependence.
    """
    rows, norms = normalised_rows(jacobian)
    live = np.flatnonzero(norms > 0.0)
    if live.size == 0 or not np.any(multipliers[live]):
        return MultiplierSet(0, multipliers.copy(), multipliers.copy())
    if _too_large(live.size, max(live.size, rows.shape[1])):
        return MultiplierSet(None)
    rows = rows[live]
    weights = multipliers[live] * norms[live]
    total = float(np.sum(weights))
    weights = weights / total
    rows = compact(rows)
    dimension = _dimension(rows, tolerance)
    if dimension == 0:
        return MultiplierSet(0, multipliers.copy(), multipliers.copy())
    if live.size <= range_limit:
        low, high = _ranges(weights, _null_space(rows, dimension))
        positive = high > _CARRIED
        spread_low, spread_high = multipliers.copy(), multipliers.copy()
        spread_low[live] = low * total / norms[live]
        spread_high[live] = high * total / norms[live]
        return MultiplierSet(_dimension(rows[positive], tolerance), spread_low, spread_high)
    # λ = μ + δ > 0 with Jᵀλ = g exists exactly where g - δ Σ rows lies in the cone: one least
    # squares settles the common case that every gradient can carry weight.
    small = _SHARE / live.size
    inner = nonnegative_multipliers(rows, weights @ rows - small * np.sum(rows, axis=0))
    if inner.residual <= _MET * small:
        return MultiplierSet(dimension)
    if live.size * dimension > NULL_SPACE_ENTRIES:
        return MultiplierSet(None)
    positive = _possible(weights, _null_space(rows, dimension))
    return MultiplierSet(_dimension(rows[positive], tolerance))


def _null_space(rows: Array, dimension: int) -> Array:
    """Return an orthonormal basis (S, dimension) of what combines the rows to 0."""
    basis = np.linalg.svd(rows.T, full_matrices=True)[2]
    return np.asarray(basis[rows.shape[0] - dimension :].T)


def _dimension(rows: Array, tolerance: float) -> int:
    sigma = np.linalg.svd(rows, compute_uv=False)
    rank = int(np.count_nonzero(sigma > tolerance * sigma[0])) if sigma.size else 0
    return int(rows.shape[0]) - rank


def _ranges(weights: Array, null: Array) -> tuple[Array, Array]:
    """Return the smallest and largest entry n of `weights + null z ≥ 0`, for every n."""
    low, high = weights.copy(), weights.copy()
    for index in range(weights.size):
        if not np.any(np.abs(null[index]) > _MOVES):
            continue
        for sign, ends in ((1.0, low), (-1.0, high)):
            answer = linear_program(
                sign * null[index],
                A_ub=-null,
                b_ub=weights,
                bounds=(None, None),
                method="highs",
                options=TIGHT,
            )
            if answer.status == 3:
                ends[index] = -sign * np.inf
            elif answer.x is not None:
                ends[index] = max(0.0, weights[index] + float(null[index] @ answer.x))
    return np.minimum(low, weights), np.maximum(high, weights)


def _possible(weights: Array, null: Array) -> NDArray[np.bool_]:
    """Return which entries can be positive: one program maximises Σ min(entry, small)."""
    count, nullity = null.shape
    small = _SHARE / count
    answer = linear_program(
        np.append(np.zeros(nullity), -np.ones(count)),
        A_ub=np.hstack([-null, np.eye(count)]),
        b_ub=weights,
        bounds=[(None, None)] * nullity + [(0.0, small)] * count,
        method="highs",
        options=TIGHT,
    )
    if answer.x is None:
        return np.asarray(weights > 0.0)
    return np.asarray(answer.x[nullity:] > _SHARE * small)
