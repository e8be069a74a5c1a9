"""Losses on data that nothing separates, and margins whose sign doubles lose."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.cli.main import main
from lexmargin.formulations import Formulation
from lexmargin.judge import Tolerances, Verdict, certify
from lexmargin.judge.bounds.signs import shown_not_positive
from lexmargin.judge.receipts.receipt import Receipt, receipt
from lexmargin.judge.receipts.verify import verify_receipt
from lexmargin.margins import MarginFunctions
from lexmargin.run.origin_answer import certified_origin

LINE = lm.Dataset([[1.0], [2.0]], [1, -1])
"""min e^{-w} + e^{2w} is at e^{3w} = 1/2, and its value is 3 e^{-w}/2."""
BEST = -math.log(2.0) / 3.0
LEAST = math.log(1.5) - BEST
CANCELLING = lm.Dataset([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]], [1, 1, -1])
"""Σ z_n = 0: the origin minimises every loss, log L = log 3."""
ONE = lm.Dataset([[1.0]], [1], one_class=True)
CUBE = lm.DiagonalNetwork(3)
TINY = lm.Dataset([[1.0, 1.0], [0.0, 1.0]], [1, 1], one_class=True)


def agreed(problem: Formulation, theta: list[float]) -> Verdict:
    """Return the word, which a receipt establishes again."""
    point = np.array(theta)
    found = certify(problem, point)
    written = receipt(problem, point, found)
    assert verify_receipt(Receipt.from_bytes(written.to_bytes())).verdict is found.verdict
    return found.verdict


@pytest.mark.parametrize("rho", [-BEST, 0.5, 1.0, 1e3, 1e6])
def test_a_minimiser_inside_is_global_at_any_radius(rho: float) -> None:
    problem = lm.ConstrainedPath(lm.Linear(), LINE, rho)
    found = certify(problem, np.array([BEST / rho]))
    assert found.verdict is Verdict.GLOBAL and found.separates is False
    assert found.margin < 0.0 and found.gap is not None and found.gap <= 1e-7
    assert "separates       no" in found.report() and found.to_json()["separates"] is False
    assert problem.objective(np.array([BEST / rho])) == pytest.approx(LEAST, abs=1e-14)
    assert agreed(problem, [BEST / rho]) is Verdict.GLOBAL


@pytest.mark.parametrize("off", [1e-5, 1e-3, 0.1])
def test_beside_the_minimiser_nothing_is_certified_and_the_gap_holds(off: float) -> None:
    problem = lm.ConstrainedPath(lm.Linear(), LINE, 2.0)
    theta = np.array([BEST / 2.0 + off])
    found = certify(problem, theta)
    assert found.verdict is Verdict.NOT_STATIONARY
    missed = problem.objective(theta) - LEAST
    assert found.gap is not None and missed <= found.gap <= 100.0 * missed


def test_on_the_sphere_the_constraint_holds_the_minimiser_back() -> None:
    assert agreed(lm.ConstrainedPath(lm.Linear(), LINE, 0.1), [-1.0]) is Verdict.GLOBAL
    assert agreed(lm.ConstrainedPath(lm.Linear(), LINE, 0.1), [1.0]) is Verdict.NOT_STATIONARY


@pytest.mark.parametrize("norm", [1.0, 1.5, 2.0, math.inf])
@pytest.mark.parametrize("loss", ["exponential", "logistic", "cross-entropy"])
def test_the_origin_is_a_minimiser_like_any_other(loss: str, norm: float) -> None:
    path = lm.ConstrainedPath(lm.Linear(), CANCELLING, 5.0, norm, loss)
    assert agreed(path, [0.0, 0.0]) is Verdict.GLOBAL
    for power in (1.0, 2.0, 3.0):
        penalty = lm.RegularizationPath(lm.Linear(), CANCELLING, 0.1, norm, power, loss)
        assert agreed(penalty, [0.0, 0.0]) is Verdict.GLOBAL


@pytest.mark.parametrize(("strength", "verdict"), [(0.999, "NOT_STATIONARY"), (1.001, "GLOBAL")])
def test_a_penalty_with_a_slope_holds_the_origin(strength: float, verdict: str) -> None:
    """-L'(0) = 1 - 2 = -1 for these data: the penalty μ|w| holds 0 from μ = 1 on."""
    assert agreed(lm.RegularizationPath(lm.Linear(), LINE, strength, power=1.0), [0.0]) == verdict


