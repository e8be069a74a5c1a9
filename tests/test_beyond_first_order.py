"""Kinks and second order of a direction, whoever evaluates it: what each finding leads to."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.judge import Certificate, Tolerances, Verdict, certify_arrays
from lexmargin.judge.local.beyond_first_order import beyond_first_order
from lexmargin.judge.local.clarke import GradientSets
from lexmargin.judge.local.kinked_point import KinkedDirection, PredictorPoint, Standing
from lexmargin.judge.point import UnitPoint, unit_point
from lexmargin.judge.receipts.receipt import receipt
from lexmargin.judge.receipts.verify import verify_receipt
from lexmargin.judge.second_order.hessians import PredictorCurved

E1, E2 = np.eye(2)
LIMITS = Tolerances()
WHERE = "on a kink of relu (1.0e-12)"


class Place(KinkedDirection):
    """The direction e_1 of f_1 = u_1² - u_2², and of a second margin that is told."""

    def __init__(self, **told: Any) -> None:
        exponents, rows = ((2, 0), (1, 1), (0, 2)), [[1.0, 0.0, -1.0], [1.5, 0.0, 0.0]]
        data = lm.Dataset(rows, [1, 1], one_class=True)
        self.functions = lm.HardMargin(lm.Polynomial(exponents), data).functions
        self.theta, self.degree, self.limit = E1, 2.0, LIMITS.kink
        self.support_standing, self.other_standing = Standing(), Standing()
        self.others: list[int] = []
        self.told_sets: GradientSets | None = self.smooth([0])
        self.known_rows = self.functions.jacobian(E1)
        for name, value in told.items():
            setattr(self, name, value)

    @property
    def curved(self) -> PredictorCurved:
        return PredictorCurved(self.functions)

    def smooth(self, indices: Any) -> GradientSets:
        rows, none = self.functions.jacobian(E1)[indices], np.zeros((0, 2))
        count = len(indices)
        return GradientSets(rows, (none,) * count, (np.zeros(0),) * count, (none,) * count, True)

    def rows(self, indices: Any) -> Any:
        return self.functions.jacobian(E1)[indices]

    def known(self, support: Any) -> UnitPoint:
        return unit_point(self.values, self.known_rows, E1, self.degree)

    def standing(self, support: Any) -> Standing:
        return self.support_standing

    def beside(self, support: Any) -> tuple[Any, Standing]:
        return np.array(self.others, dtype=np.intp), self.other_standing

    def sets(self, indices: Any) -> GradientSets | None:
        return None if self.told_sets is None else self.smooth(indices)


def first(place: Place, norm: float = 2.0) -> Certificate:
    values, rows = place.functions.values(E1), place.functions.jacobian(E1)
    return certify_arrays(values, rows, E1, 2.0, norm, LIMITS)


KINK = Standing(1e-12, WHERE)


def test_a_smooth_point_is_judged_by_its_curvature() -> None:
    place = Place(support_standing=Standing(0.2))
    found = beyond_first_order(place, first(place))
    assert found.verdict is Verdict.STRICT_LOCAL and found.nearest_kink == 0.2
    # 1 - λ f'' = 1 + ½ 2 with λ = ½.
    assert found.curvature is not None and found.curvature.smallest == pytest.approx(2.0)


@pytest.mark.parametrize("norm", [1.0, 3.0, math.inf])
def test_another_ball_has_no_second_order(norm: float) -> None:
    place = Place()
    before = first(place, norm)
    assert before.verdict is Verdict.KKT
    found = beyond_first_order(place, before)
    assert found.verdict is Verdict.KKT and found.curvature is None


def test_what_does_not_bend_has_no_second_order() -> None:
    place = Place(bends=False)
    assert beyond_first_order(place, first(place)).verdict is Verdict.KKT


@pytest.mark.parametrize("change", [{"stationarity": math.nan}, {"support": np.zeros(0, int)}])
def test_where_margins_alone_have_decided_nothing_else_does(change: dict[str, Any]) -> None:
    place = Place(support_standing=KINK)
    before = replace(first(place), verdict=Verdict.NOT_SEPARATING, **change)
    assert beyond_first_order(place, before) is before


def test_distances_that_are_unknown_leave_no_word() -> None:
    why = "the distance from kinks is unknown, because of floor: one gradient for each sample may "
    why += "decide nothing"
    place = Place(support_standing=Standing(None, "", why))
    found = beyond_first_order(place, first(place))
    assert found.verdict is Verdict.UNDECIDED and found.reasons[0] == why
    # Of other samples only where a refutation hangs on them.
    place = Place(other_standing=Standing(None, "", why))
    assert beyond_first_order(place, first(place)).verdict is Verdict.STRICT_LOCAL
    refuted = replace(first(place), verdict=Verdict.NOT_STATIONARY, stationarity_bound=0.5)
    assert beyond_first_order(place, refuted).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize(("slope_zero", "verdict"), [
    (True, Verdict.CLARKE_KKT), (False, Verdict.UNDECIDED)
])  # fmt: skip
def test_in_another_ball_slope_0_counts_where_it_is_an_element(
    slope_zero: bool, verdict: Verdict
) -> None:
    place = Place(support_standing=KINK, slope_zero=slope_zero)
    found = beyond_first_order(place, first(place, 3.0))
    assert found.verdict is verdict and found.reasons[0].startswith(WHERE)
    # It refutes nothing.
    refuted = replace(first(place, 3.0), verdict=Verdict.NOT_STATIONARY)
    assert beyond_first_order(place, refuted).verdict is Verdict.UNDECIDED


def test_no_smooth_word_stands_on_a_kink() -> None:
    place = Place(support_standing=KINK)
    found = beyond_first_order(place, first(place))
    assert found.verdict is Verdict.CLARKE_KKT and found.curvature is None
    assert found.nearest_kink == 1e-12 and found.reasons[0].startswith(WHERE)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"most_rows": 0}, "1 support margins are too many to choose slopes"),
        ({"told_sets": None}, "the slopes there cannot be chosen, or are too many to list"),
        # θ·∇f = 2 f to 1e-6, and not at all.
        ({"known_rows": np.array([[2.0 + 2e-6, 0.0], [3.0, 0.0]])}, "Euler's identity by 1e-06"),
        ({"known_rows": np.array([[5.0, 0.0], [3.0, 0.0]])}, "Euler's identity by"),
        ({"values": np.array([1e-20, 1.0])}, "no larger than its own rounding error"),
    ],
)
def test_a_doubt_on_a_kink_leaves_no_word(told: dict[str, Any], why: str) -> None:
    place = Place(support_standing=KINK, **told)
    found = beyond_first_order(place, first(place))
    assert found.verdict is Verdict.UNDECIDED and why in found.reasons[0], found.reasons


@pytest.mark.parametrize(
    ("others", "bound", "away", "verdict", "left"),
    [
        # No other sample on a kink: the refutation stands as it is.
        ([], 0.5, 0.0, Verdict.NOT_STATIONARY, 0.5),
        # δ = 1e-7 of weight on f_2, 0.5 above the margin, moves little beside a bound of a half.
        ([1], 0.5, 1.0, Verdict.NOT_STATIONARY, 0.5 - 1e-7),
        # Beside a bound of 2e-7 it may move all; then elements decide.
        ([1], 2e-7, 1.0, Verdict.CLARKE_KKT, None),
        ([1], 2e-7, 0.0, Verdict.NOT_STATIONARY, 2e-7),
        # A sample of the smallest margin may carry any weight.
        ([0], 0.5, 1.0, Verdict.CLARKE_KKT, None),
    ],
)
def test_a_refutation_counts_other_samples_on_kinks(
    others: list[int], bound: float, away: float, verdict: Verdict, left: float | None
) -> None:
    class Aside(Place):
        def rows(self, indices: Any) -> Any:
            return super().rows(indices) + away * E2

    place = Aside(others=others, other_standing=KINK)
    refuted = replace(first(place), verdict=Verdict.NOT_STATIONARY, stationarity_bound=bound)
    found = beyond_first_order(place, refuted)
    assert found.verdict is verdict, found.report()
    if left is not None:
        assert found.stationarity_bound == pytest.approx(left, rel=1e-6)


def test_only_what_is_sure_of_a_distance_counts() -> None:
    place = Place(sure=0.1)
    around = place.around(replace(first(place), nearest_kink=0.5))
    assert around.nearest_kink == pytest.approx(0.05)
    assert place.around(first(place)).nearest_kink is None


def test_a_predictor_is_on_every_kink_of_its_support() -> None:
    # xor: each sample is on the kinks of two units, and no other margin is beside it.
    signs, X = [1, 1, -1, -1], np.array([[1, 1], [-1, -1], [1, -1], [-1, 1]], float)
    problem = lm.HardMargin(lm.Network((4,), lm.ReLU()), lm.Dataset(X, signs))
    theta = np.concatenate([X.ravel() / math.sqrt(2.0), np.array(signs, float)])
    place = PredictorPoint(problem.functions, 7.0 * theta, 2.0, LIMITS.kink)
    assert np.linalg.norm(place.theta) == pytest.approx(1.0)
    np.testing.assert_allclose(place.values, problem.functions.values(place.theta), rtol=1e-14)
    for n in range(4):
        standing = place.standing(np.array([n]))
        assert standing.nearest == 0.0 and standing.where.startswith("on a kink (2 units")
        sets = place.sets(np.array([n]))
        assert sets is not None and sets.parts[0].shape == (2, 12)
    margins, standing = place.beside(np.array([0]))
    assert margins.tolist() == [0, 1, 2, 3] and standing.where.startswith("on a kink (4 units")
    # Off the kinks by more than the limit there is none.
    turned = PredictorPoint(problem.functions, theta + 1e-3 * np.arange(12.0), 2.0, LIMITS.kink)
    assert not turned.standing(np.arange(4)).where and not turned.beside(np.array([0]))[0].size
    diagonal = lm.HardMargin(lm.DiagonalNetwork(2), lm.Dataset(X[:1], [1], one_class=True))
    smooth = PredictorPoint(diagonal.functions, np.ones(4), 2.0, LIMITS.kink)
    assert smooth.standing(np.array([0])).nearest is None
    assert smooth.beside(np.array([0]))[0].size == 0 and smooth.bends


@pytest.mark.parametrize("norm", [1.0, 3.0, math.inf])
def test_a_program_is_at_a_kink_what_a_direction_is(norm: float) -> None:
    """Of degrees 1 and 2, with a dead unit: the linear part alone is the answer of its norm."""
    predictor = lm.Sum([lm.Linear(), lm.Network((1,), lm.ReLU())])
    x = np.array([2.0, 1.0])
    problem = lm.MarginPath(
        predictor, lm.Dataset(x[None, :], [1], one_class=True), rho=1.0, gamma=1.0, norm=norm
    )
    pull = {1.0: np.array([1.0, 0.0]), 3.0: np.sqrt(x), math.inf: np.ones(2)}[norm]
    theta = np.concatenate([pull / (pull @ x), np.zeros(3)])
    found = lm.certify(problem, theta)
    assert found.verdict is lm.Verdict.CLARKE_KKT and "slope 0" in found.reasons[0]
    assert verify_receipt(receipt(problem, theta, found)).verdict is found.verdict
    # A point that is none of the linear part's is none here.
    theta[:2] = x[::-1] / 4.0
    assert lm.certify(problem, theta).verdict is lm.Verdict.UNDECIDED
