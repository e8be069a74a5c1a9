"""From `import` to the first certified answer: a linear hard margin, 100 samples, 10 features.

Every run is a fresh process whose clock starts after NumPy and the data are there. The routes take
turns, so that all see the same neighbours; a first round, which only fills the bytecode caches, is
not counted. "in all" is from the start of the process. The peer gets no certificate of its own:
ours judges its answer here. How our cost grows from 100 to 100,000 samples is measured too.
Usage: python benchmarks/first_answer.py [--seed S] [--seeds K]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from common import Bench, Role, Row, options
from instances import clouds

from lexmargin.judge import certify_arrays

OWN: Final = "lexmargin"
PEER: Final = "plain CVXPY"
GROWTH: Final = (100, 1_000, 10_000, 100_000)
WITHOUT_JAX: Final = "sys.modules['jax'] = None"
BEFORE: Final = """
import json, resource, sys, time
{blocked}
import numpy as np
data = np.load(sys.argv[1])
X, y = data["X"], data["y"]
began = time.process_time()
"""
OURS: Final = """
import lexmargin as lm
solution = lm.solve(lm.HardMargin(lm.Linear(), lm.Dataset(X, y)), solver="{solver}")
assert solution.certificate.certified
w = solution.direction
"""
PLAIN: Final = """
import cvxpy as cp
v = cp.Variable(X.shape[1])
cp.Problem(cp.Minimize(cp.sum_squares(v) / 2), [cp.multiply(y, X @ v) >= 1]).solve()
w = v.value
"""
AFTER: Final = """
spent = time.process_time() - began
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"seconds": spent, "all": time.process_time(), "w": list(w),
                  "memory": 1024.0 * usage.ru_maxrss}))
"""
ROUTES: Final = {
    OWN: OURS.format(solver="auto"),
    "lexmargin through CVXPY": OURS.format(solver="clarabel"),
    PEER: PLAIN,
}
ROLES: Final = {OWN: Role.OURS, "lexmargin through CVXPY": Role.ENGINE, PEER: Role.PEER}
RUNS: Final = 5


def fresh(route: str, path: str, blocked: str) -> dict[str, Any]:
    """Return what a fresh process measured."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    code = BEFORE.replace("{blocked}", blocked) + route + AFTER
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True, env=kept
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(bench: Bench, name: str, runs: int, blocked: str) -> None:
    """Print the rows of one condition."""
    X, y = clouds(bench.generator(101), 100, 10, 0.3)
    found: dict[str, list[dict[str, Any]]] = {route: [] for route in ROUTES}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "clouds.npz")
        np.savez(path, X=X, y=y)
        for turn in range(runs + 1):
            for route, code in ROUTES.items():
                one = fresh(code, path, blocked)
                if turn:
                    found[route].append(one)
    J = y[:, None] * X
    for route, runs_of in found.items():
        w = np.asarray(runs_of[-1]["w"])
        judged = certify_arrays(J @ w, J, w, 1.0, linear=True)
        bench.add(
            Row(
                name, route, tuple(one["seconds"] for one in runs_of), judged.stationarity,
                judged.complementarity, judged.verdict.value,
                statistics.median(one["memory"] for one in runs_of),
                figures={"in all": statistics.median(one["all"] for one in runs_of)},
                role=ROLES[route],
            )
        )  # fmt: skip
    for route in list(ROUTES)[:-1]:
        own, peer = bench.find(name, route), bench.find(name, PEER)
        assert own is not None and peer is not None
        what = f"{name}: {route} / {PEER}"
        bench.target(what, own.median / peer.median, 1.2, at_least=False)
    bench.ratios(name)


def grow(bench: Bench, runs: int) -> None:
    """Fit how the time to our first certified answer grows with the number of samples."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "clouds.npz")
        for count in GROWTH:
            X, y = clouds(bench.generator(102, count), count, 10, 0.3)
            np.savez(path, X=X, y=y)
            found = [fresh(ROUTES[OWN], path, WITHOUT_JAX) for _ in range(runs)]
            seconds.append(statistics.median(one["seconds"] for one in found))
    bench.growth(f"{OWN}, 10 features", "N", GROWTH, seconds)


def main() -> None:
    """Print the table."""
    asked = options(__doc__, 0.0)
    title = "From import to the first answer, CPU seconds"
    with Bench("first_answer", title, OWN, asked.seeds) as bench:
        for _ in bench.each_seed():
            # CVXPY imports JAX where it is installed, which hides what the rest costs.
            if find_spec("jax"):
                compare(bench, "with JAX installed", RUNS, "")
            compare(bench, "without JAX", RUNS, WITHOUT_JAX)
            grow(bench, 3)


if __name__ == "__main__":
    main()
