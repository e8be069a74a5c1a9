"""Trace a path of the paper over a grid of ρ: one compilation, warm starts, every point judged."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, final

import numpy as np

from lexmargin.errors import NotSeparableError, ParameterError, UnsupportedError
from lexmargin.formulations import Formulation, HardMargin, MarginPath
from lexmargin.formulations.regularization_path import LEAST_STRENGTH, Jump
from lexmargin.formulations.regularization_path import jumps as find_jumps
from lexmargin.inputs.checks import moderate, positive, whole
from lexmargin.inputs.display import frame, html_table
from lexmargin.inputs.kinds import checked
from lexmargin.ops.base import FloatArray
from lexmargin.paths.follower import Follower
from lexmargin.paths.grid import AdaptiveGrid, Walk
from lexmargin.paths.point import BestMargin, PathPoint
from lexmargin.paths.shown import Shown
from lexmargin.run.limited import Ended, Keep, Progress, limited, within_limit
from lexmargin.run.profile_choice import choose_profile
from lexmargin.run.stages import require
from lexmargin.run.starts import preload
from lexmargin.shelf.build import stated
from lexmargin.shelf.library import Library
from lexmargin.shelf.library import grade as named_grade
from lexmargin.shelf.profiles import Grade, Profile
from lexmargin.solution import Ran, finite
from lexmargin.solve import AUTO, solve

__all__ = ["PathEnd", "PathPoint", "TracedPath", "trace"]

_MOST_DECADES: Final = 300.0
"""Margins are ρ^α times those of the unit ball; doubles end at 308 decades."""


if TYPE_CHECKING:
    Values: TypeAlias = Sequence[float] | FloatArray | AdaptiveGrid
else:
    # An array is held to what a list is.
    Values = Sequence[float] | AdaptiveGrid


class PathEnd(StrEnum):
    """Why a trace ended."""

    COMPLETE = "every point was solved"
    TIME_LIMIT = "the time limit was reached; the remaining points are missing"
    FAILED = "the solver gave no point; the remaining points are missing"
    INTERRUPTED = "it was interrupted; the remaining points are missing"


@final
@dataclass(frozen=True, eq=False, repr=False)
class TracedPath:
    """A path on the grid that was solved, and what holds on this grid.

    ``assumption_1``: log L* strictly decreases in ρ (constrained path). ``assumption_2``: γ*(ρ)
    strictly increases. None where the path does not show it. ``margin_slack`` is log N of Lemma 3,
    or ``log(Σ w_n/min w_n)`` of samples with weights in the loss.
    """

    problem: str
    points: tuple[PathPoint, ...]
    missing: tuple[float, ...]
    end: PathEnd
    margin_slack: float
    assumption_1: bool | None
    assumption_2: bool | None
    seed: int
    solver: str

    @property
    def certified(self) -> bool:
        """True when nothing is missing and every point is stationary at least (``shown``)."""
        return not self.missing and all(point.certified for point in self.points)

    @property
    def shown(self) -> Shown:
        """What was shown of every point, the least of them; COMPLETE says that all are there."""
        return Shown.NOTHING if self.missing else Shown.least(point.shown for point in self.points)

    def slacks(self) -> FloatArray:
        """Return the slack of Lemma 3 at every point."""
        return np.array([point.slack(self.margin_slack) for point in self.points])

    def jumps(self) -> tuple[Jump, ...]:
        """Return the jumps of a regularization path; none for paths in ρ."""
        known = Formulation.family.classes.get(self.problem)
        if known is None or not known.traits.path_falls:
            return ()
        return find_jumps([(point.rho, point.theta) for point in self.points])

    def __repr__(self) -> str:
        return (
            f"<TracedPath of {self.problem}: {len(self.points)} points, {self.shown.value}, "
            f"by {self.solver}>"
        )

    def to_frame(self) -> Any:
        """Return the points as a ``pandas.DataFrame``, one row per value of the parameter."""
        return frame(self._columns())

    def _repr_html_(self) -> str:
        columns = self._columns()
        return html_table(zip(*columns.values(), strict=True), list(columns))

    def _columns(self) -> dict[str, list[Any]]:
        points = [point.to_json() for point in self.points]
        return {
            name: [point[name] for point in points]
            for name, value in (points[0] if points else {}).items()
            if value is None or isinstance(value, (int, float, str))
        }

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; a point is marked where a jump leads to it."""
        landed = {jump.below for jump in self.jumps()}
        return {
            "problem": self.problem,
            "solver": self.solver,
            "jumps": [{"above": j.above, "below": j.below} for j in self.jumps()],
            "seed": self.seed,
            "end": self.end.name,
            "shown": self.shown.value,
            "missing": list(self.missing),
            "assumption_1": self.assumption_1,
            "assumption_2": self.assumption_2,
            "points": [
                {
                    **point.to_json(),
                    "lemma_3_slack": finite(point.slack(self.margin_slack)),
                    "after_jump": point.rho in landed,
                }
                for point in self.points
            ],
        }


