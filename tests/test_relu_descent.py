"""Local descent by least-distance programs: feasible, falling, and no worse than cone programs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexmargin.backends.relu_descent import Budget, local_descent
from lexmargin.backends.relu_search import search
from lexmargin.backends.relu_subproblem import TwoLayer, solve_round

pytestmark = pytest.mark.backend("clarabel")


def instance(seed: int, slope: float) -> tuple[TwoLayer, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((14, 3))
    X /= np.linalg.norm(X, axis=1).max()
    y = np.where(rng.random(14) < 0.5, 1.0, -1.0)
    signs = np.array([1.0, -1.0] * 4)
    v = np.array([X[rng.choice(np.flatnonzero(y == s))] for s in signs])
    return TwoLayer(X, y, slope), v, signs


@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), slope=st.sampled_from([0.0, 0.2]))
def test_the_norm_falls_over_feasible_points_to_where_cone_programs_end(
    seed: int, slope: float
) -> None:
    data, v, signs = instance(seed, slope)
    objective = np.inf
    for most in (1, 3, 40):
        found = local_descent(data, v, signs, Budget(1000), accuracy=1e-9, most=most)
        if found is None:
            return
        assert data.values(found.v, found.signs).min() >= 1.0 - 1e-9
        assert found.objective == pytest.approx(np.linalg.norm(found.v, axis=1).sum())
        assert found.objective <= objective * (1 + 1e-9)
        objective = found.objective
    assert np.all(found.multipliers >= 0.0)
    assert np.all(found.shares <= found.multipliers[:, None] * (1 + 1e-9) + 1e-12)
    # f is homogeneous of degree 1 in v, so that λ of the last program sums to the norm.
    assert found.multipliers.sum() == pytest.approx(objective, rel=1e-4)
    # An independent solver, at the pattern where the descent ended, finds next to nothing.
    again = solve_round(data, found.signs, data.pre_activations(found.v) > 0.0)
    assert again.solved
    assert again.objective >= objective * (1 - 1e-4)


def test_a_pattern_without_a_margin_gives_nothing() -> None:
    data = TwoLayer(np.array([[1.0, 0.0], [-1.0, 0.0]]), np.array([1.0, 1.0]), 0.0)
    # Only the first sample is in reach of this unit.
    assert local_descent(data, np.array([[1.0, 0.0]]), np.ones(1), Budget(10)) is None


def test_a_spent_budget_ends_the_descent() -> None:
    data, v, signs = instance(0, 0.0)
    assert local_descent(data, v, signs, Budget(0)) is None


def test_the_search_does_not_depend_on_the_clock() -> None:
    data, v, signs = instance(3, 0.0)
    first, second = search(data, v, signs), search(data, v, signs)
    np.testing.assert_array_equal(first.v, second.v)
    np.testing.assert_array_equal(first.multipliers, second.multipliers)
    assert first.residual <= 1e-12
