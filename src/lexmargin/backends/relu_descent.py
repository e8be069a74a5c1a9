"""Local descent for two-layer ReLU networks: convex-concave rounds by least-distance programs.

A round of the convex-concave procedure has a second-order cone for every neuron. Here ``‖v_j‖`` is
replaced by its quadratic model at the current point and the round becomes a least-distance program,
solved by a dual active-set method; concave kinks enter as further
rows where a step meets them. Points stay feasible and the norm falls at every step.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.backends.relu_subproblem import TwoLayer
from lexmargin.ops.base import FloatArray, IntArray

__all__ = ["Budget", "Descent", "local_descent"]

_GENERATED = 6
_SHORT = 1e-11
_ON_KINK = 1e-7
_DEAD = 1e-5
_RADIAL = 1e-3
_SHARPER = 0.3


@final
class Budget:
    """Counts least-distance programs, so that without a deadline no clock decides an answer."""

    def __init__(self, programs: int, deadline: float = np.inf) -> None:
        self.left, self.spent, self._deadline = programs, 0, deadline

    def take(self) -> None:
        self.left -= 1
        self.spent += 1

    @property
    def over(self) -> bool:
        return self.left <= 0 or time.perf_counter() > self._deadline


@final
@dataclass(frozen=True, eq=False)
class Descent:
    """Where a descent ended: every ``f_n >= 1``.

    Attributes:
        v: (m, p), live neurons only.
        signs: s_j, (m,).
        multipliers: λ (N,).
        shares: (N, m) the part of λ_n that takes slope 1 in neuron j.
        objective: ``Σ ‖v_j‖``.
    """

    v: FloatArray
    signs: FloatArray
    multipliers: FloatArray
    shares: FloatArray
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
    n, h = data.y.size, signs.size
    kept = _Kinks(np.zeros(0, dtype=np.int64), np.zeros((0, h)))
    found: Descent | None = None
    objective = _stretched(data, v, signs)
    if np.isfinite(objective):
        v = v * (objective / float(np.linalg.norm(v, axis=1).sum()))
    radial, stuck = 1.0, 0
    for _ in range(most):
        if budget.over:
            break
        solved = _round(data, v, signs, kept, budget, radial)
        if solved is None:
            break
        step, rows, gates, mu = solved
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
            if found is None:
                found = _ended(n, v, signs, rows, gates, mu, objective)
            stuck += 1
            if stuck == 2 or radial == 1.0:
                break
            radial = 1.0
            continue
        following = following * (reached / float(np.linalg.norm(following, axis=1).sum()))
        sizes = np.linalg.norm(following, axis=1)
        alive = sizes > _DEAD * float(sizes.max())
        used = mu > 0.0
        if not np.all(alive):
            reached = _stretched(data, following[alive], signs[alive])
            if not np.isfinite(reached):
                break
        v, signs, gates = following[alive], signs[alive], gates[:, alive]
        kept = _Kinks(rows[used], gates[used])
        found = _ended(n, v, signs, rows, gates, mu, reached)
        slow = gain < 0.1 * (reached - bound)
        objective = reached
        if gain <= accuracy * objective or (np.isfinite(bound) and slow):
            break
    return found


def _stretched(data: TwoLayer, v: FloatArray, signs: FloatArray) -> float:
    """Return ``Σ ‖v_j‖`` of v brought to margin 1; inf where it does not separate."""
    least = float(data.values(v, signs).min())
    return float(np.linalg.norm(v, axis=1).sum()) / least if least > 0.0 else np.inf


def _ended(
    count: int,
    v: FloatArray,
    signs: FloatArray,
    rows: IntArray,
    gates: FloatArray,
    mu: FloatArray,
    objective: float,
) -> Descent:
    lam = np.zeros(count)
    np.add.at(lam, rows, mu)
    shares = np.zeros((count, signs.size))
    np.add.at(shares, rows, mu[:, None] * (gates == 1.0))
    return Descent(v, signs, lam, shares, objective)


@final
@dataclass(frozen=True, eq=False)
class _Kinks:
    """Rows of the last program that had multipliers: sample and slopes."""

    rows: IntArray
    gates: FloatArray


def _round(
    data: TwoLayer,
    v: FloatArray,
    signs: FloatArray,
    kept: _Kinks,
    budget: Budget,
    radial: float,
) -> tuple[FloatArray, IntArray, FloatArray, FloatArray] | None:
    """Return the step of one round, its rows (sample and slopes) and their multipliers."""
    n, p = data.X.shape
    m = signs.size
    sizes = np.linalg.norm(v, axis=1)
    unit = v / sizes[:, None]
    z = data.X @ v.T
    base = np.where(z > 0.0, 1.0, data.slope)
    ys = data.y[:, None] * signs
    concave = ys < 0.0
    # B_j = ((I - uuᵀ) + radial uuᵀ)/‖v_j‖; its root turns norms into one Euclidean length.
    root = np.sqrt(sizes)
    stretch = radial**-0.5
    along = data.X @ unit.T
    turned = root[:, None] * (
        data.X[:, None, :] + ((stretch - 1.0) * along)[:, :, None] * unit[None, :, :]
    )
    begin = ((root * stretch)[:, None] * unit).reshape(-1)
    rows: NDArray[np.int64] = np.arange(n)
    gates = base
    if kept.rows.size:
        near = concave & (np.abs(z) <= _ON_KINK * sizes)
        held = np.where(near[kept.rows], kept.gates, base[kept.rows])
        differs = np.any(held != base[kept.rows], axis=1)
        rows = np.concatenate([rows, kept.rows[differs]])
        gates = np.vstack([base, held[differs]])
    step, mu = None, np.zeros(0)
    for _ in range(_GENERATED):
        budget.take()
        slopes = ys[rows] * gates
        matrix = (slopes[:, :, None] * turned[rows]).reshape(rows.size, m * p)
        right = 1.0 - np.einsum("pj,pj->p", slopes, z[rows]) + matrix @ begin
        solved = _least_distance(matrix, right)
        if solved is None:
            return None
        w, mu = solved
        moved = (w - begin).reshape(m, p)
        step = root[:, None] * (
            moved + (stretch - 1.0) * np.einsum("jp,jp->j", moved, unit)[:, None] * unit
        )
        ahead = z + data.X @ step.T
        met = np.where(concave, np.where(ahead > 0.0, 1.0, data.slope), base)
        short = np.einsum("nj,nj->n", ys * met, ahead) < 1.0 - _SHORT
        if not np.any(short):
            break
        fresh = np.flatnonzero(short)
        rows = np.concatenate([rows, fresh])
        gates = np.vstack([gates, met[fresh]])
    if step is None:
        return None
    if mu.size < rows.size:
        # The last program still met kinks; a shorter step may do.
        rows, gates = rows[: mu.size], gates[: mu.size]
    return step, rows, gates, mu


def _least_distance(rows: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """Return u and λ of ``min ½‖u‖² s.t. rows u >= right``, None where nothing is feasible."""
    import daqp

    d, free = rows.shape[1], np.full(right.size, 1e30)
    u, _, flag, details = daqp.solve(np.eye(d), np.zeros(d), rows, free, right, primal_tol=1e-11)
    if flag < 1:
        return None
    return np.asarray(u), np.maximum(-np.asarray(details["lam"]), 0.0)
