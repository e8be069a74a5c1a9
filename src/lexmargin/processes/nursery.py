"""A process that gives birth to one child per task, watches it, and ends with its owner.

Run as ``python -P -m lexmargin.processes.nursery FOLDER [--loud] [MODULE ...]``: it imports the
modules, then reads one request at a time from its standard input (a line of JSON, then the pickled
payload) and answers with a line and the pickled answer. Importing the modelling systems takes a
second or two, forking a process that has them takes milliseconds, and a fork is as much a process
of its own as any: it has its own memory, its own group, and ends without touching the others.

The fork server of ``multiprocessing`` comes close, but leaves a child that is in a solver running
when its owner is killed, and knows no limits. The nursery has one thread, so that forking is safe.
It imports nothing of its own but the standard library and runs no solver, so that nothing can keep
it from ending its child: at its limits, and when its owner closes the input or dies. FOLDER, made
here, holds the temporary files of children and is their current folder, so that nothing in the
folder of a user is ever found by name.

Where its owner has one thread too, it may be a fork of that (:func:`be_nursery`): it has imported
whatever the owner has, and the payload is there already.
"""

from __future__ import annotations

import errno
import gc
import importlib
import json
import math
import os
import pickle
import resource
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NoReturn, final

from lexmargin.processes.tie import end_group, end_with, end_with_parent

__all__ = ["LOUD", "READY", "End", "Mark", "Task", "be_nursery", "main"]


@final
class Mark:
    """What a child says before it answers: called, that its next phase begins.

    Args:
        writer: the pipe of its answer.
    """

    def __init__(self, writer: int) -> None:
        self._writer = writer
        self._turn = threading.Lock()

    def __call__(self) -> None:
        self._say(_MARK, b"")

    def tell(self, message: object) -> None:
        """Send the owner a message at once; it is kept whatever becomes of this process."""
        self._say(_TOLD, pickle.dumps(message))

    def _say(self, kind: bytes, body: bytes) -> None:
        # Starts that run at a time tell of themselves in threads of their own.
        with self._turn:
            _say(self._writer, kind, body)


Task = Callable[[Any, Mark], Any]
"""What a child runs: payload and mark -> answer, which is pickled."""

LOUD: Final = "--loud"
READY: Final = b"ready\n"
_FIRST_PAUSE: Final = 1e-3
"""Seconds until a child is looked at again; shorter wakes cost more than they find."""
_SHORT_PAUSE: Final = 5e-4
"""The same after a message: others follow at once."""
_LONGEST_PAUSE: Final = 0.02
"""Seconds between looks at a quiet child: longer delays limits, shorter costs the processor."""
_LONGEST_TICK: Final = 1.0
"""Seconds that one look at the clock may count for: a machine that sleeps, or a job that is
suspended as a whole, uses up nobody's time."""
_CHUNK: Final = 1 << 20
"""Bytes of one read or write of a pipe; larger ones are split by the kernel anyway."""
_MEBIBYTE: Final = 2**20
"""Limits are given in MiB, kernels count bytes."""
_LENGTH: Final = 8
"""Bytes of the length before what a child says: who reads and who writes must agree."""
_NO_ROOM: Final = frozenset(
    {errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO}
)
"""What the machine lacks, not the solver: no result of a unit."""


@final
class End(StrEnum):
    """How a child ended."""

    ANSWERED = "answered"
    """It returned its answer."""
    RAISED = "raised"
    """It raised an exception."""
    TIME = "time"
    """We ended it: its time was over."""
    MEMORY = "memory"
    """We ended it, or it ended itself: its memory was over."""
    NO_ROOM = "no-room"
    """The machine had no disk space or no descriptors left for it."""
    SIGNAL = "signal"
    """A signal that we did not send."""
    EXIT = "exit"
    """It ended without an answer."""


_ANSWER, _RAISED, _MEMORY, _ROOM, _MARK, _TOLD = b"a", b"e", b"m", b"r", b"n", b"t"
_ENDS: Final = {
    _ANSWER: End.ANSWERED,
    _RAISED: End.RAISED,
    _MEMORY: End.MEMORY,
    _ROOM: End.NO_ROOM,
}


def main(arguments: Sequence[str]) -> None:
    """Serve requests until the owner is gone."""
    folder, *modules = arguments
    _live(folder, os.dup(0), os.dup(1), [m for m in modules if m != LOUD], loud=LOUD in modules)


