"""A point of a program whose length counts (math §3): plain KKT of `f_n(w) ≥ level` there."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.formulations.kkt import Kkt
from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.first_order import Measured, certificate_of
from lexmargin.judge.given import Evidence, combined_to_zero, measured_of
from lexmargin.judge.judge import with_multiplier_set
from lexmargin.judge.local.beyond_first_order import at_kinks
from lexmargin.judge.local.given_slopes import elements_given
from lexmargin.judge.local.kinked_point import RectifiedPoint
from lexmargin.judge.multipliers.fritz_john import fritz_john
from lexmargin.judge.multipliers.later import Later
from lexmargin.judge.multipliers.multiplier_set import normalised_rows
from lexmargin.judge.multipliers.qualification import compact, licq, mfcq
from lexmargin.judge.multipliers.stationarity import Stationarity
from lexmargin.judge.multipliers.supports import Rows, Rung, climb
from lexmargin.judge.point import UnitPoint, euler_error, is_noise
from lexmargin.judge.reasons import Condition
from lexmargin.judge.tolerances import WIDEST, Tolerances
from lexmargin.judge.unmeasured import against_level, negative
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.nonnegative import nonnegative
from lexmargin.linalg.norms import Array, norm_gradient, vector_norm

__all__ = ["ProgramPoint", "costed_unit", "judged_program", "part_metric"]


_HOLDING: Final = 1e-2
"""Margins up to 1 % above the smallest count for a block's scale; only a scale hangs on it."""


@final
class ProgramPoint(RectifiedPoint):
    """The point of a margin program, its gradients over r_n, in its metric, 0 where it is held."""

    def __init__(self, kkt: Kkt, limits: Tolerances) -> None:
        self.kkt, self._limits, self.limit = kkt, limits, limits.kink

    @functools.cached_property
    def unit(self) -> UnitPoint:
        """The point at its own scale, as ε is measured there.

        With costs the target and the gradients stand divided by a metric D (d,), so that the
        residual of every block is compared with what there is of it.
        """
        kkt = self.kkt
        interior = kkt.point if kkt.interior is None else kkt.interior
        if kkt.costs is None:
            length = vector_norm(kkt.point, kkt.norm)
            direction = kkt.point / length
            if kkt.norm == 1.0 or math.isinf(kkt.norm):
                interior, rate = kkt.point, length
            else:
                rate = float(norm_gradient(direction, kkt.norm) @ interior)
            return UnitPoint(
                direction, kkt.values, kkt.moving, 1.0 / rate, kkt.norm, 1.0, 0, None, interior
            )
        metric = _metric(kkt, self._limits)
        return costed_unit(kkt.point, kkt.target, kkt.values, kkt.moving, interior, metric)

    @property
    def theta(self) -> Array:  # type: ignore[override]  # what the cone must hold
        return self.unit.theta if self.unit.target is None else self.unit.target

    @property
    def degree(self) -> float:  # type: ignore[override]
        return self.unit.degree

    @property
    def values(self) -> Array:
        return self.unit.margins

    @property
    def ascent(self) -> Array | None:
        return None if self.kkt.interior is None else self.unit.ascent

    def rows(self, indices: Indices) -> Array:
        return np.asarray(self.unit.jacobian[indices])

    def doubts(self, support: Indices, limits: Tolerances) -> tuple[bool, float]:
        kkt = self.kkt
        if kkt.interior is None:
            return False, 0.0
        smallest = np.flatnonzero(kkt.values <= kkt.margin)
        noisy = is_noise(kkt.moving[smallest], kkt.interior, kkt.margin)
        return noisy, euler_error(kkt.moving @ kkt.interior, kkt.values)

    def factors(self, indices: Indices) -> tuple[Array, Array]:
        rows, columns = super().factors(indices)
        rows = rows if self.kkt.required is None else rows / self.kkt.required[indices]
        columns = columns if self.unit.metric is None else columns / self.unit.metric
        return rows, np.where(self.kkt.held, 0.0, columns)


