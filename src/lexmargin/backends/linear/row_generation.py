"""Linear hard margins on the ℓ1 and ℓ∞ balls: row generation around HiGHS's dual simplex."""

from __future__ import annotations

import time
from typing import Any, Final, final

import numpy as np

from lexmargin.backends.linear.initial_working_set import first_rows, lowest
from lexmargin.backends.linear.linear_answer import LinearAnswer, LinearStatus, balanced
from lexmargin.backends.linear.signed_rows import SignedRows
from lexmargin.backends.linear.simplex_solver import DUAL, PRIMAL, simplex_solver
from lexmargin.errors import DataError
from lexmargin.linalg.guarded import add_columns, add_rows
from lexmargin.linalg.norms import dual_norm, power_of_two
from lexmargin.linalg.rounding import EPS, ROUNDED
from lexmargin.ops.base import FloatArray, IntArray

__all__ = ["polyhedral_margin"]

_FEW_COLUMNS: Final = 200
"""Columns that are cheap whatever the rows: fewer only make more rounds (measured)."""
_POLISHED: Final = 1_000_000
"""Entries of a system that is polished, and of rows summed in long floats: milliseconds."""


def polyhedral_margin(
    rows: SignedRows,
    bias: bool,
    norm: float,
    tolerance: float,
    deadline: float,
    max_passes: int,
) -> LinearAnswer:
    """Return ``max t  s.t.  z_n·w + y_n b >= t, ‖w‖_p <= 1`` for p = 1 or inf (eq. 6).

    Args:
        rows: z_n and y_n.
        bias: whether b is free; it is 0 otherwise.
        norm: 1 or inf.
        tolerance: a row is violated when it is below ``t (1 - tolerance)``.
        deadline: ``time.monotonic()`` at which to stop.
        max_passes: how often all rows may be read.

    Raises:
        DataError: NaN or infinities.
    """
    reach = min(rows.size, 300)
    index, passes = first_rows(rows, bias, max(200, 2 * reach))
    taken = rows.take(index)
    scale = power_of_two(float(np.max(np.abs(taken if not rows.sparse else taken.data), initial=0)))
    model = _Model(rows.size, norm, bias)
    model.add(_scaled(taken, scale), rows.y[index])
    while True:
        if not model.run(deadline):
            w, b, lam = np.zeros(rows.size), 0.0, np.zeros(index.size)
            status = LinearStatus.TIME_LIMIT
            if time.monotonic() < deadline:
                status = LinearStatus.INACCURATE
            return _answer(
                rows, index, scale, w, b, lam, np.zeros(rows.count), bias, norm, passes, status
            )
        w, b, t, lam = model.solution()
        if model.widened(t, lam):
            continue
        signs = rows.y[index] if bias else None
        w, b, t, lam = _polished(model.rows, signs, norm, w, b, t, lam)
        f = rows.products(w / scale)
        if bias:
            f += rows.y * b
        passes += 1
        if not np.all(np.isfinite(f)):
            raise DataError("The rows hold NaN or infinities.", "Drop or fill such entries.")
        slack = max(tolerance * abs(t), ROUNDED)
        below = np.flatnonzero(f < min(t - slack, float(f[index].min())))
        status = LinearStatus.OPTIMAL
        if below.size and t > 0.0:
            if passes < max_passes and time.monotonic() < deadline:
                outside = f.copy()
                outside[index] = np.inf
                near = np.flatnonzero(outside < t + 0.02 * abs(t))
                new = lowest(outside, near, max(100, reach))
                model.add(_scaled(rows.take(new), scale), rows.y[new])
                index = np.concatenate([index, new])
                continue
            status = LinearStatus.TIME_LIMIT
            if passes >= max_passes:
                status = LinearStatus.PASS_LIMIT
        elif t <= 1e-12:
            status = LinearStatus.NOT_SEPARABLE
        return _answer(rows, index, scale, w, b, lam, f, bias, norm, passes, status)


