"""What the margins say alone: certificates that measure nothing else, and a level missed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from lexmargin.formulations.kkt import Kkt
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array
from lexmargin.linalg.rounding import TINY

__all__ = [
    "against_level",
    "blank",
    "finite_words",
    "negative",
    "out_of_range",
    "squares_in_range",
    "too_small_or_large",
]

_WHY = "f_n, a gradient or what is made of them leaves the range of doubles"


def against_level(margin: float, level: float, limits: Tolerances) -> tuple[float, str]:
    """Return by how much of it the smallest margin misses its level, and why that forbids KKT.

    The second is empty where the level is met: not missed, and not exceeded by every f_n.
    """
    shortfall, surplus = max(0.0, (level - margin) / level), max(0.0, (margin - level) / level)
    if shortfall > limits.feasibility:
        why = f"infeasible: the smallest f_n misses {level:.6g} by {shortfall:.3g} of it"
    elif surplus > limits.feasibility:
        why = f"no constraint is active: every f_n exceeds {level:.6g}"
    else:
        why = ""
    return shortfall, why


def negative(
    values: Array, norm: float, limits: Tolerances, notes: tuple[str, ...] = ()
) -> Certificate:
    """Return the certificate of a point at which some f_n is not positive."""
    margin = float(np.min(values))
    worst = np.flatnonzero(values <= margin)
    failing = int(np.count_nonzero(values <= 0.0))
    return blank(
        Verdict.NOT_SEPARATING,
        values,
        norm,
        limits,
        (
            f"{failing} of {values.size} margins are not positive, "
            f"the worst at sample {int(worst[0])}",
            *notes,
        ),
    )


def blank(
    verdict: Verdict, values: Array, norm: float, limits: Tolerances, reasons: tuple[str, ...]
) -> Certificate:
    """Return a certificate that measures nothing but the margins."""
    margin = float(np.min(values))
    return Certificate(
        verdict=verdict,
        margin=margin,
        support=np.flatnonzero(values <= margin),
        multipliers=np.zeros(values.size),
        norm=norm,
        tolerances=limits,
        reasons=reasons,
    )


def squares_in_range(vector: Array) -> bool:
    """Tell whether ‖v‖² is a normal double."""
    with np.errstate(over="ignore", under="ignore"):
        return bool(TINY <= float(vector @ vector) < math.inf)


def too_small_or_large(values: Array, norm: float, limits: Tolerances) -> Certificate:
    """Return the certificate of a point of whose cost doubles say nothing."""
    why = "the square of the point leaves the range of doubles: rescale the data"
    return blank(Verdict.UNDECIDED, values, norm, limits, (why,))


def out_of_range(kkt: Kkt, limits: Tolerances) -> Certificate:
    """Return UNDECIDED, where arithmetic failed on the way to another word."""
    values = kkt.functions.values(kkt.point)
    return blank(Verdict.UNDECIDED, values, kkt.norm, limits, (_WHY,))


def finite_words(found: Certificate) -> Certificate:
    """Withdraw a word that rests on numbers that are not finite.

    Where every multiplier is 0 nothing was measured but feasibility (a W-set with w_1 = 0).
    """
    word = found.verdict
    if not word.stationary:
        return found
    measured = [found.feasibility, found.margin]
    if np.any(found.multipliers):
        measured += [found.stationarity, found.complementarity]
    if word is Verdict.GLOBAL and found.gap is not None:
        measured.append(found.gap)
    if all(math.isfinite(x) for x in measured) and np.all(np.isfinite(found.multipliers)):
        return found
    return replace(found, verdict=Verdict.UNDECIDED, reasons=(_WHY, *found.reasons))
