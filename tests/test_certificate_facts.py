"""Evidence establishes what it proves and no more, whoever wrote it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.formulations.base import Formulation
from lexmargin.judge import Certificate, Tolerances, Verdict, certify
from lexmargin.judge.certificate import Ascent
from lexmargin.judge.given import Evidence
from lexmargin.judge.programs.evidence import evidence_for
from lexmargin.judge.receipts.facts import establish_problem

R = math.sqrt(0.5)
LIMITS = Tolerances()
XOR = lm.Dataset([[1, 1], [-1, -1], [1, -1], [-1, 1]], [1, 1, -1, -1])
SCALE = 2.0**-0.25


def points(X: list[list[float]]) -> lm.Dataset:
    return lm.Dataset(np.array(X, float), [1] * len(X), one_class=True)


def flat(problem: Formulation, *blocks: object) -> np.ndarray:
    return problem.functions.flatten([np.array(block, float) for block in blocks])


def facts(problem: Formulation, theta: np.ndarray, evidence: Evidence) -> Certificate:
    return establish_problem(problem, theta, LIMITS, evidence).certificate


def honest(problem: Formulation, theta: np.ndarray) -> Evidence:
    return evidence_for(problem.functions, theta, 2.0, certify(problem, theta))


def xor() -> tuple[Formulation, np.ndarray]:
    problem = lm.HardMargin(lm.Network((4,), lm.ReLU()), XOR)
    return problem, flat(problem, XOR.X * SCALE * R, XOR.y * SCALE)


def test_slopes_outside_their_range_or_off_their_kink_establish_nothing() -> None:
    problem, theta = xor()
    evidence = honest(problem, theta)
    assert facts(problem, theta, evidence).verdict is Verdict.GLOBAL
    for slope in (
        (0, 0, 2, 1.5),  # larger than 1
        (0, 0, 2, -0.1),
        (0, 0, 0, 0.5),  # unit 0 is on for sample 0
        (0, 0, 1, 0.5),  # and unit 1 off
    ):
        forged = replace(evidence, slopes=(slope,))
        found = facts(problem, theta, forged)
        assert found.verdict is Verdict.UNDECIDED
        assert "no kink, or outside [0, 1]" in found.reasons[0]


def test_kinks_in_several_layers_have_no_slopes_of_their_own() -> None:
    problem = lm.HardMargin(lm.Network((2, 2), lm.ReLU()), points([[1, 0], [0, 1]]))
    theta = flat(problem, np.eye(2), np.eye(2), np.ones(2))
    assert certify(problem, theta).verdict is Verdict.CLARKE_KKT
    evidence = Evidence(support=np.array([0, 1]), multipliers=np.ones(2), tau=1e-7)
    found = facts(problem, theta, evidence)
    assert found.verdict is Verdict.UNDECIDED and "several layers" in found.reasons[0]


@pytest.mark.parametrize("seed", range(8))
def test_a_refutation_never_exceeds_the_distance_it_bounds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    problem = lm.HardMargin(lm.DiagonalNetwork(2), points([[1, 0.6], [0.6, 1], [1.5, 1.5]]))
    theta = rng.uniform(0.2, 1.0, 4)
    certificate = certify(problem, theta)
    assert certificate.verdict is Verdict.NOT_STATIONARY
    evidence = honest(problem, theta)
    found = facts(problem, theta, evidence)
    assert found.verdict is Verdict.NOT_STATIONARY
    assert found.stationarity_bound <= certificate.stationarity * (1.0 + 1e-9)
    # Other weights refute less, not more.
    forged = replace(evidence, refutation=rng.uniform(0.0, 2.0, 3))
    assert facts(problem, theta, forged).stationarity_bound <= certificate.stationarity


def test_a_stationary_point_cannot_be_refuted() -> None:
    problem = lm.HardMargin(lm.DiagonalNetwork(2), points([[1, 0.6], [0.6, 1]]))
    theta = np.sqrt(0.625) * np.ones(4)
    evidence = honest(problem, theta)
    rng = np.random.default_rng(0)
    for _ in range(50):
        forged = replace(evidence, refutation=rng.exponential(size=2) * rng.choice([1e-3, 1, 1e3]))
        assert facts(problem, theta, forged).verdict is Verdict.GLOBAL


@pytest.mark.parametrize("above", [1e-4, 1e-2, 1.0])
def test_weight_above_the_margin_is_not_forgiven(above: float) -> None:
    # λ on a sample above the margin makes ε small and δ large.
    problem = lm.HardMargin(lm.Linear(), points([[1, 0], [0.5, 0.5 + above]]))
    theta = np.array([1.0, 1.0]) * R
    f, J = problem.functions.values(theta), problem.functions.jacobian(theta)
    weights = np.linalg.solve(J.T, theta)
    assert np.all(weights > 0.0) and weights[np.argmax(f)] > 0.0
    evidence = Evidence(support=np.array([0, 1]), multipliers=weights, tau=1e-2)
    found = facts(problem, theta, evidence)
    assert found.stationarity < 1e-12 < found.complementarity
    assert found.verdict is Verdict.UNDECIDED


def test_a_curve_said_to_rise_must_begin_at_the_point_and_rise() -> None:
    problem = lm.HardMargin(lm.DiagonalNetwork(2), points([[1, 2]]))
    theta = np.array([R, 0.0, R, 0.0])
    evidence = replace(honest(problem, theta), ascent=None)
    assert facts(problem, theta, evidence).verdict is Verdict.KKT
    held = np.array([0])
    for direction in ([0.0, R, 0.0, -R], [R, 0.0, -R, 0.0]):
        worse = replace(evidence, ascent=Ascent(np.array(direction), held, 2))
        assert facts(problem, theta, worse).verdict is Verdict.KKT
    better = replace(evidence, ascent=Ascent(np.array([0.0, R, 0.0, R]), held, 2))
    found = facts(problem, theta, better)
    # I - λ ∇²f is -1 along it.
    assert found.verdict is Verdict.SADDLE and found.rise.rate == pytest.approx(0.5, rel=0.1)
    # The gain is of second order, and called one of first order it does not follow its rate.
    wrong = replace(evidence, ascent=replace(better.ascent, order=1))
    assert facts(problem, theta, wrong).verdict is Verdict.KKT
    negative = replace(evidence, bound=np.array([-1.0]))
    assert facts(problem, theta, negative).bound is None