def test_nonconvex_gradients_that_vanish_at_the_origin_are_stationary() -> None:
    assert agreed(lm.ConstrainedPath(CUBE, ONE), [0.0, 0.0, 0.0]) is Verdict.KKT
    assert agreed(lm.RegularizationPath(CUBE, ONE, 0.1), [0.0, 0.0, 0.0]) is Verdict.KKT
    relu = lm.Network((2,), lm.ReLU())
    assert agreed(lm.ConstrainedPath(relu, ONE), [0.0] * 4) is Verdict.KKT


def test_where_the_logarithm_is_not_defined_there_is_no_loss() -> None:
    found = certify(lm.ConstrainedPath(lm.Log(), ONE, 2.0), np.array([-1.0]))
    assert found.verdict is Verdict.NOT_SEPARATING


def test_the_command_line_ends_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "line.toml"
    path.write_text(
        'title = "two points on a line"\nsource = "closed form"\n'
        'formulation = "constrained-path"\nrho = 3\n'
        '[predictor]\nkind = "linear"\n[data]\nX = [[1], [2]]\ny = [1, -1]\n',
        encoding="utf-8",
    )
    with pytest.raises(SystemExit) as caught:
        main(["solve", str(path), "--json"])
    judged = json.loads(capsys.readouterr().out)["certificate"]
    assert caught.value.code == 0
    assert judged["verdict"] == "GLOBAL" and judged["separates"] is False


# -- signs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "problem",
    [
        lm.HardMargin(CUBE, TINY),
        lm.MarginPath(CUBE, TINY, 2.0),
        lm.ScaledMargin(CUBE, TINY, 2.0),
        lm.WSet(CUBE, TINY),
        lm.Lexicographic(CUBE, TINY),
    ],
    ids=lambda problem: str(problem.name),
)
def test_a_margin_lost_below_doubles_is_not_called_negative(problem: Formulation) -> None:
    """The second margin is 1e-330."""
    assert agreed(problem, [1.0, 1e-110] * 3) is Verdict.UNDECIDED
    assert "every margin is positive" in certify(problem, np.array([1.0, 1e-110] * 3)).reasons[0]
    # An exact zero, and a negative margin as small, are what they are.
    assert agreed(problem, [1.0, 0.0] * 3) is Verdict.NOT_SEPARATING
    assert agreed(problem, [1.0, -1e-110] * 3) is Verdict.NOT_SEPARATING


def test_a_margin_lost_beyond_doubles_is_not_called_positive() -> None:
    """f = 1.5e300² 1e-300 - 1.5e300² 2e-300 < 0, and each product is infinite in doubles."""
    product = lm.DiagonalNetwork(2)
    data = lm.Dataset([[1e-300, -2e-300]], [1], one_class=True)
    theta = np.full(4, 1.5e300)
    assert certify(lm.ConstrainedPath(product, data), theta).separates is None


@pytest.mark.parametrize(
    ("rows", "theta", "shown"),
    [
        ([[1.0, -1.0]], [1.0, 1.0], True),
        ([[1.0, -1.0]], [1.0, 1.0 - 2.0**-53], False),
        ([[1e16, 1.0, -1e16]], [1.0, 1.0, 1.0], False),
        ([[1e16, -1.0, -1e16]], [1.0, 1.0, 1.0], True),
        ([[1e-200, 0.0]], [1e-200, 1.0], False),
        ([[0.0, 0.0]], [1.0, 1.0], True),
    ],
)
def test_signs_are_those_of_the_exact_sums(
    rows: list[list[float]], theta: list[float], shown: bool
) -> None:
    data = lm.Dataset(rows, [1], one_class=True)
    functions = MarginFunctions(lm.Linear(), data)
    assert shown_not_positive(functions, np.array(theta)) is shown


