"""Whatever ends a command, its processes end with it, and none of its files is left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from compare_stubs import descendants
from process_stubs import PATIENCE_SECONDS, alive, eventually, leftovers, paths

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in /proc"),
    pytest.mark.usefixtures("interrupts"),
]

SIGNALS = [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGINT]
OFTEN = [
    *((sent, 1) for sent in SIGNALS),
    *(pytest.param(sent, 100, marks=pytest.mark.long) for sent in SIGNALS),
]

TIMES = [pytest.param(1, id="once"), pytest.param(100, id="100-times", marks=pytest.mark.long)]

HANGING = """
import sys
from lexmargin.run import isolated
from lexmargin.cli.main import main
isolated.WORK = "compare_stubs:" + sys.argv.pop(1)
main()
"""
"""The command whose child hangs in C, holds Python's lock, ignores SIGTERM, leaves a file in the
folder of temporary files and has started a program that ignores SIGTERM too."""

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


class Started:
    """A command with a folder of temporary files of its own."""

    def __init__(self, code: str, words: list[str], folder: Path) -> None:
        self.temporary = folder / "tmp"
        self.temporary.mkdir(exist_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", code, *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": paths(), "TMPDIR": str(self.temporary)},
            start_new_session=True,
        )
        self.seen: set[int] = set()

    def look(self) -> set[int]:
        self.seen |= set(descendants(self.process.pid))
        return self.seen

    def end(self, sent: signal.Signals) -> None:
        self.look()
        self.process.send_signal(sent)
        self.process.wait(PATIENCE_SECONDS)
        assert eventually(lambda: not any(alive(pid) for pid in self.seen))
        assert eventually(lambda: not leftovers(self.temporary)), leftovers(self.temporary)


def moments(times: int) -> Iterator[random.Random]:
    for seed in range(times):
        yield random.Random(seed)


@pytest.mark.parametrize(("sent", "times"), OFTEN)
def test_a_solve_whose_child_hangs_in_c_leaves_nothing(
    tmp_path: Path, sent: signal.Signals, times: int
) -> None:
    for _ in range(times):
        started = Started(HANGING, ["hang_with_files", *SOLVE], tmp_path)
        # The nursery, its child and the program that this one has started.
        assert eventually(lambda: len(started.look()) >= 3), "no child came"  # noqa: B023
        started.end(sent)


@pytest.mark.long
@pytest.mark.parametrize("sent", SIGNALS, ids=lambda sent: sent.name)
@pytest.mark.parametrize("words", [SOLVE, COMPARE], ids=["solve", "compare"])
def test_a_command_ended_at_any_moment_leaves_nothing(
    tmp_path: Path, sent: signal.Signals, words: list[str]
) -> None:
    """Also while Python starts, while modules are imported, between two children."""
    for moment in moments(100):
        started = Started("from lexmargin.cli.main import main; main()", words, tmp_path)
        until = time.monotonic() + moment.uniform(0.0, 6.0)
        while time.monotonic() < until and started.process.poll() is None:
            started.look()
            time.sleep(0.02)
        started.end(sent)


@pytest.mark.parametrize("times", TIMES)
def test_a_killed_nursery_takes_its_child_along(tmp_path: Path, times: int) -> None:
    """Its owner, which goes on, removes its folder and starts the child again."""
    for _ in range(times):
        started = Started(HANGING, ["hang_with_files", *SOLVE], tmp_path)
        assert eventually(lambda: len(started.look()) >= 3)  # noqa: B023
        first = set(started.seen)
        nursery = min(descendants(started.process.pid))
        os.kill(nursery, signal.SIGKILL)
        assert eventually(lambda: not any(alive(pid) for pid in first))  # noqa: B023
        assert eventually(lambda: len(started.look() - first) >= 3)  # noqa: B023
        assert len(leftovers(started.temporary)) == 1
        started.end(signal.SIGTERM)
