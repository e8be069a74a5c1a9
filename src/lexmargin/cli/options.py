"""Arguments and options that several commands take; everything heavy is imported when they run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lexmargin.shelf.library import Library

__all__ = [
    "UNKEPT",
    "Grade",
    "Json",
    "Problem",
    "Seed",
    "Shelves",
    "Solver",
    "TimeLimit",
    "library_of",
]

UNKEPT = "Nothing was kept; --time-limit SECONDS ends a run and keeps what it reached."


def _problems(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    titles = library_of(ctx.params.get("library")).titles()
    return [(name, title) for name, title in titles.items() if name.startswith(incomplete)]


def _solvers(ctx: typer.Context, incomplete: str) -> list[str]:
    known = ("auto", *library_of(ctx.params.get("library")).profiles())
    return [name for name in known if name.startswith(incomplete)]


def _grades(incomplete: str) -> list[str]:
    from lexmargin.shelf.library import grades

    return [grade.name for grade in grades() if grade.name.startswith(incomplete)]


Problem = Annotated[
    str, typer.Argument(help="A problem's name, or a TOML file.", autocompletion=_problems)
]
Solver = Annotated[str, typer.Option(help="A solver profile, or auto.", autocompletion=_solvers)]
Grade = Annotated[str, typer.Option(help="default, low, mid or high.", autocompletion=_grades)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON; errors too.")]
Seed = Annotated[int, typer.Option(help="Of every random choice.")]
TimeLimit = Annotated[float | None, typer.Option(help="Seconds; what was reached is kept.")]
Shelves = Annotated[
    list[Path] | None, typer.Option("--library", help="An extra shelf; may be repeated.")
]


def library_of(folders: list[Path] | None) -> Library:
    """Return the shipped shelf with those of a command."""
    from lexmargin.shelf.library import Library

    return Library(tuple(folders or ()))
