"""Which levels of Definition 5 are proven: those within the tolerance of the optimum's."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import math
from typing import Any

import numpy as np
import pytest

import lexmargin as lm
from adversarial_levels import (
    DIGITS,
    curved,
    dual_optimum,
    exact_optimum,
    judged,
    margins,
    rough_weights,
)
from lexmargin.errors import ReceiptError
from lexmargin.judge import Certificate, Verdict
from lexmargin.judge.levels.level_chain import checked_levels, prove_levels
from lexmargin.judge.levels.level_curved import margin_errors
from lexmargin.judge.levels.level_proofs import curved_levels
from lexmargin.judge.receipts.receipt import Receipt, receipt
from lexmargin.judge.receipts.receipt_format import digest, encoded
from lexmargin.judge.receipts.verify import verify_receipt
from test_benchmarks import load

INF = math.inf


def stated(Z: Any, norm: float) -> lm.Lexicographic:
    rows = np.array(Z, dtype=float)
    return lm.Lexicographic(lm.Linear(), lm.Dataset(rows, np.ones(len(rows)), one_class=True), norm)


def word(Z: Any, theta: Any, norm: float) -> Certificate:
    return lm.certify(stated(Z, norm), np.array(theta, dtype=float))


S, K = 1e-5, 1e3
NEAR = [(1.0, S), (1.0, -S), (2.0, K)]


@pytest.mark.parametrize(
    ("theta", "wanted"),
    [
        ((math.cos(S / 3), -math.sin(S / 3)), Verdict.UNDECIDED),
        ((math.cos(S / 3), math.sin(S / 3)), Verdict.UNDECIDED),
        ((1.0, 1e-9), Verdict.UNDECIDED),
        ((1.0, 0.0), Verdict.GLOBAL),
        ((1.0, 1e-12), Verdict.GLOBAL),
    ],
)
def test_a_point_near_in_margin_is_not_near_in_its_third_level(theta: Any, wanted: Verdict) -> None:
    found = word(NEAR, theta, 2.0)
    assert found.verdict is wanted, found.reasons
    assert found.gap is not None and found.gap < 1e-7
    if wanted is Verdict.UNDECIDED:
        assert "level 3" in found.reasons[0]


@pytest.mark.parametrize("h", [1e-3, 1e-6, 1e-8, 1e-9, 1e-10, 1e-12])
def test_a_level_that_jumps_within_the_tolerance_is_not_proven(h: float) -> None:
    Z = [(1.0, h), (1.5, -0.4)]
    wrong, right = word(Z, (1, -1), INF), word(Z, (1, 1), INF)
    assert wrong.verdict in (Verdict.UNDECIDED, Verdict.NOT_STATIONARY)
    assert right.verdict in (Verdict.GLOBAL, Verdict.UNDECIDED)
    if h >= 1e-9:
        assert right.verdict is Verdict.GLOBAL
    if h == 1e-8:
        assert "level 2 is 1.9 and 1.1 at the optimum" in wrong.reasons[0]


LONG = pytest.mark.long


@pytest.mark.parametrize(
    "norm", [pytest.param(1.2, marks=LONG), 1.5, 2.0, 3.0, pytest.param(6.0, marks=LONG)]
)
def test_errors_of_margins_hold_at_sixty_digits(norm: float) -> None:
    """Near points, with multipliers that are right, turned or spread over all samples."""
    rng = np.random.default_rng(int(10 * norm))
    tried = 0
    while tried < 6:
        Z = rng.standard_normal((4, 3)) + 1.5
        exact = dual_optimum(Z, norm, rough_weights(Z, norm))
        if exact is None:
            continue
        best = np.array([float(v) for v in exact[0]])
        weights = rough_weights(Z, norm)
        for size in (0.0, 1e-12, 1e-9, 1e-6, 1e-3):
            theta = exact[1] + size * rng.standard_normal(3)
            given = np.array([float(v) for v in margins(Z, theta, norm)])
            for used in (weights, weights + size, weights * rng.uniform(0.9, 1.1, 4)):
                proof = curved_levels(Z, theta, norm, 4, 1e-7, used)
                errors = margin_errors(Z, theta, norm, used)
                actual = np.abs(given - best)
                assert np.max(actual) <= np.max(errors) * (1 + 1e-9) + 1e-15
                assert proof.proven <= max(
                    1, int(np.argmax(np.append(actual > 1.01e-7 * best[0], True)))
                )
        # The optimum itself is bounded as well as its multipliers are, not by a square root.
        assert np.max(margin_errors(Z, exact[1], norm, weights)) < 1e-4
        tried += 1


def test_multipliers_bound_margins_linearly_in_the_gap() -> None:
    """A rotation by φ: gap and error fall with φ, where the cap alone would give √φ."""
    Z = np.array([[1.0, 0.5], [1.0, -0.5], [2.0, 30.0]])
    for angle in (1e-4, 1e-6, 1e-8, 1e-10):
        theta = np.array([math.cos(angle), math.sin(angle)])
        errors = margin_errors(Z, theta, 2.0, np.array([0.5, 0.5, 0.0]))
        assert 30.0 * angle * 0.99 <= errors[2] <= 30.0 * angle * 5.0


@pytest.mark.parametrize("multipliers", [(0, 0, 0), (1, -1, 1), (np.nan, 1, 1), (0, 0, 1)], ids=str)
def test_useless_multipliers_bound_little(multipliers: Any) -> None:
    errors = margin_errors(np.array(NEAR), np.array([1.0, 0.0]), 2.0, np.array(multipliers, float))
    assert np.all(errors[:2] > 1e-3)


def test_a_tied_sample_without_weight_is_counted() -> None:
    """Row 2 is tied at the optimum and carries no weight: its own copy may carry it there."""
    Z = np.array([[1.0, 0.5], [1.0, -0.5], [1.0, 0.25], [1.0, 0.25], [2.0, 10.0]])
    found = word(Z, (1.0, 0.0), 2.0)
    assert found.verdict is Verdict.GLOBAL, found.reasons
    assert word(Z, (1.0, 1e-7), 2.0).verdict is not Verdict.GLOBAL


@pytest.mark.parametrize("norm", [1.0, INF])
@pytest.mark.parametrize("seed", range(4))
def test_a_noisy_answer_is_compared_with_a_point_that_has_its_levels(
    norm: float, seed: int
) -> None:
    """Solvers leave 1e-9: the chain is one of a point near by, and the distance is what is said."""
    rng = np.random.default_rng(seed)
    Z = rng.integers(1, 5, (6, 3)).astype(float)
    Z[:2] = Z[0]
    best, exact = exact_optimum(Z, norm)
    theta = np.array([float(x) for x in exact])
    for size, proven in ((0.0, True), (1e-10, True), (1e-4, False)):
        near = theta * (1.0 + size * rng.uniform(-1.0, 1.0, 3))
        near = near / np.linalg.norm(near, norm)
        proof, chain = prove_levels(Z, near, norm, 6, 1e-7)
        away = np.max(np.abs(np.sort(Z @ near) - [float(v) for v in best])) / float(best[0])
        assert (proof.proven == 6) == (proven or away <= 1e-7), (size, proof)
        again = checked_levels(Z, near, norm, 6, 1e-7, chain)
        assert (again.proven, again.gap) == (proof.proven, proof.gap)
        if proof.proven == 6:
            assert proof.gap >= away * (1 - 1e-6) - 1e-15


def forged(content: dict[str, Any], theta: np.ndarray, levels: np.ndarray) -> dict[str, Any]:
    changed = copy.deepcopy(content)
    changed["theta"] = encoded(theta)
    changed["theta_sha256"] = hashlib.sha256(theta.tobytes()).hexdigest()
    changed["claims"]["levels"] = levels.tolist()
    del changed["digest"]
    changed["digest"] = digest(changed)
    return changed


@pytest.mark.parametrize(
    ("Z", "right", "near", "norm"),
    [
        (NEAR, (1.0, 0.0), (math.cos(S / 3), -math.sin(S / 3)), 2.0),
        ([(1.0, 1e-8), (1.5, -0.4)], (1.0, 1.0), (1.0, -1.0), INF),
    ],
    ids=["l2", "linf"],
)
def test_a_receipt_of_a_near_point_is_not_believed(
    Z: Any, right: Any, near: Any, norm: float
) -> None:
    problem, theta = stated(Z, norm), np.array(right)
    found = receipt(problem, theta, lm.certify(problem, theta))
    assert verify_receipt(Receipt.from_bytes(found.to_bytes())).verdict is Verdict.GLOBAL
    content = dict(found.content)
    stored = np.frombuffer(base64.b64decode(content["theta"]), dtype="<f8")
    assert np.array_equal(stored, theta)
    other = np.array(near)
    with pytest.raises(ReceiptError):
        changed = forged(content, other, np.sort(np.array(Z) @ other))
        verify_receipt(Receipt.from_bytes(json.dumps(changed).encode()))


def test_families_have_an_oracle_that_finds_wrong_levels() -> None:
    """The oracle's own margins, at 60 digits, tell the near point from the optimum."""
    Z = np.array(NEAR)
    found = dual_optimum(Z, 2.0, np.array([0.5, 0.5, 0.0]))
    assert found is not None and DIGITS == 60
    assert [float(v) for v in found[0]] == pytest.approx([1.0, 1.0, 2.0])
    at = margins(Z, np.array([math.cos(S / 3), -math.sin(S / 3)]), 2.0)
    assert float(at[2]) == pytest.approx(1.99667, abs=1e-5)
    assert callable(curved(2.0))


