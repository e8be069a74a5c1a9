"""How far the answers with ten units can be from the best: the convex program of every width.

``Σ λ_n f_n <= ½‖θ‖² b(λ)`` with ``b(λ) = max_{‖u‖=1} |Σ λ_n y_n σ(u·x_n)|``, so that ½‖θ‖² at
margin 1 is at least ``Σλ / b(λ)`` for every λ >= 0, at every width (Pilanci & Ergen 2020). Cutting
planes find λ; b is bounded over all cells of the arrangement of the planes ``u·x_n = 0``, whose
number is compared with Cover's.
Usage: python benchmarks/relu_bound.py [--seed S] [--seconds T] [--starts K]
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import time
from typing import Final

import numpy as np
import relu
from numpy.typing import NDArray

from lexmargin.judge.bounds.networks import _maximisers, _relaxed
from lexmargin.linalg.guarded import nonnegative_least_squares

SWEEPS: Final = 25
"""Steps of greedy descent that bound all cells at once; what is left over is projected exactly."""
CUTS: Final = 120

Array = NDArray[np.float64]


def cells(X: Array) -> Array:
    """Return the signs (M, N) of all cells of an arrangement in general position, from its rays."""
    count, p = X.shape
    planes = np.array(list(itertools.combinations(range(count), p - 1)))
    minors = [(-1) ** j * np.linalg.det(np.delete(X[planes], j, axis=2)) for j in range(p)]
    above = np.stack(minors, axis=1) @ X.T > 0.0
    found = []
    for bits, turned in itertools.product(
        itertools.product((False, True), repeat=p - 1), (above, ~above)
    ):
        side = turned.copy()
        np.put_along_axis(side, planes, np.broadcast_to(bits, planes.shape), axis=1)
        found.append(np.unique(np.packbits(side, axis=1), axis=0))
    packed = np.unique(np.vstack(found), axis=0)
    expected = 2 * sum(math.comb(count - 1, i) for i in range(p))
    if len(packed) != expected:
        raise ValueError(
            f"{len(packed)} cells of {expected}: the samples are not in general position"
        )
    return np.where(np.unpackbits(packed, axis=1)[:, :count] > 0, 1.0, -1.0)


def largest(X: Array, signs: Array, c: Array) -> tuple[float, Array]:
    """Return a bound on b, ``max |Σ c_n σ(u·x_n)|``, and the directions of projections above 1.

    Within a cell ``g·u <= ‖g + Σ μ_n s_n x_n‖`` for every μ >= 0.
    """
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    upper, found = 1.0, []
    for outer in (1.0, -1.0):
        own = outer * ((signs > 0.0) * c) @ X
        g = own.copy()
        kept = np.flatnonzero(np.linalg.norm(g, axis=1) > 1.0)
        for _ in range(SWEEPS):
            slopes = signs[kept] * (g[kept] @ unit.T)
            worst = np.argmin(slopes, axis=1)
            rows = np.arange(kept.size)
            back = np.minimum(slopes[rows, worst], 0.0)
            g[kept] -= (back * signs[kept, worst])[:, None] * unit[worst]
            kept = kept[np.linalg.norm(g[kept], axis=1) > 1.0]
        order = kept[np.argsort(-np.linalg.norm(g[kept], axis=1))]
        for index in order:
            if np.linalg.norm(g[index]) <= upper and len(found) >= CUTS:
                break
            cone = (signs[index][:, None] * unit).T
            whole = own[index] + cone @ nonnegative_least_squares(cone, -own[index])
            size = float(np.linalg.norm(whole))
            upper = max(upper, size)
            if size > 1.0 + 1e-9:
                found.append((size, whole / size))
    found.sort(key=lambda pair: -pair[0])
    return upper * (1.0 + 1e-12), np.array([u for _, u in found[:CUTS]]).reshape(-1, X.shape[1])


def main() -> None:
    """Print the bound as it rises, and beside it the answers of some starts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=200.0)
    parser.add_argument("--starts", type=int, default=20)
    given = parser.parse_args()
    instance = relu.problem(np.random.default_rng(given.seed), "random")
    X, y = instance.data.X, instance.data.signed
    began = time.process_time()
    signs, best = cells(X), 0.0
    print(f"{len(signs)} cells, {time.process_time() - began:.1f} s", flush=True)
    cuts = np.vstack([X, -X]) / np.tile(np.linalg.norm(X, axis=1), 2)[:, None]
    while time.process_time() - began < given.seconds:
        weights = _relaxed(cuts, X, y, 0.0)
        if weights is None:
            break
        deeper = _maximisers(X, weights * y, 0.0, cuts)
        if not deeper.size:
            upper, deeper = largest(X, signs, weights * y)
            best = max(best, float(weights.sum()) / upper)
            took = time.process_time() - began
            print(
                f"between {best:.6f} and {weights.sum():.6f} at any width, {took:.1f} s", flush=True
            )
            if not deeper.size or weights.sum() <= best * (1.0 + 1e-6):
                break
        cuts = np.vstack([cuts, deeper])
    objectives = []
    for start in relu.starts_of(instance, np.random.default_rng(given.seed + 1), given.starts):
        objectives.append(relu.judged(instance, relu.theta_of(instance, relu.ROUTES[0], start))[0])
    if objectives:
        middle, least = statistics.median(objectives), min(objectives)
        print(f"ten units: median {middle:.6f}, least {least:.6f} of {len(objectives)} starts")
        print(f"excess of the median over the least met {middle / least - 1:.2%}; over the best of "
              f"ten units at most {middle / best - 1:.2%}")  # fmt: skip


if __name__ == "__main__":
    main()
