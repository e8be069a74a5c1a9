"""JSON as it is written and read here: one text per value, and nothing in it that is not plain."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from lexmargin.errors import LexmarginError, LibraryError
from lexmargin.inputs.limits import RECEIPT_DIGITS

__all__ = ["canonical", "parsed"]


def canonical(value: Any) -> bytes:
    """Return the one JSON text of a value: sorted keys, no spaces, shortest floats, UTF-8."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8")


def parsed(
    content: bytes,
    what: str,
    most: int,
    error: type[LexmarginError] = LibraryError,
    advice: str = "Write it again.",
) -> Any:
    """Return the JSON value in ``content``, which holds ``most`` values at most.

    Args:
        content: a text whose bytes were counted before they were read.
        what: it should be, in messages.
        most: lists, tables and members; each takes far more memory than text.
        error, advice: what is raised.

    Raises:
        LexmarginError: of the kind ``error``: not UTF-8, not JSON, a key twice, a number that is
            not finite.
    """
    values = content.count(b",") + content.count(b"[") + content.count(b"{")
    if values > most:
        raise error(f"The {what} holds about {values} values, more than {most}.", advice)
    try:
        found = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_whole,
        )
        if b"\\u" in content:
            # Half a character can be written as an escape, and cannot be hashed.
            json.dumps(found, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as failure:
        raise error(f"This is no {what}: {failure}.", "Write it again.") from failure
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number here")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is no finite double")
    return value


def _whole(text: str) -> int:
    if len(text) > RECEIPT_DIGITS:
        raise ValueError(f"{text[:40]}… is no number here")
    return int(text)
