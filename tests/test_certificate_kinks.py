"""Kinks of ReLU networks: how near, and stationarity by elements of the generalised gradient."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexmargin.data.dataset import Dataset
from lexmargin.judge import Certificate, Tolerances, Verdict, certify_arrays
from lexmargin.judge.bounds.refine import refine
from lexmargin.judge.functions.kinks import Kink, measure_kinks
from lexmargin.judge.functions.slopes import rows
from lexmargin.judge.local.clarke import GradientSets, clarke_stationarity, gradient_sets
from lexmargin.judge.local.kinked import judged_at_kink
from lexmargin.judge.local.kinked_point import PredictorPoint
from lexmargin.margins import MarginFunctions
from lexmargin.predictors import (
    DiagonalNetwork,
    Identity,
    LeakyReLU,
    Linear,
    Member,
    Network,
    Predictor,
    ReLU,
    Sum,
)
from told_kinks import WHERE, Told

XOR = [[1, 1], [-1, -1], [1, -1], [-1, 1]]
SIGNS = [1, 1, -1, -1]
SCALE = 2.0**-0.25


def functions(predictor: Predictor, X, y=None) -> MarginFunctions:
    X = np.array(X, float)
    labels = np.ones(len(X), int) if y is None else np.array(y)
    return MarginFunctions(predictor, Dataset(X, labels, one_class=True))


def judge(f: MarginFunctions, theta, norm=2.0, **options) -> Certificate:
    theta = np.asarray(theta, float)
    degree = f.homogeneity.degree
    first = certify_arrays(f.values(theta), f.jacobian(theta), theta, degree, norm, **options)
    return refine(PredictorPoint(f, theta, degree, first.tolerances.kink), first)


def net(f: MarginFunctions, W, a) -> np.ndarray:
    return f.flatten([np.array(W, float), np.array(a, float)])


def xor(activation=None) -> tuple[MarginFunctions, np.ndarray]:
    f = functions(Network((4,), activation or ReLU()), XOR, SIGNS)
    return f, net(f, np.array(XOR) * SCALE / math.sqrt(2), np.array(SIGNS) * SCALE)


def crossed(tilt: float) -> tuple[MarginFunctions, np.ndarray]:
    """Two samples at a right angle, each on the other unit's kink (or ``tilt`` off it)."""
    f = functions(Network((2,), ReLU()), [[1, -tilt], [-tilt, 1]])
    return f, net(f, np.eye(2), np.ones(2))


def test_distances_of_a_two_layer_network():
    f = functions(Network((2,), ReLU()), [[3.0, 4.0], [1.0, 0.0]])
    theta = net(f, [[1.0, 0.0], [0.0, 2.0]], [1.0, 1.0])
    kinks = measure_kinks(f, theta, np.array([0]))
    # |z|/(‖x‖‖θ‖), ‖θ‖ = √7.
    np.testing.assert_allclose(kinks.distances[0] * math.sqrt(7), [[0.6, 1.6], [1.0, 0.0]])
    assert kinks.nearest == Kink(0.0, 0, 1, 1)
    assert kinks.nearest_on_support.sample == 0 and kinks.nearest_on_support.unit == 0
    assert kinks.within(0.3, [0]) == [kinks.nearest_on_support]
    # Neither the scale of θ nor that of the data matters.
    far = functions(Network((2,), ReLU()), np.array([[3.0, 4.0], [1.0, 0.0]]) * 1e-3)
    again = measure_kinks(far, 1e3 * theta, np.array([0]))
    np.testing.assert_allclose(again.distances[0], kinks.distances[0], rtol=1e-14)


@pytest.mark.parametrize(
    "predictor",
    [
        Network((2,), ReLU(2.0)),
        Network((2,), ReLU(3.0)),
        Network((2,), Identity()),
        DiagonalNetwork(2),
    ],
)
def test_smooth_predictors_have_no_kink(predictor):
    f = functions(predictor, [[1.0, 0.0], [0.0, 1.0]])
    assert measure_kinks(f, np.zeros(f.size) + 0.5, np.array([0, 1])) is None


