"""Families about data: kinds of separation, free biases far from the origin, biases per class."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np

import lexmargin as lm
from adversarial_common import Trial
from lexmargin.judge import Verdict, certify, certify_linear
from lexmargin.separability import Coefficient, separability, verify_coefficients

_EPS = float(np.finfo(np.float64).eps)
_TOLERATED = 4e-7
"""Four times the relative tolerance of a certificate."""


# -- kinds of separation ---------------------------------------------------------------------------


def _kernel(rows: list[list[Fraction]], size: int) -> list[list[Fraction]]:
    table, pivots = [list(row) for row in rows], list[int]()
    for column in range(size):
        top = len(pivots)
        row = next((r for r in range(top, len(table)) if table[r][column]), None)
        if row is None:
            continue
        table[top], table[row] = table[row], table[top]
        table[top] = [v / table[top][column] for v in table[top]]
        for other in range(len(table)):
            factor = table[other][column]
            if other != top and factor:
                table[other] = [
                    a - factor * b for a, b in zip(table[other], table[top], strict=True)
                ]
        pivots.append(column)
    basis = []
    for free in (c for c in range(size) if c not in pivots):
        vector = [Fraction(int(c == free)) for c in range(size)]
        for r, pivot in enumerate(pivots):
            vector[pivot] = -table[r][free]
        basis.append(vector)
    return basis


def _generators(rows: list[list[Fraction]], size: int) -> list[list[Fraction]]:
    """Generators of {w : Z w ≥ 0}: the lineality, and the rays where rank - 1 rows vanish."""
    lineality = _kernel(rows, size)
    found = [*lineality, *([-v for v in w] for w in lineality)]
    for chosen in itertools.combinations(rows, max(size - len(lineality) - 1, 0)):
        null = _kernel([*chosen, *lineality], size)
        for sign in (1, -1) if len(null) == 1 else ():
            ray = [sign * v for v in null[0]]
            if all(sum(a * b for a, b in zip(row, ray, strict=True)) >= 0 for row in rows):
                found.append(ray)
    return found


def kinds_of_separation(rng: np.random.Generator) -> Trial:
    """Small integers, some rows repeated with the other label, in columns of any power of two."""
    count, size = int(rng.integers(1, 8)), int(rng.integers(1, 4))
    X = rng.integers(-3, 4, size=(count, size)).astype(float)
    y = np.where(rng.random(count) < 0.5, 1, -1)
    if rng.random() < 0.6:
        y = np.where(X @ rng.integers(-2, 3, size=size) + rng.integers(-2, 3) >= 0, 1, -1)
    if rng.random() < 0.4:
        k = int(rng.integers(count))
        X, y = np.vstack([X, X[k]]), np.append(y, -y[k])
    scaled = X * 2.0 ** rng.integers(-60, 61, size=size)
    data, bias = lm.Dataset(scaled, y, one_class=True), bool(rng.random() < 0.5)
    found = separability(data, bias)
    wide = np.column_stack([X, np.ones(len(X))]) if bias else X
    rows = [
        [Fraction(float(v)) * int(sign) for v in row] for row, sign in zip(wide, y, strict=True)
    ]
    generators = _generators(rows, wide.shape[1])
    strict = {
        n
        for n, row in enumerate(rows)
        if any(sum(a * b for a, b in zip(row, w, strict=True)) > 0 for w in generators)
    }
    words = {
        (False, False): Coefficient.FINITE,
        (True, False): Coefficient.PLUS,
        (False, True): Coefficient.MINUS,
        (True, True): Coefficient.EITHER,
    }
    ranges = tuple(
        words[any(w[j] > 0 for w in generators), any(w[j] < 0 for w in generators)]
        for j in range(wide.shape[1])
    )
    wrong = ""
    if set(found.strict) != strict:
        wrong = f"{found.strict} are separated strictly, and not {sorted(strict)}: {scaled}, {y}"
    elif found.coefficients != ranges:
        wrong = f"the coefficients are {ranges}, not {found.coefficients}: {scaled}, {y}"
    elif not verify_coefficients(data, found):
        wrong = f"a proof does not hold: {scaled}, {y}"
    return Trial(Verdict.NOT_SEPARATING if not found.separable else Verdict.GLOBAL, wrong)


# -- free biases -----------------------------------------------------------------------------------


def _around_a_plane(
    rng: np.random.Generator, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Fraction]:
    """Integers whose free-bias hard margin is along an integer w: two samples face each other.

    Returns X, y, w, and γ*² exactly: their difference is 2 w, and no other is nearer to the plane.
    """
    w = rng.integers(-3, 4, size=size)
    w[0] = w[0] or 1
    middle = rng.integers(-20, 21, size=size)
    X, y = [middle + w, middle - w], [1, -1]
    for _ in range(int(rng.integers(0, 12))):
        x = middle + rng.integers(-25, 26, size=size)
        side = int(w @ (x - middle))
        if abs(side) >= int(w @ w):
            X.append(x)
            y.append(1 if side > 0 else -1)
    return np.array(X, float), np.array(y), w.astype(float), Fraction(int(w @ w))


def _reached(X: np.ndarray, y: np.ndarray, w: np.ndarray, b: Fraction) -> Fraction:
    """The smallest margin of (w, b), exactly."""
    exact = [Fraction(float(v)) for v in w]
    return min(
        int(sign) * (sum(a * Fraction(float(v)) for a, v in zip(exact, x, strict=True)) + b)
        for x, sign in zip(X, y, strict=True)
    )


def free_bias_at_an_offset(rng: np.random.Generator) -> Trial:
    """The best plane of integers moved far away, as it is, or turned or shifted a little."""
    size = int(rng.integers(1, 5))
    X, y, w, square = _around_a_plane(rng, size)
    far = rng.integers(0, 31, size=size)
    offset = np.where(rng.random(size) < 0.6, rng.choice([-1, 1]) * 2.0**far, 0.0)
    moved = X + offset
    turn = float(rng.choice([0.0, 0.0, 1e-9, 1e-6, 1e-3, 0.1]))
    shift = float(rng.choice([0.0, 0.0, 1e-9, 1e-6, 1e-3, 0.1]))
    scale = float(rng.choice([1.0, 1e-8, 3e5]))
    direction = scale * (w + turn * np.linalg.norm(w) * rng.normal(size=size))
    # The best bias of this direction, and what no double can tell from it.
    scores = [Fraction(0)] * len(X)
    for n, x in enumerate(moved):
        scores[n] = sum(
            (Fraction(float(a)) * Fraction(float(v)) for a, v in zip(direction, x, strict=True)),
            Fraction(0),
        )
    plus = min(s for s, sign in zip(scores, y, strict=True) if sign > 0)
    minus = max(s for s, sign in zip(scores, y, strict=True) if sign < 0)
    best = -(plus + minus) / 2
    bias = float(best) + shift * scale * float(square)
    blur = Fraction(16 * _EPS) * Fraction(
        abs(bias) + float(np.abs(direction) @ (np.abs(offset) + np.abs(X).max(axis=0)))
    )
    given = Fraction(bias)
    kindest = min(max(best, given - blur), given + blur)
    length = Fraction(float(np.linalg.norm(direction)))
    reached = float(_reached(moved, y, direction, kindest) / length)
    ratio = reached / math.sqrt(float(square))
    asked = rng.random() < 0.5
    if asked:
        verdict = certify_linear(moved, y, direction, bias).verdict
    else:
        # Eq. 13 is about w of margin 1.
        factor = 1.0 / (float(length) * math.sqrt(float(square)))
        score = bias * factor
        point = [direction * factor, np.array([math.copysign(math.sqrt(abs(score)), score)])]
        problem = lm.WSet(lm.Sum([lm.Linear(), lm.Bias()]), lm.Dataset(moved, y))
        verdict = certify(problem, point).verdict
    wrong = refused = ""
    where = f"offset {offset}, turn {turn:g}, shift {shift:g}, X = {X.tolist()}, y = {y.tolist()}"
    if verdict is Verdict.GLOBAL and ratio < 1.0 - _TOLERATED:
        wrong = f"GLOBAL at {ratio:.9g} of the best margin: {where}"
    elif verdict is Verdict.NOT_SEPARATING and reached > 0 and ratio > 1e-6:
        wrong = f"NOT_SEPARATING with the margin {reached:.3g}: {where}"
    elif turn == shift == 0.0 and verdict is not Verdict.GLOBAL:
        refused = f"{verdict.value}: {where}"
    return Trial(verdict, wrong, refused)


# -- biases per class ------------------------------------------------------------------------------


def biases_per_class(rng: np.random.Generator) -> Trial:
    """Classes in intervals of a line: the best slopes solve a chain of gaps in closed form.

    With neighbours only, ``(w_{k+1} - w_k) g_k ≥ 2`` for gaps g_k, and Σ w_k = 0.
    """
    classes = int(rng.integers(2, 5)) + 1
    gaps = rng.integers(1, 6, size=classes - 1).astype(float)
    starts = np.concatenate([[0.0], np.cumsum(gaps)])
    X, y = [[starts[0]]], [0]
    for k in range(1, classes):
        X.append([starts[k]])
        y.append(k)
    steps = 2.0 / gaps
    w = np.concatenate([[0.0], np.cumsum(steps)])
    w -= w.mean()
    # Neighbours are indifferent half way: (w_{k+1} - w_k) m_k + b_{k+1} - b_k = 0.
    middles = 0.5 * (starts[1:] + starts[:-1])
    b = np.concatenate([[0.0], np.cumsum(-steps * middles)])
    b -= b.mean() - float(rng.normal())
    push = float(rng.choice([0.0, 1e-9, 1e-5, 1e-2]))
    # A longer point that is feasible still: all differences of slopes grow.
    longer = w * (1.0 + push)
    shifted = b + 0.0 if push == 0.0 else b * (1.0 + push)
    blocks = [
        longer.reshape(-1, 1),
        (np.sign(shifted) * np.sqrt(np.abs(shifted))).reshape(-1, 1),
    ]
    predictor = lm.Sum([lm.Linear(classes), lm.Bias("signed-square", classes)])
    verdict = certify(lm.WSet(predictor, lm.Dataset(X, y)), blocks).verdict
    wrong = refused = ""
    where = f"gaps {gaps.tolist()}, longer by {push:g}"
    if push > _TOLERATED and verdict.certified:
        wrong = f"{verdict.value}: {where}"
    elif push <= 1e-9 and verdict is not Verdict.GLOBAL:
        refused = f"{verdict.value}: {where}"
    return Trial(verdict, wrong, refused)


FAMILIES = {
    "kinds of separation": kinds_of_separation,
    "free bias at an offset": free_bias_at_an_offset,
    "biases per class": biases_per_class,
}
SHARES = {"kinds of separation": 0.1, "free bias at an offset": 0.3, "biases per class": 0.1}
