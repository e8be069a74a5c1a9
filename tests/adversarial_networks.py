"""Words about networks at kinks, beside jumps of the Hessian, and near closed-form KKT points.

On one pattern of its units a margin of these networks is a polynomial with few terms. A KKT point
is made, not found: weights, slopes and multipliers are chosen first, and the samples that make them
stationary solve linear equations. Gradients, Hessians and Newton's method of the oracle come from
the terms alone, in doubles for ε and in 40 digits for maximisers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import mpmath
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog, minimize, nnls

import lexmargin as lm
from adversarial_common import Family, Trial
from lexmargin.errors import LexmarginError
from lexmargin.judge import Certificate, Verdict

__all__ = ["FAMILIES", "SHARES"]

Array = NDArray[np.float64]
Terms = list[tuple[float, tuple[int, ...]]]
"""`Σ c Π_j w_j`: coefficients, each with the indices of its factors."""

TOLERANCE: Final = 1e-7
# A witness within tolerance has sqrt(ε² + δ²) ≤ sqrt(2) TOLERANCE.
MISSED: Final = 1.01 * math.sqrt(2.0) * TOLERANCE
MET: Final = 0.99 * TOLERANCE
DIGITS: Final = 40
# ε and the radius of a word are measured in doubles.
ROOM: Final = 1.01


# -- polynomials with few terms --------------------------------------------------------------------


def value(terms: Terms, w: Sequence[mpmath.mpf]) -> mpmath.mpf:
    """Return the sum of the terms."""
    return sum((c * math.prod((w[j] for j in own)) for c, own in terms), 0 * w[0])


def slope(terms: Terms, size: int) -> list[Terms]:
    """Return the partial derivatives."""
    found: list[Terms] = [[] for _ in range(size)]
    for c, own in terms:
        for place, j in enumerate(own):
            found[j].append((c, own[:place] + own[place + 1 :]))
    return found


def measured(
    values: Array, rows: Array, owners: Array, theta: Array, degree: float
) -> tuple[float, float]:
    """Return the least `sqrt(ε² + δ²)` over λ ≥ 0, and how far rounding may change it.

    rows (R, d) are elements of owners (R,). Gradients are brought to length 1 first, which changes
    the multipliers only.
    """
    unit = theta / np.linalg.norm(theta)
    length = np.linalg.norm(rows, axis=1)
    keep = length > 0.0
    if not np.any(keep):
        return 1.0, 0.0
    excess = degree * (values - np.min(values))[owners[keep]] / length[keep]
    system = np.vstack([(rows[keep] / length[keep, None]).T, excess])
    weights, least = nnls(system, np.append(unit, 0.0), maxiter=1000)
    return float(least), 16.0 * float(np.finfo(float).eps) * (1.0 + float(weights.sum()))


@dataclass(frozen=True)
class Case:
    """A network's margins near θ, on the patterns of its units that come near.

    patterns
        one polynomial per margin function for every pattern near θ.
    holds
        whether a pattern holds at a point.
    symmetric
        whether maximisers may be strict modulo symmetries only: Newton's method finds none then.
    """

    problem: lm.HardMargin
    degree: int
    patterns: list[list[Terms]]
    holds: Callable[[Sequence[mpmath.mpf], int], bool]
    symmetric: bool = False


@dataclass(frozen=True)
class Critical:
    """A KKT point in many digits: its distance from θ̂, and the least eigenvalue that decides."""

    distance: float
    curvature: float
    point: Array

    @property
    def strict(self) -> bool:
        """Whether the margin is a strict local maximum there."""
        return self.curvature > 0.0


def critical(case: Case, theta: Array) -> list[Critical]:
    """Return the KKT points that Newton's method reaches from θ, one for each pattern."""
    found = []
    for index, pattern in enumerate(case.patterns):
        with mpmath.workdps(DIGITS):
            one = _newton(case, index, pattern, theta)
        if one is not None:
            found.append(one)
    return found


