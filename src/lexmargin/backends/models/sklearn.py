"""Soft-margin machines as baselines: LIBSVM and LIBLINEAR with a very large C."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from typing import Any, Final, final

import numpy as np

from lexmargin.backends.base import Backend, Compiled, import_problem, no_answer
from lexmargin.backends.capture import captured
from lexmargin.errors import UnsupportedError
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature
from lexmargin.program import Combination, Margins, Program, SquaredNorm
from lexmargin.solution import Claim, Ran, RawAnswer, SolverSettings

__all__ = ["SklearnBackend"]

_SVC: Final = "SVC"
_LINEAR_SVC: Final = "LinearSVC"


@final
class SklearnBackend(Backend):
    """The ℓ2 hard margin of linear margin functions ``f_n = θ·z_n``, as a classification of ±z_n.

    The mirrored samples make the intercept of SVC zero by symmetry, so that it solves the same
    problem; LinearSVC is asked for none, because it would regularise it.
    """

    def available(self, solver: str) -> str:
        if solver not in (_SVC, _LINEAR_SVC):
            return f"There is no baseline {solver!r}; use {_SVC} or {_LINEAR_SVC}."
        return import_problem(["sklearn.svm"])

    def compile(self, program: Program) -> _Machine:
        return _Machine(program)


@final
class _Machine(Compiled):
    def __init__(self, program: Program) -> None:
        margins, objective = program.hard_margin, program.objective
        euclidean = isinstance(objective, Combination) and isinstance(
            objective.terms[0][1], SquaredNorm
        )
        if margins is None or not euclidean or program.curvature > Curvature.AFFINE:
            raise UnsupportedError(
                "scikit-learn's machines answer the ℓ2 hard margin of linear predictors only.",
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
        z = functions.jacobian(np.zeros(functions.size))
        labels = np.repeat([1.0, -1.0], z.shape[0])
        machine = _machine(settings)
        began = time.perf_counter()
        with captured(settings.verbose), warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                machine.fit(np.vstack([z, -z]), labels)
            except ValueError as error:
                return no_answer(Ran.CRASHED, f"ValueError: {error}")
        seconds = time.perf_counter() - began
        stopped = [str(w.message) for w in warned if "onverge" in str(w.message)]
        theta = np.asarray(machine.coef_, dtype=float).reshape(-1)
        return RawAnswer(
            values=dict(zip(self.margins.blocks, functions.blocks(theta), strict=True)),
            multipliers={},
            ran=Ran.ITERATION_LIMIT if stopped else Ran.FINISHED,
            # They say that their own tolerance was met on the soft-margin problem.
            claim=Claim.NOTHING if stopped else Claim.OPTIMAL,
            raw_status=stopped[0] if stopped else "converged",
            iterations=int(np.max(machine.n_iter_)),
            solve_seconds=seconds,
        )


def _machine(settings: SolverSettings) -> Any:
    from sklearn.svm import SVC, LinearSVC

    options = dict(settings.options)
    if settings.solver == _SVC:
        return SVC(kernel="linear", **options)
    return LinearSVC(fit_intercept=False, **options)
