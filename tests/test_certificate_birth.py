"""The birth test of two-layer networks: values, bounds for every width, dead units revived."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexmargin.data.dataset import Dataset
from lexmargin.judge import Certificate, Verdict, certify_arrays
from lexmargin.judge.bounds.refine import refine
from lexmargin.judge.local.birth import (
    _moment_bound,
    _patterns,
    birth_value,
    dead_units,
    leak,
)
from lexmargin.judge.local.kinked_point import PredictorPoint
from lexmargin.margins import MarginFunctions
from lexmargin.predictors import (
    DiagonalNetwork,
    Identity,
    LeakyReLU,
    Network,
    Predictor,
    ReLU,
    Square,
)

XOR = [[1, 1], [-1, -1], [1, -1], [-1, 1]]
SIGNS = [1, 1, -1, -1]
PAIRS = [[0.5, 1.5], [1.5, 0.5], [-0.5, -1.5], [-1.5, -0.5]]
PAIR_SIGNS = [1, 1, -1, -1]


def functions(predictor: Predictor, X, y=None) -> MarginFunctions:
    X = np.array(X, float)
    labels = np.ones(len(X), int) if y is None else np.array(y)
    return MarginFunctions(predictor, Dataset(X, labels, one_class=True))


def judge(f: MarginFunctions, theta, **options) -> Certificate:
    theta = np.asarray(theta, float)
    degree = f.homogeneity.degree
    first = certify_arrays(f.values(theta), f.jacobian(theta), theta, degree, **options)
    return refine(PredictorPoint(f, theta, degree, first.tolerances.kink), first)


def net_of(f: MarginFunctions, W, a) -> np.ndarray:
    return f.flatten([np.array(W, float), np.array(a, float)])


def two_samples(degrees: float) -> np.ndarray:
    angle = math.radians(degrees)
    return np.array([[1.0, 0.0], [math.cos(angle), math.sin(angle)]])


def bisector(degrees: float, width: int, dead: float = 0.0) -> tuple[MarginFunctions, np.ndarray]:
    """All weight on one unit between the two samples; the others are (nearly) dead."""
    half = math.radians(degrees) / 2
    f = functions(Network((width,), ReLU()), two_samples(degrees))
    W, a = np.full((width, 2), dead), np.full(width, dead)
    W[0] = np.array([math.cos(half), math.sin(half)]) / math.sqrt(math.cos(half))
    a[0] = 1 / math.sqrt(math.cos(half))
    return f, f.flatten([W, a])


def apart(degrees: float) -> tuple[MarginFunctions, np.ndarray]:
    """One unit for each sample: value 2."""
    X = two_samples(degrees)
    f = functions(Network((2,), ReLU()), X)
    return f, f.flatten([X, np.ones(2)])


def grid(X, c, slope: float, count: int = 400_001) -> float:
    t = np.linspace(0, 2 * np.pi, count)
    corners = np.arctan2(np.array(X)[:, 0], -np.array(X)[:, 1])
    t = np.concatenate([t, corners, corners + np.pi])
    z = np.array(X) @ np.vstack([np.cos(t), np.sin(t)])
    return float(np.abs(np.array(c) @ np.where(z > 0, z, slope * z)).max())


# samples, c, slope, b(λ) by hand
VALUES = [
    ("one", [[3.0, 4.0]], [1.0], 0.0, 5.0),
    ("dead-neuron", two_samples(150), [1.9318516525781366] * 2, 0.0, 1.9318516525781366),
    ("right-angle", np.eye(2), [1.0, 1.0], 0.0, math.sqrt(2)),
    ("xor", XOR, np.array(SIGNS) / math.sqrt(2), 0.0, 1.0),
    ("xor-leaky", XOR, np.array(SIGNS) / math.sqrt(2) / 0.9, 0.1, 1.0),
    ("opposite", [[1.0, 0.0], [1.0, 0.0]], [1.0, -1.0], 0.0, 0.0),
    ("linear", [[1.0, 2.0], [2.0, -1.0]], [1.0, -3.0], 1.0, math.sqrt(50)),
    ("cube", np.eye(3), [1.0, 1.0, 1.0], 0.0, math.sqrt(3)),
    ("minus", np.eye(3), [1.0, -1.0, -1.0], 0.0, math.sqrt(2)),
    ("plane-in-5", np.eye(5)[:2], [3.0, 4.0], 0.0, 5.0),
]


@pytest.mark.parametrize(
    ("X", "c", "slope", "value"), [c[1:] for c in VALUES], ids=[c[0] for c in VALUES]
)
@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_birth_values_by_hand(X, c, slope, value, scale):
    X, c = np.array(X, float), np.array(c, float)
    found = birth_value(scale * X, c, slope)
    assert found.exact
    assert found.lower == pytest.approx(scale * value, rel=1e-12, abs=1e-15)
    assert found.upper == pytest.approx(scale * value, rel=1e-11, abs=1e-14)
    assert found.lower <= found.upper and np.linalg.norm(found.direction) == pytest.approx(1.0)
    z = X @ found.direction
    reached = found.sign * c @ np.where(z > 0, z, slope * z)
    assert reached == pytest.approx(value, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(("count", "slope"), [(3, 0.0), (9, 0.2), (12, 0.0), (40, 0.1)])
def test_birth_in_the_plane_against_a_grid(count, slope):
    rng = np.random.default_rng(count)
    X, c = rng.standard_normal((count, 2)), rng.standard_normal(count)
    found = birth_value(X, c, slope)
    value = grid(X, c, slope)
    assert found.exact and found.upper - found.lower < 1e-9 * found.upper
    assert value <= found.upper and found.lower <= value * (1 + 1e-9) + 1e-9


@pytest.mark.parametrize("dimension", [2, 3])
def test_every_pattern_of_random_directions_is_listed(dimension):
    rng = np.random.default_rng(dimension)
    X = rng.standard_normal((14, dimension))
    X[3], X[4] = 2 * X[2], -0.5 * X[2]
    patterns, _ = _patterns(X)
    listed = {tuple(row) for row in patterns}
    seen = {
        tuple(row) for row in np.where(rng.standard_normal((20_000, dimension)) @ X.T > 0, 1, -1)
    }
    assert seen <= listed
    # At most 2 Σ_{k<d} C(m-1, k) cells, m = 12 different planes.
    assert len(listed) <= {2: 2 * 12, 3: 2 * (1 + 11 + 55)}[dimension]


@pytest.mark.parametrize("slope", [0.0, 0.3])
@pytest.mark.parametrize("exponents", [[-200, 0, 0, 0], [-150, 130, 0, -20], [-170, -170, 0, 0]])
def test_birth_values_with_samples_of_all_lengths(exponents, slope):
    # c σ(u·x) is the same for (c/t, t x): what is long may carry as little as what is short.
    lengths = 10.0 ** np.array(exponents)
    X, c = np.array(XOR, float), np.array(SIGNS) * np.array([1.0, 0.7, 0.9, 1.3])
    plain, mixed = birth_value(X, c, slope), birth_value(X * lengths[:, None], c / lengths, slope)
    assert mixed.lower == pytest.approx(plain.lower, rel=1e-12)
    assert mixed.upper == pytest.approx(plain.upper, rel=1e-12)
    assert np.linalg.norm(mixed.direction) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("lengths", [[1e-200, 1, 1, 1], [1e-100, 1, 1e-100, 1]])
def test_xor_with_samples_of_all_lengths_is_global(lengths):
    X = np.array(XOR, float) * np.array(lengths)[:, None]
    f = functions(Network((4,), ReLU()), X, SIGNS)
    sizes = (np.sqrt(2.0) * np.array(lengths)) ** -0.5
    W = np.array(XOR) / math.sqrt(2.0) * sizes[:, None]
    found = judge(f, f.flatten([W, np.array(SIGNS) * sizes]))
    # Σ |a_j| ‖w_j‖ = Σ 1/‖x_n‖, of which the short samples are all but the last digits.
    assert found.verdict is Verdict.GLOBAL
    assert found.margin == pytest.approx(0.5 / np.sum(sizes**2), rel=1e-12)


def test_a_length_below_the_doubles_proves_nothing():
    X = np.array([[1.0, 0.0], [0.0, 5e-324]])
    assert birth_value(X, np.ones(2)).upper == math.inf


@pytest.mark.parametrize("slope", [0.0, 0.4])
def test_the_moment_bound_is_above_every_value(slope):
    rng = np.random.default_rng(1)
    for spread in (0.01, 0.3, 3.0):
        rows = np.eye(1, 5) + spread * rng.standard_normal((20, 5))
        c = rng.standard_normal(20) + (1.0 if spread < 1.0 else 0.0)
        u = np.vstack([rng.standard_normal((2000, 5)), c @ rows, -c @ rows, np.eye(5)]).T
        z = rows @ (u / np.linalg.norm(u, axis=0))
        values = np.abs(c @ np.where(z > 0.0, z, slope * z))
        assert np.max(values) <= _moment_bound(rows, c, slope)


def test_a_birth_test_that_is_only_bounded_proves_no_optimum():
    # Six samples of either sign on the axes: the two sums of units are the best network, and the
    # bound for so many samples in so many dimensions does not reach its margin.
    y = np.repeat([1, -1], 6)
    f = functions(Network((2,), ReLU()), np.eye(12), y)
    unit = np.array([y > 0, y < 0]) / math.sqrt(6.0)
    found = judge(f, net_of(f, 6.0**0.25 * unit, 6.0**0.25 * np.array([1.0, -1.0])))
    assert found.verdict is Verdict.CLARKE_KKT and "birth test undecided" in found.reasons[-1]
    birth = birth_value(f.data.X, f.score_weights(found.multipliers))
    assert not birth.exact and birth.upper > 1.1 * birth.lower
    assert found.bound >= 0.5 * birth.upper / np.sum(found.multipliers) * (1 - 1e-12)


def test_more_dimensions_and_samples_give_an_interval():
    rng = np.random.default_rng(0)
    X, c = rng.standard_normal((30, 5)), rng.standard_normal(30)
    found = birth_value(X, c)
    assert not found.exact and found.lower < found.upper
    u = rng.standard_normal((5, 20_000))
    u /= np.linalg.norm(u, axis=0)
    assert np.abs(c @ np.maximum(X @ u, 0)).max() <= found.lower


@pytest.mark.parametrize("slope", [0.0, 0.1, 0.5])
def test_xor_is_global(slope):
    size = 2.0**-0.25 / math.sqrt(1 - slope)
    f = functions(Network((4,), LeakyReLU(slope) if slope else ReLU()), XOR, SIGNS)
    theta = f.flatten([np.array(XOR) * size / math.sqrt(2), np.array(SIGNS) * size])
    found = judge(f, theta)
    assert found.verdict is Verdict.GLOBAL, found.report()
    assert found.margin == pytest.approx((1 - slope) / (4 * math.sqrt(2)), rel=1e-12)
    assert found.margin <= found.bound * (1 + 1e-15)
    assert found.gap < 1e-10 and found.definition_3
    np.testing.assert_allclose(found.multipliers, 2**-0.5 / (1 - slope), rtol=1e-9)
    # A slightly wrong net is none of this.
    W, a = (block.copy() for block in f.blocks(theta))
    W[0] += [1e-4, -1e-4]
    assert not judge(f, f.flatten([W, a])).verdict.stationary


@pytest.mark.parametrize("slope", [0.0, 0.1, 0.5])
def test_symmetric_leaky_is_global(slope):
    f = functions(Network((2,), LeakyReLU(slope) if slope else ReLU()), PAIRS, PAIR_SIGNS)
    w, a = 2**-0.75 / math.sqrt(1 + slope), 2**-0.25 / math.sqrt(1 + slope)
    found = judge(f, f.flatten([np.array([[w, w], [-w, -w]]), np.array([a, -a])]))
    assert found.verdict is Verdict.GLOBAL
    # p* = 2/((1+s) √2), γ = 1/(2p*).
    assert found.bound == pytest.approx((1 + slope) * math.sqrt(2) / 4, rel=1e-9)


@pytest.mark.parametrize("dead", [0.0, 1e-12, 1e-9])
def test_the_dead_neuron_is_a_saddle_with_its_improvement_shown(dead):
    f, theta = bisector(150, 2, dead)
    first = certify_arrays(f.values(theta), f.jacobian(theta), theta, 2.0)
    assert first.verdict is Verdict.KKT
    found = judge(f, theta)
    assert found.verdict is Verdict.SADDLE, found.report()
    assert found.nearest_kink <= 1e-9
    text = found.reasons[-1]
    assert "birth test 1.9318516" in text and "dead unit 1" in text
    # 2p = 1/γ: from 3.8637 to at most 2·2.
    before, after = 0.5 / (1 / math.cos(math.radians(75))), 0.25
    rises = text.split("rises from ")[1].split(":")[0].split(" to ")
    assert float(rises[0]) == pytest.approx(before, rel=1e-9)
    assert before * 1.01 < float(rises[1]) <= after * (1 + 1e-9)


@pytest.mark.parametrize("width", [2, 3, 5])
def test_a_dead_neuron_never_hides_a_descent(width):
    for degrees in (121, 130, 150, 170):
        found = judge(*bisector(degrees, width))
        assert found.verdict is Verdict.SADDLE
    for degrees in (60, 90, 119):
        assert judge(*bisector(degrees, width)).verdict is Verdict.GLOBAL


def test_the_switch_at_120_degrees():
    low, high = judge(*bisector(119, 1)), judge(*bisector(121, 1))
    assert low.verdict is Verdict.GLOBAL
    assert low.margin == pytest.approx(1 / (2 * 1.970294), rel=1e-6)
    # Without a second unit the bisector is a strict local maximum of its own width.
    assert high.verdict is Verdict.STRICT_LOCAL
    assert "birth test 1.015386" in high.reasons[-1] and "one unit wider" in high.reasons[-1]
    assert high.gap == pytest.approx(1 - 1 / 1.015386, abs=1e-6)
    assert judge(*apart(121)).verdict is Verdict.GLOBAL
    assert judge(*apart(119)).verdict is not Verdict.GLOBAL
    assert judge(*apart(121)).margin == pytest.approx(0.25, rel=1e-14)


def test_bounds_hold_for_every_width():
    rng = np.random.default_rng(4)
    f = functions(Network((1,), ReLU()), two_samples(150))
    theta = bisector(150, 1)[1]
    bound = judge(f, theta).bound
    for width in (1, 2, 6):
        g = functions(Network((width,), ReLU()), two_samples(150))
        points = rng.standard_normal((2000, g.size))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        assert max(g.values(point).min() for point in points) < bound
    assert bound >= 0.25


def test_which_predictors_are_tested():
    table = [
        (Network((2,), ReLU()), 0.0),
        (Network((2,), LeakyReLU(0.3)), 0.3),
        (Network((2,), Identity()), 1.0),
        (Network((2,), ReLU(2.0)), None),
        (Network((2,), Square()), None),
        (Network((2, 2), ReLU()), None),
        (DiagonalNetwork(2), None),
    ]
    for predictor, expected in table:
        assert leak(predictor) == expected
    f, theta = bisector(150, 3)
    assert dead_units(f, theta, 1e-7) == [1, 2]


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.integers(0, 10**6))
def test_weak_duality_on_random_networks(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((5, 3)), np.where(rng.random(5) < 0.5, 1, -1)
    slope = (0.0, 0.3)[seed % 2]
    f = functions(Network((4,), LeakyReLU(slope)), X, y)
    multipliers = rng.random(5)
    bound = birth_value(X, multipliers * y, slope).upper / (2 * multipliers.sum())
    points = rng.standard_normal((200, f.size))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    assert max(f.values(point).min() for point in points) <= bound
