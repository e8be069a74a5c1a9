"""A solver's global bound is a claim: shown beside our verdict, never part of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.backends import BackendName, backend
from lexmargin.cli.main import main
from lexmargin.judge import Verdict
from lexmargin.solution import Solution

# (problem, closed form of the objective, can we prove it global ourselves?)
CASES = [
    ("sums/depth-2-plus-3-path-6-7", 3.35, False),
    ("sums/depth-2-plus-3-path-6-8", (6.8 / 3) ** 1.5, False),
    ("sums/depth-1-plus-2-path-2", 2.5, False),
    ("networks/saddle-is-kkt", 0.5, True),
    ("lexicographic/no-blocked-index", None, False),
]


def solved(name: str) -> Solution:
    why = backend(BackendName.PYOMO_SOLVER).available("scip_direct")
    if why:
        pytest.skip(f"SCIP is an optional extra: {why}")
    return lm.solve(lm.load(name), solver="scip")


@pytest.mark.parametrize(("name", "value", "ours"), CASES)
def test_the_bound_is_a_claim(name: str, value: float | None, ours: bool) -> None:
    found = solved(name)
    if value is None:
        assert found.claimed_bound is None and found.claimed_gap is None
        return
    assert found.claimed_bound == pytest.approx(value, rel=1e-5)
    assert found.claimed_gap is not None and found.claimed_gap < 1e-5
    assert "not proven by us" in found.report()
    shown = found.to_json()
    assert shown["claimed_bound"] == found.claimed_bound
    json.dumps(shown, allow_nan=False)
    certificate = found.certificate
    assert certificate is not None
    assert (certificate.verdict is Verdict.GLOBAL) is ours
    if not ours:
        assert certificate.gap is None and certificate.bound is None
    # A wrong claim changes what is claimed, and nothing that is certified.
    lying = replace(found, claimed_bound=10.0 * value)
    assert lying.claimed_gap == pytest.approx(0.9, rel=1e-3)
    assert lying.certificate is certificate


def test_other_solvers_claim_no_bound() -> None:
    found = lm.solve(lm.load("linear/norms-two-points-l2"))
    assert found.claimed_bound is None and found.claimed_gap is None
    assert "claimed gap" not in found.report()


@pytest.mark.parametrize("seed", range(3))
def test_the_answer_does_not_depend_on_the_size_of_the_start(seed: int) -> None:
    """Margins were once measured at starts of size 1e3: SCIP then ended at a point of half t."""
    solved("networks/saddle-is-kkt")
    problem = lm.load("sums/depth-2-plus-3-path-6-7")
    found = lm.solve(problem, solver="scip", seed=seed)
    assert problem.objective(np.concatenate(found.theta)) == pytest.approx(3.35, rel=1e-5)


def test_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    solved("networks/saddle-is-kkt")
    with pytest.raises(SystemExit) as caught:
        main(["solve", "networks/saddle-is-kkt", "--solver", "scip", "--json"])
    assert caught.value.code == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["claimed_bound"] == pytest.approx(0.5, rel=1e-5)
