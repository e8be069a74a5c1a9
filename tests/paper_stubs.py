"""The command paper with one statement that never ends, for tests that end it from outside."""

from __future__ import annotations

import time
from typing import Any

from lexmargin.cli.main import main
from lexmargin.paper import measure
from lexmargin.processes.nursery import Mark

ENDLESS = "lemma-3"


def work(payload: tuple[str, str], mark: Mark) -> tuple[dict[str, Any] | None, str, float]:
    """Measure one statement, unless it is the endless one."""
    while payload[0] == ENDLESS:
        time.sleep(60.0)
    return measure.work(payload, mark)


def run() -> None:
    """Run the command line with this work in its children."""
    measure.TASK = "paper_stubs:work"
    main()
