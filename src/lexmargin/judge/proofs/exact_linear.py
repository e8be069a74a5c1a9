"""The max margin of linear margin functions in rational arithmetic: an answer that is its proof.

ℓ2: an exact non-negative least-squares active set gives λ ≥ 0 and `w = Zᵀλ` with `Z w ≥ 1` and
`Σλ = ‖w‖²`; weak duality then leaves no room, `γ* = 1/‖w‖`. ℓ1 and ℓ∞: a basis of the linear
program, found in floats and solved in rationals, with `γ* = min z_n·θ = ‖Zᵀp‖_*`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np

from lexmargin.errors import ParameterError, SolverFailedError
from lexmargin.judge.proofs.euclidean import euclidean_pair, excesses_over, inseparable
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

__all__ = [
    "ExactGap",
    "ExactMargin",
    "check_exact_margin",
    "exact_gap",
    "exact_max_margin",
    "prove_max_margin",
]

_ZERO, _ONE = Fraction(0), Fraction(1)


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
    theta: Vector
    weights: Vector
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
    gap = exact_gap(Z, found, theta)
    used = positive_entries(found.weights)
    facts = {
        "norm": "inf" if math.isinf(norm) else norm,
        "margin": found.margin,
        "margin_squared": to_text(found.margin_squared),
        "direction": found.direction.tolist(),
        "support": list(used),
        "weights": list(used.values()),
        "active": list(found.active),
        "licq": found.licq,
        "ratio_squared": to_text(gap.ratio_squared),
    }
    statement = (
        f"the max margin is {found.margin:.15g}, in rational arithmetic, and LICQ "
        f"{'holds' if found.licq else 'fails'} on its {len(found.active)} active samples; "
        f"the direction given is {gap.gap:.3e} below it, relative"
    )
    worst = gap.gap
    if levels > 1:
        facts["levels_gap"] = _levels_gap(Z, found, theta, levels)
        worst = max(worst, facts["levels_gap"])
        statement += f", and {facts['levels_gap']:.3e} of it from the exact levels"
    return Proof(
        kind=Arithmetic.RATIONAL,
        proved=worst <= PROVED_NEAR,
        statement=statement,
        facts=facts,
        gap=gap.gap,
        value=(found.margin_squared,),
        witness=Witness(found.theta, (found.weights,)),
    )


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
        point, multipliers = euclidean_pair(Z, theta)
        total = sum(multipliers, _ZERO)
        squared, level = 1 / total, _ONE
        weights = tuple(x / total for x in multipliers)
    elif norm == 1.0 or math.isinf(norm):
        try:
            point, weights = polyhedral_pair(Z, norm)
        except SolverFailedError:
            if separability_of_rows(Z).separable:
                raise
            raise inseparable() from None
        level = min(matvec(Z, point))
        squared = level * level
    else:
        raise ParameterError(
            f"The max margin of norm {norm:g} is not rational.", "Use the norm 1, 2 or inf."
        )
    active = tuple(n for n, excess in excesses_over(Z, point, level).items() if excess == 0)
    licq = len(active) <= Z.shape[1] and rank(Z[list(active)]) == len(active)
    answer = ExactMargin(norm, point, weights, squared, active, licq)
    wrong = check_exact_margin(Z, answer)
    if wrong:
        raise SolverFailedError(f"The exact answer fails its own check: {wrong}.")
    return answer


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
    if found.norm != 2.0 and found.norm != 1.0 and not math.isinf(found.norm):
        return "no such norm"
    reached = smallest * smallest / squared_length(found.theta, found.norm)
    bound = squared_length(combination(found.weights, Z), dual_exponent(found.norm))
    if reached != found.margin_squared:
        return "the margin is not that of θ"
    return "" if bound == reached else "the weights prove a larger bound"


def exact_gap(Z: Array, found: ExactMargin, theta: Array) -> ExactGap:
    """Compare a floating direction with the exact maximum: `1 - γ(θ/‖θ‖)/γ*`, never negative."""
    point = to_fractions(theta.tolist())
    smallest = min(matvec(Z, point))
    length = squared_length(point, found.norm)
    if length == 0:
        raise ParameterError("The direction is zero.", "Give a non-zero θ.")
    sign = 1 if smallest > 0 else -1
    squared = smallest * smallest * sign / (length * found.margin_squared)
    if squared <= 0:
        return ExactGap(squared, 1.0 + _root(-squared))
    # 1 - r = (1 - r²)/(1 + r) keeps the digits.
    return ExactGap(squared, float(1 - squared) / (1.0 + _root(squared)))


def _levels_gap(Z: Array, found: ExactMargin, theta: Array, count: int) -> float:
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
