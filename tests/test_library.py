"""The shelves: every shipped file reads and agrees with itself, and bad files are named errors."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lexmargin.data.dataset import load_dataset
from lexmargin.errors import (
    ExpressionError,
    LexmarginError,
    LibraryError,
    ParameterError,
    UnknownNameError,
)
from lexmargin.formulations import (
    ConstrainedPath,
    HardMargin,
    Lexicographic,
    MarginPath,
    RegularizationPath,
)
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import vector_norm
from lexmargin.losses import Loss
from lexmargin.margins import MarginFunctions
from lexmargin.ops.degree import HomogeneityKind
from lexmargin.predictors import LeakyReLU, Linear, Network, Sum
from lexmargin.separability import separability
from lexmargin.separation.gordan import SeparabilityVerdict
from lexmargin.shelf.build import build_data, load
from lexmargin.shelf.library import Library, grade, grades
from lexmargin.shelf.problems import ProblemFile
from lexmargin.shelf.profiles import BackendName, Finds, Handles, Word

LIBRARY = Library()
PROBLEMS = LIBRARY.problems()

GOOD = """
title = "t"
source = "s"
formulation = "margin-path"
norm = "inf"
rho = "5/2"

[predictor]
kind = "network"
widths = [3, 2]
activation = "leaky-relu"
slope = 0.1

[data]
X = [[1, "1/3"], [0.1, -2]]
y = [1, -1]

[answer]
direction = ["2/sqrt(5)", "1/sqrt(5)"]
margin = "2/sqrt(5)"
verdict = "KKT"
unique = true

[[answer.points]]
theta = [1]
verdict = "SADDLE"
"""


def _write(folder: Path, text: str) -> Path:
    path = folder / "problem.toml"
    path.write_text(text, encoding="utf-8")
    return path


def _values(numbers: tuple[object, ...]) -> np.ndarray:
    return np.array([float(entry) for entry in numbers])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_shipped_problem_reads(name: str) -> None:
    problem = LIBRARY.problem(name)
    assert problem.title and problem.source
    assert problem.predictor.block_count >= 1


def test_the_shelf_is_not_empty() -> None:
    assert {name.partition("/")[0] for name in PROBLEMS} >= {
        "lexicographic",
        "linear",
        "networks",
        "paths",
        "real",
        "relu",
        "sums",
    }


def test_values_survive_the_reading(tmp_path: Path) -> None:
    problem = LIBRARY.problem(_write(tmp_path, GOOD))
    assert problem.formulation is MarginPath
    assert problem.parameters == {"norm": math.inf, "rho": 2.5}
    assert problem.predictor == Network((3, 2), LeakyReLU(0.1))
    assert problem.data.X is not None
    exact = [[entry.exact for entry in row] for row in problem.data.X]
    assert exact == [[1, Fraction(1, 3)], [Fraction(1, 10), -2]]
    assert problem.data.y == (1, -1)
    assert problem.answer is not None
    assert problem.answer.margin is not None
    assert problem.answer.margin.value == 2 / math.sqrt(5)
    assert problem.answer.verdict is Verdict.KKT
    assert problem.answer.points[0].verdict is Verdict.SADDLE


def _norm(problem: ProblemFile) -> float:
    return float(problem.parameters.get("norm", 2.0))


def _answers(problem: ProblemFile) -> list[np.ndarray]:
    assert problem.answer is not None
    single = () if problem.answer.direction is None else (problem.answer.direction,)
    return [_values(d) for d in (*single, *(problem.answer.directions or ()))]


def _thetas(problem: ProblemFile) -> list[np.ndarray]:
    assert problem.answer is not None
    single = () if problem.answer.theta is None else (problem.answer.theta,)
    return [_values(d) for d in (*single, *(problem.answer.thetas or ()))]


def _functions(problem: ProblemFile) -> MarginFunctions:
    data = build_data(problem.data, problem.folder)
    return MarginFunctions(problem.predictor, data)


INLINE = [name for name in PROBLEMS if LIBRARY.problem(name).data.X is not None]


@pytest.mark.parametrize("name", INLINE)
def test_stored_directions_have_the_stored_margins(name: str) -> None:
    problem = LIBRARY.problem(name)
    functions, answer = _functions(problem), problem.answer
    assert answer is not None
    degrees = functions.predictor.homogeneity(functions.data.X.shape[1])
    scale = (
        1.0 if degrees.kind is HomogeneityKind.HOMOGENEOUS else problem.parameters.get("rho") or 1.0
    )
    for direction in _answers(problem):
        assert vector_norm(direction, _norm(problem)) == pytest.approx(1, abs=1e-14)
        margins = functions.values(scale * direction)
        if answer.margin is not None:
            assert margins.min() == pytest.approx(answer.margin.value, rel=1e-13, abs=1e-13)
        if answer.margins is not None and answer.direction is not None:
            assert margins == pytest.approx(_values(answer.margins), rel=1e-13, abs=1e-13)
        if problem.formulation is Lexicographic:
            assert answer.levels is not None
            assert np.sort(margins) == pytest.approx(_values(answer.levels), rel=1e-13)


def _objective(problem: ProblemFile, functions: MarginFunctions, theta: np.ndarray) -> float | None:
    """Evaluate the objective as the design states it, without any formulation's own code."""
    if problem.formulation is HardMargin:
        return vector_norm(theta, _norm(problem)) ** 2 / 2
    if problem.formulation is MarginPath:
        if problem.parameters.get("gamma") is not None:
            return vector_norm(theta, _norm(problem)) ** 2
        return float(functions.values((problem.parameters.get("rho") or 1.0) * theta).min())
    if problem.formulation is ConstrainedPath:
        assert problem.parameters.get("rho") is not None
        margins = functions.values(problem.parameters.get("rho") * theta)
        if problem.parameters.get("loss") is Loss.LOGISTIC:
            return float(np.log(np.log1p(np.exp(-margins)).sum()))
        return float(np.logaddexp.reduce(-margins))
    if problem.formulation is RegularizationPath:
        assert (
            problem.parameters.get("strength") is not None
            and problem.parameters.get("power") is not None
        )
        penalty = problem.parameters.get("strength") * vector_norm(
            theta, _norm(problem)
        ) ** problem.parameters.get("power")
        return float(np.exp(-functions.values(theta)).sum() + penalty)
    return None


