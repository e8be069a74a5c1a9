"""Processes that end with their owner, whatever ends it: a pipe that only the owner holds open."""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import sys
import threading
from contextlib import suppress
from typing import Final

__all__ = ["end_group", "end_with", "end_with_parent"]

_PR_SET_PDEATHSIG: Final = 1
"""The kernel's own number (linux/prctl.h): another one sets something else."""


def end_group(process: int) -> None:
    """End a process and its whole group; solvers may have started processes of their own."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            kill(process, signal.SIGKILL)


def end_with(reader: int) -> None:
    """End this process and its group when nobody holds the other end of a pipe any more.

    On Linux the kernel does it, also to a process that hangs in C; elsewhere a thread.

    Args:
        reader: the end of the pipe that is read from; it must stay open. The caller leads its own
            process group.
    """
    if sys.platform == "linux":
        fcntl.fcntl(reader, fcntl.F_SETOWN, -os.getpid())
        fcntl.fcntl(reader, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(reader, fcntl.F_SETFL, fcntl.fcntl(reader, fcntl.F_GETFL) | os.O_ASYNC)
        # It may have been closed before the kernel was asked to watch it.
        if select.select([reader], [], [], 0.0)[0]:
            end_group(os.getpid())
        return

    def watch() -> None:
        select.select([reader], [], [])
        end_group(os.getpid())

    threading.Thread(target=watch, daemon=True).start()


def end_with_parent() -> None:
    """Have the kernel end this process when the thread that made it ends (Linux)."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
