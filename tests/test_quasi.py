"""Quasi-homogeneous problems: exponents, the W-set of shared parameters, and its certificates."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import linprog, minimize

import lexmargin as lm
from adversarial_quasi import FAMILIES
from examples_of_predictors import PREDICTORS, P, dataset_for
from lexmargin.judge.tolerances import DEFAULT
from lexmargin.judge.trained.trained_exponents import measure_exponents
from lexmargin.judge.trained.trained_scaled import ScaledWord, certify_scaled
from lexmargin.judge.verdict import Verdict
from lexmargin.margins import MarginFunctions
from lexmargin.ops.degree import HomogeneityKind
from lexmargin.ops.exponents import Exponents
from lexmargin.predictors import Predictor
from quasi_cases import LINE, MiddleBias, as_trained, planted

HALF, QUARTER = Fraction(1, 2), Fraction(1, 4)
RELU = lm.ReLU()

# predictor, least exponents, dimension of the polytope; by hand: the weights of every way through
# the network sum to 1. Layers W_1 … W_L trade L - 1 factors, and b_l = W_1 + … + W_l.
KNOWN: dict[str, tuple[Predictor, tuple[Fraction, ...], int]] = {
    "linear": (lm.Linear(), (Fraction(1),), 0),
    "diagonal 3": (lm.DiagonalNetwork(3), (Fraction(1, 3),) * 3, 2),
    "relu 2": (lm.Network((3,), RELU), (HALF, HALF), 1),
    "relu squared": (lm.Network((3,), lm.ReLU(2)), (Fraction(1, 3),) * 2, 1),
    "linear and bias": (lm.Sum([lm.Linear(), lm.Bias()]), (Fraction(1), HALF), 0),
    "all biases, 2": (lm.Network((3,), RELU, bias="all"), (HALF, HALF, HALF, Fraction(1)), 1),
    "all biases, 3": (
        lm.Network((3, 2), RELU, bias="all"),
        (QUARTER, QUARTER, QUARTER, HALF, HALF, Fraction(1)),
        2,
    ),
    "middle bias": (MiddleBias(2, 2, RELU, RELU), (QUARTER, QUARTER, HALF, HALF), 2),
}


@pytest.mark.parametrize("name", KNOWN)
def test_exponents_are_those_found_by_hand(name: str) -> None:
    predictor, least, dimension = KNOWN[name]
    found = predictor.homogeneity(P).exponents
    assert found is not None
    assert found.least == least and found.dimension == dimension and not found.still


@pytest.mark.parametrize("name", [n for n, row in PREDICTORS.items() if row[2]])
@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), run=st.floats(-3.0, 3.0))
def test_every_choice_of_exponents_scales_the_margins(name: str, seed: int, run: float) -> None:
    predictor = PREDICTORS[name][0]
    functions = MarginFunctions(predictor, dataset_for(predictor))
    polytope = functions.homogeneity.exponents
    assert polytope is not None and polytope.least is not None
    rng = np.random.default_rng(seed)
    chosen = np.array([float(x) for x in polytope.least])
    if len(polytope.changes):
        chosen = chosen + polytope.changes.T @ rng.standard_normal(len(polytope.changes))
    theta = functions.blocks(rng.standard_normal(functions.size))
    moved = [np.exp(run * x) * block for x, block in zip(chosen, theta, strict=True)]
    before, after = (functions.values(functions.flatten(blocks)) for blocks in (theta, moved))
    size = np.max(np.abs(before)) + 1e-300
    assert np.allclose(after, np.exp(run) * before, rtol=1e-8, atol=1e-9 * size * np.exp(run))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_measured_exponents_are_those_of_the_predictor(seed: int) -> None:
    rng = np.random.default_rng(seed)
    name = str(rng.choice([n for n in KNOWN if n not in ("linear and bias", "diagonal 3")]))
    predictor, least, dimension = KNOWN[name]
    data = lm.Dataset(rng.standard_normal((8, P)), np.resize([1, -1], 8))
    problem = lm.WSet(predictor, data)
    theta = rng.standard_normal(problem.functions.size) * 10.0 ** rng.uniform(-2, 2)
    nothing = np.zeros(theta.size, dtype=bool)
    found, why = measure_exponents(as_trained(problem, theta), nothing, DEFAULT.euler)
    assert found is not None, why
    assert found.least == least and found.dimension == dimension


def test_what_has_exponents_of_0_alone_has_none() -> None:
    # a·(A x + V σ(U A x)): λ_a + λ_A = 1 and λ_U + λ_V = 0.
    found = lm.Residual(2, 1, RELU).homogeneity(P)
    assert found.kind is HomogeneityKind.NEITHER
    assert found.exponents is not None and found.exponents.still == (1, 2)
    # One sample, for which a branch of two units is often off.
    data = lm.Dataset(np.ones((2, P)), [1, -1])
    with pytest.raises(lm.DegreeError, match="exponent of w2, w3 would have to be 0"):
        lm.WSet(lm.Residual(2, 1, RELU), data)
    residual = lm.MarginPath(lm.Residual(2, 1, RELU), data, 1.0)
    theta = np.random.default_rng(0).standard_normal(residual.functions.size)
    nothing = np.zeros(theta.size, dtype=bool)
    margins = as_trained(residual, theta)  # type: ignore[arg-type]
    assert measure_exponents(margins, nothing, DEFAULT.euler) == (
        None,
        "the exponent of 'w2', 'w3' would have to be 0: their size does not grow with the margins",
    )
    assert lm.Log().homogeneity(P).exponents is None


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_the_least_exponents_are_those_of_one_program_after_another(seed: int) -> None:
    """Against a bisection over sorted vectors: no admissible λ is smaller, largest first."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 6))
    rows = rng.integers(0, 3, (int(rng.integers(1, 4)), count)).astype(float)
    rows[:, int(rng.integers(count))] += 1.0
    polytope = Exponents(rows, np.ones(len(rows)))
    feasible = linprog(np.ones(count), A_eq=rows, b_eq=np.ones(len(rows)))
    if polytope.least is None:
        assert feasible.x is None
        return
    chosen = np.array([float(x) for x in polytope.least])
    used = list(polytope.used)
    assert np.allclose(rows @ chosen, 1.0, atol=1e-9) and np.all(chosen >= 0.0)
    for _ in range(30):
        cost = rng.standard_normal(count)
        other = linprog(cost, A_eq=rows, b_eq=np.ones(len(rows)), bounds=(0, 3.0)).x
        if other is None:
            continue
        for share in (1.0, 0.1, 1e-2):
            mixed = chosen + share * (other - chosen)
            ours, theirs = (np.sort(x[used])[::-1] for x in (chosen, mixed))
            first = np.flatnonzero(np.abs(ours - theirs) > 1e-7)
            assert not first.size or ours[first[0]] < theirs[first[0]]


