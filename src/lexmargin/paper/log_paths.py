"""The log predictors of Examples 2 and 3, with ρ given by its logarithm."""

from __future__ import annotations

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.formulations import ConstrainedPath, HardMargin
from lexmargin.ops.base import FloatArray
from lexmargin.paper.instances import rows
from lexmargin.predictors import Linear, Log
from lexmargin.solution import Solution
from lexmargin.solve import solve

__all__ = ["STARTS", "TOY", "constrained", "max_margin", "ratio", "smallest"]

TOY = rows(((1.0, 0.0), (0.0, 0.125)))
"""Z of Examples 2 and 3: the max-margin direction is (1, 8)/√65."""
STARTS = ((1.5, 12.0), (5.0, 40.0))
"""Corners of the box of random starts of the toy, where both z_n·θ exceed 1."""


def constrained(data: Dataset, power: float, log_rho: float) -> Solution:
    """Minimise `L(ρθ)` (eq. 5) for `f_n = log^power(ρ θ·z_n)`; ρ itself may exceed all doubles."""
    # A search may try points outside the domain; their log is NaN and they are refused.
    with np.errstate(invalid="ignore"):
        return solve(ConstrainedPath(Log(power, shift=log_rho), data, rho=1.0))


def max_margin(data: Dataset) -> Solution:
    """Maximise the smallest θ·z_n: the log is increasing, so that its direction is the same."""
    return solve(HardMargin(Linear(), data))


def smallest(data: Dataset, direction: FloatArray) -> float:
    """Return `min_n θ·z_n` of a unit direction."""
    return float(np.min((data.X @ direction) * data.y))


def ratio(direction: FloatArray) -> float:
    """Return θ_2/θ_1, 8 at the max-margin direction of the toy."""
    return float(np.asarray(direction)[1] / np.asarray(direction)[0])
