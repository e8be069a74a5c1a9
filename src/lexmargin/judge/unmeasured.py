"""What the margins say alone: certificates that measure nothing else, and a level missed."""

from __future__ import annotations

import math

import numpy as np

from lexmargin.judge.certificate import Certificate
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array
from lexmargin.linalg.rounding import TINY

__all__ = ["against_level", "blank", "negative", "squares_in_range", "too_small_or_large"]


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
