"""Time limits, measured: random problems of every family, profiles drawn anew, seconds beyond.

``python tests/limits_kept.py --count 200 --seed 1`` prints a row per family and those that came
latest; the exit code is 1 where one came more than a second after its limit.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse

import lexmargin as lm
from lexmargin.formulations import Formulation

__all__ = ["ALLOWED_SECONDS", "FAMILIES", "Limited", "measured"]

ALLOWED_SECONDS = 1.0
"""Beyond the limit, the certificate included."""

Rng = np.random.Generator
Work = Callable[[float], object]
CONVEX = (
    "auto",
    "clarabel",
    "highs",
    "scs",
    "osqp",
    "piqp",
    "proxqp",
    "daqp",
    "active-set",
    "ipopt",
)
SMOOTH = ("auto", "ipopt", "ipopt-casadi", "slsqp", "augmented-lagrangian", "newton", "uno-ipopt",
          "trust-constr", "sqpmethod")  # fmt: skip
KINKED = ("auto", "convex-concave", "fixed-pattern", "ipopt-casadi")


def separable(rng: Rng, n: int, d: int, margin: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    X = rng.standard_normal((n, d))
    w = rng.standard_normal(d)
    w /= np.linalg.norm(w)
    y = np.where(X @ w >= 0.0, 1, -1)
    if abs(int(y.sum())) == n:
        y[0] = -y[0]
        X[0] = -X[0]
    return X + margin * y[:, None] * w, y


def size(rng: Rng, least: float, most: float) -> int:
    return int(np.exp(rng.uniform(np.log(least), np.log(most))))


def drawn(rng: Rng, profiles: tuple[str, ...]) -> str:
    # Half of all calls name no solver.
    return "auto" if rng.random() < 0.5 else str(rng.choice(profiles))


def solving(problem: Formulation, solver: str, seed: int) -> Work:
    return lambda limit: lm.solve(problem, solver, time_limit=limit, seed=seed)


def linear(rng: Rng) -> tuple[str, Work]:
    n, d = size(rng, 10, 4000), size(rng, 2, 800)
    norm = [2.0, 1.0, "inf", 3.0][rng.integers(4)]
    problem = lm.HardMargin(lm.Linear(), lm.Dataset(*separable(rng, n, d)), norm=norm)
    solver = drawn(rng, CONVEX)
    return f"{n} x {d} l{norm} {solver}", solving(problem, solver, 0)


def bias(rng: Rng) -> tuple[str, Work]:
    n, d = size(rng, 10, 3000), size(rng, 2, 500)
    predictor = lm.Sum([lm.Linear(), lm.Bias("plain")])
    problem = lm.HardMargin(predictor, lm.Dataset(*separable(rng, n, d)))
    solver = drawn(rng, CONVEX)
    return f"{n} x {d} {solver}", solving(problem, solver, 0)


def wide(rng: Rng) -> tuple[str, Work]:
    n, d = size(rng, 50, 500), size(rng, 2000, 20000)
    norm = [2.0, 2.0, 1.0][rng.integers(3)]
    solver = drawn(rng, ("auto", "clarabel", "active-set", "highs"))
    problem = lm.HardMargin(lm.Linear(), lm.Dataset(*separable(rng, n, d)), norm=norm)
    return f"{n} x {d} l{norm} {solver}", solving(problem, solver, 0)


def one_hot(rng: Rng) -> tuple[str, Work]:
    n, levels, fields = size(rng, 2000, 20000), size(rng, 20, 200), 5
    columns = rng.integers(levels, size=(n, fields)) + levels * np.arange(fields)
    ends = np.arange(0, n * fields + 1, fields)
    ones = np.ones(n * fields)
    X = scipy.sparse.csr_matrix((ones, columns.ravel(), ends), shape=(n, levels * fields))
    scores = X @ rng.standard_normal(levels * fields) + 0.3
    kept = np.abs(scores) > 0.2
    data = lm.Dataset(X[kept], np.where(scores[kept] > 0, 1, -1))
    problem = lm.HardMargin(lm.Linear(), data)
    return f"{int(kept.sum())} x {levels * fields}", solving(problem, "auto", 0)


def sparse(rng: Rng) -> tuple[str, Work]:
    n, d = size(rng, 1000, 20000), size(rng, 1000, 50000)
    X = scipy.sparse.random(n, d, density=min(0.5, 30 / d), random_state=rng, format="csr")
    scores = X @ rng.standard_normal(d)
    kept = np.abs(scores) > 0.1
    data = lm.Dataset(X[kept], np.where(scores[kept] > 0, 1, -1))
    return f"{n} x {d}", solving(lm.HardMargin(lm.Linear(), data), "auto", 0)


def losses(rng: Rng) -> tuple[str, Work]:
    n, d = size(rng, 10, 3000), size(rng, 2, 300)
    data = lm.Dataset(*separable(rng, n, d))
    norm = [2.0, 1.0, "inf"][rng.integers(3)]
    solver = drawn(rng, ("auto", "newton", "clarabel", "scs", "ipopt"))
    problem: lm.ConstrainedPath | lm.RegularizationPath
    if rng.random() < 0.5:
        problem = lm.ConstrainedPath(lm.Linear(), data, 10.0 ** rng.uniform(-1, 3), norm=norm)
    else:
        problem = lm.RegularizationPath(lm.Linear(), data, 10.0 ** rng.uniform(-3, 0), norm=norm)
    return f"{problem.word} {n} x {d} l{norm} {solver}", solving(problem, solver, 0)


def nets(rng: Rng) -> tuple[str, Work]:
    n, p = size(rng, 5, 300), size(rng, 2, 30)
    predictor = [
        lm.Network((int(rng.integers(2, 10)),), lm.ReLU(2)),
        lm.Network((int(rng.integers(2, 10)),), lm.Square()),
        lm.Network((int(rng.integers(2, 10)), 3)),
        lm.DiagonalNetwork(int(rng.integers(2, 5))),
        lm.ConvolutionalNetwork(2),
    ][rng.integers(5)]
    data = lm.Dataset(*separable(rng, n, p))
    kind = [lm.HardMargin(predictor, data), lm.MarginPath(predictor, data, 1.0)][rng.integers(2)]
    solver = drawn(rng, SMOOTH)
    return f"{kind.word} {predictor} {n} x {p} {solver}", solving(
        kind, solver, int(rng.integers(9))
    )


def kinks(rng: Rng) -> tuple[str, Work]:
    n, p = size(rng, 5, 200), size(rng, 2, 20)
    act = [lm.ReLU(), lm.LeakyReLU(0.2)][rng.integers(2)]
    predictor = lm.Network((int(rng.integers(2, 12)),), act)
    X, y = separable(rng, n, p)
    if rng.random() < 0.5:
        y = np.where(rng.random(n) < 0.5, 1, -1)
        y[:2] = 1, -1
    solver = drawn(rng, KINKED)
    problem = lm.HardMargin(predictor, lm.Dataset(X, y))
    return f"{predictor} {n} x {p} {solver}", solving(problem, solver, int(rng.integers(9)))


def levels(rng: Rng) -> tuple[str, Work]:
    n, d = size(rng, 10, 1500), size(rng, 2, 60)
    X, y = separable(rng, n, d)
    if rng.random() < 0.5:
        X = np.rint(3 * X)
        X[np.all(X == 0.0, axis=1), 0] = 1.0
        w = rng.standard_normal(d)
        y = np.where(X @ w > 0, 1, -1)
        y[0] = -y[1] if abs(int(y.sum())) == n else y[0]
    norm = [2.0, 1.0, "inf"][rng.integers(3)]
    problem = lm.Lexicographic(lm.Linear(), lm.Dataset(X, y), norm=norm)
    return f"{n} x {d} l{norm}", solving(problem, "auto", 0)


def w_set(rng: Rng) -> tuple[str, Work]:
    n, p = size(rng, 4, 100), size(rng, 2, 12)
    predictor = lm.Sum([lm.DiagonalNetwork(2), lm.DiagonalNetwork(3)])
    problem = lm.WSet(predictor, lm.Dataset(*separable(rng, n, p)))
    return f"{n} x {p}", solving(problem, "auto", int(rng.integers(9)))


def traces(rng: Rng) -> tuple[str, Work]:
    n, p = size(rng, 5, 1000), size(rng, 2, 50)
    data = lm.Dataset(*separable(rng, n, p))
    net = rng.random() < 0.5
    predictor = lm.Network((4,), lm.ReLU(2)) if net else lm.Linear()
    norm = 2.0 if net else [2.0, 1.0, "inf"][rng.integers(3)]
    kind = [lm.ConstrainedPath, lm.MarginPath][rng.integers(2)]
    problem = kind(predictor, data, 1.0, norm=norm)
    grid = [float(x) for x in np.logspace(-1, 3, 40)]
    return f"{problem.word} {predictor} {n} x {p} l{norm}", lambda limit: lm.trace(
        problem, grid, time_limit=limit
    )


def descents(rng: Rng) -> tuple[str, Work]:
    n, p = size(rng, 5, 500), size(rng, 2, 30)
    data = lm.Dataset(*separable(rng, n, p))
    predictor = [lm.Network((6,), lm.ReLU(2)), lm.DiagonalNetwork(3), lm.Linear()][rng.integers(3)]
    return f"{predictor} {n} x {p}", lambda limit: lm.descend(
        predictor, data, steps=10**9, time_limit=limit
    )


FAMILIES: dict[str, Callable[[Rng], tuple[str, Work]]] = {
    family.__name__: family
    for family in (
        linear,
        bias,
        wide,
        one_hot,
        sparse,
        losses,
        nets,
        kinks,
        levels,
        w_set,
        traces,
        descents,
    )
}


@dataclass(frozen=True)
class Limited:
    """One limited call: what it was, its limit, the seconds beyond it, and how it ended."""

    family: str
    what: str
    limit: float
    beyond: float
    end: str


def ended(answer: object) -> str:
    if isinstance(answer, lm.Solution):
        word = answer.certificate.verdict.value if answer.certificate else "no certificate"
        return f"{answer.ran.value} {word}" + (" (late)" if answer.unjudged else "")
    return str(getattr(answer, "end", getattr(answer, "reason", answer)))


def measured(family: str, rng: Rng) -> Limited:
    """Make one problem, solve it within .2 to 3 seconds, and say how late the answer came."""
    what, work = FAMILIES[family](rng)
    limit = float(np.exp(rng.uniform(np.log(0.2), np.log(3.0))))
    gc.collect()
    began = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            end = ended(work(limit))
    except lm.LexmarginError as error:
        end = f"{type(error).__name__}: {error}"[:60]
    return Limited(family, what, limit, time.perf_counter() - began - limit, end)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--family", default="")
    asked = parser.parse_args()
    names = [name for name in FAMILIES if asked.family in ("", name)]
    # What a first call imports belongs to no limit.
    plain = lm.Dataset([[1.0, 0.0], [0.0, 2.0]], [1, -1])
    for name in sorted({*CONVEX, *SMOOTH, *KINKED} - {"auto"}):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                lm.solve(lm.HardMargin(lm.Linear(), plain), name, time_limit=60.0)
        except lm.LexmarginError:
            continue
    found = []
    for k in range(asked.count):
        rng = np.random.default_rng([asked.seed, k])
        found.append(measured(names[k % len(names)], rng))
        if found[-1].beyond > ALLOWED_SECONDS:
            print("late:", found[-1], flush=True)
    print(f"{'family':10} {'calls':>5} {'reached':>7} {'latest':>7} {'answered':>8}")
    for name in names:
        mine = [one for one in found if one.family == name]
        reached = [one for one in mine if one.beyond > 0.0]
        answered = [one for one in mine if "late" not in one.end and "TIME_LIMIT no" not in one.end]
        latest = max((one.beyond for one in mine), default=0.0)
        print(f"{name:10} {len(mine):5} {len(reached):7} {latest:7.2f} {len(answered):8}")
    for one in sorted(found, key=lambda one: -one.beyond)[:10]:
        print(f"{one.beyond:6.2f} s beyond {one.limit:.2f}: {one.family} {one.what}: {one.end}")
    return int(any(one.beyond > ALLOWED_SECONDS for one in found))


if __name__ == "__main__":
    sys.exit(main())
