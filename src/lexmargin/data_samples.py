"""Samples dense or sparse: what scipy calls sparse in one checked form, and equal rows of both."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from lexmargin.errors import DataError

__all__ = ["arrays_of", "is_sparse", "refuse_contradictions", "sparse_samples"]


def is_sparse(X: object) -> bool:
    """Say whether X is a scipy sparse matrix or array, without importing scipy for others."""
    if not type(X).__module__.startswith("scipy.sparse"):
        return False
    from scipy import sparse

    return bool(sparse.issparse(X))


def sparse_samples(X: Any) -> Any:
    """Return X as a CSR array of float64 of its own, columns in order, no stored zeros.

    Raises:
        DataError: not two dimensions, no rows, no columns, entries that are not finite and real.
    """
    from scipy import sparse

    if X.ndim != 2:
        raise DataError(f"X has {X.ndim} dimension(s), not 2.", "Give one row per sample.")
    if X.shape[0] == 0:
        raise DataError("X has no samples.", "Give at least one row per class.")
    if X.shape[1] == 0:
        raise DataError("X has no features.", "Give at least one column.")
    if X.dtype.kind not in "biuf":
        raise DataError(
            f"X has entries of type {X.dtype}, which are not real numbers.",
            "Convert it to numbers first.",
        )
    samples = sparse.csr_array(X, dtype=np.float64, copy=True)
    samples.sum_duplicates()
    samples.eliminate_zeros()
    bad = np.flatnonzero(~np.isfinite(samples.data))
    if bad.size:
        row = int(np.searchsorted(samples.indptr, bad[0], side="right")) - 1
        raise DataError(
            f"X holds {samples.data[bad[0]]} at row {row}, column {samples.indices[bad[0]]} "
            f"({bad.size} such entries in all).",
            "Drop or fill such entries: NaN and infinities have no margin.",
        )
    return samples


def arrays_of(samples: Any) -> tuple[npt.NDArray[Any], ...]:
    """Return the arrays that hold dense or CSR samples."""
    if isinstance(samples, np.ndarray):
        return (samples,)
    return (samples.data, samples.indices, samples.indptr)


def _row_keys(samples: Any) -> Iterator[bytes]:
    """Yield what equal rows have in common, row by row: 16 bytes, not a second copy of the data."""
    if isinstance(samples, np.ndarray):
        for row in samples:
            yield hashlib.blake2b(row, digest_size=16).digest()
        return
    for begin, end in pairwise(samples.indptr.tolist()):
        digest = hashlib.blake2b(samples.indices[begin:end], digest_size=16)
        digest.update(samples.data[begin:end])
        yield digest.digest()


def refuse_contradictions(samples: Any, labels: npt.NDArray[np.int64]) -> None:
    """Raise :class:`DataError` where two equal rows have different labels."""
    first: dict[bytes, int] = {}
    for n, key in enumerate(_row_keys(samples)):
        m = first.setdefault(key, n)
        if labels[m] != labels[n]:
            raise DataError(
                f"Rows {m} and {n} (counted from 0) are equal and have different labels "
                f"{int(labels[m])} and {int(labels[n])}: no predictor separates them.",
                "Drop one of the two or correct its label.",
            )
