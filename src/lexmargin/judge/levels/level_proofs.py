"""Certificates of the lexicographic max margin (Definition 5), level by level."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np

from lexmargin.formulations.kkt import Kkt
from lexmargin.inputs.limits import LEVEL_ENTRIES
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.given import Evidence
from lexmargin.judge.levels.exact_levels import exact_levels
from lexmargin.judge.levels.level_chain import (
    LevelProof,
    checked_levels,
    compared,
    prove_levels,
)
from lexmargin.judge.levels.level_curved import long_norm, margin_errors
from lexmargin.judge.levels.long_words import found_multipliers, long_levels
from lexmargin.judge.proved import BoundMethod
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array, unit_scale, vector_norm
from lexmargin.margins import MarginFunctions
from lexmargin.separation.long_measures import affordable

__all__ = [
    "curved_levels",
    "level_rows",
    "with_ordered_levels",
]

_RECOMPUTED: Final = "the verdict speaks of level 1; later levels are recomputed, not judged"


def with_ordered_levels(
    kkt: Kkt,
    found: Certificate,
    limits: Tolerances,
    given: Evidence | None = None,
    claim: Array | None = None,
) -> Certificate:
    """Extend the certificate of level 1 to the smallest margins in order (Definition 5).

    GLOBAL stays only where every level is proven to be within the tolerance ``gap`` of its value at
    the optimum, in units of the first margin: for linear f_n by :func:`prove_levels` (ℓ1, ℓ∞) or
    :func:`curved_levels` (1 < p < ∞). Otherwise the word says how far it is proven.

    ``given``: the chain of duals of a receipt, or the multipliers of level 1. ``claim``: (L, N) λ
    of the levels, in their order, measured before any are sought.
    """
    alpha, at, size = kkt.degree, kkt, 1.0
    if alpha is not None:
        at = Kkt(functions=kkt.functions, point=unit_scale(kkt.point), norm=kkt.norm)
        size = vector_norm(at.point, kkt.norm) ** alpha
    levels = np.sort(at.values)[: kkt.ordered] / size
    found, count = replace(found, levels=tuple(levels.tolist())), levels.size
    if not found.verdict.stationary or count == 1:
        return found
    if found.verdict is not Verdict.GLOBAL or not _are_proven(kkt.functions):
        word = Verdict.KKT if found.verdict is Verdict.GLOBAL else found.verdict
        reasons = (*found.reasons, _RECOMPUTED)
        if given is not None:
            reasons = (f"level 1: {found.reasons[0]}",)
        return replace(found, verdict=word, reasons=reasons)
    if given is None:
        proof = _sought(found, at.jacobian, at.point, count, claim)
        reached, why = _word(proof, count)
        if reached is Verdict.GLOBAL:
            return replace(found, reasons=(*found.reasons, why))
        return replace(found, verdict=reached, reasons=(why, *found.reasons))
    proof = _given(given, at.jacobian, at.point, kkt.norm, count, limits.gap)
    found = replace(found, levels_gap=proof.gap)
    if proof.proven >= count:
        why = f"{found.reasons[0]}; duality proves all {count} levels"
        return replace(found, reasons=(why, *found.reasons[1:]))
    why = f"level {proof.proven + 1} is not proven by what is given"
    return replace(found, verdict=Verdict.UNDECIDED, reasons=(why,))


def _are_proven(functions: MarginFunctions) -> bool:
    """Say whether levels are proven: of linear f_n, and not too many of them."""
    return functions.linear and functions.count * functions.size <= LEVEL_ENTRIES


def level_rows(functions: MarginFunctions) -> Array | None:
    """Return Z (N, d) where levels are proven."""
    return functions.jacobian(np.zeros(functions.size)) if _are_proven(functions) else None


def _given(
    given: Evidence, Z: Array, theta: Array, norm: float, count: int, tolerance: float
) -> LevelProof:
    if not 1.0 < norm < math.inf:
        unit = theta / vector_norm(theta, norm)
        return checked_levels(Z, unit, norm, count, tolerance, given.levels)
    proof = curved_levels(Z, theta, norm, count, tolerance, given.multipliers)
    if given.long and affordable(*Z.shape):
        proof = long_levels(Z, theta, norm, count, tolerance, given.long) or proof
    return proof


def _sought(
    found: Certificate, Z: Array, theta: Array, count: int, claim: Array | None
) -> LevelProof:
    norm, gap, weights = found.norm, found.tolerances.gap, found.multipliers
    if 1.0 < norm < math.inf:
        proof = curved_levels(Z, theta, norm, count, gap, weights)
        if proof.proven < count:
            long = found_multipliers(Z, norm)
            if long is not None:
                proof = long_levels(Z, theta, norm, count, gap, long.terms) or proof
        return proof
    known = [weights]
    if claim is not None and claim.ndim == 2 and claim.shape[1] == weights.size:
        known.extend(claim[1:][np.all(np.isfinite(claim[1:]), axis=1)])
    proof, _ = prove_levels(Z, theta / vector_norm(theta, norm), norm, count, gap, known)
    if proof.proven < count and affordable(*Z.shape):
        exact = exact_levels(Z, norm, theta, count)
        reached = None if isinstance(exact, str) else exact.gap
        if reached is not None and reached <= gap:
            proof = LevelProof(proof.values, count, reached)
    return proof


def _word(proof: LevelProof, count: int) -> tuple[Verdict, str]:
    """Return the word and the reason for levels of which the first has the max margin."""
    if proof.proven >= count:
        why = f"all {count} levels are within {proof.gap:.3g} of the optimum's"
        return Verdict.GLOBAL, f"{why} ({BoundMethod.LEVELS})"
    level, value = proof.proven + 1, proof.values[proof.proven]
    if proof.optimum is not None:
        return Verdict.UNDECIDED, (
            f"level {level} is {value:.9g} and {proof.optimum:.9g} at the optimum: "
            "it changes by more than the tolerance within that of the levels before"
        )
    if math.isinf(proof.gap):
        return (
            Verdict.UNDECIDED,
            f"level {level} can be raised or is not proven: no bound was found",
        )
    return Verdict.UNDECIDED, (
        f"level {level} can be raised or is not proven: it may be {proof.gap:.3g} of the margin "
        "away from the optimum's"
    )


def curved_levels(
    Z: Array, theta: Array, norm: float, count: int, tolerance: float, multipliers: Array
) -> LevelProof:
    """Prove the levels of a strictly convex ball (1 < p < ∞), with NumPy alone.

    One direction θ* has the max margin, and its margins are those of θ up to
    :func:`~lexmargin.judge.levels.level_curved.margin_errors`.

    Parameters
    ----------
    Z : (N, d) rows z_n.
    theta : (d,) at any scale.
    norm : 1 < p < ∞.
    count : how many smallest margins are asked for.
    tolerance : largest distance of a level, in units of the first margin.
    multipliers : (N,) λ ≥ 0 of level 1, which is proven by itself.
    """
    # As long as the rows may be, their rounding and that of a unit vector are none of the error.
    long = unit_scale(theta).astype(np.longdouble)
    margins = np.asarray(Z @ (long / long_norm(long, norm)), dtype=np.float64)
    errors = margin_errors(Z, theta, norm, multipliers)
    low, high = np.sort(margins - errors)[:count], np.sort(margins + errors)[:count]
    proof = compared(np.sort(margins)[:count], low, high, tolerance)
    return replace(proof, proven=max(1, proof.proven))
