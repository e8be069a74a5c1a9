"""Results that are kept in files: the fields of a frozen dataclass, as one JSON value.

Nothing in a file is run, and no word in it is believed: what was measured is measured again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

from lexmargin.errors import LibraryError
from lexmargin.inputs.codec import Where, fields_written, read_as
from lexmargin.inputs.files import read_file, write_file
from lexmargin.inputs.json_text import canonical, parsed
from lexmargin.inputs.limits import STORED_BYTES, STORED_VALUES

__all__ = ["Stored", "StoredAlone", "columns", "from_file", "record"]

_SMALLER: Final = "Keep the arrays with numpy.savez."


def record(what: str) -> Where:
    """Return the place of a record, for messages."""
    return Where(what, exact=True, record=True)


def from_file(path: str | Path) -> Any:
    """Return the JSON value in a file of a result.

    Raises:
        LibraryError: no such file, no regular one, too large, or no plain JSON.
    """
    content = read_file(path, STORED_BYTES, LibraryError, "Name a saved result.", _SMALLER)
    return parsed(content, "saved result", STORED_VALUES, LibraryError, _SMALLER)


def columns(results: Sequence[Any]) -> dict[str, list[Any]]:
    """Return what is written of results, by name, and numbers as they are: columns of a frame."""
    rows = [fields_written(one, exact=True) for one in results]
    found: dict[str, list[Any]] = {name: [] for name in (rows[0] if rows else ())}
    for one, row in zip(results, rows, strict=True):
        for name, values in found.items():
            number = getattr(one, name, None)
            values.append(number if isinstance(number, float) else row[name])
    return found


class Stored(ABC):
    """A result that can be written to a file."""

    @abstractmethod
    def to_json(self) -> Any:
        """Return plain JSON values: None for NaN, "inf" and "-inf" for what is infinite."""

    def save(self, path: str | Path) -> None:
        """Replace a file by the result, in one step; ``load`` reads it.

        Raises:
            LibraryError: a path that cannot be written, or more than is ever read.
        """
        content = canonical(self.to_json()) + b"\n"
        if len(content) > STORED_BYTES:
            raise LibraryError(f"{len(content)} bytes are too many for a result.", _SMALLER)
        write_file(path, content, LibraryError)


class StoredAlone(Stored):
    """A result that can be read back by itself."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: None for NaN, "inf" and "-inf" for what is infinite."""
        return fields_written(self, exact=True)

    @classmethod
    def from_json(cls, stored: Any) -> Self:
        """Return the result that :meth:`to_json` has written.

        Raises:
            LibraryError: an unknown or missing key, or a value of another type.
            UnknownNameError: a word that is none.
        """
        return read_as(cls, stored, record(f"the saved {cls.__name__}"))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the result in a file, as :meth:`from_json`.

        Raises:
            LibraryError: also no such file, no regular one, too large, or no plain JSON.
        """
        return cls.from_json(from_file(path))
