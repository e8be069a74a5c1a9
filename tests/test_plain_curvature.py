"""Second order at a scale: strict local optima and saddles of eq. 6, 7 and 14."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.formulations.base import Formulation
from lexmargin.formulations.kkt import Kkt
from lexmargin.judge import Verdict, certify
from lexmargin.judge.bounds.parts import Parts
from lexmargin.judge.certify import certify_kkt
from lexmargin.judge.receipts.receipt import Receipt, receipt
from lexmargin.judge.receipts.verify import verify_receipt
from lexmargin.judge.second_order.curvature import Curvature, CurvatureKind, second_order
from lexmargin.judge.second_order.surroundings import around_program
from lexmargin.judge.second_order.vicinity import Vicinity


@pytest.fixture(autouse=True)
def second_order_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds would prove most of these points global."""
    monkeypatch.setattr(Parts, "applies", lambda *_: False)


R = math.sqrt
ONE = lm.Dataset([[1.0]], [1], one_class=True)
TWO_THREE = lm.Sum([lm.DiagonalNetwork(2), lm.DiagonalNetwork(3)])
SHALLOW_DEEP = lm.Sum([lm.Linear(), lm.DiagonalNetwork(2)])


def points(X: Any) -> lm.Dataset:
    return lm.Dataset(np.array(X, float), [1] * len(X), one_class=True)


def cubic(part: float) -> list[float]:
    return [0.0, 0.0, part, part, part]


def quadratic(part: float) -> list[float]:
    return [part, part, 0.0, 0.0, 0.0]


# λ of f = uv + pqr at ‖w‖² = ρ²: 1 on the branch of uv, 1/s at p = q = r = s = ρ/√3. The smallest
# eigenvalue of I - λ ∇²f on the tangents is then 1 (p, q and r) or 1 - λ (u = v).
STRICT: dict[str, tuple[Formulation, Any, float]] = {
    "6.7-uv": (lm.MarginPath(TWO_THREE, ONE, R(6.7)), quadratic(R(0.5)), 1.0),
    "6.7-pqr": (lm.MarginPath(TWO_THREE, ONE, R(6.7)), cubic(R(1 / 3)), 1 - R(3 / 6.7)),
    "6.8-uv": (lm.MarginPath(TWO_THREE, ONE, R(6.8)), quadratic(R(0.5)), 1.0),
    "6.8-pqr": (lm.MarginPath(TWO_THREE, ONE, R(6.8)), cubic(R(1 / 3)), 1 - R(3 / 6.8)),
    "min-norm": (
        lm.MarginPath(TWO_THREE, ONE, R(6.7), gamma=3.35),
        quadratic(R(0.5)),
        1.0,
    ),
    # f = θ_1 + uv at ‖w‖² = ρ²: w_1 = λ = 1. In eq. 14 the costs are γ² and γ: λ = γ u/v = γ.
    "depth-1-plus-2": (
        lm.MarginPath(SHALLOW_DEEP, ONE, 10.0),
        [0.1, R(49.5) / 10, R(49.5) / 10],
        # On the tangents (√99, -s, -s)/n and (0, 1, -1)/√2: 1 - 2 w_u w_v… = 1 - 1/ρ².
        1 - 1 / 100,
    ),
    # Each eigenvalue is of the Hessian in v = √c w: c_k = γ^{2/α_k} divides out.
    "cascade-1e4": (lm.load("sums/cascade-breaks-scaled-1e4"), [1, 0, 1, 0, 0], 1.0),
    "cascade-1e6": (lm.load("sums/cascade-breaks-scaled-1e6"), [1, 0, 1, 0, 0], 1.0),
}


@pytest.mark.parametrize(
    ("step", "above", "word"), [(1e-6, 9e-3, Verdict.SADDLE), (1e-4, 4e-4, Verdict.KKT)]
)
def test_weight_above_the_margin_holds_nothing_in_place(
    step: float, above: float, word: Verdict
) -> None:
    # As for directions: θ is off the saddle of a² + 2b² by a step, and a sample above the margin
    # balances it. Along b the margin rises until that sample is reached.
    curved = lm.Member(lm.Polynomial(((2, 0), (0, 2), (1, 1))), columns=(0, 1, 2))
    predictor = lm.Sum([curved, lm.Member(lm.DiagonalNetwork(3), columns=(3,))])
    problem = lm.MarginPath(predictor, points([[1, 2, 0, 1], [1 + above, 0, -1, 1]]), 1.0)
    found = certify(problem, np.array([1.0, step, 0.0, 0.0, 0.0]))
    assert found.tau > 1e-5 and found.stationarity < 1e-12 and found.complementarity < 1e-7
    assert found.verdict is word


