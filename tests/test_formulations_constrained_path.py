"""eq. 5: closed forms to ten digits, levels beyond float64, the three losses, what is refused."""

from __future__ import annotations

import math
import warnings
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy.special import expit

import lexmargin as lm
from constrained_cases import drive, margin_data
from exact_leximin import leximin_margins
from lexmargin.backends import BackendName, backend
from lexmargin.backends.losses.constrained_linear import constrained_linear
from lexmargin.data.dataset import Dataset
from lexmargin.errors import InvisibleLevelWarning, ParameterError, UnsupportedError
from lexmargin.formulations import ConstrainedPath, MarginPath
from lexmargin.formulations.loss_path import softmax
from lexmargin.losses import Loss, SampleLoss
from lexmargin.ops.base import FloatArray
from lexmargin.predictors import Linear, Log, Network, ReLU

AXES = [[1.0, 0.0], [0.0, 0.5]]
TRAP = [[1.0, 1.0], [3.0, 1.0], [1.0, 2.0]]


def axes_theta(rho: float) -> list[float]:
    second = (1.0 + math.log(0.5) / rho) / 1.5
    return [1.0 - second, second]


def trap_theta(rho: float) -> list[float]:
    second = (1.0 + math.log(0.5) / (2.0 * rho)) / 1.5
    return [1.0 - second, second]


@pytest.mark.parametrize("rho", [10.0, 100.0, 1000.0, 1e4])
def test_two_axes_closed_form(rho: float) -> None:
    theta, _ = drive(ConstrainedPath(Linear(), margin_data(AXES), rho, 1), None, BackendName.NEWTON)
    np.testing.assert_allclose(theta, axes_theta(rho), rtol=0, atol=1e-13)
    # γ*(ρ) - γ(ρ, θ_c) = -a ln a/(1+a), at every ρ; γ*(ρ) = ρ a/(1+a).
    slack = rho / 3.0 - float((np.array(AXES) @ theta).min()) * rho
    assert slack == pytest.approx(0.2310490602, abs=1e-9)


@pytest.mark.parametrize("rho", [5.0, 10.0, 20.0, 40.0, 100.0, 1000.0])
def test_the_third_decimal_hidden_66_nats_down(rho: float) -> None:
    point = constrained_linear(np.array(TRAP), rho, 1.0)
    np.testing.assert_allclose(point.w / rho, trap_theta(rho), rtol=0, atol=1e-13)
    assert point.converged and point.free == 0
    assert point.nats == pytest.approx(rho * 2 / 3, rel=0.3)


@pytest.mark.parametrize(
    ("rows", "norm", "theta"),
    [
        ([[1, 1, 1], [2, 3, 3], [4, 5, 6]], 1.0, [0, 0, 1]),
        ([[1, 1], [2, 3]], 1.0, [0, 1]),
        ([[1, 0], [3, 1]], np.inf, [1, 1]),
        ([[1, 0], [1, 1e-6]], np.inf, [1, 1]),
    ],
    ids=["three-levels-l1", "two-levels-l1", "two-levels-linf", "resolution-ladder"],
)
@pytest.mark.parametrize("rho", [10.0, 100.0, 1000.0])
def test_levels_are_peeled(rows: ArrayLike, norm: float, theta: list[float], rho: float) -> None:
    point = constrained_linear(np.array(rows, dtype=float), rho, norm)
    np.testing.assert_allclose(point.w / rho, theta, rtol=0, atol=1e-13)
    assert point.converged


def exact_second(rho: int) -> Decimal:
    """Bisect d/db Σ exp(-f_n) for TRAP at w = (ρ - b, b) with 2000 digits."""
    low, high = Decimal(0), Decimal(rho)
    for _ in range(60):
        b = (low + high) / 2
        slope = 2 * (-(3 * rho - 2 * b)).exp() - (-(rho + b)).exp()
        low, high = (low, b) if slope > 0 else (b, high)
    return low / rho


@pytest.mark.parametrize("rho", [7, 300])
def test_against_arithmetic_of_500_digits(rho: int) -> None:
    with localcontext() as context:
        context.prec = 500
        expected = float(exact_second(rho))
    assert constrained_linear(np.array(TRAP), rho, 1.0).w[1] / rho == pytest.approx(
        expected, abs=1e-12
    )


