"""Every cell of a table says which column it is in: on a phone a row is shown as a card."""

from __future__ import annotations

from typing import Any

from bs4 import BeautifulSoup, Tag

__all__ = ["labelled", "setup"]

_SHORT = 18
"""Letters that stand on half a phone's width; longer text has a line of its own."""


def labelled(body: str) -> str:
    """Return a page's body in which the cells of tables with three columns or more are labelled."""
    if "<table" not in body:
        return body
    soup = BeautifulSoup(body, "html.parser")
    for table in soup.select("table.docutils"):
        heads = [head.get_text(" ", strip=True) for head in table.select("thead th")]
        if len(heads) < 3:
            continue
        table["class"] = [*table.get_attribute_list("class"), "cards"]
        for row in table.select("tbody tr"):
            for head, cell in zip(heads, row.find_all(["td", "th"], recursive=False), strict=False):
                if isinstance(cell, Tag):
                    cell["data-label"] = head
                    length = len(cell.get_text(strip=True))
                    if kind := "" if 0 < length <= _SHORT else "long" if length else "empty":
                        cell["class"] = [*cell.get_attribute_list("class"), kind]
    return str(soup)


def _page(_app: Any, _name: str, _template: str, context: dict[str, Any], _tree: Any) -> None:
    if "body" in context:
        context["body"] = labelled(context["body"])


def setup(app: Any) -> dict[str, bool]:
    """Label the tables of every page as it is written."""
    app.connect("html-page-context", _page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
