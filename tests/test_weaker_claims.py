"""Receipts that claim less than is shown now are valid; those that claim more, or else, are not."""

from __future__ import annotations

import copy
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lexmargin as lm
import test_receipts
import test_receipts_programs
from lexmargin.errors import ReceiptError, RejectedReceiptError
from lexmargin.judge import Verdict
from lexmargin.judge.given import ESTABLISHED
from lexmargin.judge.receipts.claims import CLAIMS, IMPLIED
from lexmargin.judge.receipts.facts import strictly
from lexmargin.judge.receipts.receipt import Receipt, facts_of, receipt
from lexmargin.judge.receipts.verify import Verification, verify_receipt
from receipt_forgeries import ABOVE, BELOW, BESIDE, RESTS, TRUE_TOO, signed
from test_certificate_kinks import held_back

OLD = (Path(__file__).parent / "old_receipts.jsonl").read_bytes().splitlines()
"""Written by earlier versions, and never to be written again."""


def again(content: dict[str, Any]) -> Verification:
    return verify_receipt(Receipt.from_bytes(json.dumps(signed(content)).encode()))


def written(problem: Any, theta: Any) -> dict[str, Any]:
    point = np.array(theta, dtype=float)
    return copy.deepcopy(dict(receipt(problem, point, lm.certify(problem, point)).content))


# -- what was written once -------------------------------------------------------------------------


@pytest.mark.parametrize("index", range(len(OLD)))
def test_old_receipts_verify(index: int) -> None:
    old = Receipt.from_bytes(OLD[index])
    assert old.to_bytes().rstrip() == OLD[index]
    found = verify_receipt(old)
    word = old.verdict
    assert found.verdict is word or (found.verdict, word) in TRUE_TOO or found.more["verdict"]
    assert ("verdict" in found.more) is (found.verdict is not word)


def test_what_is_shown_beyond_an_old_receipt_is_told() -> None:
    found = [verify_receipt(Receipt.from_bytes(old)) for old in OLD]
    told = [(one.receipt.verdict.value, sorted(one.more)) for one in found if one.more]
    assert told == [
        ("STRICT_LOCAL", ["gap", "reason", "verdict"]),
        ("KKT", ["curvature", "gap", "reason", "verdict"]),
        ("STRICT_LOCAL", ["bound", "gap"]),
        ("STRICT_LOCAL", ["gap", "reason", "verdict"]),
    ]
    risen = next(one for one in found if one.more)
    assert risen.verdict is Verdict.GLOBAL
    assert "less is claimed than is shown below: verdict, reason, gap" in risen.report()
    assert risen.to_json()["more"]["verdict"] == "GLOBAL"


# -- words -----------------------------------------------------------------------------------------

KINKED, AT = held_back(math.pi / 3.0)
# Of a polynomial no table knows a bound.
PARTS = [lm.Member(lm.Polynomial([[1, 1]]), (2,)), lm.Member(lm.Network((1,), lm.ReLU()), (0, 1))]
EXAMPLES: dict[Verdict, Any] = {
    Verdict.GLOBAL: test_receipts.CASES["linear"],
    Verdict.STRICT_LOCAL: test_receipts.CASES["strict-local"],
    Verdict.SADDLE: test_receipts.CASES["saddle"],
    Verdict.KKT: test_receipts_programs.CASES["regularization-deep"],
    Verdict.CLARKE_KKT: (lm.HardMargin(lm.Sum(PARTS), KINKED.data), AT, Verdict.CLARKE_KKT),
    Verdict.UNDECIDED: test_receipts_programs.CASES["levels-wrong"],
    Verdict.FRITZ_JOHN: test_receipts_programs.CASES["fritz-john"],
    Verdict.NOT_STATIONARY: test_receipts.CASES["not-stationary"],
    Verdict.NOT_SEPARATING: test_receipts.CASES["not-separating"],
}

ALL = {
    f"{kind} {name}": row
    for kind, table in (("direction", test_receipts), ("program", test_receipts_programs))
    for name, row in table.CASES.items()
}
CONTENTS = {name: written(problem, theta) for name, (problem, theta, _) in ALL.items()}


def bare(content: dict[str, Any], word: Verdict) -> dict[str, Any]:
    """Return the receipt with this word, its reason, and nothing that stands beside it."""
    content["claims"] |= {"verdict": word.value, "reason": ESTABLISHED[word]}
    content["claims"] |= dict.fromkeys(BESIDE)
    return content


def test_the_table_is_that_of_the_forger() -> None:
    stated = {(shown, word) for shown, words in IMPLIED.items() for word in words}
    assert stated == TRUE_TOO
    assert set(IMPLIED) == set(Verdict)
    # An order: nothing implies itself by way of others, and what is implied is implied by all.
    for (a, b), (c, d) in itertools.product(stated, repeat=2):
        assert b is not c or ((a, d) in stated and a is not d)


