"""Upper bounds on the margin of linear networks of any depth (math §4)."""

from __future__ import annotations

import numpy as np

from lexmargin.linalg.norms import vector_norm
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.predictors.activations import Identity
from lexmargin.predictors.networks import ConvolutionalNetwork, DiagonalNetwork, Network

__all__ = ["linear_network_bound"]

_ROUNDING = 1e-12
"""Covers the products of the bound relative to their terms; too small, the bound is unproven."""


def linear_network_bound(functions: MarginFunctions, multipliers: FloatArray) -> float | None:
    """Return `L^{-L/2} ‖Σ p_n z_n‖_*`, p = λ/Σλ, an upper bound on γ*; None for other predictors.

    A linear network of depth L and ‖θ‖₂ ≤ 1 computes β·x with `‖β‖₂ ≤ L^{-L/2}` (fully
    connected), `‖β‖₁ ≤ L^{-L/2}` (diagonal, L ≥ 2), and the same for the unitary discrete Fourier
    transform of β (convolution, L ≥ 2): inequality of arithmetic and geometric means, layer by
    layer. The dual norm is ℓ2, ℓ∞, and ℓ∞ of the transform. Attained for every fully connected
    network, and where a sparse enough β is best for the others.

    Parameters
    ----------
    functions : margin functions with one output.
    multipliers : (N,) λ ≥ 0, not all 0, at any scale.
    """
    predictor = functions.predictor
    total = float(np.sum(multipliers))
    if predictor.outputs != 1 or not (np.isfinite(total) and total > 0.0):
        return None
    combined = functions.score_weights(multipliers / total) @ functions.data.X
    if isinstance(predictor, Network) and isinstance(predictor.activation, Identity):
        depth, size = predictor.block_count, vector_norm(combined, 2.0)
    elif isinstance(predictor, DiagonalNetwork) and predictor.depth >= 2:
        depth, size = predictor.depth, float(np.max(np.abs(combined)))
    elif isinstance(predictor, ConvolutionalNetwork) and predictor.depth >= 2:
        depth = predictor.depth
        size = float(np.max(np.abs(np.fft.fft(combined, norm="ortho"))))
    else:
        return None
    spent = vector_norm(
        np.abs(functions.score_weights(multipliers / total)) @ np.abs(functions.data.X), 2.0
    )
    return float(depth ** (-0.5 * depth)) * (size + _ROUNDING * spent)
