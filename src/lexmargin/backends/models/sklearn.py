"""Soft-margin machines as baselines: LIBSVM and LIBLINEAR with a very large C."""

from __future__ import annotations

import warnings
from typing import Any, Final, final

import numpy as np

from lexmargin.backends.base import Backend, Compiled, Found, Request
from lexmargin.backends.capture import captured
from lexmargin.backends.linear.free_bias import is_score_program
from lexmargin.backends.shape import Form, shape_of
from lexmargin.errors import UnsupportedError
from lexmargin.program import Margins, Program
from lexmargin.solution import Claim, Ran, SolverSettings

__all__ = ["SklearnBackend"]

_SVC: Final = "SVC"
_LINEAR_SVC: Final = "LinearSVC"


@final
class SklearnBackend(Backend):
    """The ℓ2 hard margin of linear margin functions ``f_n = θ·z_n``, as a classification of ±z_n.

    The mirrored samples make the intercept of SVC zero by symmetry, so that it solves the same
    problem; LinearSVC is asked for none, because it would regularise it. With a free bias SVC is
    shown the samples as they are, and its intercept is the bias.
    """

    imports = ("sklearn.svm",)

    def available(self, solver: str) -> str:
        if solver not in (_SVC, _LINEAR_SVC):
            return f"There is no baseline {solver!r}; use {_SVC} or {_LINEAR_SVC}."
        return super().available(solver)

    def compile(self, program: Program) -> _Machine:
        return _Machine(program)


@final
class _Machine(Compiled):
    def _build(self) -> None:
        found, program = shape_of(self.program), self.program
        self.free = False
        hard = found is not None and found.form is Form.HARD and found.norm == 2.0
        if found is not None and hard and found.affine:
            self.margins: Margins = found.margins
        elif is_score_program(program):
            self.free = True
            self.margins = program.constraints[0].margins
        else:
            raise UnsupportedError(
                "scikit-learn's machines answer the ℓ2 hard margin of linear predictors only.",
                "Choose a solver of programs.",
            )

    def _run(self, request: Request) -> Found:
        functions, free = self.margins.functions, self.free
        if free:
            self._check_bias(request.settings.solver)
        z = functions.jacobian(np.zeros(functions.size))
        X, labels = np.vstack([z, -z]), np.repeat([1.0, -1.0], z.shape[0])
        if free:
            labels = np.asarray(functions.signs)
            X = labels[:, None] * z[:, :-1] * (self.margins.factors or (1.0,))[0]
        machine = _machine(request.settings)
        with captured(request.settings.verbose), warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                machine.fit(X, labels)
            except ValueError as error:
                return Found(Ran.CRASHED, f"ValueError: {error}")
        stopped = [str(w.message) for w in warned if "onverge" in str(w.message)]
        theta = np.asarray(machine.coef_, dtype=float).reshape(-1)
        if free:
            theta = np.append(theta, machine.intercept_)
        return Found(
            Ran.ITERATION_LIMIT if stopped else Ran.FINISHED,
            stopped[0] if stopped else "converged",
            # They say that their own tolerance was met on the soft-margin problem.
            Claim.NOTHING if stopped else Claim.OPTIMAL,
            values=dict(zip(self.margins.blocks, functions.blocks(theta), strict=True)),
            iterations=int(np.max(machine.n_iter_)),
        )

    def _check_bias(self, solver: str) -> None:
        bounded = any(variable.lower is not None for variable in self.program.variables)
        if solver == _LINEAR_SVC or bounded:
            why = "The intercept of SVC has either sign" if bounded else "LinearSVC regularises it"
            raise UnsupportedError(
                f"The bias here is free, or not negative. {why}.", "Choose a solver of programs."
            )


def _machine(settings: SolverSettings) -> Any:
    from sklearn.svm import SVC, LinearSVC

    options = dict(settings.options)
    if settings.solver == _SVC:
        return SVC(kernel="linear", **options)
    return LinearSVC(fit_intercept=False, **options)
