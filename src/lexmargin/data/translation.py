"""Translation of samples: with a free bias ``w·x + b = w·(x - c) + (b + w·c)`` for every c."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["column_centres", "column_ends", "moved_samples", "translated_bias"]

FloatArray = npt.NDArray[np.float64]


def column_ends(X: Any) -> tuple[FloatArray, FloatArray]:
    """Return the smallest and the largest entry of every column, (p,) each, of dense or CSR X.

    (0, 0) for a column of CSR samples that lacks an entry: what is not stored lies at 0.
    """
    if isinstance(X, np.ndarray):
        return X.min(axis=0), X.max(axis=0)
    X = _summed(X)
    low, high = np.zeros(X.shape[1]), np.zeros(X.shape[1])
    full = np.flatnonzero(np.bincount(X.indices, minlength=X.shape[1]) == X.shape[0])
    if full.size:
        # Every row holds one entry of each, in ascending order: together a dense matrix.
        stored = X.data[np.isin(X.indices, full)].reshape(X.shape[0], full.size)
        low[full], high[full] = stored.min(axis=0), stored.max(axis=0)
    return low, high


def column_centres(X: Any) -> FloatArray:
    """Return c (p,) such that ``X - c`` is exact: no rounding in any entry; X dense or CSR.

    A column whose entries have one sign and differ by a factor of at most 2 (time stamps,
    coordinates, constants) has its middle as c: such differences are exact (Sterbenz 1974). All
    others have 0: their offset is no larger than their spread, and nothing is gained. A column of
    CSR samples that lacks an entry is one of them, so no entry is ever filled in.
    """
    low, high = column_ends(X)
    least, most = np.minimum(np.abs(low), np.abs(high)), np.maximum(np.abs(low), np.abs(high))
    far = (low * np.sign(high) > 0.0) & (0.5 * most <= least)
    # Halves first: their sum cannot overflow.
    return np.where(far, 0.5 * low + 0.5 * high, 0.0)


def moved_samples(X: Any, centres: FloatArray) -> Any:
    """Return ``x_n - c``, CSR where X is; c is 0 wherever a column of CSR samples lacks entries."""
    if isinstance(X, np.ndarray):
        return X - centres
    X = _summed(X)
    return type(X)((X.data - centres[X.indices], X.indices, X.indptr), X.shape)


def _summed(X: Any) -> Any:
    """Return CSR samples with at most one entry stored for each place."""
    if X.has_canonical_format:
        return X
    X = X.copy()
    X.sum_duplicates()
    return X


def translated_bias(bias: Fraction, w: FloatArray, centres: FloatArray) -> Fraction:
    """Return ``b + w·c`` exactly."""
    used = np.flatnonzero(centres)
    pairs = zip(w[used].tolist(), centres[used].tolist(), strict=True)
    return bias + sum((Fraction(a) * Fraction(b) for a, b in pairs), Fraction(0))
