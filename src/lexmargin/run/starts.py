"""Several starts of one problem: how many, run here or in parallel processes, and which is best."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from lexmargin.backends import Backend
from lexmargin.backends.base import import_problem
from lexmargin.formulations.base import Formulation
from lexmargin.inputs.limits import SEVERAL_STARTS_ENTRIES
from lexmargin.judge import Verdict
from lexmargin.ops.base import FloatArray
from lexmargin.outputs.progress import Part, Progress, Tick
from lexmargin.processes.crew import crew
from lexmargin.processes.owner import Nursery
from lexmargin.run.limited import Ended, Errand, Keep, run_errand
from lexmargin.run.stages import Run, Start, require, run
from lexmargin.shelf.profiles import Grade, Profile
from lexmargin.solution import Claim, RawAnswer, Solution

__all__ = ["DEFAULT_STARTS", "Job", "default_starts", "ended_run", "outcomes", "preload", "ranked"]

DEFAULT_STARTS = 12
"""Starts of a small nonconvex problem where none are asked for: enough for every instance on the
shelf of problems to show its best known value from the default seed."""

_SAME_DIRECTION = 1e-5
"""Distance of unit vectors of one answer: solvers repeat them to about this."""
_TIE = 1e-6
"""Relative difference of a level that counts as equal: the next level then decides."""


@final
@dataclass(frozen=True)
class Job:
    """Everything one run needs; ``seed`` makes it the same in every process."""

    problem: Formulation
    profile: Profile
    grade: Grade
    start: Start | None
    seed: np.random.SeedSequence
    time_limit: float | None
    verbose: bool = False
    multipliers: FloatArray | None = None
    """λ of the start."""

    def run(self, engine: Backend | None = None, progress: Progress | None = None) -> Run:
        """Run here, in this process."""
        return run(
            self.problem,
            self.profile,
            self.grade,
            engine or require(self.profile),
            self.start,
            np.random.default_rng(self.seed),
            self.time_limit,
            multipliers=self.multipliers,
            verbose=self.verbose,
            progress=progress,
        )


def preload(profile: Profile) -> tuple[str, ...]:
    """Import what runs of a profile need; return the modules."""
    modules = (__name__, *require(profile).preloads(profile.solver))
    import_problem(modules)
    return modules


def _run_job(job: Job, progress: Progress, keep: Keep) -> Run:
    return job.run(progress=progress)


def isolated(job: Job, nursery: Nursery, progress: Progress | None = None) -> Run:
    """Run in a child process, ended soon after the time limit; that it ended is an answer."""
    began = time.monotonic()
    try:
        outcome: Run = run_errand(Errand(_run_job, (job,)), nursery, job.time_limit, progress)
    except Ended as ended:
        return ended_run(ended, time.monotonic() - began)
    return outcome


def ended_run(ended: Ended, seconds: float) -> Run:
    """Return what came back from a process that ended without an answer: nothing."""
    raw = RawAnswer({}, {}, ended.ran, Claim.NOTHING, ended.why)
    return Run((), raw, 1.0, 0.0, seconds, {})


def default_starts(problem: Formulation, convex: bool) -> int:
    """Return 1 for convex problems, 12 for small nonconvex ones (N·d <= 2000), else 1."""
    small = problem.functions.size * problem.functions.count <= SEVERAL_STARTS_ENTRIES
    return DEFAULT_STARTS if small and not convex else 1


def outcomes(
    jobs: list[Job],
    engine: Backend,
    deadline: float | None,
    workers: int,
    progress: Progress | None,
) -> Iterator[Run]:
    """Yield the outcome of every job in order; those that time leaves no room for are left out.

    With ``workers`` > 1 jobs run in processes of their own, that many at a time; each job carries
    its own seed, so that the answers are the same.
    """

    def told(index: int) -> None:
        if progress is not None:
            name = f"{jobs[index].problem.name} with {jobs[index].profile.name}"
            progress(Tick(Part.STARTS, index, len(jobs), name))

    def left() -> float | None:
        return None if deadline is None else deadline - time.monotonic()

    def limited(index: int) -> Job | None:
        rest = left()
        if rest is not None and rest <= 0 and index:
            return None
        told(index)
        return jobs[index] if rest is None else replace(jobs[index], time_limit=max(rest, 1e-3))

    workers = min(workers, len(jobs))
    if workers == 1:
        for index in range(len(jobs)):
            job = limited(index)
            if job is not None:
                yield job.run(engine, progress)
        return

    def process(index: int, nursery: Nursery) -> tuple[int, Run | None]:
        job = limited(index)
        return index, None if job is None else isolated(job, nursery, progress)

    modules, loud = preload(jobs[0].profile), jobs[0].verbose
    come: dict[int, Run | None] = {}
    every = range(len(jobs))
    # Who has seen enough does not wait for starts that have not begun, or not ended.
    with closing(crew(every, process, workers, modules, single=False, loud=loud)) as results:
        for index in every:
            while index not in come:
                come.update([next(results)])
            outcome = come[index]
            if outcome is not None:
                yield outcome


def ranked(problem: Formulation, found: list[Solution]) -> list[Solution]:
    """Return distinct points, best first.

    Certified ones come before others, proved ones first of all, and then the objective decides; for
    lexicographic problems the sorted margins do (Definition 5). Where nothing is certified the word
    comes before the objective. Of points in one direction the best word stands for all.
    """
    if len(found) < 2:
        return found
    sign = -1.0 if problem.program().sense.value == "maximize" else 1.0
    free = problem.traits.is_loss

    def worth(solution: Solution) -> tuple[int, bool, bool, float]:
        known = bool(np.isfinite(solution.objective))
        # A point that separates nothing is cheap, and no answer where one is asked for.
        separates = free or solution.margin > 0.0
        value = sign * solution.objective if known else 0.0
        return (-_standing(solution), not known, not separates, value)

    ordered = sorted(found, key=worth)
    ranks = [problem.ranking(s.margins, s.levels) for s in ordered]
    if any(rank is not None for rank in ranks):
        of = {id(s): rank for s, rank in zip(ordered, ranks, strict=True) if rank is not None}
        ordered = _by_levels(ordered, lambda s: of[id(s)])
    distinct: list[Solution] = []
    for solution in ordered:
        same = (k for k, other in enumerate(distinct) if _alike(solution, other))
        place = next(same, None)
        if place is None:
            distinct.append(solution)
        elif _word(solution) > _word(distinct[place]):
            distinct[place] = solution
    return distinct


def _alike(one: Solution, other: Solution) -> bool:
    return float(np.linalg.norm(one.direction - other.direction)) < _SAME_DIRECTION


def _word(solution: Solution) -> int:
    return -1 if solution.judgement is None else solution.judgement.verdict.rank


def _standing(solution: Solution) -> int:
    """Return what comes before the objective: all certified points but proved ones are equals.

    So are a saddle, from which a solver goes on, and a point that nobody has decided about.
    """
    found = solution.judgement
    if found is not None and found.certified and found.verdict is not Verdict.GLOBAL:
        return Verdict.CLARKE_KKT.rank
    if found is not None and found.verdict is Verdict.SADDLE:
        return Verdict.UNDECIDED.rank
    return _word(solution)


def _by_levels(
    solutions: list[Solution], values: Callable[[Solution], FloatArray]
) -> list[Solution]:
    """Return the solutions in lexicographic order of their levels, ties in the order given.

    Level by level those within 1e-6 of the best survive, in units of the first level.
    """
    rest = [s for s in solutions if s.judgement is None or not np.all(np.isfinite(values(s)))]
    known = [s for s in solutions if not any(s is other for other in rest)]
    ordered: list[Solution] = []
    for certified in (True, False):
        group = [s for s in known if s.judgement is not None and s.judgement.certified is certified]
        while group:
            table = np.stack([values(s) for s in group])
            unit = float(np.abs(table[:, 0]).max()) or 1.0
            alive = np.arange(len(group))
            for column in table.T:
                alive = alive[column[alive] >= column[alive].max() - _TIE * unit]
            ordered.extend(group[i] for i in alive)
            group = [s for i, s in enumerate(group) if i not in alive]
    return [*ordered, *rest]
