"""The evidence of a receipt in JSON: sparse vectors of exact doubles."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from lexmargin.errors import ReceiptError
from lexmargin.inputs.limits import RECEIPT_WEIGHTS
from lexmargin.judge.certificate import Ascent
from lexmargin.judge.given import Evidence
from lexmargin.judge.receipts.receipt_format import Fields, decoded, encoded
from lexmargin.linalg.norms import Array

__all__ = ["evidence_from_json", "evidence_to_json"]

_EVIDENCE: Final = (
    "support",
    "multipliers",
    "tau",
    "bound",
    "slopes",
    "ascent",
    "refutation",
    "singular",
    "levels",
)
_UNIT: Final = 1e-9
"""Distance of ‖d‖ from 1: above the rounding of a normalised vector, below what lengths could
feel."""
_MOST_TERMS: Final = 32
"""Doubles whose sum is one number: as many as their exponents leave room for."""


def _sparse(values: Array | None) -> dict[str, Any] | None:
    if values is None:
        return None
    used = np.flatnonzero(values)
    return {"n": [int(n) for n in used], "values": [float(values[n]) for n in used]}


def _curve(ascent: Ascent | None) -> dict[str, Any] | None:
    if ascent is None:
        return None
    return {
        "direction": encoded(ascent.direction),
        "held": [int(n) for n in ascent.held],
        "order": ascent.order,
    }


def _ascent(value: object, count: int, size: int) -> Ascent | None:
    if value is None:
        return None
    part = Fields(value, "evidence.ascent", ("direction", "held", "order"))
    direction = decoded(part.text("direction"), (size,), "evidence.ascent.direction")
    # Lengths are measured along it.
    if not abs(float(np.linalg.norm(direction)) - 1.0) <= _UNIT:
        raise ReceiptError("evidence.ascent.direction is no unit vector.", "Write it again.")
    held = np.array(part.wholes("held", count), dtype=np.intp)
    return Ascent(direction, held, part.whole("order", 1, 2))


def evidence_to_json(evidence: Evidence) -> dict[str, Any]:
    """Return plain JSON values; what is absent is null, and few have λ in long numbers."""
    found = {
        "support": [int(n) for n in evidence.support],
        "multipliers": _sparse(evidence.multipliers),
        "tau": evidence.tau if math.isfinite(evidence.tau) else None,
        "bound": _sparse(evidence.bound),
        "slopes": [list(entry) for entry in evidence.slopes],
        "ascent": _curve(evidence.ascent),
        "refutation": _sparse(evidence.refutation),
        "singular": _sparse(evidence.singular),
        "levels": [_sparse(weights) for weights in evidence.levels],
    }
    if evidence.long:
        found["long"] = [_sparse(term) for term in evidence.long]
    return found


def _dense(value: object, key: str, count: int) -> Array:
    part = Fields(value, key, ("n", "values"))
    places, values = part.wholes("n", count), part.numbers("values")
    if len(places) != len(values) or any(v <= 0.0 or math.isinf(v) for v in values):
        raise ReceiptError(f"{key} needs one positive number per index.")
    found = np.zeros(count)
    found[list(places)] = values
    return found


def evidence_from_json(value: object, count: int, size: int) -> Evidence:
    """Return the evidence of :func:`evidence_to_json`, for ``count`` f_n and ``size`` parameters.

    Raises:
        ReceiptError: anything else.
    """
    long = isinstance(value, dict) and "long" in value
    part = Fields(value, "evidence", (*_EVIDENCE, "long") if long else _EVIDENCE)
    chain, terms = part.raw("levels"), part.raw("long") if long else []
    for name, entries in (("levels", chain), ("long", terms)):
        if not isinstance(entries, list):
            raise ReceiptError(f"evidence.{name} is no list.", "Write the receipt again.")
    if long and not 0 < len(terms) <= _MOST_TERMS:
        raise ReceiptError(f"evidence.long needs 1 to {_MOST_TERMS} terms.")
    if (4 + len(chain) + len(terms)) * count > RECEIPT_WEIGHTS:
        raise ReceiptError(
            f"evidence has {4 + len(chain) + len(terms)} vectors of {count} weights.",
            f"Receipts are read up to {RECEIPT_WEIGHTS} weights in all.",
        )
    multipliers = _dense(part.raw("multipliers"), "evidence.multipliers", count)
    support = np.array(part.wholes("support", count), dtype=np.intp)
    if np.any(multipliers[np.setdiff1d(np.arange(count), support)] > 0.0):
        raise ReceiptError("evidence.multipliers has weight outside the support.")
    if not support.size:
        raise ReceiptError("evidence.support is empty.", "Write the receipt again.")
    slopes = []
    entries = part.raw("slopes")
    if not isinstance(entries, list):
        raise ReceiptError("evidence.slopes is no list.")
    for entry in entries:
        whole = isinstance(entry, list) and len(entry) == 4
        if not whole or any(type(n) is not int or n < 0 for n in entry[:3]):
            raise ReceiptError("evidence.slopes needs [layer, sample, unit, slope].")
        if type(entry[3]) not in (int, float):
            raise ReceiptError("evidence.slopes needs [layer, sample, unit, slope].")
        slopes.append((entry[0], entry[1], entry[2], float(entry[3])))
    names = ("bound", "refutation", "singular")
    weights = {
        name: None if part.raw(name) is None else _dense(part.raw(name), f"evidence.{name}", count)
        for name in names
    }
    return Evidence(
        support=support,
        multipliers=multipliers,
        tau=math.nan if part.raw("tau") is None else part.number("tau"),
        bound=weights["bound"],
        slopes=tuple(slopes),
        ascent=_ascent(part.raw("ascent"), count, size),
        refutation=weights["refutation"],
        singular=weights["singular"],
        levels=tuple(
            _dense(entry, f"evidence.levels[{i}]", count) for i, entry in enumerate(chain)
        ),
        long=tuple(_dense(entry, f"evidence.long[{i}]", count) for i, entry in enumerate(terms)),
    )
