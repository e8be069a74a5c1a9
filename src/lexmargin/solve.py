"""Choose a solver, run it stage by stage, then judge its answer ourselves."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from importlib import metadata

import numpy as np

from lexmargin.backends import backend
from lexmargin.certificate import Tolerances, certify
from lexmargin.errors import (
    NotSeparableError,
    ParameterError,
    UnsupportedError,
)
from lexmargin.formulations.base import Formulation, FormulationName, vector_norm
from lexmargin.formulations.levels import Level
from lexmargin.formulations.lexicographic import Lexicographic
from lexmargin.formulations.w_set import WSet
from lexmargin.isolated import Job, isolated
from lexmargin.library import Library
from lexmargin.library import grade as named_grade
from lexmargin.library_profiles import Grade, Profile
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature
from lexmargin.polish import Polished
from lexmargin.polish import polish as polish_point
from lexmargin.run import Run, Start, require, run
from lexmargin.separability import Separability, separability_of_rows
from lexmargin.solution import Solution, Times

__all__ = ["Run", "choose_profile", "judge", "run", "solve"]

AUTO = "auto"
SPECIALISED = ("face", "newton", "active-set", "convex-concave", "augmented-lagrangian")
"""Profiles tried first, in this order, each for the problems its backend is made for."""

_SAME_DIRECTION = 1e-5
_MOST_MOVED = 1e-2
"""A polish that moves the direction further has found another point than the solver's."""

Progress = Callable[[str], None]


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
    if seed < 0:
        raise ParameterError(f"The seed is {seed}.", "Give 0 or more.")
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
        job = Job(problem, chosen, asked, start, child, left, verbose)
        outcome = job.run(engine) if left is None else isolated(job)
        found.append(judge(problem, chosen, asked, outcome, seed, polish=polish))
    best = _ranked(problem, found)
    if not problem.functions.multi_class:
        _refuse_inseparable(problem, best[0])
    return replace(best[0], others=tuple(best[1:]))


def choose_profile(problem: Formulation, library: Library) -> Profile:
    """Return the default profile: one made for such problems, else Clarabel or Ipopt.

    Ipopt is reached through Pyomo and cyipopt, or through CasADi where cyipopt is missing.
    """
    for name in SPECIALISED:
        if name in library.profiles():
            profile = library.profile(name)
            engine = backend(profile.backend)
            if not engine.available(profile.solver) and engine.suits(problem):
                return profile
    if problem.program().is_convex:
        return library.profile("clarabel")
    pyomo = library.profile("ipopt")
    if not backend(pyomo.backend).available(pyomo.solver):
        return pyomo
    return library.profile("ipopt-casadi")


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
    if not np.any(theta):
        # The origin has no direction to judge; solvers return it for data nothing separates.
        return _empty(problem, profile, outcome, seed)
    multipliers = problem.margin_multipliers(outcome.answers, outcome.unit)
    polished = _polished(problem, theta) if polish else None
    if polished is not None:
        theta, multipliers = _as_stated(problem, theta, polished)
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
        multipliers=multipliers,
        levels=_levels(problem, outcome, theta),
        polished=None if polished is None else (polished.moved, polished.residual),
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


def _levels(problem: Formulation, outcome: Run, theta: FloatArray) -> tuple[Level, ...]:
    """Return the levels of a staged problem; none for the others."""
    if outcome.raw.levels:
        return outcome.raw.levels
    if isinstance(problem, Lexicographic):
        return problem.answered_levels(outcome.answers, outcome.unit)
    if isinstance(problem, WSet):
        values = problem.level_values(theta)
        return tuple(Level(value, (k,)) for k, value in enumerate(values))
    return ()


def _polished(problem: Formulation, theta: FloatArray) -> Polished | None:
    """Return a polished point close by, or None where there is none or nothing to polish."""
    functions = problem.functions
    polishable = (
        problem.name in (FormulationName.HARD_MARGIN, FormulationName.MARGIN_PATH)
        and problem.norm_p == 2.0
        and functions.homogeneity.degree is not None
        and functions.curvature > Curvature.CONCAVE
    )
    if not (polishable and np.all(np.isfinite(theta)) and functions.values(theta).min() > 0):
        return None
    try:
        polished = polish_point(functions, theta)
    except UnsupportedError:
        return None
    return polished if polished.converged and polished.moved <= _MOST_MOVED else None


def _as_stated(
    problem: Formulation, theta: FloatArray, polished: Polished
) -> tuple[FloatArray, FloatArray]:
    """Return the polished point and its multipliers in the scale the problem is stated in."""
    if problem.name is FormulationName.HARD_MARGIN:
        return polished.theta, polished.multipliers
    size = vector_norm(theta, 2.0)
    share = float(polished.multipliers.sum())
    return polished.theta * (size / vector_norm(polished.theta, 2.0)), polished.multipliers / share


def versions(profile: Profile) -> dict[str, str]:
    """Return the versions of lexmargin, of the modelling system and of the solver's package."""
    found = {}
    for package in ("lexmargin", "numpy", profile.backend.value, profile.requires):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


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
