"""Translation of samples: with a free bias ``w·x + b = w·(x - c) + (b + w·c)`` for every c."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

__all__ = ["column_centres", "translated_bias"]

FloatArray = npt.NDArray[np.float64]


def column_centres(X: FloatArray) -> FloatArray:
    """Return c (p,) such that ``X - c`` is exact: no rounding in any entry.

    A column whose entries have one sign and differ by a factor of at most 2 (time stamps,
    coordinates, constants) has its middle as c: such differences are exact (Sterbenz 1974). All
    others have 0: their offset is no larger than their spread, and nothing is gained.
    """
    low, high = X.min(axis=0), X.max(axis=0)
    least, most = np.minimum(np.abs(low), np.abs(high)), np.maximum(np.abs(low), np.abs(high))
    far = (low * np.sign(high) > 0.0) & (0.5 * most <= least)
    # Halves first: their sum cannot overflow.
    return np.where(far, 0.5 * low + 0.5 * high, 0.0)


def translated_bias(bias: Fraction, w: FloatArray, centres: FloatArray) -> Fraction:
    """Return ``b + w·c`` exactly."""
    used = np.flatnonzero(centres)
    pairs = zip(w[used].tolist(), centres[used].tolist(), strict=True)
    return bias + sum((Fraction(a) * Fraction(b) for a, b in pairs), Fraction(0))
