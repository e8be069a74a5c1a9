"""Gradient descent as a baseline: the margin functions of a program, followed for a while."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import final

import numpy as np

from lexmargin.backends.base import Backend, Compiled
from lexmargin.errors import UnsupportedError
from lexmargin.linalg.norms import vector_norm
from lexmargin.ops.base import FloatArray
from lexmargin.paths import Loss, descend
from lexmargin.program import Margins, Program
from lexmargin.solution import Claim, Ran, RawAnswer, SolverSettings

__all__ = ["DescentBackend"]

_STEPS = 20_000


@final
class DescentBackend(Backend):
    """Descent on the loss (eq. 4): by Theorem 2 its direction tends to a KKT point."""

    def available(self, solver: str) -> str:
        return "" if solver in list(Loss) else f"Descent knows the losses {', '.join(Loss)}."

    def compile(self, program: Program) -> _Descending:
        return _Descending(program)


@final
class _Descending(Compiled):
    def __init__(self, program: Program) -> None:
        margins = program.hard_margin
        if margins is None:
            raise UnsupportedError(
                f"Gradient descent answers hard-margin problems, not {program.name}.",
                "Choose a solver of programs.",
            )
        self.program = program
        self.margins: Margins = margins

    def solve(
        self,
        settings: SolverSettings,
        start: Mapping[str, FloatArray] | None = None,
        parameters: Mapping[str, float] | None = None,
        multipliers: Mapping[str, FloatArray] | None = None,
    ) -> RawAnswer:
        functions = self.margins.functions
        given = None if start is None else [start[name] for name in self.margins.blocks]
        seed = int(settings.options.get("seed", 0))
        steps = int(settings.options.get("steps", _STEPS))
        began = time.perf_counter()
        path = descend(
            functions.predictor,
            functions.data,
            loss=Loss(settings.solver),
            start=given,
            seed=seed,
            steps=steps,
            record=[steps],
            polish=False,
        )
        seconds = time.perf_counter() - began
        theta = functions.flatten(list(path.theta))
        margin = float(functions.values(theta / (vector_norm(theta, 2.0) or 1.0)).min())
        if margin > 0:
            # The hard margin's w is the point of that direction with smallest margin 1.
            degree = functions.homogeneity.degree or 1.0
            theta = theta / vector_norm(theta, 2.0) * margin ** (-1.0 / degree)
        blocks = functions.blocks(np.asarray(theta))
        return RawAnswer(
            values=dict(zip(self.margins.blocks, blocks, strict=True)),
            multipliers={},
            # A path ends by its length and never by reaching the limit: it claims nothing.
            ran=Ran.FINISHED,
            claim=Claim.NOTHING,
            raw_status=f"{path.reason.value} after {path.steps} steps",
            iterations=path.steps,
            solve_seconds=seconds,
        )
