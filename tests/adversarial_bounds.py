"""Adversarial bounds: sums of parts, whose bound is asked of weights of any quality.

The oracle evaluates the scores by itself and climbs from many starts with SLSQP: no point that it
finds may do better than a bound allows, or than a point that is called global.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

import lexmargin as lm
from adversarial_common import Family, Trial
from lexmargin.judge import Tolerances, Verdict
from lexmargin.judge.bounds.table import BOUNDS
from lexmargin.margins import MarginFunctions
from lexmargin.predictors import Bias, Sum
from uneven_margin import Uneven

__all__ = ["FAMILIES", "SHARES"]

Array = NDArray[np.float64]
Rng = np.random.Generator
Score = Callable[[Array, Array], Array]

LIMITS: Final = Tolerances.at(1e-6)
ROOM: Final = 2e-5
"""What SLSQP may miss of a constraint or of an optimum, relative."""


@dataclass(frozen=True)
class Member:
    """A summand: the predictor, how many numbers it has, its degree, and its score by itself."""

    predictor: Any
    size: int
    degree: int
    score: Score


def _linear(rng: Rng, p: int) -> Member:
    return Member(lm.Linear(), p, 1, lambda w, X: X @ w)


def _signed(rng: Rng, p: int) -> Member:
    return Member(Bias("signed-square"), 1, 2, lambda w, X: np.full(len(X), w[0] * abs(w[0])))


def _square(rng: Rng, p: int) -> Member:
    return Member(Bias("square"), 1, 2, lambda w, X: np.full(len(X), w[0] ** 2))


def _diagonal(rng: Rng, p: int) -> Member:
    depth = int(rng.integers(2, 4))
    score: Score = lambda w, X: X @ np.prod(w.reshape(depth, p), axis=0)  # noqa: E731
    return Member(lm.DiagonalNetwork(depth), depth * p, depth, score)


def _two_layers(rng: Rng, p: int) -> Member:
    width, slope = int(rng.integers(1, 3)), float(rng.choice([0.0, 0.3, 1.0]))
    activation = {0.0: lm.ReLU(), 0.3: lm.LeakyReLU(0.3), 1.0: lm.Identity()}[slope]

    def score(w: Array, X: Array) -> Array:
        z = X @ w[: width * p].reshape(width, p).T
        return np.where(z > 0.0, z, slope * z) @ w[width * p :]

    return Member(lm.Network((width,), activation), width * (p + 1), 2, score)


KINDS: Final = (_linear, _signed, _square, _diagonal, _two_layers)


@dataclass(frozen=True)
class Case:
    """A problem, its margins and its cost as the oracle has them, and the costs per entry."""

    problem: Any
    margins: Callable[[Array], Array]
    costs: Array
    radius: float | None
    required: Array

    def value(self, w: Array) -> float:
        """Return the smallest margin, or the cost."""
        if self.radius is not None:
            return float(np.min(self.margins(w)))
        return float(np.sum(self.costs * w * w))


def _case(rng: Rng) -> Case:
    p, count = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    members = [KINDS[int(k)](rng, p) for k in rng.integers(len(KINDS), size=rng.integers(1, 4))]
    X, y = rng.standard_normal((count, p)), rng.choice([-1, 1], count)
    one = bool(np.all(y == y[0]))
    data = lm.Dataset(X, y, one_class=one) if one else lm.Dataset(X, y)
    predictor = Sum([m.predictor for m in members]) if len(members) > 1 else members[0].predictor
    ends = np.cumsum([0, *(m.size for m in members)])
    signs = np.asarray(data.signed, dtype=float)

    def margins(w: Array) -> Array:
        parts = zip(members, ends[:-1], ends[1:], strict=True)
        return signs * np.sum([m.score(w[a:b], X) for m, a, b in parts], axis=0)

    ones, size = np.ones(count), int(ends[-1])
    kind = int(rng.integers(4))
    rho, gamma = float(np.exp(rng.uniform(-1, 2))), float(np.exp(rng.uniform(-1, 2)))
    if kind == 0 and len({m.degree for m in members}) > 1:
        return Case(lm.MarginPath(predictor, data, rho), margins, np.ones(size), rho, ones)
    if kind == 1:
        each = [np.full(m.size, gamma ** (2.0 / m.degree)) for m in members]
        return Case(lm.ScaledMargin(predictor, data, gamma), margins, np.hstack(each), None, ones)
    if kind == 2:
        least = min(m.degree for m in members)
        each = [np.full(m.size, float(m.degree == least)) for m in members]
        return Case(lm.WSet(predictor, data), margins, np.hstack(each), None, ones)
    blocks = [math.prod(s) for s in MarginFunctions(predictor, data).shapes]
    costs = np.repeat(np.exp(rng.uniform(-1, 1, len(blocks))), blocks)
    wanted = np.exp(rng.uniform(-1, 1, count))
    stated = Uneven(predictor, data, tuple(costs.tolist()), tuple(wanted.tolist()))
    return Case(stated, margins, costs, None, wanted)


def _climbed(case: Case, start: Array) -> Array | None:
    """Return a point near a local optimum, feasible up to `ROOM`; None where SLSQP finds none."""
    if case.radius is not None:
        rho = case.radius
        begin = start * rho / np.linalg.norm(start)
        found = minimize(
            lambda v: -v[-1],
            np.append(begin, np.min(case.margins(begin))),
            method="SLSQP",
            constraints=[
                {"type": "ineq", "fun": lambda v: case.margins(v[:-1]) - v[-1]},
                {"type": "ineq", "fun": lambda v: rho**2 - v[:-1] @ v[:-1]},
            ],
            options={"maxiter": 200, "ftol": 1e-15},
        )
        w = np.asarray(found.x[:-1])
        return w * min(1.0, rho / np.linalg.norm(w)) if np.any(w) else None
    found = minimize(
        lambda w: np.sum(case.costs * w * w),
        start,
        method="SLSQP",
        constraints=[{"type": "ineq", "fun": lambda w: case.margins(w) / case.required - 1.0}],
        options={"maxiter": 200, "ftol": 1e-15},
    )
    w = np.asarray(found.x)
    short = not np.all(np.isfinite(w)) or np.min(case.margins(w) / case.required) < 1.0 - 1e-9
    return None if short or not np.any(w) else w


def _points(rng: Rng, case: Case, count: int) -> list[Array]:
    size = case.costs.size
    starts = (rng.standard_normal(size) * np.exp(rng.uniform(-1, 1)) for _ in range(count))
    with np.errstate(all="ignore"):
        found = [_climbed(case, start) for start in starts]
    return [w for w in found if w is not None]


def weights_of_any_quality(rng: Rng) -> Trial:
    """No row of the table bounds below what is reached, whatever the weights."""
    case = _case(rng)
    points = _points(rng, case, 4)
    if not points:
        return Trial(None)
    large = case.radius is not None
    best = (max if large else min)(case.value(w) for w in points)
    at = points[int(rng.integers(len(points)))] * (1.0 if rng.random() < 0.5 else 1.3)
    theta = at / case.radius if case.radius is not None else at
    kkt = case.problem.kkt(theta)[0]
    found = lm.certify(case.problem, theta, tolerances=LIMITS)
    count = kkt.functions.count
    several = [found.multipliers, rng.dirichlet(np.ones(count)), rng.exponential(size=count) ** 4]
    several.append(np.where(rng.random(count) < 0.5, several[1], 0.0))
    for bound in BOUNDS:
        if kkt.is_direction or not bound.applies(kkt):
            continue
        for weights in several:
            proved = bound.prove(kkt, weights * 2.0 ** float(rng.integers(-40, 40)))
            if proved is None:
                continue
            # Costs may be stated over the largest of them, and sizes are square roots of costs.
            value, reached = proved.value, best
            if proved.reached is not None:
                value = proved.value / proved.reached
                value *= value if bound.method == "concave-duality" else 1.0
                reached = best / case.value(at)
                if value > reached * (1.0 + ROOM):
                    return Trial(found.verdict, f"{proved.reason}: {value:.9g} above {reached:.9g}")
            elif reached > value * (1.0 + ROOM) + 1e-12:
                return Trial(found.verdict, f"{proved.reason}: {value:.9g} below {reached:.9g}")
    return Trial(found.verdict)


def called_global(rng: Rng) -> Trial:
    """No start leads to a point that does better than one that is called global."""
    case = _case(rng)
    points = _points(rng, case, 2)
    if not points:
        return Trial(None)
    large = case.radius is not None
    w = (max if large else min)(points, key=case.value)
    theta = w / case.radius if case.radius is not None else w
    found = lm.certify(case.problem, theta, tolerances=LIMITS)
    if found.verdict is not Verdict.GLOBAL:
        return Trial(found.verdict)
    mine = case.value(w)
    for other in _points(rng, case, 8):
        theirs = case.value(other)
        better = theirs > mine * (1.0 + ROOM) if large else theirs < mine * (1.0 - ROOM) - 1e-12
        if better:
            return Trial(found.verdict, f"{found.reasons[-1]}: {theirs:.9g} beats {mine:.9g}")
    return Trial(found.verdict)


FAMILIES: Final[dict[str, Family]] = {
    "bounds: weights of any quality": weights_of_any_quality,
    "bounds: sums called global": called_global,
}
SHARES: Final = {"bounds: weights of any quality": 0.1, "bounds: sums called global": 0.1}
