"""What is done in the process of one unit: solve without polish, judge, and write down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from lexmargin.backends import Backend, backend
from lexmargin.compare.descent import DescentBackend
from lexmargin.compare.isolation import Isolated, Reply
from lexmargin.compare.nursery import End, Mark
from lexmargin.compare.records import RowStatus
from lexmargin.compare.units import Unit, digest, problem_digest
from lexmargin.errors import LibraryError, UnsupportedError
from lexmargin.library_build import build
from lexmargin.library_problems import ProblemFile, read_problem
from lexmargin.library_profiles import Profile, read_profile
from lexmargin.run import run
from lexmargin.solution import BackendName, Claim, Solution, finite
from lexmargin.solve import judge

__all__ = ["Answered", "answer", "engine_of", "run_unit"]

_TASK: Final = "lexmargin.compare.work:answer"


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


def run_unit(unit: Unit) -> Answered:
    """Run one unit in a process of its own, with one thread, under its limits.

    Whatever happens in there is an answer; this function raises only if no process can be started.
    """
    limits = unit.limits
    reply = Isolated.nursery().run(_TASK, unit.to_json(), limits.seconds, limits.mebibytes)
    found = reply.answer if reply.end is End.ANSWERED else None
    if found is not None and "error" not in found:
        result, times = dict(found["result"]), dict(found["times"])
    else:
        result, times = _ended(unit, reply), {}
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


def answer(payload: Mapping[str, Any], mark: Mark) -> dict[str, Any]:
    """Return the result and the times of the unit described by the payload."""
    unit = Unit.from_json(payload)
    stated = read_problem(Path(unit.problem_path))
    if problem_digest(stated) != unit.problem_digest:
        raise LibraryError(f"{unit.problem_path} has changed.", "Start the comparison again.")
    if digest(Path(unit.profile_path).read_bytes()) != unit.profile_digest:
        raise LibraryError(f"{unit.profile_path} has changed.", "Start the comparison again.")
    profile = read_profile(Path(unit.profile_path))
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
    certificate = solution.certificate
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
        whose = "the certificate" if reply.judging else "the solver"
        return _nothing(RowStatus.TIME_LIMIT, f"{whose} was ended after {unit.limits.seconds:g} s")
    if reply.end is End.MEMORY:
        return _nothing(RowStatus.CRASHED, f"memory limit of {unit.limits.mebibytes} MiB")
    if reply.end is End.SIGNAL:
        return _nothing(RowStatus.CRASHED, f"ended by signal {reply.signal}")
    if reply.answer is not None:
        return _nothing(RowStatus.CRASHED, str(reply.answer["error"]))
    return _nothing(RowStatus.CRASHED, f"exit code {reply.code} without an answer")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]
