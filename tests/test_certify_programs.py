"""A certificate for every formulation (math §3), and none for what is wrong by a little."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import lexmargin as lm
from exact_leximin import leximin_margins
from lexmargin.backends.levels.face import face_levels
from lexmargin.errors import DataError, ShapeError
from lexmargin.formulations import (
    ConstrainedPath,
    Lexicographic,
    MarginPath,
    RegularizationPath,
    ScaledMargin,
    WSet,
)
from lexmargin.judge import Certificate, Tolerances, Verdict, certify
from lexmargin.judge.bounds.inseparable import prove_inseparable
from lexmargin.judge.bounds.parts import Parts
from lexmargin.judge.bounds.zero_minimum import largest_margins, origin_is_least
from lexmargin.judge.levels import level_duals
from lexmargin.judge.levels.level_chain import checked_levels, prove_levels
from lexmargin.judge.levels.level_face import LevelFace
from lexmargin.judge.programs.w_levels import judge_later_level
from lexmargin.judge.second_order.curvature import CurvatureKind
from lexmargin.predictors import (
    Bias,
    BiasForm,
    Linear,
    Log,
    Member,
    Network,
    Polynomial,
    ReLU,
    Sum,
)

INF = math.inf
ONE = lm.Dataset([[1.0]], [1], one_class=True)


def points(X) -> lm.Dataset:  # type: ignore[no-untyped-def]
    return lm.Dataset(np.array(X, float), [1] * len(X), one_class=True)


AXES = points([[1, 0], [0, 1 / 8]])
SHALLOW_DEEP = Sum([Linear(), lm.DiagonalNetwork(2)])
BIAS = lm.Dataset([[3.0, 0.0], [1.0, 1.0]], [1, -1])
FREE_BIAS = Sum([Linear(), Bias(BiasForm.SIGNED_SQUARE)])
R = math.sqrt
CASCADE = Sum(
    [
        Member(Polynomial(((3, 0), (2, 1))), (0, 1)),
        Member(Polynomial(((4, 0), (0, 4))), (2, 3)),
        Member(Polynomial(((30,),)), (4,)),
    ]
)
CASCADE_DATA = points([[1, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, -1, 1, 2, 0], [0, 0, 2, 0, 1]])


def path_10() -> np.ndarray:
    return np.array([0.1, R(49.5) / 10, R(49.5) / 10])


# id, problem, answer, verdict there
CASES = [
    ("margin-sum", MarginPath(SHALLOW_DEEP, ONE, 10.0), path_10(), "GLOBAL"),
    ("margin-sum-min-norm", MarginPath(SHALLOW_DEEP, ONE, 10.0, gamma=50.5), path_10(), "GLOBAL"),
    ("margin-log", MarginPath(Log(), AXES, 100.0), np.array([1, 8]) / R(65), "GLOBAL"),
    (
        "margin-log-min-norm",
        MarginPath(Log(), AXES, 100.0, gamma=math.log(100 / R(65))),
        np.array([1, 8]) / R(65),
        "GLOBAL",
    ),
    ("constrained-log", ConstrainedPath(Log(), AXES, 20.0), np.array([1, 2]) / R(5), "GLOBAL"),
    (
        "constrained-l1",
        ConstrainedPath(Linear(), points([[1, 0], [0, 0.5]]), 10.0, 1.0),
        np.array([(1 + 2 * math.log(2) / 10) / 3, (2 - 2 * math.log(2) / 10) / 3]),
        "GLOBAL",
    ),
    (
        "constrained-logistic",
        ConstrainedPath(Linear(), points([[0.5, 1.5], [1.5, 0.5]]), 2.0, 2.0, "logistic"),
        np.ones(2) / R(2),
        "GLOBAL",
    ),
    (
        "constrained-deep",
        ConstrainedPath(lm.DiagonalNetwork(2), ONE, 3.0),
        np.ones(2) / R(2),
        "KKT",
    ),
    # e^{-uv} + μ‖(u,v)‖² with u = v = s: s² = ln(1/(2μ)); e^{-w} + μw²: e^{-w} = 2μw.
    (
        "regularization-deep",
        RegularizationPath(lm.DiagonalNetwork(2), ONE, math.exp(-2.0) / 2.0),
        np.full(2, R(2.0)),
        "KKT",
    ),
    (
        "regularization-linear",
        RegularizationPath(Linear(), ONE, math.exp(-2.0) / 4.0),
        np.array([2.0]),
        "GLOBAL",
    ),
    (
        "scaled",
        ScaledMargin(SHALLOW_DEEP, ONE, 10.0),
        np.array([0.1, R(0.9), R(0.9)]),
        "GLOBAL",
    ),
    (
        "scaled-huge",
        ScaledMargin(SHALLOW_DEEP, ONE, 1e12),
        np.array([1e-12, R(1 - 1e-12), R(1 - 1e-12)]),
        "GLOBAL",
    ),
    ("w-set", WSet(FREE_BIAS, BIAS), np.array([0.8, -0.4, -R(1.4)]), "GLOBAL"),
    ("w-set-two-levels", WSet(FREE_BIAS, BIAS, 2), np.array([0.8, -0.4, -R(1.4)]), "GLOBAL"),
    ("w-set-cascade", WSet(CASCADE, CASCADE_DATA, 3), np.array([1.0, 0, 1, 0, 0]), "KKT"),
    ("w-set-zero", WSet(SHALLOW_DEEP, ONE), np.array([0.0, 3.0, 0.5]), "GLOBAL"),
    ("w-set-second", WSet(SHALLOW_DEEP, ONE, 2), np.array([0.0, 1.0, 1.0]), "GLOBAL"),
    (
        "lexicographic-l1",
        Lexicographic(Linear(), points([[1, 1], [2, 3]]), 1.0),
        np.array([0.0, 1.0]),
        "GLOBAL",
    ),
    (
        "lexicographic-l2",
        Lexicographic(Linear(), points([[1, 0], [0, 2], [5, 5]])),
        np.array([2.0, 1.0]),
        "GLOBAL",
    ),
]
IDS = [case[0] for case in CASES]


@pytest.mark.parametrize(("problem", "theta", "verdict"), [c[1:] for c in CASES], ids=IDS)
def test_the_answers_are_certified(problem, theta, verdict):
    found = certify(problem, theta)
    if "STRICT" in found.verdict or verdict == "GLOBAL":
        assert found.verdict.at_least(Verdict(verdict))
    else:
        assert found.verdict is Verdict(verdict), found.report()
    assert all(check.holds for check in found.checks), found.report()
    json.dumps(found.to_json(), allow_nan=False)
    assert found.verdict.value in found.report()
    blocks = problem.functions.blocks(theta)
    assert certify(problem, blocks).verdict is found.verdict


# Where the scale is judged too, an answer stretched by a thousandth is wrong as well.
@pytest.mark.parametrize(("problem", "theta", "verdict"), [c[1:] for c in CASES], ids=IDS)
def test_an_answer_turned_by_a_hundred_thousandth_is_not_certified(problem, theta, verdict):
    if isinstance(problem, WSet) and not theta[0]:
        pytest.skip("any feasible point with w_1 = 0 is an answer")
    if theta.size == 1:
        pytest.skip("there is one direction only")
    rng = np.random.default_rng(5)
    for _ in range(4):
        step = rng.standard_normal(theta.size)
        step -= theta * (step @ theta) / (theta @ theta)
        turned = theta + 1e-5 * np.linalg.norm(theta) * step / np.linalg.norm(step)
        found = certify(problem, turned)
        assert not found.certified, found.report()


SCALED = [c for c in CASES if not c[0].startswith(("lexicographic", "w-set-zero"))]


@pytest.mark.parametrize("factor", [0.999, 1.001])
@pytest.mark.parametrize(
    ("problem", "theta", "verdict"), [c[1:] for c in SCALED], ids=[c[0] for c in SCALED]
)
def test_an_answer_at_another_scale_is_not_certified(problem, theta, verdict, factor):
    found = certify(problem, factor * theta)
    assert found.verdict is Verdict.NOT_STATIONARY, found.report()


def test_a_kkt_point_of_another_program_is_not_certified():
    # The answer of γ = 10 is none at γ = 12, in the shallow block by 20 %.
    ten = np.array([0.1, R(0.9), R(0.9)])
    assert not certify(ScaledMargin(SHALLOW_DEEP, ONE, 12.0), ten).certified
    # At 1e12 the shallow block costs 1e-12 of the rest and is judged as sharply.
    huge = ScaledMargin(SHALLOW_DEEP, ONE, 1e12)
    wrong = np.array([2e-12, R(1 - 2e-12), R(1 - 2e-12)])
    assert certify(huge, wrong).verdict is Verdict.NOT_STATIONARY
    # The margin path's answer at ρ = 10 is none of the constrained path of another problem.
    log = np.array([1, 8]) / R(65)
    assert certify(ConstrainedPath(Log(), AXES, 20.0), log).verdict is Verdict.NOT_STATIONARY
    assert not certify(MarginPath(Log(), AXES, 20.0), np.array([1, 2]) / R(5)).certified


def test_w_set_identities_and_multipliers():
    found = certify(WSet(FREE_BIAS, BIAS), np.array([0.8, -0.4, -R(1.4)]))
    # Σ λ_n = ‖w_1‖²/α_1 = 4/5, equal by symmetry of Σ λ_n y_n = 0.
    np.testing.assert_allclose(found.multipliers, [0.4, 0.4], rtol=1e-12)
    assert found.euler == pytest.approx(1.0, abs=1e-12)
    assert len(found.checks) == 2 and found.levels == pytest.approx((0.8,))
    infeasible = certify(WSet(SHALLOW_DEEP, ONE), np.array([0.0, 0.5, 0.5]))
    assert infeasible.verdict is Verdict.NOT_STATIONARY and infeasible.feasibility > 0.7


def test_a_later_level_of_the_w_set_is_judged_once_the_earlier_ones_are_zero():
    second = WSet(SHALLOW_DEEP, ONE, 2)
    assert certify(second, np.array([0.0, 3.0, 0.5])).verdict is Verdict.NOT_STATIONARY
    assert certify(second, np.array([0.0, 1.0, 1.0])).levels == pytest.approx((0.0, 2.0))


TWO_SQUARES = Sum([Linear(), Bias(BiasForm.TWO_SQUARES)])
SQUARE = Sum([Linear(), Bias(BiasForm.SQUARE)])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("predictor", [FREE_BIAS, SQUARE], ids=["signed", "square"])
def test_the_bound_of_the_w_set_never_exceeds_a_feasible_point(predictor, seed):
    """Any λ at all bounds ‖w_1‖² of every feasible point; at the optimum the bound is met."""
    rng = np.random.default_rng(seed)
    X = np.vstack([rng.normal(size=(9, 3)) + 2.5, rng.normal(size=(9, 3)) - 2.5])
    problem = WSet(predictor, lm.Dataset(X, [1] * 9 + [-1] * 9), 2)
    solution = lm.solve(problem)
    assert solution.certificate.verdict is Verdict.GLOBAL, solution.report()
    for _ in range(30):
        w = problem.parts.feasible(np.append(rng.normal(size=3) + 1.5, rng.normal()))
        bound = Parts().prove(problem.kkt(np.ones(4))[0], rng.exponential(size=18) ** 4)
        assert bound.value <= solution.objective * (1 + 1e-9)
        if w is not None:
            assert solution.objective <= problem.objective(w) * (1 + 1e-9)


def test_a_bound_needs_linear_scores_and_biases():
    assert Parts().prove(WSet(SHALLOW_DEEP, ONE).kkt(np.ones(3))[0], np.ones(1)) is None
    assert Parts().prove(WSet(CASCADE, CASCADE_DATA).kkt(np.ones(5))[0], np.ones(4)) is None
    # Without samples of both classes a free bias does it alone, and nothing is proved.
    alone = WSet(FREE_BIAS, points([[1, 2], [3, 1]]))
    assert Parts().prove(alone.kkt(np.ones(3))[0], np.ones(2)) is None


@pytest.mark.parametrize("excess", [1e-1, 1e-3, 1e-5])
def test_a_level_after_a_positive_one_is_judged(excess):
    """The cap ‖w_1‖² ≤ v_1 has no interior and no multiplier here: w_1 is held instead."""
    problem = WSet(TWO_SQUARES, BIAS, 2)
    best = np.array([0.8, -0.4, 0.0, R(1.4)])
    found = certify(problem, best)
    assert found.verdict is Verdict.GLOBAL and found.levels == pytest.approx((0.8, 1.4))
    # The same score by a longer bias: level 1 cannot tell, level 2 does.
    wrong = np.array([0.8, -0.4, R(excess), R(1.4 + excess)])
    assert certify(WSet(TWO_SQUARES, BIAS), wrong).verdict is Verdict.GLOBAL
    found = certify(problem, wrong)
    assert found.verdict is Verdict.NOT_STATIONARY and "level 2" in found.reasons[0]
    # A parameter that level 2 has no use for, and one of the third level.
    cascade = WSet(CASCADE, CASCADE_DATA, 3)
    for point in ([1, 0, 1, R(excess), 0], [1, 0, 1, 0, excess], [1, 0, 1 + excess, 0, 0]):
        found = certify(cascade, np.array(point, float))
        assert found.verdict is Verdict.NOT_STATIONARY, found.report()
        assert found.reasons[0].startswith("level ")


def test_a_later_level_is_global_only_where_what_it_holds_is_the_only_one():
    problem = WSet(TWO_SQUARES, BIAS, 2)
    best = np.array([0.8, -0.4, 0.0, R(1.4)])
    for unique, verdict in ((True, Verdict.GLOBAL), (False, Verdict.KKT)):
        found = judge_later_level(problem.kkt(best)[1], Tolerances(), unique)
        assert found.verdict is verdict


@pytest.mark.parametrize("short", [1e-6, 1e-5, 1e-3])
def test_a_point_that_is_a_little_short_of_its_level_is_infeasible(short):
    best = np.array([0.8, -0.4, 0.0, R(1.4)])
    # Margins (1 - s): w_1 and the squares shrink together.
    scaled = best * np.array([1 - short, 1 - short, 1.0, R(1 - short)])
    axes = np.array([1, 8]) / R(65)
    gamma = math.log(100 / R(65))
    for problem, point in (
        (WSet(TWO_SQUARES, BIAS), scaled),
        (WSet(TWO_SQUARES, BIAS, 2), scaled),
        (MarginPath(Log(), AXES, 100.0, gamma=gamma), axes * math.exp(-short * gamma)),
    ):
        found = certify(problem, point)
        assert found.verdict is Verdict.NOT_STATIONARY and "infeasible" in found.reasons[0]
        assert found.feasibility == pytest.approx(short, rel=1e-3)


def network(X, y, width, activation=None) -> lm.HardMargin:
    data = lm.Dataset(np.array(X, float), y, one_class=True)
    return lm.HardMargin(Network((width,), activation or ReLU()), data)


def test_networks_that_cannot_separate_are_proved_to():
    sides, xor = [[1.0], [-1.0]], [[1, 1], [-1, -1], [1, -1], [-1, 1]]
    # relu(x) is 0 on one side: both sides need a unit; a leaky one has the wrong sign there.
    assert prove_inseparable(network(sides, [1, 1], 1)).cases == 4
    assert prove_inseparable(network(sides, [1, 1], 1, lm.LeakyReLU(0.25))) is not None
    assert prove_inseparable(network(sides, [1, 1], 2)) is None
    assert prove_inseparable(network(xor, [1, 1, -1, -1], 3)).cells == 4
    assert prove_inseparable(network(xor, [1, 1, -1, -1], 4)) is None
    # A sample at the origin is separated by nothing, and |x| by no single leaky unit.
    assert prove_inseparable(network([[0.0], [1.0]], [1, 1], 2)) is not None
    # No claim where the cells decide nothing, or are too many.
    assert prove_inseparable(network(xor, [1, 1, -1, -1], 3, ReLU(2.0))) is None
    many = np.random.default_rng(0).normal(size=(30, 4))
    assert prove_inseparable(network(many, [1, -1] * 15, 8)) is None


@pytest.mark.parametrize("seed", range(4))
def test_no_network_with_a_proof_against_it_is_found(seed):
    """Random samples: where one of random networks separates there is no proof."""
    rng = np.random.default_rng(seed)
    X, y = rng.integers(-2, 3, size=(5, 2)), np.where(rng.random(5) < 0.5, -1, 1)
    for width in (1, 2):
        problem = network(X, y, width)
        thetas = rng.standard_normal((4000, problem.functions.size))
        found = any(problem.functions.values(theta).min() > 0.0 for theta in thetas)
        proof = prove_inseparable(problem)
        assert proof is None or not found
        # These are so small that chance finds what there is.
        assert proof is not None or found


@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_the_origin_is_least_until_the_jump(loss):
    """f = uvw at u = v = w = s: 0 is best while c ≥ max_s (ℓ(0) - ℓ(s³))/(3s²)."""
    s = np.linspace(1e-3, 10, 200_001)
    exponential = loss == "exponential"
    gain = -np.expm1(-(s**3)) if exponential else math.log(2) - np.log1p(np.exp(-(s**3)))
    jump = float(np.max(gain / (3 * s**2)))
    for factor, least in (
        (1.001, True),
        (0.9999, False),
        (0.99999, False),
        (0.5, False),
        (10.0, True),
    ):
        problem = RegularizationPath(lm.DiagonalNetwork(3), ONE, factor * jump, loss=loss)
        assert origin_is_least(problem.kkt(np.zeros(problem.functions.size))[0]) is least
        found = certify(problem, np.zeros(3))
        assert found.verdict is (Verdict.GLOBAL if least else Verdict.KKT)
        assert (found.gap == 0.0) is least and found.separates is False
    # Degree 1 leaves the origin at once, degree 2 when the curvatures meet.
    assert not origin_is_least(RegularizationPath(Linear(), ONE, 1e3).kkt(np.zeros(1))[0])
    assert origin_is_least(RegularizationPath(lm.DiagonalNetwork(2), ONE, 0.51).kkt(np.zeros(2))[0])
    assert not origin_is_least(
        RegularizationPath(lm.DiagonalNetwork(2), ONE, 0.49).kkt(np.zeros(2))[0]
    )
    assert not origin_is_least(RegularizationPath(Polynomial([[3]]), ONE, 10.0).kkt(np.zeros(1))[0])


@pytest.mark.parametrize(
    "predictor",
    [
        Linear(),
        lm.DiagonalNetwork(1),
        lm.DiagonalNetwork(4),
        Network((3, 2), ReLU()),
        Network((3,), lm.LeakyReLU(0.1)),
        lm.ConvolutionalNetwork(1),
    ],
)
def test_the_largest_margins_are_never_exceeded(predictor):
    rng = np.random.default_rng(2)
    data = lm.Dataset(rng.normal(size=(6, 3)), [1, -1] * 3)
    problem = RegularizationPath(predictor, data, 1.0)
    most, alpha = largest_margins(problem.functions), problem.functions.homogeneity.degree
    for _ in range(200):
        theta = rng.standard_normal(problem.functions.size)
        reached = problem.functions.values(theta) / np.linalg.norm(theta) ** alpha
        assert np.all(reached <= most * (1 + 1e-12))


def test_the_angle_is_the_one_that_was_turned():
    problem = ConstrainedPath(lm.DiagonalNetwork(2), ONE, 3.0)
    for turn in (1e-9, 1e-6, 1e-3):
        theta = np.array([math.cos(math.pi / 4 + turn), math.sin(math.pi / 4 + turn)])
        found = certify(problem, theta)
        # -∇L ∝ (v, u) is the mirror image of θ at the diagonal.
        assert found.angle == pytest.approx(2 * turn, rel=1e-6)
        assert found.certified is (turn < 1e-8)


def test_the_gap_of_the_constrained_path_bounds_the_true_distance():
    problem = ConstrainedPath(Log(), AXES, 20.0)
    best = problem.objective(np.array([1, 2]) / R(5))
    for turn in np.linspace(-0.3, 0.3, 7):
        angle = math.atan2(2, 1) + turn
        theta = np.array([math.cos(angle), math.sin(angle)])
        found = certify(problem, theta)
        true = (problem.objective(theta) - best) / max(1.0, abs(problem.objective(theta)))
        assert found.gap >= true - 1e-14


@pytest.mark.parametrize("turn", [0.3, 0.8, 1.2])
@pytest.mark.parametrize("rho", [1.0, 10.0])
def test_the_gap_of_the_logistic_loss_bounds_the_true_distance(rho, turn):
    # Convex is L, not log L: at angle φ the loss of one sample is log(1 + e^{-ρ cos φ}).
    problem = ConstrainedPath(Linear(), points([[1, 0]]), rho, 2.0, "logistic")
    level = math.log(math.log1p(math.exp(-rho * math.cos(turn))))
    best = math.log(math.log1p(math.exp(-rho)))
    found = certify(problem, np.array([math.cos(turn), math.sin(turn)]))
    assert found.gap >= (level - best) / max(1.0, abs(level))


def test_the_bound_of_a_concave_path_is_met_by_its_answer():
    # γ*(ρ) = log(ρ/√65): the bound is that number at the answer and above it elsewhere.
    for rho in (10.0, 100.0, 1e4):
        problem, best = MarginPath(Log(), AXES, rho), math.log(rho / R(65))
        assert certify(problem, np.array([1, 8]) / R(65)).bound == pytest.approx(best, rel=1e-12)
        for turn in (-0.3, -0.01, 0.01, 0.05):
            angle = math.atan2(8, 1) + turn
            found = certify(problem, np.array([math.cos(angle), math.sin(angle)]))
            assert found.bound is None or found.bound >= best


@pytest.mark.parametrize("power", [1.5, 2.0, 3.0])
def test_the_gap_of_the_regularization_path_bounds_the_true_distance(power):
    problem = RegularizationPath(Linear(), ONE, 0.1, power=power)
    grid = np.linspace(1e-3, 8, 4001)
    best = min(problem.objective(np.array([t])) for t in grid)
    for t in (0.5, 1.0, 2.0, 4.0):
        found = certify(problem, np.array([t]))
        value = problem.objective(np.array([t]))
        assert found.gap >= (value - best) / value - 1e-6


def test_an_interior_minimum_of_the_loss_is_stationary():
    # f = 2θ - θ² has its largest value 1 at θ = 1, inside the ball of ρ = 3.
    peak = ConstrainedPath(Polynomial([[2], [1]]), points([[-1, 2]]), 3.0)
    assert certify(peak, np.array([1 / 3])).verdict is Verdict.KKT
    assert certify(peak, np.array([1 / 3 + 1e-5])).verdict is Verdict.NOT_STATIONARY
    assert certify(peak, np.array([0.5])).verdict is Verdict.NOT_STATIONARY


def test_fritz_john_is_told_apart_from_kkt():
    # min θ² s.t. 2θ - θ² ≥ 1 has the single feasible point 1, where the gradient vanishes.
    data = points([[-1, 2]])
    only = MarginPath(Polynomial([[2], [1]]), data, 1.0, gamma=1.0)
    assert certify(only, np.array([1.0])).verdict is Verdict.FRITZ_JOHN
    # In the max form the same point is stationary: t cannot be raised.
    free = MarginPath(Polynomial([[2], [1]]), data, 1.0)
    assert certify(free, np.array([1.0])).verdict is Verdict.KKT
    # A wanted margin of 3/4 has the regular answer 1/2.
    regular = MarginPath(Polynomial([[2], [1]]), data, 1.0, gamma=0.75)
    assert certify(regular, np.array([0.5])).verdict is Verdict.STRICT_LOCAL
    assert certify(regular, np.array([1.0])).verdict is Verdict.NOT_STATIONARY


def test_gradients_above_the_margin_do_not_make_the_level_stationary():
    # f1 and f2 = (1 + e) f1-like pull in opposite directions and f3, also above the margin, is what
    # a wider support is kept for: 0 is a combination of ∇f1 and ∇f2, but only f1 is active.
    e, c, pull = 5e-3, 1e-4, 5.0
    slope = 2.0 * (1.0 + e) - c * pull
    X = [[2, -1, 1, 0], [2 * (1 + e), -1 - e, -1, 0], [slope, 1 + e - slope, 0, pull]]
    predictor = Polynomial(((0, 1, 0), (0, 2, 0), (1, 0, 0), (0, 0, 1)))
    problem = MarginPath(predictor, lm.Dataset(X, [1, 1, 1], one_class=True), 1.0)
    found = certify(problem, [0.0, 1.0, 0.0])
    assert not found.verdict.stationary and found.tau > 1e-3
    better = problem.functions.values(np.array([e / 2, math.sqrt(1 - e * e / 4), 0.0]))
    assert np.min(better) > 1.002 * found.margin
    # With f2 as small as f1 the same combination is what it seems.
    X[1] = [2, -1, -1, 0]
    problem = MarginPath(predictor, lm.Dataset(X, [1, 1, 1], one_class=True), 1.0)
    assert certify(problem, [0.0, 1.0, 0.0]).verdict is Verdict.KKT


@pytest.mark.parametrize("scale", [1e-250, 1e-150, 1e150])
@pytest.mark.parametrize("problem", [lm.HardMargin, lm.Lexicographic])
def test_a_direction_is_judged_at_any_scale_and_depth(problem, scale):
    b, e = np.array([[1.0, 1.0], [0.0, 0.0]]) / math.sqrt(2), np.array([[1.0, 0.0], [0.0, 0.0]])
    data = lm.Dataset(np.eye(2), [1, 1], one_class=True)
    blocks = [b, e, e, e, e[0]]
    stated = problem(Network((2, 2, 2, 2)), data)
    found, scaled = certify(stated, blocks), certify(stated, [scale * x for x in blocks])
    assert found.verdict.certified and scaled.verdict is found.verdict
    assert scaled.margin == pytest.approx(found.margin, rel=1e-14)


def test_no_smooth_verdict_on_a_kink():
    # Network of degree 2 plus a linear part; the second unit is dead.
    predictor = Sum([Linear(), Network((2,), ReLU())])
    data = points([[1.0, 0.0]])
    problem = MarginPath(predictor, data, 2.0)
    alive = np.zeros(predictor_size(problem))
    # f = θ_1 + a relu(w_1): at ρ = 2 the answer has ρθ_1 = 1 and ρ a = ρ w_1 = sqrt(3/2).
    alive[[0, 2, 6]] = [0.5, R(1.5) / 2, R(1.5) / 2]
    found = certify(problem, alive)
    assert found.verdict is Verdict.GLOBAL and "kink" in found.reasons[0]
    assert found.reasons[-1].endswith("(sum-of-parts)")
    assert found.nearest_kink == 0.0 and found.licq is not None
    assert found.stationarity < 1e-12
    constrained = certify(ConstrainedPath(predictor, data, 2.0), alive)
    assert constrained.verdict is Verdict.UNDECIDED and "kink" in constrained.reasons[0]
    single = MarginPath(Sum([Linear(), Network((1,), ReLU())]), data, 2.0)
    smooth = certify(single, np.array([0.5, 0.0, R(1.5) / 2, 0.0, R(1.5) / 2]))
    assert smooth.verdict is Verdict.GLOBAL and smooth.nearest_kink > 0.1
    assert smooth.curvature.kind is CurvatureKind.POSITIVE


def predictor_size(problem) -> int:  # type: ignore[no-untyped-def]
    return problem.functions.size


def level_word(Z, theta, norm) -> Certificate:
    return certify(Lexicographic(Linear(), points(Z), norm), np.array(theta, float))


def test_a_max_margin_point_that_is_not_lexicographic_is_not_global():
    Z = [[1, 1], [2, 3]]
    assert level_word(Z, (0, 1), 1.0).verdict is Verdict.GLOBAL
    wrong = level_word(Z, (0.5, 0.5), 1.0)
    assert wrong.verdict is Verdict.UNDECIDED and "level 2" in wrong.reasons[0]
    assert certify(lm.HardMargin(Linear(), points(Z), 1.0), np.ones(2)).verdict is Verdict.GLOBAL
    assert level_word([[1, 0], [1, 1e-6]], (1, 0.5), INF).verdict is Verdict.UNDECIDED
    assert level_word([[1, 0], [1, 1e-6]], (1, 1), INF).verdict is Verdict.GLOBAL


@pytest.mark.parametrize("trace", [1e-8, 1e-5, 0.0])
def test_a_trace_of_weight_does_not_fix_a_sample(trace, monkeypatch):
    # At (1, 0) both margins are 1 and sample 1 can rise to 2: weight on it makes a gap of its size,
    # within tolerance, which bounds f_1 by 1 + gap/λ_1 = 2 only.
    Z, flat = np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([1.0, 0.0])
    weights = np.array([1.0 - trace, trace])
    assert checked_levels(Z, flat, INF, 2, 1e-4, [weights]).proven == 1
    monkeypatch.setattr(level_duals, "level_dual", lambda face, free: face.measured(weights, free))
    assert prove_levels(Z, flat, INF, 2, 1e-4)[0].proven == 1
    # A chain that is too short, or not of weights, proves what it proves.
    assert checked_levels(Z, flat, INF, 2, 1e-4, []).proven == 0
    assert checked_levels(Z, flat, INF, 2, 1e-4, [np.array([2.0, -1.0])]).proven == 0


@pytest.mark.parametrize("exponent", [-900, -400, 400, 900])
@pytest.mark.parametrize(("Z", "theta", "norm"), [
    ([[2, 0], [4, -1], [0, 2], [-1, 1]], (2 / 7, 5 / 7), 1.0),
    ([[3, 4, 2], [-1, -1, 0], [3, 4, 2]], (-1 / 3, 0, 2 / 3), 1.0),
    ([[1, 0], [1, 1e-6]], (1, 1), INF),
])  # fmt: skip
def test_levels_are_proven_in_any_unit(Z, theta, norm, exponent):
    found = level_word(np.ldexp(np.array(Z, float), exponent), theta, norm)
    assert found.verdict is Verdict.GLOBAL, found.reasons
    proof, _ = prove_levels(
        np.ldexp(np.array(Z, float), exponent), np.array(theta, float), norm, 2, 1e-7
    )
    assert proof.values == pytest.approx(np.ldexp(np.sort(np.array(Z) @ theta)[:2], exponent))


@pytest.mark.parametrize("seed", range(4))
def test_multiples_of_earlier_proofs_are_the_smallest_that_do(seed):
    """One level after another, against the pull of the weights so far, formed anew every time."""
    rng = np.random.default_rng(seed)
    corner = rng.choice([-1.0, 1.0], 9)
    Z = np.zeros((15, 9))
    for k in range(3):
        own = slice(5 * k, 5 * k + 5), slice(0, 3 * k + 3)
        Z[own] = rng.standard_normal((5, 3 * k + 3))
        along = Z[own[0]] @ corner
        Z[own] += np.outer(np.abs(along) + 1.0 + 3.0 * k - along, corner[own[1]]) / (3 * k + 3)
    face = LevelFace(Z, face_levels(Z, INF).theta, INF)
    free = np.ones(15, dtype=bool)
    while free.any():
        dual = level_duals.level_dual(face, free)
        assert dual.gap <= 1e-10
        least = face.values[free].min()
        tight = free & (face.values <= least + 1e-9) & (dual.weights > 0.0)
        face.extend(dual, free, np.flatnonzero(tight))
        free &= ~tight & (face.values > least + 1e-9)
    assert len(face.held) == 3
    for _ in range(5):
        signed = np.zeros(15)
        signed[face.core] = rng.standard_normal(face.core.size)
        weights = signed
        for held in reversed(face.held):
            pull, towards = weights @ face.Z, np.sign(held.pull[held.exposed])
            needed = [0.0, *(-weights[held.samples] / held.weights[held.samples])]
            needed += list(-pull[held.exposed] * towards / np.abs(held.pull[held.exposed]))
            weights = weights + max(needed) * held.weights
        assert level_duals.made_positive(face, signed) == pytest.approx(
            weights, rel=1e-9, abs=1e-12
        )


def test_a_point_beside_the_best_is_proven_with_the_gap_it_has():
    """Margins 3 ± 1e-5 of level 2: one row alone is tight, and the proof needs both."""
    Z = np.array([[1.0, 0.0], [3.0, 1.0], [3.0, -1.0]])
    proof, _ = prove_levels(Z, np.array([1.0, 1e-5]), INF, 3, 1e-4)
    assert proof.proven == 3
    assert proof.gap == pytest.approx(1e-5)


def test_equal_margins_that_could_be_split_are_not_proven():
    # Level 1 fixes sample 0 alone; sample 1 has the same margin at (1, 0) and can rise to 2.
    Z = np.array([[1.0, 0.0], [1.0, 1.0]])
    flat, best = np.array([1.0, 0.0]), np.array([1.0, 1.0])
    assert prove_levels(Z, flat, INF, 2, 1e-9)[0].proven == 1
    proof, _ = prove_levels(Z, best, INF, 2, 1e-9)
    assert proof.proven == 2 and proof.values == (1.0, 2.0)


@pytest.mark.parametrize("norm", [1.0, INF])
@pytest.mark.parametrize("seed", range(3))
def test_proven_levels_are_those_of_exact_arithmetic(norm, seed):
    """Small data with many ties: the optimum is proven, and no other point beyond what it shares.

    The margins that count as the same in the exact answer are all that may be proven.
    """
    rng = np.random.default_rng(seed)
    truth = rng.choice([-1.0, 1.0], 4)
    Z = rng.integers(-3, 4, (8, 4)).astype(float)
    Z[Z @ truth == 0] = truth
    Z *= np.sign(Z @ truth)[:, None]
    exact = leximin_margins(Z.astype(int).tolist(), norm)
    best = np.sort([float(v) for v in exact])
    theta = face_levels(Z, norm).theta
    assert np.sort(Z @ theta) == pytest.approx(best, abs=1e-9)
    proof, _ = prove_levels(Z, theta, norm, 8, 1e-7)
    assert proof.proven == 8 and proof.gap < 1e-12, proof
    for size in (1e-6, 1e-3, 0.3):
        other = theta + size * rng.standard_normal(4)
        other /= np.linalg.norm(other, norm)
        margins = np.sort(Z @ other)
        wrong = np.abs(margins - best) > 1e-7 * best[0]
        if margins[0] > 0.0 and np.any(wrong):
            assert prove_levels(Z, other, norm, 8, 1e-8)[0].proven <= int(np.argmax(wrong))


@pytest.mark.parametrize("digits", [(3, 8), pytest.param((4, 9), marks=pytest.mark.long)])
def test_levels_of_digits_are_proven_and_a_slightly_wrong_one_is_not(digits):
    """ℓ∞: later levels need multipliers a hundred times those of the level they are about."""
    plus, minus = digits
    data = lm.load_dataset("digits", positive=[plus], negative=[minus])
    problem = Lexicographic(Linear(), data, INF)
    Z = problem.functions.jacobian(np.zeros(problem.functions.size))
    chain = face_levels(Z, INF)
    theta, unit = chain.theta, chain.levels[0].value
    assert certify(problem, theta).verdict is Verdict.GLOBAL
    best = np.sort(Z @ theta)
    # Another point of largest first margin, whose second level is lower; and one whose higher
    # margins are paid for at the first.
    lower = face_levels(Z, INF, 1).theta
    higher = np.sign(Z.sum(axis=0))
    for point, first in ((lower, True), (higher, False)):
        most = np.abs(Z @ (point - theta)).max()
        for wrong_by in (1e-2, 1e-5):
            share = wrong_by * unit / most
            wrong = (1.0 - share) * theta + share * point
            change = np.abs(np.sort(Z @ wrong) - best) > 1e-7 * unit
            place = int(np.argmax(change))
            assert (place > 0) is first and np.any(change)
            if first:
                assert prove_levels(Z, wrong, INF, best.size, 1e-7)[0].proven <= place
        assert certify(problem, wrong).verdict is not Verdict.GLOBAL


def test_lexicographic_levels_of_a_nonconvex_problem_are_recomputed_only():
    quartics = Polynomial([[4, 0], [0, 4]])
    problem = Lexicographic(quartics, points([[1, 2], [2, 1], [5, 9]]))
    found = certify(problem, np.array([0.0, 1.0]))
    assert found.verdict.certified and found.verdict is not Verdict.GLOBAL
    assert found.levels == pytest.approx((1, 2, 9)) and "level 1" in found.reasons[-1]


def test_bad_points_are_named():
    problem = MarginPath(SHALLOW_DEEP, ONE, 10.0)
    with pytest.raises(ShapeError):
        certify(problem, np.ones(2))
    with pytest.raises(DataError):
        certify(problem, np.array([1.0, np.nan, 0.0]))
    for problem, theta in (
        (MarginPath(Log(), AXES, 100.0), np.array([-1.0, 1.0])),
        (ConstrainedPath(Log(), AXES, 20.0), np.array([0.0, 0.0])),
        (ScaledMargin(SHALLOW_DEEP, ONE, 10.0), np.zeros(3)),
        (WSet(SHALLOW_DEEP, ONE), np.array([-1.0, 0.0, 0.0])),
    ):
        found = certify(problem, theta)
        assert found.verdict is Verdict.NOT_SEPARATING
        json.dumps(found.to_json(), allow_nan=False)
