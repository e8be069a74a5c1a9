"""Starting points: a short normalised gradient descent on the log-loss, from a seeded direction."""

from __future__ import annotations

import numpy as np

from lexmargin.formulations.base import vector_norm
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray

__all__ = ["random_theta", "separating_theta"]


def random_theta(functions: MarginFunctions, rng: np.random.Generator) -> FloatArray:
    """Return independent normal blocks, each scaled by its fan-in, so that scores are O(1)."""
    blocks = [rng.standard_normal(shape) / np.sqrt(max(1, shape[-1])) for shape in functions.shapes]
    return functions.flatten(blocks)


def separating_theta(
    functions: MarginFunctions, theta: FloatArray, steps: int = 400
) -> tuple[FloatArray, bool]:
    """Descend on ``log Σ exp(-f_n)`` until every margin is positive, and then as long again.

    Steps are normalised: ``θ ← θ - η ‖θ‖ g/‖g‖`` with a decreasing η. Returns the point of largest
    normalised margin seen, and whether it separates.
    """
    degree = functions.homogeneity.degree or 1.0
    best, best_margin, separated_at = theta, -np.inf, steps
    for step in range(steps):
        values = functions.values(theta)
        size = float(np.linalg.norm(theta))
        if not (np.all(np.isfinite(values)) and size > 0):
            break
        margin = float(values.min()) / size**degree
        if margin > best_margin:
            best, best_margin = theta, margin
        if margin > 0 and separated_at == steps:
            separated_at = step
        if step >= 2 * separated_at + 50:
            break
        scale = max(1.0, float(np.abs(values).max()) / 10.0) if margin <= 0 else 1.0
        logits = -(values - values.min()) / scale
        if margin > 0:
            logits *= 10.0 / float(values.min())
        weights = np.exp(logits)
        gradient = functions.combined_gradient(theta, weights / weights.sum())
        length = vector_norm(gradient, 2.0)
        if not (np.isfinite(length) and length > 0):
            break
        theta = theta + (0.2 / (1.0 + 0.02 * step)) * size * gradient / length
    return best, bool(best_margin > 0)
