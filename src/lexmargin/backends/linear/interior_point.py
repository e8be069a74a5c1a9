"""The hard margin of many rows in up to some thousand columns: interior point, then exact faces.

Every step costs one Cholesky factorisation of the columns' own size, whatever the number of rows
and of supports. Mehrotra's method guesses the active rows; augmented Lagrangian steps on them,
which need no independent rows, bring the answer to rounding level.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from lexmargin.backends.linear.working_set import Restricted
from lexmargin.errors import TimeLimitError
from lexmargin.inputs.limits import PRODUCT_BYTES
from lexmargin.linalg.guarded import packed_cholesky, packed_solved
from lexmargin.linalg.rounding import ROUNDED
from lexmargin.ops.base import FloatArray, IntArray

__all__ = ["interior_point"]

_START: Final = 10.0
"""First slacks and multipliers: of 0.1, 1, 10 and 100 it took the fewest steps (measured)."""
_STEPS: Final = 60
"""Steps at most: 10 to 20 are usual, and 30 where the margin is a thousandth of the rows."""
_CERTAIN: Final = 8
"""Steps without a separator after which inseparability is looked into: most find one in 4."""
_REGULAR: Final = 1e-6
"""Of the rows' inner products, which are at most 1: dependent rows then have one answer, and each
augmented Lagrangian step leaves a share of about this of the error."""
_SOFT: Final = 1e-3
"""The same where violations are allowed at a price: smaller takes more steps, larger leaves rows
in Gordan's vector that do not belong there."""
_NEGLIGIBLE: Final = 1e-2
"""Weight beside the identity below which a row is left out of the curvature (not of the
residuals)."""
_DENSE_SHARE: Final = 1 / 12
"""Share of entries from which dense products are the faster way to inner products (measured)."""
_PAIRS: Final = 1 << 17
"""Pairs of entries that are added at a time: they fit a cache."""
_GAPS: Final = (1e-5, 1e-8, 1e-12)
"""Relative gaps at which the active rows are guessed; most guesses at the first are right."""
_CHANGES: Final = 5
"""Corrections of the active rows at most for one guess; a guess that needs more is a poor one."""
_REFINEMENTS: Final = 30
"""Steps on one guess at most, changes and refinements together."""
_CUT: Final = 1e-3
"""Share of its value that an entry of Gordan's vector keeps, or its row leaves."""


def interior_point(A: Any, y: FloatArray | None, deadline: float = np.inf) -> Restricted | None:
    """Return ``argmin ½‖w‖²  s.t.  A w + y b >= 1``, or None where doubles do not settle it.

    Args:
        A: (m, d) rows of norm at most 1, dense or CSR with sorted columns.
        y: (m,) labels of the free bias, None without one.
        deadline: ``time.monotonic()`` after which it gives up.

    Raises:
        TimeLimitError: the deadline passed before there was an answer.
    """
    system = _System.of(A, y, deadline)
    state = _State.first(system)
    gaps = list(_GAPS)
    for step in range(_STEPS):
        if gaps and state.worst < 1e-4 and state.gap < gaps[0]:
            found = _faces(system, state)
            if found is not None:
                return found
            del gaps[0]
        if not gaps:
            return None
        if step == _CERTAIN and not float(state.values.min()) > 0.0:
            gordan = _gordan(system)
            if gordan is not None:
                return gordan
        moved = state.next(_REGULAR)
        if moved is None:
            return None
        state = moved
    return None


