"""Results kept in files: they come back as they were, and no word in them is believed."""

from __future__ import annotations

import copy
import json
import math
import os
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import lexmargin as lm
from lexmargin.cli.main import main as cli
from lexmargin.errors import LexmarginError, LibraryError
from lexmargin.formulations.levels import Level, Proof
from lexmargin.inputs import stored
from lexmargin.inputs.codec import fields_written
from lexmargin.solution import Improvement, Times

DATA = lm.Dataset([[2.0, 1.0], [1.0, 3.0], [-1.0, -2.0]], [1, 1, -1])
PROBLEM = lm.HardMargin(lm.Linear(), DATA)
OVERLAP = lm.Dataset([[2.0, 1.0], [1.0, 3.0], [1.0, 1.5]], [1, 1, -1])


def plain(solution: lm.Solution) -> dict[str, Any]:
    """The JSON of a solution less what a file does not give back: words that we found."""
    found = json.loads(json.dumps(solution.to_json(), allow_nan=False))

    def less(one: dict[str, Any]) -> dict[str, Any]:
        levels = [{**level, "proof": None} for level in one["levels"]]
        rest = {k: v for k, v in one.items() if k not in ("certificate", "unjudged")}
        return {**rest, "levels": levels, "others": [less(other) for other in one["others"]]}

    return less(found)


# -- there and back --------------------------------------------------------------------------------