# -- answers ---------------------------------------------------------------------------------------


def test_a_needed_bias_costs_what_it_does_by_hand() -> None:
    """``s + t >= 1`` and ``-2s - t >= 1`` ask for t = 3, which costs ``‖v‖² + ‖b‖² = 2 t``."""
    problem = lm.WSet(MiddleBias(1, 1), LINE)
    found = lm.solve(problem, starts=4)
    assert found.certificate is not None and found.certificate.verdict is Verdict.KKT
    assert found.certificate.levels == pytest.approx((6.0,), rel=1e-7)
    W1, W2, b, v = (float(np.ravel(block)[0]) for block in found.theta)
    assert abs(b) == pytest.approx(np.sqrt(3.0), rel=1e-6) == abs(v)
    assert v * W2 * W1 == pytest.approx(-2.0, rel=1e-6)
    # λ_max ‖P w‖² = Σ ν f: 3, and the dual of the program in (s, t) is (2, 1).
    assert found.certificate.multipliers == pytest.approx([2.0, 1.0], rel=1e-6)
    assert all(check.holds for check in found.certificate.checks)
    assert any("2 dimensions" in why for why in found.certificate.reasons)


def test_gradient_flow_grows_by_the_least_exponents_and_its_residual_falls() -> None:
    """Blocks grow like γ^λ with λ of the predictor, and ε of its own multipliers like 1/‖θ‖."""
    problem = lm.WSet(MiddleBias(2, 2), LINE)
    functions, mine = problem.functions, problem.parts.entries(0)
    exponents = problem.parts.spread(1.0 / problem.parts.degrees)

    def weights(theta: np.ndarray) -> np.ndarray:
        values = functions.values(theta)
        found = np.exp(-(values - values.min()))
        return np.asarray(found / found.sum())

    def flow(_: float, theta: np.ndarray) -> np.ndarray:
        # Time is measured so that the norm grows like e^t, once it grows.
        way = functions.vjp(theta, weights(theta))
        size, length = np.linalg.norm(theta), np.linalg.norm(way)
        along = way @ theta / (size * length)
        return np.asarray(way / length * size / (along if along > 0.05 else 1.0))

    theta, rows = np.random.default_rng(0).standard_normal(functions.size) * 0.7, []
    for _ in range(5):
        theta = solve_ivp(flow, (0.0, 1.4), theta, method="LSODA", rtol=1e-9, atol=1e-11).y[:, -1]
        gamma = float(np.min(functions.values(theta)))
        target = np.where(mine, theta * gamma**-exponents, 0.0)
        pull = weights(theta) @ (functions.jacobian(theta) * gamma ** (exponents - 1.0))
        cosine = float(pull @ target) / (np.linalg.norm(pull) * np.linalg.norm(target))
        sizes = [float(np.linalg.norm(block)) for block in functions.blocks(theta)]
        rows.append((gamma, np.sqrt(max(0.0, 1.0 - cosine**2)), np.linalg.norm(theta), sizes))
    before, after = rows[-2:]
    grown = np.log(np.array(after[3]) / before[3]) / np.log(after[0] / before[0])
    assert grown == pytest.approx([0.25, 0.25, 0.5, 0.5], abs=5e-3)
    assert after[2] / before[2] > 3.0
    assert after[1] / before[1] == pytest.approx(before[2] / after[2], rel=0.1)


