"""Fixed patterns for kinked networks of any depth: derivatives, closed forms, certified answers."""

from __future__ import annotations

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.backends import BackendName, backend
from lexmargin.backends.kinked.gated import gated_network
from lexmargin.backends.kinked.pattern_search import pattern_search
from lexmargin.errors import ParameterError, UnsupportedError
from lexmargin.formulations.start import random_theta, separating_theta
from lexmargin.margins import MarginFunctions
from lexmargin.run.profile_choice import choose_profile
from lexmargin.solution import Claim, Ran, SolverSettings


def problem(
    widths: tuple[int, ...], slope: float = 0.0, classes: int = 2, samples: int = 16, seed: int = 0
) -> lm.HardMargin:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((samples, 4))
    scores = np.maximum(X @ rng.standard_normal((4, 3)), 0.0) @ rng.standard_normal((3, classes))
    activation = lm.LeakyReLU(slope) if slope else lm.ReLU()
    if classes == 2:
        y = np.where(scores[:, 0] > np.median(scores[:, 0]), 1, -1)
        return lm.HardMargin(lm.Network(widths, activation), lm.Dataset(X, y))
    y = np.argmax(scores - np.median(scores, axis=0), axis=1)
    return lm.HardMargin(lm.Network(widths, activation, outputs=classes), lm.Dataset(X, y))


CASES = [
    ((5, 4), 0.0, 2),
    ((4, 4, 3), 0.0, 2),
    ((5, 4), 0.2, 2),
    ((5,), 0.0, 3),
    ((5, 4), 0.1, 3),
]


@pytest.mark.parametrize(("widths", "slope", "classes"), CASES)
def test_pieces_are_the_margin_functions_and_their_derivatives(
    widths: tuple[int, ...], slope: float, classes: int
) -> None:
    functions = problem(widths, slope, classes, samples=12).functions
    net, scale = gated_network(functions, slope)
    theta = np.random.default_rng(1).standard_normal(functions.size)
    f, z = net.evaluated(theta)
    np.testing.assert_allclose(f * scale, functions.values(theta), rtol=1e-13, atol=1e-13)
    rows = np.arange(f.size)
    pieces = net.pieces(theta, rows, net.gates(z, rows))
    np.testing.assert_allclose(pieces.values, f, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(pieces.rows * scale, functions.jacobian(theta), atol=1e-12)
    weights = np.random.default_rng(2).standard_normal(f.size)
    step = 1e-6
    numerical = np.array(
        [
            functions.vjp(theta + step * unit, weights)
            - functions.vjp(theta - step * unit, weights)
            for unit in np.eye(functions.size)
        ]
    )
    hessian = pieces.hessian(weights) * scale
    np.testing.assert_allclose(hessian, numerical / (2 * step), atol=1e-7)
    # ∂f/∂(output of a unit): Euler's identity layer by layer, Σ_j felt_j h_j = f.
    for felt, before in zip(pieces.felt, z, strict=True):
        h = np.where(before > 0, before, slope * before)[net.samples]
        np.testing.assert_allclose((felt * h).sum(axis=1), f, atol=1e-12)


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_one_sample_has_its_closed_form(depth: int, seed: int) -> None:
    """One path of equal norms c in every layer: c^L ‖x‖ = 1 and ½‖θ‖² = (L/2) ‖x‖^{-2/L}."""
    x = np.array([[3.0, -4.0, 12.0]])
    net = lm.Network((3,) * (depth - 1), lm.ReLU())
    stated = lm.HardMargin(net, lm.Dataset(x, [1], one_class=True))
    found = lm.solve(stated, solver="fixed-pattern", seed=seed, starts=1)
    assert found.claim is Claim.LOCALLY_OPTIMAL
    assert found.objective == pytest.approx(depth / 2 * 13.0 ** (-2.0 / depth), rel=1e-10)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("widths", "slope", "classes"), CASES)
def test_every_seed_ends_in_a_certified_point(
    widths: tuple[int, ...], slope: float, classes: int, seed: int
) -> None:
    stated = problem(widths, slope, classes)
    found = lm.solve(stated, seed=seed, starts=1)
    assert found.solver == "fixed-pattern"
    assert (found.ran, found.claim) == (Ran.FINISHED, Claim.LOCALLY_OPTIMAL)
    certificate = found.certificate
    assert certificate is not None
    assert certificate.verdict.stationary
    assert certificate.stationarity <= 1e-9
    assert certificate.complementarity <= 1e-9
    # Euler: Σ λ_n f_n = ‖θ‖²/L at margin 1.
    total = 2.0 * found.objective / (len(widths) + 1)
    assert found.multipliers.sum() == pytest.approx(total, rel=1e-8)


@pytest.mark.parametrize("seed", [0, 2, 3])
def test_searches_from_beside_the_answer_never_worsen_it(seed: int) -> None:
    stated = problem((5, 4))
    compiled = backend(BackendName.FIXED_PATTERN).compile(stated.program())
    begin, separates = separating_theta(
        stated.functions, random_theta(stated.functions, np.random.default_rng(seed))
    )
    assert separates
    values = stated.initial_values(begin, 1.0)
    sizes = []
    for shakes in (0, 1, 4):
        raw = compiled.solve(SolverSettings("nnls", {"shakes": shakes}), values)
        assert (raw.ran, raw.claim) == (Ran.FINISHED, Claim.LOCALLY_OPTIMAL)
        sizes.append(sum(float((block**2).sum()) for block in raw.values.values()))
    assert sizes[1] <= sizes[0] * (1 + 1e-12)
    assert sizes[2] <= sizes[1] * (1 + 1e-12)


