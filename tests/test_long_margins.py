"""Linear margins that doubles are too short for, against 60 digits and rationals."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

import lexmargin as lm
from exact_leximin import maximise
from instances_references import margin_gap
from lexmargin.judge import Verdict
from lexmargin.judge.proofs.exact_linear import prove_max_margin
from lexmargin.separation.long_margins import long_margin, long_multipliers
from lexmargin.separation.long_measures import Measured, long_margin_errors, measured

NORMS = (1.0, 1.3, 2.0, 3.0, math.inf)
Array = np.ndarray


def spread(kind: str, seed: int) -> Array:
    """Return separable rows of a kind whose margins doubles do not see."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((8, 3))
    y = np.where(X @ rng.standard_normal(3) > 0.0, 1.0, -1.0)
    if kind == "rows":
        return y[:, None] * X * 10.0 ** rng.uniform(-6, 6, (8, 1))
    if kind == "columns":
        return y[:, None] * X * 10.0 ** rng.uniform(-6, 6, 3)
    scaled = X + 1e8 if kind == "far" else 1e-12 * X
    return y[:, None] * np.column_stack([scaled, np.ones(8)])


@pytest.mark.parametrize("p", NORMS)
@pytest.mark.parametrize("kind", ["rows", "columns", "far", "small"])
def test_weak_duality_closes_in_long_numbers(kind: str, p: float) -> None:
    Z = spread(kind, 3)
    long, short, multipliers = _measures(Z, _found(Z, p), p)
    assert long.gap < 1e-7
    gap = margin_gap(Z, _found(Z, p), multipliers, p)
    assert gap == pytest.approx(short.gap, rel=1e-6, abs=1e-15)
    if kind != "far":
        assert gap < 1e-7


def _measures(Z: Array, theta: Array, p: float) -> tuple[Measured, Measured, Array]:
    found = long_multipliers(Z, p, math.inf)
    assert found is not None
    long = measured(Z, theta, found.terms, p)
    short = measured(Z, theta, (found.rounded,), p)
    assert long is not None and short is not None
    return long, short, found.rounded


def _found(Z: Array, p: float) -> Array:
    found = long_margin(Z, p, math.inf)
    assert found is not None
    return found.theta


def rational_margin(Z: Array, p: float) -> float:
    """Return γ* by a simplex method in fractions: ``max t  s.t.  t <= z_n·θ``, θ in the ball."""
    rows = [[Fraction(float(v)) for v in row] for row in Z]
    d, zero, one = Z.shape[1], Fraction(0), Fraction(1)
    if p == 1.0:
        # θ = a - b with a, b >= 0 and Σ a + b <= 1.
        A = [[one, *(-v for v in row), *row] for row in rows] + [[zero, *[one] * (2 * d)]]
        b = [zero] * len(rows) + [one]
    else:
        # θ = x - 1 with 0 <= x <= 2.
        A = [[one, *(-v for v in row)] for row in rows]
        A += [[zero, *(one if i == j else zero for j in range(d))] for i in range(d)]
        b = [-sum(row) for row in rows] + [Fraction(2)] * d
    value, _ = maximise([one, *[zero] * (len(A[0]) - 1)], A, b)
    return float(value)


@pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
@pytest.mark.parametrize("kind", ["rows", "columns", "far", "small"])
def test_margins_are_the_rational_ones(kind: str, p: float) -> None:
    Z = spread(kind, 4)
    found = long_margin(Z, p, math.inf)
    assert found is not None
    exact = prove_max_margin(Z, p, np.ones(Z.shape[1])).facts["margin"] if p == 2.0 else None
    expected = rational_margin(Z, p) if exact is None else exact
    assert found.margin == pytest.approx(expected, rel=1e-7)


def test_a_direction_beside_the_best_is_measured_as_it_is() -> None:
    Z, theta = np.eye(2), np.array([1.0, 1.0 + 1e-3])
    for p in NORMS:
        found = _measures(Z, theta, p)[0]
        assert found.gap == pytest.approx(margin_gap(Z, theta, np.ones(2), p), rel=1e-6)
        assert max(found.distance, found.slackness) > 1e-5


@pytest.mark.parametrize("p", [1.3, 2.0, 3.0])
def test_margins_of_the_best_direction_lie_within_their_errors(p: float) -> None:
    Z = spread("small", 5)
    best = _found(Z, p)
    aside = best * np.array([1.0, 1.0 + 1e-9, 1.0, 1.0])
    long = long_multipliers(Z, p, math.inf)
    assert long is not None
    found = long_margin_errors(Z, aside, long.terms, p)
    assert found is not None
    margins, errors = found
    true = Z @ best / np.linalg.norm(best, p)
    assert np.all(np.abs(margins - true) <= errors + 1e-12 * np.abs(true))
    assert np.max(errors) < 1e-8 * np.max(np.abs(true))


def test_nothing_is_found_where_nothing_separates() -> None:
    for p in NORMS:
        assert long_margin(np.array([[1.0], [-2.0]]), p, math.inf) is None
        assert long_margin(np.array([[1.0, 0.0], [0.0, 0.0]]), p, math.inf) is None


@pytest.mark.parametrize(("kind", "p"), [("rows", 1.3), ("columns", 2.0), ("far", 2.0)])
def test_the_answer_is_certified(kind: str, p: float) -> None:
    Z = spread(kind, 6)
    data = lm.Dataset(Z, np.ones(len(Z)), one_class=True)
    for problem in (
        lm.HardMargin(lm.Linear(), data, norm=p),
        lm.MarginPath(lm.Linear(), data, 10.0, norm=p, gamma=1.0),
    ):
        found = lm.solve(problem).certificate
        assert found is not None
        assert found.verdict is Verdict.GLOBAL, found.reasons


def test_a_slightly_worse_direction_is_not_called_global() -> None:
    Z = spread("small", 7)
    data = lm.Dataset(Z, np.ones(len(Z)), one_class=True)
    problem = lm.HardMargin(lm.Linear(), data)
    best = _found(Z, 2.0)
    assert lm.certify(problem, best).verdict is Verdict.GLOBAL
    worse = best + np.array([1e-5, -1e-5, 0.0, 0.0])
    assert lm.certify(problem, worse).verdict is not Verdict.GLOBAL
