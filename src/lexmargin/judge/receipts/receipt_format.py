"""The form of a receipt: strict JSON with exact numbers, and nothing that could run."""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, final

import numpy as np

from lexmargin.errors import ReceiptError, nearest
from lexmargin.inputs import json_text
from lexmargin.inputs.json_text import canonical
from lexmargin.inputs.limits import RECEIPT_BYTES, RECEIPT_VALUES
from lexmargin.ops.base import FloatArray

__all__ = ["Fields", "decoded", "digest", "encoded", "parsed"]

_WITHOUT_DATA: Final = "Write it without the data and give them with --data."


def digest(value: Mapping[str, Any]) -> str:
    """Return the sha256 of :func:`canonical`, in hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()


def parsed(content: bytes) -> dict[str, Any]:
    """Return the JSON object in ``content``.

    Raises:
        ReceiptError: too large, no JSON as :func:`~lexmargin.inputs.json_text.parsed` reads it, or
            no object.
    """
    if len(content) > RECEIPT_BYTES:
        raise ReceiptError(
            f"The receipt has {len(content)} bytes, more than {RECEIPT_BYTES}.", _WITHOUT_DATA
        )
    found = json_text.parsed(content, "receipt", RECEIPT_VALUES, ReceiptError, _WITHOUT_DATA)
    if not isinstance(found, dict):
        raise ReceiptError("This is no receipt: it holds no JSON object.", "Write it again.")
    return found


def encoded(values: FloatArray) -> str:
    """Return the doubles of an array, little-endian, in base 64."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode("ascii")


def decoded(text: str, shape: tuple[int, ...], key: str) -> FloatArray:
    """Return the array of :func:`encoded`.

    Raises:
        ReceiptError: not base 64, or another number of entries.
    """
    wanted = 8 * math.prod(shape)
    if len(text) != 4 * ((wanted + 2) // 3):
        raise ReceiptError(
            f"{key} does not hold {math.prod(shape)} numbers.", "The receipt is damaged."
        )
    try:
        content = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ReceiptError(f"{key} is not base 64 ({error}).", "The receipt is damaged.") from error
    if len(content) != wanted or base64.b64encode(content).decode("ascii") != text:
        raise ReceiptError(
            f"{key} does not hold {math.prod(shape)} numbers.", "The receipt is damaged."
        )
    return np.frombuffer(content, dtype="<f8").astype(np.float64).reshape(shape)


@final
class Fields:
    """The keys of one JSON object, each taken once and with its type; none may be left over."""

    def __init__(self, value: object, key: str, known: Sequence[str]) -> None:
        if not isinstance(value, dict):
            raise ReceiptError(f"{key or 'The receipt'} is no JSON object.", "Write it again.")
        self._key = key
        self._values = value
        for name in value:
            if name not in known:
                raise ReceiptError(f"Unknown key {self._at(name)!r}.", nearest(str(name), known))
        for name in known:
            if name not in value:
                raise ReceiptError(f"The key {self._at(name)!r} is missing.", "Write it again.")

    def _at(self, name: str) -> str:
        return f"{self._key}.{name}" if self._key else name

    def _wrong(self, name: str, wanted: str) -> ReceiptError:
        shown = repr(self._values[name])
        return ReceiptError(f"{self._at(name)} is {shown[:80]}, not {wanted}.", "Write it again.")

    def raw(self, name: str) -> Any:
        """Return the value as it stands."""
        return self._values[name]

    def text(self, name: str) -> str:
        value = self._values[name]
        if not isinstance(value, str) or len(value) > RECEIPT_BYTES:
            raise self._wrong(name, "a text")
        return value

    def truth(self, name: str) -> bool:
        value = self._values[name]
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def whole(self, name: str, low: int = 0, high: int = 10**9) -> int:
        value = self._values[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self._wrong(name, f"a whole number from {low} to {high}")
        return value

    def number(self, name: str) -> float:
        value = self._values[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._wrong(name, "a number")
        return float(value)

    def wholes(self, name: str, high: int) -> tuple[int, ...]:
        """Return increasing whole numbers below ``high``."""
        value = self._values[name]
        good = isinstance(value, list) and all(type(n) is int and 0 <= n < high for n in value)
        if not good or any(b <= a for a, b in itertools.pairwise(value)):
            raise self._wrong(name, f"a list of increasing whole numbers below {high}")
        return tuple(value)

    def numbers(self, name: str) -> tuple[float, ...]:
        value = self._values[name]
        if not isinstance(value, list) or any(type(x) not in (int, float) for x in value):
            raise self._wrong(name, "a list of numbers")
        return tuple(float(x) for x in value)