def _newton(case: Case, index: int, pattern: list[Terms], theta: Array) -> Critical | None:
    size, alpha = theta.size, case.degree
    unit = theta / np.linalg.norm(theta)
    first = np.array([float(value(own, unit)) for own in pattern])
    least = float(np.min(first))
    if least <= 0.0:
        return None
    slopes = [slope(own, size) for own in pattern]
    w = [mpmath.mpf(float(v)) / mpmath.mpf(least) ** (mpmath.mpf(1) / alpha) for v in unit]
    start = np.array([float(v) for v in w])
    near = np.flatnonzero(first <= 1.001 * least)
    rows = np.array([[float(value(one, start)) for one in slopes[n]] for n in near])
    weights, _ = nnls(rows.T, start, maxiter=1000)
    active = [int(n) for n in near[weights > 1e-9 * np.max(weights)]]
    multipliers = [mpmath.mpf(float(m)) for m in weights[weights > 1e-9 * np.max(weights)]]
    bends = {n: [slope(one, size) for one in slopes[n]] for n in active}
    moved = mpmath.mpf(1)
    for _ in range(12):
        gradients = [[value(one, w) for one in slopes[n]] for n in active]
        hessian = mpmath.eye(size)
        for m, n in zip(multipliers, active, strict=True):
            for i in range(size):
                for j in range(size):
                    hessian[i, j] -= m * value(bends[n][i][j], w)
        total = size + len(active)
        system, right = mpmath.zeros(total), mpmath.zeros(total, 1)
        for i in range(size):
            for j in range(size):
                system[i, j] = hessian[i, j]
            right[i] = -w[i]
            for k, g in enumerate(gradients):
                system[i, size + k], system[size + k, i] = -g[i], g[i]
                right[i] += multipliers[k] * g[i]
        for k, n in enumerate(active):
            right[size + k] = 1 - value(pattern[n], w)
        if moved < mpmath.mpf(10) ** (-DIGITS // 2):
            break
        try:
            step = mpmath.lu_solve(system, right)
        except ZeroDivisionError:
            return None
        w = [v + step[i] for i, v in enumerate(w)]
        multipliers = [m + step[size + k] for k, m in enumerate(multipliers)]
        moved = mpmath.norm(step[:size])
        if moved > 1:
            return None
    if moved >= mpmath.mpf(10) ** (-DIGITS // 2) or min(multipliers) <= 0:
        return None
    if not case.holds(w, index):
        return None
    if min(value(own, w) for own in pattern) < 1 - mpmath.mpf(10) ** (-DIGITS // 2):
        return None
    length = mpmath.norm(mpmath.matrix(w))
    away = mpmath.norm(
        mpmath.matrix([v / length - mpmath.mpf(float(t)) for v, t in zip(w, unit, strict=True)])
    )
    lowest = _reduced(hessian, gradients, size)
    return Critical(float(away), lowest, np.array([float(v) for v in w]))


def _reduced(hessian: mpmath.matrix, gradients: list[list[mpmath.mpf]], size: int) -> float:
    """Return the least eigenvalue on the tangent space, where it may be trusted (else NaN)."""
    tangent, basis = mpmath.eye(size), []
    for g in gradients:
        v = mpmath.matrix(g)
        for b in basis:
            v -= (b.T * v)[0] * b
        basis.append(v / mpmath.norm(v))
    for b in basis:
        tangent -= b * b.T
    # Normals are lifted far above, so that the least eigenvalue is that of the tangents.
    top = 1 + mpmath.norm(hessian, mpmath.inf)
    lifted = tangent * hessian * tangent + 2 * top * (mpmath.eye(size) - tangent)
    lifted = (lifted + lifted.T) / 2
    return float(mpmath.eigsy(lifted, eigvals_only=True)[0]) if len(basis) < size else math.inf


def false_word(found: Certificate, case: Case, theta: Array) -> str:
    """Return what is false in STRICT_LOCAL or SADDLE, or an empty string."""
    if found.verdict is Verdict.STRICT_LOCAL:
        if found.radius is None:
            return "STRICT_LOCAL without a radius"
        points = critical(case, theta)
        near = [one for one in points if one.distance <= ROOM * found.radius]
        if not points and not case.symmetric:
            # Margins with one gradient leave Newton's method singular: then the margin itself.
            return _rises_beside(case, theta)
        if not any(one.strict for one in near) and points:
            return f"STRICT_LOCAL within {found.radius:.3g}, but near are {near or points}"
    if found.verdict is Verdict.SADDLE:
        if found.rise is None:
            return "SADDLE without a curve"
        points = critical(case, theta)
        near = [one for one in points if one.strict and one.distance <= found.rise.shortest]
        if near:
            return f"SADDLE, but {near} are strict maximisers"
        if not any(one.curvature < 0.0 for one in points) and points:
            return f"SADDLE, but nothing rises at {points}"
    return ""


def _rises_beside(case: Case, theta: Array) -> str:
    """Say whether the margin is larger around θ̂, far outside any radius, in many digits."""
    rng = np.random.default_rng(0)
    with mpmath.workdps(DIGITS):

        def margin(point: Array, step: Array, length: float) -> mpmath.mpf:
            moved = [
                mpmath.mpf(float(a)) + length * float(b) for a, b in zip(point, step, strict=True)
            ]
            size = mpmath.norm(mpmath.matrix(moved))
            unit = [v / size for v in moved]
            terms = next(own for i, own in enumerate(case.patterns) if case.holds(unit, i))
            return min(value(own, unit) for own in terms)

        centre = theta / np.linalg.norm(theta)
        here = margin(centre, np.zeros(theta.size), 0.0)
        for length in (1e-6, 1e-4, 1e-2):
            for step in rng.standard_normal((32, theta.size)):
                if margin(centre, step / np.linalg.norm(step), length) > here:
                    return f"STRICT_LOCAL, but the margin is larger {length:g} away"
    return ""


def elements(case: Case, theta: Array) -> tuple[Array, Array, Array]:
    """Return f_n(θ̂) (N,), gradients on the pattern that holds, and their owners."""
    with mpmath.workdps(DIGITS):
        exact = [mpmath.mpf(float(v)) for v in theta]
        length = mpmath.norm(mpmath.matrix(exact))
        unit = [v / length for v in exact]
        terms = next(own for i, own in enumerate(case.patterns) if case.holds(unit, i))
        values = [float(value(own, unit)) for own in terms]
        rows = [[float(value(one, unit)) for one in slope(own, theta.size)] for own in terms]
    return np.array(values), np.array(rows), np.arange(len(values))


def witnessed(case: Case, theta: Array, weights: Array) -> float:
    """Return `sqrt(ε² + δ²)` of given multipliers (N,), in many digits."""
    with mpmath.workdps(DIGITS):
        length = mpmath.norm(mpmath.matrix([mpmath.mpf(float(v)) for v in theta]))
        unit = [mpmath.mpf(float(v)) / length for v in theta]
        terms = next(own for i, own in enumerate(case.patterns) if case.holds(unit, i))
        values = [value(own, unit) for own in terms]
        rest, above = list(unit), mpmath.mpf(0)
        for own, f, weight in zip(terms, values, weights, strict=True):
            if not weight > 0.0:
                continue
            slopes = slope(own, theta.size)
            rest = [
                r - float(weight) * value(one, unit) for r, one in zip(rest, slopes, strict=True)
            ]
            above += case.degree * float(weight) * (f - min(values))
        return float(mpmath.hypot(mpmath.norm(mpmath.matrix(rest)), above))


def judged(case: Case, theta: Array, exact: bool) -> Trial:
    """Have θ judged, and compare the word with ε, and with maximisers in many digits."""
    try:
        found = lm.certify(case.problem, theta)
    except LexmarginError as error:
        return Trial(None, note=str(error))
    word = found.verdict
    values, rows, owners = elements(case, theta)
    wrong, refused = "", ""
    if np.min(values) <= 0.0:
        # Rounding of a margin that is 0 is another family's business.
        if word.stationary and np.min(values) < -1e-12 * np.max(np.abs(values)):
            wrong = f"{word}, and a margin is {np.min(values):.3g}"
    else:
        missed, noise = measured(values, rows, owners, theta, case.degree)
        # Least squares in doubles may stop early on long samples, where a witness still serves.
        missed = min(missed, witnessed(case, theta, found.multipliers))
        if word.stationary and missed - noise > MISSED:
            wrong = f"{word}, but ε and δ are {missed:.3g}"
        elif word is Verdict.NOT_SEPARATING:
            wrong = f"NOT_SEPARATING, but the margin is {np.min(values):.3g}"
        elif word is Verdict.NOT_STATIONARY and missed + noise <= MET:
            wrong = f"NOT_STATIONARY, but ε and δ are {missed:.3g}"
        elif exact and not word.stationary and missed + noise <= 1e-4 * TOLERANCE:
            refused = f"{word}, but ε and δ are {missed:.3g} ({found.reasons[0]})"
        wrong = wrong or false_word(found, case, theta)
        if not wrong and word is Verdict.GLOBAL:
            wrong = beaten(case, theta, float(np.min(values)))
    where = f": {case.problem!r}, {theta.tolist()}"
    return Trial(word, wrong and wrong + where, refused and refused + where)


def beaten(case: Case, theta: Array, margin: float) -> str:
    """Return what an ascent from a few places finds above a margin that is called GLOBAL."""
    rng = np.random.default_rng(0)
    slopes = [[slope(own, theta.size) for own in terms] for terms in case.patterns]

    def at(w: Array) -> int:
        return next((i for i in range(len(case.patterns)) if case.holds(w, i)), 0)

    def margins(w: Array) -> Array:
        return np.array([float(value(own, w)) for own in case.patterns[at(w)]]) - 1.0

    def gradients(w: Array) -> Array:
        return np.array([[float(value(one, w)) for one in own] for own in slopes[at(w)]])

    for _ in range(4):
        start = rng.standard_normal(theta.size)
        start *= np.linalg.norm(theta) / np.linalg.norm(start)
        with np.errstate(all="ignore"):
            found = minimize(
                lambda w: (0.5 * float(w @ w), w),
                start,
                jac=True,
                method="SLSQP",
                constraints={"type": "ineq", "fun": margins, "jac": gradients},
            ).x
        if not np.all(np.isfinite(found)) or not np.any(found):
            continue
        best = float(np.min(margins(found / np.linalg.norm(found)) + 1.0))
        if best > margin * (1.0 + 1e-6):
            return f"GLOBAL at {margin:.8g}, but {best:.8g} is reached"
    return ""


def beside(rng: np.random.Generator, theta: Array) -> tuple[Array, bool]:
    """Return θ, or a point 1e-9 … 1e-3 away, at some scale; and whether it is θ itself."""
    scale = 2.0 ** float(rng.integers(-6, 7))
    if rng.random() < 0.4:
        return scale * theta, True
    step = rng.standard_normal(theta.size) * (rng.random(theta.size) < rng.choice([0.3, 1.0]))
    if not np.any(step):
        return scale * theta, True
    length = 10.0 ** rng.uniform(-9.0, -3.0) * np.linalg.norm(theta)
    return scale * (theta + length * step / np.linalg.norm(step)), False


def always(w: Sequence[mpmath.mpf], index: int) -> bool:
    """The one pattern of a network without kinks."""
    return True


def one_class(X: Array) -> lm.Dataset:
    """Return samples that all have label 1."""
    return lm.Dataset(X, np.ones(len(X), dtype=int), one_class=True)


# -- kinks on samples ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kinked:
    """A two-layer network of power 1 at a Clarke-KKT point, with samples on kinks."""

    X: Array
    y: Array
    leak: float
    theta: Array
    width: int


def _kinked(rng: np.random.Generator) -> Kinked | None:
    """Choose units, slopes and multipliers; the samples solve linear equations."""
    width = int(rng.integers(2, 4))
    size, count = int(rng.integers(width, 5)), int(rng.integers(width, 7))
    leak = float(rng.choice([0.0, 0.0, 0.01, 0.25, 0.5]))
    # Off samples turn units away from each other, so that obtuse angles fit oftener.
    axes = np.eye(size)[:width]
    if rng.random() < 0.5:
        axes = np.linalg.qr(rng.standard_normal((size, size)))[0][:width]
    units = axes - rng.choice([0.0, rng.uniform(-0.1, 0.5)]) * (axes.sum(axis=0) - axes)
    units /= np.linalg.norm(units, axis=1)[:, None]
    signs = rng.choice([1.0, 1.0, -1.0], width)
    shares = rng.uniform(0.3, 1.5, width)
    state = rng.choice(2, (count, width), p=[0.4, 0.6])  # on a kink, or off
    if leak:
        state[:] = 0
    # Each sample is carried by a unit with the sign of its label, each unit carries one at least.
    carrier = rng.permutation(np.append(np.arange(width), rng.integers(width, size=count - width)))
    state[np.arange(count), carrier] = 2
    y = signs[carrier]
    slopes = np.where(state == 2, 1.0, leak)
    middle = rng.uniform(0.0, 1.0, (count, width))
    middle = np.where(rng.random((count, width)) < 0.3, np.round(middle), middle)
    slopes = np.where(state == 0, leak + (1.0 - leak) * middle, slopes)
    # Small weights may lie on samples clearly above the margin, which δ allows.
    weights = rng.uniform(0.2, 1.0, count) * 10.0 ** (-6.0 * rng.random(count) * rng.integers(2))
    # A sample that one unit carries has z = 1/share there, hence Σ λ = share over its samples.
    weights *= shares[carrier] / np.bincount(carrier, weights, width)[carrier]
    equations, right, below, limits = [], [], [], []
    for k in range(width):
        for i in range(size):
            row = np.zeros((count, size))
            row[:, i] = weights * y * slopes[:, k]
            equations.append(row.ravel())
            right.append(signs[k] * units[k, i])
    for n in range(count):
        row = np.zeros((count, size))
        row[n] = y[n] * (signs * shares * slopes[n]) @ units
        equations.append(row.ravel())
        right.append(1.0)
        for k in range(width):
            row = np.zeros((count, size))
            row[n] = units[k]
            if state[n, k] == 0:
                equations.append(row.ravel())
                right.append(0.0)
            else:
                below.append((1.0 if state[n, k] == 1 else -1.0) * row.ravel())
                limits.append(-0.05)
    A, b = np.array(equations), np.array(right)
    if not np.any(state == 0):
        return None
    goal = rng.standard_normal(count * size)
    given = {"A_ub": np.array(below), "b_ub": np.array(limits)} if below else {}
    found = linprog(goal, A_eq=A, b_eq=b, bounds=(-20.0, 20.0), **given)
    if found.status != 0:
        return None
    x = found.x
    for _ in range(3):
        x = x + np.linalg.lstsq(A, b - A @ x, rcond=1e-10)[0]
    X = x.reshape(count, size)
    # What is on a kink by construction is brought there to the last bit where an axis permits.
    for n, k in zip(*np.nonzero(state == 0), strict=True):
        axis = np.flatnonzero(units[k])
        if axis.size == 1:
            X[n, axis[0]] = 0.0
    if float(np.max(np.abs(A @ X.ravel() - b))) > 1e-12:
        return None
    if rng.random() < 0.5:
        raised = np.flatnonzero(rng.random(count) < 0.5)[: count - 1]
        X[raised] *= 1.0 + 10.0 ** rng.uniform(-9.0, -2.0, (raised.size, 1))
    outer = signs * np.sqrt(shares)
    theta = np.concatenate([(np.sqrt(shares)[:, None] * units).ravel(), outer])
    if rng.random() < 0.5:
        # Samples above the margin, and any kinks of theirs, change nothing.
        again = rng.integers(count, size=2)
        X, y = np.vstack([X, X[again] * rng.uniform(1.01, 3.0, (2, 1))]), np.append(y, y[again])
    return Kinked(X, y, leak, theta, width)


def _unit_terms(made: Kinked, theta: Array, on: Array) -> tuple[Array, Array]:
    """Return f_n (N,) and its gradients (N, d) with slopes ``on`` (N, width)."""
    size = made.X.shape[1]
    W = theta[: made.width * size].reshape(made.width, size)
    v = theta[made.width * size :]
    z = made.X @ W.T
    inner = (on * v)[:, :, None] * made.X[:, None, :]
    rows = np.concatenate([inner.reshape(len(made.X), -1), on * z], axis=1)
    return made.y * ((on * z) @ v), made.y[:, None] * rows


def _clarke(made: Kinked, theta: Array, reach: float) -> tuple[Array, Array, Array, list[Array]]:
    """Return f_n, every element that slopes at kinks within ``reach`` give, owners, and kinks."""
    unit = theta / np.linalg.norm(theta)
    size = made.X.shape[1]
    z = made.X @ unit[: made.width * size].reshape(made.width, size).T
    length = np.linalg.norm(made.X, axis=1)[:, None]
    here = np.where(z > 0.0, 1.0, made.leak)
    values, _ = _unit_terms(made, unit, here)
    rows, owners, kinks = [], [], []
    for n in range(len(made.X)):
        own = np.flatnonzero(np.abs(z[n]) <= reach * length[n])
        kinks.append(own)
        for choice in itertools.product((made.leak, 1.0), repeat=own.size):
            on = here.copy()
            on[n, own] = choice
            rows.append(_unit_terms(made, unit, on)[1][n])
            owners.append(n)
    return values, np.array(rows), np.array(owners), kinks


def _first_order(made: Kinked, theta: Array, kinks: list[Array]) -> float:
    """Return the largest t with `f_n'(θ; d) ≥ t` on the support, `θ·d = 0`, |d_i| ≤ 1."""
    unit = theta / np.linalg.norm(theta)
    size, d = made.X.shape[1], theta.size
    z = made.X @ unit[: made.width * size].reshape(made.width, size).T
    here = np.where(z > 0.0, 1.0, made.leak)
    values, _ = _unit_terms(made, unit, here)
    support = np.flatnonzero(values <= (1.0 + 10.0 * TOLERANCE) * np.min(values))
    pairs = [(n, int(k)) for n in support for k in kinks[n]]
    best = 0.0
    for choice in itertools.product((made.leak, 1.0), repeat=len(pairs)):
        on = here.copy()
        below = []
        for (n, k), own in zip(pairs, choice, strict=True):
            on[n, k] = own
            row = np.zeros(d + 1)
            row[k * size : (k + 1) * size] = made.X[n]
            below.append(-row if own == 1.0 else row)
        rows = _unit_terms(made, unit, on)[1][support]
        rows = np.hstack([-rows, np.ones((support.size, 1))])
        found = linprog(
            -np.eye(d + 1)[d],
            A_ub=np.vstack([rows, *below]),
            b_ub=np.zeros(len(rows) + len(below)),
            A_eq=np.append(unit, 0.0)[None],
            b_eq=[0.0],
            bounds=[(-1.0, 1.0)] * d + [(None, 1.0)],
        )
        if found.status == 0:
            best = max(best, float(found.x[d]))
    return best


def kinks_on_samples(rng: np.random.Generator) -> Trial:
    """Samples orthogonal to a unit at a Clarke-KKT point, and points 1e-9 … 1e-3 beside it."""
    made = None
    for _ in range(30):
        made = _kinked(rng)
        if made is not None:
            break
    if made is None:
        return Trial(None, note="no samples fit")
    theta, exact = beside(rng, made.theta)
    activation = lm.LeakyReLU(made.leak) if made.leak else lm.ReLU()
    data = lm.Dataset(made.X, made.y.astype(int), one_class=bool(np.all(made.y == made.y[0])))
    problem = lm.HardMargin(lm.Network((made.width,), activation), data)
    try:
        found = lm.certify(problem, theta)
    except LexmarginError as error:
        return Trial(None, note=str(error))
    word, wrong, refused = found.verdict, "", ""
    values, rows, owners, kinks = _clarke(made, theta, 1.01 * TOLERANCE)
    inner, own, whose, _ = _clarke(made, theta, 0.99 * TOLERANCE)
    if np.min(values) <= 0.0:
        wrong = f"{word}, and a margin is {np.min(values):.3g}" if word.stationary else ""
    else:
        least, noise = measured(values, rows, owners, theta, 2.0)
        most = sum(measured(inner, own, whose, theta, 2.0))
        support = np.flatnonzero(values <= (1.0 + TOLERANCE) * np.min(values))
        at_kink = any(kinks[n].size for n in support)
        if word.stationary and least - noise > MISSED:
            wrong = f"{word}, but ε and δ are {least:.3g}"
        elif word is Verdict.NOT_SEPARATING:
            wrong = f"NOT_SEPARATING, but the margin is {np.min(values):.3g}"
        elif word is Verdict.NOT_STATIONARY and most <= MET:
            wrong = f"NOT_STATIONARY, but ε and δ are {most:.3g}"
        elif exact and not word.stationary and most <= 1e-3 * TOLERANCE:
            refused = f"{word}, but ε and δ are {most:.3g} ({found.reasons[0]})"
        elif word is Verdict.SADDLE and at_kink:
            rate = _first_order(made, theta, kinks)
            wrong = f"SADDLE, but margins rise by {rate:.3g}" if rate <= 1e-9 else ""
        elif word in (Verdict.GLOBAL, Verdict.STRICT_LOCAL):
            best = _higher(made, theta, found, float(np.min(values)))
            wrong = f"{word}, but {best} is reached" if best else ""
    where = f": {problem!r}, X = {made.X.tolist()}, {theta.tolist()}"
    return Trial(word, wrong and wrong + where, refused and refused + where)


def _higher(made: Kinked, theta: Array, found: Certificate, margin: float) -> str:
    """Ascend from places near a STRICT_LOCAL, or anywhere for GLOBAL; empty where nothing wins."""
    rng = np.random.default_rng(0)
    size = made.X.shape[1]
    unit = theta / np.linalg.norm(theta)

    def margins(w: Array) -> Array:
        z = made.X @ w[: made.width * size].reshape(made.width, size).T
        return _unit_terms(made, w, np.where(z > 0.0, 1.0, made.leak))[0]

    def gradients(w: Array) -> Array:
        z = made.X @ w[: made.width * size].reshape(made.width, size).T
        return _unit_terms(made, w, np.where(z > 0.0, 1.0, made.leak))[1]

    if found.verdict is Verdict.STRICT_LOCAL:
        # Beyond the maximiser within the radius the margin is lower on some sphere around it.
        for _ in range(50):
            step = rng.standard_normal(theta.size)
            step -= (step @ unit) * unit
            moved = unit + 1e-4 * step / np.linalg.norm(step)
            best = float(np.min(margins(moved / np.linalg.norm(moved))))
            if best > margin * (1.0 + 2.1 * TOLERANCE):
                return f"{best:.8g} above {margin:.8g} near it"
        return ""
    start_size = margin**-0.5
    for _ in range(6):
        start = rng.standard_normal(theta.size)
        with np.errstate(all="ignore"):
            result = minimize(
                lambda w: (0.5 * float(w @ w), w),
                start_size * start / np.linalg.norm(start),
                jac=True,
                method="SLSQP",
                constraints={"type": "ineq", "fun": lambda w: margins(w) - 1.0, "jac": gradients},
            ).x
        if not np.all(np.isfinite(result)) or not np.any(result):
            continue
        best = float(np.min(margins(result / np.linalg.norm(result))))
        if best > margin * (1.0 + 1e-6):
            return f"{best:.8g} above {margin:.8g}"
    return ""


# -- polynomials on one pattern --------------------------------------------------------------------


def _square_terms(x: Array, on: Sequence[bool], power: int) -> Terms:
    """Return `Σ_k v_k (u_k·x)^power` over the units that are on."""
    size, width = x.size, len(on)
    found: Terms = []
    for k in np.flatnonzero(on):
        for place in itertools.product(range(size), repeat=power):
            with mpmath.workdps(DIGITS):
                c = math.prod((mpmath.mpf(float(x[i])) for i in place), start=mpmath.mpf(1))
            found.append((c, (*(int(k) * size + i for i in place), width * size + int(k))))
    return found


def _rectified(X: Array, width: int, theta: Array) -> Case:
    """Return a two-layer relu² network with every pattern that is within 1e-2 of θ."""
    size = X.shape[1]
    unit = theta / np.linalg.norm(theta)
    z = X @ unit[: width * size].reshape(width, size).T
    near = np.abs(z) / np.linalg.norm(X, axis=1)[:, None]
    order = np.argsort(near, axis=None, kind="stable")[:3]
    loose = [divmod(int(i), width) for i in order if near.ravel()[i] <= 1e-2]
    states, patterns = [], []
    for choice in itertools.product((False, True), repeat=len(loose)):
        on = z > 0.0
        for (n, k), own in zip(loose, choice, strict=True):
            on[n, k] = own
        states.append(on)
        patterns.append([_square_terms(x, row, 2) for x, row in zip(X, on, strict=True)])

    def holds(w: Sequence[mpmath.mpf], index: int) -> bool:
        for n, x in enumerate(X):
            for k in range(width):
                z = sum(w[k * size + i] * float(v) for i, v in enumerate(x))
                if z != 0 and (z > 0) != states[index][n, k]:
                    return False
        return True

    return Case(lm.HardMargin(lm.Network((width,), lm.ReLU(2.0)), one_class(X)), 3, patterns, holds)


def _around_one_unit(rng: np.random.Generator, square: bool) -> tuple[Array, Array]:
    """Return samples ±c q + t_n with Σ ±λ_n t_n = 0, and the unit q that they make stationary."""
    size, count = int(rng.integers(2, 4)), int(rng.integers(1, 4))
    q = np.eye(size)[0]
    if rng.random() < 0.5:
        q = rng.standard_normal(size)
        q /= np.linalg.norm(q)
    across = np.linalg.svd(q[None])[2][1:]
    weights = rng.uniform(0.2, 1.0, count)
    # Long samples: a margin as large as others, and a kink as near as 1/length.
    length = 10.0 ** rng.uniform(-1.0, 10.0 if rng.random() < 0.5 else 2.0)
    t = length * rng.standard_normal((count, size - 1))
    t[-1] = -(weights[:-1] @ t[:-1]) / weights[-1]
    side = rng.choice([-1.0, 1.0], count) if square else np.ones(count)
    c = 2.0 ** float(rng.integers(-3, 4))
    return side[:, None] * (c * q + t @ across), q


def square_beside(rng: np.random.Generator) -> Trial:
    """One square unit at a KKT point, with samples of any length, and points beside it."""
    X, q = _around_one_unit(rng, square=True)
    theta, exact = beside(rng, np.append(q, math.sqrt(0.5)))
    problem = lm.HardMargin(lm.Network((1,), lm.Square()), one_class(X))
    case = Case(problem, 3, [[_square_terms(x, [True], 2) for x in X]], always)
    return judged(case, theta, exact)


def outside_a_kink(rng: np.random.Generator) -> Trial:
    """One relu² unit whose kinks on the support are 1 … 1e-10 away, and points beside it."""
    X, q = _around_one_unit(rng, square=False)
    theta, exact = beside(rng, np.append(q, math.sqrt(0.5)))
    if rng.random() < 0.5 and X.shape[1] == 2:
        # Across the kink of one more sample, above the margin or just below 0.
        X = np.vstack([X, X[:1] * rng.uniform(1.0, 2.0)])
    return judged(_rectified(X, 1, theta), theta, exact)


def kink_of_another_unit(rng: np.random.Generator) -> Trial:
    """Two relu² units, each beside the kink of a sample that the other one carries.

    f_n = 1 is carried by unit n; u_1·u_2, and with it one pre-activation, follows from the rest.
    """
    v = rng.uniform(0.4, 1.5, 2)
    small = 10.0 ** rng.uniform(-12.0, -3.0) * rng.choice([-1.0, 1.0])
    size = np.sqrt(2.0) * v
    z = np.array([[0.0, small], [small, 0.0]])
    for _ in range(60):
        if np.max(np.abs(np.diag(z[:, ::-1]))) > 0.3:
            return Trial(None, note="no angle fits")
        positive = np.maximum(z, 0.0)
        z[0, 0] = math.sqrt((1.0 - v[1] * positive[0, 1] ** 2) / v[0])
        z[1, 1] = math.sqrt((1.0 - v[0] * positive[1, 0] ** 2) / v[1])
        positive = np.maximum(z, 0.0)
        weights = np.linalg.solve((positive**2).T, v)
        # u_1·u_2 by the equation of u_1, then the small z of sample 1 by that of u_2.
        inner = 2.0 * v[0] * float(weights @ (positive[:, 0] * z[:, 1]))
        other = 2.0 * v[1] * weights[1] * z[1, 1] * z[1, 0]
        rate = 2.0 * v[1] * weights[0] * positive[0, 1]
        first = 2.0 * v[0] * weights[1] * positive[1, 0] * z[1, 1]
        z[0, 1] = (other + rate * z[0, 0] - first) / (2.0 * v[0] * weights[0] * z[0, 0])
    inner = 2.0 * v[0] * float(weights @ (np.maximum(z[:, 0], 0.0) * z[:, 1]))
    cosine = inner / (size[0] * size[1])
    if not (abs(cosine) < 0.9 and np.all(weights > 0.0)):
        return Trial(None, note="no angle fits")
    units = size[:, None] * np.array([[1.0, 0.0], [cosine, math.sqrt(1.0 - cosine**2)]])
    X = np.linalg.solve(units, z.T).T
    theta, exact = beside(rng, np.concatenate([units.ravel(), v]))
    if rng.random() < 0.5:
        turn = np.linalg.qr(rng.standard_normal((2, 2)))[0]
        X = X @ turn
        theta = np.concatenate([(theta[:4].reshape(2, 2) @ turn).ravel(), theta[4:]])
    return judged(_rectified(X, 2, theta), theta, exact)


# -- diagonal and convolutional networks -----------------------------------------------------------


def _diagonal_terms(x: Array, depth: int) -> Terms:
    """Return `Σ_i x_i Π_l u^l_i`."""
    return [(float(c), tuple(x.size * k + i for k in range(depth))) for i, c in enumerate(x)]


def diagonal_beside(rng: np.random.Generator) -> Trial:
    """Diagonal networks at closed-form KKT points: `Π_{m≠l} u^m_i g_i = u^l_i`, `g = Σ λ_n z_n`."""
    depth, size, count = int(rng.integers(2, 4)), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    kept = rng.random(size) < 0.6
    kept[int(rng.integers(size))] = True
    sign = rng.choice([-1.0, 1.0], size)
    if rng.random() < 0.2:
        size = 2
        sign = rng.choice([-1.0, 1.0], 2)
        kept = np.array([[True, True], [True, False], [False, True]])[rng.integers(3)]
        Z = np.array([[1.0, 0.6], [0.6, 1.0]]) * sign
        beta = sign * (0.625 if np.all(kept) else np.where(kept, 5.0 / 3.0, 0.0))
    else:
        a = np.where(kept, 2.0 ** rng.uniform(-1.0, 1.0, size), 0.0)
        beta = sign * a**depth
        weights = rng.uniform(0.2, 1.0, count)
        weights *= float(np.sum(a**2)) / weights.sum()
        g = np.where(kept, sign, 0.0)
        if depth == 3:
            g = np.where(kept, sign / np.where(kept, a, 1.0), 0.0)
        close = 10.0 ** rng.uniform(-9.0, 0.0, size) * rng.choice([-1.0, 1.0], size)
        g = np.where(kept, g, rng.choice([-1.0, 1.0], size) * (1.0 + close))
        # Z β = 1 and Zᵀ λ = g.
        Z = rng.standard_normal((count, size))
        A = np.vstack([np.kron(np.eye(count), beta), np.kron(weights, np.eye(size))])
        b = np.append(np.ones(count), g)
        for _ in range(3):
            Z = Z + np.linalg.lstsq(A, b - A @ Z.ravel(), rcond=1e-10)[0].reshape(Z.shape)
        if rng.random() < 0.4:
            Z = np.vstack([Z, Z[:1] * rng.uniform(1.0, 2.0)])
    root = np.abs(beta) ** (1.0 / depth)
    blocks = np.tile(root, (depth, 1))
    blocks[0] *= np.where(beta < 0.0, -1.0, 1.0)
    if depth == 3 and rng.random() < 0.5:
        blocks[1:] *= rng.choice([-1.0, 1.0], size)
    theta, exact = beside(rng, blocks.ravel())
    problem = lm.HardMargin(lm.DiagonalNetwork(depth), one_class(Z))
    return judged(
        Case(problem, depth, [[_diagonal_terms(z, depth) for z in Z]], always), theta, exact
    )


def _transform(x: Array) -> list[mpmath.mpf]:
    """Return |x̂_k| of the unitary DFT, in many digits."""
    with mpmath.workdps(DIGITS):
        root = [mpmath.expjpi(-2 * mpmath.mpf(j) / x.size) for j in range(x.size)]
        return [
            abs(sum(mpmath.mpf(float(v)) * root[(k * i) % x.size] for i, v in enumerate(x)))
            / mpmath.sqrt(x.size)
            for k in range(x.size)
        ]


def convolution(rng: np.random.Generator) -> Trial:
    """Full-width convolutions on one support sample: every KKT point is known in its DFT.

    Amplitudes are `a_k = λ |x̂_k| a_k^{L-1}` on any set of frequencies: for L = 2 those of one
    |x̂_k|, for L = 3 any, with `a_k = 1/(λ |x̂_k|)`.
    """
    depth, size = int(rng.integers(2, 4)), int(rng.choice([2, 3, 4, 4, 5]))
    x = np.array([1.0, 1.0, 0.0, 0.0]) if rng.random() < 0.1 else rng.standard_normal(size)
    size = x.size
    spectrum = np.fft.fft(x, norm="ortho")
    if rng.random() < 0.4:
        # Frequencies that nearly tie.
        one, two = rng.integers(size // 2 + 1, size=2)
        ratio = abs(spectrum[one]) / abs(spectrum[two]) if abs(spectrum[two]) > 0.0 else 1.0
        ratio *= 1.0 + 10.0 ** rng.uniform(-9.0, -1.0) * rng.choice([-1.0, 1.0])
        for k in {int(two), int(-two) % size}:
            spectrum[k] *= ratio
        x = np.real(np.fft.ifft(spectrum, norm="ortho"))
        spectrum = np.fft.fft(x, norm="ortho")
    heights = np.abs(spectrum)
    groups = [sorted({k, (-k) % size}) for k in range(size // 2 + 1)]
    alive = [g for g in groups if heights[g[0]] > 1e-3 * np.max(heights)]
    number = 1 if depth == 2 or rng.random() < 0.7 else int(rng.integers(1, len(alive) + 1))
    chosen = [alive[int(i)] for i in rng.permutation(len(alive))[:number]]
    kernels = np.zeros((depth, size), dtype=complex)
    for group in chosen:
        k = group[0]
        height = 1.0 if depth == 2 else 1.0 / heights[k]
        phases = rng.uniform(0.0, 2.0 * math.pi, depth)
        if len(group) == 1:
            phases = math.pi * rng.integers(2, size=depth)
        phases[-1] = np.angle(spectrum[k]) - phases[:-1].sum()
        kernels[:, k] = height * np.exp(1j * phases)
        kernels[:, (-k) % size] = np.conj(kernels[:, k])
    blocks = np.real(np.fft.ifft(kernels, axis=1, norm="ortho"))
    if depth == 2 and rng.random() < 0.5:
        turn = int(rng.integers(size))
        blocks = np.array([np.roll(blocks[0], turn), np.roll(blocks[1], -turn)])
    theta, exact = beside(rng, blocks.ravel())
    X = np.vstack([x, 1.5 * x]) if rng.random() < 0.3 else x[None]
    problem = lm.HardMargin(lm.ConvolutionalNetwork(depth), one_class(X))
    try:
        found = lm.certify(problem, theta)
    except LexmarginError as error:
        return Trial(None, note=str(error))
    word, wrong, refused = found.verdict, "", ""
    unit = theta / np.linalg.norm(theta)
    hats = np.fft.fft(unit.reshape(depth, size), axis=1, norm="ortho")
    margin = float(np.real(np.sum(np.conj(spectrum) * np.prod(hats, axis=0))))
    rows = [
        np.real(np.fft.ifft(spectrum * np.conj(np.prod(np.delete(hats, k, 0), 0)), norm="ortho"))
        for k in range(depth)
    ]
    missed, _ = measured(
        np.array([margin]), np.concatenate(rows)[None], np.zeros(1, int), theta, depth
    )
    exactly = _transform(x)
    best = _best_convolution(exactly, depth)
    with mpmath.workdps(DIGITS):
        rivals = [exactly[g[0]] for g in groups if g not in chosen]
        own = max(exactly[g[0]] for g in chosen)
        dominated = depth == 2 and any(r > own for r in rivals)
    if margin <= 0.0:
        wrong = f"{word} at margin {margin:.3g}" if word.stationary else ""
    elif word.stationary and missed > MISSED:
        wrong = f"{word}, but ε is {missed:.3g}"
    elif word is Verdict.NOT_SEPARATING:
        wrong = f"NOT_SEPARATING, but the margin is {margin:.3g}"
    elif word is Verdict.NOT_STATIONARY and missed <= MET:
        wrong = f"NOT_STATIONARY, but ε is {missed:.3g}"
    elif exact and not word.stationary and missed <= 1e-3 * TOLERANCE:
        refused = f"{word}, but ε is {missed:.3g} ({found.reasons[0]})"
    elif word is Verdict.GLOBAL and margin < float(best) * (1.0 - 1.01 * TOLERANCE):
        wrong = f"GLOBAL at {margin:.12g}, but {float(best):.12g} is reached"
    elif word is Verdict.STRICT_LOCAL and (dominated or number > 1):
        # Opposite phases of one frequency are a symmetry, and strict means modulo symmetries.
        wrong = f"STRICT_LOCAL, but dominated {dominated}, {number} groups"
    elif word is Verdict.SADDLE and not dominated and number == 1:
        wrong = "SADDLE at a local maximum"
    where = f": {problem!r}, X = {X.tolist()}, {theta.tolist()}, frequencies {chosen}"
    return Trial(word, wrong and wrong + where, refused and refused + where)


def _best_convolution(heights: list[mpmath.mpf], depth: int) -> mpmath.mpf:
    """Return the largest margin on the unit sphere: one frequency, or one with its conjugate."""
    size = len(heights)
    with mpmath.workdps(DIGITS):
        found = []
        for k in range(size // 2 + 1):
            alone = k == (-k) % size
            # m equal amplitudes per kernel, m L a² = 1.
            number = 1 if alone else 2
            amplitude = 1 / mpmath.sqrt(number * depth)
            found.append(number * heights[k] * amplitude**depth)
        return max(found)


# -- several classes -------------------------------------------------------------------------------


def _class_case(X: Array, labels: NDArray[np.int64], width: int, power: int, theta: Array) -> Case:
    """Return three classes of scores `Σ_k V_ck σ(u_k·x)`; the differences are the margins."""
    size = X.shape[1]
    data = lm.Dataset(X, labels)
    first = width * size
    unit = theta / np.linalg.norm(theta)
    if not width:
        margins = [
            [
                (mpmath.mpf(float(v)) * s, (c * size + i,))
                for c, s in ((y, 1), (other, -1))
                for i, v in enumerate(x)
            ]
            for x, y in zip(X, labels, strict=True)
            for other in range(3)
            if other != y
        ]
        return Case(lm.HardMargin(lm.Linear(3), data), 1, [margins], always)
    z = X @ unit[:first].reshape(width, size).T
    margins = []
    for x, y, row in zip(X, labels, z, strict=True):
        on = row > 0.0 if power == 2 else [True] * width
        plain = _square_terms(x, on, power)
        for other in range(3):
            if other == y:
                continue
            own: Terms = []
            for c, place in plain:
                k = place[-1] - first
                own.append((c, (*place[:-1], first + int(y) * width + k)))
                with mpmath.workdps(DIGITS):
                    minus = -c
                own.append((minus, (*place[:-1], first + other * width + k)))
            margins.append(own)

    def holds(w: Sequence[mpmath.mpf], index: int) -> bool:
        if power == 1:
            return True
        now = np.array(
            [
                [
                    float(sum(w[k * size + i] * float(v) for i, v in enumerate(x)))
                    for k in range(width)
                ]
                for x in X
            ]
        )
        return bool(np.all((now > 0.0) == (z > 0.0)))

    activation = lm.ReLU(2.0) if power == 2 else None
    network = lm.Network((width,), activation, 3) if activation else lm.Network((width,), outputs=3)
    return Case(lm.HardMargin(network, data), power + 1, [margins], holds, power == 1)


def _solved(
    X: Array, labels: NDArray[np.int64], width: int, power: int, start: Array
) -> Array | None:
    """Return a KKT point by SLSQP, then Newton's method in many digits on its active set."""
    w = start
    for _ in range(3):
        w = _improved(_class_case(X, labels, width, power, w), w)
        if not np.all(np.isfinite(w)) or not np.any(w):
            return None
    case = _class_case(X, labels, width, power, w)
    if case.symmetric:
        # Rotations of the units leave Newton's equations singular; SLSQP has 1e-8 and better.
        return w if np.min(elements(case, w)[0]) > 0.0 else None
    found = critical(case, w)
    return found[0].point if found and found[0].distance < 1e-3 else None


def _improved(case: Case, w: Array) -> Array:
    """Return what SLSQP makes of w on the pattern of units that holds there."""
    slopes = [slope(own, w.size) for own in case.patterns[0]]

    def margins(w: Array) -> Array:
        return np.array([float(value(own, w)) for own in case.patterns[0]]) - 1.0

    def gradients(w: Array) -> Array:
        return np.array([[float(value(one, w)) for one in own] for own in slopes])

    with np.errstate(all="ignore"):
        return np.asarray(
            minimize(
                lambda w: (0.5 * float(w @ w), w),
                w,
                jac=True,
                method="SLSQP",
                options={"maxiter": 60, "ftol": 1e-15},
                constraints={"type": "ineq", "fun": margins, "jac": gradients},
            ).x
        )


def several_classes(rng: np.random.Generator) -> Trial:
    """Three classes at KKT points that SLSQP and Newton's method find, and points beside them."""
    power = int(rng.integers(3))
    width = (0, 2, 3)[power]
    count = int(rng.integers(3, 5))
    labels = np.append([0, 1, 2], rng.integers(0, 3, count - 3))
    angles = 2.0 * math.pi * labels / 3.0
    X = np.stack([np.cos(angles), np.sin(angles)], axis=1) + 0.2 * rng.standard_normal((count, 2))
    start = rng.standard_normal(6) if not width else 1.5 * rng.standard_normal(width * 5)
    if power == 2:
        # One unit along each class, as random units rarely separate.
        units = X[:3] + 0.2 * rng.standard_normal((3, 2))
        outer = np.eye(3) + 0.2 * rng.standard_normal((3, 3))
        start = 1.5 * np.concatenate([units.ravel(), outer.ravel()])
    point = _solved(X, labels, width, power, start)
    if point is None:
        return Trial(None, note="no KKT point was found")
    theta, exact = beside(rng, point)
    return judged(_class_case(X, labels, width, power, theta), theta, exact)


FAMILIES: Final[dict[str, Family]] = {
    "networks: kinks on samples": kinks_on_samples,
    "networks: relu² beside its kink": outside_a_kink,
    "networks: relu² beside another's kink": kink_of_another_unit,
    "networks: square unit": square_beside,
    "networks: diagonal": diagonal_beside,
    "networks: convolution": convolution,
    "networks: three classes": several_classes,
}
SHARES: Final = {
    name: 0.1 if "classes" in name else 0.5 if "kinks" in name else 1.0 for name in FAMILIES
}
