"""The W-set beyond stationarity of its first level: a global bound, and the levels after it.

``min ‖w_2‖²`` over the points with ``f_n ≥ 1`` and ``‖w_1‖² ≤ v_1``, v_1 the value of level 1, has
no interior: a multiplier of the cap need not exist at the optimum (two points on a line and a free
bias have none), so KKT with the cap is not necessary. With w_1 held where it is, KKT of the
remaining blocks is; and where level 1 is convex, w_1 is the only one and nothing is lost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.formulations.kkt import Kkt
from lexmargin.formulations.levels import Proof
from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.bounds.held import HeldScores, ZeroCost
from lexmargin.judge.bounds.parts import Parts
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.functions.kinks import measure_kinks, samples_of
from lexmargin.judge.local.clarke import (
    GradientSets,
    gradient_sets,
    least_misfit,
    single_gradients,
)
from lexmargin.judge.multipliers.fritz_john import fritz_john
from lexmargin.judge.proved import BoundMethod
from lexmargin.judge.reasons import MANY_SLOPES, OTHER_SLOPES
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import vector_norm

__all__ = ["LaterLevel", "judge_later_level", "proofs_of_levels"]


@final
@dataclass(frozen=True)
class LaterLevel:
    """What was found about a level after a positive one, the parts before it held.

    Attributes:
        verdict: GLOBAL, KKT, CLARKE_KKT, UNDECIDED or NOT_STATIONARY.
        residual: ε, relative to ‖w_j‖.
        gap: proven distance of ‖w_j‖² from its least value, relative; None without a bound.
        reason: one line.
    """

    verdict: Verdict
    residual: float
    gap: float | None
    reason: str


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


def judge_later_level(kkt: Kkt, level: int, limits: Tolerances, unique: bool) -> LaterLevel:
    """Judge ``‖w_j‖²`` of a level after a positive one, the parts before it held where they are.

    ``(w_j, 0, …, 0) = Σ λ_n (∇_j f_n, …, ∇_K f_n)``, λ ≥ 0 where f_n(w) = 1. It is necessary at an
    optimum unless the gradients on the right combine to 0. At kinks elements of the generalised
    gradients take the place of gradients (math §3, *Kinks*). For biases after a linear part the
    least value is known: ``|β|`` of the β nearest to 0 in the interval that the held scores leave.

    Args:
        kkt: of the level.
        level: its number, from 0.
        limits: what counts as equal.
        unique: the held parts are shown to be the only ones.
    """
    name, values = f"w_{level + 1}", kkt.values
    size = vector_norm(kkt.target, 2.0)
    best = Verdict.GLOBAL if unique else Verdict.KKT
    if size == 0.0:
        return LaterLevel(best, 0.0, 0.0, f"‖{name}‖ = 0: no point has less ({BoundMethod.ZERO})")
    active = np.flatnonzero(values <= 1.0 + limits.support)
    target = np.where(kkt.held, 0.0, kkt.target)
    sets, kinked = _sets(kkt, active, limits.kink)
    if sets is None:
        return LaterLevel(Verdict.UNDECIDED, math.nan, None, f"level {level + 1}: {MANY_SLOPES}")
    residual = least_misfit(sets, target) / size
    held = HeldScores()
    least = held.prove(kkt, np.zeros(values.size)) if held.applies(kkt) else None
    if least is not None:
        gap = least.gap(kkt.margin)
        if gap > limits.gap:
            enough = f"‖{name}‖² = {size**2:.9g}, and {least.value:.9g} is enough"
            reason = f"level {level + 1}: {enough}"
            return LaterLevel(Verdict.NOT_STATIONARY, residual, None, reason)
        if unique and (residual <= limits.stationarity or size**2 <= limits.gap):
            return LaterLevel(best, min(residual, size**2), gap, least.reason)
    if residual > limits.stationarity:
        if _unqualified(sets, limits.stationarity):
            reason = f"level {level + 1}: no constraint qualification, ε = {residual:.3g}"
            return LaterLevel(Verdict.UNDECIDED, residual, None, reason)
        # With the other samples at the price of their slack: neither ε nor δ can be small.
        everyone, _ = _sets(kkt, np.arange(values.size), limits.kink)
        wider = 0.0
        if everyone is not None:
            priced = everyone.lifted((values - 1.0) / size)
            wider = least_misfit(priced, np.append(target, 0.0)) / size
        least_of = 2.0 * max(limits.stationarity, limits.complementarity)
        word = Verdict.NOT_STATIONARY if wider > least_of else Verdict.UNDECIDED
        reason = f"level {level + 1}: ‖{name}‖ can be reduced with the parts before it held"
        return LaterLevel(word, residual, None, f"{reason}: ε = {residual:.3g}")
    if not sets.exact:
        return LaterLevel(Verdict.UNDECIDED, residual, None, f"level {level + 1}: {OTHER_SLOPES}")
    word, whose = (Verdict.CLARKE_KKT, "Clarke ") if kinked else (Verdict.KKT, "")
    where = "the only one" if unique else "where it is"
    reason = f"level {level + 1}: {whose}KKT with the part before it held {where}"
    return LaterLevel(word, residual, None, reason)


def _sets(kkt: Kkt, indices: Indices, limit: float) -> tuple[GradientSets | None, bool]:
    """Return the gradients of some margins by what may move, and whether some are on kinks.

    None where elements cannot be chosen.
    """
    functions = kkt.functions
    kinks = measure_kinks(functions, kkt.point, indices)
    on = [] if kinks is None else kinks.within(limit, samples_of(functions, indices))
    if not on:
        return single_gradients(kkt.moving[indices]), False
    sets = gradient_sets(functions, kkt.point, indices, on)
    rows = np.ones(indices.size) if kkt.required is None else 1.0 / kkt.required[indices]
    return None if sets is None else sets.scaled(rows, np.where(kkt.held, 0.0, 1.0)), True


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
