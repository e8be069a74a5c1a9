"""Checking a receipt: everything it claims is computed again, with NumPy and python-flint only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from lexmargin.certificate.facts import Facts
from lexmargin.certificate.ladder import WIDEST
from lexmargin.certificate.receipt import CLAIMS, Receipt, facts_of, read_receipt
from lexmargin.certificate.receipt_format import digest
from lexmargin.certificate.receipt_state import array_hash, wrong_tensor
from lexmargin.certificate.verdict import Verdict
from lexmargin.data import Dataset
from lexmargin.errors import ReceiptError, RejectedReceiptError
from lexmargin.kinds import checked

__all__ = ["Verification", "verify_file", "verify_receipt"]

_LOOSEST: Final = 1e-2
# Below these, rounding hides a kink or a dependence.
_SHARPEST: Final = {"kink": 1e-9, "rank": 1e-13, "euler": 1e-12}
_RELATIVE: Final = 1e-9
_ABSOLUTE: Final = 1e-12
# Second differences, and eigenvalues near zero, repeat to fewer digits on another machine.
_COARSE: Final = {"curvature": 1e-4, "sigma_min": 1e-9, "nearest_kink": 1e-9}


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
    if found.evidence.tau > max(WIDEST, found.tolerances.support):
        raise _rejected("evidence.tau", f"{found.evidence.tau:g} is more than {WIDEST:g}")
    facts = facts_of(found)
    if not np.array_equal(facts.support, found.evidence.support):
        raise _rejected("evidence.support", "it is not the support at the tolerance τ stated")
    _check_weights(found, facts)
    for name in CLAIMS[::-1]:
        wrong = _differs(name, content["claims"][name], facts.to_json()[name])
        if wrong:
            raise _rejected(f"claims.{name}", wrong)
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
        if limits[name] > _LOOSEST:
            raise _rejected(f"tolerances.{name}", f"{limits[name]:g} is more than {_LOOSEST:g}")
    for name, least in _SHARPEST.items():
        if not least <= limits[name] <= _LOOSEST:
            raise _rejected(f"tolerances.{name}", f"{limits[name]:g} is not {least:g} or more")


def _check_weights(found: Receipt, facts: Facts) -> None:
    """Refuse multipliers that are not those of the loss, where the loss has its own."""
    if facts.multipliers is None:
        return
    stated, computed = found.evidence.multipliers, facts.multipliers
    if np.any(np.abs(stated - computed) > _RELATIVE * np.maximum(stated, computed)):
        raise _rejected("evidence.multipliers", "they are not the weights of the loss")


def _differs(name: str, claimed: Any, computed: Any) -> str:
    """Return what is wrong with a claim, or an empty string."""
    if name == "reason":
        # What the certificate said beyond the established verdict is only covered by the digest.
        return "" if str(claimed).startswith(computed) else f"it is {computed!r}"
    plain = (type(None), bool, str)
    if isinstance(claimed, plain) or isinstance(computed, plain):
        return "" if claimed is computed or claimed == computed else f"it is {computed!r}"
    if isinstance(claimed, list) or isinstance(computed, list):
        if not (isinstance(claimed, list) and isinstance(computed, list)):
            return f"it is {computed!r}"
        if len(claimed) != len(computed):
            return f"it has {len(computed)} entries"
        pairs = zip(claimed, computed, strict=True)
        return next(filter(None, (_differs(name, a, b) for a, b in pairs)), "")
    size = max(abs(float(claimed)), abs(float(computed)))
    floor = _COARSE.get(name, _ABSOLUTE)
    relative = _COARSE.get(name, _RELATIVE)
    if abs(float(claimed) - float(computed)) <= relative * size + floor * min(1.0, size + 1.0):
        return ""
    return f"it is {computed!r}, not {claimed!r}"


def _rejected(field: str, why: str) -> RejectedReceiptError:
    return RejectedReceiptError(
        f"The receipt is rejected at {field}: {why}.",
        "It does not prove its verdict; certify again.",
        field,
    )