def slsqp(problem: lm.WSet, theta: np.ndarray) -> np.ndarray:
    """Return SciPy's answer of eq. 13 near a point."""
    functions, mine = problem.functions, problem.parts.entries(0)
    found = minimize(
        lambda w: 0.5 * float(np.sum(w[mine] ** 2)),
        theta,
        jac=lambda w: np.where(mine, w, 0.0),
        constraints={
            "type": "ineq",
            "fun": lambda w: functions.values(w) - 1.0,
            "jac": functions.jacobian,
        },
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    )
    return np.asarray(found.x)


def spoiled(theta: np.ndarray, seed: int) -> np.ndarray:
    way = np.random.default_rng(seed).standard_normal(theta.size)
    return theta + 1e-6 * np.linalg.norm(theta) * way / np.linalg.norm(way)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_answers_of_two_solvers_are_accepted_and_their_neighbours_are_not(seed: int) -> None:
    rng = np.random.default_rng(seed)
    case = None
    while case is None:
        case = planted(rng, rectified=False)
    near = case.problem.functions.flatten(list(case.blocks))
    start = near + 0.05 * rng.standard_normal(near.size)
    ours = lm.solve(case.problem, start=case.problem.functions.blocks(start))
    points = [case.problem.functions.flatten(list(ours.theta)), slsqp(case.problem, start)]
    for theta in points:
        found = lm.certify(case.problem, theta, tolerances=lm.Tolerances.at(1e-6))
        assert found.verdict is Verdict.KKT, found
        assert found.levels == pytest.approx((2 * case.least,), rel=1e-5)
    trained = certify_scaled(as_trained(case.problem, points[0]), None, DEFAULT)
    assert isinstance(trained, ScaledWord) and trained.certificate.verdict is Verdict.KKT
    for k in range(3):
        turned = spoiled(points[0], k)
        assert not lm.certify(case.problem, turned).verdict.stationary
        word = certify_scaled(as_trained(case.problem, turned), None, DEFAULT)
        assert isinstance(word, ScaledWord) and not word.certificate.verdict.stationary


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_both_ways_measure_the_same_and_along_an_orbit_too(seed: int) -> None:
    rng = np.random.default_rng(seed)
    case = planted(rng, bool(seed % 2))
    if case is None:
        return
    functions = case.problem.functions
    w = functions.flatten(list(case.blocks)) * (1.0 + 1e-3 * rng.standard_normal(functions.size))
    margin = float(np.min(functions.values(w)))
    if not margin > 0.0:
        return
    exponents = case.problem.parts.spread(1.0 / case.problem.parts.degrees)
    declared = lm.certify(case.problem, w * margin**-exponents)
    for run in (-20.0, 0.0, 1.5):
        word = certify_scaled(as_trained(case.problem, w * np.exp(run * exponents)), None, DEFAULT)
        assert isinstance(word, ScaledWord)
        found = word.certificate
        assert found.verdict is declared.verdict
        assert found.stationarity == pytest.approx(declared.stationarity, rel=1e-6, abs=1e-12)
        assert found.multipliers == pytest.approx(declared.multipliers, rel=1e-6, abs=1e-9)
        assert np.isclose(sum(share for _, share in word.costs), 1.0)


