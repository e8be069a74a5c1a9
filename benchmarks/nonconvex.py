"""Smooth nonconvex hard margins: what a user calls, beside Ipopt, SLSQP, Uno and plain models.

Two-layer networks with quadratic and relu² units, labels of a teacher with 2 units. Peers: Ipopt
and SLSQP with callbacks written by hand in NumPy (Ipopt with the exact Hessian and with L-BFGS);
Uno's filter-SQP; SLSQP by our profile. "Plain Pyomo" is the declared model through .nl, CasADi and
Ipopt, as a user would write it; "Pyomo" what the toolkit makes of it. Every method gets the same
starts; one that needs more than the limit gets the first start only, one without an answer no
second chance: the CPU seconds it had until then bound the ratio from below. Objectives are compared
at margin 1, as medians over the starts that both methods had; a peer "reaches our objective" where
its median is no larger.
Usage: python benchmarks/nonconvex.py [--seed S] [--seeds K] [--limit SECONDS] [--only WORD]
"""

from __future__ import annotations

import importlib
import math
import statistics
import time
import warnings
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from common import Bench, Options, Ratio, Role, Row, options
from instances import network_data
from measure import Unanswered, peak_memory, within
from network_ways import ENGINE, EXACT, HAND, LBFGS, OURS, PLAIN, PYOMO, UNO, WAYS, Way

import lexmargin as lm
from lexmargin.formulations.start import random_theta, separating_theta
from lexmargin.ops.base import FloatArray

LIMIT: Final = 6.0
STARTS: Final = 3
RESIDUAL: Final = 1e-12
SAME: Final = 1e-6
"""Objectives closer than this, relatively, are the same."""
IPOPT: Final = (LBFGS, EXACT)
SMALL: Final = (
    ("square", 200, 150),
    ("square", 300, 200),
    ("relu2", 300, 150),
    ("relu2", 200, 200),
)


