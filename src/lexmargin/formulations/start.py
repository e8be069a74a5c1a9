"""Starting points: a short descent on the log-loss, from a seeded direction."""

from __future__ import annotations

from typing import Any

import numpy as np

from lexmargin.linalg.guarded import minimised
from lexmargin.linalg.norms import vector_norm
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray

__all__ = ["loss_descent", "random_theta", "separating_theta"]

_FIRST_MARGIN = 3.0
"""Nats of margin that end the descent: every sample is well on its side, no unit has died."""
_MEMORY = 20
"""Pairs that L-BFGS keeps: 10 to 50 do alike, and each costs two vectors."""
_SECOND_STEPS = 150
"""Further steps for a start that nearly separates; one that still does not is given up."""


def random_theta(functions: MarginFunctions, rng: np.random.Generator) -> FloatArray:
    """Return independent normal blocks, each scaled by its fan-in, so that scores are O(1)."""
    blocks = [rng.standard_normal(shape) / np.sqrt(max(1, shape[-1])) for shape in functions.shapes]
    return functions.flatten(blocks)


def separating_theta(
    functions: MarginFunctions, theta: FloatArray, steps: int = 400
) -> tuple[FloatArray, bool]:
    """Descend on ``log Σ exp(-f_n)`` until every margin is positive, and then as long again.

    Steps are normalised: ``θ ← θ - η ‖θ‖ g/‖g‖`` with a decreasing η; where they do not separate,
    :func:`loss_descent` goes on from there. Returns the point of largest normalised margin seen,
    and whether it separates.
    """
    degree = functions.homogeneity.degree or 1.0
    best, best_margin, separated_at = theta, -np.inf, steps
    for step in range(steps):
        values, pull = functions.value_and_vjp(theta)
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
        gradient = pull(weights / weights.sum())
        length = vector_norm(gradient, 2.0)
        if not (np.isfinite(length) and length > 0):
            break
        theta = theta + (0.2 / (1.0 + 0.02 * step)) * size * gradient / length
    if best_margin > 0 or not np.isfinite(best_margin):
        return best, bool(best_margin > 0)
    further, _ = loss_descent(functions, best, _SECOND_STEPS)
    separates = bool(functions.values(further).min() > 0)
    return (further if separates else best), separates


def loss_descent(
    functions: MarginFunctions, theta: FloatArray, iterations: int = 300
) -> tuple[FloatArray, FloatArray]:
    """Lower ``log Σ exp(-f_n(θ))`` by L-BFGS until the smallest margin is 3; return θ and softmax.

    A separating point of a large margin for its norm, found faster than by descent of fixed steps.
    """
    seen: dict[str, Any] = {"margin": -np.inf, "theta": theta, "weights": np.zeros(functions.count)}

    def log_loss(x: FloatArray) -> tuple[float, FloatArray]:
        f, pull = functions.value_and_vjp(x)
        least = float(f.min())
        weights = np.exp(least - f)
        total = float(weights.sum())
        weights /= total
        if least > seen["margin"]:
            seen.update(margin=least, theta=x.copy(), weights=weights)
        return float(np.log(total)) - least, -pull(weights)

    def stop(_: FloatArray) -> None:
        if seen["margin"] >= _FIRST_MARGIN:
            raise StopIteration

    options = {"maxiter": iterations, "maxcor": _MEMORY, "ftol": 0.0, "gtol": 1e-12}
    with np.errstate(over="ignore", invalid="ignore"):
        minimised(log_loss, theta, jac=True, method="L-BFGS-B", options=options, callback=stop)
    return seen["theta"], seen["weights"]
