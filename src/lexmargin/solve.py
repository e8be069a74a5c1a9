"""Choose a solver, run it stage by stage, then judge its answer ourselves."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import final

import numpy as np

from lexmargin.backends import BackendName, backend
from lexmargin.backends.free_bias import rows_with_bias
from lexmargin.backends.suspects import suspects
from lexmargin.certificate import (
    Certificate,
    Tolerances,
    Verdict,
    certify,
    certify_linear_problem,
    require_linear,
)
from lexmargin.certificate.inseparable import prove_inseparable
from lexmargin.checks import positive, whole
from lexmargin.errors import NotSeparableError, SolverFailedError, UnsupportedError
from lexmargin.formulations.base import Formulation, FormulationName, StageAnswer, vector_norm
from lexmargin.formulations.constrained_path import ConstrainedPath
from lexmargin.formulations.known import is_known, word_of
from lexmargin.formulations.levels import Level, Proof
from lexmargin.formulations.lexicographic import Lexicographic
from lexmargin.formulations.regularization_path import RegularizationPath
from lexmargin.formulations.w_set import WSet
from lexmargin.gordan import Separability, contradiction_proof, separability_of_rows
from lexmargin.isolated import Job
from lexmargin.kinds import checked
from lexmargin.library import Library
from lexmargin.library import grade as named_grade
from lexmargin.library_build import stated
from lexmargin.library_profiles import Finds, Grade, Profile
from lexmargin.losses import Loss
from lexmargin.multistart import Progress, default_starts, outcomes, ranked
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature
from lexmargin.origin_answer import certified_origin
from lexmargin.predictors.linear import Log
from lexmargin.run import Run, Start, require, run
from lexmargin.solution import Claim, RawAnswer, Solution, Times

__all__ = ["Run", "choose_profile", "judge", "run", "solve"]

AUTO = "auto"
_NEED_A_SEPARATOR = (
    FormulationName.HARD_MARGIN,
    FormulationName.MARGIN_PATH,
    FormulationName.LEXICOGRAPHIC,
    FormulationName.SCALED_MARGIN,
    FormulationName.W_SET,
)
_WITHOUT_A_SEPARATOR = (
    "The constrained and the regularization path need no separator, and separability(data) says "
    "which samples can be separated."
)
SPECIALISED = (
    "face",
    "newton",
    "active-set",
    "convex-concave",
    "fixed-pattern",
    "augmented-lagrangian",
)
"""Profiles tried first, in this order, each for the problems its backend is made for."""

_FOREIGN = (
    "none of the paper's problems: what its points must satisfy is for certify(f=…, jacobian=…)"
)

_ESCAPES = 2
_ASIDE = 1e-2
"""Distance of a start beside a saddle, relative to θ: far beyond what a solver stops at."""

_MOST_MOVED = 1e-2
"""A polish that moves the direction further has found another point than the solver's."""


