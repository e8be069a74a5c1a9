"""The augmented Lagrangian of the hard margin: carries a rough point to where Newton's steps hold.

Iterates of gradient descent at a large norm zigzag: their angle to a KKT point is far above what
Newton's method forgives. This phase lowers one merit function and so stays in the valley it is in.
Multipliers concentrate on few samples, so that everything happens on a working set.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, final

import numpy as np

from lexmargin.linalg.differences import hessian_product
from lexmargin.linalg.guarded import cholesky_factor, cholesky_solved, minimised
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, IntArray
from lexmargin.ops.jacobian import JacobianOps

__all__ = ["Inner", "WorkingSet", "augmented_lagrangian", "in_order"]

_NEWTON = 40
"""Newton steps of one round at most; what it does not reach, the next round's does."""
_CHEAP = 100
"""L-BFGS steps of a first round; they grow where rounds are too short."""
_COARSE = 80
"""L-BFGS rounds at most: Newton's or the caller's judgement follows (judgement)."""
_LONGER = 1.1
"""Growth of those steps after a slow round: gentle, as a slow round may have another cause."""
_MOST_STEPS = 500.0
"""Where that growth ends: longer rounds belong to multipliers that are soon out of date."""
_NEAR = 0.3
"""Margins up to 1.3 are in the working set; fewer leave violations to the next pricing."""
_FINE = 1e-7
"""Violation at which L-BFGS gives way to Newton's steps, which it can hardly undercut."""
_STIFF = 20.0
"""Growth of μ up to which unfinished rounds raise it too: later they would only stiffen."""
_HOPELESS = 0.1
"""A start whose violation never fell by a tenth has samples that no unit sees."""
_CHANCE = 3
"""Rounds before that is said; a kick sooner would waste slow starts."""
_KICKS = 4
"""Random moves of such a start; after as many it is given up."""
_KICK = 0.3
"""Length of the move by ‖w‖: shorter leaves units dead, longer forgets the start."""
_NARROWED = 10
"""Rounds on all samples first: multipliers tell the support only after some."""
_LEAP = 2.0
"""Violation, by the margin, that counts as lost: μ was too small for the curvature."""
_QUIET = 12
"""Rounds without a better violation before μ doubles."""
_SETTLED = 0.05
"""Violation below which a point counts as near: smaller sets are safe, leaps are not normal."""
_SPENT = 1e-2
"""Violation after L-BFGS from which Newton's rounds would start too far away."""
_FEW_PARAMETERS = 20
"""Parameters up to which a dense Newton step is the cheapest of all."""
_MANY_PARAMETERS = 500
"""Parameters beyond which L-BFGS comes first however many samples there are."""
_FEW_SAMPLES = 2.5
"""Samples per parameter below which it comes first too: the Hessian is then flat."""
_ROUNDING = 1e-14
"""Relative decrease that the merit cannot show: some tens of roundings."""
_ARRIVED = 1e-10
"""Violation, in both senses, that ends it: the polish takes over from there."""
_MOST_STIFF = 1e8
"""Growth of μ at which it is given up: the merit has no digits left for ½‖w‖²."""
_CONJUGATE = 150
"""Products of one Newton step; a step cut short is still one of descent."""
_MEMORY = 20
"""Pairs that L-BFGS keeps: 10 to 50 do alike, and each costs two vectors."""


class Inner(Enum):
    """How the first rounds of the augmented Lagrangian are minimised; the last ones are Newton's.

    Measured on teachers of quadratic and relu² networks, 100 to 1000 parameters: Newton steps are 3
    to 20 times faster where samples outnumber parameters by far, and often stop short where they do
    not, in the company of negative curvature that L-BFGS walks around.
    """

    NEWTON = "Newton steps"
    LBFGS = "L-BFGS steps"


def in_order(functions: MarginFunctions) -> tuple[Inner, Inner]:
    """Return both kinds, first what the number of samples and of parameters asks for."""
    few = functions.count < _FEW_SAMPLES * functions.size
    if functions.size > _MANY_PARAMETERS or (functions.size > _FEW_PARAMETERS and few):
        return Inner.LBFGS, Inner.NEWTON
    return Inner.NEWTON, Inner.LBFGS