def be_nursery(
    folder: str, requests: int, replies: int, others: Iterable[int], inherited: Any, *, loud: bool
) -> NoReturn:
    """Live as the nursery of the process that this one has just been forked from.

    Args:
        folder: as for :func:`main`.
        requests, replies: the ends of the pipes of this nursery.
        others: descriptors that only the owner is to hold.
        inherited: the payload of the one task that it is asked.
        loud: let children print.
    """
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals():
            if callable(signal.getsignal(number)) or number == signal.SIGCHLD:
                signal.signal(number, signal.SIG_DFL)
        for descriptor in others:
            with suppress(OSError):
                os.close(descriptor)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if "" in sys.path:
            # The owner imports from its current folder, which is left.
            sys.path.append(os.getcwd())
        _live(folder, requests, replies, (), loud=loud, inherited=inherited)
    finally:
        os._exit(0)


def _live(
    folder: str,
    requests: int,
    replies: int,
    modules: Iterable[str],
    *,
    loud: bool,
    inherited: Any = None,
) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        if descriptor == 0 or not loud:
            os.dup2(null, descriptor)
    if loud:
        # What solvers print is no answer.
        os.dup2(2, 1)
    owner = os.getppid()
    _settle(folder)
    try:
        for name in modules:
            # What is missing here is reported by the task that needs it.
            with suppress(ImportError, OSError):
                importlib.import_module(name)
        # Children neither tear down what is here nor copy it to look for garbage.
        gc.freeze()
        _send(replies, READY)
        _serve(requests, replies, owner, folder, inherited)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _settle(folder: str) -> None:
    """Make the folder of temporary files and go there; without room for it, stay off the user's."""
    try:
        os.mkdir(folder, 0o700)
    except OSError:
        os.chdir("/")
        return
    os.chdir(folder)
    os.environ["TMPDIR"], tempfile.tempdir = folder, None


def _serve(requests: int, replies: int, owner: int, folder: str, inherited: Any) -> None:
    pending = b""
    while True:
        while b"\n" not in pending:
            received = _received(requests, owner)
            if not received:
                return
            pending += received
        line, _, pending = pending.partition(b"\n")
        request = json.loads(line)
        parts, missing = [pending], int(request["size"]) - len(pending)
        while missing > 0:
            received = _received(requests, owner)
            if not received:
                return
            parts.append(received)
            missing -= len(received)
        payload, pending = b"".join(parts), b""

        def unpacked(payload: bytes = payload) -> Any:
            return pickle.loads(payload) if payload else inherited

        reply = _supervised(request, unpacked, requests, replies, owner)
        if reply is None:
            return
        _reply(replies, *reply)
        with suppress(OSError):
            for left in list(Path(folder).iterdir()):
                # Of a solver that was ended, or that keeps its files.
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()


def _received(requests: int, owner: int) -> bytes:
    """Return what has come, or nothing if the owner is gone."""
    while not select.select([requests], [], [], _LONGEST_TICK)[0]:
        # A process that its owner forked may hold the pipe open.
        if os.getppid() != owner:
            return b""
    return os.read(requests, _CHUNK)


def _send(descriptor: int, text: bytes) -> None:
    rest = memoryview(text)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _say(writer: int, kind: bytes, body: bytes) -> None:
    """Write what :func:`_frames` reads."""
    _send(writer, kind + len(body).to_bytes(_LENGTH, "big"))
    _send(writer, body)


def _frames(received: bytearray) -> Iterator[tuple[bytes, bytes]]:
    """Take from the front what has come as a whole: kinds and bodies."""
    start = 1 + _LENGTH
    while len(received) >= start:
        end = start + int.from_bytes(received[1:start], "big")
        if len(received) < end:
            return
        found = bytes(received[:1]), bytes(received[start:end])
        del received[:end]
        yield found


def _reply(replies: int, header: Mapping[str, Any], body: bytes) -> None:
    _send(replies, json.dumps({**header, "size": len(body)}).encode() + b"\n" + body)


