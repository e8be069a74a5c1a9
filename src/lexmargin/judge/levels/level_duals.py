"""Multipliers of the levels of Definition 5 for linear margins in the ℓ1 or ℓ∞ ball.

A linear program over the face of the levels before guesses them; nothing it says is believed. The
proof of a level is one vector λ ≥ 0 of all margins, and its gap is measured on the whole ball. A
later level may need multipliers of either sign on what earlier levels hold fixed. They are found on
the face where those hold with equality, and made non-negative by adding multiples of the proofs of
the earlier levels, whose own gaps are thereby counted again.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from lexmargin.judge.levels.level_face import POSITIVE, LevelDual, LevelFace, Mask
from lexmargin.judge.multipliers.polyhedral import smallest_dual_norm
from lexmargin.linalg.guarded import linear_program
from lexmargin.linalg.norms import Array
from lexmargin.linalg.rows import row_lengths

__all__ = ["claimed_dual", "level_dual", "made_positive"]

_RANK: Final = 1e-9
"""A coordinate that moves less than this on the face is fixed there."""
_ZERO: Final = 1e-12
"""Singular values below this are rounding of rows of unit length."""
_TIGHT: Final = 1e-6
"""Constraints with more room than this are left out of the first program: θ is near a vertex."""
_OPTIONS: Final = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
"""The tightest that HiGHS takes: looser multipliers only prove less, they are measured
afterwards."""


def level_dual(face: LevelFace, free: Mask) -> LevelDual:
    """Return the proof of the level of the free samples, as good as it could be found.

    Args:
        face: what the levels before hold, and the point.
        free: (N,) the samples in competition.
    """
    if not face.held:
        guess = smallest_dual_norm(face.Z, np.zeros(face.values.size), face.norm, free)
        bound = face.exposed_by(guess @ face.Z)
    else:
        guess, bound = _on_face(face, free)
    guess = np.where(guess > POSITIVE, guess, 0.0)
    found = face.measured(_absorbed(face, guess, free, bound), free)
    return found if face.held else min(found, face.measured(guess, free), key=_gap)


def claimed_dual(face: LevelFace, free: Mask, claim: Array) -> LevelDual | None:
    """Return what claimed multipliers of the free samples prove; None if not the whole level.

    Those of the earlier samples are completed; every entry at a bound of the ball may be pushed.
    """
    if not face.held:
        given = face.measured(claim, free)
    else:
        size = np.abs(face.point)
        low, high = POSITIVE * np.max(size), (1.0 - POSITIVE) * np.max(size)
        bound = size <= low if face.norm == 1.0 else size >= high
        given = face.measured(_absorbed(face, np.where(free, claim, 0.0), free, bound), free)
    return given if given.gap <= given.noise else None


def _on_face(face: LevelFace, free: Mask) -> tuple[Array, Mask]:
    """Return λ of the free samples and the bounds with a multiplier, by one linear program."""
    chosen = np.flatnonzero(free)
    guess, bound = np.zeros(face.values.size), np.zeros(face.point.size, dtype=bool)
    smallest = chosen[int(np.argmin(face.values[chosen]))]
    guess[smallest] = 1.0
    if face.basis.shape[1] == 0:
        return guess, bound
    slopes = face.Z[chosen] @ face.basis
    scale = float(np.max(row_lengths(slopes), initial=0.0)) or 1.0
    lengths = row_lengths(face.basis)
    moving = np.flatnonzero(lengths > _RANK)
    steps = face.basis[moving] / lengths[moving, None]
    low, high = _room(face, moving)
    count = slopes.shape[1]
    spare = (face.values[chosen] - face.values[smallest]) / scale
    rises = np.hstack([-slopes / scale, np.ones((chosen.size, 1))])
    still = np.zeros((moving.size, 1))
    matrix = np.vstack([rises, np.hstack([steps, still]), np.hstack([-steps, still])])
    sides = np.concatenate([spare, high / lengths[moving], low / lengths[moving]])
    # Where θ is best, the rows that are tight there have the multipliers of all.
    for most in (_TIGHT, np.finfo(np.float64).max):
        kept = sides <= most
        answer = linear_program(
            np.append(np.zeros(count), -1.0),
            A_ub=matrix[kept],
            b_ub=sides[kept],
            bounds=(None, None),
            method="highs",
            options=_OPTIONS,
        )
        if answer.x is not None:
            break
    else:
        return guess, bound
    duals = np.zeros(sides.size)
    duals[kept] = np.maximum(-np.asarray(answer.ineqlin.marginals), 0.0)
    weights = duals[: chosen.size]
    total = float(np.sum(weights))
    if not total > 0.5:
        return guess, bound
    guess[smallest] = 0.0
    guess[chosen] = weights / total
    pushes = duals[chosen.size : chosen.size + moving.size] + duals[chosen.size + moving.size :]
    bound[moving[pushes > POSITIVE]] = True
    return guess, bound


def _room(face: LevelFace, moving: NDArray[np.int64]) -> tuple[Array, Array]:
    """Return how far the coordinates can fall and rise within the ball."""
    x = face.point[moving]
    if face.norm == 1.0:
        toward = face.signs[moving]
        inside = np.maximum(toward * x, 0.0)
        low = np.where(toward > 0.0, inside, np.inf)
        return low, np.where(toward > 0.0, np.inf, inside)
    return np.maximum(1.0 + x, 0.0), np.maximum(1.0 - x, 0.0)


# -- from the face to the whole ball ---------------------------------------------------------------


def _absorbed(face: LevelFace, guess: Array, free: Mask, bound: Mask) -> Array:
    """Return λ with its pull cancelled wherever the ball does not push back, λ ≥ 0.

    The samples of earlier levels take multipliers of either sign by least squares; then
    multiples of the earlier proofs make all of them non-negative.
    """
    quiet = ~(face.exposed | bound)
    support = np.flatnonzero((guess > 0.0) & free)
    columns = np.concatenate([face.core, support])
    system = face.Z[columns][:, quiet].T
    missing = -(guess @ face.Z)[quiet]
    if face.norm == 1.0:
        system = np.hstack([system, -face.signs[quiet, None]])
    # The weights of the free samples still sum to 1.
    total = np.concatenate([np.zeros(face.core.size), np.ones(support.size)])
    total = np.append(total, np.zeros(system.shape[1] - columns.size))
    size = float(np.max(np.abs(system), initial=0.0)) or 1.0
    system = np.vstack([system, size * total])
    missing = np.append(missing, size * (1.0 - float(np.sum(guess[free]))))
    signed = guess.copy()
    for _ in range(2):
        step = np.linalg.lstsq(system, missing, rcond=_ZERO)[0]
        np.add.at(signed, columns, step[: columns.size])
        missing = missing - system @ step
    signed[free] = np.maximum(signed[free], 0.0)
    return made_positive(face, signed)


def made_positive(face: LevelFace, signed: Array) -> Array:
    """Add multiples of the earlier proofs, the latest first, until λ ≥ 0 and the ball holds."""
    weights = signed
    pull = weights @ face.Z
    for level, held in reversed(list(enumerate(face.held))):
        needed = -weights[held.samples] / held.weights[held.samples]
        most = float(np.max(needed, initial=0.0))
        pushed = held.exposed
        if face.norm == 1.0:
            along, signs = float(pull @ face.point), face.signs
            top = float(np.max(np.abs(held.pull)))
            toward, push = signs * pull, signs * held.pull
            most = max(most, _most(toward[pushed] - along, top - push[pushed]))
            # What pulls against the signs is met by level 1 where no later level does.
            every = pushed if level else np.arange(pull.size)
            most = max(most, _most(-toward[every] - along, top + push[every]))
            if level == 0:
                most = max(most, -along / top)
        else:
            wrong = -pull[pushed] * np.sign(held.pull[pushed]) / np.abs(held.pull[pushed])
            most = max(most, float(np.max(wrong, initial=0.0)))
        if most > 0.0:
            weights = weights + most * held.weights
            pull = pull + most * held.pull
    return np.maximum(weights, 0.0)


def _most(wanted: Array, room: Array) -> float:
    """Return the largest ratio, of those whose room is more than rounding."""
    useful = room > POSITIVE * np.max(room, initial=0.0)
    return float(np.max(wanted[useful] / room[useful], initial=0.0))


def _gap(dual: LevelDual) -> float:
    return dual.gap
