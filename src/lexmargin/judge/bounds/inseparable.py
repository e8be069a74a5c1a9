"""Proof that no network of one hidden ReLU layer separates the samples, whatever its weights.

With the sign of the outer weight and the active samples of every unit held, the margins are linear
in the inner weights, and Gordan's alternative decides exactly. There are finitely many cases.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.formulations.base import Formulation
from lexmargin.inputs.limits import INSEPARABLE_CASES, INSEPARABLE_CELLS
from lexmargin.linalg.norms import Array
from lexmargin.predictors.networks import fully_connected
from lexmargin.separation.gordan import separability_of_rows

__all__ = ["InseparableNetwork", "prove_inseparable"]


Signs = NDArray[np.float64]


@final
@dataclass(frozen=True)
class InseparableNetwork:
    """How many activation patterns and combinations of units were refuted, each exactly."""

    cells: int
    cases: int

    def __str__(self) -> str:
        return (
            f"a Gordan vector in exact arithmetic for each of the {self.cases} combinations of "
            f"units with {self.cells} activation patterns"
        )


def prove_inseparable(problem: Formulation) -> InseparableNetwork | None:
    """Return a proof that ``min_n f_n(θ) <= 0`` for all θ; None where there is none, or no proof.

    For networks ``Σ_k v_k σ(u_k·x)`` of one hidden layer, σ a ReLU or leaky ReLU of power 1, with
    two classes. On a cell of u, where the signs of all ``u·x_n`` are known, the unit is the linear
    function ``sign(v) D u`` of ``|v| u``; two units of one cell and sign are one. Cells with an
    interior suffice: a separating network stays one when it moves a little.
    """
    functions, network = problem.functions, fully_connected(problem.predictor)
    if network is None or len(network.widths) != 1 or functions.multi_class:
        return None
    slope = network.kink_slope
    if slope is None:
        return None
    X, y = problem.data.X, np.asarray(problem.data.signed, dtype=np.float64)
    cells = _cells(X)
    if cells is None:
        return None
    kinds = [(sign, cell) for cell in cells for sign in (1.0, -1.0)]
    width = min(network.widths[0], len(kinds))
    cases = math.comb(len(kinds), width)
    if cases > INSEPARABLE_CASES:
        return None
    for chosen in itertools.combinations(kinds, width):
        if separability_of_rows(_rows(X, y, chosen, slope)).separable:
            return None
    return InseparableNetwork(len(cells), cases)


def _cells(X: Array) -> list[Signs] | None:
    """Return the signs of ``X u`` of all cells with an interior, 1 where x_n = 0; or None."""
    partial: list[Signs] = [np.zeros(0)]
    for n in range(X.shape[0]):
        if not np.any(X[n]):
            partial = [np.append(signs, 1.0) for signs in partial]
            continue
        live = [i for i in range(n + 1) if np.any(X[i])]
        longer = [np.append(signs, s) for signs in partial for s in (1.0, -1.0)]
        partial = [s for s in longer if separability_of_rows(s[live, None] * X[live]).separable]
        if len(partial) > INSEPARABLE_CELLS:
            return None
    return partial


def _rows(X: Array, y: Array, chosen: tuple[tuple[float, Signs], ...], slope: float) -> Array:
    """Return the rows that must all be positive: N margins, then the cells, in ``|v_k| u_k``."""
    margins = np.hstack(
        [(y * sign * np.where(cell > 0.0, 1.0, slope))[:, None] * X for sign, cell in chosen]
    )
    live = np.flatnonzero(np.any(X != 0.0, axis=1))
    size = X.shape[1]
    inside = np.zeros((live.size * len(chosen), size * len(chosen)))
    for k, (_, cell) in enumerate(chosen):
        rows = slice(k * live.size, (k + 1) * live.size)
        inside[rows, k * size : (k + 1) * size] = cell[live, None] * X[live]
    return np.vstack([margins, inside])
