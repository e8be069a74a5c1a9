"""The chain of optimal faces as a backend, for lexicographic problems with linear scores."""

from __future__ import annotations

from typing import final

import numpy as np

from lexmargin.backends.base import Backend, Compiled
from lexmargin.backends.levels.face import solve_face, supports_face
from lexmargin.errors import UnsupportedError
from lexmargin.formulations.base import Formulation
from lexmargin.formulations.lexicographic import Lexicographic
from lexmargin.program import Program
from lexmargin.solution import Claim, Ran, RawAnswer, SolverSettings

__all__ = ["FaceBackend"]


@final
class FaceBackend(Backend):
    """Definition 5 by saturation: linear scores, in any norm."""

    def available(self, solver: str) -> str:
        return ""

    def suits(self, problem: Formulation) -> bool:
        levels = _levels(problem)
        return levels is not None and levels.saturates and supports_face(levels)

    def compile(self, program: Program) -> Compiled:
        raise UnsupportedError(
            f"The face method answers lexicographic problems as a whole, not {program.name}.",
            "Use --solver auto.",
        )

    def whole(self, problem: Formulation, settings: SolverSettings) -> RawAnswer | None:
        levels = _levels(problem)
        if levels is None:
            return None
        answer = solve_face(levels)
        blocks = problem.functions.blocks(answer.theta)
        names = [variable.name for variable in problem.block_variables()]
        values = dict(zip(names, blocks, strict=True))
        first = answer.levels[0].multipliers
        return RawAnswer(
            values={name: np.asarray(block) for name, block in values.items()},
            multipliers={} if first is None else {"margin": first},
            ran=Ran.FINISHED,
            claim=Claim.OPTIMAL,
            raw_status=f"{len(answer.levels)} levels, {answer.solves} linear programs",
            iterations=answer.solves,
            solve_seconds=answer.seconds,
            levels=answer.levels,
        )


def _levels(problem: Formulation) -> Lexicographic | None:
    return problem if isinstance(problem, Lexicographic) else None
