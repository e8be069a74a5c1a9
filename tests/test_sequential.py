"""Quadratic programs in sequence: they go down, end at KKT points, and say where they are cheap."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.backends import backend
from lexmargin.formulations.start import random_theta, separating_theta
from lexmargin.judge.verdict import Verdict
from lexmargin.ops.base import FloatArray
from lexmargin.polish.augmented import augmented_lagrangian
from lexmargin.polish.polish import settled
from lexmargin.polish.sequential import descended, small_hessian
from lexmargin.run.profile_choice import choose_profile
from lexmargin.shelf.library import Library


def network(activation: lm.ReLU | lm.Square, samples: int, seed: int) -> lm.HardMargin:
    """Labels of a teacher with 2 units, 6 inputs, 8 units."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((samples, 6))
    z = X @ rng.standard_normal((6, 2))
    z = z if isinstance(activation, lm.Square) else np.maximum(z, 0.0)
    y = np.where(z**2 @ np.array([1.0, -1.0]) > 0, 1, -1)
    return lm.HardMargin(lm.Network((8,), activation), lm.Dataset(X, y))


def diagonal(samples: int, seed: int) -> lm.HardMargin:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((samples, 12))
    return lm.HardMargin(lm.DiagonalNetwork(3), lm.Dataset(X, np.where(X[:, :3].sum(1) > 0, 1, -1)))


CASES = [
    network(lm.Square(), 60, 0),
    network(lm.ReLU(2.0), 60, 1),
    network(lm.ReLU(3.0), 40, 2),
    diagonal(40, 3),
]


def separating(problem: lm.HardMargin) -> FloatArray:
    functions = problem.functions
    for seed in range(20):
        drawn = random_theta(functions, np.random.default_rng(seed))
        theta, found = separating_theta(functions, drawn)
        if found:
            return theta * float(functions.values(theta).min()) ** (-1.0 / problem.degree)
    pytest.fail("no start separates")


@pytest.mark.parametrize("problem", CASES)
def test_from_a_separating_point_they_go_down_to_a_kkt_point(problem: lm.HardMargin) -> None:
    functions, start = problem.functions, separating(problem)
    costs = [0.5 * float(start @ start)]
    for steps in (1, 3, 10, 200):
        place = descended(functions, start, np.zeros(functions.count), steps)
        assert functions.values(place.w).min() == pytest.approx(1.0, rel=1e-12)
        assert np.allclose(place.f, functions.values(place.w), rtol=1e-12)
        costs.append(place.cost)
    assert all(after <= before * (1 + 1e-12) for before, after in itertools.pairwise(costs))
    assert costs[-1] < costs[0]
    assert np.all(place.multipliers >= 0.0)
    gap = np.abs((place.f - 1.0)[place.multipliers > 0.0]).max()
    misfit = np.linalg.norm(place.w - place.multipliers @ functions.jacobian(place.w))
    assert max(gap, misfit / np.linalg.norm(place.w)) <= 1e-10
    certificate = lm.certify(problem, place.w)
    assert certificate.verdict.stationary


def test_equal_samples_and_a_point_that_does_not_separate() -> None:
    problem = CASES[1]
    X, y = problem.data.X, problem.data.y
    twice = lm.HardMargin(problem.predictor, lm.Dataset(np.vstack([X, X]), np.concatenate([y, y])))
    start = separating(problem)
    once = descended(problem.functions, start, np.zeros(len(y)), 200)
    again = descended(twice.functions, start, np.zeros(2 * len(y)), 200)
    assert again.cost == pytest.approx(once.cost, rel=1e-8)
    nowhere = descended(problem.functions, -start, np.zeros(len(y)), 5)
    assert not np.isfinite(nowhere.cost)


def test_they_are_for_small_smooth_networks_whose_hessians_have_few_colours() -> None:
    def of(predictor: lm.Predictor, inputs: int) -> bool:
        X = np.random.default_rng(0).standard_normal((20, inputs))
        return small_hessian(lm.HardMargin(predictor, lm.Dataset(X, np.sign(X[:, 0]))).functions)

    assert of(lm.Network((20,), lm.ReLU(2.0)), 9) and of(lm.DiagonalNetwork(3), 60)
    assert not of(lm.Network((20,), lm.ReLU()), 9)
    assert not of(lm.Network((20,), lm.ReLU(2.0)), 49)
    assert not of(lm.Network((10, 8), lm.ReLU(2.0)), 9)


def test_rounds_that_swing_between_two_points_are_ended() -> None:
    """μ is too small for the curvature here: 80 rounds of L-BFGS swing and arrive nowhere."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 9))
    scores = np.maximum(X @ rng.standard_normal((9, 2)), 0.0) ** 2 @ np.array([1.0, -1.0])
    data = lm.Dataset(X, np.where(scores > 0, 1, -1))
    problem = lm.HardMargin(lm.Network((20,), lm.ReLU(power=2)), data)
    start = separating(problem)
    ended = settled(
        problem.functions, augmented_lagrangian(problem.functions, start, np.zeros(300))
    )
    assert ended.converged and ended.residual <= 1e-12 and ended.rounds <= 30


def test_a_start_need_not_separate_where_they_follow() -> None:
    rng = np.random.default_rng(5)
    X = rng.standard_normal((150, 9))
    z = X @ rng.standard_normal((9, 2))
    data = lm.Dataset(X, np.where(z**2 @ np.array([1.0, -1.0]) > 0, 1, -1))
    problem = lm.HardMargin(lm.Network((15,), lm.Square()), data)
    profile = choose_profile(problem, Library())
    assert profile.name == "augmented-lagrangian"
    assert backend(profile.backend).starts_anywhere(problem)
    solution = lm.solve(problem)
    assert solution.certificate is not None
    assert solution.certificate.verdict in (Verdict.STRICT_LOCAL, Verdict.KKT)
    assert solution.certificate.stationarity <= 1e-12
