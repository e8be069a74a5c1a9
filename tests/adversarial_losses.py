"""Losses on data of every kind: minimisers by construction, points near them, and far scales.

A minimiser is made, not found: margins f_n at w are chosen first, with any signs, then rows z_n of
the form f_n n/‖w‖ + t_n, n a norm gradient at w and t_n·w = 0, whose weights cancel in t. The
oracle evaluates the objective at the point and at the minimiser in 40 digits: no claimed gap may be
smaller than what the point really misses, and the minimiser itself must be certified. Half of the
losses give their samples weights, 1e-3 to 1e3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import mpmath
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

import lexmargin as lm
from adversarial_common import Family, Trial
from lexmargin.errors import LexmarginError
from lexmargin.formulations import Formulation
from lexmargin.judge import Verdict

__all__ = ["FAMILIES", "SHARES"]

Array = NDArray[np.float64]
NORMS: Final = (1.0, 1.5, 2.0, 3.0, math.inf)
LOSSES: Final = ("exponential", "logistic")
TOLERANCE: Final = 1e-7
DIGITS: Final = 40
OTHERS: Final = 2
"""Wrong classes of a sample with three."""


@dataclass(frozen=True)
class Built:
    """A problem, its minimiser, and rows z_n with f_n(w) = z_n·w."""

    problem: Formulation
    best: Array
    rows: Array

    @property
    def given(self) -> Array:
        """The weights of the samples."""
        found = self.problem.data.weights
        return np.ones(self.problem.data.n_samples) if found is None else found


# -- data that a given point minimises -------------------------------------------------------------


def _size(x: Array, p: float) -> float:
    return float(np.linalg.norm(x, p))


def _normal(rng: np.random.Generator, w: Array, p: float) -> Array:
    """Return n of dual norm 1 with n·w = ‖w‖_p."""
    if p == 1.0:
        return np.where(w != 0.0, np.sign(w), rng.uniform(-1.0, 1.0, w.size))
    if math.isinf(p):
        share = np.where(np.abs(w) >= np.max(np.abs(w)), rng.uniform(0.2, 1.0, w.size), 0.0)
        return np.sign(w) * share / share.sum()
    unit = w / _size(w, p)
    return np.sign(unit) * np.abs(unit) ** (p - 1.0)


def _point(rng: np.random.Generator, p: float) -> Array:
    """Return a point at which the ball of the norm may have an edge or a vertex."""
    w = rng.uniform(0.3, 1.0, int(rng.integers(1, 5))) * rng.choice([-1.0, 1.0])
    if p == 1.0 and w.size > 1:
        w[rng.integers(w.size)] = 0.0
    if math.isinf(p):
        w[rng.integers(w.size)] = np.max(np.abs(w)) * rng.choice([-1.0, 1.0])
    return w


def _given(rng: np.random.Generator, count: int) -> Array:
    """Return weights of the samples: all 1 in half of the cases."""
    return 10.0 ** rng.uniform(-3.0, 3.0, count) if rng.random() < 0.5 else np.ones(count)


def _weights(loss: str, f: Array, given: Array) -> Array:
    """Return -∂L/∂f_n up to one factor."""
    logs = np.log(given) - (f if loss == "exponential" else np.logaddexp(0.0, f))
    return np.exp(logs - np.max(logs))


def _margins(rng: np.random.Generator, loss: str, balance: bool) -> tuple[Array, Array]:
    """Return margins of either sign, whose weighted sum vanishes with ``balance``, and weights."""
    count = int(rng.integers(2, 8))
    given = _given(rng, count)
    f = rng.normal(rng.choice([0.0, 1.0, 5.0]), 10.0 ** rng.uniform(-1.0, 0.7), count)
    if not balance:
        if rng.random() < 0.3:
            f = f + rng.choice([20.0, 300.0, 3000.0])
        return f, given
    f = np.abs(f) + 1e-3
    given[0] = np.max(given)
    rest = float(given[1:] / given[0] * _plain(loss, f[1:]) @ f[1:])
    # The weight of a negative margin grows without bound, that of -∞ times it too.
    f[0] = brentq(
        lambda x: rest + float(_plain(loss, np.array([x]))[0]) * x, -60.0, 0.0, xtol=1e-15
    )
    return f, given


def _plain(loss: str, f: Array) -> Array:
    return np.exp(-f) if loss == "exponential" else np.exp(-np.logaddexp(0.0, f))


def _rows(rng: np.random.Generator, w: Array, f: Array, normal: Array, weights: Array) -> Array:
    """Return z_n with z_n·w = f_n and Σ p_n z_n = (Σ p_n f_n/‖w‖) n."""
    across = rng.standard_normal((f.size, w.size)) * 10.0 ** rng.uniform(-1.0, 1.0)
    across -= np.outer(across @ w, w) / float(w @ w)
    heavy = int(np.argmax(weights))
    rest = np.arange(f.size) != heavy
    across[heavy] = -(weights[rest] @ across[rest]) / weights[heavy]
    return np.outer(f / float(normal @ w), normal) + across


def _data(rows: Array, rng: np.random.Generator, given: Array) -> lm.Dataset:
    y = rng.choice([-1, 1], rows.shape[0])
    weights = None if np.all(given == 1.0) else given
    return lm.Dataset(rows * y[:, None], y, one_class=True, weights=weights)


# -- exact values ----------------------------------------------------------------------------------


def _loss(loss: str, rows: Array, w: Array, given: Array) -> mpmath.mpf:
    margins = [
        mpmath.fsum(
            mpmath.mpf(float(a)) * mpmath.mpf(float(b)) for a, b in zip(row, w, strict=True)
        )
        for row in rows
    ]
    factors = [mpmath.mpf(float(v)) for v in given]
    if loss == "exponential":
        return mpmath.fsum(v * mpmath.exp(-f) for v, f in zip(factors, margins, strict=True))
    group = OTHERS if loss == "cross-entropy" else 1
    odds = [
        mpmath.fsum(mpmath.exp(-f) for f in margins[n : n + group])
        for n in range(0, len(margins), group)
    ]
    return mpmath.fsum(v * mpmath.log1p(x) for v, x in zip(factors, odds, strict=True))


def _length(w: Array, p: float) -> mpmath.mpf:
    sizes = [abs(mpmath.mpf(float(x))) for x in w]
    if math.isinf(p):
        return max(sizes)
    return mpmath.fsum(x ** mpmath.mpf(p) for x in sizes) ** (1 / mpmath.mpf(p))


def _missed(built: Built, theta: Array) -> float:
    """Return what θ really misses, in the units of the certificate's gap, from below."""
    problem = built.problem
    loss = problem.loss.value
    with mpmath.workdps(DIGITS):
        if isinstance(problem, lm.ConstrainedPath):
            here = mpmath.log(_loss(loss, built.rows, problem.rho * theta, built.given))
            # The minimiser may lie outside the ball by its rounding: take it in.
            inside = max(mpmath.mpf(1), _length(built.best, problem.norm) / problem.rho)
            inner = built.best / float(inside * (1 + 1e-15))
            best = mpmath.log(_loss(loss, built.rows, inner, built.given))
            return float((here - best) / max(1, abs(here)))
        strength, power = mpmath.mpf(problem.strength), mpmath.mpf(problem.power)
        values = [
            _loss(loss, built.rows, w, built.given) + strength * _length(w, problem.norm) ** power
            for w in (theta, built.best)
        ]
        return float(1 - values[1] / values[0])


