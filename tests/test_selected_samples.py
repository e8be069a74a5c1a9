"""Working sets of samples around a nonconvex solver: the whole program's answer, and prices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.backends import BackendName, Compiled, backend
from lexmargin.backends.base import Found, Request
from lexmargin.backends.models.casadi import CasadiProgram
from lexmargin.backends.smooth.sample_generation import (
    SelectedSamples,
    margin_constraint,
    on_selected_samples,
    restricted,
)
from lexmargin.formulations.base import MARGIN
from lexmargin.formulations.start import random_theta, separating_theta
from lexmargin.ops.base import FloatArray
from lexmargin.program import Margins, Program
from lexmargin.solution import Claim, Ran, SolverSettings

OPTIONS: Mapping[str, float | str] = {
    "tol": 1e-10,
    "dual_inf_tol": 1e-9,
    "compl_inf_tol": 1e-9,
    "constr_viol_tol": 1e-9,
    "bound_relax_factor": 0.0,
    "honor_original_bounds": "yes",
}
SETTINGS = SolverSettings("ipopt", OPTIONS)


def teacher(samples: int = 600, inputs: int = 3, units: int = 4) -> lm.HardMargin:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((samples, inputs))
    y = np.where((X @ rng.standard_normal((inputs, 2))) ** 2 @ np.array([1.0, -1.0]) > 0, 1, -1)
    return lm.HardMargin(lm.Network((units,), lm.Square()), lm.Dataset(X, y))


def started(problem: lm.HardMargin | lm.MarginPath) -> dict[str, FloatArray]:
    functions = problem.functions
    theta, _ = separating_theta(functions, random_theta(functions, np.random.default_rng(1)))
    return problem.initial_values(theta, 1.0)


def selected(program: Program, first: int | None = None) -> SelectedSamples:
    constraint = margin_constraint(program)
    assert constraint is not None
    return SelectedSamples(program, constraint, CasadiProgram, first)


@pytest.mark.backend("casadi")
@pytest.mark.parametrize("form", ["hard", "max", "min-norm"])
def test_the_answer_is_that_of_the_whole_program(form: str) -> None:
    """Solved again on all samples from the answer, nothing moves: same point, same multipliers."""
    hard = teacher()
    gamma = 2.0 if form == "min-norm" else None
    problem = (
        hard if form == "hard" else lm.MarginPath(hard.predictor, hard.data, rho=1.0, gamma=gamma)
    )
    program = problem.program()
    few = selected(program).solve(SETTINGS, started(problem))
    assert (few.ran, few.claim) == (Ran.FINISHED, Claim.LOCALLY_OPTIMAL)
    assert few.multipliers[MARGIN].shape == (600,)
    whole = CasadiProgram(program).solve(SETTINGS, few.values, None, few.multipliers)
    for name, value in few.values.items():
        assert value == pytest.approx(whole.values[name], abs=1e-5)
    largest = float(whole.multipliers[MARGIN].max())
    assert few.multipliers[MARGIN] == pytest.approx(whole.multipliers[MARGIN], abs=1e-4 * largest)


@pytest.mark.backend("casadi")
def test_a_violated_sample_that_was_left_out_is_found_by_pricing() -> None:
    problem = teacher()
    program = problem.program()
    rounds: list[int] = []

    def compiled(part: Program) -> Compiled:
        left = part.constraints[0].left
        assert isinstance(left, Margins)
        rounds.append(left.functions.count)
        return CasadiProgram(part)

    constraint = margin_constraint(program)
    assert constraint is not None
    # Four samples cannot hold all others: without pricing these would be violated.
    start = started(problem)
    alone = CasadiProgram(restricted(program, constraint, np.arange(4))).solve(SETTINGS, start)
    names = [variable.name for variable in program.variables]
    w = problem.functions.flatten([alone.values[name] for name in names])
    assert problem.functions.values(w).min() < 0.9
    # Multipliers given: the start is taken as it is.
    warm = {MARGIN: np.zeros(600)}
    loop = SelectedSamples(program, constraint, compiled, 4)
    found = loop.solve(SETTINGS, start, None, warm)
    assert found.claim is Claim.LOCALLY_OPTIMAL
    w = problem.functions.flatten([found.values[name] for name in names])
    assert problem.functions.values(w).min() >= 1.0 - 1e-8
    assert rounds[0] == 4
    assert rounds == sorted(rounds)
    assert len(rounds) > 1
    pulled = problem.functions.vjp(w, found.multipliers[MARGIN])
    assert pulled == pytest.approx(w, abs=1e-6 * float(np.linalg.norm(w)))


def test_a_restricted_program_holds_the_margins_of_its_samples() -> None:
    problem = teacher(samples=20)
    program = problem.program(unit=0.5)
    constraint = margin_constraint(program)
    assert constraint is not None
    rows = np.array([3, 7, 11])
    left = restricted(program, constraint, rows).constraints[0].left
    assert isinstance(left, Margins)
    theta = random_theta(problem.functions, np.random.default_rng(0))
    assert left.functions.values(theta) == pytest.approx(
        2.0 * problem.functions.values(theta)[rows]
    )


def test_programs_with_margins_elsewhere_or_several_classes_stay_whole() -> None:
    problem = teacher(samples=20)
    path = lm.ConstrainedPath(problem.predictor, problem.data, rho=2.0)
    assert margin_constraint(path.program()) is None
    rng = np.random.default_rng(0)
    data = lm.Dataset(rng.standard_normal((9, 3)), np.arange(9) % 3)
    several = lm.HardMargin(lm.Network((5,), lm.Square(), outputs=3), data)
    assert margin_constraint(several.program()) is None


@pytest.mark.backend("casadi")
def test_few_samples_stay_whole_and_many_are_selected() -> None:
    engine = backend(BackendName.CASADI)
    assert isinstance(engine.compile(teacher(samples=199).program()), CasadiProgram)
    assert isinstance(engine.compile(teacher(samples=200).program()), SelectedSamples)


def test_a_round_that_does_not_settle_hands_over_to_the_whole_program() -> None:
    problem = teacher()
    counts: list[int] = []

    @final
    class Stub(Compiled):
        def _build(self) -> None:
            left = self.program.constraints[0].left
            assert isinstance(left, Margins)
            counts.append(left.functions.count)

        def _run(self, request: Request) -> Found:
            ran, claim = Ran.NUMERICAL, Claim.NOTHING
            if len(counts) == 1:
                ran, claim = Ran.FINISHED, Claim.UNBOUNDED
            return Found(ran, "stub", claim, values=request.values, iterations=3)

    compiled = on_selected_samples(problem.program(), Stub)
    found = compiled.solve(SETTINGS, started(problem))
    assert counts[-1] == 600
    assert len(counts) == 2
    assert found.ran is Ran.NUMERICAL
    assert found.iterations == 6
