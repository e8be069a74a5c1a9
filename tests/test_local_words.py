"""What STRICT_LOCAL and SADDLE promise: a maximiser within the radius, a curve from the point."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lexmargin as lm
from adversarial_local import Circle, complaint
from lexmargin.errors import ReceiptError
from lexmargin.formulations.base import Formulation
from lexmargin.inputs.json_text import canonical
from lexmargin.judge import Tolerances, Verdict, certify
from lexmargin.judge.certificate import Ascent
from lexmargin.judge.receipts.facts import establish_problem
from lexmargin.judge.receipts.receipt import Receipt, receipt
from lexmargin.judge.receipts.receipt_format import digest, encoded
from lexmargin.judge.receipts.verify import verify_receipt
from lexmargin.judge.second_order import contraction, curvature
from lexmargin.judge.second_order.contraction import strict_near
from lexmargin.judge.second_order.exact_critical import critical_along
from lexmargin.judge.second_order.hessian_changes import Asked, Changes, changes_within
from lexmargin.judge.second_order.hessians import Curved, PredictorCurved, RescaledCurved
from lexmargin.judge.second_order.reduced import Reduced, reduce
from lexmargin.judge.second_order.vicinity import Vicinity

CUBICS = ((3, 0), (2, 1), (1, 2), (0, 3))
SQUARES = ((2, 0), (1, 1), (0, 2))
QUARTICS = ((4, 0), (0, 4))
FOURTHS = ((4, 0), (3, 1), (2, 2), (1, 3), (0, 4))
FORMULATIONS = ("hard-margin", "margin-path", "min-norm", "scaled-margin")


def points(X: Any) -> lm.Dataset:
    X = np.array(X, float)
    return lm.Dataset(X, [1] * len(X), one_class=True)


def stated(kind: str, predictor: Any, X: Any) -> Formulation:
    """The four problems of which a point with margin 1 and length 1 is a KKT point alike."""
    data = points(X)
    match kind:
        case "hard-margin":
            return lm.HardMargin(predictor, data)
        case "margin-path":
            return lm.MarginPath(predictor, data, 1.0)
        case "min-norm":
            return lm.MarginPath(predictor, data, 1.0, gamma=1.0)
        case _:
            return lm.ScaledMargin(predictor, data, 10.0)


# -- a strict maximiser is near --------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMULATIONS)
@pytest.mark.parametrize(
    ("third", "verdict"),
    [(1e3, Verdict.KKT), (100.0, Verdict.STRICT_LOCAL), (-300.0, Verdict.STRICT_LOCAL)],
)
def test_the_third_derivative_may_leave_no_maximiser(
    kind: str, third: float, verdict: Verdict
) -> None:
    # 1 + b t - .005 t² + c t³ + …: its slope has a zero where e² = 1e-4 > 12 b c.
    row = [1.0, 1e-8, 1.495, third]
    problem = stated(kind, lm.Polynomial(CUBICS), [row])
    theta = np.array([1.0, 0.0])
    found = certify(problem, theta)
    assert found.verdict is verdict, found.report()
    assert not complaint(found, Circle(CUBICS, np.array([row]), theta))
    assert (found.radius is None) == (found.verdict is Verdict.KKT)
    again = verify_receipt(receipt(problem, theta, found))
    assert again.verdict is found.verdict
    if found.radius is not None:
        # b t = .01 t²/2 - … puts it near t = 1e-6.
        assert 0.8e-6 < found.radius < 1.2e-6
        assert again.facts.certificate.radius == pytest.approx(found.radius, rel=1e-3)


@pytest.mark.parametrize(("third", "verdict"), [(1e3, Verdict.KKT), (100.0, Verdict.STRICT_LOCAL)])
def test_where_nothing_is_enclosed_the_change_is_measured(
    monkeypatch: pytest.MonkeyPatch, third: float, verdict: Verdict
) -> None:
    row, theta = [1.0, 1e-8, 1.495, third], np.array([1.0, 0.0])
    problem = stated("hard-margin", lm.Polynomial(CUBICS), [row])
    radius = certify(problem, theta).radius
    monkeypatch.setattr(PredictorCurved, "balls", None)
    found = certify(problem, theta)
    assert found.verdict is verdict
    assert not complaint(found, Circle(CUBICS, np.array([row]), theta))
    assert found.radius == (radius if radius is None else pytest.approx(radius, rel=0.1))


SMALL = [
    lm.Polynomial(CUBICS),
    lm.DiagonalNetwork(3),
    lm.Network((2,), lm.ReLU(3.0)),
    lm.Sum([lm.DiagonalNetwork(2), lm.DiagonalNetwork(1)]),
]


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.integers(0, 10**6))
def test_no_hessian_of_the_ball_differs_by_more_than_its_enclosure(seed: int) -> None:
    rng = np.random.default_rng(seed)
    predictor = SMALL[seed % len(SMALL)]
    features = 4 if isinstance(predictor, lm.Polynomial) else 2
    X = rng.standard_normal((3, features))
    data = points(np.vstack([X, X[:1]]))
    problem = lm.ScaledMargin(predictor, data, 2.0)
    functions = PredictorCurved(problem.functions)
    theta = rng.standard_normal(functions.size)
    radius = 10.0 ** rng.uniform(-9, -1)
    weights = np.array([0.5, 0.3, 0.0, 0.7])
    members, groups = np.array([0, 1, 3]), np.array([0, 1, 0])
    whole = np.eye(functions.size)

    def hessian(place: Any, weights: Any) -> Any:
        return functions.hessian_products(place, np.array(weights), whole)

    lengths = np.linalg.norm(functions.rows(theta, members), axis=1) + 0.1
    asked = Asked(
        point=theta,
        multipliers=weights,
        lagrangian=whole - hessian(theta, weights),
        members=members,
        lengths=lengths,
        groups=groups,
        weights=np.array([1.2, 0.3]),
    )
    vicinity: Any = type("Surroundings", (), {"functions": functions, "nearest_kink": None})()
    found = changes_within(vicinity, asked, radius)
    assert found.enclosed or isinstance(predictor, lm.Network)
    # Copies bend alike, up to the rounding or the width of the ball.
    assert found.enclosed or found.unequal <= 1e-9
    largest = bent = 0.0
    for _ in range(20):
        move = rng.standard_normal(theta.size)
        place = theta + radius * rng.uniform() ** 0.2 * move / np.linalg.norm(move)
        if found.enclosed:
            off = hessian(place, weights) - hessian(theta, weights)
            largest = max(largest, float(np.linalg.norm(off, 2)))
            for n, length in zip(members, lengths, strict=True):
                one = hessian(place, np.eye(4)[n])
                bent = max(bent, float(np.linalg.norm(one, 2)) / float(length))
    assert largest <= found.lagrangian + 1e-13
    assert bent <= found.bent * (1.0 + 1e-12)
    # Not many times as much as there is, or no word would be left.
    if largest > 1e-10:
        assert found.lagrangian <= 40.0 * largest


@pytest.mark.parametrize("kind", FORMULATIONS)
@pytest.mark.parametrize("away", [0.0, 1e-9, 1e-6])
def test_the_radius_reaches_the_maximiser_and_hardly_farther(kind: str, away: float) -> None:
    # 2 θ_1⁴ + θ_2⁴ has its maxima at the axes, the smaller one at θ_2.
    problem = stated(kind, lm.Polynomial(QUARTICS), [[2.0, 1.0]])
    theta = np.array([away, 1.0])
    found = certify(problem, theta, tolerances=Tolerances.at(1e-5))
    assert found.verdict is Verdict.STRICT_LOCAL and found.radius is not None
    assert away <= found.radius <= 1.01 * away + 1e-12
    assert found.to_json()["radius"] == found.radius and "radius" in found.report()
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize("away", [2e-3, 1e-2])
def test_a_maximiser_far_away_is_another_point(away: float) -> None:
    problem = stated("hard-margin", lm.Polynomial(QUARTICS), [[2.0, 1.0]])
    found = certify(problem, np.array([away, 1.0]), tolerances=Tolerances.at(0.1))
    assert found.stationarity > 0.5 * away
    assert found.verdict is Verdict.KKT and found.radius is None


@pytest.mark.parametrize("kind", FORMULATIONS)
@pytest.mark.parametrize(
    ("others", "verdict"),
    [
        # A margin that falls on one side has no multiplier, and takes nothing from a maximum.
        ([[1.0, 1.0, 1.0]], Verdict.STRICT_LOCAL),
        ([[1.0, 1.0, 30.0]], Verdict.STRICT_LOCAL),
        ([[1.0 + 1e-15, -0.1, 1.0]], Verdict.STRICT_LOCAL),
        ([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], Verdict.STRICT_LOCAL),
        # Three gradients of two parameters are dependent; so are nearly equal ones.
        ([[1.0, 1.0, 1.0], [1.0, -1.0, 1.0]], Verdict.KKT),
        ([[1.0, 1e-11, 1.0]], Verdict.STRICT_LOCAL),
        ([[1.0, 1e-8, 3.0]], Verdict.KKT),
    ],
)
def test_margins_without_weight_may_be_active_at_a_maximum(
    kind: str, others: list[list[float]], verdict: Verdict
) -> None:
    rows = np.array([[*row, 0.0, 10.0] for row in ([1.0, 0.0, 0.5], *others)])
    theta = np.array([1.0, 0.0])
    found = certify(stated(kind, lm.Polynomial(FOURTHS), rows), theta)
    assert found.verdict is verdict, found.report()
    assert not complaint(found, Circle(FOURTHS, rows, theta))


@pytest.mark.parametrize("kind", ["hard-margin", "scaled-margin"])
@pytest.mark.parametrize(
    "rows",
    [
        # 1 + g + st + kt² and 1 - st do not cross where s² < gk: the smaller one only falls.
        [[1.0 + 1e-8, 1e-3, 202.0], [1.0, -1e-3, 2.0]],
        [[1.0 + 1e-8, 1e-2, 20002.0], [1.0, -1e-2, 2.0]],
        [[1.0 + 5e-8, 0.3, 3.6e6], [1.0, -0.3, 2.0]],
        # They cross where the first one falls already: its multiplier is negative there.
        [[1.0 + 5e-8, 1e-5, 32.0], [1.0, -0.1, 2.0]],
        # Gradients that are nearly the same: the maximum is that of the other margin, 4.5e-10 away.
        [[1.0, 0.0, 1.0], [1.0 - 1e-12, -9e-10, 1.0]],
        [[1.0, 0.0, 1.0], [1.0 - 1e-13, -9e-10, 1.0]],
    ],
)
def test_what_newton_does_not_reach_is_no_maximum(kind: str, rows: list[list[float]]) -> None:
    whole, theta = np.array([[*row, 0.0, 10.0] for row in rows]), np.array([1.0, 0.0])
    found = certify(stated(kind, lm.Polynomial(FOURTHS), whole), theta)
    assert found.verdict in (Verdict.KKT, Verdict.STRICT_LOCAL), found.report()
    assert not complaint(found, Circle(FOURTHS, whole, theta))


@pytest.mark.parametrize("kind", FORMULATIONS)
@pytest.mark.parametrize("change", ["lagrangian", "bent", "unequal"])
@pytest.mark.parametrize("rows", [[[1.0, 0.0, 0.5]], [[1.0, 1.0, 0.5], [1.0, -1.0, 0.6]]])
@pytest.mark.parametrize("far", [1.0, 1e6])
def test_each_change_alone_takes_the_word_away(
    monkeypatch: pytest.MonkeyPatch, kind: str, change: str, rows: list[list[float]], far: float
) -> None:
    """At a smooth maximum, and at a vertex where no tangent is left."""
    whole, theta = np.array([[*row, 0.0, 10.0] for row in rows]), np.array([1.0, 0.0])
    problem = stated(kind, lm.Polynomial(FOURTHS), whole)
    nothing = Changes(lagrangian=0.0, bent=0.0, unequal=0.0, enclosed=True)
    monkeypatch.setattr(contraction, "changes_within", lambda *_: nothing)
    assert certify(problem, theta).verdict is Verdict.STRICT_LOCAL
    size = far * (1e15 if change == "bent" else 1e3)
    much = replace(nothing, **{change: size})
    monkeypatch.setattr(contraction, "changes_within", lambda *_: much)
    assert certify(problem, theta).verdict is Verdict.KKT


def test_tangents_turn_on_the_way_to_where_newton_leads() -> None:
    """x_1² + e x_1x_2 ± (s x_1x_4 + k x_2x_3) + … : a saddle 5e-6 away, all Hessians constant.

    There the tangent e_3 has turned to e_3 - (kc/s) e_4, c = 5e-6, and its curvature from -.004 to
    -.004 + 2h kc/s = .006, by the cross term h of x_3x_4.
    """
    e, bend, low, h, k, s = 1e-7, 0.01, 0.004, 10.0, 10.0, 0.1
    pairs = [(i, j) for i in range(4) for j in range(i, 4)]
    exponents = tuple(tuple((np.eye(4, dtype=int)[[i, j]]).sum(0).tolist()) for i, j in pairs)
    rows = []
    for sign in (1.0, -1.0):
        terms = {(0, 0): 1.0, (0, 1): e, (0, 3): sign * s, (1, 2): sign * k}
        terms |= {(1, 1): 1.0 - bend, (2, 2): 1.0 - low, (2, 3): -2.0 * h}
        rows.append([terms.get(pair, 0.0) for pair in pairs])
    problem = stated("hard-margin", lm.Polynomial(exponents), rows)
    found = certify(problem, np.eye(4)[0])
    assert found.verdict is Verdict.KKT, found.report()
    assert found.curvature is not None and found.curvature.smallest == pytest.approx(low, rel=1e-3)

    def margin(place: list[float]) -> float:
        return float(np.min(problem.functions.values(np.array(place)))) / float(
            np.dot(place, place)
        )

    c, t = e / (2.0 * bend), 1e-3
    # On both sides of the maximum along e_2 it falls, and along the turned tangent it rises.
    assert margin([1.0, c, 0.0, 0.0]) > max(margin([1.0, c + v, 0.0, 0.0]) for v in (t, -t))
    assert margin([1.0, c, t, -k * c / s * t]) > margin([1.0, c, 0.0, 0.0]) + 5e-9


def test_a_direction_that_is_better_is_not_called_a_maximiser() -> None:
    # The inner maximum of the depth 3 network, from ε = .009: .005 away the margin is larger.
    data = points([[1.0, 0.6], [0.6, 1.0]])
    theta = np.ones(6) / math.sqrt(6.0)
    theta[0] *= 1.02
    limits = Tolerances(support=0.5, stationarity=0.1, complementarity=0.1)
    found = certify(lm.HardMargin(lm.DiagonalNetwork(3), data), theta, tolerances=limits)
    assert 5e-3 < found.stationarity < 2e-2
    assert found.verdict is Verdict.KKT and found.radius is None


def test_without_a_strong_margin_there_is_no_second_order_word() -> None:
    limits = Tolerances(support=0.5, stationarity=0.1, complementarity=0.1)
    theta = np.ones(6)
    theta[0] = 1.05
    found = certify(
        lm.HardMargin(lm.DiagonalNetwork(3), points([[1.0, 0.6], [0.6, 1.0]])),
        theta,
        tolerances=limits,
    )
    assert found.stationarity > 0.01 and found.verdict is Verdict.KKT
    assert any("no margin holds the point" in why for why in found.reasons)


LOOSE = [
    lm.DiagonalNetwork(3),
    lm.Network((2,), lm.Square()),
    lm.Network((2,), lm.ReLU(2.0)),
    lm.Network((2,), lm.ReLU()),
    lm.Sum([lm.DiagonalNetwork(2), lm.DiagonalNetwork(3)]),
]


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.integers(0, 10**6))
def test_loose_tolerances_end_in_a_word(seed: int) -> None:
    rng = np.random.default_rng(seed)
    predictor = LOOSE[seed % len(LOOSE)]
    limits = Tolerances(
        support=10.0 ** rng.uniform(-7, -0.1),
        stationarity=10.0 ** rng.uniform(-7, -0.1),
        complementarity=10.0 ** rng.uniform(-7, -0.1),
        kink=10.0 ** rng.uniform(-7, -0.5),
        feasibility=0.5,
    )
    data = points(np.abs(rng.standard_normal((int(rng.integers(1, 4)), 2))) + 0.1)
    problems: list[Formulation] = [lm.MarginPath(predictor, data, 1.0)]
    if not isinstance(predictor, lm.Sum):
        problems.append(lm.HardMargin(predictor, data))
    problems.append(lm.ScaledMargin(predictor, data, 2.0))
    for problem in problems:
        theta = 1.0 + 10.0 ** rng.uniform(-9, -0.5) * rng.standard_normal(problem.functions.size)
        if isinstance(problem, lm.MarginPath):
            theta = theta / np.linalg.norm(theta)
        found = certify(problem, theta, tolerances=limits)
        assert isinstance(found.verdict, Verdict)
        assert (found.radius is not None) == (found.verdict is Verdict.STRICT_LOCAL)
        assert (found.rise is not None) == (found.verdict is Verdict.SADDLE)


class Planes(Curved):
    """f_n = offset_n + row_n·u, for judges of any f_n: no degree holds these together."""

    def __init__(self, offsets: Any, rows: Any) -> None:
        self._offsets, self._rows = np.array(offsets, float), np.array(rows, float)
        self.count, self.size = self._rows.shape

    def values(self, theta: Any) -> Any:
        return self._offsets + self._rows @ theta

    def rows(self, theta: Any, indices: Any) -> Any:
        return self._rows[indices]

    def vjp(self, theta: Any, weights: Any) -> Any:
        return weights @ self._rows

    def hessian_products(self, theta: Any, weights: Any, directions: Any) -> Any:
        return np.zeros(directions.shape)

    def jumps(self, theta: Any, weights: Any, tolerance: float) -> bool:
        return False

    def tangents(self, theta: Any, support: Any) -> Any:
        return np.zeros((0, self.size))


def around(functions: Planes, multipliers: list[float], **options: Any) -> Vicinity:
    """What lies around e_1, on the sphere unless there is a level or a degree."""
    theta = np.eye(functions.size)[0]
    rest: dict[str, Any] = {"level": None, "degree": None} | options
    return Vicinity(
        functions=functions,
        theta=theta,
        multipliers=np.array(multipliers),
        support=np.arange(functions.count),
        worth=lambda u: 0.0,
        limits=Tolerances(),
        nearest_kink=None,
        **rest,
    )


@pytest.mark.parametrize(
    ("options", "shown"), [({"level": 1.0}, True), ({"degree": 1.0}, True), ({}, False)]
)
def test_where_the_level_moves_all_margins_at_it_move(options: Any, shown: bool) -> None:
    """On the sphere the level is the margin, which a move r of the point changes by r²/2 at least.

    By that over ‖∇f_2‖ = 1e-9 the place moves where f_2 is at the level.
    """
    vicinity = around(Planes([0.0, 1.0], [[1.0, 0.0], [0.0, 1e-9]]), [1.0, 0.0], **options)
    reduced = reduce(vicinity)
    assert isinstance(reduced, Reduced)
    assert isinstance(strict_near(vicinity, reduced), float) is shown


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.integers(0, 10**6))
def test_every_margin_that_a_move_brings_to_the_level_is_asked(seed: int) -> None:
    rng = np.random.default_rng(seed)
    radius = 10.0 ** rng.uniform(-9, -4)
    rows = np.vstack([np.eye(3)[0], rng.standard_normal((6, 3)) * 10.0 ** rng.uniform(-2, 2)])
    falls = radius * np.linalg.norm(rows, axis=1)
    # f_n(e_1) = 1 + share · (what it may fall by), seen from a first margin that is 1 there.
    shares = np.concatenate([[0.0], rng.uniform(0.0, 8.0, 6)])
    vicinity = around(Planes(1.0 + shares * falls - rows[:, 0], rows), [1.0, *[0.0] * 6])
    reduced = reduce(vicinity)
    assert isinstance(reduced, Reduced)
    improved = contraction._improved(vicinity, reduced)
    held = contraction._grouped(vicinity, reduced, improved, np.array([], dtype=np.intp))
    assert not isinstance(held, str)
    near, _ = contraction._near(vicinity, reduced, improved, held, radius)
    # Curvature, which nobody measures there, may add three times as much.
    sure = np.flatnonzero((shares <= 3.99) & (np.arange(7) > 0))
    assert np.all(np.isin(sure, near))
    # What is five times as far is not reached.
    assert not np.any(shares[near] > 5.0)


# -- a curve from the point ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMULATIONS)
@pytest.mark.parametrize("h", [1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-9])
def test_weakly_active_margins_may_bar_both_sides(kind: str, h: float) -> None:
    # The margin falls like 1 - h|t| up to |t| ≈ h, and is 2 far away.
    rows = [[1.0, 0.0, 2.0], [1.0, h, 3.0], [1.0, -h, 3.0]]
    problem, theta = stated(kind, lm.Polynomial(SQUARES), rows), np.array([1.0, 0.0])
    found = certify(problem, theta)
    assert found.verdict in (Verdict.KKT, Verdict.STRICT_LOCAL), found.report()
    # One of them bars one side only.
    free = certify(stated(kind, lm.Polynomial(SQUARES), rows[:2]), theta)
    assert free.verdict is Verdict.SADDLE, free.report()
    assert free.rise is not None and free.rise.shortest < 1e-5
    assert free.to_json()["rise"]["order"] == 2


@pytest.mark.parametrize("bend", [1e-5, 1e-4])
@pytest.mark.parametrize("third", [1.0, 5.0, 30.0, 200.0])
@pytest.mark.parametrize("part", [0.5, 0.8, 0.95])
def test_a_maximum_too_low_to_be_seen_is_no_rise(bend: float, third: float, part: float) -> None:
    """1 + κt² - ct³ + dt⁴ + … with `9c² > 32κd`: a maximum near 2κ/3c, and what is seen is dt⁴."""
    fourth = part * 9.0 * third**2 / (32.0 * bend)
    row, theta = [1.0, 0.0, 2.0 + bend, -third, fourth], np.array([1.0, 0.0])
    found = certify(stated("hard-margin", lm.Polynomial(FOURTHS), [row]), theta)
    assert found.verdict.certified, found.report()
    assert Circle(FOURTHS, np.array([row]), theta).maximisers(2.0 * bend / third)


@pytest.mark.parametrize("kind", FORMULATIONS)
@pytest.mark.parametrize("slope", [5.4e-13, 1e-9, 1e-15, 1e-17])
def test_slopes_below_rounding_may_bar_both_sides(kind: str, slope: float) -> None:
    """f_1 = a² + s ab + 11.9 b² falls on one side of (1, 0) by s²/44, f_2 on the other."""
    rows, theta = np.array([[1.0, slope, 11.9], [1.0, -0.00197, 5.64]]), np.array([1.0, 0.0])
    for order in ([0, 1], [1, 0]):
        found = certify(stated(kind, lm.Polynomial(SQUARES), rows[order]), theta)
        assert found.verdict in (Verdict.KKT, Verdict.STRICT_LOCAL), found.report()
    # Slopes of one sign leave a side open; rounding cannot tell that from the above.
    rows[0, 1] = -slope
    found = certify(stated(kind, lm.Polynomial(SQUARES), rows), theta)
    assert found.verdict.stationary and not complaint(found, Circle(SQUARES, rows, theta))
    # First order is exact without the slope.
    rows[0, 1] = 0.0
    found = certify(stated(kind, lm.Polynomial(SQUARES), rows), theta)
    assert found.verdict is Verdict.SADDLE and not complaint(found, Circle(SQUARES, rows, theta))


@pytest.mark.parametrize(
    ("rows", "verdict"),
    [
        # Copies have one gradient, and other functions may have the same.
        ([[1.0, 0.0, 2.0], [1.0, 0.0, 2.0]], Verdict.SADDLE),
        ([[1.0, 0.0, 2.0], [1.0, 0.0, 3.0]], Verdict.SADDLE),
        ([[1.0, 5e-13, 2.0], [1.0, -7e-13, 3.0]], Verdict.KKT),
        ([[1.0, 5e-10, 2.0], [1.0, -7e-10, 3.0]], Verdict.KKT),
        # A margin that is not quite active bars the way 1e-9 farther on.
        ([[1.0, 0.0, 2.0], [1.0 + 1e-12, 1e-3, 3.0]], Verdict.KKT),
        ([[1.0, 0.0, 2.0], [1.0 + 1e-3, 1e-3, 3.0]], Verdict.SADDLE),
    ],
)
def test_active_margins_are_held_or_first_order_is_exact(
    rows: list[list[float]], verdict: Verdict
) -> None:
    theta = np.array([1.0, 0.0])
    found = certify(stated("hard-margin", lm.Polynomial(SQUARES), rows), theta)
    assert found.verdict is verdict, found.report()
    assert not complaint(found, Circle(SQUARES, np.array(rows), theta))


def test_copies_turned_out_of_the_axes_are_still_one_margin() -> None:
    # 1.3 (a c + b s)² + 3 (b c - a s)² at (c, s), where nothing is exact.
    c, s = math.cos(0.7), math.sin(0.7)
    row = [1.3 * c * c + 3 * s * s, 2 * (1.3 - 3) * c * s, 1.3 * s * s + 3 * c * c]
    problem = stated("hard-margin", lm.Polynomial(SQUARES), [row, row])
    assert certify(problem, np.array([c, s])).verdict is Verdict.SADDLE


@pytest.mark.parametrize("turn", [0.0, 0.7])
@pytest.mark.parametrize(
    ("slope", "verdict"), [(1e-17, Verdict.SADDLE), (1e-13, Verdict.KKT), (1e-9, Verdict.KKT)]
)
def test_functions_known_as_floats_only_are_spoken_of_as_computed(
    monkeypatch: pytest.MonkeyPatch, turn: float, slope: float, verdict: Verdict
) -> None:
    """1.3 t² + …, 1 ± s t + 3t²: s bars both sides within s/3, which floats see above rounding."""
    monkeypatch.setattr(PredictorCurved, "balls", None)
    c, sine = math.cos(turn), math.sin(turn)
    rows = []
    for b, k in ((0.0, 2.3), (slope, 4.0), (-slope, 4.0)):
        # (x c + y s)² + b (x c + y s)(y c - x s) + k (y c - x s)² in powers of x and y.
        rows.append(
            [
                c * c - b * c * sine + k * sine * sine,
                2 * c * sine + b * (c * c - sine * sine) - 2 * k * c * sine,
                sine * sine + b * c * sine + k * c * c,
            ]
        )
    problem = stated("hard-margin", lm.Polynomial(SQUARES), rows)
    found = certify(problem, np.array([c, sine]))
    assert found.verdict is verdict, found.report()


@pytest.mark.parametrize("kind", FORMULATIONS)
def test_a_receipt_of_a_far_better_point_is_no_saddle(kind: str) -> None:
    theta = np.array([0.0, 1.0])
    problem = stated(kind, lm.Polynomial(QUARTICS), [[2.0, 1.0]])
    found = certify(problem, theta)
    assert found.verdict is Verdict.STRICT_LOCAL
    honest = receipt(problem, theta, found)
    for direction in ([1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.6, -0.8], [0.6, 0.8]):
        for order in (1, 2):
            for held in ([0], []):
                ascent = Ascent(np.array(direction), np.array(held, dtype=np.intp), order)
                evidence = honest.evidence
                changed = type(evidence)(
                    support=evidence.support,
                    multipliers=evidence.multipliers,
                    tau=evidence.tau,
                    ascent=ascent,
                )
                facts = establish_problem(problem, theta, found.tolerances, changed)
                assert facts.verdict is Verdict.STRICT_LOCAL
                content = json.loads(canonical(honest.content))
                content["evidence"]["ascent"] = {
                    "direction": encoded(np.array(direction)), "held": held, "order": order,
                }  # fmt: skip
                saddle = {"verdict": "SADDLE", "radius": None, "rate": 0.5}
                for claims in (saddle, {**saddle, "curvature": None}):
                    content["claims"].update(claims)
                    content.pop("digest")
                    content["digest"] = digest(content)
                    with pytest.raises(ReceiptError):
                        verify_receipt(Receipt.from_bytes(json.dumps(content).encode()))


@pytest.mark.parametrize("kind", FORMULATIONS)
def test_receipts_of_saddles_carry_their_curve(kind: str) -> None:
    # θ_1² + 2 θ_2² at (1, 0): 1 - λ f'' = -1 along θ_2.
    problem, theta = stated(kind, lm.Polynomial(SQUARES), [[1.0, 0.0, 2.0]]), np.array([1.0, 0.0])
    found = certify(problem, theta)
    assert found.verdict is Verdict.SADDLE and found.rise is not None
    assert found.rise.rate == pytest.approx(0.5, rel=0.1)
    honest = receipt(problem, theta, found)
    again = verify_receipt(Receipt.from_bytes(honest.to_bytes()))
    assert again.verdict is Verdict.SADDLE
    assert again.facts.certificate.rise.rate == pytest.approx(found.rise.rate, rel=0.2)
    assert set(honest.content["evidence"]["ascent"]) == {"direction", "held", "order"}


def test_numbers_that_are_no_fractions_are_not_exact() -> None:
    # f_n/r_n: exact for r = 4 alone.
    rows, theta = [[1.0, 0.0, 2.0], [1.0, 0.0, 3.0]], np.array([1.0, 0.0])
    functions = PredictorCurved(stated("hard-margin", lm.Polynomial(SQUARES), rows).functions)
    first, other = np.array([0]), np.array([1])
    for required, exact in ((4.0, True), (3.0, False)):
        shared = RescaledCurved(functions, np.ones(2), np.full(2, required))
        vicinity: Any = type("Surroundings", (), {"functions": shared, "theta": theta})()
        assert critical_along(vicinity, np.array([0.0, 1.0]), first, other) is exact
        # Along θ, and where θ is no combination of those held, nothing is critical.
        assert not critical_along(vicinity, theta, first, other)
        away: Any = type("Surroundings", (), {"functions": shared, "theta": np.array([1.0, 0.5])})()
        assert not critical_along(away, np.array([-0.5, 1.0]), first, first)


# -- the checks themselves -------------------------------------------------------------------------


def test_the_oracle_sees_a_radius_that_is_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    row, theta = [1.0, 1e-8, 1.495, 100.0], np.array([1.0, 0.0])
    circle = Circle(CUBICS, np.array([row]), theta)
    problem = stated("hard-margin", lm.Polynomial(CUBICS), [row])
    for radius, false in ((2e-6, False), (9e-7, True)):
        monkeypatch.setattr(curvature, "strict_near", lambda *_, r=radius: r)
        assert bool(complaint(certify(problem, theta), circle)) is false


def test_the_oracle_sees_a_saddle_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, theta = [[1.0, 0.0, 2.0], [1.0, 0.1, 3.0], [1.0, -0.1, 3.0]], np.array([1.0, 0.0])
    problem = stated("hard-margin", lm.Polynomial(SQUARES), rows)
    free = certify(stated("hard-margin", lm.Polynomial(SQUARES), rows[:1]), theta)
    forged = replace(certify(problem, theta), verdict=Verdict.SADDLE, rise=free.rise)
    assert "local maximiser" in complaint(forged, Circle(SQUARES, np.array(rows), theta))


def test_a_hessian_that_changes_unseen_would_be_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    # Without the measured change the false word of a missing maximiser comes back.
    unseen = Changes(lagrangian=0.0, bent=0.0, unequal=0.0, enclosed=True)
    monkeypatch.setattr(contraction, "changes_within", lambda *_: unseen)
    row, theta = [1.0, 1e-8, 1.495, 1e3], np.array([1.0, 0.0])
    found = certify(stated("hard-margin", lm.Polynomial(CUBICS), [row]), theta)
    assert found.verdict is Verdict.STRICT_LOCAL
    assert complaint(found, Circle(CUBICS, np.array([row]), theta))


@pytest.mark.parametrize("fall", [1e-3, 1e-5, 1.7e-7])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_light_weight_bars_the_way(fall: float, sign: float) -> None:
    """f_1 = a² - fall ab + 6b², f_2 = a² + 7ab + 7b² at (1, 0): one falls on either side.

    λ_2 is of order ``fall``. At lengths above it f_1 rises, along its own tangent by its curvature:
    the margin falls before it rises, and (1, 0) is a strict maximum.
    """
    rows = [[1.0, -sign * fall, 6.0], [1.0, sign * 7.0, 7.0]]
    predictor = lm.Polynomial(((2, 0), (1, 1), (0, 2)))
    found = lm.certify(
        lm.HardMargin(predictor, lm.Dataset(rows, [1, 1], one_class=True)), np.array([1.0, 0.0])
    )
    assert found.certified, found.report()
    # Without the second margin it is the saddle it was taken for.
    alone = lm.Dataset([[1.0, 0.0, 6.0]], [1], one_class=True)
    found = lm.certify(lm.HardMargin(predictor, alone), np.array([1.0, 0.0]))
    assert found.verdict is Verdict.SADDLE


def test_no_saddle_where_a_jump_of_the_hessian_hides_among_its_shortest_lengths() -> None:
    # Newton's method in 40 digits: a strict maximiser (least eigenvalue 1) 3.8e-5 away, across the
    # kinks of both units.
    X = [[0.46826622402044543, -2.7381683839262527e-05], [3.160089647361382e-05, 0.719797926955513]]
    units = [7.445658304449744, 0.0, 0.0002454563750228747, 5.590164597080016]
    theta = np.array([*units, 5.264875477474345, 3.952843289753327])
    network = lm.Network((2,), lm.ReLU(2.0))
    found = certify(lm.HardMargin(network, lm.Dataset(X, [1, 1], one_class=True)), theta)
    assert found.verdict is Verdict.KKT