def _judged(built: Built, theta: Array, exact: bool) -> Trial:
    found = lm.certify(built.problem, theta)
    where = f"{built.problem!r} at {theta!r}"
    if found.gap is None:
        return Trial(found.verdict, wrong=f"{where}: no gap for linear margins")
    missed = _missed(built, theta)
    if missed > found.gap * (1.0 + 1e-6):
        return Trial(found.verdict, wrong=f"{where}: gap {found.gap:.3g}, missed {missed:.3g}")
    if found.verdict is Verdict.NOT_SEPARATING:
        return Trial(found.verdict, wrong=f"{where}: {found.verdict}, but a loss asks no separator")
    if exact and found.verdict is Verdict.NOT_STATIONARY:
        return Trial(found.verdict, wrong=f"{where}: {found.verdict} at the minimiser")
    if exact and found.verdict is not Verdict.GLOBAL and _resolved(built):
        return Trial(found.verdict, refused=f"{where}: {found.verdict}, {found.reasons}")
    return Trial(found.verdict)


def _resolved(built: Built) -> bool:
    """Say whether the minimiser, rounded to doubles, still is one within the tolerances.

    Rounding w moves f_n by `ε Σ |z_i w_i|`, the weights by as much, and the direction of their sum
    by that over what is left of it.
    """
    rows, w = built.rows, built.best
    if built.problem.loss.value == "cross-entropy":
        return True
    weights = _weights(built.problem.loss.value, rows @ w, built.given)
    reach = float(np.max((np.abs(rows) @ np.abs(w))[weights > 1e-16]))
    left = _size(weights @ rows, 2.0)
    if left < 1e-9 * float(weights @ np.linalg.norm(rows, axis=1)):
        return True
    return 2.3e-16 * reach * float(weights @ np.linalg.norm(rows, axis=1)) < 0.03 * TOLERANCE * left


