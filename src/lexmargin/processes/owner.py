"""The owner's side of a nursery: start it, ask it, wake it, replace it, end it."""

from __future__ import annotations

import atexit
import json
import os
import pickle
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from lexmargin.errors import SolverFailedError, UnsupportedError
from lexmargin.processes.fork import Fork, forked
from lexmargin.processes.nursery import LOUD, READY, End
from lexmargin.processes.tie import end_group

__all__ = ["Nursery", "Reply", "child_path", "shared_nursery"]

_ONE_THREAD: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_ATTEMPTS: Final = 5
"""Nurseries that ended by themselves, or children that were killed where memory was short."""
_KILLS: Final = 20
"""Children that somebody killed; more, and it is taken for the task's own doing."""
_NURSERY_KILLS: Final = 100
"""Nurseries that somebody killed; they run nothing that could do it."""
_FROM_OUTSIDE: Final = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
_TICK_SECONDS: Final = 1.0
"""Between looks whether the nursery still lives: longer only delays its replacement."""
_SLACK_SECONDS: Final = 60.0
"""Beyond the limits of a task: then its nursery, which keeps them, is taken for dead; also what
a process may take to end when it has lost its pipes."""
_CHUNK: Final = 1 << 20
"""Bytes of one read or write of a pipe; larger ones are split by the kernel anyway."""


def child_path() -> list[str]:
    """Return the folders from which a child imports: those of this process, but no current one.

    Python puts the current folder first for ``-m`` and ``-c``; whatever lies there would run.
    """
    source = str(Path(__file__).resolve().parents[2])
    paths = [path for path in sys.path if isinstance(path, str) and path]
    return list(dict.fromkeys(paths if source in paths else [source, *paths]))


@final
@dataclass(frozen=True)
class Reply:
    """How a task ended in its process.

    Attributes:
        end: answered, or what ended it.
        signal, code: the signal that ended it, or its exit code; 0 otherwise.
        phase: how many phases it had behind it.
        answer: what the task returned, if it did; the text of an error that it raised.
        seconds: wall time of the process.
        peak_mebibytes: its largest resident memory.
        attempts: how many processes it took; more than 1 where others were killed from outside.
    """

    end: End
    signal: int
    code: int
    phase: int
    answer: Any
    seconds: float
    peak_mebibytes: float
    attempts: int


