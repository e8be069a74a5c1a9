"""What is done in the process of one unit: solve without polish, judge, and write down."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from lexmargin.backends import BACKEND_MODULES, Backend, backend
from lexmargin.compare.descent import DescentBackend
from lexmargin.compare.jobs import Unit, digest, problem_digest
from lexmargin.compare.own_modules import load_modules
from lexmargin.compare.records import RowStatus
from lexmargin.errors import LibraryError, SolverFailedError, UnsupportedError
from lexmargin.inputs.arrays import finite
from lexmargin.processes.nursery import End, Mark
from lexmargin.processes.owner import Nursery, Reply, shared_nursery
from lexmargin.run.judged_answer import judge
from lexmargin.run.stages import run
from lexmargin.shelf.build import build
from lexmargin.shelf.problems import ProblemFile, read_problem
from lexmargin.shelf.profiles import Profile, read_profile
from lexmargin.solution import BackendName, Claim, Solution

__all__ = ["PRELOADED", "Answered", "answer", "engine_of", "run_unit"]

PRELOADED: Final = (
    "scipy.optimize",
    "scipy.sparse.linalg",
    "sklearn.datasets",
    "sklearn.svm",
    "cvxpy",
    "pyomo.environ",
    "casadi",
    "cyipopt",
    "flint",
    *BACKEND_MODULES,
    "lexmargin.backends.levels.face",
    "lexmargin.backends.losses.newton",
    "lexmargin.judge.prove",
    "lexmargin.judge.local.beyond_first_order",
    "lexmargin.judge.second_order.ascent",
    "lexmargin.ops.casadi",
    "lexmargin.ops.cvxpy",
    "lexmargin.ops.hessian",
    "lexmargin.ops.pyomo",
    "cvxpy.cvxcore.python.cppbackend",
    "lexmargin.compare.job_run",
)
"""What most units need; a nursery imports it once."""

_TASK: Final = "lexmargin.compare.job_run:answer"
_LEAST_JUDGING_SECONDS: Final = 10.0
"""A fast solver's answer gets at least this long to be judged: a slow judge is not its fault."""


@final
@dataclass(frozen=True)
class Answered:
    """The result of a unit, the same wherever it runs, and what was measured of the run."""

    key: str
    result: dict[str, Any]
    measures: dict[str, Any]


def engine_of(profile: Profile) -> Backend:
    """Return the backend of a profile; baselines that solve no program have theirs here."""
    if profile.backend is BackendName.DESCENT:
        return DescentBackend()
    return backend(profile.backend)


def run_unit(unit: Unit, nursery: Nursery | None = None) -> Answered:
    """Run one unit in a process of its own, with one thread, under its limits.

    Whatever happens in there is an answer.

    Args:
        unit: what to run.
        nursery: asked by this thread alone; the one that this process shares if None.

    Raises:
        SolverFailedError: no process can be started, or the machine has no room for it.
        LibraryError: the problem or the profile has changed since the unit was planned.
    """
    if nursery is None:
        shared, lock = shared_nursery(PRELOADED)
        with lock:
            return run_unit(unit, shared)
    seconds = unit.limits.seconds
    limits = (seconds, max(seconds, _LEAST_JUDGING_SECONDS))
    reply = nursery.run(_TASK, unit, limits, unit.limits.mebibytes)
    if reply.end is End.NO_ROOM:
        raise SolverFailedError(
            f"This machine has no room left ({reply.answer}).",
            "Free some disk space; what is done stays done.",
        )
    if reply.end is End.ANSWERED and isinstance(reply.answer, LibraryError):
        raise reply.answer
    result, times = _ended(unit, reply), {}
    if reply.end is End.ANSWERED:
        result, times = dict(reply.answer["result"]), dict(reply.answer["times"])
    measures = {
        "build": times.get("build"),
        "solve": times.get("solve"),
        "certify": times.get("certify"),
        "process": reply.seconds,
        "peak_mebibytes": reply.peak_mebibytes,
        "attempts": reply.attempts,
    }
    result["unit"] = unit.identity()
    return Answered(unit.key, result, measures)


