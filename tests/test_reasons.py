"""The reasons that may be printed: a closed list, which the page on conventions shows."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.judge import Verdict
from lexmargin.judge.reasons import BESIDE, REASONS, template_of, words_of

PAGE = Path(__file__).resolve().parent.parent / "docs" / "conventions.md"
EVERY = [*(template for templates in REASONS.values() for template in templates), *BESIDE]


def test_the_page_lists_every_reason_and_every_word() -> None:
    text = re.sub(r"\s+", " ", PAGE.read_text(encoding="utf-8"))
    assert [template for template in EVERY if template not in text] == []
    assert [word for word in Verdict if f"| `{word}` |" not in text] == []
    assert set(REASONS) == set(Verdict)


@pytest.mark.parametrize(
    "reason",
    [
        "",
        "because I say so",
        "ε and δ are within their tolerances; no other does better",
        "ε and δ are within their tolerances ",
        "level 1: because I say so",
        "the margin is close below the best bound found",
        "no direction has a larger margin (a long story)",
    ],
)
def test_other_reasons_are_not_listed(reason: str) -> None:
    assert template_of(reason) is None and words_of(reason) == ()


def test_an_unlisted_reason_fails_the_test_that_makes_it() -> None:
    from dataclasses import replace

    problem = lm.HardMargin(lm.Linear(), lm.Dataset([[1, 0], [0, 2]], [1, 1], one_class=True))
    found = lm.certify(problem, [2, 1])
    with pytest.raises(AssertionError, match="no listed reason"):
        replace(found, reasons=("because I say so",))


def test_every_word_has_a_reason_of_its_own() -> None:
    """What is printed always gives the word that is printed above it."""
    rng, seen = np.random.default_rng(0), set()
    shapes = (
        lm.Linear(),
        lm.DiagonalNetwork(2),
        lm.DiagonalNetwork(3),
        lm.Network((2,), lm.ReLU()),
    )
    for predictor in shapes:
        for _ in range(12):
            X = rng.uniform(0.1, 1.0, (int(rng.integers(1, 4)), 2))
            problem = lm.HardMargin(predictor, lm.Dataset(X, [1] * len(X), one_class=True))
            theta = np.abs(rng.standard_normal(problem.functions.size))
            found = lm.certify(problem, theta * rng.choice([-1.0, 1.0, 1.0]))
            words = {word for reason in found.reasons for word in words_of(reason)}
            assert found.verdict in words, found.reasons
            seen.add(found.verdict)
    assert {Verdict.NOT_SEPARATING, Verdict.NOT_STATIONARY} <= seen
