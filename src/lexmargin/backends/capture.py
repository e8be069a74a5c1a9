"""Silence: what solvers write to the terminal, from Python or from C, is captured as text."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Any, TextIO, final

from lexmargin.inputs.alone import alone, held
from lexmargin.inputs.interrupts import interrupts_kept
from lexmargin.inputs.limits import OUTPUT_CHARACTERS

__all__ = ["Captured", "captured"]

_MOMENT_SECONDS = 1e-3
"""Long enough for another thread's begun write to end; longer delays every solve."""


@final
@dataclass
class Captured:
    """The text written inside a :func:`captured` block; complete when the block has ended."""

    text: str = ""


@contextmanager
def captured(verbose: bool = False) -> Iterator[Captured]:
    """Redirect file descriptors 1 and 2, and Python's stdout and stderr, into a text.

    Blocks nest, the inner one gets what is written inside it. Everything is restored when the
    block raises. The descriptors belong to the whole process: one thread at a time is inside, the
    others wait. What other threads print from Python meanwhile goes where it would have gone; what
    they write from C is captured too.

    Args:
        verbose: capture nothing, and let everything through.
    """
    result = Captured()
    with alone():
        if verbose:
            yield result
            return
        with interrupts_kept() as kept, tempfile.TemporaryFile() as sink:
            try:
                with _redirected(sink), kept.let_through():
                    yield result
            finally:
                sink.seek(0)
                result.text = sink.read(OUTPUT_CHARACTERS).decode("utf-8", errors="replace")


@contextmanager
def _redirected(sink: IO[bytes]) -> Iterator[None]:
    """Lead the streams into a file; whoever interrupts waits until they lead back."""
    _flush()
    with ExitStack() as undo:
        # Notebooks and test runners replace sys.stdout by objects that do not write to 1.
        text = undo.enter_context(
            open(os.dup(sink.fileno()), "w", encoding="utf-8", errors="replace")
        )
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            stream = Divided(getattr(sys, name), text, descriptor)
            undo.callback(stream.end, name)
            setattr(sys, name, stream)
            stream.flush_others()
        _flush()
        if threading.active_count() > 1:
            # What another thread is writing at this moment goes where the descriptor still leads.
            time.sleep(_MOMENT_SECONDS)
        for descriptor in (1, 2):
            # A process without a terminal may have closed them: then nothing can be printed.
            with contextlib.suppress(OSError):
                saved = os.dup(descriptor)
                undo.callback(_restore, saved, descriptor)
                os.dup2(sink.fileno(), descriptor)
                if descriptor not in _IN_CHILD:
                    _IN_CHILD[descriptor] = saved
                    undo.callback(_IN_CHILD.pop, descriptor, None)
        try:
            yield
        finally:
            _flush()


@final
class Divided(io.TextIOBase):
    """A stream of which one thread writes into a text, and the others where it belongs.

    Whoever has kept it after the end of its block still reaches the stream that it stood for.

    Args:
        stream: that stream; None where the process has none.
        text: for this thread.
        descriptor: that of the stream, which leads elsewhere meanwhile.
    """

    def __init__(self, stream: Any, text: TextIO, descriptor: int) -> None:
        self._stream = stream
        self._text = text
        self._thread: int | None = threading.get_ident()
        self._lock = threading.Lock()
        self._aside: int | None = None
        if _descriptor_of(stream) == descriptor:
            self._aside = os.dup(descriptor)

    def _target(self) -> Any:
        return self._text if self._thread == threading.get_ident() else self._stream

    def write(self, text: str) -> int:
        target = self._target()
        with contextlib.nullcontext() if target is self._text else self._lock:
            if target is None:
                return len(text)
            if target is self._text or self._aside is None:
                return int(target.write(text) or 0)
            rest = text.encode("utf-8", "replace")
            while rest:
                rest = rest[os.write(self._aside, rest) :]
            return len(text)

    def flush(self) -> None:
        target = self._target()
        if target is not None and (target is self._text or self._aside is None):
            target.flush()

    def flush_others(self) -> None:
        """Send on its way what was written before the descriptor leads elsewhere."""
        with contextlib.suppress(AttributeError, ValueError, OSError):
            self._stream.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return int(self._stream.fileno())

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return str(getattr(self._target(), "encoding", None) or "utf-8")

    @property
    def errors(self) -> str:  # type: ignore[override]
        return str(getattr(self._target(), "errors", None) or "replace")

    def __getattr__(self, name: str) -> Any:
        """Whatever else a stream has: ``buffer``, or what a notebook's has."""
        return getattr(self._target(), name)

    def under(self) -> Any:
        """Return the stream that this one stands for."""
        return self._stream

    def end(self, name: str) -> None:
        """Put the stream back, unless somebody else has put another one there."""
        if getattr(sys, name) is self:
            setattr(sys, name, self._stream)
        with self._lock:
            self._thread, aside, self._aside = None, self._aside, None
        if aside is not None:
            os.close(aside)


def _descriptor_of(stream: Any) -> int | None:
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return int(stream.fileno()) if not isinstance(stream, Divided) else None
    return None


_IN_CHILD: dict[int, int] = {}
"""Where descriptors led before the outermost block; a process that is forked meanwhile by another
thread prints there again."""


def _after_fork() -> None:
    if held():
        return
    for descriptor, saved in _IN_CHILD.items():
        os.dup2(saved, descriptor)
    _IN_CHILD.clear()
    for name in ("stdout", "stderr"):
        # Its lock may be that of a thread that is not here.
        while isinstance(stream := getattr(sys, name), Divided):
            setattr(sys, name, stream.under())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _restore(saved: int, descriptor: int) -> None:
    os.dup2(saved, descriptor)
    os.close(saved)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        # A closed or detached stream has nothing left to flush.
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.flush()
    # C libraries keep their own buffers, which would be written after the descriptors are back.
    with contextlib.suppress(AttributeError, OSError, TypeError):
        _c_library().fflush(None)


@functools.cache
def _c_library() -> Any:
    return ctypes.CDLL(None)
