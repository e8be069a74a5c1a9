"""Solve: stored answers are reproduced, and a solver's word is never believed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, final

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.backends.base import Backend, Compiled, Found, Request
from lexmargin.errors import (
    MissingBackendError,
    NotSeparableError,
    SolverFailedError,
    UnsupportedError,
)
from lexmargin.formulations import Formulation
from lexmargin.judge import Verdict
from lexmargin.program import Program
from lexmargin.shelf.build import build
from lexmargin.shelf.library import Library, grade
from lexmargin.shelf.problems import AnswerSpec
from lexmargin.shelf.profiles import Handles
from lexmargin.solution import Claim, Ran, Solution

solving = importlib.import_module("lexmargin.solve")

LIBRARY = Library()
LINEAR = [name for name in LIBRARY.problems() if name.startswith("linear/")]
PROFILES = ("clarabel", "highs", "osqp", "scs")
GRADES = ("low", "mid", "high")

# First-order methods may run out of iterations; the others have to reach every grade here.
MAY_FAIL = ("osqp",)


@cache
def _stated(name: str) -> tuple[Any, AnswerSpec]:
    found = LIBRARY.problem(name)
    assert found.answer is not None
    return build(found), found.answer


def _bound(norm: float, tolerance: float) -> float:
    """Largest distance to the answer that a relative gap of ``tolerance`` leaves.

    ℓ2: ``θ̂·θ* >= 1 - gap`` gives ``‖θ̂ - θ*‖ <= sqrt(2 gap)``. The balls of ℓ1 and ℓ∞ have
    corners, where the distance is proportional to the gap (measured constant below 10 here); that
    of ℓ3 is flatter than ℓ2's.
    """
    if norm in (1.0, np.inf):
        return 10.0 * tolerance
    return float((2.0 * tolerance) ** (1.0 / max(2.0, norm)))


@pytest.mark.parametrize("asked", GRADES)
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", LINEAR)
def test_stored_linear_answers(name: str, profile: str, asked: str) -> None:
    problem, answer = _stated(name)
    try:
        solution = lm.solve(problem, profile, asked, polish=False)
    except UnsupportedError:
        assert Handles.SOCP not in LIBRARY.profile(profile).handles
        assert problem.norm_p not in (1.0, np.inf)
        return
    certificate = solution.certificate
    assert certificate is not None
    verified = grade(asked).verified
    if not certificate.certified:
        assert profile in MAY_FAIL and solution.ran is not Ran.FINISHED, solution.report()
        return
    # From here on: certified implies right, whatever the solver said.
    assert certificate.verdict is Verdict.GLOBAL
    assert answer.margin is not None
    assert solution.margin <= answer.margin.value * (1 + 1e-12)
    assert solution.margin >= answer.margin.value * (1 - verified)
    if answer.direction is not None:
        stored = np.array([number.value for number in answer.direction])
        distance = float(np.linalg.norm(solution.direction - stored))
        assert distance <= _bound(problem.norm_p, verified)


@pytest.mark.parametrize("name", LINEAR)
def test_the_default_reproduces_stored_answers(name: str) -> None:
    problem, answer = _stated(name)
    solution = lm.solve(problem)
    assert solution.certificate is not None and solution.certificate.certified
    assert solution.solver == "active-set"
    if answer.objective is not None:
        assert solution.objective == pytest.approx(answer.objective.value, rel=1e-6)
    if answer.direction is not None:
        stored = np.array([number.value for number in answer.direction])
        assert solution.direction == pytest.approx(stored, abs=1e-6)
    if answer.theta is not None:
        stored = np.array([number.value for number in answer.theta])
        found = np.concatenate([block.reshape(-1) for block in solution.theta])
        assert found == pytest.approx(stored, abs=1e-6)
    if answer.margins is not None:
        stored = np.array([number.value for number in answer.margins])
        assert solution.margins == pytest.approx(stored, abs=1e-6)


@pytest.mark.parametrize("profile", ["ipopt", "ipopt-casadi"])
@pytest.mark.parametrize(
    "name", ["networks/diagonal-2", "networks/diagonal-3", "networks/fully-connected-2"]
)
@pytest.mark.backend("casadi", "cyipopt", "pyomo")
def test_stored_nonconvex_margins(name: str, profile: str) -> None:
    """The best of a few starts reaches the known margin; no certified point exceeds it."""
    problem, answer = _stated(name)
    assert answer.margin is not None
    solution = lm.solve(problem, profile, starts=5, seed=1)
    certificate = solution.certificate
    assert certificate is not None and certificate.certified, solution.report()
    assert solution.margin == pytest.approx(answer.margin.value, rel=1e-6)
    for other in solution.others:
        assert other.margin <= answer.margin.value * (1 + 1e-7)


Word = Callable[[Program], Found]


@final
class Liar(Backend):
    """A backend that answers as it is told, whatever the program."""

    def __init__(self, word: Word) -> None:
        self.word = word

    def available(self, solver: str) -> str:
        return ""

    def compile(self, program: Program) -> LiarProgram:
        return LiarProgram(program, self.word)


@final
class LiarProgram(Compiled):
    """Its one answer."""

    def __init__(self, program: Program, word: Word) -> None:
        self.word = word
        super().__init__(program)

    def _build(self) -> None:
        """Nothing."""

    def _run(self, request: Request) -> Found:
        return self.word(self.program)


def says(*w: float, claim: Claim = Claim.OPTIMAL, ran: Ran = Ran.FINISHED) -> Word:
    """An answer with the given w and perfect words beside it."""
    return lambda program: Found(
        ran,
        "optimal",
        claim,
        values={"w1": np.array(w)},
        multipliers={"margin": np.array([1.0, 0.25])},
    )


def ask(monkeypatch: pytest.MonkeyPatch, word: Word, name: str = LINEAR[0]) -> Solution:
    monkeypatch.setattr(solving, "require", lambda profile: Liar(word))
    # Where nobody names the solver, a better answer is looked for.
    return lm.solve(_stated(name)[0], solver="active-set")


TWO_POINTS = "linear/norms-two-points-l2"


@pytest.mark.parametrize(
    ("w", "verdict"),
    [
        ((1.0, 0.5), Verdict.GLOBAL),
        ((2.0, 1.0), Verdict.GLOBAL),
        ((1.0, 0.5 + 1e-5), Verdict.NOT_STATIONARY),
        ((1.0, 1.0), Verdict.NOT_STATIONARY),
        ((1.0, -0.5), Verdict.NOT_SEPARATING),
        ((-1.0, -0.5), Verdict.NOT_SEPARATING),
    ],
)
def test_claims_are_not_believed(
    monkeypatch: pytest.MonkeyPatch, w: tuple[float, float], verdict: Verdict
) -> None:
    solution = ask(monkeypatch, says(*w), TWO_POINTS)
    assert solution.claim is Claim.OPTIMAL and solution.ran is Ran.FINISHED
    assert solution.certificate is not None
    assert solution.certificate.verdict is verdict
    assert solution.margins == pytest.approx(
        np.array([w[0], 2 * w[1]]) / (np.hypot(*w) or 1.0), abs=1e-12
    )


def test_a_modest_solver_is_judged_by_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other way round: a solver that claims nothing, with the right point, is certified."""
    word = says(1.0, 0.5, claim=Claim.INFEASIBLE, ran=Ran.NUMERICAL)
    solution = ask(monkeypatch, word, TWO_POINTS)
    assert solution.claim is Claim.INFEASIBLE and solution.ran is Ran.NUMERICAL
    assert solution.certificate is not None and solution.certificate.verdict is Verdict.GLOBAL