@pytest.mark.parametrize(("part", "verdict"), [
    (0.0, Verdict.STRICT_LOCAL), (1e-2, Verdict.KKT)
])  # fmt: skip
def test_a_part_of_little_cost_out_of_its_place_is_no_strict_minimum(
    part: float, verdict: Verdict
) -> None:
    # f = w_1 + 1e-7 uv with γ = 1e6: u and v cost 1e-6 of w_1 and are not worth it; 0 is best.
    predictor = lm.Sum(
        [lm.Member(lm.Linear(), columns=(0,)), lm.Member(lm.DiagonalNetwork(2), columns=(1,))]
    )
    problem = lm.ScaledMargin(predictor, points([[1.0, 1e-7]]), 1e6)
    theta = np.array([1.0 - 1e-7 * part**2, part, part])
    assert problem.objective(theta) >= problem.objective(np.array([1.0, 0.0, 0.0]))
    assert certify(problem, theta).verdict is verdict


@pytest.mark.parametrize("name", STRICT)
def test_strict_local_optima(name: str) -> None:
    problem, theta, smallest = STRICT[name]
    theta = np.array(theta, float)
    found = certify(problem, theta)
    assert found.verdict is Verdict.STRICT_LOCAL, found.report()
    curvature = found.curvature
    assert isinstance(curvature, Curvature) and curvature.kind is CurvatureKind.POSITIVE
    assert curvature.smallest == pytest.approx(smallest, rel=1e-6)
    # Slightly off it is not even stationary.
    rng = np.random.default_rng(3)
    step = rng.standard_normal(theta.size)
    step -= theta * (step @ theta) / (theta @ theta)
    assert not certify(problem, theta + 1e-4 * step).certified


@pytest.mark.parametrize("rho_squared", [2.9, 3.1])
def test_the_cubic_branch_begins_as_a_saddle(rho_squared: float) -> None:
    """1 - λ = 1 - √3/ρ changes sign at ρ² = 3."""
    problem = lm.MarginPath(TWO_THREE, ONE, R(rho_squared))
    found = certify(problem, np.array(cubic(R(1 / 3))))
    if rho_squared > 3.0:
        assert found.verdict is Verdict.STRICT_LOCAL
        return
    assert found.verdict is Verdict.SADDLE, found.report()
    curvature = found.curvature
    assert isinstance(curvature, Curvature) and curvature.shown
    assert curvature.smallest == pytest.approx(1 - R(3 / rho_squared), rel=1e-6)
    assert curvature.witness is not None and curvature.margin_after is not None
    assert curvature.margin_after > (rho_squared / 3) ** 1.5 * (1 + 1e-6)
    assert curvature.margin_after <= rho_squared / 2 * (1 + 1e-12)
    # The witness: u = v alone.
    assert abs(curvature.witness[:2]) == pytest.approx(np.full(2, R(0.5)), abs=1e-6)


SADDLE = points([[1.0, 2.0]])
START = [1, 0, 1, 0, 0, 0, 0, 0, 0, 0]
SADDLES: dict[str, tuple[Formulation, Any]] = {
    "max-form": (lm.MarginPath(TWO_THREE, SADDLE, 1.0), np.array(START) / R(2)),
    "min-norm": (lm.MarginPath(TWO_THREE, SADDLE, 1.0, gamma=1.0), START),
    "eq-14": (lm.ScaledMargin(TWO_THREE, SADDLE, 10.0), START),
    # f = θ_1² + 2 θ_2² + θ_1³/10 is neither homogeneous nor a sum without shared parameters.
    "neither": (
        lm.MarginPath(
            lm.Polynomial([[2, 0], [0, 2], [3, 0]]), points([[1, 2, 0.1]]), 1.0, gamma=1.1
        ),
        [1, 0],
    ),
}


