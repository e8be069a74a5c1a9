"""Work under a time limit in a process of one thread, which forks; what each case finds is told.

Run as a script: a line of JSON per case, with "" or what went wrong.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import lexmargin as lm
from lexmargin import solve as verb
from lexmargin.errors import InvisibleLevelWarning
from lexmargin.paths.follower import Follower
from lexmargin.processes import owner
from lexmargin.run.starts import Job

# The verb hides its module.
SOLVE = sys.modules["lexmargin.solve"]
DIAGONAL = lm.MarginPath(lm.DiagonalNetwork(3), lm.Dataset([[1.0, 2.0], [2.0, 1.0]], [1, -1]), 1.0)
LINEAR = lm.HardMargin(lm.Linear(), lm.Dataset([[1.0, 0.0], [0.0, 2.0]], [1, -1]))
SHORT = 0.5
"""A limit that is reached; no test depends on how soon."""


def hang(*_: object, **__: object) -> Any:
    """Hang in C, holding Python's lock."""
    ctypes.PyDLL(None).sleep(600)


def forks() -> list[bool]:
    """Count what is forked from here on; False where it was refused."""
    seen: list[bool] = []
    before = owner.forked

    def counted(*args: Any, **words: Any) -> Any:
        made = before(*args, **words)
        seen.append(made is not None)
        return made

    owner.forked = counted
    return seen


class Changed:
    """An attribute that is another one for a while; a fork inherits it."""

    def __init__(self, where: object, name: str, value: object) -> None:
        self.what = (where, name, getattr(where, name))
        setattr(where, name, value)

    def __enter__(self) -> None:
        return

    def __exit__(self, *_: object) -> None:
        setattr(*self.what)


def starts_agree_and_share_a_fork() -> None:
    for problem, starts in ((DIAGONAL, 3), (LINEAR, 1)):
        seen = forks()
        told, untold = [], []
        before = len(os.listdir("/proc/self/fd"))
        limited = verb(problem, starts=starts, time_limit=60.0, progress=told.append)
        free = verb(problem, starts=starts, progress=untold.append)
        assert seen == [True], seen
        np.testing.assert_array_equal(limited.direction, free.direction)
        assert len(limited.others) == len(free.others)
        assert limited.certificate is not None and free.certificate is not None
        assert limited.certificate.verdict is free.certificate.verdict
        assert told == untold and told, (told, untold)
        assert len(os.listdir("/proc/self/fd")) == before
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
        assert not children.split(), children


def a_certificate_that_hangs_leaves_the_answer() -> None:
    free = verb(LINEAR)
    with Changed(SOLVE, "judge", hang):
        found = verb(LINEAR, time_limit=SHORT)
    assert found.judgement is None and "time limit" in found.unjudged
    assert found.unjudged in found.report() and found.to_json()["unjudged"] == found.unjudged
    np.testing.assert_allclose(found.direction, free.direction, atol=1e-6)
    np.testing.assert_allclose(found.margins, free.margins, atol=1e-6)


def a_solver_that_hangs_leaves_nothing() -> None:
    with Changed(Job, "run", hang):
        found = verb(LINEAR, time_limit=SHORT)
    assert found.ran is lm.Ran.TIME_LIMIT and found.judgement is None, found
    assert not found.unjudged and np.all(np.isnan(found.direction))


def a_crash_leaves_what_was_found() -> None:
    judged = SOLVE.judge
    calls: list[int] = []

    def third_dies(*args: Any, **words: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGSEGV)
        return judged(*args, **words)

    with Changed(SOLVE, "judge", third_dies):
        found = verb(DIAGONAL, starts=4, time_limit=60.0)
    assert found.certificate is not None and found.certificate.certified, found
    with Changed(SOLVE, "judge", lambda *_, **__: os.kill(os.getpid(), signal.SIGSEGV)):
        none = verb(LINEAR, time_limit=60.0)
    assert none.judgement is None and none.unjudged


def warnings_and_errors_arrive() -> None:
    X = [[1.0, 0.0], [0.0, 1.0], [50.0, 60.0]]
    problem = lm.ConstrainedPath(lm.Linear(), lm.Dataset(X, [1, 1, 1], one_class=True), 1e3)
    counts = []
    for limit in (None, 60.0):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            verb(problem, "ipopt", time_limit=limit)
        counts.append([w.category for w in said if w.category is InvisibleLevelWarning])
    assert counts[0] == counts[1], counts
    data = lm.Dataset([[1.0, 0.0], [2.0, 0.0], [-1.0, 1.0], [-1.0, -1.0]], [1, -1, 1, 1])
    proofs = []
    for limit in (None, 60.0):
        try:
            verb(lm.HardMargin(lm.Linear(), data), time_limit=limit)
        except lm.LexmarginError as error:
            proofs.append((type(error).__name__, str(error), error.proof.gordan))  # type: ignore[attr-defined]
    assert len(proofs) == 2 and proofs[0] == proofs[1], proofs