@checked
def trace(
    problem: Formulation | str | Path,
    rhos: Values,
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
            its own ρ (strength) is not used; or the name or the file of one.
        rhos: increasing positive numbers (strengths: decreasing), or an :class:`AdaptiveGrid`,
            which chooses them along the way.
        solver, grade, seed, library: as for :func:`solve`.
        time_limit: seconds, kept as by :func:`solve`; what was solved by then is kept, the rest is
            listed as missing.
        margins: also compute γ*(ρ), for Lemma 3 and Assumption 2.
        progress: called with a short line per point.

    Raises:
        ParameterError: an empty or unsorted grid, or a value that is not positive.
        UnsupportedError: a problem without a path parameter.
    """
    began, shelves = time.monotonic(), library or Library()
    problem = stated(problem, shelves)
    grid = _checked_grid(problem, rhos)
    if time_limit is not None:
        time_limit = positive(time_limit, "time_limit", infinite=True)
    seed = whole(seed, "seed", 0)
    problem = problem.at(grid[0])
    profile = choose_profile(problem, shelves) if solver == AUTO else shelves.profile(solver)
    asked = _Asked(problem, rhos, grid, profile, named_grade(grade), seed, margins, shelves)
    if time_limit is None or math.isinf(time_limit) or within_limit():
        return _traced(asked, time_limit, progress, _forget)
    modules = preload(profile)
    kept: dict[float, PathPoint] = {}

    def keep(point: PathPoint) -> None:
        kept[point.rho] = point

    seconds = time_limit - (time.monotonic() - began)
    try:
        sent = (asked, seconds)
        traced: TracedPath = limited(_traced, sent, seconds, progress, keep, preloaded=modules)
    except Ended as ended:
        cut = PathEnd.TIME_LIMIT if ended.ran is Ran.TIME_LIMIT else PathEnd.FAILED
        return _path(asked, [*kept.values()], cut)
    except KeyboardInterrupt:
        return _path(asked, [*kept.values()], PathEnd.INTERRUPTED)
    return traced


@final
@dataclass(frozen=True, eq=False)
class _Asked:
    """What :func:`trace` was asked."""

    problem: Formulation
    rhos: Sequence[float] | FloatArray | AdaptiveGrid
    grid: list[float]
    profile: Profile
    grade: Grade
    seed: int
    margins: bool
    library: Library


def _forget(point: PathPoint) -> None:
    return


def _traced(
    asked: _Asked, seconds: float | None, progress: Progress | None, keep: Keep
) -> TracedPath:
    """Trace in this process, which has so many seconds."""
    problem, rhos, grid = asked.problem, asked.rhos, asked.grid
    engine = require(asked.profile)
    follower = Follower(problem, asked.profile, asked.grade, engine, asked.seed, seconds)
    walk = Walk(rhos) if isinstance(rhos, AdaptiveGrid) else None
    points: list[PathPoint] = [] if walk is None else walk.points
    values: Iterable[float] = grid if walk is None else walk
    add = points.append if walk is None else walk.add
    end = PathEnd.COMPLETE
    try:
        best: _Best = _no_best
        if asked.margins:
            known = None if walk is not None else grid
            best = _best_points(problem, known, asked.seed, asked.library, follower)
        for index, rho in enumerate(values):
            if follower.expired:
                end = PathEnd.TIME_LIMIT
                break
            if progress is not None:
                of = "" if walk is not None else f" of {len(grid)}"
                progress(f"ρ = {rho:g}, point {index + 1}{of}")
            point = follower.point(rho, best(rho))
            if point is None:
                end = PathEnd.FAILED if follower.failed else PathEnd.TIME_LIMIT
                break
            add(point)
            keep(point)
        if progress is not None:
            progress("neighbours compared")
        follower.improve(points, best)
    except KeyboardInterrupt:
        end = PathEnd.INTERRUPTED
    return _path(asked, points, end)


def _path(asked: _Asked, points: list[PathPoint], end: PathEnd) -> TracedPath:
    """Return the path of the points that were reached, in the order of the grid."""
    problem, adaptive = asked.problem, isinstance(asked.rhos, AdaptiveGrid)
    points = sorted(points, key=lambda point: point.rho, reverse=problem.traits.path_falls)
    points = _with_best_margins(problem, points)
    missing = _missing(asked.grid, points, adaptive)
    losses = problem.traits.is_loss and not problem.traits.path_falls
    return TracedPath(
        problem=str(problem.name),
        points=tuple(points),
        missing=missing,
        end=end if missing or end is PathEnd.INTERRUPTED else PathEnd.COMPLETE,
        margin_slack=problem.margin_slack,
        assumption_1=_decreases([p.objective for p in points]) if losses else None,
        assumption_2=_decreases([-p.best_margin for p in points]) if asked.margins else None,
        seed=asked.seed,
        solver=asked.profile.name,
    )


def _missing(grid: list[float], points: list[PathPoint], adaptive: bool) -> tuple[float, ...]:
    """Return what was not reached: of an adaptive grid only its end is known."""
    if adaptive:
        return () if points and points[-1].rho == grid[-1] else (grid[-1],)
    return tuple(grid[len(points) :])


def _checked_grid(problem: Formulation, rhos: Values) -> list[float]:
    if problem.traits.path is None:
        raise UnsupportedError(
            f"{problem.name} has no path parameter.",
            "Trace a margin path, a constrained path or a regularization path.",
        )
    ends = (rhos.first, rhos.last) if isinstance(rhos, AdaptiveGrid) else rhos
    if not isinstance(ends, Iterable):
        raise ParameterError(f"{ends!r} is no grid.", "Give a list of values.")
    falling = problem.traits.path_falls
    least = LEAST_STRENGTH if falling else 1e-100
    grid = [moderate(rho, "every value of the grid", least) for rho in ends]
    if not grid:
        raise ParameterError("The grid is empty.", "Give at least one value.")
    # The unknowns of a regularization path have the scale that the penalty leaves them.
    alpha = 1.0 if falling else problem.functions.homogeneity.degree or 1.0
    if max(abs(math.log10(rho)) for rho in grid) * alpha > _MOST_DECADES:
        raise ParameterError(
            f"The grid reaches margins of the size of {max(grid):g}^{alpha:g} or {min(grid):g}^"
            f"{alpha:g}.",
            "Give values whose margins are doubles.",
        )
    steps = np.diff(grid)
    if not np.all(steps < 0 if falling else steps > 0):
        word = "decreasing strengths" if falling else "increasing values of rho"
        raise ParameterError("The grid is not sorted.", f"Give strictly {word}.")
    return grid


def _decreases(values: list[float]) -> bool | None:
    if len(values) < 2 or not np.all(np.isfinite(values)):
        return None
    return bool(np.all(np.diff(values) < 0))


_Best = Callable[[float], BestMargin | None]


def _no_best(rho: float) -> BestMargin | None:
    return None


def _best_points(
    problem: Formulation, grid: list[float] | None, seed: int, library: Library, follower: Follower
) -> _Best:
    """Return γ*(ρ) and where: one hard margin for homogeneous predictors, a path for the rest.

    Without a grid that path is followed to every ρ that is asked for.
    """
    if problem.traits.path_falls:
        return _no_best
    alpha = problem.functions.homogeneity.degree
    predictor, data, p = problem.predictor, problem.data, problem.norm_p
    left = follower.left
    if alpha is not None:
        degree = alpha
        # The same direction either way; smooth f_n are solved faster as eq. 6.
        smooth = follower.smooth and not problem.program().is_convex
        stated = (MarginPath if smooth else HardMargin)(predictor, data, norm=p)
        solver = "newton" if smooth else AUTO
        try:
            found = solve(stated, solver, seed=seed, library=library, time_limit=left)
        except NotSeparableError:
            # Eq. 5 asks for no separator; there is no γ* > 0 then.
            return _no_best
        weights = np.nan_to_num(np.maximum(found.multipliers, 0.0))
        total = float(weights.sum())
        if total > 0:
            weights = weights / total
        return lambda rho: BestMargin(found.margin * rho**degree, found.direction, weights)
    if problem.traits.largest_margin:
        return _no_best
    path = MarginPath(predictor, data, norm=p)
    if grid is None:
        profile = choose_profile(path, library)
        inner = Follower(path, profile, named_grade("default"), require(profile), seed, left)

        def ask(rho: float) -> BestMargin | None:
            point = inner.point(rho, None)
            return None if point is None else _as_best(point)

        return ask
    traced = trace(path, grid, seed=seed, margins=False, library=library, time_limit=left)
    return {point.rho: _as_best(point) for point in traced.points}.get


def _with_best_margins(problem: Formulation, points: list[PathPoint]) -> list[PathPoint]:
    """Return the points with γ*(ρ) no less than what any of them shows for the ball of radius ρ.

    A point of a smaller ball lies in the larger one; homogeneous margins can be scaled both ways.
    """
    if problem.traits.path_falls:
        return points
    degree = problem.functions.homogeneity.degree
    found = []
    for point in points:
        known = [point.best_margin]
        for other in points:
            if degree is not None:
                known.append(other.margin * (point.rho / other.rho) ** degree)
            elif other.rho <= point.rho:
                known.append(other.margin)
        # The origin lies in every ball; NaN stays NaN: γ* was not asked for.
        found.append(replace(point, best_margin=float(np.maximum.reduce(known))))
    return found


def _as_best(point: PathPoint) -> BestMargin:
    return BestMargin(point.margin, point.theta, point.certificate.multipliers)