@pytest.mark.parametrize("name", SADDLES)
def test_saddles_are_shown(name: str) -> None:
    problem, theta = SADDLES[name]
    found = certify(problem, np.array(theta, float))
    assert found.verdict is Verdict.SADDLE, found.report()
    word = "rises" if name == "max-form" else "falls"
    assert any(word in why for why in found.reasons)
    # The Hessian is -1 along the second input (saddle-is-kkt), as at depth 2 alone.
    if name != "neither":
        assert isinstance(found.curvature, Curvature)
        assert found.curvature.smallest == pytest.approx(-1.0, rel=1e-6)


@pytest.mark.parametrize(
    ("w", "verdict", "smallest", "largest"),
    [
        # saddle-is-kkt and its global direction: w_1 = 0 costs nothing, and is held there.
        ([0, 1, 0, 1, 0], Verdict.SADDLE, -1.0, 3.0),
        ([0, 0, R(0.5), 0, R(0.5)], Verdict.STRICT_LOCAL, 0.5, 2.0),
    ],
)
def test_the_last_level_of_the_w_set_has_a_second_order(
    w: list[float], verdict: Verdict, smallest: float, largest: float
) -> None:
    predictor = lm.Sum([
        lm.Member(lm.Linear(), columns=(0,)),
        lm.Member(lm.DiagonalNetwork(2), columns=(1, 2)),
    ])  # fmt: skip
    problem, theta = lm.WSet(predictor, points([[1.0, 1.0, 2.0]]), levels=2), np.array(w, float)
    found = certify(problem, theta)
    assert found.verdict is verdict, found.report()
    assert isinstance(found.curvature, Curvature) and found.curvature.dimension == 3
    assert found.curvature.smallest == pytest.approx(smallest, abs=1e-6)
    assert found.curvature.largest == pytest.approx(largest, abs=1e-6)
    again = verify_receipt(Receipt.from_bytes(receipt(problem, theta, found).to_bytes()))
    assert again.verdict is verdict
    if found.rise is not None:
        # The cost is that of the problem, not of the coordinates.
        assert math.exp(-found.rise.before) == pytest.approx(float(theta @ theta))
    # The first level alone leaves the other part free of cost, and says nothing of curvature.
    assert certify(lm.WSet(predictor, problem.data), theta).curvature is None
    # Feasible points near it with w_1 = 0: one is better exactly where it is a saddle.
    rng, better = np.random.default_rng(0), False
    for step in rng.standard_normal((300, 4)) * 1e-3:
        moved = np.concatenate([[0.0], theta[1:] + step])
        moved[1:] /= math.sqrt(float(problem.functions.values(moved)[0]))
        better |= float(moved @ moved) < float(theta @ theta) * (1.0 - 1e-9)
    assert better is (verdict is Verdict.SADDLE)


def stated(costs: list[float], w: list[float]) -> Kkt:
    """w_1 a_1 + w_2 a_2 ≥ 1, a network of two identity units, with a cost for each weight."""
    problem = lm.HardMargin(lm.Network((2,), lm.Identity()), ONE)
    return Kkt(functions=problem.functions, point=np.array(w), costs=np.array(costs), level=1.0)


@pytest.mark.parametrize(
    ("costs", "verdict"),
    [
        # Where units cost the same, turning them changes nothing.
        ([1.0, 1.0, 1.0, 1.0], Verdict.STRICT_LOCAL),
        # Where the other unit is cheaper, turning to it is what pays.
        ([1.0, 0.5, 1.0, 0.5], Verdict.SADDLE),
        ([0.5, 1.0, 0.5, 1.0], Verdict.STRICT_LOCAL),
    ],
)
def test_units_turn_into_each_other_where_they_cost_the_same(
    costs: list[float], verdict: Verdict
) -> None:
    kkt = stated(costs, [1.0, 0.0, 1.0, 0.0])
    weights, found = np.array([costs[0]]), certify_kkt((kkt,))
    assert found.verdict in (verdict, Verdict.GLOBAL), found.report()
    first = replace(
        found, verdict=Verdict.KKT, second_order=None, radius=None, rise=None,
        support=np.array([0]), stationarity=0.0, multipliers=weights,
    )  # fmt: skip
    around = functools.partial(around_program, kkt, True)
    judged = second_order(around, first)
    assert judged.verdict is verdict, judged.report()
    assert isinstance(judged.curvature, Curvature)
    assert judged.curvature.symmetries == (1 if len(set(costs)) == 1 else 0)