@final
class _Model:
    """The restricted linear program in HiGHS; rows and columns are added to a live basis.

    In the ℓ1 ball no more entries of w than rows are not 0: few columns stand for all, and those
    that the multipliers price out enter.
    """

    def __init__(self, size: int, norm: float, bias: bool) -> None:
        self.norm, self.highs = norm, simplex_solver()
        self.highs.setOptionValue("presolve", "off")
        import highspy

        self.optimal, self.infinity = highspy.HighsModelStatus.kOptimal, highspy.kHighsInf
        # t, b where it is free, and then the entries of w, for ℓ1 as differences p - q.
        self.free = 1 + int(bias)
        every = np.full(self.free, self.infinity)
        self.highs.addVars(self.free, -every, every)
        self.highs.changeColCost(0, -1.0)
        self.first = int(norm == 1.0)
        if self.first:
            self.highs.addRow(-self.infinity, 1.0, 0, np.zeros(0, np.int32), np.zeros(0))
        self.rows: Any = None
        self.inside = np.zeros(size, dtype=bool)
        self.entries: IntArray = np.zeros(0, dtype=np.int64)
        self.signs = np.zeros(0)

    def add(self, rows: Any, y: FloatArray) -> None:
        """Append ``z·w + y b - t >= 0``."""
        if self.rows is None:
            self.rows = rows[:0]
            self._widen(self._foremost(rows))
        count = rows.shape[0]
        free = np.column_stack([np.full(count, -1.0), y])[:, : self.free]
        block = _beside(free, _columns(rows, self.entries, self.signs))
        add_rows(self.highs, block, np.zeros(count), np.full(count, self.infinity))
        self.rows = _below(self.rows, rows) if self.rows.shape[0] else rows
        self.highs.setOptionValue("simplex_strategy", DUAL)

    def _foremost(self, rows: Any) -> IntArray:
        """Return the entries of w to begin with: those of the largest pull of even multipliers."""
        few = max(_FEW_COLUMNS, 2 * rows.shape[0])
        pull = np.abs(np.asarray(rows.sum(axis=0)).reshape(-1))
        if self.norm != 1.0 or 2 * few > pull.size:
            return np.arange(pull.size)
        return np.argpartition(-pull, few - 1)[:few]

    def widened(self, t: float, lam: FloatArray) -> bool:
        """Add the entries of w whose pull is above the multiplier t of the ball; say if any."""
        if np.all(self.inside):
            return False
        pull = np.where(self.inside, 0.0, np.abs(lam @ self.rows))
        above = np.flatnonzero(pull > t + ROUNDED)
        if not above.size:
            return False
        self._widen(lowest(-pull, above, max(_FEW_COLUMNS, self.rows.shape[0]) // 2))
        # The vertex stays feasible.
        self.highs.setOptionValue("simplex_strategy", PRIMAL)
        return True

    def _widen(self, entries: IntArray) -> None:
        self.inside[entries] = True
        if self.norm == 1.0:
            entries, signs = np.repeat(entries, 2), np.tile([1.0, -1.0], entries.size)
        else:
            signs = np.ones(entries.size)
        self.entries = np.concatenate([self.entries, entries])
        self.signs = np.concatenate([self.signs, signs])
        nothing, one = np.zeros(signs.size), np.ones(signs.size)
        block = _columns(self.rows, entries, signs).T
        if self.norm == 1.0:
            block = _beside(one[:, None], block)
            add_columns(self.highs, block, nothing, nothing, self.infinity * one)
        else:
            add_columns(self.highs, block, nothing, -one, one)

    def run(self, deadline: float) -> bool:
        """Solve; return whether HiGHS calls it optimal."""
        if np.isfinite(deadline):
            # The limit counts from the creation of the object.
            left = max(deadline - time.monotonic(), 1e-3)
            self.highs.setOptionValue("time_limit", self.highs.getRunTime() + left)
        self.highs.run()
        return bool(self.highs.getModelStatus() == self.optimal)

    def solution(self) -> tuple[FloatArray, float, float, FloatArray]:
        """Return w, b, t and the normalised multipliers of the rows."""
        found = self.highs.getSolution()
        x = np.asarray(found.col_value, dtype=np.float64)
        w = np.zeros(self.inside.size)
        np.add.at(w, self.entries, self.signs * x[self.free :])
        lam = np.maximum(np.asarray(found.row_dual, dtype=np.float64)[self.first :], 0.0)
        b = float(x[1]) if self.free == 2 else 0.0
        return w, b, float(x[0]), lam / max(float(lam.sum()), 1e-300)


def _columns(rows: Any, entries: IntArray, signs: FloatArray) -> Any:
    if isinstance(rows, np.ndarray):
        return rows[:, entries] * signs
    from scipy import sparse

    return sparse.csr_array(rows[:, entries] @ sparse.diags_array(signs))


def _beside(first: FloatArray, rest: Any) -> Any:
    if isinstance(rest, np.ndarray):
        return np.hstack([first, rest])
    from scipy import sparse

    return sparse.csr_array(sparse.hstack([sparse.csr_array(first), rest], format="csr"))


def _below(rows: Any, more: Any) -> Any:
    if isinstance(rows, np.ndarray):
        return np.vstack([rows, more])
    from scipy import sparse

    return sparse.csr_array(sparse.vstack([rows, more], format="csr"))


def _polished(
    A: Any, y: FloatArray | None, norm: float, w: FloatArray, b: float, t: float, lam: FloatArray
) -> tuple[FloatArray, float, float, FloatArray]:
    """Return the vertex and its multipliers after Newton steps on the equations they satisfy.

    HiGHS leaves residuals up to its tolerance 1e-10; the steps are kept only where they are small.
    What the equations miss is summed in long floats: a margin may be 1e-6 of its terms.
    """
    active = np.flatnonzero(lam > 1e-11)
    inner = np.abs(w) > 1e-11 if norm == 1.0 else np.abs(w) < 1.0 - 1e-11
    if not active.size or active.size * max(int(inner.sum()), 1) > _POLISHED:
        return w, b, t, lam
    w = np.where(inner, w, 0.0 if norm == 1.0 else np.sign(w))
    rows = A[active]
    used = np.flatnonzero(w != 0.0) if norm == 1.0 else np.arange(w.size)
    rows = rows[:, used] if isinstance(rows, np.ndarray) else rows.tocsc()[:, used].toarray()
    block, k = rows[:, inner[used]], active.size
    wide = np.longdouble if rows.size <= _POLISHED else np.float64
    signs = np.sign(w[inner])
    rows = rows.astype(wide)
    extra = np.zeros((k, 0)) if y is None else y[active, None]
    # Unknowns w on its free coordinates, b, t; equations: active rows, and for ℓ1 the sphere.
    system = np.hstack([block, extra, -np.ones((k, 1))])
    if norm == 1.0:
        system = np.vstack([system, np.concatenate([signs, np.zeros(extra.shape[1] + 1)])])
    x, free = np.concatenate([w[inner], np.full(extra.shape[1], b), [t]]), int(inner.sum())
    duals = lam[active] if norm == np.inf else np.append(lam[active], -t)
    right = np.zeros(system.shape[1])
    right[-1] = -1.0
    inverse = np.linalg.pinv(system, rcond=1e-13)
    tall: Any = system.astype(wide)
    for _ in range(2):
        w[inner] = x[:free]
        missing = x[-1] - rows @ w[used] - (extra @ x[free:-1])
        if norm == 1.0:
            missing = np.append(missing, 1.0 - np.sum(np.abs(w[inner].astype(wide))))
        step = inverse @ np.asarray(missing, dtype=np.float64)
        size = float(np.max(np.abs(step), initial=0.0))
        if size < 1e-6:
            x = x + step
        # The same matrix, transposed, holds the equations of λ (and of the sphere's multiplier).
        missing = right - tall.T @ duals
        change = inverse.T @ np.asarray(missing, dtype=np.float64)
        if np.max(np.abs(change[:k]), initial=0.0) < 1e-6 and (duals + change)[:k].min() >= 0.0:
            duals = duals + change
        if size <= EPS and np.max(np.abs(change), initial=0.0) <= EPS:
            break
    w[inner] = x[:free]
    lam = np.zeros_like(lam)
    lam[active] = duals[:k] / duals[:k].sum()
    return np.clip(w, -1.0, 1.0), float(x[free]) if y is not None else b, float(x[-1]), lam


def _scaled(rows: Any, scale: float) -> Any:
    return rows * (1.0 / scale)


def _answer(
    rows: SignedRows, index: IntArray, scale: float, w: FloatArray, b: float, lam: FloatArray,
    f: FloatArray, bias: bool, norm: float, passes: int, status: LinearStatus,
) -> LinearAnswer:  # fmt: skip
    smallest = float(f.min())
    if bias:
        lam = balanced(lam, rows.y[index])
        plus, minus = float(f[rows.y > 0].min()), float(f[rows.y < 0].min())
        b -= 0.5 * (plus - minus)
        smallest = 0.5 * (plus + minus)
    size = float(np.linalg.norm(w, norm))
    support = np.flatnonzero(lam)
    total = float(lam.sum())
    bound = np.inf
    if support.size:
        combined = np.asarray(rows.take(index[support]).T @ lam[support]).reshape(-1)
        bound = dual_norm(combined, norm) / total
    margin = smallest * scale / size if size > 0.0 else -np.inf
    multipliers = np.zeros(rows.count)
    if status is LinearStatus.NOT_SEPARABLE:
        w, b, margin = np.zeros_like(w), 0.0, -np.inf
        multipliers[index] = lam / total
    elif margin > 0.0 and total > 0.0:
        multipliers[index] = lam / total / margin**2
    size = size if size > 0.0 else 1.0
    return LinearAnswer(
        theta=w / size,
        bias=b * scale / size,
        multipliers=multipliers,
        margin=margin,
        dual_bound=bound,
        passes=passes,
        working_set=index.size,
        status=status,
    )
