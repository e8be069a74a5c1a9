"""What weight above the margin can change ε by: no less than what any such weight does change."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexmargin.judge.multipliers.stationarity import on_support
from lexmargin.judge.multipliers.weight_reach import weight_reach
from lexmargin.judge.point import unit_point
from lexmargin.linalg.norms import vector_norm


def lengths(rows: Any, norm: float) -> Any:
    """In the norm that the bound asks for."""
    dual = {1.0: math.inf, math.inf: 1.0}.get(norm, 2.0)
    return np.linalg.norm(rows, ord=dual, axis=1)


def gap(theta: Any, combined: Any, norm: float) -> float:
    """ε at θ of norm 1: the Hölder gap for ℓ1 and ℓ∞, else the angle to the norm gradient."""
    if norm == 1.0 or math.isinf(norm):
        dual = math.inf if norm == 1.0 else 1.0
        return float(np.linalg.norm(combined, dual) - combined @ theta)
    gradient = np.sign(theta) * np.abs(theta) ** (norm - 1.0)
    return float(np.linalg.norm(gradient - combined) / np.linalg.norm(gradient))


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1.0, 1.3, 2.0, 4.0, math.inf]))
def test_no_weight_within_delta_changes_more(seed: int, norm: float) -> None:
    rng = np.random.default_rng(seed)
    theta = rng.standard_normal(4)
    theta /= vector_norm(theta, norm)
    excess, degree = 10.0 ** rng.uniform(-3, 1, 6), float(rng.integers(1, 4))
    rows = rng.standard_normal((6, 4)) * 10.0 ** rng.uniform(-1, 1, (6, 1))
    if rng.random() < 0.5:
        # Along signs and axes the bounds of ℓ1 and ℓ∞ are met.
        rows = np.sign(rows) if math.isinf(norm) else np.eye(4)[rng.integers(0, 4, 6)]
    above = np.arange(1, 6)
    sizes = lengths(rows, norm)
    reach = weight_reach(above, lambda some: sizes[some], excess, theta, norm)
    # The same at another length of θ, where gradients and margins have other sizes.
    c = 10.0 ** rng.uniform(-2, 2)
    bent, higher = sizes * c ** (degree - 1.0), excess * c**degree
    again = weight_reach(above, lambda some: bent[some], higher, c * theta, norm)
    assert again == pytest.approx(reach, rel=1e-12)
    most = 0.0
    for n in above:
        for sign in (1.0, -1.0):
            weight = 1e-4 / excess[n]
            start = rng.standard_normal(4)
            if norm == 1.0 or math.isinf(norm):
                # Where the cone holds its vector the gap falls the fastest.
                start = -sign * (10.0 + weight) * rows[n]
            else:
                start = np.sign(theta) * np.abs(theta) ** (norm - 1.0) + sign * rows[n]
            moved = start + sign * weight * rows[n]
            most = max(most, abs(gap(theta, moved, norm) - gap(theta, start, norm)) / 1e-4)
    assert most <= reach * (1.0 + 1e-9)
    if norm not in (1.0, math.inf):
        assert most >= reach * (1.0 - 1e-5)


def test_what_is_not_known_may_be_anything() -> None:
    everyone, theta = np.arange(3), np.eye(2)[0]
    excess = np.array([1.0, 2.0, 0.0])
    ones = np.ones(3)
    assert weight_reach(everyone[:2], lambda some: ones[some], excess, theta, 2.0) > 1.0
    assert math.isinf(weight_reach(everyone, lambda some: ones[some], excess, theta, 2.0))
    assert math.isinf(weight_reach(everyone[:2], lambda some: None, excess, theta, 2.0))
    few = weight_reach(
        everyone[:2], lambda some: ones[some] if some.size == 1 else None, excess, theta, 2.0
    )
    assert few == pytest.approx(1.0, rel=1e-5)
    assert not weight_reach(everyone[:0], lambda some: None, excess, theta, 2.0)


@pytest.mark.parametrize("norm", [1.0, 1.5, 2.0, 4.0, math.inf])
def test_a_given_vector_has_length_1_whatever_the_ball(norm: float) -> None:
    theta, ones = np.array([3.0, 4.0]), np.ones(2)
    asked = (np.arange(2), lambda some: ones[some], ones, theta, norm)
    assert weight_reach(*asked, target=True) == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("norm", [1.0, math.inf])
def test_the_gap_is_the_one_that_is_measured(norm: float) -> None:
    theta = np.array([1.0, 0.0]) if norm == 1.0 else np.array([1.0, 1.0])
    rows = np.array([[1.0, 0.25], [1.0, -3.0]])
    point = unit_point(rows @ theta, rows, theta, 1.0, norm)
    measured = on_support(point, np.array([0]))
    combined = measured.multipliers[0] * np.asarray(point.jacobian)[0]
    assert measured.residual == pytest.approx(gap(theta, combined, norm), abs=1e-9)
