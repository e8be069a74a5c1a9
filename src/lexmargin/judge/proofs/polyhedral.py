"""Exact points and weights of linear margins on the ℓ1 and the ℓ∞ ball, from what floats suggest.

At a level with free samples U and samples F that are held at v_n, any λ ≥ 0 with `Σ_U λ_n = 1` has
`min_U f_n(θ') ≤ ‖Zᵀλ‖_* - Σ_F λ_n v_n` for every θ' of the ball that keeps those (Definition 5).
The max margin is the first level, where nothing is held (eq. 6).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

import numpy as np

from lexmargin.errors import SolverFailedError
from lexmargin.judge.multipliers.polyhedral import saddle_point
from lexmargin.judge.proofs.proof import Witness
from lexmargin.judge.proofs.rational import Vector, first_exact, solve_near
from lexmargin.linalg.exact import combination, dot, matvec, to_fractions
from lexmargin.linalg.norms import Array, dual_exponent
from lexmargin.separation.exact_vertices import exact_vertex
from lexmargin.separation.long_measures import affordable

__all__ = [
    "exact_length",
    "found_vertex",
    "level_fails",
    "lowest_free",
    "polyhedral_pair",
    "squared_length",
    "supporting_weights",
    "tied_point",
]

_ZERO, _ONE = Fraction(0), Fraction(1)
_SECONDS: Final = 10.0
"""For levels found from nothing; a hundred samples take less than one."""


def squared_length(vector: Vector, norm: float) -> Fraction:
    """Return `‖x‖²` for the norms 1, 2 and inf."""
    if norm == 2.0:
        return dot(vector, vector)
    return exact_length(vector, norm) ** 2


def exact_length(vector: Vector, norm: float) -> Fraction:
    """Return `‖x‖` for the norms 1 and inf."""
    sizes = [abs(x) for x in vector]
    return sum(sizes, _ZERO) if norm == 1.0 else max(sizes)


def polyhedral_pair(Z: Array, norm: float) -> tuple[Vector, Vector]:
    """Return θ of norm 1 and p ≥ 0, Σp = 1, with `min z_n·θ = ‖Zᵀp‖_*`, all exact (eq. 6).

    Args:
        Z: (N, d) rows z_n.
        norm: 1 or inf.

    Raises:
        SolverFailedError: no basis seen in the float solution solves the program exactly.
    """
    share, theta = saddle_point(Z, np.zeros(Z.shape[0]), norm)

    def attempt(tolerance: float) -> tuple[Vector, Vector] | None:
        point = tied_point(Z, norm, theta, 1, tolerance)
        if point is None:
            return None
        margins = matvec(Z, point)
        weights = supporting_weights(Z, norm, point, margins, [False] * len(margins), share)
        return None if weights is None else (point, weights)

    found = first_exact(attempt)
    if found is None and (vertex := found_vertex(Z, norm, 1)) is not None:
        found = vertex.point, vertex.multipliers[0]
    if found is None:
        raise SolverFailedError(
            "The basis of the linear program is not that of an exact solution.",
            "The data have a tie finer than the linear program's tolerances.",
        )
    return found


def found_vertex(Z: Array, norm: float, count: int) -> Witness | None:
    """Return the exact best ``count`` levels from nothing; None where there are too many samples.

    Or where nothing separates them.
    """
    if not affordable(*Z.shape):
        return None
    found = exact_vertex(Z, norm, count, time.monotonic() + _SECONDS)
    return None if found is None else Witness(found.theta, found.chain)


def tied_point(Z: Array, norm: float, unit: Array, count: int, tolerance: float) -> Vector | None:
    """Solve for θ of norm 1 the equations that its ties, zeros and bounds suggest.

    Args:
        Z: (N, d) rows z_n.
        norm: 1 or inf.
        unit: (d,) of norm 1, in floats.
        count: how many of the smallest margins are looked at.
        tolerance: of a tie, in units of the smallest margin.

    Returns:
        None where there is no such θ, or a margin of it is not positive.
    """
    margins = Z @ unit
    scale = float(np.min(margins))
    order = np.argsort(margins, kind="stable")
    last = float(margins[order[count - 1]])
    seen = [int(n) for n in order if margins[n] <= last + tolerance * scale]
    if norm == 1.0:
        moving = np.flatnonzero(np.abs(unit) > tolerance).tolist()
        fixed: dict[int, Fraction] = {}
    else:
        moving = np.flatnonzero(np.abs(unit) < 1.0 - tolerance).tolist()
        held = set(range(unit.size)) - set(moving)
        fixed = {j: Fraction(1 if unit[j] > 0.0 else -1) for j in held}
    leader: Vector = ()
    table, top = [], -math.inf
    for n in seen:
        row = to_fractions(Z[n].tolist())
        if margins[n] > top + tolerance * scale:
            leader = row
        else:
            apart = [a - b for a, b in zip(row, leader, strict=True)]
            known = sum((apart[j] * x for j, x in fixed.items()), _ZERO)
            table.append([*(apart[j] for j in moving), -known])
        top = float(margins[n])
    if norm == 1.0:
        table.append([*(Fraction(1 if unit[j] > 0.0 else -1) for j in moving), _ONE])
    near = [Fraction(float(unit[j])).limit_denominator(10**6) for j in moving]
    solved = solve_near(table, near) if table and moving else near
    if solved is None:
        return None
    values = fixed | dict(zip(moving, solved, strict=True))
    point = tuple(values.get(j, _ZERO) for j in range(unit.size))
    return point if exact_length(point, norm) == 1 and min(matvec(Z, point)) > 0 else None


def lowest_free(margins: Vector, fixed: Sequence[bool]) -> Fraction:
    """Return the smallest margin that no level holds."""
    return min(m for m, held in zip(margins, fixed, strict=True) if not held)


def level_fails(
    Z: Array, norm: float, margins: Vector, fixed: Sequence[bool], weights: Vector
) -> str:
    """Return "" if λ proves the level of the free samples, else why not; exact."""
    if len(weights) != len(margins) or any(x < 0 for x in weights):
        return "the weights are negative, or of another length"
    if sum((x for x, held in zip(weights, fixed, strict=True) if not held), _ZERO) != 1:
        return "the weights of the free samples do not sum to 1"
    bound = exact_length(combination(weights, Z), dual_exponent(norm))
    bound -= sum((weights[n] * margins[n] for n, held in enumerate(fixed) if held), _ZERO)
    return "" if bound == lowest_free(margins, fixed) else "the weights prove a larger bound"


def supporting_weights(
    Z: Array,
    norm: float,
    point: Vector,
    margins: Vector,
    fixed: Sequence[bool],
    guess: Array,
) -> Vector | None:
    """Solve for λ on the support of a guess: g supports the ball at θ, and Σ_U λ = 1.

    Args:
        Z: (N, d) rows z_n.
        norm: 1 or inf.
        point: θ of norm 1.
        margins: (N,) `z_n·θ`.
        fixed: (N,) whether an earlier level holds the sample.
        guess: (N,) λ in floats.

    Returns:
        λ (N,) that proves the level exactly; None where no support that is tried has one.
    """
    lowest = lowest_free(margins, fixed)
    # A long row pulls with a small λ.
    shares, pull = guess * np.linalg.norm(Z, axis=1), guess @ Z
    top = float(np.max(shares, initial=0.0))
    size = float(np.max(np.abs(pull), initial=0.0))
    if not (math.isfinite(top) and math.isfinite(size)):
        # Earlier proofs may not make a level's multipliers positive: then floats name no support.
        return None

    def solved(tolerance: float, ties: bool) -> Vector | None:
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
        values = solve_near(table, near)
        if values is None:
            return None
        found = dict(zip(support, values, strict=False))
        weights = tuple(found.get(n, _ZERO) for n in range(len(margins)))
        return None if level_fails(Z, norm, margins, fixed, weights) else weights

    return first_exact(lambda cut: solved(cut, True) or solved(cut, False))
