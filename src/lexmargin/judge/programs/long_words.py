"""Words on linear margins that doubles are too short for: the same measures in long numbers.

Where the rows of a few samples are much longer than their margin, rounding alone may change ε and
the bound by more than their tolerances. There the multipliers are found in long numbers too; weak
duality asks for nothing but λ ≥ 0.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Final

import numpy as np

from lexmargin.errors import SolverFailedError
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array
from lexmargin.separation.long_margins import Measured, affordable, long_measures

__all__ = ["with_long_numbers"]

_SECONDS: Final = 10.0


def with_long_numbers(found: Certificate, Z: Array, theta: Array) -> Certificate:
    """Raise UNDECIDED or KKT to GLOBAL where ε, δ and the gap are within tolerance after all.

    Args:
        found: of the direction θ in doubles.
        Z: (N, d) rows z_n of ``f_n = z_n·θ``, at their exact values.
        theta: (d,) at any scale.
    """
    doubtful = found.verdict in (Verdict.UNDECIDED, Verdict.KKT)
    if not (doubtful and affordable(*Z.shape) and np.all(np.isfinite(Z))):
        return found
    try:
        measures = long_measures(Z, theta, found.norm, time.monotonic() + _SECONDS)
    except SolverFailedError:
        return found
    if measures is None or not _within(measures.long, found.tolerances):
        return found
    reasons: tuple[str, ...] = (
        "ε and δ are within their tolerances",
        "weak duality: no direction has a margin above the bound",
    )
    if not _within(measures.rounded, found.tolerances):
        reasons += ("multipliers in doubles are too short to show it, those in long numbers do",)
    exact, multipliers = measures.long, measures.multipliers
    support = np.flatnonzero(multipliers)
    for array in (multipliers, support):
        array.setflags(write=False)
    return replace(
        found,
        verdict=Verdict.GLOBAL,
        stationarity=exact.distance,
        stationarity_bound=min(found.stationarity_bound, exact.distance),
        complementarity=exact.slackness,
        euler=exact.margin * float(np.sum(multipliers)),
        margin=exact.margin,
        support=support,
        multipliers=multipliers,
        gap=exact.gap,
        bound=exact.bound,
        reasons=reasons,
    )


def _within(exact: Measured, limits: Tolerances) -> bool:
    return (
        exact.margin > 0.0
        and math.isfinite(exact.bound)
        and exact.distance <= limits.stationarity
        and exact.slackness <= limits.complementarity
        and exact.gap <= limits.gap
    )
