"""Networks: fully connected, residual, diagonal, circular convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias, TypeVar, final

import numpy as np

from lexmargin.inputs.checks import Count
from lexmargin.inputs.family import BESIDE, LATER
from lexmargin.inputs.kinds import Listed, checked_class
from lexmargin.ops.base import FloatArray, Ops
from lexmargin.predictors.activations import Activation, Identity
from lexmargin.predictors.base import LinearScores, Predictor, Shape

__all__ = [
    "Biases",
    "ConvolutionalNetwork",
    "DiagonalNetwork",
    "Network",
    "Residual",
    "fully_connected",
]

T = TypeVar("T")


class Biases(StrEnum):
    """Which layers of a network add a bias to what they read."""

    NONE = "none"
    FIRST = "first"
    """The first layer alone: the degree is that of the network without (``networks.md`` §1)."""
    ALL = "all"
    """Every layer: terms of different degrees share parameters from three layers on."""


if TYPE_CHECKING:
    # Words become members where they are given; checkers are told that they are accepted.
    BiasesWord: TypeAlias = Biases | Literal["none", "first", "all"]
else:
    BiasesWord = Biases


@final
@checked_class
@dataclass(frozen=True)
class Network(Predictor):
    """``F(x; θ) = W_L σ(W_{L-1} … σ(W_1 x + b_1) …) + b_L``, fully connected.

    Blocks: ``W_1 (widths[0], p)``, …, and the last ``(widths[-1],)``, or ``(outputs, widths[-1])``
    for several outputs; behind the weights of a layer with a bias that bias, ``(units, 1)`` as the
    weights of a feature that is 1, ``(1,)`` for one output. Without biases, or with the first
    alone, of degree L for σ of degree 1; ``widths=()`` is the linear predictor.
    """

    widths: Listed[Count]
    activation: Activation = field(default_factory=Identity, metadata=BESIDE)
    outputs: Count = 1
    bias: BiasesWord = field(default=Biases.NONE, metadata=LATER)

    kind: ClassVar[str] = "network"

    @property
    def vanishes_at_zero(self) -> bool:  # type: ignore[override]
        return self.bias is Biases.NONE

    @property
    def kink_slope(self) -> float | None:
        slope = self.activation.left_slope
        # Without hidden layers, or with the identity in them, there is no kink.
        plain = self.bias is Biases.NONE
        return slope if plain and self.widths and slope != 1.0 else None

    @property
    def two_layer(self) -> bool:
        """Whether it is ``Σ_j a_j σ(w_j·x)``: one hidden layer, one score, no bias."""
        return len(self.widths) == 1 and self.outputs == 1 and self.bias is Biases.NONE

    def _has_bias(self, layer: int) -> bool:
        return self.bias is Biases.ALL or (self.bias is Biases.FIRST and layer == 0)

    @property
    def block_count(self) -> int:
        layers = len(self.widths) + 1
        return layers + sum(self._has_bias(layer) for layer in range(layers))

    def shapes(self, n_features: int) -> tuple[Shape, ...]:
        sizes = (n_features, *self.widths)
        found: list[Shape] = []
        for layer, read in enumerate(sizes):
            last = layer == len(self.widths)
            units = self.outputs if last else self.widths[layer]
            single = last and units == 1
            found.append((read,) if single else (units, read))
            if self._has_bias(layer):
                found.append((1,) if single else (units, 1))
        return tuple(found)

    def linear_scores(self, X: FloatArray) -> LinearScores | None:
        if self.widths and not isinstance(self.activation, Identity):
            return None
        if self.bias is not Biases.NONE:
            return LinearScores(np.hstack([X, np.ones((len(X), 1))]), every=not self.widths)
        # The matrix of all scores has the rank of the narrowest layer.
        whole_rank = min(X.shape[1], self.outputs)
        return LinearScores(X, every=min((*self.widths, whole_rank)) >= whole_rank)

    def __call__(self, ops: Ops[T], theta: Sequence[T], X: T) -> T:
        units, blocks = X, iter(theta)
        for layer in range(len(self.widths) + 1):
            if layer:
                units = self.activation(ops, units)
            units = ops.linear(units, next(blocks))
            if self._has_bias(layer):
                ones = ops.repeat_row(X, np.ones(1))
                units = ops.add(units, ops.linear(ones, next(blocks)))
        return units


def fully_connected(predictor: Predictor) -> Network | None:
    """Return the predictor if it is a network whose blocks are ``W_1, …, W_L``: no biases."""
    if isinstance(predictor, Network) and predictor.bias is Biases.NONE:
        return predictor
    return None


@final
@checked_class
@dataclass(frozen=True)
class Residual(Predictor):
    """``F(x; θ) = a·h_K``, ``h_0 = A x``, ``h_k = h_{k-1} + V_k σ(U_k h_{k-1})``.

    Branches share nothing with each other; A and a are shared by all ways through the network,
    whose terms therefore have different degrees: ``Leading`` keeps the way of all branches.

    Blocks: ``A (width, p)``, ``U_1 (width, width)``, ``V_1 (width, width)``, …, ``V_K``, and the
    last ``(width,)``, or ``(outputs, width)`` for several outputs.
    """

    width: Count
    branches: Count
    activation: Activation = field(default_factory=Identity, metadata=BESIDE)
    outputs: Count = 1

    vanishes_at_zero: ClassVar[bool] = True
    kind: ClassVar[str] = "residual"

    @property
    def block_count(self) -> int:
        return 2 * self.branches + 2

    def shapes(self, n_features: int) -> tuple[Shape, ...]:
        square = (self.width, self.width)
        last = (self.width,) if self.outputs == 1 else (self.outputs, self.width)
        return ((self.width, n_features), *((square,) * (2 * self.branches)), last)

    def __call__(self, ops: Ops[T], theta: Sequence[T], X: T) -> T:
        units = ops.linear(X, theta[0])
        for inner, outer in zip(theta[1:-1:2], theta[2:-1:2], strict=True):
            branch = self.activation(ops, ops.linear(units, inner))
            units = ops.add(units, ops.linear(branch, outer))
        return ops.linear(units, theta[-1])


@final
@checked_class
@dataclass(frozen=True)
class DiagonalNetwork(Predictor):
    """``F(x; θ) = Σ_i x_i Π_l u^l_i``: depth-L diagonal linear network, degree L.

    Blocks: ``u^1, …, u^L``, each of shape ``(p,)``.
    """

    depth: Count
    outputs: ClassVar[int] = 1  # type: ignore[misc]

    vanishes_at_zero: ClassVar[bool] = True
    kind: ClassVar[str] = "diagonal"

    @property
    def block_count(self) -> int:
        return self.depth

    def shapes(self, n_features: int) -> tuple[Shape, ...]:
        return ((n_features,),) * self.depth

    def linear_scores(self, X: FloatArray) -> LinearScores | None:
        return LinearScores(X)

    def __call__(self, ops: Ops[T], theta: Sequence[T], X: T) -> T:
        product = theta[0]
        for factor in theta[1:]:
            product = ops.multiply(product, factor)
        return ops.linear(X, product)


@final
@checked_class
@dataclass(frozen=True)
class ConvolutionalNetwork(Predictor):
    """``F(x; θ) = x·(u^1 ⋆ … ⋆ u^L)``, full-width circular convolutions, degree L.

    ``(u ⋆ v)_i = p^{-1/2} Σ_k u_k v_{(i-k) mod p}``, so that the unitary DFT of the product is the
    elementwise product of the unitary DFTs (Gunasekar et al. 2018a).
    Blocks: ``u^1, …, u^L``, each of shape ``(p,)``.
    """

    depth: Count
    outputs: ClassVar[int] = 1  # type: ignore[misc]

    vanishes_at_zero: ClassVar[bool] = True
    kind: ClassVar[str] = "convolution"

    @property
    def block_count(self) -> int:
        return self.depth

    def shapes(self, n_features: int) -> tuple[Shape, ...]:
        return ((n_features,),) * self.depth

    def linear_scores(self, X: FloatArray) -> LinearScores | None:
        return LinearScores(X)

    def __call__(self, ops: Ops[T], theta: Sequence[T], X: T) -> T:
        product = theta[0]
        for kernel in theta[1:]:
            product = ops.total(ops.multiply(ops.circulant(kernel), product))
        return ops.linear(X, product)
