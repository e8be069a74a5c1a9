"""Results where people look: tables of a notebook, frames of pandas, lines of a terminal."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from lexmargin.errors import MissingBackendError

__all__ = ["frame", "html_table", "printable"]

# C0 but for the end of a line and the tabulator, DEL, C1, other ends of lines, marks that turn the
# direction of text around, halves of characters.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def html_table(rows: Iterable[Sequence[object]], head: Sequence[str] = ()) -> str:
    """Return rows as an HTML table; without a head the first cell of each row is its name."""
    lines = [_row([("th", cell) for cell in head])] if head else []
    first = "td" if head else "th"
    lines += [
        _row([(first if k == 0 else "td", cell) for k, cell in enumerate(row)]) for row in rows
    ]
    return f"<table>{''.join(lines)}</table>"


def _row(cells: Iterable[tuple[str, object]]) -> str:
    style = 'style="text-align:left"'
    texts = ((tag, f"{cell:.6g}" if isinstance(cell, float) else str(cell)) for tag, cell in cells)
    inside = "".join(f"<{tag} {style}>{html.escape(text)}</{tag}>" for tag, text in texts)
    return f"<tr>{inside}</tr>"


def frame(columns: Mapping[str, Any]) -> Any:
    """Return a ``pandas.DataFrame``.

    Raises:
        MissingBackendError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise MissingBackendError(
            "A frame needs pandas, which is not installed.", "Install it: pip install pandas."
        ) from None
    return pandas.DataFrame(dict(columns))


def printable(text: str) -> str:
    """Return a text with what a terminal would obey or hide written out, as ``\\u001b``."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
