"""What an optimizer is asked for: the next θ from a point, everything in the log domain."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np

from lexmargin.losses import Loss, SampleLoss, log_sum_exp
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, IntArray

__all__ = ["Advance", "Average", "LossOracle", "Optimizer", "Point", "Pull", "Sampler"]


@final
@dataclass(frozen=True)
class Pull:
    """``e^{log_size} vector``: a gradient of the loss with its sign turned, or a mean of such.

    Attributes:
        vector: (d,).
        log_size: nats; the loss itself leaves the range of doubles, its logarithm does not.
    """

    vector: FloatArray
    log_size: float


@final
class Point:
    """θ with its margins and ``log L``; the gradient is computed when it is asked for."""

    __slots__ = ("_descent", "_vjp", "f", "log_loss", "loss", "theta")

    def __init__(
        self,
        theta: FloatArray,
        f: FloatArray,
        vjp: Callable[[FloatArray], FloatArray],
        loss: SampleLoss,
    ) -> None:
        self.theta = theta
        self.f = f
        self.loss = loss
        self.log_loss = loss.value(f)
        self._vjp = vjp
        self._descent: FloatArray | None = None

    @property
    def weights(self) -> FloatArray:
        """``-∂ log L/∂f_n``, (N,)."""
        return np.asarray(np.exp(self.loss.log_slopes(self.f) - self.log_loss))

    @property
    def descent(self) -> FloatArray:
        """``-∇ log L(θ) = -∇L/L``, (d,)."""
        if self._descent is None:
            self._descent = self._vjp(self.weights)
        return self._descent

    def pull(self, batch: IntArray | None = None) -> Pull:
        """Return ``-∇L(θ)``, or that of the terms of the margin functions ``batch`` alone."""
        if batch is None:
            return Pull(self.descent, self.log_loss)
        logs = self.loss.log_slopes(self.f)[batch]
        size = log_sum_exp(logs)
        weights = np.zeros_like(self.f)
        if math.isfinite(size):
            weights[batch] = np.exp(logs - size)
        return Pull(self._vjp(weights), size)


@final
@dataclass(frozen=True)
class LossOracle:
    """The loss of one predictor on one data set, with the weights of its samples."""

    functions: MarginFunctions
    loss: Loss

    @functools.cached_property
    def weighted(self) -> SampleLoss:
        """L."""
        return self.functions.loss(self.loss)

    def at(self, theta: FloatArray) -> Point:
        """Return the point θ."""
        f, vjp = self.functions.value_and_vjp(theta)
        return Point(theta, f, vjp, self.weighted)


Advance: TypeAlias = Callable[[Point], Point | None]
"""One step of a run under way: the next point, or None where no step lowers the loss."""


class Optimizer(ABC):
    """Who moves θ. The value says how; the memory of a run lives in what :meth:`begin` returns."""

    batch: int | None = None
    """Samples per gradient, drawn without replacement epoch by epoch; None for all."""

    def epoch(self, samples: int) -> int:
        """Return how many steps see every sample, wherever they begin.

        Fewer that move nothing do not end a run: a batch may hold none of those that still count.
        """
        return 1 if self.batch is None else 2 * math.ceil(samples / self.batch) - 1

    @abstractmethod
    def begin(self, oracle: LossOracle, seed: int) -> Advance:
        """Return the steps of a new run.

        Args:
            oracle: the loss.
            seed: of the batches, where there are any.

        Raises:
            ParameterError: settings that do not fit the predictor or the loss.
        """


@final
class Average:
    """``m ← β m + (1 - β) x`` of vectors ``e^{s} x`` whose sizes leave the range of doubles."""

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._mean: Pull | None = None

    def add(self, vector: FloatArray, log_size: float) -> Pull:
        """Return the mean with one more vector; the first is added to 0."""
        fresh = 1.0 - self._decay
        if self._mean is None or self._decay == 0.0:
            self._mean = Pull(fresh * vector, log_size)
            return self._mean
        old = self._mean
        top = max(old.log_size, log_size)
        if not math.isfinite(top):
            return old
        kept = self._decay * math.exp(old.log_size - top)
        mean = kept * old.vector + fresh * math.exp(log_size - top) * vector
        self._mean = _fitted(mean, top)
        return self._mean


def _fitted(vector: FloatArray, log_size: float) -> Pull:
    """Return the vector with its largest entry near 1, so that no later sum underflows."""
    largest = float(np.abs(vector).max(initial=0.0))
    if not 0.0 < largest < math.inf:
        return Pull(vector, log_size)
    shift = math.frexp(largest)[1]
    return Pull(np.ldexp(vector, -shift), log_size + shift * math.log(2.0))


@final
class Sampler:
    """Batches of samples without replacement, epoch by epoch, as margin functions."""

    def __init__(self, functions: MarginFunctions, batch: int | None, seed: int) -> None:
        samples = functions.data.n_samples
        self._batch = batch
        self._samples = samples
        self._group = functions.count // samples
        self._drawn = self._epochs(np.random.default_rng(seed))

    def next(self) -> IntArray | None:
        """Return the margin functions of the next batch; None for all of them."""
        if self._batch is None or self._batch >= self._samples:
            return None
        return next(self._drawn)

    def _epochs(self, random: np.random.Generator) -> Iterator[IntArray]:
        size = self._batch or self._samples
        while True:
            order = random.permutation(self._samples)
            for first in range(0, self._samples, size):
                rows = order[first : first + size, None] * self._group
                yield (rows + np.arange(self._group)).reshape(-1)
