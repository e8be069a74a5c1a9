"""Smooth nonconvex hard margins at size: our augmented Lagrangian beside Ipopt.

Two-layer networks with quadratic and relu² units, labels of a teacher with 2 units. Peers: Ipopt
with hand-written NumPy callbacks and L-BFGS, the same with the exact Hessian (small sizes), plain
Pyomo -> .nl -> Ipopt, SLSQP. Same starts, CPU seconds, medians over the seeds; every answer is
judged by our certificate.
Usage: python benchmarks/nonconvex.py [seeds] [small|growth|large] [seconds per peer]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, final

import numpy as np
from common import growth, machine, within

import lexmargin as lm
from lexmargin.backends import backend
from lexmargin.formulations.start import random_theta, separating_theta
from lexmargin.library import Library, grade
from lexmargin.ops.base import FloatArray, IntArray
from lexmargin.run import run

SIZES = {
    "small": (("square", 500, 100),),
    "growth": tuple(("square", n, 100) for n in (500, 1000, 2000, 4000)),
    "large": (("square", 2000, 100), ("relu2", 1000, 1000)),
}
TARGETS = {"square": 50.0, "relu2": 25.0}


def problem(kind: str, samples: int, parameters: int) -> lm.HardMargin:
    """Return the instance: 10 or 20 units, as many inputs as the number of parameters asks."""
    units = 10 if kind == "square" else 20
    inputs = parameters // units - 1
    rng = np.random.default_rng(0)
    X = rng.standard_normal((samples, inputs))
    z = X @ rng.standard_normal((inputs, 2))
    scores = (z**2 if kind == "square" else np.maximum(z, 0.0) ** 2) @ np.array([1.0, -1.0])
    activation = lm.Square() if kind == "square" else lm.ReLU(power=2)
    data = lm.Dataset(X, np.where(scores > 0, 1, -1))
    return lm.HardMargin(lm.Network((units,), activation), data)


@final
class Callbacks:
    """cyipopt's view of ``min ½‖w‖² s.t. f_n(w) >= 1``, in NumPy by hand."""

    def __init__(self, instance: lm.HardMargin, exact: bool) -> None:
        self._kind = isinstance(instance.predictor.activation, lm.Square)  # type: ignore[attr-defined]
        self._X, self._y = instance.data.X, instance.data.signed
        self._h, self._p = instance.functions.shapes[0]
        self._shape = (self._h, self._p)
        if exact:
            self.hessian = self._hessian
            self.hessianstructure = self._hessianstructure

    def _parts(self, w: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        W, a = w[: -self._h].reshape(self._shape), w[-self._h :]
        z = self._X @ W.T
        if not self._kind:
            z = np.maximum(z, 0.0)
        return a, z, z * z, 2.0 * z

    def objective(self, w: FloatArray) -> float:
        return 0.5 * float(w @ w)

    def gradient(self, w: FloatArray) -> FloatArray:
        return w

    def constraints(self, w: FloatArray) -> FloatArray:
        a, _, s, _ = self._parts(w)
        return np.asarray(self._y * (s @ a))

    def jacobian(self, w: FloatArray) -> FloatArray:
        a, _, s, d = self._parts(w)
        inner = (self._y[:, None] * d * a)[:, :, None] * self._X[:, None, :]
        outer = self._y[:, None] * s
        return np.hstack([inner.reshape(len(s), -1), outer]).reshape(-1)

    def _hessianstructure(self) -> tuple[IntArray, IntArray]:
        size = self._h * self._p + self._h
        rows, columns = np.tril_indices(size)
        return rows.astype(np.int64), columns.astype(np.int64)

    def _hessian(self, w: FloatArray, lagrange: FloatArray, factor: float) -> FloatArray:
        a, z, _, d = self._parts(w)
        h, p = self._shape
        weights = lagrange * self._y
        full = factor * np.eye(w.size)
        for j in range(h):
            on = np.ones(len(z)) if self._kind else (z[:, j] > 0).astype(float)
            block = (self._X * (weights * on * 2.0 * a[j])[:, None]).T @ self._X
            full[j * p : (j + 1) * p, j * p : (j + 1) * p] += block
            cross = (weights * d[:, j]) @ self._X
            full[h * p + j, j * p : (j + 1) * p] += cross
        return np.asarray(full[np.tril_indices(w.size)])


def by_hand(instance: lm.HardMargin, start: FloatArray, exact: bool) -> FloatArray:
    """Solve with cyipopt and hand-written callbacks."""
    import cyipopt

    n = instance.functions.count
    solver: Any = cyipopt.Problem(
        n=start.size, m=n, problem_obj=Callbacks(instance, exact), cl=np.ones(n),
        cu=np.full(n, 2e19),
    )  # fmt: skip
    options = {"print_level": 0, "sb": "yes", "tol": 1e-9, "max_iter": 3000}
    if not exact:
        options["hessian_approximation"] = "limited-memory"
    for name, value in options.items():
        solver.add_option(name, value)
    found, _ = solver.solve(start)
    return np.asarray(found)


def by_profile(instance: lm.HardMargin, start: FloatArray, name: str) -> FloatArray:
    """Solve through one of our profiles."""
    profile = Library().profile(name)
    done = run(
        instance, profile, grade("high"), backend(profile.backend), start,
        np.random.default_rng(0), None,
    )  # fmt: skip
    return instance.theta(done.answers, done.unit)


def judged(instance: lm.HardMargin, theta: FloatArray) -> tuple[float, float, str]:
    """Return the objective at margin 1, the residual, the verdict."""
    margin = float(instance.functions.values(theta).min())
    if not margin > 0:
        return np.inf, np.inf, "NOT_SEPARATING"
    degree = instance.degree
    certificate = lm.certify(instance, theta)
    scaled = 0.5 * float(theta @ theta) * margin ** (-2.0 / degree)
    return scaled, certificate.stationarity, certificate.verdict.value


def routes(parameters: int) -> dict[str, Callable[[lm.HardMargin, FloatArray], FloatArray]]:
    """Return the ways to the answer worth trying at a size."""
    found: dict[str, Callable[[lm.HardMargin, FloatArray], FloatArray]] = {
        "augmented-lagrangian": lambda p, s: by_profile(p, s, "augmented-lagrangian"),
        "Ipopt by hand, L-BFGS": lambda p, s: by_hand(p, s, False),
    }
    if parameters <= 100:
        found["Ipopt by hand, exact"] = lambda p, s: by_hand(p, s, True)
        found["Pyomo -> .nl -> Ipopt"] = lambda p, s: by_profile(p, s, "ipopt")
        found["SLSQP"] = lambda p, s: by_profile(p, s, "slsqp")
    return found


def row(kind: str, samples: int, parameters: int, seeds: int, limit: float) -> float:
    """Print the routes on one instance; return our median seconds."""
    instance = problem(kind, samples, parameters)
    functions = instance.functions
    starts = []
    for seed in range(seeds):
        drawn = random_theta(functions, np.random.default_rng(seed))
        theta, _ = separating_theta(functions, drawn)
        # One start for all: near margin 1, or with scores of size 1.
        level = float(functions.values(theta).min())
        size = level if level > 0 else float(np.abs(functions.values(theta)).max())
        starts.append(theta * size ** (-1.0 / instance.degree))
    print(
        f"\n{kind}, N = {samples}, d = {functions.size}, {seeds} starts (target {TARGETS[kind]}x)"
    )
    ours = np.nan
    for name, way in routes(parameters).items():

        def work(
            start: FloatArray,
            way: Callable[[lm.HardMargin, FloatArray], FloatArray] = way,
        ) -> tuple[float, FloatArray]:
            began = time.process_time()
            theta = way(instance, start)
            return time.process_time() - began, theta

        done = [within(lambda s=start: work(s), limit) for start in starts]  # type: ignore[misc]
        good = [d for d in done if not isinstance(d, str)]
        failed = [d for d in done if isinstance(d, str)]
        if not good:
            print(f"  {name:<24}{failed[0]}")
            continue
        seconds = statistics.median(d[0] for d in good)
        ours = seconds if name == "augmented-lagrangian" else ours
        verdicts = [judged(instance, d[1]) for d in good]
        objective = statistics.median(v[0] for v in verdicts)
        residual = statistics.median(v[1] for v in verdicts)
        print(
            f"  {name:<24}{seconds:>9.3f} s{seconds / ours:>8.1f}x  objective {objective:.6f} "
            f"(least {min(v[0] for v in verdicts):.6f})  residual {residual:.1e}"
            f"  failed {len(failed)}"
        )
    return ours


def main() -> None:
    """Read the arguments and print the tables."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    which = sys.argv[2] if len(sys.argv) > 2 else "large"
    limit = float(sys.argv[3]) if len(sys.argv) > 3 else 120.0
    print(machine())
    mine = [row(*size, seeds, limit) for size in SIZES[which]]
    if which == "growth":
        print(f"growth of ours in N: exponent {growth([s[1] for s in SIZES[which]], mine):.2f}")


if __name__ == "__main__":
    main()
