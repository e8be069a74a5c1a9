"""Linear hard margins of any size: solve few rows exactly, price all of them, add, repeat."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from lexmargin.backends.linear.block_pivoting import block_pivoting
from lexmargin.backends.linear.initial_working_set import first_rows, lowest
from lexmargin.backends.linear.interior_point import interior_point
from lexmargin.backends.linear.linear_answer import LinearAnswer, LinearStatus, balanced
from lexmargin.backends.linear.signed_rows import SignedRows, signed_rows
from lexmargin.backends.linear.working_set import Restricted, solve_restricted
from lexmargin.data.translation import column_centres, moved_samples, translated_bias
from lexmargin.errors import DataError, ParameterError, TimeLimitError
from lexmargin.inputs.limits import CORNER_ENTRIES, DENSE_COLUMNS, SQUARE_COLUMNS
from lexmargin.linalg.norms import power_of_two
from lexmargin.linalg.rounding import EPS
from lexmargin.ops.base import FloatArray, IntArray
from lexmargin.separation.long_margins import long_margin
from lexmargin.separation.long_measures import affordable

__all__ = ["hard_margin_linear"]

_ROUNDED_GAP: Final = 1e-9
"""Relative gap of an answer that needs no second method: below it nothing is gained."""
_FEW_COLUMNS: Final = 100
"""Up to so many columns few rows are active, and a dual method that moves one at a time is faster
(measured: 20 against 200 ms at 80 columns, 210 against 110 at 200)."""
_SECONDS: Final = 10.0
"""For an answer in long numbers, which the judge then spends as much again on."""


def hard_margin_linear(
    X: Any,
    y: npt.ArrayLike,
    *,
    bias: bool = False,
    norm: float = 2.0,
    tolerance: float = 1e-12,
    time_limit: float | None = None,
    max_passes: int = 60,
) -> LinearAnswer:
    """Return the direction of ``min ½‖w‖²  s.t.  y_n (w·x_n + b) >= 1`` (eq. 18), with proof.

    Constraint generation: the problem on a few rows is solved by a dual active-set method, and
    its KKT system to rounding level; one pass prices all rows; violated rows and near ones enter.

    Args:
        X: (N, d) real matrix, dense of any layout or scipy sparse; it is not copied, unless a bias
            is free and columns lie far from 0: those are centred, which is exact.
        y: (N,) labels -1/+1; all +1 where the rows already are ``y_n x_n``.
        bias: add a free, unregularised b; without it b = 0.
        norm: p of the ball, >= 1; with a free bias 1, 2 or inf. Others than these read the rows
            densely.
        tolerance: a row is violated when its margin is below ``1 - tolerance``.
        time_limit: seconds.
        max_passes: how often all rows may be read.

    Returns:
        LinearAnswer: direction, multipliers, the measured margin and its bound.

    Raises:
        ShapeError, DataError: rows and labels that do not fit, NaN or infinities; a free bias
            with one class only (its margin is unbounded).
        ParameterError: another norm, a tolerance outside (0, 1).

    Source: math.md §2 and §4.
    """
    if not norm >= 1.0:
        raise ParameterError(f"The norm is {norm!r}.", "Use a number >= 1, or inf.")
    if bias and norm not in (1.0, 2.0, np.inf):
        raise ParameterError(f"The norm is {norm!r}.", "With a free bias use 1, 2 or inf.")
    if not 0.0 < tolerance < 1.0:
        raise ParameterError(f"tolerance is {tolerance!r}.", "Give a number between 0 and 1.")
    if max_passes < 1:
        raise ParameterError(f"max_passes is {max_passes!r}.", "Give a number of at least 1.")
    rows = signed_rows(X, y)
    if bias and np.all(rows.y == rows.y[0]):
        raise DataError(
            "With a free bias one class alone has no largest margin.", "Leave the bias out."
        )
    deadline = np.inf if time_limit is None else time.monotonic() + time_limit
    centres = column_centres(rows.X) if bias else np.zeros(0)
    if np.any(centres):
        rows = signed_rows(moved_samples(rows.X, centres), y)
    answer = _in_doubles(rows, bias, norm, tolerance, deadline, max_passes)
    late = answer.status in (LinearStatus.TIME_LIMIT, LinearStatus.PASS_LIMIT)
    if not (bias or rows.sparse or late) and not answer.relative_gap <= _ROUNDED_GAP:
        answer = _in_long_numbers(rows, norm, deadline, answer)
    if not np.any(centres):
        return answer
    return replace(
        answer, bias=float(translated_bias(Fraction(answer.bias), answer.theta, -centres))
    )


def _in_doubles(
    rows: SignedRows,
    bias: bool,
    norm: float,
    tolerance: float,
    deadline: float,
    max_passes: int,
) -> LinearAnswer:
    """Return the answer of the method that is made for the norm."""
    if norm == 2.0:
        return _euclidean(rows, bias, tolerance, deadline, max_passes)
    from lexmargin.backends.linear.round_margin import round_margin

    if norm not in (1.0, np.inf):
        return round_margin(rows, norm, deadline)
    from lexmargin.backends.linear.row_generation import polyhedral_margin

    answer = polyhedral_margin(rows, bias, norm, tolerance, deadline, max_passes)
    small = rows.count * rows.size <= CORNER_ENTRIES
    if small and not (bias or rows.sparse) and answer.relative_gap > _rounding(rows, answer):
        # Its tolerances are absolute: rows and columns of very different size need the path.
        other = round_margin(rows, norm, deadline)
        answer = other if other.relative_gap < answer.relative_gap else answer
    return answer


def _rounding(rows: SignedRows, answer: LinearAnswer) -> float:
    """Return the relative gap that rounding explains: that of θ in the margins that λ weighs."""
    support = np.flatnonzero(answer.multipliers)
    share = answer.multipliers[support] / float(np.sum(answer.multipliers))
    terms = float(share @ (np.abs(rows.take(support)) @ np.abs(answer.theta)))
    return max(_ROUNDED_GAP, 4.0 * EPS * terms / answer.margin)


def _in_long_numbers(
    rows: SignedRows, norm: float, deadline: float, answer: LinearAnswer
) -> LinearAnswer:
    """Return the answer of few samples again where doubles do not reach it, if that is better."""
    if not affordable(rows.count, rows.size):
        return answer
    Z = rows.take(np.arange(rows.count))
    found = long_margin(Z, norm, min(deadline, time.monotonic() + _SECONDS))
    if found is None:
        return answer
    if not found.margin > 0.0:
        return answer
    return LinearAnswer(
        theta=found.theta,
        bias=0.0,
        multipliers=found.multipliers / found.margin,
        margin=found.margin,
        dual_bound=found.bound,
        passes=answer.passes,
        working_set=int(np.count_nonzero(found.multipliers)),
        status=LinearStatus.OPTIMAL,
    )


@final
@dataclass(eq=False)
class _WorkingSet:
    """The working rows ``(z - y c)/scale``: dense, or CSR where there are many columns."""

    source: SignedRows
    center: FloatArray | None
    scale: float
    index: IntArray
    rows: Any

    @staticmethod
    def of(source: SignedRows, bias: bool, index: IntArray) -> _WorkingSet:
        """Return the working set of the given rows, centred between the classes with a bias."""
        rows = _WorkingSet(source, None, 1.0, index, None)._taken(index)
        center = None
        if isinstance(rows, np.ndarray):
            if bias:
                signs = source.y[index]
                means = [s * rows[signs == s].mean(axis=0) for s in (1.0, -1.0) if s in signs]
                # Few digits: then integers minus the centre are exact.
                grain = power_of_two(float(np.abs(rows).max())) * 2.0**-16
                center = np.round(np.mean(means, axis=0) / grain) * grain
                rows = rows - np.outer(signs, center)
            scale = power_of_two(float(np.linalg.norm(rows, axis=1).max()))
            return _WorkingSet(source, center, scale, index, rows * (1.0 / scale))
        return _WorkingSet._of_sparse(source, index, rows)

    @staticmethod
    def whole(source: SignedRows) -> _WorkingSet:
        """Return the working set of all rows of sparse samples, as sparse as they are."""
        rows = source.take(np.arange(source.count))
        rows.sum_duplicates()
        if not np.all(np.isfinite(rows.data)):
            raise DataError("The rows hold NaN or infinities.", "Drop or fill such entries.")
        return _WorkingSet._of_sparse(source, np.arange(source.count), rows)

    @staticmethod
    def _of_sparse(source: SignedRows, index: IntArray, rows: Any) -> _WorkingSet:
        largest = power_of_two(float(np.max(np.abs(rows.data), initial=0.0)))
        rows.data /= largest
        squares = type(rows)((rows.data**2, rows.indices, rows.indptr), shape=rows.shape)
        length = power_of_two(float(np.sqrt(squares.sum(axis=1).max())))
        rows.data /= length
        return _WorkingSet(source, None, largest * length, index, rows)

    def _taken(self, index: IntArray) -> Any:
        rows = self.source.take(index)
        if self.source.sparse and self.source.size <= DENSE_COLUMNS:
            rows = rows.toarray()
        if self.center is not None:
            rows = rows - np.outer(self.source.y[index], self.center)
        return rows * (1.0 / self.scale) if self.scale != 1.0 else rows

    def coordinates(self) -> FloatArray:
        """Return rows with the same inner products, in as few coordinates as is cheap."""
        product = self.rows @ self.rows.T
        gram = product if isinstance(product, np.ndarray) else product.toarray()
        try:
            factor = np.linalg.cholesky(gram)
            if np.min(np.diagonal(factor)) > 1e-6 * np.max(np.diagonal(factor)):
                return np.asarray(factor)
        except np.linalg.LinAlgError:
            pass
        values, vectors = np.linalg.eigh(gram)
        keep = values > 1e-14 * values[-1]
        return np.asarray(vectors[:, keep] * np.sqrt(values[keep]))

    def add(self, index: IntArray) -> None:
        """Append rows of the source."""
        from scipy import sparse

        taken = self._taken(index)
        if isinstance(taken, np.ndarray):
            self.rows = np.vstack([self.rows, taken])
        else:
            self.rows = sparse.vstack([self.rows, taken], format="csr")
        self.index = np.concatenate([self.index, index])

    def keep(self, positions: IntArray) -> None:
        """Drop all rows but those at the given positions."""
        self.rows, self.index = self.rows[positions], self.index[positions]


def _euclidean(
    rows: SignedRows, bias: bool, tolerance: float, deadline: float, max_passes: int
) -> LinearAnswer:
    if rows.sparse and _FEW_COLUMNS < rows.size <= min(rows.count, SQUARE_COLUMNS):
        whole = _on_all_rows(rows, bias, deadline)
        if whole is not None:
            return whole
    reach = min(rows.size, 300)
    cap = max(200, 2 * reach)
    index, passes = first_rows(rows, bias, max(300, 4 * reach))
    working = _WorkingSet.of(rows, bias, index)
    guess, b, lam = np.arange(0), 0.0, np.zeros(0)
    while True:
        signs = rows.y[working.index] if bias else None
        try:
            solved = _restricted(working, signs, guess, b, lam, deadline)
        except TimeLimitError:
            return _nothing(rows, working, passes, LinearStatus.TIME_LIMIT)
        if not solved.separated:
            return _not_separable(rows, working, solved, bias, passes)
        w, b, lam = solved.w, solved.b, solved.multipliers
        answer_w = w / working.scale
        shift = b if working.center is None else b - float(answer_w @ working.center)
        f = rows.products(answer_w)
        if bias:
            f += rows.y * shift
        passes += 1
        smallest = float(f[working.index].min())
        below = np.flatnonzero(f < min(1.0 - tolerance, smallest))
        status = None
        if not below.size:
            status = LinearStatus.OPTIMAL if solved.exact else LinearStatus.INACCURATE
        elif passes >= max_passes:
            status = LinearStatus.PASS_LIMIT
        elif time.monotonic() > deadline:
            status = LinearStatus.TIME_LIMIT
        if status is not None:
            return _answer(
                rows, working, solved.active, answer_w, shift, lam, f, bias, passes, status
            )
        if not np.all(np.isfinite(f)):
            raise DataError("The rows hold NaN or infinities.", "Drop or fill such entries.")
        known = working.index[solved.active]
        # Far rows leave; the active ones stay, so the optimum of the working set only rises.
        inside = f[working.index]
        near = inside < 1.0 + 2.0 * max(1.0 - float(f.min()), 0.05)
        near[solved.active] = True
        working.keep(np.flatnonzero(near))
        outside = f.copy()
        outside[working.index] = np.inf
        candidates = np.flatnonzero(outside < 1.0 + 0.02)
        working.add(lowest(outside, candidates, max(cap, 2 * known.size)))
        order = np.argsort(working.index)
        guess = order[np.searchsorted(working.index, known, sorter=order)]


def _on_all_rows(rows: SignedRows, bias: bool, deadline: float) -> LinearAnswer | None:
    """Return the answer of one problem with all rows, or None where doubles do not settle it."""
    working = _WorkingSet.whole(rows)
    try:
        solved = interior_point(working.rows, rows.y if bias else None, deadline)
    except TimeLimitError:
        return _nothing(rows, working, 1, LinearStatus.TIME_LIMIT)
    if solved is None:
        return None
    if not solved.separated:
        return _not_separable(rows, working, solved, bias, 1)
    w, b, lam = solved.w / working.scale, solved.b, solved.multipliers
    f = rows.products(w) + (rows.y * b if bias else 0.0)
    return _answer(rows, working, solved.active, w, b, lam, f, bias, 1, LinearStatus.OPTIMAL)


def _restricted(
    working: _WorkingSet,
    signs: FloatArray | None,
    guess: IntArray,
    b: float,
    lam: FloatArray,
    deadline: float,
) -> Restricted:
    """Return the solution of the working rows by the method that suits their number and shape."""
    size = working.source.size
    tall = isinstance(working.rows, np.ndarray) and working.index.size > size
    if tall or size <= DENSE_COLUMNS:
        return solve_restricted(working.rows, signs, guess, b, deadline)
    solved = block_pivoting(working.rows, signs, guess, lam, deadline)
    if solved is None and size <= SQUARE_COLUMNS and not isinstance(working.rows, np.ndarray):
        working.rows.sum_duplicates()
        solved = interior_point(working.rows, signs, deadline)
    if solved is not None:
        return solved
    solved = solve_restricted(working.coordinates(), signs, guess, b, deadline)
    if not solved.separated:
        return solved
    chosen = working.rows[solved.active]
    lam = solved.multipliers
    w, b = np.asarray(chosen.T @ lam), solved.b
    if solved.face is not None:
        w, b, lam = solved.face.refined(chosen, w, lam)
    return replace(solved, w=w, b=b, multipliers=np.maximum(lam, 0.0))


def _answer(
    rows: SignedRows, working: _WorkingSet, active: IntArray, w: FloatArray, b: float,
    lam: FloatArray, f: FloatArray, bias: bool, passes: int, status: LinearStatus,
) -> LinearAnswer:  # fmt: skip
    size = float(np.linalg.norm(w))
    if bias:
        # The best bias for this w lies half way between the two classes.
        plus, minus = float(f[rows.y > 0].min()), float(f[rows.y < 0].min())
        b -= 0.5 * (plus - minus)
        smallest = 0.5 * (plus + minus)
        signs = rows.y[working.index[active]]
        lam = balanced(lam, signs)
    else:
        smallest = float(f.min())
    multipliers = np.zeros(rows.count)
    multipliers[working.index[active]] = lam / working.scale**2
    total = float(lam.sum())
    combined = np.asarray(working.rows[active].T @ lam).reshape(-1)
    bound = working.scale * float(np.linalg.norm(combined)) / total if total > 0 else np.inf
    return LinearAnswer(
        theta=w / size,
        bias=b / size,
        multipliers=multipliers,
        margin=smallest / size,
        dual_bound=bound,
        passes=passes,
        working_set=working.index.size,
        status=status,
    )


def _not_separable(
    rows: SignedRows, working: _WorkingSet, solved: Restricted, bias: bool, passes: int
) -> LinearAnswer:
    lam = solved.multipliers
    chosen = working.index[solved.active]
    if bias:
        lam = balanced(lam, rows.y[chosen])
    multipliers = np.zeros(rows.count)
    multipliers[chosen] = lam / lam.sum()
    combined = np.asarray(working.rows[solved.active].T @ lam).reshape(-1) / lam.sum()
    bound = working.scale * float(np.linalg.norm(combined))
    nothing = _nothing(rows, working, passes, LinearStatus.NOT_SEPARABLE)
    return replace(nothing, multipliers=multipliers, dual_bound=bound)


def _nothing(
    rows: SignedRows, working: _WorkingSet, passes: int, status: LinearStatus
) -> LinearAnswer:
    return LinearAnswer(
        theta=np.zeros(rows.size),
        bias=0.0,
        multipliers=np.zeros(rows.count),
        margin=-np.inf,
        dual_bound=np.inf,
        passes=passes,
        working_set=working.index.size,
        status=status,
    )
