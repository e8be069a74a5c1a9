"""The support as a tolerance: the rung of a verdict, curves, and gradient descent's multipliers."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lexmargin as lm
from lexmargin.errors import DataError, UnsupportedError
from lexmargin.judge import (
    Tolerances,
    Verdict,
    carried_multipliers,
    certify,
    certify_arrays,
    curves,
)
from lexmargin.judge.multipliers.multiplier_set import nonnegative_multipliers
from lexmargin.judge.multipliers.polyhedral_set import polyhedral_multiplier_set
from lexmargin.judge.multipliers.supports import rungs
from lexmargin.judge.tolerances import WIDEST

INF = math.inf
LINEAR = lm.HardMargin(lm.Linear(), lm.Dataset([[1.0, 0.0], [0.0, 2.0]], [1, 1], one_class=True))
DIAGONAL = lm.HardMargin(
    lm.DiagonalNetwork(2), lm.Dataset([[1.0, 0.6], [0.6, 1.0]], [1, 1], one_class=True)
)


def slack_case(share: float, slack: float):
    """A direction whose second support sample has that relative slack and multiplier share."""
    theta = np.array([1.0, 0.0, 0.0])
    f = np.array([1.0, 1.0 + slack])
    across = np.array([[0.0, -share, 0.0], [0.0, 1.0 - share, 0.0]])
    return f, f[:, None] * theta + across, theta


def test_the_rungs_go_up_by_tens_to_the_widest():
    assert rungs(1e-7) == pytest.approx([1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2])
    assert rungs(3e-4) == pytest.approx([3e-4, 3e-3, WIDEST])
    assert rungs(0.1) == (0.1,)


@pytest.mark.parametrize(
    ("share", "slack", "tau"),
    [(0.5, 1e-8, 1e-7), (1e-3, 2e-6, 1e-5), (1e-4, 3e-4, 1e-3), (1e-6, 9e-3, 1e-2)],
)
def test_a_slack_at_a_small_multiplier_widens_the_support_and_is_certified(share, slack, tau):
    found = certify_arrays(*slack_case(share, slack), 1.0)
    assert found.verdict is Verdict.KKT, found.report()
    assert found.tau == pytest.approx(tau) and found.support.tolist() == [0, 1]
    assert found.complementarity == pytest.approx(share * slack, rel=1e-2)
    assert f"τ = {tau:.0e}" in found.report()


@pytest.mark.parametrize(("share", "slack"), [(0.5, 1e-6), (1e-3, 2e-3), (0.1, 1e-2), (0.3, 0.5)])
def test_the_same_slack_at_a_larger_multiplier_is_refuted(share, slack):
    found = certify_arrays(*slack_case(share, slack), 1.0)
    assert found.verdict is Verdict.NOT_STATIONARY, found.report()
    assert 1e-7 < found.stationarity_bound <= found.stationarity * (1 + 1e-12)


def test_the_pair_of_lyu_and_li_is_that_of_margin_one():
    f, J, theta = slack_case(1e-3, 2e-6)
    for scale in (1.0, 16.0):
        found = certify_arrays(f * scale, J * scale, theta, 1.0)
        w = theta / (f.min() * scale)
        # At w the gradients are those of f (degree 1) and λ' = λ/γ.
        weights = found.multipliers / (f.min() * scale)
        assert found.kkt_epsilon == pytest.approx(
            np.linalg.norm(w - weights @ (J * scale)), abs=1e-15
        )
        slacks = weights * (f * scale / (f.min() * scale) - 1.0)
        assert found.kkt_delta == pytest.approx(slacks.max(), rel=1e-9)


def test_curves_show_epsilon_falling_with_tau():
    theta = np.array([2.0, 1.0 + 1e-9])
    found = curves(LINEAR, theta)
    assert found.verdict is Verdict.GLOBAL
    residuals = [point.residual for point in found.tau_curve]
    assert residuals[0] > 0.1 and residuals[-1] < 1e-9
    assert all(a >= b - 1e-15 for a, b in itertools.pairwise(residuals))
    assert found.trade_off is not None and found.trade_off[0].residual < 1e-9
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert len(data["tau_curve"]) == len(residuals) and data["tau"] == pytest.approx(1e-7)
    assert certify(LINEAR, theta).tau_curve is None
    with pytest.raises(UnsupportedError):
        curves(LINEAR, np.array([1.0, -1.0]))


def test_a_grade_widens_the_first_rung():
    f, J, theta = slack_case(0.5, 1e-5)
    assert not certify_arrays(f, J, theta, 1.0).certified
    assert certify_arrays(f, J, theta, 1.0, tolerances=Tolerances.at(1e-4)).certified


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 30.0))
def test_the_identity_of_carried_multipliers(seed, scale):
    rng = np.random.default_rng(seed)
    functions = DIAGONAL.functions
    theta = scale * (rng.random(4) + 0.1)
    carried = carried_multipliers(functions, theta)
    J, f = functions.jacobian(theta), functions.values(theta)
    weights = np.exp(f.min() - f)
    np.testing.assert_allclose(
        carried.multipliers / carried.multipliers.sum(), weights / weights.sum(), rtol=1e-12
    )
    combined = carried.multipliers @ J
    assert np.linalg.norm(combined) == pytest.approx(np.linalg.norm(theta), rel=1e-12)
    residual = np.linalg.norm(theta - combined) / np.linalg.norm(theta)
    cosine = combined @ theta / (theta @ theta)
    assert carried.residual == pytest.approx(residual, rel=1e-9, abs=1e-13)
    assert carried.residual == pytest.approx(2 * math.sin(carried.angle / 2), rel=1e-9, abs=1e-13)
    assert residual**2 == pytest.approx(2 * (1 - cosine), rel=1e-6, abs=1e-12)
    best = nonnegative_multipliers(J, theta / np.linalg.norm(theta)).residual
    assert best <= carried.residual + 1e-12


def test_carried_multipliers_approach_the_best_ones_at_a_large_scale():
    theta = np.array([2.0, 1.0 + 1e-3])
    near, far = (carried_multipliers(LINEAR.functions, s * theta) for s in (1.0, 300.0))
    assert far.residual < near.residual
    with pytest.raises(DataError):
        carried_multipliers(LINEAR.functions, np.zeros(2))


# rows, θ, norm, dimension of {λ ≥ 0 : Jᵀλ ∈ ∂‖θ‖}: all by hand
POLYTOPES = [
    # ∂‖·‖∞ at (1,1) is a segment: every λ ≥ 0 with Σλ fixed.
    ("pairs-linf", [[0.5, 1.5], [1.5, 0.5]] * 2, (1, 1), INF, 3),
    ("fails-linf", [[1, 0], [0, 1], [0.5, 0.5]], (1, 1), INF, 2),
    # θ in the interior of a facet pins g = (1, 1).
    ("pairs-l1", [[0.5, 1.5], [1.5, 0.5]] * 2, (0.5, 0.5), 1.0, 2),
    ("fails-l1", [[1, 0], [0, 1], [0.5, 0.5]], (0.5, 0.5), 1.0, 1),
    # At a vertex of the ℓ1 ball only g_1 = 1 and |g_2| ≤ 1: λ1 + λ2 = 1.
    ("vertex-l1", [[1, 0.5], [1, -0.5]], (1, 0), 1.0, 1),
    # |g_2| = 2 λ1 ≤ 1 and g_1 = λ1 + λ2 = 1.
    ("vertex-l1-bounded", [[1, 2], [1, 0]], (1, 0), 1.0, 1),
    # g_2 = λ2 must be 0 where |θ_2| < 1.
    ("facet-linf", [[1, 0], [1, 1]], (1, 0.5), INF, 0),
]


@pytest.mark.parametrize(
    ("rows", "theta", "norm", "dimension"),
    [case[1:] for case in POLYTOPES],
    ids=[case[0] for case in POLYTOPES],
)
def test_the_dimension_of_the_multipliers_of_polyhedral_norms(rows, theta, norm, dimension):
    Z, theta = np.array(rows, float), np.array(theta, float)
    found = certify_arrays(Z @ theta, Z, theta, 1.0, norm, linear=True)
    assert found.verdict is Verdict.GLOBAL, found.report()
    assert found.multiplier_dimension == dimension
    low, high = np.array(found.multiplier_range).T
    mine = found.multipliers[found.support]
    assert np.all(low <= mine + 1e-12) and np.all(mine <= high + 1e-12)
    # Which member of the set the search starts from makes no difference.
    moved = polyhedral_multiplier_set(Z[found.support], theta, norm, mine, 1e-10)
    assert moved.dimension == dimension


def test_the_ranges_of_a_bounded_subgradient():
    Z, theta = np.array([[1.0, 2.0], [1.0, 0.0]]), np.array([1.0, 0.0])
    found = certify_arrays(Z @ theta, Z, theta, 1.0, 1.0, linear=True)
    np.testing.assert_allclose(found.multiplier_range, [(0, 0.5), (0.5, 1)], atol=1e-9)
