"""The augmented Lagrangian of the hard margin: carries a rough point to where Newton's steps hold.

Iterates of gradient descent at a large norm zigzag: their angle to a KKT point is far above what
Newton's method forgives. This phase lowers one merit function and so stays in the valley it is in.
Multipliers concentrate on few samples, so that everything happens on a working set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, final

import numpy as np

from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, IntArray
from lexmargin.ops.jacobian import JacobianOps

__all__ = ["WorkingSet", "augmented_lagrangian", "loss_descent"]

_BAND = 0.3
_PRICINGS = 10
_FIRST_PENALTY = 10.0
_NEWTON = 60
_HALVINGS = 25
_CONJUGATE = 150
_MEMORY = 20
_FIRST_MARGIN = 3.0


@final
class WorkingSet:
    """The margin functions of some samples, with their gradients, evaluated without the others.

    Args:
        functions: all margin functions.
        rows: indices of margin functions; with several classes all of them are kept.
    """

    def __init__(self, functions: MarginFunctions, rows: IntArray) -> None:
        self._functions = functions
        self._whole = functions.multi_class or rows.size == functions.count
        self.rows = np.arange(functions.count) if self._whole else np.asarray(rows)
        if not self._whole:
            self._features = np.ascontiguousarray(functions.features[self.rows])
            self._signs = functions.score_weights(np.ones(functions.count))[self.rows]

    def _record(self, theta: FloatArray) -> tuple[list[Any], Any]:
        parameters = [JacobianOps.parameter(block) for block in self._functions.blocks(theta)]
        ops = JacobianOps()
        predictor = self._functions.predictor
        return parameters, predictor(ops, parameters, ops.constant(self._features))

    def recorded(self, theta: FloatArray) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
        """Return ``f_n(θ)`` of the rows and the map ``weights -> Σ_n weights_n ∇f_n(θ)``."""
        if self._whole:
            return self._functions.recorded(theta)
        parameters, scores = self._record(theta)

        def pull(weights: FloatArray) -> FloatArray:
            seed = self._signs * weights
            parts = JacobianOps.pull_back(scores, seed, parameters, reduce=True)
            return np.concatenate([part.reshape(-1) for part in parts])

        return scores.value * self._signs, pull

    def narrowed(self, held: IntArray) -> WorkingSet:
        """Return some of these rows; ``held`` counts within :attr:`rows`."""
        return WorkingSet(self._functions, self.rows[held])

    def jacobian(self, theta: FloatArray) -> FloatArray:
        """Return the rows ``∇f_n(θ)``."""
        if self._whole:
            return self._functions.jacobian(theta)
        parameters, scores = self._record(theta)
        parts = JacobianOps.pull_back(scores, self._signs, parameters, reduce=False)
        return np.concatenate([part.reshape(self.rows.size, -1) for part in parts], axis=1)


def loss_descent(
    functions: MarginFunctions, theta: FloatArray, iterations: int = 300
) -> tuple[FloatArray, FloatArray]:
    """Lower ``log Σ exp(-f_n(θ))`` by L-BFGS until the smallest margin is 3; return θ and softmax.

    A separating point of a large margin for its norm, found faster than by descent of fixed steps.
    """
    from scipy.optimize import minimize

    seen: dict[str, Any] = {"margin": -np.inf, "theta": theta, "weights": np.zeros(functions.count)}

    def log_loss(x: FloatArray) -> tuple[float, FloatArray]:
        f, pull = functions.recorded(x)
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
        minimize(log_loss, theta, jac=True, method="L-BFGS-B", options=options, callback=stop)
    return seen["theta"], seen["weights"]


def augmented_lagrangian(
    functions: MarginFunctions,
    w: FloatArray,
    multipliers: FloatArray,
    rounds: int = 30,
    deadline: float = np.inf,
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield ``(w, λ)`` after every round of ``min ½‖w‖² s.t. f_n(w) >= 1`` (Hestenes; Powell 1969).

    A round minimises ``½‖w‖² + (μ/2) Σ max(0, 1 - f_n + λ_n/μ)²`` from the last w, then sets
    ``λ_n ← μ max(0, 1 - f_n + λ_n/μ)``; μ grows until violations fall by ten a round.
    Only samples near the margin take part; the others are priced after every round, and a round
    with newly violated ones is made again.

    Args:
        functions: the f_n.
        w: (d,) a start near margin 1.
        multipliers: (N,) >= 0, the first λ.
        rounds: the most rounds.
        deadline: of ``time.perf_counter()``.
    """
    lam = np.asarray(multipliers, dtype=np.float64)
    violation = np.inf
    near = functions.values(w) <= 1.0 + _BAND
    # λ is about ‖w‖²/|S|: the first round may fall short by a tenth, and not collapse to 0.
    penalty = _FIRST_PENALTY * float(w @ w) / max(1, int(np.count_nonzero(near)))
    accuracy = 1e-2
    for _ in range(rounds):
        f = functions.values(w)
        for _ in range(_PRICINGS):
            part = WorkingSet(functions, np.flatnonzero(near | (lam > 0.0)))
            w = _minimised(part, w, lam[part.rows], penalty, accuracy, deadline)
            f = functions.values(w)
            if not np.all(np.isfinite(f)):
                return
            outside = np.ones(f.size, dtype=bool)
            outside[part.rows] = False
            if not np.any(f[outside] < 1.0):
                break
            near |= f <= 1.0 + 0.5 * _BAND
        worst = float(np.abs(np.minimum(f - 1.0, lam / penalty)).max())
        lam = np.maximum(0.0, penalty * (1.0 - f) + lam)
        yield w, lam
        if time.perf_counter() > deadline:
            return
        near = f <= 1.0 + _BAND
        if worst > 0.1 * violation:
            penalty *= 4.0
        accuracy = max(1e-13, min(0.1 * accuracy, 0.1 * worst))
        violation = worst


