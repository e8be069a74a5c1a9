"""The commands paper and optimizers; everything heavy is imported when they run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from lexmargin.cli.options import Json
from lexmargin.cli.output import emit, kept_so_far, say, table
from lexmargin.errors import ExitCode
from lexmargin.inputs.optional import optional

if TYPE_CHECKING:
    from lexmargin.paper import Book, Record

__all__ = ["add_commands"]


SECONDS: Final = 600.0
"""For one statement."""
Only = Annotated[
    list[str] | None, typer.Option("--only", help="A statement's id; may be repeated.")
]
Out = Annotated[Path | None, typer.Option(help="Folder of page, figures and records; kept.")]
Quick = Annotated[bool, typer.Option("--quick", help="Smaller grids, about a minute.")]
Workers = Annotated[int, typer.Option(help="Statements at a time.")]
Limit = Annotated[float, typer.Option("--time-limit", help="Seconds per statement.")]


def add_commands(app: typer.Typer) -> None:
    """Add paper and optimizers to the command line."""
    app.command()(paper)
    app.command()(optimizers)


def paper(
    only: Only = None,
    out: Out = None,
    quick: Quick = False,
    workers: Workers = 2,
    time_limit: Limit = SECONDS,
    as_json: Json = False,
) -> None:
    """Measure the paper's statements and write a page on which each stands beside its figure."""
    from lexmargin.paper import PAPER

    _measured(PAPER, only, out, quick, workers, time_limit, as_json)


def optimizers(
    only: Only = None,
    out: Out = None,
    quick: Quick = False,
    workers: Workers = 2,
    time_limit: Limit = SECONDS,
    as_json: Json = False,
) -> None:
    """Measure which norm's margin each optimizer maximises, theorem by theorem, on a page."""
    from lexmargin.paper import OPTIMIZERS

    _measured(OPTIMIZERS, only, out, quick, workers, time_limit, as_json)


def _measured(
    book: Book,
    only: list[str] | None,
    out: Path | None,
    quick: bool,
    workers: int,
    time_limit: float,
    as_json: bool,
) -> None:
    from lexmargin.paper import Effort, measure_all, measured_before, named
    from lexmargin.paper.page import write_pages

    for package in ("jinja2", "latex2mathml", "matplotlib"):
        optional(package)
    chosen = named(tuple(dict.fromkeys(only or ())), book)
    effort = Effort.QUICK if quick else Effort.FULL
    records: list[Record] = []
    home = Path("out") / book.word if out is None else out
    folder = home / "records" / effort.value
    with kept_so_far(lambda: _kept(folder, measured_before(chosen, effort, folder))):
        records.extend(measure_all(chosen, effort, folder, workers, time_limit, progress=True))
    # The page keeps what was measured before, so that one statement can be measured again.
    everything = named((), book)
    fresh = {record.id: record for record in records}
    known = fresh | {r.id: r for r in measured_before(everything, effort, folder)}
    pages = write_pages([known[s.id] for s in everything if s.id in known], home, book)
    if as_json:
        stored = [record.to_json() for record in records]
        emit(stored)
    else:
        say(_table(records, book))
        say(f"page: {pages[0]}, Markdown: {pages[1]}")
    raise typer.Exit(_exit_code(records))


def _kept(folder: Path, records: Sequence[Record]) -> str:
    return f"Kept: {len(records)} statements in {folder}; the same command goes on from there."


def _exit_code(records: list[Record]) -> ExitCode:
    """0 where every figure is certified, whatever it says; 1 where one is not; 3 on a failure."""
    from lexmargin.paper import Finding

    if any(record.measurement is None for record in records):
        return ExitCode.SOLVER
    checks = [c for record in records if record.measurement for c in record.measurement.checks]
    undecided = any(check.finding is Finding.UNDECIDED for check in checks)
    return ExitCode.NEGATIVE if undecided else ExitCode.CERTIFIED


def _table(records: list[Record], book: Book) -> str:
    from lexmargin.paper import Reading, statement

    rows = []
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
    head = ("statement", book.place, "literally", "corrected", "seconds")
    return table(head, rows, numbers=("seconds",))
