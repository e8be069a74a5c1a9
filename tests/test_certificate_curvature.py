"""The second-order condition: closed-form eigenvalues, and points turned a little."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

import lexmargin as lm
from lexmargin.data.dataset import Dataset
from lexmargin.formulations import Kkt
from lexmargin.judge import Certificate, Tolerances, Verdict, certify_arrays
from lexmargin.judge.bounds.networks import LinearNetwork
from lexmargin.judge.bounds.refine import refine
from lexmargin.judge.certificate import Ascent
from lexmargin.judge.functions.symmetry import generators, symmetry_tangents
from lexmargin.judge.given import Evidence
from lexmargin.judge.local.kinked_point import PredictorPoint
from lexmargin.judge.programs.claimed_direction import claimed_direction
from lexmargin.judge.second_order.ascent import rise
from lexmargin.judge.second_order.curvature import Curvature, CurvatureKind, measured_curvature
from lexmargin.judge.second_order.hessians import PredictorCurved
from lexmargin.judge.second_order.surroundings import around_direction
from lexmargin.judge.second_order.vicinity import Vicinity
from lexmargin.margins import MarginFunctions
from lexmargin.predictors import (
    ConvolutionalNetwork,
    DiagonalNetwork,
    Identity,
    LeakyReLU,
    Linear,
    Member,
    Network,
    Polynomial,
    Predictor,
    ReLU,
    Square,
    Sum,
)

R = math.sqrt(0.5)
PAIR = [[1.0, 0.6], [0.6, 1.0]]


def functions(predictor: Predictor, X, y=None) -> MarginFunctions:
    X = np.array(X, float)
    labels = np.ones(len(X), int) if y is None else np.array(y)
    return MarginFunctions(predictor, Dataset(X, labels, one_class=True))


def judge(f: MarginFunctions, theta, norm=2.0, **options) -> Certificate:
    theta = np.asarray(theta, float)
    degree = f.homogeneity.degree
    first = certify_arrays(f.values(theta), f.jacobian(theta), theta, degree, norm, **options)
    return refine(PredictorPoint(f, theta, degree, first.tolerances.kink), first)


def around(f: MarginFunctions, theta, certificate: Certificate, weights=None) -> Vicinity:
    lam = certificate.multipliers if weights is None else weights
    theta = np.asarray(theta, float) / np.linalg.norm(theta)
    known = replace(certificate, multipliers=lam, nearest_kink=None)
    return around_direction(PredictorCurved(f), theta, f.homogeneity.degree, known)


def margin_of(f: MarginFunctions, theta) -> float:
    return float(np.min(f.values(theta / np.linalg.norm(theta))))


def curvature_of(f: MarginFunctions, theta, certificate, weights=None) -> Curvature:
    return measured_curvature(around(f, theta, certificate, weights)).curvature


def diagonal(depth: int, beta) -> np.ndarray:
    return np.tile(np.array(beta, float) ** (1.0 / depth), depth)


def fully_connected(depth: int) -> tuple[MarginFunctions, np.ndarray]:
    """Z = I₂, every layer a multiple of one rank-one matrix (case fully-connected-L)."""
    scale = math.sqrt(2.0) ** (1.0 / depth)
    f = functions(Network((3, 2)[: depth - 1], Identity()), np.eye(2))
    blocks = [np.zeros(shape) for shape in f.shapes]
    blocks[0][0] = scale * R
    for block in blocks[1:]:
        block[(0,) * block.ndim] = scale
    return f, f.flatten(blocks)


# case, predictor, X, θ, verdict, smallest and largest eigenvalue on the tangents
CASES = [
    ("saddle-is-kkt", DiagonalNetwork(2), [[1, 2]], [1, 0, 1, 0], Verdict.SADDLE, -1.0, 3.0),
    ("its-global", DiagonalNetwork(2), [[1, 2]], [0, R, 0, R], Verdict.GLOBAL, 0.5, 2.0),
    ("diagonal-2", DiagonalNetwork(2), PAIR, diagonal(2, (0.625, 0.625)), Verdict.GLOBAL, 2, 2),
    ("2-corner", DiagonalNetwork(2), PAIR, diagonal(2, (0, 5 / 3)), Verdict.SADDLE, -2 / 3, 8 / 3),
    ("3-inner", DiagonalNetwork(3), PAIR, diagonal(3, (5 / 8, 5 / 8)), Verdict.STRICT_LOCAL, 2, 2),
    ("3-corner", DiagonalNetwork(3), PAIR, diagonal(3, (0, 5 / 3)), Verdict.STRICT_LOCAL, 1, 2),
]


@pytest.mark.parametrize(
    ("predictor", "X", "theta", "verdict", "low", "high"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
@pytest.mark.parametrize("scale", [1.0, 1e-3, 7.0])
def test_closed_forms(predictor, X, theta, verdict, low, high, scale):
    found = judge(functions(predictor, X), scale * np.asarray(theta, float))
    assert found.verdict is verdict, found.report()
    assert found.nearest_kink is None
    assert found.curvature.smallest == pytest.approx(low, abs=1e-9)
    assert found.curvature.largest == pytest.approx(high, abs=1e-9)
    json.dumps(found.to_json(), allow_nan=False)
    assert found.curvature.kind.value in str(found)


@pytest.mark.parametrize(("X", "theta", "before", "after"), [
    ([[1, 2]], [1, 0, 1, 0], 0.5, 1.0),
    (PAIR, diagonal(2, (0, 5 / 3)), 0.3, 0.4),
])  # fmt: skip
def test_a_saddle_shows_a_higher_margin_and_never_one_above_the_global(X, theta, before, after):
    f = functions(DiagonalNetwork(2), X)
    certificate = judge(f, theta)
    found, held = certificate.curvature, certificate.support
    assert found.kind is CurvatureKind.INDEFINITE and found.shown
    assert found.margin_before == pytest.approx(before, rel=1e-14)
    assert before + 1e-2 < found.margin_after <= after * (1 + 1e-12)
    # The witness leaves the margin of the support unchanged to first order.
    unit = np.asarray(theta, float) / np.linalg.norm(theta)
    assert np.max(np.abs(f.jacobian(unit)[held] @ found.witness)) < 1e-12
    again = rise(around(f, unit, certificate), Ascent(found.witness, held, 2), 0.0)
    assert math.exp(again.after) == pytest.approx(found.margin_after, rel=1e-12)
    # The gain is of ½‖u‖²: half of the curvature, from lengths that rounding hides on.
    assert certificate.rise.rate == pytest.approx(-0.5 * found.smallest, rel=0.1)
    assert certificate.rise.shortest < 1e-6


@pytest.mark.parametrize("angle", [1e-5, 1e-3, 0.1])
@pytest.mark.parametrize("case", [3, 4, 5])
def test_a_strict_local_maximum_turned_is_nothing(case, angle):
    _, predictor, X, theta, _, _, _ = CASES[case]
    theta = np.asarray(theta, float)
    turned = theta / np.linalg.norm(theta)
    turned = turned + angle * np.array([0.3, -0.5, 0.7, 0.2, 0.4, -0.6])[: theta.size]
    found = judge(functions(predictor, X), turned)
    assert not found.verdict.stationary, found.report()
    assert found.curvature is None


@pytest.mark.parametrize(
    ("step", "above", "word"),
    [
        (1e-6, 9e-3, Verdict.SADDLE),
        (1e-5, 4e-3, Verdict.SADDLE),
        # The strict maximum at b ≈ s is nearer than the length at which a gain exceeds 2δ, and
        # along -b the margin falls at first.
        (1e-4, 4e-4, Verdict.KKT),
    ],
)
def test_weight_above_the_margin_holds_nothing_in_place(step, above, word):
    # Off the saddle (1, 0) of f1 = a² + 2b² by a step along b; f2 = (1 + s) a² - ab pulls back with
    # λ_2 = step, so that δ = 2 s step is within tolerance although f2 is not active: along b the
    # margin rises until f2 is reached, at b ≈ s.
    predictor = Polynomial(((2, 0, 0), (0, 2, 0), (1, 1, 0), (0, 0, 2)))
    f = functions(predictor, [[1, 2, 0, 0.5], [1 + above, 0, -1, 0.5]])
    theta = np.array([1.0, step, 0.0])
    found = judge(f, theta)
    assert found.tau > 1e-5 and found.stationarity < 1e-12 and found.complementarity < 1e-7
    ahead = np.array([1.0, above - 3 * above**2, 0.0])
    gain = np.min(f.values(ahead / np.linalg.norm(ahead))) / found.margin - 1.0
    assert gain > 0.5 * above**2
    assert found.verdict is word
    evidence = Evidence(support=found.support, multipliers=found.multipliers, tau=found.tau)
    facts, _ = claimed_direction(f, theta, 2.0, Tolerances(), evidence)
    assert facts.verdict is Verdict.KKT and facts.curvature.smallest == pytest.approx(
        -1.0, abs=1e-2
    )


@pytest.mark.parametrize(("error", "kind"), [(1e-12, "positive"), (9e-8, "undecided")])
def test_a_small_curvature_is_no_larger_than_the_error_of_the_point(error, kind):
    # The smallest eigenvalue is 1e-4; a point that is off by ε knows it to about √ε.
    f = functions(DiagonalNetwork(2), [[1, 1 - 1e-4]])
    theta = np.array([R, 0, R, 0])
    theta = theta + error * np.array([R, 0, -R, 0])
    found = curvature_of(f, theta, judge(f, theta))
    assert found.kind.value == kind and found.smallest == pytest.approx(1e-4, rel=1e-2)


def test_multipliers_that_were_not_measured_bend_nothing():
    # λ of samples outside the support would make any Lagrangian convex.
    f = functions(DiagonalNetwork(2), [[1, 2], [2, -9]])
    theta = np.array([R, 0, R, 0])
    support, weights = np.array([0]), np.array([1.0, 0.2])
    evidence = Evidence(support=support, multipliers=weights, tau=1e-7)
    facts, _ = claimed_direction(f, theta, 2.0, Tolerances(), evidence)
    assert facts.verdict is Verdict.KKT and facts.curvature.smallest == pytest.approx(
        -1.0, abs=1e-6
    )


def test_multipliers_of_a_saddle_do_not_pass_for_a_maximum():
    # λ = ½ of the global direction is not a multiplier of the saddle: the Lagrangian is convex
    # with it, and only stationarity tells that it does not belong here.
    f = functions(DiagonalNetwork(2), [[1, 2]])
    theta = np.array([R, 0, R, 0])
    own = certify_arrays(f.values(theta), f.jacobian(theta), theta, 2.0)
    assert own.multipliers == pytest.approx([1.0])
    wrong = replace(own, multipliers=np.array([0.4]))
    held = np.flatnonzero(wrong.multipliers)
    low = 1.0 - wrong.multipliers[held] @ [[2.0]]
    assert low == pytest.approx(1 - 0.8)
    assert curvature_of(f, theta, wrong).kind is not CurvatureKind.POSITIVE
    assert judge(f, theta).verdict is Verdict.SADDLE


@pytest.mark.parametrize(("depth", "orbit"), [(2, 2), (3, 3)])
def test_rotations_between_identity_layers_are_no_flat_directions(depth, orbit):
    f, theta = fully_connected(depth)
    found = judge(f, theta)
    assert found.verdict is Verdict.GLOBAL
    assert found.margin == pytest.approx((2 * {2: 2**0.5, 3: 1.5 * 2 ** (1 / 3)}[depth])
                                         ** (-depth / 2), rel=1e-12)  # fmt: skip
    assert found.curvature.kind is CurvatureKind.POSITIVE and found.curvature.symmetries == orbit
    # Turned along the orbit it is the same answer.
    blocks = [block.copy() for block in f.blocks(theta)]
    c, s = math.cos(0.7), math.sin(0.7)
    turn = np.eye(3)
    turn[:2, :2] = [[c, -s], [s, c]]
    blocks[0], blocks[1] = turn @ blocks[0], blocks[1] @ turn.T
    assert judge(f, f.flatten(blocks)).curvature.symmetries == orbit


def test_without_its_symmetries_the_same_point_is_undecided(monkeypatch):
    f, theta = fully_connected(2)
    monkeypatch.setattr(
        "lexmargin.judge.second_order.hessians.symmetry_tangents",
        lambda *a: np.zeros((0, theta.size)),
    )
    monkeypatch.setattr("lexmargin.judge.bounds.refine.CHEAP", ())
    monkeypatch.setattr("lexmargin.judge.bounds.refine.leak", lambda *a: None)
    found = judge(f, theta)
    assert found.verdict is Verdict.KKT and "flat direction" in " ".join(found.reasons)
    assert found.curvature.kind is CurvatureKind.UNDECIDED


SYMMETRIC = [
    ("identity", Network((3, 2), Identity()), 3 + 1),
    # The first and the third unit are on the same side of their kinks on every sample.
    ("relu", Network((3,), ReLU()), 1),
    ("relu-deep", Network((3, 3), ReLU()), 0),
    ("square", Network((3,), Square()), 0),
    ("diagonal", DiagonalNetwork(3), 0),
    ("convolution", ConvolutionalNetwork(3), 2),
    ("sum", Sum([Linear(), Network((3,), Identity())]), 3),
    ("classes", Network((3,), Identity(), outputs=3), 3),
]


@pytest.mark.parametrize(
    ("predictor", "count"), [c[1:] for c in SYMMETRIC], ids=[c[0] for c in SYMMETRIC]
)
def test_symmetry_tangents_keep_margins_and_norm(predictor, count):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((7, 4))
    y = np.arange(7) % 3 if predictor.outputs == 3 else np.where(np.arange(7) % 2, 1, -1)
    f = functions(predictor, X, y)
    theta = rng.standard_normal(f.size)
    jacobian = f.jacobian(theta)
    basis = symmetry_tangents(f, theta, jacobian)
    assert basis.shape == (count, f.size)
    assert np.abs(jacobian @ basis.T).max(initial=0.0) < 1e-12
    assert np.abs(basis @ theta).max(initial=0.0) < 1e-12


@pytest.mark.parametrize(
    "predictor",
    [
        Network((4, 3), Identity()),
        Network((5,), ReLU()),
        Network((5,), LeakyReLU(0.3), outputs=3),
        Sum([Linear(), Member(Network((4,), ReLU()), columns=(1, 2, 3))]),
    ],
    ids=str,
)
def test_rotations_turn_by_any_small_angle_and_no_margin_moves(predictor):
    """`exp(tA)` of each generator, whatever layer or summand its units are of."""
    rng = np.random.default_rng(0)
    y = np.arange(3) % 3 if predictor.outputs == 3 else [1, -1, 1]
    f = functions(predictor, rng.standard_normal((3, 4)), y)
    theta = rng.standard_normal(f.size)
    found = generators(f, theta, range(3))
    assert found
    for one in found:
        A = np.array([one.tangent(e) for e in np.eye(f.size)]).T
        turned = scipy.linalg.expm(1e-3 * A) @ theta
        np.testing.assert_allclose(f.values(turned), f.values(theta), rtol=1e-12)
        assert np.linalg.norm(turned) == pytest.approx(np.linalg.norm(theta), rel=1e-14)


def test_a_rotation_that_changes_a_gradient_given_is_no_symmetry():
    f = functions(Network((2,), Identity()), np.eye(2))
    theta = np.random.default_rng(0).standard_normal(f.size)
    assert symmetry_tangents(f, theta, f.jacobian(theta)).shape[0] == 1
    assert symmetry_tangents(f, theta, np.ones((1, f.size))).shape[0] == 0


def test_units_on_one_ray_and_equal_squares_turn():
    for activation, expected in ((ReLU(), 1), (LeakyReLU(0.1), 1), (ReLU(2.0), 0), (Square(), 1)):
        f = functions(Network((2,), activation), [[1, 2], [2, 0.5], [0.3, 1], [1, -1.00002]])
        blocks = [np.array([[1.0, 1.0], [2.0, 2.0]]), np.array([0.7, 0.7])]
        basis = symmetry_tangents(f, f.flatten(blocks), f.jacobian(f.flatten(blocks)))
        assert basis.shape[0] == expected, activation
        # Off the ray, with a sample in between.
        blocks[0][1, 0] += 1e-4
        blocks[1][1] += 1e-4
        basis = symmetry_tangents(f, f.flatten(blocks), f.jacobian(f.flatten(blocks)))
        assert basis.shape[0] == 0, activation


def test_the_hessian_is_the_derivative_of_the_gradient():
    rng = np.random.default_rng(5)
    for predictor in (Network((3, 2), ReLU(3.0)), DiagonalNetwork(3), ConvolutionalNetwork(2)):
        f = functions(predictor, rng.standard_normal((4, 4)))
        theta, weights = rng.standard_normal(f.size), rng.random(4)
        hessian = PredictorCurved(f).hessian_products(theta, weights, np.eye(f.size))
        # Columns that share a product are read off it apart.
        np.testing.assert_allclose(f.hessian_matrix(theta, weights), hessian, atol=1e-12)
        step = 1e-6
        for i in range(f.size):
            unit = np.eye(f.size)[i] * step
            column = f.vjp(theta + unit, weights) - f.vjp(theta - unit, weights)
            np.testing.assert_allclose(column / (2 * step), hessian[i], atol=1e-6)


@pytest.mark.parametrize(
    ("samples", "inputs"), [(60, 9), pytest.param(200, 49, marks=pytest.mark.long)]
)
@pytest.mark.parametrize("off", [0.0, 1e-9])
def test_a_certificate_asks_for_thirty_jacobians_at_most(monkeypatch, samples, inputs, off):
    """At an answer of 20 relu² units, 200 or 1000 parameters; and beside it."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((samples, inputs))
    scores = np.maximum(X @ rng.standard_normal((inputs, 2)), 0.0) ** 2 @ np.array([1.0, -1.0])
    problem = lm.HardMargin(
        lm.Network((20,), ReLU(2.0)), lm.Dataset(X, np.where(scores > 0, 1, -1))
    )
    theta = problem.functions.flatten(lm.solve(problem).theta)
    theta = theta + off * np.linalg.norm(theta) * rng.standard_normal(theta.size) / theta.size**0.5
    asked = {"_rows": 0, "hessian_products": 0, "hessian_matrix": 0}
    for name in asked:
        own = getattr(type(problem.functions), name)

        def counted(self, *args, own=own, name=name):
            asked[name] += 1
            return own(self, *args)

        monkeypatch.setattr(type(problem.functions), name, counted)
    assert lm.certify(problem, theta).verdict is Verdict.STRICT_LOCAL
    assert 0 < asked["_rows"] <= 30 and asked["hessian_matrix"] == 1
    assert asked["hessian_products"] <= 20


