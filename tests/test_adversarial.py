"""No false certificate and no refused KKT point among directions built to deceive."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import adversarial
import adversarial_directions
import adversarial_networks
import lexmargin as lm
from adversarial_common import Row, Trial, count
from adversarial_directions import (
    FAMILIES,
    LIMITS,
    NEVER,
    TOLERANCE,
    Array,
    Case,
    kkt_point,
    measures,
    oracle,
)
from lexmargin.errors import DegreeError
from lexmargin.judge import Certificate, Tolerances, Verdict, carried_multipliers
from lexmargin.judge.trained.trained_judge import certify_by_gram
from lexmargin.margins import Margins

SAMPLE = 40


EVERY = adversarial.families()


@pytest.mark.parametrize("family", EVERY)
def test_no_direction_deceives_the_judge(family: str) -> None:
    make, share = EVERY[family]
    sample = max(3, round(SAMPLE * min(1.0, share)))
    row = count(family, make, sample, [7])
    assert not row.complaints
    assert row.directions == sample


@pytest.mark.long
@pytest.mark.parametrize("family", EVERY)
def test_no_direction_in_thousands_deceives_the_judge(family: str) -> None:
    make, share = EVERY[family]
    row = count(family, make, round(2000 * share), [11])
    assert not row.complaints
    if family in NEVER:
        assert row.certified == 0


class Rows(Margins):
    """Gradients at hand, as if each were a pass through a network."""

    def __init__(self, values: Array, jacobian: Array) -> None:
        self._values, self._jacobian = values, jacobian
        self.count, self.size = jacobian.shape

    def values(self, theta: Array) -> Array:
        return self._values

    def rows(self, theta: Array, indices: Array) -> Array:
        return self._jacobian[indices]

    def vjp(self, theta: Array, weights: Array) -> Array:
        return weights @ self._jacobian

    def hessian_products(self, theta: Array, weights: Array, directions: Array) -> Array:
        raise NotImplementedError


def by_inner_products(
    f: Array, jacobian: Array, theta: Array, degree: float, tolerances: Tolerances
) -> Certificate:
    """As for a large network, whose degree is measured before anything else."""
    product = jacobian @ theta
    if np.max(np.abs(product - degree * f)) > tolerances.euler * np.max(np.abs(product)):
        raise DegreeError("f has another degree.")
    return certify_by_gram(Rows(f, jacobian), theta, degree, tolerances, memory=1e3)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_direction_deceives_the_inner_products(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adversarial_directions, "certify_arrays", by_inner_products)
    row = count(family, FAMILIES[family], SAMPLE, [8])
    assert not row.complaints
    assert row.directions == SAMPLE


@pytest.mark.parametrize("judge", [by_inner_products, adversarial_directions.certify_arrays])
def test_a_far_sample_with_a_steep_gradient_is_not_ruled_out(
    judge: Callable[..., Certificate],
) -> None:
    # Two per cent above the margin, λ = 1e-8 on it makes θ̂ = Σ λ_n ∇f_n exactly, with δ = 2e-10.
    f, theta = np.array([1.0, 1.02]), np.array([1.0, 0.0])
    jacobian = np.array([[1.0, 0.1], [1.02, -1e7]])
    exact = np.linalg.solve(jacobian.T, theta)
    assert np.all(exact > 0.0) and measures(Case(f, jacobian, theta, 1.0), exact)[1] < 1e-9
    found = judge(f, jacobian, theta, 1.0, tolerances=LIMITS)
    assert found.verdict is not Verdict.NOT_STATIONARY
    jacobian[1, 1] = -1.0
    found = judge(f, jacobian, theta, 1.0, tolerances=LIMITS)
    assert found.verdict is Verdict.NOT_STATIONARY and found.stationarity_bound > 0.09


@pytest.mark.parametrize("judge", [by_inner_products, adversarial_directions.certify_arrays])
@pytest.mark.parametrize(("error", "verdict"), [(5e-8, Verdict.KKT), (5e-7, Verdict.UNDECIDED)])
def test_gradients_that_contradict_the_margins_prove_nothing(
    judge: Callable[..., Certificate], error: float, verdict: Verdict
) -> None:
    # Within the tolerance of the degree, beyond that of the support.
    jacobian = np.array([[1.0 + error, 0.0]])
    found = judge(np.ones(1), jacobian, np.array([1.0, 0.0]), 1.0, tolerances=LIMITS)
    assert found.stationarity < 1e-12 and found.verdict is verdict


@pytest.mark.parametrize("judge", [by_inner_products, adversarial_directions.certify_arrays])
def test_multipliers_that_balance_both_residuals_are_found(
    judge: Callable[..., Certificate],
) -> None:
    # The first sample alone misses ε by half of its tolerance, exact multipliers with the second
    # miss δ by as much; half of the second's weight serves both.
    f, theta = np.array([1.0, 1.0 + 5e-6]), np.array([1.0, 0.0])
    jacobian = np.array([[1.0, 1.5e-7], [1.0 + 5e-6, -5e-6]])
    case, exact = Case(f, jacobian, theta, 1.0), np.linalg.solve(jacobian.T, theta)
    assert measures(case, np.array([1.0, 0.0]))[0] > 1.4e-7 and measures(case, exact)[1] > 1.4e-7
    found = judge(f, jacobian, theta, 1.0, tolerances=LIMITS)
    assert found.verdict is Verdict.KKT
    assert max(measures(case, found.multipliers)) <= TOLERANCE


def test_the_oracle_and_the_witness_agree_on_what_is_stationary() -> None:
    base = kkt_point(np.random.default_rng(0))
    assert base.witness is not None
    assert max(measures(base, base.witness)) < 1e-12 and oracle(base) < 1e-12
    # A gradient turned across θ by a hundredth is seen by both.
    jacobian = base.jacobian.copy()
    heavy = int(np.argmax(base.witness))
    step = np.random.default_rng(1).standard_normal(base.theta.size)
    step -= base.theta * (step @ base.theta)
    jacobian[heavy] += 1e-2 * np.linalg.norm(jacobian[heavy]) * step / np.linalg.norm(step)
    bent = Case(base.f, jacobian, base.theta, base.degree)
    assert max(measures(bent, base.witness)) > 1e-4
    assert oracle(bent) > TOLERANCE


def test_a_wrong_verdict_would_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    real = adversarial_directions.certify_arrays
    accepting = adversarial_directions.Tolerances.at(0.5)

    def careless(*arguments, tolerances):  # type: ignore[no-untyped-def]
        return real(*arguments, tolerances=accepting)

    monkeypatch.setattr(adversarial_directions, "certify_arrays", careless)
    row = count("turned direction", FAMILIES["turned direction"], 40, [3])
    assert row.wrong > 0 and row.complaints


def test_every_complaint_is_counted() -> None:
    row = Row("of a test")
    trials = (
        Trial(Verdict.KKT),
        Trial(Verdict.SADDLE, "no"),
        Trial(None),
        Trial(Verdict.KKT, refused="yes"),
    )
    for trial in trials:
        row.add(trial)
    assert (row.directions, row.certified, row.saddles, row.errors) == (4, 2, 1, 1)
    assert (row.wrong, row.refused) == (1, 1)
    assert row.complaints == ["no", "refused: yes"]


def test_complementarity_counts_the_degree() -> None:
    base = kkt_point(np.random.default_rng(4))
    case = Case(base.f, base.jacobian, base.theta, base.degree)
    loose = Tolerances(support=0.9, stationarity=0.9, complementarity=0.9)
    turned = Case(case.f * np.linspace(1.0, 1.01, case.f.size), case.jacobian, case.theta, 3.0)
    product = turned.jacobian @ turned.theta
    fitted = Case(
        turned.f, turned.jacobian * (3.0 * turned.f / product)[:, None], turned.theta, 3.0
    )
    found = adversarial_directions.certify_arrays(
        fitted.f, fitted.jacobian, fitted.theta, 3.0, tolerances=loose
    )
    assert found.complementarity > 1e-6
    assert found.complementarity == pytest.approx(measures(fitted, found.multipliers)[1], rel=1e-9)


def test_carried_multipliers_are_those_of_the_exponential_loss() -> None:
    theta = np.array([2.0, 1.0])
    Z = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.5]])
    functions = lm.HardMargin(lm.Linear(), lm.Dataset(Z, [1, 1, 1], one_class=True)).functions
    found = carried_multipliers(functions, theta)
    weights = np.exp(-(Z @ theta))
    gradient = weights @ Z
    scale = np.linalg.norm(theta) / np.linalg.norm(gradient)
    np.testing.assert_allclose(found.multipliers, scale * weights, rtol=1e-12)
    cosine = gradient @ theta / (np.linalg.norm(gradient) * np.linalg.norm(theta))
    assert found.residual == pytest.approx(np.sqrt(2.0 * (1.0 - cosine)), rel=1e-9)


@pytest.mark.parametrize(
    ("theta", "false"), [([0.0, 1.0, 0.0, 1.0], False), ([1.0, 0, 1, 0], True)]
)
def test_the_oracle_without_newton_sees_a_margin_that_rises(
    theta: list[float], false: bool
) -> None:
    # f = u_1 v_1 + 2 u_2 v_2: largest at (0, 1; 0, 1)/√2, a saddle at (1, 0; 1, 0)/√2.
    Z = np.array([[1.0, 2.0]])
    problem = lm.HardMargin(lm.DiagonalNetwork(2), lm.Dataset(Z, [1], one_class=True))
    terms = [[adversarial_networks._diagonal_terms(z, 2) for z in Z]]
    case = adversarial_networks.Case(problem, 2, terms, adversarial_networks.always)
    assert bool(adversarial_networks._rises_beside(case, np.array(theta))) is false
