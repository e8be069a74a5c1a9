"""Polish of programs whose scale matters: Newton steps on the KKT system of the program as stated.

Eq. 7, 13, 14 and others of the form: ``c w = Σ λ_n ∇f_n(w)``, ``f_S(w) = level``, λ_S >= 0, with a
cost c per entry. Where a block is free (eq. 13), steps of least norm leave it where the solver
put it. Losses and norms other than ℓ2 have a module of their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.formulations.base import Formulation
from lexmargin.formulations.kkt import Kkt
from lexmargin.inputs.limits import NEWTON_PARAMETERS
from lexmargin.linalg.guarded import least_norm, nonnegative_least_squares
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, IntArray
from lexmargin.polish.hessian import weighted_hessian
from lexmargin.polish.in_norm import Polished, polish_in_norm

__all__ = ["StatedPolish", "polish_stated"]

_STEPS = 12
"""Newton steps at most: quadratic convergence needs fewer, and a wrong support gains nothing."""
_ACTIVE = 1e-4
"""Relative excess of margins that are held: answers to polish are good to about four digits."""
_WIDE = 0.1
"""The same for later levels, which solvers leave rough: wrong samples leave by negative weight."""
_SOLVED = 1e-9
"""Residual that counts as solved: later levels are only polished on top of such a one."""

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
        problem: any problem that brings its KKT data; those with a level, and those that
            :func:`~lexmargin.polish.in_norm.polish_in_norm` knows, are polished.
        theta: (d,) the solver's answer.
    """
    functions = problem.functions
    smooth = functions.size <= NEWTON_PARAMETERS and not functions.pre_activations(
        np.ones(functions.size)
    )
    if not smooth or not np.all(np.isfinite(theta)):
        return None
    try:
        found = _polished(problem, theta)
    except ArithmeticError:
        # A step may leave what doubles hold, where scales are lost: then no point is better.
        return None
    if found is None:
        return None
    point, multipliers, residual = found
    before, after = np.linalg.norm(theta), np.linalg.norm(point)
    if not (before > 0 and after > 0):
        return None
    moved = float(np.linalg.norm(theta / before - point / after))
    return StatedPolish(point, multipliers, residual, moved)


def _polished(problem: Formulation, theta: FloatArray) -> Polished | None:
    """Return θ, λ and the residual, as the problem states them."""
    kkts, rho = problem.kkt(theta), problem.rho_value
    first = kkts[0]
    if first.level is None or first.norm != 2.0:
        found = polish_in_norm(first)
        if found is None:
            return None
        if first.loss is not None:
            return found[0] / rho, found[1], found[2]
        return (*problem.placed(theta, found[0], found[1]), found[2])
    done = 0
    while done < len(kkts) and not np.any(kkts[done].target):
        done += 1
    if done == len(kkts):
        return None
    found = _constrained(kkts[done], first.point)
    if found is None:
        return None
    point, multipliers, residual = found
    for later in kkts[done + 1 :] if residual <= _SOLVED else ():
        # The parts before it stay where they are.
        better = _constrained(later, point, _WIDE)
        if better is None or not better[2] <= _SOLVED:
            break
        if _costs_more(later, better[0], point):
            break
        point = better[0]
    if first.required is not None:
        # Those of f_n, as the program states them.
        multipliers = multipliers / first.required
    return point / rho, multipliers / rho**2, residual


def _costs_more(kkt: Kkt, point: FloatArray, before: FloatArray) -> bool:
    old, new = (float(np.sum(kkt.entry_costs * w * w)) for w in (before, point))
    return new > old * (1.0 + 1e-9)


