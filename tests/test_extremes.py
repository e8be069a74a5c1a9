"""Extreme inputs end in a word or in a named error: no tracebacks, no warnings, no dead process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.judge import Verdict
from lexmargin.linalg.guarded import (
    linear_program,
    nonnegative_least_squares,
    nonnegative_or_bounded,
)

SCRIPT: Final = Path(__file__).parent / "extremes.py"
SLICE: Final = 300
ALL: Final = 20_000
BATCH: Final = 1_000


def run(first: int, count: int) -> None:
    """Judge a batch in a process of its own, which an abort would end."""
    command = [sys.executable, str(SCRIPT), str(first), str(count)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{ended.returncode}: {ended.stdout[:2000]}{ended.stderr[-500:]}"


def test_a_slice_of_extreme_inputs() -> None:
    run(0, SLICE)


@pytest.mark.long
@pytest.mark.parametrize("first", range(0, ALL, BATCH))
def test_extreme_inputs_by_the_thousand(first: int) -> None:
    run(first, BATCH)


def test_a_product_below_doubles_does_not_end_the_process() -> None:
    bias = lm.Sum([lm.Linear(), lm.Bias("square")])
    one = lm.Dataset([[1.0]], [1], one_class=True)
    assert lm.certify(lm.WSet(bias, one), [1e-160, 1e-30]).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_least_squares_at_any_scale(scale: float) -> None:
    matrix = np.array([[2.0, 0.0], [0.0, -1.0]]) * scale
    found = nonnegative_least_squares(matrix, np.array([4.0, 3.0]))
    assert found * scale == pytest.approx([2.0, 0.0])


@pytest.mark.parametrize(
    ("matrix", "target"),
    [
        (np.full((2, 2), np.nan), np.ones(2)),
        (np.eye(2), np.array([1.0, np.inf])),
        (np.eye(2), np.ones(3)),
        (np.ones(2), np.ones(2)),
    ],
)
def test_least_squares_refuse_what_would_end_the_process(
    matrix: np.ndarray, target: np.ndarray
) -> None:
    with pytest.raises(RuntimeError):
        nonnegative_least_squares(matrix, target)


def test_least_squares_of_nothing() -> None:
    assert nonnegative_least_squares(np.zeros((3, 0)), np.ones(3)).shape == (0,)
    assert nonnegative_least_squares(np.zeros((0, 2)), np.zeros(0)).tolist() == [0.0, 0.0]
    lost, converged = nonnegative_or_bounded(np.full((1, 2), np.inf), np.ones(1), 10)
    assert lost.tolist() == [0.0, 0.0] and not converged


def test_a_linear_program_of_what_is_not_finite_has_no_answer() -> None:
    parts = {"A_ub": np.array([[-1.0]]), "b_ub": np.array([-1.0])}
    assert linear_program(np.ones(1), **parts).x == pytest.approx([1.0])
    assert linear_program(np.ones(1), **{**parts, "b_ub": np.array([np.nan])}).x is None