def a_problem_that_cannot_be_sent_is_inherited() -> None:
    class Own(lm.HardMargin):
        pass

    problem = Own(lm.Linear(), LINEAR.data)
    limited, free = verb(problem, time_limit=60.0), verb(problem)
    np.testing.assert_array_equal(limited.direction, free.direction)
    gone = threading.Event()
    thread = threading.Thread(target=gone.wait)
    thread.start()
    try:
        verb(problem, time_limit=60.0)
    except lm.LexmarginError as error:
        assert "cannot be sent to another process" in str(error)
    else:
        raise AssertionError("it was sent")
    finally:
        gone.set()
        thread.join()


def beside_another_thread_nothing_is_forked() -> None:
    seen = forks()
    gone = threading.Event()
    thread = threading.Thread(target=gone.wait)
    thread.start()
    try:
        limited = verb(DIAGONAL, starts=2, time_limit=60.0)
    finally:
        gone.set()
        thread.join()
    assert seen == [False], seen
    np.testing.assert_array_equal(limited.direction, verb(DIAGONAL, starts=2).direction)


def a_trace_keeps_its_points() -> None:
    problem, grid = lm.ConstrainedPath(lm.Linear(), LINEAR.data), [0.5, 1.0, 2.0, 4.0]
    point = Follower.point

    def third_hangs(self: Follower, rho: float, best: Any) -> Any:
        return hang() if rho == 2.0 else point(self, rho, best)

    free = lm.trace(problem, grid)
    whole = lm.trace(problem, grid, time_limit=60.0)
    assert [p.rho for p in whole.points] == grid and whole.end is free.end
    for one, other in zip(whole.points, free.points, strict=True):
        np.testing.assert_array_equal(one.theta, other.theta)
        assert one.best_margin == other.best_margin
    with Changed(Follower, "point", third_hangs):
        cut = lm.trace(problem, grid, time_limit=SHORT)
    assert [p.rho for p in cut.points] == grid[:2] and cut.missing == (2.0, 4.0)
    assert cut.end.name == "TIME_LIMIT" and cut.points[0].certificate is not None


def an_interrupt_ends_a_trace_with_its_points() -> None:
    problem, grid = lm.ConstrainedPath(lm.Linear(), LINEAR.data), [0.5, 1.0, 2.0]
    point = Follower.point

    def then_hangs(self: Follower, rho: float, best: Any) -> Any:
        if rho == 2.0:
            # Ctrl-C reaches the owner alone: its child is in another session.
            os.kill(owner_of_all, signal.SIGINT)
            hang()
        return point(self, rho, best)

    def interrupts(*_: object, **__: object) -> Any:
        os.kill(owner_of_all, signal.SIGINT)
        hang()

    owner_of_all = os.getpid()
    with Changed(Follower, "point", then_hangs):
        cut = lm.trace(problem, grid, time_limit=600.0)
    # What the child had told and this process had not read yet is lost.
    assert cut.end.name == "INTERRUPTED"
    assert [p.rho for p in cut.points] == grid[: len(cut.points)] and len(cut.points) < 3
    try:
        with Changed(SOLVE, "judge", interrupts):
            verb(LINEAR, time_limit=600.0)
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError("the interrupt was lost")
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    assert not children.split(), children


def a_polish_that_hangs_leaves_the_descent() -> None:
    module = sys.modules["lexmargin.paths.descend"]
    data = LINEAR.data
    whole = lm.descend(lm.Linear(), data, steps=20, time_limit=60.0)
    free = lm.descend(lm.Linear(), data, steps=20)
    assert whole.polished is not None and free.polished is not None
    np.testing.assert_array_equal(whole.polished.theta, free.polished.theta)
    with Changed(module, "polish", hang):
        cut = lm.descend(lm.Linear(), data, steps=20, time_limit=SHORT)
    assert cut.polished is None and "time limit" in cut.polish_problem


CASES = (
    starts_agree_and_share_a_fork,
    a_certificate_that_hangs_leaves_the_answer,
    a_solver_that_hangs_leaves_nothing,
    a_crash_leaves_what_was_found,
    warnings_and_errors_arrive,
    a_problem_that_cannot_be_sent_is_inherited,
    beside_another_thread_nothing_is_forked,
    a_trace_keeps_its_points,
    an_interrupt_ends_a_trace_with_its_points,
    a_polish_that_hangs_leaves_the_descent,
)


def main() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for case in CASES:
        wrong, forked = "", owner.forked
        began = time.monotonic()
        try:
            case()
        except BaseException:
            wrong = traceback.format_exc()
        owner.forked = forked
        took = time.monotonic() - began
        print(json.dumps({"case": case.__name__, "wrong": wrong, "took": took}), flush=True)


if __name__ == "__main__":
    main()