@pytest.mark.parametrize("name", INLINE)
def test_stored_points_have_the_stored_objectives(name: str) -> None:
    problem = LIBRARY.problem(name)
    functions, answer = _functions(problem), problem.answer
    assert answer is not None
    stored = [(theta, answer.objective) for theta in _thetas(problem)]
    stored += [(_values(point.theta), point.objective) for point in answer.points]
    needs = problem.formulation not in (
        MarginPath,
        ConstrainedPath,
        RegularizationPath,
        Lexicographic,
    )
    for theta, objective in stored:
        found = _objective(problem, functions, theta)
        if objective is not None and found is not None:
            assert found == pytest.approx(objective.value, rel=1e-13, abs=1e-13)
        if needs:
            assert functions.values(theta).min() >= 1 - 1e-12
        elif problem.parameters.get("gamma") is None and problem.formulation in (
            MarginPath,
            ConstrainedPath,
        ):
            assert vector_norm(theta, _norm(problem)) <= 1 + 1e-14


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in INLINE
        if LIBRARY.problem(name).formulation is HardMargin and _norm(LIBRARY.problem(name)) == 2
    ],
)
def test_stored_multipliers_are_stationary(name: str) -> None:
    problem = LIBRARY.problem(name)
    answer = problem.answer
    assert answer is not None
    functions = _functions(problem)
    pairs = [(theta, answer.multipliers) for theta in _thetas(problem)]
    pairs += [(_values(point.theta), point.multipliers) for point in answer.points]
    for theta, multipliers in pairs:
        if multipliers is None:
            continue
        combined = np.atleast_2d(functions.jacobian(theta)).T @ _values(multipliers)
        factor = combined @ theta / (combined @ combined)
        assert factor > 0
        assert factor * combined == pytest.approx(theta, abs=1e-12)


def _has_dual(name: str) -> bool:
    problem = LIBRARY.problem(name)
    linear = problem.predictor == Linear()
    return linear and problem.answer is not None and problem.answer.dual is not None


