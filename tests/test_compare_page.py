"""The page of a comparison: one file, no request, sortable, readable in a browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lexmargin.compare import Serial, Table, compare
from lexmargin.compare.pages.figures import Series, dolan_more, profile_curves
from lexmargin.compare.pages.page import as_page
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
    from dataclasses import replace

    def timed(problem: str, profile: str, seconds: float, success: bool = True) -> object:
        row = replace(table.rows[0], problem=problem, profile=profile)
        return replace(row, build=0.0, solve=seconds, success=success, entered=True)

    rows = [timed("p", "a", 1.0), timed("p", "b", 2.0)]
    rows += [timed("q", "a", 3.0), timed("q", "b", 1.0, False)]
    rows += [timed("r", "a", 1.0, False), timed("r", "b", 1.0, False)]
    found = dolan_more(rows)  # type: ignore[arg-type]
    assert found == [Series("a", ((1.0, 0.5), (1.0, 1.0))), Series("b", ((2.0, 0.5),))]
    assert "polyline" in profile_curves(found, {"a": 0, "b": 1})
    assert dolan_more([]) == [] and profile_curves([], {}) == ""


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
                assert found.hidden == () or width > 390, found
        report = browser.run(SORTED)
    numbers = [float(v) for v in report["up"] if v != ""]
    assert len(numbers) > 2 and numbers == sorted(numbers) and report["mark"] == "ascending"
    downward = [float(v) for v in report["down"] if v != ""]
    assert downward == sorted(numbers, reverse=True)
    assert sorted(report["before"]) == sorted(report["up"])
