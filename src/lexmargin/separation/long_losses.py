"""Losses of linear scores in long numbers, for small samples of any scale.

A barrier method: ``min t G(x) + B(x)`` with growing t, where G is log L in a ball, or loss plus
penalty over what they are at the beginning, and B keeps to the ball or its faces. Beside samples of
1e12, or offsets that the rest is small against, doubles have no digits left for the gradient.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from lexmargin.errors import UnsupportedError
from lexmargin.linalg.long_balls import ball_norm, dual_ball, upper
from lexmargin.linalg.long_numbers import (
    Big,
    big,
    eye,
    linear_solve,
    long_numbers,
    mid,
    norm,
    power_gradient,
    power_hessian,
    product,
    rounded,
)
from lexmargin.losses import Loss
from lexmargin.ops.base import FloatArray

__all__ = ["AskedLoss", "least_loss", "least_loss_gap"]

_GROWTH: Final = 30.0
"""Factor of t: larger ones cost more Newton steps each, smaller ones more of them (judgement)."""
_CENTRED: Final = 0.1
"""Newton decrement at which the next t is taken: below 1 the steps converge quadratically."""
_LAST: Final = 1e50
"""t at the end, where G is of size 1: far below what doubles show of its least value."""
_ENDED: Final = 1e-40
"""Squared decrement of the last point, far below what doubles show of it."""
_ARMIJO: Final = 1e-4
"""Part of the slope that a step must gain (Nocedal and Wright, §3.1): any small part serves."""
_STEPS: Final = 600
"""Newton steps at most: an end for data that do not converge, and no answer then."""
_PULLED: Final = 1e-2
"""Part of the radius by which the beginning lies inside."""
_NOTHING: Final = 1e-22
"""Part of the longest entry below which one is 0 on a face of the polyhedral balls."""
_WEIGHTY: Final = 1e-12
"""Share of the weights from which a sample counts: lighter ones do not show in doubles."""

Parts = tuple[Any, Big, Big]
"""A value, its gradient and its Hessian."""


@final
@dataclass(frozen=True)
class AskedLoss:
    """``min log L(w)`` in the ball of a radius (eq. 5), or ``min L(w) + c ‖w‖^q`` without one.

    ``weights`` are those of the terms of L (N,), None for 1.

    Raises:
        UnsupportedError: another loss than the exponential and the logistic one, or neither.
    """

    loss: Loss
    norm: float
    radius: float | None
    penalty: tuple[float, float] | None
    weights: FloatArray | None = None

    def factors(self, count: int) -> Big:
        """Return the weights in long numbers (N,)."""
        return big(np.ones(count) if self.weights is None else self.weights)

    def __post_init__(self) -> None:
        if self.loss not in (Loss.EXPONENTIAL, Loss.LOGISTIC):
            raise UnsupportedError("This loss is not one of long numbers.", "Use two classes.")
        if (self.radius is None) == (self.penalty is None):
            raise UnsupportedError("A ball or a penalty is asked for.", "Give one of them.")


def least_loss(
    rows: FloatArray, near: FloatArray, asked: AskedLoss, deadline: float
) -> FloatArray | None:
    """Return w (d,) of least loss in doubles; None where the steps do not end.

    Args:
        rows: z_n (N, d) with ``f_n = z_n·w``.
        near: (d,) an answer in doubles.
        asked: what is least.
        deadline: ``time.monotonic()`` at which to give up.
    """
    with long_numbers():
        Z = big(rows)
        w = _least(Z, near, asked, deadline)
        if w is None:
            return None
        weights = _loss(asked, Z @ w)[1]
        weighty = np.array([float(v) for v in weights / sum(weights)]) > _WEIGHTY
        point = rounded(Z[weighty], mid(w))
    if asked.norm == 1.0:
        point[np.abs(point) < _NOTHING * np.abs(point).max()] = 0.0
    return point


def least_loss_gap(
    rows: FloatArray, w: FloatArray, asked: AskedLoss, deadline: float
) -> float | None:
    """Return how far the loss of w (d,) is from the least, at most; None where nothing is found.

    Any weights s bound the least: ``log L ≥ H(s) - ρ‖Zᵀs‖_*``, and with a penalty its conjugate
    stands for ρ‖·‖_* (math §8). Here they are those at the least loss in long numbers, and what
    they prove of w is enclosed in balls: in nats of log L, or as a part of ``L + c ‖w‖^q``.
    """
    from flint import arb

    with long_numbers():
        Z = big(rows)
        best = _least(Z, w, asked, deadline)
        if best is None:
            return None
        s, v = _loss(asked, Z @ best)[1], asked.factors(len(rows))
        point, dual = big(w), dual_ball(asked.norm)
        f = Z @ point
        exponential = asked.loss is Loss.EXPONENTIAL
        losses = [(-x).exp() if exponential else (-x).exp().log1p() for x in f]
        value, slope = sum(v * losses, arb(0)), ball_norm(Z.T @ s, dual)
        if asked.penalty is None:
            pull = arb(asked.radius) * slope
            if exponential:
                total = sum(s, arb(0))
                gap = value.log() - _entropy(s, v) / total - total.log() + pull / total
                return max(0.0, upper(gap))
            below = _entropy(s, v) + _entropy(v - s, v) - pull
            return max(0.0, upper(value.log() - below.log())) if below > 0 else math.inf
        c, q = arb(asked.penalty[0]), arb(asked.penalty[1])
        conjugate = arb(0)
        if q > 1:
            conjugate = (1 - 1 / q) * slope * (slope / (c * q)) ** (1 / (q - 1))
        elif not slope <= c:
            # At q = 1 the conjugate is 0 up to a slope of c, and nothing beyond.
            s = s * (c / slope).lower().mid()
        rest = sum(s, arb(0)) if exponential else _entropy(v - s, v)
        below = _entropy(s, v) + rest - conjugate
        whole = value + c * ball_norm(point, asked.norm) ** q
        return max(0.0, upper((whole - below) / whole))


def _entropy(shares: Big, weights: Big) -> Any:
    """Return ``-Σ s log(s/w)``."""
    from flint import arb

    pairs = zip(shares, weights, strict=True)
    return -sum((x * (x / w).log() for x, w in pairs if x > 0), arb(0))


def _least(Z: Big, near: FloatArray, asked: AskedLoss, deadline: float) -> Big | None:
    """Return w (d,) of least loss, from a point near it."""
    if not np.any(near) or not np.all(np.isfinite(near)):
        return None
    kind = _Flat if asked.norm in (1.0, math.inf) else _Round
    space = kind(near.size, asked.norm, asked.radius)
    x = space.begin(big(near))
    found = _descended(_goal(asked, Z, space, x), space, x, deadline)
    return None if found is None else mid(space.point(found))


# -- the loss --------------------------------------------------------------------------------------


def _loss(asked: AskedLoss, f: Big) -> tuple[Any, Big, Big]:
    """Return L, -∂L/∂f_n and ∂²L/∂f_n²."""
    factors = asked.factors(len(f))
    small = np.array([(-v).exp() for v in f], dtype=object)
    if asked.loss is Loss.EXPONENTIAL:
        weights = mid(factors * small)
        return sum(weights), weights, weights
    value = sum(factors * np.array([v.log1p() for v in small], dtype=object))
    share = mid(small / (small + 1))
    return value.mid(), mid(factors * share), mid(factors * share * (1 - share))


def _goal(asked: AskedLoss, Z: Big, space: _Space, begin: Big) -> Callable[[Big, bool], Parts]:
    """Return G with its derivatives in x; the derivatives are left out where asked."""
    from flint import arb

    A = space.matrix
    rows = Z if A is None else mid(Z @ A)

    def loss(x: Big, bare: bool) -> tuple[Any, Big, Big]:
        value, weights, curved = _loss(asked, mid(rows @ x))
        if bare:
            return value, weights, curved
        slope = mid(-(rows.T @ weights))
        return value, slope, product((rows * curved[:, None]).T, rows)

    if asked.penalty is None:

        def in_ball(x: Big, bare: bool) -> Parts:
            value, slope, curved = loss(x, bare)
            if bare:
                return value.log().mid(), slope, curved
            slope = mid(slope / value)
            return value.log().mid(), slope, mid(curved / value - np.outer(slope, slope))

        return in_ball
    c, q = arb(asked.penalty[0]), arb(asked.penalty[1])

    def whole(x: Big, bare: bool) -> Parts:
        value, slope, curved = loss(x, bare)
        size, along, bent = space.length(x)
        value = value + c * size**q
        if bare:
            return value, slope, curved
        push = c * q * size ** (q - 1)
        slope = slope + push * along
        curved = curved + push * bent
        if q != 1:
            curved = curved + c * q * (q - 1) * size ** (q - 2) * np.outer(along, along)
        return value, mid(slope), mid(curved)

    first = whole(begin, True)[0].mid()

    def penalised(x: Big, bare: bool) -> Parts:
        value, slope, curved = whole(x, bare)
        return (value / first).mid(), slope / first, curved / first

    return penalised


# -- balls and lengths -----------------------------------------------------------------------------


class _Space(ABC):
    """Unknowns x in which the ball of a norm is smooth; ``w = matrix @ x``, x itself for None."""

    matrix: Big | None = None

    def __init__(self, size: int, p: float, radius: float | None) -> None:
        self.size, self.p, self.radius = size, p, radius

    @abstractmethod
    def begin(self, w: Big) -> Big:
        """Return x inside, of a point near w."""

    def point(self, x: Big) -> Big:
        """Return w (d,)."""
        return x if self.matrix is None else self.matrix @ x

    @abstractmethod
    def barrier(self, x: Big, bare: bool) -> Parts | None:
        """Return B with its derivatives; None outside."""

    @abstractmethod
    def length(self, x: Big) -> Parts:
        """Return ‖w‖ with its derivatives in x."""


@final
class _Round(_Space):
    """1 < p < ∞: x is w."""

    def begin(self, w: Big) -> Big:
        if self.radius is None:
            return w
        return mid(w * min(1, float((self.radius * (1 - _PULLED) / norm(w, self.p)).mid())))

    def barrier(self, x: Big, bare: bool) -> Parts | None:
        from flint import arb

        nothing = np.array([arb(0)] * self.size, dtype=object)
        if self.radius is None:
            return arb(0), nothing, np.outer(nothing, nothing)
        left = (arb(self.radius) ** 2 - norm(x, self.p) ** 2).mid()
        if not left > 0:
            return None
        if bare:
            return -left.log().mid(), nothing, nothing
        slope = power_gradient(x, self.p) * (2 / left)
        curved = power_hessian(x, self.p) * (2 / left) + np.outer(slope, slope)
        return -left.log().mid(), mid(slope), mid(curved)

    def length(self, x: Big) -> Parts:
        size = norm(x, self.p)
        along = mid(power_gradient(x, self.p) / size)
        bent = mid((power_hessian(x, self.p) - np.outer(along, along)) / size)
        return size, along, bent


@final
class _Flat(_Space):
    """p = 1: ``w = a - b`` with a, b > 0; p = ∞: |w_i| < s with s beside w."""

    def __init__(self, size: int, p: float, radius: float | None) -> None:
        from flint import arb

        super().__init__(size, p, radius)
        one = eye(size)
        zero = np.array([[arb(0)]] * size, dtype=object)
        if p == 1.0:
            self.matrix = np.concatenate([one, -one], axis=1)
            self.sizes = np.array([arb(1)] * (2 * size), dtype=object)
            self.walls = eye(2 * size)
        else:
            ones = np.array([[arb(1)]] * size, dtype=object)
            self.matrix = np.concatenate([one, zero], axis=1)
            self.sizes = np.array([arb(0)] * size + [arb(1)], dtype=object)
            self.walls = np.concatenate(
                [np.concatenate([-one, ones], axis=1), np.concatenate([one, ones], axis=1)]
            )

    def begin(self, w: Big) -> Big:
        from flint import arb

        size = norm(w, self.p)
        if self.radius is not None:
            w = mid(w * min(1, float((self.radius * (1 - _PULLED) / size).mid())))
            size = norm(w, self.p)
        spare = size if self.radius is None else (arb(self.radius) - size) / 2
        spare = (spare * (_PULLED if self.radius is None else 1.0)).mid()
        if self.p != 1.0:
            return np.append(w, (size + spare).mid())
        each = (spare / (2 * self.size)).mid()
        return mid(
            np.concatenate(
                [
                    [max(v, arb(0), key=float) + each for v in w],
                    [max(-v, arb(0), key=float) + each for v in w],
                ]
            )
        )

    def barrier(self, x: Big, bare: bool) -> Parts | None:
        from flint import arb

        walls, left = self.walls, self.walls @ x
        if self.radius is not None:
            walls = np.concatenate([walls, [-self.sizes]])
            left = np.append(left, arb(self.radius) - self.sizes @ x)
        left = mid(left)
        if not all(v > 0 for v in left):
            return None
        value = -sum((v.log() for v in left), arb(0)).mid()
        if bare:
            return value, left, left
        inverse = mid(1 / left)
        scaled = walls * inverse[:, None]
        return value, mid(-(walls.T @ inverse)), product(scaled.T, scaled)

    def length(self, x: Big) -> Parts:
        bent = np.outer(self.sizes, self.sizes) * 0
        return (self.sizes @ x).mid(), self.sizes, bent


# -- steps -----------------------------------------------------------------------------------------


def _descended(
    goal: Callable[[Big, bool], Parts], space: _Space, x: Big, deadline: float
) -> Big | None:
    from flint import arb

    _, slope, _ = goal(x, False)
    steep = abs(float((slope @ x).mid()))
    t = arb(1.0 / max(_PULLED * steep, 1e-300)) if steep > 0.0 else arb(1)
    last = t * _LAST
    bounded = space.radius is not None or isinstance(space, _Flat)
    if not bounded:
        t = last
    for _ in range(_STEPS):
        if time.monotonic() > deadline:
            return None
        value, slope, curved = goal(x, False)
        kept = space.barrier(x, False)
        if kept is None:
            return None
        gradient = mid(slope * t + kept[1])
        step = linear_solve(mid(curved * t + kept[2]), -gradient)
        if step is None:
            return None
        decrement = float((-(gradient @ step)).mid())
        ended = decrement <= (_ENDED if t >= last else _CENTRED**2)
        if ended and t >= last:
            return x
        if ended:
            t = min(t * _GROWTH, last, key=float).mid()
            continue
        here = value * t + kept[0]
        found = _searched(goal, space, x, step, here, decrement, t)
        if found is None:
            return x if t >= last and decrement <= _CENTRED**2 else None
        x = found
    return None


def _searched(
    goal: Callable[[Big, bool], Parts],
    space: _Space,
    x: Big,
    step: Big,
    here: Any,
    decrement: float,
    t: Any,
) -> Big | None:
    share = 1.0
    for _ in range(80):
        there = mid(x + step * share)
        kept = space.barrier(there, True)
        if kept is not None:
            value = goal(there, True)[0] * t + kept[0]
            if value.mid() <= here.mid() - _ARMIJO * share * decrement:
                return there
        share *= 0.5
    return None
