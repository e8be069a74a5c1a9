"""The lexicographic max margin of linear margins in rational arithmetic (Definition 5).

The ties seen in floats are solved exactly for θ; then every level has a rational λ ≥ 0 whose bound,
`min_U f_n(θ') ≤ ‖Zᵀλ‖_* - Σ_F λ_n v_n` with `Σ_U λ_n = 1`, is exactly the level. A free sample with
λ_n > 0 is then tight in every optimum, so that the chain proves the sorted margins of θ.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, final

import numpy as np

from lexmargin.inputs.limits import EXACT_LEVEL_ENTRIES
from lexmargin.judge.levels.level_duals import level_dual
from lexmargin.judge.levels.level_face import LevelFace
from lexmargin.judge.levels.long_words import found_multipliers
from lexmargin.judge.multipliers.polyhedral import smallest_dual_norm
from lexmargin.judge.proofs.exact_basis import solve_near
from lexmargin.judge.proofs.exact_linear import to_text
from lexmargin.judge.tolerances import PROVED_NEAR
from lexmargin.linalg.exact import combination, matvec, to_fractions
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.separation.long_margins import LongMultipliers

__all__ = ["ExactLevels", "check_exact_levels", "exact_levels"]

_ZERO, _ONE = Fraction(0), Fraction(1)
_TOLERANCES: Final = (1e-9, 1e-7, 1e-11, 1e-5)
"""Where to cut a float answer's support, likeliest first; a wrong cut fails exactly."""

_HOLDING: Final = (1.0, 1e3, 1e6, 1e9)
"""Weight of the samples of level 1 beside 1 of the others: what holds them has any size."""

Vector = tuple[Fraction, ...]


@final
@dataclass(frozen=True, eq=False)
class ExactLevels:
    """Exact levels, their proof, and how far the given direction is from them.

    norm
        1 or inf.
    theta
        (d,) of norm 1.
    chain
        λ (N,) of each level, in order.
    levels
        the smallest margins, sorted.
    gap
        largest difference of the sorted margins of the given direction, in units of the first.
    """

    norm: float
    theta: Vector
    chain: tuple[Vector, ...]
    levels: Vector
    gap: float

    @property
    def proved(self) -> bool:
        """Whether the given direction has the exact levels up to 1e-6 of the first margin."""
        return self.gap <= PROVED_NEAR

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "proved": self.proved,
            "norm": "inf" if math.isinf(self.norm) else self.norm,
            "levels": [to_text(value) for value in self.levels],
            "direction": [float(x) for x in self.theta],
            "weights": [
                {str(n): float(x) for n, x in enumerate(weights) if x > 0} for weights in self.chain
            ],
            "gap": self.gap,
        }

    def report(self) -> str:
        """Return a short text."""
        shown = ", ".join(f"{float(value):.12g}" for value in self.levels[:8])
        more = f", … ({len(self.levels)} in all)" if len(self.levels) > 8 else ""
        lines = [
            ("exact levels", f"{shown}{more}, proved in rational arithmetic"),
            ("dual chain", f"{len(self.chain)} vectors"),
            ("exact gap", f"{self.gap:.3e} of the direction given"),
        ]
        return "\n".join(f"{name:<16}{text}" for name, text in lines)


def exact_levels(Z: Array, norm: float, theta: Array, count: int) -> ExactLevels | str:
    """Return the exact ``count`` smallest margins of the lexicographic optimum near θ (Def. 5).

    Args:
        Z: (N, d) rows z_n, each double at its exact value.
        norm: 1 or inf.
        theta: (d,) a direction with the right ties.
        count: how many levels.

    Returns:
        The proof, or why there is none.
    """
    if Z.size * count > EXACT_LEVEL_ENTRIES:
        return f"{Z.shape[0]} × {Z.shape[1]} margins at {count} levels are too many"
    unit = theta / vector_norm(theta, norm)
    if not float(np.min(Z @ unit)) > 0.0:
        return "a margin is not positive"
    why = ""
    for tolerance in _TOLERANCES:
        point = _point(Z, norm, unit, count, tolerance)
        if point is None:
            why = "the ties of this direction have no exact solution"
            continue
        chain = _chain(Z, norm, point, count)
        if isinstance(chain, str):
            why = chain
            continue
        exact = tuple(sorted(matvec(Z, point)))[:count]
        given = matvec(Z, to_fractions(theta.tolist()))
        length = _length(to_fractions(theta.tolist()), norm)
        reached = sorted(value / length for value in given)[:count]
        gap = max(abs(a - b) for a, b in zip(exact, reached, strict=True)) / exact[0]
        return ExactLevels(norm, point, chain, exact, float(gap))
    return why


