"""What a piece of one's own must show, in one call each: for its tests, and for its page."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from lexmargin.backends import backend
from lexmargin.errors import LexmarginError, UnsupportedError
from lexmargin.formulations.base import MARGIN, Formulation
from lexmargin.formulations.kkt import Kkt
from lexmargin.inputs.kinds import checked
from lexmargin.judge.bounds.table import Bound
from lexmargin.judge.certify import certify
from lexmargin.judge.functions.kinks import measure_kinks
from lexmargin.judge.receipts.receipt import Receipt, receipt
from lexmargin.judge.receipts.verify import verify_receipt
from lexmargin.judge.tolerances import DEFAULT
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, Relation
from lexmargin.ops.curvature import Curvature
from lexmargin.ops.degree import HomogeneityKind
from lexmargin.ops.numpy import NumpyOps
from lexmargin.run.judged_answer import judge
from lexmargin.run.stages import run
from lexmargin.shelf.build import load, save
from lexmargin.shelf.library import Library
from lexmargin.shelf.library import grade as named_grade
from lexmargin.shelf.profiles import Finds, Grade, Profile
from lexmargin.solution import Claim, Solution

__all__ = ["bound", "formulation", "predictor", "profile"]

_STEP: Final = 1e-6
"""Of central differences: the cube root of rounding, where their two errors are alike."""
_ALIKE: Final = 1e-6
"""Relative difference of gradients that are the same: differences over `_STEP` err by far less."""
_ROUNDING: Final = 1e-12
"""Relative error of a best value in closed form: a bound may be below it by as much."""
_WEIGHTS: Final = 4
"""Random weights of every example; wrong signs and sums show with the first few."""
_POINTS: Final = 3
"""Points beside an answer: one alone may lie along a symmetry by chance."""
_ASIDE: Final = 0.1
"""How far they are, in the largest entry: further than any tolerance, nearer than other answers."""
_NEAR_STEPS: Final = 100.0
"""Steps up to which a kink can be felt: its distance is in the unit of θ, not of one entry."""
_SECONDS: Final = 60.0
"""For a small problem, so that the profile's word for time is tried as well."""
_CLAIMS: Final = {
    Finds.GLOBAL: (Claim.OPTIMAL,),
    Finds.LOCAL: (Claim.OPTIMAL, Claim.LOCALLY_OPTIMAL),
}
"""What a solver says of an answer as good as its profile promises."""


def bound(
    stated: Bound,
    examples: Sequence[tuple[Kkt, ArrayLike, float]],
    elsewhere: Sequence[Kkt] = (),
) -> tuple[str, ...]:
    """Return what is wrong with a bound, one sentence each; nothing where it conforms.

    At any weights it must not pass the best value, whatever their scale; at those of an example it
    must meet the point; what it returns as weights must prove the same again; and it must not
    apply to programs of which it does not speak.

    Args:
        stated: the bound.
        examples: a program at its best point, the weights (N,) that prove it there, and the best
            value: the largest margin, or the least cost.
        elsewhere: programs to which it must not apply.
    """
    rng, found = np.random.default_rng(0), list[str]()
    found += [f"it applies to program {n} elsewhere" for n, k in enumerate(elsewhere)
              if stated.applies(k)]  # fmt: skip
    for number, (kkt, given, best) in enumerate(examples):
        name, weights = f"example {number}", np.asarray(given, dtype=np.float64)
        if not stated.applies(kkt):
            found.append(f"it does not apply to {name}")
            continue
        met = stated.prove(kkt, weights)
        if met is None or not met.gap(best) <= DEFAULT.gap:
            found.append(f"it does not meet {name}")
        tried = [weights, np.zeros(weights.size), *rng.exponential(size=(_WEIGHTS, weights.size))]
        for one in tried:
            found += [f"{name}: {why}" for why in _bound_faults(stated, kkt, one, best)]
    return tuple(dict.fromkeys(found))


def _bound_faults(stated: Bound, kkt: Kkt, weights: FloatArray, best: float) -> list[str]:
    proved = stated.prove(kkt, weights)
    if proved is None:
        return []
    sign, found = 1.0 if proved.reached is None else -1.0, []
    if not sign * (proved.value - best) >= -_ROUNDING * abs(best):
        found.append(f"{proved.value:.9g} passes the best value {best:.9g}")
    again = [stated.prove(kkt, weights * scale) for scale in (2.0**-60, 2.0**60)]
    if any(one is None or not _near(one.value, proved.value) for one in again):
        found.append("another scale of the weights proves something else")
    if proved.weights is None:
        return found
    if proved.weights.shape != weights.shape or not np.all(proved.weights >= 0.0):
        return [*found, "its weights are not one number of at least 0 per margin"]
    shown = stated.prove(kkt, proved.weights)
    if shown is None or sign * (shown.value - proved.value) > _ALIKE * abs(proved.value):
        found.append("its own weights do not prove it")
    return found


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= _ALIKE * max(abs(a), abs(b))


