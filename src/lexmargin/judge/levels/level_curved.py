"""How far the margins of a near-optimal point may be from those of the optimum, 1 < p < ∞.

A ball without flat faces has one max-margin direction θ*. A gap g at level 1 leaves a cap of
diameter √g around θ, and that is all that strong convexity says. The multipliers say more: on the
samples that carry weight the margins of θ* are known up to g/λ_n, and J(θ*) = ∇‖θ*‖_p is a
combination of the samples that can be active in the cap. Both are linear in g.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.inputs.limits import LEVEL_ROWS
from lexmargin.linalg.norms import Array, dual_exponent, unit_scale, vector_norm
from lexmargin.linalg.rounding import EPS, LONG_EPS, OUTWARD, ROUNDED

__all__ = ["long_norm", "margin_errors"]

_MIDDLE: Final = 1e-4
"""First factor of a bisection by ratios that begins at 0; another one takes more halvings."""
_ROUNDS: Final = 12
"""Each bound on θ* - θ narrows the next; a few rounds reach what there is to reach."""
_HALVINGS: Final = 60
"""Bisection to the last bit of a double; the upper end is returned."""
_SOLID: Final = 1e-6
"""Shares of weight below this are bounded from one side: g/λ_n would be a bound of no use."""
_DEPENDENT: Final = 1e-9
"""A row this near to a combination of others, relative to its length, counts as one."""
_NEWTON: Final = 6
"""Steps from multipliers of doubles: two reach long floats, the others a poor start."""


@final
@dataclass(frozen=True, eq=False)
class _Setting:
    """θ of norm 1 and û = Zᵀλ/‖Zᵀλ‖_q in long floats; level 1 lies in [lower, lower + gap]."""

    Z: Array
    p: float
    theta: Any
    normal: Any
    weights: Array
    margins: Array
    noise: Array
    lower: float
    gap: float

    @property
    def upper(self) -> float:
        return self.lower + self.gap

    @property
    def residual(self) -> Any:
        """Return ρ = J(θ) - û, with `J_j = sign(θ_j) |θ_j|^{p-1}`."""
        return np.sign(self.theta) * np.abs(self.theta) ** (self.p - 1.0) - self.normal


def margin_errors(Z: Array, theta: Array, norm: float, multipliers: Array) -> Array:
    """Return e (N,) with `|f_n(θ*) - f_n(θ/‖θ‖)| ≤ e_n` for the max-margin direction θ* (Def. 5).

    With J(θ*) - J(θ) = Σ μ_n z_n - ρ over the samples that can be active, H the diagonal of the
    mean slopes of J and D = θ* - θ: D = H⁻¹(Zᵀμ - ρ), and `Σ μ_n z_n·D ≤ Σ |μ_n| g/λ_n`. Hence
    ‖H^{1/2} D‖ is at most linear in the gap g and in the residual of stationarity ρ.

    Parameters
    ----------
    Z : (N, d) rows z_n of linear margin functions.
    theta : (d,) a direction with a positive margin.
    norm : 1 < p < ∞.
    multipliers : (N,) λ ≥ 0 at any scale; any λ gives a valid bound.

    Returns
    -------
    Array
        ``inf`` where nothing is shown.
    """
    total = float(np.sum(multipliers))
    nothing = np.full(Z.shape[0], math.inf)
    if not (total > 0.0 and math.isfinite(total)) or np.any(multipliers < 0.0):
        return nothing
    exponent = math.frexp(float(np.max(np.abs(Z), initial=0.0)))[1]
    half = exponent // 2
    scaled = np.ldexp(np.ldexp(Z, -half), half - exponent)
    with np.errstate(all="ignore"):
        long = unit_scale(theta).astype(np.longdouble)
        unit, weights = long / long_norm(long, norm), (multipliers / total).astype(np.longdouble)
        setting = _setting(scaled, unit, norm, weights)
        errors = nothing if setting is None else _errors(setting) + setting.noise
        finer = _refined(scaled, norm, weights)
        better = None if finer is None else _setting(scaled, *finer)
        if finer is not None and better is not None:
            apart = np.asarray(np.abs(scaled @ (finer[0] - unit)), dtype=np.float64)
            errors = np.minimum(errors, _errors(better) + better.noise + (1.0 + OUTWARD) * apart)
        return np.asarray(np.ldexp(errors, exponent), dtype=np.float64)


def _refined(Z: Array, p: float, weights: Any) -> tuple[Any, float, Any] | None:
    """Return a direction and weights in long floats that are optimal up to their rounding.

    Newton's method on `f_n(w) = 1` for the samples that carry weight, `J(w) = Σ μ_n z_n`; what it
    finds is measured like any other. None where it finds nothing.
    """
    support = np.flatnonzero(weights > _SOLID * np.max(weights))
    if support.size > LEVEL_ROWS:
        return None
    rows, bend = Z[support], 1.0 / np.longdouble(p - 1.0)
    mu = weights[support]
    for _ in range(_NEWTON):
        pull = mu @ rows
        w = np.sign(pull) * np.abs(pull) ** bend
        reached = rows @ w
        if not np.min(reached) > 0.0:
            return None
        # f_n(w) is homogeneous in μ: its level is met first, then the differences.
        mu, w = mu / np.mean(reached) ** (1.0 / bend), w / np.mean(reached)
        slopes = np.asarray(bend * np.abs(w) ** (2.0 - np.longdouble(p)), dtype=np.float64)
        if not np.all(np.isfinite(slopes)):
            return None
        matrix = (rows * slopes) @ rows.T
        missing = np.asarray(1.0 - rows @ w, dtype=np.float64)
        mu = mu + np.linalg.lstsq(matrix, missing, rcond=None)[0]
        if np.any(mu < 0.0):
            return None
    pull = mu @ rows
    w = np.sign(pull) * np.abs(pull) ** bend
    share = np.zeros(weights.size, dtype=np.longdouble)
    share[support] = mu / np.sum(mu)
    return w / long_norm(w, p), p, share


def _setting(Z: Array, unit: Any, p: float, weights: Any) -> _Setting | None:
    used = np.flatnonzero(weights)
    share = weights[used] / np.sum(weights)
    pull = share @ Z[used]
    size = long_norm(pull, dual_exponent(p))
    if not size > 0.0:
        return None
    # Of the sums, the powers and their roots, each at its worst.
    counted = LONG_EPS * (used.size + 4 * unit.size + 32)
    spent = vector_norm(np.asarray(share @ np.abs(Z[used]), dtype=np.float64), dual_exponent(p))
    upper = size + counted * (spent + size)
    # Long rows at long floats: the rounding of a double there may be a part of the first margin.
    exact, reach = Z @ unit, np.asarray(np.abs(Z) @ np.abs(unit), dtype=np.float64)
    margins = np.asarray(exact, dtype=np.float64)
    noise = EPS * np.abs(margins) + counted * reach
    lower = np.min(exact - counted * reach)
    if not lower > 0.0:
        return None
    gap = float(max(upper - lower, 0.0)) + 2.0 * LONG_EPS * float(upper)
    shares = np.asarray(weights, dtype=np.float64)
    return _Setting(Z, p, unit, pull / size, shares, margins, noise, float(lower), gap)


def long_norm(x: Any, p: float) -> Any:
    """Return ‖x‖_p of long floats."""
    top = np.max(np.abs(x), initial=0.0)
    if not top > 0.0:
        return np.longdouble(0.0)
    return top * np.sum((np.abs(x) / top) ** np.longdouble(p)) ** (1 / np.longdouble(p))


def _errors(setting: _Setting) -> Array:
    """Return the errors of all margins: by the cap alone, then by the multipliers within it."""
    sizes, box, ball = np.abs(setting.Z), np.full(setting.theta.size, 2.0), 2.0
    lengths = np.array([vector_norm(z, dual_exponent(setting.p)) for z in setting.Z])
    errors = lengths * ball
    for _ in range(_ROUNDS):
        cap = _cap(setting, ball)
        box = np.minimum(box, _reach(setting, cap))
        ball = min(ball, vector_norm(box, setting.p))
        if setting.p == 2.0:
            ball = min(ball, math.sqrt(cap))
        errors = np.minimum(errors, np.minimum(lengths * ball, sizes @ box))
    for _ in range(_ROUNDS):
        found = _by_multipliers(setting, box, errors)
        if found is None:
            break
        narrower, closer = found
        if not np.any(narrower < 0.5 * box):
            return np.minimum(errors, closer)
        box, errors = np.minimum(box, narrower), np.minimum(errors, closer)
    return errors


# -- the cap ---------------------------------------------------------------------------------------


def _cap(setting: _Setting, ball: float) -> float:
    """Return β with `Σ_j |θ*_j|^p - |θ_j|^p - p J_j D_j ≤ β`, where ‖D‖ ≤ ball.

    û·θ* ≥ 1 - g/‖Zᵀλ‖, because `Σ λ_n f_n(θ*)` is at least level 1.
    """
    p, dual = setting.p, dual_exponent(setting.p)
    bent = vector_norm(np.asarray(setting.residual, dtype=np.float64), dual)
    # Norms of doubles rounded from long floats, and θ of norm 1 up to long floats.
    rounding = LONG_EPS * (16 * setting.theta.size + 64)
    return float(p * (setting.gap / setting.lower + (1.0 + OUTWARD) * bent * ball + rounding))


def _reach(setting: _Setting, cap: float) -> Array:
    """Return how far every coordinate can be from θ_j: each term of the sum is at most β."""
    p, theta = setting.p, setting.theta
    if p == 2.0:
        return np.full(theta.size, math.sqrt(cap))
    size = np.abs(theta)
    slope = p * size ** (p - 1.0)
    low, high = np.zeros(theta.size), np.full(theta.size, 2.0)
    for _ in range(_HALVINGS):
        middle = np.where(low > 0.0, np.sqrt(low * high), _MIDDLE * high)
        up = (size + middle) ** p - size**p - slope * middle
        down = np.abs(size - middle) ** p - size**p + slope * middle
        # The terms of the difference are rounded; half a cap below is surely below.
        least = np.minimum(up, down) - 16.0 * LONG_EPS * ((size + middle) ** p + size**p)
        inside = np.asarray(least <= cap, dtype=bool)
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    return np.asarray(high, dtype=np.float64)


# -- the multipliers -------------------------------------------------------------------------------


def _by_multipliers(setting: _Setting, box: Array, errors: Array) -> tuple[Array, Array] | None:
    """Return bounds on |θ*_j - θ_j| and on the errors of the margins, θ* within box and errors."""
    possible = setting.margins - setting.noise - errors <= setting.upper * (1.0 + ROUNDED)
    if np.any((setting.weights > 0.0) & ~possible):
        return None
    active = np.flatnonzero(possible)
    if active.size > LEVEL_ROWS:
        return None
    least, most = _slopes(setting, box)
    rows, residual = setting.Z[active], setting.residual
    # Where no active sample has an entry, J(θ*) is 0 and so is θ*.
    still = ~np.any(rows != 0.0, axis=0)
    moving = ~still
    misfit = np.asarray(residual[moving] / np.sqrt(least[moving]), dtype=np.float64)
    bent = vector_norm(misfit, 2.0) * (1.0 + OUTWARD)
    solid = setting.weights[active] >= _SOLID * float(np.max(setting.weights))
    weights = setting.weights[active]
    slack = np.where(solid, setting.gap / np.where(solid, weights, 1.0), setting.gap)
    over = np.maximum(setting.margins[active] - setting.lower, 0.0)
    loose = float(weights[~solid] @ (setting.gap + over[~solid])) / setting.upper
    kept = _independent(rows[:, moving] / np.sqrt(most[moving]), slack, solid)
    if kept is None:
        return None
    chosen, left = kept
    shape = rows[chosen][:, moving] / np.sqrt(most[moving]) / slack[chosen, None]
    smallest = _smallest_singular(shape)
    if not smallest > 0.0:
        return None
    # What of the rows left out is not a combination of those kept, times the most they can weigh.
    stray = float(np.max(left / np.sqrt(_ratio(least, most, moving)), initial=0.0))
    bent += 2.0 * stray / setting.lower
    length = 2.0 * bent + math.sqrt(chosen.size) / smallest + math.sqrt(loose)
    if not math.isfinite(length):
        return None
    inverse = np.where(moving, 1.0 / np.sqrt(np.where(moving, least, 1.0)), 0.0)
    fixed = np.where(still, np.abs(np.asarray(setting.theta, dtype=np.float64)), 0.0)
    narrower = np.where(moving, length * inverse, fixed)
    sizes = np.abs(setting.Z)
    closer = np.sqrt((setting.Z**2) @ inverse**2) * length + sizes @ fixed
    closer = np.minimum(closer * (1.0 + OUTWARD), sizes @ np.minimum(box, narrower))
    two_sided = active[solid]
    closer[two_sided] = np.minimum(closer[two_sided], slack[solid])
    return narrower, closer


def _slopes(setting: _Setting, box: Array) -> tuple[Array, Array]:
    """Return the least and largest mean slope of J_j between θ_j and any number within the box."""
    p, size = setting.p, np.asarray(np.abs(setting.theta), dtype=np.float64)
    if p == 2.0:
        return np.ones(size.size), np.ones(size.size)
    near, far = np.maximum(size - box, 0.0), np.minimum(size + box, 1.0)
    ends = (p - 1.0) * near ** (p - 2.0), (p - 1.0) * far ** (p - 2.0)
    least, most = np.minimum(*ends), np.maximum(*ends)
    return (1.0 - OUTWARD) * least, (1.0 + OUTWARD) * most


def _ratio(least: Array, most: Array, moving: NDArray[np.bool_]) -> float:
    return float(np.min(least[moving] / most[moving], initial=1.0))


def _independent(
    rows: Array, slack: Array, solid: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], Array] | None:
    """Choose rows that are independent, the surest first; the others are combinations of them.

    Returns the rows chosen and the lengths of what is missing of the others; None where a row that
    is bounded from one side is a combination of such rows: their signs are then not known.
    """
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    order = np.argsort(np.where(solid, slack / np.where(lengths > 0.0, lengths, 1.0), math.inf))
    chosen: list[int] = []
    basis = np.zeros((0, rows.shape[1]))
    left: list[float] = []
    for n in order.tolist():
        rest = rows[n].copy()
        for _ in range(2):
            rest = rest - (basis @ rest) @ basis
        missing = float(np.sqrt(rest @ rest))
        if missing > _DEPENDENT * lengths[n]:
            chosen.append(n)
            basis = np.vstack([basis, rest / missing])
            continue
        if not solid[n] and not np.all(solid[chosen]):
            copies = [m for m in chosen if np.array_equal(rows[m], rows[n])]
            if not copies:
                return None
        left.append(missing + 4.0 * EPS * rows.shape[1] * lengths[n])
    return np.array(sorted(chosen), dtype=np.intp), np.array(left)


def _smallest_singular(rows: Array) -> float:
    """Return a lower bound on the smallest singular value of independent rows of any lengths."""
    if rows.shape[0] > rows.shape[1] or rows.shape[0] == 0:
        return 0.0
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    if not (np.all(np.isfinite(rows)) and np.all(lengths > 0.0)):
        return 0.0
    values = np.linalg.svd(rows / lengths[:, None], compute_uv=False)
    rounding = ROUNDED * rows.shape[1] * float(values[0])
    return float(max(0.0, float(values[-1]) - rounding) * np.min(lengths))
