"""One point of a path over ρ, and what is known of the best margin at its scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, final

import numpy as np

from lexmargin.formulations.base import Formulation
from lexmargin.formulations.kkt import Kkt, LossTerm
from lexmargin.formulations.loss_path import softmax
from lexmargin.judge import Certificate, Tolerances, certify
from lexmargin.judge.multipliers.stationarity import hoelder_gap
from lexmargin.judge.programs.loss_programs import rounding_of_stationarity
from lexmargin.linalg.norms import angle, vector_norm
from lexmargin.linalg.rounding import EPS
from lexmargin.ops.base import FloatArray
from lexmargin.paths.shown import Shown
from lexmargin.shelf.profiles import Grade
from lexmargin.solution import Ran

__all__ = ["BestMargin", "PathPoint", "judged_point"]


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

    computed: ClassVar[Mapping[str, Callable[[Any], Any]]] = {
        "certified": lambda one: one.certified,
        "shown": lambda one: one.shown,
        "verdict": lambda one: one.certificate.verdict,
        "stationarity": lambda one: one.certificate.stationarity,
        "tolerance": lambda one: one.certificate.tolerances.stationarity,
    }
    rho: float
    theta: FloatArray
    objective: float
    margin: float
    best_margin: float
    mismatch: float
    certificate: Certificate = field(metadata={"internal": True})
    ran: Ran
    seconds: float

    @property
    def shown(self) -> Shown:
        """What was shown: that no point is better, or only that this one is stationary."""
        return Shown.of(self.certificate.verdict)

    @property
    def certified(self) -> bool:
        """Whether the point is shown to be stationary at least; ``shown`` says how much is.

        A path of a loss need not separate the data.
        """
        return self.certificate.certified

    def slack(self, allowed: float) -> float:
        """Return ``log N - (γ*(ρ) - γ(ρ, θ_c))``, the slack of Lemma 3 (eq. 8).

        Args:
            allowed: log N, or what it is with weights: the path's ``margin_slack``.
        """
        return allowed - (self.best_margin - self.margin)


@final
@dataclass(frozen=True, eq=False)
class BestMargin:
    """γ*(ρ) as far as it is known, the direction that has it, and its multipliers (Σλ = 1)."""

    value: float
    direction: FloatArray
    multipliers: FloatArray


def judged_point(
    problem: Formulation, rho: float, theta: FloatArray, grade: Grade, best: float, ran: Ran
) -> PathPoint:
    """Return the point θ (d,) of a path, with everything measured that can be.

    Args:
        problem: at ρ.
        rho, theta, ran: of the point.
        grade: whose tolerances count.
        best: the best margin known at this scale; NaN if not asked for.
    """
    values = problem.functions.values(problem.rho_value * theta)
    mismatch = math.nan
    if problem.traits.origin_may_win and not np.any(theta):
        mismatch = float(np.abs(problem.functions.jacobian(theta)).max())
    certificate = certify(problem, theta, tolerances=_tolerances(problem, theta, values, grade))
    kkt = problem.kkt(theta)[0]
    if kkt.loss is not None and kkt.radius is not None:
        mismatch = certificate.angle or _mismatch(kkt, kkt.loss)
    margin = float(values.min())
    return PathPoint(
        rho=rho,
        theta=theta,
        objective=problem.objective(theta),
        margin=margin,
        best_margin=best if math.isnan(best) else max(best, margin),
        mismatch=mismatch,
        certificate=certificate,
        ran=ran,
        seconds=0.0,
    )


def _mismatch(kkt: Kkt, term: LossTerm) -> float:
    """Return the angle of -∇L and θ (ℓ2), or the Hölder gap of the two in another norm."""
    weights = softmax(term.loss.log_slopes(kkt.values))
    pull, theta, p = kkt.functions.vjp(kkt.point, weights), kkt.point, kkt.norm
    if p == 2.0:
        return angle(pull, theta)
    if not (np.any(pull) and np.any(theta)):
        return math.nan
    return hoelder_gap(theta / vector_norm(theta, p), pull, p)


def _tolerances(
    problem: Formulation, theta: FloatArray, values: FloatArray, grade: Grade
) -> Tolerances:
    """Return the grade's tolerances; that of ε is at least what rounding makes of ``e^-f``.

    The judge's own estimate decides, so that no point is left open for rounding alone; twice that,
    since ε as measured carries it once more. Only ε is widened: a gap counts its rounding itself.
    """
    wanted = Tolerances.at(grade.verified)
    if not problem.traits.is_loss:
        return wanted
    if not 1e3 * EPS * float(np.abs(values).max()) > wanted.stationarity:
        return wanted
    floor = rounding_of_stationarity(problem.kkt(theta)[0], wanted)
    return replace(wanted, stationarity=max(wanted.stationarity, min(2.0 * floor, 0.1)))
