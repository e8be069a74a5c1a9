"""The verdict at a kink, from one element of the generalised gradient per support sample."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.inputs.limits import ALL_WEIGHTS_ENTRIES, CLARKE_ROWS
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.first_order import Measured, first_order
from lexmargin.judge.local.clarke import (
    Clarke,
    GradientSets,
    balanced_stationarity,
    clarke_stationarity,
)
from lexmargin.judge.local.kinked_point import KinkedPoint
from lexmargin.judge.multipliers.later import Later
from lexmargin.judge.multipliers.multiplier_set import spread
from lexmargin.judge.multipliers.qualification import (
    GradientChoice,
    LicqReport,
    compact,
    licq,
    mfcq,
)
from lexmargin.judge.multipliers.stationarity import lyu_li
from lexmargin.judge.multipliers.supports import rungs
from lexmargin.judge.multipliers.weight_reach import weight_reach
from lexmargin.judge.reasons import Condition
from lexmargin.judge.tolerances import WIDEST, Tolerances
from lexmargin.ops.base import FloatArray

__all__ = [
    "Element",
    "at_slope_zero",
    "bound_at_kinks",
    "element_at_kink",
    "judged_at_kink",
    "stated_notes",
]


@final
@dataclass(frozen=True, eq=False)
class Element:
    """λ ≥ 0 with one element of the gradient set of every margin of a support, as measured.

    indices, sets
        the support, and the gradient sets that were chosen from.
    clarke
        λ, the elements, and ε.
    complementarity
        δ.
    """

    indices: NDArray[np.intp]
    sets: GradientSets
    clarke: Clarke
    complementarity: float

    def within(self, limits: Tolerances) -> bool:
        """Tell whether ε and δ are within tolerance."""
        return limits.met(self.clarke.residual, self.complementarity)


def element_at_kink(
    place: KinkedPoint, sets: GradientSets, indices: NDArray[np.intp], limits: Tolerances
) -> Element:
    """Return elements of least ε, or those of least ε and δ together where only these serve.

    Of many λ with ε = 0 the least squares name any, be it one with weight high above the margin.

    Parameters
    ----------
    place : the point.
    sets, indices : the gradient sets of some margins.
    limits : the largest ε and δ; what is minimised together is counted in their units.
    """
    theta, excess = place.theta, place.excess[indices]
    clarke = clarke_stationarity(sets, theta)
    first = Element(indices, sets, clarke, float(clarke.multipliers @ excess))
    if first.within(limits) or clarke.lower > limits.stationarity or not np.any(excess):
        return first
    price = excess * (limits.stationarity / limits.complementarity)
    both = balanced_stationarity(sets, theta, price)
    both = replace(both, lower=min(clarke.lower, both.residual))
    second = Element(indices, sets, both, float(both.multipliers @ excess))
    return second if second.within(limits) else first


def judged_at_kink(
    certificate: Certificate, place: KinkedPoint, sets: GradientSets, where: str
) -> tuple[Certificate, Element]:
    """Judge a point anew with the generalised gradients; a smooth verdict never survives this.

    The support grows, as in :func:`~lexmargin.judge.multipliers.supports.climb`, where ε and δ are
    within tolerance on a wider one only.

    Parameters
    ----------
    certificate : the certificate with slope 0 at every kink.
    place : the point: others than the support may carry weight within δ.
    sets : the generalised gradients of its support, or sets that contain them.
    where : which kink, in words.
    """
    limits, values, degree = certificate.tolerances, place.values, place.degree
    element = element_at_kink(place, sets, certificate.support, limits)
    lower, tau = element.clarke.lower, certificate.tau
    if lower > limits.stationarity:
        lower = min(lower, bound_at_kinks(place, limits))
    if not element.within(limits) and lower <= limits.stationarity:
        wider = _wider(place, certificate.support, limits)
        if wider is not None:
            tau, element = wider
            lower = min(lower, element.clarke.residual)
    clarke, doubts = element.clarke, place.doubts(certificate.support, limits)
    verdict, (why,) = first_order(
        Measured(
            residual=clarke.residual,
            lower=lower,
            floor=clarke.floor,
            complementarity=element.complementarity,
            noisy=doubts[0],
            mismatch=doubts[1],
            condition=Condition.ELEMENTS,
            exact=clarke.exact,
        ),
        limits,
    )
    multipliers = spread(element.indices, certificate.multipliers.size, clarke.multipliers)
    multipliers.setflags(write=False)
    pair: tuple[float | None, float | None] = (None, None)
    if certificate.kkt_epsilon is not None:
        slacks = multipliers * (values - float(np.min(values)))
        pair = lyu_li(clarke.residual, slacks, certificate.margin, degree)
    elements, chosen = clarke.elements, GradientChoice.CHOSEN
    base, ascent = element.sets.base, place.ascent
    found = replace(
        certificate,
        verdict=verdict,
        stationarity=clarke.residual,
        stationarity_bound=lower,
        complementarity=element.complementarity,
        support=element.indices,
        multipliers=multipliers,
        tau=tau,
        euler=degree * certificate.margin * float(np.sum(clarke.multipliers)),
        multiplier_set=None,
        independence=Later(lambda: replace(licq(compact(elements), limits.rank), of=chosen)),
        interior=Later(lambda: mfcq(base, 0.0, ascent)),
        kkt_epsilon=pair[0],
        kkt_delta=pair[1],
        reasons=(f"{where}: {why}", *stated_notes(certificate)),
    )
    return found, element


def _wider(
    place: KinkedPoint, support: NDArray[np.intp], limits: Tolerances
) -> tuple[float, Element] | None:
    """Return the smallest τ whose support holds more and serves, and its elements."""
    values = place.values
    size = support.size
    supports = []
    for tau in rungs(limits.support):
        one = np.flatnonzero(values <= (1.0 + tau) * float(np.min(values)))
        if size < one.size <= CLARKE_ROWS:
            supports.append((tau, one))
            size = one.size
    serving = None
    # Where the widest does not serve, none does.
    for tau, one in reversed(supports):
        sets = place.sets(one)
        if sets is None:
            continue
        found = element_at_kink(place, sets, one, limits)
        if not found.within(limits):
            break
        one.setflags(write=False)
        serving = tau, found
    return serving


def bound_at_kinks(place: KinkedPoint, limits: Tolerances) -> float:
    """Return a lower bound on ε over all λ ≥ 0 with δ within tolerance, and all elements.

    δ is one more entry of every element: `ε² ≥ min(ε² + δ²) - δ²` over samples near the margin.
    Each of the others adds at most `δ ‖g_n‖/(α (f_n - γ))`. 0 where the sets cannot be had.

    Parameters
    ----------
    place : the point.
    limits : the largest δ, and the ε that the bound is wanted above.
    """
    values = place.values
    close = values <= (1.0 + max(WIDEST, limits.support)) * float(np.min(values))
    near, far = np.flatnonzero(close), np.flatnonzero(~close)
    lower = _lifted_bound(place, near, limits)
    if lower <= limits.stationarity or not far.size:
        return lower

    def lengths(some: NDArray[np.intp]) -> FloatArray | None:
        sets = place.sets(some)
        return None if sets is None else sets.lengths()

    reach = limits.complementarity * weight_reach(far, lengths, place.excess, place.theta, 2.0)
    all_ = values.size * place.theta.size <= ALL_WEIGHTS_ENTRIES
    if lower - reach <= limits.stationarity and all_:
        return _lifted_bound(place, np.arange(values.size), limits)
    return max(0.0, lower - reach)


def _lifted_bound(place: KinkedPoint, indices: NDArray[np.intp], limits: Tolerances) -> float:
    sets = place.sets(indices) if indices.size <= CLARKE_ROWS else None
    if sets is None:
        return 0.0
    lower = balanced_stationarity(sets, place.theta, place.excess[indices]).lower
    return math.sqrt(max(0.0, lower**2 - limits.complementarity**2))


def at_slope_zero(found: Later[LicqReport] | None) -> Later[LicqReport] | None:
    """Say that a report speaks of the elements with slope 0 at the kinks."""
    if found is None:
        return None
    return found.then(lambda report: replace(report, of=GradientChoice.SLOPE_ZERO))


def stated_notes(certificate: Certificate) -> tuple[str, ...]:
    """Return the reasons that do not speak of stationarity at slope 0."""
    return tuple(why for why in certificate.reasons if why.startswith("the stated margin"))
