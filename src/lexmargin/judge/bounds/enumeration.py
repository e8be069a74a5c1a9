"""Upper bounds by going through all directions: vertices, and branch and bound (math §4)."""

from __future__ import annotations

import functools
import heapq
import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np

from lexmargin.inputs.limits import CIRCLE_BOXES, VERTEX_BASES
from lexmargin.linalg.exact import integer_rows, matvec, solve_integer
from lexmargin.linalg.long_numbers import precision
from lexmargin.linalg.norms import Array
from lexmargin.margins import MarginFunctions
from lexmargin.ops.arb import ArbOps, Ball, BallArray, KinkInBox
from lexmargin.predictors.networks import DiagonalNetwork

__all__ = ["circle_bound", "signed_rows", "vertex_bound"]

_ROUNDING = 1e-12
"""Raises the bound above what doubles lose in its few sums and powers; too small is unproven."""


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
    return float((depth * smallest) ** (-0.5 * depth)) * (1.0 + _ROUNDING)


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


# -- two parameters --------------------------------------------------------------------------------


@functools.lru_cache(maxsize=16)
def circle_bound(functions: MarginFunctions, alpha: float) -> float:
    """Bound `min_n f_n(θ)/‖θ‖^α` over the square |θ|_∞ = 1, by bisection of its sides.

    The largest bound among the pieces is halved until it exceeds the best value met by less than
    a part in 1e8, or until there are too many pieces; whatever is left is a bound. All answers of
    one problem are compared with the same one.
    """
    best = -math.inf
    queue: list[tuple[float, int, tuple[int, float, float, float]]] = []
    serial = itertools.count()

    def push(axis: int, side: float, low: float, high: float) -> None:
        nonlocal best
        middle = 0.5 * (low + high)
        theta = np.array([side, middle] if axis == 0 else [middle, side])
        best = max(best, float(np.min(functions.values(theta / np.linalg.norm(theta)))))
        upper = _piece(functions, alpha, axis, side, low, high)
        heapq.heappush(queue, (-upper, next(serial), (axis, side, low, high)))

    with precision(80):
        for axis in (0, 1):
            for side in (1.0, -1.0):
                push(axis, side, -1.0, 1.0)
        for _ in range(CIRCLE_BOXES):
            upper, _, (axis, side, low, high) = queue[0]
            if best > 0.0 and -upper <= best * (1.0 + 1e-8):
                break
            heapq.heappop(queue)
            middle = 0.5 * (low + high)
            push(axis, side, low, middle)
            push(axis, side, middle, high)
    return -queue[0][0]


def _piece(
    functions: MarginFunctions, alpha: float, axis: int, side: float, low: float, high: float
) -> float:
    """Return an upper bound over one piece, from values and from slopes at its middle."""
    from flint import arb

    interval = arb(0.5 * (low + high), 0.5 * (high - low))
    fixed = arb(side)

    def margins(free: Any, tangents: int) -> list[Ball]:
        pair = [fixed, free] if axis == 0 else [free, fixed]
        blocks: list[BallArray] = []
        first = 0
        for shape in functions.shapes:
            count = math.prod(shape)
            blocks.append(ArbOps.parameter(pair[first : first + count], shape, first, tangents))
            first += count
        found: BallArray = functions.evaluate(ArbOps(), blocks)
        return list(found)

    def normalised(value: Any, free: Any) -> Any:
        return value / (1 + free * free) ** arb(0.5 * alpha)

    values = margins(interval, 0)
    upper = min(_above(normalised(ball.value, interval)) for ball in values)
    if upper <= 0.0:
        return upper
    try:
        sloped = margins(interval, 2)
    except KinkInBox:
        return upper
    centre = interval.mid()
    at = margins(centre, 0)
    where = 1 - axis
    for ball, middle in zip(sloped, at, strict=True):
        slope = arb(0) if ball.tangent is None else ball.tangent[0, where]
        power = (1 + interval * interval) ** arb(0.5 * alpha + 1)
        turn = slope * (1 + interval * interval) - ball.value * alpha * interval
        meanwhile = normalised(middle.value, centre) + turn / power * (interval - centre)
        upper = min(upper, _above(meanwhile))
    return upper


def _above(value: Any) -> float:
    """Return a double that is at least every number of the enclosure."""
    top = float(value.upper())
    return math.inf if math.isnan(top) else math.nextafter(top, math.inf)
