"""Forks of a process that has one thread, and the test whether it has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, final

from lexmargin.processes.nursery import be_nursery
from lexmargin.processes.tie import end_group

__all__ = ["Fork", "forked"]

_PAUSE: Final = 1e-3
"""Seconds between looks at a nursery that is ending: a longer pause delays an answer."""
_TASKS: Final = Path("/proc/self/task")
"""Where Linux lists the threads of a process; elsewhere a fork is not safe, or cannot be told."""
_HELD: Final[set[int]] = set()
"""Ends of pipes that only this process holds: a fork that kept them would hide its end."""


@final
class Fork:
    """A forked nursery, with the words of :class:`subprocess.Popen`."""

    def __init__(self, pid: int, requests: int, replies: int) -> None:
        self.pid = pid
        self._code: int | None = None
        _HELD.update((requests, replies))
        self._ends = (requests, replies)
        self.stdin = os.fdopen(requests, "wb", buffering=0)
        self.stdout = os.fdopen(replies, "rb", buffering=0)
        for end in self._ends:
            os.set_blocking(end, False)

    def poll(self) -> int | None:
        if self._code is None:
            try:
                done, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                # Somebody else waits for all children of this process.
                done, status = self.pid, 0
            if done:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        until = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if until is not None and time.monotonic() > until:
                raise subprocess.TimeoutExpired("nursery", timeout or 0.0)
            time.sleep(_PAUSE)
        _HELD.difference_update(self._ends)
        return code


def forked(folder: str, inherited: Any, *, loud: bool) -> Fork | None:
    """Return a nursery that is a fork of this process, or None where that is not safe.

    A lock that another thread holds at the fork is held for ever in the child, and a pool of
    threads that a library believes in is not there. So both kinds of threads must be absent: those
    of Python, and those of libraries, which are counted after the fork, when the libraries of
    linear algebra have ended theirs.

    Args:
        folder: of temporary files, made by the nursery.
        inherited: the payload of the one task that it is asked.
        loud: let children print.
    """
    if not _TASKS.is_dir() or threading.active_count() > 1:
        return None
    solver = sys.modules.get("highspy")
    if solver is not None:
        # It ends its threads, and starts them again at the next solve.
        solver.Highs.resetGlobalScheduler(True)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    requests, replies = os.pipe(), os.pipe()
    # An interrupt in between would leave a process that nobody knows.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with warnings.catch_warnings():
            # Python counts threads that are about to end.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            others = (requests[1], replies[0], *_HELD)
            be_nursery(folder, requests[0], replies[1], others, inherited, loud=loud)
        os.close(requests[0])
        os.close(replies[1])
        born = Fork(pid, requests[1], replies[0])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if sum(1 for _ in _TASKS.iterdir()) > 1:
        end_group(pid)
        born.wait()
        born.stdin.close()
        born.stdout.close()
        return None
    return born
