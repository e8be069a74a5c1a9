"""One run of one solver from one start: all stages, nothing judged."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.backends import Backend, backend
from lexmargin.backends.linear.free_bias import (
    SCORE,
    SLOPES,
    first_stage,
    score_program,
    w_set_of_a_bias,
)
from lexmargin.errors import MissingBackendError, UnsupportedError
from lexmargin.formulations.base import MARGIN, Formulation, StageAnswer
from lexmargin.formulations.parts import Parts
from lexmargin.formulations.start import random_theta, separating_theta
from lexmargin.formulations.w_set import WSet
from lexmargin.linalg.norms import vector_norm
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature
from lexmargin.outputs.progress import Part, Progress, Tick
from lexmargin.predictors.linear import Log
from lexmargin.program import Program
from lexmargin.separation.gordan import separability_of_rows
from lexmargin.shelf.profiles import Grade, Handles, Profile
from lexmargin.solution import Claim, Ran, RawAnswer, SolverSettings

__all__ = ["Run", "Start", "natural_unit", "require", "run", "starting_theta"]

_START_ATTEMPTS = 4
"""Random directions tried for a separating start; the last goes on, separating or not."""

_ANSWERED = (Claim.OPTIMAL, Claim.LOCALLY_OPTIMAL)
"""Claims after which a warm start has served; after any other the solver starts from θ alone."""

Start = FloatArray | Sequence[float] | Sequence[FloatArray]


@final
@dataclass(frozen=True)
class Run:
    """What came back from one start: the answers of all stages, unjudged."""

    answers: tuple[StageAnswer, ...]
    raw: RawAnswer
    unit: float
    build_seconds: float
    solve_seconds: float
    phases: Mapping[str, float]
    program: Program | None = None
    """The last program that was solved; None where a method answers a problem as a whole."""


def require(profile: Profile) -> Backend:
    """Return the profile's backend, or raise :class:`MissingBackendError` saying what to do."""
    engine = backend(profile.backend)
    why = engine.available(profile.solver)
    if why:
        raise MissingBackendError(
            f"The solver {profile.name!r} cannot be used here: {why}",
            f"Install it ({profile.remedy}) or choose another with --solver.",
        )
    return engine


def run(
    problem: Formulation,
    profile: Profile,
    grade: Grade,
    engine: Backend,
    start: Start | None,
    rng: np.random.Generator,
    time_limit: float | None,
    *,
    multipliers: FloatArray | None = None,
    verbose: bool = False,
    unit: float | None = None,
    progress: Progress | None = None,
) -> Run:
    """Run all stages from one start and return the raw answers; nothing is judged here.

    ``multipliers`` are λ (N,) of the start, as :class:`~lexmargin.solution.Solution` has them: with
    them the solver stays near. ``unit`` is what margins are measured in; the power of two near
    their size if None, and 1 to show the solver the numbers as they are. ``progress`` is told of
    every level but the first.
    """
    begun = time.monotonic()
    settings = SolverSettings(
        profile.solver, profile.options(grade, time_limit=time_limit), time_limit, verbose
    )
    at_once = engine.whole(problem, settings) if problem.is_judged else None
    if at_once is not None:
        answers: tuple[StageAnswer, ...] = (
            StageAnswer(at_once.values, at_once.multipliers),
        ) * at_once.has_values
        return Run(answers, at_once, 1.0, at_once.build_seconds, at_once.solve_seconds, {})
    in_score = w_set_of_a_bias(problem) if Handles.QP in profile.handles else None
    if in_score is not None:
        return _by_score(in_score, engine, settings, 1.0 if unit == 1.0 else None)
    needs_start = Handles.NONCONVEX in profile.handles
    # A start may be anything, where margins overflow too.
    with np.errstate(all="ignore"):
        first = starting_theta(problem, start, rng, anywhere=engine.starts_anywhere(problem))
        unit = natural_unit(problem, first) if unit is None else unit
        initial = problem.initial_values(first, unit) if needs_start else None
    answers = ()
    build = solving = 0.0
    phases: dict[str, float] = {}
    raw: RawAnswer | None = None
    last: Program | None = None
    while (program := problem.next_program(answers, unit)) is not None:
        if answers and progress is not None:
            name = f"{problem.name} with {profile.name}"
            progress(Tick(Part.LEVELS, len(answers), None, name))
        compiled, last = engine.compile(program), program
        left = None if time_limit is None else max(1e-3, time_limit - (time.monotonic() - begun))
        settings = SolverSettings(
            profile.solver, profile.options(grade, time_limit=left), left, verbose
        )
        if answers and needs_start:
            known = {**(initial or {}), **problem.next_values(answers, unit)}
            initial = {v.name: known[v.name] for v in program.variables if v.name in known}
        warm = None if answers else _warm(problem, program, initial, multipliers, unit)
        raw = compiled.solve(settings, initial, multipliers=warm)
        if warm is not None and raw.ran is not Ran.TIME_LIMIT and raw.claim not in _ANSWERED:
            # Too far from any answer to begin near the boundary.
            raw = compiled.solve(settings, initial)
        build += raw.build_seconds
        solving += raw.solve_seconds
        for name, seconds in raw.phases.items():
            phases[name] = phases.get(name, 0.0) + seconds
        if not raw.has_values:
            break
        answers = (*answers, StageAnswer(raw.values, raw.multipliers))
        if raw.ran is not Ran.FINISHED and not _starts_the_next(problem, raw):
            break
    if raw is None:
        raise UnsupportedError("The problem states no program.", "State one at least.")
    return Run(answers, raw, unit, build, solving, phases, last)


