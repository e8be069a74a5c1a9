"""Constraint generation for linear hard margins: exact answers, other solvers, hard data."""

from __future__ import annotations

import itertools
from fractions import Fraction

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from lexmargin.backends import BackendName, backend
from lexmargin.backends.linear.active_set import SOLVER, ActiveSetBackend
from lexmargin.backends.linear.block_pivoting import block_pivoting, solve_face
from lexmargin.backends.linear.constraint_generation import hard_margin_linear
from lexmargin.backends.linear.linear_answer import LinearAnswer, LinearStatus, balanced
from lexmargin.backends.linear.signed_rows import signed_rows
from lexmargin.backends.linear.working_set import separation_or_gordan, solve_restricted
from lexmargin.data.dataset import Dataset, load_dataset
from lexmargin.errors import (
    DataError,
    NotSeparableError,
    ParameterError,
    ShapeError,
    UnsupportedError,
)
from lexmargin.formulations.base import MARGIN, StageAnswer
from lexmargin.formulations.hard_margin import HardMargin
from lexmargin.formulations.margin_path import MarginPath
from lexmargin.formulations.scaled_margin import ScaledMargin
from lexmargin.formulations.w_set import WSet
from lexmargin.judge import Verdict, certify_arrays
from lexmargin.ops.base import FloatArray
from lexmargin.predictors import Bias, BiasForm, Linear, Member, Network, Square, Sum
from lexmargin.solution import Claim, Ran, SolverSettings
from lexmargin.solve import solve

INF = np.inf
SETTINGS = SolverSettings(SOLVER)


def shifted(
    n: int, d: int, gap: float = 0.1, seed: int = 0, offset: float = 0.3
) -> tuple[FloatArray, FloatArray]:
    """Gaussian rows moved apart along a hidden direction until its margin is ``gap``."""
    rng = np.random.default_rng(seed)
    hidden = rng.standard_normal(d)
    hidden /= np.linalg.norm(hidden)
    y = np.where(np.arange(n) % 2, 1.0, -1.0)
    X = rng.standard_normal((n, d))
    along = X @ hidden
    X += np.outer(y * (np.abs(along) + gap) - along, hidden) + offset * rng.standard_normal(d)
    return X, y


def check(
    answer: LinearAnswer, X: FloatArray, y: FloatArray, bias: bool, p: float, tol: float = 1e-11
) -> None:
    """Recompute everything that the answer says from the data alone."""
    assert answer.status is LinearStatus.OPTIMAL
    f = y * (X @ answer.theta + answer.bias)
    dual = {1.0: INF, 2.0: 2.0, INF: 1.0}[p]
    lam = answer.multipliers
    assert np.linalg.norm(answer.theta, p) == pytest.approx(1.0, rel=1e-14)
    assert f.min() == pytest.approx(answer.margin, rel=1e-11)
    assert lam.min() >= 0.0
    bound = np.linalg.norm(X.T @ (lam * y), dual) / lam.sum()
    assert bound == pytest.approx(answer.dual_bound, rel=1e-9)
    assert 1.0 - f.min() / answer.dual_bound <= tol
    assert answer.relative_gap <= tol
    # Σ λ = ‖w‖² of the solution with margin 1.
    assert lam.sum() == pytest.approx(answer.margin**-2, rel=1e-8)
    if bias:
        assert abs(lam @ y) <= 1e-13 * lam.sum()
    else:
        assert answer.bias == 0.0


def solved_exactly(matrix: list[list[Fraction]], right: list[Fraction]) -> list[Fraction] | None:
    """The solution of a square rational system, None where it is singular."""
    n = len(right)
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for column in range(n):
        pivot = next((r for r in range(column, n) if rows[r][column]), None)
        if pivot is None:
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        for r in range(n):
            if r != column and rows[r][column]:
                factor = rows[r][column] / rows[column][column]
                rows[r] = [a - factor * b for a, b in zip(rows[r], rows[column], strict=True)]
    return [rows[r][n] / rows[r][r] for r in range(n)]