def triangle(shift: float = 0.0) -> lm.Dataset:
    """Return rows z_n whose sum is ``shift`` in every entry."""
    rows = np.array([[1.0, 0.0], [-1.0, 0.5], [0.0, -0.5]])
    return lm.Dataset(rows + shift / 3.0, [1, 1, 1], one_class=True)


@pytest.mark.backend("cvxpy")
@pytest.mark.parametrize("loss", ["exponential", "logistic"])
@pytest.mark.parametrize(
    ("norm", "power", "shift"),
    [(2.0, 2.0, 0.0), (1.0, 2.0, 0.0), (math.inf, 2.0, 0.0), (1.5, 3.0, 0.0), (2.0, 1.0, 0.3)],
)
def test_solve_answers_with_the_origin_where_that_is_least(
    norm: float, power: float, shift: float, loss: str
) -> None:
    """Σ z_n = 0, or ‖Σ z_n‖_* below a strength of power 1: solvers end 1e-7 to 1e-5 away."""
    problem = lm.RegularizationPath(lm.Linear(), triangle(shift), 0.5, norm, power, loss)
    found = lm.solve(problem, solver="clarabel")
    assert found.certificate is not None and found.certificate.verdict is Verdict.GLOBAL
    assert not np.any(found.direction)
    assert found.objective == pytest.approx(3.0 * (1.0 if loss == "exponential" else math.log(2.0)))
    assert np.allclose(found.multipliers, 1.0 / 3.0)


@pytest.mark.backend("cvxpy")
def test_solve_answers_eq_5_with_the_origin_where_that_is_least() -> None:
    found = lm.solve(lm.ConstrainedPath(lm.Linear(), triangle(), 3.0), solver="clarabel")
    assert found.certificate is not None and found.certificate.verdict is Verdict.GLOBAL
    assert not np.any(found.direction) and found.objective == pytest.approx(math.log(3.0))


def test_the_origin_is_no_answer_where_something_else_is_better() -> None:
    """‖Σ z_n‖₂ = .6 √2 is above the strength ½ of power 1; and a logarithm has no value at 0."""
    tolerances, near = Tolerances(), np.array([1e-9, 1e-9])
    steep = lm.RegularizationPath(lm.Linear(), triangle(0.6), 0.5, power=1.0)
    assert certified_origin(steep, near, tolerances) is None
    gentle = lm.RegularizationPath(lm.Linear(), triangle(0.3), 0.5, power=1.0)
    assert certified_origin(gentle, near, tolerances) is not None
    separated = lm.Dataset([[1.0, 0.0], [0.0, 1.0]], [1, 1], one_class=True)
    log = lm.ConstrainedPath(lm.Log(), separated, 3.0)
    assert certified_origin(log, near, tolerances) is None
    # Nonconvex problems have the origin among their starts.
    curved = lm.RegularizationPath(lm.DiagonalNetwork(2), separated, 0.5)
    assert certified_origin(curved, np.full(4, 1e-9), tolerances) is None


def test_signs_of_sparse_samples() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    rows = sparse.csr_array(np.array([[1.0, -1.0], [3.0, 0.0], [-2.0, 0.0]]))
    functions = MarginFunctions(lm.Linear(), lm.Dataset(rows, [1, 1, -1]))
    assert shown_not_positive(functions, np.array([1.0, 1.0])) is True
    flipped = MarginFunctions(lm.Linear(), lm.Dataset(rows, [1, 1, 1], one_class=True))
    assert shown_not_positive(flipped, np.array([1.0, 0.5])) is True