def kkt_violation(rows: FloatArray, w: FloatArray, rho: float, norm: float) -> float:
    """Return ``1 - g·w/(ρ‖g‖_*)``, g the gradient of the log-sum-exp: 0 at the optimum."""
    gradient = softmax(-(rows @ w)) @ rows
    dual = float(np.linalg.norm(gradient, {1.0: np.inf, 2.0: 2.0, np.inf: 1.0}[norm]))
    return (dual - float(gradient @ w) / rho) / dual if dual > 1e-9 else 0.0


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), norm=st.sampled_from([1.0, 2.0, np.inf]))
def test_random_rows_reach_the_duality_gap_0(seed: int, norm: float) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((int(rng.integers(2, 12)), int(rng.integers(1, 6))))
    rho = float(10 ** rng.uniform(-1, 2))
    point = constrained_linear(rows, rho, norm)
    assert point.converged
    assert np.linalg.norm(point.w, norm) <= rho * (1 + 1e-12)
    assert kkt_violation(rows, point.w, rho, norm) < 1e-9
    moved = point.w + 1e-3 * rho * rng.standard_normal(point.w.size)
    moved *= min(1.0, rho / float(np.linalg.norm(moved, norm)))
    assert kkt_violation(rows, moved, rho, norm) >= 0.0


def test_the_gap_sees_a_slightly_wrong_answer() -> None:
    rows = np.array(AXES)
    assert kkt_violation(rows, 10 * np.array(axes_theta(10)), 10, 1.0) < 1e-12
    assert kkt_violation(rows, 10 * np.array(axes_theta(10)) + [1e-4, -1e-4], 10, 1.0) > 1e-5


def test_data_without_a_separator_stay_inside_the_ball() -> None:
    rows = np.array([[1.0, 0.0], [-1.0, 0.5], [0.0, -1.0]])
    for norm in (1.0, 2.0, np.inf):
        point = constrained_linear(rows, 50.0, norm)
        assert np.linalg.norm(point.w) < 10
        np.testing.assert_allclose(np.exp(-rows @ point.w) @ rows, 0.0, atol=1e-10)


@pytest.mark.parametrize("loss", [Loss.LOGISTIC, Loss.CROSS_ENTROPY])
@pytest.mark.parametrize(
    ("name", "rho"),
    [
        *((BackendName.NEWTON, rho) for rho in (10.0, 20.0, 30.0)),
        *((BackendName.CVXPY, rho) for rho in (1.0, 10.0, 20.0, 30.0)),
        *((BackendName.CASADI, rho) for rho in (1.0, 10.0, 20.0, 30.0)),
    ],
)
def test_the_logistic_loss_is_not_the_exponential_one(
    rho: float, loss: Loss, name: BackendName
) -> None:
    problem = ConstrainedPath(Linear(), margin_data(AXES), rho, 1, loss)
    theta, answers = drive(problem, [0.5, 0.5], name)
    # Stationarity on the simplex: both columns have the same slope, unless one is 0.
    slopes = expit(-rho * np.array(AXES) @ theta) @ np.array(AXES)
    tolerance = 1e-4 if name is BackendName.CVXPY else 1e-7
    if theta[1] > 1e-6:
        assert slopes[0] / slopes[1] == pytest.approx(1.0, abs=max(tolerance, tolerance * rho))
    else:
        assert slopes[0] > slopes[1]
    assert len(answers) >= 2
    own = constrained_linear(np.array(AXES), rho, 1.0, SampleLoss(Loss.LOGISTIC))
    np.testing.assert_allclose(theta, own.w / rho, atol=1e-4 if name is BackendName.CVXPY else 1e-7)


def test_beyond_36_nats_the_logistic_loss_needs_no_second_stage() -> None:
    problem = ConstrainedPath(Linear(), margin_data(AXES), 200.0, 1, "logistic")  # type: ignore[arg-type]
    _, answers = drive(problem, None, BackendName.NEWTON)
    assert len(answers) == 1


