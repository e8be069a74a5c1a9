"""A process that has everything imported and gives birth to one child per unit.

Run as ``python -m lexmargin.compare.nursery``; it reads one JSON request per line from its
standard input and answers with one line each. Importing the modelling systems takes a second or
two, forking a process that has them takes milliseconds, and a fork is as much a process of its own
as any: it has its own memory, its own group, and ends without touching the others. The nursery
has one thread, so that forking is safe, and ends when its owner closes its input or dies.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import math
import os
import resource
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Final, final

__all__ = ["End", "Task", "main"]

Mark = Callable[[], None]
Task = Callable[[Mapping[str, Any], Mark], dict[str, Any]]
"""What a child runs: payload and the mark "the solver has ended" -> JSON values."""

_PRELOADED: Final = (
    "scipy.optimize",
    "scipy.sparse.linalg",
    "sklearn.datasets",
    "sklearn.svm",
    "cvxpy",
    "pyomo.environ",
    "casadi",
    "cyipopt",
    "flint",
    "lexmargin.compare.work",
)
_LONGEST_PAUSE: Final = 0.02
_JUDGING: Final = b"\n"
_PR_SET_PDEATHSIG: Final = 1
_MEBIBYTE: Final = 2**20


@final
class End(StrEnum):
    """How a child ended."""

    ANSWERED = "answered"
    """It returned its values."""
    TIME = "time"
    """We ended it: its time was over."""
    MEMORY = "memory"
    """We ended it, or it ended itself: its memory was over."""
    SIGNAL = "signal"
    """A signal that we did not send."""
    EXIT = "exit"
    """It ended without an answer."""


def main() -> None:
    """Serve requests until the owner is gone."""
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    for name in _PRELOADED:
        # What is missing here is reported by the unit that needs it.
        with suppress(ImportError, OSError):
            importlib.import_module(name)
    os.write(replies, b"ready\n")
    pending = b""
    while True:
        while b"\n" not in pending:
            received = os.read(requests, 1 << 16)
            if not received:
                return
            pending += received
        line, _, pending = pending.partition(b"\n")
        reply = _supervised(json.loads(line), requests, replies)
        text = json.dumps(reply).encode() + b"\n"
        while text:
            text = text[os.write(replies, text) :]


def _supervised(request: Mapping[str, Any], requests: int, replies: int) -> dict[str, Any]:
    """Fork a child for one request and return how it ended, with its answer if there is one."""
    seconds, mebibytes = float(request["seconds"]), int(request["mebibytes"])
    allowed = _resident(os.getpid()) + mebibytes * _MEBIBYTE
    with tempfile.TemporaryFile() as sink:
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            _be_child(request, sink, (requests, replies))
        with suppress(OSError):
            os.setpgid(child, child)
        deadline, judging, pause, end = began + seconds, False, 0.001, End.ANSWERED
        while True:
            done, status, usage = os.wait4(child, os.WNOHANG)
            if done:
                break
            if select.select([requests], [], [], pause)[0]:
                # Nobody writes while a child runs: this is the end of the input.
                _end(child)
                os._exit(0)
            pause = min(2 * pause, _LONGEST_PAUSE)
            now = time.monotonic()
            if not judging and os.fstat(sink.fileno()).st_size > 0:
                judging, deadline = True, now + max(seconds, 10.0)
            if now > deadline or _resident(child) > allowed:
                end = End.TIME if now > deadline else End.MEMORY
                _end(child)
                _, status, usage = os.wait4(child, 0)
                break
        elapsed = time.monotonic() - began
        _end(child)
        sink.seek(0)
        text = sink.read().strip()
    answer: Any = None
    if end is End.ANSWERED:
        with suppress(ValueError):
            answer = json.loads(text) if text else None
        end = _end_of(status, answer)
    peak = usage.ru_maxrss / (1024.0 if sys.platform != "darwin" else _MEBIBYTE)
    return {
        "end": end.value,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0,
        "judging": judging,
        "answer": answer,
        "seconds": elapsed,
        "peak_mebibytes": peak,
    }


def _end_of(status: int, answer: Any) -> End:
    if isinstance(answer, dict):
        return End.MEMORY if answer.get("out_of_memory") else End.ANSWERED
    if os.WIFSIGNALED(status):
        return End.SIGNAL
    return End.EXIT


def _end(child: int) -> None:
    """End the child's whole process group; solvers may have started processes of their own."""
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            kill(child, signal.SIGKILL)


def _resident(process: int) -> int:
    """Return the resident memory in bytes; 0 where the system does not tell."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()
    except OSError:
        return 0
    return int(pages[1]) * resource.getpagesize()


def _be_child(request: Mapping[str, Any], sink: BinaryIO, protocol: tuple[int, int]) -> None:
    """Run the task under its limits, write the answer and end; never returns."""
    answer: dict[str, Any]
    try:
        os.setpgid(0, 0)
        _die_with_parent()
        for descriptor in protocol:
            os.close(descriptor)
        _limit(float(request["seconds"]), int(request["mebibytes"]))
        module, _, name = str(request["task"]).partition(":")
        task: Task = getattr(importlib.import_module(module), name)
        answer = task(request["payload"], lambda: _mark(sink))
        text = json.dumps(answer, allow_nan=False).encode()
    except MemoryError:
        text = b'{"out_of_memory": true}'
    except BaseException as error:
        text = json.dumps({"error": f"{type(error).__name__}: {error}"}).encode()
    try:
        sink.write(text)
        sink.flush()
    finally:
        os._exit(0)


def _mark(sink: BinaryIO) -> None:
    sink.write(_JUDGING)
    sink.flush()


def _die_with_parent() -> None:
    """Have the kernel end this process when the nursery dies (Linux)."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit(seconds: float, mebibytes: int) -> None:
    """Set the kernel's limits: a second net below the nursery's own watch."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    processor = math.ceil(2 * max(seconds, 10.0)) + 2
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (processor, processor + 1))
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return
    allowed = pages * resource.getpagesize() + mebibytes * _MEBIBYTE
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))


if __name__ == "__main__":
    main()
