"""Branch and bound over the sphere: a proof that holds for every point, and is tight."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.judge.bounds.sphere import Sphere, sphere_bound
from lexmargin.judge.multipliers.vertex_bounds import relative_gap
from lexmargin.judge.prove import Arithmetic, prove
from lexmargin.margins import MarginFunctions

R = math.sqrt
ONE = lm.Dataset([[1.0]], [1], one_class=True)
SHALLOW_DEEP = lm.Sum([lm.Linear(), lm.DiagonalNetwork(2)])


def points(X: Any) -> lm.Dataset:
    return lm.Dataset(np.array(X, float), [1] * len(X), one_class=True)


# (predictor, X, ρ, q, closed form of the maximum)
QUARTICS = lm.Polynomial([[4, 0, 0], [0, 4, 0], [0, 0, 4]])
TIGHT: dict[str, tuple[Any, Any, float, list[float], float]] = {
    # γ*(ρ) = (ρ² + 1)/2 (depth-1-plus-2).
    "depth-1-plus-2": (SHALLOW_DEEP, [[1]], 2.0, [1.0], 2.5),
    "depth-1-plus-2-far": (SHALLOW_DEEP, [[1]], 10.0, [1.0], 50.5),
    # θ_1 alone below ρ = 1.
    "depth-1-plus-2-near": (SHALLOW_DEEP, [[1]], 0.5, [1.0], 0.5),
    # No index is tight in all optima.
    "no-blocked-index": (
        lm.Polynomial([[4, 0], [0, 4]]),
        [[1, 2], [2, 1], [5, 9]],
        1.0,
        [1.0, 1.0, 0.0],
        1.0,
    ),
    # min(2x⁴, 2y⁴, 2z⁴) is largest at x² = y² = z² = 1/3.
    "three-quartics": (QUARTICS, np.diag([2.0, 2.0, 2.0]), 1.0, [1.0, 1.0, 1.0], 2 / 9),
    "saddle-is-kkt": (lm.DiagonalNetwork(2), [[1, 2]], 1.0, [1.0], 1.0),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.long) if n == "saddle-is-kkt" else n for n in TIGHT]
)
def test_the_bound_is_tight_and_not_too_low(name: str) -> None:
    predictor, X, radius, weights, value = TIGHT[name]
    functions = MarginFunctions(predictor, points(X))
    start = np.ones(functions.size)
    found = sphere_bound(functions, radius, np.array(weights), start)
    assert found.upper >= value * (1 - 1e-15)
    assert found.upper == pytest.approx(value, rel=1e-7)
    assert found.best <= found.upper


@pytest.mark.parametrize("seed", range(3))
def test_no_point_is_above_the_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    predictor = lm.Sum([lm.Linear(), lm.DiagonalNetwork(2)])
    functions = MarginFunctions(predictor, points(rng.uniform(-1, 3, (3, 1))))
    weights = rng.uniform(0.1, 1.0, 3)
    found = sphere_bound(functions, 2.0, weights, np.array([1.0, 1.0, 1.0]), boxes=200)
    w = rng.standard_normal((20_000, 3))
    w *= 2.0 / np.linalg.norm(w, axis=1, keepdims=True)
    assert max(float(np.min(functions.values(x))) for x in w[:2000]) <= found.upper


def test_wrong_weights_cost_tightness_and_nothing_else() -> None:
    predictor, X, radius, _, value = TIGHT["three-quartics"]
    functions = MarginFunctions(predictor, points(X))
    found = sphere_bound(functions, radius, np.array([1.0, 0.0, 0.0]), np.ones(3), boxes=300)
    assert found.upper >= value * (1 - 1e-15)


PROVED = {
    "depth-1-plus-2": (lm.MarginPath(SHALLOW_DEEP, ONE, 2.0), [0.5, R(1.5) / 2, R(1.5) / 2], 2.5),
    "three-quartics": (
        lm.HardMargin(QUARTICS, points(np.diag([2.0, 2.0, 2.0]))),
        [1.0, 1.0, 1.0],
        2 / 9,
    ),
}


@pytest.mark.parametrize("name", PROVED)
def test_exact_proofs_carry_the_bound(name: str) -> None:
    problem, theta, value = PROVED[name]
    found = prove(problem, np.array(theta))
    assert found.kind is Arithmetic.BALLS and found.proved, found.report()
    assert found.facts["bound"] == pytest.approx(value, rel=1e-7)
    assert found.facts["bound"] >= value * (1 - 1e-15)
    assert found.gap is not None and found.gap <= 1e-7
    assert "global maximum" in found.report()
    json.dumps(found.to_json(), allow_nan=False)


def test_a_kkt_point_that_is_not_global_is_not_called_so() -> None:
    # θ_1 alone at ρ = 2: margin 2 of 2.5, a true KKT point.
    problem = lm.MarginPath(SHALLOW_DEEP, ONE, 2.0)
    found = prove(problem, np.array([1.0, 0.0, 0.0]))
    assert found.kind is Arithmetic.BALLS and found.proved
    assert found.gap == pytest.approx(0.2, rel=1e-6)
    assert "global" not in found.report()


@pytest.mark.long
def test_a_search_is_short_where_the_point_is_beaten() -> None:
    # A KKT point that is no maximum, among samples whose maxima are not isolated.
    data = lm.Dataset([[1.0, 0.5], [0.25, 2.0], [-1.0, -1.5]], [1, 1, -1])
    problem = lm.HardMargin(lm.DiagonalNetwork(2), data)
    start = np.array([0.0, 1.0, 0.0, 1.0])
    functions, weights = problem.functions, np.ones(3)
    margin = float(functions.values(start / np.linalg.norm(start)).min())
    found = sphere_bound(functions, 1.0, weights, start, beaten=margin)
    longer = sphere_bound(functions, 1.0, weights, start, boxes=2_500)
    assert found.boxes < longer.boxes and found.best > margin and found.upper >= longer.upper
    proof = prove(problem, start)
    assert proof.kind is Arithmetic.BALLS and "global" not in proof.statement


@pytest.mark.parametrize("theta", [[5e-324, 5e-324], [1e308, 1e308], [1e-200, 1e154]])
def test_a_path_of_the_regularization_at_the_ends_of_doubles_is_not_proved(
    theta: list[float],
) -> None:
    data = lm.Dataset([[1.0, 0.5], [0.25, 2.0], [-1.0, -1.5]], [1, 1, -1])
    found = prove(lm.RegularizationPath(lm.Linear(), data, 0.1), np.array(theta))
    assert found.kind is Arithmetic.BALLS and not found.proved


@pytest.mark.parametrize("upper", [math.inf, math.nan, 0.0, -1.0])
def test_a_bound_that_proves_nothing_leaves_no_small_gap(upper: float) -> None:
    assert relative_gap(upper, 1.0) == math.inf
    assert relative_gap(1.0, math.nan) == math.inf
    assert relative_gap(2.0, 1.0) == 0.5


def test_a_ball_beyond_all_doubles_is_named_and_not_halved_for_ever() -> None:
    data = lm.Dataset([[1e10], [-1e10]], [1, -1])
    with pytest.raises(lm.LexmarginError):
        lm.solve(lm.ConstrainedPath(lm.Linear(), data, rho=1e305), solver="newton")


def test_the_centre_of_the_ball_is_a_point_of_it() -> None:
    # f_1 = a - b² and f_2 = -a - b²: the smaller is below 0 everywhere but at 0.
    score = lm.Sum([lm.Member(lm.Linear(), (0,)), lm.Member(lm.Polynomial([[2]]), (1,))])
    data = lm.Dataset([[1.0, -1.0], [-1.0, -1.0]], [1, 1], one_class=True)
    kkt = lm.MarginPath(score, data, rho=2.0).kkt(np.array([0.6, 0.8]))[0]
    weights = np.ones(2)
    assert sphere_bound(kkt.functions, 2.0, weights, np.array([1.2, 1.6])).upper < 0.0
    bound = Sphere().prove(kkt, weights)
    assert bound is not None and bound.value == 0.0
