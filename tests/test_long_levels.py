"""Levels of rows that differ by 1e±6, in the polyhedral norms: proved in rationals or not said."""

from __future__ import annotations

import math

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.judge import Verdict
from test_long_margins import rational_margin, spread


@pytest.mark.parametrize("p", [1.0, math.inf])
@pytest.mark.parametrize("kind", ["rows", "columns"])
def test_levels_that_are_said_are_those_of_rationals(kind: str, p: float) -> None:
    for seed in (6, 9):
        Z = spread(kind, seed)
        data = lm.Dataset(Z, np.ones(len(Z)), one_class=True)
        problem = lm.Lexicographic(lm.Linear(), data, norm=p, levels=3)
        found = lm.solve(problem)
        assert found.certificate is not None and found.certificate.verdict is Verdict.GLOBAL, (
            found.certificate and found.certificate.reasons
        )
        assert found.margin == pytest.approx(rational_margin(Z, p), rel=1e-7)
        theta = problem.functions.flatten(found.theta)
        levels = _levels(Z, theta, p)
        for entry in range(3):
            aside = theta * np.where(np.arange(3) == entry, 1.0 - 1e-4, 1.0)
            moved = np.max(np.abs(_levels(Z, aside, p) - levels)) / levels[0]
            if moved > 1e-5:
                assert lm.certify(problem, aside).verdict is not Verdict.GLOBAL


def _levels(Z: np.ndarray, theta: np.ndarray, p: float) -> np.ndarray:
    return np.sort(Z @ (theta / np.linalg.norm(theta, p)))[:3]
