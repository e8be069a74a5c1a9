"""Multipliers of the levels of Definition 5 for linear margins in the ℓ1 or ℓ∞ ball.

A linear program over the face of the levels before guesses them; nothing it says is believed. The
proof of a level is one vector λ ≥ 0 of all margins, and its gap is measured on the whole ball.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.certificate.norms import Array, dual_exponent, vector_norm
from lexmargin.certificate.polyhedral import smallest_dual_norm

__all__ = ["LevelDual", "LevelDuals"]

_EPS: Final = float(np.finfo(np.float64).eps)
_POSITIVE: Final = 1e-9
_RANK: Final = 1e-9
_ZERO: Final = 1e-12
_TIGHT: Final = 1e-6
_OPTIONS: Final = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}

Mask = NDArray[np.bool_]


@final
@dataclass(frozen=True, eq=False)
class LevelDual:
    """λ ≥ 0 (N,) with Σ_U λ_n = 1 over the free samples U, and what it proves.

    For every θ' of the ball with ``f_n(θ') ≥ f_n(θ)`` on the fixed samples,
    ``min_U f_n(θ') ≤ min_U f_n(θ) + gap``, because
    ``gap = ‖Zᵀλ‖_* - θ·Zᵀλ + Σ_U λ_n (f_n(θ) - min_U f)``; rounding is counted in.
    """

    weights: Array
    gap: float


@final
@dataclass(frozen=True, eq=False)
class _Equality:
    """A level that holds with equality from now on: its proof, samples and coordinates."""

    weights: Array
    pull: Array
    samples: NDArray[np.int64]
    exposed: NDArray[np.int64]


@final
@dataclass(eq=False)
class LevelDuals:
    """The levels of a point θ, proven one after another; margins in units of ``2^exponent``.

    A later level may need multipliers of either sign on what earlier levels hold fixed. They are
    found on the face where those hold with equality, and made non-negative by adding multiples of
    the proofs of the earlier levels, whose own gaps are thereby counted again.

    Attributes:
        Z: (N, d) rows z_n.
        theta: (d,) the point, of norm 1.
        norm: 1 or inf.
    """

    Z: Array
    theta: Array
    norm: float
    _held: list[_Equality] = field(default_factory=list)

    def __post_init__(self) -> None:
        # Rows beside the signs of an ℓ1 face, in one system: of one size whatever the data's unit.
        self.exponent = math.frexp(float(np.max(np.abs(self.Z), initial=0.0)))[1]
        half = self.exponent // 2
        self.Z = np.ldexp(np.ldexp(self.Z, -half), half - self.exponent)
        self.values = self.Z @ self.theta
        self._reach = np.abs(self.Z) @ np.abs(self.theta)
        self._core: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._exposed = np.zeros(self.theta.size, dtype=bool)
        self._signs = np.where(self.theta < 0.0, -1.0, 1.0)
        self._basis = np.eye(self.theta.size)
        self._constant: dict[int, Array] = {}

    # -- proofs -----------------------------------------------------------------------------------

    def level(self, free: Mask) -> LevelDual:
        """Return the proof of the level of the free samples, as good as it could be found."""
        chosen = np.flatnonzero(free)
        known = self._constant.get(int(chosen[np.argmin(self.values[chosen])]))
        if known is not None:
            return self.measured(self._made_positive(known), free)
        if not self._held:
            guess = smallest_dual_norm(self.Z, np.zeros(self.values.size), self.norm, free)
            bound = self._exposed_by(guess @ self.Z)
        else:
            guess, bound = self._on_face(free)
        guess = np.where(guess > _POSITIVE, guess, 0.0)
        found = self.measured(self._absorbed(guess, free, bound), free)
        return found if self._held else min(found, self.measured(guess, free), key=_gap)

    def measured(self, weights: Array, free: Mask) -> LevelDual:
        """Return what λ ≥ 0 proves of the free samples, scaled to Σ_U λ_n = 1."""
        total = float(np.sum(weights[free]))
        if not (total > 0.0 and math.isfinite(float(np.sum(weights)))):
            return LevelDual(weights, math.inf)
        used, size = np.flatnonzero(weights), np.abs(self.theta)
        # Multiples of earlier proofs cancel in Zᵀλ: the longest floats there are keep its digits.
        pull = weights[used].astype(np.longdouble) @ self.Z[used]
        pressed = np.sum(np.abs(pull)) if self.norm != 1.0 else np.max(np.abs(pull))
        excess = max(0.0, float(pressed - pull @ self.theta))
        rest = float(weights[free] @ (self.values[free] - np.min(self.values[free])))
        # Of the sums in Zᵀλ, of their norm and of their product with θ, each at its worst.
        spread = weights[used] @ np.abs(self.Z[used])
        rounding = (used.size + 2) * vector_norm(spread, dual_exponent(self.norm))
        rounding += (used.size + 2 * size.size + 2) * float(spread @ size)
        rounding *= float(np.finfo(np.longdouble).eps)
        rounding += 2.0 * _EPS * (size.size + 2) * float(weights[free] @ self._reach[free])
        return LevelDual(weights / total, (excess + rest + rounding) / total)

    def hold(self, dual: LevelDual, samples: NDArray[np.int64]) -> None:
        """Keep a level with equality: its samples at their values, the ball where it is tight."""
        if all(int(n) in self._constant for n in samples):
            return
        pull = dual.weights @ self.Z
        exposed = self._exposed_by(pull) & ~self._exposed
        if not self._held and self.norm == 1.0:
            self._signs = np.where(pull < 0.0, -1.0, 1.0)
        self._held.append(_Equality(dual.weights, pull, samples, np.flatnonzero(exposed)))
        self._exposed |= exposed
        self._core = np.concatenate([self._core, samples])
        self._basis = self._null_space()
        self._note_constants()

    def _note_constants(self) -> None:
        """Write the rows that are constant on the face as combinations of the rows held."""
        fresh = np.array([n for n in range(self.values.size) if n not in self._constant], dtype=int)
        fresh = np.setdiff1d(fresh, self._core)
        slopes = vector_lengths(self.Z[fresh] @ self._basis)
        still = fresh[slopes <= _RANK * vector_lengths(self.Z[fresh])]
        if not still.size:
            return
        quiet = ~self._exposed
        system = self.Z[self._core][:, quiet].T
        if self.norm == 1.0:
            system = np.hstack([system, -self._signs[quiet, None]])
        missing = -self.Z[still][:, quiet].T
        signed = np.zeros((self.values.size, still.size))
        signed[still, np.arange(still.size)] = 1.0
        for _ in range(2):
            step = np.linalg.lstsq(system, missing, rcond=_ZERO)[0]
            signed[self._core] += step[: self._core.size]
            missing = missing - system @ step
        self._constant |= {int(n): signed[:, k] for k, n in enumerate(still)}

    # -- the face ---------------------------------------------------------------------------------

    def _exposed_by(self, pull: Array) -> Mask:
        """Return the coordinates that every maximiser of pull·θ in the ball has at a bound."""
        size = np.abs(pull)
        top = float(np.max(size, initial=0.0))
        if self.norm == 1.0:
            return np.asarray(size < (1.0 - _POSITIVE) * top)
        return np.asarray(size > _POSITIVE * top)

    def _null_space(self) -> Array:
        from scipy.linalg import qr

        rows = self.Z[self._core]
        if self.norm == 1.0:
            rows = np.vstack([rows, self._signs])
        open_ = np.flatnonzero(~self._exposed)
        rows = rows[:, open_]
        lengths = vector_lengths(rows)
        used = lengths > 0.0
        inner = np.eye(open_.size)
        if open_.size and np.any(used):
            factor, triangle, _ = qr((rows[used] / lengths[used, None]).T, pivoting=True)
            rank = int(np.count_nonzero(np.abs(np.diagonal(triangle)) > _RANK))
            inner = factor[:, rank:]
        basis = np.zeros((self.theta.size, inner.shape[1]))
        basis[open_] = inner
        return basis

    def _on_face(self, free: Mask) -> tuple[Array, Mask]:
        """Return λ of the free samples and the bounds with a multiplier, by one linear program."""
        from scipy.optimize import linprog

        chosen = np.flatnonzero(free)
        guess, bound = np.zeros(self.values.size), np.zeros(self.theta.size, dtype=bool)
        smallest = chosen[int(np.argmin(self.values[chosen]))]
        guess[smallest] = 1.0
        if self._basis.shape[1] == 0:
            return guess, bound
        slopes = self.Z[chosen] @ self._basis
        scale = float(np.max(vector_lengths(slopes), initial=0.0)) or 1.0
        lengths = vector_lengths(self._basis)
        moving = np.flatnonzero(lengths > _RANK)
        steps = self._basis[moving] / lengths[moving, None]
        low, high = self._room(moving)
        count = slopes.shape[1]
        spare = (self.values[chosen] - self.values[smallest]) / scale
        rises = np.hstack([-slopes / scale, np.ones((chosen.size, 1))])
        still = np.zeros((moving.size, 1))
        matrix = np.vstack([rises, np.hstack([steps, still]), np.hstack([-steps, still])])
        sides = np.concatenate([spare, high / lengths[moving], low / lengths[moving]])
        # Where θ is best, the rows that are tight there have the multipliers of all.
        for most in (_TIGHT, np.finfo(np.float64).max):
            kept = sides <= most
            answer = linprog(
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
        bound[moving[pushes > _POSITIVE]] = True
        return guess, bound

    def _room(self, moving: NDArray[np.int64]) -> tuple[Array, Array]:
        """Return how far the coordinates can fall and rise within the ball."""
        x = self.theta[moving]
        if self.norm == 1.0:
            toward = self._signs[moving]
            inside = np.maximum(toward * x, 0.0)
            low = np.where(toward > 0.0, inside, np.inf)
            return low, np.where(toward > 0.0, np.inf, inside)
        return np.maximum(1.0 + x, 0.0), np.maximum(1.0 - x, 0.0)

    # -- from the face to the whole ball ----------------------------------------------------------

    def _absorbed(self, guess: Array, free: Mask, bound: Mask) -> Array:
        """Return λ with its pull cancelled wherever the ball does not push back, λ ≥ 0.

        The samples of earlier levels take multipliers of either sign by least squares; then
        multiples of the earlier proofs make all of them non-negative.
        """
        quiet = ~(self._exposed | bound)
        support = np.flatnonzero((guess > 0.0) & free)
        columns = np.concatenate([self._core, support])
        system = self.Z[columns][:, quiet].T
        missing = -(guess @ self.Z)[quiet]
        if self.norm == 1.0:
            system = np.hstack([system, -self._signs[quiet, None]])
        # The weights of the free samples still sum to 1.
        total = np.concatenate([np.zeros(self._core.size), np.ones(support.size)])
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
        return self._made_positive(signed)

    def _made_positive(self, signed: Array) -> Array:
        """Add multiples of the earlier proofs, the latest first, until λ ≥ 0 and the ball holds."""
        weights = signed
        pull = weights @ self.Z
        for level, held in reversed(list(enumerate(self._held))):
            needed = -weights[held.samples] / held.weights[held.samples]
            most = float(np.max(needed, initial=0.0))
            pushed = held.exposed
            if self.norm == 1.0:
                along = float(pull @ self.theta)
                top = float(np.max(np.abs(held.pull)))
                room = top - np.abs(held.pull[pushed])
                most = max(most, float(np.max((np.abs(pull[pushed]) - along) / room, initial=0.0)))
                if level == 0:
                    most = max(most, -along / top)
            else:
                wrong = -pull[pushed] * np.sign(held.pull[pushed]) / np.abs(held.pull[pushed])
                most = max(most, float(np.max(wrong, initial=0.0)))
            if most > 0.0:
                weights = weights + most * held.weights
                pull = pull + most * held.pull
        return np.maximum(weights, 0.0)


def _gap(dual: LevelDual) -> float:
    return dual.gap


def vector_lengths(rows: Array) -> Array:
    """Return the Euclidean length of every row."""
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", rows, rows)))
