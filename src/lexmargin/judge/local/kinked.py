"""The verdict at a kink, from one element of the generalised gradient per support sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lexmargin.judge.certificate import Certificate
from lexmargin.judge.local.clarke import Clarke, GradientSets, clarke_stationarity
from lexmargin.judge.multipliers.multiplier_set import spread
from lexmargin.judge.multipliers.qualification import GradientChoice, LicqReport
from lexmargin.judge.supports import WIDEST
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.verdict import Verdict
from lexmargin.ops.base import FloatArray

__all__ = ["SetsOf", "at_slope_zero", "bound_at_kinks", "judged_at_kink", "stated_notes"]

SetsOf = Callable[[NDArray[np.intp]], GradientSets | None]
"""The gradient sets of some margins at θ̂; None where they cannot be had."""

# Least squares over more rows would outlast everything else in a certificate.
_ROWS: Final = 2000
_CHUNK: Final = 256
# As many entries as the ladder takes for weights on all samples.
_ALL_LIMIT: Final = 500_000


def judged_at_kink(
    certificate: Certificate,
    sets: GradientSets,
    theta: FloatArray,
    degree: float,
    values: FloatArray,
    where: str,
    sets_of: SetsOf,
) -> tuple[Certificate, Clarke]:
    """Judge θ̂ anew with the generalised gradients; a smooth verdict never survives this.

    Parameters
    ----------
    certificate : the certificate with slope 0 at every kink.
    sets : the generalised gradients of its support, or sets that contain them.
    theta : (d,) θ̂, of ℓ2 norm 1.
    degree : α.
    values : (N,) f_n(θ̂).
    where : which kink, in words.
    sets_of : the gradient sets of any margins: others than the support may carry weight within δ.
    """
    clarke = clarke_stationarity(sets, theta)
    excess = np.maximum(values - np.min(values), 0.0)[certificate.support]
    complementarity = degree * float(clarke.multipliers @ excess)
    lower, limits = clarke.lower, certificate.tolerances
    if lower > limits.stationarity:
        lower = min(lower, bound_at_kinks(sets_of, values, theta, degree, limits))
    verdict, why = _judged(clarke, complementarity, certificate, lower)
    if not clarke.exact and verdict is Verdict.CLARKE_KKT:
        verdict = Verdict.UNDECIDED
        # A unit that follows others, or a weight that acts twice, may be given slopes here that no
        # limit of gradients has.
        why = "stationary for slopes that need not be those of a generalised gradient"
    multipliers = spread(certificate.support, certificate.multipliers.size, clarke.multipliers)
    multipliers.setflags(write=False)
    found = replace(
        certificate,
        verdict=verdict,
        stationarity=clarke.residual,
        stationarity_bound=lower,
        complementarity=complementarity,
        multipliers=multipliers,
        euler=degree * certificate.margin * float(np.sum(clarke.multipliers)),
        multiplier_dimension=None,
        multiplier_range=None,
        licq=at_slope_zero(certificate.licq),
        reasons=(f"{where}: {why}", *stated_notes(certificate)),
    )
    return found, clarke


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
    reach = 0.0
    for first in range(0, far.size, _CHUNK):
        some = far[first : first + _CHUNK]
        sets = sets_of(some)
        if sets is None:
            return 0.0
        reach = max(reach, limits.complementarity * float(np.max(sets.lengths() / excess[some])))
    if lower - reach <= limits.stationarity and values.size * theta.size <= _ALL_LIMIT:
        return _lifted_bound(sets_of, np.arange(values.size), excess, theta, limits)
    return max(0.0, lower - reach)


def _lifted_bound(
    sets_of: SetsOf,
    indices: NDArray[np.intp],
    excess: FloatArray,
    theta: FloatArray,
    limits: Tolerances,
) -> float:
    sets = sets_of(indices) if indices.size <= _ROWS else None
    if sets is None:
        return 0.0
    lower = clarke_stationarity(sets.lifted(excess[indices]), np.append(theta, 0.0)).lower
    return math.sqrt(max(0.0, lower**2 - limits.complementarity**2))


def at_slope_zero(found: LicqReport | None) -> LicqReport | None:
    """Say that a report speaks of the elements with slope 0 at the kinks."""
    return None if found is None else replace(found, of=GradientChoice.SLOPE_ZERO)


def _judged(
    clarke: Clarke, complementarity: float, certificate: Certificate, lower: float
) -> tuple[Verdict, str]:
    limits = certificate.tolerances
    if lower > limits.stationarity:
        return Verdict.NOT_STATIONARY, (
            f"ε is at least {lower:.3g} for every λ ≥ 0 and every element of the "
            f"generalised gradients (tolerance {limits.stationarity:.0e})"
        )
    if clarke.floor > limits.stationarity:
        return Verdict.UNDECIDED, f"rounding alone may change ε by {clarke.floor:.3g}"
    if clarke.residual > limits.stationarity:
        return Verdict.UNDECIDED, (
            f"ε = {clarke.residual:.3g} misses its tolerance {limits.stationarity:.0e}, and no "
            f"better than {lower:.3g} is proven from below"
        )
    if complementarity > limits.complementarity:
        return Verdict.UNDECIDED, f"δ = {complementarity:.3g} misses its tolerance"
    return Verdict.CLARKE_KKT, (
        "stationary with one element of the generalised gradient per support sample"
    )


def stated_notes(certificate: Certificate) -> tuple[str, ...]:
    """Return the reasons that do not speak of stationarity at slope 0."""
    return tuple(why for why in certificate.reasons if why.startswith("the stated margin"))