def test_the_origin_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    solution = ask(monkeypatch, says(0.0, 0.0), TWO_POINTS)
    assert solution.claim is Claim.OPTIMAL and solution.judgement is None


@pytest.mark.parametrize("profile", PROFILES)
def test_the_origin_of_inseparable_data_comes_with_the_proof(profile: str) -> None:
    """On the path, ``w = 0`` is the true optimum of data that nothing separates."""
    data = lm.Dataset([[1.0, 0.0], [-1.0, 0.0]], [1, 1], one_class=True)
    with pytest.raises(NotSeparableError) as caught:
        lm.solve(lm.MarginPath(lm.Linear(), data, norm=1.0), profile)
    assert caught.value.proof is not None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_answers_that_are_not_finite_are_no_answers(
    monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    solution = ask(monkeypatch, says(1.0, bad), TWO_POINTS)
    assert solution.judgement is None
    assert solution.to_json()["direction"] == [None, None]


@pytest.mark.parametrize(
    "ran", [Ran.CRASHED, Ran.TIME_LIMIT, Ran.NUMERICAL, Ran.MISSING, Ran.ITERATION_LIMIT]
)
def test_no_answer_is_reported_as_none(monkeypatch: pytest.MonkeyPatch, ran: Ran) -> None:
    solution = ask(monkeypatch, lambda program: Found(ran, "it is over"), TWO_POINTS)
    assert solution.judgement is None and solution.ran is ran
    assert solution.raw_status == "it is over"
    assert np.isnan(solution.margin) and np.isnan(solution.objective)
    assert "it is over" in solution.report()
    assert solution.to_json()["certificate"] is None


def test_separable_data_called_infeasible_are_not_called_inseparable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A false "infeasible" is the solver's failure: no error says that the data are at fault."""

    def infeasible(program: Program) -> Found:
        return Found(Ran.FINISHED, "infeasible", Claim.INFEASIBLE)

    with pytest.raises(SolverFailedError):
        ask(monkeypatch, infeasible, TWO_POINTS)


def test_a_separator_of_inseparable_data_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solving, "require", lambda profile: Liar(says(1.0, 1.0)))
    data = lm.Dataset([[1.0, 0.0], [-1.0, 0.0]], [1, 1], one_class=True)
    with pytest.raises(NotSeparableError):
        lm.solve(lm.HardMargin(lm.Linear(), data))


