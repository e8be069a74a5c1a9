"""Every number with a name has a reason beside it, and limits of size stand in one place."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from lexmargin.inputs import limits
from lexmargin.judge import tolerances

SOURCE = Path(__file__).parents[1] / "src" / "lexmargin"
LIMIT_WORDS = ("_LIMIT", "_BYTES", "_ENTRIES", "MOST_PARAMETERS", "MAX_PARAMETERS")
"""How limits of size are called; limits of time are the business of who waits."""
ITSELF = frozenset({"Fraction(0)", "(Fraction(0), Fraction(1))"})
"""Numbers that are what their names say, and could be nothing else."""


def is_number(value: ast.expr) -> bool:
    """Tell whether an expression states a number, or holds one that it states."""
    match value:
        case ast.Constant(value=bool()):
            return False
        case ast.Constant(value=int() | float() | complex()):
            return True
        case ast.UnaryOp(operand=inner):
            return is_number(inner)
        case ast.BinOp(left=left, right=right):
            return is_number(left) or is_number(right)
        case ast.Tuple(elts=items) | ast.List(elts=items) | ast.Set(elts=items):
            return any(map(is_number, items))
        case ast.Dict(values=items):
            return any(map(is_number, items))
        case ast.Attribute(value=inner):
            return is_number(inner) or ast.unparse(value) in ("math.pi", "np.pi")
        case ast.Call(func=ast.Name(id="getattr")):
            return False
        case ast.Call(func=function, args=items):
            return ast.unparse(function).endswith("finfo") or any(map(is_number, items))
        case _:
            return False


def constants(text: str) -> Iterator[tuple[str, int, bool]]:
    """Yield name, line and whether a line beside it says why, for every named number of a module.

    The reason is a docstring right below, or a comment right above or beside it.
    """
    lines = ["", *text.splitlines()]
    body = ast.parse(text).body
    for statement, following in zip(body, [*body[1:], None], strict=True):
        match statement:
            case ast.Assign(targets=[target], value=value):
                pass
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                pass
            case _:
                continue
        items = target.elts if isinstance(target, ast.Tuple) else [target]
        names = [item.id for item in items if isinstance(item, ast.Name)]
        named = bool(names) and all(name == name.upper() for name in names)
        if not named or not is_number(value) or ast.unparse(value) in ITSELF:
            continue
        match following:
            case ast.Expr(value=ast.Constant(value=str())):
                said = True
            case _:
                above, beside = lines[statement.lineno - 1], lines[statement.end_lineno or 0]
                said = above.startswith("# ") or "  # " in beside
        yield ", ".join(names), statement.lineno, said


@functools.cache
def everywhere() -> list[tuple[str, str, int, bool]]:
    """Return path, name, line and whether there is a reason, for all modules."""
    return [
        (path.relative_to(SOURCE).as_posix(), *found)
        for path in sorted(SOURCE.rglob("*.py"))
        for found in constants(path.read_text(encoding="utf-8"))
    ]


def test_every_named_number_has_its_reason() -> None:
    found = everywhere()
    assert len(found) > 400
    silent = [f"{path}:{line}: {name}" for path, name, line, said in found if not said]
    assert not silent, "\n".join(silent)


def test_the_machine_epsilon_is_stated_once() -> None:
    stated = [
        str(path.relative_to(SOURCE))
        for path in sorted(SOURCE.rglob("*.py"))
        if "finfo(np.float64).eps" in path.read_text(encoding="utf-8")
    ]
    assert stated == ["linalg/rounding.py"]


def test_limits_of_size_stand_in_one_module() -> None:
    elsewhere = [
        f"{path}:{line}: {name}"
        for path, name, line, _ in everywhere()
        if path != "inputs/limits.py" and name.endswith(LIMIT_WORDS) and name != "TIME_LIMIT"
    ]
    assert not elsewhere, "\n".join(elsewhere)
    assert sorted(limits.__all__) == list(limits.__all__)
    assert all(getattr(limits, name) > 0 for name in limits.__all__)


STRUCTURAL = frozenset({0.0, 0.5, 1.0, 2.0, 3.0, 4.0})
"""Floats that formulas are made of."""
UNNAMED = {
    "backends": 141, "cli": 4, "compare": 11, "formulations": 19,
    "inputs": 13, "judge": 26, "linalg": 5,
    "paper": 176, "paths": 14, "polish": 28, "processes": 3, "run": 4, "separation": 6,
}  # fmt: skip
"""Other floats without a name, by room: none may be added, and 586 stood everywhere once.

