"""Plain KKT of `f_n(w) ≥ level` at a point whose scale matters (math §3): sums, and neither."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.judge.certificate import Certificate
from lexmargin.judge.first_order import Measured, certificate_of, first_order
from lexmargin.judge.functions.kinks import Kinks, measure_kinks, samples_of
from lexmargin.judge.given import Evidence, combined_to_zero, measured_of
from lexmargin.judge.judge import with_multiplier_set
from lexmargin.judge.local.beside_kinks import element_moves, kinked_sets, margins_on_kinks
from lexmargin.judge.local.clarke import GradientSets, gradient_sets
from lexmargin.judge.local.kinked import at_slope_zero, judged_at_kink, where_of
from lexmargin.judge.multipliers.fritz_john import fritz_john
from lexmargin.judge.multipliers.multiplier_set import normalised_rows
from lexmargin.judge.multipliers.qualification import (
    GradientChoice,
    compact,
    licq,
    mfcq,
)
from lexmargin.judge.multipliers.stationarity import Stationarity
from lexmargin.judge.multipliers.supports import Rows, Rung, climb
from lexmargin.judge.multipliers.weight_reach import weight_reach
from lexmargin.judge.point import UnitPoint, euler_error, is_noise
from lexmargin.judge.tolerances import WIDEST, Tolerances
from lexmargin.judge.unmeasured import against_level, negative
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.nonnegative import nonnegative
from lexmargin.linalg.norms import Array, norm_gradient, vector_norm
from lexmargin.margins import MarginFunctions

__all__ = ["PlainPoint", "judge_plain", "smooth_only"]


@final
@dataclass(frozen=True, eq=False)
class PlainPoint:
    """A point w with everything its KKT conditions name.

    w
        the point (d,), at its own scale.
    values, jacobian
        f_n(w) (N,) and ∇f_n(w) (N, d).
    target
        the vector that must be `Σ λ_n ∇f_n(w)`, λ ≥ 0 on the active set (d,); None where it is a
        norm gradient at w.
    norm
        exponent of the norm; 2 with a target.
    level
        what active constraints equal; None where the smallest margin itself is meant.
    interior
        v with `J v = f`: `v_k = w_k/α_k` block by block; None where there are no degrees.
    scales
        D (d,): residuals are measured as `(target - Jᵀλ)_i/D_i`; None for 1.
    free
        the level may be traded for the objective: `0 = Σ λ_n ∇f_n` is then stationary too (eq. 6).
    required
        r_n (N,), which f_n and its gradient stand divided by in ``values`` and ``jacobian``.
    held
        mask (d,) of the entries that may not move: they are 0 in ``target`` and ``jacobian``.
    """

    w: Array
    values: Array
    jacobian: Array
    target: Array | None
    norm: float
    level: float | None
    interior: Array | None
    scales: Array | None = None
    free: bool = False
    required: Array | None = None
    held: NDArray[np.bool_] | None = None

    @property
    def margin(self) -> float:
        """The smallest f_n(w)."""
        return float(np.min(self.values))

    def tight(self, limits: Tolerances) -> NDArray[np.intp]:
        """Return the active set of Fritz John: no δ bounds what weight there may lie above it."""
        return np.flatnonzero(limits.tight(self.values))

    def unit(self) -> UnitPoint:
        """Return the point in the form that the measures of stationarity take."""
        length = vector_norm(self.w, self.norm)
        direction = self.w / length
        interior = self.w if self.interior is None else self.interior
        if self.target is None:
            if self.norm == 1.0 or math.isinf(self.norm):
                interior = self.w
                rate = length
            else:
                rate = float(norm_gradient(direction, self.norm) @ interior)
            return UnitPoint(
                direction, self.values, self.jacobian, 1.0 / rate, self.norm, 1.0, 0, None, interior
            )
        scales = np.ones(self.w.size) if self.scales is None else self.scales
        target = self.target / scales
        size = vector_norm(target, 2.0)
        unit, interior = target / size, interior * scales
        rate = float(unit @ interior)
        jacobian = self.jacobian / scales
        return UnitPoint(direction, self.values, jacobian, 1.0 / rate, 2.0, 1.0, 0, unit, interior)


def judge_plain(
    point: PlainPoint,
    functions: MarginFunctions,
    limits: Tolerances,
    notes: tuple[str, ...] = (),
    given: Evidence | None = None,
) -> Certificate:
    """Judge `target = Σ λ_n ∇f_n(w)`, λ ≥ 0 on `{n : f_n(w) = level}`, and feasibility.

    ε is the sine of the angle between the target and the cone of active gradients (in the scales of
    the point), `δ = Σ λ_n (f_n - min f)/(target·v)`, and Euler's check `Σ λ_n f_n/(target·v)`.

    Parameters
    ----------
    point : the point and its KKT data.
    functions : the margin functions, asked for their kinks.
    limits : what counts as equal.
    notes : further reasons to print.
    given : multipliers of a receipt, measured as they are; nothing is searched for then.
    """
    margin = point.margin
    if margin <= 0.0:
        return negative(point.values, point.norm, limits, notes)
    level = margin if point.level is None else point.level
    shortfall, missed = against_level(margin, level, limits)
    unit = point.unit()
    if not unit.is_finite:
        raise FloatingPointError("f_n or a gradient is not finite")
    if given is None:
        rung = climb(Rows(unit), limits)
    else:
        rung = Rung(given.tau, measured_of(unit, unit.jacobian, given, limits))
    measured = rung.measured
    support = measured.support
    rows = point.jacobian[support]
    noisy, mismatch = _doubts(point)
    word = first_order(
        Measured(
            residual=measured.residual,
            lower=measured.lower,
            floor=measured.floor,
            complementarity=measured.complementarity,
            noisy=noisy,
            mismatch=mismatch,
            missed=missed,
            singular=_singular(point, unit, measured, limits, given),
        ),
        limits,
    )
    found = certificate_of(rung, word, margin, point.norm, limits)
    if given is None:
        found = with_multiplier_set(found, unit, unit.jacobian[support])
    known = point.interior is not None
    found = replace(
        found,
        feasibility=shortfall,
        euler=measured.euler if known else math.nan,
        licq=licq(compact(rows), limits.rank),
        mfcq=mfcq(rows, 0.0, point.interior) if given is None or known else None,
        reasons=found.reasons + notes,
    )
    if given is not None or missed:
        return smooth_only(found, functions, point.w, point, decided=bool(missed))
    return _at_kinks(found, functions, point, unit)


def _at_kinks(
    found: Certificate, functions: MarginFunctions, point: PlainPoint, unit: UnitPoint
) -> Certificate:
    """Decide stationarity anew where samples of the support are on kinks (math §3, *Kinks*).

    Every element is measured as the gradients are: over r_n, in the metric of the point, without
    the entries that are held.
    """
    limits, count = found.tolerances, functions.count
    kinks = measure_kinks(functions, point.w, found.support) if found.support.size else None
    if kinks is None or (unit.target is None and unit.norm != 2.0):
        return smooth_only(found, functions, point.w, point)
    on = kinks.within(limits.kink, samples_of(functions, found.support))
    if not on:
        return smooth_only(found, functions, point.w, point)
    rows = np.ones(count) if point.required is None else 1.0 / point.required
    columns = np.ones(point.w.size) if point.scales is None else 1.0 / point.scales
    columns = columns if point.held is None else np.where(point.held, 0.0, columns)

    def sets_of(indices: NDArray[np.intp]) -> GradientSets | None:
        near = kinks.within(limits.kink, samples_of(functions, indices))
        sets = gradient_sets(functions, point.w, indices, near)
        return None if sets is None else sets.scaled(rows[indices], columns)

    sets = sets_of(found.support)
    if sets is None:
        return smooth_only(found, functions, point.w, point)
    found = replace(found, nearest_kink=kinks.nearest_on_support.distance)
    target = unit.theta if unit.target is None else unit.target
    where = where_of(on)
    found, element = judged_at_kink(
        found, sets, target, unit.degree, unit.margins, where, sets_of, _doubts(point)
    )
    independence = licq(compact(element.clarke.elements), limits.rank)
    ascent = None if point.interior is None else unit.ascent
    return replace(
        found,
        licq=replace(independence, of=GradientChoice.CHOSEN),
        mfcq=mfcq(element.sets.base, 0.0, ascent),
    )


def _doubts(point: PlainPoint) -> tuple[bool, float]:
    """Return whether the margin is no more than its rounding, and the error of Euler's identity."""
    if point.interior is None:
        return False, 0.0
    smallest = np.flatnonzero(point.values <= point.margin)
    noisy = is_noise(point.jacobian[smallest], point.interior, point.margin)
    return noisy, euler_error(point.jacobian @ point.interior, point.values)


