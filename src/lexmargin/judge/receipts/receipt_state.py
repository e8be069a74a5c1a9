"""The part of a receipt that names the tensors of a trained network's state dict."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from lexmargin.errors import ReceiptError
from lexmargin.judge.receipts.receipt_format import Fields
from lexmargin.ops.base import FloatArray

__all__ = ["array_hash", "checked_state", "hexadecimal", "state_section", "wrong_tensor"]

_KEYS: Final = ("framework", "tensors")


def array_hash(values: FloatArray) -> str:
    """Return the sha256 of doubles, little-endian."""
    return hashlib.sha256(np.ascontiguousarray(values, dtype="<f8").tobytes()).hexdigest()


def hexadecimal(text: object, key: str) -> None:
    """Raise :class:`ReceiptError` for what is no sha256."""
    good = isinstance(text, str) and len(text) == 64
    if not good or any(c not in "0123456789abcdef" for c in str(text)):
        raise ReceiptError(f"{key} is no sha256.", "Write the receipt again.")


def state_section(
    framework: str, names: Sequence[str], shapes: Sequence[tuple[int, ...]], theta: FloatArray
) -> dict[str, Any]:
    """Return the name, shape and hash of every tensor, in the order in which θ (d,) holds them."""
    tensors, first = [], 0
    for name, shape in zip(names, shapes, strict=True):
        last = first + math.prod(shape)
        tensors.append([name, list(shape), array_hash(theta[first:last])])
        first = last
    return {"framework": framework, "tensors": tensors}


def checked_state(value: object, size: int) -> None:
    """Check the form of :func:`state_section` for d = ``size`` parameters.

    Raises:
        ReceiptError: anything else.
    """
    part = Fields(value, "state", _KEYS)
    part.text("framework")
    tensors, total = part.raw("tensors"), 0
    if not isinstance(tensors, list):
        raise ReceiptError("state.tensors is no list.", "Write the receipt again.")
    for entry in tensors:
        good = isinstance(entry, list) and len(entry) == 3 and isinstance(entry[0], str)
        shape = entry[1] if good else None
        if not isinstance(shape, list) or any(type(n) is not int or n < 1 for n in shape):
            raise ReceiptError(
                "state.tensors needs [name, shape, sha256].", "Write the receipt again."
            )
        hexadecimal(entry[2], "state.tensors")
        total += math.prod(shape)
    if total != size:
        raise ReceiptError(f"state.tensors hold {total} numbers, θ {size}.")


def wrong_tensor(state: Mapping[str, Any], theta: FloatArray) -> str:
    """Return the name of a tensor whose hash is not that of its part of θ, or an empty string."""
    first = 0
    for name, shape, found in state["tensors"]:
        last = first + math.prod(shape)
        if array_hash(theta[first:last]) != found:
            return str(name)
        first = last
    return ""
