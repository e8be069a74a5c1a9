"""The command paper with one statement that never ends, for tests that end it from outside."""

from __future__ import annotations

import time
from typing import Any

from lexmargin.cli import main
from lexmargin.paper import measure

ENDLESS = "lemma-3"
_real = measure._work


def work(name: str, effort: str) -> tuple[dict[str, Any] | None, str, float]:
    """Measure one statement, unless it is the endless one."""
    while name == ENDLESS:
        time.sleep(60.0)
    return _real(name, effort)


def run() -> None:
    """Run the command line with this work in its children."""
    measure._work = work
    main()
