"""The Euclidean max-margin programs of homogeneous predictors: recognised, and answered alike.

``min ½‖w‖² s.t. f_n(w) >= 1`` and both forms of the margin path have the same directions
(Lemma 1); an algorithm for the first answers all three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, final

import numpy as np

from lexmargin.errors import UnsupportedError
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, Relation, Sense
from lexmargin.polish.augmented import Inner, in_order
from lexmargin.program import (
    Combination,
    Constant,
    Margins,
    Parameter,
    Program,
    SquaredNorm,
    Variable,
)

__all__ = ["HomogeneousProgram", "homogeneous_program"]

_FIRM: Final = 0.2
_SHARERS: Final = 100.0


class _Form(Enum):
    HARD = "½‖w‖² s.t. f_n(w) >= 1"
    MIN_NORM = "‖w‖² s.t. f_n(w) >= γ"
    MAX = "t s.t. f_n(w) >= t, ‖w‖² <= ρ²"


@final
@dataclass(frozen=True, eq=False)
class HomogeneousProgram:
    """A program whose solutions are those of ``min ½‖w‖² s.t. f_n(w) >= 1`` up to scale.

    Attributes:
        functions: the f_n, in the program's unit.
        degree: α of Definition 1.
        blocks: names of the variables of w.
    """

    functions: MarginFunctions
    degree: float
    blocks: tuple[str, ...]
    _form: _Form
    _margin: str
    _level: str
    _ball: str
    _ball_radius: str

    def flat(self, values: Mapping[str, FloatArray]) -> FloatArray:
        """Return w, flat, from the values of the program's variables."""
        return self.functions.flatten([values[name] for name in self.blocks])

    def scaled(self, w: FloatArray, level: float) -> FloatArray:
        """Return w where margins of size ``level`` become 1; w itself for a level of no use."""
        return w * level ** (-1.0 / self.degree) if np.isfinite(level) and level > 0.0 else w

    def wide(self, w: FloatArray) -> FloatArray:
        """Return w at the scale where the median of |f_n| is 3.

        From well above margin 1 no unit dies on the way down; quadratic and relu² units that are
        dead stay so, being of degree 3.
        """
        return self.scaled(w, float(np.median(np.abs(self.functions.values(w)))) / 3.0)

    def first_penalty(self, w: FloatArray) -> float:
        """Return the first μ of an augmented Lagrangian that starts from :meth:`wide`.

        μ about ``100 ‖w‖²/N``, at most ``‖w‖²``: Σλ is ``‖w‖²/α``, and the more samples share it,
        the less each has to fall short for its part. Never less than ``‖w‖²/5`` where Newton's
        steps come first: stiffness costs them nothing, and firm rounds end at smaller norms.
        """
        least = _FIRM if in_order(self.functions)[0] is Inner.NEWTON else 0.0
        return float(w @ w) * min(1.0, max(least, _SHARERS / self.functions.count))

    def answer(
        self, w: FloatArray, multipliers: FloatArray, parameters: Mapping[str, float]
    ) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
        """Return values and multipliers of the program from those of the hard margin.

        ``w = Σ λ_n ∇f_n(w)`` with margin 1 becomes ``2 c^{2-α} λ`` at ``c w`` for the min-norm
        form, ``c = γ^{1/α}``, and ``λ/Σλ`` for the max form. A point that does not separate is
        returned with the multipliers as they are.
        """
        lam = multipliers
        level: dict[str, FloatArray] = {}
        duals: dict[str, FloatArray] = {}
        if self._form is _Form.MIN_NORM:
            stretch = parameters[self._level] ** (1.0 / self.degree)
            w, lam = stretch * w, 2.0 * stretch ** (2.0 - self.degree) * lam
        elif self._form is _Form.MAX:
            size = float(np.linalg.norm(w))
            squared = parameters[self._ball_radius]
            w = w * (np.sqrt(squared) / size) if size > 0 else w
            reached = float(self.functions.values(w).min())
            level[self._level] = np.array(reached)
            total = float(lam.sum())
            lam = lam / total if total > 0 else lam
            duals[self._ball] = np.array(max(0.0, 0.5 * self.degree * reached / squared))
        blocks = self.functions.blocks(w)
        values = dict(zip(self.blocks, blocks, strict=True)) | level
        return values, {self._margin: lam, **duals}


def homogeneous_program(program: Program) -> HomogeneousProgram:
    """Return what a max-margin program is made of.

    Raises:
        UnsupportedError: another program, another norm, or a predictor that is not homogeneous.
    """
    refusal = UnsupportedError(
        f"This {program.name} program is not a Euclidean max-margin problem of a homogeneous "
        "predictor.",
        "Use ipopt, or clarabel if the program is convex.",
    )
    margins = [c for c in program.constraints if isinstance(c.left, Margins)]
    if len(margins) != 1 or margins[0].relation is not Relation.AT_LEAST:
        raise refusal
    constraint = margins[0]
    left, right = constraint.left, constraint.right
    assert isinstance(left, Margins)
    degree = left.functions.homogeneity.degree
    if degree is None or left.factors:
        raise refusal
    rest = [c for c in program.constraints if c is not constraint]
    terms = program.objective
    form: _Form | None = None
    level = ball = radius = ""
    if not rest and program.sense is Sense.MINIMIZE:
        if isinstance(right, Constant) and right.value == 1.0 and isinstance(terms, Combination):
            halves = terms.terms
            if len(halves) == 1 and halves[0][0] == 0.5 and _is_size(halves[0][1], left.blocks):
                form = _Form.HARD
        elif isinstance(right, Parameter) and _is_size(terms, left.blocks):
            form, level = _Form.MIN_NORM, right.name
    elif len(rest) == 1 and program.sense is Sense.MAXIMIZE and isinstance(right, Variable):
        bound = rest[0].right
        wanted = terms.terms if isinstance(terms, Combination) else ()
        if (
            wanted == ((1.0, right),)
            and _is_size(rest[0].left, left.blocks)
            and rest[0].relation is Relation.AT_MOST
            and isinstance(bound, Parameter)
        ):
            form, level, ball, radius = _Form.MAX, right.name, rest[0].name, bound.name
    if form is None:
        raise refusal
    return HomogeneousProgram(
        functions=left.functions,
        degree=degree,
        blocks=left.blocks,
        _form=form,
        _margin=constraint.name,
        _level=level,
        _ball=ball,
        _ball_radius=radius,
    )


def _is_size(expression: object, blocks: tuple[str, ...]) -> bool:
    return isinstance(expression, SquaredNorm) and expression.blocks == blocks
