"""The rows ``z_n = y_n x_n`` of a linear predictor, read where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from lexmargin.data.samples import is_sparse
from lexmargin.errors import DataError, ShapeError
from lexmargin.inputs.limits import PRODUCT_BYTES
from lexmargin.ops.base import FloatArray, IntArray

__all__ = ["SignedRows", "signed_rows"]


@final
@dataclass(frozen=True, eq=False)
class SignedRows:
    """``z_n = y_n x_n`` for a dense matrix of any layout, or a CSR matrix.

    Attributes:
        X: (N, d) dense array of real numbers, or a scipy CSR matrix or array.
        y: (N,) of -1.0 and +1.0.
        sparse: whether X is CSR.
    """

    X: Any
    y: FloatArray
    sparse: bool

    @property
    def count(self) -> int:
        """N."""
        return int(self.X.shape[0])

    @property
    def size(self) -> int:
        """d."""
        return int(self.X.shape[1])

    def products(self, w: FloatArray) -> FloatArray:
        """Return ``z_n · w`` for every n, in one pass over the data, ``(N,)``."""
        X = self.X
        if self.sparse or (
            X.dtype == np.float64 and (X.flags.c_contiguous or X.flags.f_contiguous)
        ):
            result = np.asarray(X @ w, dtype=np.float64)
        else:
            # BLAS reads only contiguous doubles; anything else is brought to it piece by piece.
            result = np.empty(self.count)
            step = max(1, PRODUCT_BYTES // (8 * max(self.size, 1)))
            for begin in range(0, self.count, step):
                piece = np.ascontiguousarray(X[begin : begin + step], dtype=np.float64)
                result[begin : begin + step] = piece @ w
        result *= self.y
        return result

    def take(self, index: IntArray) -> Any:
        """Return the rows ``z_n`` of an index set: dense ``(m, d)``, or CSR."""
        if self.sparse:
            from scipy import sparse

            rows = sparse.csr_array(self.X[index], dtype=np.float64)
            rows.data *= np.repeat(self.y[index], np.diff(rows.indptr))
            return rows
        taken = np.array(self.X[index], dtype=np.float64, order="C")
        taken *= self.y[index, None]
        return taken


def signed_rows(X: Any, y: npt.ArrayLike) -> SignedRows:
    """Return the rows after a check of shapes and labels; X stays where it is.

    Raises:
        ShapeError: X is no matrix, or y has another length.
        DataError: no rows, no columns, labels other than -1 and +1, values that are not real.
    """
    sparse = is_sparse(X)
    if sparse:
        if X.format != "csr":
            X = X.tocsr()
    else:
        X = np.asarray(X)
    if X.ndim != 2:
        raise ShapeError(f"The rows have {X.ndim} dimension(s), not 2.", "Give an (N, d) matrix.")
    if X.dtype.kind not in "biuf":
        raise DataError(f"The rows have type {X.dtype}.", "Give real numbers.")
    labels = np.asarray(y, dtype=np.float64)
    if labels.shape != (X.shape[0],):
        raise ShapeError(
            f"y has shape {labels.shape} for {X.shape[0]} rows.", "Give one label per row."
        )
    if 0 in X.shape:
        raise DataError(f"The matrix has shape {X.shape}.", "Give at least one row and column.")
    if not np.all(np.abs(labels) == 1.0):
        raise DataError("The labels are not all -1 or +1.", "Recode the two classes.")
    return SignedRows(X, labels, sparse)