def test_dead_and_nearly_dead_units_are_on_every_kink():
    f = functions(Network((2,), ReLU()), [[1.0, 0.5], [0.2, 1.0]])
    for size in (0.0, 1e-9):
        theta = net(f, [[1, 1], [size, size]], [1, size])
        assert len(measure_kinks(f, theta, np.array([0, 1])).within(1e-7, [0, 1])) == 2


def test_layers_and_members_are_told_apart():
    f = functions(Sum([Linear(), Network((3, 2), LeakyReLU(0.1))]), [[1.0, 2.0], [2.0, 1.0]])
    theta = np.random.default_rng(0).standard_normal(f.size)
    kinks = measure_kinks(f, theta, np.array([0]))
    assert [part.shape for part in kinks.distances] == [(2, 3), (2, 2)]
    np.testing.assert_array_equal(kinks.distances[1] == 0.0, f.pre_activations(theta)[1] == 0.0)


def test_rows_with_the_natural_slopes_are_the_jacobian():
    rng = np.random.default_rng(1)
    for predictor, y in (
        (Network((3, 2), ReLU()), [1, -1, 1]),
        (Network((3,), LeakyReLU(0.2), outputs=3), [0, 1, 2]),
        (Sum([Linear(), Network((2,), ReLU())]), [1, 1, -1]),
    ):
        f = functions(predictor, rng.standard_normal((3, 4)), y)
        theta = rng.standard_normal(f.size)
        every = list(range(f.count))
        slopes = {
            (layer, *place): float(z[place] > 0.0)
            for layer, z in enumerate(f.pre_activations(theta))
            for place in np.ndindex(z.shape)
        }
        for chosen in ({}, slopes):
            found = rows(f, f.record(theta), every, chosen)
            np.testing.assert_allclose(found, f.jacobian(theta), atol=1e-14)


def test_the_gradient_set_is_spanned_by_the_two_one_sided_gradients():
    f, theta = crossed(0.0)
    support = np.array([0, 1])
    kinks = measure_kinks(f, theta, support).within(1e-7, [0, 1])
    assert len(kinks) == 2
    sets = gradient_sets(f, theta, support, kinks)
    assert sets.exact
    for side, slope in ((-1e-6, 0.0), (1e-6, 1.0)):
        moved = theta + side * net(f, [[0, 1], [1, 0]], [0, 0])
        expected = sets.base + slope * np.array([part[0] for part in sets.parts])
        np.testing.assert_allclose(f.jacobian(moved), expected, atol=2e-6)


@pytest.mark.parametrize("activation", [ReLU(), LeakyReLU(0.1), LeakyReLU(0.5)])
def test_xor_stands_on_kinks_and_is_stationary_there(activation):
    f, theta = xor(activation)
    found = judge(f, theta)
    assert found.nearest_kink == 0.0 and found.curvature is None
    assert found.stationarity < 1e-12
    assert found.reasons[0].startswith("on a kink (4 units")
    assert "one element of the generalised gradient per support sample" in found.reasons[0]
    assert found.euler == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(found.multipliers, np.full(4, found.multipliers[0]), rtol=1e-9)


def test_elements_between_the_slopes_are_found_and_those_beyond_refused():
    base = np.array([[1.0, 0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0, 0.0]])
    part = np.array([[0.0, 0.0, 1.0, 0.0, 0.0]])
    none = np.zeros((0, 5))
    sets = GradientSets(base, (part, none), (np.ones(1), np.ones(0)), (none, none), True)
    target = np.array([1.0, 1.0, 0.5, 0.0, 0.0])
    found = clarke_stationarity(sets, target / np.linalg.norm(target))
    assert found.residual < 1e-15 and found.lower <= found.residual
    np.testing.assert_allclose(found.elements[0], [1, 0, 0.5, 0, 0], atol=1e-12)
    # Slope 1.25 is none: distance 0.25/√(1 + 1 + 1.25²) at least after rescaling λ.
    outside = np.array([1.0, 1.0, 1.25, 0.0, 0.0])
    outside /= np.linalg.norm(outside)
    refused = clarke_stationarity(sets, outside)
    # Nearest point of the cone {λ1 (1, s), λ2}: project (1, 1.25) on (1, 1).
    expected = 0.25 / math.sqrt(2) / math.sqrt(2 + 1.25**2)
    assert refused.residual == pytest.approx(expected, rel=1e-12)
    assert refused.lower == pytest.approx(expected, rel=1e-9) and refused.lower <= refused.residual


