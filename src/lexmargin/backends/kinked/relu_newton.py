"""Clarke-Newton steps for two-layer ReLU networks: kinks held as equations with multipliers.

At a solution some ``v_j·x_n`` are 0. There the generalised gradient leaves one number free, the
part ν_nj of λ_n that takes slope 1, ``0 <= ν_nj <= λ_n``, and Newton's method solves for it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.backends.kinked.relu_subproblem import TwoLayer
from lexmargin.linalg.guarded import least_norm
from lexmargin.ops.base import FloatArray

__all__ = ["KinkedPoint", "clarke_newton"]

_STEPS = 12
_ON_KINK = 1e-5
_ACTIVE = 1e-7
_EXACT = 1e-15


@final
@dataclass(frozen=True, eq=False)
class KinkedPoint:
    """``v_j/‖v_j‖ = s_j Σ_n y_n (λ_n slope_nj + (1 - slope) ν_nj) x_n`` up to ``residual``.

    Attributes:
        v: (h, p), rows of dead units exactly 0.
        multipliers: λ (N,) >= 0.
        residual: the largest of the misfit of that equation relative to 1, of ``f_n >= 1``, of
            ``f_n = 1`` where λ_n > 0, and of the bounds on ν.
    """

    v: FloatArray
    multipliers: FloatArray
    residual: float


def clarke_newton(
    data: TwoLayer,
    signs: FloatArray,
    v: FloatArray,
    multipliers: FloatArray,
    shares: FloatArray,
) -> KinkedPoint:
    """Solve the Clarke-KKT system near v and return the best point seen.

    Args:
        data: samples, labels, slope.
        signs: s_j, (h,).
        v: (h, p).
        multipliers: λ (N,).
        shares: ν (N, h), read at kinks only.
    """
    sizes = np.linalg.norm(v, axis=1)
    alive = sizes > 1e-7 * float(sizes.max(initial=0.0))
    v = np.where(alive[:, None], v, 0.0)
    best = KinkedPoint(v, multipliers, np.inf)
    # Strict complementarity, read off an interior-point answer: the larger of the two is not 0.
    share = multipliers / max(float(multipliers.max(initial=0.0)), 1e-300)
    active = np.flatnonzero((share > _ACTIVE) & (share > data.values(v, signs) - 1.0))
    scale = sizes[alive] * np.linalg.norm(data.X, axis=1)[:, None]
    z = data.pre_activations(v)
    near = np.zeros(z.shape, dtype=bool)
    near[:, alive] = np.abs(z[:, alive]) <= _ON_KINK * scale
    used = np.zeros(z.shape[0], dtype=bool)
    used[active] = True
    kinks = near & used[:, None]
    lam, nu = multipliers[active], shares[kinks]
    for _ in range(2):
        # A second pass only where the first one showed bounds that do not hold.
        found, lam, nu = _steps(data, signs, alive, v, active, lam, kinks, nu)
        best = min(best, found, key=lambda point: point.residual)
        if best.residual <= 1e-12 or not active.size:
            break
        wrong = lam <= 0.0
        if not np.any(wrong):
            break
        kept = active[~wrong]
        dropped = np.zeros(z.shape[0], dtype=bool)
        dropped[active[wrong]] = True
        full = np.zeros(z.shape)
        full[kinks] = nu
        kinks = kinks & ~dropped[:, None]
        active, lam, nu = kept, lam[~wrong], full[kinks]
    return best


def _steps(
    data: TwoLayer,
    signs: FloatArray,
    alive: NDArray[np.bool_],
    v: FloatArray,
    active: NDArray[np.intp],
    lam: FloatArray,
    kinks: NDArray[np.bool_],
    nu: FloatArray,
) -> tuple[KinkedPoint, FloatArray, FloatArray]:
    """Run Newton steps with a fixed active set and fixed kinks; the best point, its λ and ν."""
    units = np.flatnonzero(alive)
    p = data.X.shape[1]
    place = np.full(v.shape[0], -1)
    place[units] = np.arange(units.size)
    kink_sample, kink_unit = np.nonzero(kinks)
    d = units.size * p
    z = data.pre_activations(v)
    slopes = np.where(z > 0.0, 1.0, data.slope)
    slopes[kinks] = data.slope
    # Rows ∂f_n/∂v (active) and ∂(v_j·x_n)/∂v (kinks): constant while the pattern is.
    factors = (data.y[:, None] * signs[None, :] * slopes)[np.ix_(active, units)]
    margins = (factors[:, :, None] * data.X[active][:, None, :]).reshape(active.size, d)
    held = np.zeros((kink_sample.size, units.size, p))
    held[np.arange(kink_sample.size), place[kink_unit]] = data.X[kink_sample]
    kinked = held.reshape(kink_sample.size, d)
    weight = (1.0 - data.slope) * data.y[kink_sample] * signs[kink_unit]
    rows = np.vstack([margins, kinked])
    pulled = np.vstack([margins, weight[:, None] * kinked])
    best, best_lam, best_nu = KinkedPoint(v, np.zeros(data.y.size), np.inf), lam, nu
    for _ in range(_STEPS):
        w = v[units]
        sizes = np.linalg.norm(w, axis=1)
        if not np.all(sizes > 0.0):
            break
        unit = w / sizes[:, None]
        misfit = unit.reshape(-1) - np.concatenate([lam, nu]) @ pulled
        right = np.concatenate([misfit, 1.0 - margins @ w.reshape(-1), -kinked @ w.reshape(-1)])
        point = _measured(data, signs, v, active, lam, kinks, nu, misfit)
        if point.residual < best.residual:
            best, best_lam, best_nu = point, lam, nu
        if best.residual <= _EXACT:
            break
        curvature = np.zeros((units.size, p, units.size, p))
        for j in range(units.size):
            curvature[j, :, j, :] = (np.eye(p) - np.outer(unit[j], unit[j])) / sizes[j]
        top = np.hstack([curvature.reshape(d, d), -pulled.T])
        bottom = np.hstack([rows, np.zeros((rows.shape[0], rows.shape[0]))])
        right[:d] = -misfit
        step = least_norm(np.vstack([top, bottom]), right, 1e-13)
        move = step[:d].reshape(units.size, p)
        longest = float(np.max(np.linalg.norm(move, axis=1) / sizes))
        damping = min(1.0, 0.3 / longest) if longest > 0 else 1.0
        v = v.copy()
        v[units] = w + damping * move
        lam = lam + damping * step[d : d + active.size]
        nu = nu + damping * step[d + active.size :]
    return best, best_lam, best_nu


def _measured(
    data: TwoLayer,
    signs: FloatArray,
    v: FloatArray,
    active: NDArray[np.intp],
    lam: FloatArray,
    kinks: NDArray[np.bool_],
    nu: FloatArray,
    misfit: FloatArray,
) -> KinkedPoint:
    multipliers = np.zeros(data.y.size)
    multipliers[active] = lam
    f = data.values(v, signs)
    largest = float(np.abs(lam).max(initial=1e-300))
    owner = np.nonzero(kinks)[0]
    outside = np.maximum(-nu, nu - multipliers[owner])
    parts = (
        float(np.linalg.norm(misfit)),
        float(1.0 - f.min()),
        float(np.abs(f[active] - 1.0).max(initial=0.0)),
        float(np.max(-lam, initial=0.0)) / largest,
        float(np.max(outside, initial=0.0)) / largest,
    )
    residual = max(parts) if np.all(np.isfinite(parts)) else np.inf
    return KinkedPoint(v, np.maximum(multipliers, 0.0), max(residual, 0.0))
