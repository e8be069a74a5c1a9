"""Weights of the samples in a loss: a whole number is a sample that occurs so often.

One point is judged twice, with weights and with every sample repeated. The two problems are the
same one, so that words, residuals and gaps must agree, whatever the predictor and the loss.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

import lexmargin as lm
from adversarial_common import Family, Trial
from lexmargin.errors import LexmarginError
from lexmargin.formulations import Formulation
from lexmargin.judge import Certificate

__all__ = ["FAMILIES", "SHARES"]

Array = NDArray[np.float64]
NORMS: Final = (1.0, 1.5, 2.0, 3.0, np.inf)
TOLERANCE: Final = 1e-7
AGREE: Final = 1e-6
"""Relative difference of two sums of the same terms, whose order alone differs."""


def _predictor(rng: np.random.Generator) -> lm.Predictor:
    kinds: list[lm.Predictor] = [
        lm.Linear(),
        lm.Linear(3),
        lm.DiagonalNetwork(2),
        lm.DiagonalNetwork(3),
        lm.Network((2,), lm.ReLU()),
        lm.Network((2,), lm.ReLU(power=2)),
        lm.Network((2,)),
    ]
    return kinds[int(rng.integers(len(kinds)))]


def _pair(rng: np.random.Generator) -> tuple[Formulation, Formulation]:
    """Return a problem with whole weights, and that of the repeated samples."""
    predictor = _predictor(rng)
    classes = 3 if predictor == lm.Linear(3) else 2
    count, size = int(rng.integers(classes, 7)), int(rng.integers(1, 4))
    X = rng.standard_normal((count, size)) * 10.0 ** rng.uniform(-1.0, 1.0)
    y = np.append(np.arange(classes), rng.integers(0, classes, count - classes))
    often = rng.integers(1, 6, count)
    loss = str(rng.choice(["exponential", "logistic", "cross-entropy"]))
    linear = predictor in (lm.Linear(), lm.Linear(3))
    norm = float(rng.choice(NORMS)) if linear else 2.0
    order = rng.permutation(int(often.sum()))
    weighted = lm.Dataset(X, y, weights=often.astype(float))
    repeated = lm.Dataset(np.repeat(X, often, axis=0)[order], np.repeat(y, often)[order])
    if rng.random() < 0.5:
        rho = 10.0 ** rng.uniform(-1.0, 2.0)
        return (
            lm.ConstrainedPath(predictor, weighted, rho, norm, loss),  # type: ignore[arg-type]
            lm.ConstrainedPath(predictor, repeated, rho, norm, loss),  # type: ignore[arg-type]
        )
    strength, power = 10.0 ** rng.uniform(-3.0, 1.0), float(rng.choice([1.0, 1.5, 2.0, 3.0]))
    return (
        lm.RegularizationPath(predictor, weighted, strength, norm, power, loss),  # type: ignore[arg-type]
        lm.RegularizationPath(predictor, repeated, strength, norm, power, loss),  # type: ignore[arg-type]
    )


def _point(rng: np.random.Generator, problem: Formulation) -> Array:
    """Return an answer, a point beside it, or any point."""
    draw = rng.random()
    # Networks are dear to solve.
    if draw < (0.3 if problem.functions.linear else 0.9):
        theta = rng.standard_normal(problem.functions.size)
        return theta / (np.linalg.norm(theta, problem.norm_p) * rng.choice([1.0, 1.0, 2.0]))
    theta = problem.functions.flatten(lm.solve(problem).theta)
    if rng.random() < 0.5:
        return theta
    step = rng.standard_normal(theta.size) * 10.0 ** rng.uniform(-9.0, -2.0)
    found = theta + step * (float(np.linalg.norm(theta)) or 1.0)
    if isinstance(problem, lm.ConstrainedPath):
        found = found / max(1.0, float(np.linalg.norm(found, problem.norm_p)))
    return found


def _clear(found: Certificate) -> bool:
    """Say whether the word does not hang on a number beside its tolerance."""
    numbers = [found.stationarity, found.stationarity_bound, found.feasibility, found.gap]
    return not any(x is not None and 0.3 * TOLERANCE < x < 3.0 * TOLERANCE for x in numbers)


def repeated(rng: np.random.Generator) -> Trial:
    """Words, ε, gap and objective of a weighted problem, against those of repeated samples."""
    weighted, other = _pair(rng)
    try:
        theta = _point(rng, weighted)
        one, two = lm.certify(weighted, theta), lm.certify(other, theta)
    except LexmarginError as error:
        return Trial(None, note=str(error))
    where = f"{weighted!r}, weights {weighted.data.weights!r}, at {theta!r}"
    if one.verdict is not two.verdict and _clear(one) and _clear(two):
        return Trial(one.verdict, wrong=f"{where}: {one.verdict}, repeated {two.verdict}")
    if one.gap is not None and two.gap is not None and one.gap > two.gap + AGREE * (1 + two.gap):
        # It may be smaller: the least weight enters the bound by the exponential loss.
        return Trial(one.verdict, refused=f"{where}: gap {one.gap!r}, repeated {two.gap!r}")
    for name, a, b in (
        ("ε", one.stationarity, two.stationarity),
        ("objective", weighted.objective(theta), other.objective(theta)),
        ("margin", one.margin, two.margin),
    ):
        if not _near(a, b):
            return Trial(one.verdict, wrong=f"{where}: {name} {a!r}, repeated {b!r}")
    return Trial(one.verdict)


def _near(a: float, b: float) -> bool:
    if a == b or (np.isnan(a) and np.isnan(b)):
        return True
    return abs(a - b) <= AGREE * max(abs(a), abs(b)) + 1e-9


FAMILIES: Final[dict[str, Family]] = {
    "weights: repeated samples": repeated,
}
SHARES: Final = dict.fromkeys(FAMILIES, 0.2)