@pytest.mark.parametrize("shown", Verdict)
@pytest.mark.parametrize("word", Verdict)
def test_a_word_is_accepted_where_the_word_shown_implies_it(shown: Verdict, word: Verdict) -> None:
    problem, theta, _ = EXAMPLES[shown]
    content = written(problem, theta)
    assert content["claims"]["verdict"] == shown.value
    if shown is word:
        assert not again(content).more
        return
    content = bare(content, word)
    if (shown, word) in TRUE_TOO:
        found = again(content)
        assert found.verdict is shown and found.more["verdict"] == shown.value
        return
    with pytest.raises(RejectedReceiptError, match=r"claims\."):
        again(content)


def test_at_a_kink_no_word_implies_that_gradients_serve() -> None:
    problem, theta, _ = test_receipts.CASES["xor"]
    content = written(problem, theta)
    assert again(bare(copy.deepcopy(content), Verdict.CLARKE_KKT)).verdict is Verdict.GLOBAL
    for word in (Verdict.KKT, Verdict.STRICT_LOCAL):
        with pytest.raises(RejectedReceiptError, match=r"claims\.verdict"):
            again(bare(copy.deepcopy(content), word))


@pytest.mark.parametrize(
    ("case", "strict"),
    [
        ("program scaled", True),
        ("program scaled-bias", True),
        ("program w-set-second", True),
        ("program min-norm", True),
        ("direction vertices", True),
        # Some entries cost nothing, another ball, a loss, a kink, and multipliers that are many.
        ("program w-set", False),
        ("direction l1", False),
        ("program regularization", False),
        ("program constrained-logistic", False),
        ("direction xor", False),
        ("direction multi-class", False),
    ],
)
def test_a_global_optimum_is_strict_where_second_order_shows_it(case: str, strict: bool) -> None:
    content = copy.deepcopy(CONTENTS[case])
    assert content["claims"]["verdict"] == "GLOBAL"
    read = Receipt.from_bytes(json.dumps(content).encode())
    found = strictly(read.stated(), read.theta, facts_of(read), read.evidence)
    assert (found.verdict is Verdict.STRICT_LOCAL) is strict
    content = bare(content, Verdict.STRICT_LOCAL)
    numbers = found.to_json()
    given_ = {name: numbers[name] for name in ("curvature", "radius")}
    if strict:
        with pytest.raises(RejectedReceiptError, match=r"claims\.radius"):
            again(content)
    content["claims"] |= given_ if strict else {"curvature": 1.0, "radius": 1e-14}
    if strict:
        assert again(content).verdict is Verdict.GLOBAL
        return
    with pytest.raises(RejectedReceiptError, match=r"claims\.(radius|verdict)"):
        again(content)


def test_a_strict_optimum_shows_its_radius_though_it_is_global() -> None:
    old = next(one for one in OLD if b'"STRICT_LOCAL"' in one and b'"scaled-margin"' in one)
    content = json.loads(old)
    assert again(content).verdict is Verdict.GLOBAL
    for name, value in (
        ("radius", 100.0 * content["claims"]["radius"]),
        ("radius", 1e-3 * content["claims"]["radius"]),
        ("radius", None),
        ("curvature", 1.1 * content["claims"]["curvature"]),
        ("curvature", None),
        ("rate", 1.0),
    ):
        wrong = copy.deepcopy(content)
        wrong["claims"][name] = value
        with pytest.raises(RejectedReceiptError, match=rf"claims\.{name}"):
            again(wrong)


def test_the_reason_says_no_more_than_the_word() -> None:
    problem, theta, _ = EXAMPLES[Verdict.GLOBAL]
    content = bare(written(problem, theta), Verdict.KKT)
    for reason in (
        ESTABLISHED[Verdict.GLOBAL],
        "the margin meets an upper bound on all margins",
        "the gradient vanishes within its rounding",
        f"{ESTABLISHED[Verdict.KKT]}; no other does better",
        "",
    ):
        content["claims"]["reason"] = reason
        with pytest.raises(RejectedReceiptError, match=r"claims\.reason"):
            again(content)


# -- numbers ---------------------------------------------------------------------------------------

LIMITS = {"levels_gap": "gap"}
"""The tolerance of a number, where it has another name."""


def weaker(content: dict[str, Any], name: str, grown: float) -> Any:
    """Return a claim that says less and still carries the word; the same where there is none."""
    claims, old = content["claims"], content["claims"][name]
    word = Verdict(claims["verdict"])
    if name in BESIDE and grown > 1.0:
        return old if name in RESTS.get(word, ()) else None
    if not isinstance(old, float) or not (word.certified or word is Verdict.UNDECIDED):
        return old
    if name == BELOW:
        return old / (1.0 + grown)
    if name not in ABOVE or (name == "bound" and word is Verdict.GLOBAL):
        return old
    limit = content["tolerances"].get(LIMITS.get(name, name), math.inf)
    asked = word.certified if name not in ("gap", "levels_gap") else word is Verdict.GLOBAL
    larger = old * (1.0 + grown) + (0.0 if name == "bound" else grown * 1e-8)
    return min(larger, limit) if asked and old <= limit else larger