@pytest.mark.parametrize("name", [name for name in INLINE if _has_dual(name)])
def test_stored_duals_prove_the_margin(name: str) -> None:
    problem = LIBRARY.problem(name)
    answer = problem.answer
    assert answer is not None and answer.dual is not None
    dual, data = _values(answer.dual), build_data(problem.data, problem.folder)
    p = _norm(problem)
    conjugate = math.inf if p == 1 else 1.0 if p == math.inf else p / (p - 1)
    assert dual.min() >= 0
    assert dual.sum() == pytest.approx(1, abs=1e-15)
    assert answer.margin is not None
    bound = vector_norm((data.X.T * data.y) @ dual, conjugate)
    assert bound == pytest.approx(answer.margin.value, rel=1e-13)


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in PROBLEMS
        if n.startswith("real/") and not isinstance(LIBRARY.problem(n).predictor, Network)
    ],
)
def test_stored_separability_of_real_data_is_exact(name: str) -> None:
    problem = LIBRARY.problem(name)
    assert problem.answer is not None
    bias = isinstance(problem.predictor, Sum)
    found = separability(build_data(problem.data, problem.folder), bias=bias).verdict
    assert (found is SeparabilityVerdict.SEPARABLE) == problem.answer.feasible


BAD = [
    ('norm = "inf"', "norms = 2", LibraryError, "'norms'.*'norm'"),
    ("widths", "width", LibraryError, "'width'.*widths"),
    ("unique", "uniqe", LibraryError, "'uniqe'.*'unique'"),
    ("[data]", "[date]", LibraryError, "'date'.*'data'"),
    ('title = "t"', "", LibraryError, "'title' is missing"),
    ('title = "t"', "title = 3", LibraryError, "title is an integer"),
    ("widths = [3, 2]", "widths = 3", LibraryError, "widths is an integer"),
    ("widths = [3, 2]", 'widths = ["3"]', LibraryError, r"widths\[0\] is text"),
    ("widths = [3, 2]", "", LibraryError, "'widths' is missing"),
    (
        "widths = [3, 2]",
        "widths = [0]",
        ParameterError,
        r"predictor.widths\[0\] must be a whole",
    ),
    ("unique = true", "unique = 1", LibraryError, "unique is an integer"),
    ("margin-path", "margin-pat", UnknownNameError, "'margin-path'"),
    ("network", "netwrok", UnknownNameError, "'network'"),
    ("leaky-relu", "leaky_relu", UnknownNameError, "'leaky-relu'"),
    ("KKT", "KKTT", UnknownNameError, "'KKT'"),
    ('rho = "5/2"', "rho = -1", ParameterError, "rho must be a finite number > 0"),
    ('rho = "5/2"', "rho = 0", ParameterError, "rho must be a finite number > 0"),
    ('rho = "5/2"', 'rho = "inf"', ExpressionError, "rho"),
    ('rho = "5/2"', "rho = nan", ExpressionError, "rho"),
    ('rho = "5/2"', "rho = true", LibraryError, "rho is a truth value"),
    ('rho = "5/2"', "gamma = 0", ParameterError, "gamma must be a finite number > 0"),
    (
        'rho = "5/2"',
        "strength = 1",
        LibraryError,
        "no 'strength'.*gamma; strength belongs to reg",
    ),
    ('norm = "inf"', "norm = 0.5", ParameterError, "norm must be a number >= 1 or 'inf'"),
    ('norm = "inf"', "norm = nan", ExpressionError, "norm"),
    ("slope = 0.1", "slope = 2", ParameterError, r"predictor: The slope .* \[0, 1\)"),
    ("slope = 0.1", "power = 2", LibraryError, "no 'power'. It takes slope; power belongs to relu"),
    ("slope = 0.1", "depth = 2", LibraryError, "no 'depth'.*depth belongs to diagonal, convol"),
    ("slope = 0.1", "columns = [0]", LibraryError, "'columns'. Known: activation, bias, kind"),
    ('"1/3"', "\"__import__('os').system('x')\"", ExpressionError, r"data.X\[0\]\[1\]"),
    ('"1/3"', '"1/0"', ExpressionError, "division by zero"),
    ("y = [1, -1]", "", LibraryError, "'y' is missing"),
    ("y = [1, -1]", 'y = [1, -1]\ncsv = "a.csv"', LibraryError, "2 sources"),
    ("y = [1, -1]", "y = [1, -1]\nstandardize = true", LibraryError, "no use for 'standardize'"),
    ("y = [1, -1]", "y = [1, -1", LibraryError, "line"),
]