def problem(rng: np.random.Generator, kind: str, samples: int, parameters: int) -> lm.HardMargin:
    """Return the instance: 10 or 20 units, as many inputs as the number of parameters asks."""
    units = 10 if kind == "square" else 20
    data = network_data(rng, kind, samples, max(2, parameters // units - 1))
    activation = lm.Square() if kind == "square" else lm.ReLU(power=2)
    return lm.HardMargin(lm.Network((units,), activation), data)


def starts(instance: lm.HardMargin, rng: np.random.Generator, count: int) -> list[FloatArray]:
    """Return starts near margin 1, or with scores of size 1 where the start does not separate."""
    found = []
    for _ in range(count):
        theta, _ = separating_theta(instance.functions, random_theta(instance.functions, rng))
        level = float(instance.functions.values(theta).min())
        size = level if level > 0 else float(np.abs(instance.functions.values(theta)).max())
        found.append(theta * size ** (-1.0 / instance.degree))
    return found


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
            warnings.simplefilter("ignore")
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
    asked: Options,
    shape: tuple[str, int, int],
    ways: tuple[str, ...],
    wanted: float | None = None,
) -> None:
    """Measure the methods on one instance; Ipopt has time enough to miss a wanted ratio."""
    kind, samples, parameters = shape
    words = "quadratic" if kind == "square" else "relu²"
    index = 0 if kind == "square" else 1
    instance = problem(bench.generator(61, index, samples, parameters), kind, samples, parameters)
    name = f"{words}, N = {samples}, d = {instance.functions.size}"
    if not asked.wants(name):
        return
    begins = starts(instance, bench.generator(62, index, samples, parameters), STARTS)
    found: dict[str, Answers] = {}
    for method in ways:
        own = method in (OURS, ENGINE, PYOMO)
        given = 10.0 * asked.limit if own else asked.limit
        for peers, mine, ratio in ((IPOPT, OURS, wanted or 1.0), ((PLAIN,), PYOMO, 3.0)):
            answered = any(found[peer].seconds for peer in peers if peer in found)
            if method in peers and found[mine].seconds and not answered:
                given = max(asked.limit, 1.05 * ratio * statistics.median(found[mine].seconds))
        most = math.inf if method in (OURS, ENGINE) else asked.limit
        answers = found[method] = tried(WAYS[method], instance, begins, given, most)
        figures = {}
        if answers.objectives:
            figures = {
                "median objective": statistics.median(answers.objectives),
                "least objective": min(answers.objectives),
                "starts": float(len(answers.objectives)),
            }
        worst = answers.worst
        role = {OURS: Role.OURS, ENGINE: Role.ENGINE, PYOMO: Role.ENGINE}.get(method, Role.PEER)
        bench.add(
            Row(
                name, method, answers.seconds,
                math.nan if worst is None else worst.stationarity,
                math.nan if worst is None else worst.complementarity,
                "" if worst is None else worst.verdict.value,
                answers.memory, answers.note, answers.spent, figures, role,
            )
        )  # fmt: skip
    ratios = bench.ratios(name)
    worst = found[OURS].worst
    residual = math.nan if worst is None else worst.stationarity
    bench.target(f"{name}: residual", residual, RESIDUAL, at_least=False)
    fair(bench, name, found)
    if wanted is not None:
        targets(bench, name, ratios, wanted)


def fair(bench: Bench, name: str, found: dict[str, Answers]) -> None:
    """State the goals against the fastest peer that reaches our objective, and the best one."""
    ours = found[OURS]
    rivals: dict[str, float] = {}
    excess = -math.inf
    for method, answers in found.items():
        shared = min(len(answers.objectives), len(ours.objectives))
        if method in (OURS, ENGINE, PYOMO) or not shared:
            continue
        theirs = statistics.median(answers.objectives[:shared])
        mine = statistics.median(ours.objectives[:shared])
        if not math.isfinite(theirs):
            continue
        excess = max(excess, mine / theirs - 1.0)
        if theirs <= mine * (1.0 + SAME):
            rivals[method] = statistics.median(answers.seconds)
    if rivals:
        fastest = min(rivals, key=lambda method: rivals[method])
        ratio = statistics.median(ours.seconds) / rivals[fastest]
        what = f"{name}: ours / fastest that reaches our objective ({fastest})"
        bench.target(what, ratio, 1.0, at_least=False)
    if math.isfinite(excess):
        what = f"{name}: objective above the best peer's, relatively"
        bench.target(what, excess, SAME, at_least=False)


def targets(bench: Bench, name: str, ratios: dict[str, Ratio], wanted: float) -> None:
    """State the goals against Ipopt by hand and the plain model."""
    nothing = Ratio(math.nan, False)
    known = [method for method in IPOPT if method in ratios]
    fastest = min(known, key=lambda method: ratios[method].value, default=LBFGS)
    ratio = ratios.get(fastest, nothing)
    bench.target(f"{name}: {fastest} / ours{ratio.words}", ratio.value, wanted)
    plain, pyomo = ratios.get(PLAIN, nothing), ratios.get(PYOMO, nothing)
    value = plain.value / (math.nan if pyomo.bound else pyomo.value)
    bench.target(f"{name}: {PLAIN} / {PYOMO}{plain.words}", value, 3.0)


def warm_up() -> None:
    """Import what the ways import, so that none pays for it: every start has a new process."""
    for module in ("casadi", "cyipopt", "pyomo.environ", "scipy.linalg", "scipy.optimize"):
        importlib.import_module(module)
    for kind in ("square", "relu2"):
        small = problem(np.random.default_rng(0), kind, 10, 40)
        (begin,) = starts(small, np.random.default_rng(0), 1)
        for method in (OURS, ENGINE, HAND, LBFGS, PYOMO):
            WAYS[method](small, begin)


def main() -> None:
    """Print the tables."""
    warm_up()
    asked = options(__doc__, LIMIT)
    title = "Smooth nonconvex hard margins, CPU seconds"
    with Bench("nonconvex", title, OURS, asked.seeds, only=asked.only) as bench:
        for _ in bench.each_seed():
            quick = (OURS, ENGINE, HAND, LBFGS, UNO, "SLSQP", PYOMO)
            for shape in SMALL:
                report(bench, asked, shape, quick)
            report(bench, asked, ("square", 300, 100), (*quick, EXACT))
            report(bench, asked, ("square", 2000, 100), tuple(WAYS), 50.0)
            few = (OURS, ENGINE, HAND, LBFGS, UNO, PYOMO, PLAIN)
            report(bench, asked, ("relu2", 1000, 1000), few, 25.0)
            if asked.wants("growth"):
                grow(bench)


def grow(bench: Bench) -> None:
    """Fit how ours grows with the number of samples."""
    for kind, parameters in (("square", 100), ("relu2", 200)):
        sizes, seconds = (100, 200, 400, 800), []
        for samples in sizes:
            instance = problem(bench.generator(63, samples), kind, samples, parameters)
            begins = starts(instance, bench.generator(64, samples), STARTS)
            answers = tried(WAYS[OURS], instance, begins, 60.0, math.inf)
            seconds.append(statistics.median(answers.seconds))
        bench.growth(f"{OURS}, {kind}, d = {parameters}", "N", sizes, seconds)


if __name__ == "__main__":
    main()
