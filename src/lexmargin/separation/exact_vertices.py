"""Lexicographic max margins in the ℓ1 and ℓ∞ balls in rationals, for small samples of any scale.

One simplex tableau in integers (Edmonds 1967) goes through the levels of Definition 5: after each
one the columns that lower it are barred, what is left is the face of its optima, and the samples
that still compete are raised together. The objective rows are the multipliers of the levels.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, final

from lexmargin.linalg.exact import integer_rows
from lexmargin.ops.base import FloatArray

__all__ = ["ExactVertex", "exact_vertex"]

_STALLED: Final = 20
"""Pivots in a row that gain nothing before Bland's rule, which cannot cycle, takes over."""

_ZERO: Final = Fraction(0)

Vector = tuple[Fraction, ...]


@final
@dataclass(frozen=True, eq=False)
class ExactVertex:
    """θ (d,) of norm 1 with the best levels, and the weights λ (N,) that prove each of them."""

    theta: Vector
    chain: tuple[Vector, ...]


def exact_vertex(Z: FloatArray, norm: float, count: int, deadline: float) -> ExactVertex | None:
    """Return a θ whose ``count`` smallest margins are lexicographically best (Definition 5).

    Args:
        Z: (N, d) rows z_n, each double at its exact value.
        norm: 1 or inf.
        count: how many levels; 1 for the max margin (eq. 6).
        deadline: ``time.monotonic()`` at which to give up.

    Returns:
        None where nothing separates the rows, or at the deadline.
    """
    rows, exponents = integer_rows(Z)
    tableau = _Tableau(rows, exponents, norm)
    chain: list[Vector] = []
    held: dict[int, Fraction] = {}
    while sum(x > 0 for j, x in held.items() if j < len(rows)) < count:
        weights = tableau.raise_level(deadline)
        if weights is None:
            return None
        # Columns that earlier levels barred may rise here: the identities of those hold them.
        missing = (-x / held[j] for j, x in weights.items() if x < 0)
        share = max(missing, default=_ZERO)
        for j in {*weights, *held}:
            weights[j] = weights.get(j, _ZERO) + share * held.get(j, _ZERO)
            held[j] = held.get(j, _ZERO) + weights[j]
        chain.append(tuple(weights.get(n, _ZERO) for n in range(len(rows))))
    return ExactVertex(tableau.theta(), tuple(chain))


