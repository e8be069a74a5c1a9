"""A proof that a true KKT point lies near a floating one: the Krawczyk test in ball arithmetic.

Unknowns are w (at margin 1), the multipliers λ of the samples S that carry weight, and one σ per
continuous symmetry. With tangents t_i of the orbit at the given point w_0 the equations are
`w - Σ_S λ_n ∇f_n(w) + Σ σ_i t_i = 0`, `f_S(w) = 1`, `t_i·(w - w_0) = 0`. The Lagrangian is constant
on orbits, so that its gradient is orthogonal to their tangents `A_i w`; where the matrix
`t_j·A_i w` is regular, σ = 0 follows (a bordered system, Krawczyk 1969; Neumaier 1990, ch. 5).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.certificate.gauge import Generator, generators
from lexmargin.certificate.multipliers import nonnegative_multipliers
from lexmargin.certificate.norms import Array
from lexmargin.certificate.qualification import licq
from lexmargin.errors import DegreeError
from lexmargin.margins import MarginFunctions
from lexmargin.ops.arb import ArbOps, Ball, KinkInBox, combined_gradient

__all__ = ["LIMIT", "KktProof", "prove_kkt"]

LIMIT = 100
"""Largest number of parameters that is tried."""

_EPS = float(np.finfo(np.float64).eps)
_PRECISION = 160
_NEAR = 1e-6
_CARRIES = 1e-9
_REFINEMENTS = 8
_RADII = (2.0**-70, 2.0**-60, 2.0**-50, 2.0**-40, 2.0**-30)


@final
@dataclass(frozen=True, eq=False)
class KktProof:
    """Whether a true KKT point of eq. 18 was proved to exist near the given direction.

    proved
        the test succeeded, all multipliers are positive and all margins at least 1.
    radius
        `‖w* - w_0‖/‖w_0‖` is at most this, w_0 the given point at margin 1; NaN unless proved.
    reason
        what was proved, or why nothing was.
    dimension
        number of unknowns and equations.
    support
        the samples S with λ_n > 0.
    symmetries
        dimension of the orbit on which the point is isolated only up to symmetry.
    licq
        the gradients of all active samples were shown to be independent at the true point: those of
        S are where the test succeeds. None where a sample outside S may be active too.
    """

    proved: bool
    radius: float
    reason: str
    dimension: int
    support: tuple[int, ...] = ()
    symmetries: int = 0
    licq: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "proved": self.proved,
            "radius": self.radius if math.isfinite(self.radius) else None,
            "reason": self.reason,
            "dimension": self.dimension,
            "support": list(self.support),
            "symmetries": self.symmetries,
            "licq": self.licq,
        }

    def report(self) -> str:
        """Return one line."""
        return f"{'proof':<16}{'KKT' if self.proved else 'not proved'}: {self.reason}"


def prove_kkt(functions: MarginFunctions, theta: Array) -> KktProof:
    """Prove that a KKT point of `min ½‖w‖² s.t. f_n(w) ≥ 1` lies near the direction θ (eq. 18).

    Args:
        functions: the margin functions of a homogeneous predictor; analytic near θ, or
            `relu^p` with p ≥ 2, or power-1 ReLUs with all pre-activations away from 0.
        theta: (d,) the direction, at any scale, accurate to about 1e-6.

    Raises:
        DegreeError: the predictor is not homogeneous.
    """
    alpha = functions.homogeneity.degree
    if alpha is None:
        raise DegreeError("The predictor is not homogeneous.", "Only eq. 18 is proved here.")
    size = functions.size
    if size > LIMIT:
        return _no(f"{size} parameters are more than {LIMIT}", size)
    flat = np.asarray(theta, dtype=np.float64)
    flat = flat / float(np.linalg.norm(flat))
    margin = float(np.min(functions.values(flat)))
    if margin <= 0.0:
        return _no("the direction does not separate", size)
    w = flat * margin ** (-1.0 / alpha)
    values, jacobian = functions.values(w), functions.jacobian(w)
    near = np.flatnonzero(values <= 1.0 + _NEAR)
    found = nonnegative_multipliers(jacobian[near], w / float(np.linalg.norm(w)), flat)
    multipliers = found.multipliers * float(np.linalg.norm(w))
    carries = multipliers > _CARRIES * float(np.max(multipliers, initial=0.0))
    support = near[carries]
    if not support.size or found.residual > 1e-3:
        return _no(f"ε = {found.residual:.3g} is far from stationary", size)
    if not licq(jacobian[support], 1e-12).holds:
        return _no("the gradients of the samples that carry weight are dependent", size)
    from flint import ctx

    old = ctx.prec
    try:
        ctx.prec = _PRECISION
        return _System(functions, w, support, multipliers[carries]).prove()
    except KinkInBox as kink:
        return _no(f"{kink}", size + int(support.size))
    except (ZeroDivisionError, np.linalg.LinAlgError):
        return _no("the system is singular", size + int(support.size))
    finally:
        ctx.prec = old


def _no(reason: str, dimension: int) -> KktProof:
    return KktProof(False, math.nan, reason, dimension)


@final
class _System:
    """The bordered KKT system around one point."""

    def __init__(
        self, functions: MarginFunctions, w: Array, support: NDArray[np.intp], multipliers: Array
    ) -> None:
        self.functions = functions
        self.w = w
        self.support = support
        per_sample = functions.count // functions.data.n_samples
        self.samples = (support // per_sample).tolist()
        self.seeds = np.array([self._seed(int(n)) for n in support])
        self.generators = self._gauge()
        self.tangents = [g.tangent(w) for g in self.generators]
        self.size = w.size + support.size + len(self.tangents)
        self.start = np.concatenate([w, multipliers, np.zeros(len(self.tangents))])

    def _seed(self, n: int) -> Array:
        unit = np.zeros(self.functions.count)
        unit[n] = 1.0
        per_sample = self.functions.count // self.functions.data.n_samples
        return np.atleast_1d(self.functions.score_weights(unit)[n // per_sample])

    def _gauge(self) -> list[Generator]:
        """Choose generators whose tangents at w are independent."""
        chosen: list[Generator] = []
        kept = np.zeros((0, self.w.size))
        candidates = generators(self.functions, self.w, self.samples)
        order = sorted(candidates, key=lambda g: -float(np.linalg.norm(g.tangent(self.w))))
        for generator in order:
            tangent = generator.tangent(self.w)
            rest = tangent - kept.T @ (kept @ tangent)
            if np.linalg.norm(rest) > 1e-6 * np.linalg.norm(self.w):
                chosen.append(generator)
                kept = np.vstack([kept, rest / np.linalg.norm(rest)])
        return chosen

    # -- evaluation over a box ---------------------------------------------------------------------

    def _blocks(self, x: Sequence[Any], tangents: bool) -> tuple[list[Any], list[Ball]]:
        blocks: list[Any] = []
        leaves: list[Ball] = []
        first = 0
        for shape in self.functions.shapes:
            count = math.prod(shape)
            part = list(x[first : first + count])
            block = ArbOps.parameter(part, shape, first, self.w.size if tangents else 0)
            if not tangents:
                # Without tangents a parameter would pass for a constant.
                for ball in block.ravel():
                    ball.edges = ((Ball(ball.value), 0, None),)
            blocks.append(block)
            leaves.extend(block.ravel())
            first += count
        return blocks, leaves

    def _margins(self, blocks: list[Any]) -> list[Ball]:
        ops = ArbOps()
        features = ops.constant(self.functions.features[self.samples])
        scores = self.functions.predictor(ops, blocks, features)
        found = []
        for row, seed in enumerate(self.seeds):
            parts = [scores[row]] if scores.ndim == 1 else list(scores[row])
            total: Ball | None = None
            for part, weight in zip(parts, ops.constant(seed), strict=True):
                if weight.value == 0:
                    continue
                term = part * weight
                total = term if total is None else total + term
            assert total is not None
            found.append(total)
        return found

    def residual(self, x: Sequence[Any]) -> list[Any]:
        """Return enclosures of all equations at x."""
        d, s = self.w.size, self.support.size
        blocks, leaves = self._blocks(x, tangents=False)
        margins = self._margins(blocks)
        weighted = list(zip(margins, x[d : d + s], strict=True))
        gradient = combined_gradient(weighted, leaves)
        rows = [x[i] - gradient[i][0] for i in range(d)]
        for i, tangent in enumerate(self.tangents):
            sigma = x[d + s + i]
            rows = [row + sigma * float(t) for row, t in zip(rows, tangent, strict=True)]
        rows += [margin.value - 1 for margin in margins]
        for tangent in self.tangents:
            rows.append(sum((x[j] - float(self.w[j])) * float(tangent[j]) for j in range(d)))
        return rows

    def derivative(self, x: Sequence[Any]) -> Any:
        """Return an enclosure of the derivative of all equations over x, an ``arb_mat``."""
        from flint import arb, arb_mat

        d, s = self.w.size, self.support.size
        blocks, leaves = self._blocks(x, tangents=True)
        margins = self._margins(blocks)
        weighted = list(zip(margins, x[d : d + s], strict=True))
        hessian = combined_gradient(weighted, leaves)
        matrix = arb_mat(self.size, self.size)
        for i in range(d):
            turn = hessian[i][1]
            for j in range(d):
                bend = arb(0) if turn is None else turn[0, j]
                matrix[i, j] = (1 if i == j else 0) - bend
        for n, margin in enumerate(margins):
            slopes = margin.tangent
            for j in range(d):
                slope = arb(0) if slopes is None else slopes[0, j]
                matrix[d + n, j] = slope
                matrix[j, d + n] = -slope
        for i, tangent in enumerate(self.tangents):
            for j in range(d):
                matrix[j, d + s + i] = matrix[d + s + i, j] = arb(float(tangent[j]))
        return matrix

    # -- the test ----------------------------------------------------------------------------------

    def prove(self) -> KktProof:
        from flint import arb, arb_mat

        n = self.size
        x = [arb(float(value)) for value in self.start]
        inverse: Any = None
        for _ in range(_REFINEMENTS):
            floats = _floats(self.derivative(x))
            if not np.all(np.isfinite(floats)) or np.linalg.cond(floats) > 1e13:
                return self._not("the system is singular: a flat direction, or an unknown symmetry")
            inverse = np.linalg.inv(floats)
            step = inverse @ np.array([float(value.mid()) for value in self.residual(x)])
            x = [(a - float(b)).mid() for a, b in zip(x, step, strict=True)]
            if np.max(np.abs(step)) <= 1e-30 * np.max(np.abs(self.start)):
                break
        moved = np.array([float(a - float(b)) for a, b in zip(x, self.start, strict=True)])
        if float(np.linalg.norm(moved[: self.w.size])) > 1e-2 * float(np.linalg.norm(self.w)):
            return self._not("Newton's method leaves the neighbourhood of the point")
        Y = arb_mat(n, n, [arb(float(value)) for value in inverse.ravel()])
        centre = arb_mat(n, 1, x) - Y * arb_mat(n, 1, self.residual(x))
        identity = arb_mat(n, n, [int(i == j) for i in range(n) for j in range(n)])
        scale = float(np.max(np.abs(self.start)))
        for radius in _RADII:
            spread = arb(0, scale * radius)
            box = [a + spread for a in x]
            offsets = arb_mat(n, 1, [spread] * n)
            image = centre + (identity - Y * self.derivative(box)) * offsets
            if all(box[i].contains_interior(image[i, 0]) for i in range(n)):
                return self._conclude([image[i, 0] for i in range(n)])
        return self._not("the Krawczyk test does not contract")

    def _conclude(self, box: list[Any]) -> KktProof:
        """Check signs, the other margins and the symmetries over the box of the true point."""
        d, s = self.w.size, self.support.size
        if not all(value > 0 for value in box[d : d + s]):
            return self._not("a multiplier is not clearly positive")
        ops = ArbOps()
        low, strict = self._other_margins(ops, box[:d])
        if low:
            return self._not(low)
        if not self._same_sides(box[:d]):
            return self._not("two units are not clearly on the same side of their kinks")
        if self.generators and not self._regular(box[:d]):
            return self._not("the symmetries are not shown to be transversal")
        furthest = [float(abs(box[j] - float(self.w[j])).upper()) for j in range(d)]
        # Upper bounds of every entry, a part in 1e12 for their norm, and the rounding of w itself.
        radius = math.hypot(*furthest) / math.hypot(*self.w.tolist()) * (1.0 + 1e-12) + 8.0 * _EPS
        modulo = f", isolated modulo {len(self.generators)} symmetries" if self.generators else ""
        return KktProof(
            True,
            radius,
            f"a true KKT point lies within {radius:.3g} of this one (relative){modulo}",
            self.size,
            tuple(int(n) for n in self.support),
            len(self.generators),
            True if strict else None,
        )

    def _same_sides(self, box: list[Any]) -> bool:
        """Whether the symmetries used are those of the true point too, not just of w."""
        there = np.array([float(value.mid()) for value in box])
        known = generators(self.functions, there, self.samples)
        return all(generator in known for generator in self.generators)

    def _other_margins(self, ops: ArbOps, box: list[Any]) -> tuple[str, bool]:
        """Return "" if every f_n outside S is at least 1 over the box, else which is not.

        Also whether all are above 1.
        """
        functions = self.functions
        blocks, first = [], 0
        for shape in functions.shapes:
            count = math.prod(shape)
            blocks.append(ArbOps.parameter(box[first : first + count], shape, first, 0))
            first += count
        inside = {int(n) for n in self.support}
        rough = functions.values(self.w)
        values = functions.evaluate(ops, blocks)
        strict = True
        for n in range(functions.count):
            if n in inside or values[n].value > 1:
                continue
            strict = False
            if not values[n].value >= 1 and not self._repeats(n):
                reason = f"the margin of sample {n} ({rough[n]:.9g}) is not clearly at least 1"
                return reason, False
        return "", strict

    def _repeats(self, n: int) -> bool:
        """Whether sample n is one of S over again."""
        per_sample = self.functions.count // self.functions.data.n_samples
        X, y = self.functions.data.X, self.functions.data.y
        for m in self.support:
            if m % per_sample == n % per_sample:
                a, b = int(m) // per_sample, n // per_sample
                if y[a] == y[b] and np.array_equal(X[a], X[b]):
                    return True
        return False

    def _regular(self, box: list[Any]) -> bool:
        """Show that `t_j·A_i w` is regular over the box, by a float inverse."""
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
        inverse = np.linalg.inv(_floats(matrix))
        Y = arb_mat(k, k, [arb(float(value)) for value in inverse.ravel()])
        product = Y * matrix
        rests = [
            sum((abs(product[i, j] - int(i == j)) for j in range(k)), arb(0)) for i in range(k)
        ]
        return all(rest < 1 for rest in rests)

    def _not(self, reason: str) -> KktProof:
        support = tuple(int(n) for n in self.support)
        return KktProof(False, math.nan, reason, self.size, support, len(self.generators))


def _floats(matrix: Any) -> Array:
    return np.array(
        [[float(matrix[i, j].mid()) for j in range(matrix.ncols())] for i in range(matrix.nrows())]
    )