@final
class Nursery:
    """One nursery, started at its first use, started again when it dies; one thread asks it.

    Args:
        preloaded: modules that it imports before the first task; they must start no threads.
        single: one thread of linear algebra per child, and one seed of hashes.
        loud: let children print, to this process's stderr.
        near: let the nursery be a fork of this process where that is safe, one for each task.
    """

    def __init__(
        self,
        preloaded: Sequence[str] = (),
        *,
        single: bool = True,
        loud: bool = False,
        near: bool = False,
    ) -> None:
        self._preloaded = tuple(preloaded)
        self._single = single
        self._loud = loud
        self._near = near
        self._process: subprocess.Popen[bytes] | Fork | None = None
        self._folder = ""
        self._owner = 0
        self._closed = threading.Event()

    def run(
        self,
        task: str,
        payload: Any,
        limits: Sequence[float | None],
        mebibytes: int | None = None,
        hear: Callable[[Any], None] | None = None,
    ) -> Reply:
        """Run ``module:function`` on a payload in a fresh process.

        A process that is killed from outside, or whose nursery is, is started again.

        Args:
            task: called with the payload and the mark that ends a phase.
            payload: pickled here, unpickled in the child; a fork has it as it is.
            limits: seconds of each phase; None for no limit.
            mebibytes: memory beyond what the nursery has; None for no limit.
            hear: called with each message of the child; those of one that is started again come
                again.

        Raises:
            SolverFailedError: the nursery cannot be started, or it was closed meanwhile.
            UnsupportedError: a payload that cannot be sent to another process.
        """
        request = {"task": task, "limits": list(limits), "mebibytes": mebibytes}
        content: bytes | None = None
        patience = None
        if all(limit is not None for limit in limits):
            patience = sum(limit or 0.0 for limit in limits) + _SLACK_SECONDS
        children = nurseries = failures = 0
        while not self._closed.is_set():
            short = _killed_for_memory()
            born = self._near and self._born(payload)
            if not born and content is None:
                content = _pickled(payload)
            sent = b"" if born or content is None else content
            line = json.dumps({**request, "size": len(sent)}).encode() + b"\n"
            reply = self._ask(line + sent, patience, hear)
            if reply is None:
                nurseries += 1
                failures += self._failed() or _killed_for_memory() > short
                if failures >= _ATTEMPTS or nurseries >= _NURSERY_KILLS:
                    raise SolverFailedError(
                        f"The process that runs the solvers ended {nurseries} times.",
                        "Check the memory of this machine, and that lexmargin imports.",
                    )
                continue
            children += 1
            failures += _killed_for_memory() > short
            header, answer = reply
            end, attempts = End(header.pop("end")), children + nurseries
            found = Reply(**header, end=end, answer=answer, attempts=attempts)
            killed = end is End.SIGNAL and found.signal in _FROM_OUTSIDE
            if not killed or failures >= _ATTEMPTS or children >= _KILLS:
                return found
        raise SolverFailedError("The process that runs the solvers was closed.", "Start again.")

    def _failed(self) -> bool:
        """Tell whether the nursery ended by itself, and clear it away."""
        process, code = self._process, None
        if process is not None:
            # What is killed loses its pipes first; what ended it is known a moment later.
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(_SLACK_SECONDS)
        self._clear()
        return code is None or code >= 0

    def _ask(
        self, question: bytes, patience: float | None, hear: Callable[[Any], None] | None
    ) -> tuple[dict[str, Any], Any] | None:
        """Return the nursery's reply, or None if it died."""
        try:
            if not self._sent(question):
                return None
            while (said := self._heard(patience)) is not None:
                header, message = said
                if not header.pop("told", False):
                    return said
                if hear is not None:
                    hear(message)
        except BaseException:
            # Interrupted half-way: its next line would be the answer to an old question.
            self._clear()
            raise
        return None

    def _sent(self, question: bytes) -> bool:
        try:
            return self._started() and self._written(question)
        except OSError:
            return False

    def _heard(self, patience: float | None) -> tuple[dict[str, Any], Any] | None:
        """Return a header and what belongs to it, or None at the end of the pipe."""
        try:
            line = self._line(patience)
            if line is None:
                return None
            header: dict[str, Any] = json.loads(line)
            content = self._read(header.pop("size"), patience)
        except OSError:
            return None
        if content is None:
            return None
        # Written by our own child into a pipe that nobody else has: not a file of a user.
        return header, pickle.loads(content) if content else None

    def _born(self, payload: Any) -> bool:
        """Fork a nursery for one task, where that is safe."""
        self._clear()
        self._name()
        if not self._closed.is_set():
            self._process = forked(self._folder, payload, loud=self._loud)
        return self._process is not None and self._line(None) == READY.strip()

    def _name(self) -> None:
        """Name the folder that the nursery makes and removes, also if this process dies."""
        self._owner = os.getpid()
        self._folder = os.path.join(tempfile.gettempdir(), f"lexmargin-{secrets.token_hex(8)}")

    def _started(self) -> bool:
        if self._process is not None and self._process.poll() is None:
            return True
        self._clear()
        if self._closed.is_set():
            return False
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(child_path())}
        if self._single:
            environment |= {**dict.fromkeys(_ONE_THREAD, "1"), "PYTHONHASHSEED": "0"}
        self._name()
        module = "lexmargin.processes.nursery"
        loud = [LOUD] if self._loud else []
        command = [sys.executable, "-P", "-W", "ignore", "-m", module, self._folder]
        self._process = subprocess.Popen(
            [*command, *loud, *self._preloaded],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if self._loud else subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
            bufsize=0,
        )
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
        return self._line(None) == READY.strip()

    def _ready(self, descriptor: int, event: int, waited: float, patience: float | None) -> float:
        """Wait a tick for a pipe, wake a nursery that was stopped; return the time waited."""
        poll = select.poll()
        poll.register(descriptor, event)
        began = time.monotonic()
        if not poll.poll(1000.0 * _TICK_SECONDS) and self._process is not None:
            with suppress(OSError):
                # Nothing else can be told apart from a stopped process; others do not mind.
                os.killpg(self._process.pid, signal.SIGCONT)
            if patience is not None and waited > patience:
                end_group(self._process.pid)
        return waited + min(time.monotonic() - began, 2 * _TICK_SECONDS)

    def _written(self, question: bytes) -> bool:
        process = self._process
        if process is None or process.stdin is None:
            return False
        descriptor, rest, waited = process.stdin.fileno(), memoryview(question), 0.0
        while rest:
            try:
                rest = rest[os.write(descriptor, rest[:_CHUNK]) :]
                waited = 0.0
            except BlockingIOError:
                waited = self._ready(descriptor, select.POLLOUT, waited, _SLACK_SECONDS)
        return True

    def _line(self, patience: float | None) -> bytes | None:
        """Return the next line without its end, or None at the end of the pipe."""
        found = bytearray()
        while not found.endswith(b"\n"):
            part = self._read(1, patience)
            if part is None:
                return None
            found += part
        return bytes(found[:-1])

    def _read(self, size: int, patience: float | None) -> bytes | None:
        """Return so many bytes, or None if the pipe ends before."""
        process = self._process
        if process is None or process.stdout is None:
            return None
        descriptor, found, waited = process.stdout.fileno(), bytearray(), 0.0
        while len(found) < size:
            try:
                part = os.read(descriptor, min(_CHUNK, size - len(found)))
            except BlockingIOError:
                waited = self._ready(descriptor, select.POLLIN, waited, patience)
                continue
            if not part:
                return None
            found += part
        return bytes(found)

    def stop(self) -> None:
        """End the nursery and whatever it runs, from any thread; the next task is refused."""
        self._closed.set()
        process = self._process
        if process is not None and process.poll() is None:
            end_group(process.pid)

    def close(self) -> None:
        """End the nursery and whatever it runs; another task starts a new one."""
        process = self._process
        if process is not None and process.stdin is not None and self._owner == os.getpid():
            # It ends its child and removes its folder.
            with suppress(OSError):
                process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=_TICK_SECONDS)
        self._clear()

    def _clear(self) -> None:
        """Leave nothing of the process, however it ended."""
        process, self._process = self._process, None
        if process is None:
            return
        mine = self._owner == os.getpid()
        if mine:
            if process.poll() is None:
                end_group(process.pid)
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        # Its child dies with it, but may write until it has.
        while mine and os.path.isdir(self._folder):
            shutil.rmtree(self._folder, ignore_errors=True)


def _pickled(payload: Any) -> bytes:
    try:
        return pickle.dumps(payload)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UnsupportedError(
            f"This problem cannot be sent to another process: {error}.",
            "Define its predictor in a module, or leave out the time limit.",
        ) from error


def _killed_for_memory() -> int:
    """Return how many processes this machine's kernel has killed for want of memory, if known."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return 0


_SHARED: Final[dict[tuple[int, tuple[str, ...]], tuple[Nursery, threading.Lock]]] = {}


def shared_nursery(preloaded: Sequence[str]) -> tuple[Nursery, threading.Lock]:
    """Return the one nursery of this process with these modules, and the lock to ask it under.

    A process that was forked from another gets its own.
    """
    key = (os.getpid(), tuple(preloaded))
    if key not in _SHARED:
        made = (Nursery(preloaded), threading.Lock())
        if _SHARED.setdefault(key, made) is made:
            atexit.register(made[0].close)
    return _SHARED[key]
