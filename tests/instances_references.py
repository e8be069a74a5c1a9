"""References that never trust the toolkit: weak duality with 60 digits, and rationals."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Final

import mpmath as mp
import numpy as np

import lexmargin as lm
from instances_levels import levels_apart
from instances_problems import LINEAR, Instance
from instances_samples import Array
from lexmargin.separation.long_losses import least_loss
from lexmargin.separation.long_margins import long_multipliers

__all__ = [
    "gordan_holds",
    "loss_gap",
    "margin_gap",
    "penalty_gap",
    "refined_loss_gap",
    "rightly_refused",
    "wrong",
]

GAP: Final = 1e-6
"""Relative distance from the reference's bound beyond which a GLOBAL answer is wrong: ten times
the certificate's own tolerance."""
DIGITS: Final = 60
_ROUNDS: Final = 12
_TIES: Final = (1e-9, 1e-7, 1e-5)
"""Relative differences of entries that share the largest size: an answer has so many digits."""


def _dual(p: float) -> float:
    return math.inf if p == 1.0 else 1.0 if math.isinf(p) else p / (p - 1.0)


def _size(v: list[Any], p: float) -> Any:
    if math.isinf(p):
        return max(abs(x) for x in v)
    if p == 1.0:
        return mp.fsum(abs(x) for x in v)
    return mp.fsum(abs(x) ** mp.mpf(p) for x in v) ** (1 / mp.mpf(p))


def _exact(v: Any) -> list[Any]:
    return [mp.mpf(float(x)) for x in v]


def _pull(Z: Array, weights: list[Any]) -> list[Any]:
    return [mp.fsum(weights[n] * mp.mpf(Z[n, i]) for n in range(len(Z))) for i in range(Z.shape[1])]


def margin_gap(
    Z: Array, theta: Array, weights: Array, norm: float, more: tuple[Array, ...] = ()
) -> float:
    """Return the relative gap `1 - γ(θ)/bound(λ)`, λ the sum of the weights given."""
    with mp.workdps(DIGITS):
        w = _exact(theta)
        share = [mp.fsum(_exact(terms)) for terms in zip(weights, *more, strict=True)]
        margin = min(mp.fdot(_exact(row), w) for row in Z) / _size(w, norm)
        bound = _size(_pull(Z, share), _dual(norm)) / mp.fsum(share)
        return float(1 - margin / bound)


def loss_gap(Z: Array, w: Array, rho: float, norm: float, loss: str) -> float:
    """Return the proven distance of log L(w) from its least in the ball (math, §8)."""
    with mp.workdps(DIGITS):
        value, weights = _loss(Z, _exact(w), loss)
        pull = _pull(Z, weights)
        # Convexity: L(v) ≥ L(w) - g·(v - w), and log L likewise for the exponential loss.
        gap = mp.mpf(rho) * _size(pull, _dual(norm)) - mp.fdot(pull, _exact(w))
        return float(gap / value)


def refined_loss_gap(
    Z: Array, w: Array, rho: float, norm: float, loss: str, near: Array | None = None
) -> float:
    """Return :func:`loss_gap` by the weights at a point that Newton's method reaches from w.

    At samples of 1e12 the weights at w, which is rounded, prove little; any weights s prove
    `L(u) ≥ Σ h(s_n) - ρ‖Zᵀs‖_*` and for the exponential loss `log L(u) ≥ H(s) - ρ‖Zᵀs‖_*`.
    """
    with mp.workdps(DIGITS):
        value, _ = _loss(Z, _exact(w), loss)
        point = _newton(Z, _exact(w if near is None else near), mp.mpf(rho), norm, loss)
        total, weights = _loss(Z, point, loss)
        if loss == "exponential":
            share = [x / total for x in weights]
            entropy = -mp.fsum(x * mp.log(x) for x in share if x > 0)
            return float(mp.log(value) - entropy + rho * _size(_pull(Z, share), _dual(norm)))
        # -s log s - (1-s) log(1-s), 1-s = 1/(1+e^{-f}).
        f = [mp.fdot(_exact(row), point) for row in Z]
        entropy = mp.fsum(
            x * (mp.log1p(mp.exp(-v)) + v) + (1 - x) * mp.log1p(mp.exp(-v))
            for x, v in zip(weights, f, strict=True)
        )
        return float((value - entropy + rho * _size(_pull(Z, weights), _dual(norm))) / value)