def _near(rng: np.random.Generator, theta: Array) -> tuple[Array, bool]:
    """Return the point, or one 1e-9 to 1e-2 from it, and whether it is the point itself."""
    if rng.random() < 0.4:
        return theta, True
    step = rng.standard_normal(theta.size) * 10.0 ** rng.uniform(-9.0, -2.0)
    return theta + step * (_size(theta, 2.0) or 1.0), False


# -- families --------------------------------------------------------------------------------------


def boundary(rng: np.random.Generator) -> Trial:
    """Minimisers of eq. 5 on the sphere: separating, or not, or hardly."""
    loss, p = str(rng.choice(LOSSES)), float(rng.choice(NORMS))
    w = _point(rng, p)
    f, given = _margins(rng, loss, False)
    weights = _weights(loss, f, given)
    if float(weights @ f) <= 1e-3 * float(weights @ np.abs(f)):
        f, weights = -f, _weights(loss, -f, given)
    if float(weights @ f) <= 1e-3 * float(weights @ np.abs(f)):
        f = np.abs(f)
        weights = _weights(loss, f, given)
    rho = 10.0 ** rng.uniform(-2.0, 4.0)
    w = w * (rho / _size(w, p))
    rows = _rows(rng, w, f, _normal(rng, w, p), weights)
    built = Built(lm.ConstrainedPath(lm.Linear(), _data(rows, rng, given), rho, p, loss), w, rows)
    theta, exact = _near(rng, w / rho)
    if not exact:
        theta = theta / max(1.0, _size(theta, p))
    return _judged(built, theta, exact)


def interior(rng: np.random.Generator) -> Trial:
    """Minimisers of eq. 5 inside the ball, of any radius: nothing separates."""
    loss, p = str(rng.choice(LOSSES)), float(rng.choice(NORMS))
    w = _point(rng, p)
    f, given = _margins(rng, loss, True)
    rows = _rows(rng, w, f, _normal(rng, w, p), _weights(loss, f, given))
    rho = _size(w, p) * 10.0 ** rng.uniform(0.01, 6.0)
    built = Built(lm.ConstrainedPath(lm.Linear(), _data(rows, rng, given), rho, p, loss), w, rows)
    theta, exact = _near(rng, w / rho)
    return _judged(built, theta / max(1.0, _size(theta, p)), exact)


def origin(rng: np.random.Generator) -> Trial:
    """Σ w_n z_n = 0: the origin is the minimiser of both paths; or a strong penalty of power 1."""
    loss, p = str(rng.choice(LOSSES)), float(rng.choice(NORMS))
    count, size = int(rng.integers(2, 7)), int(rng.integers(1, 4))
    rows = np.round(rng.standard_normal((count, size)) * 64.0) * 2.0 ** int(rng.integers(-40, 20))
    if not np.any(rows):
        rows[0] = 1.0
    given = np.append(2.0 ** rng.integers(-3, 4, count), 1.0) ** int(rng.integers(0, 2))
    rows = np.vstack([rows, -(given[:-1] @ rows)])
    data, zero = _data(rows, rng, given), np.zeros(size)
    if rng.random() < 0.5:
        rho = 10.0 ** rng.uniform(-3.0, 6.0) / _size(rows.ravel(), math.inf)
        built = Built(lm.ConstrainedPath(lm.Linear(), data, rho, p, loss), zero, rows)
        return _judged(built, zero, True)
    power = float(rng.choice([1.0, 1.5, 2.0, 3.0]))
    strength = 10.0 ** rng.uniform(-3.0, 3.0)
    built = Built(lm.RegularizationPath(lm.Linear(), data, strength, p, power, loss), zero, rows)
    return _judged(built, zero, True)


