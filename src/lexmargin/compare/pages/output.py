"""A comparison as text for a terminal and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from lexmargin.compare.pages.table import Row, Summary, Table
from lexmargin.compare.records import Honesty, RowStatus

__all__ = ["as_csv", "as_text", "percent"]

_MOST_ROWS = 60
"""Rows printed on a terminal: what one scrolls through; the files have all of them."""


def as_csv(table: Table) -> str:
    """Return one line per row, with the names of the columns first."""
    sink = io.StringIO()
    names = [name for name in Row.__dataclass_fields__ if name != "versions"]
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(names)
    for row in table.to_json():
        writer.writerow(["" if row[name] is None else row[name] for name in names])
    return sink.getvalue()


def as_text(table: Table, width: int | None = None) -> str:
    """Return the two figures of every profile, then the rows that need a look."""
    from rich.console import Console

    console = Console(width=width, record=True, file=io.StringIO(), markup=False, emoji=False)
    console.print(_figures(table.summaries()))
    notable = [row for row in table.rows if row.entered and _is_notable(row)]
    if notable:
        console.print(_notable(notable[:_MOST_ROWS]))
        if len(notable) > _MOST_ROWS:
            console.print(f"… and {len(notable) - _MOST_ROWS} more; see --csv or the report.")
    absent = sorted({row.profile for row in table.rows if row.ran is RowStatus.MISSING})
    if absent:
        console.print(f"absent here: {', '.join(absent)}")
    refusals = dict.fromkeys(
        (row.profile, row.failure) for row in table.rows if row.ran is RowStatus.NOT_HANDLED
    )
    for profile, why in list(refusals)[:_MOST_ROWS]:
        console.print(f"{profile} {why}")
    return console.export_text(styles=False).rstrip()


def _is_notable(row: Row) -> bool:
    return not row.success or row.honesty is Honesty.FALSE


def _figures(summaries: Sequence[Summary]) -> Any:
    from rich.table import Table as Grid

    grid = Grid(title="success: certified at the grade, without polish · honesty: true claims")
    for name in ("solver", "grade"):
        grid.add_column(name)
    names = ["ran", "success", "honesty", "lies", "not meant", "coarse", "unproved", "absent"]
    names.append("not handled")
    for name in names:
        grid.add_column(name, justify="right")
    for s in summaries:
        grid.add_row(
            s.profile,
            _grade(s),
            str(s.entered),
            percent(s.success),
            percent(s.honesty),
            str(s.claims - s.kept),
            str(s.not_meant),
            str(s.coarse),
            str(s.open),
            str(s.missing),
            str(s.not_handled),
        )
    return grid


def _notable(rows: Sequence[Row]) -> Any:
    from rich.table import Table as Grid

    grid = Grid(title="not certified, or a claim that is refuted")
    for name in ("problem", "solver", "grade", "ran", "claim", "verdict", "ε", "gap", "honest"):
        grid.add_column(name, overflow="fold")
    for row in rows:
        grid.add_row(
            row.problem,
            row.profile,
            _grade(row),
            row.ran.value,
            row.claim.value,
            row.verdict or "–",
            short(row.stationarity),
            short(row.margin_gap),
            row.honesty.value,
        )
    return grid


def _grade(one: Row | Summary) -> str:
    return f"{one.grade}, scaled" if one.scaled else one.grade


def percent(share: float | None) -> str:
    """Return a share as a percentage; 100 % only if it is all of them."""
    if share is None:
        return "–"
    return f"{int(100 * share)} %"


def short(value: float | None) -> str:
    """Return a number with two digits."""
    return "–" if value is None else f"{value:.1e}"
