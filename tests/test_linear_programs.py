"""Linear programs of polyhedral balls: what is claimed is measured, what is priced out enters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.optimize
from scipy import sparse

import lexmargin as lm
from lexmargin.backends.levels.face import face_levels
from lexmargin.backends.linear.constraint_generation import hard_margin_linear
from lexmargin.backends.linear.linear_answer import LinearStatus
from lexmargin.backends.losses.multiscale_newton import graded_basis
from lexmargin.judge import Tolerances, Verdict
from lexmargin.judge.given import Evidence, measured_of
from lexmargin.judge.levels import level_duals
from lexmargin.judge.levels.level_chain import prove_levels
from lexmargin.judge.levels.level_duals import claimed_dual
from lexmargin.judge.levels.level_face import LevelFace
from lexmargin.judge.multipliers import polyhedral_set
from lexmargin.judge.multipliers.polyhedral_set import polyhedral_multiplier_set
from lexmargin.judge.point import unit_point

INF = np.inf


def best_margin(Z: Any, y: Any) -> float:
    """Return the ℓ1 margin by SciPy, with a free bias where y is given."""
    count, size = Z.shape
    free = np.zeros((count, 1)) if y is None else y[:, None]
    answer = scipy.optimize.linprog(
        np.append(np.zeros(2 * size + 1), -1.0),
        A_ub=np.vstack([
            np.hstack([-Z, Z, -free, np.ones((count, 1))]),
            np.append(np.ones(2 * size), [0.0, 0.0])[None, :],
        ]),
        b_ub=np.append(np.zeros(count), 1.0),
        bounds=[(0, None)] * (2 * size) + [(None, None)] * 2,
    )  # fmt: skip
    return float(answer.x[-1])


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("stored", [False, True])
def test_columns_that_are_priced_out_enter(bias: bool, stored: bool) -> None:
    rng = np.random.default_rng(5)
    X, y = rng.standard_normal((14, 460)), np.where(np.arange(14) < 7, 1.0, -1.0)
    # The best columns of even weights are not those of the best weights.
    X[0] *= 20.0
    given = sparse.csr_array(X) if stored else X
    found = hard_margin_linear(given, y, bias=bias, norm=1.0)
    wanted = best_margin(y[:, None] * X, y if bias else None)
    assert found.status is LinearStatus.OPTIMAL and abs(found.relative_gap) <= 1e-10
    assert found.margin == pytest.approx(wanted, rel=1e-9)


def test_wide_rows_that_nothing_separates() -> None:
    rng = np.random.default_rng(6)
    X = rng.standard_normal((10, 460))
    X[9] = -X[:9].sum(axis=0)
    found = hard_margin_linear(X, np.ones(10), norm=1.0)
    assert found.status is LinearStatus.NOT_SEPARABLE
    assert np.abs(found.multipliers @ X).max() <= 1e-9


@pytest.mark.parametrize("norm", [1.0, INF])
def test_margins_below_the_rounding_of_their_rows_are_measured(norm: float) -> None:
    # Two samples 2e-7 apart on both sides of the plane: λ is 1e6 times what is left of Σ λ z.
    rng = np.random.default_rng(0)
    X, along = rng.standard_normal((300, 12)), rng.standard_normal(12)
    y = np.sign(X @ along)
    along /= np.linalg.norm(along)
    X[:2] = (X[0] - (X[0] @ along) * along) + np.outer([1e-7, -1e-7], along)
    y[:2] = 1.0, -1.0
    answer = lm.solve(lm.HardMargin(lm.Linear(), lm.Dataset(X, y), norm=norm))
    found = answer.certificate
    assert found is not None and found.verdict is Verdict.GLOBAL and answer.margin < 1e-6
    # The same λ, one of them off by a millionth.
    limits, rows = Tolerances(), y[:, None] * X
    point = unit_point(rows @ answer.direction, rows, answer.direction, 1.0, norm)

    def measured(weights: Any) -> Any:
        given = Evidence(support=found.support, multipliers=weights, tau=found.tau)
        return measured_of(point, point.jacobian, given, limits, 0.0)

    right = measured(found.multipliers)
    assert right.met(limits) and right.floor <= limits.stationarity
    wrong = found.multipliers.copy()
    wrong[0] *= 1.0 + 1e-5
    assert not measured(wrong).met(limits)


def test_multipliers_that_the_equations_determine_cost_no_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("a program was solved")

    monkeypatch.setattr(polyhedral_set, "linear_program", never)
    Z = np.array([[3.0, 1.0, 0.5], [1.0, 3.0, -0.5]])
    # θ = (½, ½, 0): g = (1, 1, ·) has λ = (¼, ¼), and |g_3| = 0.
    found = polyhedral_multiplier_set(Z, np.array([0.5, 0.5, 0.0]), 1.0, np.full(2, 0.25), 1e-10)
    assert found.dimension == 0 and found.low is not None
    assert found.low.tolist() == [0.25, 0.25]
    with pytest.raises(AssertionError, match="a program"):
        twice = np.repeat(Z, 2, axis=0)
        polyhedral_multiplier_set(twice, np.array([0.5, 0.5, 0.0]), 1.0, np.full(4, 0.125), 1e-10)


def chained(seed: int) -> tuple[Any, Any, list[Any]]:
    """Return rows of several levels, the best point, and the duals that a solver has of them."""
    rng = np.random.default_rng(seed)
    Z = np.zeros((24, 6))
    for k in range(6):
        Z[4 * k : 4 * k + 4, k] = rng.choice([-1.0, 1.0]) * (1.0 + k) * np.array([1, 1, 2, 3])
    answer = face_levels(Z, INF)
    return Z, answer.theta, [level.multipliers for level in answer.levels]


def test_levels_that_are_claimed_need_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    Z, theta, duals = chained(1)
    assert len(duals) > 3
    assert prove_levels(Z, theta, INF, 24, 1e-7)[0].proven == 24

    def never(*_: Any) -> Any:
        raise AssertionError("a program was solved")

    monkeypatch.setattr(level_duals, "level_dual", never)
    shown, chain = prove_levels(Z, theta, INF, 24, 1e-7, duals)
    assert shown.proven == 24 and len(chain) == len(duals)
    with pytest.raises(AssertionError, match="a program"):
        prove_levels(Z, theta, INF, 24, 1e-7, duals[:2])


@pytest.mark.parametrize("wrong", ["even", "reversed", "none"])
def test_wrong_claims_of_levels_change_no_word(wrong: str) -> None:
    Z, theta, duals = chained(2)
    claims = {
        "even": [np.full(24, 1.0 / 24.0)] * len(duals),
        "reversed": duals[::-1],
        "none": [np.zeros(24)] * len(duals),
    }[wrong]
    assert prove_levels(Z, theta, INF, 24, 1e-7, claims)[0].proven == 24
    # A direction that is best at level 1 alone stays so.
    worse = theta.copy()
    worse[5] *= 0.5
    assert prove_levels(Z, worse, INF, 24, 1e-7, duals)[0].proven < 24
    free = np.ones(24, dtype=bool)
    assert claimed_dual(LevelFace(Z, theta, INF), free, np.full(24, 1.0)) is None
    assert claimed_dual(LevelFace(Z, theta, INF), free, duals[0]) is not None


@pytest.mark.parametrize("seed", range(6))
def test_levels_of_a_loss_are_told_apart_from_the_heaviest_row_down(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.integers(-2, 3, size=(90, 5)).astype(np.float64)
    rows[:70] = rows[rng.integers(70, 90, 70)]
    if seed % 2:
        rows[:, 4] = rows[:, 0] - rows[:, 1]
    face = rng.standard_normal((5, 4)) if seed % 3 else np.eye(5)
    weights = -(10.0 ** rng.uniform(0.0, 4.0, 90))
    with np.errstate(divide="ignore"):
        sizes = np.log(np.linalg.norm(rows, axis=1))
    found, moved = graded_basis(rows, face, weights, sizes), rows @ face
    order, pivots = np.argsort(-weights, kind="stable"), []
    for n in order:
        if np.linalg.matrix_rank(moved[[*pivots, n]], tol=1e-9) > len(pivots):
            pivots.append(int(n))
    assert found.pivots.tolist() == pivots
    for j in range(len(pivots)):
        # The first j directions span the first j rows; heavier rows have no part in later ones.
        spanned = found.directions[:, : j + 1]
        rest = moved[pivots[: j + 1]].T - spanned @ (spanned.T @ moved[pivots[: j + 1]].T)
        assert np.abs(rest).max() <= 1e-9
        heavier = weights[found.kept] > weights[pivots[j]]
        assert not np.any(found.rows[heavier][:, j])
    shares = weights[:, None] + np.log(np.maximum(np.abs(moved @ found.directions), 1e-300))
    gone = np.setdiff1d(np.arange(90), found.kept)
    assert np.all(np.exp(shares[gone] - found.levels) == 0.0)
    assert np.allclose(np.max(np.abs(found.pulls), axis=0), 1.0)
