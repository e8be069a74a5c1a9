"""What a formulation of one's own must show, in one call: for its tests, and for its page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from lexmargin.errors import LexmarginError
from lexmargin.formulations.base import MARGIN, Formulation
from lexmargin.formulations.kkt import Kkt
from lexmargin.inputs.kinds import checked
from lexmargin.judge.certify import certify
from lexmargin.judge.receipts.receipt import Receipt, receipt
from lexmargin.judge.receipts.verify import verify_receipt
from lexmargin.ops.base import FloatArray, Relation
from lexmargin.ops.numpy import NumpyOps

__all__ = ["formulation"]

_STEP: Final = 1e-6
"""Of central differences: the cube root of rounding, where their two errors are alike."""
_ALIKE: Final = 1e-6
"""Relative difference of gradients that are the same: differences over `_STEP` err by far less."""


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
