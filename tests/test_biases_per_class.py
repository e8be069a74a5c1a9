"""Linear scores with a bias per class, in every formulation, against CVXPY models of their own."""

from __future__ import annotations

import dataclasses

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp

import lexmargin as lm
from lexmargin.errors import LexmarginError, NotSeparableError, ParameterError, ReceiptError
from lexmargin.inputs.codec import written
from lexmargin.judge import certify
from lexmargin.judge.bounds.parts import Parts
from lexmargin.judge.proofs.exact_bias import exact_program
from lexmargin.judge.receipts.receipt_problem import predictor_from_json
from lexmargin.judge.verdict import Verdict
from lexmargin.ops.degree import HomogeneityKind
from lexmargin.predictors import Bias, BiasForm, Linear, Sum
from lexmargin.separation.gordan import verify_separability_of_rows
from lexmargin.separation.rows import margin_rows

THREE = lm.Dataset([[1.0], [2.0], [3.0]], [0, 1, 2])
FORMS = [form for form in BiasForm if form is not BiasForm.PLAIN]


def scores(form: BiasForm | str, classes: int = 3) -> Sum:
    return Sum([Linear(classes), Bias(form, classes)])


def blobs(seed: int, classes: int = 3, per_class: int = 5, d: int = 2) -> lm.Dataset:
    """Separable integers: clouds around far-apart centres that are away from the origin."""
    rng = np.random.default_rng(seed)
    centres = 12 * rng.permutation(np.eye(max(d, classes))[:classes, :d] * 2 - 1) + 20
    X = np.vstack([rng.integers(-3, 4, size=(per_class, d)) + centre for centre in centres])
    return lm.Dataset(X, np.repeat(np.arange(classes), per_class))


def margins_of(data: lm.Dataset, W: cp.Variable, b: cp.Expression | float) -> cp.Expression:
    rows = []
    for x, a in zip(data.X, data.y.tolist(), strict=True):
        for c in range(data.n_classes):
            if c != a:
                shift = 0.0 if isinstance(b, float) else b[a] - b[c]
                rows.append((W[a] - W[c]) @ x + shift)
    return cp.hstack(rows)


# -- the case three-classes-bias -------------------------------------------------------------------


def test_the_estimator_has_the_hard_margin_of_three_classes() -> None:
    fitted = lm.MarginClassifier(formulation="w-set").fit([[1.0], [2.0], [3.0]], [0, 1, 2])
    w, b = fitted.solution_.theta
    assert np.allclose(w.ravel(), [-2, 0, 2], atol=1e-7)
    bias = b[:, 0] ** 2 - b[:, 1] ** 2
    assert np.allclose(bias - bias[1], [3, 0, -5], atol=1e-6)
    assert fitted.solution_.objective == pytest.approx(8.0, rel=1e-9)
    assert fitted.certificate_.verdict is Verdict.GLOBAL
    assert fitted.predict([[0.0], [2.2], [9.0]]).tolist() == [0, 1, 2]


def test_the_default_estimator_separates_three_classes_on_a_line() -> None:
    X, y = [[1.0], [2.0], [3.0]], ["low", "mid", "top"]
    for formulation in ("hard-margin", "constrained-path"):
        fitted = lm.MarginClassifier(formulation=formulation).fit(X, y)
        assert fitted.score(X, y) == 1.0
        assert [block.shape for block in fitted.solution_.theta] == [(3, 1), (3, 1)]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_bias_has_the_same_hard_margin(form: BiasForm) -> None:
    problem = lm.WSet(scores(form), THREE)
    found = lm.solve(problem, starts=1)
    assert np.allclose(found.theta[0].ravel(), [-2, 0, 2], atol=1e-7)
    assert found.certificate.verdict is Verdict.GLOBAL
    proof = exact_program(problem.kkt(np.concatenate([b.ravel() for b in found.theta])))
    assert not isinstance(proof, str), proof
    assert proof.proved and proof.value == (8,)


