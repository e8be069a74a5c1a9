"""Optimizers against their textbook updates in 60 digits, at losses of any size."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest

import lexmargin as lm
from lexmargin.errors import ParameterError
from lexmargin.margins import MarginFunctions
from lexmargin.optimizers import (
    AdaBoost,
    Adam,
    ConstantStep,
    GradientDescent,
    LossNormalizedStep,
    MirrorDescent,
    NormalizedStep,
    Optimizer,
    PolyakStep,
    RMSProp,
    SteepestDescent,
)
from lexmargin.optimizers.base import Sampler

ROWS = np.array(
    [[1.0, 0.25, -0.5], [0.75, -0.5, 0.25], [0.5, 1.0, 0.125], [0.25, 0.75, 0.875]], dtype=float
)
DATA = lm.Dataset(ROWS, np.ones(4), one_class=True)
STEPS = 12

Vector = list[Any]


def loss(theta: Vector) -> Any:
    return mp.fsum(mp.exp(-mp.fdot(row, theta)) for row in ROWS.tolist())


def pull(theta: Vector) -> Vector:
    """Return -∇L."""
    sizes = [mp.exp(-mp.fdot(row, theta)) for row in ROWS.tolist()]
    return [
        mp.fsum(s * row[j] for s, row in zip(sizes, ROWS.tolist(), strict=True)) for j in range(3)
    ]


def sign(x: Any) -> int:
    return int(x > 0) - int(x < 0)


def dual(g: Vector, p: float) -> Any:
    if p == 1.0:
        return max(abs(x) for x in g)
    if math.isinf(p):
        return mp.fsum(abs(x) for x in g)
    q = mp.mpf(p) / (p - 1)
    return mp.fsum(abs(x) ** q for x in g) ** (1 / q)


def unit(g: Vector, p: float) -> Vector:
    """Return argmax u·g over the unit ball."""
    if p == 1.0:
        j = max(range(3), key=lambda i: abs(g[i]))
        return [mp.mpf(sign(g[i])) if i == j else mp.mpf(0) for i in range(3)]
    if math.isinf(p):
        return [mp.mpf(sign(x)) for x in g]
    q = mp.mpf(p) / (p - 1)
    size = dual(g, p)
    return [sign(x) * (abs(x) / size) ** (q - 1) for x in g]


def steepest(p: float, length: Callable[[int, Vector, Any], Any], beta: float = 0.0) -> Any:
    def run(theta: Vector) -> Vector:
        mean = [mp.mpf(0)] * 3
        for k in range(STEPS):
            mean = [
                beta * m + (1 - mp.mpf(beta)) * x for m, x in zip(mean, pull(theta), strict=True)
            ]
            c = length(k, mean, loss(theta))
            theta = [t + c * u for t, u in zip(theta, unit(mean, p), strict=True)]
        return theta

    return run


def constant(p: float, eta: float) -> Any:
    return lambda k, m, value: eta * dual(m, p)


def relative(p: float, eta: float) -> Any:
    return lambda k, m, value: eta * dual(m, p) / value


def nats(p: float, c: float) -> Any:
    return lambda k, m, value: c * value / dual(m, p)


def power(eta: float, decay: float) -> Any:
    return lambda k, m, value: eta * mp.mpf(k + 1) ** -decay


def adaptive(beta1: float, beta2: float, epsilon: float, length: Callable[[int, Any], Any]) -> Any:
    def run(theta: Vector) -> Vector:
        first, second = [mp.mpf(0)] * 3, [mp.mpf(0)] * 3
        b1, b2 = mp.mpf(beta1), mp.mpf(beta2)
        for k in range(STEPS):
            g = pull(theta)
            first = [b1 * m + (1 - b1) * x for m, x in zip(first, g, strict=True)]
            second = [b2 * v + (1 - b2) * x * x for v, x in zip(second, g, strict=True)]
            c = length(k, loss(theta))
            theta = [
                t + c * (m / (1 - b1 ** (k + 1))) / (mp.sqrt(v / (1 - b2 ** (k + 1))) + epsilon)
                for t, m, v in zip(theta, first, second, strict=True)
            ]
        return theta

    return run


def mirror(p: float, eta: float) -> Any:
    def run(theta: Vector) -> Vector:
        image = [sign(t) * abs(t) ** (mp.mpf(p) - 1) for t in theta]
        for _ in range(STEPS):
            value = loss(theta)
            image = [z + eta * x / value for z, x in zip(image, pull(theta), strict=True)]
            theta = [sign(z) * abs(z) ** (1 / (mp.mpf(p) - 1)) for z in image]
        return theta

    return run


def boosting(shrinkage: float) -> Any:
    def run(theta: Vector) -> Vector:
        for _ in range(STEPS):
            value, g = loss(theta), pull(theta)
            j = max(range(3), key=lambda i: abs(g[i]))
            edge = g[j] / value
            theta = list(theta)
            theta[j] += shrinkage * mp.log((1 + edge) / (1 - edge)) / 2
        return theta

    return run


TABLE: dict[str, tuple[Optimizer, Any]] = {
    "gradient descent": (GradientDescent(ConstantStep(0.3)), steepest(2.0, constant(2.0, 0.3))),
    "loss-normalized": (
        GradientDescent(LossNormalizedStep(0.3)),
        steepest(2.0, relative(2.0, 0.3)),
    ),
    "Polyak": (GradientDescent(PolyakStep(0.5)), steepest(2.0, nats(2.0, 0.5))),
    "momentum": (
        GradientDescent(NormalizedStep(0.4, 0.5), momentum=0.9),
        steepest(2.0, power(0.4, 0.5), 0.9),
    ),
    "momentum, in proportion to the loss": (
        GradientDescent(LossNormalizedStep(0.3), momentum=0.5),
        steepest(2.0, relative(2.0, 0.3), 0.5),
    ),
    "sign descent": (
        SteepestDescent(math.inf, ConstantStep(0.1)),
        steepest(math.inf, constant(math.inf, 0.1)),
    ),
    "Signum": (
        SteepestDescent("inf", NormalizedStep(0.3, 1.0), 0.9),
        steepest(math.inf, power(0.3, 1.0), 0.9),
    ),
    "coordinate descent": (
        SteepestDescent(1.0, LossNormalizedStep(0.2)),
        steepest(1.0, relative(1.0, 0.2)),
    ),
    "l3": (SteepestDescent(3.0, PolyakStep(0.2)), steepest(3.0, nats(3.0, 0.2))),
    "Adam": (
        Adam(NormalizedStep(0.3, 0.5)),
        adaptive(0.9, 0.999, 0.0, lambda k, value: 0.3 * mp.mpf(k + 1) ** -0.5),
    ),
    "Adam with epsilon": (
        Adam(NormalizedStep(0.3), 0.8, 0.9, 1e-3),
        adaptive(0.8, 0.9, 1e-3, lambda k, value: mp.mpf(0.3)),
    ),
    "Adam with epsilon, relative": (
        Adam(LossNormalizedStep(1e-4), epsilon=1e-3),
        adaptive(0.9, 0.999, 1e-3, lambda k, value: 1e-4 / value),
    ),
    "RMSProp": (
        RMSProp(NormalizedStep(0.3, 0.25)),
        adaptive(0.0, 0.99, 0.0, lambda k, value: 0.3 * mp.mpf(k + 1) ** -0.25),
    ),
    "mirror 3": (MirrorDescent(3.0, LossNormalizedStep(0.2)), mirror(3.0, 0.2)),
    "mirror 1.5": (MirrorDescent(1.5, LossNormalizedStep(0.2)), mirror(1.5, 0.2)),
    "AdaBoost": (AdaBoost(), boosting(1.0)),
    "AdaBoost with shrinkage": (AdaBoost(0.25), boosting(0.25)),
}
STARTS = {"near": [0.1, -0.2, 0.3], "beyond the doubles": [900.0, 850.0, 880.0]}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("name", TABLE)
def test_steps_are_those_of_the_textbook(name: str, start: str) -> None:
    """Also where the loss is e^-1000: its logarithm is all that the steps read."""
    optimizer, naive = TABLE[name]
    theta = np.array(STARTS[start])
    path = lm.descend(
        lm.Linear(), DATA, start=theta, optimizer=optimizer, steps=STEPS, polish=False
    )
    with mp.workdps(60):
        wanted = naive([mp.mpf(x) for x in theta.tolist()])
        moved = [float(w - mp.mpf(t)) for w, t in zip(wanted, theta.tolist(), strict=True)]
    assert path.theta[0].reshape(-1) - theta == pytest.approx(moved, rel=1e-9, abs=2e-12)


@pytest.mark.parametrize(
    "optimizer",
    [
        GradientDescent(NormalizedStep(0.3, 0.5), batch=2),
        Adam(batch=1),
        MirrorDescent(3.0, batch=3),
    ],
)
def test_batches_are_those_of_the_seed(optimizer: Optimizer) -> None:
    def end(seed: int) -> bytes:
        path = lm.descend(
            lm.Linear(), DATA, start=[0.1, 0.2, 0.3], optimizer=optimizer, seed=seed, steps=30,
            polish=False,
        )  # fmt: skip
        return path.theta[0].tobytes()

    assert end(1) == end(1) != end(2)


@pytest.mark.parametrize("classes", [2, 3])
def test_an_epoch_visits_every_sample_once(classes: int) -> None:
    data = lm.Dataset(np.eye(7), np.arange(7) % classes)
    predictor = lm.Linear(1 if classes == 2 else classes)
    functions = MarginFunctions(predictor, data)
    sampler = Sampler(functions, 3, seed=5)
    for _ in range(4):
        drawn = [sampler.next() for _ in range(3)]
        assert [len(rows) for rows in drawn if rows is not None] == [
            n * (classes - 1) for n in (3, 3, 1)
        ]
        seen = np.concatenate([rows for rows in drawn if rows is not None])
        assert sorted(seen.tolist()) == list(range(functions.count))


def test_a_batch_of_all_samples_is_the_whole_gradient() -> None:
    ends = [
        lm.descend(
            lm.Linear(),
            DATA,
            start=[0.1, 0.2, 0.3],
            optimizer=GradientDescent(LossNormalizedStep(0.1), batch=batch),
            steps=20,
            polish=False,
        ).theta[0]
        for batch in (None, 4, 100)
    ]
    assert ends[0].tobytes() == ends[1].tobytes() == ends[2].tobytes()


@pytest.mark.parametrize("optimizer", [AdaBoost(), SteepestDescent("inf"), GradientDescent()])
def test_the_limit_is_the_margin_of_its_norm(optimizer: Optimizer) -> None:
    """AdaBoost with exact steps is coordinate descent here: ±1 columns."""
    rows = np.array([[1.0, 1.0, -1.0], [1.0, -1.0, 1.0], [-1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    data = lm.Dataset(rows, np.ones(4), one_class=True)
    path = lm.descend(lm.Linear(), data, optimizer=optimizer, steps=4000, seed=3, polish=False)
    assert path.direction / path.direction.max() == pytest.approx(np.ones(3), abs=2e-3)


WIDE = lm.Dataset(2.0 * ROWS, np.ones(4), one_class=True)
REFUSED: dict[str, Callable[[], object]] = {
    "momentum 1": lambda: SteepestDescent(momentum=1.0),
    "momentum of a line search": lambda: GradientDescent(momentum=0.5),
    "batches of a line search": lambda: GradientDescent(batch=2),
    "a norm below 1": lambda: SteepestDescent(0.5),
    "a decay above 1": lambda: NormalizedStep(0.1, 1.5),
    "no step": lambda: NormalizedStep(0.0),
    "beta": lambda: Adam(beta2=1.0),
    "a negative epsilon": lambda: RMSProp(epsilon=-1.0),
    "no batch": lambda: lm.descend(lm.Linear(), DATA, optimizer=Adam(batch=0)),
    "a potential without a map": lambda: MirrorDescent(1.0),
    "shrinkage": lambda: AdaBoost(1.5),
    "boosting of wide columns": lambda: lm.descend(lm.Linear(), WIDE, optimizer=AdaBoost()),
    "boosting of another loss": lambda: lm.descend(
        lm.Linear(), DATA, loss="logistic", optimizer=AdaBoost()
    ),
    "boosting of a network": lambda: lm.descend(lm.DiagonalNetwork(2), DATA, optimizer=AdaBoost()),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name: str) -> None:
    with pytest.raises(ParameterError):
        REFUSED[name]()
