"""Samples dense or sparse in one checked form, and equal rows of both."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from lexmargin.errors import DataError, LexmarginError
from lexmargin.inputs.arrays import array_of, real_array
from lexmargin.inputs.checks import LARGEST_SCALE

__all__ = [
    "arrays_of",
    "check_structure",
    "contradiction",
    "dense_samples",
    "first_equal",
    "is_sparse",
    "sample_weights",
    "sparse_samples",
    "stored_samples",
]

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
        DataError: not two dimensions, no rows, no columns, entries that are not finite and real,
            different rows of integers that become equal by rounding, arrays that are no sparse
            matrix together.
    """
    from scipy import sparse

    with _damage_named(), np.errstate(over="ignore"):
        shape = _sparse_shape(X)
        kind, arrays = _parts(X, shape)
        build = {"coo": sparse.coo_array, "csr": sparse.csr_array, "csc": sparse.csc_array}
        # Built anew: what X remembers of its own order may be false.
        given = build.get(kind, sparse.bsr_array)(arrays, shape=shape)
        made = _in_order(sparse.csr_array(given, dtype=np.float64, copy=True))
    bad = np.flatnonzero(~np.isfinite(made.data))
    if bad.size:
        row = int(np.searchsorted(made.indptr, bad[0], side="right")) - 1
        raise DataError(
            f"X holds {made.data[bad[0]]} at row {row}, column {made.indices[bad[0]]} "
            f"({bad.size} such entries in all).",
            "Drop or fill such entries: NaN and infinities have no margin.",
        )
    if given.dtype.kind in "iu" and np.any(np.abs(made.data) >= 2.0**53):
        _refuse_merged(_in_order(sparse.csr_array(given, copy=True)), made)
    return made


def _in_order(rows: Any) -> Any:
    """Return a CSR array that may be changed with its columns in order and without stored zeros."""
    rows.sum_duplicates()
    rows.eliminate_zeros()
    # No more memory than the entries need.
    rows.prune()
    return rows


def sample_weights(weights: object, count: int, *, zeros: bool = False) -> FloatArray:
    """Return the weights of so many samples in a loss.

    Args:
        weights: one number per sample.
        count: N.
        zeros: accept 0 too, of samples that are to be left out.

    Raises:
        DataError: not one per sample, or a weight that is no number from 1e-100 to 1e100.
    """
    found = real_array(weights, "weights")
    if found.shape != (count,):
        raise DataError(
            f"weights has shape {found.shape} for {count} samples.", "Give one weight per sample."
        )
    good = (found >= 1.0 / LARGEST_SCALE) & (found <= LARGEST_SCALE)
    bad = np.flatnonzero(~(good | (zeros & (found == 0.0))))
    if bad.size:
        raise DataError(
            f"Weight {bad[0]} is {found[bad[0]]:g}; a weight is a number from "
            f"{1.0 / LARGEST_SCALE:g} to {LARGEST_SCALE:g}.",
            "Leave out samples of weight 0, and change the unit of the others.",
        )
    return found


def stored_samples(X: Any) -> Any:
    """Return X itself where it is what :func:`sparse_samples` returns, else what that returns.

    Raises:
        DataError: as :func:`sparse_samples`; entries that are not finite are not looked for.
    """
    with _damage_named():
        shape = _sparse_shape(X)
        if X.format == "csr" and X.data.dtype == np.float64:
            _, (_, indices, indptr) = _parts(X, shape)
            rising = indices[1:] > indices[:-1]
            rising[indptr[(indptr > 0) & (indptr < indices.size)] - 1] = True
            if bool(np.all(rising)) and X.data.size == X.indices.size == indices.size:
                return X
    return sparse_samples(X)


def check_structure(X: Any) -> None:
    """Raise :class:`DataError` where the arrays of X are no sparse matrix together.

    SciPy believes its arrays, which anybody may change: an index beyond the matrix makes compiled
    code read and write other memory.
    """
    with _damage_named():
        _parts(X, _sparse_shape(X))


@contextmanager
def _damage_named() -> Iterator[None]:
    """Name whatever arrays of a sparse matrix raise that somebody has replaced by other things."""
    try:
        yield
    except LexmarginError:
        raise
    except Exception as error:
        raise _broken(f"{type(error).__name__}: {error}") from error


