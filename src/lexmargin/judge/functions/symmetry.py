"""The continuous symmetries that leave every margin and the ℓ2 norm unchanged, by structure.

Positive rescaling of layers is none of them: it changes ‖θ‖.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.inputs.limits import SYMMETRY_PAIRS
from lexmargin.linalg.norms import Array
from lexmargin.margins import MarginFunctions
from lexmargin.predictors.activations import Square
from lexmargin.predictors.base import Predictor
from lexmargin.predictors.networks import ConvolutionalNetwork, Network, fully_connected
from lexmargin.predictors.sums import Sum

__all__ = ["Generator", "generators", "orbit_basis", "symmetry_tangents"]

_EQUAL: Final = 1e-9
"""Relative slope of margins, or difference of units, of a symmetry; a false one hides a
direction."""
_CLEAR: Final = 1e-12
"""Pre-activation, relative to its terms, that has a sign; smaller ones count as on the kink."""
_DEPENDENT: Final = 1e-8
"""Singular value, by the largest, of tangents that span no more; with less an orbit grows by
rounding."""


@final
@dataclass(frozen=True)
class Generator:
    """The rotation of two units: w[first] changes at the rate -w[second], w[second] at w[first]."""

    first: tuple[int, ...]
    second: tuple[int, ...]

    def tangent(self, w: NDArray[Any]) -> NDArray[Any]:
        """Return A w, for floats or for enclosures."""
        result = np.zeros(w.size, dtype=w.dtype)
        first, second = list(self.first), list(self.second)
        result[first], result[second] = -w[second], w[first]
        return result


def generators(
    functions: MarginFunctions, w: Array, samples: Sequence[int], *, near: bool = True
) -> list[Generator]:
    """Return rotations of hidden units that leave the margins of ``samples`` unchanged near w.

    Units of identity layers; and, in two-layer networks of a positively homogeneous activation
    of degree 1, pairs of units that are on the same side of their kink on every one of the
    samples: with these signs kept, the network is bilinear in the two. Not only ``near`` w but at
    it, too: units of such an activation that read along one ray, and squared ones of equal outer
    weight.
    """
    found: list[Generator] = []
    for part, places, columns in _parts(functions):
        network = fully_connected(part)
        if network is None:
            continue
        features = functions.features[np.asarray(samples)][:, columns]
        blocks = [w[place] for place in places]
        for layer, incoming in enumerate(places[:-1]):
            outgoing = places[layer + 1]
            # Of squares the outer weights stay.
            turning = (
                (incoming,) if isinstance(network.activation, Square) else (incoming, outgoing.T)
            )
            for i, j in np.argwhere(np.triu(_alike(network, layer, blocks, features, near), 1)):
                pair = (np.concatenate([x[k].ravel() for x in turning]).tolist() for k in (i, j))
                found.append(Generator(*map(tuple, pair)))
                if len(found) >= SYMMETRY_PAIRS:
                    return found
    return found


def symmetry_tangents(functions: MarginFunctions, theta: Array, jacobian: Array) -> Array:
    """Return an orthonormal basis (k, d) of the orbit of the problem's symmetries through θ.

    The rotations of :func:`generators`; and opposite phases of one frequency in two circular
    convolutions. Every tangent is checked against the gradients and θ.

    Parameters
    ----------
    functions : the margin functions.
    theta : (d,) the point.
    jacobian : (N, d) gradients that must vanish along a tangent.
    """
    everyone = range(functions.data.n_samples)
    found = [one.tangent(theta) for one in generators(functions, theta, everyone, near=False)]
    for part, places, _ in _parts(functions):
        if isinstance(part, ConvolutionalNetwork):
            found += _phases(theta, places)
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
    return orbit_basis(kept, theta.size)


def orbit_basis(tangents: Sequence[Array], size: int) -> Array:
    """Return an orthonormal basis (k, d) of what tangents (d,) of one length span."""
    if not tangents:
        return np.zeros((0, size))
    _, sigma, basis = np.linalg.svd(np.array(tangents), full_matrices=False)
    return np.asarray(basis[sigma > _DEPENDENT * sigma[0]])


def _parts(
    functions: MarginFunctions,
) -> Iterator[tuple[Predictor, list[NDArray[np.intp]], NDArray[np.intp]]]:
    """Yield each summand, the places of its blocks in θ, and the columns of its features."""
    predictor = functions.predictor
    places = functions.blocks(np.arange(functions.size, dtype=np.float64))
    whole, first = np.arange(functions.features.shape[1]), 0
    members = predictor.members if isinstance(predictor, Sum) else ()
    if not members:
        yield predictor, [block.astype(np.intp) for block in places], whole
    for member in members:
        last = first + member.predictor.block_count
        columns = whole if member.columns is None else whole[list(member.columns)]
        yield member.predictor, [block.astype(np.intp) for block in places[first:last]], columns
        first = last


def _alike(
    network: Network, layer: int, blocks: Sequence[Array], features: Array, near: bool
) -> NDArray[np.bool_]:
    """Tell which pairs of units of a layer may turn into each other, margins and norm unchanged."""
    incoming, outgoing = blocks[layer], np.atleast_2d(blocks[layer + 1])
    width, slope = len(incoming), network.activation.left_slope
    if slope == 1.0:
        return np.ones((width, width), dtype=np.bool_)
    found = np.zeros((width, width), dtype=np.bool_)
    if slope is None:
        if isinstance(network.activation, Square) and not near:
            apart = np.abs(outgoing[:, :, None] - outgoing[:, None, :]).max(axis=0)
            found = apart <= _EQUAL * np.max(np.abs(outgoing))
        return np.asarray(found)
    if len(network.widths) == 1:
        z = features @ incoming.T
        clear = np.abs(z) > _CLEAR * (np.abs(features) @ np.abs(incoming.T))
        sides = np.sign(np.where(clear, z, 0.0))
        found = sides.T @ sides == len(features)
    if not near:
        # (p_j, p_k) turns with the outgoing weights while both units stay on the same ray.
        sizes = np.linalg.norm(incoming, axis=1, keepdims=True)
        unit = np.divide(incoming, sizes, out=np.zeros_like(incoming), where=sizes > 0.0)
        for j, k in np.argwhere(np.triu(unit @ unit.T > 1.0 - _EQUAL, 1)):
            found[j, k] |= bool(np.linalg.norm(unit[j] - unit[k]) <= _EQUAL)
    return found


def _phases(theta: Array, places: Sequence[NDArray[np.intp]]) -> list[Array]:
    size = places[0].size
    spectra = [np.fft.fft(theta[place]) for place in places]
    found = []
    for frequency in range(1, (size + 1) // 2):
        turn = np.zeros(size, dtype=np.complex128)
        turn[frequency], turn[size - frequency] = 1j, -1j
        for layer in range(len(places) - 1):
            tangent = np.zeros_like(theta)
            tangent[places[layer]] = np.real(np.fft.ifft(turn * spectra[layer]))
            tangent[places[layer + 1]] = -np.real(np.fft.ifft(turn * spectra[layer + 1]))
            found.append(tangent)
    return found
