"""The leading part of a network: limits by powers of two, its own problem, and the paths to it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lexmargin as lm
from examples_of_predictors import PREDICTORS, P, dataset_for
from lexmargin.margins import MarginFunctions
from lexmargin.predictors import Log, Predictor

DATA = lm.Dataset([[1.0, 0.3], [0.4, 1.2], [-1.0, 0.2], [-0.3, -0.9]], [1, 1, -1, -1])
SHARED: dict[str, Predictor] = {
    "biased": lm.Network((2, 2), lm.Identity(), bias="all"),
    "squared": lm.Network((3,), lm.ReLU(2), bias="all"),
    "residual": lm.Residual(2, 1, lm.ReLU(2)),
}
"""Networks whose terms differ in degree, and all but one share parameters."""

WITH_A_LIMIT = [name for name, row in PREDICTORS.items() if not isinstance(row[0], Log)]


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.sampled_from(WITH_A_LIMIT), st.integers(0, 10**6))
def test_the_leading_part_is_the_limit(name: str, seed: int) -> None:
    predictor = PREDICTORS[name][0]
    net = MarginFunctions(predictor, dataset_for(predictor, seed))
    leading = MarginFunctions(lm.Leading(predictor), dataset_for(predictor, seed))
    degree = leading.predictor.homogeneity(P).degree
    assert degree is not None
    theta = np.random.default_rng(seed).standard_normal(net.size)
    # A power of two scales exactly; a term one degree below is 2^-60 of it, below rounding.
    far = 2.0**60
    values, gradients = leading.values(theta), leading.jacobian(theta)
    assert np.allclose(net.values(far * theta) / far**degree, values, rtol=1e-11, atol=1e-12)
    limit = net.jacobian(far * theta) / far ** (degree - 1)
    assert np.allclose(limit, gradients, rtol=1e-11, atol=1e-12)


def test_what_is_no_limit_has_no_leading_part() -> None:
    with pytest.raises(lm.ParameterError, match="no leading part"):
        lm.Leading(Log())


def test_terms_that_cancel_leave_nothing_to_separate_with() -> None:
    # x·(θ_1 - θ_1²) with features that cancel the square: the highest degree stays the highest.
    leading = lm.Leading(lm.Polynomial(((1,), (2,))))
    data = lm.Dataset([[1.0, 0.0], [-2.0, 0.0]], [1, -1])
    assert np.all(MarginFunctions(leading, data).values(np.array([3.0])) == 0.0)


@pytest.mark.parametrize("name", SHARED)
def test_the_limit_is_solved_and_its_neighbours_are_not(name: str) -> None:
    problem = lm.HardMargin(lm.Leading(SHARED[name]), DATA)
    solution = lm.solve(problem, starts=4)
    assert lm.certify(problem, solution.theta).certified
    theta = problem.functions.flatten(solution.theta)
    for k, row in enumerate(np.random.default_rng(1).standard_normal((3, theta.size))):
        turned = theta + 1e-6 * np.linalg.norm(theta) * row / np.linalg.norm(row)
        assert not lm.certify(problem, turned).certified, k


@pytest.mark.parametrize("name", SHARED)
def test_the_margin_path_approaches_the_leading_part(name: str) -> None:
    leading = lm.HardMargin(lm.Leading(SHARED[name]), DATA)
    degree = leading.predictor.homogeneity(2).degree
    assert degree is not None
    limit = lm.solve(leading, starts=4)
    theta = leading.functions.flatten(limit.theta)
    for rho in (1e1, 1e2, 1e3, 1e4):
        path = lm.MarginPath(SHARED[name], DATA, rho)
        found = lm.solve(path, start=path.functions.blocks(rho * theta / np.linalg.norm(theta)))
        assert found.certificate is not None and found.certificate.certified
        # The margin of the limit at ‖θ‖ = 1; lower terms are one degree below or more.
        own = (2.0 * limit.objective) ** (-degree / 2)
        assert abs(found.objective / rho**degree - own) <= own / rho
    # Its units may have turned, so what is small is the residual of the limit problem.
    assert lm.certify(leading, found.theta).stationarity <= 1e-4


def test_parameters_that_left_have_no_gradient() -> None:
    net = lm.Network((3, 2), lm.LeakyReLU(0.1), bias="all")
    functions = MarginFunctions(lm.Leading(net), DATA)
    rows = functions.jacobian(np.random.default_rng(0).standard_normal(functions.size))
    for k, shape in enumerate(functions.shapes):
        moved = np.any([functions.blocks(row)[k] for row in rows])
        # b_1 stays, b_2 and b_3 go.
        assert moved == (k not in (3, 5)), shape


@pytest.mark.parametrize("bias", ["first", "all"])
def test_biases_are_weights_of_a_feature_that_is_one(bias: str) -> None:
    net = lm.Network((3, 2), lm.LeakyReLU(0.25), 3, "first" if bias == "first" else "all")
    rng = np.random.default_rng(3)
    X = rng.standard_normal((5, 2))
    functions = MarginFunctions(net, lm.Dataset(X, [0, 1, 2, 0, 1]))
    blocks = [rng.standard_normal(shape) for shape in functions.shapes]
    units, rest = X, list(blocks)
    for layer in range(3):
        units = units @ rest.pop(0).T
        if bias == "all" or layer == 0:
            units = units + rest.pop(0)[:, 0]
        if layer < 2:
            units = np.where(units > 0, units, 0.25 * units)
    own = units[np.arange(5), [0, 1, 2, 0, 1]][:, None] - units
    expected = [own[n, c] for n in range(5) for c in range(3) if c != [0, 1, 2, 0, 1][n]]
    assert not rest
    assert sorted(functions.values(functions.flatten(blocks))) == pytest.approx(sorted(expected))


@pytest.mark.parametrize("activation", [lm.ReLU(2), lm.ReLU(), lm.Square(), lm.LeakyReLU(0.2)])
def test_a_bias_of_the_first_layer_is_a_weight_of_a_constant_feature(
    activation: lm.ReLU | lm.Square | lm.LeakyReLU,
) -> None:
    """The same question asked two ways: with biases, or with a column of ones."""
    X = np.asarray(DATA.X)
    wide = lm.Dataset(np.hstack([X, np.ones((len(X), 1))]), DATA.y)
    plain = lm.HardMargin(lm.Network((3,), activation), wide)
    solved = lm.solve(plain, starts=2)
    biased = lm.HardMargin(lm.Network((3,), activation, bias="first"), DATA)
    for seed, distance in enumerate((0.0, 1e-9, 1e-6, 1e-2)):
        theta = plain.functions.flatten(solved.theta)
        turn = np.random.default_rng(seed).standard_normal(theta.size)
        theta = theta + distance * np.linalg.norm(theta) * turn / np.linalg.norm(turn)
        weights, outer = plain.functions.blocks(theta)
        own = lm.certify(plain, theta)
        other = lm.certify(biased, [weights[:, :2], weights[:, 2:], outer])
        # Bounds and births of units know the plain network only: weaker words may stand there.
        assert other.verdict in {own.verdict, lm.Verdict.KKT, lm.Verdict.UNDECIDED} or (
            own.verdict.stationary and other.verdict.stationary
        )
        if own.verdict is lm.Verdict.NOT_STATIONARY:
            assert other.verdict is own.verdict
        assert other.margin == pytest.approx(own.margin, rel=1e-12)
        assert other.stationarity == pytest.approx(own.stationarity, rel=1e-6, abs=1e-12)


def test_routes_of_networks_without_biases_are_not_taken_with_them() -> None:
    problem = lm.HardMargin(lm.Network((2,), lm.ReLU(), bias="first"), DATA)
    assert problem.predictor.kink_slope is None
    words = problem.explain()
    assert "fixed-pattern" not in words and "convex-concave" not in words
    assert lm.solve(problem, starts=1, seed=1).judgement is not None
