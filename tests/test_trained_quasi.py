"""Trained networks whose leading part is silent, judged by the exponents of their parameters."""

from __future__ import annotations

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.judge.tolerances import DEFAULT
from lexmargin.judge.trained.trained import trained_margins
from lexmargin.judge.trained.trained_exponents import measure_exponents
from lexmargin.judge.verdict import Verdict
from quasi_cases import LINE, planted

torch = pytest.importorskip("torch", reason="torch is not installed: an optional extra")
nn = torch.nn

X, Y = LINE.X, LINE.y
ROOT = float(np.sqrt(3.0))
ANSWER = np.array([-2.0 / ROOT, 1.0, ROOT, ROOT])
"""W_1, W_2, b and v of ``v (W_2 W_1 x + b)``: by hand, the least ``‖v‖² + ‖b‖²`` is 6."""


def at(module, theta):
    # W_2 comes before its bias, and v last.
    nn.utils.vector_to_parameters(torch.tensor(np.asarray(theta, float)), module.parameters())
    return module


def middle_bias(width=1, units=1, inner=None, features=1):
    return nn.Sequential(
        nn.Linear(features, width, bias=False),
        inner or nn.Identity(),
        nn.Linear(width, units),
        nn.Linear(units, 1, bias=False),
    ).double()


def test_the_answer_by_hand_is_accepted_and_its_neighbours_are_not():
    found = lm.certify_limit(at(middle_bias(), ANSWER), X, Y)
    assert found.verdict is Verdict.KKT and found.dimension == 2 and not found.discarded
    names = ("0.weight", "2.weight", "2.bias", "3.weight")
    assert found.exponents == tuple(zip(names, (0.25, 0.25, 0.5, 0.5), strict=True))
    assert dict(found.costs) == pytest.approx({"2.bias": 0.5, "3.weight": 0.5})
    assert all(check.holds for check in found.certificate.checks)
    assert found.certificate.multipliers == pytest.approx([2.0, 1.0])
    assert "2.bias 1/2" in str(found) and "2 dimensions" in str(found)
    assert found.gap == 0.0 and found.euler_gap <= 1e-12
    for seed in range(5):
        way = np.random.default_rng(seed).standard_normal(4)
        turned = ANSWER + 1e-6 * np.linalg.norm(ANSWER) * way / np.linalg.norm(way)
        assert not lm.certify_limit(at(middle_bias(), turned), X, Y).verdict.stationary, seed
    for run in (0.25, 7.0):
        far = ANSWER * np.exp(run * np.array([1.0, 1.0, 2.0, 2.0]))
        there = lm.certify_limit(at(middle_bias(), far), X, Y)
        assert there.verdict is Verdict.KKT
        assert there.certificate.multipliers == pytest.approx([2.0, 1.0])
        assert all(check.holds for check in there.certificate.checks)
    # Another of the admissible exponents makes another network of it, whose cost is not the least.
    beside = ANSWER * np.array([1.0, 0.5, 0.5, 2.0])
    assert not lm.certify_limit(at(middle_bias(), beside), X, Y).verdict.stationary


@pytest.mark.parametrize("rectified", [False, True])
def test_planted_answers_are_accepted_and_their_neighbours_are_not(rectified):
    rng, done = np.random.default_rng(3), 0
    while done < 4:
        case = planted(rng, rectified)
        if case is None:
            continue
        done += 1
        functions = case.problem.functions
        inner = nn.ReLU() if rectified else None
        theta = functions.flatten(list(case.blocks))
        width, p = case.blocks[0].shape
        module = middle_bias(width, len(case.blocks[3]), inner, p)
        data = case.problem.data
        found = lm.certify_limit(at(module, theta), data.X, data.y)
        assert found.verdict is Verdict.KKT, found
        declared = lm.certify(case.problem, theta)
        assert found.certificate.multipliers == pytest.approx(declared.multipliers, abs=1e-9)
        for seed in range(2):
            way = np.random.default_rng(seed).standard_normal(theta.size)
            turned = theta + 1e-6 * np.linalg.norm(theta) * way / np.linalg.norm(way)
            assert not lm.certify_limit(at(module, turned), data.X, data.y).verdict.stationary


