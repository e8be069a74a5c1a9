"""Linear hard margins in any norm, of samples and features of any size.

The constrained path (eq. 5) leads near the answer from anywhere, and its weights say which rows
are active. There Newton's method solves ``∇½‖w‖_p² = Zᵀλ``, ``Z w = 1`` on the active rows, while
rows join and leave, to rounding level. On the polyhedral balls the vertex is solved for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from lexmargin.backends.linear.linear_answer import LinearAnswer, LinearStatus
from lexmargin.backends.linear.signed_rows import SignedRows
from lexmargin.backends.losses.constrained_linear import constrained_linear
from lexmargin.linalg.norms import (
    dual_norm,
    power_of_two,
    square_gradient,
    square_hessian,
    vector_norm,
)
from lexmargin.linalg.rounding import EPS
from lexmargin.ops.base import FloatArray, IntArray
from lexmargin.separation.long_measures import affordable

__all__ = ["round_margin"]

_GROWTH: Final = 8.0
"""Factor of ρ along the path: larger leaves the reach of Newton's method, smaller costs solves."""
_LARGEST: Final = 1e15
"""ρ times the size of the rows beyond which no double sees a difference of margins."""
_NEAR: Final = 0.2
"""Relative gap of the path below which active rows are guessed."""
_SOLVED: Final = 1e-12
"""Relative gap that ends the path at once: a few thousand roundings, so no later ρ does better."""
_ACCEPTED: Final = 1e-7
"""Relative gap of an answer claimed as optimal; the judge bounds it anew."""
_ON_BOUND: Final = 1e-12
"""Relative distance from the largest entry that counts as on the ℓ∞ ball's face."""
_CARRIED: Final = 1e-9
"""Pull of a row, in units of the strongest, that counts as part of the answer."""
_CLOSER: Final = 0.8
"""Factor of p - 1 from one exponent to the next."""
_STEPS: Final = 60
"""Newton steps at most: damped ones need some tens; quiet ones end it earlier (judgement)."""
_PATIENCE: Final = 4
"""Steps without a better residual before it is taken as rounding."""
_LONGEST: Final = 0.5
"""Longest step by ‖w‖: longer ones change signs of entries, where the power is not smooth."""
_ZERO: Final = 1e-100
"""Stands for an entry 0 below p = 2, where the second derivative is infinite, in range of
doubles."""
_CHANGES: Final = 40
"""Changes of the active rows at most, in case they cycle: the path's answer is then kept."""
_LOST: Final = 2
"""Points of the path in a row that doubles do not reach, after which long numbers are cheaper."""
_ROUNDINGS: Final = 4.0
"""Of θ, of its length, of a product and of its sum."""


@final
@dataclass(frozen=True, eq=False)
class _Pair:
    """A direction of norm 1, multipliers (N,), its margin, and the bound they give."""

    theta: FloatArray
    multipliers: FloatArray
    margin: float
    bound: float

    @classmethod
    def of(cls, Z: FloatArray, p: float, w: FloatArray, multipliers: FloatArray) -> _Pair:
        size, total = vector_norm(w, p), float(multipliers.sum())
        if not (size > 0.0 and total > 0.0 and np.all(np.isfinite(w))):
            return cls(np.zeros(Z.shape[1]), multipliers, -np.inf, np.inf)
        theta = w / size
        share = multipliers / total
        return cls(theta, share, float((Z @ theta).min()), dual_norm(share @ Z, p))

    @property
    def gap(self) -> float:
        """1 - margin/bound."""
        return 1.0 - self.margin / self.bound if self.bound > 0.0 else np.inf


