"""Records read back: each is what this program writes about its unit, or it is none at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lexmargin.compare.own_measure import OwnMeasure
from lexmargin.compare.records import RowStatus
from lexmargin.compare.sources import digest
from lexmargin.errors import LexmarginError
from lexmargin.inputs.files import read_file
from lexmargin.inputs.json_text import canonical, parsed
from lexmargin.inputs.limits import SHOWN_RECORD_BYTES, STORED_VALUES
from lexmargin.judge.verdict import Verdict
from lexmargin.solution import Claim

__all__ = [
    "SEAL",
    "machine_of",
    "measures_of",
    "read_json",
    "read_record",
    "result_of",
    "sealed",
    "unit_keys",
]

SEAL: Final = "sha256"
"""The member of a record that holds the digest of the others: a flipped bit shows."""


_MEASURES: Final = (
    "load", "compile", "build", "solve", "certify", "process", "peak_mebibytes", "attempts",
)  # fmt: skip
_SIZES: Final = ("stationarity", "complementarity", "feasibility")
_OWN: Final = ("own_primal", "own_dual", "own_gap", "own_excess")
_FIGURES: Final = (*_SIZES, "margin", "objective")
_RESULT: Final = frozenset(
    {"ran", "claim", "raw_status", "verdict", "certified", "direction", "iterations", "reasons"}
    | {*_FIGURES, *_OWN, "own_word", "feasible", "largest_margin", "unit", SEAL}
)
_KEY: Final = frozenset("0123456789abcdef")


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record with the digest of its members."""
    return {**value, SEAL: digest(canonical(value))}


def read_json(path: Path) -> Any:
    """Return the JSON value in a regular file of moderate size; None for anything else."""
    try:
        return parsed(read_file(path, SHOWN_RECORD_BYTES), "record", STORED_VALUES)
    except LexmarginError:
        return None


def read_record(path: Path) -> Any:
    """Return the JSON value in a file that is, byte by byte, what this program writes of it."""
    try:
        content = read_file(path, SHOWN_RECORD_BYTES)
        value = parsed(content, "record", STORED_VALUES)
    except LexmarginError:
        return None
    return value if canonical(value) == content else None


def result_of(value: Any, key: str) -> dict[str, Any] | None:
    """Return the result of a unit without its seal; None unless it is one, unbroken.

    The words are those of this program and agree with each other, the figures are numbers, and the
    unit is the one whose specification has this key.
    """
    if not isinstance(value, dict) or set(value) != _RESULT or not _unbroken(value):
        return None
    found = {name: member for name, member in value.items() if name != SEAL}
    unit = found["unit"]
    whole = isinstance(unit, dict) and digest(canonical(unit)) == key
    return found if whole and _words_agree(found) and _figures_agree(found) else None


def _unbroken(value: Mapping[str, Any]) -> bool:
    try:
        return bool(sealed({n: v for n, v in value.items() if n != SEAL})[SEAL] == value[SEAL])
    except (ValueError, RecursionError):
        # NaN, lone surrogates: never written here.
        return False


def _words_agree(found: Mapping[str, Any]) -> bool:
    words = (found["ran"], found["claim"], found["raw_status"], *_listed(found["reasons"]))
    if not all(isinstance(word, str) for word in words):
        return False
    if found["ran"] not in set(RowStatus) or found["claim"] not in set(Claim):
        return False
    if found["own_word"] not in set(OwnMeasure) or type(found["largest_margin"]) is not bool:
        return False
    if found["feasible"] not in (None, True, False):
        return False
    verdict = found["verdict"]
    if verdict is None:
        return found["certified"] is False and all(found[name] is None for name in _FIGURES)
    known = isinstance(verdict, str) and verdict in set(Verdict)
    return known and found["certified"] is Verdict(verdict).certified


def _figures_agree(found: Mapping[str, Any]) -> bool:
    direction = found["direction"]
    figures = [found[name] for name in _FIGURES]
    figures += [] if direction is None else _listed(direction)
    sizes = [found[name] for name in (*_SIZES, *_OWN)]
    figures += sizes
    count = found["iterations"]
    return (
        all(_is_number(figure) for figure in figures)
        and not any(isinstance(size, float) and size < 0 for size in sizes)
        and (count is None or type(count) is int)
    )


def _listed(value: Any) -> list[Any]:
    """Return a list as it is; anything else as a list of what is neither a word nor a number."""
    return value if isinstance(value, list) else [{}]


def _is_number(value: Any) -> bool:
    if value is None or type(value) is int:
        return True
    return isinstance(value, float) and math.isfinite(value)


def measures_of(value: Any) -> dict[str, Any]:
    """Return what was measured of a run; nothing unless all of it is there."""
    whole = isinstance(value, dict) and set(value) == set(_MEASURES)
    return dict(value) if whole and all(_is_number(v) for v in value.values()) else {}


def machine_of(value: Any) -> dict[str, str]:
    """Return where a comparison ran; nothing unless it is words under words."""
    found = value.get("machine") if isinstance(value, dict) else None
    whole = isinstance(found, dict) and all(isinstance(word, str) for word in found.values())
    return dict(found) if whole and isinstance(found, dict) else {}


def unit_keys(value: Any) -> tuple[str, ...] | None:
    """Return the keys that a comparison consists of; None unless they are keys, each once."""
    keys = value.get("units") if isinstance(value, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        return None
    if any(len(key) != 32 or not _KEY.issuperset(key) for key in keys):
        return None
    return tuple(keys) if len(set(keys)) == len(keys) else None
