"""Results where people look at them: a terminal, a notebook, a frame of pandas, a page."""

from __future__ import annotations

import dataclasses
import html
import io
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Final

from lexmargin.inputs.optional import optional

__all__ = ["fitted", "frame", "html_table", "printable", "short", "templates"]

# C0 but for the end of a line and the tabulator, DEL, C1, other ends of lines, marks that turn the
# direction of text around, halves of characters.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)

_FREE = 10_000
"""Columns that no table has."""


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


def fitted(grid: Any, width: int) -> str:
    """Return a ``rich.table.Table`` as lines of so many characters.

    One whose words do not fit stands row after row, each cell beside the name of its column:
    a table that is cut says less than the same words below each other.
    """
    from rich.console import Console
    from rich.measure import Measurement

    sink = io.StringIO()
    console = Console(file=sink, width=width, color_system=None, markup=False, emoji=False)
    # Asked without a limit: with one, words are cut to it.
    free = console.options.update(max_width=_FREE)
    if Measurement.get(console, free, grid).minimum <= width:
        console.print(grid)
        return "\n".join(line.rstrip() for line in sink.getvalue().splitlines())
    lines = textwrap.wrap(str(grid.title), width) if grid.title else []
    for row in zip(*(column.cells for column in grid.columns), strict=True):
        named = zip(grid.columns[1:], row[1:], strict=True)
        rest = ", ".join(f"{column.header} {cell}" for column, cell in named)
        lines += textwrap.wrap(f"{row[0]}: {rest}", width, subsequent_indent="    ")
    return "\n".join(lines)


def short(value: object, skipped: Sequence[str] = ()) -> str:
    """Return a value as Python writes it, a dataclass with what is not its default alone."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(short, value))}]"
    if isinstance(value, Enum):
        return repr(value.value)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return repr(value)
    stated = []
    for one in dataclasses.fields(value):
        text = short(getattr(value, one.name))
        # Arrays have no one answer to whether they are equal.
        if one.repr and one.name not in skipped and text != short(one.default):
            stated.append(text if one.default is dataclasses.MISSING else f"{one.name}={text}")
    return f"{type(value).__name__}({', '.join(stated)})"


def frame(columns: Mapping[str, Any]) -> Any:
    """Return a ``pandas.DataFrame``.

    Raises:
        MissingBackendError: pandas is not installed.
    """
    return optional("pandas").DataFrame(dict(columns))


def templates(escape: bool) -> Any:
    """Return the environment of the pages' templates, where what is undefined is an error.

    Raises:
        MissingBackendError: Jinja2 is not installed.
    """
    jinja2 = optional("jinja2")
    return jinja2.Environment(
        loader=jinja2.PackageLoader("lexmargin", "templates"),
        autoescape=escape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def printable(text: str) -> str:
    """Return a text with what a terminal would obey or hide written out, as ``\\u001b``."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
