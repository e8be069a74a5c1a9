"""One point of a path over ρ, and what is known of the best margin at its scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from lexmargin.judge import Certificate
from lexmargin.ops.base import FloatArray
from lexmargin.paths.shown import Shown
from lexmargin.solution import Ran, finite

__all__ = ["BestMargin", "PathPoint"]


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
            "shown": self.shown.value,
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