def _newton(Z: Array, w: list[Any], rho: Any, norm: float, loss: str) -> list[Any]:
    """Return u near w with `-∇log L(u) = η ∇‖u‖` on the face of the ball that w lies on."""
    size, longest = len(w), max(abs(x) for x in w)
    free = list(range(size))
    if norm == 1.0:
        free = [i for i in free if abs(w[i]) > 1e-12 * longest]
    elif math.isinf(norm):
        free = [i for i in free if abs(w[i]) < (1 - mp.mpf(10) ** -9) * rho]
    tied = not math.isinf(norm) and _size(w, norm) > (1 - mp.mpf(10) ** -9) * rho
    u, eta, count = list(w), None, len(free)
    if math.isinf(norm):
        # θ is near the sphere only up to its tolerance: the faces are where it is.
        u = [x if i in free else mp.sign(x) * rho for i, x in enumerate(w)]
    for _ in range(_ROUNDS):
        total, weights = _loss(Z, u, loss)
        pull = [x / total for x in _pull(Z, weights)]
        bent = [x * (1 if loss == "exponential" else 1 - x) / total for x in weights]
        matrix, right = mp.zeros(count + tied), mp.zeros(count + tied, 1)
        for a, i in enumerate(free):
            right[a] = pull[i]
            for b, j in enumerate(free):
                curved = mp.fsum(bent[n] * mp.mpf(Z[n, i]) * mp.mpf(Z[n, j]) for n in range(len(Z)))
                matrix[a, b] = curved - pull[i] * pull[j]
        if tied:
            # The constraint Σ |u_i|^p = ρ^p, over p ρ^p.
            p = mp.mpf(norm)
            normal = [mp.sign(x) * (abs(x) / rho) ** (p - 1) / rho for x in u]
            if eta is None:
                eta = mp.fdot(pull, u)
            for a, i in enumerate(free):
                if p != 1 and u[i] != 0:
                    matrix[a, a] += eta * (p - 1) * (abs(u[i]) / rho) ** (p - 2) / rho**2
                matrix[a, count] = matrix[count, a] = normal[i]
                right[a] -= eta * normal[i]
            right[count] = (1 - mp.fsum((abs(x) / rho) ** p for x in u)) / p
        try:
            step = mp.lu_solve(matrix, right) if count else right
        except ZeroDivisionError:
            return u
        length = mp.mpf(1)
        if not tied:
            # Far from its minimum a whole step may leave where the weights say anything.
            while (
                length > mp.mpf(10) ** -12
                and _loss(Z, _moved(u, free, step, length), loss)[0] > total
            ):
                length /= 2
        u = _moved(u, free, step, length)
        if tied:
            eta += step[count]
    return u


def _moved(u: list[Any], free: list[int], step: Any, length: Any) -> list[Any]:
    moved = list(u)
    for a, i in enumerate(free):
        moved[i] += length * step[a]
    return moved


def penalty_gap(Z: Array, w: Array, strength: float, power: float, norm: float, loss: str) -> float:
    """Return the proven distance of `L(w) + μ‖w‖^q` from its least, relative to it.

    `L(u) ≥ Σ h(s_n) - u·Σ s_n z_n`, h(s) = s - s log s for the exponential loss, and the least of
    `μ‖u‖^q - g·u` is a conjugate. The weights s are those of the loss at w, or where w has too few
    digits for them at a point that Newton's method reaches from there.
    """
    with mp.workdps(DIGITS):
        point, mu, q = _exact(w), mp.mpf(strength), mp.mpf(power)
        whole = _loss(Z, point, loss)[0] + mu * _size(point, norm) ** q
        gap = _penalty_bound(Z, point, whole, (mu, q), norm, loss)
        for width in _TIES:
            if not gap <= GAP:
                near = _balanced(Z, point, (mu, q), norm, loss, mp.mpf(width))
                gap = min(gap, _penalty_bound(Z, near, whole, (mu, q), norm, loss))
        return float(gap)


