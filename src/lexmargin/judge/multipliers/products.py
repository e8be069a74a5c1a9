"""Products of rows with a vector, free of cancellation where it would hide the answer.

Rows of very different length cancel: `z_n·θ` may be 1e-6 where its terms are 1e6, and 16 digits of
the terms are 4 of the margin. The terms are split into exact pairs (Dekker 1971) and their sum is
rounded once (Shewchuk 1997).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lexmargin.inputs.limits import EXACT_PRODUCT_ENTRIES, SIZED_ENTRIES
from lexmargin.judge.point import UnitPoint
from lexmargin.linalg.norms import Array, shifted, unit_scale, vector_norm
from lexmargin.linalg.rounding import EPS, ROUNDED
from lexmargin.linalg.rows import is_dense, largest_entry, row_sums, with_sizes

__all__ = ["combination", "linear_margin", "linear_values", "near_products"]

_TINY: Final = 2.0**-1020
"""Of one term: what is lost of a product that leaves the range of doubles."""
_SPLITTER: Final = 2.0**27 + 1.0
"""Veltkamp's constant, 2^⌈53/2⌉ + 1: any other one leaves halves whose products are not exact."""
_HARMLESS: Final = 1e-12
"""Rounding, relative to the value, that no tolerance of a certificate feels."""


def near_products(rows: Any, theta: Array) -> tuple[Array, Array]:
    """Return `z_n·θ` and bounds on their errors, (N,) each; the smallest ones without cancellation.

    Parameters
    ----------
    rows : (N, d) of entries of at most 1, dense or CSR.
    theta : (d,) of entries of at most 1.
    """
    values = np.asarray(rows @ theta)
    terms = theta.size if is_dense(rows) else int(np.max(np.diff(rows.indptr), initial=1))
    errors = EPS * (terms + 5) * row_sums(rows, theta) + terms * _TINY
    # What may be the smallest, and what may be as near to it as a support vector is.
    most = float(np.min(values + errors))
    near = values - errors <= max(most, 2.0 * most)
    doubtful = np.flatnonzero(near & (errors > _HARMLESS * np.abs(values)))
    if doubtful.size * terms <= EXACT_PRODUCT_ENTRIES:
        values[doubtful], errors[doubtful] = _accurate(rows, theta, doubtful)
    return values, errors


def linear_margin(point: UnitPoint, theta: Array) -> float:
    """Return a margin that θ/‖θ‖ surely has, for linear f_n = z_n·θ (d,), in the units of point."""
    scaled = unit_scale(theta)
    products, errors = near_products(point.jacobian, scaled)
    size = vector_norm(scaled, point.norm) * (1.0 + ROUNDED)
    return float(np.min(products - errors)) / size


def linear_values(rows: Array, theta: Array) -> Array:
    """Return `z_n·θ` (N,), the smallest ones without cancellation, of dense rows of any size.

    Parameters
    ----------
    rows : (N, d).
    theta : (d,).
    """
    row, point = (math.frexp(float(np.max(np.abs(x), initial=0.0)))[1] for x in (rows, theta))
    values = near_products(shifted(rows, -row), shifted(theta, -point))[0]
    return shifted(values, row + point)


def combination(weights: Array, rows: Any) -> tuple[Array, Array, Array]:
    """Return `Σ λ_n z_n`, bounds on the errors of its entries, and `Σ |λ_n z_n|`, (d,) each.

    Parameters
    ----------
    weights : (N,) of entries of at most 1.
    rows : (N, d) of entries of at most 1, dense or CSR.
    """
    values, sizes = with_sizes(weights, rows)
    count = int(np.count_nonzero(weights))
    errors = EPS * (count + 4) * sizes
    errors += count * _TINY
    doubtful = np.flatnonzero(errors > _HARMLESS * largest_entry(values))
    if doubtful.size and doubtful.size * count <= EXACT_PRODUCT_ENTRIES:
        used = np.flatnonzero(weights)
        if is_dense(rows):
            columns = rows[np.ix_(used, doubtful)].T
        else:
            columns = rows[used][:, doubtful].T.tocsr()
        found = _accurate(columns, weights[used], np.arange(doubtful.size))
        values[doubtful], errors[doubtful] = found
    return values, errors, sizes


def _accurate(rows: Any, theta: Array, chosen: NDArray[np.intp]) -> tuple[Array, Array]:
    # Exact terms take eight arrays of their size beside them.
    values, step = np.empty(chosen.size), max(1, SIZED_ENTRIES // (8 * max(1, theta.size)))
    for start in range(0, chosen.size, step):
        some = chosen[start : start + step]
        pairs: Iterable[tuple[Array, Array]]
        if is_dense(rows):
            pairs = zip(*_exact_terms(rows[some], theta), strict=True)
        else:
            stored = (slice(rows.indptr[n], rows.indptr[n + 1]) for n in some)
            pairs = (_exact_terms(rows.data[s], theta[rows.indices[s]]) for s in stored)
        for k, (high, low) in enumerate(pairs, start):
            values[k] = math.fsum(itertools.chain(high.tolist(), low.tolist()))
    return values, EPS * np.abs(values) + theta.size * _TINY


def _exact_terms(a: Array, b: Array) -> tuple[Array, Array]:
    """Return `fl(a b)` and `a b - fl(a b)`, exact unless a term is below 2^-968."""
    product = a * b
    with np.errstate(under="ignore"):
        a_high, b_high = _upper_half(a), _upper_half(b)
        a_low, b_low = a - a_high, b - b_high
        rest = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
    return product, rest


def _upper_half(x: Array) -> Array:
    shifted = _SPLITTER * x
    return shifted - (shifted - x)
