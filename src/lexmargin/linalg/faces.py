"""Faces of the ℓ1 or ℓ∞ unit ball cut by linear equalities, as an affine parametrisation.

The optimal set of a linear max-margin problem in a polyhedral ball is such a face. It is written as
``x = point + basis s`` in coordinates where the ball is a box or a simplex: ``x = θ`` with
``-1 <= x <= 1`` for ℓ∞, and ``θ = p - q``, ``x = (p, q) >= 0``, ``Σ x = 1`` for ℓ1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np
import numpy.typing as npt

from lexmargin.errors import UnsupportedError
from lexmargin.linalg.guarded import pivoted_qr
from lexmargin.linalg.norms import Array

__all__ = ["RESOLUTION", "BoolArray", "Face", "Resolution", "null_space"]

BoolArray = npt.NDArray[np.bool_]


@final
@dataclass(frozen=True)
class Resolution:
    """What counts as equal in Definition 5; the one place of these numbers.

    The lexicographic answer is discontinuous in the data: samples whose margins differ by less than
    these tolerances are taken as tied. Margins are measured in units of the first margin γ*(1),
    absolutely; nothing is relative to a later level, whose value may be near to anything.

    Attributes:
        constant: a margin that moves less than this per unit of θ on a face is constant there.
        tie: levels closer than this are reported as one value.
        local_tie: the same for locally solved stages; a slack of ``slack`` at one level can buy its
            square root at the next when f_n is curved, so this one is coarse.
        multiplier: share of Σλ = 1 above which a multiplier of a simplex method is positive.
        interior_multiplier: the same for multipliers of any other method.
        exposed: share of the largest entry of a normal vector above which another is positive, for
            normals from multipliers of any method.
        rank: sine of the angle below which unit rows are dependent.
        slack: by how much earlier levels may be undercut in staged programs.
        vertex_slack: the same for linear programs.
    """

    constant: float = 1e-10
    tie: float = 1e-9
    local_tie: float = 1e-3
    multiplier: float = 1e-9
    interior_multiplier: float = 1e-6
    exposed: float = 1e-5
    rank: float = 1e-9
    slack: float = 1e-9
    vertex_slack: float = 1e-12


RESOLUTION = Resolution()


@final
@dataclass(frozen=True, eq=False)
class Face:
    """``{x = point + basis s}`` within the ball, with the margins ``rows @ x``.

    Attributes:
        norm: 1 or inf.
        rows: (N, q) margins in the coordinates x, q = 2d for ℓ1 and d for ℓ∞.
        point: (q,) a point of the face.
        free: (q,) coordinates not fixed at a bound of the ball.
        basis: (free, m) orthonormal; None stands for the whole ball.
    """

    norm: float
    rows: Array
    point: Array
    free: BoolArray
    basis: Array | None = None

    @classmethod
    def whole(cls, Z: Array, norm: float) -> Face:
        """Return the whole ball for margins ``θ·z_n``, Z (N, d).

        Raises :class:`~lexmargin.errors.UnsupportedError` unless the norm is 1 or inf.
        """
        if norm == np.inf:
            rows = Z
        elif norm == 1.0:
            rows = np.hstack([Z, -Z])
        else:
            raise UnsupportedError(
                f"The ball of norm {norm:g} has no flat faces to follow.",
                "Use norm 1 or inf here; for norms between, level 1 has one solution.",
            )
        size = rows.shape[1]
        point = np.zeros(size) if norm == np.inf else np.full(size, 1.0 / size)
        return cls(norm, rows, point, np.ones(size, dtype=bool))

    @property
    def dimension(self) -> int:
        """Dimension of the affine hull that is described; the face itself may be smaller."""
        if self.basis is not None:
            return int(self.basis.shape[1])
        return self.free.size - (1 if self.norm == 1.0 else 0)

    @property
    def lower(self) -> float:
        """Lower bound of every coordinate x."""
        return 0.0 if self.norm == 1.0 else -1.0

    def theta(self) -> Array:
        """Return the point as θ, (d,)."""
        if self.norm == np.inf:
            return self.point
        half = self.point.size // 2
        return self.point[:half] - self.point[half:]

    def values(self) -> Array:
        """Return the margins at the point, (N,)."""
        # θ and not x, so that equal margins of equal rows come out equal.
        half = self.rows.shape[1] // (2 if self.norm == 1.0 else 1)
        values: Array = self.rows[:, :half] @ self.theta()
        return values

    def slopes(self, samples: npt.NDArray[np.int64]) -> Array:
        """Return the margins of ``samples`` as linear functions of s, (samples, m)."""
        if self.basis is None:
            part: Array = self.rows[np.ix_(samples, self.free)]
            return part
        moves = np.zeros((self.free.size, self.basis.shape[1]))
        moves[self.free] = self.basis
        if self.norm == np.inf:
            return np.asarray(self.rows[samples] @ moves)
        # θ and not x: half the columns, and no copy of the free ones.
        half = self.free.size // 2
        return np.asarray(self.rows[samples, :half] @ (moves[:half] - moves[half:]))

    def at(self, point: Array) -> Face:
        """Return the same face with another point."""
        return replace(self, point=point)

    def exposed(self, normal: Array, tolerance: float) -> BoolArray:
        """Return the coordinates that a maximiser of ``normal·θ`` in the ball has at a bound.

        Every maximiser has ``θ_j = sign(normal_j)`` for ℓ∞ where ``normal_j ≠ 0``, and for ℓ1 no
        weight off ``argmax |normal_j|``; ``tolerance`` is relative to the largest entry.
        """
        size = float(np.max(np.abs(normal), initial=0.0))
        if self.norm == np.inf:
            return np.asarray(np.abs(normal) > tolerance * size)
        return np.asarray(np.concatenate([normal, -normal]) < (1.0 - tolerance) * size)

    def cut(self, equalities: Array, active: BoolArray, floor: float = 0.0) -> Face:
        """Return the face where ``equalities @ x`` and the ``active`` coordinates keep their value.

        Args:
            equalities: (k, q) rows in the coordinates x.
            active: (q,) coordinates that are at a bound from now on.
            floor: rows that move less than this per unit of s are constant already.
        """
        keep = self.free & ~active
        if self.basis is None:
            rows = equalities[:, keep]
            if self.norm == 1.0:
                rows = np.vstack([rows, np.ones((1, rows.shape[1]))])
            return replace(self, free=keep, basis=null_space(rows, floor))
        inner = active[self.free]
        rows = np.vstack([equalities[:, self.free] @ self.basis, self.basis[inner]])
        return replace(self, free=keep, basis=(self.basis @ null_space(rows, floor))[~inner])

    def constant(self, samples: npt.NDArray[np.int64], tolerance: float) -> BoolArray:
        """Say which of ``samples`` have one margin on the whole affine hull."""
        return np.asarray(np.linalg.norm(self.slopes(samples), axis=1) <= tolerance)


def null_space(rows: Array, floor: float = 0.0) -> Array:
    """Return an orthonormal basis of ``{s : rows s = 0}``, (m, m - rank), by pivoted QR.

    Rows are compared at unit length: a short row is as good an equality as a long one, unless its
    length is at most ``floor``.
    """
    size = rows.shape[1]
    lengths = np.linalg.norm(rows, axis=1)
    used = lengths > max(floor, 0.0)
    if size == 0 or not np.any(used):
        return np.eye(size)
    factor, triangle, _ = pivoted_qr((rows[used] / lengths[used, None]).T, economic=False)
    diagonal = np.abs(np.diagonal(triangle))
    rank = int(np.count_nonzero(diagonal > RESOLUTION.rank))
    return np.asarray(factor[:, rank:], dtype=np.float64)
