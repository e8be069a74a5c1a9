"""One program, one word: four statements of `min ‖w‖² s.t. f_n(w) >= 1` at the same point.

With one homogeneous part, the hard margin, the margin path at ρ = 1 and γ = 1, the scaled margin at
γ = 1 and the W-set are the same program, and so they get the same word and the same reasons.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest

from lexmargin.data.dataset import Dataset
from lexmargin.formulations import Formulation, HardMargin, MarginPath, ScaledMargin, WSet
from lexmargin.judge import Verdict, certify
from lexmargin.judge.prove import prove
from lexmargin.judge.receipts.receipt import Receipt, receipt
from lexmargin.judge.receipts.verify import verify_receipt
from lexmargin.ops.base import FloatArray
from lexmargin.predictors import Identity, Network
from lexmargin.shelf.build import build, stored_theta
from lexmargin.shelf.library import Library

LIBRARY: Final = Library()
ANSWER, SADDLE = "answer", "saddle"

ROWS: Final = (
    ("flows/flow-one-sample", ANSWER),
    ("flows/flow-two-samples", ANSWER),
    ("lies/start-at-the-saddle", ANSWER),
    ("linear/licq-fails-l2", ANSWER),
    ("linear/norms-two-points-l2", ANSWER),
    ("linear/two-diagonal-pairs-l2", ANSWER),
    ("networks/convolution-1", ANSWER),
    ("networks/convolution-2", ANSWER),
    ("networks/convolution-3", ANSWER),
    ("networks/diagonal-1", ANSWER),
    ("networks/diagonal-2", ANSWER),
    ("networks/diagonal-3", ANSWER),
    ("networks/fully-connected-1", ANSWER),
    ("networks/fully-connected-2", ANSWER),
    ("networks/fully-connected-3", ANSWER),
    ("networks/saddle-is-kkt", ANSWER),
    ("relu/dead-neuron", ANSWER),
    ("relu/symmetric-leaky-0", ANSWER),
    ("relu/symmetric-leaky-0-1", ANSWER),
    ("relu/symmetric-leaky-0-5", ANSWER),
    ("relu/two-samples-angle-119", ANSWER),
    ("relu/two-samples-angle-121", ANSWER),
    ("relu/xor", ANSWER),
    ("relu/xor-leaky-0-1", ANSWER),
    ("relu/xor-leaky-0-5", ANSWER),
    ("sums/bias-regularised", ANSWER),
    ("networks/saddle-is-kkt", SADDLE),
    ("relu/dead-neuron", SADDLE),
    ("relu/two-samples-angle-121", SADDLE),
)


def _at_level_one(name: str, which: str) -> tuple[Formulation, FloatArray]:
    """Return the stored point with its smallest margin brought to 1."""
    found = LIBRARY.problem(name)
    problem = build(found)
    theta = stored_theta(found, problem)
    if which == SADDLE:
        assert found.answer is not None
        (saddle,) = [p for p in found.answer.points if p.verdict is Verdict.SADDLE]
        theta = np.array([number.value for number in saddle.theta])
    degree = problem.functions.homogeneity.degree
    assert degree is not None
    return problem, theta * float(problem.functions.values(theta).min()) ** (-1.0 / degree)


@pytest.mark.parametrize(("name", "which"), ROWS)
def test_one_program_gets_one_word(name: str, which: str) -> None:
    problem, w = _at_level_one(name, which)
    predictor, data = problem.predictor, problem.data
    statements = (
        problem,
        MarginPath(predictor, data, rho=1.0, gamma=1.0),
        ScaledMargin(predictor, data, gamma=1.0),
        WSet(predictor, data),
    )
    found = [certify(statement, w) for statement in statements]
    words = [one.verdict for one in found]
    assert len(set(words)) == 1, ", ".join(words)
    assert len({one.reasons for one in found}) == 1
    # The two that ask for a length say so where it is missed, whatever the direction.
    for statement in statements[2:]:
        short = certify(statement, 0.9 * w)
        assert short.verdict is Verdict.NOT_STATIONARY and short.feasibility > 0.09


@pytest.mark.parametrize(("name", "which"), [row for row in ROWS if row[1] == ANSWER])
def test_one_program_gets_one_proof_and_one_receipt(name: str, which: str) -> None:
    problem, w = _at_level_one(name, which)
    predictor, data = problem.predictor, problem.data
    statements = (
        problem,
        MarginPath(predictor, data, rho=1.0, gamma=1.0),
        ScaledMargin(predictor, data, gamma=1.0),
        WSet(predictor, data),
    )
    assert len({prove(statement, w).proved for statement in statements}) == 1
    words = set()
    for statement in statements:
        written = receipt(statement, w, certify(statement, w)).to_bytes()
        words.add(verify_receipt(Receipt.from_bytes(written)).verdict)
    assert len(words) == 1
    # What is proved of a direction is not proved of a point that misses the level.
    assert not any(prove(statement, 0.9 * w).proved for statement in statements[2:])


def test_the_table_holds_every_euclidean_hard_margin_with_a_stored_answer() -> None:
    known = set()
    for name, path in LIBRARY.problem_paths().items():
        found = LIBRARY.problem(path)
        answer = found.answer
        if found.formulation is not HardMargin or answer is None:
            continue
        stored = any((answer.theta, answer.thetas, answer.direction, answer.directions))
        if stored and isinstance(problem := build(found), HardMargin) and problem.norm_p == 2.0:
            known.add(name)
    assert {name for name, which in ROWS if which == ANSWER} == known
    assert len(known) == 26 and len(ROWS) == 29


def test_more_parameters_than_a_dense_test_takes_get_one_word_too() -> None:
    data = Dataset(np.eye(2), [1, 1], one_class=True)
    problem = HardMargin(Network((110,), Identity()), data)
    rng = np.random.default_rng(0)
    outer = rng.standard_normal(110)
    outer /= np.linalg.norm(outer)
    theta = np.concatenate([np.outer(outer, [1.0, 1.0]).ravel(), np.sqrt(2.0) * outer])
    degree = problem.functions.homogeneity.degree
    assert theta.size == 330 and degree == 2.0
    w = theta * float(problem.functions.values(theta).min()) ** (-1.0 / degree)
    statements = (
        problem,
        MarginPath(problem.predictor, data, rho=1.0, gamma=1.0),
        ScaledMargin(problem.predictor, data, gamma=1.0),
        WSet(problem.predictor, data),
    )
    assert {certify(statement, w).verdict for statement in statements} == {Verdict.GLOBAL}