PROBLEMS: dict[str, Callable[[], Any]] = {
    "linear": lambda: PROBLEM,
    "l1": lambda: lm.HardMargin(lm.Linear(), DATA, norm=1),
    "network": lambda: lm.HardMargin(lm.Network((2,), lm.ReLU(power=2)), DATA),
    "kinks": lambda: lm.load("relu/xor"),
    "lexicographic": lambda: lm.Lexicographic(lm.Linear(), DATA, norm="inf"),
    "w-set": lambda: lm.WSet(lm.Sum([lm.Linear(), lm.Bias()]), DATA),
    "path": lambda: lm.ConstrainedPath(lm.Linear(), DATA, rho=10),
    "penalty": lambda: lm.RegularizationPath(lm.Linear(), OVERLAP, 0.1),
    "sparse": lambda: lm.HardMargin(
        lm.Linear(), lm.Dataset(sparse.csr_array([[2.0, 0.0], [0.0, -1.0]]), [1, -1])
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_solution_that_was_read_has_the_same_word(name: str, tmp_path: Path) -> None:
    problem = PROBLEMS[name]()
    solution = lm.solve(problem, starts=2)
    solution.save(tmp_path / "a.json")
    again = lm.Solution.load(tmp_path / "a.json")
    assert plain(again) == plain(solution)
    for mine, theirs in zip(again.theta, solution.theta, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    verdict = solution.certificate.verdict
    assert again.judgement is None and again.word == f"read from a file that says {verdict}"
    assert lm.certify(problem, again).verdict is verdict
    # Twice is the same as once, and a worker can be sent one.
    again.save(tmp_path / "b.json")
    twice = lm.Solution.load(tmp_path / "b.json")
    assert twice.to_json() == again.to_json()
    assert pickle.loads(pickle.dumps(again)).to_json() == again.to_json()


@pytest.mark.long
def test_every_answer_of_the_shelf_has_the_same_word_again() -> None:
    judged = 0
    for name in lm.Library().problems():
        problem = lm.load(name)
        try:
            solution = lm.solve(problem, starts=2)
        except lm.NotSeparableError:
            continue
        for one in (solution, *solution.others):
            if one.judgement is not None:
                again = lm.Solution.from_json(json.loads(json.dumps(one.to_json())))
                assert lm.certify(problem, again).verdict is one.certificate.verdict, name
                judged += 1
    assert judged > 90, "most of the shelf is judged"


def test_what_the_command_line_prints_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli(["solve", "linear/l1-axes", "--json"])
    printed = lm.Solution.from_json(json.loads(capsys.readouterr().out))
    assert lm.certify(lm.load("linear/l1-axes"), printed).verdict is lm.Verdict.GLOBAL


NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


def arrays(count: int) -> st.SearchStrategy[np.ndarray[Any, Any]]:
    return st.lists(NUMBERS, min_size=count, max_size=count).map(np.array)


LEVELS = st.builds(
    Level,
    value=NUMBERS,
    fixed=st.lists(st.integers(0, 5), max_size=3).map(tuple),
    dimension=st.none() | st.integers(0, 9),
    proof=st.sampled_from(Proof),
    multipliers=st.none() | arrays(3),
    approached=st.lists(st.tuples(NUMBERS, NUMBERS), max_size=2).map(tuple),
)
SOLUTIONS = st.builds(
    lambda **given: replace(BASE, **given),
    theta=st.tuples(arrays(2), arrays(6).map(lambda block: block.reshape(3, 2))),
    objective=NUMBERS,
    margins=arrays(3),
    raw_status=st.text(st.characters(codec="utf-8"), max_size=9),
    ran=st.sampled_from(lm.Ran),
    claim=st.sampled_from(lm.Claim),
    levels=st.lists(LEVELS, max_size=2).map(tuple),
    seed=st.integers(0, 2**63 - 1),
    polished=st.none() | st.builds(Improvement, NUMBERS, NUMBERS),
    claimed_bound=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    versions=st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=3), st.just("1.2")),
    times=st.builds(Times, NUMBERS, NUMBERS, NUMBERS),
)
BASE = lm.solve(PROBLEM)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(solution=SOLUTIONS, other=SOLUTIONS)
def test_whatever_a_solution_holds_comes_back(solution: lm.Solution, other: lm.Solution) -> None:
    solution = replace(solution, others=(other,))
    written = json.loads(json.dumps(solution.to_json(), allow_nan=False))
    again = lm.Solution.from_json(written)
    assert plain(again) == plain(solution)
    for mine, theirs in zip((again.margins, *again.theta), (solution.margins, *solution.theta),
                            strict=True):  # fmt: skip
        np.testing.assert_array_equal(mine, theirs)
        assert np.array_equal(np.signbit(mine), np.signbit(theirs) & ~np.isnan(theirs))

    def numbers(one: lm.Solution) -> list[float]:
        steps = [x for level in one.levels for pair in level.approached for x in pair]
        return [one.objective, one.times.build, *(level.value for level in one.levels), *steps]

    np.testing.assert_array_equal(numbers(again), numbers(solution))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (math.nan, "null"),
        (math.inf, '"inf"'),
        (-math.inf, '"-inf"'),
        (-0.0, "-0.0"),
        (5e-324, "5e-324"),
    ],
)
def test_every_double_has_one_text(tmp_path: Path, number: float, text: str) -> None:
    pair = np.array([number, 1.0, number])
    kept = replace(BASE, objective=number, margins=pair, times=Times(number, 0.0, 0.0))
    kept.save(tmp_path / "kept.json")
    written = (tmp_path / "kept.json").read_text()
    assert f'"objective":{text}' in written and f'"margins":[{text},1.0,{text}]' in written
    again = lm.Solution.load(tmp_path / "kept.json")
    for mine in (again.objective, again.margins[0], again.margins[2], again.times.build):
        assert math.isnan(number) or (
            mine == number and math.copysign(1, mine) == math.copysign(1, number)
        )
        assert math.isnan(number) is math.isnan(mine)
    # Nothing else stands for a number.
    for wrong in ("nan", "Infinity", "INF", "1.0", "", True, [], {}):
        with pytest.raises(LibraryError):
            lm.Solution.from_json({**json.loads(written), "objective": wrong})
        with pytest.raises(LibraryError):
            lm.Solution.from_json({**json.loads(written), "margins": [wrong, 1.0, 1.0]})


def test_frames_hold_numbers() -> None:
    path = lm.trace(lm.ConstrainedPath(lm.Linear(), DATA), [1.0, 10.0])
    far = replace(path, points=tuple(replace(one, best_margin=math.inf) for one in path.points))
    assert far.to_frame()["best_margin"].dtype == float
    assert list(far.to_frame()["best_margin"]) == [math.inf, math.inf]


