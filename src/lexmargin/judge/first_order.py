"""The word of first order: decided once, from numbers, whoever measured them (math §3)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from lexmargin.judge.certificate import Certificate
from lexmargin.judge.multipliers.stationarity import Stationarity
from lexmargin.judge.multipliers.supports import Rung
from lexmargin.judge.reasons import (
    BEYOND,
    CONTRADICTED,
    NO_BETTER,
    NOISE,
    OTHER_SLOPES,
    ROUNDED,
    SINGULAR,
    SLACK,
    VANISHES,
    Condition,
    filled,
)
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.verdict import Verdict

__all__ = ["Measured", "certificate_of", "first_order"]


@final
@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the word of first order hangs on; every number is free of units.

    residual, lower, floor
        ε, a proven lower bound on it for all multipliers, and the rounding that it may carry.
    complementarity
        δ.
    noisy
        the smallest margin is no larger than the rounding of its own terms.
    mismatch
        how far f and the gradients contradict Euler's identity, by the margin.
    condition
        what is asked of the point, and so in which words it is said.
    missed
        why the point is none of the problem's, in words; empty where it is one.
    singular
        the word that 0 as a combination of the active gradients gives; None where it is none.
    exact
        whether the elements at kinks are for certain those of the generalised gradient.
    flat
        ε and its rounding where rounding leaves no direction in a gradient: as a part of what
        cancels in it. None where the sum is asked for, and no gradient that vanishes.
    """

    residual: float
    lower: float
    floor: float
    complementarity: float = 0.0
    noisy: bool = False
    mismatch: float = 0.0
    condition: Condition = Condition.GRADIENTS
    missed: str = ""
    singular: Verdict | None = None
    exact: bool = True
    flat: float | None = None

    @staticmethod
    def of(found: Stationarity, noisy: bool, mismatch: float) -> Measured:
        """Return what the word hangs on where λ was sought, or given."""
        return Measured(
            residual=found.residual,
            lower=found.lower,
            floor=found.floor,
            complementarity=found.complementarity,
            noisy=noisy,
            mismatch=mismatch,
        )


def first_order(measured: Measured, limits: Tolerances) -> tuple[Verdict, tuple[str, ...]]:
    """Return the word of first order and why.

    A refutation is proven for all multipliers and stands before the doubts about those in hand;
    not before that about the margins, which say how much weight δ allows.
    """
    most, condition = limits.stationarity, measured.condition
    tolerance = f"{most:.0e}"
    widest = max(limits.support, most, limits.kink if condition.at_kinks else 0.0)
    contradicted = measured.mismatch > widest
    if measured.missed:
        return Verdict.NOT_STATIONARY, (measured.missed,)
    if measured.noisy:
        return Verdict.UNDECIDED, (NOISE,)
    if measured.singular is not None:
        return measured.singular, (filled(SINGULAR[measured.singular], measured.residual),)
    if measured.lower > _refuting(measured.mismatch, limits):
        slack = f"{limits.complementarity:.0e}"
        return Verdict.NOT_STATIONARY, (
            filled(condition.refuted, measured.lower, slack, tolerance),
        )
    if contradicted:
        return Verdict.UNDECIDED, (filled(CONTRADICTED, measured.mismatch),)
    if measured.floor > most and measured.flat is not None and measured.flat <= most:
        return Verdict.KKT, (VANISHES,)
    if measured.floor > most:
        return Verdict.UNDECIDED, (filled(ROUNDED, measured.floor),)
    if measured.residual > most:
        return Verdict.UNDECIDED, (filled(NO_BETTER, measured.residual, tolerance, measured.lower),)
    if measured.complementarity > limits.complementarity:
        slack = f"{limits.complementarity:.0e}"
        return Verdict.UNDECIDED, (filled(SLACK, measured.complementarity, slack),)
    if not measured.exact:
        return Verdict.UNDECIDED, (OTHER_SLOPES,)
    word = Verdict.CLARKE_KKT if condition.at_kinks else Verdict.KKT
    return word, (condition.met,)


def _refuting(mismatch: float, limits: Tolerances) -> float:
    """Return the bound on ε from which no λ serves, whatever the margins truly are.

    Margins that are off by m of the smallest move δ by 2m, as `α γ Σ λ_n` is 1 where ε is 0; and a
    bound on ε for larger δ follows from `min(ε² + δ²)`, or `min(ε + δ)` for ℓ1 and ℓ∞.
    """
    most, slack, moved = limits.stationarity, limits.complementarity, 2.0 * mismatch
    return max(most + moved, math.sqrt(most * most + moved * (2.0 * slack + moved)))


def certificate_of(
    rung: Rung, known: Measured, margin: float, norm: float, limits: Tolerances
) -> Certificate:
    """Return the certificate of what was measured on a rung, with the word that it gives."""
    verdict, reasons = first_order(known, limits)
    if rung.beyond > 0.0 and verdict is Verdict.UNDECIDED:
        reasons += (filled(BEYOND, rung.beyond),)
    found = rung.measured
    return Certificate(
        verdict=verdict,
        margin=margin,
        support=found.support,
        multipliers=found.multipliers,
        norm=norm,
        tolerances=limits,
        reasons=reasons,
        stationarity=found.residual,
        stationarity_bound=found.lower,
        complementarity=found.complementarity,
        euler=found.euler,
        tau=rung.tau,
    )
