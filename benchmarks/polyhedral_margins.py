"""Margins in the ℓ1 and ℓ∞ balls, which are linear programs, beside plain highspy and others.

Wide Gaussian rows; clouds with a low margin, with and without growth; and all levels of a
lexicographic problem with ties, whose proof is part of what is timed, beside the one linear program
of its first level.
Usage: python benchmarks/polyhedral_margins.py [--seed S] [--seeds K] [--limit S] [--only WORD]
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from cases import (
    ENGINE,
    SOLVE,
    Answer,
    Case,
    Judgement,
    accurate,
    engine,
    fastest,
    grow,
    measure,
    slower,
    solve,
    warm_up,
)  # fmt: skip
from common import Bench, Options, options
from instances import blocks, bytes_of, clouds, wide
from linear import linear_case, margin_gap
from peers import Solver, highspy_margin, through_cvxpy

import lexmargin as lm

LIMIT: Final = 8.0
HIGHSPY: Final = "highspy"
NORMS: Final = ((1.0, "ℓ1"), (math.inf, "ℓ∞"))


def peers(norm: float) -> Mapping[str, Solver]:
    """Return who solves the linear program."""
    return {
        HIGHSPY: highspy_margin(norm),
        "CVXPY + HiGHS": through_cvxpy("HIGHS", norm),
        "CVXPY + Clarabel": through_cvxpy("CLARABEL", norm),
    }


def wide_rows(bench: Bench, asked: Options) -> None:
    """More columns than rows: nearly every sample supports."""
    for norm, word in NORMS:
        name = f"wide 100 x 1000, {word}"
        if not asked.wants(name):
            continue
        X, y = wide(bench.generator(11), 100, 1000)
        found = measure(bench, linear_case(name, X, y, peers(norm), norm=norm), asked)
        slower(bench, name, found[HIGHSPY], 1.2, against=HIGHSPY)
        accurate(bench, name)

        def sized(d: int, norm: float = norm) -> Case[Answer]:
            return linear_case("", *wide(bench.generator(11, d), 100, d), {}, norm=norm)

        grow(bench, f"wide, N = 100, {word}", "d", (125, 250, 500, 1000), sized)


def low_margin(bench: Bench, asked: Options) -> None:
    """Clouds that nearly touch."""
    for norm, word in NORMS:
        name = f"low margin 2000 x 50, {word}"
        if not asked.wants(name):
            continue
        X, y = clouds(bench.generator(12), 2000, 50, 1e-3)
        found = measure(bench, linear_case(name, X, y, peers(norm), norm=norm), asked)
        slower(bench, name, found[HIGHSPY], 1.0, against=HIGHSPY)
        fastest(bench, name, 1.0)
        accurate(bench, name)

        def sized(n: int, norm: float = norm) -> Case[Answer]:
            return linear_case("", *clouds(bench.generator(12, n), n, 50, 1e-3), {}, norm=norm)

        grow(bench, f"low margin, d = 50, {word}", "N", (500, 1000, 2000, 4000), sized)


def levels_case(name: str, Z: Any, with_peer: bool) -> Case[Answer]:
    """Return all levels of tied blocks; the peer solves the first level alone."""
    y = np.where(np.arange(len(Z)) % 2, 1.0, -1.0)
    data = lm.Dataset(Z * y[:, None], y)
    known: list[Any] = []

    def stated() -> lm.Lexicographic:
        return lm.Lexicographic(lm.Linear(), data, norm="inf")

    def judged(answer: Answer) -> Judgement:
        known.extend([answer.multipliers] if answer.multipliers.size else [])
        gap = margin_gap(Z, y, False, math.inf, answer.theta, known[0]) if known else math.nan
        return Judgement(*answer.certificate[:2], gap, answer.certificate[2])

    ways = {SOLVE: lambda: solve(stated()), ENGINE: lambda: engine(stated())}
    if with_peer:
        first = highspy_margin(math.inf)
        ways["highspy, first level"] = lambda: Answer(first(Z, None), np.empty(0))
    return Case(name, ways, judged, bytes_of(Z))


def levels(bench: Bench, asked: Options) -> None:
    """All levels with proof, beside one linear program."""
    name = "tied levels 2000 x 40, ℓ∞"
    if not asked.wants(name):
        return
    made = levels_case(name, blocks(2000, bench.generator(13), True, 10), True)
    found = measure(bench, made, asked)
    slower(bench, name, found["highspy, first level"], 6.0, against="one LP (highspy)")
    accurate(bench, name)
    grow(
        bench, "tied levels, d = 40, ℓ∞", "N", (250, 500, 1000, 2000),
        lambda n: levels_case("", blocks(n, bench.generator(13, n), True, 10), False),
    )  # fmt: skip


def main() -> None:
    """Print the tables."""
    asked = options(__doc__, LIMIT)
    warm_up()
    title = "Margins in the ℓ1 and ℓ∞ balls, CPU seconds"
    with Bench("polyhedral_margins", title, SOLVE, asked.seeds) as bench:
        for _ in bench.each_seed():
            for family in (wide_rows, low_margin, levels):
                family(bench, asked)


if __name__ == "__main__":
    main()
