"""Networks without biases: fully connected, diagonal, circular convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar, final

from lexmargin.inputs.checks import Count
from lexmargin.inputs.family import BESIDE
from lexmargin.inputs.kinds import Listed, checked_class
from lexmargin.ops.base import FloatArray, Ops
from lexmargin.predictors.activations import Activation, Identity
from lexmargin.predictors.base import LinearScores, Predictor, Shape

__all__ = ["ConvolutionalNetwork", "DiagonalNetwork", "Network"]

T = TypeVar("T")


@final
@checked_class
@dataclass(frozen=True)
class Network(Predictor):
    """``F(x; θ) = W_L σ(W_{L-1} … σ(W_1 x))``, fully connected, no biases.

    Blocks: ``W_1 (widths[0], p)``, …, and the last ``(widths[-1],)``, or ``(outputs, widths[-1])``
    for several outputs. Degree L for σ of degree 1; ``widths=()`` is the linear predictor.
    """

    widths: Listed[Count]
    activation: Activation = field(default_factory=Identity, metadata=BESIDE)
    outputs: Count = 1

    vanishes_at_zero: ClassVar[bool] = True
    kind: ClassVar[str] = "network"

    @property
    def kink_slope(self) -> float | None:
        slope = self.activation.left_slope
        # Without hidden layers, or with the identity in them, there is no kink.
        return slope if self.widths and slope != 1.0 else None

    @property
    def two_layer(self) -> bool:
        """Whether it is ``Σ_j a_j σ(w_j·x)``: one hidden layer and one score."""
        return len(self.widths) == 1 and self.outputs == 1

    @property
    def block_count(self) -> int:
        return len(self.widths) + 1

    def shapes(self, n_features: int) -> tuple[Shape, ...]:
        sizes = (n_features, *self.widths)
        hidden = tuple((sizes[i + 1], sizes[i]) for i in range(len(self.widths)))
        return (*hidden, (sizes[-1],) if self.outputs == 1 else (self.outputs, sizes[-1]))

    def linear_scores(self, X: FloatArray) -> LinearScores | None:
        if self.widths and not isinstance(self.activation, Identity):
            return None
        # The matrix of all scores has the rank of the narrowest layer.
        whole_rank = min(X.shape[1], self.outputs)
        return LinearScores(X, every=min((*self.widths, whole_rank)) >= whole_rank)

    def __call__(self, ops: Ops[T], theta: Sequence[T], X: T) -> T:
        units = X
        for weights in theta[:-1]:
            units = self.activation(ops, ops.linear(units, weights))
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
