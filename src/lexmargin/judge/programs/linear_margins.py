"""Linear margins judged where the data lie, dense or sparse, with or without a free bias.

``f_n(θ) = y_n (θ·x_n + b)``: the gradients are the samples themselves, so nothing of size N × d is
formed but one copy of what is stored.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lexmargin.data.labels import coded_labels
from lexmargin.data.samples import is_sparse, stored_samples
from lexmargin.errors import DataError, ShapeError, UnsupportedError
from lexmargin.inputs.arrays import array_of, real_array
from lexmargin.inputs.kinds import Exponent, checked
from lexmargin.judge.bounds.balanced import balanced
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.given import Evidence, measured_of
from lexmargin.judge.judge import judged, linear_upper, not_separating, with_linear_bound
from lexmargin.judge.multipliers.products import near_products
from lexmargin.judge.multipliers.stationarity import Stationarity
from lexmargin.judge.multipliers.supports import Rows, Rung, climb, rungs
from lexmargin.judge.multipliers.vertex_bounds import linear_dual_bound, relative_gap
from lexmargin.judge.point import UnitPoint
from lexmargin.judge.programs.translated import centred
from lexmargin.judge.tolerances import DEFAULT, Tolerances
from lexmargin.linalg.norms import (
    Array,
    check_norm,
    dual_exponent,
    scaled_norm,
    unit_scale,
    vector_norm,
)
from lexmargin.linalg.rounding import EPS
from lexmargin.linalg.rows import (
    is_dense,
    largest_entry,
    row_lengths,
    row_sums,
    with_column,
)

__all__ = ["certify_linear", "judged_linear"]


@checked
def certify_linear(
    X: Any,
    y: ArrayLike,
    theta: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    norm: Exponent = 2.0,
    multipliers: Array | None = None,
    tolerances: Tolerances = DEFAULT,
) -> Certificate:
    """Judge θ/‖θ‖ for `max min_n y_n (θ·x_n + b)  s.t.  ‖θ‖ ≤ 1` (eq. 18; Definition 3, rescaled).

    `θ̂ = Σ λ_n y_n x_n` with λ ≥ 0 on the active set, and with a free bias `Σ λ_n y_n = 0`; then λ
    bounds all margins, `γ* ≤ ‖Σ λ_n y_n x_n‖_*/Σ λ_n`. Columns of dense samples that lie far from 0
    are centred first, which is exact, and the bias is the best one within its own rounding.

    Parameters
    ----------
    X : (N, d) samples, dense or scipy sparse.
    y : (N,) labels of two classes, the second in ascending order being +1, as for
        :class:`~lexmargin.data.dataset.Dataset`; all 1 where the rows already are y_n x_n.
    theta : (d,) or (1, d) the direction, at any scale: scikit-learn's ``coef_``.
    bias : b at the scale of θ, a number or an array of one: ``intercept_``; None where the
        predictor has no free bias.
    norm : exponent p ≥ 1 of the ball; 2 with a free bias.
    multipliers : (N,) λ that somebody claims, at any scale; measured first, negative ones as 0.
        Others are sought only where they do not serve.
    tolerances : what counts as equal.

    Returns
    -------
    Certificate
        as :func:`certify_arrays` gives it for linear margins. LICQ and the set of multipliers are
        None where the support of sparse samples is too large to be made dense. Multipliers that
        nobody claims are sought among at most 6,000 such rows; beyond, the word is UNDECIDED.

    Raises
    ------
    ShapeError, DataError
        for arrays that do not fit, NaN, labels that name no two classes, θ = 0.
    ParameterError
        a norm below 1.
    UnsupportedError
        a free bias in another norm than ℓ2.
    """
    p = check_norm(float(norm))
    if bias is not None and p != 2.0:
        raise UnsupportedError("A free bias is judged in the norm ℓ2.", "Leave it out, or norm=2.")
    samples, signs, direction = _checked(X, y, theta)
    shift = None if bias is None else _offset(bias)
    return judged_linear(samples, signs, direction, shift, p, multipliers, tolerances)


def judged_linear(
    samples: Any,
    signs: Array,
    direction: Array,
    bias: float | None,
    p: float,
    claim: Array | None,
    tolerances: Tolerances,
    *,
    move: bool = True,
) -> Certificate:
    """Return :func:`certify_linear` of arrays that fit, labels ±1 (N,).

    ``move``: whether columns may lie so far from 0 that samples with a bias are to be centred.
    """
    largest = largest_entry(samples)
    if not (math.isfinite(largest) and np.all(np.isfinite(direction))):
        raise DataError("The samples or theta hold NaN or infinities.", "Give finite numbers.")
    if not np.any(direction):
        raise DataError("The direction is zero.", "A direction needs a non-zero theta.")
    unit = unit_scale(direction)
    unit = unit / vector_norm(unit, p)
    common = math.frexp(largest)[1]
    if bias is None:
        rows = _signed(_owned(samples), signs, common)
        # At θ as given: the rounding of θ/‖θ‖ may be larger than the margin of a long row.
        scaled, length = unit_scale(direction), vector_norm(unit_scale(direction), p)
        products, errors = near_products(rows, scaled)
        point = UnitPoint(unit, products / length, rows, 1.0, p, 1.0, common)
    else:
        length, exponent = scaled_norm(direction, p)
        shift = Fraction(bias) / Fraction(length) / Fraction(2) ** exponent
        near = centred(samples, signs, unit, shift) if move else None
        if near is not None:
            samples, shift = near.samples, Fraction(near.bias)
            common = math.frexp(largest_entry(samples))[1]
        # A column of the size of the rows: then Σ λ y is compared with what λ weighs in Σ λ z.
        rows = _signed(with_column(samples, np.zeros(signs.size)), signs, common)
        longest = math.frexp(float(np.max(row_lengths(rows))))[1]
        if is_dense(rows):
            rows[:, -1] = np.ldexp(signs, longest)
        else:
            rows.data[rows.indptr[1:] - 1] = np.ldexp(signs, longest)
        inside = np.append(unit, float(shift / Fraction(2) ** (common + longest)))
        target = np.append(unit, 0.0)
        point = UnitPoint(inside, rows @ inside, rows, 1.0, p, 1.0, common, target, inside)
    if point.margin <= 0.0:
        return not_separating(point, tolerances)
    if bias is None:
        sure = float(np.min(products - errors)) / (length * (1.0 + 8.0 * EPS))
    else:
        sure = _surely(point, unit)
    rung, upper = _claimed(point, signs, claim, tolerances), None
    if rung is not None:
        upper = _upper(point, signs, rung.measured, tolerances)
    proved = upper is not None and relative_gap(upper, sure) <= tolerances.gap
    if rung is None or not (proved or is_sparse(samples)):
        # Sparse ones are too dear to find for a better bound alone.
        rung = climb(Rows(point), tolerances)
        upper = _upper(point, signs, rung.measured, tolerances)
    found = judged(point, rung, (point.is_noise, 0.0), tolerances)
    return with_linear_bound(found, point, upper, sure)


def _checked(X: Any, y: ArrayLike, theta: ArrayLike) -> tuple[Any, Array, Array]:
    samples = stored_samples(X) if is_sparse(X) else real_array(X, "X", own=False)
    if samples.ndim != 2 or 0 in samples.shape:
        raise ShapeError(
            f"The samples have the shape {samples.shape}.", "Give an (N, d) matrix with entries."
        )
    direction = real_array(theta, "theta")
    if direction.ndim == 2 and direction.shape[0] == 1:
        direction = direction[0]
    labels = array_of(y, "y")
    count, size = samples.shape
    if labels.shape != (count,) or direction.shape != (size,):
        raise ShapeError(
            f"{count} samples of {size} features have y of shape {labels.shape} and theta of shape "
            f"{direction.shape}.",
            "Give one label per row and one weight per column.",
        )
    codes, classes = coded_labels(labels, y, one_class=True)
    if len(classes) > 2:
        raise DataError(
            f"The labels name {len(classes)} classes.", "Judge one class against the others."
        )
    return samples, codes.astype(np.float64), direction


def _offset(bias: ArrayLike) -> float:
    value = real_array(bias, "The bias")
    if value.size != 1:
        raise ShapeError(f"The bias has the shape {value.shape}.", "Give one number.")
    if not np.isfinite(value).all():
        raise DataError(f"The bias is {value.item()!r}.", "Give a finite number.")
    return float(value.item())


def _owned(samples: Any) -> Any:
    """Return the samples with entries that may be written to."""
    if is_dense(samples):
        return samples.copy()
    return type(samples)((samples.data.copy(), samples.indices, samples.indptr), samples.shape)


def _signed(rows: Any, signs: Array, common: int) -> Any:
    """Return `y_n x_n/2^e`, written over the rows."""
    entries = rows if is_dense(rows) else rows.data
    np.ldexp(entries, -common, out=entries)
    # One byte each: the signs of all entries as doubles would be as large as the data.
    short = signs.astype(np.int8)
    entries *= short[:, None] if is_dense(rows) else np.repeat(short, np.diff(rows.indptr))
    return rows


def _claimed(
    point: UnitPoint, signs: Array, multipliers: Array | None, limits: Tolerances
) -> Rung | None:
    """Return what the claimed multipliers measure, at their best scale; None if they do not do."""
    if multipliers is None:
        return None
    values = real_array(multipliers, "multipliers")
    if values.shape != point.margins.shape:
        raise ShapeError(
            f"{values.shape} multipliers for {point.margins.size} samples.", "Give one per sample."
        )
    if not np.all(np.isfinite(values)):
        return None
    values = np.maximum(values, 0.0)
    if not np.any(values):
        return None
    values = unit_scale(values)
    if point.target is not None:
        values = balanced(values, signs)
    combination = values @ point.jacobian
    if point.target is None:
        size = vector_norm(combination, dual_exponent(point.norm))
        share = 1.0 / size if size > 0.0 else 0.0
    else:
        square = float(combination @ combination)
        share = float(combination @ point.target) / square if square > 0.0 else 0.0
    if not share > 0.0:
        return None
    values = values * share
    highest = float(np.max(point.margins[values > 0.0]))
    taus = (t for t in rungs(limits.support) if highest <= (1.0 + t) * point.margin)
    tau = next(taus, None)
    if tau is None:
        return None
    multipliers = point.unscaled_multipliers(values)
    evidence = Evidence(support=point.support(tau), multipliers=multipliers, tau=tau)
    measured: Stationarity = measured_of(point, point.jacobian, evidence, limits, 0.0)
    return Rung(tau, measured) if measured.met(limits) else None


def _upper(
    point: UnitPoint, signs: Array, measured: Stationarity, limits: Tolerances
) -> float | None:
    """Return an upper bound on all margins, rounding included; None without multipliers."""
    if point.target is None:
        return linear_upper(point, measured, limits)
    values = measured.multipliers
    if not (np.any(values[signs > 0]) and np.any(values[signs < 0])):
        return None
    # Weights with Σ λ y = 0 lie within a few roundings of these.
    values = balanced(values, signs)
    found = linear_dual_bound(point.jacobian, values, point.norm, point.theta.size - 1)
    return found.upper + 2.0 * EPS * (np.count_nonzero(values) + 16) * found.spent


def _surely(point: UnitPoint, unit: Array) -> float:
    """Return a margin that the unit direction surely has, with a free bias."""
    terms = unit.size if is_dense(point.jacobian) else int(np.max(np.diff(point.jacobian.indptr)))
    rounding = EPS * (terms + 5) * row_sums(point.jacobian, point.theta)
    size = vector_norm(unit, point.norm)
    return float(np.min(point.margins - rounding)) / (size * (1.0 + 4.0 * EPS))
