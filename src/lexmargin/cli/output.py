"""What the command line writes: one place for every line, on streams that may be closed or full.

Titles, names and messages come from files, and a terminal obeys what it is sent: control characters
are shown, never sent. Lines are as long as the terminal is wide, or as ``COLUMNS`` says; in a pipe
they are as long as they are.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, final

import typer

from lexmargin.outputs.display import fitted, printable

__all__ = [
    "UNBOUNDED",
    "Interrupted",
    "columns",
    "emit",
    "failed",
    "kept_so_far",
    "note",
    "prepare_streams",
    "printed",
    "say",
    "silence",
    "table",
]


UNBOUNDED: Final = 160
"""Columns of a table in a pipe: what an editor shows without wrapping."""
_NARROWEST: Final = 20
"""A terminal of fewer columns is none; words would be cut to letters."""
_NAMED: Final = re.compile(r"\s*\S+(?: \S+)*\s{2,}")
"""The name that a line begins with, up to what is said of it."""


def columns() -> int | None:
    """Return how wide lines may be: ``COLUMNS``, or a terminal's width, or None in a pipe."""
    said = os.environ.get("COLUMNS", "")
    if not (said.isdigit() and int(said)) and not sys.stdout.isatty():
        return None
    return max(_NARROWEST, shutil.get_terminal_size().columns)


def say(text: str) -> None:
    """Write a result to stdout, as lines; long ones go on below what they say, not the name."""
    width = columns()
    lines = printable(text).split("\n")
    if width is not None:
        lines = [part for line in lines for part in _folded(line, width)]
    typer.echo("\n".join(lines))


def _folded(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    name = _NAMED.match(line)
    blank = " " * (len(line) - len(line.lstrip()))
    if name is not None and len(name[0]) <= width // 2:
        return textwrap.wrap(line, width, subsequent_indent=" " * len(name[0]))
    below = f"{blank}    "
    if name is None or not name[0].strip():
        return textwrap.wrap(line, width, subsequent_indent=below)
    rest = textwrap.wrap(line[len(name[0]) :], width, initial_indent=below, subsequent_indent=below)
    return [*textwrap.wrap(name[0], width, subsequent_indent=below), *rest]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> str:
    """Return rows below their head, as wide as lines may be; ``numbers`` stand to the right."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in head:
        grid.add_column(name, justify="right" if name in numbers else "left")
    for row in rows:
        grid.add_row(*(Text(printable(cell)) for cell in row))
    return fitted(grid, columns() or UNBOUNDED)


_TEXTS: Final = frozenset({"problem", "formulation", "solver", "raw_status", "unjudged"})
"""Keys of a result that hold words of others, which may be any."""


def printed(result: Any) -> Any:
    """Return a result's JSON values as they are printed: what is infinite is null there, too."""
    if isinstance(result, dict):
        return {k: v if k in _TEXTS else printed(v) for k, v in result.items()}
    if isinstance(result, list):
        return [printed(one) for one in result]
    return None if result in ("inf", "-inf") else result


def emit(value: Any) -> None:
    """Write a value to stdout as one line of JSON."""
    # The escapes of `printable` are those of JSON, where such characters stand in texts alone.
    typer.echo(printable(json.dumps(value, ensure_ascii=False, allow_nan=False)))


def note(text: str) -> None:
    """Write a line to stderr; one that cannot be written is lost."""
    with contextlib.suppress(OSError, ValueError):
        typer.echo(printable(text), err=True)


@final
class Interrupted(BaseException):
    """Ctrl-C, and what is kept of the work; the command line's library drops the plain one."""


@contextlib.contextmanager
def kept_so_far(told: Callable[[], str] = lambda: "Nothing was written.") -> Iterator[None]:
    """Have an interrupt of what is done here say what is kept."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(told()) from error


def failed(
    code: str, exit_code: int, problem: str, advice: str = "", *, as_json: bool, proof: Any = None
) -> int:
    """Say what went wrong on stderr, and on stdout as an object where JSON is asked for."""
    note(f"error ({code}): {' '.join(f'{problem} {advice}'.split())}")
    if as_json:
        said = {"code": code, "problem": problem, "advice": advice, "exit_code": int(exit_code)}
        try:
            emit({**(proof or {}), "error": said})
            sys.stdout.flush()
        except OSError:
            # It stands on stderr, and the exit code is the same.
            silence()
    return int(exit_code)


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
