"""Checking a receipt: everything it claims is computed again, with NumPy and python-flint only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.errors import ReceiptError, RejectedReceiptError
from lexmargin.inputs.kinds import checked
from lexmargin.judge.receipts.claims import CLAIMS, implied_by, is_less, is_said_of
from lexmargin.judge.receipts.facts import Facts, strictly
from lexmargin.judge.receipts.receipt import Receipt, facts_of, read_receipt
from lexmargin.judge.receipts.receipt_format import digest
from lexmargin.judge.receipts.receipt_state import array_hash, wrong_tensor
from lexmargin.judge.tolerances import LOOSEST, REPEATED, SHARPEST, WIDEST
from lexmargin.judge.verdict import Verdict

__all__ = ["Verification", "verify_file", "verify_receipt"]

_USEFUL_TO_DIRECTIONS: Final = frozenset({"bound", "slopes", "ascent", "refutation", "tau"})
_USEFUL_TO_PROGRAMS: Final = frozenset({"slopes", "ascent", "refutation", "singular", "tau"})


@final
@dataclass(frozen=True, eq=False)
class Verification:
    """An accepted receipt: its verdict and facts, established again.

    more
        what is shown of the point where the receipt claims less, by the name of the claim.
    """

    receipt: Receipt
    facts: Facts
    more: Mapping[str, Any]

    @property
    def verdict(self) -> Verdict:
        """The verdict that was established again."""
        return self.facts.verdict

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "accepted": True,
            "digest": self.receipt.content["digest"],
            "data": self.receipt.content["data"]["sha256"],
            "tolerances": self.receipt.tolerances.to_json(),
            "claims": self.facts.to_json(),
            "more": dict(self.more),
        }

    def report(self) -> str:
        """Return a short text."""
        lines = ["receipt accepted: every claim was recomputed"]
        if self.more:
            names = ", ".join(name for name in CLAIMS if name in self.more)
            lines.append(f"less is claimed than is shown below: {names}")
        for name, value in self.facts.to_json().items():
            if value is not None:
                shown = f"{value:.12g}" if isinstance(value, float) else str(value)
                lines.append(f"{name:<20}{shown}")
        return "\n".join(lines)


@checked
def verify_receipt(found: Receipt) -> Verification:
    """Recompute every claim of a receipt and compare.

    Raises:
        ReceiptError: the data are neither inside nor given.
        RejectedReceiptError: something differs; ``field`` names it.
    """
    content = found.content
    if found.problem is None:
        raise ReceiptError("The data are not in this receipt.", "Give them with --data FILE.")
    data = found.problem.data
    if data.fingerprint != content["data"]["sha256"]:
        raise _rejected("data.sha256", "the data are not those of the receipt")
    if (data.n_samples, data.n_features) != (
        content["data"]["samples"],
        content["data"]["features"],
    ):
        raise _rejected("data.samples", "the data have another size")
    if array_hash(found.theta) != content["theta_sha256"]:
        raise _rejected("theta_sha256", "θ is not the one that was hashed")
    if "state" in content:
        wrong = wrong_tensor(content["state"], found.theta)
        if wrong:
            raise _rejected("state.tensors", f"{wrong!r} is not the tensor that was hashed")
    _check_tolerances(found)
    _check_unused(found)
    if found.evidence.tau > max(WIDEST, found.tolerances.support):
        raise _rejected("evidence.tau", f"{found.evidence.tau:g} is more than {WIDEST:g}")
    facts = facts_of(found)
    if not np.array_equal(facts.certificate.support, found.evidence.support):
        raise _rejected("evidence.support", "it is not the support at the tolerance τ stated")
    if found.evidence.slopes and not facts.certificate.on_kink:
        raise _rejected("evidence.slopes", "no margin of the support is on a kink")
    _check_weights(found, facts)
    more = _compared(found, facts)
    unsigned = {key: value for key, value in content.items() if key != "digest"}
    if digest(unsigned) != content["digest"]:
        raise _rejected("digest", "an entry was changed after the receipt was written")
    return Verification(found, facts, more)


@checked
def verify_file(path: str | Path, data: Dataset | None = None) -> Verification:
    """Read and check a receipt; ``data`` where they are not inside, or to compare with.

    Raises:
        ReceiptError: not a receipt.
        RejectedReceiptError: a receipt that contradicts itself or the data.
    """
    found = read_receipt(path, data)
    if data is not None and data.fingerprint != found.content["data"]["sha256"]:
        raise _rejected("data.sha256", "the data given are not those of the receipt")
    return verify_receipt(found)


def _check_tolerances(found: Receipt) -> None:
    """Refuse tolerances that would make a verdict empty; every grade is within these."""
    limits = found.tolerances.to_json()
    for name in ("support", "stationarity", "complementarity", "feasibility", "gap"):
        if limits[name] > LOOSEST:
            raise _rejected(f"tolerances.{name}", f"{limits[name]:g} is more than {LOOSEST:g}")
    for name, least in SHARPEST.items():
        if not least <= limits[name] <= LOOSEST:
            raise _rejected(f"tolerances.{name}", f"{limits[name]:g} is not {least:g} or more")


def _check_weights(found: Receipt, facts: Facts) -> None:
    """Refuse multipliers that are not those of the loss, where the loss has its own."""
    if facts.multipliers is None:
        return
    stated, computed = found.evidence.multipliers, facts.multipliers
    if not np.all(np.abs(stated - computed) <= REPEATED * np.maximum(stated, computed)):
        raise _rejected("evidence.multipliers", "they are not the weights of the loss")


def _check_unused(found: Receipt) -> None:
    """Refuse evidence that the problem has no use for: nothing would check it."""
    problem, evidence = found.stated(), found.evidence
    names = {
        "bound": evidence.bound is not None,
        "slopes": bool(evidence.slopes),
        "ascent": evidence.ascent is not None,
        "refutation": evidence.refutation is not None,
        "singular": evidence.singular is not None,
        "levels": bool(evidence.levels),
        "long": bool(evidence.long),
        "tau": not math.isnan(evidence.tau),
    }
    kkt, useful = problem.kkt(found.theta)[0], _USEFUL_TO_PROGRAMS
    if kkt.loss is not None:
        useful = frozenset()
    elif kkt.is_direction:
        useful = _USEFUL_TO_DIRECTIONS | ({"long"} if kkt.functions.linear else set())
    if kkt.ordered is not None:
        useful |= {"levels"}
    for name, given in names.items():
        if given and name not in useful:
            raise _rejected(f"evidence.{name}", "this problem has no use for it")


def _compared(found: Receipt, facts: Facts) -> Mapping[str, Any]:
    """Return what is shown beyond the claims, by name; raise where one is not implied by it."""
    claims, word, stated = found.claims, found.verdict, facts.to_json()
    implied = implied_by(facts.certificate, word)
    if word is Verdict.STRICT_LOCAL and facts.verdict is Verdict.GLOBAL:
        measured = strictly(found.stated(), found.theta, facts, found.evidence)
        implied = measured.verdict is word
        if implied:
            stated |= {name: measured.to_json()[name] for name in ("curvature", "radius")}
    more = {}
    for name, claim in [*CLAIMS.items()][::-1]:
        claimed, shown = claims[name], stated[name]
        wrong = claim.differs(name, claimed, shown, facts.rounding)
        if name == "reason" and word is not facts.verdict:
            wrong, less = f"it is {shown!r}", is_said_of(word, claimed)
        elif name == "verdict":
            less = implied
        else:
            less = is_less(name, claimed, shown, word, found.tolerances)
        if wrong and not less:
            raise _rejected(f"claims.{name}", wrong)
        if wrong:
            more[name] = shown
    return more


def _rejected(field: str, why: str) -> RejectedReceiptError:
    return RejectedReceiptError(
        f"The receipt is rejected at {field}: {why}.",
        "It does not prove its verdict; certify again.",
        field,
    )
