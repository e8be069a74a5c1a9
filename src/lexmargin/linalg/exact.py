"""Exact rational arithmetic on float64 data: every float is an integer times a power of two.

Nothing here rounds. Matrices are float64 arrays, whose entries are taken at their exact value;
results are :class:`fractions.Fraction`. The heavy steps run in FLINT (python-flint).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt

from lexmargin.errors import DataError, ShapeError

__all__ = [
    "MERSENNE_61",
    "all_positive",
    "combination",
    "dot",
    "integer_rows",
    "matvec",
    "power_of_two_exponents",
    "rank",
    "rank_mod_prime",
    "solve_integer",
    "to_fractions",
]

FloatArray = npt.NDArray[np.float64]
Rational = float | int | Fraction

MERSENNE_61 = (1 << 61) - 1
"""The prime 2⁶¹-1: 2 is a 61st root of unity modulo it, so powers of two are rotations."""


def to_fractions(values: Iterable[Rational]) -> tuple[Fraction, ...]:
    """Return the exact values of finite numbers.

    Raises:
        DataError: a NaN or an infinity, which is no rational number.
    """
    try:
        return tuple(
            v
            if isinstance(v, Fraction)
            else Fraction(int(v) if isinstance(v, Integral) else float(v))
            for v in values
        )
    except (ValueError, OverflowError) as error:
        raise DataError(
            "A vector holds NaN or an infinity, which has no exact value.",
            "Give finite numbers only.",
        ) from error


def integer_rows(
    matrix: npt.ArrayLike, column_exponents: npt.ArrayLike | None = None
) -> tuple[list[list[int]], list[int]]:
    """Write row n of a matrix as integers times one power of two: ``M[n] = rows[n] · 2^e[n]``.

    Args:
        matrix: (N, p) finite numbers, read as float64.
        column_exponents: (p,) integers c; column j is divided by ``2^c[j]`` first, exactly.

    Returns:
        The rows as lists of Python integers and the exponents e, as small as the entries allow
        in magnitude: no further power of two is shared by a whole row of the mantissas' scale.

    Raises:
        ShapeError: not two-dimensional.
        DataError: NaN or an infinity.
    """
    values = _finite_matrix(matrix)
    mantissas, exponents = _mantissas(values)
    if column_exponents is not None:
        exponents = exponents - np.asarray(column_exponents, dtype=np.int64)[None, :]
    used = np.where(mantissas == 0, np.iinfo(np.int64).max, exponents)
    lowest = used.min(axis=1, initial=np.iinfo(np.int64).max)
    lowest = np.where(lowest == np.iinfo(np.int64).max, 0, lowest)
    shifts = np.where(mantissas == 0, 0, exponents - lowest[:, None])
    # Where everything fits in 63 bits numpy shifts all entries at once; wide spreads go one by one.
    narrow = shifts.max(initial=0) <= 9
    if narrow:
        return (mantissas << shifts).tolist(), lowest.tolist()
    rows = [
        [m << s for m, s in zip(ms, ss, strict=True)]
        for ms, ss in zip(mantissas.tolist(), shifts.tolist(), strict=True)
    ]
    return rows, lowest.tolist()


def dot(a: Iterable[Rational], b: Iterable[Rational]) -> Fraction:
    """Return ``Σ_j a_j b_j`` exactly."""
    left, right = to_fractions(a), to_fractions(b)
    if len(left) != len(right):
        raise ShapeError(
            f"Vectors of lengths {len(left)} and {len(right)} have no dot product.",
            "Give two vectors of one length.",
        )
    total = Fraction(0)
    for x, y in zip(left, right, strict=True):
        total += x * y
    return total


def matvec(matrix: npt.ArrayLike, vector: Sequence[Rational]) -> tuple[Fraction, ...]:
    """Return ``M v`` exactly; M (N, p) is read as float64, v (p,) may hold fractions."""
    values = _finite_matrix(matrix)
    numerators, denominator = _common_denominator(vector, values.shape[1], "columns")
    rows, exponents = integer_rows(values)
    return tuple(
        _scaled(sum(map(int.__mul__, row, numerators)), e, denominator)
        for row, e in zip(rows, exponents, strict=True)
    )


def combination(weights: Sequence[Rational], matrix: npt.ArrayLike) -> tuple[Fraction, ...]:
    """Return ``Mᵀλ = Σ_n λ_n M[n]`` exactly; rows of weight 0 cost nothing."""
    values = _finite_matrix(matrix)
    exact = to_fractions(weights)
    if len(exact) != values.shape[0]:
        raise ShapeError(
            f"{len(exact)} weights do not fit a matrix of {values.shape[0]} rows.",
            "Give one weight per row.",
        )
    used = [n for n, weight in enumerate(exact) if weight != 0]
    if not used:
        return tuple(Fraction(0) for _ in range(values.shape[1]))
    return matvec(np.ascontiguousarray(values[used].T), [exact[n] for n in used])


def all_positive(matrix: npt.ArrayLike, vector: npt.ArrayLike) -> bool:
    """Say whether ``M v > 0`` holds in every row, exactly, for float64 M and v.

    Rows that the float product already decides, by the a-priori bound
    ``|fl(m·v) - m·v| ≤ γ_p |m|·|v|`` (Higham, *Accuracy and Stability*, eq. 3.5), are not computed
    again; the others are, in integers.
    """
    values = _finite_matrix(matrix)
    v = np.asarray(vector, dtype=np.float64)
    p = values.shape[1]
    if v.shape != (p,):
        raise ShapeError(
            f"A vector of shape {v.shape} does not fit {p} columns.", "Give one entry per column."
        )
    if not np.all(np.isfinite(v)):
        return False
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        product = values @ v
        # Twice the bound pays for rounding in the bound; the last term for gradual underflow.
        bound = 2.0 * (p + 2) * 2.0**-53 * (np.abs(values) @ np.abs(v)) + (p + 2) * 2.0**-1022
        undecided = ~(product > bound) | ~np.isfinite(product)
        if np.any(product < -bound):
            return False
    rest = np.flatnonzero(undecided)
    return rest.size == 0 or all(value > 0 for value in matvec(values[rest], v.tolist()))


def power_of_two_exponents(matrix: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return c with ``max_n |M[n, j]| / 2^c[j]`` in [1/2, 1); 0 for a column of zeros."""
    values = _finite_matrix(matrix)
    _, exponents = np.frexp(np.abs(values).max(axis=0, initial=0.0))
    return np.asarray(exponents, dtype=np.int64)


