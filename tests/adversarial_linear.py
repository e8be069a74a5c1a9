"""Linear scores: through a logarithm, sparse with a bias, in other norms, at any tolerance.

Optima are made, not found: θ and λ come first, then rows whose sum, weighted with λ, is the dual
map of θ, and samples that lie further out. Rows are rounded to doubles; what a point misses is then
measured in exact rationals or in 40 digits against the point the rows were made for, so that it
is a lower bound on what it misses of the optimum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Final

import mpmath
import numpy as np
import scipy.optimize
import scipy.sparse
from numpy.typing import NDArray

import lexmargin as lm
from adversarial_common import Family, Trial
from adversarial_local import Circle, complaint
from lexmargin.errors import LexmarginError
from lexmargin.formulations import Formulation
from lexmargin.judge import Certificate, Tolerances, Verdict, certify_linear

__all__ = ["FAMILIES", "SHARES"]

Array = NDArray[np.float64]
Real = mpmath.mpf
DIGITS: Final = 40
BETWEEN: Final = (1.3, 1.5, 3.0, 4.0)
_OWN: Final = 1e-14
"""Rounding of the doubles that state a gap of 0: a few units of the last place of a margin."""
_FEW: Final = 30.0
"""A certified linear point misses at most ε + δ and a bit: ε changes a bound by √d of it, d ≤ 6."""


# -- points ----------------------------------------------------------------------------------------


def _size(x: Array, p: float) -> float:
    return float(np.linalg.norm(x, p))


def _dual_map(w: Array, p: float) -> Array:
    """Return n of dual norm 1 with n·w = ‖w‖_p, 1 < p < ∞."""
    unit = w / _size(w, p)
    return np.asarray(np.sign(unit) * np.abs(unit) ** (p - 1.0))


def _direction(rng: np.random.Generator, size: int) -> Array:
    """Return a point whose entries may be small, and may be 0."""
    w = rng.uniform(0.2, 1.0, size) * rng.choice([-1.0, 1.0], size)
    if size > 1 and rng.random() < 0.3:
        w[rng.integers(size)] *= rng.choice([0.0, 1e-3, 1e-6])
    return w


def _near(rng: np.random.Generator, theta: Array) -> tuple[Array, float]:
    """Return the point itself or one near it, and how far off."""
    if rng.random() < 0.35:
        return theta, 0.0
    off = 10.0 ** rng.uniform(-9.0, -3.0)
    step = rng.standard_normal(theta.size)
    return theta + off * _size(theta, 2.0) / _size(step, 2.0) * step, off


def _support(rng: np.random.Generator, w: Array, p: float, scores: Array, weights: Array) -> Array:
    """Return z_n with z_n·w = scores_n and Σ weights_n z_n along the dual map of w."""
    normal = _dual_map(w, p)
    across = rng.standard_normal((scores.size, w.size)) * 10.0 ** rng.uniform(-1.5, 1.5)
    # Any vector with n·w = ‖w‖ takes out what lies along w; the dual map does it in every norm.
    across -= np.outer(across @ w, normal) / float(normal @ w)
    heavy = int(np.argmax(weights))
    rest = np.arange(scores.size) != heavy
    across[heavy] = -(weights[rest] @ across[rest]) / weights[heavy]
    return np.outer(scores / float(normal @ w), normal) + across


def _beyond(rng: np.random.Generator, w: Array, least: float) -> Array:
    """Return samples of larger scores, some of them hardly larger."""
    count = int(rng.integers(0, 4))
    far = rng.standard_normal((count, w.size)) * 10.0 ** rng.uniform(-1.0, 1.5)
    wanted = least * (1.0 + 10.0 ** rng.uniform(-5.0, 1.0, count))
    return np.asarray(far + np.outer(wanted - far @ w, w) / float(w @ w))


def _data(rng: np.random.Generator, rows: Array) -> lm.Dataset:
    rows = rows[rng.permutation(len(rows))]
    y = rng.choice([-1, 1], rows.shape[0])
    return lm.Dataset(rows * y[:, None], y, one_class=True)


# -- exact values ----------------------------------------------------------------------------------


def _scores(data: lm.Dataset, w: Array) -> list[Real]:
    z = data.X * data.y[:, None]
    point = [Real(float(b)) for b in w]
    return [mpmath.fsum(Real(float(a)) * b for a, b in zip(row, point, strict=True)) for row in z]


def _length(w: Array, p: float) -> Real:
    return mpmath.fsum(abs(Real(float(x))) ** Real(p) for x in w) ** (1 / Real(p))


def _verdict(
    found: Certificate, where: str, missed: float, exact: bool, resolved: bool = True
) -> Trial:
    """Compare a word with the part of the optimum that the point surely misses."""
    word, limits = found.verdict, found.tolerances
    if word is Verdict.NOT_SEPARATING:
        return Trial(word, wrong=f"{where}: {word}, and every margin is positive")
    if found.gap is not None and missed > found.gap * (1.0 + 1e-6) + _OWN:
        return Trial(word, wrong=f"{where}: gap {found.gap:.3g}, missed {missed:.3g}")
    if word is Verdict.GLOBAL and missed > limits.gap + _OWN:
        return Trial(word, wrong=f"{where}: GLOBAL, missed {missed:.3g}")
    allowed = limits.stationarity + limits.complementarity + limits.feasibility
    if word.certified and missed > _FEW * allowed:
        return Trial(word, wrong=f"{where}: {word}, missed {missed:.3g}")
    if exact and word is Verdict.NOT_STATIONARY:
        return Trial(word, wrong=f"{where}: {word} at the optimum, {found.reasons}")
    if exact and resolved and word is not Verdict.GLOBAL:
        return Trial(word, refused=f"{where}: {word}, {found.reasons}")
    return Trial(word)


# -- log predictors --------------------------------------------------------------------------------


def _log_margin(scores: list[Real], q: float) -> Real:
    logs = [mpmath.log(s) for s in scores]
    return min(value if q == 1.0 else max(value, Real(0)) ** Real(q) for value in logs)


def log_margin(rng: np.random.Generator) -> Trial:
    """The margin path of log^q: its direction is the max margin of the scores, at every ρ."""
    q, p = float(rng.choice([1.0, 1.0, 1.5, 2.0])), float(rng.choice([2.0, 2.0, 1.5, 3.0]))
    w = _direction(rng, int(rng.integers(2, 4)))
    w /= _size(w, p)
    count = int(rng.integers(2, 5))
    least = 10.0 ** rng.uniform(-1.0, 1.0)
    rows = _support(rng, w, p, np.full(count, least), rng.uniform(0.2, 1.0, count))
    data = _data(rng, np.vstack([rows, _beyond(rng, w, least)]))
    rho = 10.0 ** rng.uniform(0.5, 4.0) / least
    theta, off = _near(rng, w)
    theta = theta / _size(theta, p)
    with mpmath.workdps(DIGITS):
        lengths = [_length(x, p) for x in (w, theta)]
        sharpest = min(_scores(data, w)) / lengths[0]
        if rng.random() < 0.5:
            problem = lm.MarginPath(lm.Log(q), data, rho, norm=p)
            best = _log_margin([rho * sharpest], q)
            here = _log_margin([rho * s for s in _scores(data, theta)], q)
            missed = float((best - here) / best)
        else:
            level = float(np.log(rho * least) ** q) * rng.uniform(0.5, 1.0)
            wanted = mpmath.exp(Real(level) ** (1 / Real(q)))
            theta = theta * float(wanted / (Real(rho) * min(_scores(data, theta))))
            problem = lm.MarginPath(lm.Log(q), data, rho, gamma=level, norm=p)
            missed = float(1 - wanted / (Real(rho) * sharpest) / _length(theta, p))
    found = lm.certify(problem, theta)
    where = f"{problem!r} at {theta!r}, {off:.1e} off"
    if q > 1.0 and off == 0.0 and found.certified:
        return Trial(found.verdict)
    return _verdict(found, where, missed, off == 0.0, resolved=q == 1.0)


def log_loss(rng: np.random.Generator) -> Trial:
    """Eq. 5 with log scores, `Σ 1/(ρ θ·z_n)` for q = 1: convex, its minimiser on the sphere."""
    q, p = float(rng.choice([1.0, 1.0, 1.5])), float(rng.choice([2.0, 2.0, 1.5, 3.0]))
    w = _direction(rng, int(rng.integers(2, 4)))
    rho = 10.0 ** rng.uniform(-1.0, 4.0)
    w *= rho / _size(w, p)
    s = np.exp(rng.uniform(0.2, 3.0, int(rng.integers(2, 6))) + rng.choice([0.0, 0.0, 4.0]))
    slopes = q * np.log(s) ** (q - 1.0) / s
    weights = np.exp(-(np.log(s) ** q)) * slopes
    rows = _support(rng, w, p, s, weights)
    # Rounding moves log s_n by ε |z_n|·|w|/s_n, the weights by as much, and their sum of rows by
    # that over what cancellation leaves of it: far below the tolerances, or nothing is asked.
    moved = 2.3e-16 * float(np.max(np.abs(rows) @ np.abs(w) / s))
    left = _size(weights @ rows, 2.0) / float(weights @ np.linalg.norm(rows, axis=1))
    resolved = q == 1.0 and moved < 1e-9 * left
    data = _data(rng, rows)
    problem = lm.ConstrainedPath(lm.Log(q), data, rho, p)
    theta, off = _near(rng, w / rho)
    theta = theta if off == 0.0 else theta / max(1.0, _size(theta, p))
    with mpmath.workdps(DIGITS):

        def value(point: Array, size: Real) -> Real:
            scores = [size * x for x in _scores(data, point)]
            if not min(scores) > 0:
                return mpmath.inf
            logs = [mpmath.log(x) for x in scores]
            powers = [x if q == 1.0 else max(x, Real(0)) ** Real(q) for x in logs]
            return mpmath.log(mpmath.fsum(mpmath.exp(-x) for x in powers))

        inside = min(Real(1), Real(rho) / _length(w, p))
        here, best = value(theta, Real(rho)), value(w, inside)
        missed = float((here - best) / max(1, abs(here))) if here < mpmath.inf else math.inf
    found = lm.certify(problem, theta)
    where = f"{problem!r} at {theta!r}, {off:.1e} off"
    if math.isinf(missed):
        false = found.certified or found.separates
        return Trial(found.verdict, wrong=f"{where}: outside of its domain" if false else "")
    if q > 1.0 and off == 0.0 and found.certified:
        return Trial(found.verdict)
    return _verdict(found, where, missed, off == 0.0, resolved=resolved)


# -- norms between ---------------------------------------------------------------------------------


def between(rng: np.random.Generator) -> Trial:
    """HardMargin and both margin paths for 1 < p < ∞: θ is the dual map of Zᵀλ."""
    p = float(rng.choice(BETWEEN))
    w = _direction(rng, int(rng.integers(1, 6)))
    w /= _size(w, p)
    count, least = int(rng.integers(1, 6)), 10.0 ** rng.uniform(-3.0, 3.0)
    rows = _support(rng, w, p, np.full(count, least), rng.uniform(0.1, 1.0, count))
    data = _data(rng, np.vstack([rows, _beyond(rng, w, least)]))
    theta, off = _near(rng, w)
    kind = int(rng.integers(3))
    with mpmath.workdps(DIGITS):
        sharpest = min(_scores(data, w)) / _length(w, p)
        here = min(_scores(data, theta)) / _length(theta, p)
        missed = float(1 - here / sharpest)
        problem: Formulation = lm.HardMargin(lm.Linear(), data, norm=p)
        if kind == 1:
            rho = 10.0 ** rng.uniform(-2.0, 3.0)
            problem = lm.MarginPath(lm.Linear(), data, rho, norm=p)
            theta = theta / _size(theta, p)
        elif kind == 2:
            rho, level = (float(x) for x in 10.0 ** rng.uniform(-2.0, 3.0, 2))
            problem = lm.MarginPath(lm.Linear(), data, rho, gamma=level, norm=p)
            theta = theta * float(level / (rho * min(_scores(data, theta))))
    if not here > 0:
        return between(rng)
    found = lm.certify(problem, theta)
    return _verdict(found, f"{problem!r} at {theta!r}, {off:.1e} off", missed, off == 0.0)


# -- sparse with a bias ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Biased:
    """Sparse samples, labels, and the (w, b) with Σ λ y x = w, Σ λ y = 0 they were made for."""

    X: scipy.sparse.csr_array
    y: NDArray[np.int64]
    w: Array
    b: float


def _biased(rng: np.random.Generator) -> Biased:
    kept = int(rng.integers(1, 4))
    w = np.zeros(kept + int(rng.integers(0, 3)))
    places = rng.choice(w.size, kept, replace=False)
    w[places] = _direction(rng, kept)
    b = float(rng.normal()) * 10.0 ** rng.uniform(-1.0, 3.0)
    sides = [int(rng.integers(1, 4)) for _ in range(2)]
    y = np.repeat([1, -1], sides)
    weights = rng.uniform(0.2, 1.0, y.size)
    for side in (y > 0, y < 0):
        weights[side] /= weights[side].sum()
    square = float(w @ w)
    across = np.zeros((y.size, w.size))
    across[:, places] = rng.standard_normal((y.size, kept)) * 10.0 ** rng.uniform(-1.0, 2.0)
    across -= np.outer(across @ w, w) / square
    heavy = int(np.argmax(weights))
    rest = np.arange(y.size) != heavy
    across[heavy] = -((weights * y)[rest] @ across[rest]) / (weights * y)[heavy]
    X = np.outer((y - b) / square, w) + across
    more = int(rng.integers(0, 5))
    far = rng.standard_normal((more, w.size)) * (rng.random((more, w.size)) < 0.6) * 5.0
    others = rng.choice([-1, 1], more)
    wanted = others * (1.0 + 10.0 ** rng.uniform(-4.0, 1.0, more)) - b
    far += np.outer(wanted - far @ w, w) / square
    order = rng.permutation(y.size + more)
    labels = np.concatenate([y, others])[order]
    return Biased(scipy.sparse.csr_array(np.vstack([X, far])[order]), labels, w, b)


def _margins(case: Biased, w: Array, b: Fraction) -> list[Fraction]:
    rows = case.X.toarray()
    point = [Fraction(float(x)) for x in w]
    return [
        int(sign) * (sum((Fraction(float(a)) * c for a, c in zip(row, point, strict=True)), b))
        for row, sign in zip(rows, case.y, strict=True)
    ]


def _squared(w: Array) -> Fraction:
    return sum((Fraction(float(x)) ** 2 for x in w), Fraction(0))


def _root(x: Fraction) -> Real:
    return mpmath.sqrt(Real(x.numerator) / Real(x.denominator))


def _best_bias(case: Biased, w: Array) -> tuple[Fraction, Fraction]:
    """Return the bias that serves w best, and its smallest margin."""
    scores = _margins(case, w, Fraction(0))
    up = min(s for s, sign in zip(scores, case.y, strict=True) if sign > 0)
    down = min(s for s, sign in zip(scores, case.y, strict=True) if sign < 0)
    return (down - up) / 2, (up + down) / 2


def _told(case: Biased) -> str:
    return f"X {case.X.toarray().tolist()}, y {case.y.tolist()}"


def sparse_bias(rng: np.random.Generator) -> Trial:
    """certify_linear on CSR samples with a free bias, in exact rationals."""
    case = _biased(rng)
    w, off = _near(rng, case.w)
    w = np.where(case.w == 0.0, 0.0, w) if rng.random() < 0.5 else w
    b = float(_best_bias(case, w)[0]) if off == 0.0 or rng.random() < 0.7 else case.b
    b = b * (1.0 + (off * float(rng.normal()) if rng.random() < 0.3 else 0.0))
    # What the word is about: this w with its best bias near b, or b itself.
    sharpest = _best_bias(case, case.w)[1]
    margin = min(_margins(case, w, Fraction(b)))
    if margin <= 0:
        return sparse_bias(rng)
    try:
        found = certify_linear(case.X, case.y, w, b)
    except LexmarginError as error:
        return Trial(None, note=str(error))
    with mpmath.workdps(DIGITS):
        best = _root(sharpest**2 / _squared(case.w))
        missed = float(1 - _root(margin**2 / _squared(w)) / best)
        stated = abs(float(Real(found.margin) / _root(margin**2 / _squared(w)) - 1))
    where = f"certify_linear, {_told(case)}, at {w.tolist()}, {b!r}, {off:.1e} off"
    # The certificate speaks of b to within its own rounding.
    slack = 4e-16 * abs(b) / float(margin) + 1e-12
    if stated > slack + 1e-9:
        return Trial(found.verdict, wrong=f"{where}: margin {found.margin!r}, {stated:.3g} off")
    return _verdict(found, where, missed - slack, off == 0.0, resolved=_clear(case))


def _clear(case: Biased) -> bool:
    """Say whether the samples, rounded to doubles, still have their optimum at (w, b) to 1e-9."""
    largest = float(np.max(np.abs(case.X.toarray()))) if case.X.nnz else 0.0
    return 1e-16 * largest * (abs(case.b) + largest) < 1e-10


def sparse_w_set(rng: np.random.Generator) -> Trial:
    """Eq. 13 with a linear part and a bias of either sign, on CSR samples, in exact rationals.

    A bias of degree 1 would be a part of w_1: the augmented-feature problem, another one.
    """
    case = _biased(rng)
    w, off = _near(rng, case.w)
    w = np.where(case.w == 0.0, 0.0, w) if rng.random() < 0.5 else w
    offset, margin = _best_bias(case, w)
    if margin <= 0:
        return sparse_w_set(rng)
    stretch = float(1 / margin) * (1.0 + (10.0 ** rng.uniform(-12, -4) if off else 0.0))
    w, b = w * stretch, float(offset) * stretch
    form = str(rng.choice(["signed-square", "two-squares"]))
    root = math.sqrt(abs(b))
    u = [math.copysign(root, b)]
    b_exact = Fraction(u[0]) * abs(Fraction(u[0]))
    if form == "two-squares":
        # The other square may be 0, where its slope vanishes, or take away what both have more.
        less = 0.0 if rng.random() < 0.5 else root * float(rng.uniform(0.1, 2.0))
        u = [math.hypot(root, less), less] if b > 0.0 else [less, math.hypot(root, less)]
        b_exact = Fraction(u[0]) ** 2 - Fraction(u[1]) ** 2
    problem = lm.WSet(lm.Sum([lm.Linear(), lm.Bias(form)]), lm.Dataset(case.X, case.y))
    try:
        found = lm.certify(problem, np.concatenate([w, u]))
    except LexmarginError as error:
        return Trial(None, note=str(error))
    least = min(_margins(case, w, b_exact))
    sharpest = _best_bias(case, case.w)[1]
    missed = float(1 - _squared(case.w) / sharpest**2 / _squared(w))
    where = f"WSet, {form}, {_told(case)}, at {w.tolist()}, {u!r}, {off:.1e} off"
    limits = found.tolerances
    slack = 1e-15 * max(x * x for x in u)
    if found.certified and float(1 - least) > limits.feasibility + slack + 1e-12:
        return Trial(found.verdict, wrong=f"{where}: {found.verdict}, misses {float(1 - least)}")
    return _verdict(found, where, missed - 2.0 * slack, off == 0.0, resolved=_clear(case))


# -- tolerances ------------------------------------------------------------------------------------


def _tolerances(rng: np.random.Generator) -> Tolerances:
    """Return tolerances between 1e-12 and 1/2, of one size or each of its own."""
    names = [f.name for f in fields(Tolerances) if f.name not in ("rank", "euler")]
    if rng.random() < 0.5:
        return Tolerances.at(float(10.0 ** rng.uniform(-12.0, math.log10(0.5))))
    sizes = 10.0 ** rng.uniform(-12.0, math.log10(0.5), len(names))
    return Tolerances(**dict(zip(names, sizes.tolist(), strict=True)))


def _first_order(found: Certificate, rows: Array, values: Array, unit: Array, degree: int) -> str:
    """Return what is false in a first-order word at ‖θ‖₂ = 1, or an empty string.

    A certified word shows its λ, whose ε and δ are measured again. Where it is refuted, λ ≥ 0 that
    serve are sought: least squares with a price on δ, over many prices.
    """
    limits, word = found.tolerances, found.verdict
    excess = degree * (values - float(np.min(values)))
    noise = 1e-13 * (1.0 + float(np.abs(found.multipliers) @ np.sum(np.abs(rows), axis=1)))
    if word.certified:
        λ = found.multipliers
        residual = float(np.linalg.norm(unit - λ @ rows))
        δ = float(λ @ excess)
        if np.any(λ < 0.0) or residual > limits.stationarity + noise:
            return f"{word}, but ε = {residual:.3g} > {limits.stationarity:.3g}"
        if δ > limits.complementarity + noise:
            return f"{word}, but δ = {δ:.3g} > {limits.complementarity:.3g}"
    if word is Verdict.NOT_STATIONARY:
        for price in 10.0 ** np.linspace(-6.0, 6.0, 25):
            λ = scipy.optimize.nnls(
                np.vstack([rows.T, price * excess]), np.append(unit, 0.0), maxiter=1000
            )[0]
            ε, δ = float(np.linalg.norm(unit - λ @ rows)), float(λ @ excess)
            if ε < 0.99 * limits.stationarity and δ < 0.99 * limits.complementarity:
                return f"{word}, but λ = {λ.tolist()} has ε = {ε:.3g} and δ = {δ:.3g}"
    return ""


def tolerances_linear(rng: np.random.Generator) -> Trial:
    """Linear margins in ℓ2 at any tolerance, at the optimum, near it and far from it."""
    limits = _tolerances(rng)
    w = _direction(rng, int(rng.integers(1, 5)))
    w /= _size(w, 2.0)
    count = int(rng.integers(1, 5))
    rows = _support(rng, w, 2.0, np.ones(count), rng.uniform(0.1, 1.0, count))
    data = _data(rng, np.vstack([rows, _beyond(rng, w, 1.0)]))
    theta, off = _near(rng, w)
    if off and rng.random() < 0.5:
        theta = w + 10.0 ** rng.uniform(-3.0, -0.3) * rng.standard_normal(w.size)
    unit = theta / _size(theta, 2.0)
    z = data.X * data.y[:, None]
    with mpmath.workdps(DIGITS):
        sharpest = min(_scores(data, w)) / _length(w, 2.0)
        here = min(_scores(data, theta)) / _length(theta, 2.0)
        missed = float(1 - here / sharpest)
    if not here > 0:
        return tolerances_linear(rng)
    path = rng.random() < 0.5
    problem: Formulation = lm.HardMargin(lm.Linear(), data)
    problem = lm.MarginPath(lm.Linear(), data, 1.0) if path else problem
    try:
        found = lm.certify(problem, unit, tolerances=limits)
    except LexmarginError as error:
        return Trial(None, note=str(error))
    where = f"{problem!r} at {unit!r}, {limits}"
    false = _first_order(found, z, z @ unit, unit, 1)
    if false:
        return Trial(found.verdict, wrong=f"{where}: {false}")
    if found.verdict is Verdict.NOT_SEPARATING:
        return Trial(found.verdict, wrong=f"{where}: {found.verdict}")
    if found.gap is not None and missed > found.gap * (1.0 + 1e-6) + _OWN:
        return Trial(found.verdict, wrong=f"{where}: gap {found.gap:.3g}, missed {missed:.3g}")
    if found.verdict is Verdict.GLOBAL and missed > limits.gap + _OWN:
        return Trial(found.verdict, wrong=f"{where}: GLOBAL, missed {missed:.3g}")
    return Trial(found.verdict)


def tolerances_loss(rng: np.random.Generator) -> Trial:
    """Eq. 5 of linear margins at any tolerance: the gap is never below what the point misses."""
    limits = _tolerances(rng)
    w = _direction(rng, int(rng.integers(1, 4)))
    rho = 10.0 ** rng.uniform(-1.0, 2.0)
    w *= rho / _size(w, 2.0)
    f = rng.uniform(0.1, 5.0, int(rng.integers(1, 5)))
    data = _data(rng, _support(rng, w, 2.0, f, np.exp(-f)))
    theta, _ = _near(rng, w / rho)
    if rng.random() < 0.3:
        theta = theta + 10.0 ** rng.uniform(-3.0, -0.5) * rng.standard_normal(w.size)
    theta = theta / max(1.0, _size(theta, 2.0))
    problem = lm.ConstrainedPath(lm.Linear(), data, rho)
    try:
        found = lm.certify(problem, theta, tolerances=limits)
    except LexmarginError as error:
        return Trial(None, note=str(error))
    with mpmath.workdps(DIGITS):
        inside = min(Real(1), Real(rho) / _length(w, 2.0))
        here, best = (
            mpmath.log(mpmath.fsum(mpmath.exp(-size * s) for s in _scores(data, x)))
            for x, size in ((theta, Real(rho)), (w, inside))
        )
        missed = float((here - best) / max(1, abs(here)))
    where = f"{problem!r} at {theta!r}, {limits}"
    if found.gap is not None and missed > found.gap * (1.0 + 1e-6) + _OWN:
        return Trial(found.verdict, wrong=f"{where}: gap {found.gap:.3g}, missed {missed:.3g}")
    if found.verdict is Verdict.GLOBAL and missed > limits.gap + _OWN:
        return Trial(found.verdict, wrong=f"{where}: GLOBAL, missed {missed:.3g}")
    if found.verdict is Verdict.NOT_SEPARATING:
        return Trial(found.verdict, wrong=f"{where}: {found.verdict}")
    return Trial(found.verdict)


def tolerances_polynomial(rng: np.random.Generator) -> Trial:
    """Forms of two parameters at any tolerance: first order by own λ, local words on the circle."""
    limits = _tolerances(rng)
    degree = int(rng.integers(1, 5))
    exponents = tuple((degree - k, k) for k in range(degree + 1))
    count = int(rng.integers(1, 4))
    rows = rng.standard_normal((count, degree + 1)) * 10.0 ** rng.uniform(-1.0, 1.0)
    # f_n(1, 0) is the first entry and ∂f_n/∂θ₂ the second.
    rows[:, 0] = 1.0 + rng.choice([0.0, 0.0, 1e-9, 1e-5, 1e-2, 0.3], count)
    rows[:, 1] *= 10.0 ** rng.choice([-12.0, -6.0, -3.0, -1.0, 0.0], count)
    if count > 1 and rng.random() < 0.7:
        rows[1, 1] = -rows[0, 1] * 10.0 ** rng.uniform(-2.0, 2.0)
    angle = 0.0 if rng.random() < 0.5 else float(10.0 ** rng.uniform(-9.0, -1.0))
    unit = np.array([math.cos(angle), math.sin(angle)])
    data = lm.Dataset(rows, [1] * count, one_class=True)
    problem = lm.HardMargin(lm.Polynomial(exponents), data)
    values, jacobian = problem.functions.values(unit), problem.functions.jacobian(unit)
    if not np.min(values) > 1e-3:
        return tolerances_polynomial(rng)
    where = f"{exponents}, {rows.tolist()}, {unit.tolist()}, {limits}"
    try:
        found = lm.certify(problem, unit, tolerances=limits)
    except LexmarginError as error:
        return Trial(None, note=str(error))
    if found.verdict is Verdict.NOT_SEPARATING:
        return Trial(found.verdict, wrong=f"{where}: {found.verdict}")
    false = _first_order(found, jacobian, values, unit, degree)
    circle = Circle(exponents, rows, unit)
    if found.verdict is not Verdict.SADDLE:
        false = false or complaint(found, circle)
    elif not false:
        false = _no_rise(found, circle)
    return Trial(found.verdict, wrong=f"{where}: {false}" if false else "")


def light_weight(rng: np.random.Generator) -> Trial:
    """Two forms of slopes -a and b at (1, 0), a small: a strict maximum that λ of order a holds.

    Without the second the first curves upwards at lengths above a. Near that maximum a curve that
    leaves it must not be called one that leaves the point, unless the point is beyond the valley.
    """
    fall = 10.0 ** rng.uniform(-7.0, -2.0)
    bends = rng.normal(0.0, 1.0, 2) * 10.0 ** rng.uniform(0.0, 1.0)
    rows = np.array([[1.0, -fall, 1.0 + abs(bends[0])], [1.0, rng.uniform(0.1, 10.0), bends[1]]])
    if rng.random() < 0.3:
        rows = np.vstack([rows, [1.0 + 10.0 ** rng.uniform(-12.0, -1.0), 0.0, bends[1]]])
    rows *= 10.0 ** rng.uniform(-3.0, 3.0)
    sign = float(rng.choice([-1.0, 1.0]))
    rows[:, 1] *= sign
    off = 0.0 if rng.random() < 0.4 else float(10.0 ** rng.uniform(-12.0, -3.0))
    angle = off * float(rng.choice([-1.0, 1.0]))
    unit = np.array([math.cos(angle), math.sin(angle)])
    exponents = ((2, 0), (1, 1), (0, 2))
    data = lm.Dataset(rows, [1] * len(rows), one_class=True)
    found = lm.certify(lm.HardMargin(lm.Polynomial(exponents), data), unit)
    circle = Circle(exponents, rows, unit)
    word = found.verdict
    false = _no_rise(found, circle) if word is Verdict.SADDLE else complaint(found, circle)
    where = f"{exponents}, {rows.tolist()}, {unit.tolist()}"
    if false or (word is Verdict.NOT_STATIONARY and off == 0.0):
        return Trial(word, wrong=f"{where}: {false or word}")
    exact = off == 0.0 and not found.certified
    return Trial(word, refused=f"{where}: {word}, {found.reasons}" if exact else "")


def _no_rise(found: Certificate, circle: Circle) -> str:
    """Return why SADDLE is false: on neither side the margin rises at every length."""
    if found.rise is None:
        return "SADDLE without a curve"
    reach = found.rise.shortest
    with mpmath.workdps(DIGITS):
        here = circle.margin(Real(0))
        for side in (Real(reach), -Real(reach)):
            along = [circle.margin(side / Real(2) ** k) for k in range(80)]
            # A fall that doubles cannot show is none.
            if along[0] > here and min(along) >= here * (1 - Real(4e-16)):
                return ""
    return f"SADDLE, but the margin falls at first on both sides, or at {reach:.3g}"


FAMILIES: Final[dict[str, Family]] = {
    "log: margin path": log_margin,
    "log: constrained path": log_loss,
    "norms between: linear": between,
    "sparse with a bias: certify_linear": sparse_bias,
    "sparse with a bias: w-set": sparse_w_set,
    "tolerances: linear": tolerances_linear,
    "tolerances: loss": tolerances_loss,
    "tolerances: polynomials": tolerances_polynomial,
    "maxima held by a light weight": light_weight,
}
SHARES: Final = dict.fromkeys(FAMILIES, 0.3)