def check_exact_levels(
    Z: Array, norm: float, theta: Vector, chain: Sequence[Vector], count: int
) -> str:
    """Return "" if the chain proves the ``count`` smallest margins of θ, else why not; exact."""
    if _length(theta, norm) != 1:
        return "θ is not of norm 1"
    margins = matvec(Z, theta)
    fixed = [False] * len(margins)
    for level, weights in enumerate(chain):
        if sum(fixed) >= count:
            break
        wrong = _level_fails(Z, norm, margins, fixed, weights)
        if wrong:
            return f"level {level + 1}: {wrong}"
        lowest = min(m for m, held in zip(margins, fixed, strict=True) if not held)
        for n, (m, x) in enumerate(zip(margins, weights, strict=True)):
            fixed[n] = fixed[n] or (x > 0 and m == lowest)
    return "" if sum(fixed) >= count else "the chain is too short"


def _level_fails(
    Z: Array, norm: float, margins: Vector, fixed: Sequence[bool], weights: Vector
) -> str:
    if len(weights) != len(margins) or any(x < 0 for x in weights):
        return "the weights are negative, or of another length"
    free = [n for n, held in enumerate(fixed) if not held]
    if sum((weights[n] for n in free), _ZERO) != 1:
        return "the weights of the free samples do not sum to 1"
    lowest = min(margins[n] for n in free)
    bound = _dual_length(combination(weights, Z), norm)
    bound -= sum((weights[n] * margins[n] for n, held in enumerate(fixed) if held), _ZERO)
    return "" if bound == lowest else "the weights prove a larger bound"


def _length(theta: Vector, norm: float) -> Fraction:
    sizes = [abs(x) for x in theta]
    return sum(sizes, _ZERO) if norm == 1.0 else max(sizes)


def _dual_length(g: Vector, norm: float) -> Fraction:
    sizes = [abs(x) for x in g]
    return max(sizes) if norm == 1.0 else sum(sizes, _ZERO)


# -- exact ties ------------------------------------------------------------------------------------


def _point(Z: Array, norm: float, unit: Array, count: int, tolerance: float) -> Vector | None:
    """Solve for θ the equations that its ties, zeros and bounds suggest."""
    margins = Z @ unit
    scale = float(np.min(margins))
    order = np.argsort(margins, kind="stable")
    last = float(margins[order[count - 1]])
    seen = [int(n) for n in order if margins[n] <= last + tolerance * scale]
    groups: list[int] = []
    top = -math.inf
    for n in seen:
        if margins[n] > top + tolerance * scale:
            groups.append(int(n))
        top = float(margins[n])
    if norm == 1.0:
        moving = np.flatnonzero(np.abs(unit) > tolerance).tolist()
        fixed: dict[int, Fraction] = {}
    else:
        moving = np.flatnonzero(np.abs(unit) < 1.0 - tolerance).tolist()
        held = set(range(unit.size)) - set(moving)
        fixed = {j: Fraction(1 if unit[j] > 0.0 else -1) for j in held}
    exact = {n: to_fractions(Z[n].tolist()) for n in seen}
    leader = -1
    table = []
    for n in seen:
        if n in groups:
            leader = n
            continue
        row = [a - b for a, b in zip(exact[n], exact[leader], strict=True)]
        known = sum((row[j] * x for j, x in fixed.items()), _ZERO)
        table.append([*(row[j] for j in moving), -known])
    if norm == 1.0:
        table.append([*(Fraction(1 if unit[j] > 0.0 else -1) for j in moving), _ONE])
    near = [Fraction(float(unit[j])).limit_denominator(10**6) for j in moving]
    solved = solve_near(table, near) if table and moving else near
    if solved is None:
        return None
    values = fixed | dict(zip(moving, solved, strict=True))
    point = tuple(values.get(j, _ZERO) for j in range(unit.size))
    return point if _length(point, norm) == 1 and min(matvec(Z, point)) > 0 else None


