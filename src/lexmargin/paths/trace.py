"""Trace a path of the paper over a grid of ρ: one compilation, warm starts, every point judged."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from lexmargin.errors import NotSeparableError
from lexmargin.formulations import Formulation, HardMargin, MarginPath
from lexmargin.inputs.checks import positive, whole
from lexmargin.inputs.kinds import checked
from lexmargin.inputs.progress import Part, Progress, Tick, telling
from lexmargin.ops.base import FloatArray
from lexmargin.paths.follower import Follower
from lexmargin.paths.grid import AdaptiveGrid, Walk
from lexmargin.paths.point import BestMargin, PathPoint
from lexmargin.paths.traced import PathEnd, TracedPath, Values, checked_grid, traced_path
from lexmargin.run.limited import Ended, Keep, limited, within_limit
from lexmargin.run.profile_choice import choose_profile
from lexmargin.run.stages import require
from lexmargin.run.starts import preload
from lexmargin.shelf.build import stated
from lexmargin.shelf.library import Library
from lexmargin.shelf.library import grade as named_grade
from lexmargin.shelf.profiles import Grade, Profile
from lexmargin.solution import Ran
from lexmargin.solve import AUTO, solve

__all__ = ["trace"]


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
    progress: Progress | bool | None = None,
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
        progress: True for a bar; or a function that is called with a :class:`Tick` before each
            point, and before neighbours are compared.

    Raises:
        ParameterError: an empty or unsorted grid, or a value that is not positive.
        UnsupportedError: a problem without a path parameter.
    """
    began, shelves = time.monotonic(), library or Library()
    problem = stated(problem, shelves)
    grid = checked_grid(problem, rhos)
    if time_limit is not None:
        time_limit = positive(time_limit, "time_limit", infinite=True)
    seed = whole(seed, "seed", 0)
    problem = problem.at(grid[0])
    profile = choose_profile(problem, shelves) if solver == AUTO else shelves.profile(solver)
    asked = _Asked(problem, rhos, grid, profile, named_grade(grade), seed, margins, shelves)
    with telling(progress) as told:
        if time_limit is None or math.isinf(time_limit) or within_limit():
            return _traced(asked, time_limit, told, _forget)
        return _limited(asked, time_limit - (time.monotonic() - began), told)


def _limited(asked: _Asked, seconds: float, progress: Progress | None) -> TracedPath:
    """Return the path of a child process; where it is ended, of the points that it had found."""
    began, modules = time.monotonic(), preload(asked.profile)
    kept: dict[float, PathPoint] = {}

    def keep(point: PathPoint) -> None:
        kept[point.rho] = point

    left = seconds - (time.monotonic() - began)
    try:
        sent = (asked, left)
        traced: TracedPath = limited(_traced, sent, left, progress, keep, preloaded=modules)
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
                count = len(grid) if walk is None else None
                progress(Tick(Part.POINTS, index, count, f"ρ = {rho:g}"))
            point = follower.point(rho, best(rho))
            if point is None:
                end = PathEnd.FAILED if follower.failed else PathEnd.TIME_LIMIT
                break
            add(point)
            keep(point)
        if progress is not None:
            count = len(points)
            progress(Tick(Part.POINTS, count, count, "neighbours compared"))
        follower.improve(points, best)
    except KeyboardInterrupt:
        end = PathEnd.INTERRUPTED
    return _path(asked, points, end)


def _path(asked: _Asked, points: list[PathPoint], end: PathEnd) -> TracedPath:
    """Return the path of the points that were reached, in the order of the grid."""
    problem, adaptive = asked.problem, isinstance(asked.rhos, AdaptiveGrid)
    points = sorted(points, key=lambda point: point.rho, reverse=problem.traits.path_falls)
    missing = _missing(asked.grid, points, adaptive)
    ended = end if missing or end is PathEnd.INTERRUPTED else PathEnd.COMPLETE
    return traced_path(problem, points, missing, ended, asked.seed, asked.profile.name)


def _missing(grid: list[float], points: list[PathPoint], adaptive: bool) -> tuple[float, ...]:
    """Return what was not reached: of an adaptive grid only its end is known."""
    if adaptive:
        return () if points and points[-1].rho == grid[-1] else (grid[-1],)
    return tuple(grid[len(points) :])


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


def _as_best(point: PathPoint) -> BestMargin:
    return BestMargin(point.margin, point.theta, point.certificate.multipliers)
