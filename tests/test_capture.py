"""Silence at the level of file descriptors."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lexmargin.backends.capture import captured

LOUD = """
import ctypes, os, sys
from lexmargin.backends.capture import captured
libc = ctypes.CDLL(None)
def shout(word):
    print("python", word)
    print("error", word, file=sys.stderr)
    os.write(1, f"descriptor {word}\\n".encode())
    libc.printf(b"c %s\\n", word.encode())
shout("before")
with captured() as outer:
    shout("outer")
    with captured() as inner:
        shout("inner")
    shout("outer")
try:
    with captured() as failing:
        shout("failing")
        raise KeyError("x")
except KeyError:
    pass
with captured(verbose=True) as nothing:
    shout("verbose")
shout("after")
sys.stdout.flush()
for block in (outer, inner, failing):
    os.write(1, ("#" + ",".join(sorted(block.text.split("\\n"))) + "\\n").encode())
os.write(1, ("#" + nothing.text + "\\n").encode())
"""


def test_everything_inside_is_kept_and_nothing_outside() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOUD], capture_output=True, text=True, check=True, timeout=60
    )
    shown = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    kept = [line for line in done.stdout.splitlines() if line.startswith("#")]
    ways = ("c", "descriptor", "python")
    words = ("before", "verbose", "after")
    assert sorted(shown) == sorted(f"{way} {word}" for way in ways for word in words)
    assert done.stderr.splitlines() == [f"error {word}" for word in words]
    four = ("c", "descriptor", "error", "python")
    assert kept == [
        "#" + ",".join(["", *sorted(f"{way} outer" for way in four for _ in range(2))]),
        "#" + ",".join(["", *sorted(f"{way} inner" for way in four)]),
        "#" + ",".join(["", *sorted(f"{way} failing" for way in four)]),
        "#",
    ]


def test_python_and_descriptors_under_the_test_runner(capfd: pytest.CaptureFixture[str]) -> None:
    with captured() as output:
        print("one")
        os.write(1, b"two\n")
        os.write(2, b"three\n")
    print("four")
    assert sorted(output.text.split()) == ["one", "three", "two"]
    assert capfd.readouterr() == ("four\n", "")


def test_descriptors_are_not_leaked() -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc here to count open descriptors in")
    before = count()
    for _ in range(20):
        with pytest.raises(ZeroDivisionError), captured():
            raise ZeroDivisionError
    assert count() == before


def test_closed_descriptors_are_no_obstacle() -> None:
    code = """
import os
from lexmargin.backends.capture import captured
os.close(1)
with captured() as output:
    os.write(2, b"heard")
open(os.environ["OUT"], "w").write(output.text)
"""
    # A fresh file takes the lowest free descriptor, which is the closed one.
    with open(os.devnull) as nothing:
        read, write = os.pipe()
        try:
            subprocess.run(
                [sys.executable, "-c", code],
                env={**os.environ, "OUT": f"/dev/fd/{write}"},
                pass_fds=(write,),
                stdin=nothing,
                check=True,
                timeout=60,
            )
            assert os.read(read, 100) == b"heard"
        finally:
            os.close(read)
            os.close(write)