def _broken(why: str) -> DataError:
    return DataError(f"X is a damaged sparse matrix: {why}.", "Build it again from its entries.")


def _sparse_shape(X: Any) -> tuple[int, int]:
    if X.ndim != 2:
        raise DataError(f"X has {X.ndim} dimension(s), not 2.", "Give one row per sample.")
    if X.shape[0] == 0:
        raise DataError("X has no samples.", "Give at least one row per class.")
    if X.shape[1] == 0:
        raise DataError("X has no features.", "Give at least one column.")
    if X.dtype.kind not in "iuf":
        raise DataError(
            f"X has entries of type {X.dtype}, which are not real numbers.",
            "Convert it to numbers first.",
        )
    rows, columns = (operator.index(n) for n in X.shape)
    if rows < 0 or columns < 0:
        raise _broken(f"its shape is {X.shape}")
    return rows, columns


def _parts(X: Any, shape: tuple[int, int]) -> tuple[str, tuple[Any, ...]]:
    """Return format and arrays of a sparse matrix, checked in time linear in their length."""
    kind = str(X.format)
    if kind in ("csr", "csc", "bsr"):
        _check_entries(X.data, 3 if kind == "bsr" else 1)
        height, width = X.data.shape[1:] if kind == "bsr" else (1, 1)
        if height < 1 or width < 1 or shape[0] % height or shape[1] % width:
            raise _broken(f"blocks of {height} x {width} in a shape of {shape}")
        count, most = shape[0] // height, shape[1] // width
        if kind == "csc":
            count, most = most, count
        used = _compressed(X.indptr, X.indices, count, most)
        if X.data.shape[0] < used:
            raise _broken(f"{X.data.shape[0]} entries for {used} indices")
        return kind, (X.data[:used], X.indices[:used], X.indptr)
    entries, places = _listed(X, kind)
    _check_entries(entries, 1)
    for which, found, most in zip(("row", "column"), places, shape, strict=True):
        if found.shape != entries.shape:
            raise _broken(f"{entries.size} entries and {found.size} {which}s")
        _check_range(found, most, which)
    return "coo", (entries, places)


def _listed(X: Any, kind: str) -> tuple[Any, tuple[Any, Any]]:
    """Return the entries with their rows and columns, read by nothing that is compiled."""
    if kind == "lil":
        lengths = [len(row) for row in X.rows]
        if lengths != [len(row) for row in X.data]:
            raise _broken("its rows and their entries differ in number")
        columns = np.array([j for row in X.rows for j in row], dtype=np.int64)
        rows = np.repeat(np.arange(len(lengths)), lengths)
        return np.array([v for row in X.data for v in row], dtype=X.dtype), (rows, columns)
    if kind == "dok":
        keys = np.array(list(X.keys()), dtype=np.int64).reshape(-1, 2)
        return np.array(list(X.values()), dtype=X.dtype), (keys[:, 0], keys[:, 1])
    if kind == "dia":
        if X.data.ndim != 2 or X.data.shape[0] != np.size(X.offsets):
            raise _broken("its diagonals and their offsets differ in number")
        columns = np.broadcast_to(np.arange(X.data.shape[1]), X.data.shape)
        rows = columns - np.asarray(X.offsets)[:, None]
        inside = (rows >= 0) & (rows < X.shape[0]) & (columns < X.shape[1])
        return X.data[inside], (rows[inside], columns[inside])
    if kind != "coo":
        raise _broken(f"its format is {kind!r}")
    return X.data, (X.row, X.col)


def _check_entries(entries: Any, dimensions: int) -> None:
    if not isinstance(entries, np.ndarray) or entries.ndim != dimensions:
        raise _broken(f"its entries are no array of {dimensions} dimension(s)")
    if entries.dtype.kind not in "iuf":
        raise _broken(f"its entries are of type {entries.dtype}")


def _check_range(indices: Any, most: int, which: str) -> None:
    if not isinstance(indices, np.ndarray) or indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise _broken(f"its {which} indices are no array of integers")
    if indices.size and not (indices.min() >= 0 and indices.max() < most):
        raise _broken(f"{which} indices from {indices.min()} to {indices.max()}, not below {most}")