@checked
def formulation(
    problem: Formulation, answer: ArrayLike, wrong: Sequence[ArrayLike] = ()
) -> tuple[str, ...]:
    """Return what is wrong with a formulation, one sentence each; nothing where it conforms.

    The objective must have the gradient that the KKT data state, the constraints of the program
    must be tight where those are, the certificate must accept the answer and refuse the wrong
    points, the receipt of each must verify, and receipts and files must read the same problem back.

    Args:
        problem: the formulation, with data whose answer is known.
        answer: (d,) a point that is certified at the default tolerances.
        wrong: points that are infeasible or not stationary.
    """
    theta = problem.functions.point(answer)
    if not problem.is_judged:
        return (f"{type(problem).__name__} has no method kkt of its own",)
    found = [*_program_faults(problem, theta), *_file_faults(problem)]
    found += _answer_faults(problem, theta)
    for number, point in enumerate(wrong):
        flat, name = problem.functions.point(point), f"wrong point {number}"
        other = certify(problem, flat)
        if other.certified:
            found.append(f"{name} is {other.verdict.value}")
        found += _receipt_faults(problem, flat, name)
    return tuple(found)


@checked
def predictor(problem: Formulation, answer: ArrayLike) -> tuple[str, ...]:
    """Return what is wrong with the predictor of a problem, one sentence each; nothing where it
    conforms.

    Gradients must be those of differences, but on kinks that the certificate sees; scores must
    grow with the computed degrees; where they are computed to be concave, chords must lie below
    them. The certificate must accept the answer and refuse points beside it, the receipt must
    verify, and receipts and files must read the same predictor back.

    Args:
        problem: of the predictor, on data that it separates.
        answer: (d,) a point that is certified at the default tolerances, and no other beside it.
    """
    functions, theta = problem.functions, problem.functions.point(answer)
    rng = np.random.default_rng(0)
    reach = _ASIDE * float(np.abs(theta).max())
    moved = [theta + reach * rng.standard_normal(theta.size) for _ in range(_POINTS)]
    found = [fault for point in (theta, *moved) for fault in _gradient_faults(functions, point)]
    found += [fault for point in moved for fault in _degree_faults(functions, point)]
    found += _chord_faults(functions, moved)
    found += [*_file_faults(problem), *_answer_faults(problem, theta)]
    # One parameter has no direction but the answer's own.
    beside = moved if theta.size > 1 else []
    words = [certify(problem, point).verdict for point in beside]
    found += [f"a point beside the answer is {word.value}" for word in words if word.certified]
    return tuple(dict.fromkeys(found))


@checked
def profile(
    name: str,
    problems: Sequence[Formulation],
    refused: Sequence[Formulation] = (),
    *,
    library: Library | None = None,
    grade: str = "mid",
) -> tuple[str, ...]:
    """Return what is wrong with a solver profile, one sentence each; nothing where it conforms.

    Its solver must be here, take the options that the grade and a time limit become, and solve the
    problems, so that the certificate accepts the answers; it must claim what it finds, and refuse
    the other problems by name.

    Args:
        name: of the profile on the shelf.
        problems: small ones that it handles.
        refused: some that it does not.
        library: the shelves; the shipped one if None.
        grade: the tolerance that is asked for.

    Raises:
        LibraryError, UnknownNameError: no such profile, or a file that is none.
    """
    chosen = (library or Library()).profile(name)
    engine = backend(chosen.backend)
    absent = engine.available(chosen.solver)
    if absent:
        return (absent,)
    found = []
    for number, problem in enumerate(problems):
        solution = _solved(chosen, problem, named_grade(grade))
        if isinstance(solution, str):
            found.append(f"problem {number} is refused: {solution}")
            continue
        word = solution.judgement
        if word is None or not word.certified:
            said = "no answer" if word is None else word.verdict.value
            found.append(f"the answer to problem {number} is {said}, its claim {solution.claim}")
        elif solution.claim not in _CLAIMS[chosen.finds]:
            found.append(f"its claim of problem {number} is {solution.claim}: {chosen.finds}")
    for number, problem in enumerate(refused):
        if not isinstance(_solved(chosen, problem, named_grade(grade)), str):
            found.append(f"it runs problem {number} of those that it refuses")
    return tuple(found)


def _solved(chosen: Profile, problem: Formulation, asked: Grade) -> Solution | str:
    """Return the judged answer, or the sentence with which the problem is refused."""
    engine, rng = backend(chosen.backend), np.random.default_rng(0)
    try:
        outcome = run(problem, chosen, asked, engine, None, rng, _SECONDS)
    except UnsupportedError as error:
        return str(error)
    return judge(problem, chosen, asked, outcome, 0, polish=False)


def _answer_faults(problem: Formulation, theta: FloatArray) -> list[str]:
    word = certify(problem, theta)
    said = [] if word.certified else [f"the answer is {word.verdict.value}: {word.reasons[0]}"]
    return [*_receipt_faults(problem, theta, "the answer"), *said]


