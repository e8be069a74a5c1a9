"""Where on a path to solve: few points where it is straight, many where it bends."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.errors import ParameterError
from lexmargin.inputs.kinds import checked_class
from lexmargin.ops.base import FloatArray
from lexmargin.paths.point import PathPoint

__all__ = ["AdaptiveGrid", "Walk"]

_FIRST_FACTOR = 2.0
"""Factor of the parameter to the second point, before anything is known of the bend."""
_LARGEST_FACTOR = 100.0
"""Largest factor between points where the path looks straight: more could skip an event."""
_SMALLEST_FACTOR = 1.001
"""Neighbours nearer than this are never refined: a path that jumps has no straight pieces there."""


@final
@checked_class
@dataclass(frozen=True)
class AdaptiveGrid:
    """Values of ρ chosen along the way.

    Between two neighbours the direction ``θ/‖θ‖₂`` is to differ by at most about ``tolerance`` from
    straight interpolation in ``log ρ``. The difference is estimated from three points in a row, by
    divided differences: an estimate, not a bound.

    Attributes:
        first, last: ends of the path, both always solved; ``first > last`` for the strengths of a
            regularization path.
        tolerance: in units of the length of the direction, in (0, 1).
        most: number of points after which nothing is refined any more.

    Raises:
        ParameterError: ends that are not positive or equal, or a tolerance outside (0, 1).
    """

    first: float
    last: float
    tolerance: float = 1e-2
    most: int = 200

    def __post_init__(self) -> None:
        ends = (self.first, self.last)
        if not all(math.isfinite(end) and end > 0 for end in ends):
            raise ParameterError(f"The grid's ends are {ends}.", "Give finite numbers > 0.")
        if self.first == self.last:
            raise ParameterError(f"Both ends of the grid are {self.first:g}.", "Give two ends.")
        if not 0.0 < self.tolerance < 1.0:
            raise ParameterError(
                f"The tolerance of the grid is {self.tolerance!r}.", "Give a number in (0, 1)."
            )
        if self.most < 2:
            raise ParameterError(f"most is {self.most}.", "Give at least 2 points.")


@final
class Walk:
    """The choice of the next ρ from the points so far; ``points`` are those that stand, in order.

    A point too far ahead is kept while the ones before it are filled in, so that every solved point
    appears in the path.
    """

    def __init__(self, grid: AdaptiveGrid) -> None:
        self._grid = grid
        self._sign = 1.0 if grid.last > grid.first else -1.0
        self._step = math.log(_FIRST_FACTOR)
        self._ahead: list[PathPoint] = []
        self.points: list[PathPoint] = []

    def __iter__(self) -> Iterator[float]:
        """Yield the next ρ to solve; give the answer to :meth:`add` before asking again."""
        grid = self._grid
        yield grid.first
        while self.points and self.points[-1].rho != grid.last:
            before = self.points[-1].rho
            if not self._ahead:
                left = abs(math.log(grid.last / before))
                # No sliver at the end.
                step = left if left <= 1.2 * self._step else self._step
                yield grid.last if step == left else before * math.exp(self._sign * step)
            else:
                yield math.sqrt(before * self._ahead[-1].rho)

    def add(self, point: PathPoint) -> None:
        """Take a solved point, and move on as far as the known points allow."""
        self._ahead.append(point)
        while self._ahead:
            found = self._ahead[-1]
            gap = abs(math.log(found.rho / self.points[-1].rho)) if self.points else 0.0
            bend = self._bend(found)
            solved = len(self.points) + len(self._ahead)
            fine = gap <= math.log(_SMALLEST_FACTOR) or solved >= self._grid.most
            if bend > self._grid.tolerance and not fine:
                return
            self.points.append(self._ahead.pop())
            if gap > 0.0:
                # The error grows like the square of the step.
                factor = math.sqrt(0.5 * self._grid.tolerance / max(bend, 1e-12))
                step = gap * min(max(factor, 0.3), 3.0)
                largest = math.log(_LARGEST_FACTOR)
                self._step = largest if solved >= self._grid.most else min(step, largest)

    def _bend(self, found: PathPoint) -> float:
        """Return the largest distance to be expected between path and chord in the last piece."""
        if not self.points:
            return 0.0
        now, last = _direction(found.theta), _direction(self.points[-1].theta)
        ahead = abs(math.log(found.rho / self.points[-1].rho))
        if len(self.points) < 2:
            # Of two points nothing is known but that a bend is no longer than the chord.
            return 0.25 * float(np.linalg.norm(now - last))
        before = self.points[-2]
        behind = abs(math.log(self.points[-1].rho / before.rho))
        slope = (last - _direction(before.theta)) / behind
        # ½ ahead (ahead + behind) θ'' is how far the extrapolation misses, ⅛ ahead² θ'' the chord.
        missed = float(np.linalg.norm(now - last - ahead * slope))
        return 0.25 * missed * ahead / (ahead + behind)


def _direction(theta: FloatArray) -> FloatArray:
    size = float(np.linalg.norm(theta))
    return theta / size if size > 0.0 else theta
