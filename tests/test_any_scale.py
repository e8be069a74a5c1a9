"""Convex problems from any start and at any scale: weak duality judges every answer here.

The gaps of this file share no code with the toolkit; the closed forms stand beside their numbers.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

import lexmargin as lm
from constrained_cases import margin_data
from lexmargin import estimator
from lexmargin.backends.linear.constraint_generation import hard_margin_linear
from lexmargin.backends.linear.round_margin import round_margin
from lexmargin.backends.linear.signed_rows import signed_rows
from lexmargin.backends.losses.constrained_linear import constrained_linear
from lexmargin.backends.losses.penalised import penalised_linear
from lexmargin.errors import NotSeparableError
from lexmargin.estimator import MarginClassifier
from lexmargin.losses import Loss, SampleLoss
from lexmargin.ops.base import FloatArray

BIASED = lm.Sum([lm.Linear(), lm.Bias("plain")])
XOR = lm.Dataset([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]], [0, 1, 1, 0])
LENGTHS = [(3.4, 9.1, 9.9), (0.0024, -0.0019, -0.0028), (0.0108, 0.0034, 0.0083), (6, 2.6, -12.9)]
NORMS = (1.0, 1.3, 2.0, 3.0, np.inf)


def dual(p: float) -> float:
    return np.inf if p == 1.0 else 1.0 if p == np.inf else p / (p - 1.0)


def loss_and_pull(
    rows: FloatArray, w: FloatArray, loss: Loss, group: int
) -> tuple[float, FloatArray]:
    """Return log L and -∇L/L, written as sums of e^{-f}."""
    f = (rows @ w).reshape(-1, group if loss is Loss.CROSS_ENTROPY else 1)
    odds = np.exp(-f)
    if loss is Loss.EXPONENTIAL:
        total, weights = float(odds.sum()), odds
    else:
        against = odds.sum(axis=1, keepdims=True)
        total, weights = float(np.log1p(against).sum()), odds / (1.0 + against)
    return math.log(total), (weights.reshape(-1) / total) @ rows


def ball_gap(
    rows: FloatArray, w: FloatArray, rho: float, p: float, loss: Loss, group: int
) -> float:
    """Return a bound on ``1 - L*/L`` by convexity of L on the ball."""
    _, pull = loss_and_pull(rows, w, loss, group)
    return rho * float(np.linalg.norm(pull, dual(p))) - float(pull @ w)


def instance(rng: np.random.Generator) -> tuple[FloatArray, int]:
    """Return rows of two to four classes, separable or not, and C - 1."""
    classes, count, size = (int(rng.integers(*r)) for r in ((2, 5), (2, 25), (1, 5)))
    X = rng.standard_normal((count, size))
    labels = rng.integers(classes, size=count)
    X = X + rng.choice([0.0, 1.0, 3.0]) * rng.standard_normal((classes, size))[labels]
    if rng.random() < 0.3:
        X = np.round(2.0 * X)
    rows = [
        np.kron(np.eye(classes)[label] - np.eye(classes)[other], x)
        for x, label in zip(X, labels, strict=True)
        for other in range(classes)
        if other != label
    ]
    if classes == 2:
        return X * (2.0 * labels[:, None] - 1.0), 1
    return np.array(rows), classes - 1


# -- eq. 5 -----------------------------------------------------------------------------------------


def test_overlapping_classes_have_the_minimiser_of_the_closed_form() -> None:
    """A score of ±1 at x = 0, 1, 2 by symmetry: w = 0, the odds of the middle class are 2 to 1."""
    data = lm.Dataset([[0.0], [1.0], [2.0]], [0, 1, 0])
    found = lm.solve(lm.ConstrainedPath(BIASED, data, rho=10, loss="logistic"))
    assert found.objective == pytest.approx(math.log(2 * math.log(1.5) + math.log(3)), abs=1e-10)
    assert found.objective == pytest.approx(0.6468636871, abs=1e-10)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), p=st.sampled_from(NORMS), loss=st.sampled_from(list(Loss)))
def test_every_loss_in_every_norm_ends_with_a_gap(seed: int, p: float, loss: Loss) -> None:
    rng = np.random.default_rng(seed)
    rows, group = instance(rng)
    # Margins that this file's plain exponentials hold.
    rho = float(10 ** rng.uniform(-1, 2)) / float(np.abs(rows).max())
    point = constrained_linear(rows, rho, p, SampleLoss(loss, group + 1))
    assert point.converged
    assert np.linalg.norm(point.w, p) <= rho * (1 + 1e-12)
    assert ball_gap(rows, point.w, rho, p, loss, group) <= 1e-10
    aside = point.w + 1e-3 * rho * rng.standard_normal(point.w.size)
    aside *= min(1.0, rho / float(np.linalg.norm(aside, p)))
    value = loss_and_pull(rows, point.w, loss, group)[0]
    assert loss_and_pull(rows, aside, loss, group)[0] >= value - 1e-12


def test_the_gap_of_this_file_sees_a_slightly_wrong_answer() -> None:
    rows = np.array([[1.0, 0.2], [-0.5, 1.0], [0.3, -1.0]])
    point = constrained_linear(rows, 5.0, 2.0, SampleLoss(Loss.LOGISTIC))
    assert ball_gap(rows, point.w, 5.0, 2.0, Loss.LOGISTIC, 1) <= 1e-12
    assert ball_gap(rows, point.w + np.array([1e-4, 0.0]), 5.0, 2.0, Loss.LOGISTIC, 1) > 1e-7


@pytest.mark.parametrize("p", NORMS)
def test_rows_of_very_different_length(p: float) -> None:
    rows = np.array(LENGTHS)
    point = constrained_linear(rows, 1e3, p)
    assert point.converged
    assert ball_gap(rows, point.w, 1e3, p, Loss.EXPONENTIAL, 1) <= 1e-10
    # What the Euclidean problem was shown to reach; ℓ1's ball lies inside it.
    assert point.log_loss <= (-2.4722 if p == 1.0 else -2.4876)


@pytest.mark.parametrize("loss", [Loss.EXPONENTIAL, Loss.LOGISTIC])
@pytest.mark.parametrize("p", NORMS)
@pytest.mark.parametrize("spread", [1e-12, 1e-6, 1e6, 1e12])
def test_the_answer_on_data_times_s_is_that_at_rho_times_s(
    spread: float, p: float, loss: Loss
) -> None:
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((12, 3)) + 0.3
    # A power of two, so that the rows themselves are the same numbers.
    s = 2.0 ** round(math.log2(spread))
    one = constrained_linear(rows, 7.0, p, SampleLoss(loss))
    other = constrained_linear(rows * s, 7.0 / s, p, SampleLoss(loss))
    np.testing.assert_array_equal(other.w * s, one.w)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), p=st.sampled_from((2.0, 3.0)))
def test_columns_of_very_different_size(seed: int, p: float) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((15, 4)) * 10.0 ** rng.uniform(-4, 4, 4)
    rho = 100.0 / float(np.abs(rows).max()) * 10 ** rng.uniform(0, 4)
    point = constrained_linear(rows, rho, p)
    assert point.converged


@pytest.mark.parametrize("loss", list(Loss))
@pytest.mark.parametrize("norm", [1, 1.5, 2, 3, "inf"])
@pytest.mark.parametrize("predictor", [lm.Linear(), BIASED], ids=["linear", "bias"])
def test_the_origin_may_be_the_answer(loss: Loss, norm: float, predictor: lm.Sum) -> None:
    """Σ z_n = 0: θ = 0 and log L = log N; log(N ln 2) for the other losses."""
    found = lm.solve(lm.ConstrainedPath(predictor, XOR, rho=10, loss=loss, norm=norm))
    each = 1.0 if loss is Loss.EXPONENTIAL else math.log(2)
    assert found.objective == pytest.approx(math.log(4 * each), abs=1e-14)
    assert not np.any(np.concatenate([block.reshape(-1) for block in found.theta]))


# -- the regularization path -----------------------------------------------------------------------


def penalty_gap(
    rows: FloatArray, w: FloatArray, mu: float, p: float, q: float, loss: Loss, group: int
) -> float:
    """Return ``(R(w) + R*(g) - g·w)/(L + R)``, g = -∇L, R = μ‖·‖^q (Fenchel)."""
    log_total, pull = loss_and_pull(rows, w, loss, group)
    m, size = mu * math.exp(-log_total), float(np.linalg.norm(w, p))
    slope = float(np.linalg.norm(pull, dual(p)))
    conjugate = (q - 1.0) * m * (slope / (m * q)) ** (q / (q - 1.0))
    return (m * size**q + conjugate - float(pull @ w)) / (1.0 + m * size**q)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), p=st.sampled_from(NORMS), loss=st.sampled_from(list(Loss)))
def test_the_penalised_loss_ends_with_a_gap(seed: int, p: float, loss: Loss) -> None:
    rng = np.random.default_rng(seed)
    rows, group = instance(rng)
    mu, q = float(10 ** rng.uniform(-6, 2)), float(rng.choice([1.5, 2.0, 3.0]))
    point = penalised_linear(rows, math.log(mu), p, q, SampleLoss(loss, group + 1))
    assert point.converged
    assert penalty_gap(rows, point.w, mu, p, q, loss, group) <= 1e-9
    if np.any(point.w):
        assert penalty_gap(rows, 1.01 * point.w, mu, p, q, loss, group) > 1e-9


def test_a_penalty_of_power_one_may_leave_nothing() -> None:
    plain = SampleLoss(Loss.EXPONENTIAL)
    rows = np.array([[1.0, 0.0], [0.0, 2.0], [-0.5, 0.5]])
    # ‖Σ z_n‖_∞ = 2.5 is the strength from which on the origin is least.
    assert not np.any(penalised_linear(rows, math.log(2.5001), 1.0, 1.0, plain).w)
    assert np.any(penalised_linear(rows, math.log(2.4999), 1.0, 1.0, plain).w)


@pytest.mark.parametrize("norm", [1, 1.5, 2, 3, "inf"])
@pytest.mark.parametrize("factor", [1e6, 1e12])
def test_regularization_of_large_data(factor: float, norm: float) -> None:
    rng = np.random.default_rng(0)
    data = margin_data(factor * (rng.standard_normal((20, 3)) + 1.0))
    found = lm.solve(lm.RegularizationPath(lm.Linear(), data, 0.1, norm=norm))
    assert found.certificate is not None
    assert found.certificate.verdict is lm.Verdict.GLOBAL


# -- margins in round norms ------------------------------------------------------------------------


@pytest.mark.parametrize(("norm", "half_square"), [(3, 0.0834852), (1.5, 0.115560)])
def test_a_hard_margin_of_unequal_rows(norm: float, half_square: float) -> None:
    data = margin_data([[1.0, 2.0], [-1e4, 1.1e4]])
    found = lm.solve(lm.HardMargin(lm.Linear(), data, norm=norm))
    assert found.objective == pytest.approx(half_square, rel=1e-5)
    assert found.certificate is not None
    assert found.certificate.verdict is lm.Verdict.GLOBAL
    margin = lm.solve(lm.MarginPath(lm.Linear(), data, norm=norm)).objective
    assert margin == pytest.approx((2.0 * found.objective) ** -0.5, rel=1e-12)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    p=st.sampled_from((1.1, 1.5, 3.0, 6.0)),
    by_row=st.booleans(),
)
def test_rows_and_columns_spread_over_eight_decades(seed: int, p: float, by_row: bool) -> None:
    rng = np.random.default_rng(seed)
    count, size = int(rng.integers(3, 20)), int(rng.integers(2, 6))
    rows = rng.standard_normal((count, size))
    rows = rows * np.where(rows @ rng.standard_normal(size) > 0, 1.0, -1.0)[:, None]
    factors = 10.0 ** rng.uniform(-4, 4, count if by_row else size)
    rows = rows * (factors[:, None] if by_row else factors)
    found = round_margin(signed_rows(rows, np.ones(count)), p, math.inf)
    assert np.linalg.norm(found.theta, p) == pytest.approx(1.0, rel=1e-12)
    share = found.multipliers / found.multipliers.sum()
    bound = float(np.linalg.norm(share @ rows, dual(p)))
    margin = float((rows @ found.theta).min())
    # θ itself is rounded: margins are known up to ε Σ|z_j θ_j|.
    noise = 1e-15 * float((np.abs(rows) @ np.abs(found.theta)).max()) if not by_row else 0.0
    assert margin >= bound * (1.0 - 1e-7) - noise - 1e-15 * float(
        (np.abs(rows) @ np.abs(found.theta))[np.argmin(rows @ found.theta)]
    )


def test_round_margins_of_inseparable_rows_are_called_so() -> None:
    rows = np.array([[1.0, 0.2], [-1.0, 0.3], [0.1, -1.0]])
    with pytest.raises(NotSeparableError):
        lm.solve(lm.HardMargin(lm.Linear(), margin_data(rows), norm=3))


# -- what the verb and the estimator say -----------------------------------------------------------


def test_the_classifier_warns_where_its_solution_is_not_certified(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, y = np.array([[2.0, 1.0], [1.0, 3.0], [-1.0, -1.0]]), [1, 1, 0]
    model = MarginClassifier(lm.Linear(), "hard-margin")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model.fit(X, y)
    # Turned by a tenth, the same answer is not stationary.
    turned = np.concatenate(model.solution_.theta) + np.array([0.1, -0.1])
    wrong = lm.certify(model.problem_, turned)
    for certificate in (wrong, None):
        answer = replace(model.solution_, judgement=certificate)
        monkeypatch.setattr(estimator, "solve", lambda *a, answer=answer, **k: answer)
        with pytest.warns(ConvergenceWarning, match="not certified"):
            model.fit(X, y)


def test_starts_end_with_the_first_that_is_proved_global() -> None:
    data = lm.Dataset([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0])
    lines: list[lm.Tick] = []
    net = lm.Network((4,), lm.LeakyReLU(0.25))
    centred = lm.Dataset(2.0 * data.X - 1.0, data.y)
    found = lm.solve(lm.HardMargin(net, centred), starts=60, progress=lines.append)
    assert found.certificate is not None
    assert found.certificate.verdict is lm.Verdict.GLOBAL
    assert len(lines) < 60


@settings(max_examples=16, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), p=st.sampled_from((1.0, np.inf)), by_row=st.booleans())
def test_polyhedral_margins_of_spread_rows_and_columns(seed: int, p: float, by_row: bool) -> None:
    rng = np.random.default_rng(seed)
    count, size = int(rng.integers(3, 30)), int(rng.integers(2, 8))
    rows = rng.standard_normal((count, size))
    rows = rows * np.where(rows @ rng.standard_normal(size) > 0, 1.0, -1.0)[:, None]
    factors = 10.0 ** rng.uniform(-4, 4, count if by_row else size)
    rows = rows * (factors[:, None] if by_row else factors)
    found = hard_margin_linear(rows, np.ones(count), norm=p)
    share = found.multipliers / found.multipliers.sum()
    bound = float(np.linalg.norm(share @ rows, dual(p)))
    products = rows @ found.theta
    noise = 1e-15 * float((np.abs(rows) @ np.abs(found.theta))[np.argmin(products)])
    # Zᵀλ cancels too: its rounding is part of what the bound can say.
    blur = 1e-15 * float(np.linalg.norm(share @ np.abs(rows), dual(p)))
    assert float(products.min()) >= bound * (1.0 - 1e-7) - noise - blur