def test_what_is_not_shared_is_the_w_set_of_the_paper() -> None:
    """A two-layer linear network and an output bias: exponents are 1/α_k, and eq. 13 says all."""
    data = lm.Dataset([[0.0, 1.0], [2.0, 1.0], [1.0, 3.0], [3.0, 3.5]], [1, 1, -1, -1])
    predictor = lm.Sum([lm.Network((2,)), lm.Bias("plain")])
    problem = lm.WSet(predictor, data)
    given = lm.WSet(predictor, data, exponents=(0.5, 0.5, 1.0))
    rng = np.random.default_rng(0)
    found = problem.functions.flatten(list(lm.solve(problem, starts=3).theta))
    for theta in (found, spoiled(found, 1), rng.standard_normal(found.size)):
        stated, with_exponents = lm.certify(problem, theta), lm.certify(given, theta)
        assert stated.verdict is with_exponents.verdict
        assert stated.levels == with_exponents.levels
        margin = float(np.min(problem.functions.values(theta)))
        if margin > 0.0 and stated.verdict is not Verdict.GLOBAL:
            stretched = problem.parts.feasible(theta)
            assert stretched is not None
            word = certify_scaled(as_trained(problem, theta), None, DEFAULT)
            assert isinstance(word, ScaledWord)
            again = lm.certify(given, stretched)
            assert word.certificate.stationarity == pytest.approx(again.stationarity, rel=1e-6)


def test_exponents_that_are_given_decide_which_blocks_cost() -> None:
    # λ = (1/6, 1/6, 1/3, 2/3): v alone costs, and can shrink while b, W_2 grow.
    shrinking = (1 / 6, 1 / 6, 1 / 3, 2 / 3)
    with pytest.raises(lm.ParameterError, match=r"w4 can shrink .* not attained"):
        lm.WSet(MiddleBias(1, 1), LINE, exponents=shrinking)
    with pytest.raises(lm.DegreeError, match="1/4, 1/4, 1/2, 1/2 are"):
        lm.WSet(MiddleBias(1, 1), LINE, exponents=(0.25, 0.25, 0.5, 0.6))
    with pytest.raises(lm.DegreeError, match="one positive number per block"):
        lm.WSet(MiddleBias(1, 1), LINE, exponents=(0.5, 0.5))
    for exponents in ((0.25, 0.25, 0.5, 0.5), (0.125, 0.375, 0.5, 0.5)):
        problem = lm.WSet(MiddleBias(1, 1), LINE, exponents=exponents)
        root = np.sqrt(3.0)
        assert lm.certify(problem, [-2.0 / root, 1.0, root, root]).verdict is Verdict.KKT
        assert not lm.certify(problem, [-2.0 / root, 1.0, 2 * root, root / 2]).verdict.stationary
    given = dict(zip(("w1", "w2", "w3", "w4"), shrinking, strict=True))
    margins = as_trained(lm.WSet(MiddleBias(1, 1), LINE), np.array([-2.0, 1.0, 1.0, 1.0]) * 1.2)
    assert np.min(margins.values(margins.theta)) < 0.0
    root = np.sqrt(3.0)
    margins = as_trained(lm.WSet(MiddleBias(1, 1), LINE), np.array([-2.0 / root, 1.0, root, root]))
    word = certify_scaled(margins, given, DEFAULT)
    assert isinstance(word, ScaledWord)
    assert word.certificate.verdict is Verdict.NOT_STATIONARY
    assert any("w4 can shrink" in why for why in word.certificate.reasons)
    with pytest.raises(lm.ParameterError, match="The parameters are w1, w2, w3, w4"):
        certify_scaled(margins, {"bias": 1.0}, DEFAULT)
    with pytest.raises(lm.DegreeError, match="not e\\^a f"):
        certify_scaled(margins, {"w3": 0.5, "w4": 0.25}, DEFAULT)


