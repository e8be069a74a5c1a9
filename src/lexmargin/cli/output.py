"""What the command line writes: one place for every line, on streams that may be closed or full.

Titles, names and messages come from files, and a terminal obeys what it is sent: control characters
are shown, never sent.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

import typer

from lexmargin.inputs.display import printable

__all__ = ["emit", "note", "prepare_streams", "say", "silence"]


def say(text: str) -> None:
    """Write a result to stdout, as lines."""
    typer.echo(printable(text))


def emit(value: Any) -> None:
    """Write a value to stdout as one line of JSON."""
    # The escapes of `printable` are those of JSON, where such characters stand in texts alone.
    typer.echo(printable(json.dumps(value, ensure_ascii=False, allow_nan=False)))


def note(text: str) -> None:
    """Write a line to stderr; one that cannot be written is lost."""
    with contextlib.suppress(OSError, ValueError):
        typer.echo(printable(text), err=True)


def prepare_streams() -> None:
    """Make stdin, stdout and stderr exist, and UTF-8.

    A descriptor that is closed would be given to the next file that is opened, and what a solver
    prints would be written into it. Writing to a closed stdout fails, as on a full disk.
    """
    for descriptor, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free one, which is this one.
            os.set_inheritable(os.open(os.devnull, mode), True)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")


def silence() -> None:
    """Drop what is still buffered for stdout: it cannot be written, and must not be at exit."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
