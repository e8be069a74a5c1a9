"""The leading part of a trained network: its scores at a distance that hides every lower term."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from lexmargin.errors import DegreeError
from lexmargin.judge.autodiff.scores import Indices, KinkedRows, KinkReport, Scores
from lexmargin.linalg.norms import Array

__all__ = ["LeadingScores", "leading_scores"]

_FAR: Final = (60, 50, 40, 30)
"""Exponents of the distance r: terms one degree below are 2^-60 of the highest, below rounding.
Smaller ones are for deep networks, whose r^M leaves the range of doubles sooner."""
_RANGE: Final = 700
"""Largest exponent of r^M: what tests of the degree multiply it by stays below 2^1023."""
_SAMPLES: Final = 64
"""Samples whose growth is looked at, spread over all: the degree is one number for all of them."""
_WHOLE: Final = 1e-6
"""Distance from a whole degree; lower terms are much less, another growth is much more."""
_DRAWS: Final = 3
"""Replacements of a block that show a jump; one does unless it falls on the same side."""
_MOVED: Final = 1e-6
"""Relative change of the scores that is one, and relative size of derivatives that are none."""


_SAME: Final = 0.25
"""Relative difference at r/2 of what is of degree M, with lower terms; others differ by half."""


@final
@dataclass(frozen=True)
class _Places:
    """The same at r and at r/2."""

    far: Any
    near: Any


@final
class LeadingScores(Scores):
    """`F^H(x_n; θ) = F(x_n; rθ) / r^M` at one r, a power of two: exact up to terms 2^-bits below.

    What differs from the same at r/2 is nothing but such a term, and the leading part is 0 there.
    θ, its blocks and their derivatives are those of the network itself (`networks.md` §1).
    """

    def __init__(self, network: Scores, degree: int, bits: int) -> None:
        self.names, self.shapes, self.count = network.names, network.shapes, network.count
        self.theta, self._bits, self._degree = network.theta, bits, degree
        self._far = network.moved(np.ldexp(network.theta, bits))

    def _share(self, order: int, bits: int | None = None) -> float:
        """Return `r^{order-M}`, the factor of derivatives of an order by θ."""
        return 2.0 ** ((self._bits if bits is None else bits) * (order - self._degree))

    def _leading(self, order: int, measured: Callable[[Any], Array], at: _Places) -> Array:
        far = measured(at.far) * self._share(order)
        near = measured(at.near) * self._share(order, self._bits - 1)
        return np.where(np.abs(far - near) <= _SAME * np.abs(far), far, 0.0)

    def _leading_blocks(
        self, order: int, measured: Callable[[Any], list[Array]], at: _Places
    ) -> list[Array]:
        far, near = measured(at.far), measured(at.near)
        pairs = zip(far, near, strict=True)
        return [
            self._leading(order, lambda part: part, _Places(one, other)) for one, other in pairs
        ]

    def moved(self, theta: Array) -> LeadingScores:
        found = super().moved(theta)
        found._far = self._far.moved(np.ldexp(theta, self._bits))
        return found

    def _computing(self) -> AbstractContextManager[Any]:
        return self._far._computing()

    def _at(self, theta: Array | None) -> _Places:
        at = self.theta if theta is None else theta
        bits = self._bits
        return _Places(*(self._far._at(np.ldexp(at, b)) for b in (bits, bits - 1)))

    def _taken(self, samples: Indices) -> Any:
        return self._far._taken(samples)

    def _values(self, at: _Places, x: Any) -> Array:
        return self._leading(0, lambda place: self._far._values(place, x), at)

    def _tangent(self, at: _Places, along: _Places, x: Any) -> Array:
        # The direction is scaled by r as a point is.
        pairs = _Places((at.far, along.far), (at.near, along.near))
        return self._leading(0, lambda pair: self._far._tangent(pair[0], pair[1], x), pairs)

    def _rows(self, at: _Places, x: Any, seeds: Array) -> list[Array]:
        return self._leading_blocks(1, lambda place: self._far._rows(place, x, seeds), at)

    def _gradient(self, at: _Places, x: Any, seeds: Array) -> list[Array]:
        return self._leading_blocks(1, lambda place: self._far._gradient(place, x, seeds), at)

    def _products(self, at: _Places, directions: Array, x: Any, seeds: Array) -> list[Array]:
        return self._leading_blocks(
            2, lambda place: self._far._products(place, directions, x, seeds), at
        )

    def kinked_rows(self, samples: Indices, seeds: Array, tolerance: float) -> KinkedRows | None:
        found = self._far.kinked_rows(samples, seeds, tolerance)
        if found is None:
            return None
        return KinkedRows(found.kinks, lambda on: found.at(on) * self._share(1))

    def kinks(self, samples: Indices, seeds: Array) -> KinkReport:
        return self._far.kinks(samples, seeds)

    def suspects(self) -> tuple[str, ...]:
        return self._far.suspects()


def leading_scores(network: Scores) -> tuple[LeadingScores, int]:
    """Return the leading part of a network and its degree M.

    `M = log2 (‖F(2rθ)‖ / ‖F(rθ)‖)` at a large r.

    Raises:
        DegreeError: the scores grow with no whole power of ‖θ‖, or stay bounded; or their leading
            part jumps: tanh, sigmoid and softmax become signs and choices of the largest.
    """
    for bits in _FAR:
        degree = _growth(network, bits)
        if degree is not None and degree * bits <= _RANGE:
            break
    else:
        raise DegreeError(
            "The scores leave the range of double precision before lower terms can be told from "
            "the highest.",
            "A network of fewer layers, or with a degree of its own, can be certified.",
        )
    if degree < 0.5:
        raise DegreeError(
            "The scores stay bounded when θ grows: they have no leading part.",
            "Certify the scores before a last softmax, sigmoid or normalisation.",
        )
    if abs(degree - round(degree)) > _WHOLE:
        raise DegreeError(
            f"The scores grow like ‖θ‖^{degree:.4g}, and not with a whole power.",
            "Networks of (leaky) ReLU, GELU, SiLU and softplus units grow with one.",
        )
    found = LeadingScores(network, round(degree), bits)
    _check_jumps(found)
    return found, round(degree)


def _growth(network: Scores, bits: int) -> float | None:
    """Return log2 of the growth of the scores from rθ to 2rθ; None beyond the range of doubles."""
    few = _few(network)
    with np.errstate(all="ignore"):
        near, far = (network.differences(np.ldexp(network.theta, b), few) for b in (bits, bits + 1))
        sizes = [float(np.max(np.abs(one), initial=0.0)) for one in (near, far)]
    if not np.all(np.isfinite(sizes)):
        return None
    return float(np.log2(sizes[1] / sizes[0])) if sizes[0] > 0.0 < sizes[1] else 0.0


def _few(scores: Scores) -> Indices:
    return np.unique(np.linspace(0, scores.count - 1, _SAMPLES).astype(np.intp))


def _check_jumps(scores: LeadingScores) -> None:
    """Refuse a leading part that is constant on both sides of a jump.

    Such a part has no derivative by the block that it jumps in, as a parameter that left the
    leading part has none; but the scores of other values of the block differ.
    """
    few, jumping = _few(scores), []
    here = scores.differences(samples=few)
    size = float(np.max(np.abs(here), initial=0.0))
    for name, place in zip(scores.names, scores.slices, strict=True):
        draw = np.random.default_rng(0)
        length = float(np.linalg.norm(scores.theta[place]))
        points = [scores.theta]
        for _ in range(_DRAWS):
            point, block = scores.theta.copy(), draw.standard_normal(place.stop - place.start)
            point[place] = block * (length / float(np.linalg.norm(block)))
            points.append(point)
        if all(_still(scores, point, place, few, size) for point in points) and any(
            np.max(np.abs(scores.differences(point, few) - here)) > _MOVED * size
            for point in points[1:]
        ):
            jumping.append(name)
    if jumping:
        listed = ", ".join(repr(name) for name in jumping)
        raise DegreeError(
            f"The leading part jumps as {listed} {'moves' if len(jumping) == 1 else 'move'}: in "
            "the limit tanh and sigmoid are signs, and softmax chooses the largest.",
            "No max-margin problem is the limit of such a network; use ReLU, GELU, SiLU or "
            "softplus units.",
        )


def _still(scores: Scores, point: Array, place: slice, few: Indices, size: float) -> bool:
    """Tell whether the scores have no derivative by a block at a point."""
    way = np.zeros_like(point)
    way[place] = np.random.default_rng(1).standard_normal(place.stop - place.start)
    way[place] *= float(np.linalg.norm(point[place])) / float(np.linalg.norm(way[place]))
    slopes = scores.slopes(way, few, point)
    return float(np.max(np.abs(slopes), initial=0.0)) <= _MOVED * size
