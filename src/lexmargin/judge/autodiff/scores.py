"""What a certificate asks of a trained network, whatever framework holds it."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, Self, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.inputs.limits import PASS_BYTES, PASS_DIRECTIONS, PASS_SAMPLES
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
    """Return `|z|/r` (see `KinkReport`) of one operation; infinite where z stays what it is.

    What stays the same at every displaced point has no gradient: blank patches under a convolution
    without bias, what is behind units that are off, equal entries of a maximum, masks of samples.

    Parameters
    ----------
    z : (count, …) what is zero at the kink; infinite where there is none.
    change : (count, …) its largest change at the points of :func:`displaced`.
    count, dimension : number of samples, and d.
    """
    alone = np.isinf(z)
    size = np.where(alone, 0.0, np.abs(z))
    if z.ndim > 1 and z.shape[0] == count:
        top = size.reshape(count, -1).max(axis=1, initial=0.0)
        top = np.broadcast_to(top.reshape(-1, *[1] * (z.ndim - 1)), z.shape)
    else:
        top = np.full(z.shape, np.max(size, initial=0.0))
    # A standard normal displacement moves z by about ‖∇z‖ of it: √d times its share of ‖θ‖.
    scale = np.maximum(top, math.sqrt(dimension) * change / DISPLACEMENT)
    found: Array = np.divide(size, scale, out=np.zeros(z.shape), where=scale > 0.0)
    return np.where(alone | (change == 0.0), math.inf, found)


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

    # -- passes through the network, a batch of samples at a time ----------------------------------

    def values(self, theta: Array | None = None, samples: Indices | None = None) -> Array:
        """Return F, (S, C), at ``theta`` (by default the values as given)."""
        with self._computing():
            at = self._at(theta)
            found = [self._values(at, x) for _, x in self._passes(samples)]
        return np.concatenate(found)

    def jvp(
        self, direction: Array, samples: Indices | None = None, theta: Array | None = None
    ) -> Array:
        """Return `direction·∇F`, (S, C), by one forward-mode pass."""
        with self._computing():
            at, along = self._at(theta), self._at(direction)
            found = [self._tangent(at, along, x) for _, x in self._passes(samples)]
        return np.concatenate(found)

    def differences(self, theta: Array | None = None, samples: Indices | None = None) -> Array:
        """Return F without what all classes share: margins are differences of scores."""
        return _centred(self.values(theta, samples))

    def slopes(
        self, direction: Array, samples: Indices | None = None, theta: Array | None = None
    ) -> Array:
        """Return `direction·∇` of :meth:`differences`."""
        return _centred(self.jvp(direction, samples, theta))

    def rows(self, samples: Indices, seeds: Array, theta: Array | None = None) -> Array:
        """Return `Σ_c seeds_nc ∇F_c(x_n)`, one row (d,) for each sample named."""
        found = np.empty((samples.size, self.theta.size))
        with self._computing():
            at = self._at(theta)
            for part, x in self._passes(samples, PASS_BYTES // (8 * self.theta.size)):
                found[part] = _joined(self._rows(at, x, seeds[part]), found[part].shape[0])
        return found

    def vjp(self, samples: Indices, seeds: Array, theta: Array | None = None) -> Array:
        """Return `Σ_n Σ_c seeds_nc ∇F_c(x_n)`, (d,), by reverse mode."""
        total = np.zeros((1, self.theta.size))
        with self._computing():
            at = self._at(theta)
            for part, x in self._passes(samples):
                total += _joined(self._gradient(at, x, seeds[part]), 1)
        return np.asarray(total[0])

    def hessian_products(
        self, directions: Array, samples: Indices, seeds: Array, theta: Array | None = None
    ) -> Array:
        """Return `v·∇² Σ_n Σ_c seeds_nc F_c(x_n)` for every row v of ``directions`` (m, d).

        Forward mode over reverse mode: exact, and no matrix is formed.
        """
        total = np.zeros(directions.shape)
        with self._computing():
            at = self._at(theta)
            for part, x in self._passes(samples):
                size = 32 * (self.theta.size + math.prod(x.shape))
                for some in _slices(len(directions), min(PASS_DIRECTIONS, PASS_BYTES // size)):
                    blocks = self._products(at, directions[some], x, seeds[part])
                    total[some] += _joined(blocks, len(directions[some]))
        return total

    def moved(self, theta: Array) -> Self:
        """Return the same network with ``theta`` (d,) as the values given."""
        found = copy.copy(self)
        found.theta = theta
        return found

    def _passes(
        self, samples: Indices | None, most: int = PASS_SAMPLES
    ) -> Iterator[tuple[slice, Any]]:
        chosen = np.arange(self.count) if samples is None else samples
        for part in _slices(chosen.size, min(PASS_SAMPLES, most)):
            yield part, self._taken(chosen[part])

    def _computing(self) -> AbstractContextManager[Any]:
        """Return what must surround every computation."""
        return nullcontext()

    @abstractmethod
    def _at(self, theta: Array | None) -> Any:
        """Return θ (d,), the values as given for None, as the network takes it."""

    @abstractmethod
    def _taken(self, samples: Indices) -> Any:
        """Return these samples as the network takes them."""

    @abstractmethod
    def _values(self, at: Any, x: Any) -> Array:
        """Return the scores of one batch (B, C)."""

    @abstractmethod
    def _tangent(self, at: Any, along: Any, x: Any) -> Array:
        """Return their derivatives along a direction (B, C)."""

    @abstractmethod
    def _rows(self, at: Any, x: Any, seeds: Array) -> list[Array]:
        """Return the gradient of each sample, (B, …) for each block."""

    @abstractmethod
    def _gradient(self, at: Any, x: Any, seeds: Array) -> list[Array]:
        """Return the gradient of their sum, one array for each block."""

    @abstractmethod
    def _products(self, at: Any, directions: Array, x: Any, seeds: Array) -> list[Array]:
        """Return products of the Hessian of that sum with rows (m, d), (m, …) for each block."""

    # -- kinks -------------------------------------------------------------------------------------

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

    def blocks(self, rows: Array) -> list[Array]:
        """Return one array (m, …) for each block, of rows (m, d)."""
        shaped = zip(self.slices, self.shapes, strict=True)
        return [rows[:, place].reshape(len(rows), *shape) for place, shape in shaped]

    @property
    def slices(self) -> tuple[slice, ...]:
        """The range of every block in θ."""
        found, first = [], 0
        for shape in self.shapes:
            size = int(np.prod(shape, dtype=np.int64))
            found.append(slice(first, first + size))
            first += size
        return tuple(found)


def _centred(scores: Array) -> Array:
    return scores - np.mean(scores, axis=1, keepdims=True) if scores.shape[1] > 1 else scores


def _slices(count: int, most: int) -> list[slice]:
    step = max(1, most)
    return [slice(first, min(first + step, count)) for first in range(0, count, step)]


def _joined(blocks: list[Array], count: int) -> Array:
    return np.concatenate([block.reshape(count, -1) for block in blocks], axis=1)
