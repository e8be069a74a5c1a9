"""Polish: Newton steps on the KKT conditions of the hard margin, with active-set changes.

Turns a decent answer of any origin into one whose residual is at rounding level, or says that it
could not. It decides nothing about optimality: a saddle polishes as well as a minimum.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from lexmargin.errors import DegreeError, ParameterError, UnsupportedError
from lexmargin.linalg.guarded import (
    least_norm,
    minimal_residual,
    pivoted_qr,
    solved_triangle,
)
from lexmargin.linalg.least_distance import least_distance
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, IntArray
from lexmargin.ops.curvature import Curvature
from lexmargin.polish.augmented import WorkingSet, augmented_lagrangian

__all__ = ["Polished", "finished", "polish", "settled"]

_DENSE = 150
"""Parameters up to which the Hessian is formed; above, products in an iterative solver are
cheaper."""
_DIFFERENCE = 1e-5
"""Length of differences of gradients by ‖w‖, near eps^⅓, where both errors are least."""
_INNER = 400
"""Steps of the iterative solver: a system that needs more is singular to it."""
_GOAL = 1e-10
"""Residual that counts as arrived: below it ε is far below every tolerance of a grade."""
_KINK = 1e-9
"""Relative distance from a kink at which Newton's steps have no derivative to go by."""
_PATIENCE = 4
"""Steps without a better residual before it is taken as rounding."""
_NEAR = 0.1
"""Residual from which Newton's steps are tried: further away they need not converge."""
_TIED = 1e-7
"""Relative margin of the first guess of the support: that of an answer to eight digits."""
_CLOSE = 5e-3
"""Residual at which a round of the augmented Lagrangian is first handed to Newton's steps."""
_RISE = 30.0
"""Factor by which a residual may rise before such a try is stopped: it goes elsewhere."""
_DROPS = 6
"""Samples of negative weight dropped in one step; more mean that the support is wrong."""
_TRIED = 150
"""Steps of the iterative solver in such a try, which may come too early to be worth more."""


@final
@dataclass(frozen=True, eq=False)
class Polished:
    """Where the Newton steps ended: ``w = Σ λ_n ∇f_n(w)``, ``f_n(w) >= 1``, λ >= 0.

    Attributes:
        theta: w (d,), at the scale where the smallest margin is 1.
        multipliers: λ (N,) >= 0.
        residual: the largest of ``‖w - Σλ∇f‖/‖w‖``, ``|f_n - 1|`` where λ_n > 0, and the shortfall
            of ``f_n >= 1``, measured at ``theta``.
        iterations: Newton steps taken.
        rounds: rounds of the augmented Lagrangian, 0 where Newton's steps alone arrived.
        moved: distance between the unit directions before and after.
        converged: the residual is at most 1e-10 and no kink is near.
        reason: why it did not converge; empty if it did.
    """

    theta: FloatArray
    multipliers: FloatArray
    residual: float
    iterations: int
    rounds: int
    moved: float
    converged: bool
    reason: str = ""


