"""Rivals of answers that are called global: better points that SciPy finds from a few starts.

They can only contradict: that none is found proves nothing.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from scipy import optimize

import lexmargin as lm
from instances_problems import Instance
from instances_samples import Array
from instances_separable import separable_gap

__all__ = ["beaten", "best_direction", "least_loss"]

STARTS: Final = 3
MOST: Final = 12
"""Parameters up to which derivatives by differences are cheap."""
AHEAD: Final = 1e-5
"""Relative lead of a rival that no tolerance of the certificate allows."""
_STEPS: Final = 100


def beaten(case: Instance, solution: Any) -> str:
    """Return how a GLOBAL answer of a nonconvex problem is beaten, empty where it is not."""
    problem, functions = case.problem, case.problem.functions
    word = solution.certificate.verdict
    apart = separable_gap(case, solution) if word is lm.Verdict.GLOBAL else math.nan
    if apart > AHEAD:
        return f"{apart:.2g} from the best of what it computes"
    if word is not lm.Verdict.GLOBAL or functions.size > MOST or not 1.0 < case.norm < math.inf:
        return ""
    theta = functions.flatten(solution.theta)
    rng = np.random.default_rng(0)
    starts = [theta, *rng.standard_normal((STARTS, functions.size))]
    kkt = problem.kkt(theta)[0]
    if kkt.is_direction:
        size = float(np.linalg.norm(theta, case.norm))
        own = float(np.min(functions.values(theta / size)))
        found = best_direction(functions, case.norm, starts)
        return f"margin {found:.9g} beats {own:.9g}" if found > own + AHEAD * abs(own) else ""
    if kkt.loss is None:
        return ""
    own, radius = problem.objective(theta), 1.0 if kkt.radius is not None else None
    least = least_loss(problem.objective, case.norm, radius, starts)
    return f"loss {least:.9g} beats {own:.9g}" if least < own - AHEAD * max(1.0, abs(own)) else ""


def best_direction(functions: Any, norm: float, starts: list[Array]) -> float:
    """Return the largest smallest margin of unit length that SLSQP finds from the starts."""
    best = -math.inf
    for start in starts:
        begin = start / np.linalg.norm(start, norm)
        x = np.append(begin, float(np.min(functions.values(begin))))
        with np.errstate(all="ignore"):
            found = optimize.minimize(
                lambda v: -v[-1],
                x,
                jac=lambda v: np.append(np.zeros(v.size - 1), -1.0),
                constraints=[
                    {
                        "type": "ineq",
                        "fun": lambda v: functions.values(v[:-1]) - v[-1],
                        "jac": lambda v: np.column_stack(
                            [functions.jacobian(v[:-1]), -np.ones(functions.count)]
                        ),
                    },
                    {"type": "ineq", "fun": lambda v: 1.0 - np.sum(np.abs(v[:-1]) ** norm)},
                ],
                method="SLSQP",
                options={"maxiter": _STEPS},
            )
            point = found.x[:-1]
            size = float(np.linalg.norm(point, norm))
            if size > 0.0 and np.all(np.isfinite(point)):
                best = max(best, float(np.min(functions.values(point / size))))
    return best


def least_loss(objective: Any, norm: float, radius: float | None, starts: list[Array]) -> float:
    """Return the least objective that SLSQP finds, in a ball or everywhere."""
    inside: list[Any] = []
    if radius is not None:
        inside = [{"type": "ineq", "fun": lambda v: radius**norm - np.sum(np.abs(v) ** norm)}]
    best = math.inf
    for start in starts:
        begin = start / max(1.0, float(np.linalg.norm(start, norm)))
        with np.errstate(all="ignore"):
            found = optimize.minimize(
                objective, begin, constraints=inside, method="SLSQP", options={"maxiter": _STEPS}
            )
            point = found.x
            size = float(np.linalg.norm(point, norm))
            if radius is not None and size > radius:
                point = point * (radius / size)
            value = float(objective(point)) if np.all(np.isfinite(point)) else math.inf
        best = min(best, value) if math.isfinite(value) else best
    return best
