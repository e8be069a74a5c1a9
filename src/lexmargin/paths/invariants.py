"""What gradient flow leaves unchanged: balancedness of neighbouring layers (math.md §6)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import final

import numpy as np

from lexmargin.errors import DegreeError
from lexmargin.ops.base import FloatArray
from lexmargin.ops.degree import DegreeOps
from lexmargin.predictors.activations import Identity
from lexmargin.predictors.base import Predictor
from lexmargin.predictors.networks import (
    ConvolutionalNetwork,
    DiagonalNetwork,
    Network,
    fully_connected,
)
from lexmargin.predictors.sums import Sum

__all__ = ["Balancedness"]


@final
class Balancedness:
    """The quantities that gradient flow conserves for networks, whatever the data and the loss.

    Diagonal networks: ``(u^l_i)² - (u^{l+1}_i)²``. Convolutional networks: the same for the moduli
    of the unitary DFTs. Fully connected linear networks: ``W_{l+1}ᵀ W_{l+1} - W_l W_lᵀ``. With an
    activation of degree q only its diagonal, one number per unit: ``q ‖out_j‖² - ‖in_j‖²`` (Du, Hu
    & Lee 2018). Other predictors have none. Members of a sum are named by their place.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def __call__(self, blocks: Sequence[FloatArray]) -> dict[str, FloatArray]:
        """Return the invariants by name, each a flat array."""
        return _invariants(self._predictor, blocks)


def _invariants(predictor: Predictor, blocks: Sequence[FloatArray]) -> dict[str, FloatArray]:
    pairs = list(enumerate(itertools.pairwise(blocks), start=1))
    if isinstance(predictor, Sum):
        found: dict[str, FloatArray] = {}
        for k, (member, own) in enumerate(
            zip(predictor.members, predictor.split(blocks), strict=True), start=1
        ):
            for name, value in _invariants(member.predictor, own).items():
                found[f"member {k}: {name}"] = value
        return found
    if isinstance(predictor, DiagonalNetwork):
        return {f"layers {k}, {k + 1}": u**2 - v**2 for k, (u, v) in pairs}
    if isinstance(predictor, ConvolutionalNetwork):
        moduli = [np.abs(np.fft.fft(u, norm="ortho")) ** 2 for u in blocks]
        steps = enumerate(itertools.pairwise(moduli), start=1)
        return {f"layers {k}, {k + 1}": u - v for k, (u, v) in steps}
    network = fully_connected(predictor)
    if network is not None:
        return {f"layers {k}, {k + 1}": _connected(network, u, v) for k, (u, v) in pairs}
    return {}


def _connected(network: Network, inner: FloatArray, outer: FloatArray) -> FloatArray:
    out = np.atleast_2d(outer)
    if isinstance(network.activation, Identity):
        return np.asarray(out.T @ out - inner @ inner.T).reshape(-1)
    degree = network.activation(DegreeOps(), DegreeOps.block(0)).degree
    if degree is None:
        raise DegreeError("An activation has no degree.", "Use one that is positive homogeneous.")
    return np.asarray(float(degree) * np.sum(out**2, axis=0) - np.sum(inner**2, axis=1))