def test_a_wrong_hessian_is_noticed(monkeypatch):
    f = functions(DiagonalNetwork(3), PAIR)
    monkeypatch.setattr(PredictorCurved, "hessian_matrix", lambda *a: np.zeros((f.size, f.size)))
    found = judge(f, diagonal(3, (5 / 8, 5 / 8)))
    assert found.verdict is Verdict.KKT
    assert "two routes to the second derivative" in found.curvature.reason


def test_a_jump_of_the_second_derivative_is_undecided():
    # relu² units along the axes: each sample sits on the boundary of the other unit's half plane.
    f = functions(Network((2,), ReLU(2.0)), np.eye(2))
    scale = np.array([[2 ** (1 / 6), 0], [0, 2 ** (1 / 6)]])
    found = judge(f, f.flatten([scale, np.full(2, 2 ** (-1 / 3))]))
    assert found.stationarity < 1e-12
    assert found.verdict is Verdict.KKT and "jumps" in found.curvature.reason
    # A dead unit of degree 3 makes no jump.
    g = functions(Network((2,), ReLU(2.0)), [[1.0, 0.3]])
    x = np.array([1.0, 0.3]) / math.hypot(1.0, 0.3)
    found = judge(g, g.flatten([np.array([math.sqrt(2) * x, 0 * x]), np.array([1.0, 0.0])]))
    assert found.verdict is Verdict.STRICT_LOCAL, found.report()


