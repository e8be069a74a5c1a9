"""The linear hard margin with a free bias: constraint generation beside what people use instead.

Dense data: two Gaussian clouds in R^d, moved apart along a hidden direction u until
``y (u·x + b) >= 0.1`` for every row, then shifted as a whole (so that the bias is needed).
Sparse data: 50 entries a row in columns whose frequencies fall like 1/rank, normal values, labels
from a hidden direction on the first 200 columns, rows nearer than 0.3 to its plane left out.

Times are CPU seconds, median [smallest, largest]. Every answer is judged by the same code, from
data, w and b alone: the relative margin gap to the dual bound, and the certificate of a linear
margin with a free bias. "solve and certify" is the whole way of a user, ``lexmargin.solve`` on
eq. 13 with the data set at hand; its memory contains the certificate.
Usage: python benchmarks/linear_hard_margin.py [seconds per peer]
The two large sets are hopeless for a peer in seconds: it gets half of them. With more than a minute
per peer these sets alone are measured, as "linear_ten_minutes".
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from common import Bench, Row, Timing, Unanswered, measured, peak_memory, timed, within
from scipy import sparse

import lexmargin as lm
from lexmargin.backends.capture import captured
from lexmargin.backends.linear.constraint_generation import hard_margin_linear
from lexmargin.backends.linear.linear_answer import LinearAnswer
from lexmargin.judge import certify_linear
from lexmargin.ops.base import FloatArray

PEER_LIMIT: Final = 12.0
PATIENT: Final = 60.0
OURS: Final = "constraint generation"
WHOLE: Final = "solve and certify"
FREE: Final = lm.Sum([lm.Linear(), lm.Bias()])
CLARABEL: Final = "CVXPY + Clarabel"
Point = tuple[FloatArray, float]
Solver = Callable[[Any, FloatArray], Point]


@final
@dataclass(frozen=True)
class Instance:
    """One data set and the peers that are given a chance on it."""

    name: str
    X: Any
    y: FloatArray
    peers: tuple[str, ...]

    @property
    def large(self) -> bool:
        """Whether most peers are given no chance."""
        return len(self.peers) < len(PEERS)

    @property
    def bytes(self) -> int:
        """Size of the data."""
        if isinstance(self.X, np.ndarray):
            return self.X.nbytes
        return int(self.X.data.nbytes + self.X.indices.nbytes + self.X.indptr.nbytes)


def dense(n: int, d: int, gap: float = 0.1, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """Return N rows with margin at least ``gap``, and their labels."""
    rng = np.random.default_rng(seed)
    hidden = rng.standard_normal(d)
    hidden /= np.linalg.norm(hidden)
    y = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    X = rng.standard_normal((n, d))
    along = X @ hidden
    X += np.outer(y * (np.abs(along) + gap) - along, hidden)
    X += 0.3 * rng.standard_normal(d)
    return X, y


def text_like(n: int, d: int, each: int, seed: int = 0) -> tuple[Any, FloatArray]:
    """Return N sparse rows and their labels."""
    rng = np.random.default_rng(seed)
    drawn, entries = 4 * n, each + each // 8
    columns = np.minimum((float(d) ** rng.random((drawn, entries))).astype(np.int64), d) - 1
    ends = np.arange(0, drawn * entries + 1, entries)
    values = rng.standard_normal(drawn * entries)
    X = sparse.csr_array((values, columns.ravel(), ends), shape=(drawn, d))
    X.sum_duplicates()
    hidden = np.zeros(d)
    hidden[:200] = rng.standard_normal(200)
    score = X @ (hidden / np.linalg.norm(hidden))
    keep = np.flatnonzero(np.abs(score) > 0.3)[:n]
    chosen = X[keep]
    # LIBSVM accepts 32-bit indices only.
    chosen.indices, chosen.indptr = chosen.indices.astype(np.int32), chosen.indptr.astype(np.int32)
    return chosen, np.sign(score[keep])


def through_cvxpy(solver: str, options: Mapping[str, float]) -> Solver:
    """Return the problem in CVXPY, to be solved by ``solver``."""

    def solve(X: Any, y: FloatArray) -> Point:
        import cvxpy as cp

        w, b = cp.Variable(X.shape[1]), cp.Variable()
        constraint = cp.multiply(y, X @ w + b) >= 1
        problem = cp.Problem(cp.Minimize(0.5 * cp.sum_squares(w)), [constraint])
        problem.solve(solver=solver, **options)
        return np.asarray(w.value), float(b.value)

    return solve


def libsvm(C: float) -> Solver:
    """Return LIBSVM with a large C and its tolerance at 1e-8."""

    def solve(X: Any, y: FloatArray) -> Point:
        from sklearn.svm import SVC

        found = SVC(kernel="linear", C=C, tol=1e-8, cache_size=2000).fit(X, y)
        w = found.coef_
        w = w if isinstance(w, np.ndarray) else w.toarray()
        return np.asarray(w, dtype=float).reshape(-1), float(found.intercept_[0])

    return solve


PEERS: Final[Mapping[str, Solver]] = {
    CLARABEL: through_cvxpy("CLARABEL", {"tol_gap_rel": 1e-10, "tol_feas": 1e-10}),
    "CVXPY + HiGHS": through_cvxpy("HIGHS", {}),
    "CVXPY + DAQP": through_cvxpy("DAQP", {}),
    "LIBSVM C=1e8, tol 1e-8": libsvm(1e8),
}


def judged(
    X: Any, y: FloatArray, w: FloatArray, b: float, bound: float
) -> tuple[float, lm.Certificate]:
    """Return the relative margin gap of a plane to the dual bound, and our certificate."""
    size = float(np.linalg.norm(w))
    f = y * (X @ w + b)
    # The best bias for this direction, so that a peer is not blamed for its intercept alone.
    shift = 0.5 * float(f[y > 0].min() - f[y < 0].min())
    gap = 1.0 - float((f - y * shift).min()) / size / bound
    return gap, certify_linear(X, y, w, b - shift)


def bound_of(X: Any, y: FloatArray, lam: FloatArray) -> float:
    """Return ``‖Σ λ y x‖ / Σ λ`` and insist on ``λ >= 0, Σ λ y = 0``: no margin exceeds it."""
    assert lam.min() >= 0.0 and abs(float(lam @ y)) <= 1e-13 * float(lam.sum())
    return float(np.linalg.norm(X.T @ (lam * y)) / lam.sum())


def whole_way(X: Any, y: FloatArray) -> tuple[Timing[lm.Solution], float]:
    """Return the timing of ``lexmargin.solve`` on a data set that is there, and its memory."""
    problem = lm.WSet(FREE, lm.Dataset(X, y))
    return measured(lambda: lm.solve(problem), runs=3, budget=2.0)


def run(bench: Bench, instance: Instance, limit: float) -> None:
    """Print our row and the peers'; ours is timed between them, under the same conditions."""
    X, y = instance.X, instance.y

    def own() -> Timing[LinearAnswer]:
        return timed(lambda: hard_margin_linear(X, y, bias=True), runs=5, budget=2.0)

    memory = peak_memory(lambda: hard_margin_linear(X, y, bias=True))
    rounds = [own()]
    peers: dict[str, tuple[Timing[Point], float] | Unanswered] = {}
    for name in instance.peers:

        def work(solve: Solver = PEERS[name]) -> tuple[Timing[Point], float]:
            warnings.simplefilter("ignore")
            with captured():
                return measured(lambda: solve(X, y), runs=3, budget=3.0)

        peers[name] = within(work, limit)
        rounds.append(own())
    found = rounds[-1].result
    seconds = tuple(s for r in rounds for s in r.seconds)
    bound = bound_of(X, y, found.multipliers)
    what = f"{instance.name}, {instance.bytes / 2**20:.0f} MiB"

    def add(method: str, seconds: tuple[float, ...], point: Point, used: float) -> float:
        gap, found_there = judged(X, y, *point, bound)
        figures = {"gap": gap, "memory / data": used / instance.bytes}
        if method == OURS:
            figures |= {
                "passes": float(found.passes),
                "supports": float(np.count_nonzero(found.multipliers)),
                "working rows": float(found.working_set),
            }
        bench.add(
            Row(
                what, method, seconds, found_there.stationarity, found_there.complementarity,
                found_there.verdict.value, used, figures=figures,
            )
        )  # fmt: skip
        return gap

    mine = add(OURS, seconds, (found.theta, found.bias), memory)
    whole, whole_memory = whole_way(X, y)
    certificate = whole.result.certificate
    assert certificate is not None
    bench.add(
        Row(
            what, WHOLE, whole.seconds, certificate.stationarity, certificate.complementarity,
            certificate.verdict.value, whole_memory,
            figures={"memory / data": whole_memory / instance.bytes},
        )
    )  # fmt: skip
    for name, answer in peers.items():
        if isinstance(answer, Unanswered):
            bench.add(Row(what, name, note=answer.why, spent=answer.spent))
        else:
            add(name, answer[0].seconds, answer[0].result, answer[1])
    times = bench.ratios(what)
    del times[WHOLE]
    if times and not instance.large:
        fastest = min(times.values(), key=lambda one: one.value)
        if CLARABEL in times:
            clarabel = times[CLARABEL]
            bench.target(f"{instance.name}: Clarabel / ours{clarabel.words}", clarabel.value, 50.0)
        bench.target(f"{instance.name}: fastest peer / ours{fastest.words}", fastest.value, 10.0)
    bench.target(f"{instance.name}: margin gap", mine, 1e-10, at_least=False)
    bench.target(f"{instance.name}: passes", found.passes, 20, at_least=False)
    bench.target(f"{instance.name}: memory / data", memory / instance.bytes, 2.0, at_least=False)
    if instance.large:
        what = f"{instance.name}: memory / data, with the certificate"
        bench.target(what, whole_memory / instance.bytes, 2.0, at_least=False)


