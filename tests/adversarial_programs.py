"""Adversarial programs: one in several statements, and costs and levels that no paper names.

The oracles are closed forms and least distance programming (Lawson and Hanson 1974, ch. 23).
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

import lexmargin as lm
from adversarial_common import Family, Trial
from lexmargin.judge import Tolerances, Verdict
from uneven_margin import Uneven

__all__ = ["FAMILIES", "SHARES"]

Array = NDArray[np.float64]
Rng = np.random.Generator

LIMITS: Final = Tolerances.at(1e-7)
ROOM: Final = 5.0
"""Feasibility, gap and ε are each within tolerance, and a cost feels each of them about twice."""
EXACT: Final = 1e-13
"""Relative size of a change that only rounds."""


def _points(X: Any) -> lm.Dataset:
    return lm.Dataset(np.array(X, dtype=float), [1] * len(X), one_class=True)


def _aside(rng: Rng, w: Array) -> tuple[Array, float]:
    """Return a point beside w, and how far, relative: mostly hardly, or by about the tolerance."""
    size = float(rng.choice([0.0, EXACT, 1e-9, 1e-7, 1e-5, 1e-2]))
    step = rng.standard_normal(w.size)
    return w + size * np.linalg.norm(w) * step / np.linalg.norm(step), size


# -- one program, five statements ------------------------------------------------------------------


def _homogeneous(rng: Rng) -> tuple[Any, lm.Dataset, Array]:
    """Return a predictor, samples and a point that is often stationary, with positive margins."""
    kind = int(rng.integers(4))
    size = int(rng.integers(2, 4))
    if kind == 0:
        # One coordinate carries it all: the best one, or a saddle.
        depth = int(rng.integers(2, 4))
        x = np.round(rng.uniform(0.5, 2.0, size), 2)
        theta = np.zeros((depth, size))
        theta[:, int(rng.integers(size))] = 1.0
        return lm.DiagonalNetwork(depth), _points([x]), theta.ravel()
    width = int(rng.integers(1, 4))
    activation = (lm.Identity(), lm.ReLU(), lm.LeakyReLU(0.3))[kind - 1]
    x = rng.standard_normal((1 if rng.random() < 0.5 else 2, size))
    x[-1] = x[-1] if len(x) == 1 else x[0] * rng.uniform(1.0, 3.0)
    inner, outer = np.zeros((width, size)), np.zeros(width)
    used = int(rng.integers(1, width + 1))
    shares = np.sqrt(rng.dirichlet(np.ones(used)))
    inner[:used] = shares[:, None] * x[0] / np.linalg.norm(x[0])
    outer[:used] = shares
    return lm.Network((width,), activation), _points(x), np.append(inner.ravel(), outer)


def statements(rng: Rng) -> Trial:
    """Five statements of ``min ‖w‖² s.t. f_n(w) >= 1`` get one word, and one reason."""
    predictor, data, theta = _homogeneous(rng)
    theta, _ = _aside(rng, theta)
    hard = lm.HardMargin(predictor, data)
    margin = float(hard.functions.values(theta).min())
    if not margin > 1e-3:
        return Trial(None)
    degree = hard.functions.homogeneity.degree
    assert degree is not None
    w = theta * margin ** (-1.0 / degree)
    ones = (float(rng.uniform(0.5, 2.0)),) * w.size
    stated = (
        hard,
        lm.MarginPath(predictor, data, rho=1.0, gamma=1.0),
        lm.ScaledMargin(predictor, data, gamma=float(10.0 ** rng.uniform(-3, 3))),
        lm.WSet(predictor, data),
        Uneven(predictor, data, ones, (1.0,) * hard.functions.count),
    )
    found = [lm.certify(problem, w, tolerances=LIMITS) for problem in stated]
    words = {one.verdict for one in found}
    if len(words) > 1 or len({one.reasons for one in found}) > 1:
        return Trial(found[0].verdict, wrong=f"{[one.verdict.value for one in found]} at {w}")
    short = lm.certify(stated[int(rng.integers(2, 5))], 0.99 * w, tolerances=LIMITS)
    if short.verdict is not Verdict.NOT_STATIONARY:
        return Trial(short.verdict, wrong=f"{short.verdict.value} where the level is missed")
    return Trial(found[0].verdict)


# -- costs and levels of one's own -----------------------------------------------------------------


def least_distance(G: Array, h: Array) -> Array:
    """Return the shortest u with ``G u >= h`` (Lawson and Hanson 1974, ch. 23)."""
    E = np.vstack([G.T, h])
    f = np.append(np.zeros(G.shape[1]), 1.0)
    rest = E @ nnls(E, f)[0] - f
    return np.asarray(-rest[:-1] / rest[-1])


def linear(rng: Rng) -> Trial:
    """``min ½ Σ c w²  s.t.  z_n·w >= r_n`` beside its only answer."""
    count, size = int(rng.integers(1, 6)), int(rng.integers(2, 5))
    toward = rng.standard_normal(size)
    X = rng.standard_normal((count, size))
    X *= np.sign(X @ toward)[:, None]
    spread = float(rng.choice([0.3, 2.0]))
    costs, wanted = 10.0 ** rng.uniform(-spread, spread, size), rng.uniform(0.2, 5.0, count)
    root = np.sqrt(costs)
    best = least_distance(X / root, wanted) / root
    if not np.all(np.isfinite(best)) or np.max(wanted / (X @ toward)) > 1e3:
        return Trial(None)
    w, size_of_step = _aside(rng, best)
    if rng.random() < 0.3:
        # Feasible, and dearer.
        w = w * max(1.0, float(np.max(wanted / (X @ w)))) if np.min(X @ w) > 0.0 else w
    problem = Uneven(lm.Linear(), _points(X), tuple(costs.tolist()), tuple(wanted.tolist()))
    found = lm.certify(problem, w, tolerances=LIMITS)
    short = float(np.max(1.0 - (X @ w) / wanted))
    least, cost = problem.objective(best), problem.objective(w)
    if found.verdict is Verdict.GLOBAL:
        if short > LIMITS.feasibility * 1.01 or cost > least * (1.0 + ROOM * LIMITS.gap):
            return Trial(found.verdict, wrong=f"GLOBAL: {cost} against {least}, short by {short}")
    elif size_of_step <= EXACT:
        return Trial(found.verdict, refused=f"{found.reasons}")
    return Trial(found.verdict)


def products(rng: Rng) -> Trial:
    """``f = Σ x_i u_i v_i >= r`` with costs c_i u_i² + d_i v_i², on one coordinate i.

    The cost is ``2 r √(c_i d_i)/|x_i|``; a coordinate j with less of it makes the point a saddle.
    """
    size = int(rng.integers(2, 4))
    x = rng.uniform(0.5, 2.0, size)
    c, d, r = rng.uniform(0.3, 3.0, size), rng.uniform(0.3, 3.0, size), float(rng.uniform(0.3, 3.0))
    if rng.random() < 0.3:
        # A near tie.
        j = int(rng.integers(size))
        x[j - 1] = x[j] * math.sqrt(c[j - 1] * d[j - 1] / (c[j] * d[j])) * (1.0 + 1e-3)
    i = int(rng.integers(size))
    u, v = np.zeros(size), np.zeros(size)
    u[i] = math.sqrt(r / x[i]) * (d[i] / c[i]) ** 0.25
    v[i] = r / (x[i] * u[i])
    w, step = _aside(rng, np.concatenate([u, v]))
    costs = tuple(np.concatenate([c, d]).tolist())
    problem = Uneven(lm.DiagonalNetwork(2), _points([x]), costs, (r,))
    found = lm.certify(problem, w, tolerances=LIMITS)
    prices = np.sqrt(c * d) / x
    best = bool(prices[i] <= np.min(prices))
    word = found.verdict
    if word in (Verdict.GLOBAL, Verdict.STRICT_LOCAL) and not best:
        return Trial(word, wrong=f"{word.value} at {prices[i]}, and {np.min(prices)} is there")
    if word is Verdict.SADDLE and best:
        return Trial(word, wrong=f"a saddle at the least price {prices[i]} of {prices}")
    if word.certified and step >= 1e-5 and found.stationarity > LIMITS.stationarity:
        return Trial(word, wrong=f"certified with ε = {found.stationarity}")
    if step <= EXACT and word not in (Verdict.SADDLE, Verdict.STRICT_LOCAL, Verdict.KKT):
        return Trial(word, refused=f"{found.reasons}")
    return Trial(word)


FAMILIES: Final[dict[str, Family]] = {
    "one program, five statements": statements,
    "own costs and levels: linear": linear,
    "own costs and levels: products": products,
}
SHARES: Final = {
    "one program, five statements": 0.1,
    "own costs and levels: linear": 0.3,
    "own costs and levels: products": 0.1,
}
