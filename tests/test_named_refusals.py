"""What assertions once held is refused by name, where a user's input can reach it."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.errors import DegreeError, ParameterError, ReceiptError, UnsupportedError
from lexmargin.formulations.kkt import LossTerm
from lexmargin.judge.receipts.receipt import Receipt
from lexmargin.judge.tolerances import DEFAULT
from lexmargin.losses import Loss, SampleLoss
from lexmargin.ops.numpy import NumpyOps
from lexmargin.polish.polish import finished, settled
from lexmargin.program import Combination

SOURCE = Path(__file__).parents[1] / "src" / "lexmargin"
DATA = lm.Dataset([[1.0, 0.5], [0.5, 2.0]], [1, 1], one_class=True)


def test_no_further_assertion_carries_logic() -> None:
    """Structure and named errors take their place; those that are left may only become fewer."""
    count = sum(
        isinstance(node, ast.Assert)
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )
    assert count <= 11


def test_a_problem_without_a_parameter_is_no_point_of_a_path() -> None:
    with pytest.raises(UnsupportedError, match="no point of a path"):
        lm.HardMargin(lm.Linear(), DATA).at(2.0)


def test_a_loss_in_a_ball_has_no_penalty() -> None:
    term = LossTerm(loss=SampleLoss(Loss.EXPONENTIAL))
    with pytest.raises(ParameterError, match="no penalty"):
        _ = term.penalty
    assert replace(term, coefficient=0.5, power=2.0).penalty == (0.5, 2.0)


def test_steps_of_the_polish_need_a_degree_and_a_round() -> None:
    mixed = lm.Sum((lm.Linear(), lm.DiagonalNetwork(2)))
    functions = lm.HardMargin(lm.Linear(), DATA).functions
    other = lm.MarginPath(mixed, DATA, rho=1.0).functions
    with pytest.raises(DegreeError, match="homogeneous"):
        finished(other, np.ones(other.size), np.ones(2))
    with pytest.raises(ParameterError, match="No round"):
        settled(functions, [], np.inf)


def test_a_receipt_without_its_data_states_no_problem() -> None:
    evidence = None
    receipt = Receipt({}, None, np.ones(2), DEFAULT, evidence)  # type: ignore[arg-type]
    with pytest.raises(ReceiptError, match="without its data"):
        receipt.stated()


def test_programs_that_state_nothing_say_so() -> None:
    program = lm.HardMargin(lm.Linear(), DATA).program()
    held = program.constraints[0]
    assert held.margins is held.left
    with pytest.raises(UnsupportedError, match="holds no margins"):
        _ = replace(held, left=held.right).margins
    with pytest.raises(UnsupportedError, match="no term"):
        Combination(()).evaluate(NumpyOps(), {})