@checked
def solve(
    problem: Formulation | str | Path,
    solver: str = AUTO,
    grade: str = "default",
    start: Start | None = None,
    starts: int | None = None,
    seed: int = 0,
    time_limit: float | None = None,
    *,
    library: Library | None = None,
    polish: bool = True,
    workers: int = 1,
    verbose: bool = False,
    progress: Progress | None = None,
) -> Solution:
    """Solve a problem of the paper and certify the answer.

    Args:
        problem: a formulation, or the name or the file of one.
        solver: a profile's name, or "auto" (see :func:`choose_profile`).
        grade: "default", "low", "mid" or "high": what is asked of the solver; the certificate
            verifies ten times looser.
        start: θ to start from, flat ``(d,)`` or block by block; random and separating if None.
        starts: number of starts of a nonconvex problem; every distinct point is kept, best first.
            None: 12 for small problems (N·d <= 2000), 1 for others and for a given start.
        seed: of every random choice.
        time_limit: seconds for all starts together; None for none.
        library: the shelves; the shipped ones if None.
        polish: improve the answer by Newton steps on the KKT system before judging it.
        workers: how many starts run at a time, each in a process of its own; the answers are the
            same, bit for bit.
        verbose: let the solver print.
        progress: called with a short line before each run.

    Returns:
        The best answer with its certificate; ``others`` holds the other stationary points. The
        answer to a formulation that is none of the paper's seven has none: ``unjudged`` says why.

    Raises:
        MissingBackendError: the solver is not installed or does not work here.
        NotSeparableError: the linear data admit no separator, or two equal rows have different
            labels, and the problem needs one; carries the Gordan vector.
        SolverFailedError: the solver took separable data for inseparable ones.
        ParameterError: starts or workers < 1, or a time limit that is not positive.
    """
    if starts is not None:
        starts = whole(starts, "starts")
    if time_limit is not None:
        time_limit = positive(time_limit, "time_limit", infinite=True)
    workers, seed = whole(workers, "workers"), whole(seed, "seed", 0)
    shelves = library or Library()
    problem = stated(problem, shelves)
    if problem.data.is_sparse:
        require_linear(problem)
    if is_known(problem) and problem.name in _NEED_A_SEPARATOR:
        _refuse_contradiction(problem)
    chosen = choose_profile(problem, shelves) if solver == AUTO else shelves.profile(solver)
    deadline = None if time_limit is None else time.monotonic() + time_limit
    asked = _Asked(
        problem,
        named_grade(grade),
        start,
        starts,
        seed,
        deadline,
        workers,
        polish,
        verbose,
        progress,
    )
    found = _answers(asked, chosen)
    second = _second_choice(problem, shelves, chosen) if solver == AUTO else None
    if second is not None and not _certified(found):
        late = deadline is not None and time.monotonic() >= deadline
        if not late:
            found += _answers(asked, second)
    best = ranked(problem, found)
    if best[0].certificate is None and best[0].claim is Claim.INFEASIBLE:
        _refuse_claim(problem, best[0].solver)
    return replace(best[0], others=tuple(best[1:]))


@final
@dataclass(frozen=True, eq=False)
class _Asked:
    """What :func:`solve` was asked, whoever answers."""

    problem: Formulation
    grade: Grade
    start: Start | None
    starts: int | None
    seed: int
    deadline: float | None
    workers: int
    polish: bool
    verbose: bool
    progress: Progress | None


def _answers(asked: _Asked, chosen: Profile) -> list[Solution]:
    """Return the judged answers of one profile, up to the first that is proved global."""
    problem, start = asked.problem, asked.start
    engine = require(chosen)
    # A method that finds the global optimum needs one start, whatever the program looks like.
    convex = problem.program().is_convex or chosen.finds is Finds.GLOBAL
    starts = asked.starts
    if starts is None:
        starts = default_starts(problem, convex) if start is None else 1
    seeds = np.random.SeedSequence(asked.seed).spawn(1 if convex else starts)
    jobs = [Job(problem, chosen, asked.grade, start, child, None, asked.verbose) for child in seeds]
    if isinstance(problem, RegularizationPath) and not convex and start is None:
        # From degree 3 on the origin is a local minimum for every μ > 0, and often the global one.
        jobs.append(replace(jobs[0], start=np.zeros(problem.functions.size)))
    found: list[Solution] = []
    try:
        for outcome in outcomes(jobs, engine, asked.deadline, asked.workers, asked.progress):
            found.append(
                judge(problem, chosen, asked.grade, outcome, asked.seed, polish=asked.polish)
            )
            word = found[-1].certificate
            if word is not None and word.verdict is Verdict.GLOBAL:
                break
            if len(found) == 1 and _unseparated(problem, found[0]):
                _refuse_inseparable(problem)
                if len(jobs) > 1 and prove_inseparable(problem) is not None:
                    break
    except NotSeparableError as error:
        if error.proof is not None or not is_known(problem):
            raise
        _refuse_claim(problem, chosen.name, error)
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
        if best.certificate is None or best.certificate.verdict is not Verdict.SADDLE:
            break
        theta = asked.problem.functions.flatten(best.theta)
        size = float(np.linalg.norm(theta)) / np.sqrt(theta.size)
        rng = np.random.default_rng(asked.seed + len(more))
        beside = theta + _ASIDE * size * rng.standard_normal(theta.size)
        jobs = [replace(job, start=beside)]
        for outcome in outcomes(jobs, require(chosen), asked.deadline, 1, asked.progress):
            more.append(
                judge(asked.problem, chosen, asked.grade, outcome, asked.seed, polish=asked.polish)
            )
    return more


