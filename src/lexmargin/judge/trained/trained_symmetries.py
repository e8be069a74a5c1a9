"""Rotations of units that leave the margins of a trained network unchanged, found by trying."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np

from lexmargin.inputs.limits import TRAINED_SYMMETRIES, TRAINED_UNITS
from lexmargin.judge.functions.symmetry import orbit_basis
from lexmargin.linalg.norms import Array

__all__ = ["rotation_tangents"]

_EQUAL: Final = 1e-9
"""Relative slope of margins along a rotation that keeps them: above rounding; then it is tried."""
_ANGLES: Final = (0.01, -0.02)
"""Angles (rad) at which a rotation must keep all scores: two, of both signs, so no accident
does."""
_SAME: Final = 1e-11
"""Relative change of scores under a true rotation: the rounding of a network, no more."""

Axes = tuple[tuple[int, int], ...]


def rotation_tangents(
    theta: Array,
    shapes: Sequence[tuple[int, ...]],
    jacobian: Array,
    values: Callable[[Array], Array],
) -> Array:
    """Return an orthonormal basis (k, d) of rotations that keep ‖θ‖ and every margin given.

    Two units turn into each other along one axis of a block (squared units of equal outer weight),
    or of two blocks at once (the incoming and the outgoing weights of identity units, or of
    positively homogeneous units that read along one ray). The structure of a module says little
    about what it computes: each rotation is kept only if the margins stay the same to rounding at
    finite angles to both sides. Positive rescaling of layers is no such symmetry: it changes ‖θ‖.

    Parameters
    ----------
    theta : (d,) the point, of length 1.
    shapes : of the parameter blocks.
    jacobian : (S, d) gradients of the margins that must not change.
    values : θ -> these margins (S,).
    """
    slices, first = [], 0
    for shape in shapes:
        size = int(np.prod(shape, dtype=np.int64))
        slices.append(slice(first, first + size))
        first += size
    largest = float(np.max(np.linalg.norm(jacobian, axis=1), initial=0.0))
    reference = values(theta)
    scale = _SAME * float(np.max(np.abs(reference), initial=0.0))
    found: list[Array] = []
    for axes in _axes(shapes):
        units = [_units(theta[slices[k]], shapes[k], axis) for k, axis in axes]
        for i, j in _steady_pairs(theta, shapes, slices, jacobian, axes, _EQUAL * largest):
            tangent = _turned(theta, shapes, slices, axes, i, j, None)
            length = float(np.linalg.norm(tangent))
            if length <= _EQUAL or all(
                np.array_equal(u[i], u[j]) and not u[i].any() for u in units
            ):
                continue
            kept = all(
                np.all(np.abs(values(_turned(theta, shapes, slices, axes, i, j, a)) - reference)
                       <= scale)
                for a in _ANGLES
            )  # fmt: skip
            if kept:
                found.append(tangent / length)
            if len(found) >= TRAINED_SYMMETRIES:
                break
    return orbit_basis(found, theta.size)


def _axes(shapes: Sequence[tuple[int, ...]]) -> Iterator[Axes]:
    """Yield one axis, or two axes of different blocks with the same number of units."""
    every = [(k, axis) for k, shape in enumerate(shapes) for axis in range(len(shape))]
    every = [one for one in every if 2 <= shapes[one[0]][one[1]] <= TRAINED_UNITS]
    for one in every:
        yield (one,)
    for position, one in enumerate(every):
        for other in every[position + 1 :]:
            if other[0] != one[0] and shapes[other[0]][other[1]] == shapes[one[0]][one[1]]:
                yield (one, other)


def _units(block: Array, shape: tuple[int, ...], axis: int) -> Array:
    """Return one row for each unit of an axis."""
    return np.moveaxis(block.reshape(shape), axis, 0).reshape(shape[axis], -1)


def _steady_pairs(
    theta: Array,
    shapes: Sequence[tuple[int, ...]],
    slices: Sequence[slice],
    jacobian: Array,
    axes: Axes,
    tolerance: float,
) -> list[tuple[int, int]]:
    """Return the pairs of units whose rotation changes no margin to first order."""
    width = shapes[axes[0][0]][axes[0][1]]
    change = np.zeros((width, width))
    for gradient in jacobian:
        total = np.zeros((width, width))
        for k, axis in axes:
            weights = _units(theta[slices[k]], shapes[k], axis)
            total += weights @ _units(gradient[slices[k]], shapes[k], axis).T
        change = np.maximum(change, np.abs(total - total.T))
    pairs = np.argwhere(np.triu(change <= tolerance, 1))
    return [(int(i), int(j)) for i, j in pairs]


def _turned(
    theta: Array,
    shapes: Sequence[tuple[int, ...]],
    slices: Sequence[slice],
    axes: Axes,
    i: int,
    j: int,
    angle: float | None,
) -> Array:
    """Return θ with units i and j turned by an angle, or the tangent of that where None."""
    c, s = (0.0, 1.0) if angle is None else (np.cos(angle), np.sin(angle))
    found = np.zeros_like(theta) if angle is None else theta.copy()
    for k, axis in axes:
        units = np.moveaxis(found[slices[k]].reshape(shapes[k]), axis, 0)
        old = np.moveaxis(theta[slices[k]].reshape(shapes[k]), axis, 0)
        units[i], units[j] = c * old[i] - s * old[j], s * old[i] + c * old[j]
    return found