def round_margin(rows: SignedRows, p: float, deadline: float) -> LinearAnswer:
    """Return ``max t  s.t.  z_n·w >= t, ‖w‖_p <= 1`` (eq. 6), p >= 1.

    Args:
        rows: z_n, dense.
        p: of the norm.
        deadline: ``time.monotonic()`` at which to stop.
    """
    Z = rows.take(np.arange(rows.count))
    Z = Z if isinstance(Z, np.ndarray) else Z.toarray()
    scale = power_of_two(float(np.abs(Z).max(initial=0.0)))
    Z = Z / scale
    first = 2.0 if 1.0 < p < 2.0 else p
    best, passes, status = _along_the_path(Z, first, deadline)
    if first != p and status is not LinearStatus.NOT_SEPARABLE:
        found = _from_two(Z, p, best)
        if found is None or found.gap > _ACCEPTED:
            other, more, status = _along_the_path(Z, p, deadline)
            passes += more
            found = other if found is None or other.gap < found.gap else found
        best = found
    if best.gap <= _ACCEPTED:
        status = LinearStatus.OPTIMAL
    return _answer(best, scale, passes, status)


def _along_the_path(Z: FloatArray, p: float, deadline: float) -> tuple[_Pair, int, LinearStatus]:
    """Return the best direction that larger and larger ρ lead to, and points of the path used."""
    rho, passes, begin, lost = 1.0, 0, None, 0
    best: _Pair | None = None
    status = LinearStatus.INACCURATE
    while True:
        point = constrained_linear(Z, rho, p, begin=begin)
        passes += 1
        begin = point.w
        lost = 0 if point.converged else lost + 1
        with np.errstate(under="ignore"):
            weights = np.exp(point.log_weights - point.log_loss)
        found = _Pair.of(Z, p, point.w, weights)
        if best is None or found.gap < best.gap:
            best = found
        inside = vector_norm(point.w, p) < 0.5 * rho
        if inside and point.converged and not found.margin > 0.0:
            return best, passes, LinearStatus.NOT_SEPARABLE
        if found.margin > 0.0 and found.gap < _NEAR:
            polished = (_vertex if p in (1.0, np.inf) else _polished)(Z, p, found)
            if polished is not None and polished.gap < best.gap:
                best = polished
            elif best.gap <= _ACCEPTED:
                # The same rows again: what is left is rounding.
                return best, passes, status
        rho *= _GROWTH
        if time.monotonic() > deadline:
            status = LinearStatus.TIME_LIMIT
        if lost >= _LOST and affordable(*Z.shape):
            return best, passes, status
        if best.gap <= _SOLVED or rho > _LARGEST or time.monotonic() > deadline:
            return best, passes, status


def _from_two(Z: FloatArray, p: float, euclidean: _Pair) -> _Pair | None:
    """Return the answer for p < 2 by small steps from that for 2, None where they fail.

    Between two exponents that are near each other few rows join or leave.
    """
    at: _Pair | None = _Pair.of(Z, 2.0, euclidean.theta, euclidean.multipliers)
    exponent = 2.0
    while at is not None and exponent > p:
        exponent = max(p, 1.0 + _CLOSER * (exponent - 1.0))
        at = _polished(Z, exponent, at)
    return at


def _answer(best: _Pair, scale: float, passes: int, status: LinearStatus) -> LinearAnswer:
    margin, lam, theta = best.margin * scale, best.multipliers, best.theta
    if status is LinearStatus.NOT_SEPARABLE or not margin > 0.0:
        margin, theta = -np.inf, np.zeros_like(theta)
    else:
        # As of min ½‖w‖² with margin 1, where Σ λ = ‖w‖² by Euler.
        lam = lam / margin / margin
    return LinearAnswer(
        theta=theta,
        bias=0.0,
        multipliers=lam,
        margin=margin,
        dual_bound=best.bound * scale,
        passes=passes,
        working_set=int(np.count_nonzero(lam)),
        status=status,
    )


