"""The birth test at the best multipliers, where they are not unique."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.judge import Certificate, Verdict, certify_arrays
from lexmargin.judge.bounds.refine import refine
from lexmargin.judge.local.birth import birth_value
from lexmargin.judge.local.birth_choice import best_birth
from lexmargin.judge.local.kinked_point import PredictorPoint
from lexmargin.judge.receipts.receipt import Receipt, receipt
from lexmargin.judge.receipts.verify import verify_receipt

ANGLE = np.deg2rad(150)
FIRST, SECOND = np.array([1.0, 0.0]), np.array([np.cos(ANGLE), np.sin(ANGLE)])
MIDDLE = 0.5 * (FIRST + SECOND)
ON_AXIS = 1.0 / np.cos(ANGLE / 2)
# One neuron on the bisector (case dead-neuron); the third sample has the same margin there.
THETA = np.array([*(MIDDLE / np.linalg.norm(MIDDLE)), 1.0])


def problem(*X: np.ndarray) -> lm.HardMargin:
    data = lm.Dataset(np.array(X), np.ones(len(X), int), one_class=True)
    return lm.HardMargin(lm.Network((1,), lm.ReLU()), data)


def at_first_order(stated: lm.HardMargin, weights: list[float]) -> Certificate:
    """The certificate with these of its many multipliers."""
    f = stated.functions
    found = certify_arrays(f.values(THETA), f.jacobian(THETA), THETA, 2.0)
    assert found.verdict is Verdict.KKT
    return replace(found, multipliers=np.array(weights))


def test_the_best_multipliers_pass() -> None:
    stated = problem(FIRST, SECOND, MIDDLE)
    f, unit = stated.functions, THETA / np.linalg.norm(THETA)
    poor = np.array([ON_AXIS / 2, ON_AXIS / 2, 0.0])
    assert birth_value(f.data.X, poor).lower == pytest.approx(ON_AXIS / 2)
    found = best_birth(f, f.jacobian(unit), np.arange(3), poor, 0.0, 0.0)
    # All weight on the middle sample: b(λ) = λ_3 ‖x_3‖ = 1, and no member has less.
    assert found.multipliers == pytest.approx([0.0, 0.0, ON_AXIS], abs=1e-9)
    assert found.birth.upper == pytest.approx(1.0, rel=1e-12)
    assert found.floor == pytest.approx(1.0, rel=1e-9)


def test_global_wherever_any_multiplier_proves_it() -> None:
    stated = problem(FIRST, SECOND, MIDDLE)
    first = at_first_order(stated, [ON_AXIS / 2, ON_AXIS / 2, 0.0])
    assert first.multiplier_dimension == 1
    found = refine(PredictorPoint(stated.functions, THETA, 2.0, first.tolerances.kink), first)
    assert found.verdict is Verdict.GLOBAL, found.report()
    assert found.gap is not None and found.gap < 1e-12
    rows = stated.functions.jacobian(THETA / np.linalg.norm(THETA))
    unit = THETA / np.linalg.norm(THETA)
    assert np.linalg.norm(unit - found.multipliers @ rows) <= 1e-12
    assert found.stationarity <= 1e-12
    written = receipt(stated, THETA, found)
    assert written.verdict is Verdict.GLOBAL
    assert verify_receipt(Receipt.from_bytes(written.to_bytes())).verdict is Verdict.GLOBAL


@pytest.mark.parametrize("shift", [1e-3, 1e-5])
def test_without_the_third_sample_on_the_margin_it_is_not_global(shift: float) -> None:
    """A slightly wrong input: the sample that carries the proof is a little further away."""
    stated = problem(FIRST, SECOND, (1.0 + shift) * MIDDLE)
    first = at_first_order(stated, [ON_AXIS / 2, ON_AXIS / 2, 0.0])
    found = refine(PredictorPoint(stated.functions, THETA, 2.0, first.tolerances.kink), first)
    assert found.verdict is Verdict.STRICT_LOCAL
    assert any("birth test 1.93" in why for why in found.reasons)


def test_no_multiplier_passes() -> None:
    """Every sample twice: a polytope of dimension 2 on which the test is the same everywhere."""
    stated = problem(FIRST, SECOND, FIRST, SECOND)
    first = at_first_order(stated, [ON_AXIS / 2, ON_AXIS / 2, 0.0, 0.0])
    assert first.multiplier_dimension == 2
    found = refine(PredictorPoint(stated.functions, THETA, 2.0, first.tolerances.kink), first)
    assert found.verdict is Verdict.STRICT_LOCAL
    assert any("at least 1.93185165" in why and "for every λ" in why for why in found.reasons)


def test_the_floor_is_below_every_member() -> None:
    rng = np.random.default_rng(5)
    stated = problem(FIRST, SECOND, MIDDLE, 0.75 * FIRST + 0.25 * SECOND)
    f, unit = stated.functions, THETA / np.linalg.norm(THETA)
    start = np.array([ON_AXIS / 2, ON_AXIS / 2, 0.0, 0.0])
    found = best_birth(f, f.jacobian(unit), np.arange(4), start, 0.0, 0.0)
    # x_3 = (x_1 + x_2)/2 and x_4 = 3/4 x_1 + 1/4 x_2.
    for _ in range(50):
        b, c = rng.uniform(0.0, 1.0, 2) * [ON_AXIS, 0.5 * ON_AXIS]
        member = start + b * np.array([-0.5, -0.5, 1, 0]) + c * np.array([-0.75, -0.25, 0, 1])
        if np.all(member >= 0.0):
            assert unit == pytest.approx(member @ f.jacobian(unit), abs=1e-12)
            assert birth_value(f.data.X, member).upper >= found.floor * (1.0 - 1e-9)
