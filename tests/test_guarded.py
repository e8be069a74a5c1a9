"""Compiled code is reached through doors, and what is not finite or empty does not pass them."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from lexmargin.linalg import guarded

SOURCE = Path(guarded.__file__).parents[2]
DOORS = Path(guarded.__file__).parent

# What computes in these packages is called by the doors alone.
CLOSED = ("scipy.linalg", "scipy.optimize", "scipy.sparse.linalg", "scipy.integrate", "daqp")
# Descriptions and errors: no numbers pass.
OPEN_NAMES = {"Bounds", "NonlinearConstraint", "OptimizeWarning"}
# Packages of models, and who builds models with them: numbers enter as entries of Dataset or
# Program, finite by their constructors, or by a door.
MODELS = {
    "casadi": {
        "backends/models/casadi.py",
        "backends/models/nlp.py",
        "backends/models/pyomo.py",
        "backends/models/sampled_nlp.py",
        # A model of somebody else's, in a process of its own.
        "compare/contender.py",
        "ops/casadi.py",
        "ops/hessian.py",
    },
    "clarabel": {"backends/kinked/relu_subproblem.py"},
    "cvxpy": {"backends/models/cvxpy.py", "backends/models/cvxpy_nlp.py", "ops/cvxpy.py"},
    "cyipopt": {"backends/models/ipopt.py"},
    "highspy": {
        "backends/levels/face_lp.py",
        "backends/linear/row_generation.py",
        "backends/linear/simplex_solver.py",
        "separation/gordan_program.py",
    },
}
# Methods that hand arrays to a solver.
HANDED = {"addRows": set(), "passModel": {"separation/gordan_program.py"}, "DefaultSolver": set()}


def dotted(node: ast.expr) -> str:
    """Return ``a.b.c``, or an empty string for anything but a chain of names."""
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return node.id if isinstance(node, ast.Name) else ""


def names_of(tree: ast.AST) -> tuple[set[str], set[str], set[str]]:
    """Return what a module imports, dotted names it reaches, and methods it calls."""
    imported: set[str] = set()
    reached: set[str] = set()
    methods: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute):
            reached.add(dotted(node))
            methods.add(node.attr)
    return imported, reached, methods


def complaints(path: str, text: str) -> list[str]:
    """Return what a module reaches that it must reach by a door."""
    imported, reached, methods = names_of(ast.parse(text))
    found = []
    for name in sorted(imported | reached):
        closed = any(name == home or name.startswith(f"{home}.") for home in CLOSED)
        if closed and name.rpartition(".")[2] not in OPEN_NAMES:
            found.append(f"{path} reaches {name}")
    for package in sorted({name.partition(".")[0] for name in imported} & MODELS.keys()):
        if path not in MODELS[package]:
            found.append(f"{path} imports {package}")
    found += [f"{path} calls {m}" for m in sorted(methods & HANDED.keys()) if path not in HANDED[m]]
    return found


def test_nothing_reaches_compiled_code_but_by_a_door() -> None:
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        if DOORS not in path.parents:
            found += complaints(path.relative_to(SOURCE).as_posix(), path.read_text("utf-8"))
    assert not found


@pytest.mark.parametrize(
    "text",
    [
        "from scipy.linalg import lstsq",
        "def f():\n    from scipy.optimize import nnls",
        "import scipy.optimize\nscipy.optimize.linprog(1)",
        "import scipy.sparse.linalg as s",
        "import daqp",
        "import casadi as ca",
        "import highspy",
        "solver.addRows(1, 2)",
        "from scipy import integrate, linalg",
    ],
)
def test_another_way_would_be_noticed(text: str) -> None:
    assert complaints("new.py", text)


@pytest.mark.parametrize(
    "text",
    ["from scipy import sparse", "from scipy.optimize import Bounds", "import numpy as np",
     "from lexmargin.linalg.guarded import least_norm"],
)  # fmt: skip
def test_what_computes_nothing_is_free(text: str) -> None:
    assert not complaints("new.py", text)


def test_every_model_builder_named_is_one() -> None:
    for package, paths in MODELS.items():
        for path in paths:
            text = (SOURCE / path).read_text("utf-8")
            assert any(n.partition(".")[0] == package for n in names_of(ast.parse(text))[0]), path


LOST = (np.nan, np.inf, -np.inf)
FINE = np.array([[2.0, 0.5], [0.5, 1.0]])
RIGHT = np.array([1.0, -1.0])


@pytest.mark.parametrize("value", LOST)
def test_numbers_that_are_not_finite_are_no_step(value: float) -> None:
    lost, right = FINE.copy(), RIGHT.copy()
    lost[0, 0] = right[0] = value
    assert np.all(np.isnan(guarded.least_norm(lost, RIGHT, 1e-12)))
    assert np.all(np.isnan(guarded.least_norm(FINE, right, 1e-12)))
    assert np.all(np.isnan(guarded.solved_triangle(np.triu(FINE), right)))
    assert np.all(np.isnan(guarded.solved_triangle(np.triu(lost), RIGHT)))
    assert np.all(np.isnan(guarded.cholesky_solved(np.linalg.cholesky(FINE), right)))
    assert np.all(np.isnan(guarded.minimal_residual(lambda v: FINE @ v, right, 1e-9, 10)))
    assert guarded.packed_cholesky(lost.copy()) is None
    assert guarded.smallest_eigenvector(lambda v: v, np.full(3, value), 3, 9, 1e-9) is None
    assert guarded.quadratic_program(np.eye(2), right, FINE, np.full(2, 1e30), RIGHT) is None
    found = guarded.minimised(lambda x: float(x @ x), right)
    assert not found.success and found.status == -1


@pytest.mark.parametrize("value", LOST)
def test_numbers_that_are_not_finite_are_named(value: float) -> None:
    lost = FINE.copy()
    lost[0, 0] = value
    for door in (guarded.pivoted_qr, guarded.cholesky_factor, guarded.spectrum, guarded.entering):
        with pytest.raises(np.linalg.LinAlgError, match="not finite"):
            door(lost)
    with pytest.raises(np.linalg.LinAlgError, match="not finite"):
        guarded.sparse_least_squares(scipy.sparse.csr_array(lost), RIGHT, 1e-9, 10)
    with pytest.raises(np.linalg.LinAlgError, match="not finite"):
        guarded.root_between(lambda x: x, value, 1.0, 1e-12)
    with pytest.raises(np.linalg.LinAlgError, match="not finite"):
        guarded.stepper("LSODA", lambda t, x: x, np.array([value]), 1.0)
    with pytest.raises(np.linalg.LinAlgError, match="not finite"):
        ends = np.zeros(1)
        guarded.add_rows(None, np.array([[value]]), ends, ends)
    with pytest.raises(np.linalg.LinAlgError, match="not finite"):
        guarded.add_columns(None, np.array([[value]]), ends, ends, ends)


def test_empty_problems_have_empty_answers() -> None:
    assert guarded.least_norm(np.zeros((0, 3)), np.zeros(0), 1e-12).tolist() == [0.0] * 3
    q, r, order = guarded.pivoted_qr(np.zeros((3, 0)))
    assert q.shape == (3, 0) and r.shape == (0, 0) and order.size == 0
    assert guarded.pivoted_qr(np.zeros((3, 0)), economic=False)[0].shape == (3, 3)
    assert guarded.solved_triangle(np.zeros((0, 0)), np.zeros(0)).size == 0
    assert guarded.cholesky_factor(np.zeros((0, 0))).size == 0
    assert guarded.packed_cholesky(np.zeros((0, 0))) is None
    assert not guarded.minimised(lambda x: 0.0, np.zeros(0)).success
    with pytest.raises(np.linalg.LinAlgError, match="do not fit"):
        guarded.least_norm(FINE, np.zeros(3), 1e-12)
    with pytest.raises(np.linalg.LinAlgError, match="between"):
        guarded.root_between(lambda x: 1.0 + x * x, 0.0, 1.0, 1e-12)


def test_what_passes_is_answered() -> None:
    inverse = np.linalg.solve(FINE, RIGHT)
    np.testing.assert_allclose(guarded.least_norm(FINE, RIGHT, 1e-12), inverse)
    lower = guarded.cholesky_factor(FINE)
    np.testing.assert_allclose(lower @ lower.T, FINE)
    np.testing.assert_allclose(guarded.cholesky_solved(lower, RIGHT), inverse)
    half = guarded.solved_triangle(lower, RIGHT, lower=True)
    whole = guarded.solved_triangle(lower, half, lower=True, transposed=True)
    np.testing.assert_allclose(whole, inverse)
    factor = guarded.packed_cholesky(FINE.copy())
    assert factor is not None
    np.testing.assert_allclose(guarded.packed_solved(factor, RIGHT), inverse)
    condition = 1.0 / np.linalg.cond(FINE, 1)
    assert guarded.reciprocal_condition(factor, 2.5) == pytest.approx(condition)
    q, r, order = guarded.pivoted_qr(FINE)
    np.testing.assert_allclose(q @ r, FINE[:, order], atol=1e-15)
    sparse = scipy.sparse.csr_array(FINE)
    np.testing.assert_allclose(guarded.sparse_least_squares(sparse, RIGHT, 1e-12, 99), inverse)
    found = guarded.minimal_residual(lambda v: FINE @ v, RIGHT, 1e-12, 99)
    np.testing.assert_allclose(found, inverse)
    np.testing.assert_allclose(guarded.spectrum(FINE)[0], np.linalg.eigvalsh(FINE))
    diagonal = np.array([3.0, 1.0, 2.0, 5.0])
    vector = guarded.smallest_eigenvector(lambda v: diagonal * v, np.ones(4), 4, 99, 1e-12)
    assert vector is not None and abs(vector[1]) == pytest.approx(1.0)
    program = guarded.quadratic_program(
        np.eye(2), np.zeros(2), np.eye(2), np.full(2, 1e30), np.ones(2)
    )
    assert program is not None and program[1] == 1
    np.testing.assert_allclose(program[0], 1.0)
    assert guarded.root_between(lambda x: x - 0.25, 0.0, 1.0, 1e-12) == pytest.approx(0.25)
    assert guarded.least_between(lambda x: (x - 0.25) ** 2, 0.0, 1.0, 1e-12) == pytest.approx(0.25)
    square = guarded.minimised(lambda x: float(x @ x), np.ones(2), method="L-BFGS-B")
    np.testing.assert_allclose(square.x, 0.0, atol=1e-6)
