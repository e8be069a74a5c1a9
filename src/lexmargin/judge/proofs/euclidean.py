"""The exact max margin on the ℓ2 ball: an active set in rationals, started from floats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Final, final

import numpy as np

from lexmargin.errors import NotSeparableError, SolverFailedError
from lexmargin.judge.multipliers.multiplier_set import nonnegative_multipliers, smallest_hull_point
from lexmargin.judge.proofs.rational import Vector
from lexmargin.linalg.exact import (
    combination,
    integer_rows,
    matvec,
    rank,
    solve_integer,
)
from lexmargin.linalg.norms import Array, vector_norm

__all__ = ["euclidean_pair", "inseparable"]

_BELOW: Final = 1e-9
"""Relative margin below the level that adds a sample: what is missed costs pivots."""
_SHARE: Final = 1e-10
"""Share of the largest weight that starts the support; a wrong guess only costs pivots."""
_ZERO, _ONE = Fraction(0), Fraction(1)
_GUESSED = 1e-6
"""Relative margin up to which samples start the support; a wrong guess only costs pivots."""
_PIVOTS = 2_000
"""Exact pivots at most: the method is finite, but rationals grow with every one of them."""


def inseparable() -> NotSeparableError:
    """Return the error of data without a direction of positive margin."""
    return NotSeparableError(
        "No direction has a positive margin on all samples.",
        "Check the exact verdict on separability.",
    )


def _support(Z: Array, theta: Array | None) -> list[int]:
    """Guess the samples of positive weight, in floats."""
    if theta is not None and np.any(theta):
        margins = Z @ theta
        smallest = float(np.min(margins))
        if smallest > 0.0:
            near = np.flatnonzero(margins <= (1.0 + _GUESSED) * smallest)
            if near.size <= 4 * Z.shape[1] + 50:
                direction = theta / vector_norm(theta, 2.0)
                share = nonnegative_multipliers(Z[near], direction).multipliers
                return [int(n) for n in near[share > _SHARE * float(np.max(share, initial=0.0))]]
    working = np.argsort(Z @ Z.sum(axis=0), kind="stable")[: 3 * Z.shape[1] + 50]
    for _ in range(50):
        share = smallest_hull_point(Z[working])[0]
        w = share @ Z[working]
        margins = Z @ w
        level = float(w @ w)
        bad = np.flatnonzero(margins < level * (1.0 - _BELOW))
        bad = np.setdiff1d(bad, working)
        if not bad.size or level <= 0.0:
            break
        order = np.argsort(margins[bad], kind="stable")
        working = np.concatenate([working, bad[order[: 3 * Z.shape[1] + 50]]])
    return [int(n) for n in working[share > _SHARE * float(np.max(share))]]


@final
class _Rows:
    """Rows of Z as integers on one power of two, with their inner products kept."""

    def __init__(self, Z: Array) -> None:
        self._Z = Z
        self._rows: dict[int, tuple[list[int], int]] = {}
        self._products: dict[tuple[int, int], Fraction] = {}

    def __getitem__(self, n: int) -> tuple[list[int], int]:
        if n not in self._rows:
            rows, exponents = integer_rows(self._Z[n : n + 1])
            self._rows[n] = rows[0], exponents[0]
        return self._rows[n]

    def product(self, a: int, b: int) -> Fraction:
        key = (a, b) if a <= b else (b, a)
        if key not in self._products:
            (x, e), (y, f) = self[a], self[b]
            whole = sum(map(int.__mul__, x, y))
            shift = e + f
            self._products[key] = (
                Fraction(whole << shift) if shift >= 0 else Fraction(whole, 1 << -shift)
            )
        return self._products[key]

    def solve(self, chosen: Sequence[int], right: Sequence[Fraction]) -> list[Fraction] | None:
        """Solve `G x = right` for the Gram matrix of the chosen rows; None where it is singular."""
        if not chosen:
            return []
        matrix, values = [], []
        for a, target in zip(chosen, right, strict=True):
            row = [self.product(a, b) for b in chosen]
            common = math.lcm(target.denominator, *(x.denominator for x in row))
            matrix.append([x.numerator * (common // x.denominator) for x in row])
            values.append(target.numerator * (common // target.denominator))
        found = solve_integer(matrix, values)
        return None if found is None else list(found)


def euclidean_pair(Z: Array, theta: Array | None) -> tuple[Vector, Vector]:
    """Return `w = Zᵀλ` with `Z w ≥ 1` and λ ≥ 0 with `Σλ = ‖w‖²`, exact (eq. 18).

    The maximum of `Σλ - ½‖Zᵀλ‖²` over λ ≥ 0, by Lawson and Hanson's method in rationals.

    Args:
        Z: (N, d) rows z_n.
        theta: (d,) a direction to start from; only speed depends on it.

    Raises:
        NotSeparableError: no direction has a positive margin.
        SolverFailedError: too many pivots.
    """
    weights = _weights(Z, _support(Z, theta))
    return _combined(Z, weights), tuple(weights.get(n, _ZERO) for n in range(Z.shape[0]))


def _combined(Z: Array, weights: dict[int, Fraction]) -> Vector:
    used = sorted(weights)
    return combination([weights[n] for n in used], Z[used])


def _weights(Z: Array, guess: list[int]) -> dict[int, Fraction]:
    rows = _Rows(Z)
    chosen = _independent(Z, guess)
    values = rows.solve(chosen, [_ONE] * len(chosen)) or []
    while any(x <= 0 for x in values):
        chosen = [n for n, x in zip(chosen, values, strict=True) if x > 0]
        values = rows.solve(chosen, [_ONE] * len(chosen)) or []
    weights = dict(zip(chosen, values, strict=True))
    for _ in range(_PIVOTS):
        if not weights:
            entering: int | None = int(np.argmax(np.linalg.norm(Z, axis=1)))
            if not np.any(Z[entering]):
                raise inseparable()
        else:
            excesses = _excesses(Z, _combined(Z, weights), _ONE)
            worst = min(excesses.items(), key=lambda item: item[1], default=(0, _ZERO))
            entering = worst[0] if worst[1] < 0 else None
        if entering is None:
            return weights
        weights = _entered(rows, weights, entering)
    raise _unsettled()


def _unsettled() -> SolverFailedError:
    return SolverFailedError(
        "The exact active set did not settle.", "Give a direction that is nearer to the optimum."
    )


def _entered(rows: _Rows, weights: dict[int, Fraction], entering: int) -> dict[int, Fraction]:
    """Return the weights after one sample has entered, others having left at zero."""
    current = {**weights, entering: _ZERO}
    while True:
        chosen = list(current)
        solved = rows.solve(chosen, [_ONE] * len(chosen))
        if solved is None:
            others = [n for n in chosen if n != entering]
            shares = rows.solve(others, [rows.product(entering, n) for n in others])
            if shares is None:
                raise _unsettled()
            # z_n = Σ a_i z_i: weight moves along (1, -a), which leaves w and raises Σλ.
            steps = {n: -a for n, a in zip(others, shares, strict=True)} | {entering: _ONE}
            falling = {n: current[n] / -s for n, s in steps.items() if s < 0}
            if not falling:
                raise inseparable()
            length = min(falling.values())
            current = {n: x + length * steps[n] for n, x in current.items()}
            gone = min(n for n, limit in falling.items() if limit == length)
            del current[gone]
            continue
        trial = dict(zip(chosen, solved, strict=True))
        if all(x > 0 for x in solved):
            return trial
        limits = {n: current[n] / (current[n] - trial[n]) for n in chosen if trial[n] <= 0}
        length = min(limits.values())
        current = {n: x + length * (trial[n] - x) for n, x in current.items()}
        zero = {n for n, limit in limits.items() if limit == length}
        current = {n: x for n, x in current.items() if n not in zero}


def _independent(Z: Array, chosen: list[int]) -> list[int]:
    """Return indices of independent rows among ``chosen``, exactly, larger pivots first."""
    if len(chosen) <= Z.shape[1] and rank(Z[chosen]) == len(chosen):
        return chosen
    kept: list[int] = []
    for n in chosen:
        if len(kept) == Z.shape[1]:
            break
        if rank(Z[[*kept, n]]) == len(kept) + 1:
            kept.append(n)
    return kept


def _excesses(Z: Array, w: Vector, level: Fraction) -> dict[int, Fraction]:
    """Return `z_n·w - level` exactly for every row that floats do not show to be above the level.

    Rounding w and the product changes it by at most (d + 4) u Σ|z||w| (Higham, eq. 3.5).
    """
    top = max(abs(x) for x in w)
    scale = Fraction(2) ** (top.numerator.bit_length() - top.denominator.bit_length())
    floats = np.array([float(x / scale) for x in w])
    height = float(level / scale) if level / scale < 2**1000 else math.inf
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        product = Z @ floats
        terms = np.abs(Z) @ np.abs(floats) + abs(height)
        slack = 4.0 * (w.__len__() + 4) * 2.0**-53 * terms + 2.0**-1000
        clear = (product - height > slack) & np.isfinite(terms)
    rest = np.flatnonzero(~clear)
    if not rest.size:
        return {}
    exact = matvec(Z[rest], w)
    return {int(n): value - level for n, value in zip(rest, exact, strict=True)}
