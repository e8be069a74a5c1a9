"""Receipts of words that rest on multipliers in long numbers say the same, or are refused."""

from __future__ import annotations

import copy
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.errors import LexmarginError
from lexmargin.formulations import Formulation
from lexmargin.inputs.json_text import canonical
from lexmargin.judge import DEFAULT, Verdict
from lexmargin.judge.levels.long_words import within
from lexmargin.judge.receipts.receipt import Receipt, receipt
from lexmargin.judge.receipts.receipt_format import digest
from lexmargin.judge.receipts.verify import verify_receipt
from lexmargin.separation.long_margins import long_margin, long_multipliers
from lexmargin.separation.long_measures import Measured, measured
from test_long_margins import spread


def problems(kind: str, seed: int, p: float) -> list[Formulation]:
    Z = spread(kind, seed)
    data = lm.Dataset(Z, np.ones(len(Z)), one_class=True)
    found: list[Formulation] = [
        lm.HardMargin(lm.Linear(), data, norm=p),
        lm.MarginPath(lm.Linear(), data, 10.0, norm=p, gamma=1.0),
        lm.Lexicographic(lm.Linear(), data, norm=p),
    ]
    if p == 2.0:
        found += [lm.ScaledMargin(lm.Linear(), data, gamma=2.0), lm.WSet(lm.Linear(), data)]
    return found


@pytest.mark.parametrize("p", [1.0, 1.3, 2.0, 3.0, math.inf])
@pytest.mark.parametrize("kind", ["rows", "columns", "small"])
def test_a_receipt_says_what_the_certificate_says(kind: str, p: float) -> None:
    long = 0
    for problem in problems(kind, 6, p):
        solution = lm.solve(problem)
        certificate = solution.certificate
        assert certificate is not None
        written = receipt(problem, solution.theta, certificate)
        long += bool(written.evidence.long)
        read = Receipt.from_bytes(written.to_bytes())
        assert verify_receipt(read).verdict is written.verdict
        # Levels that were proved in rationals are searched for, which a receipt does not do.
        searched = isinstance(problem, lm.Lexicographic) and p in (1.0, math.inf)
        if certificate.verdict is Verdict.GLOBAL and not searched:
            assert written.verdict is Verdict.GLOBAL, problem
    if kind == "small" and p in (1.3, 2.0, 3.0):
        assert long


def _written(seed: int = 6) -> dict[str, Any]:
    for problem in problems("small", seed, 2.0):
        solution = lm.solve(problem)
        assert solution.certificate is not None
        written = receipt(problem, solution.theta, solution.certificate)
        if written.evidence.long:
            assert written.verdict is Verdict.GLOBAL
            return copy.deepcopy(dict(written.content))
    raise AssertionError("no receipt has multipliers in long numbers")


def _changed(content: dict[str, Any], change: Any) -> Receipt:
    change(content["evidence"])
    content["digest"] = digest({k: v for k, v in content.items() if k != "digest"})
    return Receipt.from_bytes(canonical(content))


def _scaled(evidence: dict[str, Any]) -> None:
    term = evidence["long"][0]["values"]
    term[int(np.argmax(term))] *= 1.0 + 1e-6


def _negative(evidence: dict[str, Any]) -> None:
    evidence["long"][0]["values"][0] *= -1.0


def _empty(evidence: dict[str, Any]) -> None:
    evidence["long"] = []


def _many(evidence: dict[str, Any]) -> None:
    evidence["long"] = evidence["long"] * 40


def _left_out(evidence: dict[str, Any]) -> None:
    del evidence["long"]


@pytest.mark.parametrize("change", [_scaled, _negative, _empty, _many, _left_out])
def test_slightly_wrong_multipliers_are_rejected(change: Any) -> None:
    content = _written()
    verify_receipt(Receipt.from_bytes(canonical(content)))
    with pytest.raises(LexmarginError):
        verify_receipt(_changed(content, change))


def test_evidence_in_long_numbers_is_refused_where_nothing_is_linear() -> None:
    data = lm.Dataset([[1.0, 0.5], [0.25, 1.0]], [1, 1], one_class=True)
    problem = lm.HardMargin(lm.DiagonalNetwork(2), data)
    solution = lm.solve(problem)
    assert solution.certificate is not None
    content = copy.deepcopy(dict(receipt(problem, solution.theta, solution.certificate).content))

    def change(evidence: dict[str, Any]) -> None:
        evidence["long"] = [evidence["multipliers"]]

    with pytest.raises(LexmarginError, match="no use"):
        verify_receipt(_changed(content, change))


@pytest.mark.parametrize("kind", ["rows", "columns", "far", "small"])
def test_bounds_are_enclosures_in_fractions(kind: str) -> None:
    Z = spread(kind, 8)
    long = long_multipliers(Z, math.inf, math.inf)
    assert long is not None
    found = long_margin(Z, math.inf, math.inf)
    assert found is not None
    theta = found.theta * np.array([1.0 - 2.0**-20, *[1.0] * (Z.shape[1] - 1)])
    longest = max(abs(Fraction(t)) for t in theta.tolist())
    point = [Fraction(t) / longest for t in theta.tolist()]
    rows = [[Fraction(v) for v in row] for row in Z.tolist()]
    margins = [sum(v * t for v, t in zip(row, point, strict=True)) for row in rows]
    lam = [sum(Fraction(t) for t in column) for column in np.array(long.terms).T.tolist()]
    pull = [sum(a * row[j] for a, row in zip(lam, rows, strict=True)) for j in range(Z.shape[1])]
    size = sum(abs(v) for v in pull)
    exact = measured(Z, theta, long.terms, math.inf)
    along = sum(t * v for t, v in zip(point, pull, strict=True))
    assert exact is not None and along > 0
    gap = 1 - min(margins) / (size / sum(lam))
    slack = sum(a * (m - min(margins)) for a, m in zip(lam, margins, strict=True)) / along
    for shown, true in (
        (exact.bound, size / sum(lam)),
        (exact.gap, gap),
        (exact.distance, 1 - along / size),
        (exact.slackness, slack),
    ):
        assert Fraction(shown) >= true
        assert float(true) == pytest.approx(shown, rel=1e-14)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("margin", 0.0), ("bound", math.inf), ("gap", 2.0), ("distance", 2.0), ("slackness", 2.0)],
)
def test_each_measure_must_be_within_its_tolerance(field: str, wrong: float) -> None:
    sound = {"margin": 1.0, "bound": 1.0, "gap": 0.0, "distance": 0.0, "slackness": 0.0}
    limit = {
        "gap": DEFAULT.gap,
        "distance": DEFAULT.stationarity,
        "slackness": DEFAULT.complementarity,
    }
    assert within(Measured(euler=1.0, **sound), DEFAULT)
    beyond = wrong * limit.get(field, 1.0)
    assert not within(Measured(euler=1.0, **{**sound, field: beyond}), DEFAULT)