def exact_hard_margin(
    X: list[list[int]], y: list[int], bias: bool
) -> tuple[list[Fraction], Fraction] | None:
    """w and b of ``min ½‖w‖² s.t. y (w·x + b) >= 1`` by trying every active set; None if none."""
    z = [[Fraction(s * v) for v in row] for row, s in zip(X, y, strict=True)]
    d = len(X[0])
    for k in range(1, d + 2):
        for chosen in itertools.combinations(range(len(X)), k):
            gram = [
                [sum((a * b for a, b in zip(z[i], z[j], strict=True)), Fraction(0)) for j in chosen]
                + ([Fraction(y[i])] if bias else [])
                for i in chosen
            ]
            if bias:
                gram.append([*(Fraction(y[j]) for j in chosen), Fraction(0)])
            found = solved_exactly(gram, [Fraction(1)] * k + [Fraction(0)] * bias)
            if found is None or min(found[:k]) < 0:
                continue
            w = [
                sum((found[i] * z[n][c] for i, n in enumerate(chosen)), Fraction(0))
                for c in range(d)
            ]
            b = found[k] if bias else Fraction(0)
            margins = (
                sum((a * v for a, v in zip(w, row, strict=True)), Fraction(0)) + b * s
                for row, s in zip(z, y, strict=True)
            )
            if min(margins) >= 1:
                return w, b
    return None


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(-3, 3)] * 2), min_size=3, max_size=6),
    st.integers(1, 2**6 - 2),
    st.booleans(),
)
def test_integer_data_agree_with_rational_answers(
    points: list[tuple[int, int]], code: int, bias: bool
) -> None:
    y = [1 if code >> n & 1 else -1 for n in range(len(points))]
    if len(set(y)) == 1:
        y[0] = -y[0]
    X = [list(p) for p in points]
    expected = exact_hard_margin(X, y, bias)
    answer = hard_margin_linear(np.array(X, dtype=float), y, bias=bias)
    if expected is None:
        assert answer.status is LinearStatus.NOT_SEPARABLE
        lam = answer.multipliers
        assert lam.min() >= 0.0
        assert lam.sum() == pytest.approx(1.0)
        np.testing.assert_allclose(np.array(X).T @ (lam * y), 0.0, atol=1e-9)
        assert answer.dual_bound <= 1e-9
        return
    check(answer, np.array(X, dtype=float), np.array(y, dtype=float), bias, 2.0, 1e-13)
    np.testing.assert_allclose(answer.w, [float(v) for v in expected[0]], atol=1e-13)
    assert answer.bias / answer.margin == pytest.approx(float(expected[1]), abs=1e-13)


@pytest.mark.parametrize("p", [1.0, 2.0, INF])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("n", "d"), [(40, 3), (900, 12), (60, 90), (450, 40)])
def test_shapes_norms_and_bias(n: int, d: int, bias: bool, p: float) -> None:
    X, y = shifted(n, d, seed=n, offset=0.3 if bias else 0.0)
    answer = hard_margin_linear(X, y, bias=bias, norm=p)
    check(answer, X, y, bias, p)
    assert answer.passes <= 20


def peer(X: FloatArray, y: FloatArray, bias: bool, p: float) -> tuple[FloatArray, float]:
    """Direction and margin by CVXPY with Clarabel, tight."""
    import cvxpy as cp

    w, b = cp.Variable(X.shape[1]), cp.Variable()
    size = cp.sum_squares(w) if p == 2.0 else cp.norm(w, p)
    problem = cp.Problem(
        cp.Minimize(size),
        [cp.multiply(y, X @ w + b) >= 1, *([] if bias else [b == 0])],
    )
    tight = {"tol_gap_abs": 1e-13, "tol_gap_rel": 1e-13, "tol_feas": 1e-13}
    problem.solve(solver="CLARABEL", **tight)
    norm = float(np.linalg.norm(w.value, p))
    return w.value / norm, float((y * (X @ w.value + b.value)).min()) / norm


@pytest.mark.parametrize("p", [1.0, 2.0, INF])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("n", "d"), [(80, 5), (700, 8), (20, 40)])
def test_clarabel_agrees(n: int, d: int, bias: bool, p: float) -> None:
    X, y = shifted(n, d, gap=0.5, seed=d, offset=0.3 if bias else 0.0)
    answer = hard_margin_linear(X, y, bias=bias, norm=p)
    theta, margin = peer(X, y, bias, p)
    assert answer.margin == pytest.approx(margin, rel=1e-8)
    if p == 2.0:
        np.testing.assert_allclose(answer.theta, theta, atol=1e-9)


KNOWN = [
    ([(1, 0), (0, 2)], 1.0, (2 / 3, 1 / 3), 2 / 3),
    ([(1, 0), (0, 2)], 2.0, (2 / 5**0.5, 1 / 5**0.5), 2 / 5**0.5),
    ([(1, 0), (0, 2)], INF, (1, None), 1.0),
    ([(1, 1, 1), (2, 3, 3), (4, 5, 6)], 1.0, (None, None, None), 1.0),
]


