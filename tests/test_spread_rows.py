"""Rows whose lengths differ by ten orders of magnitude: products that cancel, judged right."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import lexmargin as lm
from lexmargin.judge import certify_linear
from lexmargin.judge.multipliers.products import combination, near_products
from lexmargin.judge.multipliers.vertex_bounds import linear_dual_bound
from lexmargin.judge.receipts.receipt import receipt, write_receipt
from lexmargin.judge.receipts.verify import verify_file
from lexmargin.judge.verdict import Verdict


def rows_of(seed: int, count: int, size: int, spread: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    Z, w = rng.normal(size=(count, size)), rng.normal(size=size)
    Z = Z * np.sign(Z @ w)[:, None] + 0.1 * w / np.linalg.norm(w)
    return np.asarray(Z * 10.0 ** rng.uniform(-spread, spread, size=(count, 1)))


def exactly(a: np.ndarray, b: np.ndarray) -> Fraction:
    pairs = zip(a.tolist(), b.tolist(), strict=True)
    return sum((Fraction(x) * Fraction(y) for x, y in pairs), Fraction(0))


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(2, 8), st.booleans())
def test_products_are_as_near_as_they_say(seed: int, count: int, size: int, stored: bool) -> None:
    rng = np.random.default_rng(seed)
    theta = rng.uniform(-1.0, 1.0, size)
    # Nearly orthogonal rows: almost everything cancels.
    Z = rng.normal(size=(count, size))
    Z -= np.outer(Z @ theta, theta) / (theta @ theta) * (1.0 - 1e-13)
    Z = Z * 10.0 ** rng.uniform(-8.0, 0.0, (count, 1))
    Z /= np.abs(Z).max()
    given_rows = sparse.csr_array(Z) if stored else Z
    values, errors = near_products(given_rows, theta)
    exact = [exactly(row, theta) for row in Z]
    for value, error, right in zip(values.tolist(), errors.tolist(), exact, strict=True):
        assert abs(Fraction(value) - right) <= Fraction(error)
    smallest = int(np.argmin([float(x) for x in exact]))
    assert errors[smallest] <= 1e-11 * abs(values[smallest])
    weights = np.abs(theta[:count]) if count <= size else np.ones(count)
    pull, spent, _ = combination(weights, given_rows)
    for k in range(size):
        assert abs(Fraction(float(pull[k])) - exactly(weights, Z[:, k])) <= Fraction(
            float(spent[k])
        )
    assert np.max(spent) <= 1e-11 * np.max(np.abs(pull)) or count > size


@pytest.mark.parametrize("norm", [1.3, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_hard_margins_of_rows_of_any_length(norm: float, seed: int) -> None:
    count, size = [(8, 3), (20, 5), (6, 10)][seed]
    Z = rows_of(seed, count, size, 6.0)
    data = lm.Dataset(Z, np.ones(count), one_class=True)
    found = lm.solve(lm.HardMargin(lm.Linear(), data, norm=norm))
    assert found.certificate.verdict is Verdict.GLOBAL
    # Weak duality in 60 digits, at the θ and λ that were returned.
    with mp.workdps(60):
        theta = [mp.mpf(x) for x in found.theta[0].tolist()]
        lam = [mp.mpf(max(x, 0.0)) for x in found.multipliers.tolist()]
        p = mp.mpf(norm)
        q = p / (p - 1)
        rows = [[mp.mpf(x) for x in row] for row in Z.tolist()]
        margin = min(mp.fdot(row, theta) for row in rows)
        margin /= mp.fsum(abs(x) ** p for x in theta) ** (1 / p)
        pull = [mp.fdot(lam, column) / mp.fsum(lam) for column in zip(*rows, strict=True)]
        bound = mp.fsum(abs(x) ** q for x in pull) ** (1 / q)
        assert 1 - margin / bound + mp.mpf(10) ** -50 >= 0
        assert float(1 - margin / bound) < 1e-6


@pytest.mark.parametrize("norm", [1.5, 3.0])
def test_what_cancels_is_no_excuse(norm: float) -> None:
    """A direction that misses by ten times the tolerance is not certified."""
    Z = rows_of(0, 8, 3, 6.0)
    data = lm.Dataset(Z, np.ones(8), one_class=True)
    theta = lm.solve(lm.HardMargin(lm.Linear(), data, norm=norm)).theta[0]
    best = certify_linear(Z, np.ones(8), theta, norm=norm)
    assert best.verdict is Verdict.GLOBAL
    turned = theta * np.array([1.0 + 1e-6, 1.0, 1.0 - 1e-6])
    assert certify_linear(Z, np.ones(8), turned, norm=norm).verdict is not Verdict.GLOBAL


def test_a_bound_counts_the_cancellation_in_it() -> None:
    Z = np.array([[1.0, 1e-9], [-1.0 + 2.0**-50, 1e-9]])
    bound = linear_dual_bound(Z, np.array([0.5, 0.5]))
    exact = np.hypot(2.0**-51, 1e-9)
    assert exact <= bound.upper <= exact * (1.0 + 1e-13)


@pytest.mark.parametrize("norm", [2.0, 1.3])
def test_receipts_of_such_rows_are_verified(norm: float, tmp_path: Path) -> None:
    Z = rows_of(0, 8, 3, 6.0)
    problem = lm.HardMargin(lm.Linear(), lm.Dataset(Z, np.ones(8), one_class=True), norm=norm)
    found = lm.solve(problem)
    write_receipt(receipt(problem, found.theta, found.certificate), tmp_path / "receipt.json")
    assert verify_file(tmp_path / "receipt.json").verdict is Verdict.GLOBAL
