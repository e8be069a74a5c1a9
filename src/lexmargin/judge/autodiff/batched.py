"""Passes through a trained network a few samples at a time, whatever framework makes them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from lexmargin.inputs.limits import PASS_BYTES, PASS_DIRECTIONS, PASS_SAMPLES
from lexmargin.judge.autodiff.scores import Indices, Scores
from lexmargin.linalg.norms import Array

__all__ = ["BatchedScores"]


class BatchedScores(Scores):
    """Scores by a framework's own passes over a batch of samples.

    A framework holds θ as ``parameters``, one array per block, and gives derivatives by block.
    """

    def _passes(self) -> AbstractContextManager[Any]:
        """Return what surrounds every pass."""
        return nullcontext()

    @abstractmethod
    def _split(self, theta: Array) -> Any:
        """Return θ (d,), or every row of (m, d), as parameters."""

    @abstractmethod
    def _inputs(self, samples: Indices | None) -> Any:
        """Return the samples as the framework takes them; all where None."""

    @abstractmethod
    def _constant(self, array: Array) -> Any:
        """Return an array of the framework."""

    @abstractmethod
    def _numpy(self, array: Any) -> Array:
        """Return an array of the framework as NumPy's."""

    @abstractmethod
    def _scored(self, parameters: Any, x: Any) -> Any:
        """Return F (S, C) without derivatives."""

    @abstractmethod
    def _forward(self, parameters: Any, along: Any, x: Any) -> Any:
        """Return the derivative of F along parameters (S, C)."""

    @abstractmethod
    def _each(self, parameters: Any, x: Any, seeds: Any) -> Sequence[Any]:
        """Return the gradients of every `Σ_c seeds_nc F_nc`, (S, …) by block."""

    @abstractmethod
    def _together(self, parameters: Any, x: Any, seeds: Any) -> Sequence[Any]:
        """Return the gradient of `Σ_n Σ_c seeds_nc F_nc`, by block."""

    @abstractmethod
    def _second(self, parameters: Any, along: Any, x: Any, seeds: Any) -> Sequence[Any]:
        """Return the derivatives of that gradient along (m, …), by block."""

    def values(self, theta: Array | None = None, samples: Indices | None = None) -> Array:
        with self._passes():
            at = self._split(self.theta if theta is None else theta)
            parts = [self._numpy(self._scored(at, x)) for x in self._batches(samples)]
        return np.concatenate(parts)

    def jvp(
        self, direction: Array, samples: Indices | None = None, theta: Array | None = None
    ) -> Array:
        with self._passes():
            at, along = self._split(self.theta if theta is None else theta), self._split(direction)
            parts = [self._numpy(self._forward(at, along, x)) for x in self._batches(samples)]
        return np.concatenate(parts)

    def rows(self, samples: Indices, seeds: Array, theta: Array | None = None) -> Array:
        found = np.zeros((samples.size, self.theta.size))
        chunk = max(1, min(PASS_SAMPLES, PASS_BYTES // (8 * self.theta.size)))
        with self._passes():
            at = self._split(self.theta if theta is None else theta)
            for first in range(0, samples.size, chunk):
                part = slice(first, min(first + chunk, samples.size))
                x, seed = self._inputs(samples[part]), self._constant(seeds[part])
                self._add(self._each(at, x, seed), found[part])
        return found

    def vjp(self, samples: Indices, seeds: Array, theta: Array | None = None) -> Array:
        total = np.zeros((1, self.theta.size))
        with self._passes():
            at = self._split(self.theta if theta is None else theta)
            for first in range(0, samples.size, PASS_SAMPLES):
                part = slice(first, first + PASS_SAMPLES)
                x, seed = self._inputs(samples[part]), self._constant(seeds[part])
                self._add(self._together(at, x, seed), total)
        return np.asarray(total[0])

    def hessian_products(
        self, directions: Array, samples: Indices, seeds: Array, theta: Array | None = None
    ) -> Array:
        total = np.zeros(directions.shape)
        with self._passes():
            at = self._split(self.theta if theta is None else theta)
            for first in range(0, samples.size, PASS_SAMPLES):
                part = slice(first, first + PASS_SAMPLES)
                x, seed = self._inputs(samples[part]), self._constant(seeds[part])
                size = 32 * (self.theta.size + int(np.prod(x.shape)))
                chunk = max(1, min(PASS_DIRECTIONS, PASS_BYTES // size))
                for start in range(0, len(directions), chunk):
                    some = slice(start, start + chunk)
                    along = self._split(directions[some])
                    self._add(self._second(at, along, x, seed), total[some])
        return total

    def _add(self, parts: Sequence[Any], total: Array) -> None:
        """Add derivatives by block to rows (m, d)."""
        for part, place in zip(parts, self.slices, strict=True):
            total[:, place] += self._numpy(part).reshape(len(total), -1)

    def _batches(self, samples: Indices | None) -> Iterator[Any]:
        chosen = self._inputs(samples)
        for first in range(0, len(chosen), PASS_SAMPLES):
            yield chosen[first : first + PASS_SAMPLES]
