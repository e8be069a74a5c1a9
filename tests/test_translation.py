"""With a free bias a translation changes nothing: solved and judged near the data."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linprog

import lexmargin as lm
from lexmargin.data.translation import column_centres, moved_samples, translated_bias
from lexmargin.judge import certify, certify_linear
from lexmargin.judge.programs.recentred import best_biases
from lexmargin.judge.programs.translated import centred
from lexmargin.judge.receipts.receipt import receipt, write_receipt
from lexmargin.judge.receipts.verify import verify_file
from lexmargin.judge.verdict import Verdict

OFFSETS = [1e3, 1e6, 1e8, 1.6e9, -1.6e9]
FORMS = ["signed-square", "two-squares"]


def samples(seed: int, d: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Separable samples on a grid of 2^-20, so that every offset is added exactly."""
    rng = np.random.default_rng(seed)
    w = rng.normal(size=d)
    X = rng.normal(size=(40, d))
    y = np.where(X @ w + 0.3 > 0, 1, -1)
    X = X + 0.4 * np.outer(y, w / np.linalg.norm(w))
    return np.round(X * 2.0**20) / 2.0**20, y


def reference(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    w, b = cp.Variable(X.shape[1]), cp.Variable()
    problem = cp.Problem(cp.Minimize(cp.sum_squares(w)), [cp.multiply(y, X @ w + b) >= 1])
    problem.solve("CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
    return np.asarray(w.value)


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("form", FORMS)
def test_an_offset_costs_no_word(offset: float, form: str) -> None:
    X, y = samples(int(abs(offset)) % 97)
    moved = X + np.array([offset, 0.0, 2 * offset])
    assert np.array_equal(moved - np.array([offset, 0.0, 2 * offset]), X)
    predictor = lm.Sum([lm.Linear(), lm.Bias(form)])
    problem = lm.WSet(predictor, lm.Dataset(moved, y))
    found = lm.solve(problem)
    assert found.certificate.verdict is Verdict.GLOBAL
    assert found.certificate.gap < 1e-9
    assert np.allclose(found.theta[0], reference(X, y), rtol=1e-6, atol=1e-9)
    plain = lm.solve(lm.WSet(predictor, lm.Dataset(X, y)))
    assert np.allclose(found.theta[0], plain.theta[0], rtol=1e-9, atol=1e-12)
    w = plain.theta[0]
    bias = plain.theta[1]
    score = bias[0] * abs(bias[0]) if bias.size == 1 else bias[0] ** 2 - bias[1] ** 2
    judged = certify_linear(moved, y, w, score - offset * (w[0] + 2 * w[2]))
    assert judged.verdict is Verdict.GLOBAL
    assert judged.margin == pytest.approx(1 / np.linalg.norm(w), rel=1e-9)


@pytest.mark.parametrize("offset", [1e6, 1.6e9])
def test_what_is_wrong_stays_wrong_at_an_offset(offset: float) -> None:
    """A bias beyond its rounding, and a direction that is not the best, in both places alike."""
    X, y = samples(1)
    moved = X + offset
    w = reference(X, y)
    scores = X @ w
    best = 0.5 * (np.min(-scores[y < 0]) - np.min(scores[y > 0]))
    assert certify_linear(moved, y, w, best - offset * w.sum()).verdict is Verdict.GLOBAL
    off = certify_linear(moved, y, w, best + 0.05 - offset * w.sum())
    assert not off.certified
    assert off.margin == pytest.approx(0.95 / np.linalg.norm(w), rel=1e-4)
    assert (
        certify_linear(moved, y, w, best + 1.5 - offset * w.sum()).verdict is Verdict.NOT_SEPARATING
    )
    turned = w + 0.02 * np.linalg.norm(w) * np.array([0.3, -0.9, 0.3])
    s = X @ turned
    shift = 0.5 * (np.min(-s[y < 0]) - np.min(s[y > 0]))
    assert not certify_linear(moved, y, turned, shift - offset * turned.sum()).certified
    problem = lm.WSet(lm.Sum([lm.Linear(), lm.Bias()]), lm.Dataset(moved, y))
    score = best - offset * w.sum()
    good = [w, np.array([np.sign(score) * abs(score) ** 0.5])]
    assert certify(problem, good).verdict is Verdict.GLOBAL
    assert not certify(problem, [1.001 * w, 1.001**0.5 * good[1]]).certified
    assert not certify(problem, [0.999 * w, 0.999**0.5 * good[1]]).certified


@pytest.mark.parametrize("offset", [1e8, 1.6e9])
def test_receipts_of_translated_data_are_verified(offset: float, tmp_path: Path) -> None:
    X, y = samples(2)
    problem = lm.WSet(lm.Sum([lm.Linear(), lm.Bias()]), lm.Dataset(X + offset, y))
    found = lm.solve(problem)
    write_receipt(receipt(problem, found.theta, found.certificate), tmp_path / "receipt.json")
    assert verify_file(tmp_path / "receipt.json").verdict is Verdict.GLOBAL


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(-1e300, 1e300, allow_subnormal=False), st.floats(-2.0, 2.0), st.booleans()
        ),
        min_size=1,
        max_size=6,
    )
)
def test_centring_is_exact(entries: list[tuple[float, float, bool]]) -> None:
    base = entries[0][0]
    X = np.array([[base * (1 + 0.2 * abs(t)) if near else a] for a, t, near in entries])
    c = column_centres(X)
    for x in X[:, 0].tolist():
        assert Fraction(x - float(c[0])) == Fraction(x) - Fraction(float(c[0]))
    signs = np.where(np.arange(len(X)) % 2, 1.0, -1.0)
    w = np.array([0.7])
    assert translated_bias(Fraction(3), w, c) == 3 + Fraction(0.7) * Fraction(float(c[0]))
    found = centred(X, signs, w, Fraction(0))
    assert (found is None) == (c[0] == 0.0)