def stronger(content: dict[str, Any], name: str, grown: float) -> Any:
    """Return a claim that says more than is shown, by far more than rounding; None where none."""
    old = content["claims"][name]
    match old:
        case bool():
            return not old
        case int():
            return old + 1
        case list():
            return [*old, 1.0]
        case str():
            return f"{old}; for certain" if name == "reason" else None
        case None:
            whole = {"licq": True, "independent": True, "rank": 1, "levels": [1.0]}
            return whole.get(name, grown)
    if name == BELOW:
        return old + 1e-6 + grown
    if name in ABOVE:
        smaller = old * (1.0 - min(grown, 0.5) - 1e-3)
        # What is no more than rounding cannot be understated, but for its sign.
        return smaller if old - smaller > 1e-9 or name == "bound" else -1e-3 - grown
    if name in ("radius", "rate"):
        return 20.0 * old
    return old + (1e-2 + grown) * (abs(old) if name == "margin" else max(abs(old), 1.0))


@settings(max_examples=80, derandomize=True, deadline=None)
@given(
    st.sampled_from(sorted(CONTENTS)),
    st.sets(st.sampled_from(sorted(set(CLAIMS) - {"verdict", "reason"})), min_size=1),
    st.floats(1e-3, 10.0),
)
def test_any_claims_may_say_less(case: str, names: set[str], grown: float) -> None:
    content = copy.deepcopy(CONTENTS[case])
    changed = {name: weaker(CONTENTS[case], name, grown) for name in names}
    content["claims"] |= changed
    found = again(content)
    assert found.verdict.value == content["claims"]["verdict"]
    assert set(found.more) <= {n for n, v in changed.items() if v != CONTENTS[case]["claims"][n]}
    assert all(found.more[name] == CONTENTS[case]["claims"][name] for name in found.more)
    absent = {name for name, value in changed.items() if value is None}
    assert {name for name in absent if CONTENTS[case]["claims"][name] is not None} <= set(
        found.more
    )


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    st.sampled_from(sorted(CONTENTS)),
    st.sampled_from(sorted(CLAIMS)),
    st.sets(st.sampled_from(sorted(set(CLAIMS) - {"verdict", "reason"}))),
    st.floats(1e-3, 10.0),
)
def test_one_claim_that_says_more_is_refused_whatever_the_others_say(
    case: str, name: str, others: set[str], grown: float
) -> None:
    content = copy.deepcopy(CONTENTS[case])
    more = stronger(content, name, grown)
    content["claims"] |= {other: weaker(CONTENTS[case], other, grown) for other in others}
    if name == "verdict":
        shown = Verdict(CONTENTS[case]["claims"]["verdict"])
        rest = [w for w in Verdict if w is not shown and (shown, w) not in TRUE_TOO]
        wrong = rest[int(1e6 * grown) % len(rest)]
        content["claims"] |= {"reason": ESTABLISHED[wrong], "radius": None, "curvature": None}
        more = wrong.value
    content["claims"][name] = more
    with pytest.raises(ReceiptError):
        again(content)


@pytest.mark.parametrize("name", ["stationarity", "complementarity", "feasibility", "gap"])
def test_a_number_beyond_its_tolerance_does_not_carry_the_word(name: str) -> None:
    content = copy.deepcopy(CONTENTS["program scaled"])
    limit = content["tolerances"][name]
    content["claims"][name] = limit
    assert again(content).more[name] == CONTENTS["program scaled"]["claims"][name]
    content["claims"][name] = 1.01 * limit
    with pytest.raises(RejectedReceiptError, match=rf"claims\.{name}"):
        again(content)


def test_of_a_refutation_nothing_may_be_larger() -> None:
    for case in ("direction not-stationary", "program scaled-infeasible", "direction saddle"):
        for name in ("stationarity", "stationarity_bound", "complementarity", "feasibility"):
            content = copy.deepcopy(CONTENTS[case])
            if content["claims"][name] is None:
                continue
            content["claims"][name] += 1e-6
            with pytest.raises(RejectedReceiptError, match=rf"claims\.{name}"):
                again(content)


def test_another_support_is_refused_whatever_is_claimed() -> None:
    for case, content in CONTENTS.items():
        support = content["evidence"]["support"]
        if len(support) < 2 or Verdict(content["claims"]["verdict"]) is Verdict.NOT_SEPARATING:
            continue
        wrong = bare(copy.deepcopy(content), Verdict.UNDECIDED)
        wrong["evidence"]["support"] = support[:-1]
        for entry in ("multipliers", "bound", "refutation", "singular"):
            weights = wrong["evidence"][entry]
            if weights is not None and support[-1] in weights["n"]:
                place = weights["n"].index(support[-1])
                del weights["n"][place], weights["values"][place]
        with pytest.raises(ReceiptError):
            again(wrong)
            pytest.fail(case)
