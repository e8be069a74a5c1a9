"""Kinked networks: hard margins of ReLU nets of two and more layers, ours beside general solvers.

Two layers: 40 samples, 5 inputs, 10 units; labels of a teacher with 3 units, and random labels.
Every route gets the same separating starts, peers half of them and slow ones fewer (said in the
note), and random labels half of them. Counted as certified: a positive verdict of our certificate
and a residual of at most 1e-9, on the raw answer; "after polish" gives the same after our own
polish of what the route returned from the first ten starts. Excess is that of the median objective
of all starts over the best one that any route found; "bound %" how far the best one of ours is, at
most, above the least objective of ten units, by the bound of its certificate.
Usage: python benchmarks/relu.py [--seed S] [--seeds K] [--limit SECONDS] [--only WORD]
"""

from __future__ import annotations

import importlib
import math
import statistics
import time
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from common import Bench, Options, Role, Row, options
from measure import measured

import lexmargin as lm
from lexmargin.backends import backend
from lexmargin.backends.kinked.gated import gated_network
from lexmargin.backends.kinked.pattern_search import pattern_search
from lexmargin.formulations.start import random_theta, separating_theta
from lexmargin.ops.base import FloatArray
from lexmargin.paths import LossNormalizedStep, descend
from lexmargin.run.stages import run
from lexmargin.shelf.library import Library, grade

SAMPLES: Final = 40
INPUTS: Final = 5
UNITS: Final = 10
SLOW: Final = ("gradient-descent", "ipopt-casadi", "ipopt-lbfgs", "uno-filtersqp")
ROUTES: Final = ("convex-concave", "slsqp", *SLOW)
FAST: Final = ("convex-concave", "slsqp", "gradient-descent", "uno-filtersqp")
"""The routes for random labels."""
DEEP: Final = {
    "3 layers 6-6-5-1, 30 samples": ((6, 5), 6, 30, 0.0),
    "4 layers 6-6-6-4-1, 30 samples": ((6, 6, 4), 6, 30, 0.0),
    "3 layers 6-6-5-1, leaky 0.1, 30 samples": ((6, 5), 6, 30, 0.1),
}
DEEP_ROUTES: Final = ("fixed-pattern", "slsqp", "ipopt-casadi")
GROWTH: Final = (20, 40, 80, 160)
CERTIFIED: Final = 1e-9
LIMIT: Final = 6.0
POLISHED: Final = 5
STARTS: Final = 20
SLOW_STARTS: Final = 1


@final
@dataclass(frozen=True)
class Outcome:
    """One start of one route."""

    seconds: float
    memory: float
    objective: float
    residual: float
    complementarity: float
    certified: bool
    polished: bool
    theta: FloatArray


def problem(
    rng: np.random.Generator, labels: str, widths: tuple[int, ...] = (UNITS,),
    inputs: int = INPUTS, samples: int = SAMPLES, slope: float = 0.0,
) -> lm.HardMargin:  # fmt: skip
    """Return an instance with labels of a teacher, or with random ones."""
    X = rng.standard_normal((samples, inputs))
    coins = rng.random(samples) < 0.5
    teacher = np.maximum(X @ rng.standard_normal((inputs, 3)), 0.0) @ np.array([1.0, -1.0, 1.0])
    y = np.where(coins if labels == "random" else teacher > 0, 1, -1)
    activation = lm.LeakyReLU(slope) if slope else lm.ReLU()
    return lm.HardMargin(lm.Network(widths, activation), lm.Dataset(X, y))


def starts_of(instance: lm.HardMargin, rng: np.random.Generator, count: int) -> list[FloatArray]:
    """Return separating starts."""
    starts: list[FloatArray] = []
    for _ in range(100 * count):
        begin = random_theta(instance.functions, rng)
        theta, separates = separating_theta(instance.functions, begin)
        starts += [theta] if separates else []
        if len(starts) == count:
            break
    return starts


def theta_of(instance: lm.HardMargin, route: str, start: FloatArray) -> FloatArray:
    """Run one route from one start and return its θ; NaN without an answer."""
    if route == "gradient-descent":
        found = descend(
            instance.predictor, instance.data, start=start, steps=3_000, record=1,
            step_rule=LossNormalizedStep(0.01), polish=False,
        )  # fmt: skip
        return found.direction
    profile = Library().profile(route)
    done = run(
        instance, profile, grade("high"), backend(profile.backend), start,
        np.random.default_rng(0), LIMIT,
    )  # fmt: skip
    if not done.answers:
        return np.full(start.size, np.nan)
    return instance.theta(done.answers, done.unit)


def judged(instance: lm.HardMargin, theta: FloatArray) -> tuple[float, float, float, bool]:
    """Return objective at margin 1, ε, δ, and whether our certificate says KKT or Clarke-KKT."""
    functions = instance.functions
    margin = float(functions.values(theta).min()) if np.all(np.isfinite(theta)) else 0.0
    degree = functions.homogeneity.degree
    if not margin > 0 or degree is None:
        return math.inf, math.inf, math.inf, False
    found = lm.certify(instance, theta)
    sure = found.verdict.stationary and found.stationarity <= CERTIFIED
    objective = 0.5 * float(theta @ theta) * margin ** (-2.0 / degree)
    return objective, found.stationarity, found.complementarity, sure