def _singular(
    point: PlainPoint,
    unit: UnitPoint,
    measured: Stationarity,
    limits: Tolerances,
    given: Evidence | None,
) -> Verdict | None:
    """Return the word that 0 as a combination of the active gradients gives; None where it is none.

    With degrees, `J v = f > 0` rules such multipliers out.
    """
    if measured.met(limits) or point.interior is not None:
        return None
    tight = point.tight(limits)
    rows = point.jacobian[tight]
    if given is None:
        holds = fritz_john(rows, limits.stationarity).holds
    else:
        weights = None if given.singular is None else given.singular[tight]
        holds = combined_to_zero(rows, weights, limits.stationarity)
    if not holds:
        return None
    if point.free:
        return Verdict.KKT
    withheld = given is not None and _has_multiplier(unit, limits)
    return Verdict.UNDECIDED if withheld else Verdict.FRITZ_JOHN


def _has_multiplier(unit: UnitPoint, limits: Tolerances) -> bool:
    """Tell whether λ ≥ 0 that nearly serve may exist, by least squares in NumPy: for receipts.

    A receipt can withhold them, and where 0 is a combination too nothing bounds ε from below.
    """
    if unit.target is None and (unit.norm == 1.0 or math.isinf(unit.norm)):
        return True
    target = norm_gradient(unit.theta, unit.norm) if unit.target is None else unit.target
    rows, _ = normalised_rows(unit.jacobian[unit.support(WIDEST)])
    values = nonnegative(rows.T, target)
    return vector_norm(target - values @ rows, 2.0) <= limits.stationarity * vector_norm(
        target, 2.0
    )