def _polished(Z: FloatArray, p: float, near: _Pair) -> _Pair | None:
    """Return the answer on the rows that carry weight near it, rows joining and leaving."""
    active = _carrying(Z, near.multipliers)
    # At margin 1: w = θ/m, and Σ λ = ‖w‖².
    w, lam = near.theta / near.margin, near.multipliers / near.margin**2
    best: _Pair | None = None
    for _ in range(_CHANGES):
        if not active.size:
            break
        solved = _face(Z[active], p, w, lam[active])
        if solved is None:
            break
        w, on_face = solved
        lam = np.zeros(len(Z))
        lam[active] = np.maximum(on_face, 0.0)
        pair = _Pair.of(Z, p, w, lam)
        if best is None or pair.gap < best.gap:
            best = pair
        values = Z @ w
        share = on_face * np.linalg.norm(Z[active], axis=1)
        wrong = share < -1e-10 * np.abs(share).max()
        violated = np.setdiff1d(np.flatnonzero(values < 1.0 - 1e-10), active)
        if not (np.any(wrong) or violated.size):
            break
        kept = ~wrong | (share > 0.5 * share.min())
        # The worst few join: all at once would make the face empty.
        worst = violated[np.argsort(values[violated])[: max(1, Z.shape[1] - int(kept.sum()))]]
        active = np.concatenate([active[kept], worst])
    return best


def _vertex(Z: FloatArray, p: float, near: _Pair) -> _Pair | None:
    """Return the vertex of the ℓ1 or ℓ∞ ball's problem that a point of the path lies on.

    The active rows are equal to t there, and so are the entries of Zᵀλ that are free: the face of
    the ball is read off θ, where the path leaves it exactly.
    """
    size = float(np.abs(near.theta).max())
    free = near.theta != 0.0 if p == 1.0 else np.abs(near.theta) < size * (1.0 - _ON_BOUND)
    signs = np.sign(near.theta)
    active = _carrying(Z, near.multipliers)
    block, k = Z[np.ix_(active, np.flatnonzero(free))], int(free.sum())
    m = active.size
    primal = np.zeros((m + 1, k + 1))
    primal[:m, :k], primal[:m, k] = block, -1.0
    right = np.zeros(m + 1)
    if p == 1.0:
        primal[m, :k], right[m] = signs[free], 1.0
    else:
        # t alone is the size: the held entries are ±1, and the last equation is empty.
        primal, right = primal[:m], -Z[active][:, ~free] @ signs[~free]
    solved = _balanced_solve(primal, right)
    if solved is None:
        return None
    theta = np.where(free, 0.0, 0.0 if p == 1.0 else signs)
    theta[free] = solved[:k]
    # Zᵀλ = t·sign on the face (ℓ1), 0 on the free entries (ℓ∞); Σ λ = 1.
    dual = np.zeros((k + 1, m + 1)) if p == 1.0 else np.zeros((k + 1, m))
    dual[:k, :m], dual[k, :m] = block.T, 1.0
    if p == 1.0:
        dual[:k, m] = -signs[free]
    found = _balanced_solve(dual, np.append(np.zeros(k), 1.0))
    if found is None:
        return None
    multipliers = np.zeros(len(Z))
    multipliers[active] = np.maximum(found[:m], 0.0)
    return _Pair.of(Z, p, theta, multipliers)


def _carrying(Z: FloatArray, multipliers: FloatArray) -> IntArray:
    """Return the rows whose part λ_n z_n in Zᵀλ is not nothing: a long row pulls with a small λ."""
    pulls = multipliers * np.linalg.norm(Z, axis=1)
    return np.flatnonzero(pulls > _CARRIED * float(pulls.max()))


def _face(
    A: FloatArray, p: float, w: FloatArray, lam: FloatArray
) -> tuple[FloatArray, FloatArray] | None:
    """Return w and λ with ``∇½‖w‖_p² = Aᵀλ``, ``A w = 1``.

    For p < 2, where the curvature in w is infinite at 0, the first steps are made in λ alone, with
    w the gradient of ``½‖Aᵀλ‖_q²``; the last ones, in w, do without the cancellation in Aᵀλ.
    """
    found = (np.inf, w, lam)
    if p < 2.0:
        # ∇½‖w‖² at margin 1 may be far from Aᵀλ: the best λ for it.
        found = _newton(A, p, w, _least(A, square_gradient(w, p), lam), dual=True)
    last = _newton(A, p, found[1], found[2], dual=False)
    best = min(found, last, key=lambda state: state[0])
    return (best[1], best[2]) if np.isfinite(best[0]) else None