@pytest.mark.parametrize(
    "word",
    ["negative", "zero", "huge", "missing"],
)
def test_wrong_multipliers_do_not_reach_the_certificate(
    monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """The judge finds its own λ: the solver's may be anything."""
    given = {
        "negative": {"margin": np.array([-1.0, -1.0])},
        "zero": {"margin": np.zeros(2)},
        "huge": {"margin": np.array([1e300, 1e300])},
        "missing": {},
    }[word]

    def answer(program: Program) -> Found:
        right = {"w1": np.array([1.0, 0.5])}
        return Found(Ran.FINISHED, "optimal", Claim.OPTIMAL, values=right, multipliers=given)

    certificate = ask(monkeypatch, answer, TWO_POINTS).certificate
    assert certificate is not None and certificate.verdict is Verdict.GLOBAL
    # θ̂ = Σ λ_n ∇f_n with z = (1, 0), (0, 2) and θ̂ = (2, 1)/√5.
    assert certificate.multipliers == pytest.approx([2 / 5**0.5, 0.5 / 5**0.5], abs=1e-9)


def test_a_missing_backend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    @final
    class Absent(Backend):
        def available(self, solver: str) -> str:
            return f"{solver} is not installed; install it."

        def compile(self, program: Program) -> Compiled:
            raise AssertionError("an absent backend was asked to compile")

    home = importlib.import_module(solving.require.__module__)
    monkeypatch.setattr(home, "backend", lambda name: Absent())
    with pytest.raises(MissingBackendError, match=r"clarabel.*not installed") as caught:
        lm.solve(_stated(TWO_POINTS)[0], "clarabel")
    assert "pip install lexmargin" in str(caught.value)


def test_answers_of_equal_seeds_are_equal() -> None:
    problem = _stated("networks/diagonal-2")[0]
    first, second = (lm.solve(problem, starts=2, seed=3) for _ in range(2))
    assert np.array_equal(first.direction, second.direction)
    assert first.objective == second.objective


def test_progress_is_told_of_every_start() -> None:
    lines: list[lm.Tick] = []
    four = lm.Dataset([[1.0, 2.0], [2.0, -1.0], [-1.0, 0.5], [-0.3, -2.0]], [1, -1, 1, -1])
    nowhere_global = lm.HardMargin(lm.Network((3,), lm.ReLU(power=2)), four)
    lm.solve(nowhere_global, starts=3, progress=lines.append)
    assert [(one.done, one.total) for one in lines] == [(0, 3), (1, 3), (2, 3)]
    assert str(lines[-1]) == "starts 2 of 3: hard-margin with " + lines[-1].line.split()[-1]
    lines.clear()
    lm.solve(_stated(TWO_POINTS)[0], starts=3, progress=lines.append)
    assert len(lines) == 1, "a convex problem has one answer"
    lines.clear()
    lm.solve(_stated("networks/diagonal-2")[0], starts=3, progress=lines.append)
    assert len(lines) == 1, "the first start is proved global"


def test_a_given_start_is_used() -> None:
    """From θ = (1, 0; 1, 0) the gradient of the second coordinate is zero, and stays so."""
    data = lm.Dataset([[2.0, 1.0]], [1], one_class=True)
    problem = lm.HardMargin(lm.DiagonalNetwork(2), data)
    solution = lm.solve(problem, start=np.array([0.0, 1.0, 0.0, 1.0]), polish=False)
    assert np.abs(solution.direction[[1, 3]]) == pytest.approx([0.5**0.5] * 2, abs=1e-6)
    blocks = lm.solve(problem, start=[np.array([0.0, 1.0]), np.array([0.0, 1.0])], polish=False)
    assert np.array_equal(blocks.direction, solution.direction)


def test_a_solution_says_which_versions_made_it() -> None:
    solution = lm.solve(_stated(TWO_POINTS)[0], "clarabel")
    assert solution.versions.keys() == {"lexmargin", "numpy", "cvxpy", "clarabel"}


def test_what_separates_in_one_norm_is_not_lost_in_another() -> None:
    """Ipopt stops nowhere on kinks: the answer for ℓ2 separates, and is no worse an answer."""
    X = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    y = np.array([1, -1, -1, 1])
    problem = lm.HardMargin(lm.Network((4,), lm.ReLU()), lm.Dataset(X, y), norm=1.3)
    found = lm.solve(problem, starts=1, seed=1)
    W, v = found.theta
    assert np.all(y * (np.maximum(X @ W.T, 0.0) @ v.reshape(-1)) > 0.0)
    assert found.margin > 0.0
    assert found.certificate.verdict is not lm.Verdict.NOT_SEPARATING


# -- from an answer --------------------------------------------------------------------------------

NEAR = lm.load_dataset("iris", positive=0, standardize=True)


@pytest.mark.parametrize(
    "problem",
    [
        lm.HardMargin(lm.Network([3], lm.ReLU(power=2)), NEAR),
        lm.MarginPath(lm.Network([3], lm.ReLU(power=2)), NEAR, rho=2.0),
        lm.MarginPath(lm.Network([3], lm.ReLU(power=2)), NEAR, gamma=1.0),
    ],
)
def test_a_start_with_its_multipliers_is_stayed_at(problem: Formulation) -> None:
    """Of this problem there are several strict local optima; from θ alone another one is found."""
    first = lm.solve(problem, starts=1)
    again = lm.solve(problem, start=first)
    assert first.certificate.certified and again.certificate.certified
    assert again.objective == pytest.approx(first.objective, rel=1e-6)
    assert float(again.direction @ first.direction) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("factor", [0.0, 1e9, -1.0, np.nan])
def test_multipliers_that_are_none_do_no_harm(factor: float) -> None:
    cross = lm.Dataset([[1.0, 0.6], [0.6, 1.0]], [1, 1], one_class=True)
    problem = lm.HardMargin(lm.DiagonalNetwork(2), cross)
    first = lm.solve(problem)
    wrong = replace(first, multipliers=first.multipliers * factor)
    assert lm.solve(problem, start=wrong).certificate.verdict is Verdict.GLOBAL
    # Of another number of samples.
    other = lm.HardMargin(lm.DiagonalNetwork(2), lm.Dataset([[1.0, 0.6]], [1], one_class=True))
    assert lm.solve(other, start=first).certificate.certified
