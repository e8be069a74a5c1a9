"""Multipliers of a given direction: ours beside scipy's nnls and CVXPY with Clarabel.

The problem is `min_{λ ≥ 0} ‖θ̂ - Jᵀλ‖₂`, J of |S| rows and d columns, half of the rows with weight.
Every method runs in a process of its own under the same time limit, on the same arrays; the
residual shown is recomputed here from the λ it returned. Sizes that do not fit in memory are
skipped and said so.
Usage: python benchmarks/multipliers.py [seconds per run] [memory in GB]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

SIZES = [(count, size) for count in (100, 1000) for size in (1_000, 100_000, 1_000_000)]
METHODS = ("lexmargin", "scipy nnls", "cvxpy clarabel")


def instance(count: int, size: int, noise: float = 1e-3) -> tuple[Any, Any]:
    """Return J (|S|, d) and θ̂ (d,): a conic combination of half of the rows, plus noise."""
    rng = np.random.default_rng(0)
    J = rng.standard_normal((count, size))
    share = np.maximum(rng.standard_normal(count), 0.0)
    theta = share @ J
    theta /= np.linalg.norm(theta)
    disturbance = rng.standard_normal(size)
    theta += noise * disturbance / np.linalg.norm(disturbance)
    return J, theta / np.linalg.norm(theta)


def solve(method: str, J: Any, theta: Any) -> Any:
    """Return λ (|S|,)."""
    if method == "lexmargin":
        from lexmargin.certificate.multipliers import nonnegative_multipliers

        return nonnegative_multipliers(J, theta).multipliers
    if method == "scipy nnls":
        from scipy.optimize import nnls

        return nnls(J.T, theta)[0]
    import cvxpy as cp

    x = cp.Variable(J.shape[0], nonneg=True)
    cp.Problem(cp.Minimize(cp.norm(theta - J.T @ x))).solve(solver="CLARABEL")
    return np.maximum(np.asarray(x.value), 0.0)


def child(method: str, count: int, size: int, path: str) -> None:
    """Solve one instance; time it without imports and without making the data."""
    J, theta = instance(count, size)
    warm = instance(5, 7)
    solve(method, *warm)
    started = time.perf_counter()
    values = solve(method, J, theta)
    seconds = time.perf_counter() - started
    residual = float(np.linalg.norm(theta - np.maximum(values, 0.0) @ J))
    Path(path).write_text(json.dumps({"seconds": seconds, "residual": residual}))


def measure(method: str, count: int, size: int, limit: float) -> dict[str, float] | str:
    """Return seconds and residual, or why there are none."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "answer.json")
        words = [sys.executable, __file__, "--child", method, str(count), str(size), path]
        # Making the data takes time of its own, which is not the method's.
        spare = 20.0 + count * size / 2e7
        try:
            done = subprocess.run(words, timeout=limit + spare, capture_output=True, check=False)
        except subprocess.TimeoutExpired:
            return f"over {limit:g} s"
        if done.returncode != 0:
            return f"failed ({done.returncode})"
        found: dict[str, float] = json.loads(Path(path).read_text())
        return found if found["seconds"] <= limit else f"over {limit:g} s"


def main(limit: float, memory: float) -> None:
    threads = os.environ.get("OMP_NUM_THREADS", "default")
    print(f"time limit {limit:g} s, memory {memory:g} GB, OMP_NUM_THREADS {threads}")
    print(f"{'|S|':>6} {'d':>9}  {'method':<16}{'seconds':>10}{'residual':>24}{'excess':>10}")
    for count, size in SIZES:
        # The matrix and two copies of it, at the least.
        needed = 3 * 8 * count * size / 1e9
        if needed > memory:
            print(f"{count:>6} {size:>9}  skipped: needs about {needed:.1f} GB of {memory:g}")
            continue
        answers = {method: measure(method, count, size, limit) for method in METHODS}
        best = min(
            (a["residual"] for a in answers.values() if not isinstance(a, str)), default=np.nan
        )
        for method, found in answers.items():
            if isinstance(found, str):
                print(f"{count:>6} {size:>9}  {method:<16}{found:>10}")
                continue
            excess = found["residual"] - best
            print(
                f"{count:>6} {size:>9}  {method:<16}{found['seconds']:>10.3f}"
                f"{found['residual']:>24.16f}{excess:>10.1e}",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    else:
        numbers = [float(word) for word in sys.argv[1:]]
        main(*(numbers + [60.0, 8.0][len(numbers) :]))
