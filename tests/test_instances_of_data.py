"""Fresh instances of every kind of data and problem: no answer is wrong, none is an exception."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import instances_of_data
import lexmargin as lm
from instances_levels import levels_apart
from instances_of_data import Outcome, Record, complaint, failed, records, share, table
from instances_problems import FORMULATIONS, LINEAR, NORMS, PREDICTORS, Instance, drawn
from instances_references import gordan_holds, loss_gap, margin_gap, penalty_gap
from instances_rivals import best_direction, least_loss
from instances_samples import DATA
from instances_separable import separable_gap

CERTIFIED = 0.99
"""Part of the convex instances that must be certified."""


def test_a_slice_of_instances_is_right() -> None:
    # Convex ones: each has a reference of its own, and they are cheap.
    found = list(records(list(range(0, 48, 2)), seed=1, workers=1))
    assert not [complaint(one) for one in failed(found)]


@pytest.mark.long
def test_hundreds_of_instances_are_right() -> None:
    found = list(records(list(range(400)), seed=2, workers=2))
    assert not [complaint(one) for one in failed(found)]
    assert share(found) >= CERTIFIED, [complaint(r) for r in found if r.convex]


def test_every_pair_is_met_once_before_any_is_met_again() -> None:
    convex = [drawn(index, 0) for index in range(0, 2 * 1152, 2)]
    assert len(set(convex)) == 1152
    assert {c[1] for c in convex} == set(LINEAR)
    every = [drawn(index, 0) for index in range(3000)]
    for place, values in enumerate((FORMULATIONS, PREDICTORS, NORMS, DATA)):
        assert {c[place] for c in every} == set(values)
    assert sum(c[1] in LINEAR for c in every) == 1500


def one(outcome: Outcome, **changed: object) -> Record:
    fields = {
        "seed": 0,
        "index": 0,
        "formulation": "hard-margin",
        "predictor": "linear",
        "norm": 2.0,
        "data": "gaussian",
        "outcome": outcome,
        "seconds": 0.1,
        **changed,
    }
    return Record(**fields)  # type: ignore[arg-type]


def test_records_are_read_back_and_counted() -> None:
    found = [
        one(Outcome.CERTIFIED),
        one(Outcome.REFUSED, norm=math.inf),
        one(Outcome.WRONG, said="margin 0.1 below its bound"),
        one(Outcome.UNCERTIFIED, predictor="relu network", seconds=instances_of_data.SLOW),
    ]
    assert [instances_of_data.read(r.line()) for r in found] == found
    assert failed(found) == [found[2]]
    assert share(found) == 0.5
    assert "| hard-margin, convex | 3 | 1 | 0 | 1 | 1 | 0 | 0 | 0 |" in table(found)
    assert "| hard-margin, nonconvex | 1 | 0 | 1 | 0 | 0 | 0 | 1 | 30 |" in table(found)


def test_references_see_answers_that_are_slightly_wrong() -> None:
    """Two samples (1, 0) and (0, 1): the margin is 1/√2 at (1, 1), each loss ends on its ray."""
    Z, theta = np.eye(2), np.array([1.0, 1.0])
    assert abs(margin_gap(Z, theta, np.ones(2), 2.0)) < 1e-15
    assert margin_gap(Z, np.array([1.0, 1.01]), np.ones(2), 2.0) > 1e-3
    for loss in ("exponential", "logistic"):
        assert abs(loss_gap(Z, theta / math.sqrt(2.0), 1.0, 2.0, loss)) < 1e-15
        assert loss_gap(Z, np.array([0.6, 0.8]), 1.0, 2.0, loss) > 1e-3
    # 2 e^-t + μ (2t²)^{q/2} has its least where e^-t = μ q 2^{q/2-1} t^{q-1}; here at t = 1.
    for power in (1.0, 2.0, 3.0):
        strength = math.exp(-1.0) / (power * 2.0 ** (power / 2.0 - 1.0))
        least = penalty_gap(Z, theta, strength, power, 2.0, "exponential")
        assert abs(least) < 1e-15
        assert penalty_gap(Z, 1.01 * theta, strength, power, 2.0, "exponential") > 1e-6
    assert gordan_holds(np.array([[1.0], [-2.0]]), [2, 1])
    assert not gordan_holds(np.array([[1.0], [-2.0]]), [1, 1])
    assert not gordan_holds(np.array([[1.0], [-2.0]]), [-2, -1])
    assert not gordan_holds(np.array([[1.0], [-2.0]]), [0, 0])


@pytest.mark.parametrize("norm", [1.0, 1.3, 2.0, 3.0, math.inf])
def test_references_see_levels_that_are_slightly_wrong(norm: float) -> None:
    """Rows (1, 0) and (3, 1): ℓ∞ has (1, 1) of (1, t); else level 1 leaves nothing."""
    Z = np.array([[1.0, 0.0, 0.0], [3.0, 1.0, 0.0], [0.0, 2.0, 1.0], [5.0, 5.0, 5.0]])
    data = lm.Dataset(Z, np.ones(4), one_class=True)
    best = np.concatenate(lm.solve(lm.Lexicographic(lm.Linear(), data, norm=norm, levels=3)).theta)
    assert levels_apart(Z, best, norm, 3) < 1e-8
    for j in range(3):
        for step in (1e-4, -1e-4):
            aside = best + step * np.eye(3)[j]
            margins = [np.sort(Z @ v / np.linalg.norm(v, norm))[:3] for v in (best, aside)]
            apart = np.max(np.abs(margins[0] - margins[1])) / margins[0][0]
            assert levels_apart(Z, aside, norm, 3) == pytest.approx(apart, rel=1e-6, abs=1e-12)


def test_larger_samples_have_rivals() -> None:
    rng = np.random.default_rng(3)
    Z = rng.standard_normal((60, 3)) + 2.0
    Z[0], Z[1] = (0.1, 0.0, 0.0), (0.3, 0.1, 0.0)
    apart = levels_apart(Z, np.array([1.0, 0.5, 0.5]), math.inf, 2)
    # Level 1 is 1/10 wherever θ_1 = 1; level 2 is .4 at θ_2 = 1, or the least of the others.
    assert apart > 0.1


@pytest.mark.parametrize("norm", [2.0, 3.0, math.inf])
@pytest.mark.parametrize(
    "predictor", ["diagonal 2", "linear and diagonal 2", "linear and signed-square bias"]
)
def test_references_see_nonconvex_answers_that_are_slightly_wrong(
    predictor: str, norm: float
) -> None:
    """By the parts in which they are convex: the best answer has no gap, one beside it has."""
    X, y = np.array([[1.0, 0.3], [0.2, 1.5], [-1.0, -0.6]]), np.array([1.0, 1.0, -1.0])
    made, data = PREDICTORS[predictor](2), lm.Dataset(X, y)
    problems: list[tuple[str, lm.MarginPath | lm.ConstrainedPath]] = [
        ("margin-path", lm.MarginPath(made, data, 2.0, norm=norm)),
        ("margin-path with gamma", lm.MarginPath(made, data, 2.0, norm=norm, gamma=1.0)),
        ("constrained-path", lm.ConstrainedPath(made, data, 2.0, norm=norm)),
    ]
    for formulation, problem in problems:
        case = Instance(formulation, predictor, norm, "gaussian", problem, X, y)
        solution = lm.solve(problem, starts=1)
        if math.isinf(norm) and formulation == "constrained-path":
            assert math.isnan(separable_gap(case, solution))
            continue
        assert abs(separable_gap(case, solution)) < 1e-6
        theta = np.concatenate([block.ravel() for block in solution.theta])
        theta = theta * np.where(np.arange(theta.size) == 0, 0.98, 1.0)
        theta = theta / max(1.0, float(np.linalg.norm(theta, norm)))
        aside = replace(solution, theta=problem.functions.blocks(theta))
        assert separable_gap(case, aside) > 1e-5


def test_rivals_beat_answers_that_are_not_global() -> None:
    """Two samples on the axes: the diagonal network's margin is 1/4 at u = v = (1, 1)/2."""
    data = lm.Dataset(np.eye(2), [1, 1], one_class=True)
    problem = lm.HardMargin(lm.DiagonalNetwork(2), data)
    rng = np.random.default_rng(0)
    starts = list(rng.standard_normal((4, problem.functions.size)))
    assert best_direction(problem.functions, 2.0, starts) == pytest.approx(0.25, rel=1e-6)
    # log L = log 2 - r/√2 at the end of the ray (1, 1).
    loss = lm.ConstrainedPath(lm.Linear(), data, 2.0)
    least = least_loss(loss.objective, 2.0, 1.0, [np.array([1.0, 0.0])])
    assert least == pytest.approx(math.log(2.0) - math.sqrt(2.0), abs=1e-6)
