"""Choose a solver, run it stage by stage, then judge its answer ourselves."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import final

import numpy as np

from lexmargin.backends import BackendName
from lexmargin.errors import NotSeparableError, SolverFailedError
from lexmargin.formulations.base import MARGIN, Formulation, StageAnswer
from lexmargin.formulations.hard_margin import HardMargin
from lexmargin.formulations.parts import Parts
from lexmargin.inputs.checks import positive, whole
from lexmargin.inputs.kinds import checked
from lexmargin.judge import (
    Verdict,
    require_linear,
)
from lexmargin.judge.bounds.inseparable import prove_inseparable
from lexmargin.judge.programs.recentred import recentred_problem
from lexmargin.ops.base import FloatArray
from lexmargin.outputs.progress import Progress, telling
from lexmargin.run.inseparable_data import (
    refuse_claim,
    refuse_hopeless,
    refuse_inseparable,
    unseparated,
)
from lexmargin.run.judged_answer import LATE, empty, judge, judged_start, moved_back, unjudged
from lexmargin.run.limited import Ended, Keep, limited, within_limit
from lexmargin.run.profile_choice import choose_profile, second_choice
from lexmargin.run.stages import Run, Start, require
from lexmargin.run.starts import Job, default_starts, ended_run, outcomes, preload, ranked
from lexmargin.shelf.build import build
from lexmargin.shelf.library import Library
from lexmargin.shelf.library import grade as named_grade
from lexmargin.shelf.profiles import Finds, Grade, Profile
from lexmargin.solution import Claim, Ran, RawAnswer, Solution

__all__ = ["AUTO", "solve"]

AUTO = "auto"

_ESCAPES = 2
"""Solves from beside a saddle: each costs a run, and a second saddle in a row is rare
(judgement)."""
_ASIDE = 1e-2
"""Distance of a start beside a saddle, relative to θ: far beyond what a solver stops at."""


@checked
def solve(
    problem: Formulation | str | Path,
    solver: str = AUTO,
    grade: str = "default",
    start: Start | Solution | None = None,
    starts: int | None = None,
    seed: int = 0,
    time_limit: float | None = None,
    *,
    library: Library | None = None,
    polish: bool = True,
    workers: int = 1,
    verbose: bool = False,
    progress: Progress | bool | None = None,
) -> Solution:
    """Solve a problem of the paper and certify the answer.

    Args:
        problem: a formulation, or the name or the file of one.
        solver: a profile's name, or "auto" (see :func:`choose_profile`).
        grade: "default", "low", "mid" or "high": what is asked of the solver; the certificate
            verifies ten times looser.
        start: θ to start from, flat ``(d,)`` or block by block; random and separating if None. Or
            an earlier solution of the same predictor: with its multipliers the solver stays near.
            It is judged as :func:`certify` does, and returned itself where no answer is better.
        starts: number of starts of a nonconvex problem; every distinct point is kept, best first.
            None: 12 for small problems (N·d <= 2000), 1 for others and for a given start.
        seed: of every random choice.
        time_limit: seconds for all starts and their certificates together, once the solver is
            imported; None for none. All is done in one child process, which is ended half a second
            later at the latest. What it had found by then is returned: an answer whose certificate
            was not there yet comes without one, and ``unjudged`` says so.
        library: the shelves; the shipped ones if None.
        polish: improve the answer by Newton steps on the KKT system before judging it.
        workers: how many starts run at a time, each in a process of its own; the answers are the
            same, bit for bit.
        verbose: let the solver print.
        progress: True for a bar, on a terminal or in a notebook; or a function that is called with
            a :class:`Tick` before each start, and before each level but the first.

    Returns:
        The best answer with its certificate; ``others`` holds the other stationary points. The
        answer to a formulation without KKT data of its own has none: ``unjudged`` says why.

    Raises:
        MissingBackendError: the solver is not installed or does not work here.
        NotSeparableError: the linear data admit no separator, or two equal rows have different
            labels, and the problem needs one; carries the Gordan vector.
        SolverFailedError: the solver took separable data for inseparable ones.
        ParameterError: starts or workers < 1, or a time limit that is not positive.
    """
    began = time.monotonic()
    if starts is not None:
        starts = whole(starts, "starts")
    if time_limit is not None:
        time_limit = positive(time_limit, "time_limit", infinite=True)
    multipliers = claims = None
    if isinstance(start, Solution):
        claims, multipliers = start.claims, None if start.levels else start.multipliers
        start = start.theta
    workers, seed = whole(workers, "workers"), whole(seed, "seed", 0)
    shelves = library or Library()
    name = ""
    if not isinstance(problem, Formulation):
        file = shelves.problem(problem)
        problem, name = build(file), file.name
    if problem.data.is_sparse:
        require_linear(problem)
    if problem.is_judged and problem.traits.needs_separator:
        refuse_hopeless(problem)
    chosen = choose_profile(problem, shelves) if solver == AUTO else shelves.profile(solver)
    asked = _Asked(
        problem=problem,
        profile=chosen,
        grade=named_grade(grade),
        start=start,
        multipliers=multipliers,
        claims=claims,
        starts=starts,
        seed=seed,
        workers=workers,
        polish=polish,
        verbose=verbose,
        auto=solver == AUTO,
        library=shelves,
    )
    with telling(progress) as told:
        end = None if time_limit is None else began + time_limit
        answer = _in_time(replace(asked, progress=told), end)
    return answer.named(name) if name else answer


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class _Asked:
    """What :func:`solve` was asked, whoever answers."""

    problem: Formulation
    profile: Profile
    grade: Grade
    start: Start | None
    multipliers: FloatArray | None
    claims: FloatArray | None
    starts: int | None
    seed: int
    workers: int
    polish: bool
    verbose: bool
    auto: bool
    library: Library
    progress: Progress | None = None
    deadline: float | None = None
    keep: Keep | None = None

    @property
    def late(self) -> bool:
        """Whether the time limit is over."""
        return self.deadline is not None and time.monotonic() >= self.deadline


def _in_time(asked: _Asked, end: float | None) -> Solution:
    """Return the answer, by a child process where its time ends and no such process is around."""
    if end is None or math.isinf(end):
        return _solved(asked)
    if within_limit():
        return _solved(replace(asked, deadline=end))
    return _limited(asked, end - time.monotonic())


def _limited(asked: _Asked, seconds: float) -> Solution:
    """Return the best answer of a child process; where it is ended, of what it had found."""
    began, modules = time.monotonic(), preload(asked.profile)
    kept: list[Solution] = []
    sent = (replace(asked, progress=None), seconds)
    try:
        answer: Solution = limited(
            _solve_here,
            sent,
            seconds,
            asked.progress,
            kept.append,
            preloaded=modules,
            verbose=asked.verbose,
        )
    except Ended as ended:
        late = [s for s in kept if s.unjudged == LATE]
        left = [s for s in kept if s.judgement is not None]
        # The last one may be without its certificate yet.
        left = [*left, *(s for s in kept[-1:] if s.unjudged == LATE)] if left else late
        if not left:
            outcome = ended_run(ended, time.monotonic() - began)
            return empty(asked.problem, asked.profile, outcome, asked.seed)
        best = ranked(asked.problem, left)
        return replace(best[0], others=tuple(best[1:]))
    return answer


def _solve_here(asked: _Asked, seconds: float, progress: Progress, keep: Keep) -> Solution:
    """Solve in the child, which has so many seconds."""
    deadline = time.monotonic() + seconds
    return _solved(replace(asked, deadline=deadline, progress=progress, keep=keep))


def _solved(stated: _Asked) -> Solution:
    """Return the best answer in this process, the others in it."""
    problem, chosen, start = stated.problem, stated.profile, stated.start
    given = []
    if start is not None:
        given = judged_start(problem, stated.grade, start, stated.seed, stated.claims)
        if stated.keep is not None:
            for own in given:
                stated.keep(own)
    near = None if chosen.backend is BackendName.ACTIVE_SET else recentred_problem(problem)
    asked = stated
    if near is not None:
        if start is not None:
            start = near.inward(problem.functions.point(start))

        def keep(found: Solution) -> None:
            if stated.keep is not None and (found.unjudged == LATE or found.judgement):
                late = replace(found, judgement=None, unjudged=LATE)
                stated.keep(moved_back(late, near, problem, stated.grade))

        asked = replace(stated, problem=near.problem, start=start, multipliers=None, keep=keep)
    found, failed = [], None
    try:
        found = _answers(asked, chosen)
    except SolverFailedError as error:
        # Another may see the separator, or the start is one.
        if not (asked.auto or _certified(given)):
            raise
        failed = error
    if asked.auto and not _certified(found):
        # Asking whether CVXPY is there imports it, which takes longer than most answers.
        second = second_choice(asked.problem, asked.library, chosen)
        if second is not None and not asked.late:
            found += _answers(asked, second)
    if asked.auto and _lost(asked, found):
        found += _by_way_of_sister(asked, chosen)
    if failed is not None and not (found or _certified(given)):
        raise failed
    if near is not None:
        found = [moved_back(s, near, problem, asked.grade) for s in ranked(asked.problem, found)]
    best = ranked(problem, [*found, *given])
    if asked.auto and _lost(asked, best):
        # With a separator in reach, a point that does not separate is no answer.
        refuse_claim(problem, best[0].solver)
    if best[0].judgement is None and best[0].claim is Claim.INFEASIBLE:
        refuse_claim(problem, best[0].solver)
    return replace(best[0], others=tuple(best[1:])) if len(best) > 1 else best[0]


def _judged(asked: _Asked, profile: Profile, outcome: Run, *, far: bool = False) -> Solution:
    """Return the judged answer, kept at once without its certificate and then with it."""
    if asked.keep is not None:
        asked.keep(unjudged(asked.problem, profile, outcome, asked.seed))
    found = judge(
        asked.problem, profile, asked.grade, outcome, asked.seed, polish=asked.polish, far=far
    )
    if asked.keep is not None:
        asked.keep(found)
    return found


def _answers(asked: _Asked, chosen: Profile) -> list[Solution]:
    """Return the judged answers of one profile, up to the first that is proved global."""
    problem, start = asked.problem, asked.start
    engine = require(chosen)
    # A method that finds the global optimum needs one start, whatever the program looks like.
    convex = chosen.finds is Finds.GLOBAL or problem.program().is_convex
    starts = asked.starts
    if starts is None:
        starts = default_starts(problem, convex) if start is None else 1
    seeds = np.random.SeedSequence(asked.seed).spawn(1 if convex else starts)
    told = (None, asked.verbose, asked.multipliers)
    jobs = [Job(problem, chosen, asked.grade, start, child, *told) for child in seeds]
    if problem.traits.origin_may_win and not convex and start is None:
        # From degree 3 on the origin is a local minimum for every μ > 0, and often the global one.
        jobs.append(replace(jobs[0], start=np.zeros(problem.functions.size)))
    found: list[Solution] = []
    try:
        for outcome in outcomes(jobs, engine, asked.deadline, asked.workers, asked.progress):
            found.append(_judged(asked, chosen, outcome, far=asked.auto))
            word = found[-1].judgement
            if word is not None and word.verdict is Verdict.GLOBAL:
                break
            if len(found) == 1 and unseparated(problem, found[0]):
                refuse_inseparable(problem)
                if len(jobs) > 1 and prove_inseparable(problem) is not None:
                    break
    except NotSeparableError as error:
        if error.proof is not None or not problem.is_judged:
            raise
        refuse_claim(problem, chosen.name, error)
        raise
    return found + _beside_saddle(asked, chosen, found, jobs[0])


def _beside_saddle(
    asked: _Asked, chosen: Profile, found: list[Solution], job: Job
) -> list[Solution]:
    """Return answers from starts beside a saddle that no other start has beaten.

    A symmetric start stays on a saddle, such as two factors of a product that are both 0; from a
    point beside it the solver goes down.
    """
    more: list[Solution] = []
    for _ in range(_ESCAPES):
        best = ranked(asked.problem, found + more)[0]
        saddle = best.judgement is not None and best.judgement.verdict is Verdict.SADDLE
        if not saddle or asked.start is not None:
            break
        theta = asked.problem.functions.flatten(best.theta)
        rng = np.random.default_rng(asked.seed + len(more))
        beside = theta + _ASIDE * _sizes(asked.problem, theta) * rng.standard_normal(theta.size)
        jobs = [replace(job, start=beside)]
        for outcome in outcomes(jobs, require(chosen), asked.deadline, 1, asked.progress):
            more.append(_judged(asked, chosen, outcome))
    return more


def _lost(asked: _Asked, found: list[Solution]) -> bool:
    """Return whether no answer separates to a margin problem that has a sister problem."""
    problem = asked.problem
    return (
        problem.is_judged
        and not (asked.late or any(s.margin > 0.0 for s in found))
        and _sister(problem) is not None
        and prove_inseparable(problem) is None
    )


def _sister(problem: Formulation) -> Formulation | None:
    """Return a problem whose answer separates, and whose methods do not lose a separator.

    Linear levels begin with the hard margin of their norm; what separates a network in ℓ2 does so
    in every norm.
    """
    kkt = problem.kkt(np.ones(problem.functions.size))[0]
    if not (kkt.is_direction and kkt.level is None and is_dataclass(problem)):
        return None
    if problem.functions.linear:
        alike = HardMargin(problem.predictor, problem.data, norm=problem.norm_p)
        return None if kkt.ordered is None else alike
    if problem.norm_p == 2.0 or kkt.ordered is not None or problem.program().is_convex:
        return None
    return replace(problem, norm=2.0)


def _by_way_of_sister(asked: _Asked, chosen: Profile) -> list[Solution]:
    """Return answers from the sister problem's, and that one itself where they are lost again."""
    problem, sister = asked.problem, _sister(asked.problem)
    if sister is None:
        return []
    left = None if asked.deadline is None else max(1e-3, asked.deadline - time.monotonic())
    try:
        two = solve(sister, starts=2, seed=asked.seed, time_limit=left, library=asked.library)
    except SolverFailedError:
        return []
    if not two.margin > 0.0:
        return []
    begun = problem.initial_values(two.direction, 1.0)
    duals: dict[str, FloatArray] = {}
    if two.judgement is not None and np.sum(two.judgement.multipliers) > 0.0:
        duals[MARGIN] = two.judgement.multipliers / np.sum(two.judgement.multipliers)
    raw = RawAnswer(
        begun, duals, Ran.ITERATION_LIMIT, Claim.NOTHING, f"of the {sister.word} problem"
    )
    runs = [Run((StageAnswer(begun, duals),), raw, 1.0, 0.0, 0.0, {})]
    if not problem.program().is_convex:
        child = np.random.SeedSequence(asked.seed)
        job = Job(problem, chosen, asked.grade, two.direction, child, None, asked.verbose)
        runs += outcomes([job], require(chosen), asked.deadline, 1, asked.progress)
    judged = [_judged(asked, chosen, one) for one in runs]
    return [s for s in judged if s.margin > 0.0]


def _sizes(problem: Formulation, theta: FloatArray) -> FloatArray:
    """Return the size of an entry of θ (d,), part by part in a sum of homogeneous parts.

    At γ = 1e6 the parts of eq. 14 differ by so much that one size for all leaves some of them where
    they are, and tears others apart.
    """
    if len(problem.functions.homogeneity.parts) < 2:
        return np.full(theta.size, float(np.linalg.norm(theta)) / math.sqrt(theta.size))
    parts = Parts(problem.functions)
    counts = np.array([np.count_nonzero(parts.entries(k)) for k in range(len(parts.items))])
    sizes = np.sqrt(parts.sizes(theta) / counts)
    return parts.spread(np.where(sizes > 0.0, sizes, parts.natural_scales / np.sqrt(counts)))


def _certified(found: list[Solution]) -> bool:
    return any(s.judgement is not None and s.judgement.certified for s in found)
