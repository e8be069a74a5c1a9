"""`lexmargin solve NAME` for every problem on the shelf: the stored answer, certified."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.cli.main import main
from lexmargin.errors import NotSeparableError, ParameterError, ShapeError
from lexmargin.formulations import Formulation, lexicographic_best
from lexmargin.formulations.levels import Proof
from lexmargin.judge import Verdict
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature
from lexmargin.polish.polish import polish_problem
from lexmargin.shelf.build import build
from lexmargin.shelf.library import Library
from lexmargin.shelf.problems import ProblemFile
from lexmargin.solution import Claim, Ran, Solution

solving = importlib.import_module("lexmargin.solve")

LIBRARY = Library()
# Lies are problems that provoke wrong claims; comparisons ask them, and they have tests there.
NAMES = [name for name in LIBRARY.problem_paths() if not name.startswith("lies/")]
TOLERANCE = 1e-6


@cache
def stated(name: str) -> tuple[ProblemFile, Formulation]:
    found = LIBRARY.problem(name)
    assert found.answer is not None
    return found, build(found)


@cache
def solved(name: str) -> Solution:
    return lm.solve(stated(name)[1])


def numbers(stored: Iterable[Any]) -> FloatArray:
    return np.array([number.value for number in stored], dtype=float)


def alternatives(one: Any, many: Any) -> list[FloatArray]:
    return [numbers(point) for point in (one, *(many or ())) if point]


@pytest.mark.parametrize("name", NAMES)
def test_every_stored_answer_is_reproduced(name: str) -> None:
    found, problem = stated(name)
    answer = found.answer
    assert answer is not None
    tolerance = max(TOLERANCE, answer.tolerance or 0.0)
    if answer.feasible is False and problem.functions.curvature <= Curvature.AFFINE:
        with pytest.raises(NotSeparableError) as caught:
            solved(name)
        assert caught.value.proof is not None
        return
    solution = solved(name)
    certificate = solution.certificate
    assert certificate is not None and solution.ran is Ran.FINISHED, solution.report()
    if answer.feasible is False or answer.verdict is Verdict.NOT_SEPARATING:
        assert certificate.verdict is Verdict.NOT_SEPARATING
    else:
        assert certificate.certified, solution.report()
    if answer.objective is not None:
        size = max(1.0, abs(answer.objective.value))
        assert abs(solution.objective - answer.objective.value) <= tolerance * size
    if answer.margin is not None:
        assert solution.margin == pytest.approx(answer.margin.value, rel=tolerance)
    if answer.levels is not None:
        check_levels(solution, numbers(answer.levels), tolerance)
    if answer.unique is False and (answer.directions is None and answer.thetas is None):
        return  # one of many, up to symmetries of the network: its numbers above are what is known
    if solution.objective == 0.0 and not np.any(solution.direction):
        assert answer.theta is not None and not any(number.value for number in answer.theta)
        return
    if "every direction" in answer.note:
        return  # a face of optimal directions, of which the file lists examples
    directions = alternatives(answer.direction, answer.directions)
    assert not directions or nearest(solution.direction, directions) <= tolerance
    thetas = alternatives(answer.theta, answer.thetas)
    flat = np.concatenate([block.reshape(-1) for block in solution.theta])
    if (thetas and answer.unique is not False) or answer.thetas:
        assert nearest(flat, thetas) <= tolerance * max(1.0, float(np.abs(flat).max()))


def nearest(point: FloatArray, known: list[FloatArray]) -> float:
    return min(float(np.abs(point - other).max()) for other in known)


def check_levels(solution: Solution, levels: FloatArray, tolerance: float) -> None:
    """The k-th smallest margin of a lexicographic answer, or ‖w_k‖² of a W-set, is level k."""
    if solution.problem == "w-set":
        assert [level.value for level in solution.levels] == pytest.approx(levels, abs=tolerance)
        return
    assert np.sort(solution.margins)[: levels.size] == pytest.approx(levels, rel=tolerance)
    values = [level.value for level in solution.levels]
    for value in values:
        assert nearest(np.array([value]), [np.array([v]) for v in levels]) <= tolerance * max(
            1.0, abs(value)
        )
    assert len(values) == len({round(float(v), 9) for v in levels})


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("linear/norms-two-points-l2", 0),
        ("networks/diagonal-2", 0),
        ("paths/l1-constrained-100", 0),
        ("paths/regularization-jump-before", 0),
        ("real/iris-1", 0),
        ("lies/not-separable", 0),
        ("relu/xor-width-3", 0),
    ],
)
def test_the_command_line_says_the_same(
    name: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in ([], ["--json"]):
        with pytest.raises(SystemExit) as caught:
            main(["solve", name, *arguments])
        assert caught.value.code == code
    out = capsys.readouterr().out
    assert json.loads(out[out.index('{"') :]), "the last line is one JSON object"


NO_LINE = """
title       = "Three samples around the origin"
source      = "Gordan: 1, 1, 1"
formulation = "hard-margin"
[predictor]
kind = "linear"
[data]
X = [[1, 0], [-1, 1], [0, -1]]
y = [1, 1, 1]
"""
XOR = """
title       = "Exclusive or"
source      = "each of ±p needs a unit of its own"
formulation = "hard-margin"
[predictor]
kind       = "network"
widths     = [3]
activation = "relu"
[data]
X = [[1, 1], [-1, -1], [1, -1], [-1, 1]]
y = [1, 1, -1, -1]
"""
NO_BIAS = """
title       = "Three points on a line"
source      = "the middle one has the other label"
formulation = "w-set"
[predictor]
kind = "sum"
[[predictor.members]]
kind = "linear"
[[predictor.members]]
kind = "bias"
form = "signed-square"
[data]
X = [[0], [1], [2]]
y = [1, -1, 1]
"""
ORIGIN = """
title       = "One sample, f = uvw"
source      = "closed form: the minimum is at 0 until μ = 0.43 or so"
formulation = "regularization-path"
strength    = "{mu}/2"
[predictor]
kind  = "diagonal"
depth = 3
[data]
X = [[1]]
y = [1]
[answer]
theta     = [0, 0, 0]
objective = 1
verdict   = "GLOBAL"
"""


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (NO_LINE + "[answer]\nfeasible = false", 0),
        (NO_LINE + "[answer]\nfeasible = true", 1),
        (NO_LINE, 1),
        (NO_BIAS + "[answer]\nfeasible = false", 0),
        (NO_BIAS, 1),
        (XOR + "[answer]\nfeasible = false", 0),
        (XOR, 1),
        # Beyond the reach of the proof: what the file says is not taken on trust.
        (XOR.replace('"relu"', '"relu"\npower = 2') + "[answer]\nfeasible = false", 1),
    ],
)
def test_a_stated_inseparability_is_reproduced_where_it_is_proved(
    text: str, code: int, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "stated.toml"
    path.write_text(text, encoding="utf-8")
    for arguments in ([], ["--json"]):
        with pytest.raises(SystemExit) as caught:
            main(["solve", str(path), "--starts", "2", *arguments])
        assert caught.value.code == code
    out = capsys.readouterr().out
    assert out.count("reproduced: ") == (2 if code == 0 else 0)
    assert ("reproduced" in json.loads(out[out.index('{"') :])) is (code == 0)


def test_the_origin_before_the_jump_is_an_answer_like_any_other(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "origin.toml"
    path.write_text(ORIGIN.format(mu="0.43"), encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        main(["solve", str(path), "--starts", "2", "--json"])
    assert caught.value.code == 0
    judged = json.loads(capsys.readouterr().out)["certificate"]
    assert judged["verdict"] == "GLOBAL" and judged["separates"] is False and judged["gap"] == 0.0


# -- lexicographic answers -------------------------------------------------------------------------


def test_no_index_is_blocked_and_the_levels_are_found() -> None:
    solution = solved("lexicographic/no-blocked-index")
    assert np.abs(solution.direction) == pytest.approx([0.0, 1.0], abs=1e-9)
    assert [level.value for level in solution.levels] == pytest.approx([1, 2, 9], abs=1e-9)
    assert all(level.proof is Proof.LOCAL for level in solution.levels), "no proof is claimed"
    # The other maximiser of the margin is among the points kept, and loses at level 3.
    others = [np.sort(o.margins) for o in solution.others if o.margin > 1 - 1e-6]
    assert any(m == pytest.approx([1, 2, 5], abs=1e-6) for m in others)


def test_the_resolution_ladder_reaches_one_part_in_a_million() -> None:
    for h in ("5e-3", "1e-4", "1e-6"):
        solution = solved(f"lexicographic/resolution-ladder-{h}")
        assert solution.levels[1].value - 1.0 == pytest.approx(float(h), rel=1e-6)


def test_the_precision_trap_is_passed_with_ten_digits() -> None:
    theta = solved("paths/precision-trap-constrained-100").direction
    assert theta[1] == pytest.approx((1 + math.log(0.5) / 200) / 1.5, abs=1e-10)


def test_the_third_level_is_not_where_the_constrained_path_goes() -> None:
    """Theorem 4 beyond level 2: two sets, both found (math.md, case theorem-4-third-level)."""
    lexicographic = solved("lexicographic/theorem-4-third-level")
    assert np.abs(lexicographic.direction) == pytest.approx([0.0, 1.0], abs=1e-9)
    assert [level.value for level in lexicographic.levels] == pytest.approx([1, 2, 10], abs=1e-9)
    _, problem = stated("lexicographic/theorem-4-third-level")
    for r, value, at_the_other, theta in (
        (1.0, 1.358858, 1.368003, (0.99869, 0.05116)),
        (2.0, 1.131886, 1.135335, None),
    ):
        path = lm.ConstrainedPath(problem.predictor, problem.data, rho=r**0.25)
        solution = lm.solve(path)
        assert solution.certificate is not None and solution.certificate.certified
        assert math.exp(solution.objective + r) == pytest.approx(value, abs=1e-6)
        other = path.objective(np.array([0.0, 1.0]))
        assert math.exp(other + r) == pytest.approx(at_the_other, abs=1e-6)
        if theta is not None:
            assert np.abs(solution.direction) == pytest.approx(theta, abs=1e-5)
    # Near (1, e^{-r}/4), and (L(0,1) - min L) e^{3r} → r/8.
    for r in (4.0, 6.0):
        path = lm.ConstrainedPath(problem.predictor, problem.data, rho=r**0.25)
        solution = lm.solve(path)
        slope = abs(solution.direction[1] / solution.direction[0])
        assert slope == pytest.approx(math.exp(-r) / 4, rel=20 * math.exp(-r))
        gain = math.exp(path.objective(np.array([0.0, 1.0]))) - math.exp(solution.objective)
        assert gain * math.exp(3 * r) == pytest.approx(r / 8, rel=0.2)


def test_the_limit_of_the_path_may_be_smaller_than_the_lexicographic_set() -> None:
    lexicographic = solved("lexicographic/limit-is-smaller")
    assert [level.value for level in lexicographic.levels] == pytest.approx([1, 3], abs=1e-9)
    margins = [np.sort(s.margins) for s in (lexicographic, *lexicographic.others)]
    assert len(lexicographic_best(margins, 1e-6)) >= 2, "the four points tie"
    _, problem = stated("lexicographic/limit-is-smaller")
    # L e^r ≈ e^s + e^{-2s} with s = r θ_2², least at s = ln(2)/3; near (0, ±1) it stays at 2.
    r = 1e4
    solution = lm.solve(lm.ConstrainedPath(problem.predictor, problem.data, rho=r**0.25))
    assert solution.certificate is not None and solution.certificate.certified
    assert r * solution.direction[1] ** 2 == pytest.approx(math.log(2) / 3, rel=1e-2)
    limit = 2 ** (1 / 3) + 2 ** (-2 / 3)
    assert math.exp(solution.objective + r) == pytest.approx(limit, abs=1e-3)


# -- starts ----------------------------------------------------------------------------------------


def same(one: Solution, other: Solution) -> bool:
    pairs = zip((one, *one.others), (other, *other.others), strict=True)
    return all(
        np.array_equal(a.direction, b.direction) and a.objective == b.objective for a, b in pairs
    )


def test_starts_are_the_same_serially_and_in_parallel_processes() -> None:
    four = lm.Dataset([[1.0, 2.0], [2.0, -1.0], [-1.0, 0.5], [-0.3, -2.0]], [1, -1, 1, -1])
    problem = lm.HardMargin(lm.Network((3,), lm.ReLU(power=2)), four)
    serial = lm.solve(problem, starts=4, seed=5)
    assert same(serial, lm.solve(problem, starts=4, seed=5))
    assert same(serial, lm.solve(problem, starts=4, seed=5, workers=4))
    assert len(serial.others) > 0


def test_every_distinct_point_is_kept_best_first() -> None:
    # s² + t²/2 + r³ in a ball: two ends, and no bound proves the better one global.
    square, cube = lm.Polynomial(((2, 0), (0, 2))), lm.Polynomial(((3,),))
    both = lm.Sum([lm.Member(square, (0, 1)), lm.Member(cube, (2,))])
    data = lm.Dataset([[1.0, 0.5, 1.0]], [1], one_class=True)
    solution = lm.solve(lm.MarginPath(both, data, math.sqrt(6.8)))
    margins = [s.margin for s in (solution, *solution.others)]
    assert margins == sorted(margins, reverse=True)
    assert margins[0] == pytest.approx(6.8**1.5, rel=1e-9)
    assert any(m == pytest.approx(6.8, rel=1e-9) for m in margins), "the other branch"


def test_nothing_else_is_looked_for_once_the_best_is_proved() -> None:
    solution = solved("sums/depth-2-plus-3-path-6-8")
    assert solution.certificate is not None
    assert solution.certificate.verdict is Verdict.GLOBAL
    assert solution.margin == pytest.approx((6.8 / 3) ** 1.5, rel=1e-9)


@pytest.mark.parametrize("bad", [{"starts": 0}, {"starts": -1}, {"workers": 0}, {"seed": -1}])
def test_numbers_that_count_nothing_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(ParameterError):
        lm.solve(stated("networks/diagonal-2")[1], **bad)  # type: ignore[arg-type]


# -- bad input -------------------------------------------------------------------------------------

DATA = lm.Dataset([[1.0, 0.0], [0.0, 1.0]], [1, 1], one_class=True)
MIXED = lm.Sum((lm.Member(lm.Linear()), lm.Member(lm.DiagonalNetwork(2))))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: lm.solve(lm.HardMargin(MIXED, DATA)), "homogeneous"),
        (lambda: lm.ScaledMargin(lm.Log(), DATA, gamma=1.0), "homogeneous"),
        (lambda: lm.WSet(lm.Log(), DATA), "homogeneous"),
        (lambda: lm.ScaledMargin(MIXED, DATA, gamma=0.0), "gamma"),
        (lambda: lm.MarginPath(MIXED, DATA, gamma=-1.0), "gamma"),
        (lambda: lm.WSet(MIXED, DATA, levels=3), "levels"),
        (lambda: lm.WSet(MIXED, DATA, levels=0), "levels"),
        (lambda: lm.Lexicographic(lm.Linear(), DATA, levels=0), "levels"),
        (lambda: lm.ConstrainedPath(lm.Linear(), DATA, rho=0.0), "rho"),
        (lambda: lm.RegularizationPath(lm.Linear(), DATA, strength=-1.0), "strength"),
    ],
)
def test_what_a_problem_cannot_mean_is_named(make: Any, word: str) -> None:
    with pytest.raises(lm.LexmarginError, match=word):
        make()


def test_levels_beyond_the_samples_are_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """k > N of Definition 5: there is no such level."""
    rows = lm.Dataset([[1.0, 1.0], [2.0, 3.0]], [1, 1], one_class=True)
    every = lm.solve(lm.Lexicographic(lm.Linear(), rows, norm=1, levels=np.int64(2)))
    assert [level.value for level in every.levels] == pytest.approx([1.0, 3.0])
    with pytest.raises(ParameterError, match="2 margins"):
        lm.Lexicographic(lm.Linear(), rows, norm=1, levels=3)
    file = tmp_path / "levels.toml"
    file.write_text(
        'title = "t"\nsource = "s"\nformulation = "lexicographic"\nlevels = 3\n'
        '[predictor]\nkind = "linear"\n[data]\nX = [[1, 1], [2, 3]]\ny = [1, 1]\n'
    )
    with pytest.raises(SystemExit) as caught:
        main(["solve", str(file)])
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("error (parameter): levels is 3")


def test_xor_with_three_neurons_ends_with_a_negative_verdict_and_its_proof(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["solve", "relu/xor-width-3", "--json"])
    assert caught.value.code == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["certificate"]["verdict"] == "NOT_SEPARATING" and "56" in answer["reproduced"]
    # After the proof no other start is tried.
    assert answer["others"] == []


def test_a_start_of_the_wrong_shape_is_named() -> None:
    with pytest.raises(ShapeError):
        lm.solve(stated("networks/diagonal-2")[1], start=np.ones(3))


# -- polish ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "solver"),
    [
        ("sums/bias-free-two-squares", "ipopt-casadi"),
        ("sums/bias-scaled-1000", "auto"),
        ("paths/regularization-continuous", "auto"),
    ],
)
def test_a_polish_reaches_rounding_and_is_reported(name: str, solver: str) -> None:
    _, problem = stated(name)
    rough = lm.solve(problem, solver, polish=False)
    fine = lm.solve(problem, solver)
    assert rough.polished is None and fine.polished is not None
    moved, residual = fine.polished.moved, fine.polished.residual
    assert moved <= 1e-2 and residual <= 1e-12
    assert fine.certificate is not None and fine.certificate.stationarity <= 1e-12


def test_a_point_far_from_stationary_is_not_polished_away() -> None:
    """A polish must not turn a wrong answer into a right one: it moves 1 % at most."""
    _, problem = stated("sums/bias-scaled-10")
    assert polish_problem(problem, np.array([2.0, -3.0, 0.1, 1.0])) is None


def test_claims_do_not_reach_the_verdict_of_the_newton_methods() -> None:
    solution = solved("paths/log-predictor-margin")
    assert solution.solver == "newton" and solution.claim is Claim.LOCALLY_OPTIMAL
    assert solution.certificate is not None and solution.certificate.verdict is Verdict.GLOBAL
