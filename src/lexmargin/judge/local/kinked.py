"""The verdict at a kink, from one element of the generalised gradient per support sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.inputs.limits import ALL_WEIGHTS_ENTRIES, CLARKE_ROWS
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.first_order import Measured, first_order
from lexmargin.judge.functions.kinks import Kink
from lexmargin.judge.local.clarke import (
    Clarke,
    GradientSets,
    balanced_stationarity,
    clarke_stationarity,
)
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
    "SetsOf",
    "at_slope_zero",
    "bound_at_kinks",
    "element_at_kink",
    "judged_at_kink",
    "stated_notes",
    "where_of",
]

SetsOf = Callable[[NDArray[np.intp]], GradientSets | None]
"""The gradient sets of some margins at θ̂; None where they cannot be had."""


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
    sets: GradientSets,
    indices: NDArray[np.intp],
    theta: FloatArray,
    degree: float,
    values: FloatArray,
    limits: Tolerances,
) -> Element:
    """Return elements of least ε, or those of least ε and δ together where only these serve.

    Of many λ with ε = 0 the least squares name any, be it one with weight high above the margin.

    Parameters
    ----------
    sets, indices : the gradient sets of some margins.
    theta : (d,) θ̂, of ℓ2 norm 1.
    degree : α.
    values : (N,) f_n(θ̂).
    limits : the largest ε and δ; what is minimised together is counted in their units.
    """
    excess = degree * np.maximum(values[indices] - np.min(values), 0.0)
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
    certificate: Certificate,
    sets: GradientSets,
    theta: FloatArray,
    degree: float,
    values: FloatArray,
    where: str,
    sets_of: SetsOf,
    doubts: tuple[bool, float],
) -> tuple[Certificate, Element]:
    """Judge θ̂ anew with the generalised gradients; a smooth verdict never survives this.

    The support grows, as in :func:`~lexmargin.judge.multipliers.supports.climb`, where ε and δ are
    within tolerance on a wider one only.

    Parameters
    ----------
    certificate : the certificate with slope 0 at every kink.
    sets : the generalised gradients of its support, or sets that contain them.
    theta : (d,) θ̂, of ℓ2 norm 1.
    degree : α.
    values : (N,) f_n(θ̂).
    where : which kink, in words.
    sets_of : the gradient sets of any margins: others than the support may carry weight within δ.
    doubts : whether the margin is noise, and the error of Euler's identity with slope 0 at kinks.
    """
    limits = certificate.tolerances
    element = element_at_kink(sets, certificate.support, theta, degree, values, limits)
    lower, tau = element.clarke.lower, certificate.tau
    if lower > limits.stationarity:
        lower = min(lower, bound_at_kinks(sets_of, values, theta, degree, limits))
    if not element.within(limits) and lower <= limits.stationarity:
        wider = _wider(sets_of, certificate.support, theta, degree, values, limits)
        if wider is not None:
            tau, element = wider
            lower = min(lower, element.clarke.residual)
    clarke, complementarity = element.clarke, element.complementarity
    verdict, (why,) = first_order(
        Measured(
            residual=clarke.residual,
            lower=lower,
            floor=clarke.floor,
            complementarity=complementarity,
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
    independence = licq(compact(clarke.elements), limits.rank)
    found = replace(
        certificate,
        verdict=verdict,
        stationarity=clarke.residual,
        stationarity_bound=lower,
        complementarity=complementarity,
        support=element.indices,
        multipliers=multipliers,
        tau=tau,
        euler=degree * certificate.margin * float(np.sum(clarke.multipliers)),
        multiplier_dimension=None,
        multiplier_range=None,
        licq=replace(independence, of=GradientChoice.CHOSEN),
        mfcq=mfcq(element.sets.base, 0.0, theta),
        kkt_epsilon=pair[0],
        kkt_delta=pair[1],
        reasons=(f"{where}: {why}", *stated_notes(certificate)),
    )
    return found, element


def _wider(
    sets_of: SetsOf,
    support: NDArray[np.intp],
    theta: FloatArray,
    degree: float,
    values: FloatArray,
    limits: Tolerances,
) -> tuple[float, Element] | None:
    """Return the smallest τ whose support holds more and serves, and its elements."""
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
        sets = sets_of(one)
        if sets is None:
            continue
        found = element_at_kink(sets, one, theta, degree, values, limits)
        if not found.within(limits):
            break
        one.setflags(write=False)
        serving = tau, found
    return serving


def bound_at_kinks(
    sets_of: SetsOf,
    values: FloatArray,
    theta: FloatArray,
    degree: float,
    limits: Tolerances,
) -> float:
    """Return a lower bound on ε over all λ ≥ 0 with δ within tolerance, and all elements.

    δ is one more entry of every element: `ε² ≥ min(ε² + δ²) - δ²` over samples near the margin.
    Each of the others adds at most `δ ‖g_n‖/(α (f_n - γ))`. 0 where the sets cannot be had.

    Parameters
    ----------
    sets_of : the gradient sets of any margins.
    values : (N,) f_n(θ̂).
    theta : (d,) θ̂, of ℓ2 norm 1.
    degree : α.
    limits : the largest δ, and the ε that the bound is wanted above.
    """
    excess = degree * (values - float(np.min(values)))
    close = values <= (1.0 + max(WIDEST, limits.support)) * float(np.min(values))
    near, far = np.flatnonzero(close), np.flatnonzero(~close)
    lower = _lifted_bound(sets_of, near, excess, theta, limits)
    if lower <= limits.stationarity or not far.size:
        return lower

    def lengths(some: NDArray[np.intp]) -> FloatArray | None:
        sets = sets_of(some)
        return None if sets is None else sets.lengths()

    reach = limits.complementarity * weight_reach(far, lengths, excess, theta, 2.0)
    if lower - reach <= limits.stationarity and values.size * theta.size <= ALL_WEIGHTS_ENTRIES:
        return _lifted_bound(sets_of, np.arange(values.size), excess, theta, limits)
    return max(0.0, lower - reach)


def _lifted_bound(
    sets_of: SetsOf,
    indices: NDArray[np.intp],
    excess: FloatArray,
    theta: FloatArray,
    limits: Tolerances,
) -> float:
    sets = sets_of(indices) if indices.size <= CLARKE_ROWS else None
    if sets is None:
        return 0.0
    lower = balanced_stationarity(sets, theta, excess[indices]).lower
    return math.sqrt(max(0.0, lower**2 - limits.complementarity**2))


def where_of(kinks: list[Kink]) -> str:
    """Say in words which kinks these are."""
    units = len({(kink.layer, kink.unit) for kink in kinks})
    return f"on a kink ({units} unit{'s' if units > 1 else ''}, nearest at {min(kinks)})"


def at_slope_zero(found: LicqReport | None) -> LicqReport | None:
    """Say that a report speaks of the elements with slope 0 at the kinks."""
    return None if found is None else replace(found, of=GradientChoice.SLOPE_ZERO)


def stated_notes(certificate: Certificate) -> tuple[str, ...]:
    """Return the reasons that do not speak of stationarity at slope 0."""
    return tuple(why for why in certificate.reasons if why.startswith("the stated margin"))
