"""References of nonconvex answers that are convex in what the network computes.

A diagonal net of depth 2 computes ``β = u∘v``, and the least ``‖(u, v)‖_p^p`` of a β is
``2 Σ |β_i|^{p/2}``; a bias ``s = b|b|`` costs ``|s|^{p/2}``. For p ≥ 2 all this is convex in the
parts, and weak duality with weights λ bounds every margin and every loss, whatever was solved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from scipy.optimize import minimize_scalar

from instances_problems import Instance
from instances_samples import Array

__all__ = ["Separable", "separable", "separable_gap"]

_STEPS: Final = 200
_OF_BIAS: Final = "linear and signed-square bias"
_KINDS: Final = ("diagonal 2", "linear and diagonal 2", _OF_BIAS)
_SCALED: Final = ("spread", "times", "shifted")
"""Kinds of data whose weights need more digits than a double has."""


@final
@dataclass(frozen=True)
class Separable:
    """``Σ_i c_i |β_i|^{r_i} = size`` of an answer, and f = rows·β; boxes where p is ∞."""

    rows: Array
    beta: Array
    costs: Array
    powers: Array
    size: float
    boxes: Array | None = None

    def support(self, g: Array, size: float) -> float:
        """Return an upper bound on ``g·β`` over ``Σ c_i |β_i|^{r_i} ≤ size``, or over the boxes."""
        g = np.abs(g)
        if self.boxes is not None:
            return float(g @ self.boxes)
        flat, bent = self.powers == 1.0, (self.powers > 1.0) & (g > 0.0)
        least = float(np.max(g[flat] / self.costs[flat], initial=0.0))
        if not np.any(bent):
            return least * size
        c, r, pull = self.costs[bent], self.powers[bent], g[bent]

        def bound(log_eta: float) -> float:
            """Lagrange's dual at η = least + e^x: any x is a bound."""
            eta = least + math.exp(log_eta)
            beta = (pull / (eta * c * r)) ** (1.0 / (r - 1.0))
            return eta * size + float(np.sum((1.0 - 1.0 / r) * pull * beta))

        places = math.log(float(np.max(pull))) + np.linspace(-60.0, 60.0, _STEPS)
        grid = [bound(x) for x in places]
        at = float(places[int(np.argmin(grid))])
        found = minimize_scalar(
            bound, bounds=(at - 1.0, at + 1.0), method="bounded", options={"xatol": 1e-12}
        )
        return min(*grid, float(found.fun))


def separable(case: Instance, theta: list[Array]) -> Separable | None:
    """Return an answer in its convex parts; None where the norm or the predictor has none."""
    p = case.norm
    if p < 2.0 or case.predictor not in _KINDS:
        return None
    Z, scale = case.y[:, None] * case.X, getattr(case.problem, "rho", 1.0)
    blocks = [scale * np.asarray(b, dtype=float) for b in theta]
    # What a part of degree 1 and one of degree 2 weigh in eq. 14.
    gamma = case.problem.gamma if case.formulation == "scaled-margin" else 1.0
    whole = case.predictor == "diagonal 2"
    one, two = gamma**2, gamma
    parts = [] if whole else [(Z, blocks[0], one, p)]
    if case.predictor == _OF_BIAS:
        b = blocks[1]
        parts.append((case.y[:, None], b * np.abs(b), two, p / 2.0))
    else:
        parts.append((Z, blocks[-2] * blocks[-1], 2.0 * two, p / 2.0))
    sizes = [part[0].shape[1] for part in parts]
    costs, powers = (np.repeat([part[k] for part in parts], sizes) for k in (2, 3))
    rows, beta = np.hstack([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    if math.isinf(p):
        top = max(float(np.max(np.abs(b))) for b in blocks)
        boxes = np.repeat([top**2] if whole else [top, top**2], sizes)
        return Separable(rows, beta, costs, powers, top, boxes)
    weights = [one] * (not whole) + [two] * (len(blocks) - (not whole))
    size = sum(w * float(np.sum(np.abs(b) ** p)) for w, b in zip(weights, blocks, strict=True))
    return Separable(rows, beta, costs, powers, size)


def separable_gap(case: Instance, solution: Any) -> float:
    """Return how far an answer is from the best, by its own weights; NaN where they are no proof.

    Margins: ``1 - γ/B(Σ λ_n z_n)``. Losses: in nats of log L, ``log L - H(s) + B(Σ s_n z_n)``.
    """
    found = None
    if case.formulation not in ("w-set", "lexicographic", "regularization-path"):
        found = separable(case, solution.theta)
    if found is None or any(word in case.data for word in _SCALED):
        return math.nan
    values = found.rows @ found.beta
    if case.formulation == "constrained-path":
        if found.boxes is not None:
            return math.nan
        size = case.problem.rho**case.norm
        if str(case.problem.loss) == "exponential":
            share = np.exp(-(values - values.min()))
            level = math.log(float(np.sum(share))) - float(values.min())
            share = share / np.sum(share)
            return level - _entropy(share) + found.support(share @ found.rows, size)
        share = 1.0 / (1.0 + np.exp(values))
        loss = float(np.sum(np.logaddexp(0.0, -values)))
        below = _entropy(share) + _entropy(1.0 - share) - found.support(share @ found.rows, size)
        return math.log(loss / below) if below > 0.0 else math.inf
    weights = np.maximum(solution.certificate.multipliers, 0.0)
    if not np.sum(weights) > 0.0:
        return math.nan
    share = weights / np.sum(weights)
    return 1.0 - float(values.min()) / found.support(share @ found.rows, found.size)


def _entropy(share: Array) -> float:
    used = share[share > 0.0]
    return -float(np.sum(used * np.log(used)))
