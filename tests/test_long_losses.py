"""Losses that doubles are too short for, against duality with 60 digits."""

from __future__ import annotations

import math

import numpy as np
import pytest

import lexmargin as lm
from instances_references import GAP, loss_gap, penalty_gap, refined_loss_gap
from lexmargin.judge import Verdict
from lexmargin.separation.long_losses import AskedLoss, least_loss, least_loss_gap

NORMS = (1.0, 1.3, 2.0, 3.0, math.inf)
LOSSES = ("exponential", "logistic")
Array = np.ndarray


def samples(kind: str, seed: int) -> tuple[Array, Array]:
    """Return overlapping samples of a scale that leaves few digits for the gradient."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((9, 2))
    y = np.where(X @ rng.standard_normal(2) + rng.standard_normal(9) > 0.0, 1, -1)
    y[0] = -y[1]
    return {"far": X + 1e8, "large": 1e12 * X, "small": 1e-12 * X}[kind], y


def _predictor(bias: bool) -> lm.Predictor:
    return lm.Sum([lm.Linear(), lm.Bias("plain")]) if bias else lm.Linear()


def _rows(X: Array, y: Array, bias: bool) -> Array:
    return y[:, None] * (np.column_stack([X, np.ones(len(X))]) if bias else X)


def _least(problem: lm.RegularizationPath | lm.ConstrainedPath, w: Array, Z: Array) -> Array | None:
    kkt = problem.kkt(w)[0]
    assert kkt.asked_loss is not None
    return least_loss(Z, kkt.point, kkt.asked_loss, math.inf)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", ["far", "large", "small"])
def test_losses_in_a_ball_are_solved_and_proved(kind: str, norm: float) -> None:
    X, y = samples(kind, 11)
    for loss, bias in zip(LOSSES, (False, kind != "far"), strict=True):
        problem = lm.ConstrainedPath(_predictor(bias), lm.Dataset(X, y), 0.5, norm=norm, loss=loss)
        found = lm.solve(problem)
        assert found.certificate is not None
        assert found.certificate.verdict is Verdict.GLOBAL, found.certificate.reasons
        w = 0.5 * np.concatenate([block.ravel() for block in found.theta])
        scale = max(1.0, abs(found.objective))
        gaps = (f(_rows(X, y, bias), w, 0.5, norm, loss) for f in (loss_gap, refined_loss_gap))
        assert min(gaps) <= GAP * scale


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
def test_long_answers_of_penalties_are_the_least(power: float, norm: float) -> None:
    X, y = samples("far", 12)
    X = X - 1e8 + 1e3
    for loss in LOSSES:
        problem = lm.RegularizationPath(
            lm.Linear(), lm.Dataset(X, y), 0.02, norm=norm, power=power, loss=loss
        )
        begin = np.array([1e-3, -1e-3])
        w = _least(problem, begin, _rows(X, y, False))
        assert w is not None
        strength = problem.strength
        assert penalty_gap(_rows(X, y, False), w, strength, power, norm, loss) < 1e-6
        assert lm.certify(problem, w).verdict is Verdict.GLOBAL
        aside = w * np.array([1.0, 1.0 + 1e-4])
        assert lm.certify(problem, aside).verdict is not Verdict.GLOBAL


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("norm", NORMS)
def test_the_refined_reference_sees_a_point_beside_the_best(norm: float, loss: str) -> None:
    rng = np.random.default_rng(13)
    X, y = rng.standard_normal((12, 3)), np.where(rng.random(12) < 0.5, 1, -1)
    problem = lm.ConstrainedPath(lm.Linear(), lm.Dataset(X, y), 0.5, norm=norm, loss=loss)
    Z = _rows(X, y, False)
    w = 0.5 * problem.functions.flatten(lm.solve(problem).theta)
    assert abs(refined_loss_gap(Z, w, 0.5, norm, loss)) < 1e-12
    short = 0.9 * w
    value, best = (problem.objective(v / 0.5) for v in (short, w))
    if loss == "exponential" and value > best:
        assert refined_loss_gap(Z, short, 0.5, norm, loss) >= value - best - 1e-12


def test_a_gradient_that_vanishes_in_one_column_alone_is_no_minimum() -> None:
    X, y = samples("large", 11)
    problem = lm.ConstrainedPath(
        _predictor(True), lm.Dataset(X, y), 0.5, norm=math.inf, loss="logistic"
    )
    best = problem.functions.flatten(lm.solve(problem).theta)
    # The bias is free to move, and its gradient is 1e-12 of the others'.
    aside = best * np.array([1.0, 1.0, 0.5])
    w = _least(problem, aside, _rows(X, y, True))
    assert w is not None and problem.objective(w / 0.5) < problem.objective(aside) - 1e-3
    assert not lm.certify(problem, aside).certified


def test_a_penalty_without_separator_raises_none() -> None:
    X, y = samples("far", 14)
    problem = lm.RegularizationPath(
        lm.Linear(), lm.Dataset(X, y), 0.75, norm=3.0, power=1.0, loss="exponential"
    )
    found = lm.solve(problem)
    assert found.certificate is not None and found.certificate.certified


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("loss", list(LOSSES))
def test_gaps_in_long_numbers_are_those_of_the_references(loss: str, norm: float) -> None:
    """Of points beside the least, whose own weights prove less: two programs, one number."""
    rng = np.random.default_rng(15)
    Z, word = rng.standard_normal((8, 3)), lm.Loss(loss)
    for aside in (1e-3, 1e-6):
        w = 0.3 * np.array([0.4, -0.3, 0.3]) * (1.0 - aside)
        asked = AskedLoss(word, norm, 0.5, None)
        best = least_loss(Z, w, asked, math.inf)
        assert best is not None and abs(refined_loss_gap(Z, best, 0.5, norm, loss)) < 1e-12
        near = best * (1.0 - aside)
        found = least_loss_gap(Z, near, asked, math.inf)
        value, least = (float(np.log(_loss(Z, v, loss))) for v in (near, best))
        assert found == pytest.approx(value - least, rel=1e-6, abs=1e-13)
        for power in (1.0, 2.0, 3.0):
            asked = AskedLoss(word, norm, None, (0.4, power))
            best = least_loss(Z, w, asked, math.inf)
            assert best is not None
            near = best * (1.0 - aside)
            found = least_loss_gap(Z, near, asked, math.inf)
            value, least = (
                _loss(Z, v, loss) + 0.4 * np.linalg.norm(v, norm) ** power for v in (near, best)
            )
            assert found == pytest.approx((value - least) / value, rel=1e-6, abs=1e-13)


def _loss(Z: Array, w: Array, loss: str) -> float:
    f = Z @ w
    return float(np.sum(np.exp(-f) if loss == "exponential" else np.log1p(np.exp(-f))))
