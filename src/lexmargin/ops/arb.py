"""Balls: rigorous enclosures of values and of first and second derivatives, in FLINT's arithmetic.

Arrays are NumPy object arrays of :class:`Ball`, each a number with an enclosure, so that a
predictor is evaluated over a whole box of parameters at once. Reverse accumulation carries
tangents along (forward over reverse): gradients come with rows of the Hessian. For
``relu(z)^power`` with a z that may vanish, power >= 2, second derivatives enclose the generalised
ones; with power 1 no derivative exists there and :class:`KinkInBox` is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.ops.base import FloatArray, IntArray, Ops, circulant_indices

__all__ = ["ArbOps", "Ball", "BallArray", "KinkInBox", "combined_gradient", "whole_power"]

BallArray = NDArray[np.object_]
Arb = Any
"""A ``flint.arb``, or a one-row ``flint.arb_mat`` for tangents."""


class KinkInBox(Exception):
    """A pre-activation whose sign is not the same all over the box."""


def _plus(a: Arb, b: Arb) -> Arb:
    if a is None:
        return b
    return a if b is None else a + b


def _times(tangent: Arb, factor: Arb) -> Arb:
    return None if tangent is None else tangent * factor


@final
class Ball:
    """A number, its tangents (None for none), and the partial derivatives it was made with."""

    __slots__ = ("edges", "tangent", "value")

    def __init__(
        self,
        value: Arb,
        tangent: Arb = None,
        edges: tuple[tuple[Ball, Arb, Arb], ...] = (),
    ) -> None:
        self.value = value
        self.tangent = tangent
        self.edges = edges

    @property
    def live(self) -> bool:
        """Whether a parameter is among its ancestors."""
        return self.tangent is not None or bool(self.edges)

    def __add__(self, other: Ball) -> Ball:
        if not isinstance(other, Ball):
            return self if other == 0 else NotImplemented
        edges = tuple((part, 1, None) for part in (self, other) if part.live)
        return Ball(self.value + other.value, _plus(self.tangent, other.tangent), edges)

    __radd__ = __add__

    def __mul__(self, other: Ball) -> Ball:
        edges = []
        if self.live:
            edges.append((self, other.value, other.tangent))
        if other.live:
            edges.append((other, self.value, self.tangent))
        tangent = _plus(_times(self.tangent, other.value), _times(other.tangent, self.value))
        return Ball(self.value * other.value, tangent, tuple(edges))

    def through(self, value: Arb, slope: Arb, curvature: Arb) -> Ball:
        """Return h(self) from enclosures of h, h' and h'' over this ball."""
        if not self.live:
            return Ball(value)
        edge = (self, slope, _times(self.tangent, curvature))
        return Ball(value, _times(self.tangent, slope), (edge,))

    def gradient(self, leaves: Sequence[Ball]) -> list[tuple[Arb, Arb]]:
        """Return (∂/∂leaf, its tangent) for every leaf; (0, None) where there is no dependence."""
        return combined_gradient([(self, 1)], leaves)


def combined_gradient(
    outputs: Sequence[tuple[Ball, Arb]], leaves: Sequence[Ball]
) -> list[tuple[Arb, Arb]]:
    """Return the gradient of `Σ weight · output` by the leaves, each entry with its tangent."""
    adjoint: dict[Ball, tuple[Arb, Arb]] = {}
    for output, weight in outputs:
        old = adjoint.get(output)
        adjoint[output] = (weight if old is None else old[0] + weight, None)
    for node in reversed(_ordered([output for output, _ in outputs])):
        value, tangent = adjoint[node]
        for source, slope, turn in node.edges:
            part = value * slope
            bend = _plus(_times(tangent, slope), _times(turn, value))
            old = adjoint.get(source)
            adjoint[source] = (part, bend) if old is None else (
                old[0] + part,
                _plus(old[1], bend),
            )  # fmt: skip
    return [adjoint.get(leaf, (0, None)) for leaf in leaves]


def _ordered(roots: Sequence[Ball]) -> list[Ball]:
    """Return all ancestors, sources before results."""
    order: list[Ball] = []
    seen: set[Ball] = set()
    stack = [(root, False) for root in roots]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((source, False) for source, _, _ in node.edges)
    return order


def whole_power(x: Arb, exponent: int) -> Arb:
    """Return x^exponent for a whole exponent ≥ 0; FLINT's own power is no number around 0."""
    from flint import arb

    base = abs(x) if exponent % 2 == 0 else x
    result = arb(1)
    # By squares: a file may state an exponent that no loop would reach.
    while exponent:
        if exponent % 2:
            result = result * base
        exponent //= 2
        base = base * base if exponent else base
    return result


def _each(function: Callable[[Ball], Ball], a: BallArray) -> BallArray:
    result = np.empty(np.shape(a), dtype=object)
    for index in np.ndindex(result.shape):
        result[index] = function(cast(Ball, a[index]))
    return result