def answer(unit: Unit, mark: Mark) -> dict[str, Any] | LibraryError:
    """Return the result and the times of a unit."""
    try:
        stated, profile = _files(unit)
    except LibraryError as error:
        return error
    try:
        solution = _solved(unit, profile, stated, mark)
    except UnsupportedError as error:
        return {"result": _nothing(RowStatus.NOT_HANDLED, str(error)), "times": {}}
    if isinstance(solution, str):
        return {"result": _nothing(RowStatus.MISSING, solution), "times": {}}
    times = solution.times
    return {
        "result": _result(solution),
        "times": {"build": times.build, "solve": times.solve, "certify": times.certify},
    }


def _files(unit: Unit) -> tuple[ProblemFile, Profile]:
    """Return the problem and the profile of a unit, if they are what they were."""
    load_modules(unit.modules)
    stated = read_problem(Path(unit.problem_path))
    if problem_digest(stated) != unit.problem_digest:
        raise LibraryError(f"{unit.problem_path} has changed.", "Start the comparison again.")
    if digest(Path(unit.profile_path).read_bytes()) != unit.profile_digest:
        raise LibraryError(f"{unit.profile_path} has changed.", "Start the comparison again.")
    return stated, read_profile(Path(unit.profile_path))


def _solved(unit: Unit, profile: Profile, stated: ProblemFile, mark: Mark) -> Solution | str:
    """Return the judged solution, or the sentence why the solver is absent."""
    engine = engine_of(profile)
    why = engine.available(profile.solver)
    if why:
        return why
    problem = build(stated)
    start = None if stated.start is None else np.array([v.value for v in stated.start])
    rng = np.random.default_rng(np.random.SeedSequence(unit.seed).spawn(1)[0])
    outcome = run(
        problem, profile, unit.grade, engine, start, rng, None, unit=None if unit.scaled else 1.0
    )
    mark()
    return judge(problem, profile, unit.grade, outcome, unit.seed, polish=False)


def _result(solution: Solution) -> dict[str, Any]:
    certificate = solution.judgement
    result = _nothing(RowStatus(solution.ran.value), solution.raw_status)
    result |= {"claim": solution.claim.value, "iterations": solution.iterations}
    if certificate is None:
        return result
    return result | {
        "verdict": certificate.verdict.value,
        "certified": bool(certificate.certified),
        "stationarity": finite(certificate.stationarity),
        "complementarity": finite(certificate.complementarity),
        "feasibility": finite(certificate.feasibility),
        "margin": finite(solution.margin),
        "objective": finite(solution.objective),
        "direction": finite(solution.direction),
        "reasons": list(certificate.reasons),
    }


def _nothing(status: RowStatus, sentence: str) -> dict[str, Any]:
    return {
        "ran": status.value,
        "claim": Claim.NOTHING.value,
        "raw_status": _one_line(sentence),
        "verdict": None,
        "certified": False,
        "stationarity": None,
        "complementarity": None,
        "feasibility": None,
        "margin": None,
        "objective": None,
        "direction": None,
        "iterations": None,
        "reasons": [],
    }


def _ended(unit: Unit, reply: Reply) -> dict[str, Any]:
    """Return the result of a process that gave none."""
    if reply.end is End.TIME:
        whose = "the certificate" if reply.phase else "the solver"
        return _nothing(RowStatus.TIME_LIMIT, f"{whose} was ended after {unit.limits.seconds:g} s")
    if reply.end is End.MEMORY:
        return _nothing(RowStatus.CRASHED, f"memory limit of {unit.limits.mebibytes} MiB")
    if reply.end is End.SIGNAL:
        return _nothing(RowStatus.CRASHED, f"ended by signal {reply.signal}")
    if reply.end is End.RAISED:
        return _nothing(RowStatus.CRASHED, str(reply.answer))
    return _nothing(RowStatus.CRASHED, f"exit code {reply.code} without an answer")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]
