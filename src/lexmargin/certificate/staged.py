"""Certificates of the lexicographic max margin (Definition 5), level by level."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from lexmargin.certificate.certificate import Certificate
from lexmargin.certificate.level_duals import LevelDuals
from lexmargin.certificate.norms import Array, vector_norm
from lexmargin.certificate.tolerances import Tolerances
from lexmargin.certificate.verdict import Verdict

__all__ = ["LevelProof", "prove_levels", "with_levels"]

_LIMIT = 200_000


@final
@dataclass(frozen=True, eq=False)
class LevelProof:
    """Values of the levels at θ, how many smallest margins are proven best, and the worst gap.

    ``gap`` is in units of the first margin.
    """

    values: tuple[float, ...]
    proven: int
    gap: float


def prove_levels(Z: Array, theta: Array, norm: float, count: int, tolerance: float) -> LevelProof:
    """Prove by duality, level by level, that linear margins `Z θ` are lexicographically best.

    At a level with free samples U, fixed samples F at values v, and t = min_U f: for λ ≥ 0 with
    `Σ_U λ_n = 1` every θ' of the ball with `f_n ≥ v_n` on F has
    `min_U f_n(θ') ≤ ‖Zᵀλ‖_* - Σ_F λ_n v_n`. Where that is t + gap, a free n has
    `f_n(θ') ≤ f_n(θ) + gap/λ_n` in every optimum: it is fixed where this is within the tolerance.

    Parameters
    ----------
    Z : (N, d) rows z_n.
    theta : (d,) a unit vector of the norm (ℓ1 or ℓ∞).
    norm : 1 or `math.inf`.
    count : how many smallest margins are asked for.
    tolerance : largest gap of a level, in units of the first margin.
    """
    duals = LevelDuals(Z, theta, norm)
    margins = duals.values
    wanted = np.sort(margins)[:count]
    unit = float(wanted[0])
    fixed = np.zeros(margins.size, dtype=bool)
    worst, proven = 0.0, 0
    while proven < count and not np.all(fixed):
        level = float(np.min(margins[~fixed]))
        dual = duals.level(~fixed)
        worst = max(worst, dual.gap / unit)
        if not dual.gap <= tolerance * unit:
            break
        close = ~fixed & (margins <= level + 10.0 * tolerance * unit)
        tight = close & (dual.weights > 0.0) & (dual.gap <= tolerance * unit * dual.weights)
        if not np.any(tight):
            break
        fixed |= tight
        duals.hold(dual, np.flatnonzero(tight))
        # Equal margins of samples that are free to rise are proven at later levels.
        proven = int(np.count_nonzero(fixed))
    levels = tuple(float(v) for v in np.ldexp(wanted, duals.exponent))
    return LevelProof(levels, min(proven, count), worst)


def with_levels(
    found: Certificate, Z: Array | None, theta: Array, values: Array, count: int, limits: Tolerances
) -> Certificate:
    """Extend the certificate of level 1 to ``count`` levels.

    GLOBAL stays only where every level is proven: for linear f_n by :func:`prove_levels` (ℓ1, ℓ∞),
    or because a strictly convex ball (1 < p < ∞) has one max-margin direction. Otherwise the word
    speaks of level 1, and says so.
    """
    levels = tuple(float(v) for v in np.sort(values)[:count])
    found = replace(found, levels=levels)
    if not found.verdict.stationary or count == 1:
        return found
    if Z is not None and found.verdict is Verdict.GLOBAL:
        if 1.0 < found.norm < math.inf:
            why = "the max-margin direction is unique: level 1 settles all"
            return replace(found, reasons=(*found.reasons, why))
        if Z.size <= _LIMIT:
            unit = theta / vector_norm(theta, found.norm)
            proof = prove_levels(Z, unit, found.norm, count, limits.gap)
            if proof.proven >= count:
                why = f"duality proves all {count} levels, gap {proof.gap:.3g} of the margin"
                return replace(found, reasons=(*found.reasons, why))
            why = f"level {proof.proven + 1} can be raised or is not proven: gap {proof.gap:.3g}"
            return replace(found, verdict=Verdict.UNDECIDED, reasons=(why, *found.reasons))
    why = "the verdict speaks of level 1; later levels are recomputed, not judged"
    word = Verdict.KKT if found.verdict is Verdict.GLOBAL else found.verdict
    return replace(found, verdict=word, reasons=(*found.reasons, why))