def _compressed(indptr: Any, indices: Any, count: int, most: int) -> int:
    """Check row ends and indices; return how many of the indices are used."""
    if not isinstance(indptr, np.ndarray) or indptr.ndim != 1 or indptr.dtype.kind not in "iu":
        raise _broken("its row ends are no array of integers")
    if indptr.size != count + 1 or indptr[0] != 0 or np.any(indptr[1:] < indptr[:-1]):
        raise _broken(f"its row ends do not rise from 0 in {count} steps")
    used = int(indptr[-1])
    if not isinstance(indices, np.ndarray) or indices.ndim != 1 or used > indices.size:
        raise _broken(f"its row ends speak of {used} indices")
    _check_range(indices[:used], most, "column")
    return used


def arrays_of(samples: Any) -> tuple[npt.NDArray[Any], ...]:
    """Return the arrays that hold dense or CSR samples."""
    if isinstance(samples, np.ndarray):
        return (samples,)
    return (samples.data, samples.indices, samples.indptr)


def _row_keys(samples: Any, rows: list[int]) -> Iterator[bytes]:
    """Yield what equal rows have in common, row by row: 16 bytes, not a second copy of the data."""
    if isinstance(samples, np.ndarray):
        for n in rows:
            yield hashlib.blake2b(samples[n].tobytes(), digest_size=16).digest()
        return
    for begin, end in pairwise(samples.indptr.tolist()):
        digest = hashlib.blake2b(samples.indices[begin:end], digest_size=16)
        digest.update(samples.data[begin:end])
        yield digest.digest()


def contradiction(samples: Any, labels: npt.NDArray[np.int64]) -> tuple[int, int] | None:
    """Return the first two equal rows with different labels, or None."""
    if not np.any(labels != labels[:1]):
        return None
    first = first_equal(samples)
    wrong = np.flatnonzero(labels[first] != labels)
    return (int(first[wrong[0]]), int(wrong[0])) if wrong.size else None


def first_equal(samples: Any) -> npt.NDArray[np.intp]:
    """Return for every row the first one that it is equal to (N,): itself, mostly."""
    found, first = np.arange(samples.shape[0]), dict[bytes, int]()
    alike = _alike(samples).tolist()
    for n, key in zip(alike, _row_keys(samples, alike), strict=True):
        found[n] = first.setdefault(key, n)
    return found


def _alike(samples: Any) -> npt.NDArray[np.intp]:
    """Return, in order, the rows that share a few of their entries with others: equal ones do."""
    rows, size = np.arange(samples.shape[0]), samples.shape[1]
    if not isinstance(samples, np.ndarray):
        return rows
    for column in sorted({0, size // 2, size - 1} if size else ()):
        entries = samples[rows, column]
        order = np.argsort(entries, kind="stable")
        equal = entries[order[1:]] == entries[order[:-1]]
        shared = np.zeros(rows.size, dtype=bool)
        shared[order[1:]] |= equal
        shared[order[:-1]] |= equal
        rows = rows[shared]
    return rows


def _refuse_merged(given: Any, samples: Any) -> None:
    """Raise :class:`DataError` where different rows of integers are equal as float64 numbers.

    ``given`` holds the entries before rounding, in the same places as ``samples`` does.
    """
    sparse = not isinstance(samples, np.ndarray)
    entries, rounded = (given.data, samples.data) if sparse else (given, samples)
    large = np.abs(rounded) >= 2.0**53
    if not any(int(a) != b for a, b in zip(entries[large], rounded[large].tolist(), strict=True)):
        return
    for n, m in enumerate(first_equal(samples).tolist()):
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
    samples = real_array(array, "X")
    bad = np.argwhere(~np.isfinite(samples))
    if bad.size:
        row, column = (int(i) for i in bad[0])
        raise DataError(
            f"X holds {samples[row, column]} at row {row}, column {column} "
            f"({len(bad)} such entries in all).",
            "Drop or fill such entries: NaN and infinities have no margin.",
        )
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
