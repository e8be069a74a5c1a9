"""The answer of a run as a solution: read back, polished, and judged by the certificate."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lexmargin.backends import BackendName
from lexmargin.formulations.base import Formulation
from lexmargin.formulations.levels import Level, Proof
from lexmargin.judge import Certificate, Tolerances, Verdict, certify, certify_linear_problem
from lexmargin.judge.programs.recentred import Recentred
from lexmargin.linalg.norms import vector_norm
from lexmargin.ops.base import FloatArray
from lexmargin.run.long_answer import long_answer
from lexmargin.run.origin_answer import certified_origin
from lexmargin.run.stages import Run, Start
from lexmargin.shelf.profiles import Grade, Profile
from lexmargin.solution import (
    Claim,
    Improvement,
    Ran,
    RawAnswer,
    Solution,
    Times,
    claimed_multipliers,
)
from lexmargin.version import installed

__all__ = [
    "LATE",
    "empty",
    "judge",
    "judge_point",
    "judged_start",
    "moved_back",
    "unjudged",
    "versions",
]

_FOREIGN = (
    "none of the paper's problems: what its points must satisfy is for certify(f=…, jacobian=…)"
)
START = "start"
"""The solver of an answer that is the start itself."""
LATE = "the time limit ended it before its certificate was there"

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
    far: bool = False,
) -> Solution:
    """Return the solution: theta read back, margins recomputed, and our certificate.

    ``far``: a linear margin problem of few samples may be answered in long numbers from anywhere,
    not only from near the solver's point: nobody has named the solver.
    """
    raw, functions = outcome.raw, problem.functions
    begun = time.monotonic()
    first = unjudged(problem, profile, outcome, seed)
    if not first.unjudged:
        return first
    theta, multipliers = functions.flatten(first.theta), first.multipliers
    foreign, losses = not problem.is_judged, problem.traits.is_loss
    # Newton's method on the path and the active sets of affine margins end where a polish would.
    newton = losses and profile.backend is BackendName.NEWTON
    exact = profile.backend is BackendName.ACTIVE_SET and raw.claim is Claim.OPTIMAL
    ended = newton or exact
    polished = None
    if polish and not (ended or foreign):
        from lexmargin.polish.polish import polish_problem

        polished = polish_problem(problem, theta)
    if polished is not None:
        theta, multipliers = polished.theta, polished.multipliers
    if not ended:
        problem.warn_invisible(theta)
    tolerances = Tolerances.at(grade.verified)
    certificate = None
    if problem.data.is_sparse:
        certificate = certify_linear_problem(problem, theta, tolerances, multipliers)
    elif not foreign:
        # Multipliers are dear to find again; claimed ones are measured like others.
        claims = claimed_multipliers(multipliers, raw.levels)
        certificate = certify(problem, theta, tolerances=tolerances, multipliers=claims)
        if losses and not certificate.certified:
            origin = certified_origin(problem, theta, tolerances)
            if origin is not None:
                theta, multipliers, polished = origin.theta, origin.multipliers, None
                certificate = origin.certificate
        longer = _longer(problem, theta, certificate, far) if polish else None
        if longer is not None:
            theta, multipliers, certificate = longer
            polished = None
    return replace(
        _measured(first, problem, theta),
        multipliers=multipliers,
        levels=_levels(problem, outcome, theta, certificate),
        polished=None if polished is None else Improvement(polished.moved, polished.residual),
        judgement=certificate,
        times=replace(first.times, certify=time.monotonic() - begun),
        unjudged=_FOREIGN if foreign else "",
    )


def judge_point(
    problem: Formulation,
    solver: str,
    grade: Grade,
    outcome: Run,
    seed: int,
    theta: FloatArray | None,
    multipliers: FloatArray | None = None,
) -> Solution:
    """Return the solution at a point that somebody states, with our certificate.

    Args:
        problem: what it should answer.
        solver: who states it.
        grade, outcome, seed: the accuracy that is verified, how it went, and for the record.
        theta: (d,) the point as the problem states it; None for no answer.
        multipliers: (N,) as :func:`~lexmargin.judge.certify.certify` takes them.
    """
    found = _nothing(problem, solver, {}, outcome, seed)
    # The origin has no direction to judge.
    if theta is None or not problem.is_judged or not (np.any(theta) or problem.traits.is_loss):
        return found
    begun = time.monotonic()
    certificate = certify(
        problem, theta, tolerances=Tolerances.at(grade.verified), multipliers=multipliers
    )
    return replace(
        _measured(found, problem, theta),
        judgement=certificate,
        times=replace(found.times, certify=time.monotonic() - begun),
    )


def judged_start(
    problem: Formulation,
    grade: Grade,
    theta: Start,
    seed: int,
    multipliers: FloatArray | None = None,
) -> list[Solution]:
    """Return a start as an answer of its own, with our certificate; none where nobody can judge it.

    Args:
        problem, grade, seed, multipliers: as for :func:`judge_point`.
        theta: flat ``(d,)`` or block by block; a direction is brought to the length that the
            problem states.

    Raises:
        ShapeError, DataError: a start that does not fit the predictor.
    """
    point = problem.functions.point(theta)
    if not problem.is_judged:
        return []
    raw = RawAnswer({}, {}, Ran.FINISHED, Claim.NOTHING, "no answer is better")
    if multipliers is not None and multipliers.shape[-1] != problem.functions.count:
        # Of a solution on other samples only θ is a start.
        multipliers = None
    outcome = Run((), raw, 1.0, 0.0, 0.0, {})
    found = judge_point(problem, START, grade, outcome, seed, point, multipliers)
    if found.judgement is None:
        return []
    point, multipliers = _stated(problem, point, found.judgement)
    levels = _levels(problem, outcome, point, found.judgement)
    found = _measured(found, problem, point)
    return [replace(found, multipliers=multipliers, levels=levels)]


def _stated(
    problem: Formulation, theta: FloatArray, found: Certificate
) -> tuple[FloatArray, FloatArray]:
    """Return θ (d,) and λ (N,) as the problem states them, where only the direction was judged."""
    degree = problem.functions.homogeneity.degree
    kkt = problem.kkt(theta)[0]
    shares = found.multipliers
    if degree is None or not (kkt.is_direction and kkt.level is None and found.margin > 0.0):
        return theta, shares
    # From the unit direction to margin 1.
    stretch = found.margin ** (-1.0 / degree)
    unit = theta / vector_norm(theta, problem.norm_p)
    with np.errstate(all="ignore"):
        placed = problem.placed(unit, unit * stretch, shares * stretch ** (2.0 - degree))
    return placed if np.all(np.isfinite(placed[0])) else (theta, shares)


def unjudged(problem: Formulation, profile: Profile, outcome: Run, seed: int) -> Solution:
    """Return the answer of a run as its solver left it, with its margins and no certificate.

    ``Solution.unjudged`` is empty where there is nothing to judge.
    """
    raw, found = outcome.raw, empty(problem, profile, outcome, seed)
    if not outcome.answers:
        return found
    theta = problem.theta(outcome.answers, outcome.unit)
    if not np.any(theta) and problem.is_judged and not problem.traits.is_loss:
        # The origin has no direction to judge; solvers return it for data nothing separates.
        return found
    claimed = None
    if problem.is_judged and raw.bound is not None and raw.objective is not None:
        claimed = problem.bound_of(theta, raw.objective, raw.bound)
    multipliers = problem.margin_multipliers(outcome.answers, outcome.unit)
    first = replace(found, multipliers=multipliers, claimed_bound=claimed, unjudged=LATE)
    return _measured(first, problem, theta)


def _measured(first: Solution, problem: Formulation, theta: FloatArray) -> Solution:
    """Return the solution at θ (d,), which a polish may have moved."""
    functions = problem.functions
    blocks = functions.blocks(theta)
    if all(np.array_equal(a, b) for a, b in zip(blocks, first.theta, strict=True)):
        return first
    # A point that is not finite is named by the certificate.
    with np.errstate(all="ignore"):
        size = vector_norm(theta, problem.norm_p)
        direction = theta / size if size > 0 else theta
        scale = direction if functions.homogeneity.degree is not None else problem.rho_value * theta
        margins, objective = functions.values(scale), problem.objective(theta)
    return replace(
        first,
        theta=blocks,
        direction=direction,
        objective=objective,
        margins=margins,
        margin=float(margins.min()),
    )


_NEARLY = (Verdict.UNDECIDED, Verdict.KKT)


def _longer(
    problem: Formulation, theta: FloatArray, certificate: Certificate, far: bool
) -> tuple[FloatArray, FloatArray, Certificate] | None:
    """Return the answer in long numbers where rounding alone keeps one near it from its word."""
    margins = not problem.traits.is_loss
    near = margins and not far
    known = certificate.verdict is Verdict.GLOBAL
    if known or (near and certificate.verdict not in _NEARLY):
        return None
    found = long_answer(problem, theta)
    if found is None:
        return None
    before, after = (x / vector_norm(x, 2.0) for x in (theta, found.theta))
    if near and not float(np.linalg.norm(before - after)) <= _MOST_MOVED:
        return None
    again = certify(problem, found.theta, tolerances=certificate.tolerances)
    better = again.certified and not (margins or certificate.certified)
    if again.verdict is not Verdict.GLOBAL and not better:
        return None
    # A loss carries its own.
    return found.theta, found.multipliers if margins else again.multipliers, again


def moved_back(solution: Solution, near: Recentred, problem: Formulation, grade: Grade) -> Solution:
    """Return an answer for centred samples as one of the problem as given, judged there.

    Its margins are those near the data, where they round less.
    """
    late = solution.unjudged == LATE
    if solution.judgement is None and not late:
        return solution
    begun, functions = time.monotonic(), problem.functions
    theta = near.outward(functions.flatten(solution.theta))
    certificate = None
    if not late:
        certificate = certify(
            problem,
            theta,
            tolerances=Tolerances.at(grade.verified),
            multipliers=solution.multipliers,
        )
    spent = solution.times.certify + time.monotonic() - begun
    return replace(
        solution,
        theta=functions.blocks(theta),
        direction=theta / vector_norm(theta, problem.norm_p),
        judgement=certificate,
        times=replace(solution.times, certify=spent),
    )


def _levels(
    problem: Formulation, outcome: Run, theta: FloatArray, certificate: Certificate | None
) -> tuple[Level, ...]:
    """Return the levels of a staged problem at θ; none for the others."""
    if not problem.is_judged:
        return ()
    if outcome.raw.levels:
        return _shown(outcome.raw.levels, certificate)
    kkts = problem.kkt(theta)
    proofs: tuple[Proof, ...] = ()
    if kkts[0].part is not None and certificate is not None:
        from lexmargin.judge.programs.w_levels import proofs_of_levels

        proofs = proofs_of_levels(kkts, certificate)
    found = problem.levels_at(theta, outcome.answers, outcome.unit, proofs)
    return found if kkts[0].ordered is None else _shown(found, certificate)


def _shown(levels: tuple[Level, ...], certificate: Certificate | None) -> tuple[Level, ...]:
    """Return the levels of Definition 5 with a dual proof only where the certificate has one."""
    proven = 0
    if certificate is not None and certificate.verdict is Verdict.GLOBAL:
        proven = len(levels)
    elif certificate is not None and certificate.gap is not None:
        proven = int(certificate.gap <= certificate.tolerances.gap)
    return (*levels[:proven], *(replace(x, proof=Proof.LOCAL) for x in levels[proven:]))


def versions(profile: Profile) -> dict[str, str]:
    """Return the versions of lexmargin, of the modelling system and of the solver's package."""
    packages = ("lexmargin", "numpy", profile.backend.value, profile.requires)
    return {package: found for package in packages if (found := installed(package)) is not None}


def empty(problem: Formulation, profile: Profile, outcome: Run, seed: int) -> Solution:
    """Return the solution of a run without an answer."""
    return _nothing(problem, profile.name, versions(profile), outcome, seed)


def _nothing(
    problem: Formulation, solver: str, known: Mapping[str, str], outcome: Run, seed: int
) -> Solution:
    nothing = np.full(problem.functions.size, np.nan)
    unknown = np.full(problem.functions.count, np.nan)
    return Solution(
        problem=problem.word,
        formulation=problem.word,
        theta=problem.functions.blocks(nothing),
        direction=nothing,
        objective=float("nan"),
        margins=unknown,
        margin=float("nan"),
        multipliers=unknown,
        ran=outcome.raw.ran,
        claim=outcome.raw.claim,
        raw_status=outcome.raw.raw_status,
        times=Times(outcome.build_seconds, outcome.solve_seconds, 0.0),
        solver=solver,
        versions=known,
        seed=seed,
        iterations=outcome.raw.iterations,
    )