def test_a_part_that_is_not_needed_is_discarded() -> None:
    """An output bias beside a bias within: c can be 0, and the next level is the middle bias."""
    network = lm.Network((1, 1), bias="all")
    # W_1, b_1, W_2, b_2, w_3, c; b_1 = 0 and the answer of the middle bias beside it.
    root = np.sqrt(3.0)
    w = np.array([-2.0 / root, 0.0, 1.0, root, root, 0.0])
    problem = lm.WSet(network, LINE)
    found = lm.certify(problem, w)
    assert found.verdict is Verdict.GLOBAL
    assert "‖w_1‖ = 0, discarded" in found.reasons[0]
    # b_1 does what b_2 does and costs nothing: at the next level the infimum is not attained.
    second = lm.certify(lm.WSet(network, LINE, levels=2), w)
    assert second.verdict is Verdict.NOT_STATIONARY
    beside = w.copy()
    beside[-1] = 1e-3
    margins = as_trained(problem, beside)
    word = certify_scaled(margins, None, DEFAULT)
    assert isinstance(word, ScaledWord)
    assert word.discarded == ("w6",) and dict(word.exponents).keys() == {
        f"w{k}" for k in range(1, 6)
    }
    assert word.gap == pytest.approx(1e-3, rel=1e-6)
    assert any("stays positive without: w6" in why for why in word.certificate.reasons)
    assert not word.certificate.verdict.stationary


@pytest.mark.parametrize("name", FAMILIES)
def test_no_false_word_in_a_short_search(name: str) -> None:
    rng = np.random.default_rng(7)
    trials = [FAMILIES[name](rng) for _ in range(30)]
    assert [trial.wrong or trial.refused for trial in trials if trial.wrong or trial.refused] == []
    assert sum(trial.verdict is not None and trial.verdict.stationary for trial in trials) >= 5


@pytest.mark.parametrize("factor", [1e-8, 1.0, 1e8])
def test_a_factor_between_layers_hides_no_gradient(factor: float) -> None:
    """A unit whose weights out are 0 and would help: Σ ν ∇f is not 0 in W_2, whatever W_1 is."""
    root = np.sqrt(3.0)
    # The answer on the line, and a second feature that the unit beside reads with W_2 = 0.
    data = lm.Dataset([[1.0, 1.0], [2.0, -1.0]], [1, -1])
    problem = lm.WSet(MiddleBias(2, 1), data)
    W1 = np.array([[-2.0 / root, 0.0], [0.0, 1.0]]) * factor
    blocks = [W1, np.array([[1.0, 0.0]]) / factor, np.array([[root]]), np.array([root])]
    w = problem.functions.flatten(blocks)
    assert np.allclose(problem.functions.values(w), 1.0)
    assert not lm.certify(problem, w).verdict.stationary
    word = certify_scaled(as_trained(problem, w), None, DEFAULT)
    assert isinstance(word, ScaledWord) and not word.certificate.verdict.stationary
