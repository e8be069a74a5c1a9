"""Levels of a lexicographic answer, and the comparison of sorted margins (Definition 5, eq. 23)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import Any, ClassVar, final

import numpy as np

from lexmargin.errors import ParameterError, ShapeError
from lexmargin.ops.base import FloatArray

__all__ = [
    "Level",
    "Proof",
    "first_open_level",
    "grouped_levels",
    "lexicographic_best",
    "lexicographic_compare",
]


class Proof(StrEnum):
    """What a level rests on."""

    DUAL = "dual"
    """A bound of its own: multipliers λ >= 0, or a square that is 0. No point of the previous face
    does better."""
    LOCAL = "local"
    """A solver's word, stationary at best: a better point may exist."""


@final
@dataclass(frozen=True, eq=False)
class Level:
    """One level of a lexicographic answer.

    Attributes:
        value: the level's margin.
        fixed: samples whose margin is ``value`` at every point that reaches it.
        settled: samples whose margin is constant on what is left, with a larger value of its own.
        dimension: of the affine hull that is left; None where it is not known.
        proof: what the level rests on.
        multipliers: (N,) λ of the level, Σλ = 1; None for a local level.
        approached: (γ, value) of a level whose infimum is not attained, as far as eq. 14 was
            followed; then ``value`` is the last of them, and no level comes after it.
    """

    computed: ClassVar[Mapping[str, Callable[[Any], Any]]] = {"attained": lambda one: one.attained}
    value: float
    fixed: tuple[int, ...]
    settled: tuple[int, ...] = ()
    dimension: int | None = None
    proof: Proof = Proof.DUAL
    multipliers: FloatArray | None = None
    approached: tuple[tuple[float, float], ...] = ()

    @property
    def attained(self) -> bool:
        """Whether a point has the level's value, as far as was measured."""
        return not self.approached

    def with_value(self, value: float) -> Level:
        """Return the level with its margin in other units."""
        return replace(self, value=value)


def grouped_levels(
    margins: FloatArray,
    count: int,
    tie: float,
    proof: Proof,
    multipliers: Sequence[FloatArray | None],
) -> tuple[Level, ...]:
    """Return one level per distinct value among the ``count`` smallest margins.

    A group is a run of sorted margins with steps of at most ``tie``; its value is the smallest.
    ``multipliers[k]`` belong to the k-th smallest margin; the last ones given serve the rest.
    """
    order = np.argsort(margins, kind="stable")
    sorted_margins = margins[order]
    levels: list[Level] = []
    first = 0
    for k in range(1, margins.size + 1):
        if k < margins.size and sorted_margins[k] - sorted_margins[k - 1] <= tie:
            continue
        if first < count:
            found = multipliers[min(k, len(multipliers)) - 1] if multipliers else None
            members = tuple(sorted(int(n) for n in order[first:k]))
            value = float(sorted_margins[first])
            levels.append(Level(value, members, proof=proof, multipliers=found))
        first = k
    return tuple(levels)


def lexicographic_compare(a: FloatArray, b: FloatArray, tolerance: float) -> int:
    """Compare sorted margins: 1 if ``a`` is better, -1 if ``b`` is, 0 if no entry decides.

    The first sorted entry that differs by more than ``tolerance`` decides. With a tolerance this
    is no order (ties do not chain): to choose among several, use :func:`lexicographic_best`.

    Raises:
        ShapeError: vectors of different lengths.
        ParameterError: a negative or infinite tolerance.
    """
    x, y = _sorted(a, tolerance), _sorted(b, tolerance)
    if x.shape != y.shape:
        raise ShapeError(
            f"Margins of {x.size} and {y.size} samples cannot be compared.",
            "Compare answers to one data set.",
        )
    decisive = np.flatnonzero(np.abs(x - y) > tolerance)
    return 0 if decisive.size == 0 else int(np.sign(x[decisive[0]] - y[decisive[0]]))


def lexicographic_best(candidates: Sequence[FloatArray], tolerance: float) -> tuple[int, ...]:
    """Return the positions of the best margin vectors, in the order given.

    Sorted entry by sorted entry, those within ``tolerance`` of the largest survive: the result does
    not depend on the order of the candidates.

    Raises:
        ShapeError: vectors of different lengths.
        ParameterError: no candidates, or a bad tolerance.
    """
    if not candidates:
        raise ParameterError("There are no margin vectors to choose from.", "Give at least one.")
    rows = [_sorted(candidate, tolerance) for candidate in candidates]
    if len({row.size for row in rows}) != 1:
        raise ShapeError(
            "The margin vectors have different lengths.", "Compare answers to one data set."
        )
    table = np.stack(rows)
    alive = np.arange(len(candidates))
    for column in table.T:
        alive = alive[column[alive] >= column[alive].max() - tolerance]
    return tuple(int(i) for i in alive)


def first_open_level(levels: Sequence[float], growth: float = 2.0) -> int | None:
    """Return the first k at which limits of the constrained path may miss m_k* (Theorem 4).

    That is the first k with `m_k > min_{2≤j<k} m_j + (m_j - m_{j-1})/(p - 1)`; None where there is
    none, and every limit is lexicographic. For p = 2 and k = 3 it is `m_3 > 2m_2 - m_1`.

    Proof, with r = ρ^α and d_j the distance of θ_c(ρ) to the set of level j. Moving away from the
    set of level j - 1 costs at least c d_{j-1}^p in m_{j-1} and gains at most ℓ d_{j-1} in m_j,
    which is worth at most `r ℓ d e^{-r m_j} - r c d^p e^{-r m_{j-1}}`, so at most
    `C r e^{-r (m_j + (m_j - m_{j-1})/(p-1))}`. Since `L(ρθ_c) ≤ L(ρθ*)`,
    `e^{-r m_k(θ_c)} ≤ (N - k + 1) e^{-r m_k*} + Σ_{j<k}` of these gains: a limit has m_k at least
    the smaller of m_k* and that minimum.

    Args:
        levels: m_1* ≤ m_2* ≤ …, one per sample, of the lexicographic set.
        growth: p ≥ 1 such that the j-th margin falls by at least c d^p at distance d from the set
            of level j, on that of level j - 1: 2 where second order decides, 1 for linear f_n in a
            polyhedral ball (Hoffman's bound), where every level is reached.

    Raises:
        ParameterError: p below 1, or levels that fall.
    """
    if not growth >= 1.0:
        raise ParameterError(f"The growth is {growth!r}.", "Give a number of at least 1.")
    if any(not later >= earlier for earlier, later in pairwise(levels)):
        raise ParameterError("The levels fall.", "Give them in ascending order.")
    if growth == 1.0:
        return None
    least = np.inf
    for k, (before, last, value) in enumerate(
        zip(levels, levels[1:], levels[2:], strict=False), start=3
    ):
        least = min(least, last + (last - before) / (growth - 1.0))
        if value > least:
            return k
    return None


def _sorted(margins: FloatArray, tolerance: float) -> FloatArray:
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise ParameterError(f"The tolerance is {tolerance!r}.", "Give a finite number >= 0.")
    values = np.sort(np.asarray(margins, dtype=np.float64).reshape(-1))
    if np.any(np.isnan(values)):
        raise ParameterError("A margin is NaN.", "Leave such answers out.")
    return values
