"""The rows of the paper: each finding is computed, and a planted falsehood turns it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from lexmargin.paper import (
    BOOKS,
    PAPER,
    Effort,
    Finding,
    Kind,
    Measurement,
    Passage,
    Reading,
    rows_of,
    statement,
)
from lexmargin.plots import save

HOLDS, DIFFERS = Finding.HOLDS, Finding.DIFFERS

SENTENCES = {
    "Abstract": 4,
    "1": 48,
    "Contributions": 16,
    "2": 16,
    "2.1": 2,
    "2.2": 21,
    "2.3": 13,
    "3": 6,
    "3.1": 69,
    "3.2": 71,
    "4": 6,
    "4.1": 66,
    "4.2": 21,
    "5": 15,
}
"""Of the paper's sections, counted in its text; displayed formulas count."""

NUMBERED = {
    "eq. ": 23,
    "Lemma ": 5,
    "Theorem ": 4,
    "Definition ": 6,
    "Assumption ": 5,
    "Example ": 3,
    "Remark ": 2,
    "Corollary ": 1,
    "Claim ": 1,
}


@pytest.mark.backend("cvxpy", "pyomo", "casadi", "cyipopt")
@pytest.mark.parametrize("name", [name for book in BOOKS for name in book.statements])
def test_the_finding_is_computed_and_what_is_planted_turns_it(name: str, tmp_path: Path) -> None:
    stated = statement(name)
    measured = stated.measure(Effort.QUICK)
    assert [check for check in measured.checks if not check.certified] == []
    readings = {check.reading for check in measured.checks}
    found = {reading: measured.finding(reading) for reading in readings}
    assert found.pop(Reading.PAPER) is (DIFFERS if stated.corrected else HOLDS)
    assert list(found.values()) == ([HOLDS] if stated.corrected else [])

    planted = stated.planted()
    assert {plant.reading for plant in planted} == readings
    for plant in planted:
        assert type(plant.stated) is type(stated) and plant.stated != stated and plant.change
        turned = HOLDS if measured.finding(plant.reading) is DIFFERS else DIFFERS
        assert plant.stated.measure(Effort.QUICK).finding(plant.reading) is turned, plant.change

    stored = Measurement.from_json(json.loads(json.dumps(measured.to_json(), allow_nan=False)))
    assert stored == measured
    figures = [stated.draw(drawn) for drawn in (measured, stored)]
    assert (figures[0] is None) is (not stated.caption)
    if stated.caption:
        first, again = (
            [path.read_bytes() for path in save(figure, tmp_path / part, "figure")]
            for part, figure in zip(("first", "again"), figures, strict=True)
        )
        assert first == again


@pytest.mark.backend("cvxpy", "pyomo", "casadi", "cyipopt")
@pytest.mark.parametrize("name", ["example-2", "svm-with-bias", "theorem-3"])
def test_measured_again_every_number_is_the_same(name: str) -> None:
    """Bit for bit, and so is the figure, which is drawn from these numbers alone."""
    stated = statement(name)
    assert stated.measure(Effort.QUICK) == stated.measure(Effort.QUICK)


def test_every_sentence_of_the_paper_is_in_a_passage() -> None:
    counted: Counter[str] = Counter()
    for passage in Passage:
        counted[passage.section] += passage.sentences
    assert counted == SENTENCES and list(counted) == list(SENTENCES)


@pytest.mark.parametrize(("word", "count"), NUMBERED.items())
def test_every_number_of_the_paper_is_in_one_passage_in_order(word: str, count: int) -> None:
    numbers: list[int] = []
    for passage in Passage:
        for part in passage.called.split(", "):
            if part.startswith(word):
                low, *rest = part.removeprefix(word).replace(" and ", " to ").split(" to ")
                numbers += range(int(low), int(rest[0] if rest else low) + 1)
    assert numbers == list(range(1, count + 1))


def test_every_claim_has_its_row_and_every_row_its_place() -> None:
    missing = [p for p in Passage if p.kind is Kind.CLAIM and not rows_of(p)]
    assert missing == []
    assert all(statement(name).passages for name in PAPER.statements)
    earlier = [p for p in Passage if p.kind is Kind.EARLIER and rows_of(p)]
    assert earlier == []
