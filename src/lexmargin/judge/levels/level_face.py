"""The face of the ℓ1 or ℓ∞ ball that proven levels leave, and a point of it (Definition 5).

NumPy alone: receipts are checked here. A level is held by its weights λ; what they force on every
lexicographic optimum θ* (margins of the samples with λ_n > 0, coordinates at a bound of the ball)
holds for the point kept here up to rounding, and for θ* up to the gap of the level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.linalg.norms import Array, dual_exponent, vector_norm
from lexmargin.linalg.rounding import EPS, LONG_EPS
from lexmargin.linalg.rows import dual_lengths, row_lengths

__all__ = ["POSITIVE", "Held", "LevelDual", "LevelFace", "Mask"]

POSITIVE: Final = 1e-9
"""Share of the largest entry above which an entry of `Zᵀλ` is one: programs leave 1e-10."""

_RANK: Final = 1e-9
"""A row that moves less than this, relative to its length, is constant; its motion is counted."""
_STILL: Final = 1e-13
"""One that moves more than this has a level of its own, though it is hardly seen: none after it."""
_ZERO: Final = 1e-12
"""Singular values below this are rounding of rows of unit length."""
_ROUNDING: Final = 64.0
"""So many roundings of its sums away, a level is reached as well as doubles can."""
_FINE: Final = math.sqrt(LONG_EPS / EPS)
"""Long floats tell levels apart by this much finer, with digits to spare for their own rounding."""
_REPAIRS: Final = 8
"""Every repair pins coordinates or ties samples; a vertex that needs more is left alone."""

Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]


@final
@dataclass(frozen=True, eq=False)
class LevelDual:
    """λ ≥ 0 (N,) with Σ_U λ_n = 1 over the free samples U, and what it proves at a point x.

    For every θ' of the ball with ``f_n(θ') ≥ f_n(x)`` on the other samples of λ,
    ``min_U f_n(θ') ≤ min_U f_n(x) + gap``, because
    ``gap = ‖Zᵀλ‖_* - x·Zᵀλ + Σ_U λ_n (f_n(x) - min_U f)``; its own ``rounding`` is counted in.
    ``noise`` is what x and λ of doubles can add to it.
    """

    weights: Array
    gap: float
    noise: float = 0.0
    rounding: float = 0.0

    @property
    def sharp(self) -> bool:
        """Whether the gap is that of x and λ in long floats."""
        return self.gap <= _FINE * self.noise + 2.0 * self.rounding


@final
@dataclass(frozen=True, eq=False)
class Held:
    """A level that holds with equality: its λ and free samples, Zᵀλ, and what they fix.

    ``fine`` is λ in long floats, so that Zᵀλ is 0 where the ball does not push back: a double's
    rounding there, over the smallest weight, would be the error of a margin.
    """

    weights: Array
    fine: Any
    free: Mask
    pull: Array
    samples: Indices
    exposed: Indices


@final
class LevelFace:
    """The levels of a point, held one after another; margins in units of ``2^exponent``.

    Attributes:
        Z: (N, d) rows z_n, the largest entry in [1/2, 1).
        norm: 1 or inf.
        given: (N,) margins of the point that was given, of norm 1; ``unit`` is the smallest.
        point, values: (d,) a point of the face near it, and its margins (N,).
        held: the levels so far.
        core, exposed, signs: the samples of all of them, the coordinates at a bound, sign Zᵀλ.
        basis: (d, m) directions that change none of them.
        known: (N,) the samples with one margin at all optima.
        errors: (N,) by how much that margin may differ from ``values``; inf where not known.
        sharp: the levels held are reached as well as doubles can.
        strict: all levels are measured again at every point, not at the last one alone.
    """

    def __init__(self, Z: Array, theta: Array, norm: float, *, strict: bool = False) -> None:
        # Rows beside the signs of an ℓ1 face, in one system: of one size whatever the data's unit.
        self.exponent = math.frexp(float(np.max(np.abs(Z), initial=0.0)))[1]
        half = self.exponent // 2
        self.Z = np.ldexp(np.ldexp(Z, -half), half - self.exponent)
        self.norm, self.strict = norm, strict
        self.held: list[Held] = []
        self.core: Indices = np.zeros(0, dtype=np.int64)
        self.exposed: Mask = np.zeros(theta.size, dtype=bool)
        self.signs = np.where(theta < 0.0, -1.0, 1.0)
        self.basis = np.eye(theta.size)
        self.known: Mask = np.zeros(Z.shape[0], dtype=bool)
        self.errors = np.full(Z.shape[0], math.inf)
        self.sharp = True
        self._slacks: list[float] = []
        self._low = np.full(Z.shape[0], -math.inf)
        self._settled_at = np.zeros(Z.shape[0])
        self._move(theta)
        self.given = self.values
        self.unit = float(np.min(self.values))

    def _move(self, point: Any) -> None:
        """Go to a point, kept in long floats too: see :class:`Held`."""
        self._long = point.astype(np.longdouble)
        self.point = np.asarray(point, dtype=np.float64)
        self.values = self.Z @ self.point
        self._reach = np.abs(self.Z) @ np.abs(self.point)
        size = (np.sum if self.norm == 1.0 else np.max)(np.abs(self._long))
        self._beyond = max(0.0, float(size - 1.0))

    # -- what λ proves ----------------------------------------------------------------------------

    def measured(self, weights: Any, free: Mask) -> LevelDual:
        """Return what λ ≥ 0 proves of the free samples, scaled to Σ_U λ_n = 1; λ in any floats."""
        total = float(np.sum(weights[free]))
        if not (total > 0.0 and math.isfinite(float(np.sum(weights)))):
            return LevelDual(weights, math.inf)
        used, size = np.flatnonzero(weights), np.abs(self.point)
        # Multiples of earlier proofs cancel in Zᵀλ: the longest floats there are keep its digits.
        share = weights[used].astype(np.longdouble)
        pull = share @ self.Z[used]
        pressed = np.sum(np.abs(pull)) if self.norm != 1.0 else np.max(np.abs(pull))
        excess = max(0.0, float(pressed - pull @ self._long)) + self._beyond * float(pressed)
        counted = share * free[used]
        least, reach = self._least(free)
        rest = max(0.0, float(counted @ (self.Z[used] @ self._long - least)))
        # Of the sums in Zᵀλ, of their norm and of their product with x, each at its worst.
        spread = np.asarray(share, dtype=np.float64) @ np.abs(self.Z[used])
        longest, along = vector_norm(spread, dual_exponent(self.norm)), float(spread @ size)
        rounding = (used.size + 2) * longest + (2 * used.size + 4 * size.size + 4) * along
        rounding += (size.size + 2) * reach * total
        noise = _ROUNDING * EPS * (longest + along)
        gap = excess + rest + LONG_EPS * rounding
        scaled = np.asarray(weights / total, dtype=np.float64)
        return LevelDual(scaled, gap / total, noise / total, LONG_EPS * rounding / total)

    def _least(self, free: Mask) -> tuple[Any, float]:
        """Return min_U f in long floats, and Σ_j |z_nj x_j| of the samples that may have it."""
        noise = 2.0 * EPS * (self.point.size + 2) * self._reach
        limit = np.min(self.values[free] + noise[free])
        near = np.flatnonzero(free & (self.values - noise <= limit))
        return np.min(self.Z[near] @ self._long), float(np.max(self._reach[near]))

    # -- holding a level --------------------------------------------------------------------------

    def hold(self, dual: LevelDual, free: Mask, tolerance: float) -> bool:
        """Keep a level with equality, at a point that has it; False where none is found.

        A sample is held where ``gap/λ_n`` is within the tolerance, in units of the first margin.
        """
        limit, before, count = tolerance * self.unit, self._long, len(self.held)
        close = free & (self.values <= np.min(self.values[free]) + 10.0 * limit)
        tight = close & (dual.weights > 0.0) & (dual.gap <= limit * dual.weights)
        if not np.any(tight):
            # The point may be what is inexact, not the weights: it is moved before it is measured.
            tight = close & (dual.weights > POSITIVE * float(np.max(dual.weights[free])))
        self.extend(dual, free, np.flatnonzero(tight))
        self._move(self._repaired())
        held = self.held if self.strict else self.held[-1:]
        gaps = [self.measured(level.fine, level.free) for level in held]
        last = gaps[-1]
        surely = np.any(tight) and bool(np.all(last.gap <= limit * last.weights[tight]))
        if not surely or any(found.gap > limit for found in gaps):
            self._move(before)
            del self.held[count:]
            return False
        self.sharp = self.sharp and all(found.sharp for found in gaps)
        self._settle(last)
        return True

    def reached(self, tolerance: float) -> bool:
        """Say whether the point has all levels held, as well as when each of them was.

        The last one has been measured there.
        """
        gaps = [self.measured(level.fine, level.free) for level in self.held[:-1]]
        return all(x.gap <= tolerance * self.unit and (x.sharp or not self.sharp) for x in gaps)

    def extend(self, dual: LevelDual, free: Mask, samples: Indices) -> None:
        """Add a level to the equalities of the face, unless it has them; the point stays."""
        if self.held and not np.any(self._moving(samples)):
            return
        pull = dual.weights @ self.Z
        exposed = self.exposed_by(pull) & ~self.exposed
        if self.norm != 1.0:
            self.signs = np.where(exposed, np.where(pull < 0.0, -1.0, 1.0), self.signs)
        elif not self.held:
            self.signs = np.where(pull < 0.0, -1.0, 1.0)
        self.exposed = self.exposed | exposed
        fine = self._refined(dual.weights, free)
        found = Held(dual.weights, fine, free.copy(), pull, samples, np.flatnonzero(exposed))
        self.held.append(found)
        self.core = np.concatenate([self.core, samples])
        self.basis = self._null_space()

    def _refined(self, weights: Array, free: Mask) -> Any:
        """Return λ in long floats, changed least so that Zᵀλ is 0, or even, where it has to be."""
        used, quiet = np.flatnonzero(weights), ~self.exposed
        fine = weights.astype(np.longdouble)
        system = self.Z[used][:, quiet].T
        if self.norm == 1.0:
            system = np.hstack([system, -self.signs[quiet, None]])
        total = np.zeros(system.shape[1])
        total[: used.size] = free[used]
        system = np.vstack([system, total])
        top = np.longdouble(0.0)
        for _ in range(3):
            missing = -(fine[used] @ self.Z[used])[quiet]
            if self.norm == 1.0:
                missing = missing + self.signs[quiet] * top
            right = np.append(missing, 1.0 - np.sum(fine[free]))
            step = np.linalg.lstsq(system, np.asarray(right, dtype=np.float64), rcond=_ZERO)[0]
            fine[used] += step[: used.size]
            top += step[used.size] if self.norm == 1.0 else 0.0
        if np.any(fine < 0.0) or np.any(np.abs(fine - weights) > _RANK):
            return weights.astype(np.longdouble)
        return fine

    def exposed_by(self, pull: Array) -> Mask:
        """Return the coordinates that every maximiser of pull·θ in the ball has at a bound.

        In the ℓ1 ball after level 1: of the maximisers whose signs are those of level 1.
        """
        size = np.abs(pull)
        top = float(np.max(size, initial=0.0))
        if self.norm == 1.0:
            toward = self.signs * pull if self.held else size
            return np.asarray(toward < (1.0 - POSITIVE) * top)
        return np.asarray(size > POSITIVE * top)

    def _null_space(self) -> Array:
        rows = self._equalities(~self.exposed)
        open_ = np.flatnonzero(~self.exposed)
        lengths = row_lengths(rows)
        rows = rows[lengths > 0.0] / lengths[lengths > 0.0, None]
        inner = np.eye(open_.size)
        if open_.size and rows.shape[0]:
            # From the right singular vectors of a square matrix, however many rows there are.
            _, values, right = np.linalg.svd(np.linalg.qr(rows, mode="r"), full_matrices=True)
            rank = int(np.count_nonzero(values > _RANK * float(values[0])))
            inner = right[rank:].T
        basis = np.zeros((self.point.size, inner.shape[1]))
        basis[open_] = inner
        return basis

    def _moving(self, samples: Indices, share: float = _RANK) -> Mask:
        """Say which margins are not constant on the face, relative to the lengths of their rows."""
        rows = self.Z[samples]
        return np.asarray(row_lengths(rows @ self.basis) > share * row_lengths(rows))

    def _equalities(self, open_: Mask) -> Array:
        rows = self.Z[self.core][:, open_]
        return np.vstack([rows, self.signs[open_]]) if self.norm == 1.0 else rows

    # -- a point of the face ----------------------------------------------------------------------

    def _repaired(self) -> Any:
        """Return the nearest point with all equalities; bounds and samples it violates are added.

        Nothing is taken from it on trust: every level is measured again at the point.
        """
        point, pinned = self._long.copy(), np.zeros(self.point.size, dtype=bool)
        last = len(self.held) - 1
        samples = self.core
        levels = np.repeat(np.arange(last + 1), [level.samples.size for level in self.held])
        for _ in range(_REPAIRS):
            bound = self.exposed | pinned
            point[bound] = 0.0 if self.norm == 1.0 else self.signs[bound]
            point = self._solved(point, ~bound, samples, levels)
            if self.norm == 1.0:
                outside = ~bound & (self.signs * point < 0.0)
            else:
                outside = ~bound & (np.abs(point) > 1.0)
                self.signs = np.where(outside, np.sign(point), self.signs)
            values = self.Z @ np.asarray(point, dtype=np.float64)
            level = float(np.min(values[self.held[last].samples], initial=math.inf))
            below = self.held[last].free & (values < level - 8.0 * EPS * self._reach)
            below[samples] = False
            if not np.any(outside) and not np.any(below):
                break
            pinned |= outside
            samples = np.concatenate([samples, np.flatnonzero(below)])
            levels = np.concatenate([levels, np.full(int(np.sum(below)), last)])
        else:
            return self._long
        return point

    def _solved(self, point: Any, open_: Mask, samples: Indices, levels: Indices) -> Any:
        """Change the open coordinates least so that the samples of every level are equal."""
        rows = self.Z[samples][:, open_]
        # By the whole rows: what moves of them may be nothing.
        size = np.maximum(row_lengths(self.Z[samples]), _ZERO)
        system = np.zeros((samples.size, int(np.sum(open_)) + len(self.held)))
        system[:, : rows.shape[1]] = rows / size[:, None]
        system[np.arange(samples.size), rows.shape[1] + levels] = -1.0 / size
        if self.norm == 1.0:
            ones = np.concatenate([self.signs[open_], np.zeros(len(self.held))])
            system = np.vstack([system, ones / max(1.0, math.sqrt(rows.shape[1]))])
        found = point.copy()
        heights = np.zeros(len(self.held), dtype=np.longdouble)
        for _ in range(3):
            missing = (heights[levels] - self.Z[samples] @ found) / size
            if self.norm == 1.0:
                rest = (1.0 - found @ self.signs) / max(1.0, math.sqrt(rows.shape[1]))
                missing = np.append(missing, rest)
            right = np.asarray(missing, dtype=np.float64)
            step = np.linalg.lstsq(system, right, rcond=_ZERO)[0]
            found[open_] += step[: rows.shape[1]]
            heights += step[rows.shape[1] :]
        return found

    # -- the margins that the levels settle -------------------------------------------------------

    def _settle(self, dual: LevelDual) -> None:
        """Bound the margins of θ* on the samples of the last level and on what they span.

        At θ* the level leaves ``Σ_U λ_n (f_n - level) + ‖Zᵀλ‖_* - θ*·Zᵀλ ≤ slack``: its gap, and
        what the samples before may lie lower there than here; twice that where the level itself may
        be lower there.
        """
        last = self.held[-1]
        fixed = ~last.free & (dual.weights > 0.0)
        slack = dual.gap + float(dual.weights[fixed] @ (self.values[fixed] - self._low[fixed]))
        level = float(np.min(self.values[last.free]))
        first = not self._slacks
        self._slacks.append(slack if first else 2.0 * slack)
        self._low[last.samples] = level if first else level - dual.gap
        above = self.values[last.samples] - level
        self._note(last.samples, above + self._slacks[-1] / dual.weights[last.samples])
        rest = np.flatnonzero(~self.known)
        still = rest[~self._moving(rest)]
        if still.size:
            self._note(still, self._spanned(still))
            self._low[still] = self.values[still] - self.errors[still]
            self.sharp = self.sharp and not np.any(self._moving(still, _STILL))

    def _note(self, samples: Indices, errors: Array) -> None:
        self.known[samples] = True
        self.errors[samples] = errors
        self._settled_at[samples] = self.values[samples]

    def _spanned(self, still: Indices) -> Array:
        """Return the errors of margins that are combinations of what the levels hold."""
        open_ = ~self.exposed
        rows, aims = self._equalities(open_), self.Z[still]
        size = np.maximum(row_lengths(rows), _ZERO)
        scaled = (rows / size[:, None]).T
        shares = np.linalg.lstsq(scaled, aims[:, open_].T, rcond=_ZERO)[0]
        shares += np.linalg.lstsq(scaled, aims[:, open_].T - scaled @ shares, rcond=_ZERO)[0]
        shares /= size[:, None]
        left = aims[:, open_] - shares.T @ rows
        # θ* and the point differ by at most 2 in the norm of the ball.
        found = 2.0 * dual_lengths(left, self.norm)
        beside = np.zeros(still.size)
        own = np.abs(shares[: self.core.size])
        outer = np.abs(aims - shares[: self.core.size].T @ self.Z[self.core])
        first, loose = 0, 0.0
        for level, slack in zip(self.held, self._slacks, strict=True):
            part = own[first : first + level.samples.size]
            first += level.samples.size
            weights = level.weights[level.samples, None]
            above = self.values[level.samples] - float(np.min(self.values[level.free]))
            found += slack * (np.sum(part, axis=0) + np.max(part / weights, axis=0, initial=0.0))
            found += np.maximum(above, 0.0) @ part
            size = np.abs(level.pull[level.exposed])
            if self.norm == 1.0:
                toward = (self.signs * level.pull)[level.exposed]
                size = float(np.max(np.abs(level.pull))) - toward
            found += slack * np.max(outer[:, level.exposed] / size, axis=1, initial=0.0)
            loose += slack / float(np.min(size, initial=1.0))
        if self.norm == 1.0:
            # The open coordinates sum to 1 at the point, and to no more and hardly less at θ*.
            against = self._slacks[0] / float(np.max(np.abs(self.held[0].pull)))
            loose += against
            loose += abs(1.0 - float(self.signs[open_] @ self.point[open_]))
            beside = loose * np.abs(shares[-1])
            # A coordinate of the other sign than that of level 1 is no larger than this.
            beside += against * np.max(outer, axis=1, initial=0.0)
        return found + beside + 2.0 * EPS * (self.point.size + 2) * self._reach[still]

    def bounds(self) -> tuple[Array, Array]:
        """Return intervals of the sorted margins of θ*, as many as are known from below on."""
        errors = self.errors + np.abs(self.values - self._settled_at)
        low = np.where(self.known, self.values - errors, math.inf)
        bar = math.inf
        if not np.all(self.known):
            # The next level is no lower than here; unless this point is only near the face.
            bar = float(np.min(self.values[~self.known])) if self.sharp else self.unit
            low[~self.known] = bar
        below = self.known & (self.values <= bar * (1.0 + 4.0 * EPS))
        high = np.sort((self.values + errors)[below])
        return np.sort(low)[: high.size], high
