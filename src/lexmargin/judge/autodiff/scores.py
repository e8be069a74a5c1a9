"""What a certificate asks of a trained network, whatever framework holds it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.linalg.norms import Array

__all__ = ["Indices", "KinkReport", "KinkedRows", "Scores", "displaced", "relative_distance"]

Indices = NDArray[np.intp]

_DRAWS: Final = 4
"""Displaced points: two kinks in the way of all four are unlikely, and each costs a pass."""


@final
@dataclass(frozen=True, eq=False)
class KinkReport:
    """How near a trained network is to where its gradient jumps.

    nearest
        smallest `|z|/r` over the kinked operations and the samples asked for; None where nothing
        has a kink. r is the larger of max|z| over the units of one operation and one sample and of
        `‖∇_θ z‖ ‖θ‖`, estimated from random displacements of θ: the part of ‖θ‖ that reaches the
        kink, to an order of magnitude.
    felt
        the same over those the margins feel: a unit that is squared, or whose output the score
        ignores, has a smooth gradient at its kink. None as above.
    where
        the operation of ``felt`` (or of ``nearest``).
    unknown
        operations whose kinks could not be measured; empty where the report is complete.
    distances
        `|z|/r` of every kinked operation, in order of evaluation.
    """

    nearest: float | None
    felt: float | None
    where: str
    unknown: tuple[str, ...]
    distances: tuple[Array, ...] = ()


@final
@dataclass(frozen=True, eq=False)
class KinkedRows:
    """Gradients of some margins with chosen slopes at the kinks of their samples.

    kinks
        for each margin the (operation, unit) of its kinks, in order.
    at
        ``at(on)`` returns the gradients (S, d) with slope 1 at the kinks ``on[n]`` of margin n
        (positions in ``kinks[n]``) and slope 0 at its others.
    """

    kinks: tuple[tuple[tuple[int, int], ...], ...]
    at: Callable[[Sequence[Sequence[int]]], Array]


DISPLACEMENT: Final = 1e-4
"""Size of a random displacement of θ, as a part of ‖θ‖."""


def displaced(theta: Array) -> list[Array]:
    """Return a few points at distance of about `DISPLACEMENT · ‖θ‖` from θ (d,), seeded."""
    size = DISPLACEMENT * float(np.linalg.norm(theta)) / math.sqrt(theta.size)
    draw = np.random.default_rng(0)
    return [theta + size * draw.standard_normal(theta.size) for _ in range(_DRAWS)]


def relative_distance(z: Array, change: Array, count: int, dimension: int) -> Array:
    """Return `|z|/r` (see `KinkReport`) of one operation; 0/0 counts as a kink.

    Parameters
    ----------
    z : (count, …) what is zero at the kink.
    change : (count, …) its largest change at the points of :func:`displaced`.
    count, dimension : number of samples, and d.
    """
    size = np.abs(z)
    if z.ndim > 1 and z.shape[0] == count:
        top = size.reshape(count, -1).max(axis=1, initial=0.0)
        top = np.broadcast_to(top.reshape(-1, *[1] * (z.ndim - 1)), z.shape)
    else:
        top = np.full(z.shape, np.max(size, initial=0.0))
    # A standard normal displacement moves z by about ‖∇z‖ of it: √d times its share of ‖θ‖.
    scale = np.maximum(top, math.sqrt(dimension) * change / DISPLACEMENT)
    found: Array = np.divide(size, scale, out=np.zeros(z.shape), where=scale > 0.0)
    return found


class Scores(ABC):
    """The scores `F(x_n; θ)`, (N, C), of one network on fixed samples, evaluated in float64.

    θ is flat, in the fixed order of the network's own parameters; the network is not changed.
    """

    names: tuple[str, ...]
    """Names of the parameter blocks."""
    shapes: tuple[tuple[int, ...], ...]
    """Their shapes."""
    theta: Array
    """θ (d,), the values as given."""
    count: int
    """N."""

    @abstractmethod
    def values(self, theta: Array | None = None, samples: Indices | None = None) -> Array:
        """Return F, (S, C), at ``theta`` (by default the values as given)."""

    @abstractmethod
    def tangent(
        self, direction: Array, samples: Indices | None = None, theta: Array | None = None
    ) -> Array:
        """Return `direction·∇F`, (S, C), by one forward-mode pass."""

    @abstractmethod
    def rows(self, samples: Indices, seeds: Array, theta: Array | None = None) -> Array:
        """Return `Σ_c seeds_nc ∇F_c(x_n)`, one row (d,) for each sample named."""

    @abstractmethod
    def pull(self, samples: Indices, seeds: Array, theta: Array | None = None) -> Array:
        """Return `Σ_n Σ_c seeds_nc ∇F_c(x_n)`, (d,), by reverse mode."""

    @abstractmethod
    def curved(
        self, directions: Array, samples: Indices, seeds: Array, theta: Array | None = None
    ) -> Array:
        """Return `v·∇² Σ_n Σ_c seeds_nc F_c(x_n)` for every row v of ``directions`` (m, d).

        Forward mode over reverse mode: exact, and no matrix is formed.
        """

    @abstractmethod
    def kinked_rows(self, samples: Indices, seeds: Array, tolerance: float) -> KinkedRows | None:
        """Return the elements of the generalised gradients at kinks within ``tolerance``.

        None where the slopes at the kinks cannot be chosen one by one.
        """

    @abstractmethod
    def kinks(self, samples: Indices, seeds: Array) -> KinkReport:
        """Return how near these samples are to a kink; ``seeds`` decide what the margins feel."""

    @abstractmethod
    def suspects(self) -> tuple[str, ...]:
        """Name the parts that are known not to be homogeneous."""

    @property
    def slices(self) -> tuple[slice, ...]:
        """The range of every block in θ."""
        found, first = [], 0
        for shape in self.shapes:
            size = int(np.prod(shape, dtype=np.int64))
            found.append(slice(first, first + size))
            first += size
        return tuple(found)
