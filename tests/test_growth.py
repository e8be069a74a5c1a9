"""Thousands of solves in one process: memory, descriptors, threads and files stay as they were."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from process_stubs import fresh, leftovers

LONG = pytest.mark.long

GROWTH = """
import os, sys, threading, json
import lexmargin as lm
from lexmargin.predictors import DiagonalNetwork, Linear
count = int(sys.argv[1])
data = lm.Dataset([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]], [1, 1, 1], one_class=True)
problems = [
    (lm.HardMargin(Linear(), data), "clarabel"),
    (lm.MarginPath(Linear(), data, rho=1.0, norm=1.0), "highs"),
    (lm.HardMargin(DiagonalNetwork(2), data), "ipopt-casadi"),
    (lm.HardMargin(Linear(), data), "auto"),
]
def once(index):
    problem, solver = problems[index % len(problems)]
    solution = lm.solve(problem, solver=solver, starts=1)
    assert lm.certify(problem, solution.theta).certified
def state():
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return (pages * os.sysconf("SC_PAGE_SIZE") / 2**20, len(os.listdir("/proc/self/fd")),
            threading.active_count())
for index in range(min(count, 400)):
    once(index)
before = state()
for index in range(count):
    once(index)
after = state()
print(json.dumps({"before": before, "after": after}))
assert after[0] - before[0] < 20.0, (before, after)
assert after[1:] == before[1:], (before, after)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@LONG
@pytest.mark.parametrize("count", [10_000])
def test_solves_and_certificates_leave_nothing_behind(tmp_path: Path, count: int) -> None:
    (tmp_path / "tmp").mkdir()
    changes = {"TMPDIR": str(tmp_path / "tmp")}
    done = fresh(GROWTH, str(count), folder=tmp_path, changes=changes, patience=7200.0)
    assert done.returncode == 0, done.stdout + done.stderr
    assert leftovers(tmp_path / "tmp") == []
