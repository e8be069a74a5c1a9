"""Gradients as rows: dense, or CSR where the data are sparse; what differs between the two."""

from __future__ import annotations

from typing import Any

import numpy as np

from lexmargin.inputs.limits import DENSIFIED_ENTRIES
from lexmargin.linalg.norms import Array

__all__ = ["densified", "dual_lengths", "gram", "is_dense", "row_lengths", "with_column"]


def is_dense(rows: Any) -> bool:
    """Say whether the rows are a NumPy array; else they are CSR."""
    return isinstance(rows, np.ndarray)


def row_lengths(rows: Any) -> Array:
    """Return ‖z_n‖₂ of every row (N,)."""
    if is_dense(rows):
        squares = np.einsum("ij,ij->i", rows, rows)
    else:
        entries = type(rows)((rows.data**2, rows.indices, rows.indptr), rows.shape)
        squares = entries @ np.ones(rows.shape[1])
    return np.asarray(np.sqrt(squares))


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


def gram(rows: Any) -> Array:
    """Return `J Jᵀ` (S, S), dense."""
    product = rows @ rows.T
    return product if is_dense(rows) else np.asarray(product.toarray())
