"""The augmented Lagrangian of the hard margin: carries a rough point to where Newton's steps hold.

Iterates of gradient descent at a large norm zigzag: their angle to a KKT point is far above what
Newton's method forgives. This phase lowers one merit function and so stays in the valley it is in.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray

__all__ = ["augmented_lagrangian"]

_INNER = 1000


def augmented_lagrangian(
    functions: MarginFunctions, w: FloatArray, multipliers: FloatArray, rounds: int = 12
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield ``(w, λ)`` after every round of ``min ½‖w‖² s.t. f_n(w) >= 1`` (Hestenes; Powell 1969).

    A round minimises ``½‖w‖² + (μ/2) Σ max(0, 1 - f_n + λ_n/μ)²`` by L-BFGS from the last w, then
    sets ``λ_n ← μ max(0, 1 - f_n + λ_n/μ)``; μ triples where the violation did not fall by four.

    Args:
        functions: the f_n.
        w: (d,) a start near margin 1.
        multipliers: (N,) >= 0, the first λ.
        rounds: the most rounds.
    """
    from scipy.optimize import minimize

    penalty = float(w @ w)
    lam = multipliers
    violation = np.inf
    for k in range(rounds):

        def merit(
            x: FloatArray, lam: FloatArray = lam, penalty: float = penalty
        ) -> tuple[float, FloatArray]:
            f, pull = functions.recorded(x)
            weights = np.maximum(0.0, penalty * (1.0 - f) + lam)
            value = 0.5 * float(x @ x) + 0.5 * float(weights @ weights) / penalty
            return value, x - pull(weights)

        size = float(np.linalg.norm(w))
        options = {"maxiter": _INNER, "gtol": max(1e-9, 1e-2 * 0.3**k) * size, "ftol": 0.0}
        found = minimize(merit, w, jac=True, method="L-BFGS-B", options=options)
        if not np.all(np.isfinite(found.x)):
            return
        w = np.asarray(found.x, dtype=np.float64)
        f = functions.values(w)
        worst = float(np.abs(np.minimum(f - 1.0, lam / penalty)).max())
        lam = np.maximum(0.0, penalty * (1.0 - f) + lam)
        yield w, lam
        if worst > 0.25 * violation:
            penalty *= 3.0
        violation = worst
