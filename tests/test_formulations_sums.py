"""Sums of homogeneous parts: eq. 14 up to γ = 1e20, eq. 13 with its three outcomes."""

from __future__ import annotations

import math

import cvxpy as cp
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.svm import SVC

from constrained_cases import drive, margin_data
from lexmargin.backends import BackendName
from lexmargin.data.dataset import Dataset
from lexmargin.errors import DegreeError, ParameterError
from lexmargin.formulations import ScaledMargin, WSet
from lexmargin.predictors import Bias, BiasForm, Linear, Log, Member, Polynomial, Predictor, Sum

FREE_BIAS = Sum([Linear(), Bias(BiasForm.TWO_SQUARES)])
THREE = Dataset(np.array([[3.0, 0.0], [1.0, 1.0]]), np.array([1, -1]))
BIAS_START = [0.8, -0.4, 0.5, 1.2]

DEPTHS_1_2 = Sum([Member(Linear(), (0,)), Member(Polynomial(((1, 1),)), (1,))])
DEPTHS_2_3 = Sum([Member(Polynomial(((1, 1),)), (0,)), Member(Polynomial(((1, 1, 1),)), (1,))])
ONES = margin_data([[1.0, 1.0]])

CASCADE = Sum(
    [
        Member(Polynomial(((3, 0), (2, 1))), (0, 1)),
        Member(Polynomial(((4, 0), (0, 4))), (2, 3)),
        Member(Polynomial(((30,),)), (4,)),
    ]
)
CASCADE_DATA = margin_data([[1, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, -1, 1, 2, 0], [0, 0, 2, 0, 1]])
WITHOUT_C = [1.0, 0.0, 1.0, 0.1, 0.01]
WITH_C = [1.0, -0.1, 0.1, 0.9, 1.0]


@pytest.mark.parametrize("gamma", [1.0, 10.0, 1e3, 1e6, 1e12, 1e20])
def test_free_bias_closed_form(gamma: float) -> None:
    problem = ScaledMargin(FREE_BIAS, THREE, gamma)
    w, answers = drive(problem, BIAS_START)
    expected = [0.8 - 0.3 / gamma, -0.4 - 0.6 / gamma]
    np.testing.assert_allclose(w[:2], expected, rtol=0, atol=1e-7)
    assert w[2] ** 2 - w[3] ** 2 == pytest.approx(-1.4 + 0.9 / gamma, abs=1e-7)
    (found,) = problem.kkt(w)
    multipliers = problem.margin_multipliers(answers, 1.0) / gamma**2
    target = found.jacobian.T @ multipliers
    np.testing.assert_allclose(target, found.target, atol=1e-7)
    assert found.level == 1.0


@pytest.mark.parametrize("gamma", [1.5, 13.0, 50.5, 1e5, 1e10, 1e20])
def test_depth_1_plus_2(gamma: float) -> None:
    # γ*(ρ) = (ρ²+1)/2, so the cost ρ² is 2γ - 1, and w_1 = 1/γ.
    problem = ScaledMargin(DEPTHS_1_2, ONES, gamma)
    w, _ = drive(problem, [0.3, 1.0, 1.1])
    assert problem.objective(w) == pytest.approx(2 * gamma - 1, rel=1e-7)
    assert w[0] * gamma == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("gamma", [3.0, 27 / 8, 3.5])
def test_depth_2_plus_3_has_two_branches(gamma: float) -> None:
    problem = ScaledMargin(DEPTHS_2_3, ONES, gamma)
    shallow, _ = drive(problem, [1, 1, 0.1, 0.1, 0.1])
    deep, _ = drive(problem, [0.1, 0.1, 1, 1, 1])
    assert problem.objective(shallow) == pytest.approx(2 * gamma, rel=1e-7)
    assert problem.objective(deep) == pytest.approx(3 * gamma ** (2 / 3), rel=1e-7)
    assert (problem.objective(shallow) < problem.objective(deep)) == (gamma < 27 / 8) or (
        gamma == 27 / 8
    )


@pytest.mark.parametrize(
    ("gamma", "start", "cost", "digits"),
    [
        (1e4, WITHOUT_C, 564.159, 5e-4),
        (1e4, WITH_C, 564.622, 5e-4),
        (1e6, WITH_C, 10996.18, 5e-3),
        (1e6, WITHOUT_C, 11000.0, 5e-3),
    ],
)
def test_the_cascade_breaks(gamma: float, start: list[float], cost: float, digits: float) -> None:
    problem = ScaledMargin(CASCADE, CASCADE_DATA, gamma)
    w, _ = drive(problem, start)
    assert problem.objective(w) == pytest.approx(cost, abs=digits)