def penalty(rng: np.random.Generator) -> Trial:
    """Minimisers of the regularization path, whatever their margins."""
    loss, p = str(rng.choice(LOSSES)), float(rng.choice(NORMS))
    power = float(rng.choice([1.0, 1.2, 1.5, 2.0, 3.0]))
    w = _point(rng, p) * 10.0 ** rng.uniform(-1.0, 1.0)
    f, given = _margins(rng, loss, False)
    f = f - max(0.0, float(np.max(f)) - 30.0)
    weights = _weights(loss, f, given)
    if float(weights @ f) <= 1e-3 * float(weights @ np.abs(f)):
        f = np.abs(f)
        weights = _weights(loss, f, given)
    rows = _rows(rng, w, f, _normal(rng, w, p), weights)
    size = _size(w, p)
    strength = float(given * _plain(loss, f) @ f) / (power * size**power)
    if not 1e-290 < strength < 1e290:
        return penalty(rng)
    problem = lm.RegularizationPath(lm.Linear(), _data(rows, rng, given), strength, p, power, loss)
    theta, exact = _near(rng, w)
    return _judged(Built(problem, w, rows), theta, exact)


def products(rng: np.random.Generator) -> Trial:
    """f = Σ x_i u_i v_i: stationary on the sphere at u = v, at 0, and nowhere near by chance."""
    size, count = int(rng.integers(1, 4)), int(rng.integers(2, 6))
    a = rng.uniform(0.3, 1.0, size)
    f, given = rng.standard_normal(count) * 10.0 ** rng.uniform(-1.0, 0.5), _given(rng, count)
    weights = given * np.exp(-f)
    if float(weights @ f) <= 1e-2 * float(weights @ np.abs(f)):
        f = np.abs(f)
        weights = given * np.exp(-f)
    square = a * a
    across = rng.standard_normal((count, size))
    across -= np.outer(across @ square, square) / float(square @ square)
    heavy = int(np.argmax(weights))
    rest = np.arange(count) != heavy
    across[heavy] = -(weights[rest] @ across[rest]) / weights[heavy]
    rows = f[:, None] / float(np.sum(square)) + across
    w = np.concatenate([a, a])
    problem = lm.ConstrainedPath(lm.DiagonalNetwork(2), _data(rows, rng, given), _size(w, 2.0))
    if rng.random() < 0.1:
        found = lm.certify(problem, np.zeros(2 * size))
        return Trial(found.verdict, refused="" if found.certified else f"{problem!r} at 0")
    theta, exact = _near(rng, w / problem.rho)
    theta = theta if exact else theta / max(1.0, _size(theta, 2.0))
    found = lm.certify(problem, theta)
    sine = _sine(rows, problem.rho * theta, given)
    where = f"{problem!r} at {theta!r}"
    if found.verdict is Verdict.GLOBAL:
        return Trial(found.verdict, wrong=f"{where}: no bound exists here")
    if abs(_size(theta, 2.0) - 1.0) > TOLERANCE:
        return Trial(found.verdict)
    if found.certified and sine > 1.01 * TOLERANCE:
        return Trial(found.verdict, wrong=f"{where}: certified at sine {sine:.3g}")
    if found.verdict is Verdict.NOT_STATIONARY and sine < 0.99 * TOLERANCE:
        return Trial(found.verdict, wrong=f"{where}: refuted at sine {sine:.3g}")
    return Trial(found.verdict, refused="" if found.certified or not exact else where)


