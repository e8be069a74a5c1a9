"""§2.2: the Lambert function, the jump of degree 3, the continuous path of degree 2."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import lambertw

from constrained_cases import drive, margin_data
from lexmargin.backends import BackendName
from lexmargin.errors import ParameterError
from lexmargin.formulations import Jump, RegularizationPath, bisect_jump, jumps
from lexmargin.losses import Loss
from lexmargin.ops.base import FloatArray
from lexmargin.predictors import Linear, Polynomial, Predictor

ONE = margin_data([[1.0]])
PRODUCT_3 = Polynomial(((1, 1, 1),))
PRODUCT_2 = Polynomial(((1, 1),))


@pytest.mark.parametrize(
    ("strength", "w"), [(1e-1, 1.7455280027), (1e-3, 5.2496028524), (1e-6, 11.3833580861)]
)
def test_one_sample_is_the_lambert_function(strength: float, w: float) -> None:
    theta, _ = drive(RegularizationPath(Linear(), ONE, strength / 2), [1.0])
    assert theta[0] == pytest.approx(w, abs=1e-9)
    convex, _ = drive(RegularizationPath(Linear(), ONE, strength / 2), None, BackendName.CVXPY)
    assert convex[0] == pytest.approx(w, abs=1e-3)


@pytest.mark.parametrize("strength", [1e-12, 1e-40, 1e-120])
def test_strengths_far_below_rounding(strength: float) -> None:
    problem = RegularizationPath(Linear(), ONE, strength / 2)
    theta, _ = drive(problem, [1.0])
    assert theta[0] == pytest.approx(float(lambertw(1 / strength).real), rel=1e-9)
    assert math.isfinite(problem.log_objective(theta))


@pytest.mark.parametrize("loss", [Loss.LOGISTIC, Loss.CROSS_ENTROPY])
@pytest.mark.parametrize("strength", [1e-1, 1e-3, 1e-6, 1e-30])
def test_logistic_stationarity(strength: float, loss: Loss) -> None:
    theta, _ = drive(RegularizationPath(Linear(), ONE, strength / 2, loss=loss), [1.0])
    w = float(theta[0])
    # μ w = 1/(1+e^w)
    assert math.log(strength * w) == pytest.approx(-math.log1p(math.exp(w)), abs=1e-8)


@pytest.mark.parametrize(("norm", "power"), [(1.0, 1.0), (np.inf, 2.0), (2.0, 3.0), (3.0, 2.0)])
def test_other_norms_and_powers(norm: float, power: float) -> None:
    problem = RegularizationPath(Linear(), ONE, 1e-2 / power, norm, power)
    theta, _ = drive(problem, [1.0], BackendName.CVXPY)
    w = float(theta[0])
    assert math.exp(-w) == pytest.approx(1e-2 * w ** (power - 1), rel=1e-3)
    nearby = [problem.objective(np.array([w + step])) for step in (-0.05, 0.05)]
    assert problem.objective(theta) < min(nearby)


def scanned(predictor: Predictor, strength: float) -> FloatArray:
    problem = RegularizationPath(predictor, ONE, strength / 2)
    found = [drive(problem, start)[0] for start in problem.starts(2)]
    return np.abs(min(found, key=problem.log_objective))


def test_the_path_of_degree_3_jumps_and_the_jump_is_located() -> None:
    # s = .91365537 at μ = .42613870: norms in (0, 1.58249752) are never visited.
    strengths = [0.6, 0.5, 0.45, 0.42, 0.38]
    found = jumps([(mu, scanned(PRODUCT_3, mu)) for mu in strengths])
    assert [(jump.above, jump.below) for jump in found] == [(0.45, 0.42)]
    sharp = bisect_jump(found[0], lambda mu: scanned(PRODUCT_3, mu), tolerance=1e-7)
    assert math.sqrt(sharp.above * sharp.below) == pytest.approx(0.42613870, abs=1e-7)
    np.testing.assert_allclose(sharp.after, 0.91365537, atol=1e-5)
    assert sharp.distance == pytest.approx(1.58249752, abs=1e-5)
    assert np.linalg.norm(sharp.before) < 1e-6


def test_both_sides_of_the_jump_are_local_minima() -> None:
    problem = RegularizationPath(PRODUCT_3, ONE, 0.2)
    zero, *others = problem.starts(2)
    stayed, _ = drive(problem, zero)
    moved, _ = drive(problem, others[0])
    assert np.all(stayed == 0) and np.linalg.norm(moved) > 1.5
    assert problem.log_objective(moved) < problem.log_objective(stayed)


def test_the_path_of_degree_2_is_continuous() -> None:
    strengths = np.geomspace(1.5, 0.1, 15)
    path = [(float(mu), scanned(PRODUCT_2, float(mu))) for mu in strengths]
    assert jumps(path) == ()
    for mu, theta in path:
        assert theta[0] == pytest.approx(math.sqrt(max(0.0, math.log(1 / mu))), abs=1e-4)


def test_a_steep_step_is_not_a_jump_once_refined() -> None:
    coarse = Jump(1.0, 0.5, np.zeros(1), np.ones(1), 1.0)
    fine = bisect_jump(coarse, lambda mu: np.array([min(1.0, 50 * (1.0 - mu))]))
    assert fine.distance < 1e-6


def test_prints_its_convention() -> None:
    text = str(RegularizationPath(Linear(), ONE, 0.5).program())
    assert "§2.2" in text and "+ ‖θ‖²" in text and "exp(" in text


def test_objective_is_the_loss_plus_the_penalty() -> None:
    problem = RegularizationPath(Linear(), ONE, 0.1, power=3.0)
    assert problem.objective(np.array([2.0])) == pytest.approx(math.exp(-2) + 0.1 * 8)
    assert problem.log_objective(np.array([0.0])) == 0.0


@pytest.mark.parametrize(
    "arguments",
    [
        {"strength": 0.0},
        {"strength": -1.0},
        {"strength": math.nan},
        {"strength": 1.0, "power": 0.5},
        {"strength": 1.0, "norm": 0.5},
        {"strength": 1.0, "loss": "square"},
    ],
)
def test_bad_input(arguments: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        RegularizationPath(Linear(), ONE, **arguments)  # type: ignore[arg-type]
