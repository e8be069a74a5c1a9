"""Margins of trained networks that are not positive, shown: a computed 0 proves nothing.

A module can be evaluated in doubles alone, so what shows a sign is that it survives: a scaling by a
power of two, which homogeneity makes exact but for underflow, and changes of every weight that are
far larger than rounding.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np

from lexmargin.judge.bounds.signs import UNKNOWN_SIGN, shown_not_positive
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.trained.trained_margins import TrainedMargins
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array
from lexmargin.linalg.rounding import EPS
from lexmargin.margins import MarginFunctions

__all__ = ["with_sign_of_module"]

_NORMAL: Final = 1e-290
"""Size below which products lose digits to underflow, so that no rounding error bound holds."""
_FEW: Final = 4
"""Samples whose gradients are formed: the worst of them shows the sign, or hardly any does."""
_DRAWS: Final = 4
"""Each with its opposite: a unit off by no more than rounding is on for one of the two."""
_CHANGE: Final = 2.0**-30
"""Part of each weight that is added or taken away: four million units of rounding."""
_EXPONENTS: Final = 900.0
"""A product of α numbers, each above 2^(-900/α), is a normal double."""
_HIGHER: Final = 300.0
"""Exponents by which margins are stretched once more, so that small samples underflow less."""


def with_sign_of_module(
    found: Certificate, margins: TrainedMargins, degree: float, plain: MarginFunctions | None
) -> Certificate:
    """Withdraw NOT_SEPARATING where no margin is shown not to be positive.

    Args:
        found: the certificate of the weights.
        margins: the network.
        degree: α of `F(cθ) = c^α F(θ)`.
        plain: the network as a predictor of the toolkit, whose signs can be proved; None for
            others.
    """
    if found.verdict is not Verdict.NOT_SEPARATING:
        return found
    if plain is not None:
        shown = shown_not_positive(plain, margins.scores.theta) is True
    else:
        shown = _shown(margins, degree)
    if shown:
        return found
    return replace(found, verdict=Verdict.UNDECIDED, reasons=(UNKNOWN_SIGN, *found.reasons[1:]))


def _shown(margins: TrainedMargins, degree: float) -> bool:
    """Say whether some margin is negative beyond its rounding, or 0 with all its derivatives."""
    known = margins.values(margins.theta)
    order = np.argsort(known, kind="stable")[:_FEW]
    worst = order[known[order] <= 0.0]
    if not worst.size:
        # Lost on the way to the unit sphere only.
        return False
    theta, scores = margins.scores.theta, margins.scores
    # Exact: α need not be whole, but a power of two scales every weight without rounding.
    unit = np.ldexp(theta, -math.frexp(float(np.max(np.abs(theta))))[1])
    samples, seeds = margins.samples[worst], margins.seeds[worst]

    def at(point: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(np.sum(scores.values(point, samples) * seeds, axis=1))

    draw = np.random.default_rng(0)
    changes = _CHANGE * draw.choice([-1.0, 1.0], (_DRAWS, theta.size))
    points = [unit, *(unit * (1.0 + change) for change in (*changes, *-changes))]
    values = np.array([at(point) for point in points])
    rows = scores.rows(samples, seeds, unit)
    if not (np.all(np.isfinite(values)) and np.all(np.isfinite(rows))):
        return False
    noise = EPS * (theta.size + 64.0) * (np.abs(rows) @ np.abs(unit))
    below = np.all(values < -np.maximum(noise, _NORMAL), axis=0)
    if np.any(below):
        return True
    # Without underflow, a 0 that no change of the weights disturbs is no sum that cancels.
    least = float(np.min(np.abs(unit[unit != 0.0])))
    if least < 2.0 ** (-_EXPONENTS / max(1.0, degree)):
        return False
    higher = at(np.ldexp(unit, int(_HIGHER / max(1.0, degree))))
    dead = np.all(values == 0.0, axis=0) & (higher == 0.0) & ~np.any(rows, axis=1)
    return bool(np.any(dead))
