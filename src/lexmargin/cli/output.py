"""What the command line writes: one place for every line, on streams that may be closed or full.

Titles, names and messages come from files, and a terminal obeys what it is sent: control characters
are shown, never sent.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from typing import Any, Final

import typer

__all__ = ["emit", "note", "prepare_streams", "printable", "progress", "say", "silence"]

# C0 but for the end of a line and the tabulator, DEL, C1, other ends of lines, marks that turn the
# direction of text around, halves of characters.
_UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def printable(text: str) -> str:
    """Return a text with what a terminal would obey or hide written out, as ``\\u001b``."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


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


def progress(line: str) -> None:
    """Write a line of progress to stderr, where that is a terminal."""
    if sys.stderr.isatty():
        note(f"… {line}")


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
