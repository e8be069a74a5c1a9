"""Exact arithmetic: every value against fractions, every proof against a slightly wrong input."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lexmargin.errors import DataError, ShapeError
from lexmargin.linalg import exact

finite = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True)
matrices = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=5), elements=finite
)


def by_hand(matrix: np.ndarray, vector: list[Fraction]) -> list[Fraction]:
    return [
        sum((Fraction(float(a)) * b for a, b in zip(row, vector, strict=True)), Fraction(0))
        for row in matrix
    ]


@settings(max_examples=80, derandomize=True, deadline=None)
@given(matrices, st.data())
def test_matvec_and_combination_are_exact(matrix: np.ndarray, data: st.DataObject) -> None:
    rows, columns = matrix.shape
    v = data.draw(st.lists(st.fractions(max_denominator=99), min_size=columns, max_size=columns))
    u = data.draw(st.lists(finite, min_size=rows, max_size=rows))
    assert list(exact.matvec(matrix, v)) == by_hand(matrix, v)
    assert list(exact.combination(u, matrix)) == by_hand(matrix.T, [Fraction(x) for x in u])


@settings(max_examples=80, derandomize=True, deadline=None)
@given(matrices, st.integers(-60, 60))
def test_integer_rows_restore_the_matrix(matrix: np.ndarray, c: int) -> None:
    rows, exponents = exact.integer_rows(matrix, np.full(matrix.shape[1], c))
    for given_row, row, e in zip(matrix, rows, exponents, strict=True):
        scale = Fraction(2) ** (e + c)
        assert [value * scale for value in row] == [Fraction(float(x)) for x in given_row]


@settings(max_examples=80, derandomize=True, deadline=None)
@given(matrices, st.data())
def test_all_positive_agrees_with_fractions(matrix: np.ndarray, data: st.DataObject) -> None:
    v = data.draw(hnp.arrays(np.float64, matrix.shape[1], elements=finite))
    truth = all(m > 0 for m in by_hand(matrix, [Fraction(float(x)) for x in v]))
    assert exact.all_positive(matrix, v) is truth


@pytest.mark.parametrize(
    ("row", "vector", "positive"),
    [
        ([0.1, 0.2, -0.3], [1.0, 1.0, 1.0], Fraction(0.1) + Fraction(0.2) > Fraction(0.3)),
        ([1.0, 2.0**-60, -1.0], [1.0, 1.0, 1.0], True),
        ([1.0, -(2.0**-60), -1.0], [1.0, 1.0, 1.0], False),
        ([1.0, -1.0], [1.0, 1.0], False),
        ([5e-324], [5e-324], True),
        ([1e308, 1e308], [1e308, -1e308], False),
        ([1e308, 1e300], [1e308, -1e308], True),
        ([1.0], [math.nan], False),
        ([1.0], [math.inf], False),
    ],
)
def test_all_positive_at_the_edge(row: list[float], vector: list[float], positive: bool) -> None:
    assert exact.all_positive([row], vector) is positive


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (np.eye(3), 3),
        (np.zeros((2, 3)), 0),
        ([[1.0, 2.0], [2.0, 4.0]], 1),
        ([[1.0, 2.0], [2.0, 4.0 + 2.0**-50]], 2),
        ([[0.1, 0.3], [1.0, 3.0]], 2),  # in float64, 0.3 is not three times 0.1
        ([[1e-300, 0.0], [0.0, 1e300]], 2),
        ([[1.0, 0.0], [0.0, 1.0], [-1.0, 1.0]], 2),
        (np.zeros((0, 3)), 0),
    ],
)
def test_ranks(matrix: object, expected: int) -> None:
    assert exact.rank(np.asarray(matrix)) == expected
    assert exact.rank_mod_prime(np.asarray(matrix)) == expected


def test_the_modular_rank_can_only_be_too_small() -> None:
    # The determinant is the prime itself.
    matrix = [[2.0**61, 1.0], [1.0, 1.0]]
    assert exact.rank_mod_prime(matrix) == 1
    assert exact.rank(matrix) == 2


@settings(max_examples=40, derandomize=True, deadline=None)
@given(hnp.arrays(np.int64, (3, 4), elements=st.integers(-3, 3)), st.integers(-300, 300))
def test_rank_ignores_powers_of_two(matrix: np.ndarray, k: int) -> None:
    values = np.vstack([matrix, matrix[0] - 2 * matrix[1]]).astype(float)
    values[1] *= 2.0**k
    truth = int(np.linalg.matrix_rank(matrix.astype(float)))
    assert exact.rank(values) == truth
    assert exact.rank_mod_prime(values) <= truth


def test_solve_integer() -> None:
    assert exact.solve_integer([[2, 1], [1, 3]], [1, 0]) == (Fraction(3, 5), Fraction(-1, 5))
    assert exact.solve_integer([[1, 2], [2, 4]], [1, 0]) is None
    with pytest.raises(ShapeError):
        exact.solve_integer([[1, 2]], [1])


def test_power_of_two_exponents() -> None:
    matrix = np.array([[1.0, 0.0, -3.0], [0.25, 0.0, 1e-9]])
    assert exact.power_of_two_exponents(matrix).tolist() == [1, 0, 2]


def test_dot_takes_ints_floats_and_fractions() -> None:
    assert exact.dot([1, 0.5, Fraction(1, 3)], [2, 2, 3]) == 4
    big = 2**60 + 1
    assert exact.to_fractions(np.array([big]))[0] == big


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_non_finite_values_are_named(bad: float) -> None:
    with pytest.raises(DataError):
        exact.to_fractions([bad])
    for function in (exact.rank, exact.rank_mod_prime, exact.integer_rows):
        with pytest.raises(DataError):
            function([[1.0, bad]])


def test_shapes_are_named() -> None:
    with pytest.raises(ShapeError):
        exact.dot([1], [1, 2])
    with pytest.raises(ShapeError):
        exact.matvec(np.eye(2), [1, 2, 3])
    with pytest.raises(ShapeError):
        exact.combination([1], np.eye(2))
    with pytest.raises(ShapeError):
        exact.all_positive(np.eye(2), [1.0])
    with pytest.raises(ShapeError):
        exact.rank([1.0, 2.0])
