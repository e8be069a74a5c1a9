"""Whatever ends a command, its processes end with it, and none of its files is left."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import final

import pytest

from compare_stubs import descendants
from process_stubs import PATIENCE_SECONDS, alive, eventually, leftovers, paths

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in /proc"),
    pytest.mark.usefixtures("interrupts"),
]

SIGNALS = [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGINT]
TIMES = [pytest.param(1, id="once"), pytest.param(100, id="100-times", marks=pytest.mark.long)]

HANGING = "compare_stubs:hang_with_files"
"""What a child does that hangs in C, holds Python's lock, ignores SIGTERM, leaves a file in the
folder of temporary files and has started a program that ignores SIGTERM too."""

COMMAND = """
import sys
from lexmargin.run import limited
from lexmargin.cli.main import main
limited.WORK = sys.argv.pop(1) or limited.WORK
main()
"""

FORKED = """
import json, os, sys, tempfile
from contextlib import suppress
import lexmargin as lm
import lexmargin.compare
from lexmargin.run import limited
from lexmargin.cli.main import main
lm.solve(lm.load("networks/diagonal-2"), starts=1)
print("ready", flush=True)
for line in sys.stdin:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    child = os.fork()
    if child == 0:
        break
    print(child, flush=True)
else:
    sys.exit()
work, words, folder = json.loads(line)
os.setsid()
os.chdir(folder)
os.environ["TMPDIR"], tempfile.tempdir = os.path.join(folder, "tmp"), None
null = os.open(os.devnull, os.O_RDWR)
for descriptor in (0, 1, 2):
    os.dup2(null, descriptor)
limited.WORK = work or limited.WORK
main(words)
"""
"""Forks commands from a process that has imported all of them: most of a second command's time."""

SOLVE = ["solve", "networks/diagonal-2", "--time-limit", "600", "--starts", "1"]
COMPARE = [
    "compare",
    "--problems",
    "real/wine-relu2",
    "--solvers",
    "ipopt-casadi",
    "--seeds",
    "0,1",
]


class Started(ABC):
    """A command with a folder of temporary files of its own."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.pid = pid
        self.temporary = folder / "tmp"
        self.seen: set[int] = set()

    @abstractmethod
    def wait(self) -> None:
        """Wait until it has ended."""

    def look(self) -> set[int]:
        self.seen |= set(descendants(self.pid))
        return self.seen

    def end(self, sent: signal.Signals) -> None:
        self.look()
        with suppress(ProcessLookupError):
            os.kill(self.pid, sent)
        self.wait()
        assert eventually(lambda: not any(alive(pid) for pid in self.seen))
        assert eventually(lambda: not leftovers(self.temporary)), leftovers(self.temporary)


@final
class Fresh(Started):
    """From the start of Python on."""

    def __init__(self, work: str, words: list[str], folder: Path) -> None:
        (folder / "tmp").mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", COMMAND, work, *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": paths(), "TMPDIR": str(folder / "tmp")},
            start_new_session=True,
        )
        super().__init__(self.process.pid, folder)

    def wait(self) -> None:
        self.process.wait(PATIENCE_SECONDS)


@final
class Forked(Started):
    """From the moment at which all is imported on."""

    def wait(self) -> None:
        assert eventually(lambda: not alive(self.pid))


class Forks:
    """Starts commands by forking a process that knows them."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", FORKED],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths()},
            text=True,
        )
        assert self._answer() == "ready"

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def start(self, work: str, words: list[str], folder: Path) -> Forked:
        (folder / "tmp").mkdir(exist_ok=True)
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([work, words, str(folder)]) + "\n")
        self.process.stdin.flush()
        return Forked(int(self._answer()), folder)

    def close(self) -> None:
        self.process.communicate()


@pytest.fixture(scope="module")
def forks(interrupts: None) -> Iterator[Forks]:
    made = Forks()
    yield made
    made.close()


def hang(started: Started) -> None:
    # The nursery, its child and the program that this one has started.
    assert eventually(lambda: len(started.look()) >= 3), "no child came"


@pytest.mark.parametrize(
    "sent",
    [
        signal.SIGTERM,
        signal.SIGKILL,
        *(pytest.param(sent, marks=pytest.mark.long) for sent in (signal.SIGHUP, signal.SIGINT)),
    ],
)
def test_a_solve_whose_child_hangs_in_c_leaves_nothing(
    tmp_path: Path, sent: signal.Signals
) -> None:
    started = Fresh(HANGING, SOLVE, tmp_path)
    hang(started)
    started.end(sent)


@pytest.mark.long
@pytest.mark.parametrize("sent", SIGNALS)
def test_a_hundred_solves_whose_child_hangs_in_c_leave_nothing(
    tmp_path: Path, sent: signal.Signals, forks: Forks
) -> None:
    for _ in range(100):
        started = forks.start(HANGING, SOLVE, tmp_path)
        hang(started)
        started.end(sent)


@pytest.mark.long
@pytest.mark.parametrize("sent", SIGNALS)
@pytest.mark.parametrize("words", [SOLVE, COMPARE], ids=["solve", "compare"])
def test_a_command_ended_at_any_moment_leaves_nothing(
    tmp_path: Path, sent: signal.Signals, words: list[str], forks: Forks
) -> None:
    """Also while Python starts, while modules are imported, between two children.

    A hundred moments for each signal, half of them of a comparison.
    """
    for seed in range(50):
        moment = random.Random(seed)
        begins = seed % 4 == 0
        started = Fresh("", words, tmp_path) if begins else forks.start("", words, tmp_path)
        until = time.monotonic() + moment.uniform(0.0, 4.0 if begins else 2.0)
        while time.monotonic() < until and alive(started.pid):
            started.look()
            time.sleep(0.02)
        started.end(sent)


@pytest.mark.parametrize("times", TIMES)
def test_a_killed_nursery_takes_its_child_along(tmp_path: Path, times: int, forks: Forks) -> None:
    """Its owner, which goes on, removes its folder and starts the child again."""
    for _ in range(times):
        started = forks.start(HANGING, SOLVE, tmp_path)
        hang(started)
        first = set(started.seen)
        nursery = min(descendants(started.pid))
        os.kill(nursery, signal.SIGKILL)
        assert eventually(lambda: not any(alive(pid) for pid in first))  # noqa: B023
        assert eventually(lambda: len(started.look() - first) >= 3)  # noqa: B023
        assert len(leftovers(started.temporary)) == 1
        started.end(signal.SIGTERM)
