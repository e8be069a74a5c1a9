"""The parts of a certificate one by one: least squares, qualification, bounds, Fritz John."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from lexmargin.errors import ParameterError, ShapeError
from lexmargin.judge.multipliers.fritz_john import fritz_john
from lexmargin.judge.multipliers.multiplier_set import (
    MultiplierMethod,
    nonnegative_multipliers,
    smallest_hull_point,
)
from lexmargin.judge.multipliers.polyhedral import largest_pairing, smallest_dual_norm
from lexmargin.judge.multipliers.qualification import licq, mfcq, multiplier_set, proved_independent
from lexmargin.judge.multipliers.stationarity import curve, hoelder_gap, stationarity, trade_off
from lexmargin.judge.multipliers.vertex_bounds import best_weights, linear_dual_bound, relative_gap
from lexmargin.judge.point import is_noise, unit_point
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import dual_exponent, norm_gradient, vector_norm
from lexmargin.linalg.pivoting import pivoted
from lexmargin.linalg.rows import inner_products, remainder, row_lengths

INF = math.inf
NORMS = [1.0, 1.5, 2.0, 3.0, 7.0, INF]


def best_by_enumeration(J, target):
    """min ‖t - Jᵀλ‖ over λ ≥ 0: the best face, by trying all of them."""
    J = J / np.linalg.norm(J, axis=1)[:, None]
    best = float(np.linalg.norm(target))
    for size in range(1, len(J) + 1):
        for face in itertools.combinations(range(len(J)), size):
            weights = np.linalg.lstsq(J[list(face)].T, target, rcond=None)[0]
            if np.all(weights >= 0):
                best = min(best, float(np.linalg.norm(target - J[list(face)].T @ weights)))
    return best


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 5),
    dimension=st.integers(1, 7),
    method=st.sampled_from([MultiplierMethod.ORTHOGONAL, MultiplierMethod.GRAM]),
)
def test_least_squares_agrees_with_enumeration(seed, count, dimension, method):
    rng = np.random.default_rng(seed)
    J = rng.normal(size=(count, dimension)) * 10.0 ** rng.integers(-6, 6, size=(count, 1))
    target = rng.normal(size=dimension)
    target /= np.linalg.norm(target)
    found = nonnegative_multipliers(J, target, method=method)
    assert np.all(found.multipliers >= 0) and found.method is method
    assert found.residual == pytest.approx(best_by_enumeration(J, target), abs=1e-10)
    assert found.residual == pytest.approx(
        np.linalg.norm(target - found.multipliers @ J), abs=1e-14
    )


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 6), dimension=st.integers(1, 6))
def test_the_lower_bound_is_below_and_tight(seed, count, dimension):
    rng = np.random.default_rng(seed)
    target = rng.normal(size=dimension)
    target /= np.linalg.norm(target)
    J = rng.normal(size=(count, dimension))
    J *= np.sign(J @ target)[:, None]
    found = nonnegative_multipliers(J, target, target)
    assert found.lower <= best_by_enumeration(J, target) + 1e-12
    assert found.lower == pytest.approx(found.residual, abs=1e-6)


@pytest.mark.parametrize(
    "shape", [(0, 1), (0, 3), (3, 0), (0, 0), (1, 0), (1, 1), (3, 1), (1, 3), (4, 4), (5, 4)]
)
def test_degenerate_shapes(shape):
    target = np.ones(shape[1])
    for method in (None, MultiplierMethod.ORTHOGONAL, MultiplierMethod.GRAM):
        found = nonnegative_multipliers(np.ones(shape), target, method=method)
        assert found.multipliers.shape == (shape[0],)
        exact = 0.0 if min(shape) > 0 else math.sqrt(shape[1])
        assert found.residual == pytest.approx(exact, abs=1e-14)
    zero = nonnegative_multipliers(np.zeros(shape), target)
    assert zero.method is MultiplierMethod.EMPTY
    assert zero.residual == zero.lower == pytest.approx(math.sqrt(shape[1]))


def test_zero_rows_carry_no_weight():
    found = nonnegative_multipliers(np.array([[0.0, 0.0], [3.0, 0.0]]), np.array([1.0, 0.0]))
    np.testing.assert_array_equal(found.multipliers, [0.0, 1 / 3])


def test_shapes_that_do_not_fit():
    for J, t in ((np.ones((2, 3)), np.ones(2)), (np.ones(3), np.ones(3))):
        with pytest.raises(ShapeError):
            nonnegative_multipliers(J, t)


@pytest.mark.parametrize("near", [1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("method", [MultiplierMethod.ORTHOGONAL, MultiplierMethod.GRAM])
def test_nearly_dependent_rows(near, method):
    J = np.array([[1.0, 0.0, 0.0], [1.0, near, 0.0], [1.0, 0.0, near]])
    target = np.array([2.0, 3.0, 4.0]) @ J
    size = np.linalg.norm(target)
    found = nonnegative_multipliers(J, target / size, target / size, method)
    # The Gram form loses directions below the square root of the rounding unit, and says so by
    # its measured residual: it may miss the certificate, never invent one.
    assert found.residual <= (1e-14 if method is MultiplierMethod.ORTHOGONAL else 2 * near + 1e-14)
    assert found.residual == pytest.approx(
        float(np.linalg.norm(target / size - found.multipliers @ J)), abs=1e-14
    )
    assert found.lower <= found.residual + found.floor


def test_gram_form_is_refined_to_rounding_on_moderate_conditioning():
    rng = np.random.default_rng(1)
    J = rng.normal(size=(20, 3000)) + 30.0
    target = (rng.random(20) + 0.5) @ J
    target /= np.linalg.norm(target)
    assert nonnegative_multipliers(J, target, method=MultiplierMethod.GRAM).residual < 1e-14


def cone(count, size, seed, noise=0.0):
    """Rows, and a unit target at the distance ``noise`` of the cone of half of them."""
    rng = np.random.default_rng(seed)
    J = rng.standard_normal((count, size)) * 10.0 ** rng.integers(-3, 4, size=(count, 1))
    theta = (np.maximum(rng.standard_normal(count), 0.0) / np.linalg.norm(J, axis=1)) @ J
    theta /= np.linalg.norm(theta)
    theta += noise * rng.standard_normal(size) / math.sqrt(size)
    return J, theta / np.linalg.norm(theta)


@pytest.mark.parametrize(("count", "size"), [(40, 800), (100, 1000), (200, 200)])
@pytest.mark.parametrize("noise", [0.0, 1e-3, 1.0])
def test_the_gram_form_is_chosen_and_optimal_by_the_kkt_conditions(count, size, noise):
    J, target = cone(count, size, 3, noise)
    found = nonnegative_multipliers(J, target, target)
    assert found.method is MultiplierMethod.GRAM and found.converged and found.resolution == 0.0
    residual = target - found.multipliers @ J
    slopes = (J @ residual) / np.linalg.norm(J, axis=1)
    # r ⟂ the rows with weight, r·row <= 0 for the others: the optimum and nothing else.
    assert np.max(slopes) <= 1e-14
    assert np.max(np.abs(slopes[found.multipliers > 0]), initial=0.0) <= 1e-14
    if noise == 0.0:
        assert found.residual <= 1e-14
    orthogonal = nonnegative_multipliers(J, target, method=MultiplierMethod.ORTHOGONAL)
    assert found.residual == pytest.approx(orthogonal.residual, abs=1e-14)


@pytest.mark.parametrize("outside", [0.0, 1e-3, 1e-8, 1e-12])
def test_rows_of_few_dimensions_are_answered_in_their_span_and_one_outside_it_counts(outside):
    rng = np.random.default_rng(7)
    J = rng.standard_normal((260, 20)) @ rng.standard_normal((20, 400))
    target = np.maximum(rng.standard_normal(260), 0.0) @ J
    target = target / np.linalg.norm(target) + 0.01 * rng.standard_normal(400)
    target /= np.linalg.norm(target)
    # A row that no sample of every other one would show, turned towards the target.
    J[131] += outside * np.linalg.norm(J[131]) * target
    found = nonnegative_multipliers(J, target, target)
    lengths = np.linalg.norm(J, axis=1)
    residual = target - found.multipliers @ J
    slopes, mass = (J @ residual) / lengths, 1.0 + float(found.multipliers @ lengths)
    assert np.max(slopes) <= 1e-14 * mass
    assert np.max(np.abs(slopes[found.multipliers > 0])) <= 1e-14 * mass
    # A row that is left out although it helps would not pass.
    alone = np.delete(np.arange(260), 131)
    without = nonnegative_multipliers(J[alone], target).multipliers
    slope = float(J[131] @ (target - without @ J[alone])) / lengths[131]
    assert slope > 1e-6 or outside < 1e-3


@pytest.mark.parametrize("count", [1, 3, 10, 16, 17, 40])
@pytest.mark.parametrize("kept", [np.asarray, sparse.csr_array])
def test_products_and_remainders_in_pieces_are_those_of_whole_rows(count, kept):
    rng = np.random.default_rng(count)
    # Integers, of which doubles lose nothing in any order.
    J = rng.integers(-9, 10, size=(count, 900_000 // count)).astype(float)
    target, weights = rng.integers(-9, 10, size=J.shape[1]), rng.integers(0, 9, size=count)
    square, products = inner_products(kept(J), target.astype(float))
    np.testing.assert_array_equal(square, np.einsum("ij,kj->ik", J, J))
    np.testing.assert_array_equal(products, np.einsum("ij,j->i", J, target))
    left, slopes = remainder(kept(J), weights.astype(float), target.astype(float))
    np.testing.assert_array_equal(left, target - np.einsum("i,ij->j", weights, J))
    np.testing.assert_array_equal(slopes, np.einsum("ij,j->i", J, left))


def test_dependent_or_many_rows_go_to_the_orthogonal_method():
    rng = np.random.default_rng(0)
    basis = rng.standard_normal((10, 500))
    dependent = rng.random((60, 10)) @ basis
    target = dependent.sum(axis=0) / np.linalg.norm(dependent.sum(axis=0))
    wide = rng.standard_normal((300, 100))
    for J, t in ((dependent, target), (wide, wide[0] / np.linalg.norm(wide[0]))):
        found = nonnegative_multipliers(J, t)
        assert found.method is MultiplierMethod.ORTHOGONAL and found.residual <= 1e-13


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_rows_whose_squares_leave_the_doubles_and_zero_rows(scale):
    J, target = cone(30, 900, 5)
    J = np.vstack([np.zeros((1, 900)), J * scale])
    found = nonnegative_multipliers(J, target, target)
    assert found.method is MultiplierMethod.GRAM and found.residual <= 1e-14
    assert found.multipliers[0] == 0.0


def test_pivoting_finds_the_optimum_from_any_start_and_refuses_a_singular_matrix():
    J, target = cone(25, 60, 7, 0.3)
    J /= np.linalg.norm(J, axis=1)[:, None]
    K, g = J @ J.T, J @ target
    zero, nobody = np.zeros(25), np.zeros(25, dtype=bool)
    first = pivoted(K, g, zero, nobody)
    again = pivoted(K, g - K @ np.full(25, 0.7), np.full(25, 0.7), ~nobody)
    for found in (first, again):
        slopes = g - K @ found.values
        assert np.all(found.values >= 0) and np.max(slopes) <= 1e-13
        assert np.max(np.abs(slopes[found.values > 0])) <= 1e-13
    np.testing.assert_allclose(again.values, first.values, atol=1e-12)
    # A slightly wrong answer does not pass that check.
    wrong = first.values + 1e-6 * (first.values > 0)
    assert np.max(np.abs((g - K @ wrong)[first.values > 0])) > 1e-9
    assert pivoted(np.ones((3, 3)), np.ones(3), np.zeros(3), np.ones(3, dtype=bool)) is None


@pytest.mark.parametrize("dimension", [2, 5])
def test_smallest_hull_point(dimension):
    rows = np.zeros((2, dimension))
    rows[0, 0], rows[1, 1] = 1.0, 2.0
    weights, distance = smallest_hull_point(rows)
    np.testing.assert_allclose(weights, [0.8, 0.2], atol=1e-14)
    assert distance == pytest.approx(2 / math.sqrt(5), rel=1e-14)
    close = np.array([[1.0, 1e-9], [-1.0, 1e-9]])
    assert smallest_hull_point(close)[1] == pytest.approx(1e-9, rel=1e-9)


@pytest.mark.parametrize("p", [1.0, 1.3, 2.0, 3.0, 40.0, INF])
def test_norms_and_their_gradients(p):
    x = np.array([3.0, -4.0, 0.5])
    assert vector_norm(x, p) == pytest.approx(np.linalg.norm(x, p), rel=1e-14)
    for k in (-600, 600):
        assert vector_norm(np.ldexp(x, k), p) == math.ldexp(vector_norm(x, p), k)
    if 1.0 < p < INF:
        g = norm_gradient(x, p)
        assert g @ x == pytest.approx(vector_norm(x, p), rel=1e-14)
        assert vector_norm(g, dual_exponent(p)) == pytest.approx(1.0, rel=1e-13)


@pytest.mark.parametrize("norm", [1.0, INF])
def test_polyhedral_pairing_and_its_refutation(norm):
    rows = np.array([[1.0, 0.0], [0.0, 2.0]])
    good = np.array([2 / 3, 1 / 3]) if norm == 1.0 else np.array([1.0, 0.75])
    found = largest_pairing(rows if norm == 1.0 else rows[:1], good, norm)
    assert found.converged and found.lower <= 1e-12
    g = found.multipliers @ (rows if norm == 1.0 else rows[:1])
    assert good @ g == pytest.approx(vector_norm(g, dual_exponent(norm)), rel=1e-12)
    bad = np.array([0.5, 0.5]) if norm == 1.0 else np.array([0.75, 1.0])
    # On (1,0) alone g ∝ (1,0): 1 - θ̂·g/‖g‖_* is 1/2 and 1/4.
    lower = largest_pairing(rows[:1], bad, norm).lower
    assert lower == pytest.approx(0.5 if norm == 1.0 else 0.25, abs=1e-12)


def test_polyhedral_programs_refuse_other_norms():
    for run in (lambda: largest_pairing(np.eye(2), np.ones(2), 2.0),
                lambda: smallest_dual_norm(np.eye(2), np.zeros(2), 3.0)):  # fmt: skip
        with pytest.raises(ParameterError):
            run()


def point_of(Z, theta, norm=2.0):
    Z, theta = np.array(Z, float), np.array(theta, float)
    return unit_point(Z @ theta, Z, theta, 1.0, norm)


def test_curve_of_the_support_tolerance():
    # Margins 1 and 1.01 at θ = (1, 0): the second sample helps only when it is let in.
    point = point_of([[1.0, 1.0], [1.01, -1.0]], (1.0, 0.0))
    found = curve(point, (1e-7, 1e-3, 0.1))
    assert [c.count for c in found] == [1, 1, 2]
    assert found[0].residual == pytest.approx(math.sqrt(0.5))
    assert found[2].residual < 1e-14
    assert stationarity(point, 0.1).complementarity == pytest.approx(0.01 / 2.01, rel=1e-9)


def test_trade_off_between_stationarity_and_complementarity():
    found = trade_off(point_of([[1.0, 1.0], [1.01, -1.0]], (1.0, 0.0)))
    assert found[0].residual < 1e-14 and found[0].complementarity == pytest.approx(0.01 / 2.01)
    assert found[-1].complementarity < 2e-6
    assert found[-1].residual == pytest.approx(math.sqrt(0.5), rel=1e-3)
    for a, b in itertools.pairwise(found):
        assert b.residual >= a.residual - 1e-12
        assert b.complementarity <= a.complementarity + 1e-12


def test_dual_sine_and_hoelder_gap_differ_in_order():
    point = point_of([[2.0, 0.0]], (1.0, 1e-5))
    turned = stationarity(point, 1e-7)
    assert turned.residual == pytest.approx(1e-5, rel=1e-6)
    combination = turned.multipliers @ point.jacobian
    assert hoelder_gap(point.theta, combination, 2.0) == pytest.approx(5e-11, rel=1e-4)


def test_small_entries_do_not_hide_a_stationary_point_below_two():
    # |1e-14|^{0.5} = 1e-7: the norm's gradient exaggerates, the vector itself does not.
    noisy = stationarity(point_of([[1.0, 0.0]], (1.0, 1e-13), 1.5), 1e-7)
    assert noisy.residual < 1e-9 and noisy.lower <= noisy.residual


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_licq_ranks(rows):
    J = np.eye(3)[:rows] * np.array([[1e-9], [1.0], [1e9]])[:rows]
    found = licq(J, 1e-10)
    assert found.holds and found and found.rank == found.count == rows
    assert found.sigma_min == pytest.approx(1.0)
    more = licq(np.vstack([np.eye(3), np.ones((1, 3))]), 1e-10)
    assert not more.holds and (more.rank, more.count, more.sigma_min) == (3, 4, 0.0)
    dependent = licq(np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]]), 1e-10)
    assert not dependent.holds and dependent.rank == 1
    assert licq(np.zeros((0, 3)), 1e-10).holds


def test_licq_near_its_tolerance():
    for near, holds in ((1e-8, True), (1e-11, False)):
        found = licq(np.array([[1.0, 0.0, 0.0], [1.0, near, 0.0]]), 1e-10)
        assert found.holds is holds
        assert found.sigma_min == pytest.approx(near / math.sqrt(2), rel=1e-3)


def test_independence_can_be_proved_where_rounding_hides_it():
    pytest.importorskip("flint", reason="python-flint is not installed")
    J = np.array([[1.0, 0.0, 0.0], [1.0, 1e-12, 0.0]])
    assert not licq(J, 1e-10).holds and proved_independent(J)
    assert not proved_independent(np.array([[1.0, 2.0], [2.0, 4.0]]))
    assert not proved_independent(np.ones((3, 2)))


def test_mfcq_with_and_without_a_direction():
    assert mfcq(np.eye(2), 1e-10, np.array([1.0, 1.0])).slack == pytest.approx(math.sqrt(0.5))
    assert not mfcq(np.eye(2), 1e-10, np.array([1.0, 0.0])).holds
    assert mfcq(np.eye(2) * 1e-8, 1e-10).holds
    assert not mfcq(np.array([[1.0, 0.0], [-1.0, 0.0]]), 1e-10)


def test_fritz_john():
    found = fritz_john(np.array([[2.0, 0.0], [-1.0, 0.0]]), 1e-9)
    assert found.holds and found.residual < 1e-14
    np.testing.assert_allclose(found.multipliers @ [[2.0, 0.0], [-1.0, 0.0]], 0.0, atol=1e-15)
    assert not fritz_john(np.array([[2.0, 0.0], [-1.0, 1e-6]]), 1e-9).holds
    assert not fritz_john(np.eye(2), 1e-9).holds
    zero = fritz_john(np.array([[1.0, 0.0], [0.0, 0.0]]), 1e-9)
    assert zero.holds and zero.multipliers.tolist() == [0.0, 1.0]
    assert not fritz_john(np.zeros((0, 2)), 1e-9).holds


FAILS = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])


@pytest.mark.parametrize(
    ("rows", "weights", "dimension", "high"),
    [
        (FAILS, [1, 1, 0], 1, [1, 1, 2]),
        (FAILS, [0.5, 0.5, 1], 1, [1, 1, 2]),
        # (1, 0) has one representation only, though the three rows are dependent.
        (FAILS, [1, 0, 0], 0, [1, 0, 0]),
        (np.eye(2), [1, 2], 0, [1, 2]),
        (np.ones((4, 1)), [1, 0, 0, 0], 3, [1, 1, 1, 1]),
        # Two equal rows beside one that carries nothing.
        (np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), [1, 0, 0], 1, [1, 1, 0]),
        (np.eye(2), [0, 0], 0, [0, 0]),
    ],
)
def test_dimension_and_range_of_the_multipliers(rows, weights, dimension, high):
    weights = np.array(weights, float)
    for limit in (64, 0):
        found = multiplier_set(rows, weights, 1e-10, limit)
        assert found.dimension == dimension
        if found.high is not None:
            np.testing.assert_allclose(found.high, high, atol=1e-9)
            low = weights if dimension == 0 else np.zeros(len(rows))
            np.testing.assert_allclose(found.low, low, atol=1e-9)


@pytest.mark.parametrize("norm", NORMS)
def test_weak_duality_holds_for_every_multiplier(norm):
    rng = np.random.default_rng(5)
    Z = rng.normal(size=(5, 3)) + 1.5
    best = linear_dual_bound(Z, best_weights(Z, norm), norm)
    assert best.upper >= best.value > 0
    for _ in range(200):
        theta = rng.normal(size=3) + 0.5
        margin = float(np.min(Z @ theta)) / vector_norm(theta, norm)
        assert margin <= best.upper
        assert linear_dual_bound(Z, rng.random(5), norm).upper >= best.value * (1 - 1e-9)


@pytest.mark.parametrize(
    ("norm", "margin"), [(1.0, 2 / 3), (2.0, 2 / math.sqrt(5)), (4.0, 2 / 17**0.25), (INF, 1.0)]
)
def test_best_weights_reach_the_margin(norm, margin):
    Z = np.array([[1.0, 0.0], [0.0, 2.0]])
    found = linear_dual_bound(Z, best_weights(Z, norm), norm)
    assert margin <= found.upper and found.upper == pytest.approx(margin, rel=1e-9)


def test_bounds_refuse_what_proves_nothing():
    for weights in (np.array([1.0, -0.1]), np.zeros(2), np.array([1.0, np.nan])):
        with pytest.raises(ParameterError):
            linear_dual_bound(np.eye(2), weights)
    with pytest.raises(ShapeError):
        linear_dual_bound(np.eye(2), np.ones(3))
    assert relative_gap(0.0, 1.0) == INF and relative_gap(2.0, 1.0) == 0.5
    assert relative_gap(1.0, 1.0 + 1e-15) == 0.0


def test_the_bound_pays_for_its_rounding_and_no_more():
    # ‖Σ λ_n z_n‖ in fractions: what cancels is summed without rounding.
    rng = np.random.default_rng(0)
    for _ in range(50):
        Z, weights = rng.standard_normal((2, 2)) * [1e12, 1.0], rng.uniform(0.1, 1.0, 2)
        Z[1, 0] = -Z[0, 0] * weights[0] / weights[1]
        found = linear_dual_bound(Z, weights)
        q = [Fraction(float(w)) for w in found.weights]
        sums = [
            sum(a * Fraction(float(z)) for a, z in zip(q, column, strict=True)) for column in Z.T
        ]
        exact = sum(s * s for s in sums) / sum(q) ** 2
        assert Fraction(found.upper) ** 2 >= exact
        assert found.upper <= float(exact) ** 0.5 * (1 + 1e-3) + 1e-12


def test_verdicts_are_ordered_and_their_values_are_their_names():
    names = "NOT_SEPARATING NOT_STATIONARY FRITZ_JOHN UNDECIDED CLARKE_KKT KKT SADDLE STRICT_LOCAL"
    assert [v.value for v in sorted(Verdict, key=lambda v: v.rank)] == [*names.split(), "GLOBAL"]
    assert {v for v in Verdict if v.certified} == {
        Verdict.CLARKE_KKT, Verdict.KKT, Verdict.STRICT_LOCAL, Verdict.GLOBAL,
    }  # fmt: skip
    assert Verdict.SADDLE.stationary and not Verdict.UNDECIDED.stationary
    assert Verdict.KKT.at_least(Verdict.KKT) and not Verdict.UNDECIDED.at_least(Verdict.KKT)


def test_tolerances():
    low = Tolerances.at(1e-2)
    scaled = (low.support, low.stationarity, low.complementarity, low.feasibility, low.gap)
    assert set(scaled) == {1e-2} and low.rank == Tolerances().rank
    assert Tolerances.at(1e-7) == Tolerances()
    for value in (0.0, 1.0, -1e-3, math.nan, INF):
        with pytest.raises(ParameterError):
            Tolerances.at(value)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("exponent", [-1000, -540, 0, 500, 1000])
def test_lengths_of_rows_hold_at_any_scale(kind, exponent):
    rows = np.ldexp(np.array([[3.0, 4.0], [0.0, 0.0], [-5.0, 12.0]]), exponent)
    rows[1] = [0.0, 2.0**-20]
    wanted = np.ldexp([5.0, 0.0, 13.0], exponent)
    wanted[1] = 2.0**-20
    np.testing.assert_allclose(row_lengths(kind(rows)), wanted, rtol=1e-15)
    assert row_lengths(kind(np.zeros((2, 2)))).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("exponent", [-1060, -540, 0, 500])
def test_a_margin_of_rounding_is_noise_at_any_scale(exponent):
    # 1 - 1 but for one rounding, and 1 + 1.
    rows, v = np.ldexp(np.array([[1.0, -1.0]]), exponent), np.ones(2)
    assert is_noise(rows, v, np.ldexp(2.0**-52, exponent))
    assert not is_noise(np.abs(rows), v, np.ldexp(2.0, exponent))
