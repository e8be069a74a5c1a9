"""Least distance programs: optimality is checked by its own conditions, not by another solver."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexmargin.linalg.least_distance import least_distance


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 12),
    size=st.integers(1, 6),
    scale=st.sampled_from((1e-6, 1.0, 1e6)),
)
def test_multipliers_satisfy_the_kkt_conditions(
    seed: int, count: int, size: int, scale: float
) -> None:
    """u = Aᵀλ is the nearest point iff ``A u >= b, λ >= 0, λ (A u - b) = 0``."""
    rng = np.random.default_rng(seed)
    # Feasible by construction, rows of different lengths, some of the b negative.
    rows = scale * rng.standard_normal((count, size)) * rng.choice([0.1, 1.0, 10.0], (count, 1))
    inside = rng.standard_normal(size)
    right = rows @ inside - scale * rng.exponential(1.0, count) * rng.integers(0, 2, count)
    found = least_distance(rows, right)
    assert found is not None
    u = rows.T @ found
    lengths = np.linalg.norm(rows, axis=1)
    tolerance = 1e-7 * (1.0 + float(np.linalg.norm(inside))) * lengths
    assert np.all(found >= 0.0)
    assert np.all(rows @ u >= right - tolerance)
    assert np.all((found == 0.0) | (np.abs(rows @ u - right) <= tolerance))
    assert np.linalg.norm(u) <= np.linalg.norm(inside) * (1.0 + 1e-7)


def test_closed_forms() -> None:
    # u = (1, 2): both rows bind, A u = b, λ = (AAᵀ)⁻¹ b.
    assert least_distance(np.diag([1.0, 2.0]), np.array([1.0, 4.0])) == pytest.approx([1.0, 1.0])
    # The origin is feasible.
    assert np.array_equal(least_distance(np.eye(2), np.array([-1.0, 0.0])), np.zeros(2))
    # u >= 1 and -u >= 1, and a row of zeros: nothing is feasible.
    assert least_distance(np.array([[1.0], [-1.0]]), np.ones(2)) is None
    assert least_distance(np.array([[0.0, 0.0], [1.0, 0.0]]), np.ones(2)) is None


def test_points_beyond_rounding_are_none() -> None:
    """Two rows at an angle of 2h allow u of length 1/h."""
    for h, seen in ((1e-3, True), (1e-5, True), (1e-7, False)):
        rows = np.array([[h, 1.0], [h, -1.0]])
        found = least_distance(rows, np.ones(2), 1e-12)
        assert (found is not None) is seen
        if found is not None:
            assert rows.T @ found == pytest.approx([1.0 / h, 0.0], abs=1e-4 / h)


def test_numbers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(RuntimeError):
        least_distance(np.array([[np.nan]]), np.ones(1))
