"""Gradient flow passes through the stored points of every problem file that has some."""

from __future__ import annotations

import numpy as np
import pytest

from lexmargin.paths import GradientFlow, descend
from lexmargin.shelf.build import build
from lexmargin.shelf.library import Library

LIBRARY = Library()
FLOWS = [name for name in LIBRARY.problems() if LIBRARY.problem(name).flow]


def test_the_three_flows_of_known_form_are_on_the_shelf() -> None:
    assert FLOWS == [
        "flows/flow-depth-1-plus-2",
        "flows/flow-one-sample",
        "flows/flow-two-samples",
    ]


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("turned", [0.0, 1e-2], ids=["stored start", "turned start"])
def test_flow_passes_through_the_stored_points(name: str, turned: float) -> None:
    found = LIBRARY.problem(name)
    problem = build(found)
    assert found.start is not None
    start = np.array([number.value for number in found.start]) + turned
    times = [point.time.value for point in found.flow]
    path = descend(
        problem.predictor, problem.data, start=start, flow=GradientFlow(times[-1]), record=times
    )
    reached = path.records.norm[:, None] * path.records.direction
    stored = np.array([[number.value for number in point.theta] for point in found.flow])
    distance = float(np.abs(reached - stored).max())
    assert distance <= 1e-6 if turned == 0.0 else distance > 1e-6
