"""Claims by the measure of their own solver, and what a free bias asks of every one of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

import lexmargin as lm
from lexmargin.compare import Honesty, Limits, OwnMeasure, Serial, compare
from lexmargin.compare.job_run import is_feasible
from lexmargin.compare.own_measure import infeasible_by_own, own_residuals, residuals_of
from lexmargin.formulations.base import MARGIN, Formulation
from lexmargin.run.stages import Run
from lexmargin.shelf.collection import collection
from lexmargin.shelf.library import Library, grade
from lexmargin.shelf.planted import Plan, biased
from lexmargin.shelf.profiles import ClaimRule, Handles, Measure, Profile
from lexmargin.solution import Claim, Ran, RawAnswer

LIBRARY = Library()
RNG = np.random.default_rng(11)
Z = np.array([[3.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
PROBLEM = lm.HardMargin(lm.Linear(), lm.Dataset(Z, [1, 1, 1], one_class=True))
W, WEIGHTS = np.array([0.5, 0.5]), np.array([0.0, 0.5, 0.0])


def residuals(w: np.ndarray, weights: np.ndarray) -> Any:
    return residuals_of(PROBLEM.program(), {"w1": w}, {MARGIN: weights})


def test_residuals_are_those_of_the_program() -> None:
    exact = residuals(W, WEIGHTS)
    assert (exact.primal, exact.dual, exact.gap) == (0.0, 0.0, 0.0)
    for _ in range(20):
        w, weights = RNG.normal(size=2), RNG.normal(size=3)
        found = residuals(w, weights)
        assert found.primal == pytest.approx(max(0.0, np.max(1.0 - Z @ w)))
        dual = max(np.max(np.abs(w - Z.T @ weights)), np.max(-weights), 0.0)
        assert found.dual == pytest.approx(dual)
        assert found.gap == pytest.approx(abs(w @ w - weights.sum()))
        lengths = np.linalg.norm(Z, axis=1)
        assert found.rows == pytest.approx(max(0.0, np.max((1.0 - Z @ w) / lengths)))


@pytest.mark.parametrize("name", ["supports-40-1", "scale-2^20-1", "nearly-2^-10-1"])
def test_residuals_are_those_that_osqp_reports(name: str) -> None:
    program = collection()[f"collection/{name}"].problem.program()
    model = program.to_cvxpy()
    model.solve("OSQP")
    info = model.solver_stats.extra_stats.info
    weights = np.asarray(model.constraints[0].dual_value)
    found = residuals_of(program, {"w1": model.variables()[0].value}, {MARGIN: weights})
    assert found is not None
    # Where they are more than the rounding of the terms that they are differences of.
    assert found.dual == pytest.approx(info.dual_res, rel=0.1, abs=1e-15 * max(found.dual_terms))
    assert found.gap == pytest.approx(abs(info.duality_gap), rel=0.5, abs=1e-15)
    # Its z is cut off at the constraint, so that its own is two-sided.
    assert found.primal <= info.prim_res * 1.001 + 1e-15


def own(rule: ClaimRule | None, w: np.ndarray, weights: np.ndarray, asked: str = "default") -> Any:
    profile = replace(LIBRARY.profile("osqp"), claim=rule)
    raw = RawAnswer({"w1": w}, {MARGIN: weights}, Ran.FINISHED, Claim.OPTIMAL, "")
    outcome = Run((), raw, 1.0, 0.0, 0.0, {}, PROBLEM.program())
    return own_residuals(PROBLEM, profile, grade(asked), outcome)


ABSOLUTE = ClaimRule(Measure.TERMS, 1e-3)
# rule, error of w, error of λ, word
RULES = [
    (None, 0.0, 0.0, OwnMeasure.UNMEASURED),
    (ABSOLUTE, 0.0, 0.0, OwnMeasure.MET),
    (ABSOLUTE, 0.9e-3, 0.0, OwnMeasure.MET),
    (ABSOLUTE, 3e-3, 0.0, OwnMeasure.MISSED),
    (ABSOLUTE, 0.0, 3e-3, OwnMeasure.MISSED),
    (replace(ABSOLUTE, scales_itself=True), 3e-3, 0.0, OwnMeasure.UNMEASURED),
    (replace(ABSOLUTE, relative=2e-3), 3e-3, 0.0, OwnMeasure.MET),
    (replace(ABSOLUTE, absolute=1.0, gap_absolute=1e-4), 0.9e-3, 0.0, OwnMeasure.MISSED),
    (replace(ABSOLUTE, absolute=1.0, gap_absolute=1e-2), 0.9e-3, 0.0, OwnMeasure.MET),
    (ClaimRule(Measure.SUM, 1e-3), 9e-3, 0.0, OwnMeasure.MISSED),
    (ClaimRule(Measure.SUM, 1e-3), 1.5e-3, 0.0, OwnMeasure.MET),
    (ClaimRule(Measure.ROWS, 1e-3), 0.9e-3, 0.0, OwnMeasure.MET),
    (ClaimRule(Measure.IPOPT, 1e-3), 0.9e-3, 0.0, OwnMeasure.MET),
    (ClaimRule(Measure.IPOPT, 1e-3), 9e-3, 0.0, OwnMeasure.MISSED),
]


@pytest.mark.parametrize(("rule", "of_w", "of_weights", "word"), RULES)
def test_a_claim_is_measured_by_the_rule_of_its_solver(
    rule: ClaimRule | None, of_w: float, of_weights: float, word: OwnMeasure
) -> None:
    found = own(rule, W - of_w / 2.0, WEIGHTS + of_weights)
    assert found.word is word
    assert (found.excess is None) is (rule is None)


def test_a_grade_takes_the_place_of_every_tolerance_that_is_tested() -> None:
    tight = own(ABSOLUTE, W - 1e-5, WEIGHTS, "high")
    assert (
        tight.word is OwnMeasure.MISSED and own(ABSOLUTE, W - 1e-5, WEIGHTS).word is OwnMeasure.MET
    )
    rule = ClaimRule(Measure.TERMS, 1e-3, gap_absolute=1e-2, infeasible=1e-4).at(1e-6)
    assert (rule.absolute, rule.relative, rule.gap_absolute) == (1e-6, 0.0, 1e-6)
    assert rule.gap_relative is None and rule.infeasible == 1e-4


@pytest.mark.parametrize("size", [1e-1, 1e-3, 1e-4, 1e-6])
def test_infeasible_is_true_by_its_measure_where_some_weights_pass_for_a_proof(size: float) -> None:
    """Against ``min ‖Zᵀλ‖_∞`` of a linear program, in units where it is of size 1."""
    profile = replace(LIBRARY.profile("osqp"), claim=ClaimRule(Measure.TERMS, 1.0, infeasible=1e-3))
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(12, 3))
        X *= np.sign(X @ rng.normal(size=3))[:, None]
        count, d = X.shape
        cost = np.r_[np.zeros(count), 1.0]
        bound = np.vstack([np.c_[X.T, -np.ones(d)], np.c_[-X.T, -np.ones(d)]])
        sums = np.r_[np.ones(count), 0.0][None]
        least = linprog(cost, A_ub=bound, b_ub=np.zeros(2 * d), A_eq=sums, b_eq=[1.0]).fun
        data = lm.Dataset(X * (size / least), np.ones(count, dtype=int), one_class=True)
        stated = lm.HardMargin(lm.Linear(), data)
        word = infeasible_by_own(stated.program(), profile).word
        # What a solver is given decides, in whatever unit: not the problem as it is stated.
        scaled = stated.program(2.0**-20)
        assert infeasible_by_own(scaled, profile).word is OwnMeasure.MISSED
        small = stated.program(2.0**20)
        assert infeasible_by_own(small, profile).word is OwnMeasure.MET
        if word is OwnMeasure.MET:
            assert size <= 1e-3
        elif word is OwnMeasure.MISSED:
            assert size > 1e-3
        else:
            # Between the two sides of its pair, which are less than √d and a factor 2 apart.
            assert 1e-3 / 4.0 <= size <= 4e-3 * np.sqrt(d)


FEASIBLE = [
    (PROBLEM, True),
    (lm.HardMargin(lm.Linear(), lm.Dataset([[1, 0], [-1, 0]], [1, 1], one_class=True)), False),
    (lm.MarginPath(lm.Linear(), lm.Dataset([[1, 0], [-1, 0]], [1, 1], one_class=True), 1.0), True),
    (
        lm.ConstrainedPath(lm.Linear(), lm.Dataset([[1], [-1]], [1, 1], one_class=True), 1.0),
        True,
    ),
    (lm.WSet(lm.Sum([lm.Linear(), lm.Bias()]), lm.Dataset([[1], [2], [3]], [1, -1, 1])), False),
    (lm.WSet(lm.Sum([lm.Linear(), lm.Bias()]), lm.Dataset([[1], [2], [3]], [1, -1, -1])), True),
    (lm.HardMargin(lm.Network([1], lm.ReLU(1)), lm.Dataset([[1], [2]], [1, -1])), False),
]


@pytest.mark.parametrize(("problem", "feasible"), FEASIBLE)
def test_separability_decides_what_is_feasible(problem: Formulation, feasible: bool) -> None:
    assert is_feasible(problem) is feasible


def quadratic(profile: Profile) -> bool:
    return Handles.QP in profile.handles and profile.backend.value not in ("face",)


CONVEX = [name for name in LIBRARY.profiles() if quadratic(LIBRARY.profile(name))]


def test_every_quadratic_solver_takes_a_free_bias() -> None:
    """Planted answers: w and β are known exactly, and ``‖w‖² = 1/Σ`` with them."""
    forms = (lm.Bias().form, lm.Bias("two-squares").form, lm.Bias("square").form)
    stated = {}
    for k, (score, form) in enumerate(zip((-2, 3, 1), forms, strict=True)):
        stated[f"free-{k}"] = biased(Plan(samples=16, features=4, seed=k), f"free-{k}", score, form)
    table = compare(
        [problem for problem, _ in stated.values()], CONVEX, "mid", executor=Serial(),
        limits=Limits(20.0),
    )  # fmt: skip
    handled = set()
    for row in table.rows:
        if not row.entered:
            assert row.failure.startswith(("not installed here", "does not handle it: The bias"))
            continue
        handled.add(row.profile)
        problem, theta = stated[row.problem]
        assert row.objective == pytest.approx(problem.objective(theta), rel=1e-4), row
        assert row.honesty in (Honesty.TRUE, Honesty.OPEN), row
    assert {"active-set", "clarabel", "daqp", "highs", "osqp", "scs", "svc"} <= handled


def test_raw_and_scaled_stand_side_by_side() -> None:
    table = compare("lies/data-times-1e6", "clarabel", scaled=(False, True), executor=Serial())
    raw, scaled = table.rows
    assert (raw.scaled, scaled.scaled) == (False, True) and raw.key != scaled.key
    assert raw.honesty is Honesty.NOT_MEANT and "not what was meant" in raw.failure
    assert scaled.success and scaled.failure == "" and scaled.own is OwnMeasure.MET
    assert [s.scaled for s in table.summaries()] == [False, True]
    assert [s.not_meant for s in table.summaries()] == [1, 0]
    assert table.machine["cores"].isdigit() and table.machine["python"].startswith("3.")
    assert all(row.load is not None and row.compile is not None for row in table.rows)
