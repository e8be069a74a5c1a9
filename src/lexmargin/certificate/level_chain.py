"""The chain of dual vectors behind lexicographic levels, kept so that it can be checked again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lexmargin.certificate.level_duals import LevelDual, LevelDuals, Mask
from lexmargin.certificate.norms import Array, unit_scale
from lexmargin.certificate.staged import LevelProof

__all__ = ["checked_levels", "recorded_levels"]


def recorded_levels(
    Z: Array, theta: Array, norm: float, count: int, tolerance: float
) -> tuple[Array, ...]:
    """Return the weights λ (N,) of each level that :func:`checked_levels` then accepts (Def. 5).

    Parameters
    ----------
    Z : (N, d) rows z_n of linear margin functions.
    theta : (d,) a unit vector of the norm (ℓ1 or ℓ∞).
    norm : 1 or `math.inf`.
    count : how many smallest margins are asked for.
    tolerance : largest gap of a level, in units of the first margin.
    """
    duals = LevelDuals(Z, theta, norm)
    kept: list[Array] = []

    def next_level(free: Mask) -> LevelDual:
        dual = duals.level(free)
        kept.append(np.maximum(dual.weights, 0.0))
        return dual

    _walk(duals, next_level, count, tolerance, hold=True)
    return tuple(kept)


def checked_levels(
    Z: Array, theta: Array, norm: float, count: int, tolerance: float, chain: Sequence[Array]
) -> LevelProof:
    """Return how many smallest margins the weights prove, with NumPy alone (Def. 5).

    Level by level: for λ ≥ 0 with Σ_U λ_n = 1 over the free samples U, every θ' of the ball with
    `f_n(θ') ≥ f_n(θ)` on the fixed samples has `min_U f_n(θ') ≤ min_U f_n(θ) + gap`.
    """
    duals = LevelDuals(Z, theta, norm)
    rest = iter(chain)

    def next_level(free: Mask) -> LevelDual | None:
        weights = next(rest, None)
        if weights is None or np.any(weights < 0.0):
            return None
        return duals.measured(unit_scale(weights), free)

    return _walk(duals, next_level, count, tolerance, hold=False)


def _walk(
    duals: LevelDuals,
    next_level: Callable[[Mask], LevelDual | None],
    count: int,
    tolerance: float,
    *,
    hold: bool,
) -> LevelProof:
    margins = duals.values
    wanted = np.sort(margins)[:count]
    unit = float(wanted[0])
    fixed = np.zeros(margins.size, dtype=bool)
    worst, proven = 0.0, 0
    while proven < count and not np.all(fixed):
        level = float(np.min(margins[~fixed]))
        dual = next_level(~fixed)
        if dual is None:
            break
        worst = max(worst, dual.gap / unit)
        if not dual.gap <= tolerance * unit:
            break
        close = ~fixed & (margins <= level + 10.0 * tolerance * unit)
        tight = close & (dual.weights > 0.0) & (dual.gap <= tolerance * unit * dual.weights)
        if not np.any(tight):
            break
        fixed |= tight
        if hold:
            duals.hold(dual, np.flatnonzero(tight))
        proven = int(np.count_nonzero(fixed))
    levels = tuple(float(v) for v in np.ldexp(wanted, duals.exponent))
    return LevelProof(levels, min(proven, count), worst)
