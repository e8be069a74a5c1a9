"""Tasks for the processes of a comparison: a hang in C, a glutton, a crash; and who runs them."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lexmargin.inputs.progress import Tick


def answer(payload: Mapping[str, Any], mark: Callable[[], None]) -> dict[str, Any]:
    threads = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return {"payload": dict(payload), "process": os.getpid(), **threads}


def hang(payload: Mapping[str, Any], mark: Callable[[], None]) -> dict[str, Any]:
    """Ignore SIGTERM, start a process that does too, and loop in C while holding the lock."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", code, str(payload["tag"])])
    if payload.get("judging"):
        mark()
    ctypes.PyDLL(None).sleep(600)
    return {}


def hang_with_files(payload: Any, mark: Callable[[], None]) -> dict[str, Any]:
    """Hang in C like :func:`hang`, after leaving a temporary file, as solvers do."""
    descriptor, _ = tempfile.mkstemp()
    os.write(descriptor, b"left")
    return hang({"tag": "left-behind"}, mark)


def devour(payload: Mapping[str, Any], mark: Callable[[], None]) -> dict[str, Any]:
    """Ask for 64 GB, then for as much as there is in small pieces."""
    if payload["at_once"]:
        return {"size": len(bytearray(64 * 10**9))}
    kept = []
    while True:
        kept.append(bytearray(b"x") * 2**24)


def fail(payload: Mapping[str, Any], mark: Callable[[], None]) -> dict[str, Any]:
    raise ZeroDivisionError("broken")


def no_room(payload: Mapping[str, Any], mark: Callable[[], None]) -> dict[str, Any]:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def rest(payload: Mapping[str, Any], mark: Callable[[], None]) -> dict[str, Any]:
    time.sleep(payload["seconds"])
    return {}


def crash(payload: Mapping[str, Any], mark: Callable[[], None]) -> dict[str, Any]:
    os.kill(os.getpid(), payload["signal"])
    time.sleep(10.0)
    return {}


def leave(payload: Mapping[str, Any], mark: Callable[[], None]) -> dict[str, Any]:
    os._exit(7)


def processes() -> dict[int, tuple[int, bytes]]:
    """Parent and command line of every process."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            found[int(folder.name)] = (int(stat[1]), (folder / "cmdline").read_bytes())
        except (OSError, IndexError):
            continue
    return found


def descendants(root: int) -> list[int]:
    """The living processes below one: nurseries, their children, workers of a cluster."""
    known = processes()

    def below(process: int) -> bool:
        process = known[process][0]
        while process in known and process != root:
            process = known[process][0]
        return process == root

    return sorted(p for p, (_, command) in known.items() if command and p != root and below(p))


class Killer(threading.Thread):
    """Sends a signal to processes below this one at random moments, so many times.

    A paced one is told of every unit that is done, and waits for one before half of its signals:
    on a slow machine, too, nurseries live to have children.
    """

    def __init__(self, kills: int, sent: int = signal.SIGKILL, *, paced: bool = False) -> None:
        super().__init__(daemon=True)
        self.left = kills
        self._sent = sent
        self._paced = paced
        self._random = random.Random(0)
        self._ended = threading.Event()
        self._done = threading.Event()

    def progress(self, tick: Tick) -> None:
        """Hear of a unit that is done."""
        self._done.set()

    def run(self) -> None:
        while self.left and not self._ended.is_set():
            if self._paced and self._random.random() < 0.5:
                self._done.clear()
                self._done.wait()
            if self._ended.wait(self._random.uniform(0.05, 0.6)):
                return
            there = descendants(os.getpid())
            if there:
                with suppress(ProcessLookupError):
                    os.kill(self._random.choice(there), self._sent)
                    self.left -= 1

    def end(self) -> None:
        self._ended.set()
        self._done.set()
        self.join()


def contents(folder: Path) -> dict[str, str]:
    """Digest of every result file by name; leftovers of writing would show up here."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((folder / "results").iterdir())
    }