def _sine(rows: Array, w: Array, given: Array) -> float:
    """Return the sine of the angle between -∇L and w, in 40 digits."""
    half = w.size // 2
    with mpmath.workdps(DIGITS):
        u, v = ([mpmath.mpf(float(x)) for x in part] for part in (w[:half], w[half:]))
        pull = [mpmath.mpf(0)] * w.size
        for row, own in zip(rows, given, strict=True):
            x = [mpmath.mpf(float(value)) for value in row]
            f = mpmath.fsum(a * b * c for a, b, c in zip(x, u, v, strict=True))
            for i in range(half):
                pull[i] += float(own) * mpmath.exp(-f) * x[i] * v[i]
                pull[half + i] += float(own) * mpmath.exp(-f) * x[i] * u[i]
        point = [*u, *v]
        length = mpmath.sqrt(mpmath.fsum(a * a for a in point))
        along = mpmath.fsum(a * b for a, b in zip(pull, point, strict=True)) / length
        off = [a - along * b / length for a, b in zip(pull, point, strict=True)]
        total = mpmath.sqrt(mpmath.fsum(a * a for a in pull))
        across = mpmath.sqrt(mpmath.fsum(a * a for a in off))
        return float(across / total) if along > 0 else 1.0


def classes(rng: np.random.Generator) -> Trial:
    """Three classes: the minimiser of `L + μ‖w‖²` by Newton's method, also that of its own ball."""
    count, size = int(rng.integers(3, 9)), int(rng.integers(1, 3))
    X = rng.standard_normal((count, size)) * 10.0 ** rng.uniform(-1.0, 1.0)
    labels = np.append([0, 1, 2], rng.integers(0, 3, count - 3))
    strength = 10.0 ** rng.uniform(-3.0, 1.0)
    W, given = np.zeros((3, size)), _given(rng, count)
    hot = np.eye(3)[labels]
    for _ in range(200):
        scores = X @ W.T
        P = np.exp(scores - scores.max(axis=1, keepdims=True))
        P /= P.sum(axis=1, keepdims=True)
        slope = ((P - hot) * given[:, None]).T @ X + 2.0 * strength * W
        bend = 2.0 * strength * np.eye(3 * size)
        for x, p, own in zip(X, P, given, strict=True):
            bend += own * np.kron(np.diag(p) - np.outer(p, p), np.outer(x, x))
        step = np.linalg.solve(bend, slope.ravel()).reshape(W.shape)
        W = W - step * min(1.0, 1.0 / float(np.linalg.norm(step) + 1e-300))
        if np.linalg.norm(step) <= 1e-15 * (1.0 + np.linalg.norm(W)):
            break
    w = W.ravel()
    rows = np.array(
        [
            (np.kron(np.eye(3)[y] - np.eye(3)[c], x))
            for x, y in zip(X, labels, strict=True)
            for c in range(3)
            if c != y
        ]
    )
    weights = None if np.all(given == 1.0) else given
    data, linear = lm.Dataset(X, labels, weights=weights), lm.Linear(3)
    problem: Formulation = lm.RegularizationPath(linear, data, strength, loss="cross-entropy")
    scale = 1.0
    if rng.random() < 0.5:
        scale = _size(w, 2.0)
        problem = lm.ConstrainedPath(linear, data, scale, loss="cross-entropy")
    theta, exact = _near(rng, w / scale)
    if scale != 1.0 and not exact:
        theta = theta / max(1.0, _size(theta, 2.0))
    return _judged(Built(problem, w, rows), theta, exact)


# -- signs beyond the range of doubles -------------------------------------------------------------


def _product(x: list[Fraction], blocks: list[list[Fraction]]) -> Fraction:
    """Return Σ_i x_i Π_l u^l_i."""
    total = Fraction(0)
    for i, value in enumerate(x):
        for block in blocks:
            value = value * block[i]
        total += value
    return total


def _units(x: list[Fraction], blocks: list[list[Fraction]], slope: int) -> Fraction:
    """Return Σ_k v_k σ(u_k·x), σ the identity for slope 1 and relu for slope 0."""
    inner, outer = blocks
    size, total = len(x), Fraction(0)
    for k, v in enumerate(outer):
        z = sum(
            (a * b for a, b in zip(x, inner[k * size : (k + 1) * size], strict=True)), Fraction(0)
        )
        total += v * (z if z > 0 or slope else 0)
    return total