def _supervised(
    request: Mapping[str, Any],
    payload: Callable[[], Any],
    requests: int,
    replies: int,
    owner: int,
) -> tuple[dict[str, Any], bytes] | None:
    """Fork a child for one request; return how it ended with its answer, or None if the owner did.

    ``limits`` are the seconds of each phase, None for no limit; the child marks where a phase ends.
    """
    limits, mebibytes = request["limits"], request["mebibytes"]
    allowed = math.inf
    if mebibytes is not None:
        allowed = _resident(os.getpid()) + int(mebibytes) * _MEBIBYTE
    reader, writer = os.pipe()
    tie, mine = os.pipe()
    child = os.fork()
    if child == 0:
        for descriptor in (reader, mine, requests, replies):
            os.close(descriptor)
        _be_child(request, payload, writer, tie)
    os.close(writer)
    os.close(tie)
    try:
        with suppress(OSError):
            os.setpgid(child, child)
        received, kind, answer = bytearray(), b"", b""
        clock = began = 0.0
        last, phase, pause, forced = time.monotonic(), 0, _FIRST_PAUSE, None

        def hear() -> None:
            nonlocal phase, began, kind, answer
            for said, body in _frames(received):
                if said == _TOLD:
                    _reply(replies, {"told": True}, body)
                elif said != _MARK:
                    kind, answer = said, body
                elif phase < len(limits) - 1:
                    phase, began = phase + 1, clock

        listened = [requests, reader]
        while True:
            done, status, usage = os.wait4(child, os.WNOHANG | os.WUNTRACED)
            if done and not os.WIFSTOPPED(status):
                break
            if done:
                # Its clock runs on: it would be ended for a time that it did not have.
                with suppress(OSError):
                    os.killpg(child, signal.SIGCONT)
            ready = select.select(listened, [], [], pause)[0]
            # Nobody writes while a child runs: this is the end of the input.
            if requests in ready or os.getppid() != owner:
                end_group(child)
                os.wait4(child, 0)
                return None
            if reader in ready:
                found = os.read(reader, _CHUNK)
                received += found
                if not found:
                    # It is about to end.
                    listened, pause = [requests], _SHORT_PAUSE
            pause = min(2 * pause, _LONGEST_PAUSE)
            now = time.monotonic()
            clock, last = clock + min(now - last, _LONGEST_TICK), now
            hear()
            if limits[phase] is not None and clock - began > limits[phase]:
                forced = End.TIME
            elif allowed < math.inf and _resident(child) > allowed:
                forced = End.MEMORY
            if forced is not None:
                end_group(child)
                _, status, usage = os.wait4(child, 0)
                break
        end_group(child)
        received += _rest(reader)
        hear()
    finally:
        os.close(reader)
        os.close(mine)
    end = forced or _ENDS.get(kind) or (End.SIGNAL if os.WIFSIGNALED(status) else End.EXIT)
    unit = 1024.0 if sys.platform != "darwin" else float(_MEBIBYTE)
    header = {
        "end": end.value,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
        "code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0,
        "phase": phase,
        "seconds": clock,
        "peak_mebibytes": usage.ru_maxrss / unit,
    }
    return header, b"" if forced else answer


def _rest(reader: int) -> bytes:
    """Return what is left in a pipe whose writer has ended, without waiting for its heirs."""
    os.set_blocking(reader, False)
    parts = []
    with suppress(BlockingIOError):
        while found := os.read(reader, _CHUNK):
            parts.append(found)
    return b"".join(parts)


def _resident(process: int) -> int:
    """Return the resident memory in bytes; 0 where the system does not tell."""
    try:
        pages = Path(f"/proc/{process}/statm").read_text().split()
    except OSError:
        return 0
    return int(pages[1]) * resource.getpagesize()


def _be_child(
    request: Mapping[str, Any], payload: Callable[[], Any], writer: int, tie: int
) -> NoReturn:
    """Run the task under its limits, write the answer and end."""
    try:
        os.setpgid(0, 0)
        # The nursery has one thread. Two nets: neither is there before it is asked for.
        end_with_parent()
        end_with(tie)
        kind, answer = _ANSWER, b""
        try:
            if request["mebibytes"] is not None:
                _limit(request["limits"], int(request["mebibytes"]))
            module, _, name = str(request["task"]).partition(":")
            task: Task = getattr(importlib.import_module(module), name)
            answer = pickle.dumps(task(payload(), Mark(writer)))
        except MemoryError:
            kind, answer = _MEMORY, b""
        except BaseException as error:
            room = isinstance(error, OSError) and error.errno in _NO_ROOM
            kind, answer = _ROOM if room else _RAISED, _text(error)
        _say(writer, kind, answer)
    finally:
        os._exit(0)


def _text(error: BaseException) -> bytes:
    return pickle.dumps(f"{type(error).__name__}: {error}")


def _limit(limits: Sequence[float | None], mebibytes: int) -> None:
    """Set the kernel's limits: a second net below the nursery's own watch."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if all(limit is not None for limit in limits):
        processor = math.ceil(sum(limit or 0.0 for limit in limits)) + 2
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
    main(sys.argv[1:])
