"""Margin functions f_n of a predictor on data (math.md §1): values, gradients, degrees.

Two classes: ``f_n(θ) = y_n F(x_n; θ)``. C classes: the N(C-1) differences
``f_{n,c} = F_{y_n}(x_n) - F_c(x_n)``, sample by sample, wrong classes in ascending order.
"""

from __future__ import annotations

import functools
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

import numpy as np
from numpy.typing import ArrayLike

from lexmargin.data.dataset import Dataset
from lexmargin.errors import DataError, ParameterError, ShapeError, shown
from lexmargin.inputs.arrays import real_array
from lexmargin.inputs.limits import KEPT_ENTRIES
from lexmargin.losses import Loss, SampleLoss
from lexmargin.ops.base import FloatArray, IntArray, Ops
from lexmargin.ops.curvature import Curvature
from lexmargin.ops.degree import Homogeneity
from lexmargin.ops.jacobian import JacobianOps, Node, Recording
from lexmargin.ops.numpy import NumpyOps
from lexmargin.predictors.base import Predictor, Shape
from lexmargin.predictors.bias import Bias, BiasForm
from lexmargin.predictors.linear import Linear
from lexmargin.predictors.sums import Member, Sum

if TYPE_CHECKING:
    from lexmargin.ops.hessian import SecondDerivatives

__all__ = ["MarginFunctions", "Margins"]

T = TypeVar("T")

_KEPT_POINTS: Final = 4
"""Points whose evaluation is kept: a certificate's own, the two sides of a difference beside it,
and a step from it; with fewer the first would be evaluated again."""


class Margins(ABC):
    """Margin functions f_n that one can evaluate: of a predictor, of a trained network, and others.

    θ and directions are flat (d,); ``indices`` name margin functions; weights are one number per
    margin function.
    """

    size: int
    """d."""
    count: int
    """N, the number of margin functions."""
    weights: FloatArray | None = None
    """Those of the samples in a loss (N,); None for 1."""

    @abstractmethod
    def values(self, theta: FloatArray) -> FloatArray:
        """Return f(θ) (N,)."""

    @abstractmethod
    def rows(self, theta: FloatArray, indices: IntArray) -> FloatArray:
        """Return the rows ∇f_n(θ) (S, d)."""

    @abstractmethod
    def vjp(self, theta: FloatArray, weights: FloatArray) -> FloatArray:
        """Return ``Σ_n weights_n ∇f_n(θ)`` (d,)."""

    @abstractmethod
    def hessian_products(
        self, theta: FloatArray, weights: FloatArray, directions: FloatArray
    ) -> FloatArray:
        """Return ``Σ_n weights_n ∇²f_n(θ) v`` for every row v of ``directions`` (m, d)."""

    def hessian_matrix(self, theta: FloatArray, weights: FloatArray) -> FloatArray:
        """Return ``Σ_n weights_n ∇²f_n(θ)`` (d, d)."""
        return self.hessian_products(theta, weights, np.eye(self.size))

    def jacobian(self, theta: FloatArray) -> FloatArray:
        """Return the rows ∇f_n(θ) of all (N, d)."""
        return self.rows(theta, np.arange(self.count))

    def jvp(self, theta: FloatArray, direction: FloatArray, indices: IntArray) -> FloatArray:
        """Return ``∇f_n(θ)·direction`` (S,)."""
        return np.asarray(self.rows(theta, indices) @ direction)

    def value_and_vjp(
        self, theta: FloatArray
    ) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
        """Return f(θ) and the map ``weights -> Σ_n weights_n ∇f_n(θ)``."""
        return self.values(theta), lambda weights: self.vjp(theta, weights)


