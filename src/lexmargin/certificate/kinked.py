"""The verdict at a kink, from one element of the generalised gradient per support sample."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lexmargin.certificate.certificate import Certificate
from lexmargin.certificate.clarke import Clarke, GradientSets, clarke_stationarity
from lexmargin.certificate.multipliers import spread
from lexmargin.certificate.qualification import GradientChoice, LicqReport
from lexmargin.certificate.verdict import Verdict
from lexmargin.ops.base import FloatArray

__all__ = ["at_slope_zero", "judged_at_kink", "stated_notes"]


def judged_at_kink(
    certificate: Certificate,
    sets: GradientSets,
    theta: FloatArray,
    degree: float,
    values: FloatArray,
    where: str,
) -> tuple[Certificate, Clarke]:
    """Judge θ̂ anew with the generalised gradients; a smooth verdict never survives this.

    Parameters
    ----------
    certificate : the certificate with slope 0 at every kink.
    sets : the generalised gradients of its support, or sets that contain them.
    theta : (d,) θ̂, of ℓ2 norm 1.
    degree : α.
    values : (S,) f_n(θ̂) of the support.
    where : which kink, in words.
    """
    clarke = clarke_stationarity(sets, theta)
    excess = np.maximum(values - np.min(values), 0.0)
    complementarity = degree * float(clarke.multipliers @ excess)
    verdict, why = _judged(clarke, complementarity, certificate)
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
        stationarity_bound=clarke.lower,
        complementarity=complementarity,
        multipliers=multipliers,
        euler=degree * certificate.margin * float(np.sum(clarke.multipliers)),
        multiplier_dimension=None,
        multiplier_range=None,
        licq=at_slope_zero(certificate.licq),
        reasons=(f"{where}: {why}", *stated_notes(certificate)),
    )
    return found, clarke


def at_slope_zero(found: LicqReport | None) -> LicqReport | None:
    """Say that a report speaks of the elements with slope 0 at the kinks."""
    return None if found is None else replace(found, of=GradientChoice.SLOPE_ZERO)


def _judged(
    clarke: Clarke, complementarity: float, certificate: Certificate
) -> tuple[Verdict, str]:
    limits = certificate.tolerances
    if clarke.lower > limits.stationarity:
        return Verdict.NOT_STATIONARY, (
            f"ε is at least {clarke.lower:.3g} for every λ ≥ 0 and every element of the "
            f"generalised gradients (tolerance {limits.stationarity:.0e})"
        )
    if clarke.floor > limits.stationarity:
        return Verdict.UNDECIDED, f"rounding alone may change ε by {clarke.floor:.3g}"
    if clarke.residual > limits.stationarity:
        return Verdict.UNDECIDED, (
            f"ε = {clarke.residual:.3g} misses its tolerance {limits.stationarity:.0e}, and no "
            f"better than {clarke.lower:.3g} is proven from below"
        )
    if complementarity > limits.complementarity:
        return Verdict.UNDECIDED, f"δ = {complementarity:.3g} misses its tolerance"
    return Verdict.CLARKE_KKT, (
        "stationary with one element of the generalised gradient per support sample"
    )


def stated_notes(certificate: Certificate) -> tuple[str, ...]:
    """Return the reasons that do not speak of stationarity at slope 0."""
    return tuple(why for why in certificate.reasons if why.startswith("the stated margin"))