def main(limit: float) -> None:
    """Print the table."""
    import cvxpy  # noqa: F401  so that no peer pays for imports
    import sklearn.svm  # noqa: F401

    hard_margin_linear(*dense(500, 5), bias=True)  # nor do we
    most = tuple(PEERS)
    quick = ("CVXPY + DAQP", "LIBSVM C=1e8, tol 1e-8")
    large = [Instance("dense 100000 x 100", *dense(100_000, 100), quick)]
    X, y = text_like(50_000, 100_000, 50)
    each = X.nnz / X.shape[0]
    name = f"sparse {X.shape[0]} x {X.shape[1]}, {each:.0f} a row"
    large.append(Instance(name, X, y, (CLARABEL, quick[1])))
    if limit > PATIENT:
        title = f"Linear hard margin, the large sets with {limit / 60:.3g} minutes a peer"
        with Bench("linear_ten_minutes", f"{title}, CPU seconds", OURS) as bench:
            for instance in large:
                run(bench, instance, limit)
        return
    with Bench("linear_hard_margin", "Linear hard margin, free bias, CPU seconds", OURS) as bench:
        for n, d in ((10_000, 100), (100_000, 10)):
            run(bench, Instance(f"dense {n} x {d}", *dense(n, d), most), limit)
        for instance in large:
            run(bench, instance, 0.5 * limit)
        sizes = (12_500, 25_000, 50_000, 100_000)
        for d in (10, 100):
            seconds = []
            for n in sizes:
                Z, labels = dense(n, d)
                seconds.append(
                    timed(lambda Z=Z, y=labels: hard_margin_linear(Z, y, bias=True)).median
                )
            bench.growth(f"{OURS}, d = {d}", "N", sizes, seconds)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else PEER_LIMIT)
