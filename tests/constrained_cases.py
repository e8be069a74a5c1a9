"""Drives a formulation through its stages with a backend, for tests that need no library."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from lexmargin.backends import BackendName, backend
from lexmargin.data.dataset import Dataset
from lexmargin.formulations.base import Formulation, StageAnswer
from lexmargin.ops.base import FloatArray
from lexmargin.solution import SolverSettings

SOLVERS = {
    BackendName.CVXPY: ("CLARABEL", {}),
    BackendName.CASADI: ("ipopt", {"tol": 1e-11, "max_iter": 3000}),
    BackendName.PYOMO: ("cyipopt", {"tol": 1e-11, "max_iter": 3000}),
    BackendName.NEWTON: ("newton", {}),
}


def margin_data(rows: ArrayLike) -> Dataset:
    """Return samples of one class, so that the rows are the z_n themselves."""
    array = np.asarray(rows, dtype=float)
    return Dataset(array, np.ones(len(array)), one_class=True)


def drive(
    problem: Formulation,
    start: Sequence[float] | FloatArray | None = None,
    name: BackendName = BackendName.CASADI,
    unit: float = 1.0,
) -> tuple[FloatArray, tuple[StageAnswer, ...]]:
    """Return theta and the answers of all stages."""
    solver, options = SOLVERS[name]
    local = name in (BackendName.CASADI, BackendName.PYOMO)
    theta = np.ones(problem.functions.size) if start is None else np.asarray(start, dtype=float)
    initial = problem.initial_values(theta, unit)
    answers: tuple[StageAnswer, ...] = ()
    engine = backend(name)
    while (program := problem.next_program(answers, unit)) is not None:
        if answers:
            initial = {**initial, **problem.next_values(answers, unit)}
        settings = SolverSettings(solver, options)
        raw = engine.compile(program).solve(settings, initial if local else None)
        assert raw.has_values, raw.raw_status
        answers = (*answers, StageAnswer(raw.values, raw.multipliers))
    return problem.theta(answers, unit), answers
