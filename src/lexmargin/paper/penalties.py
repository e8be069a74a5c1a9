"""The constrained path beside the regularization path whose penalty is as strong as its ball."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from lexmargin.formulations import ConstrainedPath, RegularizationPath
from lexmargin.linalg.norms import vector_norm
from lexmargin.losses import log_sum_exp
from lexmargin.paper.evidence import Backing
from lexmargin.paper.instances import Instance
from lexmargin.paper.statement import Check
from lexmargin.solve import solve

__all__ = ["compared"]

_SAME: Final = 1e-5
"""Relative, of two minimisers whose losses are certified to the square of that."""


def compared(instance: Instance, grid: tuple[float, ...], penalty_norm: float = 2.0) -> Check:
    """Solve eq. 5 at ρ, take the strength its KKT conditions give, and solve §2.2 with that.

    At `w = ρθ_c` the multiplier of the ball is `2μρ² = -∇L(w)·w = α Σ f_n e^{-f_n}`: w is
    stationary for `L + μ‖θ‖²`, and the question is whether it is the minimiser.
    """
    certificates, apart = [], []
    for rho in grid:
        problem = ConstrainedPath(instance.predictor, instance.data, rho=rho)
        path = solve(problem)
        w = rho * np.concatenate([block.reshape(-1) for block in path.theta])
        f = problem.functions.values(w)
        degree = problem.functions.homogeneity.degree or math.nan
        strength = math.exp(
            math.log(degree / 2.0) + log_sum_exp(np.log(f) - f) - 2.0 * math.log(rho)
        )
        other = solve(
            RegularizationPath(instance.predictor, instance.data, strength=strength,
                               norm=penalty_norm), starts=4,
        )  # fmt: skip
        found = np.concatenate([block.reshape(-1) for block in other.theta])
        # Signs of hidden units make further minimisers of the same network.
        apart.append(float(vector_norm(np.abs(found) - np.abs(w), 2.0)) / rho)
        certificates += [path.certificate, other.certificate]
    return Backing.of(certificates).small(
        instance.name, f"largest ‖w_c - w_r‖/ρ at {len(grid)} values of ρ from {grid[0]:g}",
        max(apart), _SAME,
    )  # fmt: skip
