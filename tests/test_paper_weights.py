"""The rows on weights of the samples: each finding, and the falsehood that turns it."""

from __future__ import annotations

import math

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.losses import Loss, SampleLoss
from lexmargin.margins import MarginFunctions
from lexmargin.paper.statement import Effort, Finding, Reading, Statement
from lexmargin.paper.statements.section_5.weights_linear import WeightsLinear
from lexmargin.paper.statements.section_5.weights_select import WeightsSelect

LINEAR, SELECT = WeightsLinear(toy_only=True), WeightsSelect()


@pytest.mark.parametrize("stated", [LINEAR, SELECT], ids=lambda row: row.id)
def test_a_loss_that_forgets_its_weights_is_seen(
    stated: Statement, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(self: MarginFunctions, kind: Loss) -> SampleLoss:
        return SampleLoss(kind, max(2, self.predictor.outputs))

    monkeypatch.setattr(MarginFunctions, "loss", forgetful)
    reading = Reading.CORRECTED if stated.corrected else Reading.PAPER
    assert stated.measure(Effort.QUICK).finding(reading) is Finding.DIFFERS


@pytest.mark.parametrize("weights", [(2.0, 1.0), (1.0, 2.0), (1.1, 1.0)])
def test_the_lighter_sample_is_the_support_from_its_threshold_on(
    weights: tuple[float, float],
) -> None:
    """Of every direction of a fine circle, without a solver: r > ln(w_1/(w_1 - w_2))."""
    heavy, light = max(weights), min(weights)
    threshold = math.log(heavy / (heavy - light))
    angle = np.linspace(0.0, np.pi / 2, 100_001)
    fourth = np.array([np.cos(angle) ** 4, np.sin(angle) ** 4])
    f = np.array([[1.0, 2.0], [2.0, 1.0]]) @ fourth
    for r in threshold * np.array([1.0001, 1.5, 4.0, 100.0]):
        logs = np.logaddexp.reduce(np.log(weights)[:, None] - r * f, axis=0)
        best = int(np.argmin(logs))
        assert best in (0, angle.size - 1)
        assert f[int(np.argmin(weights)), best] == pytest.approx(1.0)
        assert np.partition(logs, 1)[1] > logs[best]


def test_weights_do_not_choose_in_the_other_norms() -> None:
    """ℓ3, where no closed form is at hand: two weightings end in one direction."""
    data = lm.Dataset([[1.0, 0.2], [0.3, 1.0], [2.0, -0.4]], [1] * 3, one_class=True)
    best = lm.solve(lm.HardMargin(lm.Linear(), data, norm=3.0)).direction
    for weights in ([100.0, 1.0, 1.0], [1.0, 1.0, 1e4]):
        far = [
            float(
                np.linalg.norm(
                    lm.solve(
                        lm.ConstrainedPath(lm.Linear(), data.weighted(weights), rho, 3.0)
                    ).direction
                    - best
                )
            )
            for rho in (1e2, 1e4)
        ]
        assert far[1] < 2e-2 * far[0] and far[1] < 1e-3
