"""A formulation of one's own is solved, and never judged as another problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.errors import UnsupportedError
from lexmargin.formulations.base import MARGIN, Formulation, StageAnswer
from lexmargin.judge import certify_linear_problem
from lexmargin.judge.given import Evidence
from lexmargin.judge.programs.program_evidence import evidence_for_problem
from lexmargin.judge.prove import prove
from lexmargin.judge.receipts.facts import establish_problem
from lexmargin.judge.receipts.receipt import receipt
from lexmargin.judge.support_curves import curves
from lexmargin.judge.tolerances import DEFAULT
from lexmargin.ops.base import FloatArray, Relation, Sense
from lexmargin.predictors import Predictor
from lexmargin.program import (
    Combination,
    Constant,
    Constraint,
    Expression,
    Margins,
    Program,
    SquaredNorm,
)
from lexmargin.solve import solve

TWO = lm.Dataset([[1.0, 0.0], [0.0, 2.0]], [1, 1], one_class=True)
ONE = lm.Dataset([[1.0, 1.0]], [1], one_class=True)


@final
@dataclass(frozen=True)
class Wanted(Expression):
    """``c_n``, one number for each margin function."""

    numbers: tuple[float, ...]

    def evaluate(self, ops: Any, values: Any) -> Any:
        return ops.constant(np.array(self.numbers))

    def __str__(self) -> str:
        return "c_n"


@dataclass(frozen=True)
class Uneven(Formulation):
    """``min ½‖w‖²  s.t.  f_n(w) >= c_n``, under a word that is not its own."""

    predictor: Predictor
    data: lm.Dataset
    wanted: tuple[float, ...] = (1.0, 4.0)

    name: ClassVar[str] = "hard-margin"
    equation: ClassVar[str] = "none of the paper"

    def program(self, unit: float = 1.0) -> Program:
        variables = self.block_variables()
        blocks = tuple(variable.name for variable in variables)
        return Program(
            name="uneven",
            equation=self.equation,
            sense=Sense.MINIMIZE,
            objective=Combination(((0.5, SquaredNorm(blocks)),)),
            variables=variables,
            constraints=(
                Constraint(
                    MARGIN,
                    Margins(self.functions, blocks),
                    Relation.AT_LEAST,
                    Wanted(self.wanted),
                    "n",
                ),
            ),
            curvature=self.functions.curvature,
        )

    def theta(self, answers: tuple[StageAnswer, ...], unit: float) -> FloatArray:
        return self.blocks_of(answers[-1])

    def initial_values(self, theta: FloatArray, unit: float) -> dict[str, FloatArray]:
        names = (variable.name for variable in self.block_variables())
        return dict(zip(names, self.functions.blocks(theta), strict=True))

    def objective(self, theta: FloatArray) -> float:
        return 0.5 * float(theta @ theta)


@dataclass(frozen=True)
class Named(Uneven):
    """The same under a word of its own."""

    name: ClassVar[str] = "uneven"


class Steeper(lm.HardMargin):  # type: ignore[misc]
    """A subclass of one of the seven that states another program: f_n(w) >= 2."""

    def program(self, unit: float = 1.0) -> Program:
        program = super().program(unit)
        (constraint,) = program.constraints
        moved = Constraint(MARGIN, constraint.left, constraint.relation, Constant(2.0), "n")
        return Program(
            name="steeper",
            equation=program.equation,
            sense=program.sense,
            objective=program.objective,
            variables=program.variables,
            constraints=(moved,),
            curvature=program.curvature,
        )


class Path(lm.ConstrainedPath):  # type: ignore[misc]
    """A subclass that changes nothing, which nobody but its author knows."""


class Levels(lm.Lexicographic):  # type: ignore[misc]
    """Another."""


class Parts(lm.WSet):  # type: ignore[misc]
    """Another."""


OWN: dict[str, Formulation] = {
    "borrowed word": Uneven(lm.Linear(), TWO),
    "own word": Named(lm.Linear(), TWO),
    "steeper": Steeper(lm.Linear(), TWO),
    "path": Path(lm.Linear(), TWO, 1.0),
    "levels": Levels(lm.Linear(), TWO),
    "w-set": Parts(lm.Linear(), TWO),
}
W = np.array([1.0, 2.0])
# The direction of (1, 0.5) is the hard margin's optimum: the certificate to borrow.
BORROWED = lm.certify(lm.HardMargin(lm.Linear(), TWO), np.array([1.0, 0.5]))
EVIDENCE = Evidence(support=np.arange(2), multipliers=np.ones(2), tau=1e-7)
VERBS: dict[str, Callable[[Formulation], object]] = {
    "certify": lambda problem: lm.certify(problem, W),
    "certify_linear_problem": lambda problem: certify_linear_problem(problem, W, DEFAULT),
    "curves": lambda problem: curves(problem, W),
    "prove": lambda problem: prove(problem, W),
    "receipt": lambda problem: receipt(problem, W, BORROWED),
    "evidence": lambda problem: evidence_for_problem(problem, W, BORROWED),
    "establish": lambda problem: establish_problem(problem, W, DEFAULT, EVIDENCE),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("own", OWN)
def test_the_judge_refuses_what_it_does_not_know(own: str, verb: str) -> None:
    with pytest.raises(UnsupportedError, match="no KKT data of its own") as caught:
        VERBS[verb](OWN[own])
    assert "certify(f=…, jacobian=…" in caught.value.advice


def test_there_was_a_word_to_borrow() -> None:
    assert BORROWED.verdict == "GLOBAL"


@pytest.mark.parametrize(
    ("own", "answer", "word"),
    [
        ("borrowed word", (1.0, 2.0), "Uneven"),
        ("own word", (1.0, 2.0), "uneven"),
        ("steeper", (2.0, 1.0), "Steeper"),
        ("levels", (0.89442719, 0.4472136), "Levels"),
    ],
)
def test_solve_answers_it_and_says_that_nobody_judged(
    own: str, answer: tuple[float, ...], word: str
) -> None:
    solution = solve(OWN[own])
    assert np.allclose(solution.theta[0], answer, atol=1e-4)
    assert solution.judgement is None and solution.polished is None and not solution.levels
    assert solution.problem == word
    assert "none of the paper's problems" in solution.report()
    assert solution.to_json()["unjudged"] == solution.unjudged != ""


def test_data_without_a_separator_do_not_refuse_it() -> None:
    opposite = lm.Dataset([[1.0], [2.0]], [1, -1])
    below = Uneven(lm.Linear(), opposite, (-1.0, -1.0))
    solution = solve(below)
    assert abs(solution.theta[0][0]) < 1e-5 and solution.judgement is None


def test_the_seven_are_judged_as_before() -> None:
    solution = solve(lm.HardMargin(lm.Linear(), TWO))
    assert solution.problem == "hard-margin" and solution.unjudged == ""
    assert solution.certificate is not None and solution.certificate.verdict == "GLOBAL"
    assert "unjudged" not in solution.to_json()
