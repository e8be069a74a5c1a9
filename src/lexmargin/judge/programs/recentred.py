"""Eq. 13 of a linear part and free biases, restated for centred samples: the same problem.

With a bias per class ``F_k(x) = w_k·x + β_k``: for the samples x_n - c the point ``(w_k, β_k +
w_k·c)`` has the same margins, and ‖w_1‖ is the same.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.data.dataset import Dataset
from lexmargin.data.translation import column_centres, moved_samples, translated_bias
from lexmargin.formulations.base import Formulation
from lexmargin.formulations.kkt import Kkt
from lexmargin.judge.programs.linear_problems import linear_w_set
from lexmargin.judge.programs.translated import ROUNDINGS, centred
from lexmargin.linalg.norms import Array
from lexmargin.linalg.rounding import EPS
from lexmargin.margins import MarginFunctions
from lexmargin.predictors.bias import BiasForm
from lexmargin.predictors.sums import linear_and_bias

__all__ = ["Recentred", "recentred", "recentred_problem"]

BoolArray = NDArray[np.bool_]

_HALVINGS: Final = 60
"""Of an interval that holds the best margin: more than the digits of a double."""


@final
@dataclass(frozen=True, eq=False)
class Recentred:
    """Eq. 13 with every sample moved by -c.

    Attributes:
        problem: for the samples x_n - c, without rounding.
        centres: c (p,).
        linear: mask (d,) of the entries of the linear part; the others are biases.
    """

    problem: Formulation
    centres: Array
    linear: BoolArray

    def inward(self, theta: Array) -> Array:
        """Return ``(w, β + w·c)`` of a point (w, β) of the problem as given, θ (d,) flat."""
        return self._moved(theta, self.centres)

    def outward(self, theta: Array) -> Array:
        """Return ``(w, β - w·c)``: the point of the problem as given, θ (d,) flat."""
        return self._moved(theta, -self.centres)

    def _moved(self, theta: Array, centres: Array) -> Array:
        outputs = self.problem.predictor.outputs
        return _joined(self.linear, theta, _translated(outputs, self.linear, theta, centres))


def recentred_problem(problem: Formulation) -> Recentred | None:
    """Return eq. 13 of centred samples; None where a translation is not free, or gains nothing.

    Only for level 1 of a linear part and biases of either sign: ‖w_2‖² = Σ |β_k| changes with c.
    """
    if not problem.is_judged:
        return None
    kkts = problem.kkt(np.ones(problem.functions.size))
    if not (_free(kkts) and dataclasses.is_dataclass(problem)):
        return None
    centres = column_centres(problem.data.samples)
    if not np.any(centres):
        return None
    data = _moved_data(problem.data, moved_samples(problem.data.samples, centres))
    return Recentred(replace(problem, data=data), centres, _linear(kkts[0]))


def recentred(kkts: tuple[Kkt, ...]) -> tuple[Kkt, ...]:
    """Return eq. 13 of centred samples at the same point there; others, and near data, as given.

    The biases are the best ones within their own rounding.
    """
    functions = kkts[0].functions
    if functions.data.is_sparse or not _free(kkts):
        return kkts
    if functions.multi_class:
        return _of_classes(kkts) if np.all(np.isfinite(kkts[0].point)) else kkts
    return _of_two_classes(kkts) if linear_w_set(kkts) else kkts


def _with_samples(kkts: tuple[Kkt, ...], samples: Any, point: Array) -> tuple[Kkt, ...]:
    functions = kkts[0].functions
    moved = MarginFunctions(functions.predictor, _moved_data(functions.data, samples))
    return tuple(replace(kkt, functions=moved, point=point) for kkt in kkts)


def _moved_data(data: Dataset, samples: Any) -> Dataset:
    return Dataset(samples, data.y, data.name, one_class=True)


def _free(kkts: tuple[Kkt, ...]) -> bool:
    found = linear_and_bias(kkts[0].functions.predictor, several=True)
    stated = len(kkts) == 1 and kkts[0].part == 0 and kkts[0].at_one
    if not stated or found is None or found[0].columns is not None:
        return False
    return found[1].form in (BiasForm.SIGNED_SQUARE, BiasForm.TWO_SQUARES)


def _linear(kkt: Kkt) -> BoolArray:
    """Return a mask (d,) of the entries that the cost counts: those of the linear part."""
    return np.asarray(kkt.entry_costs > 0.0)


def _of_two_classes(kkts: tuple[Kkt, ...]) -> tuple[Kkt, ...]:
    functions, theta, mine = kkts[0].functions, kkts[0].point, _linear(kkts[0])
    linear, signs = theta[mine], np.asarray(functions.data.signed, dtype=np.float64)
    only_bias = functions.values(np.where(mine, 0.0, theta))
    score = float(only_bias[0] * signs[0])
    # The gradient of b|b| vanishes at 0, where eq. 13 asks for less: of both ends of the columns
    # the one is taken that leaves the larger bias.
    ends = [
        found
        for upward in (linear > 0.0, linear <= 0.0)
        if (found := centred(functions.data.X, signs, linear, score, upward)) is not None
    ]
    if not ends:
        return kkts
    near = max(ends, key=lambda found: abs(found.bias))
    return _with_samples(kkts, near.samples, _joined(mine, theta, np.array([near.bias])))


def _of_classes(kkts: tuple[Kkt, ...]) -> tuple[Kkt, ...]:
    functions, theta, mine = kkts[0].functions, kkts[0].point, _linear(kkts[0])
    centres = column_centres(functions.data.samples)
    if not np.any(centres):
        return kkts
    outputs = functions.predictor.outputs
    weights, biases = _split(outputs, mine, theta)
    sizes = np.array([abs(float(beta)) for beta in biases])
    if np.count_nonzero(sizes == 0.0) > 1:
        # There b_k|b_k| has no slope, and eq. 13 as written asks for less than elsewhere.
        return kkts
    inside = _translated(outputs, mine, theta, centres)
    slack = ROUNDINGS * EPS * (sizes + np.abs(weights) @ np.abs(centres))
    data = _moved_data(functions.data, moved_samples(functions.data.samples, centres))
    scores = data.X @ weights.T
    differences = np.full((len(biases), len(biases)), np.inf)
    for a in range(len(biases)):
        own = scores[data.y == a]
        if own.size:
            differences[a] = np.min(own[:, a : a + 1] - own, axis=0)
    best = best_biases(differences, inside, slack)
    # All scores may rise together, and beyond 1 every b_k has a slope.
    best = best - float(np.min(best)) + 1.0
    return _with_samples(kkts, data.samples, _joined(mine, theta, best))


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


def _translated(outputs: int, linear: BoolArray, theta: Array, centres: Array) -> Array:
    weights, biases = _split(outputs, linear, theta)
    pairs = zip(biases, weights, strict=True)
    return np.array([float(translated_bias(beta, w, centres)) for beta, w in pairs])


def _split(outputs: int, linear: BoolArray, theta: Array) -> tuple[Array, list[Fraction]]:
    """Return the weights (C, p) and the score of every bias, exactly; C = 1 for two classes."""
    scores = []
    for row in theta[~linear].reshape(outputs, -1).tolist():
        squares = [Fraction(b) * abs(Fraction(b)) for b in row]
        scores.append(squares[0] if len(row) == 1 else abs(squares[0]) - abs(squares[1]))
    return theta[linear].reshape(outputs, -1), scores


def _joined(linear: BoolArray, theta: Array, biases: Array) -> Array:
    """Return θ with the shortest b_k of the scores β_k."""
    roots = np.sqrt(np.abs(biases))
    if np.count_nonzero(~linear) == biases.size:
        block = np.copysign(roots, biases)
    else:
        block = np.column_stack(
            [np.where(biases > 0.0, roots, 0.0), np.where(biases < 0.0, roots, 0.0)]
        )
    point = theta.copy()
    point[~linear] = block.reshape(-1)
    return point
