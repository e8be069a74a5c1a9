"""One program, one word: four statements of `min ‖w‖² s.t. f_n(w) >= 1` at the same point.

With one homogeneous part, the hard margin, the margin path at ρ = 1 and γ = 1, the scaled margin at
γ = 1 and the W-set are the same program. Rows that still depend on the statement are strict
expected failures: the day their words agree, the row fails until it is moved to the plain ones.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pytest

from lexmargin.formulations import Formulation, HardMargin, MarginPath, ScaledMargin, WSet
from lexmargin.judge import Verdict, certify
from lexmargin.ops.base import FloatArray
from lexmargin.shelf.build import build, stored_theta
from lexmargin.shelf.library import Library

LIBRARY: Final = Library()
ANSWER, SADDLE = "answer", "saddle"

AGREE: Final = (
    ("flows/flow-one-sample", ANSWER),
    ("flows/flow-two-samples", ANSWER),
    ("linear/licq-fails-l2", ANSWER),
    ("linear/norms-two-points-l2", ANSWER),
    ("linear/two-diagonal-pairs-l2", ANSWER),
    ("networks/convolution-1", ANSWER),
    ("networks/diagonal-1", ANSWER),
    ("networks/fully-connected-1", ANSWER),
    ("sums/bias-regularised", ANSWER),
)
DIFFER: Final = {
    ("lies/start-at-the-saddle", ANSWER): "GLOBAL, GLOBAL, STRICT_LOCAL, KKT",
    ("networks/convolution-2", ANSWER): "GLOBAL, GLOBAL, STRICT_LOCAL, KKT",
    ("networks/convolution-3", ANSWER): "GLOBAL, GLOBAL, STRICT_LOCAL, KKT",
    ("networks/diagonal-2", ANSWER): "GLOBAL, GLOBAL, STRICT_LOCAL, KKT",
    ("networks/diagonal-3", ANSWER): "GLOBAL, GLOBAL, STRICT_LOCAL, KKT",
    ("networks/fully-connected-2", ANSWER): "GLOBAL, GLOBAL, STRICT_LOCAL, KKT",
    ("networks/fully-connected-3", ANSWER): "GLOBAL, GLOBAL, STRICT_LOCAL, KKT",
    ("networks/saddle-is-kkt", ANSWER): "GLOBAL, GLOBAL, STRICT_LOCAL, KKT",
    ("relu/dead-neuron", ANSWER): "GLOBAL, GLOBAL, STRICT_LOCAL, KKT",
    ("relu/symmetric-leaky-0", ANSWER): "GLOBAL, GLOBAL, STRICT_LOCAL, KKT",
    ("relu/symmetric-leaky-0-1", ANSWER): "GLOBAL, GLOBAL, STRICT_LOCAL, KKT",
    ("relu/symmetric-leaky-0-5", ANSWER): "GLOBAL, GLOBAL, STRICT_LOCAL, KKT",
    ("relu/two-samples-angle-119", ANSWER): "GLOBAL, GLOBAL, UNDECIDED, UNDECIDED",
    ("relu/two-samples-angle-121", ANSWER): "GLOBAL, GLOBAL, STRICT_LOCAL, KKT",
    ("relu/xor", ANSWER): "GLOBAL, GLOBAL, UNDECIDED, UNDECIDED",
    ("relu/xor-leaky-0-1", ANSWER): "GLOBAL, GLOBAL, UNDECIDED, UNDECIDED",
    ("relu/xor-leaky-0-5", ANSWER): "GLOBAL, GLOBAL, UNDECIDED, UNDECIDED",
    ("networks/saddle-is-kkt", SADDLE): "SADDLE, SADDLE, SADDLE, KKT",
    ("relu/dead-neuron", SADDLE): "SADDLE, SADDLE, UNDECIDED, UNDECIDED",
    ("relu/two-samples-angle-121", SADDLE): "SADDLE, SADDLE, UNDECIDED, UNDECIDED",
}
"""Today's words of the hard margin, the margin path, the scaled margin and the W-set."""

ROWS: Final = [
    *(pytest.param(*row) for row in AGREE),
    *(
        pytest.param(*row, marks=pytest.mark.xfail(strict=True, raises=AssertionError, reason=why))
        for row, why in DIFFER.items()
    ),
]


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
    words = [certify(statement, w).verdict for statement in statements]
    assert len(set(words)) == 1, ", ".join(words)


def test_the_table_holds_every_euclidean_hard_margin_with_a_stored_answer() -> None:
    known = set()
    for name, path in LIBRARY.problem_paths().items():
        found = LIBRARY.problem(path)
        answer = found.answer
        if found.formulation.value != "hard-margin" or answer is None:
            continue
        stored = any((answer.theta, answer.thetas, answer.direction, answer.directions))
        if stored and isinstance(problem := build(found), HardMargin) and problem.norm_p == 2.0:
            known.add(name)
    assert {name for name, which in (*AGREE, *DIFFER) if which == ANSWER} == known
    assert len(known) == 26 and len(AGREE) + len(DIFFER) == 29
