"""Extreme inputs for the judge: what each is is told by a number, so that a batch can be repeated.

Run as a script, `python tests/extremes.py FIRST COUNT`, it judges a batch with every warning an
error and prints one line per input that ended in anything but a word or a named error.
"""

from __future__ import annotations

import math
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

import lexmargin as lm
from lexmargin.errors import LexmarginError
from lexmargin.formulations import Formulation
from lexmargin.judge.prove import prove
from lexmargin.judge.receipts.receipt import Receipt, receipt
from lexmargin.judge.receipts.verify import verify_receipt
from lexmargin.predictors import Predictor

Array = NDArray[np.float64]

SCALES: Final = (
    0.0, 5e-324, 1e-310, 1e-300, 1e-160, 1e-155, 1e-110, 1e-30, 1e-8, 1.0, 1.0, 1.0, 1e8, 1e30,
    1e110, 1e154, 1e160, 1e300, 1.7e308,
)  # fmt: skip
EVERY_TENTH: Final = 10
"""One input in so many is also proved, written to a receipt, and verified."""


def _numbers(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return numbers of one scale, of two, or of any."""
    mode = rng.integers(4)
    if mode == 0:
        sizes = np.full(shape, rng.choice(SCALES))
    elif mode == 1:
        sizes = rng.choice(rng.choice(SCALES, 2), shape)
    elif mode == 2:
        sizes = rng.choice(SCALES, shape)
    else:
        sizes = np.ones(shape)
    with np.errstate(all="ignore"):
        found = (
            rng.choice([-1.0, 1.0, 1.0], shape) * rng.choice([0.5, 1.0, 1.0, 0.7], shape) * sizes
        )
    return np.asarray(np.nan_to_num(found, posinf=1.7e308, neginf=-1.7e308))


def _predictor(rng: np.random.Generator, features: int, classes: int) -> Predictor:
    several = {"outputs": classes} if classes > 2 else {}
    if several:
        kinds: list[Callable[[], Predictor]] = [
            lambda: lm.Linear(classes),
            lambda: lm.Network((2,), lm.ReLU(), classes),
            lambda: lm.Network((2,), outputs=classes),
        ]
        return kinds[int(rng.integers(len(kinds)))]()
    power = int(rng.integers(1, 4))
    exponents = tuple(
        tuple(int(e) for e in np.maximum(rng.integers(0, 4, 2), [1, 0])) for _ in range(features)
    )
    kinds = [
        lm.Linear,
        lambda: lm.DiagonalNetwork(power),
        lambda: lm.DiagonalNetwork(5),
        lambda: lm.ConvolutionalNetwork(power),
        lambda: lm.Network((2,)),
        lambda: lm.Network((2,), lm.ReLU()),
        lambda: lm.Network((2, 2), lm.LeakyReLU(0.1)),
        lambda: lm.Network((2,), lm.ReLU(power=2)),
        lambda: lm.Network((2,), lm.ReLU(power=2.5)),
        lambda: lm.Network((2,), lm.Square()),
        lambda: lm.Polynomial(exponents),
        lambda: lm.Log(),
        lambda: lm.Log(1.5),
        lambda: lm.Sum([lm.Linear(), lm.Bias("plain")]),
        lambda: lm.Sum([lm.Linear(), lm.Bias("square")]),
        lambda: lm.Sum([lm.Linear(), lm.Bias("signed-square")]),
        lambda: lm.Sum([lm.Linear(), lm.Bias("two-squares")]),
        lambda: lm.Sum([lm.Linear(), lm.DiagonalNetwork(3)]),
    ]
    return kinds[int(rng.integers(len(kinds)))]()


def _formulation(rng: np.random.Generator, predictor: Predictor, data: lm.Dataset) -> Formulation:
    norm = float(rng.choice([1.0, 1.5, 2.0, 2.0, 2.0, 3.0, math.inf]))
    rho = float(rng.choice([1e-300, 1e-8, 0.5, 1.0, 2.0, 1e3, 1e8, 1e300]))
    loss = str(rng.choice(["exponential", "logistic", "cross-entropy"]))
    gamma = None if rng.random() < 0.5 else float(rng.choice([1e-300, 1.0, 1e300]))
    power = float(rng.choice([1.0, 1.5, 2.0, 3.0]))
    kinds: list[Callable[[], Formulation]] = [
        lambda: lm.HardMargin(predictor, data, norm),
        lambda: lm.MarginPath(predictor, data, rho, norm, gamma),
        lambda: lm.ConstrainedPath(predictor, data, rho, norm, loss),
        lambda: lm.RegularizationPath(predictor, data, rho, norm, power, loss),
        lambda: lm.ScaledMargin(predictor, data, rho),
        lambda: lm.WSet(predictor, data, int(rng.integers(1, 3))),
        lambda: lm.Lexicographic(predictor, data, norm),
    ]
    return kinds[int(rng.integers(len(kinds)))]()


def judge(index: int) -> None:
    """Judge input ``index``; named errors are answers."""
    rng = np.random.default_rng([20261130, index])
    count, features = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    classes = 3 if count >= 3 and rng.random() < 0.1 else 2
    X = _numbers(rng, (count, features))
    labels = np.arange(count) % 3 if classes == 3 else rng.choice([-1, 1], count)
    try:
        data = lm.Dataset(X, labels, one_class=True)
        predictor = _predictor(rng, features, classes)
        problem = _formulation(rng, predictor, data)
        size = problem.functions.size
        theta = _numbers(rng, (size,))
        if rng.random() < 0.3 and np.any(theta):
            # On the unit sphere, so that the ball of a path holds it.
            with np.errstate(all="ignore"):
                unit = theta / np.max(np.abs(theta))
                theta = unit / np.linalg.norm(unit)
        found = lm.certify(problem, theta)
        found.report()
        found.to_json()
        if index % EVERY_TENTH == 0:
            prove(problem, theta).to_json()
            written = receipt(problem, theta, found)
            verify_receipt(Receipt.from_bytes(written.to_bytes()))
    except LexmarginError:
        return


def batch(first: int, count: int) -> int:
    """Judge a batch and print what went wrong; return how many inputs did."""
    warnings.simplefilter("error")
    wrong = 0
    for index in range(first, first + count):
        try:
            judge(index)
        except Exception as error:
            wrong += 1
            place = traceback.extract_tb(error.__traceback__)[-1]
            near = [
                f for f in traceback.extract_tb(error.__traceback__) if "lexmargin" in f.filename
            ]
            where = (
                f"{near[-1].filename.rsplit('/', 1)[-1]}:{near[-1].lineno}" if near else place.name
            )
            print(f"{index}: {type(error).__name__} at {where}: {error}", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(min(1, batch(int(sys.argv[1]), int(sys.argv[2]))))
