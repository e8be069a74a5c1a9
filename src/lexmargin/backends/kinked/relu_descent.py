"""Local descent for two-layer ReLU networks: convex-concave rounds by least-distance programs.

A round of the convex-concave procedure has a second-order cone for every neuron. Here ``‖v_j‖`` is
replaced by its quadratic model at the current point and the round becomes a least-distance program,
solved by a dual active-set method that starts from the last multipliers; concave kinks enter as
further rows where a step meets them. Points stay feasible and the norm falls at every step.
"""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.backends.kinked.relu_subproblem import TwoLayer
from lexmargin.linalg.guarded import quadratic_program
from lexmargin.ops.base import FloatArray, IntArray

__all__ = ["Budget", "Descent", "local_descent"]

_GENERATED = 40
"""Rounds that add met samples to one program; a step that meets more is shortened anyway."""
_SHORT = 1e-11
"""Shortfall of a margin that counts as met: above the rounding of the program just solved."""
_ON_KINK = 1e-7
"""Relative pre-activation held at its kink; looser holds units beside it, tighter zigzags."""
_DEAD = 1e-5
"""Share of the largest unit below which one is dropped: its descent would only follow rounding."""
_RADIAL = 1e-3
"""Least weight of moves along v_j itself, which lengths leave free; 0 is not strictly convex."""
_SHARPER = 0.3
"""Factor of that weight after a full step; smaller steps in this are not critical."""
_HOPE = 0.3
"""A round that closes less of the distance to the bound than this gives up: others are tried."""


@final
class Budget:
    """Counts convex programs, so that without a deadline no clock decides an answer."""

    def __init__(self, programs: int, deadline: float = np.inf) -> None:
        self.left, self.spent, self._deadline = programs, 0, deadline

    def take(self) -> None:
        self.left -= 1
        self.spent += 1

    @property
    def late(self) -> bool:
        return time.perf_counter() > self._deadline

    @property
    def over(self) -> bool:
        return self.left <= 0 or self.late


@final
@dataclass(frozen=True, eq=False)
class Descent:
    """Where a descent ended: every ``f_n >= 1``.

    Attributes:
        v: (m, p), live neurons only.
        signs: s_j, (m,).
        multipliers: λ (N,).
        objective: ``Σ ‖v_j‖``.
    """

    v: FloatArray
    signs: FloatArray
    multipliers: FloatArray
    objective: float


def local_descent(
    data: TwoLayer,
    v: FloatArray,
    signs: FloatArray,
    budget: Budget,
    *,
    accuracy: float = 1e-6,
    most: int = 40,
    bound: float = np.inf,
) -> Descent | None:
    """Lower ``Σ ‖v_j‖ s.t. y_n Σ_j s_j σ(v_j·x_n) >= 1`` from v, patterns and kinks included.

    Args:
        data: samples, labels, slope.
        v: (m, p), all rows nonzero; only its patterns and sizes count, it need not separate.
        signs: s_j, (m,).
        budget: of programs.
        accuracy: relative decrease of the norm that ends the descent.
        most: rounds at most.
        bound: gives up where it will not be undercut.

    Returns:
        None where the pattern of v allows no margin, or nothing better than ``bound`` is near.
    """
    held = _Held(np.zeros(0, dtype=np.int64), np.zeros((0, signs.size)), np.zeros(0))
    last: _Point | None = None
    objective = _stretched(data, v, signs)
    if np.isfinite(objective):
        v = v * (objective / _total(v))
    radial, stuck = 1.0, 0
    for _ in range(most):
        if budget.over:
            break
        solved = _round(data, v, signs, held, budget, radial)
        if solved is None:
            break
        step, rows = solved
        shrink, following = 1.0, v + step
        reached = _stretched(data, following, signs)
        while not reached < objective and shrink > 0.1 and np.isfinite(objective):
            shrink *= 0.4
            following = v + shrink * step
            reached = _stretched(data, following, signs)
        if not np.isfinite(reached):
            break
        radial = min(1.0, 4.0 * radial) if shrink < 1.0 else max(_SHARPER * radial, _RADIAL)
        gain = objective - reached
        if not gain > 0.0:
            if last is None:
                last = _Point(v, signs, rows, objective)
            stuck += 1
            if stuck == 2 or radial == 1.0:
                break
            radial = 1.0
            continue
        following = following * (reached / _total(following))
        sizes = _sizes(following)
        alive = sizes > _DEAD * float(sizes.max())
        if not np.all(alive):
            reached = _stretched(data, following[alive], signs[alive])
            if not np.isfinite(reached):
                break
            following, signs = following[alive], signs[alive]
            rows = _Held(rows.rows, rows.gates[:, alive], rows.multipliers)
        v, held = following, rows
        last = _Point(v, signs, rows, reached)
        slow = gain < _HOPE * (reached - bound)
        objective = reached
        if gain <= accuracy * objective or (np.isfinite(bound) and slow):
            break
    return None if last is None else last.ended(data.y.size)


