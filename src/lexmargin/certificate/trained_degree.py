"""Degrees of a trained network, measured by Euler's identity (Definition 1, eq. 10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np

from lexmargin.certificate.norms import Array
from lexmargin.certificate.scores import Indices, Scores
from lexmargin.errors import DataError, DegreeError

__all__ = ["Degrees", "measure_degrees"]

_FEW: Final = 128
_SCALES: Final = (0.25, 4.0)
_NOISE: Final = 0.3
_CANDIDATES: Final = 16


@final
@dataclass(frozen=True)
class Degrees:
    """The degree α of a network in all of θ, and α_k of each layer by itself, None without one.

    error
        largest `|θ·∇F - α F|` on the scale of its own terms, over every point that was tried.
    """

    total: float
    layers: tuple[tuple[str, float | None], ...]
    error: float


def measure_degrees(scores: Scores, tolerance: float, stated: float | None = None) -> Degrees:
    """Find α with `θ·∇F(x_n) = α F(x_n)` for all samples, or say what rules one out.

    One point proves nothing: biases that are still zero pass it. So the identity is also tried at
    two points around θ, and `F(cθ) = c^α F(θ)` at two scales. What passes is *measured* to be
    homogeneous; predictors of the toolkit have computed degrees instead.

    Parameters
    ----------
    scores : the network.
    tolerance : largest relative error of the identity.
    stated : the degree that is claimed, if one is.

    Raises
    ------
    DegreeError
        for a network without a degree, with the parts that rule it out; or of another degree.
    """
    everyone = np.arange(scores.count)
    few = everyone[np.unique(np.linspace(0, scores.count - 1, _FEW).astype(np.intp))]
    terms = _sizes(scores, scores.theta, few)
    values, product = scores.values(), scores.tangent(scores.theta)
    if not np.any(values) and not np.any(product):
        raise DataError(
            "Every score is zero.", "Certify a network that has been trained: θ = 0 has no margin."
        )
    alpha = _ratio(values, product)
    typical = float(np.max(terms, initial=0.0))
    scale = np.maximum(np.maximum(np.abs(product), np.abs(alpha * values)), typical)
    error = float(np.max(np.abs(product - alpha * values) / scale))
    points = [scores.theta, *_around(scores)]
    for point in points[1:]:
        error = max(error, _mismatch(scores, point, few, alpha))
    for c in _SCALES:
        here, there = scores.values(samples=few), scores.values(c * scores.theta, few)
        wanted = c**alpha * here
        size = float(np.max(np.abs(wanted), initial=0.0))
        error = max(error, float(np.max(np.abs(there - wanted), initial=0.0)) / (size or 1.0))
    if not error <= tolerance or not alpha > 0.0:
        raise DegreeError(
            "The network is not homogeneous (Definition 1): Euler's identity θ·∇F = α F, or "
            f"F(cθ) = c^α F(θ), fails by {error:.2g} for the best α. "
            f"{_why(scores, few, tolerance)}",
            "Remove them, or state the sum of homogeneous parts with lexmargin.Sum (eq. 10).",
        )
    if stated is not None and not abs(stated - alpha) <= tolerance * alpha:
        raise DegreeError(
            f"The network has degree {alpha:.6g}, not {stated!r}.",
            "Leave degree out: it is measured.",
        )
    return Degrees(alpha, _layers(scores, points, few, tolerance), error)


def _ratio(values: Array, product: Array) -> float:
    size = float(np.max(np.abs(values), initial=0.0))
    if size == 0.0:
        return float("nan")
    ratio = float(np.sum((values / size) * (product / size)) / np.sum((values / size) ** 2))
    # Layers have whole degrees as a rule; the ratio carries rounding.
    return round(ratio) * 1.0 if abs(ratio - round(ratio)) <= 1e-9 * abs(ratio) else ratio


def _around(scores: Scores) -> list[Array]:
    found = []
    spread = _NOISE * float(np.linalg.norm(scores.theta)) / np.sqrt(scores.theta.size)
    for seed in (0, 1):
        noise = np.random.default_rng(seed).normal(size=scores.theta.size)
        found.append(scores.theta + spread * noise)
    return found


def _shares(scores: Scores, theta: Array, samples: Indices, place: slice) -> Array:
    """Return `θ_k·∇_k F`, (S, C), for one block."""
    direction = np.zeros_like(theta)
    direction[place] = theta[place]
    return scores.tangent(direction, samples, theta)


def _sizes(scores: Scores, theta: Array, samples: Indices) -> Array:
    """Return `Σ_k |θ_k·∇_k F|`, the size of the terms that cancel in Euler's identity."""
    shares = [np.abs(_shares(scores, theta, samples, k)) for k in scores.slices]
    return np.asarray(np.sum(shares, axis=0))


