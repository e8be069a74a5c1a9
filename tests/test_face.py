"""Following the optimal face: known answers, exact brute force, degeneracy, exact proofs."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from exact_leximin import leximin_margins
from lexmargin.backends.levels.face import face_levels, solve_face
from lexmargin.backends.levels.face_lp import maximise_minimum
from lexmargin.backends.linear.simplex_solver import simplex_solver
from lexmargin.data.dataset import Dataset, load_dataset
from lexmargin.errors import NotSeparableError, ParameterError, UnsupportedError
from lexmargin.formulations.lexicographic import Lexicographic
from lexmargin.linalg.faces import Face, null_space
from lexmargin.predictors import Linear, Log, Polynomial

INF = np.inf

KNOWN = [
    ("three-levels-l1", [(1, 1, 1), (2, 3, 3), (4, 5, 6)], 1, (0, 0, 1), [1, 3, 6]),
    ("two-levels-l1", [(1, 1), (2, 3)], 1, (0, 1), [1, 3]),
    ("two-levels-linf", [(1, 0), (3, 1)], INF, (1, 1), [1, 4]),
    ("precision-trap", [(1, 1), (3, 1), (1, 2)], 1, (1 / 3, 2 / 3), [1, 5 / 3]),
    ("norms-two-points-l1", [(1, 0), (0, 2)], 1, (2 / 3, 1 / 3), [2 / 3]),
    ("norms-two-points-linf", [(1, 0), (0, 2)], INF, (1, 1), [1, 2]),
    ("norms-two-points-l2", [(1, 0), (0, 2)], 2, (2 / 5**0.5, 1 / 5**0.5), [2 / 5**0.5]),
]


@pytest.mark.parametrize(("name", "Z", "norm", "theta", "values"), KNOWN, ids=[k[0] for k in KNOWN])
def test_known_answers(
    name: str, Z: list[tuple[int, ...]], norm: float, theta: tuple[float, ...], values: list[float]
) -> None:
    answer = face_levels(np.array(Z, dtype=float), norm)
    assert answer.theta == pytest.approx(theta, abs=1e-13)
    assert [level.value for level in answer.levels] == pytest.approx(values, abs=1e-13)
    assert answer.unique
    fixed = [n for level in answer.levels for n in (*level.fixed, *level.settled)]
    assert sorted(fixed) == list(range(len(Z)))


@pytest.mark.parametrize("h", [5e-3, 1e-4, 1e-6, 2.0**-26])
def test_resolution_ladder(h: float) -> None:
    answer = face_levels(np.array([(1.0, 0.0), (1.0, h)]), INF)
    assert answer.theta == pytest.approx([1.0, 1.0], abs=1e-15)
    assert answer.margins[1] - answer.margins[0] == pytest.approx(h, rel=1e-9)


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1e6])
def test_scale_of_the_data_does_not_matter(scale: float) -> None:
    Z = scale * np.array([(1.0, 1.0, 1.0), (2.0, 3.0, 3.0), (4.0, 5.0, 6.0)])
    answer = face_levels(Z, 1)
    assert answer.theta == pytest.approx([0, 0, 1], abs=1e-12)
    assert [level.value / scale for level in answer.levels] == pytest.approx([1, 3, 6])


def small_case(seed: int) -> tuple[np.ndarray, float]:
    """A separable integer matrix: plain, duplicated samples, duplicated columns, or many ties."""
    rng = np.random.default_rng(seed)
    kind, norm = seed % 4, (1.0, INF)[seed // 4 % 2]
    while True:
        N, d = int(rng.integers(2, 6)), int(rng.integers(2, 4))
        w = rng.integers(-2, 3, size=d)
        X = rng.integers(-1, 2, size=(N, d)) if kind == 3 else rng.integers(-4, 5, size=(N, d))
        if np.all(X @ w != 0):
            break
    Z = X * np.sign(X @ w)[:, None]
    if kind == 1:
        Z = np.vstack([Z, Z[:2]])
    if kind == 2:
        Z = np.hstack([Z, Z[:, :1]])
    return Z.astype(float), norm


@pytest.mark.parametrize("group", range(8))
def test_agrees_with_exact_brute_force_and_proves_it(group: int) -> None:
    for seed in range(group, 120, 8):
        Z, norm = small_case(seed)
        expected = leximin_margins(Z.astype(int).tolist(), norm)
        answer = face_levels(Z, norm)
        assert answer.margins == pytest.approx([float(v) for v in expected], abs=1e-13), seed


def test_reference_knows_the_hand_solved_case() -> None:
    assert leximin_margins([(1, 1), (3, 1), (1, 2)], 1) == [1, Fraction(5, 3), Fraction(5, 3)]


def test_digits_three_against_eight() -> None:
    data = load_dataset("digits", positive=3, negative=8)
    Z = data.signed[:, None] * data.X
    for norm, dual in ((1.0, INF), (INF, 1)):
        answer = face_levels(Z, norm)
        first = answer.levels[0]
        assert first.multipliers is not None
        bound = float(np.linalg.norm(first.multipliers @ Z, dual))
        assert answer.margins.min() == pytest.approx(bound, rel=1e-12)
        assert np.linalg.norm(answer.theta, norm) <= 1 + 1e-12
        settled = [n for level in answer.levels for n in (*level.fixed, *level.settled)]
        assert sorted(settled) == list(range(len(Z)))


def test_later_levels_use_the_face_of_earlier_ones() -> None:
    # Independent blocks in the ℓ∞ ball: every block attains its own optimum, so the sorted margins
    # are those of the blocks solved alone.
    rng = np.random.default_rng(3)
    Z = np.zeros((80, 16))
    alone = []
    for b in range(4):
        X = rng.standard_normal((20, 4)) * (1 + b)
        X *= np.sign(X @ [1, -1, 1, 1])[:, None]
        Z[20 * b : 20 * b + 20, 4 * b : 4 * b + 4] = X
        alone.append(face_levels(X, INF).margins)
    answer = face_levels(Z, INF)
    assert answer.margins == pytest.approx(np.concatenate(alone), abs=1e-12)
    assert len(answer.levels) >= 4


def test_row_generation_finds_the_rows_it_started_without() -> None:
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((3000, 3))
    Z *= np.sign(Z[:, :1])
    for norm, dual in ((1.0, INF), (2.0, 2), (INF, 1)):
        answer = face_levels(Z, norm)
        weights = answer.levels[0].multipliers
        assert weights is not None
        bound = float(np.linalg.norm(weights @ Z, dual))
        assert answer.margins.min() == pytest.approx(bound, rel=1e-10)


def test_count_stops_early() -> None:
    Z = np.array([(1.0, 1.0, 1.0), (2.0, 3.0, 3.0), (4.0, 5.0, 6.0)])
    for count in (1, 2, 3):
        answer = face_levels(Z, 1, count)
        assert len(answer.levels) == count
        assert sorted(answer.margins)[:count] == pytest.approx([1, 3, 6][:count])


def test_no_unique_theta_is_said() -> None:
    answer = face_levels(np.array([(1.0, 0.0), (2.0, 0.0)]), INF)
    assert not answer.unique
    assert answer.levels[-1].dimension == 1


@pytest.mark.parametrize("norm", [1.0, 2.0, INF])
def test_not_separable(norm: float) -> None:
    with pytest.raises(NotSeparableError):
        face_levels(np.array([(1.0, 0.0), (-1.0, 0.0)]), norm)


@pytest.mark.parametrize("norm", [1.5, 3.0])
def test_a_ball_without_flat_faces_has_one_direction(norm: float) -> None:
    """Rows (1, 0), (0, 2): θ ∝ (2, 1), whatever the norm."""
    answer = face_levels(np.diag([1.0, 2.0]), norm)
    assert answer.unique and len(answer.levels) == 1
    assert answer.theta == pytest.approx(np.array([2, 1]) / (2**norm + 1) ** (1 / norm), abs=1e-12)
    with pytest.raises(NotSeparableError):
        face_levels(np.array([[1.0, 0.0], [-1.0, 0.0]]), norm)


def test_bad_input() -> None:
    with pytest.raises(UnsupportedError):
        face_levels(np.eye(2), 0.5)
    with pytest.raises(ParameterError):
        face_levels(np.array([[np.nan, 1.0]]), 1)
    with pytest.raises(ParameterError):
        face_levels(np.zeros((0, 2)), 1)
    quartic = Polynomial(((4, 0), (0, 4)))
    data = Dataset([[1, 2], [2, 1]], [1, 1], one_class=True)
    with pytest.raises(UnsupportedError):
        solve_face(Lexicographic(quartic, data))


def test_log_predictor_has_the_order_of_its_scores() -> None:
    data = Dataset([(1, 1, 1), (2, 3, 3), (4, 5, 6)], [1, 1, 1], one_class=True)
    answer = solve_face(Lexicographic(Log(), data, norm=1))
    assert answer.theta == pytest.approx([0, 0, 1], abs=1e-13)
    assert answer.margins == pytest.approx(np.log([1, 3, 6]), abs=1e-13)
    assert [level.value for level in answer.levels] == pytest.approx(np.log([1, 3, 6]), abs=1e-13)


def test_multi_class_margins() -> None:
    data = Dataset([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [0, 1, 2])
    problem = Lexicographic(Linear(outputs=3), data, norm=INF)
    answer = solve_face(problem)
    assert answer.margins == pytest.approx(problem.functions.values(answer.theta))
    # Diagonal +1, the rest -1: every difference reaches its bound 2.
    assert answer.margins == pytest.approx(np.full(6, 2.0))


def test_face_keeps_equalities() -> None:
    Z = np.array([(1.0, 2.0, 3.0), (0.0, 1.0, 1.0)])
    face = Face.whole(Z, INF).cut(Z[:1], np.array([True, False, False]))
    assert face.dimension == 1
    assert np.linalg.norm(face.slopes(np.array([0]))) < 1e-15
    assert not face.constant(np.array([1]), 1e-6)[0]
    assert null_space(np.array([[1e-8, 0.0], [0.0, 1.0]])).shape == (2, 0)
    assert null_space(np.array([[1e-8, 0.0], [0.0, 1.0]]), 1e-7).shape == (2, 1)


def test_linear_program_reports_its_bounds() -> None:
    # max min(x1, 2 - x1 + x2) on [0, 1]²: x = (1, 1) or (1, 0); τ = 1.
    answer = maximise_minimum(
        simplex_solver(),
        np.array([(1.0, 0.0), (-1.0, 1.0)]),
        np.array([0.0, 2.0]),
        np.zeros((0, 2)),
        (np.zeros(0), np.zeros(0)),
        (0.0, 1.0),
        np.zeros(2),
    )
    assert answer.value == pytest.approx(1.0)
    assert answer.multipliers.sum() == pytest.approx(1.0)
    assert answer.x[0] == pytest.approx(1.0)
