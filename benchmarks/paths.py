"""The constrained path (eq. 5) at 40 values of ρ from 0.1 to 1e4: traced, beside 40 cold solves.

Data: two Gaussian clouds moved apart along a hidden direction. Linear scores in the norms 1, 2 and
inf, N = 200, d = 10, beside CVXPY with ρ as a Parameter and warm start (Clarabel); a two-layer
relu² network of width 6, N = 60, d = 30. "Cold" is `lexmargin.solve` at every ρ: one start for
linear scores, its default of 12 for the network, where one start loses most points. The trace of
the network includes γ*(ρ), which its restarts need.

The adaptive trace chooses its values of ρ itself, for a path that is straight between them to 1 %.
Times are CPU seconds, median [smallest, largest]. Every point of every method is judged by the
same code: "certified" counts the points that pass, at the tolerance the trace states for that ρ;
ε and δ are those of the worst one.
Usage: python benchmarks/paths.py
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
from common import Bench, Row, measured, timed

import lexmargin as lm
from lexmargin.judge import Tolerances, certify
from lexmargin.ops.base import FloatArray
from lexmargin.paths import PathPoint, TracedPath

RHOS = [float(rho) for rho in np.geomspace(1e-1, 1e4, 40)]
GRID = lm.AdaptiveGrid(RHOS[0], RHOS[-1], 1e-2)
Thetas = list[FloatArray]
OURS, COLD = "trace", "40 cold solves"


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


def judged(
    problem: lm.ConstrainedPath, thetas: Thetas, path: TracedPath
) -> tuple[int, float, float]:
    """Return how many points pass, each at the tolerance of the trace there, and the worst ε, δ."""
    count, worst = 0, (0.0, 0.0)
    for theta, point in zip(thetas, path.points, strict=True):
        if not np.all(np.isfinite(theta)):
            continue
        limits: Tolerances = point.certificate.tolerances
        found = certify(replace(problem, rho=point.rho), theta, tolerances=limits)
        same: PathPoint = replace(point, certificate=found)
        separates = found.certified
        if not math.isnan(found.stationarity):
            worst = (max(worst[0], found.stationarity), max(worst[1], found.complementarity))
        near = float(np.linalg.norm(theta - point.theta)) <= limits.stationarity
        count += separates or (same.certified and near)
    return count, *worst


def report(bench: Bench, words: str, problem: lm.ConstrainedPath, linear: bool) -> None:
    """Print the rows of one path."""
    name = f"{words}: N = {problem.data.n_samples}, d = {problem.functions.size}"
    path, memory = measured(lambda: traced(problem), runs=9, budget=6.0)

    def add(method: str, thetas: Thetas, seconds: tuple[float, ...], used: float) -> int:
        count, epsilon, delta = judged(problem, thetas, path.result)
        figures = {"certified": float(count)}
        bench.add(Row(name, method, seconds, epsilon, delta, memory=used, figures=figures))
        return count

    own = [point.theta for point in path.result.points]
    count = add(OURS, own, path.seconds, memory)
    apart, memory = measured(lambda: cold(problem), runs=5, budget=6.0)
    add(COLD, apart.result, apart.seconds, memory)
    if linear:
        other, memory = measured(lambda: with_parameter(problem), runs=3, budget=3.0)
        add("CVXPY with a Parameter", other.result, other.seconds, memory)
    few, memory = measured(lambda: lm.trace(problem, GRID), runs=5, budget=3.0)
    worst = max(p.certificate.stationarity for p in few.result.points if p.certificate.certified)
    good = sum(point.certified for point in few.result.points)
    figures = {"points": float(len(few.result.points)), "certified": float(good)}
    bench.add(Row(name, "trace, adaptive", few.seconds, worst, memory=memory, figures=figures))
    ratios = bench.ratios(name)
    bench.target(f"{words}: trace / cold", 1.0 / ratios[COLD].value, 1.0 / 6.0, at_least=False)
    bench.target(f"{words}: certified points of 40", count, 40)


def main() -> None:
    """Print the table."""
    import cvxpy  # noqa: F401  so that the peer does not pay for it

    warnings.simplefilter("ignore")
    with Bench("paths", "Constrained path, 40 values of ρ to 1e4, CPU seconds", OURS) as bench:
        data = clouds(200, 10, 0.5)
        for norm in (1, 2, "inf"):
            report(
                bench,
                f"linear, norm {norm}",
                lm.ConstrainedPath(lm.Linear(), data, norm=norm),
                True,
            )
        network = lm.Network((6,), lm.ReLU(power=2))
        report(bench, "relu², two layers", lm.ConstrainedPath(network, clouds(60, 4, 0.4)), False)
        sizes = (200, 400, 800, 1600)
        for norm in (1, 2, "inf"):
            seconds = []
            for count in sizes:
                problem = lm.ConstrainedPath(lm.Linear(), clouds(count, 10, 0.5), norm=norm)
                seconds.append(timed(lambda p=problem: traced(p), runs=3, budget=2.0).median)
            bench.growth(f"{OURS}, linear, norm {norm}", "N", sizes, seconds)


if __name__ == "__main__":
    main()
