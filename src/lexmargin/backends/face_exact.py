"""The chain of levels in rational arithmetic: a proof that needs no tolerance.

Level k claims weights y: λ >= 0 with Σλ = 1 on samples in competition, any sign on fixed ones.
With ``g = Σ y_n z_n`` and h the largest value of ``g·θ`` on the face of the ball left by the
earlier levels, every θ that keeps them has
``min_free f_n <= Σ λ_n f_n <= h - Σ_fixed y_n v_n = v_k``.
One θ that attains all v_k ends the proof. Where v_k is attained, every n with λ_n > 0 has
margin v_k, and the face of the ball exposed by g contains θ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

import numpy as np

from lexmargin.backends.levels.face import FaceAnswer, face_levels
from lexmargin.errors import ParameterError, SolverFailedError
from lexmargin.formulations.optimal_face import RESOLUTION
from lexmargin.linalg.exact import to_fractions
from lexmargin.ops.base import FloatArray

__all__ = ["ExactChain", "ExactLevel", "check_chain", "exact_chain"]

Row = list[Fraction]
_ZERO, _ONE = Fraction(0), Fraction(1)


@final
@dataclass(frozen=True)
class ExactLevel:
    """``weights`` (N,) y of the level; its value, and the samples it fixes or finds constant."""

    value: Fraction
    weights: tuple[Fraction, ...]
    fixed: tuple[int, ...]
    settled: tuple[int, ...]


@final
@dataclass(frozen=True)
class ExactChain:
    """θ (d,), its margins (N,), and the levels that prove them to be the lexicographic maximum."""

    norm: float
    theta: tuple[Fraction, ...]
    margins: tuple[Fraction, ...]
    levels: tuple[ExactLevel, ...]


def exact_chain(Z: FloatArray, norm: float, answer: FaceAnswer | None = None) -> ExactChain:
    """Solve the levels in floats, then again exactly on the supports found, and check the chain.

    Args:
        Z: (N, d), taken at the exact values of its float64 entries.
        norm: 1 or inf.
        answer: of :func:`~lexmargin.backends.levels.face.face_levels`, all levels; computed if left out.

    Raises:
        ParameterError: another norm.
        SolverFailedError: the supports found in floats are not those of an exact solution (a tie
            finer than the tolerances).
    """
    if norm not in (1.0, np.inf):
        raise ParameterError("Exact chains exist for the norms 1 and inf.", "Choose one of them.")
    answer = face_levels(Z, norm) if answer is None else answer
    ball = _Ball(_rows(Z, norm), norm)
    levels: list[ExactLevel] = []
    fixed: dict[int, Fraction] = {}
    for level, active in zip(answer.levels, answer.active, strict=True):
        assert level.multipliers is not None
        support = np.flatnonzero(level.multipliers > RESOLUTION.multiplier).tolist()
        shares = [Fraction(float(level.multipliers[n])) for n in support]
        stationary = np.flatnonzero(~active).tolist()
        weights = ball.weights(support, shares, list(fixed), stationary)
        if weights is None:
            raise _failed("no exact multipliers have the support found in floats")
        value, _ = ball.bound(weights, fixed)
        tight = tuple(n for n in support if weights[n] != 0)
        ball = ball.exposed(weights)
        fixed |= dict.fromkeys(tight, value)
        known = set(fixed)
        others = [n for n in (*level.fixed, *level.settled) if n not in known]
        levels.append(ExactLevel(value, tuple(weights), tight, tuple(others)))
    guess = (
        answer.theta
        if norm == np.inf
        else np.concatenate([np.maximum(answer.theta, 0.0), np.maximum(-answer.theta, 0.0)])
    )
    theta = ball.point(fixed, guess)
    if theta is None:
        raise _failed("the equalities of the levels have no exact solution")
    margins = tuple(_dot(row, theta) for row in _rows(Z, np.inf))
    chain = ExactChain(norm, tuple(theta), margins, tuple(levels))
    wrong = check_chain(Z, chain)
    if wrong:
        raise _failed(wrong)
    return chain


def check_chain(Z: FloatArray, chain: ExactChain) -> str:
    """Return "" if the chain proves that its margins are the lexicographic maximum, else why not.

    Uses nothing but the data and the chain, in rational arithmetic.
    """
    rows = _rows(Z, np.inf)
    count, size = len(rows), len(rows[0])
    if len(chain.theta) != size or len(chain.margins) != count:
        return "θ or the margins have the wrong length"
    absolute = [abs(x) for x in chain.theta]
    if (sum(absolute) if chain.norm == 1.0 else max(absolute)) > 1:
        return "θ is outside the ball"
    margins = [_dot(row, list(chain.theta)) for row in rows]
    if margins != list(chain.margins):
        return "the margins are not those of θ"
    ball = _Ball(_rows(Z, chain.norm), chain.norm)
    fixed: dict[int, Fraction] = {}
    gone: set[int] = set()
    for number, level in enumerate(chain.levels, start=1):
        if len(level.weights) != count:
            return f"level {number} has the wrong number of weights"
        free = [n for n in range(count) if n not in fixed and n not in gone]
        if any(level.weights[n] < 0 for n in free) or any(level.weights[n] != 0 for n in gone):
            return f"level {number} has a weight of the wrong sign"
        if sum((level.weights[n] for n in free), _ZERO) != 1:
            return f"the weights of level {number} do not sum to 1"
        bound, _ = ball.bound(level.weights, fixed)
        if bound != level.value:
            return f"the bound of level {number} is {bound}, not {level.value}"
        if any(margins[n] < bound for n in free):
            return f"θ does not attain level {number}"
        tight = {n for n in free if level.weights[n] > 0}
        if tight != set(level.fixed):
            return f"level {number} fixes samples without a positive weight"
        ball = ball.exposed(level.weights)
        fixed |= dict.fromkeys(tight, bound)
        if not ball.constant(list(fixed), list(level.settled)):
            return f"a sample that leaves at level {number} is not constant"
        gone |= set(level.settled) - set(fixed)
    missing = count - len(set(fixed) | gone)
    return f"{missing} samples are left" if missing else ""


@final
class _Ball:
    """A face of the ball: which coordinates x of ``optimal_face.Face`` are at a bound."""

    def __init__(self, rows: list[Row], norm: float, at: dict[int, Fraction] | None = None) -> None:
        self.rows, self.norm = rows, norm
        self.at = {} if at is None else at
        self.size = len(rows[0])

    @property
    def free(self) -> list[int]:
        return [j for j in range(self.size) if j not in self.at]

    def normal(self, weights: Sequence[Fraction]) -> Row:
        used = [(w, row) for w, row in zip(weights, self.rows, strict=True) if w != 0]
        return [sum((w * row[j] for w, row in used), _ZERO) for j in range(self.size)]

    def bound(
        self, weights: Sequence[Fraction], fixed: dict[int, Fraction]
    ) -> tuple[Fraction, Row]:
        g = self.normal(weights)
        free = self.free
        if self.norm == 1.0:
            height = max(g[j] for j in free)
        else:
            height = sum((abs(g[j]) for j in free), _ZERO)
            height += sum((g[j] * x for j, x in self.at.items()), _ZERO)
        return height - sum((weights[n] * v for n, v in fixed.items()), _ZERO), g

    def exposed(self, weights: Sequence[Fraction]) -> _Ball:
        g, free = self.normal(weights), self.free
        at = dict(self.at)
        if self.norm == 1.0:
            top = max(g[j] for j in free)
            at |= {j: _ZERO for j in free if g[j] < top}
        else:
            at |= {j: _ONE if g[j] > 0 else -_ONE for j in free if g[j] != 0}
        return _Ball(self.rows, self.norm, at)

    def weights(
        self, support: list[int], shares: Row, fixed: list[int], stationary: list[int]
    ) -> Row | None:
        """Solve for y: zero gradient in the ``stationary`` coordinates (equal ones for ℓ1)."""
        samples = [*support, *fixed]
        simplex = self.norm == 1.0
        table = [
            [self.rows[n][j] for n in samples] + ([-_ONE] if simplex else []) + [_ZERO]
            for j in stationary
        ]
        ones = [_ONE] * len(support) + [_ZERO] * (len(fixed) + simplex)
        table.append([*ones, _ONE])
        solution = _solve(table, [*shares, *[_ZERO] * (len(fixed) + simplex)])
        if solution is None:
            return None
        weights = [_ZERO] * len(self.rows)
        for n, value in zip(samples, solution, strict=False):
            weights[n] = value
        return weights

    def point(self, fixed: dict[int, Fraction], guess: FloatArray) -> Row | None:
        """Return a θ of the face with the fixed margins, near the float ``guess`` if many do."""
        free = self.free
        table = []
        for n, value in fixed.items():
            row = self.rows[n]
            known = sum((row[j] * x for j, x in self.at.items()), _ZERO)
            table.append([*[row[j] for j in free], value - known])
        if self.norm == 1.0:
            table.append([_ONE] * len(free) + [_ONE])
        near = [Fraction(float(guess[j])).limit_denominator(10**6) for j in free]
        solution = _solve(table, near)
        if solution is None:
            return None
        x = [self.at.get(j, _ZERO) for j in range(self.size)]
        for j, value in zip(free, solution, strict=True):
            x[j] = value
        if self.norm == np.inf:
            return x
        half = self.size // 2
        return [p - q for p, q in zip(x[:half], x[half:], strict=True)]

    def constant(self, fixed: list[int], samples: list[int]) -> bool:
        """Whether the margins of ``samples`` are functions of the fixed ones on the face."""
        free = self.free
        if not samples or not free:
            return True
        known = [[self.rows[n][j] for j in free] for n in fixed]
        if self.norm == 1.0:
            known.append([_ONE] * len(free))
        more = [[self.rows[n][j] for j in free] for n in samples]
        return _rank(known) == _rank(known + more)


def _rows(Z: FloatArray, norm: float) -> list[Row]:
    rows = [list(to_fractions(row.tolist())) for row in np.asarray(Z, dtype=np.float64)]
    return [[*row, *[-x for x in row]] for row in rows] if norm == 1.0 else rows


def _dot(a: Row, b: Row) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True)), _ZERO)


def _reduced(table: list[Row]) -> tuple[list[Row], int]:
    from flint import fmpq, fmpq_mat

    columns = len(table[0])
    entries = [fmpq(x.numerator, x.denominator) for row in table for x in row]
    matrix, rank = fmpq_mat(len(table), columns, entries).rref()
    return [[_fraction(matrix[i, j]) for j in range(columns)] for i in range(rank)], int(rank)


def _fraction(value: Any) -> Fraction:
    return Fraction(int(value.p), int(value.q))


def _rank(table: list[Row]) -> int:
    return _reduced(table)[1] if table else 0


def _solve(table: list[Row], near: Row) -> Row | None:
    """Solve the augmented system ``[A | b]``; variables that are not determined take ``near``."""
    size = len(near)
    if not table:
        return near
    rows, _ = _reduced(table)
    solution = list(near)
    for row in rows:
        pivot = next(j for j, x in enumerate(row) if x != 0)
        if pivot == size:
            return None
        rest = sum((row[j] * solution[j] for j in range(pivot + 1, size) if row[j] != 0), _ZERO)
        solution[pivot] = row[size] - rest
    return solution


def _failed(reason: str) -> SolverFailedError:
    return SolverFailedError(
        f"The levels found in floats are not exact: {reason}.",
        "The data have a tie finer than the tolerances; use the float answer, or exact data.",
    )