def test_the_sequential_w_set_of_the_cascade() -> None:
    # The lexicographic norms are (1, 1, 0) at p = 1, c = 0.
    problem = WSet(CASCADE, CASCADE_DATA, 3)
    w, answers = drive(problem, WITHOUT_C)
    assert problem.evidence(answers, 1.0).attained
    np.testing.assert_allclose(problem.level_values(w), [1, 1, 0], atol=1e-3)
    # The last program restores w_1 alone; the levels are what their own programs found.
    before = problem.theta(answers[:-1], 1.0)
    np.testing.assert_allclose(problem.level_values(before), [1, 1, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("form", "start", "w_1", "bias", "value"),
    [
        (BiasForm.TWO_SQUARES, BIAS_START, [0.8, -0.4], -1.4, 4 / 5),
        (BiasForm.SIGNED_SQUARE, [0.8, -0.4, -1.2], [0.8, -0.4], -1.4, 4 / 5),
        (BiasForm.SQUARE, [0.4, -1.4, 0.1], [1 / 3, -4 / 3], 0.0, 17 / 9),
    ],
)
@pytest.mark.parametrize("levels", [1, 2])
def test_bias_three_answers(
    form: BiasForm,
    start: list[float],
    w_1: list[float],
    bias: float,
    value: float,
    levels: int,
) -> None:
    problem = WSet(Sum([Linear(), Bias(form)]), THREE, levels)
    w, answers = drive(problem, start)
    np.testing.assert_allclose(w[:2], w_1, atol=1e-7 if levels == 1 else 1e-6)
    found = {
        BiasForm.TWO_SQUARES: lambda b: b[0] ** 2 - b[1] ** 2,
        BiasForm.SIGNED_SQUARE: lambda b: b[0] * abs(b[0]),
        BiasForm.SQUARE: lambda b: b[0] ** 2,
    }[form](w[2:])
    assert found == pytest.approx(bias, abs=1e-7)
    assert problem.objective(w) == pytest.approx(value, abs=1e-7)
    evidence = problem.evidence(answers, 1.0)
    assert evidence.attained and evidence.discarded == 0
    multipliers = problem.margin_multipliers(answers, 1.0)
    kkt = problem.kkt(w)[0]
    np.testing.assert_allclose(kkt.jacobian.T @ multipliers, kkt.target, atol=1e-6)
    # Euler: Σλ = ‖w_1‖²/α_1.
    assert multipliers.sum() == pytest.approx(value, abs=1e-6)


def test_free_bias_svm_on_real_data() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    X, y = (X - X.mean(axis=0)) / X.std(axis=0), 2 * y - 1
    w, b = cp.Variable(X.shape[1]), cp.Variable()
    tight = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
    cp.Problem(cp.Minimize(cp.sum_squares(w)), [cp.multiply(y, X @ w + b) >= 1]).solve(
        solver="CLARABEL", **tight
    )
    problem = WSet(FREE_BIAS, Dataset(X, y))
    start = np.concatenate([0.5 * w.value + 0.3, [1.0, 2.0]])
    found, answers = drive(problem, start, unit=8.0)
    size = float(np.linalg.norm(w.value))
    np.testing.assert_allclose(found[:-2] / size, w.value / size, rtol=0, atol=1e-6)
    assert found[-2] ** 2 - found[-1] ** 2 == pytest.approx(float(b.value), rel=1e-6)
    assert problem.evidence(answers, 8.0).attained
    svm = SVC(kernel="linear", C=1e10)
    svm.fit(X, y)
    direction = svm.coef_[0] / np.linalg.norm(svm.coef_[0])
    # LIBSVM's own gap is 4e-4 and more by default.
    assert direction @ found[:-2] / np.linalg.norm(found[:-2]) > 1 - 1e-2


def test_a_discarded_part_is_0_and_proved_so() -> None:
    for levels in (1, 2):
        problem = WSet(DEPTHS_1_2, ONES, levels)
        w, answers = drive(problem, [0.3, 1.0, 1.1])
        evidence = problem.evidence(answers, 1.0)
        assert evidence.attained and evidence.discarded == 1
        # w_1(γ) = 1/γ, so ‖w_1‖² = 1/γ².
        np.testing.assert_allclose(evidence.values, [g**-2 for g in evidence.gammas], rtol=1e-4)
        assert w[0] == 0.0 and problem.functions.values(w).min() >= 1 - 1e-8
        np.testing.assert_allclose(np.abs(w[1:]), 1.0, atol=1e-6)
        assert np.all(problem.margin_multipliers(answers, 1.0) == 0)


def test_an_infimum_that_is_not_attained_is_said_so() -> None:
    # f_1 = pq >= 1 and f_2 = w - p² >= 1: inf w = 1 as p → 0, q = 1/p → ∞.
    predictor = Sum([Member(Linear(), (0,)), Member(Polynomial(((2, 0), (1, 1))), (1, 2))])
    problem = WSet(predictor, Dataset(np.array([[0, 0, 1.0], [-1, 1, 0]]), np.array([1, -1])))
    _, answers = drive(problem, [1.5, 0.7, 1.5])
    evidence = problem.evidence(answers, 1.0)
    assert not evidence.attained and len(answers) == len(evidence.gammas)
    # p⁴ = 1/(2γ) to first order: the others grow like γ^{1/2}.
    assert evidence.growth == pytest.approx(0.5, abs=0.01)
    assert evidence.values[-1] == pytest.approx((1 + 1 / math.sqrt(2e5)) ** 2, rel=1e-3)
    assert list(evidence.values) == sorted(evidence.values, reverse=True)


def test_one_part_is_the_hard_margin() -> None:
    problem = WSet(Linear(), margin_data([[1, 0], [0, 2]]))
    for name in (BackendName.CASADI, BackendName.CVXPY):
        w, answers = drive(problem, [1.0, 1.0], name)
        np.testing.assert_allclose(w, [1.0, 0.5], atol=1e-6)
        multipliers = problem.margin_multipliers(answers, 1.0)
        np.testing.assert_allclose(multipliers, [1.0, 0.25], atol=1e-5)
    assert problem.evidence(answers, 1.0).attained


@pytest.mark.parametrize("size", [2.0**-20, 1e-3, 1.0, 1e4, 2.0**20])
@pytest.mark.parametrize("unit", [1.0, None])
def test_the_w_set_does_not_depend_on_the_scale_of_the_data(
    size: float, unit: float | None
) -> None:
    problem = WSet(FREE_BIAS, Dataset(THREE.X * size, THREE.y))
    start = np.array(BIAS_START) / [size, size, 1, 1]
    w, answers = drive(problem, start, unit=unit or 2.0 ** round(math.log2(size)))
    assert problem.evidence(answers, 1.0).attained
    np.testing.assert_allclose(w[:2] * size, [0.8, -0.4], atol=1e-7)
    assert w[2] ** 2 - w[3] ** 2 == pytest.approx(-1.4, abs=1e-6)


@pytest.mark.parametrize("unit", [2.0**-20, 2.0**20])
def test_the_unit_of_margins_changes_nothing(unit: float) -> None:
    problem = ScaledMargin(FREE_BIAS, THREE, 100.0)
    w, _ = drive(problem, BIAS_START, unit=unit)
    np.testing.assert_allclose(w[:2], [0.797, -0.406], atol=1e-7)


def test_prints_its_equation() -> None:
    text = str(ScaledMargin(FREE_BIAS, THREE, 100.0).program())
    assert "eq. 14" in text and "‖w_1‖²" in text and "f_n(w) ≥ 1" in text
    text = str(WSet(FREE_BIAS, THREE).program())
    assert "eq. 13" in text and "minimize  ‖w_1‖²" in text


@pytest.mark.parametrize("gamma", [0.0, -1.0, math.inf, math.nan])
def test_gamma_must_be_positive(gamma: float) -> None:
    with pytest.raises(ParameterError, match="gamma"):
        ScaledMargin(FREE_BIAS, THREE, gamma)


@pytest.mark.parametrize("levels", [0, -1, 3, 1.5, True])
def test_levels_count_the_parts(levels: object) -> None:
    with pytest.raises(ParameterError, match="levels"):
        WSet(FREE_BIAS, THREE, levels)  # type: ignore[arg-type]


@pytest.mark.parametrize("predictor", [Log(), Polynomial(((1, 0), (1, 1)))])
def test_parts_without_degrees_are_refused(predictor: Predictor) -> None:
    with pytest.raises(DegreeError, match=r"eq\. 10"):
        ScaledMargin(predictor, THREE, 10.0)
    with pytest.raises(DegreeError, match=r"eq\. 10"):
        WSet(predictor, THREE)
