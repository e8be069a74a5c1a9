"""A run in a process of its own, which its time limit really ends.

Solvers check their clocks between iterations, if at all; only the end of the process is certain.
The child belongs to a fresh interpreter (no fork of the caller, no re-import of its main module)
and leads a group of its own, so that whatever it started ends with it.
"""

from __future__ import annotations

import os
import pickle
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.backends import Backend
from lexmargin.errors import LexmarginError, UnsupportedError
from lexmargin.formulations.base import Formulation
from lexmargin.processes.nursery import End
from lexmargin.processes.owner import Nursery
from lexmargin.run.stages import Run, Start, require, run
from lexmargin.shelf.profiles import Grade, Profile
from lexmargin.solution import Claim, Ran, RawAnswer

__all__ = ["Job", "isolated", "nursery_for", "outcome_of"]

_WORKER = "lexmargin.run.worker"
WORK = f"{_WORKER}:work"
"""What the child is asked to do."""

GRACE_SECONDS = 2.0
"""Time for a solver to end by its own clock, and for the child to report."""

START_SECONDS = 60.0
"""Time for the child to import what the job needs, on a busy machine."""


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

    def run(self, engine: Backend | None = None) -> Run:
        """Run here, in this process."""
        return run(
            self.problem,
            self.profile,
            self.grade,
            engine or require(self.profile),
            self.start,
            np.random.default_rng(self.seed),
            self.time_limit,
            verbose=self.verbose,
        )


def nursery_for(job: Job) -> Nursery:
    """Return what gives birth to the children of a job, and of others with its profile.

    It imports what they need once; close it when the last has answered.
    """
    modules = require(job.profile).preloads(job.profile.solver)
    return Nursery((_WORKER, *modules), single=False, loud=job.verbose)


def isolated(job: Job, nursery: Nursery) -> Run:
    """Run in a child process and end it, and all it started, at the time limit plus a grace.

    Raises:
        LexmarginError: whatever the child raised by name.
        UnsupportedError: a problem that cannot be sent to another process.
    """
    began = time.monotonic()
    # An interactive session imports from the current folder; there, last, the child finds modules
    # that nobody else has.
    last = [os.getcwd()] if "" in sys.path else []
    try:
        sent = pickle.dumps((last, pickle.dumps(job)))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UnsupportedError(
            f"This problem cannot be sent to another process: {error}.",
            "Define its predictor in a module, or leave out the time limit.",
        ) from error
    limit = None if job.time_limit is None else job.time_limit + GRACE_SECONDS
    reply = nursery.run(WORK, sent, (START_SECONDS, limit))
    outcome = reply.answer
    if reply.end is End.ANSWERED and isinstance(outcome, Run):
        return outcome
    if reply.end is End.ANSWERED and isinstance(outcome, LexmarginError):
        raise outcome
    ran, status = Ran.CRASHED, f"the process ended with exit code {reply.code}"
    match reply.end:
        case End.TIME:
            ran, status = Ran.TIME_LIMIT, f"ended after {job.time_limit:g} s"
        case End.SIGNAL:
            status = f"the process was ended by signal {reply.signal}"
        case End.RAISED | End.NO_ROOM:
            status = str(outcome)
        case End.MEMORY:
            status = "there was not enough memory"
    return Run(
        (), RawAnswer({}, {}, ran, Claim.NOTHING, status), 1.0, 0.0, time.monotonic() - began, {}
    )


def outcome_of(job: Job, ready: Callable[[], None]) -> Run | LexmarginError:
    """Return the outcome of a job, or its named error, in the child; say when it begins."""
    try:
        engine = require(job.profile)
        ready()
        return job.run(engine)
    except LexmarginError as error:
        return error
