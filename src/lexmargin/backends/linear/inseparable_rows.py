"""Few rows of sparse samples that may already not be separable: what an exact proof can look at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, final

import numpy as np

from lexmargin.backends.linear.constraint_generation import hard_margin_linear
from lexmargin.backends.linear.free_bias import bias_samples
from lexmargin.formulations.base import Formulation
from lexmargin.inputs.limits import EXACT_ENTRIES
from lexmargin.ops.base import FloatArray, IntArray
from lexmargin.separation.gordan import Separability

__all__ = ["Suspects", "suspects"]


@final
@dataclass(frozen=True, eq=False)
class Suspects:
    """Rows ``z_n`` of some samples, without the columns that are 0 in all of them.

    Attributes:
        index: the samples (S,).
        rows: (S, k) dense, with the labels as a column where the bias is free.
        weights: λ of those samples, Gordan's vector up to rounding.
        count: N.
    """

    index: IntArray
    rows: FloatArray
    weights: FloatArray
    count: int

    def of_all(self, proof: Separability) -> Separability:
        """Return a negative verdict on these rows as one on all samples: λ is 0 on the others."""
        if proof.gordan is None:
            return proof
        gordan = [Fraction(0)] * self.count
        for n, value in zip(self.index.tolist(), proof.gordan, strict=True):
            gordan[n] = value
        return replace(proof, gordan=tuple(gordan))


def suspects(problem: Formulation) -> Suspects | None:
    """Return the samples that Gordan's vector of a linear problem rests on, up to rounding.

    None where the samples separate after all, or where the rows are too many to be made dense.
    """
    X: Any = problem.functions.linear_inputs
    free = X is None
    X = bias_samples(problem)[0] if free else X
    y = np.asarray(problem.data.signed, dtype=np.float64)
    found = hard_margin_linear(X, y, bias=free)
    index = np.flatnonzero(found.multipliers)
    if found.margin > 0.0 or not index.size:
        return None
    taken = X[index].tocsc()
    taken = taken[:, np.flatnonzero(np.diff(taken.indptr))]
    if taken.shape[0] * taken.shape[1] > EXACT_ENTRIES:
        return None
    rows = y[index, None] * taken.toarray()
    rows = np.column_stack([rows, y[index]]) if free else rows
    if rows.shape[1] == 0:
        # Samples without an entry: z = 0 is Gordan's vector by itself.
        rows = np.zeros((index.size, 1))
    return Suspects(index, rows, found.multipliers[index], y.size)
