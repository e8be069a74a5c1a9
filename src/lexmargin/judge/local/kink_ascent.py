"""Directions that leave a kink upwards: what Clarke stationarity cannot see."""

from __future__ import annotations

from typing import Final

import numpy as np

from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.certificate import Ascent
from lexmargin.judge.local.clarke import Clarke, GradientSets
from lexmargin.judge.tolerances import RISING, WELL_ABOVE
from lexmargin.ops.base import FloatArray

__all__ = ["ascent_direction", "kink_ascent"]

_SETTLED: Final = 1e-14
"""Of a gradient: across as little the direction has settled, and further steps gain nothing."""
_ALTERNATIONS = 50
"""Steps of the local search: each raises the value, and it ends earlier where none does."""


def ascent_direction(sets: GradientSets, clarke: Clarke) -> tuple[float, FloatArray]:
    """Maximise `Σ λ_n (f_n'(θ; d) - g_n·d)` over unit d, by local search; return value and d.

    The one-sided derivative f_n' takes slope 1 at a kink where d turns the unit on, 0 where it
    turns it off; g_n is the stationary element, `Σ λ_n g_n = θ̂`. A positive value raises the
    Lagrangian to first order, although the point is stationary in Clarke's sense.
    """
    stacked = np.vstack(sets.parts)
    weights = np.repeat(clarke.multipliers, [part.shape[0] for part in sets.parts])
    signs = np.concatenate(sets.signs)
    linear = clarke.multipliers @ (clarke.elements - sets.base)
    if not np.any((signs > 0.0) & (weights > 0.0)):
        return 0.0, np.zeros(sets.base.shape[1])
    rng = np.random.default_rng(0)
    up = stacked[signs > 0.0][:64]
    starts = np.vstack([up, weights @ stacked, rng.standard_normal((16, len(stacked))) @ stacked])
    best, where = 0.0, np.zeros(stacked.shape[1])
    for start in starts:
        d = start
        for _ in range(_ALTERNATIONS):
            length = float(np.linalg.norm(d))
            if length == 0.0:
                break
            d = d / length
            # The unit of a part with a negative sign is on where the part points down.
            on = stacked @ d * signs > 0.0
            gradient = (weights * on) @ stacked - linear
            value = float(gradient @ d)
            if value > best:
                best, where = value, d
            if np.linalg.norm(gradient - (gradient @ d) * d) <= _SETTLED * np.linalg.norm(gradient):
                break
            d = gradient
    return best, where


def kink_ascent(support: Indices, sets: GradientSets, clarke: Clarke) -> Ascent | None:
    """Return the best such direction as a curve of first order; None where there is none."""
    if not sets.exact or not any(part.size for part in sets.parts):
        return None
    if any(np.any(signs == 0.0) for signs in sets.signs):
        # Of class differences it is not known on which side a unit is on.
        return None
    value, direction = ascent_direction(sets, clarke)
    if value <= RISING + WELL_ABOVE * clarke.residual:
        return None
    return Ascent(direction, support[clarke.multipliers > 0.0], 1)
