"""Margins of 1e12 and more: their weights `e^-f` are not in the doubles of f, and words stand."""

from __future__ import annotations

from dataclasses import replace

import mpmath
import numpy as np
import pytest

import lexmargin as lm
from lexmargin.judge import Certificate, Tolerances
from lexmargin.judge.programs.loss_programs import rounding_of_stationarity
from lexmargin.ops.base import FloatArray

NORMS = (1.0, 1.3, 2.0, 3.0, np.inf)


def separable(seed: int) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    w = rng.standard_normal(3)
    rows = rng.standard_normal((12, 3))
    labels = np.sign(rows @ w)
    return rows + 0.2 * labels[:, None] * w, labels


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
def test_a_path_of_data_times_1e12(norm: float, seed: int, loss: str) -> None:
    rows, labels = separable(seed)
    problem = lm.ConstrainedPath(
        lm.Linear(), lm.Dataset(1e12 * rows, labels), rho=1.0, norm=norm, loss=loss
    )
    found = lm.solve(problem)
    assert found.certificate is not None
    assert found.certificate.verdict is lm.Verdict.GLOBAL, found.certificate.report()
    # The margin of the path is that of the hard margin, to log N of 1e11.
    best = lm.solve(lm.HardMargin(lm.Linear(), lm.Dataset(rows, labels), norm=norm))
    assert found.margin / 1e12 == pytest.approx(best.margin, rel=1e-7)


def built(rng: np.random.Generator) -> tuple[FloatArray, FloatArray, float, float]:
    """Return rows whose path of the exponential loss goes through θ at ρ = 1, θ, p and the scale.

    With u a normal of the ball at θ, t·θ = 1, V θ = 0 and Vᵀp = 0, the margins of
    ``z_n = s(u + v_n) + (a_n - a·p) t`` are s + a_n - a·p and their weights p ∝ e^{-a}, so that
    Σ p_n z_n = s u.
    """
    d = int(rng.integers(2, 7))
    count = int(rng.integers(d, 3 * d + 2))
    norm = NORMS[rng.integers(len(NORMS))]
    scale = 10.0 ** rng.uniform(6, 13)
    theta = rng.uniform(0.1, 1.0, d) * rng.choice([-1.0, 1.0], d)
    if norm == np.inf:
        ends = rng.random(d) < 0.5
        ends[0] = True
        theta = np.where(ends, np.sign(theta), 0.8 * theta)
        normal = np.where(ends, np.sign(theta) * rng.uniform(0.2, 1.0, d), 0.0)
        normal = normal / (normal @ theta)
    else:
        if norm == 1.0:
            theta[0] = 0.0
        theta = theta / np.linalg.norm(theta, norm)
        normal = np.sign(theta) * np.abs(theta) ** (norm - 1.0)
        if norm == 1.0:
            normal[0] = 0.5
    above = rng.exponential(1.5, count)
    weights = np.exp(-above) / np.exp(-above).sum()
    along = theta / (theta @ theta)
    others = rng.standard_normal((count, d))
    others -= np.outer(others @ theta, along)
    others -= weights @ others
    rows = scale * (normal + others) + np.outer(above - weights @ above, along)
    return rows, theta, norm, scale


def judged(rows: FloatArray, theta: FloatArray, norm: float) -> Certificate:
    data = lm.Dataset(rows, np.ones(len(rows)), one_class=True)
    return lm.certify(lm.ConstrainedPath(lm.Linear(), data, rho=1.0, norm=norm), theta)


def test_a_minimiser_is_never_called_not_stationary() -> None:
    """θ in doubles is right to 1e-16, its margins to 1e-16 s: no word may rest on less."""
    rng = np.random.default_rng(7)
    for _ in range(120):
        rows, theta, norm, _ = built(rng)
        found = judged(rows, theta, norm)
        assert found.verdict is lm.Verdict.GLOBAL, (norm, found.report())
        assert found.gap is not None and found.gap <= 1e-7


def test_a_point_beside_it_is_not_called_global() -> None:
    """Its log L is larger than that of θ by more than the tolerance, in exact arithmetic."""
    rng = np.random.default_rng(8)
    for _ in range(60):
        rows, theta, norm, _ = built(rng)
        moved = theta + 1e-2 * rng.standard_normal(theta.size)
        moved = moved / np.linalg.norm(moved, norm)
        worse = least(rows, theta) - least(rows, moved)
        found = judged(rows, moved, norm)
        assert found.gap is not None
        # The bound holds: log L(θ) is at least the least value.
        assert found.gap * max(1.0, abs(found.margin)) >= worse * (1.0 - 1e-9)
        if worse > 1e-6 * abs(found.margin):
            assert found.verdict in (lm.Verdict.NOT_STATIONARY, lm.Verdict.UNDECIDED)


def least(rows: FloatArray, w: FloatArray) -> float:
    """Return -log Σ e^{-f_n(w)}."""
    with mpmath.workdps(40):
        f = [mpmath.fdot(map(mpmath.mpf, map(float, row)), map(float, w)) for row in rows]
        return float(-mpmath.log(mpmath.fsum(mpmath.exp(-v) for v in f)))


def test_a_path_point_is_judged_by_the_estimate_of_the_judge() -> None:
    """Its tolerance is twice what the judge says that rounding makes; a gap keeps its own."""
    rows, labels = separable(0)
    problem = lm.ConstrainedPath(lm.Linear(), lm.Dataset(rows, labels))
    path = lm.trace(problem, [1.0, 1e6, 1e11])
    default = Tolerances()
    assert path.certified
    for point in path.points:
        limits = point.certificate.tolerances
        floor = rounding_of_stationarity(
            replace(problem, rho=point.rho).kkt(point.theta)[0], default
        )
        assert limits.stationarity == max(default.stationarity, 2.0 * floor)
        assert limits == replace(default, stationarity=limits.stationarity)
    assert path.points[-1].certificate.tolerances.stationarity > default.stationarity
