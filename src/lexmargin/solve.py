"""Choose a solver, run it stage by stage, then judge its answer ourselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from typing import final

import numpy as np

from lexmargin.backends import Backend, backend
from lexmargin.certificate import Tolerances, certify
from lexmargin.errors import MissingBackendError, NotSeparableError, ParameterError, ShapeError
from lexmargin.formulations.base import Formulation, StageAnswer, vector_norm
from lexmargin.formulations.start import random_theta, separating_theta
from lexmargin.library import Grade, Library, Profile
from lexmargin.library import grade as named_grade
from lexmargin.library_profiles import Handles
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature
from lexmargin.separability import Separability, separability_of_rows
from lexmargin.solution import Ran, RawAnswer, Solution, SolverSettings, Times

__all__ = ["Run", "choose_profile", "judge", "run", "solve"]

AUTO = "auto"
_START_ATTEMPTS = 8
_SAME_DIRECTION = 1e-5

Start = FloatArray | Sequence[FloatArray]
Progress = Callable[[str], None]


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


def solve(
    problem: Formulation,
    solver: str = AUTO,
    grade: str = "default",
    start: Start | None = None,
    starts: int = 1,
    seed: int = 0,
    time_limit: float | None = None,
    *,
    library: Library | None = None,
    polish: bool = True,
    verbose: bool = False,
    progress: Progress | None = None,
) -> Solution:
    """Solve a problem of the paper and certify the answer.

    Args:
        problem: a formulation.
        solver: a profile's name, or "auto" (see :func:`choose_profile`).
        grade: "default", "low", "mid" or "high": what is asked of the solver; the certificate
            verifies ten times looser.
        start: θ to start from, flat ``(d,)`` or block by block; random and separating if None.
        starts: number of starts of a nonconvex problem; every distinct point is kept, best first.
        seed: of every random choice.
        time_limit: seconds for all starts together; None for none.
        library: the shelves; the shipped ones if None.
        polish: improve the answer by Newton steps on the KKT system before judging it.
        verbose: let the solver print.
        progress: called with a short line before each run.

    Returns:
        The best answer with its certificate; ``others`` holds the other stationary points.

    Raises:
        MissingBackendError: the solver is not installed or does not work here.
        NotSeparableError: the linear data admit no separator; carries the Gordan vector.
        ParameterError: starts < 1, or a time limit that is not positive.
    """
    if starts < 1:
        raise ParameterError(f"starts is {starts}.", "Give at least 1.")
    if time_limit is not None and not time_limit > 0:
        raise ParameterError(f"The time limit is {time_limit} s.", "Give a positive number.")
    shelves = library or Library()
    chosen = choose_profile(problem, shelves) if solver == AUTO else shelves.profile(solver)
    asked = named_grade(grade)
    engine = require(chosen)
    convex = problem.program().is_convex
    seeds = np.random.SeedSequence(seed).spawn(1 if convex else starts)
    deadline = None if time_limit is None else time.monotonic() + time_limit
    found: list[Solution] = []
    for index, child in enumerate(seeds):
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0 and found:
            break
        if progress is not None:
            progress(f"{problem.name} with {chosen.name}, start {index + 1} of {len(seeds)}")
        rng = np.random.default_rng(child)
        outcome = run(problem, chosen, asked, engine, start, rng, left, verbose=verbose)
        found.append(judge(problem, chosen, asked, outcome, seed, polish=polish))
    best = _ranked(problem, found)
    if not problem.functions.multi_class:
        _refuse_inseparable(problem, best[0])
    return replace(best[0], others=tuple(best[1:]))


def choose_profile(problem: Formulation, library: Library) -> Profile:
    """Return the default profile: Clarabel for convex programs, Ipopt for the rest.

    Ipopt is reached through Pyomo and cyipopt, or through CasADi where cyipopt is missing.
    """
    if problem.program().is_convex:
        return library.profile("clarabel")
    pyomo = library.profile("ipopt")
    if not backend(pyomo.backend).available(pyomo.solver):
        return pyomo
    return library.profile("ipopt-casadi")


def require(profile: Profile) -> Backend:
    """Return the profile's backend, or raise :class:`MissingBackendError` saying what to do."""
    engine = backend(profile.backend)
    why = engine.available(profile.solver)
    if why:
        raise MissingBackendError(
            f"The solver {profile.name!r} cannot be used here: {why}",
            f"Install it ({profile.install}) or choose another with --solver.",
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
    verbose: bool = False,
) -> Run:
    """Run all stages from one start and return the raw answers; nothing is judged here."""
    begun = time.monotonic()
    first = _start(problem, start, rng)
    unit = _natural_unit(problem, first)
    needs_start = Handles.NONCONVEX in profile.handles
    initial = problem.initial_values(first, unit) if needs_start else None
    answers: tuple[StageAnswer, ...] = ()
    build = solving = 0.0
    phases: dict[str, float] = {}
    raw: RawAnswer | None = None
    while (program := problem.next_program(answers, unit)) is not None:
        before = time.monotonic()
        compiled = engine.compile(program)
        build += time.monotonic() - before
        left = None if time_limit is None else max(1e-3, time_limit - (time.monotonic() - begun))
        settings = SolverSettings(
            profile.solver, profile.options(grade, time_limit=left), left, verbose
        )
        if answers and needs_start:
            initial = {**(initial or {}), **problem.next_values(answers, unit)}
        raw = compiled.solve(settings, initial)
        build += raw.build_seconds
        solving += raw.solve_seconds
        for name, seconds in raw.phases.items():
            phases[name] = phases.get(name, 0.0) + seconds
        if not raw.has_values:
            break
        answers = (*answers, StageAnswer(raw.values, raw.multipliers))
        if raw.ran is not Ran.FINISHED:
            break
    assert raw is not None
    return Run(answers, raw, unit, build, solving, phases)