@pytest.mark.parametrize("tilt", [0.0, 1e-9])
def test_a_kink_at_1e_9_gets_no_smooth_verdict(tilt):
    f, theta = crossed(tilt)
    smooth = certify_arrays(f.values(theta), f.jacobian(theta), theta, 2.0)
    assert smooth.verdict in (Verdict.KKT, Verdict.UNDECIDED)
    found = judge(f, theta)
    assert found.nearest_kink == pytest.approx(tilt / 2, abs=1e-12)
    assert found.verdict in (Verdict.CLARKE_KKT, Verdict.SADDLE), found.report()
    # Away from the kink the same net is an ordinary strict local maximum.
    f, theta = crossed(0.3)
    W = np.array([[1.0, -0.3], [-0.3, 1.0]]) / math.hypot(1.0, 0.3)
    assert judge(f, net(f, W, [1, 1])).verdict.at_least(Verdict.STRICT_LOCAL)


def test_a_kinked_point_that_is_not_stationary_is_refuted_with_a_proof():
    f, theta = xor()
    W, a = (block.copy() for block in f.blocks(theta))
    a[0] *= 1.3
    found = judge(f, f.flatten([W, a]))
    assert found.nearest_kink == 0.0
    assert found.verdict is Verdict.NOT_STATIONARY, found.report()
    assert found.stationarity_bound > 0.01
    assert found.stationarity_bound <= found.stationarity


def held_back(angle: float) -> tuple[MarginFunctions, np.ndarray]:
    """A unit that x1 pulls towards itself and x2, of the other class, stops at its kink.

    f1 = a relu(w·x1), f2 = -uv - a relu(w·x2), x1 and x2 at ``angle``: with w ⟂ x2, uv = -1 and
    a = ‖w‖ = sin^{-1/2} the multipliers are 1/sin and 1, and the slope at the kink is cot(angle).
    """
    c, s = math.cos(angle), math.sin(angle)
    members = [Member(DiagonalNetwork(2), (2,)), Member(Network((1,), ReLU()), (0, 1))]
    f = functions(Sum(members), [[1.0, 0.0, 0.0], [c, s, 1.0]], [1, -1])
    size = s**-0.5
    return f, np.array([1.0, -1.0, size * s, -size * c, size])


def test_slope_0_alone_refutes_what_the_generalised_gradient_allows():
    f, theta = held_back(math.pi / 3)
    arrays = f.values(theta), f.jacobian(theta), theta, 2.0
    assert certify_arrays(*arrays).verdict is Verdict.NOT_STATIONARY
    found = judge(f, theta)
    assert found.verdict is Verdict.CLARKE_KKT, found.report()
    np.testing.assert_allclose(found.multipliers, [2 / math.sqrt(3), 1.0], rtol=1e-12)
    kinks = measure_kinks(f, theta, found.support).within(1e-7, [0, 1])
    unit = theta / np.linalg.norm(theta)
    sets = gradient_sets(f, unit, found.support, kinks)
    element = clarke_stationarity(sets, unit).elements[1] - sets.base[1]
    slope = element @ sets.parts[1][0] / (sets.parts[1][0] @ sets.parts[1][0])
    assert slope == pytest.approx(1 / math.sqrt(3), rel=1e-12)
    assert sets.signs[1] == [-1.0]


