"""Numbers that leave the range of doubles: they decide nothing, and end nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from lexmargin.formulations.kkt import Kkt
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.unmeasured import blank
from lexmargin.judge.verdict import Verdict

__all__ = ["finite_words", "out_of_range"]

_WHY = "f_n, a gradient or what is made of them leaves the range of doubles"


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
