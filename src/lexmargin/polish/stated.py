"""Polish of programs whose scale matters: Newton steps on the KKT system of the program as stated.

Eq. 13, eq. 14 and eq. 7 of sums of parts: ``D w = Σ λ_n ∇f_n(w)``, ``f_S(w) = 1``, λ_S >= 0, with a
weight D per entry. Where a block is free (eq. 13), steps of least norm leave it where the solver
put it. Losses and norms other than ℓ2 have a module of their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.formulations.base import Formulation
from lexmargin.formulations.constrained_path import ConstrainedPath
from lexmargin.formulations.lexicographic import Lexicographic
from lexmargin.formulations.margin_path import MarginPath
from lexmargin.formulations.regularization_path import RegularizationPath
from lexmargin.formulations.scaled_margin import ScaledMargin
from lexmargin.formulations.w_set import WSet
from lexmargin.linalg.guarded import nonnegative_least_squares
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, IntArray
from lexmargin.polish.hessian import weighted_hessian
from lexmargin.polish.in_norm import polish_in_norm

__all__ = ["StatedPolish", "polish_stated"]

_MOST_PARAMETERS = 300
_STEPS = 12
_ACTIVE = 1e-4
_WIDE = 0.1
_SOLVED = 1e-9

BoolArray = NDArray[np.bool_]


@final
@dataclass(frozen=True, eq=False)
class StatedPolish:
    """Where the Newton steps ended.

    Attributes:
        theta: the point as the problem states it (d,).
        multipliers: λ (N,) >= 0 of the program's own stationarity condition.
        residual: the largest of the relative misfit of stationarity, of ``f_n = level`` where
            λ_n > 0, and of the shortfall of ``f_n >= level``.
        moved: distance between the unit directions before and after.
    """

    theta: FloatArray
    multipliers: FloatArray
    residual: float
    moved: float


def polish_stated(problem: Formulation, theta: FloatArray) -> StatedPolish | None:
    """Return a point near θ that solves the KKT system better, None where there is none.

    Args:
        problem: a :class:`WSet`, a :class:`ScaledMargin`, a :class:`MarginPath` with γ, or a
            problem that :func:`~lexmargin.polish.in_norm.polish_in_norm` knows; others give None.
        theta: (d,) the solver's answer.
    """
    functions = problem.functions
    smooth = functions.size <= _MOST_PARAMETERS and not functions.pre_activations(
        np.ones(functions.size)
    )
    if not smooth or not np.all(np.isfinite(theta)):
        return None
    in_norm = isinstance(problem, (ConstrainedPath, RegularizationPath, Lexicographic))
    if problem.norm_p != 2.0 or in_norm:
        found = polish_in_norm(problem, theta)
    else:
        stated = _weights(problem, theta)
        found = None if stated is None else _constrained(functions, theta, *stated)
    if found is None:
        return None
    point, multipliers, residual = found
    if isinstance(problem, WSet) and residual <= _SOLVED:
        point = _later_levels(problem, point)
    before, after = np.linalg.norm(theta), np.linalg.norm(point)
    if not (before > 0 and after > 0):
        return None
    moved = float(np.linalg.norm(theta / before - point / after))
    return StatedPolish(point, multipliers, residual, moved)


def _weights(
    problem: Formulation, theta: FloatArray
) -> tuple[FloatArray, BoolArray, float, float] | None:
    """Return D (d,), the entries that may move, ρ, and the level; None for other programs."""
    free: BoolArray = np.ones(theta.size, dtype=np.bool_)
    if isinstance(problem, ScaledMargin):
        powers = problem.parts.log_weights(problem.gamma)
        return problem.parts.spread(np.exp(powers - powers.max())), free, 1.0, 1.0
    if isinstance(problem, WSet):
        sizes = problem.parts.sizes(theta)
        first = 0
        while first < problem.levels and sizes[first] == 0.0:
            free = free & (problem.parts.entries(first) == 0)
            first += 1
        if first == problem.levels:
            return None
        return np.where(problem.parts.entries(first), 1.0, 0.0), free, 1.0, 1.0
    if isinstance(problem, MarginPath) and problem.gamma is not None and problem.norm_p == 2.0:
        return np.ones(theta.size), free, problem.rho_value, problem.gamma
    return None


def _later_levels(problem: WSet, theta: FloatArray) -> FloatArray:
    """Return θ with ‖w_2‖², … of the levels asked for made least, the parts before them fixed."""
    parts, functions = problem.parts, problem.functions
    sizes = parts.sizes(theta)
    first = int(np.argmax(sizes > 0))
    for k in range(first + 1, problem.levels):
        free = np.all([parts.entries(j) == 0 for j in range(k)], axis=0)
        weights = np.where(parts.entries(k), 1.0, 0.0)
        found = _constrained(functions, theta, weights, free, 1.0, 1.0, _WIDE)
        if found is None or not found[2] <= _SOLVED:
            break
        if parts.sizes(found[0])[k] > parts.sizes(theta)[k] * (1.0 + 1e-9):
            break
        theta = found[0]
    return theta


def _constrained(
    functions: MarginFunctions,
    start: FloatArray,
    weights: FloatArray,
    free: BoolArray,
    rho: float,
    level: float,
    slack: float = _ACTIVE,
) -> tuple[FloatArray, FloatArray, float] | None:
    theta = start.copy()
    values = functions.values(rho * theta) / level
    near = np.flatnonzero(values <= 1.0 + slack)
    if near.size == 0:
        return None
    rows = rho * functions.jacobian(rho * theta)[near][:, free] / level
    lengths = np.maximum(np.linalg.norm(rows, axis=1), 1e-300)
    try:
        raw = (
            nonnegative_least_squares((rows / lengths[:, None]).T, (weights * theta)[free])
            / lengths
        )
    except RuntimeError:
        return None
    active = near[raw > 1e-9 * float(raw.max(initial=0.0))]
    multipliers = np.zeros(values.size)
    multipliers[near] = raw
    best = theta, multipliers, _misfit(functions, theta, multipliers, weights, free, rho, level)
    for _ in range(_STEPS):
        if active.size == 0:
            break
        theta, multipliers, active = _active_step(
            functions, theta, multipliers, active, weights, free, rho, level
        )
        residual = _misfit(functions, theta, multipliers, weights, free, rho, level)
        if not math.isfinite(residual):
            break
        if residual < best[2]:
            best = theta, multipliers, residual
        if best[2] <= 1e-15:
            break
    return best


def _active_step(
    functions: MarginFunctions,
    theta: FloatArray,
    multipliers: FloatArray,
    active: IntArray,
    weights: FloatArray,
    free: BoolArray,
    rho: float,
    level: float,
) -> tuple[FloatArray, FloatArray, IntArray]:
    from scipy.linalg import lstsq

    w = rho * theta
    values = functions.values(w) / level
    jacobian = rho * functions.jacobian(w)[:, free] / level
    hessian = rho**2 * weighted_hessian(functions, w, multipliers)[np.ix_(free, free)] / level
    d = int(np.count_nonzero(free))
    size = float(np.linalg.norm(theta))
    while True:
        rows, count = jacobian[active], active.size
        matrix = np.zeros((d + count, d + count))
        matrix[:d, :d] = np.diag(weights[free]) - hessian
        matrix[:d, d:] = -rows.T * size
        matrix[d:, :d] = rows * size
        misfit = rows.T @ multipliers[active] - (weights * theta)[free]
        right = np.concatenate([misfit / size, 1.0 - values[active]])
        found = lstsq(matrix, right, cond=1e-12, lapack_driver="gelsy")[0]
        change = size * size * found[d:]
        proposed = multipliers[active] + change
        if active.size == 1 or proposed.min() >= -1e-12 * np.abs(proposed).max():
            break
        kept = proposed > 0.5 * proposed.min()
        # Equal samples have equal multipliers: one of them stays.
        kept[np.argmax(proposed)] = True
        active = active[kept]
    move = size * found[:d]
    length = float(np.linalg.norm(move))
    damping = min(1.0, 0.1 * size / length) if length > 0 else 1.0
    moved = theta.copy()
    moved[free] += damping * move
    raised = np.zeros_like(multipliers)
    raised[active] = np.maximum(multipliers[active] + damping * change, 0.0)
    violated = np.flatnonzero(functions.values(rho * moved) / level < 1.0 - 1e-11)
    return moved, raised, np.union1d(active, violated)


def _misfit(
    functions: MarginFunctions,
    theta: FloatArray,
    multipliers: FloatArray,
    weights: FloatArray,
    free: BoolArray,
    rho: float,
    level: float,
) -> float:
    values, pull = functions.recorded(rho * theta)
    values = values / level
    target = weights * theta
    gap = (target - rho * pull(multipliers) / level)[free]
    size = float(np.linalg.norm(target[free]))
    held = multipliers > 1e-9 * multipliers.max(initial=0.0)
    parts = (
        float(np.linalg.norm(gap)) / size if size > 0 else math.inf,
        float(np.abs(values[held] - 1.0).max(initial=0.0)),
        float(1.0 - values.min()),
    )
    return max(parts) if np.all(np.isfinite(parts)) else math.inf