# -- every formulation -----------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [1.0, 2.0, np.inf])
@pytest.mark.parametrize("seed", [0, 1])
def test_hard_margins_with_the_bias_in_the_norm(norm: float, seed: int) -> None:
    data = blobs(seed)
    W, b = cp.Variable((3, 2)), cp.Variable(3)
    size = cp.norm(cp.hstack([cp.vec(W, order="C"), b]), norm)
    expected = cp.Problem(cp.Minimize(size), [margins_of(data, W, b) >= 1]).solve("CLARABEL")
    predictor = scores("plain")
    hard = lm.solve(lm.HardMargin(predictor, data, norm=norm))
    assert hard.objective == pytest.approx(0.5 * expected**2, rel=1e-6)
    path = lm.solve(lm.MarginPath(predictor, data, rho=2.0, norm=norm))
    assert path.margin == pytest.approx(1.0 / expected, rel=1e-6)
    levels = lm.solve(lm.Lexicographic(predictor, data, norm=norm))
    assert levels.margin == pytest.approx(1.0 / expected, rel=1e-6)
    for found in (hard, path, levels):
        assert found.certificate.verdict is Verdict.GLOBAL


@pytest.mark.parametrize("seed", [0, 1])
def test_losses_with_a_bias_per_class(seed: int) -> None:
    data = blobs(seed)
    functions = lm.HardMargin(scores("plain"), data).functions
    rows = functions.jacobian(np.zeros(functions.size))
    strength = 0.3
    reference = minimize(
        lambda w: float(np.sum(np.exp(-rows @ w)) + strength * w @ w),
        np.zeros(functions.size),
        jac=lambda w: -np.exp(-rows @ w) @ rows + 2 * strength * w,
        method="BFGS",
        options={"gtol": 1e-9},
    )
    found = lm.solve(lm.RegularizationPath(scores("plain"), data, strength=strength))
    assert np.allclose(np.concatenate([b.ravel() for b in found.theta]), reference.x, atol=1e-5)
    rho = 3.0
    w = cp.Variable(functions.size)
    loss = cp.Problem(cp.Minimize(cp.log_sum_exp(-rows @ w)), [cp.norm(w, 2) <= rho])
    expected = loss.solve("CLARABEL")
    path = lm.solve(lm.ConstrainedPath(scores("plain"), data, rho=rho))
    theta = np.concatenate([b.ravel() for b in path.theta])
    assert logsumexp(-rho * rows @ theta) == pytest.approx(expected, abs=1e-6)
    assert path.certificate.verdict is Verdict.GLOBAL


@pytest.mark.parametrize("form", [BiasForm.TWO_SQUARES, BiasForm.SIGNED_SQUARE])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_free_biases_against_a_quadratic_program(form: BiasForm, seed: int) -> None:
    data = blobs(seed)
    W, b = cp.Variable((3, 2)), cp.Variable(3)
    feasible = [margins_of(data, W, b) >= 1]
    least = cp.Problem(cp.Minimize(cp.sum_squares(W)), feasible).solve("CLARABEL")
    found = lm.solve(lm.WSet(scores(form), data), starts=1)
    assert found.objective == pytest.approx(least, rel=1e-6)
    assert found.certificate.verdict is Verdict.GLOBAL
    gamma = 7.0
    cost = gamma**2 * cp.sum_squares(W) + gamma * cp.norm(b, 1)
    expected = cp.Problem(cp.Minimize(cost), feasible).solve("CLARABEL")
    scaled = lm.solve(lm.ScaledMargin(scores(form), data, gamma=gamma), starts=1)
    assert scaled.objective == pytest.approx(expected, rel=1e-6)
    assert scaled.certificate.verdict is Verdict.GLOBAL


@pytest.mark.parametrize("form", FORMS)
def test_inseparable_classes_come_with_their_proof(form: BiasForm) -> None:
    """x = 1, 3, 2 of the classes 0, 0, 1: no linear scores put the middle apart."""
    data = lm.Dataset([[1.0], [3.0], [2.0], [9.0]], [0, 0, 1, 2])
    for problem in (
        lm.WSet(scores(form), data),
        lm.ScaledMargin(scores(form), data, gamma=2.0),
    ):
        with pytest.raises(NotSeparableError) as caught:
            lm.solve(problem, starts=1)
        assert verify_separability_of_rows(margin_rows(data, bias=True), caught.value.proof)


