"""Local descent by least-distance programs: feasible, falling, and no worse than cone programs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexmargin.backends.kinked.relu_birth import newborns
from lexmargin.backends.kinked.relu_descent import Budget, local_descent
from lexmargin.backends.kinked.relu_exchange import merged
from lexmargin.backends.kinked.relu_search import search
from lexmargin.backends.kinked.relu_subproblem import TwoLayer, solve_round

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


def test_units_are_merged_only_where_no_sample_tells_them_apart() -> None:
    data, v, signs = instance(1, 0.1)
    beside = v + 1e-6 * np.abs(v)
    doubled, both = np.vstack([v, beside]), np.append(signs, signs)
    fewer, kept = merged(data, doubled, both)
    assert kept.size <= signs.size
    np.testing.assert_allclose(
        data.values(fewer, kept), data.values(doubled, both), rtol=0.0, atol=1e-12
    )
    total = np.linalg.norm(doubled, axis=1).sum()
    assert np.linalg.norm(fewer, axis=1).sum() <= total * (1 + 1e-12)


def test_births_climb_to_the_kink_that_holds_them() -> None:
    """``max relu(u·x_1) - 50 relu(u·x_2)`` is at ``u ⟂ x_2``: the sine of the angle between."""
    angle = np.deg2rad(40.0)
    X = np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
    data = TwoLayer(X, np.array([1.0, -1.0]), 0.0)
    found = newborns(data, np.array([1.0, 50.0]), 8)
    best = max(one.value for one in found if one.sign > 0.0)
    # A ridge of 1e-9 under 50 σ(u·x_2) costs 5e-8.
    assert best == pytest.approx(np.sin(angle), rel=2e-7)


@pytest.mark.parametrize("seed", [0, 1])
def test_networks_wide_enough_reach_one_value_from_every_start(seed: int) -> None:
    """The wide problem is convex (Pilanci & Ergen 2020): N + 1 units need not fear local optima."""
    data, _, _ = instance(seed, 0.0)
    ends = []
    for start in range(3):
        rng = np.random.default_rng(start)
        signs = np.array([1.0, -1.0] * 8)
        v = np.array([data.X[rng.choice(np.flatnonzero(data.y == s))] for s in signs])
        v = v + 0.1 * rng.standard_normal(v.shape)
        found = search(data, v, signs, rounds=3000)
        assert found.residual <= 1e-9
        ends.append(float(np.linalg.norm(found.v, axis=1).sum()))
    assert max(ends) == pytest.approx(min(ends), rel=1e-4)
