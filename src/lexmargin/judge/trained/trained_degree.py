"""Degrees of a trained network, measured by Euler's identity (Definition 1, eq. 10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np

from lexmargin.errors import DataError, DegreeError, UnsupportedError
from lexmargin.judge.autodiff.scores import Indices, Scores
from lexmargin.judge.tolerances import CONTRADICTING
from lexmargin.linalg.norms import Array

__all__ = ["Degrees", "around", "layer_of", "measure_degrees"]

_WHOLE: Final = 1e-9
"""Distance from a whole degree that is rounding: a wrong one would contradict Euler at once."""
_SAMPLES: Final = 128
"""Samples tested at other points and scales, spread over all; at θ itself everyone is."""
# Far scales show what θ itself hides: a cap that is not reached yet, a bias beside huge samples.
# Scaling by powers of two is exact, so that distance costs no accuracy.
_FARTHEST: Final = 30.0
_BITS: Final = 240.0
"""Exponent that c^α may have, a quarter of a double's 1024: products of it must stay in range."""
_SHARED_BITS: Final = 22.0
"""Binary digits by which differences of scores may fall below what classes share: of 53, 31 are
left, more than the tolerance of Euler's identity asks for."""
_NOISE: Final = 0.3
"""Relative distance of further points at which the identity must hold too; any sizeable one
does."""
_CANDIDATES: Final = 16
"""Parameters tried as the culprit; more only make the message come later."""
_LISTED: Final = 6
"""Parameters named in the message: more would not be read."""
_STEP: Final = 1e-7
"""Length of differences of scores: between kinks, which ask for less, and rounding, for more."""
_SLOPES: Final = 16
"""Samples whose slopes are compared with differences: spread over all, as kinds may differ."""
_SLOPE_ERROR: Final = 1e-5
"""Relative error of such differences that is not their own: they have eps/1e-7, about 1e-9."""


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
    two points around θ, and `F(cθ) = c^α F(θ)` from each of them at scales c of 2^-30 and 2^30.
    What passes is *measured* to be homogeneous; predictors of the toolkit have computed degrees.

    Parameters
    ----------
    scores : the network.
    tolerance : largest relative error of the identity.
    stated : the degree that is claimed, if one is.

    Raises
    ------
    DegreeError
        for a network without a degree, with the parts that rule it out; or of another degree.
    DataError
        for scores that are all zero, and gradients that are not finite.
    UnsupportedError
        for derivatives that are not those of the scores: something on the way is detached.
    """
    everyone = np.arange(scores.count)
    few = everyone[np.unique(np.linspace(0, scores.count - 1, _SAMPLES).astype(np.intp))]
    values, product = scores.differences(), scores.slopes(scores.theta)
    if not np.any(values) and not np.any(product):
        raise DataError(
            "Every score is zero.", "Certify a network that has been trained: θ = 0 has no margin."
        )
    terms = _sizes(scores, scores.theta, few)
    if not (np.all(np.isfinite(product)) and np.all(np.isfinite(terms))):
        raise DataError(
            "Some gradients are NaN or infinite.",
            "Certify where the scores have derivatives: roots and quotients of zero have none.",
        )
    alpha = _ratio(values, product)
    typical = float(np.max(terms, initial=0.0))
    scale = np.maximum(np.maximum(np.abs(product), np.abs(alpha * values)), typical)
    points = [scores.theta, *around(scores)]
    near = [float(np.max(np.abs(product - alpha * values) / scale))]
    near += [_mismatch(scores, point, few, alpha) for point in points[1:]]
    far = [_drift(scores, point, few, alpha) for point in points]
    # Unlike max(), np.max keeps a NaN.
    error = float(np.max([*near, *far]))
    if not error <= tolerance or not alpha > 0.0:
        failing = (
            "Euler's identity θ·∇F = α F" if not np.max(near) <= tolerance else "F(cθ) = c^α F(θ)"
        )
        size = float(np.max(near if not np.max(near) <= tolerance else far))
        raise DegreeError(
            f"The network is not homogeneous (Definition 1): {failing} fails by {size:.2g} for the "
            f"best α. {_why(scores, points, few, tolerance)}",
            "lexmargin.certify_limit judges networks with biases, skip connections or smooth units "
            "against their leading part; lexmargin.Sum states homogeneous parts (eq. 10).",
        )
    _check_slopes(scores, points[1:])
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
    whole = float(np.round(ratio))
    # Adding 0 turns -0 into 0.
    return whole + 0.0 if abs(ratio - whole) <= _WHOLE * max(1.0, abs(ratio)) else ratio


def around(scores: Scores) -> list[Array]:
    """Return two points at a sizeable distance from θ, seeded."""
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
    return scores.slopes(direction, samples, theta)


def _sizes(scores: Scores, theta: Array, samples: Indices) -> Array:
    """Return `Σ_k |θ_k·∇_k F|`, the size of the terms that cancel in Euler's identity."""
    shares = [np.abs(_shares(scores, theta, samples, k)) for k in scores.slices]
    return np.asarray(np.sum(shares, axis=0))


def _mismatch(scores: Scores, theta: Array, samples: Indices, alpha: float) -> float:
    values, product = scores.differences(theta, samples), scores.slopes(theta, samples, theta)
    size = float(np.max([np.max(np.abs(values)), np.max(np.abs(product))]))
    return float(np.max(np.abs(product - alpha * values))) / size if size != 0.0 else 0.0