def test_exponents_may_be_given_by_name():
    module = at(middle_bias(), ANSWER)
    found = lm.certify_limit(module, X, Y, exponents={"2.bias": 0.5, "0.weight": 0.125})
    assert dict(found.exponents)["2.weight"] == 0.375 and found.verdict is Verdict.KKT
    # v alone costs and can shrink: no point is stationary.
    found = lm.certify_limit(module, X, Y, exponents={"3.weight": 0.75})
    assert found.verdict is Verdict.NOT_STATIONARY
    assert "3.weight can shrink" in str(found)
    with pytest.raises(lm.ParameterError, match=r"The parameters are 0\.weight"):
        lm.certify_limit(module, X, Y, exponents={"bias": 1.0})
    with pytest.raises(lm.DegreeError, match="not e"):
        lm.certify_limit(module, X, Y, exponents={"2.bias": 0.5, "3.weight": 0.25})


class Skip(nn.Module):
    """``a·(z + V(U z + b))``, z = A x: the exponents of U and V would have to be 0."""

    def __init__(self):
        super().__init__()
        self.A = nn.Linear(1, 2, bias=False)
        self.U = nn.Linear(2, 2)
        self.V = nn.Linear(2, 2, bias=False)
        self.a = nn.Linear(2, 1, bias=False)

    def forward(self, x):
        z = self.A(x)
        return self.a(z + self.V(self.U(z)))


class Normed(nn.Module):
    """A weight of degree 0, before a bias that is needed."""

    def __init__(self):
        super().__init__()
        self.g = nn.Parameter(torch.ones(1))
        self.w = nn.Parameter(torch.ones(2, 1))
        self.b = nn.Linear(2, 2)
        self.v = nn.Linear(2, 1, bias=False)

    def forward(self, x):
        return self.v(self.b(self.g * x @ self.w.T / torch.linalg.norm(self.w)))


SILENT = {
    "skip": (Skip, "the exponent of 'U.weight', 'V.weight' would have to be 0"),
    "gelu": (lambda: middle_bias(4, 4, nn.GELU()), "the exponent of '0.weight' would have to be 0"),
    "normalised": (Normed, "is normalised, which is not judged with exponents"),
}


@pytest.mark.parametrize("name", SILENT)
def test_where_neither_applies_the_reason_is_said(name):
    make, reason = SILENT[name]
    torch.manual_seed(0)
    module = make().double()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    inputs, labels = torch.tensor(X), torch.tensor(np.array(Y, dtype=float))
    for _ in range(400):
        optimizer.zero_grad()
        nn.functional.softplus(-labels * module(inputs)[:, 0]).sum().backward()
        optimizer.step()
    found = lm.certify_limit(module, X, Y)
    assert found.verdict is Verdict.NOT_SEPARATING and not found.exponents
    assert reason in str(found)
    with pytest.raises(lm.DegreeError, match="cannot be judged by exponents"):
        lm.certify_limit(module, X, Y, exponents={})


@pytest.mark.parametrize("outputs", [1, 3])
def test_measured_exponents_are_those_of_the_predictor(outputs):
    torch.manual_seed(1)
    module = nn.Sequential(
        nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4), nn.LeakyReLU(0.1), nn.Linear(4, outputs)
    ).double()
    points = np.random.default_rng(0).standard_normal((9, 2))
    labels = np.arange(9) % 3 if outputs == 3 else np.resize([1, -1], 9)
    margins = trained_margins(module, points, labels)
    nothing = np.zeros(margins.theta.size, dtype=bool)
    found, why = measure_exponents(margins, nothing, DEFAULT.euler)
    by_hand = lm.Network((3, 4), lm.ReLU(), outputs, "all").homogeneity(2).exponents
    assert found is not None and by_hand is not None, why
    assert found.least == by_hand.least and found.dimension == by_hand.dimension == 2


def test_blocks_that_are_not_needed_are_discarded_and_said():
    """An output bias beside a bias within: the margins stay positive without it."""
    module = nn.Sequential(
        nn.Linear(1, 1, bias=False), nn.Identity(), nn.Linear(1, 1), nn.Linear(1, 1)
    ).double()
    found = lm.certify_limit(at(module, [*ANSWER, 0.01]), X, Y)
    assert found.discarded == ("3.bias",) and "without: 3.bias" in str(found)
    assert found.gap == pytest.approx(0.01)
    # What is left is the problem of the middle bias, and its answer.
    assert found.verdict is Verdict.KKT and dict(found.costs).keys() == {"2.bias", "3.weight"}
