"""Exact verdict on linear separability: a separating w, or a Gordan vector, both rational.

Gordan's theorem: exactly one of the two exists for the rows z_n,
``w`` with ``z_n·w > 0`` for all n, or ``λ ≥ 0, λ ≠ 0`` with ``Σ_n λ_n z_n = 0``.
A linear program guesses, rational arithmetic decides: floating point only chooses where to look.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import final

import numpy as np
import numpy.typing as npt

from lexmargin.data.dataset import Dataset
from lexmargin.errors import ShapeError
from lexmargin.inputs.arrays import real_array
from lexmargin.linalg.exact import (
    all_positive,
    combination,
    matvec,
    power_of_two_exponents,
    to_fractions,
)
from lexmargin.separation.gordan_program import GordanProgram, guess

__all__ = [
    "Separability",
    "SeparabilityVerdict",
    "contradiction_proof",
    "separability_of_rows",
    "verify_separability_of_rows",
    "zero_sample_proof",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@final
class SeparabilityVerdict(StrEnum):
    """Which side of Gordan's alternative holds."""

    SEPARABLE = "separable"
    NOT_SEPARABLE = "not-separable"


@final
@dataclass(frozen=True)
class Separability:
    """A verdict with its proof; :func:`verify_separability` checks it again.

    Args:
        verdict: SEPARABLE or NOT_SEPARABLE.
        weights: the exact w of a separable verdict, one entry per column of Z; float64
            numbers unless no rounding of w separates.
        gordan: the exact λ of a negative verdict, one entry per row, summing to 1.
    """

    verdict: SeparabilityVerdict
    weights: tuple[Fraction, ...] | None = None
    gordan: tuple[Fraction, ...] | None = None

    @property
    def exact(self) -> bool:
        """True: no verdict is given that rational arithmetic has not confirmed."""
        return True

    @property
    def separable(self) -> bool:
        """Whether the rows are separable."""
        return self.verdict is SeparabilityVerdict.SEPARABLE

    @property
    def witness(self) -> FloatArray | None:
        """The separating w as float64, or None."""
        return None if self.weights is None else _as_floats(self.weights)

    @property
    def gordan_float(self) -> FloatArray | None:
        """The Gordan vector λ as float64, or None."""
        return None if self.gordan is None else _as_floats(self.gordan)

    @property
    def support(self) -> tuple[int, ...]:
        """The rows with λ_n > 0: already these cannot be separated."""
        return tuple(n for n, value in enumerate(self.gordan or ()) if value > 0)


def separability_of_rows(
    rows: npt.ArrayLike, near: npt.NDArray[np.float64] | None = None
) -> Separability:
    """Decide exactly whether some w has ``z_n·w > 0`` for all rows of an (N, d) array.

    Columns and rows are scaled by powers of two, which is exact and changes nothing; HiGHS solves
    ``min ‖Zᵀλ‖₁, λ ≥ 0, Σλ = 1``, whose dual is the ℓ∞ max margin. Its dual vector is tried as w,
    then its basis is solved in rationals for λ. Margins near rounding level take a second, sharper
    look around the best direction, and at last exact simplex pivots. ``near`` is a Gordan vector
    (N,) up to rounding, where there is one: it is completed exactly before anything is solved for.

    Raises:
        ShapeError: not an (N, d) array with at least one row and one column.
        DataError: NaN or an infinity.
        SolverFailedError: as :func:`separability`.
    """
    Z = real_array(rows, "The array of rows", own=False)
    if Z.ndim != 2 or 0 in Z.shape:
        raise ShapeError(
            f"Rows of shape {Z.shape} are no (N, d) array.", "Give at least one row and one column."
        )
    columns = power_of_two_exponents(Z)
    zero = np.flatnonzero(~np.any(Z != 0, axis=1))
    if zero.size:
        return _negative(Z.shape[0], {int(zero[0]): Fraction(1)})
    scaled, row_exponents = _scaled(Z, columns)
    if near is not None:
        found = GordanProgram.build(Z, scaled, columns, row_exponents).completed(near)
        if found is not None:
            return _negative(Z.shape[0], found)
    direction, basis = guess(scaled)
    w = _unscaled_floats(direction, columns)
    if w is not None and all_positive(Z, w):
        return _positive(to_fractions(w.tolist()))
    program = GordanProgram.build(Z, scaled, columns, row_exponents)
    outcome = program.gordan(basis) or program.search()
    if isinstance(outcome, dict):
        return _negative(Z.shape[0], outcome)
    return _positive(_rounded(outcome, columns, Z))