def _refuse_claim(problem: Formulation, name: str, error: Exception | None = None) -> None:
    """Raise where linear data are called inseparable: with the proof, or because they are not."""
    if _refuse_inseparable(problem):
        raise SolverFailedError(
            f"The solver {name!r} found no separator, but these data have one.",
            "Its margin may be below the rounding of doubles: choose another solver.",
        ) from error


def _certified(found: list[Solution]) -> bool:
    return any(s.certificate is not None and s.certificate.certified for s in found)


def _second_choice(problem: Formulation, library: Library, first: Profile) -> Profile | None:
    """Return who else may answer a convex problem, where the default profile was not certified."""
    if problem.data.is_sparse or not (is_known(problem) and problem.program().is_convex):
        return None
    profile = library.profile("clarabel")
    usable = not backend(profile.backend).available(profile.solver)
    return profile if usable and profile.name != first.name else None


def choose_profile(problem: Formulation, library: Library) -> Profile:
    """Return the default profile: one made for such problems, else Clarabel or Ipopt.

    Ipopt is reached through Pyomo and cyipopt, or through CasADi where cyipopt is missing.
    """
    # A backend made for a problem of the paper would answer that one.
    for name in SPECIALISED if is_known(problem) else ():
        if name in library.profiles():
            profile = library.profile(name)
            engine = backend(profile.backend)
            if not engine.available(profile.solver) and engine.suits(problem):
                return profile
    if isinstance(problem, Lexicographic) and problem.linear and problem.norm in (1.0, np.inf):
        # Each sum is a linear program on the face of the one before, often a single point: a
        # simplex method ends at a vertex of it, an interior-point method finds no interior.
        simplex = library.profile("highs")
        if not backend(simplex.backend).available(simplex.solver):
            return simplex
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
    foreign = not is_known(problem)
    losses = isinstance(problem, (ConstrainedPath, RegularizationPath))
    if not np.any(theta) and not foreign and not losses:
        # The origin has no direction to judge; solvers return it for data nothing separates.
        return _empty(problem, profile, outcome, seed)
    multipliers = problem.margin_multipliers(outcome.answers, outcome.unit)
    claimed = _claimed_bound(problem, theta, raw)
    # Newton's method on the path and the active sets of affine margins end where a polish would.
    newton = losses and profile.backend is BackendName.NEWTON
    exact = profile.backend is BackendName.ACTIVE_SET and raw.claim is Claim.OPTIMAL
    ended = newton or exact
    polished = _polished(problem, theta) if polish and not (ended or foreign) else None
    if polished is not None:
        theta, multipliers = polished.theta, polished.multipliers
    if isinstance(problem, ConstrainedPath) and not ended:
        problem.warn_invisible(theta)
    tolerances = Tolerances.at(grade.verified)
    certificate = None
    if problem.data.is_sparse:
        # Multipliers are dear to find again there; claimed ones are measured like others.
        certificate = certify_linear_problem(problem, theta, tolerances, multipliers)
    elif not foreign:
        certificate = certify(problem, theta, tolerances=tolerances)
        if losses and not certificate.certified:
            origin = certified_origin(problem, theta, tolerances)
            if origin is not None:
                theta, multipliers, polished = origin.theta, origin.multipliers, None
                certificate = origin.certificate
    size = vector_norm(theta, problem.norm_p)
    direction = theta / size if size > 0 else theta
    scale = direction if functions.homogeneity.degree is not None else problem.rho_value * theta
    margins = functions.values(scale)
    return Solution(
        problem=word_of(problem),
        theta=functions.blocks(theta),
        direction=direction,
        objective=problem.objective(theta),
        margins=margins,
        margin=float(margins.min()),
        multipliers=multipliers,
        levels=_levels(problem, outcome, theta, certificate),
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
        claimed_bound=claimed,
        unjudged=_FOREIGN if foreign else "",
    )


