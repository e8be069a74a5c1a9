"""Gradients as rows: dense, or CSR where the data are sparse; what differs between the two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lexmargin.inputs.limits import DENSIFIED_ENTRIES, SIZED_ENTRIES
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.linalg.rounding import EPS, TINY

__all__ = [
    "chosen_rows",
    "densified",
    "dual_lengths",
    "inner_products",
    "is_dense",
    "largest_entry",
    "remainder",
    "row_lengths",
    "row_sums",
    "with_column",
    "with_sizes",
]

_FEW_ROWS: Final = 16
"""Rows whose products BLAS forms three times as fast by halves, in pieces small enough for its
kernel of small matrices, than as one symmetric product."""


def is_dense(rows: Any) -> bool:
    """Say whether the rows are a NumPy array; else they are CSR."""
    return isinstance(rows, np.ndarray)


def chosen_rows(rows: Any, index: NDArray[np.intp]) -> Any:
    """Return the rows of an increasing index, without a copy where it holds all of them."""
    return rows if index.size == rows.shape[0] else rows[index]


def largest_entry(rows: Any) -> float:
    """Return the largest absolute value of an entry, 0 of none."""
    entries = rows if is_dense(rows) else rows.data
    return max(float(np.max(entries, initial=0.0)), -float(np.min(entries, initial=0.0)))


def _sizes(rows: Any, index: NDArray[np.intp] | None = None) -> Iterator[tuple[Any, Any, Any]]:
    """Yield a slice of the places, the rows there and their absolute values, a few at a time."""
    count = rows.shape[0] if index is None else index.size
    # CSR rows are copied with their places, and copied again with their sizes.
    entries = SIZED_ENTRIES if is_dense(rows) else SIZED_ENTRIES // 16
    step = max(1, entries * rows.shape[0] // max(1, rows.size))
    # One buffer: fresh memory costs more than the arithmetic.
    room = np.empty((min(step, count), rows.shape[1])) if is_dense(rows) else None
    for start in range(0, count, step):
        places = slice(start, min(start + step, count))
        some = rows[places] if index is None else rows[index[places]]
        yield places, some, abs(some) if room is None else np.abs(some, out=room[: len(some)])


def row_sums(rows: Any, theta: Array) -> Array:
    """Return Σ_i |J_ni θ_i|, the size of the terms that cancel in `∇f_n·θ` (N,)."""
    sums, weights = np.empty(rows.shape[0]), np.abs(theta)
    for places, _, sizes in _sizes(rows):
        sums[places] = sizes @ weights
    return sums


def with_sizes(weights: Array, rows: Any) -> tuple[Any, Array]:
    """Return `Σ λ_n z_n` and `Σ |λ_n z_n|`, (d,) each, the size of the terms that cancel.

    The sum is in the floats of the rows.
    """
    used = np.flatnonzero(weights)
    sums = np.zeros(rows.shape[1], dtype=np.result_type(rows.dtype, np.float64))
    spent = np.zeros(rows.shape[1])
    share = weights[used]
    for places, some, sizes in _sizes(rows, None if used.size == weights.size else used):
        sums += share[places] @ some
        spent += np.abs(share[places]) @ sizes
    return sums, spent


def row_lengths(rows: Any) -> Array:
    """Return ‖z_n‖₂ of every row (N,), whatever the size of its entries."""
    with np.errstate(over="ignore", under="ignore"):
        if is_dense(rows):
            squares = np.einsum("ij,ij->i", rows, rows)
        else:
            squares, ones = np.empty(rows.shape[0]), np.ones(rows.shape[1])
            for places, _, sizes in _sizes(rows):
                sizes.data *= sizes.data
                squares[places] = sizes @ ones
    lengths = np.asarray(np.sqrt(squares))
    # Where a square is lost beside the others or by itself, the row is taken to size 1 first.
    lost = np.flatnonzero(~((squares > TINY / EPS**2) & (squares < np.inf)))
    if lost.size and largest_entry(rows[lost]) > 0.0:
        for n in lost:
            row = rows[n] if is_dense(rows) else rows[[n]].data
            lengths[n] = vector_norm(row, 2.0) if np.any(row) else 0.0
    return lengths


def dual_lengths(rows: Any, norm: float) -> Array:
    """Return ‖z_n‖_∞ for the ℓ1 ball, ‖z_n‖_1 for the ℓ∞ ball (N,)."""
    sizes = abs(rows)
    if is_dense(rows):
        return np.asarray(np.max(sizes, axis=1) if norm == 1.0 else np.sum(sizes, axis=1))
    found = sizes.max(axis=1).toarray() if norm == 1.0 else sizes.sum(axis=1)
    return np.asarray(found, dtype=np.float64).reshape(-1)


def with_column(rows: Any, column: Array) -> Any:
    """Return the rows with one more entry each."""
    if is_dense(rows):
        return np.column_stack([rows, column])
    from scipy import sparse

    # By hand: scipy's hstack needs several times the memory of the rows.
    entries, kind = rows.nnz + rows.shape[0], rows.indptr.dtype
    if entries > np.iinfo(kind).max:
        kind = np.dtype(np.int64)
    ends = rows.indptr.astype(kind) + np.arange(rows.shape[0] + 1, dtype=kind)
    last = ends[1:] - 1
    before = np.ones(entries, dtype=bool)
    before[last] = False
    data, indices = np.empty(before.size), np.empty(before.size, dtype=rows.indices.dtype)
    data[before], indices[before] = rows.data, rows.indices
    data[last], indices[last] = column, rows.shape[1]
    return sparse.csr_array((data, indices, ends), (rows.shape[0], rows.shape[1] + 1))


def densified(rows: Any) -> Array | None:
    """Return the rows as a NumPy array; None where sparse ones would fill 40 MB."""
    if is_dense(rows):
        dense: Array = rows
        return dense
    if rows.shape[0] * rows.shape[1] > DENSIFIED_ENTRIES:
        return None
    return np.asarray(rows.toarray())


def inner_products(rows: Any, target: Array) -> tuple[Array, Array]:
    """Return `J Jᵀ` (S, S), dense, and `J t` (S,); dense rows are read from memory once."""
    if not is_dense(rows):
        return np.asarray((rows @ rows.T).toarray()), rows @ target
    count = len(rows)
    square, products, half = np.zeros((count, count)), np.zeros(count), 4 * -(-count // 8)
    few = count <= _FEW_ROWS
    for columns in _columns(rows, 2 * SIZED_ENTRIES // max(count, 1) if few else SIZED_ENTRIES):
        some = rows[:, columns]
        if few:
            square[:half] += some[:half] @ some.T
            square[half:] += some[half:] @ some.T
        else:
            square += some @ some.T
        products += some @ target[columns]
    return square, products


def remainder(rows: Any, weights: Array, target: Array) -> tuple[Array, Array]:
    """Return r = t - Jᵀλ (d,) and `J r` (S,); dense rows are read from memory once."""
    if not is_dense(rows):
        left = target - weights @ rows
        return left, rows @ left
    left, products = np.empty(target.size), np.zeros(len(rows))
    for columns in _columns(rows, SIZED_ENTRIES):
        some, part = rows[:, columns], left[columns]
        np.matmul(weights, some, out=part)
        np.subtract(target[columns], part, out=part)
        products += some @ part
    return left, products


def _columns(rows: Array, entries: int) -> Iterator[slice]:
    """Yield slices of columns that stay in a cache together, and outweigh a product of rows."""
    count, size = rows.shape
    step = max(1, entries // max(1, count), 4 * count)
    return (slice(start, start + step) for start in range(0, size, step))
