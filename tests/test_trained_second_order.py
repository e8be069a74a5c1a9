"""Curvature and kinks of trained networks: closed forms, and the toolkit's own predictors."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.judge import Verdict
from lexmargin.judge.functions.symmetry import generators, symmetry_tangents
from lexmargin.judge.local.beyond_first_order import beyond_first_order
from lexmargin.judge.second_order import curvature
from lexmargin.judge.second_order.curvature import CurvatureKind
from lexmargin.judge.second_order.hessians import PredictorCurved
from lexmargin.judge.trained import trained as trained_module
from lexmargin.judge.trained.trained_point import TrainedPoint
from lexmargin.judge.trained.trained_symmetries import rotation_tangents
from lexmargin.linalg.lanczos import smallest_on_tangents
from lexmargin.margins import MarginFunctions

R = math.sqrt(0.5)
PAIR = [[1.0, 0.6], [0.6, 1.0]]
# Both classes: the same odd margin functions once more.
XOR_X = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]])
XOR_Y = np.array([1, 1, -1, -1])
SIZE = 2.0**-0.25


def mirrored(X):
    X = np.array(X, float)
    return np.vstack([X, -X]), np.repeat([1, -1], len(X))


class Torch:
    """Modules that are not recognised as networks of the toolkit."""

    def __init__(self):
        self.torch = pytest.importorskip("torch", reason="torch is not installed: an extra")

    def module(self, forward, blocks):
        torch = self.torch

        class Own(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.blocks = torch.nn.ParameterList(
                    torch.nn.Parameter(torch.as_tensor(np.array(b, float))) for b in blocks
                )

            def forward(self, X):
                return forward(self, list(self.blocks), X)

        return Own()

    def margins(self, forward, blocks, X, y):
        return lm.trained_margins(self.module(forward, blocks), X, y)

    def certify(self, forward, blocks, X, y, **options):
        return lm.certify(self.module(forward, blocks), X, y, **options)

    def diagonal(self, _, blocks, X):
        product = blocks[0]
        for block in blocks[1:]:
            product = product * block
        return X @ product

    def relu(self, power):
        return lambda z: self.torch.relu(z) ** power

    def held_back(self, _, p, X):
        return p[0] * p[1] * X[:, 2] + p[3] * self.torch.relu(X[:, :2] @ p[2])

    def maximum(self, _, blocks, X):
        return self.torch.maximum(X[:, 0] * blocks[0], X[:, 0] * blocks[1])

    def twice(self, _, blocks, X):
        z = X * (blocks[1] - blocks[0])
        h = self.torch.relu(self.torch.cat([z, z], dim=1))
        return X[:, 0] * blocks[0] + h[:, 0] - h[:, 1]


class Jax:
    def __init__(self):
        self.jax = pytest.importorskip("jax", reason="jax is not installed: an extra")

    def certify(self, forward, blocks, X, y, **options):
        blocks = [np.array(b, float) for b in blocks]
        return lm.certify_function(lambda p, x: forward(None, p, x), blocks, X, y, **options)

    def margins(self, forward, blocks, X, y):
        from lexmargin.judge.autodiff.jax_rows import JaxScores

        blocks = [np.array(b, float) for b in blocks]
        return trained_module._margins(JaxScores(lambda p, x: forward(None, p, x), blocks, X), X, y)

    diagonal = Torch.diagonal

    def relu(self, power):
        return lambda z: self.jax.nn.relu(z) ** power

    def held_back(self, _, p, X):
        return p[0] * p[1] * X[:, 2] + p[3] * self.jax.nn.relu(X[:, :2] @ p[2])

    def maximum(self, _, blocks, X):
        return self.jax.numpy.maximum(X[:, 0] * blocks[0], X[:, 0] * blocks[1])

    def twice(self, _, blocks, X):
        z = X * (blocks[1] - blocks[0])
        h = self.jax.nn.relu(self.jax.numpy.concatenate([z, z], axis=1))
        return X[:, 0] * blocks[0] + h[:, 0] - h[:, 1]


# JAX compiles every operation for every shape: all of it is checked by `make test-long`, and what
# the two frameworks do not share by tests of its own below.
@pytest.fixture(params=[Torch, pytest.param(Jax, marks=pytest.mark.long)], ids=["torch", "jax"])
def framework(request):
    return request.param()


def two_layers(activation):
    return lambda _, p, X: activation(X @ p[0].T) @ p[1]


def diagonal(depth, beta):
    return [np.array(beta, float) ** (1.0 / depth)] * depth


# -- closed forms ----------------------------------------------------------------------------------

CASES = [
    ("saddle-is-kkt", [[1, 2]], [[1, 0], [1, 0]], Verdict.SADDLE, -1.0, 3.0),
    ("its-global", [[1, 2]], [[0, R], [0, R]], Verdict.STRICT_LOCAL, 0.5, 2.0),
    ("diagonal-2", PAIR, diagonal(2, (0.625, 0.625)), Verdict.STRICT_LOCAL, 2, 2),
    ("2-corner", PAIR, diagonal(2, (0, 5 / 3)), Verdict.SADDLE, -2 / 3, 8 / 3),
    ("3-inner", PAIR, diagonal(3, (5 / 8, 5 / 8)), Verdict.STRICT_LOCAL, 2, 2),
    ("3-corner", PAIR, diagonal(3, (0, 5 / 3)), Verdict.STRICT_LOCAL, 1, 2),
]


@pytest.mark.parametrize(
    ("X", "blocks", "verdict", "low", "high"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
@pytest.mark.parametrize("limit", [20_000_000, 0], ids=["gradients", "inner-products"])
def test_closed_forms(framework, X, blocks, verdict, low, high, limit, monkeypatch):
    monkeypatch.setattr(trained_module, "JACOBIAN_ENTRIES", limit)
    X, y = mirrored(X)
    found = framework.certify(framework.diagonal, blocks, X, y)
    assert found.verdict is verdict, found.report()
    assert found.curvature.smallest == pytest.approx(low, abs=1e-7)
    assert found.curvature.largest == pytest.approx(high, abs=1e-7)
    assert found.nearest_kink is None and found.curvature.symmetries == 0
    if verdict is Verdict.SADDLE:
        assert found.curvature.shown
        assert found.curvature.margin_after > found.curvature.margin_before * 1.05
        best = {2: 1.0, 4: 0.4}[X.shape[0]]
        assert found.curvature.margin_after <= best * (1 + 1e-12)


@pytest.mark.parametrize("angle", [1e-5, 1e-3])
@pytest.mark.parametrize("case", [0, 3, 4, 5])
def test_a_direction_turned_a_little_is_nothing(framework, case, angle):
    _, X, blocks, _, _, _ = CASES[case]
    turns = np.array([0.3, -0.5, 0.7, 0.2, 0.4, -0.6])
    turned = [np.array(b, float) + angle * turns[2 * k : 2 * k + 2] for k, b in enumerate(blocks)]
    found = framework.certify(framework.diagonal, turned, *mirrored(X))
    assert not found.verdict.stationary and found.curvature is None


def test_wrong_products_are_noticed(framework, monkeypatch):
    scores = framework.margins(framework.diagonal, CASES[4][2], *mirrored(PAIR)).scores
    monkeypatch.setattr(type(scores), "hessian_products", lambda self, v, *rest: np.zeros_like(v))
    found = framework.certify(framework.diagonal, CASES[4][2], *mirrored(PAIR))
    assert found.verdict is Verdict.KKT
    assert "two routes to the second derivative" in found.curvature.reason


@pytest.mark.parametrize("power", [2, 3])
def test_the_derivatives_are_those_of_our_own_predictors(framework, power):
    draw = np.random.default_rng(3)
    X, y = mirrored(draw.normal(size=(4, 3)))
    blocks = [draw.normal(size=(5, 3)), draw.normal(size=5)]
    functions = MarginFunctions(lm.Network((5,), lm.ReLU(power)), lm.Dataset(X, y))
    ours = PredictorCurved(functions)
    found = framework.margins(two_layers(framework.relu(power)), blocks, X, y)
    theta, weights = functions.flatten(blocks), draw.random(8)
    for point in (theta, theta + 0.1):
        np.testing.assert_allclose(found.values(point), ours.values(point), rtol=1e-12)
        some = np.array([1, 4, 6])
        np.testing.assert_allclose(
            found.rows(point, some), ours.rows(point, some), rtol=1e-12, atol=1e-14
        )
        np.testing.assert_allclose(
            found.vjp(point, weights),
            ours.vjp(point, weights),
            rtol=1e-11,
        )
        every = np.eye(theta.size)
        np.testing.assert_allclose(
            found.hessian_products(point, weights, every),
            ours.hessian_products(point, weights, every),
            rtol=1e-10,
            atol=1e-12,
        )


def test_a_jump_of_the_second_derivative_is_undecided(framework):
    # relu² units along the axes: each sample sits on the boundary of the other unit's half plane.
    blocks = [np.diag([2 ** (1 / 6)] * 2), np.full(2, 2 ** (-1 / 3))]
    X, y = np.eye(2), np.array([1, 1])
    X, y = np.vstack([X, [[-1.0, -1.0]]]), np.append(y, -1)
    forward = two_layers(framework.relu(2))
    third = lambda x: -x[:, 0] * (x.sum(axis=1) < 0)  # noqa: E731
    shifted = lambda *a: forward(*a) - 0.5 * third(a[2]) * a[1][1].sum() ** 3  # noqa: E731
    found = framework.certify(shifted, blocks, X, y)
    if found.verdict is Verdict.KKT:
        assert "jumps" in found.curvature.reason
    else:
        assert found.verdict is Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("slope", "verdict"), [(0.0, Verdict.SADDLE), (1e-17, Verdict.KKT), (1e-10, Verdict.KKT)]
)
def test_what_is_a_predictor_of_the_toolkit_is_evaluated_exactly(framework, slope, verdict):
    """p² + 3q² beside p² ± s pq + 3q² at (1, 0): a strict maximum for any s > 0."""
    powers = ((2, 0), (1, 1), (0, 2))
    rows = [[1.0, 0.0, 3.0], [1.0, slope, 3.0], [1.0, -slope, 3.0]]
    X, y = mirrored(rows)

    def forward(_, p, X):
        return X[:, 0] * p[0][0] ** 2 + X[:, 1] * p[0][0] * p[0][1] + X[:, 2] * p[0][1] ** 2

    margins = framework.margins(forward, [[1.0, 0.0]], X, y)
    found = framework.certify(forward, [[1.0, 0.0]], X, y)
    computed = Verdict.SADDLE if slope < 1e-15 else Verdict.KKT
    assert found.verdict is computed, found.report()
    plain = MarginFunctions(lm.Polynomial(powers), lm.Dataset(X, y))
    first = replace(found, verdict=Verdict.KKT, second_order=None, rise=None)
    limit = found.tolerances.kink
    for exact, word in ((None, computed), (plain, verdict)):
        place = TrainedPoint(replace(margins, plain=exact), 2.0, limit)
        assert beyond_first_order(place, first).verdict is word


# -- Lanczos ---------------------------------------------------------------------------------------


def test_a_hessian_too_large_to_form_shows_saddles_and_proves_nothing(framework, monkeypatch):
    monkeypatch.setattr(curvature, "HESSIAN_PARAMETERS", 3)
    found = framework.certify(framework.diagonal, CASES[0][2], *mirrored(CASES[0][1]))
    assert found.verdict is Verdict.SADDLE and found.curvature.shown
    assert found.curvature.smallest == pytest.approx(-1.0, abs=1e-6)
    found = framework.certify(framework.diagonal, CASES[4][2], *mirrored(PAIR))
    assert found.verdict is Verdict.KKT
    assert found.curvature.kind is CurvatureKind.UNDECIDED
    assert "which is no proof" in found.curvature.reason
    assert found.curvature.smallest == pytest.approx(2.0, abs=1e-2)


def test_a_saddle_of_three_thousand_parameters_is_shown(framework):
    # u = v = e_1: the eigenvalues are 1 ± x_j/x_1, and feature 700 has x_j = 3 x_1.
    x = np.random.default_rng(0).uniform(0.0, 0.5, size=(1, 1500))
    x[0, 0], x[0, 700] = 1.0, 3.0
    u = np.zeros(1500)
    u[0] = 1.0
    found = framework.certify(framework.diagonal, [u, u], *mirrored(x))
    assert found.verdict is Verdict.SADDLE, found.report()
    assert found.curvature.smallest == pytest.approx(-2.0, abs=1e-2)
    assert found.curvature.margin_after > 1.01 * found.curvature.margin_before
    x[0, 700] = 0.3
    found = framework.certify(framework.diagonal, [u, u], *mirrored(x))
    assert found.verdict is Verdict.KKT and "no proof" in found.curvature.reason


def test_the_smallest_eigenvalue_is_looked_for_on_the_tangents_only():
    values = np.array([-5.0, 0.5, 1.0, 2.0, 7.0, 9.0])
    held = np.eye(6)[:1]
    low, vector = smallest_on_tangents(lambda v: values * v, held)
    assert low == pytest.approx(0.5, abs=1e-2) and abs(vector[0]) < 1e-12
    low, _ = smallest_on_tangents(lambda v: values * v, np.eye(6)[1:2])
    assert low == pytest.approx(-5.0, abs=1e-2)


# -- symmetries ------------------------------------------------------------------------------------


def rotations(functions, theta):
    every = np.arange(functions.count)
    return rotation_tangents(
        theta, functions.shapes, functions.rows(theta, every), functions.values
    )


@pytest.mark.parametrize(
    "predictor",
    [
        lm.Network((3,), lm.Identity()),
        lm.Network((3, 2), lm.Identity()),
        lm.Network((3,), lm.Identity(), outputs=3),
        lm.Network((3,), lm.ReLU(power=3)),
        lm.Network((3,), lm.Square()),
    ],
    ids=["identity", "deep", "classes", "relu3", "square"],
)
def test_rotations_found_by_trying_are_those_of_the_structure(predictor):
    draw = np.random.default_rng(3)
    y = np.arange(7) % 3 if predictor.outputs == 3 else np.where(np.arange(7) % 2, 1, -1)
    functions = MarginFunctions(predictor, lm.Dataset(draw.normal(size=(7, 4)), y))
    theta = draw.normal(size=functions.size)
    theta /= np.linalg.norm(theta)
    ours = symmetry_tangents(functions, theta, functions.jacobian(theta))
    found = rotations(functions, theta)
    assert found.shape == ours.shape
    np.testing.assert_allclose(found.T @ found, ours.T @ ours, atol=1e-9)


# Two units on one ray; the second turned off it by a ten thousandth, with a sample in between.
RAYS = [
    ("relu", lm.ReLU(), [0.7, 0.7], 1, 0),
    ("leaky", lm.LeakyReLU(0.2), [0.7, 1.4], 1, 0),
    ("relu2-equal", lm.ReLU(power=2), [0.7, 0.7], 1, 0),
    ("relu2", lm.ReLU(power=2), [0.7, 1.4], 0, 0),
    ("square-equal", lm.Square(), [0.7, 0.7], 1, 0),
    ("square", lm.Square(), [0.7, 0.6], 0, 0),
]


@pytest.mark.parametrize(
    ("activation", "outer", "together", "apart"),
    [case[1:] for case in RAYS],
    ids=[case[0] for case in RAYS],
)
def test_units_on_one_ray_turn_into_each_other(activation, outer, together, apart):
    X = [[1, 2], [2, 0.5], [0.3, 1], [1, -1.00002]]
    functions = MarginFunctions(lm.Network((2,), activation), lm.Dataset(*mirrored(X)))
    blocks = [np.array([[1.0, 1.0], [2.0, 2.0]]), np.array(outer)]
    theta = functions.flatten(blocks)
    assert rotations(functions, theta / np.linalg.norm(theta)).shape[0] == together
    blocks[0][1, 0] += 1e-4
    blocks[1][1] += 1e-4
    theta = functions.flatten(blocks)
    assert rotations(functions, theta / np.linalg.norm(theta)).shape[0] == apart


def test_units_on_the_same_side_of_every_sample_turn_into_each_other_too():
    X, y = mirrored([[1, 2], [2, 0.5], [0.3, 1]])
    functions = MarginFunctions(lm.Network((3,), lm.ReLU()), lm.Dataset(X, y))
    theta = np.random.default_rng(0).uniform(0.2, 1.0, size=functions.size)
    found = rotations(functions, theta / np.linalg.norm(theta))
    known = np.array([g.tangent(theta) for g in generators(functions, theta, range(6))])
    assert known.shape[0] == 3 and found.shape[0] == 3
    np.testing.assert_allclose(known @ found.T @ found, known, atol=1e-12)


def test_flat_directions_without_a_known_symmetry_stay_undecided(framework, monkeypatch):
    forward = two_layers(lambda z: z)
    blocks = [SIZE * np.array([[R, R], [0.0, 0.0], [0.0, 0.0]]), [SIZE, 0.0, 0.0]]
    X, y = np.vstack([np.eye(2), -np.eye(2)]), np.repeat([1, -1], 2)
    found = framework.certify(forward, blocks, X, y)
    assert found.verdict is Verdict.STRICT_LOCAL, found.report()
    assert found.curvature.symmetries == 2
    monkeypatch.setattr(
        "lexmargin.judge.trained.trained_margins.rotation_tangents",
        lambda theta, *rest: np.zeros((0, theta.size)),
    )
    found = framework.certify(forward, blocks, X, y)
    assert found.verdict is Verdict.KKT and "2 flat directions" in found.curvature.reason


# -- kinks -----------------------------------------------------------------------------------------


def test_xor_is_stationary_in_the_sense_of_clarke(framework):
    forward = two_layers(framework.relu(1))
    blocks = [XOR_X * SIZE * R, XOR_Y * SIZE]
    found = framework.certify(forward, blocks, XOR_X, XOR_Y)
    assert found.verdict is Verdict.CLARKE_KKT, found.report()
    assert found.margin == pytest.approx(1 / (4 * math.sqrt(2.0)), rel=1e-12)
    assert found.multipliers == pytest.approx(np.full(4, R), rel=1e-12)
    assert found.curvature is None and found.nearest_kink == 0.0
    # One layer longer by a thousandth: still on every kink, no longer balanced.
    blocks[1] = blocks[1] * 1.001
    found = framework.certify(forward, blocks, XOR_X, XOR_Y)
    assert found.verdict is Verdict.NOT_STATIONARY and 1e-4 < found.stationarity_bound < 1e-2


def test_a_slope_between_the_one_sided_gradients_is_found(framework):
    # F = max(w_1 x, w_2 x) at w_1 = w_2: θ̂ is no multiple of either gradient, but of their mean.
    X, y = np.array([[1.0], [-1.0]]), np.array([1, -1])
    found = framework.certify(framework.maximum, [1.0, 1.0], X, y)
    assert found.verdict is Verdict.CLARKE_KKT, found.report()
    assert found.margin == pytest.approx(R) and found.degree == 1.0
    found = framework.certify(framework.maximum, [1.0, 1.001], X, y)
    assert found.verdict is Verdict.NOT_STATIONARY


@pytest.mark.parametrize(
    ("jump", "above", "verdict"),
    [
        # λ = 1/jump on the second sample makes δ = 2e-9.
        (1e6, 1e-3, Verdict.CLARKE_KKT),
        # δ within its tolerance leaves 5e-5 of a weight of 1.
        (1.0, 1e-3, Verdict.NOT_STATIONARY),
    ],
)
@pytest.mark.parametrize("by_gram", [False, True])
def test_a_refutation_counts_kinks_above_the_support(
    framework, jump, above, verdict, by_gram, monkeypatch
):
    # F = uv x_3 + a relu(w·x): the second sample alone holds w back, at its kink.
    if by_gram:
        monkeypatch.setattr(trained_module, "JACOBIAN_ENTRIES", 0)
    c, s = 0.5, math.sqrt(0.75)
    size = s**-0.5
    X = np.array([[1.0, 0.0, 0.0], [jump * c, jump * s, 1.0 + above], [0.0, 0.0, 1.0]])
    blocks = [[1.0], [-1.0], [size * s, -size * c], [size]]
    found = framework.certify(framework.held_back, blocks, X, np.array([1, -1, -1]))
    assert found.verdict is verdict, found.report()
    if verdict is Verdict.CLARKE_KKT:
        assert found.multipliers[1] * jump >= (1.0 - 1e-6) / math.sqrt(3.0)
        assert found.complementarity < 1e-8
    else:
        assert found.stationarity_bound > 1e-4


def test_slopes_that_one_weight_cannot_have_at_once_prove_nothing(framework):
    # The two units are one: what they add is 0, and so is every limit of its gradients.
    X, y = np.array([[1.0], [-1.0]]), np.array([1, -1])
    found = framework.certify(framework.twice, [1.0, 1.0], X, y)
    assert not found.verdict.stationary, found.report()
    assert "need not be those" in found.reasons[0]


def test_another_ball_has_no_verdict_on_a_kink(framework):
    X, y = np.array([[1.0], [-1.0]]), np.array([1, -1])
    found = framework.certify(framework.maximum, [1.0, 1.0], X, y, norm=3.0)
    assert found.verdict is Verdict.UNDECIDED and "ℓ2 ball only" in found.reasons[0]


def test_no_smooth_verdict_on_a_kink_whatever_its_distance(framework):
    X, y = np.array([[1.0], [-1.0]]), np.array([1, -1])
    for gap in (0.0, 1e-12, 1e-9, 1e-8):
        found = framework.certify(framework.maximum, [1.0, 1.0 + gap], X, y)
        assert found.verdict in (Verdict.CLARKE_KKT, Verdict.UNDECIDED, Verdict.NOT_STATIONARY)


def test_jax_shows_a_saddle_and_finds_a_slope():
    jax = Jax()
    found = jax.certify(jax.diagonal, CASES[0][2], *mirrored(CASES[0][1]))
    assert found.verdict is Verdict.SADDLE and found.curvature.shown
    assert found.curvature.smallest == pytest.approx(-1.0, abs=1e-7)
    X, y = np.array([[1.0], [-1.0]]), np.array([1, -1])
    found = jax.certify(jax.maximum, [1.0, 1.0], X, y)
    assert found.verdict is Verdict.CLARKE_KKT, found.report()
    assert not jax.certify(jax.maximum, [1.0, 1.001], X, y).verdict.stationary
