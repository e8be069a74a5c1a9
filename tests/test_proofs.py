"""Proofs in rational and in ball arithmetic."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given, settings
from hypothesis import strategies as st

import lexmargin as lm
from examples_of_predictors import PREDICTORS, dataset_for, point_for
from lexmargin.cli.main import main
from lexmargin.errors import NotSeparableError, ParameterError
from lexmargin.formulations.kkt import Kkt
from lexmargin.judge.proofs import krawczyk
from lexmargin.judge.proofs.exact_linear import (
    check_exact_margin,
    exact_max_margin,
    margin_squared,
    prove_max_margin,
)
from lexmargin.judge.prove import Arithmetic, Proof, prove
from lexmargin.margins import MarginFunctions
from lexmargin.ops.arb import ArbOps, KinkInBox, combined_gradient, whole_power
from lexmargin.separation.rows import margin_rows

NORMS = (1.0, 2.0, math.inf)
F = Fraction

# Z, norm, γ*², θ (up to a factor) and the weights, from cases.md and by hand.
EXACT = [
    ([(1, 0), (0, 2)], 2.0, F(4, 5), (2, 1), (F(4, 5), F(1, 5))),
    ([(1, 0), (0, 2)], 1.0, F(4, 9), (2, 1), (F(2, 3), F(1, 3))),
    ([(1, 0), (0, 2)], math.inf, F(1), None, (F(1), F(0))),
    ([(1, 0), (0, 1), (0.5, 0.5)], 2.0, F(1, 2), (1, 1), None),
    ([(0.5, 1.5), (1.5, 0.5), (0.5, 1.5), (1.5, 0.5)], 2.0, F(2), (1, 1), None),
    ([(3, 4)], 2.0, F(25), (3, 4), (F(1),)),
    ([(3, 4)], 1.0, F(16), (0, 1), (F(1),)),
    ([(3, 4)], math.inf, F(49), (1, 1), (F(1),)),
]


@pytest.mark.parametrize("row", EXACT)
def test_exact_margins(row: tuple) -> None:
    Z, norm, squared, theta, weights = row
    Z = np.array(Z, float)
    found = exact_max_margin(Z, norm)
    assert margin_squared(Z, norm, found.point) == squared
    shown = prove_max_margin(Z, norm, np.ones(2)).facts
    assert shown["margin"] == pytest.approx(math.sqrt(squared), rel=1e-15)
    assert check_exact_margin(Z, norm, found) == ""
    if theta is not None:
        a, b = found.point, theta
        assert a[0] * b[1] == a[1] * b[0]
    if weights is not None:
        assert found.multipliers == (weights,)


@pytest.mark.parametrize("norm", NORMS)
def test_a_slightly_wrong_proof_fails(norm: float) -> None:
    Z = np.array([(1, 0), (0, 2), (1, 1)], float)
    found = exact_max_margin(Z, norm)
    tiny = F(1, 10**30)
    (weights,) = found.multipliers
    shifted = (weights[0] - tiny, weights[1] + tiny, *weights[2:])
    moved = (found.point[0] - tiny, *found.point[1:])
    wrong = [
        replace(found, multipliers=(shifted,)),
        replace(found, multipliers=(tuple(w * (1 + tiny) for w in weights),)),
        replace(found, multipliers=(tuple(-w for w in weights),)),
        replace(found, point=moved),
        replace(found, point=tuple(-x for x in found.point)),
        replace(found, point=found.point[:1]),
    ]
    for one in wrong:
        assert check_exact_margin(Z, norm, one)
    other = next(p for p in NORMS if p != norm)
    assert check_exact_margin(Z, other, found)


@pytest.mark.parametrize("norm", NORMS)
def test_inseparable_rows(norm: float) -> None:
    for Z in ([(1, 0), (-1, 0)], [(1, 0), (0, 1), (-1, -1)], [(0, 0)], [(1, 1), (0, 0)]):
        with pytest.raises(NotSeparableError):
            exact_max_margin(np.array(Z, float), norm)


def test_other_norms_are_not_rational() -> None:
    with pytest.raises(ParameterError, match="norm 3"):
        exact_max_margin(np.eye(2), 3.0)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.integers(1, 7),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
    st.sampled_from(NORMS),
)
def test_small_integer_data(count: int, size: int, random: object, norm: float) -> None:
    """Ties, duplicates and dependent rows everywhere: an answer is its own proof."""
    Z = np.array([[random.randint(-2, 3) for _ in range(size)] for _ in range(count)], float)
    verdict = lm.separability(lm.Dataset(Z, np.ones(count, int), one_class=True))
    if not verdict.separable:
        with pytest.raises(NotSeparableError):
            exact_max_margin(Z, norm)
        return
    found = exact_max_margin(Z, norm)
    assert check_exact_margin(Z, norm, found) == ""
    w = np.array([float(x) for x in verdict.weights])
    shown = prove_max_margin(Z, norm, w)
    assert shown.gap >= 0.0
    assert shown.value == (margin_squared(Z, norm, found.point),)


@pytest.mark.parametrize("scale", [2.0**-400, 1.0, 2.0**400])
@pytest.mark.parametrize("norm", NORMS)
def test_scales(scale: float, norm: float) -> None:
    Z = np.array([(1, 0.25), (0.5, 2)]) * scale
    found = prove_max_margin(Z, norm, np.ones(2))
    one = prove_max_margin(Z / scale, norm, np.ones(2))
    assert found.value[0] == one.value[0] * F(scale) ** 2
    assert found.facts["margin"] == pytest.approx(one.facts["margin"] * scale, rel=1e-15)


@pytest.mark.parametrize("norm", [1.0, math.inf])
def test_ties_finer_than_a_linear_program_and_rows_of_any_length(norm: float) -> None:
    rng = np.random.default_rng(9)
    for _ in range(20):
        Z = rng.integers(1, 4, (5, 3)) * (1.0 + 1e-13 * rng.integers(0, 3, (5, 3)))
        for rows in (Z, Z * 10.0 ** rng.integers(-12, 6, (5, 1))):
            assert check_exact_margin(rows, norm, exact_max_margin(rows, norm)) == ""


def test_the_gap_of_a_direction() -> None:
    Z = np.array([(1, 0), (0, 2)], float)
    # γ(θ)²/(‖θ‖² γ*²) at θ = (1, 1) is (1/2)/(4/5).
    found = prove_max_margin(Z, 2.0, np.array([1.0, 1.0]))
    assert found.facts["ratio_squared"] == "5/8"
    assert found.gap == pytest.approx(1.0 - math.sqrt(5 / 8), rel=1e-15)
    assert prove_max_margin(Z, 2.0, np.array([2.0, 1.0])).gap == 0.0
    assert prove_max_margin(Z, 2.0, np.array([1.0, -1.0])).gap > 1.0
    near = prove_max_margin(Z, 2.0, np.array([2.0, np.nextafter(1.0, 2.0)]))
    assert 0.0 < near.gap < 1e-15


@pytest.mark.parametrize(
    ("name", "positive"), [("wine", 0), ("iris", 0), ("digits", 1), ("breast_cancer", None)]
)
def test_real_data(name: str, positive: int | None) -> None:
    data = lm.load_dataset(name, positive=positive)
    Z = margin_rows(data, bias=True)
    found = exact_max_margin(Z, 2.0)
    assert check_exact_margin(Z, 2.0, found) == ""
    w = np.array([float(x) for x in found.point])
    assert prove_max_margin(Z, 2.0, w).gap < 1e-9


# -- balls -----------------------------------------------------------------------------------------

HOMOGENEOUS = [n for n, (p, _, degrees) in PREDICTORS.items() if len(degrees) == 1]
KINKED = ("relu-2", "relu-3", "relu-3-classes", "leaky", "biased-first", "biased-3")
KINKED += ("biased-3-classes", "residual", "leading-biased-3", "leading-residual")
SMOOTH = [n for n in PREDICTORS if n not in KINKED]


def evaluated(functions: MarginFunctions, theta: np.ndarray, radius: float) -> tuple:
    blocks, first = [], 0
    for shape in functions.shapes:
        count = math.prod(shape)
        part = [arb(float(x), radius) for x in theta[first : first + count]]
        blocks.append(ArbOps.parameter(part, shape, first, functions.size))
        first += count
    leaves = [ball for block in blocks for ball in block.ravel()]
    return functions.evaluate(ArbOps(), blocks), leaves


@pytest.mark.parametrize("name", PREDICTORS)
def test_balls_contain_values_and_gradients(name: str) -> None:
    predictor = PREDICTORS[name][0]
    functions = MarginFunctions(predictor, dataset_for(predictor))
    theta = point_for(functions)
    if any(np.any(z == 0.0) for z in functions.pre_activations(theta)):
        # A sample that no unit of the first layer sees lies on every kink of the second.
        assert name in ("relu-3", "biased-first", "leading-biased-3", "leading-residual")
        with pytest.raises(KinkInBox):
            evaluated(functions, theta, 0.0)
        return
    margins, leaves = evaluated(functions, theta, 0.0)
    values, jacobian = functions.values(theta), functions.jacobian(theta)
    for n, margin in enumerate(margins):
        assert float(margin.value.mid()) == pytest.approx(values[n], rel=1e-12, abs=1e-12)
        gradient = combined_gradient([(margin, arb(1))], leaves)
        reverse = [float(arb(value).mid()) for value, _ in gradient]
        forward = [0.0] * functions.size
        if margin.tangent is not None:
            forward = [float(margin.tangent[0, j].mid()) for j in range(functions.size)]
        assert reverse == pytest.approx(jacobian[n], rel=1e-11, abs=1e-11)
        assert forward == pytest.approx(jacobian[n], rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("name", SMOOTH)
def test_balls_contain_the_whole_box(name: str) -> None:
    predictor = PREDICTORS[name][0]
    functions = MarginFunctions(predictor, dataset_for(predictor))
    theta, rng = point_for(functions), np.random.default_rng(0)
    radius = 0.05
    margins, leaves = evaluated(functions, theta, radius)
    weights = rng.standard_normal(functions.count)
    combined = combined_gradient(
        [(m, arb(w)) for m, w in zip(margins, weights, strict=True)], leaves
    )
    hessian = np.array(
        [[arb(0) if t is None else t[0, j] for j in range(functions.size)] for _, t in combined],
        dtype=object,
    )  # fmt: skip
    for _ in range(5):
        inside = theta + rng.uniform(-radius, radius, theta.size) * 0.999
        values = functions.values(inside)
        gradient = functions.vjp(inside, weights)
        direction = rng.standard_normal(theta.size)
        step = 1e-6 * direction
        change = (
            functions.vjp(inside + step, weights) - functions.vjp(inside - step, weights)
        ) / 2e-6
        for n, margin in enumerate(margins):
            assert covers(margin.value, values[n], 1e-10)
        for i in range(functions.size):
            assert covers(arb(combined[i][0]), gradient[i], 1e-9)
            turn = sum((hessian[i, j] * float(direction[j]) for j in range(theta.size)), arb(0))
            assert covers(turn, change[i], 1e-5 * (1.0 + abs(change[i])))


def covers(ball: object, value: float, slack: float) -> bool:
    return bool((arb(ball) + arb(0, slack)).contains(arb(float(value))))


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 4, 7])
def test_powers_around_zero(exponent: int) -> None:
    found = whole_power(arb(0.25, 1.0), exponent)
    for x in np.linspace(-0.75, 1.25, 41):
        assert found.contains(arb(float(x) ** exponent))


# -- Krawczyk --------------------------------------------------------------------------------------


def prove_kkt(f: MarginFunctions, theta: np.ndarray) -> Proof:
    return krawczyk.prove_kkt(Kkt(functions=f, point=theta))


def functions(predictor: object, Z: object, y: object = None) -> MarginFunctions:
    labels = np.ones(len(Z), int) if y is None else np.array(y)
    return MarginFunctions(predictor, lm.Dataset(np.array(Z, float), labels, one_class=True))


PAIR = [(1.0, 0.6), (0.6, 1.0)]
PHI = math.radians(150)
DEAD = [(1.0, 0.0), (math.cos(PHI), math.sin(PHI))]
COSINE = [math.cos(PHI / 2), math.sin(PHI / 2)]

ROTATED = [0.6, 0.6, 0.8, 0.8, 0.6 * 2**0.5, 0.8 * 2**0.5]
PROVED = {
    "linear": (lm.Linear(), [(1, 0), (0, 2)], [2, 1], 0),
    "diagonal-2": (lm.DiagonalNetwork(2), PAIR, [1, 1, 1, 1], 0),
    "diagonal-3": (lm.DiagonalNetwork(3), PAIR, [1, 1, 1, 1, 1, 1], 0),
    "saddle": (lm.DiagonalNetwork(2), [(1, 2)], [1, 0, 1, 0], 0),
    "identity": (lm.Network((2,)), np.eye(2), [1, 1, 0, 0, 2**0.5, 0], 1),
    "identity-rotated": (lm.Network((2,)), np.eye(2), ROTATED, 1),
    "relu": (lm.Network((1,), lm.ReLU()), DEAD, [*COSINE, 1], 0),
    "relu-same-side": (lm.Network((2,), lm.ReLU()), DEAD, [*COSINE, *COSINE, 1, 1], 1),
    "convolution-2": (lm.ConvolutionalNetwork(1), [(1, 1, 0, 0)], [1, 1, 0, 0], 0),
}  # fmt: skip


@pytest.mark.parametrize("name", PROVED)
def test_true_kkt_points_are_proved(name: str) -> None:
    predictor, Z, theta, symmetries = PROVED[name]
    f = functions(predictor, Z)
    theta = np.array(theta, float)
    found = prove_kkt(f, theta)
    assert found.proved, found.statement
    assert found.facts["symmetries"] == symmetries
    assert found.facts["radius"] < 1e-14
    # A direction that is off by η is at most, and at least, about η from the true point.
    rng = np.random.default_rng(1)
    unit = theta / np.linalg.norm(theta)
    off = rng.standard_normal(theta.size)
    off -= unit * (off @ unit)
    moved = prove_kkt(f, unit + 1e-9 * off / np.linalg.norm(off))
    assert moved.proved, moved.statement
    assert moved.facts["radius"] < 1e-7
    json.dumps(found.to_json(), allow_nan=False)


def test_the_radius_covers_the_true_point() -> None:
    f = functions(lm.Linear(), [(1, 0), (0, 2)])
    exact = np.array([1.0, 0.5])
    for step in (1e-12, 1e-9, 1e-7):
        theta = exact + np.array([-step, step])
        w = theta / float(np.min(f.values(theta)))
        found = prove_kkt(f, theta)
        assert found.proved
        assert found.facts["radius"] >= np.linalg.norm(w - exact) / np.linalg.norm(w) * (1 - 1e-6)


@pytest.mark.parametrize(("step", "near"), [(1e-7, True), (3e-6, False), (1e-4, False)])
def test_a_true_point_that_is_far_away_proves_nothing_of_this_one(step: float, near: bool) -> None:
    # Turned along the tangents of the one active sample Newton's method still finds its way back.
    f = functions(lm.DiagonalNetwork(2), [(1, 2)])
    theta = np.array([0.0, 1.0, 0.0, 1.0]) + step * np.array([1.0, 0.5, -0.5, -0.5])
    found = prove_kkt(f, theta)
    assert found.proved is near
    assert near or "away, not nearer" in found.statement


@pytest.mark.parametrize("slope", [0.0, 1e-9])
def test_a_multiplier_that_is_zero_or_negative_at_the_true_point_proves_nothing(
    slope: float,
) -> None:
    # Both margins are 1 at w = (1, 0), where λ_2 = 0, or -slope; 2e-8 off it λ_2 looks positive.
    found = prove_kkt(functions(lm.Linear(), [(1, slope), (1, 1)]), np.array([1.0, 2e-8]))
    assert found.facts["support"] == [0, 1] and not found.proved
    assert "not clearly positive" in found.statement


def test_a_sample_that_is_short_of_the_margin_by_a_billionth_is_noticed() -> None:
    # (1, 0) solves the equations of sample 0 alone; there sample 1 has the margin 1 - 1e-9.
    found = prove_kkt(functions(lm.Linear(), [(1, 0), (1 - 1e-9, 1)]), np.array([1.0, 0.0]))
    assert not found.proved and "not clearly at least" in found.statement
    assert prove_kkt(functions(lm.Linear(), [(1, 0), (1 + 1e-9, 1)]), np.array([1.0, 0.0])).proved


@pytest.mark.parametrize(("turn", "proved"), [(1e-9, True), (1e-5, False), (1e-3, False)])
def test_levels_of_the_euclidean_ball_are_compared_one_by_one(turn: float, proved: bool) -> None:
    # γ* = 1 at (1, 0) and the second margin is 2: turned by φ the first falls by φ²/2, the second
    # by φ.
    data = lm.Dataset([[1, 0], [2, 1]], [1, 1], one_class=True)
    problem = lm.Lexicographic(lm.Linear(), data)
    found = prove(problem, [math.cos(turn), -math.sin(turn)])
    assert found.kind is Arithmetic.RATIONAL and found.gap < 1e-6
    assert found.proved is proved
    assert found.to_json()["levels_gap"] == pytest.approx(turn, rel=1e-2)
    assert "exact levels" in found.report()
    first = prove(lm.Lexicographic(lm.Linear(), data, levels=1), [1.0, -turn])
    assert first.kind is Arithmetic.RATIONAL and first.proved and "levels_gap" not in first.facts


NOT_PROVED = [
    # not stationary
    (lm.Linear(), [(1, 0), (0, 2)], [1, 1]),
    # does not separate
    (lm.Linear(), [(1, 0), (0, 2)], [1, -1]),
    # on kinks
    (lm.Network((4,), lm.ReLU()), [(1, 1), (-1, -1), (1, -1), (-1, 1)], None),
    # a dead unit
    (lm.Network((2,), lm.ReLU()), DEAD, [*COSINE, 0, 0, 1, 0]),
    # every direction of the plane is as good: flat
    (lm.Polynomial(((2, 0), (0, 2))), [(1, 1)], [0.6, 0.8]),
]  # fmt: skip


@pytest.mark.parametrize("index", range(len(NOT_PROVED)))
def test_what_is_not_proved_says_why(index: int) -> None:
    predictor, Z, theta = NOT_PROVED[index]
    y = None
    if theta is None:
        y = [1, 1, -1, -1]
        theta = np.concatenate([np.ravel(Z) / 2**0.5, y])
    found = prove_kkt(functions(predictor, Z, y), np.array(theta, float))
    assert not found.proved
    assert found.facts["radius"] is None
    assert found.statement
    assert "not proved" in found.report()


def test_precision_is_left_as_it_was() -> None:
    before = ctx.prec
    prove_kkt(functions(lm.DiagonalNetwork(2), PAIR), np.ones(4))
    assert ctx.prec == before


def test_kink_in_the_box() -> None:
    ops = ArbOps()
    block = ArbOps.parameter([arb(0, 1)], (1,), 0, 1)
    with pytest.raises(KinkInBox):
        ops.relu(block)
    assert ops.relu(block, 2.0)[0].value.contains(arb(0.5))


# -- one verb, and the command line ----------------------------------------------------------------


def test_prove_chooses() -> None:
    linear = lm.load("linear/norms-two-points-l1")
    proof = prove(linear, np.array([2.0, 1.0]))
    assert proof.proved and proof.value == (F(4, 9),)
    assert "rational" in proof.report()
    loose = prove(linear, np.array([1.0, 1.0]))
    assert not loose.proved and loose.facts["ratio_squared"] == "9/16"
    other = prove(lm.load("linear/norms-two-points-l3"), np.array([1.0, 1.0]))
    assert not other.proved and "norm 3" in other.report()


@pytest.mark.parametrize("problem", ["norms-two-points-l2", "diagonal-2"])
def test_command_line(problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["certify", problem, "--exact", "--json"])
    assert caught.value.code == 0
    assert json.loads(capsys.readouterr().out)["exact"]["proved"] is True


def test_brute_force_agrees() -> None:
    """The vertices of `max t` over the ℓ∞ square in the plane, listed."""
    rng = np.random.default_rng(3)
    for _ in range(10):
        Z = rng.integers(1, 9, (4, 2)).astype(float)
        found = prove_max_margin(Z, math.inf, np.ones(2)).facts["margin"]
        corners = [np.array(c, float) for c in itertools.product((-1, 1), repeat=2)]
        for a, b in itertools.combinations(Z, 2):
            for axis, side in itertools.product((0, 1), (-1.0, 1.0)):
                slope = (a - b)[1 - axis]
                if slope:
                    free = -(a - b)[axis] * side / slope
                    if abs(free) <= 1:
                        corners.append(np.array([side, free] if axis == 0 else [free, side]))
        assert found == pytest.approx(max(float(np.min(Z @ c)) for c in corners))
