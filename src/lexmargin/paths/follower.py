"""Follow a path over ρ: one compilation, warm starts, restarts where Lemma 3 asks for them."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from lexmargin.backends import Backend, BackendName, Compiled
from lexmargin.certificate import Certificate, Tolerances, Verdict, certify
from lexmargin.formulations import (
    ConstrainedPath,
    Formulation,
    MarginPath,
    RegularizationPath,
)
from lexmargin.formulations.base import MARGIN, StageAnswer, vector_norm
from lexmargin.library_profiles import Grade, Profile
from lexmargin.multistart import default_starts
from lexmargin.ops.base import FloatArray
from lexmargin.run import natural_unit, starting_theta
from lexmargin.solution import Ran, RawAnswer, SolverSettings, finite
from lexmargin.stated_polish import polish_stated

__all__ = ["BestMargin", "Follower", "PathPoint", "at_parameter"]

_STEEPEST = 4.0
"""Longest step of the continuation as a factor of ρ; longer grids get points in between."""

_EPS = float(np.finfo(np.float64).eps)


@final
@dataclass(frozen=True, eq=False)
class PathPoint:
    """One point of a path.

    Attributes:
        rho: ρ (for the regularization path: the strength μ).
        theta: (d,), as the formulation states it.
        objective: recomputed by us.
        margin: γ(ρ, θ) = min_n f_n(ρθ).
        best_margin: γ*(ρ), the best margin known at this scale; NaN if not asked for.
        mismatch: of ``g = -∇L(ρθ)`` and θ: their angle in radians (Remark 2, ℓ2), for other norms
            ``1 - g·θ/(‖g‖_* ‖θ‖)``; for a regularization path at the origin the largest entry of
            ∇f_n, which must vanish there. NaN otherwise.
        certificate: our word about this point. Where margins are so large that their own rounding
            changes the weights ``e^-f``, its tolerances are that rounding.
        ran, seconds: the solver's run.
    """

    rho: float
    theta: FloatArray
    objective: float
    margin: float
    best_margin: float
    mismatch: float
    certificate: Certificate
    ran: Ran
    seconds: float

    @property
    def certified(self) -> bool:
        """Whether the point is what its program asks for, as far as we can tell.

        At small ρ the constrained path need not separate the data, and no direction can be
        certified there; its own condition is Remark 2, measured by ``mismatch``.
        """
        if self.certificate.certified:
            return True
        negative = self.certificate.verdict is Verdict.NOT_SEPARATING
        return negative and self.mismatch <= self.certificate.tolerances.stationarity

    def slack(self, count: int) -> float:
        """Return ``log N - (γ*(ρ) - γ(ρ, θ_c))``, the slack of Lemma 3 (eq. 8)."""
        return math.log(count) - (self.best_margin - self.margin)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "rho": self.rho,
            "theta": finite(self.theta),
            "objective": finite(self.objective),
            "margin": finite(self.margin),
            "best_margin": finite(self.best_margin),
            "mismatch": finite(self.mismatch),
            "certified": self.certified,
            "verdict": self.certificate.verdict.value,
            "stationarity": finite(self.certificate.stationarity),
            "tolerance": finite(self.certificate.tolerances.stationarity),
            "ran": self.ran.value,
            "seconds": self.seconds,
        }


@final
@dataclass(frozen=True, eq=False)
class BestMargin:
    """γ*(ρ) as far as it is known, the direction that has it, and its multipliers (Σλ = 1)."""

    value: float
    direction: FloatArray
    multipliers: FloatArray


def at_parameter(problem: Formulation, rho: float) -> Formulation:
    """Return the problem at another ρ, or another strength of the regularization path."""
    moved: Formulation
    if isinstance(problem, RegularizationPath):
        moved = replace(problem, strength=rho)
    else:
        assert isinstance(problem, (MarginPath, ConstrainedPath))
        moved = replace(problem, rho=rho)
    # The margin functions do not depend on ρ: what they have computed is kept.
    vars(moved)["functions"] = problem.functions
    return moved


@final
@dataclass(frozen=True, eq=False)
class _Found:
    """A solved point: θ, what the solver said, the multipliers to start the next one from.

    ``objective`` is recomputed by us; of two points the one with the smaller ``worth`` is kept.
    """

    theta: FloatArray
    raw: RawAnswer
    multipliers: dict[str, FloatArray]
    objective: float
    worth: float


@final
class Follower:
    """The state of one continuation: the compiled model, the last point and its multipliers."""

    def __init__(
        self,
        problem: Formulation,
        profile: Profile,
        grade: Grade,
        engine: Backend,
        seed: int,
        time_limit: float | None,
    ) -> None:
        self._problem, self._profile, self._grade, self._engine = problem, profile, grade, engine
        self._deadline = None if time_limit is None else time.monotonic() + time_limit
        self._seeds = np.random.SeedSequence(seed)
        self._compiled: Compiled | None = None
        self._convex = problem.program().is_convex
        self._unit = 1.0
        self._last: _Found | None = None
        self._rho = 0.0
        self._stated: dict[float, Formulation] = {}
        self.failed = False

    @property
    def smooth(self) -> bool:
        """Whether the toolkit's own Newton methods follow this path."""
        return self._profile.backend is BackendName.NEWTON

    @property
    def left(self) -> float | None:
        """Seconds left, at least a millisecond; None without a limit."""
        return None if self._deadline is None else max(1e-3, self._deadline - time.monotonic())

    @property
    def expired(self) -> bool:
        """True when the time is up."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def _at(self, rho: float) -> Formulation:
        """Return the problem at ρ; the last two are kept, with what they have computed."""
        if rho not in self._stated:
            if len(self._stated) > 1:
                del self._stated[next(iter(self._stated))]
            self._stated[rho] = at_parameter(self._problem, rho)
        return self._stated[rho]

    def point(self, rho: float, best: BestMargin | None) -> PathPoint | None:
        """Return the point at ρ, stepping there in factors of at most four; None out of time."""
        began = time.monotonic()
        if self._last is None:
            found = self._first(rho)
        else:
            steps = math.ceil(abs(math.log(rho / self._rho)) / math.log(_STEEPEST) - 1e-9)
            for k in range(1, steps):
                self._step(self._rho * (rho / self._rho) ** (1.0 / (steps - k + 1)))
            found = self._step(rho)
        found = self._restarted(rho, found, best)
        if found is None:
            return None
        self._last, self._rho = found, rho
        problem = self._at(rho)
        values = problem.functions.values(problem.rho_value * found.theta)
        mismatch = math.nan
        if isinstance(problem, RegularizationPath) and not np.any(found.theta):
            mismatch = float(np.abs(problem.functions.jacobian(found.theta)).max())
        certificate = certify(
            problem, found.theta, tolerances=_tolerances(problem, found.theta, values, self._grade)
        )
        if isinstance(problem, ConstrainedPath):
            mismatch = certificate.angle or _mismatch(problem, found.theta)
            if self._profile.backend is not BackendName.NEWTON:
                problem.warn_invisible(found.theta)
        return PathPoint(
            rho=rho,
            theta=found.theta,
            objective=found.objective,
            margin=float(values.min()),
            best_margin=math.nan if best is None else max(best.value, float(values.min())),
            mismatch=mismatch,
            certificate=certificate,
            ran=found.raw.ran,
            seconds=time.monotonic() - began,
        )

    def _first(self, rho: float) -> _Found | None:
        """Return the best of a few starts at the first ρ."""
        problem = self._at(rho)
        found: list[_Found] = []
        for seed in self._seeds.spawn(default_starts(problem, self._convex)):
            if found and self.expired:
                break
            start = starting_theta(problem, None, np.random.default_rng(seed))
            if not found:
                self._unit = natural_unit(problem, start)
            one = self._solve(rho, start, None)
            if one is not None:
                found.append(one)
        return min(found, key=lambda one: one.worth, default=None)

    def _step(self, rho: float) -> _Found | None:
        last = self._last
        assert last is not None
        found = self._solve(rho, last.theta, last.multipliers)
        if found is not None:
            self._last, self._rho = found, rho
        return found

    def _restarted(
        self, rho: float, found: _Found | None, best: BestMargin | None
    ) -> _Found | None:
        """Return a better point where one must exist.

        Lemma 3 holds at every minimiser of the loss: where ``γ* - γ > log N`` the point is none,
        and the path starts again from the direction of the largest margin. The regularization path
        jumps, and so is compared with the origin and a fresh start at every strength.
        """
        if self._convex or self.expired:
            return found
        problem = self._at(rho)
        others: list[_Found | None] = []
        if isinstance(problem, RegularizationPath):
            others = [self._solve(rho, start, None) for start in problem.starts(1)]
        elif best is not None and math.isfinite(best.value):
            allowed = math.log(problem.functions.count) + 1e-9 * abs(best.value)
            known = -math.inf
            if found is not None:
                known = float(problem.functions.values(rho * found.theta).min())
            short = 1e-9 * abs(best.value) if isinstance(problem, MarginPath) else allowed
            if best.value - known > short:
                # Of the compiled models only those of the margin path have constraints on f_n.
                known_too = self.smooth or isinstance(problem, MarginPath)
                carried = {MARGIN: best.multipliers} if known_too else None
                others = [self._solve(rho, best.direction, carried)]
        candidates = [one for one in (found, *others) if one is not None]
        return min(candidates, key=lambda one: one.worth, default=None)

    def _solve(
        self, rho: float, start: FloatArray, multipliers: dict[str, FloatArray] | None
    ) -> _Found | None:
        problem = self._at(rho)
        # Newton's method for linear scores follows the tangent from where the path was.
        linear = self.smooth and self._convex and multipliers is not None
        stated = self._at(self._rho) if linear else problem
        initial = stated.initial_values(start, self._unit)
        answers: tuple[StageAnswer, ...] = ()
        raw: RawAnswer | None = None
        kept: dict[str, FloatArray] = {}
        while (program := problem.next_program(answers, self._unit)) is not None:
            if self.expired:
                return None
            options = self._profile.options(self._grade, time_limit=self.left)
            settings = SolverSettings(self._profile.solver, options, self.left)
            if answers:
                compiled = self._engine.compile(program)
                initial = problem.next_values(answers, self._unit)
            else:
                compiled = self._compiled or self._engine.compile(program)
                if not isinstance(problem, RegularizationPath):
                    # ρ stands on the right-hand side alone: a parameter.
                    self._compiled = compiled
            parameters = {p.name: p.value for p in program.parameters}
            raw = compiled.solve(settings, initial, parameters, None if answers else multipliers)
            if not raw.has_values:
                self.failed = raw.ran is not Ran.TIME_LIMIT
                return None
            if not answers:
                kept = dict(raw.multipliers)
            answers = (*answers, StageAnswer(raw.values, raw.multipliers))
        assert raw is not None
        theta = problem.theta(answers, self._unit)
        if not (self.smooth or (isinstance(problem, MarginPath) and problem.norm_p == 2.0)):
            # Other solvers stop at half the digits of θ.
            polished = polish_stated(problem, theta)
            if polished is not None and polished.residual <= 1e-9 and polished.moved <= 1e-2:
                theta = polished.theta
        objective = problem.objective(theta)
        if isinstance(problem, RegularizationPath):
            return _Found(theta, raw, kept, objective, problem.log_objective(theta))
        sign = -1.0 if isinstance(problem, MarginPath) and problem.gamma is None else 1.0
        worth = sign * objective
        return _Found(theta, raw, kept, objective, worth if math.isfinite(worth) else math.inf)


def _mismatch(problem: ConstrainedPath, theta: FloatArray) -> float:
    if problem.norm_p == 2.0:
        return problem.angle(theta)
    weights = problem.loss_weights(theta)
    pull = problem.functions.combined_gradient(problem.rho * theta, weights)
    p = problem.norm_p
    dual = np.inf if p == 1.0 else 1.0 if p == np.inf else p / (p - 1.0)
    size = vector_norm(pull, dual) * vector_norm(theta, p)
    return max(0.0, 1.0 - float(pull @ theta) / size) if size > 0 else math.nan


def _tolerances(
    problem: Formulation, theta: FloatArray, values: FloatArray, grade: Grade
) -> Tolerances:
    """Return the grade's tolerances, or what rounding of f makes of the weights ``e^-f``."""
    verified = grade.verified
    if not isinstance(problem, ConstrainedPath):
        return Tolerances.at(verified)
    if not 1e3 * _EPS * float(np.abs(values).max()) > verified:
        return Tolerances.at(verified)
    w = problem.rho * theta
    weights = problem.loss_weights(theta)
    rows = np.linalg.norm(problem.functions.jacobian(w), axis=1)
    pull = float(np.linalg.norm(problem.functions.combined_gradient(w, weights)))
    seen = weights > 1e-16 * weights.max()
    if pull > 0 and np.all(np.isfinite(values)):
        error = _EPS * (4.0 + 2.0 * float(np.abs(values[seen]).max()))
        verified = max(verified, 2.0 * error * float(weights @ rows) / pull)
    return Tolerances.at(min(verified, 0.1))
