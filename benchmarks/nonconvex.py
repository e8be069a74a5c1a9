"""Smooth nonconvex hard margins at size: our augmented Lagrangian, the declared model, and peers.

Two-layer networks with quadratic and relu² units, labels of a teacher with 2 units. Peers: Ipopt
with callbacks written by hand in NumPy, with the exact Hessian and with L-BFGS; Uno's filter-SQP;
SLSQP. "Plain Pyomo" is the declared model through .nl, CasADi and Ipopt, as a user would write it;
"Pyomo" what the toolkit makes of it. Every method gets the same starts; one that needs more than
the limit gets the first start only, one without an answer no second chance: the CPU seconds it had
until then bound the ratio from below. At the smaller size of both kinds more peers answer; plain
Pyomo does not, and is left out there.
Objectives are compared at margin 1, as medians over the starts that both methods had.
Usage: python benchmarks/nonconvex.py [starts] [wall seconds per solve]
"""

from __future__ import annotations

import importlib
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from common import Bench, Ratio, Row, Unanswered, peak_memory, within

import lexmargin as lm
from lexmargin.backends import backend
from lexmargin.formulations.start import random_theta, separating_theta
from lexmargin.ops.base import FloatArray, IntArray
from lexmargin.run.stages import run
from lexmargin.shelf.library import Library, grade

OURS: Final = "augmented-lagrangian"
LBFGS, EXACT = "Ipopt by hand, L-BFGS", "Ipopt by hand, exact"
PYOMO, PLAIN = "Pyomo, Ipopt", "plain Pyomo, .nl, Ipopt"
RESIDUAL: Final = 1e-12
SAME: Final = 1e-6
"""Objectives closer than this, relatively, are the same."""

Way = Callable[[lm.HardMargin, FloatArray], FloatArray]


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


def starts(instance: lm.HardMargin, count: int) -> list[FloatArray]:
    """Return starts near margin 1, or with scores of size 1 where the start does not separate."""
    found = []
    for seed in range(count):
        drawn = random_theta(instance.functions, np.random.default_rng(seed))
        theta, _ = separating_theta(instance.functions, drawn)
        level = float(instance.functions.values(theta).min())
        size = level if level > 0 else float(np.abs(instance.functions.values(theta)).max())
        found.append(theta * size ** (-1.0 / instance.degree))
    return found


