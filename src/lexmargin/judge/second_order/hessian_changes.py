"""How far Hessians within a ball differ from those in hand: enclosed where cheap, else measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from lexmargin.inputs.limits import BALL_HESSIAN_ENTRIES, BALL_HESSIAN_PARAMETERS
from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.second_order.curved_balls import CurvedBalls
from lexmargin.judge.second_order.vicinity import Vicinity
from lexmargin.judge.tolerances import ASIDE
from lexmargin.linalg.long_numbers import precision
from lexmargin.linalg.norms import Array
from lexmargin.ops.arb import KinkInBox

__all__ = ["Asked", "Bends", "Changes", "changes_within"]

Bends = dict[tuple[float, bytes], tuple[float, float]]
"""What :func:`changes_within` measured around one point, by length of differences and members."""

_SAMPLES: Final = 16
"""Random directions that measure a norm; with fewer the safety factor below would be larger."""
# The mean of squares over 16 directions is smaller than a ninth of the Frobenius norm with a
# probability below 1e-3, and the Frobenius norm is never below the operator norm.
_SAFETY: Final = 3.0
_SPAN: Final = 1e-5
"""Length of differences of Hessians at least: shorter ones lose digits, longer may cross a kink."""
# What spectral norms in floats may be off by.
_ROUNDED: Final = 1.0 + 1e-12


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Asked:
    """The Lagrangian and the margins whose Hessians must not change.

    point, multipliers, lagrangian
        the middle of the ball (d,), λ (N,), and the matrix `I - Σ λ_n ∇²f_n` in hand (d, d).
    members, lengths, groups
        the margins (S,) that hold the point, their ‖∇f‖, and which have one gradient.
    weights
        λ‖∇f‖ of the groups (g,).
    """

    point: Array
    multipliers: Array
    lagrangian: Array
    members: Indices
    lengths: Array
    groups: Indices
    weights: Array


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Changes:
    """Bounds that hold all over the ball.

    lagrangian
        how far `I - Σ λ_n ∇²f_n` is from the one in hand.
    bent
        the largest `‖∇²f_n‖/‖∇f_n‖` of the members.
    unequal
        what moving weight inside the groups can change of the Hessian.
    enclosed
        whether these were proved in ball arithmetic, or are differences over the ball.
    """

    lagrangian: float
    bent: float
    unequal: float
    enclosed: bool


def changes_within(
    vicinity: Vicinity, asked: Asked, radius: float, bends: Bends | None = None
) -> Changes:
    """Bound the changes of Hessians over a ball.

    Enclosed in ball arithmetic up to ``BALL_HESSIAN_PARAMETERS`` and few samples. Else differences,
    at as many points as the ball has directions up to that size, at random points above.

    Parameters
    ----------
    vicinity : the point.
    asked : what must not change.
    radius : of the ball around ``asked.point``.
    bends : what was measured in smaller balls around the same point; it is added to.
    """
    balls = vicinity.functions.balls
    samples = max(1, int(np.unique(asked.members).size))
    if (
        balls is not None
        and asked.point.size <= BALL_HESSIAN_PARAMETERS
        and samples * asked.point.size <= BALL_HESSIAN_ENTRIES
    ):
        found = _enclosed(balls, asked, radius)
        if found is not None:
            return found
    span, known = _span(vicinity, radius), {} if bends is None else bends
    key = span, asked.members.tobytes()
    if key not in known:
        known[key] = _bent(vicinity, asked, span)
    bent, unequal = known[key]
    return Changes(
        lagrangian=_change(vicinity, asked, radius), bent=bent, unequal=unequal, enclosed=False
    )


def _enclosed(balls: CurvedBalls, asked: Asked, radius: float) -> Changes | None:
    from flint import arb

    used = np.flatnonzero(asked.multipliers)
    alone = [(np.array([n], dtype=np.intp), np.ones(1)) for n in asked.members]
    with precision():
        box = [arb(float(x), radius) for x in asked.point]
        try:
            whole, *each = balls.curvatures(box, [(used, asked.multipliers[used]), *alone])
        except (KinkInBox, ZeroDivisionError):
            return None
        d = asked.point.size
        here = np.eye(d) - asked.lagrangian
        change = _norm([[whole[i, j] - float(here[i, j]) for j in range(d)] for i in range(d)])
        scaled = [
            [[matrix[i, j] / float(size) for j in range(d)] for i in range(d)]
            for matrix, size in zip(each, asked.lengths, strict=True)
        ]
        bent = max(_norm(matrix) for matrix in scaled)
        most = np.zeros(asked.weights.size)
        for n, head in enumerate(_heads(asked)):
            if n != head:
                pairs = zip(scaled[n], scaled[head], strict=True)
                apart = [[a - b for a, b in zip(p, q, strict=True)] for p, q in pairs]
                most[asked.groups[n]] = max(most[asked.groups[n]], _norm(apart))
    unequal = float(asked.weights @ most)
    if not math.isfinite(change + bent + unequal):
        return None
    return Changes(lagrangian=change, bent=bent, unequal=unequal, enclosed=True)


def _norm(matrix: list[list[Any]]) -> float:
    """Bound the operator norm of every matrix in an enclosure: that of its absolute values."""
    upper = np.array([[float(entry.abs_upper()) for entry in row] for row in matrix])
    return float(np.linalg.norm(upper, 2)) * _ROUNDED if np.all(np.isfinite(upper)) else math.inf


def _heads(asked: Asked) -> list[int]:
    """Return the place of the first member of the group of every member."""
    return [int(np.argmax(asked.groups == group)) for group in asked.groups]


def _span(vicinity: Vicinity, radius: float) -> float:
    """Return a length for differences that stays on this side of the nearest kink."""
    longest = max(radius, _SPAN)
    if vicinity.nearest_kink is not None:
        longest = min(longest, ASIDE * vicinity.nearest_kink / vicinity.reach)
    return longest


def _directions(dimension: int) -> tuple[Array, float]:
    """Return unit directions (k, d), and what a sum of squares over them is multiplied by.

    All axes, or random ones whose mean square times d is a squared Frobenius norm.
    """
    if dimension <= BALL_HESSIAN_PARAMETERS:
        return np.eye(dimension), 1.0
    drawn = np.random.default_rng(0).standard_normal((_SAMPLES, dimension))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return drawn, _SAFETY**2 * dimension / _SAMPLES


def _bent(vicinity: Vicinity, asked: Asked, span: float) -> tuple[float, float]:
    """Bound ‖∇²f‖/‖∇f‖ near the point, and its differences in groups, from gradients."""
    functions = vicinity.functions
    directions, factor = _directions(asked.point.size)
    heads = _heads(asked)
    squares, apart = np.zeros(asked.members.size), np.zeros(asked.members.size)
    here = functions.rows(asked.point, asked.members)
    for direction in directions:
        ahead = functions.rows(asked.point + span * direction, asked.members)
        bend = (ahead - here) / (span * asked.lengths[:, None])
        squares += np.sum(bend**2, axis=1)
        apart += np.sum((bend - bend[heads]) ** 2, axis=1)
    most = np.zeros(asked.weights.size)
    np.maximum.at(most, asked.groups, np.sqrt(factor * apart))
    return math.sqrt(factor * float(np.max(squares))), float(asked.weights @ most)


def _change(vicinity: Vicinity, asked: Asked, radius: float) -> float:
    """Bound how far the Hessian of the Lagrangian in the ball is from the one in hand."""
    functions, weights, point = vicinity.functions, asked.multipliers, asked.point
    size = point.size
    directions, factor = _directions(size)
    here = np.eye(size) - asked.lagrangian
    if size <= BALL_HESSIAN_PARAMETERS:
        whole = np.eye(size)
        centre = functions.hessian_products(point, weights, whole)
        squares = 0.0
        for direction in directions:
            sides = [
                functions.hessian_products(point + sign * radius * direction, weights, whole)
                for sign in (1.0, -1.0)
            ]
            squares += max(float(np.linalg.norm(side - centre, 2)) for side in sides) ** 2
        return float(np.linalg.norm(centre - here, 2)) + math.sqrt(squares)
    vectors = np.random.default_rng(1).standard_normal(directions.shape)
    centre = functions.hessian_products(point, weights, vectors)
    moved = np.array(
        [
            functions.hessian_products(point + radius * direction, weights, vector[None, :])[0]
            for direction, vector in zip(directions, vectors, strict=True)
        ]
    )
    first = _SAFETY**2 / _SAMPLES * float(np.sum((centre - vectors @ here) ** 2))
    return math.sqrt(first) + math.sqrt(factor * float(np.sum((moved - centre) ** 2)))
