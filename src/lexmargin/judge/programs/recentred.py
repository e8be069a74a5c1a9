"""Eq. 13 of a linear part and free biases, restated for centred samples: the same problem.

With a bias per class ``F_k(x) = w_k·x + β_k``: for the samples x_n - c the point ``(w_k, β_k +
w_k·c)`` has the same margins, and ‖w_1‖ is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final, TypeVar, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.data.translation import column_centres, moved_samples, translated_bias
from lexmargin.formulations.base import Formulation
from lexmargin.formulations.w_set import WSet
from lexmargin.judge.programs.linear_problems import linear_w_set
from lexmargin.judge.programs.translated import ROUNDINGS, centred
from lexmargin.linalg.norms import Array
from lexmargin.predictors.bias import BiasForm
from lexmargin.predictors.sums import linear_and_bias

__all__ = ["Recentred", "recentred", "recentred_problem"]

P = TypeVar("P", bound=Formulation)

_EPS: Final = float(np.finfo(np.float64).eps)
_HALVINGS: Final = 60
"""Of an interval that holds the best margin: more than the digits of a double."""


@final
@dataclass(frozen=True, eq=False)
class Recentred:
    """Eq. 13 with every sample moved by -c.

    Attributes:
        problem: for the samples x_n - c, without rounding.
        centres: c (p,).
    """

    problem: WSet
    centres: Array

    def inward(self, theta: Array) -> Array:
        """Return ``(w, β + w·c)`` of a point (w, β) of the problem as given, θ (d,) flat."""
        return self._moved(theta, self.centres)

    def outward(self, theta: Array) -> Array:
        """Return ``(w, β - w·c)``: the point of the problem as given, θ (d,) flat."""
        return self._moved(theta, -self.centres)

    def _moved(self, theta: Array, centres: Array) -> Array:
        weights, biases = _split(self.problem, theta)
        moved = [
            float(translated_bias(beta, w, centres))
            for beta, w in zip(biases, weights, strict=True)
        ]
        return _joined(self.problem, theta, np.array(moved))


def recentred_problem(problem: Formulation) -> Recentred | None:
    """Return eq. 13 of centred samples; None where a translation is not free, or gains nothing.

    Only for level 1 of a linear part and biases of either sign: ‖w_2‖² = Σ |β_k| changes with c.
    """
    if not (isinstance(problem, WSet) and _free(problem)):
        return None
    centres = column_centres(problem.data.samples)
    if not np.any(centres):
        return None
    samples = moved_samples(problem.data.samples, centres)
    return Recentred(_with_samples(problem, samples), centres)


def recentred(problem: P, theta: Array) -> tuple[P | WSet, Array]:
    """Return eq. 13 of centred samples and the same point there; others, and near data, as given.

    The biases are the best ones within their own rounding.

    Args:
        problem: any.
        theta: (d,) a point of it.
    """
    if not isinstance(problem, WSet) or problem.data.is_sparse:
        return problem, theta
    if linear_w_set(problem):
        return _of_two_classes(problem, theta)
    near = recentred_problem(problem) if problem.functions.multi_class else None
    if near is None or not np.all(np.isfinite(theta)):
        return problem, theta
    return _of_classes(near, problem, theta)


def _with_samples(problem: WSet, samples: Any) -> WSet:
    data = problem.data
    return replace(problem, data=Dataset(samples, data.y, data.name, one_class=True))


def _free(problem: WSet) -> bool:
    found = linear_and_bias(problem.predictor, several=True)
    if problem.levels != 1 or found is None or found[0].columns is not None:
        return False
    return found[1].form in (BiasForm.SIGNED_SQUARE, BiasForm.TWO_SQUARES)


def _of_two_classes(problem: WSet, theta: Array) -> tuple[WSet, Array]:
    mine = np.asarray(problem.parts.entries(0), dtype=bool)
    linear, signs = theta[mine], np.asarray(problem.data.signed, dtype=np.float64)
    only_bias = problem.functions.values(np.where(mine, 0.0, theta))
    score = float(only_bias[0] * signs[0])
    # The gradient of b|b| vanishes at 0, where eq. 13 asks for less: of both ends of the columns
    # the one is taken that leaves the larger bias.
    ends = [
        found
        for upward in (linear > 0.0, linear <= 0.0)
        if (found := centred(problem.data.X, signs, linear, score, upward)) is not None
    ]
    if not ends:
        return problem, theta
    near = max(ends, key=lambda found: abs(found.bias))
    moved = _with_samples(problem, near.samples)
    return moved, _joined(moved, theta, np.array([near.bias]))


def _of_classes(near: Recentred, problem: WSet, theta: Array) -> tuple[WSet, Array]:
    weights, biases = _split(problem, theta)
    sizes = np.array([abs(float(beta)) for beta in biases])
    if np.count_nonzero(sizes == 0.0) > 1:
        # There b_k|b_k| has no slope, and eq. 13 as written asks for less than elsewhere.
        return problem, theta
    inside = np.array(
        [
            float(translated_bias(beta, w, near.centres))
            for beta, w in zip(biases, weights, strict=True)
        ]
    )
    slack = ROUNDINGS * _EPS * (sizes + np.abs(weights) @ np.abs(near.centres))
    scores = near.problem.data.X @ weights.T
    data = near.problem.data
    differences = np.full((len(biases), len(biases)), np.inf)
    for a in range(len(biases)):
        own = scores[data.y == a]
        if own.size:
            differences[a] = np.min(own[:, a : a + 1] - own, axis=0)
    best = best_biases(differences, inside, slack)
    # All scores may rise together, and beyond 1 every b_k has a slope.
    best = best - float(np.min(best)) + 1.0
    return near.problem, _joined(near.problem, theta, best)


def best_biases(differences: Array, biases: Array, slack: Array) -> Array:
    """Return ``argmax_β min_{a≠c} D_ac + β_a - β_c`` within ``|β_k - given_k| ≤ slack_k``.

    For a wanted margin t these are difference constraints ``β_c ≤ β_a + D_ac - t``, whose largest
    solution is a shortest path from a source that holds the box (Bellman 1958); t is bisected.

    Args:
        differences: (C, C) D, the smallest difference of scores without biases; inf where no
            sample is of class a.
        biases, slack: (C,) each.
    """
    others = ~np.eye(biases.size, dtype=bool)

    def feasible(wanted: float) -> Array | None:
        found = biases + slack
        edges = np.where(others, differences - wanted, np.inf)
        for _ in range(biases.size):
            found = np.minimum(found, np.min(found[:, None] + edges, axis=0))
        steady = np.all(found <= np.min(found[:, None] + edges, axis=0))
        return found if steady and np.all(found >= biases - slack) else None

    low = float(np.min((differences + biases[:, None] - biases)[others]))
    high = low + 4.0 * float(np.max(slack))
    best = biases
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if not low < middle < high:
            break
        found = feasible(middle)
        if found is None:
            high = middle
        else:
            low, best = middle, found
    return best


def _split(problem: WSet, theta: Array) -> tuple[Array, list[Fraction]]:
    """Return the weights (C, p) and the score of every bias, exactly; C = 1 for two classes."""
    linear, bias = _blocks(problem, theta)
    outputs = problem.predictor.outputs
    rows = bias.reshape(outputs, -1)
    scores = []
    for row in rows.tolist():
        squares = [Fraction(b) * abs(Fraction(b)) for b in row]
        scores.append(squares[0] if len(row) == 1 else abs(squares[0]) - abs(squares[1]))
    return linear.reshape(outputs, -1), scores


def _joined(problem: WSet, theta: Array, biases: Array) -> Array:
    """Return θ with the shortest b_k of the scores β_k."""
    roots = np.sqrt(np.abs(biases))
    _, old = _blocks(problem, theta)
    if old.size == biases.size:
        block = np.copysign(roots, biases)
    else:
        block = np.column_stack(
            [np.where(biases > 0.0, roots, 0.0), np.where(biases < 0.0, roots, 0.0)]
        )
    point = theta.copy()
    point[~np.asarray(problem.parts.entries(0), dtype=bool)] = block.reshape(-1)
    return point


def _blocks(problem: WSet, theta: Array) -> tuple[Array, Array]:
    mine = np.asarray(problem.parts.entries(0), dtype=bool)
    return theta[mine], theta[~mine]
