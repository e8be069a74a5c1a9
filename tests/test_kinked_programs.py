"""Programs at a kink are judged by one element of the generalised gradient per sample."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import lsq_linear

import lexmargin as lm
from lexmargin.errors import LibraryError, RejectedReceiptError
from lexmargin.formulations import Formulation
from lexmargin.judge import Verdict
from lexmargin.judge.receipts.receipt import Receipt, facts_of, receipt
from lexmargin.judge.receipts.verify import verify_receipt
from lexmargin.ops.base import FloatArray
from lexmargin.shelf.build import build, stored_theta
from lexmargin.shelf.library import Library
from receipt_forgeries import signed
from uneven_margin import Uneven

XOR = lm.Dataset([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]], [1, 1, -1, -1])
NETWORK = lm.Network((4,), lm.ReLU())
BOTH = lm.Sum([lm.Linear(), NETWORK])
R = 2.0**0.25

# The four neurons of xor, one per sample, each 0 at both samples of the other class: on kinks. The
# margins are 1, and by symmetry Σ λ_n y_n x_n = 0: the linear part is 0.
UNITS = np.array(XOR.X) / np.sqrt(2.0) / R
OUTER = np.array([1.0, 1.0, -1.0, -1.0]) / R
ANSWER = np.concatenate([np.zeros(2), UNITS.ravel(), OUTER])
LENGTH = float(np.linalg.norm(ANSWER))

PROGRAMS: dict[str, Formulation] = {
    "scaled, linear dear": lm.ScaledMargin(BOTH, XOR, 10.0),
    "scaled, linear cheap": lm.ScaledMargin(BOTH, XOR, 0.1),
    "least norm": lm.MarginPath(BOTH, XOR, 1.0, gamma=1.0),
    "own costs": Uneven(BOTH, XOR, (5.0,) * 2 + (1.0,) * 12, (1.0,) * 4),
}


def test_the_answer_is_what_it_is_said_to_be() -> None:
    assert np.allclose(lm.WSet(BOTH, XOR).functions.values(ANSWER), 1.0)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_kinked_answer_is_stationary(name: str) -> None:
    found = lm.certify(PROGRAMS[name], ANSWER)
    # The bound of the linear part is 0, and that of the neurons their birth test.
    assert found.verdict is Verdict.GLOBAL and "kink" in found.reasons[0]
    assert found.reasons[-1].endswith("(sum-of-parts)")
    assert found.stationarity <= 1e-9 and found.feasibility <= 1e-9
    assert np.allclose(found.multipliers, found.multipliers[0])


def test_in_the_ball_too() -> None:
    problem = lm.MarginPath(BOTH, XOR, LENGTH)
    assert lm.certify(problem, ANSWER / LENGTH).verdict is Verdict.GLOBAL
    assert not lm.certify(problem, 0.9 * ANSWER / LENGTH).certified


@pytest.mark.parametrize("name", PROGRAMS)
def test_its_neighbours_are_not(name: str) -> None:
    problem = PROGRAMS[name]
    for change in (
        {0: 0.1},  # a linear part that nothing pays for
        {2: 0.1, 3: 0.1, 10: -0.05},  # one neuron longer than the others
    ):
        moved = ANSWER.copy()
        for place, step in change.items():
            moved[place] += step
        assert not lm.certify(problem, moved).certified
    assert lm.certify(problem, 0.9 * ANSWER).verdict is Verdict.NOT_STATIONARY


def least_misfit(problem: Uneven, w: FloatArray) -> float:
    """Return min ‖√c w - Σ λ_n g_n/√c‖/‖√c w‖ over λ ≥ 0 and slopes, by bounded least squares.

    λ_n s_nj with 0 ≤ s ≤ 1 are variables μ_nj ≤ λ_n of their own, relaxed to μ ≥ 0 alone: a lower
    bound of what any elements reach.
    """
    X, y, root = np.array(XOR.X), np.array(XOR.signed), np.sqrt(np.array(problem.costs))
    units, outer = w[2:10].reshape(4, 2), w[10:]
    columns = []
    for x, label, wanted in zip(X, y, problem.wanted, strict=True):
        z = units @ x
        base = np.concatenate([x, (outer * (z > 1e-9))[:, None] * x, np.maximum(z, 0.0)], axis=None)
        columns.append(label * base / wanted / root)
        for j in np.flatnonzero(np.abs(z) <= 1e-9):
            part = np.zeros(w.size)
            part[2 + 2 * j : 4 + 2 * j] = outer[j] * x
            columns.append(label * part / wanted / root)
    target = root * w / np.linalg.norm(root * w)
    found = lsq_linear(np.array(columns).T, target, (0.0, np.inf), tol=1e-14)
    return float(np.sqrt(2.0 * found.cost))


def test_random_costs_and_levels_against_bounded_least_squares() -> None:
    """Costs that differ inside a part, and levels: certified only where the oracle says so."""
    rng = np.random.default_rng(0)
    words = []
    for trial in range(40):
        costs = np.repeat(rng.uniform(0.2, 5.0, 3), (2, 8, 4)) if trial % 2 else np.ones(14)
        if trial % 4 == 3:
            costs[2:10] *= np.repeat(rng.uniform(0.5, 2.0, 4), 2)
        wanted = np.repeat(rng.uniform(0.5, 2.0, 2), 2) if trial % 3 == 0 else np.ones(4)
        # Each neuron alone carries its sample: the least cost of u·x v = r is u, v in balance.
        units, outer = np.zeros((4, 2)), np.zeros(4)
        for n in range(4):
            inner, out = costs[2 + 2 * n], costs[10 + n]
            size = np.sqrt(wanted[n] / np.sqrt(2.0))
            units[n] = np.array(XOR.X)[n] / np.sqrt(2.0) * size * (out / inner) ** 0.25
            outer[n] = XOR.signed[n] * size * (inner / out) ** 0.25
        w = np.concatenate([np.zeros(2), units.ravel(), outer])
        problem = Uneven(BOTH, XOR, tuple(costs.tolist()), tuple(wanted.tolist()))
        assert np.allclose(problem.functions.values(w), wanted)
        found = lm.certify(problem, w)
        words.append(found.verdict)
        if found.certified:
            assert least_misfit(problem, w) <= 1e-6
        else:
            # The linear part is not free to stay 0: Σ λ_n y_n x_n must vanish.
            assert found.verdict is not Verdict.NOT_STATIONARY or least_misfit(problem, w) > 1e-7
    assert {Verdict.GLOBAL, Verdict.NOT_STATIONARY} <= set(words)


# -- a later level of a W-set, with the parts before it held ---------------------------------------


def held_back(angle: float, size: float = 1.0) -> tuple[lm.WSet, FloatArray]:
    """``v ≥ 1 + a relu(u·x2)`` and ``a relu(u·x1) ≥ 1``, x1 and x2 at an acute angle.

    Level 1 is v = 1 and needs u·x2 ≤ 0; level 2 is then least where u ⟂ x2 and ‖u‖ = a.
    """
    members = [lm.Member(lm.Linear(), (2,)), lm.Member(lm.Network((1,), lm.ReLU()), (0, 1))]
    c, s = math.cos(angle), math.sin(angle)
    data = lm.Dataset([[size, 0.0, 0.0], [size * c, size * s, -1.0]], [1, -1])
    a = (s * size) ** -0.5
    return lm.WSet(lm.Sum(members), data, 2), np.array([1.0, a * s, -a * c, a])


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("angle", [0.1, 0.7, math.pi / 3.0, 1.5])
def test_the_second_level_may_stand_on_a_kink(angle: float, size: float) -> None:
    problem, w = held_back(angle, size)
    # Whole numbers of a unit: rounding must not take u·x2 off its kink.
    assert np.allclose(problem.functions.values(w), 1.0)
    found = lm.certify(problem, w)
    assert found.verdict is Verdict.CLARKE_KKT, found.report()
    assert any("level 2: on a kink" in why for why in found.reasons)
    assert verify_receipt(receipt(problem, w, found)).verdict is Verdict.CLARKE_KKT


@pytest.mark.parametrize("angle", [0.7, math.pi / 3.0])
def test_a_second_level_beside_its_kink_is_refuted(angle: float) -> None:
    problem, w = held_back(angle)
    # Turned off x2, and stretched until a relu(u·x1) = 1 again.
    turned = w[1:3] + 0.05 * np.array([w[2], -w[1]])
    stretch = (w[3] * turned[0]) ** -0.5
    found = lm.certify(problem, np.array([1.0, *(turned * stretch), w[3] * stretch]))
    assert found.verdict is Verdict.NOT_STATIONARY
    # On the kink, and not in balance: 0 is an element there, and qualifies nothing.
    found = lm.certify(problem, np.array([1.0, *(w[1:3] * 1.2), w[3] / 1.2]))
    assert found.verdict is Verdict.UNDECIDED and "no constraint" in found.reasons[0]


# -- receipts --------------------------------------------------------------------------------------


def kinked_on_the_shelf() -> list[tuple[str, Formulation, FloatArray]]:
    library, found = Library(), []
    for name, path in sorted(library.problem_paths().items()):
        if not name.startswith("relu/"):
            continue
        stored = library.problem(path)
        try:
            problem = build(stored)
            theta = stored_theta(stored, problem)
        except LibraryError:
            continue
        degree = problem.functions.homogeneity.degree or 1.0
        w = theta / problem.functions.values(theta).min() ** (1.0 / degree)
        if lm.certify(problem, w).on_kink:
            found.append((name, problem, w))
    return found


KINKED = kinked_on_the_shelf()


def test_some_problems_of_the_shelf_are_at_a_kink() -> None:
    assert len(KINKED) >= 4


@pytest.mark.parametrize("index", range(len(KINKED)))
def test_receipts_of_four_statements_have_the_word_of_the_certificate(index: int) -> None:
    _, problem, w = KINKED[index]
    predictor, data = problem.predictor, problem.data
    for stated in (
        problem,
        lm.MarginPath(predictor, data, rho=1.0, gamma=1.0),
        lm.ScaledMargin(predictor, data, gamma=1.0),
        lm.WSet(predictor, data),
    ):
        same_word(stated, w)


def same_word(problem: Formulation, w: FloatArray) -> Receipt:
    found = lm.certify(problem, w)
    assert found.certified and found.on_kink
    written = Receipt.from_bytes(receipt(problem, w, found).to_bytes())
    assert verify_receipt(written).verdict is written.verdict is found.verdict
    return written


POLYNOMIAL = lm.Sum(
    [lm.Member(lm.Polynomial([[1, 1]]), (2,)), lm.Member(lm.Network((1,), lm.ReLU()), (0, 1))]
)


def sloped(angle: float) -> tuple[lm.Dataset, FloatArray]:
    """Return data and an answer of POLYNOMIAL whose slope at the kink is cot(angle)."""
    c, s = math.cos(angle), math.sin(angle)
    data = lm.Dataset([[1.0, 0.0, 0.0], [c, s, 1.0]], [1, -1])
    return data, np.array([1.0, -1.0, s**0.5, -c * s**-0.5, s**-0.5])


@pytest.mark.parametrize("angle", [0.8, 1.0, 1.4])
def test_a_receipt_of_any_program_carries_its_slopes(angle: float) -> None:
    data, w = sloped(angle)
    length = float(np.linalg.norm(w))
    problems: list[tuple[Formulation, FloatArray]] = [
        (lm.ScaledMargin(POLYNOMIAL, data, 3.0), w),
        (lm.MarginPath(POLYNOMIAL, data, length), w / length),
        (lm.MarginPath(POLYNOMIAL, data, length, gamma=1.0), w / length),
        (Uneven(POLYNOMIAL, data, (2.0,) * 5, (1.0, 1.0)), w),
        # Other costs inside a part: w_1 and w_2 stay in balance, and so do u and a.
        (Uneven(POLYNOMIAL, data, (2.0, 2.0, 1.0, 1.0, 1.0), (1.0, 1.0)), w),
    ]
    for problem, point in problems:
        written = same_word(problem, point)
        ((layer, sample, unit, slope),) = written.evidence.slopes
        assert (layer, sample, unit) == (0, 1, 0)
        # λ of the second sample is the cost of its own part, that of the first pays for the rest.
        assert 0.0 < slope < 1.0
        content = json.loads(written.to_bytes())
        for wrong in (slope + 0.01, slope - 0.01, 0.0, 1.0, 1.5, -0.5):
            content["evidence"]["slopes"] = [[0, 1, 0, wrong]]
            read = Receipt.from_bytes(json.dumps(signed(content)).encode())
            assert facts_of(read).verdict is Verdict.UNDECIDED
        for places in ([], [[0, 0, 0, slope]], [[0, 1, 1, slope]], [[1, 1, 0, slope]]):
            content["evidence"]["slopes"] = places
            read = Receipt.from_bytes(json.dumps(signed(content)).encode())
            assert facts_of(read).verdict is Verdict.UNDECIDED


def test_slopes_are_refused_where_no_margin_is_on_a_kink() -> None:
    data, w = sloped(1.0)
    problem = lm.ScaledMargin(POLYNOMIAL, data, 3.0)
    written = receipt(problem, 1.1 * w + 0.01, lm.certify(problem, 1.1 * w + 0.01))
    content: dict[str, Any] = json.loads(written.to_bytes())
    content["evidence"]["slopes"] = [[0, 1, 0, 0.5]]
    with pytest.raises(RejectedReceiptError, match=r"evidence\.slopes"):
        verify_receipt(Receipt.from_bytes(json.dumps(signed(content)).encode()))
