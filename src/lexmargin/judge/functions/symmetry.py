"""Tangents of the symmetries that leave every margin and the ℓ2 norm unchanged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from lexmargin.inputs.limits import SYMMETRY_PAIRS
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.predictors.activations import Identity, LeakyReLU, ReLU, Square
from lexmargin.predictors.base import Predictor
from lexmargin.predictors.networks import ConvolutionalNetwork, Network
from lexmargin.predictors.sums import Sum

__all__ = ["symmetry_tangents"]

_RANK: Final = 1e-8
"""Relative singular value of tangents that depend: a false one would hide a direction."""
_EQUAL = 1e-9
"""Relative slope of margins, or difference of units, of a symmetry; a false one hides a
direction."""


def symmetry_tangents(
    functions: MarginFunctions, theta: FloatArray, jacobian: FloatArray
) -> FloatArray:
    """Return an orthonormal basis (k, d) of the orbit of the problem's symmetries through θ.

    Rotations of the units between two identity layers; the same for units of a positively
    homogeneous activation that read along one ray, and for squared units of equal outer weight;
    opposite phases of one frequency in two circular convolutions. Positive rescaling of layers is
    none of them: it changes ‖θ‖. Every tangent is checked against the gradients and θ.

    Parameters
    ----------
    functions : the margin functions.
    theta : (d,) the point.
    jacobian : (N, d) gradients that must vanish along a tangent.
    """
    found = [
        functions.flatten(tangent)
        for tangent in _tangents(functions.predictor, functions.blocks(theta))
    ]
    size = float(np.linalg.norm(theta))
    kept = []
    largest = float(np.max(np.linalg.norm(jacobian, axis=1), initial=0.0))
    for tangent in found:
        length = float(np.linalg.norm(tangent))
        if length <= _EQUAL * size:
            continue
        unit = tangent / length
        steady = np.max(np.abs(jacobian @ unit), initial=0.0) <= _EQUAL * largest
        if steady and abs(float(unit @ theta)) <= _EQUAL * size:
            kept.append(unit)
    if not kept:
        return np.zeros((0, theta.size))
    _, sigma, basis = np.linalg.svd(np.array(kept), full_matrices=False)
    result: FloatArray = basis[sigma > _RANK * sigma[0]]
    return result


def _tangents(predictor: Predictor, blocks: Sequence[FloatArray]) -> list[list[FloatArray]]:
    found: list[list[FloatArray]] = []
    if isinstance(predictor, Sum):
        first = 0
        for member in predictor.members:
            last = first + member.predictor.block_count
            for tangent in _tangents(member.predictor, blocks[first:last]):
                whole = [np.zeros_like(block) for block in blocks]
                whole[first:last] = tangent
                found.append(whole)
            first = last
        return found
    if isinstance(predictor, Network):
        return _network(predictor, blocks)
    if isinstance(predictor, ConvolutionalNetwork):
        return _convolution(blocks)
    return []


def _network(network: Network, blocks: Sequence[FloatArray]) -> list[list[FloatArray]]:
    found: list[list[FloatArray]] = []
    for layer, width in enumerate(network.widths):
        incoming, outgoing = blocks[layer], blocks[layer + 1]
        for j in range(width):
            for k in range(j + 1, width):
                if len(found) >= SYMMETRY_PAIRS:
                    return found
                if not _rotate(network, incoming, outgoing, j, k):
                    continue
                tangent = [np.zeros_like(block) for block in blocks]
                tangent[layer][j], tangent[layer][k] = -incoming[k], incoming[j]
                if not isinstance(network.activation, Square):
                    tangent[layer + 1][..., j] = -outgoing[..., k]
                    tangent[layer + 1][..., k] = outgoing[..., j]
                found.append(tangent)
    return found


def _rotate(network: Network, incoming: FloatArray, outgoing: FloatArray, j: int, k: int) -> bool:
    """Tell whether units j and k may turn into each other with margins and norm unchanged."""
    activation = network.activation
    if isinstance(activation, Identity):
        return True
    if isinstance(activation, Square):
        gap = np.max(np.abs(outgoing[..., j] - outgoing[..., k]))
        return bool(gap <= _EQUAL * np.max(np.abs(outgoing)))
    if isinstance(activation, LeakyReLU) or (
        isinstance(activation, ReLU) and activation.power == 1.0
    ):
        # (p_j, p_k) turns with the outgoing weights while both units stay on the same ray.
        a, b = float(np.linalg.norm(incoming[j])), float(np.linalg.norm(incoming[k]))
        if min(a, b) == 0.0:
            return False
        return bool(np.linalg.norm(incoming[j] / a - incoming[k] / b) <= _EQUAL)
    return False


def _convolution(blocks: Sequence[FloatArray]) -> list[list[FloatArray]]:
    size = blocks[0].size
    spectra = [np.fft.fft(block) for block in blocks]
    found = []
    for frequency in range(1, (size + 1) // 2):
        turn = np.zeros(size, dtype=np.complex128)
        turn[frequency], turn[size - frequency] = 1j, -1j
        for layer in range(len(blocks) - 1):
            tangent = [np.zeros_like(block) for block in blocks]
            tangent[layer] = np.real(np.fft.ifft(turn * spectra[layer]))
            tangent[layer + 1] = -np.real(np.fft.ifft(turn * spectra[layer + 1]))
            found.append(tangent)
    return found
