"""Lexicographic levels in the ℓ1 and ℓ∞ balls, proven by a chain of dual vectors (Definition 5)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from lexmargin.judge.levels.level_face import LevelDual, LevelFace, Mask
from lexmargin.linalg.norms import Array, unit_scale
from lexmargin.linalg.rounding import EPS

__all__ = ["LevelProof", "checked_levels", "compared", "prove_levels"]

_ROUNDING: Final = 4.0 * EPS
"""Of the comparison itself: levels are doubles."""


@final
@dataclass(frozen=True, eq=False)
class LevelProof:
    """How many smallest margins of θ are proven to be those of the optimum, up to a tolerance.

    Attributes:
        values: the levels asked for, at θ.
        proven: how many of them, from the first on.
        gap: the largest proven distance of a level from its optimum, in units of the first margin;
            of the first level that is not proven, where there is one.
        optimum: the value that the first unproven level has at the optimum; None where it is not
            known.
    """

    values: tuple[float, ...]
    proven: int
    gap: float
    optimum: float | None = None


def prove_levels(
    Z: Array,
    theta: Array,
    norm: float,
    count: int,
    tolerance: float,
    known: Sequence[Array] = (),
) -> tuple[LevelProof, tuple[Array, ...]]:
    """Prove by duality, level by level, that linear margins `Z θ` are lexicographically best.

    At a level with free samples U, fixed samples F at values v, and t = min_U f: for λ ≥ 0 with
    `Σ_U λ_n = 1` every θ' of the ball with `f_n ≥ v_n` on F has
    `min_U f_n(θ') ≤ ‖Zᵀλ‖_* - Σ_F λ_n v_n`. Where that is t + gap, a free n has
    `f_n(θ') ≤ f_n(θ) + gap/λ_n` in every optimum. A point near θ is moved onto what the levels so
    far hold; levels after it count only where it reaches them as well as doubles can, and then
    those of θ are compared with its own.

    Parameters
    ----------
    Z : (N, d) rows z_n.
    theta : (d,) a unit vector of the norm (ℓ1 or ℓ∞).
    norm : 1 or `math.inf`.
    count : how many smallest margins are asked for.
    tolerance : largest gap of a level, in units of the first margin.
    known : λ (N,) that somebody claims for the levels, in their order; measured first.

    Returns
    -------
    LevelProof, tuple of (N,)
        and the weights λ of each level, which :func:`checked_levels` then accepts.
    """
    from lexmargin.judge.levels.level_duals import claimed_dual, level_dual

    kept: list[Array] = []
    wanted = min(count, len(Z))

    def begun(face: LevelFace) -> _NextLevel:
        kept.clear()
        claims = [unit_scale(np.maximum(one, 0.0)) for one in known]

        def next_level(free: Mask) -> LevelDual:
            # What is claimed of samples that are settled here has no level of its own.
            while claims and not 2.0 * np.sum(claims[0][free]) > np.sum(claims[0]):
                del claims[0]
            dual = claimed_dual(face, free, claims[0]) if claims else None
            if dual is None:
                # As it is read again, so that both walks see the same weights.
                dual = face.measured(np.maximum(level_dual(face, free).weights, 0.0), free)
            else:
                del claims[0]
            kept.append(dual.weights)
            return dual

        return next_level

    proof = _walk(Z, theta, norm, begun, count, tolerance)
    if len(known) > 1 and proof.proven < wanted:
        # Claims that hold for their level may leave less room for the next ones than weights that
        # are sought: they may prove sooner, and never less.
        sought, own = prove_levels(Z, theta, norm, count, tolerance)
        if sought.proven > proof.proven:
            return sought, own
    return proof, tuple(kept)


def checked_levels(
    Z: Array, theta: Array, norm: float, count: int, tolerance: float, chain: Sequence[Array]
) -> LevelProof:
    """Return how many smallest margins the weights prove, with NumPy alone (Def. 5).

    As :func:`prove_levels`, with the weights of the levels given. Weights of samples whose margin
    the levels before settle are passed over.
    """

    def begun(face: LevelFace) -> _NextLevel:
        rest = iter(chain)

        def next_level(free: Mask) -> LevelDual | None:
            for weights in rest:
                if np.any(weights < 0.0):
                    return None
                if np.any(weights[free] > 0.0):
                    return face.measured(unit_scale(weights), free)
            return None

        return next_level

    return _walk(Z, theta, norm, begun, count, tolerance)


_NextLevel = Callable[[Mask], LevelDual | None]


def _walk(
    Z: Array,
    theta: Array,
    norm: float,
    begun: Callable[[LevelFace], _NextLevel],
    count: int,
    tolerance: float,
) -> LevelProof:
    """Return what the levels prove; all of them are measured at the last point.

    Where that lost one of them, they are measured at every point on the way.
    """
    face = LevelFace(Z, theta, norm)
    proof = _walked(face, begun(face), count, tolerance)
    if not face.reached(tolerance):
        face = LevelFace(Z, theta, norm, strict=True)
        proof = _walked(face, begun(face), count, tolerance)
    return proof


def _walked(face: LevelFace, next_level: _NextLevel, count: int, tolerance: float) -> LevelProof:
    given = np.sort(face.given)[:count]
    values = tuple(float(v) for v in np.ldexp(given, face.exponent))
    first = missed = math.inf
    while face.sharp and face.bounds()[0].size < count:
        free = ~face.known
        dual = next_level(free)
        if dual is None:
            break
        missed = dual.gap / face.unit
        first = first if face.held else missed
        if not missed <= tolerance:
            break
        missed = math.inf
        if not face.hold(dual, free, tolerance):
            break
    if not first <= tolerance:
        return LevelProof(values, 0, first)
    low, high = face.bounds()
    found = compared(given, low, high, tolerance)
    # Level 1 is what its own bound says, wherever the point is moved.
    if given.size == 1 and not found.proven:
        return LevelProof(values, 1, first)
    gap = missed if found.proven == low.size < given.size else found.gap
    best = found.optimum
    scaled = None if best is None else float(np.ldexp(best, face.exponent))
    return LevelProof(values, max(1, found.proven), gap, scaled)


def compared(given: Array, low: Array, high: Array, tolerance: float) -> LevelProof:
    """Compare levels with the intervals that those of the optimum lie in.

    Parameters
    ----------
    given : (k,) the levels of θ, ascending; the first is the unit.
    low, high : (m,) the intervals of the first m levels.
    tolerance : the largest distance of a level that is proven.
    """
    size = min(given.size, low.size)
    errors = np.maximum(high[:size] - given[:size], given[:size] - low[:size])
    errors = np.maximum(errors, 0.0) / given[0] + _ROUNDING
    proven = int(np.argmin(np.append(errors <= tolerance, False)))
    if proven == size:
        return LevelProof(tuple(given), proven, float(np.max(errors, initial=0.0)))
    middle = 0.5 * (low[proven] + high[proven])
    surely = high[proven] - low[proven] <= tolerance * given[0]
    return LevelProof(tuple(given), proven, float(errors[proven]), middle if surely else None)
