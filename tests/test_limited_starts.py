"""A time limit: one fork does all, answers agree, and whatever ends it leaves what was found."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import lexmargin as lm
import limit_stubs
from lexmargin.processes.nursery import Mark, _frames
from limits_kept import FAMILIES, measured
from process_stubs import PATIENCE_SECONDS, fresh


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What went wrong in each case of a process that has one thread; a test runner has more."""
    done = fresh(Path(limit_stubs.__file__), folder=tmp_path_factory.mktemp("limits"))
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    return {one["case"]: one["wrong"] for one in told}


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked elsewhere")
@pytest.mark.parametrize("case", [case.__name__ for case in limit_stubs.CASES])
def test_under_a_limit(found: dict[str, str], case: str) -> None:
    assert found[case] == "", found[case]


def test_starts_at_a_time_give_the_same_answers() -> None:
    limited = lm.solve(limit_stubs.DIAGONAL, starts=3, time_limit=PATIENCE_SECONDS, workers=2)
    free = lm.solve(limit_stubs.DIAGONAL, starts=3)
    np.testing.assert_array_equal(limited.direction, free.direction)


def test_threads_of_a_child_do_not_talk_into_each_other() -> None:
    reader, writer = os.pipe()
    mark, came, received = Mark(writer), [], bytearray()
    threads = [
        threading.Thread(target=lambda k=k: [mark.tell(str(k) * 9999) for _ in range(50)])
        for k in range(4)
    ]
    for thread in threads:
        thread.start()
    while len(came) < 200:
        received += os.read(reader, 2**16)
        came += [pickle.loads(body) for _, body in _frames(received)]
    for thread in threads:
        thread.join()
    os.close(reader)
    os.close(writer)
    assert sorted(came) == sorted(str(k) * 9999 for k in range(4) for _ in range(50))


@pytest.mark.long
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_measured(family: str) -> None:
    one = measured(family, np.random.default_rng(0))
    print(one)
    assert one.end and one.beyond < PATIENCE_SECONDS


@pytest.mark.long
def test_two_hundred_limited_calls_end_within_a_second() -> None:
    """On a machine that does nothing else; the table is printed."""
    script = Path(__file__).with_name("limits_kept.py")
    subprocess.run([sys.executable, str(script), "--count", "200"], check=True)
