"""Times of a comparison: shifted geometric means, performance profiles, and a file to cite."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from lexmargin.compare import Table
from lexmargin.compare.citation import as_citation
from lexmargin.compare.pages.table import table_of
from lexmargin.compare.performance import SHIFT, performances, shifted_mean
from lexmargin.shelf.library import Library
from test_compare_table import answered

NONE = {"verdict": None, "certified": False, "margin": None, "direction": None, "claim": "NOTHING"}


def timed(problem: str, profile: str, seconds: float, **changes: Any) -> Any:
    found = answered(f"{problem} {profile}", problem=problem, profile=profile, **changes)
    found.measures.update(load=0.5, compile=0.25, build=0.25, solve=seconds)
    return found


@pytest.fixture(scope="module")
def table() -> Table:
    answers = [
        timed("p", "fast", 1.0),
        timed("p", "slow", 3.0),
        timed("q", "fast", 2.0, **NONE),
        timed("q", "slow", 4.0),
        # Nobody solves r, and one does not handle it.
        timed("r", "fast", 0.1, **NONE),
        timed("r", "slow", 0.1, ran="NOT_HANDLED", **NONE),
        timed("p", "absent", 0.0, ran="MISSING", **NONE),
    ]
    return table_of(answers, {}, {"processor": 'a "quoted" one', "cores": "2"})


def test_a_shifted_mean_is_what_it_says() -> None:
    assert shifted_mean([3.0]) == pytest.approx(3.0)
    assert shifted_mean([1.0, 4.0], 0.0) == pytest.approx(2.0)
    assert shifted_mean([0.0, 0.0]) == pytest.approx(0.0, abs=1e-15)
    # A time that is nothing beside the shift does not pull the mean to 0.
    assert shifted_mean([1e-12, 1.0]) == pytest.approx(math.sqrt(SHIFT * (1 + SHIFT)) - SHIFT)


def test_failures_count_with_the_limit_and_unsolved_problems_not_at_all(table: Table) -> None:
    fast, slow, absent = performances(table.rows)
    assert (fast.problems, slow.problems, absent.problems) == (2, 2, 0)
    assert fast.solving == pytest.approx(shifted_mean([1.0, 20.0]))
    assert slow.solving == pytest.approx(shifted_mean([3.0, 4.0]))
    assert fast.whole == pytest.approx(shifted_mean([2.0, 20.0]))
    assert absent.solving is None and absent.steps == ()
    assert fast.steps == ((1.0, 0.5),) and slow.steps == ((1.0, 0.5), (2.0, 1.0))
    assert json.loads(json.dumps(fast.to_json()))["steps"] == [[1.0, 0.5]]


def test_a_citation_says_what_when_and_where(table: Table) -> None:
    text = as_citation(table, Library())
    fields = dict(
        line.split(": ", 1) for line in text.splitlines() if line[0] not in " -" and ": " in line
    )
    assert fields["cff-version"] == "1.2.0" and fields["type"] == "dataset"
    assert json.loads(fields["title"]) == "2 solvers on 3 max-margin problems"
    assert 'a "quoted" one' in json.loads(fields["abstract"])
    assert text.count("  - type: software") == 3 and "absent" not in text
    assert as_citation(Table(table.rows[::-1], machine=table.machine), Library()).count(
        "version"
    ) == text.count("version")
    fewer = as_citation(Table(table.rows[:2]), Library())
    assert fewer.splitlines()[4] != text.splitlines()[4]
