"""The collection: every answer is certified without a solver, and a wrong one is not."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.compare import Serial, compare
from lexmargin.errors import ParameterError
from lexmargin.formulations import ConstrainedPath, HardMargin, RegularizationPath
from lexmargin.judge import Verdict
from lexmargin.linalg.norms import vector_norm
from lexmargin.losses import Loss
from lexmargin.run.inseparable_data import refuse_inseparable
from lexmargin.shelf.collection import collection
from lexmargin.shelf.planted import Plan, biased, hard, overlapping, penalised

COLLECTION = collection()
SLOW = ("-std", "/long", "/wide", "/large", "/digits", "/breast-cancer")


def marked(name: str) -> object:
    long = any(part in name for part in SLOW)
    return pytest.param(name, marks=pytest.mark.long) if long else name


NAMES = [marked(name) for name in COLLECTION]


def test_it_holds_many_problems_of_every_kind() -> None:
    assert len(COLLECTION) >= 120
    few = ("iris-0-raw-none", "iris-0-raw-free", "overlap-logistic-10", "penalty-2^0-1")
    kinds = {type(COLLECTION[f"collection/{name}"].problem).__name__ for name in few}
    assert kinds >= {"HardMargin", "WSet", "ConstrainedPath", "RegularizationPath"}
    for scaled in ("raw", "std"):
        assert sum(f"-{scaled}" in name for name in COLLECTION) >= 25


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_is_certified_without_a_solver(name: str) -> None:
    case = COLLECTION[name]
    if case.theta is None:
        with pytest.raises(lm.NotSeparableError):
            refuse_inseparable(case.problem)
        return
    found = lm.certify(case.problem, case.theta)
    assert found.certified and found.verdict.at_least(Verdict.KKT), found.report()
    if isinstance(case.problem, HardMargin):
        assert found.verdict is Verdict.GLOBAL
        assert case.margin == pytest.approx(found.margin, rel=1e-9)
    # Another point is none: no tolerance lets a turn of a tenth pass.
    turned = case.theta + 0.1 * np.linalg.norm(case.theta) * np.roll(
        np.eye(case.theta.size)[0], case.theta.size // 2
    )
    assert not lm.certify(case.problem, turned).certified


def test_margins_go_down_to_a_billionth_of_the_samples() -> None:
    shares = []
    for case in COLLECTION.values():
        if isinstance(case.problem, HardMargin) and case.name.startswith("margin-l2"):
            rows = case.problem.functions.jacobian(np.zeros(case.problem.functions.size))
            shares.append(case.margin / np.linalg.norm(rows, axis=1).max())
    assert min(shares) < 1e-9 and max(shares) > 1e-2


@pytest.mark.parametrize("norm", [1.0, 2.0, np.inf])
@pytest.mark.parametrize("seed", range(4))
def test_planted_margins_are_the_largest_exactly(norm: float, seed: int) -> None:
    """By the dual norm of the sum of the supports, in fractions."""
    plan = Plan(samples=12, supports=5, tangent=1000, norm=norm, seed=seed, power=-3)
    problem, theta = hard(plan, "x")
    rows = [[Fraction(x) for x in row] for row in problem.functions.jacobian(theta).tolist()]
    w = [Fraction(x) for x in theta.tolist()]
    margins = [sum(a * b for a, b in zip(row, w, strict=True)) for row in rows]
    assert margins[:5] == [min(margins)] * 5
    mean = [sum(column) / 5 for column in zip(*rows[:5], strict=True)]
    if norm == 2.0:
        bound, size = sum(x * x for x in mean), sum(x * x for x in w)
        assert bound == min(margins) ** 2 / size
    else:
        sizes = (sum(map(abs, mean)), max(map(abs, mean)))
        dual = sizes[1] if norm == 1.0 else sizes[0]
        length = sum(map(abs, w)) if norm == 1.0 else max(map(abs, w))
        assert dual == min(margins) / length


@pytest.mark.parametrize("loss", [Loss.EXPONENTIAL, Loss.LOGISTIC])
@pytest.mark.parametrize("rho", [0.05, 1.0, 30.0])
def test_planted_losses_are_the_least_along_every_line(loss: Loss, rho: float) -> None:
    problem, theta = overlapping(Plan(samples=24, seed=3), "x", rho, loss, 3)
    assert isinstance(problem, ConstrainedPath)
    penalty, point = penalised(Plan(samples=24, seed=3), "x", 3, 2)
    assert isinstance(penalty, RegularizationPath)
    rng = np.random.default_rng(0)
    for stated, best in ((problem, theta), (penalty, point)):
        least = stated.objective(best)
        for _ in range(50):
            other = best + rng.normal(size=best.size) * 0.1 ** rng.integers(0, 8)
            if stated is problem:
                other /= max(1.0, vector_norm(other, 2.0))
            assert stated.objective(other) >= least - 1e-13 * abs(least)


def test_a_free_bias_has_its_score_exactly() -> None:
    for score in (-3, 5, 1000):
        problem, theta = biased(Plan(seed=2), "x", score)
        assert math.copysign(theta[-1] ** 2, theta[-1]) == pytest.approx(score, rel=1e-15)
        values = problem.functions.values(theta)
        assert values.min() == pytest.approx(1.0, rel=1e-9) and np.sum(values < 1.0 + 1e-9) == 4


@pytest.mark.parametrize(
    "plan", [Plan(features=5), Plan(tangent=10**17), Plan(power=-1080), Plan(nearly=1 << 50)]
)
def test_what_no_double_holds_is_refused(plan: Plan) -> None:
    with pytest.raises(ParameterError):
        hard(plan, "x")


def test_the_same_seed_gives_the_same_samples() -> None:
    first, second, other = (hard(Plan(seed=k), "x")[0].data.fingerprint for k in (1, 1, 2))
    assert first == second != other


@pytest.mark.long
def test_it_tells_solvers_apart() -> None:
    names = [
        f"collection/{name}" for name in ("margin-l2-1e6-1", "scale-2^40-1", "iris-0-raw-none")
    ]
    table = compare(names, ["clarabel", "daqp"], executor=Serial())
    successes = {(row.problem, row.profile): row.success for row in table.rows}
    assert len(set(successes.values())) == 2
    assert all(row.margin_gap is not None for row in table.rows if row.success)