def _mismatch(scores: Scores, theta: Array, samples: Indices, alpha: float) -> float:
    values, product = scores.values(theta, samples), scores.tangent(theta, samples, theta)
    size = max(float(np.max(np.abs(values))), float(np.max(np.abs(product))))
    return float(np.max(np.abs(product - alpha * values))) / size if size > 0.0 else 0.0


def _layers(
    scores: Scores, points: list[Array], samples: Indices, tolerance: float
) -> tuple[tuple[str, float | None], ...]:
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(scores.names):
        groups.setdefault(_layer(name), []).append(index)
    found: list[tuple[str, float | None]] = []
    for layer, members in groups.items():
        degrees = []
        for point in points:
            values = scores.values(point, samples)
            parts = [_shares(scores, point, samples, scores.slices[k]) for k in members]
            product = np.sum(parts, axis=0)
            ratio = _ratio(values, product)
            size = float(np.max(np.abs(values), initial=0.0))
            good = np.max(np.abs(product - ratio * values)) <= tolerance * size
            degrees.append(ratio if good else None)
        known = [d for d in degrees if d is not None]
        same = len(known) == len(degrees) and max(known) - min(known) <= tolerance
        found.append((layer, known[0] if same else None))
    return tuple(found)


def _layer(name: str) -> str:
    """Return the layer of a parameter: what its name says before the last part."""
    head, dot, _ = name.rpartition(".")
    return head if dot else name


def _why(scores: Scores, samples: Indices, tolerance: float) -> str:
    """Name what rules homogeneity out, as far as that can be found."""
    found = list(scores.suspects())
    point = _around(scores)[0]
    flat = [k for k, shape in enumerate(scores.shapes) if len(shape) <= 1]
    culprits = []
    if _homogeneous(scores, _without(scores, point, flat), samples, tolerance):
        for k in flat[:_CANDIDATES]:
            others = [j for j in flat if j != k]
            alone = _without(scores, point, others)
            if np.any(alone[scores.slices[k]]) and not _homogeneous(
                scores, alone, samples, tolerance
            ):
                culprits.append(scores.names[k])
    if culprits:
        listed = ", ".join(repr(name) for name in culprits)
        verb = "is a bias" if len(culprits) == 1 else "are biases"
        found.append(f"{listed} {verb} of another degree than the rest")
    if not found:
        return "No single part was found to blame: skip connections and exotic layers can be."
    return f"To blame: {'; '.join(found)}."


def _without(scores: Scores, theta: Array, blocks: list[int]) -> Array:
    found = theta.copy()
    for k in blocks:
        found[scores.slices[k]] = 0.0
    return found


def _homogeneous(scores: Scores, theta: Array, samples: Indices, tolerance: float) -> bool:
    """Tell whether Euler's identity holds at one point with some degree and scores that differ."""
    values, product = scores.values(theta, samples), scores.tangent(theta, samples, theta)
    if not np.any(values):
        return False
    alpha = _ratio(values, product)
    return float(np.max(np.abs(product - alpha * values))) <= tolerance * float(
        np.max(np.abs(values))
    )