def test_no_blocked_index_has_a_weakly_active_pair():
    # f_n = a_n θ1⁴ + b_n θ2⁴: at (1, 0) one sample is active and the critical cone is θ2.
    f = functions(Polynomial(((4, 0), (0, 4))), [[1, 2], [2, 1], [5, 9]])
    assert judge(f, [1.0, 0.0]).verdict is Verdict.STRICT_LOCAL
    # The minimum of the same kind between them: all curvature negative.
    g = functions(Polynomial(((4, 0), (0, 4))), [[1, 1]])
    found = judge(g, [1.0, 1.0])
    assert found.verdict is Verdict.SADDLE
    assert found.curvature.margin_after == pytest.approx(1.0, rel=0.1)


def test_a_weakly_active_constraint_blocks_a_negative_direction():
    # f1 = θ1² + 2θ2² alone has a saddle at (1, 0); f2 = θ1² + cθ1θ2 is active there with λ = 0.
    exponents = ((2, 0), (0, 2), (1, 1))
    free = judge(functions(Polynomial(exponents), [[1, 2, 0]]), [1.0, 0.0])
    assert free.verdict is Verdict.SADDLE
    half = judge(functions(Polynomial(exponents), [[1, 2, 0], [1, 0, 1]]), [1.0, 0.0])
    assert half.verdict is Verdict.SADDLE
    both = judge(functions(Polynomial(exponents), [[1, 2, 0], [1, 0, 1], [1, 0, -1]]), [1.0, 0.0])
    assert both.verdict is not Verdict.SADDLE, both.report()


