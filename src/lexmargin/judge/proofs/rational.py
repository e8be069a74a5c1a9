"""Exact answers near those seen in floats: guess what is tight, solve in rationals, check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Final, TypeVar

__all__ = ["Vector", "as_floats", "first_exact", "positive_entries", "solve_near", "to_text"]

Vector = tuple[Fraction, ...]
_Found = TypeVar("_Found")

_TOLERANCES: Final = (1e-9, 1e-7, 1e-11, 1e-5)
"""Where to cut what is seen in floats, likeliest first; a wrong cut fails exactly, it proves
nothing."""


def first_exact(attempt: Callable[[float], _Found | None]) -> _Found | None:
    """Return the first exact answer that a cut of what is seen in floats leads to, if any.

    Args:
        attempt: solves exactly what is tight up to a tolerance, and checks it; None where it fails.
    """
    tried = (attempt(tolerance) for tolerance in _TOLERANCES)
    return next((found for found in tried if found is not None), None)


def solve_near(table: list[list[Fraction]], near: list[Fraction]) -> list[Fraction] | None:
    """Solve the augmented system `[A | b]`; variables that are not determined take ``near``."""
    from flint import fmpq, fmpq_mat

    size = len(near)
    entries = [fmpq(x.numerator, x.denominator) for row in table for x in row]
    matrix, rank = fmpq_mat(len(table), size + 1, entries).rref()
    solution = list(near)
    for i in range(int(rank)):
        row = [Fraction(int(matrix[i, j].p), int(matrix[i, j].q)) for j in range(size + 1)]
        pivot = next(j for j, x in enumerate(row) if x != 0)
        if pivot == size:
            return None
        terms = (row[j] * solution[j] for j in range(pivot + 1, size) if row[j] != 0)
        solution[pivot] = row[size] - sum(terms, Fraction(0))
    return solution


def to_text(value: Fraction, limit: int = 4000) -> str | None:
    """Return "p/q", or None where that is longer than ``limit``."""
    size = value.numerator.bit_length() + value.denominator.bit_length()
    return str(value) if size <= 3 * limit else None


def as_floats(values: Sequence[Fraction]) -> list[float]:
    """Return the entries, rounded."""
    return [float(x) for x in values]


def positive_entries(values: Sequence[Fraction]) -> dict[int, float]:
    """Return the positive entries by their place, rounded."""
    return {n: float(x) for n, x in enumerate(values) if x > 0}
