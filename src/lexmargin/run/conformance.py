"""What a part of one's own must show, in one call: for its tests, and for its page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from lexmargin.errors import LexmarginError
from lexmargin.formulations.base import MARGIN, Formulation
from lexmargin.formulations.kkt import Kkt
from lexmargin.inputs.kinds import checked
from lexmargin.judge.bounds.table import Bound
from lexmargin.judge.certify import certify
from lexmargin.judge.receipts.receipt import Receipt, receipt
from lexmargin.judge.receipts.verify import verify_receipt
from lexmargin.judge.tolerances import DEFAULT
from lexmargin.ops.base import FloatArray, Relation
from lexmargin.ops.numpy import NumpyOps

__all__ = ["bound", "formulation"]

_STEP: Final = 1e-6
"""Of central differences: the cube root of rounding, where their two errors are alike."""
_ALIKE: Final = 1e-6
"""Relative difference of gradients that are the same: differences over `_STEP` err by far less."""


_ROUNDING: Final = 1e-12
"""Relative error of a best value in closed form: a bound may be below it by as much."""
_WEIGHTS: Final = 4
"""Random weights of every example; wrong signs and sums show with the first few."""


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
    points, and the receipt of each must verify and read the same problem back.

    Args:
        problem: the formulation, with data whose answer is known.
        answer: (d,) a point that is certified at the default tolerances.
        wrong: points that are infeasible or not stationary.
    """
    theta = problem.functions.point(answer)
    if not problem.is_judged:
        return (f"{type(problem).__name__} has no method kkt of its own",)
    found = [*_program_faults(problem, theta), *_receipt_faults(problem, theta, "the answer")]
    word = certify(problem, theta)
    if not word.certified:
        found.append(f"the answer is {word.verdict.value}: {word.reasons[0]}")
    for number, point in enumerate(wrong):
        flat, name = problem.functions.point(point), f"wrong point {number}"
        other = certify(problem, flat)
        if other.certified:
            found.append(f"{name} is {other.verdict.value}")
        found += _receipt_faults(problem, flat, name)
    return tuple(found)


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