@final
class _Tableau:
    """``D x_B = b + A x_N`` in integers; the rows of the levels first.

    Columns and rows are named by numbers: sample n is n, p_j and q_j of θ = p - q are N + j and
    N + d + j, the bounds of the ball come after them, then the levels.
    """

    def __init__(self, rows: list[list[int]], exponents: list[int], norm: float) -> None:
        self._count, self._size = len(rows), len(rows[0])
        self._norm = norm
        top = max(exponents)
        # Sample n in units of 2^e: its entries and the 1 before t are integers.
        self._units = [1 << (top - e) for e in exponents]
        count, size = self._count, self._size
        bounds = 1 if norm == 1.0 else size
        self._columns = [*range(count, count + 2 * size)]
        self._basis = [*range(count), *range(count + 2 * size, count + 2 * size + bounds)]
        self._next = count + 2 * size + bounds
        self._rows = [[*row, *(-x for x in row)] for row in rows]
        for i in range(bounds):
            inside = [-1 if norm == 1.0 or j == i else 0 for j in range(size)]
            self._rows.append([*inside, *inside])
        self._right = [0] * count + [1] * bounds
        self._common = 1
        self._barred: set[int] = set()
        self._levels: list[int] = []
        self._free = set(range(count))

    def raise_level(self, deadline: float) -> dict[int, Fraction] | None:
        """Maximise the smallest margin of the free samples; return λ by the names of columns.

        The signs are right on what this level bars, not yet on what earlier ones did. None where
        the first level is not positive, or at the deadline.
        """
        self._add_level()
        row = self._enter(len(self._columns) - 1)
        stalled = 0
        while (column := self._entering(row, stalled > _STALLED)) is not None:
            if time.monotonic() > deadline:
                return None
            before = self._right[row], self._common
            self._pivot(self._leaving(column), column)
            same = self._right[row] * before[1] == before[0] * self._common
            stalled = stalled + 1 if same else 0
        if not self._levels[1:] and self._right[row] <= 0:
            return None
        return self._duals(row)

    def theta(self) -> Vector:
        """Return θ (d,) of the current vertex."""
        value = dict(zip(self._basis, self._right, strict=True))
        first, size = self._count, self._size
        found = [
            Fraction(value.get(first + j, 0) - value.get(first + size + j, 0), self._common)
            for j in range(size)
        ]
        length = sum(map(abs, found)) if self._norm == 1.0 else max(map(abs, found))
        return tuple(x / length for x in found)

    def _add_level(self) -> None:
        """Let every free sample's slack be that over a new level: x_n = x_n' + u_n τ."""
        place = {name: j for j, name in enumerate(self._columns)}
        nonbasic = [(place[n], self._units[n]) for n in sorted(self._free) if n in place]
        for name, row in zip(self._basis, self._rows, strict=True):
            entry = sum(row[j] * unit for j, unit in nonbasic)
            if name in self._free:
                entry -= self._common * self._units[name]
            row.append(entry)
        self._columns.append(self._next)
        self._levels.append(self._next)
        self._next += 1

    def _enter(self, column: int) -> int:
        row = self._leaving(column)
        self._pivot(row, column)
        return row

    def _entering(self, row: int, careful: bool) -> int | None:
        gains = self._rows[row]
        rising = [
            j for j, name in enumerate(self._columns) if gains[j] > 0 and name not in self._barred
        ]
        if not rising:
            return None
        if careful:
            return min(rising, key=self._columns.__getitem__)
        return max(rising, key=gains.__getitem__)

    def _leaving(self, column: int) -> int:
        best, top, bottom = -1, 0, 1
        for i, row in enumerate(self._rows):
            if row[column] >= 0:
                continue
            # b_i / -a_i, by cross products.
            ratio = self._right[i] * bottom - top * -row[column]
            if best < 0 or ratio < 0 or (ratio == 0 and self._basis[i] < self._basis[best]):
                best, top, bottom = i, self._right[i], -row[column]
        return best

    def _pivot(self, at: int, column: int) -> None:
        chosen, right = self._rows[at], self._right[at]
        pivot, before = -chosen[column], self._common
        for i, row in enumerate(self._rows):
            if i == at:
                continue
            factor = row[column]
            if factor:
                row[:] = [
                    (pivot * x + factor * y) // before for x, y in zip(row, chosen, strict=True)
                ]
                self._right[i] = (pivot * self._right[i] + factor * right) // before
                row[column] = -factor
            else:
                row[:] = [pivot * x // before for x in row]
                self._right[i] = pivot * self._right[i] // before
        # x_c = (b + Σ a_j x_j - D x_r) / pivot
        chosen[column] = -before
        self._common = pivot
        self._basis[at], self._columns[column] = self._columns[column], self._basis[at]

    def _duals(self, row: int) -> dict[int, Fraction]:
        """Return λ of the level from the rows of all levels, and bar what lowers this one."""
        whole = [0] * len(self._columns)
        for name, entries in zip(self._basis, self._rows, strict=True):
            if name in self._levels:
                whole = [a + b for a, b in zip(whole, entries, strict=True)]
        weights = {}
        for j, name in enumerate(self._columns):
            unit = self._units[name] if name < self._count else 1
            weights[name] = Fraction(-whole[j] * unit, self._common)
            if self._rows[row][j] < 0:
                self._barred.add(name)
                self._free.discard(name)
        return weights
