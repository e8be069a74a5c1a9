"""The table of bounds: every row conforms, every GLOBAL names one, and programs inherit them."""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

import lexmargin as lm
from lexmargin.errors import LexmarginError
from lexmargin.formulations import Kkt
from lexmargin.judge import Verdict
from lexmargin.judge.bounds.balanced import balanced
from lexmargin.judge.bounds.parts import Parts
from lexmargin.judge.bounds.sphere import Sphere
from lexmargin.judge.bounds.table import BOUNDS, GIVEN, THOROUGH, with_bounds
from lexmargin.judge.proved import BoundMethod, Proved, names_a_bound, with_proved
from lexmargin.judge.receipts.receipt import Receipt, receipt
from lexmargin.judge.receipts.verify import verify_receipt
from lexmargin.predictors import Bias, Sum
from lexmargin.run import conformance
from lexmargin.shelf.build import build, stored_theta
from lexmargin.shelf.library import Library
from uneven_margin import Uneven

JUDGE: Final = Path(__file__).resolve().parent.parent / "src" / "lexmargin" / "judge"
R = math.sqrt
ONE = lm.Dataset([[1.0]], [1], one_class=True)
AXES = lm.Dataset([[1.0, 0.0], [0.0, 2.0]], [1, 1], one_class=True)
PAIR = lm.Dataset([[1.0, 0.6], [0.6, 1.0]], [1, 1], one_class=True)
LINE = lm.Dataset([[3.0], [1.0]], [1, -1])
SUM = Sum([lm.Linear(), lm.DiagonalNetwork(2)])
DEEPER = Sum([lm.DiagonalNetwork(2), lm.DiagonalNetwork(3)])
BIASED = Sum([lm.Linear(), Bias("signed-square")])
RELU = lm.Network((2,), lm.ReLU())
XOR = lm.Dataset([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]], [1, 1, -1, -1])


def record(problem: Any, theta: Any, level: int = 0) -> Kkt:
    found: Kkt = problem.kkt(np.array(theta, float))[level]
    return found


# Programs at their best points, weights that prove it, and the best value in closed form.
LINEAR = record(lm.HardMargin(lm.Linear(), AXES), [2, 1])
DIAGONAL = record(lm.HardMargin(lm.DiagonalNetwork(2), PAIR), [1, 1, 1, 1])
CUBE = record(lm.HardMargin(lm.DiagonalNetwork(3), PAIR), [0, 1, 0, 1, 0, 1])
UNITS = record(lm.HardMargin(lm.Network((4,), lm.ReLU()), XOR),
               [*np.ravel(XOR.X) / R(2), 1, 1, -1, -1])  # fmt: skip
QUARTIC = record(lm.HardMargin(lm.Polynomial(((4, 0), (0, 4))), AXES), [0, 1])
LOG = record(lm.MarginPath(lm.Log(), AXES, 100.0), np.array([2, 1]) / R(5))
PATH = record(lm.MarginPath(SUM, ONE, 10.0), [0.1, R(49.5) / 10, R(49.5) / 10])
SCALED = record(lm.ScaledMargin(SUM, ONE, 10.0), [0.1, R(0.9), R(0.9)])
FREE = record(lm.WSet(BIASED, LINE), [1.0, -R(2)])
LATER = record(lm.WSet(BIASED, LINE, 2), [1.0, -R(2)], 1)
NOTHING = record(lm.WSet(SUM, ONE), [0, 1, 1])
CIRCLE = record(lm.HardMargin(lm.Polynomial(((4, 0), (0, 4))),
                              lm.Dataset([[1, 2], [2, 1], [5, 9]], [1] * 3, one_class=True)),
                [0, 1])  # fmt: skip
# e^{-w} + c w² at w = 2: e^{-2} = 4c.
PENALTY = record(lm.RegularizationPath(lm.Linear(), ONE, math.exp(-2.0) / 4.0), [2.0])
BALL = record(lm.ConstrainedPath(lm.Linear(), ONE, 3.0), [1.0])
JUMP = record(lm.RegularizationPath(lm.DiagonalNetwork(2), ONE, 0.6), [0, 0])

EVERY: Final = (LINEAR, DIAGONAL, CUBE, UNITS, CIRCLE, LOG, PATH, SCALED, FREE, LATER, NOTHING,
                PENALTY, BALL, JUMP)  # fmt: skip
