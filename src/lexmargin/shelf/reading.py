"""Strict reading of TOML: a frozen dataclass is the schema, and nothing else is accepted.

The annotations of the dataclass say what each key holds: ``str``, ``bool``, ``int``, ``float``,
:class:`~lexmargin.shelf.expressions.Number`, a ``StrEnum``, ``tuple[T, ...]``, ``Mapping[K, V]``,
``frozenset[T]``, another dataclass, or any of these ``| None``. Numbers may be written as exact
strings. A field without a default is required.
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, Union, cast, final, get_args, get_origin, get_type_hints

from lexmargin.errors import ExpressionError, LibraryError, UnknownNameError, nearest
from lexmargin.inputs.files import read_file
from lexmargin.inputs.limits import TOML_BYTES
from lexmargin.shelf.expressions import Number, number

__all__ = ["Where", "read_as", "read_toml"]


_T = TypeVar("_T")


@final
@dataclass(frozen=True)
class Where:
    """A place in a file, for error messages: the file and the dotted key."""

    file: Path
    key: str = ""

    def at(self, key: str) -> Where:
        joined = f"{self.key}.{key}" if self.key else key
        return Where(self.file, joined)

    def item(self, index: int) -> Where:
        return Where(self.file, f"{self.key}[{index}]")

    def __str__(self) -> str:
        return f"{self.file}: {self.key}" if self.key else str(self.file)


def read_toml(path: Path) -> dict[str, object]:
    """Return the top table of a TOML file; decimals stay exact (``Decimal``).

    Raises:
        LibraryError: missing, a folder, unreadable, over ``TOML_BYTES``, empty, not UTF-8,
            or not TOML (with the line).
    """
    content = read_file(
        path, TOML_BYTES, LibraryError, "Name a TOML file, or a problem of the shelf.",
        "Put the samples in a CSV or NPZ file and name it under [data].",
    )  # fmt: skip
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LibraryError(
            f"{path} is not UTF-8 text (byte {error.start}).", "Save it as UTF-8."
        ) from None
    try:
        table: dict[str, object] = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise LibraryError(f"{path} is not TOML: {error}.", "Mend that line.") from None
    except (RecursionError, ValueError, ArithmeticError) as error:
        raise LibraryError(
            f"{path} is not TOML that can be read: {error}.", "Simplify it."
        ) from None
    if not table:
        raise LibraryError(f"{path} is empty.", "Write at least a title and a formulation in it.")
    return table


def read_as(schema: type[_T], raw: object, where: Where, **internal: object) -> _T:
    """Return a table as an instance of the dataclass ``schema``.

    ``internal`` gives the fields marked ``metadata={"internal": True}``, which no file may set.

    Raises:
        LibraryError: an unknown key (with the nearest known one), a missing key, a wrong type.
        UnknownNameError: a word outside its enumeration.
        ExpressionError: text that should be a number and is not.
    """
    if not isinstance(raw, Mapping):
        raise _wrong(where, "a table", raw)
    fields = {
        f.name: f
        for f in dataclasses.fields(cast("Any", schema))
        if f.init and not f.metadata.get("internal", False)
    }
    for key in raw:
        if key not in fields:
            raise LibraryError(f"{where}: unknown key {key!r}.", nearest(str(key), fields))
    values: dict[str, object] = dict(internal)
    hints = _hints(cast("Any", schema))
    for key, field in fields.items():
        if key in raw:
            values[field.name] = _convert(hints[field.name], raw[key], where.at(key))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise LibraryError(f"{where}: the key {key!r} is missing.", f"Add a line {key} = ….")
    return schema(**values)


@cache
def _hints(schema: type[Any]) -> dict[str, Any]:
    return get_type_hints(schema)


def _wrong(where: Where, wanted: str, raw: object) -> LibraryError:
    words = {
        bool: "a truth value",
        str: "text",
        int: "an integer",
        Decimal: "a decimal",
        list: "a list",
        dict: "a table",
    }
    found = words.get(type(raw), type(raw).__name__)
    return LibraryError(f"{where} is {found}.", f"Write {wanted} there.")


def _convert(hint: Any, raw: object, where: Where) -> object:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        members = [member for member in get_args(hint) if member is not type(None)]
        return _convert(members[0], raw, where) if len(members) == 1 else _scalar(raw, where)
    if origin is tuple or origin is frozenset:
        if not isinstance(raw, list):
            raise _wrong(where, "a list", raw)
        item = get_args(hint)[0]
        values = [_convert(item, value, where.item(i)) for i, value in enumerate(raw)]
        return tuple(values) if origin is tuple else frozenset(values)
    if origin is Mapping:
        if not isinstance(raw, dict):
            raise _wrong(where, "a table", raw)
        name, value = get_args(hint)
        return types.MappingProxyType(
            {_convert(name, k, where): _convert(value, v, where.at(k)) for k, v in raw.items()}
        )
    if dataclasses.is_dataclass(hint) and hint is not Number:
        return read_as(cast("type[object]", hint), raw, where)
    return _simple(hint, raw, where)


def _simple(hint: Any, raw: object, where: Where) -> object:
    if hint is Number:
        return _number(raw, where)
    if hint is float:
        return float("inf") if raw == "inf" else _number(raw, where).value
    if hint is int:
        if isinstance(raw, int) and not isinstance(raw, bool):
            return raw
        raise _wrong(where, "an integer", raw)
    if hint is bool:
        if isinstance(raw, bool):
            return raw
        raise _wrong(where, "true or false", raw)
    if not isinstance(raw, str):
        raise _wrong(where, "text in quotes", raw)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        words = [str(member) for member in hint]
        if raw not in words:
            raise UnknownNameError(f"{where}: unknown word {raw!r}.", nearest(raw, words))
        return hint(raw)
    return raw


def _number(raw: object, where: Where) -> Number:
    if isinstance(raw, bool) or not isinstance(raw, int | float | Decimal | str):
        raise _wrong(where, "a number or an exact string", raw)
    try:
        return number(raw)
    except ExpressionError as error:
        raise ExpressionError(f"{where}: {error.problem}", error.advice) from None


def _scalar(raw: object, where: Where) -> float | int | str | bool:
    if isinstance(raw, Decimal):
        return float(raw)
    if isinstance(raw, bool | int | str):
        return raw
    raise _wrong(where, "a number, a text or a truth value", raw)