def _file_faults(problem: Formulation) -> list[str]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "problem.toml"
        try:
            save(problem, path, title=problem.word)
            same = load(path) == problem
        except LexmarginError as error:
            return [f"its file fails: {error}"]
    return [] if same else ["its file is that of another problem: its fields are not read back"]


def _gradient_faults(functions: MarginFunctions, theta: FloatArray) -> list[str]:
    size = float(np.linalg.norm(theta))
    steps = _STEP * size * np.eye(theta.size)
    differences = [
        functions.values(theta + step) - functions.values(theta - step) for step in steps
    ]
    slopes = np.array(differences).T / (2.0 * _STEP * size)
    rows = functions.jacobian(theta)
    if np.allclose(rows, slopes, rtol=0.0, atol=_ALIKE * float(np.abs(slopes).max(initial=0.0))):
        return []
    kinks = measure_kinks(functions, theta, np.arange(functions.count))
    seen = kinks is not None and kinks.nearest.distance <= _NEAR_STEPS * _STEP
    return [] if seen else ["its gradients are not those of differences, and no kink is seen"]


def _degree_faults(functions: MarginFunctions, theta: FloatArray) -> list[str]:
    """Stretch every part so that it doubles: what is computed once for all must hold here."""
    if functions.homogeneity.kind is HomogeneityKind.NEITHER:
        return []
    blocks = list(functions.blocks(theta))
    for part in functions.homogeneity.parts:
        for k in part.blocks:
            blocks[k] = blocks[k] * 2.0 ** (1.0 / part.degree)
    before, after = functions.values(theta), functions.values(functions.flatten(blocks))
    scale = float(np.abs(before).max())
    alike = np.allclose(after, 2.0 * before, rtol=0.0, atol=_ALIKE * scale)
    return [] if alike else ["its values do not grow with the computed degrees"]


def _chord_faults(functions: MarginFunctions, points: Sequence[FloatArray]) -> list[str]:
    if functions.curvature is Curvature.UNKNOWN:
        return []
    found = []
    for a, b in pairwise(points):
        ends = functions.values(a), functions.values(b)
        slack = functions.values((a + b) / 2.0) - (ends[0] + ends[1]) / 2.0
        above = -float(slack.min())
        if functions.curvature <= Curvature.AFFINE:
            above = float(np.abs(slack).max())
        if above > _ALIKE * float(np.abs(ends).max()):
            found.append(f"its scores are not {functions.curvature.name.lower()}, as computed")
    return found


def _receipt_faults(problem: Formulation, theta: FloatArray, name: str) -> list[str]:
    try:
        made = receipt(problem, theta, certify(problem, theta))
        verified = verify_receipt(Receipt.from_bytes(made.to_bytes()))
    except LexmarginError as error:
        return [f"the receipt of {name} fails: {error}"]
    if verified.receipt.problem != problem:
        return [f"the receipt of {name} is that of another problem: its fields are not read back"]
    return []


def _program_faults(problem: Formulation, theta: FloatArray) -> list[str]:
    """Hold objective and program against the KKT data; rescaled programs are not looked at."""
    program, kkt = problem.program(), problem.kkt(theta)[0]
    values = problem.initial_values(theta, 1.0)
    blocks = problem.functions.blocks(theta)
    names = [variable.name for variable in problem.block_variables()]
    same = all(np.array_equal(values[n], b) for n, b in zip(names, blocks, strict=True))
    if kkt.costs is None or not same:
        return []
    found = []
    if _apart(_gradient(problem, theta), kkt) > _ALIKE:
        found.append("the gradient of the objective is not c w of the KKT data")
    ops: Any = NumpyOps()
    for constraint in program.constraints:
        if constraint.name != MARGIN or constraint.relation is not Relation.AT_LEAST:
            continue
        left, right = (side.evaluate(ops, values) for side in (constraint.left, constraint.right))
        slack = np.asarray(left) - np.asarray(right)
        tight = kkt.values - (kkt.margin if kkt.level is None else kkt.level)
        if np.any((slack > _ALIKE) != (tight > _ALIKE)):
            found.append("the program's constraints are tight elsewhere than those of the KKT data")
    return found


def _gradient(problem: Formulation, theta: FloatArray) -> FloatArray:
    value, steps = problem.objective, _STEP * float(np.linalg.norm(theta)) * np.eye(theta.size)
    return np.array([(value(theta + step) - value(theta - step)) / 2.0 for step in steps])


def _apart(gradient: FloatArray, kkt: Kkt) -> float:
    """Return the distance of two unit vectors over the entries that may move."""
    target = np.where(kkt.held, 0.0, kkt.target)
    gradient = np.where(kkt.held, 0.0, gradient)
    sizes = float(np.linalg.norm(gradient)), float(np.linalg.norm(target))
    if min(sizes) == 0.0:
        return float(max(sizes) > 0.0)
    return float(np.linalg.norm(gradient / sizes[0] - target / sizes[1]))