@pytest.mark.parametrize(("old", "new", "error", "message"), BAD)
def test_bad_files_are_named_errors(
    tmp_path: Path, old: str, new: str, error: type[LexmarginError], message: str
) -> None:
    assert old in GOOD
    with pytest.raises(error, match=message):
        LIBRARY.problem(_write(tmp_path, GOOD.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("formulation", "line", "error"),
    [
        ("regularization-path", "strength = 0", ParameterError),
        ("regularization-path", "strength = -0.1", ParameterError),
        ("regularization-path", "", LibraryError),
        ("constrained-path", "", LibraryError),
        ("constrained-path", 'rho = 1\nloss = "hinge"', UnknownNameError),
        ("scaled-margin", "", LibraryError),
        ("scaled-margin", "gamma = 2\nnorm = 1", ParameterError),
        ("w-set", "levels = 0", ParameterError),
        ("lexicographic", "levels = 1.5", LibraryError),
        ("lexicographic", 'method = "saturaton"', UnknownNameError),
        ("hard-margin", "rho = 1", LibraryError),
    ],
)
def test_parameters_belong_to_their_formulation(
    tmp_path: Path, formulation: str, line: str, error: type[LexmarginError]
) -> None:
    text = GOOD.replace("margin-path", formulation).replace('norm = "inf"', "")
    with pytest.raises(error):
        LIBRARY.problem(_write(tmp_path, text.replace('rho = "5/2"', line)))


def test_files_that_are_no_text_are_named_errors(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="no file"):
        LIBRARY.problem(tmp_path / "missing.toml")
    with pytest.raises(LibraryError, match="no file"):
        LIBRARY.problem("missing.toml")
    with pytest.raises(LibraryError, match="folder"):
        LIBRARY.problem(tmp_path)
    with pytest.raises(LibraryError, match="folder"):
        LIBRARY.problem(str(tmp_path))
    path = _write(tmp_path, "")
    with pytest.raises(LibraryError, match="empty"):
        LIBRARY.problem(path)
    path.write_bytes(b'title = "\xff"')
    with pytest.raises(LibraryError, match="UTF-8"):
        LIBRARY.problem(path)
    path.write_text("x = " + "[" * 5000)
    with pytest.raises(LibraryError, match="TOML"):
        LIBRARY.problem(path)
    with path.open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(LibraryError, match="more than 67108864"):
        LIBRARY.problem(path)
    for name in ("a\0b.toml", "a" * 5000 + ".toml", "a/" + "b" * 5000, ""):
        with pytest.raises(LexmarginError):
            LIBRARY.problem(name)


def test_names_resolve_by_their_last_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "xor").mkdir()
    monkeypatch.chdir(tmp_path)
    assert LIBRARY.problem("xor") == LIBRARY.problem("relu/xor")
    with pytest.raises(UnknownNameError, match="'xor'"):
        LIBRARY.problem("xro")
    with pytest.raises(UnknownNameError, match="'relu/xor'"):
        LIBRARY.problem("relu/xorr")