def _minimised(
    part: WorkingSet,
    w: FloatArray,
    lam: FloatArray,
    penalty: float,
    accuracy: float,
    deadline: float,
) -> FloatArray:
    """Return where the gradient of a round's merit is about ``accuracy ‖w‖``: Newton's method.

    Steps are solved by conjugate gradients, preconditioned by ``(I + μ JᵀJ)^{-1}`` of the violated
    rows, and end at negative curvature; curvature of the f_n is a difference of gradients.
    """
    f, pull = part.recorded(w)
    for _ in range(_NEWTON):
        weights = np.maximum(0.0, penalty * (1.0 - f) + lam)
        gradient = w - pull(weights)
        value = 0.5 * float(w @ w) + 0.5 * float(weights @ weights) / penalty
        size = float(np.linalg.norm(w))
        held = np.flatnonzero(weights > 0.0)
        if time.perf_counter() > deadline:
            break
        step = _direction(part, held, w, weights, penalty, gradient, accuracy * size)
        if step is None:
            break
        slope = float(step @ gradient)
        t = min(1.0, 0.5 * size / max(float(np.linalg.norm(step)), 1e-300))
        for _ in range(_HALVINGS):
            following, next_pull = part.recorded(w + t * step)
            violated = np.maximum(0.0, penalty * (1.0 - following) + lam)
            moved = w + t * step
            reached = 0.5 * float(moved @ moved) + 0.5 * float(violated @ violated) / penalty
            if reached <= value + 1e-4 * t * slope + 1e-15 * abs(value):
                break
            t *= 0.4
        else:
            break
        w, f, pull = moved, following, next_pull
    return w


def _direction(
    part: WorkingSet,
    held: IntArray,
    w: FloatArray,
    weights: FloatArray,
    penalty: float,
    gradient: FloatArray,
    goal: float,
) -> FloatArray | None:
    """Return a descent direction: truncated, preconditioned conjugate gradients on ``H s = -g``.

    None where ``√(gᵀ (I + μ JᵀJ)^{-1} g)`` is at most ``goal``: in this norm a gradient that the
    multipliers will answer counts for little.
    """
    from scipy.linalg import cho_factor, cho_solve

    active = part.narrowed(held)
    rows, own = active.jacobian(w), weights[held]
    gram = rows @ rows.T
    gram[np.diag_indices_from(gram)] += 1.0 / penalty
    factor = cho_factor(gram, lower=True)
    reach = 1e-5 * float(np.linalg.norm(w))

    def smooth(v: FloatArray) -> FloatArray:
        return np.asarray(v - rows.T @ cho_solve(factor, rows @ v))

    def curved(v: FloatArray) -> FloatArray:
        t = reach / max(float(np.linalg.norm(v)), 1e-300)
        change = active.recorded(w + t * v)[1](own) - active.recorded(w - t * v)[1](own)
        return np.asarray(v + penalty * (rows.T @ (rows @ v)) - change / (2.0 * t))

    step = np.zeros_like(w)
    residual = -gradient
    z = smooth(residual)
    direction = z
    energy = float(residual @ z)
    if not energy > goal * goal:
        return None
    relative = min(0.1, (energy / float(w @ w)) ** 0.25)
    goal = max(0.3 * goal, relative * float(np.sqrt(energy)))
    for _ in range(_CONJUGATE):
        product = curved(direction)
        bend = float(direction @ product)
        if bend <= 1e-12 * float(direction @ direction):
            if np.any(step):
                return step
            return direction * (0.2 * float(np.linalg.norm(w) / np.linalg.norm(direction)))
        t = energy / bend
        step = step + t * direction
        residual = residual - t * product
        z = smooth(residual)
        following = float(residual @ z)
        if not following > goal * goal:
            break
        direction = z + (following / energy) * direction
        energy = following
    return step
