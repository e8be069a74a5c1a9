"""TOML files: read with exact decimals, and written so that every double comes back."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from lexmargin.errors import LibraryError
from lexmargin.inputs.files import read_file
from lexmargin.inputs.limits import TOML_BYTES

__all__ = ["read_toml", "to_toml"]


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


def to_toml(table: Mapping[str, Any]) -> str:
    """Return the text of a table of plain values; tables in it come last, under their own heads."""
    tables = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    lines = [f"{key} = {_value(value)}" for key, value in table.items() if key not in tables]
    for key, inner in tables.items():
        lines += ["", f"[{key}]", *(f"{name} = {_value(value)}" for name, value in inner.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_value(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(entry) for entry in value) + "]"
    if isinstance(value, float) and math.isfinite(value):
        return repr(value)
    if isinstance(value, bool | int | str):
        # All escapes of JSON are escapes of TOML, which wants one more.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    raise TypeError(f"TOML holds no {type(value).__name__} here")
