"""The W-set of a linear part and a bias: the hard-margin SVM with an unregularised bias."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from lexmargin.errors import UnsupportedError
from lexmargin.formulations.base import MARGIN, Formulation
from lexmargin.formulations.w_set import WSet
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, Relation, Sense
from lexmargin.predictors.bias import Bias, BiasForm
from lexmargin.predictors.sums import Member, Sum, linear_and_bias
from lexmargin.program import (
    Combination,
    Constant,
    Constraint,
    Margins,
    Program,
    SquaredNorm,
    Variable,
)

__all__ = [
    "SCORE",
    "SLOPES",
    "bias_samples",
    "first_stage",
    "has_bias",
    "is_score_program",
    "never_negative",
    "score_program",
    "w_set_of_a_bias",
]

SLOPES: Final = "w1"
SCORE: Final = "β"

_FORMS = (BiasForm.SIGNED_SQUARE, BiasForm.TWO_SQUARES, BiasForm.SQUARE)


def has_bias(problem: Formulation) -> bool:
    """Say whether eq. 13 is ``min ‖w‖²  s.t.  y_n (w·x_n + β) >= 1``, β free or β >= 0.

    One linear member and one bias of degree 2, and samples of both classes: with one class alone a
    bias may do it, and the optimum 0 needs no solver.
    """
    if not problem.is_judged or _members(problem) is None:
        return False
    kkt = problem.kkt(np.ones(problem.functions.size))[0]
    if kkt.part != 0 or not kkt.at_one:
        return False
    signs = problem.data.signed
    return bool(np.any(signs != signs[0]))


def w_set_of_a_bias(problem: Formulation) -> WSet | None:
    """Return the problem if it is all levels of eq. 13 for such a predictor, else None."""
    return problem if isinstance(problem, WSet) and has_bias(problem) else None


def bias_samples(problem: Formulation) -> tuple[Any, FloatArray]:
    """Return X (N, p), the columns that the linear member reads, and y (N,) in -1/+1.

    X is sparse where the samples are.

    Only for a linear member with a bias of degree 2.
    """
    linear, _ = _required(problem)
    X = problem.data.samples
    columns = linear.columns
    return (X if columns is None else X[:, list(columns)]), np.asarray(problem.data.signed, float)


def never_negative(problem: Formulation) -> bool:
    """Say whether β >= 0: the paper's literal b²."""
    return _required(problem)[1].form is BiasForm.SQUARE


def score_program(problem: WSet, scale: float) -> Program:
    """Return eq. 13 in the score β of the bias: ``min ½‖v‖²  s.t.  y_n (s v·x_n + β) >= 1``.

    A quadratic program, where eq. 13 in b is none: ``β = b|b|``, ``b_+² - b_-²``, or ``b²``, and
    then ``β >= 0``. ``scale`` is s; w is s v.
    """
    linear, _ = _required(problem)
    functions = MarginFunctions(Sum([linear, Bias(BiasForm.PLAIN)]), problem.data)
    names = (SLOPES, SCORE)
    lowest = (None, 0.0 if never_negative(problem) else None)
    margins = Margins(functions, names, "w", () if scale == 1.0 else (scale, 1.0))
    return Program(
        name=problem.name,
        equation=f"{problem.equation} in the score β of the bias",
        sense=Sense.MINIMIZE,
        objective=Combination(((0.5, SquaredNorm((SLOPES,))),)),
        variables=tuple(map(Variable, names, functions.shapes, lowest)),
        constraints=(Constraint(MARGIN, margins, Relation.AT_LEAST, Constant(1.0), "n"),),
        curvature=functions.curvature,
    )


def is_score_program(program: Program) -> bool:
    """Say whether a program is one of :func:`score_program`."""
    return tuple(variable.name for variable in program.variables) == (SLOPES, SCORE)


def first_stage(
    problem: WSet, w: FloatArray, score: float, multipliers: FloatArray
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Return values and multipliers of the first stage of eq. 13, whose answer this is.

    Args:
        problem: the W-set.
        w, score: w (p,) and β; b is the shortest of that score: ``‖b‖² = |β|``.
        multipliers: λ (N,) of ``min ½‖w‖²``.
    """
    linear, bias = _required(problem)
    root = math.sqrt(abs(score))
    if bias.form is not BiasForm.TWO_SQUARES:
        block = np.array([math.copysign(root, score)])
    else:
        block = np.array([root, 0.0] if score > 0.0 else [0.0, root])
    first = isinstance(problem.predictor, Sum) and problem.predictor.members[0] is linear
    point = np.concatenate([w, block] if first else [block, w])
    # The unknowns of the first stage are w_k/s_k, and its objective has a weight and a divisor.
    values = problem.parts.write(point, problem.parts.natural_scales)
    return values, {MARGIN: multipliers / problem.stage_factor((), 1.0)}


def _members(problem: Formulation) -> tuple[Member, Bias] | None:
    found = linear_and_bias(problem.predictor)
    return found if found is not None and found[1].form in _FORMS else None


def _required(problem: Formulation) -> tuple[Member, Bias]:
    found = _members(problem)
    if found is None:
        raise UnsupportedError(
            "The predictor is no linear score with a bias of its own.", "Ask has_bias first."
        )
    return found
