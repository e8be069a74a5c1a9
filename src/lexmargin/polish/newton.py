"""Newton's method on KKT systems: damped steps until the residual is at rounding level."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np

from lexmargin.ops.base import FloatArray

__all__ = ["EXACT", "GOAL", "ROUGH", "State", "damping", "newton"]

GOAL = 1e-10
"""Residual that counts as arrived: below it ε is far below every tolerance of a grade."""
ROUGH = 1e-10
"""Relative pivots that count as 0 beside the error of a differenced Hessian."""
EXACT = 1e-14
"""The same where margins are affine, so that the system carries roundings alone."""
_DONE = 1e-15
"""Residual that rounding allows; below it steps only move the last bits."""
_ROUNDED = 1e-13
"""Residual below which one such step is enough: roundings of some margins are all that is left."""
_PATIENCE = 4
"""Steps without half the best residual before it is taken as rounding."""


class State(Protocol):
    """A point of a run of Newton steps, with all that the next one needs."""

    @property
    def residual(self) -> float:
        """The largest relative violation of a line of the KKT system."""
        ...


S = TypeVar("S", bound=State)


def newton(
    state: S,
    step: Callable[[S], S],
    steps: int,
    *,
    limit: float = math.inf,
    patience: int = _PATIENCE,
) -> tuple[S, int]:
    """Return the best state of a run of Newton steps, and their number.

    Args:
        state: where it begins.
        step: the next state.
        steps: the most of them.
        limit: residual beyond which the run ends: a step far from a KKT point leads anywhere.
        patience: steps in a row that need not halve the best residual.
    """
    best, taken, quiet = state, 0, 0
    while taken < steps and best.residual > _DONE and quiet < patience:
        state = step(state)
        taken += 1
        if not (math.isfinite(state.residual) and state.residual <= limit):
            break
        halved = state.residual < 0.5 * best.residual
        quiet = 0 if halved else quiet + 1 if best.residual > _ROUNDED else patience
        best = min(best, state, key=lambda one: one.residual)
    return best, taken


def damping(move: FloatArray, variable: FloatArray, longest: float) -> float:
    """Return the part of a move that is at most ``longest`` times the variable long, at most 1."""
    length = float(np.linalg.norm(move))
    return min(1.0, longest * float(np.linalg.norm(variable)) / length) if length > 0.0 else 1.0