@final
class WorkingSet:
    """The margin functions of some samples, with their gradients, evaluated without the others.

    Args:
        functions: all margin functions.
        rows: indices of margin functions; with several classes all of them are kept.
    """

    def __init__(self, functions: MarginFunctions, rows: IntArray) -> None:
        self._functions = functions
        self.whole = functions.multi_class or rows.size == functions.count
        self.rows = np.arange(functions.count) if self.whole else np.asarray(rows)
        if not self.whole:
            self._features = np.ascontiguousarray(functions.features[self.rows])
            self._signs = functions.signs[self.rows]

    def _record(self, theta: FloatArray) -> tuple[list[Any], Any]:
        parameters = [JacobianOps.parameter(block) for block in self._functions.blocks(theta)]
        ops = JacobianOps()
        predictor = self._functions.predictor
        return parameters, predictor(ops, parameters, ops.constant(self._features))

    def value_and_vjp(
        self, theta: FloatArray
    ) -> tuple[FloatArray, Callable[[FloatArray], FloatArray]]:
        """Return ``f_n(θ)`` of the rows and the map ``weights -> Σ_n weights_n ∇f_n(θ)``."""
        if self.whole:
            return self._functions.value_and_vjp(theta)
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
        if self.whole:
            return self._functions.jacobian(theta)
        parameters, scores = self._record(theta)
        parts = JacobianOps.pull_back(scores, self._signs, parameters, reduce=False)
        return np.concatenate([part.reshape(self.rows.size, -1) for part in parts], axis=1)


