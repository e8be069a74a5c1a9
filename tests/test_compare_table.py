"""How answers are judged together: honesty, the best margin, KKT points, the two figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lexmargin.compare.job_run import Answered
from lexmargin.compare.pages.table import Table, table_of
from lexmargin.compare.records import Honesty, RowStatus
from lexmargin.shelf.library import Library

PROBLEM = "linear/norms-two-points-l2"
ANSWER = Library().problem(PROBLEM).answer


def answered(key: str, **changes: Any) -> Answered:
    unit = {
        "problem": changes.pop("problem", PROBLEM),
        "profile": changes.pop("profile", "a"),
        "grade": {"name": "low", "tolerance": changes.pop("asked", 1e-3)},
        "seed": 0,
        "scaled": False,
        "limits": {"seconds": 20.0, "mebibytes": 512},
        "versions": {},
    }
    result = {
        "ran": "FINISHED",
        "claim": "OPTIMAL",
        "raw_status": "",
        "verdict": "KKT",
        "certified": True,
        "stationarity": 0.0,
        "complementarity": 0.0,
        "feasibility": 0.0,
        "margin": 0.5,
        "objective": 1.0,
        "direction": [1.0, 0.0],
        "iterations": 1,
        "reasons": [],
        "feasible": None,
        "largest_margin": True,
        "own_word": "unmeasured",
        **dict.fromkeys(("own_primal", "own_dual", "own_gap", "own_excess")),
        "unit": unit,
    }
    return Answered(key, result | changes, {"solve": 1.0})


def judged(*answers: Answered) -> Table:
    return table_of(answers, {PROBLEM: ANSWER})


BAD = {"verdict": "NOT_STATIONARY", "certified": False}
NEAR = {**BAD, "margin": 0.894}
AIMLESS = {**BAD, "largest_margin": False}
NONE = {"verdict": None, "certified": False, "margin": None, "direction": None}
CASES = [
    ({"claim": "OPTIMAL"}, Honesty.TRUE),
    ({"claim": "LOCALLY_OPTIMAL"}, Honesty.TRUE),
    ({"claim": "NOTHING"}, Honesty.SILENT),
    ({"claim": "OPTIMAL", **BAD}, Honesty.FALSE),
    ({"claim": "LOCALLY_OPTIMAL", "verdict": "SADDLE", "certified": False}, Honesty.FALSE),
    ({"claim": "OPTIMAL", "verdict": "UNDECIDED", "certified": False}, Honesty.OPEN),
    ({"claim": "OPTIMAL", **NONE}, Honesty.OPEN),
    ({"claim": "NOTHING", **BAD}, Honesty.SILENT),
    ({"claim": "INFEASIBLE", **NONE}, Honesty.FALSE),
    ({"claim": "LOCALLY_INFEASIBLE", **NONE}, Honesty.OPEN),
    ({"claim": "UNBOUNDED", **NONE}, Honesty.FALSE),
    # By its own measure too, by ours alone, and what nobody has asked for.
    ({**BAD, "own_word": "met"}, Honesty.NOT_MEANT),
    ({**NEAR, "own_word": "met"}, Honesty.COARSE),
    ({**NEAR, "own_word": "met", "stationarity": 0.9}, Honesty.COARSE),
    ({**NEAR, "own_word": "missed"}, Honesty.FALSE),
    ({**BAD, "own_word": "missed"}, Honesty.FALSE),
    (NEAR, Honesty.FALSE),
    ({**NEAR, "asked": None}, Honesty.COARSE),
    ({**BAD, "asked": None}, Honesty.FALSE),
    # Where margins are not the aim: the residuals, or the objective of a certified answer.
    ({**AIMLESS, "own_word": "met", "stationarity": 1e-5}, Honesty.COARSE),
    ({**AIMLESS, "own_word": "met", "stationarity": 0.9}, Honesty.NOT_MEANT),
    ({**AIMLESS, "own_word": "met", "feasibility": 0.5}, Honesty.NOT_MEANT),
    ({"verdict": "SADDLE", "certified": False, "own_word": "met"}, Honesty.NOT_MEANT),
    ({**BAD, "verdict": "NOT_SEPARATING", "own_word": "met"}, Honesty.NOT_MEANT),
    ({"claim": "INFEASIBLE", "own_word": "met", "feasible": True, **NONE}, Honesty.NOT_MEANT),
    ({"claim": "INFEASIBLE", "own_word": "missed", "feasible": True, **NONE}, Honesty.FALSE),
    ({"claim": "OPTIMAL", "feasible": False, "own_word": "met", **NONE}, Honesty.FALSE),
]


@pytest.mark.parametrize(("changes", "honesty"), CASES)
def test_a_claim_against_the_verdict(changes: dict[str, Any], honesty: Honesty) -> None:
    (row,) = judged(answered("x", **changes)).rows
    assert row.honesty is honesty and row.success is bool(changes.get("certified", True))
    assert (row.failure == "") is row.success
    said = {
        Honesty.FALSE: "refuted",
        Honesty.NOT_MEANT: "true by its own measure",
        Honesty.COARSE: "less accurate than what is verified",
        Honesty.OPEN: "nobody has proved or refuted",
    }
    assert said.get(honesty, "") in row.failure
    if "missed" in changes.values():
        assert "false by its own measure too" in row.failure


def test_an_objective_near_a_certified_one_is_coarse() -> None:
    given = {**AIMLESS, "own_word": "met", "stationarity": 0.9}
    rows = judged(
        answered("x", **AIMLESS | {"certified": True, "verdict": "KKT"}),
        answered("y", objective=1.005, **given),
        answered("z", objective=1.5, **given),
    ).rows
    assert [row.honesty for row in rows] == [Honesty.TRUE, Honesty.COARSE, Honesty.NOT_MEANT]


ENDS = [
    ("MISSING", "not installed here: why"),
    ("NOT_HANDLED", "does not handle it: why"),
    ("TIME_LIMIT", "ended by the time limit: why"),
    ("ITERATION_LIMIT", "ended by its limit of iterations: why"),
    ("CRASHED", "crashed: why"),
    ("NUMERICAL", "gave up: why"),
    ("FINISHED", "no answer: why"),
]


@pytest.mark.parametrize(("ran", "said"), ENDS)
def test_every_failure_is_told_in_words(ran: str, said: str) -> None:
    (row,) = judged(answered("x", ran=ran, claim="NOTHING", raw_status="why", **NONE)).rows
    assert row.failure == said and not row.success


@pytest.mark.parametrize(
    ("proof", "honesty"), [(True, Honesty.FALSE), (False, Honesty.TRUE), (None, Honesty.OPEN)]
)
def test_infeasibility_is_decided_by_proof(proof: bool | None, honesty: Honesty) -> None:
    claim = answered("x", problem="unknown", claim="INFEASIBLE", feasible=proof, **NONE)
    (row,) = table_of([claim], {}).rows
    assert row.honesty is honesty and row.success is (honesty is Honesty.TRUE)


def test_infeasibility_is_refuted_by_a_witness_of_another_solver() -> None:
    claim = answered("x", problem="unknown", claim="INFEASIBLE", **NONE)
    witness = answered("y", problem="unknown", margin=1e-9, **BAD)
    assert table_of([claim, witness], {}).rows[0].honesty is Honesty.FALSE


def test_gaps_points_and_angles_are_taken_from_the_best() -> None:
    best = 2 / np.sqrt(5)
    turned = [float(np.cos(0.1)), float(np.sin(0.1))]
    near = [float(np.cos(0.1 + 1e-5)), float(np.sin(0.1 + 1e-5))]
    rows = judged(
        answered("x", margin=best / 2, direction=turned),
        answered("y", margin=best),
        answered("z", margin=best / 2, direction=near),
        answered("w", margin=best / 4, direction=turned, **BAD),
    ).rows
    assert [row.point for row in rows] == ["B", "A", "B", None]
    gaps = [row.margin_gap for row in rows]
    assert gaps == pytest.approx([0.5, 0.0, 0.5, 0.75], abs=1e-12)
    assert [row.angle for row in rows] == pytest.approx([0.1, 0.0, 0.1 + 1e-5, 0.1])


def test_an_uncertified_margin_does_not_set_the_standard() -> None:
    rows = judged(answered("x", margin=100.0, **BAD), answered("y", margin=2 / np.sqrt(5))).rows
    assert rows[1].margin_gap == pytest.approx(0.0)


def test_success_and_honesty_are_two_figures() -> None:
    table = judged(
        answered("1"),
        answered("2", claim="NOTHING", **NONE),
        answered("3", **BAD),
        answered("4", ran="MISSING", claim="NOTHING", **NONE),
        answered("5", ran="NOT_HANDLED", claim="NOTHING", **NONE),
        answered("6", ran="TIME_LIMIT", claim="NOTHING", **NONE),
    )
    (summary,) = table.summaries()
    assert (summary.entered, summary.certified, summary.missing, summary.not_handled) == (
        4,
        1,
        1,
        1,
    )
    assert summary.success == 0.25 and summary.honesty == 0.5
    assert [row.key for row in table.lies()] == ["3"]
    (absent,) = judged(answered("4", ran="MISSING", claim="NOTHING", **NONE)).summaries()
    assert absent.success is None and absent.honesty is None
    assert RowStatus.TIME_LIMIT.entered and not RowStatus.MISSING.entered
