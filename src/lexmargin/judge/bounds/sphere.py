"""Global bounds by branch and bound over a sphere in ball arithmetic, for up to four parameters.

Directions are points p of the faces of the cube |p|_∞ = 1, w = ρ p/‖p‖. A box of p bounds every f_n
by its values and by the mean-value form, `f(w(m)) + ∇f·(p - m)`. Where several samples share the
maximum each f_n alone falls off at first order only; a combination Σ q_n f_n with the multipliers
of a KKT point is flat there, so that its bound is of second order, and min f_n ≤ Σ q_n f_n.
"""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from lexmargin.formulations.kkt import Kkt
from lexmargin.inputs.limits import (
    BEATEN_SPHERE_BOXES,
    BEATEN_SPHERE_VALUES,
    SPHERE_BOXES,
    SPHERE_VALUES,
)
from lexmargin.judge.bounds.duality import usable
from lexmargin.judge.functions.enclosure import BallMargins, slopes_of
from lexmargin.judge.proved import BoundMethod, Proved
from lexmargin.linalg.long_numbers import precision
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.margins import MarginFunctions
from lexmargin.ops.arb import KinkInBox
from lexmargin.ops.curvature import Curvature

__all__ = ["Sphere", "SphereBound", "sphere_bound"]


_ENOUGH: Final = 5e-8
"""Relative gap at which the search ends, half the default `gap`: smaller ones cost boxes for
nothing."""
_PRECISION: Final = 80
"""Bits of the balls: 27 more than a double, so that their rounding adds nothing to the boxes."""

_Box = tuple[int, float, tuple[tuple[float, float], ...]]


@final
@dataclass(frozen=True)
class Sphere:
    """All directions, or the ball of eq. 6, of at most as many parameters as stated.

    With degrees, points inside the ball are stretched to the sphere and gain margin.
    """

    method = BoundMethod.SPHERE
    parameters: int = 2

    def applies(self, kkt: Kkt) -> bool:
        ball = kkt.is_direction or kkt.radius is not None
        margins = kkt.loss is None and kkt.norm == 2.0 and not kkt.functions.data.is_sparse
        curved = kkt.parts is not None and kkt.functions.curvature > Curvature.CONCAVE
        return ball and margins and curved and 1 < kkt.functions.size <= self.parameters

    def prove(self, kkt: Kkt, weights: Array, wanted: float = 0.0) -> Proved | None:
        radius = 1.0 if kkt.is_direction or kkt.radius is None else kkt.radius
        w = kkt.point * (radius / vector_norm(kkt.point, 2.0))
        if not np.all(np.isfinite(w)):
            return None
        known = usable(weights)
        known = np.ones(kkt.functions.count) if known is None else known
        # No bound is as low as the margin of this point once a point with more of it is met.
        beaten = float(np.min(kkt.functions.values(w))) * (1.0 + max(wanted, _ENOUGH))
        upper = sphere_bound(kkt.functions, radius, known, w, beaten=beaten).upper
        why = "no direction has a larger margin"
        if not kkt.is_direction:
            why = "no point of the ball has a larger margin"
            # At its centre every margin is 0, which no stretching changes.
            upper = max(0.0, upper)
        return Proved(method=self.method, value=upper, sentence=why, weights=known, bound=upper)


@final
@dataclass(frozen=True)
class SphereBound:
    """`min_n f_n(w) ≤ upper` for every w of the sphere; ``best`` is the largest value met."""

    upper: float
    best: float
    boxes: int

    @property
    def gap(self) -> float:
        """How far the bound is above the largest value met, relative to the bound."""
        return (self.upper - self.best) / self.upper if self.upper > 0.0 else math.inf


def sphere_bound(
    functions: MarginFunctions,
    radius: float,
    weights: Array,
    start: Array,
    boxes: int = SPHERE_BOXES,
    beaten: float = math.inf,
) -> SphereBound:
    """Bound `max_{‖w‖ = ρ} min_n f_n(w)` (eq. 6 at the scale ρ); a proof, whatever the weights.

    Args:
        functions: the margin functions, of at most ``SPHERE_PARAMETERS`` parameters.
        radius: ρ.
        weights: (N,) q ≥ 0, not all 0: multipliers of a KKT point, if there is one.
        start: (d,) a point whose value is to be met.
        boxes: how many are halved at most; fewer leave a higher bound.
        beaten: fewer boxes are halved where a value above this is met.
    """
    with precision(_PRECISION):
        search = _Search(functions, radius, weights / float(np.sum(weights)), start)
        return search.run(boxes, beaten)


