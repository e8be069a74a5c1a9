"""Answers on many sparse rows: one-hot coded categories, whose faces are dependent, with noise.

The oracle is Clarabel on the same quadratic program for the largest margin, HiGHS for whether there
is one, and the Gordan vector of a refusal is added up in fractions.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linprog

import lexmargin as lm
from adversarial_common import Family, Trial
from lexmargin.errors import LexmarginError, NotSeparableError
from lexmargin.formulations import Formulation

__all__ = ["FAMILIES", "SHARES"]

Array = NDArray[np.float64]
_CLEAR: Final = 1e-6
"""Margin in the box from which HiGHS's word that there is one is beyond its tolerances."""
_MISSED: Final = 1e-7
"""What Clarabel itself may miss of the optimum at its tightest."""


def _samples(rng: np.random.Generator) -> tuple[Any, Array]:
    """Return rows of more than 100 columns, so that all of them are solved for together."""
    features = int(rng.integers(1, 7))
    categories = int(np.ceil((101 + rng.integers(40)) / features))
    n = int(rng.integers(features * categories, 4 * features * categories))
    shape = (n, features)
    share = rng.random(shape) ** float(rng.choice([1.0, 3.0]))
    codes = np.minimum((categories * share).astype(int), categories - 1)
    X = np.zeros((n, features * categories))
    X[np.arange(n)[:, None], codes + categories * np.arange(features)] = 1.0
    kind = rng.choice(["plain", "dropped", "weighted", "counted"])
    if kind == "dropped":
        X[:, ::categories] = 0.0
    elif kind == "weighted":
        X *= np.exp(rng.standard_normal(X.shape[1]))
    elif kind == "counted":
        X = np.column_stack([X, rng.integers(-3, 4, (n, 2))])
    scores = X @ rng.standard_normal(X.shape[1])
    y = np.where(scores > (np.median(scores) if rng.random() < 0.7 else 0.0), 1.0, -1.0)
    y[rng.random(n) < rng.choice([0.0, 0.0, 0.01, 0.1])] *= -1.0
    if np.all(y == y[0]):
        y[0] *= -1.0
    return sparse.csr_array(X), y


def _largest(rows: Array) -> float:
    """Return ``max t  s.t.  rows v >= t, |v| <= 1``: positive where something separates."""
    count, size = rows.shape
    matrix = np.column_stack([-rows, np.ones(count)])
    ends = [(-1.0, 1.0)] * size + [(None, None)]
    found = linprog(np.append(np.zeros(size), -1.0), matrix, np.zeros(count), bounds=ends)
    return float(-found.fun)


def _norm(rows: Array, free: bool) -> float:
    """Return the least ‖w‖ with margin 1 by Clarabel."""
    import clarabel

    count, size = rows.shape
    costs = sparse.diags(np.append(np.ones(size - free), np.zeros(int(free))), format="csc")
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_rel = settings.tol_gap_abs = settings.tol_feas = 1e-11
    found = clarabel.DefaultSolver(
        costs, np.zeros(size), sparse.csc_matrix(-rows), -np.ones(count),
        [clarabel.NonnegativeConeT(count)], settings,
    ).solve()  # fmt: skip
    return float(np.linalg.norm(np.array(found.x)[: size - free]))


def one_hot(rng: np.random.Generator) -> Trial:
    """The hard margin of one-hot rows, with a free bias or without, as it is solved."""
    X, y = _samples(rng)
    free = bool(rng.random() < 0.5)
    rows = y[:, None] * np.column_stack([X.toarray(), np.ones(y.size)] if free else [X.toarray()])
    data = lm.Dataset(X, y)
    problem: Formulation = lm.HardMargin(lm.Linear(), data)
    if free:
        problem = lm.WSet(lm.Sum([lm.Linear(), lm.Bias()]), data)
    largest = _largest(rows)
    where = f"{X.shape}, bias {free}, margin in the box {largest:.3g}, rows {X.indices.tolist()}"
    try:
        found = lm.solve(problem).certificate
    except NotSeparableError as error:
        gordan = None if error.proof is None else error.proof.gordan
        if largest > _CLEAR:
            return Trial(None, wrong=f"called inseparable: {where}")
        if gordan is None:
            return Trial(None, refused=f"without a proof: {where}")
        sums = [Fraction(0)] * rows.shape[1]
        for n, value in enumerate(gordan):
            for j in np.flatnonzero(rows[n] if value else 0).tolist():
                sums[j] += value * Fraction(float(rows[n, j]))
        if any(sums) or min(gordan) < 0 or not any(gordan):
            return Trial(None, wrong=f"no Gordan vector: {where}")
        return Trial(None)
    except LexmarginError as error:
        return Trial(None, refused=f"{error}: {where}" if largest > _CLEAR else "")
    if found is None:
        return Trial(None, refused=f"no certificate: {where}")
    if not found.verdict.certified:
        return Trial(found.verdict, refused=f"{found.verdict}: {where}" if largest > _CLEAR else "")
    if largest < 1e-9:
        return Trial(found.verdict, wrong=f"{found.verdict}, but nothing separates: {where}")
    best = 1.0 / _norm(rows, free)
    missed = 1.0 - found.margin / best
    if largest > _CLEAR and missed > _MISSED:
        return Trial(found.verdict, wrong=f"{found.verdict}, missed {missed:.3g}: {where}")
    return Trial(found.verdict)


FAMILIES: Final[dict[str, Family]] = {"sparse: one-hot, as solved": one_hot}
SHARES: Final = {"sparse: one-hot, as solved": 0.1}
