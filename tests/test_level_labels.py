"""What a level's label says: what was shown of it, and whether any point has its value."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.formulations.levels import Proof
from lexmargin.predictors import Polynomial


def one_class(Z: object) -> lm.Dataset:
    rows = np.asarray(Z, dtype=float)
    return lm.Dataset(rows, np.ones(len(rows)), one_class=True)


def empty_w_set(levels: int = 1) -> lm.WSet:
    """f₁ = a + pq, f₂ = b - p²: inf ‖w_1‖² = 1, approached only as p → 0 and q → ∞."""
    predictor = lm.Sum(
        [
            lm.Member(lm.Linear(), columns=(0, 1)),
            lm.Member(Polynomial(((1, 1), (2, 0))), columns=(2, 3)),
        ]
    )
    return lm.WSet(predictor, one_class([[1, 0, 1, 0], [0, 1, 0, -1]]), levels)


@pytest.mark.backend("pyomo")
@pytest.mark.parametrize("levels", [1, 2])
def test_an_infimum_that_no_point_has_is_said_to_be_approached(levels: int) -> None:
    answer = lm.solve(empty_w_set(levels))
    (level,) = answer.levels
    assert level.proof is Proof.LOCAL and not level.attained
    gammas, values = np.array(level.approached).T
    assert np.all(np.diff(values) < 0.0) and np.all(values > 1.0)
    # ‖w_1‖² - 1 = (2/γ)^{1/2} up to higher order: minimise ‖w_1‖² + ‖w_2‖²/γ along p q = 1.
    assert values[-1] - 1.0 == pytest.approx((2.0 / gammas[-1]) ** 0.5, rel=0.01)
    assert level.value == values[-1]
    assert answer.certificate is not None and not answer.certificate.certified
    assert "not attained" in answer.report()
    written = json.loads(json.dumps(answer.to_json()["levels"][0]))
    assert written["attained"] is False and len(written["approached"]) == len(values)


@pytest.mark.backend("pyomo")
def test_levels_of_the_w_set_are_dual_only_where_a_bound_stands() -> None:
    X, y = [[3.0, 0.0], [1.0, 1.0]], [1, -1]
    free = lm.Sum([lm.Linear(), lm.Bias("signed-square")])
    answer = lm.solve(lm.WSet(free, lm.Dataset(X, y), levels=2))
    assert [level.proof for level in answer.levels] == [Proof.DUAL, Proof.DUAL]
    assert answer.levels[0].value == pytest.approx(0.8) and answer.levels[0].attained
    # One sample, f = θ1 + θ2 θ3: the first part can be 0, the second is no convex problem.
    mixed = lm.Sum(
        [lm.Member(lm.Linear(), columns=(0,)), lm.Member(Polynomial(((1, 1),)), columns=(1,))]
    )
    answer = lm.solve(lm.WSet(mixed, one_class([[1, 1]]), levels=2))
    assert [level.proof for level in answer.levels] == [Proof.DUAL, Proof.LOCAL]
    assert answer.levels[0].value == 0.0 and "not attained" not in answer.report()


@pytest.mark.parametrize("norm", [1, "inf", 2])
def test_lexicographic_levels_are_dual_where_the_certificate_proves_them(norm: float | str) -> None:
    answer = lm.solve(lm.Lexicographic(lm.Linear(), one_class([(1, 1), (3, 1), (1, 2)]), norm))
    assert answer.certificate is not None
    assert answer.certificate.verdict is lm.Verdict.GLOBAL
    assert all(level.proof is Proof.DUAL for level in answer.levels)


def test_a_level_without_a_proof_of_ours_is_local() -> None:
    """Concave f_n: the certificate judges level 1 as KKT, whatever the solver's multipliers say."""
    problem = lm.Lexicographic(lm.Log(), one_class([(1, 1, 1), (2, 3, 3), (4, 5, 6)]), 1)
    answer = lm.solve(problem)
    assert answer.certificate is not None
    if answer.certificate.verdict is not lm.Verdict.GLOBAL:
        assert all(level.proof is Proof.LOCAL for level in answer.levels[1:])
