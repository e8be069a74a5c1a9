"""Claimed multipliers, true and false: what they may say, beside a linear program of the optimum.

A claim is a candidate. Whatever is claimed, GLOBAL may be said of directions alone whose margin is
the optimum's within tolerance, and no claim may cost a direction the word that it has without one.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

import lexmargin as lm
from adversarial_common import Family, Trial
from lexmargin.judge import Verdict, certify_linear

__all__ = ["FAMILIES", "claims", "instance", "optimum"]

Array = NDArray[np.float64]
_NORMS: Final = (1.0, 2.0, math.inf)
_ALLOWED: Final = 4e-6
"""Relative: the tolerance of the gap, and what that of ε adds to it."""


def instance(rng: np.random.Generator, count: int, size: int) -> tuple[Array, Array]:
    """Return separable samples (N, d), some repeated, with labels ±1."""
    w = rng.standard_normal(size)
    X = rng.standard_normal((count, size))
    y = np.where(np.arange(count) % 2 == 0, 1.0, -1.0)
    X += np.outer(y * (rng.uniform(0.1, 1.0) + np.abs(X @ w)) - X @ w, w) / (w @ w)
    if rng.random() < 0.5:
        X[-2], y[-2] = X[0], y[0]
    if rng.random() < 0.5:
        X = np.round(X * 8.0) / 8.0 + np.outer(y, w) * 0.25
    return X, y


def optimum(Z: Array, norm: float) -> tuple[Array, Array]:
    """Return the best unit direction (d,) and weights (N,) that prove it, by other solvers."""
    count, size = Z.shape
    if norm == 2.0:
        # The least distance in the form of Lawson and Hanson (1974, ch. 23).
        lam = scipy.optimize.nnls(np.vstack([Z.T, np.ones(count)]), np.r_[np.zeros(size), 1.0])[0]
        w = lam @ Z
        return w / np.linalg.norm(w), lam
    # max t  s.t.  Z θ ≥ t, ‖θ‖ ≤ 1 with θ = p - q, or -1 ≤ θ ≤ 1.
    if norm == 1.0:
        found = scipy.optimize.linprog(
            np.r_[np.zeros(2 * size), -1.0],
            A_ub=np.vstack([np.c_[-Z, Z, np.ones(count)], np.r_[np.ones(2 * size), 0.0]]),
            b_ub=np.r_[np.zeros(count), 1.0],
            bounds=[(0, None)] * (2 * size) + [(None, None)],
        )
        theta = found.x[:size] - found.x[size:-1]
    else:
        found = scipy.optimize.linprog(
            np.r_[np.zeros(size), -1.0],
            A_ub=np.c_[-Z, np.ones(count)],
            b_ub=np.zeros(count),
            bounds=[(-1, 1)] * size + [(None, None)],
        )
        theta = found.x[:size]
    return theta, -found.ineqlin.marginals[:count]


def claims(rng: np.random.Generator, lam: Array) -> dict[str, Array]:
    """Return what somebody may claim where λ is true."""
    noise = rng.standard_normal(lam.size)
    wild = lam.copy()
    wild[rng.integers(lam.size)] = rng.choice([math.nan, math.inf, -1.0, 1e300])
    return {
        "true": lam,
        "scaled": lam * 2.0 ** rng.integers(-900, 900),
        "near": np.maximum(lam + 1e-9 * noise * np.max(lam), 0.0),
        "off": np.maximum(lam + 1e-3 * noise * np.max(lam), 0.0),
        "shuffled": rng.permutation(lam),
        "equal": np.ones(lam.size),
        "negative": -lam,
        "none": np.zeros(lam.size),
        "wild": wild,
    }


def _trial(rng: np.random.Generator, through_problem: bool) -> Trial:
    norm = float(rng.choice(_NORMS))
    X, y = instance(rng, int(rng.integers(4, 12)), int(rng.integers(2, 6)))
    Z = X * y[:, None]
    theta, lam = optimum(Z, norm)
    best = float(np.min(Z @ theta)) / float(np.linalg.norm(theta, norm))
    step = float(rng.choice([0.0, 1e-10, 1e-4, 1e-1]))
    theta = theta + step * rng.standard_normal(theta.size)
    mine = float(np.min(Z @ theta)) / float(np.linalg.norm(theta, norm))
    name = str(rng.choice(sorted(claims(rng, lam))))
    claimed = claims(rng, lam)[name]
    if through_problem:
        problem = lm.HardMargin(lm.Linear(), lm.Dataset(X, y), norm=norm)
        found = lm.certify(problem, theta, multipliers=claimed)
        alone = lm.certify(problem, theta)
    else:
        found = certify_linear(X, y, theta, norm=norm, multipliers=claimed)
        alone = certify_linear(X, y, theta, norm=norm)
    wrong = refused = ""
    if found.verdict is Verdict.GLOBAL and mine < best * (1.0 - _ALLOWED):
        wrong = f"GLOBAL by a {name} claim, {1.0 - mine / best:.1e} below the optimum"
    if found.verdict.rank < alone.verdict.rank:
        refused = f"{found.verdict.name} by a {name} claim, {alone.verdict.name} without"
    return Trial(found.verdict, wrong, refused)


def _direct(rng: np.random.Generator) -> Trial:
    return _trial(rng, False)


def _of_a_problem(rng: np.random.Generator) -> Trial:
    return _trial(rng, True)


FAMILIES: Final[dict[str, Family]] = {
    "claims about linear margins": _direct,
    "claims about a problem": _of_a_problem,
}
