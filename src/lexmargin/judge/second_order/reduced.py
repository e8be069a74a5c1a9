"""The Hessian of the Lagrangian on the tangents of the margins that hold a point in place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from lexmargin.errors import UnsupportedError
from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.certificate import Ascent
from lexmargin.judge.second_order.vicinity import Vicinity
from lexmargin.judge.tolerances import CLEAR, STRONG
from lexmargin.linalg.nonnegative import nonnegative
from lexmargin.linalg.norms import Array

__all__ = ["Reduced", "null_space", "reduce", "strong_margins", "tangent_ascents"]

_LEFT: Final = 1e-3
"""Part of an eigenvector that the cone must leave of it: less is the rounding of what it lost."""
_SMALL: Final = 1e-150
"""Length of gradients whose squares, and those of their inverses, stay in the range of doubles."""
_RANK: Final = 1e-8
"""Relative singular value of dependent gradients: larger frees a direction too many, never too
few."""
_TRIED: Final = 3
"""Directions of negative curvature that are tried: one is enough, a third is seldom better."""
_LEVEL: Final = 1e-12
"""Slope of a margin that is level to first order: below is the rounding of the direction."""
_TIDY: Final = 1e-13
"""Entries of a unit vector below this are rounding; as exact zeros they let fractions decide."""


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Reduced:
    """`I - Σ λ_n ∇²f_n` at a point, and its spectrum on the tangents of the strong margins.

    lagrangian
        that matrix (d, d).
    held, rows
        the margins whose multipliers are clearly positive, and their gradients (h, d).
    inverse
        `J⁺` (d, h) of those gradients, on what is orthogonal to ``outside``.
    eigenvalues, vectors
        on what is orthogonal to the rows and to ``outside``: (m,), ascending, and (d, m).
    orbit, outside
        tangents of symmetries (k, d), and these with the coordinates that are held.
    """

    lagrangian: Array
    held: Indices
    rows: Array
    inverse: Array
    eigenvalues: Array
    vectors: Array
    orbit: Array
    outside: Array


def strong_margins(vicinity: Vicinity) -> Indices:
    """Return the margins of the support that carry weight beyond the error and are smallest.

    A multiplier of the size of the error may be 0 at the true point, and a margin above the
    smallest can be reached: neither holds the point in place. With a large error none does.
    """
    support = vicinity.support
    weights = vicinity.multipliers[support] * np.linalg.norm(vicinity.support_rows, axis=1)
    least = max(STRONG, CLEAR * vicinity.error) * float(np.max(weights, initial=0.0))
    tight = vicinity.limits.tight(vicinity.values)[support]
    return np.asarray(support[(weights > least) & tight])


def reduce(vicinity: Vicinity) -> Reduced | str:
    """Form the reduced Hessian at a point, or say why there is none."""
    functions, theta, support = vicinity.functions, vicinity.theta, vicinity.support
    rows = vicinity.support_rows
    doubt = units_doubt(rows)
    if doubt:
        return doubt
    if functions.jumps(theta, vicinity.multipliers, vicinity.limits.kink):
        return "the second derivative of relu^p jumps here"
    held = strong_margins(vicinity)
    if not held.size:
        return "no multiplier is clear of the error, so that no margin holds the point in place"
    try:
        hessian = functions.hessian_matrix(theta, vicinity.multipliers)
    except UnsupportedError as unsupported:
        return f"no exact second derivatives: {unsupported}"
    if not np.all(np.isfinite(hessian)):
        return "the Hessian is not finite"
    lagrangian = np.eye(theta.size) - 0.5 * (hessian + hessian.T)
    own = rows[np.searchsorted(support, held)]
    orbit = functions.tangents(theta, support)
    outside = np.vstack([orbit, functions.fixed])
    tangents, inverse = _split(own, outside)
    small = tangents.T @ lagrangian @ tangents
    eigenvalues, inner = np.linalg.eigh(0.5 * (small + small.T))
    return Reduced(
        lagrangian=lagrangian,
        held=held,
        rows=own,
        inverse=inverse,
        eigenvalues=eigenvalues,
        vectors=tangents @ inner,
        orbit=orbit,
        outside=outside,
    )


def units_doubt(rows: Array) -> str:
    """Return why gradients (S, d) cannot be squared, or an empty string."""
    largest = float(np.max(np.abs(rows), initial=0.0))
    if _SMALL < largest < 1.0 / _SMALL:
        return ""
    return (
        f"gradients of size {largest:.1e} have squares beyond double precision: give the "
        "samples in other units"
    )


def null_space(rows: Array, outside: Array) -> Array:
    """Return an orthonormal basis (d, m) of what is orthogonal to the rows and to ``outside``."""
    return _split(rows, outside)[0]


def _split(rows: Array, outside: Array) -> tuple[Array, Array]:
    """Return that basis, and the pseudo-inverse (d, h) of the rows beside ``outside``."""
    sizes = np.linalg.norm(rows, axis=1, keepdims=True)
    sizes = np.where(sizes > 0.0, sizes, 1.0)
    # Of a triangle, which is as small as the rows are few.
    orthogonal, triangle = np.linalg.qr(np.vstack([rows / sizes, outside]).T, mode="complete")
    turned, sigma, left = np.linalg.svd(triangle[: min(triangle.shape)])
    # Nearly dependent rows free a direction too many rather than too few.
    rank = int(np.count_nonzero(sigma > _RANK * sigma[0])) if sigma.size else 0
    within = orthogonal[:, : len(turned)] @ turned
    inverse = (within[:, :rank] / sigma[:rank]) @ left[:rank, : len(rows)] / sizes.T
    tangents = np.hstack([within[:, rank:], orthogonal[:, len(turned) :]])
    return tangents, np.asarray(inverse)


def tangent_ascents(vicinity: Vicinity, reduced: Reduced, zero: float) -> Iterator[Ascent]:
    """Yield directions of negative curvature along which no active margin falls.

    The tangents of all active margins first, where these bend down; then those of the strong ones,
    turned into the cone where no active margin falls (projected onto it).

    Parameters
    ----------
    zero : eigenvalues above -zero count as none.
    """
    tight = np.flatnonzero(vicinity.limits.tight(vicinity.values))
    weak = np.setdiff1d(tight, reduced.held)
    negative = reduced.vectors[:, reduced.eigenvalues < -zero][:, :_TRIED]
    if not weak.size:
        for vector in negative.T:
            yield Ascent(_tidy(vector), reduced.held, 2)
            yield Ascent(_tidy(-vector), reduced.held, 2)
        return
    rows = vicinity.rows(weak)
    sizes = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows / np.where(sizes > 0.0, sizes, 1.0)
    everyone = np.vstack([reduced.rows, rows])
    inner = null_space(everyone, reduced.outside)
    small = inner.T @ reduced.lagrangian @ inner
    lower, turned = np.linalg.eigh(0.5 * (small + small.T))
    active = np.union1d(reduced.held, weak)
    for vector in (inner @ turned[:, lower < -zero][:, :_TRIED]).T:
        yield Ascent(_tidy(vector), active, 2)
        yield Ascent(_tidy(-vector), active, 2)
    slopes = rows @ reduced.vectors
    for vector in negative.T:
        for start in (vector, -vector):
            y = reduced.vectors.T @ start
            y = y + slopes.T @ nonnegative(slopes.T, -y)
            size = float(np.linalg.norm(y))
            if not size > _LEFT:
                continue
            y = y / size
            if float(reduced.eigenvalues @ (y * y)) < -zero:
                direction = _tidy(reduced.vectors @ y)
                held = reduced.held
                # Margins that stay level to first order are held as the strong ones are.
                level = weak[np.abs(rows @ direction) <= _LEVEL]
                yield Ascent(direction, held, 2)
                if level.size:
                    yield Ascent(direction, np.union1d(held, level), 2)


def _tidy(direction: Array) -> Array:
    """Return a direction without entries of the size of rounding: zeros can be exact."""
    return np.where(np.abs(direction) > _TIDY, direction, 0.0)
