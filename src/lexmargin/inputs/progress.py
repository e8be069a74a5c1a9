"""How far work has come: one count for whoever waits, and a bar where somebody looks.

A bar is plain text on stderr, where that is a terminal: no colour, no escape, no thread (a process
that is forked beside one may hang), and nothing of it is left in the end. In a notebook it is an
output that is replaced.
"""

from __future__ import annotations

import importlib
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from typing import Any, Final, final

from lexmargin.inputs.display import printable

__all__ = ["Part", "Progress", "Tick", "telling"]

_PERIOD: Final = 0.1
"""Seconds between two drawings: nobody reads faster, and work may tick thousands of times."""
_CELLS: Final = 20
"""Characters of a bar: a step is 5 %."""


@final
class Part(StrEnum):
    """What is counted."""

    STARTS = "starts"
    LEVELS = "levels"
    POINTS = "points"
    STEPS = "steps"
    UNITS = "units"
    STATEMENTS = "statements"
    PROFILES = "profiles"


@final
@dataclass(frozen=True)
class Tick:
    """So much is done of so much, None where nobody knows; ``line`` says what comes, or came."""

    part: Part
    done: float
    total: float | None
    line: str

    def __str__(self) -> str:
        of = "" if self.total is None else f" of {self.total:g}"
        return f"{self.part.value} {self.done:g}{of}: {self.line}"


Progress = Callable[[Tick], None]
"""Called with how far the work has come: before each part of it, or after."""


@contextmanager
def telling(progress: Progress | bool | None) -> Iterator[Progress | None]:
    """Give what is told of every tick: the function itself, or a bar that is gone in the end.

    Args:
        progress: a function; or True for a bar, which there is on a terminal and in a notebook.
    """
    if callable(progress):
        yield progress
        return
    draw = _drawing() if progress else None
    if draw is None:
        yield None
        return
    due, last = 0.0, None

    def tell(tick: Tick) -> None:
        nonlocal due, last
        last = tick
        if time.monotonic() >= due:
            due = time.monotonic() + _PERIOD
            draw(tick, False)

    try:
        yield tell
    finally:
        if last is not None:
            draw(last, True)


def _drawing() -> Callable[[Tick, bool], None] | None:
    """Return what draws a tick, the last one among them; None where nobody looks."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if getattr(shell, "kernel", None) is not None:
        return _in_notebook()
    return _on_terminal if sys.stderr is not None and sys.stderr.isatty() else None


def _on_terminal(tick: Tick, last: bool) -> None:
    width = shutil.get_terminal_size().columns - 1
    text = "" if last else f"{_cells(tick)} {' '.join(str(tick).split())}"
    # A terminal that is gone takes nothing with it.
    with suppress(OSError, ValueError):
        sys.stderr.write(f"\r{printable(text)[:width]:<{width}}\r")
        sys.stderr.flush()


def _cells(tick: Tick) -> str:
    if not tick.total:
        return "…"
    full = round(_CELLS * min(1.0, tick.done / tick.total))
    return f"[{'#' * full}{'.' * (_CELLS - full)}]"


def _in_notebook() -> Callable[[Tick, bool], None]:
    notebook: Any = importlib.import_module("IPython.display")
    began, shown = time.monotonic(), notebook.display(notebook.HTML(""), display_id=True)

    def draw(tick: Tick, last: bool) -> None:
        known = "" if tick.total is None else f' value="{tick.done:g}" max="{tick.total:g}"'
        said = f"ended after {time.monotonic() - began:.1f} s" if last else ""
        bar = "" if last else f"<progress{known}></progress> "
        shown.update(notebook.HTML(f"<div>{bar}{escape(str(tick))} {said}</div>"))

    return draw
