"""The word of first order: what each measured number alone does to it, and rules that differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.formulations.kkt import Kkt
from lexmargin.judge import Tolerances, Verdict, certify_arrays
from lexmargin.judge.certify import certify_kkt
from lexmargin.judge.first_order import Measured, first_order
from lexmargin.judge.reasons import Condition, claimed, words_of
from lexmargin.judge.unmeasured import finite_words
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from test_adversarial import by_inner_products

LIMITS = Tolerances()
GOOD = Measured(
    residual=0.9e-7, lower=0.9e-7, floor=0.9e-7, complementarity=0.9e-7, mismatch=0.9e-7
)
ALONE = [
    ({"missed": "infeasible: ‖θ‖ = 2 leaves the ball"}, Verdict.NOT_STATIONARY),
    ({"noisy": True}, Verdict.UNDECIDED),
    ({"lower": 3e-7}, Verdict.NOT_STATIONARY),
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


@pytest.mark.parametrize("change", [{}, *(change for change, _ in ALONE[1:7])])
def test_what_a_receipt_says_has_no_digit_that_another_machine_may_miss(change):
    found, (why,) = first_order(replace(GOOD, **change), LIMITS)
    assert not any(c.isdigit() for c in claimed(why)) and found in words_of(claimed(why))


def test_a_refutation_stands_before_doubts_of_the_multipliers_in_hand():
    far = replace(GOOD, residual=1.0, lower=0.5, floor=2.0, complementarity=1.0)
    assert first_order(far, LIMITS)[0] is Verdict.NOT_STATIONARY
    assert first_order(replace(far, noisy=True), LIMITS)[0] is Verdict.UNDECIDED


@pytest.mark.parametrize(("lower", "verdict"), [(2.05e-6, False), (2.15e-6, True)])
def test_a_refutation_is_clear_of_what_f_and_the_gradients_contradict_each_other_by(lower, verdict):
    # δ may be 2.1e-6 then, and ε² is at least lower² + (1e-7)² - (2.1e-6)².
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


@pytest.mark.parametrize("error", [5e-8, 9.9e-8, 3e-7, 8e-7, 9.9e-7])
def test_margins_that_are_off_by_less_than_the_degree_shows_refute_nothing(error):
    # By its gradients θ̂ is stationary with λ = (1/2, 1/2); the first margin is not that of its
    # gradient, so that this λ seems to lie above the smallest one.
    jacobian, theta = np.array([[1.0, 0.5], [1.0, -0.5]]), np.array([1.0, 0.0])
    f = jacobian @ theta * np.array([1.0 + error, 1.0])
    found = certify_arrays(f, jacobian, theta, 1.0)
    assert found.verdict in (Verdict.UNDECIDED, Verdict.KKT)
    assert (found.stationarity_bound > LIMITS.stationarity) is (error > 1e-7)
    # A point that is far from stationary is refuted all the same.
    turned = np.array([[1.0, 0.5], [1.0, 0.4]])
    found = certify_arrays(turned @ theta * np.array([1.0 + error, 1.0]), turned, theta, 1.0)
    assert found.verdict is Verdict.NOT_STATIONARY and found.stationarity_bound > 0.3


def test_the_range_of_a_multiplier_holds_it_at_the_scale_of_the_costs():
    # min ½(w_1² + 4 w_2²) s.t. w_1 + w_2 ≥ 1: w = (0.8, 0.2), and with costs (1/4, 1) λ = 0.2.
    functions = MarginFunctions(lm.Linear(), lm.Dataset([[1.0, 1.0]], [1], one_class=True))
    w, costs = np.array([0.8, 0.2]), np.array([0.25, 1.0])
    kkt = Kkt(functions=functions, point=w, costs=costs, level=1.0)
    found = certify_kkt((kkt,))
    np.testing.assert_allclose(found.multipliers, [0.2], rtol=1e-12)
    np.testing.assert_allclose(found.multiplier_range, [(0.2, 0.2)], rtol=1e-12)
    assert found.verdict is Verdict.GLOBAL


def exact_point(rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """Return f, J, θ̂ and α with `θ̂ = Σ λ_n ∇f_n`, λ > 0 where f_n is smallest, to rounding."""
    count, size, degree = (int(rng.integers(1, k)) for k in (6, 6, 4))
    theta = rng.standard_normal(size)
    theta /= np.linalg.norm(theta)
    weights = np.abs(rng.standard_normal(count)) * 10.0 ** rng.uniform(-4.0, 0.0, count)
    across = rng.standard_normal((count, size)) * 10.0 ** rng.uniform(-2.0, 4.0)
    across -= np.outer(across @ theta, theta)
    across[-1] = -(weights[:-1] @ across[:-1]) / weights[-1]
    f = np.full(count, 1.0 / (degree * np.sum(weights)))
    jacobian = across + degree * f[:, None] * theta
    above = rng.standard_normal((int(rng.integers(0, 3)), size))
    above -= np.outer(above @ theta, theta)
    higher = f[0] * (1.0 + 10.0 ** rng.uniform(-7.0, 0.0, len(above)))
    jacobian = np.vstack([jacobian, above + degree * higher[:, None] * theta])
    return np.append(f, higher), jacobian, theta, float(degree)


@pytest.mark.parametrize("seed", range(4))
def test_no_error_of_the_margins_refutes_a_stationary_point(seed):
    rng, words = np.random.default_rng(seed), set()
    for _ in range(150):
        f, jacobian, theta, degree = exact_point(rng)
        errors = rng.uniform(-1.0, 1.0, f.size) * 10.0 ** rng.uniform(-8.0, -6.01)
        off = f * (1.0 + errors)
        words.add(certify_arrays(off, jacobian, theta, degree).verdict)
        words.add(by_inner_products(off, jacobian, theta, degree, LIMITS).verdict)
    assert words == {Verdict.UNDECIDED, Verdict.KKT}


@pytest.mark.parametrize(
    "change",
    [
        {"stationarity": np.nan},
        {"complementarity": np.inf},
        {"margin": np.inf},
        {"feasibility": np.nan},
        {"gap": np.nan},
        {"multipliers": np.array([1.0, np.inf])},
    ],
    ids=lambda change: next(iter(change)),
)
def test_no_word_rests_on_numbers_that_are_not_finite(change: dict[str, Any]) -> None:
    rows = lm.Dataset([[1.0, 0.0], [0.0, 2.0]], [1, 1], one_class=True)
    found = lm.certify(lm.HardMargin(lm.Linear(), rows), [2.0, 1.0])
    assert found.verdict is Verdict.GLOBAL
    assert finite_words(found) is found
    assert finite_words(replace(found, **change)).verdict is Verdict.UNDECIDED
    # A refutation needs none of them.
    refuted = replace(found, verdict=Verdict.NOT_STATIONARY, **change)
    assert finite_words(refuted) is refuted