@pytest.mark.parametrize(("rows", "p", "theta", "margin"), KNOWN)
def test_closed_forms(
    rows: list[tuple[int, ...]], p: float, theta: tuple[float | None, ...], margin: float
) -> None:
    answer = hard_margin_linear(np.array(rows, dtype=float), np.ones(len(rows)), norm=p)
    assert answer.margin == pytest.approx(margin, rel=1e-14)
    for found, wanted in zip(answer.theta, theta, strict=True):
        assert wanted is None or found == pytest.approx(wanted, rel=1e-14)


def hard_data(kind: str) -> tuple[FloatArray, FloatArray]:
    X, y = shifted(600, 12, 0.05)
    match kind:
        case "duplicate rows":
            return np.repeat(X, 3, axis=0), np.repeat(y, 3)
        case "dependent columns":
            return np.hstack([X, X, X @ np.ones((12, 1))]), y
        case "constant column":
            return np.hstack([X, np.zeros((600, 1))]), y
        case "scaled columns":
            return X * np.logspace(-2, 2, 12), y
        case "degenerate vertex":
            grid = np.array(list(itertools.product((-1.0, 1.0), repeat=6)))
            side = np.where(np.arange(64) % 2, 1.0, -1.0)
            return np.hstack([grid, 3.0 * side[:, None]]), side
        case "far from the origin":
            return X + 1e3, y
        case "standardised":
            data = load_dataset("breast_cancer", standardize=True)
            return data.X, data.signed.astype(float)
        case _:
            data = load_dataset("breast_cancer")
            return data.X, data.signed.astype(float)


@pytest.mark.parametrize(
    ("kind", "tol"),
    [
        ("duplicate rows", 1e-12),
        ("dependent columns", 1e-12),
        ("constant column", 1e-12),
        ("scaled columns", 1e-11),
        ("degenerate vertex", 1e-12),
        ("far from the origin", 1e-10),
        ("standardised", 1e-11),
        ("as it is", 1e-9),
    ],
)
def test_hard_data(kind: str, tol: float) -> None:
    X, y = hard_data(kind)
    check(hard_margin_linear(X, y, bias=True), X, y, True, 2.0, tol)


@pytest.mark.parametrize("p", [1.0, 2.0, INF])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("exponent", [-40, 40])
def test_powers_of_two_change_no_digit(exponent: int, bias: bool, p: float) -> None:
    X, y = shifted(500, 8, offset=0.3 if bias else 0.0)
    plain = hard_margin_linear(X, y, bias=bias, norm=p)
    scaled = hard_margin_linear(X * 2.0**exponent, y, bias=bias, norm=p)
    np.testing.assert_array_equal(scaled.theta, plain.theta)
    assert scaled.margin == plain.margin * 2.0**exponent
    assert scaled.bias == plain.bias * 2.0**exponent


def test_layouts_give_one_answer_without_copies() -> None:
    X, y = shifted(2000, 15)
    X = X.astype(np.float32).astype(np.float64)
    wide = np.zeros((2 * X.shape[0], 2 * X.shape[1]))
    wide[::2, ::2] = X
    expected = hard_margin_linear(X, y, bias=True)
    for other in (
        np.asfortranarray(X),
        wide[::2, ::2],
        X.astype(np.float32),
        sparse.csr_array(X),
        sparse.csc_matrix(X),
    ):
        answer = hard_margin_linear(other, y, bias=True)
        np.testing.assert_allclose(answer.theta, expected.theta, atol=1e-11)
    view = signed_rows(wide[::2, ::2], y)
    assert view.X.base is wide
    np.testing.assert_allclose(view.products(np.ones(15)), y * X.sum(axis=1), rtol=1e-12)


def sparse_rows(n: int, d: int, each: int) -> tuple[sparse.csr_array, FloatArray]:
    """Rows whose columns have frequencies falling like 1/rank, split by their first columns."""
    rng = np.random.default_rng(0)
    columns = np.minimum((float(d) ** rng.random((n, each))).astype(int) - 1, d - 1)
    X = sparse.csr_array(
        (rng.standard_normal(n * each), columns.ravel(), np.arange(0, n * each + 1, each)),
        shape=(n, d),
    )
    X.sum_duplicates()
    hidden = np.zeros(d)
    hidden[:20] = rng.standard_normal(20)
    score = X @ hidden
    keep = np.abs(score) > 0.5
    return sparse.csr_array(X[keep]), np.sign(score[keep])


