"""Results where people look at them: tables of a notebook and frames of pandas."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lexmargin.inputs.optional import optional

__all__ = ["frame", "html_table", "templates"]


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
    inside = "".join(f"<{tag} {style}>{html.escape(str(cell))}</{tag}>" for tag, cell in cells)
    return f"<tr>{inside}</tr>"


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