def _penalty_bound(
    Z: Array, point: list[Any], whole: Any, penalty: tuple[Any, Any], norm: float, loss: str
) -> Any:
    mu, q = penalty
    _, weights = _loss(Z, point, loss)
    pull = _pull(Z, weights)
    slope = _size(pull, _dual(norm))
    if q == 1 and slope > mu:
        weights = [x * mu / slope for x in weights]
        slope = mu
    least = mp.mpf(0)
    if q > 1:
        least = -(1 - 1 / q) * slope * (slope / (mu * q)) ** (1 / (q - 1))
    if loss == "exponential":
        below = mp.fsum(x - x * mp.log(x) for x in weights if x > 0)
    else:
        below = -mp.fsum(x * mp.log(x) + (1 - x) * mp.log1p(-x) for x in weights if 0 < x < 1)
    return (whole - below - least) / whole


def _balanced(
    Z: Array, w: list[Any], penalty: tuple[Any, Any], norm: float, loss: str, width: Any
) -> list[Any]:
    """Return u near w with `-∇L(u) = μ q ‖u‖^{q-1} ∇‖u‖`, for p = 1 on the entries that are not 0.

    For p = ∞ the entries within ``width`` of the largest size are tied:
    `u = Σ_i v_i e_i + v_0 Σ_tied ± e_i`.
    """
    mu, q = penalty
    longest = max(abs(x) for x in w)
    if longest == 0:
        return w
    size = len(w)
    if norm == 1.0 or math.isinf(norm):
        signs = [mp.sign(x) if x else mp.mpf(0) for x in w]
        tied = [abs(x) >= longest * (1 - width) for x in w]
        if norm == 1.0:
            basis = [[mp.mpf(i == j) for i in range(size)] for j in range(size) if w[j] != 0]
            along = [signs[j] for j in range(size) if w[j] != 0]
        else:
            basis = [[mp.mpf(i == j) for i in range(size)] for j in range(size) if not tied[j]]
            along = [mp.mpf(0)] * len(basis) + [mp.mpf(1)]
            basis.append([signs[i] if tied[i] else mp.mpf(0) for i in range(size)])
    else:
        basis, along = [[mp.mpf(i == j) for i in range(size)] for j in range(size)], []
    count, u = len(basis), list(w)
    if math.isinf(norm):
        u = [signs[i] * longest if tied[i] else u[i] for i in range(size)]
    rows = [[mp.fdot(_exact(row), b) for b in basis] for row in Z]
    for _ in range(_ROUNDS):
        _, weights = _loss(Z, u, loss)
        length, p = _size(u, norm), mp.mpf(norm) if not math.isinf(norm) else None
        slope = along or [mp.sign(x) * (abs(x) / length) ** (p - 1) for x in u]
        push = mu * q * length ** (q - 1)
        matrix, right = mp.zeros(count), mp.zeros(count, 1)
        for a in range(count):
            right[a] = mp.fsum(x * row[a] for x, row in zip(weights, rows, strict=True))
            right[a] -= push * slope[a]
            for b in range(count):
                matrix[a, b] = mp.fsum(
                    x * (1 if loss == "exponential" else 1 - x) * row[a] * row[b]
                    for x, row in zip(weights, rows, strict=True)
                )
                matrix[a, b] += mu * q * (q - 1) * length ** (q - 2) * slope[a] * slope[b]
                if not along:
                    matrix[a, b] -= push * (p - 1) * slope[a] * slope[b] / length
            if not along and u[a] != 0:
                matrix[a, a] += push * (p - 1) * (abs(u[a]) / length) ** (p - 2) / length
        try:
            step = mp.lu_solve(matrix, right)
        except ZeroDivisionError:
            return u
        u = [x + mp.fsum(step[a] * basis[a][i] for a in range(count)) for i, x in enumerate(u)]
    return u