@pytest.mark.parametrize("bias", [False, True])
def test_sparse_rows_are_solved_as_they_are(bias: bool) -> None:
    X, y = sparse_rows(1500, 3000, 20)
    answer = hard_margin_linear(X, y, bias=bias)
    assert answer.status is LinearStatus.OPTIMAL
    lam = answer.multipliers
    bound = np.linalg.norm(X.T @ (lam * y)) / lam.sum()
    margin = float((y * (X @ answer.theta + answer.bias)).min())
    assert 1.0 - margin / bound <= 1e-11
    doubled = hard_margin_linear(
        sparse.vstack([X, X[:50]], format="csr"), np.r_[y, y[:50]], bias=bias
    )
    np.testing.assert_allclose(doubled.theta, answer.theta, atol=1e-10)


@pytest.mark.parametrize("p", [1.0, INF])
def test_sparse_rows_on_polyhedral_balls(p: float) -> None:
    X, y = sparse_rows(400, 500, 10)
    answer = hard_margin_linear(X, y, bias=True, norm=p)
    check(answer, X.toarray(), y, True, p)


@pytest.mark.parametrize("p", [1.0, 2.0, INF])
@pytest.mark.parametrize("bias", [False, True])
def test_gordan_vector_of_data_that_no_line_separates(bias: bool, p: float) -> None:
    X, y = shifted(800, 6)
    X, y = np.vstack([X, X[:3]]), np.concatenate([y, -y[:3]])
    answer = hard_margin_linear(X, y, bias=bias, norm=p)
    assert answer.status is LinearStatus.NOT_SEPARABLE
    lam = answer.multipliers
    assert lam.min() >= 0.0
    assert lam.sum() == pytest.approx(1.0)
    assert np.linalg.norm(X.T @ (lam * y)) <= 1e-9 * np.abs(X).max()
    assert not bias or abs(lam @ y) <= 1e-12


def test_a_tiny_margin_is_not_taken_for_none() -> None:
    X = np.array([[1.0, 1e-6], [1.0, 2e-6], [-1.0, 1e-6], [-3.0, 1e-6]])
    answer = hard_margin_linear(X, np.ones(4))
    assert answer.status is LinearStatus.OPTIMAL
    assert answer.margin == pytest.approx(1e-6, rel=1e-9)


def test_a_slightly_wrong_answer_has_a_gap() -> None:
    X, y = shifted(500, 6)
    answer = hard_margin_linear(X, y, bias=True)
    theta = answer.theta + 1e-5 * np.eye(6)[0]
    margin = float((y * (X @ theta + answer.bias)).min()) / float(np.linalg.norm(theta))
    assert 1.0 - margin / answer.dual_bound > 1e-8
    cert = certify_arrays(y * (X @ theta), y[:, None] * X, theta, 1.0, linear=True)
    assert cert.verdict.value != "GLOBAL"


def test_the_certificate_calls_it_global() -> None:
    X, y = shifted(500, 6, offset=0.0)
    answer = hard_margin_linear(X, y)
    cert = certify_arrays(y * (X @ answer.theta), y[:, None] * X, answer.theta, 1.0, linear=True)
    assert cert.verdict.value == "GLOBAL"
    assert cert.stationarity <= 1e-10


def test_limits_are_kept() -> None:
    X, y = shifted(20000, 20, 0.01)
    assert hard_margin_linear(X, y, bias=True, max_passes=2).status is LinearStatus.PASS_LIMIT
    late = hard_margin_linear(X, y, bias=True, time_limit=1e-9)
    assert late.status is LinearStatus.TIME_LIMIT