@final
class ArbOps(Ops[BallArray]):
    """The target of enclosures; parameters are made by :meth:`parameter`."""

    @staticmethod
    def parameter(
        values: Sequence[Arb], shape: tuple[int, ...], first: int, size: int
    ) -> BallArray:
        """Return a block of parameters: enclosures, and unit tangents ``first, first + 1, …``.

        ``size`` is the number of tangents; 0 for none.
        """
        from flint import arb_mat

        block = np.empty(len(values), dtype=object)
        for i, value in enumerate(values):
            tangent = None
            if size:
                tangent = arb_mat(1, size)
                tangent[0, first + i] = 1
            block[i] = Ball(value, tangent)
        return block.reshape(shape)

    def constant(self, values: FloatArray) -> BallArray:
        from flint import arb

        array = np.asarray(values, dtype=np.float64)
        result = np.empty(array.shape, dtype=object)
        for index in np.ndindex(array.shape):
            result[index] = Ball(arb(float(array[index])))
        return result

    def linear(self, inputs: BallArray, weights: BallArray) -> BallArray:
        return np.asarray(inputs @ (weights.T if weights.ndim == 2 else weights), dtype=object)

    def add(self, a: BallArray, b: BallArray) -> BallArray:
        return np.asarray(a + b, dtype=object)

    def multiply(self, a: BallArray, b: BallArray) -> BallArray:
        return np.asarray(a * b, dtype=object)

    def scale(self, a: BallArray, factor: float) -> BallArray:
        from flint import arb

        exact = Ball(arb(float(factor)))
        return _each(lambda ball: ball * exact, a)

    def total(self, a: BallArray) -> BallArray:
        return np.asarray(a.sum(-1), dtype=object)

    def relu(self, a: BallArray, power: float = 1.0) -> BallArray:
        return _each(lambda ball: _rectified(ball, power), a)

    def power(self, a: BallArray, exponent: int) -> BallArray:
        def raised(ball: Ball) -> Ball:
            x = ball.value
            bend = (
                exponent * (exponent - 1) * whole_power(x, exponent - 2) if exponent > 1 else 0 * x
            )
            return ball.through(
                whole_power(x, exponent), exponent * whole_power(x, exponent - 1), bend
            )

        return _each(raised, a)

    def log(self, a: BallArray) -> BallArray:
        def logarithm(ball: Ball) -> Ball:
            x = ball.value
            if not x > 0:
                raise KinkInBox("the argument of a logarithm may be zero or negative")
            return ball.through(x.log(), 1 / x, -1 / (x * x))

        return _each(logarithm, a)

    def entry(self, a: BallArray, index: int) -> BallArray:
        result = np.empty((), dtype=object)
        result[()] = a[index]
        return result

    def circulant(self, a: BallArray) -> BallArray:
        from flint import arb

        root = Ball(1 / arb(len(a)).sqrt())
        return _each(lambda ball: ball * root, a)[circulant_indices(len(a))]

    def columns(self, a: BallArray, indices: tuple[int, ...]) -> BallArray:
        return a[:, list(indices)]

    def repeat_row(self, a: BallArray, row: FloatArray) -> BallArray:
        return self.constant(np.tile(row, (len(a), 1)))

    def stack(self, scalars: Sequence[BallArray]) -> BallArray:
        result = np.empty(len(scalars), dtype=object)
        for i, scalar in enumerate(scalars):
            result[i] = np.asarray(scalar, dtype=object)[()]
        return result

    def gather(self, a: BallArray, rows: IntArray, columns: IntArray) -> BallArray:
        return a[rows, columns]


def _rectified(ball: Ball, power: float) -> Ball:
    """Return max(z, 0)^power with derivatives, over a ball of z."""
    from flint import arb

    x = ball.value
    if x <= 0 and (x < 0 or power > 1.0 or not ball.live):
        return Ball(arb(0))
    if x > 0:
        if power == 1.0:
            return ball.through(x, arb(1), arb(0))
        if power.is_integer():
            p = int(power)
            slope, bend = p * whole_power(x, p - 1), p * (p - 1) * whole_power(x, p - 2)
            return ball.through(whole_power(x, p), slope, bend)
        exact = arb(power)
        slope, bend = exact * x ** (exact - 1), exact * (exact - 1) * x ** (exact - 2)
        return ball.through(x**exact, slope, bend)
    if not ball.live:
        # A value needs no derivative.
        return Ball(_from_zero(x.upper() ** arb(power)))
    if power < 2.0:
        raise KinkInBox("a pre-activation is not clearly away from its kink")
    exact = arb(power)
    high = x.upper()
    value, slope = high**exact, exact * high ** (exact - 1)
    bend = exact * (exact - 1) * (high ** (exact - 2) if power > 2.0 else arb(1))
    return ball.through(_from_zero(value), _from_zero(slope), _from_zero(bend))


def _from_zero(high: Arb) -> Arb:
    """Return a ball that contains [0, high]."""
    from flint import arb

    return arb(0).union(high)