def polish(
    functions: MarginFunctions,
    theta: FloatArray,
    *,
    iterations: int = 50,
    active: float = 0.3,
) -> Polished:
    """Solve ``w = Σ λ_n ∇f_n(w)``, ``f_S(w) = 1``, ``λ_S >= 0`` near θ (eq. 18 with margin 1).

    The active set S and its multipliers are read off the point of least norm in the linearised
    feasible set; every Newton step is the least-squares one, because rescaling symmetries make the
    system singular; samples with a negative multiplier leave S, violated ones join it. Where these
    steps do not arrive, :func:`~lexmargin.polish.augmented.augmented_lagrangian` brings the point
    nearer.

    Args:
        functions: homogeneous margin functions.
        theta: (d,) a separating point, at any scale.
        iterations: the most Newton steps of one run.
        active: samples with ``f_n <= (1 + active) min f`` may support the first step.

    Returns:
        The best point seen; ``converged`` says whether it is one.

    Raises:
        DegreeError: not homogeneous (Definition 1).
        ParameterError: θ does not separate, or is not finite.
        UnsupportedError: θ is on a kink of a ReLU of power 1, where no Hessian exists.
    """
    degree = _degree(functions)
    start = np.asarray(theta, dtype=np.float64)
    functions.blocks(start)
    if not np.all(np.isfinite(start)):
        raise ParameterError("The start of a polish is not finite.", "Start from finite numbers.")
    size = float(np.abs(start).max(initial=0.0))
    unit = start / size / np.linalg.norm(start / size) if size > 0 else start
    margin = float(functions.values(unit).min())
    if not margin > 0:
        raise ParameterError(
            f"The start of a polish does not separate: its smallest margin is {margin:.3g}.",
            "Descend longer, or start from a point where every margin is positive.",
        )
    if _kink(functions, unit) <= _KINK:
        raise UnsupportedError(
            "The start of a polish is on a kink of a ReLU, where Newton's method has no Hessian.",
            "Use a ReLU of power 2 or more, or start away from the kink.",
        )
    scaled = unit / margin ** (1.0 / degree)
    # Exact supports first: what is already a KKT point is then cheap to recognise.
    best, taken = _start(functions, scaled, _TIED, degree), 0
    if not best.done:
        best = min(best, _start(functions, scaled, active, degree), key=lambda s: s.residual)
    best, taken = _newton(functions, best, iterations)
    rounds = 0
    if not best.done:
        for w, multipliers in augmented_lagrangian(functions, best.w, best.multipliers):
            rounds += 1
            state = _normalized(functions, w, multipliers, degree)
            if float(functions.values(state.w).min()) > 0.0:
                again = _start(functions, state.w, active, degree)
                state = min(state, again, key=lambda s: s.residual)
            if state.residual < _NEAR:
                state, more = _newton(functions, state, iterations)
                taken += more
            best = min(best, state, key=lambda s: s.residual)
            if best.done:
                break
    kink = _kink(functions, best.w)
    reason = ""
    if not best.done:
        reason = f"the residual stayed at {best.residual:.1e} after {taken} Newton steps"
        if functions.pre_activations(best.w):
            reason += "; ReLU answers often lie on kinks, where only Clarke's conditions can hold"
    elif kink <= _KINK:
        reason = "the steps ended on a kink of a ReLU: only a Clarke certificate can judge it"
    moved = float(np.linalg.norm(best.w / np.linalg.norm(best.w) - unit))
    return Polished(
        best.w, best.multipliers, best.residual, taken, rounds, moved, not reason, reason
    )


def _degree(functions: MarginFunctions) -> float:
    """Return α, or raise `DegreeError`."""
    degree = functions.homogeneity.degree
    if degree is None:
        raise DegreeError(
            f"A polish needs a homogeneous predictor: {functions.homogeneity.kind.value}.",
            "Solve margin-path instead; its certificate tells how good the answer is.",
        )
    return degree


def finished(
    functions: MarginFunctions, w: FloatArray, multipliers: FloatArray, iterations: int = 20
) -> Polished:
    """Take Newton steps from a point near margin 1 with its multipliers; no other phase.

    Args:
        functions: homogeneous margin functions.
        w: (d,) where every margin is positive.
        multipliers: λ (N,) >= 0.
        iterations: the most Newton steps.
    """
    degree = _degree(functions)
    begin = _normalized(functions, w, multipliers, degree)
    best, taken = begin, 0
    if functions.curvature > Curvature.CONCAVE and _kink(functions, begin.w) > _KINK:
        best, taken = _newton(functions, begin, iterations)
    moved = float(np.linalg.norm(best.w / np.linalg.norm(best.w) - w / np.linalg.norm(w)))
    reason = "" if best.done else f"the residual stayed at {best.residual:.1e}"
    return Polished(best.w, best.multipliers, best.residual, taken, 0, moved, best.done, reason)


def settled(
    functions: MarginFunctions,
    rounds: Iterable[tuple[FloatArray, FloatArray]],
    deadline: float = np.inf,
) -> Polished:
    """End the rounds of an augmented Lagrangian by Newton steps as soon as these arrive.

    A try begins where the residual is below 5e-3, and is given up where it rises thirtyfold; the
    next one waits until the residual is a third of what it was.

    Args:
        functions: homogeneous margin functions.
        rounds: the points w (d,) with their multipliers (N,), at least one.
        deadline: of ``time.perf_counter()``.

    Returns:
        The first point that arrives, else the last one after a last run of Newton steps; ``moved``
        is 0, and a last point that does not separate is returned as it is, with residual inf.
    """
    degree = _degree(functions)
    count, taken, close, last = 0, 0, _CLOSE, None
    smooth = functions.curvature > Curvature.CONCAVE
    for w, multipliers in rounds:
        count, last = count + 1, (w, multipliers)
        margin = float(functions.values(w).min())
        if not (smooth and margin > 0.5) or time.perf_counter() > deadline:
            continue
        state = _normalized(functions, w, multipliers, degree)
        if state.residual > close:
            continue
        close = 0.3 * state.residual
        limit = min(_NEAR, _RISE * state.residual)
        state, more = _newton(functions, state, 20, limit=limit, inner=_TRIED)
        taken += more
        if state.done:
            return Polished(state.w, state.multipliers, state.residual, taken, count, 0.0, True)
    if last is None:
        raise ParameterError("No round came.", "Give at least one point with its multipliers.")
    if not float(functions.values(last[0]).min()) > 0.0:
        reason = "the last point does not separate"
        return Polished(*last, np.inf, taken, count, 0.0, False, reason)
    end = finished(functions, *last) if time.perf_counter() <= deadline else None
    if end is None:
        state = _normalized(functions, *last, degree)
        end = Polished(
            state.w, state.multipliers, state.residual, 0, 0, 0.0, state.done, "out of time"
        )
    return replace(end, iterations=taken + end.iterations, rounds=count, moved=0.0)


