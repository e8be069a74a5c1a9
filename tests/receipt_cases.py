"""Problems and points of which an oracle knows which verdicts are false.

No function here calls the toolkit but to state a problem. A word is false because of a witness: a
better point (GLOBAL), an exact one (NOT_STATIONARY), rational margins (NOT_SEPARATING), or the
least ``sqrt(ε² + δ²)`` of all multipliers, found by another solver (KKT and what rests on it).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog, lsq_linear, minimize

import lexmargin as lm
from lexmargin.formulations.base import Formulation
from lexmargin.judge import Verdict
from uneven_margin import Uneven

_BOTH: Final = lm.Sum([lm.Linear(), lm.Network((4,), lm.ReLU())])
Array = NDArray[np.float64]
Rng = np.random.Generator

LOOSEST: Final = 1e-2
"""No tolerance of a receipt is larger, and every oracle leaves three times as much."""
FAR: Final = 3.0 * LOOSEST
STATIONARY: Final = (Verdict.CLARKE_KKT, Verdict.KKT, Verdict.SADDLE, Verdict.STRICT_LOCAL)
ABOVE: Final = (*STATIONARY, Verdict.GLOBAL)


@dataclass(frozen=True)
class Case:
    """A problem, a point, and the words that are false of it, with the reason of each.

    sharpest, loosest
        the tolerances between which the words are false; 0 where they are at every small one.
    margin, reach
        the margin at the point, and one that a point of the ball has; NaN where not measured.
    """

    problem: Formulation
    theta: Array
    false: dict[Verdict, str]
    sharpest: float = 0.0
    margin: float = math.nan
    reach: float = math.nan
    loosest: float = LOOSEST


def points(rows: Any, y: Any = None) -> lm.Dataset:
    labels = [1] * len(rows) if y is None else list(y)
    return lm.Dataset(np.array(rows, dtype=float), labels, one_class=True)


def unit(theta: Any, p: float = 2.0) -> Array:
    values = np.asarray(theta, dtype=float)
    values = values / np.max(np.abs(values))
    return values / np.linalg.norm(values, p)


def rational_margin(Z: Array, theta: Array) -> Fraction:
    return min(
        sum((Fraction(float(a)) * Fraction(float(b)) for a, b in zip(z, theta, strict=True)),
            Fraction(0))
        for z in Z
    )  # fmt: skip


def least_misfit(target: Array, rows: Array, excess: Array) -> float:
    """Return the least ``sqrt(ε² + δ²)`` over λ ≥ 0, bounded from below by its own dual."""
    matrix = np.vstack([rows.T, excess])
    lengths = np.linalg.norm(matrix, axis=0)
    matrix = matrix[:, lengths > 0.0] / lengths[lengths > 0.0]
    aim = np.append(target, 0.0)
    if not matrix.shape[1]:
        return float(np.linalg.norm(aim))
    found = lsq_linear(matrix, aim, (0.0, np.inf), method="bvls", tol=1e-14)
    rest = aim - matrix @ np.maximum(found.x, 0.0)
    size = float(np.linalg.norm(rest))
    if size < 1e-6 or np.max(matrix.T @ rest) > 1e-6 * size:
        return 0.0
    return float(aim @ rest) / size


def separable(rng: Rng, count: int, size: int) -> Array:
    """Return rows with a positive product with one direction."""
    toward = rng.standard_normal(size)
    rows = rng.standard_normal((count, size)) * rng.choice([0.3, 1.0, 3.0], (count, 1))
    rows *= np.sign(rows @ toward)[:, None]
    return rows + toward * rng.uniform(0.05, 1.0)


def best_linear(Z: Array, p: float) -> Array:
    """Return a direction of nearly the largest margin: a witness, whatever it is."""
    count, size = Z.shape
    if p == 2.0 or 1.0 < p < math.inf:
        start = unit(np.mean(Z, axis=0), p)
        found = minimize(
            lambda v: -v[-1],
            np.append(start, np.min(Z @ start)),
            constraints=[
                {"type": "ineq", "fun": lambda v: Z @ v[:-1] - v[-1]},
                {"type": "ineq", "fun": lambda v: 1.0 - np.sum(np.abs(v[:-1]) ** p)},
            ],
            method="SLSQP",
            options={"maxiter": 200},
        )
        return unit(found.x[:-1], p)
    # θ = a - b, a, b ≥ 0, and the margin t.
    body = np.hstack([-Z, Z, np.ones((count, 1))])
    cost = np.zeros(2 * size + 1)
    cost[-1] = -1.0
    if p == 1.0:
        ball, sides = np.append(np.ones(2 * size), 0.0)[None, :], np.ones(1)
    else:
        eye = np.eye(size)
        ball = np.vstack([np.hstack([s * eye, -s * eye, np.zeros((size, 1))]) for s in (1, -1)])
        sides = np.ones(2 * size)
    found = linprog(
        cost,
        np.vstack([body, ball]),
        np.append(np.zeros(count), sides),
        bounds=[(0, None)] * (2 * size) + [(None, None)],
    )
    return unit(found.x[:size] - found.x[size : 2 * size], p)


def scaled(rng: Rng) -> float:
    return float(10.0 ** rng.choice([0, 0, 0, -20, -8, 8, 20]))


# -- linear scores ---------------------------------------------------------------------------------


def linear_off(rng: Rng) -> Case:
    """A separating direction with a margin clearly below the largest."""
    p = float(rng.choice([1.0, 2.0, 3.0, math.inf]))
    while True:
        Z = separable(rng, int(rng.integers(2, 7)), int(rng.integers(2, 5)))
        best = best_linear(Z, p)
        theta = unit(best + rng.choice([0.1, 0.3, 1.0]) * rng.standard_normal(best.size), p)
        top, here = float(np.min(Z @ best)), float(np.min(Z @ theta))
        if 1e-3 * top < here <= 0.88 * top:
            break
    size = scaled(rng)
    Z = Z * size
    data = points(Z)
    kind = int(rng.integers(3))
    rho = float(10.0 ** rng.uniform(-3, 3))
    problem: Formulation = lm.HardMargin(lm.Linear(), data, p)
    if kind == 1:
        problem = lm.MarginPath(lm.Linear(), data, rho, p)
    elif kind == 2:
        problem = lm.Lexicographic(lm.Linear(), data, p, 1)
    assert rational_margin(Z, theta) > 0
    better = f"another direction has {top / here:.3g} times the margin, and f is linear"
    false = dict.fromkeys(ABOVE, better)
    false[Verdict.FRITZ_JOHN] = "every margin grows along θ itself"
    false[Verdict.NOT_SEPARATING] = "all margins are positive, in rationals"
    return Case(problem, theta, false, 0.0, here * size, top * size)


def linear_best(rng: Rng) -> Case:
    """The best direction, in small whole numbers: z = g ± t, where g supports the ball at θ."""
    p = float(rng.choice([1.0, 2.0, math.inf]))
    size = int(rng.integers(2, 4))
    theta = rng.choice([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0], size)
    if math.isinf(p):
        theta = np.sign(theta)
    g = np.sign(theta) if p == 1.0 else theta
    t = np.zeros(size)
    t[0], t[1] = theta[1], -theta[0]
    rows = [g + t, g - t]
    far = rng.integers(0, 3)
    rows += [g * float(rng.integers(2, 5)) + t * float(rng.integers(-1, 2)) for _ in range(far)]
    Z = np.array(rows) * 2.0 ** float(rng.choice([0, -60, 60]))
    problem: Formulation = lm.HardMargin(lm.Linear(), points(Z), p)
    if rng.random() < 0.3:
        problem = lm.MarginPath(lm.Linear(), points(Z), 3.0, p)
    why = "½ and ½ are multipliers, exactly"
    false = {
        Verdict.NOT_STATIONARY: why,
        Verdict.SADDLE: "f is linear and the direction optimal",
        Verdict.FRITZ_JOHN: why,
        Verdict.NOT_SEPARATING: "all margins are positive, in rationals",
    }
    margin = float(rational_margin(Z, theta)) / float(np.linalg.norm(theta, p))
    return Case(problem, theta * 2.0 ** float(rng.integers(-40, 40)), false, 0.0, margin, margin)


def linear_uneven(rng: Rng) -> Case:
    """The rows within 1 % of the margin support the ball at θ, but their margins are not equal."""
    p = float(rng.choice([1.0, 3.0, math.inf]))
    signs = rng.choice([-1.0, 1.0], 2)
    base = signs * rng.uniform(0.5, 2.0, 2)
    base = signs if math.isinf(p) else unit(base, p)
    g = signs if p == 1.0 else np.sign(base) * np.abs(base) ** (p - 1.0 if p == 3.0 else 1.0)
    if math.isinf(p):
        g = base * rng.uniform(0.5, 2.0, 2)
    apart = float(10.0 ** rng.uniform(-4.0, -2.1))
    t = np.array([base[1], -base[0]]) * float(rng.uniform(0.3, 1.0))
    Z = np.vstack([(g + t) * (1.0 + apart), g - t])
    best = best_linear(Z, p)
    here, top = float(np.min(Z @ base)), float(np.min(Z @ best))
    if not top > (1.0 + 0.1 * apart) * here:
        return linear_uneven(rng)
    gain = top / here - 1.0
    false = dict.fromkeys(ABOVE, f"another direction has {gain:.3g} of the margin more")
    false[Verdict.FRITZ_JOHN] = "every margin grows along θ itself"
    problem = lm.HardMargin(lm.Linear(), points(Z), p)
    return Case(problem, base, false, 0.0, here, top, gain / 8.0)


def near_in_margin(rng: Rng) -> Case:
    """The margin is within 1e-9 of the best, and a later level is not: a long row sees √gap."""
    s = float(10.0 ** rng.uniform(-5.5, -4.5))
    k = 3.0 * float(rng.uniform(0.1, 0.6)) / s
    Z = np.array([[1.0, s], [1.0, -s], [2.0, k]])
    theta = np.array([math.cos(s / 3.0), -math.sin(s / 3.0)])
    # The best direction is (1, 0), by symmetry, and its third margin 2.
    third = float(Z[2] @ theta)
    assert third < 2.0 * (1.0 - FAR)
    false = {
        Verdict.GLOBAL: f"the third level is {third:.6g} where the best direction has 2",
        Verdict.FRITZ_JOHN: "every margin grows along θ itself",
        Verdict.NOT_SEPARATING: "the margins are positive",
    }
    problem = lm.Lexicographic(lm.Linear(), points(Z), 2.0)
    return Case(problem, theta, false, 0.0, math.nan, math.nan)


def several_classes(rng: Rng) -> Case:
    """Three classes around the origin, with the class scores turned away from the best ones."""
    X = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]) * float(rng.choice([1.0, 2.0**20]))
    best = np.array([[2.0, -1.0], [-1.0, 2.0], [-1.0, -1.0]])
    while True:
        turned = best + rng.standard_normal((3, 2)) * float(rng.choice([0.3, 1.0]))
        theta = unit(np.ravel(turned))
        here, top = _class_margin(X, theta), _class_margin(X, unit(np.ravel(best)))
        if 1e-3 * top < here < 0.9 * top:
            break
    data = lm.Dataset(X, [0, 1, 2])
    false = dict.fromkeys(ABOVE, f"other scores have {top / here:.3g} times the margin")
    false[Verdict.FRITZ_JOHN] = "every margin grows along θ itself"
    false[Verdict.NOT_SEPARATING] = "all margins are positive"
    return Case(lm.HardMargin(lm.Linear(outputs=3), data), theta, false, 0.0, here, top)


def _class_margin(X: Array, theta: Array) -> float:
    scores = X @ theta.reshape(3, 2).T
    return float(min(scores[n, n] - scores[n, c] for n in range(3) for c in range(3) if c != n))


def far_multiplier(rng: Rng) -> Case:
    """Stationary only with a multiplier far from the margin, so small that δ does not see it."""
    tilt, pull = 10.0 ** rng.uniform(-6, -4), 10.0 ** rng.uniform(6, 12)
    Z = np.array([[1.0, tilt], [float(rng.uniform(1.5, 5.0)), -pull]])
    share = tilt / pull
    excess = share * (Z[1, 0] - 1.0)
    assert excess < 1e-9
    why = f"λ = (1, {share:.3g}) leaves ε = 0 and δ = {excess:.3g}"
    false = {
        Verdict.NOT_STATIONARY: why,
        Verdict.SADDLE: "f is linear",
        Verdict.FRITZ_JOHN: why,
        Verdict.NOT_SEPARATING: "the margins are the first column",
    }
    return Case(lm.HardMargin(lm.Linear(), points(Z)), np.array([1.0, 0.0]), false, 1e-9, 1.0, 1.0)


def levels_off(rng: Rng) -> Case:
    """The first level is tied all over a face, and a later one is not at its best."""
    if rng.random() < 0.5:
        k, t = float(rng.uniform(2.0, 4.0)), float(rng.uniform(-0.9, 0.5))
        problem = lm.Lexicographic(lm.Linear(), points([[1.0, 0.0], [k, 1.0]]), math.inf)
        theta, better = np.array([1.0, t]), np.array([1.0, 1.0])
        Z = np.array([[1.0, 0.0], [k, 1.0]])
    else:
        size = int(rng.integers(2, 5))
        second = rng.permutation(size) + float(rng.uniform(1.5, 3.0))
        Z = np.vstack([np.ones(size), second, second + rng.uniform(2.0, 4.0, size)])
        wrong = int(rng.choice(np.flatnonzero(second < np.max(second))))
        theta, better = np.eye(size)[wrong], np.eye(size)[int(np.argmax(second))]
        problem = lm.Lexicographic(lm.Linear(), points(Z), 1.0)
    here, there = np.sort(Z @ theta), np.sort(Z @ better)
    assert here[0] == there[0] and there[1] > (1.0 + FAR) * here[1]
    why = f"the second level can be {there[1]:.6g}, not {here[1]:.6g}"
    false = {
        Verdict.GLOBAL: why,
        Verdict.NOT_SEPARATING: "the margins are positive",
        Verdict.NOT_STATIONARY: "no direction has a larger first level",
        Verdict.FRITZ_JOHN: "every margin grows along θ itself",
        Verdict.SADDLE: "no direction has a larger first level",
    }
    return Case(problem, theta, false, 0.0, float(here[0]), float(here[0]))


# -- networks --------------------------------------------------------------------------------------


def diagonal_margins(Z: Array, depth: int, theta: Array) -> Array:
    return np.asarray(Z @ np.prod(theta.reshape(depth, -1), axis=0))


def diagonal_gradients(Z: Array, depth: int, theta: Array) -> Array:
    blocks = theta.reshape(depth, -1)
    parts = [np.prod(np.delete(blocks, k, axis=0), axis=0) for k in range(depth)]
    return np.hstack([Z * part for part in parts])


def balanced(beta: Array, depth: int) -> Array:
    """Return the shortest θ with product β ≥ 0, at unit length."""
    return unit(np.tile(np.asarray(beta) ** (1.0 / depth), depth))


def diagonal_off(rng: Rng) -> Case:
    """A direction whose least misfit, over all multipliers, is beyond every tolerance."""
    depth = int(rng.choice([2, 3]))
    while True:
        Z = rng.uniform(0.1, 2.0, (int(rng.integers(1, 4)), 2))
        theta = unit(rng.uniform(0.2, 1.0, 2 * depth))
        f = diagonal_margins(Z, depth, theta)
        rows = diagonal_gradients(Z, depth, theta)
        if least_misfit(theta, rows, depth * (f - np.min(f))) > FAR:
            break
    here = float(np.min(f))
    grid = [balanced(np.array([s, 1.0 - s]), depth) for s in np.linspace(0.0, 1.0, 101)]
    top = max(float(np.min(diagonal_margins(Z, depth, other))) for other in grid)
    false = dict.fromkeys(STATIONARY, "no multipliers come nearer than 0.03")
    false[Verdict.FRITZ_JOHN] = "every margin grows along θ itself"
    false[Verdict.NOT_SEPARATING] = "all entries are positive"
    if top > (1.0 + FAR) * here:
        false[Verdict.GLOBAL] = f"another direction has {top / here:.3g} times the margin"
    problem = lm.HardMargin(lm.DiagonalNetwork(depth), points(Z))
    return Case(problem, theta, false, 0.0, here, max(top, here))


def diagonal_face(rng: Rng) -> Case:
    """One coordinate alone, though another does better: a saddle at depth 2, a maximum at 3."""
    depth = int(rng.choice([2, 3]))
    a = float(rng.uniform(1.1, 3.0))
    Z = np.array([[1.0, a]] * int(rng.integers(1, 3))) * rng.choice([1.0, 2.0**-40, 2.0**40])
    theta = np.tile([1.0, 0.0], depth)
    here = float(Z[0, 0]) * depth ** (-0.5 * depth)
    false = {
        Verdict.GLOBAL: f"the other coordinate has {a:.3g} times the margin",
        Verdict.NOT_STATIONARY: "the gradient is a multiple of θ",
        Verdict.FRITZ_JOHN: "every margin grows along θ itself",
        Verdict.NOT_SEPARATING: "the products are 1",
    }
    if depth == 2:
        false[Verdict.STRICT_LOCAL] = "mixing s of the other in raises the margin by (a - 1) s²/2"
    else:
        false[Verdict.SADDLE] = "mixing s of the other in costs s² and gains s³"
    problem = lm.HardMargin(lm.DiagonalNetwork(depth), points(Z))
    return Case(problem, theta, false, 0.0, here, here * a)


def relu_margins(X: Array, y: Array, width: int, theta: Array) -> Array:
    size = X.shape[1]
    inner, outer = theta[: width * size].reshape(width, size), theta[width * size :]
    return np.asarray(y * (np.maximum(X @ inner.T, 0.0) @ outer))


def relu_kink(rng: Rng) -> Case:
    """A sample exactly on a kink, and no choice of slopes that makes the point stationary."""
    while True:
        width, count = int(rng.integers(2, 4)), int(rng.integers(2, 5))
        X = rng.integers(-3, 4, (count, 2)).astype(float)
        inner = rng.integers(-3, 4, (width, 2)).astype(float)
        inner[0] = [X[0, 1], -X[0, 0]]
        outer = rng.choice([-2.0, -1.0, 1.0, 2.0], width)
        z = X @ inner.T
        scores = np.maximum(z, 0.0) @ outer
        if np.any(scores == 0.0) or np.any(~np.any(X != 0.0, axis=1)):
            continue
        theta = np.concatenate([np.ravel(inner), outer])
        length = float(np.linalg.norm(theta))
        reach = np.abs(z) / (np.linalg.norm(X, axis=1)[:, None] * length)
        if np.any((reach > 0.0) & (reach < FAR)):
            continue
        y = np.sign(scores)
        f = y * scores / length**2
        if least_misfit(*_kinked(X, y, inner, outer, z, length, f)) > FAR:
            break
    why = "no slopes and multipliers come nearer than 0.03"
    false = dict.fromkeys(STATIONARY, why)
    false[Verdict.FRITZ_JOHN] = "every margin grows along θ itself"
    false[Verdict.NOT_SEPARATING] = "the scores are whole numbers of the right signs"
    problem = lm.HardMargin(lm.Network((width,), lm.ReLU()), points(X, y.astype(int)))
    return Case(problem, theta, false, 0.0, float(np.min(f)))


def _kinked(
    X: Array, y: Array, inner: Array, outer: Array, z: Array, length: float, f: Array
) -> tuple[Array, Array, Array]:
    """Return θ̂ and all vertices of the generalised gradients, with their shares in δ."""
    rows, excess = [], []
    for n in range(y.size):
        free = np.flatnonzero(z[n] == 0.0)
        for choice in itertools.product((0.0, 1.0), repeat=free.size):
            slopes = np.where(z[n] > 0.0, 1.0, 0.0)
            slopes[free] = choice
            first = np.outer(outer * slopes, X[n]) * y[n] / length
            last = y[n] * np.maximum(z[n], 0.0) / length
            rows.append(np.concatenate([np.ravel(first), last]))
            excess.append(2.0 * (f[n] - np.min(f)))
    theta = np.concatenate([np.ravel(inner), outer]) / length
    return theta, np.array(rows), np.array(excess)


def relu_xor(rng: Rng) -> Case:
    """Four units, one for each sample of the exclusive or; every unit is at two kinks."""
    X = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
    y = np.array([1, 1, -1, -1])
    theta = np.concatenate([np.ravel(X) / math.sqrt(2.0), y.astype(float)])
    theta = theta * float(10.0 ** rng.uniform(-20.0, 20.0))
    why = "each sample has its own unit, and the four are orthogonal or opposite"
    false = {
        Verdict.NOT_STATIONARY: why,
        Verdict.SADDLE: why,
        Verdict.FRITZ_JOHN: "every margin grows along θ itself",
        Verdict.NOT_SEPARATING: "all margins are equal and positive",
    }
    problem = lm.HardMargin(lm.Network((4,), lm.ReLU()), points(X, y))
    return Case(problem, theta, false, 1e-9)


def relu_single(rng: Rng) -> Case:
    """One unit serves two samples, where one unit each does better."""
    angle = np.deg2rad(float(rng.uniform(123.0, 160.0)))
    X = np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
    middle = np.array([np.cos(angle / 2), np.sin(angle / 2)])
    theta = np.concatenate([middle, [0.0, 0.0, 1.0, 0.0]])
    apart = np.concatenate([X[0], X[1], [1.0, 1.0]])
    ones = np.ones(2)
    here = float(np.min(relu_margins(X, ones, 2, unit(theta))))
    there = float(np.min(relu_margins(X, ones, 2, unit(apart))))
    assert there > (1.0 + FAR) * here
    false = {
        Verdict.GLOBAL: f"two units have {there / here:.3g} times the margin",
        Verdict.STRICT_LOCAL: "giving the second unit s to either sample gains in s²",
        Verdict.FRITZ_JOHN: "every margin grows along θ itself",
        Verdict.NOT_SEPARATING: "the angle to each sample is below a right one",
    }
    problem = lm.HardMargin(lm.Network((2,), lm.ReLU()), points(X))
    return Case(problem, theta, false, 1e-9, here, there)


def _four_units(rng: Rng) -> tuple[Array, Array, Array, Array]:
    """Return costs, levels, and a point of a linear part and four units, one for each sample.

    Every unit is 0 at both samples of the other class, exactly. Costs per part, or per unit.
    """
    X, y = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]]), [1.0, 1.0, -1.0, -1.0]
    costs = np.repeat(rng.uniform(0.2, 5.0, 3), (2, 8, 4))
    costs[2:10] *= np.repeat(rng.uniform(0.5, 2.0, 4), 2)
    wanted = np.repeat(rng.uniform(0.5, 2.0, 2), 2)
    units, outer = np.zeros((4, 2)), np.zeros(4)
    for n in range(4):
        inner, out = costs[2 + 2 * n], costs[10 + n]
        size = np.sqrt(wanted[n] / np.sqrt(2.0))
        units[n] = X[n] / np.sqrt(2.0) * size * (out / inner) ** 0.25
        outer[n] = y[n] * size * (inner / out) ** 0.25
    return costs, wanted, np.concatenate([np.zeros(2), units.ravel(), outer]), X


def sum_at_kinks(rng: Rng) -> Case:
    """A linear part and four units on kinks, and no slopes that make the point stationary."""
    y = np.array([1.0, 1.0, -1.0, -1.0])
    while True:
        costs, _, w, X = _four_units(rng)
        if rng.random() < 0.5:
            w[:2] = rng.uniform(-0.3, 0.3, 2)
        else:
            w[2 + 2 * int(rng.integers(4)) :][:2] *= float(rng.uniform(1.1, 2.0))
        units, outer = w[2:10].reshape(4, 2), w[10:]
        scores = X @ w[:2] + np.maximum(X @ units.T, 0.0) @ outer
        levels = y * scores
        if np.min(levels) < 0.2:
            continue
        root, rows = np.sqrt(costs), []
        for n, x in enumerate(X):
            z = units @ x
            free = np.flatnonzero(z == 0.0)
            assert free.size == 2
            for choice in itertools.product((0.0, 1.0), repeat=2):
                slopes = np.where(z > 0.0, 1.0, 0.0)
                slopes[free] = choice
                inner = np.outer(outer * slopes, x)
                row = np.concatenate([x, inner.ravel(), np.maximum(z, 0.0)])
                rows.append(y[n] * row / levels[n] / root)
        target = root * w / np.linalg.norm(root * w)
        if least_misfit(target, np.array(rows), np.zeros(len(rows))) > FAR:
            break
    false = dict.fromkeys(STATIONARY, "no slopes and multipliers come nearer than 0.03")
    false[Verdict.FRITZ_JOHN] = "every margin grows along a positive multiple of each part"
    false[Verdict.NOT_SEPARATING] = "the levels are positive, and met"
    problem = Uneven(_BOTH, points(X, [1, 1, -1, -1]), tuple(costs), tuple(levels))
    return Case(problem, w, false, 0.0, 1.0)


def sum_at_kinks_best(rng: Rng) -> Case:
    """The same in balance: each sample has its own unit, and the linear part is not needed."""
    costs, wanted, w, X = _four_units(rng)
    # λ of the samples of a class are equal, so that Σ λ y x = 0.
    costs = np.repeat(costs[[0, 2, 10]], (2, 8, 4))
    costs[2:10], costs[10:] = costs[2], costs[2]
    y = np.array([1.0, 1.0, -1.0, -1.0])
    size = np.sqrt(wanted / np.sqrt(2.0))
    w[2:10] = (X / np.sqrt(2.0) * size[:, None]).ravel()
    w[10:] = y * size
    why = "λ_n = c √2 r_n/2 serves every unit, slope 0 every kink, and the linear part is 0"
    false = {
        Verdict.NOT_STATIONARY: why,
        Verdict.FRITZ_JOHN: why,
        Verdict.SADDLE: "each sample has its own unit, and the four are orthogonal or opposite",
        Verdict.NOT_SEPARATING: "the levels are positive, and met",
    }
    problem = Uneven(_BOTH, points(X, [1, 1, -1, -1]), tuple(costs), tuple(wanted))
    return Case(problem, w, false, 1e-9, 1.0)


# -- polynomials -----------------------------------------------------------------------------------


def polynomial_peaks(rng: Rng) -> Case:
    """``a θ₁^m + b θ₂^m`` at the lower of its two strict maxima."""
    degree = int(rng.choice([4, 6]))
    low = float(rng.uniform(0.3, 0.9))
    rows = [[1.0, low]] * int(rng.integers(1, 3))
    predictor = lm.Polynomial([[degree, 0], [0, degree]])
    rho, kind = 2.0, int(rng.integers(3))
    problem: Formulation = lm.HardMargin(predictor, points(rows))
    if kind == 1:
        problem = lm.MarginPath(predictor, points(rows), rho)
    elif kind == 2:
        problem = lm.Lexicographic(predictor, points(rows), 2.0, 1)
    false = {
        Verdict.SADDLE: "a strict local maximum: moving by s costs m s²/2 and gains s^m",
        Verdict.GLOBAL: f"the other axis has {1 / low:.3g} times the margin",
        Verdict.NOT_STATIONARY: "the gradient is a multiple of θ",
        Verdict.FRITZ_JOHN: "every margin grows along θ itself",
        Verdict.NOT_SEPARATING: "the margin is a coefficient",
    }
    return Case(problem, np.array([0.0, 1.0]), false)


def weak_margins(rng: Rng) -> Case:
    """Weakly active margins block both sides of a strict maximum: `1 - |t|` to first order."""
    slope, far = float(rng.uniform(0.5, 2.0)), float(rng.uniform(1.5, 4.0))
    rows = [[1.0, 0.0, far], [1.0, slope, far + 1.0], [1.0, -slope, far + 1.0]]
    problem = lm.HardMargin(lm.Polynomial([[2, 0], [1, 1], [0, 2]]), points(rows))
    false = {
        Verdict.SADDLE: "the margin falls like 1 - s|t| on both sides",
        Verdict.GLOBAL: f"the margin is {far:.3g} at the other axis",
        Verdict.NOT_STATIONARY: "the first gradient is a multiple of θ",
        Verdict.FRITZ_JOHN: "every margin grows along θ itself",
        Verdict.NOT_SEPARATING: "the margin is 1",
    }
    return Case(problem, np.array([1.0, 0.0]), false, 0.0, 1.0, far)


def rising_cubic(rng: Rng) -> Case:
    """The margin rises monotonically through the point: `1 + a t + b t² + c t³`, no extremum."""
    bend, steep = float(rng.uniform(1e-3, 1e-2)), float(10.0 ** rng.uniform(3.0, 4.0))
    slope = float(10.0 ** rng.uniform(-8.5, -7.5))
    # On the circle θ₁² = 1 - t² + …: the quadratic term is 3/2 less.
    row = [1.0, slope, 1.5 - bend, steep]
    if bend**2 >= 3.0 * slope * steep * 0.9:
        bend = math.sqrt(1.5 * slope * steep)
        row[2] = 1.5 - bend
    problem = lm.HardMargin(lm.Polynomial([[3, 0], [2, 1], [1, 2], [0, 3]]), points([row]))
    false = {
        Verdict.STRICT_LOCAL: "the derivative a - 2 b t + 3 c t² has no zero",
        Verdict.GLOBAL: "the other axis does better",
        Verdict.FRITZ_JOHN: "every margin grows along θ itself",
        Verdict.NOT_SEPARATING: "the margin is 1",
    }
    return Case(problem, np.array([1.0, 0.0]), false, 0.0, 1.0, steep)


def peak_and_slope(rng: Rng) -> Case:
    """At θ one margin has gradient 0 and another serves as the multiplier: KKT, not Fritz John."""
    at, level = float(rng.choice([0.5, 1.0, 2.0])), 1.0
    rows = [[-level / at**2, 2.0 * level / at], [0.0, level / at]]
    gamma = level if rng.random() < 0.7 else None
    problem = lm.MarginPath(
        lm.Polynomial([[2], [1]]), points(rows), 1.0 if gamma else at, gamma=gamma
    )
    theta = np.array([at if gamma else 1.0])
    false = {
        Verdict.FRITZ_JOHN: "the second margin has a slope: λ = (0, θ²)",
        Verdict.NOT_STATIONARY: "the second margin has a slope: λ = (0, θ²)",
        Verdict.NOT_SEPARATING: "both margins are 1",
    }
    return Case(problem, theta, false, 0.0, 1.0)


# -- logarithms and losses -------------------------------------------------------------------------


def log_best(rng: Rng) -> Case:
    """`log(θ·z)` is best where θ·z is: a linear optimum in whole numbers."""
    found = linear_best(rng)
    Z = np.asarray(found.problem.data.X)
    theta = unit(found.theta, found.problem.norm_p)
    rho = 100.0 / float(np.min(Z @ theta))
    problem = lm.MarginPath(lm.Log(), points(Z), rho, found.problem.norm_p)
    return Case(problem, theta, found.false, 1e-9, math.log(100.0))


def log_off(rng: Rng) -> Case:
    """A separating direction whose logarithmic margin is clearly not the largest."""
    while True:
        found = linear_off(rng)
        if found.problem.norm_p != 3.0:
            break
    p = found.problem.norm_p
    rho = 3.0 / found.margin
    problem = lm.MarginPath(lm.Log(), points(found.problem.data.X), rho, p)
    here, top = math.log(3.0), math.log(3.0 * found.reach / found.margin)
    false = dict(found.false)
    return Case(problem, found.theta, false, 1e-9, here, top)


def _loss(kind: str, f: Array) -> float:
    terms = -f if kind == "exponential" else np.log1p(np.exp(-f))
    if kind == "exponential":
        top = float(np.max(terms))
        return top + math.log(float(np.sum(np.exp(terms - top))))
    return math.log(float(np.sum(terms)))


def loss_off(rng: Rng) -> Case:
    """A point of a convex loss problem, clearly costlier than another."""
    p = float(rng.choice([1.0, 2.0, math.inf]))
    kind = str(rng.choice(["exponential", "logistic"]))
    while True:
        Z = separable(rng, int(rng.integers(2, 6)), 2)
        rho = float(rng.uniform(1.0, 8.0))
        best, theta = best_linear(Z, p), unit(rng.standard_normal(2), p)
        here, there = _loss(kind, rho * Z @ theta), _loss(kind, rho * Z @ best)
        if np.min(Z @ theta) > 0.05 and here - there > 5.0 * FAR * max(1.0, abs(here)):
            break
    problem: Formulation = lm.ConstrainedPath(lm.Linear(), points(Z), rho, p, kind)
    if rng.random() < 0.3:
        # With so large a coefficient the penalty alone is larger than another point's objective.
        strength = float(10.0 * len(Z) / rho)
        problem = lm.RegularizationPath(lm.Linear(), points(Z), strength, p, 1.0, kind)
        theta = rho * theta
    false = dict.fromkeys(ABOVE, "convex, and another point is clearly better")
    false[Verdict.FRITZ_JOHN] = "every margin grows along θ itself"
    false[Verdict.NOT_SEPARATING] = "all margins are positive"
    return Case(problem, theta, false, 0.0)


def loss_best(rng: Rng) -> Case:
    """Two mirrored samples: their weights are equal, so that -∇L is a multiple of θ."""
    side, across = float(rng.uniform(0.2, 2.0)), float(rng.uniform(0.1, 3.0))
    Z = np.array([[side, across], [side, -across]])
    kind = str(rng.choice(["exponential", "logistic"]))
    rho = float(rng.uniform(1.0, 10.0))
    problem = lm.ConstrainedPath(lm.Linear(), points(Z), rho, 2.0, kind)
    false = {
        Verdict.NOT_STATIONARY: "by symmetry",
        Verdict.FRITZ_JOHN: "by symmetry",
        Verdict.SADDLE: "convex",
        Verdict.NOT_SEPARATING: "all margins are positive",
    }
    return Case(problem, np.array([1.0, 0.0]), false, 1e-9, rho * side)


# -- sums ------------------------------------------------------------------------------------------


def bias_problem(rng: Rng, gamma: float) -> tuple[Formulation, Array, Array, Array, str]:
    """Return a problem of w and a bias, two samples, and its optimum (w, β) in closed form."""
    form = str(rng.choice(["signed-square", "two-squares"]))
    apart = np.array([1.0, 0.0]) * float(rng.choice([1.0, 2.0, 4.0]))
    if rng.random() < 0.5:
        apart = np.array([1.0, 1.0]) * float(rng.choice([1.0, 2.0]))
    w = 2.0 * apart / float(apart @ apart)
    beta = float(rng.choice([-1.0, 1.0])) * float(rng.choice([0.25, 1.0, 2.25]))
    # w·x₊ + β = 1 and w·x₋ + β = -1.
    plus = w * (1.0 - beta) / float(w @ w)
    X = np.array([plus, plus - apart])
    predictor = lm.Sum([lm.Linear(), lm.Bias(form)])
    data = points(X, [1, -1])
    problem: Formulation = lm.WSet(predictor, data)
    if gamma:
        problem = lm.ScaledMargin(predictor, data, gamma)
    return problem, X, w, np.array([beta]), form


def with_bias(w: Array, beta: float, form: str) -> Array:
    root = math.sqrt(abs(beta))
    if form == "signed-square":
        return np.append(w, math.copysign(root, beta))
    return np.append(w, [root if beta > 0 else 0.0, 0.0 if beta > 0 else root])


def bias_best(rng: Rng) -> Case:
    """The hard margin with a free bias of two samples, in closed form."""
    problem, _, w, beta, form = bias_problem(rng, 0.0)
    theta = with_bias(w, float(beta[0]), form)
    why = "two samples: w = 2 (x₊ - x₋)/‖x₊ - x₋‖²"
    false = {
        Verdict.NOT_STATIONARY: why,
        Verdict.FRITZ_JOHN: why,
        Verdict.SADDLE: "convex in w",
        Verdict.NOT_SEPARATING: "both margins are 1",
    }
    return Case(problem, theta, false, 1e-12, 1.0)


def bias_off(rng: Rng) -> Case:
    """A feasible point with a clearly longer w, or a bias that pays for nothing."""
    gamma = float(rng.choice([0.0, 2.0, 10.0]))
    problem, X, w, beta, form = bias_problem(rng, gamma)
    y = np.array([1.0, -1.0])
    best = float(w @ w) * (gamma**2 if gamma else 1.0)
    best += gamma * abs(float(beta[0])) if gamma else 0.0
    across = np.array([-w[1], w[0]])
    while True:
        turned = w + across * float(rng.uniform(0.4, 1.2)) * rng.choice([-1.0, 1.0])
        products = X @ turned
        # The shortest multiple with both margins at 1 or above, and its bias in the middle.
        stretch = 2.0 / float(products[0] - products[1])
        if stretch > 0.0:
            break
    moved = stretch * turned
    shift = 1.0 - float(X[0] @ moved)
    theta = with_bias(moved, shift, form)
    values = y * (X @ moved + shift)
    assert np.max(np.abs(values - 1.0)) < 1e-9
    cost = float(moved @ moved) * (gamma**2 if gamma else 1.0)
    cost += gamma * abs(shift) if gamma else 0.0
    false = {Verdict.NOT_SEPARATING: "both margins are 1"}
    if cost > (1.0 + 2.0 * FAR) * best:
        false[Verdict.GLOBAL] = f"the closed form costs {best:.4g}, this point {cost:.4g}"
    if gamma == 0.0:
        # Both samples are needed and Σ λ y = 0 (b ≠ 0): w must lie along x₊ - x₋.
        misfit = float(np.linalg.norm(across @ moved) / np.linalg.norm(across))
        if misfit > FAR * float(np.linalg.norm(moved)) and abs(shift) > 0.05:
            false |= dict.fromkeys(STATIONARY, "w is turned away from x₊ - x₋")
    return Case(problem, theta, false, 1e-9, 1.0)


FAMILIES: Final[dict[str, Callable[[Rng], Case]]] = {
    "linear, not the best": linear_off,
    "linear, the best": linear_best,
    "linear, uneven support": linear_uneven,
    "several classes": several_classes,
    "multiplier far from the margin": far_multiplier,
    "near in margin only": near_in_margin,
    "a later level": levels_off,
    "diagonal, not stationary": diagonal_off,
    "diagonal, one coordinate": diagonal_face,
    "ReLU at a kink": relu_kink,
    "ReLU, exclusive or": relu_xor,
    "ReLU, one unit for two samples": relu_single,
    "sum at kinks, not stationary": sum_at_kinks,
    "sum at kinks, stationary": sum_at_kinks_best,
    "polynomial, two maxima": polynomial_peaks,
    "polynomial, weakly active margins": weak_margins,
    "polynomial, rising": rising_cubic,
    "peak and slope": peak_and_slope,
    "log, the best": log_best,
    "log, not the best": log_off,
    "loss, not the best": loss_off,
    "loss, the best": loss_best,
    "bias, the best": bias_best,
    "bias, not the best": bias_off,
}
