"""What a program is made of is read off its expressions: near misses are another program."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.backends.shape import Form, Shape, shape_of
from lexmargin.formulations.base import Formulation, StageAnswer
from lexmargin.losses import Loss
from lexmargin.ops.base import Relation, Sense
from lexmargin.program import Combination, Constant, Norm, Parameter, Power, Program, SquaredNorm
from uneven_margin import Uneven

TWO = lm.Dataset([[1, 0], [0, 2]], [1, 1], one_class=True)
NET = lm.DiagonalNetwork(2)


def linear(norm: float = 2.0) -> lm.HardMargin:
    return lm.HardMargin(lm.Linear(), TWO, norm=norm)


# form, p, q, level, radius
FORMS: dict[str, tuple[Formulation, tuple[Form, float, float, str, str]]] = {
    "hard": (linear(), (Form.HARD, 2.0, 2.0, "", "")),
    "hard l1": (linear(1.0), (Form.HARD, 1.0, 2.0, "", "")),
    "max": (lm.MarginPath(NET, TWO, rho=3.0), (Form.MAX, 2.0, 2.0, "t", "ρ²")),
    "max linf": (lm.MarginPath(NET, TWO, rho=3.0, norm=np.inf), (Form.MAX, np.inf, 1.0, "t", "ρ")),
    "least norm": (
        lm.MarginPath(NET, TWO, rho=1.0, gamma=2.0, norm=1.5),
        (Form.MIN_NORM, 1.5, 2.0, "γ", ""),
    ),
    "ball": (lm.ConstrainedPath(lm.Linear(), TWO, rho=2.0), (Form.BALL, 2.0, 1.0, "", "ρ")),
    "ball net": (lm.ConstrainedPath(NET, TWO, rho=2.0), (Form.BALL, 2.0, 2.0, "", "ρ²")),
    "penalty": (
        lm.RegularizationPath(lm.Linear(), TWO, strength=0.1, norm=1.0),
        (Form.PENALTY, 1.0, 2.0, "", ""),
    ),
}


def stated(name: str) -> tuple[Program, Shape]:
    program = FORMS[name][0].program()
    found = shape_of(program)
    assert found is not None
    return program, found


@pytest.mark.parametrize("name", list(FORMS))
def test_forms_of_the_formulations(name: str) -> None:
    program, found = stated(name)
    assert (found.form, found.norm, found.power, found.level, found.radius) == FORMS[name][1]
    assert found.affine is (FORMS[name][0].predictor == lm.Linear())
    assert {found.margin, found.ball} - {""} == {c.name for c in program.constraints}
    assert found.margins.blocks == tuple(v.name for v in program.variables if v.name[0] == "w")


def test_losses_and_their_factors() -> None:
    path = lm.ConstrainedPath(lm.Linear(), TWO, rho=2.0, loss=Loss.LOGISTIC)
    first = path.program()
    ball = stated("ball")[1].loss
    assert ball is not None and ball.logarithm and ball.loss.kind is Loss.EXPONENTIAL
    values = path.initial_values(np.ones(2), 1.0)
    second = path.next_program((StageAnswer(values, {}),))
    assert second is not None and second != first
    found = shape_of(second)
    assert found is not None and found.loss is not None
    assert found.loss.loss.kind is Loss.LOGISTIC
    penalty = stated("penalty")[1].loss
    assert penalty is not None and penalty.loss.kind is Loss.EXPONENTIAL
    # μ/1 beside e^{-log μ} L: once the loss has the factor 1, the penalty has μ.
    assert penalty.log_strength == pytest.approx(math.log(0.1))


def changed(name: str) -> dict[str, Program]:
    program, found = stated(name)
    size = SquaredNorm(found.margins.blocks)
    own, *rest = program.constraints
    return {
        "half the costs": replace(program, objective=Combination(((0.25, size),))),
        "two costs": replace(program, objective=Combination(((0.5, size), (0.5, size)))),
        "part of the blocks": replace(
            program, objective=Combination(((0.5, SquaredNorm(found.margins.blocks[:-1])),))
        ),
        "another power": replace(
            program, objective=Combination(((0.5, Power(Norm(found.margins.blocks), 3.0)),))
        ),
        "another level": replace(program, constraints=(replace(own, right=Constant(2.0)), *rest)),
        "the other side": replace(
            program, constraints=(replace(own, relation=Relation.AT_MOST), *rest)
        ),
        "twice": replace(program, constraints=(own, own)),
        "scaled": replace(
            program,
            constraints=(replace(own, left=replace(found.margins, factors=(2.0,))), *rest),
        ),
        "also in a ball": replace(
            program,
            constraints=(own, replace(own, name="ball", left=size, relation=Relation.AT_MOST)),
        ),
        "maximised": replace(program, sense=Sense.MAXIMIZE),
    }


@pytest.mark.parametrize("how", list(changed("hard")))
def test_near_misses_are_other_programs(how: str) -> None:
    assert shape_of(changed("hard")[how]) is None


def test_balls_that_are_no_balls() -> None:
    program, _ = stated("max")
    margin, ball = program.constraints
    for other in (
        replace(ball, right=Constant(4.0)),
        replace(ball, relation=Relation.AT_LEAST),
        replace(ball, left=SquaredNorm(("w1",))),
    ):
        assert shape_of(replace(program, constraints=(margin, other))) is None
    loss, _ = stated("ball net")
    assert shape_of(replace(loss, constraints=loss.constraints * 2)) is None
    assert shape_of(replace(loss, constraints=())) is None


@pytest.mark.parametrize(
    "problem",
    [
        lm.ScaledMargin(NET, TWO, gamma=2.0),
        lm.WSet(NET, TWO),
        lm.Lexicographic(lm.Linear(), TWO),
        Uneven(lm.Linear(), TWO, (1.0, 1.0), (1.0, 4.0)),
    ],
    ids=["eq. 14", "eq. 13", "levels", "own levels"],
)
def test_other_formulations_have_no_shape(problem: Formulation) -> None:
    assert shape_of(problem.program()) is None


def test_whoever_states_a_hard_margin_is_answered_by_its_methods() -> None:
    program = replace(stated("hard")[0], name="of my own")
    found = shape_of(program)
    assert found is not None and found.form is Form.HARD
    assert shape_of(replace(program, parameters=(Parameter("c", 1.0),))) is not None
