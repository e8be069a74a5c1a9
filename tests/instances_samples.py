"""Samples of every kind that people have: one function per kind, fresh from a random generator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["DATA", "Array", "Rng"]

Array = NDArray[np.float64]
Rng = np.random.Generator
Samples = tuple[Array, Array]

_LARGE: Final = 0.04
"""Share of the sets that are ten times larger: most are small, so that thousands are affordable."""


def _labels(scores: Array, rng: Rng, noise: float) -> Array:
    y = np.where(scores + noise * rng.standard_normal(scores.size) * np.std(scores) > 0, 1.0, -1.0)
    if y.size > 1 and np.all(y == y[0]):
        y[int(rng.integers(y.size))] *= -1.0
    return y


def gaussian(rng: Rng, large: bool = True) -> Samples:
    n, d = int(rng.integers(4, 25)), int(rng.integers(1, 5))
    if large and rng.random() < _LARGE:
        n, d = 10 * n, 3 * d
    X = rng.standard_normal((n, d))
    return X, _labels(X @ rng.standard_normal(d), rng, rng.choice([0.0, 0.0, 0.5]))


def clustered(rng: Rng) -> Samples:
    n, d = int(rng.integers(6, 25)), int(rng.integers(1, 5))
    y = np.resize([1.0, -1.0], n)
    centre = 2.0 * rng.standard_normal(d)
    return y[:, None] * centre + 0.5 * rng.standard_normal((n, d)), y


def duplicated(rng: Rng) -> Samples:
    X, y = gaussian(rng)
    twice = rng.integers(len(y), size=len(y))
    return np.vstack([X, X[twice]]), np.append(y, y[twice])


def contradictory(rng: Rng) -> Samples:
    X, y = gaussian(rng)
    return np.vstack([X, X[:1]]), np.append(y, -y[0])


def integer(rng: Rng) -> Samples:
    n, d = int(rng.integers(4, 15)), int(rng.integers(1, 4))
    X = rng.integers(-3, 4, (n, d)).astype(float)
    return X, _labels(X @ rng.standard_normal(d) + 0.1, rng, rng.choice([0.0, 0.5]))


def one_hot(rng: Rng) -> Samples:
    n, d = int(rng.integers(6, 20)), int(rng.integers(2, 5))
    X = np.eye(d)[rng.integers(d, size=n)]
    return X, _labels(X @ rng.standard_normal(d), rng, 0.0)


def rows_spread(rng: Rng) -> Samples:
    X, y = gaussian(rng)
    return X * 10.0 ** rng.uniform(-6, 6, (len(y), 1)), y


def columns_spread(rng: Rng) -> Samples:
    X, y = gaussian(rng)
    return X * 10.0 ** rng.uniform(-6, 6, X.shape[1]), y


def tiny(rng: Rng) -> Samples:
    X, y = gaussian(rng)
    return X * 1e-12, y


def huge(rng: Rng) -> Samples:
    X, y = gaussian(rng)
    return X * 1e12, y


def shifted(rng: Rng) -> Samples:
    X, y = gaussian(rng)
    return X + 1e8, y


def single(rng: Rng) -> Samples:
    d = int(rng.integers(1, 5))
    return rng.standard_normal((1, d)), np.ones(1)


def wide(rng: Rng) -> Samples:
    X = rng.standard_normal((5, 40))
    return X, _labels(X[:, 0], rng, 0.0)


def _real(name: str, standardise: bool) -> Callable[[Rng], Samples]:
    def make(rng: Rng) -> Samples:
        from sklearn import datasets

        found = getattr(datasets, f"load_{name}")()
        rows = rng.choice(len(found.target), 60, replace=False)
        columns = rng.choice(found.data.shape[1], min(4, found.data.shape[1]), replace=False)
        X, y = found.data[np.ix_(rows, columns)], np.where(found.target[rows] == 0, 1.0, -1.0)
        if standardise:
            X = (X - X.mean(axis=0)) / X.std(axis=0)
        return X, y

    return make


DATA: Final[dict[str, Callable[[Rng], Samples]]] = {
    "gaussian": gaussian,
    "clustered": clustered,
    "duplicated": duplicated,
    "contradictory": contradictory,
    "integer": integer,
    "one-hot": one_hot,
    "rows spread 1e±6": rows_spread,
    "columns spread 1e±6": columns_spread,
    "times 1e-12": tiny,
    "times 1e12": huge,
    "shifted by 1e8": shifted,
    "one sample": single,
    "N much less than d": wide,
    "iris raw": _real("iris", False),
    "wine raw": _real("wine", False),
    "breast cancer raw": _real("breast_cancer", False),
    "wine standardised": _real("wine", True),
    "breast cancer standardised": _real("breast_cancer", True),
}