HALVES = [0.5, 0.5]
# By method: examples (record, weights, best value), and whom else it speaks of.
ROWS: Final[dict[BoundMethod, tuple[list[tuple[Kkt, Any, float]], tuple[Kkt, ...]]]] = {
    BoundMethod.LINEAR: ([(LINEAR, [0.8, 0.2], 2 / R(5))], ()),
    BoundMethod.CONCAVE: ([(LOG, [4.0, 1.0], math.log(200 / R(5)))], ()),
    BoundMethod.LINEAR_NETWORK: ([(DIAGONAL, HALVES, 0.4)], (CUBE,)),
    BoundMethod.PATTERNS: ([(UNITS, [0.25] * 4, 1 / (4 * R(2)))], ()),
    BoundMethod.VERTICES: ([(CUBE, HALVES, (3 * (5 / 3) ** (2 / 3)) ** -1.5)], ()),
    BoundMethod.SPHERE: ([(CIRCLE, [1.0] * 3, 1.0)], ()),
    # max s + (ρ² - s²)/2 = 50.5 at s = 1; min 100 s² + 10 (1 - s)·2 over its largest cost, 100.
    BoundMethod.PARTS: (
        [(PATH, [1.0], 50.5), (SCALED, [1.0], 0.01 + 0.18), (FREE, HALVES, 1.0)],
        (NOTHING, LATER),
    ),
    BoundMethod.HELD: ([(LATER, HALVES, 2.0)], ()),
    BoundMethod.ZERO: ([(NOTHING, [1.0], 0.0)], ()),
    BoundMethod.PENALTY: ([(PENALTY, [1.0], 1.0)], ()),
    BoundMethod.BALL_LOSS: ([(BALL, [1.0], -3.0)], ()),
    BoundMethod.LONG_LOSS: ([(PENALTY, [1.0], 1.0), (BALL, [1.0], -3.0)], ()),
    BoundMethod.ORIGIN: ([(JUMP, [1.0], 1.0)], ()),
}


@pytest.mark.parametrize("bound", dict.fromkeys([*BOUNDS, *GIVEN, *THOROUGH]), ids=repr)
def test_every_row_conforms(bound: Any) -> None:
    examples, also = ROWS[bound.method]
    mine = [kkt for kkt, _, _ in examples]
    elsewhere = [kkt for kkt in EVERY if all(kkt is not one for one in (*mine, *also))]
    assert conformance.bound(bound, examples, elsewhere) == ()


@dataclass(frozen=True)
class Forged:
    """A bound with one fault."""

    fault: str
    method = BoundMethod.LINEAR

    def applies(self, kkt: Kkt) -> bool:
        return self.fault != "modest"

    def prove(self, kkt: Kkt, weights: Any, wanted: float = 0.0) -> Proved | None:
        value, shown = 2 / R(5), np.array([0.8, 0.2])
        if self.fault == "high":
            value = 1.0
        elif self.fault == "low":
            value -= 1e-9
        elif self.fault == "scale":
            value += float(np.sum(weights)) * 1e-3
        elif self.fault == "shape":
            shown = np.ones(3)
        elif self.fault == "negative":
            shown = np.array([1.2, -0.2])
        elif self.fault == "lost" and weights[0] != 9.0 * weights[1]:
            value, shown = value + 1e-9, np.array([9.0, 1.0])
        elif self.fault == "lost":
            value += 1.0
        return Proved(method=self.method, value=value, sentence="", weights=shown, bound=value)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("", ""),
        ("modest", "does not apply to example 0"),
        ("high", "does not meet example 0"),
        ("low", "passes the best value"),
        ("scale", "another scale"),
        ("shape", "not one number"),
        ("negative", "not one number"),
        ("lost", "do not prove it"),
    ],
)
def test_every_fault_of_a_bound_is_told(fault: str, told: str) -> None:
    found = conformance.bound(Forged(fault), [(LINEAR, [0.8, 0.2], 2 / R(5))])
    assert any(told in one for one in found) if told else found == ()
    everywhere = conformance.bound(Forged(fault), [], [LOG])
    assert everywhere == (() if fault == "modest" else ("it applies to program 0 elsewhere",))