def judge(
    problem: Formulation,
    profile: Profile,
    grade: Grade,
    outcome: Run,
    seed: int,
    *,
    polish: bool = True,
) -> Solution:
    """Return the solution: theta read back, margins recomputed, and our certificate."""
    raw, functions = outcome.raw, problem.functions
    begun = time.monotonic()
    if not outcome.answers:
        return _empty(problem, profile, outcome, seed)
    theta = problem.theta(outcome.answers, outcome.unit)
    tolerances = Tolerances.at(grade.verified)
    certificate = certify(problem, theta, tolerances=tolerances)
    size = vector_norm(theta, problem.norm_p)
    direction = theta / size if size > 0 else theta
    scale = direction if functions.homogeneity.degree is not None else problem.rho_value * theta
    margins = functions.values(scale)
    return Solution(
        problem=problem.name.value,
        theta=functions.blocks(theta),
        direction=direction,
        objective=problem.objective(theta),
        margins=margins,
        margin=float(margins.min()),
        multipliers=problem.margin_multipliers(outcome.answers, outcome.unit),
        ran=raw.ran,
        claim=raw.claim,
        raw_status=raw.raw_status,
        certificate=certificate,
        times=Times(outcome.build_seconds, outcome.solve_seconds, time.monotonic() - begun),
        solver=profile.name,
        versions=versions(profile),
        seed=seed,
        iterations=raw.iterations,
    )


def versions(profile: Profile) -> dict[str, str]:
    """Return the versions of lexmargin, of the modelling system and of the solver's package."""
    found = {}
    for package in ("lexmargin", "numpy", profile.backend.value, profile.requires):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _start(
    problem: Formulation, start: Start | None, rng: np.random.Generator
) -> FloatArray:
    functions = problem.functions
    if start is not None:
        array = isinstance(start, np.ndarray)
        theta = np.asarray(start, dtype=float) if array else functions.flatten(list(start))
        functions.blocks(theta)
        if not np.all(np.isfinite(theta)):
            raise ShapeError("The start has NaN or infinite entries.", "Give finite numbers.")
        return theta
    theta = random_theta(functions, rng)
    if functions.curvature <= Curvature.CONCAVE:
        return theta
    for _ in range(_START_ATTEMPTS):
        theta, separates = separating_theta(functions, random_theta(functions, rng))
        if separates:
            break
    return theta


def _natural_unit(problem: Formulation, theta: FloatArray) -> float:
    """Return the power of two nearest to the size of the margins, so that solvers see O(1)."""
    functions = problem.functions
    size = vector_norm(theta, problem.norm_p)
    if functions.homogeneity.degree is not None and size > 0:
        theta = theta / size
    values = np.abs(functions.values(problem.rho_value * theta))
    largest = float(np.max(values[np.isfinite(values)], initial=0.0))
    return float(2.0 ** np.round(np.log2(largest))) if largest > 0 else 1.0


def _ranked(problem: Formulation, found: list[Solution]) -> list[Solution]:
    """Return distinct points, best first: certified before not, then by objective."""
    sign = -1.0 if problem.program().sense.value == "maximize" else 1.0

    def key(solution: Solution) -> tuple[bool, bool, float]:
        certificate = solution.certificate
        good = certificate is not None and certificate.certified
        known = np.isfinite(solution.objective)
        return (not good, not known, sign * solution.objective if known else 0.0)

    distinct: list[Solution] = []
    for solution in sorted(found, key=key):
        near = (np.linalg.norm(solution.direction - o.direction) for o in distinct)
        if not any(distance < _SAME_DIRECTION for distance in near):
            distinct.append(solution)
    return distinct


def _empty(problem: Formulation, profile: Profile, outcome: Run, seed: int) -> Solution:
    nothing = np.full(problem.functions.size, np.nan)
    unknown = np.full(problem.functions.count, np.nan)
    return Solution(
        problem=problem.name.value,
        theta=problem.functions.blocks(nothing),
        direction=nothing,
        objective=float("nan"),
        margins=unknown,
        margin=float("nan"),
        multipliers=unknown,
        ran=outcome.raw.ran,
        claim=outcome.raw.claim,
        raw_status=outcome.raw.raw_status,
        certificate=None,
        times=Times(outcome.build_seconds, outcome.solve_seconds, 0.0),
        solver=profile.name,
        versions=versions(profile),
        seed=seed,
        iterations=outcome.raw.iterations,
    )


def _refuse_inseparable(problem: Formulation, best: Solution) -> None:
    """Raise with a proof when linear data have no separator; a solver's word is not enough."""
    functions = problem.functions
    if best.certificate is not None and best.margin > 0:
        return
    linear = functions.curvature is Curvature.AFFINE and functions.homogeneity.degree == 1.0
    if not linear:
        return
    proof = separability_of_rows(functions.jacobian(np.zeros(functions.size)))
    if not proof.separable:
        raise NotSeparableError(
            "No linear predictor separates these data: a Gordan vector λ ≥ 0 with Zᵀλ = 0, "
            f"verified in exact arithmetic, has {_count(proof)} positive entries.",
            "Use a richer predictor, or remove the contradicting samples.",
            proof=proof,
        )


def _count(proof: Separability) -> int:
    return 0 if proof.gordan is None else sum(1 for value in proof.gordan if value > 0)