# -- bounds that may not be too high ---------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
def test_no_multipliers_bound_more_than_the_optimum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = blobs(seed, per_class=3)
    W, b = cp.Variable((3, 2)), cp.Variable(3)
    feasible = [margins_of(data, W, b) >= 1]
    least = cp.Problem(cp.Minimize(cp.sum_squares(W)), feasible).solve("CLARABEL")
    tight = np.asarray(feasible[0].dual_value)
    problem = lm.WSet(scores("two-squares"), data)
    gamma = 5.0
    cost = gamma**2 * cp.sum_squares(W) + gamma * cp.norm(b, 1)
    cheapest = cp.Problem(cp.Minimize(cost), feasible).solve("CLARABEL")
    scaled = lm.ScaledMargin(scores("two-squares"), data, gamma=gamma)
    w = np.ones(problem.functions.size)
    for noise in (0.0, 1e-9, 1e-3, 0.3, 3.0):
        weights = tight * np.exp(noise * rng.normal(size=tight.size))
        weights = weights * rng.choice([1.0, 0.0], p=[0.9, 0.1], size=tight.size) ** (noise > 0.1)
        bound = Parts().prove(problem.kkt(w)[0], weights)
        assert noise > 0.1 or bound is not None
        assert bound is None or bound.value <= least * (1 + 1e-7)
        if bound is not None and noise <= 1e-9:
            assert bound.value >= least * (1 - 1e-5)
        # The costs of the record are divided by the largest, γ².
        other = Parts().prove(scaled.kkt(w)[0], weights)
        assert other is None or other.value <= cheapest / gamma**2 * (1 + 1e-7)


def test_a_longer_point_is_not_called_global() -> None:
    """From w = (-2, 0, 2): one more unit of slope, feasible with the bias of case, not least."""
    problem = lm.WSet(scores("two-squares"), THREE)
    bias = np.array([[3.0**0.5, 0], [0, 0], [0, 5.0**0.5]])
    best = [np.array([[-2.0], [0], [2]]), bias]
    assert certify(problem, best).verdict is Verdict.GLOBAL
    for w in ([-2.0, 0.0, 2.001], [-2.001, 0.0, 2.0], [-2.0, 0.01, 2.0]):
        moved = [np.array(w).reshape(3, 1), bias]
        assert not certify(problem, moved).certified


# -- the predictor ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", BiasForm)
def test_the_predictor_with_outputs(form: BiasForm) -> None:
    bias = Bias(form, 3)
    size = 2 if form is BiasForm.TWO_SQUARES else 1
    assert bias.shapes(5) == ((3, size),)
    assert bias.homogeneity(5).kind is HomogeneityKind.HOMOGENEOUS
    assert predictor_from_json(written(bias, exact=True)) == bias
    single = written(Bias(form), exact=True)
    assert "outputs" not in single and predictor_from_json(single) == Bias(form)
    for wrong in (0, 1, 2.5, "3"):
        with pytest.raises(ReceiptError):
            predictor_from_json({**single, "outputs": wrong})
    with pytest.raises(ParameterError):
        Bias(form, 0)
    with pytest.raises(LexmarginError):
        lm.HardMargin(Bias(form, 2), THREE)
    assert dataclasses.replace(bias, outputs=1) == Bias(form)


def test_scores_are_the_biases() -> None:
    X = lm.Dataset([[5.0], [6.0], [7.0]], [0, 1, 2])
    b = np.array([[2.0], [-3.0], [0.5]])
    expected = {
        BiasForm.PLAIN: [2.0, -3.0, 0.5],
        BiasForm.SQUARE: [4.0, 9.0, 0.25],
        BiasForm.SIGNED_SQUARE: [4.0, -9.0, 0.25],
    }
    for form, s in expected.items():
        values = lm.HardMargin(Bias(form, 3), X).functions.values(b.ravel())
        assert values.tolist() == [s[a] - s[c] for a in range(3) for c in range(3) if c != a]
    two = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
    s = [3.0, -9.0, 1.0]
    values = lm.HardMargin(Bias(BiasForm.TWO_SQUARES, 3), X).functions.values(two.ravel())
    assert values.tolist() == [s[a] - s[c] for a in range(3) for c in range(3) if c != a]
