"""What results look like where people look at them: short names, tables, frames."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.outputs.display import frame, html_table

DATA = lm.Dataset([[2.0, 1.0], [1.0, 3.0], [-1.0, -2.0]], [1, 1, -1])
LONGEST = 120
"""Characters that a line of a notebook shows."""


class _Cells(HTMLParser):
    """The texts of all cells, row by row."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def test_a_problem_is_a_table_of_what_is_asked_and_of_its_route() -> None:
    problem = lm.ConstrainedPath(lm.Linear(), DATA, rho=3)
    shown = _Cells(problem._repr_html_())
    assert shown.open == [] and dict(map(tuple, shown.rows))["route"] == problem.explain()
    # Nothing that is printed is left out.
    printed = str(problem.program())
    for word, text in problem.program().statement:
        assert [word, text] in shown.rows and text in printed
    assert len(printed.splitlines()) == len(problem.program().statement) + 1


DEEP = lm.Network((64, 32, 16), lm.LeakyReLU(0.25), bias="all")
REPRS = [
    (lm.HardMargin(lm.Linear(), DATA), "<HardMargin of Linear() on 3 × 2 samples>"),
    (
        lm.MarginPath(lm.Network((3,), lm.ReLU(power=2)), DATA, rho=2, norm="inf"),
        "<MarginPath of Network([3], ReLU(power=2.0)) on 3 × 2 samples: rho=2.0, norm=inf>",
    ),
    (
        lm.WSet(lm.Sum([lm.Linear(), lm.Bias("plain")]), DATA),
        "<WSet of Sum([Member(Linear()), Member(Bias(form='plain'))]) on 3 × 2 samples>",
    ),
]


@pytest.mark.parametrize(("problem", "text"), REPRS)
def test_a_problem_is_one_line(problem: lm.HardMargin, text: str) -> None:
    assert repr(problem) == text


def test_every_problem_is_one_line() -> None:
    for kind in (lm.MarginPath, lm.ConstrainedPath, lm.Lexicographic):
        for predictor in (DEEP, lm.Linear(), lm.Sum([lm.Linear(), lm.Bias("signed-square")])):
            text = repr(kind(predictor, DATA))
            assert len(text) < LONGEST and text.startswith(f"<{kind.__name__} of "), text
    assert len(repr(lm.load("relu/xor"))) < LONGEST


def test_a_solution_is_one_line_a_table_and_a_frame() -> None:
    solution = lm.solve(lm.HardMargin(lm.Linear(), DATA))
    assert len(repr(solution)) < LONGEST and "hard-margin: GLOBAL" in repr(solution)
    shown = _Cells(solution._repr_html_())
    assert shown.open == [] and ["our verdict", "GLOBAL"] in shown.rows
    table = solution.to_frame()
    assert solution.certificate is not None
    np.testing.assert_array_equal(table["margin"], solution.margins)
    np.testing.assert_array_equal(table["multiplier"], solution.certificate.multipliers)
    assert list(np.flatnonzero(table["support"])) == list(solution.certificate.support)
    assert (table["multiplier"][~table["support"]] == 0.0).all()


def test_a_path_is_one_line_a_table_and_a_frame() -> None:
    path = lm.trace(lm.MarginPath(lm.Linear(), DATA), [1.0, 2.0])
    assert len(repr(path)) < LONGEST and "2 points" in repr(path)
    table = path.to_frame()
    assert list(table["rho"]) == [1.0, 2.0] and list(table["verdict"]) == ["GLOBAL", "GLOBAL"]
    shown = _Cells(path._repr_html_())
    assert shown.open == [] and len(shown.rows) == 3 and shown.rows[0] == list(table.columns)


def test_texts_are_text_and_not_markup() -> None:
    assert _Cells(html_table([("<b>", "a & b")])).rows == [["<b>", "a & b"]]


def test_a_frame_without_pandas_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(lm.MissingBackendError, match="pip install 'pandas'"):
        frame({"a": [1]})


def test_a_solved_file_has_its_own_name(tmp_path: Path) -> None:
    problem = lm.HardMargin(lm.Linear(), DATA)
    lm.save(problem, tmp_path / "three-points.toml", title="Three points")
    solution = lm.solve(tmp_path / "three-points.toml")
    assert solution.problem == "three-points" and solution.formulation == "hard-margin"
    assert solution.report().startswith("problem         three-points (hard-margin)\n")
    assert lm.solve(problem).problem == "hard-margin"


def test_an_earlier_solution_is_a_start() -> None:
    problem = lm.HardMargin(lm.Network((2,), lm.ReLU(power=2)), DATA)
    first = lm.solve(problem, starts=1)
    again = lm.solve(problem, start=first)
    assert np.allclose(again.direction, first.direction, atol=1e-6)


def test_nothing_to_judge_is_said_in_words() -> None:
    problem = lm.HardMargin(lm.Linear(), DATA)
    solution = replace(lm.solve(problem), judgement=None, ran=lm.Ran.TIME_LIMIT)
    assert "our verdict     none: ended by the time limit\n" in solution.report()