def test_a_point_beside_the_answer_is_no_stationary_one() -> None:
    stated = problem((5, 4))
    found = lm.solve(stated, seed=0, starts=1)
    theta = stated.functions.flatten(list(found.theta))
    move = np.random.default_rng(0).standard_normal(theta.size)
    moved = theta + 1e-3 * np.linalg.norm(theta) * move / np.linalg.norm(move)
    beside = lm.certify(stated, moved)
    assert not beside.verdict.stationary or beside.stationarity > 1e-9


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("form", ["max", "min-norm"])
def test_margin_paths_have_the_direction_of_the_hard_margin(form: str, scale: float) -> None:
    plain = problem((4, 3))
    data = lm.Dataset(scale * plain.data.X, plain.data.y)
    gamma = None if form == "max" else 3.0 * scale
    path = lm.MarginPath(plain.predictor, data, rho=2.0, gamma=gamma)
    found = lm.solve(path, seed=0, starts=1)
    assert found.solver == "fixed-pattern"
    assert found.certificate is not None
    assert found.certificate.verdict.stationary
    assert found.certificate.stationarity <= 1e-9
    # Euler: Σ λ_n f_n = 2‖w‖²/α of the min-norm form, where every f_n with λ_n > 0 equals γ.
    theta = path.functions.flatten(list(found.theta))
    expected = 1.0 if gamma is None else 2.0 * 4.0 * float(theta @ theta) / 3.0 / gamma
    assert found.multipliers.sum() == pytest.approx(expected, rel=1e-8)


def test_steps_raise_the_margin_and_the_end_is_held_by_kinks() -> None:
    stated = problem((6,), seed=3)
    functions = stated.functions
    net, _ = gated_network(functions, 0.0)
    begin, separates = separating_theta(
        functions, random_theta(functions, np.random.default_rng(0))
    )
    assert separates

    def merit(theta: np.ndarray) -> float:
        return 0.5 * float(theta @ theta) / float(net.evaluated(theta)[0].min())

    values = [merit(pattern_search(net, begin, rounds=k).theta) for k in (1, 5, 20, 1000)]
    assert all(a >= b * (1 - 1e-9) for a, b in zip([merit(begin), *values], values, strict=False))
    end = pattern_search(net, begin)
    assert end.residual <= 1e-12
    certificate = lm.certify(stated, end.theta)
    assert certificate.verdict.stationary
    assert certificate.stationarity <= 1e-12
    # Slope 0 at the kinks alone does not see it.
    f, rows = functions.values(end.theta), functions.jacobian(end.theta)
    assert lm.certify(theta=end.theta, f=f, jacobian=rows, degree=2.0).stationarity > 1e-3


def test_a_start_that_does_not_separate_is_said_to_be_so() -> None:
    net, _ = gated_network(problem((4, 3)).functions, 0.0)
    found = pattern_search(net, np.zeros(4 * 4 + 12 + 3))
    assert not found.separates


def test_nothing_separates_two_classes_on_one_ray() -> None:
    data = lm.Dataset([[1.0, 0.0], [2.0, 0.0]], [1, -1])
    stated = lm.HardMargin(lm.Network((2, 2), lm.ReLU()), data)
    found = lm.solve(stated, starts=1)
    assert (found.ran, found.claim) == (Ran.FINISHED, Claim.LOCALLY_INFEASIBLE)
    assert found.judgement is None or not found.certificate.verdict.stationary


REFUSED: list[lm.Predictor] = [
    lm.Network((4, 4), lm.ReLU(power=2)),
    lm.Network((4,), lm.Square()),
    lm.Network(()),
    lm.DiagonalNetwork(2),
]


@pytest.mark.parametrize("predictor", REFUSED, ids=str)
def test_other_predictors_are_refused(predictor: lm.Predictor) -> None:
    stated = lm.HardMargin(predictor, problem((4, 3)).data)
    engine = backend(BackendName.FIXED_PATTERN)
    assert stated.functions.predictor.kink_slope is None
    assert not engine.suits(stated)
    with pytest.raises(UnsupportedError):
        engine.compile(stated.program())


def test_it_is_the_default_for_deep_networks_and_several_classes_only() -> None:
    library = lm.Library()
    assert choose_profile(problem((4, 3)), library).name == "fixed-pattern"
    assert choose_profile(problem((4,), classes=3), library).name == "fixed-pattern"
    assert choose_profile(problem((4,)), library).name == "convex-concave"
    stated = problem((4, 3))
    other = lm.HardMargin(stated.predictor, stated.data, norm=1)
    assert choose_profile(other, library).name != "fixed-pattern"


@pytest.mark.parametrize(
    ("option", "value"), [("round", 3), ("rounds", -1), ("attempts", 0.5), ("shakes", 1.5)]
)
def test_bad_options_are_named(option: str, value: float) -> None:
    stated = problem((4, 3))
    compiled = backend(BackendName.FIXED_PATTERN).compile(stated.program())
    begin = stated.initial_values(np.ones(stated.functions.size), 1.0)
    with pytest.raises(ParameterError):
        compiled.solve(SolverSettings("nnls", {option: value}), begin)


def test_a_time_limit_ends_it_with_what_was_reached() -> None:
    stated = problem((5, 4))
    compiled = backend(BackendName.FIXED_PATTERN).compile(stated.program())
    functions: MarginFunctions = stated.functions
    begin, _ = separating_theta(functions, random_theta(functions, np.random.default_rng(0)))
    values = stated.initial_values(begin, 1.0)
    raw = compiled.solve(SolverSettings("nnls", {}, time_limit=1e-6), values)
    assert (raw.ran, raw.claim) == (Ran.TIME_LIMIT, Claim.NOTHING)
    assert raw.has_values
