"""Follow a path over ρ: one compilation, warm starts, restarts where Lemma 3 asks for them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import final

import numpy as np

from lexmargin.backends import Backend, BackendName, Compiled
from lexmargin.errors import UnsupportedError
from lexmargin.formulations.base import MARGIN, Formulation, StageAnswer
from lexmargin.ops.base import FloatArray
from lexmargin.paths.point import BestMargin, PathPoint, judged_point
from lexmargin.polish.polish import polish_problem
from lexmargin.run.stages import natural_unit, starting_theta
from lexmargin.run.starts import default_starts
from lexmargin.shelf.profiles import Grade, Profile
from lexmargin.solution import Ran, RawAnswer, SolverSettings

__all__ = ["Follower"]

_STEEPEST = 4.0
"""Longest step of the continuation as a factor of ρ; longer grids get points in between."""

_SHARP = 0.1
"""Turn between two neighbours (radians) beyond which they may lie on two branches; a smooth branch
turns as far on a coarse grid, and then costs one more solve."""

_FRESH_POINTS = 8
"""Points with fresh starts: each costs up to 12 solves."""

_SWEEPS = 4
"""Rounds in which improvements are passed on; the last ones rarely find any."""

_BETTER = 1e-9
"""Relative gain that counts: below it two answers of one branch differ too."""


@final
@dataclass(frozen=True, eq=False)
class _Found:
    """A solved point: θ, what the solver said, the multipliers to start the next one from.

    ``objective`` is recomputed by us; of two points the one with the smaller ``worth`` is kept.
    """

    theta: FloatArray
    raw: RawAnswer
    multipliers: dict[str, FloatArray]
    objective: float
    worth: float


@final
class Follower:
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
        self._seeds = np.random.SeedSequence(seed)
        self._compiled: Compiled | None = None
        self._convex = problem.program().is_convex
        self._unit = 1.0
        self._last: _Found | None = None
        self._rho = 0.0
        self._stated: dict[float, Formulation] = {}
        self.failed = False

    @property
    def smooth(self) -> bool:
        """Whether the toolkit's own Newton methods follow this path."""
        return self._profile.backend is BackendName.NEWTON

    @property
    def left(self) -> float | None:
        """Seconds left, at least a millisecond; None without a limit."""
        return None if self._deadline is None else max(1e-3, self._deadline - time.monotonic())

    @property
    def expired(self) -> bool:
        """True when the time is up."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _at(self, rho: float) -> Formulation:
        """Return the problem at ρ; the last two are kept, with what they have computed."""
        if rho not in self._stated:
            if len(self._stated) > 1:
                del self._stated[next(iter(self._stated))]
            self._stated[rho] = self._problem.at(rho)
        return self._stated[rho]

    def point(self, rho: float, best: BestMargin | None) -> PathPoint | None:
        """Return the point at ρ, stepping there in factors of at most four; None out of time."""
        began = time.monotonic()
        if self._last is None:
            found = self._first(rho)
        else:
            steps = math.ceil(abs(math.log(rho / self._rho)) / math.log(_STEEPEST) - 1e-9)
            for k in range(1, steps):
                self._step(self._last, self._rho * (rho / self._rho) ** (1.0 / (steps - k + 1)))
            found = self._step(self._last, rho)
        found = self._restarted(rho, found, best)
        if found is None:
            return None
        self._last, self._rho = found, rho
        return self._judged(rho, found, best, began)

    def _judged(
        self, rho: float, found: _Found, best: BestMargin | None, began: float
    ) -> PathPoint:
        problem = self._at(rho)
        known = math.nan if best is None else best.value
        point = judged_point(problem, rho, found.theta, self._grade, known, found.raw.ran)
        if self._profile.backend is not BackendName.NEWTON:
            problem.warn_invisible(found.theta)
        return replace(point, seconds=time.monotonic() - began)

    def _first(self, rho: float) -> _Found | None:
        """Return the best of a few starts at the first ρ."""
        problem = self._at(rho)
        found: list[_Found] = []
        for start in self._fresh(problem):
            if found and self.expired:
                break
            if not found:
                self._unit = natural_unit(problem, start)
            one = self._solve(rho, start, None)
            if one is not None:
                found.append(one)
        return min(found, key=lambda one: one.worth, default=None)

    def _fresh(self, problem: Formulation) -> Iterator[FloatArray]:
        for seed in self._seeds.spawn(default_starts(problem, self._convex)):
            yield starting_theta(problem, None, np.random.default_rng(seed))

    def improve(self, points: list[PathPoint], best: Callable[[float], BestMargin | None]) -> None:
        """Replace points of a nonconvex path, in place, by better ones, with neighbours as starts.

        A local method follows one branch, and the best branch changes along the path: where the
        direction turns sharply between two points, or where one of them is better than its
        neighbour at the neighbour's own ρ, each is solved again from the other; then from fresh
        starts where a point is not certified and at the sharpest turns. What improves is passed on,
        both ways, until nothing does.
        """
        if self._convex:
            return
        changed = self._sweep(points, best, set())
        for index in _doubtful(points)[:_FRESH_POINTS]:
            if self.expired:
                return
            changed |= self._again(points, index, best, self._fresh(self._at(points[index].rho)))
        for _ in range(_SWEEPS):
            if not changed or self.expired:
                return
            changed = self._sweep(points, best, changed)

    def _sweep(
        self, points: list[PathPoint], best: Callable[[float], BestMargin | None], new: set[int]
    ) -> set[int]:
        """Try every point's neighbours as starts, from the end and back; return what changed.

        ``new`` are points whose neighbours are tried whatever the turn.
        """
        changed: set[int] = set()
        last = len(points) - 1
        for way in (-1, 1):
            for index in range(last, -1, -1) if way < 0 else range(last + 1):
                other = index - way
                if not 0 <= other <= last:
                    continue
                if self.expired:
                    return changed
                problem = self._at(points[index].rho)
                starts = self._leads(problem, points[index], points[other], other in new | changed)
                changed |= self._again(points, index, best, starts)
        return changed

    def _leads(
        self, problem: Formulation, point: PathPoint, other: PathPoint, new: bool
    ) -> list[FloatArray]:
        """Return what of a neighbour's point is worth a start at this one."""
        mine = _worth(problem, point.theta)
        starts = []
        if new or _turn(point, other) > _SHARP or _worth(problem, other.theta) < mine:
            starts.append(other.theta)
        ratio = 1.0
        if not problem.traits.path_falls:
            ratio = other.rho / point.rho
        # A point of a smaller ball lies in the larger one.
        kept = ratio * other.theta
        if ratio < 1.0 and _worth(problem, kept) < mine:
            starts.append(kept)
        return starts

    def _again(
        self,
        points: list[PathPoint],
        index: int,
        best: Callable[[float], BestMargin | None],
        starts: Iterable[FloatArray],
    ) -> set[int]:
        """Solve one point from these starts; return its index where one of them is better."""
        began, rho = time.monotonic(), points[index].rho
        least = _worth(self._at(rho), points[index].theta)
        found: _Found | None = None
        for start in starts:
            if self.expired:
                break
            one = self._solve(rho, start, None)
            if one is not None and _better(one.worth, least):
                found, least = one, one.worth
        if found is None:
            return set()
        points[index] = self._judged(rho, found, best(rho), began)
        return {index}

    def _step(self, last: _Found, rho: float) -> _Found | None:
        found = self._solve(rho, last.theta, last.multipliers)
        if found is not None:
            self._last, self._rho = found, rho
        return found

    def _restarted(
        self, rho: float, found: _Found | None, best: BestMargin | None
    ) -> _Found | None:
        """Return a better point where one must exist.

        Lemma 3 holds at every minimiser of the loss: where ``γ* - γ > log N`` (with weights
        ``log(Σ w_n/min w_n)``) the point is none,
        and the path starts again from the direction of the largest margin. The regularization path
        jumps, and so is compared with the origin and a fresh start at every strength.
        """
        if self._convex or self.expired:
            return found
        problem = self._at(rho)
        others: list[_Found | None] = []
        if problem.traits.origin_may_win:
            others = [self._solve(rho, start, None) for start in problem.starts(1)]
        elif best is not None and math.isfinite(best.value):
            allowed = problem.margin_slack + 1e-9 * abs(best.value)
            known, worth = -math.inf, math.inf
            if found is not None:
                known = float(problem.functions.values(rho * found.theta).min())
                worth = found.worth
            short = 1e-9 * abs(best.value) if problem.traits.largest_margin else allowed
            if best.value - known > short or _worth(problem, best.direction) < worth:
                # Of the compiled models only those of the margin path have constraints on f_n.
                known_too = self.smooth or problem.traits.largest_margin
                carried = {MARGIN: best.multipliers} if known_too else None
                others = [self._solve(rho, best.direction, carried)]
        # Symmetric points are equally good up to rounding: the path stays on its own branch. The
        # origin is its own mirror image, and exact.
        for other in others:
            if other is None:
                continue
            origin = not np.any(other.theta)
            if found is None or _better(other.worth, found.worth, 0.0 if origin else _BETTER):
                found = other
        return found

    def _solve(
        self, rho: float, start: FloatArray, multipliers: dict[str, FloatArray] | None
    ) -> _Found | None:
        problem = self._at(rho)
        # Newton's method for linear scores follows the tangent from where the path was.
        linear = self.smooth and self._convex and multipliers is not None
        stated = self._at(self._rho) if linear else problem
        initial = stated.initial_values(start, self._unit)
        answers: tuple[StageAnswer, ...] = ()
        raw: RawAnswer | None = None
        kept: dict[str, FloatArray] = {}
        while (program := problem.next_program(answers, self._unit)) is not None:
            if self.expired:
                return None
            options = self._profile.options(self._grade, time_limit=self.left)
            settings = SolverSettings(self._profile.solver, options, self.left)
            if answers:
                compiled = self._engine.compile(program)
                initial = problem.next_values(answers, self._unit)
            else:
                compiled = self._compiled or self._engine.compile(program)
                if not problem.traits.path_falls:
                    # ρ stands on the right-hand side alone: a parameter.
                    self._compiled = compiled
            parameters = {p.name: p.value for p in program.parameters}
            raw = compiled.solve(settings, initial, parameters, None if answers else multipliers)
            if not raw.has_values:
                self.failed = raw.ran is not Ran.TIME_LIMIT
                return None
            if not answers:
                kept = dict(raw.multipliers)
            answers = (*answers, StageAnswer(raw.values, raw.multipliers))
        if raw is None:
            raise UnsupportedError("The problem states no program.", "State one at least.")
        theta = problem.theta(answers, self._unit)
        if not (self.smooth or (problem.traits.largest_margin and problem.norm_p == 2.0)):
            # Other solvers stop at half the digits of θ.
            polished = polish_problem(problem, theta)
            if polished is not None:
                theta = polished.theta
        return _Found(theta, raw, kept, problem.objective(theta), _worth(problem, theta))


