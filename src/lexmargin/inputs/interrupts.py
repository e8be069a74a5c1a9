"""Ctrl-C where it may not arrive: kept until what must not be cut in half is whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import final

__all__ = ["Kept", "interrupts_kept"]


@final
@dataclass
class Kept:
    """What the handler of SIGINT raised inside a block, and whether it goes through at once."""

    error: BaseException | None = None
    through: bool = False

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """Let interrupts through inside a part of the block, those kept before it first."""
        try:
            self.through = True
            self.give()
            yield
        finally:
            # Here an interrupt may still come, and leaves the block as any other would.
            self.through = False

    def give(self) -> None:
        """Raise what was kept, once."""
        error, self.error = self.error, None
        if error is not None:
            raise error


@contextmanager
def interrupts_kept() -> Iterator[Kept]:
    """Keep what Ctrl-C raises until the block ends, and raise it then.

    Compiled code drops what is raised in functions that it calls, and a stream that is put back by
    half stays lost; CasADi drops it wherever it asks Python what its arguments are. Goes around a
    block, or above a function. Only the main thread is interrupted.
    """
    kept = Kept()
    before = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield kept
        return

    def keep(number: int, frame: FrameType | None) -> None:
        try:
            before(number, frame)
        except BaseException as error:
            if kept.through:
                raise
            kept.error = kept.error or error

    try:
        signal.signal(signal.SIGINT, keep)
        yield kept
    finally:
        kept.through = False
        signal.signal(signal.SIGINT, before)
    kept.give()
