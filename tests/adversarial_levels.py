"""Adversarial points for the levels of Definition 5: right at level 1, and beside it afterwards.

Oracles: exact rationals for the ℓ1 and ℓ∞ balls (Bland's simplex method), Newton's method with 60
digits on the dual for 1 < p < ∞. A word is false where GLOBAL is given and a level differs from the
optimum's by more than the tolerance.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Final

import mpmath as mp
import numpy as np
from numpy.typing import NDArray

import lexmargin as lm
from adversarial_common import Trial
from exact_leximin import leximin_margins, maximise
from lexmargin.errors import LexmarginError
from lexmargin.judge import Tolerances, Verdict, certify

Array = NDArray[np.float64]
GAP: Final = 1e-7
LIMITS: Final = Tolerances.at(GAP)
DIGITS: Final = 60


def judged(Z: Array, theta: Array, norm: float, best: list[Fraction] | list[mp.mpf]) -> Trial:
    """Judge θ on all levels and compare it with the sorted margins of the optimum."""
    problem = lm.Lexicographic(lm.Linear(), lm.Dataset(Z, np.ones(len(Z)), one_class=True), norm)
    try:
        found = certify(problem, theta, tolerances=LIMITS)
    except LexmarginError:
        return Trial(None)
    if found.verdict is not Verdict.GLOBAL:
        return Trial(found.verdict)
    worst = max(
        abs(given - value) / best[0]
        for given, value in zip(margins(Z, theta, norm), best, strict=True)
    )
    said = f"GLOBAL at ℓ{norm:g}, a level {float(worst):.3g} away: {Z.tolist()} {theta.tolist()}"
    return Trial(found.verdict, said if worst > GAP * (1 + 1e-6) else "")


def margins(Z: Array, theta: Array, norm: float) -> list[Fraction] | list[mp.mpf]:
    """Return the sorted margins of θ/‖θ‖, exact or with 60 digits."""
    if norm in (1.0, np.inf):
        point = [Fraction(float(x)) for x in theta]
        sizes = [abs(x) for x in point]
        length = sum(sizes, Fraction(0)) if norm == 1.0 else max(sizes)
        rows = [[Fraction(float(x)) for x in row] for row in Z]
        return sorted(sum(a * b for a, b in zip(row, point, strict=True)) / length for row in rows)
    with mp.workdps(DIGITS):
        x = [mp.mpf(float(v)) for v in theta]
        size = sum(abs(v) ** mp.mpf(norm) for v in x) ** (1 / mp.mpf(norm))
        return sorted(mp.fdot([mp.mpf(float(a)) for a in row], x) / size for row in Z)


# -- balls with flat faces -------------------------------------------------------------------------


def exact_optimum(Z: Array, norm: float) -> tuple[list[Fraction], list[Fraction]]:
    """Return the sorted margins and a point of the lexicographic optimum, in fractions."""
    rows = [[Fraction(float(x)) for x in row] for row in Z]
    best = leximin_margins(rows, norm)  # type: ignore[arg-type]
    size = Z.shape[1]
    one, zero = Fraction(1), Fraction(0)
    A = [[-x for x in row] + list(row) for row in rows]
    b = [-value for value in best]
    if norm == 1:
        A.append([one] * (2 * size))
        b.append(one)
    else:
        for j in range(size):
            row = [zero] * (2 * size)
            row[j] = row[size + j] = one
            A.append(row)
            b.append(one)
    _, x = maximise([zero] * (2 * size), A, b)
    return sorted(best), [p - q for p, q in zip(x[:size], x[size:], strict=True)]


def tied(rng: np.random.Generator) -> Array:
    """Return small integer rows with a separator, some entries moved by 1e-3 … 1e-12."""
    size = int(rng.integers(2, 5))
    corner = rng.choice([-1.0, 1.0], size)
    Z = rng.integers(-3, 4, (int(rng.integers(2, 6)), size)).astype(float)
    if rng.random() < 0.3:
        # Rows of any numbers, some entries 0, some rows the same but for what is added below.
        Z = np.where(rng.random(Z.shape) < 0.5, rng.standard_normal(Z.shape), 0.0)
        Z[rng.integers(len(Z))] = Z[rng.integers(len(Z))]
    Z[Z @ corner == 0] = corner
    Z *= np.sign(Z @ corner)[:, None]
    if rng.random() < 0.3:
        # Blocks: the entries of one row are free of those before it.
        Z[-1, : size // 2] = 0.0
        Z[-1, size // 2] = corner[size // 2] * float(np.abs(Z[-1]).sum() + 1.0)
    if rng.random() < 0.5:
        # A row that leaves coordinates free: level 1 is a face.
        Z[0] = 0.0
        Z[0, 0] = corner[0]
    for _ in range(int(rng.integers(0, 3))):
        h = 10.0 ** -rng.uniform(3, 12)
        Z[rng.integers(len(Z)), rng.integers(size)] += float(rng.choice([-h, h]))
    return Z


def polyhedral(norm: float) -> Callable[[np.random.Generator], Trial]:
    """Return the family of points near and at the optimum of rows that are nearly tied."""

    def family(rng: np.random.Generator) -> Trial:
        Z = tied(rng)
        best, exact = exact_optimum(Z, norm)
        theta = np.array([float(x) for x in exact])
        kind = rng.integers(4)
        if kind == 1:
            theta = theta + 10.0 ** rng.uniform(-12, -3) * rng.standard_normal(theta.size)
        elif kind == 2:
            # Another corner, or another order of the entries: as good but for h.
            theta = theta * rng.choice([-1.0, 1.0], theta.size)
        elif kind == 3 and np.min(Z @ theta) > 0.1:
            # The optimum of the rows without their small changes.
            other = np.where(np.abs(Z - np.round(Z)) < 2e-3, np.round(Z), Z)
            theta = np.array([float(x) for x in exact_optimum(other, norm)[1]])
        if not np.any(theta):
            theta = np.ones(theta.size)
        if norm == np.inf and kind in (2, 3):
            theta = np.where(rng.random(theta.size) < 0.3, np.sign(theta), theta)
        found = judged(Z, theta, norm, best)
        whole = np.abs(Z - np.round(Z))
        clear = kind == 0 and not np.any(whole)
        if clear and found.verdict is not Verdict.GLOBAL:
            return Trial(found.verdict, refused=f"{found.verdict}: {Z.tolist()} in ℓ{norm:g}")
        return found

    return family


# -- balls without flat faces ----------------------------------------------------------------------


def dual_optimum(Z: Array, p: float, start: Array) -> tuple[list[mp.mpf], Array] | None:
    """Minimise ‖Zᵀλ‖_q on the support of a start with 60 digits; None where that is not the answer.

    Returns the sorted margins of the one max-margin direction, and the direction rounded.
    """
    support = np.flatnonzero(start > 1e-7 * np.max(start))
    with mp.workdps(DIGITS):
        q = mp.mpf(p) / (mp.mpf(p) - 1)
        rows = [[mp.mpf(float(x)) for x in row] for row in Z]
        chosen = [rows[n] for n in support]
        size = Z.shape[1]

        def direction(weights: list[mp.mpf]) -> list[mp.mpf]:
            pull = [mp.fdot(weights, [row[j] for row in chosen]) for j in range(size)]
            length = sum(abs(u) ** q for u in pull) ** (1 / q)
            return [mp.sign(u) * (abs(u) / length) ** (q - 1) for u in pull]

        def equations(*free: mp.mpf) -> list[mp.mpf]:
            weights = [*free, 1 - sum(free)]
            theta = direction(weights)
            scores = [mp.fdot(row, theta) for row in chosen]
            return [s - scores[-1] for s in scores[:-1]]

        weights = [mp.mpf(float(x)) for x in start[support] / np.sum(start[support])]
        if len(weights) > 1:
            try:
                solved = mp.findroot(equations, weights[:-1], tol=mp.mpf(10) ** -80, maxsteps=60)
            except (ValueError, ZeroDivisionError):
                return None
            weights = [*solved, 1 - sum(solved)]
        theta = direction(weights)
        scores = [mp.fdot(row, theta) for row in rows]
        least = min(scores[n] for n in support)
        if min(weights) <= 0 or min(scores) < least - mp.mpf(10) ** -30 or least <= 0:
            return None
        return sorted(scores), np.array([float(x) for x in theta])


def rough_weights(Z: Array, p: float) -> Array:
    """Return λ that nearly minimises ‖Zᵀλ‖_q over the simplex, by SciPy alone."""
    from scipy.optimize import minimize

    q = p / (p - 1.0)
    answer = minimize(
        lambda x: float(np.sum(np.abs(x @ Z) ** q)) ** (2 / q),
        np.full(len(Z), 1.0 / len(Z)),
        method="SLSQP",
        bounds=[(0.0, 1.0)] * len(Z),
        constraints={"type": "eq", "fun": lambda x: np.sum(x) - 1.0},
        options={"maxiter": 300, "ftol": 1e-16},
    )
    return np.maximum(answer.x, 0.0)


def curved(p: float | None) -> Callable[[np.random.Generator], Trial]:
    """Return the family of points near the optimum, with rows of very different length."""

    def family(rng: np.random.Generator) -> Trial:
        norm = float(rng.choice([1.2, 1.5, 3.0, 6.0])) if p is None else p
        size = int(rng.integers(2, 4))
        Z = rng.standard_normal((int(rng.integers(2, 6)), size)) + 1.5
        nearly = rng.random() < 0.5
        if nearly:
            # Two rows that differ by s: the direction between them is hardly known.
            Z[1] = Z[0] + 10.0 ** rng.uniform(-7, -1) * rng.standard_normal(size)
        long = rng.standard_normal((2, size))
        stretch = 10.0 ** rng.uniform(0, 4)
        Z = np.vstack([Z, stretch * long])
        start = rough_weights(Z[:-2], norm)
        rough = np.abs(start @ Z[:-2]) ** (1.0 / (norm - 1.0)) * np.sign(start @ Z[:-2])
        Z[-2:] *= np.sign(Z[-2:] @ rough)[:, None]
        # Long rows stay above the margin: a part across the direction and a clear one along it.
        top = float(np.min(Z[:-2] @ rough))
        low = Z[-2:] @ rough < 2.0 * top
        Z[-2:][low] += 2.0 * np.outer(np.full(2, top), rough / (rough @ rough))[low]
        found = dual_optimum(Z, norm, np.append(start, [0.0, 0.0]))
        if found is None:
            return Trial(None, note="the support is not that of the optimum")
        best, theta = found
        kind = rng.integers(3)
        if kind:
            theta = theta + 10.0 ** rng.uniform(-12, -3) * rng.standard_normal(size)
        told = judged(Z, theta, norm, best)
        if kind == 0 and told.verdict in (Verdict.NOT_STATIONARY, Verdict.NOT_SEPARATING):
            return Trial(told.verdict, f"{told.verdict} at the optimum: {Z.tolist()} ℓ{norm:g}")
        clear = kind == 0 and not nearly and stretch < 100.0
        if clear and told.verdict is not Verdict.GLOBAL:
            return Trial(told.verdict, refused=f"{told.verdict}: {Z.tolist()} in ℓ{norm:g}")
        return told

    return family


FAMILIES: Final[dict[str, Callable[[np.random.Generator], Trial]]] = {
    "levels, nearly tied, ℓ1": polyhedral(1.0),
    "levels, nearly tied, ℓ∞": polyhedral(np.inf),
    "levels beside the optimum, ℓ2": curved(2.0),
    "levels beside the optimum, ℓp": curved(None),
}
SHARES: Final = {
    # Fractions are dear.
    "levels, nearly tied, ℓ1": 0.1,
    "levels, nearly tied, ℓ∞": 0.1,
    "levels beside the optimum, ℓ2": 0.5,
    "levels beside the optimum, ℓp": 0.2,
}