@pytest.mark.parametrize(
    ("jump", "above", "verdict"),
    [
        # λ = 1/jump on the second sample makes δ = 2e-9 and 2e-8.
        (1e6, 1e-3, Verdict.CLARKE_KKT),
        (1e3, 1e-5, Verdict.CLARKE_KKT),
        # δ within its tolerance leaves 5e-5 of a weight of 1, or 1/20 of what is needed.
        (1.0, 1e-3, Verdict.NOT_STATIONARY),
        (1e3, 1e-3, Verdict.NOT_STATIONARY),
    ],
)
def test_a_refutation_counts_kinks_above_the_support(jump, above, verdict):
    # held_back with the second sample above the margin and the third in its place.
    c, s = 0.5, math.sqrt(0.75)
    members = [Member(DiagonalNetwork(2), (2,)), Member(Network((1,), ReLU()), (0, 1))]
    X = [[1.0, 0.0, 0.0], [jump * c, jump * s, 1.0 + above], [0.0, 0.0, 1.0]]
    f = functions(Sum(members), X, [1, -1, -1])
    size = s**-0.5
    theta = np.array([1.0, -1.0, size * s, -size * c, size])
    found = judge(f, theta)
    assert found.verdict is verdict, found.report()
    if verdict is Verdict.CLARKE_KKT:
        # λ is as at margin 1, for the degree is 2; the slope at the kink is 1 at most.
        weight = found.multipliers[1]
        assert weight * jump >= (1.0 - 1e-6) / math.sqrt(3.0)
        assert found.support.tolist() == [0, 1, 2]
        assert found.complementarity == pytest.approx(2.0 * above * weight / (theta @ theta))
    for norm in (1.5, 3.0, math.inf):
        assert judge(f, theta, norm).verdict in (verdict, Verdict.UNDECIDED)


@pytest.mark.parametrize("angle", [math.radians(40), math.radians(44.9)])
def test_a_slope_above_1_is_no_element(angle):
    f, theta = held_back(angle)
    assert judge(f, theta).verdict is Verdict.NOT_STATIONARY
    f, theta = held_back(math.radians(60))
    theta[4] *= 1.01
    assert judge(f, theta).verdict is Verdict.NOT_STATIONARY


def test_turning_units_on_raises_the_margin_of_a_clarke_point():
    f, theta = crossed(0.0)
    found = judge(f, theta)
    assert found.verdict is Verdict.SADDLE and "turning units on" in found.reasons[1]
    assert "from 0.25 to 0.353" in found.reasons[1] or "from 0.25 to 0.3" in found.reasons[1]


@pytest.mark.parametrize("norm", [1.0, 4.0])
def test_other_norms_stay_below_a_smooth_verdict(norm):
    f, theta = xor()
    found = judge(f, theta, norm=norm)
    assert found.verdict in (Verdict.UNDECIDED, Verdict.CLARKE_KKT)


def test_deeper_networks_are_judged_by_every_pattern_that_occurs_nearby():
    f = functions(Network((2, 2), ReLU()), [[1.0, 0.0], [0.0, 1.0]])
    cube = [np.eye(2), np.eye(2), np.ones(2)]
    theta = f.flatten([np.array(block) for block in cube])
    found = judge(f, theta)
    assert found.nearest_kink == 0.0 and found.verdict is Verdict.CLARKE_KKT
    kinks = measure_kinks(f, theta, np.array([0, 1])).within(1e-9, [0, 1])
    sets = gradient_sets(f, theta, np.array([0, 1]), kinks)
    assert sets.exact and all(len(vertices) == 4 for vertices in sets.vertices)
    # Every vertex is a limit of gradients: near points show each of them.
    rng = np.random.default_rng(0)
    steps = rng.standard_normal((2000, f.size)) * [*[1e-9] * 4, *[1e-6] * 4, 1e-9, 1e-9]
    near = np.array([f.jacobian(theta + step) for step in steps])
    for n, vertices in enumerate(sets.vertices):
        for vertex in vertices:
            assert np.min(np.abs(near[:, n] - vertex).max(axis=1)) < 1e-5
    wide = functions(Network((14, 14), ReLU()), [[1.0, 0.0], [0.0, 1.0]])
    blocks = [np.zeros(shape) for shape in wide.shapes]
    for block, small in zip(blocks, cube, strict=True):
        block[tuple(slice(0, n) for n in small.shape)] = small
    many = judge(wide, wide.flatten(blocks))
    assert many.verdict is Verdict.UNDECIDED and "too many" in many.reasons[0]


