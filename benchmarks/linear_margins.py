"""The ℓ2 hard margin of linear scores: what a user calls beside everything that is cheap to write.

Dense clouds with a free bias at two margins, wide data, rows that all support, one-hot coded
categories, and text-like rows. Peers get the signed rows; "gap" is 1 - margin/bound for the answer
of each, the bound proven by the multipliers of ours (benchmarks/linear.py).
Usage: python benchmarks/linear_margins.py [--seed S] [--seeds K] [--limit SECONDS] [--only WORD]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from cases import ENGINE, SOLVE, Case, accurate, grow, measure, memory, slower, warm_up
from common import Bench, Options, options
from instances import all_support, dense, one_hot, text_like, wide
from linear import linear_case
from peers import (
    LIBSVM,
    Solver,
    clarabel_direct,
    cutting_plane,
    daqp_all_rows,
    gram_daqp,
    least_distance_nnls,
    libsvm,
    qr_daqp,
    through_cvxpy,
)  # fmt: skip

from lexmargin.ops.base import FloatArray

LIMIT: Final = 8.0
CLARABEL: Final = "Clarabel"
THROUGH: Final = "CVXPY + Clarabel"
CUTS: Final = "cutting plane, DAQP"
DAQP: Final = "DAQP, all rows"
THROUGH_DAQP: Final = "CVXPY + DAQP"
TIGHT: Final = {"tol_gap_rel": 1e-10, "tol_feas": 1e-10}
Make = Callable[[np.random.Generator], tuple[Any, FloatArray]]
Peers = Mapping[str, Solver]

_LAYERS: Final = {THROUGH: through_cvxpy("CLARABEL", **TIGHT)}
_DENSE: Final[Peers] = {
    CUTS: cutting_plane,
    DAQP: daqp_all_rows,
    CLARABEL: clarabel_direct,
    **_LAYERS,
    THROUGH_DAQP: through_cvxpy("DAQP"),
    LIBSVM: libsvm,
}
_SPARSE: Final[Peers] = {CLARABEL: clarabel_direct, CUTS: cutting_plane, **_LAYERS, LIBSVM: libsvm}
_WIDE: Final[Peers] = {"QR + DAQP": qr_daqp, "Gram + DAQP": gram_daqp, CLARABEL: clarabel_direct}
_ALL: Final[Peers] = {
    DAQP: daqp_all_rows,
    CUTS: cutting_plane,
    "least distance, nnls": least_distance_nnls,
    THROUGH_DAQP: through_cvxpy("DAQP"),
    CLARABEL: clarabel_direct,
    **_LAYERS,
}


def case(name: str, make: Make, rng: np.random.Generator, peers: Peers, **words: Any) -> Case[Any]:
    """Return the case of an instance drawn from the generator."""
    X, y = make(rng)
    return linear_case(name, X, y, peers, **words)


def one_hot_rows(bench: Bench, asked: Options) -> None:
    """One-hot coded categories, faces of deficient rank."""
    for n in (5_000, 20_000):
        name = f"one-hot {n} x 1000, bias"
        if not asked.wants(name):
            continue
        made = case(
            name, lambda rng, n=n: one_hot(rng, n, 20, 50), bench.generator(1, n), _SPARSE,
            bias=True, runs=3,
        )  # fmt: skip
        found = measure(bench, made, asked)
        slower(bench, name, found[CLARABEL], 0.5, against=CLARABEL)
        accurate(bench, name)
        memory(bench, name, 4.0)
    if asked.wants("one-hot"):
        grow(
            bench, "one-hot, d = 1000", "N", (625, 1250, 2500, 5000),
            lambda n: case("", lambda rng: one_hot(rng, n, 20, 50), bench.generator(1, n), {},
                           bias=True),
        )  # fmt: skip


def wide_rows(bench: Bench, asked: Options) -> None:
    """Many more columns than rows."""
    name = "wide 500 x 20000, bias"
    if not asked.wants(name):
        return
    made = case(
        name, lambda rng: wide(rng, 500, 20_000), bench.generator(2), _WIDE, bias=True, runs=3
    )
    found = measure(bench, made, asked)
    slower(bench, name, found[ENGINE], 1.3, against="engine")
    slower(bench, name, found["QR + DAQP"], 1.0, against="QR + DAQP")
    accurate(bench, name)
    grow(
        bench, "wide, N = 500", "d", (2_500, 5_000, 10_000, 20_000),
        lambda d: case("", lambda rng: wide(rng, 500, d), bench.generator(2, d), {}, bias=True),
    )  # fmt: skip


def supporting_rows(bench: Bench, asked: Options) -> None:
    """Every row is a support vector."""
    name = "all rows support 2000 x 20"
    if not asked.wants(name):
        return
    made = case(name, lambda rng: all_support(rng, 2000, 20), bench.generator(3), _ALL)
    found = measure(bench, made, asked)
    for peer in (THROUGH_DAQP, DAQP):
        slower(bench, name, found[peer], 1.0, against=peer)
    accurate(bench, name)
    memory(bench, name, 4.0)
    grow(
        bench, "all rows support, d = 20", "N", (250, 500, 1000, 2000),
        lambda n: case("", lambda rng: all_support(rng, n, 20), bench.generator(3, n), {}),
    )  # fmt: skip


def passes(bench: Bench, name: str) -> None:
    """State the goal for how often the engine reads all rows."""
    row = bench.find(name, ENGINE)
    count = math.nan if row is None else row.figures.get("passes", math.nan)
    bench.target(f"{name}: passes", count, 20, at_least=False)


def clouds_at(bench: Bench, asked: Options) -> None:
    """Dense clouds with a free bias."""
    sizes = ((10_000, 100, 0.1), (100_000, 10, 0.1), (10_000, 100, 1e-3))
    for n, d, gap in sizes:
        name = f"{'low margin' if gap < 0.1 else 'dense'} {n} x {d}, bias"
        if not asked.wants(name):
            continue
        made = case(
            name, lambda rng, n=n, d=d, gap=gap: dense(rng, n, d, gap), bench.generator(4, n, d),
            _DENSE, bias=True,
        )  # fmt: skip
        found = measure(bench, made, asked)
        first = (THROUGH, 0.02) if gap == 0.1 else (DAQP, 0.1)
        for peer, wanted in (first, (THROUGH_DAQP, 0.1)):
            slower(bench, name, found[peer], wanted, against=peer)
        passes(bench, name)
        accurate(bench, name)
        memory(bench, name, 2.0, way=ENGINE)
    name = "dense 100000 x 100, bias"
    if asked.wants(name):
        some = {way: _DENSE[way] for way in (CUTS, DAQP, LIBSVM)}
        made = case(name, lambda rng: dense(rng, 100_000, 100), bench.generator(5), some, bias=True)
        measure(bench, made, asked)
        accurate(bench, name)
        memory(bench, name, 2.0)
    for word, gap in (("dense", 0.1), ("low margin", 1e-3)):
        if asked.wants(word):
            grow(
                bench, f"{word}, d = 100", "N", (1_250, 2_500, 5_000, 10_000),
                lambda n, gap=gap: case(
                    "", lambda rng: dense(rng, n, 100, gap), bench.generator(4, n), {}, bias=True
                ),
            )  # fmt: skip


def text_rows(bench: Bench, asked: Options) -> None:
    """Sparse rows like texts."""
    for n, d in ((20_000, 50_000), (50_000, 100_000)):
        name = f"text-like {n} x {d}, bias"
        if not asked.wants(name):
            continue
        some = _SPARSE if n < 50_000 else {LIBSVM: libsvm}
        made = case(
            name, lambda rng, n=n, d=d: text_like(rng, n, d, 50), bench.generator(6, n), some,
            bias=True, runs=3,
        )  # fmt: skip
        measure(bench, made, asked)
        accurate(bench, name)
        memory(bench, name, 2.0)
    if asked.wants("text-like"):
        grow(
            bench, "text-like, d = 50000", "N", (2_500, 5_000, 10_000, 20_000),
            lambda n: case(
                "", lambda rng: text_like(rng, n, 50_000, 50), bench.generator(6, n), {}, bias=True
            ),
        )  # fmt: skip


def main() -> None:
    """Print the tables."""
    asked = options(__doc__, LIMIT)
    warm_up()
    title = "Linear hard margins, ℓ2, CPU seconds"
    with Bench("linear_margins", title, SOLVE, asked.seeds) as bench:
        for _ in bench.each_seed():
            for family in (one_hot_rows, wide_rows, supporting_rows, clouds_at, text_rows):
                family(bench, asked)


if __name__ == "__main__":
    main()
