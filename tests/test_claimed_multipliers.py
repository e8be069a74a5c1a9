"""Multipliers that are claimed are measured first; what no word needs is computed when read."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy.optimize import nnls

import lexmargin as lm
from adversarial_claims import FAMILIES, instance, optimum
from lexmargin.data.samples import contradiction, first_equal
from lexmargin.judge import Verdict, certify_linear
from lexmargin.judge.multipliers import supports
from lexmargin.judge.multipliers.later import Later
from lexmargin.judge.multipliers.multiplier_set import nonnegative_multipliers
from lexmargin.linalg.pivoting import pivoted


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_no_claim_raises_a_word_without_proof_or_costs_one(name):
    rng = np.random.default_rng(18)
    for _ in range(60):
        trial = FAMILIES[name](rng)
        assert not trial.wrong and not trial.refused


@pytest.mark.parametrize("norm", [1.0, 2.0, np.inf])
def test_a_true_claim_is_enough_and_a_false_one_is_not(norm, monkeypatch):
    X, y = instance(np.random.default_rng(3), 10, 3)
    theta, lam = optimum(X * y[:, None], norm)
    sought = []
    real = supports.climb
    monkeypatch.setattr(
        "lexmargin.judge.programs.linear_margins.climb",
        lambda *given: (sought.append(1), real(*given))[1],
    )
    assert certify_linear(X, y, theta, norm=norm, multipliers=lam).verdict is Verdict.GLOBAL
    assert not sought
    wrong = lam.copy()
    wrong[np.argmax(lam)] *= 1.01
    found = certify_linear(X, y, theta, norm=norm, multipliers=wrong)
    assert found.verdict is Verdict.GLOBAL and sought


def test_a_solve_of_dense_samples_seeks_no_multipliers(monkeypatch):
    X, y = instance(np.random.default_rng(5), 30, 4)
    problem = lm.HardMargin(lm.Linear(), lm.Dataset(X, y))
    bias = lm.WSet(lm.Sum((lm.Linear(), lm.Bias("signed-square"))), lm.Dataset(X, y))

    def fail(*_):
        raise AssertionError("multipliers were sought")

    monkeypatch.setattr("lexmargin.judge.programs.linear_margins.climb", fail)
    for asked in (problem, bias):
        assert lm.solve(asked).certificate.verdict is Verdict.GLOBAL


def test_what_no_word_needs_is_asked_once_when_it_is_read():
    asked = []
    later = Later(lambda: (asked.append(1), 7)[1])
    doubled = later.then(lambda value: 2 * value)
    assert not asked
    assert doubled.read() == 14 and later.read() == 7 and doubled.read() == 14
    assert asked == [1]
    assert pickle.loads(pickle.dumps(doubled)).read() == 14
    assert Later(lambda: 1 // 0).then(lambda value: value + 1).read() is None


def test_a_certificate_says_the_same_after_it_was_sent():
    X, y = instance(np.random.default_rng(7), 8, 2)
    found = lm.solve(lm.HardMargin(lm.Linear(), lm.Dataset(X, y))).certificate
    sent = pickle.loads(pickle.dumps(found))
    assert sent.to_json() == found.to_json()
    assert sent.licq == found.licq and sent.mfcq.holds and found.multiplier_range


def rows_of(kind, rng, count, size):
    J = rng.standard_normal((count, size))
    if kind == "correlated":
        J += 100.0 * rng.standard_normal(size)
    if kind == "repeated":
        J = J[rng.integers(0, count // 2, count)]
    if kind == "low rank":
        J = J[:, :40] @ rng.standard_normal((40, size))
    if kind == "nearly low rank":
        # Most rows lie in the span of few, one does not, and it is what helps.
        J = J[:, :40] @ rng.standard_normal((40, size))
        J[1] = rng.standard_normal(size)
    if kind == "falling":
        J = J[:, :60] @ rng.standard_normal((60, size)) * np.logspace(0.0, -5.0, size)
    if kind == "lengths":
        J *= 10.0 ** rng.uniform(-3.0, 3.0, count)[:, None]
    return J


@pytest.mark.parametrize(
    "kind",
    ["plain", "correlated", "repeated", "low rank", "nearly low rank", "falling", "lengths"],
)
@pytest.mark.parametrize("away", [0.0, 1e-9, 0.5])
def test_sought_multipliers_are_as_good_as_those_of_scipy(kind, away):
    rng = np.random.default_rng(11)
    J = rows_of(kind, rng, 280, 300)
    weights = rng.random(280) * (rng.random(280) < 0.4)
    weights[1] = 1.0
    target = weights @ J
    noise = rng.standard_normal(300)
    target = target / np.linalg.norm(target) + away * noise / np.linalg.norm(noise)
    target /= np.linalg.norm(target)
    found = nonnegative_multipliers(J, target)
    assert np.all(found.multipliers >= 0.0)
    reached = np.linalg.norm(target - found.multipliers @ J)
    best = nnls(J.T, target, maxiter=10_000)[1]
    assert reached <= best * (1.0 + 1e-8) + 4e-15
    assert found.residual == pytest.approx(reached, rel=1e-6, abs=1e-13)
    assert found.lower <= best * (1.0 + 1e-9) + 1e-14


def test_changes_of_sides_end_where_only_rounding_asks_for_more():
    rng = np.random.default_rng(2)
    J = rng.standard_normal((200, 200)) + 3.0 * rng.standard_normal(200)
    J /= np.linalg.norm(J, axis=1)[:, None]
    target = (rng.random(200) * (rng.random(200) < 0.5)) @ J
    found = pivoted(J @ J.T, J @ target, np.zeros(200), J @ target > 0.0)
    assert found is not None and np.all(found.values >= 0.0)
    assert np.linalg.norm(target - found.values @ J) <= 1e-6 * np.linalg.norm(target)


@pytest.mark.parametrize("seed", range(6))
def test_equal_rows_are_found_as_by_comparing_all(seed):
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 2, (25, 4)).astype(float)
    if seed % 2:
        X[:, 0] = rng.standard_normal(25)[rng.integers(0, 20, 25)]
    first = [next(m for m in range(25) if np.array_equal(X[m], X[n])) for n in range(25)]
    assert first_equal(X).tolist() == first
    y = rng.integers(0, 2, 25)
    pairs = [(m, n) for n, m in enumerate(first) if y[m] != y[n]]
    assert contradiction(X, y) == (pairs[0] if pairs else None)
