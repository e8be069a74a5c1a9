"""The lexicographic formulation: staged programs, both methods, refusals, comparison of margins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lexmargin.backends.levels.face import face_levels
from lexmargin.backends.models.casadi import CasadiBackend
from lexmargin.backends.models.cvxpy import CvxpyBackend
from lexmargin.data.dataset import Dataset
from lexmargin.errors import ParameterError, ShapeError, SolverFailedError, UnsupportedError
from lexmargin.formulations.base import MARGIN, StageAnswer
from lexmargin.formulations.levels import (
    Proof,
    grouped_levels,
    lexicographic_best,
    lexicographic_compare,
)
from lexmargin.formulations.lexicographic import Lexicographic, LexicographicMethod
from lexmargin.inputs.codec import fields_written
from lexmargin.linalg.faces import RESOLUTION
from lexmargin.predictors import Linear, Log, Polynomial
from lexmargin.solution import SolverSettings

INF = np.inf
BOTH = ["saturation", "ordered-sums"]


def rows(Z: object) -> Dataset:
    values = np.asarray(Z, dtype=float)
    return Dataset(values, np.ones(len(values)), one_class=True)


TIGHT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}


def staged(
    problem: Lexicographic, solver: str = "HIGHS", unit: float = 1.0
) -> tuple[StageAnswer, ...]:
    answers: tuple[StageAnswer, ...] = ()
    options = TIGHT if solver == "HIGHS" else {}
    while (program := problem.next_program(answers, unit)) is not None:
        raw = CvxpyBackend().compile(program).solve(SolverSettings(solver, options))
        assert raw.has_values, raw.raw_status
        answers = (*answers, StageAnswer(raw.values, raw.multipliers))
    return answers


CASES = [
    ("three-levels-l1", [(1, 1, 1), (2, 3, 3), (4, 5, 6)], 1, (0, 0, 1), [1, 3, 6]),
    ("two-levels-l1", [(1, 1), (2, 3)], 1, (0, 1), [1, 3]),
    ("two-levels-linf", [(1, 0), (3, 1)], INF, (1, 1), [1, 4]),
    ("precision-trap", [(1, 1), (3, 1), (1, 2)], 1, (1 / 3, 2 / 3), [1, 5 / 3]),
    ("resolution-5e-3", [(1, 0), (1, 5e-3)], INF, (1, 1), [1, 1.005]),
    ("resolution-1e-4", [(1, 0), (1, 1e-4)], INF, (1, 1), [1, 1.0001]),
    ("resolution-1e-6", [(1, 0), (1, 1e-6)], INF, (1, 1), [1, 1.000001]),
]


@pytest.mark.backend("cvxpy")
@pytest.mark.parametrize("method", BOTH)
@pytest.mark.parametrize("unit", [1.0, 4.0])
@pytest.mark.parametrize(("name", "Z", "norm", "theta", "values"), CASES, ids=[c[0] for c in CASES])
def test_known_answers(
    name: str,
    Z: list[tuple[float, ...]],
    norm: float,
    theta: tuple[float, ...],
    values: list[float],
    unit: float,
    method: str,
) -> None:
    problem = Lexicographic(Linear(), rows(Z), norm, method=LexicographicMethod(method))
    answers = staged(problem, unit=unit)
    # Not looser than the finest step of the ladder.
    assert problem.theta(answers, unit) == pytest.approx(theta, abs=1e-8)
    levels = problem.answered_levels(answers, unit)
    assert [level.value for level in levels] == pytest.approx(values, abs=1e-8)
    assert all(level.proof is Proof.DUAL for level in levels)
    assert sorted(n for level in levels for n in level.fixed) == list(range(len(Z)))
    assert set(fields_written(levels[0], exact=True)) >= {"value", "fixed", "attained"}


@pytest.mark.backend("cvxpy")
@pytest.mark.parametrize("method", BOTH)
@pytest.mark.parametrize("predictor", [Linear(), Log()], ids=["linear", "log"])
def test_interior_point_solver_agrees(method: str, predictor: Linear | Log) -> None:
    problem = Lexicographic(predictor, rows([(1, 1, 1), (2, 3, 3), (4, 5, 6)]), 1, method=method)
    theta = problem.theta(staged(problem, "CLARABEL"), 1.0)
    assert theta == pytest.approx([0, 0, 1], abs=1e-6)


@pytest.mark.backend("cvxpy")
@pytest.mark.parametrize("method", BOTH)
@pytest.mark.parametrize("norm", [2.0, 3.0])
def test_strictly_convex_ball_ends_after_one_level(method: str, norm: float) -> None:
    problem = Lexicographic(Linear(), rows([(1, 0), (0, 2), (3, 3)]), norm, method=method)
    answers = staged(problem, "CLARABEL")
    assert len(answers) == 1
    weight = 1 / (1 + 0.5**norm) ** (1 / norm)
    assert problem.theta(answers, 1.0) == pytest.approx([weight, weight / 2], abs=1e-5)
    levels = problem.answered_levels(answers)
    assert levels[0].fixed == (0, 1)


def degenerate(kind: str) -> np.ndarray:
    rng = np.random.default_rng(1)
    if kind == "nested":
        Z = 1.0 + rng.integers(0, 4, (500, 12))
        Z[:3] = 1.0
        return Z
    Z = np.zeros((500, 20))
    for b in range(5):
        w = rng.choice([-1.0, 1.0], 4)
        X = rng.integers(-3, 4, (100, 4)).astype(float)
        X[X @ w == 0] = w
        Z[100 * b : 100 * b + 100, 4 * b : 4 * b + 4] = X * np.sign(X @ w)[:, None]
    return Z


@pytest.mark.backend("cvxpy")
@pytest.mark.parametrize(("kind", "norm"), [("nested", 1.0), ("blocks", INF)])
def test_both_methods_agree_on_500_degenerate_samples(kind: str, norm: float) -> None:
    Z = degenerate(kind)
    reference = np.sort(face_levels(Z, norm).margins)
    for method in BOTH:
        problem = Lexicographic(Linear(), rows(Z), norm, method=method)
        theta = problem.theta(staged(problem), 1.0)
        assert np.sort(Z @ theta) == pytest.approx(reference, abs=1e-7), method


@pytest.mark.backend("cvxpy")
@pytest.mark.parametrize("method", BOTH)
def test_levels_limits_the_stages(method: str) -> None:
    data = rows([(1, 1, 1), (2, 3, 3), (4, 5, 6)])
    for levels in (1, 2):
        problem = Lexicographic(Linear(), data, 1, levels, method)
        answers = staged(problem)
        assert len(answers) == levels
        margins = np.sort(problem.functions.values(problem.theta(answers, 1.0)))
        assert margins[:levels] == pytest.approx([1, 3][:levels], abs=1e-8)
        assert len(problem.answered_levels(answers)) == levels


QUARTICS = [
    (
        "no-blocked-index",
        ((4, 0), (0, 4)),
        [(1, 2), (2, 1), (5, 9)],
        [(0, 1), (0, -1)],
        (1, 2, 9),
    ),
    (
        "theorem-4-third-level",
        ((4, 0), (3, 1), (0, 4)),
        [(1, 0, 1), (2, 1, 2), (9, 0, 10)],
        [(0, 1), (0, -1)],
        (1, 2, 10),
    ),
    (
        "limit-is-smaller",
        ((4, 0), (2, 2), (0, 4)),
        [(1, 1, 1), (1, 4, 3), (3, 1, 1)],
        [(1, 0), (-1, 0), (0, 1), (0, -1)],
        (1, 1, 3),
    ),
]


@pytest.mark.backend("casadi")
@pytest.mark.parametrize(
    ("name", "exponents", "X", "expected", "margins"), QUARTICS, ids=[q[0] for q in QUARTICS]
)
def test_nonconvex_cases_from_several_starts(
    name: str,
    exponents: tuple[tuple[int, ...], ...],
    X: list[tuple[float, ...]],
    expected: list[tuple[float, float]],
    margins: tuple[float, ...],
) -> None:
    problem = Lexicographic(Polynomial(exponents), rows(X))
    assert not problem.saturates
    thetas, found = [], []
    for angle in np.arange(8) * np.pi / 4 + 0.3:
        answers: tuple[StageAnswer, ...] = ()
        start = problem.initial_values(np.array([np.cos(angle), np.sin(angle)]), 1.0)
        while (program := problem.next_program(answers)) is not None:
            start = problem.next_values(answers, 1.0) if answers else start
            raw = CasadiBackend().compile(program).solve(SolverSettings("ipopt"), start)
            assert raw.has_values
            answers = (*answers, StageAnswer(raw.values, raw.multipliers))
        assert len(answers) == 3
        assert {level.proof for level in problem.answered_levels(answers)} == {Proof.LOCAL}
        thetas.append(problem.theta(answers, 1.0))
        found.append(problem.functions.values(thetas[-1]))
    best = lexicographic_best(found, RESOLUTION.local_tie)
    assert np.sort(found[best[0]]) == pytest.approx(margins, abs=RESOLUTION.local_tie)
    reached = {tuple(np.round(thetas[i], 3) + 0.0) for i in best}
    assert reached == {tuple(map(float, point)) for point in expected}


def test_saturation_refuses_where_no_index_need_be_blocked() -> None:
    quartic = Polynomial(((4, 0), (0, 4)))
    with pytest.raises(UnsupportedError, match="tight in all optima"):
        Lexicographic(quartic, rows([(1, 2), (2, 1), (5, 9)]), method="saturation")


def test_saturation_never_guesses_a_multiplier() -> None:
    problem = Lexicographic(Linear(), rows([(1, 1), (2, 3)]), 1, method="saturation")
    values = {"w1": np.array([0.0, 1.0]), "t": np.array(1.0)}
    with pytest.raises(SolverFailedError, match="no multipliers"):
        problem.next_program((StageAnswer(values, {}),))
    with pytest.raises(UnsupportedError, match="positive multiplier"):
        problem.next_program((StageAnswer(values, {MARGIN: np.zeros(2)}),))


def test_bad_parameters() -> None:
    data = rows([(1, 1), (2, 3)])
    for arguments in ({"norm": 0.5}, {"levels": 0}, {"levels": 1.5}, {"method": "magic"}):
        with pytest.raises(ParameterError):
            Lexicographic(Linear(), data, **arguments)  # type: ignore[arg-type]


def test_stage_values_are_feasible_and_programs_print() -> None:
    problem = Lexicographic(Linear(), rows([(1, 1), (2, 3)]), 1, method="ordered-sums")
    values = problem.initial_values(np.array([2.0, 2.0]), 1.0)
    assert values["w1"] == pytest.approx([0.5, 0.5])
    assert values["u1"] == pytest.approx(1.0)
    assert np.all(values["u1"] - values["e1"] <= Z_margins(values["w1"]) + 1e-15)
    text = str(problem.program())
    assert "u1" in text and "‖θ‖_1" in text
    assert "t" in str(Lexicographic(Linear(), problem.data, 1).program())


def Z_margins(theta: np.ndarray) -> np.ndarray:
    return np.array([(1.0, 1.0), (2.0, 3.0)]) @ theta


vectors = st.lists(st.floats(-5, 5), min_size=3, max_size=3).map(np.array)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(vectors, vectors, st.sampled_from([0.0, 0.1]))
def test_comparison_is_antisymmetric_and_blind_to_order(
    a: np.ndarray, b: np.ndarray, tolerance: float
) -> None:
    forward = lexicographic_compare(a, b, tolerance)
    assert forward == -lexicographic_compare(b[::-1], a, tolerance)
    assert lexicographic_compare(a, a, tolerance) == 0
    if tolerance == 0.0:
        expected = int(sorted(a.tolist()) > sorted(b.tolist())) - int(
            sorted(a.tolist()) < sorted(b.tolist())
        )
        assert forward == expected


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.lists(vectors, min_size=1, max_size=5))
def test_best_does_not_depend_on_the_order(candidates: list[np.ndarray]) -> None:
    best = {tuple(candidates[i]) for i in lexicographic_best(candidates, 0.1)}
    turned = candidates[::-1]
    assert best == {tuple(turned[i]) for i in lexicographic_best(turned, 0.1)}
    assert best


def test_comparison_decides_at_the_first_entry_beyond_the_tolerance() -> None:
    a, b = np.array([1.0, 2.0, 9.0]), np.array([5.0, 1.0, 2.0001])
    assert lexicographic_compare(a, b, 1e-3) == 1
    assert lexicographic_compare(a, b, 1e-5) == -1
    assert lexicographic_best([a, b], 1e-3) == (0,)
    with pytest.raises(ShapeError):
        lexicographic_compare(a, a[:2], 0.1)
    with pytest.raises(ParameterError):
        lexicographic_best([], 0.1)
    with pytest.raises(ParameterError):
        lexicographic_compare(a, np.array([np.nan, 1, 2]), 0.1)


def test_grouping_needs_the_whole_tie() -> None:
    margins = np.array([3.0, 1.0, 1.0 + 1e-12, 2.0])
    levels = grouped_levels(margins, 4, 1e-9, Proof.LOCAL, [])
    assert [level.fixed for level in levels] == [(1, 2), (3,), (0,)]
    assert [level.value for level in grouped_levels(margins, 1, 1e-9, Proof.LOCAL, [])] == [1.0]


@pytest.mark.long
@pytest.mark.backend("cvxpy")
@pytest.mark.parametrize("norm", [1.0, np.inf])
def test_both_algorithms_agree_on_digits(norm: float) -> None:
    """Digits 3 against 8: sorted margins to 1e-7 of the first margin."""
    import lexmargin as lm

    data = lm.load_dataset("digits", positive=[3], negative=[8])
    face = lm.solve(Lexicographic(Linear(), data, norm=norm))
    staged = Lexicographic(Linear(), data, norm=norm, method=LexicographicMethod.ORDERED_SUMS)
    sums = lm.solve(staged)
    difference = np.sort(face.margins) - np.sort(sums.margins)
    assert sums.solver == "highs" and sums.certificate is not None
    assert sums.certificate.verdict is lm.Verdict.GLOBAL, sums.report()
    assert face.certificate is not None and face.certificate.verdict is lm.Verdict.GLOBAL
    assert face.margin > 0
    assert np.abs(difference).max() <= 1e-7 * face.margin
