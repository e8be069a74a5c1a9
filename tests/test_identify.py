"""Which norm an optimizer maximised, on problems whose max margins scipy's LPs and QPs know."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.optimize

import lexmargin as lm
from lexmargin.errors import DegreeError, NotSeparableError, ParameterError
from lexmargin.optimizers import (
    Adam,
    GradientDescent,
    LossNormalizedStep,
    MirrorDescent,
    NormalizedStep,
    Optimizer,
    PolyakStep,
    SteepestDescent,
)

_RANDOM = np.random.default_rng(1).normal(size=(12, 4))
ROWS = np.round(_RANDOM * np.sign(_RANDOM @ [1.0, 2.0, -1.0, 0.5])[:, None], 2)
DATA = lm.Dataset(ROWS, np.ones(12), one_class=True)
MIXED = lm.Sum([lm.Linear(), lm.DiagonalNetwork(2)])
RUNS: dict[str, tuple[Optimizer, float]] = {
    "gradient descent": (GradientDescent(PolyakStep(0.5)), 2.0),
    "stochastic": (GradientDescent(LossNormalizedStep(0.3), batch=4), 2.0),
    "coordinate descent": (SteepestDescent(1.0, PolyakStep(0.1)), 1.0),
    "sign descent": (SteepestDescent(math.inf, PolyakStep(0.05)), math.inf),
    "Adam": (Adam(NormalizedStep(0.1), beta2=0.95), math.inf),
    "mirror descent": (MirrorDescent(1.5, LossNormalizedStep(0.1)), 1.5),
}


def max_margin(p: float) -> np.ndarray:
    """Return the unit direction of least ‖w‖_p with ``Zw >= 1``, by SciPy."""
    n, d = ROWS.shape
    if p == 1.0 or math.isinf(p):
        # w = u - v; the norm is Σ(u + v), or t above every entry.
        top = [1.0] * (2 * d) + [0.0] if p == 1.0 else [0.0] * (2 * d) + [1.0]
        above = np.hstack([np.eye(d), np.eye(d), -np.ones((d, 1))]) * float(math.isinf(p))
        rows = np.vstack([np.hstack([-ROWS, ROWS, np.zeros((n, 1))]), above])
        right = np.concatenate([-np.ones(n), np.zeros(d)])
        found = scipy.optimize.linprog(top, rows, right, bounds=(0.0, None)).x
        w = found[:d] - found[d : 2 * d]
    else:
        found = scipy.optimize.minimize(
            lambda x: np.sum(np.abs(x) ** p) ** (2.0 / p),
            np.linalg.pinv(ROWS) @ np.ones(n) + [1.0, 2.0, -1.0, 0.5],
            constraints={"type": "ineq", "fun": lambda x: ROWS @ x - 1.0},
            method="SLSQP", options={"ftol": 1e-14, "maxiter": 1000},
        )  # fmt: skip
        w = found.x
    return np.asarray(w / np.linalg.norm(w))


@pytest.mark.parametrize("name", RUNS)
def test_each_optimizer_has_its_norm(name: str) -> None:
    optimizer, norm = RUNS[name]
    path = lm.descend(lm.Linear(), DATA, optimizer=optimizer, steps=20_000, seed=1, polish=False)
    found = lm.identify(path, lm.Linear(), DATA)
    assert found.norm is not None, found.reason
    named = {found.norm, *found.coincide}
    assert norm in named, [(fit.norm, fit.moved) for fit in found.fits]
    # SciPy's limits say which norms the data do not tell apart, and how far the direction is.
    limits = {fit.norm: max_margin(fit.norm) for fit in found.fits}
    assert named == {p for p, w in limits.items() if np.linalg.norm(w - limits[norm]) < 1e-5}
    for fit in found.fits:
        apart = float(np.linalg.norm(path.direction - limits[fit.norm]))
        assert fit.moved == pytest.approx(apart, abs=1e-5)
    assert next(iter(found.to_frame()["norm"])) in str(found)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, math.inf])
def test_a_limit_is_its_own(p: float) -> None:
    limit = lm.solve(lm.HardMargin(lm.Linear(), DATA, p)).theta
    found = lm.identify(limit, lm.Linear(), DATA, norms=(1.0, 2.0, 3.0, "inf"))
    assert found.norm == p
    assert found.coincide == ()
    assert [fit.norm for fit in found.fits if fit.verdict is lm.Verdict.GLOBAL] == [p]


def test_what_lies_between_two_norms_has_none() -> None:
    two, three = max_margin(2.0), max_margin(3.0)
    found = lm.identify(two + three, lm.Linear(), DATA)
    assert found.norm is None
    assert "away" in found.reason
    beside = lm.identify(max_margin(2.4), lm.Linear(), DATA, norms=(2.3, 2.5))
    assert beside.norm is None
    assert "both near" in beside.reason


def test_norms_that_the_data_do_not_tell_apart_are_said() -> None:
    data = lm.Dataset(np.eye(3) + 1.0, np.ones(3), one_class=True)
    found = lm.identify(np.ones(3), lm.Linear(), data)
    assert {found.norm, *found.coincide} >= {1.5, 2.0, 3.0, math.inf}
    assert "which is that of" in str(found)


def test_a_network_has_its_norm() -> None:
    """Margins of u²: the limit is sparse, and stationary in ℓ1 too."""
    path = lm.descend(lm.DiagonalNetwork(2), DATA, optimizer=GradientDescent(PolyakStep(0.3)),
                      steps=20_000, seed=1, polish=False)  # fmt: skip
    found = lm.identify(path, lm.DiagonalNetwork(2), DATA, norms=(1.0, 2.0, 4.0))
    assert 2.0 in {found.norm, *found.coincide}, found.reason
    assert 4.0 not in {found.norm, *found.coincide}


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: lm.identify(-np.ones(4), lm.Linear(), DATA), NotSeparableError),
        (lambda: lm.identify(np.ones(4), lm.Linear(), DATA, norms=()), ParameterError),
        (lambda: lm.identify(np.ones(4), lm.Linear(), DATA, norms=(0.5,)), ParameterError),
        (lambda: lm.identify([1.0, 2.0, -1.0, 0.5, *8 * [0.0]], MIXED, DATA), DegreeError),
    ],
)
def test_what_cannot_be_identified_is_refused(
    call: Callable[[], object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        call()
