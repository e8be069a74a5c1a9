"""Local words on the circle: is there a maximiser within the radius, and none where a saddle is?

The margins of homogeneous polynomials of two parameters, seen from θ̂, are `p_n(t)/(1 + t²)^{α/2}`
at `θ̂ + t θ̂⊥`, with p_n exact in rational arithmetic. Their critical points and crossings are roots
of polynomials; between them the smallest margin is monotone, so that every local maximiser is
known to many digits.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

import mpmath
import numpy as np
from numpy.typing import NDArray

import lexmargin as lm
from adversarial_common import Family, Trial
from lexmargin.errors import LexmarginError
from lexmargin.formulations.base import Formulation
from lexmargin.judge import Certificate, Tolerances, Verdict, certify
from lexmargin.judge.second_order.curvature import second_order
from lexmargin.judge.second_order.hessians import Curved, PredictorCurved
from lexmargin.judge.second_order.surroundings import around_direction
from lexmargin.margins import MarginFunctions

__all__ = ["FAMILIES", "SHARES", "Circle", "complaint"]

Array = NDArray[np.float64]
_DIGITS: Final = 60
# Newton's method in the plane of the circle measures chords and angles alike to this part.
_ROOM: Final = 1.01

# Margins that differ by rounding cross there, where their slopes differ by a thousandth.
_UNSEEN: Final = 1e-11

Coefficients = list[Fraction]


def _times(a: Coefficients, b: Coefficients) -> Coefficients:
    found = [Fraction(0)] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            found[i + j] += x * y
    return found


def _plus(a: Coefficients, b: Coefficients, factor: int = 1) -> Coefficients:
    size = max(len(a), len(b))
    padded = [list(x) + [Fraction(0)] * (size - len(x)) for x in (a, b)]
    return [x + factor * y for x, y in zip(*padded, strict=True)]


class Circle:
    """The smallest of homogeneous polynomials around a direction, exactly."""

    def __init__(self, exponents: Sequence[Sequence[int]], rows: Array, theta: Array) -> None:
        x, y = (Fraction(float(v)) for v in theta)
        self.degree = int(sum(exponents[0]))
        self.numerators = []
        for row in rows:
            total = [Fraction(0)]
            for (i, j), value in zip(exponents, row, strict=True):
                term = [Fraction(float(value))]
                for _ in range(i):
                    term = _times(term, [x, -y])
                for _ in range(j):
                    term = _times(term, [y, x])
                total = _plus(total, term)
            self.numerators.append(total)

    def margin(self, t: mpmath.mpf) -> mpmath.mpf:
        """Return the smallest margin at θ̂ + t θ̂⊥, up to one factor."""
        least = min(_value(p, t) for p in self.numerators)
        return least / (1 + t * t) ** (mpmath.mpf(self.degree) / 2)

    def maximisers(self, reach: float) -> list[mpmath.mpf]:
        """Return every strict local maximiser with |t| ≤ reach."""
        with mpmath.workdps(_DIGITS):
            places = []
            for index, p in enumerate(self.numerators):
                slope = [k * c for k, c in enumerate(p)][1:] or [Fraction(0)]
                turned = _times(slope, [Fraction(1), Fraction(0), Fraction(1)])
                turned = _plus(turned, _times([Fraction(0), Fraction(self.degree)], p), -1)
                places += _roots(turned, reach)
                for q in self.numerators[:index]:
                    places += _roots(_plus(p, q, -1), reach)
            places.sort()
            kept = [t for k, t in enumerate(places) if not k or t - places[k - 1] > _tiny(reach)]
            ends = [mpmath.mpf(-2 * reach), *kept, mpmath.mpf(2 * reach)]
            found = []
            for left, here, right in zip(ends[:-2], ends[1:-1], ends[2:], strict=True):
                beside = max(self.margin((left + here) / 2), self.margin((here + right) / 2))
                if self.margin(here) > beside:
                    found.append(here)
            return [t for t in found if abs(t) <= reach]


def _real(value: Fraction) -> mpmath.mpf:
    return mpmath.mpf(value.numerator) / value.denominator


def _value(coefficients: Coefficients, t: mpmath.mpf) -> mpmath.mpf:
    found = mpmath.mpf(0)
    for c in reversed(coefficients):
        found = found * t + _real(c)
    return found


def _tiny(reach: float) -> mpmath.mpf:
    return mpmath.mpf(reach) * mpmath.mpf(10) ** (-_DIGITS // 2)


def _roots(coefficients: Coefficients, reach: float) -> list[mpmath.mpf]:
    """Return the real roots with |t| ≤ 2 reach, in units where these are within 2."""
    scaled = [_real(c) * mpmath.mpf(reach) ** k for k, c in enumerate(coefficients)]
    largest = max((abs(c) for c in scaled), default=mpmath.mpf(0))
    if largest == 0:
        return []
    # Beyond the disc of radius 2 nothing is asked; such terms only slow the iteration down.
    while len(scaled) > 1 and abs(scaled[-1]) < largest * mpmath.mpf(10) ** (-_DIGITS):
        scaled.pop()
    if len(scaled) == 1:
        return []
    roots = mpmath.polyroots(scaled, maxsteps=400, extraprec=400, asc=True)
    small = mpmath.mpf(10) ** (-_DIGITS // 3)
    real = [mpmath.re(root) for root in roots if abs(mpmath.im(root)) <= small]
    return [root * mpmath.mpf(reach) for root in real if abs(root) <= 2]


def complaint(found: Certificate, circle: Circle) -> str:
    """Return what is false in a local word, or an empty string."""
    if found.verdict is Verdict.STRICT_LOCAL:
        assert found.radius is not None
        if not circle.maximisers(_ROOM * found.radius):
            return f"STRICT_LOCAL without a local maximiser within {found.radius:.3g}"
    if found.verdict is Verdict.SADDLE:
        if found.rise is None:
            return "SADDLE without a curve"
        near = circle.maximisers(found.rise.shortest)
        if near:
            return f"SADDLE with a local maximiser {float(near[0]):.3g} away"
        with mpmath.workdps(_DIGITS):
            for k in range(4):
                t = mpmath.mpf(found.rise.shortest) * 2**k
                if max(circle.margin(t), circle.margin(-t)) <= circle.margin(mpmath.mpf(0)):
                    return f"SADDLE, but the margin does not rise at {float(t):.3g}"
    return ""


def _stated(
    rng: np.random.Generator, exponents: Sequence[Sequence[int]], rows: Array, theta: Array
) -> tuple[Formulation, Array]:
    """Return one of the formulations that ask for this direction, and its point."""
    data = lm.Dataset(rows, [1] * len(rows), one_class=True)
    predictor = lm.Polynomial(tuple(tuple(e) for e in exponents))
    kind = int(rng.integers(3))
    if kind == 0:
        return lm.HardMargin(predictor, data), theta
    margin = float(np.min(lm.HardMargin(predictor, data).functions.values(theta)))
    if kind == 1 or not margin > 0.0:
        return lm.MarginPath(predictor, data, 1.0), theta / float(np.linalg.norm(theta))
    scaled = lm.ScaledMargin(predictor, data, 10.0 ** rng.uniform(0, 3))
    return scaled, theta * margin ** (-1.0 / sum(exponents[0]))


def _trial(
    rng: np.random.Generator,
    exponents: Sequence[Sequence[int]],
    rows: Array,
    theta: Array,
    limits: Tolerances | None = None,
) -> Trial:
    problem, point = _stated(rng, exponents, rows, theta)
    try:
        found = certify(problem, point, tolerances=limits or Tolerances())
    except LexmarginError as error:
        return Trial(None, note=str(error))
    circle = Circle(exponents, rows, point)
    wrong = complaint(found, circle)
    if wrong:
        name = type(problem).__name__
        wrong += f": {name}, {exponents}, {rows.tolist()}, {point.tolist()}, {limits}"
    return Trial(found.verdict, wrong)


def third_derivative(rng: np.random.Generator) -> Trial:
    """One cubic with a small slope, a small curvature and a large third derivative at (1, 0)."""
    slope = 10.0 ** rng.uniform(-13, -7) * rng.choice([-1.0, 1.0])
    curvature = 10.0 ** rng.uniform(-5, -0.3) * rng.choice([-1.0, 1.0], p=[0.7, 0.3])
    third = 10.0 ** rng.uniform(-1, 5) * rng.choice([-1.0, 1.0])
    if rng.random() < 0.5:
        # On both sides of where the critical points meet: e² = 12 b c.
        third = curvature**2 / (12.0 * slope) * rng.uniform(0.3, 3.0)
    row = np.array([[1.0, slope, 1.5 + 0.5 * curvature, third]])
    return _trial(rng, ((3, 0), (2, 1), (1, 2), (0, 3)), row, np.array([1.0, 0.0]))


def third_derivative_hidden(rng: np.random.Generator) -> Trial:
    """The same cubic in a plane that no axis lies in, concave across it, 9 to 12 parameters."""
    size = int(rng.integers(9, 13))
    basis = np.linalg.qr(rng.standard_normal((size, size)))[0]
    p, q = basis[:, 0], basis[:, 1]
    slope = 10.0 ** rng.uniform(-10, -7.5)
    curvature = -(10.0 ** rng.uniform(-3, -0.5))
    third = curvature**2 / (12.0 * slope) * 10.0 ** rng.uniform(-2, 1)
    row = np.array([1.0, slope, 1.5 + 0.5 * curvature, third])
    across = np.eye(size) - np.outer(p, p) - np.outer(q, q)
    tensor = sum(
        c * np.einsum("i,j,k->ijk", *axes)
        for c, axes in zip(row, ((p, p, p), (p, p, q), (p, q, q), (q, q, q)), strict=True)
    ) + rng.uniform(0.2, 1.4) * np.einsum("i,jk->ijk", p, across)
    places = list(itertools.combinations_with_replacement(range(size), 3))
    values = [sum(tensor[i] for i in set(itertools.permutations(place))) for place in places]
    exponents = tuple(tuple(place.count(i) for i in range(size)) for place in places)
    data = lm.Dataset(np.array([values]), [1], one_class=True)
    found = certify(lm.HardMargin(lm.Polynomial(exponents), data), p)
    # Across the plane every margin falls, so that the circle through p and q tells.
    wrong = complaint(found, Circle(((3, 0), (2, 1), (1, 2), (0, 3)), row[None], np.eye(2)[0]))
    return Trial(found.verdict, f"{wrong}: {row.tolist()}, {size} parameters" if wrong else "")


def blocked_saddle(rng: np.random.Generator) -> Trial:
    """A saddle of the strong margin where weakly active ones bar both sides, at any slope."""
    exponents = ((2, 0), (1, 1), (0, 2))
    h, k = 10.0 ** rng.uniform(-7, 0.5, 2)
    bend = 1.0 + 10.0 ** rng.uniform(-2, 1)
    rows = np.array([[1, 0, bend], [1, h, 3], [1, -k, 3]]) * 2.0 ** rng.integers(-8, 8)
    trial = _trial(rng, exponents, rows, np.array([1.0, 0.0]))
    if trial.verdict is Verdict.SADDLE and not trial.wrong:
        return Trial(trial.verdict, f"SADDLE at a strict local maximiser: {rows.tolist()}")
    return trial


def open_on_one_side(rng: np.random.Generator) -> Trial:
    """The same with one side open: the margin rises there, and the point is a saddle."""
    exponents = ((2, 0), (1, 1), (0, 2))
    h = 10.0 ** rng.uniform(-5, 0.5)
    rows = np.array([[1.0, 0.0, 1.0 + 10.0 ** rng.uniform(-1, 1)], [1.0, h, 3.0]])
    trial = _trial(rng, exponents, rows, np.array([1.0, 0.0]))
    if trial.verdict is not Verdict.SADDLE and not trial.wrong:
        return Trial(trial.verdict, refused="a clear saddle", note=str(rows.tolist()))
    return trial


def hidden_slopes(rng: np.random.Generator) -> Trial:
    """Two quadratics whose slopes may be of opposite signs and below all rounding."""
    exponents = ((2, 0), (1, 1), (0, 2))
    h, k = 10.0 ** rng.uniform(-17, 0, 2)
    if rng.random() < 0.5:
        h = 10.0 ** rng.uniform(-14, -10)
    signs = rng.choice([-1.0, 1.0], 2)
    bends = 1.0 + 10.0 ** rng.uniform(-1, 1.2, 2)
    rows = np.array([[1, signs[0] * h, bends[0]], [1, signs[1] * k, bends[1]]])
    if rng.random() < 0.3:
        rows[0, 1] = 0.0
    if rng.random() < 0.3:
        rows = np.vstack([rows, [1.0, rng.choice([-1.0, 1.0]) * 10.0 ** rng.uniform(-17, 0), 5.0]])
    theta = np.array([1.0, 0.0])
    if rng.random() < 0.3:
        # The same at another place, where its numbers are rounded: slopes of 1e-16 appear.
        c, s = np.cos(turn := rng.uniform(0, 6)), np.sin(turn)
        a, b, d = rows.T
        rows = np.array([
            a * c * c - b * c * s + d * s * s,
            2 * a * c * s + b * (c * c - s * s) - 2 * d * c * s,
            a * s * s + b * c * s + d * c * c,
        ]).T  # fmt: skip
        theta = np.array([c, s])
    rows = rows[rng.permutation(len(rows))] * 2.0 ** rng.integers(-8, 8)
    return _trial(rng, exponents, rows, theta)


class _FloatsOnly(Curved):
    """The margin functions as a trained network has them: no balls, and copies are not known."""

    def __init__(self, functions: MarginFunctions) -> None:
        self._inner = PredictorCurved(functions)
        self.size, self.count = functions.size, functions.count

    def values(self, theta: Array) -> Array:
        return self._inner.values(theta)

    def rows(self, theta: Array, indices: NDArray[np.intp]) -> Array:
        return self._inner.rows(theta, indices)

    def vjp(self, theta: Array, weights: Array) -> Array:
        return self._inner.vjp(theta, weights)

    def hessian_products(self, theta: Array, weights: Array, directions: Array) -> Array:
        return self._inner.hessian_products(theta, weights, directions)

    def jumps(self, theta: Array, weights: Array, tolerance: float) -> bool:
        return self._inner.jumps(theta, weights, tolerance)

    def tangents(self, theta: Array, support: NDArray[np.intp]) -> Array:
        return self._inner.tangents(theta, support)


def known_as_floats(rng: np.random.Generator) -> Trial:
    """Quadratics around a point, some active without weight, judged as a trained network is.

    A saddle may hide a maximum within the rounding of θ only.
    """
    exponents = ((2, 0), (1, 1), (0, 2))
    turn = rng.choice([0.0, rng.uniform(0, 6)])
    c, s = math.cos(turn), math.sin(turn)
    rows = []
    for n in range(int(rng.integers(2, 5))):
        slope = rng.choice([0.0, 10.0 ** rng.uniform(-18, -6)]) * rng.choice([-1.0, 1.0])
        a, b, d = 1.0, slope if n else 0.0, 1.0 + 10.0 ** rng.uniform(-1, 1.2)
        a += rng.choice([0.0, 10.0 ** rng.uniform(-16, -8)]) if n else 0.0
        across = 2 * a * c * s + b * (c * c - s * s) - 2 * d * c * s
        rows.append([a * c * c - b * c * s + d * s * s, across, a * s * s + b * c * s + d * c * c])
    whole, theta = np.array(rows)[rng.permutation(len(rows))], np.array([c, s])
    theta = theta + 10.0 ** rng.uniform(-18, -7) * rng.choice([0.0, 1.0]) * np.array([-s, c])
    data = lm.Dataset(whole, [1] * len(whole), one_class=True)
    problem = lm.HardMargin(lm.Polynomial(exponents), data)
    first = certify(problem, theta)
    if not first.verdict.stationary:
        return Trial(first.verdict)
    unit = theta / np.linalg.norm(theta)
    around = functools.partial(around_direction, _FloatsOnly(problem.functions), unit, 2.0)
    found = replace(first, verdict=Verdict.KKT, second_order=None, rise=None, radius=None)
    found = second_order(around, found)
    circle = Circle(exponents, whole, unit)
    if found.verdict is Verdict.SADDLE and found.rise is not None:
        hidden = [t for t in circle.maximisers(found.rise.shortest) if abs(t) > _UNSEEN]
        wrong = f"SADDLE with a local maximiser {float(hidden[0]):.3g} away" if hidden else ""
    else:
        wrong = complaint(found, circle)
    return Trial(found.verdict, f"{wrong}: {whole.tolist()}, {unit.tolist()}" if wrong else "")


def hidden_hull(rng: np.random.Generator) -> Trial:
    """Quadratics around e_1 of three parameters, all 1 there; 0 is inside the hull of their slopes.

    The margin then falls in every direction to first order, by however little: a strict maximum.
    """
    exponents = ((2, 0, 0), (1, 1, 0), (1, 0, 1), (0, 2, 0), (0, 1, 1), (0, 0, 2))
    while True:
        turn = rng.uniform(0, 2 * math.pi) + np.array([0.0, 2.1, 4.2]) + rng.uniform(-0.4, 0.4, 3)
        sizes = 10.0 ** rng.uniform([-17, -13, -6], [-10, -3, 0])
        slopes = (sizes * np.array([np.cos(turn), np.sin(turn)])).T
        exact = [[Fraction(float(v)) for v in row] for row in slopes]
        areas = [p[0] * q[1] - p[1] * q[0] for p, q in itertools.pairwise([*exact, exact[0]])]
        if all(area > 0 for area in areas):
            break
    bends = rng.uniform(-1, 1, (3, 3)) + np.array([1.0, 0.0, 1.0]) * 10.0 ** rng.uniform(0, 1.2)
    rows = np.column_stack([np.ones(3), slopes, bends])[rng.permutation(3)]
    data = lm.Dataset(rows, [1] * 3, one_class=True)
    problem: Formulation = lm.HardMargin(lm.Polynomial(exponents), data)
    if rng.random() < 0.5:
        problem = lm.MarginPath(lm.Polynomial(exponents), data, 1.0)
    found = certify(problem, np.array([1.0, 0.0, 0.0]))
    wrong = ""
    if found.verdict is Verdict.SADDLE:
        wrong = f"SADDLE at a strict local maximiser: {rows.tolist()}"
    return Trial(found.verdict, wrong)


def hidden_maximum(rng: np.random.Generator) -> Trial:
    """1 + κt² - ct³ + dt⁴ + …: the maximum near 2κ/3c may be too low to be seen."""
    bend, third = 10.0 ** rng.uniform(-5.5, -2), 10.0 ** rng.uniform(-1, 4)
    fourth = 9.0 * third**2 / (32.0 * bend) * rng.uniform(0.3, 1.2)
    slope = rng.choice([0.0, 10.0 ** rng.uniform(-18, -9)]) * rng.choice([-1.0, 1.0])
    row = np.array([[1.0, slope, 2.0 + bend, -third, fourth]])
    exponents = ((4, 0), (3, 1), (2, 2), (1, 3), (0, 4))
    return _trial(rng, exponents, row, np.array([1.0, 0.0]))


def weak_ties(rng: np.random.Generator) -> Trial:
    """A strict maximum of the strong margin, tied with others of no weight, or a little."""
    exponents = ((4, 0), (3, 1), (2, 2), (1, 3), (0, 4))
    strong = [1.0, rng.choice([0.0, 10.0 ** rng.uniform(-17, -6)]), 2 - 10.0 ** rng.uniform(-4, 1)]
    rows = [[*strong, 10.0 ** rng.uniform(-2, 4) * rng.choice([-1.0, 0.0, 1.0]), 10.0]]
    for _ in range(int(rng.integers(1, 4))):
        slope = 10.0 ** rng.uniform(-12, 1) * rng.choice([-1.0, 1.0])
        bends = 10.0 ** rng.uniform(-2, 4, 2) * rng.choice([-1.0, 1.0], 2)
        level = 1.0 + rng.choice([0.0, 10.0 ** rng.uniform(-17, -6)])
        rows.append([level, slope, *bends, 10.0])
    theta = np.array([1.0, rng.choice([0.0, 10.0 ** rng.uniform(-17, -7)])])
    found = np.array(rows)[rng.permutation(len(rows))] * 2.0 ** rng.integers(-8, 8)
    return _trial(rng, exponents, found, theta)


def _polynomials(rng: np.random.Generator) -> tuple[tuple[tuple[int, int], ...], Array]:
    degree = int(rng.integers(2, 7))
    exponents = tuple((degree - k, k) for k in range(degree + 1))
    count = int(rng.integers(1, 5))
    rows = rng.standard_normal((count, degree + 1))
    rows *= 10.0 ** rng.choice([0.0, 0.0, 1.0, 3.0], size=rows.shape)
    rows[:, 0] = np.abs(rows[:, 0]) + rng.choice([0.1, 3.0])
    return exponents, rows


def _near_critical(
    rng: np.random.Generator, exponents: tuple[tuple[int, int], ...], rows: Array, away: float
) -> Array | None:
    """Return a direction ``away`` from a critical point or crossing of the smallest margin."""
    powers = np.array([k for _, k in exponents])
    degree = int(sum(exponents[0]))
    places: list[float] = []
    for i, row in enumerate(rows):
        p = np.zeros(degree + 1)
        p[powers] = row
        poly = np.polynomial.Polynomial(p)
        turned = poly.deriv() * np.polynomial.Polynomial([1, 0, 1])
        turned = turned - degree * np.polynomial.Polynomial([0, 1]) * poly
        found = [turned.roots()]
        found += [
            (poly - np.polynomial.Polynomial(_padded(rows[j], powers, degree))).roots()
            for j in range(i)
        ]
        for roots in found:
            places += [float(z.real) for z in roots if abs(z.imag) < 1e-9 and abs(z.real) < 20]
    good = []
    for t in places:
        values = rows @ np.array([t**k for k in powers])
        if np.min(values) > 0.0:
            good.append(t)
    if not good:
        return None
    t = float(rng.choice(good)) + away * float(rng.choice([-1.0, 1.0]))
    return np.array([1.0, t])


def _padded(row: Array, powers: NDArray[np.int64], degree: int) -> Array:
    p = np.zeros(degree + 1)
    p[powers] = row
    return p


def near_critical(rng: np.random.Generator, loose: bool) -> Trial:
    """Random polynomials, several rows, 1e-16 … 1e-3 from a critical point or a crossing."""
    limits = None
    if loose:
        limits = Tolerances(
            support=10.0 ** rng.uniform(-6, -0.2),
            stationarity=10.0 ** rng.uniform(-6, -0.5),
            complementarity=10.0 ** rng.uniform(-6, -0.5),
        )
    for _ in range(20):
        exponents, rows = _polynomials(rng)
        theta = _near_critical(rng, exponents, rows, 10.0 ** rng.uniform(-16, -1 if loose else -3))
        if theta is not None:
            return _trial(rng, exponents, rows, theta, limits)
    return Trial(None, note="no critical point with a positive margin")


def outside_a_jump(rng: np.random.Generator) -> Trial:
    """`f_n = y_n (x_n θ_1² + b|b|)` at b = ±1e-12 … ±1e-2: the Hessian jumps at b = 0.

    With u = b²/‖θ‖² each margin is linear in u on either side, so that all maximisers are crossings
    or b = 0.
    """
    count = int(rng.integers(1, 4))
    x = np.abs(rng.standard_normal(count)) + rng.choice([0.05, 1.0])
    y = np.ones(count, dtype=int)
    if count > 1 and rng.random() < 0.5:
        x[0], y[0] = -x[0], -1
    data = lm.Dataset(x[:, None], y, one_class=True)
    predictor = lm.Sum([lm.Polynomial(((2,),)), lm.Bias("signed-square")])
    b = float(rng.choice([-1.0, 1.0])) * 10.0 ** rng.uniform(-12, -2)
    limits = Tolerances.at(10.0 ** rng.uniform(-7, -1.5))
    problem: Formulation = lm.HardMargin(predictor, data)
    if rng.random() < 0.5:
        problem = lm.ScaledMargin(predictor, data, 3.0)
    theta = np.array([1.0, b])
    level = float(np.min(problem.functions.values(theta)))
    theta = theta / math.sqrt(level) if level > 0.0 else theta
    try:
        found = certify(problem, theta, tolerances=limits)
    except LexmarginError as error:
        return Trial(None, note=str(error))
    at = math.atan(b)
    places = [math.copysign(math.asin(math.sqrt(abs(s))), s) for s in _signed_maximisers(x, y)]
    distance = min((abs(place - at) for place in places), default=math.inf)
    wrong = ""
    if found.verdict is Verdict.STRICT_LOCAL:
        assert found.radius is not None
        if distance > _ROOM * found.radius:
            wrong = f"STRICT_LOCAL within {found.radius:.3g}, a maximiser {distance:.3g} away"
    hidden = 0.0 if found.rise is None else found.rise.shortest
    if found.verdict is Verdict.SADDLE and distance <= hidden:
        wrong = f"SADDLE with a local maximiser {distance:.3g} away"
    if wrong:
        wrong += f": {type(problem).__name__}, {x.tolist()}, {y.tolist()}, {theta.tolist()}"
    return Trial(found.verdict, wrong)


def _signed_maximisers(x: Array, y: NDArray[np.int64]) -> list[float]:
    """Return the strict local maximisers of the smallest margin in s = ±u, u = b²/‖θ‖² < 1."""
    exact = [Fraction(float(v)) for v in x]
    lines = {
        side: [(int(k) * v, int(k) * (side - v)) for v, k in zip(exact, y, strict=True)]
        for side in (1, -1)
    }

    def margin(s: Fraction) -> Fraction:
        return min(a + slope * abs(s) for a, slope in lines[1 if s >= 0 else -1])

    places = {Fraction(0)}
    for side, own in lines.items():
        for i, (a, slope) in enumerate(own):
            for other, tilt in own[:i]:
                if slope != tilt:
                    u = (other - a) / (slope - tilt)
                    if 0 < u < 1:
                        places.add(side * u)
    ends = [Fraction(-1), *sorted(places), Fraction(1)]
    found = []
    for left, here, right in zip(ends[:-2], ends[1:-1], ends[2:], strict=True):
        if margin(here) > max(margin((left + here) / 2), margin((here + right) / 2)):
            found.append(float(here))
    return found


FAMILIES: dict[str, Family] = {
    "local: outside a jump of the Hessian": outside_a_jump,
    "local: third derivative": third_derivative,
    "local: third derivative, hidden": third_derivative_hidden,
    "local: blocked saddle": blocked_saddle,
    "local: saddle open on one side": open_on_one_side,
    "local: slopes below rounding": hidden_slopes,
    "local: slopes below rounding around the point": hidden_hull,
    "local: known as floats only": known_as_floats,
    "local: maximum below rounding": hidden_maximum,
    "local: ties without weight": weak_ties,
    "local: near a critical point": functools.partial(near_critical, loose=False),
    "local: loose tolerances": functools.partial(near_critical, loose=True),
}
SHARES: dict[str, float] = {
    name: 0.005 if "hidden" in name else 0.05 if "floats" in name else 0.2 for name in FAMILIES
}