@pytest.mark.parametrize(
    ("X", "y", "options", "error"),
    [
        ([[1.0], [2.0]], [1, 1], {"bias": True}, DataError),
        ([[1.0], [2.0]], [1, 0], {}, DataError),
        ([[1.0], [2.0]], [1], {}, ShapeError),
        ([1.0, 2.0], [1, 1], {}, ShapeError),
        ([[np.nan], [2.0]], [1, 1], {}, DataError),
        ([[INF], [2.0]], [1, 1], {"norm": 1.0}, DataError),
        ([[1.0], [2.0]], [1, 1], {"norm": 0.5}, ParameterError),
        ([[1.0], [2.0]], [1, -1], {"norm": 3.0, "bias": True}, ParameterError),
        ([[1.0], [2.0]], [1, 1], {"tolerance": 0.0}, ParameterError),
        ([[1.0], [2.0]], [1, 1], {"max_passes": 0}, ParameterError),
        (np.zeros((0, 2)), [], {}, DataError),
        ([["a"]], [1], {}, DataError),
    ],
)
def test_bad_input_is_named(
    X: list[list[float]], y: list[int], options: dict[str, float], error: type[Exception]
) -> None:
    with pytest.raises(error):
        hard_margin_linear(np.array(X), y, **options)  # type: ignore[arg-type]


# -- parts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [False, True])
def test_three_methods_agree_on_working_rows(bias: bool) -> None:
    X, y = shifted(60, 90, seed=5)
    A, signs = y[:, None] * X / 16.0, y if bias else None
    nothing = np.arange(0)
    first = solve_restricted(A, signs, nothing)
    second = separation_or_gordan(A, signs)
    third = block_pivoting(A, signs, nothing, np.zeros(0))
    assert third is not None
    for other in (second, third):
        np.testing.assert_allclose(other.w, first.w, atol=1e-10)
        np.testing.assert_array_equal(other.active, first.active)
        np.testing.assert_allclose(other.multipliers, first.multipliers, rtol=1e-8)


def test_a_face_without_solution_is_refused() -> None:
    assert solve_face(np.array([[1.0], [2.0]]), None, np.zeros(2), 1e-13) is None


def test_balance_makes_the_bias_condition_hold() -> None:
    y = np.array([1.0, 1.0, -1.0])
    lam = balanced(np.array([0.3, 0.8, 1.0]), y)
    assert lam @ y == pytest.approx(0.0, abs=1e-16)
    assert lam.sum() == pytest.approx(2.1)


# -- the backend -----------------------------------------------------------------------------------


def data_of(seed: int = 0) -> Dataset:
    X, y = shifted(60, 4, 0.2, seed, offset=0.0)
    return Dataset(X, y.astype(int))


def three_classes() -> Dataset:
    rng = np.random.default_rng(0)
    centres = 6.0 * np.eye(3)
    y = np.arange(60) % 3
    return Dataset(centres[y] + rng.standard_normal((60, 3)), y)


