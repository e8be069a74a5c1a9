"""The command paper; everything heavy is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lexmargin.cli.options import Json
from lexmargin.cli.output import emit, say
from lexmargin.errors import ExitCode

if TYPE_CHECKING:
    from lexmargin.paper import Record

__all__ = ["add_commands"]


def add_commands(app: typer.Typer) -> None:
    """Add paper to the command line."""
    app.command()(paper)


def paper(
    only: Annotated[
        list[str] | None, typer.Option("--only", help="A statement's id; may be repeated.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Folder of page, figures and records; what is there is kept.")
    ] = Path("out/paper"),
    quick: Annotated[bool, typer.Option("--quick", help="Smaller grids, about a minute.")] = False,
    workers: Annotated[int, typer.Option(help="Statements at a time.")] = 2,
    time_limit: Annotated[float, typer.Option(help="Seconds per statement.")] = 600.0,
    as_json: Json = False,
) -> None:
    """Measure the paper's statements and write a page on which each stands beside its figure."""
    from lexmargin.paper import Effort, measure_all, measured_before, named
    from lexmargin.paper.page import write_pages

    chosen = named(tuple(dict.fromkeys(only or ())))
    effort = Effort.QUICK if quick else Effort.FULL
    records: list[Record] = []
    folder = out / "records" / effort.value
    records.extend(measure_all(chosen, effort, folder, workers, time_limit, progress=True))
    # The page keeps what was measured before, so that one statement can be measured again.
    fresh = {record.id: record for record in records}
    known = fresh | {r.id: r for r in measured_before(named(()), effort, folder)}
    pages = write_pages([known[s.id] for s in named(()) if s.id in known], out)
    if as_json:
        stored = [record.to_json() for record in records]
        emit(stored)
    else:
        say(_table(records))
        say(f"page: {pages[0]}, Markdown: {pages[1]}")
    raise typer.Exit(_exit_code(records))


def _exit_code(records: list[Record]) -> ExitCode:
    """0 where every figure is certified, whatever it says; 1 where one is not; 3 on a failure."""
    from lexmargin.paper import Finding

    if any(record.measurement is None for record in records):
        return ExitCode.SOLVER
    checks = [c for record in records if record.measurement for c in record.measurement.checks]
    undecided = any(check.finding is Finding.UNDECIDED for check in checks)
    return ExitCode.NEGATIVE if undecided else ExitCode.CERTIFIED


def _table(records: list[Record]) -> str:
    from lexmargin.paper import Reading, statement

    rows: list[tuple[str, ...]] = [
        ("statement", "in the paper", "literally", "corrected", "seconds")
    ]
    for record in records:
        words = ["not measured", record.failure]
        if record.measurement is not None:
            spoken = {check.reading for check in record.measurement.checks}
            words = [
                record.measurement.finding(reading).value if reading in spoken else "–"
                for reading in (Reading.PAPER, Reading.CORRECTED)
            ]
        reference = statement(record.id).reference
        rows.append((record.id, reference, *words, f"{record.seconds:.1f}"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join([*(f"{c:<{w}}" for c, w in zip(row[:4], widths, strict=True)), f"{row[4]:>7}"])
        for row in rows
    )
