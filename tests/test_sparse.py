"""Sparse samples: the linear problems solved and judged without a dense copy of the data."""

from __future__ import annotations

import dataclasses
import importlib
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import lexmargin as lm
from lexmargin.errors import DataError, NotSeparableError, ShapeError, UnsupportedError
from lexmargin.judge import certify_arrays, certify_linear, certify_linear_problem
from lexmargin.judge.multipliers.stationarity import on_support
from lexmargin.judge.point import UnitPoint
from lexmargin.ops.base import FloatArray, IntArray
from lexmargin.separation.gordan import Separability, verify_separability_of_rows

FREE = lm.Sum([lm.Linear(), lm.Bias()])
TWO = lm.Sum([lm.Bias("two-squares"), lm.Linear()])
PLAIN = lm.Sum([lm.Linear(), lm.Bias("plain")])


def cloud(
    seed: int, n: int = 80, d: int = 60, each: float = 0.1, shift: float = 0.3
) -> tuple[Any, IntArray]:
    """Rows with few entries, labels of a hidden plane at a distance from 0."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * (rng.random((n, d)) < each)
    scores = X @ rng.standard_normal(d) + shift
    keep = np.abs(scores) > 0.2
    _, first = np.unique(X[keep], axis=0, return_index=True)
    rows = np.flatnonzero(keep)[np.sort(first)]
    return sparse.csr_array(X[rows]), np.where(scores[rows] > 0, 1, -1)


def dense_of(data: lm.Dataset) -> lm.Dataset:
    return lm.Dataset(data.samples.toarray(), data.y, one_class=True)


PROBLEMS = {
    "hard margin": lambda data: lm.HardMargin(lm.Linear(), data),
    "hard margin, l1": lambda data: lm.HardMargin(lm.Linear(), data, norm=1),
    "hard margin, linf": lambda data: lm.HardMargin(lm.Linear(), data, norm=np.inf),
    "hard margin, bias in the norm": lambda data: lm.HardMargin(PLAIN, data),
    "margin path": lambda data: lm.MarginPath(lm.Linear(), data, rho=3.0),
    "margin path, least norm": lambda data: lm.MarginPath(lm.Linear(), data, gamma=2.0),
    "free bias": lambda data: lm.WSet(FREE, data),
    "free bias, two squares": lambda data: lm.WSet(TWO, data),
}


@pytest.mark.parametrize("seed", (0, 1))
@pytest.mark.parametrize("name", PROBLEMS)
def test_sparse_answers_are_those_of_dense_samples(name: str, seed: int) -> None:
    data = lm.Dataset(*cloud(seed, shift=0.3 if "bias" in name else 0.0))
    problem, other = PROBLEMS[name](data), PROBLEMS[name](dense_of(data))
    found, expected = lm.solve(problem), lm.solve(other)
    assert found.solver == expected.solver == "active-set"
    assert found.certificate is not None and found.certificate.verdict is lm.Verdict.GLOBAL
    assert found.objective == pytest.approx(expected.objective, rel=1e-9)
    size = np.linalg.norm(expected.direction)
    assert np.allclose(found.direction, expected.direction, rtol=0.0, atol=1e-9 * size)
    again = lm.certify(problem, found.theta)
    assert again.verdict is lm.Verdict.GLOBAL
    judged = lm.certify(other, expected.theta)
    assert np.array_equal(again.support, judged.support)
    assert again.gap == pytest.approx(judged.gap, abs=1e-10)
    largest = float(np.max(judged.multipliers))
    assert np.allclose(again.multipliers, judged.multipliers, rtol=0.0, atol=1e-9 * largest)


@pytest.mark.parametrize("solver", ("clarabel", "highs", "daqp", "osqp"))
def test_convex_solvers_read_sparse_samples(solver: str) -> None:
    data = lm.Dataset(*cloud(2))
    found = lm.solve(lm.HardMargin(lm.Linear(), data), solver)
    assert found.certificate is not None and found.certificate.verdict is lm.Verdict.GLOBAL
    expected = lm.solve(lm.HardMargin(lm.Linear(), dense_of(data)), "active-set")
    assert found.objective == pytest.approx(expected.objective, rel=1e-7)


@pytest.mark.parametrize("claimed", (True, False))
def test_unit_vectors_at_a_size_where_nothing_is_made_dense(claimed: bool) -> None:
    """z_n = e_n: w = Σ e_n, every λ_n = 1, ½‖w‖² = d/2."""
    d = 2400
    problem = lm.HardMargin(
        lm.Linear(), lm.Dataset(sparse.eye_array(d).tocsr(), np.ones(d), one_class=True)
    )
    found = certify_linear_problem(
        problem, np.ones(d), lm.Tolerances(), np.ones(d) if claimed else None
    )
    assert found.verdict is lm.Verdict.GLOBAL
    assert found.margin == pytest.approx(1.0 / np.sqrt(d), rel=1e-14)
    assert np.allclose(found.multipliers, 1.0 / np.sqrt(d), rtol=1e-12)
    assert found.licq is None and found.mfcq is not None and found.mfcq.holds
    off = np.ones(d)
    off[0] = 1.0 - 1e-4
    wrong = certify_linear_problem(problem, off, lm.Tolerances(), np.ones(d) if claimed else None)
    assert wrong.verdict is lm.Verdict.NOT_STATIONARY


def test_a_free_bias_on_a_line() -> None:
    """x = 0 and x = 2 with y = -1, +1: w = 1, β = -1, λ = 1 each (by hand)."""
    data = lm.Dataset(sparse.csr_array(np.array([[0.0], [2.0]])), [-1, 1])
    problem = lm.WSet(FREE, data)
    found = lm.certify(problem, np.array([1.0, -1.0]))
    assert found.verdict is lm.Verdict.GLOBAL
    assert found.levels == (1.0,)
    assert np.allclose(found.multipliers, 0.5, rtol=1e-14)
    assert found.gap is not None and found.gap < 1e-13
    for w, b in ((1.0 + 1e-5, -1.0), (1.0 - 1e-5, -1.0), (1.0, -1.0 - 1e-5), (1.0, -1.0 + 1e-5)):
        assert lm.certify(problem, np.array([w, b])).verdict is lm.Verdict.NOT_STATIONARY
    assert lm.certify(problem, np.array([1.0, 0.5])).verdict is lm.Verdict.NOT_SEPARATING
    assert lm.certify(problem, np.array([2.0, -np.sqrt(2)])).verdict is lm.Verdict.NOT_STATIONARY


@pytest.mark.parametrize("dense", (False, True))
def test_multipliers_of_one_class_do_not_balance_a_bias(dense: bool) -> None:
    """x = 1 and x = -5: at w = β = 1/2 only the first is tight; the optimum is w = 1/3, β = 2/3."""
    X = np.array([[1.0], [-5.0]])
    problem = lm.WSet(FREE, lm.Dataset(X if dense else sparse.csr_array(X), [1, -1]))
    found = lm.certify(problem, np.array([0.5, np.sqrt(0.5)]))
    assert found.verdict is lm.Verdict.NOT_STATIONARY and found.stationarity > 0.1
    assert not any(check.holds for check in found.checks)
    best = lm.certify(problem, np.array([1 / 3, np.sqrt(2 / 3)]))
    assert best.verdict is lm.Verdict.GLOBAL
    assert np.allclose(best.multipliers, 1 / 18, rtol=1e-12)
    assert all(check.holds for check in best.checks)


def test_multipliers_bound_a_free_bias_only_when_balanced() -> None:
    """x = 1 and x = -5: the best margin is 3; λ = (1, 1/100) as it is would bound it by 1.04."""
    judge = importlib.import_module("lexmargin.judge.programs.linear_margins")
    signs = np.array([1.0, -1.0])
    rows = np.array([[1.0, 1.0], [5.0, -1.0]])
    inside, target = np.array([1.0, 2.0]), np.array([1.0, 0.0])
    point = UnitPoint(inside, rows @ inside, rows, 1.0, 2.0, 1.0, 0, target, inside)
    measured = on_support(point, np.array([0, 1]))
    tilted = dataclasses.replace(measured, multipliers=np.array([1.0, 0.01]))
    upper = judge._upper(point, signs, tilted, lm.Tolerances())
    assert 3.0 <= upper <= 3.0 * (1.0 + 1e-12)


def test_one_class_needs_no_weights() -> None:
    """The bias alone separates one class: ‖w_1‖² = 0 at w = 0, b = 1."""
    problem = lm.WSet(FREE, lm.Dataset([[1.0], [2.0]], [1, 1], one_class=True))
    found = lm.certify(problem, np.array([0.0, 1.0]))
    assert found.verdict is lm.Verdict.GLOBAL and found.levels == (0.0,)


@pytest.mark.parametrize("dense", (False, True))
def test_a_bias_without_slope_is_stationary_and_not_global(dense: bool) -> None:
    """At b = 0 the literal eq. 13 has ∇_b f_n = 2|b| y_n = 0: KKT asks nothing of Σ λ y."""
    X = np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, -1.0]])
    problem = lm.WSet(FREE, lm.Dataset(X if dense else sparse.csr_array(X), [1, 1, -1]))
    w = np.array([1.0, 0.5])
    found = lm.certify(problem, np.append(w, 0.0))
    assert found.verdict is lm.Verdict.KKT
    assert np.allclose(found.multipliers, [1.0, 0.25, 0.0], rtol=1e-12)
    for b in (1e-3, -1e-3, 1e-5):
        scaled = np.append(w * (1.0 - b * abs(b)), b)
        assert lm.certify(problem, scaled).verdict is lm.Verdict.NOT_STATIONARY


@pytest.mark.parametrize("free", (False, True))
def test_claims_are_measured_and_wrong_ones_do_no_harm(free: bool) -> None:
    X, y = cloud(3)
    data = lm.Dataset(X, y)
    problem = lm.WSet(FREE, data) if free else lm.HardMargin(lm.Linear(), data)
    answer = lm.solve(problem)
    theta = np.concatenate([block.reshape(-1) for block in answer.theta])
    alone = lm.certify(problem, theta)
    rng = np.random.default_rng(0)
    for claim in (
        7.0 * alone.multipliers, np.ones(data.n_samples), np.zeros(data.n_samples),
        1.0 * (alone.multipliers > 0.0),
        -alone.multipliers, np.full(data.n_samples, np.nan), rng.random(data.n_samples),
    ):  # fmt: skip
        found = certify_linear_problem(problem, theta, lm.Tolerances(), claim)
        assert found.verdict is lm.Verdict.GLOBAL
        largest = float(np.max(alone.multipliers))
        assert np.allclose(found.multipliers, alone.multipliers, rtol=0.0, atol=1e-9 * largest)
    # The best multipliers of this direction do not make another one stationary.
    moved = theta + 1e-4 * np.linalg.norm(theta) * rng.standard_normal(theta.size)
    found = certify_linear_problem(problem, moved, lm.Tolerances(), alone.multipliers)
    assert not found.verdict.certified


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    noise=st.sampled_from((0.0, 1e-9, 1e-6, 1e-3, 0.3)),
    free=st.booleans(),
    exponent=st.integers(-900, 900),
)
def test_sparse_and_dense_samples_get_one_judgement(
    seed: int, noise: float, free: bool, exponent: int
) -> None:
    X, y = cloud(seed, 30, 12, 0.4)
    rng = np.random.default_rng(seed)
    answer = lm.solve(lm.HardMargin(PLAIN, lm.Dataset(X, y)), "active-set")
    w, b = answer.theta[0], float(answer.theta[1][0])
    w = w + noise * np.linalg.norm(w) * rng.standard_normal(w.size)
    bias = b if free else None
    expected = certify_linear(X.toarray(), y, w, bias)
    scale = 2.0**exponent
    order = rng.permutation(len(y))
    same = (
        certify_linear(X, y, w, bias),
        certify_linear(X * scale, y, w, None if bias is None else b * scale),
        certify_linear(X, y, w * scale, None if bias is None else b * scale),
        certify_linear(X[order].tocsc(), y[order], w, bias),
        certify_linear(-X, y, -w, bias),
        certify_linear(-X, -y, w, None if bias is None else -b),
    )
    for found in same:
        assert found.verdict is expected.verdict
        if not np.isnan(expected.stationarity):
            assert found.stationarity == pytest.approx(expected.stationarity, rel=1e-6, abs=1e-12)
            # With noise a margin may lie on the tolerance itself, where rounding decides.
            assert noise > 0.0 or found.support.size == expected.support.size


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), noise=st.sampled_from((1e-6, 1e-3, 0.1)), one=st.booleans())
def test_no_bound_lies_below_the_best_margin(seed: int, noise: float, one: bool) -> None:
    X, y = cloud(seed, 30, 12, 0.4)
    problem = lm.WSet(FREE, lm.Dataset(X, y))
    try:
        answer = lm.solve(problem)
    except NotSeparableError:
        return
    w, b = answer.theta
    best = 1.0 / float(np.linalg.norm(w))
    rng = np.random.default_rng(seed)
    moved = w + noise * np.linalg.norm(w) * rng.standard_normal(w.size)
    # Multipliers of one class alone bound nothing while the bias is free.
    claim = np.where(y > 0, 1.0, 0.0) if one else rng.random(y.size)
    found = certify_linear(X, y, moved, float(b[0] * abs(b[0])), multipliers=claim)
    assert found.bound is None or found.bound >= best * (1.0 - 1e-9)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), norm=st.sampled_from((1.0, 2.0, np.inf)))
def test_plain_arrays_say_the_same(seed: int, norm: float) -> None:
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((20, 5)) + 0.8
    theta = rng.standard_normal(5) * 0.3 + 1.0
    one = certify_linear(Z, np.ones(20), theta, norm=norm)
    other = certify_arrays(Z @ theta, Z, theta, 1.0, norm, linear=True)
    assert one.verdict is other.verdict
    if one.verdict is not lm.Verdict.NOT_SEPARATING:
        assert one.stationarity == pytest.approx(other.stationarity, rel=1e-9, abs=1e-14)
        assert one.gap == pytest.approx(other.gap, rel=1e-9, abs=1e-14)
        assert one.margin == pytest.approx(other.margin, rel=1e-13)


def doubled(X: Any) -> Any:
    return sparse.vstack([X, X[:5]], format="csr")


def test_repeated_unit_vectors_at_size() -> None:
    """z_n = e_n, the first hundred twice: λ_n = 1 in all for each vector."""
    d = 2400
    rows = sparse.vstack([sparse.eye_array(d), sparse.eye_array(d).tocsr()[:100]], format="csr")
    data = lm.Dataset(rows, np.ones(d + 100), one_class=True)
    found = lm.certify(lm.HardMargin(lm.Linear(), data), np.ones(d))
    assert found.verdict is lm.Verdict.GLOBAL
    sums = found.multipliers[:d].copy()
    sums[:100] += found.multipliers[d:]
    assert np.allclose(sums, 1.0 / np.sqrt(d), rtol=1e-9)


@pytest.mark.parametrize("name", ("hard margin", "free bias"))
def test_repeated_samples_change_no_answer(name: str) -> None:
    X, y = cloud(4)
    one = lm.solve(PROBLEMS[name](lm.Dataset(X, y)))
    other = lm.solve(PROBLEMS[name](lm.Dataset(doubled(X), np.append(y, y[:5]))))
    assert other.certificate is not None and other.certificate.verdict is lm.Verdict.GLOBAL
    assert other.objective == pytest.approx(one.objective, rel=1e-10)


@pytest.mark.parametrize(
    ("name", "solver"),
    # Eq. 13 goes through eq. 14 elsewhere, which needs dense samples.
    [(name, "active-set") for name in PROBLEMS]
    + [(name, "clarabel") for name in PROBLEMS if not name.startswith("free")],
)
def test_inseparable_samples_come_with_an_exact_proof(name: str, solver: str) -> None:
    rng = np.random.default_rng(0)
    X = sparse.csr_array(rng.standard_normal((60, 5)) * (rng.random((60, 5)) < 0.6))
    X = X[np.flatnonzero(np.diff(X.indptr))]
    data = lm.Dataset(X, np.where(rng.random(X.shape[0]) < 0.5, 1, -1))
    with pytest.raises(NotSeparableError) as caught:
        lm.solve(PROBLEMS[name](data), solver)
    proof = caught.value.proof
    assert isinstance(proof, Separability)
    rows = data.y[:, None] * X.toarray()
    if name.startswith("free") or "bias" in name:
        rows = np.column_stack([rows, data.y])
    assert verify_separability_of_rows(rows, proof)


@pytest.mark.parametrize(
    "state",
    (
        lambda data: lm.ConstrainedPath(lm.Linear(), data, rho=10.0),
        lambda data: lm.RegularizationPath(lm.Linear(), data, strength=0.1),
        lambda data: lm.Lexicographic(lm.Linear(), data, norm=1),
        lambda data: lm.ScaledMargin(FREE, data, gamma=10.0),
        lambda data: lm.WSet(FREE, data, levels=2),
        lambda data: lm.WSet(lm.Sum([lm.Linear(), lm.Bias("square")]), data),
        lambda data: lm.HardMargin(lm.Network((3,), lm.ReLU()), data),
        lambda data: lm.HardMargin(lm.Linear(outputs=2), data),
        lambda data: lm.WSet(lm.Sum([lm.Member(lm.Linear(), (0, 1)), lm.Bias()]), data),
    ),
)
def test_other_problems_say_that_they_need_dense_samples(state: Any) -> None:
    data = lm.Dataset(*cloud(5))
    with pytest.raises(UnsupportedError, match="toarray"):
        lm.solve(state(data))


@pytest.mark.parametrize("solver", ("ipopt", "ipopt-casadi", "slsqp", "augmented-lagrangian"))
def test_other_solvers_say_that_they_need_dense_samples(solver: str) -> None:
    with pytest.raises(UnsupportedError, match="toarray"):
        lm.solve(lm.HardMargin(lm.Linear(), lm.Dataset(*cloud(5))), solver)


def with_nan() -> Any:
    X = cloud(6)[0]
    X.data[3] = np.nan
    return X


@pytest.mark.parametrize(
    ("X", "word"),
    (
        (with_nan(), "row 0"),
        (sparse.csr_array((0, 3)), "no samples"),
        (sparse.csr_array((2, 0)), "no features"),
        (sparse.csr_array(np.array([[1j], [2.0]])), "complex"),
    ),
)
def test_bad_sparse_samples_are_named(X: Any, word: str) -> None:
    labels = np.where(np.arange(X.shape[0]) % 2, 1, -1)
    with pytest.raises(DataError, match=word):
        lm.Dataset(X, labels)


def test_bad_arguments_of_the_judge_are_named() -> None:
    X, y = cloud(7)
    w = np.ones(X.shape[1])
    for call, kind in (
        (lambda: certify_linear(X, y[1:], w), ShapeError),
        (lambda: certify_linear(X, y, w[1:]), ShapeError),
        (lambda: certify_linear(X, np.where(np.arange(y.size) == 0, 0, y), w), DataError),
        (lambda: certify_linear(X, 0.5 * y, w), DataError),
        (lambda: certify_linear(X, y, w, [0.0, 1.0]), ShapeError),
        (lambda: certify_linear(X, y, np.stack([w, w])), ShapeError),
        (lambda: certify_linear(X, y, 0 * w), DataError),
        (lambda: certify_linear(X, y, w, np.nan), DataError),
        (lambda: certify_linear(X, y, w, 0.0, norm=1.0), UnsupportedError),
        (lambda: certify_linear(with_nan(), np.ones(with_nan().shape[0]), w), DataError),
    ):
        with pytest.raises(kind):
            call()


def test_every_sparse_format_is_one_data_set() -> None:
    X, y = cloud(8)
    data = lm.Dataset(X, y)
    for form in ("csc", "coo", "lil", "dok", "bsr"):
        assert lm.Dataset(X.asformat(form), y) == data
    assert lm.Dataset(sparse.csr_matrix(X), y) == data
    assert lm.Dataset(X.astype(np.float32).astype(np.float64), y) != data
    stored = sparse.csr_array((np.array([1.0, 2.0, 0.0]), [1, 1, 0], [0, 2, 3]), (2, 2))
    summed = lm.Dataset(stored, [1, -1])
    assert summed.samples.nnz == 1 and summed.samples[0, 1] == 3.0
    assert pickle.loads(pickle.dumps(data)) == data
    assert data != dense_of(data) and data.is_sparse and not dense_of(data).is_sparse
    with pytest.raises(ValueError, match="read-only"):
        data.samples.data[0] = 1.0
    assert (data.n_samples, data.n_features) == X.shape
    X.data[:] = 0.0
    assert data == lm.Dataset(*cloud(8))


def scores(model: lm.MarginClassifier, X: Any) -> FloatArray:
    return np.asarray(model.decision_function(X))


@pytest.mark.parametrize(
    ("formulation", "predictor"), (("hard-margin", lm.Linear()), ("w-set", FREE))
)
def test_the_classifier_fits_sparse_samples(formulation: str, predictor: Any) -> None:
    X, y = cloud(9)
    model = lm.MarginClassifier(predictor, formulation).fit(X, y)
    other = lm.MarginClassifier(predictor, formulation).fit(X.toarray(), y)
    assert model.certificate_.verdict is lm.Verdict.GLOBAL
    assert np.allclose(scores(model, X), scores(other, X.toarray()), rtol=0.0, atol=1e-8)
    assert np.array_equal(model.predict(X.tocsc()), y)
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        lm.MarginClassifier().fit(X, y)
