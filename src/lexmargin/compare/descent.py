"""Gradient descent as a baseline: the margin functions of a program, followed for a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.backends.base import Backend, Compiled, Found, Request
from lexmargin.backends.options import Options, whole_number
from lexmargin.backends.shape import Form, shape_of
from lexmargin.errors import UnsupportedError
from lexmargin.linalg.norms import vector_norm
from lexmargin.paths import Loss, descend
from lexmargin.program import Margins, Program
from lexmargin.solution import Ran

__all__ = ["DescentBackend"]


@final
class DescentBackend(Backend):
    """Descent on the loss (eq. 4): by Theorem 2 its direction tends to a KKT point."""

    def available(self, solver: str) -> str:
        return "" if solver in list(Loss) else f"Descent knows the losses {', '.join(Loss)}."

    def compile(self, program: Program) -> _Descending:
        return _Descending(program)


@final
@dataclass(frozen=True, kw_only=True)
class _Options(Options):
    method = "Gradient descent"

    seed: int = whole_number(0)
    steps: int = whole_number(20_000, least=1)


@final
class _Descending(Compiled):
    def _build(self) -> None:
        found = shape_of(self.program)
        if found is None or found.form is not Form.HARD:
            raise UnsupportedError(
                f"Gradient descent answers hard-margin problems, not {self.program.name}.",
                "Choose a solver of programs.",
            )
        self.margins: Margins = found.margins

    def _run(self, request: Request) -> Found:
        functions = self.margins.functions
        given = [request.values[name] for name in self.margins.blocks] if request.started else None
        options = _Options.read(request.settings)
        path = descend(
            functions.predictor,
            functions.data,
            loss=Loss(request.settings.solver),
            start=given,
            seed=options.seed,
            steps=options.steps,
            record=[options.steps],
            polish=False,
        )
        theta = functions.flatten(list(path.theta))
        margin = float(functions.values(theta / (vector_norm(theta, 2.0) or 1.0)).min())
        if margin > 0:
            # The hard margin's w is the point of that direction with smallest margin 1.
            degree = functions.homogeneity.degree or 1.0
            theta = theta / vector_norm(theta, 2.0) * margin ** (-1.0 / degree)
        blocks = functions.blocks(np.asarray(theta))
        # A path ends by its length and never by reaching the limit: it claims nothing.
        return Found(
            Ran.FINISHED,
            f"{path.reason.value} after {path.steps} steps",
            values=dict(zip(self.margins.blocks, blocks, strict=True)),
            iterations=path.steps,
        )
