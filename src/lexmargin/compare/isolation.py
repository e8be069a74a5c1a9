"""One unit in a process of its own: the owner's side of the nursery."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

from lexmargin.compare.nursery import End
from lexmargin.errors import SolverFailedError

__all__ = ["Isolated", "Nursery", "Reply"]

_ONE_THREAD: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_ATTEMPTS: Final = 5


@final
@dataclass(frozen=True)
class Reply:
    """How a task ended in its process.

    Attributes:
        end: answered, or what ended it.
        signal, code: the signal that ended it, or its exit code; 0 otherwise.
        judging: the solver had ended, the certificate was at work.
        answer: what the task returned, if it did.
        seconds: wall time of the process.
        peak_mebibytes: its largest resident memory.
        attempts: how many processes it took; more than 1 where others were killed from outside.
    """

    end: End
    signal: int
    code: int
    judging: bool
    answer: Mapping[str, Any] | None
    seconds: float
    peak_mebibytes: float
    attempts: int


@final
class Nursery:
    """The nursery of this process; started at its first use, started again when it dies."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    def run(self, task: str, payload: Mapping[str, Any], seconds: float, mebibytes: int) -> Reply:
        """Run ``module:function`` on a payload in a fresh process with one thread.

        A process that is killed from outside, or whose nursery is, is started again, a few times.

        Raises:
            SolverFailedError: the nursery cannot be started.
        """
        request = {"task": task, "payload": payload, "seconds": seconds, "mebibytes": mebibytes}
        line = json.dumps(request).encode() + b"\n"
        last: dict[str, Any] | None = None
        for attempt in range(1, _ATTEMPTS + 1):
            reply = self._ask(line)
            if reply is None:
                continue
            last = {**reply, "end": End(reply["end"]), "attempts": attempt}
            killed = last["end"] is End.SIGNAL and last["signal"] == 9
            if not killed:
                break
        if last is None:
            raise SolverFailedError(
                f"The process that runs the solvers ended {_ATTEMPTS} times.",
                "Check the memory of this machine, and that lexmargin imports.",
            )
        return Reply(**last)

    def _ask(self, line: bytes) -> dict[str, Any] | None:
        """Return the nursery's reply, or None if it died."""
        process = self._started()
        if process is None or process.stdin is None or process.stdout is None:
            return None
        try:
            process.stdin.write(line)
            process.stdin.flush()
            text = process.stdout.readline()
        except OSError:
            text = b""
        except BaseException:
            # Interrupted half-way: its next line would be the answer to an old question.
            self.close()
            raise
        if not text.endswith(b"\n"):
            self.close()
            return None
        found: dict[str, Any] = json.loads(text)
        return found

    def _started(self) -> subprocess.Popen[bytes] | None:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        source = str(Path(__file__).resolve().parents[2])
        paths = [source, *(path for path in sys.path if path)]
        environment = {
            **os.environ,
            **dict.fromkeys(_ONE_THREAD, "1"),
            "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
            "PYTHONHASHSEED": "0",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "lexmargin.compare.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        try:
            ready = self._process.stdout.readline() == b"ready\n"
        except BaseException:
            self.close()
            raise
        return self._process if ready else None

    def close(self) -> None:
        """End the nursery and whatever it runs."""
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        try:
            process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@final
class Isolated:
    """The one nursery of this process, shared by all units it runs."""

    _nursery: Nursery | None = None
    _owner: int = 0

    @classmethod
    def nursery(cls) -> Nursery:
        """Return it; a process that was forked from another gets its own."""
        if cls._nursery is None or cls._owner != os.getpid():
            cls._nursery, cls._owner = Nursery(), os.getpid()
        return cls._nursery