def deaf_unit() -> tuple[MarginFunctions, np.ndarray]:
    """Sample 3 is on the kink of a first-layer unit with w < 0 whose reader has no other input.

    The reader follows that unit and stays off on both sides of the kink, so that the generalised
    gradient of the sample is one point; were both slopes 1 it would hold a second one, with which
    θ is stationary: λ = (1, 1, 1, 1) at margin 5. The diagonal network makes all margins 5.
    """
    c1, c2 = math.sqrt(0.3), math.sqrt(0.7)
    x3, d, e = np.array([2.0, 0.0]), np.array([-2.0, 1.0]), np.array([-0.6, 0.8])
    x1 = np.array([-10.0, -2.0])
    x, y = np.array([x1 + d, x1, d - e, x3]), np.array([1, -1, -1, 1])
    units, w = np.array([-c1 * (d + x3), c2 * e]), np.array([-c1, c2])
    deep = y * np.maximum(np.maximum(x @ units.T, 0.0) @ w, 0.0)
    lengths = (5.0 - deep) ** -0.5
    predictor = Sum(
        (
            Member(Network((2, 1), ReLU()), columns=(0, 1)),
            Member(DiagonalNetwork(3), columns=(2, 3, 4, 5)),
        )
    )
    f = functions(predictor, np.hstack([x, np.diag(y * lengths)]), y)
    return f, f.flatten([units, w[None, :], np.ones(1), *[1.0 / lengths] * 3])


def test_a_set_that_only_contains_the_generalised_gradient_certifies_nothing():
    from scipy.optimize import linprog

    f, theta = deaf_unit()
    assert f.values(theta) == pytest.approx(np.full(4, 5.0), rel=1e-12)
    found = judge(f, theta)
    assert found.stationarity < 1e-12 and found.verdict is Verdict.UNDECIDED
    assert "need not be those" in found.reasons[0]
    # One gradient per sample describes all margins to first order here, and one direction raises
    # them all: θ is not stationary.
    rows_ = np.hstack([-f.jacobian(theta), np.ones((4, 1))])
    answer = linprog(
        np.append(np.zeros(f.size), -1.0),
        A_ub=rows_,
        b_ub=np.zeros(4),
        A_eq=np.append(theta, 0.0)[None, :],
        b_eq=[0.0],
        bounds=[(-1.0, 1.0)] * f.size + [(None, None)],
    )
    ahead = theta + 1e-3 * answer.x[:-1]
    before = np.min(f.values(theta / np.linalg.norm(theta)))
    assert np.min(f.values(ahead / np.linalg.norm(ahead))) > before * (1.0 + 4e-5)


def test_a_kink_as_near_as_the_error_of_the_point_allows_no_strict_maximum():
    # Each unit reads along its own sample, and is 3e-7 away from the other one.
    f, _ = crossed(3e-7)
    unit_rows = f.data.X / np.linalg.norm(f.data.X, axis=1, keepdims=True)
    theta = net(f, unit_rows, np.ones(2))
    exact = judge(f, theta)
    assert exact.nearest_kink == pytest.approx(3e-7, rel=1e-3)
    assert exact.verdict is Verdict.STRICT_LOCAL
    unit = theta / np.linalg.norm(theta)
    turned = unit + 6e-8 * np.array([0.5, -0.5, 0.5, 0.5, 0.0, 0.0])
    found = judge(f, turned)
    assert 1e-8 < found.stationarity < 1e-7
    assert found.verdict is Verdict.KKT
    assert any("a kink is as near" in why for why in found.reasons)


def test_a_margin_of_rounding_size_on_a_kink_is_undecided():
    # Two units all but cancel, and a third is dead: on a kink for every sample.
    f = functions(Network((3,), ReLU()), [[1.0, 0.5]])
    theta = net(f, [[1, 0.5], [1, 0.5], [0, 0]], [1.0, -1.0 + 2.0**-52, 0.0])
    found = judge(f, theta)
    assert found.margin > 0.0 and found.verdict is Verdict.UNDECIDED
    assert found.reasons[0].startswith("on a kink") and "rounding error" in found.reasons[0]


