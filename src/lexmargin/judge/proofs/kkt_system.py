"""The KKT equations of a margin program around one point, for the Krawczyk test.

Unknowns are w, the multipliers λ of the samples S that carry weight, one σ per continuous symmetry
and, in the max form, the margin t. With tangents s_i of the orbit at the given point w_0:
`c w - Σ_S λ_n ∇f_n(w) + Σ σ_i s_i = 0`, `f_S(w) = level` (or t), `s_i·(w - w_0) = 0` and, in the
max form, `½(‖w‖² - ρ²) = 0`. The Lagrangian is constant on orbits, so that its gradient is
orthogonal to their tangents `A_i w`; where the matrix `s_j·A_i w` is regular, σ = 0 follows (a
bordered system).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.formulations.kkt import Kkt
from lexmargin.judge.functions.enclosure import (
    BallMargins,
    Equations,
    floats_of,
    off_sphere,
    slopes_of,
)
from lexmargin.judge.functions.symmetry import Generator, generators
from lexmargin.linalg.norms import Array

__all__ = ["KktSystem"]


@final
class KktSystem(Equations):
    """`min ½ Σ c_i w_i² s.t. f_n(w)/r_n ≥ level`, or `max t s.t. f_n(w) ≥ t` on a sphere.

    Args:
        kkt: the program, and its point.
        support, multipliers: the samples S that carry weight, and their λ > 0.
        costs: (d,) enclosures of c; None for 1.
    """

    def __init__(
        self, kkt: Kkt, support: NDArray[np.intp], multipliers: Array, costs: list[Any] | None
    ) -> None:
        from flint import arb

        functions, w, level = kkt.functions, kkt.point, kkt.level
        self.functions = functions
        self.w = w
        self.support = support
        self.costs = [1] * w.size if costs is None else costs
        self.level, self.radius, self.required = level, kkt.radius, kkt.required
        self.balls = BallMargins(functions, support)
        self.generators = self._gauge() if kkt.even else []
        self.tangents = [g.tangent(w) for g in self.generators]
        self.symmetries = len(self.tangents)
        free = [] if level is not None else [float(np.min(functions.values(w)))]
        self.start = np.concatenate([w, multipliers, np.zeros(len(self.tangents)), free])
        root = np.sqrt(np.array([float(arb(c).mid()) for c in self.costs]))
        size = float(np.linalg.norm(root * w))
        largest = float(np.max(multipliers))
        others = [size] * len(self.tangents) + free
        units = np.concatenate([size / root, np.full(support.size, largest), others])
        self.units = 2.0 ** np.round(np.log2(units))
        self.lead = int(w.size)

    def _gauge(self) -> list[Generator]:
        """Choose generators whose tangents at w are independent."""
        chosen: list[Generator] = []
        kept = np.zeros((0, self.w.size))
        candidates = generators(self.functions, self.w, self.balls.samples)
        order = sorted(candidates, key=lambda g: -float(np.linalg.norm(g.tangent(self.w))))
        for generator in order:
            tangent = generator.tangent(self.w)
            rest = tangent - kept.T @ (kept @ tangent)
            if np.linalg.norm(rest) > 1e-6 * np.linalg.norm(self.w):
                chosen.append(generator)
                kept = np.vstack([kept, rest / np.linalg.norm(rest)])
        return chosen

    def residual(self, x: Sequence[Any]) -> list[Any]:
        d, s, g = self.w.size, self.support.size, len(self.tangents)
        weights = list(x[d : d + s])
        margins, gradient = self.balls.pulled(x, lambda _: weights, tangents=False)
        rows = [self.costs[i] * x[i] - gradient[i][0] for i in range(d)]
        for i, tangent in enumerate(self.tangents):
            sigma = x[d + s + i]
            rows = [row + sigma * float(t) for row, t in zip(rows, tangent, strict=True)]
        level = x[d + s + g] if self.level is None else self.level
        levels = [self._reached(level, int(n)) for n in self.support]
        rows += [margin.value - one for margin, one in zip(margins, levels, strict=True)]
        for tangent in self.tangents:
            rows.append(sum((x[j] - float(self.w[j])) * float(tangent[j]) for j in range(d)))
        if self.radius is not None:
            rows.append(off_sphere(x[:d], self.radius))
        return rows

    def _reached(self, level: Any, n: int) -> Any:
        """Return what f_n must reach; a product of two doubles is no double."""
        from flint import arb

        return level if self.required is None else arb(level) * arb(float(self.required[n]))

    def derivative(self, x: Sequence[Any]) -> Any:
        from flint import arb, arb_mat

        d, s, g = self.w.size, self.support.size, len(self.tangents)
        weights = list(x[d : d + s])
        margins, hessian = self.balls.pulled(x, lambda _: weights, tangents=True)
        matrix = arb_mat(self.start.size, self.start.size)
        for i in range(d):
            for j, bend in enumerate(slopes_of(hessian[i][1], d)):
                matrix[i, j] = (self.costs[i] if i == j else 0) - bend
        for n, margin in enumerate(margins):
            for j, slope in enumerate(slopes_of(margin.tangent, d)):
                matrix[d + n, j] = slope
                matrix[j, d + n] = -slope
        for i, tangent in enumerate(self.tangents):
            for j in range(d):
                matrix[j, d + s + i] = matrix[d + s + i, j] = arb(float(tangent[j]))
        if self.radius is not None:
            last = d + s + g
            for n in range(s):
                matrix[d + n, last] = arb(-1)
            for j in range(d):
                matrix[last, j] = x[j]
        return matrix

    # -- what the box of the true point must show --------------------------------------------------

    def doubt(self, box: Sequence[Any]) -> tuple[str, bool]:
        d, s = self.w.size, self.support.size
        if not all(value > 0 for value in box[d : d + s]):
            return "a multiplier is not clearly positive", False
        low, strict = self._other_margins(box)
        if low:
            return low, False
        if not self._same_sides(box[:d]):
            return "two units are not clearly on the same side of their kinks", False
        if self.generators and not self._regular(box[:d]):
            return "the symmetries are not shown to be transversal", False
        return "", strict

    def _same_sides(self, box: Sequence[Any]) -> bool:
        """Whether the symmetries used are those of the true point too, not just of w."""
        there = np.array([float(value.mid()) for value in box])
        known = generators(self.functions, there, self.balls.samples)
        return all(generator in known for generator in self.generators)

    def _other_margins(self, box: Sequence[Any]) -> tuple[str, bool]:
        level = box[-1] if self.level is None else self.level
        shown = "the level" if self.level is None else f"{self.level:g}"
        inside = {int(n) for n in self.support}
        rough = self.functions.values(self.w)
        values = self.balls.all_values(box[: self.w.size])
        strict = True
        for n in range(self.functions.count):
            wanted = self._reached(level, n)
            if n in inside or values[n] > wanted:
                continue
            strict = False
            if not values[n] >= wanted and not self._repeats(n):
                reason = f"the margin of sample {n} ({rough[n]:.9g}) is not clearly at least"
                return f"{reason} {shown}", False
        return "", strict

    def _repeats(self, n: int) -> bool:
        """Whether sample n is one of S over again."""
        per_sample = self.functions.count // self.functions.data.n_samples
        X, y = self.functions.data.X, self.functions.data.y
        for m in self.support:
            easier = self.required is None or self.required[n] <= self.required[m]
            if easier and m % per_sample == n % per_sample:
                a, b = int(m) // per_sample, n // per_sample
                if y[a] == y[b] and np.array_equal(X[a], X[b]):
                    return True
        return False

    def _regular(self, box: Sequence[Any]) -> bool:
        """Show that `s_j·A_i w` is regular over the box, by a float inverse."""
        from flint import arb, arb_mat

        k = len(self.generators)
        entries = []
        for generator in self.generators:
            moved = generator.tangent(np.array(box, dtype=object))
            for tangent in self.tangents:
                entries.append(
                    sum((moved[j] * float(tangent[j]) for j in np.flatnonzero(tangent)), arb(0))
                )
        matrix = arb_mat(k, k, entries)
        inverse = np.linalg.inv(floats_of(matrix))
        Y = arb_mat(k, k, [arb(float(value)) for value in inverse.ravel()])
        product = Y * matrix
        rests = [
            sum((abs(product[i, j] - int(i == j)) for j in range(k)), arb(0)) for i in range(k)
        ]
        return all(rest < 1 for rest in rests)
