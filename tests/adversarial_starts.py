"""Starts of every kind of problem: no answer is worse than the start it was given.

The oracle is `certify` on the start, which knows no solver, and the paper's own objective.
"""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np

import lexmargin as lm
from adversarial_common import Family, Trial
from instances_problems import drawn, instance
from instances_samples import Array, Rng
from lexmargin.errors import LexmarginError
from lexmargin.judge import Certificate, Verdict

__all__ = ["FAMILIES", "SHARES", "worse"]

SMALL: Final = ("gaussian", "clustered", "integer", "rows spread 1e±6", "times 1e-12", "one sample")
"""Of these a problem is solved twice in a second or two; larger ones add no other kind of start."""
ROUNDING: Final = 1e-9
"""Relative difference of objectives that a certificate's tolerances may hide."""


def _value(problem: Any, theta: Array) -> float:
    """Return what is smaller at the better point: the objective, or minus the margin."""
    sign = -1.0 if problem.program().sense.value == "maximize" else 1.0
    return sign * float(problem.objective(theta))


def worse(problem: Any, start: Array, before: Certificate, found: lm.Solution) -> str:
    """Say why an answer is worse than its start; empty where it is not."""
    word, after = before.verdict, found.certificate.verdict
    theta = problem.functions.flatten(found.theta)
    if found.solver == "start":
        start = theta
    here, there = _value(problem, start), _value(problem, theta)
    better = there < here - ROUNDING * max(1.0, abs(here))
    if word.certified and not after.certified:
        return f"{after.value} from a start that is {word.value}"
    if after.rank < word.rank and not (better and word is not Verdict.GLOBAL):
        return f"{after.value} from {word.value} at no better objective, {there!r} from {here!r}"
    # A direction has no objective of its own before it has its length.
    plain = problem.kkt(start)[0].is_direction
    if after is word and not plain and there > here + ROUNDING * max(1.0, abs(here)):
        return f"objective {there!r} from a start of {here!r}, both {word.value}"
    separating = word is not Verdict.NOT_SEPARATING
    if (
        after is word
        and plain
        and separating
        and found.margin < before.margin - 1e-6 * abs(before.margin)
    ):
        return f"margin {found.margin!r} from a start of {before.margin!r}, both {word.value}"
    return ""


def _start(rng: Rng, problem: Any) -> Any:
    """Return a start: an answer, an answer that was moved or stretched, or anything."""
    size = problem.functions.size
    kind = int(rng.integers(6))
    if kind == 0:
        return rng.standard_normal(size) * 10.0 ** rng.uniform(-1, 1)
    grade = "low" if kind == 1 else "default"
    found = lm.solve(
        problem, grade=grade, starts=int(rng.integers(1, 3)), seed=int(rng.integers(9))
    )
    if kind == 2:
        return found
    theta = problem.functions.flatten(found.theta)
    if kind == 3:
        return theta * 10.0 ** rng.uniform(-1, 1)
    if kind == 4:
        step = 10.0 ** rng.uniform(-12, -1) * np.linalg.norm(theta)
        return theta + step * rng.standard_normal(size)
    return theta


def starts(rng: Rng) -> Trial:
    """Draw a problem and a start, and solve from there."""
    combination = drawn(int(rng.integers(10**6)), int(rng.integers(10**6)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            one = instance(rng, *combination[:-1], str(rng.choice(SMALL)))
            problem = one.problem
            start = _start(rng, problem)
            before = lm.certify(problem, start)
            solver = "auto" if rng.random() < 0.5 else "ipopt"
            found = lm.solve(problem, solver, start=start, seed=int(rng.integers(9)))
        except LexmarginError as error:
            return Trial(None, note=error.code)
    flat = problem.functions.flatten(start.theta) if isinstance(start, lm.Solution) else start
    if found.judgement is None:
        wrong = before.certified and f"none from {before.verdict.value}"
        return Trial(before.verdict, str(wrong or ""))
    said = worse(problem, np.asarray(flat), before, found)
    name = f"{one.formulation} of {one.predictor}, {one.norm}, {one.data}, {solver}: "
    return Trial(found.certificate.verdict, said and name + said)


FAMILIES: Final[dict[str, Family]] = {"a start and its answer": starts}
SHARES: Final = {"a start and its answer": 0.01}