def signs(rng: np.random.Generator) -> Trial:
    """Margins so small, or so nearly 0, that doubles lose their sign; exact in rationals."""
    kind = str(rng.choice(["linear", "diagonal", "units", "relu"]))
    size, count, depth = int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.integers(2, 6))
    far = float(rng.choice([30.0, 110.0, 160.0, 300.0]))

    def scaled(shape: int) -> Array:
        mantissas = np.round(rng.standard_normal(shape) * 4.0) / 4.0
        powers = rng.choice([0.0, 0.0, -1.0, 1.0, -0.5], shape)
        return np.asarray(mantissas * 10.0 ** (powers * far))

    X = scaled(count * size).reshape(count, size) if rng.random() < 0.5 else None
    rows = np.round(rng.standard_normal((count, size)) * 2.0) if X is None else X
    exact = [[Fraction(float(a)) for a in row] for row in rows]
    if kind == "linear":
        predictor, shapes = lm.Linear(), [size]
    elif kind == "diagonal":
        predictor, shapes = lm.DiagonalNetwork(depth), [size] * depth
    else:
        width = int(rng.integers(1, 3))
        activation = lm.ReLU() if kind == "relu" else None
        predictor = lm.Network((width,), activation) if activation else lm.Network((width,))
        shapes = [width * size, width]
    blocks = [scaled(shape) for shape in shapes]
    if rng.random() < 0.3 and len(blocks) > 1 and kind == "diagonal":
        blocks = [blocks[0]] * len(blocks)
    theta = np.concatenate(blocks)
    if not np.any(theta):
        theta = np.ones_like(theta)
    parts, first = [], 0
    for shape in shapes:
        parts.append([Fraction(float(a)) for a in theta[first : first + shape]])
        first += shape
    if kind in ("linear", "diagonal"):
        values = [_product(x, parts) for x in exact]
    else:
        values = [_units(x, parts, kind == "units") for x in exact]
    data = lm.Dataset(rows, np.ones(count, dtype=int), one_class=True)
    stated: list[Formulation] = [
        lm.HardMargin(predictor, data),
        lm.MarginPath(predictor, data, 1.0, gamma=1.0),
        lm.WSet(predictor, data),
        lm.ScaledMargin(predictor, data, 1.0),
        lm.Lexicographic(predictor, data),
        lm.ConstrainedPath(predictor, data, 1.0),
    ]
    problem = stated[int(rng.integers(len(stated)))]
    try:
        found = lm.certify(problem, theta)
    except LexmarginError as error:
        return Trial(None, note=str(error))
    where = f"{problem!r}, rows {rows!r}, at {theta!r}"
    least, word = min(values), found.verdict
    if isinstance(problem, lm.ConstrainedPath):
        false = found.separates is not None and found.separates is not (least > 0)
        return Trial(word, wrong=f"{where}: separates {found.separates}" if false else "")
    if word is Verdict.NOT_SEPARATING and least > 0:
        return Trial(word, wrong=f"{where}: {word}, and every margin is positive")
    if word is not Verdict.UNDECIDED and word is not Verdict.NOT_SEPARATING and least <= 0:
        # Infeasible is not stationary either, whatever the margins are.
        stated_level = isinstance(problem, (lm.MarginPath, lm.WSet, lm.ScaledMargin))
        if not (word is Verdict.NOT_STATIONARY and stated_level):
            return Trial(word, wrong=f"{where}: {word}, and a margin is {float(least):.3g}")
    return Trial(word)


FAMILIES: Final[dict[str, Family]] = {
    "signs beyond doubles": signs,
    "loss: minimiser on the sphere": boundary,
    "loss: minimiser inside": interior,
    "loss: minimiser at the origin": origin,
    "loss: penalty": penalty,
    "loss: products": products,
    "loss: three classes": classes,
}
SHARES: Final = dict.fromkeys(FAMILIES, 0.3)
