"""A start is judged as an answer of its own: no solver, however bad, loses it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import lexmargin as lm
from adversarial_starts import worse
from lexmargin.errors import SolverFailedError
from lexmargin.formulations import Formulation
from lexmargin.judge import Verdict
from lexmargin.run.starts import ranked

SOLVE: Any = importlib.import_module("lexmargin.solve")
DATA = lm.Dataset([[2.0, 1.0], [1.0, 3.0], [-1.0, -2.0], [-3.0, -1.0]], [1, 1, -1, -1])
MIXED = lm.Dataset([[1.0, 0.5], [0.5, 1.0], [-1.0, 2.0], [0.7, 0.6]], [1, 1, -1, -1])
LINE, SQUARED = lm.Linear(), lm.Network((2,), lm.ReLU(power=2))
SUM = lm.Sum([lm.Linear(), lm.DiagonalNetwork(2)])
PROBLEMS: dict[str, Formulation] = {
    "hard margin": lm.HardMargin(LINE, DATA),
    "hard margin, ℓ1": lm.HardMargin(LINE, DATA, norm=1),
    "hard margin, network": lm.HardMargin(SQUARED, DATA),
    "margin path": lm.MarginPath(lm.DiagonalNetwork(2), DATA, rho=3.0),
    "margin path, γ": lm.MarginPath(SQUARED, DATA, rho=3.0, gamma=2.0),
    "margin path, sum": lm.MarginPath(SUM, DATA, rho=3.0),
    "constrained": lm.ConstrainedPath(LINE, DATA, rho=5.0),
    "constrained, logistic": lm.ConstrainedPath(LINE, MIXED, rho=50.0, loss="logistic"),
    "constrained, network": lm.ConstrainedPath(SQUARED, DATA, rho=2.0),
    "regularised": lm.RegularizationPath(LINE, MIXED, 0.1),
    "regularised, cubic": lm.RegularizationPath(lm.DiagonalNetwork(3), DATA, 0.01, power=2),
    "scaled": lm.ScaledMargin(SUM, DATA, 10.0),
    "w-set": lm.WSet(lm.Sum([LINE, lm.Bias("plain")]), DATA),
    "lexicographic": lm.Lexicographic(LINE, DATA, levels=2),
    "lexicographic, network": lm.Lexicographic(SQUARED, DATA, levels=2),
}
STARTS: dict[str, Callable[[lm.Solution], Any]] = {
    "solution": lambda found: found,
    "θ": lambda found: np.concatenate([block.reshape(-1) for block in found.theta]),
    "blocks": lambda found: list(found.theta),
}


def _astray(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every solver answer what nobody asked for."""
    judge = SOLVE.judge
    rng = np.random.default_rng(3)

    def wrong(
        problem: Formulation, profile: Any, grade: Any, outcome: Any, *rest: Any, **more: Any
    ):
        size = problem.functions.size
        values = problem.initial_values(rng.standard_normal(size), outcome.unit)
        answers = tuple(
            type(one)({**one.values, **values}, one.multipliers) for one in outcome.answers
        )
        more["polish"] = False
        bad = type(outcome)(**{**vars(outcome), "answers": answers})
        return judge(problem, profile, grade, bad, *rest, **more)

    monkeypatch.setattr(SOLVE, "judge", wrong)


@pytest.mark.parametrize("name", PROBLEMS)
def test_an_answer_is_never_worse_than_its_start(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    problem = PROBLEMS[name]
    first = lm.solve(problem, starts=3)
    assert first.certificate.certified
    _astray(monkeypatch)
    for kind, start in STARTS.items():
        given = start(first)
        before = lm.certify(problem, given)
        again = lm.solve(problem, start=given, time_limit=None)
        flat = problem.functions.flatten(first.theta)
        assert not worse(problem, flat, before, again), kind
        assert again.certificate.verdict.at_least(first.certificate.verdict), kind


def test_a_start_that_is_the_best_answer_is_one_at_its_own_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    problem = PROBLEMS["hard margin"]
    best = lm.solve(problem)
    _astray(monkeypatch)
    found = lm.solve(problem, start=best.direction * 7.0)
    assert found.solver == "start" and found.certificate.verdict is Verdict.GLOBAL
    assert found.objective == pytest.approx(best.objective, rel=1e-12)
    np.testing.assert_allclose(found.multipliers, best.multipliers, atol=1e-9)
    levels = lm.solve(PROBLEMS["lexicographic"], start=best)
    assert len(levels.levels) >= 1 and levels.levels[0].value == pytest.approx(best.margin)


def test_a_start_that_is_no_answer_does_not_stand_for_one() -> None:
    rng = np.random.default_rng(5)
    for name, problem in PROBLEMS.items():
        start = rng.standard_normal(problem.functions.size)
        found = lm.solve(problem, start=start)
        assert found.solver != "start", name
        # A network of units that are off at the start stays there.
        assert found.certificate.certified or problem.predictor is SQUARED, name


def test_a_solver_that_fails_leaves_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = PROBLEMS["hard margin"]
    best = lm.solve(problem)

    def fails(*_: object, **__: object) -> None:
        raise SolverFailedError("It took separable data for inseparable ones.")

    monkeypatch.setattr(SOLVE, "_answers", fails)
    assert lm.solve(problem, "clarabel", start=best).certificate.verdict is Verdict.GLOBAL
    with pytest.raises(SolverFailedError):
        lm.solve(problem, "clarabel", start=-best.direction)


def test_a_start_of_another_problem_is_judged_by_this_one() -> None:
    wider = lm.Dataset([[2.0, 1.0], [-1.0, -2.0]], [1, -1])
    for other in (lm.HardMargin(LINE, wider), lm.Lexicographic(LINE, wider, levels=2)):
        best = lm.solve(other)
        for problem in (PROBLEMS["hard margin"], PROBLEMS["lexicographic"]):
            assert lm.solve(problem, start=best).certificate.verdict is Verdict.GLOBAL


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_a_start_of_any_size_is_one(size: float) -> None:
    for predictor in (LINE, lm.DiagonalNetwork(3)):
        problem = lm.HardMargin(predictor, DATA)
        found = lm.solve(problem, start=np.full(problem.functions.size, size))
        assert found.certificate.verdict is Verdict.GLOBAL


def test_a_certified_point_comes_before_a_cheaper_one_that_nobody_has_decided_about() -> None:
    problem = PROBLEMS["hard margin, network"]
    found = lm.solve(problem)
    kkt, doubted = (
        replace(found, judgement=replace(found.certificate, verdict=verdict))
        for verdict in (Verdict.KKT, Verdict.UNDECIDED)
    )
    cheaper = replace(doubted, objective=0.5 * found.objective, direction=-found.direction)
    assert ranked(problem, [cheaper, kkt]) == [kkt, cheaper]
    proved = replace(found, judgement=replace(found.certificate, verdict=Verdict.GLOBAL))
    assert ranked(problem, [replace(kkt, objective=0.0), proved])[0] is proved
