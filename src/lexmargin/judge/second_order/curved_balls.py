"""Margin functions with their first and second derivatives over boxes, for second-order tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from lexmargin.judge.proofs.enclosure import BallMargins
from lexmargin.judge.trained.scores import Indices
from lexmargin.linalg.norms import Array
from lexmargin.margins import MarginFunctions
from lexmargin.ops.arb import combined_gradient

__all__ = ["CurvedBalls"]


@final
@dataclass(frozen=True, eq=False)
class CurvedBalls:
    """`u -> f(s u)` in ball arithmetic, for sizes s (d,) of the coordinates.

    Its methods raise :class:`~lexmargin.ops.arb.KinkInBox` where a derivative does not exist.
    """

    functions: MarginFunctions
    sizes: Array

    def scaled(self, sizes: Array) -> CurvedBalls:
        """Return the functions of `s u` for further sizes."""
        return CurvedBalls(self.functions, self.sizes * sizes)

    def slopes(self, box: Sequence[Any], indices: Indices) -> tuple[list[Any], list[list[Any]]]:
        """Return enclosures of f_n (S,) and of ∇f_n (S, d) over a box of balls."""
        from flint import arb

        chosen = BallMargins(self.functions, indices)
        blocks, leaves = chosen.blocks(self._moved(box), tangents=False)
        margins = chosen.margins(blocks)
        rows = []
        for margin in margins:
            parts = margin.gradient(leaves)
            rows.append([arb(p[0]) * float(s) for p, s in zip(parts, self.sizes, strict=True)])
        return [margin.value for margin in margins], rows

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
            pairs = [(margins[i], arb(float(w))) for i, w in zip(places, weights, strict=True)]
            matrix = arb_mat(d, d)
            for i, (_, turn) in enumerate(combined_gradient(pairs, leaves)):
                if turn is None:
                    continue
                for j in range(d):
                    matrix[i, j] = turn[0, j] * float(self.sizes[i]) * float(self.sizes[j])
            found.append(matrix)
        return found

    def _moved(self, box: Sequence[Any]) -> list[Any]:
        return [value * float(size) for value, size in zip(box, self.sizes, strict=True)]
