"""The data sets of the benchmarks, each drawn from a generator.

Linear families return signed rows ``z_n = y_n x_n`` as (X, y) where a bias is free or labels are
needed, and every one of them is separable by construction.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

import lexmargin as lm
from lexmargin.ops.base import FloatArray

__all__ = [
    "all_support",
    "blocks",
    "bytes_of",
    "clouds",
    "dense",
    "disturbed",
    "multiplier_rows",
    "network_data",
    "one_hot",
    "text_like",
    "tree",
    "wide",
]

Samples = tuple[FloatArray, FloatArray]


def bytes_of(X: Any) -> float:
    """Return the bytes of a dense or a sparse matrix."""
    if isinstance(X, np.ndarray):
        return float(X.nbytes)
    return float(X.data.nbytes + X.indices.nbytes + X.indptr.nbytes)


def dense(rng: np.random.Generator, n: int, d: int, gap: float = 0.1) -> Samples:
    """Return two clouds with margin at least ``gap`` along a hidden u, shifted as a whole."""
    hidden = rng.standard_normal(d)
    hidden /= np.linalg.norm(hidden)
    y = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    X = rng.standard_normal((n, d))
    along = X @ hidden
    X += np.outer(y * (np.abs(along) + gap) - along, hidden)
    return X + 0.3 * rng.standard_normal(d), y


def clouds(rng: np.random.Generator, n: int, d: int, apart: float) -> Samples:
    """Return a Gaussian cloud cut by a plane through 0, the halves moved by ``apart`` each."""
    y = np.ones(n)
    while np.all(y == y[0]):
        # Of ten rows all are on one side once in 512 draws.
        X, hidden = rng.standard_normal((n, d)), rng.standard_normal(d)
        hidden /= np.linalg.norm(hidden)
        y = np.where(X @ hidden > 0, 1.0, -1.0)
    return X + apart * y[:, None] * hidden, y


def wide(rng: np.random.Generator, n: int, d: int) -> Samples:
    """Return Gaussian rows with random labels: separable for d >= n."""
    return rng.standard_normal((n, d)), np.where(rng.random(n) < 0.5, 1.0, -1.0)


def all_support(rng: np.random.Generator, n: int, d: int) -> Samples:
    """Return rows that all have margin 1 along a hidden u.

    What they have across it is Gaussian, so that 0 lies in its hull and u is best (n far above d).
    """
    hidden = rng.standard_normal(d)
    hidden /= np.linalg.norm(hidden)
    across = rng.standard_normal((n, d))
    across -= np.outer(across @ hidden, hidden)
    y = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    return y[:, None] * (across + hidden), y


def one_hot(rng: np.random.Generator, n: int, features: int, categories: int) -> tuple[Any, Any]:
    """Return one-hot coded categories, as CSR, and labels on both sides of a median score."""
    codes = rng.integers(categories, size=(n, features))
    columns = (codes + categories * np.arange(features)).astype(np.int32)
    ends = np.arange(0, n * features + 1, features, dtype=np.int32)
    d = features * categories
    X = sparse.csr_array((np.ones(n * features), columns.ravel(), ends), shape=(n, d))
    score = X @ rng.standard_normal(d)
    return X, np.where(score > np.median(score), 1.0, -1.0)


def text_like(rng: np.random.Generator, n: int, d: int, each: int) -> tuple[Any, Any]:
    """Return N sparse rows whose columns have frequencies like 1/rank, and their labels.

    Rows nearer than 0.3 to the hidden plane are left out.
    """
    drawn, entries = 4 * n, each + each // 8
    columns = np.minimum((float(d) ** rng.random((drawn, entries))).astype(np.int64), d) - 1
    ends = np.arange(0, drawn * entries + 1, entries)
    values = rng.standard_normal(drawn * entries)
    X = sparse.csr_array((values, columns.ravel(), ends), shape=(drawn, d))
    X.sum_duplicates()
    hidden = np.zeros(d)
    hidden[: min(200, d)] = rng.standard_normal(min(200, d))
    score = X @ (hidden / np.linalg.norm(hidden))
    keep = np.flatnonzero(np.abs(score) > 0.3)[:n]
    chosen = X[keep]
    # LIBSVM accepts 32-bit indices only.
    chosen.indices, chosen.indptr = chosen.indices.astype(np.int32), chosen.indptr.astype(np.int32)
    return chosen, np.sign(score[keep])


def tree(count: int, rng: np.random.Generator, tied: bool) -> FloatArray:
    """Return rows z_n whose ℓ1 optimum splits the unit mass along a binary tree, node by node."""
    depth = 6 if count >= 500 else 2
    rows, waiting, level = [], [(np.arange(2**depth), 1.0, 0)], 0
    while waiting:
        columns, share, generation = waiting.pop(0)
        level = generation if tied else level + 1
        part = 0.5 if tied else rng.uniform(0.35, 0.65)
        half = columns.size // 2
        for kept, mass in ((columns[:half], part * share), (columns[half:], (1 - part) * share)):
            row = np.zeros(2**depth)
            row[kept] = (1.0 + level / 16.0) / mass
            rows.append(row)
            if kept.size > 1:
                waiting.append((kept, mass, generation + 1))
    top = 1.0 + (level + 1) / 16.0
    times = 1 if not tied else 4 if count >= 500 else 2
    repeated = np.repeat(np.array(rows), times, axis=0)[:count]
    rest = rng.uniform(1.2 * top, 4.0 * top, size=(count - len(repeated), 2**depth))
    return np.vstack([repeated, np.round(8.0 * rest) / 8.0 if tied else rest])


def blocks(count: int, rng: np.random.Generator, tied: bool, total: int = 0) -> FloatArray:
    """Return rows z_n in independent blocks of 4 columns, ``total`` of them or one per 100 rows."""
    total = total or max(2, count // 100)
    each = count // total
    Z = np.zeros((count, 4 * total))
    for k in range(total):
        hidden = rng.choice([-1.0, 1.0], 4)
        if tied:
            X = np.repeat(rng.integers(-3, 4, size=(-(-each // 4), 4)), 4, axis=0)[:each] * 1.0
        else:
            X = rng.standard_normal((each, 4))
        along = X @ hidden
        # The margin of the block's rows along the hidden corner is at least this.
        wanted = 1.0 + (k // 4 if tied else 0.3 * k)
        X += np.outer((np.abs(along) + wanted - along) / 4.0, hidden)
        Z[k * each : (k + 1) * each, 4 * k : 4 * k + 4] = X
    return Z


def multiplier_rows(rng: np.random.Generator, kind: str, count: int, size: int) -> Samples:
    """Return gradients J (|S|, d) and a unit vector θ̂ at 1e-3 from a combination of half of them.

    Kinds: "independent", "correlated" (a common part of size 3), "duplicated" (every row twice),
    "outside" (θ̂ is another random direction), "rank 100".
    """
    J = rng.standard_normal((count, size))
    if kind == "correlated":
        J += 3.0 * rng.standard_normal(size)
    elif kind == "duplicated":
        J[count // 2 :] = J[: count - count // 2]
    elif kind == "rank 100":
        rank = max(2, min(count, size) // 10)
        J = rng.standard_normal((count, rank)) @ rng.standard_normal((rank, size)) / rank**0.5
    if kind == "outside":
        theta = rng.standard_normal(size)
        return J, theta / np.linalg.norm(theta)
    return J, disturbed(rng, J, 1e-3)


def disturbed(rng: np.random.Generator, J: FloatArray, noise: float) -> FloatArray:
    """Return a unit vector at the distance ``noise`` of a combination of half of the rows of J."""
    theta = np.maximum(rng.standard_normal(len(J)), 0.0) @ J
    theta /= np.linalg.norm(theta)
    aside = rng.standard_normal(J.shape[1])
    theta += noise * aside / np.linalg.norm(aside)
    return np.asarray(theta / np.linalg.norm(theta))


def network_data(rng: np.random.Generator, kind: str, n: int, inputs: int) -> lm.Dataset:
    """Return Gaussian samples with the labels of a teacher of 2 units, "square" or "relu2"."""
    X = rng.standard_normal((n, inputs))
    z = X @ rng.standard_normal((inputs, 2))
    scores = (z**2 if kind == "square" else np.maximum(z, 0.0) ** 2) @ np.array([1.0, -1.0])
    return lm.Dataset(X, np.where(scores > 0, 1, -1))
