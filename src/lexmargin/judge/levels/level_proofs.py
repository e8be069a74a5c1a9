"""Certificates of the lexicographic max margin (Definition 5), level by level."""

from __future__ import annotations

import math
from dataclasses import replace

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
    "levels_word",
    "ordered_margins",
    "with_levels",
    "with_ordered_levels",
]


def with_ordered_levels(
    kkt: Kkt,
    found: Certificate,
    limits: Tolerances,
    given: Evidence | None = None,
    claim: Array | None = None,
) -> Certificate:
    """Extend the certificate of level 1 to the smallest margins in order (Definition 5).

    ``given``: the chain of duals of a receipt, or the multipliers of level 1. ``claim``: (L, N) λ
    of the levels, in their order, measured before any are sought.
    """
    unit, values, Z = ordered_margins(kkt)
    count = kkt.ordered or values.size
    if given is None:
        return with_levels(found, Z, unit, values, count, limits, claim)
    found = replace(found, levels=tuple(float(v) for v in np.sort(values)[:count]))
    if not found.verdict.stationary or count == 1:
        return found
    rows = level_rows(kkt.functions) if found.verdict is Verdict.GLOBAL else None
    if rows is None:
        word = Verdict.KKT if found.verdict is Verdict.GLOBAL else found.verdict
        return replace(found, verdict=word, reasons=(f"level 1: {found.reasons[0]}",))
    if 1.0 < kkt.norm < math.inf:
        proof = curved_levels(rows, unit, kkt.norm, count, limits.gap, given.multipliers)
        if given.long and affordable(*rows.shape):
            proof = long_levels(rows, unit, kkt.norm, count, limits.gap, given.long) or proof
    else:
        unit = unit / vector_norm(unit, kkt.norm)
        proof = checked_levels(rows, unit, kkt.norm, count, limits.gap, given.levels)
    found = replace(found, levels_gap=proof.gap)
    if proof.proven >= count:
        why = f"{found.reasons[0]}; duality proves all {count} levels"
        return replace(found, reasons=(why, *found.reasons[1:]))
    why = f"level {proof.proven + 1} is not proven by what is given"
    return replace(found, verdict=Verdict.UNDECIDED, reasons=(why,))


def level_rows(functions: MarginFunctions) -> Array | None:
    """Return Z (N, d) where levels are proven: linear f_n, and not too many of them."""
    if not functions.linear or functions.count * functions.size > LEVEL_ENTRIES:
        return None
    return functions.jacobian(np.zeros(functions.size))


def ordered_margins(kkt: Kkt) -> tuple[Array, Array, Array | None]:
    """Return the point (d,), f_n of its direction (N,), and Z (N, d) where f_n are linear."""
    functions, alpha = kkt.functions, kkt.degree
    if alpha is None:
        return kkt.point, functions.values(kkt.point), None
    at = Kkt(functions=functions, point=unit_scale(kkt.point), norm=kkt.norm)
    values = at.values / vector_norm(at.point, kkt.norm) ** alpha
    return at.point, values, at.jacobian if functions.linear else None


def with_levels(
    found: Certificate,
    Z: Array | None,
    theta: Array,
    values: Array,
    count: int,
    limits: Tolerances,
    claim: Array | None = None,
) -> Certificate:
    """Extend the certificate of level 1 to ``count`` levels.

    GLOBAL stays only where every level is proven to be within the tolerance ``gap`` of its value at
    the optimum, in units of the first margin: for linear f_n by :func:`prove_levels` (ℓ1, ℓ∞) or
    :func:`curved_levels` (1 < p < ∞). Otherwise the word says how far it is proven.
    """
    levels = tuple(float(v) for v in np.sort(values)[:count])
    found = replace(found, levels=levels)
    if not found.verdict.stationary or count == 1:
        return found
    if Z is not None and found.verdict is Verdict.GLOBAL and Z.size <= LEVEL_ENTRIES:
        weights = found.multipliers
        if 1.0 < found.norm < math.inf:
            proof = curved_levels(Z, theta, found.norm, count, limits.gap, weights)
            if proof.proven < count:
                long = found_multipliers(Z, found.norm)
                if long is not None:
                    terms = long.terms
                    proof = long_levels(Z, theta, found.norm, count, limits.gap, terms) or proof
        else:
            unit = theta / vector_norm(theta, found.norm)
            known = [weights]
            if claim is not None and claim.ndim == 2 and claim.shape[1] == values.size:
                known.extend(claim[1:][np.all(np.isfinite(claim[1:]), axis=1)])
            proof, _ = prove_levels(Z, unit, found.norm, count, limits.gap, known)
            if proof.proven < count and affordable(*Z.shape):
                exact = exact_levels(Z, found.norm, theta, count)
                gap = None if isinstance(exact, str) else exact.gap
                if gap is not None and gap <= limits.gap:
                    proof = LevelProof(proof.values, count, gap)
        word, why = levels_word(proof, count)
        if word is Verdict.GLOBAL:
            return replace(found, reasons=(*found.reasons, why))
        return replace(found, verdict=word, reasons=(why, *found.reasons))
    why = "the verdict speaks of level 1; later levels are recomputed, not judged"
    word = Verdict.KKT if found.verdict is Verdict.GLOBAL else found.verdict
    return replace(found, verdict=word, reasons=(*found.reasons, why))


def levels_word(proof: LevelProof, count: int) -> tuple[Verdict, str]:
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
