"""The judge against closed forms, and against inputs that are wrong by a little."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexmargin.errors import DataError, DegreeError, ParameterError, ShapeError
from lexmargin.judge import Certificate, Tolerances, Verdict, certify_arrays
from lexmargin.judge.first_order import Measured, first_order
from lexmargin.judge.judge import _margin_from_below
from lexmargin.judge.multipliers.stationarity import stationarity
from lexmargin.judge.point import unit_point

INF = math.inf
R2, R5 = math.sqrt(2.0), math.sqrt(5.0)


def linear(Z, theta, norm=2.0, **options) -> Certificate:
    Z, theta = np.array(Z, float), np.array(theta, float)
    return certify_arrays(Z @ theta, Z, theta, 1.0, norm, linear=True, **options)


def diagonal(X, theta):
    """f_n = Σ_i x_ni u_i v_i of a depth-2 diagonal net: values and gradients, by hand."""
    X, theta = np.array(X, float), np.array(theta, float)
    u, v = np.split(theta, 2)
    return X @ (u * v), np.hstack([X * v, X * u]), theta


def deep(Z, matrices):
    """f_n = w W z_n of a fully connected linear net of depth 2: values and gradients, by hand."""
    Z, (W, w) = np.array(Z, float), (np.array(m, float) for m in matrices)
    f = Z @ W.T @ w
    J = np.hstack([np.einsum("j,ni->nji", w, Z).reshape(len(Z), -1), Z @ W.T])
    return f, J, np.append(W.ravel(), w)


def relu_pair(X, y, W, a):
    """Two-layer ReLU net away from its kinks."""
    X, y, W, a = (np.array(m, float) for m in (X, y, W, a))
    H = X @ W.T
    on = (H > 0).astype(float)
    f = y * ((H * on) @ a)
    J = y[:, None] * np.hstack([np.einsum("nj,j,ni->nji", on, a, X).reshape(len(X), -1), H * on])
    return f, J, np.append(W.ravel(), a)


XOR = ([[1, 1], [-1, -1], [1, -1], [-1, 1]], [1, 1, -1, -1])
# a_j w_j balanced with |a|‖w‖ = 1/√2: |a| = ‖w‖ = 2^{-1/4}.
_S = 2.0**-0.25
XOR_NET = (np.array(XOR[0]) * _S / R2, np.array(XOR[1]) * _S)

TWO = [[1, 0], [0, 2]]
PAIRS = [[0.5, 1.5], [1.5, 0.5], [0.5, 1.5], [1.5, 0.5]]
FAILS = [[1, 0], [0, 1], [0.5, 0.5]]

# id, Z, θ, norm, margin of the unit direction, λ (Σλ=1) or None, polytope dimension, LICQ
LINEAR = [
    ("two-l2", TWO, (2, 1), 2.0, 2 / R5, (4 / 5, 1 / 5), 0, True),
    ("two-l1", TWO, (2, 1), 1.0, 2 / 3, (2 / 3, 1 / 3), 0, True),
    ("two-linf-a", TWO, (1, 0.75), INF, 1.0, (1, 0), 0, True),
    ("two-linf-b", TWO, (1, 1), INF, 1.0, (1, 0), 0, True),
    ("two-linf-end", TWO, (1, 0.5), INF, 1.0, (1, 0), 0, True),
    ("pairs", PAIRS, (1, 1), 2.0, R2, None, 2, False),
    ("licq-fails", FAILS, (1, 1), 2.0, 1 / R2, None, 1, False),
    ("one", [[3, 4]], (3, 4), 2.0, 5.0, (1,), 0, True),
    # max min(θ1, 2θ2) in ‖θ‖_4 ≤ 1: θ ∝ (2, 1).
    ("two-l4", TWO, (2, 1), 4.0, 2 / 17**0.25, (16 / 17, 1 / 17), 0, True),
    ("two-l1.5", TWO, (2, 1), 1.5, 2 / (2**1.5 + 1) ** (2 / 3), None, 0, True),
    # Precision trap of the ℓ1 ball; the whole edge θ1 + θ2 = 1 has margin 1.
    ("trap-l1", [[1, 1], [3, 1], [1, 2]], (1 / 3, 2 / 3), 1.0, 1.0, (1, 0, 0), 0, True),
]


@pytest.mark.parametrize(
    ("Z", "theta", "norm", "margin", "weights", "dimension", "independent"),
    [case[1:] for case in LINEAR],
    ids=[case[0] for case in LINEAR],
)
def test_linear_closed_forms_are_global(Z, theta, norm, margin, weights, dimension, independent):
    found = linear(Z, theta, norm)
    assert found.verdict is Verdict.GLOBAL, found.report()
    assert found.margin == pytest.approx(margin, rel=1e-14)
    assert margin <= found.bound * (1 + 1e-15) and found.bound == pytest.approx(margin, rel=1e-9)
    assert found.stationarity < 1e-12 and found.stationarity_bound <= found.stationarity
    assert found.euler == pytest.approx(1.0, abs=1e-12)
    assert found.multiplier_dimension == dimension
    assert found.licq.holds is independent and found.mfcq.holds
    assert found.definition_3 is True
    if weights is not None:
        share = found.multipliers / found.multipliers.sum()
        np.testing.assert_allclose(share, weights, atol=1e-12)


def test_multipliers_reproduce_the_direction_in_the_units_of_the_problem():
    found = linear(TWO, (2, 1))
    np.testing.assert_allclose(np.array(TWO).T @ found.multipliers, [2 / R5, 1 / R5], rtol=1e-14)


def test_multiplier_ranges_match_the_closed_forms():
    pairs, fails = linear(PAIRS, (1, 1)), linear(FAILS, (1, 1))
    # λ1 + λ3 = λ2 + λ4 = 1/4 for θ = (½, ½), of norm 1/√2.
    np.testing.assert_allclose(pairs.multiplier_range, [(0, R2 / 4)] * 4, atol=1e-9)
    # λ = (1, 1, 0) + t(-½, -½, 1), t in [0, 2] for θ = (1, 1), of norm √2.
    np.testing.assert_allclose(
        fails.multiplier_range, [(0, 1 / R2), (0, 1 / R2), (0, 2 / R2)], atol=1e-9
    )


SADDLE = ([[1, 2]], (1, 0, 1, 0))
_B = math.sqrt(0.625)
_H = math.sqrt(0.5)
NONLINEAR = [
    ("saddle-is-kkt", diagonal(*SADDLE), 2.0, 0.5),
    ("saddle-global", diagonal([[1, 2]], (0, _H, 0, _H)), 2.0, 1.0),
    ("diagonal-2", diagonal([[1, 0.6], [0.6, 1]], (_B, _B, _B, _B)), 2.0, 0.4),
    (
        "diagonal-2-saddle",
        diagonal([[1, 0.6], [0.6, 1]], (0, math.sqrt(5 / 3), 0, math.sqrt(5 / 3))),
        2.0,
        0.3,
    ),
    (
        "fully-connected-2",
        deep(np.eye(2), (2**-0.25 * np.array([[1.0, 1.0], [0.0, 0.0]]), (2**0.25, 0.0))),
        2.0,
        1 / (2 * R2),
    ),
    ("xor", relu_pair(*XOR, *XOR_NET), 2.0, 1 / (4 * R2)),
]
NAMES = [case[0] for case in NONLINEAR]


@pytest.mark.parametrize(("arrays", "degree", "margin"), [c[1:] for c in NONLINEAR], ids=NAMES)
def test_stationary_points_of_networks_are_kkt(arrays, degree, margin):
    found = certify_arrays(*arrays, degree)
    assert found.verdict is Verdict.KKT, found.report()
    assert found.margin == pytest.approx(margin, rel=1e-14)
    assert found.stationarity < 1e-14
    assert found.gap is None and found.bound is None


def test_licq_of_the_saddle_and_its_multiplier():
    found = certify_arrays(*diagonal(*SADDLE), 2.0)
    assert found.licq.holds and found.mfcq.holds
    # θ = (1,0;1,0) has λ = 1 for f(θ) = 1; at the unit direction θ/√2 both sides scale by 1/√2.
    np.testing.assert_allclose(found.multipliers, [1.0], rtol=1e-14)


def test_definition_3_to_the_letter_and_rescaled():
    literal = certify_arrays(*diagonal(*SADDLE), 2.0, best_margin=1.0)
    assert literal.verdict is Verdict.KKT
    assert literal.definition_3 is False and literal.margin_ratio == pytest.approx(0.5, rel=1e-14)
    best = certify_arrays(*diagonal([[1, 2]], (0, 1, 0, 1)), 2.0, best_margin=1.0)
    assert best.definition_3 is True
    turned = certify_arrays(*diagonal([[1, 2]], (0, 1, 1e-3, 1)), 2.0, best_margin=0.9)
    assert turned.definition_3 is False


BUILDERS = [
    ("saddle", lambda t: diagonal([[1, 2]], t), np.array([1.0, 0, 1, 0]), 2.0, 2.0),
    (
        "diagonal",
        lambda t: diagonal([[1, 0.6], [0.6, 1]], t),
        np.array([_B, _B, _B, _B]),
        2.0,
        2.0,
    ),
    ("two-l2", lambda t: (np.array(TWO) @ t, np.array(TWO), t), np.array([2.0, 1.0]), 1.0, 2.0),
    ("two-l1", lambda t: (np.array(TWO) @ t, np.array(TWO), t), np.array([2.0, 1.0]), 1.0, 1.0),
    ("two-l4", lambda t: (np.array(TWO) @ t, np.array(TWO), t), np.array([2.0, 1.0]), 1.0, 4.0),
    ("two-l1.5", lambda t: (np.array(TWO) @ t, np.array(TWO), t), np.array([2.0, 1.0]), 1.0, 1.5),
    ("one-l2", lambda t: (t[:1] * 2, np.array([[2.0, 0.0]]), t), np.array([1.0, 0.0]), 1.0, 2.0),
    ("one-linf", lambda t: (t.sum(keepdims=True), np.ones((1, 2)), t), np.ones(2), 1.0, INF),
    ("one-l3", lambda t: (t.sum(keepdims=True), np.ones((1, 2)), t), np.ones(2), 1.0, 3.0),
]


@pytest.mark.parametrize("linear_word", [False, True], ids=["general", "linear"])
@pytest.mark.parametrize("turn", range(6))
@pytest.mark.parametrize(
    ("build", "theta", "degree", "norm"), [b[1:] for b in BUILDERS], ids=[b[0] for b in BUILDERS]
)
def test_a_direction_turned_by_a_millionth_is_not_certified(
    build, theta, degree, norm, turn, linear_word
):
    if linear_word and degree != 1.0:
        linear_word = False
    options = {"linear": linear_word}
    assert certify_arrays(*build(theta), degree, norm, **options).certified
    step = np.random.default_rng(turn).normal(size=theta.size)
    step -= theta * (step @ theta) / (theta @ theta)
    step *= 1e-6 * np.linalg.norm(theta) / np.linalg.norm(step)
    turned = certify_arrays(*build(theta + step), degree, norm, **options)
    assert not turned.certified, turned.report()
    assert turned.verdict is Verdict.NOT_STATIONARY
    assert turned.stationarity_bound > 1e-7
    looser = certify_arrays(*build(theta + step), degree, norm, Tolerances.at(1e-4), **options)
    assert looser.certified, looser.report()


def test_a_dropped_support_vector_is_noticed():
    f, J, theta = diagonal([[1, 0.6], [0.6, 1]], (_B, _B, _B, _B))
    assert certify_arrays(f[:1], J[:1], theta, 2.0).verdict is Verdict.NOT_STATIONARY
    assert linear(TWO[:1], (2, 1)).verdict is Verdict.NOT_STATIONARY


def test_a_combination_with_a_negative_multiplier_is_not_accepted():
    # θ = 2 z_1 - z_2 exactly, both margins equal: the unconstrained residual is 0.
    Z = np.array([[1.0, 0.0], [1.0, 1.0]])
    theta = 1.5 * Z[0] - 0.5 * Z[1]
    Z[1] *= (theta @ Z[0]) / (theta @ Z[1])
    assert np.linalg.norm(Z.T @ np.linalg.solve(Z.T, theta) - theta) < 1e-15
    for norm in (2.0, 3.0):
        found = linear(Z, theta, norm)
        assert found.verdict is Verdict.NOT_STATIONARY
        assert np.all(found.multipliers >= 0.0)
        assert found.stationarity_bound > 0.1


@pytest.mark.parametrize("degree", [1.0, 3.0, 2.0001])
def test_a_wrong_degree_is_named(degree):
    with pytest.raises(DegreeError, match="degree 2 would fit"):
        certify_arrays(*diagonal(*SADDLE), degree)


def test_gradients_without_their_labels_are_named():
    f, J, theta = relu_pair(*XOR, *XOR_NET)
    with pytest.raises(DegreeError, match="no single degree"):
        certify_arrays(f, J * np.array([1, 1, -1, -1.0])[:, None], theta, 2.0)


def test_a_flipped_label_does_not_separate():
    f, J, theta = relu_pair(*XOR, *XOR_NET)
    sign = np.array([1, 1, -1, 1.0])
    found = certify_arrays(f * sign, J * sign[:, None], theta, 2.0)
    assert found.verdict is Verdict.NOT_SEPARATING and found.support.tolist() == [2]
    assert not found.certified and found.to_json()["stationarity"] is None
    assert found.margin == pytest.approx(-1 / (4 * R2))


def test_a_zero_margin_does_not_separate():
    assert linear([[1, 0], [0, 1]], (1, 0)).verdict is Verdict.NOT_SEPARATING


def test_a_margin_of_rounding_size_is_undecided():
    Z = np.array([[1.0, 1.0 + 2**-52], [1.0, 0.0]])
    assert linear(Z, (-1.0, 1.0)).verdict is Verdict.NOT_SEPARATING
    assert linear(Z[:1], (-1.0, 1.0)).verdict is Verdict.UNDECIDED
    # The same size of margin without cancellation is a margin like any other.
    assert linear([[2**-52, 0.0]], (1.0, 0.0)).verdict is Verdict.GLOBAL


def test_a_margin_of_rounding_size_stops_even_a_perfect_residual():
    Z, theta = np.array([[1.0 + 2**-52, -1.0]]), np.array([1.0, 1.0])
    perfect = stationarity(unit_point(*GOOD, 2.0), 1e-7)
    noisy = unit_point(Z @ theta, Z, theta, 1.0)
    found = first_order(Measured.of(perfect, noisy.is_noise, 0.0), Tolerances())
    assert found[0] is Verdict.UNDECIDED


def test_the_margin_that_a_bound_is_compared_with_pays_for_its_rounding():
    Z, theta = np.array([[1.0 + 1e-9, -1.0]]), np.array([1.0, 1.0])
    point = unit_point(Z @ theta, Z, theta, 1.0)
    assert _margin_from_below(point) < point.margin - 2**-53


@pytest.mark.skipif(
    np.finfo(np.longdouble).eps == np.finfo(float).eps,
    reason="this platform has no extended precision",
)
def test_extended_precision_certifies_margins_near_rounding():
    found = linear([[1.0, 1e-11], [-1.0, 1e-11]], (0.0, 1.0))
    assert found.verdict.stationary and found.margin == 1e-11


def test_noise_in_zero_entries_is_forgiven_below_two():
    assert linear([[1.0, 0.0]], (1.0, 1e-13), 1.5).verdict is Verdict.GLOBAL
    assert linear([[1.0, 0.0]], (1.0, 1e-5), 1.5).verdict is Verdict.NOT_STATIONARY


def test_margins_and_gradients_of_different_accuracy_are_undecided():
    f, J, theta = diagonal([[1, 0.6], [0.6, 1]], (_B, _B, _B, _B))
    assert certify_arrays(f * (1 + 5e-7), J, theta, 2.0).verdict is Verdict.UNDECIDED


def test_weight_above_the_margin_counts_against_the_direction():
    X = np.array([[1, 0.6], [0.6, 1]]) * np.array([[1.0], [1 + 5e-8]])
    f, J, theta = diagonal(X, (_B, _B, _B, _B))
    assert certify_arrays(f, J, theta, 2.0).verdict is Verdict.KKT
    strict = replace(Tolerances(), complementarity=1e-9)
    found = certify_arrays(f, J, theta, 2.0, tolerances=strict)
    assert found.verdict is Verdict.UNDECIDED and 1e-8 < found.complementarity < 5e-8


def test_rounding_larger_than_the_tolerance_is_undecided():
    Z = np.array([[1.0, 1e-13], [-1.0, 1e-13]])
    found = linear(Z, (0.0, 1.0))
    assert found.stationarity < 1e-7 and found.verdict is Verdict.UNDECIDED


def test_global_needs_the_gap_and_not_only_stationarity():
    # One more sample that the direction serves well leaves the gap alone; the saddle has none.
    far = linear([*TWO, [5, 5]], (2, 1))
    assert far.verdict is Verdict.GLOBAL and far.multipliers[2] == 0.0
    loose = linear(TWO, (2, 1.2), tolerances=replace(Tolerances(), stationarity=0.9))
    assert loose.stationarity < 0.9 and loose.gap > 1e-2
    assert loose.verdict is not Verdict.GLOBAL


def test_target_and_feasibility():
    assert linear(TWO, (1, 0.5), target=1.0).feasibility == 0.0
    short = linear(TWO, (2, 1), target=4.0)
    assert short.feasibility == pytest.approx(0.5) and "target" in short.reasons[-1]


GOOD = diagonal(*SADDLE)
BAD = [
    ("rows", (np.ones(2), GOOD[1], GOOD[2], 2.0), ShapeError),
    ("columns", (GOOD[0], GOOD[1][:, :3], GOOD[2], 2.0), ShapeError),
    ("dimensions", (GOOD[0], GOOD[1][0], GOOD[2], 2.0), ShapeError),
    ("zero", (GOOD[0], GOOD[1], np.zeros(4), 2.0), DataError),
    ("nan", (GOOD[0], GOOD[1] * np.nan, GOOD[2], 2.0), DataError),
    ("inf", (GOOD[0] * np.inf, GOOD[1], GOOD[2], 2.0), DataError),
    ("empty", (np.zeros(0), np.zeros((0, 4)), GOOD[2], 2.0), DataError),
    ("no-parameters", (GOOD[0], np.zeros((1, 0)), np.zeros(0), 2.0), DataError),
    ("words", (["a"], GOOD[1], GOOD[2], 2.0), DataError),
    ("degree-zero", (*GOOD, 0.0), DegreeError),
    ("degree-nan", (*GOOD, math.nan), DegreeError),
    ("norm", (*GOOD, 2.0, 0.5), ParameterError),
    ("norm-nan", (*GOOD, 2.0, math.nan), ParameterError),
]


@pytest.mark.parametrize(("arguments", "error"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_input_is_named(arguments, error):
    with pytest.raises(error):
        certify_arrays(*arguments)


def test_bad_options_are_named():
    with pytest.raises(DegreeError):
        certify_arrays(*GOOD, 2.0, linear=True)
    for options in ({"best_margin": 0.0}, {"target": math.inf}):
        with pytest.raises(ParameterError):
            certify_arrays(*GOOD, 2.0, **options)


def same(a: Certificate, b: Certificate) -> None:
    """Everything without units agrees to the last bit."""
    assert a.verdict is b.verdict and a.support.tolist() == b.support.tolist()
    assert a.stationarity == b.stationarity and a.stationarity_bound == b.stationarity_bound
    assert a.complementarity == b.complementarity and a.euler == b.euler
    assert a.licq == b.licq and a.multiplier_dimension == b.multiplier_dimension
    assert a.gap == b.gap


@pytest.mark.parametrize("norm", [1.0, 2.0, 3.0, INF])
def test_data_times_a_power_of_two_changes_nothing(norm):
    rng = np.random.default_rng(3)
    Z = rng.normal(size=(6, 4)) + 2.0
    theta = rng.random(4) + 0.5
    base = linear(Z, theta, norm)
    for k in (*range(-40, 41), -500, 500):
        scaled = linear(np.ldexp(Z, k), theta, norm)
        same(base, scaled)
        assert scaled.margin == math.ldexp(base.margin, k)
        np.testing.assert_array_equal(scaled.multipliers, np.ldexp(base.multipliers, -k))


@pytest.mark.parametrize("name", NAMES)
def test_a_rescaled_point_is_the_same_direction(name):
    arrays, degree = next((c[1], c[2]) for c in NONLINEAR if c[0] == name)
    base = certify_arrays(*arrays, degree)
    f, J, theta = arrays
    for k in (-300, -7, 3, 200):
        c = 2.0**k
        scaled = certify_arrays(f * c * c, J * c, theta * c, degree)
        same(base, scaled)
        assert scaled.margin == base.margin
        np.testing.assert_array_equal(scaled.multipliers, base.multipliers)
    odd = certify_arrays(f * 9, J * 3, theta * 3, degree)
    assert odd.verdict is base.verdict and odd.margin == pytest.approx(base.margin, rel=1e-14)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 5), extra=st.integers(0, 3))
def test_order_duplicates_and_rotation_do_not_change_the_verdict(seed, count, extra):
    rng = np.random.default_rng(seed)
    dimension = count + extra
    Z = rng.normal(size=(count, dimension)) / math.sqrt(dimension) + 1.0
    weights = rng.random(count) + 0.1
    theta = weights @ Z
    Z = Z / (Z @ theta)[:, None]  # now θ is in the cone of the rows, all with margin 1
    Z = np.vstack([Z, Z.sum(axis=0)[None] * 2])
    for point, word in ((theta, Verdict.GLOBAL), (theta + 1e-3 * Z[0], None)):
        base = linear(Z, point)
        if word is not None:
            assert base.verdict is word, base.report()
        order = rng.permutation(len(Z))
        rotation = np.linalg.qr(rng.normal(size=(dimension, dimension)))[0]
        shuffled = linear(Z[order], point)
        assert sorted(order[shuffled.support]) == base.support.tolist()
        for other in (
            shuffled,
            linear(np.vstack([Z, Z]), point),
            linear(Z @ rotation, point @ rotation),
        ):
            assert other.verdict is base.verdict
            assert other.stationarity == pytest.approx(base.stationarity, rel=1e-9, abs=1e-13)


def test_duplicates_cost_independence_and_add_a_dimension():
    found = linear([*TWO, TWO[0]], (2, 1))
    assert found.verdict is Verdict.GLOBAL and not found.licq.holds
    assert found.multiplier_dimension == 1


def test_json_and_text():
    found = linear(TWO, (2, 1))
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    expected = {
        "verdict", "stationarity", "complementarity", "feasibility", "support",
        "multiplier_dimension", "licq", "mfcq", "curvature", "gap",
    }  # fmt: skip
    assert expected <= set(data)
    assert set(data["licq"]) >= {"holds", "rank", "count", "sigma_min"}
    assert data["verdict"] == "GLOBAL" and data["mfcq"] is True and data["curvature"] is None
    json.dumps(linear([[1, 0], [0, 1]], (1, -1)).to_json(), allow_nan=False)
    assert linear(TWO, (1, 0.75), INF).to_json()["norm"] == "inf"
    text = linear(np.eye(30), np.ones(30)).report()
    assert len(text.splitlines()) <= 20 and "30 in all" in text
    # A birth test above 1, and module names of any kind.
    awkward = replace(found, reasons=("birth test 1.5 > 1 at u = [1. 0.]; no increase was shown",))
    assert "1.5 &gt; 1 at u" in awkward._repr_html_()
    awkward = replace(found, reasons=("degrees by layer, measured: a<b>&c 1",))
    assert "a&lt;b&gt;&amp;c 1" in awkward._repr_html_()
    with pytest.raises(ValueError, match="read-only"):
        found.multipliers[0] = 1.0


def test_many_parameters():
    rng = np.random.default_rng(0)
    J = rng.normal(size=(100, 100_000))
    theta = np.linalg.solve(J @ J.T, np.ones(100)) @ J
    assert linear(J, theta).verdict is Verdict.GLOBAL
    theta[7] += 1e-5 * np.linalg.norm(theta)
    assert linear(J, theta).verdict is Verdict.NOT_STATIONARY