Those of the judge count operations in rounding bounds, or are tenfolds of tolerances; those of the
paper are its instances, and those of figures places on a page.
"""
AT_THE_ROOT = 25


def unnamed(text: str) -> list[tuple[float, int]]:
    """Return the floats of a module that no constant of the module or of a class names."""
    tree = ast.parse(text)
    bodies = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    named = {
        id(inside)
        for body in bodies
        for statement in body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for inside in ast.walk(statement)
    }
    return [
        (node.value, node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and type(node.value) is float
        and node.value not in STRUCTURAL
        and id(node) not in named
    ]


def test_no_float_without_a_name_is_added() -> None:
    found = dict.fromkeys(UNNAMED, 0) | {"": 0}
    for path in sorted(SOURCE.rglob("*.py")):
        first = path.relative_to(SOURCE).parts[0]
        room = "" if first.endswith(".py") else first
        found[room] = found.get(room, 0) + len(unnamed(path.read_text(encoding="utf-8")))
    most = UNNAMED | {"": AT_THE_ROOT}
    grown = {room: count for room, count in found.items() if count > most.get(room, 0)}
    assert not grown, f"name these and say why: {grown}, at most {most}"
    assert sum(most.values()) < 500


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("NEAR = 1e-6\n", 0),
        ("class A:\n    near: float = 1e-6\n", 0),
        ("def f(x):\n    return 2.0 * x + 0.5\n", 0),
        ("def f(x):\n    return x <= 1e-6\n", 1),
        ("def f(x, near=1e-6):\n    near = 1e-7\n", 2),
        ("class A:\n    def f(self):\n        return 7.0\n", 1),
    ],
)
def test_a_float_without_a_name_is_counted(text: str, count: int) -> None:
    assert len(unnamed(text)) == count


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("_NEAR = 1e-6\n", False),
        ("_NEAR: Final = 1e-6\n", False),
        ("_STEPS, _TRIES = 3, 4\n", False),
        ("_BYTES = 64 * 2**20\n", False),
        ("_EPS = float(np.finfo(np.float64).eps)\n", False),
        ('_OPTIONS = {"tolerance": 1e-10}\n', False),
        ("# Why.\n\n_NEAR = 1e-6\n", False),
        ('_NEAR = 1e-6\n_FAR = 2.0\n"""Why it is far."""\n', False),
        ("# Why.\n_NEAR = 1e-6\n", True),
        ("_NEAR = 1e-6  # why\n", True),
        ('_NEAR = 1e-6\n"""Why."""\n', True),
    ],
)
def test_a_number_without_a_line_is_seen(text: str, said: bool) -> None:
    assert next(constants(text))[2] is said


@pytest.mark.parametrize("text", ['NAME = "a"\n', "FLAG = True\n", "near = 1\n", "A = B\n"])
def test_what_is_no_named_number_is_left_alone(text: str) -> None:
    assert not list(constants(text))


def test_the_numbers_of_a_verdict_that_no_grade_changes_are_no_part_of_its_json() -> None:
    fields = set(tolerances.DEFAULT.to_json())
    assert fields == {
        "support", "stationarity", "complementarity", "feasibility", "gap", "kink", "rank", "euler"
    }  # fmt: skip
    assert not {name.lower() for name in tolerances.__all__} & fields
