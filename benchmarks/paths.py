"""The constrained path (eq. 5) at 40 values of ρ from 0.1 to 1e4, beside cold and warm solves.

Data: two Gaussian clouds moved apart along a hidden direction, linear scores in the norms 1, 2 and
inf, and a two-layer relu² network of width 6, N = 60, d = 30. Peers at N = 200, d = 10: CVXPY with
ρ as a Parameter and warm start (Clarabel), 40 cold solves; at N = 2000, d = 50: scipy from the
answer before (L-BFGS-B in the box, SLSQP in the cross-polytope). "Cold" is `lexmargin.solve` at
every ρ: one start for linear scores, its default of 12 for the network, where one start loses most
points. The trace of the network includes γ*(ρ), which its restarts need.

The adaptive trace chooses its values of ρ itself, for a path that is straight between them to 1 %.
Every point of every method is judged by the same code: "certified" counts the points that pass, at
the tolerance the trace states for that ρ; ε and δ are those of the worst one.
Usage: python benchmarks/paths.py [--seed S] [--seeds K] [--limit SECONDS] [--only WORD]
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
from cases import Case, Judgement, grow, measure, warm_up
from common import Bench, Options, options
from instances import bytes_of, clouds

import lexmargin as lm
from lexmargin.judge import Tolerances, certify
from lexmargin.ops.base import FloatArray
from lexmargin.paths import PathPoint, TracedPath

LIMIT: Final = 12.0
RHOS: Final = [float(rho) for rho in np.geomspace(1e-1, 1e4, 40)]
GRID: Final = lm.AdaptiveGrid(RHOS[0], RHOS[-1], 1e-2)
OURS, COLD, ADAPTIVE = "trace", "40 cold solves", "trace, adaptive"
NORMS: Final = ((1, "ℓ1"), (2, "ℓ2"), ("inf", "ℓ∞"))
Thetas = list[FloatArray]
Answer = TracedPath | Thetas


def data(rng: np.random.Generator, count: int, features: int, apart: float) -> lm.Dataset:
    """Return two Gaussian clouds that a plane through 0 separates."""
    X, y = clouds(rng, count, features, apart)
    return lm.Dataset(X, y)


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


def warm_scipy(problem: lm.ConstrainedPath) -> Thetas:
    """Return θ of scipy's minimize, every ρ from the answer before; SLSQP splits θ = p - q."""
    from scipy.optimize import minimize

    Z = problem.functions.jacobian(np.zeros(problem.functions.size))
    d, split = Z.shape[1], problem.norm == 1
    x = np.zeros(2 * d if split else d)
    found = []
    for rho in RHOS:

        def cost(v: FloatArray, rho: float = rho) -> tuple[float, FloatArray]:
            f = rho * (Z @ (v[:d] - v[d:] if split else v))
            low = float(f.min())
            p = np.exp(low - f)
            gradient = -(p @ Z) / p.sum()
            value = (math.log(float(p.sum())) - low) / rho
            return value, np.concatenate([gradient, -gradient]) if split else gradient

        if split:
            ball = {
                "type": "ineq",
                "fun": lambda v: 1.0 - v.sum(),
                "jac": lambda v: -np.ones(2 * d),
            }
            x = minimize(
                cost, x, jac=True, method="SLSQP", bounds=[(0.0, None)] * (2 * d),
                constraints=[ball], options={"ftol": 1e-14, "maxiter": 500},
            ).x  # fmt: skip
        else:
            x = minimize(
                cost, x, jac=True, method="L-BFGS-B", bounds=[(-1.0, 1.0)] * d,
                options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 2000, "maxfun": 4000},
            ).x  # fmt: skip
        found.append(x[:d] - x[d:] if split else x)
    return found


def judged(problem: lm.ConstrainedPath, thetas: Thetas, path: TracedPath) -> Judgement:
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
    return Judgement(*worst, figures={"certified": float(count)})


