"""Samples dense or sparse in one checked form, and equal rows of both."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from lexmargin.alone import quiet
from lexmargin.errors import DataError

__all__ = ["array_of", "arrays_of", "contradiction", "dense_samples", "is_sparse", "sparse_samples"]

FloatArray = npt.NDArray[np.float64]


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
    if X.dtype.kind in "iu" and np.any(np.abs(samples.data) >= 2.0**53):
        given = sparse.csr_array(X, copy=True)
        given.sum_duplicates()
        given.eliminate_zeros()
        _refuse_merged(given, samples)
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


def contradiction(samples: Any, labels: npt.NDArray[np.int64]) -> tuple[int, int] | None:
    """Return the first two equal rows with different labels, or None."""
    first: dict[bytes, int] = {}
    for n, key in enumerate(_row_keys(samples)):
        m = first.setdefault(key, n)
        if labels[m] != labels[n]:
            return m, n
    return None


def _refuse_merged(given: Any, samples: Any) -> None:
    """Raise :class:`DataError` where different rows of integers are equal as float64 numbers.

    ``given`` holds the entries before rounding, in the same places as ``samples`` does.
    """
    sparse = not isinstance(samples, np.ndarray)
    entries, rounded = (given.data, samples.data) if sparse else (given, samples)
    large = np.abs(rounded) >= 2.0**53
    if not any(int(a) != b for a, b in zip(entries[large], rounded[large].tolist(), strict=True)):
        return
    first: dict[bytes, int] = {}
    for n, key in enumerate(_row_keys(samples)):
        m = first.setdefault(key, n)
        one, other = (
            given.data[given.indptr[k] : given.indptr[k + 1]] if sparse else given[k]
            for k in (m, n)
        )
        apart = np.flatnonzero(one != other)
        if apart.size:
            column = given.indices[given.indptr[n] + apart[0]] if sparse else apart[0]
            raise DataError(
                f"Rows {m} and {n} (counted from 0) differ in column {int(column)}, "
                f"{one[apart[0]]} against {other[apart[0]]}, and are equal as float64 numbers.",
                "Subtract a constant from that column while it holds integers: time stamps become "
                "times since the first one.",
            )


def array_of(values: npt.ArrayLike, what: str) -> npt.NDArray[Any]:
    """Return values as an array of whatever type they have; :class:`DataError` if they are none."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise DataError(f"{what} has masked entries.", "Fill or drop them first.")
    try:
        with quiet("error"):
            return np.asarray(values)
    except (TypeError, ValueError, RuntimeError, Warning) as error:
        raise DataError(
            f"{what} cannot be read as an array ({error}): its rows are ragged or not numbers.",
            "Give every row the same number of plain numbers.",
        ) from error


def _numbers(values: npt.NDArray[Any], what: str) -> FloatArray:
    if values.dtype.kind == "O":
        for index, entry in np.ndenumerate(values):
            if isinstance(entry, (str, bytes, complex)) or not hasattr(entry, "__float__"):
                raise DataError(
                    f"{what} holds {entry!r} at {list(index)}, which is not a real number.",
                    "Give real numbers only.",
                )
    elif values.dtype.kind not in "biuf":
        raise DataError(
            f"{what} has entries of type {values.dtype}, which are not real numbers.",
            "Convert it to numbers first (exact strings such as '1/3' belong in a problem file).",
        )
    try:
        with np.errstate(over="ignore"):
            copied = np.array(values, dtype=np.float64, order="C")
            # Negative zeros become zeros.
            copied += 0.0
            return copied
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{what} holds an entry that is no float64 number ({error}).",
            "Give real numbers within ±1.7e308.",
        ) from error


def dense_samples(X: npt.ArrayLike) -> FloatArray:
    """Return X as a C-contiguous float64 array of its own, without negative zeros.

    Raises:
        DataError: not two dimensions, no rows, no columns, entries that are not finite and real,
            different rows of integers that become equal by rounding.
    """
    array = array_of(X, "X")
    if array.size == 0 and (array.ndim < 2 or array.shape[0] == 0):
        raise DataError("X has no samples.", "Give at least one row per class.")
    if array.ndim != 2:
        raise DataError(
            f"X has {array.ndim} dimension(s), not 2.",
            "Give one row per sample: X.reshape(-1, 1) for a single feature.",
        )
    if array.shape[1] == 0:
        raise DataError("X has no features.", "Give at least one column.")
    samples = _numbers(array, "X")
    bad = np.argwhere(~np.isfinite(samples))
    if bad.size:
        row, column = (int(i) for i in bad[0])
        raise DataError(
            f"X holds {samples[row, column]} at row {row}, column {column} "
            f"({len(bad)} such entries in all).",
            "Drop or fill such entries: NaN and infinities have no margin.",
        )
    samples = np.ascontiguousarray(samples)
    if np.any(np.abs(samples) >= 2.0**53):
        given = _unrounded(X, array)
        if given is not None:
            _refuse_merged(given, samples)
    return samples


def _unrounded(X: npt.ArrayLike, array: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """Return the entries of X as they were before numpy made one type of them; None if floats."""
    if array.dtype.kind in "iuO":
        return array
    if isinstance(X, np.ndarray):
        return None
    # Lists and data frames of integers and floats lose the integers on the way to an array.
    frame = getattr(X, "to_numpy", None)
    return np.asarray(X, dtype=object) if frame is None else frame(dtype=object)