def test_multipliers_that_leave_doubles_name_no_exact_support() -> None:
    # Earlier proofs divide by a multiplier that is 0: what is left of the guess is no number.
    Z = np.array([[-3.0, 0.0, 3.0], [0.0, -2.0, 2.9999999995515503],
                  [-1.0000000010574974, -1.0, 1.0], [-3.0, -1.0, 3.0]])  # fmt: skip
    best, _ = exact_optimum(Z, 1.0)
    found = judged(Z, np.array([-0.6666666663818395, 0.0, 0.33333333361816053]), 1.0, best)
    assert found.wrong == "" and found.verdict is Verdict.GLOBAL


@pytest.mark.parametrize(("seed", "size", "norm"), [(108, 600, 1.0), (114, 1500, INF)])
def test_claims_prove_no_less_than_what_is_sought(seed: int, size: int, norm: float) -> None:
    """Multipliers of a solver hold for their level, and leave less room for the next."""
    data = load("lexicographic")
    made = data.tree if norm == 1.0 else data.blocks
    Z = made(size, np.random.default_rng(seed), bool((seed // 8) % 2))
    problem = stated(Z, norm)
    solution = lm.solve(problem, "face")
    assert solution.certificate.verdict is Verdict.GLOBAL
    assert lm.certify(problem, solution.theta).verdict is Verdict.GLOBAL