_State = tuple[float, FloatArray, FloatArray]
"""The largest relative misfit of the equations, w and λ."""


def _newton(A: FloatArray, p: float, w: FloatArray, lam: FloatArray, *, dual: bool) -> _State:
    """Return the best state of damped Newton steps, in w and λ, or in λ with w following."""
    q = p / (p - 1.0)
    best: _State = (np.inf, w, lam)
    quiet, (k, d) = 0, A.shape
    matrix = np.zeros((d + k, d + k))
    matrix[d:, :d] = A
    for _ in range(_STEPS):
        if dual:
            u = A.T @ lam
            w, pull = square_gradient(u, q), np.zeros(d)
            # move = ∇²½‖u‖_q² (Aᵀ step)
            matrix[:d, :d], matrix[:d, d:] = np.eye(d), -square_hessian(u, q, _ZERO) @ A.T
        else:
            # ∇²½‖w‖_p² move - Aᵀ step = Aᵀλ - ∇½‖w‖_p²
            matrix[:d, :d], matrix[:d, d:] = square_hessian(w, p, _ZERO), -A.T
            pull = A.T @ lam - square_gradient(w, p)
        # A long row is held above 1 by its own rounding: its λ is small, and so is what that costs.
        room = _ROUNDINGS * EPS * (np.abs(A) @ np.abs(w))
        left = 1.0 + room - A @ w
        whole = float(np.linalg.norm(A.T @ lam))
        off = float(np.linalg.norm(pull)) / whole if whole > 0.0 else np.inf
        misfit = max(float((np.abs(left) / (1.0 + room / EPS)).max()), off)
        quiet = 0 if misfit < 0.5 * best[0] else quiet + 1
        if misfit < best[0]:
            best = misfit, w, lam
        if misfit <= 1e-15 or quiet > _PATIENCE or not np.isfinite(misfit):
            break
        found = _balanced_solve(matrix, np.concatenate([pull, left]))
        if found is None:
            break
        length = vector_norm(found[:d], p) / max(vector_norm(w, p), 1e-300)
        share = min(1.0, _LONGEST / length) if length > 0.0 else 1.0
        w, lam = w + share * found[:d], lam + share * found[d:]
    return best


def _balanced_solve(matrix: FloatArray, right: FloatArray) -> FloatArray | None:
    """Return the solution after rows and columns are brought to entries of at most about 1."""
    rows, columns = np.ones(matrix.shape[0]), np.ones(matrix.shape[1])
    scaled = np.abs(matrix)
    for _ in range(6):
        down = np.sqrt(scaled.max(axis=1))
        down = np.where(down > 0.0, down, 1.0)
        scaled, rows = scaled / down[:, None], rows / down
        across = np.sqrt(scaled.max(axis=0))
        across = np.where(across > 0.0, across, 1.0)
        scaled, columns = scaled / across, columns / across
    scaled = matrix * rows[:, None] * columns
    if not np.all(np.isfinite(scaled)):
        return None
    target = rows * right
    found = None
    if matrix.shape[0] == matrix.shape[1]:
        try:
            found = np.linalg.solve(scaled, target)
        except np.linalg.LinAlgError:
            found = None
    size = float(np.linalg.norm(target))
    if found is None or not float(np.linalg.norm(scaled @ found - target)) <= 1e-6 * size:
        # Dependent rows: the shortest of the solutions.
        found = np.linalg.lstsq(scaled, target, rcond=1e-14)[0]
    return np.asarray(columns * found) if np.all(np.isfinite(found)) else None


def _least(A: FloatArray, target: FloatArray, lam: FloatArray) -> FloatArray:
    """Return λ corrected to the least squares solution of ``Aᵀλ = target``, rows at one length."""
    lengths = np.maximum(np.linalg.norm(A, axis=1), 1e-300)
    scaled = (A / lengths[:, None]).T
    step = np.linalg.lstsq(scaled, target - A.T @ lam, rcond=1e-14)[0]
    return np.asarray(lam + step / lengths)