def _sizes(v: FloatArray) -> FloatArray:
    lengths: FloatArray = np.sqrt(np.einsum("jp,jp->j", v, v))
    return lengths


def _total(v: FloatArray) -> float:
    return float(_sizes(v).sum())


def _stretched(data: TwoLayer, v: FloatArray, signs: FloatArray) -> float:
    """Return ``Σ ‖v_j‖`` of v brought to margin 1; inf where it does not separate."""
    least = float(data.values(v, signs).min())
    return _total(v) / least if least > 0.0 else np.inf


@final
@dataclass(frozen=True, eq=False)
class _Held:
    """Rows of a program: sample, slopes of all units there, multiplier."""

    rows: IntArray
    gates: FloatArray
    multipliers: FloatArray


@final
@dataclass(frozen=True, eq=False)
class _Point:
    v: FloatArray
    signs: FloatArray
    held: _Held
    objective: float

    def ended(self, count: int) -> Descent:
        rows, mu = self.held.rows, self.held.multipliers
        lam = np.zeros(count)
        np.add.at(lam, rows, mu)
        return Descent(self.v, self.signs, lam, self.objective)


def _round(
    data: TwoLayer, v: FloatArray, signs: FloatArray, held: _Held, budget: Budget, radial: float
) -> tuple[FloatArray, _Held] | None:
    """Return the step of one round and its rows; ``held`` are those of the round before."""
    n, p = data.X.shape
    m = signs.size
    sizes = _sizes(v)
    unit = np.ascontiguousarray((v / sizes[:, None]).T)
    z = data.X @ v.T
    base = np.where(z > 0.0, 1.0, data.slope)
    ys = data.y[:, None] * signs
    concave = ys < 0.0
    # B_j = ((I - uuᵀ) + radial uuᵀ)/‖v_j‖; its root turns norms into one Euclidean length.
    root, stretch = np.sqrt(sizes), radial**-0.5
    turned = root * (
        data.X[:, :, None] + ((stretch - 1.0) / sizes * z)[:, None, :] * unit[None, :, :]
    )
    begin = (root * stretch) * unit

    def written(rows: IntArray, gates: FloatArray) -> tuple[FloatArray, FloatArray]:
        slopes = ys[rows] * gates
        matrix = (slopes[:, None, :] * turned[rows]).reshape(rows.size, p * m)
        return matrix, 1.0 + (1.0 / radial - 1.0) * np.einsum("rj,rj->r", slopes, z[rows])

    rows: IntArray = np.arange(n)
    gates, mu = base, np.zeros(n)
    if held.rows.size:
        mu = held.multipliers[:n]
        used = np.flatnonzero(held.multipliers)
        near = concave & (np.abs(z) <= _ON_KINK * sizes)
        own = held.rows[used]
        sides = np.where(near[own], held.gates[used], base[own])
        differs = np.any(sides != base[own], axis=1)
        extra = used[differs]
        rows = np.concatenate([rows, own[differs]])
        gates = np.vstack([base, sides[differs]])
        # A row that stood first and changed sides must not lend its multiplier twice.
        mu = np.concatenate([mu, np.where(extra >= n, held.multipliers[extra], 0.0)])
    matrix, right = written(rows, gates)
    step = np.zeros_like(v)
    for _ in range(_GENERATED):
        budget.take()
        solved = _least_distance(matrix, right, mu)
        if solved is None:
            return None
        w, mu = solved
        moved = w.reshape(p, m) - begin
        along = np.einsum("pj,pj->j", moved, unit)
        step = (root * (moved + (stretch - 1.0) * along * unit)).T
        ahead = z + data.X @ step.T
        met = np.where(concave, np.where(ahead > 0.0, 1.0, data.slope), base)
        fresh = np.flatnonzero(np.einsum("nj,nj->n", ys * met, ahead) < 1.0 - _SHORT)
        if not fresh.size or budget.over:
            break
        more, level = written(fresh, met[fresh])
        matrix, right = np.vstack([matrix, more]), np.concatenate([right, level])
        rows, gates = np.concatenate([rows, fresh]), np.vstack([gates, met[fresh]])
        mu = np.concatenate([mu, np.zeros(fresh.size)])
    return step, _Held(rows, gates, mu)


def _least_distance(
    rows: FloatArray, right: FloatArray, guess: FloatArray
) -> tuple[FloatArray, FloatArray] | None:
    """Return u and λ of ``min ½‖u‖² s.t. rows u >= right``, None where nothing is feasible."""
    eye, linear = _identity(rows.shape[1])
    start = -guess if np.any(guess) else None
    upper = np.full(right.size, 1e30)
    found = quadratic_program(eye, linear, rows, upper, right, primal_tol=1e-11, dual_start=start)
    if found is None or found[1] < 1:
        return None
    u, _, details = found
    return u, np.maximum(-np.asarray(details["lam"]), 0.0)


@functools.cache
def _identity(size: int) -> tuple[FloatArray, FloatArray]:
    return np.eye(size), np.zeros(size)
