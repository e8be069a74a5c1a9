"""What the toolkit costs beside the same model written by hand, from Program to raw answer.

(a) CVXPY: the linear hard margin on breast_cancer against eight lines of CVXPY;
(b) nonconvex: a two-layer relu² network, 100 samples and 100 parameters, against hand-written
    cyipopt callbacks in NumPy with exact gradient, Jacobian and Hessian.

Both sides get the same solver, options, start and data, in one process, alternating, after a
warm-up; medians of the runs are compared. Our certificate judges both answers. How (a) grows is
fitted to Gaussian clouds of four sizes.
Usage: python benchmarks/overhead.py [--seed S] [--seeds K]
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from common import Bench, Role, Row, options
from instances import clouds
from measure import peak_memory

import lexmargin as lm
from lexmargin.backends import backend
from lexmargin.formulations.base import Formulation
from lexmargin.formulations.start import random_theta, separating_theta
from lexmargin.judge import Tolerances
from lexmargin.ops.base import FloatArray
from lexmargin.shelf.library import Library, grade
from lexmargin.shelf.profiles import Profile
from lexmargin.solution import SolverSettings

TARGET: Final = 1.15
OURS, HAND = "lexmargin", "by hand"
GROWTH: Final = (250, 500, 1000, 2000)
RUNS: Final = 21
GRADE: Final = "mid"


@final
@dataclass(frozen=True)
class Side:
    """One way to the answer: seconds of each run, the last answer, median seconds by phase.

    ``memory`` is by how many bytes one more run raises the resident memory.
    """

    seconds: tuple[float, ...]
    theta: FloatArray
    iterations: int | None
    phases: Mapping[str, float]
    memory: float

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


@final
@dataclass(frozen=True)
class Answer:
    """What one run of one way gives."""

    theta: FloatArray
    iterations: int | None
    phases: Mapping[str, float]


Way = Callable[[], Answer]


def alternate(ways: Mapping[str, Way], runs: int) -> dict[str, Side]:
    """Run all ways in turn, ``runs`` times after two rounds of warm-up; medians by phase."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    answers: dict[str, list[Answer]] = {name: [] for name in ways}
    for turn in range(runs + 2):
        # The order changes every round: neither side always runs on the other's warm caches.
        for name in list(ways) if turn % 2 else list(ways)[::-1]:
            began = time.process_time()
            answer = ways[name]()
            spent = time.process_time() - began
            if turn >= 2:
                seconds[name].append(spent)
                answers[name].append(answer)
    return {
        name: Side(
            tuple(seconds[name]),
            answers[name][-1].theta,
            answers[name][-1].iterations,
            {
                phase: statistics.median(answer.phases.get(phase, 0.0) for answer in answers[name])
                for phase in answers[name][0].phases
            },
            peak_memory(ways[name]),
        )
        for name in ways
    }


def report(
    bench: Bench, title: str, problem: Formulation, asked: str, sides: Mapping[str, Side]
) -> float:
    """Print the sides with our certificate of each; return the ratio of the first to the last."""
    tolerances = Tolerances.at(grade(asked).verified)
    for name, side in sides.items():
        certificate = lm.certify(problem, side.theta, tolerances=tolerances)
        figures = {
            "iterations": float("nan") if side.iterations is None else float(side.iterations),
            "‖w‖²/2": problem.objective(side.theta),
            **side.phases,
        }
        bench.add(
            Row(
                title, name, side.seconds, certificate.stationarity, certificate.complementarity,
                certificate.verdict.value, side.memory, figures=figures,
                role=Role.PEER if name == HAND else Role.ENGINE,
            )
        )  # fmt: skip
    first, *_, last = sides
    bench.ratios(title, first)
    return sides[first].median / sides[last].median


def ours(
    problem: Formulation,
    profile: Profile,
    options: Mapping[str, float | int | str | bool],
    start: FloatArray | None,
) -> Way:
    """Return our way from the program to the raw answer."""
    engine = backend(profile.backend)
    settings = SolverSettings(profile.solver, options)
    initial = None if start is None else problem.initial_values(start, 1.0)
    program = problem.program()
    names = [variable.name for variable in problem.block_variables()]

    def once() -> Answer:
        raw = engine.compile(program).solve(settings, initial)
        theta = problem.functions.flatten([raw.values[name] for name in names])
        return Answer(theta, raw.iterations, raw.phases)

    return once


def both(problem: Formulation, asked: str) -> dict[str, Way]:
    """Return a linear hard margin through the toolkit and in eight lines of CVXPY."""
    import cvxpy as cp

    rows = problem.functions.jacobian(np.zeros(problem.functions.size))
    profile = Library().profile("clarabel")
    options = profile.options(grade(asked))

    def hand() -> Answer:
        w = cp.Variable(rows.shape[1])
        model = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(w)), [rows @ w >= 1])
        model.solve(solver=profile.solver, warm_start=False, **options)
        stats = model.solver_stats
        return Answer(
            np.asarray(w.value, dtype=float),
            stats.num_iters,
            {"compile": model.compilation_time, "solver": stats.solve_time},
        )

    return {OURS: ours(problem, profile, options, None), HAND: hand}


def convex(bench: Bench, runs: int, asked: str) -> float:
    """(a) Against CVXPY by hand."""
    problem = lm.load("real/breast_cancer")
    shape = (problem.functions.count, problem.functions.size)
    title = f"(a) linear hard margin, breast_cancer {shape}, CVXPY + Clarabel, grade {asked}"
    return report(bench, title, problem, asked, alternate(both(problem, asked), runs))


