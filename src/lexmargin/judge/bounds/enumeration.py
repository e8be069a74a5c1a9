"""Upper bounds by going through all vertices (math §4)."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np

from lexmargin.inputs.limits import VERTEX_BASES
from lexmargin.linalg.exact import integer_rows, matvec, solve_integer
from lexmargin.linalg.norms import Array
from lexmargin.linalg.rounding import OUTWARD
from lexmargin.margins import MarginFunctions
from lexmargin.predictors.networks import DiagonalNetwork

__all__ = ["signed_rows", "vertex_bound"]


def signed_rows(functions: MarginFunctions) -> Array:
    """Return the rows `z_n = y_n x_n`, in the unit of the margins."""
    return np.array(functions.score_weights(np.ones(functions.count))[:, None] * functions.data.X)


def vertex_bound(functions: MarginFunctions) -> float | None:
    """Bound the margin of a diagonal network of depth ≥ 3 by all vertices; None if too many.

    `min ‖θ‖²` for a given β is `L Σ|β_i|^{2/L}`, concave on every orthant, so that its minimum over
    `{β : Zβ ≥ 1}` is at a vertex within an orthant: `Z_TJ β_J = 1`, |T| = |J|, the rest 0. Vertices
    and their feasibility are exact; `γ* = (L Σ|β_i|^{2/L})^{-L/2}`.
    """
    predictor = functions.predictor
    if not isinstance(predictor, DiagonalNetwork) or predictor.depth < 3:
        return None
    Z = signed_rows(functions)
    count, size = Z.shape
    bases = sum(math.comb(count, k) * math.comb(size, k) for k in range(1, min(count, size) + 1))
    if bases > VERTEX_BASES:
        return None
    depth = predictor.depth
    rows, exponents = integer_rows(Z)
    rights = [Fraction(1, 2) ** e for e in exponents]
    smallest = math.inf
    for k in range(1, min(count, size) + 1):
        for chosen in itertools.combinations(range(count), k):
            for columns in itertools.combinations(range(size), k):
                vertex = _vertex(rows, rights, chosen, columns)
                if vertex is None or any(x == 0 for x in vertex):
                    continue
                cost = sum(abs(float(x)) ** (2.0 / depth) for x in vertex)
                if cost >= smallest:
                    continue
                beta = [Fraction(0)] * size
                for j, x in zip(columns, vertex, strict=True):
                    beta[j] = x
                if all(margin >= 1 for margin in matvec(Z, beta)):
                    smallest = cost
    if math.isinf(smallest):
        return None
    return float((depth * smallest) ** (-0.5 * depth)) * (1.0 + OUTWARD)


def _vertex(
    rows: list[list[int]],
    rights: list[Fraction],
    chosen: tuple[int, ...],
    columns: tuple[int, ...],
) -> tuple[Fraction, ...] | None:
    matrix, right = [], []
    for n in chosen:
        numerator, denominator = rights[n].numerator, rights[n].denominator
        matrix.append([rows[n][j] * denominator for j in columns])
        right.append(numerator)
    return solve_integer(matrix, right)
