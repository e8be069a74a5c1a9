"""Ctrl-C at any moment: it arrives as KeyboardInterrupt, and the streams are where they were."""

from __future__ import annotations

import os
import random
import signal
import sys
import types
from collections.abc import Callable

import casadi as ca
import numpy as np
import pytest

import lexmargin as lm
from lexmargin.backends.capture import captured
from lexmargin.inputs.interrupts import interrupts_kept
from lexmargin.ops.casadi import matrix, numbers

DATA = lm.Dataset([[2.0, 1.0], [1.0, 3.0], [-1.0, -2.0], [-3.0, -1.0]], [1, 1, -1, -1])
SQUARED = lm.HardMargin(lm.Network((2,), lm.ReLU(power=2)), DATA)
DIAGONAL = lm.HardMargin(lm.DiagonalNetwork(2), DATA)
SOLVES: dict[str, Callable[[], object]] = {
    "active-set": lambda: lm.solve(lm.HardMargin(lm.Linear(), DATA)),
    "face": lambda: lm.solve(lm.Lexicographic(lm.Linear(), DATA, norm=1)),
    "newton": lambda: lm.solve(lm.ConstrainedPath(lm.Linear(), DATA, rho=5.0)),
    "ipopt": lambda: lm.solve(SQUARED, "ipopt", starts=1),
    "ipopt-casadi": lambda: lm.solve(SQUARED, "ipopt-casadi", starts=1),
    "slsqp": lambda: lm.solve(DIAGONAL, "slsqp", starts=1),
    "clarabel": lambda: lm.solve(lm.HardMargin(lm.Linear(), DATA), "clarabel"),
    "certify": lambda: lm.certify(lm.load("saddle-is-kkt"), [0.0, 2.0**0.5, 0.0, 0.0]),
}
ROOMS = ("backends/", "judge/", "polish/", "inputs/alone", "contextlib", "casadi")
"""Where moments are drawn; a moment in an import is as good as any in another."""
MOMENTS = 8
"""Of each solve; `python tests/test_interrupts.py 1000` draws as many as are named."""


class _Interrupter:
    """Sends SIGINT at the n-th line run in one of the rooms; counts them where n is 0."""

    def __init__(self, at: int = 0) -> None:
        self.at, self.seen = at, 0

    def frame(self, frame: types.FrameType, event: str, value: object) -> object:
        inside = any(room in frame.f_code.co_filename for room in ROOMS)
        return self.line if inside else None

    def line(self, frame: types.FrameType, event: str, value: object) -> object:
        if event == "line":
            self.seen += 1
            if self.seen == self.at:
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
        return self.line


def _run(work: Callable[[], object], at: int = 0) -> tuple[int, bool]:
    """Return the lines that were seen, and whether the interrupt arrived."""
    watch, before = _Interrupter(at), sys.gettrace()
    streams = sys.stdout, sys.stderr, os.fstat(1).st_ino, os.fstat(2).st_ino
    handler = signal.getsignal(signal.SIGINT)
    arrived = False
    sys.settrace(watch.frame)  # type: ignore[arg-type]
    try:
        work()
    except KeyboardInterrupt:
        arrived = True
    finally:
        sys.settrace(before)
    assert (sys.stdout, sys.stderr, os.fstat(1).st_ino, os.fstat(2).st_ino) == streams
    assert signal.getsignal(signal.SIGINT) is handler
    return watch.seen, arrived


def _drawn(name: str, moments: int, seed: int = 0) -> list[bool]:
    work = SOLVES[name]
    work()
    lines, _ = _run(work)
    draw = random.Random(seed)
    return [_run(work, draw.randrange(1, lines + 1))[1] for _ in range(moments)]


@pytest.mark.parametrize("name", SOLVES)
def test_an_interrupt_at_any_moment_arrives(name: str) -> None:
    arrived = _drawn(name, MOMENTS)
    # Python itself drops what is raised while an object is deleted.
    assert sum(arrived) >= MOMENTS - 2


def test_arrays_go_into_casadi_and_out_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    # CasADi drops what is raised while it asks Python about an array.
    made, values = [], np.array([[1.0, 2.0]])

    class Interrupted:
        def full(self) -> np.ndarray:
            signal.raise_signal(signal.SIGINT)
            made.append("out")
            return values

    def interrupted(given: np.ndarray) -> object:
        signal.raise_signal(signal.SIGINT)
        made.append("in")
        return given

    np.testing.assert_array_equal(numbers(matrix(values)), values)
    with pytest.raises(KeyboardInterrupt):
        numbers(Interrupted())
    monkeypatch.setattr(ca, "DM", interrupted)
    with pytest.raises(KeyboardInterrupt):
        matrix(values)
    assert made == ["out", "in"]


def test_interrupts_are_kept_and_given() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts_kept() as kept:
        signal.raise_signal(signal.SIGINT)
        done.append("whole")
        assert isinstance(kept.error, KeyboardInterrupt)
    assert done == ["whole"]


def test_an_interrupt_goes_through_where_it_may() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), captured():
        signal.raise_signal(signal.SIGINT)
        done.append("never")
    assert done == []


if __name__ == "__main__":
    for solve in SOLVES:
        print(solve, sum(_drawn(solve, int(sys.argv[1]))), "of", sys.argv[1], flush=True)
