"""Invariances: what must not change an answer does not change it (issue: 'Must show')."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lexmargin as lm
from lexmargin.ops.base import FloatArray
from lexmargin.solution import Solution

CONVEX = 1e-7
NONCONVEX = 1e-9

Rows = tuple[FloatArray, FloatArray]


@cache
def _samples() -> Rows:
    """A separable draw with a margin, ten samples in three dimensions."""
    rng = np.random.default_rng(7)
    X = rng.standard_normal((10, 3))
    y = np.where(X @ np.array([1.0, -2.0, 0.5]) > 0, 1.0, -1.0)
    return X + 0.3 * y[:, None] * np.array([1.0, -2.0, 0.5]), y


def _linear(X: FloatArray, y: FloatArray) -> Solution:
    return lm.solve(lm.HardMargin(lm.Linear(), lm.Dataset(X, y.astype(int))), "clarabel")


def _network(X: FloatArray, y: FloatArray, start: FloatArray, *, polish: bool = True) -> Solution:
    predictor = lm.Network(widths=(3,), activation=lm.ReLU(power=2))
    problem = lm.HardMargin(predictor, lm.Dataset(X, y.astype(int)))
    return lm.solve(problem, "ipopt", start=start, polish=polish)


@cache
def _start() -> FloatArray:
    X, y = _samples()
    predictor = lm.Network(widths=(3,), activation=lm.ReLU(power=2))
    problem = lm.HardMargin(predictor, lm.Dataset(X, y.astype(int)))
    from lexmargin.formulations.start import random_theta, separating_theta

    for seed in range(20):
        rng = np.random.default_rng(seed)
        theta, separates = separating_theta(problem.functions, random_theta(problem.functions, rng))
        if separates:
            return theta
    raise AssertionError("no start separates")


@cache
def _linear_answer() -> Solution:
    return _linear(*_samples())


@cache
def _network_answer() -> Solution:
    return _network(*_samples(), _start())


def _verdict(solution: Solution) -> str:
    assert solution.certificate is not None
    return solution.certificate.verdict.value


def _same(found: Solution, wanted: Solution, tolerance: float) -> None:
    assert _verdict(found) == _verdict(wanted)
    assert float(np.linalg.norm(found.direction - wanted.direction)) <= tolerance


def test_the_answers_compared_are_answers() -> None:
    for solution in (_linear_answer(), _network_answer()):
        assert solution.certificate is not None and solution.certificate.certified
    assert _verdict(_linear_answer()) == "GLOBAL"


@pytest.mark.parametrize("k", range(-40, 41, 10))
def test_linear_scaling_by_powers_of_two(k: int) -> None:
    X, y = _samples()
    found = _linear(X * 2.0**k, y)
    _same(found, _linear_answer(), CONVEX)
    assert found.margin == pytest.approx(_linear_answer().margin * 2.0**k, rel=CONVEX)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(k=st.integers(-40, 40))
def test_linear_scaling_by_any_power_of_two(k: int) -> None:
    X, y = _samples()
    _same(_linear(X * 2.0**k, y), _linear_answer(), CONVEX)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(order=st.permutations(range(10)))
def test_linear_permutation_of_samples(order: list[int]) -> None:
    X, y = _samples()
    found = _linear(X[order], y[order])
    _same(found, _linear_answer(), CONVEX)
    assert found.margins == pytest.approx(_linear_answer().margins[order], abs=1e-6)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(copies=st.lists(st.integers(0, 9), min_size=1, max_size=10))
def test_linear_duplication_of_samples(copies: list[int]) -> None:
    X, y = _samples()
    chosen = [*range(10), *copies]
    _same(_linear(X[chosen], y[chosen]), _linear_answer(), CONVEX)


def _rotation(seed: int) -> FloatArray:
    matrix = np.random.default_rng(seed).standard_normal((3, 3))
    q, r = np.linalg.qr(matrix)
    return np.asarray(q * np.sign(np.diag(r)))


@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_linear_rotation_of_coordinates(seed: int) -> None:
    X, y = _samples()
    Q = _rotation(seed)
    found = _linear(X @ Q.T, y)
    assert _verdict(found) == "GLOBAL"
    assert float(np.linalg.norm(Q.T @ found.direction - _linear_answer().direction)) <= CONVEX


def test_the_measure_would_see_a_turn() -> None:
    """A rotation by 1e-6 is seen: the bound of the tests above is a bound."""
    angle = 1e-6
    turn = np.eye(3)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    turned = turn @ _linear_answer().direction
    assert float(np.linalg.norm(turned - _linear_answer().direction)) > CONVEX


def _moved_start(change: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """The start with the first layer (3 neurons, 3 inputs) changed neuron by neuron."""
    theta = _start().copy()
    first = theta[:9].reshape(3, 3)
    theta[:9] = change(first).reshape(-1)
    return theta


@pytest.mark.backend("pyomo", "casadi", "cyipopt")
@pytest.mark.parametrize("polish", [False, True])
@pytest.mark.parametrize("k", range(-40, 41, 10))
def test_network_scaling_by_powers_of_two(k: int, polish: bool) -> None:
    X, y = _samples()
    wanted = _network(X, y, _start(), polish=polish)
    _same(_network(X * 2.0**k, y, _start(), polish=polish), wanted, NONCONVEX)


@pytest.mark.backend("pyomo", "casadi", "cyipopt")
@pytest.mark.parametrize("seed", range(4))
def test_network_permutation_of_samples(seed: int) -> None:
    X, y = _samples()
    order = np.random.default_rng(seed).permutation(10)
    _same(_network(X[order], y[order], _start()), _network_answer(), CONVEX)


@pytest.mark.backend("pyomo", "casadi", "cyipopt")
@pytest.mark.parametrize("copies", [[0], [3, 3, 8], list(range(10))])
def test_network_duplication_of_samples(copies: list[int]) -> None:
    X, y = _samples()
    chosen = [*range(10), *copies]
    _same(_network(X[chosen], y[chosen], _start()), _network_answer(), CONVEX)


@pytest.mark.backend("pyomo", "casadi", "cyipopt")
@pytest.mark.parametrize("seed", range(4))
def test_network_rotation_of_coordinates(seed: int) -> None:
    """Rotated inputs, and a start whose first layer is rotated with them."""
    X, y = _samples()
    Q = _rotation(seed)
    found = _network(X @ Q.T, y, _moved_start(lambda W: W @ Q.T))
    back = found.direction.copy()
    back[:9] = (back[:9].reshape(3, 3) @ Q).reshape(-1)
    assert _verdict(found) == _verdict(_network_answer())
    assert float(np.linalg.norm(back - _network_answer().direction)) <= CONVEX