def case(
    name: str, problem: lm.ConstrainedPath, peers: dict[str, Callable[[lm.ConstrainedPath], Thetas]]
) -> Case[Answer]:
    """Return one path with its peers; the tolerances are those of the trace, which comes first."""
    known: list[TracedPath] = []

    def judge(answer: Answer) -> Judgement:
        if not isinstance(answer, TracedPath):
            return judged(problem, answer, known[0])
        if len(answer.points) == len(RHOS) and not known:
            known.append(answer)
            return judged(problem, [point.theta for point in answer.points], answer)
        good = [point for point in answer.points if point.certified]
        worst = max((point.certificate.stationarity for point in good), default=math.nan)
        count = float(len(answer.points))
        return Judgement(worst, figures={"points": count, "certified": float(len(good))})

    ways: dict[str, Callable[[], Answer]] = {OURS: lambda: traced(problem)}
    for peer, work in peers.items():
        ways[peer] = lambda work=work: work(problem)  # type: ignore[misc]
    if COLD in peers:
        ways[ADAPTIVE] = lambda: lm.trace(problem, GRID)
    patient = {COLD: 60.0, ADAPTIVE: 60.0}
    return Case(
        name, ways, judge, bytes_of(problem.data.X), runs=3, patience=patient, ours=OURS,
        engines=(COLD, ADAPTIVE),
    )  # fmt: skip


def report(bench: Bench, asked: Options, words: str, problem: lm.ConstrainedPath) -> None:
    """Measure a small path with its cold solves."""
    name = f"{words}: N = {problem.data.n_samples}, d = {problem.functions.size}"
    if not asked.wants(name):
        return
    peers = {COLD: cold}
    if isinstance(problem.predictor, lm.Linear):
        peers["CVXPY with a Parameter"] = with_parameter
    rows = measure(bench, case(name, problem, peers), asked)
    ratio = rows[OURS].median / rows[COLD].least
    bench.target(f"{words}: trace / cold", ratio, 1.0 / 6.0, at_least=False)
    count = rows[OURS].figures.get("certified", 0.0)
    bench.target(f"{words}: certified points of 40", count, 40)


def large(bench: Bench, asked: Options) -> None:
    """Measure many samples in the polyhedral norms."""
    for norm, word in NORMS[::2]:
        name = f"linear, {word}: N = 2000, d = 50"
        if not asked.wants(name):
            continue
        samples = data(bench.generator(52), 2000, 50, 0.5)
        problem = lm.ConstrainedPath(lm.Linear(), samples, norm=norm)
        peers = {"scipy, warm": warm_scipy}
        rows = measure(bench, case(name, problem, peers), asked)
        bench.target(f"{name}: CPU s", rows[OURS].least, 2.0, at_least=False)
        count = rows[OURS].figures.get("certified", 0.0)
        bench.target(f"{name}: certified points of 40", count, 40)


def main() -> None:
    """Print the tables."""
    asked = options(__doc__, LIMIT)
    warm_up()
    title = "Constrained path, 40 values of ρ to 1e4, CPU seconds"
    with Bench("paths", title, OURS, asked.seeds) as bench:
        for _ in bench.each_seed():
            large(bench, asked)
            samples = data(bench.generator(51), 200, 10, 0.5)
            for norm, word in NORMS:
                problem = lm.ConstrainedPath(lm.Linear(), samples, norm=norm)
                report(bench, asked, f"linear, {word}", problem)
            network = lm.Network((6,), lm.ReLU(power=2))
            samples = data(bench.generator(53), 60, 4, 0.4)
            report(bench, asked, "relu², two layers", lm.ConstrainedPath(network, samples))
            for norm, word in NORMS:
                if not asked.wants("growth"):
                    continue

                def sized(n: int, norm: float | str = norm) -> Case[Answer]:
                    problem = lm.ConstrainedPath(
                        lm.Linear(), data(bench.generator(54, n), n, 10, 0.5), norm=norm
                    )
                    return case("", problem, {})

                grow(bench, f"{OURS}, d = 10, {word}", "N", (200, 400, 800, 1600), sized)


if __name__ == "__main__":
    main()