def test_paths_and_descents_come_back_equal(tmp_path: Path) -> None:
    for problem in (
        lm.ConstrainedPath(lm.Linear(), DATA),
        lm.MarginPath(lm.Sum([lm.Linear(), lm.Bias("square")]), DATA),
        lm.RegularizationPath(lm.DiagonalNetwork(3), DATA, 1.0),
    ):
        grid = [1.0, 0.1, 0.01] if problem.traits.path_falls else [1.0, 10.0]
        path = lm.trace(problem, grid)
        path.save(tmp_path / "path.json")
        assert lm.TracedPath.load(tmp_path / "path.json", problem).to_json() == path.to_json()
    descent = lm.descend(lm.Linear(), DATA, steps=30, monitors={"first": lambda theta: theta[0]})
    descent.save(tmp_path / "descent.json")
    again = lm.Descent.load(tmp_path / "descent.json")
    assert again.to_json() == descent.to_json() and again.reason is descent.reason
    np.testing.assert_array_equal(again.records.multipliers, descent.records.multipliers)
    for name, values in descent.records.monitors.items():
        np.testing.assert_array_equal(again.records.monitors[name], values)


def test_a_comparison_comes_back_and_says_so(tmp_path: Path) -> None:
    table = lm.compare("linear/l1-axes", ["clarabel"])
    table.save(tmp_path / "table.json")
    again = lm.Table.load(tmp_path / "table.json")
    assert again.to_json() == table.to_json() and again.rows == table.rows
    assert "as a file says" in repr(again) and "nothing was judged again" in again._repr_html_()
    assert "a file" not in repr(table) + table._repr_html_()
    (row,) = table.to_json()
    slow = [{**row, "solve": 1e308}, {**row, "profile": "osqp", "solve": -1e308}]
    assert "10 000×" in lm.Table.from_json(slow)._repr_html_()
    for wrong in ({"verdict": "KKT", "success": False}, {"verdict": "PERFECT"}, {"verdict": None}):
        with pytest.raises(LibraryError, match="contradicts itself"):
            lm.Table.from_json([{**row, **wrong}])


def test_large_arrays_come_back_exactly(tmp_path: Path) -> None:
    wide = np.random.default_rng(0).standard_normal(200_000)
    replace(BASE, theta=(wide,)).save(tmp_path / "wide.json")
    np.testing.assert_array_equal(lm.Solution.load(tmp_path / "wide.json").theta[0], wide)


# -- forged files ----------------------------------------------------------------------------------


def test_a_forged_word_is_no_word() -> None:
    wrong = replace(BASE, theta=(np.array([1.0, 0.0]),), levels=(Level(1.0, (0,)),))
    forged = wrong.to_json()
    assert forged["certificate"]["verdict"] == "GLOBAL", "a forger keeps the word"
    for more in ({}, {"certificate": None, "unjudged": "GLOBAL"}, {"unjudged": "GLOBAL"}):
        read = lm.Solution.from_json({**forged, **more})
        assert read.judgement is None and read.word.startswith("read from a file")
        assert re.search("our verdict +read from a file", read.report())
        assert '<td style="text-align:left">GLOBAL' not in read._repr_html_()
        assert not read.to_frame()["support"].any()
        assert [level.proof for level in read.levels] == [Proof.LOCAL]
        assert not lm.certify(PROBLEM, read).certified
        with pytest.raises(lm.UnjudgedError, match="read from a file"):
            print(read.certificate)
    # Claimed multipliers are measured: lies about them neither help nor harm.
    lied = {**BASE.to_json(), "multipliers": [1e9, -3.0, None]}
    assert lm.certify(PROBLEM, lm.Solution.from_json(lied)).verdict is lm.Verdict.GLOBAL
    level = fields_written(Level(1.0, (0,), multipliers=np.ones(5)), exact=True)
    for wrong_shape in ({"multipliers": [1.0]}, {"levels": [level, level]}, {"theta": [[1.0]]}):
        with pytest.raises(LexmarginError):
            lm.certify(PROBLEM, lm.Solution.from_json({**BASE.to_json(), **wrong_shape}))