@final
class _Search:
    def __init__(
        self, functions: MarginFunctions, radius: float, weights: Array, start: Array
    ) -> None:
        self.functions = functions
        self.radius = radius
        self.weights = weights
        self.balls = BallMargins(functions, np.arange(functions.count))
        self.best = self._value(start)
        self.serial = itertools.count()
        self.queue: list[tuple[float, int, int, _Box]] = []
        self.dropped = -math.inf

    def _value(self, p: Array) -> float:
        w = p * (self.radius / vector_norm(p, 2.0))
        return float(np.min(self.functions.values(w)))

    def run(self, most: int, beaten: float) -> SphereBound:
        size = self.functions.size
        for axis in range(size):
            for side in (1.0, -1.0):
                self._push((axis, side, ((-1.0, 1.0),) * (size - 1)))
        each = max(1, self.functions.count)
        boxes = min(most, SPHERE_VALUES // each)
        few = min(boxes, BEATEN_SPHERE_BOXES, BEATEN_SPHERE_VALUES // each)
        count = 0
        while self.queue and count < (boxes if self.best <= beaten else few):
            upper, _, widest, box = self.queue[0]
            if -upper <= self._target():
                break
            heapq.heappop(self.queue)
            axis, side, edges = box
            low, high = edges[widest]
            middle = 0.5 * (low + high)
            for half in ((low, middle), (middle, high)):
                self._push((axis, side, (*edges[:widest], half, *edges[widest + 1 :])))
            count += 1
        top = -self.queue[0][0] if self.queue else -math.inf
        return SphereBound(max(top, self.dropped), self.best, count)

    def _target(self) -> float:
        return self.best * (1.0 + _ENOUGH) if self.best > 0.0 else self.best

    def _push(self, box: _Box) -> None:
        axis, side, edges = box
        middle = [0.5 * (low + high) for low, high in edges]
        p = np.array([*middle[:axis], side, *middle[axis:]])
        self.best = max(self.best, self._value(p))
        upper, widest = self._upper(box)
        if upper <= self._target():
            # Nothing inside can change the answer; its bound is still counted.
            self.dropped = max(self.dropped, upper)
            return
        heapq.heappush(self.queue, (-upper, next(self.serial), widest, box))

    def _point(self, box: _Box, *, centre: bool) -> tuple[list[Any], list[Any], Any]:
        """Return enclosures of p, of w and of 1/‖p‖ over a box, or at its centre."""
        from flint import arb

        axis, side, edges = box
        free = [
            arb(0.5 * (low + high), 0.0 if centre else 0.5 * (high - low)) for low, high in edges
        ]
        p = [*free[:axis], arb(side), *free[axis:]]
        inverse = 1 / (1 + sum((x * x for x in free), arb(0))).sqrt()
        return p, [arb(self.radius) * inverse * x for x in p], inverse

    def _upper(self, box: _Box) -> tuple[float, int]:
        """Return an upper bound over a box, and the edge to halve."""
        from flint import arb

        axis, _, edges = box
        lengths = [high - low for low, high in edges]
        p, w, inverse = self._point(box, centre=False)
        values = self.balls.all_values(w)
        upper = min(_above(value) for value in values)
        widest = int(np.argmax(lengths))
        if upper <= self._target():
            return upper, widest
        try:
            sloped = self.balls.margins(self.balls.blocks(w, tangents=True)[0])
        except KinkInBox:
            return upper, widest
        centre, at, _ = self._point(box, centre=True)
        middles = self.balls.all_values(at)
        free = [j for j in range(len(p)) if j != axis]
        offsets = [p[j] - centre[j] for j in free]
        scale = arb(self.radius) * inverse
        combined, tilt = arb(0), [arb(0)] * len(free)
        for n, ball in enumerate(sloped):
            slopes = slopes_of(ball.tangent, len(p))
            along = sum((a * x for a, x in zip(slopes, p, strict=True)), arb(0)) * inverse * inverse
            turned = [scale * (slopes[j] - p[j] * along) for j in free]
            change = sum((a * b for a, b in zip(turned, offsets, strict=True)), arb(0))
            upper = min(upper, _above(middles[n] + change))
            share = float(self.weights[n])
            if share > 0.0:
                combined += share * middles[n]
                tilt = [a + share * b for a, b in zip(tilt, turned, strict=True)]
        # Weights that sum to 1 up to rounding: their exact sum divides the bound out.
        total = sum((arb(float(q)) for q in self.weights if q > 0.0), arb(0))
        change = sum((a * b for a, b in zip(tilt, offsets, strict=True)), arb(0))
        upper = min(upper, _above((combined + change) / total))
        spread = [float(abs(a).upper()) * length for a, length in zip(tilt, lengths, strict=True)]
        if max(spread) > 0.0 and max(lengths) < 4.0 * min(lengths):
            widest = int(np.argmax(spread))
        return upper, widest


def _above(value: Any) -> float:
    """Return a double that is at least every number of the enclosure."""
    top = float(value.upper())
    return math.inf if math.isnan(top) else math.nextafter(top, math.inf)