def _drift(scores: Scores, theta: Array, samples: Indices, alpha: float) -> float:
    """Return the largest error of `F(cθ) = c^α F(θ)` at both far scales c."""
    far = float(np.floor(min(_FARTHEST, _BITS / max(abs(alpha), 1.0)))) if alpha == alpha else 1.0
    here, found = scores.differences(theta, samples), [0.0]
    size, near = float(np.max(np.abs(here), initial=0.0)), 2.0**-far * theta
    # What classes share may stay while differences shrink, and its rounding would hide them.
    shared = float(np.max(np.abs(scores.values(near, samples)), initial=0.0))
    hidden = size > 0.0 and shared > 2.0 ** (_SHARED_BITS - alpha * far) * size
    close = np.ceil(_SHARED_BITS / max(alpha, 1.0)) if hidden else far
    for c in (2.0**-close, 2.0**far):
        wanted = c**alpha * here
        size = float(np.max(np.abs(wanted), initial=0.0))
        with np.errstate(all="ignore"):
            there = scores.differences(c * theta, samples)
            found.append(float(np.max(np.abs(there - wanted), initial=0.0)) / (size or 1.0))
    return float(np.max(found))


def _check_slopes(scores: Scores, points: list[Array]) -> None:
    """Compare `v·∇F` with differences of F at points where no kink is likely.

    Detached factors and rounding with a gradient of its own pass Euler's identity and make every
    residual one of another function; single precision in between makes it noise. A kink crossed on
    the way disturbs single samples only.
    Reverse mode must agree too: unlike forward mode it stops at no_grad blocks.
    """
    few = np.arange(scores.count)[np.unique(np.linspace(0, scores.count - 1, _SLOPES).astype(int))]
    wrong = []
    for seed, point in enumerate(points):
        way = np.random.default_rng(10 + seed).normal(size=point.size)
        way *= float(np.linalg.norm(point)) / float(np.linalg.norm(way))
        slopes = scores.slopes(way, few, point)
        ends = [scores.differences(point + sign * _STEP * way, few) for sign in (1.0, -1.0)]
        error = np.abs((ends[0] - ends[1]) / (2.0 * _STEP) - slopes)
        size = max(float(np.max(np.abs(slopes))), float(np.max(np.abs(ends))))
        wrong.append(float(np.mean(np.any(error > _SLOPE_ERROR * size, axis=1))))
        # Margins alone count: weights of the scores that see nothing of what classes share.
        seeds = np.linspace(-1.0, 1.0, slopes.shape[1]) if slopes.shape[1] > 1 else np.ones(1)
        reverse = float(scores.vjp(few, np.tile(seeds, (len(few), 1)), point) @ way)
        if abs(reverse - float(np.sum(slopes * seeds))) > _SLOPE_ERROR * size * slopes.size:
            wrong[-1] = 1.0
    if min(wrong) > CONTRADICTING:
        raise UnsupportedError(
            "The derivatives of the network are not those of its scores: differences of the scores "
            f"contradict them for {min(wrong):.0%} of the samples tried.",
            "Certify it without detached factors, straight-through estimators, no_grad blocks and "
            "casts to single precision.",
        )


def _layers(
    scores: Scores, points: list[Array], samples: Indices, tolerance: float
) -> tuple[tuple[str, float | None], ...]:
    groups: dict[str, list[int]] = {}
    for index, name in enumerate(scores.names):
        groups.setdefault(layer_of(name), []).append(index)
    found: list[tuple[str, float | None]] = []
    for layer, members in groups.items():
        degrees = []
        for point in points:
            values = scores.differences(point, samples)
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


def layer_of(name: str) -> str:
    """Return the layer of a parameter: what its name says before the last part."""
    head, dot, _ = name.rpartition(".")
    return head if dot else name


def _why(scores: Scores, points: list[Array], samples: Indices, tolerance: float) -> str:
    """Name what rules homogeneity out, as far as that can be found."""
    found = list(scores.suspects())
    point = points[1]
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
        biases = all(name.rpartition(".")[2] in ("b", "bias") for name in culprits)
        verb = "is" if len(culprits) == 1 else "are"
        if biases:
            verb = "is a bias" if len(culprits) == 1 else "are biases"
        found.append(f"{listed} {verb} of another degree than the rest")
    if found:
        return f"To blame: {'; '.join(found)}."
    without = [repr(n) for n, k in _layers(scores, points, samples, tolerance) if k is None]
    if not without:
        return "No single part was found to blame."
    listed = ", ".join(without[:_LISTED]) + (", …" if len(without) > _LISTED else "")
    return (
        f"No single part was found to blame, but F has no degree in {listed} alone: skip "
        "connections and activations that are not homogeneous do that."
    )


def _without(scores: Scores, theta: Array, blocks: list[int]) -> Array:
    found = theta.copy()
    for k in blocks:
        found[scores.slices[k]] = 0.0
    return found


def _homogeneous(scores: Scores, theta: Array, samples: Indices, tolerance: float) -> bool:
    """Tell whether one point passes what :func:`measure_degrees` asks, with some degree."""
    values, product = scores.differences(theta, samples), scores.slopes(theta, samples, theta)
    if not np.any(values):
        return False
    alpha = _ratio(values, product)
    errors = [_mismatch(scores, theta, samples, alpha), _drift(scores, theta, samples, alpha)]
    return bool(np.max(errors) <= tolerance)