def _constrained(kkt: Kkt, start: FloatArray, slack: float = _ACTIVE) -> Polished | None:
    """Solve ``c w = Σ λ_n ∇f_n(w)/(level r_n)``, ``f_S(w) = level r_S`` for the free entries."""
    if kkt.level is None:
        return None
    functions, w = kkt.functions, start.copy()
    required = np.ones(functions.count) if kkt.required is None else kkt.required
    reach = kkt.level * required
    program = _Program(functions, kkt.entry_costs, ~kkt.held, reach)
    values = functions.values(w) / reach
    near = np.flatnonzero(values <= 1.0 + slack)
    if near.size == 0:
        return None
    rows = (functions.jacobian(w)[near] / reach[near, None])[:, program.free]
    lengths = np.maximum(np.linalg.norm(rows, axis=1), 1e-300)
    target = (kkt.entry_costs * w)[program.free]
    try:
        raw = nonnegative_least_squares((rows / lengths[:, None]).T, target) / lengths
    except RuntimeError:
        return None
    active = near[raw > 1e-9 * float(raw.max(initial=0.0))]
    multipliers = np.zeros(values.size)
    multipliers[near] = raw
    best = w, multipliers, _misfit(program, w, multipliers)
    for _ in range(_STEPS):
        if active.size == 0:
            break
        w, multipliers, active = _active_step(program, w, multipliers, active)
        residual = _misfit(program, w, multipliers)
        if not math.isfinite(residual):
            break
        if residual < best[2]:
            best = w, multipliers, residual
        if best[2] <= 1e-15:
            break
    return best


@final
@dataclass(frozen=True, eq=False)
class _Program:
    """``min ½ Σ c_i w_i²  s.t.  f_n(w) >= reach_n`` over the free entries."""

    functions: MarginFunctions
    costs: FloatArray
    free: BoolArray
    reach: FloatArray


def _active_step(
    program: _Program, w: FloatArray, multipliers: FloatArray, active: IntArray
) -> tuple[FloatArray, FloatArray, IntArray]:
    functions, free, reach = program.functions, program.free, program.reach
    values = functions.values(w) / reach
    jacobian = functions.jacobian(w)[:, free] / reach[:, None]
    hessian = weighted_hessian(functions, w, multipliers / reach)[np.ix_(free, free)]
    d = int(np.count_nonzero(free))
    size = float(np.linalg.norm(w))
    while True:
        rows, count = jacobian[active], active.size
        matrix = np.zeros((d + count, d + count))
        matrix[:d, :d] = np.diag(program.costs[free]) - hessian
        matrix[:d, d:] = -rows.T * size
        matrix[d:, :d] = rows * size
        misfit = rows.T @ multipliers[active] - (program.costs * w)[free]
        right = np.concatenate([misfit / size, 1.0 - values[active]])
        found = least_norm(matrix, right, 1e-12)
        change = size * size * found[d:]
        proposed = multipliers[active] + change
        lost = not np.all(np.isfinite(found))
        if lost or active.size == 1 or proposed.min() >= -1e-12 * np.abs(proposed).max():
            break
        kept = proposed > 0.5 * proposed.min()
        # Equal samples have equal multipliers: one of them stays.
        kept[np.argmax(proposed)] = True
        active = active[kept]
    move = size * found[:d]
    length = float(np.linalg.norm(move))
    damping = min(1.0, 0.1 * size / length) if length > 0 else 1.0
    moved = w.copy()
    moved[free] += damping * move
    raised = np.zeros_like(multipliers)
    raised[active] = np.maximum(multipliers[active] + damping * change, 0.0)
    violated = np.flatnonzero(functions.values(moved) / reach < 1.0 - 1e-11)
    return moved, raised, np.union1d(active, violated)


def _misfit(program: _Program, w: FloatArray, multipliers: FloatArray) -> float:
    values, pull = program.functions.recorded(w)
    values, free = values / program.reach, program.free
    target = program.costs * w
    gap = (target - pull(multipliers / program.reach))[free]
    size = float(np.linalg.norm(target[free]))
    held = multipliers > 1e-9 * multipliers.max(initial=0.0)
    parts = (
        float(np.linalg.norm(gap)) / size if size > 0 else math.inf,
        float(np.abs(values[held] - 1.0).max(initial=0.0)),
        float(1.0 - values.min()),
    )
    return max(parts) if np.all(np.isfinite(parts)) else math.inf