def test_other_norms_and_many_parameters_get_no_second_order_verdict(monkeypatch):
    f = functions(DiagonalNetwork(2), [[1.0, 1.0]])
    assert judge(f, [1.0, 1.0, 1.0, 1.0], norm=4.0).curvature is None
    monkeypatch.setattr("lexmargin.judge.second_order.curvature.HESSIAN_PARAMETERS", 3)
    found = judge(f, [1.0, 0.0, 1.0, 0.0])
    assert found.verdict is not Verdict.STRICT_LOCAL
    assert "which is no proof" in found.curvature.reason
    monkeypatch.setattr("lexmargin.judge.second_order.curvature.CURVATURE_ENTRIES", 3)
    assert "too many" in judge(f, [1.0, 0.0, 1.0, 0.0]).curvature.reason


def test_loose_tolerances_do_not_turn_noise_into_a_verdict():
    theta = diagonal(3, (5 / 8, 5 / 8)) + np.array([1e-3, -1e-3, 0, 0, 1e-3, 0])
    found = judge(functions(DiagonalNetwork(3), PAIR), theta, tolerances=Tolerances.at(1e-2))
    assert found.verdict in (Verdict.KKT, Verdict.STRICT_LOCAL)
    exact = judge(
        functions(DiagonalNetwork(3), PAIR),
        diagonal(3, (5 / 8, 5 / 8)),
        tolerances=Tolerances.at(1e-2),
    )
    assert exact.verdict is Verdict.STRICT_LOCAL