@final
@dataclass(frozen=True, eq=False)
class _System:
    """The rows ``(A, y)`` of (w, b), their products, and weighted sums of their squares."""

    A: Any
    y: FloatArray | None
    deadline: float
    costs: FloatArray
    square: FloatArray

    @staticmethod
    def of(A: Any, y: FloatArray | None, deadline: float) -> _System:
        """Return the system; the one matrix of its size is used again in every step."""
        size = A.shape[1] + (y is not None)
        costs = np.ones(size)
        costs[A.shape[1] :] = 0.0
        return _System(A, y, deadline, costs, np.empty((size, size)))

    @property
    def count(self) -> int:
        return int(self.A.shape[0])

    def values(self, x: FloatArray) -> FloatArray:
        """Return ``A w + y b``."""
        if self.y is None:
            return np.asarray(self.A @ x)
        return np.asarray(self.A @ x[:-1] + self.y * x[-1])

    def combined(self, v: FloatArray) -> FloatArray:
        """Return ``(Aᵀ v, y·v)``."""
        w = np.asarray(self.A.T @ v)
        return w if self.y is None else np.append(w, float(self.y @ v))

    def factor(self, index: IntArray, weights: FloatArray, shift: FloatArray) -> FloatArray | None:
        """Return the Cholesky factor of ``Σ weight (z, y)(z, y)ᵀ + diag(shift)``.

        Raises:
            TimeLimitError: the deadline has passed.
        """
        if time.monotonic() > self.deadline:
            raise TimeLimitError("The interior-point method took too long.")
        self.square.fill(0.0)
        dense = isinstance(self.A, np.ndarray)
        if dense or self.A.nnz > _DENSE_SHARE * self.A.shape[0] * self.A.shape[1]:
            self._add_dense(index, np.sqrt(weights))
        else:
            self._add_pairs(index, np.sqrt(weights))
        self.square[np.diag_indices_from(self.square)] += shift
        return packed_cholesky(self.square)

    def _add_dense(self, index: IntArray, roots: FloatArray) -> None:
        step = max(1, PRODUCT_BYTES // (8 * self.square.shape[0]))
        for begin in range(0, index.size, step):
            at = index[begin : begin + step]
            rows = self.A[at]
            rows = rows if isinstance(rows, np.ndarray) else rows.toarray()
            rows = rows if self.y is None else np.column_stack([rows, self.y[at]])
            rows = rows * roots[begin : begin + step, None]
            self.square[:] += rows.T @ rows

    def _add_pairs(self, index: IntArray, roots: FloatArray) -> None:
        """Add every product of two entries of a row, above the diagonal and on it."""
        size, flat = self.square.shape[0], self.square.reshape(-1)
        starts = self.A.indptr[index]
        lengths = self.A.indptr[index + 1] - starts
        for length in np.unique(lengths).tolist():
            same = np.flatnonzero(lengths == length)
            entries = length + (self.y is not None)
            first, second = np.triu_indices(entries)
            step = max(1, _PAIRS // max(entries * entries, 1))
            for begin in range(0, same.size, step):
                rows = same[begin : begin + step]
                at = starts[rows] + np.arange(length)[:, None]
                columns = np.full((entries, rows.size), size - 1, dtype=np.int64)
                entry = np.empty((entries, rows.size))
                columns[:length], entry[:length] = self.A.indices[at], self.A.data[at]
                if self.y is not None:
                    entry[length] = self.y[index[rows]]
                entry *= roots[rows]
                place = columns[first] * size + columns[second]
                np.add.at(flat, place.reshape(-1), (entry[first] * entry[second]).reshape(-1))


@final
@dataclass(frozen=True, eq=False)
class _State:
    """A point of the path: ``x = (w, b)``, its values, slacks > 0 and multipliers > 0.

    ``soft`` is ε of ``½‖w‖² + ‖violation‖²/(2 ε)``, and 0 where nothing may be violated.
    """

    system: _System
    soft: float
    x: FloatArray
    values: FloatArray
    slack: FloatArray
    lam: FloatArray

    @staticmethod
    def first(system: _System, soft: float = 0.0) -> _State:
        start, m = np.full(system.count, _START), system.count
        return _State(system, soft, np.zeros(system.costs.size), np.zeros(m), start, start)

    @property
    def worst(self) -> float:
        """Largest residual of ``A w + y b + ε λ - s = 1``."""
        return float(np.max(np.abs(self._left())))

    @property
    def gap(self) -> float:
        """``s·λ`` beside ``‖w‖²``, which is the optimum times two."""
        size = float(self.system.costs @ self.x**2)
        return float(self.slack @ self.lam) / size if size > 0.0 else np.inf

    def _left(self) -> FloatArray:
        return 1.0 - self.values + self.slack - self.soft * self.lam

    def next(self, regular: float) -> _State | None:
        """Return the point after a predictor and corrector step (Mehrotra 1992; Gondzio 1996)."""
        system, slack, lam = self.system, self.slack, self.lam
        left, pull = self._left(), system.costs * self.x - system.combined(lam)
        weights = 1.0 / (slack / lam + max(regular, self.soft))
        heavy = np.flatnonzero(weights > _NEGLIGIBLE)
        factor = system.factor(heavy, weights[heavy], system.costs)
        if factor is None:
            return None

        def direction(target: FloatArray) -> tuple[FloatArray, ...]:
            """Return the changes that bring ``s λ`` to ``s λ + target``."""
            bent = weights * (left + target / lam)
            move = packed_solved(factor, system.combined(bent) - pull)
            change = system.values(move)
            multipliers = bent - weights * change
            return move, change, (target - slack * multipliers) / lam, multipliers

        def reach(moves: tuple[FloatArray, ...]) -> float:
            return min(_longest(slack, moves[2]), _longest(lam, moves[3]))

        mean = float(slack @ lam) / lam.size
        moves = direction(-slack * lam)
        length = reach(moves)
        after = float((slack + length * moves[2]) @ (lam + length * moves[3])) / lam.size
        goal = mean * (after / mean) ** 3
        target = goal - slack * lam - moves[2] * moves[3]
        moves = direction(target)
        length = reach(moves)
        for _ in range(2):
            # Products that a longer step would throw far off are brought back beforehand.
            further = min(1.0, length + 0.3)
            product = (slack + further * moves[2]) * (lam + further * moves[3])
            back = np.clip(product, 0.1 * goal, 10.0 * goal) - product
            target = target + np.maximum(back, -10.0 * goal)
            other = direction(target)
            longer = reach(other)
            if longer < length + 0.03:
                break
            moves, length = other, longer
        length = min(1.0, 0.995 * length)
        if not (length > 0.0 and np.all(np.isfinite(moves[0]))):
            return None
        x, values = self.x + length * moves[0], self.values + length * moves[1]
        return _State(
            system, self.soft, x, values, slack + length * moves[2], lam + length * moves[3]
        )


def _longest(v: FloatArray, change: FloatArray) -> float:
    falling = change < 0.0
    return min(1.0, float(np.min(v[falling] / -change[falling], initial=1.0)))


def _faces(system: _System, state: _State) -> Restricted | None:
    """Return the exact answer near a state: augmented Lagrangian steps on its active rows.

    Each solves ``w = Aᵀλ', y·λ' = 0, ε (λ' - λ) = 1 - A w - y b`` on the active rows. w is
    corrected, not recomputed as ``Aᵀλ``: that sum cancels by a factor 1/margin.
    """
    x, lam = state.x, state.lam
    values = system.values(x)
    # At margin 1 slacks are about 1, and multipliers about as large as their mean.
    pressure = lam - state.slack * float(lam @ lam) / float(lam.sum())
    active = np.zeros(0, dtype=bool)
    factor, changes, best = None, 0, np.inf
    for _ in range(_REFINEMENTS):
        changed = not np.array_equal(pressure > 0.0, active)
        if changed:
            active, changes = pressure > 0.0, changes + 1
            index = np.flatnonzero(active)
            if changes > _CHANGES or not index.size:
                return None
            factor = system.factor(index, np.ones(index.size), _REGULAR * system.costs)
        if factor is None:
            return None
        on_face = np.where(active, lam, 0.0)
        pull = system.costs * x - system.combined(on_face)
        left = np.where(active, 1.0 - values, 0.0)
        size = max(float(np.max(np.abs(left))), float(np.max(1.0 - values)))
        norm = float(np.linalg.norm(system.costs * x))
        off = float(np.linalg.norm(pull)) / norm
        # Both at rounding level, and no longer falling; rows on their bound without weight may
        # change sides for ever.
        near = size <= 1e-13 + ROUNDED * norm and off <= 1e-12 and lam.min() >= 0.0
        if near and (changed or max(size, off) >= 0.5 * best):
            index = np.flatnonzero(on_face > 0.0)
            b = 0.0 if system.y is None else float(x[-1])
            w = x[: system.A.shape[1]]
            return Restricted(True, True, index, w, b, on_face[index], None)
        best = np.inf if changed else max(size, off)
        move = packed_solved(factor, system.combined(left) - _REGULAR * pull)
        step = system.values(move)
        if not np.all(np.isfinite(step)):
            return None
        x = x + move
        pressure = lam + (1.0 - values - step) / _REGULAR
        if np.array_equal(pressure > 0.0, active):
            lam = np.maximum(on_face + np.where(active, (left - step) / _REGULAR, 0.0), 0.0)
            pressure = np.where(active, np.maximum(pressure, 1.0), pressure)
        values = system.values(x)
    return None


def _gordan(system: _System) -> Restricted | None:
    """Return Gordan's vector ``λ >= 0, Aᵀλ = 0, y·λ = 0`` up to rounding, or None.

    The violations of the least squares ``min Σ max(0, 1 - A w - y b)²`` are such a vector. They
    are approached with a small price on w, and brought there on the rows that carry them.
    """
    state: _State | None = _State.first(system, _SOFT)
    for _ in range(_STEPS):
        if state is None:
            return None
        if state.worst < 1e-6 and state.gap < 1e-4:
            break
        state = state.next(_SOFT)
    if state is None or float(state.values.min()) > 0.0:
        return None
    full = state.lam
    inside = full > _CUT**2 * float(full.max())
    for _ in range(_CHANGES):
        index = np.flatnonzero(inside)
        factor = system.factor(index, np.ones(index.size), np.full(system.costs.size, 1e-9))
        if factor is None:
            return None
        lam, last, size = np.where(inside, full, 0.0), np.inf, np.inf
        for _ in range(8):
            sums = system.combined(lam)
            size = float(np.linalg.norm(sums)) / float(lam.sum())
            if not size < 0.5 * last:
                break
            last = size
            lam = np.where(inside, lam - system.values(packed_solved(factor, sums)), 0.0)
        if not size < 1e-13:
            return None
        kept = lam > _CUT * full
        if np.array_equal(kept, inside):
            return Restricted(
                False, True, index, np.zeros(system.A.shape[1]), 0.0, lam[index], None
            )
        inside = kept
        if not np.any(inside):
            return None
    return None