def _chain(Z: Array, norm: float, point: Vector, count: int) -> tuple[Vector, ...] | str:
    """Return exact weights level by level, from guesses in floats."""
    margins = matvec(Z, point)
    floats = np.array([float(x) for x in point])
    face = LevelFace(Z, floats, norm)
    fixed = [False] * len(margins)
    chain: list[Vector] = []
    first: LongMultipliers | None = None
    while sum(fixed) < count:
        free = ~np.array(fixed)
        guess = level_dual(face, free)
        weights = _weights(Z, norm, point, margins, fixed, guess.weights)
        if weights is None:
            held = np.array([float(m) for m in margins])
            vertex = smallest_dual_norm(Z, np.where(free, 0.0, held), norm, free)
            weights = _weights(Z, norm, point, margins, fixed, vertex)
        if weights is None:
            first = first if chain else found_multipliers(Z, norm)
            weights = _by_level_one(Z, norm, point, margins, fixed, first)
        if weights is None:
            return f"level {len(chain) + 1} has no exact proof by the weights that were found"
        chain.append(weights)
        lowest = min(m for m, held in zip(margins, fixed, strict=True) if not held)
        tight = [
            n
            for n, (m, x) in enumerate(zip(margins, weights, strict=True))
            if not fixed[n] and x > 0 and m == lowest
        ]
        for n in tight:
            fixed[n] = True
        face.extend(guess, free, np.array(tight, dtype=np.int64))
    return tuple(chain)


def _by_level_one(
    Z: Array,
    norm: float,
    point: Vector,
    margins: Vector,
    fixed: Sequence[bool],
    first: LongMultipliers | None,
) -> Vector | None:
    """Return weights of a level from those of level 1 in long numbers.

    Where level 1 leaves one direction alone, so much of its weights holds any other sample.
    """
    if first is None:
        return None
    if not any(fixed):
        return _weights(Z, norm, point, margins, fixed, first.rounded)
    lowest = min(m for m, held in zip(margins, fixed, strict=True) if not held)
    next_ = [not held and m == lowest for m, held in zip(margins, fixed, strict=True)]
    held = np.where(np.array(fixed), first.rounded, 0.0)
    rest = np.array(next_, dtype=np.float64) / sum(next_)
    for share in _HOLDING:
        found = _weights(Z, norm, point, margins, fixed, held * share / held.sum() + rest)
        if found is not None:
            return found
    return None


def _weights(
    Z: Array,
    norm: float,
    point: Vector,
    margins: Vector,
    fixed: Sequence[bool],
    guess: Array,
) -> Vector | None:
    """Solve for λ on the support of a guess: g supports the ball at θ, and Σ_U λ = 1."""
    lowest = min(m for m, held in zip(margins, fixed, strict=True) if not held)
    # A long row pulls with a small λ.
    shares, pull = guess * np.linalg.norm(Z, axis=1), guess @ Z
    top = float(np.max(shares, initial=0.0))
    size = float(np.max(np.abs(pull), initial=0.0))
    for tolerance, ties in itertools.product(_TOLERANCES, (True, False)):
        support = [
            n
            for n in np.flatnonzero(shares > tolerance * top).tolist()
            if fixed[n] or margins[n] == lowest
        ]
        exact = {n: to_fractions(Z[n].tolist()) for n in support}
        level = [-_ONE] if norm == 1.0 else []
        table = []
        for j, x in enumerate(point):
            inside = x != 0 if norm == 1.0 else abs(x) != 1
            # A coordinate that is only just held in place by the ball, up to rounding.
            least = size - abs(pull[j]) if norm == 1.0 else abs(pull[j])
            if inside or (ties and least <= tolerance * size):
                positive = x > 0 if x != 0 else pull[j] >= 0.0
                side = 1 if positive else -1
                table.append([*(side * exact[n][j] for n in support), *level, _ZERO])
        free = [_ZERO if fixed[n] else _ONE for n in support]
        table.append([*free, *([_ZERO] * len(level)), _ONE])
        near = [Fraction(float(guess[n])) for n in support]
        if level:
            near.append(Fraction(size))
        solved = solve_near(table, near)
        if solved is None:
            continue
        found = dict(zip(support, solved, strict=False))
        weights = tuple(found.get(n, _ZERO) for n in range(len(margins)))
        if not _level_fails(Z, norm, margins, fixed, weights):
            return weights
    return None
