"""The statements of the paper as measurements: each finding is computed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import final

import pytest

from lexmargin.paper import Effort, Finding, Measurement, Statement
from lexmargin.paper.statements.section_3.corollary_1 import CorollaryOne
from lexmargin.paper.statements.section_3.example_1 import ExampleOne
from lexmargin.paper.statements.section_3.example_2 import ExampleTwo
from lexmargin.paper.statements.section_3.example_3 import ExampleThree
from lexmargin.paper.statements.section_3.lemma_3 import LemmaThree
from lexmargin.paper.statements.section_3.svm_with_bias import SvmWithBias
from lexmargin.paper.statements.section_3.theorem_1 import TheoremOne
from lexmargin.paper.statements.section_3.theorem_1_discard import TheoremOneDiscard
from lexmargin.paper.statements.section_4.theorem_2 import TheoremTwo
from lexmargin.paper.statements.section_4.theorem_3 import TheoremThree
from lexmargin.paper.statements.section_4.theorem_4 import TheoremFour
from lexmargin.plots import save

pytestmark = pytest.mark.backend("cvxpy", "pyomo", "casadi", "cyipopt")


@final
@dataclass(frozen=True)
class Row:
    """A statement that holds, and a broken instance of it that does not."""

    stated: Statement
    broken: Statement


ROWS = (
    # A hundred equal samples counted once: log N is too small.
    Row(LemmaThree(), LemmaThree(copies=100, distinct=True, toy_only=True)),
    # At a thousandth of the scale log N is not small beside γ*.
    Row(CorollaryOne(), CorollaryOne(reach=1e-2, toy_only=True)),
    # The margin path of other data.
    Row(ExampleOne(), ExampleOne(against=(1.0, 3.0), toy_only=True)),
    # The square of the log does near the max-margin direction (ln ρ = 100: within 0.003).
    Row(ExampleTwo(), ExampleTwo(power=2.0)),
    # ε = 0 is Example 2, where it does not.
    Row(ExampleThree(), ExampleThree(epsilons=(0.0,))),
    # ρ = 3 is not large.
    Row(TheoremOne(), TheoremOne(last=3.0, toy_only=True)),
    # A sample that only the shallowest part sees keeps it.
    Row(TheoremOneDiscard(), TheoremOneDiscard(needed=True, toy_only=True)),
    # Symmetric samples have the bias 0: the two SVMs are one.
    Row(SvmWithBias(), SvmWithBias(X=((2.0, 1.0), (-2.0, -1.0)), toy_only=True)),
    # An iterate is not its limit.
    Row(TheoremTwo(), TheoremTwo(polish=False, toy_only=True)),
    # t = 1 is not large.
    Row(TheoremThree(), TheoremThree(time=1.0, toy_only=True)),
    # The levels of another direction of the optimal face.
    Row(TheoremFour(), TheoremFour(against=(0.5, 0.5), toy_only=True)),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.stated.id)
def test_the_finding_is_computed(row: Row, tmp_path: Path) -> None:
    measured = row.stated.measure(Effort.QUICK)
    assert [check for check in measured.checks if not check.certified] == []
    assert measured.finding() is Finding.HOLDS
    assert row.broken.measure(Effort.QUICK).finding() is Finding.DIFFERS

    stored = Measurement.from_json(json.loads(json.dumps(measured.to_json(), allow_nan=False)))
    assert stored == measured
    first, again = (
        [path.read_bytes() for path in save(row.stated.draw(drawn), tmp_path / name, "figure")]
        for name, drawn in (("first", measured), ("again", stored))
    )
    assert first == again


@pytest.mark.parametrize(
    "stated",
    [ExampleTwo(), SvmWithBias(), TheoremThree(time=1e30, toy_only=True)],
    ids=lambda stated: stated.id,
)
def test_measured_again_every_number_is_the_same(stated: Statement) -> None:
    """Bit for bit, and so is the figure, which is drawn from these numbers alone."""
    assert stated.measure(Effort.QUICK) == stated.measure(Effort.QUICK)
