"""Quadratic programs in sequence: from a rough point of the hard margin down to a KKT point.

A step solves ``min w·p + ½ p·(B + τI) p  s.t.  f + J p >= 1`` on the samples near the margin, with
``B = I - Σ λ_n ∇²f_n + ρ J_Aᵀ J_A``: the last part changes nothing where A, the samples with a
weight, is held at 1. It moves back onto margins that bend, and is taken where ½‖w‖² at margin 1
falls as promised; τ makes steps as short as the model is good (Nocedal & Wright 2006, ch. 18).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.linalg import LinAlgError

from lexmargin.linalg.guarded import cholesky_factor, cholesky_solved, solved_triangle
from lexmargin.linalg.least_distance import least_distance
from lexmargin.linalg.rounding import TINY
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, IntArray
from lexmargin.polish.newton import EXACT

__all__ = ["Place", "descended", "small_hessian"]

_REACH = 1.5
"""Margins up to here may become active in one step: others are out of its reach."""
_FIRM = (1e1, 1e2, 1e3, 1e4)
"""ρ by ‖w‖² over the number of weights, the first that bends the cost upwards across them: nearly
dependent gradients need more."""
_STEEP, _FLAT, _TRIVIAL = 0.03, 1e-3, 1e-12
"""The first τ, by the 1 that ½‖w‖² bends with; the τ below which none is needed; and the share of
½‖w‖² whose fall rounding hides."""
_MOST = 1e6
"""τ at which nothing is left of a step."""
_GOOD, _POOR, _TAKEN = 0.7, 0.25, 1e-3
"""Shares of the promised fall: more shortens τ, less lengthens it, and a step needs the last."""
_BACK = 3
"""Moves back onto the margins: each squares the distance that is left."""
_PARAMETERS, _COLOURS = 250, 100
"""Parameters that are factored, and products of a Hessian: a step then takes some milliseconds."""
_DONE = 1e-13
"""Residual that rounding allows."""


@final
@dataclass(frozen=True, eq=False)
class Place:
    """A point w (d,) at margin 1, its f_n (N,), and weights λ (N,) >= 0."""

    w: FloatArray
    f: FloatArray
    multipliers: FloatArray

    @property
    def cost(self) -> float:
        """½‖w‖², infinite where w does not separate."""
        found = 0.5 * float(self.w @ self.w)
        return found if math.isfinite(found) else math.inf


def _place(functions: MarginFunctions, w: FloatArray, multipliers: FloatArray) -> Place:
    """Return the point at margin 1 on the ray of w; of infinite cost where there is none."""
    f, degree = functions.values(w), functions.homogeneity.degree
    margin = float(f.min())
    if degree is None or not margin > 0.0:
        return Place(np.full(w.size, math.inf), f, multipliers)
    scale = margin ** (-1.0 / degree)
    weights = multipliers * scale ** (2.0 - degree)
    return Place(scale * w, f / margin, np.where(weights > EXACT * weights.max(), weights, 0.0))


@final
class _Model:
    """The quadratic program at a point."""

    def __init__(self, functions: MarginFunctions, place: Place, known: IntArray) -> None:
        w, f, weights = place.w, place.f, place.multipliers
        rows = functions.jacobian(w)
        self.misfit = float(np.linalg.norm(w - weights @ rows) / np.linalg.norm(w))
        self.misfit = max(self.misfit, float((f - 1.0)[weights > 0.0].max(initial=0.0)))
        self.near = np.union1d(known, np.flatnonzero((f <= _REACH) | (weights > 0.0)))
        # No weight is 0: what is compiled for the same samples serves every step.
        some = np.zeros(f.size)
        some[self.near] = np.maximum(weights[self.near], TINY)
        self._w, self._short, self._rows = w, 1.0 - f[self.near], rows[self.near]
        self._hessian = np.eye(w.size) - functions.hessian_matrix(w, some)
        held = np.flatnonzero(weights)
        across, back = rows[held].T @ rows[held], (1.0 - f[held]) @ rows[held]
        share = float(w @ w) / max(1, held.size)
        self._factor: FloatArray | None = None
        for firm in _FIRM:
            self._bent = self._hessian + firm * share * across
            self._slope = w - firm * share * back
            try:
                self._factor = cholesky_factor(self._bent)
                break
            except LinAlgError:
                continue

    def step(self, tau: float) -> tuple[FloatArray, FloatArray] | None:
        """Return p (d,) and the weights of the near samples; None where τ is too small."""
        try:
            factor = self._factor
            if tau > 0.0 or factor is None:
                factor = cholesky_factor(self._bent + tau * np.eye(self._w.size))
            rows = solved_triangle(factor, self._rows.T, lower=True).T
            level = solved_triangle(factor, self._slope, lower=True)
            weights = least_distance(rows, self._short + rows @ level)
        except (LinAlgError, RuntimeError):
            return None
        if weights is None:
            return None
        return solved_triangle(factor, weights @ rows - level, lower=True, transposed=True), weights

    def promised(self, step: FloatArray) -> float:
        """Return how much ½‖w‖² falls along the margins, as the model sees it."""
        return -float(self._w @ step) - 0.5 * float(step @ self._hessian @ step)

    def back(self, weights: FloatArray) -> Callable[[FloatArray], FloatArray]:
        """Return what gives, of the f_n, the least move back to 1 of the samples with a weight."""
        held = weights > 0.0
        rows = self._rows[held]
        gram = rows @ rows.T
        # Equal samples make it singular.
        gram[np.diag_indices_from(gram)] += EXACT * float(np.trace(gram))
        factor = cholesky_factor(gram)
        return lambda f: cholesky_solved(factor, 1.0 - f[self.near][held]) @ rows


def small_hessian(functions: MarginFunctions) -> bool:
    """Tell whether a step costs no more than a round of any other method."""
    if functions.size > _PARAMETERS or functions.pre_activations(np.zeros(functions.size)):
        return False
    return functions.hessian_colours <= _COLOURS


def descended(
    functions: MarginFunctions,
    w: FloatArray,
    multipliers: FloatArray,
    steps: int,
    deadline: float = math.inf,
) -> Place:
    """Return the lowest point met: a KKT point at rounding level, or where the steps ended.

    Args:
        functions: smooth homogeneous margin functions, whose Hessian takes few products.
        w: (d,); where a margin is not positive, it comes back with infinite cost.
        multipliers: λ (N,) >= 0.
        steps: quadratic programs at most.
        deadline: of ``time.perf_counter()``.
    """
    place, tau = _place(functions, w, multipliers), 0.0
    if not math.isfinite(place.cost):
        return place
    model = _Model(functions, place, np.array([], dtype=np.intp))
    for _ in range(steps):
        if model.misfit <= _DONE or tau > _MOST or time.perf_counter() > deadline:
            break
        found = model.step(tau)
        if found is None:
            tau = max(4.0 * tau, _STEEP)
            continue
        step, weights = found
        whole = np.zeros(place.f.size)
        whole[model.near] = weights
        promised = model.promised(step)
        moved = place.w + step
        best, back = _place(functions, moved, whole), None
        for _ in range(_BACK):
            if place.cost - best.cost >= _GOOD * promised:
                break
            back = back or model.back(weights)
            moved = moved + back(functions.values(moved))
            best = min(best, _place(functions, moved, whole), key=lambda one: one.cost)
        fallen = place.cost - best.cost
        share = fallen / promised if promised > 0.0 else -1.0
        if abs(promised) <= _TRIVIAL * place.cost and fallen >= -_TRIVIAL * place.cost:
            share = 1.0
        if share <= _TAKEN:
            tau = max(4.0 * tau, _STEEP)
            continue
        if share > _GOOD:
            tau *= 0.25 if tau > _FLAT else 0.0
        elif share < _POOR:
            tau = max(2.0 * tau, 0.5 * _STEEP)
        model = _Model(functions, best, model.near)
        place = best
    return place
