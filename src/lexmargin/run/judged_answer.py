"""The answer of a run as a solution: read back, polished, and judged by the certificate."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from importlib import metadata
from typing import final

import numpy as np

from lexmargin.backends import BackendName
from lexmargin.errors import UnsupportedError
from lexmargin.formulations.base import Formulation, FormulationName, StageAnswer, vector_norm
from lexmargin.formulations.constrained_path import ConstrainedPath
from lexmargin.formulations.known import is_known, word_of
from lexmargin.formulations.levels import Level, Proof
from lexmargin.formulations.lexicographic import Lexicographic
from lexmargin.formulations.regularization_path import RegularizationPath
from lexmargin.formulations.w_set import WSet
from lexmargin.judge import Certificate, Tolerances, Verdict, certify, certify_linear_problem
from lexmargin.losses import Loss
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature
from lexmargin.run.long_answer import long_answer
from lexmargin.run.origin_answer import certified_origin
from lexmargin.run.stages import Run
from lexmargin.shelf.profiles import Grade, Profile
from lexmargin.solution import Claim, RawAnswer, Solution, Times

__all__ = ["judge", "versions"]

_FOREIGN = (
    "none of the paper's problems: what its points must satisfy is for certify(f=…, jacobian=…)"
)

_MOST_MOVED = 1e-2
"""A polish that moves the direction further has found another point than the solver's."""


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
        longer = _longer(problem, theta, certificate) if polish else None
        if longer is not None:
            theta, multipliers, certificate = longer
            polished = None
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


def _longer(
    problem: Formulation, theta: FloatArray, certificate: Certificate
) -> tuple[FloatArray, FloatArray, Certificate] | None:
    """Return the answer in long numbers where rounding alone keeps one near it from its word."""
    if certificate.verdict not in (Verdict.UNDECIDED, Verdict.KKT):
        return None
    found = long_answer(problem)
    if found is None:
        return None
    before, after = (x / vector_norm(x, 2.0) for x in (theta, found.theta))
    if not float(np.linalg.norm(before - after)) <= _MOST_MOVED:
        return None
    again = certify(problem, found.theta, tolerances=certificate.tolerances)
    return (found.theta, found.multipliers, again) if again.verdict is Verdict.GLOBAL else None


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
        from lexmargin.judge.programs.w_levels import proofs_of_levels

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
        from lexmargin.polish.stated import polish_stated

        stated = polish_stated(problem, theta)
        if stated is None or not stated.residual <= 1e-9 or stated.moved > _MOST_MOVED:
            return None
        return _Better(stated.theta, stated.multipliers, stated.residual, stated.moved)
    if functions.curvature <= Curvature.CONCAVE or not functions.values(theta).min() > 0:
        return None
    from lexmargin.polish.direction import polish as polish_point

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
