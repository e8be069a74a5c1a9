"""A run in a process of its own, which its time limit really ends.

Solvers check their clocks between iterations, if at all; only the end of the process is certain.
The child is a fresh interpreter (no fork, no re-import of the caller's main module) in a session
of its own, so that whatever it started ends with it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from lexmargin.backends import Backend
from lexmargin.errors import LexmarginError, UnsupportedError
from lexmargin.formulations.base import Formulation
from lexmargin.library_profiles import Grade, Profile
from lexmargin.run import Run, Start, require, run
from lexmargin.solution import Claim, Ran, RawAnswer

__all__ = ["Job", "isolated", "work"]

GRACE_SECONDS = 2.0
"""Time for a solver to end by its own clock, and for the child to start and to report."""


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


def isolated(job: Job) -> Run:
    """Run in a child process and end it, and all it started, at the time limit plus a grace.

    Raises:
        LexmarginError: whatever the child raised by name.
        UnsupportedError: a problem that cannot be sent to another process.
    """
    began = time.monotonic()
    try:
        sent = pickle.dumps(job)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UnsupportedError(
            f"This problem cannot be sent to another process: {error}.",
            "Define its predictor in a module, or leave out the time limit.",
        ) from error
    with tempfile.TemporaryDirectory(prefix="lexmargin-") as folder:
        question, answer = Path(folder, "job"), Path(folder, "answer")
        question.write_bytes(sent)
        command = [sys.executable, "-m", "lexmargin.worker", str(question), str(answer)]
        output = None if job.verbose else subprocess.DEVNULL
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=2 if job.verbose else output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        limit = None if job.time_limit is None else job.time_limit + GRACE_SECONDS
        try:
            child.wait(limit)
        except subprocess.TimeoutExpired:
            return _ended(job, time.monotonic() - began)
        finally:
            _end(child)
        if not answer.exists():
            return _nothing(Ran.CRASHED, f"the process ended with status {child.returncode}", began)
        # Written by our own child into a folder only we can read: not a file of a user.
        outcome = pickle.loads(answer.read_bytes())
    if isinstance(outcome, LexmarginError):
        raise outcome
    assert isinstance(outcome, Run)
    return outcome


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child's whole session; nothing is left behind, whatever it ignores."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _ended(job: Job, seconds: float) -> Run:
    limit = job.time_limit
    return _nothing(Ran.TIME_LIMIT, f"ended after {limit:g} s", time.monotonic() - seconds)


def _nothing(ran: Ran, status: str, began: float) -> Run:
    raw = RawAnswer({}, {}, ran, Claim.NOTHING, status)
    return Run((), raw, 1.0, 0.0, time.monotonic() - began, {})


def work(question: Path, answer: Path) -> None:
    """Do the job in ``question`` and leave its outcome, or its named error, in ``answer``."""
    job = pickle.loads(question.read_bytes())
    outcome: Run | LexmarginError
    try:
        outcome = job.run()
    except LexmarginError as error:
        outcome = error
    draft = answer.with_suffix(".draft")
    draft.write_bytes(pickle.dumps(outcome))
    draft.rename(answer)
