"""Variables of Newton's steps: w itself, or the gradient z of ``h = ½‖·‖²`` at w.

With the conjugate ``h* = ½‖·‖_q²``, 1/p + 1/q = 1, each of w and z determines the other. For
p >= 2 the Hessian of h is finite everywhere, for p < 2 that of h*: steps are made in w or in z.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.linalg.norms import dual_exponent, vector_norm
from lexmargin.ops.base import FloatArray

__all__ = ["Chart"]


@final
@dataclass(frozen=True, eq=False)
class Chart:
    """The variable s, as ``h = ½‖w‖_p²``, or ``h = ½ Σ c_i w_i²`` for p = 2, asks for it.

    Attributes:
        p: 1 < p < ∞.
        costs: c >= 0 (d,), 1 unless p = 2.
    """

    p: float
    costs: FloatArray

    @property
    def flat(self) -> bool:
        """Whether z is linear in w."""
        return self.p == 2.0

    @property
    def metric(self) -> FloatArray | None:
        """√c where h is the square of a Euclidean length, None elsewhere."""
        return np.sqrt(self.costs) if self.flat and np.all(self.costs > 0.0) else None

    def variable(self, w: FloatArray) -> FloatArray:
        """Return s at w."""
        return w.copy() if self.p >= 2.0 else _gradient(w, self.p)

    def both(self, s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return w and ``z = ∇h(w)``."""
        if self.flat:
            return s, self.costs * s
        if self.p > 2.0:
            return s, _gradient(s, self.p)
        return _gradient(s, dual_exponent(self.p)), s

    def through(self, rows: FloatArray, s: FloatArray) -> FloatArray:
        """Return ``rows dw/ds`` for derivatives in w (…, d)."""
        return rows if self.p >= 2.0 else rows @ _hessian(s, dual_exponent(self.p))

    def bent(self, s: FloatArray) -> FloatArray:
        """Return dz/ds (d, d)."""
        if self.flat:
            return np.diag(self.costs)
        return _hessian(s, self.p) if self.p > 2.0 else np.eye(s.size)


def _gradient(x: FloatArray, p: float) -> FloatArray:
    """Return ``∇½‖x‖_p²``."""
    size = vector_norm(x, p)
    if not size > 0.0:
        return np.zeros_like(x)
    return np.asarray(size * np.sign(x) * np.abs(x / size) ** (p - 1.0))


def _hessian(x: FloatArray, p: float) -> FloatArray:
    """Return ``∇²½‖x‖_p²``, p >= 2."""
    unit = np.abs(x) / vector_norm(x, p)
    slope = np.sign(x) * unit ** (p - 1.0)
    return np.asarray((p - 1.0) * np.diag(unit ** (p - 2.0)) + (2.0 - p) * np.outer(slope, slope))
