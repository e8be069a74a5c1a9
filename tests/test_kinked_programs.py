"""Programs at a kink are judged by one element of the generalised gradient per sample."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import lsq_linear

import lexmargin as lm
from lexmargin.formulations import Formulation
from lexmargin.judge import Verdict
from lexmargin.ops.base import FloatArray
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