def test_only_columns_far_from_zero_move() -> None:
    X = np.array([[1.0, 1e9, -5.0, 3.0, 0.0], [2.1, 1e9 + 1, -9.0, 3.0, 1e9]])
    assert column_centres(X).tolist() == [0.0, 1e9 + 0.5, -7.0, 3.0, 0.0]
    assert centred(X[:, [0]], np.array([1.0, -1.0]), np.ones(1), Fraction(0)) is None


def three_classes(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(24) % 3
    X = rng.normal(size=(24, 2)) + np.array([[0.0, 5.0], [5.0, -3.0], [-5.0, -3.0]])[y]
    return np.round(X * 2.0**20) / 2.0**20, y


def reference_of_classes(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    W, b = cp.Variable((3, X.shape[1])), cp.Variable(3)
    rows = [
        X[n] @ (W[int(y[n])] - W[c]) + b[int(y[n])] - b[c] >= 1
        for n in range(len(y))
        for c in range(3)
        if c != y[n]
    ]
    problem = cp.Problem(cp.Minimize(cp.sum_squares(W)), rows)
    problem.solve("CLARABEL", tol_gap_abs=1e-12, tol_gap_rel=1e-12, tol_feas=1e-12)
    return np.asarray(W.value), np.asarray(b.value)


@pytest.mark.parametrize("offset", [1e6, -1.6e9])
@pytest.mark.parametrize("form", FORMS)
def test_an_offset_costs_three_classes_no_word(offset: float, form: str, tmp_path: Path) -> None:
    X, y = three_classes(4)
    predictor = lm.Sum([lm.Linear(outputs=3), lm.Bias(form, outputs=3)])
    problem = lm.WSet(predictor, lm.Dataset(X + offset, y))
    found = lm.solve(problem)
    assert found.certificate.verdict is Verdict.GLOBAL
    W, b = reference_of_classes(X, y)
    assert found.objective == pytest.approx(np.sum(W**2), rel=1e-8)
    assert np.allclose(found.theta[0], W, rtol=1e-6, atol=1e-8)
    write_receipt(receipt(problem, found.theta, found.certificate), tmp_path / "receipt.json")
    assert verify_file(tmp_path / "receipt.json").verdict is Verdict.GLOBAL
    score = b - offset * W.sum(axis=1)
    roots = np.sqrt(np.abs(score))
    block = np.sign(score) * roots
    if form == "two-squares":
        block = np.stack([np.where(score > 0, roots, 0.0), np.where(score < 0, roots, 0.0)], 1)
    assert certify(problem, [W, block.reshape(3, -1)]).verdict is Verdict.GLOBAL
    for wrong in (0.99, 1.01):
        theta = [wrong * W, wrong**0.5 * block.reshape(3, -1)]
        assert not certify(problem, theta).certified


@pytest.mark.parametrize("offset", [1e6, 1e8, -1.6e9])
@pytest.mark.parametrize("form", FORMS)
def test_sparse_samples_are_centred_as_they_lie(offset: float, form: str) -> None:
    X, y = samples(5)
    # Of a fourth column few entries are stored, and none is filled in.
    X = np.column_stack([X, np.where(np.arange(len(y)) % 3 == 0, y, 0.0)])
    moved = sparse.csr_array(X + np.array([offset, 0.0, 2 * offset, 0.0]))
    found = lm.solve(lm.WSet(lm.Sum([lm.Linear(), lm.Bias(form)]), lm.Dataset(moved, y)))
    assert found.certificate.verdict is Verdict.GLOBAL
    assert np.allclose(found.theta[0], reference(X, y), rtol=1e-6, atol=1e-9)
    w = reference(X, y)
    s = X @ w
    best = 0.5 * (np.min(-s[y < 0]) - np.min(s[y > 0])) - offset * (w[0] + 2 * w[2])
    assert certify_linear(moved, y, w, best).verdict is Verdict.GLOBAL
    assert not certify_linear(moved, y, w, best + 0.05).certified
    near = moved_samples(moved, column_centres(moved))
    assert near.nnz == moved.nnz
    assert np.array_equal(near.toarray(), moved.toarray() - column_centres(moved.toarray()))


def test_sparse_entries_stored_twice_move_once() -> None:
    X = sparse.csr_array(
        (np.array([1e9, 1.0, 2.0, 1e9]), np.array([0, 0, 1, 0]), np.array([0, 3, 4])), (2, 2)
    )
    assert column_centres(X).tolist() == [1e9 + 0.5, 0.0]
    assert moved_samples(X, column_centres(X)).toarray().tolist() == [[0.5, 2.0], [-0.5, 0.0]]
    assert X.nnz == 4


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 5))
def test_the_best_biases_are_those_of_a_linear_program(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    D = np.where(rng.random((classes, classes)) < 0.2, np.inf, rng.normal(size=(classes, classes)))
    D[0, 1:] = rng.normal(size=classes - 1)
    given_b, slack = rng.normal(size=classes), rng.uniform(0.0, 1.0, size=classes)
    rows, right = [], []
    for a in range(classes):
        for c in range(classes):
            if a != c and np.isfinite(D[a, c]):
                row = np.zeros(classes + 1)
                row[a], row[c], row[-1] = -1.0, 1.0, 1.0
                rows.append(row)
                right.append(D[a, c])
    box = [(g - s, g + s) for g, s in zip(given_b, slack, strict=True)]
    cost = np.append(np.zeros(classes), -1.0)
    best = linprog(cost, A_ub=np.array(rows), b_ub=right, bounds=[*box, (None, None)])
    found = best_biases(D, given_b, slack)
    assert np.all(np.abs(found - given_b) <= slack + 1e-12)
    reached = min(
        D[a, c] + found[a] - found[c] for a in range(classes) for c in range(classes) if a != c
    )
    assert reached == pytest.approx(-best.fun, abs=1e-7)
