"""What tests of processes run in interpreters of their own, started from a folder of no use."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

__all__ = ["PATIENCE_SECONDS", "alive", "eventually", "fresh", "leftovers", "paths"]

PATIENCE_SECONDS = 300.0
"""Until a test gives up on what must come; no test depends on how fast it comes."""


def paths() -> str:
    """The folders this interpreter imports from, and that of the tests."""
    return os.pathsep.join([str(Path(__file__).parent), *(p for p in sys.path if p)])


def fresh(
    code: str | Path,
    *words: str,
    folder: Path,
    changes: Mapping[str, str] | None = None,
    flags: Sequence[str] = ("-P",),
    patience: float = 2 * PATIENCE_SECONDS,
) -> subprocess.CompletedProcess[str]:
    """Run code, or a script, in an interpreter of its own in a folder."""
    what = [str(code)] if isinstance(code, Path) else ["-c", code]
    return subprocess.run(
        [sys.executable, *flags, *what, *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths(), "PYTHONUNBUFFERED": "", **(changes or {})},
        timeout=patience,
        check=False,
    )


def eventually(condition: Callable[[], bool]) -> bool:
    """Wait for a condition, long enough for any machine."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def alive(pid: int) -> bool:
    """Whether a process is there and is not a corpse."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def leftovers(folder: Path) -> list[str]:
    """Whatever lies in a folder of temporary files."""
    return sorted(path.name for path in folder.iterdir())
