"""The max margin of linear margin functions in rational arithmetic: an answer that is its proof.

ℓ2: an exact non-negative least-squares active set gives λ ≥ 0 and `w = Zᵀλ` with `Z w ≥ 1` and
`Σλ = ‖w‖²`; weak duality then leaves no room, `γ* = 1/‖w‖`. ℓ1 and ℓ∞: a basis of the linear
program, found in floats and solved in rationals, with `γ* = min z_n·θ = ‖Zᵀp‖_*`.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from lexmargin.errors import ParameterError, SolverFailedError
from lexmargin.judge.proofs.euclidean import euclidean_pair, inseparable
from lexmargin.judge.proofs.polyhedral import polyhedral_pair, squared_length
from lexmargin.judge.proofs.proof import Arithmetic, Proof, Witness
from lexmargin.judge.proofs.rational import Vector, positive_entries, to_text
from lexmargin.judge.tolerances import PROVED_NEAR
from lexmargin.linalg.exact import (
    combination,
    dot,
    matvec,
    rank,
    to_fractions,
)
from lexmargin.linalg.norms import Array, dual_exponent, unit_scale, vector_norm
from lexmargin.separation.gordan import separability_of_rows

__all__ = ["check_exact_margin", "exact_max_margin", "margin_squared", "prove_max_margin"]

_ZERO = Fraction(0)


def prove_max_margin(Z: Array, norm: float, theta: Array, levels: int = 1) -> Proof:
    """Compare a direction with the exact max margin of `f_n = z_n·θ` (eq. 6).

    Args:
        Z: (N, d) rows z_n.
        norm: 1, 2 or inf.
        theta: (d,) the direction.
        levels: with the norm 2, how many of its smallest margins are compared (Definition 5).

    Raises:
        NotSeparableError: no direction has a positive margin.
        SolverFailedError: the basis found in floats is not that of an exact solution.
    """
    found = exact_max_margin(Z, norm, theta)
    (weights,), margins = found.multipliers, matvec(Z, found.point)
    best = margin_squared(Z, norm, found.point)
    ratio = margin_squared(Z, norm, to_fractions(theta.tolist())) / best
    # 1 - r = (1 - r²)/(1 + r) keeps the digits.
    root = _root(abs(ratio))
    gap = worst = float(1 - ratio) / (1.0 + root) if ratio > 0 else 1.0 + root
    lowest = min(margins)
    active = [n for n, margin in enumerate(margins) if margin == lowest]
    licq = len(active) <= Z.shape[1] and rank(Z[active]) == len(active)
    used, top = positive_entries(weights), max(abs(x) for x in found.point)
    direction = np.array([float(x / top) for x in found.point])
    facts = {
        "norm": "inf" if math.isinf(norm) else norm,
        "margin": _root(best),
        "margin_squared": to_text(best),
        "direction": (direction / vector_norm(direction, norm)).tolist(),
        "support": list(used),
        "weights": list(used.values()),
        "active": active,
        "licq": licq,
        "ratio_squared": to_text(ratio),
    }
    statement = (
        f"the max margin is {_root(best):.15g}, in rational arithmetic; "
        f"LICQ {'holds' if licq else 'fails'} exactly on {len(active)} active samples; "
        f"the direction given is {gap:.3e} below it, relative"
    )
    if levels > 1:
        facts["levels_gap"] = later = _levels_gap(Z, found.point, theta, levels)
        worst = max(worst, later)
        statement += f", and {later:.3e} of it from the exact levels"
    return Proof(
        kind=Arithmetic.RATIONAL,
        proved=worst <= PROVED_NEAR,
        statement=statement,
        facts=facts,
        gap=gap,
        value=(best,),
        witness=found,
    )


def margin_squared(Z: Array, norm: float, theta: Vector) -> Fraction:
    """Return `(γ/‖θ‖)²` with the sign of γ = min z_n·θ, for the norms 1, 2 and inf.

    Raises:
        ParameterError: θ is zero.
    """
    length = squared_length(theta, norm)
    if length == 0:
        raise ParameterError("The direction is zero.", "Give a non-zero θ.")
    smallest = min(matvec(Z, theta))
    return smallest * abs(smallest) / length


def exact_max_margin(Z: Array, norm: float = 2.0, theta: Array | None = None) -> Witness:
    """Return the exact max margin of `f_n = z_n·θ` over the ℓ1, ℓ2 or ℓ∞ ball (eq. 6).

    Args:
        Z: (N, d), each double at its exact value.
        norm: 1, 2 or inf.
        theta: (d,) a direction to start from; only speed depends on it.

    Returns:
        θ: for ℓ2 the w of eq. 18 with margin 1, else of norm 1; and p (N,), p ≥ 0, Σp = 1.

    Raises:
        ParameterError: another norm.
        NotSeparableError: no direction has a positive margin.
        SolverFailedError: the basis found in floats is not that of an exact solution.
    """
    if norm == 2.0:
        point, weights = euclidean_pair(Z, theta)
    elif norm == 1.0 or math.isinf(norm):
        try:
            point, weights = polyhedral_pair(Z, norm)
        except SolverFailedError:
            if separability_of_rows(Z).separable:
                raise
            raise inseparable() from None
    else:
        raise ParameterError(
            f"The max margin of norm {norm:g} is not rational.", "Use the norm 1, 2 or inf."
        )
    total = sum(weights, _ZERO)
    found = Witness(point, (tuple(x / total for x in weights),))
    wrong = check_exact_margin(Z, norm, found)
    if wrong:
        raise SolverFailedError(f"The exact answer fails its own check: {wrong}.")
    return found


def check_exact_margin(Z: Array, norm: float, found: Witness) -> str:
    """Return "" if `γ(θ) = ‖Zᵀp‖_*` proves the margin, else why not; rational arithmetic only."""
    count, size = Z.shape
    (weights,) = found.multipliers
    if len(found.point) != size or len(weights) != count:
        return "θ or the weights have the wrong length"
    if any(p < 0 for p in weights) or sum(weights, _ZERO) != 1:
        return "the weights are not on the simplex"
    reached = margin_squared(Z, norm, found.point)
    if reached <= 0:
        return "θ does not separate"
    bound = squared_length(combination(weights, Z), dual_exponent(norm))
    return "" if bound == reached else "the weights prove a larger bound"


def _levels_gap(Z: Array, w: Vector, theta: Array, count: int) -> float:
    """Return the largest difference of the ``count`` smallest margins of θ from the exact ones.

    In units of the first; ℓ2, where one direction has the max margin and its levels are its own.
    """
    point = to_fractions(unit_scale(theta).tolist())
    best = sorted(matvec(Z, w))[:count]
    given = sorted(matvec(Z, point))[:count]
    # w has margin 1, so that its sorted margins are the levels; those of θ are b ‖w‖/‖θ‖.
    squared = dot(w, w) / dot(point, point)
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
