"""The Euclidean max-margin programs of homogeneous predictors: recognised, and answered alike.

``min ½‖w‖² s.t. f_n(w) >= 1`` and both forms of the margin path have the same directions
(Lemma 1); an algorithm for the first answers all three.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from lexmargin.backends.base import Found, Request
from lexmargin.backends.shape import Form, Shape, shape_of
from lexmargin.errors import UnsupportedError
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.polish.augmented import Inner, in_order
from lexmargin.program import Program
from lexmargin.solution import Claim, Ran

__all__ = ["STATIONARY", "Ended", "HomogeneousProgram", "homogeneous_program"]

STATIONARY: Final = 1e-9
"""A residual up to here is claimed to be stationary; the searches end at 1e-12 to 1e-16."""
_FIRM: Final = 0.2
"""First μ by ‖w‖² where Newton's steps come first: they stand stiffness, and it keeps margins
near."""
_SHARERS: Final = 100.0
"""Samples that are taken to share ‖w‖² at first: λ is about ‖w‖² over the size of the support."""


@final
@dataclass(frozen=True, eq=False)
class Ended:
    """Where a search for a stationary point of the hard margin ended.

    Attributes:
        theta: (d,); with ``min f_n = 1`` where it separates.
        multipliers: λ (count,) of ``θ = Σ λ_n g_n``, g_n gradients or generalised ones.
        residual: the largest relative violation of what such a point meets, kinks included.
        separates: whether every margin is positive.
        rounds: programs solved.
        out_of_time: the deadline ended the search.
    """

    theta: FloatArray
    multipliers: FloatArray
    residual: float
    separates: bool
    rounds: int
    out_of_time: bool


@final
@dataclass(frozen=True, eq=False)
class HomogeneousProgram:
    """A program whose solutions are those of ``min ½‖w‖² s.t. f_n(w) >= 1`` up to scale.

    Attributes:
        functions: the f_n, in the program's unit.
        degree: α of Definition 1.
        blocks: names of the variables of w.
        shape: the form of the program and the names in it.
    """

    functions: MarginFunctions
    degree: float
    blocks: tuple[str, ...]
    shape: Shape

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

    def found(
        self, ended: Ended, request: Request, status: str, unfinished: Ran = Ran.NUMERICAL
    ) -> Found:
        """Return what a search found, with its claim; ``unfinished`` is a residual too large."""
        ran, claim = unfinished, Claim.NOTHING
        if ended.out_of_time:
            ran = Ran.TIME_LIMIT
        elif not ended.separates:
            ran, claim = Ran.FINISHED, Claim.LOCALLY_INFEASIBLE
        elif ended.residual <= STATIONARY:
            ran, claim = Ran.FINISHED, Claim.LOCALLY_OPTIMAL
        values, duals = self.answer(ended.theta, ended.multipliers, request.parameters)
        duals = duals if ended.separates else {}
        return Found(ran, status, claim, values=values, multipliers=duals, iterations=ended.rounds)

    def answer(
        self, w: FloatArray, multipliers: FloatArray, parameters: Mapping[str, float]
    ) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
        """Return values and multipliers of the program from those of the hard margin.

        ``w = Σ λ_n ∇f_n(w)`` with margin 1 becomes ``2 c^{2-α} λ`` at ``c w`` for the min-norm
        form, ``c = γ^{1/α}``, and ``λ/Σλ`` for the max form. A point that does not separate is
        returned with the multipliers as they are.
        """
        lam, shape = multipliers, self.shape
        level: dict[str, FloatArray] = {}
        duals: dict[str, FloatArray] = {}
        if shape.form is Form.MIN_NORM:
            stretch = parameters[shape.level] ** (1.0 / self.degree)
            w, lam = stretch * w, 2.0 * stretch ** (2.0 - self.degree) * lam
        elif shape.form is Form.MAX:
            size = float(np.linalg.norm(w))
            squared = parameters[shape.radius]
            w = w * (np.sqrt(squared) / size) if size > 0 else w
            reached = float(self.functions.values(w).min())
            level[shape.level] = np.array(reached)
            total = float(lam.sum())
            lam = lam / total if total > 0 else lam
            duals[shape.ball] = np.array(max(0.0, 0.5 * self.degree * reached / squared))
        blocks = self.functions.blocks(w)
        values = dict(zip(self.blocks, blocks, strict=True)) | level
        return values, {shape.margin: lam, **duals}


def homogeneous_program(program: Program) -> HomogeneousProgram:
    """Return what a max-margin program is made of.

    Raises:
        UnsupportedError: another program, another norm, or a predictor that is not homogeneous.
    """
    found = shape_of(program)
    degree = None if found is None else found.margins.functions.homogeneity.degree
    squared = found is not None and found.loss is None and (found.norm, found.power) == (2.0, 2.0)
    if found is None or degree is None or not squared:
        raise UnsupportedError(
            f"This {program.name} program is not a Euclidean max-margin problem of a homogeneous "
            "predictor.",
            "Use ipopt, or clarabel if the program is convex.",
        )
    return HomogeneousProgram(found.margins.functions, degree, found.margins.blocks, found)