@pytest.mark.parametrize("rho", [1.0, 10.0, 1e3])
def test_log_predictor_keeps_its_own_direction(rho: float) -> None:
    # Example 2: θ_c ∝ (1, 2) at every ρ.
    problem = ConstrainedPath(Log(), margin_data(np.diag([1, 0.125])), rho)
    theta, _ = drive(problem, [1.0, 1.0])
    assert theta[1] / theta[0] == pytest.approx(2.0, rel=1e-7)
    assert problem.angle(theta) < 1e-7


def test_relu_squared_along_the_path() -> None:
    rng = np.random.default_rng(3)
    teacher = rng.standard_normal((4, 3))
    outer = np.array([1.0, 1.0, -1.0, -1.0])
    X = rng.standard_normal((20, 3))
    score = np.maximum(X @ teacher.T, 0) ** 2 @ outer
    data = Dataset(X[np.abs(score) > 0.05], np.sign(score[np.abs(score) > 0.05]))
    theta = np.concatenate([teacher.ravel(), outer])
    for rho in np.geomspace(12.0, 400.0, 10):
        problem = ConstrainedPath(Network((4,), ReLU(2.0)), data, rho)
        theta, _ = drive(problem, theta)
        assert problem.angle(theta) < 1e-6
        assert np.linalg.norm(theta) == pytest.approx(1.0, abs=1e-7)
    assert problem.functions.values(400.0 * theta).min() > 1e5
    assert problem.angle(theta + 1e-3 * rng.standard_normal(theta.size)) > 1e-5


def test_loss_weights_are_the_softmax_and_the_angle_is_a_number() -> None:
    problem = ConstrainedPath(Linear(), margin_data(AXES), 3.0)
    theta = np.array([0.6, 0.8])
    np.testing.assert_allclose(
        problem.loss_weights(theta), softmax(-3.0 * np.array(AXES) @ theta), rtol=1e-15
    )
    (found,) = problem.kkt(theta)
    gradient = problem.loss_weights(theta) @ found.jacobian
    cosine = float(gradient @ theta) / float(np.linalg.norm(gradient))
    assert problem.angle(theta) == pytest.approx(math.acos(cosine), rel=1e-12)
    assert found.level is None


def test_weights_survive_where_the_loss_underflows() -> None:
    problem = ConstrainedPath(Linear(), margin_data(AXES), 1e4, 1)
    theta = np.array(axes_theta(1e4))
    np.testing.assert_allclose(problem.loss_weights(theta), [1 / 3, 2 / 3], rtol=1e-9)
    assert problem.objective(theta) == pytest.approx(-1e4 / 3, rel=1e-3)


def test_what_a_plain_method_cannot_see_is_refused_by_name() -> None:
    problem = ConstrainedPath(Linear(), margin_data(TRAP), 100.0, 1)
    wrong = np.array([0.3, 0.7])
    assert list(problem.invisible(wrong)) == [1, 2]
    assert problem.undetermined(wrong) == 1
    with pytest.warns(InvisibleLevelWarning, match="1 dimension"):
        problem.warn_invisible(wrong)
    visible = ConstrainedPath(Linear(), margin_data(TRAP), 5.0, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        visible.warn_invisible(np.array(trap_theta(5.0)))


def test_prints_its_equation() -> None:
    problem = ConstrainedPath(Linear(), margin_data(AXES), 10.0, np.inf)
    text = str(problem.program())
    assert "eq. 5" in text and "log Σ_n exp(-f_n(w))" in text and "‖w‖_∞ ≤ ρ" in text
    assert "ρ = 10" in text
    net = ConstrainedPath(Network((2,), ReLU(2.0)), margin_data(AXES), 10.0)
    assert "‖w‖² ≤ ρ²" in str(net.program())


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"rho": 0.0}, "rho"),
        ({"rho": math.inf}, "rho"),
        ({"norm": 0.5}, "norm"),
        ({"loss": "hinge"}, "loss"),
    ],
)
def test_bad_input(arguments: dict[str, object], match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        ConstrainedPath(Linear(), margin_data(AXES), **arguments)  # type: ignore[arg-type]


def test_the_newton_backend_refuses_what_it_does_not_solve() -> None:
    engine = backend(BackendName.NEWTON)
    for problem in (
        ConstrainedPath(Log(), margin_data(AXES), 1.0, 1),
        ConstrainedPath(Network((2,), ReLU()), margin_data(AXES), 1.0, 1),
        MarginPath(Network((2,), ReLU()), margin_data(AXES), 1.0),
    ):
        with pytest.raises(UnsupportedError):
            engine.compile(problem.program())
    with pytest.raises(ParameterError):
        constrained_linear(np.array(AXES), -1.0, 1.0)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), norm=st.sampled_from([1, np.inf]))
