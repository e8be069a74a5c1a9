"""Starts under a time limit: one process gives birth to all of them, and their answers agree."""

from __future__ import annotations

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.processes.owner import Nursery
from lexmargin.run import starts
from lexmargin.run.isolated import Job, nursery_for

DIAGONAL = lm.MarginPath(lm.DiagonalNetwork(3), lm.Dataset([[1.0, 2.0], [2.0, 1.0]], [1, -1]), 1.0)
LINEAR = lm.HardMargin(lm.Linear(), lm.Dataset([[1.0, 0.0], [0.0, 2.0]], [1, -1]))


@pytest.mark.parametrize(("problem", "asked"), [(DIAGONAL, 3), (LINEAR, 1)])
@pytest.mark.parametrize("workers", [1, 2])
def test_many_starts_share_their_processes(
    monkeypatch: pytest.MonkeyPatch,
    problem: lm.HardMargin | lm.MarginPath,
    asked: int,
    workers: int,
) -> None:
    made: list[Nursery] = []

    def counted(job: Job) -> Nursery:
        made.append(nursery_for(job))
        return made[-1]

    monkeypatch.setattr(starts, "nursery_for", counted)
    limited = lm.solve(problem, starts=asked, time_limit=60.0, workers=workers)
    # A second profile may be asked, with processes of its own.
    assert 1 <= len(made) <= 2 * min(workers, asked)
    free = lm.solve(problem, starts=asked)
    np.testing.assert_array_equal(limited.direction, free.direction)
    for nursery in made:
        assert nursery._process is None
