"""Checking a receipt: everything it claims is computed again, with NumPy and python-flint only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.errors import ReceiptError, RejectedReceiptError
from lexmargin.inputs.kinds import checked
from lexmargin.judge.receipts.facts import Facts
from lexmargin.judge.receipts.receipt import CLAIMS, Receipt, facts_of, read_receipt
from lexmargin.judge.receipts.receipt_format import digest
from lexmargin.judge.receipts.receipt_state import array_hash, wrong_tensor
from lexmargin.judge.tolerances import (
    COARSE,
    LOOSEST,
    REPEATED,
    REPEATED_ZERO,
    ROUGH,
    SHARPEST,
    WIDEST,
)
from lexmargin.judge.verdict import Verdict

__all__ = ["Verification", "verify_file", "verify_receipt"]

# In the unit of the data, in which no absolute error is small.
_OF_MARGINS: Final = frozenset({"margin", "bound", "levels"})
_SIGNED: Final = frozenset({"curvature"})
_STRONGER: Final = (Verdict.CLARKE_KKT, Verdict.KKT, Verdict.STRICT_LOCAL, Verdict.GLOBAL)
_USEFUL_TO_DIRECTIONS: Final = frozenset({"bound", "slopes", "ascent", "refutation", "tau"})
_USEFUL_TO_PROGRAMS: Final = frozenset({"ascent", "refutation", "singular", "tau"})


@final
@dataclass(frozen=True, eq=False)
class Verification:
    """An accepted receipt: its verdict and facts, established again."""

    receipt: Receipt
    facts: Facts

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
        }

    def report(self) -> str:
        """Return a short text."""
        lines = ["receipt accepted: every claim was recomputed"]
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
    _check_weights(found, facts)
    stated = facts.to_json()
    for name in CLAIMS[::-1]:
        wrong = _differs(name, content["claims"][name], stated[name], facts.rounding)
        if wrong:
            raise _rejected(f"claims.{name}", wrong, _more(content["claims"], facts.verdict))
    unsigned = {key: value for key, value in content.items() if key != "digest"}
    if digest(unsigned) != content["digest"]:
        raise _rejected("digest", "an entry was changed after the receipt was written")
    return Verification(found, facts)


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


def _differs(name: str, claimed: Any, computed: Any, rounding: Sequence[float]) -> str:
    """Return what is wrong with a claim, or an empty string.

    ``rounding``: the absolute error of the smallest margins in order, in their own unit.
    """
    # 1 is not true, and true is not 1.
    if type(claimed) is not type(computed):
        return f"it is {computed!r}"
    if isinstance(claimed, list):
        if len(claimed) != len(computed):
            return f"it has {len(computed)} entries"
        errors = [*rounding, *[0.0] * len(claimed)]
        pairs = zip(claimed, computed, errors, strict=False)
        return next(filter(None, (_differs(name, a, b, [e]) for a, b, e in pairs)), "")
    if not isinstance(claimed, float):
        return "" if claimed == computed else f"it is {computed!r}"
    if name in ROUGH:
        low, high = sorted((claimed, computed))
        alike = low > 0.0 and high <= ROUGH[name] * low
        return "" if alike else f"it is {computed!r}, not {claimed!r}"
    size = max(abs(claimed), abs(computed))
    relative = COARSE.get(name, REPEATED)
    if name in _OF_MARGINS:
        floor = rounding[0]
    else:
        floor = COARSE.get(name, REPEATED_ZERO)
        if (claimed < 0.0) != (computed < 0.0) and name not in _SIGNED:
            return f"it is {computed!r}, not {claimed!r}"
    if abs(claimed - computed) <= relative * size + floor:
        return ""
    return f"it is {computed!r}, not {claimed!r}"


def _more(claims: Mapping[str, Any], shown: Verdict) -> str:
    """Return what to do where more is shown of the point than is claimed; else an empty string."""
    claimed = next((word for word in _STRONGER if word.value == claims["verdict"]), None)
    if claimed is None or shown not in _STRONGER[_STRONGER.index(claimed) + 1 :]:
        return ""
    return f"Of this point {shown.value} is shown, which is more than it claims; certify again."


def _rejected(field: str, why: str, advice: str = "") -> RejectedReceiptError:
    return RejectedReceiptError(
        f"The receipt is rejected at {field}: {why}.",
        advice or "It does not prove its verdict; certify again.",
        field,
    )
