"""The programs of the toolkit's own Newton methods, for the paths that solvers do not reach.

The constrained and the regularization path of linear margin functions in any norm, where convex
solvers stop at 1e-5 and cannot see below 36 nats at all; and the Euclidean paths (eq. 5, eq. 6) of
smooth margin functions, whose margins may be 1e12; eq. 5 also of networks with kinks.
"""

from __future__ import annotations

from typing import final

import numpy as np

from lexmargin.backends.base import Compiled, Found, Request
from lexmargin.backends.losses.constrained_linear import LinearPathPoint, constrained_linear
from lexmargin.backends.losses.kinked_descent import kinked_descent
from lexmargin.backends.losses.newton_backend import fits, kinked
from lexmargin.backends.losses.penalised import NewtonOptions
from lexmargin.backends.losses.smoothed_max import EntropicPoint, correct, escape, follow
from lexmargin.backends.shape import Form, LossTerm, Shape, shape_of
from lexmargin.errors import UnsupportedError
from lexmargin.formulations.base import MARGIN
from lexmargin.inputs.limits import NEWTON_PARAMETERS
from lexmargin.linalg.norms import dual_norm
from lexmargin.ops.base import FloatArray
from lexmargin.solution import Claim, Ran

__all__ = ["NewtonProgram", "SmoothProgram"]


@final
class NewtonProgram(Compiled):
    """``min log L(w)  s.t.  ‖w‖_p <= ρ``, ``f_n = z_n·w``, levels peeled for p = 1, ∞."""

    def _build(self) -> None:
        found = shape_of(self.program)
        loss = None if found is None or found.form is not Form.BALL else found.loss
        if found is None or loss is None or not found.affine or found.power != 1.0:
            raise UnsupportedError(
                f"This {self.program.name} program is not a log-loss of linear margin functions "
                "over a ball.",
                "Use cvxpy if the program is convex, else pyomo or casadi.",
            )
        self._shape: Shape = found
        self._loss: LossTerm = loss
        self._functions = found.margins.functions
        self._rows = self._functions.jacobian(np.zeros(self._functions.size))
        self._blocks = found.margins.blocks

    def _run(self, request: Request) -> Found:
        NewtonOptions.read(request.settings)
        known, radius = request.values, request.parameters[self._shape.radius]
        # A point alone may lie on a wrong face; with its multiplier it is the path's own.
        warm = self._functions.flatten([known[name] for name in self._blocks])
        begin = warm if request.multipliers and np.any(warm) else None
        point = self._point(radius, begin)
        if begin is not None and not point.converged:
            point = self._point(radius, None)
        blocks = self._functions.blocks(point.w)
        # ∂ log L*/∂ρ: the dual norm of the gradient of log L.
        with np.errstate(under="ignore"):
            weights = np.exp(point.log_weights - point.log_loss)
        ball = np.array(dual_norm(weights @ self._rows, self._shape.norm))
        status = f"residual {point.residual:.1e}, levels {point.nats:.1f} nats below the heaviest"
        return Found(
            Ran.FINISHED if point.converged else Ran.ITERATION_LIMIT,
            status,
            Claim.OPTIMAL if point.converged else Claim.NOTHING,
            values=dict(zip(self._blocks, blocks, strict=True)),
            multipliers={self._shape.ball: ball},
            iterations=point.iterations,
        )

    def _point(self, radius: float, begin: FloatArray | None) -> LinearPathPoint:
        return constrained_linear(self._rows, radius, self._shape.norm, self._loss.loss, begin)


@final
class SmoothProgram(Compiled):
    """Eq. 5 or eq. 6 of smooth margin functions in ``w = ρθ``, ``‖w‖₂ <= ρ``; eq. 5 of kinked."""

    def _build(self) -> None:
        found = shape_of(self.program)
        functions = None if found is None else found.margins.functions
        if (
            found is None
            or functions is None
            or not (found.form is Form.MAX or (found.loss is not None and found.loss.logarithm))
            or not fits(functions, found.norm)
            or (found.form is Form.MAX and kinked(functions))
        ):
            raise UnsupportedError(
                f"This {self.program.name} program is no path (eq. 5, eq. 6) of smooth margin "
                f"functions in the Euclidean norm with at most {NEWTON_PARAMETERS} parameters.",
                "Use cvxpy if the program is convex, else pyomo or casadi.",
            )
        self.functions, self._shape = functions, found
        self._kinked = kinked(functions)
        self._squared = found.power == 2.0
        self._offsets = None if found.loss is None else found.loss.loss.logs

    def _run(self, request: Request) -> Found:
        NewtonOptions.read(request.settings)
        known, given = request.values, request.parameters[self._shape.radius]
        rho = float(np.sqrt(given)) if self._squared else given
        shape, names = self._shape, self._shape.margins.blocks
        theta = self.functions.flatten([known[name] for name in names])
        if not np.any(theta) or not np.all(np.isfinite(self.functions.values(theta))):
            return Found(Ran.NUMERICAL, "the margins are not defined at the start")
        weights = (request.multipliers or {}).get(MARGIN)
        point = self._point(rho, theta, weights)
        values: dict[str, FloatArray] = dict(
            zip(names, self.functions.blocks(rho * point.theta), strict=True)
        )
        if shape.level:
            values[shape.level] = np.array(float(self.functions.values(rho * point.theta).min()))
        with np.errstate(under="ignore"):
            share = np.exp(point.log_weights)
        scale = 2.0 * rho * rho if self._squared else rho
        return Found(
            Ran.FINISHED if point.converged else Ran.NUMERICAL,
            f"residual {point.residual:.1e}, push of the ball {point.push:.3g}",
            Claim.LOCALLY_OPTIMAL if point.converged else Claim.NOTHING,
            values=values,
            multipliers={MARGIN: share, shape.ball: np.array(max(point.push, 0.0) / scale)},
            iterations=point.iterations,
        )

    def _point(self, rho: float, theta: FloatArray, weights: FloatArray | None) -> EntropicPoint:
        if self._kinked:
            return kinked_descent(self.functions, rho, theta, self._offsets)
        temperature = 0.0 if self._shape.level else 1.0
        point = None
        if weights is not None and np.any(weights > 0):
            point = self._warm(rho, theta, weights, temperature)
        if point is None:
            point = follow(self.functions, rho, temperature, theta, offsets=self._offsets)
        if not point.converged:
            return point
        beside = escape(self.functions, rho, temperature, point)
        if beside is None:
            return point
        size = float(np.abs(self.functions.values(rho * beside)).max())
        lower = follow(
            self.functions,
            rho,
            temperature,
            beside,
            first=max(temperature, 1e-2 * size),
            offsets=self._offsets,
        )
        return lower if lower.converged else point

    def _warm(
        self, rho: float, theta: FloatArray, weights: FloatArray, temperature: float
    ) -> EntropicPoint | None:
        """Return the point near the last one and its weights, None where the path ends or turns."""
        functions, offsets = self.functions, self._offsets
        theta = theta / np.linalg.norm(theta)
        with np.errstate(divide="ignore"):
            start = EntropicPoint(theta, np.log(weights), np.nan, np.inf, 0.0, 0)
        size = float(np.abs(functions.values(rho * theta)).max())
        epsilon = max(temperature, 1e-14 * size)
        found = correct(functions, rho, epsilon, start, offsets=offsets, most=15)
        if not found.converged:
            found = follow(functions, rho, temperature, theta, first=temperature, offsets=offsets)
        return found if found.converged else None
