"""Well-formed receipts of false statements, with renewed digests: all are rejected."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.errors import ReceiptError, RejectedReceiptError
from lexmargin.judge import Tolerances, Verdict
from lexmargin.judge.given import Evidence
from lexmargin.judge.receipts.receipt import Receipt, facts_of
from lexmargin.judge.receipts.receipt_evidence import evidence_to_json
from lexmargin.judge.receipts.receipt_format import encoded
from lexmargin.judge.receipts.verify import verify_receipt
from receipt_cases import FAMILIES, Case, points
from receipt_forgeries import Forgery, accepted, blank, forgery, read, signed

SAMPLE = 3
MANY = 100


@pytest.mark.parametrize("family", FAMILIES)
def test_no_false_statement_is_accepted(family: str) -> None:
    refused(family, SAMPLE, 0)


@pytest.mark.long
@pytest.mark.parametrize("family", FAMILIES)
def test_none_of_thousands_of_false_statements_is_accepted(family: str) -> None:
    refused(family, MANY, 1)


def refused(family: str, count: int, seed: int) -> None:
    for index in range(count):
        found = forgery(np.random.default_rng([seed, index]), family)
        assert not accepted(found), (family, index)


def test_there_are_two_thousand_of_them() -> None:
    assert MANY * len(FAMILIES) >= 2000
    assert 60 <= SAMPLE * len(FAMILIES) <= 80


# -- each hole by itself ---------------------------------------------------------------------------


def stated(
    problem: Any, theta: Any, limits: Tolerances | None = None, **changed: Any
) -> dict[str, Any]:
    """Return a receipt with evidence of our own, and what the toolkit concludes from it."""
    content = blank(Case(problem, np.array(theta, dtype=float), {}))
    if limits is not None:
        content["tolerances"] = limits.to_json()
    count = problem.functions.count
    for name, values in changed.items():
        changed[name] = values if name in ("tau", "support") else np.array(values, dtype=float)
    fields: dict[str, Any] = {"tau": 1e-7, "support": range(count), "multipliers": np.zeros(count)}
    fields |= changed
    fields["support"] = np.array(list(fields["support"]), dtype=np.intp)
    content["evidence"] = evidence_to_json(Evidence(**fields))
    content["claims"] = facts_of(read(signed(content))).to_json()
    return signed(content)


AXES = points([[1.0, 0.0], [0.0, 2.0]])


@pytest.mark.parametrize("norm", [1.0, math.inf])
def test_small_multipliers_do_not_hide_complementarity(norm: float) -> None:
    theta, share = ([2.01, 1.0], [2.0, 1.0]) if norm == 1.0 else ([1.0, 0.495], [1.0, 0.0])
    problem = lm.HardMargin(lm.Linear(), AXES, norm)
    for scale in (1e-9, 1e-300):
        content = stated(problem, theta, tau=1e-2, multipliers=np.array(share) * scale)
        assert content["claims"]["verdict"] == Verdict.UNDECIDED
        assert content["claims"]["complementarity"] > 1e-3


def test_subnormal_weights_prove_the_bound_of_their_shape() -> None:
    angle = np.deg2rad(130.0)
    X = [[1.0, 0.0], [np.cos(angle), np.sin(angle)]]
    theta = [np.cos(angle / 2), np.sin(angle / 2), 0.0, 0.0, 1.0, 0.0]
    problem = lm.HardMargin(lm.Network((2,), lm.ReLU()), points(X))
    margin = 0.5 * np.cos(angle / 2)
    for first in range(1, 8):
        weights = [first * 5e-324, 3 * 5e-324]
        content = stated(
            problem, theta, multipliers=[1.0 / (4.0 * margin)] * 2, bound=weights
        )  # fmt: skip
        assert content["claims"]["bound"] >= 0.25 * (1.0 - 1e-12)
        assert content["claims"]["verdict"] != Verdict.GLOBAL


def test_a_far_sample_may_carry_the_multiplier() -> None:
    tilt = 1e-5
    problem = lm.HardMargin(lm.Linear(), points([[1.0, tilt], [2.0, -1e9]]))
    weights = [1.0 / (1.0 + tilt**2), 0.0]
    content = stated(
        problem, [1.0, 0.0], support=[0], multipliers=[1.0, 0.0], refutation=weights
    )  # fmt: skip
    # λ = (1, 1e-14) leaves nothing of ε.
    assert content["claims"]["stationarity_bound"] < 1e-9
    assert content["claims"]["verdict"] == Verdict.UNDECIDED
    # Without that sample it is refuted.
    alone = lm.HardMargin(lm.Linear(), points([[1.0, tilt]]))
    content = stated(
        alone, [1.0, 0.0], support=[0], multipliers=[1.0], refutation=[weights[0]]
    )  # fmt: skip
    assert content["claims"]["verdict"] == Verdict.NOT_STATIONARY


def test_withheld_multipliers_do_not_make_a_point_fritz_john() -> None:
    predictor = lm.Polynomial([[2], [1]])
    both = lm.MarginPath(predictor, points([[-1, 2], [0, 1]]), 1.0, gamma=1.0)
    content = stated(both, [1.0], multipliers=[1e-5, 0.0], singular=[1.0, 0.0])
    assert content["claims"]["verdict"] == Verdict.UNDECIDED
    peak = lm.MarginPath(predictor, points([[-1, 2]]), 1.0, gamma=1.0)
    content = stated(peak, [1.0], multipliers=[1e-5], singular=[1.0])
    assert content["claims"]["verdict"] == Verdict.FRITZ_JOHN
    content = stated(peak, [1.0], multipliers=[1e-5], singular=[0.0])
    assert content["claims"]["verdict"] == Verdict.UNDECIDED


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
@pytest.mark.parametrize("claim", ["margin", "bound"])
def test_margins_are_compared_in_the_unit_of_the_data(scale: float, claim: str) -> None:
    problem = lm.HardMargin(lm.Linear(), points(np.array([[1.0, 0.0], [0.0, 2.0]]) * scale))
    content = blank(Case(problem, np.array([2.0, 1.0]), {}))
    verify_receipt(read(signed(content)))
    content["claims"][claim] *= 1.0 + 1e-8
    with pytest.raises(RejectedReceiptError, match=rf"claims\.{claim}"):
        verify_receipt(read(signed(content)))


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("licq", 1),
        ("independent", 0),
        ("rank", True),
        ("rank", 2.0),
        ("gap", False),
        ("stationarity", -1e-13),
        ("complementarity", -1e-13),
        ("degree", 1),
        ("curvature", 0.0),
    ],
)
def test_claims_have_the_type_and_the_sign_of_what_is_computed(claim: str, value: Any) -> None:
    problem = lm.HardMargin(lm.Linear(), AXES)
    content = blank(Case(problem, np.array([2.0, 1.0]), {}))
    content["claims"][claim] = value
    with pytest.raises(ReceiptError, match=rf"claims\.{claim}"):
        verify_receipt(read(signed(content)))


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 400, "NaN", "Infinity"])
@pytest.mark.parametrize("claim", ["margin", "gap", "rank"])
def test_numbers_beyond_the_doubles_are_bad_input(claim: str, number: str) -> None:
    content = blank(Case(lm.HardMargin(lm.Linear(), AXES), np.array([2.0, 1.0]), {}))
    content["claims"][claim] = "HERE"
    text = json.dumps(content).replace('"HERE"', number).encode()
    with pytest.raises(ReceiptError) as caught:
        verify_receipt(Receipt.from_bytes(text))
    assert not isinstance(caught.value, RejectedReceiptError)


@pytest.mark.parametrize("clause", ["; no other does better", " ", "; the certificate says GLOBAL"])
def test_nothing_may_be_added_to_the_reason(clause: str) -> None:
    content = blank(Case(lm.HardMargin(lm.Linear(), AXES), np.array([2.0, 1.0]), {}))
    content["claims"]["reason"] += clause
    with pytest.raises(RejectedReceiptError, match=r"claims\.reason"):
        verify_receipt(read(signed(content)))


@pytest.mark.parametrize("name", ["bound", "ascent", "refutation", "singular", "levels", "tau"])
def test_evidence_that_nothing_checks_is_refused(name: str) -> None:
    problem = lm.ConstrainedPath(lm.Linear(), AXES, 2.0)
    case = Case(problem, np.array([2.0, 1.0]) / math.sqrt(5.0), {})
    content = blank(case)
    weights = {"n": [0], "values": [1.0]}
    curve = {"direction": encoded(np.array([0.0, 1.0])), "held": [0], "order": 2}
    other: dict[str, Any] = {"ascent": curve, "levels": [weights], "tau": 1e-7}
    content["evidence"][name] = other.get(name, weights)
    with pytest.raises(RejectedReceiptError, match=rf"evidence\.{name}"):
        verify_receipt(read(signed(content)))


def test_a_part_whose_square_underflows_is_not_zero() -> None:
    rows = np.array([[3.0, 0.0], [1.0, 1.0]]) * 1e200
    data = lm.Dataset(rows, [1, -1], one_class=True)
    problem = lm.WSet(lm.Sum([lm.Linear(), lm.Bias("signed-square")]), data, 2)
    # Both margins are 1, and w is turned away from x₁ - x₂.
    with np.errstate(all="ignore"):
        found = lm.certify(problem, np.array([1e-200, 0.0, -math.sqrt(2.0)]))
    assert not any("no feasible point has less" in why for why in found.reasons)
    assert not found.certified


def test_the_oracles_and_the_forger_are_heard() -> None:
    """A verifier that believes everything fails every family."""
    for family in FAMILIES:
        found = forgery(np.random.default_rng([2, len(family)]), family)
        assert found.statement and found.why
        assert isinstance(replace(found, why="").content["digest"], str)
    honest = blank(Case(lm.HardMargin(lm.Linear(), AXES), np.array([2.0, 1.0]), {}))
    assert accepted(Forgery(signed(honest), "GLOBAL", "it is not")).startswith("accepted GLOBAL")
