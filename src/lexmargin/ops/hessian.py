"""Exact second derivatives of weighted scores, by CasADi."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Final, final

import numpy as np

from lexmargin.inputs.interrupts import interrupts_kept
from lexmargin.ops.base import FloatArray, IntArray
from lexmargin.ops.casadi import CasadiArray, CasadiOps, matrix, numbers

__all__ = ["SecondDerivatives"]

_WORTH: Final = 0.5
"""Colours per parameter beyond which columns are asked for one by one: colouring takes longer."""


@final
class SecondDerivatives:
    """``Σ V ∇²F(θ)``, applied to directions or as a matrix.

    Args:
        predictor: F, of the parameter blocks and the features, in any arithmetic.
        shapes: of the blocks that θ (d,) is flattened from.
        features: (n, p).
        outputs: columns of the scores and of their weights V (n, outputs).
    """

    @interrupts_kept()
    def __init__(
        self,
        predictor: Callable[..., CasadiArray],
        shapes: Sequence[tuple[int, ...]],
        features: FloatArray,
        outputs: int,
    ) -> None:
        import casadi as ca

        ops = CasadiOps()
        self._size = sum(math.prod(shape) for shape in shapes)
        flat = ca.MX.sym("theta", self._size)
        blocks, first = [], 0
        for shape in shapes:
            last = first + math.prod(shape)
            part = flat[first:last]
            matrix = ca.reshape(part, shape[1], shape[0]).T if len(shape) == 2 else part
            blocks.append(CasadiArray(matrix, shape))
            first = last
        scores = predictor(ops, blocks, ops.constant(features))
        weights = ca.MX.sym("weights", len(features), outputs)
        combined = ca.dot(weights, scores.matrix)
        # Direction by direction: one symbolic Hessian of a deep network takes minutes to build.
        v = ca.MX.sym("v", self._size)
        applied = ca.jtimes(ca.gradient(combined, flat), flat, v)
        self._product = ca.Function("product", [flat, weights, v], [applied])

    def products(
        self, theta: FloatArray, weights: FloatArray, directions: FloatArray
    ) -> FloatArray:
        """Return ``Σ V ∇²F(θ) v`` for every row v of ``directions`` (m, d)."""
        return numbers(
            self._mapped(len(directions))(matrix(theta), matrix(weights), matrix(directions.T))
        ).T

    @functools.lru_cache(maxsize=4)  # noqa: B019  as few as there are kinds of callers
    def _mapped(self, count: int) -> Any:
        return self._product.map("hessian", "serial", count, [0, 1], [])

    def matrix(self, theta: FloatArray, weights: FloatArray) -> FloatArray:
        """Return ``Σ V ∇²F(θ)`` (d, d): columns that share no row come of one product."""
        if self._coloured is None:
            return self.products(theta, weights, np.eye(self._size))
        rows, columns, colours = self._coloured
        seeds = np.zeros((self.colours, self._size))
        seeds[colours, np.arange(self._size)] = 1.0
        found = np.zeros((self._size, self._size))
        found[rows, columns] = self.products(theta, weights, seeds)[colours[columns], rows]
        return found

    @property
    def colours(self) -> int:
        """How many products a matrix takes."""
        return self._size if self._coloured is None else int(self._coloured[2].max()) + 1

    @functools.cached_property
    def _coloured(self) -> tuple[IntArray, IntArray, IntArray] | None:
        """Rows and columns of entries that may be nonzero, and the colour of every column (d,)."""
        pattern = self._product.jac_sparsity(0, 2)
        if np.diff(pattern.colind()).max() > _WORTH * self._size:
            return None
        groups = pattern.uni_coloring()
        colours = np.zeros(self._size, dtype=np.int64)
        members, group = groups.get_triplet()
        colours[members] = group
        rows, columns = pattern.get_triplet()
        return np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64), colours