def _loss(Z: Array, w: list[Any], loss: str) -> tuple[Any, list[Any]]:
    """Return L(w) and its weights -∂L/∂f_n."""
    f = [mp.fdot(_exact(row), w) for row in Z]
    if loss == "exponential":
        weights = [mp.exp(-v) for v in f]
        return mp.fsum(weights), weights
    return mp.fsum(mp.log1p(mp.exp(-v)) for v in f), [1 / (1 + mp.exp(v)) for v in f]


def gordan_holds(Z: Array, weights: Any) -> bool:
    """Tell whether λ ≥ 0, λ ≠ 0 and Zᵀλ = 0 in rationals."""
    share = [Fraction(x) for x in weights]
    if any(x < 0 for x in share) or not any(share):
        return False
    rows = [[Fraction(float(x)) for x in row] for row in Z]
    return all(
        sum(share[n] * rows[n][i] for n in range(len(rows))) == 0 for i in range(len(rows[0]))
    )


def rightly_refused(case: Instance, error: lm.NotSeparableError) -> bool:
    """Tell whether a proof that nothing separates the data is one, for scores linear in x."""
    gordan = getattr(error.proof, "gordan", None)
    if gordan is None:
        return case.predictor not in LINEAR
    return gordan_holds(case.rows, gordan)


def wrong(case: Instance, solution: Any) -> str:
    """Return why a certified answer is wrong by the reference, empty where it is not."""
    if case.predictor not in LINEAR or solution.certificate.verdict is not lm.Verdict.GLOBAL:
        return ""
    theta, problem = np.concatenate([b.ravel() for b in solution.theta]), case.problem
    if case.formulation == "constrained-path":
        w = problem.rho * theta
        gap = loss_gap(case.rows, w, problem.rho, case.norm, str(problem.loss))
        # The answer is log L: of one that is large the last digits are lost.
        scale = max(1.0, abs(solution.objective))
        if not gap <= GAP * scale:
            gap = refined_loss_gap(case.rows, w, problem.rho, case.norm, str(problem.loss))
        if not gap <= GAP * scale:
            # Where Newton's method leaves the ball, another witness: duality is evaluated here.
            asked = problem.kkt(theta)[0].asked_loss
            near = least_loss(case.rows, w, asked, math.inf)
            loss = str(problem.loss)
            gap = refined_loss_gap(case.rows, w, problem.rho, case.norm, loss, near)
        return f"loss {gap:.2g} above its bound" if not gap <= GAP * scale else ""
    if case.formulation == "regularization-path":
        strength, power = problem.strength, problem.power
        gap = penalty_gap(case.rows, theta, strength, power, case.norm, str(problem.loss))
        return f"objective {gap:.2g} above its bound" if gap > GAP else ""
    if case.formulation == "lexicographic":
        apart = levels_apart(case.rows, theta, case.norm, problem.levels)
        if apart > GAP:
            return f"a level is {apart:.2g} of the first margin from the best"
    weights = np.maximum(solution.certificate.multipliers, 0.0)
    gap = margin_gap(case.rows, theta, weights, case.norm)
    if not gap <= GAP:
        # Where doubles are too short, any other witness will do: duality is evaluated here.
        long = long_multipliers(case.rows, case.norm, math.inf)
        gap = (
            gap
            if long is None
            else margin_gap(case.rows, theta, long.terms[0], case.norm, long.terms[1:])
        )
    return f"margin {gap:.2g} below its bound" if not gap <= GAP else ""