def test_a_step_leads_at_most_as_far_as_it_reaches() -> None:
    kkt = stated([1.0, 0.04, 1.0, 0.25], [1.0, 0.0, 1.0, 0.0])
    found = replace(
        certify_kkt((kkt,)),
        support=np.array([0]),
        nearest_kink=None,
        multipliers=np.array([1.0]),
    )
    vicinity = around_program(kkt, True, found)
    assert isinstance(vicinity, Vicinity)
    # w = √2 u/√c: the cheapest entry moves by √2/√.04 of a length, over ‖w‖ = √2.
    assert vicinity.reach == pytest.approx(5.0)
    little = stated([1.0, 1e-290, 1.0, 1.0], [1.0, 0.0, 1.0, 0.0])
    assert "cost too little" in str(around_program(little, True, found))


def test_flat_directions_are_undecided() -> None:
    """f = θ_1² + θ_2² + θ_3⁴ does not change on the circle of the first two."""
    problem = lm.MarginPath(
        lm.Polynomial([[2, 0, 0], [0, 2, 0], [0, 0, 4]]), points([[1, 1, 0.1]]), 1.0
    )
    found = certify(problem, np.array([0.6, 0.8, 0.0]))
    assert found.verdict is Verdict.KKT
    assert any("flat" in why for why in found.reasons)


def test_rotations_of_a_member_are_factored_out() -> None:
    """A linear part plus a two-layer linear network of width 2: an orbit of dimension 1."""
    predictor = lm.Sum([lm.Linear(), lm.Network((2,), lm.Identity())])
    problem = lm.MarginPath(predictor, ONE, 2.0)
    # f = θ_1 + a·w with ρθ_1 = 1 and ‖ρ a‖ = ‖ρ w‖ = √(3/2), as for depth 1 + 2.
    part = R(1.5) / 2
    found = certify(problem, np.array([0.5, 0.6 * part, 0.8 * part, 0.6 * part, 0.8 * part]))
    assert found.verdict is Verdict.STRICT_LOCAL, found.report()
    assert any("dimension 1" in why for why in found.reasons)


def test_a_jump_of_the_second_derivative_is_undecided() -> None:
    """relu² at 0 on the second sample; λ_1 a = 1/2, w_1² = 2 a², 1/(2a) + 2a³ = γ at a = 1."""
    predictor = lm.Sum([lm.Linear(), lm.Network((1,), lm.ReLU(power=2))])
    problem = lm.MarginPath(predictor, points([[1.0, 0.0], [0.0, 1.0]]), 1.0, gamma=2.5)
    found = certify(problem, np.array([0.5, 2.5, R(2.0), 0.0, 1.0]))
    assert found.verdict is Verdict.KKT, found.report()
    assert any("jumps" in why for why in found.reasons)


def test_other_norms_have_no_second_order() -> None:
    problem = lm.MarginPath(TWO_THREE, ONE, 2.0, norm=3.0)
    found = certify(problem, np.array([0.5 ** (1 / 3), 0.5 ** (1 / 3), 0, 0, 0]))
    assert found.verdict is Verdict.KKT and found.curvature is None


def test_more_parameters_than_receipts_difference_have_a_second_order() -> None:
    # w_1 = 1/γ and u v = 1 - w_1 (eq. 14 of degrees 1 and 2); the other coordinates only cost.
    count, gamma = 120, 10.0
    sample = np.zeros((1, count))
    sample[0, 0] = 1.0
    data = lm.Dataset(sample, [1], one_class=True)
    problem = lm.ScaledMargin(lm.Sum([lm.Linear(), lm.DiagonalNetwork(2)]), data, gamma)
    w = np.zeros(3 * count)
    w[[0, count, 2 * count]] = 1.0 / gamma, np.sqrt(1.0 - 1.0 / gamma), np.sqrt(1.0 - 1.0 / gamma)
    assert lm.certify(problem, w).verdict is Verdict.STRICT_LOCAL
