"""What a certificate costs at an answer: of relu² networks, in Jacobians.

Networks of 20 relu² units at the answer of ours. "Jacobians" counts how often the certificate asks
for the rows of the Jacobian, or of a part of them; beside it stand the CPU seconds of one Jacobian
and how many of them the certificate takes.
Usage: python benchmarks/certificates.py [--seed S] [--seeds K] [--limit SECONDS] [--only WORD]
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy as np
from cases import Case, Judgement, measure
from common import Bench, Options, options
from measure import Unanswered, within
from nonconvex import problem, starts

import lexmargin as lm
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray

LIMIT: Final = 60.0
OURS, JACOBIAN = "certify", "one Jacobian"
SIZES: Final = ((60, 125), (80, 250), (120, 500), (200, 1000))
WANTED: Final = 30
Told = tuple[float, float, str, float]


@contextmanager
def counted() -> Iterator[list[int]]:
    """Count how often rows of the Jacobian are asked for meanwhile."""
    asked = [0]
    own = MarginFunctions._rows

    def count(self: MarginFunctions, *given: object) -> FloatArray:
        asked[0] += 1
        return own(self, *given)  # type: ignore[arg-type]

    MarginFunctions._rows = count  # type: ignore[method-assign]
    try:
        yield asked
    finally:
        MarginFunctions._rows = own  # type: ignore[method-assign]


def certified(instance: lm.HardMargin, theta: FloatArray) -> Told:
    """Return ε, δ, the word and the number of Jacobians of a certificate of a fresh problem."""
    fresh = lm.HardMargin(instance.predictor, instance.data)
    with counted() as asked:
        found = lm.certify(fresh, theta)
    return found.stationarity, found.complementarity, found.verdict.value, float(asked[0])


def jacobian(instance: lm.HardMargin, theta: FloatArray) -> Told:
    """Return nothing but the cost of one Jacobian of a fresh problem."""
    lm.HardMargin(instance.predictor, instance.data).functions.jacobian(theta)
    return math.nan, math.nan, "", 1.0


def answer(instance: lm.HardMargin, start: FloatArray) -> FloatArray:
    """Return the θ that is to be certified."""
    return np.concatenate([b.reshape(-1) for b in lm.solve(instance, start=start).theta])


def judged(told: Told) -> Judgement:
    """Return what the certificate said."""
    return Judgement(told[0], told[1], verdict=told[2], figures={"Jacobians": told[3]})


def report(bench: Bench, asked: Options) -> None:
    """Certify an answer at four sizes."""
    seconds, sizes = [], []
    for samples, parameters in SIZES:
        instance = problem(bench.generator(71, parameters), "relu2", samples, parameters)
        name = f"relu², N = {samples}, d = {instance.functions.size}"
        if not asked.wants(name):
            continue
        begin = starts(instance, bench.generator(72, parameters), 1)[0]
        theta = within(lambda p=instance, s=begin: answer(p, s), LIMIT)
        if isinstance(theta, Unanswered):
            print(f"  {name}: no answer to certify: {theta.why}")
            continue
        ways = {
            OURS: lambda p=instance, t=theta: certified(p, t),
            JACOBIAN: lambda p=instance, t=theta: jacobian(p, t),
        }
        case = Case(name, ways, judged, ours=OURS, engines=(JACOBIAN,))
        rows = measure(bench, case, asked)
        own, one = rows[OURS], rows[JACOBIAN]
        if not own.seconds:
            continue
        seconds.append(own.median)
        sizes.append(instance.functions.size)
        count = own.figures["Jacobians"]
        bench.target(f"{name}: Jacobians of a certificate", count, WANTED, at_least=False)
        what = f"{name}: CPU s of a certificate / of one Jacobian"
        bench.target(what, own.median / one.median, WANTED, at_least=False)
    if len(seconds) == len(SIZES):
        bench.growth(OURS, "d", sizes, seconds)


def main() -> None:
    """Print the tables."""
    asked = options(__doc__, LIMIT)
    title = "Certificates of relu² networks, CPU seconds"
    with Bench("certificates", title, OURS, asked.seeds) as bench:
        for _ in bench.each_seed():
            report(bench, asked)


if __name__ == "__main__":
    main()
