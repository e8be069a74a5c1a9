"""Models of one's own as contenders: right ones are certified, wrong ones named in their cell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Never

import cvxpy as cp
import numpy as np
import pyomo.environ as pyo
import pytest

import lexmargin as lm
from lexmargin.compare import (
    Contender,
    Honesty,
    Limits,
    Reading,
    Row,
    RowStatus,
    Serial,
    compare,
    contender,
)
from lexmargin.compare.sources import contender_source, object_source

# z = (3, 0), (1, 1), (1, 2): w = (1/2, 1/2) is the shortest with (1, 1)·w = 1, and 3/2 elsewhere.
DATA = lm.Dataset([[3.0, 0.0], [1.0, 1.0], [-1.0, -2.0]], [1, 1, -1])
PROBLEM = lm.HardMargin(lm.Linear(), DATA)
ANSWER = np.array([0.5, 0.5])


def stated(problem: Any) -> cp.Problem:
    X, y = problem.data.X, problem.data.signed
    w = cp.Variable(X.shape[1], name="w")
    return cp.Problem(cp.Minimize(cp.sum_squares(w) / 2), [cp.multiply(y, X @ w) >= 1])


def read(model: cp.Problem) -> tuple[Any, Any]:
    return model.variables()[0].value, model.constraints[0].dual_value


def stated_in_pyomo(problem: Any) -> pyo.ConcreteModel:
    z = problem.data.X * problem.data.signed[:, None]
    model = pyo.ConcreteModel()
    model.w = pyo.Var(range(z.shape[1]), initialize=1.0)
    model.rows = pyo.Constraint(
        range(len(z)),
        rule=lambda m, n: sum(float(z[n, j]) * m.w[j] for j in m.w) >= 1.0,
    )
    model.cost = pyo.Objective(expr=sum(m * m for m in model.w.values()) / 2.0)
    return model


def read_pyomo(model: pyo.ConcreteModel) -> list[float]:
    return [entry.value for entry in model.w.values()]


def nothing(problem: Any) -> None:
    return None


def fails(_: Any) -> Never:
    raise ZeroDivisionError("of our own")


def refuses(_: Any) -> Never:
    raise lm.UnsupportedError("Not for two features.", "Give three.")


def hangs(_: Any) -> None:
    time.sleep(600.0)


def leaves(_: Any) -> None:
    os._exit(3)


def saying(theta: Any, claim: lm.Claim | None = lm.Claim.OPTIMAL) -> Callable[[Any], Reading]:
    return lambda model: Reading(theta, claim=claim)


# name, contender, how it ran, honesty, success, what its cell says
CASES: list[tuple[str, Contender, RowStatus, Honesty, bool, str]] = [
    ("cvxpy", contender(stated, read), RowStatus.FINISHED, Honesty.TRUE, True, ""),
    (
        "pyomo", contender(stated_in_pyomo, read_pyomo),
        RowStatus.FINISHED, Honesty.TRUE, True, "",
    ),
    (
        "own solve", contender(stated, read, solve=lambda model: model.solve("OSQP")),
        RowStatus.FINISHED, Honesty.TRUE, True, "",
    ),
    # The direction is what is asked for: its length is free.
    (
        "scaled", contender(nothing, saying(1e3 * ANSWER)),
        RowStatus.FINISHED, Honesty.TRUE, True, "",
    ),
    (
        "blocks", contender(nothing, lambda model: [ANSWER]),
        RowStatus.FINISHED, Honesty.SILENT, True, "",
    ),
    (
        "other multipliers", contender(nothing, lambda model: (ANSWER, [0.0, 7.0, -1.0])),
        RowStatus.FINISHED, Honesty.SILENT, True, "",
    ),
    (
        "liar", contender(nothing, saying([1.0, 0.2])),
        RowStatus.FINISHED, Honesty.FALSE, False, "own measure is not known here); not stationary",
    ),
    (
        "backwards", contender(nothing, saying(-ANSWER)),
        RowStatus.FINISHED, Honesty.FALSE, False, "not separating: 3 of 3",
    ),
    (
        "says infeasible", contender(nothing, saying(None, lm.Claim.INFEASIBLE)),
        RowStatus.FINISHED, Honesty.FALSE, False, "claims infeasible, which is refuted",
    ),
    (
        "no answer", contender(nothing, saying(None, None)),
        RowStatus.FINISHED, Honesty.SILENT, False, "no answer",
    ),
    (
        "origin", contender(nothing, saying([0.0, 0.0])),
        RowStatus.FINISHED, Honesty.OPEN, False, "nobody has proved or refuted",
    ),
    (
        "builds badly", contender(fails, read),
        RowStatus.CRASHED, Honesty.SILENT, False, "build raised ZeroDivisionError: of our own",
    ),
    (
        "solves badly", contender(stated, read, solve=fails),
        RowStatus.CRASHED, Honesty.SILENT, False, "solve raised ZeroDivisionError",
    ),
    (
        "reads badly", contender(stated, fails),
        RowStatus.CRASHED, Honesty.SILENT, False, "read raised ZeroDivisionError",
    ),
    (
        "wrong shape", contender(nothing, lambda model: [1.0, 2.0, 3.0]),
        RowStatus.CRASHED, Honesty.SILENT, False, "answer raised ShapeError",
    ),
    (
        "not finite", contender(nothing, lambda model: [np.nan, 1.0]),
        RowStatus.CRASHED, Honesty.SILENT, False, "answer raised DataError",
    ),
    (
        "multipliers of others", contender(nothing, lambda model: (ANSWER, [1.0])),
        RowStatus.CRASHED, Honesty.SILENT, False, "answer raised ValueError",
    ),
    (
        "refuses", contender(refuses, read),
        RowStatus.NOT_HANDLED, Honesty.SILENT, False, "does not handle it: Not for two features",
    ),
    (
        "hangs", contender(nothing, read, solve=hangs),
        RowStatus.TIME_LIMIT, Honesty.SILENT, False, "ended by the time limit",
    ),
    (
        "leaves", contender(leaves, read),
        RowStatus.CRASHED, Honesty.SILENT, False, "crashed: exit code 3",
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    named = [Contender(name, c.build, c.read, c.solve) for name, c, *_ in CASES]
    table = compare(PROBLEM, named, executor=Serial(), limits=Limits(3.0))
    return {row.profile: row for row in table.rows}


@pytest.mark.parametrize(("name", "_", "ran", "honesty", "success", "failure"), CASES)
def test_an_answer_of_ones_own_is_judged_like_any_other(
    rows: dict[str, Row],
    name: str,
    _: Contender,
    ran: RowStatus,
    honesty: Honesty,
    success: bool,
    failure: str,
) -> None:
    row = rows[name]
    assert (row.ran, row.honesty, row.success) == (ran, honesty, success), row.failure
    assert re.search(re.escape(failure), row.failure) and (row.failure == "") is (failure == "")


def test_where_a_level_is_asked_for_a_scaled_answer_is_refused() -> None:
    problem = lm.WSet(lm.Sum([lm.Linear(), lm.Bias()]), lm.Dataset([[3.0, 0], [1, 1]], [1, -1]))
    right = np.array([0.8, -0.4, -np.sqrt(1.4)])
    entered = [
        contender(nothing, saying(right), name="right"),
        contender(nothing, saying(2.0 * right), name="twice"),
    ]
    first, second = compare(problem, entered, executor=Serial()).rows
    assert first.success and not second.success
    assert first.honesty is Honesty.TRUE and second.honesty is Honesty.FALSE


def test_on_data_that_nothing_separates_infeasible_is_the_right_answer() -> None:
    hopeless = lm.HardMargin(
        lm.Linear(), lm.Dataset([[1, 0], [-1, 1], [0, -1]], [1, 1, 1], one_class=True)
    )
    entered = [
        contender(stated, read, name="cvxpy"),
        contender(nothing, saying([1.0, 1.0]), name="liar"),
        "osqp",
    ]
    right, liar, osqp = compare(hopeless, entered, executor=Serial()).rows
    assert right.success and right.honesty is Honesty.TRUE and right.failure == ""
    assert osqp.success and osqp.honesty is Honesty.TRUE
    assert not liar.success and liar.honesty is Honesty.FALSE


SCRIPT = """
import numpy as np
import lexmargin as lm

