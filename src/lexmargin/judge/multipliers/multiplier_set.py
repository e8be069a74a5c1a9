"""Multipliers of a direction by non-negative least squares, and what they prove."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, cast, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.data.samples import first_equal
from lexmargin.errors import ShapeError
from lexmargin.inputs.limits import (
    EXTENDED_ENTRIES,
    ORTHOGONAL_ENTRIES,
    QR_ENTRIES,
    ROTATED_ENTRIES,
    SPARSE_GRAM_ROWS,
)
from lexmargin.judge.multipliers.by_products import (
    Answer,
    Products,
    by_products,
    by_regular_products,
)
from lexmargin.linalg.guarded import least_norm, nonnegative_or_bounded, packed_cholesky
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.linalg.rounding import EPS, ROUNDED
from lexmargin.linalg.rows import (
    chosen_rows,
    densified,
    inner_products,
    is_dense,
    remainder,
    row_lengths,
)

__all__ = [
    "LeastSquares",
    "MultiplierMethod",
    "compressed",
    "nonnegative_multipliers",
    "normalised_rows",
    "smallest_hull_point",
    "spread",
]

_LEAST: Final = 1e-200
"""Square of a length whose products with others stay normal doubles; its inverse likewise."""
_SPANNING = 128
"""Rows that are asked whether they span all: their factorisation is cheap beside K."""
_SURELY = 1e-6
"""Pivot of unit rows that rounding, whose root is 1e-8, cannot make of dependent ones."""
_SURE = 1e-8
"""Part of a residual that rounding may spoil: half of its digits are known."""


@final
class MultiplierMethod(StrEnum):
    """How the non-negative least-squares problem was solved."""

    EMPTY = "empty"
    """No row with a non-zero gradient: λ = 0."""
    ORTHOGONAL = "orthogonal"
    """By orthogonal factorisations of the gradients."""
    GRAM = "gram"
    """Through `K = J Jᵀ`, which squares the condition number, then refined with J."""


@final
@dataclass(frozen=True, eq=False)
class LeastSquares:
    """λ ≥ 0 with its measured residual and a proven lower bound on every residual.

    multipliers
        λ (S,).
    residual
        ‖t - Jᵀλ‖₂, recomputed from J.
    lower
        no λ ≥ 0 has a residual below this (0 when nothing is proven).
    floor
        rounding error that ``residual`` may carry.
    method, converged
        how λ was found, and whether the method itself finished.
    resolution
        size of ``residual`` below which `K = J Jᵀ` alone cannot tell; 0 for orthogonal methods and
        where the refinement with J settled.
    """

    multipliers: Array
    residual: float
    lower: float
    floor: float
    method: MultiplierMethod
    converged: bool
    resolution: float = 0.0


def normalised_rows(jacobian: Array) -> tuple[Array, Array]:
    """Return the rows of J divided by their ℓ2 norms, and the norms (0 for zero rows)."""
    largest = np.maximum(
        np.max(jacobian, axis=1, initial=0.0), -np.min(jacobian, axis=1, initial=0.0)
    )
    exponents: NDArray[np.int32] = np.frexp(largest)[1]
    rows: Array = np.ldexp(jacobian, -exponents[:, None])
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    divisors: Array = np.where(norms > 0.0, norms, 1.0)
    rows /= divisors[:, None]
    return rows, np.ldexp(norms, exponents)


def compressed(rows: Array, target: Array) -> tuple[Array, Array]:
    """Return (A, b) with ‖A λ - b‖ = ‖rowsᵀ λ - target‖ for all λ and as few rows as possible."""
    count, dimension = rows.shape
    if dimension <= count + 1:
        return rows.T, target
    # One factorisation of [rowsᵀ, t] rotates both and never forms rows · rowsᵀ.
    triangle = np.asarray(np.linalg.qr(np.column_stack([rows.T, target]), mode="r"))
    return triangle[:, :count], triangle[:, count]


def _solve_nnls(matrix: Array, target: Array) -> tuple[Array, bool]:
    return nonnegative_or_bounded(matrix, target, 30 * matrix.shape[1] + 100)


def _refined(matrix: Array, target: Array, values: Array) -> Array:
    """One step of least squares on the passive set, kept only where it stays feasible and helps."""
    passive = np.flatnonzero(values > 0.0)
    columns = matrix[:, passive]
    residual = target - columns @ values[passive]
    if passive.size == 0 or np.linalg.norm(residual) <= 2.0 * EPS:
        return values
    step = least_norm(columns, residual, EPS * max(columns.shape))
    moved = values.copy()
    moved[passive] += step
    if not np.all(moved >= 0.0):
        return values
    return (
        moved if np.linalg.norm(residual - columns @ step) <= np.linalg.norm(residual) else values
    )


@final
@dataclass(frozen=True, eq=False)
class _Rows(Products):
    """Dense or CSR rows J, kept as they are: no copy of what may be most of the memory."""

    jacobian: Any
    target: Array

    def remainder(self, scaled: Array) -> tuple[Array, Array]:
        residual, slopes = remainder(self.jacobian, scaled / self.norms, self.target)
        return residual, slopes / self.norms

    def slopes(self, residual: Array) -> Array:
        """Return J r for unit rows."""
        found: Array = (self.jacobian @ residual) / self.norms
        return found


def _products(jacobian: Any, target: Array) -> _Rows | None:
    """Return the products, or None where squares of lengths leave the range of doubles."""
    with np.errstate(all="ignore"):
        square, gains = inner_products(jacobian, target)
    squares = np.diag(square)
    if not (squares.min() > _LEAST and squares.max() < 1.0 / _LEAST):
        return None
    norms = np.sqrt(squares)
    square /= norms[:, None]
    square /= norms
    return _Rows(norms, square, gains / norms, jacobian, target)


def _measured(jacobian: Array, target: Array, values: Array) -> tuple[Array, float]:
    """Return (t - Jᵀλ, bound on its rounding error), in extended precision where affordable."""
    used = np.flatnonzero(values)
    rows = jacobian[used]
    sizes = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    mass = float(np.abs(values[used]) @ sizes) + float(np.linalg.norm(target))
    if rows.size <= EXTENDED_ENTRIES:
        wide = np.longdouble
        residual = target.astype(wide) - values[used].astype(wide) @ rows.astype(wide)
        eps = float(np.finfo(wide).eps)
        return residual.astype(np.float64), (used.size + 2) * eps * mass
    return target - values[used] @ rows, (used.size + 2) * EPS * mass


def _lower_bound(
    slopes: Array, excess: Array, target: Array, residual: Array, interior: Array
) -> float:
    """Return a lower bound on ‖t - Jᵀλ‖ over λ ≥ 0 by duality, from J v and J r for unit rows.

    Every r with `J r ≤ 0` gives `‖t - Jᵀλ‖ ≥ r·t/‖r‖`. The computed residual satisfies this up to
    rounding, or fails it where λ is not optimal; moving along a direction v with `J v > 0` repairs
    it, so that the bound holds whatever the quality of λ.
    """
    # Rounding in the two products above is paid for before the repair is measured.
    noise = 4.0 * EPS * math.sqrt(target.size)
    excess = excess + noise * float(np.linalg.norm(residual))
    slopes = slopes - noise * float(np.linalg.norm(interior))
    if np.any(slopes <= 0.0):
        return 0.0
    repaired = residual - max(0.0, float(np.max(excess / slopes))) * interior
    length = float(np.linalg.norm(repaired))
    return max(0.0, float(repaired @ target) / length) if length > 0.0 else 0.0


def nonnegative_multipliers(
    jacobian: Any,
    target: Array,
    interior: Array | None = None,
    method: MultiplierMethod | None = None,
) -> LeastSquares:
    """Solve `λ = argmin_{λ ≥ 0} ‖t - Jᵀλ‖₂` (math §3) and measure the answer.

    Parameters
    ----------
    jacobian : (S, d) gradients of the support, dense or CSR.
    target : (d,) the vector to be represented, θ̂ for the ℓ2 ball.
    interior : (d,) a direction with J v > 0 (θ̂ itself, by Euler); gives ``lower`` its proof.
    method : ORTHOGONAL or GRAM. When None, the Gram form for more columns than rows and more than
        a few thousand entries, and the orthogonal one where K turns out badly conditioned. For CSR
        rows that would fill more than 40 MB the Gram form whatever is asked, and λ = 0 for more
        than 6,000 of them.

    Returns
    -------
    LeastSquares
        the residual is recomputed from J whatever solved the problem.

    Raises
    ------
    ShapeError
        when the jacobian and the target do not fit.
    """
    if jacobian.ndim != 2 or target.shape != (jacobian.shape[1],):
        raise ShapeError(
            f"The jacobian has shape {jacobian.shape} and the target {target.shape}.",
            "The jacobian needs one column per entry of the target.",
        )
    count, size = jacobian.shape
    dense = densified(jacobian)
    if dense is None:
        return _by_sparse(jacobian, target, interior)
    jacobian = dense
    # scipy's nnls ends the process on (d, 0) and returns garbage on (0, n).
    if jacobian.size == 0 or not (np.any(jacobian[0]) or np.any(jacobian)):
        length = vector_norm(target, 2.0)
        return LeastSquares(np.zeros(count), length, length, 0.0, MultiplierMethod.EMPTY, True)
    if method is None and (count > size or jacobian.size <= ORTHOGONAL_ENTRIES):
        method = MultiplierMethod.ORTHOGONAL
    if method is None:
        fewer = _fewer(jacobian, target, interior)
        if fewer is not None:
            return fewer
    if method is not MultiplierMethod.ORTHOGONAL:
        products = _products(jacobian, target)
        if products is None:
            rows, norms = normalised_rows(jacobian)
            live = np.flatnonzero(norms > 0.0)
            found = nonnegative_multipliers(rows[live], target, interior, method)
            values = np.zeros(count)
            values[live] = found.multipliers / norms[live]
            return replace(found, multipliers=values)
        required = method is not None or jacobian.size > QR_ENTRIES
        answer = by_products(products) if required else by_regular_products(products)
        if answer is not None:
            return _gram_result(products, answer, target, interior)
    return _orthogonal(jacobian, target, interior)


def _fewer(jacobian: Array, target: Array, interior: Array | None) -> LeastSquares | None:
    """Answer without the rows that repeat others, or in coordinates of a few rows that span all.

    None where there are none of either.
    """
    count = jacobian.shape[0]
    own = np.flatnonzero(first_equal(jacobian) == np.arange(count))
    if own.size < count:
        found = nonnegative_multipliers(jacobian[own], target, interior)
        return replace(found, multipliers=spread(own, count, found.multipliers))
    some = max(_SPANNING, count // 8)
    if count < 2 * some:
        return None
    # A view: these rows may be long.
    chosen = jacobian[:: count // some][:some]
    with np.errstate(all="ignore"):
        square = inner_products(chosen, target)[0]
        lengths = np.sqrt(np.diagonal(square))
        quick = packed_cholesky(square / np.outer(lengths, lengths))
    if quick is not None and np.min(np.diagonal(quick)) > _SURELY:
        return None
    factor, triangle = np.linalg.qr(normalised_rows(chosen)[0].T)
    left, sigma, _ = np.linalg.svd(triangle)
    rank = int(np.count_nonzero(sigma > some * EPS * sigma[0]))
    if rank == some:
        return None
    basis = factor @ left[:, :rank]
    inside = np.empty((count, rank))
    for first in range(0, count, some):
        part = slice(first, first + some)
        inside[part] = jacobian[part] @ basis
        outside = jacobian[part] - inside[part] @ basis.T
        if np.any(row_lengths(outside) > 4.0 * ROUNDED * row_lengths(jacobian[part])):
            return None
    return _orthogonal(jacobian, target, interior, (inside, basis.T @ target))


def _by_sparse(jacobian: Any, target: Array, interior: Array | None) -> LeastSquares:
    """Answer by K, which is formed dense, for rows too many to be made dense themselves."""
    length = vector_norm(target, 2.0)
    nothing = LeastSquares(
        np.zeros(jacobian.shape[0]), length, 0.0, 0.0, MultiplierMethod.EMPTY, False
    )
    if jacobian.shape[0] == 0 or jacobian.shape[0] > SPARSE_GRAM_ROWS:
        return nothing
    products = _products(jacobian, target)
    if products is None:
        return nothing
    answer = by_regular_products(products)
    if answer is None:
        # Repeated samples make K singular; what a small ridge spoils, the corrections with J mend.
        size = float(np.max(np.sum(np.abs(products.square), axis=0)))
        lifted = products.square + 2.0 * ROUNDED * size * np.eye(jacobian.shape[0])
        answer = by_products(replace(products, square=lifted))
    return _gram_result(products, answer, target, interior)


def _gram_result(
    products: _Rows, answer: Answer, target: Array, interior: Array | None
) -> LeastSquares:
    mass = float(np.sum(answer.scaled)) + vector_norm(target, 2.0)
    residual, length, slopes = answer.residual, answer.length, answer.slopes
    floor = (int(np.count_nonzero(answer.scaled)) + 4) * EPS * mass
    unsure = floor > _SURE * length and products.jacobian.size <= EXTENDED_ENTRIES
    if unsure and is_dense(products.jacobian):
        residual, floor = _measured(products.jacobian, target, answer.scaled / products.norms)
        length, slopes = vector_norm(residual, 2.0), products.slopes(residual)
    lower = 0.0
    if interior is not None and np.any(residual):
        inner = products.gains if interior is target else products.slopes(interior)
        lower = _lower_bound(inner, slopes, target, residual, interior)
    resolution = 0.0 if answer.settled else math.sqrt(EPS * products.gains.size) * mass
    return LeastSquares(
        answer.scaled / products.norms,
        length,
        lower,
        floor,
        MultiplierMethod.GRAM,
        answer.converged,
        resolution,
    )


def _orthogonal(
    jacobian: Array,
    target: Array,
    interior: Array | None,
    inside: tuple[Array, Array] | None = None,
) -> LeastSquares:
    """Solve by orthogonal factorisations, in coordinates of J and t where they are given."""
    values = np.zeros(jacobian.shape[0])
    rows, norms = normalised_rows(jacobian)
    live = np.flatnonzero(norms > 0.0)
    rows = chosen_rows(rows, live)
    if inside is None and rows.size <= ROTATED_ENTRIES:
        matrix, vector = rows.T, target
    elif inside is None:
        matrix, vector = compressed(rows, target)
    else:
        matrix, vector = (inside[0][live] / norms[live, None]).T, inside[1]
    found, converged = _solve_nnls(matrix, vector)
    found = _refined(matrix, vector, found)
    values[live] = np.maximum(found, 0.0) / norms[live]
    residual, floor = _measured(jacobian, target, values)
    lower = 0.0
    if interior is not None and np.any(residual):
        lower = _lower_bound(rows @ interior, rows @ residual, target, residual, interior)
    return LeastSquares(
        values,
        vector_norm(residual, 2.0),
        lower,
        floor,
        MultiplierMethod.ORTHOGONAL,
        converged,
    )


def smallest_hull_point(rows: Array) -> tuple[Array, float]:
    """Return p ≥ 0 with Σp = 1 that minimises ‖rowsᵀ p‖₂, and that minimum.

    By the least-distance form of Lawson and Hanson (1974, ch. 23): `min ‖rowsᵀλ‖² + (Σλ - 1)²`
    over λ ≥ 0 has its solution on the ray of p.
    """
    count = rows.shape[0]
    if rows.size == 0:
        return np.full(count, 1.0 / max(count, 1)), 0.0
    scale = float(np.max(np.abs(rows))) or 1.0
    lifted = np.column_stack([rows / scale, np.ones(count)])
    target = np.zeros(rows.shape[1] + 1)
    target[-1] = 1.0
    found = nonnegative_multipliers(lifted, target).multipliers
    total = float(np.sum(found))
    weights = found / total if total > 0.0 else np.full(count, 1.0 / count)
    return weights, vector_norm(weights @ rows, 2.0)


def spread(indices: NDArray[np.intp], count: int, values: Array) -> Array:
    """Return ``values`` spread over all samples, zero outside ``indices``."""
    full = np.zeros(count)
    full[indices] = values
    return cast(Array, full)