@final
@dataclass(frozen=True)
class MarginFunctions(Margins):
    """The functions ``f_n(θ) / unit`` of one predictor on one data set.

    ``unit`` (a power of two) only changes the scale they are measured in; 1 gives eq. 1's f_n.
    """

    predictor: Predictor
    data: Dataset
    unit: float = 1.0

    def __post_init__(self) -> None:
        outputs, classes = self.predictor.outputs, self.data.n_classes
        if outputs == 1 and classes > 2:
            raise ParameterError(
                f"The data have {classes} classes and the predictor one output.",
                f"Give the predictor outputs={classes}, or make the labels -1 and +1.",
            )
        if outputs > 1 and outputs != max(classes, 2):
            raise ParameterError(
                f"The predictor has {outputs} outputs and the data {classes} classes.",
                "Make them equal.",
            )
        self.shapes  # noqa: B018  a predictor that cannot read these features says so now
        if self.data.is_sparse and not self.predictor.reads_sparse:
            self.data.X  # noqa: B018  says what sparse samples are for

    @functools.cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Shapes of the parameter blocks."""
        return self.predictor.shapes(self.data.n_features)

    @functools.cached_property
    def size(self) -> int:  # type: ignore[override]  # frozen
        """d, the number of parameters in all blocks together."""
        return sum(math.prod(shape) for shape in self.shapes)

    @functools.cached_property
    def _slices(self) -> tuple[tuple[int, int, Shape], ...]:
        ends = [0, *itertools.accumulate(math.prod(shape) for shape in self.shapes)]
        return tuple(zip(ends[:-1], ends[1:], self.shapes, strict=True))

    @property
    def multi_class(self) -> bool:
        """True when margins are differences of class scores."""
        return self.predictor.outputs > 1

    @functools.cached_property
    def count(self) -> int:  # type: ignore[override]  # frozen
        """Number of margin functions: N, or N(C-1)."""
        return self.data.n_samples * (self.predictor.outputs - 1 if self.multi_class else 1)

    @functools.cached_property
    def weights(self) -> FloatArray | None:  # type: ignore[override]  # frozen
        """The weights w_n in a loss, one per margin function; None for 1."""
        found = self.data.weights
        return None if found is None else np.repeat(found, self.count // self.data.n_samples)

    def loss(self, kind: Loss) -> SampleLoss:
        """Return L of the data, with the weights of its samples."""
        logs = None if self.weights is None else np.log(self.weights)
        return SampleLoss(kind, max(2, self.predictor.outputs), logs)

    @functools.cached_property
    def homogeneity(self) -> Homogeneity:
        """The computed degrees of the predictor (Definition 1, eq. 10)."""
        return self.predictor.homogeneity(self.data.n_features)

    @functools.cached_property
    def curvature(self) -> Curvature:
        """Curvature of every f_n: scores that are only concave stay so for signed inputs alone."""
        scores = self.predictor.curvature(self.data.n_features)
        if scores is Curvature.CONCAVE and not self.predictor.signed_inputs:
            return Curvature.UNKNOWN
        return scores

    @property
    def linear(self) -> bool:
        """Whether ``f_n(θ) = θ·z_n``."""
        return self.curvature is Curvature.AFFINE and self.homogeneity.degree == 1.0

    @functools.cached_property
    def _features(self) -> Any:
        """Return the inputs of the predictor, dense or sparse."""
        if self.predictor.signed_inputs:
            return self.data.signed[:, None] * self.data.X
        return self.data.samples

    @functools.cached_property
    def _signs(self) -> FloatArray:
        if self.predictor.signed_inputs:
            return np.full(self.data.n_samples, 1.0 / self.unit)
        return np.asarray(self.data.signed / self.unit, dtype=np.float64)

    @functools.cached_property
    def pairs(self) -> tuple[IntArray, IntArray, IntArray]:
        """Sample, own class and other class of every margin of several scores."""
        n, c = self.data.n_samples, self.predictor.outputs
        labels = self.data.y if self.data.y.min() >= 0 else (self.data.y + 1) // 2
        rows, others = np.nonzero(np.arange(c)[None, :] != labels[:, None])
        if rows.size != n * (c - 1):
            raise DataError(
                f"A label is none of the {c} classes of the predictor.", f"Use 0, …, {c - 1}."
            )
        return rows.astype(np.int64), labels[rows].astype(np.int64), others.astype(np.int64)

    def evaluate(self, ops: Ops[T], blocks: Sequence[T]) -> T:
        """Return all margin functions, ``(count,)``, in the target's arrays."""
        inputs = self._features if ops.reads_sparse else self.features
        scores = self.predictor(ops, blocks, ops.constant(inputs))
        if not self.multi_class:
            return ops.multiply(scores, ops.constant(self._signs))
        rows, own, other = self.pairs
        difference = ops.add(
            ops.gather(scores, rows, own), ops.scale(ops.gather(scores, rows, other), -1.0)
        )
        return difference if self.unit == 1.0 else ops.scale(difference, 1.0 / self.unit)

    def blocks(self, theta: FloatArray) -> tuple[FloatArray, ...]:
        """Return the blocks of a flat parameter vector ``(d,)``.

        Raises :class:`~lexmargin.errors.ShapeError` when its length is not d.
        """
        theta = np.asarray(theta, dtype=np.float64)
        if theta.shape != (self.size,):
            raise ShapeError(
                f"θ has shape {theta.shape}, the predictor has {self.size} parameters.",
                f"Give the blocks of shapes {list(self.shapes)}, flattened in this order.",
            )
        return tuple(theta[a:b].reshape(s) for a, b, s in self._slices)

    def flatten(self, blocks: Sequence[FloatArray]) -> FloatArray:
        """Return the flat parameter vector of blocks, checking every shape."""
        found = [np.shape(block) for block in blocks]
        if found != list(self.shapes):
            raise ShapeError(
                f"θ has blocks of shapes {found}, the predictor needs {list(self.shapes)}.",
                "Give one array per block, in this order.",
            )
        return np.concatenate([np.asarray(b, dtype=np.float64).reshape(-1) for b in blocks])

    def point(self, theta: ArrayLike | Sequence[ArrayLike]) -> FloatArray:
        """Return θ flat, ``(d,)``, as users give it: a flat vector, or one array per block.

        Raises :class:`~lexmargin.errors.ShapeError` where it does not fit the predictor, and
        :class:`~lexmargin.errors.DataError` where it is not finite.
        """
        if _is_flat(theta):
            flat = real_array(theta, "θ")
            self.blocks(flat)
        elif isinstance(theta, (Sequence, np.ndarray)) and not isinstance(theta, (str, bytes)):
            flat = self.flatten(
                [real_array(block, f"block {k} of θ") for k, block in enumerate(theta)]
            )
        else:
            raise ShapeError(
                f"θ is {shown(theta)}.",
                f"Give the blocks of shapes {list(self.shapes)}, or all of them flattened.",
            )
        if not np.all(np.isfinite(flat)):
            raise DataError("θ contains NaN or infinite entries.", "Give a finite point.")
        return flat

    def values(self, theta: FloatArray) -> FloatArray:
        """Return ``f(θ)``, ``(count,)``: of what is kept, where gradients were asked for at θ."""
        if self._kept_at(theta) is not None:
            return self.value_and_vjp(theta)[0]
        with np.errstate(invalid="ignore", divide="ignore"):
            result = self.evaluate(NumpyOps(), self.blocks(theta))
        return np.asarray(result, dtype=np.float64)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_kept"}

    def record(self, theta: FloatArray) -> Recording:
        """Return the parameters, the scores and the rectifiers at θ; those of some θ are kept."""
        found = self._kept_at(theta)
        if found is not None:
            return found
        # Of a copy: what is given may be changed in place.
        own = np.array(theta, dtype=np.float64)
        parameters = tuple(map(JacobianOps.parameter, self.blocks(own)))
        ops = JacobianOps()
        with np.errstate(invalid="ignore", divide="ignore"):
            scores = self.predictor(ops, parameters, ops.constant(self.features))
        found = Recording(parameters, scores, tuple(ops.rectified))
        most = min(_KEPT_POINTS, KEPT_ENTRIES // (self.count * self.size))
        vars(self)["_kept"] = ((own.tobytes(), found), *vars(self).get("_kept", ()))[:most]
        return found

    def _kept_at(self, theta: FloatArray) -> Recording | None:
        kept: tuple[tuple[bytes, Recording], ...] = vars(self).get("_kept", ())
        key = np.asarray(theta, dtype=np.float64).tobytes() if kept else b""
        for entry in kept:
            if entry[0] == key:
                # What is asked for again is what stays.
                vars(self)["_kept"] = (entry, *(other for other in kept if other is not entry))
                return entry[1]
        return None

    def jacobian(self, theta: FloatArray) -> FloatArray:
        """Return the rows ``∇f_n(θ)``, ``(count, d)``; 0 is taken as the slope of relu at 0."""
        kept = self.record(theta)
        parameters, scores = kept.parameters, kept.scores
        if not self.multi_class:
            return self._rows(scores, self._signs, parameters)
        n, classes = self.data.n_samples, self.predictor.outputs
        per_class = []
        for c in range(classes):
            seed = np.zeros((n, classes))
            seed[:, c] = 1.0 / self.unit
            per_class.append(self._rows(scores, seed, parameters))
        gradients = np.stack(per_class, axis=1)
        rows, own, other = self.pairs
        return np.asarray(gradients[rows, own] - gradients[rows, other])

    def rows(self, theta: FloatArray, indices: IntArray) -> FloatArray:
        """Return the rows ``∇f_n(θ)`` of some margin functions, ``(S, d)``."""
        return np.asarray(self.jacobian(theta)[indices])

    def _rows(self, scores: Node, seed: FloatArray, parameters: Sequence[Node]) -> FloatArray:
        parts = JacobianOps.pull_back(scores, seed, parameters, reduce=False)
        return np.concatenate([part.reshape(self.data.n_samples, -1) for part in parts], axis=1)

    @property
    def features(self) -> FloatArray:
        """The inputs of the predictor, ``(N, p)``: X, or y_n x_n where it reads signed inputs.

        Raises :class:`~lexmargin.errors.UnsupportedError` for sparse samples.
        """
        dense: FloatArray = self.data.X if self.data.is_sparse else self._features
        return dense

    @functools.cached_property
    def linear_inputs(self) -> Any | None:
        """The rows x̃_n with ``f_n(θ) = y_n x̃_n·θ / unit``, ``(N, d)``, or None.

        The samples as they are stored, dense or sparse, for a linear score; with a column of ones
        for each plain bias beside it. None for other predictors.
        """
        members: Sequence[Member] = (Member(self.predictor),)
        if isinstance(self.predictor, Sum):
            members = self.predictor.members
        parts: list[Any] = []
        for member in members:
            kind = member.predictor
            if isinstance(kind, Linear) and kind.outputs == 1 and member.columns is None:
                parts.append(self.data.samples)
            elif isinstance(kind, Bias) and kind.form is BiasForm.PLAIN and kind.outputs == 1:
                parts.append(np.ones((self.data.n_samples, 1)))
            else:
                return None
        if len(parts) == 1:
            return parts[0]
        if not self.data.is_sparse:
            return np.hstack(parts)
        from scipy import sparse

        return sparse.hstack(parts, format="csr")

    @property
    def signs(self) -> FloatArray:
        """What turns the score of a sample into f_n, ``(N,)``; two classes only."""
        return self._signs

    def score_weights(self, weights: FloatArray) -> FloatArray:
        """Return v, ``(N,)`` or ``(N, C)``, with ``Σ v F = Σ_n weights_n f_n``."""
        if not self.multi_class:
            return np.asarray(self._signs * weights)
        rows, own, other = self.pairs
        seed = np.zeros((self.data.n_samples, self.predictor.outputs))
        np.add.at(seed, (rows, own), weights / self.unit)
        np.add.at(seed, (rows, other), -weights / self.unit)
        return seed

    def value_and_vjp(
        self, theta: FloatArray
    ) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
        """Return ``f(θ)`` and the map ``weights -> Σ_n weights_n ∇f_n(θ)``, in one evaluation."""
        kept = self.record(theta)
        parameters, scores = kept.parameters, kept.scores
        if self.multi_class:
            rows, own, other = self.pairs
            with np.errstate(invalid="ignore"):
                f = (scores.value[rows, own] - scores.value[rows, other]) / self.unit
        else:
            f = scores.value * self._signs

        def pull(weights: FloatArray) -> FloatArray:
            seed = self.score_weights(weights)
            parts = JacobianOps.pull_back(scores, seed, parameters, reduce=True)
            return np.concatenate([part.reshape(-1) for part in parts])

        return f, pull

    def vjp(self, theta: FloatArray, weights: FloatArray) -> FloatArray:
        """Return ``Σ_n weights_n ∇f_n(θ)``, ``(d,)``, without forming the rows."""
        return self.value_and_vjp(theta)[1](weights)

    def hessian_products(
        self, theta: FloatArray, weights: FloatArray, directions: FloatArray
    ) -> FloatArray:
        """Return ``Σ_n weights_n ∇²f_n(θ) v`` for every row v of ``directions`` (m, d), exactly.

        Raises :class:`~lexmargin.errors.UnsupportedError` for operations without a CasADi form.
        """
        samples = self._weighted_samples(weights)
        if not samples or not directions.size:
            return np.zeros(directions.shape)
        scores = self.score_weights(weights)[list(samples)].reshape(len(samples), -1)
        return _second_derivatives(self, samples).products(theta, scores, directions)

    def hessian_matrix(self, theta: FloatArray, weights: FloatArray) -> FloatArray:
        """Return ``Σ_n weights_n ∇²f_n(θ)`` (d, d), exactly; raises as ``hessian_products``."""
        samples = self._weighted_samples(weights)
        if not samples:
            return np.zeros((self.size, self.size))
        scores = self.score_weights(weights)[list(samples)].reshape(len(samples), -1)
        return _second_derivatives(self, samples).matrix(theta, scores)

    @functools.cached_property
    def hessian_colours(self) -> int:
        """How many products ``hessian_matrix`` takes."""
        return _second_derivatives(self, (0,)).colours

    def _weighted_samples(self, weights: FloatArray) -> tuple[int, ...]:
        per_sample = self.count // self.data.n_samples
        return tuple(np.unique(np.flatnonzero(weights) // per_sample).tolist())

    def pre_activations(self, theta: FloatArray) -> list[FloatArray]:
        """Return the arguments of every power-1 ReLU, one ``(N, width)`` array per layer."""
        return [one.argument.value.copy() for one in self.record(theta).kinked]


@functools.lru_cache(maxsize=16)
def _second_derivatives(functions: MarginFunctions, samples: tuple[int, ...]) -> SecondDerivatives:
    # CasADi is imported where second derivatives are asked for.
    from lexmargin.ops.hessian import SecondDerivatives

    outputs = functions.predictor.outputs if functions.multi_class else 1
    features = functions.features[list(samples)]
    return SecondDerivatives(functions.predictor, functions.shapes, features, outputs)


def _is_flat(theta: Any) -> bool:
    """Tell a flat vector, or what is no sequence at all, from a sequence of blocks."""
    if isinstance(theta, np.ndarray):
        return theta.ndim < 2
    if not isinstance(theta, Sequence) or isinstance(theta, (str, bytes)):
        # A tensor or a data frame: NumPy knows what it is.
        return hasattr(theta, "__array__") or hasattr(theta, "toarray")
    try:
        return all(np.ndim(entry) == 0 for entry in theta)
    except Exception:  # ragged inside, or foreign code
        return False
