"""Curves along which a KKT point is left upwards: what refutes a local maximum must begin at it.

A point far away that is better says nothing about a local maximum. A refutation is a curve u(s)
with u(0) = θ whose gain follows a rate, κs² or κs, at every length down to where rounding, or the
inexactness of θ, hides it. Every active margin is held along it, by a gradient independent of the
others, or else first order is exact in fractions: a margin that falls, or carries weight, by less
than rounding would bar the way at lengths that cannot be seen. Of a network that is known as floats
only nothing is exact: first order must hold to rounding, and the network is spoken of as computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import numpy as np

from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.certificate import Ascent, Rise
from lexmargin.judge.second_order.exact_critical import critical_along, critical_as_computed
from lexmargin.judge.second_order.vicinity import Vicinity
from lexmargin.judge.tolerances import LOCAL, STEADY
from lexmargin.linalg.norms import Array
from lexmargin.linalg.rounding import EPS

__all__ = ["first_rise", "rise"]

_DEPENDENT: Final = 1e-10
"""Relative singular value of gradients that a curve cannot hold apart: it then holds one."""
_STEEPER: Final = 1e3
"""Times the longest gradient of the support that others are taken to be before they are known."""
_CORRECTIONS: Final = 6
"""Newton steps back to the held margins: quadratic from a short curve; unfinished ones refuse
it."""
_LONGEST: Final = 0.5
"""Longest length of a curve by ‖θ‖; longer leaves the neighbourhood that is spoken of."""
_HALVINGS: Final = {1: 44, 2: 30}
"""Lengths by order: down to 2⁻⁴⁴ for gains like s and 2⁻³⁰ for s², where rounding hides either."""
# Eight times the shortest length that shows a gain: κs and κs² differ by that factor there.
_WINDOW: Final = 4
# Kinks are measured by what one layer must move; all of them together may reach one sooner.
_NEAR_A_JUMP: Final = 10.0
# Gradients that rounding could make dependent have tangents that rounding chose.
_INDEPENDENT: Final = 1e-8
# The gradients turn in other directions than that of the curve, too.
_TURNS: Final = 10.0


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
    values = vicinity.values
    margin = float(np.min(values))
    rows = vicinity.rows(ascent.held)
    scale = float(np.max(np.abs(rows), initial=0.0))
    if not (math.isfinite(scale) and scale > 0.0):
        return None
    inverse = np.asarray(np.linalg.pinv(rows / scale, rcond=_DEPENDENT) / scale, dtype=np.float64)
    used = vicinity.multipliers > 0.0
    spent = vicinity.rows(np.flatnonzero(used))
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
    if lengths[first] > LOCAL:
        return None
    rates = gains[first:last] / lengths[first:last] ** ascent.order
    steady = np.all(rates >= rates[0] / STEADY) and np.all(rates <= rates[0] * STEADY)
    if not (steady and np.all(gains[first:last] >= needed[first:last])):
        return None
    promised = rates[0] / STEADY * lengths[:first] ** ascent.order
    if np.any(promised >= 2.0 * needed[:first]) or np.any(gains[:first] <= -needed[:first]):
        return None
    if ascent.order == 2:
        hidden_by = float(lengths[first])
        wide = _NEAR_A_JUMP * vicinity.reach * hidden_by
        nearest = vicinity.nearest_kink
        # A curve from a point that counts as on the kink leaves it: a unit is born there.
        if nearest is not None and vicinity.limits.kink < nearest <= wide:
            return None
        if functions.jumps(theta, vicinity.multipliers, wide):
            # A maximiser across the jump could lie among the lengths that cannot be seen.
            return None
        if not _open(vicinity, ascent, values, hidden_by, error):
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


def _open(vicinity: Vicinity, ascent: Ascent, values: Array, length: float, error: float) -> bool:
    """Tell whether no margin that may be active within ``length`` bars the curve, however little.

    Held margins do not: where their gradients are independent the curve is one of exact tangents,
    and at a maximiser among the lengths that cannot be seen the same tangent would have negative
    curvature. A margin that is active and not held bars the way where it falls along d, or where
    its multiplier is not 0, both by less than any rounding: then first order must be exact, or as
    good as floats can say where the functions are known as floats only.
    """
    functions = vicinity.functions
    margin = float(np.min(values))
    sizes = np.linalg.norm(vicinity.support_rows, axis=1)
    near = np.flatnonzero(values - margin <= 2.0 * _STEEPER * float(np.max(sizes)) * length)
    sizes = np.linalg.norm(vicinity.rows(near), axis=1)
    active = near[values[near] - margin <= 2.0 * sizes * length]
    held = functions.distinct(ascent.held)
    # Those seen first are kept, so that copies of held margins are no further ones.
    free = np.setdiff1d(functions.distinct(np.concatenate([held, active])), held)
    if not free.size and _independent(vicinity, ascent, held, length):
        return True
    if functions.balls is None:
        return critical_as_computed(vicinity, ascent.direction, held, free, error)
    return critical_along(vicinity, ascent.direction, held, free)


def _independent(vicinity: Vicinity, ascent: Ascent, held: Indices, length: float) -> bool:
    """Tell whether held gradients are independent, and stay so within ``length``."""
    functions, theta = vicinity.functions, vicinity.theta

    def unit(rows: Array) -> Array:
        sizes = np.linalg.norm(rows, axis=1, keepdims=True)
        result: Array = np.divide(rows, sizes, out=np.zeros_like(rows), where=sizes > 0.0)
        return result

    if held.size > theta.size:
        return False
    here, away = unit(vicinity.rows(held)), length * ascent.direction
    sides = [unit(functions.rows(theta + move, held)) for move in (away, -away)]
    turned = max(float(np.linalg.norm(side - here)) for side in sides)
    smallest = float(np.linalg.svd(here, compute_uv=False)[-1])
    return smallest > _INDEPENDENT + _TURNS * turned
