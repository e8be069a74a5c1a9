"""What is done in the process of one unit: solve without polish, judge, and write down."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from lexmargin.backends import BACKEND_MODULES, Backend, backend
from lexmargin.backends.base import Stopwatch
from lexmargin.backends.shape import Form, shape_of
from lexmargin.compare.contender import Contender, outcome_of, solve_model
from lexmargin.compare.descent import DescentBackend
from lexmargin.compare.jobs import Unit
from lexmargin.compare.own_measure import Own, infeasible_by_own, own_residuals
from lexmargin.compare.records import RowStatus
from lexmargin.compare.sources import entrant_in, load_modules, problem_in
from lexmargin.errors import (
    LexmarginError,
    LibraryError,
    NotSeparableError,
    SolverFailedError,
    UnsupportedError,
)
from lexmargin.formulations.base import Formulation
from lexmargin.inputs.arrays import finite, real_array
from lexmargin.judge.bounds.inseparable import prove_inseparable
from lexmargin.processes.nursery import End, Mark
from lexmargin.processes.owner import Nursery, Reply, shared_nursery
from lexmargin.run.inseparable_data import refuse_inseparable
from lexmargin.run.judged_answer import judge, judge_point
from lexmargin.run.stages import Run, run
from lexmargin.shelf.problems import ProblemFile
from lexmargin.shelf.profiles import Profile
from lexmargin.solution import BackendName, Claim, RawAnswer, Solution

__all__ = ["PRELOADED", "Answered", "answer", "engine_of", "is_feasible", "run_unit"]

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
        "load": times.get("load"),
        "compile": times.get("compile"),
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
        load_modules(unit.modules)
        problem, stated = problem_in(unit.problem)
        entrant = entrant_in(unit.entrant)
    except LibraryError as error:
        return error
    if isinstance(entrant, Contender):
        found = _of_contender(unit, entrant, problem, mark)
    else:
        found = _of_profile(unit, entrant, problem, stated, mark)
    program = found.pop("program", None)
    claim = found["result"]["claim"]
    aims = problem.is_judged and problem.traits.largest_margin
    found["result"]["largest_margin"] = bool(aims)
    if claim in (Claim.INFEASIBLE.value, Claim.LOCALLY_INFEASIBLE.value):
        feasible = is_feasible(problem)
        found["result"]["feasible"] = feasible
        if feasible and isinstance(entrant, Profile):
            found["result"] |= infeasible_by_own(program, entrant).to_json()
    return found


def is_feasible(problem: Formulation) -> bool | None:
    """Say by proof whether a problem's program has a feasible point; None where nothing is proved.

    Its own separability decides for linear scores; a ball, or a loss alone, is never empty.
    """
    if problem.traits.is_loss:
        return True
    found = shape_of(problem.program())
    if found is not None and found.form is Form.MAX:
        return True
    try:
        if refuse_inseparable(problem):
            return True
        return None if prove_inseparable(problem) is None else False
    except NotSeparableError:
        return False
    except LexmarginError:
        return None


def _of_profile(
    unit: Unit, profile: Profile, problem: Formulation, stated: ProblemFile | None, mark: Mark
) -> dict[str, Any]:
    """Return the judged answer of a solver of the shelf."""
    begun = time.perf_counter()
    engine = engine_of(profile)
    why = engine.available(profile.solver)
    loading = time.perf_counter() - begun
    if why:
        sentence = f"{why} {profile.install}" if profile.install else why
        return {"result": _nothing(RowStatus.MISSING, sentence), "times": {}}
    start = None
    if stated is not None and stated.start is not None:
        start = np.array([v.value for v in stated.start])
    rng = np.random.default_rng(np.random.SeedSequence(unit.seed).spawn(1)[0])
    scale = None if unit.scaled else 1.0
    try:
        outcome = run(problem, profile, unit.grade, engine, start, rng, None, unit=scale)
    except UnsupportedError as error:
        return {"result": _nothing(RowStatus.NOT_HANDLED, str(error)), "times": {}}
    mark()
    own = own_residuals(problem, profile, unit.grade, outcome)
    solution = judge(problem, profile, unit.grade, outcome, unit.seed, polish=False)
    times = {
        "load": loading,
        "compile": outcome.phases.get("compile", 0.0),
        "build": solution.times.build - outcome.phases.get("compile", 0.0),
        "solve": solution.times.solve,
        "certify": solution.times.certify,
    }
    result = _result(solution) | own.to_json()
    return {"result": result, "times": times, "program": outcome.program}


def _of_contender(
    unit: Unit, entrant: Contender, problem: Formulation, mark: Mark
) -> dict[str, Any]:
    """Return the judged answer of somebody's own model; what its functions raise is named."""
    watch, part = Stopwatch(), "build"
    theta = multipliers = None
    try:
        model = entrant.build(problem)
        watch.lap(part)
        part = "solve"
        said = solve_model(entrant, model)
        compiled = getattr(model, "compilation_time", None)
        if isinstance(compiled, float):
            watch.share("compile", compiled)
        watch.lap(part)
        part = "read"
        ran, claim, status = outcome_of(model, said)
        found = entrant.answer(model)
        watch.lap("solve")
        part = "answer"
        if found.theta is not None:
            theta = problem.functions.point(found.theta)
        if found.multipliers is not None:
            multipliers = real_array(found.multipliers, "λ").reshape(problem.functions.count)
    except UnsupportedError as error:
        return {"result": _nothing(RowStatus.NOT_HANDLED, str(error)), "times": {}}
    except Exception as error:  # whatever somebody's code raises
        sentence = f"{part} raised {type(error).__name__}: {error}"
        return {"result": _nothing(RowStatus.CRASHED, sentence), "times": {}}
    mark()
    claim = claim if found.claim is None else found.claim
    raw = RawAnswer({}, {}, ran, claim, status)
    phases = watch.phases
    outcome = Run((), raw, 1.0, phases["build"], phases["solve"], phases)
    solution = judge_point(
        problem, entrant.name, unit.grade, outcome, unit.seed, theta, multipliers
    )
    times = {
        "load": 0.0,
        "compile": phases.get("compile", 0.0),
        "build": phases["build"],
        "solve": phases["solve"],
        "certify": solution.times.certify,
    }
    return {"result": _result(solution), "times": times}


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
        "reasons": [_one_line(reason) for reason in certificate.reasons],
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
        "feasible": None,
        "largest_margin": False,
        **Own().to_json(),
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
