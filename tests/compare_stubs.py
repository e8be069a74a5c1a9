"""Tasks for the processes of a comparison: a hang in C, a glutton, a crash; and who runs them."""

from __future__ import annotations

import ctypes
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

NURSERY = b"lexmargin.compare.nursery"


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


def devour(payload: Mapping[str, Any], mark: Callable[[], None]) -> dict[str, Any]:
    """Ask for 64 GB, then for as much as there is in small pieces."""
    if payload["at_once"]:
        return {"size": len(bytearray(64 * 10**9))}
    kept = []
    while True:
        kept.append(bytearray(b"x") * 2**24)


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


def workers(root: int) -> list[int]:
    """Descendants of a process, other than itself, that own a nursery: they carry out units."""
    known = processes()

    def below(process: int) -> bool:
        while process in known and process != root:
            process = known[process][0]
        return process == root

    owners = {
        parent
        for parent, command in known.values()
        if NURSERY in command and parent in known and NURSERY not in known[parent][1]
    }
    return sorted(p for p in owners if p not in (root, 0, 1) and below(p))


class Killer(threading.Thread):
    """Kills workers of this process at random moments, so many of them."""

    def __init__(self, kills: int, seed: int = 0) -> None:
        super().__init__(daemon=True)
        self.left = kills
        self.killed: list[int] = []
        self._random = random.Random(seed)
        self._ended = threading.Event()

    def run(self) -> None:
        while self.left and not self._ended.wait(self._random.uniform(0.05, 0.6)):
            there = [p for p in workers(os.getpid()) if p not in self.killed]
            if there:
                victim = self._random.choice(there)
                os.kill(victim, signal.SIGKILL)
                self.killed.append(victim)
                self.left -= 1

    def end(self) -> None:
        self._ended.set()
        self.join()


def contents(folder: Path) -> dict[str, str]:
    """Digest of every result file by name; leftovers of writing would show up here."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((folder / "results").iterdir())
    }