def test_a_forged_path_shows_what_its_points_show() -> None:
    problem = lm.ConstrainedPath(lm.Linear(), DATA)
    honest = lm.trace(problem, [1.0, 10.0]).to_json()
    assert honest["shown"] == "global"
    forged = copy.deepcopy(honest)
    forged["points"][0]["theta"] = [1.0, 0.0]
    read = lm.TracedPath.from_json(forged, problem)
    assert read.shown.value == "nothing" and not read.points[0].certified
    assert read.points[0].objective != honest["points"][0]["objective"]
    less = copy.deepcopy(honest)
    for point in less["points"]:
        point |= {"verdict": "KKT", "best_margin": -1.0, "objective": 3.0, "margin": 7.0}
    again = lm.TracedPath.from_json({**less, "assumption_1": False, "shown": "nothing"}, problem)
    assert again.to_json()["shown"] == "global" and again.assumption_1
    assert all(point.best_margin >= point.margin for point in again.points)
    others: list[tuple[dict[str, Any], Any, type[LexmarginError]]] = [
        (honest, lm.MarginPath(lm.Linear(), DATA), LibraryError),
        (honest, PROBLEM, LibraryError),
        (honest, lm.ConstrainedPath(lm.Network((2,)), DATA), lm.ShapeError),
        ({**honest, "points": honest["points"][::-1]}, problem, lm.ParameterError),
        ({**honest, "points": {}}, problem, LibraryError),
        ({**honest, "points": [3]}, problem, LibraryError),
    ]
    for content, other, error in others:
        with pytest.raises(error):
            lm.TracedPath.from_json(content, other)


# -- files that are none ---------------------------------------------------------------------------

BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "no saved result"),
    "pickle": (pickle.dumps({"a": 1}), "no saved result"),
    "list": (b"[]", "Write a table there"),
    "half": (b'{"problem":', "no saved result"),
    "twice": (b'{"a":1,"a":1}', "a key occurs twice"),
    "NaN": (b'{"a":NaN}', "NaN is no number here"),
    "huge": (b'{"a":1e999}', "no finite double"),
    "deep": (b"[" * 100_000, "no saved result"),
    "unknown": (b'{"colour":1}', "unknown key 'colour'"),
    "missing": (b"{}", "key 'problem' is missing"),
}


@pytest.mark.parametrize("name", BAD)
def test_files_that_are_no_results_are_named(name: str, tmp_path: Path) -> None:
    content, said = BAD[name]
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(LexmarginError, match=said):
        lm.Solution.load(tmp_path / "a.json")


def test_places_that_hold_no_result_are_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "none", tmp_path / "fifo"):
        with pytest.raises(LibraryError):
            lm.Solution.load(path)
    for path in (tmp_path, tmp_path / "none" / "a.json", tmp_path / "fifo"):
        with pytest.raises(LibraryError):
            BASE.save(path)


WRONG: tuple[tuple[str, Any], ...] = (
    ("theta", [[1.0, [2.0]]]),
    ("theta", [["1.0", 2.0]]),
    ("theta", [[True, 2.0]]),
    ("theta", 3),
    ("margins", [[1.0], [2.0, 3.0]]),
    ("margins", [math.inf]),
    ("margins", 3.0),
    ("direction", [[1.0]]),
    ("multipliers", None),
    ("seed", 1.5),
    ("ran", "DONE"),
    ("levels", [{"value": 1.0}]),
    ("polished", {"moved": 1.0}),
    ("times", None),
    ("versions", ["a"]),
    ("certificate", "GLOBAL"),
    ("certificate", {"verdict": 3}),
    ("certificate", {}),
    ("others", [{}]),
    ("unjudged", ""),
)


@pytest.mark.parametrize(("key", "value"), WRONG)
def test_values_of_another_kind_are_named(key: str, value: Any) -> None:
    with pytest.raises(LexmarginError):
        lm.Solution.from_json({**BASE.to_json(), key: value})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(key=st.sampled_from(sorted(BASE.to_json())), value=JSON)
def test_a_changed_value_is_read_or_named(key: str, value: Any) -> None:
    try:
        read = lm.Solution.from_json({**BASE.to_json(), key: value})
    except LexmarginError:
        return
    assert read.judgement is None and read.word.startswith("read from a file")
    read.report(), read._repr_html_(), repr(read)
    json.dumps(read.to_json(), allow_nan=False)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    BASE.save(path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(LibraryError, match="No space left"):
            replace(BASE, seed=1).save(path)
    with monkeypatch.context() as patch:
        patch.setattr(stored, "STORED_BYTES", len(before) - 1)
        with pytest.raises(LibraryError, match="too many for a result"):
            replace(BASE, seed=1).save(path)
        with pytest.raises(LibraryError, match="more than"):
            lm.Solution.load(path)
    with monkeypatch.context() as patch:
        patch.setattr(stored, "STORED_VALUES", 10)
        with pytest.raises(LibraryError, match="values, more than 10"):
            lm.Solution.load(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.json"]
