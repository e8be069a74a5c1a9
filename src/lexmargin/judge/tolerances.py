"""Every number a verdict is compared with, in one place."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, fields
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.errors import ParameterError
from lexmargin.inputs.kinds import checked_class

__all__ = [
    "ASIDE",
    "CLEAR",
    "CLEARLY_NEGATIVE",
    "COARSE",
    "CONTRADICTING",
    "DEFAULT",
    "FARTHEST",
    "FLAT",
    "HESSIAN_DIFFERENCE",
    "HESSIAN_EULER",
    "IDENTITY",
    "LOCAL",
    "LOOSEST",
    "MISFIT",
    "PROVED_GAP",
    "PROVED_NEAR",
    "REPEATED",
    "REPEATED_ZERO",
    "RISING",
    "ROUGH",
    "SHARPEST",
    "STEADY",
    "STEEP",
    "STRONG",
    "UNFELT",
    "WELL_ABOVE",
    "WIDEST",
    "Tolerances",
]


@final
@checked_class
@dataclass(frozen=True)
class Tolerances:
    """The tolerances of a certificate; all are relative and free of units.

    support
        τ of `S_τ = {n : f_n(θ̂) ≤ (1+τ) γ}`.
    stationarity
        largest ε of a stationary direction (ℓ2: the sine of an angle).
    complementarity
        largest δ = α Σ λ_n (f_n - γ) of a stationary direction.
    feasibility
        largest relative shortfall of the smallest margin below a stated target.
    gap
        largest relative distance between a margin and the bound that proves it global.
    kink
        distance from a kink (relative to the pre-activation's scale) that counts as being on it.
    rank
        relative singular value below which gradients count as dependent. A property of the
        gradients, not of a solver's accuracy, so grades do not change it.
    euler
        largest relative contradiction of Euler's identity `θ·∇f_n = α f_n` before the degree,
        the gradients or the margins are called wrong. Grades do not change it either.

    Raises
    ------
    ParameterError
        for a tolerance that is not a number strictly between 0 and 1.
    """

    support: float = 1e-7
    stationarity: float = 1e-7
    complementarity: float = 1e-7
    feasibility: float = 1e-7
    gap: float = 1e-7
    kink: float = 1e-7
    rank: float = 1e-10
    euler: float = 1e-6

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and 0.0 < value < 1.0):
                raise ParameterError(
                    f"The tolerance '{field.name}' is {value!r}.",
                    "Give a number strictly between 0 and 1.",
                )

    @staticmethod
    @functools.cache
    def at(t: float) -> Tolerances:
        """Return the tolerances of a grade whose answers are verified to ``t``.

        A grade is verified ten times looser than it is asked: 1e-2, 1e-5 and 1e-8 for low, mid
        and high.
        """
        return Tolerances(
            support=t, stationarity=t, complementarity=t, feasibility=t, gap=t, kink=t
        )

    def tight(self, margins: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which margins (N,) are the smallest up to ``support``, whatever τ serves ε and δ.

        A margin above that may carry weight within δ, but it holds nothing in place: θ can move
        until it is reached.
        """
        return np.asarray(margins <= (1.0 + self.support) * np.min(margins))

    def met(self, stationarity: float, complementarity: float) -> bool:
        """Tell whether ε and δ are within tolerance."""
        return stationarity <= self.stationarity and complementarity <= self.complementarity

    def to_json(self) -> dict[str, float]:
        """Return the tolerances by name."""
        return {field.name: float(getattr(self, field.name)) for field in fields(self)}


DEFAULT = Tolerances()

# What else a word hangs on. These are properties of the methods, not of a solver's accuracy: grades
# do not change them, and they are no part of a certificate's or a receipt's JSON.
WIDEST: Final = 1e-2
"""Largest τ that is tried: with a wider one margins far off would make a KKT point."""
STRONG: Final = 1e-6
"""Share of the largest multiplier that holds a margin in place; a false one hides an ascent."""
FLAT: Final = 1e-6
"""Eigenvalue, by the cost's own 1, that counts as 0: smaller ones show no maximum and no saddle."""
HESSIAN_EULER: Final = 1e-8
"""Contradiction of ``∇²f_n θ = (α-1) ∇f_n`` beyond which a Hessian is not believed."""
HESSIAN_DIFFERENCE: Final = 1e-4
"""Relative distance from differences of gradients beyond which it is not believed either."""
FARTHEST: Final = 1e-3
"""A maximiser farther away, as a part of ‖θ‖, is another point than the one asked about."""
STEADY: Final = 2.0
"""Factor within which gains follow their rate: a wider one would take noise for a curve."""
LOCAL: Final = 1e-2
"""Length, by ‖θ‖, beyond which a curve speaks of another place than θ."""
RISING: Final = 1e-6
"""Gain per length beyond rounding and ε at a kink, by ‖θ‖: from there a curve is looked for."""
STEEP: Final = 1e-3
"""Slope, by its gradient, of a margin that rises for certain: a flatter one may cross others."""
CLEARLY_NEGATIVE: Final = 1e-6
"""A margin as far below 0 as this part of the largest is no rounding of sums that were tested."""
PROVED_NEAR: Final = 1e-6
"""Distance, gap and shortfall up to which a proof is one of this point: ten times the default."""
PROVED_GAP: Final = 1e-7
"""Gap up to which a proof of a KKT point adds that it is a global maximum: the default ``gap``."""
UNFELT: Final = 1e-6
"""Share of the steepest slope up to which margins do not feel a unit: its kinks are none then."""
CLEAR: Final = 100.0
"""Times the error of the point by which a multiplier is clear of 0: then its margin holds."""
ASIDE: Final = 0.1
"""Part of the way to the nearest kink that differences may go: no kink is crossed by rounding."""
CONTRADICTING: Final = 0.25
"""Share of samples whose differences may contradict their slopes, at kinks: more do at no θ."""
WELL_ABOVE: Final = 10.0
"""Times an error, or a length, from which a number is no part of it."""
IDENTITY: Final = 10.0
"""Times ``stationarity`` that an identity may miss: it sums what several entries miss."""
MISFIT: Final = 1e-3
"""ε, or distance of the margin, beyond which no true point can be near: it words the refusal."""

# What a receipt may state, and how far its claims may be from what is computed again.
LOOSEST: Final = 1e-2
"""The low grade's: with looser tolerances the words of a receipt would be empty."""
SHARPEST: Final = {"kink": 1e-9, "rank": 1e-13, "euler": 1e-12}
"""Below these, rounding hides a kink or a dependence."""
REPEATED: Final = 1e-9
"""Relative difference that another BLAS and another order of sums make of a claim."""
REPEATED_ZERO: Final = 1e-12
"""The same, absolute, for claims near 0: all of them are relative quantities."""
COARSE: Final = {"curvature": 1e-4, "sigma_min": 1e-9, "nearest_kink": 1e-9}
"""Second differences, and eigenvalues near zero, repeat to fewer digits on another machine."""
ROUGH: Final = {"radius": 10.0, "rate": 1.5}
"""Factors: a radius may be some units of the last place; a rate is measured near rounding."""
