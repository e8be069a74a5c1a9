"""What a program is made of, read off its expressions in one place and asked by every method.

A method suits a program for what it says, not for the formulation that wrote it: whoever states a
hard margin in a class of their own is answered by the methods for hard margins.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import final

import numpy as np

from lexmargin.losses import Loss, SampleLoss
from lexmargin.ops.base import FloatArray, Relation, Sense
from lexmargin.ops.curvature import Curvature
from lexmargin.program import (
    Combination,
    Constant,
    Constraint,
    ExponentialLoss,
    Expression,
    LogisticLoss,
    LogLoss,
    Margins,
    Norm,
    Parameter,
    Power,
    Program,
    SquaredNorm,
    Variable,
)

__all__ = ["Form", "LossTerm", "Shape", "shape_of"]


class Form(Enum):
    """How margins or a loss and the size of w stand together."""

    HARD = "min ½‖w‖² s.t. f_n(w) >= 1"
    MIN_NORM = "min ‖w‖² s.t. f_n(w) >= γ"
    MAX = "max t s.t. f_n(w) >= t, ‖w‖^q <= ρ^q"
    BALL = "min loss(w) s.t. ‖w‖^q <= ρ^q"
    PENALTY = "min loss(w) + μ‖w‖^q"


@final
@dataclass(frozen=True)
class LossTerm:
    """A loss of the margins.

    Attributes:
        loss: L, with the factors of its terms.
        logarithm: whether its logarithm stands in the program.
        log_strength: log μ of the penalty beside it, once the loss has the factor 1.
    """

    loss: SampleLoss
    logarithm: bool = False
    log_strength: float = 0.0


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Shape:
    """A program of one of the forms.

    Attributes:
        form: which; its size is of all blocks of w and no other.
        margins: the f_n, of w as it is.
        affine: f_n are affine in w.
        norm, power: p and q of ``‖w‖_p^q``.
        loss: in place of a smallest margin.
        margin, ball: names of the constraints.
        level, radius: names of what stands on their right: γ or t, and ρ^q.
    """

    form: Form
    margins: Margins
    affine: bool = field(default=False)
    norm: float = 2.0
    power: float = 2.0
    loss: LossTerm | None = None
    margin: str = ""
    ball: str = ""
    level: str = ""
    radius: str = ""


def shape_of(program: Program) -> Shape | None:
    """Return what a program is made of; None for one of another form."""
    held = [c for c in program.constraints if isinstance(c.left, Margins)]
    rest = [c for c in program.constraints if not isinstance(c.left, Margins)]
    if len(held) == 1 and held[0].relation is Relation.AT_LEAST:
        return _of_margins(program, held[0], rest)
    if held or program.sense is not Sense.MINIMIZE:
        return None
    return _of_loss(program, rest)


def _of_margins(program: Program, held: Constraint, rest: list[Constraint]) -> Shape | None:
    margins, right, objective = held.left, held.right, program.objective
    factor, size = _term(objective)
    if not isinstance(margins, Margins):
        return None
    form, ball, radius = Form.HARD, "", ""
    if program.sense is Sense.MAXIMIZE:
        found = _ball(rest)
        if found is None or not isinstance(right, Variable) or (factor, size) != (1.0, right):
            return None
        form, (ball, radius, size) = Form.MAX, found
    elif rest or not (isinstance(right, Parameter) or right == Constant(1.0)):
        return None
    elif isinstance(right, Parameter):
        form, wanted = Form.MIN_NORM, 1.0
    else:
        wanted = 0.5
    read = _size(size, margins)
    if read is None:
        return None
    if form is not Form.MAX and (factor != wanted or read[1] != 2.0):
        return None
    return Shape(
        form=form,
        margins=margins,
        affine=program.curvature <= Curvature.AFFINE,
        norm=read[0],
        power=read[1],
        margin=held.name,
        ball=ball,
        level=right.name if isinstance(right, (Parameter, Variable)) else "",
        radius=radius,
    )


def _of_loss(program: Program, rest: list[Constraint]) -> Shape | None:
    terms = _terms(program.objective)
    found = _ball(rest)
    if found is not None and len(terms) == 1:
        form, (ball, radius, size) = Form.BALL, found
    elif not rest and len(terms) == 2 and terms[1][0] == 1.0:
        form, (ball, radius, size) = Form.PENALTY, ("", "", terms[1][1])
    else:
        return None
    loss = _loss(*terms[0], form)
    read = None if loss is None else _size(size, loss[0])
    if loss is None or read is None:
        return None
    return Shape(
        form=form,
        margins=loss[0],
        affine=program.curvature <= Curvature.AFFINE,
        norm=read[0],
        power=read[1],
        loss=loss[1],
        ball=ball,
        radius=radius,
    )


def _terms(expression: Expression) -> tuple[tuple[object, Expression], ...]:
    return expression.terms if isinstance(expression, Combination) else ((1.0, expression),)


def _term(expression: Expression) -> tuple[object, Expression]:
    """Return c and e of an objective ``c e``; the objective itself where it has more terms."""
    terms = _terms(expression)
    return terms[0] if len(terms) == 1 else (1.0, expression)


def _ball(rest: list[Constraint]) -> tuple[str, str, Expression] | None:
    """Return the names of ``‖w‖^q <= ρ^q`` and of its right side, and what stands left."""
    if len(rest) != 1 or rest[0].relation is not Relation.AT_MOST:
        return None
    right = rest[0].right
    return (rest[0].name, right.name, rest[0].left) if isinstance(right, Parameter) else None


def _size(expression: Expression, margins: Margins) -> tuple[float, float] | None:
    """Return p and q of ``‖w‖_p^q`` of the blocks that the margins are functions of."""
    base, power = expression, 1.0
    if isinstance(expression, Power):
        base, power = expression.base, expression.exponent
    if margins.factors or not isinstance(base, (SquaredNorm, Norm)):
        return None
    if base.blocks != margins.blocks:
        return None
    return (2.0, 2.0 * power) if isinstance(base, SquaredNorm) else (base.p, power)


def _loss(factor: object, term: Expression, form: Form) -> tuple[Margins, LossTerm] | None:
    if not isinstance(factor, float) or not factor > 0.0:
        return None
    if isinstance(term, LogisticLoss) and (factor == 1.0 or form is Form.PENALTY):
        kind = Loss.LOGISTIC if term.group == 1 else Loss.CROSS_ENTROPY
        loss = SampleLoss(kind, term.group + 1, _logs(term.offsets))
        return term.margins, LossTerm(loss, False, -math.log(factor))
    if factor != 1.0:
        return None
    if isinstance(term, LogLoss) and form is Form.BALL:
        return term.margins, LossTerm(_exponential(term.offsets), True)
    if isinstance(term, ExponentialLoss) and form is Form.PENALTY:
        return term.margins, LossTerm(_exponential(term.offsets), False, -term.shift)
    return None


def _exponential(offsets: tuple[float, ...]) -> SampleLoss:
    return SampleLoss(Loss.EXPONENTIAL, 2, _logs(offsets))


def _logs(offsets: tuple[float, ...]) -> FloatArray | None:
    return np.array(offsets) if offsets else None