def _claimed_bound(problem: Formulation, theta: FloatArray, raw: RawAnswer) -> float | None:
    """Return the solver's bound in the units of the problem's objective; None without one.

    The objective of eq. 5 is that of its program; of the margin problems it is a positive multiple.
    Others have several programs with objectives of their own.
    """
    if raw.bound is None or raw.objective is None:
        return None
    if isinstance(problem, ConstrainedPath):
        return raw.bound if problem.loss is Loss.EXPONENTIAL else None
    names = (
        FormulationName.HARD_MARGIN,
        FormulationName.MARGIN_PATH,
        FormulationName.SCALED_MARGIN,
    )
    if not is_known(problem) or problem.name not in names or not raw.objective > 0.0:
        return None
    return problem.objective(theta) * (raw.bound / raw.objective)


def _levels(
    problem: Formulation, outcome: Run, theta: FloatArray, certificate: Certificate | None
) -> tuple[Level, ...]:
    """Return the levels of a staged problem at θ; none for the others."""
    if not is_known(problem):
        return ()
    if outcome.raw.levels:
        return _shown(outcome.raw.levels, certificate)
    if isinstance(problem, Lexicographic):
        *before, last = outcome.answers
        names = [variable.name for variable in problem.block_variables()]
        blocks = dict(zip(names, problem.functions.blocks(theta), strict=True))
        last = StageAnswer({**last.values, **blocks}, last.multipliers)
        return _shown(problem.answered_levels((*before, last), outcome.unit), certificate)
    if isinstance(problem, WSet):
        from lexmargin.certificate.w_levels import proofs_of_levels

        shown = () if certificate is None else proofs_of_levels(problem, theta, certificate)
        return problem.answered_levels(theta, outcome.answers, outcome.unit, shown)
    return ()


def _shown(levels: tuple[Level, ...], certificate: Certificate | None) -> tuple[Level, ...]:
    """Return the levels of Definition 5 with a dual proof only where the certificate has one."""
    proven = 0
    if certificate is not None and certificate.verdict is Verdict.GLOBAL:
        proven = len(levels)
    elif certificate is not None and certificate.gap is not None:
        proven = int(certificate.gap <= certificate.tolerances.gap)
    return (*levels[:proven], *(replace(x, proof=Proof.LOCAL) for x in levels[proven:]))


@final
@dataclass(frozen=True, eq=False)
class _Better:
    """A polished point and its multipliers, in the scale the problem is stated in."""

    theta: FloatArray
    multipliers: FloatArray
    residual: float
    moved: float


