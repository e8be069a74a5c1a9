"""The points where a literal reading of the paper fails: each finding is computed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import final

import pytest

from lexmargin.paper import Effort, Finding, Measurement, Reading, Statement
from lexmargin.paper.statements.counterexamples.bias_literal_square import BiasLiteralSquare
from lexmargin.paper.statements.counterexamples.carried_multipliers import (
    CarriedMultipliersIdentity,
)
from lexmargin.paper.statements.counterexamples.cascade_breaks import CascadeBreaks
from lexmargin.paper.statements.counterexamples.dead_neuron import DeadNeuron
from lexmargin.paper.statements.counterexamples.definition_3_scale import DefinitionThreeScale
from lexmargin.paper.statements.counterexamples.licq_not_needed import LicqNotNeeded
from lexmargin.paper.statements.counterexamples.loss_resolution import LossResolution
from lexmargin.paper.statements.counterexamples.order_terms import OrderTerms
from lexmargin.paper.statements.counterexamples.regularization_jump import RegularizationJump
from lexmargin.paper.statements.counterexamples.separable_part import SeparablePart
from lexmargin.paper.statements.counterexamples.theorem_4_third_level import TheoremFourThirdLevel
from lexmargin.plots import save

pytestmark = pytest.mark.backend("cvxpy", "pyomo", "casadi", "cyipopt")

HOLDS, DIFFERS = Finding.HOLDS, Finding.DIFFERS


@final
@dataclass(frozen=True)
class Row:
    """A statement, the finding of its literal reading, and a changed instance that flips it."""

    stated: Statement
    literal: Finding
    changed: Statement


ROWS = (
    # A start beside the saddle's direction reaches γ*(1), and Definition 3 holds to the letter.
    Row(DefinitionThreeScale(), DIFFERS, DefinitionThreeScale(start=(1.0, 0.1, 1.0, 0.1))),
    # With the labels turned the SVM's bias is positive, which b² can represent.
    Row(BiasLiteralSquare(), DIFFERS, BiasLiteralSquare(y=(-1, 1))),
    # Third levels exchanged: the path's limit is now the lexicographic one.
    Row(
        TheoremFourThirdLevel(),
        DIFFERS,
        TheoremFourThirdLevel(coefficients=((1.0, 0.0, 1.0), (2.0, 1.0, 2.0), (10.0, 0.0, 9.0))),
    ),
    # 2/4 > 1/3 + 1/α_3 fails at α_3 = 5.
    Row(CascadeBreaks(), DIFFERS, CascadeBreaks(deepest=5)),
    # A shallow part of degree 2 beside degree 3 is dropped altogether.
    Row(OrderTerms(), DIFFERS, OrderTerms(shallow=2, deep=3)),
    # Three nats apart, plain doubles see both levels.
    Row(LossResolution(), DIFFERS, LossResolution(rho=5.0)),
    # Without the third sample the two gradients are independent.
    Row(LicqNotNeeded(), DIFFERS, LicqNotNeeded(Z=((1.0, 0.0), (0.0, 1.0)))),
    # Below 120 degrees no second neuron helps (cases: two-samples-angle).
    Row(DeadNeuron(), DIFFERS, DeadNeuron(angle=100.0)),
    # Degree 2: the path is continuous.
    Row(RegularizationJump(), DIFFERS, RegularizationJump(depth=2)),
    # Multipliers of another scale do not satisfy the identity.
    Row(CarriedMultipliersIdentity(), HOLDS, CarriedMultipliersIdentity(rescale=1.001)),
    # The max margin of S in the whole space is not orthogonal to R.
    Row(SeparablePart(), HOLDS, SeparablePart(orthogonal=False)),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.stated.id)
def test_the_finding_is_computed(row: Row, tmp_path: Path) -> None:
    measured = row.stated.measure(Effort.QUICK)
    assert all(check.certified for check in measured.checks)
    assert measured.finding() is row.literal
    if row.stated.corrected:
        assert measured.finding(Reading.CORRECTED) is HOLDS
    flipped = HOLDS if row.literal is DIFFERS else DIFFERS
    assert row.changed.measure(Effort.QUICK).finding() is flipped

    stored = Measurement.from_json(json.loads(json.dumps(measured.to_json(), allow_nan=False)))
    assert stored == measured
    first, again = (
        [path.read_bytes() for path in save(row.stated.draw(drawn), tmp_path / name, "figure")]
        for name, drawn in (("first", measured), ("again", stored))
    )
    assert first == again
