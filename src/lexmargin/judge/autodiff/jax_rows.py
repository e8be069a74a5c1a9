"""Scores and gradients of a JAX function, in float64 copies of its parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, final

import numpy as np

from lexmargin.errors import (
    DataError,
    DegreeError,
    ParameterError,
    ShapeError,
    UnsupportedError,
)
from lexmargin.judge.autodiff.jax_kinks import function_kinks, kinked_gradients
from lexmargin.judge.autodiff.scores import Indices, KinkedRows, KinkReport, Scores, displaced
from lexmargin.linalg.norms import Array

__all__ = ["JaxScores"]

_SAME: Final = 1e-9
"""Relative difference of the scores alone and together: more than a summation order explains."""


@final
class JaxScores(Scores):
    """The scores of `f(params, X)`, with all of ``params`` as θ.

    Raises
    ------
    DataError
        for parameters that are not finite real numbers.
    DegreeError
        for scores that depend on the other samples of a batch.
    ShapeError
        where f cannot read the samples, or does not return one row of scores for each.
    UnsupportedError
        for a function that computes in single precision, or that JAX cannot trace, evaluate or
        differentiate.
    ParameterError
        for an f that is no function.
    """

    def __init__(self, f: Callable[[Any, Any], Any], params: Any, X: Any) -> None:
        import jax
        import jax.experimental

        if not callable(f):
            raise ParameterError(
                f"f is a {type(f).__name__}.", "Give a function: f(params, X) returns the scores."
            )
        self._jax, self._f = jax, f
        leaves, self._tree = jax.tree_util.tree_flatten_with_path(params)
        if not leaves:
            raise UnsupportedError("params holds no arrays.", "Give the trained parameters.")
        self.names = tuple(_name(path) for path, _ in leaves)
        arrays = []
        for name, (_, leaf) in zip(self.names, leaves, strict=True):
            array = np.asarray(leaf)
            if array.dtype.kind not in "fV" or array.dtype.names:
                raise DataError(
                    f"The parameter {name!r} has entries of type {array.dtype}.",
                    "params must hold real arrays only; bind other settings into f.",
                )
            arrays.append(array.astype(np.float64))
            if not np.all(np.isfinite(arrays[-1])):
                raise DataError(
                    f"The parameter {name!r} holds NaN or infinite entries.",
                    "Certify finite weights: the training has diverged.",
                )
        self.shapes = tuple(array.shape for array in arrays)
        self.theta = np.concatenate([array.reshape(-1) for array in arrays])
        plain = np.asarray(X)
        self._X = plain if plain.dtype.kind in "iub" else plain.astype(np.float64)
        self.count = int(plain.shape[0])
        with self._computing():
            traced = jax.make_jaxpr(self._scores)(self._split(self.theta), self._X[:1])
            if _loops(traced.jaxpr):
                # JAX compiles loops anew in every pass, unless the whole function is compiled.
                self._f = jax.jit(f)
            self._steady()

    # -- one batch ---------------------------------------------------------------------------------

    def _computing(self) -> AbstractContextManager[Any]:
        # Older versions keep it among their experiments.
        home = self._jax if hasattr(self._jax, "enable_x64") else self._jax.experimental
        found: AbstractContextManager[Any] = home.enable_x64(True)
        return found

    def _at(self, theta: Array | None) -> Any:
        return self._split(self.theta if theta is None else theta)

    def _taken(self, samples: Indices) -> Any:
        return self._X[samples]

    def _values(self, at: Any, x: Any) -> Array:
        return self._numpy(self._scores(at, x))

    def _tangent(self, at: Any, along: Any, x: Any) -> Array:
        return self._numpy(self._jax.jvp(lambda p: self._scores(p, x), (at,), (along,))[1])

    def _rows(self, at: Any, x: Any, seeds: Array) -> list[Array]:
        def one(params: Any, x: Any, seed: Any) -> Any:
            return (self._scores(params, x[None])[0] * seed).sum()

        return self._leaves(self._jax.vmap(self._jax.grad(one), in_axes=(None, 0, 0))(at, x, seeds))

    def _gradient(self, at: Any, x: Any, seeds: Array) -> list[Array]:
        return self._leaves(self._jax.grad(lambda p: (self._scores(p, x) * seeds).sum())(at))

    def _products(self, at: Any, directions: Array, x: Any, seeds: Array) -> list[Array]:
        gradient = self._jax.grad(lambda p: (self._scores(p, x) * seeds).sum())
        along = self._tree_of([self._jax.numpy.asarray(part) for part in self.blocks(directions)])
        product = self._jax.vmap(lambda v: self._jax.jvp(gradient, (at,), (v,))[1])
        return self._leaves(product(along))

    # -- kinks -------------------------------------------------------------------------------------

    def kinked_rows(self, samples: Indices, seeds: Array, tolerance: float) -> KinkedRows | None:
        with self._computing():
            report = self.kinks(samples, seeds)
            found = kinked_gradients(
                self._scores,
                self._split(self.theta),
                self._X[samples],
                np.asarray(seeds),
                report,
                tolerance,
            )
        if found is None:
            return None

        def at(on: Sequence[Sequence[int]]) -> Array:
            with self._computing():
                return found.at(on)

        return KinkedRows(found.kinks, at)

    def kinks(self, samples: Indices, seeds: Array) -> KinkReport:
        with self._computing():
            return function_kinks(
                self._scores,
                self._split(self.theta),
                self._X[samples],
                np.asarray(seeds),
                [self._split(theta) for theta in displaced(self.theta)],
                self.theta.size,
            )

    def suspects(self) -> tuple[str, ...]:
        return ()

    # -- how the function is called ----------------------------------------------------------------

    def _scores(self, params: Any, x: Any) -> Any:
        try:
            scores = self._f(params, x)
        except Exception as error:
            said = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            if type(error) is TypeError and "shape" in said:
                raise ShapeError(
                    f"f cannot read samples of shape {tuple(x.shape[1:])}: {said}",
                    "Give X as f takes it, one sample along the first axis.",
                ) from error
            raise UnsupportedError(
                f"f cannot be evaluated or differentiated: {said}",
                "f(params, X) is to use JAX's own operations, with jax.numpy.where in place of if.",
            ) from error
        if getattr(scores, "ndim", 0) not in (1, 2) or scores.shape[0] != x.shape[0]:
            raise ShapeError(
                "f does not return one row of scores per sample.", "Return (N,), (N, 1) or (N, C)."
            )
        if scores.dtype != np.float64:
            raise UnsupportedError(
                f"f computes in {scores.dtype} although its parameters are float64.",
                "Remove casts from it: certificates need double precision.",
            )
        return scores.reshape(x.shape[0], -1)

    def _split(self, theta: Array) -> Any:
        with self._computing():
            blocks = self.blocks(theta[None, :])
            return self._tree_of(
                [self._jax.numpy.asarray(block[0], dtype=np.float64) for block in blocks]
            )

    def _tree_of(self, leaves: list[Any]) -> Any:
        return self._jax.tree_util.tree_unflatten(self._tree, leaves)

    def _leaves(self, tree: Any) -> list[Array]:
        return [self._numpy(leaf) for leaf in self._jax.tree_util.tree_leaves(tree)]

    def _numpy(self, array: Any) -> Array:
        return np.asarray(array, dtype=np.float64)

    def _steady(self) -> None:
        few = np.arange(min(self.count, 32))
        together = self.values(samples=few)
        alone = np.concatenate([self.values(samples=few[k : k + 1]) for k in few[:8]])
        scale = _SAME * float(np.max(np.abs(together), initial=0.0))
        if not np.all(np.abs(together[: len(alone)] - alone) <= scale):
            raise DegreeError(
                "The score of a sample depends on the other samples of its batch.",
                "Evaluate f as after training: no batch statistics.",
            )


def _name(path: Any) -> str:
    """Return the keys to a leaf, joined by points."""
    words = [getattr(k, "key", getattr(k, "idx", getattr(k, "name", k))) for k in path]
    return ".".join(str(word) for word in words) or "params"


def _loops(jaxpr: Any) -> bool:
    """Tell whether a computation has control flow of its own."""
    for equation in jaxpr.eqns:
        inner = [getattr(part, "jaxpr", part) for part in equation.params.values()]
        if equation.primitive.name in ("scan", "while", "cond") or any(
            _loops(part) for part in inner if hasattr(part, "eqns")
        ):
            return True
    return False
