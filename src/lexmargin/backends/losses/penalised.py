"""The regularization path of linear margin functions, as a point of the constrained path.

``min L(w) + μ‖w‖^q`` is the minimum over r of ``L(w(r)) + μ r^q``, w(r) the answer on the ball of
radius r. There ``-dL/dr = L ‖g‖_*`` falls with r and ``μ q r^{q-1}`` does not: the radius is the
root of one function, in logarithms, however small both sides are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.backends.base import Compiled, Found, Request
from lexmargin.backends.losses.constrained_linear import LinearPathPoint, constrained_linear
from lexmargin.backends.options import Options
from lexmargin.backends.shape import Form, LossTerm, Shape, shape_of
from lexmargin.errors import UnsupportedError
from lexmargin.linalg.guarded import root_between
from lexmargin.linalg.norms import dual_norm
from lexmargin.linalg.rounding import EPS
from lexmargin.losses import SampleLoss
from lexmargin.ops.base import FloatArray
from lexmargin.separation.long_measures import affordable
from lexmargin.solution import Claim, Ran

__all__ = ["PenalisedPoint", "PenalisedProgram", "penalised_linear"]

_FLAT = -1e4
"""Stands for log 0: farther below everything than two doubles can differ in logarithms."""
_GROWTH = 4.0
"""Factor of the radius while a root is bracketed: larger makes the search between them longer."""
_MOST_RADII = 600
"""Radii tried outwards: 600 factors of 4 pass the range of doubles, so the end is reached."""
_NOTHING = -700.0
"""log of a radius that no double resolves beside 1."""
_LOST = 2
"""Radii that doubles do not solve, after which an answer in long numbers is cheaper."""
_ROOT = 4.0 * EPS
"""Accuracy of log ρ: a few roundings of 1, below which the root search would not end."""


@final
@dataclass(frozen=True, eq=False)
class PenalisedPoint:
    """The answer: w (d,), Newton steps in all, and whether every ball was solved."""

    w: FloatArray
    iterations: int
    converged: bool


def penalised_linear(
    rows: FloatArray,
    log_strength: float,
    norm: float,
    power: float,
    loss: SampleLoss,
) -> PenalisedPoint:
    """Return ``argmin L(w) + μ‖w‖_p^q``, with ``f_n = z_n·w``.

    Args:
        rows: z_n (N, d); of C classes sample by sample.
        log_strength: log μ.
        norm: p >= 1, or inf.
        power: q >= 1.
        loss: L.
    """
    search = _Radii(rows, log_strength, norm, power, loss)
    try:
        return _at_root(search, rows)
    except _TooShort as lost:
        return PenalisedPoint(lost.w, search.iterations, False)


def _at_root(search: _Radii, rows: FloatArray) -> PenalisedPoint:
    largest = float(np.max(np.abs(rows).sum(axis=1), initial=0.0))
    nothing = np.zeros(rows.shape[1])
    if not largest > 0.0 or search.origin_is_least(nothing):
        return PenalisedPoint(nothing, 0, True)
    low = high = -math.log(largest)
    while search.at(high) > 0.0 and search.count < _MOST_RADII:
        low, high = high, high + math.log(_GROWTH)
    while search.at(low) <= 0.0:
        low, high = low - math.log(_GROWTH), low
        if low < _NOTHING:
            return PenalisedPoint(nothing, search.iterations, True)
    root = root_between(search.at, low, high, _ROOT)
    point = search.point(root)
    return PenalisedPoint(point.w, search.iterations, point.converged)


@final
class _TooShort(Exception):
    """Raised where doubles are too short for the balls of a search."""

    def __init__(self, w: FloatArray) -> None:
        super().__init__()
        self.w = w


@final
class _Radii:
    """The slope of the loss against that of the penalty, at radii asked for one after another."""

    def __init__(
        self, rows: FloatArray, log_strength: float, norm: float, power: float, loss: SampleLoss
    ) -> None:
        self.rows, self.norm, self.power, self.loss = rows, norm, power, loss
        self.level = log_strength + math.log(power)
        self.known: dict[float, LinearPathPoint] = {}
        self.iterations = self.lost = 0

    @property
    def count(self) -> int:
        """How many radii were asked for."""
        return len(self.known)

    def point(self, log_radius: float) -> LinearPathPoint:
        """Return the constrained path at a radius, from the nearest one known."""
        if log_radius not in self.known:
            near = min(self.known, key=lambda r: abs(r - log_radius), default=None)
            begin = None if near is None else self.known[near].w
            found = self._solved(math.exp(log_radius), begin)
            if begin is not None and not found.converged:
                found = self._solved(math.exp(log_radius), None)
            self.known[log_radius] = found
            self.iterations += found.iterations
            self.lost += not found.converged
            if self.lost >= _LOST and affordable(*self.rows.shape) and np.any(found.w):
                raise _TooShort(found.w)
        return self.known[log_radius]

    def _solved(self, radius: float, begin: FloatArray | None) -> LinearPathPoint:
        return constrained_linear(self.rows, radius, self.norm, self.loss, begin)

    def at(self, log_radius: float) -> float:
        """Return ``log(-dL/dr) - log(μ q r^{q-1})``: positive where the ball is too small."""
        return self._slope(self.point(log_radius)) - self.level - (self.power - 1.0) * log_radius

    def _slope(self, point: LinearPathPoint) -> float:
        with np.errstate(under="ignore"):
            weights = np.exp(point.log_weights - point.log_loss)
        pull = dual_norm(weights @ self.rows, self.norm)
        return max(_FLAT, point.log_loss + math.log(pull)) if pull > 0.0 else _FLAT

    def origin_is_least(self, origin: FloatArray) -> bool:
        """Say whether the loss falls at 0 not at all, or slower than a penalty of power 1 grows."""
        from lexmargin.backends.losses.linear_loss import LinearLoss

        problem = LinearLoss(self.rows, self.loss)
        values = problem.values(origin)
        pull = dual_norm(np.exp(problem.weights(values)) @ self.rows, self.norm)
        return pull == 0.0 or (self.power == 1.0 and math.log(pull) <= self.level)


@final
class NewtonOptions(Options):
    """None of its own: the methods end at rounding level."""

    method = "Newton's method for the paths"


@final
class PenalisedProgram(Compiled):
    """``min L(w) + μ‖w‖_p^q`` of linear margin functions."""

    def _build(self) -> None:
        found = shape_of(self.program)
        loss = None if found is None or found.form is not Form.PENALTY else found.loss
        if found is None or loss is None or not found.affine:
            raise UnsupportedError(
                f"This {self.program.name} program is no penalised loss of linear margin "
                "functions.",
                "Use cvxpy if the program is convex, else pyomo or casadi.",
            )
        self._shape: Shape = found
        self._loss: LossTerm = loss
        self._functions = found.margins.functions
        self._rows = self._functions.jacobian(np.zeros(self._functions.size))

    def _run(self, request: Request) -> Found:
        # A start is not used: the method begins with radii, not with a point.
        NewtonOptions.read(request.settings)
        shape, loss = self._shape, self._loss
        point = penalised_linear(self._rows, loss.log_strength, shape.norm, shape.power, loss.loss)
        blocks = self._functions.blocks(point.w)
        return Found(
            Ran.FINISHED if point.converged else Ran.ITERATION_LIMIT,
            "the radius is solved for" if point.converged else "a ball was not solved",
            Claim.OPTIMAL if point.converged else Claim.NOTHING,
            values=dict(zip(shape.margins.blocks, blocks, strict=True)),
            iterations=point.iterations,
        )