def grow(bench: Bench, runs: int, asked: str) -> None:
    """Fit how the seconds of both ways of (a) grow with the number of samples."""
    seconds: dict[str, list[float]] = {OURS: [], HAND: []}
    for count in GROWTH:
        X, y = clouds(bench.generator(112, count), count, 30, 0.3)
        problem = lm.HardMargin(lm.Linear(), lm.Dataset(X, y))
        for name, side in alternate(both(problem, asked), runs).items():
            seconds[name].append(side.median)
    for name, medians in seconds.items():
        bench.growth(f"(a) {name}, 30 features", "N", GROWTH, medians)


@final
class HandWritten:
    """``min ½‖w‖²  s.t.  y_n Σ_j a_j relu(v_j·x_n)² >= 1`` as cyipopt callbacks, all exact."""

    def __init__(self, X: FloatArray, y: FloatArray, width: int) -> None:
        self.X, self.y, self.width = X, y, width
        self.size = width * (X.shape[1] + 1)
        self.iterations = 0
        self.rows, self.columns = np.tril_indices(self.size)

    def split(self, w: FloatArray) -> tuple[FloatArray, FloatArray]:
        inner = self.width * self.X.shape[1]
        return w[:inner].reshape(self.width, -1), w[inner:]

    def objective(self, w: FloatArray) -> float:
        return 0.5 * float(w @ w)

    def gradient(self, w: FloatArray) -> FloatArray:
        return w

    def constraints(self, w: FloatArray) -> FloatArray:
        V, a = self.split(w)
        return np.asarray(self.y * (np.maximum(self.X @ V.T, 0.0) ** 2 @ a))

    def jacobian(self, w: FloatArray) -> FloatArray:
        V, a = self.split(w)
        active = np.maximum(self.X @ V.T, 0.0)
        inner = (2.0 * self.y[:, None] * active * a)[:, :, None] * self.X[:, None, :]
        outer = self.y[:, None] * active**2
        return np.hstack([inner.reshape(len(self.y), -1), outer]).reshape(-1)

    def intermediate(self, mode: int, iteration: int, *_: float) -> None:
        self.iterations = iteration

    def hessianstructure(self) -> tuple[Any, Any]:
        return self.rows, self.columns

    def hessian(self, w: FloatArray, multipliers: FloatArray, factor: float) -> FloatArray:
        V, a = self.split(w)
        p, inner = self.X.shape[1], V.size
        scores = self.X @ V.T
        weights = multipliers * self.y
        H = factor * np.eye(self.size)
        for j in range(self.width):
            block = slice(j * p, (j + 1) * p)
            curved = 2.0 * weights * a[j] * (scores[:, j] > 0)
            H[block, block] += (self.X * curved[:, None]).T @ self.X
            H[inner + j, block] += 2.0 * (weights * np.maximum(scores[:, j], 0.0)) @ self.X
        return np.asarray(H[self.rows, self.columns])


def nonconvex(bench: Bench, runs: int, asked: str) -> None:
    """(b) Against cyipopt by hand."""
    import cyipopt

    rng = bench.generator(111)
    X = rng.standard_normal((100, 9))
    radius = np.sum(X[:, :2] ** 2, axis=1)
    y = np.where(radius > np.median(radius), 1, -1)
    network = lm.Network(widths=(10,), activation=lm.ReLU(power=2))
    problem = lm.HardMargin(network, lm.Dataset(X, y))
    functions = problem.functions
    drawn = (separating_theta(functions, random_theta(functions, rng)) for _ in range(50))
    start = next(theta for theta, separates in drawn if separates)
    first = functions.flatten(list(problem.initial_values(start, 1.0).values()))
    shelves = Library()
    profile = shelves.profile("ipopt")
    options = {"max_iter": 300, **profile.options(grade(asked))}

    def hand() -> Answer:
        began = time.perf_counter()
        model = HandWritten(X, y.astype(float), 10)
        ipopt = cyipopt.Problem(
            n=model.size,
            m=len(y),
            problem_obj=model,
            lb=np.full(model.size, -np.inf),
            ub=np.full(model.size, np.inf),
            cl=np.ones(len(y)),
            cu=np.full(len(y), np.inf),
        )
        for name, value in options.items():
            ipopt.add_option(name, value)
        built = time.perf_counter()
        w, _ = ipopt.solve(first)
        ended = time.perf_counter()
        split = {"build": built - began, "solver": ended - built}
        return Answer(np.asarray(w), model.iterations, split)

    casadi = shelves.profile("ipopt-casadi")
    matrix = {"max_iter": 300, **casadi.options(grade(asked))}
    ways = {
        "through .nl": ours(problem, profile, options, start),
        "through casadi": ours(problem, casadi, matrix, start),
        HAND: hand,
    }
    title = (
        f"(b) relu² network, {X.shape[0]} samples, {functions.size} parameters, Ipopt with exact "
        f"Hessian, grade {asked}"
    )
    report(bench, title, problem, asked, alternate(ways, runs))


def main() -> None:
    """Run all three."""
    if os.environ.get("OMP_NUM_THREADS") != "1":
        # More threads would measure the linear algebra of the cores instead of the toolkit.
        os.environ["OMP_NUM_THREADS"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.argv])
    asked = options(__doc__, 0.0)
    with Bench("overhead", "Overhead beside the same model by hand", OURS, asked.seeds) as bench:
        for _ in bench.each_seed():
            what = "(a) lexmargin / by hand"
            bench.target(what, convex(bench, RUNS, GRADE), TARGET, at_least=False)
            nonconvex(bench, 5, GRADE)
            grow(bench, 5, GRADE)


if __name__ == "__main__":
    main()
