"""Words on linear margins that doubles are too short for: the same measures in long numbers.

Where the rows of a few samples are much longer than their margin, rounding alone may change ε and
the bound by more than their tolerances. There the multipliers are found in long numbers too; weak
duality asks for nothing but λ ≥ 0, and what they prove is enclosed in balls.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from lexmargin.errors import SolverFailedError
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.levels.level_chain import LevelProof, compared
from lexmargin.judge.proved import linear_proof, with_proved
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array
from lexmargin.separation.long_margins import LongMultipliers, long_multipliers
from lexmargin.separation.long_measures import (
    Measured,
    affordable,
    long_margin_errors,
    measured,
)

__all__ = ["found_multipliers", "long_levels", "with_long_numbers", "within"]

_SECONDS: Final = 10.0
"""For multipliers in long numbers, which take .05 to .3 s; with less time the weaker word stays."""


def found_multipliers(Z: Array, norm: float) -> LongMultipliers | None:
    """Return λ (N,) of few samples in long numbers; None where there are too many, or none."""
    if not (affordable(*Z.shape) and np.all(np.isfinite(Z))):
        return None
    try:
        return long_multipliers(Z, norm, time.monotonic() + _SECONDS)
    except SolverFailedError:
        return None


def with_long_numbers(found: Certificate, rows: Callable[[], Array], theta: Array) -> Certificate:
    """Raise UNDECIDED or KKT to GLOBAL where ε, δ and the gap are within tolerance after all.

    Args:
        found: of the direction θ in doubles.
        rows: the rows z_n of ``f_n = z_n·θ`` (N, d), at their exact values.
        theta: (d,) at any scale.
    """
    if found.verdict not in (Verdict.UNDECIDED, Verdict.KKT):
        return found
    Z = rows()
    long = found_multipliers(Z, found.norm)
    exact = None if long is None else measured(Z, theta, long.terms, found.norm)
    if long is None or exact is None or not within(exact, found.tolerances):
        return found
    short = measured(Z, theta, (long.rounded,), found.norm)
    multipliers = long.rounded
    support = np.flatnonzero(multipliers)
    for array in (multipliers, support):
        array.setflags(write=False)
    shown = with_proved(
        replace(
            found,
            verdict=Verdict.KKT,
            stationarity=exact.distance,
            stationarity_bound=min(found.stationarity_bound, exact.distance),
            complementarity=exact.slackness,
            euler=exact.euler,
            margin=exact.margin,
            support=support,
            multipliers=multipliers,
            gap=None,
            reasons=("ε and δ are within their tolerances",),
        ),
        replace(linear_proof(exact.bound, None), excess=exact.gap),
    )
    if short is not None and within(short, found.tolerances):
        return shown
    why = "multipliers in doubles are too short to show it, those in long numbers do"
    return replace(shown, reasons=(*shown.reasons, why))


def within(exact: Measured, limits: Tolerances) -> bool:
    """Say whether enclosures of ε, δ and the gap are within their tolerances."""
    return (
        exact.margin > 0.0
        and math.isfinite(exact.bound)
        and exact.distance <= limits.stationarity
        and exact.slackness <= limits.complementarity
        and exact.gap <= limits.gap
    )


def long_levels(
    Z: Array, theta: Array, norm: float, count: int, tolerance: float, terms: Sequence[Array]
) -> LevelProof | None:
    """Return what λ in long numbers prove of the levels, 1 < p < ∞; None where nothing.

    Args are those of :func:`~lexmargin.judge.levels.level_proofs.curved_levels`, with the terms
    whose sum is λ.
    """
    found = long_margin_errors(Z, theta, terms, norm)
    if found is None:
        return None
    margins, errors = found
    low, high = np.sort(margins - errors)[:count], np.sort(margins + errors)[:count]
    proof = compared(np.sort(margins)[:count], low, high, tolerance)
    return replace(proof, proven=max(1, proof.proven))
