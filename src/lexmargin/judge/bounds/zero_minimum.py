"""Proof that θ = 0 is the global minimum of a regularization path (before its first jump)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np

from lexmargin.formulations.kkt import Kkt
from lexmargin.judge.proved import BoundMethod, Proved
from lexmargin.linalg.norms import Array
from lexmargin.linalg.rounding import OUTWARD
from lexmargin.losses import Loss
from lexmargin.margins import MarginFunctions
from lexmargin.ops.curvature import Curvature
from lexmargin.predictors.activations import Identity, LeakyReLU, ReLU
from lexmargin.predictors.linear import Linear
from lexmargin.predictors.networks import (
    Biases,
    ConvolutionalNetwork,
    DiagonalNetwork,
    Network,
)

__all__ = ["OriginIsLeast", "largest_margins", "origin_is_least"]

_RATIO: Final = 1.0 + 1e-4
"""Ratio of neighbouring lengths that are checked; wider proves less near the first jump, no
falsehood."""


@final
@dataclass(frozen=True)
class OriginIsLeast:
    """θ = 0 of a penalised loss, where the penalty outgrows all that the loss can gain."""

    method = BoundMethod.ORIGIN

    def applies(self, kkt: Kkt) -> bool:
        convex = kkt.functions.curvature <= Curvature.CONCAVE
        return kkt.loss is not None and kkt.radius is None and not convex

    def prove(self, kkt: Kkt, weights: Array, wanted: float = 0.0) -> Proved | None:
        if np.any(kkt.point) or not origin_is_least(kkt):
            return None
        why = "the penalty outgrows all that the loss can gain"
        return Proved(method=self.method, value=1.0, sentence=why, reached=1.0, excess=0.0)


def largest_margins(functions: MarginFunctions) -> Array | None:
    """Return M (N,) with ``f_n(θ) <= M_n ‖θ‖₂^α`` for all θ; None where none is known.

    ``‖x‖ Π_l ‖W_l‖_F <= ‖x‖ (‖θ‖²/L)^{L/2}`` for L layers of activations that lengthen nothing, and
    ``Σ_i x_i Π_l u^l_i <= max_i |x_i| Π_l ‖u^l‖`` for diagonal networks of depth L >= 2.
    """
    predictor, X = functions.predictor, functions.data.X
    lengths = np.sqrt(np.einsum("ij,ij->i", X, X))
    match predictor:
        case Linear(outputs=1):
            depth = 1
        case Network(
            outputs=1, activation=Identity() | LeakyReLU() | ReLU(power=1.0), bias=Biases.NONE
        ):
            depth = len(predictor.widths) + 1
        case DiagonalNetwork():
            depth = predictor.depth
            if depth > 1:
                lengths = np.max(np.abs(X), axis=1)
        case ConvolutionalNetwork(depth=1):
            depth = 1
        case _:
            return None
    return np.asarray(lengths * float(depth) ** (-0.5 * depth))


def origin_is_least(kkt: Kkt) -> bool:
    """Say whether ``L(θ) + c‖θ‖₂^q >= L(0)`` is proven for all θ.

    The loss falls with the margin, and ``f_n(θ) <= M_n r^α`` at ‖θ‖ = r, so it is enough that
    ``Σ_n w_n (ℓ(0) - ℓ(M_n r^α)) <= c r^q`` for all r >= 0: by ``ℓ(0) - ℓ(m) <= m`` for small r, by
    ``ℓ >= 0`` for large r, and between them on intervals whose ends differ by a part in 10^4.
    """
    alpha, term = kkt.functions.homogeneity.degree, kkt.loss
    most = largest_margins(kkt.functions)
    if alpha is None or most is None or kkt.norm != 2.0 or kkt.functions.multi_class:
        return False
    if term is None or term.power is None or term.coefficient is None:
        return False
    power, c = term.power, term.coefficient
    logs = term.loss.logs
    weights = np.ones(most.size) if logs is None else np.exp(logs) * (1.0 + OUTWARD)
    total = float(weights @ most)
    at_zero = 1.0 if term.loss.kind is Loss.EXPONENTIAL else float(np.log(2.0))
    if total == 0.0:
        return True
    if not alpha > power:
        return alpha == power and total <= c * (1.0 - OUTWARD)
    low = (c / total) ** (1.0 / (alpha - power)) * (1.0 - OUTWARD)
    high = (at_zero * float(np.sum(weights)) / c) ** (1.0 / power) * (1.0 + OUTWARD)
    if high <= low:
        return True
    steps = int(np.ceil(np.log(high / low) / np.log(_RATIO))) + 1
    if steps * most.size > 20_000_000:
        return False
    ends = low * _RATIO ** np.arange(steps + 1)
    margins = most[:, None] * ends[None, 1:] ** alpha
    if term.loss.kind is Loss.EXPONENTIAL:
        gains = -np.expm1(-margins)
    else:
        gains = at_zero - np.log1p(np.exp(-margins))
    room = c * ends[:-1] ** power
    return bool(np.all((weights @ gains) * (1.0 + OUTWARD) <= room * (1.0 - OUTWARD)))
