"""Kinked networks: hard margins of two-layer ReLU nets, ours beside general nonlinear solvers.

40 samples, 5 inputs, 10 units; labels of a teacher with 3 units, and random labels. Every route
gets the same separating starts. Counted as certified: a Clarke residual of at most 1e-9, judged by
our certificate on the raw answer, without any polish.
Usage: python benchmarks/relu.py [starts] [teacher|random|both] [route ...]
"""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass
from typing import final

import numpy as np
from common import machine

import lexmargin as lm
from lexmargin.backends import backend
from lexmargin.formulations.start import random_theta, separating_theta
from lexmargin.library import Library, grade
from lexmargin.ops.base import FloatArray
from lexmargin.paths import LossNormalizedStep, descend
from lexmargin.run import run

SAMPLES, INPUTS, UNITS = 40, 5, 10
ROUTES = ("convex-concave", "slsqp", "ipopt-casadi", "uno-filtersqp", "gradient-descent")
CERTIFIED = 1e-9
TARGET_SECONDS, TARGET_EXCESS = 0.2, 1e-3


@final
@dataclass(frozen=True)
class Outcome:
    """One start of one route."""

    seconds: float
    objective: float
    residual: float


def problem(labels: str) -> lm.HardMargin:
    """Return the instance with labels of a teacher, or with random ones."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((SAMPLES, INPUTS))
    coins = rng.random(SAMPLES) < 0.5
    teacher = np.maximum(X @ rng.standard_normal((INPUTS, 3)), 0.0) @ np.array([1.0, -1.0, 1.0])
    y = np.where(coins if labels == "random" else teacher > 0, 1, -1)
    return lm.HardMargin(lm.Network((UNITS,), lm.ReLU()), lm.Dataset(X, y))


def answer(instance: lm.HardMargin, route: str, start: FloatArray) -> Outcome:
    """Run one route from one start; CPU seconds of the route alone."""
    theta = np.full(start.size, np.nan)
    began = time.process_time()
    if route == "gradient-descent":
        found = descend(
            instance.predictor, instance.data, start=start, steps=3_000, record=1,
            step_rule=LossNormalizedStep(0.01),
        )  # fmt: skip
        theta = found.direction
    else:
        profile = Library().profile(route)
        done = run(
            instance, profile, grade("high"), backend(profile.backend), start,
            np.random.default_rng(0), None,
        )  # fmt: skip
        if done.answers:
            theta = instance.theta(done.answers, done.unit)
    seconds = time.process_time() - began
    margin = float(instance.functions.values(theta).min()) if np.all(np.isfinite(theta)) else 0.0
    if not margin > 0:
        return Outcome(seconds, np.inf, np.inf)
    certificate = lm.certify(instance, theta)
    return Outcome(seconds, 0.5 * float(theta @ theta) / margin, certificate.stationarity)


def compare(labels: str, count: int, routes: tuple[str, ...]) -> None:
    """Print one row per route."""
    instance = problem(labels)
    starts = []
    seed = 0
    while len(starts) < count:
        rng = np.random.default_rng(seed)
        theta, separates = separating_theta(
            instance.functions, random_theta(instance.functions, rng)
        )
        starts += [theta] if separates else []
        seed += 1
    outcomes: dict[str, list[Outcome]] = {}
    for route in routes:
        if route != "gradient-descent":
            profile = Library().profile(route)
            why = backend(profile.backend).available(profile.solver)
            if why:
                print(f"{route}: skipped, {why}")
                continue
        answer(instance, route, starts[0])  # imports and compilation are not the route's
        outcomes[route] = [answer(instance, route, start) for start in starts]
    best = min(o.objective for found in outcomes.values() for o in found)
    print(f"\n{labels} labels, {count} starts, best objective {best:.6f}")
    print(
        f"{'route':<18}{'certified':>10}{'CPU s':>9}{'median objective':>18}"
        f"{'excess':>9}{'best':>6}"
    )
    for route, found in outcomes.items():
        sure = [o for o in found if o.residual <= CERTIFIED]
        separating = [o for o in found if np.isfinite(o.objective)]
        middle = statistics.median(o.objective for o in (sure or separating or found))
        reached = sum(o.objective <= best * (1 + 1e-6) for o in found) / count
        print(
            f"{route:<18}{len(sure) / count:>10.0%}"
            f"{statistics.median(o.seconds for o in found):>9.3f}{middle:>18.6f}"
            f"{middle / best - 1:>9.2%}{reached:>6.0%}"
        )


def main() -> None:
    """Read the arguments and print the tables."""
    arguments = sys.argv[1:]
    count = int(arguments[0]) if arguments else 40
    labels = arguments[1] if len(arguments) > 1 else "both"
    routes = tuple(arguments[2:]) or ROUTES
    print(machine())
    print(f"targets: {TARGET_SECONDS} s per start, median within {TARGET_EXCESS:.1%} of the best")
    for name in ("teacher", "random") if labels == "both" else (labels,):
        compare(name, count, routes)


if __name__ == "__main__":
    main()
