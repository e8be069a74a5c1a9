"""The word of first order: what each measured number alone does to it, and rules that differ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lexmargin.judge import Tolerances, Verdict, certify_arrays
from lexmargin.judge.first_order import Measured, first_order
from lexmargin.judge.reasons import Condition, words_of

LIMITS = Tolerances()
GOOD = Measured(
    residual=0.9e-7, lower=0.9e-7, floor=0.9e-7, complementarity=0.9e-7, mismatch=0.9e-7
)
ALONE = [
    ({"missed": "infeasible: ‖θ‖ = 2 leaves the ball"}, Verdict.NOT_STATIONARY),
    ({"noisy": True}, Verdict.UNDECIDED),
    ({"lower": 1.1e-7}, Verdict.NOT_STATIONARY),
    ({"mismatch": 1.1e-7}, Verdict.UNDECIDED),
    ({"floor": 1.1e-7}, Verdict.UNDECIDED),
    ({"residual": 1.1e-7}, Verdict.UNDECIDED),
    ({"complementarity": 1.1e-7}, Verdict.UNDECIDED),
    ({"exact": False}, Verdict.UNDECIDED),
    ({"singular": Verdict.FRITZ_JOHN}, Verdict.FRITZ_JOHN),
    ({"singular": Verdict.UNDECIDED}, Verdict.UNDECIDED),
]


@pytest.mark.parametrize("condition", list(Condition))
@pytest.mark.parametrize(("change", "verdict"), ALONE)
def test_each_number_alone_can_take_the_word(change, verdict, condition):
    good = replace(GOOD, condition=condition)
    word, reasons = first_order(good, LIMITS)
    assert word is (Verdict.CLARKE_KKT if condition.at_kinks else Verdict.KKT)
    assert reasons == (condition.met,)
    found, (why,) = first_order(replace(good, **change), LIMITS)
    # At kinks their place stands before the reason.
    words = words_of(why) + words_of(f"on a kink of relu (1): {why}")
    assert found is verdict and verdict in words


def test_a_refutation_stands_before_doubts_of_the_multipliers_in_hand():
    far = replace(GOOD, residual=1.0, lower=0.5, floor=2.0, complementarity=1.0)
    assert first_order(far, LIMITS)[0] is Verdict.NOT_STATIONARY
    assert first_order(replace(far, noisy=True), LIMITS)[0] is Verdict.UNDECIDED


@pytest.mark.parametrize(("lower", "verdict"), [(9e-6, False), (1.1e-5, True)])
def test_a_refutation_is_clear_of_what_f_and_the_gradients_contradict_each_other_by(lower, verdict):
    doubtful = replace(GOOD, residual=1.0, lower=lower, mismatch=1e-6)
    assert (first_order(doubtful, LIMITS)[0] is Verdict.NOT_STATIONARY) is verdict


def test_slope_0_contradicts_the_margins_by_the_distance_of_the_kinks():
    loose = replace(LIMITS, kink=1e-6)
    beside = replace(GOOD, mismatch=5e-7)
    assert first_order(beside, loose)[0] is Verdict.UNDECIDED
    at = replace(beside, condition=Condition.ELEMENTS)
    assert first_order(at, loose)[0] is Verdict.CLARKE_KKT
    assert first_order(at, LIMITS)[0] is Verdict.UNDECIDED


def test_a_gradient_without_a_direction_may_still_vanish():
    lost = replace(GOOD, residual=0.3, lower=-0.1, floor=0.4)
    assert first_order(replace(lost, flat=0.9e-7), LIMITS)[0] is Verdict.KKT
    assert first_order(replace(lost, flat=1.1e-7), LIMITS)[0] is Verdict.UNDECIDED
    # Where rounding leaves the direction, it is the direction that counts.
    seen = replace(lost, floor=1e-9, flat=0.0)
    assert first_order(seen, LIMITS)[0] is Verdict.UNDECIDED


@pytest.mark.parametrize("error", [3e-7, 8e-7, 9.9e-7])
def test_margins_that_are_off_by_less_than_the_degree_shows_refute_nothing(error):
    # By its gradients θ̂ is stationary with λ = (1/2, 1/2); the first margin is not that of its
    # gradient, so that this λ seems to lie above the smallest one.
    jacobian, theta = np.array([[1.0, 0.5], [1.0, -0.5]]), np.array([1.0, 0.0])
    f = jacobian @ theta * np.array([1.0 + error, 1.0])
    found = certify_arrays(f, jacobian, theta, 1.0)
    assert found.stationarity_bound > LIMITS.stationarity and found.verdict is Verdict.UNDECIDED
    # A point that is far from stationary is refuted all the same.
    turned = np.array([[1.0, 0.5], [1.0, 0.4]])
    found = certify_arrays(turned @ theta * np.array([1.0 + error, 1.0]), turned, theta, 1.0)
    assert found.verdict is Verdict.NOT_STATIONARY and found.stationarity_bound > 0.3
