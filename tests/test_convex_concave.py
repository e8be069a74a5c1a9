"""The convex-concave route: closed forms from every seed, Clarke steps, scales, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lexmargin as lm
from lexmargin.backends import BackendName, backend
from lexmargin.backends.kinked.relu_birth import newborns
from lexmargin.backends.kinked.relu_search import search
from lexmargin.backends.kinked.relu_subproblem import TwoLayer, solve_round
from lexmargin.errors import ParameterError, UnsupportedError
from lexmargin.judge.verdict import Verdict
from lexmargin.ops.base import FloatArray
from lexmargin.run.profile_choice import choose_profile
from lexmargin.solution import Claim, Ran, SolverSettings

pytestmark = pytest.mark.backend("clarabel")

XOR = TwoLayer(
    np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]]) / np.sqrt(2.0),
    np.array([1.0, 1.0, -1.0, -1.0]),
    0.0,
)

# problem, objective in closed form (cases.md)
CLOSED = [
    ("xor", 2 * 2**0.5),
    ("xor-leaky-0-1", 2 * 2**0.5 / 0.9),
    ("xor-leaky-0-5", 4 * 2**0.5),
    ("dead-neuron", 2.0),
    ("symmetric-leaky-0", 2**0.5),
    ("symmetric-leaky-0-1", 2**0.5 / 1.1),
    ("symmetric-leaky-0-5", 2**0.5 / 1.5),
    ("two-samples-angle-119", 1 / np.cos(np.deg2rad(59.5))),
    ("two-samples-angle-121", 2.0),
]


@pytest.mark.parametrize("seed", [1])
@pytest.mark.parametrize(("name", "objective"), CLOSED)
def test_the_default_reaches_the_closed_form(name: str, objective: float, seed: int) -> None:
    solution = lm.solve(lm.load(name), seed=seed)
    assert solution.solver == "convex-concave"
    assert (solution.ran, solution.claim) == (Ran.FINISHED, Claim.LOCALLY_OPTIMAL)
    assert solution.objective == pytest.approx(objective, rel=1e-9)
    assert solution.certificate is not None
    assert solution.certificate.verdict is Verdict.GLOBAL
    assert solution.certificate.stationarity <= 1e-12


def test_a_width_that_cannot_separate_is_said_to_be_so() -> None:
    solution = lm.solve(lm.load("xor-width-3"))
    assert (solution.ran, solution.claim) == (Ran.FINISHED, Claim.LOCALLY_INFEASIBLE)
    assert solution.certificate is not None
    assert solution.certificate.verdict is Verdict.NOT_SEPARATING


def test_without_exchanges_the_dead_neuron_is_a_trap_and_a_birth_leaves_it() -> None:
    """The bisector with a dead unit: value 1/cos 75°, birth 1/(2 cos 75°) at a sample, then 2."""
    angle = np.deg2rad(150.0)
    data = TwoLayer(np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]]), np.ones(2), 0.0)
    middle = np.array([[np.cos(angle / 2), np.sin(angle / 2)], [0.0, 0.0]])
    trapped = search(data, middle, np.ones(2), exchanges=0)
    half = 1.0 / (2.0 * np.cos(angle / 2))
    assert np.linalg.norm(trapped.v, axis=1).sum() == pytest.approx(2.0 * half, rel=1e-9)
    assert trapped.birth == pytest.approx(half, rel=1e-6)
    freed = search(data, middle, np.ones(2))
    assert np.linalg.norm(freed.v, axis=1).sum() == pytest.approx(2.0, rel=1e-9)
    assert freed.birth <= 1.0 + 1e-6


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("form", ["max", "min-norm"])
def test_margin_paths_have_the_same_direction_at_every_scale(form: str, scale: float) -> None:
    data = lm.Dataset(scale * XOR.X, XOR.y.astype(int))
    net = lm.Network((4,), lm.ReLU())
    path = lm.MarginPath(net, data, rho=2.0, gamma=None if form == "max" else 3.0 * scale)
    solution = lm.solve(path)
    assert solution.solver == "convex-concave"
    assert solution.certificate is not None
    assert solution.certificate.verdict is Verdict.GLOBAL
    # ‖x_n‖ = 1: Σ ‖v_j‖ = 4 at margin 1, so that γ*(1) = 1/8.
    assert solution.margin == pytest.approx(scale / 8.0, rel=1e-8)
    # Euler: Σ λ_n f_n = 2‖w‖²/α of the min-norm form, where every f_n with λ_n > 0 equals γ.
    theta = path.functions.flatten(list(solution.theta))
    expected = 1.0 if path.gamma is None else float(4.0 * theta @ theta) / path.gamma
    assert solution.multipliers.sum() == pytest.approx(expected, rel=1e-8)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), slope=st.sampled_from([0.0, 0.2]))
def test_rounds_are_monotone_and_end_in_a_clarke_point(seed: int, slope: float) -> None:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((12, 3))
    X /= np.linalg.norm(X, axis=1).max()
    data = TwoLayer(X, np.where(rng.random(12) < 0.5, 1.0, -1.0), slope)
    signs = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    v = np.array(
        [X[rng.choice(np.flatnonzero(data.y == s))] if s in data.y else X[0] for s in signs]
    )
    last = np.inf
    found = solve_round(data, signs, data.pre_activations(v) > 0, 1e4)
    for _ in range(6):
        following = solve_round(data, signs, data.pre_activations(found.v) > 0, 1e4)
        # The price is paid on every shortfall of the majorised problem, not only the largest.
        short = np.maximum(0.0, 1.0 - data.values(following.v, signs))
        total = following.objective + 1e4 * float(short.sum())
        assert following.solved
        assert total <= last * (1 + 1e-6)
        last, found = total, following
    answer = search(data, v, signs)
    if answer.separates:
        assert answer.residual <= 1e-9
        assert data.values(answer.v, answer.signs).min() == pytest.approx(1.0, abs=1e-9)
        # Σ λ_n equals the objective: f is homogeneous of degree 1 in v.
        size = float(np.linalg.norm(answer.v, axis=1).sum())
        assert answer.multipliers.sum() == pytest.approx(size, rel=1e-7)


def test_births_are_attained_values() -> None:
    multipliers = np.full(4, 1.3)
    for newborn in newborns(XOR, multipliers, 4):
        z = XOR.X @ newborn.u
        assert np.linalg.norm(newborn.u) == pytest.approx(1.0)
        value = newborn.sign * float((multipliers * XOR.y) @ np.maximum(z, 0.0))
        assert newborn.value == pytest.approx(value)
    assert newborns(XOR, np.zeros(4), 4) == []


REFUSED: list[lm.Network] = [
    lm.Network((4,), lm.ReLU(power=2)),
    lm.Network((4, 4), lm.ReLU()),
    lm.Network((4,), lm.Square()),
]


@pytest.mark.parametrize("network", REFUSED, ids=str)
def test_other_predictors_are_refused(network: lm.Network) -> None:
    problem = lm.HardMargin(network, lm.Dataset(XOR.X, XOR.y.astype(int)))
    engine = backend(BackendName.CONVEX_CONCAVE)
    assert not engine.suits(problem)
    with pytest.raises(UnsupportedError):
        engine.compile(problem.program())


def test_other_norms_are_refused_and_another_solver_can_be_named() -> None:
    net = lm.Network((4,), lm.ReLU())
    data = lm.Dataset(XOR.X, XOR.y.astype(int))
    engine = backend(BackendName.CONVEX_CONCAVE)
    with pytest.raises(UnsupportedError):
        engine.compile(lm.HardMargin(net, data, norm=1).program())
    assert choose_profile(lm.HardMargin(net, data), lm.Library()).name == "convex-concave"
    named = lm.solve(lm.HardMargin(net, data), solver="ipopt-casadi", starts=1)
    assert named.solver == "ipopt-casadi"


@pytest.mark.parametrize(("option", "value"), [("exchange", 3), ("rounds", -1), ("rounds", 0.5)])
def test_bad_options_are_named(option: str, value: float) -> None:
    problem = lm.HardMargin(lm.Network((4,), lm.ReLU()), lm.Dataset(XOR.X, XOR.y.astype(int)))
    compiled = backend(BackendName.CONVEX_CONCAVE).compile(problem.program())
    start = problem.initial_values(np.ones(problem.functions.size), 1.0)
    with pytest.raises(ParameterError):
        compiled.solve(SolverSettings("clarabel", {option: value}), start)


def test_a_deadline_in_the_past_ends_the_search() -> None:
    theta: FloatArray = np.vstack([XOR.X[:2], XOR.X[2:]])
    answer = search(XOR, theta, np.array([1.0, 1.0, -1.0, -1.0]), deadline=0.0)
    assert answer.out_of_time
