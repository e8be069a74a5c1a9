"""LICQ at a kink speaks of the elements that the multipliers combine, and says so."""

from __future__ import annotations

import math

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.judge import Verdict, certify, certify_arrays
from lexmargin.judge.multipliers.qualification import GradientChoice
from lexmargin.judge.receipts.receipt import Receipt, receipt
from lexmargin.judge.receipts.verify import verify_receipt

ANGLE = math.radians(120)
X1 = np.array([1.0, 0.0])
X2 = np.array([math.cos(ANGLE), math.sin(ANGLE)])
SLOPE = -1.0 / math.tan(ANGLE)
OUTER = math.sin(ANGLE) ** -0.5


def at_the_kink() -> tuple[lm.HardMargin, np.ndarray]:
    """Unit A reads x_2; unit B is orthogonal to x_2, where its slope must be -cot φ."""
    data = lm.Dataset(np.array([X1, X2]), [1, 1], one_class=True)
    across = X1 - (X1 @ X2) * X2
    across /= np.linalg.norm(across)
    theta = np.concatenate([X2, OUTER * across, [1.0, OUTER]])
    return lm.HardMargin(lm.Network((2,), lm.ReLU()), data), theta


def test_the_chosen_elements_are_meant() -> None:
    problem, theta = at_the_kink()
    found = certify(problem, theta)
    assert found.verdict in (Verdict.CLARKE_KKT, Verdict.SADDLE), found.report()
    assert found.licq is not None and found.licq.of is GradientChoice.CHOSEN
    # Rows (a x_1, w_B·x_1) in B, and (x_2, 1) in A with (a s x_2, 0) in B.
    first = OUTER**2 * (1.0 + math.sin(ANGLE) ** 2)
    second = 2.0 + (OUTER * SLOPE) ** 2
    cosine = abs(OUTER**2 * SLOPE * math.cos(ANGLE)) / math.sqrt(first * second)
    assert found.licq.sigma_min == pytest.approx(math.sqrt(1.0 - cosine), rel=1e-9)
    assert "elements chosen at the kinks" in found.report()
    assert found.to_json()["licq"]["of"] == "chosen-elements"
    # With slope 0 the rows would be orthogonal.
    f = problem.functions
    plain = certify_arrays(f.values(theta), f.jacobian(theta), theta, 2.0)
    assert plain.licq is not None
    assert plain.licq.sigma_min == pytest.approx(1.0)
    assert plain.licq.of is GradientChoice.GRADIENTS


def test_receipts_recompute_it() -> None:
    problem, theta = at_the_kink()
    found = certify(problem, theta)
    assert found.licq is not None
    written = receipt(problem, theta, found)
    assert written.claims["sigma_min"] == pytest.approx(found.licq.sigma_min, rel=1e-9)
    verify_receipt(Receipt.from_bytes(written.to_bytes()))


def test_away_from_kinks_it_is_the_gradients() -> None:
    problem, theta = at_the_kink()
    moved = theta.copy()
    moved[2:4] += 1e-3 * X2
    found = certify(problem, moved)
    assert found.licq is not None and found.licq.of is GradientChoice.GRADIENTS
    assert "kinks" not in next(x for x in found.report().splitlines() if x.startswith("LICQ"))


def test_programs_at_a_kink_name_the_elements_too() -> None:
    # A dead unit beside a linear part: slope 0 is the element at which the point is stationary.
    data = lm.Dataset([[1.0, 0.0]], [1], one_class=True)
    problem = lm.MarginPath(lm.Sum([lm.Linear(), lm.Network((2,), lm.ReLU())]), data, 2.0)
    theta = np.zeros(problem.functions.size)
    theta[[0, 2, 6]] = [0.5, math.sqrt(1.5) / 2, math.sqrt(1.5) / 2]
    found = certify(problem, theta)
    assert found.verdict is Verdict.GLOBAL
    assert found.licq is not None and found.licq.of is GradientChoice.CHOSEN
    assert "elements chosen" in found.report()
