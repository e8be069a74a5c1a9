"""The command separability; everything heavy is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lexmargin.cli.options import Json, Shelves, library_of
from lexmargin.cli.output import emit, say
from lexmargin.errors import ExitCode, ParameterError

if TYPE_CHECKING:
    from lexmargin.data.dataset import Dataset

__all__ = ["add_commands"]


def add_commands(app: typer.Typer) -> None:
    """Add separability to the command line."""
    app.command()(separability)


def separability(
    file: Annotated[
        str, typer.Argument(help="A CSV or NPZ file, or a problem's name or TOML file.")
    ],
    bias: Annotated[
        bool, typer.Option("--bias/--no-bias", help="Scores with a bias, as statistics has them.")
    ] = True,
    label: Annotated[
        str | None, typer.Option(help="The label column of a CSV file; the last one if left out.")
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="What separates the cells of a CSV file.")
    ] = None,
    index: Annotated[
        str | None, typer.Option(help="A column of row names in a CSV file, left out.")
    ] = None,
    decimal: Annotated[
        str | None, typer.Option(help="The decimal mark of a CSV file, a point or a comma.")
    ] = None,
    library: Shelves = None,
    as_json: Json = False,
) -> None:
    """Say what kind of separation data have, and which coefficients run to infinity, exactly."""
    from lexmargin.separability import separability as decided

    data = _data(file, label, delimiter, index, decimal, library)
    found = decided(data, bias)
    if as_json:
        answer = {**found.to_json(), "classes": list(data.classes), "samples": data.n_samples}
        emit(answer)
    else:
        last = data.n_features + bias
        names = f"features 0 to {data.n_features - 1}" + (f", bias {last - 1}" if bias else "")
        per_class = "" if data.is_binary else f", {last} coefficients class after class"
        say(f"{'classes':<16}{', '.join(map(str, data.classes))}")
        say(f"{'coefficients':<16}{names}{per_class}")
        say(found.report())
    raise typer.Exit(ExitCode.CERTIFIED)


def _data(
    file: str,
    label: str | None,
    delimiter: str | None,
    index: str | None,
    decimal: str | None,
    library: list[Path] | None,
) -> Dataset:
    from lexmargin.data.dataset import load_csv, load_npz
    from lexmargin.shelf.build import build_data

    if Path(file).suffix.lower() in (".csv", ".tsv", ".txt", ".dat"):
        return load_csv(file, label, delimiter=delimiter, index=index, decimal=decimal)
    if any(value is not None for value in (label, delimiter, index, decimal)):
        raise ParameterError(
            f"label, delimiter, index and decimal belong to a CSV file, and {file!r} is none.",
            "Give a file whose name ends in .csv, .tsv, .txt or .dat.",
        )
    if Path(file).suffix.lower() == ".npz":
        return load_npz(file)
    found = library_of(library).problem(file)
    return build_data(found.data, found.folder, found.title)
