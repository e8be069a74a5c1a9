"""The W-set beyond stationarity of its first level: a global bound, and the levels after it.

``min ‖w_2‖²`` over the points with ``f_n ≥ 1`` and ``‖w_1‖² ≤ v_1``, v_1 the value of level 1, has
no interior: a multiplier of the cap need not exist at the optimum (two points on a line and a free
bias have none), so KKT with the cap is not necessary. With w_1 held where it is, KKT of the
remaining blocks is; and where level 1 is convex, w_1 is the only one and nothing is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np

from lexmargin.formulations.kkt import Kkt
from lexmargin.formulations.levels import Proof
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.multipliers.fritz_john import fritz_john
from lexmargin.judge.multipliers.multiplier_set import normalised_rows
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.nonnegative import nonnegative
from lexmargin.linalg.norms import Array, unit_scale, vector_norm
from lexmargin.linalg.rounding import EPS
from lexmargin.margins import MarginFunctions
from lexmargin.predictors.base import Predictor
from lexmargin.predictors.bias import Bias, BiasForm
from lexmargin.predictors.linear import Linear
from lexmargin.predictors.sums import Sum

__all__ = ["LaterLevel", "judge_later_level", "least_first_level", "proofs_of_levels"]


@final
@dataclass(frozen=True)
class LaterLevel:
    """What was found about a level after a positive one, the parts before it held.

    Attributes:
        verdict: GLOBAL, KKT, UNDECIDED or NOT_STATIONARY.
        residual: ε, relative to ‖w_j‖.
        gap: proven distance of ‖w_j‖² from its least value, relative; None without a bound.
        reason: one line.
    """

    verdict: Verdict
    residual: float
    gap: float | None
    reason: str


def proofs_of_levels(kkts: tuple[Kkt, ...], certificate: Certificate) -> tuple[Proof, ...]:
    """Return what each level rests on: a bound that stands, or nothing but a local solver.

    Args:
        kkts: one record per level, at one point.
        certificate: of this point.
    """
    word, limits = certificate.verdict, certificate.tolerances
    if word is Verdict.GLOBAL:
        return (Proof.DUAL,) * len(kkts)
    if certificate.feasibility > limits.feasibility:
        return (Proof.LOCAL,) * len(kkts)
    found = [Proof.LOCAL] * len(kkts)
    for level, kkt in enumerate(kkts):
        # A square may underflow where no entry is 0.
        if np.any(kkt.target):
            break
        found[level] = Proof.DUAL
    if found[0] is Proof.LOCAL and word.stationary:
        least = least_first_level(kkts[0], certificate.multipliers)
        size = float(np.sum(kkts[0].target * kkts[0].point))
        if least is not None and 1.0 - least / size <= limits.gap:
            found[0] = Proof.DUAL
    return tuple(found)


# -- the first level -------------------------------------------------------------------------------


def least_first_level(kkt: Kkt, multipliers: Array) -> float | None:
    """Return a proven lower bound on ‖w_1‖² over all feasible points; None where there is none.

    For ``f_n = z_n·w_1 + y_n β(w_2, …)`` with w_1 linear and the deeper parts biases, λ ≥ 0 with
    ``Σ λ_n y_n = 0`` (``≤ 0`` where β ≥ 0) bounds ``‖w_1‖² ≥ (Σ λ_n)²/‖Σ λ_n z_n‖²``. With a bias
    per class, ``Σ λ_n (e_{y_n} - e_c) = 0``.

    Args:
        kkt: of level 1, at any point; the z_n do not depend on it.
        multipliers: (N,) λ ≥ 0 at any scale.
    """
    forms = _bias_forms(kkt) if kkt.part == 0 and kkt.at_one else None
    if forms is None or kkt.parts is None or not np.all(np.isfinite(multipliers)):
        return None
    rows = kkt.jacobian[:, kkt.parts.entries(0)]
    weights = unit_scale(multipliers)
    if forms and kkt.functions.multi_class:
        weights = _circulating(kkt.functions, weights)
    elif forms:
        positive = np.asarray(kkt.functions.data.signed) > 0
        plus, minus = float(np.sum(weights[positive])), float(np.sum(weights[~positive]))
        if any(form is not BiasForm.SQUARE for form in forms) or plus > minus:
            if not (plus > 0.0 and minus > 0.0):
                return 0.0
            middle = 0.5 * (plus + minus)
            weights = np.where(positive, weights * (middle / plus), weights * (middle / minus))
    total = float(np.sum(weights))
    # Exact weights with Σ λ y = 0 lie within a few roundings of these.
    slack = EPS * (int(np.count_nonzero(weights)) + 16)
    pull = vector_norm(weights @ rows, 2.0) + slack * vector_norm(weights @ np.abs(rows), 2.0)
    if not (total > 0.0 and pull > 0.0):
        return 0.0
    return float((total * (1.0 - slack) / pull) ** 2)


def _circulating(functions: MarginFunctions, weights: Array) -> Array:
    """Return λ whose weight from class to class flows in circles, up to its rounding; 0 if none is.

    The surplus of every class is exact, and so is its way along the heaviest edges that join the
    classes; every λ of a pair of classes then shares its factor.
    """
    _, own, other = functions.pairs
    flow: dict[tuple[int, int], Fraction] = {}
    for a, c, value in zip(own.tolist(), other.tolist(), weights.tolist(), strict=True):
        if value > 0.0:
            flow[a, c] = flow.get((a, c), Fraction(0)) + Fraction(value)
    before = dict(flow)
    group = list(range(functions.predictor.outputs))
    tree: list[tuple[int, int]] = []
    for a, c in sorted(flow, key=lambda edge: -flow[edge]):
        if group[a] != group[c]:
            old, new = group[c], group[a]
            group = [new if g == old else g for g in group]
            tree.append((a, c))
    surplus = [Fraction(0)] * len(group)
    for (a, c), value in flow.items():
        surplus[a] += value
        surplus[c] -= value
    while tree:
        ends = [end for edge in tree for end in edge]
        a, c = edge = next(e for e in tree if ends.count(e[0]) == 1 or ends.count(e[1]) == 1)
        # A leaf is settled by its only edge.
        change = -surplus[a] if ends.count(a) == 1 else surplus[c]
        flow[edge] += change
        surplus[a] += change
        surplus[c] -= change
        tree.remove(edge)
    if any(surplus) or any(value < 0 for value in flow.values()):
        return np.zeros(weights.size)
    factors = {edge: float(value / before[edge]) for edge, value in flow.items()}
    pairs = zip(own.tolist(), other.tolist(), strict=True)
    shares: Array = np.array([factors.get(pair, 0.0) for pair in pairs], dtype=np.float64)
    return np.asarray(np.maximum(weights, 0.0) * shares)


def _bias_forms(kkt: Kkt) -> tuple[BiasForm, ...] | None:
    """Return the forms of the deeper parts, all biases; None unless w_1 is linear and they are."""
    parts, forms = kkt.parts, []
    if parts is None or parts.degrees[0] != 1.0:
        return None
    first = 0
    for member in _members(kkt.functions.predictor):
        owners = {parts.owner[first + b] for b in range(member.block_count)}
        first += member.block_count
        if isinstance(member, Bias) and 0 not in owners:
            forms.append(member.form)
        elif not (isinstance(member, (Linear, Bias)) and owners == {0}):
            return None
    return tuple(forms)


def _members(predictor: Predictor) -> tuple[Predictor, ...]:
    if isinstance(predictor, Sum):
        return tuple(member.predictor for member in predictor.members)
    return (predictor,)


# -- the levels after a positive one ---------------------------------------------------------------


def judge_later_level(kkt: Kkt, level: int, limits: Tolerances, unique: bool) -> LaterLevel:
    """Judge ``‖w_j‖²`` of a level after a positive one, the parts before it held where they are.

    ``(w_j, 0, …, 0) = Σ λ_n (∇_j f_n, …, ∇_K f_n)``, λ ≥ 0 where f_n(w) = 1. It is necessary at an
    optimum unless the gradients on the right combine to 0. For biases after a linear part the least
    value is known: ``|β|`` of the β nearest to 0 in the interval that the held scores leave.

    Args:
        kkt: of the level.
        level: its number, from 0.
        limits: what counts as equal.
        unique: the held parts are shown to be the only ones.
    """
    name, values, moving = f"w_{level + 1}", kkt.values, ~kkt.held
    size = vector_norm(kkt.target, 2.0)
    if size == 0.0:
        word = Verdict.GLOBAL if unique else Verdict.KKT
        return LaterLevel(word, 0.0, 0.0, f"‖{name}‖ = 0: no point has less")
    active = np.flatnonzero(values <= 1.0 + limits.support)
    jacobian, target = kkt.jacobian[:, moving], kkt.target[moving]
    residual = _misfit(jacobian[active], target) / size
    least = _least_bias(kkt)
    if least is not None:
        # ‖w_j‖² = |β| is part of a score, and scores are compared with 1.
        gap = max(0.0, size**2 - least) / max(1.0, least)
        if gap > limits.gap:
            reason = f"level {level + 1}: ‖{name}‖² = {size**2:.9g}, and {least:.9g} is enough"
            return LaterLevel(Verdict.NOT_STATIONARY, residual, None, reason)
        if unique and (residual <= limits.stationarity or size**2 <= limits.gap):
            return LaterLevel(
                Verdict.GLOBAL,
                min(residual, size**2),
                gap,
                f"level {level + 1}: no bias is smaller",
            )
    if residual > limits.stationarity:
        # Constraints that the moving blocks do not touch qualify nothing and forbid nothing.
        touched = active[np.any(jacobian[active] != 0.0, axis=1)]
        if touched.size and fritz_john(jacobian[touched], limits.stationarity).holds:
            reason = f"level {level + 1}: no constraint qualification, ε = {residual:.3g}"
            return LaterLevel(Verdict.UNDECIDED, residual, None, reason)
        # With the other samples at the price of their slack: neither ε nor δ can be small.
        priced = np.column_stack([jacobian, (values - 1.0) / size])
        wider = _misfit(priced, np.append(target, 0.0)) / size
        least_of = 2.0 * max(limits.stationarity, limits.complementarity)
        word = Verdict.NOT_STATIONARY if wider > least_of else Verdict.UNDECIDED
        reason = f"level {level + 1}: ‖{name}‖ can be reduced with the parts before it held"
        return LaterLevel(word, residual, None, f"{reason}: ε = {residual:.3g}")
    held = "the only one" if unique else "where it is"
    reason = f"level {level + 1}: KKT with the part before it held {held}"
    return LaterLevel(Verdict.KKT, residual, None, reason)


def _least_bias(kkt: Kkt) -> float | None:
    """Return a lower bound on ``‖w_2‖²`` with w_1 as it is, the deeper part one bias; or None."""
    forms, w = _bias_forms(kkt), kkt.point
    alone = forms is not None and len(forms) == 1 and kkt.part == 1
    if not alone or forms is None or kkt.parts is None or kkt.functions.multi_class:
        return None
    first = kkt.parts.entries(0)
    rows = kkt.jacobian[:, first]
    rounding = EPS * (w.size + 8) * (1.0 + np.abs(rows) @ np.abs(w[first]))
    needed = 1.0 - rows @ w[first] - rounding
    positive = np.asarray(kkt.functions.data.signed) > 0
    low = float(np.max(needed[positive], initial=-np.inf))
    high = float(np.min(-needed[~positive], initial=np.inf))
    return max(0.0, low) if forms[0] is BiasForm.SQUARE else max(0.0, low, -high)


def _misfit(rows: Array, target: Array) -> float:
    """Return ``min_{λ ≥ 0} ‖target - rowsᵀλ‖``, rows of any size, in NumPy alone."""
    unit, _ = normalised_rows(rows)
    return vector_norm(target - nonnegative(unit.T, target) @ unit, 2.0)
