"""Levels of data that people have: every answer certified, and right by references of their own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import linprog

import lexmargin as lm
from adversarial_levels import dual_optimum, rough_weights
from lexmargin.formulations.lexicographic import LexicographicMethod
from lexmargin.judge import Verdict

INF = math.inf


def gaussian(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    Z = rng.standard_normal((count, size))
    return np.asarray(Z * np.sign(Z @ rng.standard_normal(size))[:, None])


def nested(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    Z = 1.0 + rng.integers(0, 4, (count, size)).astype(float)
    Z[:3] = 1.0
    return Z


def stated(Z: np.ndarray, norm: float, method: str = "auto") -> lm.Lexicographic:
    data = lm.Dataset(Z, np.ones(len(Z)), one_class=True)
    return lm.Lexicographic(lm.Linear(), data, norm, method=LexicographicMethod(method))


def next_level(Z: np.ndarray, norm: float, floors: np.ndarray) -> float:
    """Return max t with f_n ≥ floors_n where they are numbers and f_n ≥ t elsewhere, by HiGHS."""
    size = Z.shape[1]
    free = np.isnan(floors)
    both = np.hstack([Z, -Z])
    rows = np.hstack([-both, free[:, None] * 1.0])
    right = np.where(free, 0.0, -floors)
    if norm == 1.0:
        ball, most = np.append(np.ones(2 * size), 0.0)[None, :], np.ones(1)
    else:
        ball = np.hstack([np.eye(size), np.eye(size), np.zeros((size, 1))])
        most = np.ones(size)
    answer = linprog(
        np.append(np.zeros(2 * size), -1.0),
        A_ub=np.vstack([rows, ball]),
        b_ub=np.concatenate([right, most]),
        bounds=[*[(0.0, None)] * (2 * size), (None, None)],
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    return float(answer.x[-1])


def check(Z: np.ndarray, norm: float) -> None:
    answer = lm.solve(stated(Z, norm))
    assert answer.certificate is not None
    assert answer.certificate.verdict is Verdict.GLOBAL, answer.certificate.reasons
    assert "levels are within" in answer.certificate.reasons[-1]
    unit = answer.margin
    first = next_level(Z, norm, np.full(len(Z), np.nan))
    assert unit == pytest.approx(first, rel=1e-7)
    # The margins of the answer cannot be raised one after another, with a slack of HiGHS's size.
    order = np.argsort(answer.margins, kind="stable")
    for k in (1, len(Z) // 2, len(Z) - 1):
        floors = np.full(len(Z), np.nan)
        floors[order[:k]] = answer.margins[order[:k]] - 1e-9 * unit
        level = float(answer.margins[order[k]])
        assert next_level(Z, norm, floors) <= level + 1e-4 * unit


@pytest.mark.parametrize("norm", [1.0, INF])
@pytest.mark.parametrize("kind", [gaussian, nested])
def test_all_levels_of_common_data_are_certified(kind: object, norm: float) -> None:
    assert callable(kind)
    check(kind(np.random.default_rng(3), 120, 12), norm)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("kind", "count", "size", "norm"),
    [(gaussian, 2000, 60, 1.0), (gaussian, 2000, 60, INF), (nested, 2000, 110, INF)],
)
def test_all_levels_of_large_data_are_certified(
    kind: object, count: int, size: int, norm: float, seed: int
) -> None:
    assert callable(kind)
    check(kind(np.random.default_rng(seed), count, size), norm)


@pytest.mark.parametrize("norm", [2.0, 1.5, 3.0])
def test_ordered_sums_in_strictly_convex_balls_are_certified(norm: float) -> None:
    rng = np.random.default_rng(int(10 * norm))
    for _ in range(3):
        Z = gaussian(rng, int(rng.integers(3, 9)), int(rng.integers(2, 4)))
        answer = lm.solve(stated(Z, norm, "ordered-sums"))
        assert answer.certificate is not None
        assert answer.certificate.verdict is Verdict.GLOBAL, answer.certificate.reasons
        exact = dual_optimum(Z, norm, rough_weights(Z, norm))
        if exact is not None:
            best = np.array([float(v) for v in exact[0]])
            assert np.sort(answer.margins) == pytest.approx(best, abs=1e-7 * best[0])


@pytest.mark.long
def test_ordered_sums_of_many_fresh_instances_are_certified() -> None:
    rng = np.random.default_rng(5)
    for _ in range(33):
        Z = gaussian(rng, int(rng.integers(3, 30)), int(rng.integers(2, 6)))
        answer = lm.solve(stated(Z, 2.0, "ordered-sums"))
        assert answer.certificate is not None
        assert answer.certificate.verdict is Verdict.GLOBAL, answer.certificate.reasons
