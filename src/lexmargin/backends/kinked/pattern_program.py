"""Programs of :mod:`~lexmargin.backends.kinked.pattern_search`: pieces held, and a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.backends.kinked.gated import GatedNetwork, Pieces
from lexmargin.linalg.guarded import (
    cholesky_factor,
    solved_triangle,
    spectrum,
)
from lexmargin.linalg.least_distance import least_distance
from lexmargin.ops.base import FloatArray, IntArray

__all__ = ["Held", "QuadraticModel", "corrected", "distinct", "unseen"]

_NEGATIVE = 1e-6
"""Eigenvalues above -1e-6 (the cost has 1) are rounding: a step along them lowers nothing."""
_SPECTRAL = 300
"""Parameters up to which an indefinite model is turned by its spectrum; above, by cheaper
shifts."""
_FARTHEST = 1e-12
"""Steps beyond 1e6 times what the constraints ask for are none: the pieces contradict each other.
"""


@final
@dataclass(frozen=True, eq=False)
class Held:
    """Pieces (margin function and gates) with their multipliers."""

    rows: IntArray
    gates: tuple[FloatArray, ...]
    multipliers: FloatArray

    def some(self, chosen: IntArray | NDArray[np.bool_]) -> Held:
        return Held(
            self.rows[chosen], tuple(g[chosen] for g in self.gates), self.multipliers[chosen]
        )

    def joined(self, other: Held) -> Held:
        return Held(
            np.concatenate([self.rows, other.rows]),
            tuple(np.vstack([a, b]) for a, b in zip(self.gates, other.gates, strict=True)),
            np.concatenate([self.multipliers, other.multipliers]),
        )


@final
class QuadraticModel:
    """``½ dᵀBd + θ·d`` with B positive definite: the Hessian, and squares of the held rows."""

    def __init__(self, hessian: FloatArray, pieces: Pieces, program: Held, shift: float) -> None:
        active = np.flatnonzero(program.multipliers > 0.0)
        rows = pieces.rows[active]
        self._target = 1.0 - pieces.values[active]
        # Active rows hold as equations, so that their squares change no answer (Hestenes 1969).
        size = float(np.mean(np.einsum("pd,pd->p", rows, rows))) if active.size else 1.0
        self._weight = 10.0 / size if size > 0.0 else 0.0
        self._rows = rows
        curved = hessian + self._weight * (rows.T @ rows)
        self.downhill: FloatArray | None = None
        self._lower: FloatArray | None = None
        while True:
            shifted = curved.copy()
            shifted[np.diag_indices_from(curved)] += shift
            try:
                lower = cholesky_factor(shifted)
                if float(np.diag(lower).min()) > 1e-4:
                    self._lower = lower
                    return
            except np.linalg.LinAlgError:
                pass
            if curved.shape[0] <= _SPECTRAL:
                break
            shift = max(3.0 * shift, 1e-2)
        # Negative curvature counts by its size: steps lead away from saddles, not towards them.
        values, vectors = spectrum(curved)
        if values[0] < -_NEGATIVE:
            self.downhill = vectors[:, 0]
        self._root = vectors / np.sqrt(np.maximum(np.abs(values), 1e-3) + shift)

    def _turned(self, right: FloatArray) -> FloatArray:
        if self._lower is not None:
            return solved_triangle(self._lower, right, lower=True)
        return np.asarray(self._root.T @ right)

    def _back(self, u: FloatArray) -> FloatArray:
        if self._lower is not None:
            return solved_triangle(self._lower, u, lower=True, transposed=True)
        return np.asarray(self._root @ u)

    def solve(self, theta: FloatArray, pieces: Pieces) -> tuple[FloatArray, FloatArray] | None:
        """Return d and μ of ``min ½ dᵀBd + c·d s.t. f^p + ∇f^p·d >= 1``."""
        linear = theta - self._weight * (self._target @ self._rows)
        # u = Lᵀd + L⁻¹c, B = LLᵀ, makes it a least distance of 0.
        base, turned = self._turned(linear), self._turned(pieces.rows.T)
        try:
            found = least_distance(turned.T, 1.0 - pieces.values + base @ turned, _FARTHEST)
        except RuntimeError:
            return None
        return None if found is None else (self._back(turned @ found - base), found)


def corrected(net: GatedNetwork, moved: FloatArray, program: Held) -> FloatArray | None:
    """Return the least move that undoes the curvature of the active pieces along a step."""
    active = program.some(program.multipliers > 0.0)
    if not active.rows.size:
        return None
    pieces = net.pieces(moved, active.rows, active.gates)
    gram = pieces.rows @ pieces.rows.T
    gram[np.diag_indices_from(gram)] += 1e-10 * float(np.trace(gram))
    try:
        return np.asarray(pieces.rows.T @ np.linalg.solve(gram, 1.0 - pieces.values))
    except np.linalg.LinAlgError:
        return None


def _keys(held: Held) -> list[bytes]:
    table = np.hstack([held.rows[:, None].astype(float), *held.gates])
    return [row.tobytes() for row in table]


def distinct(held: Held) -> Held:
    """Return the pieces without repetitions; multipliers of equal ones are added."""
    place: dict[bytes, int] = {}
    owner = np.array([place.setdefault(key, len(place)) for key in _keys(held)], dtype=np.int64)
    total = np.zeros(len(place))
    np.add.at(total, owner, held.multipliers)
    _, first = np.unique(owner, return_index=True)
    return replace(held.some(first), multipliers=total)


def unseen(candidates: Held, known: Held) -> Held:
    have = set(_keys(known))
    fresh = [k for k, key in enumerate(_keys(candidates)) if key not in have]
    return candidates.some(np.array(fresh, dtype=np.int64))
