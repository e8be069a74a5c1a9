"""Arguments and options that several commands take; everything heavy is imported when they run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lexmargin.shelf.library import Library

__all__ = ["Json", "Problem", "Seed", "Shelves", "TimeLimit", "library_of"]

Problem = Annotated[str, typer.Argument(help="A problem's name, or a TOML file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Seed = Annotated[int, typer.Option(help="Of every random choice.")]
TimeLimit = Annotated[float | None, typer.Option(help="Seconds; what was reached is kept.")]
Shelves = Annotated[
    list[Path] | None, typer.Option("--library", help="An extra shelf; may be repeated.")
]


def library_of(folders: list[Path] | None) -> Library:
    """Return the shipped shelf with those of a command."""
    from lexmargin.shelf.library import Library

    return Library(tuple(folders or ()))