def costed_unit(
    point: Array, target: Array, values: Array, rows: Array, interior: Array, metric: Array
) -> UnitPoint:
    """Return a point that is no direction, its target and gradients over a metric D (d,)."""
    target = target / metric
    size = vector_norm(target, 2.0)
    unit, interior = target / size, interior * metric
    return UnitPoint(
        point / vector_norm(point, 2.0),
        values,
        rows / metric,
        1.0 / float(unit @ interior),
        2.0,
        1.0,
        0,
        unit,
        interior,
        metric,
        size,
    )


def _metric(kkt: Kkt, limits: Tolerances) -> Array:
    """Return D (d,), what the residual of each entry is compared with.

    Where entries of one part differ in cost, or there are no parts, the metric `√c` of the cost:
    there the program is `min ½‖u‖²`.
    """
    parts = kkt.parts
    if parts is not None and kkt.even_parts:
        return part_metric(kkt.point, kkt.target, kkt.values, kkt.moving, parts.groups, limits)
    return np.where(kkt.entry_costs > 0.0, np.sqrt(kkt.entry_costs), 1.0)


def part_metric(
    w: Array,
    target: Array,
    values: Array,
    rows: Array,
    parts: Sequence[tuple[NDArray[np.bool_], float]],
    limits: Tolerances,
) -> Array:
    """Return D (d,): what the residual of each part is compared with.

    Part k is compared with the larger of its target and `Σλ max_n ‖∇_k f_n‖`, so that a part of
    small cost is judged as sharply as the others; a part that neither costs nor helps (degree
    above 1, where 0 is always stationary) with the largest one.

    Args:
        w, target: (d,) the point, and what is to be a sum of gradients.
        values, rows: (N,), (N, d) f_n and its gradients.
        parts: the entries of each part, with its degree α_k, so that `Σ_k w_k·∇_k f_n/α_k = f_n`.
        limits: what counts as small.
    """
    v = np.zeros(w.size)
    for mine, degree in parts:
        v[mine] = w[mine] / degree
    margin = float(np.min(values))
    weight, cost = abs(float(target @ v)), float(target @ w)
    near = rows[values <= (1.0 + _HOLDING) * margin]
    sizes, idle = [], []
    for mine, degree in parts:
        steepest = max((vector_norm(row, 2.0) for row in near[:, mine]), default=0.0)
        reach = weight / margin * steepest
        sizes.append(max(vector_norm(target[mine], 2.0), reach))
        share = abs(float(target[mine] @ w[mine]))
        help_ = float(np.max(np.abs(near[:, mine] @ v[mine]), initial=0.0))
        small = share <= limits.stationarity * cost and help_ <= limits.stationarity * margin
        idle.append(degree > 1.0 and small)
    largest, found = max(sizes), np.ones(w.size)
    for (mine, _), size, rest in zip(parts, sizes, idle, strict=True):
        found[mine] = largest if rest or not size > 0.0 else size
    return found


def judged_program(
    kkt: Kkt, limits: Tolerances, notes: tuple[str, ...] = (), given: Evidence | None = None
) -> Certificate:
    """Judge `target = Σ λ_n ∇f_n(w)`, λ ≥ 0 on `{n : f_n(w) = level}`, and feasibility.

    ε is the sine of the angle between the target and the cone of active gradients (in the metric of
    the point), `δ = Σ λ_n (f_n - min f)/(target·v)`, and Euler's check `Σ λ_n f_n/(target·v)`.

    Parameters
    ----------
    kkt : the point and what its conditions name.
    limits : what counts as equal.
    notes : further reasons to print.
    given : multipliers of a receipt, measured as they are; nothing is searched for then.
    """
    margin = kkt.margin
    if margin <= 0.0:
        return negative(kkt.values, kkt.norm, limits, notes)
    shortfall, missed = against_level(margin, margin if kkt.level is None else kkt.level, limits)
    place = ProgramPoint(kkt, limits)
    unit = place.unit
    if not unit.is_finite:
        raise FloatingPointError("f_n or a gradient is not finite")
    doubts = place.doubts(np.arange(kkt.values.size), limits)
    if given is None:
        rung = climb(Rows(unit), limits)
    else:
        given = replace(given, multipliers=given.multipliers / unit.size)
        if place.touched(given.support) and kkt.norm == 2.0 and not missed:
            sloped = replace(_at_slopes(place, given, limits, doubts), feasibility=shortfall)
            return replace(sloped, multipliers=sloped.multipliers * unit.size)
        rung = Rung(given.tau, measured_of(unit, unit.jacobian, given, limits, doubts[1]))
    measured = rung.measured
    support, rows = measured.support, kkt.moving[measured.support]
    singular = _singular(place, measured, limits, given)
    known = replace(Measured.of(measured, *doubts), missed=missed, singular=singular)
    found = certificate_of(rung, known, margin, kkt.norm, limits)
    if given is None:
        found = with_multiplier_set(found, unit, unit.jacobian[support])
    homogeneous, inside = kkt.interior is not None, kkt.interior
    found = replace(
        found,
        feasibility=shortfall,
        euler=measured.euler if homogeneous else math.nan,
        independence=Later(lambda: licq(compact(rows), limits.rank)),
        interior=Later(lambda: mfcq(rows, 0.0, inside)) if given is None or homogeneous else None,
        reasons=found.reasons + notes,
    )
    if missed:
        # Margins alone have decided, whatever the gradients are.
        found = replace(found, nearest_kink=place.standing(support).nearest)
    else:
        found = at_kinks(place, found, chosen=given is None)[0]
    # Not the unit point itself, which has the gradients of all margins.
    size, described = unit.size, found.multiplier_set
    if described is not None:
        described = described.then(lambda found: found.scaled(lambda values: values * size))
    return replace(found, multipliers=found.multipliers * size, multiplier_set=described)


