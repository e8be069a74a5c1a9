"""The wheel that ships, built and installed once for all workers of a test run."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(python: str, words: list[str], folder: Path | str, **changes: str) -> tuple[int, str, str]:
    """Run Python in a folder, with nothing on its path but what is said."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | changes
    done = subprocess.run(
        [python, *words],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def built(kind: str, source: Path, out: Path) -> Path:
    """Build a wheel or an sdist with hatchling itself: pip would fetch it from an index again."""
    words = ["-m", "hatchling", "build", "-t", kind, "-d", str(out)]
    code, _, err = run(sys.executable, words, source)
    assert code == 0, err
    (path,) = out.glob("lexmargin-*.whl" if kind == "wheel" else "lexmargin-*.tar.gz")
    return path


def installed(wheel: Path, folder: Path) -> Path:
    """Install a wheel into a folder of its own; what it requires is this environment's."""
    words = ["-m", "pip", "install", "--no-deps", "--no-index", "--target", str(folder), str(wheel)]
    code, _, err = run(sys.executable, words, folder.parent)
    assert code == 0, err
    return folder


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return the folder that the first worker to ask has made and filled."""
    base = factory.getbasetemp()
    # Each worker's folder lies in that of the run.
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = shared / name
        if not folder.exists():
            part = shared / f"{name}.part"
            part.mkdir()
            make(part)
            part.rename(folder)
    return folder