def augmented_lagrangian(
    functions: MarginFunctions,
    w: FloatArray,
    multipliers: FloatArray,
    rounds: int = 30,
    penalty: float | None = None,
    deadline: float = np.inf,
    inner: Inner | None = None,
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield ``(w, λ)`` after every round of ``min ½‖w‖² s.t. f_n(w) >= 1`` (Hestenes; Powell 1969).

    A round minimises ``½‖w‖² + (μ/2) Σ max(0, 1 - f_n + λ_n/μ)²`` from the last w, then sets
    ``λ_n ← μ max(0, 1 - f_n + λ_n/μ)``; μ grows until violations fall by ten a round.
    Newton's steps see only the samples that fall short; every step prices all others.

    Args:
        functions: the f_n.
        w: (d,) a start near margin 1.
        multipliers: (N,) >= 0, the first λ.
        rounds: the most rounds.
        penalty: the first μ; read off the number of multipliers if None, which stays nearby.
        deadline: of ``time.perf_counter()``.
        inner: the steps of the first rounds; :func:`in_order`'s first choice if None.
    """
    lam = np.asarray(multipliers, dtype=np.float64)
    violation = worst = np.inf
    part = WorkingSet(functions, np.arange(functions.count))
    if penalty is None:
        # λ is about ‖w‖²/(α|S|): the first round may fall short by a tenth of the margin.
        penalty = 5.0 * float(w @ w) / max(1, int(np.count_nonzero(lam)))
    first, accuracy = penalty, 1e-2
    if (inner or in_order(functions)[0]) is Inner.LBFGS:
        for coarse in _coarse_rounds(functions, w, lam, penalty, deadline):
            w, lam, worst = coarse
            yield w, lam
            if worst <= _ARRIVED or time.perf_counter() > deadline:
                return
            accuracy = max(1e-13, min(accuracy, 0.1 * worst))
        if worst > _SPENT:
            return
    for _ in range(rounds):
        w, arrived = _minimised(part, w, lam, penalty, accuracy, deadline)
        f = functions.values(w)
        if not np.all(np.isfinite(f)):
            return
        worst = float(np.abs(np.minimum(f - 1.0, lam / penalty)).max())
        lam = np.maximum(0.0, penalty * (1.0 - f) + lam)
        yield w, lam
        if worst <= _ARRIVED or time.perf_counter() > deadline:
            return
        if worst > 0.1 * violation and (arrived or penalty < _STIFF * first):
            penalty *= 4.0
        if penalty > _MOST_STIFF * first:
            return
        accuracy = max(1e-13, min(0.1 * accuracy, 0.1 * worst))
        violation = worst


def _coarse_rounds(
    functions: MarginFunctions, w: FloatArray, lam: FloatArray, penalty: float, deadline: float
) -> Iterator[tuple[FloatArray, FloatArray, float]]:
    """Yield ``(w, λ, violation)`` after rounds of L-BFGS steps.

    They see the samples near the margin or with a multiplier; all are priced in between. Where
    violations stop falling, rounds are too short for the merit, and grow; where they leap, or never
    fall far, μ is too small for the curvature of the f_n, and the best point comes back with twice
    of it.
    """
    everyone = WorkingSet(functions, np.arange(functions.count))
    part, best = everyone, (w, lam)
    least, steps, kicks, quiet = np.inf, float(_CHEAP), 0, 0
    for count in range(1, _COARSE + 1):
        w = _approached(part, w, lam[part.rows], penalty, int(steps))
        f = functions.values(w)
        if not np.all(np.isfinite(f)):
            return
        worst = float(np.abs(np.minimum(f - 1.0, lam / penalty)).max())
        lam = np.maximum(0.0, penalty * (1.0 - f) + lam)
        yield w, lam, worst
        if worst <= _FINE:
            return
        if count % _CHANCE == 0 and least >= 1.0 - _HOPELESS:
            if kicks == _KICKS:
                return
            kicks, steps, quiet = kicks + 1, float(_CHEAP), 0
            w, lam = _kicked(w, kicks), np.zeros_like(lam)
            continue
        slow = worst > 0.7 * least
        if worst < least:
            least, best, quiet = worst, (w, lam), 0
        else:
            quiet += 1
        if worst > _LEAP if least < _SETTLED else quiet == _QUIET:
            penalty, (w, lam), part, quiet = 2.0 * penalty, best, everyone, 0
            continue
        if slow:
            steps = min(_LONGER * steps, _MOST_STEPS)
        if count >= _NARROWED and least < _SETTLED:
            part = WorkingSet(functions, np.flatnonzero((f <= 1.0 + _NEAR) | (lam > 0.0)))


def _kicked(w: FloatArray, seed: int) -> FloatArray:
    """Return w after a random move: a sample that no unit sees has no gradient to be seen by."""
    move = np.random.default_rng(seed).standard_normal(w.size)
    return w + _KICK * float(np.linalg.norm(w) / np.linalg.norm(move)) * move


def _approached(
    part: WorkingSet, w: FloatArray, lam: FloatArray, penalty: float, steps: int
) -> FloatArray:
    """Return a point of a lower merit by L-BFGS, whose steps are cheap while they must be short."""

    def merit(x: FloatArray) -> tuple[float, FloatArray]:
        f, pull = part.value_and_vjp(x)
        weights = np.maximum(0.0, penalty * (1.0 - f) + lam)
        return 0.5 * float(x @ x) + 0.5 * float(weights @ weights) / penalty, x - pull(weights)

    options = {"maxiter": steps, "maxcor": _MEMORY, "ftol": 1e-15, "gtol": 0.0}
    found = np.asarray(minimised(merit, w, jac=True, method="L-BFGS-B", options=options).x)
    return found if np.all(np.isfinite(found)) else w


def _minimised(
    part: WorkingSet,
    w: FloatArray,
    lam: FloatArray,
    penalty: float,
    accuracy: float,
    deadline: float,
) -> tuple[FloatArray, bool]:
    """Return where the gradient of a round's merit is about ``accuracy ‖w‖``, and whether it is.

    Newton steps are those of Steihaug (1983): conjugate gradients inside a trust region,
    preconditioned by ``(I + μ JᵀJ)^{-1}`` of the violated rows; curvature of f_n is a difference
    of gradients.
    """
    radius = 0.1 * float(np.linalg.norm(w))
    f, pull = part.value_and_vjp(w)
    fresh = True
    model: _Model | None = None
    for _ in range(_NEWTON):
        weights = np.maximum(0.0, penalty * (1.0 - f) + lam)
        if fresh or model is None:
            value = 0.5 * float(w @ w) + 0.5 * float(weights @ weights) / penalty
            model = _Model(part, w, weights, penalty, w - pull(weights))
        step = model.step(radius, accuracy * float(np.linalg.norm(w)))
        if step is None:
            return w, True
        if time.perf_counter() > deadline:
            break
        length = float(np.linalg.norm(step))
        moved, following, next_pull, reached = _priced(part, w + step, lam, penalty)
        # Margins bend: one step back towards them keeps long steps along them (a second-order
        # correction, as in sequential quadratic programming).
        bent = model.corrected(step, following - f)
        if bent is not None:
            other = _priced(part, moved + bent, lam, penalty)
            if other[3] < reached:
                moved, following, next_pull, reached = other
        predicted = model.decrease(step)
        ratio = (value - reached) / predicted if predicted > 0.0 else 0.0
        if predicted <= _ROUNDING * abs(value):
            # The merit cannot tell such a step from none; Newton's method takes it and ends.
            return (moved if reached <= value * (1.0 + _ROUNDING) else w), True
        if ratio < 0.25:
            radius = 0.4 * length
        elif ratio > 0.9 and length > 0.9 * radius:
            radius = min(2.0 * radius, float(np.linalg.norm(w)))
        fresh = ratio > 1e-4
        if fresh:
            w, f, pull = moved, following, next_pull
        elif radius <= 1e-14 * float(np.linalg.norm(w)):
            break
    return w, False


def _priced(
    part: WorkingSet, w: FloatArray, lam: FloatArray, penalty: float
) -> tuple[FloatArray, FloatArray, Callable[[FloatArray], FloatArray], float]:
    """Return w, the f_n, their pull, and the merit of a round."""
    f, pull = part.value_and_vjp(w)
    weights = np.maximum(0.0, penalty * (1.0 - f) + lam)
    return w, f, pull, 0.5 * float(w @ w) + 0.5 * float(weights @ weights) / penalty


@final
class _Model:
    """The quadratic model of a round's merit at w, and its preconditioner."""

    def __init__(
        self,
        part: WorkingSet,
        w: FloatArray,
        weights: FloatArray,
        penalty: float,
        gradient: FloatArray,
    ) -> None:
        self._held = held = np.flatnonzero(weights > 0.0)
        self._active = part.narrowed(held) if held.size else None
        self._w, self._penalty, self._gradient = w, penalty, gradient
        self._weights = (
            weights if self._active is not None and self._active.whole else weights[held]
        )
        if self._active is None:
            return
        rows = self._active.jacobian(w)
        self._rows = rows[held] if self._active.whole else rows
        gram = self._rows @ self._rows.T
        # A floor above rounding: a preconditioner need not be exact, but positive.
        floor = 1e-13 * float(np.trace(gram))
        gram[np.diag_indices_from(gram)] += 1.0 / penalty + floor
        self._factor = cholesky_factor(gram)

    def _smooth(self, v: FloatArray) -> FloatArray:
        if self._active is None:
            return v
        return np.asarray(v - self._rows.T @ cholesky_solved(self._factor, self._rows @ v))

    def curved(self, v: FloatArray) -> FloatArray:
        """Return the Hessian times v."""
        active = self._active
        if active is None:
            return v

        def gradient(x: FloatArray) -> FloatArray:
            return active.value_and_vjp(x)[1](self._weights)

        penalised = self._penalty * (self._rows.T @ (self._rows @ v))
        return np.asarray(v + penalised - hessian_product(gradient, self._w, v))

    def decrease(self, step: FloatArray) -> float:
        """Return what the model promises of a step."""
        return -float(self._gradient @ step) - 0.5 * float(step @ self.curved(step))

    def corrected(self, step: FloatArray, change: FloatArray) -> FloatArray | None:
        """Return the least move that undoes the curvature of the held f_n along a step."""
        if self._active is None:
            return None
        bend = change[self._held] - self._rows @ step
        return np.asarray(-self._rows.T @ cholesky_solved(self._factor, bend))

    def step(self, radius: float, goal: float) -> FloatArray | None:
        """Return a step of at most ``radius``.

        None where ``√(gᵀ (I + μ JᵀJ)^{-1} g)`` is at most ``goal``: in this norm a gradient that
        the multipliers will answer counts for little.
        """
        step = np.zeros_like(self._w)
        residual = -self._gradient
        z = self._smooth(residual)
        direction = z
        energy = float(residual @ z)
        if not energy > goal * goal:
            return None
        relative = min(0.1, (energy / float(self._w @ self._w)) ** 0.25)
        goal = max(0.3 * goal, relative * float(np.sqrt(energy)))
        for _ in range(_CONJUGATE):
            product = self.curved(direction)
            bend = float(direction @ product)
            t = energy / bend if bend > 0.0 else np.inf
            if bend <= 0.0 or float(np.linalg.norm(step + t * direction)) >= radius:
                return step + _to_boundary(step, direction, radius) * direction
            step = step + t * direction
            residual = residual - t * product
            z = self._smooth(residual)
            following = float(residual @ z)
            if not following > goal * goal:
                break
            direction = z + (following / energy) * direction
            energy = following
        return step


def _to_boundary(step: FloatArray, direction: FloatArray, radius: float) -> float:
    """Return t >= 0 with ``‖step + t direction‖ = radius``."""
    a = float(direction @ direction)
    b = float(step @ direction)
    c = float(step @ step) - radius * radius
    root = float(np.sqrt(max(0.0, b * b - a * c)))
    return -c / (b + root) if b > 0.0 else (root - b) / a
