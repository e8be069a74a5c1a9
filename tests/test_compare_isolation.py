"""One process per unit: limits that really end it, whatever it does, and nothing left behind."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compare_stubs import processes
from lexmargin.compare.job_run import PRELOADED
from lexmargin.processes.nursery import End
from lexmargin.processes.owner import Nursery, Reply
from process_stubs import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in /proc")


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery(PRELOADED)
    yield made
    made.close()


def run(
    nursery: Nursery, task: str, seconds: float = 20.0, mib: int = 512, **payload: Any
) -> Reply:
    return nursery.run(f"compare_stubs:{task}", payload, (seconds, max(seconds, 10.0)), mib)


def tagged(tag: str) -> list[int]:
    return [p for p, (_, command) in processes().items() if tag.encode() in command]


def test_an_answer_comes_from_a_process_of_its_own_with_one_thread(nursery: Nursery) -> None:
    first, second = run(nursery, "answer", x=1), run(nursery, "answer", x=2)
    assert first.end is End.ANSWERED and first.answer is not None and second.answer is not None
    assert first.answer["payload"] == {"x": 1}
    assert first.answer["process"] != second.answer["process"]
    assert first.answer["OMP_NUM_THREADS"] == first.answer["MKL_NUM_THREADS"] == "1"
    assert first.peak_mebibytes > 1 and first.attempts == 1


def test_a_hang_in_c_that_ignores_sigterm_is_ended_with_all_it_started(nursery: Nursery) -> None:
    tag = uuid.uuid4().hex
    reply = run(nursery, "hang", seconds=1.0, tag=tag)
    assert reply.end is End.TIME and reply.phase == 0 and reply.answer is None
    assert eventually(lambda: tagged(tag) == [])
    assert run(nursery, "answer").end is End.ANSWERED


@pytest.mark.long
def test_a_certificate_that_hangs_is_ended_too(nursery: Nursery) -> None:
    reply = run(nursery, "hang", seconds=1.0, tag=uuid.uuid4().hex, judging=True)
    assert reply.end is End.TIME and reply.phase == 1


@pytest.mark.parametrize("at_once", [True, False])
def test_a_process_that_needs_64_gb_is_contained(nursery: Nursery, at_once: bool) -> None:
    reply = run(nursery, "devour", at_once=at_once)
    assert reply.end is End.MEMORY
    assert reply.peak_mebibytes < 2048


@pytest.mark.parametrize("number", [6, 11])
def test_a_crash_is_an_answer(nursery: Nursery, number: int) -> None:
    reply = run(nursery, "crash", signal=number)
    assert reply.end is End.SIGNAL and reply.signal == number and reply.attempts == 1


def test_a_kill_from_outside_is_tried_again(nursery: Nursery) -> None:
    reply = run(nursery, "crash", signal=9)
    assert reply.end is End.SIGNAL and reply.attempts > 1


def test_an_exit_and_an_exception_are_answers(nursery: Nursery) -> None:
    assert (run(nursery, "leave").end, run(nursery, "leave").code) == (End.EXIT, 7)
    reply = run(nursery, "there_is_no_such_task")
    assert reply.end is End.RAISED and "there_is_no_such_task" in reply.answer


def test_a_nursery_that_is_killed_is_replaced(nursery: Nursery) -> None:
    run(nursery, "answer")
    assert nursery._process is not None
    nursery._process.kill()
    nursery._process.wait()
    assert run(nursery, "answer").end is End.ANSWERED


@pytest.mark.parametrize(("last", "failed"), [("kill -9 $$", False), ("exit 0", True)])
def test_a_nursery_that_is_dying_is_known_by_what_ended_it(last: str, failed: bool) -> None:
    """Its pipes are gone some time before its status is known."""
    owner = Nursery()
    owner._process = subprocess.Popen(
        ["sh", "-c", f"exec <&- >&-; sleep 0.3; {last}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert owner._read(1, None) is None
    assert owner._failed() is failed


def test_nothing_is_left_when_the_owner_closes() -> None:
    owner = Nursery()
    run(owner, "answer")
    assert owner._process is not None
    process = owner._process.pid
    owner.close()
    assert not Path(f"/proc/{process}").exists()
