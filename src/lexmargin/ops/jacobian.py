"""Per-sample gradients: reverse accumulation over the operations a predictor used.

The output of a predictor at sample n depends on row n of X only, so one backward sweep gives the
gradients of all samples at once. The judge uses this target, so that it shares no derivative code
with the solver routes (CasADi, CVXPY).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.ops.base import FloatArray, IntArray, Ops, circulant_indices

__all__ = ["JacobianOps", "Node", "Recording", "Rectified"]

_Pull = Callable[[FloatArray, bool], FloatArray]


@final
class Node:
    """A value with the sources it came from; ``sampled`` says that axis 0 is the sample axis.

    ``live`` says that a parameter is among its ancestors; other sources are forgotten at once.
    """

    __slots__ = ("live", "sampled", "sources", "value")

    def __init__(
        self,
        value: FloatArray,
        sampled: bool,
        sources: tuple[tuple[Node, _Pull], ...] = (),
        live: bool = False,
    ) -> None:
        self.value = value
        self.sampled = sampled
        self.sources = tuple([entry for entry in sources if entry[0].live])
        self.live: bool = live or bool(self.sources)


@final
@dataclass(frozen=True, eq=False)
class Rectified:
    """One application of `max(z, 0)^power`: z, the result, and h_n where `z_nj = w_j·h_n`."""

    argument: Node
    output: Node
    power: float
    inputs: Node | None

    @property
    def deep(self) -> bool:
        """Whether h_n depends on parameters."""
        return self.inputs is not None and self.inputs.live

    @functools.cached_property
    def reach(self) -> FloatArray | None:
        """‖h_n‖, (N, 1) or (N,): moving w_j by |z_nj|/‖h_n‖ reaches the kink.

        None where z is no product with parameters.
        """
        if self.inputs is None:
            return None
        # Squares of very large or very small inputs leave the doubles.
        largest = np.abs(self.inputs.value).max(axis=1, initial=0.0)
        scale = np.where(largest > 0.0, largest, 1.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            sizes = scale * np.linalg.norm(self.inputs.value / scale[:, None], axis=1)
        return np.asarray(sizes[:, None] if self.argument.value.ndim == 2 else sizes)


@final
@dataclass(frozen=True, eq=False)
class Recording:
    """The parameters, the scores and every rectifier of one evaluation."""

    parameters: tuple[Node, ...]
    scores: Node
    rectified: tuple[Rectified, ...]

    @property
    def kinked(self) -> tuple[Rectified, ...]:
        """The rectifiers of power 1, in order of evaluation: the layers of math §3, Kinks."""
        return tuple(one for one in self.rectified if one.power == 1.0)


def _unbroadcast(cotangent: FloatArray, operand: Node, batched: bool) -> FloatArray:
    """Sum a cotangent over the axes that broadcasting added to ``operand``.

    ``batched`` says that the cotangent carries the sample axis first. It stays for an unsampled
    operand: the reduction over samples happens once, in :meth:`JacobianOps.pull_back`.
    """
    lead = 1 if batched else 0
    own = operand.value.ndim - (1 if operand.sampled and batched else 0)
    extra = cotangent.ndim - lead - own
    if extra > 0:
        cotangent = cotangent.sum(axis=tuple(range(lead, lead + extra)))
    shape = operand.value.shape[operand.value.ndim - own :]
    axes = tuple(
        lead + i for i, size in enumerate(shape) if size == 1 and cotangent.shape[lead + i] != 1
    )
    return cotangent.sum(axis=axes, keepdims=True) if axes else cotangent


@final
class JacobianOps(Ops[Node]):
    """The gradient target: values forward, cotangents backward.

    It remembers its rectifiers.
    """

    def __init__(self) -> None:
        self._inputs: dict[Node, Node] = {}
        self.rectified: list[Rectified] = []

    @staticmethod
    def parameter(value: FloatArray) -> Node:
        """Return a parameter block to differentiate with respect to."""
        return Node(value, sampled=False, live=True)

    def constant(self, values: FloatArray) -> Node:
        return Node(values, sampled=values.ndim > 0)

    def linear(self, inputs: Node, weights: Node) -> Node:
        x, w = inputs.value, weights.value

        def to_inputs(cotangent: FloatArray, reduce: bool) -> FloatArray:
            return cotangent @ w if w.ndim == 2 else cotangent[:, None] * w

        def to_weights(cotangent: FloatArray, reduce: bool) -> FloatArray:
            if w.ndim == 1:
                return cotangent @ x if reduce else cotangent[:, None] * x
            return cotangent.T @ x if reduce else cotangent[:, :, None] * x[:, None, :]

        node = Node(
            x @ (w.T if w.ndim == 2 else w), True, ((inputs, to_inputs), (weights, to_weights))
        )
        self._inputs[node] = inputs
        return node

    def add(self, a: Node, b: Node) -> Node:
        return self._binary(a, b, a.value + b.value, 1.0, 1.0)

    def multiply(self, a: Node, b: Node) -> Node:
        return self._binary(a, b, a.value * b.value, b.value, a.value)

    def _binary(
        self,
        a: Node,
        b: Node,
        value: FloatArray,
        by_a: FloatArray | float,
        by_b: FloatArray | float,
    ) -> Node:
        sampled = a.sampled or b.sampled

        def pull(operand: Node, factor: FloatArray | float) -> _Pull:
            def to_operand(cotangent: FloatArray, reduce: bool) -> FloatArray:
                batched = sampled or not reduce
                product = _unbroadcast(cotangent * factor, operand, batched)
                if sampled and not operand.sampled and reduce:
                    return np.asarray(product.sum(axis=0))
                return product

            return to_operand

        return Node(value, sampled, ((a, pull(a, by_a)), (b, pull(b, by_b))))

    def _unary(self, a: Node, value: FloatArray, derivative: FloatArray | float) -> Node:
        return Node(value, a.sampled, ((a, lambda cotangent, _: cotangent * derivative),))

    def scale(self, a: Node, factor: float) -> Node:
        return self._unary(a, factor * a.value, factor)

    def total(self, a: Node) -> Node:
        size = a.value.shape[-1]
        return Node(
            a.value.sum(axis=-1),
            a.sampled,
            ((a, lambda cotangent, _: np.repeat(cotangent[..., None], size, axis=-1)),),
        )

    def relu(self, a: Node, power: float = 1.0) -> Node:
        node = self._relu(a, power)
        self.rectified.append(Rectified(a, node, power, self._inputs.get(a)))
        return node

    def _relu(self, a: Node, power: float) -> Node:
        if power == 1.0:
            active = a.value > 0
            return self._unary(a, np.where(active, a.value, 0.0), active.astype(np.float64))
        positive = np.maximum(a.value, 0.0)
        if power == 2.0:
            return self._unary(a, positive * positive, 2.0 * positive)
        slope = power * positive ** (power - 1.0)
        return self._unary(a, positive**power, slope)

    def power(self, a: Node, exponent: int) -> Node:
        slope = exponent * a.value ** (exponent - 1)
        return self._unary(a, a.value**exponent, slope)

    def log(self, a: Node) -> Node:
        return self._unary(a, np.log(a.value), 1.0 / a.value)

    def entry(self, a: Node, index: int) -> Node:
        def scatter(cotangent: FloatArray, reduce: bool) -> FloatArray:
            out = np.zeros((*cotangent.shape, a.value.size))
            out[..., index] = cotangent
            return out

        return Node(a.value[index], False, ((a, scatter),))

    def circulant(self, a: Node) -> Node:
        size = a.value.size
        indices = circulant_indices(size)
        rows = np.arange(size)[:, None]

        def gather(cotangent: FloatArray, reduce: bool) -> FloatArray:
            # Entry m of `a` stands at (i, (i - m) mod p) for every i.
            return np.asarray(cotangent[..., rows, indices].sum(axis=-2) / math.sqrt(size))

        return Node(a.value[indices] / math.sqrt(size), False, ((a, gather),))

    def columns(self, a: Node, indices: tuple[int, ...]) -> Node:
        if a.sources:
            raise NotImplementedError("columns are taken of the features only")
        return self.constant(a.value[:, list(indices)])

    def repeat_row(self, a: Node, row: FloatArray) -> Node:
        return self.constant(np.tile(row, (a.value.shape[0], 1)))

    def stack(self, scalars: Sequence[Node]) -> Node:
        def pick(i: int) -> _Pull:
            return lambda cotangent, _: cotangent[..., i]

        value = np.array([float(s.value) for s in scalars])
        return Node(value, False, tuple((s, pick(i)) for i, s in enumerate(scalars)))

    def gather(self, a: Node, rows: IntArray, columns: IntArray) -> Node:
        raise NotImplementedError("seed the class scores instead: see MarginFunctions.jacobian")

    @staticmethod
    def pull_back(
        output: Node,
        seed: FloatArray,
        parameters: Sequence[Node],
        *,
        reduce: bool,
        slopes: Mapping[Node, FloatArray] | None = None,
    ) -> list[FloatArray]:
        """Return the gradients of ``Σ seed * output`` with respect to the parameters.

        ``seed`` has the shape of the output. With ``reduce`` the result is summed over samples
        (shape of each parameter), else it keeps the sample axis (``(N, …)`` per parameter).
        ``slopes`` replaces the derivative of some rectifiers: by output, in the shape of z.
        """
        slopes = {} if slopes is None else slopes
        order: list[Node] = []
        seen: set[Node] = set()
        stack: list[tuple[Node, bool]] = [(output, False)]
        while stack:
            node, done = stack.pop()
            if done:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                if node.sources:
                    stack.append((node, True))
                    for source, _ in node.sources:
                        stack.append((source, False))
        cotangents: dict[Node, FloatArray] = {output: np.asarray(seed, dtype=np.float64)}
        for node in reversed(order):
            cotangent = cotangents.get(node)
            if cotangent is None:
                continue
            chosen = slopes.get(node)
            for source, pull in node.sources:
                part = pull(cotangent, reduce) if chosen is None else cotangent * chosen
                known = cotangents.get(source)
                cotangents[source] = part if known is None else known + part
        lead = () if reduce else (output.value.shape[0],)
        return [
            cotangents[p] if p in cotangents else np.zeros((*lead, *p.value.shape))
            for p in parameters
        ]