def test_global_is_said_in_one_place() -> None:
    """Elsewhere the word is read, or is that of a level whose bound is named beside it."""
    made = {}
    for path in sorted(JUDGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        said = [
            node.lineno
            for node in ast.walk(tree)
            if isinstance(node, ast.keyword)
            and node.arg == "verdict"
            and "Verdict.GLOBAL" in ast.unparse(node.value)
        ]
        if said:
            made[path.name] = len(said)
    assert made == {"proved.py": 1}


def test_a_word_rises_only_where_the_gap_is_within_tolerance() -> None:
    found = lm.certify(lm.HardMargin(lm.Linear(), AXES), [2.0, 1.0])
    assert names_a_bound(found.reasons[-1])
    plain = replace(found, verdict=Verdict.KKT, gap=None, bound=None, reasons=found.reasons[:1])
    margin = found.margin
    for upper, word in ((margin * (1 + 5e-8), Verdict.GLOBAL), (margin * (1 + 2e-7), Verdict.KKT)):
        proved = Proved(method=BoundMethod.LINEAR, value=upper, sentence="no direction has a "
                        "larger margin", bound=upper)  # fmt: skip
        again = with_proved(plain, proved)
        assert again.verdict is word and again.bound == upper
        assert names_a_bound(again.reasons[-1]) == (word is Verdict.GLOBAL)
        assert with_proved(plain, proved, rises=False).verdict is Verdict.KKT
        assert with_proved(plain, replace(proved, excess=1.0)).verdict is Verdict.KKT
    for value in (math.nan, math.inf, 0.0, -1.0):
        nothing = Proved(method=BoundMethod.LINEAR, value=value, sentence="", bound=value)
        assert with_proved(plain, nothing).verdict is Verdict.KKT
    for word in (Verdict.SADDLE, Verdict.UNDECIDED, Verdict.NOT_STATIONARY):
        assert with_bounds(LINEAR, replace(plain, verdict=word)).verdict is word


# -- what programs inherit -------------------------------------------------------------------------

TWO_NETS = Sum([lm.Linear(), RELU])
# problem, its best point, what must be named, and a point that is as stationary and worse
RISES: Final[dict[str, tuple[Any, Any, BoundMethod, Any]]] = {
    "ball of a sum": (
        lm.MarginPath(SUM, ONE, 10.0), [0.1, R(49.5) / 10, R(49.5) / 10], BoundMethod.PARTS, None
    ),
    "least norm of a sum": (
        lm.MarginPath(SUM, ONE, 10.0, gamma=50.5), [0.1, R(49.5) / 10, R(49.5) / 10],
        BoundMethod.PARTS, None,
    ),
    "scaled margin of a sum": (
        lm.ScaledMargin(SUM, ONE, 10.0), [0.1, R(0.9), R(0.9)], BoundMethod.PARTS, None
    ),
    # ρ² = 6.75: f = s² /2 with depth 2 and r³/3^{3/2} with depth 3 alone are alike; 6.7 and 6.8.
    "depth 2 and 3, the first wins": (
        lm.MarginPath(DEEPER, ONE, R(6.7)), [R(0.5), R(0.5), 0, 0, 0], BoundMethod.PARTS,
        [0, 0, *[3**-0.5] * 3],
    ),
    "depth 2 and 3, the second wins": (
        lm.MarginPath(DEEPER, ONE, R(6.8)), [0, 0, *[3**-0.5] * 3], BoundMethod.PARTS,
        [R(0.5), R(0.5), 0, 0, 0],
    ),
    "linear and ReLU units, at a kink": (
        lm.MarginPath(TWO_NETS, lm.Dataset([[1.0, 0.0]], [1], one_class=True), 2.0),
        [0.5, 0, R(1.5) / 2, 0, 0, 0, R(1.5) / 2, 0], BoundMethod.PARTS, None,
    ),
    # u v = r/x with u² = 4 v²: the costs 1 and 4 of two layers.
    "layers of two costs": (
        Uneven(lm.DiagonalNetwork(2), AXES, (1.0, 1.0, 4.0, 4.0), (1.0, 4.0)),
        [R(2), 2, R(0.5), 1], BoundMethod.LINEAR_NETWORK, None,
    ),
    # One sample of length 5 and level 2 at costs 1 and 9: u v = 2/5, u² = 9 v².
    "ReLU layers of two costs": (
        Uneven(lm.Network((1,), lm.ReLU()), lm.Dataset([[3.0, 4.0]], [1], one_class=True),
               (1.0, 1.0, 9.0), (2.0,)),
        [0.6 * R(1.2), 0.8 * R(1.2), R(1.2) / 3], BoundMethod.PATTERNS, None,
    ),
    "ReLU units and a bias of one degree": (
        lm.HardMargin(Sum([lm.Network((1,), lm.ReLU()), Bias("two-squares")]),
                      lm.Dataset([[3.0, 4.0]], [1], one_class=True)),
        [0.6, 0.8, 1.0, 0.0, 0.0], BoundMethod.PARTS, None,
    ),
    "W-set of a network and nothing": (
        lm.WSet(Sum([lm.Linear(), lm.DiagonalNetwork(2)]), ONE), [0.0, 2.0, 1.0],
        BoundMethod.ZERO, None,
    ),
    # w_1 = 0 is held, and u v = 1 costs 2 at least.
    "W-set, second level of a network": (
        lm.WSet(SUM, ONE, 2), [0.0, 1.0, 1.0], BoundMethod.LINEAR_NETWORK, None
    ),
    "W-set of a bias beside nothing": (
        lm.WSet(BIASED, ONE, 2), [0.0, 1.0], BoundMethod.HELD, None
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RISES)
def test_programs_inherit_bounds(name: str) -> None:
    problem, theta, method, worse = RISES[name]
    theta = np.array(theta, float)
    found = lm.certify(problem, theta)
    assert found.verdict is Verdict.GLOBAL, found.report()
    assert any(reason.endswith(f"({method})") for reason in found.reasons)
    assert found.gap is not None and found.gap <= 1e-9
    written = receipt(problem, theta, found).to_bytes()
    assert verify_receipt(Receipt.from_bytes(written)).verdict is Verdict.GLOBAL
    if worse is not None:
        local = lm.certify(problem, np.array(worse, float))
        assert local.verdict is Verdict.STRICT_LOCAL
        assert local.gap is not None and 1e-4 < local.gap < 1e-2


# -- weights balanced for a bias -------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_balanced_weights_are_between_the_ends(seed: int) -> None:
    rng = np.random.default_rng(seed)
    signs = rng.choice([-1.0, 1.0], 7)
    signs[:2] = 1.0, -1.0
    weights = rng.exponential(size=7)
    low, high = -rng.exponential() * rng.integers(2), rng.exponential() * rng.integers(2)
    found = balanced(weights, signs, low, high)
    apart = float(found @ signs)
    assert low - 1e-12 <= apart <= high + 1e-12 and np.all(found >= 0.0)
    assert float(np.sum(found)) == pytest.approx(float(np.sum(weights)), rel=1e-12)
    within = low <= float(weights @ signs) <= high
    assert not within or np.allclose(found, weights, rtol=1e-14)
    same = balanced(weights, np.ones(7), low, high)
    assert float(np.sum(same)) == pytest.approx(min(high, float(np.sum(weights))), abs=1e-12)


def test_one_parameter_has_no_sphere_to_go_through() -> None:
    problem = lm.HardMargin(Bias("square"), lm.Dataset([[1.0]], [1], one_class=True))
    assert lm.certify(problem, [2.0]).certified
    assert not Sphere().applies(record(problem, [2.0]))


def test_every_global_of_the_shelf_names_its_bound() -> None:
    library, named = Library(), set[str]()
    for name, path in library.problem_paths().items():
        found = library.problem(path)
        try:
            problem = build(found)
            theta = stored_theta(found, problem)
        except LexmarginError:
            continue
        word = lm.certify(problem, theta)
        if word.verdict is Verdict.GLOBAL:
            bounds = [reason for reason in word.reasons if names_a_bound(reason)]
            assert bounds, f"{name}: {word.reasons}"
            named.add(bounds[-1].rsplit("(", 1)[1].rstrip(")"))
    assert len(named) >= 8 and named <= set(BoundMethod)


@pytest.mark.parametrize(
    ("members", "best"),
    [
        # With x = 1: w + b, both of one size; uv ≤ ½(u² + v²), however many share the ball;
        # and s + ½(1 - s²), largest where the linear score has all of it.
        ([lm.Linear(), lm.Bias("plain")], math.sqrt(2.0)),
        ([lm.Linear(), lm.Linear(), lm.Linear()], math.sqrt(3.0)),
        ([lm.DiagonalNetwork(2), lm.DiagonalNetwork(2)], 0.5),
        ([lm.Linear(), lm.DiagonalNetwork(2)], 1.0),
    ],
)
def test_summands_share_the_ball(members: list[Any], best: float) -> None:
    one = lm.Dataset([[1.0]], [1], one_class=True)
    problem = lm.MarginPath(Sum(members), one, 1.0)
    size = problem.functions.size
    kkt = problem.kkt(np.full(size, size**-0.5))[0]
    proved = Parts().prove(kkt, np.array([1.0]))
    assert proved is not None
    assert best <= proved.value <= best * (1.0 + 1e-9)
