"""The constrained path (eq. 5) at 40 values of ρ from 0.1 to 1e4: traced, beside 40 cold solves.

Data: two Gaussian clouds moved apart along a hidden direction. Linear scores in the norms 1, 2 and
inf, N = 200, d = 10, beside CVXPY with ρ as a Parameter and warm start (Clarabel); a two-layer
relu² network of width 6, N = 60, d = 30. "Cold" is `lexmargin.solve` at every ρ: one start for
linear scores, its default of 12 for the network, where one start loses most points. The trace of
the network includes γ*(ρ), which its restarts need.

Times are CPU seconds, median [smallest, largest]. Every point of every method is judged by the
same code: "certified" counts the points that pass, at the tolerance the trace states for that ρ.
Usage: python benchmarks/paths.py
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from common import machine, timed

import lexmargin as lm
from lexmargin.certificate import Tolerances, certify
from lexmargin.ops.base import FloatArray
from lexmargin.paths import PathPoint, TracedPath

RHOS = [float(rho) for rho in np.geomspace(1e-1, 1e4, 40)]
Thetas = list[FloatArray]


def clouds(count: int, features: int, apart: float) -> lm.Dataset:
    """Return two Gaussian clouds that a plane through 0 separates."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((count, features))
    direction = rng.standard_normal(features)
    direction /= np.linalg.norm(direction)
    y = np.where(X @ direction > 0, 1, -1)
    return lm.Dataset(X + apart * y[:, None] * direction, y)


def cold(problem: lm.ConstrainedPath) -> Thetas:
    """Return θ of 40 separate solves."""
    answers = (lm.solve(replace(problem, rho=rho)) for rho in RHOS)
    return [np.concatenate([block.reshape(-1) for block in answer.theta]) for answer in answers]


def traced(problem: lm.ConstrainedPath) -> TracedPath:
    """Return the path, with γ*(ρ) where the path needs it."""
    return lm.trace(problem, RHOS, margins=not problem.program().is_convex)


def with_parameter(problem: lm.ConstrainedPath) -> Thetas:
    """Return θ from one CVXPY problem with ρ as a Parameter; NaN where the solver gave nothing."""
    import cvxpy as cp

    rows = problem.functions.jacobian(np.zeros(problem.functions.size))
    w, rho = cp.Variable(rows.shape[1]), cp.Parameter(nonneg=True)
    stated = cp.Problem(cp.Minimize(cp.log_sum_exp(-rows @ w)), [cp.norm(w, problem.norm) <= rho])
    found = []
    for value in RHOS:
        rho.value = value
        try:
            stated.solve(solver="CLARABEL", warm_start=True)
        except cp.SolverError:
            w.value = None
        found.append(np.full(rows.shape[1], math.nan) if w.value is None else w.value / value)
    return found


def certified(problem: lm.ConstrainedPath, thetas: Thetas, path: TracedPath) -> int:
    """Return how many points pass, each at the tolerance of the trace's own certificate there."""
    count = 0
    for theta, point in zip(thetas, path.points, strict=True):
        if not np.all(np.isfinite(theta)):
            continue
        limits: Tolerances = point.certificate.tolerances
        judged = certify(replace(problem, rho=point.rho), theta, tolerances=limits)
        same: PathPoint = replace(point, certificate=judged)
        separates = judged.certified
        near = float(np.linalg.norm(theta - point.theta)) <= limits.stationarity
        count += separates or (same.certified and near)
    return count


def report(name: str, problem: lm.ConstrainedPath, linear: bool) -> None:
    """Print one block of the table."""
    path = timed(lambda: traced(problem), runs=5, budget=20.0)
    apart = timed(lambda: cold(problem), runs=3, budget=10.0)
    print(f"\n{name}: N = {problem.data.n_samples}, d = {problem.functions.size}")
    good = sum(point.certified for point in path.result.points)
    print(f"  trace              {path}   certified {good} of 40")
    passed = certified(problem, apart.result, path.result)
    print(f"  40 cold solves     {apart}   certified {passed} of 40")
    print(f"  trace / cold       1/{apart.median / path.median:.1f}")
    if linear:
        other: Any = timed(lambda: with_parameter(problem), runs=3, budget=20.0)
        passed = certified(problem, other.result, path.result)
        print(f"  CVXPY Parameter    {other}   certified {passed} of 40")
        print(f"  trace / CVXPY      1/{other.median / path.median:.1f}")


def main() -> None:
    """Print the table."""
    print(machine())
    warnings.simplefilter("ignore")
    data = clouds(200, 10, 0.5)
    for norm in (1, 2, "inf"):
        report(f"linear, norm {norm}", lm.ConstrainedPath(lm.Linear(), data, norm=norm), True)
    network = lm.Network((6,), lm.ReLU(power=2))
    report("relu², two layers", lm.ConstrainedPath(network, clouds(60, 4, 0.4)), False)


if __name__ == "__main__":
    main()
