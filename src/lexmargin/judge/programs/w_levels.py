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
from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.bounds.held import HeldScores, ZeroCost
from lexmargin.judge.bounds.parts import Parts
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.first_order import Measured, first_order
from lexmargin.judge.functions.kinks import measure_kinks, samples_of, where_of
from lexmargin.judge.local.clarke import (
    GradientSets,
    gradient_sets,
    least_misfit,
    single_gradients,
)
from lexmargin.judge.multipliers.fritz_john import fritz_john
from lexmargin.judge.proved import with_proved
from lexmargin.judge.reasons import MANY_SLOPES, UNQUALIFIED, Condition, filled
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.unmeasured import blank
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import vector_norm

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
    optimum unless the gradients on the right combine to 0. At kinks elements of the generalised
    gradients take the place of gradients (math §3, *Kinks*). For biases after a linear part the
    least value is known: ``|β|`` of the β nearest to 0 in the interval that the held scores leave.

    Args:
        kkt: of the level.
        limits: what counts as equal.
        unique: the held parts are shown to be the only ones.

    Returns:
        GLOBAL, KKT, CLARKE_KKT, UNDECIDED or NOT_STATIONARY, with ε relative to ‖w_j‖ and, where a
        bound stands, the relative distance of ‖w_j‖² from its least value as the gap.
    """
    values, size = kkt.values, vector_norm(kkt.target, 2.0)
    table = [bound for bound in (ZeroCost(), HeldScores()) if bound.applies(kkt)]
    least = table[0].prove(kkt, np.zeros(values.size)) if table else None
    active = np.flatnonzero(values <= 1.0 + limits.support)
    sets, where = _sets(kkt, active, limits.kink if size > 0.0 else 0.0)
    target = np.where(kkt.held, 0.0, kkt.target)
    residual = least_misfit(sets, target) / size if sets is not None and size > 0.0 else 0.0
    lower, missed, qualified = 0.0, "", True
    if least is not None and least.gap(kkt.margin) > limits.gap:
        stated = f"‖w_{(kkt.part or 0) + 1}‖² = {size**2:.9g}"
        missed = f"{stated}, and {least.value:.9g} is enough"
    elif least is not None and unique and size**2 <= limits.gap:
        residual = min(residual, size**2)
    if sets is None:
        return blank(Verdict.UNDECIDED, values, 2.0, limits, (f"{where}: {MANY_SLOPES}",))
    if residual > limits.stationarity:
        qualified = not _unqualified(sets, limits.stationarity)
        # With the other samples at the price of their slack: neither ε nor δ can be small.
        everyone, beside = _sets(kkt, np.arange(values.size), limits.kink)
        where = where or beside
        if everyone is not None:
            priced = everyone.lifted((values - 1.0) / size)
            wider = least_misfit(priced, np.append(target, 0.0)) / size
            lower = math.sqrt(max(0.0, wider**2 - limits.complementarity**2))
    condition = Condition.ELEMENTS if where else Condition.GRADIENTS
    known = Measured(residual=residual, lower=lower, floor=0.0, missed=missed)
    word, reasons = first_order(replace(known, condition=condition, exact=sets.exact), limits)
    if where and not missed:
        reasons = (f"{where}: {reasons[0]}",)
    if not (qualified or missed):
        word, reasons = Verdict.UNDECIDED, (filled(UNQUALIFIED, residual),)
    found = replace(blank(word, values, 2.0, limits, reasons), stationarity=residual)
    if least is None or not (word.stationary and (unique or size == 0.0)):
        return found
    return with_proved(found, least, kkt.margin, rises=unique)


def _sets(kkt: Kkt, indices: Indices, limit: float) -> tuple[GradientSets | None, str]:
    """Return the gradients of some margins by what may move, and on which kinks they are, in words.

    None where elements cannot be chosen.
    """
    functions = kkt.functions
    kinks = measure_kinks(functions, kkt.point, indices) if limit > 0.0 else None
    on = [] if kinks is None else kinks.within(limit, samples_of(functions, indices))
    if not on:
        return single_gradients(kkt.moving[indices]), ""
    sets = gradient_sets(functions, kkt.point, indices, on)
    rows = np.ones(indices.size) if kkt.required is None else 1.0 / kkt.required[indices]
    scaled = None if sets is None else sets.scaled(rows, np.where(kkt.held, 0.0, 1.0))
    return scaled, where_of(on)


def _unqualified(sets: GradientSets, limit: float) -> bool:
    """Tell whether 0 is a combination of elements: then the level may have no multipliers.

    Constraints that the moving blocks do not touch qualify nothing and forbid nothing.
    """
    lengths = sets.lengths()
    touched = np.flatnonzero(lengths > 0.0)
    if not touched.size:
        return False
    sets = sets.of(touched)
    if sets.is_single:
        return fritz_john(sets.base, limit).holds
    unit = sets.scaled(1.0 / lengths[touched], np.ones(sets.base.shape[1]))
    # The least ‖Σ λ g‖² + (Σ λ - 1)² is 0 where some λ ≥ 0 with Σ λ = 1 has Σ λ g = 0.
    aim = np.append(np.zeros(sets.base.shape[1]), 1.0)
    return least_misfit(unit.lifted(np.ones(touched.size)), aim) <= limit
