"""Trace a path of the paper over a grid of ρ: one compilation, warm starts, every point judged."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, final

import numpy as np

from lexmargin.backends import Backend, Compiled
from lexmargin.certificate import Certificate, Tolerances, certify
from lexmargin.errors import ParameterError, UnsupportedError
from lexmargin.formulations import (
    ConstrainedPath,
    Formulation,
    HardMargin,
    MarginPath,
    RegularizationPath,
)
from lexmargin.formulations.base import StageAnswer
from lexmargin.library import Library
from lexmargin.library import grade as named_grade
from lexmargin.library_profiles import Grade, Profile
from lexmargin.ops.base import FloatArray
from lexmargin.run import natural_unit, require, starting_theta
from lexmargin.solution import Ran, RawAnswer, SolverSettings, finite
from lexmargin.solve import AUTO, Progress, choose_profile, solve

__all__ = ["PathEnd", "PathPoint", "TracedPath", "trace"]

_STEEPEST = 4.0
"""Longest step of the continuation as a factor of ρ; longer grids get points in between."""


class PathEnd(StrEnum):
    """Why a trace ended."""

    COMPLETE = "every point was solved"
    TIME_LIMIT = "the time limit was reached; the remaining points are missing"
    FAILED = "the solver gave no point; the remaining points are missing"
    INTERRUPTED = "it was interrupted; the remaining points are missing"


@final
@dataclass(frozen=True, eq=False)
class PathPoint:
    """One point of a path.

    Attributes:
        rho: ρ (for the regularization path: the strength μ).
        theta: (d,), as the formulation states it.
        objective: recomputed by us.
        margin: γ(ρ, θ) = min_n f_n(ρθ).
        best_margin: γ*(ρ), the best margin known at this scale; NaN if not asked for.
        certificate: our word about this point.
        ran, seconds: the solver's run.
    """

    rho: float
    theta: FloatArray
    objective: float
    margin: float
    best_margin: float
    certificate: Certificate
    ran: Ran
    seconds: float

    def slack(self, count: int) -> float:
        """Return ``log N - (γ*(ρ) - γ(ρ, θ_c))``, the slack of Lemma 3 (eq. 8)."""
        return math.log(count) - (self.best_margin - self.margin)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "rho": self.rho,
            "theta": finite(self.theta),
            "objective": finite(self.objective),
            "margin": finite(self.margin),
            "best_margin": finite(self.best_margin),
            "verdict": self.certificate.verdict.value,
            "stationarity": finite(self.certificate.stationarity),
            "ran": self.ran.value,
            "seconds": self.seconds,
        }


@final
@dataclass(frozen=True, eq=False)
class TracedPath:
    """A path on the grid that was solved, and what holds on this grid.

    ``assumption_1``: log L* strictly decreases in ρ (constrained path). ``assumption_2``: γ*(ρ)
    strictly increases. None where the path does not show it.
    """

    problem: str
    points: tuple[PathPoint, ...]
    missing: tuple[float, ...]
    end: PathEnd
    count: int
    assumption_1: bool | None
    assumption_2: bool | None
    seed: int
    solver: str

    @property
    def certified(self) -> bool:
        """True when nothing is missing and every point is certified."""
        return not self.missing and all(p.certificate.certified for p in self.points)

    def slacks(self) -> FloatArray:
        """Return the slack of Lemma 3 at every point."""
        return np.array([point.slack(self.count) for point in self.points])

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "problem": self.problem,
            "solver": self.solver,
            "seed": self.seed,
            "end": self.end.name,
            "missing": list(self.missing),
            "assumption_1": self.assumption_1,
            "assumption_2": self.assumption_2,
            "points": [
                {**point.to_json(), "lemma_3_slack": finite(point.slack(self.count))}
                for point in self.points
            ],
        }


def trace(
    problem: Formulation,
    rhos: Sequence[float],
    *,
    solver: str = AUTO,
    grade: str = "default",
    seed: int = 0,
    time_limit: float | None = None,
    margins: bool = True,
    library: Library | None = None,
    progress: Progress | None = None,
) -> TracedPath:
    """Solve a path problem at every ρ of an increasing grid, each point from the one before.

    ρ stands on the right-hand side of the programs alone (w = ρθ), so that model and derivatives
    are compiled once for the exponential loss.

    Args:
        problem: a :class:`MarginPath`, :class:`ConstrainedPath` or :class:`RegularizationPath`;
            its own ρ (strength) is not used.
        rhos: increasing positive numbers (strengths: decreasing).
        solver, grade, seed, library: as for :func:`solve`.
        time_limit: seconds; what was solved by then is kept, the rest is listed as missing.
        margins: also compute γ*(ρ), for Lemma 3 and Assumption 2.
        progress: called with a short line per point.

    Raises:
        ParameterError: an empty or unsorted grid, or a value that is not positive.
        UnsupportedError: a problem without a path parameter.
    """
    grid = _checked_grid(problem, rhos)
    if time_limit is not None and not time_limit > 0:
        raise ParameterError(f"The time limit is {time_limit} s.", "Give a positive number.")
    shelves = library or Library()
    profile = choose_profile(problem, shelves) if solver == AUTO else shelves.profile(solver)
    follower = _Follower(problem, profile, named_grade(grade), require(profile), seed, time_limit)
    best = _best_margins(problem, grid, seed, shelves) if margins else [math.nan] * len(grid)
    points: list[PathPoint] = []
    end = PathEnd.COMPLETE
    try:
        for index, (rho, known) in enumerate(zip(grid, best, strict=True)):
            if follower.expired:
                end = PathEnd.TIME_LIMIT
                break
            if progress is not None:
                progress(f"ρ = {rho:g}, point {index + 1} of {len(grid)}")
            point = follower.point(rho, known)
            if point is None:
                end = PathEnd.FAILED if follower.failed else PathEnd.TIME_LIMIT
                break
            points.append(point)
    except KeyboardInterrupt:
        end = PathEnd.INTERRUPTED
    return TracedPath(
        problem=problem.name.value,
        points=tuple(points),
        missing=tuple(grid[len(points) :]),
        end=end,
        count=problem.functions.count,
        assumption_1=_decreases([p.objective for p in points])
        if isinstance(problem, ConstrainedPath)
        else None,
        assumption_2=_decreases([-p.best_margin for p in points]) if margins else None,
        seed=seed,
        solver=profile.name,
    )


def _checked_grid(problem: Formulation, rhos: Sequence[float]) -> list[float]:
    grid = [float(rho) for rho in rhos]
    if not isinstance(problem, (MarginPath, ConstrainedPath, RegularizationPath)):
        raise UnsupportedError(
            f"{problem.name} has no path parameter.",
            "Trace a margin path, a constrained path or a regularization path.",
        )
    if not grid:
        raise ParameterError("The grid is empty.", "Give at least one value.")
    if not all(math.isfinite(rho) and rho > 0 for rho in grid):
        raise ParameterError("The grid has values that are not positive.", "Give rho > 0 only.")
    falling = isinstance(problem, RegularizationPath)
    steps = np.diff(grid)
    if not np.all(steps < 0 if falling else steps > 0):
        word = "decreasing strengths" if falling else "increasing values of rho"
        raise ParameterError("The grid is not sorted.", f"Give strictly {word}.")
    return grid


def _decreases(values: list[float]) -> bool | None:
    if len(values) < 2 or not np.all(np.isfinite(values)):
        return None
    return bool(np.all(np.diff(values) < 0))


def _at(problem: Formulation, rho: float) -> Formulation:
    if isinstance(problem, RegularizationPath):
        return replace(problem, strength=rho)
    assert isinstance(problem, (MarginPath, ConstrainedPath))
    return replace(problem, rho=rho)


def _best_margins(
    problem: Formulation, grid: list[float], seed: int, library: Library
) -> list[float]:
    """Return γ*(ρ) at every ρ: one hard margin for homogeneous predictors, a path for the rest."""
    if isinstance(problem, RegularizationPath):
        return [math.nan] * len(grid)
    alpha = problem.functions.homogeneity.degree
    predictor, data, p = problem.predictor, problem.data, problem.norm_p
    if alpha is not None:
        starts = 1 if problem.program().is_convex else 5
        found = solve(
            HardMargin(predictor, data, norm=p), starts=starts, seed=seed, library=library
        )
        return [found.margin * rho**alpha for rho in grid]
    path = trace(
        MarginPath(predictor, data, norm=p), grid, seed=seed, margins=False, library=library
    )
    return [point.margin for point in path.points]


class _Follower:
    """The state of one continuation: the compiled model, the last point and its multipliers."""

    def __init__(
        self,
        problem: Formulation,
        profile: Profile,
        grade: Grade,
        engine: Backend,
        seed: int,
        time_limit: float | None,
    ) -> None:
        self._problem, self._profile, self._grade, self._engine = problem, profile, grade, engine
        self._deadline = None if time_limit is None else time.monotonic() + time_limit
        self._rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
        self._compiled: Compiled | None = None
        self._unit = 1.0
        self._theta: FloatArray | None = None
        self._rho = 0.0
        self._multipliers: dict[str, FloatArray] | None = None
        self.failed = False

    @property
    def expired(self) -> bool:
        """True when the time is up."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def point(self, rho: float, best_margin: float) -> PathPoint | None:
        """Return the point at ρ, stepping there in factors of at most four; None out of time."""
        began = time.monotonic()
        if self._rho:
            steps = math.ceil(abs(math.log(rho / self._rho)) / math.log(_STEEPEST) - 1e-9)
            for k in range(1, steps):
                if self._solve(self._rho * (rho / self._rho) ** (k / steps)) is None:
                    return None
        found = self._solve(rho)
        if found is None:
            return None
        theta, raw = found
        problem = _at(self._problem, rho)
        return PathPoint(
            rho=rho,
            theta=theta,
            objective=problem.objective(theta),
            margin=float(problem.functions.values(problem.rho_value * theta).min()),
            best_margin=best_margin,
            certificate=certify(problem, theta, tolerances=Tolerances.at(self._grade.verified)),
            ran=raw.ran,
            seconds=time.monotonic() - began,
        )

    def _solve(self, rho: float) -> tuple[FloatArray, RawAnswer] | None:
        problem = _at(self._problem, rho)
        if self._theta is None:
            start = starting_theta(problem, None, self._rng)
            self._unit = natural_unit(problem, start)
        else:
            start = self._theta
        initial = problem.initial_values(start, self._unit)
        answers: tuple[StageAnswer, ...] = ()
        raw: RawAnswer | None = None
        while (program := problem.next_program(answers, self._unit)) is not None:
            left = None if self._deadline is None else self._deadline - time.monotonic()
            if left is not None and left <= 0:
                return None
            options = self._profile.options(self._grade, time_limit=left)
            settings = SolverSettings(self._profile.solver, options, left)
            if answers:
                compiled = self._engine.compile(program)
                initial = problem.next_values(answers, self._unit)
            else:
                compiled = self._compiled or self._engine.compile(program)
                if self._reusable(problem):
                    self._compiled = compiled
            parameters = {p.name: p.value for p in program.parameters}
            warm = None if answers else self._multipliers
            raw = compiled.solve(settings, initial, parameters, warm)
            if not raw.has_values:
                self.failed = raw.ran is not Ran.TIME_LIMIT
                return None
            if not answers:
                self._multipliers = dict(raw.multipliers)
            answers = (*answers, StageAnswer(raw.values, raw.multipliers))
        assert raw is not None
        theta = problem.theta(answers, self._unit)
        self._theta, self._rho = theta, rho
        return theta, raw

    def _reusable(self, problem: Formulation) -> bool:
        """Return whether the first program depends on ρ through its parameters alone."""
        return not isinstance(problem, RegularizationPath)