@pytest.mark.parametrize("predictor", [
    Network((3,), Identity()), Network((3, 2), Identity()), DiagonalNetwork(2), DiagonalNetwork(3),
    ConvolutionalNetwork(2), ConvolutionalNetwork(3),
])  # fmt: skip
def test_linear_network_bounds_hold_for_random_weights(predictor):
    rng = np.random.default_rng(11)
    f = functions(predictor, rng.standard_normal((3, 4)) + 1.0)
    kkt, given = Kkt(functions=f, point=np.ones(f.size)), LinearNetwork(search=False)
    bounds = [given.prove(kkt, rng.random(3)).value for _ in range(20)]
    best = max(margin_of(f, rng.standard_normal(f.size)) for _ in range(3000))
    assert best < min(bounds)
    assert given.prove(kkt, np.zeros(3)) is None


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.integers(0, 10**6))
def test_random_smooth_points_get_no_positive_verdict(seed):
    rng = np.random.default_rng(seed)
    predictor = [DiagonalNetwork(3), Network((2,), Identity()), Network((2,), Square())][seed % 3]
    f = functions(predictor, rng.standard_normal((3, 3)))
    theta = rng.standard_normal(f.size)
    y = np.where(f.values(theta) > 0, 1, -1)
    found = judge(functions(predictor, f.data.X, y), theta)
    assert not found.verdict.stationary and found.curvature is None


@pytest.mark.parametrize("scale", [1e160, 1e-160])
def test_gradients_whose_squares_leave_double_precision_get_a_reason(scale):
    # β = (1, 1)/3 · 1/scale has margin 1 on both samples, and the largest of all (γ* = 3/4 scale).
    f = functions(DiagonalNetwork(2), scale * np.array([[1.0, 2.0], [2.0, 1.0]]))
    found = judge(f, np.ones(4))
    assert found.verdict is Verdict.GLOBAL and found.margin == pytest.approx(0.75 * scale)
    assert found.curvature.kind is CurvatureKind.UNDECIDED
    assert "other units" in found.curvature.reason
    turned = judge(f, np.array([1.0, 1.0, 1.0, 1.001]))
    assert turned.verdict is Verdict.NOT_STATIONARY