def answer(instance: lm.HardMargin, route: str, start: FloatArray, polish: bool) -> Outcome:
    """Run one route from one start; CPU seconds of the route alone."""
    timing, memory = measured(lambda: theta_of(instance, route, start), runs=1)
    theta = timing.result
    objective, residual, complementarity, sure = judged(instance, theta)
    polished = sure
    if polish and not sure and math.isfinite(objective):
        slope = instance.functions.predictor.kink_slope
        assert slope is not None
        net, _ = gated_network(instance.functions, slope)
        polished = judged(instance, pattern_search(net, theta, rounds=20).theta)[3]
    return Outcome(
        timing.median, memory, objective, residual, complementarity, sure, polished, theta
    )


def above_bound(instance: lm.HardMargin, found: list[Outcome]) -> float:
    """Return how far the best objective is, at most, above the least; NaN without a bound."""
    theta = min(found, key=lambda outcome: outcome.objective).theta
    certificate = lm.certify(instance, theta)
    if certificate.bound is None or not certificate.margin > 0.0:
        return math.nan
    return float((certificate.bound / certificate.margin) ** (2.0 / instance.degree) - 1.0)


def compare(
    bench: Bench, name: str, instance: lm.HardMargin, routes: tuple[str, ...], count: int, few: int
) -> dict[str, float]:
    """Add one row per route; return the excess of the median objective of each."""
    starts = starts_of(instance, bench.generator(81), count)
    outcomes: dict[str, list[Outcome]] = {}
    for route in routes:
        if route != "gradient-descent":
            profile = Library().profile(route)
            why = backend(profile.backend).available(profile.solver)
            if why:
                bench.add(Row(name, route, note=why))
                continue
        given = few if route in SLOW else count if route == routes[0] else -(-count // 2)
        polish = route != routes[0]
        outcomes[route] = [
            answer(instance, route, start, polish and index < POLISHED)
            for index, start in enumerate(starts[:given])
        ]
    best = min(o.objective for found in outcomes.values() for o in found)
    excesses: dict[str, float] = {}
    for route, found in outcomes.items():
        middle = statistics.median(o.objective for o in found)
        excesses[route] = middle / best - 1.0
        bounded = {"bound %": 100.0 * above_bound(instance, found)} if route == routes[0] else {}
        separating = [o for o in found if math.isfinite(o.objective)]
        bench.add(
            Row(
                name,
                route,
                tuple(o.seconds for o in found),
                statistics.median(o.residual for o in separating) if separating else math.nan,
                statistics.median(o.complementarity for o in separating)
                if separating
                else math.nan,
                memory=max(o.memory for o in found),
                note=f"{len(found)} starts",
                figures={
                    "certified %": 100.0 * statistics.mean(o.certified for o in found),
                    "after polish %": 100.0 * statistics.mean(o.polished for o in found[:POLISHED]),
                    "median objective": middle,
                    "excess %": 100.0 * excesses[route],
                    "reached the best %": 100.0
                    * statistics.mean(o.objective <= best * (1 + 1e-6) for o in found),
                    **bounded,
                },
                role=Role.OURS if route == routes[0] else Role.PEER,
            )
        )
    bench.ratios(name, routes[0])
    return excesses


def grow(bench: Bench, route: str, widths: tuple[int, ...]) -> None:
    """Fit how the time of one start grows with the number of samples."""
    seconds = []
    for samples in GROWTH:
        instance = problem(bench.generator(82, samples), "teacher", widths, samples=samples)
        taken = []
        for start in starts_of(instance, bench.generator(83, samples), 3):
            began = time.process_time()
            theta_of(instance, route, start)
            taken.append(time.process_time() - began)
        seconds.append(statistics.median(taken))
    bench.growth(f"{route}, widths {widths}", "N", GROWTH, seconds)


def shallow(bench: Bench, asked: Options) -> None:
    """Two layers, with the labels of a teacher and with random ones."""
    for index, (labels, share, routes) in enumerate((("teacher", 1, ROUTES), ("random", 2, FAST))):
        name = f"{labels} labels, N={SAMPLES}, {INPUTS} inputs, {UNITS} units"
        if not asked.wants(name):
            continue
        count = (5 if asked.long else 1) * STARTS // share
        instance = problem(bench.generator(84, index), labels)
        excesses = compare(bench, name, instance, routes, count, SLOW_STARTS)
        ours = bench.own(name)
        assert ours is not None
        bench.target(f"{labels}: certified %", ours.figures["certified %"], 100.0)
        bench.target(f"{labels}: seconds of a start", ours.median, 0.2, at_least=False)
        bench.target(f"{labels}: excess", excesses[ROUTES[0]], 1e-3, at_least=False)


def deep(bench: Bench, asked: Options) -> None:
    """Three and four layers."""
    for index, (name, (widths, inputs, samples, slope)) in enumerate(DEEP.items()):
        if not asked.wants(name):
            continue
        instance = problem(bench.generator(85, index), "teacher", widths, inputs, samples, slope)
        compare(bench, name, instance, DEEP_ROUTES, 10, 1)
        row = bench.own(name)
        assert row is not None
        bench.target(f"{name}: certified %", row.figures["certified %"], 100.0)


def main() -> None:
    """Print the tables."""
    # Imported here, so that no route pays for it.
    for module in ("casadi", "cvxpy", "cyipopt", "daqp", "pyomo.environ", "scipy.optimize"):
        importlib.import_module(module)
    asked = options(__doc__, LIMIT)
    with Bench("relu", "Hard margins of ReLU networks", ROUTES[0], asked.seeds) as bench:
        for _ in bench.each_seed():
            shallow(bench, asked)
            deep(bench, asked)
            if asked.wants("growth"):
                grow(bench, "convex-concave", (UNITS,))
                grow(bench, "fixed-pattern", (6, 5))


if __name__ == "__main__":
    main()
