"""Hard margins of many sparse rows: the interior-point method beside the dual active set."""

from __future__ import annotations

import time
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

import lexmargin as lm
from lexmargin.backends.linear import constraint_generation
from lexmargin.backends.linear.constraint_generation import hard_margin_linear
from lexmargin.backends.linear.interior_point import interior_point
from lexmargin.backends.linear.linear_answer import LinearStatus
from lexmargin.backends.linear.working_set import solve_restricted
from lexmargin.errors import NotSeparableError, TimeLimitError
from lexmargin.linalg import guarded
from lexmargin.separation.gordan import separability_of_rows, verify_separability_of_rows

Array = NDArray[np.float64]


def one_hot(
    n: int, features: int, categories: int, seed: int, noise: float = 0.0
) -> tuple[sparse.csr_array, Array]:
    """Return one column per category of each feature, and labels of a hidden direction."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(categories, size=(n, features)) + categories * np.arange(features)
    ends = np.arange(0, n * features + 1, features)
    shape = (n, features * categories)
    X = sparse.csr_array((np.ones(n * features), codes.ravel(), ends), shape=shape)
    scores = X @ rng.standard_normal(shape[1])
    y = np.where(scores > np.median(scores), 1.0, -1.0)
    y[rng.random(n) < noise] *= -1.0
    return X, y


def signed(X: sparse.csr_array, y: Array) -> sparse.csr_array:
    A = X.copy() / 4.0
    A.data *= np.repeat(y, np.diff(A.indptr))
    return A


CASES = [
    (n, features, categories, seed, bias)
    for n, features, categories in ((60, 2, 12), (150, 3, 20), (300, 2, 8), (80, 5, 4), (40, 1, 30))
    for seed in (0, 1)
    for bias in (False, True)
]


@pytest.mark.parametrize(("n", "features", "categories", "seed", "bias"), CASES)
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_it_agrees_with_the_dual_active_set(
    n: int, features: int, categories: int, seed: int, bias: bool, noise: float
) -> None:
    X, y = one_hot(n, features, categories, seed, noise)
    A, signs = signed(X, y), y if bias else None
    own = interior_point(A, signs)
    other = solve_restricted(A.toarray(), signs, np.arange(0))
    assert own is not None
    assert own.separated == other.separated
    lam = np.zeros(n)
    lam[own.active] = own.multipliers
    assert lam.min() >= 0.0
    assert not bias or abs(lam @ y) <= 1e-13 * lam.sum()
    if not own.separated:
        assert np.linalg.norm(A.T @ lam) <= 1e-13 * lam.sum()
        return
    np.testing.assert_allclose(own.w, other.w, atol=1e-9 * np.linalg.norm(other.w))
    # Faces of one-hot rows are dependent: the multipliers differ, what they combine to does not.
    np.testing.assert_allclose(A.T @ lam, own.w, atol=1e-12 * np.linalg.norm(own.w))
    assert np.min(A @ own.w + (y * own.b if bias else 0.0)) >= 1.0 - 1e-12


@pytest.mark.parametrize("bias", [False, True])
def test_rows_of_any_density_give_the_same_answer(bias: bool) -> None:
    X, y = one_hot(200, 3, 20, 5)
    A, signs = signed(X, y), y if bias else None
    pairs, dense = interior_point(A, signs), interior_point(A.toarray(), signs)
    assert pairs is not None
    assert dense is not None
    np.testing.assert_allclose(pairs.w, dense.w, rtol=1e-9, atol=1e-10)
    np.testing.assert_array_equal(pairs.active, dense.active)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("bias", [False, True])
def test_rows_on_their_bound_without_weight_do_not_keep_it_from_ending(
    seed: int, bias: bool
) -> None:
    # Two features: where three corners of a rectangle are on the bound, so is the fourth.
    X, y = one_hot(1500, 2, 120, seed)
    A, signs = signed(X, y), y if bias else None
    answer = interior_point(A, signs)
    assert answer is not None
    assert answer.exact


def test_rows_of_different_lengths() -> None:
    rng = np.random.default_rng(2)
    X = sparse.csr_array(
        np.where(rng.random((250, 130)) < 0.04, rng.standard_normal((250, 130)), 0)
    )
    y = np.where(X @ rng.standard_normal(130) > 0.0, 1.0, -1.0)
    answer = hard_margin_linear(X, y, bias=True)
    constraint = hard_margin_linear(X.toarray(), y, bias=True)
    assert answer.status is LinearStatus.OPTIMAL
    assert answer.passes == 1
    assert answer.margin == pytest.approx(constraint.margin, rel=1e-10)
    assert answer.relative_gap <= 1e-11


def test_one_violated_row_more_makes_another_answer() -> None:
    X, y = one_hot(120, 3, 20, 3)
    A = signed(X, y)
    answer = interior_point(A, None)
    assert answer is not None
    # A row that is left out of the active ones: its margin falls below 1.
    for row in answer.active[:3]:
        others = np.flatnonzero(np.arange(120) != row)
        without = interior_point(A[others], None)
        assert without is not None
        assert float((A[[row]] @ without.w)[0]) < 1.0 - 1e-9
        assert np.linalg.norm(without.w) < np.linalg.norm(answer.w)


def test_the_deadline_is_looked_at_in_every_step() -> None:
    X, y = one_hot(100, 3, 20, 0)
    with pytest.raises(TimeLimitError):
        interior_point(signed(X, y), y, time.monotonic() - 1.0)
    X, y = one_hot(300, 3, 50, 0)
    late = hard_margin_linear(X, y, bias=True, time_limit=1e-9)
    assert late.status is LinearStatus.TIME_LIMIT


def test_unsorted_and_repeated_entries_are_summed_in_a_copy() -> None:
    d = constraint_generation._FEW_COLUMNS + 50
    indices, ends = np.array([3, 1, 3, 1, 1, 3]), np.array([0, 3, 6])
    X = sparse.csr_array((np.ones(6), indices, ends), shape=(2, d))
    answer = hard_margin_linear(X, np.ones(2))
    dense = hard_margin_linear(X.toarray(), np.ones(2))
    assert answer.margin == pytest.approx(dense.margin, rel=1e-12)
    np.testing.assert_array_equal(X.indices, indices)


def test_an_answer_of_many_columns_is_certified() -> None:
    X, y = one_hot(1200, 4, 60, 7)
    for problem in (
        lm.WSet(lm.Sum([lm.Linear(), lm.Bias()]), lm.Dataset(X, y)),
        lm.HardMargin(lm.Linear(), lm.Dataset(X, y)),
    ):
        found = lm.solve(problem).certificate
        assert found is not None
        assert found.verdict.value == "GLOBAL"
        assert found.stationarity <= 1e-12


def test_inseparable_rows_are_refused_with_a_proof() -> None:
    X, y = one_hot(600, 3, 50, 1, 0.1)
    data = lm.Dataset(X, y)
    with pytest.raises(NotSeparableError) as caught:
        lm.solve(lm.WSet(lm.Sum([lm.Linear(), lm.Bias()]), data))
    proof = caught.value.proof
    assert proof is not None
    gordan = proof.gordan
    assert gordan is not None
    assert min(gordan) >= 0
    weights = {n: value * int(y[n]) for n, value in enumerate(gordan) if value}
    sums = [Fraction(0)] * (X.shape[1] + 1)
    for n, value in weights.items():
        sums[-1] += value
        for j in X.indices[X.indptr[n] : X.indptr[n + 1]].tolist():
            sums[j] += value
    assert not any(sums)


@pytest.mark.parametrize("seed", range(6))
def test_a_gordan_vector_up_to_rounding_is_completed_exactly(seed: int) -> None:
    rng = np.random.default_rng(seed)
    Z = rng.integers(-3, 4, (30, 6)).astype(float) * 2.0 ** rng.integers(-4, 5, (30, 1))
    Z[:, 5] = Z[:, 0] - Z[:, 1]
    answer = hard_margin_linear(Z, np.ones(30))
    assert answer.status is LinearStatus.NOT_SEPARABLE
    found = separability_of_rows(Z, answer.multipliers)
    assert not found.separable
    assert verify_separability_of_rows(Z, found)
    assert set(found.support) <= set(np.flatnonzero(answer.multipliers).tolist())


@pytest.mark.parametrize("seed", range(6))
def test_weights_that_are_no_gordan_vector_decide_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((20, 4))
    wrong = rng.random(20)
    assert verify_separability_of_rows(Z, separability_of_rows(Z, wrong))
    Z[:, 0] = np.abs(Z[:, 0])
    assert separability_of_rows(Z, wrong).separable
    assert separability_of_rows(Z, np.zeros(20)).separable
    assert separability_of_rows(Z, np.full(20, np.nan)).separable


def test_factors_by_pivots_give_the_inner_products_and_their_rank() -> None:
    rows = np.random.default_rng(4).standard_normal((40, 7))
    found = guarded.semidefinite_factor(rows @ rows.T, 1e-14)
    assert found.shape == (40, 7)
    np.testing.assert_allclose(found @ found.T, rows @ rows.T, atol=1e-12)
    assert guarded.semidefinite_factor(np.zeros((3, 3)), 1e-14).shape == (3, 0)
    # Elimination takes as many rows as there are independent columns first.
    first = guarded.pivot_rows(rows)[:7]
    assert np.linalg.matrix_rank(rows[first]) == 7
    for door in (guarded.pivot_rows, lambda x: guarded.semidefinite_factor(x, 1e-14)):
        with pytest.raises(np.linalg.LinAlgError):
            door(np.full((2, 2), np.nan))


def test_an_answer_and_its_certificate_hold_the_samples_twice_at_most() -> None:
    rng = np.random.default_rng(0)
    n, d, each = 16_000, 20_000, 120
    columns = np.minimum((float(d) ** rng.random((n, each))).astype(np.int32), d) - 1
    ends = np.arange(0, n * each + 1, each, dtype=np.int32)
    drawn = sparse.csr_array((rng.standard_normal(n * each), columns.ravel(), ends), shape=(n, d))
    drawn.sum_duplicates()
    hidden = np.append(rng.standard_normal(100), np.zeros(d - 100))
    scores = drawn @ hidden / np.linalg.norm(hidden)
    # Far from the plane, so that few rows are supports.
    far = np.flatnonzero(np.abs(scores) > 0.5)
    X, y = drawn[far], np.sign(scores[far])
    problem = lm.WSet(lm.Sum([lm.Linear(), lm.Bias()]), lm.Dataset(X, y))
    lm.solve(lm.WSet(problem.predictor, lm.Dataset(X[:50], np.resize([1.0, -1.0], 50))))
    tracemalloc.start()
    try:
        found = lm.solve(problem)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.certificate is not None
    assert found.certificate.verdict.value == "GLOBAL"
    # A window of the rows and vectors of N and d numbers are in it.
    assert peak <= 2.0 * (X.data.nbytes + X.indices.nbytes + X.indptr.nbytes)
