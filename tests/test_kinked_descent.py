"""Eq. 5 of ReLU networks of power 1: a quick answer, at least as good as a general solver's."""

from __future__ import annotations

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.backends.losses.kinked_descent import kinked_descent
from lexmargin.ops.base import FloatArray


def blobs(count: int, d: int) -> lm.Dataset:
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    rows = rng.standard_normal((count, d))
    rows[:, :2] += 3.0 * np.array([[1.0, 0.0], [-0.5, 0.87], [-0.5, -0.87]])[labels]
    return lm.Dataset(rows, labels)


def log_loss(problem: lm.ConstrainedPath, theta: FloatArray) -> float:
    f = problem.functions.values(problem.rho_value * theta)
    return float(np.log(np.exp(-(f - f.min())).sum()) - f.min())


@pytest.mark.parametrize(("count", "d"), [(27, 10), (90, 3)])
def test_three_classes_end_where_no_step_is_better(count: int, d: int) -> None:
    """N·d = 270: a general solver ends after 10 CPU seconds at log L = -44.61 and -0.48.

    The answer may lie on a kink, where one gradient decides nothing: no word is then given, and
    none that the point is not stationary. Small steps do not lower its loss by more than 1e-6.
    """
    problem = lm.ConstrainedPath(lm.Network((4,), lm.ReLU(), outputs=3), blobs(count, d), rho=10.0)
    found = lm.solve(problem)
    assert found.solver == "newton" and found.certificate is not None
    assert found.certificate.certified or found.certificate.verdict is lm.Verdict.UNDECIDED
    theta = problem.functions.flatten(found.theta)
    assert np.linalg.norm(theta) <= 1.0 + 1e-12
    least = log_loss(problem, theta)
    assert least < (-44.7 if d == 10 else -1.2)
    rng = np.random.default_rng(1)
    for length in (1e-6, 1e-5, 1e-4):
        for _ in range(100):
            beside = theta + length * rng.standard_normal(theta.size)
            beside = beside / np.linalg.norm(beside)
            assert log_loss(problem, beside) >= least - 1e-5


def test_a_smooth_point_is_certified() -> None:
    """One unit, all samples on its side: the path is that of θ_1 θ_2 x, away from every kink."""
    data = lm.Dataset([[1.0, 0.2], [2.0, -0.1], [1.5, 0.5]], [1, 1, 1], one_class=True)
    problem = lm.ConstrainedPath(lm.Network((1,), lm.ReLU()), data, rho=3.0)
    found = lm.solve(problem)
    assert found.certificate is not None and found.certificate.verdict is lm.Verdict.KKT
    assert found.certificate.stationarity is not None and found.certificate.stationarity <= 1e-12


def test_a_slightly_turned_point_is_not_called_converged() -> None:
    """On a kink the Newton steps have no say: what comes back is where the descent ended."""
    problem = lm.ConstrainedPath(lm.Network((4,), lm.ReLU(), outputs=3), blobs(27, 10), rho=10.0)
    start = np.random.default_rng(3).standard_normal(problem.functions.size)
    point = kinked_descent(problem.functions, 10.0, start)
    assert np.linalg.norm(point.theta) == pytest.approx(1.0, abs=1e-14)
    assert not point.converged
