"""Linear hard margins on the ℓ1 and ℓ∞ balls: row generation around HiGHS's dual simplex."""

from __future__ import annotations

import time
from typing import Any, Final, final

import numpy as np

from lexmargin.backends.capture import captured
from lexmargin.backends.linear.initial_working_set import first_rows, lowest
from lexmargin.backends.linear.linear_answer import LinearAnswer, LinearStatus, balanced
from lexmargin.backends.linear.signed_rows import SignedRows
from lexmargin.errors import DataError, MissingBackendError
from lexmargin.linalg.guarded import add_rows
from lexmargin.linalg.norms import dual_norm, power_of_two
from lexmargin.linalg.rounding import ROUNDED
from lexmargin.ops.base import FloatArray, IntArray

__all__ = ["polyhedral_margin"]

_FEASIBILITY: Final = 1e-10
"""The tightest tolerance that HiGHS accepts."""


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
        MissingBackendError: HiGHS cannot be loaded.
        DataError: NaN or infinities.
    """
    reach = min(rows.size, 300)
    index, passes = first_rows(rows, bias, max(200, 2 * reach))
    taken = rows.take(index)
    scale = power_of_two(float(np.max(np.abs(taken if not rows.sparse else taken.data), initial=0)))
    model = _Model(rows.size, norm, bias)
    model.add(_scaled(taken, scale), rows.y[index])
    while True:
        finished = model.run(deadline)
        if not finished:
            w, b, lam = np.zeros(rows.size), 0.0, np.zeros(index.size)
            status = LinearStatus.TIME_LIMIT
            if time.monotonic() < deadline:
                status = LinearStatus.INACCURATE
            return _answer(
                rows, index, scale, w, b, lam, np.zeros(rows.count), bias, norm, passes, status
            )
        w, b, t, lam = model.solution()
        w, b, t, lam = _polished(
            _scaled(rows.take(index), scale), rows.y[index] if bias else None, norm, w, b, t, lam
        )
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
    """The restricted linear program in HiGHS; rows are added to a live basis."""

    def __init__(self, size: int, norm: float, bias: bool) -> None:
        try:
            import highspy
        except ImportError as error:
            raise MissingBackendError("highspy is not installed.", "pip install highspy") from error
        self.size, self.norm, self.bias = size, norm, bias
        with captured():  # The banner comes before the option that silences it.
            self.highs: Any = highspy.Highs()  # type: ignore[no-untyped-call,unused-ignore]
        for name, value in (
            ("output_flag", False),
            ("primal_feasibility_tolerance", _FEASIBILITY),
            ("dual_feasibility_tolerance", _FEASIBILITY),
            ("solver", "simplex"),
        ):
            self.highs.setOptionValue(name, value)
        infinity = highspy.kHighsInf
        box = (0.0, infinity) if norm == 1.0 else (-1.0, 1.0)
        blocks = 2 * size if norm == 1.0 else size
        free = 1 + int(bias)
        lower = np.concatenate([np.full(blocks, box[0]), np.full(free, -infinity)])
        upper = np.concatenate([np.full(blocks, box[1]), np.full(free, infinity)])
        self.columns = blocks + free
        self.highs.addVars(self.columns, lower, upper)
        self.highs.changeColCost(self.columns - 1, -1.0)
        self.infinity = infinity
        self.first = 0
        if norm == 1.0:
            self.highs.addRow(-infinity, 1.0, blocks, np.arange(blocks), np.ones(blocks))
            self.first = 1
        self.optimal = highspy.HighsModelStatus.kOptimal

    def add(self, rows: Any, y: FloatArray) -> None:
        """Append ``z·w + y b - t >= 0``."""
        from scipy import sparse

        z = sparse.csr_array(rows)
        parts = [z, -z] if self.norm == 1.0 else [z]
        if self.bias:
            parts.append(sparse.csr_array(y[:, None]))
        m = z.shape[0]
        parts.append(sparse.csr_array(-np.ones((m, 1))))
        matrix = sparse.csr_array(sparse.hstack(parts, format="csr"))
        upper = np.full(m, self.infinity)
        add_rows(self.highs, np.zeros(m), upper, matrix.indptr[:-1], matrix.indices, matrix.data)

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
        w = x[: self.size]
        if self.norm == 1.0:
            w = w - x[self.size : 2 * self.size]
        lam = np.maximum(np.asarray(found.row_dual, dtype=np.float64)[self.first :], 0.0)
        b = float(x[-2]) if self.bias else 0.0
        return w, b, float(x[-1]), lam / max(float(lam.sum()), 1e-300)


def _polished(
    A: Any, y: FloatArray | None, norm: float, w: FloatArray, b: float, t: float, lam: FloatArray
) -> tuple[FloatArray, float, float, FloatArray]:
    """Return the vertex and its multipliers after a Newton step on the equations they satisfy.

    HiGHS leaves residuals up to its tolerance 1e-10; the step is kept only where it is small.
    """
    active = np.flatnonzero(lam > 1e-11)
    inner = np.abs(w) > 1e-11 if norm == 1.0 else np.abs(w) < 1.0 - 1e-11
    if not active.size or active.size * max(int(inner.sum()), 1) > 1_000_000:
        return w, b, t, lam
    w = np.where(inner, w, 0.0 if norm == 1.0 else np.sign(w))
    chosen = A[active]
    chosen = chosen if isinstance(chosen, np.ndarray) else chosen.tocsc()[:, np.flatnonzero(inner)]
    block = chosen[:, inner] if isinstance(chosen, np.ndarray) else chosen.toarray()
    k = active.size
    signs = np.sign(w[inner])
    extra = np.zeros((k, 0)) if y is None else y[active, None]
    # Unknowns w on its free coordinates, b, t; equations: active rows, and for ℓ1 the sphere.
    system = np.hstack([block, extra, -np.ones((k, 1))])
    value = A[active] @ w + (0.0 if y is None else y[active] * b) - t
    residual = -value
    if norm == 1.0:
        system = np.vstack([system, np.concatenate([signs, np.zeros(extra.shape[1] + 1)])])
        residual = np.append(residual, 1.0 - float(np.abs(w).sum()))
    step = np.linalg.lstsq(system, residual, rcond=1e-13)[0]
    count = int(inner.sum())
    if np.max(np.abs(step), initial=0.0) < 1e-6:
        w = w.copy()
        w[inner] += step[:count]
        b += float(step[count]) if y is not None else 0.0
        t += float(step[-1])
        w = np.clip(w, -1.0, 1.0)
    # The same matrix, transposed, holds the equations of λ (and of the sphere's multiplier).
    right = np.zeros(system.shape[1])
    right[-1] = -1.0
    duals = lam[active] if norm == np.inf else np.append(lam[active], -t)
    change = np.linalg.lstsq(system.T, right - system.T @ duals, rcond=1e-13)[0][:k]
    corrected = lam[active] + change
    if np.max(np.abs(change), initial=0.0) < 1e-6 and corrected.min() >= 0.0:
        lam = np.zeros_like(lam)
        lam[active] = corrected / corrected.sum()
    return w, b, t, lam


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
