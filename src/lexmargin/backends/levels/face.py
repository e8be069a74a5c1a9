"""Lexicographic max margin of linear scores by following the optimal face (Definition 5).

Level by level ``max t  s.t.  θ·z_n >= t`` over the current face of the ball. A free sample with a
positive multiplier is tight in every optimum, and a bound of the ball with a nonzero multiplier is
active in every optimum: both become equalities, and the face loses dimensions until every margin
is constant. The multipliers of the levels are the proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.backends.levels.face_lp import maximise_minimum
from lexmargin.backends.linear.simplex_solver import simplex_solver
from lexmargin.errors import (
    NotSeparableError,
    ParameterError,
    SolverFailedError,
    UnsupportedError,
)
from lexmargin.formulations.lexicographic import Level, Lexicographic, Proof
from lexmargin.inputs.limits import NORM_ENTRIES
from lexmargin.linalg.faces import RESOLUTION, BoolArray, Face
from lexmargin.linalg.rounding import EPS
from lexmargin.ops.base import FloatArray, IntArray

__all__ = ["FaceAnswer", "face_levels", "solve_face", "supports_face"]

_SOLVED = 1e-9
"""Relative gap of an answer that needs no second method."""


@final
@dataclass(frozen=True, eq=False)
class FaceAnswer:
    """The end of the chain of levels.

    Attributes:
        theta: (d,) in the unit ball.
        margins: (N,) ``θ·z_n``.
        levels: one per linear program, values not decreasing.
        unique: θ is shown to be the only one (False: not shown).
        solves: linear programs solved.
        active: per level the coordinates (θ for ℓ∞, (p, q) for ℓ1) fixed so far.
    """

    theta: FloatArray
    margins: FloatArray
    levels: tuple[Level, ...]
    unique: bool
    solves: int
    active: tuple[BoolArray, ...] = ()


def supports_face(problem: Lexicographic) -> bool:
    """Say whether :func:`solve_face` handles the problem: linear scores, in any norm."""
    size = problem.functions.count * problem.functions.size
    return problem.scored and (problem.norm in (1.0, 2.0, np.inf) or size <= NORM_ENTRIES)


def solve_face(problem: Lexicographic) -> FaceAnswer:
    """Solve a lexicographic problem whose margins are an increasing function of ``θ·z_n``.

    Raises:
        UnsupportedError: other margin functions or norms, or the method of ordered sums.
        NotSeparableError: the first margin is not positive.
    """
    Z = problem.score_matrix()
    if Z is None or not supports_face(problem) or not problem.saturates:
        raise UnsupportedError(
            "Following the optimal face needs linear scores and saturation.",
            "Solve the staged programs with a convex or nonlinear backend instead.",
        )
    answer = face_levels(Z, problem.norm_p, problem.levels)
    return problem_scale(problem, answer)


def problem_scale(problem: Lexicographic, answer: FaceAnswer) -> FaceAnswer:
    """Return the answer with margins ``f_n`` instead of scores ``θ·z_n`` (log predictors)."""
    margins = problem.functions.values(answer.theta)
    if problem.linear:
        return answer
    return FaceAnswer(
        answer.theta,
        margins,
        tuple(level.with_value(problem.margin_of_score(level.value)) for level in answer.levels),
        answer.unique,
        answer.solves,
        answer.active,
    )


def face_levels(Z: FloatArray, norm: float, count: int | None = None) -> FaceAnswer:
    """Return the lexicographic max margin of ``θ·z_n`` over ``‖θ‖ <= 1``.

    Args:
        Z: (N, d) rows ``z_n = y_n x_n``.
        norm: p of the ball; between 1 and inf one direction is all there is.
        count: how many smallest margins to settle (k of Definition 5); None for all.

    Raises:
        NotSeparableError: the first margin is not positive beyond rounding.
        SolverFailedError: the working set was not solved.
        ParameterError: no samples, or numbers that are not finite.
    """
    Z = np.ascontiguousarray(Z, dtype=np.float64)
    if Z.ndim != 2 or 0 in Z.shape or not np.all(np.isfinite(Z)):
        raise ParameterError("Z must be a finite matrix with one row per sample.")
    exponent = int(np.frexp(np.max(np.abs(Z), initial=0.0))[1])
    scaled = np.ldexp(Z, -exponent)
    unit = float(np.ldexp(1.0, exponent))
    if norm == 2.0:
        from lexmargin.backends.linear.least_distance import euclidean_margin

        values = np.zeros(1)
        try:
            theta, multipliers, solves = euclidean_margin(scaled)
            values = scaled @ theta
            _require_positive(float(values.min()), scaled)
        except NotSeparableError:
            theta = multipliers = np.zeros(0)
        bound = float(np.linalg.norm(multipliers @ scaled)) if multipliers.size else 0.0
        if not float(values.min()) >= bound * (1.0 - _SOLVED) > 0.0:
            # Its tolerances are those of rows of one size.
            return _round(Z, scaled, norm, unit)
        level = _only_level(values, multipliers, unit)
        return FaceAnswer(theta, Z @ theta, (level,), True, solves)
    if 1.0 < norm < np.inf:
        return _round(Z, scaled, norm, unit)
    chain = _Chain(scaled, norm, unit)
    while chain.free.size and (count is None or chain.settled < count):
        chain.advance()
    theta = chain.face.theta()
    return FaceAnswer(
        theta,
        Z @ theta,
        tuple(chain.levels),
        chain.face.dimension == 0,
        chain.solves,
        tuple(chain.active),
    )


def _round(Z: FloatArray, scaled: FloatArray, norm: float, unit: float) -> FaceAnswer:
    """Answer in a ball without flat faces, by the active sets of the hard margin."""
    from lexmargin.backends.linear.constraint_generation import hard_margin_linear
    from lexmargin.backends.linear.linear_answer import LinearStatus

    found = hard_margin_linear(scaled, np.ones(scaled.shape[0]), norm=norm)
    if found.status is LinearStatus.NOT_SEPARABLE or not np.any(found.theta):
        _require_positive(-1.0, scaled)
    if found.status not in (LinearStatus.OPTIMAL, LinearStatus.INACCURATE):
        raise SolverFailedError(
            f"The max margin ended with {found.status.value}.",
            "Name another solver, such as clarabel.",
        )
    values = scaled @ found.theta
    share = found.multipliers / found.multipliers.sum()
    level = _only_level(values, share, unit)
    return FaceAnswer(found.theta, Z @ found.theta, (level,), True, found.passes)


def _require_positive(margin: float, Z: FloatArray) -> None:
    floor = 64 * EPS * float(np.linalg.norm(Z, axis=1).max())
    if not margin > floor:
        raise NotSeparableError(
            f"The first margin is {margin:.3g} in units of the largest entry of the data: "
            "no direction with a positive margin was found.",
            "Check the exact verdict on separability; add features or drop contradictory samples.",
        )


def _only_level(values: FloatArray, multipliers: FloatArray, unit: float) -> Level:
    value = float(values.min())
    tight = np.flatnonzero(
        (multipliers > RESOLUTION.multiplier) | (values <= value * (1 + RESOLUTION.tie))
    )
    rest = np.setdiff1d(np.arange(values.size), tight)
    return Level(value * unit, _indices(tight), _indices(rest), 0, Proof.DUAL, multipliers)


def _indices(samples: IntArray) -> tuple[int, ...]:
    return tuple(int(n) for n in np.sort(samples))


@final
class _Chain:
    """The face, the samples still in competition, and the levels so far."""

    def __init__(self, Z: FloatArray, norm: float, unit: float) -> None:
        self.face = Face.whole(Z, norm)
        self.solver = simplex_solver()
        self.free: IntArray = np.arange(Z.shape[0], dtype=np.int64)
        # Of the free samples on the face, from the second level on.
        self.slopes: FloatArray = np.zeros((Z.shape[0], 0))
        self.levels: list[Level] = []
        self.active: list[BoolArray] = []
        self.solves = 0
        self.settled = 0
        self.unit = unit
        self.first = 0.0
        self.Z = Z
        # Products of rows with an orthonormal basis are known to this much.
        self.rounding = 16 * EPS * float(np.linalg.norm(Z, axis=1).max(initial=0.0))

    def advance(self) -> None:
        """Solve one level and move to the face of its optima."""
        basis = self.face.basis
        whole = basis is None
        point, multipliers, active = self._whole_ball() if basis is None else self._on_face(basis)
        if whole:
            self.first = float(np.min(self._margins(point)))
            _require_positive(self.first, self.Z)
        floor = max(RESOLUTION.constant * self.first, self.rounding)
        tight = np.flatnonzero(multipliers > RESOLUTION.multiplier)
        samples = self.free[tight]
        self.face = self.face.at(point).cut(self.face.rows[samples], active, floor)
        self.active.append(~self.face.free)
        values = self.face.values()
        share = multipliers[tight] / multipliers[tight].sum()
        value = float(share @ values[samples])
        slopes = self.face.slopes(self.free)
        still = np.linalg.norm(slopes, axis=1) <= floor
        tied = np.zeros(still.size, dtype=bool)
        tied[tight] = True
        still |= tied
        leaving = self.free[still]
        equal = np.abs(values[leaving] - value) <= RESOLUTION.tie * self.first
        equal |= tied[still]
        weights = np.zeros(self.face.rows.shape[0])
        weights[self.free] = multipliers
        self.levels.append(
            Level(
                value * self.unit,
                _indices(leaving[equal]),
                _indices(leaving[~equal]),
                self.face.dimension,
                Proof.DUAL,
                weights,
            )
        )
        self.free, self.slopes = self.free[~still], slopes[~still]
        limit = value + RESOLUTION.tie * self.first
        near = values <= limit
        self.settled = int(np.count_nonzero(near) - np.count_nonzero(near[self.free]))

    def _margins(self, point: FloatArray) -> FloatArray:
        return self.face.at(point).values()

    def _whole_ball(self) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Level 1, in the coordinates x: bounds of the ball are bounds of variables."""
        face = self.face
        simplex = face.norm == 1.0
        size = face.point.size
        R = np.ones((1, size)) if simplex else np.zeros((0, size))
        one = np.ones(R.shape[0])
        pull = face.rows.sum(axis=0)
        guess = (np.arange(size) == np.argmax(pull)) * 1.0 if simplex else np.sign(pull)
        answer = maximise_minimum(
            self.solver,
            face.rows,
            np.zeros(face.rows.shape[0]),
            R,
            (one, one),
            (face.lower, np.inf if simplex else 1.0),
            guess,
        )
        self.solves += answer.solves
        active = np.abs(answer.columns) > RESOLUTION.multiplier * _top(answer.columns)
        x = answer.x.copy()
        x[active] = 0.0 if simplex else np.sign(x[active])
        # The equalities of the level, with τ unknown, hold at the vertex up to the LP's tolerance.
        inner = np.flatnonzero(~active)
        tight = np.flatnonzero(answer.multipliers > RESOLUTION.multiplier)
        system = np.hstack([face.rows[np.ix_(tight, inner)], np.full((tight.size, 1), -1.0)])
        gap = answer.value - face.rows[tight] @ x
        if simplex:
            system = np.vstack([system, np.append(np.ones(inner.size), 0.0)])
            gap = np.append(gap, 1.0 - x.sum())
        x[inner] += _least_correction(system, gap)[:-1]
        return x, answer.multipliers, active

    def _on_face(self, basis: FloatArray) -> tuple[FloatArray, FloatArray, BoolArray]:
        """A later level, in the coordinates s of the face."""
        face = self.face
        slopes = self.slopes
        values = face.values()[self.free]
        # The face may be 1e-6 wide where the ball is 1: the level is solved at its own scale.
        scale = float(np.linalg.norm(slopes, axis=1).max())
        base = float(values.min())
        A, r = slopes / scale, (values - base) / scale
        lengths = np.linalg.norm(basis, axis=1)
        moving = np.flatnonzero(lengths > RESOLUTION.rank)
        length = lengths[moving]
        R = basis[moving] / length[:, None]
        x = face.point[face.free][moving]
        low = np.minimum((face.lower - x) / length, 0.0)
        high = np.full(x.size, np.inf) if face.norm == 1.0 else np.maximum((1 - x) / length, 0.0)
        origin = np.zeros(basis.shape[1])
        everywhere = (-np.inf, np.inf)
        answer = maximise_minimum(
            self.solver, A, r, R, (low, high), everywhere, origin, feasible=True
        )
        self.solves += answer.solves
        blocked = np.abs(answer.rows) > RESOLUTION.multiplier * max(1.0, _top(answer.rows))
        tight = np.flatnonzero(answer.multipliers > RESOLUTION.multiplier)
        bound = np.where(answer.rows > 0, low, high)[blocked]
        system = np.vstack(
            [
                np.hstack([A[tight], np.full((tight.size, 1), -1.0)]),
                np.hstack([R[blocked], np.zeros((bound.size, 1))]),
            ]
        )
        gap = np.concatenate(
            [answer.value - r[tight] - A[tight] @ answer.x, bound - R[blocked] @ answer.x]
        )
        s = answer.x + _least_correction(system, gap)[:-1]
        point = face.point.copy()
        free = np.flatnonzero(face.free)
        point[free] += basis @ s
        active = np.zeros(point.size, dtype=bool)
        active[free[moving[blocked]]] = True
        if face.norm == 1.0:
            point[active] = 0.0
        else:
            point[active] = np.sign(point[active])
        return point, answer.multipliers, active


def _top(values: FloatArray) -> float:
    return float(np.max(np.abs(values), initial=0.0))


def _least_correction(system: FloatArray, gap: FloatArray) -> FloatArray:
    correction = np.linalg.lstsq(system, gap, rcond=1e-11)[0]
    return np.asarray(correction, dtype=np.float64)
