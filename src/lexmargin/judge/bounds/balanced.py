"""Multipliers balanced for a bias that no cost holds, or only a small one."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from lexmargin.linalg.norms import Array
from lexmargin.margins import MarginFunctions

__all__ = ["balanced", "circulating"]


def balanced(weights: Array, signs: Array, low: float = 0.0, high: float = 0.0) -> Array:
    """Return λ with `low ≤ Σ λ_n y_n ≤ high` up to rounding; both classes keep their shape.

    Exact weights with that lie within a few roundings of these.

    Args:
        weights: (N,) λ ≥ 0.
        signs: (N,) y_n.
        low, high: low ≤ 0 ≤ high.
    """
    positive = signs > 0.0
    plus, minus = float(np.sum(weights[positive])), float(np.sum(weights[~positive]))
    apart = min(max(plus - minus, low), high)
    if not (plus > 0.0 and minus > 0.0):
        total = plus + minus
        return weights * (abs(apart) / total) if total > 0.0 else weights
    ends = 0.5 * (plus + minus + apart) / plus, 0.5 * (plus + minus - apart) / minus
    return np.where(positive, weights * ends[0], weights * ends[1])


def circulating(functions: MarginFunctions, weights: Array) -> Array:
    """Return λ whose weight from class to class flows in circles, up to its rounding; 0 if none is.

    The surplus of every class is exact, and so is its way along the heaviest edges that join the
    classes; every λ of a pair of classes then shares its factor.
    """
    _, own, other = functions.pairs
    flow: dict[tuple[int, int], Fraction] = {}
    for a, c, value in zip(own.tolist(), other.tolist(), weights.tolist(), strict=True):
        if value > 0.0:
            flow[a, c] = flow.get((a, c), Fraction(0)) + Fraction(value)
    before = dict(flow)
    group = list(range(functions.predictor.outputs))
    tree: list[tuple[int, int]] = []
    for a, c in sorted(flow, key=lambda edge: -flow[edge]):
        if group[a] != group[c]:
            old, new = group[c], group[a]
            group = [new if g == old else g for g in group]
            tree.append((a, c))
    surplus = [Fraction(0)] * len(group)
    for (a, c), value in flow.items():
        surplus[a] += value
        surplus[c] -= value
    while tree:
        ends = [end for edge in tree for end in edge]
        a, c = edge = next(e for e in tree if ends.count(e[0]) == 1 or ends.count(e[1]) == 1)
        # A leaf is settled by its only edge.
        change = -surplus[a] if ends.count(a) == 1 else surplus[c]
        flow[edge] += change
        surplus[a] += change
        surplus[c] -= change
        tree.remove(edge)
    if any(surplus) or any(value < 0 for value in flow.values()):
        return np.zeros(weights.size)
    factors = {edge: float(value / before[edge]) for edge, value in flow.items()}
    pairs = zip(own.tolist(), other.tolist(), strict=True)
    shares: Array = np.array([factors.get(pair, 0.0) for pair in pairs], dtype=np.float64)
    return np.asarray(np.maximum(weights, 0.0) * shares)