@final
@dataclass(frozen=True, eq=False)
class _State:
    """A point, its multipliers (negative ones allowed in ``raw``), and its active set."""

    w: FloatArray
    raw: FloatArray
    active: IntArray
    residual: float

    @property
    def multipliers(self) -> FloatArray:
        """λ >= 0."""
        return np.maximum(self.raw, 0.0)

    @property
    def done(self) -> bool:
        return self.residual <= _GOAL


def _state(functions: MarginFunctions, w: FloatArray, raw: FloatArray, active: IntArray) -> _State:
    f, pull = functions.recorded(w)
    weights = np.maximum(raw, 0.0)
    size = float(np.linalg.norm(w))
    stationarity = float(np.linalg.norm(w - pull(weights))) / size if size > 0 else np.inf
    gaps = np.abs(f - 1.0)[weights > 0]
    parts = (stationarity, float(gaps.max(initial=0.0)), float(1.0 - f.min()))
    residual = max(parts) if np.all(np.isfinite(parts)) else np.inf
    return _State(w, raw, active, residual)


def _start(functions: MarginFunctions, w: FloatArray, active: float, degree: float) -> _State:
    f = functions.values(w)
    near = np.flatnonzero(f <= 1.0 + active)
    rows = functions.jacobian(w)[near]
    # Euler's identity gives ∇f_n·w = α f_n, so f_n(w) + ∇f_n·(u - w) >= 1 reads as below.
    found = _nearest(rows, 1.0 + (degree - 1.0) * f[near])
    raw = np.zeros(f.size)
    raw[near] = found
    support = near[found > 1e-10 * found.max(initial=0.0)]
    if support.size == 0:
        support = np.array([int(np.argmin(f))])
    kept = np.zeros_like(raw)
    kept[support] = raw[support]
    return _state(functions, w, kept, support)


def _nearest(rows: FloatArray, right: FloatArray) -> FloatArray:
    """Return λ >= 0 of ``min ½‖u‖² s.t. rows u >= right``; 0 where there is no such point."""
    try:
        found = least_distance(rows, right)
    except RuntimeError:
        found = None
    return np.zeros(right.size) if found is None else found


def _normalized(
    functions: MarginFunctions, w: FloatArray, multipliers: FloatArray, degree: float
) -> _State:
    """Return the point brought to margin 1, with multipliers of the same direction."""
    margin = float(functions.values(w).min())
    scale = margin ** (-1.0 / degree) if margin > 0 else 1.0
    raw = multipliers * scale ** (2.0 - degree)
    share = raw / max(float(raw.max(initial=0.0)), 1e-300)
    # Strict complementarity: of a multiplier and its slack the larger one is not 0.
    held = (share > 1e-8) & (share > functions.values(w * scale) - 1.0)
    return _state(functions, w * scale, np.where(held, raw, 0.0), np.flatnonzero(held))


def _newton(
    functions: MarginFunctions,
    state: _State,
    iterations: int,
    limit: float = np.inf,
    inner: int = _INNER,
) -> tuple[_State, int]:
    """Return the best point of a run of Newton steps, and their number.

    A run ends where it stops improving, or where the residual exceeds ``limit``: a Newton step far
    from a KKT point leads anywhere.
    """
    best, taken, quiet = state, 0, 0
    while taken < iterations and best.residual > 1e-15 and quiet < _PATIENCE:
        if state.active.size == 0:
            break
        state = _newton_step(functions, state, inner)
        taken += 1
        if not (np.isfinite(state.residual) and state.residual <= limit):
            break
        quiet = 0 if state.residual < 0.5 * best.residual else quiet + 1
        best = min(best, state, key=lambda s: s.residual)
    return best, taken