offset = np.array([0.5, 0.5])

def build(problem):
    return offset

def read(model):
    return model

class Named:
    def __call__(self, model):
        return model

if __name__ == "__main__":
    data = lm.Dataset([[3.0, 0.0], [1.0, 1.0], [-1.0, -2.0]], [1, 1, -1])
    own = [lm.contender(build, read), lm.contender(lambda p: offset, Named(), name="lambda")]
    table = lm.compare(lm.HardMargin(lm.Linear(), data), own)
    print([(row.profile, row.verdict) for row in table.rows])
"""


@pytest.mark.long
def test_functions_of_a_script_travel(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(path)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[('build', 'GLOBAL'), ('lambda', 'GLOBAL')]", done.stderr


WRONG = [
    (lambda: contender(3, read), "build"),  # type: ignore[arg-type]
    (lambda: contender(stated, None), "read"),  # type: ignore[arg-type]
    (lambda: contender(stated, read, solve=7), "solve"),  # type: ignore[arg-type]
    (lambda: contender(stated, read, name=""), "name"),
    (lambda: contender(stated, read, name="a\nb"), "name"),
    (lambda: compare(PROBLEM, [contender(stated, read, name="scs")]), "called 'scs'"),
    (lambda: compare(PROBLEM, [contender(stated, read)] * 2), "called 'stated'"),
    (
        lambda: compare(PROBLEM, [contender(stated, read, solve=threading.Lock().acquire)]),
        "open files",
    ),
]


@pytest.mark.parametrize(("call", "named"), WRONG)
def test_what_is_no_contender_is_named_before_any_work(call: Callable[[], Any], named: str) -> None:
    with pytest.raises(lm.LexmarginError, match=named):
        call()


def test_problems_are_objects_files_and_folders(tmp_path: Path) -> None:
    for name, x in (("one", 1.0), ("two", 2.0)):
        data = lm.Dataset([[x, 0.0], [0.0, -1.0]], [1, -1])
        lm.save(lm.HardMargin(lm.Linear(), data), tmp_path / f"{name}.toml", title=name)
    named = lm.HardMargin(lm.Linear(), lm.Dataset([[1.0]], [1], "mine", one_class=True))
    given = [
        PROBLEM,
        named,
        PROBLEM,
        tmp_path,
        str(tmp_path / "two.toml"),
        "collection/iris-0-raw-none",
    ]
    table = compare(given, "daqp", executor=Serial())
    assert [row.problem for row in table.rows] == [
        "hard-margin", "mine", "hard-margin-2", "one", "two", str(tmp_path / "two.toml"),
        "collection/iris-0-raw-none",
    ]  # fmt: skip
    assert all(row.success for row in table.rows)
    with pytest.raises(lm.LibraryError, match="no problem files"):
        (tmp_path / "empty").mkdir()
        compare(tmp_path / "empty", "daqp")
    with pytest.raises(lm.UnknownNameError, match="collection"):
        compare("collection/iris-7", "daqp")


def test_what_decides_an_answer_decides_the_digest() -> None:
    fresh, used = (lm.HardMargin(lm.Linear(), lm.Dataset(DATA.X, DATA.y)) for _ in range(2))
    used.functions.values(ANSWER)
    lm.certify(used, ANSWER)
    assert object_source("a", fresh).digest == object_source("a", used).digest
    others = [
        lm.HardMargin(lm.Linear(), DATA, 1.0),
        lm.MarginPath(lm.Linear(), DATA, 2.0),
        lm.HardMargin(lm.Linear(), lm.Dataset(DATA.X * 2.0, DATA.y)),
        lm.HardMargin(lm.DiagonalNetwork(2), DATA),
    ]
    digests = {object_source("a", problem).digest for problem in (fresh, *others)}
    assert len(digests) == 1 + len(others)
    entered = [contender(stated, read), contender(stated, fails, name="stated")]
    assert len({contender_source(one).digest for one in entered}) == 2
