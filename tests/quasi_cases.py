"""Predictors whose terms share parameters, problems that they need a bias for, and their answers.

``F = v·(W_2 σ(W_1 x) + b)`` without further biases: exponents λ_v + λ_b = 1 and
λ_{W_1} + λ_{W_2} = λ_b. The cost is ``‖v‖² + ‖b‖² >= 2 |v·b|``, so that with a linear score
``β·x + t`` the least cost is ``2 min |t|`` s.t. ``y_n (β·x_n + t) >= 1``, a linear program; its
dual solution is ν.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from scipy.optimize import linprog

import lexmargin as lm
from lexmargin.judge.autodiff.scores import Indices, KinkReport, Scores
from lexmargin.judge.trained.trained import scores_margins
from lexmargin.judge.trained.trained_margins import TrainedMargins
from lexmargin.linalg.norms import Array
from lexmargin.margins import MarginFunctions
from lexmargin.predictors import Activation, Identity, Predictor
from lexmargin.predictors.base import Shape


@final
@dataclass(frozen=True)
class MiddleBias(Predictor):
    """``F(x; θ) = v·τ(W_2 σ(W_1 x) + b)``: without b no score changes its sign along a line.

    Blocks ``W_1 (width, p)``, ``W_2 (units, width)``, ``b (units, 1)``, ``v (units,)``.
    """

    width: int
    units: int
    inner: Activation = Identity()  # noqa: RUF009  frozen
    outer: Activation = Identity()  # noqa: RUF009  frozen

    outputs: ClassVar[int] = 1
    block_count: ClassVar[int] = 4

    def shapes(self, n_features: int) -> tuple[Shape, ...]:
        square = (self.units, self.width)
        return ((self.width, n_features), square, (self.units, 1), (self.units,))

    def __call__(self, ops: Any, theta: Sequence[Any], X: Any) -> Any:
        hidden = self.inner(ops, ops.linear(X, theta[0]))
        bias = ops.linear(ops.repeat_row(X, np.ones(1)), theta[2])
        units = self.outer(ops, ops.add(ops.linear(hidden, theta[1]), bias))
        return ops.linear(units, theta[3])


LINE = lm.Dataset([[1.0], [2.0]], [1, -1])
"""One feature of one sign and two labels: no score without a bias separates it."""


@final
@dataclass(frozen=True)
class Planted:
    """An exact answer: the problem, its blocks, and the least |v·b| by SciPy."""

    problem: lm.WSet
    blocks: tuple[Array, ...]
    least: float


def planted(rng: np.random.Generator, rectified: bool, last: bool = False) -> Planted | None:
    """Return a random exact answer; None where the data need no bias, or nothing separates them.

    Samples are positive, so that rows of W_1 of one sign are rectified for all samples or none.

    Args:
        rng: draws everything.
        rectified: whether σ is a ReLU.
        last: for ``v·σ(W x) + c`` instead, where nothing is shared and the cost is c².
    """
    p, units = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    live, dead = p + int(rng.integers(0, 2)), int(rng.integers(0, 3)) if rectified else 0
    X = rng.uniform(0.2, 2.0, (int(rng.integers(2, 7)), p))
    slope, offset = rng.standard_normal(p), rng.standard_normal()
    score = X @ slope + offset
    y = np.where(score > np.median(score), 1, -1)
    answer = least_offset(X, y)
    if answer is None:
        return None
    beta, t = answer
    rows = rng.standard_normal((live, p))
    rows = np.abs(rows) + 0.1 if rectified else rows
    if np.linalg.cond(rows) > 1e3:
        return None
    r = np.concatenate([beta @ np.linalg.pinv(rows), np.zeros(dead)])
    W1 = np.vstack([rows, -np.abs(rng.standard_normal((dead, p))) - 0.1])
    inner = lm.ReLU() if rectified else Identity()
    data = lm.Dataset(X, y)
    if last:
        predictor = lm.Sum([lm.Network((live + dead,), inner), lm.Bias("plain")])
        return Planted(lm.WSet(predictor, data), (W1, r, np.array([t])), abs(t))
    u = rng.standard_normal(units)
    v = u / np.linalg.norm(u) * np.sqrt(abs(t))
    rest = rng.standard_normal((units, live + dead))
    W2 = np.outer(v, r) / (v @ v) + rest - np.outer(v, v @ rest) / (v @ v)
    problem = lm.WSet(MiddleBias(live + dead, units, inner), data)
    return Planted(problem, (W1, W2, v[:, None] * np.sign(t), v), abs(t))


def least_offset(X: Array, y: Array) -> tuple[Array, float] | None:
    """Return β and t of the least |t| with ``y_n (β·x_n + t) >= 1``; None where t is 0 or vague."""
    p, ones = X.shape[1], np.ones((len(X), 1))
    if len(set(y.tolist())) < 2:
        return None
    # t = t_+ - t_-; β free.
    signed = y[:, None] * np.hstack([X, ones, -ones])
    bounds = [(None, None)] * p + [(0, None)] * 2
    cost = np.append(np.zeros(p), [1.0, 1.0])
    found = linprog(cost, A_ub=-signed, b_ub=-np.ones(len(X)), bounds=bounds)
    if found.x is None or not 1e-3 < found.fun < 1e3:
        return None
    # To the last bit: the constraints that hold the vertex.
    tight = np.flatnonzero(np.asarray(found.ineqlin.marginals) < -1e-9)
    held = y[tight, None] * np.hstack([X[tight], ones[tight]])
    if tight.size != p + 1 or np.linalg.cond(held) > 1e4:
        return None
    *beta, t = np.linalg.solve(held, np.ones(p + 1))
    return (np.array(beta), float(t)) if np.linalg.norm(beta) <= 1e3 else None


# -- the way of trained networks, without a framework ----------------------------------------------


@final
class PredictorScores(Scores):
    """A predictor of one score as a trained network whose derivatives come from outside."""

    def __init__(self, functions: MarginFunctions, theta: Array) -> None:
        self.functions, self.theta = functions, theta
        self.shapes = functions.shapes
        self.names = tuple(f"w{k + 1}" for k in range(len(self.shapes)))
        self.count = functions.data.n_samples
        self._signs = np.asarray(functions.data.signed, dtype=np.float64)

    def _computing(self) -> Any:
        return nullcontext()

    def _at(self, theta: Array | None) -> Any:
        return self.theta if theta is None else theta

    def _taken(self, samples: Indices) -> Any:
        return samples

    def _jacobian(self, at: Array, x: Any) -> Array:
        return (self._signs[:, None] * self.functions.jacobian(at))[x]

    def _values(self, at: Any, x: Any) -> Array:
        return np.asarray((self._signs * self.functions.values(at))[x][:, None])

    def _tangent(self, at: Any, along: Any, x: Any) -> Array:
        return np.asarray((self._jacobian(at, x) @ along)[:, None])

    def _rows(self, at: Any, x: Any, seeds: Array) -> list[Array]:
        return self.blocks(self._jacobian(at, x) * seeds)

    def _gradient(self, at: Any, x: Any, seeds: Array) -> list[Array]:
        total = np.sum(self._jacobian(at, x) * seeds, axis=0)
        return [block[0] for block in self.blocks(total[None])]

    def _products(self, at: Any, directions: Array, x: Any, seeds: Array) -> list[Array]:
        raise NotImplementedError

    def kinked_rows(self, samples: Indices, seeds: Array, tolerance: float) -> None:
        return None

    def kinks(self, samples: Indices, seeds: Array) -> KinkReport:
        layers = self.functions.pre_activations(self.theta)
        if not layers:
            return KinkReport(None, None, "", ())
        near = min(float(np.min(np.abs(z) / np.max(np.abs(z)))) for z in layers)
        return KinkReport(near, near, "relu", ())

    def suspects(self) -> tuple[str, ...]:
        return ()


def as_trained(problem: lm.WSet, theta: Array) -> TrainedMargins:
    """Return the margins of a problem as those of a trained network at θ."""
    scores = PredictorScores(problem.functions, theta)
    return scores_margins(scores, problem.data.X, problem.data.y)
