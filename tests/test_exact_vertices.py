"""Lexicographic margins in rationals: every chain holds, and data of any scale are certified."""

from __future__ import annotations

import math
import time
from fractions import Fraction

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.judge.levels.exact_levels import check_exact_levels
from lexmargin.separation.exact_vertices import exact_vertex

INF = math.inf


@pytest.mark.parametrize("norm", [1.0, INF])
def test_chains_hold_in_rationals_whatever_the_scales(norm: float) -> None:
    rng = np.random.default_rng(0)
    found = 0
    for trial in range(60):
        n, d = int(rng.integers(1, 12)), int(rng.integers(1, 5))
        # Integers tie, and tied pivots gain nothing.
        Z = rng.integers(-1, 4, (n, d)) if trial % 2 else rng.standard_normal((n, d)) + 0.7
        Z = Z * 10.0 ** rng.integers(-6, 7, (n, 1)) * 10.0 ** rng.integers(-6, 7, d)
        count = int(rng.integers(1, n + 1))
        vertex = exact_vertex(Z, norm, count, INF)
        assert (vertex is None) != lm.separability(
            lm.Dataset(Z, np.ones(n), one_class=True), bias=False
        ).separable
        if vertex is None:
            continue
        found += 1
        assert check_exact_levels(Z, norm, vertex.theta, vertex.chain, count) == ""
        moved = (vertex.theta[0] + Fraction(1, 10**30), *vertex.theta[1:])
        assert check_exact_levels(Z, norm, moved, vertex.chain, count)
    assert found > 20


def test_pivots_that_gain_nothing_end() -> None:
    """Beale's program (1955), on which the rule of the largest gain goes round for ever.

    `max c·x, A x ≤ 0, x ≥ 0`: samples c, c - A_i and c + e_i, so that the margins of the others are
    at least that of the first exactly where x is feasible; c small beside them.
    """
    gains = np.array([0.75, -20.0, 0.5, -6.0]) / 128
    limits = np.array([[0.25, -8.0, -1.0, 9.0], [0.5, -12.0, -0.5, 3.0]])
    x = np.eye(4)
    others = [-limits[0], x[2], x[3], -limits[1], x[0], x[1]]
    Z = np.array([gains, *(gains + row for row in others)])
    vertex = exact_vertex(Z, 1.0, 1, time.monotonic() + 20.0)
    assert vertex is not None
    assert check_exact_levels(Z, 1.0, vertex.theta, vertex.chain, 1) == ""


def test_a_late_deadline_leaves_nothing() -> None:
    assert exact_vertex(np.eye(3), 1.0, 1, time.monotonic() - 1.0) is None


def test_levels_of_closed_forms() -> None:
    # cases.md: three-levels-l1 and two-levels-linf.
    found = exact_vertex(np.array([[1.0, 1, 1], [2, 3, 3], [4, 5, 6]]), 1.0, 3, INF)
    assert found is not None and found.theta == (0, 0, 1)
    found = exact_vertex(np.array([[1.0, 0], [3, 1]]), INF, 2, INF)
    assert found is not None and found.theta == (1, 1)


@pytest.mark.parametrize(
    ("Z", "norm"),
    [
        # Both margins are 5e-7, one row is 1e10 times the other: few lengths round well.
        ([[8.81777303e-07, -1.06083802e-07], [-5548.56234, 7152.18743]], 1.3),
        # A column of ones beside features of 1e-12, and one of 1e8.
        ([[3e-12, -1e-12, 1], [1e-12, 2e-12, -1], [2e-12, 1e-12, -1]], 1.0),
        ([[100000001.25, 1], [100000002.5, 1], [-99999998.75, -1]], 3.0),
    ],
)
def test_levels_below_rounding_are_certified(Z: list[list[float]], norm: float) -> None:
    data = lm.Dataset(Z, [1] * len(Z), one_class=True)
    solution = lm.solve(lm.Lexicographic(lm.Linear(), data, levels=2, norm=norm))
    assert solution.certificate is not None
    assert solution.certificate.verdict is lm.Verdict.GLOBAL, str(solution.certificate)


def test_feasibility_is_that_of_the_margins_without_rounding() -> None:
    """``w·x + b`` rounds to multiples of 1.2e-7 here: more than the tolerance of feasibility."""
    rng = np.random.default_rng(0)
    predictor = lm.Sum([lm.Linear(), lm.Bias("plain")])
    for _ in range(10):
        X, w = 1e8 + rng.standard_normal((6, 4)), 3.0 * rng.standard_normal(4)
        pairs = [zip(map(Fraction, x), map(Fraction, w.tolist()), strict=True) for x in X.tolist()]
        scores = [sum(a * b for a, b in pair) for pair in pairs]
        bias = float(1 - min(scores))
        short = max(0.0, float(1 - min(scores) - Fraction(bias)))
        problem = lm.WSet(predictor, lm.Dataset(X, np.ones(6), one_class=True))
        certificate = lm.certify(problem, np.append(w, bias))
        assert certificate.feasibility == pytest.approx(short, rel=1e-6, abs=1e-15)
        assert "infeasible" not in str(certificate)