def _worth(problem: Formulation, theta: FloatArray) -> float:
    """Return what is smaller at the better of two points: the objective, or minus the margin."""
    worth = problem.worth(theta)
    return worth if math.isfinite(worth) else math.inf


def _better(worth: float, than: float, gain: float = _BETTER) -> bool:
    """Return whether a point is better by more than two answers of one branch differ."""
    return worth < than - (gain * max(1.0, abs(than)) if math.isfinite(than) else 0.0)


def _turn(point: PathPoint, other: PathPoint) -> float:
    """Return the distance of two unit directions; the origin turns as far as can be."""
    sizes = np.linalg.norm(point.theta), np.linalg.norm(other.theta)
    if not (sizes[0] > 0.0 and sizes[1] > 0.0):
        return 2.0 * float(sizes[0] != sizes[1])
    return float(np.linalg.norm(point.theta / sizes[0] - other.theta / sizes[1]))


def _doubtful(points: list[PathPoint]) -> list[int]:
    """Return the points that deserve fresh starts: first those that are not stationary, then those
    at the sharpest turns of the direction.
    """
    found = [n for n, point in enumerate(points) if not point.certified]
    turns = [(-_turn(*pair), n) for n, pair in enumerate(pairwise(points))]
    for turn, n in sorted(turns):
        if -turn > _SHARP:
            found += [n, n + 1]
    return list(dict.fromkeys(found))