def _newton_step(functions: MarginFunctions, state: _State, inner: int) -> _State:
    active = state.active
    part = WorkingSet(functions, active)
    place = np.searchsorted(part.rows, active)
    f = part.recorded(state.w)[0][place]
    jacobian = part.jacobian(state.w)[place]
    size = float(np.linalg.norm(state.w))
    weights = np.zeros(part.rows.size)
    weights[place] = state.raw[active]
    solve = _Solver(part, state.w, weights, inner)
    kept = np.ones(active.size, dtype=bool)
    for drop in range(_DROPS + 1):
        # In the unit of ‖w‖ both kinds of rows are of size 1, whatever the scale of the data.
        rows = size * jacobian[kept]
        raw = state.raw[active[kept]]
        misfit = rows.T @ (raw / size**2) - state.w / size
        step, change = solve(rows, np.concatenate([misfit, 1.0 - f[kept]]))
        step, change = size * step, size**2 * change
        proposed = raw + change
        worst = float(proposed.min())
        settled = worst >= -1e-13 * np.abs(proposed).max() or np.count_nonzero(kept) == 1
        if settled or drop == _DROPS:
            break
        kept[np.flatnonzero(kept)[proposed <= 0.5 * worst]] = False
    length = float(np.linalg.norm(step))
    damping = min(1.0, 0.1 * size / length) if length > 0 else 1.0
    w = state.w + damping * step
    values = functions.values(w)
    full = np.zeros(values.size)
    full[active[kept]] = raw + damping * change
    violated = np.flatnonzero(values < 1.0 - 1e-11)
    return _state(functions, w, full, np.union1d(active[kept], violated))


@final
class _Solver:
    """Least-squares solutions of ``[[I - Σλ∇²f, -rowsᵀ], [rows, 0]]`` at one point.

    The Hessian is taken at the multipliers the step starts from, by central differences of the
    exact gradient: Newton's iteration corrects their error of 1e-9 itself, and nothing compiles.
    """

    def __init__(self, part: WorkingSet, w: FloatArray, weights: FloatArray, inner: int) -> None:
        self._part, self._w, self._weights, self._inner = part, w, weights, inner
        self._reach = _DIFFERENCE * float(np.linalg.norm(w))
        self._hessian: FloatArray | None = None
        if w.size <= _DENSE:
            basis = np.eye(w.size)
            found = np.array([self._product(basis[i]) for i in range(w.size)])
            self._hessian = 0.5 * (found + found.T)

    def _product(self, v: FloatArray) -> FloatArray:
        """Return ``Σλ∇²f v``."""
        length = float(np.linalg.norm(v))
        if length == 0.0:
            return v
        t = self._reach / length
        ahead = self._part.recorded(self._w + t * v)[1](self._weights)
        behind = self._part.recorded(self._w - t * v)[1](self._weights)
        return np.asarray((ahead - behind) / (2.0 * t))

    def __call__(self, rows: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the steps in w and in the multipliers of the rows."""
        if self._hessian is None:
            return self._iterative(rows, right)
        return self._direct(self._hessian, rows, right)

    @staticmethod
    def _direct(
        hessian: FloatArray, rows: FloatArray, right: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        s, d = rows.shape
        top = np.hstack([np.eye(d) - hessian, -rows.T])
        bottom = np.hstack([rows, np.zeros((s, s))])
        # A complete orthogonal factorisation: least norm like the SVD, several times faster.
        found = least_norm(np.vstack([top, bottom]), right, 1e-10)
        return found[:d], found[d:]

    def _iterative(self, rows: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Range step by QR, null-space step by MINRES on the projected Hessian."""
        s, d = rows.shape
        q, r, order = pivoted_qr(rows.T)
        diagonal = np.abs(np.diag(r))
        rank = int(np.count_nonzero(diagonal > 1e-11 * diagonal[0]))
        q, r, order = q[:, :rank], r[:rank, :rank], order[:rank]
        within = q @ solved_triangle(r, right[d:][order], transposed=True)

        def project(v: FloatArray) -> FloatArray:
            return np.asarray(v - q @ (q.T @ v))

        def matvec(v: FloatArray) -> FloatArray:
            u = project(v)
            return project(u - self._product(u))

        target = project(right[:d] - within + self._product(within))
        # Singular along the symmetries of rescaling; MINRES stays out of that null space.
        across = minimal_residual(matvec, target, 1e-4, self._inner)
        step = within + project(across)
        change = np.zeros(s)
        change[order] = solved_triangle(r, q.T @ (step - self._product(step) - right[:d]))
        return step, change


def _kink(functions: MarginFunctions, w: FloatArray) -> float:
    """Return how near the nearest kink is: the smallest ``|z| / max |z|`` of a power-1 layer."""
    nearest = np.inf
    for z in functions.pre_activations(w):
        largest = float(np.abs(z).max(initial=0.0))
        ratio = float(np.abs(z).min()) / largest if largest > 0 else 0.0
        nearest = min(nearest, ratio)
    return nearest