def _polished(problem: Formulation, theta: FloatArray) -> _Better | None:
    """Return a polished point close by, or None where there is none or nothing to polish."""
    functions = problem.functions
    direction = (
        problem.name
        in (FormulationName.HARD_MARGIN, FormulationName.MARGIN_PATH, FormulationName.LEXICOGRAPHIC)
        and problem.norm_p == 2.0
        and functions.homogeneity.degree is not None
    )
    # Slack of one sum buys its square root at the next: staged answers are polished though convex.
    staged = isinstance(problem, Lexicographic) and problem.linear
    direction = direction and not staged
    if problem.data.is_sparse or not functions.size:
        return None
    if not (np.all(np.isfinite(theta)) and np.any(theta)):
        return None
    if not direction:
        from lexmargin.stated_polish import polish_stated

        stated = polish_stated(problem, theta)
        if stated is None or not stated.residual <= 1e-9 or stated.moved > _MOST_MOVED:
            return None
        return _Better(stated.theta, stated.multipliers, stated.residual, stated.moved)
    if functions.curvature <= Curvature.CONCAVE or not functions.values(theta).min() > 0:
        return None
    from lexmargin.polish import polish as polish_point

    try:
        found = polish_point(functions, theta)
    except UnsupportedError:
        return None
    if not found.converged or found.moved > _MOST_MOVED:
        return None
    if problem.name is FormulationName.HARD_MARGIN:
        return _Better(found.theta, found.multipliers, found.residual, found.moved)
    size = 1.0 if problem.name is FormulationName.LEXICOGRAPHIC else vector_norm(theta, 2.0)
    point = found.theta * (size / vector_norm(found.theta, 2.0))
    share = float(found.multipliers.sum())
    return _Better(point, found.multipliers / share, found.residual, found.moved)


def versions(profile: Profile) -> dict[str, str]:
    """Return the versions of lexmargin, of the modelling system and of the solver's package."""
    found = {}
    for package in ("lexmargin", "numpy", profile.backend.value, profile.requires):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _empty(problem: Formulation, profile: Profile, outcome: Run, seed: int) -> Solution:
    nothing = np.full(problem.functions.size, np.nan)
    unknown = np.full(problem.functions.count, np.nan)
    return Solution(
        problem=word_of(problem),
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


def _refuse_contradiction(problem: Formulation) -> None:
    """Raise where two equal rows have different labels: no predictor at all separates them."""
    proof = contradiction_proof(problem.data)
    if proof is not None:
        m, n = problem.data.contradiction or (0, 0)
        raise NotSeparableError(
            f"Rows {m} and {n} (counted from 0) are equal and have different labels: no predictor "
            "separates them, and λ = 1/2 on both is a Gordan vector.",
            _WITHOUT_A_SEPARATOR,
            proof=proof,
        )


def _refuse_inseparable(problem: Formulation) -> bool:
    """Raise with a proof when linear data have no separator; a solver's word is not enough.

    Return whether they are known to have one.
    """
    some = suspects(problem) if problem.data.is_sparse else None
    rows = _linear_rows(problem) if some is None else some.rows
    if rows is None:
        return False
    proof = separability_of_rows(rows)
    if proof.separable:
        return some is None
    raise NotSeparableError(
        "No linear predictor separates these data: a Gordan vector λ ≥ 0 with Zᵀλ = 0, "
        f"verified in exact arithmetic, has {_count(proof)} positive entries.",
        f"Use a richer predictor. {_WITHOUT_A_SEPARATOR}",
        proof=proof if some is None else some.of_all(proof),
    )


def _linear_rows(problem: Formulation) -> FloatArray | None:
    """Return rows that every separator makes positive, where scores are linear; else None."""
    functions = problem.functions
    if problem.data.is_sparse:
        return None
    if functions.curvature is Curvature.AFFINE and functions.homogeneity.degree == 1.0:
        return functions.jacobian(np.zeros(functions.size))
    if isinstance(problem.predictor, Log):
        # Where some score is not positive the logarithm is not defined.
        return functions.features
    return rows_with_bias(problem)


def _unseparated(problem: Formulation, first: Solution) -> bool:
    """Say whether the first start may have failed because nothing separates: then all others will.

    The paths of a loss have an answer for all data.
    """
    if not is_known(problem):
        return False
    if first.certificate is None:
        return True
    return problem.name in _NEED_A_SEPARATOR and not first.margin > 0


def _count(proof: Separability) -> int:
    return 0 if proof.gordan is None else sum(1 for value in proof.gordan if value > 0)