@pytest.mark.parametrize(
    ("above", "verdict"),
    [
        (1e-5, Verdict.CLARKE_KKT),
        # δ misses its tolerance by a thousandth, and so does ε with less weight.
        (1.002e-4, Verdict.UNDECIDED),
        (1e-3, Verdict.NOT_STATIONARY),
    ],
)
def test_a_refutation_at_a_kink_counts_weight_above_the_margin(
    above: float, verdict: Verdict
) -> None:
    # λ = 1e-3 on the second margin makes θ̂ = Σ λ_n g_n exactly, with δ = 1e-3 above.
    base = np.array([[1.0, 0.0], [1.0, 1.0]])
    whole = GradientSets(base, (np.zeros((0, 2)),) * 2, (np.zeros(0),) * 2,
                         (np.zeros((0, 2)),) * 2, True)  # fmt: skip
    direction = np.array([1.0, 1e-3]) @ base
    theta = direction / np.linalg.norm(direction)

    f, other = xor()
    certificate = replace(judge(f, other), support=np.array([0]), multipliers=np.zeros(2))
    values = np.array([1.0, 1.0 + above])
    place, near = Told(whole, theta, values), whole.of(np.array([0]))
    found, _ = judged_at_kink(certificate, place, near, WHERE)
    assert found.verdict is verdict
    assert found.stationarity_bound <= (1e-3 if verdict is Verdict.NOT_STATIONARY else 1e-7)
    if verdict is Verdict.CLARKE_KKT:
        assert found.support.tolist() == [0, 1] and found.tau == pytest.approx(1e-5)
        assert found.complementarity == pytest.approx(1e-8, rel=1e-2)


def test_weight_above_the_margin_counts_against_a_point_on_a_kink():
    f, theta = xor()
    certificate = replace(judge(f, theta), support=np.array([0, 1]), multipliers=np.zeros(2))
    sets = GradientSets(np.eye(2), (np.zeros((0, 2)),) * 2, (np.zeros(0),) * 2,
                        (np.zeros((0, 2)),) * 2, True)  # fmt: skip
    for above, verdict in ((0.0, Verdict.CLARKE_KKT), (1e-3, Verdict.UNDECIDED)):
        values = np.array([1.0, 1.0 + above])
        theta = np.full(2, math.sqrt(0.5))
        found, _ = judged_at_kink(certificate, Told(sets, theta, values), sets, WHERE)
        assert found.verdict is verdict and found.stationarity < 1e-12


@given(seed=st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_the_lower_bound_at_a_kink_is_below_every_distance(seed):
    # Gradients on any side of θ; the true distance is that of least squares over all vertices.
    from scipy.optimize import nnls

    rng = np.random.default_rng(seed)
    base, parts = rng.standard_normal((3, 5)), rng.standard_normal((3, 2, 5))
    theta = rng.standard_normal(5)
    theta /= np.linalg.norm(theta)
    none = (np.zeros((0, 5)),) * 3
    found = clarke_stationarity(
        GradientSets(base, tuple(parts), (np.ones(2),) * 3, none, True), theta
    )
    corners = [b + s * p[0] + t * p[1] for b, p in zip(base, parts, strict=True)
               for s in (0, 1) for t in (0, 1)]  # fmt: skip
    distance = nnls(np.array(corners).T, theta)[1]
    assert found.lower <= distance + 1e-12
    assert found.residual == pytest.approx(distance, abs=1e-7)


def test_a_looser_tolerance_sees_more_kinks():
    f, theta = crossed(1e-4)
    assert judge(f, theta, tolerances=Tolerances.at(1e-2)).reasons[0].startswith("on a kink")
    assert not judge(f, theta).reasons[0].startswith("on a kink")


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.integers(0, 10**6))
def test_random_points_of_relu_networks_never_get_a_positive_verdict(seed):
    rng = np.random.default_rng(seed)
    widths = [(2,), (3,), (3, 2)][seed % 3]
    predictor = Network(widths, [ReLU(), LeakyReLU(0.2)][seed % 2])
    X = rng.standard_normal((4, 3))
    f = functions(predictor, X)
    blocks = [block.copy() for block in f.blocks(rng.standard_normal(f.size))]
    blocks[0][0] -= X[0] * (blocks[0][0] @ X[0]) / (X[0] @ X[0])
    if seed % 5 == 0:
        blocks[0][-1], blocks[1][..., -1] = 0.0, 0.0
    theta = f.flatten(blocks)
    y = np.where(f.values(theta) > 0, 1, -1)
    found = judge(functions(predictor, X, y), theta)
    assert not found.verdict.stationary, found.report()