def test_extra_shelves_are_searched_and_win(tmp_path: Path) -> None:
    for place in ("problems/a/xor.toml", "problems/relu/xor.toml", "problems/b/mine.toml"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(GOOD, encoding="utf-8")
    library = Library([tmp_path])
    assert library.problem("mine").title == "t"
    assert library.problem("relu/xor").title == "t"
    with pytest.raises(UnknownNameError, match="2 problems"):
        library.problem("xor")
    assert set(library.profiles()) == set(LIBRARY.profiles())
    with pytest.raises(LibraryError, match="not a shelf"):
        Library([tmp_path / "problems"])


def test_load_builds_the_formulation() -> None:
    problem = load("norms-two-points-l1")
    assert isinstance(problem, HardMargin)
    assert problem.norm_p == 1
    assert problem.data.X.tolist() == [[1, 0], [0, 2]]
    assert load("norms-two-points-path-l2").rho_value == 10


def test_data_files_are_found_beside_the_problem(tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("a,b,label\n1,0,1\n0,2,-1\n")
    np.savez(tmp_path / "points.npz", X=np.eye(2), y=np.array([1, -1]))
    inline = 'X = [[1, "1/3"], [0.1, -2]]\ny = [1, -1]'
    for source in ('csv = "points.csv"\nlabel = "label"', 'npz = "points.npz"'):
        problem = LIBRARY.problem(_write(tmp_path, GOOD.replace(inline, source)))
        assert build_data(problem.data, problem.folder).X.shape == (2, 2)
    wanted = 'dataset = "iris"\npositive = [0]\nstandardize = true'
    problem = LIBRARY.problem(_write(tmp_path, GOOD.replace(inline, wanted)))
    direct = load_dataset("iris", positive=0, standardize=True)
    assert np.array_equal(build_data(problem.data, problem.folder).X, direct.X)


def test_grades() -> None:
    assert [g.name for g in grades()] == ["default", "low", "mid", "high"]
    assert [g.tolerance for g in grades()] == [None, 1e-3, 1e-6, 1e-9]
    for entry in grades()[1:]:
        assert entry.tolerance is not None
        assert entry.verified == pytest.approx(10 * entry.tolerance)
    with pytest.raises(UnknownNameError, match="'high'"):
        grade("hgih")


@pytest.mark.parametrize("name", LIBRARY.profiles())
def test_every_shipped_profile_reads(name: str) -> None:
    profile = LIBRARY.profile(name)
    assert profile.name == name
    assert profile.cite and profile.licence and profile.requires and profile.remedy
    assert profile.handles
    options = profile.options(grade("high"), time_limit=3, iterations=7)
    asked = ((Word.PRIMAL, 1e-9), (Word.GAP, 1e-9), (Word.TIME, 3.0), (Word.ITERATIONS, 7))
    for word, value in asked:
        assert all(options[option] == value for option in profile.words.get(word, ()))
    assert set(profile.lacks()) == set(Word) - set(profile.words)
    assert profile.options(grade("default")) == dict(profile.fixed)


def test_profiles_speak_their_solver_s_words() -> None:
    clarabel = LIBRARY.profile("clarabel")
    assert clarabel.backend is BackendName.CVXPY
    assert clarabel.finds is Finds.GLOBAL
    assert Handles.EXP in clarabel.handles
    assert clarabel.options(grade("mid"), time_limit=2) == {
        "tol_feas": 1e-6,
        "tol_gap_abs": 1e-6,
        "tol_gap_rel": 1e-6,
        "time_limit": 2.0,
    }
    assert Word.GAP in LIBRARY.profile("osqp").lacks()
    with pytest.raises(ParameterError):
        clarabel.options(grade("mid"), time_limit=0)
    with pytest.raises(ParameterError):
        clarabel.options(grade("mid"), iterations=0)


def test_both_routes_to_ipopt_run_the_same_algorithm() -> None:
    native, casadi = LIBRARY.profile("ipopt"), LIBRARY.profile("ipopt-casadi")
    assert native.backend is BackendName.PYOMO
    assert casadi.backend is BackendName.CASADI
    for entry in grades():
        assert native.options(entry, 5, 9) == casadi.options(entry, 5, 9)


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("[words]", "[wrds]", LibraryError),
        ("\nprimal ", "\nprime ", UnknownNameError),
        ('"cvxpy"', '"cvxyp"', UnknownNameError),
        ('"exp"', '"expo"', UnknownNameError),
        ('["tol_feas"]', '"tol_feas"', LibraryError),
        ("finds ", "name ", LibraryError),
    ],
)
def test_bad_profiles_are_named_errors(
    tmp_path: Path, old: str, new: str, error: type[LexmarginError]
) -> None:
    text = LIBRARY.profile_paths()["clarabel"].read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "solvers").mkdir()
    (tmp_path / "solvers" / "mine.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(error):
        Library([tmp_path]).profile("mine")
    with pytest.raises(UnknownNameError, match="clarabel"):
        Library([tmp_path]).profile("clarabell")
