"""The rows of linear margins, with or without a bias, of dense and of sparse samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lexmargin.data.dataset import Dataset

__all__ = ["margin_rows"]

IntArray = npt.NDArray[np.int64]


def margin_rows(dataset: Dataset, bias: bool = False) -> Any:
    """Return the rows z with ``f(w) = z·w`` for a linear predictor, CSR for sparse samples.

    Two classes: ``z_n = y_n x_n``, shape (N, p). C classes: ``(e_{y_n} - e_c) ⊗ x_n`` for every
    ``c ≠ y_n`` in ascending order, shape (N(C-1), C·p), for w = (w_0, …, w_{C-1}) one class after
    the other. With ``bias`` every x_n has a 1 appended, so p becomes p + 1.
    """
    X: Any = dataset.samples
    if dataset.is_sparse:
        return _sparse_rows(dataset, bias)
    if bias:
        X = np.hstack([X, np.ones((dataset.n_samples, 1))])
    if dataset.is_binary:
        return np.ascontiguousarray(X * dataset.y[:, None]) + 0.0
    count, classes, p = dataset.n_samples, dataset.n_classes, X.shape[1]
    rows = np.zeros((count, classes - 1, classes, p))
    samples, own, others = _differences(dataset)
    place = np.tile(np.arange(classes - 1), count)
    rows[samples, place, own] = X[samples]
    rows[samples, place, others] = -X[samples]
    return rows.reshape(count * (classes - 1), classes * p) + 0.0


def _differences(dataset: Dataset) -> tuple[IntArray, IntArray, IntArray]:
    """Return sample, own class and other class of every margin."""
    classes = dataset.n_classes
    samples, others = np.nonzero(np.arange(classes)[None, :] != dataset.y[:, None])
    return samples, dataset.y[samples], others


def _sparse_rows(dataset: Dataset, bias: bool) -> Any:
    from scipy import sparse

    X = dataset.samples
    if bias:
        X = sparse.hstack([X, np.ones((dataset.n_samples, 1))], format="csr")
    if dataset.is_binary:
        return sparse.csr_array(sparse.diags_array(dataset.y.astype(np.float64)) @ X)
    samples, own, others = _differences(dataset)
    count, classes, p = samples.size, dataset.n_classes, X.shape[1]
    taken = X[samples].tocoo()
    row, column = taken.coords
    return sparse.csr_array(
        (
            np.concatenate([taken.data, -taken.data]),
            (
                np.concatenate([row, row]),
                np.concatenate([own[row] * p + column, others[row] * p + column]),
            ),
        ),
        shape=(count, classes * p),
    )