def _warm(
    problem: Formulation,
    program: Program,
    values: Mapping[str, FloatArray] | None,
    multipliers: FloatArray | None,
    unit: float,
) -> dict[str, FloatArray] | None:
    """Return the program's multipliers that are read back as these, or None."""
    count = problem.functions.count
    if values is None or multipliers is None or np.shape(multipliers) != (count,):
        return None
    if MARGIN not in (constraint.name for constraint in program.constraints):
        return None
    one = (StageAnswer(values, {MARGIN: np.ones(count)}),)
    sizes = problem.margin_multipliers(one, unit)
    usable = np.all(sizes > 0.0) and np.all(multipliers >= 0.0) and np.any(multipliers)
    found = {MARGIN: multipliers / np.where(sizes > 0.0, sizes, 1.0)}
    return found if usable and np.all(np.isfinite(found[MARGIN])) else None


def _by_score(problem: WSet, engine: Backend, settings: SolverSettings, scale: float | None) -> Run:
    """Answer a W-set of a linear score and a bias as the quadratic program that it is.

    ``scale`` measures w; that of the data if None.
    """
    measure = float(problem.parts.natural_scales[0]) if scale is None else scale
    program = score_program(problem, measure)
    raw = engine.compile(program).solve(settings)
    answers: tuple[StageAnswer, ...] = ()
    if raw.has_values:
        w, score = raw.values[SLOPES].reshape(-1) * measure, float(raw.values[SCORE].item())
        duals = raw.multipliers.get(MARGIN, np.full(problem.functions.count, np.nan))
        answers = (StageAnswer(*first_stage(problem, w, score, duals * measure**2)),)
    seconds = (raw.build_seconds, raw.solve_seconds)
    return Run(answers, raw, 1.0, *seconds, dict(raw.phases), program)


def _starts_the_next(problem: Formulation, raw: RawAnswer) -> bool:
    """Say whether the next stage may mend what this one has left unfinished."""
    given_up = raw.ran in (Ran.NUMERICAL, Ran.ITERATION_LIMIT)
    finite = all(bool(np.all(np.isfinite(value))) for value in raw.values.values())
    return problem.stages_only_start and given_up and finite


def starting_theta(
    problem: Formulation,
    start: Start | None,
    rng: np.random.Generator,
    *,
    anywhere: bool = False,
) -> FloatArray:
    """Return the given start, or a seeded one that separates where a short descent finds one.

    ``anywhere``: whether a start that does not separate will do.
    """
    functions = problem.functions
    if start is not None:
        return functions.point(start)
    if isinstance(problem.predictor, Log):
        # Elsewhere the logarithm is not defined.
        verdict = separability_of_rows(functions.features)
        if verdict.witness is not None:
            return verdict.witness / np.linalg.norm(verdict.witness)
    theta = _balanced(functions, random_theta(functions, rng), rng)
    if anywhere or functions.curvature <= Curvature.CONCAVE:
        return theta
    for _ in range(_START_ATTEMPTS):
        fresh = _balanced(functions, random_theta(functions, rng), rng)
        theta, separates = separating_theta(functions, fresh)
        if separates:
            break
    return theta


def _balanced(
    functions: MarginFunctions, theta: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Return θ with every part of a sum where it alone gives margins of size 1, more or less.

    Parts of different degrees grow at different rates: at one common size some of them are nothing.
    """
    if len(functions.homogeneity.parts) < 2:
        return theta
    parts = Parts(functions)
    sizes = np.sqrt(parts.sizes(theta))
    shares = rng.uniform(0.3, 1.5, sizes.size) * parts.natural_scales
    return theta * parts.spread(shares / np.where(sizes > 0, sizes, 1.0))


def natural_unit(problem: Formulation, theta: FloatArray) -> float:
    """Return the power of two nearest to the size of the margins, so that solvers see O(1)."""
    functions = problem.functions
    size = vector_norm(theta, problem.norm_p)
    # The paths live in the unit ball, whatever the size of the start.
    if (problem.traits.in_ball or functions.homogeneity.degree is not None) and size > 0:
        theta = theta / size
    values = np.abs(functions.values(problem.rho_value * theta))
    largest = float(np.max(values[np.isfinite(values)], initial=0.0))
    return float(2.0 ** np.round(np.log2(largest))) if largest > 0 else 1.0
