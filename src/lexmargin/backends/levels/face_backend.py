"""The chain of optimal faces as a backend, for lexicographic problems with linear scores."""

from __future__ import annotations

from typing import final

import numpy as np

from lexmargin.backends.base import Backend, Compiled, Found
from lexmargin.errors import UnsupportedError
from lexmargin.formulations.base import Formulation
from lexmargin.formulations.lexicographic import Lexicographic
from lexmargin.program import Program
from lexmargin.solution import Claim, Ran, SolverSettings

__all__ = ["FaceBackend"]


@final
class FaceBackend(Backend):
    """Definition 5 by saturation: linear scores, in any norm."""

    imports = ("lexmargin.backends.levels.face",)

    def suits(self, problem: Formulation) -> bool:
        levels = _levels(problem)
        if levels is None or not levels.saturates:
            return False
        from lexmargin.backends.levels.face import supports_face

        return supports_face(levels)

    def compile(self, program: Program) -> Compiled:
        raise UnsupportedError(
            f"The face method answers lexicographic problems as a whole, not {program.name}.",
            "Use --solver auto.",
        )

    def _whole(self, problem: Formulation, settings: SolverSettings) -> Found | None:
        levels = _levels(problem)
        if levels is None:
            return None
        from lexmargin.backends.levels.face import solve_face

        answer = solve_face(levels)
        blocks = problem.functions.blocks(answer.theta)
        names = [variable.name for variable in problem.block_variables()]
        values = dict(zip(names, blocks, strict=True))
        first = answer.levels[0].multipliers
        return Found(
            Ran.FINISHED,
            f"{len(answer.levels)} levels, {answer.solves} linear programs",
            Claim.OPTIMAL,
            values={name: np.asarray(block) for name, block in values.items()},
            multipliers={} if first is None else {"margin": first},
            iterations=answer.solves,
            levels=answer.levels,
        )


def _levels(problem: Formulation) -> Lexicographic | None:
    return problem if isinstance(problem, Lexicographic) else None
