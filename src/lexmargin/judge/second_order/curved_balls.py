"""Margin functions with their first and second derivatives over boxes, for second-order tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.functions.enclosure import BallMargins
from lexmargin.linalg.norms import Array
from lexmargin.margins import MarginFunctions
from lexmargin.ops.arb import combined_gradient

__all__ = ["CurvedBalls"]


@final
@dataclass(frozen=True, eq=False)
class CurvedBalls:
    """`u -> f_n(b + s u)/r_n` in ball arithmetic, for sizes s and places b (d,); r (N,) or 1.

    Its methods raise :class:`~lexmargin.ops.arb.KinkInBox` where a derivative does not exist.
    """

    functions: MarginFunctions
    sizes: Array
    base: Array
    required: Array | None = None

    def _share(self, n: int) -> Any:
        """Return 1/r_n, which is no double."""
        from flint import arb

        return arb(1) if self.required is None else arb(1) / arb(float(self.required[n]))

    def slopes(self, box: Sequence[Any], indices: Indices) -> tuple[list[Any], list[list[Any]]]:
        """Return enclosures of f_n (S,) and of ∇f_n (S, d) over a box of balls."""

        chosen = BallMargins(self.functions, indices)
        blocks, leaves = chosen.blocks(self._moved(box), tangents=False)
        margins = chosen.margins(blocks)
        values, rows = [], []
        for margin, n in zip(margins, indices.tolist(), strict=True):
            share, parts = self._share(n), margin.gradient(leaves)
            values.append(share * margin.value)
            row = [share * p[0] * float(s) for p, s in zip(parts, self.sizes, strict=True)]
            rows.append(row)
        return values, rows

    def curvatures(self, box: Sequence[Any], groups: Sequence[tuple[Indices, Array]]) -> list[Any]:
        """Return enclosures of `Σ_n weights_n ∇²f_n` over a box, a matrix (d, d) of each group."""
        from flint import arb, arb_mat

        everyone = np.unique(np.concatenate([indices for indices, _ in groups]))
        chosen = BallMargins(self.functions, everyone)
        blocks, leaves = chosen.blocks(self._moved(box), tangents=True)
        margins = chosen.margins(blocks)
        d, found = self.functions.size, []
        for indices, weights in groups:
            places = np.searchsorted(everyone, indices)
            shares = [self._share(n) for n in indices.tolist()]
            pairs = [
                (margins[i], share * arb(float(w)))
                for i, w, share in zip(places, weights, shares, strict=True)
            ]
            matrix = arb_mat(d, d)
            for i, (_, turn) in enumerate(combined_gradient(pairs, leaves)):
                if turn is None:
                    continue
                for j in range(d):
                    matrix[i, j] = turn[0, j] * float(self.sizes[i]) * float(self.sizes[j])
            found.append(matrix)
        return found

    def _moved(self, box: Sequence[Any]) -> list[Any]:
        parts = zip(box, self.sizes, self.base, strict=True)
        return [float(base) + value * float(size) for value, size, base in parts]
