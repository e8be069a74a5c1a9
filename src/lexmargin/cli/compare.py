"""The commands compare and report; everything heavy is imported when they run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lexmargin.cli.options import Json, Shelves, library_of
from lexmargin.cli.output import UNBOUNDED, columns, emit, kept_so_far, printed, say
from lexmargin.errors import BadInputError, ParameterError, UnknownNameError, nearest
from lexmargin.inputs.files import write_file
from lexmargin.inputs.optional import optional

if TYPE_CHECKING:
    from lexmargin.compare import Executor, Table
    from lexmargin.shelf.library import Library

__all__ = ["add_commands"]

_Csv = Annotated[Path | None, typer.Option("--csv", help="Also write the rows to this file.")]
_Cite = Annotated[Path | None, typer.Option("--cite", help="Also write a citation file (CFF).")]
_Html = Annotated[Path | None, typer.Option("--html", help="Also write the page to this file.")]


def add_commands(app: typer.Typer) -> None:
    """Add compare and report to the command line."""
    app.command()(compare)
    app.command()(report)


def compare(
    problems: Annotated[
        list[str],
        typer.Option(
            "--problems",
            help='Names, globs as "linear/*", files, folders, or collection; commas join.',
        ),
    ],
    solvers: Annotated[
        list[str],
        typer.Option(
            "--solvers", help="Profiles, globs, or convex, nonconvex, baselines, all; commas join."
        ),
    ] = ["all"],  # noqa: B006
    grades: Annotated[str, typer.Option(help="default, low, mid, high; commas join.")] = "default",
    seeds: Annotated[str, typer.Option(help="Whole numbers; commas join.")] = "0",
    time_limit: Annotated[float, typer.Option(help="Seconds per unit; then it is ended.")] = 60.0,
    memory_limit: Annotated[int, typer.Option(help="MiB per unit; then it is ended.")] = 4096,
    scaled: Annotated[
        bool, typer.Option("--scaled/--raw", help="Scale margins by powers of two first, or not.")
    ] = False,
    both: Annotated[bool, typer.Option("--both", help="Raw and scaled, side by side.")] = False,
    executor: Annotated[str, typer.Option(help="serial, processes or dask.")] = "processes",
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a dask scheduler; a local one if left out.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Units at a time.")] = 2,
    out: Annotated[
        Path | None, typer.Option(help="Folder of results; what is there is not run again.")
    ] = None,
    csv: _Csv = None,
    html: _Html = None,
    cite: _Cite = None,
    library: Shelves = None,
    as_json: Json = False,
) -> None:
    """Compare solvers: every answer is judged by the certificate alone, without polish."""
    from lexmargin.compare import Limits
    from lexmargin.compare import compare as run

    shelves = library_of(library)
    chosen = _executor(executor, workers, scheduler)
    for path in (csv, html, cite):
        _check_writable(path)
    with kept_so_far(lambda: _kept(out)):
        table = run(
            _words(problems),
            _words(solvers),
            _words([grades]),
            _whole_numbers(seeds),
            limits=Limits(time_limit, memory_limit),
            scaled=(False, True) if both else (scaled,),
            executor=chosen,
            out=out,
            library=shelves,
            progress=True,
        )
    _show(table, shelves, csv, html, cite, as_json)


def report(
    folder: Annotated[Path, typer.Argument(help="The folder that compare --out has filled.")],
    csv: _Csv = None,
    html: _Html = None,
    cite: _Cite = None,
    library: Shelves = None,
    as_json: Json = False,
) -> None:
    """Show a finished comparison again: as a table, CSV, JSON, or one HTML page."""
    from lexmargin.compare import Store, read_back

    for path in (csv, html, cite):
        _check_writable(path)
    shelves = library_of(library)
    _show(read_back(Store(folder), shelves), shelves, csv, html, cite, as_json)


def _kept(out: Path | None) -> str:
    from lexmargin.compare import Store

    if out is None:
        return "Nothing was kept; --out FOLDER keeps every finished unit."
    return f"Kept: {Store(out).count()} units in {out}; the same command goes on from there."


def _executor(name: str, workers: int, scheduler: str | None) -> Executor:
    from lexmargin.compare import ExecutorName
    from lexmargin.compare import executor as chosen

    known = [member.value for member in ExecutorName]
    if name not in known:
        raise UnknownNameError(f"There is no executor {name!r}.", nearest(name, known))
    return chosen(ExecutorName(name), workers, scheduler)


def _words(given: list[str]) -> list[str]:
    return [word.strip() for text in given for word in text.split(",") if word.strip()]


def _whole_numbers(text: str) -> list[int]:
    try:
        return [int(word) for word in _words([text])]
    except ValueError:
        raise ParameterError(
            f"The seeds are {text!r}.", "Give whole numbers joined by commas."
        ) from None


def _check_writable(path: Path | None) -> None:
    """Refuse what would fail after an hour of work."""
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise BadInputError(f"{path} cannot be written.", "Name a file in a folder that exists.")
    if path is not None and path.suffix == ".html":
        optional("jinja2")


def _show(
    table: Table,
    library: Library,
    csv: Path | None,
    html: Path | None,
    cite: Path | None,
    as_json: bool,
) -> None:
    from lexmargin.compare.citation import as_citation
    from lexmargin.compare.pages.output import as_csv, as_text
    from lexmargin.compare.pages.page import as_page

    if csv is not None:
        write_file(csv, as_csv(table))
    if html is not None:
        write_file(html, as_page(table, library))
    if cite is not None:
        write_file(cite, as_citation(table, library))
    if as_json:
        emit(printed(table.to_json()))
    else:
        say(as_text(table, columns() or UNBOUNDED))
