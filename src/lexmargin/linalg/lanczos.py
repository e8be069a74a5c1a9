"""The smallest eigenvalue of a symmetric operator on a subspace, from products alone."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from lexmargin.linalg.guarded import pivoted_qr, smallest_eigenvector
from lexmargin.linalg.norms import Array

__all__ = ["smallest_on_tangents"]

_RESTARTS = 10
"""Restarts at most: a spectrum that needs more is too crowded for a rough eigenvalue."""
_BASIS = 40
"""Vectors kept, each of the size of θ: fewer restart more often, more take the memory."""
_TOLERANCE = 1e-2
"""Relative error asked for: only the sign is used, and it is measured at the vector found."""


def smallest_on_tangents(product: Callable[[Array], Array], rows: Array) -> tuple[float, Array]:
    """Return the least Rayleigh quotient met, and its unit vector (d,), on a space of tangents.

    An upper bound on the smallest eigenvalue and nothing more: the start is one random vector
    (seeded), and the number of products is limited; NaN where that was not enough. The quotient is
    measured on the vector that is returned, after projection, so that a negative one is a fact.

    Parameters
    ----------
    product : v -> A v, symmetric, (d,) to (d,).
    rows : (S, d) what the tangents are orthogonal to.
    """
    size = rows.shape[1]
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled = (rows / np.where(lengths > 0.0, lengths, 1.0)).T
    basis, upper, _ = pivoted_qr(scaled)
    # As in the dense test, nearly dependent rows free a direction too many rather than too few.
    heights = np.abs(np.diag(upper))
    basis = basis[:, heights > 1e-8 * np.max(heights, initial=0.0)]

    def project(v: Array) -> Array:
        once = v - basis @ (basis.T @ v)
        return np.asarray(once - basis @ (basis.T @ once))

    # Shifted by the projection, so that what is held counts as an eigenvalue far above the rest.
    top = 1.0 + 2.0 * abs(_largest(product, project, size))

    def shifted(v: Array) -> Array:
        v = np.asarray(v).reshape(-1)
        inside = project(v)
        return project(product(inside)) + top * (v - inside)

    start = project(np.random.default_rng(0).standard_normal((size,)))
    found = smallest_eigenvector(shifted, start, _BASIS, _RESTARTS, _TOLERANCE)
    if found is None:
        return math.nan, start / np.linalg.norm(start)
    vector = project(found)
    vector = vector / np.linalg.norm(vector)
    return float(vector @ product(vector)), vector


def _largest(
    product: Callable[[Array], Array], project: Callable[[Array], Array], size: int
) -> float:
    v = project(np.random.default_rng(1).standard_normal((size,)))
    value = 0.0
    for _ in range(8):
        v = project(product(v / np.linalg.norm(v)))
        value = float(np.linalg.norm(v))
        if value == 0.0:
            break
    return value