def contradiction_proof(dataset: Dataset) -> Separability | None:
    """Return the Gordan vector of two equal rows with different labels; None without such rows.

    λ = 1/2 on their margins: ``f_m = -f_n`` there, whatever the predictor.
    """
    pair = dataset.contradiction
    if pair is None:
        return None
    m, n = pair
    half = Fraction(1, 2)
    if dataset.is_binary:
        return _negative(dataset.n_samples, {m: half, n: half})
    others = dataset.n_classes - 1
    one, two = int(dataset.y[m]), int(dataset.y[n])
    parts = {m * others + two - (two > one): half, n * others + one - (one > two): half}
    return _negative(dataset.n_samples * others, parts)


def zero_sample_proof(dataset: Dataset, n: int) -> Separability:
    """Return the Gordan vector of a sample whose margins are always 0: λ = 1 on one of them."""
    others = 1 if dataset.is_binary else dataset.n_classes - 1
    return _negative(dataset.n_samples * others, {n * others: Fraction(1)})


def verify_separability_of_rows(rows: npt.ArrayLike, result: Separability) -> bool:
    """Check ``z_n·w > 0`` for all n, or ``λ ≥ 0, λ ≠ 0, Σ λ_n z_n = 0``, in rationals."""
    Z = real_array(rows, "The array of rows", own=False)
    if result.separable:
        w = result.weights
        if w is None or result.gordan is not None or len(w) != Z.shape[1]:
            return False
        return all(margin > 0 for margin in matvec(Z, w))
    weights = result.gordan
    if weights is None or result.weights is not None or len(weights) != Z.shape[0]:
        return False
    if any(value < 0 for value in weights) or not any(weights):
        return False
    return not any(combination(weights, Z))


def _scaled(Z: FloatArray, columns: IntArray) -> tuple[FloatArray, IntArray]:
    """Z with entries below 1 in magnitude, and the row exponents that made it so."""
    fractions, exponents = np.frexp(Z)
    shifted = exponents.astype(np.int64) - columns[None, :]
    row_exponents = np.where(fractions != 0, shifted, np.iinfo(np.int64).min).max(axis=1)
    with np.errstate(under="ignore"):
        return np.ldexp(fractions, shifted - row_exponents[:, None]), row_exponents


def _unscaled_floats(w: FloatArray | None, columns: IntArray) -> FloatArray | None:
    """w of the scaled columns for the original ones; None without a direction in it."""
    if w is None or not np.any(w):
        return None
    fractions, exponents = np.frexp(w)
    shifted = exponents.astype(np.int64) - columns
    shifted -= shifted[w != 0].max()
    with np.errstate(under="ignore"):
        return np.asarray(np.ldexp(fractions, shifted), dtype=np.float64)


def _rounded(w: tuple[Fraction, ...], columns: IntArray, Z: FloatArray) -> tuple[Fraction, ...]:
    """The float64 neighbour of an exact separator, if it separates, else the separator itself."""
    largest = max(abs(value) for value in w)
    unit = tuple(value / largest for value in w)
    # Other multiples of w round differently, which is enough where the margin is a few ulps.
    for eighths in range(8, 16):
        floats = np.array([float(value * eighths / 8) for value in unit])
        candidate = _unscaled_floats(floats, columns)
        if candidate is not None and all_positive(Z, candidate):
            return to_fractions(candidate.tolist())
    exact = [value / Fraction(2) ** int(c) for value, c in zip(unit, columns.tolist(), strict=True)]
    size = max(abs(value) for value in exact)
    return tuple(value / size for value in exact)


def _positive(weights: tuple[Fraction, ...]) -> Separability:
    return Separability(SeparabilityVerdict.SEPARABLE, weights=weights)


def _negative(count: int, parts: dict[int, Fraction]) -> Separability:
    total = sum(parts.values())
    gordan = tuple(parts.get(n, Fraction(0)) / total for n in range(count))
    return Separability(SeparabilityVerdict.NOT_SEPARABLE, gordan=gordan)


def _as_floats(values: tuple[Fraction, ...]) -> FloatArray:
    array = np.array([float(value) for value in values])
    array.setflags(write=False)
    return array
