"""The entropic solver outside the domain of a log: an answer without a claim, no raw error."""

from __future__ import annotations

import pytest

import lexmargin as lm
from lexmargin.solution import Claim, Ran


@pytest.mark.parametrize("power", [1.5, 2.0, 3.0])
def test_a_start_outside_the_domain_of_a_log_claims_nothing(power: float) -> None:
    """The start has samples with e³ θ·z < 1, where log^q is undefined or no margin at all."""
    data = lm.load_dataset("wine", positive=[0], standardize=True)
    problem = lm.ConstrainedPath(lm.Log(power, shift=3.0), data, rho=1.0)
    solution = lm.solve(problem, solver="newton")
    assert (solution.ran, solution.claim) == (Ran.NUMERICAL, Claim.NOTHING)
    assert solution.certificate is not None and not solution.certificate.certified