def rank_mod_prime(matrix: npt.ArrayLike) -> int:
    """Return the rank of the integer-scaled rows modulo the prime 2⁶¹-1.

    Never above the rational rank: when it equals the number of rows, the rows are proved
    linearly independent. A smaller value proves nothing (use :func:`rank`).
    """
    from flint import nmod_mat

    values = _finite_matrix(matrix)
    if 0 in values.shape:
        return 0
    if values.shape[0] > values.shape[1]:
        values = values.T
    mantissas, exponents = _mantissas(values)
    magnitude = np.abs(mantissas).astype(np.uint64)
    turn = (exponents % 61).astype(np.uint64)
    prime = np.uint64(MERSENNE_61)
    # Multiplying by 2^k modulo 2^61-1 rotates 61 bits.
    low = (magnitude & ((np.uint64(1) << (np.uint64(61) - turn)) - np.uint64(1))) << turn
    residues = low | (magnitude >> (np.uint64(61) - turn))
    residues = np.where((mantissas < 0) & (residues != 0), prime - residues, residues)
    rows, columns = values.shape
    return int(nmod_mat(rows, columns, residues.ravel().tolist(), MERSENNE_61).rank())


def rank(matrix: npt.ArrayLike) -> int:
    """Return the rational rank: modulo a prime when that is full, else over the integers."""
    from flint import fmpz_mat

    values = _finite_matrix(matrix)
    if 0 in values.shape:
        return 0
    modular = rank_mod_prime(values)
    if modular == min(values.shape):
        return modular
    rows, _ = integer_rows(values)
    return int(fmpz_mat(rows).rank())


def solve_integer(
    matrix: Sequence[Sequence[int]], right: Sequence[int]
) -> tuple[Fraction, ...] | None:
    """Return the exact x with ``A x = b`` for a square integer A, or None when A is singular."""
    from flint import fmpz_mat

    size = len(right)
    if len(matrix) != size or any(len(row) != size for row in matrix):
        raise ShapeError(
            "The system is not square, or its right-hand side has another length.",
            "Give an n × n matrix and n numbers.",
        )
    try:
        solution = fmpz_mat([list(row) for row in matrix]).solve(fmpz_mat(size, 1, list(right)))
    except ZeroDivisionError:
        return None
    return tuple(_fraction(solution[i, 0]) for i in range(size))


def _fraction(value: Any) -> Fraction:
    return Fraction(int(value.p), int(value.q))


def _scaled(integer: int, exponent: int, denominator: int) -> Fraction:
    if exponent >= 0:
        return Fraction(integer << exponent, denominator)
    return Fraction(integer, denominator << -exponent)


def _common_denominator(
    vector: Sequence[Rational], length: int, what: str
) -> tuple[list[int], int]:
    exact = to_fractions(vector)
    if len(exact) != length:
        raise ShapeError(
            f"A vector of length {len(exact)} does not fit {length} {what}.",
            f"Give {length} entries.",
        )
    denominator = math.lcm(*(value.denominator for value in exact))
    return [v.numerator * (denominator // v.denominator) for v in exact], denominator


def _finite_matrix(matrix: npt.ArrayLike) -> FloatArray:
    values = np.asarray(matrix, dtype=np.float64)
    if values.ndim != 2:
        raise ShapeError(
            f"A matrix was expected, and the array has {values.ndim} dimension(s).",
            "Give an array of shape (rows, columns).",
        )
    if not np.all(np.isfinite(values)):
        raise DataError(
            "A matrix holds NaN or an infinity, which has no exact value.",
            "Give finite numbers only.",
        )
    return values


def _mantissas(values: FloatArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Split into odd-or-zero integers and exponents: ``values = mantissas · 2^exponents``."""
    fractions, exponents = np.frexp(values)
    mantissas = np.ldexp(fractions, 53).astype(np.int64)
    lowest_bit = np.where(mantissas == 0, 1, mantissas & -mantissas)
    trailing = np.frexp(lowest_bit.astype(np.float64))[1].astype(np.int64) - 1
    return mantissas >> trailing, exponents.astype(np.int64) - 53 + trailing