def smooth_only(
    found: Certificate,
    functions: MarginFunctions,
    w: Array,
    point: PlainPoint | None = None,
    *,
    decided: bool = False,
) -> Certificate:
    """Withdraw a verdict that rests on gradients at a kink of a power-1 ReLU.

    Away from kinks only ``nearest_kink`` is filled in.

    Parameters
    ----------
    found : the certificate, with slope 0 at every kink.
    functions, w : the margin functions and the point (d,).
    point : the point of a margin program, where samples above the margin carry little weight within
        δ; None where every sample carries weight.
    decided : margins alone have decided, whatever the gradients are.
    """
    kinks = measure_kinks(functions, w, found.support) if found.support.size else None
    if kinks is None:
        return found
    nearest, limit = kinks.nearest_on_support, found.tolerances.kink
    feasible = found.feasibility <= found.tolerances.feasibility
    if found.verdict is Verdict.NOT_STATIONARY and feasible:
        # Samples above the margin may carry weight within δ, with any element at their kinks.
        nearest = kinks.nearest
        if nearest.distance <= limit and point is not None:
            lower = _beside_kinks(found, functions, point, kinks)
            if lower > found.tolerances.stationarity:
                return replace(
                    found,
                    stationarity_bound=lower,
                    nearest_kink=kinks.nearest_on_support.distance,
                )
    if nearest.distance > limit or decided or found.verdict is Verdict.NOT_SEPARATING:
        return replace(found, nearest_kink=nearest.distance)
    return replace(
        found,
        verdict=Verdict.UNDECIDED,
        nearest_kink=nearest.distance,
        licq=at_slope_zero(found.licq),
        gap=None,
        bound=None,
        reasons=(f"on a kink of relu ({nearest}): one gradient decides nothing", *found.reasons),
    )


def _beside_kinks(
    found: Certificate, functions: MarginFunctions, point: PlainPoint, kinks: Kinks
) -> float:
    """Return a lower bound on ε for any elements at the kinks of samples above the margin.

    0 where a sample of the smallest margin is on a kink.
    """
    limits, unit = found.tolerances, point.unit()

    def sets_of(indices: NDArray[np.intp]) -> GradientSets | None:
        sets = kinked_sets(functions, point.w, limits.kink, indices)
        if sets is None or (point.scales is None and point.required is None):
            return sets
        rows = np.ones(indices.size) if point.required is None else 1.0 / point.required[indices]
        columns = np.ones(point.w.size) if point.scales is None else 1.0 / point.scales
        return sets.scaled(rows, columns)

    norm = point.norm if unit.target is None else 2.0
    reach = weight_reach(
        margins_on_kinks(functions, kinks, limits.kink),
        element_moves(sets_of, lambda indices: np.asarray(unit.jacobian[indices]), norm),
        unit.degree * (unit.margins - unit.margin),
        unit.theta,
        norm,
        target=unit.target is not None,
    )
    return max(0.0, found.stationarity_bound - limits.complementarity * reach)