@final
class Callbacks:
    """cyipopt's view of ``min ½‖w‖² s.t. f_n(w) >= 1``, in NumPy by hand."""

    def __init__(self, instance: lm.HardMargin, exact: bool) -> None:
        self._square = isinstance(instance.predictor.activation, lm.Square)  # type: ignore[attr-defined]
        self._X, self._y = instance.data.X, instance.data.signed
        self._h, self._p = instance.functions.shapes[0]
        self._shape = (self._h, self._p)
        if exact:
            self.hessian = self._hessian
            self.hessianstructure = self._hessianstructure

    def _parts(self, w: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        W, a = w[: -self._h].reshape(self._shape), w[-self._h :]
        z = self._X @ W.T
        if not self._square:
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
        rows, columns = np.tril_indices(self._h * self._p + self._h)
        return rows.astype(np.int64), columns.astype(np.int64)

    def _hessian(self, w: FloatArray, lagrange: FloatArray, factor: float) -> FloatArray:
        a, z, _, d = self._parts(w)
        h, p = self._shape
        weights = lagrange * self._y
        full = factor * np.eye(w.size)
        for j in range(h):
            on = np.ones(len(z)) if self._square else (z[:, j] > 0).astype(float)
            block = (self._X * (weights * on * 2.0 * a[j])[:, None]).T @ self._X
            full[j * p : (j + 1) * p, j * p : (j + 1) * p] += block
            full[h * p + j, j * p : (j + 1) * p] += (weights * d[:, j]) @ self._X
        return np.asarray(full[np.tril_indices(w.size)])


def by_hand(exact: bool) -> Way:
    """Return cyipopt with callbacks written by hand."""

    def solve(instance: lm.HardMargin, start: FloatArray) -> FloatArray:
        import cyipopt

        n = instance.functions.count
        solver: Any = cyipopt.Problem(
            n=start.size, m=n, problem_obj=Callbacks(instance, exact), cl=np.ones(n),
            cu=np.full(n, 2e19),
        )  # fmt: skip
        options = {"print_level": 0, "sb": "yes", "tol": 1e-9, "max_iter": 3000}
        options["mumps_pivot_order"] = 0
        if not exact:
            options["hessian_approximation"] = "limited-memory"
        for name, value in options.items():
            solver.add_option(name, value)
        found, _ = solver.solve(start)
        return np.asarray(found)

    return solve


def by_profile(name: str) -> Way:
    """Return one of the shelf's profiles."""

    def solve(instance: lm.HardMargin, start: FloatArray) -> FloatArray:
        profile = Library().profile(name)
        done = run(
            instance, profile, grade("high"), backend(profile.backend), start,
            np.random.default_rng(0), None,
        )  # fmt: skip
        return instance.theta(done.answers, done.unit)

    return solve


def plain_pyomo(instance: lm.HardMargin, start: FloatArray) -> FloatArray:
    """The whole Pyomo model, its .nl file read by CasADi, Ipopt with the profile's options."""
    import casadi as ca

    with tempfile.TemporaryDirectory() as folder:
        path = instance.program().to_nl(Path(folder) / "model.nl")
        names = path.with_suffix(".col").read_text(encoding="utf-8").splitlines()
        read = ca.NlpBuilder()
        read.import_nl(str(path), {})
    problem = {"x": ca.vertcat(*read.x), "f": read.f, "g": ca.vertcat(*read.g)}
    options = {"print_time": False, "ipopt": Library().profile("ipopt").options(grade("high"))}
    solver = ca.nlpsol("solver", "ipopt", problem, options)
    own = [f"{v.name}[{i}]" for v in instance.block_variables() for i in range(math.prod(v.shape))]
    order = [own.index(name) for name in names]
    found = solver(x0=start[order], lbg=read.g_lb, ubg=read.g_ub)
    theta = np.zeros(start.size)
    theta[order] = np.array(found["x"]).reshape(-1)
    return theta


WAYS: Final[dict[str, Way]] = {
    OURS: by_profile("augmented-lagrangian"),
    LBFGS: by_hand(False),
    EXACT: by_hand(True),
    "Uno filter-SQP": by_profile("uno-filtersqp"),
    "SLSQP": by_profile("slsqp"),
    PYOMO: by_profile("ipopt"),
    PLAIN: plain_pyomo,
}
IPOPT: Final = (LBFGS, EXACT)


@final
@dataclass(frozen=True)
class Answers:
    """What one method gave: CPU seconds and objective at margin 1 of every start it had.

    Attributes:
        seconds, objectives: of the starts with an answer.
        worst: the certificate with the largest residual.
        memory: the most that one start needed, bytes.
        note: why the last start has no answer.
        spent: CPU seconds of the start without an answer; NaN where there is none.
    """

    seconds: tuple[float, ...]
    objectives: tuple[float, ...]
    worst: lm.Certificate | None
    memory: float
    note: str
    spent: float


def tried(
    way: Way, instance: lm.HardMargin, begins: list[FloatArray], limit: float, most: float
) -> Answers:
    """Run a method from the starts until it took ``most`` seconds, every solve in a process."""
    seconds: list[float] = []
    objectives: list[float] = []
    memories: list[float] = []
    worst: lm.Certificate | None = None
    note, cut = "", math.nan
    for begin in begins:

        def work(start: FloatArray = begin) -> tuple[float, FloatArray, float]:
            kept: list[FloatArray] = []
            began = time.process_time()
            memory = peak_memory(lambda: kept.append(way(instance, start)))
            spent = time.process_time() - began
            return spent, (kept or [way(instance, start)])[0], memory

        done = within(work, limit)
        if isinstance(done, Unanswered):
            note, cut = done.why, done.spent
            break
        spent, theta, memory = done
        seconds.append(spent)
        memories.append(memory)
        objective, certificate = judged(instance, theta)
        objectives.append(objective)
        if worst is None or certificate.stationarity > worst.stationarity:
            worst = certificate
        if spent > most:
            break
    memory = max(memories, default=math.nan)
    return Answers(tuple(seconds), tuple(objectives), worst, memory, note, cut)


def judged(instance: lm.HardMargin, theta: FloatArray) -> tuple[float, lm.Certificate]:
    """Return ``½‖w‖²`` at margin 1 (inf where θ does not separate), and our certificate."""
    certificate = lm.certify(instance, theta)
    margin = float(instance.functions.values(theta).min())
    if not margin > 0:
        return math.inf, certificate
    return 0.5 * float(theta @ theta) * margin ** (-2.0 / instance.degree), certificate


def report(
    bench: Bench,
    kind: str,
    size: tuple[int, int],
    ways: tuple[str, ...],
    count: int,
    limit: float,
    wanted: float,
) -> tuple[dict[str, Answers], dict[str, Ratio]]:
    """Print the methods on one instance; a peer has time enough to miss the wanted ratio."""
    instance = problem(kind, *size)
    words = "quadratic" if kind == "square" else "relu²"
    name = f"{words}, N = {size[0]}, d = {instance.functions.size}"
    begins = starts(instance, count)
    found: dict[str, Answers] = {}
    for method in ways:
        own = method in (OURS, PYOMO)
        given = 10.0 * limit if own else limit
        for peers, mine, ratio in ((IPOPT, OURS, wanted), ((PLAIN,), PYOMO, 3.0)):
            if method in peers and found[mine].seconds:
                given = max(limit, 1.05 * ratio * statistics.median(found[mine].seconds))
        most = math.inf if method == OURS else limit
        answers = found[method] = tried(WAYS[method], instance, begins, given, most)
        figures = {}
        if answers.objectives:
            figures = {
                "median objective": statistics.median(answers.objectives),
                "least objective": min(answers.objectives),
                "starts": float(len(answers.objectives)),
            }
        worst = answers.worst
        bench.add(
            Row(
                name, method, answers.seconds,
                math.nan if worst is None else worst.stationarity,
                math.nan if worst is None else worst.complementarity,
                "" if worst is None else worst.verdict.value,
                answers.memory, answers.note, answers.spent, figures,
            )
        )  # fmt: skip
    return found, bench.ratios(name)


def targets(
    bench: Bench, words: str, found: dict[str, Answers], ratios: dict[str, Ratio], wanted: float
) -> None:
    """Print what the issue asks of one instance."""
    ours = found[OURS]
    nothing = Ratio(math.nan, False)
    known = [method for method in IPOPT if method in ratios]
    fastest = min(known, key=lambda method: ratios[method].value, default=LBFGS)
    ratio = ratios.get(fastest, nothing)
    bench.target(f"{words}: {fastest} / ours{ratio.words}", ratio.value, wanted)
    worst = math.nan if ours.worst is None else ours.worst.stationarity
    bench.target(f"{words}: residual", worst, RESIDUAL, at_least=False)
    excess = -math.inf
    for method, answers in found.items():
        shared = min(len(answers.objectives), len(ours.objectives))
        if method in (OURS, PYOMO) or not shared:
            continue
        if not math.isfinite(statistics.median(answers.objectives[:shared])):
            continue
        mine = statistics.median(ours.objectives[:shared])
        excess = max(excess, mine / statistics.median(answers.objectives[:shared]) - 1.0)
    if math.isfinite(excess):
        what = f"{words}: objective above the best peer's, relatively"
        bench.target(what, excess, SAME, at_least=False)
    plain, pyomo = ratios.get(PLAIN, nothing), ratios.get(PYOMO, nothing)
    what = f"{words}: {PLAIN} / {PYOMO}{plain.words}"
    bench.target(what, plain.value / (math.nan if pyomo.bound else pyomo.value), 3.0)


def main() -> None:
    """Read the arguments and print the tables."""
    # Imported here, so that no method pays for it.
    for module in ("casadi", "cyipopt", "pyomo.environ", "scipy.linalg", "scipy.optimize"):
        importlib.import_module(module)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    limit = float(sys.argv[2]) if len(sys.argv) > 2 else 8.0
    with Bench("nonconvex", "Smooth nonconvex hard margins, CPU seconds", OURS) as bench:
        every = tuple(WAYS)
        small = tuple(way for way in WAYS if way != PLAIN)
        report(bench, "square", (300, 100), small, count, limit, 10.0)
        found, ratios = report(bench, "square", (2000, 100), every, count, limit, 50.0)
        targets(bench, "quadratic, N = 2000, d = 100", found, ratios, 50.0)
        report(bench, "relu2", (200, 200), small, count, limit, 5.0)
        few = (OURS, LBFGS, "Uno filter-SQP", "SLSQP", PYOMO, PLAIN)
        found, ratios = report(bench, "relu2", (1000, 1000), few, count, limit, 25.0)
        targets(bench, "relu², N = 1000, d = 1000", found, ratios, 25.0)
        sizes = (500, 1000, 2000, 4000)
        seconds = []
        for samples in sizes:
            instance = problem("square", samples, 100)
            answers = tried(WAYS[OURS], instance, starts(instance, count), limit, math.inf)
            seconds.append(statistics.median(answers.seconds))
        bench.growth(f"{OURS}, quadratic, d = 100", "N", sizes, seconds)


if __name__ == "__main__":
    main()
