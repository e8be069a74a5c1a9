"""Continuous linear symmetries of networks, as generators that act on parameters."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.linalg.norms import Array
from lexmargin.margins import MarginFunctions
from lexmargin.predictors.activations import Identity, LeakyReLU, ReLU
from lexmargin.predictors.networks import Network

__all__ = ["Generator", "generators"]

_CLEAR = 1e-12
"""Pre-activation, relative to its terms, that has a sign; smaller ones count as on the kink."""


@final
@dataclass(frozen=True)
class Generator:
    """The rotation of two units: w changes at the rate ``w[sources] · signs`` in ``targets``."""

    targets: tuple[int, ...]
    sources: tuple[int, ...]
    signs: tuple[int, ...]

    def tangent(self, w: NDArray[Any]) -> NDArray[Any]:
        """Return A w, for floats or for enclosures."""
        result = np.zeros(w.size, dtype=w.dtype)
        for target, source, sign in zip(self.targets, self.sources, self.signs, strict=True):
            result[target] = w[source] if sign > 0 else -w[source]
        return result


def generators(functions: MarginFunctions, w: Array, samples: Sequence[int]) -> list[Generator]:
    """Return rotations of hidden units that leave the margins of ``samples`` unchanged near w.

    Units of identity layers; and, in two-layer networks of a positively homogeneous activation
    of degree 1, pairs of units that are on the same side of their kink on every one of the
    samples: with these signs kept, the network is bilinear in the two.
    """
    predictor = functions.predictor
    if not isinstance(predictor, Network) or not predictor.widths:
        return []
    activation = predictor.activation
    kinked = isinstance(activation, LeakyReLU) or (
        isinstance(activation, ReLU) and activation.power == 1.0
    )
    if not isinstance(activation, Identity) and not (kinked and len(predictor.widths) == 1):
        return []
    starts = np.cumsum([0, *(int(np.prod(shape)) for shape in functions.shapes)])
    found = []
    for layer, width in enumerate(predictor.widths):
        incoming = functions.shapes[layer][1]
        outgoing = functions.shapes[layer + 1]
        rows = outgoing[0] if len(outgoing) == 2 else 1
        first, second = int(starts[layer]), int(starts[layer + 1])
        patterns = None
        if kinked:
            weights, features = functions.blocks(w)[0], functions.features[list(samples)]
            z = features @ weights.T
            patterns = np.sign(
                np.where(np.abs(z) > _CLEAR * (np.abs(features) @ np.abs(weights.T)), z, 0.0)
            )
        for i, j in itertools.combinations(range(width), 2):
            if patterns is not None and (
                np.any(patterns[:, [i, j]] == 0.0)
                or not np.array_equal(patterns[:, i], patterns[:, j])
            ):
                continue
            a = [first + i * incoming + c for c in range(incoming)]
            b = [first + j * incoming + c for c in range(incoming)]
            a += [second + r * width + i for r in range(rows)]
            b += [second + r * width + j for r in range(rows)]
            found.append(Generator((*a, *b), (*b, *a), (*([-1] * len(a)), *([1] * len(b)))))
    return found