def _at_slopes(
    place: ProgramPoint, given: Evidence, limits: Tolerances, doubts: tuple[bool, float]
) -> Certificate:
    """Measure λ that are given with the slopes given at the kinks of their support."""
    kkt, unit, support = place.kkt, place.unit, given.support
    rows = unit.jacobian.copy()
    rows[support], exact, why = elements_given(place, given)
    measured = measured_of(unit, rows, given, limits, doubts[1])
    bounded = place.bounded(measured.lower, place.beside(support)[0], kkt.norm, limits)
    # What separates the target from one element of every margin does not from all.
    known = Measured.of(replace(measured, lower=0.0), *doubts)
    known = replace(known, condition=Condition.SLOPES, exact=exact)
    found = certificate_of(Rung(given.tau, measured), known, kkt.margin, kkt.norm, limits)
    chosen = rows[support]
    return replace(
        found,
        verdict=Verdict.UNDECIDED if why else found.verdict,
        reasons=(why,) if why else found.reasons,
        stationarity_bound=bounded,
        euler=measured.euler if kkt.interior is not None else math.nan,
        independence=Later(lambda: licq(compact(chosen), limits.rank)),
        nearest_kink=place.standing(support).nearest,
    )


def _singular(
    place: ProgramPoint, measured: Stationarity, limits: Tolerances, given: Evidence | None
) -> Verdict | None:
    """Return the word that 0 as a combination of the active gradients gives; None where it is none.

    With degrees, `J v = f > 0` rules such multipliers out. No δ bounds what weight there may lie
    above the smallest margin, so that a support as wide as δ allows is too wide.
    """
    kkt = place.kkt
    if measured.met(limits) or kkt.interior is not None:
        return None
    tight = np.flatnonzero(limits.tight(kkt.values))
    rows = kkt.moving[tight]
    if given is None:
        holds = fritz_john(rows, limits.stationarity).holds
    else:
        weights = None if given.singular is None else given.singular[tight]
        holds = combined_to_zero(rows, weights, limits.stationarity)
    if not holds:
        return None
    if kkt.level is None:
        # The level may be traded for the objective (eq. 6).
        return Verdict.KKT
    withheld = given is not None and _has_multiplier(place.unit, limits)
    return Verdict.UNDECIDED if withheld else Verdict.FRITZ_JOHN


def _has_multiplier(unit: UnitPoint, limits: Tolerances) -> bool:
    """Tell whether λ ≥ 0 that nearly serve may exist, by least squares in NumPy: for receipts.

    A receipt can withhold them, and where 0 is a combination too nothing bounds ε from below.
    """
    if unit.is_polyhedral:
        return True
    rows, _ = normalised_rows(unit.jacobian[unit.support(WIDEST)])
    left = unit.wanted - nonnegative(rows.T, unit.wanted) @ rows
    return vector_norm(left, 2.0) <= limits.stationarity * vector_norm(unit.wanted, 2.0)
