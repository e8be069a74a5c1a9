"""The Krawczyk test for the constrained path of linear margins on the ℓ1 and the ℓ∞ ball (eq. 5).

With `f_n = z_n·w` and `g = Σ p(f_n) z_n`, the point is the global minimum on the ball ‖w‖ ≤ ρ where
g supports it: ℓ1, `s_j g_j = ‖g‖_∞` wherever w_j ≠ 0 and s its signs; ℓ∞, `g_j = 0` wherever
|w_j| < ρ, and g_j of the sign of w_j elsewhere. Equations between differences of the g_j keep
levels visible that differ by hundreds of nats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, final

import numpy as np

from lexmargin.formulations.kkt import Kkt, LossTerm
from lexmargin.judge.functions.enclosure import Equations
from lexmargin.linalg.norms import vector_norm
from lexmargin.losses import Loss
from lexmargin.margins import MarginFunctions

__all__ = ["FaceSystem", "exact_weights", "loss_weights"]

_ZERO: Final = 1e-9
"""Relative entry that counts as on a bound: a wrong guess fails the test, it proves nothing."""


def loss_weights(
    s: Any, values: list[Any], factors: list[Any], logistic: bool
) -> tuple[list[Any], list[Any]]:
    """Return `e^s w_n p(f_n)` and its derivative by f_n: p = e^{-f}, or 1/(1 + e^f)."""
    pairs = list(zip(factors, values, strict=True))
    if logistic:
        weights = [w * s.exp() / (1 + f.exp()) for w, f in pairs]
        return weights, [-p / (1 + (-f).exp()) for p, f in zip(weights, values, strict=True)]
    weights = [w * (s - f).exp() for w, f in pairs]
    return weights, [-p for p in weights]


def exact_weights(functions: MarginFunctions) -> list[Any]:
    """Return the weights w_n of the margin functions in a loss (N,), as they are given."""
    from flint import arb

    found = functions.weights
    return [1] * functions.count if found is None else [arb(float(w)) for w in found]


@final
class FaceSystem(Equations):
    """The equations of the free coordinates of a face of the ball of norm 1 or inf, f_n linear."""

    def __init__(self, kkt: Kkt, term: LossTerm) -> None:
        from flint import arb, arb_mat

        rho = vector_norm(kkt.point, kkt.norm) if kkt.radius is None else kkt.radius
        self.rho, self.logistic = rho, term.loss.kind is not Loss.EXPONENTIAL
        self.factors = exact_weights(kkt.functions)
        self.octahedron = kkt.norm == 1.0
        w, theta = kkt.point, kkt.point / rho
        self.w = w
        self.signs = np.where(w < 0.0, -1.0, 1.0)
        largest = float(np.max(np.abs(theta)))
        if self.octahedron:
            moving = np.abs(theta) > _ZERO * largest
        else:
            moving = np.abs(theta) < largest * (1.0 - _ZERO)
        self.moving = np.flatnonzero(moving)
        self.others = np.flatnonzero(~moving)
        self.first = int(np.argmax(np.abs(w)))
        self.rows = kkt.functions.jacobian(np.zeros(w.size))
        self.Z = arb_mat([[arb(float(entry)) for entry in row] for row in self.rows])
        self.start = w[self.moving]
        self.units = np.full(self.moving.size, 2.0 ** round(math.log2(rho)))
        self.lead = int(self.moving.size)
        # One factor for all of p, fixed once so that every evaluation is of the same equations.
        self.lowest = float(np.min(self.rows @ w))

    def entries(self, x: Sequence[Any]) -> list[Any]:
        """Return w, the coordinates that are fixed included."""
        from flint import arb

        found = [arb(0)] * self.w.size
        if not self.octahedron:
            for j in self.others:
                found[j] = arb(self.rho) * int(self.signs[j])
        for value, j in zip(x, self.moving, strict=True):
            found[j] = value
        return found

    def _weights(self, x: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """Return p(f_n) and its derivatives, both over one factor of the size of the largest."""
        from flint import arb, arb_mat

        w = self.entries(x)
        f = self.Z * arb_mat(len(w), 1, w)
        return loss_weights(
            arb(self.lowest), [f[n, 0] for n in self._all()], self.factors, self.logistic
        )

    def _columns(self) -> list[tuple[list[Any], bool]]:
        """Return, for each equation, the numbers a_n of `Σ p_n a_n = 0`."""
        first = [self.Z[n, self.first] * int(self.signs[self.first]) for n in self._all()]
        found = []
        for j in self.moving:
            mine = [self.Z[n, int(j)] * int(self.signs[j]) for n in self._all()]
            if self.octahedron and j != self.first:
                found.append(([a - b for a, b in zip(mine, first, strict=True)], False))
            else:
                found.append((mine, bool(self.octahedron)))
        return found

    def _all(self) -> range:
        return range(int(self.Z.nrows()))

    def residual(self, x: Sequence[Any]) -> list[Any]:
        from flint import arb

        p, _ = self._weights(x)
        rows = []
        for column, on_ball in self._columns():
            if on_ball:
                signed = (v * int(self.signs[j]) for v, j in zip(x, self.moving, strict=True))
                rows.append(sum(signed, arb(0)) - arb(self.rho))
            else:
                rows.append(sum((a * b for a, b in zip(p, column, strict=True)), arb(0)))
        return rows

    def derivative(self, x: Sequence[Any]) -> Any:
        from flint import arb, arb_mat

        _, turns = self._weights(x)
        rows = []
        for column, on_ball in self._columns():
            if on_ball:
                rows.append([arb(int(self.signs[j])) for j in self.moving])
                continue
            bent = [a * b for a, b in zip(turns, column, strict=True)]
            rows.append(
                [
                    sum((bent[n] * self.Z[n, int(j)] for n in self._all()), arb(0))
                    for j in self.moving
                ]
            )
        return arb_mat(rows)

    def doubt(self, box: Sequence[Any]) -> tuple[str, bool]:
        return self._unsupported(box), False

    def _unsupported(self, box: Sequence[Any]) -> str:
        """Return "" where g supports the ball at the true point of the face, else why not."""
        from flint import arb

        p, _ = self._weights(box)
        pull = [sum((p[n] * self.Z[n, j] for n in self._all()), arb(0)) for j in range(self.w.size)]
        if self.octahedron:
            top = pull[self.first] * int(self.signs[self.first])
            if not top > 0:
                return "-∇L does not point out of the ball"
            if not all(v * int(self.signs[j]) > 0 for v, j in zip(box, self.moving, strict=True)):
                return "a coordinate is not clearly different from 0"
            if not all(abs(pull[j]) <= top for j in self.others):
                return "-∇L is not clearly largest on the face of θ"
            return ""
        if not all(abs(value) <= arb(self.rho) for value in box):
            return "a free coordinate is not clearly inside the ball"
        if not all(pull[j] * int(self.signs[j]) >= 0 for j in self.others):
            return "-∇L does not clearly push outwards where θ is at its bound"
        return ""
