"""What a certificate asks of a trained network, whatever framework holds it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.certificate.norms import Array

__all__ = ["Indices", "KinkReport", "Scores"]

Indices = NDArray[np.intp]


@final
@dataclass(frozen=True)
class KinkReport:
    """How near a trained network is to where its gradient jumps.

    nearest
        smallest `|z|/max|z|` over the kinked operations and the samples asked for, the maximum
        over the units of one operation and one sample; None where nothing has a kink.
    felt
        the same over those the margins feel: a unit that is squared, or whose output the score
        ignores, has a smooth gradient at its kink. None as above.
    where
        the operation of ``felt`` (or of ``nearest``).
    unknown
        operations whose kinks could not be measured; empty where the report is complete.
    """

    nearest: float | None
    felt: float | None
    where: str
    unknown: tuple[str, ...]


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
    def rows(self, samples: Indices, seeds: Array) -> Array:
        """Return `Σ_c seeds_nc ∇F_c(x_n)`, one row (d,) for each sample named."""

    @abstractmethod
    def pull(self, samples: Indices, seeds: Array) -> Array:
        """Return `Σ_n Σ_c seeds_nc ∇F_c(x_n)`, (d,), by reverse mode."""

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
