"""The page of a comparison: one file, no request, sortable, readable in a browser."""

from __future__ import annotations

import html
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from lexmargin.compare import Serial, Table, compare
from lexmargin.compare.pages.colours import palette
from lexmargin.compare.pages.figures import profile_curves
from lexmargin.compare.pages.page import as_page
from lexmargin.compare.pages.table import Row
from lexmargin.compare.performance import performances
from lexmargin.shelf.library import Library
from screens import CHROMIUM, WIDTHS, Browser


@pytest.fixture(scope="module")
def table() -> Table:
    return compare(
        ["linear/norms-two-points-l2", "linear/norms-two-points-l1", "lies/data-times-1e6"],
        ["clarabel", "scs", "daqp", "svc"],
        ["low", "high"],
        executor=Serial(),
    )


@pytest.fixture(scope="module")
def page(table: Table) -> str:
    return as_page(table, Library())


def test_the_page_needs_nothing_but_itself(page: str) -> None:
    assert not re.search(r'(?:src|href)\s*=\s*"(?!data:)', page)
    assert "default-src 'none'" in page and "@import" not in page and "url(" not in page
    assert 'name="viewport"' in page and "@media print" in page


def test_the_page_holds_every_part(page: str, table: Table) -> None:
    for name in ("clarabel", "scs", "daqp", "svc"):
        assert name in page
    for row in table.rows:
        assert row.problem in page
    assert page.count("<svg") >= 4 and "not rank" in page and "f_n(w) ≥ 1" in page
    assert "Known issues" in page


def test_text_of_files_cannot_become_markup(table: Table) -> None:
    title = "<script>alert(1)</script>"
    assert title not in as_page(table, Library(), title)


def test_performance_profiles_by_hand(table: Table) -> None:
    def timed(problem: str, profile: str, seconds: float, success: bool = True) -> Row:
        row = replace(table.rows[0], problem=problem, profile=profile, load=0.0, compile=0.0)
        return replace(row, build=0.0, solve=seconds, success=success, entered=True, limit=10.0)

    rows = [timed("p", "a", 1.0), timed("p", "b", 2.0)]
    rows += [timed("q", "a", 3.0), timed("q", "b", 1.0, False)]
    rows += [timed("r", "a", 1.0, False), timed("r", "b", 1.0, False)]
    found = performances(rows)
    assert [one.steps for one in found] == [((1.0, 0.5), (1.0, 1.0)), ((2.0, 0.5),)]
    # exp(mean log(t + s)) - s: of 1 and 3; of 2 and the limit, 10, where b fails.
    by_hand = [math.sqrt(1.01 * 3.01) - 0.01, math.sqrt(2.01 * 10.01) - 0.01]
    assert [one.whole for one in found] == pytest.approx(by_hand, rel=1e-12)
    drawn = profile_curves(found, {"a": 0, "b": 1})
    assert drawn.count("<polyline") == 2 and "var(--s1," in drawn
    assert performances([]) == () and profile_curves((), {}) == ""


def luminance(code: str) -> float:
    """Relative luminance of ``#rrggbb`` (WCAG 2)."""
    channels = [int(code[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize(("dark", "paper"), [(False, "#ffffff"), (True, "#0d1117")])
@pytest.mark.parametrize("count", [1, 3, 9, 16, 26])
def test_every_solver_has_a_colour_that_is_legible(count: int, dark: bool, paper: str) -> None:
    found = palette(count, dark)
    assert len(set(found)) == count and all(re.fullmatch("#[0-9a-f]{6}", one) for one in found)
    for one in found:
        bright, dim = sorted((luminance(one), luminance(paper)), reverse=True)
        assert (bright + 0.05) / (dim + 0.05) >= 3.0, one
    assert palette(2) != palette(2, dark=True)


def test_every_cell_says_its_failure_in_words(table: Table, page: str) -> None:
    text = html.unescape(page)
    failing = [row for row in table.rows if row.entered and row.failure]
    assert failing and all(row.failure in text for row in failing)
    signs = re.findall(r'<td class="sign (\w+)"', page)
    grades, problems = {r.grade for r in table.rows}, {r.problem for r in table.rows}
    solvers = {row.profile for row in table.rows if row.entered}
    assert len(signs) == len(grades) * len(problems) * len(solvers)
    assert signs.count("done") == sum(row.success for row in table.rows)
    # The most failures first: in the matrix, and in the table of all runs.
    counts = [int(n) for n in re.findall(r'</b> <span class="soft">(\d+)</span>', page)]
    assert counts[: len(counts) // 2] == sorted(counts[: len(counts) // 2], reverse=True)


def test_tables_are_cards_and_figures_have_titles(page: str) -> None:
    """Without a browser: no table but the matrix may hide a column on a phone."""
    for opening in re.findall(r"<table[^>]*>", page):
        assert re.search(r'class="[^"]*\b(cards|matrix)\b', opening), opening
    for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL):
        cells = re.findall(r"<td[^>]*>", row)[1:]
        assert all(re.search("data-label=|bare|sign", cell) for cell in cells), row
    drawings = re.findall(r"<svg (?!class=\"key\").*?</svg>", page, re.DOTALL)
    assert drawings and all("<title>" in one for one in drawings)
    # Paint is the solver's variable, the text's colour, or none: it follows light and dark.
    for paint in re.findall(r'(?:fill|stroke)="([^"]*)"', page):
        assert re.fullmatch(r"var\(--s\d+,#[0-9a-f]{6}\)|none|currentColor", paint), paint


SORTED = """(() => {
  const table = document.querySelector("#runs");
  const heads = [...table.tHead.rows[0].cells];
  const column = heads.findIndex(h => h.textContent.trim() === "stationarity");
  const values = () => [...table.tBodies[0].rows].map(r => r.cells[column].dataset.v);
  const before = values();
  heads[column].querySelector("button").click();
  const up = values(), mark = heads[column].getAttribute("aria-sort");
  heads[column].querySelector("button").click();
  return { before, up, down: values(), mark };
})()"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here to open the page with")
def test_a_browser_sorts_and_asks_for_nothing(page: str, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(page, encoding="utf-8")
    with Browser() as browser:
        for width in WIDTHS:
            for dark in (False, True):
                found = browser.look(file, width, dark)
                assert found.sound and found.cramped == (), found
                assert found.hidden == (), found
        report = browser.run(SORTED)
    numbers = [float(v) for v in report["up"] if v != ""]
    assert len(numbers) > 2 and numbers == sorted(numbers) and report["mark"] == "ascending"
    downward = [float(v) for v in report["down"] if v != ""]
    assert downward == sorted(numbers, reverse=True)
    assert sorted(report["before"]) == sorted(report["up"])
