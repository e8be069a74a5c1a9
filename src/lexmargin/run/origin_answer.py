"""The origin as the answer to a loss: where solvers end near it, and it is the exact minimiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np

from lexmargin.formulations.base import Formulation
from lexmargin.judge import Certificate, Tolerances, Verdict, certify
from lexmargin.ops.base import FloatArray

__all__ = ["Origin", "certified_origin"]

_NO_WORSE: Final = 1e-12
"""Part of a loss that its rounding may hide: within it the origin is no worse than an answer."""


@final
@dataclass(frozen=True, eq=False)
class Origin:
    """θ = 0 (d,), the weights of its loss (N,), and the certificate that says GLOBAL."""

    theta: FloatArray
    multipliers: FloatArray
    certificate: Certificate


def certified_origin(
    problem: Formulation, theta: FloatArray, tolerances: Tolerances
) -> Origin | None:
    """Return the origin where it minimises a convex loss and is no worse than θ; else None.

    There a norm has a kink, or the loss is flat (eq. 5, §2.2), and solvers end somewhere near: at a
    point whose direction is noise.

    Args:
        problem: a formulation.
        theta: (d,) the answer of a solver.
        tolerances: what counts as equal.
    """
    if not (problem.traits.is_loss and problem.program().is_convex and np.any(theta)):
        return None
    zero = np.zeros_like(theta)
    with np.errstate(all="ignore"):
        # A logarithm has no value at the origin.
        if not np.all(np.isfinite(problem.functions.values(zero))):
            return None
    here, there = problem.objective(theta), problem.objective(zero)
    if not there <= here + _NO_WORSE * max(1.0, abs(here)):
        return None
    found = certify(problem, zero, tolerances=tolerances)
    if found.verdict is not Verdict.GLOBAL:
        return None
    return Origin(zero, found.multipliers / float(found.multipliers.sum()), found)
