"""`--exact` beyond the hard margin: eq. 5, 6, 7, 13, 14, §2.2 and lexicographic levels."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from flint import ctx

import lexmargin as lm
from exact_leximin import leximin_margins
from lexmargin.backends.levels.face import face_levels
from lexmargin.cli.main import main
from lexmargin.judge.bounds.parts import Parts
from lexmargin.judge.levels.exact_levels import check_exact_levels, exact_levels
from lexmargin.judge.proofs.exact_bias import (
    check_exact_program,
    exact_program,
    stated_program,
)
from lexmargin.judge.prove import Arithmetic, Proof, prove
from lexmargin.judge.verdict import Verdict

F = Fraction
R = math.sqrt
INF = math.inf
ONE = lm.Dataset([[1.0]], [1], one_class=True)
SHALLOW_DEEP = lm.Sum([lm.Linear(), lm.DiagonalNetwork(2)])
TWO_THREE = lm.Sum([lm.DiagonalNetwork(2), lm.DiagonalNetwork(3)])
BIAS = lm.Dataset([[3.0, 0.0], [1.0, 1.0]], [1, -1])


def points(X: Any) -> lm.Dataset:
    return lm.Dataset(np.array(X, float), [1] * len(X), one_class=True)


AXES = points([[1, 0], [0, 1 / 8]])
HALF = points([[1, 0], [0, 0.5]])
TRAP = points([[1, 1], [3, 1], [1, 2]])
LADDER = np.array([[1, 1, 1], [2, 3, 3], [4, 5, 6]], float)


def l1_answer(rho: float) -> list[float]:
    second = (1 + math.log(0.5) / rho) / 1.5
    return [1 - second, second]


# Each has a closed form, given here to a rounding error.
PROVED: dict[str, tuple[Any, Any]] = {
    "eq-5": (lm.ConstrainedPath(lm.Log(), AXES, 20.0), [1 / R(5), 2 / R(5)]),
    "eq-5-deep": (lm.ConstrainedPath(lm.DiagonalNetwork(2), ONE, 3.0), [1 / R(2), 1 / R(2)]),
    "eq-5-logistic": (
        lm.ConstrainedPath(lm.Linear(), points([[0.5, 1.5], [1.5, 0.5]]), 2.0, 2.0, "logistic"),
        [1 / R(2), 1 / R(2)],
    ),
    "eq-5-l1": (lm.ConstrainedPath(lm.Linear(), HALF, 10.0, 1.0), l1_answer(10.0)),
    # 440 nats between the first level and the next one.
    "eq-5-l1-far": (
        lm.ConstrainedPath(lm.Linear(), TRAP, 660.0, 1.0),
        [1 - (1 - math.log(2) / 1320) / 1.5, (1 - math.log(2) / 1320) / 1.5],
    ),
    "eq-5-linf": (lm.ConstrainedPath(lm.Linear(), points([[1, 0], [3, 1]]), 5.0, INF), [1, 1]),
    "regularization": (lm.RegularizationPath(lm.Linear(), ONE, math.exp(-2.0) / 4.0), [2.0]),
    # e^{-w} = 3 μ w² at w = 2.
    "regularization-cubic": (
        lm.RegularizationPath(lm.Linear(), ONE, math.exp(-2.0) / 12.0, 2.0, 3.0),
        [2.0],
    ),
    "regularization-deep": (
        lm.RegularizationPath(lm.DiagonalNetwork(2), ONE, math.exp(-2.0) / 2.0),
        [R(2.0), R(2.0)],
    ),
    "eq-6": (lm.MarginPath(TWO_THREE, ONE, R(6.7)), [0, 0, *[1 / R(3)] * 3]),
    "eq-7": (
        lm.MarginPath(SHALLOW_DEEP, ONE, 10.0, gamma=50.5),
        [0.1, R(49.5) / 10, R(49.5) / 10],
    ),
    "eq-6-log": (lm.MarginPath(lm.Log(), AXES, 100.0), [1 / R(65), 8 / R(65)]),
    "eq-14": (lm.ScaledMargin(SHALLOW_DEEP, ONE, 10.0), [0.1, R(0.9), R(0.9)]),
    "eq-14-huge": (
        lm.ScaledMargin(SHALLOW_DEEP, ONE, 1e12),
        [1e-12, R(1 - 1e-12), R(1 - 1e-12)],
    ),
    "eq-13-zero": (lm.WSet(SHALLOW_DEEP, ONE), [0.0, 1.0, 1.0]),
}


@pytest.mark.parametrize("name", PROVED)
def test_true_points_are_proved_near(name: str) -> None:
    problem, theta = PROVED[name]
    before = ctx.prec
    found = prove(problem, np.array(theta, float))
    assert found.kind is Arithmetic.BALLS and found.proved, found.report()
    assert found.facts["radius"] < 1e-13
    assert ctx.prec == before
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize("name", [n for n in PROVED if n not in ("eq-13-zero", "regularization")])
def test_the_radius_covers_the_true_point(name: str) -> None:
    problem, theta = PROVED[name]
    theta = np.array(theta, float)
    rng = np.random.default_rng(2)
    if name == "eq-5-linf":
        pytest.skip("a vertex has nowhere to move on the ball")
    for size in (1e-11, 1e-9):
        step = rng.standard_normal(theta.size)
        if name.startswith("eq-14-huge"):
            step *= theta
        elif theta.size > 1:
            step -= theta * (step @ theta) / (theta @ theta)
        if "l1" in name:
            step = np.array([1.0, -1.0])
        moved = theta + size * step / np.linalg.norm(step)
        found = prove(problem, moved)
        assert found.proved, found.report()
        scale = problem.rho_value
        distance = np.linalg.norm(scale * (moved - theta)) / np.linalg.norm(scale * moved)
        assert found.facts["radius"] >= distance * (1 - 1e-3) - 1e-14


@pytest.mark.parametrize("name", PROVED)
def test_far_points_are_not_proved(name: str) -> None:
    problem, theta = PROVED[name]
    theta = np.array(theta, float)
    # Halfway to somewhere else: another direction, and for one parameter another length.
    other = theta * np.where(np.arange(theta.size) % 2, 1.1, 0.9)
    if problem.name in ("margin-path", "constrained-path"):
        other /= np.linalg.norm(other, problem.norm_p)
    found = prove(problem, other)
    assert not found.proved
    assert "not proved" in found.report() and found.statement


NOT_PROVED: dict[str, tuple[Any, Any, str]] = {
    "inside": (lm.ConstrainedPath(lm.Log(), AXES, 20.0), [0.4, 0.8], "not 1"),
    "l3": (lm.ConstrainedPath(lm.Linear(), HALF, 10.0, 3.0), [0.5, 0.9], "norm 3"),
    "w-set": (lm.WSet(TWO_THREE, ONE), [1, 1, 0, 0, 0], "isolated"),
    "flat": (
        lm.MarginPath(lm.Polynomial([[2, 0], [0, 2], [1, 0]]), points([[1, 1, 0]]), 1.0),
        [0.6, 0.8],
        "singular",
    ),
    "levels": (
        lm.Lexicographic(lm.Polynomial([[4, 0], [0, 4]]), points([[1, 2], [2, 1]])),
        [1, 0],
        "linear",
    ),
    "zero": (lm.RegularizationPath(lm.Linear(), ONE, 0.1), [0.0], "zero"),
    "l1-wrong-face": (lm.ConstrainedPath(lm.Linear(), HALF, 10.0, 1.0), [1, 0], "largest"),
    "linf-wrong-side": (
        lm.ConstrainedPath(lm.Linear(), points([[1, 0], [3, 1]]), 5.0, INF),
        [1, -1],
        "outwards",
    ),
}


@pytest.mark.parametrize("name", NOT_PROVED)
def test_what_is_not_proved_says_why(name: str) -> None:
    problem, theta, word = NOT_PROVED[name]
    found = prove(problem, np.array(theta, float))
    assert not found.proved
    assert word in found.statement


# -- linear scores with biases ---------------------------------------------------------------------

FORMS = ("signed-square", "two-squares", "square", "plain")


def with_bias(form: str) -> Any:
    return lm.Sum([lm.Linear(), lm.Bias(form)])


# (problem, θ, exact value): w(γ) = (0.8 - 0.3/γ, -0.4 - 0.6/γ), b(γ) = -1.4 + 0.9/γ (cases.md).
EXACT: dict[str, tuple[Any, Any, Fraction]] = {
    "scaled-1": (
        lm.ScaledMargin(with_bias("signed-square"), BIAS, 1.0),
        [0.5, -1.0, -R(0.5)],
        F(7, 4),
    ),
    "scaled-10": (
        lm.ScaledMargin(with_bias("two-squares"), BIAS, 10.0),
        [0.77, -0.46, 0.0, R(1.31)],
        F(1871, 20),
    ),
    "w-set": (lm.WSet(with_bias("signed-square"), BIAS), [0.8, -0.4, -R(1.4)], F(4, 5)),
    "w-set-square": (lm.WSet(with_bias("square"), BIAS), [1 / 3, -4 / 3, 0.0], F(17, 9)),
    "w-set-plain": (lm.WSet(with_bias("plain"), BIAS), [0.5, -1.0, -0.5], F(3, 2)),
    "linear": (lm.ScaledMargin(lm.Linear(), AXES, 3.0), [1.0, 8.0], F(9 * 65)),
}


@pytest.mark.parametrize("name", EXACT)
def test_biases_are_exact(name: str) -> None:
    problem, theta, value = EXACT[name]
    found = prove(problem, np.array(theta, float))
    assert found.kind is Arithmetic.RATIONAL
    assert found.proved and found.value == (value,)
    assert found.gap < 1e-14
    assert "rational" in found.report()
    json.dumps(found.to_json(), allow_nan=False)
    wrong = np.array(theta, float)
    wrong[0] *= 1.0 + 1e-3
    assert not prove(problem, wrong).proved


def test_weak_duality_makes_them_global() -> None:
    for name in ("scaled-1", "scaled-10", "linear"):
        problem, theta, value = EXACT[name]
        theta = np.array(theta, float)
        found = lm.certify(problem, theta)
        assert found.verdict is Verdict.GLOBAL, found.report()
        assert found.gap is not None and found.gap < 1e-12
        assert lm.certify(problem, theta * (1 + 1e-4)).verdict is Verdict.NOT_STATIONARY
        # Any λ ≥ 0 gives a bound; wrong ones a lower one.
        rng = np.random.default_rng(0)
        for _ in range(20):
            weights = rng.uniform(0.0, 100.0, problem.functions.count)
            kkt = problem.kkt(theta)[0]
            least = Parts().prove(kkt, weights)
            cost = float(value) / (1.0 if kkt.powers is None else kkt.powers.base**2)
            assert least is None or least.value <= cost * (1 + 1e-12)


def test_the_second_level_of_a_bias() -> None:
    problem = lm.WSet(with_bias("two-squares"), BIAS, 2)
    found = prove(problem, np.array([0.8, -0.4, 0.0, R(1.4)]))
    assert found.kind is Arithmetic.RATIONAL and found.proved
    assert found.value == (F(4, 5), F(7, 5))
    # b_+² - b_-² is the same with 0.1 more on both sides: the first level is reached, not the next.
    more = prove(problem, np.array([0.8, -0.4, R(0.1), R(1.5)]))
    assert more.kind is Arithmetic.RATIONAL and not more.proved
    assert more.gap == pytest.approx(0.2 / 1.4, rel=1e-9)


def test_a_slightly_wrong_program_fails() -> None:
    for name in EXACT:
        problem, theta, _ = EXACT[name]
        found = exact_program(problem.kkt(np.array(theta, float)))
        stated = stated_program(problem.kkt(np.array(theta, float))[0])
        assert isinstance(found, Proof) and found.witness is not None and stated is not None
        program = stated[0]
        (m,), size = found.witness.multipliers, program.Z.shape[1]
        w, c = found.witness.point[:size], found.witness.point[size:]
        assert check_exact_program(program, w, c, m) == ""
        tiny = F(1, 10**30)
        used = next(n for n, x in enumerate(m) if x > 0)
        more = tuple(x + tiny * (n == used) for n, x in enumerate(m))
        assert check_exact_program(program, w, c, more)
        assert check_exact_program(program, (w[0] + tiny, *w[1:]), c, m)
        assert check_exact_program(program, w, c, tuple(-x for x in m))
        if any(c):
            assert check_exact_program(program, w, tuple(x - tiny for x in c), m)


def test_random_biases_agree_with_the_kkt_conditions() -> None:
    rng = np.random.default_rng(4)
    proved = 0
    for _ in range(2):
        X = np.vstack([rng.integers(1, 5, (4, 2)), -rng.integers(0, 5, (4, 2))]).astype(float)
        data = lm.Dataset(X + np.array([0.0, 0.5]), [1] * 4 + [-1] * 4)
        problem = lm.ScaledMargin(with_bias("two-squares"), data, 3.0)
        theta = np.concatenate([np.ravel(b) for b in lm.solve(problem).theta])
        found = prove(problem, theta)
        if found.kind is Arithmetic.RATIONAL:
            proved += found.proved
            assert found.gap >= 0.0
    assert proved == 2


# -- levels ----------------------------------------------------------------------------------------


def test_levels_are_exact() -> None:
    problem = lm.Lexicographic(lm.Linear(), points(LADDER), 1.0)
    found = prove(problem, np.array([0.0, 0.0, 1.0]))
    assert found.kind is Arithmetic.RATIONAL and found.proved and found.witness is not None
    assert found.value == (1, 3, 6)
    assert len(found.witness.multipliers) == 3
    assert "rational" in found.report()
    json.dumps(found.to_json(), allow_nan=False)
    # Of max margin, and not lexicographic.
    for wrong in ([0.0, 1.0, 0.0], [0.0, 1e-3, 1.0]):
        assert not prove(problem, np.array(wrong)).proved


def test_a_slightly_wrong_chain_fails() -> None:
    found = exact_levels(LADDER, 1.0, np.array([0.0, 0.0, 1.0]), 3)
    assert isinstance(found, Proof) and found.witness is not None
    theta, chain = found.witness.point, found.witness.multipliers
    assert check_exact_levels(LADDER, 1.0, theta, chain, 3) == ""
    tiny = F(1, 10**30)
    assert check_exact_levels(LADDER, 1.0, theta, chain[:2], 3)
    assert check_exact_levels(LADDER, INF, theta, chain, 3)
    assert check_exact_levels(LADDER, 1.0, (theta[0] + tiny, *theta[1:]), chain, 3)
    assert check_exact_levels(LADDER, 1.0, (F(0), F(1), F(0)), chain, 3)
    for level in range(3):
        # Samples of earlier levels may take more weight: at a vertex that proves no less.
        for n in range(level, 3):
            for change in (tiny, -tiny):
                weights = tuple(x + change * (m == n) for m, x in enumerate(chain[level]))
                wrong = [*chain[:level], weights, *chain[level + 1 :]]
                assert check_exact_levels(LADDER, 1.0, theta, wrong, 3)


@pytest.mark.parametrize("norm", [1.0, INF])
def test_random_levels_agree_with_a_simplex_method(norm: float) -> None:
    rng = np.random.default_rng(7)
    proved = 0
    for _ in range(10):
        truth = rng.integers(1, 4, 3).astype(float)
        Z = rng.integers(-2, 4, (6, 3)).astype(float)
        Z[Z @ truth == 0] = truth
        Z *= np.sign(Z @ truth)[:, None]
        exact = leximin_margins(Z.astype(int).tolist(), norm)
        found = exact_levels(Z, norm, face_levels(Z, norm).theta, 6)
        if isinstance(found, Proof) and found.witness is not None:
            theta, chain = found.witness.point, found.witness.multipliers
            proved += found.proved
            assert list(found.value) == sorted(exact)
            assert check_exact_levels(Z, norm, theta, chain, 6) == ""
            shifted = tuple(x * (1 + F(1, 10**20)) for x in theta)
            assert check_exact_levels(Z, norm, shifted, chain, 6)
    assert proved == 10


def test_levels_with_the_euclidean_norm_are_settled_by_the_first() -> None:
    problem = lm.Lexicographic(lm.Linear(), points([[1, 0], [0, 2], [5, 5]]))
    assert prove(problem, np.array([2.0, 1.0])).proved
    assert not prove(problem, np.array([2.0, 1.01])).proved


@pytest.mark.parametrize(
    "problem", ["sums/bias-scaled-10", "paths/precision-trap-constrained-100", "two-levels-linf"]
)
def test_command_line(problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["certify", problem, "--exact", "--json"])
    assert caught.value.code == 0
    assert json.loads(capsys.readouterr().out)["exact"]["proved"] is True
