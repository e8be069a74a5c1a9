"""Silence: what solvers write to the terminal, from Python or from C, is captured as text."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, final

__all__ = ["Captured", "captured"]

_KEPT_CHARACTERS = 1_000_000


@final
@dataclass
class Captured:
    """The text written inside a :func:`captured` block; complete when the block has ended."""

    text: str = ""


@contextmanager
def captured(verbose: bool = False) -> Iterator[Captured]:
    """Redirect file descriptors 1 and 2, and Python's stdout and stderr, into a text.

    Blocks nest, the inner one gets what is written inside it. Everything is restored when the
    block raises. The descriptors belong to the whole process: what other threads print while the
    block runs is captured too.

    Args:
        verbose: do nothing, and let everything through.
    """
    result = Captured()
    if verbose:
        yield result
        return
    with tempfile.TemporaryFile() as sink:
        try:
            with _redirected(sink):
                yield result
        finally:
            sink.seek(0)
            result.text = sink.read(_KEPT_CHARACTERS).decode("utf-8", errors="replace")


@contextmanager
def _redirected(sink: IO[bytes]) -> Iterator[None]:
    _flush()
    with ExitStack() as undo:
        for descriptor in (1, 2):
            # A process without a terminal may have closed them: then nothing can be printed.
            with contextlib.suppress(OSError):
                saved = os.dup(descriptor)
                undo.callback(_restore, saved, descriptor)
                os.dup2(sink.fileno(), descriptor)
        # Notebooks and test runners replace sys.stdout by objects that do not write to 1.
        text = undo.enter_context(
            open(os.dup(sink.fileno()), "w", encoding="utf-8", errors="replace")
        )
        undo.enter_context(contextlib.redirect_stdout(text))
        undo.enter_context(contextlib.redirect_stderr(text))
        try:
            yield
        finally:
            _flush()


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
        ctypes.CDLL(None).fflush(None)
