"""The Krawczyk test, and margin functions over boxes: what the proofs in ball arithmetic share."""

from __future__ import annotations

import functools
import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.linalg.norms import Array
from lexmargin.linalg.rounding import OUTWARD, ROUNDED
from lexmargin.margins import MarginFunctions
from lexmargin.ops.arb import ArbOps, Ball, combined_gradient

__all__ = ["BallMargins", "Equations", "enclosed", "floats_of", "off_sphere", "slopes_of"]

_NEARBY: Final = 1e-2
"""Part of the point that Newton may move: farther off it is another one, and proves nothing."""
_REFINED: Final = 1e-30
"""Step at which Newton has more digits than the smallest box tried is wide."""
_REFINEMENTS: Final = 8
"""Newton steps before the test, each gaining digits; too few make the test fail, not pass."""
_RADII: Final = (2.0**-70, 2.0**-60, 2.0**-50, 2.0**-40, 2.0**-30)
"""Half-widths tried, smallest first: the smallest that works says most; larger ones bend too
much."""
_CONDITION: Final = 1e13
"""Condition of the scaled system from which a float inverse has no digits to start the test
with."""


class Equations(ABC):
    """As many equations as unknowns, the first ``lead`` of which are entries of the point w.

    w
        the given point (d,).
    start
        where the solution is sought (n,).
    units
        powers of two, the size of each unknown (n,).
    symmetries
        dimension of the orbit on which the solution is isolated only up to symmetry.
    """

    w: Array
    start: Array
    units: Array
    lead: int
    symmetries: int = 0

    @abstractmethod
    def residual(self, x: Sequence[Any]) -> list[Any]:
        """Return enclosures of all equations over x, balls."""

    @abstractmethod
    def derivative(self, x: Sequence[Any]) -> Any:
        """Return an enclosure of the derivative of all equations over x, an ``arb_mat``."""

    def doubt(self, box: Sequence[Any]) -> tuple[str, bool]:
        """Return "" where the solution in the box is a KKT point, else why it may be none.

        Also whether every sample without a multiplier is shown to be inactive there.
        """
        del box
        return "", False

    def entries(self, x: Sequence[Any]) -> Sequence[Any]:
        """Return every entry of the point, those that are no unknowns included."""
        return x[: self.lead]

    def distance(self, box: Sequence[Any]) -> float:
        """Return an upper bound on `‖w* - w‖/‖w‖`, w* the solution in the box, in the ℓ2 norm."""
        pairs = zip(self.entries(box), self.w, strict=True)
        furthest = [float(abs(there - float(here)).upper()) for there, here in pairs]
        # Upper bounds of every entry, a part in 1e12 for their norm, and the rounding of w itself.
        ratio = math.hypot(*furthest) / math.hypot(*self.w.tolist())
        return ratio * (1.0 + OUTWARD) + ROUNDED


def enclosed(equations: Equations) -> list[Any] | str:
    """Return a box that holds exactly one solution, or why none was shown to exist.

    Newton's method first, then the Krawczyk test (Krawczyk 1969; Neumaier 1990, ch. 5) on boxes of
    growing radius. Unknowns are measured in their units and equations in the size of their rows.
    """
    from flint import arb, arb_mat

    n = equations.start.size
    if not n:
        return []
    units = equations.units
    x = [arb(float(value)) for value in equations.start]
    inverse: Any = None
    sizes = np.ones(n)
    for _ in range(_REFINEMENTS):
        floats = floats_of(equations.derivative(x)) * units
        if not np.all(np.isfinite(floats)) or np.any(~np.any(floats, axis=1)):
            return "the system is singular: a flat direction, or an unknown symmetry"
        sizes = 2.0 ** np.round(np.log2(np.max(np.abs(floats), axis=1)))
        floats = floats / sizes[:, None]
        if np.linalg.cond(floats) > _CONDITION:
            return "the system is singular: a flat direction, or an unknown symmetry"
        inverse = np.linalg.inv(floats)
        values = np.array([float(value.mid()) for value in equations.residual(x)])
        step = inverse @ (values / sizes)
        moves = zip(x, step, units, strict=True)
        x = [(a - float(b) * float(u)).mid() for a, b, u in moves]
        if np.max(np.abs(step)) <= _REFINED:
            break
    lead = equations.lead
    moved = np.array([float(a - float(b)) for a, b in zip(x, equations.start, strict=True)])
    near = _NEARBY * float(np.linalg.norm(equations.start[:lead] / units[:lead]))
    if float(np.linalg.norm(moved[:lead] / units[:lead])) > near:
        return "Newton's method leaves the neighbourhood of the point"
    Y = arb_mat(n, n, [arb(float(value)) for value in inverse.ravel()])

    def scaled(rows: list[Any]) -> Any:
        return arb_mat(n, 1, [row / float(s) for row, s in zip(rows, sizes, strict=True)])

    correction = Y * scaled(equations.residual(x))
    identity = arb_mat(n, n, [int(i == j) for i in range(n) for j in range(n)])
    for radius in _RADII:
        box = [a + arb(0, radius * float(u)) for a, u in zip(x, units, strict=True)]
        slope = equations.derivative(box)
        slope = arb_mat(
            n,
            n,
            [slope[i, j] * float(units[j] / sizes[i]) for i in range(n) for j in range(n)],
        )
        offsets = arb_mat(n, 1, [arb(0, radius)] * n)
        spread = (identity - Y * slope) * offsets - correction
        image = [a + spread[i, 0] * float(units[i]) for i, a in enumerate(x)]
        if all(whole.contains_interior(part) for whole, part in zip(box, image, strict=True)):
            return image
    return "the Krawczyk test does not contract"


