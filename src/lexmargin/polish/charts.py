"""Variables of Newton's steps: w itself, or the gradient z of ``h = ½‖·‖²`` at w.

With the conjugate ``h* = ½‖·‖_q²``, 1/p + 1/q = 1, each of w and z determines the other. For
p >= 2 the Hessian of h is finite everywhere, for p < 2 that of h*: steps are made in w or in z.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.linalg.norms import dual_exponent, square_gradient, square_hessian
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
        return w.copy() if self.p >= 2.0 else square_gradient(w, self.p)

    def both(self, s: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return w and ``z = ∇h(w)``."""
        if self.flat:
            return s, self.costs * s
        if self.p > 2.0:
            return s, square_gradient(s, self.p)
        return square_gradient(s, dual_exponent(self.p)), s

    def through(self, rows: FloatArray, s: FloatArray) -> FloatArray:
        """Return ``rows dw/ds`` for derivatives in w (…, d)."""
        return rows if self.p >= 2.0 else rows @ square_hessian(s, dual_exponent(self.p))

    def bent(self, s: FloatArray) -> FloatArray:
        """Return dz/ds (d, d)."""
        if self.flat:
            return np.diag(self.costs)
        return square_hessian(s, self.p) if self.p > 2.0 else np.eye(s.size)