PROBLEMS = [
    *(HardMargin(Linear(), data_of(), p) for p in (1.0, 2.0, INF)),
    *(MarginPath(Linear(), data_of(), 3.0, p) for p in (1.0, 2.0, INF)),
    *(MarginPath(Linear(), data_of(), 3.0, p, 2.5) for p in (1.0, 2.0, INF)),
    HardMargin(Linear(3), three_classes()),
    HardMargin(Sum((Linear(), Bias(BiasForm.PLAIN))), data_of()),
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: f"{p.name}-{p.norm_p:g}")
@pytest.mark.parametrize("unit", [1.0, 0.25])
def test_backend_agrees_with_cvxpy(problem: HardMargin | MarginPath, unit: float) -> None:
    program = problem.program(unit)
    own = backend(BackendName.ACTIVE_SET).compile(program).solve(SETTINGS)
    tight = {"tol_gap_abs": 1e-12, "tol_gap_rel": 1e-12, "tol_feas": 1e-12}
    other = backend(BackendName.CVXPY).compile(program).solve(SolverSettings("CLARABEL", tight))
    assert (own.ran, own.claim) == (Ran.FINISHED, Claim.OPTIMAL)
    results = []
    for raw in (own, other):
        stage = (StageAnswer(raw.values, raw.multipliers),)
        theta = problem.theta(stage, unit)
        results.append((problem.objective(theta), problem.margin_multipliers(stage, unit)))
        assert {v.name for v in program.variables} == set(raw.values)
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-8)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-4, atol=1e-5)
    for name in own.multipliers:
        np.testing.assert_allclose(
            own.multipliers[name], other.multipliers[name], rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize(
    "problem",
    [
        HardMargin(Network((2,), Square()), data_of()),
    ],
)
def test_other_programs_are_refused(problem: HardMargin) -> None:
    with pytest.raises(UnsupportedError):
        ActiveSetBackend().compile(problem.program())


def test_infeasible_programs_are_called_so() -> None:
    data = Dataset([[1.0, 0.0], [-1.0, 0.0]], [1, 1], one_class=True)
    raw = ActiveSetBackend().compile(HardMargin(Linear(), data).program()).solve(SETTINGS)
    assert (raw.claim, raw.values) == (Claim.INFEASIBLE, {})
    path = ActiveSetBackend().compile(MarginPath(Linear(), data).program()).solve(SETTINGS)
    assert float(path.values["t"]) == 0.0
    np.testing.assert_allclose(path.multipliers[MARGIN], 0.5)


def test_options_are_checked() -> None:
    compiled = ActiveSetBackend().compile(HardMargin(Linear(), data_of()).program())
    with pytest.raises(ParameterError, match=r"Did you mean .tolerance"):
        compiled.solve(SolverSettings(SOLVER, {"tolerence": 1e-9}))
    assert compiled.solve(SolverSettings("qpoases")).ran is Ran.MISSING
    assert ActiveSetBackend().available(SOLVER) == ""
    assert "qpoases" in ActiveSetBackend().available("qpoases")


# -- the W-set of a linear part and a bias ---------------------------------------------------------


def with_bias(X: FloatArray, y: FloatArray, form: BiasForm, levels: int = 1) -> WSet:
    return WSet(Sum([Linear(), Bias(form)]), Dataset(X, y.astype(int)), levels)


@pytest.mark.parametrize("form", [BiasForm.SIGNED_SQUARE, BiasForm.TWO_SQUARES, BiasForm.SQUARE])
@pytest.mark.parametrize("flip", [1.0, -1.0])
@pytest.mark.parametrize("offset", [0.3, 2.0])
def test_a_w_set_with_a_bias_is_one_hard_margin(form: BiasForm, flip: float, offset: float) -> None:
    """Against the quadratic program in (w, β), with β >= 0 for the literal square."""
    X, y = shifted(60, 4, offset=offset)
    y = flip * y
    problem = with_bias(X, y, form, 2)
    assert ActiveSetBackend().suits(problem)
    w, b = cp.Variable(4), cp.Variable(nonneg=form is BiasForm.SQUARE)
    tight = {"tol_gap_abs": 1e-13, "tol_gap_rel": 1e-13, "tol_feas": 1e-13}
    value = cp.Problem(cp.Minimize(cp.sum_squares(w)), [cp.multiply(y, X @ w + b) >= 1]).solve(
        solver="CLARABEL", **tight
    )
    solution = solve(problem)
    assert solution.solver == "active-set" and not solution.others
    assert solution.certificate is not None
    assert solution.certificate.verdict is Verdict.GLOBAL, solution.report()
    assert solution.objective == pytest.approx(value, rel=1e-8)
    assert solution.theta[0] == pytest.approx(w.value, rel=1e-5, abs=1e-6 * value**0.5)
    assert solution.levels[1].value == pytest.approx(abs(float(b.value)), abs=1e-5)
    # Σλ = ‖w‖² and Σ λ_n y_n x_n = w, at the scale of the problem.
    assert solution.multipliers.sum() == pytest.approx(value, rel=1e-8)
    assert (solution.multipliers * y) @ X == pytest.approx(solution.theta[0], rel=1e-8)


def test_a_w_set_that_no_bias_helps() -> None:
    X = np.array([[0.0], [1.0], [2.0]])
    with pytest.raises(NotSeparableError, match="Gordan"):
        solve(with_bias(X, np.array([1.0, -1.0, 1.0]), BiasForm.TWO_SQUARES))


def test_other_w_sets_are_left_to_others() -> None:
    X, y = shifted(20, 3)
    data = Dataset(X, y.astype(int))
    backend_ = ActiveSetBackend()
    one_class = Dataset(X, np.ones(20, dtype=int), one_class=True)
    for problem in (
        WSet(Sum([Linear(), Network((2,), Square())]), data),
        WSet(Sum([Linear(), Bias("square"), Bias("square")]), data),
        WSet(Sum([Linear(), Bias("square")]), one_class),
        ScaledMargin(Sum([Linear(), Bias("square")]), data, 10.0),
    ):
        assert not backend_.suits(problem)
        assert backend_.whole(problem, SETTINGS) is None
    # Of one degree they are one part, with b in its cost.
    assert backend_.suits(WSet(Sum([Linear(), Bias(BiasForm.PLAIN)]), data))
    # A member may come first or second and read some columns only.
    columns = WSet(Sum([Bias("two-squares"), Member(Linear(), (0, 1))]), data)
    assert backend_.suits(columns)
