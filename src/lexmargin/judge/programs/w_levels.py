"""The W-set beyond stationarity of its first level: a global bound, and the levels after it.

``min ‖w_2‖²`` over the points with ``f_n ≥ 1`` and ``‖w_1‖² ≤ v_1``, v_1 the value of level 1, has
no interior: a multiplier of the cap need not exist at the optimum (two points on a line and a free
bias have none), so KKT with the cap is not necessary. With w_1 held where it is, KKT of the
remaining blocks is; and where level 1 is convex, w_1 is the only one and nothing is lost.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from lexmargin.formulations.kkt import Kkt
from lexmargin.formulations.levels import Proof
from lexmargin.judge.bounds.held import HeldScores, ZeroCost
from lexmargin.judge.bounds.parts import Parts
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.first_order import Measured, first_order
from lexmargin.judge.multipliers.fritz_john import fritz_john
from lexmargin.judge.multipliers.multiplier_set import normalised_rows
from lexmargin.judge.proved import with_proved
from lexmargin.judge.reasons import UNQUALIFIED, filled
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.unmeasured import blank
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.nonnegative import nonnegative
from lexmargin.linalg.norms import Array, vector_norm

__all__ = ["judge_later_level", "proofs_of_levels"]


def proofs_of_levels(kkts: tuple[Kkt, ...], certificate: Certificate) -> tuple[Proof, ...]:
    """Return what each level rests on: a bound that stands, or nothing but a local solver.

    Args:
        kkts: one record per level, at one point.
        certificate: of this point.
    """
    word, limits = certificate.verdict, certificate.tolerances
    if word is Verdict.GLOBAL:
        return (Proof.DUAL,) * len(kkts)
    if certificate.feasibility > limits.feasibility:
        return (Proof.LOCAL,) * len(kkts)
    free = next((k for k, kkt in enumerate(kkts) if not ZeroCost().applies(kkt)), len(kkts))
    found = [Proof.DUAL] * free + [Proof.LOCAL] * (len(kkts) - free)
    if free == 0 and word.stationary and Parts().applies(kkts[0]):
        least = Parts().prove(kkts[0], certificate.multipliers)
        if least is not None and least.gap(certificate.margin) <= limits.gap:
            found[0] = Proof.DUAL
    return tuple(found)


# -- the levels after a positive one ---------------------------------------------------------------


def judge_later_level(kkt: Kkt, limits: Tolerances, unique: bool) -> Certificate:
    """Judge ``‖w_j‖²`` of a level after a positive one, the parts before it held where they are.

    ``(w_j, 0, …, 0) = Σ λ_n (∇_j f_n, …, ∇_K f_n)``, λ ≥ 0 where f_n(w) = 1. It is necessary at an
    optimum unless the gradients on the right combine to 0. For biases after a linear part the least
    value is known: ``|β|`` of the β nearest to 0 in the interval that the held scores leave.

    Args:
        kkt: of the level.
        limits: what counts as equal.
        unique: the held parts are shown to be the only ones.

    Returns:
        GLOBAL, KKT, UNDECIDED or NOT_STATIONARY, with ε relative to ‖w_j‖ and, where a bound
        stands, the relative distance of ‖w_j‖² from its least value as the gap.
    """
    values, moving, size = kkt.values, ~kkt.held, vector_norm(kkt.target, 2.0)
    table = [bound for bound in (ZeroCost(), HeldScores()) if bound.applies(kkt)]
    least = table[0].prove(kkt, np.zeros(values.size)) if table else None
    active = np.flatnonzero(values <= 1.0 + limits.support)
    jacobian, target = kkt.jacobian[:, moving], kkt.target[moving]
    residual = _misfit(jacobian[active], target) / size if size > 0.0 else 0.0
    lower, missed, qualified = 0.0, "", True
    if least is not None and least.gap(kkt.margin) > limits.gap:
        stated = f"‖w_{(kkt.part or 0) + 1}‖² = {size**2:.9g}"
        missed = f"{stated}, and {least.value:.9g} is enough"
    elif least is not None and unique and size**2 <= limits.gap:
        residual = min(residual, size**2)
    if residual > limits.stationarity:
        # Constraints that the moving blocks do not touch qualify nothing and forbid nothing.
        touched = active[np.any(jacobian[active] != 0.0, axis=1)]
        qualified = not (touched.size and fritz_john(jacobian[touched], limits.stationarity).holds)
        # With the other samples at the price of their slack: neither ε nor δ can be small.
        priced = np.column_stack([jacobian, (values - 1.0) / size])
        wider = _misfit(priced, np.append(target, 0.0)) / size
        lower = math.sqrt(max(0.0, wider**2 - limits.complementarity**2))
    known = Measured(residual=residual, lower=lower, floor=0.0, missed=missed)
    word, reasons = first_order(known, limits)
    if not (qualified or missed):
        word, reasons = Verdict.UNDECIDED, (filled(UNQUALIFIED, residual),)
    found = replace(blank(word, values, 2.0, limits, reasons), stationarity=residual)
    if least is None or not (word.stationary and (unique or size == 0.0)):
        return found
    return with_proved(found, least, kkt.margin, rises=unique)


def _misfit(rows: Array, target: Array) -> float:
    """Return ``min_{λ ≥ 0} ‖target - rowsᵀλ‖``, rows of any size, in NumPy alone."""
    unit, _ = normalised_rows(rows)
    return vector_norm(target - nonnegative(unit.T, target) @ unit, 2.0)
