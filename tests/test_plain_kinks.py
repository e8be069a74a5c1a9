"""A kink of a margin program: only samples that may carry weight leave its word open."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

import lexmargin as lm
from lexmargin.judge import Tolerances, Verdict, certify

# Of two degrees, so that the scale of the point matters; the linear part is 0.
NETWORK = lm.Sum([lm.Network((2,), lm.ReLU()), lm.Linear()])


def at(theta: Any, X: Any, limits: Tolerances | None = None) -> tuple[lm.Certificate, Any]:
    """The certificate of θ scaled to margin 1, on the sphere of its own length, and that point."""
    data = lm.Dataset(np.array(X, float), [1] * len(X), one_class=True)
    w = np.array([*theta, 0.0, 0.0])
    w = w / np.sqrt(np.min(lm.MarginPath(NETWORK, data, 1.0).functions.values(w)))
    problem = lm.MarginPath(NETWORK, data, float(np.linalg.norm(w)))
    return certify(problem, w / problem.rho, tolerances=limits or Tolerances()), w


@pytest.mark.parametrize(
    ("X", "delta", "verdict"),
    [
        # Units (1, 0) and (0, 1), the second on its kink for the sample (a, 0).
        ([[1.0, 1.0], [5.0, 0.0]], 1e-7, Verdict.NOT_STATIONARY),
        ([[1.0, 1.0], [1.5005, 0.0]], 1e-7, Verdict.NOT_STATIONARY),
        ([[1.0, 1.0], [1.5 + 1e-9, 0.0]], 1e-7, Verdict.NOT_STATIONARY),
        ([[1.0, 1.0], [1.5, 0.0]], 1e-7, Verdict.NOT_STATIONARY),
        ([[1.0, 0.0], [5.0, 5.0]], 1e-7, Verdict.NOT_STATIONARY),
        # Within a wide δ a sample above the margin may carry weight, if it is not far above: then
        # its elements are tried, and do not serve either.
        ([[1.0, 1.0], [5.0, 0.0]], 0.5, Verdict.NOT_STATIONARY),
        ([[1.0, 1.0], [2.0, 0.0]], 0.5, Verdict.NOT_STATIONARY),
    ],
)
def test_only_kinks_of_samples_that_may_carry_weight_matter(
    X: Any, delta: float, verdict: Verdict
) -> None:
    found, _ = at([1.0, 0.0, 0.0, 1.0, 1.0, 0.5], X, Tolerances(complementarity=delta))
    assert found.verdict is verdict, found.report()
    assert found.stationarity > 0.5


def gradients(w: Any, X: Any, slope: float) -> Any:
    """∇f_n of both units, the second with that slope on its kink."""
    U, v = w[:4].reshape(2, 2), w[4:6]
    rows = []
    for x in np.array(X, float):
        z = U @ x
        on = np.where(z > 0.0, 1.0, np.where(z < 0.0, 0.0, slope))
        rows.append(np.concatenate([np.outer(v * on, x).ravel(), np.maximum(z, 0.0), x]))
    return np.array(rows)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.integers(0, 10**6))
def test_no_element_and_no_weight_within_delta_is_below_the_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, c = rng.uniform(0.2, 3.0, 3)
    X = [[a, b], [a + b + 10.0 ** rng.uniform(-6, 1), 0.0]]
    delta = 10.0 ** rng.uniform(-7, -0.5)
    found, w = at([1.0, 0.0, 0.0, 1.0, 1.0, c], X, Tolerances(complementarity=delta))
    values = np.array([np.maximum(w[:4].reshape(2, 2) @ x, 0.0) @ w[4:6] for x in np.array(X)])
    unit = w / np.linalg.norm(w)
    # δ = Σ λ_n (f_n - min f)/(target·v) with v = w/2.
    most = delta * float(unit @ w) / 2.0 / np.maximum(values - np.min(values), 1e-300)
    smallest = 1.0
    for slope in np.linspace(0.0, 1.0, 21):
        rows = gradients(w, X, slope)
        limits = (np.zeros(2), np.where(values > np.min(values), most, np.inf))
        solved = lsq_linear(rows.T, unit, limits, tol=1e-14)
        smallest = min(smallest, float(np.linalg.norm(rows.T @ solved.x - unit)))
    if found.verdict is Verdict.NOT_STATIONARY:
        assert found.stationarity_bound <= smallest + 1e-9
        assert smallest > 1e-7
    else:
        assert found.verdict is Verdict.UNDECIDED
