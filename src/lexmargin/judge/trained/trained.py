"""Certificates of trained networks: torch modules and JAX functions (math §3)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lexmargin.data.dataset import Dataset
from lexmargin.errors import DataError, ParameterError, ShapeError, UnsupportedError
from lexmargin.inputs.arrays import array_of
from lexmargin.inputs.kinds import Exponent, checked
from lexmargin.inputs.limits import GRADIENT_BYTES, JACOBIAN_ENTRIES
from lexmargin.inputs.optional import optional
from lexmargin.judge.autodiff.scores import Scores
from lexmargin.judge.certificate import Certificate, Check
from lexmargin.judge.judge import certify_arrays
from lexmargin.judge.local.beyond_first_order import beyond_first_order
from lexmargin.judge.programs.directions import certify_direction
from lexmargin.judge.tolerances import DEFAULT, Tolerances
from lexmargin.judge.trained.modules import inside
from lexmargin.judge.trained.normalised import certify_normalised, free_blocks
from lexmargin.judge.trained.trained_degree import Degrees, measure_degrees
from lexmargin.judge.trained.trained_judge import certify_by_gram
from lexmargin.judge.trained.trained_margins import TrainedMargins
from lexmargin.judge.trained.trained_point import TrainedPoint
from lexmargin.judge.trained.trained_signs import with_sign_of_module
from lexmargin.margins import MarginFunctions

__all__ = [
    "certify_function",
    "certify_margins",
    "certify_module",
    "function_scores",
    "module_scores",
    "plain_samples",
    "scores_margins",
    "trained_margins",
]


@checked
def trained_margins(module: Any, X: Any, y: ArrayLike) -> TrainedMargins:
    """Return the margin functions of a torch module at its weights, evaluated in float64.

    Args:
        module: a `torch.nn.Module`; its parameters with ``requires_grad`` are θ.
        X: (N, …) samples as the module takes them.
        y: (N,) labels: -1/+1, 0/1 or classes 0..C-1.

    Raises:
        MissingBackendError: torch is not installed.
        DataError, ShapeError, DegreeError, UnsupportedError: as :func:`certify_module`.
    """
    return scores_margins(module_scores(module, X, y), X, y)


@checked
def certify_module(
    module: Any,
    X: Any,
    y: ArrayLike,
    *,
    degree: float | None = None,
    norm: Exponent = 2.0,
    tolerances: Tolerances = DEFAULT,
    memory: float = GRADIENT_BYTES,
) -> Certificate:
    """Judge the direction of a trained torch module: is θ/‖θ‖ stationary (Definition 3, rescaled)?

    The degree α and those of the layers are measured by Euler's identity `θ·∇f = α f`. Small
    Jacobians are formed; beyond 2e7 entries only the inner products of the support's gradients are,
    ``memory`` bytes of them at a time.

    Args:
        module: a `torch.nn.Module`, in evaluation mode where that matters; it is not changed.
        X: (N, …) samples as the module takes them.
        y: (N,) labels: -1/+1, 0/1 or classes 0..C-1.
        degree: α, to be checked; measured when None.
        norm: exponent of the ball; other than 2 only for small Jacobians.
        tolerances: what counts as equal; ``support`` is τ of `S_τ`.
        memory: bytes that gradients may take at a time.

    Returns:
        A plain network (:func:`~lexmargin.judge.autodiff.torch_network.plain_network`) whose
        gradients fit in memory is judged as that predictor of the toolkit, GLOBAL included. Any
        other module by its own derivatives, STRICT_LOCAL at best: at a kink that the margins feel
        CLARKE_KKT at best, UNDECIDED where the slopes there cannot be chosen or the distance from
        kinks cannot be measured.

    Raises:
        DegreeError: not homogeneous, with the parts that rule it out, or of another degree.
        DataError: NaN in weights or samples, bad labels, scores that are all zero.
        ShapeError: samples, labels and outputs that do not fit.
        UnsupportedError: a module that computes in single precision, or has no parameters.
        MissingBackendError: torch is not installed.
    """
    margins = trained_margins(module, X, y)
    return certify_margins(
        margins, degree, float(norm), tolerances, memory, _predictor(module, X, y, margins)
    )


@checked
def certify_function(
    f: Callable[[Any, Any], Any],
    params: Any,
    X: Any,
    y: ArrayLike,
    *,
    degree: float | None = None,
    norm: Exponent = 2.0,
    tolerances: Tolerances = DEFAULT,
    memory: float = GRADIENT_BYTES,
) -> Certificate:
    """Judge the direction of trained parameters of a JAX function, as :func:`certify_module`.

    Args:
        f: ``f(params, X)`` returns scores (N,), (N, 1) or (N, C).
        params: any tree of arrays; all of it is θ.
        X, y, degree, norm, tolerances, memory: as in :func:`certify_module`.

    Raises:
        MissingBackendError: JAX is not installed.
        DataError, ShapeError, DegreeError, UnsupportedError: as :func:`certify_module`.
    """
    margins = scores_margins(function_scores(f, params, X, y), X, y)
    return certify_margins(margins, degree, float(norm), tolerances, memory)


def module_scores(module: Any, X: Any, y: ArrayLike) -> Scores:
    """Return the scores of a torch module on samples whose labels are checked first."""
    _dataset(X, y)
    optional("torch")
    from lexmargin.judge.autodiff.torch_rows import TorchScores

    return TorchScores(inside(module), X)


def function_scores(f: Callable[[Any, Any], Any], params: Any, X: Any, y: ArrayLike) -> Scores:
    """Return the scores of a JAX function on samples whose labels are checked first."""
    _dataset(X, y)
    optional("jax")
    from lexmargin.judge.autodiff.jax_rows import JaxScores

    return JaxScores(f, params, X)


def _predictor(
    module: Any, X: Any, y: ArrayLike, margins: TrainedMargins
) -> MarginFunctions | None:
    """Return the module as a predictor of the toolkit, None where it is none of them."""
    from lexmargin.judge.autodiff.torch_network import plain_margins

    values = margins.values(margins.theta)
    if not np.all(np.isfinite(values)):
        return None
    try:
        return plain_margins(
            inside(module), plain_samples(X), plain_samples(y), margins.theta, values
        )
    except UnsupportedError:
        return None


# -- labels ----------------------------------------------------------------------------------------


def plain_samples(X: Any) -> Any:
    """Return samples or labels as a NumPy array, wherever they are."""
    try:
        if hasattr(X, "detach"):
            X = X.detach().cpu()
            # NumPy lacks torch's shorter types.
            X = (X.double() if X.is_floating_point() else X).numpy()
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise DataError(
            f"The samples or labels are no array: {error}", "Give numbers of one shape per sample."
        ) from error
    return array_of(X, "X or y")


def _dataset(X: Any, y: ArrayLike) -> Dataset:
    plain = plain_samples(X)
    if plain.ndim < 2:
        raise DataError(
            f"X has {plain.ndim} dimension(s).", "Give one sample along the first axis."
        )
    if not plain.size:
        raise DataError(f"X has the shape {plain.shape}.", "Give at least one sample.")
    return Dataset(plain.reshape(plain.shape[0], -1), plain_samples(y))


def scores_margins(scores: Scores, X: Any, y: ArrayLike) -> TrainedMargins:
    """Return the margin functions of scores: one for two classes, differences for several."""
    data = _dataset(X, y)
    outputs = scores.values(samples=np.arange(1)).shape[1]
    everyone = np.arange(data.n_samples)
    if outputs == 1 and data.is_binary:
        return TrainedMargins(scores, everyone, data.y[:, None].astype(np.float64))
    if outputs != data.n_classes or outputs == 1:
        raise ShapeError(
            f"The network has {outputs} outputs and the labels {data.n_classes} classes.",
            "Give one output for two classes, or one output per class.",
        )
    labels = (data.y + 1) // 2 if data.is_binary else data.y
    samples, others = np.nonzero(np.arange(outputs)[None, :] != labels[:, None])
    seeds = np.zeros((samples.size, outputs))
    seeds[np.arange(samples.size), labels[samples]] = 1.0
    seeds[np.arange(samples.size), others] -= 1.0
    return TrainedMargins(scores, samples, seeds)


# -- the verdict -----------------------------------------------------------------------------------


def certify_margins(
    margins: TrainedMargins,
    degree: float | None,
    norm: float,
    limits: Tolerances,
    memory: float,
    plain: MarginFunctions | None = None,
) -> Certificate:
    """Judge the direction of a network's own weights by its margins, or those of ``plain``."""
    theta, values = margins.theta, margins.values(margins.theta)
    if not np.all(np.isfinite(values)):
        raise DataError("Some scores are NaN or infinite.", "Certify a network that is finite.")
    if not (math.isfinite(memory) and memory > 0.0):
        raise ParameterError(f"memory is {memory!r}.", "Give a positive number of bytes.")
    degrees = measure_degrees(margins.scores, limits.euler, degree)
    small = margins.count * theta.size <= JACOBIAN_ENTRIES
    if small and plain is not None:
        found = certify_direction(plain, theta, degrees.total, norm, limits)
        found = with_sign_of_module(found, margins, degrees.total, plain)
        return _described(found, degrees, limits)
    if free := free_blocks(margins):
        if not small:
            raise UnsupportedError(
                f"{free[0][0]!r} is normalised, and the network too large to keep all gradients.",
                "Certify fewer samples.",
            )
        found = certify_normalised(margins, free, degrees.total, norm, limits)
        return _described(found, degrees, limits)
    if small:
        rows = margins.jacobian(theta)
        found = certify_arrays(values, rows, theta, degrees.total, norm, limits)
    elif norm != 2.0:
        raise ParameterError(
            f"Norm {norm!r} for {margins.count} gradients of {theta.size} parameters.",
            "Use norm=2, or fewer samples: only inner products of gradients fit in memory.",
        )
    else:
        found = certify_by_gram(margins, theta, degrees.total, limits, memory)
    found = with_sign_of_module(found, margins, degrees.total, plain)
    place = TrainedPoint(replace(margins, plain=plain), degrees.total, limits.kink)
    return _described(beyond_first_order(place, found), degrees, limits)


def _described(found: Certificate, degrees: Degrees, limits: Tolerances) -> Certificate:
    checks = [Check(f"F is homogeneous of degree {degrees.total:g}", degrees.error, limits.euler)]
    named = [f"{name} {'none' if k is None else f'{k:g}'}" for name, k in degrees.layers]
    return replace(
        found,
        checks=(*found.checks, *checks),
        reasons=(*found.reasons, f"degrees by layer, measured: {', '.join(named)}"),
    )
