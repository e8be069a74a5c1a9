"""The max margin of linear margin functions in rational arithmetic: an answer that is its proof.

ℓ2: an exact non-negative least-squares active set gives λ ≥ 0 and `w = Zᵀλ` with `Z w ≥ 1` and
`Σλ = ‖w‖²`; weak duality then leaves no room, `γ* = 1/‖w‖`. ℓ1 and ℓ∞: a basis of the linear
program, found in floats and solved in rationals, with `γ* = min z_n·θ = ‖Zᵀp‖_*`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

import numpy as np

from lexmargin.errors import NotSeparableError, ParameterError, SolverFailedError
from lexmargin.judge.multipliers.multiplier_set import nonnegative_multipliers, smallest_hull_point
from lexmargin.judge.proofs.exact_basis import polyhedral_pair
from lexmargin.linalg.exact import (
    combination,
    dot,
    integer_rows,
    matvec,
    rank,
    solve_integer,
    to_fractions,
)
from lexmargin.linalg.norms import Array, unit_scale, vector_norm
from lexmargin.separation.gordan import separability_of_rows

__all__ = [
    "ExactGap",
    "ExactMargin",
    "check_exact_margin",
    "exact_gap",
    "exact_levels_gap",
    "exact_max_margin",
]

_ZERO, _ONE = Fraction(0), Fraction(1)
_GUESSED = 1e-6
"""Relative margin up to which samples start the support; a wrong guess only costs pivots."""
_PIVOTS = 2_000
"""Exact pivots at most: the method is finite, but rationals grow with every one of them."""


@final
@dataclass(frozen=True, eq=False)
class ExactMargin:
    """A max-margin direction of the ball and the weights that prove it, all rational.

    norm
        1, 2 or inf.
    theta
        (d,): for ℓ2 the w of eq. 18 with margin 1, else θ of norm 1.
    weights
        p (N,), p ≥ 0, Σp = 1.
    margin_squared
        γ*² of the unit ball; γ* itself is rational for ℓ1 and ℓ∞ only.
    active
        the samples whose margin is exactly the smallest.
    licq
        whether their z_n are linearly independent, exactly.
    """

    norm: float
    theta: tuple[Fraction, ...]
    weights: tuple[Fraction, ...]
    margin_squared: Fraction
    active: tuple[int, ...]
    licq: bool

    @property
    def margin(self) -> float:
        """γ*, rounded."""
        return _root(self.margin_squared)

    @property
    def direction(self) -> Array:
        """θ, rounded and of norm 1."""
        largest = max(abs(x) for x in self.theta)
        floats = np.array([float(x / largest) for x in self.theta])
        return floats / vector_norm(floats, self.norm)


@final
@dataclass(frozen=True)
class ExactGap:
    """How far a given direction is from the max margin.

    ratio_squared
        `(γ/γ*)²` exactly; negative where γ is.
    gap
        `1 - γ/γ*`, rounded from the exact number.
    """

    ratio_squared: Fraction
    gap: float


def exact_max_margin(Z: Array, norm: float = 2.0, theta: Array | None = None) -> ExactMargin:
    """Return the exact max margin of `f_n = z_n·θ` over the ℓ1, ℓ2 or ℓ∞ ball (eq. 6).

    Args:
        Z: (N, d), each double at its exact value.
        norm: 1, 2 or inf.
        theta: (d,) a direction to start from; only speed depends on it.

    Raises:
        ParameterError: another norm.
        NotSeparableError: no direction has a positive margin.
        SolverFailedError: the basis found in floats is not that of an exact solution.
    """
    if norm == 2.0:
        weights = _euclidean(Z, _support(Z, theta))
        total = sum(weights.values(), _ZERO)
        w = _combined(Z, weights)
        size, point = total, w
        squared = 1 / size
    elif norm == 1.0 or math.isinf(norm):
        try:
            point, weights, margin = polyhedral_pair(Z, norm)
        except SolverFailedError:
            if separability_of_rows(Z).separable:
                raise
            raise _inseparable() from None
        total, squared = _ONE, margin * margin
    else:
        raise ParameterError(
            f"The max margin of norm {norm:g} is not rational.", "Use the norm 1, 2 or inf."
        )
    level = _ONE if norm == 2.0 else margin
    active = tuple(n for n, excess in _excesses(Z, point, level).items() if excess == 0)
    found = ExactMargin(
        norm,
        point,
        tuple(weights.get(n, _ZERO) / total for n in range(Z.shape[0])),
        squared,
        active,
        len(active) <= Z.shape[1] and rank(Z[list(active)]) == len(active),
    )
    wrong = check_exact_margin(Z, found)
    if wrong:
        raise SolverFailedError(f"The exact answer fails its own check: {wrong}.")
    return found


def check_exact_margin(Z: Array, found: ExactMargin) -> str:
    """Return "" if `γ(θ) = ‖Zᵀp‖_*` proves the margin, else why not; rational arithmetic only."""
    count, size = Z.shape
    if len(found.theta) != size or len(found.weights) != count:
        return "θ or the weights have the wrong length"
    if any(p < 0 for p in found.weights) or sum(found.weights, _ZERO) != 1:
        return "the weights are not on the simplex"
    smallest = min(matvec(Z, found.theta))
    if smallest <= 0:
        return "θ does not separate"
    g = combination(found.weights, Z)
    if found.norm == 2.0:
        length = dot(found.theta, found.theta)
        reached, bound = smallest * smallest / length, dot(g, g)
    elif found.norm == 1.0:
        reached = (smallest / sum((abs(x) for x in found.theta), _ZERO)) ** 2
        bound = max(abs(x) for x in g) ** 2
    elif math.isinf(found.norm):
        reached = (smallest / max(abs(x) for x in found.theta)) ** 2
        bound = sum((abs(x) for x in g), _ZERO) ** 2
    else:
        return "no such norm"
    if reached != found.margin_squared:
        return "the margin is not that of θ"
    return "" if bound == reached else "the weights prove a larger bound"


def exact_gap(Z: Array, found: ExactMargin, theta: Array) -> ExactGap:
    """Compare a floating direction with the exact maximum: `1 - γ(θ/‖θ‖)/γ*`, never negative."""
    point = to_fractions(theta.tolist())
    smallest = min(matvec(Z, point))
    if found.norm == 2.0:
        length = dot(point, point)
    elif found.norm == 1.0:
        length = sum((abs(x) for x in point), _ZERO) ** 2
    else:
        length = max(abs(x) for x in point) ** 2
    if length == 0:
        raise ParameterError("The direction is zero.", "Give a non-zero θ.")
    sign = 1 if smallest > 0 else -1
    squared = smallest * smallest * sign / (length * found.margin_squared)
    if squared <= 0:
        return ExactGap(squared, 1.0 + _root(-squared))
    # 1 - r = (1 - r²)/(1 + r) keeps the digits.
    return ExactGap(squared, float(1 - squared) / (1.0 + _root(squared)))


def exact_levels_gap(Z: Array, found: ExactMargin, theta: Array, count: int) -> float:
    """Return the largest difference of the ``count`` smallest margins of θ from the exact ones.

    In units of the first; ℓ2, where one direction has the max margin and its levels are its own.
    """
    point = to_fractions(unit_scale(theta).tolist())
    best = sorted(matvec(Z, found.theta))[:count]
    given = sorted(matvec(Z, point))[:count]
    # w has margin 1, so that its sorted margins are the levels; those of θ are b ‖w‖/‖θ‖.
    squared = dot(found.theta, found.theta) / dot(point, point)
    factor, worst = _root(squared), 0.0
    for a, b in zip(best, given, strict=True):
        total = float(a) + abs(float(b)) * factor
        # a² - b² c² over a + b c keeps the digits.
        worst = max(worst, abs(float(a * a - b * b * squared)) / total if b > 0 else total)
    return worst


def _root(value: Fraction) -> float:
    """Return the square root of a rational, whatever its size."""
    if value == 0:
        return 0.0
    shift = value.numerator.bit_length() - value.denominator.bit_length()
    shift -= shift % 2
    scaled = value / Fraction(2) ** shift
    return math.ldexp(math.sqrt(float(scaled)), shift // 2)


def _inseparable() -> NotSeparableError:
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
                return [int(n) for n in near[share > 1e-10 * float(np.max(share, initial=0.0))]]
    working = np.argsort(Z @ Z.sum(axis=0), kind="stable")[: 3 * Z.shape[1] + 50]
    for _ in range(50):
        share = smallest_hull_point(Z[working])[0]
        w = share @ Z[working]
        margins = Z @ w
        level = float(w @ w)
        bad = np.flatnonzero(margins < level * (1.0 - 1e-9))
        bad = np.setdiff1d(bad, working)
        if not bad.size or level <= 0.0:
            break
        order = np.argsort(margins[bad], kind="stable")
        working = np.concatenate([working, bad[order[: 3 * Z.shape[1] + 50]]])
    return [int(n) for n in working[share > 1e-10 * float(np.max(share))]]


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


def _combined(Z: Array, weights: dict[int, Fraction]) -> tuple[Fraction, ...]:
    used = sorted(weights)
    return combination([weights[n] for n in used], Z[used])


def _euclidean(Z: Array, guess: list[int]) -> dict[int, Fraction]:
    """Maximise `Σλ - ½‖Zᵀλ‖²` over λ ≥ 0 exactly: Lawson and Hanson's method in rationals."""
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
                raise _inseparable()
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
                raise _inseparable()
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


def _excesses(Z: Array, w: tuple[Fraction, ...], level: Fraction) -> dict[int, Fraction]:
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


def to_text(value: Fraction, limit: int = 4000) -> str | None:
    """Return "p/q", or None where that is longer than ``limit``."""
    size = value.numerator.bit_length() + value.denominator.bit_length()
    return str(value) if size <= 3 * limit else None


def summary(found: ExactMargin, gap: ExactGap | None) -> dict[str, Any]:
    """Return plain JSON values of an exact margin."""
    used = [n for n, p in enumerate(found.weights) if p > 0]
    return {
        "norm": "inf" if math.isinf(found.norm) else found.norm,
        "margin": found.margin,
        "margin_squared": to_text(found.margin_squared),
        "direction": found.direction.tolist(),
        "support": used,
        "weights": [float(found.weights[n]) for n in used],
        "active": list(found.active),
        "licq": found.licq,
        "gap": None if gap is None else gap.gap,
        "ratio_squared": None if gap is None else to_text(gap.ratio_squared),
    }
