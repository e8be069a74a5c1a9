"""Curves along which a KKT point is left upwards: what refutes a local maximum must begin at it.

A point far away that is better says nothing about a local maximum. A refutation is a curve u(s)
with u(0) = θ whose gain follows a rate, κs² or κs, at every length down to where rounding, or the
inexactness of θ, hides it; and to first order no active margin may fall along it, because a margin
that does would bar the way at lengths that cannot be seen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from lexmargin.judge.second_order.vicinity import EPS, Vicinity
from lexmargin.judge.trained.scores import Indices
from lexmargin.linalg.norms import Array

__all__ = ["Ascent", "Rise", "first_rise", "rise"]

_CORRECTIONS: Final = 6
_LONGEST: Final = 0.5
_HALVINGS: Final = {1: 44, 2: 30}
# Eight times the shortest length that shows a gain: κs and κs² differ by that factor there.
_WINDOW: Final = 4
_STEADY: Final = 2.0
# Beyond this length a curve speaks of another place than θ.
_LOCAL: Final = 1e-2
# Kinks are measured by what one layer must move; all of them together may reach one sooner.
_NEAR_A_JUMP: Final = 10.0
# What slopes of exact tangents are rounded to, with room; a margin that falls less steeply cannot
# be seen to fall at any length.
_LEVEL: Final = 1e-12


@final
@dataclass(frozen=True, eq=False)
class Ascent:
    """The curve `u(s) = θ + s d + c(s)`, c the shortest step that brings f_held back to its value.

    direction
        d (d,), of length 1 in the coordinates of the vicinity.
    held
        the margin functions that the correction holds.
    order
        2 along a tangent, where the gain is of second order; 1 where a kink is left.
    """

    direction: Array
    held: Indices
    order: int


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Rise:
    """Gains that were evaluated along an ascent.

    rate
        κ of the gain κ s^order of ½‖u‖², at the shortest length that shows it.
    shortest, longest
        the lengths between which every gain follows the rate.
    before, after, step
        ``worth`` at the point, the best one met along the curve, and at which length.
    """

    ascent: Ascent
    rate: float
    shortest: float
    longest: float
    before: float
    after: float
    step: float

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "order": self.ascent.order,
            "rate": self.rate,
            "shortest": self.shortest,
            "longest": self.longest,
        }


def first_rise(vicinity: Vicinity, ascents: Iterable[Ascent], error: float) -> Rise | None:
    """Return the first ascent that is shown, None where none is."""
    for ascent in ascents:
        found = rise(vicinity, ascent, error)
        if found is not None:
            return found
    return None


def rise(vicinity: Vicinity, ascent: Ascent, error: float) -> Rise | None:
    """Evaluate the gains along an ascent at halved lengths; None unless they follow its rate.

    Near a strict local maximum an inexact point can be improved too, by ε per length and by
    `Σ λ_n (f_n - γ)`: smaller gains show nothing, and at the lengths where κ promises larger ones
    every one must be met.

    Parameters
    ----------
    vicinity : the point.
    ascent : the curve.
    error : ε of the point, with the elements of generalised gradients that its λ belong to.
    """
    functions, theta = vicinity.functions, vicinity.theta
    values = functions.values(theta)
    margin = float(np.min(values))
    if not (margin > 0.0 and ascent.held.size):
        return None
    rows = functions.rows(theta, ascent.held)
    scale = float(np.max(np.abs(rows), initial=0.0))
    if not (math.isfinite(scale) and scale > 0.0):
        return None
    inverse = np.asarray(np.linalg.pinv(rows / scale, rcond=1e-10) / scale, dtype=np.float64)
    used = vicinity.multipliers > 0.0
    spent = functions.rows(theta, np.flatnonzero(used))
    slack = float(vicinity.multipliers[used] @ (values[used] - margin))
    rounding = EPS * (8.0 + float(np.max(np.abs(spent) @ np.abs(theta))) / margin)
    hidden = 16.0 * vicinity.unit * rounding + 2.0 * slack
    lengths = _LONGEST * 0.5 ** np.arange(_HALVINGS[ascent.order])[::-1]
    before = vicinity.worth(theta)
    gains = np.full(lengths.size, -math.inf)
    for i, length in enumerate(lengths):
        moved = _point(vicinity, ascent, inverse, values[ascent.held], float(length))
        if moved is not None:
            gains[i] = vicinity.unit * (vicinity.worth(moved) - before)
    needed = hidden + 2.0 * error * lengths
    shown = np.flatnonzero(gains >= needed)
    if not shown.size:
        return None
    first = int(shown[0])
    last = first + _WINDOW
    if last > lengths.size or lengths[first] > _LOCAL:
        return None
    rates = gains[first:last] / lengths[first:last] ** ascent.order
    steady = np.all(rates >= rates[0] / _STEADY) and np.all(rates <= rates[0] * _STEADY)
    if not (steady and np.all(gains[first:last] >= needed[first:last])):
        return None
    promised = rates[0] / _STEADY * lengths[:first] ** ascent.order
    if np.any(promised >= 2.0 * needed[:first]) or np.any(gains[:first] <= -needed[:first]):
        return None
    if ascent.order == 2:
        if _barred(vicinity, ascent, values, float(lengths[first])):
            return None
        hidden_by = float(lengths[first])
        wide = _NEAR_A_JUMP * vicinity.reach * hidden_by
        if functions.jumps(theta, vicinity.multipliers, wide):
            # A maximiser across the jump could lie among the lengths that cannot be seen.
            return None
        if not _level(vicinity, ascent.direction, values, hidden_by):
            return None
    best = int(np.argmax(gains))
    return Rise(
        ascent=ascent,
        rate=float(rates[0]),
        shortest=float(lengths[first]),
        longest=float(lengths[last - 1]),
        before=before,
        after=before + float(gains[best]) / vicinity.unit,
        step=float(lengths[best]),
    )


def _point(
    vicinity: Vicinity, ascent: Ascent, inverse: Array, level: Array, length: float
) -> Array | None:
    """Return u(s), None where the correction leads away."""
    functions, theta = vicinity.functions, vicinity.theta
    moved = theta + length * ascent.direction
    with np.errstate(all="ignore"):
        for _ in range(_CORRECTIONS):
            step = inverse @ (level - functions.values(moved)[ascent.held])
            moved = moved + step
            size = float(np.linalg.norm(step))
            if not math.isfinite(size) or size <= EPS:
                break
        away = float(np.linalg.norm(moved - theta))
    return moved if away <= 4.0 * length else None


def _barred(vicinity: Vicinity, ascent: Ascent, values: Array, length: float) -> bool:
    """Tell whether a margin within ``length`` holds a maximum that the direction leads away from.

    Where the cost ½‖u‖² of the curve rises to first order, `θ·d - Σ_held λ_n ∇f_n·d > 0`, the way
    back gains, until it meets a margin that rises along d and is not held: the point is as near to
    a local maximum as that.
    """
    functions, theta, direction = vicinity.functions, vicinity.theta, ascent.direction
    kept = vicinity.multipliers[ascent.held] @ (functions.rows(theta, ascent.held) @ direction)
    if not float(theta @ direction - kept) > _LEVEL:
        return False
    slack = values - float(np.min(values))
    sizes = np.linalg.norm(functions.rows(theta, vicinity.support), axis=1)
    near = np.flatnonzero(slack <= 1e3 * float(np.max(sizes)) * length)
    near = np.setdiff1d(near, ascent.held)
    rows = functions.rows(theta, near)
    slopes = rows @ direction
    rising = slopes > _LEVEL * np.linalg.norm(rows, axis=1)
    return bool(np.any(rising & (slack[near] <= slopes * length)))


def _level(vicinity: Vicinity, direction: Array, values: Array, length: float) -> bool:
    """Tell whether no margin that ``length`` could hide falls along the direction."""
    functions, theta = vicinity.functions, vicinity.theta
    margin = float(np.min(values))
    sizes = np.linalg.norm(functions.rows(theta, vicinity.support), axis=1)
    # Gradients of the others are not known yet, and are taken to be a thousand times as long.
    near = np.flatnonzero(values - margin <= 2e3 * float(np.max(sizes)) * length)
    rows = functions.rows(theta, near)
    sizes = np.linalg.norm(rows, axis=1)
    hidden = values[near] - margin <= 2.0 * sizes * length
    return bool(np.all(rows[hidden] @ direction >= -_LEVEL * sizes[hidden]))