@final
class BallMargins:
    """Chosen margin functions over boxes of parameters."""

    def __init__(self, functions: MarginFunctions, chosen: NDArray[np.intp]) -> None:
        self.functions = functions
        self.chosen = chosen
        per_sample = functions.count // functions.data.n_samples
        self.samples = (chosen // per_sample).tolist()
        seeds = np.zeros((chosen.size, functions.count))
        seeds[np.arange(chosen.size), chosen] = 1.0
        self._seeds = [
            np.atleast_1d(functions.score_weights(seed)[n])
            for seed, n in zip(seeds, self.samples, strict=True)
        ]

    def blocks(self, x: Sequence[Any], tangents: bool) -> tuple[list[Any], list[Ball]]:
        """Return the parameter blocks at x, with unit tangents or without, and their entries."""
        size = self.functions.size
        blocks: list[Any] = []
        leaves: list[Ball] = []
        first = 0
        for shape in self.functions.shapes:
            count = math.prod(shape)
            part = list(x[first : first + count])
            block = ArbOps.parameter(part, shape, first, size if tangents else 0)
            if not tangents:
                # Without tangents a parameter would pass for a constant.
                for ball in block.ravel():
                    ball.edges = ((Ball(ball.value), 0, None),)
            blocks.append(block)
            leaves.extend(block.ravel())
            first += count
        return blocks, leaves

    def margins(self, blocks: list[Any]) -> list[Ball]:
        """Return the chosen f_n."""
        ops = ArbOps()
        features = ops.constant(self.functions.features[self.samples])
        scores = self.functions.predictor(ops, blocks, features)
        found = []
        for row, seed in enumerate(self._seeds):
            parts = [scores[row]] if scores.ndim == 1 else list(scores[row])
            terms = []
            for part, weight in zip(parts, ops.constant(seed), strict=True):
                if weight.value != 0:
                    terms.append(part * weight)
            found.append(functools.reduce(operator.add, terms))
        return found

    def pulled(
        self, x: Sequence[Any], weigh: Callable[[list[Ball]], list[Any]], *, tangents: bool
    ) -> tuple[list[Ball], list[tuple[Any, Any]]]:
        """Return the chosen f_n at x, and the entries of `Σ λ_n ∇f_n` with λ = ``weigh(f)``.

        With tangents both bring their slopes.
        """
        blocks, leaves = self.blocks(x, tangents)
        margins = self.margins(blocks)
        return margins, combined_gradient(list(zip(margins, weigh(margins), strict=True)), leaves)

    def all_values(self, box: Sequence[Any]) -> list[Any]:
        """Return enclosures of every f_n over a box, chosen or not."""
        blocks, first = [], 0
        for shape in self.functions.shapes:
            count = math.prod(shape)
            blocks.append(ArbOps.parameter(box[first : first + count], shape, first, 0))
            first += count
        return [ball.value for ball in self.functions.evaluate(ArbOps(), blocks)]


def slopes_of(tangent: Any, size: int) -> list[Any]:
    """Return the slopes of a ball by each parameter, 0 where it has none."""
    from flint import arb

    return [arb(0) if tangent is None else tangent[0, j] for j in range(size)]


def off_sphere(x: Sequence[Any], radius: float) -> Any:
    """Return `½(‖x‖² - ρ²)`, 0 on the sphere."""
    from flint import arb

    return (sum((a * a for a in x), arb(0)) - arb(radius) * arb(radius)) / 2


def floats_of(matrix: Any) -> Array:
    """Return the midpoints of an ``arb_mat``."""
    return np.array(
        [[float(matrix[i, j].mid()) for j in range(matrix.ncols())] for i in range(matrix.nrows())]
    )
