"""The form of a receipt: strict JSON with exact numbers, and nothing that could run."""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn, final

import numpy as np

from lexmargin.errors import LexmarginError, ReceiptError, nearest
from lexmargin.inputs.limits import (
    PARAMETER_BLOCKS,
    RECEIPT_BYTES,
    RECEIPT_DEPTH,
    RECEIPT_DIGITS,
    RECEIPT_VALUES,
    RECEIPT_WIDTH,
)
from lexmargin.ops.base import FloatArray
from lexmargin.predictors import (
    Activation,
    Bias,
    ConvolutionalNetwork,
    DiagonalNetwork,
    Identity,
    LeakyReLU,
    Linear,
    Log,
    Member,
    Network,
    Polynomial,
    Predictor,
    ReLU,
    Square,
    Sum,
)

__all__ = [
    "Fields",
    "canonical",
    "decoded",
    "digest",
    "encoded",
    "parsed",
    "predictor_from_json",
    "predictor_to_json",
]


def canonical(value: Mapping[str, Any]) -> bytes:
    """Return the one byte string of a JSON object: sorted keys, no spaces, shortest floats."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8")


def digest(value: Mapping[str, Any]) -> str:
    """Return the sha256 of :func:`canonical`, in hexadecimal."""
    return hashlib.sha256(canonical(value)).hexdigest()


def parsed(content: bytes) -> dict[str, Any]:
    """Return the JSON object in ``content``.

    Raises:
        ReceiptError: too large, not UTF-8, not JSON, a key twice, a number that is not finite,
            or no object.
    """
    if len(content) > RECEIPT_BYTES:
        raise ReceiptError(
            f"The receipt has {len(content)} bytes, more than {RECEIPT_BYTES}.",
            "Write it without the data and give them with --data.",
        )
    values = content.count(b",") + content.count(b"[") + content.count(b"{")
    if values > RECEIPT_VALUES:
        raise ReceiptError(
            f"The receipt holds about {values} values, more than {RECEIPT_VALUES}.",
            "Write it without the data and give them with --data.",
        )
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
    except (ValueError, RecursionError) as error:
        raise ReceiptError(f"This is no receipt: {error}.", "Write it again.") from error
    if not isinstance(found, dict):
        raise ReceiptError("This is no receipt: it holds no JSON object.", "Write it again.")
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

    def has(self, name: str) -> bool:
        """Say whether a key that may be left out is there."""
        return name in self._values

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


# -- predictors ------------------------------------------------------------------------------------


def predictor_to_json(predictor: Predictor) -> dict[str, Any]:
    """Return a description in the words of problem files.

    Raises:
        ReceiptError: a predictor that is none of the toolkit's.
    """
    match predictor:
        case Linear():
            return {"kind": "linear", "outputs": predictor.outputs}
        case Network():
            return {
                "kind": "network",
                "widths": list(predictor.widths),
                "activation": _activation_to_json(predictor.activation),
                "outputs": predictor.outputs,
            }
        case DiagonalNetwork():
            return {"kind": "diagonal", "depth": predictor.depth}
        case ConvolutionalNetwork():
            return {"kind": "convolution", "depth": predictor.depth}
        case Polynomial():
            return {"kind": "polynomial", "exponents": [list(row) for row in predictor.exponents]}
        case Bias():
            several = {} if predictor.outputs == 1 else {"outputs": predictor.outputs}
            return {"kind": "bias", "form": predictor.form.value, **several}
        case Log():
            return {"kind": "log", "power": predictor.power, "shift": predictor.shift}
        case Sum():
            members = [
                {
                    "predictor": predictor_to_json(member.predictor),
                    "columns": None if member.columns is None else list(member.columns),
                }
                for member in predictor.members
            ]
            return {"kind": "sum", "members": members}
        case _:
            raise ReceiptError(
                f"A {type(predictor).__name__} cannot be described in a receipt.",
                "Receipts hold predictors of the toolkit only.",
            )


def _activation_to_json(activation: Activation) -> dict[str, Any]:
    match activation:
        case Identity():
            return {"kind": "identity"}
        case Square():
            return {"kind": "square"}
        case ReLU():
            return {"kind": "relu", "power": float(activation.power)}
        case LeakyReLU():
            return {"kind": "leaky-relu", "slope": float(activation.slope)}
        case _:
            raise ReceiptError(
                f"A {type(activation).__name__} cannot be described in a receipt.",
                "Receipts hold activations of the toolkit only.",
            )


_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "linear": ("kind", "outputs"),
    "network": ("kind", "widths", "activation", "outputs"),
    "diagonal": ("kind", "depth"),
    "convolution": ("kind", "depth"),
    "polynomial": ("kind", "exponents"),
    "bias": ("kind", "form"),
    "log": ("kind", "power", "shift"),
    "sum": ("kind", "members"),
}
_ACTIVATIONS: Final[dict[str, tuple[str, ...]]] = {
    "identity": ("kind",),
    "square": ("kind",),
    "relu": ("kind", "power"),
    "leaky-relu": ("kind", "slope"),
}


def predictor_from_json(value: object, key: str = "predictor", depth: int = 0) -> Predictor:
    """Return the predictor that :func:`predictor_to_json` described.

    Raises:
        ReceiptError: anything else.
    """
    if depth > RECEIPT_DEPTH:
        raise ReceiptError(f"{key} is nested too deeply.", "Write the receipt again.")
    fields = Fields(value, key, _keys(value, key, _KEYS))
    try:
        return _predictor(fields, key, depth)
    except LexmarginError as error:
        if isinstance(error, ReceiptError):
            raise
        raise ReceiptError(f"{key}: {error}", "Write the receipt again.") from error


def _keys(value: object, key: str, table: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in table:
        raise ReceiptError(f"{key}.kind is {kind!r}.", nearest(str(kind), table))
    # Receipts of one output are as they were before biases had several.
    several = kind == "bias" and isinstance(value, dict) and "outputs" in value
    return (*table[kind], "outputs") if several else table[kind]


def _predictor(fields: Fields, key: str, depth: int) -> Predictor:
    match fields.text("kind"):
        case "linear":
            return Linear(fields.whole("outputs", 1, RECEIPT_WIDTH))
        case "network":
            return Network(
                _sizes(fields.raw("widths"), f"{key}.widths", 1),
                _activation(fields.raw("activation"), f"{key}.activation"),
                fields.whole("outputs", 1, RECEIPT_WIDTH),
            )
        case "diagonal":
            return DiagonalNetwork(fields.whole("depth", 1, PARAMETER_BLOCKS))
        case "convolution":
            return ConvolutionalNetwork(fields.whole("depth", 1, PARAMETER_BLOCKS))
        case "polynomial":
            rows = fields.raw("exponents")
            if not isinstance(rows, list):
                raise ReceiptError(f"{key}.exponents is no list.", "Write the receipt again.")
            return Polynomial(tuple(_sizes(row, f"{key}.exponents", 0) for row in rows))
        case "bias":
            several = fields.has("outputs")
            outputs = fields.whole("outputs", 2, RECEIPT_WIDTH) if several else 1
            return Bias(fields.text("form"), outputs)  # type: ignore[arg-type]
        case "log":
            return Log(fields.number("power"), fields.number("shift"))
        case _:
            members = fields.raw("members")
            if not isinstance(members, list):
                raise ReceiptError(f"{key}.members is no list.", "Write the receipt again.")
            return Sum([_member(m, f"{key}.members[{i}]", depth) for i, m in enumerate(members)])


def _member(value: object, key: str, depth: int) -> Member:
    fields = Fields(value, key, ("predictor", "columns"))
    columns = fields.raw("columns")
    return Member(
        predictor_from_json(fields.raw("predictor"), f"{key}.predictor", depth + 1),
        None if columns is None else _sizes(columns, f"{key}.columns", 0),
    )


def _activation(value: object, key: str) -> Activation:
    fields = Fields(value, key, _keys(value, key, _ACTIVATIONS))
    match fields.text("kind"):
        case "identity":
            return Identity()
        case "square":
            return Square()
        case "relu":
            return ReLU(fields.number("power"))
        case _:
            return LeakyReLU(fields.number("slope"))


def _sizes(value: object, key: str, low: int) -> tuple[int, ...]:
    good = isinstance(value, list) and len(value) <= RECEIPT_WIDTH
    if not good or any(type(n) is not int or not low <= n <= RECEIPT_WIDTH for n in _items(value)):
        raise ReceiptError(f"{key} is no list of whole numbers.", "Write the receipt again.")
    return tuple(_items(value))


def _items(value: object) -> Iterable[Any]:
    return value if isinstance(value, list) else ()
