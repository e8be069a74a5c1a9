"""Newton's steps on the KKT system of a margin program, with changes of the active set.

``∇h(u) = Σ λ_n ∇g_n(u)``, ``g_S(u) = 1``, ``λ_S >= 0``, where ``h = ½‖·‖_p²`` or ``½ Σ c_i u_i²``,
and ``g_n(u) = f_n(w)/reach_n`` for u the entries of w that may move, in units of ``length``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.formulations.kkt import Kkt
from lexmargin.linalg.differences import hessian_product
from lexmargin.linalg.guarded import (
    least_norm,
    minimal_residual,
    nonnegative_least_squares,
    pivoted_qr,
    solved_triangle,
)
from lexmargin.linalg.least_distance import least_distance
from lexmargin.linalg.norms import vector_norm
from lexmargin.linalg.rounding import TINY
from lexmargin.ops.base import FloatArray, IntArray
from lexmargin.ops.curvature import Curvature
from lexmargin.polish.augmented import WorkingSet
from lexmargin.polish.charts import Chart
from lexmargin.polish.newton import EXACT, GOAL, ROUGH, damping, newton

__all__ = ["Held", "MarginProgram"]

_DENSE = 150
"""Parameters, or products, up to which the Hessian is formed; above, products in an iterative
solver are cheaper."""
_INNER = 400
"""Steps of the iterative solver: a system that needs more is singular to it."""
_LONGEST = 0.1
"""Longest step by the length of u: longer ones leave the region where signs of λ hold."""
_DROPS = 6
"""Samples of negative weight dropped in one step; more mean that the support is wrong."""
_VIOLATED = 1e-11
"""Shortfall of a margin at which its sample joins: that of a held one is rounding."""
_TIED = 1e-4
"""Relative excess of margins that may be held: answers to polish are good to about four digits."""
_WIDE = 0.3
"""The same for rougher answers: wrong samples leave by negative weight."""
_NONE = 1e-10
"""Share of the largest multiplier below which a first one is rounding."""

BoolArray = NDArray[np.bool_]


@final
@dataclass(frozen=True, eq=False)
class Held:
    """A point of the steps, its multipliers, and the samples that are held at 1.

    Attributes:
        s: the chart's variable at u.
        raw: λ (N,); negative ones are allowed.
        active: S, increasing.
        residual: the largest of ``‖∇h - Σλ∇g‖/‖∇h‖``, ``|g_n - 1|`` where λ_n > 0, and the
            shortfall of ``g_n >= 1``; λ < 0 counts as 0.
    """

    s: FloatArray
    raw: FloatArray
    active: IntArray
    residual: float

    @property
    def done(self) -> bool:
        """Whether the residual counts as arrived."""
        return self.residual <= GOAL


@final
class MarginProgram:
    """``min h(u)  s.t.  g_n(u) >= 1`` near w, as a record of KKT data states it.

    Args:
        kkt: with a level, or asking for a direction, whose smallest margin at w is 1.
        w: (d,) not 0.
    """

    def __init__(self, kkt: Kkt, w: FloatArray) -> None:
        self.functions, self._whole, self._free = kkt.functions, w, kkt.free
        self.length = vector_norm(w, kkt.norm) or 1.0
        self._chart = Chart(kkt.norm, self._part(kkt.entry_costs))
        self._reach = kkt.reach
        self._curved = kkt.functions.curvature > Curvature.AFFINE

    def _part(self, full: FloatArray) -> FloatArray:
        """Return the entries (…, d) that may move."""
        return full if self._free is None else full[..., self._free]

    def answer(self, state: Held) -> tuple[FloatArray, FloatArray, float]:
        """Return w (d,), λ (N,) >= 0 of ``∇h(w) = Σ λ_n ∇f_n(w)/reach_n``, and the residual."""
        point = self._placed(self._chart.both(state.s)[0])
        return point, self.length**2 * np.maximum(state.raw, 0.0), state.residual

    def _placed(self, u: FloatArray) -> FloatArray:
        if self._free is None:
            return self.length * u
        w = self._whole.copy()
        w[self._free] = self.length * u
        return w

    def _start(self) -> FloatArray:
        return self._chart.variable(self._part(self._whole) / self.length)

    def given(self, multipliers: FloatArray) -> Held:
        """Return the state at w with λ (N,) >= 0 of w."""
        raw = multipliers / self.length**2
        share = raw / max(float(raw.max(initial=0.0)), TINY)
        # Strict complementarity: of a multiplier and its slack the larger one is not 0.
        slack = self.functions.values(self._whole) / self._reach - 1.0
        held = (share > 1e-8) & (share > slack)
        return self._at(self._start(), np.where(held, raw, 0.0), np.flatnonzero(held))

    def guess(self, *, rough: bool) -> Held:
        """Return the state at w with the support of a good answer, or of a rough one."""
        s, w = self._start(), self._whole
        u, z = self._chart.both(s)
        g = self.functions.values(w) / self._reach
        near = np.flatnonzero(g <= 1.0 + (_WIDE if rough else _TIED))
        stretch = self.length / self._reach[near, None]
        rows = self._part(self.functions.jacobian(w)[near]) * stretch
        raw = np.zeros(g.size)
        raw[near] = self._multipliers(rows, g[near], u, z, rough=rough)
        raw[raw <= _NONE * raw.max(initial=0.0)] = 0.0
        support = np.flatnonzero(raw)
        return self._at(s, raw, support if support.size else np.array([int(np.argmin(g))]))

    def _multipliers(
        self, rows: FloatArray, g: FloatArray, u: FloatArray, z: FloatArray, *, rough: bool
    ) -> FloatArray:
        """Return λ >= 0 of these rows, 0 where there are none."""
        metric, nothing = self._chart.metric, np.zeros(g.size)
        if not g.size:
            return nothing
        try:
            if rough and metric is not None:
                # The nearest point of the linearised constraints, in the metric of the costs.
                found = least_distance(rows / metric, 1.0 - g + rows @ u)
                return nothing if found is None else found
            lengths = np.maximum(np.linalg.norm(rows, axis=1), TINY)
            return np.asarray(nonnegative_least_squares((rows / lengths[:, None]).T, z) / lengths)
        except RuntimeError:
            return nothing

    def _at(
        self, s: FloatArray, raw: FloatArray, active: IntArray, *, joined: bool = False
    ) -> Held:
        u, z = self._chart.both(s)
        f, pull = self.functions.value_and_vjp(self._placed(u))
        g, weights = f / self._reach, np.maximum(raw, 0.0)
        size = float(np.linalg.norm(z))
        misfit = z - self.length * self._part(pull(weights / self._reach))
        parts = (
            float(np.linalg.norm(misfit)) / size if size > 0.0 else math.inf,
            float(np.abs(g - 1.0)[weights > 0.0].max(initial=0.0)),
            float(1.0 - g.min()),
        )
        residual = max(parts) if np.all(np.isfinite(parts)) else math.inf
        if joined:
            active = np.union1d(active, np.flatnonzero(g < 1.0 - _VIOLATED))
        return Held(s, raw, active, residual)

    def run(
        self, state: Held, steps: int, limit: float = math.inf, inner: int = _INNER
    ) -> tuple[Held, int]:
        """Return the best state of a run of Newton steps, and their number.

        Args:
            state: where it begins.
            steps: the most of them.
            limit: residual beyond which it ends.
            inner: the most products of one step, where the Hessian is not formed.
        """
        if state.active.size == 0:
            return state, 0
        return newton(state, lambda one: self._step(one, inner), steps, limit=limit)

    def _hessian(self, w: FloatArray, raw: FloatArray) -> FloatArray | None:
        """Return ``Σ λ_n ∇²g_n(u)``, of the entries that may move; None where products are less."""
        few = min(self.functions.hessian_colours, self._part(w).size) <= _DENSE
        if self._chart.flat and not few:
            return None
        # relu^p has no second derivative at a dead unit for p < 2: it does not move.
        found = np.nan_to_num(self.functions.hessian_matrix(w, raw / self._reach), posinf=0.0)
        return self.length**2 * self._part(self._part(found).T)

    def _step(self, state: Held, inner: int) -> Held:
        """Return the next state: the step of least norm, without the samples whose λ it makes < 0.

        Symmetries of rescaling, and dependent rows, make the system singular.
        """
        active = state.active
        part = WorkingSet(self.functions, active)
        place = np.searchsorted(part.rows, active)
        u, z = self._chart.both(state.s)
        w, reach = self._placed(u), self._reach[active]
        g = part.value_and_vjp(w)[0][place] / reach
        jacobian = self._part(part.jacobian(w)[place]) * (self.length / reach)[:, None]
        weights = np.zeros(part.rows.size)
        weights[place] = state.raw[active] / reach

        def pull(v: FloatArray) -> FloatArray:
            return np.asarray(
                self.length * self._part(part.value_and_vjp(self._placed(v))[1](weights))
            )

        matrix = self._hessian(w, state.raw) if self._curved else None

        def product(v: FloatArray) -> FloatArray:
            if not self._curved:
                return np.zeros_like(v)
            return hessian_product(pull, u, v) if matrix is None else np.asarray(matrix @ v)

        dense, cutoff = None, ROUGH if self._curved else EXACT
        if u.size <= _DENSE or not self._chart.flat:
            dense = self._chart.bent(state.s)
            if matrix is not None:
                dense = dense - self._chart.through(matrix, state.s)
        kept = np.ones(active.size, dtype=bool)
        for drop in range(_DROPS + 1):
            rows, raw = jacobian[kept], state.raw[active[kept]]
            right = np.concatenate([rows.T @ raw - z, 1.0 - g[kept]])
            if dense is not None:
                top = np.hstack([dense, -rows.T])
                across = self._chart.through(rows, state.s)
                bottom = np.hstack([across, np.zeros((raw.size, raw.size))])
                found = least_norm(np.vstack([top, bottom]), right, cutoff)
                step, change = found[: u.size], found[u.size :]
            else:
                step, change = _by_products(self._chart.costs, product, rows, right, inner)
            proposed = raw + change
            worst = float(proposed.min())
            agreed = not worst < -1e-13 * np.abs(proposed).max() or raw.size == 1
            if agreed or drop == _DROPS:
                break
            leaving = proposed <= 0.5 * worst
            # Equal samples have equal multipliers: one of them stays.
            leaving[np.argmax(proposed)] = False
            kept[np.flatnonzero(kept)[leaving]] = False
        part_of = damping(step, state.s, _LONGEST)
        full = np.zeros(state.raw.size)
        full[active[kept]] = raw + part_of * change
        return self._at(state.s + part_of * step, full, active[kept], joined=True)


def _by_products(
    costs: FloatArray,
    product: Callable[[FloatArray], FloatArray],
    rows: FloatArray,
    right: FloatArray,
    inner: int,
) -> tuple[FloatArray, FloatArray]:
    """Solve ``C s - H s - rowsᵀ m = right_1``, ``rows s = right_2`` for s and m.

    Range step by QR, null-space step by MINRES on the projected Hessian.
    """
    s, d = rows.shape
    q, r, order = pivoted_qr(rows.T)
    diagonal = np.abs(np.diag(r))
    rank = int(np.count_nonzero(diagonal > 1e-11 * diagonal[0]))
    q, r, order = q[:, :rank], r[:rank, :rank], order[:rank]
    within = q @ solved_triangle(r, right[d:][order], transposed=True)

    def project(v: FloatArray) -> FloatArray:
        return np.asarray(v - q @ (q.T @ v))

    def bent(v: FloatArray) -> FloatArray:
        return np.asarray(costs * v - product(v))

    # Singular along the symmetries of rescaling; MINRES stays out of that null space.
    target = project(right[:d] - bent(within))
    across = minimal_residual(lambda v: project(bent(project(v))), target, 1e-4, inner)
    step = within + project(across)
    change = np.zeros(s)
    change[order] = solved_triangle(r, q.T @ (bent(step) - right[:d]))
    return step, change