def test_the_limit_is_the_exact_lexicographic_point(seed: int, norm: float) -> None:
    # Theorem 4 holds in full on polyhedral balls; level k decides with weights e^{-ρ(m_k - m_1)}.
    rng = np.random.default_rng(seed)
    rows = rng.integers(-1, 4, (int(rng.integers(2, 6)), int(rng.integers(2, 4))))
    rho = 1e5
    point = constrained_linear(rows.astype(float), rho, float(norm))
    if float((rows @ point.w).min()) <= 1e-3 * rho:
        return  # not separable: the reference asks for a positive margin
    expected = [float(m) for m in leximin_margins(rows.tolist(), norm)]
    assert point.converged
    np.testing.assert_allclose(np.sort(rows @ point.w / rho), np.sort(expected), atol=50 / rho)


UNFELT = "sample(s) weigh less than 1e-07 of the heaviest: ε feels no level of theirs"


@pytest.mark.parametrize(("rho", "count"), [(4.0, 0), (6.0, 0), (10.0, 2), (20.0, 2)])
def test_a_second_level_below_the_tolerance_is_said_to_be_unfelt(rho: float, count: int) -> None:
    """Levels 1/2 and 5/6: the second weighs `e^{-ρ²/3}`, which is 1e-7 at ρ = 6.95."""
    data = lm.Dataset([[1.0, 1.0], [3.0, 1.0], [1.0, 2.0]], [1, 1, 1], one_class=True)
    problem = lm.ConstrainedPath(lm.DiagonalNetwork(2), data, rho=rho)
    # The limit: u_i² = v_i² = β_i with ‖β‖₁ = 1/2.
    theta = np.sqrt(np.array([1.0, 2.0, 1.0, 2.0]) / 6.0)
    levels = np.sort(lm.HardMargin(lm.DiagonalNetwork(2), data).functions.values(theta))
    np.testing.assert_allclose(levels, [1 / 2, 5 / 6, 5 / 6], atol=1e-12)
    reasons = lm.solve(problem, starts=1).certificate.reasons
    assert [f"{count} {UNFELT}"] * bool(count) == [why for why in reasons if UNFELT in why]


def test_a_proof_needs_no_word_of_what_is_unfelt() -> None:
    data = lm.Dataset([[1.0, 0.0], [0.0, 9.0]], [1, 1], one_class=True)
    found = lm.solve(lm.ConstrainedPath(lm.Linear(), data, rho=20.0)).certificate
    assert found.verdict is lm.Verdict.GLOBAL and not any(UNFELT in why for why in found.reasons)


@pytest.mark.parametrize("columns", [40, 41, 400])
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_wide_data_have_their_minimiser_in_the_span_of_the_rows(columns: int, loss: str) -> None:
    """Five samples: from 41 columns on the span alone is searched; far ones are spread 1e±6."""
    rng = np.random.default_rng(columns)
    X = rng.standard_normal((5, columns)) * 10.0 ** rng.uniform(-3, 3, columns)
    problem = ConstrainedPath(Linear(), Dataset(X, [1, -1, 1, -1, 1]), rho=1e-2, loss=loss)
    found = lm.solve(problem)
    assert found.certificate.verdict is lm.Verdict.GLOBAL and found.solver == "newton"
    w = found.direction
    inside = np.linalg.lstsq(X.T, w, rcond=None)[0]
    np.testing.assert_allclose(X.T @ inside, w, atol=1e-9)


def test_two_opposite_samples_leave_what_is_orthogonal_to_them_free() -> None:
    row = np.ones((1, 20))
    found = constrained_linear(np.vstack([row, -row]), 3.0)
    assert found.converged and np.allclose(found.w @ row.T, 0.0) and found.free == 19
